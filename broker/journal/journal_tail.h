/* journal_tail.h: the newest batches in memory: what is gathered, what is being written, and what was lately.
 *
 * A ring in order of batch number. The newest may still be open; what is not synced is never dropped, older
 * ones go when the ring holds more than its bound. Owned by the owner thread; while a commit runs, the writer
 * reads its batches and fills in their headers, and touches nothing else here. */
#ifndef BROKER_JOURNAL_JOURNAL_TAIL_H
#define BROKER_JOURNAL_JOURNAL_TAIL_H

#include "broker/journal/journal_segment.h"

typedef struct {
    segment_t *segment;
    uint64_t at; /* offset in the segment */
    uint64_t number;
    uint64_t first_seq;
    uint32_t count;
    uint32_t length;     /* without padding; set when it is closed */
    bool begins_segment; /* the segment's file is still to be made of a spare */
    /* Set when it is closed: of the zeros behind it so many go to the disk with it that its last block is written
     * whole, for the kernel would read a block from the disk first that it has not at hand. */
    size_t write_bytes;
    buf_t data; /* room for the header, records; padding once it is closed */
} batch_t;

#define TAIL_KEPT 2 /* buffers of dropped batches that wait for the next */

typedef struct {
    batch_t **ring;
    size_t head, count, cap; /* cap is a power of two */
    size_t bytes;            /* of the data of all */
    size_t bound_bytes;
    buf_t kept[TAIL_KEPT]; /* so that a busy journal asks for no memory: the kernel would have to clear it first */
    size_t kept_count;
} tail_t;

/* Appends a batch without records, with room for its header; NULL when out of memory. */
MUST_USE batch_t *tail_add(tail_t *tail, segment_t *segment, uint64_t number, uint64_t first_seq);
/* Appends a record to the newest batch. False, with nothing changed, when out of memory. */
MUST_USE bool tail_append(tail_t *tail, bytes_t record);
/* Pads the newest batch. False when out of memory. */
MUST_USE bool tail_close_newest(tail_t *tail);
/* Drops the oldest while over the bound and their number is not above `synced_batch`. */
void tail_trim(tail_t *tail, uint64_t synced_batch);
void tail_free(tail_t *tail);

/* 0 is the oldest. */
static inline batch_t *tail_at(const tail_t *tail, size_t i)
{
    return tail->ring[(tail->head + i) & (tail->cap - 1)];
}

static inline batch_t *tail_newest(const tail_t *tail)
{
    return tail->count ? tail_at(tail, tail->count - 1) : NULL;
}

/* The batch that holds record `seq`; NULL when it is not in memory. */
const batch_t *tail_find(const tail_t *tail, uint64_t seq);

#endif
