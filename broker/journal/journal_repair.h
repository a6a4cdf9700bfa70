/* journal_repair.h: makes a damaged journal one that opens, and loses nothing but what is damaged.
 *
 * No byte goes away: each damaged file is kept in DIR/attic/N, N counting repairs, and a copy takes its name. In the
 * copy each record that is lost is a NOTE `lost` under the same sequence, because sequences are for ever: consumers
 * know messages by them. The first of a run of such notes says in its fields up to which record (`until`) later ones
 * may speak of what is lost; broker/core forgives them that. What cannot be told is how many records there were behind
 * the last batch that can be read: they are not noted, and their sequences are given again. */
#ifndef BROKER_JOURNAL_JOURNAL_REPAIR_H
#define BROKER_JOURNAL_JOURNAL_REPAIR_H

#include "broker/journal/journal_attic.h"
#include "broker/journal/journal_kept_note.h"
#include "broker/journal/journal_survey.h"

#define REPAIR_LOST_EVENT KEPT_NOTE_EVENT /* of the NOTE in a lost record's place */
#define REPAIR_LOST_UNTIL "until"

typedef struct {
    survey_report_t survey; /* of before */
    uint64_t files;         /* to be replaced, or replaced */
    char attic[FILE_PATH_BYTES];
} repair_report_t;

/* What it is about, or, with `really`, what was done: `sink` is told of the damage as by journal_survey. The folder
 * must be locked (journal_lock). `salt` is random bits for segments whose own is lost. On failure nothing was changed,
 * or what was is whole: doing it again goes on. */
MUST_USE bool journal_repair(const folder_t *folder, uint64_t salt, bool really, const survey_sink_t *sink,
                             repair_report_t *report, error_t *err);

#endif
