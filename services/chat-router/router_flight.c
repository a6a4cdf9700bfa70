/* router_flight.c: a question under way and its askers: pieces to all of them, and each one's own answer. */
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "services/chat-router/report.h"
#include "services/chat-router/router_internal.h"

/* Between a flight and the database's answer, which may come when the flight is gone. */
struct recall_slip {
    flight_t *flight;
};

static bus_t *bus_of(const flight_t *flight)
{
    return service_bus(flight->router->service);
}

/* -- what a question does to the world ----------------------------------------------------------------- */
static uint64_t port_call(void *ctx, const bus_call_t *call, error_t *err)
{
    return bus_call(bus_of(ctx), call, err);
}

static bool port_is_over(void *ctx)
{
    return bus_of(ctx) == NULL;
}

static void port_cancel(void *ctx, uint64_t number, const char *reason)
{
    if (!port_is_over(ctx))
        bus_cancel(bus_of(ctx), number, reason);
}

static int64_t port_now_us(void *ctx)
{
    (void)ctx;
    return clock_mono_us();
}

static void port_wake_at(void *ctx, int64_t mono_us)
{
    flight_t *flight = ctx;
    loop_timer_at(flight->timer, mono_us);
}

static void on_wake(void *ctx)
{
    flight_t *flight = ctx;
    question_wake(flight->question);
}

static void on_recalled(void *ctx, bool ok, const question_recalled_t *book)
{
    recall_slip_t *slip = ctx;
    flight_t *flight = slip->flight;
    free(slip);
    if (!flight)
        return;
    flight->slip = NULL;
    question_recall(flight->question, ok, book);
}

static bool port_history(void *ctx, bytes_t session_id)
{
    flight_t *flight = ctx;
    pg_t *pg = service_pg(flight->router->service);
    recall_slip_t *slip = pg && pg_is_ready(pg) ? malloc(sizeof(*slip)) : NULL;
    if (!slip)
        return false;
    slip->flight = flight;
    flight->slip = slip;
    store_recall(pg, session_id, bytes_cstr(flight->askers ? flight->askers->user_id : ""), on_recalled, slip);
    return true;
}

static void chunk_send(const asker_t *asker, bytes_t text)
{
    if (!asker->request->stream || text.len == 0)
        return;
    buf_t chunk = {0};
    chat_send_chunk_t piece = {.text = text};
    error_t err;
    if (chat_send_chunk_pack(&chunk, &piece, &err))
        bus_chunk(bus_of(asker->flight), asker->request, buf_bytes(&chunk));
    buf_free(&chunk);
}

static void port_text(void *ctx, bytes_t piece)
{
    flight_t *flight = ctx;
    for (const asker_t *asker = flight->askers; flight->kind == QUESTION_CHAT && asker; asker = asker->next)
        chunk_send(asker, piece);
}

void cache_put(swr_cache_t *cache, const buf_t *key, const buf_t *value, const bytes_t *tags, size_t tag_count)
{
    if (!swr_cache_put(cache, buf_bytes(key), buf_bytes(value), tags, tag_count, clock_mono_us()))
        log_debug("an answer was too large to be kept", LOG_I("bytes", value->len));
}

/* -- the answer ----------------------------------------------------------------------------------------- */
static void chat_record(flight_t *flight, const asker_t *asker, bytes_t body)
{
    arena_t arena;
    chat_send_response_t response;
    arena_init(&arena, 0);
    if (chat_send_response_unpack(body, &arena, &response, NULL)) {
        record_count(flight->router, response.intent, false, response.has_degraded && response.degraded.count,
                     clock_mono_us() - asker->start_us);
        if (!asker->is_repeat)
            record_message(flight->router, asker, &response);
    }
    arena_free(&arena);
}

static bool asker_pack(const asker_t *asker, buf_t *body, error_t *err)
{
    const flight_t *flight = asker->flight;
    const question_result_t *result = question_result(flight->question);
    int64_t latency_ms = (clock_mono_us() - asker->start_us) / 1000;
    report_head_t head = {bytes_cstr(asker->session_id), bytes_cstr(asker->message_id), latency_ms};
    switch (flight->kind) {
    case QUESTION_SEARCH:
        return report_search(result, latency_ms, body, err);
    case QUESTION_RECOMMEND:
        return report_recommend(result, flight->limit, body, err);
    default:
        return report_chat(result, &head, true, body, err);
    }
}

