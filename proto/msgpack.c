/* msgpack.c: reads msgpack in place, finds keys in it, and checks it whole. */
#include "proto/msgpack.h"

#include <endian.h>

#define TEXT_OF(x) #x
#define TEXT(x) TEXT_OF(x)
#define DEPTH_TEXT TEXT(MP_DEPTH_MAX)

static const char ended[] = "the input ends inside a value";
static const char no_value[] = "a value is missing";
static const char bad_tag[] = "byte 0xc1 starts no value";
static const char wrong_type[] = "the value has another type than asked for";
static const char out_of_range[] = "the number is out of range";

static bool refuse(mp_reader_t *r, const char *why)
{
    if (!r->error)
        r->error = why;
    return false;
}

static inline uint16_t load16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof v);
    return be16toh(v);
}

static inline uint32_t load32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return be32toh(v);
}

static inline uint64_t load64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return be64toh(v);
}

/* The unsigned number of `bytes` (1, 2, 4 or 8) bytes at p. */
static inline uint64_t load(const uint8_t *p, unsigned bytes)
{
    switch (bytes) {
    case 1:
        return p[0];
    case 2:
        return load16(p);
    case 4:
        return load32(p);
    default:
        return load64(p);
    }
}

/* What a tag between 0xc0 and 0xdf is followed by. */
typedef struct {
    uint8_t type;  /* mp_type_t */
    uint8_t bytes; /* of the number or length after the tag */
    uint8_t fixed; /* payload bytes of a fixext */
} tag_t;

#define TAG_NONE 0xFF
#define TAG_UINT8 0xCC /* and 16, 32 behind it */
#define TAG_UINT64 0xCF

static const tag_t tags[32] = {
    {MP_NIL, 0, 0},   {TAG_NONE, 0, 0}, {MP_BOOL, 0, 0}, {MP_BOOL, 0, 0},                  /* c0 */
    {MP_BIN, 1, 0},   {MP_BIN, 2, 0},   {MP_BIN, 4, 0},                                    /* c4 */
    {MP_EXT, 1, 0},   {MP_EXT, 2, 0},   {MP_EXT, 4, 0},                                    /* c7 */
    {MP_FLOAT, 4, 0}, {MP_FLOAT, 8, 0},                                                    /* ca */
    {MP_UINT, 1, 0},  {MP_UINT, 2, 0},  {MP_UINT, 4, 0}, {MP_UINT, 8, 0},                  /* cc */
    {MP_INT, 1, 0},   {MP_INT, 2, 0},   {MP_INT, 4, 0},  {MP_INT, 8, 0},                   /* d0 */
    {MP_EXT, 0, 1},   {MP_EXT, 0, 2},   {MP_EXT, 0, 4},  {MP_EXT, 0, 8},  {MP_EXT, 0, 16}, /* d4 */
    {MP_STR, 1, 0},   {MP_STR, 2, 0},   {MP_STR, 4, 0},                                    /* d9 */
    {MP_ARRAY, 2, 0}, {MP_ARRAY, 4, 0},                                                    /* dc */
    {MP_MAP, 2, 0},   {MP_MAP, 4, 0},                                                      /* de */
};

static double load_float(const uint8_t *p, unsigned bytes)
{
    if (bytes == 4) {
        uint32_t bits = load32(p);
        float f;
        memcpy(&f, &bits, sizeof f);
        return (double)f;
    }
    uint64_t bits = load64(p);
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}

static void load_signed(const uint8_t *p, unsigned bytes, mp_token_t *out)
{
    unsigned shift = 64 - 8 * bytes;
    int64_t v = (int64_t)(load(p, bytes) << shift) >> shift;
    out->type = v < 0 ? MP_INT : MP_UINT;
    out->i64 = v;
}

/* `len` bytes of payload at p. */
static inline bool payload(mp_reader_t *r, const uint8_t *p, uint64_t len, mp_token_t *out)
{
    if (len > (size_t)(r->end - p))
        return refuse(r, ended);
    out->bytes = bytes_from(p, (size_t)len);
    r->pos = p + len;
    return true;
}

/* Every value takes a byte at least, so a count above the bytes left is a lie. */
static inline bool container(mp_reader_t *r, const uint8_t *p, uint64_t count, mp_token_t *out)
{
    uint64_t values = out->type == MP_MAP ? 2 * count : count;
    if (values > (size_t)(r->end - p))
        return refuse(r, ended);
    out->count = (uint32_t)count;
    r->pos = p;
    return true;
}

