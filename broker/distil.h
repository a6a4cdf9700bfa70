/* distil.h: what of the log goes into archives, before its segments go.
 *
 * A checkpoint shows it each record behind the last snapshot; when the snapshot is published all of them are in the
 * archives, durably. The other way round that need not be: a crash before the snapshot leaves archive files whose names
 * say how far the log was looked at, and what they have is not taken again. So an event is in its archive once,
 * whatever happens between. Everything may block on the disk. */
#ifndef BROKER_DISTIL_H
#define BROKER_DISTIL_H

#include "broker/core/core.h"
#include "broker/journal/archive_folder.h"

#define DISTIL_FILE_BYTES ((uint64_t)64 << 20)
#define DISTIL_GROW_PARTS 64 /* a newest file smaller than this part of a full one is written anew with what comes */

typedef struct distil distil_t;

typedef struct {
    uint64_t events; /* put into archives */
    uint64_t files, bytes, removed;
    uint64_t unreadable; /* newest files that could not be read to be continued: another one was begun */
} distil_stats_t;

/* `journal`: the journal's folder, which outlives it. `file_bytes`: of a full file; 0: DISTIL_FILE_BYTES. `through`:
 * the newest record that it will be shown. NULL when out of memory. */
MUST_USE distil_t *distil_new(const folder_t *journal, uint64_t file_bytes, uint64_t through);
void distil_free(distil_t **distil);

/* The next record, which `core` has applied. */
MUST_USE bool distil_record(distil_t *distil, const core_t *core, const record_t *record, error_t *err);
/* Brings one archive to the disk and takes from it what has had its time by now_us; *done when there is no other. */
MUST_USE bool distil_end(distil_t *distil, const core_t *core, int64_t now_us, bool *done, error_t *err);
/* Gives up: unfinished files go. */
MUST_USE bool distil_abandon(distil_t *distil, error_t *err);
void distil_stats(const distil_t *distil, distil_stats_t *out);

/* Takes from the archives of the topology in effect what has had its time, when no checkpoint is under way. */
MUST_USE bool distil_expire(const folder_t *journal, const core_t *core, int64_t now_us, uint64_t *removed,
                            error_t *err);

#endif
