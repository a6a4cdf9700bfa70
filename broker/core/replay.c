/* replay.c: the table of replays, and what the journal says of them. */
#include "broker/core/replay.h"

#include <stdlib.h>

#include "broker/core/ledger.h"
#include "broker/core/queue.h"

/* -- the table ----------------------------------------------------------------------------------------- */
replay_t *replay_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->replays.all, id);
}

replay_t *replay_find(core_t *core, bytes_t name)
{
    replays_t *replays = &core->replays;
    replay_t *recent = replay_at(core, replays->recent);
    if (recent && bytes_eq_cstr(name, recent->name))
        return recent;
    for (uint32_t id = pool_next(&replays->all, 0); id; id = pool_next(&replays->all, id))
        if (bytes_eq_cstr(name, replay_at(core, id)->name)) {
            replays->recent = id;
            return replay_at(core, id);
        }
    return NULL;
}

const char *replay_state_name(const replay_t *replay)
{
    switch (replay->state) {
    case REPLAY_RUNNING:
        return "RUNNING";
    case REPLAY_PAUSED:
        return "PAUSED";
    case REPLAY_COMPLETED:
        return "COMPLETED";
    case REPLAY_CANCELLED:
        return "CANCELLED";
    case REPLAY_FAILED:
        return "FAILED";
    }
    return "?";
}

bool replay_is_active(const replay_t *replay)
{
    return replay->state == REPLAY_RUNNING || replay->state == REPLAY_PAUSED;
}

uint32_t replays_active(const core_t *core)
{
    const pool_t *all = &core->replays.all;
    uint32_t active = 0;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        active += replay_is_active(replay_at(core, id));
    return active;
}

static void replay_free(replay_t *replay)
{
    replay_settings_free(&replay->settings);
    pattern_free(&replay->archive_pattern);
    free(replay->name);
    free(replay->json);
    free(replay->why);
    free(replay->counts);
    free(replay);
}

void replay_forget(core_t *core, replay_t *replay)
{
    core->replays.running -= replay->state == REPLAY_RUNNING;
    core->replays.recent = 0;
    pool_drop(&core->replays.all, replay->id);
    replay_free(replay);
}

void replays_free(core_t *core)
{
    const pool_t *all = &core->replays.all;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        replay_free(replay_at(core, id));
    pool_free(&core->replays.all);
}

/* The dry one, or the durable one, that ended first, when there are too many of its sort. */
static void forget_oldest(core_t *core, bool is_dry)
{
    const pool_t *all = &core->replays.all;
    replay_t *oldest = NULL;
    uint32_t count = 0;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        replay_t *replay = replay_at(core, id);
        if (replay->is_dry != is_dry)
            continue;
        count++;
        if (!replay_is_active(replay) && (!oldest || replay->number < oldest->number))
            oldest = replay;
    }
    if (oldest && count > REPLAYS_LISTED)
        replay_forget(core, oldest);
}

static void set_position(replay_t *replay, uint64_t position)
{
    replay->position = position;
    if (replay->looked < position)
        replay->looked = position;
}

static void set_state(core_t *core, replay_t *replay, replay_state_t state)
{
    core->replays.running += (uint32_t)(state == REPLAY_RUNNING) - (uint32_t)(replay->state == REPLAY_RUNNING);
    replay->state = state;
    replay->scan = 0;
    replay->is_sated = true; /* of a slice that may still come */
    replay->waits = NULL;
    replay->due_ns = replay->anchor_us = 0;
    replay->timer_us = core->now_us;
}

replay_t *replay_restore(core_t *core, const replay_t *from, bytes_t name, bytes_t json, bytes_t why, error_t *err)
{
    replay_settings_t settings;
    if (!replay_settings_read(json, &settings, err))
        return NULL;
    replay_t *made = memory_new(1, sizeof *made);
    *made = *from;
    made->state = 0;
    made->settings = settings;
    made->name = memory_text(name);
    made->json = memory_text(json);
    made->why = why.len ? memory_text(why) : NULL;
    made->looked = from->position;
    made->refused_now = from->refused;
    made->id = pool_add(&core->replays.all, made);
    set_state(core, made, from->state);
    forget_oldest(core, made->is_dry);
    return made;
}

void replay_count(replay_t *replay, const record_publish_t *event)
{
    replay->replayed++;
    replay->deliveries += event->routes.count;
    for (uint32_t i = 0; i < event->routes.count; i++) {
        uint32_t at = 0;
        while (at < replay->count_count && replay->counts[at].queue != event->routes.items[i].queue)
            at++;
        if (at == replay->count_count) {
            replay->counts = memory_grow(replay->counts, at + 1, sizeof *replay->counts);
            replay->counts[replay->count_count++] = (replay_count_t){.queue = event->routes.items[i].queue};
        }
        replay->counts[at].count++;
    }
}

/* -- records ------------------------------------------------------------------------------------------- */
const replay_t *replay_begin(core_t *core, bytes_t name, bytes_t json, bool is_dry, error_t *err)
{
    replay_settings_t settings;
    if (is_dry) {
        const replay_t dry = {
            .is_dry = true, .number = core->next_seq, .state = REPLAY_RUNNING, .began_us = core->now_us};
        return replay_restore(core, &dry, name, json, BYTES_NONE, err);
    }
    if (!replay_settings_read(json, &settings, err))
        return NULL;
    replay_settings_free(&settings);
    core->record->replay = (record_replay_t){.name = name, .state = REPLAY_RUNNING, .body = json};
    (void)ledger_write(core, RECORD_REPLAY);
    return replay_find(core, name);
}

