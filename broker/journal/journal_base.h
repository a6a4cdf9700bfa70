/* journal_base.h: what a folder's log begins on: the newest snapshot that holds, and the kept files that it names; for
 * who reads past damage (journal_survey, journal_repair). */
#ifndef BROKER_JOURNAL_JOURNAL_BASE_H
#define BROKER_JOURNAL_JOURNAL_BASE_H

#include "broker/journal/journal_listing.h"
#include "broker/journal/journal_snapfile.h"

/* A kept file that the snapshot names. */
typedef struct {
    kept_ref_t ref;
    char name[FILE_NAME_BYTES];
    int fd;       /* open, so that it can be read also when it was removed meanwhile; -1 for no file */
    kept_t *kept; /* NULL: its header or index does not hold */
    flaw_t flaw;
} base_file_t;

typedef struct {
    uint64_t number, bytes;
    flaw_t flaw;
} base_snapshot_t;

typedef struct {
    snapfile_header_t snapshot; /* zeros for none */
    base_file_t *files;         /* by sequence */
    size_t count;
    base_snapshot_t *damaged; /* newer ones, newest first */
    size_t damaged_count;
} base_t;

/* On failure *base is to be freed all the same. False when something cannot be read or a newer program wrote it. */
MUST_USE bool base_find(base_t *base, const folder_t *folder, const numbers_t *snapshots, error_t *err);
void base_free(base_t *base, const folder_t *folder);

#endif
