/* router.c: a request's way to a kept answer, to a question that is worked already, or to a new one. */
#include "services/chat-router/router.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "proto/uuid.h"
#include "services/chat-router/report.h"
#include "services/chat-router/router_internal.h"

#define US_PER_MS INT64_C(1000)
#define PRUNE_EVERY_MS 3600000
#define LEDGER_RETRY_MS 5000
#define ANSWER_MARGIN_MS 40 /* a caller's deadline, less the way back */
#define RECOMMEND_DEFAULT 10
#define SEARCH_DEFAULT 5
#define REQUEST_MEMORY_MAX_BYTES ((size_t)4 << 20)

/* -- making ---------------------------------------------------------------------------------------------- */
static void on_prune(void *ctx)
{
    router_t *router = ctx;
    store_prune(service_pg(router->service), router->settings.retention_ms, router->write_failures);
}

static void on_collect(void *ctx)
{
    router_t *router = ctx;
    metric_set(router->kept_entries, (double)swr_cache_stats(router->kept)->entries);
    metric_set(router->running, (double)router->flight_count);
    metric_set(router->waiting, (double)router->asker_count);
}

static void metrics_make(router_t *router)
{
    metrics_t *m = service_metrics(router->service);
    router->seconds =
        metrics_histogram(m, "mangabus_chat_answer_seconds", "", "from a message to the end of its answer", NULL, 0);
    router->evicted =
        metrics_counter(m, "mangabus_chat_cache_evicted_total", "", "kept answers thrown out by stock events");
    router->write_failures = metrics_counter(m, "mangabus_chat_write_failures_total", "",
                                             "writes behind answers that the database did not take");
    router->booked = metrics_counter(m, "mangabus_chat_ledger_total", "", "model calls booked into the ledger");
    router->kept_entries = metrics_gauge(m, "mangabus_chat_cache_entries", "", "answers kept");
    router->running = metrics_gauge(m, "mangabus_chat_questions", "", "questions being answered");
    router->waiting = metrics_gauge(m, "mangabus_chat_askers", "", "requests that wait for an answer");
    metrics_on_collect(m, on_collect, router);
}

static swr_cache_t *cache_make(int64_t entries, int64_t bytes, int64_t ttl_ms)
{
    swr_options_t options = {.entries_max = (size_t)entries,
                             .bytes_max = (size_t)bytes,
                             .fresh_us = ttl_ms * US_PER_MS,
                             .stale_us = ttl_ms * US_PER_MS};
    return swr_cache_new(&options);
}

router_t *router_new(service_t *service, const router_settings_t *settings, error_t *err)
{
    router_t *router = calloc(1, sizeof(*router));
    if (router) {
        router->service = service;
        router->settings = *settings;
        router->kept = cache_make(settings->cache_entries, settings->cache_bytes, settings->cache_ttl_ms);
        router->remembered = cache_make(settings->remember_entries, settings->cache_bytes, settings->remember_ms);
        router->prune_timer = loop_timer_new(service_loop(service), on_prune, router);
        router->parked = parked_new(service_loop(service), LEDGER_RETRY_MS, router_on_ledger, router, err);
        if (router->kept && router->remembered && router->prune_timer && router->parked) {
            loop_timer_every(router->prune_timer, PRUNE_EVERY_MS);
            metrics_make(router);
            return router;
        }
    }
    router_free(&router);
    error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory for the cache");
    return NULL;
}

void router_free(router_t **router)
{
    router_t *self = *router;
    if (!self)
        return;
    while (self->flights)
        flight_free(self->flights);
    swr_cache_free(&self->kept);
    swr_cache_free(&self->remembered);
    if (self->prune_timer)
        loop_timer_end(&self->prune_timer);
    parked_free(&self->parked);
    free(self);
    *router = NULL;
}

/* -- a request --------------------------------------------------------------------------------------------- */
typedef struct {
    router_t *router;
    asker_t *asker;
    arena_t arena;
    chat_send_request_t chat;
    question_input_t input;
    buf_t key; /* of the kept answer */
    hop_t hop; /* looking into the cache */
} desk_t;

static void refuse(router_t *router, bus_request_t *request, const error_t *err)
{
    bus_fail(service_bus(router->service), request, err);
}

