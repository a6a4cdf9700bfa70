/* node_mistakes.c: the deliberate mistakes that are made in a node's cores: in recovery, at its end and in snapshots.
 */
#include <stdlib.h>

#include "broker/core/message.h"
#include "broker/core/state.h"
#include "tests/sim/node_internal.h"

/* Events go where the newest rules say. */
void node_mistake_in_record(const node_t *node, record_t *record)
{
    if (node->bug != BUG_ROUTE_AGAIN || record->kind != RECORD_PUBLISH || node->lives % 2 == 0)
        return;
    for (uint32_t i = 0; i < record->publish.routes.count; i++)
        if (record->publish.routes.items[i].queue == node->model->queues[1])
            record->publish.routes.items[i].queue = node->model->queues[3];
}

static void forget_keys(core_t *core)
{
    for (uint32_t id = pool_next(&core->buses, 0); id; id = pool_next(&core->buses, id))
        dedup_free(&((bus_t *)pool_get(&core->buses, id))->dedup);
}

static void forget_producers(core_t *core)
{
    for (uint32_t id = pool_next(&core->producers.all, 0); id; id = pool_next(&core->producers.all, id)) {
        producer_t *p = pool_get(&core->producers.all, id);
        free(p->answers);
        p->answers = NULL;
    }
}

static void lose_receives(core_t *core)
{
    for (uint32_t id = 1; id <= core->messages.all.made; id++)
        message_at(core, id)->receives = 0;
}

static void replay_again(core_t *core)
{
    for (uint32_t id = pool_next(&core->replays.all, 0); id; id = pool_next(&core->replays.all, id)) {
        replay_t *replay = pool_get(&core->replays.all, id);
        replay->position = replay->looked = 0;
    }
}

static void spoil_schedules(core_t *core, bool forget, int64_t now_us)
{
    for (uint32_t id = pool_next(&core->schedules.all, 0); id; id = pool_next(&core->schedules.all, id)) {
        schedule_t *s = pool_get(&core->schedules.all, id);
        s->done_us = forget ? s->began_us : now_us;
        s->fired_us = 0;
    }
}

void node_mistake_in_start(const node_t *node, int64_t now_us)
{
    if (node->bug == BUG_FORGET_FIRINGS || node->bug == BUG_SKIP_FIRINGS)
        spoil_schedules(node->core, node->bug == BUG_FORGET_FIRINGS, now_us);
    if (node->bug == BUG_FORGET_KEYS)
        forget_keys(node->core);
    if (node->bug == BUG_FORGET_PRODUCERS)
        forget_producers(node->core);
    if (node->bug == BUG_LOSE_RECEIVES)
        lose_receives(node->core);
    if (node->bug == BUG_REPLAY_AGAIN)
        replay_again(node->core);
}

void node_mistake_in_snapshot(const node_t *node, core_t *core)
{
    if (node->bug == BUG_SNAPSHOT_NO_KEYS)
        forget_keys(core);
}
