/* pattern.c: holds one event against one pattern, plainly: what ruleset.c does for many, here for one.
 *
 * The event is walked once for a branch, along the branch's paths only. What was found is kept as two bits a field:
 * `met` (a condition holds) and `seen` (the field is there at all). An object inside an array is looked at with bits
 * of its own: a match may not combine fields of different elements, so either one element meets all that the branch
 * asks below that path, or the array contributes nothing but that fields were seen. `exists: false` is judged inside
 * the element that meets the rest; where nothing else is asked below the path, no element may have the field. Both as
 * event-ruler decides it. */
#include "broker/rules/pattern_tree.h"

/* `"":[1],` is the shortest field, so a pattern within its bounds cannot have more. */
_Static_assert(PATTERN_MAX_BYTES / 7 < PATTERN_FIELDS_MAX, "one bit for every field");

typedef struct {
    uint64_t met[PATTERN_FIELD_WORDS], seen[PATTERN_FIELD_WORDS];
} found_t;

typedef struct {
    const pattern_t *pattern;
    const uint32_t *members; /* fields of the branch */
    uint32_t member_count;
    uint64_t wanted[PATTERN_FIELD_WORDS]; /* the same as bits */
    bool apart;                           /* elements of arrays are looked at each on its own */
    bool has_elements;                    /* there were objects inside arrays */
    mp_reader_t reader;
    unsigned depth; /* of the event, which is from outside: bounds the recursion */
    size_t left;    /* steps that may still be spent */
} walk_t;

#define STEPS_PAIR 5
#define STEP_SKIPPED 8 /* one for so many bytes of a container that is skipped */
#define STEPS_MEMBER 3 /* for a field, once for each element */

static bool spend(walk_t *w, size_t steps)
{
    w->left -= steps < w->left ? steps : w->left;
    return w->left > 0;
}

/* -- finding the way ----------------------------------------------------------------------------- */
bool pattern_segment(bytes_t *rest, bool *more, bytes_t *segment)
{
    if (!*more)
        return false;
    const uint8_t *dot = rest->len ? memchr(rest->data, '.', rest->len) : NULL;
    *more = dot != NULL;
    if (!dot) {
        *segment = *rest;
        return true;
    }
    size_t len = (size_t)(dot - rest->data);
    *segment = bytes_from(rest->data, len);
    *rest = bytes_from(dot + 1, rest->len - len - 1);
    return true;
}

uint32_t pattern_child(const pattern_t *p, uint32_t node, bytes_t key)
{
    uint32_t at = p->nodes[node].first_child;
    while (at != PATTERN_NONE && !bytes_eq(p->nodes[at].key, key))
        at = p->nodes[at].next_sibling;
    return at;
}

uint32_t pattern_step(const pattern_t *p, uint32_t node, bytes_t key)
{
    bytes_t rest = key, segment;
    bool more = true;
    while (node != PATTERN_NONE && pattern_segment(&rest, &more, &segment))
        node = pattern_child(p, node, segment);
    return node;
}

void pattern_path(const pattern_t *p, uint32_t node, buf_t *out)
{
    if (p->nodes[node].parent == PATTERN_NONE)
        return;
    pattern_path(p, p->nodes[node].parent, out);
    if (p->nodes[node].parent != 0)
        buf_append_byte(out, '.');
    buf_append_bytes(out, p->nodes[node].key);
}

/* -- leaves -------------------------------------------------------------------------------------- */
bool pattern_field_holds(const pattern_t *p, const pattern_field_t *field, const value_t *value)
{
    for (uint32_t i = 0; i < field->condition_count; i++)
        if (condition_holds(p->conditions, &p->conditions[field->conditions + i], value))
            return true;
    return false;
}

static size_t field_steps(const pattern_t *p, const pattern_field_t *field, const value_t *value)
{
    size_t steps = 0;
    for (uint32_t i = 0; i < field->condition_count; i++)
        steps += condition_steps(p->conditions, &p->conditions[field->conditions + i], value);
    return steps;
}

