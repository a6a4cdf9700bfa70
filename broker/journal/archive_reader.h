/* archive_reader.h: reads one file of an archive: from a record on, from a moment on, or by event id.
 *
 * A file that does not hold is refused by name and offset (DATA_LOSS, ARCHIVE_CORRUPT), never read past. Blocks on the
 * disk. A file that was opened stays readable when its name goes. */
#ifndef BROKER_JOURNAL_ARCHIVE_READER_H
#define BROKER_JOURNAL_ARCHIVE_READER_H

#include "broker/journal/archive_format.h"

typedef struct {
    folder_t folder;
    char name[FILE_NAME_BYTES];
    archive_header_t header;
    archive_block_t *blocks;
    size_t count;
    buf_t ids;
    bool has_ids;
    int fd;
    buf_t block;    /* the one that was read last */
    size_t held;    /* which; SIZE_MAX: none */
    size_t at;      /* in it: offset behind the record that was found last */
    uint64_t found; /* its sequence */
    flaw_t flaw;    /* what was found wrong last */
} archive_t;

/* Reads the header alone, which must fit the name. */
MUST_USE bool archive_peek(const folder_t *folder, const char *name, archive_header_t *out, error_t *err);

/* Reads header and index. NULL with NOT_FOUND when there is no such file (retention took it), with DATA_LOSS and the
 * offset (also in *flaw, unless that is NULL), with FAILED_PRECONDITION when a newer program wrote it. */
MUST_USE archive_t *archive_open(const folder_t *folder, const char *name, flaw_t *flaw, error_t *err);
void archive_close(archive_t **archive);

/* The first record whose sequence is not below `seq`, checked; an empty slice behind the last. It lives until the next
 * call. One after the other costs one read for each block. */
MUST_USE bool archive_seek(archive_t *archive, uint64_t seq, bytes_t *raw, error_t *err);
/* Sequence from which on nothing is older than `us`: of a block, so a few older ones may follow. */
uint64_t archive_seq_at(const archive_t *archive, int64_t us);
/* The nth record (0, 1, …) whose event may have this id: several may, and the caller looks. An empty slice when there
 * are no more. */
MUST_USE bool archive_find(archive_t *archive, bytes_t event_id, size_t nth, bytes_t *raw, error_t *err);

/* Reads all of it: every record, both indexes against them. */
MUST_USE bool archive_verify(archive_t *archive, error_t *err);

#endif
