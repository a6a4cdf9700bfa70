/* journal_sealed.c: batches of a sealed segment, one after the other. */
#include "broker/journal/journal_sealed.h"

#include <fcntl.h>
#include <inttypes.h>

static bool damaged(const sealed_t *s, uint64_t offset, error_t *err, const char *why)
{
    return file_damaged(s->folder, s->name, offset, why, NULL, err);
}

static const uint8_t *view(sealed_t *s, uint64_t offset, size_t bytes, error_t *err)
{
    return window_need(&s->window, s->name, offset, bytes, NULL, err);
}

bool sealed_open(sealed_t *s, const folder_t *folder, const sealed_segment_t *segment, error_t *err)
{
    segment_header_t found;
    *s = (sealed_t){.folder = folder,
                    .segment = *segment,
                    .window = {.folder = folder, .fd = -1},
                    .next_batch = SEGMENT_BLOCK_BYTES,
                    .next_seq = segment->header.first_seq};
    segment_name(segment->header.number, s->name);
    if (!file_open(folder, s->name, O_RDONLY, &s->window.fd, err) ||
        !file_size(folder, s->name, s->window.fd, &s->window.file_bytes, err))
        return false;
    const uint8_t *header = view(s, 0, SEGMENT_HEADER_BYTES, err);
    if (!header)
        return false;
    if (!segment_header_decode(header, &found, err))
        return error_prefix(err, "%s/%s", folder->path, s->name);
    if (found.generation != segment->header.generation || found.salt != segment->header.salt)
        return damaged(s, 0, err, "the header is not what it was");
    return true;
}

static bool next_batch(sealed_t *s, error_t *err)
{
    batch_header_t header;
    const segment_header_t *segment = &s->segment.header;
    const uint8_t *bytes = view(s, s->next_batch, BATCH_HEADER_BYTES, err);
    if (!bytes)
        return false;
    if (!batch_header_decode(bytes, segment->generation, segment->salt, &header) || header.first_seq != s->next_seq)
        return damaged(s, s->next_batch, err, "no good batch is there, and one had been synced");
    bytes = view(s, s->next_batch, header.length, err);
    if (!bytes)
        return false;
    if (!batch_records_hold(bytes, &header))
        return damaged(s, s->next_batch, err, "the records of a batch do not match its checksum");
    s->batch_at = s->next_batch;
    s->next_batch += batch_padded(header.length);
    s->at = s->batch_at + BATCH_HEADER_BYTES;
    s->batch = bytes + BATCH_HEADER_BYTES;
    s->left = header.length - BATCH_HEADER_BYTES;
    return true;
}

bool sealed_next(sealed_t *s, bytes_t *raw, uint64_t *offset, error_t *err)
{
    uint32_t length;
    uint64_t seq;
    int64_t ingest_us;
    *raw = BYTES_NONE;
    if (s->next_seq > s->segment.last_seq)
        return true;
    while (s->left == 0)
        if (!next_batch(s, err))
            return false;
    bytes_t rest = bytes_from(s->batch, s->left);
    if (!record_peek(rest, &length, &seq, &ingest_us) || length > rest.len || seq != s->next_seq)
        return damaged(s, s->at, err, "a record does not fit its batch");
    *raw = bytes_from(rest.data, length);
    *offset = s->at;
    s->at += length;
    s->batch += length;
    s->left -= length;
    s->next_seq++;
    return true;
}

void sealed_close(sealed_t *s)
{
    if (!s->folder)
        return;
    file_close(s->folder, &s->window.fd);
    window_free(&s->window);
    s->folder = NULL;
}
