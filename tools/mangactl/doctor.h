/* doctor.h: what the parts of `mangactl doctor` have in common: one line for each thing looked at. */
#ifndef MANGACTL_DOCTOR_H
#define MANGACTL_DOCTOR_H

#include "tools/mangactl/ctl.h"

typedef enum { DOCTOR_FINE, DOCTOR_WARN, DOCTOR_FAIL, DOCTOR_VERDICTS } doctor_verdict_t;

typedef struct {
    ctl_t *ctl;
    int counts[DOCTOR_VERDICTS];
    char state[CTL_PATH_BYTES];
} doctor_t;

void doctor_say(doctor_t *doctor, doctor_verdict_t verdict, const char *what, const char *fmt, ...) PRINTF_LIKE(4, 5);
/* The same with more members for programs: `more` is JSON, ",\"name\":1", shown with --json alone. */
void doctor_say_more(doctor_t *doctor, doctor_verdict_t verdict, const char *what, const char *more, const char *fmt,
                     ...) PRINTF_LIKE(5, 6);

/* The disk of the journal: its file system, how fast it syncs and writes (a few seconds), and what the broker can
 * promise and reach on it. */
void doctor_disk(doctor_t *doctor);

/* These need a session. `status`: what BROKER status answers; says something only when the disk is full. */
void doctor_broker_disk(doctor_t *doctor, bytes_t status);
/* Each dead-letter queue that is not empty, and messages that a repair of the journal could not save. */
void doctor_broker_queues(doctor_t *doctor);
/* The broker counts everything again that it keeps by counting, slice by slice, so that nobody waits for it long. */
void doctor_broker_counts(doctor_t *doctor);

#endif
