/* journal_kept_scan.h: all records of a kept file, past damage too.
 *
 * Where a record does not hold, reading goes on behind its length, at the records that end the block in the number
 * that must be left, or with the next block. A message may hold bytes that look like records: none of these three
 * takes them for such, for they neither begin where a record ended nor make the block's number right. */
#ifndef BROKER_JOURNAL_JOURNAL_KEPT_SCAN_H
#define BROKER_JOURNAL_JOURNAL_KEPT_SCAN_H

#include "broker/journal/journal_kept.h"

/* Records are lost between two that hold. Which of the sequences were there cannot be told. */
typedef struct {
    uint64_t at, end;             /* bytes */
    uint64_t first_seq, next_seq; /* the lost ones are from first_seq to before next_seq */
} kept_hole_t;

typedef struct {
    void *ctx;
    bool (*record)(void *ctx, uint64_t seq, bytes_t raw, error_t *err);
    bool (*hole)(void *ctx, const kept_hole_t *hole, error_t *err);
} kept_sink_t;

/* `fd` is the file's, -1 when it is missing: all is one hole then. `kept` has the index, NULL when that does not hold.
 * *found counts records. False when the file cannot be read or the sink said so. */
MUST_USE bool kept_scan(const folder_t *folder, int fd, const kept_ref_t *ref, const kept_t *kept,
                        const kept_sink_t *sink, uint64_t *found, error_t *err);

#endif
