/* condemned.c: queues without a name, and the walk through memory that empties them. */
#include "broker/core/condemned.h"

#include <stdlib.h>

#include "broker/core/age.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/receive.h"
#include "broker/core/slice.h"
#include "broker/core/subscription.h"
#include "broker/core/tenant.h"

#define SWEEP_LOOKS 64u /* places in memory that cost as much to look at as one message to free */

bool condemned_has(const core_t *core, const message_t *message)
{
    const queue_t *queue = core->condemned.count ? pool_get(&core->queues, message->queue) : NULL;
    return queue && queue->is_condemned;
}

int64_t condemned_next_us(const core_t *core)
{
    return core->condemned.count ? core->now_us : INT64_MAX;
}

/* -- condemning ---------------------------------------------------------------------------------------- */
static void leave_lists(core_t *core, queue_t *queue)
{
    if (queue->is_touched)
        (void)ids_drop(&core->touched, queue->id);
    queue->is_touched = false;
    heap_drop(&core->messages.aging, queue->id);
    heap_drop(&core->messages.late, queue->id);
    queue->expires_us = INT64_MAX;
}

void condemned_add(core_t *core, queue_t *queue)
{
    leave_lists(core, queue);
    core->stats.messages_lost -= queue->lost;
    queue->is_condemned = true;
    ids_add(&core->condemned, queue->id);
}

/* What holds messages, and what is known of them. */
static void holdings_move(core_t *core, queue_t *from, queue_t *to)
{
    *to = (queue_t){
        .id = from->id,
        .name = memory_text(BYTES_LIT("(purged)")),
        .attributes = from->attributes,
        .visible = from->visible,
        .lined = from->lined,
        .fresh = from->fresh,
        .tired = from->tired,
        .late = from->late,
        .expires_us = from->expires_us,
        .groups = from->groups,
        .groups_by_name = from->groups_by_name,
        .ready = from->ready,
        .quiet = from->quiet,
        .noisy = from->noisy,
        .blocked = from->blocked,
        .in_flight = from->in_flight,
        .delayed = from->delayed,
        .lost = from->lost,
        .bytes = from->bytes,
    };
    to->quiet.ctx = to->noisy.ctx = to;
    from->visible = from->lined = from->late = from->ready = (chain_t){0};
    from->groups = (pool_t){0};
    from->groups_by_name = (map_t){0};
    from->blocked = from->in_flight = from->delayed = from->lost = 0;
    from->bytes = 0;
    age_init(core, from);
    tenants_init(from);
}

/* Those who wait for its messages know it by its number. */
static void renumber(core_t *core, queue_t *queue)
{
    uint32_t old = queue->id;
    queue->id = pool_add(&core->queues, queue);
    queue_tables_renumber(core, queue, old);
    for (uint32_t i = 0; i < queue->subs.count; i++)
        subscription_at(core, queue->subs.items[i])->queue = queue->id;
    receives_renumber(core, queue);
}

void condemned_take(core_t *core, queue_t *queue)
{
    if (!queue_messages(queue))
        return;
    queue_numbers_spare(core);
    leave_lists(core, queue);
    queue_t *rest = memory_new(1, sizeof *rest);
    uint32_t number = queue->id;
    queue->counts.left += queue_messages(queue);
    holdings_move(core, queue, rest);
    renumber(core, queue);
    pool_put(&core->queues, number, rest);
    condemned_add(core, rest);
}

/* -- freeing --------------------------------------------------------------------------------------------- */
/* The next message of the first condemned queue, among as many places as may be looked at; 0 for none there. */
static uint32_t sweep_find(core_t *core)
{
    uint32_t made = core->messages.all.made;
    if (core->swept >= made)
        abort(); /* it counts more messages than there are: a bug */
    for (uint32_t i = 0; i < SWEEP_LOOKS && core->swept < made; i++) {
        const message_t *m = message_at(core, ++core->swept);
        if (m->state != MESSAGE_FREE && m->queue == core->condemned.items[0])
            return core->swept;
    }
    return 0;
}

/* Places do not move, and no message joins a condemned queue: one walk finds all. */
static void sweep_step(core_t *core)
{
    queue_t *queue = pool_get(&core->queues, core->condemned.items[0]);
    uint32_t id = queue_messages(queue) ? sweep_find(core) : 0;
    if (id)
        message_remove(core, id);
    if (queue_messages(queue))
        return;
    (void)ids_drop(&core->condemned, queue->id);
    pool_drop(&core->queues, queue->id);
    queue_free(queue);
    core->swept = 0;
}

void condemned_sweep(core_t *core)
{
    while (core->condemned.count && slice_take(&core->slice, core->now_us))
        sweep_step(core);
}

void condemned_end(core_t *core)
{
    while (core->condemned.count)
        sweep_step(core);
}
