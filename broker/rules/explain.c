/* explain.c: finds the first condition of a pattern that an event does not meet. */
#include "broker/rules/explain.h"

#include <stdio.h>

#include "broker/rules/pattern_tree.h"

typedef struct {
    const pattern_t *pattern;
    const pattern_field_t *field;
    mp_reader_t reader;
    unsigned depth;
    bool seen, met;    /* there is a value; one that the field wants */
    uint32_t elements; /* the deepest node on the way that had objects in an array; PATTERN_NONE */
    buf_t *found;      /* values are appended; NULL: not wanted */
    uint32_t found_count;
} look_t;

/* -- looking at one path ----------------------------------------------------------------------------- */
static void keep(look_t *l, bytes_t value)
{
    if (!l->found || l->found_count == EXPLAIN_FOUND_MAX)
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

static bool is_on_the_way(const look_t *l, uint32_t node)
{
    uint32_t at = l->field->node;
    while (at != PATTERN_NONE && at != node)
        at = l->pattern->nodes[at].parent;
    return at == node;
}

static bool look_value(look_t *l, uint32_t node, bool is_item);

static bool look_map(look_t *l, uint32_t node, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        bytes_t key;
        if (!mp_get_str(&l->reader, &key))
            return false;
        uint32_t child = pattern_step(l->pattern, node, key);
        bool skip = child == PATTERN_NONE || !is_on_the_way(l, child);
        if (!(skip ? mp_skip(&l->reader) : look_value(l, child, false)))
            return false;
    }
    return true;
}

static bool look_container(look_t *l, uint32_t node, const mp_token_t *token, bool is_item)
{
    bool ok = true;
    if (++l->depth > MP_DEPTH_MAX)
        return false;
    if (token->type == MP_MAP) {
        if (is_item && node != l->field->node)
            l->elements = node;
        ok = look_map(l, node, token->count);
    }
    for (uint32_t i = 0; token->type == MP_ARRAY && ok && i < token->count; i++)
        ok = look_value(l, node, true);
    l->depth--;
    return ok;
}

static bool look_value(look_t *l, uint32_t node, bool is_item)
{
    mp_token_t token;
    const uint8_t *at = l->reader.pos;
    mp_reader_t ahead = l->reader;
    bytes_t raw;
    if (!mp_get_raw(&ahead, &raw) || !mp_next(&l->reader, &token))
        return false;
    bool is_container = token.type == MP_MAP || token.type == MP_ARRAY;
    if (node == l->field->node && (token.type != MP_ARRAY || token.count == 0))
        keep(l, bytes_from(at, raw.len));
    if (is_container)
        return look_container(l, node, &token, is_item);
    if (node == l->field->node) {
        value_t value = value_of(&token);
        l->seen = true;
        l->met |= pattern_field_holds(l->pattern, l->field, &value);
    }
    return true;
}

/* False when the event is broken. */
static bool look(const pattern_t *p, uint32_t field, bytes_t event, bytes_t replay_name, look_t *l)
{
    mp_token_t token;
    buf_t *found = l->found;
    *l = (look_t){
        .pattern = p, .field = &p->fields[field], .reader = mp_reader(event), .elements = PATTERN_NONE, .found = found};
    if (!mp_next(&l->reader, &token) || token.type != MP_MAP || !look_map(l, 0, token.count))
        return false;
    if (replay_name.len > 0 && l->field->node == pattern_child(p, 0, BYTES_LIT("replay-name"))) {
        value_t value = {.type = VALUE_STRING, .text = replay_name};
        l->seen = true;
        l->met |= pattern_field_holds(p, l->field, &value);
        if (found)
            mp_put_str(found, replay_name);
        l->found_count += found != NULL;
    }
    return true;
}

/* -- the branch that comes nearest -------------------------------------------------------------------- */
static bool alone_met(const look_t *l)
{
    return l->met || (l->field->may_be_absent && !l->seen);
}

typedef struct {
    uint32_t met, first_unmet; /* a field; PATTERN_NONE when each alone is met */
    uint32_t elements;
} branch_state_t;

static bool judge(const pattern_t *p, uint32_t branch, bytes_t event, bytes_t replay_name, branch_state_t *out)
{
    *out = (branch_state_t){.first_unmet = PATTERN_NONE, .elements = PATTERN_NONE};
    for (uint32_t i = 0; i < p->branches[branch].count; i++) {
        look_t l = {.found = NULL};
        uint32_t field = p->members[p->branches[branch].first + i];
        if (!look(p, field, event, replay_name, &l))
            return false;
        if (alone_met(&l))
            out->met++;
        else if (out->first_unmet == PATTERN_NONE)
            out->first_unmet = field;
        if (out->elements == PATTERN_NONE)
            out->elements = l.elements;
    }
    return true;
}

static void explain_field(const pattern_t *p, uint32_t field, bytes_t event, bytes_t replay_name, explanation_t *out)
{
    buf_t values = {0};
    look_t l = {.found = &values};
    (void)!look(p, field, event, replay_name, &l);
    bool only_absent = true;
    const pattern_field_t *f = &p->fields[field];
    for (uint32_t i = 0; i < f->condition_count; i++)
        only_absent &= p->conditions[f->conditions + i].type == CONDITION_ABSENT;
    out->reason = !l.seen ? EXPLAIN_MISSING : only_absent ? EXPLAIN_PRESENT : EXPLAIN_VALUE;
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
    *out = (explanation_t){.branches = pattern->branch_count};
    if (pattern_match(pattern, event, replay_name))
        return true;
    for (uint32_t b = 0; b < pattern->branch_count; b++) {
        branch_state_t state;
        if (!judge(pattern, b, event, replay_name, &state)) {
            out->reason = EXPLAIN_BROKEN;
            return false;
        }
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
