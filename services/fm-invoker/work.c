/* work.c: prompts out of the queues: claimed, asked, kept, acknowledged.
 *
 * The job's row is a committed lease around the model call, so a message that comes twice asks once. What may
 * succeed later goes back with a delay; what never can is rejected with the reason. */
#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "services/fm-invoker/jobs.h"

#define WORK_TOKENS_DEFAULT 1024
#define RETRY_LATER_MS 5000
#define LEASED_LATER_MS 30000
#define PARK_MAX_MS 60000 /* whoever wants a longer pause is given back meanwhile */
#define QUEUE_NAME_BYTES 81

typedef struct {
    app_t *app;
    bus_delivery_t *delivery;
    arena_t arena;
    fm_work_message_t message;
    fm_message_t question;
    inference_t *inference;
    error_t err;
    int64_t retry_ms;
    bool was_asked; /* a model was */
} work_t;

static void work_free(work_t *self)
{
    arena_free(&self->arena);
    free(self);
}

static void release(work_t *self, int64_t delay_ms, const char *why)
{
    bus_release(self->app->bus, self->delivery, delay_ms, why);
    work_free(self);
}

/* What it needs is away; that is not to count as a receive. */
static void park(work_t *self, const char *why)
{
    if (!parked_put(self->app->parked, self->delivery))
        bus_release(self->app->bus, self->delivery, RETRY_LATER_MS, why);
    work_free(self);
}

static void reject(work_t *self, const char *why)
{
    log_warn("message rejected", LOG_B("queue", self->delivery->source), LOG_I("record", self->delivery->record),
             LOG_S("error", why));
    bus_reject(self->app->bus, self->delivery, why);
    work_free(self);
}

/* -- after the model ----------------------------------------------------------------------------- */
static void on_completed(void *ctx, const error_t *err)
{
    work_t *self = ctx;
    if (err) { /* the lease runs out by itself */
        release(self, jobs_lease_ms(self->app), err->message);
        return;
    }
    bus_ack(self->app->bus, self->delivery);
    work_free(self);
}

static void on_failed(void *ctx, const error_t *err)
{
    work_t *self = ctx;
    if (err)
        log_warn("a job's failure was not kept", LOG_S("error", err->message));
    reject(self, self->err.message);
}

static void on_requeued(void *ctx, const error_t *err)
{
    work_t *self = ctx;
    bool is_away = !self->was_asked && self->retry_ms <= PARK_MAX_MS && self->err.code != STATUS_CANCELLED;
    if (!err && is_away)
        park(self, self->err.message);
    else
        release(self, err ? jobs_lease_ms(self->app) : self->retry_ms, self->err.message);
}

/* The model could not be asked, or did not answer. */
static void failed(work_t *self, const error_t *err)
{
    self->err = *err;
    self->retry_ms = err->retry_after_ms > 0 ? err->retry_after_ms : RETRY_LATER_MS;
    if (status_is_transient(err->code) || err->code == STATUS_CANCELLED || err->code == STATUS_DATA_LOSS)
        jobs_requeue(self->app, self->message.request_id, on_requeued, self);
    else
        jobs_fail(self->app, self->message.request_id, self->err.message, on_failed, self);
}

static void on_answer(void *ctx, const inference_result_t *result)
{
    work_t *self = ctx;
    self->inference = NULL;
    self->was_asked = true;
    if (result->err)
        failed(self, result->err);
    else
        jobs_complete(self->app, self->message.request_id, result, on_completed, self);
}

/* -- before it ----------------------------------------------------------------------------------- */
static void ask(work_t *self)
{
    const fm_work_message_t *message = &self->message;
    error_t err = {0};
    self->question = (fm_message_t){.role = BYTES_LIT("user"), .content = message->prompt};
    const inference_ask_t what = {.operation = "fm.job",
                                  .model = message->has_model_id ? message->model_id : BYTES_NONE,
                                  .system = message->has_system ? message->system : BYTES_NONE,
                                  .purpose = BYTES_LIT("job"),
                                  .messages = &self->question,
                                  .message_count = 1,
                                  .max_tokens = message->has_max_tokens ? message->max_tokens : WORK_TOKENS_DEFAULT,
                                  .deadline_us = clock_mono_us() + self->app->settings->timeout_ms * 1000,
                                  .trace = &self->delivery->trace,
                                  .on_done = on_answer,
                                  .ctx = self};
    self->inference = inference_start(self->app, &what, &err);
    if (!self->inference)
        failed(self, &err);
}

static void on_claimed(void *ctx, claim_t claim, const error_t *err)
{
    work_t *self = ctx;
    if (claim == CLAIM_TAKEN) {
        ask(self);
    } else if (claim == CLAIM_OVER) {
        bus_ack(self->app->bus, self->delivery);
        work_free(self);
    } else if (err && err->code == STATUS_INVALID_ARGUMENT) { /* an id that no table takes */
        reject(self, err->message);
    } else if (err && status_is_transient(err->code)) {
        park(self, err->message);
    } else {
        release(self, claim == CLAIM_LEASED ? LEASED_LATER_MS : RETRY_LATER_MS,
                err ? err->message : "another worker is at it");
    }
}

static void on_delivery(void *ctx, bus_delivery_t *delivery)
{
    app_t *app = ctx;
    work_t *self = calloc(1, sizeof *self);
    if (!self) {
        bus_release(app->bus, delivery, RETRY_LATER_MS, "out of memory");
        return;
    }
    *self = (work_t){.app = app, .delivery = delivery};
    arena_init(&self->arena, 0);
    if (fm_work_message_unpack(delivery->body, &self->arena, &self->message, &self->err))
        jobs_claim(app, self->message.request_id, on_claimed, self);
    else
        reject(self, self->err.message);
}

static bool consume(app_t *app, const char *queue, error_t *err)
{
    const schema_message_t *message = schema_find_message(bytes_cstr(queue));
    if (!message || message->body != &fm_work_message_schema)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "MANGABUS_FM_QUEUES: %s is none of the queues manga-fm-* with prompts", queue);
    return bus_consume(app->bus,
                       &(bus_consume_t){.queue = message->queue,
                                        .messages = (uint64_t)app->settings->queue_messages,
                                        .visibility_ms = -1,
                                        .fn = on_delivery,
                                        .ctx = app},
                       err);
}

bool work_start(app_t *app, error_t *err)
{
    const char *text = app->settings->queues;
    app->parked = parked_new(app->loop, RETRY_LATER_MS, on_delivery, app, err);
    if (!app->parked)
        return false;
    for (size_t len; *(text += strspn(text, " ,")); text += len) {
        char queue[QUEUE_NAME_BYTES];
        len = strcspn(text, " ,");
        (void)bytes_to_cstr(bytes_from(text, len), queue, sizeof queue); /* a cut name is no known one either */
        if (!consume(app, queue, err))
            return false;
    }
    return true;
}