static void id_make(char out[CONTRACT_ID_BYTES + 1])
{
    uint8_t random[UUID_RANDOM_BYTES];
    clock_random(random, sizeof(random));
    uuid_format(uuid_v7((uint64_t)(clock_wall_us() / US_PER_MS), random), out);
}

static void id_take(bool is_given, bytes_t given, char out[CONTRACT_ID_BYTES + 1])
{
    if (is_given)
        (void)bytes_to_cstr(given, out, CONTRACT_ID_BYTES + 1);
    else
        id_make(out);
}

static asker_t *asker_new(bus_request_t *request)
{
    asker_t *asker = calloc(1, sizeof(*asker));
    if (asker) {
        asker->request = request;
        asker->start_us = clock_mono_us();
    }
    return asker;
}

static int64_t deadline_of(const router_t *router, const asker_t *asker)
{
    int64_t own_us = asker->start_us + router->settings.deadline_ms * US_PER_MS;
    int64_t caller_us = asker->request->deadline_mono_us - ANSWER_MARGIN_MS * US_PER_MS;
    return caller_us < own_us ? caller_us : own_us;
}

static bool has_nul(const chat_send_request_t *chat)
{
    const bytes_t ids[] = {chat->has_session_id ? chat->session_id : BYTES_NONE,
                           chat->has_message_id ? chat->message_id : BYTES_NONE,
                           chat->has_user_id ? chat->user_id : BYTES_NONE};
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (ids[i].len && memchr(ids[i].data, 0, ids[i].len))
            return true;
    return false;
}

/* The message under its sender's session and name: nobody gets another's answer by guessing an id. */
static void remember_key(const chat_send_request_t *chat, buf_t *out)
{
    if (!chat->has_message_id)
        return;
    buf_append_bytes(out, chat->message_id);
    buf_append_byte(out, 0);
    if (chat->has_session_id)
        buf_append_bytes(out, chat->session_id);
    buf_append_byte(out, 0);
    if (chat->has_user_id)
        buf_append_bytes(out, chat->user_id);
}

static bool chat_read(desk_t *desk, error_t *err)
{
    asker_t *asker = desk->asker;
    chat_send_request_t *chat = &desk->chat;
    if (!chat_send_request_unpack(asker->request->body, &desk->arena, chat, err))
        return false;
    if (has_nul(chat))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "request: an id holds a NUL character");
    if (!wording_keep(chat->text, &asker->text))
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    if (asker->text.len == 0)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "request.text: expected more than blanks");
    if (asker->text.len > CONTRACT_TEXT_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "request.text: longer than %d bytes once normalised",
                         CONTRACT_TEXT_BYTES);
    id_take(chat->has_session_id, chat->session_id, asker->session_id);
    id_take(chat->has_message_id, chat->message_id, asker->message_id);
    if (chat->has_user_id)
        id_take(true, chat->user_id, asker->user_id);
    remember_key(chat, &asker->remember);
    return true;
}

static void language_set(question_input_t *input, bool has_locale, bytes_t locale)
{
    input->has_language = has_locale && !bytes_eq_cstr(locale, "auto");
    input->language = bytes_eq_cstr(locale, "ja") ? LANGUAGE_JA : LANGUAGE_EN;
}

static void input_set(desk_t *desk, question_kind_t kind, bool has_locale, bytes_t locale)
{
    const asker_t *asker = desk->asker;
    desk->input = (question_input_t){.kind = kind,
                                     .text = buf_bytes(&asker->text),
                                     .session_id = bytes_cstr(asker->session_id),
                                     .user_id = bytes_cstr(asker->user_id),
                                     .start_us = asker->start_us,
                                     .deadline_us = deadline_of(desk->router, asker),
                                     .trace = &asker->request->trace};
    language_set(&desk->input, has_locale, locale);
}

/* -- kept and remembered answers ------------------------------------------------------------------------------ */
static bool key_make(desk_t *desk)
{
    bytes_t preference = desk->chat.has_model_preference ? desk->chat.model_preference : BYTES_LIT("auto");
    language_t language = desk->input.has_language ? desk->input.language : language_detect(desk->input.text);
    if (!wording_fold(desk->input.text, &desk->key))
        return false;
    buf_append_byte(&desk->key, 0);
    buf_append_cstr(&desk->key, language_name(language));
    buf_append_byte(&desk->key, 0);
    buf_append_bytes(&desk->key, preference);
    return !desk->key.failed;
}

