/* admin_task.c: beginning, listing and cancelling move tasks. */
#include "broker/core/admin.h"

#include <stdio.h>

#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/redrive.h"
#include "broker/core/task.h"
#include "proto/msgpack.h"

#define AWS_BAD_PARAMETER "InvalidParameterValue"

static void put_text(buf_t *out, const char *key, bytes_t value)
{
    mp_put_cstr(out, key);
    mp_put_str(out, value);
}

static void put_i64(buf_t *out, const char *key, int64_t value)
{
    mp_put_cstr(out, key);
    mp_put_i64(out, value);
}

/* A handle is there to cancel by: a task that is over has none (SQS). */
static void task_put(const core_t *core, const task_t *task, buf_t *out)
{
    char handle[24] = "";
    if (task->state == TASK_RUNNING && task->number)
        (void)snprintf(handle, sizeof handle, "%llu", (unsigned long long)task->number);
    mp_put_map(out, 10);
    put_text(out, "task", bytes_cstr(handle));
    put_text(out, "state", bytes_cstr(task_state_name(task->state)));
    put_text(out, "source", bytes_cstr(core_queue_name(core, task->source)));
    put_text(out, "to", bytes_cstr(task->to ? core_queue_name(core, task->to) : ""));
    put_i64(out, "rate", task->per_second);
    put_i64(out, "wanted", (int64_t)task->wanted);
    put_i64(out, "moved", (int64_t)task->moved);
    put_i64(out, "began_us", task->began_us);
    put_i64(out, "ended_us", task->ended_us);
    put_text(out, "why", bytes_cstr(task->why ? task->why : task->is_waiting ? TASK_WAITS : ""));
}

/* -- beginning ----------------------------------------------------------------------------------------- */
bool admin_is_dead_letters(const core_t *core, const queue_t *dead)
{
    for (const queue_t *queue = queue_next(core, NULL); queue; queue = queue_next(core, queue)) {
        if (queue->attributes.max_receives && strcmp(queue->attributes.dead_letters, dead->name) == 0)
            return true;
    }
    return false;
}

static bool source_check(const core_t *core, const queue_t *source, error_t *err)
{
    if (!admin_is_dead_letters(core, source))
        return error_set(err, STATUS_FAILED_PRECONDITION, AWS_BAD_PARAMETER,
                         "No queue has \"%s\" as its dead-letter queue: only those can be redriven.", source->name);
    return !task_running(core, source) ||
           error_set(err, STATUS_FAILED_PRECONDITION, AWS_BAD_PARAMETER,
                     "A move task runs on \"%s\" already: one at a time; QUEUE cancel ends it.", source->name);
}

static bool target_read(const core_t *core, const queue_t *source, bytes_t args, const queue_t **to, error_t *err)
{
    bytes_t name;
    *to = NULL;
    if (!mp_map_str(args, "to", &name) || !name.len)
        return true;
    *to = queue_need(core, redrive_name(name), err);
    if (!*to)
        return false;
    return (*to != source && (*to)->attributes.is_fifo == source->attributes.is_fifo) ||
           error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                     "\"to\" must be another queue than \"%s\", and of the same type.", source->name);
}

static bool rate_read(bytes_t args, uint32_t *rate, error_t *err)
{
    uint64_t given = TASK_RATE_MAX;
    bytes_t raw;
    bool is_given = mp_map_find(args, "rate", &raw);
    if ((is_given && !mp_map_u64(args, "rate", &given)) || given < 1 || given > TASK_RATE_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                         "rate must be from 1 to %d messages a second.", TASK_RATE_MAX);
    *rate = (uint32_t)given;
    return true;
}

bool admin_queue_redrive(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    const queue_t *source = queue_need(core, request->name, err), *to;
    uint32_t rate = TASK_RATE_MAX;
    bool is_dry = false;
    (void)!mp_map_bool(request->args, "dry_run", &is_dry);
    if (!source || !source_check(core, source, err) || !target_read(core, source, request->args, &to, err) ||
        !rate_read(request->args, &rate, err))
        return false;
    if (is_dry) {
        const task_t would = {.source = source->incarnation,
                              .to = to ? to->incarnation : 0,
                              .per_second = rate,
                              .state = TASK_RUNNING,
                              .wanted = source->visible.count};
        task_put(core, &would, out);
        return true;
    }
    const task_t *task = task_begin(core, source, to, rate);
    effects_log(core->out, LOG_INFO, "queue %s: move task %llu of %llu messages begins, asked for by %s", source->name,
                (unsigned long long)task->number, (unsigned long long)task->wanted, request->session->name);
    task_put(core, task, out);
    return true;
}

/* -- looking and ending -------------------------------------------------------------------------------- */
bool admin_queue_tasks(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    const queue_t *source = queue_need(core, request->name, err);
    if (!source)
        return false;
    mp_put_array(out, source->tasks.count);
    for (uint32_t i = source->tasks.count; i-- > 0;)
        task_put(core, task_at(core, source->tasks.items[i]), out);
    return true;
}

static bool handle_read(bytes_t text, uint64_t *number)
{
    *number = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.len > 19 || text.data[i] < '0' || text.data[i] > '9')
            return false;
        *number = *number * 10 + (uint64_t)(text.data[i] - '0');
    }
    return text.len > 0;
}

bool admin_queue_cancel(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    uint64_t number;
    bool is_dry = false;
    (void)!mp_map_bool(request->args, "dry_run", &is_dry);
    const task_t *task = handle_read(request->name, &number) ? task_find(core, number) : NULL;
    if (!task)
        return error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "There is no move task of this handle.");
    if (task->state != TASK_RUNNING)
        return error_set(err, STATUS_FAILED_PRECONDITION, AWS_BAD_PARAMETER,
                         "The move task is %s: only a running one can be cancelled.", task_state_name(task->state));
    if (!is_dry)
        task_cancel(core, task);
    task_put(core, task, out);
    return true;
}
