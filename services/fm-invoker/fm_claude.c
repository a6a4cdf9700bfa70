/* fm_claude.c: Claude's messages, written and read. */
#include "services/fm-invoker/fm_claude.h"

#include <inttypes.h>

#include "kit/aws.h"
#include "proto/base64.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "services/fm-invoker/fm_tokens.h"

#define VERSION "bedrock-2023-05-31"
#define EVENT_MAX_BYTES ((size_t)1 << 20)
#define EVENT_DEPTH_MAX 64

static void message_write(const fm_message_t *message, buf_t *json)
{
    buf_printf(json, "{\"role\":\"%.*s\",\"content\":", BYTES_FMT(message->role));
    json_string_append(json, message->content);
    buf_append_byte(json, '}');
}

static void stops_write(const provider_chat_t *chat, buf_t *json)
{
    if (chat->stops.count == 0)
        return;
    buf_append_cstr(json, ",\"stop_sequences\":[");
    for (uint32_t i = 0; i < chat->stops.count; i++) {
        buf_append_cstr(json, i ? "," : "");
        json_string_append(json, chat->stops.items[i]);
    }
    buf_append_byte(json, ']');
}

void fm_claude_write(const provider_chat_t *chat, buf_t *json)
{
    buf_printf(json, "{\"anthropic_version\":\"" VERSION "\",\"max_tokens\":%" PRId64, chat->max_tokens);
    if (chat->system.len) {
        buf_append_cstr(json, ",\"system\":");
        json_string_append(json, chat->system);
    }
    if (chat->has_temperature) {
        buf_append_cstr(json, ",\"temperature\":");
        json_double_append(json, chat->temperature);
    }
    stops_write(chat, json);
    buf_append_cstr(json, ",\"messages\":[");
    for (uint32_t i = 0; i < chat->message_count; i++) {
        buf_append_cstr(json, i ? "," : "");
        message_write(&chat->messages[i], json);
    }
    buf_append_cstr(json, "]}");
}

/* -- reading ------------------------------------------------------------------------------------- */
static void usage_read(bytes_t map, chat_progress_t *progress)
{
    bytes_t usage;
    if (!mp_map_find(map, "usage", &usage))
        return;
    (void)fm_tokens_take(usage, "input_tokens", &progress->input_tokens);
    (void)fm_tokens_take(usage, "output_tokens", &progress->output_tokens);
}

static stop_t stop_of(bytes_t reason)
{
    if (bytes_eq_cstr(reason, "end_turn"))
        return STOP_END_TURN;
    if (bytes_eq_cstr(reason, "max_tokens"))
        return STOP_MAX_TOKENS;
    return bytes_eq_cstr(reason, "stop_sequence") ? STOP_SEQUENCE : STOP_OTHER;
}

static void delta_read(bytes_t event, buf_t *text)
{
    bytes_t delta, piece;
    if (mp_map_find(event, "delta", &delta) && mp_map_str(delta, "text", &piece))
        buf_append_bytes(text, piece);
}

static void ending_read(bytes_t event, chat_progress_t *progress)
{
    bytes_t delta, reason;
    if (mp_map_find(event, "delta", &delta) && mp_map_str(delta, "stop_reason", &reason))
        progress->stop = stop_of(reason);
    usage_read(event, progress);
}

/* The last event carries what Bedrock itself counted. */
static void metrics_read(bytes_t event, chat_progress_t *progress)
{
    bytes_t metrics;
    if (!mp_map_find(event, "amazon-bedrock-invocationMetrics", &metrics))
        return;
    (void)fm_tokens_take(metrics, "inputTokenCount", &progress->input_tokens);
    (void)fm_tokens_take(metrics, "outputTokenCount", &progress->output_tokens);
}

static bool error_read(bytes_t event, error_t *err)
{
    char message[ERROR_MESSAGE_BYTES] = "the model told of an error in the middle of its answer";
    bytes_t error, text;
    if (mp_map_find(event, "error", &error) && mp_map_str(error, "message", &text))
        (void)bytes_to_cstr(text, message, sizeof message);
    aws_error_from("ModelStreamErrorException", message, 424, 0, err);
    return false;
}

static bool event_apply(bytes_t event, chat_progress_t *progress, buf_t *text, error_t *err)
{
    bytes_t type, message;
    if (!mp_map_str(event, "type", &type))
        return true;
    if (bytes_eq_cstr(type, "content_block_delta")) {
        delta_read(event, text);
    } else if (bytes_eq_cstr(type, "message_start")) {
        if (mp_map_find(event, "message", &message))
            usage_read(message, progress);
    } else if (bytes_eq_cstr(type, "message_delta")) {
        ending_read(event, progress);
    } else if (bytes_eq_cstr(type, "message_stop")) {
        progress->ended = true;
        metrics_read(event, progress);
    } else if (bytes_eq_cstr(type, "error")) {
        return error_read(event, err);
    }
    return true;
}

static bool json_read(bytes_t json, buf_t *out, error_t *err)
{
    const json_limits_t limits = {.max_bytes = EVENT_MAX_BYTES, .max_depth = EVENT_DEPTH_MAX};
    mp_type_t type;
    if (!json_to_msgpack(json, &limits, out, err)) {
        if (err)
            err->code = STATUS_DATA_LOSS;
        return error_prefix(err, "an event of the model");
    }
    mp_reader_t reader = mp_reader(buf_bytes(out));
    return (mp_peek(&reader, &type) && type == MP_MAP) ||
           error_set(err, STATUS_DATA_LOSS, NULL, "an event of the model is no JSON object");
}

bool fm_claude_event(bytes_t json, chat_progress_t *progress, buf_t *text, error_t *err)
{
    buf_t event = {0};
    bool ok = json_read(json, &event, err) && event_apply(buf_bytes(&event), progress, text, err);
    buf_free(&event);
    return ok;
}

bool fm_claude_chunk(bytes_t payload, buf_t *event, error_t *err)
{
    buf_t map = {0};
    bytes_t text;
    bool ok = json_read(payload, &map, err);
    if (ok && !mp_map_str(buf_bytes(&map), "bytes", &text))
        ok = error_set(err, STATUS_DATA_LOSS, NULL, "a chunk of the stream has no bytes");
    if (ok && !base64_decode(event, text, err)) {
        if (err)
            err->code = STATUS_DATA_LOSS;
        ok = error_prefix(err, "a chunk of the stream");
    }
    buf_free(&map);
    return ok;
}
