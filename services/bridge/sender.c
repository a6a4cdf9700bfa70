/* sender.c: filling, sending and settling PutEvents requests. */
#include "services/bridge/sender.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "proto/attrs.h"
#include "services/bridge/entry.h"

#define UNCONFIGURED_RETRY_MS 60000

/* One request: being filled, or under way. */
typedef struct {
    sender_t *sender;
    bus_delivery_t *deliveries[ENTRY_BATCH_MAX];
    size_t count, size;
    buf_t body;
} batch_t;

struct sender {
    service_t *service;
    aws_t *aws;
    sender_options_t options;
    loop_timer_t *timer;
    batch_t *filling;  /* NULL for none */
    size_t one_by_one; /* so many of the next entries go alone: a request as a whole was refused */
    sender_status_t status;
    metric_t *sent, *looped, *refused, *again;
};

static void failed(sender_t *self, const char *why)
{
    (void)bytes_to_cstr(bytes_cstr(why), self->status.last_error, sizeof self->status.last_error);
    self->status.last_error_us = clock_wall_us();
}

/* -- settling --------------------------------------------------------------------------------------- */
static void settle_ack(sender_t *self, bus_delivery_t *delivery)
{
    bus_ack(service_bus(self->service), delivery);
}

static void settle_again(sender_t *self, bus_delivery_t *delivery, int64_t at_least_ms, const char *why)
{
    unsigned doublings = delivery->receives > 1 ? delivery->receives - 1 : 0;
    int64_t delay_ms = doublings > 16 ? SENDER_RETRY_MAX_MS : (int64_t)SENDER_RETRY_MS << doublings;
    if (delay_ms > SENDER_RETRY_MAX_MS)
        delay_ms = SENDER_RETRY_MAX_MS;
    metric_add(self->again, 1);
    bus_release(service_bus(self->service), delivery, delay_ms > at_least_ms ? delay_ms : at_least_ms, why);
}

static void settle_refused(sender_t *self, bus_delivery_t *delivery, const char *why)
{
    metric_add(self->refused, 1);
    self->status.refused++;
    log_warn("EventBridge does not take an event", LOG_I("record", delivery->record), LOG_S("error", why));
    bus_reject(service_bus(self->service), delivery, why);
}

static void batch_free(batch_t *batch)
{
    batch->sender->status.in_flight -= batch->count;
    buf_free(&batch->body);
    free(batch);
}

static void batch_answered(batch_t *batch, const entry_answer_t *answers)
{
    sender_t *self = batch->sender;
    self->status.is_failing = false;
    self->status.last_success_us = clock_wall_us();
    for (size_t i = 0; i < batch->count; i++) {
        char why[400];
        (void)snprintf(why, sizeof why, "EventBridge: %s: %s", answers[i].code, answers[i].message);
        if (answers[i].outcome == ENTRY_ACCEPTED) {
            metric_add(self->sent, 1);
            self->status.sent++;
            settle_ack(self, batch->deliveries[i]);
        } else {
            failed(self, why);
            if (answers[i].outcome == ENTRY_AGAIN)
                settle_again(self, batch->deliveries[i], 0, why);
            else
                settle_refused(self, batch->deliveries[i], why);
        }
    }
}

/* The request as a whole failed. What is not worth trying again may be one entry's fault: the others must not
 * suffer for it, so they go alone next time. */
static void batch_failed(batch_t *batch, const error_t *err)
{
    sender_t *self = batch->sender;
    self->status.is_failing = true;
    failed(self, err->message);
    bool is_entry_fault = err->code == STATUS_INVALID_ARGUMENT;
    log_warn("a request to EventBridge failed", LOG_S("error", err->message), LOG_S("status", err->aws),
             LOG_I("count", batch->count));
    if (is_entry_fault && batch->count > 1)
        self->one_by_one += batch->count;
    for (size_t i = 0; i < batch->count; i++) {
        if (is_entry_fault && batch->count == 1)
            settle_refused(self, batch->deliveries[i], err->message);
        else
            settle_again(self, batch->deliveries[i], err->retry_after_ms, err->message);
    }
}

static void on_answer(void *ctx, const http_result_t *result)
{
    batch_t *batch = ctx;
    entry_answer_t answers[ENTRY_BATCH_MAX];
    error_t err = {0};
    if (result->status != STATUS_OK || result->http_status != 200) {
        aws_error(result, result->body, &err);
        batch_failed(batch, &err);
    } else if (entry_answers_read(result->body, batch->count, answers, &err)) {
        batch_answered(batch, answers);
    } else {
        batch_failed(batch, &err);
    }
    batch_free(batch);
}

