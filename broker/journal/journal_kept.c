/* journal_kept.c: writing files of kept records, and finding records in them. */
#include "broker/journal/journal_kept.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/journal/journal_bytes.h"
#include "broker/journal/journal_kept_note.h"

#define KEPT_MAGIC "MANGAKPT"
#define KEPT_MAGIC_BYTES 8
#define KEPT_CONTENT_AT 16
#define WRITE_BYTES ((size_t)256 << 10)
#define LIST_FIRST 8

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for kept records");
}

static bool damaged(const folder_t *folder, kept_t *kept, uint64_t offset, error_t *err, const char *why)
{
    char name[FILE_NAME_BYTES];
    kept_name(kept->ref.made, kept->ref.first, name);
    return file_damaged(folder, name, offset, why, &kept->flaw, err);
}

/* -- header --------------------------------------------------------------------------------------- */

static void header_encode(const kept_ref_t *ref, uint64_t data_end, uint32_t index_crc, uint32_t notes, uint8_t *out)
{
    memcpy(out, KEPT_MAGIC, KEPT_MAGIC_BYTES);
    put32(out + 8, KEPT_FORMAT);
    put64(out + 16, ref->first);
    put64(out + 24, ref->last);
    put64(out + 32, ref->records);
    put64(out + 40, data_end);
    put64(out + 48, ref->bytes);
    put32(out + 56, index_crc);
    put32(out + 60, notes);
    put32(out + 12, crc32c(0, out + KEPT_CONTENT_AT, KEPT_HEADER_BYTES - KEPT_CONTENT_AT));
}

static bool header_fits(const uint8_t *in, const kept_ref_t *ref)
{
    return get32(in + 12) == crc32c(0, in + KEPT_CONTENT_AT, KEPT_HEADER_BYTES - KEPT_CONTENT_AT) &&
           get64(in + 16) == ref->first && get64(in + 24) == ref->last && get64(in + 32) == ref->records &&
           get64(in + 48) == ref->bytes;
}

/* -- opening -------------------------------------------------------------------------------------- */

static bool take_index(kept_t *kept, const folder_t *folder, const uint8_t *index, error_t *err)
{
    uint64_t records = 0, offset = KEPT_HEADER_BYTES, seq = 0;
    for (size_t i = 0; i < kept->count; i++) {
        const uint8_t *at = index + i * KEPT_INDEX_BYTES;
        kept_block_t *block = &kept->blocks[i];
        *block = (kept_block_t){.seq = get64(at), .offset = get64(at + 8), .count = get64(at + 16)};
        bool first = i == 0;
        if (first ? block->seq != kept->ref.first || block->offset != offset
                  : block->seq <= seq || block->offset <= offset || block->offset >= kept->data_end)
            return damaged(folder, kept, kept->data_end + i * KEPT_INDEX_BYTES, err, "its index cannot be");
        seq = block->seq;
        offset = block->offset;
        records += block->count;
    }
    return (records == kept->ref.records && seq <= kept->ref.last) ||
           damaged(folder, kept, kept->data_end, err, "its index lacks records");
}

static bool read_index(kept_t *kept, const folder_t *folder, uint32_t crc, error_t *err)
{
    uint64_t bytes = kept->ref.bytes - kept->data_end;
    kept->count = (size_t)(bytes / KEPT_INDEX_BYTES);
    uint8_t *index = malloc((size_t)bytes + 1);
    kept->blocks = calloc(kept->count + 1, sizeof *kept->blocks);
    bool good = (index && kept->blocks) || no_memory(err);
    good = good && file_read(folder, kept->fd, index, bytes, kept->data_end, err);
    if (good && crc32c(0, index, (size_t)bytes) != crc)
        good = damaged(folder, kept, kept->data_end, err, "its index does not match its checksum");
    good = good && take_index(kept, folder, index, err);
    free(index);
    return good;
}

