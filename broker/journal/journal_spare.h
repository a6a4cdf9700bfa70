/* journal_spare.h: files that are ready to become segments: whole, filled with zeros (or with what an older
 * segment left, which no reader takes for new), and on disk.
 *
 * Written blocks are what makes a later sync cheap; preallocated but unwritten ones gain nothing. Filling goes in
 * slices, so that a commit beside it waits little: past the page cache, whose pages cost ten times what the disk does,
 * or where that cannot be, each slice synced. One thread at a time fills and takes; the other functions are safe beside
 * it. */
#ifndef BROKER_JOURNAL_JOURNAL_SPARE_H
#define BROKER_JOURNAL_JOURNAL_SPARE_H

#include <pthread.h>
#include <stdatomic.h>

#include "broker/journal/journal_segment.h"

#define SPARES_WANTED 1 /* prepared ahead */
#define SPARES_MAX 4    /* kept of those that come back */
#define SPARE_SLICE_BYTES ((size_t)256 << 10)

typedef struct {
    const folder_t *folder;
    uint64_t segment_bytes;
    uint8_t *zeros; /* one slice */
    int fill_fd;    /* of the file being filled; only who fills touches these three */
    bool is_direct; /* it is written past the page cache */
    uint64_t fill_at;
    pthread_mutex_t mutex; /* guards what is below */
    uint64_t ids[SPARES_MAX];
    size_t count;
    uint64_t next_id;
    atomic_bool full;     /* the disk had no room for another; looked at without the mutex too */
    uint64_t retry_bytes; /* while full: not worth trying with less than this free */
    bool failed;          /* for another reason, and so for good */
    error_t err;
} spares_t;

/* Does nothing on the disk. */
MUST_USE bool spares_init(spares_t *spares, const folder_t *folder, uint64_t segment_bytes, error_t *err);
void spares_free(spares_t *spares);

/* At start: keeps an old spare if its size is right and there is use for it, else removes it. */
MUST_USE bool spares_adopt(spares_t *spares, uint64_t id, error_t *err);

/* True when there is something to fill. */
bool spares_wanted(spares_t *spares);
/* One slice of the next spare; a failure is remembered. */
void spares_fill_slice(spares_t *spares);
/* Bytes of the spare being filled; to be asked by who fills. */
uint64_t spares_filled(const spares_t *spares);
/* All that is wanted. False when filling failed otherwise than for a full disk. */
MUST_USE bool spares_fill(spares_t *spares, error_t *err);
/* False when filling failed otherwise than for a full disk. */
MUST_USE bool spares_healthy(spares_t *spares, error_t *err);

/* True when the disk had no room when it was last asked: one look at memory. */
static inline bool spares_met_full(const spares_t *spares)
{
    return atomic_load_explicit(&spares->full, memory_order_relaxed);
}

/* How many are ready. *full tells whether another one can be had; it is looked for anew each time (one statvfs)
 * while the disk is full. */
size_t spares_ready(spares_t *spares, bool *full);

/* Makes the next spare the file of `segment`, durably, and opens it. Fills one first if none is ready. */
MUST_USE bool spares_take(spares_t *spares, segment_t *segment, error_t *err);

/* Takes the file of a segment that is not needed any more (closed): as a spare, or away with it. Durable when it
 * returns, so that segments go in order whatever happens. */
MUST_USE bool spares_recycle(spares_t *spares, const segment_header_t *segment, error_t *err);

#endif
