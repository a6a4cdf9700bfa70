/* journal_read.c: finding records again: in the tail, then in the files. */
#include <fcntl.h>
#include <inttypes.h>

#include "broker/journal/journal_kept_note.h"
#include "broker/journal/journal_sealed.h"
#include "broker/journal/journal_state.h"

#define FIRST_READ_BYTES 4096 /* holds most records, header and all */
#define READ_FDS_MAX 32       /* files of older segments kept open */

static bool in_segment(const journal_t *journal, const segment_t *segment, uint64_t offset, error_t *err)
{
    char name[FILE_NAME_BYTES];
    segment_name(segment->header.number, name);
    return error_prefix(err, "%s/%s at offset %" PRIu64, journal->folder.path, name, offset);
}

void journal_close_past(journal_t *journal)
{
    for (size_t i = 0; journal_is_past(journal, i); i++)
        file_close(&journal->folder, &journal->segments.items[i]->fd);
    journal->open_fds = 0;
}

static bool open_segment(journal_t *journal, segment_t *segment, error_t *err)
{
    char name[FILE_NAME_BYTES];
    if (segment->fd >= 0)
        return true;
    if (journal->open_fds >= READ_FDS_MAX)
        journal_close_past(journal);
    segment_name(segment->header.number, name);
    if (!file_open(&journal->folder, name, O_RDONLY, &segment->fd, err))
        return false;
    journal->open_fds++;
    return true;
}

/* Makes the index of a segment that was not read at the start. */
static bool know_segment(journal_t *journal, size_t i, error_t *err)
{
    segment_t *segment = journal->segments.items[i];
    sealed_t sealed;
    bytes_t raw = BYTES_NONE;
    uint64_t offset, seq;
    int64_t ingest_us;
    uint32_t length;
    if (!segment->is_closed)
        return true;
    const sealed_segment_t of = {segment->header, journal->segments.items[i + 1]->header.first_seq - 1};
    bool good = sealed_open(&sealed, &journal->folder, &of, err);
    while (good && (good = sealed_next(&sealed, &raw, &offset, err)) && raw.len)
        good = (record_peek(raw, &length, &seq, &ingest_us) && segment_note(segment, offset, ingest_us)) ||
               error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for a segment's index");
    sealed_close(&sealed);
    if (good)
        segment->is_closed = false;
    else
        segment->count = 0;
    return good;
}

/* The segment that holds `seq`, its index made; NULL with `err` set when that fails, and without when it is in none. */
static segment_t *segment_of(journal_t *journal, uint64_t seq, error_t *err)
{
    segment_t *segment = seq < journal->next_seq ? segments_find(&journal->segments, seq) : NULL;
    if (!segment || !segment->is_closed)
        return segment;
    for (size_t i = 0; journal->segments.items[i] != segment || know_segment(journal, i, err); i++)
        if (journal->segments.items[i] == segment)
            return segment;
    return NULL;
}

static bool in_memory(const journal_t *journal, uint64_t seq, uint64_t offset, bytes_t *raw)
{
    const batch_t *batch = tail_find(&journal->tail, seq);
    uint64_t found_seq;
    int64_t ingest_us;
    uint32_t length;
    if (!batch)
        return false;
    size_t at = (size_t)(offset - batch->at);
    *raw = bytes_from(batch->data.data + at, batch->data.len - at);
    if (!record_peek(*raw, &length, &found_seq, &ingest_us))
        return false;
    raw->len = length;
    return true;
}

/* The checksum may hold and yet it is another record: then the file is not what it was. */
static bool verify(uint64_t seq, bytes_t raw, error_t *err)
{
    uint32_t length;
    uint64_t found;
    int64_t ingest_us;
    if (!record_verify(raw, err))
        return false;
    if (record_peek(raw, &length, &found, &ingest_us) && found == seq)
        return true;
    return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "record %" PRIu64 " is where %" PRIu64 " should be",
                     found, seq);
}

static bool read_bytes(journal_t *journal, const segment_t *segment, uint64_t offset, uint64_t bytes, error_t *err)
{
    buf_t *out = &journal->read;
    buf_clear(out);
    if (!buf_reserve(out, bytes))
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to read a record");
    out->len = bytes;
    return file_read(&journal->folder, segment->fd, out->data, bytes, offset, err);
}

