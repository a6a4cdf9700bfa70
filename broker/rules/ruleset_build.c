/* ruleset_build.c: from the patterns of all rules to one ruleset. */
#include <stdlib.h>

#include "broker/rules/ruleset_index.h"

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory while compiling rules.");
}

ruleset_t *ruleset_new(void)
{
    ruleset_t *s = calloc(1, sizeof *s);
    if (s && set_child(s, NONE, BYTES_NONE) == NONE)
        ruleset_free(&s);
    return s;
}

static void scratch_free(set_scratch_t *x)
{
    if (!x)
        return;
    uint32_t *const arrays[] = {x->predicate_stamps, x->node_stamps,   x->node_leaves,   x->but_stamps,
                                x->but_excluded,     x->but_leaf,      x->rule_stamps,   x->candidates,
                                x->late_nodes,       x->element_nodes, x->element_stamps};
    for (size_t i = 0; i < ARRAY_LEN(arrays); i++)
        free(arrays[i]);
    free(x);
}

void ruleset_free(ruleset_t **ruleset)
{
    ruleset_t *s = *ruleset;
    *ruleset = NULL;
    if (!s)
        return;
    for (uint32_t i = 0; i < s->rules.count; i++)
        pattern_free(&AT(s->rules, set_rule_t, i)->pattern);
    for (uint32_t i = 0; i < s->nodes.count; i++)
        set_values_free(AT(s->nodes, set_node_t, i)->values);
    list_t *const lists[] = {&s->rules, &s->branches, &s->members, &s->predicates, &s->buts,
                             &s->nodes, &s->hits,     &s->always,  &s->children};
    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        free(lists[i]->items);
    free(s->accesses);
    set_table_free(&s->table);
    set_table_free(&s->given);
    scratch_free(s->scratch);
    free(s);
}

bool ruleset_add_with(ruleset_t *ruleset, uint32_t id, bytes_t pattern_json, pattern_options_t options, error_t *err)
{
    if (ruleset->scratch)
        return error_set(err, STATUS_FAILED_PRECONDITION, NULL, "The ruleset is compiled: build a new one.");
    if (ruleset->rules.count >= RULESET_RULES_MAX)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException", "A bus holds at most %d rules.",
                         RULESET_RULES_MAX);
    pattern_t *pattern = pattern_compile_with(pattern_json, options, err);
    if (!pattern)
        return false;
    uint32_t at = list_add(&ruleset->rules, sizeof(set_rule_t));
    if (at == NONE) {
        pattern_free(&pattern);
        return no_memory(err);
    }
    *AT(ruleset->rules, set_rule_t, at) = (set_rule_t){.id = id, .pattern = pattern};
    return true;
}

bool ruleset_add(ruleset_t *ruleset, uint32_t id, bytes_t pattern_json, error_t *err)
{
    return ruleset_add_with(ruleset, id, pattern_json, (pattern_options_t){.all_of = false}, err);
}

/* -- predicates ------------------------------------------------------------------------------------ */
static bool index_but(ruleset_t *s, set_predicate_t *predicate, const condition_t *c)
{
    const condition_t *all = predicate->pattern->conditions;
    uint32_t but = list_add(&s->buts, sizeof(set_but_t));
    if (but == NONE)
        return false;
    AT(s->buts, set_but_t, but)->node = predicate->node;
    predicate->but_count++;
    for (uint32_t i = 0; i < c->list.count; i++)
        if (!set_index(s, predicate->node, all, &all[c->list.first + i], but, true))
            return false;
    return true;
}

static bool index_predicate(ruleset_t *s, uint32_t at)
{
    set_predicate_t *predicate = AT(s->predicates, set_predicate_t, at);
    const pattern_t *p = predicate->pattern;
    const pattern_field_t *field = &p->fields[predicate->field];
    AT(s->nodes, set_node_t, predicate->node)->is_field = true;
    predicate->first_but = s->buts.count;
    for (uint32_t i = 0; i < field->condition_count; i++) {
        const condition_t *c = &p->conditions[field->conditions + i];
        if (!(c->type == CONDITION_BUT ? index_but(s, predicate, c)
                                       : set_index(s, predicate->node, p->conditions, c, at, false)))
            return false;
    }
    return true;
}

