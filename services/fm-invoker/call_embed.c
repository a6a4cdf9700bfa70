/* call_embed.c: fm.embed: vectors for up to 96 texts, several requests to the provider at once. */
#include <stdlib.h>

#include "kit/clock.h"
#include "services/fm-invoker/inference.h"
#include "services/fm-invoker/report.h"

#define PARALLEL_MAX 8 /* requests to the provider for one call */

typedef struct embedding embedding_t;

/* One request to the provider: a stretch of the texts. */
typedef struct {
    embedding_t *owner;
    provider_call_t *call;
    breaker_permit_t permit;
    int64_t start_us;
    uint32_t first, count;
} slot_t;

struct embedding {
    app_t *app;
    bus_request_t *request;
    arena_t arena;
    fm_embed_request_t ask;
    model_t *model;
    char id[APP_ID_BYTES];
    slot_t slots[PARALLEL_MAX];
    uint32_t running, next_text;
    bytes_t *vectors; /* one for each text, in the arena */
    int64_t dimension, tokens, reserved, start_us;
    bool has_failed;
    error_t err;
};

/* -- ending -------------------------------------------------------------------------------------- */
static void embedding_free(embedding_t *self)
{
    arena_free(&self->arena);
    free(self);
}

static bool reply_pack(embedding_t *self, int64_t cost, buf_t *body, error_t *err)
{
    int64_t duration_us = clock_mono_us() - self->start_us;
    hop_t hops[2] = {{.service = BYTES_LIT("fm-invoker"), .operation = BYTES_LIT(CALL_FM_EMBED)},
                     {.service = bytes_cstr(provider_name(self->app->provider)),
                      .operation = bytes_cstr(provider_embed_operation(self->app->provider))}};
    for (int64_t i = 0; i < 2; i++) {
        hops[i].duration_us = duration_us;
        SCHEMA_SET(&hops[i], depth, i);
        SCHEMA_SET(&hops[i], start_us, 0);
    }
    SCHEMA_SET(&hops[1], detail, bytes_cstr(self->model->id));
    fm_embed_response_t response = {.vectors = {self->vectors, self->ask.texts.count},
                                    .dimension = self->dimension,
                                    .model_id = bytes_cstr(self->model->id),
                                    .latency_ms = duration_us / 1000};
    SCHEMA_SET(&response, input_tokens, self->tokens);
    SCHEMA_SET(&response, cost_usd_micros, cost);
    SCHEMA_SET(&response, hops, ((hop_list_t){hops, ARRAY_LEN(hops)}));
    return fm_embed_response_pack(body, &response, err);
}

static void account(embedding_t *self, int64_t cost)
{
    report_call(self->app, &(report_t){.inference_id = self->id,
                                       .purpose = self->ask.has_purpose ? self->ask.purpose : BYTES_LIT("embed"),
                                       .model = self->model,
                                       .err = self->has_failed ? &self->err : NULL,
                                       .input_tokens = self->tokens,
                                       .cost_usd_micros = cost,
                                       .latency_us = clock_mono_us() - self->start_us,
                                       .first_token_us = -1,
                                       .trace = &self->request->trace});
}

static void finish(embedding_t *self)
{
    int64_t cost = price_cost(&self->model->price, self->tokens, 0);
    buf_t body = {0};
    report_settle(self->app, self->reserved, cost);
    if (!self->has_failed && !reply_pack(self, cost, &body, &self->err))
        self->has_failed = true;
    if (self->next_text > 0) /* something went to the model */
        account(self, cost);
    if (self->has_failed)
        bus_fail(self->app->bus, self->request, &self->err);
    else
        bus_reply(self->app->bus, self->request, buf_bytes(&body));
    buf_free(&body);
    self->app->in_flight--;
    embedding_free(self);
}

/* The first error counts; what still runs is called off. */
static void fail(embedding_t *self, const error_t *err)
{
    if (self->has_failed)
        return;
    self->has_failed = true;
    self->err = *err;
    for (size_t i = 0; i < PARALLEL_MAX; i++)
        if (self->slots[i].call)
            provider_cancel(self->slots[i].call);
}

/* -- running ------------------------------------------------------------------------------------- */
static void slot_start(embedding_t *self, slot_t *slot);

static bool vectors_keep(embedding_t *self, const slot_t *slot, const provider_embed_end_t *end, error_t *err)
{
    if (self->dimension && self->dimension != end->dimension)
        return error_set(err, STATUS_DATA_LOSS, NULL, "the model gives vectors of %lld and of %lld elements",
                         (long long)self->dimension, (long long)end->dimension);
    size_t each = (size_t)end->dimension * sizeof(float);
    uint8_t *copy = arena_alloc(&self->arena, end->vectors.len);
    if (!copy || end->vectors.len != each * slot->count)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "the vectors do not fit");
    memcpy(copy, end->vectors.data, end->vectors.len);
    for (uint32_t i = 0; i < slot->count; i++)
        self->vectors[slot->first + i] = bytes_from(copy + i * each, each);
    self->dimension = end->dimension;
    return true;
}

