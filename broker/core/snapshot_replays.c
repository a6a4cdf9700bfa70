/* snapshot_replays.c: replays, and what each queue got of them. */
#include "broker/core/replay.h"
#include "broker/core/snapshot_parts.h"

static void save_replay(snapshot_save_t *save, const replay_t *r)
{
    snapshot_put(save, SNAPSHOT_REPLAY,
                 &(snapshot_replay_t){.name = bytes_cstr(r->name),
                                      .number = r->number,
                                      .state = (uint64_t)r->state,
                                      .position = r->position,
                                      .began_us = r->began_us,
                                      .ended_us = r->ended_us,
                                      .replayed = r->replayed,
                                      .deliveries = r->deliveries,
                                      .refused = r->refused,
                                      .why = bytes_cstr(r->why),
                                      .settings = bytes_cstr(r->json)});
    for (uint32_t i = 0; i < r->count_count; i++)
        snapshot_put(save, SNAPSHOT_REPLAY_COUNT,
                     &(snapshot_replay_count_t){.queue = r->counts[i].queue, .count = r->counts[i].count});
}

/* The one that began next after the number `at`, so that they are made again in the order in which they began. */
uint64_t snapshot_save_replays(snapshot_save_t *save, uint64_t at)
{
    const pool_t *all = &save->core->replays.all;
    const replay_t *next = NULL;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        const replay_t *r = replay_at(save->core, id);
        if (!r->is_dry && r->number > at && (!next || r->number < next->number))
            next = r;
    }
    if (!next)
        return SNAPSHOT_NO_MORE;
    save_replay(save, next);
    return next->number;
}

bool snapshot_load_replay(snapshot_load_t *load, const snapshot_replay_t *item, error_t *err)
{
    core_t *core = load->core;
    bool is_state = item->state >= REPLAY_RUNNING && item->state <= REPLAY_FAILED;
    if (!is_state || !item->name.len || item->number < 1 || item->number >= core->next_seq ||
        item->position > core->next_seq || replay_find(core, item->name) || !snapshot_time_is_good(item->began_us) ||
        !snapshot_time_is_good(item->ended_us) || core->replays.all.used >= REPLAYS_LISTED + REPLAYS_ACTIVE_MAX)
        return snapshot_misfit(err, SNAPSHOT_REPLAY, "number", item->number);
    const replay_t replay = {.number = item->number,
                             .state = (replay_state_t)item->state,
                             .position = item->position,
                             .began_us = item->began_us,
                             .ended_us = item->ended_us,
                             .replayed = item->replayed,
                             .deliveries = item->deliveries,
                             .refused = item->refused};
    load->replay = replay_restore(core, &replay, item->name, item->settings, item->why, err);
    return load->replay != NULL;
}

bool snapshot_load_replay_count(snapshot_load_t *load, const snapshot_replay_count_t *item, error_t *err)
{
    replay_t *r = load->replay;
    if (!r || !item->queue || !item->count)
        return snapshot_misfit(err, SNAPSHOT_REPLAY_COUNT, "queue", item->queue);
    r->counts = memory_grow(r->counts, r->count_count + 1, sizeof *r->counts);
    r->counts[r->count_count++] = (replay_count_t){item->queue, item->count};
    return true;
}
