/* fm_titan.c: Titan's embeddings, one text a request. */
#include "services/fm-invoker/fm_titan.h"

#include <inttypes.h>
#include <math.h>

#include "proto/contract/calls_fm.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "services/fm-invoker/fm_tokens.h"

#define ANSWER_MAX_BYTES ((size_t)4 << 20)
#define ANSWER_DEPTH_MAX 16

void fm_titan_write(const char *model_id, bytes_t text, int64_t dimension, bool normalize, buf_t *json)
{
    buf_append_cstr(json, "{\"inputText\":");
    json_string_append(json, text);
    if (!strstr(model_id, "embed-text-v1")) {
        if (dimension > 0)
            buf_printf(json, ",\"dimensions\":%" PRId64, dimension);
        buf_printf(json, ",\"normalize\":%s", normalize ? "true" : "false");
    }
    buf_append_byte(json, '}');
}

/* A number of JSON may have come as a double, an integer or, with more digits than a double holds, as its text. */
static bool number_read(mp_reader_t *reader, double *out)
{
    mp_token_t token;
    if (!mp_next(reader, &token))
        return false;
    switch (token.type) {
    case MP_FLOAT:
        *out = token.f64;
        return true;
    case MP_UINT:
        *out = (double)token.u64;
        return true;
    case MP_INT:
        *out = (double)token.i64;
        return true;
    case MP_EXT:
        return token.ext_type == JSON_EXT_DECIMAL && json_number_nearest(token.bytes, out);
    default:
        return false;
    }
}

static void float_append(buf_t *out, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    const uint8_t bytes[4] = {(uint8_t)bits, (uint8_t)(bits >> 8), (uint8_t)(bits >> 16), (uint8_t)(bits >> 24)};
    buf_append(out, bytes, sizeof bytes);
}

bool fm_vector_read(bytes_t array, buf_t *vector)
{
    mp_reader_t reader = mp_reader(array);
    uint32_t count;
    size_t start = vector->len;
    double number;
    if (!mp_get_array(&reader, &count) || count == 0 || count > FM_EMBED_DIMENSION_MAX)
        return false;
    while (count--) {
        if (!number_read(&reader, &number) || !isfinite((float)number)) {
            vector->len = start;
            return false;
        }
        float_append(vector, (float)number);
    }
    return !vector->failed;
}

bool fm_titan_read(bytes_t json, buf_t *vector, int64_t *tokens, error_t *err)
{
    const json_limits_t limits = {.max_bytes = ANSWER_MAX_BYTES, .max_depth = ANSWER_DEPTH_MAX};
    buf_t map = {0};
    bytes_t array;
    bool ok = json_to_msgpack(json, &limits, &map, NULL) && mp_map_find(buf_bytes(&map), "embedding", &array) &&
              fm_vector_read(array, vector);
    if (!ok || !fm_tokens_take(buf_bytes(&map), "inputTextTokenCount", tokens))
        *tokens = 0;
    buf_free(&map);
    return ok || error_set(err, STATUS_DATA_LOSS, NULL, "the model's answer holds no vector");
}
