/* bus_serve.c: calls answered here: handed to their handlers, answered in numbered pieces within the reply
 * window, and kept for a while, so that a caller whose link was lost can ask for the rest. */
#include <stddef.h>
#include <stdlib.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"
#include "kit/log.h"
#include "proto/attrs.h"

#define SERVE_CAPACITY 64
#define US_PER_MS 1000
#define FNV_BASIS UINT64_C(0xCBF29CE484222325)
#define FNV_PRIME UINT64_C(0x100000001B3)

/* -- methods --------------------------------------------------------------------------------------------- */
static bus_method_t *find_method(bus_t *bus, bytes_t name)
{
    bus_method_t *method;
    for (method = TAILQ_FIRST(&bus->methods); method; method = TAILQ_NEXT(method, link))
        if (bytes_eq_cstr(name, method->name))
            return method;
    return NULL;
}

bool bus_serve(bus_t *bus, const char *method, uint64_t capacity, bus_request_fn fn, void *ctx, error_t *err)
{
    if (!bus_name_check("method", bytes_cstr(method), err))
        return false;
    if (find_method(bus, bytes_cstr(method)))
        return error_set(err, STATUS_ALREADY_EXISTS, NULL, "%s is served already", method);
    if (bus->method_count == FIELDS_LIST_MAX)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "one process serves %d methods at most",
                         FIELDS_LIST_MAX);
    bus_method_t *entry = malloc(sizeof *entry);
    char *name = strdup(method);
    if (!entry || !name) {
        free(entry);
        free(name);
        return bus_no_memory(err);
    }
    *entry = (bus_method_t){.name = name, .capacity = capacity ? capacity : SERVE_CAPACITY, .fn = fn, .ctx = ctx};
    TAILQ_INSERT_TAIL(&bus->methods, entry, link);
    bus->method_count++;
    bus->serve_due = true;
    bus_flush_soon(bus);
    return true;
}

/* -- SERVE ------------------------------------------------------------------------------------------------ */
static void send_serve(bus_t *bus, wire_serve_t *frame)
{
    bus_ask_t *ask = bus_ask_new(bus, WIRE_SERVE);
    if (ask)
        bus_link_send(bus, WIRE_SERVE, ask->node.key, frame);
    frame->methods.count = frame->running.count = 0;
}

/* All pieces that are kept are sent again, so the oldest of them is the next: the broker leaves out what it had. */
static void add_running(wire_serve_t *frame, const bus_work_t *work)
{
    if (frame->running.count < FIELDS_LIST_MAX)
        frame->running.items[frame->running.count++] =
            (wire_running_entry_t){.caller = work->request.caller, .number = work->number, .chunk = work->first_kept};
}

static void add_methods(bus_t *bus, wire_serve_t *frame)
{
    const bus_method_t *method;
    for (method = TAILQ_FIRST(&bus->methods); method; method = TAILQ_NEXT(method, link)) {
        frame->methods.items[frame->methods.count++] =
            (wire_serve_entry_t){.method = bytes_cstr(method->name), .capacity = bus->draining ? 0 : method->capacity};
    }
}

/* Once more for all: "added to what the session serves already" makes repeating harmless. */
void bus_serve_flush(bus_t *bus)
{
    if (!bus->serve_due || bus->state != BUS_UP || TAILQ_EMPTY(&bus->methods))
        return;
    bus->serve_due = false;
    wire_serve_t *frame = &bus->out->serve;
    frame->methods.count = frame->running.count = 0;
    add_methods(bus, frame);
    send_serve(bus, frame);
}

/* -- identity --------------------------------------------------------------------------------------------- */
static uint64_t identity(bytes_t caller, uint64_t number)
{
    uint64_t hash = FNV_BASIS ^ number;
    for (size_t i = 0; i < caller.len; i++)
        hash = (hash ^ caller.data[i]) * FNV_PRIME;
    return hash;
}

