/* journal_file.c: the journal's folder through the journal_io table. */
#include "broker/journal/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define FOLDER_MODE 0700u
#define FILE_MODE 0600u
#define PACE_BYTES ((uint64_t)2 << 20)
#define WINDOW_BYTES ((size_t)256 << 10)

static bool failed(error_t *err, const char *what, const char *path, int64_t result)
{
    int number = (int)-result;
    char text[128];
    bool full = number == ENOSPC || number == EDQUOT;
    return error_set(err, full ? STATUS_RESOURCE_EXHAUSTED : STATUS_INTERNAL, full ? "JOURNAL_FULL" : "JOURNAL_IO",
                     "%s: cannot %s: %s", path, what, strerror_r(number, text, sizeof text));
}

bool folder_init(folder_t *folder, const char *path, const journal_io_t *io, error_t *err)
{
    folder->io = io ? io : journal_io_posix();
    size_t len = path ? strlen(path) : 0;
    if (len == 0 || len >= sizeof folder->path)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "the journal's folder has a path of %zu bytes: use 1 to %zu", len, sizeof folder->path - 1);
    memcpy(folder->path, path, len + 1);
    return true;
}

/* The folder that holds `folder`, where its name is written. */
static void parent_of(const folder_t *folder, char out[FOLDER_PATH_BYTES])
{
    size_t len = strlen(folder->path);
    memcpy(out, folder->path, len + 1);
    while (len > 1 && out[len - 1] == '/')
        out[--len] = '\0';
    char *slash = strrchr(out, '/');
    if (!slash)
        memcpy(out, ".", 2);
    else
        slash[slash == out] = '\0';
}

bool folder_make(const folder_t *folder, error_t *err)
{
    char parent[FOLDER_PATH_BYTES];
    int result = folder->io->make_dir(folder->io->ctx, folder->path, FOLDER_MODE);
    if (result == -EEXIST)
        return true;
    if (result < 0)
        return failed(err, "make the folder", folder->path, result);
    parent_of(folder, parent);
    result = folder->io->sync_dir(folder->io->ctx, parent);
    return result < 0 ? failed(err, "sync the folder", parent, result) : true;
}

bool folder_sync(const folder_t *folder, error_t *err)
{
    int result = folder->io->sync_dir(folder->io->ctx, folder->path);
    return result < 0 ? failed(err, "sync the folder", folder->path, result) : true;
}

void folder_file(const folder_t *folder, const char *name, char out[FILE_PATH_BYTES])
{
    (void)snprintf(out, FILE_PATH_BYTES, "%s/%s", folder->path, name);
}

bool file_open(const folder_t *folder, const char *name, int flags, int *fd, error_t *err)
{
    char path[FILE_PATH_BYTES];
    folder_file(folder, name, path);
    int result = folder->io->open(folder->io->ctx, path, flags, FILE_MODE);
    if (result < 0)
        return failed(err, "open", path, result);
    *fd = result;
    return true;
}

bool file_open_if_there(const folder_t *folder, const char *name, int flags, int *fd, error_t *err)
{
    char path[FILE_PATH_BYTES];
    folder_file(folder, name, path);
    int result = folder->io->open(folder->io->ctx, path, flags, FILE_MODE);
    *fd = result < 0 ? -1 : result;
    return result >= 0 || result == -ENOENT ? true : failed(err, "open", path, result);
}

bool file_make_direct(const folder_t *folder, const char *name, const void *block, int *fd, bool *direct, error_t *err)
{
    const int flags = O_RDWR | O_CREAT | O_TRUNC;
    char path[FILE_PATH_BYTES];
    folder_file(folder, name, path);
    int result = folder->io->open(folder->io->ctx, path, flags | O_DIRECT, FILE_MODE);
    if (result < 0 && result != -EINVAL)
        return failed(err, "open", path, result);
    *fd = result < 0 ? -1 : result;
    int64_t n = *fd < 0 ? -EINVAL : folder->io->pwrite(folder->io->ctx, *fd, block, SEGMENT_BLOCK_BYTES, 0);
    *direct = n > 0;
    if (n != -EINVAL)
        return n > 0 || failed(err, "write to", path, n);
    file_close(folder, fd);
    return file_open(folder, name, flags, fd, err);
}

void file_close(const folder_t *folder, int *fd)
{
    if (*fd >= 0)
        (void)folder->io->close(folder->io->ctx, *fd); /* all that matters was synced before */
    *fd = -1;
}

bool file_damaged(const folder_t *folder, const char *name, uint64_t offset, const char *why, flaw_t *flaw,
                  error_t *err)
{
    if (flaw)
        *flaw = (flaw_t){offset, why};
    return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT",
                     "%s/%s is damaged at offset %" PRIu64 ": %s; nothing was changed, see `mangactl journal verify`",
                     folder->path, name, offset, why);
}

