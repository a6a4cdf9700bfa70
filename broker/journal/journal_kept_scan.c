/* journal_kept_scan.c: block by block, record by record, and on behind what does not hold. */
#include "broker/journal/journal_kept_scan.h"

#define COUNT_UNKNOWN UINT64_MAX

typedef struct {
    const folder_t *folder;
    const kept_ref_t *ref;
    const kept_sink_t *sink;
    window_t window;
    uint64_t *found;
    uint64_t low; /* the next record has this sequence or a higher one */
    kept_hole_t hole;
    bool has_hole;
    uint64_t holes;
} scan_t;

/* The record at `at`, before `end`, if it holds and its sequence is in range; *length is what it claims all the same,
 * 0 for nothing that can be. NULL with err->code set when the file cannot be read. */
static const uint8_t *record_at(scan_t *s, uint64_t at, uint64_t end, uint64_t low, uint64_t *seq, uint32_t *length,
                                error_t *err)
{
    int64_t ingest_us;
    *length = 0;
    const uint8_t *data = end - at < RECORD_HEADER_BYTES ? NULL : window_view(&s->window, at, RECORD_HEADER_BYTES, err);
    if (!data || !record_peek(bytes_from(data, RECORD_HEADER_BYTES), length, seq, &ingest_us) || *length > end - at) {
        *length = 0;
        return NULL;
    }
    if (*seq < low || *seq > s->ref->last)
        return NULL;
    data = window_view(&s->window, at, *length, err);
    return data && record_verify(bytes_from(data, *length), NULL) ? data : NULL;
}

/* True when `count` records stand from `at` to `end`, and nothing else. */
static bool chain_holds(scan_t *s, uint64_t at, uint64_t end, uint64_t count, error_t *err)
{
    uint64_t seq, low = s->low;
    uint32_t length;
    for (; count && record_at(s, at, end, low, &seq, &length, err); count--) {
        at += length;
        low = seq + 1;
    }
    return count == 0 && at == end;
}

/* Where reading goes on when the record at `at` does not hold, `left` of its block not having been read, it included.
 */
static uint64_t resync(scan_t *s, uint64_t at, uint64_t end, uint64_t left, uint32_t length, error_t *err)
{
    uint64_t seq;
    uint32_t next;
    if (length && (at + length == end || record_at(s, at + length, end, s->low, &seq, &next, err)))
        return at + length;
    for (uint64_t look = at + 1; left != COUNT_UNKNOWN && left > 1 && look < end && err->code == STATUS_OK; look++)
        if (chain_holds(s, look, end, left - 1, err))
            return look;
    return end;
}

static bool tell_hole(scan_t *s, uint64_t next_seq, error_t *err)
{
    bool had = s->has_hole;
    s->has_hole = false;
    s->hole.next_seq = next_seq;
    return !had || s->sink->hole(s->sink->ctx, &s->hole, err);
}

static void note_hole(scan_t *s, uint64_t at, uint64_t end)
{
    if (!s->has_hole)
        s->hole = (kept_hole_t){.at = at, .first_seq = s->low};
    s->holes += !s->has_hole;
    s->hole.end = end;
    s->has_hole = true;
}

/* Records from `at` to `end`: `count` of them. */
static bool scan_block(scan_t *s, uint64_t at, uint64_t end, uint64_t count, error_t *err)
{
    while (at < end && *s->found < s->ref->records) {
        error_t why = {0};
        uint64_t seq;
        uint32_t length;
        const uint8_t *data = record_at(s, at, end, s->low, &seq, &length, &why);
        if (data) {
            if (!tell_hole(s, seq, err) || !s->sink->record(s->sink->ctx, seq, bytes_from(data, length), err))
                return false;
            ++*s->found;
            s->low = seq + 1;
            at += length;
        } else {
            uint64_t next = resync(s, at, end, count, length, &why);
            note_hole(s, at, next);
            at = next;
        }
        if (why.code != STATUS_OK) {
            *err = why;
            return false;
        }
        count -= count && count != COUNT_UNKNOWN;
    }
    return true;
}

static bool scan_all(scan_t *s, const kept_t *kept, error_t *err)
{
    if (!kept)
        return s->window.file_bytes <= KEPT_HEADER_BYTES ||
               scan_block(s, KEPT_HEADER_BYTES, s->window.file_bytes, COUNT_UNKNOWN, err);
    for (size_t i = 0; i < kept->count; i++) {
        uint64_t at = kept->blocks[i].offset;
        if (!scan_block(s, at, at + kept_block_bytes(kept, i), kept->blocks[i].count, err))
            return false;
    }
    return true;
}

bool kept_scan(const folder_t *folder, int fd, const kept_ref_t *ref, const kept_t *kept, const kept_sink_t *sink,
               uint64_t *found, error_t *err)
{
    char name[FILE_NAME_BYTES];
    error_t why = {0};
    scan_t s = {.folder = folder,
                .ref = ref,
                .sink = sink,
                .window = {.folder = folder, .fd = fd},
                .found = found,
                .low = ref->first};
    kept_name(ref->made, ref->first, name);
    *found = 0;
    bool good = fd < 0 || (file_size(folder, name, fd, &s.window.file_bytes, &why) && scan_all(&s, kept, &why));
    if (good && *found < ref->records) {
        bool is_told = s.holes && s.low > ref->last;
        if (!s.has_hole && !is_told)
            note_hole(&s, s.window.file_bytes, ref->bytes);
        good = tell_hole(&s, ref->last + 1, &why);
    }
    window_free(&s.window);
    if (!good && err)
        *err = why;
    return good;
}
