/* task.c: the table of move tasks, their pace, and one burst of moves. */
#include "broker/core/task.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/consume.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/retire.h"

#define BURST_US (100 * US_PER_MS) /* between two bursts, or as long as one message takes at the task's rate */
#define FULL_RETRY_US US_PER_S

/* -- the table ----------------------------------------------------------------------------------------- */
task_t *task_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->tasks.all, id);
}

static bool task_is(const void *ctx, uint32_t id, const void *key)
{
    return task_at(ctx, id)->number == *(const uint64_t *)key;
}

task_t *task_find(const core_t *core, uint64_t number)
{
    return task_at(core, map_find(&core->tasks.by_number, map_hash_pair(number, 0), task_is, core, &number));
}

const task_t *task_running(const core_t *core, const queue_t *source)
{
    for (uint32_t i = 0; i < source->tasks.count; i++)
        if (task_at(core, source->tasks.items[i])->state == TASK_RUNNING)
            return task_at(core, source->tasks.items[i]);
    return NULL;
}

const char *task_state_name(task_state_t state)
{
    switch (state) {
    case TASK_RUNNING:
        return "RUNNING";
    case TASK_COMPLETED:
        return "COMPLETED";
    case TASK_CANCELLED:
        return "CANCELLED";
    case TASK_FAILED:
        return "FAILED";
    }
    return "?";
}

static bool task_before(const void *ctx, uint32_t a, uint32_t b)
{
    const task_t *x = task_at(ctx, a), *y = task_at(ctx, b);
    return x->timer_us != y->timer_us ? x->timer_us < y->timer_us : x->number < y->number;
}

static uint32_t *task_place(void *ctx, uint32_t id)
{
    return &task_at(ctx, id)->heap_at;
}

void tasks_init(core_t *core)
{
    static const heap_kind_t kind = {task_before, task_place};
    heap_init(&core->tasks.timers, &kind, core);
}

static void task_free(task_t *task)
{
    free(task->why);
    free(task);
}

static void task_forget(core_t *core, queue_t *source, task_t *task)
{
    heap_drop(&core->tasks.timers, task->id);
    map_drop(&core->tasks.by_number, map_hash_pair(task->number, 0), task->id);
    pool_drop(&core->tasks.all, task->id);
    (void)ids_drop(&source->tasks, task->id);
    task_free(task);
}

void tasks_end_of_queue(core_t *core, queue_t *source)
{
    while (source->tasks.count)
        task_forget(core, source, task_at(core, source->tasks.items[0]));
}

void tasks_free(core_t *core)
{
    const pool_t *all = &core->tasks.all;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        task_free(task_at(core, id));
    pool_free(&core->tasks.all);
    map_free(&core->tasks.by_number);
    heap_free(&core->tasks.timers);
}

void task_restore(core_t *core, const task_t *task, bytes_t why, queue_t *source)
{
    task_t *made = memory_new(1, sizeof *made);
    *made = *task;
    made->why = why.len ? memory_text(why) : NULL;
    made->heap_at = 0;
    made->id = pool_add(&core->tasks.all, made);
    map_add(&core->tasks.by_number, map_hash_pair(made->number, 0), made->id);
    ids_add(&source->tasks, made->id);
    if (made->state == TASK_RUNNING)
        heap_set(&core->tasks.timers, made->id);
    if (source->tasks.count > TASKS_LISTED)
        task_forget(core, source, task_at(core, source->tasks.items[0]));
}

/* -- records ------------------------------------------------------------------------------------------- */
const task_t *task_begin(core_t *core, const queue_t *source, const queue_t *to, uint32_t per_second)
{
    uint64_t number = core->next_seq;
    core->record->move_task = (record_move_task_t){
        .task = number,
        .source = source->incarnation,
        .to = to ? to->incarnation : 0,
        .per_second = per_second,
        .state = TASK_RUNNING,
        .wanted = source->visible.count,
    };
    (void)ledger_write(core, RECORD_MOVE_TASK);
    return task_find(core, number);
}

static void task_end(core_t *core, const task_t *task, task_state_t state, const char *why)
{
    core->record->move_task = (record_move_task_t){
        .task = task->number,
        .source = task->source,
        .to = task->to,
        .per_second = task->per_second,
        .state = (uint64_t)state,
        .wanted = task->wanted,
        .why = bytes_cstr(why),
    };
    const queue_t *source = queue_by_incarnation(core, task->source);
    effects_log(core->out, state == TASK_FAILED ? LOG_WARNING : LOG_INFO,
                "queue %s: move task %llu %s after %llu of %llu%s%s", source->name, (unsigned long long)task->number,
                task_state_name(state), (unsigned long long)task->moved, (unsigned long long)task->wanted,
                why[0] ? ": " : "", why);
    (void)ledger_write(core, RECORD_MOVE_TASK);
}

void task_cancel(core_t *core, const task_t *task)
{
    task_end(core, task, TASK_CANCELLED, "");
}

static bool task_apply_begin(core_t *core, const record_t *record, queue_t *source, error_t *err)
{
    const record_move_task_t *r = &record->move_task;
    if (r->task != record->seq || r->per_second < 1 || r->per_second > TASK_RATE_MAX)
        return ledger_misfit(err, record, "task", r->task);
    const task_t task = {
        .number = r->task,
        .source = r->source,
        .to = r->to,
        .per_second = (uint32_t)r->per_second,
        .state = TASK_RUNNING,
        .began_us = record->ingest_us,
        .wanted = r->wanted,
        .timer_us = record->ingest_us,
    };
    task_restore(core, &task, BYTES_NONE, source);
    return true;
}

