/* msgpack.h: writes msgpack through msgpack-c, and reads it in place without building a tree.
 *
 * Source of the format: github.com/msgpack/msgpack/blob/master/spec.md.
 *
 * Writing appends to a buf_t, whose sticky `failed` is checked once at the end.
 *
 * Reading never allocates and never trusts a header: a length or count is held against the bytes that are
 * left before it is believed (five bytes can claim 96 GB, msgpack-c #1013). A reader's first error sticks;
 * later calls return false and change nothing. Slices point into the input. */
#ifndef PROTO_MSGPACK_H
#define PROTO_MSGPACK_H

#include "proto/bytes.h"
#include "proto/status.h"

#define MP_DEPTH_MAX 1000 /* levels of nesting; EventBridge's limit for events */

typedef enum {
    MP_NIL,
    MP_BOOL,
    MP_UINT,  /* 0 .. 2^64-1 */
    MP_INT,   /* negative only: a non-negative integer is always reported as MP_UINT */
    MP_FLOAT, /* float32 is widened */
    MP_STR,
    MP_BIN,
    MP_EXT,
    MP_ARRAY, /* `count` values follow */
    MP_MAP,   /* `count` pairs follow */
} mp_type_t;

typedef struct {
    mp_type_t type;
    union {
        bool boolean;
        uint64_t u64;
        int64_t i64;
        double f64;
        uint32_t count;
        bytes_t bytes; /* STR, BIN, EXT payload */
    };
    int8_t ext_type;
} mp_token_t;

typedef struct {
    const uint8_t *start;
    const uint8_t *pos;
    const uint8_t *end;
    const char *error; /* NULL while all is well; a static text */
} mp_reader_t;

/* -- writing ------------------------------------------------------------------------------------ */
void mp_put_nil(buf_t *b);
void mp_put_bool(buf_t *b, bool v);
static inline void mp_put_u64(buf_t *b, uint64_t v); /* shortest form */
void mp_put_i64(buf_t *b, int64_t v);                /* shortest form; non-negative as uint */
void mp_put_double(buf_t *b, double v);
static inline void mp_put_str(buf_t *b, bytes_t s); /* the caller vouches for UTF-8 */
void mp_put_cstr(buf_t *b, const char *s);
void mp_put_str_head(buf_t *b, size_t len); /* the caller appends the `len` bytes next */
void mp_put_bin(buf_t *b, bytes_t s);
void mp_put_ext(buf_t *b, int8_t type, bytes_t s);
void mp_put_array(buf_t *b, uint32_t count);
void mp_put_map(buf_t *b, uint32_t count);
/* One whole value already in msgpack. */
void mp_put_raw(buf_t *b, bytes_t value);

/* A map header whose count is not known yet: five bytes are written now (map32), mp_map_end fixes them. */
MUST_USE size_t mp_map_begin(buf_t *b);
void mp_map_end(buf_t *b, size_t at, uint32_t count);
MUST_USE size_t mp_array_begin(buf_t *b);
void mp_array_end(buf_t *b, size_t at, uint32_t count);

/* -- reading ------------------------------------------------------------------------------------ */
static inline mp_reader_t mp_reader(bytes_t input)
{
    const uint8_t *start = input.data ? input.data : (const uint8_t *)""; /* an empty input has a position too */
    return (mp_reader_t){.start = start, .pos = start, .end = start + input.len};
}

/* Bytes not read yet. */
static inline size_t mp_left(const mp_reader_t *r)
{
    return (size_t)(r->end - r->pos);
}

/* Offset of the next byte; of the offending value once `error` is set. */
static inline size_t mp_offset(const mp_reader_t *r)
{
    return (size_t)(r->pos - r->start);
}

/* The next token; containers are entered, not skipped. False at the end or on an error. (All other reads take
 * the end for an error: they were told that a value is there.) */
MUST_USE static inline bool mp_next(mp_reader_t *r, mp_token_t *out);
/* The type of the next value without reading it. False at the end or on an error. */
MUST_USE bool mp_peek(const mp_reader_t *r, mp_type_t *out);
/* Skips one whole value. It counts and keeps no stack, so any depth is safe; only mp_validate holds values to
 * MP_DEPTH_MAX. */
MUST_USE static inline bool mp_skip(mp_reader_t *r);
/* One whole value as the slice of its bytes. */
MUST_USE bool mp_get_raw(mp_reader_t *r, bytes_t *out);

/* Typed reads: false (and a sticky error) when the next value is of another type or out of range. */
MUST_USE bool mp_get_nil(mp_reader_t *r);
MUST_USE bool mp_get_bool(mp_reader_t *r, bool *out);
MUST_USE static inline bool mp_get_u64(mp_reader_t *r, uint64_t *out);
MUST_USE bool mp_get_u32(mp_reader_t *r, uint32_t *out);
MUST_USE bool mp_get_i64(mp_reader_t *r, int64_t *out);
MUST_USE bool mp_get_double(mp_reader_t *r, double *out);             /* takes integers too, where exact */
MUST_USE static inline bool mp_get_str(mp_reader_t *r, bytes_t *out); /* not checked for UTF-8 */
MUST_USE bool mp_get_bin(mp_reader_t *r, bytes_t *out);
MUST_USE static inline bool mp_get_array(mp_reader_t *r, uint32_t *count);
MUST_USE bool mp_get_map(mp_reader_t *r, uint32_t *count);