static void log_move(core_t *core, const replay_t *replay, const char *why)
{
    effects_log(core->out, replay->state == REPLAY_FAILED ? LOG_WARNING : LOG_INFO,
                "replay %s %s at record %llu: %llu events, %llu deliveries, %llu refused%s%s", replay->name,
                replay_state_name(replay), (unsigned long long)replay->position, (unsigned long long)replay->replayed,
                (unsigned long long)replay->deliveries, (unsigned long long)replay->refused, why[0] ? ": " : "", why);
}

static void end_dry(core_t *core, replay_t *replay, replay_state_t state, const char *why)
{
    replay->position = replay->looked;
    replay->refused = replay->refused_now;
    set_state(core, replay, state);
    replay->ended_us = replay_is_active(replay) ? 0 : core->now_us;
    replay->why = why[0] ? memory_text(bytes_cstr(why)) : NULL;
}

void replay_move(core_t *core, replay_t *replay, replay_state_t state, const char *why)
{
    bool is_news = state != replay->state;
    if (replay->is_dry) {
        end_dry(core, replay, state, why);
        return;
    }
    uint64_t at = replay->looked > replay->position ? replay->looked : replay->position;
    core->record->replay = (record_replay_t){.name = bytes_cstr(replay->name),
                                             .state = (uint64_t)state,
                                             .position = at,
                                             .why = bytes_cstr(why),
                                             .refused = replay->refused_now};
    replay->noted_us = core->now_us;
    (void)ledger_write(core, RECORD_REPLAY);
    if (is_news)
        log_move(core, replay, why);
}

static bool apply_begin(core_t *core, const record_t *record, error_t *err)
{
    const record_replay_t *r = &record->replay;
    const replay_t begun = {.number = record->seq, .state = REPLAY_RUNNING, .began_us = record->ingest_us};
    if (replay_find(core, r->name))
        return ledger_misfit(err, record, "a second replay of the name of number", record->seq);
    return replay_restore(core, &begun, r->name, r->body, BYTES_NONE, err) != NULL;
}

bool replay_apply(core_t *core, const record_t *record, error_t *err)
{
    const record_replay_t *r = &record->replay;
    if (r->body.len)
        return apply_begin(core, record, err);
    replay_t *replay = replay_find(core, r->name);
    if (!replay || replay->is_dry || !replay_is_active(replay) || r->state < REPLAY_RUNNING || r->state > REPLAY_FAILED)
        return ledger_misfit(err, record, "a replay at position", r->position);
    set_position(replay, r->position);
    replay->refused = r->refused;
    if (replay->refused_now < r->refused)
        replay->refused_now = r->refused;
    if (r->state == (uint64_t)replay->state)
        return true;
    set_state(core, replay, (replay_state_t)r->state);
    replay->ended_us = replay_is_active(replay) ? 0 : record->ingest_us;
    replay->why = r->why.len ? memory_text(r->why) : NULL;
    return true;
}

void replay_apply_event(core_t *core, const record_t *record)
{
    const record_publish_t *event = &record->publish;
    replay_t *replay = replay_find(core, event->replay_name);
    if (!replay || replay->is_dry)
        return; /* a repair lost its begin */
    set_position(replay, event->replay_of + 1);
    replay_count(replay, event);
}

/* -- digest and recount -------------------------------------------------------------------------------- */
static uint64_t one_digest(const replay_t *r)
{
    uint64_t one =
        map_mix(map_mix(r->number, map_hash_bytes(bytes_cstr(r->name))), map_hash_bytes(bytes_cstr(r->json)));
    one = map_mix(one, map_mix((uint64_t)r->state, r->position));
    one = map_mix(one, map_mix((uint64_t)r->began_us, (uint64_t)r->ended_us));
    one = map_mix(one, map_mix(r->replayed, map_mix(r->deliveries, r->refused)));
    for (uint32_t i = 0; i < r->count_count; i++)
        one = map_mix(one, map_mix(r->counts[i].queue, r->counts[i].count));
    return map_mix(one, map_hash_bytes(bytes_cstr(r->why ? r->why : "")));
}

uint64_t replays_digest(const core_t *core)
{
    const pool_t *all = &core->replays.all;
    uint64_t unordered = 0;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        unordered += replay_at(core, id)->is_dry ? 0 : one_digest(replay_at(core, id));
    return unordered;
}

bool replays_check(const core_t *core, error_t *err)
{
    const pool_t *all = &core->replays.all;
    uint32_t running = 0;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        const replay_t *r = replay_at(core, id);
        uint64_t deliveries = 0;
        running += r->state == REPLAY_RUNNING;
        for (uint32_t i = 0; i < r->count_count; i++)
            deliveries += r->counts[i].count;
        if (deliveries != r->deliveries || (r->scan && r->state != REPLAY_RUNNING))
            return error_set(err, STATUS_INTERNAL, NULL, "Replay %s has %llu deliveries by queue and %llu in sum.",
                             r->name, (unsigned long long)deliveries, (unsigned long long)r->deliveries);
    }
    return running == core->replays.running ||
           error_set(err, STATUS_INTERNAL, NULL, "%u replays run, and %u are counted.", running, core->replays.running);
}
