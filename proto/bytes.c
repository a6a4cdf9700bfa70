/* bytes.c: slices and the growable buffer. */
#include "proto/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/utf8.h"

#define BUF_FIRST_BYTES 256
#define NOT_ASCII UINT64_C(0x8080808080808080)

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

/* Bytes of plain ASCII from `at` on, counted eight at a time, and what is left of the end if it is ASCII whole. */
static size_t ascii_run(bytes_t a, size_t at)
{
    size_t i = at;
    uint64_t word;
    for (; a.len - i >= sizeof word; i += sizeof word) {
        memcpy(&word, a.data + i, sizeof word);
        if (word & NOT_ASCII)
            return i - at;
    }
    word = 0;
    memcpy(&word, a.data + i, a.len - i);
    return word & NOT_ASCII ? i - at : a.len - at;
}

bool bytes_is_utf8(bytes_t a, size_t *bad_at)
{
    size_t i = 0;
    while (i < a.len && (i += ascii_run(a, i)) < a.len) {
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
