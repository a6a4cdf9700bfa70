/* pattern.c: holds one event against one pattern.
 *
 * The event is walked once, along the pattern's paths only. What was found is kept as two bits a field:
 * `met` (a condition holds) and `seen` (the field is there at all). An object inside an array is looked at
 * with bits of its own: a match may not combine fields of different elements, so either one element meets
 * all that the pattern asks below that path, or the array contributes nothing but that fields were seen.
 * `exists: false` is judged inside the element that meets the rest; where nothing else is asked below the
 * path, no element may have the field. Both as event-ruler decides it. */
#include "broker/rules/pattern_tree.h"

#define WORDS (PATTERN_FIELDS_MAX / 64)
/* `"":[1],` is the shortest field, so a pattern within its bounds cannot have more. */
_Static_assert(PATTERN_MAX_BYTES / 7 < PATTERN_FIELDS_MAX, "one bit for every field");

typedef struct {
    uint64_t met[WORDS], seen[WORDS];
} found_t;

static bool holds(const condition_t *c, const value_t *v)
{
    switch (c->type) {
    case CONDITION_EXACT:
        return value_eq(&c->value, v);
    case CONDITION_PREFIX:
        return v->type == VALUE_STRING && bytes_has_prefix(v->text, c->value.text);
    case CONDITION_PRESENT:
        return true;
    case CONDITION_ABSENT:
        break;
    }
    return false;
}

static void take_leaf(const pattern_t *p, uint32_t at, const mp_token_t *token, found_t *found)
{
    const pattern_node_t *node = &p->nodes[at];
    if (node->field == PATTERN_NONE)
        return;
    pattern_set_bit(found->seen, node->field);
    value_t value = value_of(token);
    for (uint32_t i = 0; i < node->condition_count; i++)
        if (holds(&p->conditions[node->conditions + i], &value))
            pattern_set_bit(found->met, node->field);
}

static bool field_fits(const pattern_t *p, const found_t *found, uint32_t field)
{
    return pattern_bit(found->met, field) || (pattern_bit(p->may_be_absent, field) && !pattern_bit(found->seen, field));
}

static bool range_fits(const pattern_t *p, const found_t *found, uint32_t from, uint32_t to, bool *by_presence)
{
    *by_presence = false;
    for (uint32_t f = from; f < to; f++) {
        if (!field_fits(p, found, f))
            return false;
        *by_presence |= pattern_bit(found->met, f);
    }
    return true;
}

static void add_range(uint64_t *to, const uint64_t *bits, uint32_t from, uint32_t end)
{
    for (uint32_t f = from; f < end; f++)
        if (pattern_bit(bits, f))
            pattern_set_bit(to, f);
}

typedef struct {
    const pattern_t *pattern;
    mp_reader_t reader;
    unsigned depth; /* of the event, which is from outside: bounds the recursion */
} walk_t;

static bool walk_map(walk_t *w, uint32_t at, uint32_t count, found_t *found);

static bool walk_element(walk_t *w, uint32_t at, uint32_t count, found_t *found)
{
    const pattern_node_t *node = &w->pattern->nodes[at];
    found_t element = {0};
    bool by_presence;
    if (!walk_map(w, at, count, &element))
        return false;
    if (range_fits(w->pattern, &element, node->below, node->end, &by_presence) && by_presence)
        for (uint32_t f = node->below; f < node->end; f++)
            pattern_set_bit(found->met, f);
    add_range(found->seen, element.seen, node->below, node->end);
    return true;
}

static bool walk_array(walk_t *w, uint32_t at, uint32_t count, found_t *found);

static bool walk_item(walk_t *w, uint32_t at, found_t *found)
{
    mp_token_t token;
    if (!mp_next(&w->reader, &token))
        return false;
    if (token.type == MP_MAP)
        return walk_element(w, at, token.count, found);
    if (token.type == MP_ARRAY)
        return walk_array(w, at, token.count, found);
    take_leaf(w->pattern, at, &token, found);
    return true;
}

static bool walk_array(walk_t *w, uint32_t at, uint32_t count, found_t *found)
{
    if (++w->depth > MP_DEPTH_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!walk_item(w, at, found))
            return false;
    w->depth--;
    return true;
}

static bool walk_value(walk_t *w, uint32_t at, found_t *found)
{
    mp_token_t token;
    if (!mp_next(&w->reader, &token))
        return false;
    if (token.type == MP_MAP)
        return walk_map(w, at, token.count, found);
    if (token.type == MP_ARRAY)
        return walk_array(w, at, token.count, found);
    take_leaf(w->pattern, at, &token, found);
    return true;
}

static uint32_t find_key(const pattern_t *p, uint32_t node, bytes_t key)
{
    bytes_t rest = key, segment;
    bool more = true;
    while (node != PATTERN_NONE && pattern_segment(&rest, &more, &segment))
        node = pattern_child(p, node, segment);
    return node;
}

static bool walk_map(walk_t *w, uint32_t at, uint32_t count, found_t *found)
{
    if (++w->depth > MP_DEPTH_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        mp_token_t key;
        if (!mp_next(&w->reader, &key) || key.type != MP_STR)
            return false; /* JSON knows no other keys */
        uint32_t child = find_key(w->pattern, at, key.bytes);
        if (!(child == PATTERN_NONE ? mp_skip(&w->reader) : walk_value(w, child, found)))
            return false;
    }
    w->depth--;
    return true;
}

static bool walk_event(const pattern_t *p, bytes_t event, found_t *found)
{
    walk_t w = {.pattern = p, .reader = mp_reader(event)};
    mp_token_t token;
    return mp_next(&w.reader, &token) && token.type == MP_MAP && walk_map(&w, 0, token.count, found) &&
           mp_left(&w.reader) == 0;
}

bool pattern_match(const pattern_t *pattern, bytes_t event, bytes_t replay_name)
{
    found_t found = {0};
    if (!walk_event(pattern, event, &found))
        return false;
    uint32_t replay = pattern_child(pattern, 0, BYTES_LIT("replay-name"));
    if (replay_name.len > 0 && replay != PATTERN_NONE)
        take_leaf(pattern, replay, &(mp_token_t){.type = MP_STR, .bytes = replay_name}, &found);
    bool by_presence;
    return range_fits(pattern, &found, 0, pattern->field_count, &by_presence);
}
