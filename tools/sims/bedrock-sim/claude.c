/* claude.c: Claude's messages as Bedrock takes and gives them. */
#include "tools/sims/bedrock-sim/claude.h"

#include <inttypes.h>

#include "proto/json.h"
#include "proto/msgpack.h"
#include "tools/sims/bedrock-sim/tokens.h"

#define TOKENS_PER_TURN 4 /* of role and borders */

static bool invalid(error_t *err, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "Malformed input request: %s, please reformat your input and try again.", what);
}

/* -- keys ---------------------------------------------------------------------------------------- */
static const char *const known_keys[] = {
    "anthropic_version", "anthropic_beta", "max_tokens",  "messages", "system",   "temperature", "top_p", "top_k",
    "stop_sequences",    "tools",          "tool_choice", "thinking", "metadata", NULL};

static bool key_is_known(bytes_t key)
{
    for (size_t i = 0; known_keys[i]; i++)
        if (bytes_eq_cstr(key, known_keys[i]))
            return true;
    return false;
}

static bool keys_check(bytes_t body, error_t *err)
{
    mp_reader_t reader = mp_reader(body);
    uint32_t count;
    bytes_t key;
    if (!mp_get_map(&reader, &count))
        return invalid(err, "expected a JSON object");
    while (count--) {
        if (!mp_get_str(&reader, &key) || !mp_skip(&reader))
            return invalid(err, "expected a JSON object");
        if (!key_is_known(key))
            return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                             "Malformed input request: extraneous key [%.*s] is not permitted, please reformat your "
                             "input and try again.",
                             (int)(key.len < 64 ? key.len : 64), (const char *)key.data);
    }
    return true;
}

static bool version_check(bytes_t body, error_t *err)
{
    bytes_t version;
    if (!mp_map_str(body, "anthropic_version", &version))
        return invalid(err, "required key [anthropic_version] not found");
    return bytes_eq_cstr(version, CLAUDE_VERSION) ||
           error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "The supported version is " CLAUDE_VERSION);
}

/* -- content ------------------------------------------------------------------------------------- */
static bool block_append(mp_reader_t *reader, buf_t *out, error_t *err)
{
    bytes_t block, type, text;
    if (!mp_get_raw(reader, &block) || !mp_map_str(block, "type", &type))
        return invalid(err, "a content block has no type");
    if (!bytes_eq_cstr(type, "text"))
        return true; /* images and tools are taken and not looked at */
    if (!mp_map_str(block, "text", &text) || text.len == 0)
        return invalid(err, "messages: text content blocks must be non-empty");
    if (out->len)
        buf_append_byte(out, '\n');
    buf_append_bytes(out, text);
    return true;
}

/* A text, or a list of blocks, joined. */
static bool content_append(bytes_t value, buf_t *out, error_t *err)
{
    mp_reader_t reader = mp_reader(value);
    mp_type_t type;
    bytes_t text;
    uint32_t count;
    if (mp_peek(&reader, &type) && type == MP_STR && mp_get_str(&reader, &text)) {
        buf_append_bytes(out, text);
        return true;
    }
    if (!mp_get_array(&reader, &count))
        return invalid(err, "content is a string or a list of blocks");
    while (count--)
        if (!block_append(&reader, out, err))
            return false;
    return true;
}

static bool keep(arena_t *arena, const buf_t *text, bytes_t *out, error_t *err)
{
    uint8_t *copy = arena_alloc(arena, text->len + 1);
    if (!copy || text->failed)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "InternalServerException", "out of memory");
    if (text->len)
        memcpy(copy, text->data, text->len);
    *out = bytes_from(copy, text->len);
    return true;
}

typedef struct {
    claude_request_t *out;
    buf_t text; /* of the turn at hand */
    bool is_user, had_one;
} turns_t;

