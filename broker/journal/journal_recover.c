/* journal_recover.c: reading back at start: what is good, what is a tail, what is damage. */
#include "broker/journal/journal_recover.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define COPY_BYTES ((size_t)64 << 10)
#define SEARCH_BYTES ((uint64_t)128 << 10)

typedef struct {
    recovered_t *out;
    const folder_t *folder;
    const recover_sink_t *sink;
    record_t *record;
    window_t window;
    char name[FILE_NAME_BYTES]; /* of the segment being read */
} reader_t;

/* -- saying what is wrong ------------------------------------------------------------------------ */

static bool damaged(const reader_t *r, uint64_t offset, error_t *err, const char *why)
{
    return file_damaged(r->folder, r->name, offset, why, NULL, err);
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
    bool is_known = !r->sink->whole && r->record->seq <= out->snapshot.newest;
    return is_known || !r->sink->apply || r->sink->apply(r->sink->ctx, r->record, raw, err);
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
        if (header->first_seq != out->snapshot.released + 1)
            return damaged(r, 0, err, "the records before its first one are missing");
        out->next_seq = header->first_seq;
        out->next_batch = header->first_batch;
        out->last_ingest_us = header->first_seq > out->snapshot.newest ? out->snapshot.ingest_us : 0;
        return true;
    }
    if (header->first_batch == out->next_batch && header->first_seq == out->next_seq)
        return true;
    segment_name(before->header.number, r->name);
    return damaged(r, before->used, err,
                   "no good batch is there, and the next segment proves that one had been synced");
}

static bool add_segment(reader_t *r, const segment_header_t *header, error_t *err)
{
    recovered_t *out = r->out;
    out->report.segments++;
    return segments_add(&out->segments, header, out->last_ingest_us) ? true : no_memory(err);
}

static bool read_segment(reader_t *r, const segment_header_t *header, error_t *err)
{
    r->window.at = r->window.len = r->window.cover_bytes = 0;
    segment_name(header->number, r->name);
    if (!file_open(r->folder, r->name, O_RDONLY, &r->window.fd, err))
        return false;
    r->window.file_bytes = header->bytes;
    copy_cover(&r->out->copy, header, &r->window);
    r->out->unproven_at = SEGMENT_BLOCK_BYTES;
    return follows(r, header, err) && add_segment(r, header, err) && read_batches(r, err);
}

/* One whose records are in the snapshot: they are found when somebody asks for one. `next` is the segment behind. */
static bool skip_segment(reader_t *r, const segment_header_t *header, const segment_header_t *next, error_t *err)
{
    recovered_t *out = r->out;
    segment_name(header->number, r->name);
    if (!follows(r, header, err) || !add_segment(r, header, err))
        return false;
    segment_t *segment = segments_last(&out->segments);
    segment->is_closed = true;
    segment->used = header->bytes;
    segment->last_ingest_us = out->last_ingest_us = out->snapshot.ingest_us;
    out->next_seq = next->first_seq;
    out->next_batch = next->first_batch;
    return true;
}

/* A header that may be a batch's stands at `at`: remains to cut, or proof of damage. */
static bool judge_remains(reader_t *r, uint64_t at, const uint8_t *bytes, error_t *err)
{
    recovered_t *out = r->out;
    const segment_t *segment = segments_last(&out->segments);
    const segment_header_t *s = &segment->header;
    batch_header_t header;
    if (!batch_header_decode(bytes, s->generation, s->salt, &header))
        return true;
    uint64_t end = at + batch_padded(header.length);
    out->cut_end = end < s->bytes ? end : s->bytes;
    /* Not by what it holds: a header's own checksum is enough to believe what it says. */
    if (header.number > out->next_batch && header.synced >= out->next_batch)
        return damaged(r, segment->used, err, "no good batch is there, and a later one proves that it had been synced");
    return true;
}

