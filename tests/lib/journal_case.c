/* journal_case.c: appends, remembers, compares. */
#include "tests/lib/journal_case.h"

#include <stdio.h>
#include <stdlib.h>

static bool wrong(journal_case_t *c, uint64_t seq, const char *what)
{
    return error_set(&c->err, STATUS_INTERNAL, "TEST", "record %llu: %s", (unsigned long long)seq, what);
}

static bool compare(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    journal_case_t *c = ctx;
    uint64_t wanted = c->snapshot + ++c->checked;
    if (record->seq != wanted)
        return error_set(err, STATUS_INTERNAL, "TEST", "record %llu where %llu should be",
                         (unsigned long long)record->seq, (unsigned long long)wanted);
    if (wanted > c->count || !bytes_eq(raw, c->records[wanted - 1]))
        return error_set(err, STATUS_INTERNAL, "TEST", "record %llu was never appended like this",
                         (unsigned long long)wanted);
    return true;
}

/* -- the state that snapshots hold -------------------------------------------------------------------- */
typedef struct {
    uint64_t count;
    uint32_t sum;
} folded_t;

static bool fold_one(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    folded_t *folded = ctx;
    if (record->seq != folded->count + 1)
        return error_set(err, STATUS_INTERNAL, "TEST", "record %llu is folded behind %llu",
                         (unsigned long long)record->seq, (unsigned long long)folded->count);
    folded->count++;
    folded->sum = crc32c(folded->sum, raw.data, raw.len);
    return true;
}

static bool take_state(void *ctx, bytes_t items, error_t *err)
{
    folded_t *folded = ctx;
    if (items.len == 0)
        return folded->count > 0;
    if (items.len != sizeof *folded)
        return error_set(err, STATUS_INTERNAL, "TEST", "a slice of %zu bytes came back", items.len);
    memcpy(folded, items.data, sizeof *folded);
    return true;
}

static bool load_state(void *ctx, bytes_t items, error_t *err)
{
    journal_case_t *c = ctx;
    folded_t folded = {.count = c->snapshot};
    uint32_t sum = 0;
    if (!take_state(&folded, items, err) || !items.len)
        return items.len == 0;
    for (uint64_t i = 0; i < folded.count && i < c->count; i++)
        sum = crc32c(sum, c->records[i].data, c->records[i].len);
    c->snapshot = folded.count;
    return (sum == folded.sum && folded.count <= c->count) ||
           error_set(err, STATUS_INTERNAL, "TEST", "the snapshot of record %llu is not what was folded",
                     (unsigned long long)folded.count);
}

void journal_case_drop(journal_case_t *c, uint64_t seq)
{
    c->dropped[seq - 1] = true;
}

static bool tell_need(const journal_case_t *c, journal_checkpoint_t *checkpoint, error_t *err)
{
    size_t count = 0;
    uint64_t *needed = malloc((c->count + 1) * sizeof *needed);
    if (!needed)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for what is needed");
    for (uint64_t seq = 1; seq <= journal_checkpoint_released(checkpoint); seq++)
        if (!c->dropped[seq - 1])
            needed[count++] = seq;
    return journal_checkpoint_need(checkpoint, needed, count, err);
}

static bool run_checkpoint(journal_case_t *c, journal_checkpoint_t *checkpoint)
{
    folded_t folded = {0};
    bool done = false;
    error_t *err = &c->err;
    size_t step = 1 + random_below(&c->random, 5000);
    while (!done)
        if (!journal_checkpoint_load(checkpoint, take_state, &folded, step, &done, err))
            return false;
    for (done = false; !done;)
        if (!journal_checkpoint_fold(checkpoint, fold_one, &folded, step, &done, err))
            return false;
    if (!tell_need(c, checkpoint, err))
        return false;
    for (done = false; !done;)
        if (!journal_checkpoint_copy(checkpoint, step, &done, err))
            return false;
    if (!journal_checkpoint_write(checkpoint, bytes_from(&folded, sizeof folded), err) ||
        !journal_checkpoint_publish(checkpoint, err) || !journal_checkpoint_adopt(c->journal, checkpoint, err))
        return false;
    for (done = false; !done;)
        if (!journal_checkpoint_release(checkpoint, &done, err))
            return false;
    return true;
}

bool journal_case_checkpoint(journal_case_t *c, uint64_t retain_bytes, bool *none)
{
    const journal_retain_t retain = {.bytes = retain_bytes, .since_us = INT64_MAX, .from_seq = UINT64_MAX};
    journal_checkpoint_t *checkpoint = journal_checkpoint_begin(c->journal, &retain, &c->err);
    *none = !checkpoint;
    if (!checkpoint)
        return c->err.code == STATUS_OK;
    bool good = run_checkpoint(c, checkpoint);
    if (!good)
        journal_checkpoint_broke(c->journal, &c->err);
    journal_checkpoint_free(&checkpoint);
    return good;
}

