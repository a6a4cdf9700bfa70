/* bus_call.c: calls made here: sent within the window, timed, asked again after a lost link, answered once. */
#include <stdlib.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"

#define US_PER_MS 1000

/* -- life ------------------------------------------------------------------------------------------------ */
static bus_caller_t *find(bus_t *bus, uint64_t number)
{
    return (bus_caller_t *)bus_map_first(&bus->calls_by_number, number);
}

static void forget_ask(bus_t *bus, bus_caller_t *call)
{
    bus_ask_t *ask = call->seq ? bus_ask_find(bus, call->seq) : NULL;
    if (ask)
        bus_ask_free(bus, ask);
    call->seq = 0;
}

static void remove_call(bus_t *bus, bus_caller_t *call)
{
    forget_ask(bus, call);
    bus_map_remove(&bus->calls_by_number, &call->node);
    TAILQ_REMOVE(call->was_sent ? &bus->calls_sent : &bus->calls_waiting, call, link);
    if (call->was_sent)
        bus->calls_sent_count--;
    bus->waiting_bytes -= call->bytes;
    bus_flush_soon(bus); /* one may be waiting for the window */
}

static void free_call(bus_caller_t *call)
{
    if (call->timer)
        loop_timer_end(&call->timer);
    free(call->method);
    free(call);
}

static void finish(bus_t *bus, bus_caller_t *call, const error_t *err, bytes_t body, bytes_t worker)
{
    bus_reply_t reply = {.err = err, .body = body, .worker = worker, .duration_us = clock_mono_us() - call->started_us};
    remove_call(bus, call);
    if (bus->observer && bus->observer->called)
        bus->observer->called(bus->observer->ctx, call->method, err ? err->code : STATUS_OK, reply.duration_us);
    call->on_done(call->ctx, &reply);
    free_call(call);
}

static void send_cancel(bus_t *bus, const bus_caller_t *call, const char *reason)
{
    if (!call->was_sent || bus->state != BUS_UP)
        return;
    wire_cancel_t frame = {.caller = bytes_cstr(bus->instance), .number = call->number, .reason = bytes_cstr(reason)};
    bus_link_send(bus, WIRE_CANCEL, 0, &frame);
}

static void on_deadline(void *ctx)
{
    bus_caller_t *call = ctx;
    bus_t *bus = call->bus;
    error_t err;
    if (bus->state == BUS_UP)
        error_set(&err, STATUS_DEADLINE_EXCEEDED, NULL, "%s gave no answer within %lld ms", call->method,
                  (long long)((call->deadline_us - call->started_us) / US_PER_MS));
    else
        error_set(&err, STATUS_DEADLINE_EXCEEDED, NULL, "%s gave no answer within %lld ms: the broker is away (%s)",
                  call->method, (long long)((call->deadline_us - call->started_us) / US_PER_MS), bus->why);
    send_cancel(bus, call, "deadline");
    finish(bus, call, &err, BYTES_NONE, BYTES_NONE);
}

/* -- taking in ------------------------------------------------------------------------------------------- */
static bus_caller_t *copy_call(bus_t *bus, const bus_call_t *from, bytes_t attrs)
{
    bus_caller_t *call = malloc(sizeof *call + from->body.len + attrs.len);
    if (!call)
        return NULL;
    uint8_t *at = (uint8_t *)(call + 1);
    *call = (bus_caller_t){.bus = bus,
                           .idempotent = from->idempotent,
                           .method = strdup(from->method),
                           .bytes = from->body.len + attrs.len,
                           .started_us = clock_mono_us(),
                           .on_chunk = from->on_chunk,
                           .on_done = from->on_done,
                           .ctx = from->ctx};
    call->deadline_us = call->started_us + from->timeout_ms * US_PER_MS;
    call->body = bus_copy(&at, from->body);
    call->attrs = bus_copy(&at, attrs);
    call->timer = loop_timer_new(bus->loop, on_deadline, call);
    if (call->method && call->timer)
        return call;
    free_call(call);
    return NULL;
}

static uint64_t take_in(bus_t *bus, const bus_call_t *from, bytes_t attrs, error_t *err)
{
    size_t bytes = from->body.len + attrs.len;
    if (bytes > bus_max_frame(bus) - BUS_FRAME_OVERHEAD_BYTES - 2 * WIRE_NAME_MAX_BYTES) {
        error_set(err, STATUS_INVALID_ARGUMENT, "FRAME_TOO_LARGE",
                  "a request of %zu bytes does not fit the broker's largest frame of %zu", bytes, bus_max_frame(bus));
        return 0;
    }
    if (!bus_admit(bus, bytes, err))
        return 0;
    bus_caller_t *call = copy_call(bus, from, attrs);
    if (!call) {
        bus->waiting_bytes -= bytes;
        bus_no_memory(err);
        return 0;
    }
    call->number = ++bus->call_number;
    bus_map_put(&bus->calls_by_number, &call->node, call->number);
    TAILQ_INSERT_TAIL(&bus->calls_waiting, call, link);
    loop_timer_at(call->timer, call->deadline_us);
    bus_flush_soon(bus);
    return call->number;
}

