/* archive_reader.c: finding records in an archive's file. */
#include "broker/journal/archive_reader.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/msgpack.h"

#define NONE SIZE_MAX

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to read an archive");
}

static bool damaged(archive_t *a, uint64_t offset, const char *why, error_t *err)
{
    a->flaw = (flaw_t){offset, why};
    return error_set(err, STATUS_DATA_LOSS, "ARCHIVE_CORRUPT",
                     "%s/%s is damaged at offset %" PRIu64 ": %s; `mangactl journal verify` reads all of it",
                     a->folder.path, a->name, offset, why);
}

/* -- opening ------------------------------------------------------------------------------------- */
static bool open_file(archive_t *a, uint64_t *bytes, error_t *err)
{
    if (!file_open_if_there(&a->folder, a->name, O_RDONLY, &a->fd, err))
        return false;
    if (a->fd < 0)
        return error_set(err, STATUS_NOT_FOUND, NULL, "%s/%s is not there any more", a->folder.path, a->name);
    return file_size(&a->folder, a->name, a->fd, bytes, err);
}

static bool read_header(archive_t *a, error_t *err)
{
    uint8_t header[ARCHIVE_HEADER_BYTES];
    uint64_t bytes, from, through;
    uint32_t format = 0;
    if (!open_file(a, &bytes, err))
        return false;
    if (bytes < sizeof header)
        return damaged(a, bytes, "the file ends before its content", err);
    if (!file_read(&a->folder, a->fd, header, sizeof header, 0, err))
        return false;
    const char *why = archive_header_decode(header, bytes, &a->header, &format);
    if (why && format > ARCHIVE_FORMAT && memcmp(header, "MANGAARC", 8) == 0)
        return error_set(err, STATUS_FAILED_PRECONDITION, "ARCHIVE_TOO_NEW",
                         "%s/%s: its format is %" PRIu32 ", this program reads up to %d: use a newer one",
                         a->folder.path, a->name, format, ARCHIVE_FORMAT);
    if (why)
        return damaged(a, 0, why, err);
    if (!archive_file_name_parse(a->name, &from, &through) || from != a->header.from || through != a->header.through)
        return damaged(a, 0, "its header is another file's", err);
    return true;
}

/* Blocks must follow one another inside the records, or a reader would be led astray. */
static bool take_blocks(archive_t *a, const uint8_t *index, error_t *err)
{
    uint64_t records = 0;
    for (size_t i = 0; i < a->count; i++) {
        archive_block_t *block = &a->blocks[i];
        archive_block_decode(index + i * ARCHIVE_BLOCK_ENTRY_BYTES, block);
        const archive_block_t *before = i ? block - 1 : NULL;
        bool follows =
            before ? block->seq > before->seq && block->offset > before->offset && block->ingest_us >= before->ingest_us
                   : block->seq == a->header.first && block->offset == ARCHIVE_HEADER_BYTES;
        if (!follows || block->offset >= a->header.index_at || block->count == 0)
            return damaged(a, a->header.index_at + i * ARCHIVE_BLOCK_ENTRY_BYTES, "its index cannot be", err);
        records += block->count;
    }
    return records == a->header.records || damaged(a, a->header.index_at, "its index lacks records", err);
}

static bool read_part(archive_t *a, buf_t *out, uint64_t at, uint64_t end, uint32_t crc, error_t *err)
{
    size_t bytes = (size_t)(end - at);
    buf_clear(out);
    if (!buf_reserve(out, bytes))
        return no_memory(err);
    if (!file_read(&a->folder, a->fd, out->data, bytes, at, err))
        return false;
    out->len = bytes;
    return crc32c(0, out->data, bytes) == crc || damaged(a, at, "an index does not match its checksum", err);
}

static bool read_blocks(archive_t *a, error_t *err)
{
    buf_t index = {0};
    a->count = (size_t)((a->header.ids_at - a->header.index_at) / ARCHIVE_BLOCK_ENTRY_BYTES);
    a->blocks = calloc(a->count, sizeof *a->blocks);
    bool good = a->blocks || no_memory(err);
    good = good && read_part(a, &index, a->header.index_at, a->header.ids_at, a->header.index_crc, err) &&
           take_blocks(a, index.data, err);
    buf_free(&index);
    return good;
}

