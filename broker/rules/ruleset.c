/* ruleset.c: walks an event once and finds the rules that it matches.
 *
 * A value has hits, a hit meets a predicate, and a predicate that is met for the first time makes the branches that
 * are found by it candidates: for each branch that is the one that fewest events meet. When the walk is over each
 * candidate's other predicates are looked at. This knows nothing of which element of an array a value stood in:
 * candidates with several fields below a path where the event has an array of objects are held against their own
 * pattern, exactly. */
#include "broker/rules/ruleset.h"

#include <stdlib.h>

#include "broker/rules/ruleset_index.h"

/* -- hits ------------------------------------------------------------------------------------------ */
static void meet(set_walk_t *w, uint32_t at)
{
    const ruleset_t *s = w->set;
    set_scratch_t *x = w->scratch;
    if (x->predicate_stamps[at] == x->stamp)
        return;
    x->predicate_stamps[at] = x->stamp;
    const set_predicate_t *predicate = AT(s->predicates, set_predicate_t, at);
    for (uint32_t i = 0; i < predicate->branch_count; i++)
        x->candidates[x->candidate_count++] = s->accesses[predicate->first_branch + i];
    w->done |= ++x->met_count == s->predicates.count && s->can_stop;
}

static void exclude(set_scratch_t *x, uint32_t but)
{
    if (x->but_stamps[but] != x->stamp) {
        x->but_stamps[but] = x->stamp;
        x->but_excluded[but] = 0;
    } else if (x->but_leaf[but] == x->leaf) {
        return; /* by another of its texts */
    }
    x->but_leaf[but] = x->leaf;
    x->but_excluded[but]++;
}

#define SORTED_HERE_MAX 16
#define BYTE_SET_TEXT_MAX 256 /* for longer ones, looking for the wildcard itself is as quick */

/* False when the value lacks a byte that the wildcard has. Its own are gathered once. */
static bool has_bytes(set_walk_t *w, const condition_t *wildcard, const value_t *value)
{
    if (value->text.len > BYTE_SET_TEXT_MAX)
        return true;
    if (w->set_leaf != w->scratch->leaf) {
        w->set_leaf = w->scratch->leaf;
        w->bytes = byte_set_of(value->text);
    }
    return byte_set_covers(w->bytes, wildcard->wildcard.needs);
}

static void take_hit(set_walk_t *w, set_hit_t *hit, const value_t *value)
{
    set_scratch_t *x = w->scratch;
    if (!hit->excludes && x->predicate_stamps[hit->target] == x->stamp)
        return;
    if (hit->check) {
        if (hit->checked == x->leaf)
            return;
        hit->checked = x->leaf;
        if (hit->check->type == CONDITION_WILDCARD && !has_bytes(w, hit->check, value))
            return;
        if (!set_spend(w, condition_steps(hit->all, hit->check, value)) ||
            !condition_holds(hit->all, hit->check, value))
            return;
    }
    if (hit->excludes)
        exclude(x, hit->target);
    else
        meet(w, hit->target);
}

void set_take_hits(set_walk_t *w, uint32_t at, const value_t *value)
{
    while (at != NONE && set_spend(w, 1)) {
        set_hit_t *hit = AT(w->set->hits, set_hit_t, at);
        take_hit(w, hit, value);
        at = hit->next;
    }
}

/* -- walking --------------------------------------------------------------------------------------- */
static void take_leaf(set_walk_t *w, uint32_t at, const mp_token_t *token)
{
    set_scratch_t *x = w->scratch;
    const set_node_t *node = AT(w->set->nodes, set_node_t, at);
    if (!node->is_field || !set_spend(w, STEPS_VALUE))
        return;
    if (x->node_stamps[at] != x->stamp) {
        x->node_stamps[at] = x->stamp;
        x->node_leaves[at] = 0;
        if (node->late != NONE)
            x->late_nodes[x->late_count++] = at;
    }
    x->node_leaves[at]++;
    x->leaf++;
    value_t value = token->type == MP_STR ? (value_t){.type = VALUE_STRING, .text = token->bytes} : value_of(token);
    set_take_value(w, at, &value);
}