static bus_work_t *of_node(bus_node_t *node)
{
    return node ? (bus_work_t *)(void *)((uint8_t *)node - offsetof(bus_work_t, node)) : NULL;
}

static bus_work_t *find_work(bus_t *bus, bytes_t caller, uint64_t number)
{
    for (bus_node_t *node = bus_map_first(&bus->works_by_identity, identity(caller, number)); node;
         node = bus_map_next(node)) {
        bus_work_t *work = of_node(node);
        if (work->number == number && bytes_eq(work->request.caller, caller))
            return work;
    }
    return NULL;
}

/* -- life ------------------------------------------------------------------------------------------------- */
static void drop_piece(bus_work_t *work)
{
    bus_piece_t *piece = TAILQ_FIRST(&work->pieces);
    TAILQ_REMOVE(&work->pieces, piece, link);
    work->pieces_bytes -= piece->body.len;
    work->first_kept = piece->chunk + 1;
    free(piece);
}

static void free_work(bus_t *bus, bus_work_t *work)
{
    bus_map_remove(&bus->works_by_identity, &work->node);
    TAILQ_REMOVE(work->answered ? &bus->recent : &bus->works, work, link);
    if (work->answered)
        bus->recent_bytes -= work->pieces_bytes;
    while (!TAILQ_EMPTY(&work->pieces))
        drop_piece(work);
    if (work->timer)
        loop_timer_end(&work->timer);
    free(work);
}

static void cancel(bus_work_t *work)
{
    if (work->answered || work->request.cancelled)
        return;
    work->request.cancelled = true;
    if (work->on_cancel)
        work->on_cancel(work->on_cancel_ctx, &work->request);
}

static void on_deadline(void *ctx)
{
    cancel(ctx);
}

static trace_t span_of(bytes_t attrs)
{
    bytes_t text;
    trace_t parent = {0};
    if (attrs_str(attrs, ATTR_TRACEPARENT, &text) && trace_parse(text, &parent))
        return trace_child(&parent);
    return trace_new();
}

static bus_work_t *new_work(bus_t *bus, const wire_call_t *call)
{
    size_t tail = call->caller.len + call->method.len + call->attrs.len + call->body.len;
    bus_work_t *work = malloc(sizeof *work + tail);
    if (!work)
        return NULL;
    uint8_t *at = (uint8_t *)(work + 1);
    uint64_t left_ms = call->deadline_ms < INT32_MAX ? call->deadline_ms : INT32_MAX;
    *work = (bus_work_t){.bus = bus,
                         .number = call->number,
                         .begun_us = clock_mono_us(),
                         .request = {.deadline_mono_us = clock_mono_us() + (int64_t)left_ms * US_PER_MS,
                                     .stream = call->stream,
                                     .trace = span_of(call->attrs)}};
    work->request.caller = bus_copy(&at, call->caller);
    work->request.method = bus_copy(&at, call->method);
    work->request.attrs = bus_copy(&at, call->attrs);
    work->request.body = bus_copy(&at, call->body);
    TAILQ_INIT(&work->pieces);
    work->timer = loop_timer_new(bus->loop, on_deadline, work);
    if (!work->timer) {
        free(work);
        return NULL;
    }
    loop_timer_at(work->timer, work->request.deadline_mono_us);
    TAILQ_INSERT_TAIL(&bus->works, work, link);
    bus_map_put(&bus->works_by_identity, &work->node, identity(work->request.caller, work->number));
    return work;
}

/* -- answering -------------------------------------------------------------------------------------------- */
static void send_piece(bus_t *bus, bus_work_t *work, bus_piece_t *piece)
{
    wire_reply_t frame = {.caller = work->request.caller,
                          .number = work->number,
                          .chunk = piece->chunk,
                          .final = piece->final,
                          .status = piece->status,
                          .aws = piece->aws,
                          .message = piece->message,
                          .retry_after_ms = piece->retry_after_ms > 0 ? (uint64_t)piece->retry_after_ms : 0,
                          .body = piece->body};
    piece->sent = true;
    bus_link_send(bus, WIRE_REPLY, 0, &frame);
    if (!piece->final)
        work->unread_bytes += piece->body.len;
}

