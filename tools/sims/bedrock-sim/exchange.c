/* exchange.c: an answer on its way: whole after its time, or in event-stream frames at the pace of a model. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/eventstream.h"
#include "proto/base64.h"
#include "proto/json.h"
#include "tools/sims/bedrock-sim/sim_internal.h"
#include "tools/sims/bedrock-sim/tokens.h"

#define TICK_MS 10       /* pieces are not sent more often */
#define GONE_LOOK_MS 250 /* how often a hung request looks whether its client is still there */
#define CUT_BYTES 7      /* of a frame that is cut off */
#define NUMBER_BYTES 24

static int64_t elapsed_ms(const exchange_t *exchange)
{
    return (clock_mono_us() - exchange->start_us) / 1000;
}

void exchange_free(exchange_t *exchange)
{
    sim_t *sim = exchange->sim;
    if (exchange->prev)
        exchange->prev->next = exchange->next;
    else
        sim->live = exchange->next;
    if (exchange->next)
        exchange->next->prev = exchange->prev;
    sim->stats.in_flight--;
    loop_timer_end(&exchange->timer);
    arena_free(&exchange->arena);
    buf_free(&exchange->body);
    buf_free(&exchange->text);
    buf_free(&exchange->json);
    free(exchange);
}

/* -- whole --------------------------------------------------------------------------------------- */
static void answer_whole(exchange_t *exchange)
{
    bool is_claude = exchange->model->kind == MODEL_CLAUDE;
    char input[NUMBER_BYTES], output[NUMBER_BYTES], latency[NUMBER_BYTES];
    (void)snprintf(input, sizeof input, "%" PRId64, exchange->answer.input_tokens);
    (void)snprintf(output, sizeof output, "%" PRId64, exchange->answer.output_tokens);
    (void)snprintf(latency, sizeof latency, "%" PRId64, elapsed_ms(exchange));
    const http_header_t headers[] = {{"Content-Type", "application/json"},
                                     {"x-amzn-bedrock-input-token-count", input},
                                     {"x-amzn-bedrock-invocation-latency", latency},
                                     {"x-amzn-bedrock-output-token-count", output}};
    if (is_claude)
        claude_write_answer(&exchange->answer, &exchange->json);
    if (is_claude)
        exchange->sim->stats.invoked++;
    else
        exchange->sim->stats.embedded++;
    http_respond(exchange->request, 200, headers, ARRAY_LEN(headers) - (is_claude ? 0 : 1), buf_bytes(&exchange->json));
    exchange_free(exchange);
}

/* -- in frames ----------------------------------------------------------------------------------- */
static void frame_send(exchange_t *exchange, const eventstream_message_t *message, bool corrupt)
{
    buf_t frame = {0};
    if (!eventstream_write(&frame, message, NULL))
        return;
    if (corrupt)
        frame.data[frame.len - 1] ^= 1;
    http_respond_piece(exchange->request, buf_bytes(&frame));
    buf_free(&frame);
}

/* One event of the model, as the stream carries it: base64 inside JSON inside a frame. */
static void event_send(exchange_t *exchange, const buf_t *event)
{
    const eventstream_header_t headers[] = {EVENTSTREAM_TEXT(":event-type", "chunk"),
                                            EVENTSTREAM_TEXT(":content-type", "application/json"),
                                            EVENTSTREAM_TEXT(":message-type", "event")};
    buf_t payload = {0};
    buf_append_cstr(&payload, "{\"bytes\":\"");
    base64_encode(&payload, buf_bytes(event));
    buf_append_cstr(&payload, "\"}");
    frame_send(exchange, &(eventstream_message_t){headers, ARRAY_LEN(headers), buf_bytes(&payload)}, false);
    buf_free(&payload);
}

static void exception_send(exchange_t *exchange, const char *type, const char *message)
{
    const eventstream_header_t headers[] = {EVENTSTREAM_TEXT(":exception-type", type),
                                            EVENTSTREAM_TEXT(":content-type", "application/json"),
                                            EVENTSTREAM_TEXT(":message-type", "exception")};
    buf_t payload = {0};
    buf_append_cstr(&payload, "{\"message\":");
    json_string_append(&payload, bytes_cstr(message));
    buf_append_byte(&payload, '}');
    frame_send(exchange, &(eventstream_message_t){headers, ARRAY_LEN(headers), buf_bytes(&payload)}, false);
    buf_free(&payload);
}

