/* condition.c: holds one value against one match expression, and match expressions against one another. */
#include "broker/rules/condition.h"

#include "broker/rules/fold.h"
#include "broker/rules/wildcard.h"

bool range_holds(const range_t *range, double v)
{
    return (range->low_open ? v > range->low : v >= range->low) &&
           (range->high_open ? v < range->high : v <= range->high);
}

bool block_holds(const block_t *block, const ip_t *ip)
{
    ip_t masked = *ip;
    ip_mask(&masked, block->prefix_bits);
    return ip_eq(&masked, &block->ip);
}

static bool has_suffix(bytes_t text, bytes_t suffix)
{
    return suffix.len <= text.len &&
           (suffix.len == 0 || memcmp(text.data + text.len - suffix.len, suffix.data, suffix.len) == 0);
}

static bool text_holds(const condition_t *c, bytes_t text)
{
    ip_t ip;
    switch (c->type) {
    case CONDITION_PREFIX:
        return bytes_has_prefix(text, c->text);
    case CONDITION_SUFFIX:
        return has_suffix(text, c->text);
    case CONDITION_FOLD:
        return fold_equals(text, c->text);
    case CONDITION_FOLD_PREFIX:
        return fold_begins(text, c->text);
    case CONDITION_FOLD_SUFFIX:
        return fold_ends(text, c->text);
    case CONDITION_WILDCARD:
        return wildcard_matches(c->text, text);
    case CONDITION_CIDR:
        return ip_parse(text, &ip) && block_holds(&c->block, &ip);
    default:
        return false;
    }
}

/* How many of the list hold; stops at the first that is not as `wanted`. */
static bool list_all(const condition_t *all, const condition_t *c, const value_t *v, bool wanted)
{
    for (uint32_t i = 0; i < c->list.count; i++)
        if (condition_holds(all, &all[c->list.first + i], v) != wanted)
            return false;
    return true;
}

bool condition_holds(const condition_t *all, const condition_t *c, const value_t *v)
{
    switch (c->type) {
    case CONDITION_EXACT:
        return value_eq(&c->value, v);
    case CONDITION_NUMERIC:
        return v->type == VALUE_DOUBLE && range_holds(&c->range, value_double(v));
    case CONDITION_PRESENT:
        return true;
    case CONDITION_ABSENT:
        return false;
    case CONDITION_BUT:
        return list_all(all, c, v, false);
    case CONDITION_ALL:
        return list_all(all, c, v, true);
    default:
        return v->type == VALUE_STRING && text_holds(c, v->text);
    }
}

size_t condition_steps(const condition_t *all, const condition_t *c, const value_t *v)
{
    size_t steps = STEPS_CHECK;
    switch (c->type) {
    case CONDITION_FOLD:
    case CONDITION_FOLD_PREFIX:
    case CONDITION_FOLD_SUFFIX:
        return steps + STEPS_FOLD_BYTE * (v->text.len < c->text.len ? v->text.len : c->text.len);
    case CONDITION_WILDCARD:
        return steps + v->text.len / STEP_BYTES;
    case CONDITION_BUT:
    case CONDITION_ALL:
        for (uint32_t i = 0; i < c->list.count; i++)
            steps += condition_steps(all, &all[c->list.first + i], v);
        return steps;
    default:
        return steps;
    }
}

/* -- against one another ----------------------------------------------------------------------------- */
static bool is_text(const condition_t *c)
{
    return c->type >= CONDITION_PREFIX && c->type <= CONDITION_WILDCARD;
}

static bool range_within(const range_t *a, const range_t *b)
{
    bool low = a->low > b->low || (a->low == b->low && (a->low_open || !b->low_open));
    bool high = a->high < b->high || (a->high == b->high && (a->high_open || !b->high_open));
    return low && high;
}

static bool same_type_implies(const condition_t *a, const condition_t *b)
{
    switch (a->type) {
    case CONDITION_PREFIX:
    case CONDITION_FOLD_PREFIX:
        return bytes_has_prefix(a->text, b->text);
    case CONDITION_SUFFIX:
    case CONDITION_FOLD_SUFFIX:
        return has_suffix(a->text, b->text);
    case CONDITION_FOLD:
    case CONDITION_WILDCARD:
        return bytes_eq(a->text, b->text);
    case CONDITION_NUMERIC:
        return range_within(&a->range, &b->range);
    case CONDITION_CIDR:
        return a->block.prefix_bits >= b->block.prefix_bits && block_holds(&b->block, &a->block.ip);
    default:
        return false;
    }
}