static void init(archive_t *a, const folder_t *folder, const char *name)
{
    *a = (archive_t){.folder = *folder, .fd = -1, .held = NONE};
    (void)snprintf(a->name, sizeof a->name, "%s", name);
}

bool archive_peek(const folder_t *folder, const char *name, archive_header_t *out, error_t *err)
{
    archive_t a;
    init(&a, folder, name);
    bool good = read_header(&a, err);
    *out = a.header;
    file_close(folder, &a.fd);
    return good;
}

archive_t *archive_open(const folder_t *folder, const char *name, flaw_t *flaw, error_t *err)
{
    archive_t *a = malloc(sizeof *a);
    if (!a) {
        (void)no_memory(err);
        return NULL;
    }
    init(a, folder, name);
    if (read_header(a, err) && read_blocks(a, err))
        return a;
    if (flaw)
        *flaw = a->flaw;
    archive_close(&a);
    return NULL;
}

void archive_close(archive_t **archive)
{
    archive_t *a = *archive;
    *archive = NULL;
    if (!a)
        return;
    file_close(&a->folder, &a->fd);
    free(a->blocks);
    buf_free(&a->ids);
    buf_free(&a->block);
    free(a);
}

/* -- by sequence --------------------------------------------------------------------------------- */
static uint64_t block_end(const archive_t *a, size_t i)
{
    return i + 1 < a->count ? a->blocks[i + 1].offset : a->header.index_at;
}

static bool hold(archive_t *a, size_t i, error_t *err)
{
    if (a->held == i)
        return true;
    size_t bytes = (size_t)(block_end(a, i) - a->blocks[i].offset);
    a->held = NONE;
    a->at = 0;
    buf_clear(&a->block);
    if (!buf_reserve(&a->block, bytes))
        return no_memory(err);
    if (!file_read(&a->folder, a->fd, a->block.data, bytes, a->blocks[i].offset, err))
        return false;
    a->block.len = bytes;
    a->held = i;
    return true;
}

/* Last block whose first record is not behind `seq`. */
static size_t block_of(const archive_t *a, uint64_t seq)
{
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->blocks[middle].seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : 0;
}

/* The record at `at` of the held block. */
static bool record_in_block(archive_t *a, size_t at, bytes_t *raw, uint64_t *seq, error_t *err)
{
    uint32_t length;
    int64_t ingest_us;
    error_t why;
    bytes_t left = bytes_from(a->block.data + at, a->block.len - at);
    uint64_t offset = a->blocks[a->held].offset + at;
    if (!record_peek(left, &length, seq, &ingest_us) || length > left.len)
        return damaged(a, offset, "no whole record is there", err);
    *raw = bytes_from(left.data, length);
    return record_verify(*raw, &why) || damaged(a, offset, "a record does not match its checksum", err);
}

/* In the held block, from where the last one ended if that is before `seq`; empty when all of it is. */
static bool seek_in_block(archive_t *a, uint64_t seq, bytes_t *raw, error_t *err)
{
    for (size_t at = a->at; at < a->block.len; at = a->at) {
        if (!record_in_block(a, at, raw, &a->found, err))
            return false;
        a->at = at + raw->len;
        if (a->found >= seq)
            return true;
    }
    *raw = BYTES_NONE;
    return true;
}

/* True when the record found last in the held block is before `seq`, so that there is no need to begin anew. */
static bool goes_on(const archive_t *a, size_t block, uint64_t seq)
{
    return a->held == block && a->at > 0 && a->found < seq;
}

bool archive_seek(archive_t *a, uint64_t seq, bytes_t *raw, error_t *err)
{
    *raw = BYTES_NONE;
    if (seq > a->header.last)
        return true;
    for (size_t i = block_of(a, seq); i < a->count && !raw->len; i++) {
        bool begins_anew = !goes_on(a, i, seq);
        if (!hold(a, i, err))
            return false;
        if (begins_anew)
            a->at = 0;
        if (!seek_in_block(a, seq, raw, err))
            return false;
    }
    return true;
}

