/* archive_writer.c: records into an archive's file, and the indexes behind them. */
#include "broker/journal/archive_writer.h"

#include <fcntl.h>
#include <stdlib.h>

#define WRITE_BYTES ((size_t)256 << 10)

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to write an archive");
}

bool archive_begin(archive_writer_t *w, const folder_t *folder, uint64_t from, error_t *err)
{
    *w = (archive_writer_t){.fd = -1, .header = {.from = from}, .at = ARCHIVE_HEADER_BYTES};
    if (!file_open(folder, ARCHIVE_FILLING_NAME, O_RDWR | O_CREAT | O_TRUNC, &w->fd, err))
        return false;
    w->folder = folder;
    return true;
}

static bool write_pending(archive_writer_t *w, error_t *err)
{
    if (!file_write_paced(w->folder, w->fd, buf_bytes(&w->pending), w->at, &w->unsynced, err))
        return false;
    w->at += w->pending.len;
    buf_clear(&w->pending);
    return true;
}

static void close_block(archive_writer_t *w)
{
    uint8_t entry[ARCHIVE_BLOCK_ENTRY_BYTES];
    if (!w->block.count)
        return;
    archive_block_encode(&w->block, entry);
    buf_append(&w->index, entry, sizeof entry);
    w->block.count = 0;
    w->block_bytes = 0;
}

static void count_record(archive_writer_t *w, uint64_t seq, int64_t ingest_us, size_t bytes)
{
    archive_header_t *h = &w->header;
    if (w->block_bytes && w->block_bytes + bytes > ARCHIVE_BLOCK_BYTES)
        close_block(w);
    if (!w->block.count)
        w->block = (archive_block_t){.seq = seq, .ingest_us = ingest_us, .offset = archive_written(w)};
    w->block.count++;
    w->block_bytes += bytes;
    h->first = h->records ? h->first : seq;
    h->first_us = h->records ? h->first_us : ingest_us;
    h->last = seq;
    h->last_us = ingest_us;
    h->records++;
}

bool archive_add(archive_writer_t *w, bytes_t record, bytes_t event_id, error_t *err)
{
    uint8_t entry[ARCHIVE_ID_ENTRY_BYTES];
    uint32_t length;
    uint64_t seq;
    int64_t ingest_us;
    if (!record_peek(record, &length, &seq, &ingest_us))
        abort(); /* the caller has read it */
    archive_id_encode(&(archive_id_t){archive_id_hash(event_id), archive_written(w)}, entry);
    buf_append(&w->ids, entry, sizeof entry);
    count_record(w, seq, ingest_us, record.len);
    buf_append_bytes(&w->pending, record);
    if (w->pending.failed || w->index.failed || w->ids.failed)
        return no_memory(err);
    return w->pending.len < WRITE_BYTES || write_pending(w, err);
}

static int id_order(const void *a, const void *b)
{
    archive_id_t x, y;
    archive_id_decode(a, &x);
    archive_id_decode(b, &y);
    if (x.hash != y.hash)
        return x.hash < y.hash ? -1 : 1;
    return (x.offset > y.offset) - (x.offset < y.offset);
}

static bool write_end(archive_writer_t *w, error_t *err)
{
    uint8_t header[ARCHIVE_HEADER_BYTES];
    archive_header_t *h = &w->header;
    close_block(w);
    qsort(w->ids.data, h->records, ARCHIVE_ID_ENTRY_BYTES, id_order);
    h->index_at = archive_written(w);
    h->ids_at = h->index_at + w->index.len;
    h->bytes = h->ids_at + w->ids.len;
    h->index_crc = crc32c(0, w->index.data, w->index.len);
    h->ids_crc = crc32c(0, w->ids.data, w->ids.len);
    buf_append_bytes(&w->pending, buf_bytes(&w->index));
    buf_append_bytes(&w->pending, buf_bytes(&w->ids));
    if (w->pending.failed || w->index.failed || w->ids.failed)
        return no_memory(err);
    archive_header_encode(h, header);
    return write_pending(w, err) && file_write(w->folder, w->fd, header, sizeof header, 0, err) &&
           file_sync(w->folder, w->fd, err);
}

bool archive_end(archive_writer_t *w, uint64_t through, error_t *err)
{
    char name[FILE_NAME_BYTES];
    bool good = true;
    w->header.through = through;
    if (w->header.records) {
        good = write_end(w, err);
        archive_file_name(w->header.from, through, name);
        file_close(w->folder, &w->fd);
        good = good && file_rename(w->folder, ARCHIVE_FILLING_NAME, name, err) && folder_sync(w->folder, err);
    }
    archive_abandon(w);
    return good;
}

void archive_abandon(archive_writer_t *w)
{
    if (!w->folder)
        return;
    file_close(w->folder, &w->fd);
    buf_free(&w->index);
    buf_free(&w->ids);
    buf_free(&w->pending);
    w->folder = NULL;
}
