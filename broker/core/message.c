/* message.c: messages in chunks that never move, two timers' heaps, and one mover function. */
#include "broker/core/message.h"

#include <stdlib.h>

#include "broker/core/group.h"
#include "broker/core/queue.h"

#define CHUNK_BITS 12u
#define CHUNK_MESSAGES (1u << CHUNK_BITS)

_Static_assert(sizeof(message_t) == 64, "a queued message is one cache line");

/* -- times in few bytes ---------------------------------------------------------------------------- */
uint32_t message_age_ms(const message_t *message, int64_t now_us)
{
    int64_t age_ms = (now_us - message->sent_us) / US_PER_MS;
    return age_ms <= 0 ? 0 : age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX - 1;
}

int64_t message_first_receive_us(const message_t *message)
{
    return message->first_received_ms ? message->sent_us + (message->first_received_ms - INT64_C(1)) * US_PER_MS : 0;
}

/* -- storage ------------------------------------------------------------------------------------- */
message_t *message_at(const core_t *core, uint32_t id)
{
    return &core->messages.chunks[id >> CHUNK_BITS][id & (CHUNK_MESSAGES - 1)];
}

static uint32_t message_take_free(core_t *core)
{
    messages_t *all = &core->messages;
    all->used++;
    if (all->free) {
        uint32_t id = all->free;
        all->free = message_at(core, id)->next;
        return id;
    }
    uint32_t id = ++all->made;
    if ((id >> CHUNK_BITS) >= all->chunk_count) {
        all->chunks = memory_grow(all->chunks, all->chunk_count + 1, sizeof(message_t *));
        all->chunks[all->chunk_count++] = memory_new(CHUNK_MESSAGES, sizeof(message_t));
    }
    return id;
}

typedef struct {
    uint32_t queue;
    uint64_t record;
} identity_t;

static bool message_is(const void *ctx, uint32_t id, const void *key)
{
    const message_t *m = message_at(ctx, id);
    const identity_t *wanted = key;
    return m->record == wanted->record && m->queue == wanted->queue;
}

uint32_t message_find(const core_t *core, uint32_t queue, uint64_t record)
{
    identity_t wanted = {queue, record};
    return map_find(&core->messages.by_identity, map_hash_pair(queue, record), message_is, core, &wanted);
}

static bool message_before(const void *ctx, uint32_t a, uint32_t b)
{
    const message_t *x = message_at(ctx, a), *y = message_at(ctx, b);
    if (x->timer_us != y->timer_us)
        return x->timer_us < y->timer_us;
    if (x->record != y->record)
        return x->record < y->record;
    return x->queue < y->queue;
}

static uint32_t *message_place(void *ctx, uint32_t id)
{
    return &message_at(ctx, id)->heap_at;
}

static const heap_kind_t message_timers = {message_before, message_place};

static bool aging_before(const void *ctx, uint32_t a, uint32_t b)
{
    const queue_t *x = pool_get(&((const core_t *)ctx)->queues, a), *y = pool_get(&((const core_t *)ctx)->queues, b);
    return x->expires_us != y->expires_us ? x->expires_us < y->expires_us : a < b;
}

static uint32_t *aging_place(void *ctx, uint32_t id)
{
    queue_t *queue = pool_get(&((core_t *)ctx)->queues, id);
    return &queue->aging_at;
}

void messages_init(core_t *core)
{
    static const heap_kind_t aging = {aging_before, aging_place};
    heap_init(&core->messages.delayed, &message_timers, core);
    heap_init(&core->messages.due, &message_timers, core);
    heap_init(&core->messages.aging, &aging, core);
}

void message_timers_init(core_t *core, queue_t *queue)
{
    heap_init(&queue->fresh, &message_timers, core);
    heap_init(&queue->tired, &message_timers, core);
    queue->expires_us = INT64_MAX;
}

void message_timers_free(queue_t *queue)
{
    heap_free(&queue->fresh);
    heap_free(&queue->tired);
}

/* -- age ----------------------------------------------------------------------------------------- */
static int64_t first_timer_us(const core_t *core, const heap_t *heap)
{
    uint32_t id = heap_top(heap);
    return id ? message_at(core, id)->timer_us : INT64_MAX;
}

