/* bytes.c: slices and the growable buffer. */
#include "proto/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/utf8.h"

#define BUF_FIRST_BYTES 256
#define WORD_BYTES sizeof(uint64_t)

int bytes_cmp(bytes_t a, bytes_t b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.data, b.data, common) : 0;
    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool bytes_has_prefix(bytes_t a, bytes_t prefix)
{
    return a.len >= prefix.len && (prefix.len == 0 || memcmp(a.data, prefix.data, prefix.len) == 0);
}

bool bytes_to_cstr(bytes_t a, char *out, size_t cap)
{
    if (cap == 0)
        return false;
    const uint8_t *nul = a.len ? memchr(a.data, 0, a.len) : NULL;
    size_t want = nul ? (size_t)(nul - a.data) : a.len;
    size_t n = want < cap ? want : cap - 1;
    while (n < want && n > 0 && (a.data[n] & 0xC0) == 0x80)
        n--;
    if (n)
        memcpy(out, a.data, n);
    out[n] = '\0';
    return n == a.len;
}

char *bytes_dup(bytes_t a)
{
    char *copy = malloc(a.len + 1);
    if (!copy)
        return NULL;
    if (a.len)
        memcpy(copy, a.data, a.len);
    copy[a.len] = '\0';
    return copy;
}

/* True when the end of `a` from `at` on, shorter than a word, is ASCII. May say no when what stands before `at` is not.
 */
static bool ascii_end(bytes_t a, size_t at)
{
    uint8_t any = 0;
    if (a.len >= WORD_BYTES)
        return !(bytes_load64(a.data + a.len - WORD_BYTES) & BYTES_NOT_ASCII);
    for (; at < a.len; at++)
        any |= a.data[at];
    return any < 0x80;
}

static bool ascii_words(const uint8_t *p)
{
    uint64_t any = bytes_load64(p) | bytes_load64(p + WORD_BYTES) | bytes_load64(p + 2 * WORD_BYTES) |
                   bytes_load64(p + 3 * WORD_BYTES);
    return !(any & BYTES_NOT_ASCII);
}

/* Where the ASCII that begins at `at` ends, or a little before: four words at a time, then one, then the rest. */
static size_t ascii_run(bytes_t a, size_t at)
{
    while (a.len - at >= 4 * WORD_BYTES && ascii_words(a.data + at))
        at += 4 * WORD_BYTES;
    while (a.len - at >= WORD_BYTES && !(bytes_load64(a.data + at) & BYTES_NOT_ASCII))
        at += WORD_BYTES;
    return a.len - at < WORD_BYTES && ascii_end(a, at) ? a.len : at;
}

bool bytes_is_utf8(bytes_t a, size_t *bad_at)
{
    for (size_t i = 0; i < a.len;) {
        if (a.data[i] < 0x80 && (i = ascii_run(a, i)) == a.len)
            break;
        size_t n = utf8_sequence(a.data + i, a.len - i);
        if (n == 0) {
            if (bad_at)
                *bad_at = i;
            return false;
        }
        i += n;
    }
    return true;
}

void buf_free(buf_t *b)
{
    free(b->data);
    *b = (buf_t){0};
}

bool buf_reserve(buf_t *b, size_t more)
{
    if (b->failed)
        return false;
    if (more <= b->cap - b->len)
        return true;
    if (more > BUF_MAX_BYTES - b->len)
        return !(b->failed = true);
    size_t cap = b->cap ? b->cap : BUF_FIRST_BYTES;
    while (cap < b->len + more)
        cap *= 2;
    uint8_t *data = realloc(b->data, cap);
    if (!data)
        return !(b->failed = true);
    b->data = data;
    b->cap = cap;
    return true;
}

void buf_printf(buf_t *b, const char *fmt, ...)
{
    va_list args, again;
    va_start(args, fmt);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, fmt, args);
    if (n < 0)
        b->failed = true;
    else if (buf_reserve(b, (size_t)n + 1)) {
        (void)vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    va_end(args);
}

const char *buf_cstr(buf_t *b)
{
    if (!buf_reserve(b, 1))
        return "";
    b->data[b->len] = '\0';
    return (const char *)b->data;
}