static void asker_answer(asker_t *asker)
{
    flight_t *flight = asker->flight;
    router_t *router = flight->router;
    buf_t body = {0};
    error_t err = {0};
    if (!asker_pack(asker, &body, &err)) {
        log_error("an answer breaks the contract", LOG_S("error", err.message));
        err.code = STATUS_INTERNAL;
        bus_fail(bus_of(flight), asker->request, &err);
        buf_free(&body);
        return;
    }
    if (flight->kind == QUESTION_CHAT)
        chat_record(flight, asker, buf_bytes(&body));
    if (asker->remember.len && !asker->is_repeat)
        cache_put(router->remembered, &asker->remember, &body, NULL, 0);
    bus_reply(bus_of(flight), asker->request, buf_bytes(&body));
    buf_free(&body);
}

/* Kept is what is whole, and belongs to nobody in particular. */
static void answer_keep(flight_t *flight)
{
    const question_result_t *result = question_result(flight->question);
    router_t *router = flight->router;
    bool is_stale = facts_stock_age_ms(result->facts) > 0;
    if (flight->key.len == 0 || flight->is_tainted || result->missing || result->is_personal || is_stale)
        return;
    bytes_t tags[REPORT_TAGS_MAX];
    size_t count = report_tags(result, tags);
    report_head_t head = {BYTES_LIT("-"), BYTES_LIT("-"), 0};
    buf_t body = {0};
    error_t err;
    if (report_chat(result, &head, false, &body, &err))
        cache_put(router->kept, &flight->key, &body, tags, count);
    buf_free(&body);
}

static void port_done(void *ctx, question_t *question)
{
    flight_t *flight = ctx;
    (void)question;
    if (flight->kind == QUESTION_CHAT)
        answer_keep(flight);
    for (asker_t *asker = flight->askers; asker; asker = asker->next)
        asker_answer(asker);
    flight_free(flight);
}

/* -- askers --------------------------------------------------------------------------------------------- */
void asker_free(asker_t *asker)
{
    if (asker->flight)
        asker->flight->router->asker_count--;
    buf_free(&asker->text);
    buf_free(&asker->remember);
    free(asker);
}

static void on_cancel(void *ctx, bus_request_t *request)
{
    asker_t *asker = ctx;
    flight_t *flight = asker->flight;
    asker_t **at = &flight->askers;
    error_t err = {0};
    while (*at && *at != asker)
        at = &(*at)->next;
    if (*at)
        *at = asker->next;
    error_set(&err, STATUS_CANCELLED, NULL, "the caller no longer waits");
    if (bus_of(flight))
        bus_fail(bus_of(flight), request, &err);
    asker_free(asker);
    if (!flight->askers)
        flight_free(flight);
}

void flight_join(flight_t *flight, asker_t *asker)
{
    asker_t **at = &flight->askers;
    while (*at)
        at = &(*at)->next;
    *at = asker;
    asker->flight = flight;
    flight->router->asker_count++;
    bus_request_on_cancel(asker->request, on_cancel, asker);
    if (flight->kind == QUESTION_CHAT)
        chunk_send(asker, question_answer(flight->question));
}

/* -- flights -------------------------------------------------------------------------------------------- */
static const question_ports_t ports = {.call = port_call,
                                       .cancel = port_cancel,
                                       .now_us = port_now_us,
                                       .is_over = port_is_over,
                                       .wake_at = port_wake_at,
                                       .history = port_history,
                                       .text = port_text,
                                       .done = port_done};

flight_t *flight_new(router_t *router, const question_input_t *input, error_t *err)
{
    if (router->flight_count >= ROUTER_QUESTIONS_MAX) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "%d questions are being answered already",
                  ROUTER_QUESTIONS_MAX);
        return NULL;
    }
    flight_t *flight = calloc(1, sizeof(*flight));
    if (!flight) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    question_ports_t own = ports;
    own.ctx = flight;
    flight->router = router;
    flight->kind = input->kind;
    flight->limit = input->limit;
    flight->deadline_us = input->deadline_us;
    flight->next = router->flights;
    flight->back = &router->flights;
    if (flight->next)
        flight->next->back = &flight->next;
    router->flights = flight;
    router->flight_count++;
    flight->timer = loop_timer_new(service_loop(router->service), on_wake, flight);
    flight->question = flight->timer ? question_new(&own, input, err) : NULL;
    if (flight->question)
        return flight;
    flight_free(flight);
    return NULL;
}

void flight_free(flight_t *flight)
{
    if (flight->slip)
        flight->slip->flight = NULL;
    *flight->back = flight->next;
    if (flight->next)
        flight->next->back = flight->back;
    flight->router->flight_count--;
    for (asker_t *asker = flight->askers, *next; asker; asker = next) {
        next = asker->next;
        asker_free(asker);
    }
    question_free(&flight->question);
    if (flight->timer)
        loop_timer_end(&flight->timer);
    buf_free(&flight->key);
    free(flight);
}
