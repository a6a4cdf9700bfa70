/* explain.c: finds the first condition of a pattern that an event does not meet. */
#include "broker/rules/explain.h"

#include <stdio.h>

#include "broker/rules/pattern_tree.h"

/* Each node but the root is a part of a key: it has a character or a dot of the pattern. */
#define NODE_WORDS (PATTERN_MAX_BYTES / 64 + 1)

/* All that one walk through an event finds out. */
typedef struct {
    const pattern_t *pattern;
    mp_reader_t reader;
    unsigned depth;
    uint64_t seen[NODE_WORDS];         /* nodes that have a value */
    uint64_t items[NODE_WORDS];        /* nodes that have objects in an array */
    uint64_t met[PATTERN_FIELD_WORDS]; /* fields that have a value which they want */
    uint32_t shown;                    /* the node whose values are appended to `found`; PATTERN_NONE */
    buf_t *found;
    uint32_t found_count;
} look_t;

/* -- looking through an event -------------------------------------------------------------------------- */
static void keep(look_t *l, bytes_t value)
{
    if (l->found_count == EXPLAIN_FOUND_MAX)
        return;
    l->found_count++;
    if (value.len <= EXPLAIN_VALUE_MAX_BYTES) {
        buf_append_bytes(l->found, value);
        return;
    }
    char size[48];
    (void)snprintf(size, sizeof size, "(%zu bytes)", value.len);
    mp_put_cstr(l->found, size);
}

static void take_value(look_t *l, uint32_t node, const value_t *value)
{
    pattern_set_bit(l->seen, node);
    for (uint32_t f = l->pattern->nodes[node].first_field; f != PATTERN_NONE; f = l->pattern->fields[f].next)
        if (pattern_field_holds(l->pattern, &l->pattern->fields[f], value))
            pattern_set_bit(l->met, f);
}

static bool look_value(look_t *l, uint32_t node, bool is_item);

static bool look_map(look_t *l, uint32_t node, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bytes_t key;
        if (!mp_get_str(&l->reader, &key))
            return false;
        uint32_t child = pattern_step(l->pattern, node, key);
        if (!(child == PATTERN_NONE ? mp_skip(&l->reader) : look_value(l, child, false)))
            return false;
    }
    return true;
}

static bool look_container(look_t *l, uint32_t node, const mp_token_t *token, bool is_item)
{
    bool ok = true;
    if (++l->depth > MP_DEPTH_MAX)
        return false;
    if (is_item)
        pattern_set_bit(l->items, node);
    if (token->type == MP_MAP)
        ok = look_map(l, node, token->count);
    for (uint32_t i = 0; token->type == MP_ARRAY && ok && i < token->count; i++)
        ok = look_value(l, node, true);
    l->depth--;
    return ok;
}

static bool look_value(look_t *l, uint32_t node, bool is_item)
{
    mp_token_t token;
    mp_reader_t ahead = l->reader;
    bytes_t raw;
    if (!mp_next(&l->reader, &token))
        return false;
    if (node == l->shown && (token.type != MP_ARRAY || token.count == 0)) {
        if (!mp_get_raw(&ahead, &raw))
            return false;
        keep(l, raw);
    }
    if (token.type == MP_MAP || token.type == MP_ARRAY)
        return look_container(l, node, &token, is_item);
    value_t value = value_of(&token);
    take_value(l, node, &value);
    return true;
}

/* False when the event is broken. */
static bool look(const pattern_t *p, bytes_t event, bytes_t replay_name, uint32_t shown, buf_t *found, look_t *l)
{
    mp_token_t token;
    *l = (look_t){.pattern = p, .reader = mp_reader(event), .shown = shown, .found = found};
    if (!mp_next(&l->reader, &token) || token.type != MP_MAP || !look_map(l, 0, token.count))
        return false;
    uint32_t replay = pattern_child(p, 0, BYTES_LIT("replay-name"));
    if (replay_name.len > 0 && replay != PATTERN_NONE) {
        value_t value = {.type = VALUE_STRING, .text = replay_name};
        take_value(l, replay, &value);
        if (replay == shown)
            mp_put_str(found, replay_name);
        l->found_count += replay == shown;
    }
    return true;
}

/* -- the branch that comes nearest -------------------------------------------------------------------- */
static bool alone_met(const look_t *l, uint32_t field)
{
    const pattern_field_t *f = &l->pattern->fields[field];
    return pattern_bit(l->met, field) || (f->may_be_absent && !pattern_bit(l->seen, f->node));
}

