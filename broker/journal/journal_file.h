/* journal_file.h: the journal's folder: opening, reading, writing and syncing by name, errors in words.
 *
 * Every function may block on the disk. A failure's code is RESOURCE_EXHAUSTED when the disk is full, else
 * INTERNAL with the name JOURNAL_IO; the message names the file. Safe from two threads at once where the
 * journal_io table is. */
#ifndef BROKER_JOURNAL_JOURNAL_FILE_H
#define BROKER_JOURNAL_JOURNAL_FILE_H

#include "broker/journal/journal_format.h"

#define FOLDER_PATH_BYTES 1024
#define FILE_PATH_BYTES (FOLDER_PATH_BYTES + FILE_NAME_BYTES)

typedef struct {
    const journal_io_t *io;
    char path[FOLDER_PATH_BYTES];
} folder_t;

/* False when the path is too long. */
MUST_USE bool folder_init(folder_t *folder, const char *path, const journal_io_t *io, error_t *err);
/* Makes the folder (0700) unless it is there, durably. */
MUST_USE bool folder_make(const folder_t *folder, error_t *err);
/* Makes creations, renames and removals durable. */
MUST_USE bool folder_sync(const folder_t *folder, error_t *err);
/* "folder/name", for messages and calls. */
void folder_file(const folder_t *folder, const char *name, char out[FILE_PATH_BYTES]);

MUST_USE bool file_open(const folder_t *folder, const char *name, int flags, int *fd, error_t *err);
/* The same; *fd is -1, and no error, when there is no such file. */
MUST_USE bool file_open_if_there(const folder_t *folder, const char *name, int flags, int *fd, error_t *err);
/* Makes the file anew, for writes past the page cache, where the file system has that (*direct): each of whole blocks
 * at a multiple of a block, from memory at a multiple of a block. `block` is one, written at 0 to find out. */
MUST_USE bool file_make_direct(const folder_t *folder, const char *name, const void *block, int *fd, bool *direct,
                               error_t *err);
void file_close(const folder_t *folder, int *fd); /* sets it to -1; one below 0 is left alone */
/* The bytes at `offset` are not what they were: DATA_LOSS in words; also told in *flaw, when there is one. Returns
 * false. */
typedef struct {
    uint64_t at;
    const char *why; /* NULL: nothing is wrong */
} flaw_t;
bool file_damaged(const folder_t *folder, const char *name, uint64_t offset, const char *why, flaw_t *flaw,
                  error_t *err);
MUST_USE bool file_size(const folder_t *folder, const char *name, int fd, uint64_t *bytes, error_t *err);
/* All `bytes`, or an error: also when the file ends before. */
MUST_USE bool file_read(const folder_t *folder, int fd, void *out, uint64_t bytes, uint64_t offset, error_t *err);
MUST_USE bool file_write(const folder_t *folder, int fd, const void *data, uint64_t bytes, uint64_t offset,
                         error_t *err);
/* The same, and a sync whenever 2 MiB were written since the last: large files that are written beside a log must not
 * leave so much to their last sync that it holds up the log's. *unsynced counts for the caller. */
MUST_USE bool file_write_paced(const folder_t *folder, int fd, bytes_t data, uint64_t offset, uint64_t *unsynced,
                               error_t *err);
MUST_USE bool file_sync(const folder_t *folder, int fd, error_t *err);
MUST_USE bool file_rename(const folder_t *folder, const char *from, const char *to, error_t *err);
/* No error when there is no such file. */
MUST_USE bool file_remove(const folder_t *folder, const char *name, error_t *err);

/* -- a window on a file, for reading it from one end to the other -------------------------------- */
typedef struct {
    const folder_t *folder;
    int fd;
    uint64_t file_bytes;
    uint8_t *data;
    size_t cap;
    uint64_t at; /* of data[0] in the file */
    size_t len;
    /* These bytes of the file are read elsewhere: from `cover_from` on in another file. None with cover_bytes 0. */
    int cover_fd;
    uint64_t cover_at, cover_bytes, cover_from;
} window_t;

/* The `bytes` (few MiB at most) at `offset`; they live until the next call. NULL with *err untouched
 * when the file ends before, NULL with err->code set when it cannot be read; so pass a cleared error. */
const uint8_t *window_view(window_t *window, uint64_t offset, size_t bytes, error_t *err);
/* The same of a file that must hold these bytes: NULL with *err, and damage told as by file_damaged. */
const uint8_t *window_need(window_t *window, const char *name, uint64_t offset, size_t bytes, flaw_t *flaw,
                           error_t *err);
void window_free(window_t *window);

#endif
