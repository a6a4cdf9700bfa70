/* archive_writer.h: writes one file of an archive, to the end, under another name; it is never changed after that.
 *
 * What is added comes in order of sequence. Everything may block on the disk. */
#ifndef BROKER_JOURNAL_ARCHIVE_WRITER_H
#define BROKER_JOURNAL_ARCHIVE_WRITER_H

#include "broker/journal/archive_format.h"

typedef struct {
    const folder_t *folder; /* the archive's; NULL: nothing is being written */
    int fd;
    archive_header_t header;
    buf_t index, ids; /* as they will be on disk; ids in the order in which they came */
    buf_t pending;    /* records not written yet */
    uint64_t at;      /* offset of pending */
    archive_block_t block;
    size_t block_bytes;
    uint64_t unsynced;
} archive_writer_t;

/* `from`: the first record of the log that was looked at for it. `folder` outlives it. */
MUST_USE bool archive_begin(archive_writer_t *writer, const folder_t *folder, uint64_t from, error_t *err);
/* A whole PUBLISH record, and the id of its event (empty: it cannot be found by id). */
MUST_USE bool archive_add(archive_writer_t *writer, bytes_t record, bytes_t event_id, error_t *err);
/* Brings it to the disk under its name, which is durable then: records up to `through` were looked at. With no record
 * at all there is no file. */
MUST_USE bool archive_end(archive_writer_t *writer, uint64_t through, error_t *err);
/* Gives up; the unfinished file is overwritten by the next. */
void archive_abandon(archive_writer_t *writer);

static inline bool archive_is_writing(const archive_writer_t *writer)
{
    return writer->folder != NULL;
}

/* Bytes that the file would have by now, but for its indexes. */
static inline uint64_t archive_written(const archive_writer_t *writer)
{
    return writer->at + writer->pending.len;
}

#endif
