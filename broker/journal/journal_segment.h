/* journal_segment.h: the segments there are, and where in them each record begins.
 *
 * The list is in order of number without holes; the last one is being written (or, while a commit is under
 * way, will be). Owned by the journal's owner thread. The index costs four bytes a record. */
#ifndef BROKER_JOURNAL_JOURNAL_SEGMENT_H
#define BROKER_JOURNAL_JOURNAL_SEGMENT_H

#include "broker/journal/journal_file.h"

typedef struct {
    segment_header_t header;
    uint64_t used;   /* offset at which the next batch goes */
    uint32_t *index; /* offset of record header.first_seq + i */
    size_t count, cap;
    bool is_closed; /* it is older than the snapshot: its records are not in `index` until somebody asks for one */
    int64_t last_ingest_us; /* of its newest record, or later; of the newest before it while it has none */
    int fd;                 /* -1: not open */
} segment_t;

typedef struct {
    segment_t **items;
    size_t count, cap;
} segments_t;

/* Appends a segment without records; NULL when out of memory. */
MUST_USE segment_t *segments_add(segments_t *segments, const segment_header_t *header, int64_t last_ingest_us);
/* Forgets the oldest, closing its file. */
void segments_drop_first(segments_t *segments, const folder_t *folder);
void segments_free(segments_t *segments, const folder_t *folder);

segment_t *segments_last(const segments_t *segments); /* NULL when there is none */
/* The one whose records, present or to come, include `seq`; NULL when `seq` is before the first. */
segment_t *segments_find(const segments_t *segments, uint64_t seq);

/* Notes the next record. False when out of memory. */
MUST_USE bool segment_note(segment_t *segment, uint64_t offset, int64_t ingest_us);

#endif