/* The predicate of a field: the same for all rules that say the same of the same path. */
static uint32_t predicate_of(ruleset_t *s, const pattern_t *p, uint32_t field, uint32_t node)
{
    value_t given = {.type = VALUE_STRING, .text = p->fields[field].given};
    set_key_t *key = set_key(&s->given, hash_value(&given, node, KEY_PREDICATE), KEY_PREDICATE, node, &given);
    if (!key || key->hits != NONE)
        return key ? key->hits : NONE;
    uint32_t at = list_add(&s->predicates, sizeof(set_predicate_t));
    if (at == NONE)
        return NONE;
    key->hits = at;
    *AT(s->predicates, set_predicate_t, at) = (set_predicate_t){
        .pattern = p, .field = field, .node = node, .next_late = NONE, .may_be_absent = p->fields[field].may_be_absent};
    return index_predicate(s, at) ? at : NONE;
}

/* -- branches -------------------------------------------------------------------------------------- */
static uint32_t node_of(ruleset_t *s, const pattern_t *p, uint32_t at)
{
    if (p->nodes[at].parent == PATTERN_NONE)
        return ROOT;
    uint32_t parent = node_of(s, p, p->nodes[at].parent);
    return parent == NONE ? NONE : set_child(s, parent, p->nodes[at].key);
}

static bool fields_add(ruleset_t *s, const pattern_t *p, uint32_t *predicates)
{
    for (uint32_t f = 0; f < p->field_count; f++) {
        uint32_t node = node_of(s, p, p->fields[f].node);
        predicates[f] = node == NONE ? NONE : predicate_of(s, p, f, node);
        if (predicates[f] == NONE)
            return false;
    }
    return true;
}

static bool rule_add(ruleset_t *s, uint32_t rule)
{
    const pattern_t *p = AT(s->rules, set_rule_t, rule)->pattern;
    uint32_t predicates[PATTERN_FIELDS_MAX];
    if (!fields_add(s, p, predicates))
        return false;
    for (uint32_t b = 0; b < p->branch_count; b++) {
        uint32_t at = list_add(&s->branches, sizeof(set_branch_t));
        if (at == NONE)
            return false;
        *AT(s->branches, set_branch_t, at) =
            (set_branch_t){.rule = rule, .branch = b, .first = s->members.count, .count = p->branches[b].count};
        for (uint32_t i = 0; i < p->branches[b].count; i++) {
            uint32_t member = list_add(&s->members, sizeof(uint32_t));
            if (member == NONE)
                return false;
            *AT(s->members, uint32_t, member) = predicates[p->members[p->branches[b].first + i]];
        }
    }
    return true;
}

/* -- by which predicate a branch is found ------------------------------------------------------------ */
/* How many of the events that have the path meet the condition, roughly. */
static double share(const set_node_t *node, const condition_t *c)
{
    switch (c->type) {
    case CONDITION_EXACT:
        return 1.0 / (1 + node->exact_count);
    case CONDITION_NUMERIC:
    case CONDITION_ALL:
        return 0.3;
    case CONDITION_PRESENT:
    case CONDITION_BUT:
        return 0.95;
    case CONDITION_ABSENT:
        return 1;
    default:
        return 1.0 / (1 + (node->values ? node->values->text_count : 0));
    }
}

static double predicate_share(const ruleset_t *s, const set_predicate_t *predicate)
{
    const pattern_field_t *field = &predicate->pattern->fields[predicate->field];
    const condition_t *conditions = &predicate->pattern->conditions[field->conditions];
    double sum = 0;
    for (uint32_t i = 0; i < field->condition_count; i++)
        sum += share(AT(s->nodes, set_node_t, predicate->node), &conditions[i]);
    return sum;
}

