/* late.c: a line for each queue, and a heap of queues. */
#include "broker/core/late.h"

#include "broker/core/message.h"

static queue_t *queue_of(const core_t *core, const message_t *message)
{
    return pool_get(&core->queues, message->queue);
}

bool late_has(const core_t *core, const message_t *message)
{
    return message->state == MESSAGE_DELAYED && !message->receives && queue_of(core, message)->attributes.is_fifo;
}

int64_t late_visible_us(const core_t *core, const message_t *message)
{
    return message->sent_us + queue_of(core, message)->attributes.delay_us;
}

/* -- queues -------------------------------------------------------------------------------------------- */
static bool queue_before(const void *ctx, uint32_t a, uint32_t b)
{
    const queue_t *x = pool_get(&((const core_t *)ctx)->queues, a), *y = pool_get(&((const core_t *)ctx)->queues, b);
    return x->late_us != y->late_us ? x->late_us < y->late_us : a < b;
}

static uint32_t *queue_place(void *ctx, uint32_t id)
{
    queue_t *queue = pool_get(&((core_t *)ctx)->queues, id);
    return &queue->late_at;
}

void lates_init(core_t *core)
{
    static const heap_kind_t queues = {queue_before, queue_place};
    heap_init(&core->messages.late, &queues, core);
}

void late_refresh(core_t *core, queue_t *queue)
{
    if (!queue->late.head || queue->is_condemned) {
        heap_drop(&core->messages.late, queue->id);
        return;
    }
    queue->late_us = late_visible_us(core, message_at(core, queue->late.head));
    heap_set(&core->messages.late, queue->id);
}

uint32_t late_first(const core_t *core)
{
    const queue_t *queue = pool_get(&core->queues, heap_top(&core->messages.late));
    return queue ? queue->late.head : 0;
}

/* -- the line ------------------------------------------------------------------------------------------ */
static bool is_before(const message_t *x, const message_t *y)
{
    return x->sent_us != y->sent_us ? x->sent_us < y->sent_us : x->record < y->record;
}

/* At the end, but for what a snapshot brings out of order. */
void late_enter(core_t *core, queue_t *queue, uint32_t id)
{
    uint32_t behind = 0;
    for (uint32_t at = queue->late.tail; at && is_before(message_at(core, id), message_at(core, at));
         at = message_at(core, at)->prev)
        behind = at;
    message_link(core, &queue->late, id, behind);
    late_refresh(core, queue);
}

void late_leave(core_t *core, queue_t *queue, uint32_t id)
{
    message_unlink(core, &queue->late, id);
    late_refresh(core, queue);
}
