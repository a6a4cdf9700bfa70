/* journal_rebase.h: the part of a repair that is about snapshots and kept files.
 *
 * A damaged snapshot is set aside, so that the one before it, or the log from its first record on, takes its place. A
 * damaged kept file is written anew, with a note where records are lost (journal_kept_note.h), and belongs to a
 * snapshot of a higher number that is a copy of the one in effect. Nothing goes away but to the attic. Doing it again
 * goes on. */
#ifndef BROKER_JOURNAL_JOURNAL_REBASE_H
#define BROKER_JOURNAL_JOURNAL_REBASE_H

#include "broker/journal/journal_base.h"

MUST_USE bool rebase(const folder_t *folder, const char *attic, error_t *err);

/* Sets aside segments before that of this number: remains of a checkpoint. */
MUST_USE bool rebase_remains(const folder_t *folder, const char *attic, uint64_t first, error_t *err);

#endif