/* A piece may overdraw the window, so that one larger than it still goes; the last one needs no credit. */
static void send_pieces(bus_t *bus, bus_work_t *work)
{
    bus_piece_t *piece;
    for (piece = TAILQ_FIRST(&work->pieces); piece; piece = TAILQ_NEXT(piece, link)) {
        if (bus->state != BUS_UP || clock_mono_us() < work->rejoin_us)
            return;
        if (piece->sent)
            continue;
        if (!piece->final && work->unread_bytes >= bus->welcome.reply_window_bytes)
            return;
        send_piece(bus, work, piece);
    }
}

/* The oldest pieces of a long stream go first; asking for them again is then refused. */
static void bound_pieces(bus_work_t *work)
{
    while (work->pieces_bytes > BUS_LOG_MAX_BYTES && TAILQ_FIRST(&work->pieces)->sent)
        drop_piece(work);
}

static bus_piece_t *add_piece(bus_t *bus, bus_work_t *work, const bus_piece_t *from)
{
    bus_piece_t *piece = malloc(sizeof *piece + from->aws.len + from->message.len + from->body.len);
    if (!piece) {
        log_error("no memory for an answer; the caller's deadline will end the call");
        return NULL;
    }
    uint8_t *at = (uint8_t *)(piece + 1);
    *piece = *from;
    piece->aws = bus_copy(&at, from->aws);
    piece->message = bus_copy(&at, from->message);
    piece->body = bus_copy(&at, from->body);
    piece->chunk = work->next_chunk++;
    piece->sent = false;
    work->pieces_bytes += piece->body.len;
    TAILQ_INSERT_TAIL(&work->pieces, piece, link);
    send_pieces(bus, work);
    bound_pieces(work);
    return piece;
}

/* A piece that waits for credit is of use as long as its caller waits for it; one that has gone gives none. */
static bool is_awaited(const bus_work_t *work, int64_t now_us)
{
    const bus_piece_t *last = TAILQ_LAST(&work->pieces, bus_pieces);
    return last && !last->sent && now_us < work->request.deadline_mono_us;
}

void bus_serve_forget_old(bus_t *bus)
{
    int64_t now_us = clock_mono_us(), before_us = now_us - (int64_t)BUS_REMEMBER_MS * US_PER_MS;
    for (bus_work_t *work = TAILQ_FIRST(&bus->recent), *next; work; work = next) {
        next = TAILQ_NEXT(work, link);
        if (work->answered_us > before_us && bus->recent_bytes <= BUS_REMEMBER_MAX_BYTES)
            return;
        if (!is_awaited(work, now_us))
            free_work(bus, work);
    }
}

static void finish(bus_t *bus, bus_request_t *request, const bus_piece_t *piece)
{
    bus_work_t *work = (bus_work_t *)request;
    loop_timer_off(work->timer);
    (void)add_piece(bus, work, piece);
    TAILQ_REMOVE(&bus->works, work, link);
    work->answered = true;
    work->answered_us = clock_mono_us();
    if (bus->observer && bus->observer->served)
        bus->observer->served(bus->observer->ctx, request->method, (status_t)piece->status,
                              work->answered_us - work->begun_us);
    TAILQ_INSERT_TAIL(&bus->recent, work, link);
    bus->recent_bytes += work->pieces_bytes;
    bus_flush_soon(bus);
}

static size_t piece_max(const bus_t *bus)
{
    return bus_max_frame(bus) - BUS_FRAME_OVERHEAD_BYTES - 4 * WIRE_NAME_MAX_BYTES - ERROR_MESSAGE_BYTES;
}

