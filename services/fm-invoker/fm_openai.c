/* fm_openai.c: chat completions and embeddings, written and read. */
#include "services/fm-invoker/fm_openai.h"

#include <inttypes.h>
#include <stdio.h>

#include "proto/json.h"
#include "proto/msgpack.h"
#include "services/fm-invoker/fm_titan.h"
#include "services/fm-invoker/fm_tokens.h"

#define EVENT_MAX_BYTES ((size_t)1 << 20)
#define ANSWER_MAX_BYTES ((size_t)32 << 20)
#define DEPTH_MAX 64

/* -- chat ---------------------------------------------------------------------------------------- */
static void message_write(const char *role, bytes_t content, bool is_first, buf_t *json)
{
    buf_printf(json, "%s{\"role\":\"%s\",\"content\":", is_first ? "" : ",", role);
    json_string_append(json, content);
    buf_append_byte(json, '}');
}

static void messages_write(const provider_chat_t *chat, buf_t *json)
{
    buf_append_cstr(json, ",\"messages\":[");
    if (chat->system.len)
        message_write("system", chat->system, true, json);
    for (uint32_t i = 0; i < chat->message_count; i++)
        message_write(bytes_eq_cstr(chat->messages[i].role, "assistant") ? "assistant" : "user",
                      chat->messages[i].content, i == 0 && chat->system.len == 0, json);
    buf_append_byte(json, ']');
}

void fm_openai_chat_write(const provider_chat_t *chat, buf_t *json)
{
    buf_append_cstr(json, "{\"model\":");
    json_string_append(json, bytes_cstr(chat->model_id));
    buf_printf(json, ",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"max_tokens\":%" PRId64,
               chat->max_tokens);
    if (chat->has_temperature) {
        buf_append_cstr(json, ",\"temperature\":");
        json_double_append(json, chat->temperature);
    }
    for (uint32_t i = 0; i < chat->stops.count; i++) {
        buf_append_cstr(json, i ? "," : ",\"stop\":[");
        json_string_append(json, chat->stops.items[i]);
    }
    buf_append_cstr(json, chat->stops.count ? "]" : "");
    messages_write(chat, json);
    buf_append_byte(json, '}');
}

static stop_t stop_of(bytes_t reason)
{
    if (bytes_eq_cstr(reason, "stop"))
        return STOP_END_TURN;
    return bytes_eq_cstr(reason, "length") ? STOP_MAX_TOKENS : STOP_OTHER;
}

static void choice_read(bytes_t event, chat_progress_t *progress, buf_t *text)
{
    bytes_t list, choice, delta, piece, reason;
    uint32_t count;
    if (!mp_map_find(event, "choices", &list))
        return;
    mp_reader_t reader = mp_reader(list);
    if (!mp_get_array(&reader, &count) || count == 0 || !mp_get_raw(&reader, &choice))
        return;
    if (mp_map_find(choice, "delta", &delta) && mp_map_str(delta, "content", &piece))
        buf_append_bytes(text, piece);
    if (mp_map_str(choice, "finish_reason", &reason)) {
        progress->stop = stop_of(reason);
        progress->ended = true;
    }
}

static void usage_read(bytes_t event, chat_progress_t *progress)
{
    bytes_t usage;
    if (!mp_map_find(event, "usage", &usage))
        return;
    (void)fm_tokens_take(usage, "prompt_tokens", &progress->input_tokens);
    (void)fm_tokens_take(usage, "completion_tokens", &progress->output_tokens);
}

static void message_take(bytes_t event, char out[ERROR_MESSAGE_BYTES])
{
    bytes_t error, text;
    (void)snprintf(out, ERROR_MESSAGE_BYTES, "the server answers with an error and says no more");
    if (mp_map_find(event, "error", &error) &&
        (mp_map_str(error, "message", &text) || mp_map_str(event, "error", &text)))
        (void)bytes_to_cstr(text, out, ERROR_MESSAGE_BYTES);
}

/* Some servers say in every event that there is no error: null. */
static bool tells_error(bytes_t event)
{
    bytes_t error;
    mp_type_t type;
    if (!mp_map_find(event, "error", &error))
        return false;
    mp_reader_t reader = mp_reader(error);
    return mp_peek(&reader, &type) && type != MP_NIL;
}