static bool read_from_disk(journal_t *journal, segment_t *segment, uint64_t seq, uint64_t offset, bytes_t *raw,
                           error_t *err)
{
    uint64_t left = segment->header.bytes - offset, found;
    uint32_t length = 0;
    int64_t ingest_us;
    if (!open_segment(journal, segment, err) ||
        !read_bytes(journal, segment, offset, left < FIRST_READ_BYTES ? left : FIRST_READ_BYTES, err))
        return false;
    if (record_peek(buf_bytes(&journal->read), &length, &found, &ingest_us) && length > journal->read.len &&
        length <= left && !read_bytes(journal, segment, offset, length, err))
        return false;
    if (!verify(seq, buf_bytes(&journal->read), err))
        return in_segment(journal, segment, offset, err);
    *raw = bytes_from(journal->read.data, length);
    return true;
}

static bool read_kept(journal_t *journal, uint64_t seq, bytes_t *raw, error_t *err)
{
    uint32_t length;
    uint64_t found;
    int64_t ingest_us;
    if (!kepts_seek(&journal->kepts, &journal->folder, seq, raw, err))
        return false;
    if (raw->len && record_peek(*raw, &length, &found, &ingest_us) && found == seq)
        return true;
    return error_set(err, STATUS_NOT_FOUND, NULL,
                     "record %" PRIu64 " is not in the journal (%" PRIu64 " to %" PRIu64 ", and what was kept)", seq,
                     journal_first_seq(journal), journal->next_seq - 1);
}

bool journal_read(journal_t *journal, uint64_t seq, bytes_t *raw, error_t *err)
{
    error_t why = {0};
    /* Segments first: the tail may still hold records of one that was released. */
    segment_t *segment = segment_of(journal, seq, &why);
    if (why.code != STATUS_OK) {
        if (err)
            *err = why;
        return false;
    }
    if (!segment)
        return read_kept(journal, seq, raw, err);
    uint64_t offset = segment->index[seq - segment->header.first_seq];
    if (in_memory(journal, seq, offset, raw))
        return true;
    return read_from_disk(journal, segment, seq, offset, raw, err);
}

/* -- scanning ------------------------------------------------------------------------------------ */

/* The file may have been closed and opened again since, by a callback that read something else. */
static bool window_to(journal_t *journal, segment_t *segment, error_t *err)
{
    if (!open_segment(journal, segment, err))
        return false;
    journal->window.fd = segment->fd;
    if (journal->window_of == segment->header.number)
        return true;
    journal->window.file_bytes = segment->header.bytes;
    journal->window.at = journal->window.len = 0;
    journal->window_of = segment->header.number;
    return true;
}

static bool scan_from_disk(journal_t *journal, segment_t *segment, uint64_t seq, uint64_t offset, bytes_t *raw,
                           error_t *err)
{
    uint32_t length = 0;
    uint64_t found;
    int64_t ingest_us;
    if (!window_to(journal, segment, err))
        return false;
    error_t why = {.code = STATUS_DATA_LOSS, .message = "the file ends inside a record"};
    const uint8_t *bytes = window_view(&journal->window, offset, RECORD_HEADER_BYTES, &why);
    if (bytes && record_peek(bytes_from(bytes, RECORD_HEADER_BYTES), &length, &found, &ingest_us))
        bytes = window_view(&journal->window, offset, length, &why);
    if (bytes) {
        *raw = bytes_from(bytes, length > RECORD_HEADER_BYTES ? length : RECORD_HEADER_BYTES);
        if (verify(seq, *raw, &why))
            return true;
    }
    if (err)
        *err = why;
    return in_segment(journal, segment, offset, err);
}

/* Of a segment; `seq` is not before the first. */
static bool scan_segment(journal_t *journal, uint64_t seq, bytes_t *raw, error_t *err)
{
    segment_t *segment = segment_of(journal, seq, err);
    if (!segment)
        return false;
    uint64_t offset = segment->index[seq - segment->header.first_seq];
    return in_memory(journal, seq, offset, raw) || scan_from_disk(journal, segment, seq, offset, raw, err);
}

/* The first record there is from *seq on, which moves to it. An empty slice behind the newest. */
static bool scan_one(journal_t *journal, uint64_t *seq, bytes_t *raw, error_t *err)
{
    uint64_t first = journal_first_seq(journal);
    uint32_t length;
    int64_t ingest_us;
    *raw = BYTES_NONE;
    if (*seq < first && !kepts_seek(&journal->kepts, &journal->folder, *seq, raw, err))
        return false;
    if (raw->len && record_peek(*raw, &length, seq, &ingest_us) && *seq < first)
        return true;
    *seq = *seq < first ? first : *seq;
    *raw = BYTES_NONE;
    return *seq >= journal->next_seq || scan_segment(journal, *seq, raw, err);
}

