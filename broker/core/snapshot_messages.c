/* snapshot_messages.c: messages, chain by chain, so that each stands where it stood. */
#include <stdlib.h>

#include "broker/core/condemned.h"
#include "broker/core/group.h"
#include "broker/core/late.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/retire.h"
#include "broker/core/session.h"
#include "broker/core/snapshot_parts.h"

/* -- saving -------------------------------------------------------------------------------------------- */
static void save_moved(snapshot_save_t *save, const dead_t *dead)
{
    snapshot_put(save, SNAPSHOT_MOVED,
                 &(snapshot_moved_t){.origin = dead->origin,
                                     .origin_queue = dead->origin_queue,
                                     .source = dead->source,
                                     .reason = dead->reason,
                                     .receives = dead->receives,
                                     .moved_us = dead->moved_us,
                                     .redriven = dead->is_redriven,
                                     .detail = bytes_cstr(dead->detail)});
}

static void save_message(snapshot_save_t *save, uint32_t id)
{
    const core_t *core = save->core;
    const message_t *m = message_at(core, id);
    const queue_t *queue = pool_get(&core->queues, m->queue);
    const session_t *holder = session_at(core, m->session);
    const message_side_t *side = message_side(core, m);
    const group_t *group = group_at(queue, side->group);
    const dead_t *dead = message_dead(core, m);
    snapshot_put(save, SNAPSHOT_MESSAGE,
                 &(snapshot_message_t){.queue = queue->incarnation,
                                       .record = m->record,
                                       .state = m->state,
                                       .sent_us = m->sent_us,
                                       .timer_us = m->state == MESSAGE_VISIBLE ? 0 : message_timer_us(core, m),
                                       .bytes = m->bytes,
                                       .route = m->route,
                                       .rule = m->rule,
                                       .receives = m->receives,
                                       .first_received_ms = side->first_received_ms,
                                       .received_ms = side->received_ms,
                                       .session = holder ? holder->number : 0,
                                       .group = group ? bytes_cstr(group->name) : BYTES_NONE});
    if (dead)
        save_moved(save, dead);
}

/* Each session's in the order of their delivery. */
uint64_t snapshot_save_in_flight(snapshot_save_t *save, uint64_t at)
{
    const core_t *core = save->core;
    uint32_t session = (uint32_t)(at >> 32), id = (uint32_t)at;
    id = id ? message_at(core, id)->next : 0;
    while (!id) {
        session = pool_next(&core->sessions.all, session);
        if (!session)
            return SNAPSHOT_NO_MORE;
        id = session_at(core, session)->held.head;
    }
    if (!condemned_has(core, message_at(core, id)))
        save_message(save, id);
    return snapshot_pair(session, id);
}

static bool is_delayed(const core_t *core, const message_t *m)
{
    return m->state == MESSAGE_DELAYED && !late_has(core, m) && !condemned_has(core, m);
}

uint64_t snapshot_save_delayed(snapshot_save_t *save, uint64_t at)
{
    const core_t *core = save->core;
    uint32_t id = (uint32_t)at + 1;
    while (id <= core->messages.all.made && !is_delayed(core, message_at(core, id)))
        id++;
    if (id > core->messages.all.made)
        return SNAPSHOT_NO_MORE;
    save_message(save, id);
    return id;
}

/* Line by line, so that each is made anew from its end on. */
uint64_t snapshot_save_late(snapshot_save_t *save, uint64_t at)
{
    const core_t *core = save->core;
    const queue_t *queue = pool_get(&core->queues, (uint32_t)(at >> 32));
    uint32_t id = queue ? message_at(core, (uint32_t)at)->next : 0;
    while (!id) {
        queue = queue_next(core, queue);
        if (!queue)
            return SNAPSHOT_NO_MORE;
        id = queue->late.head;
    }
    save_message(save, id);
    return snapshot_pair(queue->id, id);
}

/* The groups in line first, as they stand in it; then those where something visible waits for what is held. */
static uint32_t group_after(const queue_t *queue, uint32_t id)
{
    const group_t *group = group_at(queue, id);
    if (group ? group->is_ready && group->next : queue->ready.head != 0)
        return group ? group->next : queue->ready.head;
    id = group && !group->is_ready ? id : 0;
    do
        id = pool_next(&queue->groups, id);
    while (id && (group_at(queue, id)->is_ready || !group_at(queue, id)->visible.head));
    return id;
}