/* False when there is nothing left to spend. */
static bool take_leaf(walk_t *w, uint32_t at, const mp_token_t *token, found_t *found)
{
    const pattern_t *p = w->pattern;
    uint32_t f = p->nodes[at].first_field;
    if (f == PATTERN_NONE)
        return true;
    if (!spend(w, STEPS_VALUE))
        return false;
    value_t value = value_of(token);
    for (; f != PATTERN_NONE; f = p->fields[f].next) {
        if (!pattern_bit(w->wanted, f))
            continue;
        pattern_set_bit(found->seen, f);
        if (pattern_bit(found->met, f))
            continue;
        if (!spend(w, field_steps(p, &p->fields[f], &value)))
            return false;
        if (pattern_field_holds(p, &p->fields[f], &value))
            pattern_set_bit(found->met, f);
    }
    return true;
}

static bool field_fits(const pattern_t *p, const found_t *found, uint32_t field)
{
    return pattern_bit(found->met, field) || (p->fields[field].may_be_absent && !pattern_bit(found->seen, field));
}

/* -- walking ------------------------------------------------------------------------------------- */
static bool walk_map(walk_t *w, uint32_t at, uint32_t count, found_t *found);

static bool is_below(const walk_t *w, uint32_t field, const pattern_node_t *node)
{
    uint32_t order = w->pattern->nodes[w->pattern->fields[field].node].order;
    return order > node->order && order < node->end;
}

/* What the element gives to the whole: all that is asked below its path, or nothing. An array that is an element may
 * have values at the path itself, too; what it lacks there may stand beside it. */
static void take_element(const walk_t *w, uint32_t at, const found_t *element, found_t *found)
{
    const pattern_node_t *node = &w->pattern->nodes[at];
    bool fits = true, by_presence = false;
    for (uint32_t i = 0; i < w->member_count; i++) {
        uint32_t f = w->members[i];
        bool is_here = w->pattern->fields[f].node == at;
        if (!is_here && !is_below(w, f, node))
            continue;
        fits &= is_here || field_fits(w->pattern, element, f);
        by_presence |= pattern_bit(element->met, f);
        if (pattern_bit(element->seen, f))
            pattern_set_bit(found->seen, f);
    }
    for (uint32_t i = 0; fits && by_presence && i < w->member_count; i++)
        if (is_below(w, w->members[i], node) || pattern_bit(element->met, w->members[i]))
            pattern_set_bit(found->met, w->members[i]);
}

static bool walk_array(walk_t *w, uint32_t at, uint32_t count, found_t *found);

static bool walk_container(walk_t *w, uint32_t at, const mp_token_t *token, found_t *found)
{
    return token->type == MP_MAP ? walk_map(w, at, token->count, found) : walk_array(w, at, token->count, found);
}

/* An object or an array in an array: what it has belongs together. */
static bool walk_element(walk_t *w, uint32_t at, const mp_token_t *token, found_t *found)
{
    found_t element = {0};
    w->has_elements = true;
    if (!w->apart)
        return walk_container(w, at, token, found);
    if (!spend(w, (size_t)w->member_count * STEPS_MEMBER) || !walk_container(w, at, token, &element))
        return false;
    take_element(w, at, &element, found);
    return true;
}

static bool walk_value(walk_t *w, uint32_t at, found_t *found, bool is_item)
{
    mp_token_t token;
    if (!mp_next(&w->reader, &token))
        return false;
    if (token.type == MP_MAP || token.type == MP_ARRAY)
        return (is_item ? walk_element : walk_container)(w, at, &token, found);
    return take_leaf(w, at, &token, found);
}