/* Looks behind the end of the newest segment for batches, a piece at a time: pieces overlap by a header. */
static bool search_tail(reader_t *r, error_t *err)
{
    recovered_t *out = r->out;
    const segment_t *segment = segments_last(&out->segments);
    uint64_t file_bytes = segment->header.bytes;
    out->cut_at = out->cut_end = segment->used;
    for (uint64_t at = segment->used; at + BATCH_HEADER_BYTES <= file_bytes; at += SEARCH_BYTES) {
        error_t unreadable = {0};
        uint64_t left = file_bytes - at, most = SEARCH_BYTES + BATCH_HEADER_BYTES;
        size_t bytes = (size_t)(left < most ? left : most);
        const uint8_t *piece = window_view(&r->window, at, bytes, &unreadable);
        if (unreadable.code != STATUS_OK) {
            if (err)
                *err = unreadable;
            return in_file(r, err);
        }
        for (size_t i = 0; piece && i + BATCH_HEADER_BYTES <= bytes && i < SEARCH_BYTES; i += BATCH_ALIGN_BYTES)
            if (batch_may_begin(piece + i) && !judge_remains(r, at + i, piece + i, err))
                return false;
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

/* All headers first: each says where the segment before it ended. */
static bool read_headers(reader_t *r, const numbers_t *numbers, segment_header_t *headers, error_t *err)
{
    recovered_t *out = r->out;
    for (size_t i = 0; i < numbers->count; i++) {
        r->window.at = r->window.len = r->window.cover_bytes = 0;
        bool good = read_header(r, numbers->items[i], &headers[i], err);
        file_close(r->folder, &r->window.fd);
        if (!good)
            return false;
        if (i > 0 && headers[i].number != headers[i - 1].number + 1)
            return damaged(r, 0, err, "the segment before it is missing");
        if (i > 0 && headers[i].first_seq < headers[i - 1].first_seq)
            return damaged(r, 0, err, "its first record is before that of the segment before it");
        if (headers[i].generation > out->max_generation)
            out->max_generation = headers[i].generation;
    }
    for (size_t i = 0; i < out->spares.count; i++)
        note_spare(r, out->spares.items[i]);
    return true;
}

static bool read_one(reader_t *r, const segment_header_t *header, const segment_header_t *next, error_t *err)
{
    recovered_t *out = r->out;
    uint64_t end = next ? next->first_seq : UINT64_MAX; /* of its records */
    if (out->snapshot.number && end <= out->snapshot.released + 1)
        return segments_add(&out->leftovers, header, 0) ? true : no_memory(err);
    if (out->snapshot.number && end <= out->snapshot.newest + 1 && !r->sink->whole)
        return skip_segment(r, header, next, err);
    bool good = read_segment(r, header, err);
    if (good && !next)
        good = search_tail(r, err);
    file_close(r->folder, &r->window.fd);
    return good;
}

/* The lists of what is not read here are the caller's. */
static bool list_files(const folder_t *folder, recovered_t *out, numbers_t *segments, error_t *err)
{
    listing_t listing;
    bool good = listing_read(&listing, folder, err);
    *segments = listing.segments;
    out->spares = listing.spares;
    out->snapshots = listing.snapshots;
    out->kept_files = listing.kept_files;
    return good;
}

static bool read_segments(reader_t *r, const numbers_t *numbers, error_t *err)
{
    const recovered_t *out = r->out;
    segment_header_t *headers = calloc(numbers->count + 1, sizeof *headers);
    bool good = headers ? read_headers(r, numbers, headers, err) : no_memory(err);
    for (size_t i = 0; good && i < numbers->count; i++)
        good = read_one(r, &headers[i], i + 1 < numbers->count ? &headers[i + 1] : NULL, err);
    free(headers);
    if (good && out->next_seq <= out->snapshot.newest) {
        snapshot_name(out->snapshot.number, r->name);
        good = damaged(r, 0, err, "the segments end before the records that are in it");
    }
    return good;
}

bool recover_read(recovered_t *out, const folder_t *folder, const recover_sink_t *sink, error_t *err)
{
    numbers_t numbers = {0};
    reader_t r = {.out = out, .folder = folder, .sink = sink, .window = {.folder = folder, .fd = -1}};
    *out = (recovered_t){.next_seq = 1, .next_batch = 1, .copy = {.fd = -1}};
    r.record = malloc(sizeof *r.record);
    bool good = r.record ? true : no_memory(err);
    good = good && list_files(folder, out, &numbers, err) && copy_find(&out->copy, folder, err) &&
           recover_snapshot(out, folder, sink, err) && read_segments(&r, &numbers, err);
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
    segments_free(&recovered->leftovers, folder);
    kepts_free(&recovered->kepts, folder);
    copy_close(&recovered->copy, folder);
    free(recovered->spares.items);
    free(recovered->snapshots.items);
    free(recovered->kept_files.items);
    *recovered = (recovered_t){.copy = {.fd = -1}};
}
