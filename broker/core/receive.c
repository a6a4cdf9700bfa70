/* receive.c: the table of waiting RECEIVEs, each queue's line of them, and their timers. */
#include "broker/core/receive.h"

#include <stdlib.h>

#include "broker/core/answer.h"
#include "broker/core/attempt.h"
#include "broker/core/attributes.h"
#include "broker/core/group.h"
#include "broker/core/ledger.h"
#include "broker/core/queue.h"
#include "broker/core/session.h"
#include "proto/attrs.h"
#include "proto/msgpack.h"

#define SELECT_KEY "MessageAttributeNames"

static receive_t *receive_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->receives.all, id);
}

/* -- timers ------------------------------------------------------------------------------------------ */
static bool receive_before(const void *ctx, uint32_t a, uint32_t b)
{
    const receive_t *x = receive_at(ctx, a), *y = receive_at(ctx, b);
    return x->timer_us != y->timer_us ? x->timer_us < y->timer_us : a < b;
}

static uint32_t *receive_place(void *ctx, uint32_t id)
{
    return &receive_at(ctx, id)->heap_at;
}

void receives_init(core_t *core)
{
    static const heap_kind_t kind = {receive_before, receive_place};
    heap_init(&core->receives.timers, &kind, core);
}

int64_t receives_next_us(const core_t *core)
{
    uint32_t id = heap_top(&core->receives.timers);
    return id ? receive_at(core, id)->timer_us : INT64_MAX;
}

/* -- the line ---------------------------------------------------------------------------------------- */
static void line_join(core_t *core, chain_t *line, receive_t *receive)
{
    receive->prev = line->tail;
    if (line->tail)
        receive_at(core, line->tail)->next = receive->id;
    else
        line->head = receive->id;
    line->tail = receive->id;
    line->count++;
}

static void line_leave(core_t *core, chain_t *line, const receive_t *receive)
{
    if (receive->prev)
        receive_at(core, receive->prev)->next = receive->next;
    else
        line->head = receive->next;
    if (receive->next)
        receive_at(core, receive->next)->prev = receive->prev;
    else
        line->tail = receive->prev;
    line->count--;
}

receive_t *receive_first(const core_t *core, const queue_t *queue)
{
    return receive_at(core, queue->receives.head);
}

static void receive_end(core_t *core, receive_t *receive)
{
    queue_t *queue = pool_get(&core->queues, receive->queue);
    line_leave(core, &queue->receives, receive);
    (void)ids_drop(&session_at(core, receive->session)->receives, receive->id);
    heap_drop(&core->receives.timers, receive->id);
    pool_drop(&core->receives.all, receive->id);
    buf_free(&receive->select);
    buf_free(&receive->attempt);
    free(receive);
}

void receives_free(core_t *core)
{
    for (uint32_t id = pool_next(&core->receives.all, 0); id; id = pool_next(&core->receives.all, id)) {
        buf_free(&receive_at(core, id)->select);
        buf_free(&receive_at(core, id)->attempt);
        free(receive_at(core, id));
    }
    pool_free(&core->receives.all);
    heap_free(&core->receives.timers);
}

/* -- selectors --------------------------------------------------------------------------------------- */
static bool select_refuse(error_t *err)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                     "RECEIVE.attributes must be nil or a map with " SELECT_KEY
                     ": up to %d names, each a name, a prefix ending in .*, or All.",
                     ATTRS_MAX);
}

/* The names as they came; none at all when that is how everything is asked for. */
static bool select_read(bytes_t given, bytes_t *select, error_t *err)
{
    bytes_t names = BYTES_NONE, name;
    uint32_t pairs, count;
    bool is_all = false;
    *select = BYTES_NONE;
    if (!given.len)
        return true;
    mp_reader_t map = mp_reader(given);
    if (!mp_get_map(&map, &pairs) || pairs != 1 || !mp_map_find(given, SELECT_KEY, &names))
        return select_refuse(err);
    mp_reader_t r = mp_reader(names);
    if (!mp_get_array(&r, &count) || count > ATTRS_MAX)
        return select_refuse(err);
    for (uint32_t i = 0; i < count; i++) {
        if (!mp_get_str(&r, &name) || name.len == 0 || name.len > ATTRS_NAME_MAX_BYTES)
            return select_refuse(err);
        is_all = is_all || bytes_eq_cstr(name, "All") || bytes_eq_cstr(name, ".*");
    }
    if (!is_all)
        *select = names;
    return true;
}

/* -- checks ------------------------------------------------------------------------------------------ */
static bool numbers_check(const wire_receive_t *r, error_t *err)
{
    if (r->max < 1 || r->max > RECEIVE_MESSAGES_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "RECEIVE.max must be from 1 to %d.",
                         RECEIVE_MESSAGES_MAX);
    if (r->wait_ms > ATTRIBUTE_WAIT_MAX_S * UINT64_C(1000))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "RECEIVE.wait_ms must be from 0 to %d000.", ATTRIBUTE_WAIT_MAX_S);
    if (r->visibility_ms < -1 || r->visibility_ms > ATTRIBUTE_VISIBILITY_MAX_S * INT64_C(1000))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "visibility_ms must be from 0 to %d000, or -1 for the queue's own.",
                         ATTRIBUTE_VISIBILITY_MAX_S);
    return true;
}

