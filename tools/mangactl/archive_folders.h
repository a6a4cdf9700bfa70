/* archive_folders.h: the archives beside a broker's journal, read from their files: a broker may be at work meanwhile.
 */
#ifndef MANGACTL_ARCHIVE_FOLDERS_H
#define MANGACTL_ARCHIVE_FOLDERS_H

#include "broker/journal/archive_folder.h"
#include "broker/journal/archive_reader.h"

typedef struct {
    char **names; /* sorted; owned */
    size_t count, cap;
} archive_names_t;

/* Those that have a folder; none is no error. To be freed in any case. */
MUST_USE bool archive_names_read(archive_names_t *names, const folder_t *journal, error_t *err);
void archive_names_free(archive_names_t *names);
MUST_USE bool archive_names_have(const archive_names_t *names, const char *name);

/* Calls `each` for every file of the archive, the oldest first: `archive` is NULL where it does not hold, and why says
 * what is wrong. Files that go meanwhile are left out. False when the folder cannot be read, or `each` said so. */
typedef bool (*archive_file_fn)(void *ctx, const char *name, archive_t *archive, const flaw_t *flaw,
                                const error_t *why);
MUST_USE bool archive_each_file(const folder_t *journal, const char *archive, archive_file_fn each, void *ctx,
                                error_t *err);

#endif