static void note_elements(set_walk_t *w, uint32_t node)
{
    set_scratch_t *x = w->scratch;
    if (x->element_stamps[node] == x->stamp)
        return;
    x->element_stamps[node] = x->stamp;
    x->element_nodes[x->element_count++] = node;
}

static bool walk_value(set_walk_t *w, uint32_t node, bool in_array);

static inline bool memo_has(const set_memo_t *memo, uint32_t node, const uint8_t *p, const uint8_t *end)
{
    return end - p >= MEMO_REACH && (bytes_load64(p) & memo->mask) == memo->head && memo->node == node &&
           (memo->len < 8 || bytes_load64(p + memo->len - 7) == memo->tail);
}

static void memo_set(set_memo_t *memo, uint32_t node, bytes_t key, uint32_t child)
{
    const uint8_t *tag = key.data - 1;
    if (key.len > MEMO_KEY_MAX)
        return;
    size_t head = key.len < 7 ? key.len + 1 : 8;
    *memo = (set_memo_t){.node = node, .child = child, .len = (uint32_t)key.len};
    memset(&memo->mask, 0xFF, head);
    memcpy(&memo->head, tag, head);
    if (key.len >= 8)
        memo->tail = bytes_load64(key.data + key.len - 8);
}

/* Reads a key; the node that it leads to, or NONE. */
static bool walk_key(set_walk_t *w, uint32_t at, set_memo_t *memo, uint32_t *child)
{
    bytes_t key;
    const uint8_t *begin = w->reader.pos;
    if (!mp_get_str(&w->reader, &key)) /* JSON knows no other keys */
        return false;
    bool may_step = set_may_step(AT(w->set->nodes, set_node_t, at), key);
    w->spent += may_step ? STEPS_STEP : 0;
    *child = may_step ? set_step(w->set, at, key) : NONE;
    if (key.data == begin + 1)
        memo_set(memo, at, key, *child);
    return true;
}

static bool walk_map(set_walk_t *w, uint32_t at, uint32_t count)
{
    const uint8_t *const end = w->reader.end;
    for (uint32_t i = 0; i < count && !w->done && set_spend(w, 0); i++) {
        set_memo_t *memo = &w->scratch->memos[(at * MEMO_STEP + i) % MEMOS];
        uint32_t child = memo->child;
        if (memo_has(memo, at, w->reader.pos, end))
            w->reader.pos += 1 + memo->len;
        else if (!walk_key(w, at, memo, &child))
            return false;
        if (!(child == NONE ? mp_skip(&w->reader) : walk_value(w, child, false)))
            return false;
    }
    return true;
}

static bool walk_container(set_walk_t *w, uint32_t node, const mp_token_t *token, bool in_array)
{
    bool ok = true;
    if (++w->depth > MP_DEPTH_MAX)
        return false;
    if (in_array)
        note_elements(w, node);
    if (token->type == MP_MAP) {
        ok = walk_map(w, node, token->count);
    } else {
        for (uint32_t i = 0; ok && i < token->count && !w->done && set_spend(w, STEPS_ITEM); i++)
            ok = walk_value(w, node, true);
    }
    w->depth--;
    return ok;
}

static bool walk_value(set_walk_t *w, uint32_t node, bool in_array)
{
    mp_token_t token;
    if (!mp_next(&w->reader, &token))
        return false;
    if (token.type == MP_MAP || token.type == MP_ARRAY)
        return walk_container(w, node, &token, in_array);
    take_leaf(w, node, &token);
    return true;
}

static bool walk_event(set_walk_t *w, bytes_t event)
{
    mp_token_t token;
    w->reader = mp_reader(event);
    return mp_next(&w->reader, &token) && token.type == MP_MAP && walk_container(w, ROOT, &token, false) &&
           (w->done || mp_left(&w->reader) == 0);
}