/* After the queue's first one may have changed, which what is new never does. */
static void aging_refresh(core_t *core, queue_t *queue)
{
    int64_t fresh_us = first_timer_us(core, &queue->fresh), tired_us = first_timer_us(core, &queue->tired);
    int64_t expires_us = fresh_us < tired_us ? fresh_us : tired_us;
    if (expires_us == queue->expires_us)
        return;
    queue->expires_us = expires_us;
    if (expires_us == INT64_MAX)
        heap_drop(&core->messages.aging, queue->id);
    else
        heap_set(&core->messages.aging, queue->id);
}

static void aging_enter(core_t *core, queue_t *queue, uint32_t id)
{
    heap_set(message_at(core, id)->receives < MESSAGE_RECEIVES_TO_BACK ? &queue->fresh : &queue->tired, id);
    aging_refresh(core, queue);
}

/* By its place: a delivery has counted already when it leaves. */
heap_t *message_aging(queue_t *queue, const message_t *message, uint32_t id)
{
    uint32_t at = message->heap_at;
    return at && at <= queue->fresh.count && queue->fresh.items[at] == id ? &queue->fresh : &queue->tired;
}

static void aging_leave(core_t *core, queue_t *queue, uint32_t id)
{
    heap_drop(message_aging(queue, message_at(core, id), id), id);
    aging_refresh(core, queue);
}

uint32_t message_take_old(core_t *core, int64_t now_us)
{
    queue_t *queue = pool_get(&core->queues, heap_top(&core->messages.aging));
    if (!queue || queue->expires_us > now_us)
        return 0;
    uint32_t id =
        first_timer_us(core, &queue->fresh) == queue->expires_us ? heap_top(&queue->fresh) : heap_top(&queue->tired);
    aging_leave(core, queue, id);
    return id;
}

void messages_free(core_t *core)
{
    messages_t *all = &core->messages;
    for (uint32_t i = 0; i < all->chunk_count; i++)
        free(all->chunks[i]);
    free(all->chunks);
    map_free(&all->by_identity);
    heap_free(&all->delayed);
    heap_free(&all->due);
    heap_free(&all->aging);
    for (uint32_t id = pool_next(&all->dead, 0); id; id = pool_next(&all->dead, id)) {
        dead_t *dead = pool_get(&all->dead, id);
        free(dead->detail);
        free(dead);
    }
    pool_free(&all->dead);
}

/* -- chains -------------------------------------------------------------------------------------- */
void message_link(core_t *core, chain_t *chain, uint32_t id, uint32_t before)
{
    message_t *m = message_at(core, id);
    m->prev = before ? message_at(core, before)->prev : chain->tail;
    m->next = before;
    if (m->prev)
        message_at(core, m->prev)->next = id;
    else
        chain->head = id;
    if (m->next)
        message_at(core, m->next)->prev = id;
    else
        chain->tail = id;
    chain->count++;
}

void message_unlink(core_t *core, chain_t *chain, uint32_t id)
{
    message_t *m = message_at(core, id);
    if (m->prev)
        message_at(core, m->prev)->next = m->next;
    else
        chain->head = m->next;
    if (m->next)
        message_at(core, m->next)->prev = m->prev;
    else
        chain->tail = m->prev;
    m->prev = m->next = 0;
    chain->count--;
}

/* -- states -------------------------------------------------------------------------------------- */
typedef struct {
    message_state_t state;
    int64_t timer_us;
    session_t *holder; /* IN_FLIGHT */
    bool at_front;     /* VISIBLE */
} next_state_t;

static session_t *holder_of(core_t *core, const message_t *m)
{
    return pool_get(&core->sessions.all, m->session);
}

static void message_leave(core_t *core, uint32_t id, queue_t *queue)
{
    message_t *m = message_at(core, id);
    switch ((message_state_t)m->state) {
    case MESSAGE_FREE:
        return;
    case MESSAGE_VISIBLE:
        if (m->group)
            group_hide(core, queue, id);
        else
            message_unlink(core, &queue->visible, id);
        aging_leave(core, queue, id);
        return;
    case MESSAGE_DELAYED:
        queue->delayed--;
        heap_drop(&core->messages.delayed, id);
        if (m->group && m->receives)
            group_unhold(core, queue, id);
        return;
    case MESSAGE_IN_FLIGHT:
        if (queue->in_flight-- >= core->limits.in_flight)
            queue_touch(core, queue);
        message_unlink(core, &holder_of(core, m)->held, id);
        heap_drop(&core->messages.due, id);
        m->session = 0;
        if (m->group)
            group_unhold(core, queue, id);
        return;
    }
}