void bus_chunk(bus_t *bus, bus_request_t *request, bytes_t chunk)
{
    if (!request->stream || request->cancelled)
        return;
    if (chunk.len > piece_max(bus)) {
        log_error("a chunk is too large for a frame and was left out", LOG_B("method", request->method),
                  LOG_I("bytes", chunk.len));
        return;
    }
    bus_piece_t piece = {.body = chunk};
    (void)add_piece(bus, (bus_work_t *)request, &piece);
}

void bus_reply(bus_t *bus, bus_request_t *request, bytes_t body)
{
    if (body.len > piece_max(bus)) {
        error_t err;
        error_set(&err, STATUS_RESOURCE_EXHAUSTED, "FRAME_TOO_LARGE",
                  "the answer of %zu bytes does not fit the broker's largest frame", body.len);
        bus_fail(bus, request, &err);
        return;
    }
    bus_piece_t piece = {.final = true, .status = STATUS_OK, .body = body};
    finish(bus, request, &piece);
}

void bus_fail(bus_t *bus, bus_request_t *request, const error_t *err)
{
    bus_piece_t piece = {.final = true,
                         .status = err->code == STATUS_OK ? STATUS_UNKNOWN : err->code,
                         .aws = bytes_cstr(err->aws),
                         .message = bytes_cstr(err->message),
                         .retry_after_ms = err->retry_after_ms};
    finish(bus, request, &piece);
}

int64_t bus_request_left_ms(const bus_request_t *request)
{
    int64_t left_us = request->deadline_mono_us - clock_mono_us();
    return left_us > 0 ? left_us / US_PER_MS : 0;
}

void bus_request_on_cancel(bus_request_t *request, void (*fn)(void *ctx, bus_request_t *request), void *ctx)
{
    bus_work_t *work = (bus_work_t *)request;
    work->on_cancel = fn;
    work->on_cancel_ctx = ctx;
}

/* -- what comes in ---------------------------------------------------------------------------------------- */
static void refuse(bus_t *bus, const wire_call_t *call, status_t status, const char *message)
{
    wire_reply_t frame = {.caller = call->caller,
                          .number = call->number,
                          .final = true,
                          .status = status,
                          .message = bytes_cstr(message)};
    bus_link_send(bus, WIRE_REPLY, 0, &frame);
}

/* The caller asks again for a call that is known here: it gets the pieces it has not had. */
static void go_on(bus_t *bus, bus_work_t *work, const wire_call_t *call)
{
    if (call->reply_from < work->first_kept) {
        refuse(bus, call, STATUS_UNAVAILABLE, "the beginning of the answer is no longer kept: outcome unknown");
        return;
    }
    work->unread_bytes = 0;
    bus_piece_t *piece;
    for (piece = TAILQ_FIRST(&work->pieces); piece; piece = TAILQ_NEXT(piece, link))
        piece->sent = piece->chunk < call->reply_from;
    send_pieces(bus, work);
}

static void hand_over(bus_method_t *method, bus_work_t *work)
{
    trace_t before = *trace_current();
    trace_set_current(&work->request.trace);
    method->fn(method->ctx, &work->request);
    trace_set_current(&before);
}

void bus_serve_call(bus_t *bus, const wire_call_t *call)
{
    bus_work_t *known = find_work(bus, call->caller, call->number);
    bus_method_t *method = find_method(bus, call->method);
    if (known) {
        go_on(bus, known, call);
        return;
    }
    if (call->again) {
        refuse(bus, call, STATUS_UNAVAILABLE, "outcome unknown: the instance does not remember the call any more");
        return;
    }
    if (!method || bus->draining) {
        refuse(bus, call, method ? STATUS_UNAVAILABLE : STATUS_UNIMPLEMENTED,
               method ? "the instance is stopping; nothing was done" : "this instance does not serve the method");
        return;
    }
    bus_work_t *work = new_work(bus, call);
    if (work)
        hand_over(method, work);
    else
        refuse(bus, call, STATUS_RESOURCE_EXHAUSTED, "the instance has no memory left; nothing was done");
}

