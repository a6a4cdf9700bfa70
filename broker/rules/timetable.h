/* timetable.h: when a schedule is due: EventBridge's rate(…) and cron(…), in a time zone.
 *
 * A rate counts from when its schedule began and knows no zone: a day is 24 hours. A cron names times on the wall.
 * Where clocks are put forward over such a time, it is not due that day; where they are put back, it is due at the
 * first of the two, and not again. Source: EventBridge Scheduler's user guide, "Schedule types". Pure, see pattern.h.
 */
#ifndef BROKER_RULES_TIMETABLE_H
#define BROKER_RULES_TIMETABLE_H

#include "broker/rules/cron.h"
#include "broker/rules/zone.h"

#define TIMETABLE_NEVER INT64_MAX
#define TIMETABLE_MAX_BYTES 256    /* of an expression: the API's bound */
#define TIMETABLE_RATE_MAX 1000000 /* ours: units of a rate */

typedef struct {
    int64_t period_us; /* of a rate; 0: a cron */
    cron_t cron;
} timetable_t;

/* The refusal begins with AWS's words and says what is wrong and where. */
MUST_USE bool timetable_read(bytes_t expression, timetable_t *out, error_t *err);

/* When it is due first after a moment; TIMETABLE_NEVER when not any more. `began_us` counts for rates alone. */
int64_t timetable_next_us(const timetable_t *timetable, const zone_t *zone, int64_t began_us, int64_t after_us);

/* When it was due last, after `after_us` and up to `at_us`; TIMETABLE_NEVER for not at all in that time. */
int64_t timetable_last_us(const timetable_t *timetable, const zone_t *zone, int64_t began_us, int64_t after_us,
                          int64_t at_us);

#endif
