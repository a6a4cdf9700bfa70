/* ruleset_value.c: from a value of the event to the hits that it has. */
#include "broker/rules/fold.h"
#include "broker/rules/ruleset_index.h"

#define GRAMS_RECENT 16
#define FOLD_FACTOR 4 /* so many times longer is no text than it is without case: a character has 1 to 4 bytes */

static void run_key(set_walk_t *w, uint32_t node, key_kind_t kind, uint64_t hash, const value_t *probe,
                    const value_t *value)
{
    w->spent += STEPS_LOOKUP;
    const set_key_t *key = set_find(&w->set->table, hash, kind, node, probe);
    if (key)
        set_take_hits(w, key->hits, value);
}

static value_t slice(const uint8_t *data, size_t len)
{
    return (value_t){.type = VALUE_STRING, .text = bytes_from(data, len)};
}

static void take_prefixes(set_walk_t *w, uint32_t node, const set_lengths_t *set, const value_t *value)
{
    hash_run_t run = {0};
    for (uint32_t i = 0; i < set->count && set->lengths[i] <= value->text.len; i++) {
        value_t probe = slice(value->text.data, set->lengths[i]);
        uint64_t hash = hash_front(&run, value->text, probe.text.len);
        run_key(w, node, KEY_PREFIX, hash_end(hash, node, KEY_PREFIX), &probe, value);
    }
}

static void take_suffixes(set_walk_t *w, uint32_t node, const set_lengths_t *set, const value_t *value)
{
    const uint8_t *end = value->text.data + value->text.len;
    hash_run_t run = {0};
    for (uint32_t i = 0; i < set->count && set->lengths[i] <= value->text.len; i++) {
        value_t probe = slice(end - set->lengths[i], set->lengths[i]);
        uint64_t hash = hash_back(&run, value->text, probe.text.len);
        run_key(w, node, KEY_SUFFIX, hash_end(hash, node, KEY_SUFFIX), &probe, value);
    }
}

/* From the front or from the back, character by character; lengths are those of folded text. */
static void take_folded(set_walk_t *w, uint32_t node, key_kind_t kind, const set_lengths_t *set, const value_t *value)
{
    bytes_t rest = value->text;
    bool from_front = kind == KEY_FOLD_PREFIX;
    uint64_t hash = 0;
    size_t len = 0;
    if (!set_spend(w, set->lengths[set->count - 1] * STEPS_FOLD_BYTE))
        return;
    for (uint32_t i = 0; i < set->count;) {
        if (set->lengths[i] == len)
            run_key(w, node, kind, hash_end(hash, node, kind), value, value);
        if (set->lengths[i] <= len) {
            i++;
            continue;
        }
        folded_t c = from_front ? fold_first(&rest) : fold_last(&rest);
        if (c.len == 0)
            return;
        for (unsigned b = 0; b < c.len; b++)
            hash = hash_byte(hash, c.bytes[from_front ? b : c.len - 1u - b]);
        len += c.len;
    }
}

static void take_fold(set_walk_t *w, uint32_t node, uint32_t longest, const value_t *value)
{
    bytes_t rest = value->text;
    uint64_t hash = 0;
    if (rest.len > (size_t)longest * FOLD_FACTOR || !set_spend(w, rest.len * STEPS_FOLD_BYTE))
        return;
    for (folded_t c = fold_first(&rest); c.len > 0; c = fold_first(&rest))
        for (unsigned b = 0; b < c.len; b++)
            hash = hash_byte(hash, c.bytes[b]);
    run_key(w, node, KEY_FOLD, hash_end(hash, node, KEY_FOLD), value, value);
}

/* The same word again, as in a text of one letter, need not be looked up again. Inlined, so that `size` is known. */
static inline __attribute__((always_inline)) void take_grams_of(set_walk_t *w, uint32_t node, const uint64_t *filter,
                                                                unsigned size, const value_t *value)
{
    uint64_t recent[GRAMS_RECENT];
    bytes_t text = value->text;
    if (!set_spend(w, text.len / STEP_GRAMS))
        return;
    memset(recent, 0, sizeof recent);
    for (size_t at = 0; at + size <= text.len; at++) {
        uint64_t word = gram_word(text.data + at, size), hash = hash_word(word, size);
        if (!gram_is_noted(filter, hash) || recent[hash >> 40 & (GRAMS_RECENT - 1)] == word + 1)
            continue;
        recent[hash >> 40 & (GRAMS_RECENT - 1)] = word + 1;
        value_t probe = slice(text.data + at, size);
        run_key(w, node, KEY_GRAM, hash_end(hash, node, KEY_GRAM), &probe, value);
    }
}

