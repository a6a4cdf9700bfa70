/* check.c: counting again, and looking up again, with the simplest means. */
#include "broker/core/check.h"

#include <stdlib.h>

#include "broker/core/age.h"
#include "broker/core/group.h"
#include "broker/core/late.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/replay.h"
#include "broker/core/session.h"

#define STATES (MESSAGE_IN_FLIGHT + 1)

typedef struct {
    uint32_t messages, visible, held, in_flight;
} group_count_t;

typedef struct {
    uint32_t states[STATES];
    uint32_t fresh; /* visible, and received less often than would make it tired */
    uint32_t lined; /* of these: in the line by age */
    uint32_t lost, late;
    uint64_t bytes;
    group_count_t *groups; /* by id; NULL without groups */
} queue_count_t;

typedef struct {
    queue_count_t *queues; /* by id */
    uint32_t *sessions;    /* by id: messages in flight */
    uint32_t states[STATES];
    uint32_t sides, late;
} counts_t;

static bool differs(error_t *err, const char *what, const char *whose, uint64_t kept, uint64_t counted)
{
    return error_set(err, STATUS_INTERNAL, NULL, "%s of %s: %llu are kept, %llu are counted.", what, whose,
                     (unsigned long long)kept, (unsigned long long)counted);
}

static bool same(error_t *err, const char *what, const char *whose, uint64_t kept, uint64_t counted)
{
    return kept == counted || differs(err, what, whose, kept, counted);
}

static bool wrong(error_t *err, const message_t *m, const char *what)
{
    return error_set(err, STATUS_INTERNAL, NULL, "Message %llu of queue number %u %s.", (unsigned long long)m->record,
                     (unsigned)m->queue, what);
}

/* -- counting ------------------------------------------------------------------------------------------ */
static counts_t counts_new(const core_t *core)
{
    counts_t c = {
        .queues = memory_new(core->queues.count + 1, sizeof *c.queues),
        .sessions = memory_new(core->sessions.all.count + 1, sizeof *c.sessions),
    };
    for (uint32_t id = pool_next(&core->queues, 0); id; id = pool_next(&core->queues, id)) {
        const queue_t *queue = pool_get(&core->queues, id);
        if (queue->groups.count)
            c.queues[id].groups = memory_new(queue->groups.count + 1, sizeof(group_count_t));
    }
    return c;
}

static void counts_free(const core_t *core, counts_t *c)
{
    for (uint32_t id = 1; id <= core->queues.count; id++)
        free(c->queues[id].groups);
    free(c->queues);
    free(c->sessions);
}

static bool count_group(const core_t *core, const queue_t *queue, queue_count_t *q, const message_t *m, error_t *err)
{
    uint32_t group = message_group(core, m);
    if (!group_at(queue, group))
        return wrong(err, m, "is in a group that there is not");
    group_count_t *g = &q->groups[group];
    g->messages++;
    g->visible += m->state == MESSAGE_VISIBLE;
    g->in_flight += m->state == MESSAGE_IN_FLIGHT;
    g->held += m->state == MESSAGE_IN_FLIGHT || (m->state == MESSAGE_DELAYED && m->receives);
    return true;
}

static bool count_one(const core_t *core, counts_t *c, const message_t *m, error_t *err)
{
    const queue_t *queue = pool_get(&core->queues, m->queue);
    bool in_flight = m->state == MESSAGE_IN_FLIGHT;
    c->states[m->state]++;
    if (m->state == MESSAGE_FREE)
        return true;
    if (!queue)
        return wrong(err, m, "is in a queue that there is not");
    if (in_flight != (m->session != 0) || (in_flight && !session_at(core, m->session)))
        return wrong(err, m, in_flight ? "is in flight and nobody has it" : "is not in flight and somebody has it");
    if (in_flight)
        c->sessions[m->session]++;
    c->queues[m->queue].states[m->state]++;
    c->queues[m->queue].bytes += m->bytes;
    c->queues[m->queue].lined += m->is_lined;
    c->sides += m->side != 0;
    c->late += late_has(core, m);
    c->queues[m->queue].late += late_has(core, m);
    c->queues[m->queue].lost += message_side(core, m)->is_lost;
    c->queues[m->queue].fresh += m->state == MESSAGE_VISIBLE && m->receives < MESSAGE_RECEIVES_TO_BACK;
    if (queue->attributes.is_fifo && !message_group(core, m))
        return wrong(err, m, "has no group and must have one");
    return !message_group(core, m) || count_group(core, queue, &c->queues[m->queue], m, err);
}

