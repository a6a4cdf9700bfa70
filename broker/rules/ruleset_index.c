/* ruleset_index.c: makes match expressions findable from the values that meet them. */
#include "broker/rules/ruleset_index.h"

#include <math.h>
#include <stdlib.h>

#include "broker/rules/fold.h"
#include "broker/rules/wildcard.h"

#define SLOTS_MIN 64
#define FEW_CHILDREN 8 /* are compared one by one */
#define GRAM_SIZES 4

uint32_t list_add(list_t *list, size_t item_bytes)
{
    if (list->count == list->cap) {
        uint32_t cap = list->cap ? list->cap + list->cap / 2 : 16;
        void *items = realloc(list->items, cap * item_bytes);
        if (!items)
            return NONE;
        list->items = items;
        list->cap = cap;
    }
    memset((uint8_t *)list->items + list->count * item_bytes, 0, item_bytes);
    return list->count++;
}

/* -- keys ---------------------------------------------------------------------------------------- */
bool set_fold_fits(const set_key_t *key, bytes_t text)
{
    switch (key->kind) {
    case KEY_FOLD_PREFIX:
        return fold_begins(text, key->value.text);
    case KEY_FOLD_SUFFIX:
        return fold_ends(text, key->value.text);
    default:
        return fold_equals(text, key->value.text);
    }
}

static void slot_put(uint64_t *slots, uint32_t cap, uint64_t hash, uint32_t key)
{
    uint32_t at = (uint32_t)hash & (cap - 1);
    while (slots[at])
        at = (at + 1) & (cap - 1);
    slots[at] = hash >> 32 << 32 | (key + 1);
}

static uint64_t key_hash(const set_key_t *key);

static bool slots_grow(set_table_t *t)
{
    uint32_t cap = t->cap ? t->cap * 2 : SLOTS_MIN;
    uint64_t *slots = calloc(cap, sizeof *slots);
    if (!slots)
        return false;
    for (uint32_t i = 0; i < t->keys.count; i++)
        slot_put(slots, cap, key_hash(AT(t->keys, set_key_t, i)), i);
    free(t->slots);
    t->slots = slots;
    t->cap = cap;
    return true;
}

void set_table_free(set_table_t *t)
{
    free(t->keys.items);
    free(t->slots);
    *t = (set_table_t){.cap = 0};
}

static uint64_t hash_forward(bytes_t text)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < text.len; i++)
        hash = hash_byte(hash, text.data[i]);
    return hash;
}

static uint64_t hash_backward(bytes_t text)
{
    uint64_t hash = 0;
    for (size_t i = text.len; i-- > 0;)
        hash = hash_byte(hash, text.data[i]);
    return hash;
}

static uint64_t hash_from_back(bytes_t text)
{
    hash_run_t run = {0};
    return hash_back(&run, text, text.len);
}

static uint64_t hash_of_block(const set_key_t *key)
{
    ip_t ip = {.bits = (uint8_t)(key->value.text.len * 8)};
    memcpy(ip.bytes, key->value.text.data, key->value.text.len);
    ip_words_t words = ip_words(&ip);
    return hash_block(&words, (unsigned)key->value.bits, key->node);
}

static uint64_t key_hash(const set_key_t *key)
{
    key_kind_t kind = (key_kind_t)key->kind;
    bytes_t text = key->value.text;
    switch (kind) {
    case KEY_PREFIX:
        return hash_end(hash_text(text), key->node, kind);
    case KEY_SUFFIX:
        return hash_end(hash_from_back(text), key->node, kind);
    case KEY_BLOCK:
        return hash_of_block(key);
    case KEY_FOLD_PREFIX:
    case KEY_FOLD:
        return hash_end(hash_forward(text), key->node, kind);
    case KEY_FOLD_SUFFIX:
        return hash_end(hash_backward(text), key->node, kind);
    case KEY_GRAM:
        return hash_end(hash_word(gram_word(text.data, (unsigned)text.len), (unsigned)text.len), key->node, kind);
    default:
        return hash_value(&key->value, key->node, kind);
    }
}

