/* json_read.c: JSON to msgpack in one pass over the text, and one over the result to shorten its heads. */
#include <endian.h>

#include "proto/base64.h"
#include "proto/json.h"
#include "proto/json_internal.h"
#include "proto/utf8.h"

#define OPEN_HEAD_BYTES 5 /* what mp_map_begin and mp_array_begin write */
#define BETWEEN UINT32_MAX

typedef struct {
    uint32_t head; /* offset in the output, from `base` */
    uint32_t count;
    uint32_t key; /* of the current item: the key's offset in the output (any value in an array), or BETWEEN items */
    bool map;
} level_t;

typedef struct {
    const uint8_t *start, *p, *end;
    buf_t *out;
    size_t base; /* where our output begins in `out` */
    unsigned depth, max_depth;
    error_t *err;
    level_t levels[MP_DEPTH_MAX];
} reader_t;

/* What the text must go on with. */
typedef enum {
    STEP_VALUE,
    STEP_AFTER, /* a value has ended */
    STEP_DONE,
    STEP_BROKEN,
} step_t;

/* -- errors ------------------------------------------------------------------------------------- */

static void path_write(const reader_t *r, json_path_t *path)
{
    json_path_begin(path);
    for (unsigned i = r->depth; i-- > 0;) {
        const level_t *level = &r->levels[i];
        if (level->key == BETWEEN)
            continue;
        if (!level->map) {
            json_path_prepend_index(path, level->count);
            continue;
        }
        size_t at = r->base + level->key;
        mp_reader_t key = mp_reader(bytes_from(r->out->data + at, r->out->len - at));
        bytes_t name;
        if (mp_get_str(&key, &name))
            json_path_prepend_key(path, name);
    }
}

/* Lines end with LF; columns count characters, both from 1. */
static void position(const reader_t *r, const uint8_t *at, size_t *line, size_t *column)
{
    *line = *column = 1;
    for (const uint8_t *p = r->start; p < at; p++) {
        if (*p == '\n') {
            ++*line;
            *column = 1;
        } else if ((*p & 0xC0) != 0x80) {
            ++*column;
        }
    }
}

static bool broken(reader_t *r, const uint8_t *at, const char *why)
{
    json_path_t path;
    size_t line, column;
    if (!r->err || r->out->failed)
        return false;
    path_write(r, &path);
    position(r, at, &line, &column);
    return error_set(r->err, STATUS_INVALID_ARGUMENT, "SerializationException",
                     "JSON is broken at line %zu, column %zu (byte %zu), in %s: %s", line, column,
                     (size_t)(at - r->start), json_path_text(&path), why);
}

static step_t broken_step(reader_t *r, const uint8_t *at, const char *why)
{
    (void)broken(r, at, why);
    return STEP_BROKEN;
}

/* -- strings ------------------------------------------------------------------------------------ */

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    uint8_t letter = c | 0x20;
    return letter >= 'a' && letter <= 'f' ? letter - 'a' + 10 : -1;
}

/* The four hex digits after \u at p; -1 when they are not there. */
static int32_t hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t v = 0;
    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

static bool is_high_surrogate(int32_t c)
{
    return c >= 0xD800 && c <= 0xDBFF;
}

static bool is_low_surrogate(int32_t c)
{
    return c >= 0xDC00 && c <= 0xDFFF;
}

/* The code point of the \u escape, or pair of them, at p; -1 when it is broken, -2 for half a pair. */
static int32_t unicode_escape(const uint8_t *p, const uint8_t *end, size_t *len)
{
    int32_t c = hex4(p, end);
    *len = 6;
    if (c < 0)
        return -1;
    if (is_low_surrogate(c))
        return -2;
    if (!is_high_surrogate(c))
        return c;
    int32_t low = hex4(p + 6, end);
    *len = 12;
    return is_low_surrogate(low) ? 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00) : -2;
}

