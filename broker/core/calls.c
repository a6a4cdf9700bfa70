/* calls.c: the table of calls, and what callers do. */
#include "broker/core/calls.h"

#include <stdlib.h>

#include "broker/core/answer.h"
#include "broker/core/session.h"
#include "broker/core/workers.h"

#define OUTCOME_UNKNOWN "outcome unknown: "

/* -- finding --------------------------------------------------------------------------------------- */
typedef struct {
    bytes_t caller;
    uint64_t number;
} call_key_t;

call_t *call_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->calls.all, id);
}

method_t *method_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->calls.methods, id);
}

static bool call_is(const void *ctx, uint32_t id, const void *key)
{
    const call_t *call = call_at(ctx, id);
    const call_key_t *wanted = key;
    return call->number == wanted->number && bytes_eq_cstr(wanted->caller, call->caller);
}

static uint32_t call_hash(bytes_t caller, uint64_t number)
{
    return map_hash_pair(map_hash_bytes(caller), number);
}

call_t *call_find(const core_t *core, bytes_t caller, uint64_t number)
{
    call_key_t key = {caller, number};
    return call_at(core, map_find(&core->calls.by_identity, call_hash(caller, number), call_is, core, &key));
}

static bool method_is(const void *ctx, uint32_t id, const void *key)
{
    return bytes_eq_cstr(*(const bytes_t *)key, method_at(ctx, id)->name);
}

method_t *method_find(const core_t *core, bytes_t name)
{
    return method_at(core, map_find(&core->calls.methods_by_name, map_hash_bytes(name), method_is, core, &name));
}

method_t *method_get(core_t *core, bytes_t name)
{
    method_t *method = method_find(core, name);
    if (method)
        return method;
    method = memory_new(1, sizeof *method);
    method->name = memory_text(name);
    method->id = pool_add(&core->calls.methods, method);
    map_add(&core->calls.methods_by_name, map_hash_bytes(name), method->id);
    return method;
}

static void method_free(method_t *method)
{
    free(method->name);
    ids_free(&method->serves);
    free(method);
}

void method_use(method_t *method)
{
    method->users++;
}

void method_leave(core_t *core, method_t *method)
{
    if (--method->users > 0)
        return;
    map_drop(&core->calls.methods_by_name, map_hash_bytes(bytes_cstr(method->name)), method->id);
    pool_drop(&core->calls.methods, method->id);
    method_free(method);
}

/* -- timers ---------------------------------------------------------------------------------------- */
static bool call_before(const void *ctx, uint32_t a, uint32_t b)
{
    const call_t *x = call_at(ctx, a), *y = call_at(ctx, b);
    return x->timer_us != y->timer_us ? x->timer_us < y->timer_us : x->id < y->id;
}

static uint32_t *call_place(void *ctx, uint32_t id)
{
    return &call_at(ctx, id)->heap_at;
}

