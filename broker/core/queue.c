/* queue.c: the table of queues, and what QUEUE and PURGE records do to it. */
#include "broker/core/queue.h"

#include <stdlib.h>

#include "broker/core/age.h"
#include "broker/core/attributes.h"
#include "broker/core/condemned.h"
#include "broker/core/group.h"
#include "broker/core/late.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/receive.h"
#include "broker/core/redrive.h"
#include "broker/core/subscription.h"
#include "broker/core/task.h"
#include "broker/core/tenant.h"

static bool queue_is_named(const void *ctx, uint32_t id, const void *key)
{
    const queue_t *queue = pool_get(&((const core_t *)ctx)->queues, id);
    return bytes_eq_cstr(*(const bytes_t *)key, queue->name);
}

static bool queue_is_incarnation(const void *ctx, uint32_t id, const void *key)
{
    const queue_t *queue = pool_get(&((const core_t *)ctx)->queues, id);
    return queue->incarnation == *(const uint64_t *)key;
}

queue_t *queue_next(const core_t *core, const queue_t *queue)
{
    uint32_t id = queue ? queue->id : 0;
    do {
        id = pool_next(&core->queues, id);
        queue = pool_get(&core->queues, id);
    } while (queue && queue->is_condemned);
    return pool_get(&core->queues, id);
}

uint32_t queue_count(const core_t *core)
{
    return core->queues.used - core->condemned.count;
}

queue_t *queue_find(const core_t *core, bytes_t name)
{
    uint32_t id = map_find(&core->queues_by_name, map_hash_bytes(name), queue_is_named, core, &name);
    return pool_get(&core->queues, id);
}

queue_t *queue_by_incarnation(const core_t *core, uint64_t incarnation)
{
    queue_t *latest = pool_get(&core->queues, core->newest_fed);
    if (latest && latest->incarnation == incarnation && !latest->is_condemned)
        return latest;
    uint32_t id =
        map_find(&core->queues_by_incarnation, map_hash_pair(incarnation, 0), queue_is_incarnation, core, &incarnation);
    return pool_get(&core->queues, id);
}

queue_t *queue_need(const core_t *core, bytes_t name, error_t *err)
{
    queue_t *queue = queue_find(core, name);
    if (!queue)
        error_set(err, STATUS_NOT_FOUND, "QueueDoesNotExist", "There is no queue \"%.*s\".", BYTES_FMT(name));
    return queue;
}

queue_t *queue_dead_letters(const core_t *core, const queue_t *queue)
{
    queue_t *dead =
        queue->attributes.max_receives ? queue_find(core, bytes_cstr(queue->attributes.dead_letters)) : NULL;
    return dead && redrive_allows(&dead->attributes, bytes_cstr(queue->name)) ? dead : NULL;
}

bool queue_was_deleted(const core_t *core, bytes_t name)
{
    return dedup_find(&core->deleted, name, core->now_us - QUEUE_DELETED_WINDOW_US) != 0;
}

uint32_t queue_messages(const queue_t *queue)
{
    return queue->visible.count + queue->in_flight + queue->delayed;
}

queue_counts_t *queue_counts(const core_t *core, const queue_t *queue)
{
    queue_t *own = pool_get(&core->queues, queue->id);
    return &own->counts;
}

void queue_touch(core_t *core, queue_t *queue)
{
    if (queue->is_touched || queue->is_condemned)
        return;
    queue->is_touched = true;
    ids_add(&core->touched, queue->id);
}

/* -- records --------------------------------------------------------------------------------------- */
static void queue_write(core_t *core, uint64_t incarnation, bytes_t name, uint64_t op, bool from_topology,
                        bytes_t attributes)
{
    core->record->queue = (record_queue_t){
        .queue = incarnation,
        .name = name,
        .op = op,
        .from_topology = from_topology,
        .attributes = attributes,
    };
    (void)ledger_write(core, RECORD_QUEUE);
}

queue_t *queue_create(core_t *core, bytes_t name, bytes_t attributes, bool from_topology)
{
    queue_write(core, core->newest_queue + 1, name, QUEUE_CREATED, from_topology, attributes);
    return queue_find(core, name);
}

void queue_set(core_t *core, queue_t *queue, bytes_t attributes, bool from_topology)
{
    queue_write(core, queue->incarnation, bytes_cstr(queue->name), QUEUE_SET, from_topology, attributes);
}

void queue_delete(core_t *core, queue_t *queue)
{
    queue_write(core, queue->incarnation, bytes_cstr(queue->name), QUEUE_DELETED, queue->from_topology, BYTES_NONE);
}

/* -- applying ---------------------------------------------------------------------------------------- */
static void queue_take_attributes(queue_t *queue, const record_queue_t *r, const queue_attributes_t *attributes)
{
    queue->attributes = *attributes;
    queue->from_topology = r->from_topology;
    buf_clear(&queue->given);
    buf_append_bytes(&queue->given, r->attributes);
}