/* The rarest that must be there; NONE when all may be absent. */
static uint32_t access_of(const ruleset_t *s, const set_branch_t *branch, const double *shares)
{
    uint32_t best = NONE;
    for (uint32_t i = 0; i < branch->count; i++) {
        uint32_t at = *AT(s->members, uint32_t, branch->first + i);
        if (!AT(s->predicates, set_predicate_t, at)->may_be_absent && (best == NONE || shares[at] < shares[best]))
            best = at;
    }
    return best;
}

static bool add_always(ruleset_t *s, uint32_t branch)
{
    uint32_t at = list_add(&s->always, sizeof(uint32_t));
    if (at != NONE)
        *AT(s->always, uint32_t, at) = branch;
    return at != NONE;
}

static void accesses_fill(ruleset_t *s, const uint32_t *access)
{
    uint32_t at = 0;
    for (uint32_t i = 0; i < s->predicates.count; i++) {
        set_predicate_t *predicate = AT(s->predicates, set_predicate_t, i);
        predicate->first_branch = at;
        at += predicate->branch_count;
        predicate->branch_count = 0;
    }
    for (uint32_t b = 0; b < s->branches.count; b++) {
        if (access[b] == NONE)
            continue;
        set_predicate_t *predicate = AT(s->predicates, set_predicate_t, access[b]);
        s->accesses[predicate->first_branch + predicate->branch_count++] = b;
    }
}

static bool choose_accesses(ruleset_t *s)
{
    double *shares = malloc((s->predicates.count + 1) * sizeof *shares);
    uint32_t *access = malloc((s->branches.count + 1) * sizeof *access);
    s->accesses = malloc((s->branches.count + 1) * sizeof *s->accesses);
    bool ok = shares && access && s->accesses;
    for (uint32_t i = 0; ok && i < s->predicates.count; i++)
        shares[i] = predicate_share(s, AT(s->predicates, set_predicate_t, i));
    for (uint32_t b = 0; ok && b < s->branches.count; b++) {
        access[b] = access_of(s, AT(s->branches, set_branch_t, b), shares);
        if (access[b] != NONE)
            AT(s->predicates, set_predicate_t, access[b])->branch_count++;
        else
            ok = add_always(s, b);
    }
    if (ok)
        accesses_fill(s, access);
    free(shares);
    free(access);
    return ok;
}

/* -- the end of building ------------------------------------------------------------------------------ */
static uint32_t number_nodes(ruleset_t *s, uint32_t at, uint32_t order)
{
    AT(s->nodes, set_node_t, at)->order = order++;
    for (uint32_t child = AT(s->nodes, set_node_t, at)->first_child; child != NONE;
         child = AT(s->nodes, set_node_t, child)->next_sibling)
        order = number_nodes(s, child, order);
    AT(s->nodes, set_node_t, at)->end = order;
    return order;
}

/* What anything-but says is known when all values were seen; only where a branch is found by it is it asked then. */
static void list_late(ruleset_t *s)
{
    s->can_stop = s->always.count == 0;
    for (uint32_t i = 0; i < s->predicates.count; i++) {
        set_predicate_t *predicate = AT(s->predicates, set_predicate_t, i);
        s->can_stop &= !predicate->may_be_absent && predicate->but_count == 0;
        if (predicate->but_count == 0 || predicate->branch_count == 0)
            continue;
        set_node_t *node = AT(s->nodes, set_node_t, predicate->node);
        predicate->next_late = node->late;
        node->late = i;
    }
}

static uint32_t top_node(const ruleset_t *s, const char *name)
{
    bytes_t key = bytes_cstr(name);
    return set_may_step(AT(s->nodes, set_node_t, ROOT), key) ? set_step(s, ROOT, key) : NONE;
}

