/* journal_folder.h: what the commands on a broker's journal folder have in common. */
#ifndef MANGACTL_JOURNAL_FOLDER_H
#define MANGACTL_JOURNAL_FOLDER_H

#include "broker/journal/journal_survey.h"
#include "tools/mangactl/ctl.h"

typedef struct {
    folder_t folder;
    int lock_fd; /* -1: not locked */
} journal_folder_t;

/* That of MANGABUS_STATE. */
void journal_folder_default(char *out, size_t cap);
/* The folder that was named, or the broker's own. Locks it, so that no broker starts meanwhile, unless `running`: then
 * a broker may be at work in it. */
MUST_USE bool journal_folder_open(journal_folder_t *journal, const args_t *args, bool running, error_t *err);
void journal_folder_close(journal_folder_t *journal);

/* Complains; an exit code that tells a journal in use (75) and a disk that cannot be read (74) from the rest. */
int journal_folder_fail(ctl_t *ctl, const error_t *err);

/* For a broker's journal that opens again only after a repair. */
int journal_folder_damaged(ctl_t *ctl, const journal_folder_t *journal, const survey_report_t *report);

/* One damage: a line for people, or an object of JSON without a newline. */
void journal_damage_text(const damage_t *damage, buf_t *out);
void journal_damage_json(const damage_t *damage, buf_t *out);

#endif
