/* titan.c: Titan embeddings, over hashed n-grams. */
#include "tools/sims/bedrock-sim/titan.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistr.h>

#include "proto/msgpack.h"
#include "tools/sims/bedrock-sim/tokens.h"
#include "tools/sims/bedrock-sim/vector.h"

#define V1_DIMENSION 1536
#define V2_DIMENSION 1024
#define V2_TYPES_MAX 2

static bool invalid(error_t *err, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "Malformed input request: %s, please reformat your input and try again.", what);
}

static bool keys_check(const model_t *model, bytes_t body, error_t *err)
{
    static const char *const known[] = {"inputText", "dimensions", "normalize", "embeddingTypes"};
    mp_reader_t reader = mp_reader(body);
    uint32_t count;
    bytes_t key;
    if (!mp_get_map(&reader, &count))
        return invalid(err, "expected a JSON object");
    size_t allowed = model->kind == MODEL_TITAN_V1 ? 1 : ARRAY_LEN(known);
    while (count--) {
        if (!mp_get_str(&reader, &key) || !mp_skip(&reader))
            return invalid(err, "expected a JSON object");
        size_t i = 0;
        while (i < allowed && !bytes_eq_cstr(key, known[i]))
            i++;
        if (i == allowed)
            return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                             "Malformed input request: extraneous key [%.*s] is not permitted, please reformat your "
                             "input and try again.",
                             (int)(key.len < 64 ? key.len : 64), (const char *)key.data);
    }
    return true;
}

static bool text_read(bytes_t body, titan_request_t *out, error_t *err)
{
    if (!mp_map_str(body, "inputText", &out->text))
        return invalid(err, "required key [inputText] not found");
    if (out->text.len == 0)
        return invalid(err, "#/inputText: expected minLength: 1, actual: 0");
    if (u8_mbsnlen(out->text.data, out->text.len) > TITAN_CHARACTERS_MAX)
        return invalid(err, "#/inputText: expected maxLength: 50000");
    out->tokens = tokens_count(out->text);
    return out->tokens <= TITAN_TOKENS_MAX ||
           error_set(
               err, STATUS_INVALID_ARGUMENT, "ValidationException",
               "400 Bad Request: Too many input tokens. Max input tokens: %d, request input token count: %" PRId64,
               TITAN_TOKENS_MAX, out->tokens);
}

static bool dimension_read(bytes_t body, titan_request_t *out, error_t *err)
{
    bytes_t value;
    int64_t wanted;
    if (!mp_map_find(body, "dimensions", &value))
        return true;
    if (!mp_map_i64(body, "dimensions", &wanted) || (wanted != 1024 && wanted != 512 && wanted != 256))
        return invalid(err, "#/dimensions: expected one of [256, 512, 1024]");
    out->dimension = (size_t)wanted;
    return true;
}

static bool types_read(bytes_t body, titan_request_t *out, error_t *err)
{
    bytes_t list, type;
    uint32_t count;
    if (!mp_map_find(body, "embeddingTypes", &list))
        return true;
    mp_reader_t reader = mp_reader(list);
    if (!mp_get_array(&reader, &count) || count == 0 || count > V2_TYPES_MAX)
        return invalid(err, "#/embeddingTypes: expected a list of float, binary");
    out->wants_float = false;
    out->has_types = true;
    while (count--) {
        if (!mp_get_str(&reader, &type) || (!bytes_eq_cstr(type, "float") && !bytes_eq_cstr(type, "binary")))
            return invalid(err, "#/embeddingTypes: expected float or binary");
        out->wants_float |= bytes_eq_cstr(type, "float");
        out->wants_binary |= bytes_eq_cstr(type, "binary");
    }
    return true;
}

bool titan_read(const model_t *model, bytes_t body, titan_request_t *out, error_t *err)
{
    bytes_t value;
    bool is_v1 = model->kind == MODEL_TITAN_V1;
    *out =
        (titan_request_t){.dimension = is_v1 ? V1_DIMENSION : V2_DIMENSION, .normalize = !is_v1, .wants_float = true};
    if (!keys_check(model, body, err) || !text_read(body, out, err) || !dimension_read(body, out, err) ||
        !types_read(body, out, err))
        return false;
    return !mp_map_find(body, "normalize", &value) || mp_map_bool(body, "normalize", &out->normalize) ||
           invalid(err, "#/normalize: expected true or false");
}

static void floats_write(const float *vector, size_t dimension, buf_t *json)
{
    buf_append_byte(json, '[');
    for (size_t i = 0; i < dimension; i++)
        buf_printf(json, i ? ",%.9g" : "%.9g", (double)vector[i]);
    buf_append_byte(json, ']');
}

static void bits_write(const float *vector, size_t dimension, buf_t *json)
{
    buf_append_byte(json, '[');
    for (size_t i = 0; i < dimension; i++)
        buf_append_cstr(json, i ? vector[i] > 0 ? ",1" : ",0" : vector[i] > 0 ? "1" : "0");
    buf_append_byte(json, ']');
}

void titan_write(const titan_request_t *request, buf_t *json)
{
    float vector[VECTOR_DIMENSION_MAX];
    vector_embed(request->text, request->dimension, request->normalize, vector);
    buf_append_byte(json, '{');
    if (request->wants_float) {
        buf_append_cstr(json, "\"embedding\":");
        floats_write(vector, request->dimension, json);
        buf_append_byte(json, ',');
    }
    buf_printf(json, "\"inputTextTokenCount\":%" PRId64, request->tokens);
    if (request->has_types) {
        buf_append_cstr(json, ",\"embeddingsByType\":{");
        if (request->wants_binary) {
            buf_append_cstr(json, "\"binary\":");
            bits_write(vector, request->dimension, json);
        }
        if (request->wants_float) {
            buf_append_cstr(json, request->wants_binary ? ",\"float\":" : "\"float\":");
            floats_write(vector, request->dimension, json);
        }
        buf_append_byte(json, '}');
    }
    buf_append_byte(json, '}');
}
