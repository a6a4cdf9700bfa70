/* journal_survey_base.h: the part of a survey that is about snapshots and kept files. */
#ifndef BROKER_JOURNAL_JOURNAL_SURVEY_BASE_H
#define BROKER_JOURNAL_JOURNAL_SURVEY_BASE_H

#include "broker/journal/journal_survey.h"

/* Tells `sink` of every snapshot, damaged ones first, and of the kept files with their records; `record` is room for
 * one. Counts in *report. */
MUST_USE bool base_tell(const base_t *base, const folder_t *folder, const survey_sink_t *sink, record_t *record,
                        survey_report_t *report, error_t *err);

#endif
