/* model_move.c: the rules by which messages leave a queue without a settlement: dead letters, age, move tasks, purge.
 */
#include <stdlib.h>

#include "tests/sim/model_internal.h"

#define S INT64_C(1000000)
#define PURGE_WINDOW_US (60 * S)

/* -- tasks ------------------------------------------------------------------------------------------ */
static model_task_t *task_find(const model_t *model, uint64_t number)
{
    for (size_t i = 0; i < model->tasks.count; i++)
        if (model->tasks.items[i].number == number && number)
            return &model->tasks.items[i];
    return NULL;
}

static model_task_t *task_running(const model_t *model, int source)
{
    for (size_t i = 0; i < model->tasks.count; i++)
        if (model->tasks.items[i].is_running && model->tasks.items[i].source == source)
            return &model->tasks.items[i];
    return NULL;
}

uint64_t model_task_running(const model_t *model)
{
    const model_task_t *task = task_running(model, MODEL_DEAD);
    return task ? task->number : 0;
}

void model_ask_redrive(model_t *model)
{
    model->may_be_redriven = true;
}

void model_ask_pick(model_t *model)
{
    model->may_be_picked = true;
}

uint64_t model_dead_letter(const model_t *model, uint64_t nth)
{
    for (size_t i = 0; i < model->messages.count; i++)
        if (model->messages.items[i].queue == MODEL_DEAD && nth-- == 0)
            return model->messages.items[i].record;
    return 0;
}

void model_ask_cancel(model_t *model)
{
    model->may_be_cancelled = true;
}

static uint64_t visible_in(const model_t *model, int queue, int64_t now_us)
{
    uint64_t count = 0;
    for (size_t i = 0; i < model->messages.count; i++)
        count += model->messages.items[i].queue == queue && !model->messages.items[i].in_flight &&
                 model->messages.items[i].visible_us <= now_us;
    return count;
}

static bool task_begins(model_t *model, const record_t *record)
{
    const record_move_task_t *r = &record->move_task;
    int source = model_queue_index(model, r->source);
    if (source != MODEL_DEAD || !model->may_be_redriven || task_running(model, source) || r->task != record->seq)
        return trace_violated(model->trace, "move task %llu began, and nobody asked for it, or another one runs",
                              (unsigned long long)r->task);
    if (r->wanted != visible_in(model, source, record->ingest_us))
        return trace_violated(model->trace, "move task %llu wants %llu messages, which is not what there is",
                              (unsigned long long)r->task, (unsigned long long)r->wanted);
    PUSH(
        model->tasks,
        (model_task_t){
            .number = r->task, .source = source, .per_second = r->per_second, .wanted = r->wanted, .is_running = true});
    return true;
}

static const char *end_fault(const model_t *model, const model_task_t *task, const record_t *record)
{
    enum { COMPLETED = 2, CANCELLED = 4 };
    switch (record->move_task.state) {
    case COMPLETED:
        return task->moved == task->wanted || !visible_in(model, task->source, record->ingest_us) ? NULL
                                                                                                  : "is not done";
    case CANCELLED:
        return model->may_be_cancelled ? NULL : "was cancelled by nobody";
    default:
        for (size_t i = 0; i < model->messages.count; i++)
            if (model->messages.items[i].queue == task->source && model->messages.items[i].from < 0)
                return NULL; /* it came from no queue */
        return "had every reason to go on";
    }
}

bool model_fold_task(model_t *model, const record_t *record)
{
    model_task_t *task = task_find(model, record->move_task.task);
    if (!task)
        return task_begins(model, record);
    const char *fault = task->is_running ? end_fault(model, task, record) : "was over";
    if (fault)
        return trace_violated(model->trace, "move task %llu came to state %llu, but it %s",
                              (unsigned long long)task->number, (unsigned long long)record->move_task.state, fault);
    task->is_running = false;
    model->tasks_ended++;
    return true;
}

/* Each start of the broker may move as many at once as a second allows. */
void model_fold_note(model_t *model, const record_t *record)
{
    bool is_start = bytes_eq_cstr(record->note.event, "start");
    for (size_t i = 0; is_start && i < model->tasks.count; i++) {
        model_task_t *task = &model->tasks.items[i];
        task->in_second -= task->in_second < task->per_second ? task->in_second : task->per_second;
    }
}

/* New where it comes to, no more than there were, and not faster than was asked: within a second at most twice the
 * rate, and once more for each restart in it. */