static void stream_begin(exchange_t *exchange)
{
    const http_header_t headers[] = {{"Content-Type", "application/vnd.amazon.eventstream"},
                                     {"x-amzn-bedrock-content-type", "application/json"}};
    http_respond_begin(exchange->request, 200, headers, ARRAY_LEN(headers));
    exchange->has_begun = true;
    exchange->first_us = clock_mono_us();
    buf_t event = {0};
    claude_write_start(&exchange->answer, &event);
    event_send(exchange, &event);
    buf_clear(&event);
    claude_write_block_start(&event);
    event_send(exchange, &event);
    buf_free(&event);
}

static void stream_end(exchange_t *exchange)
{
    int64_t first_ms = (exchange->first_us - exchange->start_us) / 1000;
    buf_t event = {0};
    claude_write_block_stop(&event);
    event_send(exchange, &event);
    buf_clear(&event);
    claude_write_end(&exchange->answer, &event);
    event_send(exchange, &event);
    buf_clear(&event);
    claude_write_stop(&exchange->answer, first_ms, elapsed_ms(exchange), &event);
    event_send(exchange, &event);
    buf_free(&event);
    exchange->sim->stats.streamed++;
    http_respond_end(exchange->request);
    exchange_free(exchange);
}

/* The middle of the text is where a stream breaks that was ordered to. */
static bool stream_breaks(exchange_t *exchange)
{
    if (exchange->fault == FAULT_NONE || exchange->sent_bytes * 2 < exchange->answer.text.len)
        return false;
    if (exchange->fault == FAULT_STREAM_THROTTLING)
        exception_send(exchange, "throttlingException", "Too many requests, please wait before trying again.");
    else if (exchange->fault == FAULT_STREAM_ERROR)
        exception_send(exchange, "modelStreamErrorException", "The model stopped in the middle.");
    else if (exchange->fault == FAULT_STREAM_CUT)
        http_respond_piece(exchange->request, BYTES_LIT("\0\0\0\1\0\0\0"));
    else
        frame_send(exchange, &(eventstream_message_t){.payload = BYTES_LIT("{}")}, true);
    http_respond_end(exchange->request);
    exchange_free(exchange);
    return true;
}

/* Sends what the pace allows since the first piece. True when all is sent. */
static bool text_send(exchange_t *exchange)
{
    bytes_t text = exchange->answer.text;
    double seconds = (double)(clock_mono_us() - exchange->first_us) / 1e6;
    size_t due = tokens_bytes(text, 1 + (int64_t)(seconds * exchange->sim->tokens_per_s));
    if (due > exchange->sent_bytes) {
        buf_t event = {0};
        claude_write_delta(bytes_from(text.data + exchange->sent_bytes, due - exchange->sent_bytes), &event);
        event_send(exchange, &event);
        buf_free(&event);
        exchange->sent_bytes = due;
    }
    return exchange->sent_bytes == text.len;
}

static void stream_go_on(exchange_t *exchange)
{
    if (!exchange->has_begun)
        stream_begin(exchange);
    bool all = text_send(exchange);
    if (stream_breaks(exchange))
        return;
    if (all)
        stream_end(exchange);
    else
        loop_timer_in(exchange->timer, TICK_MS);
}

/* -- time ---------------------------------------------------------------------------------------- */
static void on_time(void *ctx)
{
    exchange_t *exchange = ctx;
    if (http_request_gone(exchange->request)) {
        exchange->sim->stats.cancelled++;
        if (exchange->has_begun)
            http_respond_end(exchange->request);
        else
            http_respond_text(exchange->request, 503, "text/plain", "");
        exchange_free(exchange);
    } else if (exchange->fault == FAULT_HANG) {
        loop_timer_in(exchange->timer, GONE_LOOK_MS);
    } else if (exchange->is_stream) {
        stream_go_on(exchange);
    } else {
        answer_whole(exchange);
    }
}

void exchange_start(exchange_t *exchange, int64_t wait_ms)
{
    exchange->timer = loop_timer_new(exchange->sim->loop, on_time, exchange);
    if (exchange->timer) {
        loop_timer_in(exchange->timer, wait_ms);
        return;
    }
    (void)sim_fault_refuse(exchange->sim, exchange->request, FAULT_INTERNAL);
    exchange_free(exchange);
}
