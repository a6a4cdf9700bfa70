/* workers.c: who serves what, who gets the next call, and what comes back. */
#include "broker/core/workers.h"

#include <stdlib.h>

#include "broker/core/answer.h"
#include "broker/core/calls.h"
#include "broker/core/ledger.h"
#include "broker/core/session.h"

static serve_t *serve_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->calls.serves, id);
}

static serve_t *serve_find(const core_t *core, const session_t *session, const method_t *method)
{
    for (uint32_t i = 0; i < session->serves.count; i++) {
        serve_t *serve = serve_at(core, session->serves.items[i]);
        if (serve->method == method->id)
            return serve;
    }
    return NULL;
}

bool workers_any(const core_t *core, const method_t *method)
{
    for (uint32_t i = 0; i < method->serves.count; i++)
        if (serve_at(core, method->serves.items[i])->capacity)
            return true;
    return false;
}

/* -- running --------------------------------------------------------------------------------------- */
static int64_t probe_interval_us(const core_t *core)
{
    return (int64_t)core->limits.heartbeat_ms * US_PER_MS / CALLS_PROBES + 1;
}

static void run_put(core_t *core, call_t *call, session_t *worker, serve_t *serve)
{
    call->state = CALL_RUNNING;
    call->is_held = false;
    call->is_unsure = false;
    call->probe_us = core->now_us + probe_interval_us(core);
    call->worker = worker->id;
    call->serve = serve ? serve->id : 0;
    if (serve)
        serve->running++;
    call->run_prev = 0;
    call->run_next = worker->calls_run;
    if (call->run_next)
        call_at(core, call->run_next)->run_prev = call->id;
    worker->calls_run = call->id;
    core->calls.running++;
}

static void run_drop(core_t *core, call_t *call)
{
    session_t *worker = session_at(core, call->worker);
    serve_t *serve = serve_at(core, call->serve);
    if (serve)
        serve->running--;
    *(call->run_prev ? &call_at(core, call->run_prev)->run_next : &worker->calls_run) = call->run_next;
    if (call->run_next)
        call_at(core, call->run_next)->run_prev = call->run_prev;
    call->worker = call->serve = 0;
    core->calls.running--;
    if (serve)
        workers_dispatch(core, method_at(core, serve->method));
}

static void worker_cancel(core_t *core, const session_t *worker, bytes_t caller, uint64_t number, const char *reason)
{
    const wire_cancel_t cancel = {.caller = caller, .number = number, .reason = bytes_cstr(reason)};
    effects_frame(core->out, worker->peer, 0, WIRE_CANCEL, 0, &cancel);
}

void workers_stop(core_t *core, call_t *call, const char *reason)
{
    if (!call->worker)
        return;
    if (reason)
        worker_cancel(core, session_at(core, call->worker), bytes_cstr(call->caller), call->number, reason);
    run_drop(core, call);
}

void workers_credit(core_t *core, const call_t *call, uint64_t bytes)
{
    const session_t *worker = session_at(core, call->worker);
    const wire_reply_credit_t credit = {.caller = bytes_cstr(call->caller), .number = call->number, .bytes = bytes};
    if (worker)
        effects_frame(core->out, worker->peer, 0, WIRE_REPLY_CREDIT, 0, &credit);
}

void workers_take_back(core_t *core, call_t *call, session_t *worker)
{
    run_put(core, call, worker, serve_find(core, worker, method_at(core, call->method)));
}

void workers_repeat(core_t *core, call_t *call, const wire_call_t *c)
{
    const session_t *worker = session_at(core, call->worker);
    wire_call_t frame = *c;
    frame.again = true;
    call->chunk = call->wanted;
    if (worker)
        effects_frame(core->out, worker->peer, 0, WIRE_CALL, 0, &frame);
}

void workers_probe(core_t *core, call_t *call)
{
    session_t *worker = session_at(core, call->worker);
    int64_t interval_us = probe_interval_us(core);
    call->probe_us = core->now_us + interval_us;
    if (!worker || worker->probed_us + interval_us > core->now_us)
        return;
    worker->probed_us = core->now_us;
    const wire_ping_t ping = {.number = call->number};
    effects_frame(core->out, worker->peer, 0, WIRE_PING, 0, &ping);
}

/* -- dispatch -------------------------------------------------------------------------------------- */
/* Fewest running calls; of equals, the next in turn. NULL when all are full. */
static serve_t *serve_choose(core_t *core, method_t *method)
{
    serve_t *best = NULL;
    uint32_t count = method->serves.count, turn = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (method->turn + i) % count;
        serve_t *serve = serve_at(core, method->serves.items[at]);
        if (serve->running >= serve->capacity || (best && serve->running >= best->running))
            continue;
        best = serve;
        turn = at + 1;
    }
    if (best)
        method->turn = turn;
    return best;
}

