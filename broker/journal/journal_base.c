/* journal_base.c: snapshots from the newest on, to the first that holds. */
#include "broker/journal/journal_base.h"

#include <fcntl.h>
#include <stdlib.h>

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to read the journal's snapshots");
}

static bool open_file(base_file_t *file, const folder_t *folder, error_t *err)
{
    error_t why = {0};
    kept_name(file->ref.made, file->ref.first, file->name);
    if (!file_open_if_there(folder, file->name, O_RDONLY, &file->fd, err))
        return false;
    if (file->fd < 0) {
        file->flaw = (flaw_t){0, "the file is missing"};
        return true;
    }
    file->kept = kept_open(folder, &file->ref, &file->flaw, &why);
    if (file->kept || why.code == STATUS_DATA_LOSS)
        return true;
    *err = why;
    return false;
}

static bool open_files(base_t *base, const folder_t *folder, const snapfile_reader_t *reader, error_t *err)
{
    base->files = calloc(reader->kept_count + 1, sizeof *base->files);
    if (!base->files)
        return no_memory(err);
    for (size_t i = 0; i < reader->kept_count; i++) {
        base_file_t *file = &base->files[base->count++];
        *file = (base_file_t){.ref = reader->kept[i], .fd = -1};
        if (!open_file(file, folder, err))
            return false;
    }
    return true;
}

/* *holds is false, and no error, when it is damaged. */
static bool try_snapshot(base_t *base, const folder_t *folder, uint64_t number, bool *holds, error_t *err)
{
    snapfile_reader_t reader;
    bytes_t items;
    error_t why = {0};
    bool good = snapfile_open(&reader, folder, number, &why);
    do
        good = good && snapfile_next(&reader, &items, &why);
    while (good && items.len);
    *holds = good;
    if (good) {
        base->snapshot = reader.header;
        good = open_files(base, folder, &reader, err);
    } else if (why.code == STATUS_DATA_LOSS) {
        base->damaged[base->damaged_count++] = (base_snapshot_t){number, reader.window.file_bytes, reader.flaw};
        good = true;
    } else
        *err = why;
    snapfile_close(&reader);
    return good;
}

bool base_find(base_t *base, const folder_t *folder, const numbers_t *snapshots, error_t *err)
{
    bool holds = false;
    *base = (base_t){.damaged = calloc(snapshots->count + 1, sizeof *base->damaged)};
    if (!base->damaged)
        return no_memory(err);
    for (size_t i = snapshots->count; i-- > 0 && !holds;)
        if (!try_snapshot(base, folder, snapshots->items[i], &holds, err))
            return false;
    return true;
}

void base_free(base_t *base, const folder_t *folder)
{
    for (size_t i = 0; i < base->count; i++) {
        file_close(folder, &base->files[i].fd);
        if (base->files[i].kept)
            kept_free(base->files[i].kept, folder);
    }
    free(base->files);
    free(base->damaged);
    *base = (base_t){0};
}
