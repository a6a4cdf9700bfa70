/* replay_run.c: one slice after the other, at the pace that was asked for. */
#include "broker/core/archive_def.h"
#include "broker/core/ledger.h"
#include "broker/core/publish.h"
#include "broker/core/replay.h"
#include "broker/core/route.h"
#include "broker/core/subscription.h"
#include "broker/core/topology.h"
#include "proto/msgpack.h"

#define SCAN_ID_BITS 32
#define RETRY_US US_PER_S
#define NOTE_US US_PER_S
#define LAG_RECORDS 2000 /* of a subscriber that is replayed to: it must not come to a gap */
#define LAG_RETRY_US (5 * US_PER_MS)
#define PACE_SLICE_US (10 * US_PER_MS) /* with a rate: as much of it as a slice may hold */
#define NS_PER_US 1000
#define NS_PER_S INT64_C(1000000000)
#define PERMILLE 1000

/* -- waiting ------------------------------------------------------------------------------------------- */
static void wait_until(core_t *core, replay_t *r, int64_t until_us, const char *why)
{
    if (why && !r->waits)
        effects_log(core->out, LOG_INFO, "replay %s waits: %s", r->name, why);
    r->waits = why;
    r->timer_us = until_us > core->now_us ? until_us : core->now_us;
    r->is_sated = true;
}

static const sub_t *subscriber_of(const core_t *core, bytes_t to)
{
    bytes_t name = bytes_from(to.data + strlen("subscriber:"), to.len - strlen("subscriber:"));
    for (uint32_t i = 0; i < core->subs.cursors.count; i++) {
        const sub_t *sub = subscription_at(core, core->subs.cursors.items[i]);
        if (bytes_eq_cstr(name, sub->name))
            return sub;
    }
    return NULL;
}

/* False when the replay waits, or has come to an end. */
static bool may_go_on(core_t *core, replay_t *r)
{
    error_t err;
    bytes_t to = r->settings.to;
    if (core->input->is_full && !r->is_dry) {
        wait_until(core, r, core->now_us + RETRY_US, "the disk is full");
        return false;
    }
    if (core->messages.all.used + RECORD_ROUTES_MAX > MESSAGES_MAX && !r->is_dry) {
        wait_until(core, r, core->now_us + RETRY_US, "the broker holds all the messages that it may");
        return false;
    }
    if (!bytes_has_prefix(to, BYTES_LIT("subscriber:"))) {
        if (r->settings.rules.len || route_check_to(core, to, &err))
            return true;
        replay_move(core, r, REPLAY_FAILED, err.message);
        return false;
    }
    const sub_t *sub = subscriber_of(core, to);
    if (!sub)
        wait_until(core, r, core->now_us + RETRY_US, "no live subscription has that name now");
    else if (!r->is_dry && sub->state != CURSOR_HEAD && core->next_seq - sub->next > LAG_RECORDS)
        wait_until(core, r, core->now_us + LAG_RETRY_US, "the subscriber has not read what it got");
    else
        return true;
    return false;
}

/* -- pace ---------------------------------------------------------------------------------------------- */
static int64_t due_by_speed(const core_t *core, replay_t *r, int64_t ingest_us)
{
    if (!r->anchor_us) {
        r->anchor_us = core->now_us;
        r->anchor_ingest_us = ingest_us;
    }
    __extension__ typedef __int128 wide_t;
    wide_t behind = (wide_t)(ingest_us - r->anchor_ingest_us) * PERMILLE / (wide_t)r->settings.speed_permille;
    return behind < INT64_MAX / 4 ? r->anchor_us + (int64_t)behind : INT64_MAX / 2;
}

/* A slice may take what has become due since the last one: the rate holds on average over it. */
static int64_t due_by_rate(const core_t *core, replay_t *r)
{
    int64_t earliest_ns = (core->now_us - PACE_SLICE_US) * NS_PER_US;
    if (r->due_ns < earliest_ns)
        r->due_ns = earliest_ns;
    return r->due_ns / NS_PER_US;
}

static bool is_due(core_t *core, replay_t *r, int64_t ingest_us)
{
    if (r->is_dry || (!r->settings.rate && !r->settings.speed_permille))
        return true;
    int64_t due_us = r->settings.rate ? due_by_rate(core, r) : due_by_speed(core, r, ingest_us);
    if (due_us <= core->now_us)
        return true;
    int64_t slice_us = r->settings.rate ? core->now_us + PACE_SLICE_US : 0;
    wait_until(core, r, due_us > slice_us ? due_us : slice_us, NULL);
    return false;
}

/* -- one event ----------------------------------------------------------------------------------------- */
static void take_archive_pattern(core_t *core, replay_t *r)
{
    archive_def_t def;
    error_t err;
    if (r->version == archive_def_version(core))
        return;
    r->version = archive_def_version(core);
    pattern_free(&r->archive_pattern);
    for (uint32_t i = 0; r->settings.archive.len && archive_def_at(core, i, &def); i++)
        if (bytes_eq(def.name, r->settings.archive))
            (void)!archive_def_pattern(&def, &r->archive_pattern, &err);
}

static bool has_id(const replay_settings_t *s, bytes_t event)
{
    bytes_t id;
    if (!s->id_count)
        return true;
    if (!mp_map_str(event, "id", &id))
        return false;
    for (uint32_t i = 0; i < s->id_count; i++)
        if (bytes_eq(s->ids[i], id))
            return true;
    return false;
}

static bool is_wanted(const replay_t *r, const record_t *record)
{
    const replay_settings_t *s = &r->settings;
    const archive_def_t def = {.bus = s->bus};
    const record_publish_t *event = &record->publish;
    return record->ingest_us >= s->from_us && archive_def_takes(&def, r->archive_pattern, event) &&
           has_id(s, event->body) && (!s->pattern || pattern_match(s->pattern, event->body, BYTES_NONE));
}

