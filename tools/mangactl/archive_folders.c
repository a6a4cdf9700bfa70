/* archive_folders.c: names of archives, and their files one after the other. */
#include "tools/mangactl/archive_folders.h"

#include <errno.h>
#include <stdlib.h>

#define LIST_FIRST 8
#define NAME_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-"

static int list_one(void *ctx, const char *name)
{
    archive_names_t *names = ctx;
    if (name[0] == '.' || name[strspn(name, NAME_BYTES)])
        return 0; /* no archive has such a name */
    if (names->count == names->cap) {
        size_t cap = names->cap ? names->cap * 2 : LIST_FIRST;
        char **grown = realloc(names->names, cap * sizeof(char *));
        if (!grown)
            return -ENOMEM;
        names->names = grown;
        names->cap = cap;
    }
    char *copy = strdup(name);
    if (!copy)
        return -ENOMEM;
    names->names[names->count++] = copy;
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

bool archive_names_read(archive_names_t *names, const folder_t *journal, error_t *err)
{
    char path[FILE_PATH_BYTES];
    *names = (archive_names_t){0};
    folder_file(journal, ARCHIVES_NAME, path);
    int result = journal->io->list_dir(journal->io->ctx, path, list_one, names);
    if (result < 0 && result != -ENOENT)
        return error_set(err, STATUS_INTERNAL, "JOURNAL_IO", "%s: cannot list the folder: %s", path,
                         strerrordesc_np(-result));
    if (names->count)
        qsort(names->names, names->count, sizeof(char *), by_name);
    return true;
}

void archive_names_free(archive_names_t *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    free(names->names);
    *names = (archive_names_t){0};
}

bool archive_names_have(const archive_names_t *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->names[i], name) == 0)
            return true;
    return false;
}

static bool give_file(const folder_t *folder, const archive_range_t *range, archive_file_fn each, void *ctx)
{
    char name[FILE_NAME_BYTES];
    flaw_t flaw = {0};
    error_t why = {0};
    archive_file_name(range->from, range->through, name);
    archive_t *archive = archive_open(folder, name, &flaw, &why);
    if (!archive && why.code == STATUS_NOT_FOUND)
        return true;
    bool goes_on = each(ctx, name, archive, &flaw, &why);
    archive_close(&archive);
    return goes_on;
}

bool archive_each_file(const folder_t *journal, const char *archive, archive_file_fn each, void *ctx, error_t *err)
{
    folder_t folder;
    archive_list_t list = {0};
    bool good = archive_folder(&folder, journal, bytes_cstr(archive), err) && archive_list(&list, &folder, err);
    for (size_t i = 0; good && i < list.count; i++)
        good = give_file(&folder, &list.files[i], each, ctx);
    archive_list_free(&list);
    return good;
}