/* Finds `key` in the map that `map` is (one whole value). False when it is no map, is broken before the key
 * was found, or has no such key; of duplicate keys the last wins. */
MUST_USE bool mp_map_find(bytes_t map, const char *key, bytes_t *value);
/* mp_map_find and a typed read in one; false also when the value has another type. */
MUST_USE bool mp_map_str(bytes_t map, const char *key, bytes_t *out);
MUST_USE bool mp_map_u64(bytes_t map, const char *key, uint64_t *out);
MUST_USE bool mp_map_i64(bytes_t map, const char *key, int64_t *out);
MUST_USE bool mp_map_double(bytes_t map, const char *key, double *out);
MUST_USE bool mp_map_bool(bytes_t map, const char *key, bool *out);

/* True when `input` is exactly one well-formed value: depth within MP_DEPTH_MAX, strings UTF-8, map keys of
 * any type. Otherwise fills `err` with the offset. */
MUST_USE bool mp_validate(bytes_t input, error_t *err);
/* mp_get_raw and mp_validate in one walk. Offsets in `err` count from where the value begins. */
MUST_USE bool mp_get_valid(mp_reader_t *r, bytes_t *out, error_t *err);

/* -- short forms ---------------------------------------------------------------------------------- */
/* Small numbers, short texts and short arrays are most of what frames and events are made of: one byte says all, and it
 * is read here. The rest, and every error, is the business of these. */
MUST_USE bool mp_get_u64_long(mp_reader_t *r, uint64_t *out);
MUST_USE bool mp_get_str_long(mp_reader_t *r, bytes_t *out);
MUST_USE bool mp_get_array_long(mp_reader_t *r, uint32_t *count);
MUST_USE bool mp_next_long(mp_reader_t *r, mp_token_t *out);
MUST_USE bool mp_skip_long(mp_reader_t *r);

void mp_put_u64_long(buf_t *b, uint64_t v);
void mp_put_str_long(buf_t *b, bytes_t s);

static inline void mp_put_u64(buf_t *b, uint64_t v)
{
    if (v >= 0x80 || b->len == b->cap || b->failed)
        mp_put_u64_long(b, v);
    else
        b->data[b->len++] = (uint8_t)v;
}

static inline void mp_put_str(buf_t *b, bytes_t s)
{
    if (s.len >= 32 || s.len >= b->cap - b->len || b->failed) {
        mp_put_str_long(b, s);
        return;
    }
    b->data[b->len++] = (uint8_t)(0xA0 | s.len);
    if (s.len)
        memcpy(b->data + b->len, s.data, s.len);
    b->len += s.len;
}

static inline bool mp_next(mp_reader_t *r, mp_token_t *out)
{
    if (r->error || r->pos == r->end || (*r->pos & 0xE0) != 0xA0 || (*r->pos & 0x1Fu) >= mp_left(r))
        return mp_next_long(r, out);
    out->type = MP_STR;
    out->bytes = bytes_from(r->pos + 1, *r->pos & 0x1Fu);
    r->pos += 1 + out->bytes.len;
    return true;
}

/* Bytes of a whole value by its first byte; 0: not known by that. */
extern const uint8_t mp_short_bytes[256];

/* Bytes of the whole value at `p`, of which `left` are there; 0 when more has to be looked at, or they do not do.
 * Branches, for events of one kind are alike: what is foreseen need not be waited for. */
static inline size_t mp_short_length(const uint8_t *p, size_t left)
{
    size_t len;
    if (left < 2)
        return 0;
    if ((*p & 0xE0) == 0xA0)
        len = 1 + (*p & 0x1Fu);
    else if (mp_short_bytes[*p] == 1)
        return 1;
    else
        len = *p == 0xD9 ? 2u + p[1] : mp_short_bytes[*p];
    return len <= left ? len : 0;
}

static inline bool mp_skip(mp_reader_t *r)
{
    size_t len = r->error ? 0 : mp_short_length(r->pos, mp_left(r));
    r->pos += len;
    return len || mp_skip_long(r);
}

static inline bool mp_get_u64(mp_reader_t *r, uint64_t *out)
{
    if (r->error || r->pos == r->end || *r->pos >= 0x80)
        return mp_get_u64_long(r, out);
    *out = *r->pos++;
    return true;
}

static inline bool mp_get_str(mp_reader_t *r, bytes_t *out)
{
    if (r->error || r->pos == r->end || (*r->pos & 0xE0) != 0xA0 || (*r->pos & 0x1Fu) >= mp_left(r))
        return mp_get_str_long(r, out);
    *out = bytes_from(r->pos + 1, *r->pos & 0x1Fu);
    r->pos += 1 + out->len;
    return true;
}

static inline bool mp_get_array(mp_reader_t *r, uint32_t *count)
{
    if (r->error || r->pos == r->end || (*r->pos & 0xF0) != 0x90 || (*r->pos & 0x0Fu) >= mp_left(r))
        return mp_get_array_long(r, count);
    *count = *r->pos++ & 0x0Fu;
    return true;
}

#endif
