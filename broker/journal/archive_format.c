/* archive_format.c: headers, index entries and names of archive files. */
#include "broker/journal/archive_format.h"

#include <inttypes.h>
#include <stdio.h>

#include "broker/journal/journal_bytes.h"

#define ARCHIVE_MAGIC "MANGAARC"
#define ARCHIVE_MAGIC_BYTES 8
#define ARCHIVE_CONTENT_AT 16
#define FNV_BASIS UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)
#define DIGITS 16

static uint32_t header_crc(const uint8_t *header)
{
    return crc32c(0, header + ARCHIVE_CONTENT_AT, ARCHIVE_HEADER_BYTES - ARCHIVE_CONTENT_AT);
}

void archive_header_encode(const archive_header_t *h, uint8_t *out)
{
    memset(out, 0, ARCHIVE_HEADER_BYTES);
    memcpy(out, ARCHIVE_MAGIC, ARCHIVE_MAGIC_BYTES);
    put32(out + 8, ARCHIVE_FORMAT);
    put64(out + 16, h->from);
    put64(out + 24, h->through);
    put64(out + 32, h->first);
    put64(out + 40, h->last);
    put64(out + 48, (uint64_t)h->first_us);
    put64(out + 56, (uint64_t)h->last_us);
    put64(out + 64, h->records);
    put64(out + 72, h->index_at);
    put64(out + 80, h->ids_at);
    put64(out + 88, h->bytes);
    put32(out + 96, h->index_crc);
    put32(out + 100, h->ids_crc);
    put32(out + 12, header_crc(out));
}

static void header_read(const uint8_t *in, archive_header_t *h)
{
    *h = (archive_header_t){.from = get64(in + 16),
                            .through = get64(in + 24),
                            .first = get64(in + 32),
                            .last = get64(in + 40),
                            .first_us = (int64_t)get64(in + 48),
                            .last_us = (int64_t)get64(in + 56),
                            .records = get64(in + 64),
                            .index_at = get64(in + 72),
                            .ids_at = get64(in + 80),
                            .bytes = get64(in + 88),
                            .index_crc = get32(in + 96),
                            .ids_crc = get32(in + 100)};
}

/* The checksum held: what is asked here keeps a reader inside the file whoever wrote it. */
static bool header_can_be(const archive_header_t *h, uint64_t file_bytes)
{
    bool in_order = h->from <= h->first && h->first <= h->last && h->last <= h->through && h->first_us <= h->last_us;
    bool inside = ARCHIVE_HEADER_BYTES < h->index_at && h->index_at < h->ids_at && h->ids_at < file_bytes;
    return in_order && inside && h->bytes == file_bytes && h->records > 0 &&
           (h->ids_at - h->index_at) % ARCHIVE_BLOCK_ENTRY_BYTES == 0 &&
           h->records == (file_bytes - h->ids_at) / ARCHIVE_ID_ENTRY_BYTES &&
           (file_bytes - h->ids_at) % ARCHIVE_ID_ENTRY_BYTES == 0;
}

const char *archive_header_decode(const uint8_t *in, uint64_t file_bytes, archive_header_t *out, uint32_t *format)
{
    *format = get32(in + 8);
    if (memcmp(in, ARCHIVE_MAGIC, ARCHIVE_MAGIC_BYTES) != 0)
        return "no header is there";
    if (*format > ARCHIVE_FORMAT)
        return "a newer program wrote it";
    header_read(in, out);
    if (*format != ARCHIVE_FORMAT || get32(in + 12) != header_crc(in) || !header_can_be(out, file_bytes))
        return "its header does not hold";
    return NULL;
}

void archive_block_encode(const archive_block_t *block, uint8_t *out)
{
    put64(out, block->seq);
    put64(out + 8, (uint64_t)block->ingest_us);
    put64(out + 16, block->offset);
    put64(out + 24, block->count);
}

void archive_block_decode(const uint8_t *in, archive_block_t *out)
{
    *out = (archive_block_t){get64(in), (int64_t)get64(in + 8), get64(in + 16), get64(in + 24)};
}

void archive_id_encode(const archive_id_t *id, uint8_t *out)
{
    put64(out, id->hash);
    put64(out + 8, id->offset);
}

void archive_id_decode(const uint8_t *in, archive_id_t *out)
{
    *out = (archive_id_t){get64(in), get64(in + 8)};
}

uint64_t archive_id_hash(bytes_t event_id)
{
    uint64_t hash = FNV_BASIS;
    for (size_t i = 0; i < event_id.len; i++)
        hash = (hash ^ event_id.data[i]) * FNV_PRIME;
    return hash;
}

/* -- names --------------------------------------------------------------------------------------- */
void archive_file_name(uint64_t from, uint64_t through, char out[FILE_NAME_BYTES])
{
    (void)snprintf(out, FILE_NAME_BYTES, "%016" PRIu64 "-%016" PRIu64 ".archive", from, through);
}

static bool digits_read(const char *text, uint64_t *number)
{
    *number = 0;
    for (int i = 0; i < DIGITS; i++) {
        if (text[i] < '0' || text[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(text[i] - '0');
    }
    return true;
}

bool archive_file_name_parse(const char *name, uint64_t *from, uint64_t *through)
{
    return strlen(name) == 2 * DIGITS + strlen("-.archive") && digits_read(name, from) && name[DIGITS] == '-' &&
           digits_read(name + DIGITS + 1, through) && strcmp(name + 2 * DIGITS + 1, ".archive") == 0 &&
           *from <= *through;
}
