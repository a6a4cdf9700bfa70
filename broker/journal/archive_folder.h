/* archive_folder.h: which files an archive has, and which of them have had their time.
 *
 * A file whose range lies within another's is a remain: the other was written to take its place, and a crash came
 * between. Readers leave it out; archive_tidy removes it. */
#ifndef BROKER_JOURNAL_ARCHIVE_FOLDER_H
#define BROKER_JOURNAL_ARCHIVE_FOLDER_H

#include "broker/journal/archive_format.h"

typedef struct {
    uint64_t from, through;
} archive_range_t;

typedef struct {
    archive_range_t *files; /* ascending; their ranges do not meet */
    size_t count, cap;
    archive_range_t *remains;
    size_t remain_count;
} archive_list_t;

/* The folder of one archive inside that of the journal. False when the path is too long. */
MUST_USE bool archive_folder(folder_t *out, const folder_t *journal, bytes_t archive, error_t *err);
/* Makes both folders (archive/ and the archive's own), durably. */
MUST_USE bool archive_folder_make(const folder_t *journal, const folder_t *archive, error_t *err);

/* An archive that has no folder yet has no files. On failure *list is to be freed all the same. */
MUST_USE bool archive_list(archive_list_t *list, const folder_t *archive, error_t *err);
void archive_list_free(archive_list_t *list);
/* Index of the first file with records from `seq` on, as far as names tell; list->count for none. */
size_t archive_list_from(const archive_list_t *list, uint64_t seq);

/* Removes remains. */
MUST_USE bool archive_tidy(const archive_list_t *list, const folder_t *archive, error_t *err);

typedef struct {
    int64_t cutoff_us;  /* files all of whose records are older go; INT64_MIN: none */
    uint64_t max_bytes; /* the oldest go until no more is left; UINT64_MAX: none */
} archive_retention_t;

/* The oldest first, each durably; *removed counts them. A file that cannot be read stays, whatever its age: nobody has
 * seen yet what is wrong with it. */
MUST_USE bool archive_expire(const archive_list_t *list, const folder_t *archive, const archive_retention_t *retention,
                             uint64_t *removed, error_t *err);

#endif
