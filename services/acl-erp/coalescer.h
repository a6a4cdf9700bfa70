/* coalescer.h: many askers for the stock of single books, few batches to the ERP.
 *
 * A book is asked for once at a time: who asks for one that waits or is on its way joins it (single flight). Books
 * gather until a batch is full or the oldest has waited long enough: gather_idle_us when nothing is on its way,
 * gather_busy_us while something is, so that a lone question is not held up and a crowd shares calls. Live askers'
 * books go before those that only batch work asks for; free places in a live batch are filled with the others.
 *
 * Pure: time comes in as monotonic microseconds, nothing is sent from here. Callbacks run inside settle, fail and
 * nothing else; they may add and cancel. A wait is over when its callback ran or it was cancelled. */
#ifndef ACL_ERP_COALESCER_H
#define ACL_ERP_COALESCER_H

#include "proto/bytes.h"
#include "proto/isbn.h"
#include "proto/status.h"

#define COALESCER_BATCH_MAX 20    /* ISBNs that the ERP takes in one call */
#define COALESCER_WAITS_MAX 20000 /* askers at once */
#define COALESCER_TABLE_SLOTS 4096

typedef struct coalescer coalescer_t;
typedef struct coalescer_wait coalescer_wait_t;
typedef struct coalescer_batch coalescer_batch_t;

typedef struct {
    const error_t *err; /* NULL: the ERP answered */
    const void *answer; /* what settle was given; NULL with err NULL: the ERP does not know the book */
    size_t batch_isbns; /* how many went in the same call; 0 when none was made */
    int64_t sent_us, done_us;
} coalescer_result_t;

typedef void (*coalescer_fn)(void *ctx, const char *isbn, const coalescer_result_t *result);

typedef struct {
    int64_t gather_idle_us, gather_busy_us;
} coalescer_options_t;

MUST_USE coalescer_t *coalescer_new(const coalescer_options_t *options);
/* Waits that are left end without a callback. */
void coalescer_free(coalescer_t **coalescer);

/* Asks for one book (13 digits). NULL with RESOURCE_EXHAUSTED when COALESCER_WAITS_MAX wait. */
MUST_USE coalescer_wait_t *coalescer_add(coalescer_t *coalescer, bytes_t isbn, bool is_live, int64_t deadline_us,
                                         int64_t now_us, coalescer_fn fn, void *ctx, error_t *err);
/* The asker no longer wants to know; a book that nobody waits for any more is not asked for. */
void coalescer_cancel(coalescer_t *coalescer, coalescer_wait_t *wait);

/* When the next live (or other) batch should be taken; INT64_MAX when none waits. Now or earlier: it is due. */
int64_t coalescer_due_us(const coalescer_t *coalescer, bool is_live);

/* Takes up to COALESCER_BATCH_MAX books out, live ones first, oldest first; with `only_live` other books only fill
 * free places of a batch that has a live one. NULL when there is none, or out of memory. */
MUST_USE coalescer_batch_t *coalescer_take(coalescer_t *coalescer, bool only_live, int64_t now_us);

size_t coalescer_batch_count(const coalescer_batch_t *batch);
const char *coalescer_batch_isbn(const coalescer_batch_t *batch, size_t index);
/* The latest deadline of all that wait for it. */
int64_t coalescer_batch_deadline_us(const coalescer_batch_t *batch);

/* Ends a batch: `answers` has one for each of its books, in order, NULL for those that the ERP does not know. */
void coalescer_settle(coalescer_t *coalescer, coalescer_batch_t *batch, const void *const *answers, int64_t now_us);
void coalescer_fail(coalescer_t *coalescer, coalescer_batch_t *batch, const error_t *err, int64_t now_us);
/* Ends everything that has not been taken yet. */
void coalescer_fail_waiting(coalescer_t *coalescer, const error_t *err, int64_t now_us);

typedef struct {
    size_t waits, pending_live, pending_other, batches; /* now */
    uint64_t asked, joined;                             /* ever: joined found the book already asked for */
} coalescer_stats_t;

coalescer_stats_t coalescer_stats(const coalescer_t *coalescer);

#endif
