/* snapshot_queues.c: queues, the names that messages speak of, and deduplication keys. */
#include "broker/core/group.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/snapshot_parts.h"

/* -- the core's own numbers ---------------------------------------------------------------------------- */
uint64_t snapshot_save_core(snapshot_save_t *save, uint64_t at UNUSED)
{
    const core_t *core = save->core;
    snapshot_put(save, SNAPSHOT_CORE,
                 &(snapshot_core_t){.newest_record = core->next_seq - 1,
                                    .now_us = core->now_us,
                                    .newest_queue = core->newest_queue,
                                    .newest_session = core->sessions.newest,
                                    .newest_producer = core->producers.newest,
                                    .lost_until = core->lost_until,
                                    .lost_records = core->lost_records,
                                    .wake_until_us = core->wake_until_us == INT64_MAX ? 0 : core->wake_until_us});
    return SNAPSHOT_NO_MORE;
}

bool snapshot_load_core(snapshot_load_t *load, const snapshot_core_t *item, error_t *err)
{
    core_t *core = load->core;
    if (!snapshot_time_is_good(item->now_us) || !snapshot_time_is_good(item->wake_until_us))
        return snapshot_misfit(err, SNAPSHOT_CORE, "time", (uint64_t)item->now_us);
    if (item->newest_record >= (uint64_t)INT64_MAX)
        return snapshot_misfit(err, SNAPSHOT_CORE, "record", item->newest_record);
    core->next_seq = item->newest_record + 1;
    core->now_us = item->now_us;
    core->newest_queue = item->newest_queue;
    core->sessions.newest = item->newest_session;
    core->producers.newest = item->newest_producer;
    core->lost_until = item->lost_until;
    core->lost_records = item->lost_records;
    core->wake_until_us = item->wake_until_us ? item->wake_until_us : INT64_MAX;
    return true;
}

/* -- names --------------------------------------------------------------------------------------------- */
uint64_t snapshot_save_names(snapshot_save_t *save, uint64_t at)
{
    uint32_t id = pool_next(&save->core->names, (uint32_t)at);
    if (!id)
        return SNAPSHOT_NO_MORE;
    snapshot_put(save, SNAPSHOT_NAME, &(snapshot_name_t){.text = bytes_cstr(name_text(save->core, id))});
    return id;
}

bool snapshot_load_name(snapshot_load_t *load, const snapshot_name_t *item, error_t *err)
{
    uint32_t before = load->core->names.used;
    if (name_keep(load->core, item->text) != before + 1)
        return snapshot_misfit(err, SNAPSHOT_NAME, "it is empty or stands there twice, after name", before);
    return true;
}

/* -- keys ---------------------------------------------------------------------------------------------- */
void snapshot_save_key(snapshot_save_t *save, const dedup_t *dedup, uint32_t nth)
{
    snapshot_key_t item;
    item.key = dedup_nth(dedup, nth, &item.record, &item.at_us);
    snapshot_put(save, SNAPSHOT_KEY, &item);
}

bool snapshot_load_key(snapshot_load_t *load, const snapshot_key_t *item, error_t *err)
{
    if (!load->keys || load->keys->count >= DEDUP_KEYS_MAX)
        return snapshot_misfit(err, SNAPSHOT_KEY, "nothing can take it; record", item->record);
    if (!item->key.len || !snapshot_time_is_good(item->at_us))
        return snapshot_misfit(err, SNAPSHOT_KEY, "time", (uint64_t)item->at_us);
    dedup_add(load->keys, item->key, item->record, item->at_us, INT64_MIN);
    return true;
}

/* -- queues -------------------------------------------------------------------------------------------- */
static void save_queue(snapshot_save_t *save, const queue_t *queue)
{
    snapshot_put(save, SNAPSHOT_QUEUE,
                 &(snapshot_queue_t){.queue = queue->incarnation,
                                     .name = bytes_cstr(queue->name),
                                     .from_topology = queue->from_topology,
                                     .attributes = buf_bytes(&queue->given),
                                     .purged_us = queue->purged_us});
}

uint64_t snapshot_save_queues(snapshot_save_t *save, uint64_t at)
{
    uint32_t id = (uint32_t)(at >> 32), key = (uint32_t)at;
    const queue_t *queue = pool_get(&save->core->queues, id);
    if (queue && key < queue->dedup.count) {
        snapshot_save_key(save, &queue->dedup, key);
        return at + 1;
    }
    queue = queue_next(save->core, queue);
    if (!queue)
        return SNAPSHOT_NO_MORE;
    save_queue(save, queue);
    return snapshot_pair(queue->id, 0);
}

/* As if its first record had been applied, with the attributes of the last. */
bool snapshot_load_queue(snapshot_load_t *load, const snapshot_queue_t *item, error_t *err)
{
    core_t *core = load->core;
    if (item->queue < 1 || item->queue > core->newest_queue || queue_by_incarnation(core, item->queue) ||
        queue_find(core, item->name) || !snapshot_time_is_good(item->purged_us))
        return snapshot_misfit(err, SNAPSHOT_QUEUE, "its number or name is taken, or not known:", item->queue);
    core->record->seq = core->next_seq - 1;
    core->record->kind = RECORD_QUEUE;
    core->record->queue = (record_queue_t){.queue = item->queue,
                                           .name = item->name,
                                           .op = QUEUE_CREATED,
                                           .from_topology = item->from_topology,
                                           .attributes = item->attributes};
    if (!queue_apply(core, core->record, err))
        return false;
    queue_t *queue = queue_by_incarnation(core, item->queue);
    queue->purged_us = item->purged_us;
    load->keys = &queue->dedup;
    return true;
}
