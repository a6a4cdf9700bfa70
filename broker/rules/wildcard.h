/* wildcard.h: text with stars, each of which stands for any number of bytes.
 *
 * As written `*` is a star, `\*` and `\\` are a star and a backslash; two stars in a row and any other escape are
 * refused. Parsed, a star is the byte WILDCARD_STAR, which is in no UTF-8. Matching goes from piece to piece and
 * never back, so it takes time linear in the text whatever the stars. */
#ifndef BROKER_RULES_WILDCARD_H
#define BROKER_RULES_WILDCARD_H

#include "proto/bytes.h"
#include "proto/status.h"

#define WILDCARD_STAR 0xFF

/* The bytes below 128 that a text has, bit by byte. */
typedef struct {
    uint64_t low, high;
} byte_set_t;

static inline byte_set_t byte_set_of(bytes_t text)
{
    byte_set_t set = {0};
    for (size_t i = 0; i < text.len; i++) {
        uint64_t bit = UINT64_C(1) << (text.data[i] & 63);
        set.low |= text.data[i] < 64 ? bit : 0;
        set.high |= text.data[i] >= 64 && text.data[i] < 128 ? bit : 0;
    }
    return set;
}

/* True when `set` has all that `needs` has: a text can match only where it has every byte of the wildcard. */
static inline bool byte_set_covers(byte_set_t set, byte_set_t needs)
{
    return !(needs.low & ~set.low) && !(needs.high & ~set.high);
}

/* At how many places of the pattern one text may stand at once (having just read a character before a star, and
 * having passed it, count apart). EventBridge's own bound is not published: it takes a pattern of 7 and refuses one
 * that is 10 in this count. Matching here needs no such bound; what is accepted shall run there as well. */
#define WILDCARD_COMPLEXITY_MAX 9
/* Work that finding the complexity may cost; a pattern that needs more is too complex. */
#define WILDCARD_STEPS_MAX 65536

/* Appends the parsed form. */
MUST_USE bool wildcard_parse(bytes_t text, buf_t *out, error_t *err);

/* WILDCARD_COMPLEXITY_MAX + 1 for everything above it. */
unsigned wildcard_complexity(bytes_t parsed);

bool wildcard_matches(bytes_t parsed, bytes_t text);

/* The pieces before the first star and behind the last. A pattern without a star is all `before`. */
typedef struct {
    bytes_t before, behind;
    bool has_star;
} wildcard_pieces_t;

wildcard_pieces_t wildcard_pieces(bytes_t parsed);

/* The next piece, of all; false when there is none left. `*rest` starts as the pattern. */
bool wildcard_next(bytes_t *rest, bytes_t *piece);

#endif