/* As walk_event, over the values that rules name. */
static bool walk_envelope(set_walk_t *w, const envelope_t *e)
{
    w->depth = 1; /* inside the event */
    for (uint32_t i = 0; i < w->set->top_count && !w->done; i++) {
        set_top_t top = w->set->tops[i];
        bytes_t value = envelope_member(e, top.key);
        if (!(e->seen >> top.key & 1))
            continue;
        w->reader = mp_reader(value);
        if (top.key < ENVELOPE_KEY_RESOURCES)
            take_leaf(w, top.node, &(mp_token_t){.type = MP_STR, .bytes = value});
        else if (!walk_value(w, top.node, false))
            return false;
    }
    return true;
}

/* -- judging --------------------------------------------------------------------------------------- */
static bool but_met(const set_walk_t *w, uint32_t but)
{
    const set_scratch_t *x = w->scratch;
    uint32_t node = AT(w->set->buts, set_but_t, but)->node;
    if (x->node_stamps[node] != x->stamp)
        return false;
    return x->but_stamps[but] != x->stamp || x->but_excluded[but] < x->node_leaves[node];
}

/* Or there: an array in an array has values at its own path. */
static bool is_below(const set_walk_t *w, uint32_t at, uint32_t above)
{
    uint32_t order = AT(w->set->nodes, set_node_t, at)->order;
    const set_node_t *node = AT(w->set->nodes, set_node_t, above);
    return order >= node->order && order < node->end;
}

/* A field that is there may still be absent in the element that meets the rest. */
static bool may_be_absent(const set_walk_t *w, uint32_t node)
{
    const set_scratch_t *x = w->scratch;
    if (x->node_stamps[node] != x->stamp)
        return true;
    for (uint32_t i = 0; i < x->element_count; i++)
        if (is_below(w, node, x->element_nodes[i]))
            return true;
    return false;
}

/* Met, or to be judged exactly: see needs_exact. */
static bool predicate_met(const set_walk_t *w, uint32_t at)
{
    const set_predicate_t *predicate = AT(w->set->predicates, set_predicate_t, at);
    if (w->scratch->predicate_stamps[at] == w->scratch->stamp)
        return true;
    for (uint32_t i = 0; i < predicate->but_count; i++)
        if (but_met(w, predicate->first_but + i))
            return true;
    return predicate->may_be_absent && may_be_absent(w, predicate->node);
}

/* Now that all values were seen. */
static void meet_late(set_walk_t *w)
{
    const set_scratch_t *x = w->scratch;
    for (uint32_t i = 0; i < x->late_count; i++) {
        uint32_t at = AT(w->set->nodes, set_node_t, x->late_nodes[i])->late;
        for (; at != NONE; at = AT(w->set->predicates, set_predicate_t, at)->next_late)
            if (predicate_met(w, at))
                meet(w, at);
    }
}

/* True when the branch has several fields at or below a path where the event has objects or arrays in an array, or one
 * that may be absent there. */
static bool needs_exact(const set_walk_t *w, const set_branch_t *branch)
{
    const set_scratch_t *x = w->scratch;
    for (uint32_t e = 0; e < x->element_count; e++) {
        uint32_t below = 0;
        for (uint32_t i = 0; i < branch->count; i++) {
            uint32_t at = *AT(w->set->members, uint32_t, branch->first + i);
            const set_predicate_t *predicate = AT(w->set->predicates, set_predicate_t, at);
            if (is_below(w, predicate->node, x->element_nodes[e]))
                below += predicate->may_be_absent ? 2 : 1;
        }
        if (below > 1)
            return true;
    }
    return false;
}

/* By its own pattern, walking the event again. */
static bool branch_matches_exactly(set_walk_t *w, const set_branch_t *branch, bytes_t event, bytes_t replay_name)
{
    const pattern_t *pattern = AT(w->set->rules, set_rule_t, branch->rule)->pattern;
    size_t left = RULESET_STEPS_MAX - w->spent, before = left;
    bool matches = pattern_match_branch(pattern, branch->branch, event, replay_name, &left);
    return set_spend(w, before - left + (left == 0)) && matches;
}

