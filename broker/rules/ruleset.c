/* ruleset.c: all rules of a bus in one tree of paths, so that an event is walked once whatever their number.
 *
 * A condition that several rules share is stored once and names the fields it meets. A leaf of the event
 * looks its node up, then its value in a hash table (and the node's prefixes one by one). Each rule counts
 * its fields that were met; a rule whose count is full is a candidate. The count knows nothing of arrays of
 * objects and of absence: candidates for which these matter are held against their own pattern, exactly. */
#include "broker/rules/ruleset.h"

#include <stdlib.h>

#include "broker/rules/pattern_tree.h"

#define NONE PATTERN_NONE
#define TABLE_MIN 64
#define ROOT 0

typedef struct { /* a list of fields that a condition meets */
    uint32_t field, next;
} ref_t;

typedef struct {
    bytes_t text;
    uint32_t field, next;
} prefix_t;

typedef struct { /* (node, key) -> child node, or (node, value) -> refs */
    value_t key;
    uint32_t node;
    uint32_t refs; /* first ref; for an edge: the child */
    bool used, edge;
} entry_t;

typedef struct {
    uint32_t prefixes, present; /* first prefix, first ref; NONE */
} node_t;

typedef struct {
    uint32_t id;
    pattern_t *pattern;
    uint32_t needed; /* fields that must be met */
    bool may_be_absent;
} rule_t;

typedef struct {
    uint32_t rule;
    bool counts; /* false: may be absent, so it is not among those needed */
} rule_field_t;

/* What one match writes; a match leaves nothing behind but stamps, so nothing has to be cleared. */
typedef struct {
    uint32_t stamp;
    uint32_t *field_stamps; /* the match that met the field */
    uint32_t *rule_stamps;  /* the match that `hits` belongs to */
    uint32_t *hits;
    uint32_t *candidates;
    uint32_t candidate_count;
} scratch_t;

typedef struct {
    void *items;
    uint32_t count, cap;
} list_t;

struct ruleset {
    list_t rules, fields, nodes, refs, prefixes;
    list_t always; /* rules that need no field to be there */
    entry_t *table;
    uint32_t table_count, table_cap; /* cap: a power of two */
    scratch_t *scratch;              /* NULL until compiled */
};

#define AT(list, type, i) (&((type *)(list).items)[i])

/* -- building ------------------------------------------------------------------------------------ */
/* Appends a zeroed item; NONE when out of memory. */
static uint32_t list_add(list_t *list, size_t item_bytes)
{
    if (list->count == list->cap) {
        uint32_t cap = list->cap ? list->cap * 2 : 16;
        void *items = realloc(list->items, cap * item_bytes);
        if (!items)
            return NONE;
        list->items = items;
        list->cap = cap;
    }
    memset((uint8_t *)list->items + list->count * item_bytes, 0, item_bytes);
    return list->count++;
}

static entry_t *find_slot(entry_t *table, uint32_t cap, uint32_t node, bool edge, const value_t *key)
{
    uint64_t at = value_hash(key, (uint64_t)node * 2 + edge);
    for (;; at++) {
        entry_t *e = &table[at & (cap - 1)];
        if (!e->used || (e->node == node && e->edge == edge && value_eq(&e->key, key)))
            return e;
    }
}

static bool table_grow(ruleset_t *s)
{
    uint32_t cap = s->table_cap ? s->table_cap * 2 : TABLE_MIN;
    entry_t *table = calloc(cap, sizeof *table);
    if (!table)
        return false;
    for (uint32_t i = 0; i < s->table_cap; i++)
        if (s->table[i].used)
            *find_slot(table, cap, s->table[i].node, s->table[i].edge, &s->table[i].key) = s->table[i];
    free(s->table);
    s->table = table;
    s->table_cap = cap;
    return true;
}

/* The entry, made if missing; NULL when out of memory. At most three quarters full, so a search ends. */
static entry_t *table_entry(ruleset_t *s, uint32_t node, bool edge, const value_t *key)
{
    if (s->table_count >= s->table_cap / 4 * 3 && !table_grow(s))
        return NULL;
    entry_t *e = find_slot(s->table, s->table_cap, node, edge, key);
    if (!e->used) {
        *e = (entry_t){.key = *key, .node = node, .refs = NONE, .used = true, .edge = edge};
        s->table_count++;
    }
    return e;
}

