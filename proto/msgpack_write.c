/* msgpack_write.c: writes msgpack: numbers and heads here, for they are most of a record, the rest by msgpack-c. */
#include <assert.h>
#include <endian.h>
#include <msgpack.h>

#include "proto/msgpack.h"

#define OPEN_HEAD_BYTES 5 /* map32 and array32: a tag and a 32-bit count */
#define TAG_ARRAY32 0xDD
#define TAG_MAP32 0xDF
#define TAG_FIXARRAY 0x90
#define TAG_NIL 0xC0
#define TAG_FALSE 0xC2
#define TAG_TRUE 0xC3
#define TAG_FIXSTR 0xA0
#define TAG_STR8 0xD9  /* and 16, 32 behind it */
#define TAG_UINT8 0xCC /* and 16, 32, 64 */
#define TAG_INT8 0xD0

static int packed(void *data, const char *bytes, size_t len)
{
    buf_append(data, bytes, len);
    return 0; /* the buffer remembers a failure */
}

static inline msgpack_packer packer(buf_t *b)
{
    return (msgpack_packer){.data = b, .callback = packed};
}

/* Lengths travel in 32 bits; a longer slice must not be cut in silence. */
static bool length_fits(buf_t *b, size_t len)
{
    if (len > UINT32_MAX)
        b->failed = true;
    return len <= UINT32_MAX;
}

void mp_put_nil(buf_t *b)
{
    buf_append_byte(b, TAG_NIL);
}

void mp_put_bool(buf_t *b, bool v)
{
    buf_append_byte(b, v ? TAG_TRUE : TAG_FALSE);
}

/* A tag and the lowest `size` (1, 2, 4 or 8) bytes of a number. */
static void put_tagged(buf_t *b, uint8_t tag, uint64_t v, unsigned size)
{
    uint64_t wire = htobe64(v << (64 - 8 * size));
    if ((b->failed || b->cap - b->len < 1 + sizeof wire) && !buf_reserve(b, 1 + sizeof wire))
        return;
    b->data[b->len] = tag;
    memcpy(b->data + b->len + 1, &wire, sizeof wire); /* what is too much is written over */
    b->len += 1 + size;
}

/* By the smallest that holds it of four tags that follow one another. */
static void put_smallest(buf_t *b, uint8_t tag, uint64_t v)
{
    unsigned log = v <= UINT8_MAX ? 0 : v <= UINT16_MAX ? 1 : v <= UINT32_MAX ? 2 : 3;
    put_tagged(b, (uint8_t)(tag + log), v, 1u << log);
}

void mp_put_u64_long(buf_t *b, uint64_t v)
{
    if (v < 0x80)
        buf_append_byte(b, (uint8_t)v);
    else
        put_smallest(b, TAG_UINT8, v);
}

void mp_put_i64(buf_t *b, int64_t v)
{
    if (v >= 0)
        mp_put_u64(b, (uint64_t)v);
    else if (v >= INT64_C(-32))
        buf_append_byte(b, (uint8_t)v);
    else if (v >= INT8_MIN)
        put_tagged(b, TAG_INT8, (uint64_t)v, 1);
    else if (v >= INT16_MIN)
        put_tagged(b, TAG_INT8 + 1, (uint64_t)v, 2);
    else if (v >= INT32_MIN)
        put_tagged(b, TAG_INT8 + 2, (uint64_t)v, 4);
    else
        put_tagged(b, TAG_INT8 + 3, (uint64_t)v, 8);
}

void mp_put_double(buf_t *b, double v)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_double(&pk, v);
}

void mp_put_str_head(buf_t *b, size_t len)
{
    if (!length_fits(b, len))
        return;
    if (len < 32)
        buf_append_byte(b, (uint8_t)(TAG_FIXSTR | len));
    else
        put_smallest(b, TAG_STR8, len);
}

void mp_put_str_long(buf_t *b, bytes_t s)
{
    mp_put_str_head(b, s.len);
    buf_append_bytes(b, s);
}

void mp_put_cstr(buf_t *b, const char *s)
{
    mp_put_str(b, bytes_cstr(s));
}

void mp_put_bin(buf_t *b, bytes_t s)
{
    if (!length_fits(b, s.len))
        return;
    msgpack_packer pk = packer(b);
    msgpack_pack_bin(&pk, s.len);
    buf_append_bytes(b, s);
}

void mp_put_ext(buf_t *b, int8_t type, bytes_t s)
{
    if (!length_fits(b, s.len))
        return;
    msgpack_packer pk = packer(b);
    msgpack_pack_ext(&pk, s.len, type);
    buf_append_bytes(b, s);
}

void mp_put_array(buf_t *b, uint32_t count)
{
    if (count < 16) {
        buf_append_byte(b, (uint8_t)(TAG_FIXARRAY | count));
        return;
    }
    msgpack_packer pk = packer(b);
    msgpack_pack_array(&pk, count);
}

void mp_put_map(buf_t *b, uint32_t count)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_map(&pk, count);
}

void mp_put_raw(buf_t *b, bytes_t value)
{
    buf_append_bytes(b, value);
}

static size_t open_begin(buf_t *b, uint8_t tag)
{
    size_t at = b->len;
    buf_append(b, (const uint8_t[OPEN_HEAD_BYTES]){tag}, OPEN_HEAD_BYTES);
    return at;
}

static void open_end(buf_t *b, size_t at, uint8_t tag, uint32_t count)
{
    if (b->failed)
        return;
    assert(b->len >= OPEN_HEAD_BYTES && at <= b->len - OPEN_HEAD_BYTES && b->data[at] == tag);
    (void)tag;
    uint32_t wire = htobe32(count);
    memcpy(b->data + at + 1, &wire, sizeof wire);
}

size_t mp_map_begin(buf_t *b)
{
    return open_begin(b, TAG_MAP32);
}

void mp_map_end(buf_t *b, size_t at, uint32_t count)
{
    open_end(b, at, TAG_MAP32, count);
}

size_t mp_array_begin(buf_t *b)
{
    return open_begin(b, TAG_ARRAY32);
}

void mp_array_end(buf_t *b, size_t at, uint32_t count)
{
    open_end(b, at, TAG_ARRAY32, count);
}