static void tables_add(core_t *core, const queue_t *queue)
{
    map_add(&core->queues_by_name, map_hash_bytes(bytes_cstr(queue->name)), queue->id);
    map_add(&core->queues_by_incarnation, map_hash_pair(queue->incarnation, 0), queue->id);
}

static void tables_drop(core_t *core, const queue_t *queue, uint32_t id)
{
    map_drop(&core->queues_by_name, map_hash_bytes(bytes_cstr(queue->name)), id);
    map_drop(&core->queues_by_incarnation, map_hash_pair(queue->incarnation, 0), id);
}

void queue_tables_renumber(core_t *core, const queue_t *queue, uint32_t old)
{
    tables_drop(core, queue, old);
    tables_add(core, queue);
}

/* Their numbers have 16 bits, and condemned ones still have theirs. */
void queue_numbers_spare(core_t *core)
{
    if (core->queues.used >= UINT16_MAX)
        condemned_end(core);
}

static void queue_insert(core_t *core, const record_queue_t *r, const queue_attributes_t *attributes)
{
    queue_t *queue = memory_new(1, sizeof *queue);
    queue->incarnation = r->queue;
    queue->name = memory_text(r->name);
    queue_take_attributes(queue, r, attributes);
    tenants_init(queue);
    age_init(core, queue);
    queue_numbers_spare(core);
    queue->id = pool_add(&core->queues, queue);
    tables_add(core, queue);
    if (r->queue > core->newest_queue)
        core->newest_queue = r->queue;
}

void queue_free(queue_t *queue)
{
    free(queue->name);
    buf_free(&queue->given);
    ids_free(&queue->tasks);
    ids_free(&queue->subs);
    groups_free(queue);
    tenants_free(queue);
    age_free(queue);
    dedup_free(&queue->dedup);
    free(queue);
}

static void queue_remove(core_t *core, queue_t *queue)
{
    tasks_end_of_queue(core, queue);
    subscription_end_of_queue(core, queue);
    receives_end_of_queue(core, queue);
    tables_drop(core, queue, queue->id);
    condemned_add(core, queue);
}

static void deleted_remember(core_t *core, const record_t *record, bytes_t name)
{
    int64_t since_us = record->ingest_us - QUEUE_DELETED_WINDOW_US;
    if (!dedup_find(&core->deleted, name, since_us))
        dedup_add(&core->deleted, name, record->seq, record->ingest_us, since_us);
}

bool queue_apply(core_t *core, const record_t *record, error_t *err)
{
    return queue_apply_change(core, record, &record->queue, err);
}

bool queue_apply_change(core_t *core, const record_t *record, const record_queue_t *r, error_t *err)
{
    queue_t *queue = queue_by_incarnation(core, r->queue);
    queue_attributes_t attributes;
    if (!attributes_read(r->name, r->attributes, &attributes, err))
        return error_prefix(err, "Record %llu (%s)", (unsigned long long)record->seq, record_kind_name(record->kind));
    if ((r->op == QUEUE_CREATED) == (queue != NULL))
        return ledger_misfit(err, record, "queue", r->queue);
    /* One of the same name that was not deleted: its end is lost. */
    queue_t *before = r->op == QUEUE_CREATED ? queue_find(core, r->name) : NULL;
    if (before && ledger_forgives(core, record))
        queue_remove(core, before);
    if (r->op == QUEUE_CREATED && queue_count(core) >= MESSAGE_IDS_MAX)
        return ledger_misfit(err, record, "one queue too many,", r->queue);
    switch (r->op) {
    case QUEUE_CREATED:
        queue_insert(core, r, &attributes);
        return true;
    case QUEUE_SET:
        queue_take_attributes(queue, r, &attributes);
        age_refresh(core, queue);
        late_refresh(core, queue);
        return true;
    case QUEUE_DELETED:
        deleted_remember(core, record, r->name);
        queue_remove(core, queue);
        return true;
    default:
        return ledger_misfit(err, record, "operation", r->op);
    }
}

bool queue_apply_purge(core_t *core, const record_t *record, error_t *err)
{
    queue_t *queue = queue_by_incarnation(core, record->purge.queue);
    if (!queue)
        return ledger_misfit(err, record, "queue", record->purge.queue);
    condemned_take(core, queue);
    queue->purged_us = record->ingest_us;
    return true;
}

void queues_free(core_t *core)
{
    for (uint32_t id = pool_next(&core->queues, 0); id; id = pool_next(&core->queues, id))
        queue_free(pool_get(&core->queues, id));
    pool_free(&core->queues);
    map_free(&core->queues_by_name);
    map_free(&core->queues_by_incarnation);
    ids_free(&core->touched);
    ids_free(&core->unfinished);
    ids_free(&core->condemned);
    dedup_free(&core->deleted);
}