static bool walk_array(walk_t *w, uint32_t at, uint32_t count, found_t *found)
{
    if (++w->depth > MP_DEPTH_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (!spend(w, STEPS_ITEM) || !walk_value(w, at, found, true))
            return false;
    w->depth--;
    return true;
}

/* By the first byte of a value: fixmap and fixarray, then array and map of 16 and 32 bits. */
static bool begins_container(uint8_t c)
{
    return (c & 0xE0) == 0x80 || (c >= 0xDC && c <= 0xDF);
}

/* What is no container is skipped at once, whatever its length. */
static bool skip(walk_t *w)
{
    const uint8_t *begin = w->reader.pos;
    if (!mp_skip(&w->reader))
        return false;
    return !begins_container(*begin) || spend(w, (size_t)(w->reader.pos - begin) / STEP_SKIPPED);
}

static bool walk_map(walk_t *w, uint32_t at, uint32_t count, found_t *found)
{
    const size_t steps = STEPS_PAIR + w->pattern->nodes[at].child_count / 2;
    if (++w->depth > MP_DEPTH_MAX)
        return false;
    for (uint32_t i = 0; i < count; i++) {
        mp_token_t key;
        if (!spend(w, steps) || !mp_next(&w->reader, &key) || key.type != MP_STR)
            return false; /* JSON knows no other keys */
        uint32_t child = pattern_step(w->pattern, at, key.bytes);
        if (!(child == PATTERN_NONE ? skip(w) : walk_value(w, child, found, false)))
            return false;
    }
    w->depth--;
    return true;
}

static bool walk_event(walk_t *w, bytes_t event, bytes_t replay_name, found_t *found)
{
    mp_token_t token;
    w->reader = mp_reader(event);
    if (!mp_next(&w->reader, &token) || token.type != MP_MAP || !walk_map(w, 0, token.count, found) ||
        mp_left(&w->reader) > 0)
        return false;
    uint32_t replay = pattern_child(w->pattern, 0, BYTES_LIT("replay-name"));
    return replay_name.len == 0 || replay == PATTERN_NONE ||
           take_leaf(w, replay, &(mp_token_t){.type = MP_STR, .bytes = replay_name}, found);
}

/* -- matching ------------------------------------------------------------------------------------ */
static bool branch_fits(const pattern_t *p, const pattern_branch_t *branch, const found_t *found)
{
    for (uint32_t i = 0; i < branch->count; i++)
        if (!field_fits(p, found, p->members[branch->first + i]))
            return false;
    return true;
}

bool pattern_match_branch(const pattern_t *p, uint32_t branch, bytes_t event, bytes_t replay_name, size_t *left)
{
    const pattern_branch_t *b = &p->branches[branch];
    walk_t w = {.pattern = p, .members = &p->members[b->first], .member_count = b->count, .apart = true, .left = *left};
    found_t found = {0};
    for (uint32_t i = 0; i < b->count; i++)
        pattern_set_bit(w.wanted, w.members[i]);
    bool walked = walk_event(&w, event, replay_name, &found);
    *left = w.left;
    return walked && branch_fits(p, b, &found);
}

static bool match_branch(const pattern_t *p, uint32_t branch, bytes_t event, bytes_t replay_name)
{
    size_t left = SIZE_MAX;
    return pattern_match_branch(p, branch, event, replay_name, &left);
}

/* All branches in one walk; where there are objects in arrays, those that may still match one by one. */
static bool match_branches(const pattern_t *p, bytes_t event, bytes_t replay_name)
{
    walk_t w = {.pattern = p, .left = SIZE_MAX};
    found_t found = {0};
    memset(w.wanted, 0xFF, sizeof w.wanted);
    if (!walk_event(&w, event, replay_name, &found))
        return false;
    if (w.has_elements) /* absence is to be judged in each element */
        memset(found.seen, 0, sizeof found.seen);
    for (uint32_t i = 0; i < p->branch_count; i++)
        if (branch_fits(p, &p->branches[i], &found) && (!w.has_elements || match_branch(p, i, event, replay_name)))
            return true;
    return false;
}

bool pattern_match(const pattern_t *pattern, bytes_t event, bytes_t replay_name)
{
    if (pattern->branch_count == 1)
        return match_branch(pattern, 0, event, replay_name);
    return match_branches(pattern, event, replay_name);
}