static void call_hand_over(core_t *core, call_t *call, const session_t *worker)
{
    int64_t left_us = call->deadline_us - core->now_us;
    const wire_call_t frame = {
        .caller = bytes_cstr(call->caller),
        .number = call->number,
        .method = bytes_cstr(method_at(core, call->method)->name),
        .deadline_ms = left_us > US_PER_MS ? (uint64_t)(left_us / US_PER_MS) : 1,
        .idempotent = call->is_idempotent,
        .stream = call->is_stream,
        .attrs = bytes_from(call->request.data, call->attrs_len),
        .body = bytes_from(call->request.data + call->attrs_len, call->request.len - call->attrs_len),
    };
    effects_frame(core->out, worker->peer, 0, WIRE_CALL, 0, &frame);
    if (!call->is_idempotent)
        call_drop_request(call);
}

static call_t *first_dispatchable(const core_t *core, const method_t *method)
{
    call_t *call = call_at(core, method->head);
    while (call && call->is_held)
        call = call_at(core, call->next);
    return call;
}

void workers_dispatch(core_t *core, method_t *method)
{
    call_t *call;
    serve_t *serve;
    while ((call = first_dispatchable(core, method)) != NULL && (serve = serve_choose(core, method)) != NULL) {
        session_t *worker = session_at(core, serve->session);
        call_unwait(core, call);
        run_put(core, call, worker, serve);
        call->chunk = 0;
        call_arm(core, call);
        call_hand_over(core, call, worker);
    }
}

/* -- SERVE ----------------------------------------------------------------------------------------- */
static bool serve_check(const core_t *core, const session_t *session, const wire_serve_t *s, error_t *err)
{
    if (s->methods.count + session->serves.count > FIELDS_LIST_MAX * 4)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_METHODS", "A session may serve %d methods.",
                         FIELDS_LIST_MAX * 4);
    for (uint32_t i = 0; i < s->methods.count; i++) {
        bytes_t method = s->methods.items[i].method;
        if (!answer_allowed(core, ROLE_SERVE, method, err))
            return false;
        if (method.len == 0 || method.len > WIRE_NAME_MAX_BYTES)
            return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                             "SERVE: a method's name must have 1 to %d bytes.", WIRE_NAME_MAX_BYTES);
    }
    return core->calls.methods.used + s->methods.count <= CALLS_METHODS_MAX ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_METHODS", "%u methods are known already.",
                     (unsigned)core->calls.methods.used);
}

/* What waits for the method has its timers from whether somebody serves it. */
static void method_rearm(core_t *core, const method_t *method)
{
    for (uint32_t id = method->head; id; id = call_at(core, id)->next)
        call_arm(core, call_at(core, id));
}

static void serve_set(core_t *core, session_t *session, const wire_serve_entry_t *entry)
{
    method_t *method = method_get(core, entry->method);
    serve_t *serve = serve_find(core, session, method);
    if (!serve) {
        serve = memory_new(1, sizeof *serve);
        serve->session = session->id;
        serve->method = method->id;
        serve->id = pool_add(&core->calls.serves, serve);
        ids_add(&session->serves, serve->id);
        ids_add(&method->serves, serve->id);
        method_use(method);
    }
    serve->capacity = entry->capacity < WORKER_CAPACITY_MAX ? entry->capacity : WORKER_CAPACITY_MAX;
    method_rearm(core, method);
}

/* -- what is running since before -------------------------------------------------------------------- */
static void claim_orphan(core_t *core, session_t *session, const wire_running_entry_t *entry)
{
    call_t *call = call_make(core, entry->caller, entry->number);
    run_put(core, call, session, NULL);
    call->chunk = entry->chunk;
    call->deadline_us = core->now_us + (int64_t)core->limits.grace_ms * US_PER_MS;
    call_arm(core, call);
}

static void call_seam(core_t *core, call_t *call, uint64_t chunk)
{
    uint64_t expected = call->chunk > call->wanted ? call->chunk : call->wanted;
    if (chunk <= expected) {
        call->chunk = expected;
        return;
    }
    workers_stop(core, call, "pieces of the answer were lost");
    call_fail(core, call, STATUS_UNAVAILABLE, NULL,
              "outcome unknown: pieces of the answer were lost between worker and broker.", CALLS_RETRY_MS);
}

static void claim_known(core_t *core, session_t *session, call_t *call, const wire_running_entry_t *entry)
{
    if (call->state == CALL_WAITING) {
        call_unwait(core, call);
        run_put(core, call, session, serve_find(core, session, method_at(core, call->method)));
        call_arm(core, call);
        call_seam(core, call, entry->chunk);
    } else if (call->state == CALL_RUNNING && call->worker == session->id) {
        const method_t *method = method_at(core, call->method);
        serve_t *serve = method && !call->serve ? serve_find(core, session, method) : NULL;
        call->is_unsure = false;
        if (serve) {
            call->serve = serve->id;
            serve->running++;
        }
        call_seam(core, call, entry->chunk);
    } else {
        worker_cancel(core, session, entry->caller, entry->number, "it is answered, or running elsewhere");
    }
}

