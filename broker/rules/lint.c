/* lint.c: what can be said of patterns without any event. */
#include "broker/rules/explain.h"
#include "broker/rules/pattern_tree.h"

/* -- dead ---------------------------------------------------------------------------------------------- */
typedef enum {
    SHAPE_UNKNOWN, /* below detail, or a field that some forwarder adds */
    SHAPE_TEXT,    /* always there, a text */
    SHAPE_TEXTS,   /* resources: texts, perhaps none */
    SHAPE_OBJECT,  /* detail */
    SHAPE_REPLAY,  /* replay-name: a text, on replayed events */
} shape_t;

static shape_t shape_of(const pattern_t *p, uint32_t node)
{
    static const char *const texts[] = {"version", "id", "detail-type", "source", "account", "time", "region"};
    if (p->nodes[node].parent != 0)
        return SHAPE_UNKNOWN;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (bytes_eq_cstr(p->nodes[node].key, texts[i]))
            return SHAPE_TEXT;
    if (bytes_eq_cstr(p->nodes[node].key, "resources"))
        return SHAPE_TEXTS;
    if (bytes_eq_cstr(p->nodes[node].key, "replay-name"))
        return SHAPE_REPLAY;
    return bytes_eq_cstr(p->nodes[node].key, "detail") ? SHAPE_OBJECT : SHAPE_UNKNOWN;
}

/* Can a text meet it? */
static bool takes_text(const condition_t *c)
{
    return c->type != CONDITION_NUMERIC && (c->type != CONDITION_EXACT || c->value.type == VALUE_STRING);
}

static const char *condition_trouble(const pattern_t *p, const condition_t *c, shape_t shape)
{
    if (condition_is_dead(p->conditions, c))
        return "no value meets all of allOf";
    if (shape == SHAPE_TEXT && c->type == CONDITION_ABSENT)
        return "every event has it";
    if (shape == SHAPE_OBJECT && c->type != CONDITION_ABSENT)
        return "detail is an object and no value";
    if (shape != SHAPE_UNKNOWN && shape != SHAPE_OBJECT && c->type != CONDITION_ABSENT && !takes_text(c))
        return "it is always a text";
    return NULL;
}

/* NULL when some value may meet the field. */
static const char *field_trouble(const pattern_t *p, const pattern_field_t *field)
{
    const char *why = NULL;
    shape_t shape = shape_of(p, field->node);
    uint32_t top = field->node;
    while (p->nodes[top].parent != 0)
        top = p->nodes[top].parent;
    if (top != field->node && shape_of(p, top) != SHAPE_UNKNOWN && shape_of(p, top) != SHAPE_OBJECT)
        return field->may_be_absent ? NULL : "there is nothing below a text";
    for (uint32_t i = 0; i < field->condition_count; i++) {
        why = condition_trouble(p, &p->conditions[field->conditions + i], shape);
        if (!why)
            return NULL;
    }
    return why;
}

bool pattern_is_dead(const pattern_t *p, buf_t *why)
{
    size_t begin = why->len;
    for (uint32_t b = 0; b < p->branch_count; b++) {
        const char *trouble = NULL;
        uint32_t field = 0;
        for (uint32_t i = 0; !trouble && i < p->branches[b].count; i++) {
            field = p->members[p->branches[b].first + i];
            trouble = field_trouble(p, &p->fields[field]);
        }
        if (!trouble) {
            why->len = begin;
            return false;
        }
        if (b > 0)
            continue;
        pattern_path(p, p->fields[field].node, why);
        buf_printf(why, ": %s", trouble);
    }
    return true;
}

/* -- one within another ---------------------------------------------------------------------------------- */
static bool same_path(const pattern_t *a, uint32_t x, const pattern_t *b, uint32_t y)
{
    while (a->nodes[x].parent != PATTERN_NONE && b->nodes[y].parent != PATTERN_NONE) {
        if (!bytes_eq(a->nodes[x].key, b->nodes[y].key))
            return false;
        x = a->nodes[x].parent;
        y = b->nodes[y].parent;
    }
    return a->nodes[x].parent == b->nodes[y].parent;
}

/* Each way to meet `inner` meets `outer`. */
static bool field_within(const pattern_t *a, const pattern_field_t *inner, const pattern_t *b,
                         const pattern_field_t *outer)
{
    for (uint32_t i = 0; i < inner->condition_count; i++) {
        bool within = false;
        for (uint32_t j = 0; !within && j < outer->condition_count; j++)
            within = condition_implies(a->conditions, &a->conditions[inner->conditions + i], b->conditions,
                                       &b->conditions[outer->conditions + j]);
        if (!within)
            return false;
    }
    return true;
}

/* Everything that `outer` asks is asked by `inner`, and no less strictly. */
static bool branch_within(const pattern_t *a, const pattern_branch_t *inner, const pattern_t *b,
                          const pattern_branch_t *outer)
{
    for (uint32_t j = 0; j < outer->count; j++) {
        const pattern_field_t *wanted = &b->fields[b->members[outer->first + j]];
        bool within = false;
        for (uint32_t i = 0; !within && i < inner->count; i++) {
            const pattern_field_t *given = &a->fields[a->members[inner->first + i]];
            within = same_path(a, given->node, b, wanted->node) && field_within(a, given, b, wanted);
        }
        /* Absence is judged in the element that meets the rest, and the rest is another. */
        within &= !wanted->may_be_absent || inner->count == outer->count;
        if (!within)
            return false;
    }
    return true;
}

bool pattern_covers(const pattern_t *a, const pattern_t *b)
{
    for (uint32_t i = 0; i < b->branch_count; i++) {
        bool within = false;
        for (uint32_t j = 0; !within && j < a->branch_count; j++)
            within = branch_within(b, &b->branches[i], a, &a->branches[j]);
        if (!within)
            return false;
    }
    return true;
}
