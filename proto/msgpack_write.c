/* msgpack_write.c: writes msgpack through msgpack-c's packer. */
#include <assert.h>
#include <endian.h>
#include <msgpack.h>

#include "proto/msgpack.h"

#define OPEN_HEAD_BYTES 5 /* map32 and array32: a tag and a 32-bit count */
#define TAG_ARRAY32 0xDD
#define TAG_MAP32 0xDF

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
    msgpack_packer pk = packer(b);
    msgpack_pack_nil(&pk);
}

void mp_put_bool(buf_t *b, bool v)
{
    msgpack_packer pk = packer(b);
    (void)(v ? msgpack_pack_true(&pk) : msgpack_pack_false(&pk));
}

void mp_put_u64(buf_t *b, uint64_t v)
{
    if (v < 0x80) { /* most of them: spare the packer */
        buf_append_byte(b, (uint8_t)v);
        return;
    }
    msgpack_packer pk = packer(b);
    msgpack_pack_uint64(&pk, v);
}

void mp_put_i64(buf_t *b, int64_t v)
{
    msgpack_packer pk = packer(b);
    msgpack_pack_int64(&pk, v);
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
    msgpack_packer pk = packer(b);
    msgpack_pack_str(&pk, len);
}

void mp_put_str(buf_t *b, bytes_t s)
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
