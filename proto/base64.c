/* base64.c: RFC 4648 base64, strict. */
#include "proto/base64.h"

#define NO 0xFF

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static uint8_t sextet(uint8_t c)
{
    if (c >= 'A' && c <= 'Z')
        return (uint8_t)(c - 'A');
    if (c >= 'a' && c <= 'z')
        return (uint8_t)(c - 'a' + 26);
    if (c >= '0' && c <= '9')
        return (uint8_t)(c - '0' + 52);
    return c == '+' ? 62 : c == '/' ? 63 : NO;
}

/* One to three bytes at p as four characters. */
static void encode_group(const uint8_t *p, size_t n, uint8_t out[4])
{
    uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) | (n > 2 ? p[2] : 0);
    for (int i = 0; i < 4; i++)
        out[i] = (uint8_t)alphabet[v >> (18 - 6 * i) & 63];
    for (size_t i = n + 1; i < 4; i++)
        out[i] = '=';
}

void base64_encode(buf_t *out, bytes_t data)
{
    size_t chars = (data.len + 2) / 3 * 4;
    if (!buf_reserve(out, chars))
        return;
    uint8_t *to = out->data + out->len;
    for (size_t i = 0; i < data.len; i += 3, to += 4)
        encode_group(data.data + i, data.len - i < 3 ? data.len - i : 3, to);
    out->len += chars;
}

static bool refuse(size_t *bad_at, size_t at)
{
    if (bad_at)
        *bad_at = at;
    return false;
}

static size_t padding(bytes_t text)
{
    size_t n = 0;
    while (n < 2 && n < text.len && text.data[text.len - 1 - n] == '=')
        n++;
    return n;
}

bool base64_check(bytes_t text, size_t *decoded_bytes, size_t *bad_at)
{
    size_t pad = padding(text), chars = text.len - pad;
    for (size_t i = 0; i < chars; i++)
        if (sextet(text.data[i]) == NO)
            return refuse(bad_at, i);
    if (text.len % 4 != 0)
        return refuse(bad_at, text.len);
    /* The bits of the last character that reach no byte: 4 before "==", 2 before "=". */
    if (pad && sextet(text.data[chars - 1]) & (pad == 2 ? 0x0F : 0x03))
        return refuse(bad_at, chars - 1);
    if (decoded_bytes)
        *decoded_bytes = text.len / 4 * 3 - pad;
    return true;
}

void base64_decode_checked(bytes_t text, uint8_t *out)
{
    size_t chars = text.len - padding(text);
    uint32_t bits = 0;
    unsigned have = 0;
    for (size_t i = 0; i < chars; i++) {
        bits = bits << 6 | sextet(text.data[i]);
        have += 6;
        if (have >= 8) {
            have -= 8;
            *out++ = (uint8_t)(bits >> have);
        }
    }
}

bool base64_decode(buf_t *out, bytes_t text, error_t *err)
{
    size_t bytes, bad;
    if (!base64_check(text, &bytes, &bad))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "base64 is broken at character %zu of %zu", bad, text.len);
    if (!buf_reserve(out, bytes))
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for %zu bytes of base64", bytes);
    if (bytes)
        base64_decode_checked(text, out->data + out->len);
    out->len += bytes;
    return true;
}