bool file_size(const folder_t *folder, const char *name, int fd, uint64_t *bytes, error_t *err)
{
    char path[FILE_PATH_BYTES];
    int64_t result = folder->io->size(folder->io->ctx, fd);
    folder_file(folder, name, path);
    if (result < 0)
        return failed(err, "tell its size", path, result);
    *bytes = (uint64_t)result;
    return true;
}

bool file_read(const folder_t *folder, int fd, void *out, uint64_t bytes, uint64_t offset, error_t *err)
{
    uint8_t *to = out;
    while (bytes > 0) {
        int64_t n = folder->io->pread(folder->io->ctx, fd, to, bytes, offset);
        if (n <= 0)
            return failed(err, "read a segment", folder->path, n < 0 ? n : -EIO);
        to += n;
        offset += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return true;
}

bool file_write(const folder_t *folder, int fd, const void *data, uint64_t bytes, uint64_t offset, error_t *err)
{
    const uint8_t *from = data;
    while (bytes > 0) {
        int64_t n = folder->io->pwrite(folder->io->ctx, fd, from, bytes, offset);
        if (n <= 0)
            return failed(err, "write to a segment", folder->path, n < 0 ? n : -EIO);
        from += n;
        offset += (uint64_t)n;
        bytes -= (uint64_t)n;
    }
    return true;
}

bool file_sync(const folder_t *folder, int fd, error_t *err)
{
    int result = folder->io->datasync(folder->io->ctx, fd);
    return result < 0 ? failed(err, "sync a segment", folder->path, result) : true;
}

bool file_write_paced(const folder_t *folder, int fd, bytes_t data, uint64_t offset, uint64_t *unsynced, error_t *err)
{
    if (!file_write(folder, fd, data.data, data.len, offset, err))
        return false;
    *unsynced += data.len;
    if (*unsynced < PACE_BYTES)
        return true;
    *unsynced = 0;
    return file_sync(folder, fd, err);
}

bool file_rename(const folder_t *folder, const char *from, const char *to, error_t *err)
{
    char old_path[FILE_PATH_BYTES], new_path[FILE_PATH_BYTES];
    folder_file(folder, from, old_path);
    folder_file(folder, to, new_path);
    int result = folder->io->rename(folder->io->ctx, old_path, new_path);
    return result < 0 ? failed(err, "rename", old_path, result) : true;
}

bool file_remove(const folder_t *folder, const char *name, error_t *err)
{
    char path[FILE_PATH_BYTES];
    folder_file(folder, name, path);
    int result = folder->io->remove(folder->io->ctx, path);
    return result < 0 && result != -ENOENT ? failed(err, "remove", path, result) : true;
}

/* -- the window --------------------------------------------------------------------------------- */

static bool window_hold(window_t *window, size_t bytes, error_t *err)
{
    if (bytes <= window->cap)
        return true;
    uint8_t *data = realloc(window->data, bytes);
    if (!data)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to read the journal");
    window->data = data;
    window->cap = bytes;
    return true;
}

/* Piece by piece: what is covered is not even looked at in the file itself. */
static bool window_read(window_t *window, uint64_t offset, size_t bytes, error_t *err)
{
    uint64_t cover_end = window->cover_at + window->cover_bytes, end = offset + bytes;
    for (uint64_t at = offset; at < end;) {
        bool covered = at >= window->cover_at && at < cover_end;
        uint64_t stop = covered ? cover_end : at < window->cover_at ? window->cover_at : end;
        stop = stop < end ? stop : end;
        if (!file_read(window->folder, covered ? window->cover_fd : window->fd, window->data + (at - offset), stop - at,
                       covered ? window->cover_from + (at - window->cover_at) : at, err))
            return false;
        at = stop;
    }
    return true;
}

const uint8_t *window_view(window_t *window, uint64_t offset, size_t bytes, error_t *err)
{
    if (offset >= window->at && offset - window->at + bytes <= window->len)
        return window->data + (offset - window->at);
    if (offset > window->file_bytes || bytes > window->file_bytes - offset)
        return NULL;
    uint64_t left = window->file_bytes - offset;
    size_t want = bytes > WINDOW_BYTES ? bytes : WINDOW_BYTES;
    want = want < left ? want : (size_t)left;
    window->len = 0;
    if (!window_hold(window, want, err) || !window_read(window, offset, want, err))
        return NULL;
    window->at = offset;
    window->len = want;
    return window->data;
}

const uint8_t *window_need(window_t *window, const char *name, uint64_t offset, size_t bytes, flaw_t *flaw,
                           error_t *err)
{
    error_t why = {0};
    const uint8_t *data = window_view(window, offset, bytes, &why);
    if (data)
        return data;
    if (why.code == STATUS_OK)
        (void)file_damaged(window->folder, name, window->file_bytes, "the file ends before its content", flaw, err);
    else if (err)
        *err = why;
    return NULL;
}

void window_free(window_t *window)
{
    free(window->data);
    *window = (window_t){.fd = -1};
}
