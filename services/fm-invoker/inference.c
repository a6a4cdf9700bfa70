/* inference.c: from the choice of a model to the account of what it took. */
#include "services/fm-invoker/inference.h"

#include <stdlib.h>

#include "kit/clock.h"
#include "services/fm-invoker/report.h"

#define TOKENS_LEAST 16
#define BYTES_PER_TOKEN 2 /* Latin text has four, Japanese three bytes to a token at most: never too few tokens */
#define START_MS 400      /* of a call's time goes by before a model writes */
#define US_PER_MS 1000

struct inference {
    app_t *app;
    inference_ask_t ask;
    model_t *model;
    const model_t *fallback_from;
    provider_call_t *call;
    breaker_permit_t permit;
    char id[APP_ID_BYTES];
    buf_t text;
    int64_t start_us, attempt_us, first_us; /* monotonic; first_us 0: no text yet */
    int64_t max_tokens, reserved, cost;
    hop_t hops[INFERENCE_HOPS_MAX];
    uint32_t hop_count;
    bool is_cancelled, is_too_long;
};

int64_t inference_tokens_estimate(size_t text_bytes)
{
    return (int64_t)(text_bytes / BYTES_PER_TOKEN) + 1;
}

int64_t inference_tokens_cap(int64_t wanted, int64_t left_ms, double tokens_per_s)
{
    if (tokens_per_s <= 0)
        return wanted;
    double fits = (double)(left_ms - START_MS) * tokens_per_s / 1000;
    int64_t cap = fits < TOKENS_LEAST ? TOKENS_LEAST : fits > (double)wanted ? wanted : (int64_t)fits;
    return cap < wanted ? cap : wanted;
}

static int64_t left_ms(const inference_t *self)
{
    int64_t left = (self->ask.deadline_us - clock_mono_us()) / US_PER_MS;
    return left < self->app->settings->timeout_ms ? left : self->app->settings->timeout_ms;
}

static int64_t input_estimate(const inference_ask_t *ask)
{
    size_t bytes = ask->system.len;
    for (uint32_t i = 0; i < ask->message_count; i++)
        bytes += ask->messages[i].content.len;
    return inference_tokens_estimate(bytes);
}

static void inference_free(inference_t *self)
{
    self->app->in_flight--;
    report_settle(self->app, self->reserved, self->cost);
    buf_free(&self->text);
    free(self);
}

/* -- accounting ---------------------------------------------------------------------------------- */
static const char *stop_name(stop_t stop)
{
    static const char *const names[] = {"end_turn", "max_tokens", "stop_sequence", "other"};
    return names[stop];
}

/* What was used: as the provider counted, else by estimate once text has come. */
static void tokens_take(const inference_t *self, chat_progress_t *progress)
{
    bool began = self->first_us != 0 || progress->input_tokens >= 0;
    if (progress->input_tokens < 0)
        progress->input_tokens = began ? input_estimate(&self->ask) : 0;
    int64_t written = self->text.len ? inference_tokens_estimate(self->text.len) : 0;
    if (progress->output_tokens < 0 || (!progress->ended && progress->output_tokens < written))
        progress->output_tokens = written;
}

static void hop_add(inference_t *self, const char *service, const char *operation, int64_t start_us, int64_t depth,
                    const char *detail)
{
    if (self->hop_count == INFERENCE_HOPS_MAX)
        return;
    hop_t *hop = &self->hops[self->hop_count++];
    *hop = (hop_t){
        .service = bytes_cstr(service), .operation = bytes_cstr(operation), .duration_us = clock_mono_us() - start_us};
    SCHEMA_SET(hop, depth, depth);
    SCHEMA_SET(hop, start_us, start_us - self->start_us);
    SCHEMA_SET(hop, detail, bytes_cstr(detail));
}

static int64_t first_token_us(const inference_t *self)
{
    return self->first_us ? self->first_us - self->start_us : -1;
}

/* One model has been asked and has ended. */
static void attempt_account(inference_t *self, const chat_progress_t *used, const error_t *err)
{
    app_t *app = self->app;
    int64_t now_us = clock_mono_us(), cost = price_cost(&self->model->price, used->input_tokens, used->output_tokens);
    uint32_t draw;
    clock_random(&draw, sizeof draw);
    breaker_report(&self->model->breaker, &self->permit, model_outcome(err, now_us - self->attempt_us), now_us,
                   (double)draw / 4294967296.0);
    self->cost += cost;
    const report_t report = {.inference_id = self->id,
                             .session_id = self->ask.session_id,
                             .purpose = self->ask.purpose,
                             .model = self->model,
                             .fallback_from = self->fallback_from ? self->fallback_from->id : NULL,
                             .err = err,
                             .text = buf_bytes(&self->text),
                             .input_tokens = used->input_tokens,
                             .output_tokens = used->output_tokens,
                             .cost_usd_micros = cost,
                             .latency_us = now_us - self->attempt_us,
                             .first_token_us = self->first_us ? self->first_us - self->attempt_us : -1,
                             .trace = self->ask.trace};
    report_call(app, &report);
}

static void finish(inference_t *self, const chat_progress_t *used, const error_t *err)
{
    hop_t first = {.service = BYTES_LIT("fm-invoker"),
                   .operation = bytes_cstr(self->ask.operation),
                   .duration_us = clock_mono_us() - self->start_us};
    SCHEMA_SET(&first, depth, 0);
    SCHEMA_SET(&first, start_us, 0);
    hop_t hops[INFERENCE_HOPS_MAX + 1] = {first};
    memcpy(hops + 1, self->hops, self->hop_count * sizeof *hops);
    const inference_result_t result = {.err = err,
                                       .inference_id = self->id,
                                       .text = buf_bytes(&self->text),
                                       .model_id = self->model->id,
                                       .fallback_from = self->fallback_from ? self->fallback_from->id : NULL,
                                       .stop_reason = stop_name(used->stop),
                                       .input_tokens = used->input_tokens,
                                       .output_tokens = used->output_tokens,
                                       .cost_usd_micros = self->cost,
                                       .latency_us = clock_mono_us() - self->start_us,
                                       .first_token_us = first_token_us(self),
                                       .hops = hops,
                                       .hop_count = self->hop_count + 1};
    self->ask.on_done(self->ask.ctx, &result);
    inference_free(self);
}