uint64_t bus_call(bus_t *bus, const bus_call_t *call, error_t *err)
{
    if (!bus_name_check("method", bytes_cstr(call->method), err))
        return 0;
    if (call->timeout_ms <= 0) {
        error_set(err, STATUS_DEADLINE_EXCEEDED, NULL, "no time is left to call %s", call->method);
        return 0;
    }
    buf_t attrs = {0};
    uint64_t number = 0;
    if (bus_attrs_with_trace(call->attrs, call->trace, &attrs, err))
        number = take_in(bus, call, buf_bytes(&attrs), err);
    buf_free(&attrs);
    return number;
}

void bus_cancel(bus_t *bus, uint64_t number, const char *reason)
{
    bus_caller_t *call = find(bus, number);
    if (!call)
        return;
    send_cancel(bus, call, reason ? reason : "");
    remove_call(bus, call);
    free_call(call);
}

/* -- sending ---------------------------------------------------------------------------------------------- */
static void send_call(bus_t *bus, bus_caller_t *call)
{
    bus_ask_t *ask = bus_ask_new(bus, WIRE_CALL);
    if (!ask)
        return; /* its deadline will tell */
    ask->number = call->number;
    call->seq = ask->node.key;
    int64_t left_ms = (call->deadline_us - clock_mono_us()) / US_PER_MS;
    wire_call_t frame = {.caller = bytes_cstr(bus->instance),
                         .number = call->number,
                         .method = bytes_cstr(call->method),
                         .deadline_ms = left_ms > 0 ? (uint64_t)left_ms : 1,
                         .idempotent = call->idempotent,
                         .stream = call->on_chunk != NULL,
                         .reply_from = call->next_chunk,
                         .attrs = call->attrs,
                         .body = call->body,
                         .again = call->again};
    call->again = true;
    bus_link_send(bus, WIRE_CALL, call->seq, &frame);
}

void bus_call_flush(bus_t *bus)
{
    bus_caller_t *call;
    while (bus->state == BUS_UP && (call = TAILQ_FIRST(&bus->calls_waiting)) &&
           bus->calls_sent_count < bus->welcome.call_window) {
        TAILQ_REMOVE(&bus->calls_waiting, call, link);
        TAILQ_INSERT_TAIL(&bus->calls_sent, call, link);
        call->was_sent = true;
        bus->calls_sent_count++;
        send_call(bus, call);
    }
}

/* What was sent under an earlier session is asked again under the same identity: the broker joins it to the
 * worker that runs it, or dispatches it if it may. */
void bus_call_up(bus_t *bus)
{
    bus_caller_t *call;
    for (call = TAILQ_FIRST(&bus->calls_sent); call; call = TAILQ_NEXT(call, link)) {
        forget_ask(bus, call);
        call->owed_bytes = 0;
        send_call(bus, call);
    }
}

/* -- answers ----------------------------------------------------------------------------------------------- */
static void give_credit(bus_t *bus, bus_caller_t *call, size_t bytes)
{
    call->owed_bytes += bytes;
    if (call->owed_bytes * 4 < bus->welcome.reply_window_bytes)
        return;
    wire_reply_credit_t frame = {
        .caller = bytes_cstr(bus->instance), .number = call->number, .bytes = call->owed_bytes};
    bus_link_send(bus, WIRE_REPLY_CREDIT, 0, &frame);
    call->owed_bytes = 0;
}

static void take_chunk(bus_t *bus, bus_caller_t *call, const wire_reply_t *reply)
{
    uint64_t number = call->number;
    call->next_chunk++;
    if (call->on_chunk)
        call->on_chunk(call->ctx, reply->body);
    call = find(bus, number); /* the handler may have cancelled it */
    if (call && bus->state == BUS_UP)
        give_credit(bus, call, reply->body.len);
}

static void take_final(bus_t *bus, bus_caller_t *call, const wire_reply_t *reply)
{
    if (reply->status == STATUS_OK) {
        finish(bus, call, NULL, reply->body, reply->worker);
        return;
    }
    error_t err;
    bus_error_fill(&err, reply->status, reply->aws, reply->message, reply->retry_after_ms);
    finish(bus, call, &err, BYTES_NONE, reply->worker);
}

void bus_call_reply(bus_t *bus, const wire_reply_t *reply)
{
    bus_caller_t *call = bytes_eq_cstr(reply->caller, bus->instance) ? find(bus, reply->number) : NULL;
    if (!call)
        return; /* cancelled, or too late */
    bool failed = reply->final && reply->status != STATUS_OK;
    if (reply->chunk < call->next_chunk && !failed)
        return; /* had before the link was lost */
    if (reply->chunk > call->next_chunk && !failed) {
        error_t err;
        error_set(&err, STATUS_DATA_LOSS, "CHUNK_MISSING", "%s: chunk %llu came where %llu was due", call->method,
                  (unsigned long long)reply->chunk, (unsigned long long)call->next_chunk);
        send_cancel(bus, call, "a chunk is missing");
        finish(bus, call, &err, BYTES_NONE, reply->worker);
        return;
    }
    if (reply->final)
        take_final(bus, call, reply);
    else
        take_chunk(bus, call, reply);
}

void bus_call_refused(bus_t *bus, uint64_t number, const error_t *err)
{
    bus_caller_t *call = find(bus, number);
    if (call)
        finish(bus, call, err, BYTES_NONE, BYTES_NONE);
}

void bus_call_end(bus_t *bus, const error_t *err)
{
    bus_caller_t *call;
    while ((call = TAILQ_FIRST(&bus->calls_sent)) || (call = TAILQ_FIRST(&bus->calls_waiting)))
        finish(bus, call, err, BYTES_NONE, BYTES_NONE);
}