bool task_apply(core_t *core, const record_t *record, error_t *err)
{
    const record_move_task_t *r = &record->move_task;
    queue_t *source = queue_by_incarnation(core, r->source);
    task_t *task = task_find(core, r->task);
    if (!source)
        return ledger_misfit(err, record, "queue", r->source);
    if (r->state == TASK_RUNNING && !task)
        return task_apply_begin(core, record, source, err);
    if (!task || task->state != TASK_RUNNING || r->state == TASK_RUNNING || r->state > TASK_FAILED)
        return ledger_misfit(err, record, "task", r->task);
    task->state = (task_state_t)r->state;
    task->ended_us = record->ingest_us;
    task->why = r->why.len ? memory_text(r->why) : NULL;
    heap_drop(&core->tasks.timers, task->id);
    return true;
}

bool task_count_move(core_t *core, uint64_t number)
{
    task_t *task = task_find(core, number);
    if (task)
        task->moved++;
    return task != NULL;
}

/* -- running ------------------------------------------------------------------------------------------- */
/* NULL with the reason when the message has nowhere to go. */
const queue_t *task_target(const core_t *core, uint64_t wanted, const message_t *m, char why[TASK_WHY_BYTES])
{
    const dead_t *dead = message_dead(core, m);
    const queue_t *to;
    if (wanted) {
        to = queue_by_incarnation(core, wanted);
        (void)snprintf(why, TASK_WHY_BYTES, "the queue that it fills was deleted");
    } else if (!dead || dead->is_redriven || retire_is_unfit(core, dead)) {
        to = NULL;
        (void)snprintf(why, TASK_WHY_BYTES, "CouldNotDetermineMessageSource: message %llu came from no queue",
                       (unsigned long long)m->record);
    } else {
        to = queue_find(core, bytes_cstr(name_text(core, dead->source)));
        (void)snprintf(why, TASK_WHY_BYTES, "queue %s, which message %llu came from, was deleted",
                       name_text(core, dead->source), (unsigned long long)m->record);
    }
    return to;
}

/* False when the task has come to its end. */
static bool task_move_one(core_t *core, const task_t *task, const queue_t *source)
{
    char why[TASK_WHY_BYTES];
    uint32_t id = consume_first(core, source);
    if (task->moved >= task->wanted || !source->visible.count) {
        task_end(core, task, TASK_COMPLETED, "");
        return false;
    }
    if (!id)
        return true; /* a group that waits for what is in flight */
    const queue_t *to = task_target(core, task->to, message_at(core, id), why);
    if (!to) {
        task_end(core, task, TASK_FAILED, why);
        return false;
    }
    retire_redrive(core, id, to, task->number, 0);
    return true;
}

static void task_log(core_t *core, const task_t *task, effects_level_t level, const char *what)
{
    effects_log(core->out, level, "queue %s: move task %llu %s", queue_by_incarnation(core, task->source)->name,
                (unsigned long long)task->number, what);
}

/* On a full disk what room is left is for records that end something: a task looks again after a while. */
static bool task_waits(core_t *core, task_t *task)
{
    bool is_full = core->input->is_full;
    if (is_full != task->is_waiting)
        task_log(core, task, is_full ? LOG_WARNING : LOG_INFO, is_full ? TASK_WAITS : "goes on");
    task->is_waiting = is_full;
    if (!is_full)
        return false;
    task->timer_us = core->now_us + FULL_RETRY_US;
    heap_set(&core->tasks.timers, task->id);
    return true;
}

static void task_run(core_t *core, task_t *task)
{
    if (task_waits(core, task))
        return;
    const queue_t *source = queue_by_incarnation(core, task->source);
    int64_t period_us = US_PER_S / task->per_second;
    period_us = period_us > BURST_US ? period_us : BURST_US;
    uint32_t burst = (uint32_t)(task->per_second * period_us / US_PER_S);
    task->timer_us = core->now_us + period_us;
    heap_set(&core->tasks.timers, task->id);
    for (uint32_t i = 0; i < burst; i++)
        if (!task_move_one(core, task, source))
            return;
    if (task->moved >= task->wanted)
        task_end(core, task, TASK_COMPLETED, "");
}

void tasks_due(core_t *core)
{
    uint32_t id;
    while (!core->is_stopping && (id = heap_top(&core->tasks.timers)) != 0 &&
           task_at(core, id)->timer_us <= core->now_us)
        task_run(core, task_at(core, id));
}

int64_t tasks_next_us(const core_t *core)
{
    uint32_t id = core->is_stopping ? 0 : heap_top(&core->tasks.timers);
    return id ? task_at(core, id)->timer_us : INT64_MAX;
}

/* -- digest -------------------------------------------------------------------------------------------- */
uint64_t tasks_digest(const core_t *core)
{
    const pool_t *all = &core->tasks.all;
    uint64_t unordered = 0;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        const task_t *task = task_at(core, id);
        uint64_t one = map_mix(map_mix(task->number, task->source), map_mix(task->to, task->per_second));
        one = map_mix(one, map_mix((uint64_t)task->state, map_mix(task->wanted, task->moved)));
        one = map_mix(one, map_mix((uint64_t)task->began_us, (uint64_t)task->ended_us));
        unordered += map_mix(one, map_hash_bytes(bytes_cstr(task->why ? task->why : "")));
    }
    return unordered;
}