set_key_t *set_key(set_table_t *t, uint64_t hash, key_kind_t kind, uint32_t node, const value_t *value)
{
    if (t->keys.count >= t->cap / 4 * 3 && !slots_grow(t))
        return NULL;
    const set_key_t *found = set_find(t, hash, kind, node, value);
    if (found)
        return AT(t->keys, set_key_t, found - (const set_key_t *)t->keys.items);
    uint32_t at = list_add(&t->keys, sizeof(set_key_t));
    if (at == NONE)
        return NULL;
    set_key_t *key = AT(t->keys, set_key_t, at);
    *key = (set_key_t){.value = *value, .node = node, .kind = kind, .hits = NONE};
    slot_put(t->slots, t->cap, hash, at);
    return key;
}

/* -- nodes --------------------------------------------------------------------------------------- */
static value_t text_value(bytes_t text)
{
    return (value_t){.type = VALUE_STRING, .text = text};
}

static uint32_t add_node(ruleset_t *s, uint32_t parent, bytes_t key)
{
    uint32_t at = list_add(&s->nodes, sizeof(set_node_t));
    if (at == NONE)
        return NONE;
    *AT(s->nodes, set_node_t, at) = (set_node_t){.key = key,
                                                 .parent = parent,
                                                 .first_child = NONE,
                                                 .next_sibling = NONE,
                                                 .present = NONE,
                                                 .scan = NONE,
                                                 .late = NONE};
    return at;
}

uint32_t set_child(ruleset_t *s, uint32_t node, bytes_t key)
{
    if (node == NONE)
        return add_node(s, NONE, BYTES_NONE);
    value_t value = text_value(key);
    set_key_t *found = set_key(&s->table, hash_value(&value, node, KEY_CHILD), KEY_CHILD, node, &value);
    if (!found || found->hits != NONE)
        return found ? found->hits : NONE;
    uint32_t child = add_node(s, node, key);
    if (child == NONE)
        return NONE;
    found->hits = child;
    set_node_t *parent = AT(s->nodes, set_node_t, node);
    AT(s->nodes, set_node_t, child)->next_sibling = parent->first_child;
    parent->first_child = child;
    parent->child_count++;
    parent->child_filter[set_step_bit(key) / 64] |= UINT64_C(1) << (set_step_bit(key) % 64);
    return child;
}

static uint32_t step_few(const ruleset_t *s, const set_node_t *at, bytes_t segment)
{
    if (at->child_count == 0)
        return NONE; /* there may be no list at all */
    const set_child_t *child = AT(s->children, set_child_t, at->children);
    uint64_t head = hash_head(segment);
    for (const set_child_t *end = child + at->child_count; child < end; child++)
        if (child->head == head && child->len == segment.len &&
            (segment.len <= 8 || bytes_eq(AT(s->nodes, set_node_t, child->node)->key, segment)))
            return child->node;
    return NONE;
}

static uint32_t step_once(const ruleset_t *s, uint32_t node, bytes_t segment)
{
    const set_node_t *at = AT(s->nodes, set_node_t, node);
    if (at->child_count <= FEW_CHILDREN)
        return step_few(s, at, segment);
    value_t value = text_value(segment);
    const set_key_t *found = set_find(&s->table, hash_value(&value, node, KEY_CHILD), KEY_CHILD, node, &value);
    return found ? found->hits : NONE;
}

static uint32_t step_by_step(const ruleset_t *s, uint32_t node, bytes_t key)
{
    bytes_t rest = key, segment;
    bool more = true;
    while (node != NONE && pattern_segment(&rest, &more, &segment))
        node = step_once(s, node, segment);
    return node;
}

/* No child's key has a dot, so what is found whole is it. */
uint32_t set_step(const ruleset_t *s, uint32_t node, bytes_t key)
{
    uint32_t child = step_once(s, node, key);
    return child != NONE || key.len == 0 || !memchr(key.data, '.', key.len) ? child : step_by_step(s, node, key);
}