static bool read_header(kept_t *kept, const folder_t *folder, uint32_t *index_crc, error_t *err)
{
    uint8_t header[KEPT_HEADER_BYTES];
    char name[FILE_NAME_BYTES];
    uint64_t bytes;
    const kept_ref_t *ref = &kept->ref;
    kept_name(ref->made, ref->first, name);
    if (!file_open(folder, name, O_RDONLY, &kept->fd, err) || !file_size(folder, name, kept->fd, &bytes, err))
        return false;
    if (bytes != ref->bytes || bytes < sizeof header)
        return damaged(folder, kept, bytes, err, "the file has another size than its snapshot says");
    if (!file_read(folder, kept->fd, header, sizeof header, 0, err))
        return false;
    if (memcmp(header, KEPT_MAGIC, KEPT_MAGIC_BYTES) != 0)
        return damaged(folder, kept, 0, err, "no header is there");
    if (get32(header + 8) > KEPT_FORMAT)
        return error_set(err, STATUS_FAILED_PRECONDITION, "JOURNAL_TOO_NEW",
                         "%s/%s: its format is %u, this program reads up to %d: start a newer one", folder->path, name,
                         get32(header + 8), KEPT_FORMAT);
    kept->data_end = get64(header + 40);
    kept->notes = get32(header + 60);
    *index_crc = get32(header + 56);
    if (get32(header + 8) != KEPT_FORMAT || !header_fits(header, ref) || kept->data_end < KEPT_HEADER_BYTES ||
        kept->data_end >= bytes || (bytes - kept->data_end) % KEPT_INDEX_BYTES != 0)
        return damaged(folder, kept, 0, err, "its header does not hold");
    return true;
}

kept_t *kept_open(const folder_t *folder, const kept_ref_t *ref, flaw_t *flaw, error_t *err)
{
    uint32_t crc = 0;
    kept_t *kept = calloc(1, sizeof *kept);
    if (!kept) {
        (void)no_memory(err);
        return NULL;
    }
    kept->ref = *ref;
    kept->fd = -1;
    bool good = read_header(kept, folder, &crc, err) && read_index(kept, folder, crc, err);
    file_close(folder, &kept->fd);
    if (good)
        return kept;
    if (flaw)
        *flaw = kept->flaw;
    kept_free(kept, folder);
    return NULL;
}

void kept_free(kept_t *kept, const folder_t *folder)
{
    file_close(folder, &kept->fd);
    free(kept->blocks);
    free(kept);
}

/* -- reading -------------------------------------------------------------------------------------- */

uint64_t kept_block_bytes(const kept_t *kept, size_t i)
{
    uint64_t end = i + 1 < kept->count ? kept->blocks[i + 1].offset : kept->data_end;
    return end - kept->blocks[i].offset;
}

size_t kept_block_of(const kept_t *kept, uint64_t seq)
{
    size_t low = 0, high = kept->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kept->blocks[middle].seq <= seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low ? low - 1 : 0;
}

bool kept_read_block(kept_t *kept, const folder_t *folder, size_t i, buf_t *out, error_t *err)
{
    char name[FILE_NAME_BYTES];
    uint64_t bytes = kept_block_bytes(kept, i);
    kept_name(kept->ref.made, kept->ref.first, name);
    if (kept->fd < 0 && !file_open(folder, name, O_RDONLY, &kept->fd, err))
        return false;
    buf_clear(out);
    if (!buf_reserve(out, (size_t)bytes))
        return no_memory(err);
    out->len = (size_t)bytes;
    return file_read(folder, kept->fd, out->data, bytes, kept->blocks[i].offset, err);
}

/* -- the list ------------------------------------------------------------------------------------- */

bool kepts_add(kepts_t *kepts, kept_t *kept, const folder_t *folder)
{
    if (kepts->count == kepts->cap) {
        size_t cap = kepts->cap ? kepts->cap * 2 : LIST_FIRST;
        kept_t **items = realloc(kepts->items, cap * sizeof(kept_t *));
        if (!items) {
            kept_free(kept, folder);
            return false;
        }
        kepts->items = items;
        kepts->cap = cap;
    }
    kepts->items[kepts->count++] = kept;
    return true;
}

void kepts_free(kepts_t *kepts, const folder_t *folder)
{
    for (size_t i = 0; i < kepts->count; i++)
        kept_free(kepts->items[i], folder);
    free(kepts->items);
    buf_free(&kepts->block);
    *kepts = (kepts_t){0};
}