static uint32_t visible_after(const core_t *core, const queue_t *queue, uint32_t id)
{
    const message_t *m = id ? message_at(core, id) : NULL;
    if (!queue->attributes.is_fifo)
        return m ? visible_next(core, queue, id) : visible_first(core, queue);
    if (m && m->next)
        return m->next;
    const group_t *group = group_at(queue, group_after(queue, m ? message_group(core, m) : 0));
    return group ? group->visible.head : 0;
}

uint64_t snapshot_save_visible(snapshot_save_t *save, uint64_t at)
{
    const core_t *core = save->core;
    const queue_t *queue = pool_get(&core->queues, (uint32_t)(at >> 32));
    uint32_t id = queue ? visible_after(core, queue, (uint32_t)at) : 0;
    while (!id) {
        queue = queue_next(core, queue);
        if (!queue)
            return SNAPSHOT_NO_MORE;
        id = visible_after(core, queue, 0);
    }
    save_message(save, id);
    return snapshot_pair(queue->id, id);
}

/* -- loading ------------------------------------------------------------------------------------------- */
static bool numbers_fit(const core_t *core, const snapshot_message_t *item)
{
    return item->record >= 1 && item->record < core->next_seq && item->state >= MESSAGE_VISIBLE &&
           item->state <= MESSAGE_IN_FLIGHT && item->bytes <= MESSAGE_BYTES_MASK && item->route <= MESSAGE_NO_ROUTE &&
           item->rule <= UINT16_MAX && item->rule <= core->names.used && item->receives <= MESSAGE_RECEIVES_MAX &&
           item->first_received_ms <= UINT32_MAX && item->received_ms <= UINT32_MAX &&
           snapshot_time_is_good(item->sent_us) && snapshot_time_is_good(item->timer_us) &&
           core->messages.all.used < MESSAGES_MAX;
}

static bool relations_fit(const core_t *core, const snapshot_message_t *item, const queue_t *queue,
                          const session_t *holder)
{
    return queue && (item->group.len || !queue->attributes.is_fifo) &&
           (item->state == MESSAGE_IN_FLIGHT) == (holder != NULL) && !message_find(core, queue->id, item->record);
}

bool snapshot_load_message(snapshot_load_t *load, const snapshot_message_t *item, error_t *err)
{
    core_t *core = load->core;
    queue_t *queue = queue_by_incarnation(core, item->queue);
    session_t *holder = item->session ? session_by_number(core, item->session) : NULL;
    if (!numbers_fit(core, item) || !relations_fit(core, item, queue, holder))
        return snapshot_misfit(err, SNAPSHOT_MESSAGE, "record", item->record);
    message_t message = {
        .record = item->record,
        .sent_us = item->sent_us,
        .queue = (uint16_t)queue->id,
        .bytes = (uint32_t)item->bytes & MESSAGE_BYTES_MASK,
        .state = item->state & 3u,
        .route = (uint32_t)item->route & MESSAGE_NO_ROUTE,
        .receives = (uint16_t)item->receives,
        .rule = (uint16_t)item->rule,
    };
    const message_side_t side = {
        .timer_us = item->timer_us,
        .first_received_ms = (uint32_t)item->first_received_ms,
        .received_ms = (uint32_t)item->received_ms,
        .group = item->group.len ? group_need(queue, item->group) : 0,
    };
    load->message = message_restore(core, &message, &side, holder);
    return true;
}

bool snapshot_load_moved(snapshot_load_t *load, const snapshot_moved_t *item, error_t *err)
{
    core_t *core = load->core;
    message_t *m = load->message ? message_at(core, load->message) : NULL;
    if (!m || message_dead(core, m) || item->origin < 1 || item->origin > m->record ||
        item->source > core->names.used || item->reason > core->names.used || item->receives > UINT32_MAX ||
        !snapshot_time_is_good(item->moved_us))
        return snapshot_misfit(err, SNAPSHOT_MOVED, "record", item->origin);
    uint32_t dead = retire_restore(core,
                                   &(dead_t){.origin = item->origin,
                                             .origin_queue = item->origin_queue,
                                             .source = (uint32_t)item->source,
                                             .reason = (uint32_t)item->reason,
                                             .receives = (uint32_t)item->receives,
                                             .moved_us = item->moved_us,
                                             .is_redriven = item->redriven},
                                   item->detail);
    message_side_need(core, load->message)->dead = dead & MESSAGE_DEAD_MASK;
    return true;
}