/* -- indexing ------------------------------------------------------------------------------------ */
typedef struct {
    ruleset_t *set;
    uint32_t node, target;
    const condition_t *all;
    const condition_t *check; /* NULL: being found is enough */
    bool excludes;
} entry_t;

static bool push_hit(const entry_t *e, uint32_t *head)
{
    ruleset_t *s = e->set;
    uint32_t at = list_add(&s->hits, sizeof(set_hit_t));
    if (at == NONE)
        return false;
    *AT(s->hits, set_hit_t, at) =
        (set_hit_t){.check = e->check, .all = e->all, .next = *head, .target = e->target, .excludes = e->excludes};
    *head = at;
    return true;
}

static set_values_t *values_of(const entry_t *e)
{
    set_node_t *node = AT(e->set->nodes, set_node_t, e->node);
    if (!node->values)
        node->values = calloc(1, sizeof *node->values);
    return node->values;
}

static bool put_key(const entry_t *e, key_kind_t kind, const value_t *value)
{
    set_key_t wanted = {.value = *value, .node = e->node, .kind = kind};
    set_key_t *key = set_key(&e->set->table, key_hash(&wanted), kind, e->node, value);
    set_node_t *node = AT(e->set->nodes, set_node_t, e->node);
    node->kinds |= (uint16_t)(1u << kind);
    if (!key)
        return false;
    node->exact_count += kind == KEY_EXACT && key->hit_count == 0;
    key->hit_count++;
    return push_hit(e, &key->hits);
}

static bool lengths_add(set_lengths_t *set, size_t length)
{
    uint32_t at = 0;
    while (at < set->count && set->lengths[at] < length)
        at++;
    if (at < set->count && set->lengths[at] == length)
        return true;
    if (set->count == set->cap) {
        uint32_t cap = set->cap ? set->cap * 2 : 4;
        uint16_t *lengths = realloc(set->lengths, cap * sizeof *lengths);
        if (!lengths)
            return false;
        set->lengths = lengths;
        set->cap = cap;
    }
    memmove(&set->lengths[at + 1], &set->lengths[at], (set->count - at) * sizeof set->lengths[0]);
    set->lengths[at] = (uint16_t)length;
    set->count++;
    return true;
}

static bool put_text(const entry_t *e, key_kind_t kind, bytes_t text)
{
    set_values_t *values = values_of(e);
    value_t value = text_value(text);
    if (!values)
        return false;
    values->text_count++;
    if (kind == KEY_FOLD && text.len > values->fold_max)
        values->fold_max = (uint32_t)text.len;
    if (kind <= KEY_FOLD_SUFFIX && !lengths_add(&values->lengths[kind - KEY_PREFIX], text.len))
        return false;
    return put_key(e, kind, &value);
}

static unsigned gram_log(bytes_t piece)
{
    unsigned log = 0;
    while (log + 1 < GRAM_SIZES && 2u << log <= piece.len)
        log++;
    return log;
}

static value_t gram_value(bytes_t piece)
{
    return text_value(bytes_from(piece.data, (size_t)1 << gram_log(piece)));
}

static bool put_gram(const entry_t *e, bytes_t piece)
{
    set_values_t *values = values_of(e);
    if (values && !values->gram_filter)
        values->gram_filter = calloc(GRAM_FILTER_WORDS, sizeof *values->gram_filter);
    if (!values || !values->gram_filter)
        return false;
    value_t value = gram_value(piece);
    unsigned size = (unsigned)value.text.len;
    values->text_count++;
    values->gram_sizes |= (uint8_t)(1u << gram_log(piece));
    gram_note(values->gram_filter, hash_word(gram_word(piece.data, size), size));
    return put_key(e, KEY_GRAM, &value);
}