static uint32_t add_node(ruleset_t *s)
{
    uint32_t at = list_add(&s->nodes, sizeof(node_t));
    if (at != NONE)
        *AT(s->nodes, node_t, at) = (node_t){.prefixes = NONE, .present = NONE};
    return at;
}

static value_t key_value(bytes_t key)
{
    return (value_t){.type = VALUE_STRING, .text = key};
}

static uint32_t child_for(ruleset_t *s, uint32_t node, bytes_t key)
{
    value_t value = key_value(key);
    entry_t *e = table_entry(s, node, true, &value);
    if (!e)
        return NONE;
    if (e->refs == NONE)
        e->refs = add_node(s);
    return e->refs;
}

static bool push_ref(ruleset_t *s, uint32_t *head, uint32_t field)
{
    uint32_t at = list_add(&s->refs, sizeof(ref_t));
    if (at == NONE)
        return false;
    *AT(s->refs, ref_t, at) = (ref_t){.field = field, .next = *head};
    *head = at;
    return true;
}

static bool push_prefix(ruleset_t *s, uint32_t node, bytes_t text, uint32_t field)
{
    uint32_t at = list_add(&s->prefixes, sizeof(prefix_t));
    if (at == NONE)
        return false;
    uint32_t *head = &AT(s->nodes, node_t, node)->prefixes;
    *AT(s->prefixes, prefix_t, at) = (prefix_t){.text = text, .field = field, .next = *head};
    *head = at;
    return true;
}

static bool add_condition(ruleset_t *s, uint32_t node, uint32_t field, const condition_t *c)
{
    entry_t *e;
    switch (c->type) {
    case CONDITION_EXACT:
        e = table_entry(s, node, false, &c->value);
        return e && push_ref(s, &e->refs, field);
    case CONDITION_PREFIX:
        return push_prefix(s, node, c->value.text, field);
    case CONDITION_PRESENT:
        return push_ref(s, &AT(s->nodes, node_t, node)->present, field);
    case CONDITION_ABSENT:
        break; /* judged by the rule's own pattern */
    }
    return true;
}

static bool add_field(ruleset_t *s, uint32_t rule_at, const pattern_node_t *from, uint32_t node)
{
    rule_t *rule = AT(s->rules, rule_t, rule_at);
    bool may_be_absent = pattern_bit(rule->pattern->may_be_absent, from->field);
    uint32_t field = list_add(&s->fields, sizeof(rule_field_t));
    if (field == NONE)
        return false;
    *AT(s->fields, rule_field_t, field) = (rule_field_t){.rule = rule_at, .counts = !may_be_absent};
    rule->needed += !may_be_absent;
    rule->may_be_absent |= may_be_absent;
    for (uint32_t i = 0; i < from->condition_count; i++)
        if (!add_condition(s, node, field, &rule->pattern->conditions[from->conditions + i]))
            return false;
    return true;
}

static bool add_nodes(ruleset_t *s, uint32_t rule_at, uint32_t from, uint32_t node)
{
    const pattern_t *p = AT(s->rules, rule_t, rule_at)->pattern;
    if (p->nodes[from].field != PATTERN_NONE && !add_field(s, rule_at, &p->nodes[from], node))
        return false;
    for (uint32_t at = p->nodes[from].first_child; at != PATTERN_NONE; at = p->nodes[at].next_sibling) {
        uint32_t child = child_for(s, node, p->nodes[at].key);
        if (child == NONE || !add_nodes(s, rule_at, at, child))
            return false;
    }
    return true;
}

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while compiling rules.");
}

ruleset_t *ruleset_new(void)
{
    ruleset_t *s = calloc(1, sizeof *s);
    if (s && (add_node(s) == NONE || !table_grow(s)))
        ruleset_free(&s);
    return s;
}

static void scratch_free(scratch_t *scratch)
{
    if (!scratch)
        return;
    free(scratch->field_stamps);
    free(scratch->rule_stamps);
    free(scratch->hits);
    free(scratch->candidates);
    free(scratch);
}