static void answer_chunk(const asker_t *asker, bus_t *bus, bytes_t answer)
{
    buf_t chunk = {0};
    chat_send_chunk_t piece = {.text = answer};
    error_t err;
    if (asker->request->stream && answer.len && chat_send_chunk_pack(&chunk, &piece, &err))
        bus_chunk(bus, asker->request, buf_bytes(&chunk));
    buf_free(&chunk);
}

/* The same message again: the same answer, byte for byte, and nothing recorded. */
static bool remembered_give(desk_t *desk)
{
    asker_t *asker = desk->asker;
    bus_t *bus = service_bus(desk->router->service);
    bytes_t body;
    chat_send_response_t response;
    if (asker->remember.len == 0 ||
        swr_cache_get(desk->router->remembered, buf_bytes(&asker->remember), clock_mono_us(), &body, NULL) == SWR_MISS)
        return false;
    if (chat_send_response_unpack(body, &desk->arena, &response, NULL))
        answer_chunk(asker, bus, response.answer);
    bus_reply(bus, asker->request, body);
    return true;
}

static void hop_make(desk_t *desk, const char *detail)
{
    desk->hop = (hop_t){.service = BYTES_LIT("chat-router"),
                        .operation = BYTES_LIT("cache"),
                        .duration_us = clock_mono_us() - desk->asker->start_us};
    SCHEMA_SET(&desk->hop, depth, 1);
    SCHEMA_SET(&desk->hop, start_us, 0);
    SCHEMA_SET(&desk->hop, detail, bytes_cstr(detail));
}

static bool kept_pack(desk_t *desk, bytes_t body, int64_t age_us, buf_t *out, chat_send_response_t *response)
{
    const asker_t *asker = desk->asker;
    chat_send_response_t kept;
    error_t err;
    int64_t took_us = clock_mono_us() - asker->start_us;
    report_head_t head = {bytes_cstr(asker->session_id), bytes_cstr(asker->message_id), took_us / US_PER_MS};
    const hop_t hops[] = {{.service = BYTES_LIT("chat-router"),
                           .operation = BYTES_LIT(CALL_CHAT_SEND),
                           .duration_us = took_us,
                           .has_depth = true,
                           .has_start_us = true},
                          desk->hop};
    return chat_send_response_unpack(body, &desk->arena, &kept, NULL) &&
           report_again(&kept, &head, age_us / US_PER_MS, hops, ARRAY_LEN(hops), out, &err) &&
           chat_send_response_unpack(buf_bytes(out), &desk->arena, response, NULL);
}

static bool kept_give(desk_t *desk)
{
    int64_t age_us = 0, most_ms = desk->chat.has_max_age_ms ? desk->chat.max_age_ms : INT64_MAX / US_PER_MS;
    bytes_t body;
    buf_t out = {0};
    chat_send_response_t response;
    bool is_there = most_ms > 0 && swr_cache_get(desk->router->kept, buf_bytes(&desk->key), clock_mono_us(), &body,
                                                 &age_us) != SWR_MISS;
    hop_make(desk, most_ms == 0 ? "not wanted" : is_there ? "hit" : "miss");
    if (!is_there || age_us / US_PER_MS > most_ms || !kept_pack(desk, body, age_us, &out, &response)) {
        buf_free(&out);
        return false;
    }
    asker_t *asker = desk->asker;
    bus_t *bus = service_bus(desk->router->service);
    answer_chunk(asker, bus, response.answer);
    record_count(desk->router, response.intent, true, false, clock_mono_us() - asker->start_us);
    record_message(desk->router, asker, &response);
    if (asker->remember.len)
        cache_put(desk->router->remembered, &asker->remember, &out, NULL, 0);
    bus_reply(bus, asker->request, buf_bytes(&out));
    buf_free(&out);
    return true;
}

/* -- joining and starting -------------------------------------------------------------------------------------- */
static bool repeat_join(desk_t *desk)
{
    bytes_t key = buf_bytes(&desk->asker->remember);
    for (flight_t *flight = desk->router->flights; key.len && flight; flight = flight->next)
        for (asker_t *other = flight->askers; other; other = other->next)
            if (bytes_eq(buf_bytes(&other->remember), key)) {
                asker_t *asker = desk->asker;
                asker->is_repeat = true;
                (void)memcpy(asker->session_id, other->session_id, sizeof(asker->session_id));
                flight_join(flight, asker);
                return true;
            }
    return false;
}