void calls_init(core_t *core)
{
    static const heap_kind_t kind = {call_before, call_place};
    heap_init(&core->calls.timers, &kind, core);
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The first kept one is the first to be forgotten. */
int64_t calls_next_us(const core_t *core)
{
    uint32_t id = heap_top(&core->calls.timers), kept = core->calls.kept_head;
    return earlier(id ? call_at(core, id)->timer_us : INT64_MAX, kept ? call_at(core, kept)->deadline_us : INT64_MAX);
}

void call_arm(core_t *core, call_t *call)
{
    call->timer_us = call->state == CALL_RUNNING ? earlier(call->deadline_us, call->probe_us) : call->deadline_us;
    if (call->state == CALL_WAITING && (call->is_held || !workers_any(core, method_at(core, call->method))))
        call->timer_us = earlier(call->deadline_us, call->wait_until_us);
    heap_set(&core->calls.timers, call->id);
}

/* -- lists ----------------------------------------------------------------------------------------- */
void call_wait(core_t *core, call_t *call, bool at_front)
{
    method_t *method = method_at(core, call->method);
    call->state = CALL_WAITING;
    call->prev = at_front ? 0 : method->tail;
    call->next = at_front ? method->head : 0;
    *(call->prev ? &call_at(core, call->prev)->next : &method->head) = call->id;
    *(call->next ? &call_at(core, call->next)->prev : &method->tail) = call->id;
    method->waiting++;
    core->calls.waiting++;
}

void call_unwait(core_t *core, call_t *call)
{
    method_t *method = method_at(core, call->method);
    *(call->prev ? &call_at(core, call->prev)->next : &method->head) = call->next;
    *(call->next ? &call_at(core, call->next)->prev : &method->tail) = call->prev;
    call->prev = call->next = 0;
    method->waiting--;
    core->calls.waiting--;
}

static void made_put(core_t *core, call_t *call, session_t *session)
{
    call->session = session->id;
    call->made_prev = 0;
    call->made_next = session->calls_made;
    if (call->made_next)
        call_at(core, call->made_next)->made_prev = call->id;
    session->calls_made = call->id;
    session->calls_open++;
}

static void made_drop(core_t *core, call_t *call)
{
    session_t *session = session_at(core, call->session);
    if (!session)
        return;
    *(call->made_prev ? &call_at(core, call->made_prev)->made_next : &session->calls_made) = call->made_next;
    if (call->made_next)
        call_at(core, call->made_next)->made_prev = call->made_prev;
    if (call->state != CALL_DONE)
        session->calls_open--;
}

static void kept_put(core_t *core, call_t *call)
{
    calls_t *all = &core->calls;
    call->next = 0;
    call->prev = all->kept_tail;
    *(call->prev ? &call_at(core, call->prev)->next : &all->kept_head) = call->id;
    all->kept_tail = call->id;
    all->kept++;
    all->kept_bytes += call->final.len;
}

static void kept_drop(core_t *core, call_t *call)
{
    calls_t *all = &core->calls;
    *(call->prev ? &call_at(core, call->prev)->next : &all->kept_head) = call->next;
    *(call->next ? &call_at(core, call->next)->prev : &all->kept_tail) = call->prev;
    all->kept--;
    all->kept_bytes -= call->final.len;
}

/* -- making and forgetting --------------------------------------------------------------------------- */
call_t *call_make(core_t *core, bytes_t caller, uint64_t number)
{
    call_t *call = memory_new(1, sizeof *call);
    call->caller = memory_text(caller);
    call->number = number;
    call->id = pool_add(&core->calls.all, call);
    map_add(&core->calls.by_identity, call_hash(caller, number), call->id);
    return call;
}

void call_drop_request(call_t *call)
{
    buf_free(&call->request);
    call->attrs_len = 0;
}

static void call_free(call_t *call)
{
    free(call->caller);
    buf_free(&call->request);
    buf_free(&call->final);
    free(call);
}

/* Leaves the state it is in. */
static void call_leave(core_t *core, call_t *call)
{
    method_t *method = method_at(core, call->method);
    if (call->state == CALL_WAITING)
        call_unwait(core, call);
    else if (call->state == CALL_RUNNING)
        workers_stop(core, call, NULL);
    else
        kept_drop(core, call);
    if (method && call->state != CALL_DONE)
        method_leave(core, method);
}

void call_forget(core_t *core, call_t *call)
{
    call_leave(core, call);
    made_drop(core, call);
    heap_drop(&core->calls.timers, call->id);
    map_drop(&core->calls.by_identity, call_hash(bytes_cstr(call->caller), call->number), call->id);
    pool_drop(&core->calls.all, call->id);
    call_free(call);
}

static void call_keep(core_t *core, call_t *call)
{
    session_t *session = session_at(core, call->session);
    call_leave(core, call);
    call->state = CALL_DONE;
    call->method = 0;
    if (session)
        session->calls_open--;
    call_drop_request(call);
    kept_put(core, call);
    call->deadline_us = core->now_us + CALLS_KEEP_US;
    heap_drop(&core->calls.timers, call->id); /* kept ones are in a line by that already */
    while (core->calls.kept > CALLS_KEEP_MAX || core->calls.kept_bytes > CALLS_KEEP_BYTES)
        call_forget(core, call_at(core, core->calls.kept_head));
}

void call_finish(core_t *core, call_t *call, const wire_reply_t *reply)
{
    const session_t *session = session_at(core, call->session), *worker = session_at(core, call->worker);
    call->answered_by = worker && !reply->status ? worker->number : 0;
    if (call->request.cap <= CALLS_KEEP_CAP_BYTES) { /* it is not needed any more, and mostly has room for the answer */
        call->final = call->request;
        call->request = (buf_t){0};
        buf_clear(&call->final);
    }
    wire_encode_verb(&call->final, WIRE_REPLY, 0, reply);
    if (session)
        effects_raw(core->out, session->peer, 0, buf_bytes(&call->final));
    core->stats.calls++;
    if (reply->status)
        core->stats.calls_failed++;
    call->chunk = reply->chunk;
    call_keep(core, call);
}

void call_fail(core_t *core, call_t *call, status_t status, const char *aws, const char *message,
               uint64_t retry_after_ms)
{
    const wire_reply_t reply = {
        .caller = bytes_cstr(call->caller),
        .number = call->number,
        .chunk = call->chunk > call->wanted ? call->chunk : call->wanted,
        .final = true,
        .status = status,
        .aws = bytes_cstr(aws),
        .message = bytes_cstr(message),
        .retry_after_ms = retry_after_ms,
    };
    call_finish(core, call, &reply);
}

/* -- CALL ------------------------------------------------------------------------------------------ */
static bool call_check(const core_t *core, const session_t *session, const wire_call_t *c, error_t *err)
{
    if (!answer_takes_work(core, err) || !answer_allowed(core, ROLE_CALL, c->method, err))
        return false;
    if (!bytes_eq_cstr(c->caller, session->name))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "CALL.caller must be the instance's own name, \"%s\".", session->name);
    if (c->method.len == 0 || c->method.len > WIRE_NAME_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "CALL.method must have 1 to %d bytes.",
                         WIRE_NAME_MAX_BYTES);
    if (session->calls_open >= core->limits.call_window)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "WINDOW_EXCEEDED",
                         "call_window: %u calls of this session are unanswered already.", session->calls_open);
    if (core->calls.methods.used >= CALLS_METHODS_MAX && !method_find(core, c->method))
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_METHODS", "%u methods are known already.",
                         (unsigned)CALLS_METHODS_MAX);
    return true;
}

