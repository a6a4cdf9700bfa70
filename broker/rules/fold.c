/* fold.c: takes the case off letters. */
#include "broker/rules/fold.h"

#include <unicase.h>

static uint8_t ascii_lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

/* Length of the character that begins with `c`, as its first byte says; 1 for what begins none. */
static size_t announced(uint8_t c)
{
    if (c >= 0xF0)
        return 4;
    if (c >= 0xE0)
        return 3;
    return c >= 0xC0 ? 2 : 1;
}

static uint32_t decode(const uint8_t *p, size_t len)
{
    uint32_t c = p[0] & (0xFFU >> (len + 1));
    for (size_t i = 1; i < len; i++)
        c = c << 6 | (p[i] & 0x3FU);
    return c;
}

static folded_t encode(uint32_t c)
{
    folded_t out = {.len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4};
    if (out.len == 1) {
        out.bytes[0] = (uint8_t)c;
        return out;
    }
    for (unsigned i = out.len - 1U; i > 0; i--, c >>= 6)
        out.bytes[i] = (uint8_t)(0x80 | (c & 0x3F));
    out.bytes[0] = (uint8_t)(0xF00U >> out.len | c);
    return out;
}

static folded_t fold_character(const uint8_t *p, size_t len)
{
    uint32_t c = decode(p, len);
    uint32_t lower = uc_tolower(c);
    return encode(lower != c && uc_toupper(lower) == c ? lower : c);
}

static folded_t fold_here(const uint8_t *p, size_t len)
{
    if (len > 1 && bytes_is_utf8(bytes_from(p, len), NULL))
        return fold_character(p, len);
    return (folded_t){.bytes = {ascii_lower(*p)}, .len = 1};
}

folded_t fold_first(bytes_t *rest)
{
    if (rest->len == 0)
        return (folded_t){.len = 0};
    const uint8_t *p = rest->data;
    size_t len = announced(*p);
    bool whole = len <= rest->len && bytes_is_utf8(bytes_from(p, len), NULL);
    len = whole ? len : 1;
    *rest = bytes_from(p + len, rest->len - len);
    return fold_here(p, len);
}

folded_t fold_last(bytes_t *rest)
{
    if (rest->len == 0)
        return (folded_t){.len = 0};
    const uint8_t *end = rest->data + rest->len;
    size_t len = 1;
    while (len < 4 && len < rest->len && (end[-(ptrdiff_t)len] & 0xC0) == 0x80)
        len++;
    if (len > 1 && !bytes_is_utf8(bytes_from(end - len, len), NULL))
        len = 1;
    rest->len -= len;
    return fold_here(end - len, len);
}

void fold_append(buf_t *out, bytes_t text)
{
    for (folded_t c = fold_first(&text); c.len > 0; c = fold_first(&text))
        buf_append(out, c.bytes, c.len);
}

bool fold_begins(bytes_t text, bytes_t folded)
{
    while (folded.len > 0) {
        folded_t c = fold_first(&text);
        if (c.len == 0 || c.len > folded.len || memcmp(c.bytes, folded.data, c.len) != 0)
            return false;
        folded = bytes_from(folded.data + c.len, folded.len - c.len);
    }
    return true;
}

bool fold_ends(bytes_t text, bytes_t folded)
{
    while (folded.len > 0) {
        folded_t c = fold_last(&text);
        if (c.len == 0 || c.len > folded.len || memcmp(c.bytes, folded.data + folded.len - c.len, c.len) != 0)
            return false;
        folded.len -= c.len;
    }
    return true;
}

bool fold_equals(bytes_t text, bytes_t folded)
{
    for (folded_t c = fold_first(&text); c.len > 0; c = fold_first(&text)) {
        if (c.len > folded.len || memcmp(c.bytes, folded.data, c.len) != 0)
            return false;
        folded = bytes_from(folded.data + c.len, folded.len - c.len);
    }
    return folded.len == 0;
}