void ruleset_free(ruleset_t **ruleset)
{
    ruleset_t *s = *ruleset;
    *ruleset = NULL;
    if (!s)
        return;
    for (uint32_t i = 0; i < s->rules.count; i++)
        pattern_free(&AT(s->rules, rule_t, i)->pattern);
    list_t *const lists[] = {&s->rules, &s->fields, &s->nodes, &s->refs, &s->prefixes, &s->always};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        free(lists[i]->items);
    free(s->table);
    scratch_free(s->scratch);
    free(s);
}

static bool add_always(ruleset_t *s, uint32_t rule_at)
{
    uint32_t at = list_add(&s->always, sizeof(uint32_t));
    if (at != NONE)
        *AT(s->always, uint32_t, at) = rule_at;
    return at != NONE;
}

bool ruleset_add(ruleset_t *ruleset, uint32_t id, bytes_t pattern_json, error_t *err)
{
    if (ruleset->scratch)
        return error_set(err, STATUS_FAILED_PRECONDITION, NULL, "The ruleset is compiled: build a new one.");
    if (ruleset->rules.count >= RULESET_RULES_MAX)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException", "A bus holds at most %d rules.",
                         RULESET_RULES_MAX);
    pattern_t *pattern = pattern_compile(pattern_json, err);
    if (!pattern)
        return false;
    uint32_t at = list_add(&ruleset->rules, sizeof(rule_t));
    if (at == NONE) {
        pattern_free(&pattern);
        return no_memory(err);
    }
    *AT(ruleset->rules, rule_t, at) = (rule_t){.id = id, .pattern = pattern};
    if (!add_nodes(ruleset, at, ROOT, ROOT))
        return no_memory(err);
    return AT(ruleset->rules, rule_t, at)->needed > 0 || add_always(ruleset, at) || no_memory(err);
}

static uint32_t *numbers(uint32_t count)
{
    return calloc(count ? count : 1, sizeof(uint32_t));
}

bool ruleset_compile(ruleset_t *ruleset, error_t *err)
{
    if (ruleset->scratch)
        return true;
    scratch_t *x = calloc(1, sizeof *x);
    if (!x)
        return no_memory(err);
    x->field_stamps = numbers(ruleset->fields.count);
    x->rule_stamps = numbers(ruleset->rules.count);
    x->hits = numbers(ruleset->rules.count);
    x->candidates = numbers(ruleset->rules.count);
    if (!x->field_stamps || !x->rule_stamps || !x->hits || !x->candidates) {
        scratch_free(x);
        return no_memory(err);
    }
    ruleset->scratch = x;
    return true;
}

/* -- matching ------------------------------------------------------------------------------------ */
typedef struct {
    const ruleset_t *set;
    scratch_t *scratch;
    mp_reader_t reader;
    unsigned depth;
    bool objects_in_arrays; /* somewhere where rules look */
} walk_t;

static void meet_field(walk_t *w, uint32_t field_at)
{
    scratch_t *x = w->scratch;
    const rule_field_t *field = AT(w->set->fields, rule_field_t, field_at);
    if (!field->counts || x->field_stamps[field_at] == x->stamp)
        return;
    x->field_stamps[field_at] = x->stamp;
    if (x->rule_stamps[field->rule] != x->stamp) {
        x->rule_stamps[field->rule] = x->stamp;
        x->hits[field->rule] = 0;
    }
    if (++x->hits[field->rule] == AT(w->set->rules, rule_t, field->rule)->needed)
        x->candidates[x->candidate_count++] = field->rule;
}

static void meet_refs(walk_t *w, uint32_t head)
{
    for (uint32_t at = head; at != NONE; at = AT(w->set->refs, ref_t, at)->next)
        meet_field(w, AT(w->set->refs, ref_t, at)->field);
}

static const entry_t *lookup(const ruleset_t *s, uint32_t node, bool edge, const value_t *key)
{
    const entry_t *e = find_slot(s->table, s->table_cap, node, edge, key);
    return e->used ? e : NULL;
}