static int64_t deadline_after(const core_t *core, uint64_t deadline_ms)
{
    const uint64_t most_ms = (uint64_t)24 * 3600 * 1000; /* none waits longer than a day */
    return core->now_us + (int64_t)(deadline_ms < most_ms ? deadline_ms : most_ms) * US_PER_MS;
}

/* Numbers rise: what is newer than a call that came here for the first time was first sent after it, and had it come,
 * it would have been noted. All else that is asked again and not known may have run, under this broker or before. */
static bool may_have_begun(const session_t *session, const wire_call_t *c)
{
    return c->again && !(session->calls_newest && c->number > session->calls_newest);
}

/* It cannot be begun anew: it would run twice, or its first pieces differ from what the caller has. */
static bool is_to_be_claimed(const session_t *session, const wire_call_t *c)
{
    return c->reply_from > 0 || (!c->idempotent && may_have_begun(session, c));
}

/* Workers that were cut off by a restart are back by then. */
static int64_t claims_end_us(const core_t *core)
{
    return core->start_us + session_silence_us(core);
}

static void call_take_terms(core_t *core, call_t *call, const wire_call_t *c)
{
    call->is_idempotent = c->idempotent;
    call->is_stream = c->stream;
    call->wanted = c->reply_from;
    call->deadline_us = deadline_after(core, c->deadline_ms);
}

