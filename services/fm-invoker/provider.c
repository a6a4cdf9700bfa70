/* provider.c: requests to Bedrock or an OpenAI-compatible server, and their streams. */
#include "services/fm-invoker/provider.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/aws.h"
#include "kit/eventstream.h"
#include "services/fm-invoker/fm_claude.h"
#include "services/fm-invoker/fm_openai.h"
#include "services/fm-invoker/fm_titan.h"
#include "services/fm-invoker/sse.h"

#define ERROR_BODY_MAX_BYTES ((size_t)64 << 10)
#define OPENAI_BATCH FM_EMBED_TEXTS_MAX
#define LINGER_MS 1000 /* patience with a server that said it is done and does not end its answer */

struct provider {
    loop_t *loop;
    http_client_t *http;
    aws_t *aws;          /* of Bedrock */
    buf_t base;          /* URL */
    buf_t authorization; /* of the OpenAI-compatible server; empty for none */
    int64_t connect_timeout_ms;
    bool is_openai;
};

struct provider_call {
    provider_t *provider;
    http_exchange_t *exchange;
    bool is_embed, has_failed;
    uint32_t texts; /* of an embedding */
    void (*on_text)(void *ctx, bytes_t text);
    void (*on_chat)(void *ctx, const provider_chat_end_t *end);
    void (*on_embed)(void *ctx, const provider_embed_end_t *end);
    void *ctx;
    eventstream_decoder_t frames;
    sse_t events;
    chat_progress_t progress;
    buf_t error_body; /* of an answer that is no success */
    buf_t text;       /* of one piece */
    error_t err;      /* found in a stream */
    loop_timer_t *linger;
};

/* -- life ---------------------------------------------------------------------------------------- */
static void base_set(provider_t *provider, const char *openai_url)
{
    if (!provider->is_openai) {
        aws_endpoint("BEDROCK_RUNTIME", "bedrock-runtime", aws_region(provider->aws), &provider->base);
        return;
    }
    buf_append_cstr(&provider->base, openai_url);
    while (provider->base.len && provider->base.data[provider->base.len - 1] == '/')
        provider->base.len--;
}

provider_t *provider_new(const provider_options_t *options, error_t *err)
{
    provider_t *provider = calloc(1, sizeof *provider);
    if (!provider) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    provider->loop = options->loop;
    provider->http = options->http;
    provider->connect_timeout_ms = options->connect_timeout_ms;
    provider->is_openai = *options->openai_url != '\0';
    if (!provider->is_openai) {
        provider->aws = aws_new(options->loop, options->http, err);
        if (!provider->aws) {
            provider_free(&provider);
            return NULL;
        }
    } else if (*options->openai_key) {
        buf_printf(&provider->authorization, "Bearer %s", options->openai_key);
    }
    base_set(provider, options->openai_url);
    return provider;
}

void provider_free(provider_t **self)
{
    provider_t *provider = *self;
    if (!provider)
        return;
    aws_free(&provider->aws);
    if (provider->authorization.data)
        explicit_bzero(provider->authorization.data, provider->authorization.cap);
    buf_free(&provider->authorization);
    buf_free(&provider->base);
    free(provider);
    *self = NULL;
}

const char *provider_name(const provider_t *provider)
{
    return provider->is_openai ? "openai" : "bedrock";
}

const char *provider_chat_operation(const provider_t *provider)
{
    return provider->is_openai ? "chat.completions" : "InvokeModelWithResponseStream";
}

const char *provider_embed_operation(const provider_t *provider)
{
    return provider->is_openai ? "embeddings" : "InvokeModel";
}

bool provider_is_ready(const provider_t *provider, const char **why)
{
    if (provider->is_openai || aws_credentials(provider->aws, NULL))
        return true;
    *why = "there are no valid AWS credentials yet";
    return false;
}

uint32_t provider_embed_batch(const provider_t *provider)
{
    return provider->is_openai ? OPENAI_BATCH : 1; /* Titan takes one text a request */
}

static void call_free(provider_call_t *call)
{
    loop_timer_end(&call->linger);
    eventstream_free(&call->frames);
    sse_free(&call->events);
    buf_free(&call->error_body);
    buf_free(&call->text);
    free(call);
}

/* -- what a stream brings ------------------------------------------------------------------------ */
/* A NUL says nothing to anybody, and neither a database nor a C string takes it. */
static void text_hand_on(provider_call_t *call)
{
    for (uint8_t *nul; call->text.len && (nul = memchr(call->text.data, 0, call->text.len)) != NULL;)
        *nul = ' ';
    if (call->text.len)
        call->on_text(call->ctx, buf_bytes(&call->text));
    buf_clear(&call->text);
}

static void on_linger(void *ctx)
{
    const provider_call_t *call = ctx;
    http_exchange_cancel(call->exchange);
}