static bool count_all(const core_t *core, counts_t *c, error_t *err)
{
    for (uint32_t id = 1; id <= core->messages.all.made; id++) {
        const message_t *m = message_at(core, id);
        if (!count_one(core, c, m, err))
            return false;
    }
    return true;
}

/* -- comparing ----------------------------------------------------------------------------------------- */
static bool check_held(const core_t *core, const group_t *group, error_t *err)
{
    for (uint32_t i = 0; i < group->held.count; i++) {
        const message_t *m = message_at(core, group->held.items[i]);
        if (message_group(core, m) != group->id || !m->receives || m->state <= MESSAGE_VISIBLE)
            return wrong(err, m, "holds its group back and should not");
        if (i > 0 && message_at(core, group->held.items[i - 1])->record >= m->record)
            return wrong(err, m, "stands out of order among those that hold their group back");
    }
    return true;
}

static bool check_tenant(const queue_t *queue, const group_t *group, const group_count_t *g, error_t *err)
{
    const heap_t *heap = group->is_noisy ? &queue->noisy : &queue->quiet;
    bool waits = group->heap_at && group->heap_at <= heap->count && heap->items[group->heap_at] == group->id;
    return same(err, "messages in flight", group->name, group->in_flight, g->in_flight) &&
           same(err, "its place among those that wait", group->name, waits, g->visible != 0);
}

static bool check_ordered(const core_t *core, const group_t *group, const group_count_t *g, error_t *err)
{
    return same(err, "held messages", group->name, group->held.count, g->held) &&
           same(err, "being ready", group->name, group->is_ready, group_first(core, group) != 0) &&
           check_held(core, group, err);
}

static bool check_group(const core_t *core, const queue_t *queue, const group_t *group, const group_count_t *g,
                        error_t *err)
{
    return same(err, "messages", group->name, group->messages, g->messages) &&
           same(err, "visible messages", group->name, group->visible.count, g->visible) &&
           (group->messages > 0 || differs(err, "messages", group->name, 0, 0)) &&
           (queue->attributes.is_fifo ? check_ordered(core, group, g, err) : check_tenant(queue, group, g, err));
}

static bool check_groups(const core_t *core, const queue_t *queue, const queue_count_t *q, error_t *err)
{
    uint32_t ready = 0, lined = 0, blocked = 0, waiting = 0;
    for (uint32_t id = pool_next(&queue->groups, 0); id; id = pool_next(&queue->groups, id)) {
        const group_t *group = group_at(queue, id);
        if (!check_group(core, queue, group, &q->groups[id], err))
            return error_prefix(err, "Queue %s, group", queue->name);
        ready += group->is_ready || group->is_noisy;
        blocked += group->held.count != 0;
        waiting += !queue->attributes.is_fifo && group->visible.count != 0;
    }
    for (uint32_t id = queue->ready.head; id && lined <= ready; id = group_at(queue, id)->next)
        lined++;
    return same(err, "groups in the line", queue->name, lined, ready) &&
           same(err, "ready groups", queue->name, queue->ready.count, ready) &&
           same(err, "blocked groups", queue->name, queue->blocked, blocked) &&
           same(err, "waiting tenants", queue->name, queue->quiet.count + queue->noisy.count, waiting) &&
           same(err, "groups by name", queue->name, queue->groups_by_name.count, queue->groups.used);
}

static bool check_age(const core_t *core, const queue_t *queue, const queue_count_t *q, error_t *err)
{
    int64_t first_us = queue->is_condemned ? INT64_MAX : age_first_us(core, queue);
    return same(err, "timers of visible messages", queue->name, queue->fresh.count, q->fresh - q->lined) &&
           same(err, "messages in the line by age", queue->name, queue->lined.count, q->lined) &&
           same(err, "timers of tired messages", queue->name, queue->tired.count,
                q->states[MESSAGE_VISIBLE] - q->fresh) &&
           same(err, "the first expiry", queue->name, (uint64_t)queue->expires_us, (uint64_t)first_us) &&
           same(err, "its place among the ageing", queue->name, queue->aging_at != 0, first_us != INT64_MAX);
}