/* What the two-character escape \c stands for; 0 for none. */
static uint8_t short_escape(uint8_t c)
{
    switch (c) {
    case '"':
    case '\\':
    case '/':
        return c;
    case 'b':
        return '\b';
    case 'f':
        return '\f';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 't':
        return '\t';
    default:
        return 0;
    }
}

/* Writes what the escape at p stands for; returns its length, and in *len the escape's own; 0 when broken. */
static size_t escape_decode(const uint8_t *p, const uint8_t *end, uint8_t out[4], size_t *len)
{
    out[0] = end - p >= 2 ? short_escape(p[1]) : 0;
    *len = 2;
    if (out[0])
        return 1;
    int32_t c = unicode_escape(p, end, len);
    return c < 0 ? 0 : utf8_put((uint32_t)c, out);
}

static bool escape_refuse(reader_t *r, const uint8_t *p)
{
    size_t len;
    if (r->end - p >= 2 && p[1] != 'u')
        return broken(r, p, "an unknown escape");
    return broken(r, p,
                  unicode_escape(p, r->end, &len) == -2 ? "half a surrogate pair" : "\\u without four hex digits");
}

/* Takes what is special at r->p: an escape, or a character that is not ASCII. *saved grows by how much shorter the
 * text becomes. */
static bool special_take(reader_t *r, size_t *saved)
{
    uint8_t decoded[4];
    size_t len;
    uint8_t c = *r->p;
    if (c >= 0x80) {
        len = utf8_sequence(r->p, (size_t)(r->end - r->p));
        if (len == 0)
            return broken(r, r->p, "a byte that is not UTF-8");
    } else if (c == '\\') {
        size_t n = escape_decode(r->p, r->end, decoded, &len);
        if (n == 0)
            return escape_refuse(r, r->p);
        *saved += len - n;
    } else {
        return broken(r, r->p, "a control character in a string");
    }
    r->p += len;
    return true;
}

/* Appends the string whose text between the quotes is `text`, known to be good. */
static void string_unescape(buf_t *out, bytes_t text, size_t decoded_bytes)
{
    const uint8_t *p = text.data, *end = p + text.len;
    uint8_t decoded[4];
    size_t len;
    mp_put_str_head(out, decoded_bytes);
    while (p < end) {
        const uint8_t *escape = memchr(p, '\\', (size_t)(end - p));
        if (!escape)
            escape = end;
        buf_append(out, p, (size_t)(escape - p));
        p = escape;
        if (p < end) {
            buf_append(out, decoded, escape_decode(p, end, decoded, &len));
            p += len;
        }
    }
}

/* Takes the string at r->p, which is its opening quote. */
static bool string_read(reader_t *r)
{
    const uint8_t *open = r->p++;
    size_t saved = 0;
    while ((r->p = json_plain_end(r->p, r->end)) < r->end && *r->p != '"')
        if (!special_take(r, &saved))
            return false;
    if (r->p == r->end)
        return broken(r, open, "the string is not closed");
    bytes_t text = bytes_from(open + 1, (size_t)(r->p++ - open - 1));
    if (saved == 0)
        mp_put_str(r->out, text);
    else
        string_unescape(r->out, text, text.len - saved);
    return true;
}

/* -- scalars ------------------------------------------------------------------------------------ */

static bool number_read(reader_t *r)
{
    json_number_t n;
    bytes_t rest = bytes_from(r->p, (size_t)(r->end - r->p));
    if (!json_number_read(rest, &n))
        return broken(r, r->p + n.len, "a digit is missing in a number");
    if (n.type == JSON_UINT)
        mp_put_u64(r->out, n.u64);
    else if (n.type == JSON_INT)
        mp_put_i64(r->out, n.i64);
    else if (n.type == JSON_DOUBLE)
        mp_put_double(r->out, n.f64);
    else
        mp_put_ext(r->out, JSON_EXT_DECIMAL, bytes_from(r->p, n.len));
    r->p += n.len;
    return true;
}

