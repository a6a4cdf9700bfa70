/* json_internal.h: what the JSON reader and the JSON writer share. */
#ifndef PROTO_JSON_INTERNAL_H
#define PROTO_JSON_INTERNAL_H

#include "proto/bytes.h"

/* -- numbers ------------------------------------------------------------------------------------ */
typedef enum {
    JSON_UINT,
    JSON_INT, /* negative */
    JSON_DOUBLE,
    JSON_DECIMAL, /* none of the above holds it: `text` is what counts */
} json_number_type_t;

typedef struct {
    json_number_type_t type;
    union {
        uint64_t u64;
        int64_t i64;
        double f64;
    };
    size_t len; /* of the number's text; on a refusal the offset of the offending byte */
} json_number_t;

/* The JSON number that `text` begins with. False when it begins with none. */
MUST_USE bool json_number_read(bytes_t text, json_number_t *out);

/* -- strings ------------------------------------------------------------------------------------ */

/* 0x80 in every byte of `word` that is a quote, a backslash, a control character or not ASCII. (A borrow may also
 * mark a byte above a marked one: only the lowest mark counts.) */
static inline uint64_t json_special_marks(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), highs = ones << 7;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';
    return ((quote - ones) | (backslash - ones) | (word - ones * 0x20) | word) & highs;
}

static inline bool json_is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* The first byte at or after p that a JSON string does not hold as it is, or that is not ASCII. */
static inline const uint8_t *json_plain_end(const uint8_t *p, const uint8_t *end)
{
    for (uint64_t word; end - p >= (ptrdiff_t)sizeof word; p += sizeof word) {
        memcpy(&word, p, sizeof word);
        if (json_special_marks(word))
            break;
    }
    while (p < end && json_is_plain(*p))
        p++;
    return p;
}

/* Appends s quoted and escaped. Where it is not UTF-8: with `replace` U+FFFD is written, else it stops. Returns
 * the offset of the byte where it stopped, or s.len. */
size_t json_quote(buf_t *out, bytes_t s, bool replace);

/* -- paths -------------------------------------------------------------------------------------- */
#define JSON_PATH_BYTES 128
#define JSON_PATH_KEY_BYTES 40

/* Where in a document, like $.detail.items[3]["a key"]; built from its end, so that the near steps survive when
 * it is too long. */
typedef struct {
    char text[JSON_PATH_BYTES];
    size_t at; /* the text so far begins here */
    bool full;
} json_path_t;

void json_path_begin(json_path_t *path);
void json_path_prepend_key(json_path_t *path, bytes_t key);
void json_path_prepend_index(json_path_t *path, uint32_t index);
/* The finished text. Call once, last. */
const char *json_path_text(json_path_t *path);

#endif