static bool check_queue(const core_t *core, const queue_t *queue, const queue_count_t *q, error_t *err)
{
    return same(err, "visible messages", queue->name, queue->visible.count, q->states[MESSAGE_VISIBLE]) &&
           same(err, "messages in flight", queue->name, queue->in_flight, q->states[MESSAGE_IN_FLIGHT]) &&
           same(err, "delayed messages", queue->name, queue->delayed, q->states[MESSAGE_DELAYED]) &&
           same(err, "bytes", queue->name, queue->bytes, q->bytes) &&
           same(err, "messages in the line of delayed ones", queue->name, queue->late.count, q->late) &&
           same(err, "its place among those with such", queue->name, queue->late_at != 0,
                q->late && !queue->is_condemned) &&
           same(err, "lost messages", queue->name, queue->lost, q->lost) &&
           same(err, "deduplication ids", queue->name, queue->dedup.map.count, queue->dedup.count) &&
           check_age(core, queue, q, err) && check_groups(core, queue, q, err);
}

static bool check_queues(const core_t *core, const counts_t *c, error_t *err)
{
    uint32_t named = queue_count(core);
    for (uint32_t id = pool_next(&core->queues, 0); id; id = pool_next(&core->queues, id))
        if (!check_queue(core, pool_get(&core->queues, id), &c->queues[id], err))
            return false;
    return same(err, "queues", "the table by name", core->queues_by_name.count, named) &&
           same(err, "queues", "the table by incarnation", core->queues_by_incarnation.count, named);
}

static bool check_sessions(const core_t *core, const counts_t *c, error_t *err)
{
    const pool_t *all = &core->sessions.all;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        const session_t *session = session_at(core, id);
        if (!same(err, "messages in flight", session->name, session->held.count, c->sessions[id]))
            return false;
    }
    return same(err, "sessions", "the table by number", core->sessions.by_number.count, all->used);
}

static bool check_buses(const core_t *core, error_t *err)
{
    for (uint32_t id = pool_next(&core->buses, 0); id; id = pool_next(&core->buses, id)) {
        const bus_t *bus = pool_get(&core->buses, id);
        if (!same(err, "deduplication keys", bus->name, bus->dedup.map.count, bus->dedup.count))
            return false;
    }
    return true;
}

static bool check_schedules(const core_t *core, error_t *err)
{
    const schedules_t *all = &core->schedules;
    uint32_t armed = 0;
    for (uint32_t id = pool_next(&all->all, 0); id; id = pool_next(&all->all, id)) {
        const schedule_t *s = pool_get(&all->all, id);
        armed += s->heap_at != 0;
        if (s->done_us < s->began_us || s->fired_us > s->done_us || s->done_us > core->now_us)
            return differs(err, "what is seen to", s->name, (uint64_t)s->done_us, (uint64_t)core->now_us);
    }
    return same(err, "schedules", "the table by name", all->by_name.count, all->all.used) &&
           same(err, "timers", "schedules", all->timers.count, armed);
}

static bool check_tables(const core_t *core, const counts_t *c, error_t *err)
{
    const messages_t *all = &core->messages;
    uint32_t alive = all->all.made - c->states[MESSAGE_FREE];
    return same(err, "messages", "the broker", all->all.used, alive) &&
           same(err, "messages", "the table by identity", all->by_identity.count, alive) &&
           same(err, "messages with more", "the broker", all->sides.used, c->sides) &&
           same(err, "timers", "delayed messages", all->delayed.count, c->states[MESSAGE_DELAYED] - c->late) &&
           same(err, "timers", "messages in flight", all->due.count, c->states[MESSAGE_IN_FLIGHT]);
}

bool check_counts(const core_t *core, error_t *err)
{
    counts_t c = counts_new(core);
    bool ok = count_all(core, &c, err) && check_tables(core, &c, err) && check_queues(core, &c, err) &&
              check_sessions(core, &c, err) && check_buses(core, err) && check_schedules(core, err);
    counts_free(core, &c);
    return ok;
}

