/* age.c: a line by age, two heaps for what is not in order, and a heap of queues. */
#include "broker/core/age.h"

#include "broker/core/message.h"

/* -- order --------------------------------------------------------------------------------------------- */
bool age_before(const void *core, uint32_t a, uint32_t b)
{
    const message_t *x = message_at(core, a), *y = message_at(core, b);
    return x->sent_us != y->sent_us ? x->sent_us < y->sent_us : x->record < y->record;
}

static uint32_t *age_place(void *ctx, uint32_t id)
{
    return &message_at(ctx, id)->heap_at;
}

static bool queue_before(const void *ctx, uint32_t a, uint32_t b)
{
    const queue_t *x = pool_get(&((const core_t *)ctx)->queues, a), *y = pool_get(&((const core_t *)ctx)->queues, b);
    return x->expires_us != y->expires_us ? x->expires_us < y->expires_us : a < b;
}

static uint32_t *queue_place(void *ctx, uint32_t id)
{
    queue_t *queue = pool_get(&((core_t *)ctx)->queues, id);
    return &queue->aging_at;
}

void ages_init(core_t *core)
{
    static const heap_kind_t queues = {queue_before, queue_place};
    heap_init(&core->messages.aging, &queues, core);
}

void age_init(core_t *core, queue_t *queue)
{
    static const heap_kind_t messages = {age_before, age_place};
    heap_init(&queue->fresh, &messages, core);
    heap_init(&queue->tired, &messages, core);
    queue->expires_us = INT64_MAX;
}

void age_free(queue_t *queue)
{
    heap_free(&queue->fresh);
    heap_free(&queue->tired);
}

/* -- the line ------------------------------------------------------------------------------------------- */
static void line_join(core_t *core, queue_t *queue, uint32_t id)
{
    message_t *m = message_at(core, id);
    m->is_lined = 1;
    m->older = queue->lined.tail;
    m->newer = 0;
    if (m->older)
        message_at(core, m->older)->newer = id;
    else
        queue->lined.head = id;
    queue->lined.tail = id;
    queue->lined.count++;
}

static void line_leave(core_t *core, queue_t *queue, uint32_t id)
{
    message_t *m = message_at(core, id);
    if (m->older)
        message_at(core, m->older)->newer = m->newer;
    else
        queue->lined.head = m->newer;
    if (m->newer)
        message_at(core, m->newer)->older = m->older;
    else
        queue->lined.tail = m->older;
    m->is_lined = 0;
    m->older = m->newer = 0;
    queue->lined.count--;
}

/* -- who is first ---------------------------------------------------------------------------------------- */
static uint32_t older_of(const core_t *core, uint32_t a, uint32_t b)
{
    if (!a || !b)
        return a ? a : b;
    return age_before(core, b, a) ? b : a;
}

uint32_t age_oldest(const core_t *core, const queue_t *queue)
{
    return older_of(core, queue->lined.head, heap_top(&queue->fresh));
}

static uint32_t age_first(const core_t *core, const queue_t *queue)
{
    return older_of(core, age_oldest(core, queue), heap_top(&queue->tired));
}

int64_t age_first_us(const core_t *core, const queue_t *queue)
{
    uint32_t id = age_first(core, queue);
    return id ? message_expires_us(core, message_at(core, id), NULL) : INT64_MAX;
}

void age_refresh(core_t *core, queue_t *queue)
{
    int64_t expires_us = age_first_us(core, queue);
    if (expires_us == queue->expires_us || queue->is_condemned)
        return;
    queue->expires_us = expires_us;
    if (expires_us == INT64_MAX)
        heap_drop(&core->messages.aging, queue->id);
    else
        heap_set(&core->messages.aging, queue->id);
}

/* -- coming and going -------------------------------------------------------------------------------------- */
void age_enter(core_t *core, queue_t *queue, uint32_t id)
{
    bool is_tired = message_at(core, id)->receives >= MESSAGE_RECEIVES_TO_BACK;
    if (is_tired)
        heap_set(&queue->tired, id);
    else if (!queue->lined.tail || age_before(core, queue->lined.tail, id))
        line_join(core, queue, id);
    else
        heap_set(&queue->fresh, id);
    age_refresh(core, queue);
}

/* By its place: a delivery has counted already when it leaves. */
heap_t *age_heap(queue_t *queue, const message_t *message, uint32_t id)
{
    uint32_t at = message->heap_at;
    return at && at <= queue->fresh.count && queue->fresh.items[at] == id ? &queue->fresh : &queue->tired;
}

void age_leave(core_t *core, queue_t *queue, uint32_t id)
{
    const message_t *m = message_at(core, id);
    if (m->is_lined)
        line_leave(core, queue, id);
    else
        heap_drop(age_heap(queue, m, id), id);
    age_refresh(core, queue);
}

int64_t age_next_us(const core_t *core)
{
    const queue_t *queue = pool_get(&core->queues, heap_top(&core->messages.aging));
    return queue ? queue->expires_us : INT64_MAX;
}

uint32_t age_take(core_t *core)
{
    queue_t *queue = pool_get(&core->queues, heap_top(&core->messages.aging));
    uint32_t id = age_first(core, queue);
    age_leave(core, queue, id);
    return id;
}