static bool turn_read(turns_t *turns, bytes_t turn, error_t *err)
{
    bytes_t role, content;
    if (!mp_map_str(turn, "role", &role) || !mp_map_find(turn, "content", &content))
        return invalid(err, "each of messages has a role and content");
    bool is_user = bytes_eq_cstr(role, "user");
    if (!is_user && !bytes_eq_cstr(role, "assistant"))
        return invalid(err, "messages: role is user or assistant");
    if (!is_user && !turns->had_one)
        return invalid(err, "messages: first message must use the \"user\" role");
    turns->had_one = true;
    turns->is_user = is_user;
    buf_clear(&turns->text);
    if (!content_append(content, &turns->text, err))
        return false;
    if (turns->text.len == 0 && is_user)
        return invalid(err, "messages: user messages must have non-empty content");
    turns->out->input_tokens += tokens_count(buf_bytes(&turns->text)) + TOKENS_PER_TURN;
    return true;
}

static bool turns_read(bytes_t body, arena_t *arena, turns_t *turns, error_t *err)
{
    bytes_t list, turn;
    uint32_t count;
    if (!mp_map_find(body, "messages", &list))
        return invalid(err, "required key [messages] not found");
    mp_reader_t reader = mp_reader(list);
    if (!mp_get_array(&reader, &count))
        return invalid(err, "messages is a list");
    if (count == 0)
        return invalid(err, "messages: at least one message is required");
    while (count--) {
        if (!mp_get_raw(&reader, &turn) || !turn_read(turns, turn, err))
            return err && err->code ? false : invalid(err, "messages is a list of objects");
        if (turns->is_user && !keep(arena, &turns->text, &turns->out->user, err))
            return false;
    }
    return true;
}

static bool system_read(bytes_t body, arena_t *arena, claude_request_t *out, error_t *err)
{
    bytes_t value;
    buf_t text = {0};
    if (!mp_map_find(body, "system", &value))
        return true;
    bool ok = content_append(value, &text, err) && keep(arena, &text, &out->system, err);
    out->input_tokens += tokens_count(buf_bytes(&text));
    buf_free(&text);
    return ok;
}

/* -- numbers ------------------------------------------------------------------------------------- */
static bool max_tokens_read(bytes_t body, claude_request_t *out, error_t *err)
{
    bytes_t value;
    if (!mp_map_find(body, "max_tokens", &value))
        return invalid(err, "required key [max_tokens] not found");
    return (mp_map_i64(body, "max_tokens", &out->max_tokens) && out->max_tokens >= 1 &&
            out->max_tokens <= CLAUDE_OUTPUT_TOKENS_MAX) ||
           invalid(err, "max_tokens is a whole number from 1 to 64000");
}

static bool unit_check(bytes_t body, const char *key, const char *problem, error_t *err)
{
    bytes_t value;
    double number;
    return !mp_map_find(body, key, &value) || (mp_map_double(body, key, &number) && number >= 0 && number <= 1) ||
           invalid(err, problem);
}

static bool sampling_check(const model_t *model, bytes_t body, error_t *err)
{
    bytes_t value;
    int64_t top_k;
    if (!unit_check(body, "temperature", "temperature: range: 0..1", err) ||
        !unit_check(body, "top_p", "top_p: range: 0..1", err))
        return false;
    if (mp_map_find(body, "top_k", &value) && (!mp_map_i64(body, "top_k", &top_k) || top_k < 0))
        return invalid(err, "top_k is a whole number, not negative");
    if (model->refuses_both && mp_map_find(body, "temperature", &value) && mp_map_find(body, "top_p", &value))
        return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                         "`temperature` and `top_p` cannot both be specified for this model. Please use only one.");
    return true;
}

static bool stops_read(bytes_t body, claude_request_t *out, error_t *err)
{
    bytes_t list;
    uint32_t count;
    if (!mp_map_find(body, "stop_sequences", &list))
        return true;
    mp_reader_t reader = mp_reader(list);
    if (!mp_get_array(&reader, &count) || count > CLAUDE_STOPS_MAX)
        return invalid(err, "stop_sequences is a list of at most 64 texts");
    while (count--)
        if (!mp_get_str(&reader, &out->stops[out->stop_count]) || out->stops[out->stop_count++].len == 0)
            return invalid(err, "stop_sequences: each is a non-empty text");
    return true;
}

