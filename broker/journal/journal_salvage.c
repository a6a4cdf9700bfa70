/* journal_salvage.c: following records by their own lengths and checksums. */
#include "broker/journal/journal_salvage.h"

#include <stdlib.h>

#define FIRST_RECORDS 64

typedef struct {
    salvage_t *out;
    window_t *window;
    uint64_t at, end;
    uint64_t seq, next_seq; /* wanted: from seq to before next_seq */
    error_t *err;
} salvager_t;

typedef struct {
    const uint8_t *data;
    uint32_t length;
    uint64_t seq;
    bool holds;
} found_t;

static bool keep(salvage_t *salvage, const found_t *found, error_t *err)
{
    if (salvage->count == salvage->cap) {
        size_t cap = salvage->cap ? salvage->cap * 2 : FIRST_RECORDS;
        bytes_t *records = realloc(salvage->records, cap * sizeof *records);
        if (!records)
            return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for what is saved");
        salvage->records = records;
        salvage->cap = cap;
    }
    salvage->records[salvage->count++] = bytes_from(NULL, found->length);
    buf_append(&salvage->bytes, found->data, found->length);
    return !salvage->bytes.failed || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for what is saved");
}

/* A record header that can be at `at`, and whether the record holds. */
static bool look(const salvager_t *s, uint64_t at, uint64_t seq, found_t *found)
{
    error_t ignored = {0};
    int64_t ingest_us;
    if (at + RECORD_HEADER_BYTES > s->end)
        return false;
    const uint8_t *bytes = window_view(s->window, at, RECORD_HEADER_BYTES, &ignored);
    if (!bytes || !record_peek(bytes_from(bytes, RECORD_HEADER_BYTES), &found->length, &found->seq, &ingest_us) ||
        found->seq < seq || found->seq >= s->next_seq || found->length > s->end - at)
        return false;
    found->data = window_view(s->window, at, found->length, &ignored);
    found->holds = found->data && record_verify(bytes_from(found->data, found->length), NULL);
    return found->data != NULL;
}

/* True when from `at` on there are good records, one behind the other, to the last that is wanted, and the damage ends
 * behind it (but for padding). */
static bool chain_holds(const salvager_t *s, uint64_t at, uint64_t seq)
{
    found_t found;
    for (; look(s, at, seq, &found) && found.holds && found.seq == seq; seq++)
        at += found.length;
    return seq == s->next_seq && s->end - at < 8;
}

/* Where such a chain begins; the end when there is none. */
static uint64_t find_chain(const salvager_t *s)
{
    found_t found;
    for (uint64_t at = s->at + 1; at < s->end; at++)
        if (look(s, at, s->seq, &found) && found.holds && chain_holds(s, at, found.seq))
            return at;
    return s->end;
}

static bool is_next(const salvager_t *s, uint64_t at, found_t *found)
{
    return look(s, at, s->seq, found) && (found->holds || found->seq == s->seq);
}

/* Behind a batch's last record: padding, and the header of the next one, which may not hold either. */
static uint64_t behind_header(uint64_t at)
{
    return batch_padded(at) + BATCH_HEADER_BYTES;
}

/* Behind a record that does not hold: its length may be what is wrong. */
static uint64_t behind_damaged(const salvager_t *s, const found_t *damaged)
{
    found_t found;
    uint64_t next = s->at + damaged->length;
    if (look(s, next, s->seq + 1, &found) && found.holds && found.seq == s->seq + 1)
        return next;
    uint64_t chain = find_chain(s);
    return chain < s->end ? chain : next;
}

static bool step(salvager_t *s)
{
    found_t found;
    if (!is_next(s, s->at, &found)) {
        uint64_t behind = behind_header(s->at);
        s->at = is_next(s, behind, &found) ? behind : find_chain(s);
        return true;
    }
    bool good = !found.holds || keep(s->out, &found, s->err);
    s->at = found.holds ? s->at + found.length : behind_damaged(s, &found);
    s->seq = found.seq + 1;
    return good;
}

bool salvage_read(salvage_t *salvage, window_t *window, uint64_t at, uint64_t end, uint64_t first_seq,
                  uint64_t next_seq, error_t *err)
{
    salvager_t s = {.out = salvage,
                    .window = window,
                    .at = at + BATCH_HEADER_BYTES,
                    .end = end < window->file_bytes ? end : window->file_bytes,
                    .seq = first_seq,
                    .next_seq = next_seq,
                    .err = err};
    bool good = true;
    salvage->count = 0;
    buf_clear(&salvage->bytes);
    while (good && s.at < s.end && s.seq < s.next_seq)
        good = step(&s);
    for (size_t i = 0, done = 0; i < salvage->count; done += salvage->records[i++].len)
        salvage->records[i].data = salvage->bytes.data + done;
    return good;
}

void salvage_free(salvage_t *salvage)
{
    free(salvage->records);
    buf_free(&salvage->bytes);
    *salvage = (salvage_t){0};
}