static bool branch_matches(set_walk_t *w, uint32_t at, bytes_t event, bytes_t replay_name)
{
    const set_branch_t *branch = AT(w->set->branches, set_branch_t, at);
    set_scratch_t *x = w->scratch;
    if (x->rule_stamps[branch->rule] == x->stamp) /* by another branch */
        return false;
    if (!set_spend(w, (1 + x->element_count) * branch->count))
        return false;
    for (uint32_t i = 0; i < branch->count; i++)
        if (!predicate_met(w, *AT(w->set->members, uint32_t, branch->first + i)))
            return false;
    if (x->element_count > 0 && needs_exact(w, branch) && !branch_matches_exactly(w, branch, event, replay_name))
        return false;
    x->rule_stamps[branch->rule] = x->stamp;
    return true;
}

static void next_stamp(const ruleset_t *s, set_scratch_t *x)
{
    x->candidate_count = x->late_count = x->element_count = x->met_count = 0;
    if (++x->stamp != 0 && x->leaf < UINT32_MAX / 2)
        return;
    memset(x->predicate_stamps, 0, s->predicates.count * sizeof(uint32_t));
    memset(x->node_stamps, 0, s->nodes.count * sizeof(uint32_t));
    memset(x->element_stamps, 0, s->nodes.count * sizeof(uint32_t));
    memset(x->but_stamps, 0, s->buts.count * sizeof(uint32_t));
    memset(x->rule_stamps, 0, s->rules.count * sizeof(uint32_t));
    for (uint32_t i = 0; i < s->hits.count; i++)
        AT(s->hits, set_hit_t, i)->checked = 0;
    x->stamp = 1;
    x->leaf = 0;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Mostly there is one, or a few. */
static void sort_ids(uint32_t *ids, size_t count)
{
    if (count > SORTED_HERE_MAX) {
        qsort(ids, count, sizeof *ids, by_number);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        uint32_t id = ids[i];
        size_t at = i;
        for (; at > 0 && ids[at - 1] > id; at--)
            ids[at] = ids[at - 1];
        ids[at] = id;
    }
}

/* After the walk: `ids` as ruleset_match gives them. */
static size_t judge(set_walk_t *w, bytes_t event, bytes_t replay_name, uint32_t *ids, size_t cap)
{
    const ruleset_t *s = w->set;
    set_scratch_t *x = w->scratch;
    if (replay_name.len > 0 && s->replay_node != NONE && !w->done)
        take_leaf(w, s->replay_node, &(mp_token_t){.type = MP_STR, .bytes = replay_name});
    meet_late(w);
    for (uint32_t i = 0; i < s->always.count; i++)
        x->candidates[x->candidate_count++] = *AT(s->always, uint32_t, i);
    size_t matched = 0;
    for (uint32_t i = 0; i < x->candidate_count; i++) {
        uint32_t rule = AT(s->branches, set_branch_t, x->candidates[i])->rule;
        if (w->spent > RULESET_STEPS_MAX)
            break;
        if (branch_matches(w, x->candidates[i], event, replay_name))
            x->candidates[matched++] = AT(s->rules, set_rule_t, rule)->id;
    }
    if (w->spent > RULESET_STEPS_MAX)
        return RULESET_TOO_COSTLY;
    sort_ids(x->candidates, matched);
    if (matched > 0)
        memcpy(ids, x->candidates, (matched < cap ? matched : cap) * sizeof *ids);
    return matched;
}

size_t ruleset_match(const ruleset_t *ruleset, bytes_t event, bytes_t replay_name, uint32_t *ids, size_t cap)
{
    set_walk_t w = {.set = ruleset, .scratch = ruleset->scratch};
    if (!w.scratch)
        return 0;
    next_stamp(ruleset, w.scratch);
    return walk_event(&w, event) ? judge(&w, event, replay_name, ids, cap) : 0;
}

size_t ruleset_match_envelope(const ruleset_t *ruleset, const envelope_t *envelope, bytes_t event, bytes_t replay_name,
                              uint32_t *ids, size_t cap)
{
    set_walk_t w = {.set = ruleset, .scratch = ruleset->scratch};
    if (!w.scratch)
        return 0;
    if (envelope->has_more_keys)
        return ruleset_match(ruleset, event, replay_name, ids, cap);
    next_stamp(ruleset, w.scratch);
    return walk_envelope(&w, envelope) ? judge(&w, event, replay_name, ids, cap) : 0;
}
