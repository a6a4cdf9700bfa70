/* call_invoke.c: fm.invoke: a question comes over the bus, the answer goes back as the model writes it. */
#include <stdlib.h>

#include "services/fm-invoker/inference.h"

#define CHUNK_MAX_BYTES 65536

typedef struct {
    app_t *app;
    bus_request_t *request;
    arena_t arena;
    fm_invoke_request_t ask;
    inference_t *inference;
    bool wants_chunks;
} invocation_t;

static void invocation_free(invocation_t *self)
{
    arena_free(&self->arena);
    free(self);
}

static void fail(invocation_t *self, const error_t *err)
{
    bus_fail(self->app->bus, self->request, err);
    invocation_free(self);
}

static void chunk_send(invocation_t *self, bytes_t text)
{
    const fm_invoke_chunk_t chunk = {.text = text};
    buf_t body = {0};
    error_t err;
    if (fm_invoke_chunk_pack(&body, &chunk, &err))
        bus_chunk(self->app->bus, self->request, buf_bytes(&body));
    else
        log_error("a chunk was not sent", LOG_S("error", err.message));
    buf_free(&body);
}

/* The start of `text` that fits a chunk, never half a character. */
static size_t chunk_len(bytes_t text)
{
    size_t len = text.len < CHUNK_MAX_BYTES ? text.len : CHUNK_MAX_BYTES;
    while (len < text.len && len > CHUNK_MAX_BYTES - 4 && (text.data[len] & 0xC0) == 0x80)
        len--;
    return len;
}

static void on_text(void *ctx, bytes_t text)
{
    invocation_t *self = ctx;
    if (!self->wants_chunks || self->request->cancelled)
        return;
    for (size_t len; text.len; text = bytes_from(text.data + len, text.len - len)) {
        len = chunk_len(text);
        chunk_send(self, bytes_from(text.data, len));
    }
}

static void response_fill(const inference_result_t *result, fm_invoke_response_t *out)
{
    *out = (fm_invoke_response_t){.inference_id = bytes_cstr(result->inference_id),
                                  .text = result->text,
                                  .model_id = bytes_cstr(result->model_id),
                                  .stop_reason = bytes_cstr(result->stop_reason),
                                  .usage = {result->input_tokens, result->output_tokens},
                                  .cost_usd_micros = result->cost_usd_micros,
                                  .latency_ms = result->latency_us / 1000};
    if (result->first_token_us >= 0)
        SCHEMA_SET(out, first_token_ms, result->first_token_us / 1000);
    if (result->fallback_from)
        SCHEMA_SET(out, fallback_from, bytes_cstr(result->fallback_from));
    SCHEMA_SET(out, hops, ((hop_list_t){result->hops, result->hop_count}));
}

static void on_done(void *ctx, const inference_result_t *result)
{
    invocation_t *self = ctx;
    fm_invoke_response_t response;
    buf_t body = {0};
    error_t err;
    self->inference = NULL;
    if (result->err) {
        fail(self, result->err);
        return;
    }
    response_fill(result, &response);
    if (fm_invoke_response_pack(&body, &response, &err)) {
        bus_reply(self->app->bus, self->request, buf_bytes(&body));
        invocation_free(self);
    } else {
        fail(self, &err);
    }
    buf_free(&body);
}

static void on_cancel(void *ctx, bus_request_t *request UNUSED)
{
    invocation_t *self = ctx;
    if (self->inference)
        inference_cancel(self->inference);
}

static bool begin(invocation_t *self, error_t *err)
{
    const fm_invoke_request_t *ask = &self->ask;
    const inference_ask_t what = {.operation = CALL_FM_INVOKE,
                                  .model = ask->has_model ? ask->model : BYTES_NONE,
                                  .system = ask->has_system ? ask->system : BYTES_NONE,
                                  .session_id = ask->has_session_id ? ask->session_id : BYTES_NONE,
                                  .purpose = ask->has_purpose ? ask->purpose : BYTES_NONE,
                                  .messages = ask->messages.items,
                                  .message_count = ask->messages.count,
                                  .max_tokens = ask->has_max_tokens ? ask->max_tokens : INFERENCE_TOKENS_DEFAULT,
                                  .has_temperature = ask->has_temperature,
                                  .temperature = ask->temperature,
                                  .stops = ask->has_stop_sequences ? ask->stop_sequences : (bytes_list_t){0},
                                  .deadline_us = self->request->deadline_mono_us,
                                  .trace = &self->request->trace,
                                  .on_text = on_text,
                                  .on_done = on_done,
                                  .ctx = self};
    self->wants_chunks = self->request->stream && (!ask->has_stream || ask->stream);
    self->inference = inference_start(self->app, &what, err);
    return self->inference != NULL;
}

void call_invoke(void *ctx, bus_request_t *request)
{
    app_t *app = ctx;
    invocation_t *self = calloc(1, sizeof *self);
    error_t err = {0};
    if (!self) {
        (void)error_set(&err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        bus_fail(app->bus, request, &err);
        return;
    }
    self->app = app;
    self->request = request;
    arena_init(&self->arena, 0);
    if (fm_invoke_request_unpack(request->body, &self->arena, &self->ask, &err) && begin(self, &err))
        bus_request_on_cancel(request, on_cancel, self);
    else
        fail(self, &err);
}
