/* journal_recover.h: reads a folder's segments from the oldest record to the newest, and tells a tail that was
 * never synced from damage to what had been.
 *
 * The rule: reading ends at the first place where no good batch is. If anything behind that place proves that
 * the batch which should be there had been synced, it is damage, and nothing is changed. Proof is a good batch
 * of the segment's generation whose `synced` reaches the missing one's number, or a later segment whose header
 * begins with a later batch. Otherwise it is the tail of a commit that never ended, and may be cut. */
#ifndef BROKER_JOURNAL_JOURNAL_RECOVER_H
#define BROKER_JOURNAL_JOURNAL_RECOVER_H

#include "broker/journal/journal_copy.h"
#include "broker/journal/journal_listing.h"
#include "broker/journal/journal_segment.h"
#include "broker/journal/journal_snapfile.h"

/* What is told of what is read. */
typedef struct {
    journal_load_fn load; /* slices of the snapshot; NULL: it is only checked */
    journal_apply_fn
        apply; /* records behind the snapshot, or with `whole` all there are; NULL: they are only checked */
    void *ctx;
    bool whole; /* kept records and segments older than the snapshot are read as well */
} recover_sink_t;

typedef struct {
    segments_t segments;
    segments_t leftovers;       /* that the snapshot says are released */
    numbers_t spares;           /* ids of prepared files */
    numbers_t snapshots;        /* numbers of those there are */
    numbers_t kept_files;       /* those there are, two numbers each: snapshot, first record */
    kepts_t kepts;              /* those that the newest snapshot names */
    snapfile_header_t snapshot; /* the newest; zeros for none */
    uint64_t next_seq;          /* 1 when there is no segment */
    uint64_t next_batch;        /* 1 when there is no segment */
    uint64_t max_generation;    /* over segments and spares; 0 for none */
    uint64_t proven_batch;      /* highest that the newest batch says was synced */
    uint64_t filled_batch;      /* highest that holds records */
    int64_t last_ingest_us;     /* 0 for none */
    uint64_t unproven_at;       /* last segment: where the first batch begins that no later one proves synced */
    uint64_t cut_at, cut_end;   /* last segment: remains of unsynced batches; equal when there are none */
    copy_t copy;                /* what an interrupted start was writing anew: read in place of it */
    journal_recovery_t report;
} recovered_t;

/* Reads everything, changes nothing. On failure *out is to be freed all the same. `apply` may be NULL. */
MUST_USE bool recover_read(recovered_t *out, const folder_t *folder, const recover_sink_t *sink, error_t *err);

/* The first part of it: the newest of out->snapshots and the kept files that it names. */
MUST_USE bool recover_snapshot(recovered_t *out, const folder_t *folder, const recover_sink_t *sink, error_t *err);

/* Makes what was read the whole truth: zeroes the tail that is cut, writes the unproven batches once more (after a
 * failed sync the page cache may hold what the disk never got), having copied them first (journal_copy.h), and syncs.
 * Opens the last segment for writing. */
MUST_USE bool recover_repair(recovered_t *recovered, const folder_t *folder, error_t *err);

void recovered_free(recovered_t *recovered, const folder_t *folder);

#endif