static bool scalar(mp_reader_t *r, const uint8_t *p, unsigned bytes, mp_token_t *out)
{
    if (out->type == MP_UINT)
        out->u64 = load(p, bytes);
    else if (out->type == MP_INT)
        load_signed(p, bytes, out);
    else if (out->type == MP_FLOAT)
        out->f64 = load_float(p, bytes);
    else if (out->type == MP_BOOL)
        out->boolean = p[-1] & 1;
    r->pos = p + bytes;
    return true;
}

static bool extension(mp_reader_t *r, const uint8_t *p, tag_t tag, mp_token_t *out)
{
    uint64_t len = tag.bytes ? load(p, tag.bytes) : tag.fixed;
    p += tag.bytes;
    if (p == r->end)
        return refuse(r, ended);
    out->ext_type = (int8_t)*p;
    return payload(r, p + 1, len, out);
}

static bool tagged(mp_reader_t *r, uint8_t c, mp_token_t *out)
{
    tag_t tag = tags[c - 0xC0];
    const uint8_t *p = r->pos + 1;
    if (tag.type == TAG_NONE)
        return refuse(r, bad_tag);
    if (tag.bytes > (size_t)(r->end - p))
        return refuse(r, ended);
    out->type = (mp_type_t)tag.type;
    switch (out->type) {
    case MP_STR:
    case MP_BIN:
        return payload(r, p + tag.bytes, load(p, tag.bytes), out);
    case MP_ARRAY:
    case MP_MAP:
        return container(r, p + tag.bytes, load(p, tag.bytes), out);
    case MP_EXT:
        return extension(r, p, tag, out);
    default:
        return scalar(r, p, tag.bytes, out);
    }
}

static inline bool small(mp_reader_t *r, mp_token_t *out, mp_type_t type, uint64_t value)
{
    out->type = type;
    out->u64 = value;
    r->pos++;
    return true;
}

static inline bool token(mp_reader_t *r, mp_token_t *out)
{
    uint8_t c = *r->pos;
    if (c < 0x80)
        return small(r, out, MP_UINT, c);
    if (c >= 0xE0)
        return small(r, out, MP_INT, (uint64_t)(int8_t)c);
    if (c >= 0xC0)
        return tagged(r, c, out);
    if (c >= 0xA0) {
        out->type = MP_STR;
        return payload(r, r->pos + 1, c & 0x1F, out);
    }
    out->type = c >= 0x90 ? MP_ARRAY : MP_MAP;
    return container(r, r->pos + 1, c & 0x0F, out);
}

bool mp_next_long(mp_reader_t *r, mp_token_t *out)
{
    return !r->error && r->pos < r->end && token(r, out);
}

bool mp_peek(const mp_reader_t *r, mp_type_t *out)
{
    mp_reader_t ahead = *r;
    mp_token_t t;
    if (!mp_next(&ahead, &t))
        return false;
    *out = t.type;
    return true;
}

/* For reads that need a value: its absence is an error, not an end. */
static inline bool need(mp_reader_t *r, mp_token_t *out)
{
    if (r->error)
        return false;
    return r->pos < r->end ? token(r, out) : refuse(r, no_value);
}

/* A refusal after a good token: the reader goes back to where the token began. */
static bool refuse_at(mp_reader_t *r, const uint8_t *at, const char *why)
{
    r->pos = at;
    return refuse(r, why);
}

/* Values still to come inside what was just read. */
static inline uint64_t values_within(const mp_token_t *t)
{
    return t->type == MP_ARRAY ? t->count : t->type == MP_MAP ? 2 * (uint64_t)t->count : 0;
}

const uint8_t mp_short_bytes[256] = {
    [0x00 ... 0x7F] = 1, [0x80] = 1, [0x90] = 1, [0xC0] = 1, [0xC2 ... 0xC3] = 1, [0xE0 ... 0xFF] = 1, [0xCC] = 2,
    [0xD0] = 2,          [0xCD] = 3, [0xD1] = 3, [0xCA] = 5, [0xCE] = 5,          [0xD2] = 5,          [0xCB] = 9,
    [0xCF] = 9,          [0xD3] = 9, [0xD4] = 3, [0xD5] = 4, [0xD6] = 6,          [0xD7] = 10,         [0xD8] = 18};

#define SMALL_NUMBERS UINT64_C(0x8080808080808080) /* a bit of each that is none */

