/* group.c: groups, the line of ready ones, and the deduplication of FIFO queues. */
#include "broker/core/group.h"

#include <stdlib.h>

#include "broker/core/age.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/tenant.h"

/* -- finding ------------------------------------------------------------------------------------------ */
group_t *group_at(const queue_t *queue, uint32_t id)
{
    return pool_get(&queue->groups, id);
}

static bool group_is(const void *ctx, uint32_t id, const void *key)
{
    return bytes_eq_cstr(*(const bytes_t *)key, group_at(ctx, id)->name);
}

uint32_t group_need(queue_t *queue, bytes_t name)
{
    uint32_t hash = map_hash_bytes(name);
    uint32_t id = map_find(&queue->groups_by_name, hash, group_is, queue, &name);
    if (id)
        return id;
    group_t *group = memory_new(1, sizeof *group);
    group->name = memory_text(name);
    group->id = pool_add(&queue->groups, group);
    map_add(&queue->groups_by_name, hash, group->id);
    return group->id;
}

static void group_free(group_t *group)
{
    free(group->name);
    ids_free(&group->held);
    free(group);
}

void groups_free(queue_t *queue)
{
    for (uint32_t id = pool_next(&queue->groups, 0); id; id = pool_next(&queue->groups, id))
        group_free(group_at(queue, id));
    pool_free(&queue->groups);
    map_free(&queue->groups_by_name);
}

void group_leave(queue_t *queue, uint32_t id)
{
    group_t *group = group_at(queue, id);
    if (--group->messages)
        return;
    map_drop(&queue->groups_by_name, map_hash_bytes(bytes_cstr(group->name)), id);
    pool_drop(&queue->groups, id);
    group_free(group);
}

/* -- order -------------------------------------------------------------------------------------------- */
static group_t *group_of(const core_t *core, const queue_t *queue, uint32_t message)
{
    return group_at(queue, message_group(core, message_at(core, message)));
}

/* What returns stands before all that was never delivered, and what is new behind everything: both ways are
 * short. */
void group_show(core_t *core, queue_t *queue, uint32_t message, bool at_front)
{
    group_t *group = group_of(core, queue, message);
    if (!queue->attributes.is_fifo) {
        tenant_show(core, queue, message, at_front);
        return;
    }
    uint64_t record = message_at(core, message)->record;
    uint32_t before = 0;
    if (group->visible.tail && message_at(core, group->visible.tail)->record > record)
        for (before = group->visible.head; message_at(core, before)->record < record;)
            before = message_at(core, before)->next;
    message_link(core, &group->visible, message, before);
    queue->visible.count++;
}

void group_hide(core_t *core, queue_t *queue, uint32_t message)
{
    if (!queue->attributes.is_fifo) {
        tenant_hide(core, queue, message);
        return;
    }
    message_unlink(core, &group_of(core, queue, message)->visible, message);
    queue->visible.count--;
}

/* Few: no more than one delivery brings of a group. */
void group_hold(const core_t *core, queue_t *queue, uint32_t message)
{
    if (!queue->attributes.is_fifo) {
        tenant_hold(core, queue, message);
        return;
    }
    ids_t *held = &group_of(core, queue, message)->held;
    queue->blocked += held->count == 0;
    uint64_t record = message_at(core, message)->record;
    ids_add(held, message);
    uint32_t at = held->count - 1;
    for (; at > 0 && message_at(core, held->items[at - 1])->record > record; at--)
        held->items[at] = held->items[at - 1];
    held->items[at] = message;
}

void group_unhold(const core_t *core, queue_t *queue, uint32_t message)
{
    if (!queue->attributes.is_fifo) {
        tenant_unhold(core, queue, message);
        return;
    }
    ids_t *held = &group_of(core, queue, message)->held;
    if (ids_drop(held, message))
        queue->blocked -= held->count == 0;
}

/* -- what may be delivered ----------------------------------------------------------------------------- */
static uint32_t before_held(const core_t *core, const group_t *group, uint32_t message)
{
    if (!message || !group->held.count)
        return message;
    return message_at(core, message)->record < message_at(core, group->held.items[0])->record ? message : 0;
}

uint32_t group_first(const core_t *core, const group_t *group)
{
    return before_held(core, group, group->visible.head);
}

uint32_t group_next(const core_t *core, const group_t *group, uint32_t message)
{
    return before_held(core, group, message_at(core, message)->next);
}

/* -- the line of ready groups --------------------------------------------------------------------------- */
void group_line_join(queue_t *queue, group_t *group)
{
    chain_t *ready = &queue->ready;
    group->prev = ready->tail;
    group->next = 0;
    if (ready->tail)
        group_at(queue, ready->tail)->next = group->id;
    else
        ready->head = group->id;
    ready->tail = group->id;
    ready->count++;
}

void group_line_leave(queue_t *queue, group_t *group)
{
    chain_t *ready = &queue->ready;
    if (group->prev)
        group_at(queue, group->prev)->next = group->next;
    else
        ready->head = group->next;
    if (group->next)
        group_at(queue, group->next)->prev = group->prev;
    else
        ready->tail = group->prev;
    ready->count--;
}