void bus_serve_cancel(bus_t *bus, const wire_cancel_t *frame)
{
    bus_work_t *work = find_work(bus, frame->caller, frame->number);
    if (work)
        cancel(work);
}

void bus_serve_credit(bus_t *bus, const wire_reply_credit_t *credit)
{
    bus_work_t *work = find_work(bus, credit->caller, credit->number);
    if (!work)
        return;
    work->unread_bytes -= credit->bytes < work->unread_bytes ? credit->bytes : work->unread_bytes;
    send_pieces(bus, work);
}

/* -- sessions --------------------------------------------------------------------------------------------- */
static void send_again(bus_work_t *work, int64_t rejoin_us)
{
    for (bus_piece_t *piece = TAILQ_FIRST(&work->pieces); piece; piece = TAILQ_NEXT(piece, link))
        piece->sent = false;
    work->unread_bytes = 0;
    work->rejoin_us = rejoin_us;
}

/* A restarted broker has forgotten who asked: pieces that come before the caller asked again would be lost. */
static int64_t rejoin_time(bus_t *bus)
{
    bool is_same = bytes_eq_cstr(bus->welcome.broker, bus->served_broker);
    bool is_first = bus->served_broker[0] == '\0';
    (void)bytes_to_cstr(bus->welcome.broker, bus->served_broker, sizeof bus->served_broker);
    return is_same || is_first ? 0 : clock_mono_us() + (int64_t)BUS_REJOIN_MS * US_PER_MS;
}

static void send_all_pieces(void *ctx)
{
    bus_t *bus = ctx;
    for (bus_work_t *work = TAILQ_FIRST(&bus->works); work; work = TAILQ_NEXT(work, link))
        send_pieces(bus, work);
    for (bus_work_t *work = TAILQ_FIRST(&bus->recent); work; work = TAILQ_NEXT(work, link))
        send_pieces(bus, work);
}

/* What was answered lately is announced too: the last piece may have been lost with the link. The broker takes
 * the first SERVE of a connection for the whole truth, so all is in one frame, the newest of the answered. */
void bus_serve_up(bus_t *bus)
{
    bus_serve_forget_old(bus);
    bus->serve_due = false;
    if (TAILQ_EMPTY(&bus->methods))
        return;
    wire_serve_t *frame = &bus->out->serve;
    int64_t rejoin_us = rejoin_time(bus);
    frame->methods.count = frame->running.count = 0;
    add_methods(bus, frame);
    for (bus_work_t *work = TAILQ_FIRST(&bus->works); work; work = TAILQ_NEXT(work, link)) {
        send_again(work, rejoin_us);
        add_running(frame, work);
    }
    for (bus_work_t *work = TAILQ_LAST(&bus->recent, bus_works); work; work = TAILQ_PREV(work, bus_works, link)) {
        send_again(work, rejoin_us);
        add_running(frame, work);
    }
    send_serve(bus, frame);
    if (rejoin_us)
        loop_timer_at(bus->rejoin, rejoin_us);
    send_all_pieces(bus);
}

bool bus_serve_init(bus_t *bus)
{
    bus->rejoin = loop_timer_new(bus->loop, send_all_pieces, bus);
    return bus->rejoin != NULL;
}

void bus_serve_drain(bus_t *bus)
{
    bus->serve_due = true;
    bus_flush_soon(bus);
}

void bus_serve_end(bus_t *bus)
{
    if (bus->rejoin)
        loop_timer_end(&bus->rejoin);
    while (!TAILQ_EMPTY(&bus->works))
        free_work(bus, TAILQ_FIRST(&bus->works));
    while (!TAILQ_EMPTY(&bus->recent))
        free_work(bus, TAILQ_FIRST(&bus->recent));
    for (bus_method_t *method; (method = TAILQ_FIRST(&bus->methods));) {
        TAILQ_REMOVE(&bus->methods, method, link);
        free(method->name);
        free(method);
    }
}