bool mp_skip_long(mp_reader_t *r)
{
    /* Never above the bytes left, for each value takes one: so it cannot overflow, and a lie is found before
     * the loop has walked what is there. */
    uint64_t todo = 1;
    mp_token_t t;
    if (r->error)
        return false;
    do {
        const uint8_t *at = r->pos;
        size_t len = mp_short_length(at, mp_left(r));
        r->pos += len;
        if (!len && !need(r, &t))
            return false;
        todo += len ? 0 : values_within(&t);
        if (--todo > mp_left(r))
            return refuse_at(r, at, ended);
        for (; todo >= 8 && !(bytes_load64(r->pos) & SMALL_NUMBERS); todo -= 8)
            r->pos += 8; /* there are as many bytes as there is to do */
    } while (todo > 0);
    return true;
}

bool mp_get_raw(mp_reader_t *r, bytes_t *out)
{
    const uint8_t *start = r->pos;
    if (!mp_skip(r))
        return false;
    *out = bytes_from(start, (size_t)(r->pos - start));
    return true;
}

static inline bool need_type(mp_reader_t *r, mp_type_t type, mp_token_t *out)
{
    const uint8_t *at = r->pos;
    if (!need(r, out))
        return false;
    return out->type == type ? true : refuse_at(r, at, wrong_type);
}

bool mp_get_nil(mp_reader_t *r)
{
    mp_token_t t;
    return need_type(r, MP_NIL, &t);
}

bool mp_get_bool(mp_reader_t *r, bool *out)
{
    mp_token_t t;
    if (!need_type(r, MP_BOOL, &t))
        return false;
    *out = t.boolean;
    return true;
}

static bool need_integer(mp_reader_t *r, mp_token_t *out)
{
    const uint8_t *at = r->pos;
    if (!need(r, out))
        return false;
    return out->type == MP_UINT || out->type == MP_INT ? true : refuse_at(r, at, wrong_type);
}

bool mp_get_u64_long(mp_reader_t *r, uint64_t *out)
{
    const uint8_t *at = r->pos;
    if (!r->error && mp_left(r) > sizeof *out && *at >= TAG_UINT8 && *at <= TAG_UINT64) {
        unsigned bytes = 1u << (*at - TAG_UINT8);
        *out = load64(at + 1) >> (64 - 8 * bytes);
        r->pos += 1 + bytes;
        return true;
    }
    mp_token_t t;
    if (!need_integer(r, &t))
        return false;
    if (t.type == MP_INT)
        return refuse_at(r, at, out_of_range);
    *out = t.u64;
    return true;
}

bool mp_get_u32(mp_reader_t *r, uint32_t *out)
{
    const uint8_t *at = r->pos;
    uint64_t v;
    if (!mp_get_u64(r, &v))
        return false;
    if (v > UINT32_MAX)
        return refuse_at(r, at, out_of_range);
    *out = (uint32_t)v;
    return true;
}

bool mp_get_i64(mp_reader_t *r, int64_t *out)
{
    const uint8_t *at = r->pos;
    mp_token_t t;
    if (!need_integer(r, &t))
        return false;
    if (t.type == MP_UINT && t.u64 > INT64_MAX)
        return refuse_at(r, at, out_of_range);
    *out = t.i64;
    return true;
}

/* The double that equals the integer of `t`, if there is one. */
static bool integer_as_double(const mp_token_t *t, double *out)
{
    bool negative = t->type == MP_INT;
    uint64_t magnitude = negative ? 0 - t->u64 : t->u64;
    double d = (double)magnitude;
    /* 2^64 is a double but no uint64_t; only a number that was rounded up gets there. */
    if (d >= 0x1p64 || (uint64_t)d != magnitude)
        return false;
    *out = negative ? -d : d;
    return true;
}

bool mp_get_double(mp_reader_t *r, double *out)
{
    const uint8_t *at = r->pos;
    mp_token_t t;
    if (!need(r, &t))
        return false;
    if (t.type == MP_FLOAT) {
        *out = t.f64;
        return true;
    }
    if (t.type != MP_UINT && t.type != MP_INT)
        return refuse_at(r, at, wrong_type);
    return integer_as_double(&t, out) ? true : refuse_at(r, at, out_of_range);
}

bool mp_get_str_long(mp_reader_t *r, bytes_t *out)
{
    mp_token_t t;
    if (!need_type(r, MP_STR, &t))
        return false;
    *out = t.bytes;
    return true;
}

bool mp_get_bin(mp_reader_t *r, bytes_t *out)
{
    mp_token_t t;
    if (!need_type(r, MP_BIN, &t))
        return false;
    *out = t.bytes;
    return true;
}

bool mp_get_array_long(mp_reader_t *r, uint32_t *count)
{
    mp_token_t t;
    if (!need_type(r, MP_ARRAY, &t))
        return false;
    *count = t.count;
    return true;
}

