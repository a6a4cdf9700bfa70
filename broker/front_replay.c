/* front_replay.c: reads archives and log for replays, a slice a turn, and not far ahead of the disk: what is live is
 * synced together with what a replay wrote, and waits for little of it. Where nothing live comes it may write more. */
#include <stdlib.h>

#include "broker/front_internal.h"
#include "kit/clock.h"
#include "kit/log.h"

#define AHEAD FRONT_REPLAY_AHEAD            /* slices whose records need not be synced yet */
#define AHEAD_OF_LIVE 1                     /* while somebody publishes or sends */
#define SLICE_OF_LIVE_BYTES ((size_t)32768) /* then, too */
#define LIVE_US 200000                      /* so long after the newest PUBLISH or SEND nobody does */

typedef struct {
    front_t *front;
    uint64_t scan;
} slice_t;

static void run_one(void *ctx);

static bool is_live(const front_t *f)
{
    return clock_mono_us() - f->live_us < LIVE_US;
}

/* The journal has what was written before the last few slices. */
static bool keeps_up(const front_t *f)
{
    uint64_t ahead = is_live(f) ? AHEAD_OF_LIVE : AHEAD;
    return f->replay_slices < ahead ||
           journal_synced(f->journal) + 1 >= f->replay_ends[(f->replay_slices - ahead) % AHEAD];
}

void front_replay_plan(front_t *f)
{
    if (f->replay_planned || f->replay_count == 0 || f->has_failed || !keeps_up(f))
        return;
    f->replay_planned = true;
    loop_soon(f->loop, run_one, f);
}

/* Those of replays that were paused or ended meanwhile. */
static void drop_unwanted(front_t *f)
{
    core_replay_source_t source;
    size_t kept = 0;
    for (size_t i = 0; i < f->replay_count; i++)
        if (core_replay_source(f->core, f->replays[i].scan, &source))
            f->replays[kept++] = f->replays[i];
    f->replay_count = kept;
}

void front_replay_put(front_t *f, const front_scan_t *scan)
{
    drop_unwanted(f);
    if (f->replay_count == FRONT_REPLAYS_MAX)
        abort(); /* the core has one reading for each replay that runs */
    f->replays[f->replay_count++] = *scan;
    front_replay_plan(f);
}

static bool feed(void *ctx, const record_t *record)
{
    const slice_t *slice = ctx;
    core_input_t input = {.kind = CORE_IN_REPLAYED, .more = true};
    if (!core_replay_goes_on(slice->front->core, slice->scan))
        return false;
    input.scanned.scan = slice->scan;
    input.scanned.record = record;
    front_step(slice->front, &input);
    return core_replay_goes_on(slice->front->core, slice->scan);
}

/* What left the log while it was wanted, and went into no archive. */
static bool is_lost(const front_t *f, const history_source_t *source, uint64_t from, error_t *err)
{
    uint64_t first = journal_first_seq(f->journal);
    return !source->archive.len && from && from < first &&
           !error_set(err, STATUS_DATA_LOSS, NULL,
                      "records %llu to %llu have left the log, and the bus has no archive: retain more of the log, or "
                      "give it an archive",
                      (unsigned long long)from, (unsigned long long)first - 1);
}

static bool read_slice(front_t *f, const front_scan_t *scan, uint64_t *next, error_t *err)
{
    core_replay_source_t wanted;
    slice_t slice = {f, scan->scan};
    uint64_t from = scan->from;
    if (!core_replay_source(f->core, scan->scan, &wanted))
        return true; /* nobody waits for it any more */
    const history_source_t source = {wanted.archive, wanted.ids, wanted.id_count};
    if (is_lost(f, &source, from, err))
        return false;
    if (!from && !history_find_time(f->history, &source, scan->since_us, &from, err))
        return false;
    *next = from;
    size_t bytes = is_live(f) ? SLICE_OF_LIVE_BYTES : scan->max_bytes;
    return history_read(f->history, &source, from, bytes, feed, &slice, next, err);
}

static void run_one(void *ctx)
{
    front_t *f = ctx;
    error_t err = {0};
    core_input_t input = {.kind = CORE_IN_REPLAYED};
    f->replay_planned = false;
    if (f->replay_count == 0 || f->has_failed)
        return;
    front_scan_t scan = f->replays[0];
    memmove(f->replays, f->replays + 1, --f->replay_count * sizeof *f->replays);
    input.scanned.scan = scan.scan;
    if (!read_slice(f, &scan, &input.scanned.next, &err)) {
        log_error("a replay cannot be read", LOG_S("error", err.message));
        input.scanned.broken = &err;
    }
    input.scanned.end = input.scanned.next >= journal_next_seq(f->journal);
    front_step(f, &input);
    front_settle(f);
    f->replay_ends[f->replay_slices++ % AHEAD] = journal_next_seq(f->journal);
    front_replay_plan(f);
}
