/* journal_world.h: a folder with a snapshot, kept files and segments, written under the real core, to be laid out,
 * damaged and opened again; links libbroker-front. What cannot be fails the test. */
#ifndef TESTS_LIB_JOURNAL_WORLD_H
#define TESTS_LIB_JOURNAL_WORLD_H

#include "broker/checkpoint.h"
#include "broker/core/snapshot.h"
#include "tests/lib/core_rig.h"
#include "tests/lib/journal_images.h"

#define JOURNAL_WORLD_DIR "/journal"
#define JOURNAL_WORLD_SEGMENT_BYTES ((uint64_t)16 << 10)
#define JOURNAL_WORLD_RECORDS_MAX 4096

typedef struct {
    rig_t rig;
    images_t images;
    bytes_t records[JOURNAL_WORLD_RECORDS_MAX]; /* into the rig's journal */
    uint64_t count;
    uint64_t digest;  /* of a core that applied them all */
    uint64_t *needed; /* by its messages */
    size_t needed_count;
    uint64_t retain_bytes;
} journal_world_t;

/* Writes it: several phases with a checkpoint between them that retains so many bytes of log; in each phase `unread`
 * messages stay for ever. */
void journal_world_open_with_unread(journal_world_t *w, uint64_t retain_bytes, int unread);
void journal_world_open(journal_world_t *w, uint64_t retain_bytes); /* with none */
/* Also frees `w` itself. */
void journal_world_close(journal_world_t *w);

/* The last file whose path has `part` in it. */
image_t *journal_world_image(journal_world_t *w, const char *part);
/* Is the file at `path` as the image is? */
bool journal_world_is_same(fault_disk_t *disk, const char *path, const image_t *image);

/* A core of a folder, and what loads it. */
typedef struct {
    core_t *core;
    checkpoint_loader_t loader;
} journal_world_start_t;

/* Opens the folder on `disk` as the broker does. NULL when it is refused; journal_world_stop is due all the same. */
journal_t *journal_world_start(const journal_world_t *w, fault_disk_t *disk, journal_world_start_t *start,
                               error_t *err);
void journal_world_stop(journal_t **journal, journal_world_start_t *start);
/* More log, and a checkpoint that takes all of it in. */
void journal_world_go_on(journal_world_t *w, journal_t *journal);

/* Of a core that applied the first `count` records; also which of them it needs, unless `needed` is NULL. */
uint64_t journal_world_digest(journal_world_t *w, uint64_t count, uint64_t **needed);
/* Can record `seq` be read, as it was written? */
bool journal_world_has(const journal_world_t *w, journal_t *journal, uint64_t seq);
/* How many needed records cannot be had any more. */
uint64_t journal_world_lost(const journal_world_t *w, journal_t *journal);
/* For a survey, with the world as its context: every record is what was written, or tells that one was lost. */
bool journal_world_take(void *world, const record_t *record, bytes_t raw, error_t *err);

#endif
