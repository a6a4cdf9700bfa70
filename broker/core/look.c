/* look.c: what the outside may see of the core: counters, queues, the oldest record needed, a digest. */
#include "broker/core/condemned.h"
#include "broker/core/cursor.h"
#include "broker/core/group.h"
#include "broker/core/message.h"
#include "broker/core/permit.h"
#include "broker/core/producer.h"
#include "broker/core/queue.h"
#include "broker/core/replay.h"
#include "broker/core/schedule.h"
#include "broker/core/session.h"
#include "broker/core/state.h"
#include "broker/core/task.h"

void core_stats(const core_t *core, core_stats_t *out)
{
    *out = core->stats;
    out->sessions = core->sessions.all.used;
    out->subscriptions = core->subs.all.used;
    out->services = core->calls.serves.used;
    out->queues = queue_count(core);
    out->calls_running = core->calls.running;
    out->calls_waiting = core->calls.waiting;
    out->topology_version = core->topology.version;
    out->producers = core->producers.all.used;
    out->dedup_keys = 0;
    for (uint32_t id = pool_next(&core->buses, 0); id; id = pool_next(&core->buses, id))
        out->dedup_keys += ((const bus_t *)pool_get(&core->buses, id))->dedup.count;
    for (const queue_t *queue = queue_next(core, NULL); queue; queue = queue_next(core, queue)) {
        out->messages_visible += queue->visible.count;
        out->messages_in_flight += queue->in_flight;
        out->messages_delayed += queue->delayed;
    }
}

void core_each_queue(const core_t *core, void (*each)(void *ctx, const core_queue_stats_t *queue), void *ctx)
{
    for (const queue_t *queue = queue_next(core, NULL); queue; queue = queue_next(core, queue)) {
        const core_queue_stats_t stats = {
            .name = queue->name,
            .visible = queue->visible.count,
            .in_flight = queue->in_flight,
            .delayed = queue->delayed,
            .lost = queue->lost,
            .oldest_us = visible_oldest_us(core, queue),
            .is_fifo = queue->attributes.is_fifo,
            .groups_blocked = queue->blocked,
            .tenants_noisy = queue->attributes.is_fifo ? 0 : queue->ready.count,
            .expired = queue->counts.expired,
            .redriven = queue->counts.redriven,
            .deduplicated = queue->counts.deduplicated,
            .empty_receives = queue->counts.empty_receives,
        };
        each(ctx, &stats);
    }
}

const char *core_queue_name(const core_t *core, uint64_t incarnation)
{
    const queue_t *queue = queue_by_incarnation(core, incarnation);
    return queue ? queue->name : "";
}

uint64_t core_oldest_followed(const core_t *core)
{
    return cursor_oldest(core);
}

/* -- digest ------------------------------------------------------------------------------------------ */
static uint64_t message_digest(const core_t *core, const message_t *m)
{
    uint64_t queue;
    uint64_t origin = message_origin(core, m, &queue);
    const session_t *holder = session_at(core, m->session);
    const dead_t *dead = message_dead(core, m);
    const message_side_t *side = message_side(core, m);
    uint64_t digest = map_mix(m->record, origin);
    digest = map_mix(digest, map_mix((uint64_t)m->sent_us, (uint64_t)message_timer_us(core, m)));
    digest = map_mix(digest, map_mix(((uint64_t)side->first_received_ms << 32) | side->received_ms, queue));
    digest = map_mix(digest, map_mix(m->receives, ((uint64_t)m->state << 32) | ((uint64_t)m->route << 22) | m->bytes));
    digest = map_mix(digest, map_mix(holder ? holder->number : 0, m->rule));
    const group_t *group = group_at(pool_get(&core->queues, m->queue), side->group);
    if (group)
        digest = map_mix(digest, map_hash_bytes(bytes_cstr(group->name)));
    return dead ? map_mix(digest, map_mix((uint64_t)dead->moved_us, (uint64_t)dead->receives << 1 | dead->is_redriven))
                : digest;
}

static uint64_t queue_digest(const core_t *core, const queue_t *queue)
{
    uint64_t digest = map_mix(queue->incarnation, map_hash_bytes(bytes_cstr(queue->name)));
    digest = map_mix(digest, map_hash_bytes(buf_bytes(&queue->given)));
    digest = map_mix(digest, map_mix(queue->in_flight, queue->delayed));
    digest = map_mix(digest, (uint64_t)queue->purged_us);
    uint64_t unordered = 0; /* the order within groups is in their digest */
    for (uint32_t id = visible_first(core, queue); id; id = visible_next(core, queue, id)) {
        uint64_t one = message_digest(core, message_at(core, id));
        if (message_group(core, message_at(core, id)))
            unordered += one;
        else
            digest = map_mix(digest, one);
    }
    return map_mix(digest, map_mix(groups_digest(core, queue), unordered));
}

static uint64_t session_digest(const session_t *session)
{
    uint64_t token[2];
    memcpy(token, session->resume, sizeof token);
    uint64_t digest = map_mix(session->number, map_hash_bytes(bytes_cstr(session->name)));
    return map_mix(digest, map_mix(token[0], token[1]));
}

static uint64_t topology_digest(const topology_t *topology)
{
    uint64_t digest = map_mix(topology->version, map_hash_bytes(bytes_cstr(topology->sha256)));
    digest = map_mix(digest, map_mix(map_hash_bytes(bytes_cstr(topology->by)), (uint64_t)topology->applied_us));
    return map_mix(digest, map_hash_bytes(bytes_cstr(topology->file_sha256)));
}

uint64_t core_digest(const core_t *core)
{
    uint64_t digest = map_mix(core->newest_queue, core->sessions.newest);
    digest = map_mix(digest, topology_digest(&core->topology));
    digest = map_mix(digest, producers_digest(core));
    digest = map_mix(digest, permits_digest(core));
    digest = map_mix(digest, tasks_digest(core));
    digest = map_mix(digest, schedules_digest(core));
    digest = map_mix(digest, replays_digest(core));
    digest = map_mix(digest, dedup_digest(&core->deleted, core->now_us - QUEUE_DELETED_WINDOW_US));
    digest = map_mix(digest, map_mix(core->lost_until, core->lost_records));
    digest = map_mix(digest, (uint64_t)core->wake_until_us);
    uint64_t unordered = 0;
    for (const queue_t *queue = queue_next(core, NULL); queue; queue = queue_next(core, queue))
        unordered += queue_digest(core, queue);
    for (uint32_t id = 1; id <= core->messages.all.made; id++)
        if (message_at(core, id)->state > MESSAGE_VISIBLE && !condemned_has(core, message_at(core, id)))
            unordered += message_digest(core, message_at(core, id));
    for (uint32_t id = pool_next(&core->sessions.all, 0); id; id = pool_next(&core->sessions.all, id))
        unordered += session_digest(session_at(core, id));
    for (uint32_t id = pool_next(&core->buses, 0); id; id = pool_next(&core->buses, id)) {
        const bus_t *bus = pool_get(&core->buses, id);
        unordered += map_mix(map_hash_bytes(bytes_cstr(bus->name)),
                             dedup_digest(&bus->dedup, core->now_us - bus->dedup_window_us));
    }
    return map_mix(digest, unordered);
}
