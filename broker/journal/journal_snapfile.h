/* journal_snapfile.h: the file of a snapshot: items of the core's state in blocks with checksums, the list of kept
 * files that belong to it, and an end that proves it whole.
 *
 * What the items are is not known here: they are bytes, given and returned in the same slices. */
#ifndef BROKER_JOURNAL_JOURNAL_SNAPFILE_H
#define BROKER_JOURNAL_JOURNAL_SNAPFILE_H

#include "broker/journal/journal_kept.h"

#define SNAPFILE_FORMAT 1
#define SNAPFILE_HEADER_BYTES 64
#define SNAPFILE_BLOCK_HEADER_BYTES 16
#define SNAPFILE_BLOCK_MAX_BYTES ((uint32_t)8 << 20)
#define SNAPFILE_KEPT_MAX 4096 /* files named by one snapshot; their sizes grow geometrically, so there are few */

typedef struct {
    uint64_t number;     /* of the snapshot: 1, 2, 3, …; 0: none */
    uint64_t newest;     /* sequence of the newest record in it */
    uint64_t released;   /* records up to this one are no longer in segments: in kept files, or needed by nobody */
    int64_t ingest_us;   /* of the newest */
    uint64_t next_batch; /* of the first batch behind it */
    uint64_t bytes;      /* of the file */
} snapfile_header_t;

/* -- writing ------------------------------------------------------------------------------------- */
typedef struct {
    const folder_t *folder;
    int fd;
    snapfile_header_t header;
    uint64_t blocks, unsynced;
    buf_t block; /* header and content of one */
} snapfile_writer_t;

MUST_USE bool snapfile_begin(snapfile_writer_t *writer, const folder_t *folder, const snapfile_header_t *header,
                             error_t *err);
MUST_USE bool snapfile_add(snapfile_writer_t *writer, bytes_t items, error_t *err);
/* Ends it with the files that it relies on, and the ingest time of its newest record; it is whole on disk then, but has
 * not got its name. */
MUST_USE bool snapfile_end(snapfile_writer_t *writer, const kept_ref_t *kept, size_t count, int64_t ingest_us,
                           error_t *err);
/* Gives it its name, durably: from now on it is the newest. A failure is never for want of room. */
MUST_USE bool snapfile_publish(snapfile_writer_t *writer, error_t *err);
void snapfile_abandon(snapfile_writer_t *writer);

/* -- reading ------------------------------------------------------------------------------------- */
typedef struct {
    const folder_t *folder;
    char name[FILE_NAME_BYTES];
    window_t window;
    snapfile_header_t header;
    uint64_t at, blocks;
    kept_ref_t *kept;
    size_t kept_count;
    bool has_ended;
    flaw_t flaw; /* what made it fail, when that is damage */
} snapfile_reader_t;

/* Opens the snapshot of this number and reads its header. To be closed also when it failed. */
MUST_USE bool snapfile_open(snapfile_reader_t *reader, const folder_t *folder, uint64_t number, error_t *err);
/* The next slice of items, as it was added; an empty one at the end, when `kept` is complete. The slice lives until
 * the next call. */
MUST_USE bool snapfile_next(snapfile_reader_t *reader, bytes_t *items, error_t *err);
void snapfile_close(snapfile_reader_t *reader);

#endif
