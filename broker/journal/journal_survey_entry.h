/* journal_survey_entry.h: a segment's header, also past damage: what its batches say of it. */
#ifndef BROKER_JOURNAL_JOURNAL_SURVEY_ENTRY_H
#define BROKER_JOURNAL_JOURNAL_SURVEY_ENTRY_H

#include "broker/journal/journal_file.h"

/* What is known of a segment before its batches are read. */
typedef struct {
    uint64_t number;
    uint64_t file_bytes;
    segment_header_t header;         /* first_batch 0: not known */
    uint64_t least_batch, least_seq; /* then: of the first batch that holds */
    bool missing;
    bool lost;       /* nothing can be read by it */
    bool saltless;   /* the salt is lost: batches are believed for their place and their records */
    const char *why; /* the header does not hold because */
} entry_t;

/* True when there is no error; else it is handed on. */
static inline bool pass_on(const error_t *from, error_t *err)
{
    if (from->code != STATUS_OK && err)
        *err = *from;
    return from->code == STATUS_OK;
}

/* Reads the header of the file in the window. False when the file cannot be read or a newer program wrote it. */
MUST_USE bool entry_read_header(entry_t *entry, window_t *window, error_t *err);

/* The header of a batch of this segment at `at`, if one holds there; else false, with *err set when the file cannot be
 * read. */
MUST_USE bool entry_batch_at(const entry_t *entry, window_t *window, uint64_t at, batch_header_t *header, error_t *err);

/* The next header that holds at or behind `at`; false when there is none, or *err is set. A saltless segment is not
 * searched: what a message holds could pass for a batch. */
MUST_USE bool entry_search(const entry_t *entry, window_t *window, uint64_t *at, batch_header_t *header, error_t *err);

#endif