static void on_done(void *ctx, const provider_embed_end_t *end)
{
    slot_t *slot = ctx;
    embedding_t *self = slot->owner;
    error_t err;
    uint32_t draw;
    int64_t now_us = clock_mono_us();
    clock_random(&draw, sizeof draw);
    breaker_report(&self->model->breaker, &slot->permit, model_outcome(end->err, now_us - slot->start_us), now_us,
                   (double)draw / 4294967296.0);
    slot->call = NULL;
    self->running--;
    self->tokens += end->input_tokens;
    if (end->err)
        fail(self, end->err);
    else if (!self->has_failed && !vectors_keep(self, slot, end, &err))
        fail(self, &err);
    if (!self->has_failed && self->next_text < self->ask.texts.count)
        slot_start(self, slot);
    if (self->running == 0)
        finish(self);
}

static provider_call_t *slot_ask(embedding_t *self, slot_t *slot, error_t *err)
{
    app_t *app = self->app;
    int64_t left = bus_request_left_ms(self->request);
    left = left < app->settings->timeout_ms ? left : app->settings->timeout_ms;
    uint32_t waiting = self->ask.texts.count - self->next_text, batch = provider_embed_batch(app->provider);
    slot->first = self->next_text;
    slot->count = waiting < batch ? waiting : batch;
    slot->start_us = clock_mono_us();
    if (!model_admit(self->model, slot->start_us, &slot->permit, err))
        return NULL;
    provider_call_t *call =
        provider_embed(app->provider,
                       &(provider_embed_t){.model_id = self->model->id,
                                           .texts = self->ask.texts.items + slot->first,
                                           .count = slot->count,
                                           .dimension = self->ask.has_dimension ? self->ask.dimension : 0,
                                           .normalize = !self->ask.has_normalize || self->ask.normalize,
                                           .timeout_ms = left,
                                           .on_done = on_done,
                                           .ctx = slot},
                       err);
    if (!call)
        breaker_report(&self->model->breaker, &slot->permit, BREAKER_IGNORED, slot->start_us, 0);
    return call;
}

static void slot_start(embedding_t *self, slot_t *slot)
{
    error_t err = {0};
    slot->call = slot_ask(self, slot, &err);
    if (!slot->call) {
        fail(self, &err);
        return;
    }
    self->next_text += slot->count;
    self->running++;
}

/* -- beginning ----------------------------------------------------------------------------------- */
static void on_cancel(void *ctx, bus_request_t *request UNUSED)
{
    error_t err = {0};
    (void)error_set(&err, STATUS_CANCELLED, NULL, "the caller no longer waits");
    fail(ctx, &err);
}

static bool prepare(embedding_t *self, error_t *err)
{
    app_t *app = self->app;
    if (!fm_embed_request_unpack(self->request->body, &self->arena, &self->ask, err) || !app_admit(app, err))
        return false;
    self->model = models_find(&app->models, self->ask.has_model ? self->ask.model : BYTES_LIT("embed"), err);
    self->vectors = arena_array(&self->arena, self->ask.texts.count, sizeof *self->vectors);
    if (!self->model)
        return false;
    if (!self->vectors)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    size_t bytes = 0;
    for (uint32_t i = 0; i < self->ask.texts.count; i++)
        bytes += self->ask.texts.items[i].len;
    int64_t reserved = price_cost(&self->model->price, inference_tokens_estimate(bytes), 0);
    if (!budget_reserve(&app->budget, reserved, clock_wall_us(), err))
        return false;
    self->reserved = reserved;
    return true;
}

static void run(embedding_t *self)
{
    self->app->in_flight++;
    app_id(self->id);
    for (size_t i = 0; i < PARALLEL_MAX && self->next_text < self->ask.texts.count && !self->has_failed; i++) {
        self->slots[i].owner = self;
        slot_start(self, &self->slots[i]);
    }
    if (self->running)
        bus_request_on_cancel(self->request, on_cancel, self);
    else
        finish(self);
}

void call_embed(void *ctx, bus_request_t *request)
{
    app_t *app = ctx;
    embedding_t *self = calloc(1, sizeof *self);
    error_t err = {0};
    if (!self) {
        (void)error_set(&err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        bus_fail(app->bus, request, &err);
        return;
    }
    *self = (embedding_t){.app = app, .request = request, .start_us = clock_mono_us()};
    arena_init(&self->arena, 0);
    if (prepare(self, &err)) {
        run(self);
        return;
    }
    bus_fail(app->bus, request, &err);
    embedding_free(self);
}
