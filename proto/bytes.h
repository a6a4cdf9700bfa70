/* bytes.h: borrowed slices and one growable buffer; all text and messages travel as these.
 *
 * bytes_t borrows: whoever made the memory keeps it, and says for how long. buf_t owns its memory.
 * A buf_t that could not grow (out of memory, or past BUF_MAX_BYTES) sets `failed` and swallows further
 * appends, so writers check once, at the end. None of these functions blocks. */
#ifndef PROTO_BYTES_H
#define PROTO_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "proto/compiler.h"

#define BUF_MAX_BYTES ((size_t)1 << 30) /* no message, batch or document of ours comes near */

typedef struct {
    const uint8_t *data; /* may be NULL when len is 0 */
    size_t len;
} bytes_t;

typedef struct {
    uint8_t *data;
    size_t len;
    size_t cap;
    bool failed; /* an append did not fit: the content is not to be used */
} buf_t;

#define BYTES_LIT(s) ((bytes_t){(const uint8_t *)(s), sizeof(s) - 1})
#define BYTES_NONE ((bytes_t){NULL, 0})
/* For printf's "%.*s". */
#define BYTES_FMT(b) (int)(b).len, (const char *)(b).data

static inline bytes_t bytes_from(const void *data, size_t len)
{
    return (bytes_t){(const uint8_t *)data, len};
}

static inline bytes_t bytes_cstr(const char *s)
{
    return s ? bytes_from(s, strlen(s)) : BYTES_NONE;
}

static inline uint64_t bytes_load64(const uint8_t *p)
{
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline uint32_t bytes_load32(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Names are short: up to 16 bytes are compared here, by two words that overlap. */
static inline bool bytes_same(const uint8_t *a, const uint8_t *b, size_t len)
{
    if (len > 16)
        return memcmp(a, b, len) == 0;
    if (len >= 8)
        return bytes_load64(a) == bytes_load64(b) && bytes_load64(a + len - 8) == bytes_load64(b + len - 8);
    if (len >= 4)
        return bytes_load32(a) == bytes_load32(b) && bytes_load32(a + len - 4) == bytes_load32(b + len - 4);
    return len == 0 || (a[0] == b[0] && a[len / 2] == b[len / 2] && a[len - 1] == b[len - 1]);
}

static inline bool bytes_eq(bytes_t a, bytes_t b)
{
    return a.len == b.len && bytes_same(a.data, b.data, a.len);
}

static inline bool bytes_eq_cstr(bytes_t a, const char *s)
{
    return bytes_eq(a, bytes_cstr(s));
}

#define BYTES_NOT_ASCII UINT64_C(0x8080808080808080) /* a bit of each byte of a word */

/* True when every byte is below 0x80, as in most text: then it is UTF-8 too. The last word overlaps the one before. */
static inline bool bytes_is_ascii(bytes_t a)
{
    uint64_t any = 0;
    if (a.len >= 8) {
        any = bytes_load64(a.data + a.len - 8);
        for (size_t at = 0; at + 8 < a.len; at += 8)
            any |= bytes_load64(a.data + at);
    } else if (a.len >= 4) {
        any = bytes_load32(a.data) | bytes_load32(a.data + a.len - 4);
    } else if (a.len > 0) {
        any = (uint64_t)a.data[0] | a.data[a.len / 2] | a.data[a.len - 1];
    }
    return !(any & BYTES_NOT_ASCII);
}

/* memcmp order, shorter first on a tie. */
int bytes_cmp(bytes_t a, bytes_t b);

bool bytes_has_prefix(bytes_t a, bytes_t prefix);

/* Copies into a C string of `cap` bytes, cutting at a UTF-8 boundary if it does not fit; false when cut or
 * when `a` holds a NUL (the copy then ends before it). */
bool bytes_to_cstr(bytes_t a, char *out, size_t cap);

/* A malloc'd NUL-terminated copy; NULL when out of memory. */
MUST_USE char *bytes_dup(bytes_t a);

/* True for well-formed UTF-8 (RFC 3629: no overlong forms, no surrogates, nothing past U+10FFFF).
 * On false, *bad_at (may be NULL) is the offset of the first offending byte. */
bool bytes_is_utf8(bytes_t a, size_t *bad_at);

static inline bytes_t buf_bytes(const buf_t *b)
{
    return (bytes_t){b->data, b->len};
}

void buf_free(buf_t *b);                 /* leaves it empty and usable */
bool buf_reserve(buf_t *b, size_t more); /* room for `more` bytes behind len; false sets failed */

/* Keeps the memory, forgets content and failure. */
static inline void buf_clear(buf_t *b)
{
    b->len = 0;
    b->failed = false;
}

/* Here, not in bytes.c, because frames and records are written in pieces of a few bytes. */
static inline void buf_append(buf_t *b, const void *data, size_t len)
{
    if (len == 0 || ((len > b->cap - b->len || b->failed) && !buf_reserve(b, len)))
        return;
    memcpy(b->data + b->len, data, len);
    b->len += len;
}

static inline void buf_append_bytes(buf_t *b, bytes_t s)
{
    buf_append(b, s.data, s.len);
}

static inline void buf_append_cstr(buf_t *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

static inline void buf_append_byte(buf_t *b, uint8_t byte)
{
    buf_append(b, &byte, 1);
}

void buf_printf(buf_t *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* Ends the content with a NUL that len does not count; returns it, or "" when failed. */
const char *buf_cstr(buf_t *b);

#endif