bool claude_read(const model_t *model, bytes_t body, arena_t *arena, claude_request_t *out, error_t *err)
{
    *out = (claude_request_t){0};
    error_t own = {0};
    turns_t turns = {.out = out};
    bool ok = keys_check(body, &own) && version_check(body, &own) && max_tokens_read(body, out, &own) &&
              sampling_check(model, body, &own) && stops_read(body, out, &own) && system_read(body, arena, out, &own) &&
              turns_read(body, arena, &turns, &own);
    if (ok && out->input_tokens > CLAUDE_CONTEXT_TOKENS_MAX)
        ok = error_set(&own, STATUS_INVALID_ARGUMENT, "ValidationException",
                       "Input is too long for requested model: %" PRId64 " tokens.", out->input_tokens);
    buf_free(&turns.text);
    if (!ok && err)
        *err = own;
    return ok;
}

/* -- answers ------------------------------------------------------------------------------------- */
void claude_cut(const claude_request_t *request, const model_t *model, bytes_t text, claude_answer_t *out)
{
    out->model = model;
    out->text = text;
    out->stop_reason = "end_turn";
    out->stop_sequence = BYTES_NONE;
    out->input_tokens = request->input_tokens;
    for (size_t i = 0; i < request->stop_count; i++) {
        bytes_t stop = request->stops[i];
        const uint8_t *found = out->text.len ? memmem(out->text.data, out->text.len, stop.data, stop.len) : NULL;
        if (!found)
            continue;
        out->text.len = (size_t)(found - out->text.data);
        out->stop_reason = "stop_sequence";
        out->stop_sequence = stop;
    }
    if (tokens_count(out->text) > request->max_tokens) {
        out->text.len = tokens_bytes(out->text, request->max_tokens);
        out->stop_reason = "max_tokens";
        out->stop_sequence = BYTES_NONE;
    }
    out->output_tokens = tokens_count(out->text);
}

static void head_write(const claude_answer_t *answer, buf_t *json)
{
    buf_printf(json, "\"id\":\"%s\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%s\",", answer->id,
               answer->model->name);
}

static void stop_write(const claude_answer_t *answer, buf_t *json)
{
    buf_printf(json, "\"stop_reason\":\"%s\",\"stop_sequence\":", answer->stop_reason);
    if (answer->stop_sequence.len)
        json_string_append(json, answer->stop_sequence);
    else
        buf_append_cstr(json, "null");
}

void claude_write_answer(const claude_answer_t *answer, buf_t *json)
{
    buf_append_byte(json, '{');
    head_write(answer, json);
    buf_append_cstr(json, "\"content\":[{\"type\":\"text\",\"text\":");
    json_string_append(json, answer->text);
    buf_append_cstr(json, "}],");
    stop_write(answer, json);
    buf_printf(json, ",\"usage\":{\"input_tokens\":%" PRId64 ",\"output_tokens\":%" PRId64 "}}", answer->input_tokens,
               answer->output_tokens);
}

void claude_write_start(const claude_answer_t *answer, buf_t *json)
{
    buf_append_cstr(json, "{\"type\":\"message_start\",\"message\":{");
    head_write(answer, json);
    buf_printf(json,
               "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":%" PRId64
               ",\"output_tokens\":1}}}",
               answer->input_tokens);
}

void claude_write_block_start(buf_t *json)
{
    buf_append_cstr(
        json, "{\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}");
}

void claude_write_delta(bytes_t piece, buf_t *json)
{
    buf_append_cstr(json, "{\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":");
    json_string_append(json, piece);
    buf_append_cstr(json, "}}");
}

void claude_write_block_stop(buf_t *json)
{
    buf_append_cstr(json, "{\"type\":\"content_block_stop\",\"index\":0}");
}

void claude_write_end(const claude_answer_t *answer, buf_t *json)
{
    buf_append_cstr(json, "{\"type\":\"message_delta\",\"delta\":{");
    stop_write(answer, json);
    buf_printf(json, "},\"usage\":{\"output_tokens\":%" PRId64 "}}", answer->output_tokens);
}

void claude_write_stop(const claude_answer_t *answer, int64_t first_byte_ms, int64_t latency_ms, buf_t *json)
{
    buf_printf(json,
               "{\"type\":\"message_stop\",\"amazon-bedrock-invocationMetrics\":{\"inputTokenCount\":%" PRId64
               ",\"outputTokenCount\":%" PRId64 ",\"invocationLatency\":%" PRId64 ",\"firstByteLatency\":%" PRId64 "}}",
               answer->input_tokens, answer->output_tokens, latency_ms, first_byte_ms);
}
