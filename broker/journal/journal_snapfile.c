/* journal_snapfile.c: blocks of a snapshot's file. */
#include "broker/journal/journal_snapfile.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/journal/journal_bytes.h"

#define SNAPFILE_MAGIC "MANGASNP"
#define SNAPFILE_MAGIC_BYTES 8
#define SNAPFILE_CONTENT_AT 16
#define KEPT_ENTRY_BYTES 40

typedef enum { BLOCK_ITEMS = 1, BLOCK_KEPT = 2, BLOCK_END = 3 } block_kind_t;

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for a snapshot");
}

/* -- writing -------------------------------------------------------------------------------------- */

static void header_encode(const snapfile_header_t *header, uint8_t *out)
{
    memset(out, 0, SNAPFILE_HEADER_BYTES);
    memcpy(out, SNAPFILE_MAGIC, SNAPFILE_MAGIC_BYTES);
    put32(out + 8, SNAPFILE_FORMAT);
    put64(out + 16, header->newest);
    put64(out + 24, header->released);
    put64(out + 32, (uint64_t)header->ingest_us);
    put64(out + 40, header->next_batch);
    put64(out + 48, header->bytes);
    put64(out + 56, header->number);
    put32(out + 12, crc32c(0, out + SNAPFILE_CONTENT_AT, SNAPFILE_HEADER_BYTES - SNAPFILE_CONTENT_AT));
}

bool snapfile_begin(snapfile_writer_t *w, const folder_t *folder, const snapfile_header_t *header, error_t *err)
{
    *w = (snapfile_writer_t){.folder = folder, .fd = -1, .header = *header};
    w->header.bytes = SNAPFILE_HEADER_BYTES;
    return file_open(folder, SNAPSHOT_FILLING_NAME, O_RDWR | O_CREAT | O_TRUNC, &w->fd, err);
}

static bool add_block(snapfile_writer_t *w, block_kind_t kind, bytes_t content, error_t *err)
{
    uint8_t header[SNAPFILE_BLOCK_HEADER_BYTES];
    put32(header, (uint32_t)kind);
    put32(header + 4, (uint32_t)content.len);
    put32(header + 8, (uint32_t)w->blocks++);
    put32(header + 12, crc32c(crc32c(0, header, 12), content.data, content.len));
    buf_clear(&w->block);
    buf_append(&w->block, header, sizeof header);
    buf_append_bytes(&w->block, content);
    if (w->block.failed)
        return no_memory(err);
    bool good = file_write_paced(w->folder, w->fd, buf_bytes(&w->block), w->header.bytes, &w->unsynced, err);
    w->header.bytes += w->block.len;
    return good;
}

bool snapfile_add(snapfile_writer_t *w, bytes_t items, error_t *err)
{
    if (items.len > SNAPFILE_BLOCK_MAX_BYTES)
        return error_set(err, STATUS_INTERNAL, NULL, "a slice of %zu bytes is too large for a snapshot", items.len);
    return add_block(w, BLOCK_ITEMS, items, err);
}

static bool add_kept(snapfile_writer_t *w, const kept_ref_t *kept, size_t count, error_t *err)
{
    buf_t list = {0};
    for (size_t i = 0; i < count; i++) {
        uint8_t entry[KEPT_ENTRY_BYTES];
        const uint64_t numbers[] = {kept[i].made, kept[i].first, kept[i].last, kept[i].records, kept[i].bytes};
        for (size_t n = 0; n < ARRAY_LEN(numbers); n++)
            put64(entry + n * 8, numbers[n]);
        buf_append(&list, entry, sizeof entry);
    }
    bool good = list.failed ? no_memory(err) : add_block(w, BLOCK_KEPT, buf_bytes(&list), err);
    buf_free(&list);
    return good;
}

bool snapfile_end(snapfile_writer_t *w, const kept_ref_t *kept, size_t count, int64_t ingest_us, error_t *err)
{
    uint8_t header[SNAPFILE_HEADER_BYTES];
    w->header.ingest_us = ingest_us;
    if (count > SNAPFILE_KEPT_MAX)
        return error_set(err, STATUS_INTERNAL, NULL, "%zu kept files are too many for a snapshot", count);
    bool good = add_kept(w, kept, count, err) && add_block(w, BLOCK_END, BYTES_NONE, err);
    header_encode(&w->header, header);
    return good && file_write(w->folder, w->fd, header, sizeof header, 0, err) && file_sync(w->folder, w->fd, err);
}

bool snapfile_publish(snapfile_writer_t *w, error_t *err)
{
    char name[FILE_NAME_BYTES];
    snapshot_name(w->header.number, name);
    bool good = file_rename(w->folder, SNAPSHOT_FILLING_NAME, name, err) && folder_sync(w->folder, err);
    if (!good && err)
        err->code = STATUS_INTERNAL; /* whatever the reason: which of the two is in effect now, the disk alone knows */
    snapfile_abandon(w);
    return good;
}

void snapfile_abandon(snapfile_writer_t *w)
{
    if (!w->folder)
        return;
    file_close(w->folder, &w->fd);
    buf_free(&w->block);
    w->folder = NULL;
}

/* -- reading -------------------------------------------------------------------------------------- */

static bool damaged(snapfile_reader_t *r, uint64_t offset, error_t *err, const char *why)
{
    return file_damaged(r->folder, r->name, offset, why, &r->flaw, err);
}

