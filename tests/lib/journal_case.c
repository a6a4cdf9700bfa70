/* journal_case.c: appends, remembers, compares. */
#include "tests/lib/journal_case.h"

#include <stdio.h>
#include <stdlib.h>

static bool wrong(journal_case_t *c, uint64_t seq, const char *what)
{
    return error_set(&c->err, STATUS_INTERNAL, "TEST", "record %llu: %s", (unsigned long long)seq, what);
}

/* An interrupted release may have moved the beginning. */
static void follow_first(journal_case_t *c, uint64_t seq)
{
    if (seq > c->first && seq <= c->releasable)
        c->first = seq;
}

static bool compare(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    journal_case_t *c = ctx;
    if (c->checked == 0)
        follow_first(c, record->seq);
    uint64_t wanted = c->first + c->checked++;
    if (record->seq != wanted)
        return error_set(err, STATUS_INTERNAL, "TEST", "record %llu where %llu should be",
                         (unsigned long long)record->seq, (unsigned long long)wanted);
    if (wanted > c->count || !bytes_eq(raw, c->records[wanted - 1]))
        return error_set(err, STATUS_INTERNAL, "TEST", "record %llu was never appended like this",
                         (unsigned long long)wanted);
    return true;
}

static void forget_from(journal_case_t *c, uint64_t seq)
{
    while (c->count >= seq && c->count > 0)
        free((void *)(uintptr_t)c->records[--c->count].data);
}

bool journal_case_open(journal_case_t *c)
{
    c->checked = 0;
    c->first = c->first ? c->first : 1;
    c->journal = journal_open(&c->options, compare, c, &c->recovery, &c->err);
    if (!c->journal)
        return false;
    follow_first(c, journal_first_seq(c->journal));
    if (journal_first_seq(c->journal) != c->first)
        return wrong(c, journal_first_seq(c->journal), "is the first one, and should not be");
    if (journal_synced(c->journal) < c->acked)
        return wrong(c, c->acked, "was acknowledged and is lost");
    forget_from(c, journal_next_seq(c->journal));
    c->acked = journal_synced(c->journal);
    return true;
}

void journal_case_remember(journal_case_t *c, bytes_t raw)
{
    if (c->count == c->cap) {
        c->cap = c->cap ? c->cap * 2 : 64;
        c->records = realloc(c->records, c->cap * sizeof *c->records);
    }
    uint8_t *copy = malloc(raw.len);
    if (!c->records || !copy)
        abort();
    memcpy(copy, raw.data, raw.len);
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

bool journal_case_read_all(journal_case_t *c)
{
    uint64_t next = c->first;
    for (uint64_t seq = c->first; seq <= c->count; seq++) {
        bytes_t raw;
        if (!journal_read(c->journal, seq, &raw, &c->err))
            return false;
        if (!bytes_eq(raw, c->records[seq - 1]))
            return wrong(c, seq, "was read differently");
    }
    c->checked = 0;
    while (next <= c->count)
        if (!journal_scan(c->journal, next, 5000, compare, c, &next, &c->err))
            return false;
    return c->checked == c->count + 1 - c->first ? true : wrong(c, c->checked, "is how many a scan found");
}

void journal_case_free(journal_case_t *c)
{
    (void)journal_case_close(c);
    forget_from(c, 1);
    free(c->records);
}
