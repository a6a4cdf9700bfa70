/* journal_checkpoint.h: takes sealed segments into a snapshot, and gives them back to the disk.
 *
 *     begin (owner) -> load -> fold -> need -> copy -> write … -> publish -> adopt (owner) -> release
 *
 * The snapshot before is loaded, the records of the sealed segments behind it are folded into what was loaded; that is
 * somebody else's business (the core's). Then the records that are still needed and whose segments go are copied into
 * kept files, what was folded is written as the new snapshot, and only when that is durable segments are released. A
 * crash at any moment leaves the old snapshot with all that it needs, or the new one with all that it needs; what is
 * left over is cleared away at the next start.
 *
 * Steps are bounded by `max_bytes`, to be repeated until *done. All but begin and adopt may run in another thread than
 * the owner's, beside its work: they have descriptors of their own, and read what nobody changes. Everything blocks on
 * the disk, begin and adopt but little.
 *
 * A failure with JOURNAL_FULL (no room), or RESOURCE_EXHAUSTED otherwise (no memory), ends the checkpoint alone:
 * abandon it, and try again later. Any other is the journal's end, as every failed write or sync. */
#ifndef BROKER_JOURNAL_JOURNAL_CHECKPOINT_H
#define BROKER_JOURNAL_JOURNAL_CHECKPOINT_H

#include "broker/journal/journal_file.h"

typedef struct journal_checkpoint journal_checkpoint_t;

/* What of the log stays readable as a whole: all that any of these asks for, and what no snapshot has. */
typedef struct {
    uint64_t bytes;    /* so much of its newest sealed segments */
    int64_t since_us;  /* segments with records not older than this */
    uint64_t from_seq; /* records from here on */
} journal_retain_t;

typedef struct {
    uint64_t newest;               /* record of the snapshot */
    uint64_t folded;               /* records */
    uint64_t copied, copied_bytes; /* records into kept files */
    uint64_t needed;               /* records of released segments that are still needed */
    uint64_t kept_bytes;           /* of all kept files now */
    uint64_t needed_bytes;         /* of them, what is needed: estimated to a block of 32 KiB */
    uint64_t released;             /* segments */
    uint64_t snapshot_bytes;
} journal_checkpoint_stats_t;

/* NULL with err->code STATUS_OK when no segment was sealed since the snapshot before, and none may go; NULL with an
 * error when out of memory. One checkpoint at a time. */
MUST_USE journal_checkpoint_t *journal_checkpoint_begin(journal_t *journal, const journal_retain_t *retain,
                                                        error_t *err);

/* The slices of the snapshot before, none when there is none, and at last an empty one. */
MUST_USE bool journal_checkpoint_load(journal_checkpoint_t *checkpoint, journal_load_fn load, void *ctx,
                                      size_t max_bytes, bool *done, error_t *err);
/* The records behind it, in order. This is the place, too, where whoever distils the log sees each record once before
 * its segment may go. */
MUST_USE bool journal_checkpoint_fold(journal_checkpoint_t *checkpoint, journal_apply_fn apply, void *ctx,
                                      size_t max_bytes, bool *done, error_t *err);

/* The journal's, as long as it lives. */
const folder_t *journal_folder(const journal_t *journal);
/* The same, as long as the checkpoint lives. */
const folder_t *journal_checkpoint_folder(const journal_checkpoint_t *checkpoint);
/* Newest record of the snapshot to come. */
uint64_t journal_checkpoint_newest(const journal_checkpoint_t *checkpoint);
/* Records up to here lose their segment: what of them is needed must be told. */
uint64_t journal_checkpoint_released(const journal_checkpoint_t *checkpoint);
/* Takes the list over (malloc'd, ascending, each once), and decides what is written anew. */
MUST_USE bool journal_checkpoint_need(journal_checkpoint_t *checkpoint, uint64_t *records, size_t count, error_t *err);
MUST_USE bool journal_checkpoint_copy(journal_checkpoint_t *checkpoint, size_t max_bytes, bool *done, error_t *err);

/* One slice of the new snapshot, given back by load as it is. */
MUST_USE bool journal_checkpoint_write(journal_checkpoint_t *checkpoint, bytes_t items, error_t *err);
MUST_USE bool journal_checkpoint_publish(journal_checkpoint_t *checkpoint, error_t *err);

/* The owner's: reads go to the new kept files, and no more to the segments that are released. */
MUST_USE bool journal_checkpoint_adopt(journal_t *journal, journal_checkpoint_t *checkpoint, error_t *err);
/* One file a call. */
MUST_USE bool journal_checkpoint_release(journal_checkpoint_t *checkpoint, bool *done, error_t *err);

/* True for a failure after which the journal goes on. */
bool journal_checkpoint_may_go_on(const error_t *why);
/* Gives up before publish: what was written goes. */
MUST_USE bool journal_checkpoint_abandon(journal_checkpoint_t *checkpoint, error_t *err);
/* The owner's, after any other failure: it is the journal's, which refuses everything from now on. */
void journal_checkpoint_broke(journal_t *journal, const error_t *why);

void journal_checkpoint_stats(const journal_checkpoint_t *checkpoint, journal_checkpoint_stats_t *out);
/* Touches no file but to close it. */
void journal_checkpoint_free(journal_checkpoint_t **checkpoint);

#endif