static void call_set_method(core_t *core, call_t *call, bytes_t name)
{
    method_t *method = method_get(core, name);
    method_use(method);
    call->method = method->id;
}

static void call_unclaimed(core_t *core, call_t *call)
{
    call_fail(core, call, STATUS_UNAVAILABLE, NULL,
              OUTCOME_UNKNOWN "the call is not known here any more, and no worker says that it runs it.",
              CALLS_RETRY_MS);
}

static void call_start(core_t *core, session_t *session, const wire_call_t *c)
{
    call_t *call = call_make(core, c->caller, c->number);
    call_take_terms(core, call, c);
    call_set_method(core, call, c->method);
    made_put(core, call, session);
    method_t *method = method_at(core, call->method);
    bool full = method->waiting >= core->limits.call_queue;
    buf_append_bytes(&call->request, c->attrs);
    buf_append_bytes(&call->request, c->body);
    call->attrs_len = c->attrs.len;
    call->is_held = is_to_be_claimed(session, c);
    call->wait_until_us = call->is_held ? claims_end_us(core) : core->now_us + CALLS_WORKER_WAIT_US;
    if (!c->again && c->number > session->calls_newest)
        session->calls_newest = c->number;
    call_wait(core, call, false);
    if (call->is_held && call->wait_until_us <= core->now_us) {
        call_unclaimed(core, call);
        return;
    }
    if (full) {
        call_fail(core, call, STATUS_RESOURCE_EXHAUSTED, "ThrottlingException",
                  "Too many calls wait for this method already.", CALLS_RETRY_MS);
        return;
    }
    call_arm(core, call);
    workers_dispatch(core, method);
}

/* From done to running at the worker that answered it: pieces before the last were lost on the way to the caller. */
static void call_reopen(core_t *core, session_t *session, call_t *call, const wire_call_t *c, session_t *worker)
{
    kept_drop(core, call);
    buf_free(&call->final);
    call_set_method(core, call, c->method);
    workers_take_back(core, call, worker);
    if (call->session)
        session->calls_open++;
}

static void call_answer_again(core_t *core, session_t *session, call_t *call, const wire_call_t *c)
{
    session_t *worker = call->answered_by ? session_by_number(core, call->answered_by) : NULL;
    bool is_whole = !call->answered_by || c->reply_from >= call->chunk;
    if (!is_whole && worker && worker->peer) {
        call_reopen(core, session, call, c, worker);
        return;
    }
    const wire_reply_t lost = {.caller = c->caller,
                               .number = c->number,
                               .chunk = c->reply_from,
                               .final = true,
                               .status = STATUS_UNAVAILABLE,
                               .message = BYTES_LIT(OUTCOME_UNKNOWN "pieces of the answer were lost with its worker."),
                               .retry_after_ms = CALLS_RETRY_MS};
    if (is_whole)
        effects_raw(core->out, session->peer, 0, buf_bytes(&call->final));
    else
        effects_frame(core->out, session->peer, 0, WIRE_REPLY, 0, &lost);
}

static void call_ask_again(core_t *core, session_t *session, call_t *call, const wire_call_t *c)
{
    if (call->state == CALL_DONE)
        call_answer_again(core, session, call, c);
    if (call->state == CALL_DONE)
        return;
    call_take_terms(core, call, c);
    if (!call->session)
        made_put(core, call, session);
    if (!call->method)
        call_set_method(core, call, c->method);
    call_arm(core, call);
    if (call->state == CALL_RUNNING && call->wanted < call->chunk)
        workers_repeat(core, call, c);
}

