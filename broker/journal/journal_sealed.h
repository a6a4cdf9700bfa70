/* journal_sealed.h: reads a sealed segment (one that another follows) from end to end, record by record.
 *
 * Every checksum is held. Since all of it is known to be on disk, anything missing is damage: no tail is looked for.
 * Uses a descriptor of its own, so it may work beside the journal's owner and writer. */
#ifndef BROKER_JOURNAL_JOURNAL_SEALED_H
#define BROKER_JOURNAL_JOURNAL_SEALED_H

#include "broker/journal/journal_file.h"

/* What of a segment must be known to read it. */
typedef struct {
    segment_header_t header;
    uint64_t last_seq; /* of its newest record, as the next segment's header says; first_seq - 1 for none */
} sealed_segment_t;

typedef struct {
    const folder_t *folder;
    sealed_segment_t segment;
    window_t window;
    char name[FILE_NAME_BYTES];
    uint64_t batch_at;   /* of the batch being read */
    uint64_t next_batch; /* offset of the one behind it */
    uint64_t at;         /* of the next record, in the file */
    uint64_t next_seq;
    const uint8_t *batch; /* where the batch being read is in memory; NULL between batches */
    size_t left;          /* bytes of it not read yet */
} sealed_t;

/* Opens it, and checks that its header is the one known. */
MUST_USE bool sealed_open(sealed_t *sealed, const folder_t *folder, const sealed_segment_t *segment, error_t *err);
/* The next record and its place in the file; an empty *raw behind the last. The slice lives until the next call. */
MUST_USE bool sealed_next(sealed_t *sealed, bytes_t *raw, uint64_t *offset, error_t *err);
void sealed_close(sealed_t *sealed);

#endif
