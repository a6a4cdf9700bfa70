/* router_record.c: what stays of an answer: an event, rows behind it, and numbers. */
#include "kit/clock.h"
#include "kit/log.h"
#include "proto/timefmt.h"
#include "services/chat-router/router_internal.h"

static void isbns_set(message_received_t *event, const chat_send_response_t *response, bytes_t isbns[50])
{
    uint32_t count = response->has_citations ? response->citations.count : 0;
    if (count == 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        isbns[i] = response->citations.items[i].isbn;
    SCHEMA_SET(event, isbns, ((bytes_list_t){.items = isbns, .count = count}));
}

static void event_publish(router_t *router, const asker_t *asker, const chat_send_response_t *response)
{
    char now[TIMEFMT_MS_BYTES];
    bytes_t isbns[50];
    timefmt_ms(clock_wall_us(), now);
    message_received_t detail = {.session_id = response->session_id,
                                 .message_id = response->message_id,
                                 .text = buf_bytes(&asker->text),
                                 .timestamp = bytes_cstr(now)};
    if (asker->user_id[0])
        SCHEMA_SET(&detail, user_id, bytes_cstr(asker->user_id));
    SCHEMA_SET(&detail, locale, response->language);
    SCHEMA_SET(&detail, intent, response->intent);
    SCHEMA_SET(&detail, channel, BYTES_LIT("chat"));
    isbns_set(&detail, response, isbns);
    buf_t packed = {0};
    error_t err = {0};
    bus_event_t event = {.bus = AI_BUS,
                         .source = AI_CHAT_SOURCE,
                         .detail_type = AI_MESSAGE_RECEIVED,
                         .dedup = response->message_id,
                         .trace = &asker->request->trace};
    bool ok = message_received_pack(&packed, &detail, &err);
    event.detail = buf_bytes(&packed);
    if (!ok || !bus_publish(service_bus(router->service), &event, NULL, NULL, &err))
        log_warn("MessageReceived could not be published", LOG_S("error", err.message));
    buf_free(&packed);
}

static void degraded_join(const chat_send_response_t *response, buf_t *out)
{
    for (uint32_t i = 0; response->has_degraded && i < response->degraded.count; i++) {
        if (i)
            buf_append_byte(out, ',');
        buf_append_bytes(out, response->degraded.items[i]);
    }
}

/* The one book that a question about stock or price was about: what "it" means in the next. */
static void book_set(store_message_t *message, const chat_send_response_t *response)
{
    bool is_about_book = bytes_eq_cstr(response->intent, intent_name(INTENT_INVENTORY)) ||
                         bytes_eq_cstr(response->intent, intent_name(INTENT_PRICE));
    if (!is_about_book || !response->has_citations || response->citations.count == 0)
        return;
    const citation_t *cited = &response->citations.items[0];
    message->title = cited->title;
    message->isbn = cited->isbn;
    message->has_volume = cited->has_volume;
    message->volume = cited->volume;
}

static void row_write(router_t *router, const asker_t *asker, const chat_send_response_t *response)
{
    buf_t degraded = {0};
    degraded_join(response, &degraded);
    store_message_t message = {.session_id = response->session_id,
                               .message_id = response->message_id,
                               .user_id = bytes_cstr(asker->user_id),
                               .text = buf_bytes(&asker->text),
                               .answer = response->answer,
                               .language = response->language,
                               .intent = response->intent,
                               .degraded = buf_bytes(&degraded),
                               .cached = response->cached,
                               .latency_ms = response->latency_ms};
    if (response->has_model_id)
        message.model_id = response->model_id;
    if (response->has_usage) {
        message.input_tokens = response->usage.input_tokens;
        message.output_tokens = response->usage.output_tokens;
    }
    if (response->has_cost_usd_micros)
        message.cost_usd_micros = response->cost_usd_micros;
    book_set(&message, response);
    if (service_pg(router->service)) /* else the process ends */
        store_write_message(service_pg(router->service), &message, router->write_failures);
    buf_free(&degraded);
}

void record_message(router_t *router, const asker_t *asker, const chat_send_response_t *response)
{
    event_publish(router, asker, response);
    row_write(router, asker, response);
}

void record_count(router_t *router, bytes_t intent, bool is_cached, bool is_degraded, int64_t latency_us)
{
    buf_t labels = {0};
    metrics_label(&labels, "intent", intent);
    buf_printf(&labels, ",cached=\"%s\",degraded=\"%s\"", is_cached ? "true" : "false", is_degraded ? "true" : "false");
    metric_t *answers = metrics_counter(service_metrics(router->service), "mangabus_chat_answers_total",
                                        buf_cstr(&labels), "answers given, by what was asked and how they came");
    metric_add(answers, 1);
    metric_observe(router->seconds, (double)latency_us / 1e6);
    buf_free(&labels);
}