static void message_enter(core_t *core, uint32_t id, queue_t *queue, const next_state_t *next)
{
    message_t *m = message_at(core, id);
    switch (next->state) {
    case MESSAGE_FREE:
        return;
    case MESSAGE_VISIBLE:
        aging_enter(core, queue, id);
        if (m->group) {
            group_show(core, queue, id, next->at_front);
            return;
        }
        message_link(core, &queue->visible, id, next->at_front ? queue->visible.head : 0);
        queue_touch(core, queue);
        return;
    case MESSAGE_DELAYED:
        queue->delayed++;
        heap_set(&core->messages.delayed, id);
        if (m->group && m->receives)
            group_hold(core, queue, id);
        return;
    case MESSAGE_IN_FLIGHT:
        queue->in_flight++;
        m->session = (uint16_t)next->holder->id;
        message_link(core, &next->holder->held, id, 0);
        heap_set(&core->messages.due, id);
        if (m->group)
            group_hold(core, queue, id);
        return;
    }
}

/* The one mover. */
static void message_become(core_t *core, uint32_t id, const next_state_t *next)
{
    message_t *m = message_at(core, id);
    queue_t *queue = pool_get(&core->queues, m->queue);
    message_leave(core, id, queue);
    m->state = next->state & 7u;
    m->timer_us = next->timer_us;
    message_enter(core, id, queue, next);
    if (m->group)
        group_refresh(core, queue, m->group);
}

static void message_show(core_t *core, uint32_t id, bool at_front)
{
    int64_t expires_us = message_expires_us(core, message_at(core, id), NULL);
    message_become(core, id, &(next_state_t){MESSAGE_VISIBLE, expires_us, NULL, at_front});
}

/* In its queue and group, in no state yet. */
static uint32_t message_make(core_t *core, const message_t *template)
{
    uint32_t id = message_take_free(core);
    message_t *m = message_at(core, id);
    *m = *template;
    m->state = MESSAGE_FREE;
    m->heap_at = m->prev = m->next = m->session = 0;
    map_add(&core->messages.by_identity, map_hash_pair(m->queue, m->record), id);
    queue_t *queue = pool_get(&core->queues, m->queue);
    queue->bytes += m->bytes;
    if (m->group) {
        group_at(queue, m->group)->messages++;
        group_heard(core, queue, m->group);
    }
    return id;
}

uint32_t message_add(core_t *core, const message_t *template, int64_t visible_us, int64_t now_us)
{
    uint32_t id = message_make(core, template);
    if (visible_us > now_us)
        message_become(core, id, &(next_state_t){MESSAGE_DELAYED, visible_us, NULL, false});
    else
        message_show(core, id, false);
    return id;
}

uint32_t message_restore(core_t *core, const message_t *template, session_t *holder)
{
    uint32_t id = message_make(core, template);
    bool by_queue = template->state == MESSAGE_VISIBLE && !template->timer_us;
    int64_t timer_us = by_queue ? message_expires_us(core, template, NULL) : template->timer_us;
    message_become(core, id, &(next_state_t){template->state, timer_us, holder, false});
    return id;
}

void message_deliver(core_t *core, uint32_t id, session_t *session, uint64_t receives, int64_t until_us, int64_t now_us)
{
    message_t *m = message_at(core, id);
    m->received_ms = message_age_ms(m, now_us);
    if (!m->first_received_ms)
        m->first_received_ms = m->received_ms + 1;
    m->receives = (uint16_t)(receives < MESSAGE_RECEIVES_MAX ? receives : MESSAGE_RECEIVES_MAX);
    message_become(core, id, &(next_state_t){MESSAGE_IN_FLIGHT, until_us, session, false});
}

void message_release(core_t *core, uint32_t id, int64_t visible_us, int64_t now_us)
{
    if (visible_us > now_us)
        message_become(core, id, &(next_state_t){MESSAGE_DELAYED, visible_us, NULL, false});
    else
        message_show(core, id, message_at(core, id)->receives < MESSAGE_RECEIVES_TO_BACK);
}