static bool queue_check(const core_t *core, const wire_receive_t *r, queue_t **queue, error_t *err)
{
    if (!answer_takes_work(core, err) || !answer_allowed(core, ROLE_CONSUME, r->queue, err))
        return false;
    *queue = queue_need(core, r->queue, err);
    if (!*queue)
        return false;
    if ((*queue)->attributes.is_fifo) /* SQS: at its limit it just returns nothing */
        return !r->attempt.len || group_id_check(r->attempt, "ReceiveRequestAttemptId", err);
    if (r->attempt.len)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "ReceiveRequestAttemptId belongs to FIFO queues; \"%s\" is none.", (*queue)->name);
    if ((*queue)->in_flight >= core->limits.in_flight)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "OverLimit",
                         "Queue \"%s\" has its %llu messages in flight already: settle some.", (*queue)->name,
                         (unsigned long long)core->limits.in_flight);
    return true;
}

static bool receive_check(const core_t *core, const session_t *session, const wire_receive_t *r, queue_t **queue,
                          bytes_t *select, error_t *err)
{
    if (!queue_check(core, r, queue, err) || !numbers_check(r, err) || !select_read(r->attributes, select, err))
        return false;
    return session->receives.count < core->limits.receives ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_RECEIVES", "A session may have %llu RECEIVEs waiting.",
                     (unsigned long long)core->limits.receives);
}

/* -- answering --------------------------------------------------------------------------------------- */
static void receive_reply(core_t *core, receive_t *receive, size_t first, size_t count)
{
    size_t select_at = core->out->bytes.len;
    buf_append_bytes(&core->out->bytes, buf_bytes(&receive->select));
    core_out_t *out = effects_add(core->out, CORE_OUT_DELIVER);
    out->peer = session_at(core, receive->session)->peer;
    out->after = ledger_after(core);
    out->deliver.verb = WIRE_RECEIVED;
    out->deliver.seq = receive->seq;
    out->deliver.first = first;
    out->deliver.count = count;
    out->deliver.digests = receive->digests;
    out->deliver.select_at = select_at;
    out->deliver.select_len = receive->select.len;
    receive_end(core, receive);
}

void receive_answer(core_t *core, receive_t *receive, size_t first, size_t count)
{
    const queue_t *queue = pool_get(&core->queues, receive->queue);
    if (receive->attempt.len && count)
        attempt_remember(core, queue, buf_bytes(&receive->attempt));
    queue_counts(core, queue)->empty_receives += count == 0;
    receive_reply(core, receive, first, count);
}

/* A request that was answered before is answered again. */
static void receive_again(core_t *core, const queue_t *queue, receive_t *receive)
{
    size_t first = 0, count = 0;
    int64_t visibility_us = receive->visibility_us < 0 ? queue->attributes.visibility_us : receive->visibility_us;
    if (receive->attempt.len)
        count = attempt_repeat(core, queue, buf_bytes(&receive->attempt), visibility_us, &first);
    if (count)
        receive_reply(core, receive, first, count);
}

/* -- asking ------------------------------------------------------------------------------------------ */
/* With nothing to wait for it is due at once: the end of this step answers it, after the queue was looked at. */
void receive_handle(core_t *core, session_t *session, const wire_msg_t *msg)
{
    const wire_receive_t *r = &msg->receive;
    queue_t *queue;
    bytes_t select;
    error_t err;
    if (!receive_check(core, session, r, &queue, &select, &err)) {
        answer_refuse(core, session->peer, msg->seq, &err);
        return;
    }
    receive_t *receive = memory_new(1, sizeof *receive);
    receive->session = session->id;
    receive->queue = queue->id;
    receive->seq = msg->seq;
    receive->most = (uint32_t)r->max;
    receive->digests = r->digests;
    receive->visibility_us = r->visibility_ms < 0 ? -1 : r->visibility_ms * US_PER_MS;
    receive->timer_us =
        core->now_us + (r->queue_wait ? queue->attributes.receive_wait_us : (int64_t)r->wait_ms * US_PER_MS);
    buf_append_bytes(&receive->select, select);
    buf_append_bytes(&receive->attempt, r->attempt);
    if (receive->select.failed || receive->attempt.failed)
        abort(); /* out of memory */
    receive->id = pool_add(&core->receives.all, receive);
    ids_add(&session->receives, receive->id);
    line_join(core, &queue->receives, receive);
    heap_set(&core->receives.timers, receive->id);
    receive_again(core, queue, receive);
    queue_touch(core, queue);
}

/* -- times ------------------------------------------------------------------------------------------- */
void receives_due(core_t *core)
{
    uint32_t id;
    while ((id = heap_top(&core->receives.timers)) != 0 && receive_at(core, id)->timer_us <= core->now_us)
        receive_answer(core, receive_at(core, id), core->out->item_count, 0);
}

void receives_stop(core_t *core)
{
    uint32_t id;
    while ((id = heap_top(&core->receives.timers)) != 0)
        receive_answer(core, receive_at(core, id), core->out->item_count, 0);
}

/* -- ending ------------------------------------------------------------------------------------------ */
void receives_end_of_session(core_t *core, session_t *session)
{
    while (session->receives.count)
        receive_end(core, receive_at(core, session->receives.items[session->receives.count - 1]));
}

void receives_renumber(core_t *core, const queue_t *queue)
{
    for (uint32_t id = queue->receives.head; id; id = receive_at(core, id)->next)
        receive_at(core, id)->queue = queue->id;
}

void receives_end_of_queue(core_t *core, queue_t *queue)
{
    error_t err;
    receive_t *receive;
    error_set(&err, STATUS_NOT_FOUND, "QueueDoesNotExist", "Queue \"%s\" was deleted.", queue->name);
    while ((receive = receive_first(core, queue)) != NULL) {
        answer_refuse(core, session_at(core, receive->session)->peer, receive->seq, &err);
        receive_end(core, receive);
    }
}
