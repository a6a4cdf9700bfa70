/* admin_pick.c: single messages of a dead-letter queue, moved or discarded at once, by an operator who looked at them.
 */
#include "broker/core/admin.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/redrive.h"
#include "broker/core/retire.h"
#include "broker/core/task.h"
#include "proto/msgpack.h"

#define AWS_BAD_PARAMETER "InvalidParameterValue"

typedef struct {
    core_t *core;
    const queue_t *source;
    bool is_discard;
    uint64_t to; /* incarnation; 0: where each came from */
    int64_t delay_us;
    bytes_t detail;
    uint64_t moved, missing;
    buf_t refused; /* maps */
    uint32_t refused_count;
} pick_t;

static void refuse(pick_t *p, uint64_t message, const char *why)
{
    mp_put_map(&p->refused, 2);
    mp_put_cstr(&p->refused, "message");
    mp_put_u64(&p->refused, message);
    mp_put_cstr(&p->refused, "why");
    mp_put_cstr(&p->refused, why);
    p->refused_count++;
}

static void move_one(pick_t *p, uint32_t id)
{
    char why[TASK_WHY_BYTES];
    uint64_t number = message_at(p->core, id)->record;
    const queue_t *to = task_target(p->core, p->to, message_at(p->core, id), why);
    if (!to) {
        refuse(p, number, why);
        return;
    }
    if (p->delay_us && to->attributes.is_fifo) {
        refuse(p, number, "a FIFO queue delays no message alone");
        return;
    }
    retire_redrive(p->core, id, to, 0, p->delay_us ? p->core->now_us + p->delay_us : 0);
    p->moved++;
}

/* What is no longer there, or in somebody's hands, is left alone. */
static void pick_one(pick_t *p, uint64_t message)
{
    uint32_t id = message_find(p->core, p->source->id, message);
    if (!id || message_at(p->core, id)->state != MESSAGE_VISIBLE) {
        p->missing++;
    } else if (p->is_discard) {
        retire_move(p->core, id, NULL, RETIRE_DISCARDED, p->detail);
        p->moved++;
    } else {
        move_one(p, id);
    }
}

static bool picked_read(bytes_t args, mp_reader_t *r, uint32_t *count, error_t *err)
{
    bytes_t list;
    uint64_t message;
    bool ok = mp_map_find(args, "messages", &list);
    *r = mp_reader(ok ? list : BYTES_NONE);
    ok = ok && mp_get_array(r, count) && *count > 0 && *count <= ADMIN_PICK_MAX;
    mp_reader_t all = *r;
    for (uint32_t i = 0; ok && i < *count; i++)
        ok = mp_get_u64(&all, &message);
    return ok || error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                           "messages must be a list of 1 to %u numbers of messages, as QUEUE peek gives them.",
                           ADMIN_PICK_MAX);
}

static bool source_find(pick_t *p, const admin_request_t *request, error_t *err)
{
    p->source = queue_need(p->core, request->name, err);
    return p->source && (admin_is_dead_letters(p->core, p->source) ||
                         error_set(err, STATUS_FAILED_PRECONDITION, AWS_BAD_PARAMETER,
                                   "No queue has \"%s\" as its dead-letter queue: only of those messages are picked.",
                                   p->source->name));
}

static bool target_read(pick_t *p, bytes_t args, error_t *err)
{
    bytes_t name;
    uint64_t delay_ms = 0;
    if (mp_map_str(args, "to", &name) && name.len) {
        const queue_t *to = queue_need(p->core, redrive_name(name), err);
        if (!to)
            return false;
        if (to == p->source || to->attributes.is_fifo != p->source->attributes.is_fifo)
            return error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                             "\"to\" must be another queue than \"%s\", and of the same type.", p->source->name);
        p->to = to->incarnation;
    }
    (void)!mp_map_u64(args, "delay_ms", &delay_ms);
    p->delay_us = (int64_t)delay_ms * US_PER_MS;
    return delay_ms <= ADMIN_DELAY_MAX_MS || error_set(err, STATUS_INVALID_ARGUMENT, AWS_BAD_PARAMETER,
                                                       "delay_ms must be from 0 to %u.", ADMIN_DELAY_MAX_MS);
}

static void result_put(const pick_t *p, buf_t *out)
{
    mp_put_map(out, 3);
    mp_put_cstr(out, "moved");
    mp_put_u64(out, p->moved);
    mp_put_cstr(out, "missing");
    mp_put_u64(out, p->missing);
    mp_put_cstr(out, "refused");
    mp_put_array(out, p->refused_count);
    buf_append_bytes(out, buf_bytes(&p->refused));
}

static void pick(pick_t *p, mp_reader_t *messages, uint32_t count, const admin_request_t *request, buf_t *out)
{
    uint64_t message;
    for (uint32_t i = 0; i < count && mp_get_u64(messages, &message); i++)
        pick_one(p, message);
    effects_log(p->core->out, LOG_INFO, "queue %s: %llu messages %s by %s, %u refused", p->source->name,
                (unsigned long long)p->moved, p->is_discard ? "discarded" : "moved", request->session->name,
                p->refused_count);
    result_put(p, out);
    buf_free(&p->refused);
}

bool admin_queue_move(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    pick_t p = {.core = core};
    mp_reader_t messages;
    uint32_t count;
    if (!source_find(&p, request, err) || !target_read(&p, request->args, err) ||
        !picked_read(request->args, &messages, &count, err))
        return false;
    pick(&p, &messages, count, request, out);
    return true;
}

bool admin_queue_discard(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    pick_t p = {.core = core, .is_discard = true};
    mp_reader_t messages;
    uint32_t count;
    if (!source_find(&p, request, err) || !picked_read(request->args, &messages, &count, err))
        return false;
    (void)!mp_map_str(request->args, "detail", &p.detail);
    pick(&p, &messages, count, request, out);
    return true;
}
