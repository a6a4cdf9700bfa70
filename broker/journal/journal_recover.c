/* journal_recover.c: reading back at start: what is good, what is a tail, what is damage. */
#include "broker/journal/journal_recover.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define NUMBERS_FIRST 16
#define COPY_BYTES ((size_t)64 << 10)

typedef struct {
    recovered_t *out;
    const folder_t *folder;
    journal_apply_fn apply;
    void *ctx;
    record_t *record;
    window_t window;
    char name[FILE_NAME_BYTES]; /* of the segment being read */
} reader_t;

/* -- the folder --------------------------------------------------------------------------------- */

static bool numbers_push(numbers_t *numbers, uint64_t number)
{
    if (numbers->count == numbers->cap) {
        size_t cap = numbers->cap ? numbers->cap * 2 : NUMBERS_FIRST;
        uint64_t *items = realloc(numbers->items, cap * sizeof(uint64_t));
        if (!items)
            return false;
        numbers->items = items;
        numbers->cap = cap;
    }
    numbers->items[numbers->count++] = number;
    return true;
}

static int numbers_order(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

typedef struct {
    numbers_t *segments, *spares;
} listing_t;

static int list_one(void *ctx, const char *name)
{
    listing_t *listing = ctx;
    uint64_t number;
    if (segment_name_parse(name, &number))
        return numbers_push(listing->segments, number) ? 0 : -ENOMEM;
    if (spare_name_parse(name, &number))
        return numbers_push(listing->spares, number) ? 0 : -ENOMEM;
    return 0;
}

static bool list_files(const folder_t *folder, numbers_t *segments, numbers_t *spares, error_t *err)
{
    listing_t listing = {segments, spares};
    int result = folder->io->list_dir(folder->io->ctx, folder->path, list_one, &listing);
    if (result < 0)
        return error_set(err, STATUS_INTERNAL, "JOURNAL_IO", "%s: cannot list the folder: %s", folder->path,
                         strerrordesc_np(-result));
    if (segments->count)
        qsort(segments->items, segments->count, sizeof(uint64_t), numbers_order);
    if (spares->count)
        qsort(spares->items, spares->count, sizeof(uint64_t), numbers_order);
    return true;
}

/* -- saying what is wrong ------------------------------------------------------------------------ */

static bool damaged(const reader_t *r, uint64_t offset, error_t *err, const char *why)
{
    return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT",
                     "%s/%s is damaged at offset %" PRIu64 ": %s; nothing was changed, see `mangactl journal verify`",
                     r->folder->path, r->name, offset, why);
}

static bool in_file(const reader_t *r, error_t *err)
{
    return error_prefix(err, "%s/%s", r->folder->path, r->name);
}

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to read the journal");
}

/* -- batches ------------------------------------------------------------------------------------- */

static bool apply_record(reader_t *r, bytes_t raw, uint64_t offset, error_t *err)
{
    recovered_t *out = r->out;
    segment_t *segment = segments_last(&out->segments);
    if (!record_decode(raw, r->record, err))
        return in_file(r, err);
    if (r->record->seq != out->next_seq || r->record->ingest_us < out->last_ingest_us)
        return damaged(r, offset, err, "a record is out of order");
    if (!segment_note(segment, offset, r->record->ingest_us))
        return no_memory(err);
    out->next_seq++;
    out->last_ingest_us = r->record->ingest_us;
    out->report.records++;
    return !r->apply || r->apply(r->ctx, r->record, raw, err);
}

/* The batch's checksums hold: whatever is wrong inside now is no accident of a power cut. */
static bool apply_batch(reader_t *r, const uint8_t *batch, const batch_header_t *header, uint64_t at, error_t *err)
{
    uint32_t done = BATCH_HEADER_BYTES;
    for (uint32_t i = 0; i < header->count; i++) {
        bytes_t rest = bytes_from(batch + done, header->length - done);
        uint32_t length;
        uint64_t seq;
        int64_t ingest_us;
        if (!record_peek(rest, &length, &seq, &ingest_us) || length > rest.len)
            return damaged(r, at + done, err, "a record does not fit its batch");
        if (!apply_record(r, bytes_from(rest.data, length), at + done, err))
            return false;
        done += length;
    }
    return done == header->length ? true : damaged(r, at + done, err, "a batch holds more than its records");
}

/* The batch with a good header at `at`, whole and with good records; NULL otherwise, with `err` set only when
 * the file cannot be read. */