/* The file that holds `seq` or begins behind it; `count` when all end before. */
static size_t file_from(const kepts_t *kepts, uint64_t seq)
{
    size_t low = 0, high = kepts->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (kepts->items[middle]->ref.last < seq)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool hold_block(kepts_t *kepts, const folder_t *folder, kept_t *kept, size_t i, error_t *err)
{
    if (kepts->held == kept && kepts->held_block == i)
        return true;
    kepts->held = NULL;
    if (!kept_read_block(kept, folder, i, &kepts->block, err))
        return false;
    kepts->held = kept;
    kepts->held_block = i;
    return true;
}

/* In the block that is held; an empty slice when all of it is before `seq`. */
static bool seek_in_block(const kepts_t *kepts, const folder_t *folder, uint64_t seq, bytes_t *raw, error_t *err)
{
    kept_t *kept = kepts->held;
    bytes_t left = buf_bytes(&kepts->block);
    uint32_t length;
    uint64_t found;
    int64_t ingest_us;
    error_t why;
    for (; left.len; left = bytes_from(left.data + length, left.len - length)) {
        uint64_t offset = kept->blocks[kepts->held_block].offset + (uint64_t)(left.data - kepts->block.data);
        if (!record_peek(left, &length, &found, &ingest_us) || length > left.len)
            return damaged(folder, kept, offset, err, "no whole record is there");
        if (found < seq)
            continue;
        *raw = bytes_from(left.data, length);
        return record_verify(*raw, &why) || damaged(folder, kept, offset, err, why.message);
    }
    return true;
}

bool kepts_seek(kepts_t *kepts, const folder_t *folder, uint64_t seq, bytes_t *raw, error_t *err)
{
    *raw = BYTES_NONE;
    for (size_t file = file_from(kepts, seq); file < kepts->count; file++) {
        kept_t *kept = kepts->items[file];
        for (size_t i = kept_block_of(kept, seq); i < kept->count; i++) {
            if (!hold_block(kepts, folder, kept, i, err) || !seek_in_block(kepts, folder, seq, raw, err))
                return false;
            if (raw->len)
                return true;
        }
    }
    return true;
}

/* -- writing -------------------------------------------------------------------------------------- */

bool kept_begin(kept_writer_t *w, const folder_t *folder, uint64_t made, error_t *err)
{
    *w = (kept_writer_t){.folder = folder, .fd = -1, .ref = {.made = made}, .at = KEPT_HEADER_BYTES};
    return file_open(folder, KEPT_FILLING_NAME, O_RDWR | O_CREAT | O_TRUNC, &w->fd, err);
}

static bool write_pending(kept_writer_t *w, error_t *err)
{
    if (!file_write_paced(w->folder, w->fd, buf_bytes(&w->pending), w->at, &w->unsynced, err))
        return false;
    w->at += w->pending.len;
    buf_clear(&w->pending);
    return true;
}

static void close_block(kept_writer_t *w)
{
    uint8_t entry[KEPT_INDEX_BYTES];
    if (!w->block.count)
        return;
    put64(entry, w->block.seq);
    put64(entry + 8, w->block.offset);
    put64(entry + 16, w->block.count);
    buf_append(&w->index, entry, sizeof entry);
    w->block.count = 0;
    w->block_bytes = 0;
}

bool kept_add(kept_writer_t *w, uint64_t seq, bytes_t record, error_t *err)
{
    if (w->block_bytes && w->block_bytes + record.len > KEPT_BLOCK_BYTES)
        close_block(w);
    if (!w->block.count)
        w->block = (kept_block_t){.seq = seq, .offset = w->at + w->pending.len};
    w->block.count++;
    w->block_bytes += record.len;
    uint64_t through = kept_note_through(record);
    w->ref.first = w->ref.records ? w->ref.first : seq;
    w->ref.last = through > seq ? through : seq;
    w->ref.records++;
    w->notes += kept_note_through(record) != 0;
    buf_append_bytes(&w->pending, record);
    if (w->pending.failed || w->index.failed)
        return no_memory(err);
    return w->pending.len < WRITE_BYTES || write_pending(w, err);
}

static bool write_end(kept_writer_t *w, error_t *err)
{
    uint8_t header[KEPT_HEADER_BYTES];
    close_block(w);
    uint64_t data_end = w->at + w->pending.len;
    uint32_t crc = crc32c(0, w->index.data, w->index.len);
    buf_append_bytes(&w->pending, buf_bytes(&w->index));
    if (w->pending.failed || w->index.failed)
        return no_memory(err);
    w->ref.bytes = data_end + w->index.len;
    header_encode(&w->ref, data_end, crc, w->notes, header);
    return write_pending(w, err) && file_write(w->folder, w->fd, header, sizeof header, 0, err) &&
           file_sync(w->folder, w->fd, err);
}

bool kept_end(kept_writer_t *w, kept_ref_t *ref, error_t *err)
{
    char name[FILE_NAME_BYTES];
    bool good = true;
    *ref = w->ref;
    if (w->ref.records) {
        good = write_end(w, err);
        *ref = w->ref;
        kept_name(w->ref.made, w->ref.first, name);
        file_close(w->folder, &w->fd);
        good = good && file_rename(w->folder, KEPT_FILLING_NAME, name, err) && folder_sync(w->folder, err);
    }
    kept_abandon(w);
    return good;
}

void kept_abandon(kept_writer_t *w)
{
    if (!w->folder)
        return;
    file_close(w->folder, &w->fd);
    buf_free(&w->index);
    buf_free(&w->pending);
    w->folder = NULL;
}