uint64_t archive_seq_at(const archive_t *a, int64_t us)
{
    size_t low = 0, high = a->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (a->blocks[middle].ingest_us < us)
            low = middle + 1;
        else
            high = middle;
    }
    return a->blocks[low ? low - 1 : 0].seq;
}

/* -- by event id --------------------------------------------------------------------------------- */
static bool need_ids(archive_t *a, error_t *err)
{
    if (!a->has_ids && !read_part(a, &a->ids, a->header.ids_at, a->header.bytes, a->header.ids_crc, err))
        return false;
    a->has_ids = true;
    return true;
}

static archive_id_t id_at(const archive_t *a, size_t i)
{
    archive_id_t id;
    archive_id_decode(a->ids.data + i * ARCHIVE_ID_ENTRY_BYTES, &id);
    return id;
}

/* First entry that is not below (hash, offset). */
static size_t first_id(const archive_t *a, uint64_t hash, uint64_t offset)
{
    size_t low = 0, high = (size_t)a->header.records;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        archive_id_t id = id_at(a, middle);
        if (id.hash < hash || (id.hash == hash && id.offset < offset))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool record_at(archive_t *a, uint64_t offset, bytes_t *raw, error_t *err)
{
    size_t low = 0, high = a->count;
    uint64_t seq;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (a->blocks[middle].offset <= offset)
            low = middle;
        else
            high = middle;
    }
    if (offset < a->blocks[low].offset || offset >= block_end(a, low))
        return damaged(a, a->header.ids_at, "the index by event id leads out of the records", err);
    return hold(a, low, err) && record_in_block(a, (size_t)(offset - a->blocks[low].offset), raw, &seq, err);
}

bool archive_find(archive_t *a, bytes_t event_id, size_t nth, bytes_t *raw, error_t *err)
{
    uint64_t hash = archive_id_hash(event_id);
    *raw = BYTES_NONE;
    if (!need_ids(a, err))
        return false;
    size_t i = first_id(a, hash, 0) + nth;
    if (i >= a->header.records || id_at(a, i).hash != hash)
        return true;
    return record_at(a, id_at(a, i).offset, raw, err);
}

/* -- all of it ----------------------------------------------------------------------------------- */
static bool verify_one(archive_t *a, bytes_t raw, record_t *record, uint64_t last, int64_t *last_us, error_t *err)
{
    error_t why;
    bytes_t id = BYTES_NONE;
    uint64_t offset = a->blocks[a->held].offset + a->at - raw.len;
    if (!record_decode(raw, record, &why))
        return damaged(a, offset, "a record cannot be read", err);
    if (record->kind != RECORD_PUBLISH || record->seq <= last || record->ingest_us < *last_us)
        return damaged(a, offset, "a record is not where it belongs", err);
    *last_us = record->ingest_us;
    (void)!mp_map_str(record->publish.body, "id", &id);
    uint64_t hash = archive_id_hash(id);
    size_t i = first_id(a, hash, offset);
    return (i < a->header.records && id_at(a, i).hash == hash && id_at(a, i).offset == offset) ||
           damaged(a, a->header.ids_at, "the index by event id lacks a record", err);
}

bool archive_verify(archive_t *a, error_t *err)
{
    record_t *record = malloc(sizeof *record);
    uint64_t last = 0, records = 0;
    int64_t last_us = INT64_MIN;
    bytes_t raw;
    bool good = (record || no_memory(err)) && need_ids(a, err);
    while (good && (good = archive_seek(a, last + 1, &raw, err)) && raw.len) {
        good = verify_one(a, raw, record, last, &last_us, err);
        last = record->seq;
        records++;
    }
    if (good && (records != a->header.records || last != a->header.last || last_us != a->header.last_us))
        good = damaged(a, 0, "it has other records than its header says", err);
    free(record);
    return good;
}