static const uint8_t *good_batch(reader_t *r, uint64_t at, batch_header_t *header, error_t *err)
{
    const segment_header_t *segment = &segments_last(&r->out->segments)->header;
    const uint8_t *bytes = window_view(&r->window, at, BATCH_HEADER_BYTES, err);
    if (!bytes || !batch_header_decode(bytes, segment->generation, segment->salt, header))
        return NULL;
    const uint8_t *batch = window_view(&r->window, at, header->length, err);
    return batch && batch_records_hold(batch, header) ? batch : NULL;
}

/* Reads on while the next batch is there. */
static bool read_batches(reader_t *r, error_t *err)
{
    recovered_t *out = r->out;
    segment_t *segment = segments_last(&out->segments);
    for (;;) {
        batch_header_t header;
        error_t unreadable = {0};
        const uint8_t *batch = good_batch(r, segment->used, &header, &unreadable);
        if (unreadable.code != STATUS_OK) {
            if (err)
                *err = unreadable;
            return in_file(r, err);
        }
        if (!batch || header.number != out->next_batch || header.first_seq != out->next_seq)
            return true;
        if (!apply_batch(r, batch, &header, segment->used, err))
            return false;
        if (header.synced != out->proven_batch || segment->used == SEGMENT_BLOCK_BYTES)
            out->unproven_at = segment->used;
        out->proven_batch = header.synced;
        out->filled_batch = header.count ? header.number : out->filled_batch;
        segment->used += batch_padded(header.length);
        out->next_batch++;
        out->report.bytes += header.length;
    }
}

/* -- segments ------------------------------------------------------------------------------------ */

static bool read_header(reader_t *r, uint64_t number, segment_header_t *header, error_t *err)
{
    error_t unreadable = {0};
    segment_name(number, r->name);
    if (!file_open(r->folder, r->name, O_RDONLY, &r->window.fd, err) ||
        !file_size(r->folder, r->name, r->window.fd, &r->window.file_bytes, err))
        return false;
    const uint8_t *bytes = window_view(&r->window, 0, SEGMENT_BLOCK_BYTES, &unreadable);
    if (unreadable.code != STATUS_OK && err)
        *err = unreadable;
    if (unreadable.code != STATUS_OK)
        return in_file(r, err);
    if (!bytes)
        return damaged(r, r->window.file_bytes, err, "the file ends inside its header");
    if (!segment_header_decode(bytes, header, err))
        return in_file(r, err);
    if (header->number != number)
        return damaged(r, 0, err, "the header is that of another segment");
    /* Segments are whole before they are used, so a shorter one was cut by somebody else. */
    if (header->bytes != r->window.file_bytes)
        return damaged(r, r->window.file_bytes, err, "the file has another size than its header says");
    return true;
}

/* The segment before, if any, must have been read to the batch with which this one begins. */
static bool follows(reader_t *r, const segment_header_t *header, error_t *err)
{
    recovered_t *out = r->out;
    const segment_t *before = segments_last(&out->segments);
    if (!before) {
        out->next_seq = header->first_seq;
        out->next_batch = header->first_batch;
        return true;
    }
    if (header->number != before->header.number + 1)
        return damaged(r, 0, err, "the segment before it is missing");
    if (header->first_batch == out->next_batch && header->first_seq == out->next_seq)
        return true;
    segment_name(before->header.number, r->name);
    return damaged(r, before->used, err,
                   "no good batch is there, and the next segment proves that one had been synced");
}

static bool read_segment(reader_t *r, uint64_t number, error_t *err)
{
    recovered_t *out = r->out;
    segment_header_t header;
    r->window.at = r->window.len = r->window.cover_bytes = 0;
    bool good = read_header(r, number, &header, err) && follows(r, &header, err);
    if (good && !segments_add(&out->segments, &header, out->last_ingest_us))
        good = no_memory(err);
    if (!good)
        return false;
    copy_cover(&out->copy, &header, &r->window);
    out->max_generation = header.generation > out->max_generation ? header.generation : out->max_generation;
    out->unproven_at = SEGMENT_BLOCK_BYTES;
    out->report.segments++;
    return read_batches(r, err);
}

/* Looks behind the end of the newest segment for batches: remains to cut, or proof of damage. */
static bool search_tail(reader_t *r, error_t *err)
{
    recovered_t *out = r->out;
    const segment_t *segment = segments_last(&out->segments);
    const segment_header_t *s = &segment->header;
    out->cut_at = out->cut_end = segment->used;
    for (uint64_t at = segment->used; at + BATCH_HEADER_BYTES <= s->bytes; at += BATCH_ALIGN_BYTES) {
        error_t unreadable = {0};
        batch_header_t header;
        const uint8_t *bytes = window_view(&r->window, at, BATCH_HEADER_BYTES, &unreadable);
        if (bytes && batch_header_decode(bytes, s->generation, s->salt, &header)) {
            uint64_t end = at + batch_padded(header.length);
            out->cut_end = end < s->bytes ? end : s->bytes;
            /* Not by what it holds: a header's own checksum is enough to believe what it says. */
            if (header.number > out->next_batch && header.synced >= out->next_batch)
                return damaged(r, segment->used, err,
                               "no good batch is there, and a later one proves that it had been synced");
        }
        if (unreadable.code != STATUS_OK) {
            if (err)
                *err = unreadable;
            return in_file(r, err);
        }
    }
    out->report.cut_bytes = out->cut_end - out->cut_at;
    return true;
}