static bool word_is(reader_t *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return false;
    r->p += n;
    return true;
}

static bool word_read(reader_t *r)
{
    if (word_is(r, "true"))
        mp_put_bool(r->out, true);
    else if (word_is(r, "false"))
        mp_put_bool(r->out, false);
    else if (word_is(r, "null"))
        mp_put_nil(r->out);
    else
        return broken(r, r->p, r->p == r->end ? "the text ends where a value should be" : "this starts no value");
    return true;
}

/* -- containers --------------------------------------------------------------------------------- */

static inline uint8_t next_char(reader_t *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
    return r->p < r->end ? *r->p : 0;
}

static step_t key_read(reader_t *r)
{
    level_t *level = &r->levels[r->depth - 1];
    if (next_char(r) != '"')
        return broken_step(r, r->p, "a key in quotes is missing");
    size_t at = r->out->len - r->base;
    if (!string_read(r))
        return STEP_BROKEN;
    level->key = (uint32_t)at;
    if (next_char(r) != ':')
        return broken_step(r, r->p, "':' is missing after a key");
    r->p++;
    return STEP_VALUE;
}

/* Replaces what was written from `head` on by what `put` appends for `payload`, a base64 text in there. */
static void fold(reader_t *r, size_t head, bytes_t text, size_t bytes, const int8_t *ext_type)
{
    buf_t *out = r->out;
    size_t from = (size_t)(text.data - out->data), tail = out->len;
    if (!buf_reserve(out, bytes + 8))
        return;
    bytes_t payload = bytes_from(out->data + from, bytes);
    base64_decode_checked(bytes_from(out->data + from, text.len), out->data + from);
    if (ext_type)
        mp_put_ext(out, *ext_type, payload);
    else
        mp_put_bin(out, payload);
    memmove(out->data + head, out->data + tail, out->len - tail);
    out->len = head + out->len - tail;
}

static bool key_is(mp_reader_t *in, const char *key)
{
    bytes_t name;
    return mp_get_str(in, &name) && bytes_eq_cstr(name, key);
}

/* {"$binary":"…"} and {"$ext":n,"data":"…"} stand for bin and ext; anything that only resembles them is a map. */
static bool special_object(reader_t *r, const level_t *level)
{
    size_t head = r->base + level->head, inside = head + OPEN_HEAD_BYTES, bytes;
    mp_reader_t in = mp_reader(bytes_from(r->out->data + inside, r->out->len - inside));
    int64_t type = 0;
    bytes_t text;
    bool ext = level->count == 2;
    if (r->out->failed || mp_left(&in) < 2 || in.pos[1] != '$')
        return false;
    if (ext && (!key_is(&in, "$ext") || !mp_get_i64(&in, &type) || type < INT8_MIN || type > INT8_MAX ||
                type == JSON_EXT_DECIMAL || !key_is(&in, "data")))
        return false;
    if (!ext && !key_is(&in, "$binary"))
        return false;
    if (!mp_get_str(&in, &text) || !base64_check(text, &bytes, NULL))
        return false;
    int8_t ext_type = (int8_t)type;
    fold(r, head, text, bytes, ext ? &ext_type : NULL);
    return true;
}

static void container_close(reader_t *r)
{
    level_t *level = &r->levels[--r->depth];
    r->p++;
    if (!level->map)
        mp_array_end(r->out, r->base + level->head, level->count);
    else if (level->count == 0 || level->count > 2 || !special_object(r, level))
        mp_map_end(r->out, r->base + level->head, level->count);
}

static step_t container_open(reader_t *r, bool map)
{
    if (r->depth == r->max_depth)
        return broken_step(r, r->p, "it nests too deep");
    size_t head = (map ? mp_map_begin(r->out) : mp_array_begin(r->out)) - r->base;
    r->levels[r->depth++] = (level_t){.head = (uint32_t)head, .key = map ? BETWEEN : 0, .map = map};
    r->p++;
    if (next_char(r) == (map ? '}' : ']')) {
        container_close(r);
        return STEP_AFTER;
    }
    return map ? key_read(r) : STEP_VALUE;
}