static void list_tops(ruleset_t *s)
{
    s->replay_node = top_node(s, "replay-name");
    for (envelope_key_t key = 0; key < ENVELOPE_KEYS; key++) {
        uint32_t node = top_node(s, envelope_key_name(key));
        if (node != NONE)
            s->tops[s->top_count++] = (set_top_t){key, node};
    }
}

static uint32_t *numbers(uint32_t count)
{
    return calloc(count ? count : 1, sizeof(uint32_t));
}

static set_scratch_t *scratch_new(const ruleset_t *s)
{
    set_scratch_t *x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    for (size_t i = 0; i < MEMOS; i++)
        x->memos[i].node = NONE;
    uint32_t nodes = s->nodes.count, buts = s->buts.count;
    const struct {
        uint32_t **array;
        uint32_t count;
    } rows[] = {{&x->predicate_stamps, s->predicates.count},
                {&x->node_stamps, nodes},
                {&x->node_leaves, nodes},
                {&x->but_stamps, buts},
                {&x->but_excluded, buts},
                {&x->but_leaf, buts},
                {&x->rule_stamps, s->rules.count},
                {&x->late_nodes, nodes},
                {&x->element_nodes, nodes},
                {&x->candidates, s->branches.count},
                {&x->element_stamps, nodes}};
    bool ok = true;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        ok &= (*rows[i].array = numbers(rows[i].count)) != NULL;
    if (ok)
        return x;
    scratch_free(x);
    return NULL;
}

bool ruleset_compile(ruleset_t *ruleset, error_t *err)
{
    ruleset_t *s = ruleset;
    bool ok = true;
    if (s->scratch)
        return true;
    for (uint32_t i = 0; ok && i < s->rules.count; i++)
        ok = rule_add(s, i);
    if (!ok || !choose_accesses(s) || !set_index_end(s))
        return no_memory(err);
    set_table_free(&s->given);
    (void)number_nodes(s, ROOT, 0);
    list_late(s);
    list_tops(s);
    s->scratch = scratch_new(s);
    return s->scratch || no_memory(err);
}

/* -- counting ------------------------------------------------------------------------------------------ */
static size_t pattern_bytes(const pattern_t *p)
{
    size_t members = 0;
    for (uint32_t i = 0; i < p->branch_count; i++)
        members += p->branches[i].count;
    return sizeof *p + p->document.cap + p->texts.cap + p->node_count * sizeof *p->nodes +
           p->condition_count * sizeof *p->conditions + p->field_count * sizeof *p->fields +
           members * sizeof *p->members + p->branch_count * sizeof *p->branches;
}

size_t ruleset_bytes(const ruleset_t *s)
{
    size_t sum = sizeof *s + s->table.cap * sizeof *s->table.slots + s->rules.cap * sizeof(set_rule_t) +
                 s->branches.cap * (sizeof(set_branch_t) + 2 * sizeof(uint32_t)) + s->members.cap * sizeof(uint32_t) +
                 s->predicates.cap * (sizeof(set_predicate_t) + sizeof(uint32_t)) +
                 s->buts.cap * (sizeof(set_but_t) + 3 * sizeof(uint32_t)) +
                 s->nodes.cap * (sizeof(set_node_t) + 5 * sizeof(uint32_t)) + s->children.cap * sizeof(set_child_t) +
                 s->table.keys.cap * sizeof(set_key_t) + s->hits.cap * sizeof(set_hit_t) +
                 s->rules.count * sizeof(uint32_t);
    for (uint32_t i = 0; i < s->nodes.count; i++) {
        const set_values_t *values = AT(s->nodes, set_node_t, i)->values;
        if (values)
            sum += sizeof *values + values->ranges.cap * sizeof(set_range_t) +
                   (values->gram_filter ? GRAM_FILTER_WORDS * sizeof(uint64_t) : 0);
    }
    for (uint32_t i = 0; i < s->rules.count; i++)
        sum += pattern_bytes(AT(s->rules, set_rule_t, i)->pattern);
    return sum;
}