/* How many checks a value costs, roughly: those that are found by the same key, more often the shorter it is. */
static double key_cost(const entry_t *e, key_kind_t kind, bytes_t text)
{
    static const double often[] = {1, 0.5, 0.25, 0.1, 0.04, 0.03, 0.02, 0.01};
    set_key_t wanted = {.value = text_value(text), .node = e->node, .kind = kind};
    const set_key_t *key = set_find(&e->set->table, key_hash(&wanted), kind, e->node, &wanted.value);
    double share = often[text.len < ARRAY_LEN(often) ? text.len : ARRAY_LEN(often) - 1];
    return (kind == KEY_GRAM ? share : share / 2) * (1 + (key ? key->hit_count : 0));
}

/* The piece inside that costs least; empty when there is none. */
static bytes_t best_piece(const entry_t *e, bytes_t parsed, double *cost)
{
    bytes_t rest = parsed, piece, best = BYTES_NONE;
    *cost = INFINITY;
    while (wildcard_next(&rest, &piece)) {
        double now = piece.len ? key_cost(e, KEY_GRAM, gram_value(piece).text) : INFINITY;
        if (now < *cost) {
            *cost = now;
            best = piece;
        }
    }
    return best;
}

/* By the piece that costs least. */
static bool put_wildcard(entry_t *e, const condition_t *c)
{
    wildcard_pieces_t pieces = wildcard_pieces(c->text);
    if (!pieces.has_star) {
        value_t value = text_value(pieces.before);
        return put_key(e, KEY_EXACT, &value);
    }
    double inside;
    bytes_t piece = best_piece(e, c->text, &inside);
    double before = pieces.before.len ? key_cost(e, KEY_PREFIX, pieces.before) : INFINITY;
    double behind = pieces.behind.len ? key_cost(e, KEY_SUFFIX, pieces.behind) : INFINITY;
    e->check = c;
    if (before <= behind && before <= inside && pieces.before.len > 0)
        return put_text(e, KEY_PREFIX, pieces.before);
    if (behind <= inside && pieces.behind.len > 0)
        return put_text(e, KEY_SUFFIX, pieces.behind);
    if (piece.len > 0)
        return put_gram(e, piece);
    return push_hit(e, &AT(e->set->nodes, set_node_t, e->node)->scan);
}

static bool put_range(const entry_t *e, const range_t *range)
{
    set_values_t *values = values_of(e);
    uint32_t at = values ? list_add(&values->ranges, sizeof(set_range_t)) : NONE;
    if (at == NONE)
        return false;
    set_range_t *made = AT(values->ranges, set_range_t, at);
    *made = (set_range_t){.range = *range, .hit = NONE};
    return push_hit(e, &made->hit);
}

static bool put_block(const entry_t *e, const block_t *block)
{
    set_values_t *values = values_of(e);
    if (!values)
        return false;
    values->has_masks = true;
    values->text_count++;
    if (block->ip.bits == IP_V4_BITS)
        values->masks.v4 |= UINT64_C(1) << block->prefix_bits;
    else
        values->masks.v6[block->prefix_bits / 64] |= UINT64_C(1) << (block->prefix_bits % 64);
    value_t value = {
        .type = VALUE_STRING, .bits = block->prefix_bits, .text = bytes_from(block->ip.bytes, block->ip.bits / 8)};
    return put_key(e, KEY_BLOCK, &value);
}

/* How well a condition sorts values out, for allOf: the greatest is looked up, and the others checked then. */
static unsigned rank(const condition_t *c)
{
    switch (c->type) {
    case CONDITION_EXACT:
        return 5;
    case CONDITION_CIDR:
    case CONDITION_FOLD:
        return 4;
    case CONDITION_PREFIX:
    case CONDITION_SUFFIX:
    case CONDITION_FOLD_PREFIX:
    case CONDITION_FOLD_SUFFIX:
    case CONDITION_WILDCARD:
        return 3;
    case CONDITION_NUMERIC:
        return 2;
    default:
        return 0;
    }
}

static bool put(entry_t *e, const condition_t *c);

