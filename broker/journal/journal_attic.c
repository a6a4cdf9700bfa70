/* journal_attic.c: second names for files, in folders of their own. */
#include "broker/journal/journal_attic.h"

#include <errno.h>
#include <stdio.h>

#define ATTICS_MAX 10000

static bool io_failed(error_t *err, const char *what, const char *path, int result)
{
    return error_set(err, STATUS_INTERNAL, "JOURNAL_IO", "%s: cannot %s: %s", path, what, strerrordesc_np(-result));
}

/* A folder of its own for each repair: what is kept is never written over. */
bool attic_make(const folder_t *folder, char attic[FILE_PATH_BYTES], error_t *err)
{
    const journal_io_t *io = folder->io;
    char all[FILE_PATH_BYTES];
    folder_file(folder, ATTIC_NAME, all);
    int result = io->make_dir(io->ctx, all, 0700);
    if (result < 0 && result != -EEXIST)
        return io_failed(err, "make the folder", all, result);
    result = -EEXIST;
    for (int n = 1; n <= ATTICS_MAX && result == -EEXIST; n++) {
        (void)snprintf(attic, FILE_PATH_BYTES, "%.1000s/%d", all, n);
        result = io->make_dir(io->ctx, attic, 0700);
    }
    if (result < 0)
        return io_failed(err, "make the folder", attic, result);
    result = io->sync_dir(io->ctx, all);
    return result < 0 ? io_failed(err, "sync the folder", all, result) : folder_sync(folder, err);
}

bool attic_keep(const folder_t *folder, const char *attic, const char *name, error_t *err)
{
    const journal_io_t *io = folder->io;
    char from[FILE_PATH_BYTES], to[FILE_PATH_BYTES + FILE_NAME_BYTES];
    folder_file(folder, name, from);
    (void)snprintf(to, sizeof to, "%s/%s", attic, name);
    int result = io->link(io->ctx, from, to);
    if (result < 0 && result != -ENOENT)
        return io_failed(err, "keep it in the attic", from, result);
    result = io->sync_dir(io->ctx, attic);
    return result < 0 ? io_failed(err, "sync the folder", attic, result) : true;
}

bool attic_move(const folder_t *folder, const char *attic, const char *name, error_t *err)
{
    return attic_keep(folder, attic, name, err) && file_remove(folder, name, err) && folder_sync(folder, err);
}