bool mp_get_map(mp_reader_t *r, uint32_t *count)
{
    mp_token_t t;
    if (!need_type(r, MP_MAP, &t))
        return false;
    *count = t.count;
    return true;
}

/* -- finding ------------------------------------------------------------------------------------ */

bool mp_map_find(bytes_t map, const char *key, bytes_t *value)
{
    mp_reader_t r = mp_reader(map);
    bytes_t wanted = bytes_cstr(key), found;
    mp_token_t k;
    uint32_t count;
    bool have = false;
    if (!mp_get_map(&r, &count))
        return false;
    for (; count > 0; count--) {
        const uint8_t *at = r.pos;
        if (!need(&r, &k))
            break;
        bool match = k.type == MP_STR && bytes_eq(k.bytes, wanted);
        r.pos = k.type == MP_STR ? r.pos : at; /* a key may be a container: then it is skipped whole */
        if ((k.type != MP_STR && !mp_skip(&r)) || !mp_get_raw(&r, &found))
            break;
        if (match)
            *value = found;
        have = have || match;
    }
    return have;
}

bool mp_map_str(bytes_t map, const char *key, bytes_t *out)
{
    bytes_t value;
    if (!mp_map_find(map, key, &value))
        return false;
    mp_reader_t r = mp_reader(value);
    return mp_get_str(&r, out);
}

bool mp_map_u64(bytes_t map, const char *key, uint64_t *out)
{
    bytes_t value;
    if (!mp_map_find(map, key, &value))
        return false;
    mp_reader_t r = mp_reader(value);
    return mp_get_u64(&r, out);
}

bool mp_map_i64(bytes_t map, const char *key, int64_t *out)
{
    bytes_t value;
    if (!mp_map_find(map, key, &value))
        return false;
    mp_reader_t r = mp_reader(value);
    return mp_get_i64(&r, out);
}

bool mp_map_double(bytes_t map, const char *key, double *out)
{
    bytes_t value;
    if (!mp_map_find(map, key, &value))
        return false;
    mp_reader_t r = mp_reader(value);
    return mp_get_double(&r, out);
}

bool mp_map_bool(bytes_t map, const char *key, bool *out)
{
    bytes_t value;
    if (!mp_map_find(map, key, &value))
        return false;
    mp_reader_t r = mp_reader(value);
    return mp_get_bool(&r, out);
}

/* -- validation --------------------------------------------------------------------------------- */

static bool invalid(error_t *err, size_t at, const char *why)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "MSGPACK_BROKEN", "msgpack is broken at byte %zu: %s", at, why);
}

/* Enters the container just read, or leaves all that the value just read completes. False when too deep. */
static bool depth_track(uint64_t *todo, unsigned *depth, const mp_token_t *t)
{
    todo[*depth]--;
    if (t->type == MP_ARRAY || t->type == MP_MAP) {
        if (*depth == MP_DEPTH_MAX)
            return false;
        todo[++*depth] = values_within(t);
    }
    while (*depth > 0 && todo[*depth] == 0)
        --*depth;
    return true;
}

/* One value; offsets in `err` count from where it begins. */
static bool validate_value(mp_reader_t *r, error_t *err)
{
    uint64_t todo[MP_DEPTH_MAX + 1]; /* values missing on each level; level 0 is the value itself */
    unsigned depth = 0;
    mp_token_t t;
    size_t bad;
    todo[0] = 1;
    while (depth > 0 || todo[0] > 0) {
        size_t at = mp_offset(r);
        if (!need(r, &t))
            return invalid(err, at, r->error);
        if (t.type == MP_STR && !bytes_is_ascii(t.bytes) && !bytes_is_utf8(t.bytes, &bad))
            return invalid(err, (size_t)(t.bytes.data - r->start) + bad, "a string is not UTF-8");
        if (!depth_track(todo, &depth, &t))
            return invalid(err, at, "it nests deeper than " DEPTH_TEXT " levels");
    }
    return true;
}

bool mp_validate(bytes_t input, error_t *err)
{
    mp_reader_t r = mp_reader(input);
    if (!validate_value(&r, err))
        return false;
    return mp_left(&r) == 0 ? true : invalid(err, mp_offset(&r), "more bytes follow the value");
}

bool mp_get_valid(mp_reader_t *r, bytes_t *out, error_t *err)
{
    mp_reader_t value = mp_reader(bytes_from(r->pos, mp_left(r)));
    value.error = r->error;
    if (!validate_value(&value, err))
        return refuse(r, value.error ? value.error : "the value is not well formed");
    *out = bytes_from(r->pos, mp_offset(&value));
    r->pos = value.pos;
    return true;
}
