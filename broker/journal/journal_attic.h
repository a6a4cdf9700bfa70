/* journal_attic.h: where a repair keeps files as they were: DIR/attic/N, N counting repairs. */
#ifndef BROKER_JOURNAL_JOURNAL_ATTIC_H
#define BROKER_JOURNAL_JOURNAL_ATTIC_H

#include "broker/journal/journal_file.h"

#define ATTIC_NAME "attic"

/* Makes the next one, durably; its path goes to `attic`. */
MUST_USE bool attic_make(const folder_t *folder, char attic[FILE_PATH_BYTES], error_t *err);
/* Gives a file of the folder a second name in it, durably; does nothing when there is no such file. */
MUST_USE bool attic_keep(const folder_t *folder, const char *attic, const char *name, error_t *err);
/* The same, and takes the name in the folder away. */
MUST_USE bool attic_move(const folder_t *folder, const char *attic, const char *name, error_t *err);

#endif