static bool put_all(entry_t *e, const condition_t *c)
{
    const condition_t *best = &e->all[c->list.first];
    for (uint32_t i = 1; i < c->list.count; i++)
        if (rank(&e->all[c->list.first + i]) > rank(best))
            best = &e->all[c->list.first + i];
    e->check = c;
    if (rank(best) == 0)
        return push_hit(e, &AT(e->set->nodes, set_node_t, e->node)->scan);
    if (best->type != CONDITION_WILDCARD)
        return put(e, best);
    bool ok = put_wildcard(e, best); /* which has it checked alone */
    if (ok)
        AT(e->set->hits, set_hit_t, e->set->hits.count - 1)->check = c;
    return ok;
}

static bool put(entry_t *e, const condition_t *c)
{
    static const uint8_t kinds[] = {[CONDITION_PREFIX] = KEY_PREFIX,
                                    [CONDITION_SUFFIX] = KEY_SUFFIX,
                                    [CONDITION_FOLD] = KEY_FOLD,
                                    [CONDITION_FOLD_PREFIX] = KEY_FOLD_PREFIX,
                                    [CONDITION_FOLD_SUFFIX] = KEY_FOLD_SUFFIX};
    switch (c->type) {
    case CONDITION_EXACT:
        return put_key(e, KEY_EXACT, &c->value);
    case CONDITION_WILDCARD:
        return put_wildcard(e, c);
    case CONDITION_NUMERIC:
        return put_range(e, &c->range);
    case CONDITION_CIDR:
        return put_block(e, &c->block);
    case CONDITION_PRESENT:
        return push_hit(e, &AT(e->set->nodes, set_node_t, e->node)->present);
    case CONDITION_ALL:
        return put_all(e, c);
    case CONDITION_ABSENT:
    case CONDITION_BUT:
        return true; /* known when the walk is over */
    default:
        return put_text(e, (key_kind_t)kinds[c->type], c->text);
    }
}

bool set_index(ruleset_t *s, uint32_t node, const condition_t *all, const condition_t *c, uint32_t target,
               bool excludes)
{
    entry_t e = {.set = s, .node = node, .target = target, .all = all, .excludes = excludes};
    return put(&e, c);
}

/* -- ranges -------------------------------------------------------------------------------------- */
static int by_low(const void *a, const void *b)
{
    double x = ((const set_range_t *)a)->range.low, y = ((const set_range_t *)b)->range.low;
    return (x > y) - (x < y);
}

/* The middle of [from, to) is the root of its subtree. */
static double highest(set_range_t *ranges, uint32_t from, uint32_t to)
{
    if (from >= to)
        return -INFINITY;
    uint32_t middle = from + (to - from) / 2;
    double left = highest(ranges, from, middle), right = highest(ranges, middle + 1, to);
    double high = ranges[middle].range.high;
    high = left > high ? left : high;
    ranges[middle].high_below = right > high ? right : high;
    return ranges[middle].high_below;
}

/* -- the end ------------------------------------------------------------------------------------- */
static bool list_children(ruleset_t *s, set_node_t *node)
{
    node->children = s->children.count;
    for (uint32_t child = node->first_child; child != NONE;) {
        const set_node_t *from = AT(s->nodes, set_node_t, child);
        uint32_t at = list_add(&s->children, sizeof(set_child_t));
        if (at == NONE)
            return false;
        *AT(s->children, set_child_t, at) =
            (set_child_t){.head = hash_head(from->key), .len = (uint32_t)from->key.len, .node = child};
        child = from->next_sibling;
    }
    return true;
}

bool set_index_end(ruleset_t *s)
{
    for (uint32_t i = 0; i < s->nodes.count; i++) {
        if (!list_children(s, AT(s->nodes, set_node_t, i)))
            return false;
        set_values_t *values = AT(s->nodes, set_node_t, i)->values;
        if (!values || values->ranges.count == 0)
            continue;
        qsort(values->ranges.items, values->ranges.count, sizeof(set_range_t), by_low);
        (void)highest(values->ranges.items, 0, values->ranges.count);
    }
    return true;
}

void set_values_free(set_values_t *values)
{
    if (!values)
        return;
    for (size_t i = 0; i < LENGTH_KINDS; i++)
        free(values->lengths[i].lengths);
    free(values->ranges.items);
    free(values->gram_filter);
    free(values);
}