/* What is folded already is folded to itself. */
static bool text_implies(const condition_t *a, const condition_t *b)
{
    wildcard_pieces_t of_a = {0};
    if (a->type == CONDITION_WILDCARD)
        of_a = wildcard_pieces(a->text);
    switch (b->type) {
    case CONDITION_PREFIX:
        return bytes_has_prefix(of_a.before, b->text);
    case CONDITION_SUFFIX:
        return of_a.has_star && has_suffix(of_a.behind, b->text);
    case CONDITION_FOLD_PREFIX:
        return (a->type == CONDITION_PREFIX || a->type == CONDITION_FOLD) && fold_begins(a->text, b->text);
    case CONDITION_FOLD_SUFFIX:
        return (a->type == CONDITION_SUFFIX || a->type == CONDITION_FOLD) && fold_ends(a->text, b->text);
    case CONDITION_WILDCARD:
        return b->text.len == 1 && b->text.data[0] == WILDCARD_STAR;
    default:
        return false;
    }
}

static bool but_implied(const condition_t *all_a, const condition_t *a, const condition_t *all_b, const condition_t *b)
{
    for (uint32_t i = 0; i < b->list.count; i++) { /* each of b's exclusions is one of a's */
        bool found = false;
        for (uint32_t j = 0; !found && j < a->list.count; j++)
            found = condition_implies(all_b, &all_b[b->list.first + i], all_a, &all_a[a->list.first + j]);
        if (!found)
            return false;
    }
    return true;
}

static bool list_implies(const condition_t *all_a, const condition_t *a, const condition_t *all_b, const condition_t *b)
{
    if (b->type == CONDITION_ALL) {
        for (uint32_t i = 0; i < b->list.count; i++)
            if (!condition_implies(all_a, a, all_b, &all_b[b->list.first + i]))
                return false;
        return true;
    }
    for (uint32_t i = 0; a->type == CONDITION_ALL && i < a->list.count; i++)
        if (condition_implies(all_a, &all_a[a->list.first + i], all_b, b))
            return true;
    return a->type == CONDITION_BUT && b->type == CONDITION_BUT && but_implied(all_a, a, all_b, b);
}

bool condition_implies(const condition_t *all_a, const condition_t *a, const condition_t *all_b, const condition_t *b)
{
    if (a->type == CONDITION_EXACT)
        return condition_holds(all_b, b, &a->value);
    if (a->type == CONDITION_ABSENT || b->type == CONDITION_ABSENT)
        return a->type == b->type;
    if (b->type == CONDITION_PRESENT)
        return true;
    if (a->type == CONDITION_ALL || b->type == CONDITION_ALL || a->type == CONDITION_BUT)
        return list_implies(all_a, a, all_b, b);
    if (a->type == b->type && same_type_implies(a, b))
        return true;
    return is_text(a) && is_text(b) && text_implies(a, b);
}

/* Both of a pair must hold: can they? */
static bool pair_is_dead(const condition_t *all, const condition_t *a, const condition_t *b)
{
    if (a->type == CONDITION_EXACT)
        return !condition_holds(all, b, &a->value);
    if (a->type == CONDITION_NUMERIC && b->type == CONDITION_NUMERIC)
        return a->range.low > b->range.high || b->range.low > a->range.high ||
               (a->range.low == b->range.high && (a->range.low_open || b->range.high_open)) ||
               (b->range.low == a->range.high && (b->range.low_open || a->range.high_open));
    if (a->type == CONDITION_PREFIX && b->type == CONDITION_PREFIX)
        return !bytes_has_prefix(a->text, b->text) && !bytes_has_prefix(b->text, a->text);
    if (a->type == CONDITION_SUFFIX && b->type == CONDITION_SUFFIX)
        return !has_suffix(a->text, b->text) && !has_suffix(b->text, a->text);
    if (b->type == CONDITION_BUT)
        for (uint32_t i = 0; i < b->list.count; i++)
            if (condition_implies(all, a, all, &all[b->list.first + i]))
                return true;
    return (a->type == CONDITION_NUMERIC && (is_text(b) || b->type == CONDITION_CIDR)) ||
           (b->type == CONDITION_NUMERIC && a->type == CONDITION_CIDR);
}

bool condition_is_dead(const condition_t *all, const condition_t *c)
{
    if (c->type != CONDITION_ALL)
        return false;
    const condition_t *list = &all[c->list.first];
    for (uint32_t i = 0; i < c->list.count; i++)
        for (uint32_t j = 0; j < c->list.count; j++)
            if (i != j && pair_is_dead(all, &list[i], &list[j]))
                return true;
    return false;
}
