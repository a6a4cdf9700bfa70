/* checkpoint.h: one checkpoint: a second core folds the sealed log and is saved, beside the one that works.
 *
 * A snapshot is a fold, as all state is: the snapshot before and the records behind it, applied by a core of its own,
 * give the next one, and nothing of the live state is looked at. So it may run in another thread (checkpointer.h), or
 * step by step in the simulator. Steps are bounded in bytes, and block on the disk; those that walk all messages once
 * (what is needed) are not bounded in time: a few hundred milliseconds for 10 million. */
#ifndef BROKER_CHECKPOINT_H
#define BROKER_CHECKPOINT_H

#include "broker/core/core.h"
#include "broker/distil.h"
#include "broker/journal/journal_checkpoint.h"

typedef struct checkpoint checkpoint_t;

typedef enum {
    CHECKPOINT_WORKING,
    CHECKPOINT_READY, /* the snapshot is durable: the owner is to adopt it, then steps go on */
    CHECKPOINT_DONE,
    CHECKPOINT_GIVEN_UP, /* no room or no memory; nothing is changed. See checkpoint_error */
    CHECKPOINT_BROKEN,   /* the disk failed, or what is on it is damaged: the journal's end */
} checkpoint_state_t;

typedef struct {
    core_config_t core; /* of the one that works */
    journal_retain_t retain;
    int64_t now_us;              /* archives lose what has had its time by then */
    uint64_t archive_file_bytes; /* distil.h; 0: its own */
} checkpoint_options_t;

/* The owner's. NULL with err->code STATUS_OK when there is nothing to take in. `core`'s texts must outlive it. */
MUST_USE checkpoint_t *checkpoint_begin(journal_t *journal, const checkpoint_options_t *options, error_t *err);
/* Goes on for about `max_bytes` of reading or writing. Any thread's, one at a time. */
checkpoint_state_t checkpoint_step(checkpoint_t *checkpoint, size_t max_bytes);
/* The owner's, when it is READY. False when the journal has failed. */
MUST_USE bool checkpoint_adopt(checkpoint_t *checkpoint, journal_t *journal, error_t *err);
const error_t *checkpoint_error(const checkpoint_t *checkpoint);
void checkpoint_stats(const checkpoint_t *checkpoint, journal_checkpoint_stats_t *out);
/* What went into archives. */
void checkpoint_distilled(const checkpoint_t *checkpoint, distil_stats_t *out);
/* The core that folds, for tests; NULL when it is over. */
core_t *checkpoint_core(const checkpoint_t *checkpoint);
void checkpoint_free(checkpoint_t **checkpoint);

/* -- reading a snapshot back ------------------------------------------------------------------------- */
/* Loads into a core what a journal's load function is given. */
typedef struct {
    core_t *core;
    struct snapshot_load *load; /* NULL before the first slice and after the last */
} checkpoint_loader_t;

MUST_USE bool checkpoint_load(checkpoint_loader_t *loader, bytes_t items, error_t *err);
/* To be called whatever happened. */
void checkpoint_loader_end(checkpoint_loader_t *loader);

#endif