static const uint8_t *view(snapfile_reader_t *r, uint64_t offset, size_t bytes, error_t *err)
{
    return window_need(&r->window, r->name, offset, bytes, &r->flaw, err);
}

static bool header_decode(snapfile_reader_t *r, const uint8_t *in, uint64_t number, error_t *err)
{
    if (memcmp(in, SNAPFILE_MAGIC, SNAPFILE_MAGIC_BYTES) != 0)
        return damaged(r, 0, err, "no header is there");
    if (get32(in + 8) > SNAPFILE_FORMAT)
        return error_set(err, STATUS_FAILED_PRECONDITION, "JOURNAL_TOO_NEW",
                         "%s/%s: its format is %u, this program reads up to %d: start a newer one", r->folder->path,
                         r->name, get32(in + 8), SNAPFILE_FORMAT);
    r->header = (snapfile_header_t){.newest = get64(in + 16),
                                    .released = get64(in + 24),
                                    .ingest_us = (int64_t)get64(in + 32),
                                    .next_batch = get64(in + 40),
                                    .bytes = get64(in + 48),
                                    .number = get64(in + 56)};
    if (get32(in + 8) != SNAPFILE_FORMAT || r->header.number != number || r->header.released > r->header.newest ||
        r->header.newest == UINT64_MAX ||
        get32(in + 12) != crc32c(0, in + SNAPFILE_CONTENT_AT, SNAPFILE_HEADER_BYTES - SNAPFILE_CONTENT_AT))
        return damaged(r, 0, err, "its header does not hold");
    if (r->header.bytes != r->window.file_bytes)
        return damaged(r, r->window.file_bytes, err, "the file has another size than its header says");
    return true;
}

bool snapfile_open(snapfile_reader_t *r, const folder_t *folder, uint64_t number, error_t *err)
{
    *r = (snapfile_reader_t){.folder = folder, .window = {.folder = folder, .fd = -1}, .at = SNAPFILE_HEADER_BYTES};
    snapshot_name(number, r->name);
    if (!file_open(folder, r->name, O_RDONLY, &r->window.fd, err) ||
        !file_size(folder, r->name, r->window.fd, &r->window.file_bytes, err))
        return false;
    const uint8_t *header = view(r, 0, SNAPFILE_HEADER_BYTES, err);
    return header && header_decode(r, header, number, err);
}

static bool take_kept(snapfile_reader_t *r, bytes_t content, error_t *err)
{
    size_t count = content.len / KEPT_ENTRY_BYTES;
    if (r->kept || content.len % KEPT_ENTRY_BYTES != 0 || count > SNAPFILE_KEPT_MAX)
        return damaged(r, r->at, err, "its list of kept files cannot be");
    r->kept = calloc(count + 1, sizeof *r->kept);
    if (!r->kept)
        return no_memory(err);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *at = content.data + i * KEPT_ENTRY_BYTES;
        kept_ref_t *ref = &r->kept[i];
        *ref = (kept_ref_t){get64(at), get64(at + 8), get64(at + 16), get64(at + 24), get64(at + 32)};
        if (ref->last < ref->first || ref->last > r->header.released || (i > 0 && ref->first <= r->kept[i - 1].last))
            return damaged(r, r->at, err, "its list of kept files cannot be");
    }
    r->kept_count = count;
    return true;
}

/* One block: its kind, and its content in memory. */
static bool next_block(snapfile_reader_t *r, uint32_t *kind, bytes_t *content, error_t *err)
{
    const uint8_t *header = view(r, r->at, SNAPFILE_BLOCK_HEADER_BYTES, err);
    if (!header)
        return false;
    uint32_t length = get32(header + 4);
    if (length > SNAPFILE_BLOCK_MAX_BYTES || get32(header + 8) != (uint32_t)r->blocks)
        return damaged(r, r->at, err, "no block is there");
    const uint8_t *block = view(r, r->at, (size_t)SNAPFILE_BLOCK_HEADER_BYTES + length, err);
    if (!block)
        return false;
    *content = bytes_from(block + SNAPFILE_BLOCK_HEADER_BYTES, length);
    if (get32(block + 12) != crc32c(crc32c(0, block, 12), content->data, length))
        return damaged(r, r->at, err, "a block does not match its checksum");
    *kind = get32(block);
    return true;
}

bool snapfile_next(snapfile_reader_t *r, bytes_t *items, error_t *err)
{
    uint32_t kind = 0;
    *items = BYTES_NONE;
    while (!r->has_ended) {
        bytes_t content;
        if (!next_block(r, &kind, &content, err))
            return false;
        if (kind == BLOCK_KEPT && !take_kept(r, content, err))
            return false;
        if (kind < BLOCK_ITEMS || kind > BLOCK_END)
            return damaged(r, r->at, err, "a block is of a kind that is none");
        r->at += SNAPFILE_BLOCK_HEADER_BYTES + content.len;
        r->blocks++;
        r->has_ended = kind == BLOCK_END;
        *items = kind == BLOCK_ITEMS ? content : BYTES_NONE;
        if (items->len)
            return true;
    }
    return (r->kept && r->at == r->header.bytes) || damaged(r, r->at, err, "its end is not where it should be");
}

void snapfile_close(snapfile_reader_t *r)
{
    file_close(r->folder, &r->window.fd);
    window_free(&r->window);
    free(r->kept);
    r->kept = NULL;
}
