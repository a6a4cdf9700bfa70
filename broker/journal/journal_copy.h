/* journal_copy.h: the file that holds what a start is writing anew, so that at no moment there is only one of it.
 *
 * A start writes the newest batches once more in place (journal_recover.h says why). Power that fails just then may
 * leave rubbish where good batches were, so they are copied to this file and synced before, and whoever reads the
 * segment next takes them from here. The file has its size from the first start on, so that a full disk does not
 * keep a broker from starting. It tells by its checksums whether it holds something; a copy that is not needed any
 * more is equal to what the segment holds, and is cleared. Every function may block on the disk. */
#ifndef BROKER_JOURNAL_JOURNAL_COPY_H
#define BROKER_JOURNAL_JOURNAL_COPY_H

#include "broker/journal/journal_segment.h"

#define COPY_CONTENT_AT SEGMENT_BLOCK_BYTES
#define COPY_CONTENT_BYTES ((uint64_t)8 << 20) /* prepared; at least one batch, whatever its size */

typedef struct {
    int fd; /* -1: there is no copy */
    copy_header_t header;
} copy_t;

/* Finds a whole copy; none is no error. */
MUST_USE bool copy_find(copy_t *copy, const folder_t *folder, error_t *err);
void copy_close(copy_t *copy, const folder_t *folder);
/* Lets the window on this segment see what the copy has of it. */
void copy_cover(const copy_t *copy, const segment_header_t *segment, window_t *window);
/* Writes what was found to where it belongs, and syncs it. Does nothing when there is no copy. */
MUST_USE bool copy_restore(const copy_t *copy, const folder_t *folder, error_t *err);

/* Makes the file, of the size that segments of this size need, unless it is there. A disk without room for it is no
 * error yet. */
MUST_USE bool copy_prepare(const folder_t *folder, uint64_t segment_bytes, error_t *err);
/* Batches of an open segment, from offset `at` to `end`, written once more in place: in pieces, each copied first. */
MUST_USE bool copy_rewrite(const folder_t *folder, const segment_t *segment, uint64_t at, uint64_t end, error_t *err);
/* Makes the file hold nothing. */
MUST_USE bool copy_clear(const folder_t *folder, error_t *err);

#endif
