/* journal_compact.h: which kept files are written anew, and the writing.
 *
 * A kept file less than half of which is needed is written anew, and so is one that is not more than twice as large as
 * what is written behind it: so files are at most half waste, and their sizes grow geometrically towards the oldest,
 * which keeps them few and each record's copies logarithmic. Files without need vanish. */
#ifndef BROKER_JOURNAL_JOURNAL_COMPACT_H
#define BROKER_JOURNAL_JOURNAL_COMPACT_H

#include "broker/journal/journal_kept.h"
#include "broker/journal/journal_sealed.h"

/* A run of neighbours that become one file, or a file that stays. */
typedef struct {
    size_t first, count; /* kept files */
    bool has_segments;   /* and, behind them, the segments that are released */
    bool stays;
} compact_group_t;

typedef struct {
    const folder_t *folder;
    uint64_t made; /* snapshot that it is for */
    kepts_t sources;
    const sealed_segment_t *segments; /* released by this checkpoint */
    size_t segment_count;
    const uint64_t *needed; /* ascending */
    size_t needed_count, needed_at;

    compact_group_t *groups; /* by sequence */
    size_t group_count, group_at;
    size_t source_at, block_at; /* in the group: kept files first, then segments */
    bool is_writing, is_reading;
    kept_writer_t writer;
    sealed_t sealed;
    buf_t block;

    kept_ref_t *result; /* one for each group at most */
    size_t result_count;
    size_t made_count; /* files written; they stand in `result` with their `made` */
    uint64_t copied, copied_bytes, needed_bytes;
} compact_t;

/* Sources and the rest are filled in by the caller. False when out of memory. */
MUST_USE bool compact_plan(compact_t *compact, error_t *err);
MUST_USE bool compact_step(compact_t *compact, size_t max_bytes, bool *done, error_t *err);
/* Removes what was written. */
MUST_USE bool compact_abandon(compact_t *compact, error_t *err);
void compact_free(compact_t *compact);

#endif