static const char *redrive_fault(model_t *model, const model_message_t *m, const record_t *record)
{
    const record_move_t *r = &record->move;
    model_task_t *task = task_find(model, r->task);
    if (r->task ? !task || !task->is_running || task->source != m->queue
                : !model->may_be_picked || m->queue != MODEL_DEAD)
        return "was moved by no task that runs, and picked by nobody";
    if (m->in_flight || m->visible_us > record->ingest_us)
        return "did not wait";
    if (m->from < 0 || r->to != model->queues[m->from])
        return "did not come from there";
    if (r->sent_us != record->ingest_us)
        return "did not begin anew";
    if (!task)
        return NULL;
    if (record->ingest_us - task->second_us >= S) {
        task->second_us = record->ingest_us;
        task->in_second = 0;
    }
    return task->moved >= task->wanted || ++task->in_second > 2 * task->per_second ? "was moved too fast" : NULL;
}

/* -- moving ---------------------------------------------------------------------------------------- */
static const char *move_fault(model_t *model, const model_message_t *m, const record_t *record)
{
    const record_move_t *r = &record->move;
    if (!m)
        return "is not there";
    const model_rule_t *rule = &model_rules[m->queue];
    if (bytes_eq_cstr(r->reason, "redrive"))
        return redrive_fault(model, m, record);
    if (bytes_eq_cstr(r->reason, "discarded"))
        return model->may_be_picked && m->queue == MODEL_DEAD && !m->in_flight && !r->to ? NULL : "was discarded";
    if (r->to != (rule->dead < 0 ? 0 : model->queues[rule->dead]))
        return "does not belong there";
    if (r->receives != m->receives)
        return "has another receive count";
    if (bytes_eq_cstr(r->reason, "max-receives"))
        return rule->max_receives && m->receives >= rule->max_receives &&
                       (!m->in_flight || model_asked_find(model, r->from, m, WIRE_RELEASE))
                   ? NULL
                   : "was not received too often, or is held";
    if (bytes_eq_cstr(r->reason, "rejected"))
        return model_asked_find(model, r->from, m, WIRE_REJECT) ? NULL : "was rejected by nobody";
    if (bytes_eq_cstr(r->reason, "expired") || bytes_eq_cstr(r->reason, "max-age"))
        return m->sent_us + rule->oldest_us <= record->ingest_us && !m->in_flight ? NULL : "was not too old";
    return "left for no known reason";
}

bool model_fold_move(model_t *model, const record_t *record)
{
    model_message_t *m = model_message_find(model, record->move.from, record->move.record);
    const char *fault = move_fault(model, m, record);
    if (fault)
        return trace_violated(model->trace, "message %llu was moved (record %llu, %.*s), but it %s",
                              (unsigned long long)record->move.record, (unsigned long long)record->seq,
                              BYTES_FMT(record->move.reason), fault);
    model_task_t *task = task_find(model, record->move.task);
    bool is_redriven = bytes_eq_cstr(record->move.reason, "redrive");
    bool is_picked = !task && (is_redriven || bytes_eq_cstr(record->move.reason, "discarded"));
    int from = is_redriven ? -1 : m->queue;
    model_message_remove(model, m);
    model->picked += is_picked;
    model->dropped += !record->move.to && !is_picked;
    model->dead_lettered += record->move.to != 0 && !is_redriven;
    model->redriven += task != NULL;
    if (task)
        task->moved++;
    if (record->move.to)
        PUSH(model->messages,
             (model_message_t){.record = record->seq,
                               .queue = model_queue_index(model, record->move.to),
                               .sent_us = record->move.sent_us,
                               .visible_us = record->move.visible_us > record->ingest_us ? record->move.visible_us
                                                                                         : record->ingest_us,
                               .from = from});
    return true;
}

/* -- purging --------------------------------------------------------------------------------------- */
bool model_fold_purge(model_t *model, const record_t *record)
{
    int queue = model_queue_index(model, record->purge.queue);
    uint64_t count = 0;
    if (queue < 0 || !model->may_be_purged[queue])
        return trace_violated(model->trace, "a queue was purged (record %llu), and nobody asked for it",
                              (unsigned long long)record->seq);
    if (model->purged_us[queue] && record->ingest_us < model->purged_us[queue] + PURGE_WINDOW_US)
        return trace_violated(model->trace, "queue %s was purged twice within 60 seconds", model_rules[queue].name);
    model->purged_us[queue] = record->ingest_us;
    for (size_t i = model->messages.count; i-- > 0;) {
        if (model->messages.items[i].queue != queue)
            continue;
        model_message_remove(model, &model->messages.items[i]);
        count++;
    }
    model->purged += count;
    return count == record->purge.count ||
           trace_violated(model->trace, "queue %s was purged of %llu messages and held %llu", model_rules[queue].name,
                          (unsigned long long)record->purge.count, (unsigned long long)count);
}