/* -- the journal -------------------------------------------------------------------------------------- */
static void forget_from(journal_case_t *c, uint64_t seq)
{
    while (c->count >= seq && c->count > 0)
        free((void *)(uintptr_t)c->records[--c->count].data);
}

bool journal_case_open(journal_case_t *c)
{
    c->checked = c->snapshot = 0;
    c->options.load = load_state;
    c->journal = journal_open(&c->options, compare, c, &c->recovery, &c->err);
    if (!c->journal)
        return false;
    if (journal_synced(c->journal) < c->acked)
        return wrong(c, c->acked, "was acknowledged and is lost");
    if (c->snapshot + c->checked != journal_synced(c->journal))
        return wrong(c, c->snapshot + c->checked, "is the newest that was told, and should not be");
    if (journal_first_seq(c->journal) > c->snapshot + 1)
        return wrong(c, journal_first_seq(c->journal), "is the first one, and should not be");
    forget_from(c, journal_next_seq(c->journal));
    c->acked = journal_synced(c->journal);
    return true;
}

void journal_case_remember(journal_case_t *c, bytes_t raw)
{
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->records = realloc(c->records, c->cap * sizeof *c->records);
        c->dropped = realloc(c->dropped, c->cap * sizeof *c->dropped);
    }
    uint8_t *copy = malloc(raw.len);
    if (!c->records || !c->dropped || !copy)
        abort();
    memcpy(copy, raw.data, raw.len);
    c->dropped[c->count] = false;
    c->records[c->count++] = bytes_from(copy, raw.len);
}

bool journal_case_append(journal_case_t *c, size_t body_max)
{
    buf_t raw = {0};
    uint8_t *body = malloc(body_max + 8);
    size_t len = body ? random_below(&c->random, body_max + 1) : 0;
    for (size_t i = 0; i < len; i += 8) {
        uint64_t bits = random_u64(&c->random);
        memcpy(body + i, &bits, 8);
    }
    record_send_t send = {.queue = c->count, .body = bytes_from(body, len)};
    c->time_us += (int64_t)random_below(&c->random, 1000);
    record_encode(&raw, journal_next_seq(c->journal), c->time_us, RECORD_SEND, &send);
    bool good = journal_append(c->journal, buf_bytes(&raw), &c->err);
    if (good)
        journal_case_remember(c, buf_bytes(&raw));
    buf_free(&raw);
    free(body);
    return good;
}

void journal_case_note(journal_case_t *c)
{
    c->acked = journal_synced(c->journal);
}

bool journal_case_close(journal_case_t *c)
{
    if (!c->journal)
        return true;
    bool good = journal_close(&c->journal, &c->err);
    if (good)
        c->acked = c->count;
    return good;
}

/* A scan gives each record once and in order, and leaves none out that is needed. */
static bool scan_one(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    journal_case_t *c = ctx;
    for (; c->checked + 1 < record->seq; c->checked++)
        if (!c->dropped[c->checked])
            return error_set(err, STATUS_INTERNAL, "TEST", "a scan left out record %llu",
                             (unsigned long long)c->checked + 1);
    if (record->seq != c->checked + 1 || record->seq > c->count || !bytes_eq(raw, c->records[c->checked]))
        return error_set(err, STATUS_INTERNAL, "TEST", "a scan gave record %llu behind %llu, or another one",
                         (unsigned long long)record->seq, (unsigned long long)c->checked);
    c->checked++;
    return true;
}

static bool read_one(journal_case_t *c, uint64_t seq)
{
    bytes_t raw;
    if (journal_read(c->journal, seq, &raw, &c->err))
        return bytes_eq(raw, c->records[seq - 1]) || wrong(c, seq, "was read differently");
    return c->err.code == STATUS_NOT_FOUND && c->dropped[seq - 1] && seq < journal_first_seq(c->journal);
}

bool journal_case_read_all(journal_case_t *c)
{
    uint64_t next = 1;
    for (uint64_t seq = 1; seq <= c->count; seq++)
        if (!read_one(c, seq))
            return false;
    c->checked = 0;
    while (next <= c->count)
        if (!journal_scan(c->journal, next, 5000, scan_one, c, &next, &c->err))
            return false;
    return c->checked == c->count || wrong(c, c->checked, "is the last that a scan found");
}

void journal_case_free(journal_case_t *c)
{
    (void)journal_case_close(c);
    forget_from(c, 1);
    free(c->records);
    free(c->dropped);
}