/* Only a flight that ends before this asker's own time does. */
static bool shared_join(desk_t *desk)
{
    for (flight_t *flight = desk->router->flights; flight; flight = flight->next)
        if (flight->key.len && bytes_eq(buf_bytes(&flight->key), buf_bytes(&desk->key)) &&
            flight->deadline_us <= desk->input.deadline_us) {
            flight_join(flight, desk->asker);
            return true;
        }
    return false;
}

static bool is_shareable(const question_t *question)
{
    const meaning_t *meaning = question_meaning(question);
    return meaning->intent != INTENT_ORDER && !meaning_needs_history(meaning);
}

static void flight_begin(desk_t *desk)
{
    error_t err = {0};
    flight_t *flight = flight_new(desk->router, &desk->input, &err);
    if (!flight) {
        refuse(desk->router, desk->asker->request, &err);
        asker_free(desk->asker);
        return;
    }
    if (desk->input.kind == QUESTION_CHAT && is_shareable(flight->question)) {
        flight->key = desk->key;
        desk->key = (buf_t){0};
    }
    flight_join(flight, desk->asker);
    question_start(flight->question);
}

static void chat_serve(desk_t *desk)
{
    if (remembered_give(desk)) {
        asker_free(desk->asker);
        return;
    }
    if (repeat_join(desk))
        return;
    input_set(desk, QUESTION_CHAT, desk->chat.has_locale, desk->chat.locale);
    if (desk->chat.has_model_preference)
        desk->input.model_preference = desk->chat.model_preference;
    if (key_make(desk) && kept_give(desk)) {
        asker_free(desk->asker);
        return;
    }
    desk->input.hops = &desk->hop;
    desk->input.hop_count = 1;
    if (!shared_join(desk))
        flight_begin(desk);
}

