/* json_write.c: msgpack to JSON in one pass over the value. */
#include <math.h>

#include "proto/base64.h"
#include "proto/decimal.h"
#include "proto/json.h"
#include "proto/json_internal.h"

typedef struct {
    bytes_t key; /* of the current item; data is NULL before the first */
    uint32_t done, count;
    bool map;
} level_t;

typedef struct {
    mp_reader_t in;
    buf_t *out;
    json_style_t style;
    unsigned depth;
    error_t *err;
    level_t levels[MP_DEPTH_MAX];
} writer_t;

static bool broken(writer_t *w, size_t at, const char *why)
{
    json_path_t path;
    json_path_begin(&path);
    for (unsigned i = w->depth; i-- > 0;) {
        const level_t *level = &w->levels[i];
        if (!level->map)
            json_path_prepend_index(&path, level->done);
        else if (level->key.data)
            json_path_prepend_key(&path, level->key);
    }
    return error_set(w->err, STATUS_INVALID_ARGUMENT, "SerializationException",
                     "msgpack does not become JSON at byte %zu, in %s: %s", at, json_path_text(&path), why);
}

/* -- values ------------------------------------------------------------------------------------- */

static void unsigned_write(buf_t *out, uint64_t v)
{
    char text[20], *p = text + sizeof text;
    do
        *--p = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    buf_append(out, p, (size_t)(text + sizeof text - p));
}

static bool string_write(writer_t *w, bytes_t s)
{
    size_t stopped = json_quote(w->out, s, false);
    if (stopped == s.len)
        return true;
    return broken(w, (size_t)(s.data - w->in.start) + stopped, "a string is not UTF-8");
}

static bool double_write(writer_t *w, size_t at, double v)
{
    if (!isfinite(v))
        return broken(w, at, isnan(v) ? "NaN, which JSON does not have" : "an infinity, which JSON does not have");
    json_double_append(w->out, v);
    return true;
}

static void base64_write(buf_t *out, bytes_t data)
{
    buf_append_byte(out, '"');
    base64_encode(out, data);
    buf_append_cstr(out, "\"}");
}

static bool ext_write(writer_t *w, size_t at, const mp_token_t *t)
{
    json_number_t n;
    if (t->ext_type != JSON_EXT_DECIMAL) {
        buf_printf(w->out,
                   w->style == JSON_PRETTY ? "{\"$ext\": %d, \"data\": " : "{\"$ext\":%d,\"data\":", t->ext_type);
        base64_write(w->out, t->bytes);
        return true;
    }
    if (!json_number_read(t->bytes, &n) || n.len != t->bytes.len)
        return broken(w, at, "an extension 1 that holds no JSON number");
    buf_append_bytes(w->out, t->bytes);
    return true;
}

static bool scalar_write(writer_t *w, size_t at, const mp_token_t *t)
{
    switch (t->type) {
    case MP_STR:
        return string_write(w, t->bytes);
    case MP_FLOAT:
        return double_write(w, at, t->f64);
    case MP_EXT:
        return ext_write(w, at, t);
    case MP_BIN:
        buf_append_cstr(w->out, w->style == JSON_PRETTY ? "{\"$binary\": " : "{\"$binary\":");
        base64_write(w->out, t->bytes);
        return true;
    case MP_INT:
        buf_append_byte(w->out, '-');
        unsigned_write(w->out, 0 - t->u64);
        return true;
    case MP_UINT:
        unsigned_write(w->out, t->u64);
        return true;
    case MP_BOOL:
        buf_append_cstr(w->out, t->boolean ? "true" : "false");
        return true;
    default:
        buf_append_cstr(w->out, "null");
        return true;
    }
}

/* -- containers --------------------------------------------------------------------------------- */

static void line_begin(writer_t *w)
{
    static const char spaces[2 * JSON_INDENT_LEVELS_MAX + 1] =
        "                                                                "
        "                                                                ";
    unsigned levels = w->depth < JSON_INDENT_LEVELS_MAX ? w->depth : JSON_INDENT_LEVELS_MAX;
    if (w->style != JSON_PRETTY)
        return;
    buf_append_byte(w->out, '\n');
    buf_append(w->out, spaces, 2 * (size_t)levels);
}

static bool container_open(writer_t *w, size_t at, const mp_token_t *t)
{
    bool map = t->type == MP_MAP;
    if (w->depth == MP_DEPTH_MAX)
        return broken(w, at, "it nests too deep");
    w->levels[w->depth++] = (level_t){.count = t->count, .map = map};
    buf_append_byte(w->out, map ? '{' : '[');
    return true;
}

/* Ends every container whose items are all written. */
static void containers_close(writer_t *w)
{
    while (w->depth > 0 && w->levels[w->depth - 1].done == w->levels[w->depth - 1].count) {
        const level_t *level = &w->levels[--w->depth];
        if (level->count > 0)
            line_begin(w);
        buf_append_byte(w->out, level->map ? '}' : ']');
        if (w->depth > 0)
            w->levels[w->depth - 1].done++;
    }
}

static const char *token_name(mp_type_t type)
{
    static const char *const names[] = {"a map key that is nil",      "a map key that is a boolean",
                                        "a map key that is a number", "a map key that is a number",
                                        "a map key that is a number", "",
                                        "a map key that is binary",   "a map key that is an extension",
                                        "a map key that is an array", "a map key that is a map"};
    return names[type];
}

static bool key_write(writer_t *w, level_t *level)
{
    mp_token_t t;
    size_t at = mp_offset(&w->in);
    level->key = BYTES_NONE;
    if (!mp_next(&w->in, &t))
        return broken(w, at, w->in.error ? w->in.error : "a key is missing");
    if (t.type != MP_STR)
        return broken(w, at, token_name(t.type));
    if (!string_write(w, t.bytes))
        return false;
    level->key = t.bytes;
    buf_append_cstr(w->out, w->style == JSON_PRETTY ? ": " : ":");
    return true;
}

/* What stands before the next value of the innermost container. */
static bool item_begin(writer_t *w)
{
    if (w->depth == 0)
        return true;
    level_t *level = &w->levels[w->depth - 1];
    if (level->done > 0)
        buf_append_byte(w->out, ',');
    line_begin(w);
    return level->map ? key_write(w, level) : true;
}

static bool value_write(writer_t *w)
{
    mp_token_t t;
    size_t at = mp_offset(&w->in);
    if (!mp_next(&w->in, &t))
        return broken(w, at, w->in.error ? w->in.error : "a value is missing");
    if (t.type == MP_MAP || t.type == MP_ARRAY)
        return container_open(w, at, &t);
    if (!scalar_write(w, at, &t))
        return false;
    if (w->depth > 0)
        w->levels[w->depth - 1].done++;
    return true;
}

static bool document_write(writer_t *w)
{
    do {
        if (!item_begin(w) || !value_write(w))
            return false;
        containers_close(w);
    } while (w->depth > 0);
    if (mp_left(&w->in) > 0)
        return broken(w, mp_offset(&w->in), "more bytes follow the value");
    return true;
}

bool json_from_msgpack(bytes_t value, json_style_t style, buf_t *out, error_t *err)
{
    writer_t w;
    size_t base = out->len;
    w.in = mp_reader(value);
    w.out = out;
    w.style = style;
    w.depth = 0;
    w.err = err;
    if (!document_write(&w)) {
        out->len = base;
        return false;
    }
    return out->failed ? error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for this value's JSON") : true;
}