static bool event_apply(bytes_t event, chat_progress_t *progress, buf_t *text, error_t *err)
{
    if (tells_error(event)) {
        char message[ERROR_MESSAGE_BYTES];
        message_take(event, message);
        return error_set(err, STATUS_UNAVAILABLE, NULL, "%s", message);
    }
    choice_read(event, progress, text);
    usage_read(event, progress);
    return true;
}

bool fm_openai_event(bytes_t data, chat_progress_t *progress, buf_t *text, error_t *err)
{
    const json_limits_t limits = {.max_bytes = EVENT_MAX_BYTES, .max_depth = DEPTH_MAX};
    buf_t event = {0};
    if (bytes_eq_cstr(data, "[DONE]")) {
        progress->ended = true;
        return true;
    }
    bool ok = json_to_msgpack(data, &limits, &event, err);
    if (!ok) {
        if (err)
            err->code = STATUS_DATA_LOSS;
        (void)error_prefix(err, "an event of the model");
    } else {
        ok = event_apply(buf_bytes(&event), progress, text, err);
    }
    buf_free(&event);
    return ok;
}

void fm_openai_error_message(bytes_t body, char out[ERROR_MESSAGE_BYTES])
{
    const json_limits_t limits = {.max_bytes = EVENT_MAX_BYTES, .max_depth = DEPTH_MAX};
    buf_t map = {0};
    bool is_json = json_to_msgpack(body, &limits, &map, NULL);
    message_take(is_json ? buf_bytes(&map) : BYTES_NONE, out);
    buf_free(&map);
}

/* -- embeddings ---------------------------------------------------------------------------------- */
void fm_openai_embed_write(const char *model_id, const bytes_t *texts, uint32_t count, int64_t dimension, buf_t *json)
{
    buf_append_cstr(json, "{\"model\":");
    json_string_append(json, bytes_cstr(model_id));
    buf_append_cstr(json, ",\"encoding_format\":\"float\"");
    if (dimension > 0)
        buf_printf(json, ",\"dimensions\":%" PRId64, dimension);
    buf_append_cstr(json, ",\"input\":[");
    for (uint32_t i = 0; i < count; i++) {
        buf_append_cstr(json, i ? "," : "");
        json_string_append(json, texts[i]);
    }
    buf_append_cstr(json, "]}");
}

/* Entries come in any order and carry their index. */
static bool entry_find(bytes_t list, uint32_t wanted, bytes_t *vector)
{
    mp_reader_t reader = mp_reader(list);
    uint32_t count;
    bytes_t entry;
    int64_t index;
    if (!mp_get_array(&reader, &count))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (!mp_get_raw(&reader, &entry))
            return false;
        if (!mp_map_i64(entry, "index", &index))
            index = i;
        if (index == wanted)
            return mp_map_find(entry, "embedding", vector);
    }
    return false;
}

static bool vectors_read(bytes_t map, uint32_t count, buf_t *vectors, int64_t *dimension)
{
    bytes_t list, array;
    size_t start = vectors->len, each = 0;
    if (!mp_map_find(map, "data", &list))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        size_t before = vectors->len;
        if (!entry_find(list, i, &array) || !fm_vector_read(array, vectors))
            return false;
        if (i == 0)
            each = vectors->len - start;
        if (vectors->len - before != each)
            return false;
    }
    *dimension = (int64_t)(each / sizeof(float));
    return count > 0;
}

bool fm_openai_embed_read(bytes_t json, uint32_t count, buf_t *vectors, int64_t *dimension, int64_t *tokens,
                          error_t *err)
{
    const json_limits_t limits = {.max_bytes = ANSWER_MAX_BYTES, .max_depth = DEPTH_MAX};
    buf_t map = {0};
    bytes_t usage;
    bool ok = json_to_msgpack(json, &limits, &map, NULL) && vectors_read(buf_bytes(&map), count, vectors, dimension);
    if (!ok || !mp_map_find(buf_bytes(&map), "usage", &usage) || !fm_tokens_take(usage, "prompt_tokens", tokens))
        *tokens = 0;
    buf_free(&map);
    return ok || error_set(err, STATUS_DATA_LOSS, NULL, "the server's answer does not hold %u vectors of one dimension",
                           count);
}