void group_refresh(core_t *core, queue_t *queue, uint32_t id)
{
    group_t *group = group_at(queue, id);
    if (!queue->attributes.is_fifo) {
        tenant_refresh(core, queue, group);
        return;
    }
    bool is_ready = group_first(core, group) != 0;
    if (is_ready != group->is_ready) {
        group->is_ready = is_ready;
        if (is_ready)
            group_line_join(queue, group);
        else
            group_line_leave(queue, group);
    }
    if (is_ready)
        queue_touch(core, queue);
}

void group_heard(core_t *core, queue_t *queue, uint32_t group)
{
    if (!queue->attributes.is_fifo)
        tenant_heard(core, queue, group_at(queue, group));
}

/* -- walking -------------------------------------------------------------------------------------------- */
static uint32_t first_from(const queue_t *queue, uint32_t group)
{
    for (uint32_t id = pool_next(&queue->groups, group); id; id = pool_next(&queue->groups, id))
        if (group_at(queue, id)->visible.head)
            return group_at(queue, id)->visible.head;
    return 0;
}

uint32_t visible_first(const core_t *core UNUSED, const queue_t *queue)
{
    return queue->visible.head ? queue->visible.head : first_from(queue, 0);
}

uint32_t visible_next(const core_t *core, const queue_t *queue, uint32_t message)
{
    const message_t *m = message_at(core, message);
    return m->next ? m->next : first_from(queue, message_group(core, m));
}

int64_t visible_oldest_us(const core_t *core, const queue_t *queue)
{
    uint32_t id = age_oldest(core, queue);
    return id ? message_at(core, id)->sent_us : 0;
}

/* -- deduplication -------------------------------------------------------------------------------------- */
bool group_id_check(bytes_t id, const char *what, error_t *err)
{
    bool good = id.len >= 1 && id.len <= GROUP_ID_MAX_BYTES;
    for (size_t i = 0; good && i < id.len; i++)
        good = id.data[i] > 0x20 && id.data[i] < 0x7f;
    return good ||
           error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                     "%s must have 1 to %d letters, digits and punctuation marks of ASCII.", what, GROUP_ID_MAX_BYTES);
}

/* Names carry no NUL, so that no two pairs look alike. */
static bytes_t scoped_key(const queue_t *queue, bytes_t group, bytes_t id, buf_t *space)
{
    if (!queue->attributes.dedup_by_group)
        return id;
    buf_append_bytes(space, group);
    buf_append(space, "", 1);
    buf_append_bytes(space, id);
    if (space->failed)
        abort(); /* out of memory */
    return buf_bytes(space);
}

uint64_t group_dedup_find(const queue_t *queue, bytes_t group, bytes_t id, int64_t now_us)
{
    buf_t space = {0};
    uint64_t known = dedup_find(&queue->dedup, scoped_key(queue, group, id, &space), now_us - GROUP_DEDUP_WINDOW_US);
    buf_free(&space);
    return known;
}

bool group_dedup_check(queue_t *queue, int64_t now_us, error_t *err)
{
    dedup_forget(&queue->dedup, now_us - GROUP_DEDUP_WINDOW_US);
    return !dedup_is_full(&queue->dedup) ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "ThrottlingException",
                     "Queue \"%s\" remembers its %u deduplication ids of the last 5 minutes already; try again later.",
                     queue->name, DEDUP_KEYS_MAX);
}

void group_dedup_add(queue_t *queue, bytes_t group, bytes_t id, uint64_t record, int64_t now_us)
{
    buf_t space = {0};
    int64_t since_us = now_us - GROUP_DEDUP_WINDOW_US;
    bytes_t key = scoped_key(queue, group, id, &space);
    dedup_forget(&queue->dedup, since_us); /* so the count is the same whenever this record is applied */
    if (id.len && queue->dedup.count < DEDUP_KEYS_MAX && !dedup_find(&queue->dedup, key, since_us))
        dedup_add(&queue->dedup, key, record, now_us, since_us);
    buf_free(&space);
}

/* -- digest --------------------------------------------------------------------------------------------- */
uint64_t groups_digest(const core_t *core, const queue_t *queue)
{
    uint64_t digest = dedup_digest(&queue->dedup, core->now_us - GROUP_DEDUP_WINDOW_US), unordered = 0;
    for (uint32_t id = queue->attributes.is_fifo ? queue->ready.head : 0; id; id = group_at(queue, id)->next)
        digest = map_mix(digest, map_hash_bytes(bytes_cstr(group_at(queue, id)->name)));
    for (uint32_t id = pool_next(&queue->groups, 0); id; id = pool_next(&queue->groups, id)) {
        const group_t *group = group_at(queue, id);
        uint64_t one = map_mix(map_hash_bytes(bytes_cstr(group->name)), map_mix(group->messages, group->in_flight));
        for (uint32_t m = group->visible.head; m; m = message_at(core, m)->next)
            one = map_mix(one, message_at(core, m)->record);
        for (uint32_t i = 0; i < group->held.count; i++)
            one = map_mix(one, message_at(core, group->held.items[i])->record);
        unordered += one;
    }
    return map_mix(digest, unordered);
}