/* An exception in the middle of a stream, as its headers name it. */
static bool exception_take(provider_call_t *call, const eventstream_message_t *message)
{
    char type[ERROR_AWS_BYTES] = "";
    char text[ERROR_MESSAGE_BYTES];
    bytes_t name = eventstream_text(message, ":exception-type");
    (void)bytes_to_cstr(name.len ? name : eventstream_text(message, ":error-code"), type, sizeof type);
    if (type[0] >= 'a' && type[0] <= 'z')
        type[0] = (char)(type[0] - 'a' + 'A'); /* as the name is written everywhere else */
    (void)snprintf(text, sizeof text, "the stream broke off: %.*s",
                   (int)(message->payload.len < 200 ? message->payload.len : 200), (const char *)message->payload.data);
    aws_error_from(type, text, 500, 0, &call->err);
    return false;
}

static bool frame_take(provider_call_t *call, const eventstream_message_t *message)
{
    buf_t event = {0};
    if (!bytes_eq_cstr(eventstream_text(message, ":message-type"), "event"))
        return exception_take(call, message);
    if (!bytes_eq_cstr(eventstream_text(message, ":event-type"), "chunk"))
        return true;
    bool ok = fm_claude_chunk(message->payload, &event, &call->err) &&
              fm_claude_event(buf_bytes(&event), &call->progress, &call->text, &call->err);
    buf_free(&event);
    return ok;
}

static bool frames_take(provider_call_t *call, bytes_t piece)
{
    eventstream_message_t message;
    eventstream_next_t next;
    eventstream_feed(&call->frames, piece);
    while ((next = eventstream_next(&call->frames, &message, &call->err)) == EVENTSTREAM_MESSAGE)
        if (!frame_take(call, &message))
            return false;
    return next != EVENTSTREAM_BROKEN;
}

static bool event_take(void *ctx, bytes_t data)
{
    provider_call_t *call = ctx;
    return fm_openai_event(data, &call->progress, &call->text, &call->err);
}

static bool events_take(provider_call_t *call, bytes_t piece)
{
    if (sse_feed(&call->events, piece, event_take, call))
        return true;
    if (call->err.code == STATUS_OK)
        (void)error_set(&call->err, STATUS_DATA_LOSS, NULL, "an event of the stream is too large");
    return false;
}

static bool on_piece(void *ctx, unsigned http_status, bytes_t piece)
{
    provider_call_t *call = ctx;
    if (http_status != 200) {
        if (call->error_body.len + piece.len <= ERROR_BODY_MAX_BYTES)
            buf_append_bytes(&call->error_body, piece);
        return true;
    }
    bool was_ended = call->progress.ended;
    bool ok = call->provider->is_openai ? events_take(call, piece) : frames_take(call, piece);
    text_hand_on(call);
    call->has_failed = !ok;
    if (call->progress.ended && !was_ended)
        loop_timer_in(call->linger, LINGER_MS);
    return ok;
}

/* -- how it ended -------------------------------------------------------------------------------- */
/* True when it ended well; else fills call->err. */
static bool result_judge(provider_call_t *call, const http_result_t *result, bytes_t body)
{
    if (call->has_failed)
        return false;
    if (result->status == STATUS_OK && result->http_status == 200)
        return true;
    if (result->status == STATUS_OK && call->provider->is_openai) {
        char message[ERROR_MESSAGE_BYTES];
        fm_openai_error_message(body, message);
        aws_error_from("", message, result->http_status, http_exchange_pause_ms(result->exchange, "Retry-After", 1000),
                       &call->err);
    } else {
        aws_error(result, body, &call->err);
    }
    return false;
}

static void on_chat_done(void *ctx, const http_result_t *result)
{
    provider_call_t *call = ctx;
    /* What has said that it is whole is whole, however the connection ends. */
    bool is_whole = call->progress.ended && !call->has_failed;
    bool ok = is_whole || result_judge(call, result, buf_bytes(&call->error_body));
    if (ok && !call->progress.ended)
        ok = error_set(&call->err, STATUS_UNAVAILABLE, NULL, "the stream ended in the middle of the answer");
    const provider_chat_end_t end = {
        .err = ok ? NULL : &call->err, .progress = call->progress, .duration_us = result->duration_us};
    call->on_chat(call->ctx, &end);
    call_free(call);
}

static void on_embed_done(void *ctx, const http_result_t *result)
{
    provider_call_t *call = ctx;
    buf_t vectors = {0};
    provider_embed_end_t end = {.duration_us = result->duration_us};
    bool ok = result_judge(call, result, result->body);
    if (ok && call->provider->is_openai)
        ok = fm_openai_embed_read(result->body, call->texts, &vectors, &end.dimension, &end.input_tokens, &call->err);
    else if (ok)
        ok = fm_titan_read(result->body, &vectors, &end.input_tokens, &call->err);
    if (ok && !call->provider->is_openai)
        end.dimension = (int64_t)(vectors.len / sizeof(float));
    end.err = ok ? NULL : &call->err;
    end.vectors = buf_bytes(&vectors);
    call->on_embed(call->ctx, &end);
    buf_free(&vectors);
    call_free(call);
}