static void take_grams(set_walk_t *w, uint32_t node, const set_values_t *values, const value_t *value)
{
    if (values->gram_sizes & 1)
        take_grams_of(w, node, values->gram_filter, 1, value);
    if (values->gram_sizes & 2)
        take_grams_of(w, node, values->gram_filter, 2, value);
    if (values->gram_sizes & 4)
        take_grams_of(w, node, values->gram_filter, 4, value);
    if (values->gram_sizes & 8)
        take_grams_of(w, node, values->gram_filter, 8, value);
}

static void take_masks(set_walk_t *w, uint32_t node, const ip_t *ip, uint64_t masks, unsigned first,
                       const value_t *value)
{
    const ip_words_t words = ip_words(ip);
    for (; masks; masks &= masks - 1) {
        unsigned bits = first + (unsigned)__builtin_ctzll(masks);
        ip_words_t masked = ip_words_masked(words, bits);
        ip_t block;
        ip_set_words(&block, masked);
        value_t probe = slice(block.bytes, ip->bits / 8u);
        probe.bits = bits;
        run_key(w, node, KEY_BLOCK, hash_block(&masked, bits, node), &probe, value);
    }
}

static void take_address(set_walk_t *w, uint32_t node, const set_values_t *values, const value_t *value)
{
    ip_t ip;
    if (!ip_parse(value->text, &ip))
        return;
    if (ip.bits == IP_V4_BITS) {
        take_masks(w, node, &ip, values->masks.v4, 0, value);
        return;
    }
    for (unsigned i = 0; i < ARRAY_LEN(values->masks.v6); i++)
        take_masks(w, node, &ip, values->masks.v6[i], i * 64, value);
}

static void take_text(set_walk_t *w, uint32_t at, const set_node_t *node, const value_t *value)
{
    const set_values_t *values = node->values;
    if (node->kinds >> KEY_PREFIX & 1)
        take_prefixes(w, at, &values->lengths[0], value);
    if (node->kinds >> KEY_SUFFIX & 1)
        take_suffixes(w, at, &values->lengths[1], value);
    if (node->kinds >> KEY_FOLD_PREFIX & 1)
        take_folded(w, at, KEY_FOLD_PREFIX, &values->lengths[2], value);
    if (node->kinds >> KEY_FOLD_SUFFIX & 1)
        take_folded(w, at, KEY_FOLD_SUFFIX, &values->lengths[3], value);
    if (node->kinds >> KEY_FOLD & 1)
        take_fold(w, at, values->fold_max, value);
    if (node->kinds >> KEY_GRAM & 1)
        take_grams(w, at, values, value);
    if (node->kinds >> KEY_BLOCK & 1)
        take_address(w, at, values, value);
}

/* All ranges of [from, to) that hold: those on the right begin behind the value, or the tree is left early. */
static void take_ranges(set_walk_t *w, const set_range_t *ranges, uint32_t from, uint32_t to, double number,
                        const value_t *value)
{
    while (from < to) {
        uint32_t middle = from + (to - from) / 2;
        const set_range_t *r = &ranges[middle];
        if (r->high_below < number)
            return;
        take_ranges(w, ranges, from, middle, number, value);
        if (r->range.low > number)
            return;
        if (range_holds(&r->range, number))
            set_take_hits(w, r->hit, value);
        from = middle + 1;
    }
}

void set_take_value(set_walk_t *w, uint32_t at, const value_t *value)
{
    const set_node_t *node = AT(w->set->nodes, set_node_t, at);
    if (node->kinds >> KEY_EXACT & 1)
        run_key(w, at, KEY_EXACT, hash_value(value, at, KEY_EXACT), value, value);
    if (node->values && value->type == VALUE_STRING)
        take_text(w, at, node, value);
    if (node->values && value->type == VALUE_DOUBLE && node->values->ranges.count > 0)
        take_ranges(w, node->values->ranges.items, 0, node->values->ranges.count, value_double(value), value);
    set_take_hits(w, node->present, value);
    set_take_hits(w, node->scan, value);
}
