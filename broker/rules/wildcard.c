/* wildcard.c: parses and matches text with stars. */
#include "broker/rules/wildcard.h"

#include <stdlib.h>

#define SHORT_TEXT_MAX 64

static bool refuse(error_t *err, const char *what, size_t at)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s at pos %zu", what, at);
}

static bool escaped(bytes_t text, size_t at, uint8_t *out)
{
    if (at + 1 >= text.len || (text.data[at + 1] != '*' && text.data[at + 1] != '\\'))
        return false;
    *out = text.data[at + 1];
    return true;
}

bool wildcard_parse(bytes_t text, buf_t *out, error_t *err)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '*' && i + 1 < text.len && text.data[i + 1] == '*')
            return refuse(err, "Consecutive wildcard characters", i);
        if (c == '*') {
            c = WILDCARD_STAR;
        } else if (c == '\\') {
            if (!escaped(text, i, &c))
                return refuse(err, "Invalid escape character", i);
            i++;
        }
        buf_append_byte(out, c);
    }
    return true;
}

/* -- matching -------------------------------------------------------------------------------------- */
static size_t literal_length(bytes_t parsed)
{
    const uint8_t *star = parsed.len ? memchr(parsed.data, WILDCARD_STAR, parsed.len) : NULL;
    return star ? (size_t)(star - parsed.data) : parsed.len;
}

static bytes_t drop(bytes_t text, size_t len)
{
    return bytes_from(text.data + len, text.len - len);
}

static size_t tail_length(bytes_t parsed)
{
    const uint8_t *star = parsed.len ? memrchr(parsed.data, WILDCARD_STAR, parsed.len) : NULL;
    return star ? (size_t)(parsed.data + parsed.len - star) - 1 : 0;
}

static bool ends_with(bytes_t text, bytes_t tail)
{
    return tail.len <= text.len && (tail.len == 0 || memcmp(text.data + text.len - tail.len, tail.data, tail.len) == 0);
}

/* The piece's first place. In a short text a loop is done before memmem has begun. */
static const uint8_t *find(bytes_t text, const uint8_t *piece, size_t len)
{
    if (len > text.len)
        return NULL;
    if (text.len > SHORT_TEXT_MAX)
        return memmem(text.data, text.len, piece, len);
    for (const uint8_t *p = text.data, *last = p + text.len - len; p <= last; p++)
        if (*p == *piece && bytes_same(p, piece, len))
            return p;
    return NULL;
}

/* The leftmost place of each piece is as good as any later one. */
static bool middle_matches(bytes_t pieces, bytes_t text)
{
    while (pieces.len > 0) {
        size_t len = literal_length(pieces);
        const uint8_t *at = len ? find(text, pieces.data, len) : text.data;
        if (len > 0 && !at)
            return false;
        if (len > 0)
            text = drop(text, (size_t)(at - text.data) + len);
        pieces = drop(pieces, len < pieces.len ? len + 1 : len);
    }
    return true;
}

bool wildcard_matches(bytes_t parsed, bytes_t text)
{
    size_t head = literal_length(parsed), tail = tail_length(parsed);
    if (head == parsed.len)
        return bytes_eq(parsed, text);
    if (text.len < head + tail || !bytes_has_prefix(text, bytes_from(parsed.data, head)) ||
        !ends_with(text, bytes_from(parsed.data + parsed.len - tail, tail)))
        return false;
    bytes_t pieces = bytes_from(parsed.data + head + 1, parsed.len - tail - head - 1);
    return middle_matches(pieces, bytes_from(text.data + head, text.len - head - tail));
}

wildcard_pieces_t wildcard_pieces(bytes_t parsed)
{
    size_t head = literal_length(parsed), tail = tail_length(parsed);
    bool has_star = head < parsed.len;
    return (wildcard_pieces_t){.before = bytes_from(parsed.data, head),
                               .behind = has_star ? bytes_from(parsed.data + parsed.len - tail, tail) : BYTES_NONE,
                               .has_star = has_star};
}

bool wildcard_next(bytes_t *rest, bytes_t *piece)
{
    size_t len = literal_length(*rest);
    if (rest->len == 0)
        return false;
    *piece = bytes_from(rest->data, len);
    *rest = drop(*rest, len < rest->len ? len + 1 : len);
    return true;
}

/* -- complexity ------------------------------------------------------------------------------------ */
/* Places that a text may have reached: bit 2p is "read up to p, the last byte being no star's", bit 2p + 1 is
 * "inside the star at p". Only a few are in it, so they are listed. */
typedef struct {
    uint32_t places[2 * WILDCARD_COMPLEXITY_MAX + 2];
    unsigned count;
} places_t;

static void places_add(places_t *set, uint32_t place)
{
    unsigned i = 0;
    while (i < set->count && set->places[i] < place)
        i++;
    if (i < set->count && set->places[i] == place)
        return;
    if (set->count > WILDCARD_COMPLEXITY_MAX)
        return; /* too many already */
    memmove(&set->places[i + 1], &set->places[i], (set->count - i) * sizeof set->places[0]);
    set->places[i] = place;
    set->count++;
}

static places_t places_after(bytes_t parsed, const places_t *from, uint8_t byte)
{
    places_t to = {.count = 0};
    for (unsigned i = 0; i < from->count; i++) {
        uint32_t p = from->places[i] / 2;
        if (p < parsed.len && parsed.data[p] == WILDCARD_STAR) {
            places_add(&to, 2 * p + 1);
            p++;
        }
        if (p < parsed.len && parsed.data[p] == byte)
            places_add(&to, 2 * (p + 1));
    }
    return to;
}

static bool places_eq(const places_t *a, const places_t *b)
{
    return a->count == b->count && memcmp(a->places, b->places, a->count * sizeof a->places[0]) == 0;
}

typedef struct {
    places_t *sets;
    size_t count, cap, steps;
} search_t;

/* False when out of memory, or over the bound of work. */
static bool search_add(search_t *s, const places_t *set)
{
    for (size_t i = s->count; i-- > 0;) {
        if (places_eq(&s->sets[i], set))
            return true;
        if (++s->steps > WILDCARD_STEPS_MAX)
            return false;
    }
    if (s->count == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 32;
        places_t *sets = realloc(s->sets, cap * sizeof *sets);
        if (!sets)
            return false;
        s->sets = sets;
        s->cap = cap;
    }
    s->sets[s->count++] = *set;
    return true;
}

/* The bytes worth trying: those that stand behind a place of the set. */
static bool search_from(search_t *s, bytes_t parsed, size_t at, unsigned *most)
{
    places_t from = s->sets[at];
    for (unsigned i = 0; i < from.count; i++) {
        uint32_t p = from.places[i] / 2;
        p += p < parsed.len && parsed.data[p] == WILDCARD_STAR;
        if (p >= parsed.len)
            continue;
        places_t to = places_after(parsed, &from, parsed.data[p]);
        *most = to.count > *most ? to.count : *most;
        if (*most > WILDCARD_COMPLEXITY_MAX || !search_add(s, &to))
            return false;
    }
    return true;
}

unsigned wildcard_complexity(bytes_t parsed)
{
    size_t head = literal_length(parsed);
    if (head == parsed.len)
        return 0;
    bytes_t rest = drop(parsed, head); /* before the first star there is one way only */
    search_t s = {0};
    unsigned most = 1;
    bool ok = search_add(&s, &(places_t){.places = {0}, .count = 1});
    for (size_t i = 0; ok && i < s.count; i++)
        ok = search_from(&s, rest, i, &most);
    free(s.sets);
    return ok ? most : WILDCARD_COMPLEXITY_MAX + 1;
}