static bool desk_open(desk_t *desk, void *ctx, bus_request_t *request)
{
    *desk = (desk_t){.router = ctx, .asker = asker_new(request)};
    arena_init(&desk->arena, REQUEST_MEMORY_MAX_BYTES);
    error_t err = {0};
    if (desk->asker)
        return true;
    error_set(&err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    refuse(desk->router, request, &err);
    return false;
}

static void desk_close(desk_t *desk)
{
    arena_free(&desk->arena);
    buf_free(&desk->key);
}

static void desk_refuse(desk_t *desk, const error_t *err)
{
    refuse(desk->router, desk->asker->request, err);
    asker_free(desk->asker);
}

void router_on_chat(void *ctx, bus_request_t *request)
{
    desk_t desk;
    error_t err = {0};
    if (!desk_open(&desk, ctx, request))
        return;
    if (chat_read(&desk, &err))
        chat_serve(&desk);
    else
        desk_refuse(&desk, &err);
    desk_close(&desk);
}

/* -- search.answer and recommend --------------------------------------------------------------------------------- */
void router_on_search(void *ctx, bus_request_t *request)
{
    desk_t desk;
    error_t err = {0};
    search_answer_request_t asked;
    if (!desk_open(&desk, ctx, request))
        return;
    if (search_answer_request_unpack(request->body, &desk.arena, &asked, &err) &&
        (wording_keep(asked.text, &desk.asker->text) && desk.asker->text.len
             ? true
             : error_set(&err, STATUS_INVALID_ARGUMENT, NULL, "request.text: expected more than blanks"))) {
        if (asked.has_session_id)
            (void)bytes_to_cstr(asked.session_id, desk.asker->session_id, sizeof(desk.asker->session_id));
        input_set(&desk, QUESTION_SEARCH, asked.has_locale, asked.locale);
        desk.input.limit = asked.has_limit ? (size_t)asked.limit : SEARCH_DEFAULT;
        flight_begin(&desk);
    } else {
        desk_refuse(&desk, &err);
    }
    desk_close(&desk);
}

static bool recommend_read(desk_t *desk, recommend_request_t *asked, error_t *err)
{
    asker_t *asker = desk->asker;
    if (!recommend_request_unpack(asker->request->body, &desk->arena, asked, err))
        return false;
    if (!asked->has_text && !(asked->has_isbns && asked->isbns.count))
        return error_set(err, STATUS_UNIMPLEMENTED, NULL,
                         "recommend: give text or isbns; by customer, session or sales is not there yet");
    return !asked->has_text || wording_keep(asked->text, &asker->text) ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

void router_on_recommend(void *ctx, bus_request_t *request)
{
    desk_t desk;
    error_t err = {0};
    recommend_request_t asked;
    if (!desk_open(&desk, ctx, request))
        return;
    if (recommend_read(&desk, &asked, &err)) {
        if (asked.has_customer_id)
            (void)bytes_to_cstr(asked.customer_id, desk.asker->user_id, sizeof(desk.asker->user_id));
        input_set(&desk, QUESTION_RECOMMEND, asked.has_locale, asked.locale);
        desk.input.limit = asked.has_limit ? (size_t)asked.limit : RECOMMEND_DEFAULT;
        if (asked.has_isbns)
            desk.input.isbns = asked.isbns;
        flight_begin(&desk);
    } else {
        desk_refuse(&desk, &err);
    }
    desk_close(&desk);
}

/* -- the ledger ---------------------------------------------------------------------------------------------------- */
typedef struct {
    router_t *router;
    bus_delivery_t *delivery;
} booking_t;

static void on_booked(void *ctx, const error_t *err)
{
    booking_t *booking = ctx;
    bus_t *bus = service_bus(booking->router->service);
    if (err) {
        log_warn("a model call could not be booked and comes again", LOG_I("record", booking->delivery->record),
                 LOG_S("error", err->message));
        if (!status_is_transient(err->code) || !parked_put(booking->router->parked, booking->delivery))
            bus_release(bus, booking->delivery, LEDGER_RETRY_MS, "UNAVAILABLE: the database did not take it");
    } else {
        metric_add(booking->router->booked, 1);
        bus_ack(bus, booking->delivery);
    }
    free(booking);
}

static bool inference_read(const bus_delivery_t *delivery, arena_t *arena, inference_completed_t *out, error_t *err)
{
    envelope_t envelope;
    if (!envelope_read(delivery->body, &envelope, err))
        return false;
    if (!bytes_eq_cstr(envelope.detail_type, AI_INFERENCE_COMPLETED))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "detail-type: expected " AI_INFERENCE_COMPLETED);
    return inference_completed_unpack(envelope.detail, arena, out, err);
}

void router_on_ledger(void *ctx, bus_delivery_t *delivery)
{
    router_t *router = ctx;
    arena_t arena;
    inference_completed_t inference;
    error_t err = {0};
    arena_init(&arena, REQUEST_MEMORY_MAX_BYTES);
    booking_t *booking = malloc(sizeof(*booking));
    if (!booking) {
        bus_release(service_bus(router->service), delivery, LEDGER_RETRY_MS, "out of memory");
    } else if (!inference_read(delivery, &arena, &inference, &err)) {
        log_warn("refused a message of the ledger", LOG_I("record", delivery->record), LOG_S("error", err.message));
        bus_reject(service_bus(router->service), delivery, err.message);
        free(booking);
    } else {
        *booking = (booking_t){router, delivery};
        store_book(service_pg(router->service), delivery, &inference, on_booked, booking);
    }
    arena_free(&arena);
}

/* -- stock events ------------------------------------------------------------------------------------------------- */
void router_on_inventory(void *ctx, bus_delivery_t *delivery)
{
    router_t *router = ctx;
    envelope_t envelope;
    bytes_t isbn;
    if (!envelope_read(delivery->body, &envelope, NULL) || !mp_map_str(envelope.detail, "isbn", &isbn))
        return;
    /* What is being worked may rest on the stock of before. */
    for (flight_t *flight = router->flights; flight; flight = flight->next)
        flight->is_tainted |= question_concerns(flight->question, isbn);
    size_t evicted = swr_cache_evict_tag(router->kept, isbn);
    metric_add(router->evicted, (double)evicted);
    if (evicted)
        log_debug("threw out kept answers", LOG_B("isbn", isbn), LOG_I("count", evicted));
}

void router_on_gap(void *ctx, uint64_t from, uint64_t next)
{
    router_t *router = ctx;
    for (flight_t *flight = router->flights; flight; flight = flight->next)
        flight->is_tainted = true;
    log_info("stock events were missed: threw out all kept answers", LOG_I("from", from), LOG_I("next", next));
    swr_cache_clear(router->kept);
}