/* -- looking up ---------------------------------------------------------------------------------------- */
static const chain_t *chain_of(const core_t *core, const message_t *m)
{
    const queue_t *queue = pool_get(&core->queues, m->queue);
    if (m->state == MESSAGE_IN_FLIGHT)
        return &session_at(core, m->session)->held;
    if (late_has(core, m))
        return &queue->late;
    if (m->state != MESSAGE_VISIBLE)
        return NULL;
    return message_group(core, m) ? &group_at(queue, message_group(core, m))->visible : &queue->visible;
}

static bool check_links(const core_t *core, const message_t *m, uint32_t id, error_t *err)
{
    const chain_t *chain = chain_of(core, m);
    if (!chain)
        return true;
    uint32_t before = m->prev ? message_at(core, m->prev)->next : chain->head;
    uint32_t behind = m->next ? message_at(core, m->next)->prev : chain->tail;
    if (before != id || behind != id)
        return wrong(err, m, "and its neighbours do not know one another");
    const queue_t *queue = pool_get(&core->queues, m->queue);
    if (queue->attributes.is_fifo && m->state == MESSAGE_VISIBLE && m->next &&
        message_at(core, m->next)->record <= m->record)
        return wrong(err, m, "stands before an older one of its group");
    return true;
}

static bool check_line(const core_t *core, const message_t *m, uint32_t id, error_t *err)
{
    const chain_t *line = &((const queue_t *)pool_get(&core->queues, m->queue))->lined;
    uint32_t before = m->older ? message_at(core, m->older)->newer : line->head;
    uint32_t behind = m->newer ? message_at(core, m->newer)->older : line->tail;
    if (m->state != MESSAGE_VISIBLE || before != id || behind != id)
        return wrong(err, m, "and its neighbours by age do not know one another");
    return !m->older || age_before(core, m->older, id) || wrong(err, m, "stands before an older one by age");
}

static const heap_t *timers_of(const core_t *core, const message_t *m, uint32_t id)
{
    if (m->state == MESSAGE_VISIBLE)
        return age_heap(pool_get(&core->queues, m->queue), m, id);
    return m->state == MESSAGE_DELAYED ? &core->messages.delayed : &core->messages.due;
}

static bool check_timer(const core_t *core, const message_t *m, uint32_t id, error_t *err)
{
    if (m->is_lined)
        return check_line(core, m, id, err);
    if (late_has(core, m))
        return !m->prev || message_due_before(core, m->prev, id) || wrong(err, m, "is late before an older one");
    if (m->state > MESSAGE_VISIBLE && !m->side)
        return wrong(err, m, "has no time");
    const heap_t *heap = timers_of(core, m, id);
    if (!m->heap_at || m->heap_at > heap->count || heap->items[m->heap_at] != id)
        return wrong(err, m, "has no timer");
    if (m->heap_at > 1 && heap->kind->before(core, id, heap->items[m->heap_at / 2]))
        return wrong(err, m, "is due before one that stands before it");
    return true;
}

static bool check_one(const core_t *core, uint32_t id, error_t *err)
{
    const message_t *m = message_at(core, id);
    if (m->state == MESSAGE_FREE)
        return true;
    if (message_find(core, m->queue, m->record) != id)
        return wrong(err, m, "is not found by its identity");
    if (message_side(core, m)->dead && !message_dead(core, m))
        return wrong(err, m, "does not know where it came from");
    return check_timer(core, m, id, err) && check_links(core, m, id, err);
}

bool check_messages(const core_t *core, uint32_t *at, uint32_t most, error_t *err)
{
    uint32_t made = core->messages.all.made, from = *at, left = made - (from < made ? from : made);
    uint32_t end = most < left ? from + most : made;
    *at = end < made ? end : 0;
    for (uint32_t id = from + 1; id <= end; id++)
        if (!check_one(core, id, err))
            return false;
    return true;
}

bool core_check(const core_t *core, error_t *err)
{
    uint32_t at = 0;
    return check_counts(core, err) && replays_check(core, err) && check_messages(core, &at, UINT32_MAX, err);
}
