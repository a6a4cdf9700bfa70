/* snapshot_tasks.c: move tasks, and the names of deleted queues. */
#include "broker/core/queue.h"
#include "broker/core/snapshot_parts.h"
#include "broker/core/task.h"

/* -- deleted names ------------------------------------------------------------------------------------- */
uint64_t snapshot_save_deleted(snapshot_save_t *save, uint64_t at)
{
    snapshot_deleted_t item;
    if (at >= save->core->deleted.count)
        return SNAPSHOT_NO_MORE;
    item.name = dedup_nth(&save->core->deleted, (uint32_t)at, &item.record, &item.at_us);
    snapshot_put(save, SNAPSHOT_DELETED, &item);
    return at + 1;
}

bool snapshot_load_deleted(snapshot_load_t *load, const snapshot_deleted_t *item, error_t *err)
{
    core_t *core = load->core;
    if (!item->name.len || !snapshot_time_is_good(item->at_us) || core->deleted.count >= DEDUP_KEYS_MAX)
        return snapshot_misfit(err, SNAPSHOT_DELETED, "record", item->record);
    dedup_add(&core->deleted, item->name, item->record, item->at_us, INT64_MIN);
    return true;
}

/* -- tasks --------------------------------------------------------------------------------------------- */
static void save_task(snapshot_save_t *save, const task_t *task)
{
    snapshot_put(save, SNAPSHOT_MOVE_TASK,
                 &(snapshot_move_task_t){.task = task->number,
                                         .source = task->source,
                                         .to = task->to,
                                         .per_second = task->per_second,
                                         .state = (uint64_t)task->state,
                                         .began_us = task->began_us,
                                         .ended_us = task->ended_us,
                                         .wanted = task->wanted,
                                         .moved = task->moved,
                                         .why = bytes_cstr(task->why)});
}

/* Queue by queue, so that each one's stand in their order. */
uint64_t snapshot_save_tasks(snapshot_save_t *save, uint64_t at)
{
    const core_t *core = save->core;
    uint32_t id = (uint32_t)(at >> 32), nth = (uint32_t)at;
    const queue_t *queue = pool_get(&core->queues, id);
    while (!queue || nth >= queue->tasks.count) {
        queue = queue_next(core, queue);
        nth = 0;
        if (!queue)
            return SNAPSHOT_NO_MORE;
    }
    save_task(save, task_at(core, queue->tasks.items[nth]));
    return snapshot_pair(queue->id, nth + 1);
}

bool snapshot_load_task(snapshot_load_t *load, const snapshot_move_task_t *item, error_t *err)
{
    core_t *core = load->core;
    queue_t *source = queue_by_incarnation(core, item->source);
    bool is_state = item->state >= TASK_RUNNING && item->state <= TASK_FAILED;
    if (!source || !is_state || item->task < 1 || item->task >= core->next_seq || task_find(core, item->task) ||
        item->per_second < 1 || item->per_second > TASK_RATE_MAX || source->tasks.count >= TASKS_LISTED ||
        !snapshot_time_is_good(item->began_us) || !snapshot_time_is_good(item->ended_us))
        return snapshot_misfit(err, SNAPSHOT_MOVE_TASK, "number", item->task);
    const task_t task = {.number = item->task,
                         .source = item->source,
                         .to = item->to,
                         .per_second = (uint32_t)item->per_second,
                         .state = (task_state_t)item->state,
                         .began_us = item->began_us,
                         .ended_us = item->ended_us,
                         .wanted = item->wanted,
                         .moved = item->moved,
                         .timer_us = core->now_us};
    task_restore(core, &task, item->why, source);
    return true;
}