/* A spare's old generation counts: no later use of any file may repeat one. */
static void note_spare(reader_t *r, uint64_t id)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_t header;
    int fd = -1;
    spare_name(id, r->name);
    if (file_open(r->folder, r->name, O_RDONLY, &fd, NULL) && file_read(r->folder, fd, bytes, sizeof bytes, 0, NULL) &&
        segment_header_decode(bytes, &header, NULL) && header.generation > r->out->max_generation)
        r->out->max_generation = header.generation;
    file_close(r->folder, &fd);
}

static bool read_all(reader_t *r, const numbers_t *numbers, error_t *err)
{
    for (size_t i = 0; i < numbers->count; i++) {
        file_close(r->folder, &r->window.fd);
        if (!read_segment(r, numbers->items[i], err))
            return false;
    }
    for (size_t i = 0; i < r->out->spares.count; i++)
        note_spare(r, r->out->spares.items[i]);
    if (numbers->count == 0)
        return true;
    segment_name(segments_last(&r->out->segments)->header.number, r->name);
    return search_tail(r, err);
}

bool recover_read(recovered_t *out, const folder_t *folder, journal_apply_fn apply, void *ctx, error_t *err)
{
    numbers_t numbers = {0};
    reader_t r = {.out = out, .folder = folder, .apply = apply, .ctx = ctx, .window = {.folder = folder, .fd = -1}};
    *out = (recovered_t){.next_seq = 1, .next_batch = 1, .copy = {.fd = -1}};
    r.record = malloc(sizeof *r.record);
    bool good = r.record ? true : no_memory(err);
    good = good && list_files(folder, &numbers, &out->spares, err) && copy_find(&out->copy, folder, err) &&
           read_all(&r, &numbers, err);
    file_close(folder, &r.window.fd);
    window_free(&r.window);
    free(r.record);
    free(numbers.items);
    return good;
}

/* -- repair -------------------------------------------------------------------------------------- */

static bool zero_range(const folder_t *folder, int fd, uint64_t at, uint64_t end, uint8_t *block, error_t *err)
{
    memset(block, 0, COPY_BYTES);
    for (; at < end; at += COPY_BYTES) {
        uint64_t left = end - at;
        if (!file_write(folder, fd, block, left < COPY_BYTES ? left : COPY_BYTES, at, err))
            return false;
    }
    return true;
}

/* A proof alone needs no copy: without it nothing is lost. */
static bool rewrite(const recovered_t *recovered, const folder_t *folder, uint8_t *block, error_t *err)
{
    const segment_t *last = segments_last(&recovered->segments);
    uint64_t at = recovered->unproven_at, bytes = last->used - at;
    if (bytes == 0)
        return true;
    if (recovered->filled_batch > recovered->proven_batch || bytes > COPY_BYTES)
        return copy_rewrite(folder, last, at, last->used, err) && copy_clear(folder, err);
    return file_read(folder, last->fd, block, bytes, at, err) && file_write(folder, last->fd, block, bytes, at, err);
}

bool recover_repair(recovered_t *recovered, const folder_t *folder, error_t *err)
{
    segment_t *last = segments_last(&recovered->segments);
    char name[FILE_NAME_BYTES];
    if (!last)
        return true;
    segment_name(last->header.number, name);
    uint8_t *block = malloc(COPY_BYTES);
    if (!block)
        return no_memory(err);
    bool good = copy_restore(&recovered->copy, folder, err) && file_open(folder, name, O_RDWR, &last->fd, err) &&
                zero_range(folder, last->fd, recovered->cut_at, recovered->cut_end, block, err) &&
                rewrite(recovered, folder, block, err) && file_sync(folder, last->fd, err) && folder_sync(folder, err);
    free(block);
    return good;
}

void recovered_free(recovered_t *recovered, const folder_t *folder)
{
    segments_free(&recovered->segments, folder);
    copy_close(&recovered->copy, folder);
    free(recovered->spares.items);
    *recovered = (recovered_t){.copy = {.fd = -1}};
}
