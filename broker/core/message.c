/* message.c: messages by identity, what few of them have, two heaps of timers, and one mover function. */
#include "broker/core/message.h"

#include <stdlib.h>

#include "broker/core/age.h"
#include "broker/core/group.h"
#include "broker/core/late.h"
#include "broker/core/lost.h"
#include "broker/core/queue.h"

_Static_assert(sizeof(message_t) == 48, "with its place in the map, a waiting message takes 64 bytes at most");

/* -- times in few bytes ---------------------------------------------------------------------------- */
uint32_t message_age_ms(const message_t *message, int64_t now_us)
{
    int64_t age_ms = (now_us - message->sent_us) / US_PER_MS;
    return age_ms <= 0 ? 0 : age_ms < UINT32_MAX ? (uint32_t)age_ms : UINT32_MAX - 1;
}

int64_t message_first_receive_us(const core_t *core, const message_t *message)
{
    uint32_t first_ms = message_side(core, message)->first_received_ms;
    return first_ms ? message->sent_us + (first_ms - INT64_C(1)) * US_PER_MS : 0;
}

/* -- storage ------------------------------------------------------------------------------------- */
const message_side_t message_no_side = {0};

/* What stays at 0 needs no place. */
static bool side_says(const message_side_t *side)
{
    return side->group || side->dead || side->is_lost || side->first_received_ms || side->received_ms;
}

message_side_t *message_side_need(core_t *core, uint32_t id)
{
    message_t *m = message_at(core, id);
    if (!m->side) {
        m->side = slab_take(&core->messages.sides);
        *(message_side_t *)slab_at(&core->messages.sides, m->side) = message_no_side;
    }
    return slab_at(&core->messages.sides, m->side);
}