/* -- asking -------------------------------------------------------------------------------------- */
static void on_text(void *ctx, bytes_t text)
{
    inference_t *self = ctx;
    if (self->is_cancelled || self->is_too_long)
        return;
    if (self->first_us == 0)
        self->first_us = clock_mono_us();
    if (self->text.len + text.len > INFERENCE_TEXT_MAX_BYTES) {
        self->is_too_long = true;
        provider_cancel(self->call);
        return;
    }
    buf_append_bytes(&self->text, text);
    if (self->ask.on_text)
        self->ask.on_text(self->ask.ctx, text);
}

static bool attempt(inference_t *self, error_t *err);

/* Another model may answer while nobody has read a word of the first. */
static bool fall_back(inference_t *self, const error_t *why)
{
    model_t *other = self->fallback_from ? NULL : models_other(&self->app->models, self->model);
    error_t err;
    if (!other || self->first_us || self->is_cancelled || !status_is_transient(why->code) ||
        left_ms(self) < INFERENCE_LEAST_LEFT_MS)
        return false;
    model_t *first = self->model;
    self->fallback_from = first;
    self->model = other;
    if (attempt(self, &err)) {
        log_info("another model is asked", LOG_S("model", other->id), LOG_S("instead", first->id),
                 LOG_S("error", why->message));
        return true;
    }
    self->model = first; /* the error that counts is the first one's */
    self->fallback_from = NULL;
    return false;
}

static void on_done(void *ctx, const provider_chat_end_t *end)
{
    inference_t *self = ctx;
    chat_progress_t used = end->progress;
    error_t own;
    const error_t *err = end->err;
    if (self->is_too_long) {
        (void)error_set(&own, STATUS_DATA_LOSS, NULL, "the model wrote more than %d bytes", INFERENCE_TEXT_MAX_BYTES);
        err = &own;
    } else if (self->text.failed) {
        (void)error_set(&own, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory for the answer");
        err = &own;
    }
    tokens_take(self, &used);
    hop_add(self, provider_name(self->app->provider), provider_chat_operation(self->app->provider), self->attempt_us, 1,
            self->model->id);
    attempt_account(self, &used, err);
    if (!err || !fall_back(self, err))
        finish(self, &used, err);
}

/* Asks self->model. False when it could not even be asked. */
static bool attempt(inference_t *self, error_t *err)
{
    app_t *app = self->app;
    breaker_permit_t permit;
    int64_t now_us = clock_mono_us(), left = left_ms(self);
    if (left < INFERENCE_LEAST_LEFT_MS)
        return error_set(err, STATUS_DEADLINE_EXCEEDED, NULL, "%d ms are needed to ask a model",
                         INFERENCE_LEAST_LEFT_MS);
    if (!model_admit(self->model, now_us, &permit, err))
        return false;
    const provider_chat_t chat = {.model_id = self->model->id,
                                  .system = self->ask.system,
                                  .messages = self->ask.messages,
                                  .message_count = self->ask.message_count,
                                  .max_tokens =
                                      inference_tokens_cap(self->max_tokens, left, app->settings->tokens_per_s),
                                  .has_temperature = self->ask.has_temperature,
                                  .temperature = self->ask.temperature,
                                  .stops = self->ask.stops,
                                  .timeout_ms = left,
                                  .on_text = on_text,
                                  .on_done = on_done,
                                  .ctx = self};
    provider_call_t *call = provider_chat(app->provider, &chat, err);
    if (!call) {
        breaker_report(&self->model->breaker, &permit, BREAKER_IGNORED, now_us, 0);
        return false;
    }
    app_id(self->id);
    self->call = call;
    self->permit = permit;
    self->attempt_us = now_us;
    return true;
}

/* What the dearest of the models that may be asked could cost. */
static int64_t cost_at_most(inference_t *self)
{
    int64_t input = input_estimate(&self->ask);
    int64_t cost = price_cost(&self->model->price, input, self->max_tokens);
    const model_t *other = models_other(&self->app->models, self->model);
    int64_t other_cost = other ? price_cost(&other->price, input, self->max_tokens) : 0;
    return cost > other_cost ? cost : other_cost;
}

static bool start(inference_t *self, error_t *err)
{
    app_t *app = self->app;
    self->model = models_find(&app->models, self->ask.model, err);
    if (!self->model)
        return false;
    int64_t reserved = cost_at_most(self);
    if (!budget_reserve(&app->budget, reserved, clock_wall_us(), err))
        return false;
    self->reserved = reserved;
    return attempt(self, err) || fall_back(self, err);
}

inference_t *inference_start(app_t *app, const inference_ask_t *ask, error_t *err)
{
    if (!app_admit(app, err))
        return NULL;
    inference_t *self = calloc(1, sizeof *self);
    if (!self) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    self->app = app;
    self->ask = *ask;
    self->max_tokens = ask->max_tokens;
    self->start_us = clock_mono_us();
    app->in_flight++;
    error_t why = {0};
    if (start(self, &why))
        return self;
    if (err)
        *err = why;
    inference_free(self);
    return NULL;
}

void inference_cancel(inference_t *self)
{
    self->is_cancelled = true;
    provider_cancel(self->call);
}