bool journal_scan(journal_t *journal, uint64_t from, size_t max_bytes, journal_apply_fn apply, void *ctx,
                  uint64_t *next, error_t *err)
{
    uint64_t seq = from;
    size_t bytes = 0;
    bool good = true;
    journal->window_of = 0; /* what it saw may have been written since */
    while (seq < journal->next_seq && bytes < max_bytes) {
        bytes_t raw;
        good = scan_one(journal, &seq, &raw, err);
        if (!good || !raw.len)
            break;
        good = record_decode(raw, journal->record, err) && apply(ctx, journal->record, raw, err);
        if (!good)
            break;
        bytes += raw.len;
        seq++;
    }
    *next = seq;
    return good;
}

/* -- by time ------------------------------------------------------------------------------------- */

static bool ingest_of(journal_t *journal, uint64_t seq, int64_t *ingest_us, error_t *err)
{
    bytes_t raw;
    uint32_t length;
    uint64_t found;
    if (!journal_read(journal, seq, &raw, err))
        return false;
    return record_peek(raw, &length, &found, ingest_us);
}

/* The oldest segment whose newest record is not before `us`; the last when there is none. NULL when one cannot be read.
 */
static const segment_t *segment_at_time(journal_t *journal, int64_t us, error_t *err)
{
    size_t low = 0, high = journal->segments.count - 1;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (!know_segment(journal, middle, err))
            return NULL;
        if (journal->segments.items[middle]->last_ingest_us < us)
            low = middle + 1;
        else
            high = middle;
    }
    return know_segment(journal, low, err) ? journal->segments.items[low] : NULL;
}

/* Among kept records; *seq is 0 when all are older. */
static bool kept_at_time(journal_t *journal, int64_t us, uint64_t *seq, error_t *err)
{
    uint64_t low = 1, high = journal_first_seq(journal);
    *seq = 0;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2, found = 0;
        bytes_t raw;
        uint32_t length;
        int64_t ingest_us = 0;
        if (!kepts_seek(&journal->kepts, &journal->folder, middle, &raw, err))
            return false;
        bool is_late = !raw.len || !record_peek(raw, &length, &found, &ingest_us) || ingest_us >= us;
        if (is_late) {
            *seq = raw.len ? found : *seq;
            high = middle;
        } else {
            low = found + 1;
        }
    }
    return true;
}

bool journal_find_time(journal_t *journal, int64_t us, uint64_t *seq, error_t *err)
{
    if (!kept_at_time(journal, us, seq, err))
        return false;
    if (*seq)
        return true;
    const segment_t *segment = segment_at_time(journal, us, err);
    if (!segment)
        return false;
    uint64_t low = segment->header.first_seq, high = low + segment->count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        int64_t ingest_us = 0;
        if (!ingest_of(journal, middle, &ingest_us, err))
            return false;
        if (ingest_us < us)
            low = middle + 1;
        else
            high = middle;
    }
    *seq = low;
    return true;
}

/* -- what is lost ---------------------------------------------------------------------------------- */
static bool lost_in_block(bytes_t left, journal_lost_fn each, void *ctx, error_t *err)
{
    uint32_t length;
    uint64_t seq;
    int64_t ingest_us;
    for (; left.len; left = bytes_from(left.data + length, left.len - length)) {
        if (!record_peek(left, &length, &seq, &ingest_us) || length > left.len)
            return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "a block of kept records does not hold");
        uint64_t through = kept_note_through(bytes_from(left.data, length));
        if (through)
            each(ctx, seq, through);
    }
    return true;
}

bool journal_each_lost(journal_t *journal, journal_lost_fn each, void *ctx, error_t *err)
{
    buf_t block = {0};
    bool good = true;
    for (size_t file = 0; good && file < journal->kepts.count; file++) {
        kept_t *kept = journal->kepts.items[file];
        for (size_t i = 0; good && kept->notes && i < kept->count; i++)
            good = kept_read_block(kept, &journal->folder, i, &block, err) &&
                   lost_in_block(buf_bytes(&block), each, ctx, err);
    }
    buf_free(&block);
    return good;
}