static void side_drop(core_t *core, message_t *m)
{
    if (m->side)
        slab_give(&core->messages.sides, m->side);
    m->side = 0;
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

void message_expect(const core_t *core, uint32_t queue, uint64_t record)
{
    wide_map_expect(&core->messages.by_identity, wide_map_hash(queue, record));
}

uint32_t message_find(const core_t *core, uint32_t queue, uint64_t record)
{
    identity_t wanted = {queue, record};
    return wide_map_find(&core->messages.by_identity, wide_map_hash(queue, record), message_is, core, &wanted);
}

static int64_t timer_us(const core_t *core, const message_t *m)
{
    return ((const message_side_t *)slab_at(&core->messages.sides, m->side))->timer_us;
}

static bool message_before(const void *ctx, uint32_t a, uint32_t b)
{
    const message_t *x = message_at(ctx, a), *y = message_at(ctx, b);
    int64_t x_us = timer_us(ctx, x), y_us = timer_us(ctx, y);
    if (x_us != y_us)
        return x_us < y_us;
    if (x->record != y->record)
        return x->record < y->record;
    return x->queue < y->queue;
}

static uint32_t *message_place(void *ctx, uint32_t id)
{
    return &message_at(ctx, id)->heap_at;
}

void messages_init(core_t *core)
{
    static const heap_kind_t timers = {message_before, message_place};
    slab_init(&core->messages.all, sizeof(message_t));
    slab_init(&core->messages.sides, sizeof(message_side_t));
    heap_init(&core->messages.delayed, &timers, core);
    heap_init(&core->messages.due, &timers, core);
    ages_init(core);
    lates_init(core);
}

void messages_free(core_t *core)
{
    messages_t *all = &core->messages;
    slab_free(&all->all);
    slab_free(&all->sides);
    wide_map_free(&all->by_identity);
    heap_free(&all->delayed);
    heap_free(&all->due);
    heap_free(&all->aging);
    heap_free(&all->late);
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
    int64_t timer_us;  /* DELAYED, IN_FLIGHT */
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
    uint32_t group = message_group(core, m);
    switch ((message_state_t)m->state) {
    case MESSAGE_FREE:
        return;
    case MESSAGE_VISIBLE:
        if (group)
            group_hide(core, queue, id);
        else
            message_unlink(core, &queue->visible, id);
        age_leave(core, queue, id);
        return;
    case MESSAGE_DELAYED:
        queue->delayed--;
        if (late_has(core, m))
            late_leave(core, queue, id);
        else
            heap_drop(&core->messages.delayed, id);
        if (group && m->receives)
            group_unhold(core, queue, id);
        return;
    case MESSAGE_IN_FLIGHT:
        if (queue->in_flight-- >= core->limits.in_flight)
            queue_touch(core, queue);
        message_unlink(core, &holder_of(core, m)->held, id);
        heap_drop(&core->messages.due, id);
        m->session = 0;
        if (group)
            group_unhold(core, queue, id);
        return;
    }
}

static void message_enter(core_t *core, uint32_t id, queue_t *queue, const next_state_t *next)
{
    message_t *m = message_at(core, id);
    uint32_t group = message_group(core, m);
    switch (next->state) {
    case MESSAGE_FREE:
        return;
    case MESSAGE_VISIBLE:
        age_enter(core, queue, id);
        if (group) {
            group_show(core, queue, id, next->at_front);
            return;
        }
        message_link(core, &queue->visible, id, next->at_front ? queue->visible.head : 0);
        queue_touch(core, queue);
        return;
    case MESSAGE_DELAYED:
        queue->delayed++;
        if (late_has(core, m))
            late_enter(core, queue, id);
        else
            heap_set(&core->messages.delayed, id);
        if (group && m->receives)
            group_hold(core, queue, id);
        return;
    case MESSAGE_IN_FLIGHT:
        queue->in_flight++;
        queue->counts.delivered++;
        m->session = (uint16_t)next->holder->id;
        message_link(core, &next->holder->held, id, 0);
        heap_set(&core->messages.due, id);
        if (group)
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
    m->state = next->state & 3u;
    if (next->state > MESSAGE_VISIBLE)
        message_side_need(core, id)->timer_us = next->timer_us;
    else if (!side_says(message_side(core, m)))
        side_drop(core, m);
    message_enter(core, id, queue, next);
    uint32_t group = message_group(core, m);
    if (group)
        group_refresh(core, queue, group);
}

static void message_show(core_t *core, uint32_t id, bool at_front)
{
    message_become(core, id, &(next_state_t){MESSAGE_VISIBLE, 0, NULL, at_front});
}

/* In its queue and group, in no state yet. */
static uint32_t message_make(core_t *core, const message_t *template, const message_side_t *side)
{
    uint32_t id = slab_take(&core->messages.all);
    message_t *m = message_at(core, id);
    *m = *template;
    m->state = MESSAGE_FREE;
    m->is_lined = 0;
    m->older = m->newer = m->prev = m->next = m->side = m->session = 0;
    if (side_says(side))
        *message_side_need(core, id) = *side;
    wide_map_add(&core->messages.by_identity, wide_map_hash(m->queue, m->record), id);
    queue_t *queue = pool_get(&core->queues, m->queue);
    queue->bytes += m->bytes;
    lost_count(core, queue, side, 1);
    queue->counts.entered++;
    if (side->group) {
        group_at(queue, side->group)->messages++;
        group_heard(core, queue, side->group);
    }
    return id;
}

uint32_t message_add(core_t *core, const message_t *template, const message_side_t *side, int64_t visible_us,
                     int64_t now_us)
{
    uint32_t id = message_make(core, template, side);
    if (visible_us > now_us)
        message_become(core, id, &(next_state_t){MESSAGE_DELAYED, visible_us, NULL, false});
    else
        message_show(core, id, false);
    return id;
}

uint32_t message_restore(core_t *core, const message_t *template, const message_side_t *side, session_t *holder)
{
    uint32_t id = message_make(core, template, side);
    message_become(core, id, &(next_state_t){template->state, side->timer_us, holder, false});
    return id;
}

void message_deliver(core_t *core, uint32_t id, session_t *session, uint64_t receives, int64_t until_us, int64_t now_us)
{
    message_t *m = message_at(core, id);
    message_side_t *side = message_side_need(core, id);
    side->received_ms = message_age_ms(m, now_us);
    if (!side->first_received_ms)
        side->first_received_ms = side->received_ms + 1;
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
    message_side_need(core, id)->timer_us = until_us;
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
    lost_count(core, queue, message_side(core, m), -1);
    queue->counts.left++;
    uint32_t group = message_group(core, m);
    if (group)
        group_leave(queue, group);
    wide_map_drop(&core->messages.by_identity, wide_map_hash(m->queue, m->record), id);
    dead_forget(core, message_side(core, m)->dead);
    side_drop(core, m);
    slab_give(&core->messages.all, id);
}

/* -- time ---------------------------------------------------------------------------------------- */
void message_wake(core_t *core, uint32_t id)
{
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

int64_t message_timer_us(const core_t *core, const message_t *message)
{
    if (message->state == MESSAGE_VISIBLE)
        return message_expires_us(core, message, NULL);
    return late_has(core, message) ? late_visible_us(core, message) : timer_us(core, message);
}

bool message_due_before(const core_t *core, uint32_t a, uint32_t b)
{
    const message_t *x = message_at(core, a), *y = message_at(core, b);
    int64_t x_us = message_timer_us(core, x), y_us = message_timer_us(core, y);
    if (x_us != y_us)
        return x_us < y_us;
    return x->record != y->record ? x->record < y->record : x->queue < y->queue;
}

/* -- where the bytes are --------------------------------------------------------------------------- */
const dead_t *message_dead(const core_t *core, const message_t *message)
{
    return pool_get(&core->messages.dead, message_side(core, message)->dead);
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
    if (!text.len || bytes_eq_cstr(text, name_text(core, core->newest_name)))
        return text.len ? core->newest_name : 0;
    uint32_t hash = map_hash_bytes(text);
    uint32_t name = map_find(&core->names_by_text, hash, name_is, core, &text);
    if (!name) {
        name = pool_add(&core->names, memory_text(text));
        map_add(&core->names_by_text, hash, name);
    }
    core->newest_name = name;
    return name;
}

const char *name_text(const core_t *core, uint32_t name)
{
    const char *text = pool_get(&core->names, name);
    return text ? text : "";
}