void calls_handle(core_t *core, session_t *session, const wire_msg_t *msg)
{
    const wire_call_t *c = &msg->call;
    error_t err;
    call_t *known = call_find(core, c->caller, c->number);
    if (known && !bytes_eq_cstr(c->caller, session->name))
        known = NULL;
    if (known) {
        call_ask_again(core, session, known, c);
        return;
    }
    if (!call_check(core, session, c, &err)) {
        answer_refuse(core, session->peer, msg->seq, &err);
        return;
    }
    call_start(core, session, c);
}

void calls_cancel(core_t *core, session_t *session, const wire_msg_t *msg)
{
    call_t *call = call_find(core, msg->cancel.caller, msg->cancel.number);
    if (!call || call->session != session->id)
        return;
    if (call->state == CALL_RUNNING)
        workers_stop(core, call, "cancelled by the caller");
    call_forget(core, call);
}

/* Credit for a call that is over is no mistake: the final reply and it crossed. */
void calls_credit(core_t *core, session_t *session, const wire_msg_t *msg)
{
    call_t *call = call_find(core, msg->reply_credit.caller, msg->reply_credit.number);
    if (call && call->session == session->id && call->state == CALL_RUNNING)
        workers_credit(core, call, msg->reply_credit.bytes);
}

void calls_lose_caller(core_t *core, session_t *session)
{
    while (session->calls_made) {
        call_t *call = call_at(core, session->calls_made);
        if (call->state == CALL_RUNNING)
            workers_stop(core, call, "the caller is gone");
        call_forget(core, call);
    }
}

/* -- time ------------------------------------------------------------------------------------------ */
static void call_wait_over(core_t *core, call_t *call)
{
    method_t *method = method_at(core, call->method);
    if (call->is_held) {
        call_unclaimed(core, call);
        return;
    }
    if (workers_any(core, method)) {
        call_arm(core, call);
        workers_dispatch(core, method);
        return;
    }
    char text[128];
    buf_t words = {0};
    buf_printf(&words, "No worker serves %s.", method->name);
    (void)bytes_to_cstr(buf_bytes(&words), text, sizeof text);
    buf_free(&words);
    call_fail(core, call, STATUS_UNAVAILABLE, NULL, text, CALLS_RETRY_MS);
}

static void call_overdue(core_t *core, call_t *call)
{
    const char *why = call->session ? "its deadline has passed" : "the caller did not come back";
    if (call->state == CALL_RUNNING)
        workers_stop(core, call, why);
    if (call->session)
        call_fail(core, call, STATUS_DEADLINE_EXCEEDED, NULL, "The deadline has passed.", 0);
    else
        call_forget(core, call);
}

static void call_due(core_t *core, call_t *call)
{
    if (call->deadline_us <= core->now_us) {
        call_overdue(core, call);
    } else if (call->state == CALL_WAITING && call->wait_until_us <= core->now_us) {
        call_wait_over(core, call);
    } else {
        if (call->state == CALL_RUNNING && call->probe_us <= core->now_us)
            workers_probe(core, call);
        call_arm(core, call);
    }
}

void calls_due(core_t *core)
{
    uint32_t id;
    while ((id = core->calls.kept_head) != 0 && call_at(core, id)->deadline_us <= core->now_us)
        call_forget(core, call_at(core, id));
    while ((id = heap_top(&core->calls.timers)) != 0 && call_at(core, id)->timer_us <= core->now_us)
        call_due(core, call_at(core, id));
}

void calls_free(core_t *core)
{
    calls_t *all = &core->calls;
    for (uint32_t id = pool_next(&all->all, 0); id; id = pool_next(&all->all, id))
        call_free(call_at(core, id));
    for (uint32_t id = pool_next(&all->methods, 0); id; id = pool_next(&all->methods, id))
        method_free(method_at(core, id));
    for (uint32_t id = pool_next(&all->serves, 0); id; id = pool_next(&all->serves, id))
        free(pool_get(&all->serves, id));
    pool_free(&all->all);
    pool_free(&all->methods);
    pool_free(&all->serves);
    map_free(&all->by_identity);
    map_free(&all->methods_by_name);
    heap_free(&all->timers);
}