static void take_leaf(walk_t *w, uint32_t node_at, const mp_token_t *token)
{
    const ruleset_t *s = w->set;
    const node_t *node = AT(s->nodes, node_t, node_at);
    value_t value = value_of(token);
    const entry_t *e = lookup(s, node_at, false, &value);
    if (e)
        meet_refs(w, e->refs);
    meet_refs(w, node->present);
    if (value.type != VALUE_STRING)
        return;
    for (uint32_t at = node->prefixes; at != NONE; at = AT(s->prefixes, prefix_t, at)->next)
        if (bytes_has_prefix(value.text, AT(s->prefixes, prefix_t, at)->text))
            meet_field(w, AT(s->prefixes, prefix_t, at)->field);
}

static uint32_t find_child(const ruleset_t *s, uint32_t node, bytes_t key)
{
    bytes_t rest = key, segment;
    bool more = true;
    while (node != NONE && pattern_segment(&rest, &more, &segment)) {
        value_t value = key_value(segment);
        const entry_t *e = lookup(s, node, true, &value);
        node = e ? e->refs : NONE;
    }
    return node;
}

static bool walk_value(walk_t *w, uint32_t node, bool in_array);

static bool walk_map(walk_t *w, uint32_t node, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        mp_token_t key;
        if (!mp_next(&w->reader, &key) || key.type != MP_STR)
            return false;
        uint32_t child = find_child(w->set, node, key.bytes);
        if (!(child == NONE ? mp_skip(&w->reader) : walk_value(w, child, false)))
            return false;
    }
    return true;
}

static bool walk_container(walk_t *w, uint32_t node, const mp_token_t *token, bool in_array)
{
    bool ok = true;
    if (++w->depth > MP_DEPTH_MAX)
        return false;
    if (token->type == MP_MAP) {
        w->objects_in_arrays |= in_array;
        ok = walk_map(w, node, token->count);
    } else {
        for (uint32_t i = 0; ok && i < token->count; i++)
            ok = walk_value(w, node, true);
    }
    w->depth--;
    return ok;
}

static bool walk_value(walk_t *w, uint32_t node, bool in_array)
{
    mp_token_t token;
    if (!mp_next(&w->reader, &token))
        return false;
    if (token.type == MP_MAP || token.type == MP_ARRAY)
        return walk_container(w, node, &token, in_array);
    take_leaf(w, node, &token);
    return true;
}

static void next_stamp(const ruleset_t *s, scratch_t *x)
{
    x->candidate_count = 0;
    if (++x->stamp != 0)
        return;
    memset(x->field_stamps, 0, s->fields.count * sizeof(uint32_t));
    memset(x->rule_stamps, 0, s->rules.count * sizeof(uint32_t));
    x->stamp = 1;
}

static bool walk_event(walk_t *w, bytes_t event, bytes_t replay_name)
{
    mp_type_t type;
    w->reader = mp_reader(event);
    if (!mp_peek(&w->reader, &type) || type != MP_MAP || !walk_value(w, ROOT, false) || mp_left(&w->reader) > 0)
        return false;
    uint32_t replay = find_child(w->set, ROOT, BYTES_LIT("replay-name"));
    if (replay_name.len > 0 && replay != NONE)
        take_leaf(w, replay, &(mp_token_t){.type = MP_STR, .bytes = replay_name});
    return true;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

size_t ruleset_match(const ruleset_t *ruleset, bytes_t event, bytes_t replay_name, uint32_t *ids, size_t cap)
{
    scratch_t *x = ruleset->scratch;
    if (!x)
        return 0;
    next_stamp(ruleset, x);
    walk_t w = {.set = ruleset, .scratch = x};
    if (!walk_event(&w, event, replay_name))
        return 0;
    for (uint32_t i = 0; i < ruleset->always.count; i++)
        x->candidates[x->candidate_count++] = *AT(ruleset->always, uint32_t, i);
    size_t matched = 0;
    for (uint32_t i = 0; i < x->candidate_count; i++) {
        const rule_t *rule = AT(ruleset->rules, rule_t, x->candidates[i]);
        bool exact = !rule->may_be_absent && (!w.objects_in_arrays || rule->pattern->field_count == 1);
        if (exact || pattern_match(rule->pattern, event, replay_name))
            x->candidates[matched++] = rule->id;
    }
    qsort(x->candidates, matched, sizeof *x->candidates, by_number);
    if (matched > 0)
        memcpy(ids, x->candidates, (matched < cap ? matched : cap) * sizeof *ids);
    return matched;
}
