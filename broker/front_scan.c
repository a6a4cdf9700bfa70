/* front_scan.c: reads the journal for live subscriptions that are behind: a slice a turn, so that catching up never
 * holds up what is live. */
#include <stdlib.h>

#include "broker/front_internal.h"

typedef struct {
    front_t *front;
    uint64_t scan;
} slice_t;

static void run_one(void *ctx);

static void plan(front_t *f)
{
    if (f->scan_planned || f->scan_count == 0 || f->has_failed)
        return;
    f->scan_planned = true;
    loop_soon(f->loop, run_one, f);
}

static void grow(front_t *f)
{
    size_t cap = f->scan_cap ? f->scan_cap * 2 : 64;
    front_scan_t *scans = calloc(cap, sizeof *scans);
    if (!scans || cap > FRONT_SCANS_MAX * 2)
        abort(); /* the core has at most one scan for each subscription under way */
    for (size_t i = 0; i < f->scan_count; i++)
        scans[i] = f->scans[(f->scan_first + i) % f->scan_cap];
    free(f->scans);
    f->scans = scans;
    f->scan_first = 0;
    f->scan_cap = cap;
}

void front_scan_put(front_t *front, const front_scan_t *scan)
{
    if (front->scan_count == front->scan_cap)
        grow(front);
    front->scans[(front->scan_first + front->scan_count++) % front->scan_cap] = *scan;
    plan(front);
}

static bool feed(void *ctx, const record_t *record, bytes_t raw UNUSED, error_t *err UNUSED)
{
    slice_t *slice = ctx;
    core_input_t input = {.kind = CORE_IN_SCANNED};
    input.scanned.scan = slice->scan;
    input.scanned.record = record;
    front_step(slice->front, &input);
    return true;
}

static bool first_record(front_t *f, const front_scan_t *scan, uint64_t *from, error_t *err)
{
    uint64_t oldest = journal_first_seq(f->journal);
    *from = scan->from;
    if (scan->from == 0 && !journal_find_time(f->journal, scan->since_us, from, err))
        return false;
    if (*from < oldest)
        *from = oldest; /* the core sees by the record's sequence that some are missing */
    return true;
}

static bool read_slice(front_t *f, const front_scan_t *scan, uint64_t *next, error_t *err)
{
    slice_t slice = {.front = f, .scan = scan->scan};
    uint64_t from;
    if (!first_record(f, scan, &from, err))
        return false;
    *next = from;
    return from >= journal_next_seq(f->journal) ||
           journal_scan(f->journal, from, scan->max_bytes, feed, &slice, next, err);
}

static void run_one(void *ctx)
{
    front_t *f = ctx;
    error_t err = {0};
    core_input_t input = {.kind = CORE_IN_SCANNED};
    f->scan_planned = false;
    if (f->scan_count == 0 || f->has_failed)
        return;
    front_scan_t scan = f->scans[f->scan_first];
    f->scan_first = (f->scan_first + 1) % f->scan_cap;
    f->scan_count--;
    if (!read_slice(f, &scan, &input.scanned.next, &err)) {
        front_fail(f, "the journal cannot be read", &err);
        return;
    }
    input.scanned.scan = scan.scan;
    input.scanned.end = input.scanned.next >= journal_next_seq(f->journal);
    front_step(f, &input);
    front_settle(f);
    plan(f);
}