/* -- the machine -------------------------------------------------------------------------------- */

static step_t value_read(reader_t *r)
{
    uint8_t c = next_char(r);
    if (c == '"')
        return string_read(r) ? STEP_AFTER : STEP_BROKEN;
    if (c == '{' || c == '[')
        return container_open(r, c == '{');
    if (c == '-' || (c >= '0' && c <= '9'))
        return number_read(r) ? STEP_AFTER : STEP_BROKEN;
    return word_read(r) ? STEP_AFTER : STEP_BROKEN;
}

static step_t value_after(reader_t *r)
{
    uint8_t c = next_char(r);
    if (r->depth == 0)
        return r->p == r->end ? STEP_DONE : broken_step(r, r->p, "more text follows the value");
    level_t *level = &r->levels[r->depth - 1];
    level->count++;
    if (c == (level->map ? '}' : ']')) {
        container_close(r);
        return STEP_AFTER;
    }
    level->key = BETWEEN;
    if (c != ',')
        return broken_step(r, r->p, level->map ? "',' or '}' is missing" : "',' or ']' is missing");
    r->p++;
    if (level->map)
        return key_read(r);
    level->key = 0;
    return STEP_VALUE;
}

static bool document_read(reader_t *r)
{
    step_t step = STEP_VALUE;
    if (r->end - r->p >= 3 && memcmp(r->p, "\xEF\xBB\xBF", 3) == 0)
        return broken(r, r->p, "a byte order mark, which JSON does not have");
    while (step < STEP_DONE)
        step = step == STEP_VALUE ? value_read(r) : value_after(r);
    return step == STEP_DONE;
}

/* Containers were begun with five-byte heads, their counts being unknown: most need one. Moves what lies between
 * heads down, each byte at most once. */
static void heads_shorten(buf_t *out, size_t base)
{
    mp_reader_t in = mp_reader(bytes_from(out->data + base, out->len - base));
    const uint8_t *run = in.start;
    mp_token_t t;
    out->len = base; /* the shortened text never overtakes what is still to be read */
    for (const uint8_t *at = in.pos; mp_next(&in, &t); at = in.pos) {
        if (t.type != MP_ARRAY && t.type != MP_MAP)
            continue;
        memmove(out->data + out->len, run, (size_t)(at - run));
        out->len += (size_t)(at - run);
        run = in.pos;
        if (t.type == MP_MAP)
            mp_put_map(out, t.count);
        else
            mp_put_array(out, t.count);
    }
    memmove(out->data + out->len, run, (size_t)(in.end - run));
    out->len += (size_t)(in.end - run);
}

bool json_to_msgpack(bytes_t json, const json_limits_t *limits, buf_t *out, error_t *err)
{
    size_t max_bytes = limits && limits->max_bytes ? limits->max_bytes : JSON_BYTES_MAX;
    unsigned depth = limits ? limits->max_depth : 0;
    if (json.len > max_bytes)
        return error_set(err, STATUS_INVALID_ARGUMENT, "RequestTooLargeException",
                         "JSON of %zu bytes is over the limit of %zu bytes", json.len, max_bytes);
    reader_t r;
    r.start = r.p = json.data ? json.data : (const uint8_t *)"";
    r.end = r.start + json.len;
    r.out = out;
    r.base = out->len;
    r.depth = 0;
    r.max_depth = depth > 0 && depth < MP_DEPTH_MAX ? depth : MP_DEPTH_MAX;
    r.err = err;
    bool good = document_read(&r);
    if (out->failed)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the msgpack of this JSON");
    if (good)
        heads_shorten(out, r.base);
    else
        out->len = r.base;
    return good;
}