/* -- starting ------------------------------------------------------------------------------------ */
static http_exchange_t *bedrock_start(provider_call_t *call, const char *model_id, const char *operation, bytes_t body,
                                      int64_t timeout_ms, error_t *err)
{
    provider_t *provider = call->provider;
    const http_header_t headers[] = {{"Content-Type", "application/json"}};
    buf_t path = {0};
    buf_append_cstr(&path, "/model/");
    sigv4_uri_encode(&path, bytes_cstr(model_id), false);
    buf_printf(&path, "/%s", operation);
    http_exchange_t *exchange = aws_start(provider->aws,
                                          &(aws_call_t){.method = "POST",
                                                        .endpoint = buf_cstr(&provider->base),
                                                        .path = buf_cstr(&path),
                                                        .service = "bedrock",
                                                        .headers = headers,
                                                        .header_count = ARRAY_LEN(headers),
                                                        .body = body,
                                                        .timeout_ms = timeout_ms,
                                                        .connect_timeout_ms = provider->connect_timeout_ms,
                                                        .on_piece = call->is_embed ? NULL : on_piece,
                                                        .on_done = call->is_embed ? on_embed_done : on_chat_done,
                                                        .ctx = call},
                                          err);
    buf_free(&path);
    return exchange;
}

static http_exchange_t *openai_start(provider_call_t *call, const char *path, bytes_t body, int64_t timeout_ms,
                                     error_t *err)
{
    provider_t *provider = call->provider;
    const http_header_t headers[] = {{"Content-Type", "application/json"},
                                     {"Authorization", buf_cstr(&provider->authorization)}};
    buf_t url = {0};
    buf_printf(&url, "%s%s", buf_cstr(&provider->base), path);
    http_exchange_t *exchange =
        http_client_start(provider->http,
                          &(http_call_t){.method = "POST",
                                         .url = buf_cstr(&url),
                                         .headers = headers,
                                         .header_count = provider->authorization.len ? 2 : 1,
                                         .body = body,
                                         .timeout_ms = timeout_ms,
                                         .connect_timeout_ms = provider->connect_timeout_ms,
                                         .on_piece = call->is_embed ? NULL : on_piece,
                                         .on_done = call->is_embed ? on_embed_done : on_chat_done,
                                         .ctx = call},
                          err);
    buf_free(&url);
    return exchange;
}

static provider_call_t *call_new(provider_t *provider, void *ctx, error_t *err)
{
    provider_call_t *call = calloc(1, sizeof *call);
    loop_timer_t *linger = call ? loop_timer_new(provider->loop, on_linger, call) : NULL;
    if (!linger) {
        free(call);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    call->linger = linger;
    call->provider = provider;
    call->ctx = ctx;
    call->progress = (chat_progress_t){.input_tokens = -1, .output_tokens = -1, .stop = STOP_OTHER};
    return call;
}

/* The body was made, the exchange started or not: what remains. */
static provider_call_t *call_started(provider_call_t *call, buf_t *body)
{
    buf_free(body);
    if (call->exchange)
        return call;
    call_free(call);
    return NULL;
}

provider_call_t *provider_chat(provider_t *provider, const provider_chat_t *chat, error_t *err)
{
    provider_call_t *call = call_new(provider, chat->ctx, err);
    buf_t body = {0};
    if (!call)
        return NULL;
    call->on_text = chat->on_text;
    call->on_chat = chat->on_done;
    if (provider->is_openai)
        fm_openai_chat_write(chat, &body);
    else
        fm_claude_write(chat, &body);
    if (body.failed)
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    else if (provider->is_openai)
        call->exchange = openai_start(call, "/chat/completions", buf_bytes(&body), chat->timeout_ms, err);
    else
        call->exchange =
            bedrock_start(call, chat->model_id, "invoke-with-response-stream", buf_bytes(&body), chat->timeout_ms, err);
    return call_started(call, &body);
}

provider_call_t *provider_embed(provider_t *provider, const provider_embed_t *embed, error_t *err)
{
    provider_call_t *call = call_new(provider, embed->ctx, err);
    buf_t body = {0};
    if (!call)
        return NULL;
    call->is_embed = true;
    call->texts = embed->count;
    call->on_embed = embed->on_done;
    if (provider->is_openai)
        fm_openai_embed_write(embed->model_id, embed->texts, embed->count, embed->dimension, &body);
    else
        fm_titan_write(embed->model_id, embed->texts[0], embed->dimension, embed->normalize, &body);
    if (body.failed)
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    else if (provider->is_openai)
        call->exchange = openai_start(call, "/embeddings", buf_bytes(&body), embed->timeout_ms, err);
    else
        call->exchange = bedrock_start(call, embed->model_id, "invoke", buf_bytes(&body), embed->timeout_ms, err);
    return call_started(call, &body);
}

void provider_cancel(provider_call_t *call)
{
    http_exchange_cancel(call->exchange);
}