/* A running call whose worker is lost. */
static void call_lost(core_t *core, call_t *call)
{
    run_drop(core, call);
    if (!call->session) {
        call_forget(core, call);
        return;
    }
    if (!call->is_idempotent || call->chunk > 0 || !call->method) {
        call_fail(core, call, STATUS_UNAVAILABLE, NULL, "outcome unknown: the worker was lost.", CALLS_RETRY_MS);
        return;
    }
    method_t *method = method_at(core, call->method);
    call_wait(core, call, true);
    call->wait_until_us = core->now_us + CALLS_WORKER_WAIT_US;
    call_arm(core, call);
    workers_dispatch(core, method);
}

/* The first SERVE of a connection says what goes on; what it does not name got lost on the way. */
static void settle_unsure(core_t *core, session_t *session)
{
    uint32_t next;
    for (uint32_t id = session->calls_run; id; id = next) {
        call_t *call = call_at(core, id);
        next = call->run_next;
        if (call->is_unsure)
            call_lost(core, call);
    }
}

void workers_serve(core_t *core, session_t *session, const wire_msg_t *msg)
{
    const wire_serve_t *s = &msg->serve;
    error_t err;
    if (!serve_check(core, session, s, &err)) {
        answer_refuse(core, session->peer, msg->seq, &err);
        return;
    }
    for (uint32_t i = 0; i < s->methods.count; i++)
        serve_set(core, session, &s->methods.items[i]);
    for (uint32_t i = 0; i < s->running.count; i++) {
        const wire_running_entry_t *entry = &s->running.items[i];
        call_t *call = call_find(core, entry->caller, entry->number);
        if (call)
            claim_known(core, session, call, entry);
        else if (entry->caller.len > 0 && entry->caller.len <= WIRE_NAME_MAX_BYTES)
            claim_orphan(core, session, entry);
    }
    if (!session->has_served)
        settle_unsure(core, session);
    session->has_served = true;
    static const wire_served_t none;
    effects_frame(core->out, session->peer, ledger_after(core), WIRE_SERVED, msg->seq, &none);
    for (uint32_t i = 0; i < s->methods.count; i++)
        workers_dispatch(core, method_get(core, s->methods.items[i].method));
}

/* -- REPLY ----------------------------------------------------------------------------------------- */
static bool reply_in_order(core_t *core, call_t *call, const wire_reply_t *r)
{
    if (r->chunk == call->chunk && (r->final || call->is_stream || !call->session))
        return true;
    if (r->chunk < call->chunk)
        return false; /* sent again after a lost connection */
    workers_stop(core, call, r->chunk == call->chunk ? "the caller takes one final reply" : "chunks out of order");
    call_fail(core, call, STATUS_INTERNAL, NULL, "The worker's answer was not in order.", 0);
    return false;
}

void workers_reply(core_t *core, session_t *session, const wire_msg_t *msg)
{
    call_t *call = call_find(core, msg->reply.caller, msg->reply.number);
    if (!call || call->state != CALL_RUNNING || call->worker != session->id)
        return; /* it crossed a CANCEL */
    if (!reply_in_order(core, call, &msg->reply))
        return;
    wire_reply_t reply = msg->reply;
    reply.worker = bytes_cstr(session->name);
    call->is_unsure = false;
    if (reply.final) {
        call_finish(core, call, &reply);
        return;
    }
    call->chunk++;
    call_drop_request(call);
    const session_t *caller = session_at(core, call->session);
    if (caller)
        effects_frame(core->out, caller->peer, 0, WIRE_REPLY, 0, &reply);
}

/* -- losing workers ---------------------------------------------------------------------------------- */
static void serve_drop(core_t *core, serve_t *serve)
{
    method_t *method = method_at(core, serve->method);
    (void)ids_drop(&method->serves, serve->id);
    pool_drop(&core->calls.serves, serve->id);
    free(serve);
    if (!workers_any(core, method)) {
        for (uint32_t id = method->head; id; id = call_at(core, id)->next)
            if (!call_at(core, id)->is_held)
                call_at(core, id)->wait_until_us = core->now_us + CALLS_WORKER_WAIT_US;
        method_rearm(core, method);
    }
    method_leave(core, method);
}

/* What may run twice need not wait for its worker to come back: it waits for any worker, the old one among
 * them, as long as the old one would have been waited for. */
static void free_idempotent(core_t *core, session_t *session)
{
    uint32_t next;
    for (uint32_t id = session->calls_run; id; id = next) {
        call_t *call = call_at(core, id);
        next = call->run_next;
        if (!call->is_idempotent || call->chunk > 0 || !call->session || !call->method)
            continue;
        run_drop(core, call);
        call_wait(core, call, true);
        call->wait_until_us = core->now_us + session_silence_us(core);
        call_arm(core, call);
        workers_dispatch(core, method_at(core, call->method));
    }
}

void workers_disconnect(core_t *core, session_t *session)
{
    for (uint32_t id = session->calls_run; id; id = call_at(core, id)->run_next) {
        call_at(core, id)->is_unsure = true;
        call_at(core, id)->serve = 0;
    }
    while (session->serves.count)
        serve_drop(core, serve_at(core, session->serves.items[--session->serves.count]));
    free_idempotent(core, session);
}

void workers_lost(core_t *core, session_t *session)
{
    while (session->calls_run)
        call_lost(core, call_at(core, session->calls_run));
}