static void refuse(core_t *core, replay_t *r, const record_t *record, const error_t *err)
{
    if (r->refused_now++ == 0)
        effects_log(core->out, LOG_WARNING, "replay %s cannot bring event %llu again: %s", r->name,
                    (unsigned long long)record->seq, err->message);
}

/* False when it must be tried again later. */
static bool bring(core_t *core, replay_t *r, const record_t *record)
{
    error_t err;
    const publish_replay_t event = {.name = bytes_cstr(r->name),
                                    .bus = r->settings.bus,
                                    .to = r->settings.to,
                                    .rules = r->settings.rules,
                                    .record = record,
                                    .is_dry = r->is_dry};
    bool is_none = false;
    if (publish_replay(core, &event, &is_none, &err)) {
        if (r->is_dry && !is_none)
            replay_count(r, &core->record->publish);
        return true;
    }
    if (strcmp(err.aws, "ThrottlingException") == 0) {
        wait_until(core, r, core->now_us + RETRY_US, "a FIFO queue remembers all the deduplication ids that it may");
        return false;
    }
    refuse(core, r, record, &err);
    return true;
}

static bool is_behind_end(const replay_t *r, const record_t *record)
{
    return record->seq >= r->number || (r->settings.until_us && record->ingest_us >= r->settings.until_us);
}

static void take_event(core_t *core, replay_t *r, const record_t *record)
{
    if (r->is_sated || record->seq < r->looked)
        return;
    r->is_at_end = is_behind_end(r, record);
    r->is_sated = r->is_at_end;
    if (r->is_at_end)
        return;
    if (is_wanted(r, record)) {
        if (!is_due(core, r, record->ingest_us) || !may_go_on(core, r) || !bring(core, r, record))
            return;
        r->due_ns += r->settings.rate ? NS_PER_S / (int64_t)r->settings.rate : 0;
    }
    r->looked = record->seq + 1;
    r->seen_us = record->ingest_us;
}

/* -- slices -------------------------------------------------------------------------------------------- */
static void slice_ask(core_t *core, replay_t *r)
{
    if (r->timer_us > core->now_us || !may_go_on(core, r) || r->state != REPLAY_RUNNING)
        return;
    take_archive_pattern(core, r);
    r->waits = NULL;
    r->is_sated = r->is_at_end = false;
    r->scan = ++core->replays.scans << SCAN_ID_BITS | r->id;
    core_out_t *out = effects_add(core->out, CORE_OUT_REPLAY);
    out->scan.scan = r->scan;
    out->scan.from = r->looked;
    out->scan.since_us = r->looked ? 0 : r->settings.from_us;
    out->scan.max_bytes = REPLAY_SLICE_BYTES;
}

static void slice_done(core_t *core, replay_t *r)
{
    const core_input_t *in = core->input;
    r->scan = 0;
    if (in->scanned.broken) {
        replay_move(core, r, REPLAY_FAILED, in->scanned.broken->message);
        return;
    }
    if (!r->is_sated && in->scanned.next > r->looked)
        r->looked = in->scanned.next;
    if (r->is_at_end || (!r->is_sated && (in->scanned.end || in->scanned.next >= r->number))) {
        replay_move(core, r, REPLAY_COMPLETED, "");
        return;
    }
    if (!r->is_dry && r->looked > r->position && core->now_us - r->noted_us >= NOTE_US)
        replay_move(core, r, REPLAY_RUNNING, "");
    slice_ask(core, r);
}

static replay_t *replay_of_scan(const core_t *core, uint64_t scan)
{
    replay_t *r = replay_at(core, (uint32_t)scan);
    return r && scan && r->scan == scan ? r : NULL;
}

void replays_replayed(core_t *core)
{
    replay_t *r = replay_of_scan(core, core->input->scanned.scan);
    if (!r || core->is_stopping)
        return; /* it was paused, or is over */
    if (core->input->scanned.record)
        take_event(core, r, core->input->scanned.record);
    else
        slice_done(core, r);
}

void replays_due(core_t *core)
{
    const pool_t *all = &core->replays.all;
    if (!core->replays.running || core->is_stopping)
        return;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        replay_t *r = replay_at(core, id);
        if (r->state == REPLAY_RUNNING && !r->scan)
            slice_ask(core, r);
    }
}

int64_t replays_next_us(const core_t *core)
{
    const pool_t *all = &core->replays.all;
    int64_t next_us = INT64_MAX;
    if (!core->replays.running || core->is_stopping)
        return next_us;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        const replay_t *r = replay_at(core, id);
        if (r->state == REPLAY_RUNNING && !r->scan && r->timer_us < next_us)
            next_us = r->timer_us;
    }
    return next_us;
}

/* -- for the front ------------------------------------------------------------------------------------- */
bool core_replay_source(const core_t *core, uint64_t scan, core_replay_source_t *out)
{
    const replay_t *r = replay_of_scan(core, scan);
    if (!r)
        return false;
    *out = (core_replay_source_t){
        .archive = r->settings.archive, .ids = r->settings.ids, .id_count = r->settings.id_count};
    return true;
}

bool core_replay_goes_on(const core_t *core, uint64_t scan)
{
    const replay_t *r = replay_of_scan(core, scan);
    return r && !r->is_sated;
}

uint64_t core_oldest_replayed(const core_t *core)
{
    const pool_t *all = &core->replays.all;
    uint64_t oldest = UINT64_MAX;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        const replay_t *r = replay_at(core, id);
        if (r->state == REPLAY_RUNNING && !r->settings.archive.len && r->looked && r->looked < oldest)
            oldest = r->looked;
    }
    return oldest;
}