void message_extend(core_t *core, uint32_t id, int64_t until_us)
{
    message_at(core, id)->timer_us = until_us;
    heap_set(&core->messages.due, id);
}

static void dead_forget(core_t *core, uint32_t id)
{
    dead_t *dead = pool_get(&core->messages.dead, id);
    if (!dead)
        return;
    pool_drop(&core->messages.dead, id);
    free(dead->detail);
    free(dead);
}

void message_remove(core_t *core, uint32_t id)
{
    message_t *m = message_at(core, id);
    queue_t *queue = pool_get(&core->queues, m->queue);
    message_become(core, id, &(next_state_t){MESSAGE_FREE, 0, NULL, false});
    queue->bytes -= m->bytes;
    if (m->group)
        group_leave(queue, m->group);
    map_drop(&core->messages.by_identity, map_hash_pair(m->queue, m->record), id);
    dead_forget(core, m->dead);
    m->dead = 0;
    m->next = core->messages.free;
    core->messages.free = id;
    core->messages.used--;
}

/* -- time ---------------------------------------------------------------------------------------- */
void message_promote(core_t *core, int64_t now_us)
{
    uint32_t id;
    while ((id = heap_top(&core->messages.delayed)) != 0 && message_at(core, id)->timer_us <= now_us)
        message_show(core, id, false);
}

int64_t message_expires_us(const core_t *core, const message_t *message, bool *by_age)
{
    const queue_t *queue = pool_get(&core->queues, message->queue);
    const queue_attributes_t *a = &queue->attributes;
    bool age = a->max_age_us && a->max_age_us < a->retention_us;
    if (by_age)
        *by_age = age;
    return message->sent_us + (age ? a->max_age_us : a->retention_us);
}

void message_retime(core_t *core, queue_t *queue)
{
    for (uint32_t id = visible_first(core, queue); id; id = visible_next(core, queue, id)) {
        message_at(core, id)->timer_us = message_expires_us(core, message_at(core, id), NULL);
        heap_set(message_aging(queue, message_at(core, id), id), id);
    }
    aging_refresh(core, queue);
}

void message_redelay(core_t *core, const queue_t *queue)
{
    for (uint32_t id = 1; id <= core->messages.made; id++) {
        message_t *m = message_at(core, id);
        if (m->queue != queue->id || m->state != MESSAGE_DELAYED || m->receives)
            continue;
        m->timer_us = m->sent_us + queue->attributes.delay_us;
        heap_set(&core->messages.delayed, id);
    }
}

void message_purge(core_t *core, const queue_t *queue)
{
    for (uint32_t id = 1; id <= core->messages.made; id++) {
        const message_t *m = message_at(core, id);
        if (m->state != MESSAGE_FREE && m->queue == queue->id)
            message_remove(core, id);
    }
}

/* -- where the bytes are --------------------------------------------------------------------------- */
const dead_t *message_dead(const core_t *core, const message_t *message)
{
    return pool_get(&core->messages.dead, message->dead);
}

uint64_t message_origin(const core_t *core, const message_t *message, uint64_t *queue)
{
    const dead_t *dead = message_dead(core, message);
    const queue_t *own = pool_get(&core->queues, message->queue);
    if (queue)
        *queue = dead ? dead->origin_queue : own->incarnation;
    return dead ? dead->origin : message->record;
}

/* -- names --------------------------------------------------------------------------------------- */
static bool name_is(const void *ctx, uint32_t name, const void *key)
{
    return bytes_eq_cstr(*(const bytes_t *)key, name_text(ctx, name));
}

uint32_t name_keep(core_t *core, bytes_t text)
{
    if (!text.len)
        return 0;
    uint32_t hash = map_hash_bytes(text);
    uint32_t name = map_find(&core->names_by_text, hash, name_is, core, &text);
    if (name)
        return name;
    name = pool_add(&core->names, memory_text(text));
    map_add(&core->names_by_text, hash, name);
    return name;
}

const char *name_text(const core_t *core, uint32_t name)
{
    const char *text = pool_get(&core->names, name);
    return text ? text : "";
}