/* -- sending ---------------------------------------------------------------------------------------- */
static void batch_send(sender_t *self)
{
    batch_t *batch = self->filling;
    self->filling = NULL;
    loop_timer_off(self->timer);
    buf_append_cstr(&batch->body, "]}");
    static const http_header_t headers[] = {{"Content-Type", "application/x-amz-json-1.1"},
                                            {"X-Amz-Target", "AWSEvents.PutEvents"}};
    aws_call_t call = {.method = "POST",
                       .endpoint = self->status.endpoint,
                       .path = "/",
                       .service = "events",
                       .headers = headers,
                       .header_count = ARRAY_LEN(headers),
                       .body = buf_bytes(&batch->body),
                       .timeout_ms = SENDER_TIMEOUT_MS,
                       .on_done = on_answer,
                       .ctx = batch};
    error_t err = {0};
    if (!aws_start(self->aws, &call, &err)) {
        err.code = STATUS_UNAVAILABLE;
        batch_failed(batch, &err);
        batch_free(batch);
    }
}

static void on_linger(void *ctx)
{
    sender_t *self = ctx;
    if (self->filling)
        batch_send(self);
}

static batch_t *batch_begin(sender_t *self)
{
    batch_t *batch = calloc(1, sizeof *batch);
    if (!batch)
        abort();
    batch->sender = self;
    buf_append_cstr(&batch->body, "{\"Entries\":[");
    self->filling = batch;
    loop_timer_in(self->timer, SENDER_LINGER_MS);
    return batch;
}

static void batch_add(sender_t *self, bus_delivery_t *delivery, bytes_t entry, size_t size)
{
    if (self->filling && (self->filling->size + size > ENTRY_REQUEST_MAX_BYTES || self->one_by_one > 0))
        batch_send(self);
    batch_t *batch = self->filling ? self->filling : batch_begin(self);
    if (batch->count)
        buf_append_byte(&batch->body, ',');
    buf_append_bytes(&batch->body, entry);
    batch->deliveries[batch->count++] = delivery;
    batch->size += size;
    self->status.in_flight++;
    if (self->one_by_one > 0)
        self->one_by_one--;
    else if (batch->count < ENTRY_BATCH_MAX)
        return;
    batch_send(self);
}

/* True when the delivery is settled already: not for AWS. */
static bool is_passed_over(sender_t *self, bus_delivery_t *delivery)
{
    bytes_t replay;
    bool is_replay = attrs_str(delivery->attrs, ATTR_REPLAY_NAME, &replay) && !self->options.replays;
    if (!is_replay && !entry_is_foreign(delivery->body, delivery->attrs))
        return false;
    metric_add(self->looped, 1);
    self->status.looped++;
    settle_ack(self, delivery);
    return true;
}

void sender_take(sender_t *self, bus_delivery_t *delivery)
{
    if (is_passed_over(self, delivery))
        return;
    if (!self->aws) {
        settle_again(self, delivery, UNCONFIGURED_RETRY_MS, "the bridge has no AWS credentials");
        return;
    }
    entry_t entry = {.envelope = delivery->body,
                     .bus = *self->options.bus ? bytes_cstr(self->options.bus) : delivery->source};
    if (!attrs_str(delivery->attrs, ATTR_TRACEPARENT, &entry.trace_id))
        entry.trace_id = BYTES_NONE;
    buf_t json = {0};
    size_t size;
    error_t err = {0};
    if (entry_write(&json, &entry, &size, &err) && !json.failed)
        batch_add(self, delivery, buf_bytes(&json), size);
    else
        settle_refused(self, delivery, err.message);
    buf_free(&json);
}

void sender_status(const sender_t *self, sender_status_t *out)
{
    *out = self->status;
}

sender_t *sender_new(service_t *service, aws_t *aws, const sender_options_t *options, error_t *err)
{
    sender_t *self = calloc(1, sizeof *self);
    if (self)
        self->timer = loop_timer_new(service_loop(service), on_linger, self);
    if (!self || !self->timer) {
        free(self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    self->service = service;
    self->aws = aws;
    self->options = *options;
    self->status.is_configured = aws != NULL;
    buf_t endpoint = {0};
    if (aws)
        aws_endpoint("EVENTBRIDGE", "events", aws_region(aws), &endpoint);
    (void)bytes_to_cstr(buf_bytes(&endpoint), self->status.endpoint, sizeof self->status.endpoint);
    buf_free(&endpoint);
    metrics_t *metrics = service_metrics(service);
    static const char help[] = "events on their way to EventBridge, by what became of them";
    self->sent = metrics_counter(metrics, "mangabus_bridge_events_total", "outcome=\"sent\"", help);
    self->looped = metrics_counter(metrics, "mangabus_bridge_events_total", "outcome=\"passed_over\"", help);
    self->refused = metrics_counter(metrics, "mangabus_bridge_events_total", "outcome=\"refused\"", help);
    self->again = metrics_counter(metrics, "mangabus_bridge_events_total", "outcome=\"again\"", help);
    return self;
}

void sender_free(sender_t **sender)
{
    sender_t *self = *sender;
    if (!self)
        return;
    if (self->filling)
        batch_free(self->filling);
    loop_timer_end(&self->timer);
    free(self);
    *sender = NULL;
}