/* The deepest node on the way to the field that has objects in an array; PATTERN_NONE. */
static uint32_t elements_above(const look_t *l, uint32_t field)
{
    uint32_t node = l->pattern->nodes[l->pattern->fields[field].node].parent;
    while (node != PATTERN_NONE && !pattern_bit(l->items, node))
        node = l->pattern->nodes[node].parent;
    return node;
}

typedef struct {
    uint32_t met, first_unmet; /* a field; PATTERN_NONE when each alone is met */
    uint32_t elements;
} branch_state_t;

static branch_state_t judge(const look_t *l, const pattern_branch_t *branch)
{
    branch_state_t state = {.first_unmet = PATTERN_NONE, .elements = PATTERN_NONE};
    for (uint32_t i = 0; i < branch->count; i++) {
        uint32_t field = l->pattern->members[branch->first + i];
        if (alone_met(l, field))
            state.met++;
        else if (state.first_unmet == PATTERN_NONE)
            state.first_unmet = field;
        if (state.elements == PATTERN_NONE)
            state.elements = elements_above(l, field);
    }
    return state;
}

static void explain_field(const pattern_t *p, uint32_t field, bytes_t event, bytes_t replay_name, explanation_t *out)
{
    buf_t values = {0};
    look_t l;
    const pattern_field_t *f = &p->fields[field];
    (void)!look(p, event, replay_name, f->node, &values, &l);
    bool only_absent = true;
    for (uint32_t i = 0; i < f->condition_count; i++)
        only_absent &= p->conditions[f->conditions + i].type == CONDITION_ABSENT;
    out->reason = !pattern_bit(l.seen, f->node) ? EXPLAIN_MISSING : only_absent ? EXPLAIN_PRESENT : EXPLAIN_VALUE;
    pattern_path(p, f->node, &out->path);
    buf_append_bytes(&out->wanted, f->given);
    mp_put_array(&out->found, l.found_count);
    buf_append_bytes(&out->found, buf_bytes(&values));
    buf_free(&values);
}

static void explain_branch(const pattern_t *p, const branch_state_t *state, bytes_t event, bytes_t replay_name,
                           explanation_t *out)
{
    if (state->first_unmet != PATTERN_NONE) {
        explain_field(p, state->first_unmet, event, replay_name, out);
        return;
    }
    out->reason = EXPLAIN_ELEMENT;
    if (state->elements != PATTERN_NONE)
        pattern_path(p, state->elements, &out->path);
}

bool pattern_explain(const pattern_t *pattern, bytes_t event, bytes_t replay_name, explanation_t *out)
{
    branch_state_t best = {0};
    look_t l;
    *out = (explanation_t){.branches = pattern->branch_count};
    if (pattern_match(pattern, event, replay_name))
        return true;
    if (!look(pattern, event, replay_name, PATTERN_NONE, NULL, &l)) {
        out->reason = EXPLAIN_BROKEN;
        return false;
    }
    for (uint32_t b = 0; b < pattern->branch_count; b++) {
        branch_state_t state = judge(&l, &pattern->branches[b]);
        uint32_t missing = pattern->branches[b].count - state.met;
        if (b > 0 && missing >= out->fields - out->met)
            continue;
        best = state;
        out->branch = b;
        out->met = state.met;
        out->fields = pattern->branches[b].count;
    }
    explain_branch(pattern, &best, event, replay_name, out);
    return false;
}

void explanation_free(explanation_t *explanation)
{
    buf_free(&explanation->path);
    buf_free(&explanation->wanted);
    buf_free(&explanation->found);
}

const char *explain_reason_name(explain_reason_t reason)
{
    static const char *const names[] = {"matched", "value", "missing", "present", "element", "broken"};
    return names[reason];
}

void explanation_put(const explanation_t *e, buf_t *out)
{
    bool matched = e->reason == EXPLAIN_MATCHED;
    mp_put_map(out, matched ? 1 : 7);
    mp_put_cstr(out, "matched");
    mp_put_bool(out, matched);
    if (matched)
        return;
    mp_put_cstr(out, "reason");
    mp_put_cstr(out, explain_reason_name(e->reason));
    mp_put_cstr(out, "path");
    mp_put_str(out, buf_bytes(&e->path));
    mp_put_cstr(out, "wanted");
    if (e->wanted.len)
        mp_put_raw(out, buf_bytes(&e->wanted));
    else
        mp_put_nil(out);
    mp_put_cstr(out, "found");
    if (e->found.len)
        mp_put_raw(out, buf_bytes(&e->found));
    else
        mp_put_nil(out);
    mp_put_cstr(out, "met");
    mp_put_u64(out, e->met);
    mp_put_cstr(out, "fields");
    mp_put_u64(out, e->fields);
}
