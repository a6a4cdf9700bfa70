/* archive_folder.c: names of an archive's files, and their end. */
#include "broker/journal/archive_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/journal/archive_reader.h"

#define LIST_FIRST 16

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to list an archive");
}

bool archive_folder(folder_t *out, const folder_t *journal, bytes_t archive, error_t *err)
{
    char path[FOLDER_PATH_BYTES + ARCHIVE_NAME_MAX_BYTES + sizeof ARCHIVES_NAME + 2];
    (void)snprintf(path, sizeof path, "%s/%s/%.*s", journal->path, ARCHIVES_NAME, BYTES_FMT(archive));
    return folder_init(out, path, journal->io, err);
}

bool archive_folder_make(const folder_t *journal, const folder_t *archive, error_t *err)
{
    folder_t all;
    char path[FILE_PATH_BYTES];
    folder_file(journal, ARCHIVES_NAME, path);
    return folder_init(&all, path, journal->io, err) && folder_make(&all, err) && folder_make(archive, err);
}

/* -- listing ------------------------------------------------------------------------------------- */
static int list_one(void *ctx, const char *name)
{
    archive_list_t *list = ctx;
    archive_range_t range;
    if (!archive_file_name_parse(name, &range.from, &range.through))
        return 0;
    if (list->count == list->cap) {
        size_t cap = list->cap ? list->cap * 2 : LIST_FIRST;
        archive_range_t *files = realloc(list->files, cap * sizeof *files);
        if (!files)
            return -ENOMEM;
        list->files = files;
        list->cap = cap;
    }
    list->files[list->count++] = range;
    return 0;
}

/* By begin; of those with the same one the longest first, so that what it replaces follows it. */
static int range_order(const void *a, const void *b)
{
    const archive_range_t *x = a, *y = b;
    if (x->from != y->from)
        return x->from < y->from ? -1 : 1;
    return (x->through < y->through) - (x->through > y->through);
}

static bool part_remains(archive_list_t *list, error_t *err)
{
    size_t kept = 0;
    uint64_t end = 0;
    list->remains = malloc((list->count + 1) * sizeof *list->remains);
    if (!list->remains)
        return no_memory(err);
    for (size_t i = 0; i < list->count; i++) {
        if (list->files[i].through <= end)
            list->remains[list->remain_count++] = list->files[i];
        else
            list->files[kept++] = list->files[i];
        end = list->files[i].through > end ? list->files[i].through : end;
    }
    list->count = kept;
    return true;
}

bool archive_list(archive_list_t *list, const folder_t *archive, error_t *err)
{
    *list = (archive_list_t){0};
    int result = archive->io->list_dir(archive->io->ctx, archive->path, list_one, list);
    if (result == -ENOMEM)
        return no_memory(err);
    if (result < 0 && result != -ENOENT)
        return error_set(err, STATUS_INTERNAL, "JOURNAL_IO", "%s: cannot list the folder: %s", archive->path,
                         strerrordesc_np(-result));
    if (list->count)
        qsort(list->files, list->count, sizeof *list->files, range_order);
    return part_remains(list, err);
}

void archive_list_free(archive_list_t *list)
{
    free(list->files);
    free(list->remains);
    *list = (archive_list_t){0};
}

size_t archive_list_from(const archive_list_t *list, uint64_t seq)
{
    size_t low = 0, high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (list->files[middle].through < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* -- the end of files ---------------------------------------------------------------------------- */
static bool remove_file(const folder_t *archive, const archive_range_t *range, error_t *err)
{
    char name[FILE_NAME_BYTES];
    archive_file_name(range->from, range->through, name);
    return file_remove(archive, name, err);
}

bool archive_tidy(const archive_list_t *list, const folder_t *archive, error_t *err)
{
    for (size_t i = 0; i < list->remain_count; i++)
        if (!remove_file(archive, &list->remains[i], err))
            return false;
    return list->remain_count == 0 || folder_sync(archive, err);
}

static bool size_of(const folder_t *archive, const archive_range_t *range, uint64_t *bytes, error_t *err)
{
    char name[FILE_NAME_BYTES];
    int fd = -1;
    archive_file_name(range->from, range->through, name);
    *bytes = 0;
    if (!file_open_if_there(archive, name, O_RDONLY, &fd, err))
        return false;
    if (fd < 0)
        return true;
    bool good = file_size(archive, name, fd, bytes, err);
    file_close(archive, &fd);
    return good;
}

static bool all_bytes(const archive_list_t *list, const folder_t *archive, uint64_t *bytes, error_t *err)
{
    uint64_t one;
    *bytes = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!size_of(archive, &list->files[i], &one, err))
            return false;
        *bytes += one;
    }
    return true;
}

bool archive_expire(const archive_list_t *list, const folder_t *archive, const archive_retention_t *retention,
                    uint64_t *removed, error_t *err)
{
    char name[FILE_NAME_BYTES];
    uint64_t left = 0;
    *removed = 0;
    if (retention->max_bytes != UINT64_MAX && !all_bytes(list, archive, &left, err))
        return false;
    for (size_t i = 0; i < list->count; i++) {
        archive_header_t header;
        error_t why;
        archive_file_name(list->files[i].from, list->files[i].through, name);
        if (!archive_peek(archive, name, &header, &why))
            continue;
        if (header.last_us >= retention->cutoff_us && left <= retention->max_bytes)
            break;
        if (!remove_file(archive, &list->files[i], err))
            return false;
        left -= left < header.bytes ? left : header.bytes;
        ++*removed;
    }
    return *removed == 0 || folder_sync(archive, err);
}
