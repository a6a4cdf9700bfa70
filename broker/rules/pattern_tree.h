/* pattern_tree.h: what a compiled pattern is made of; for the folder's own use.
 *
 * A pattern is a tree of path segments ("a.b" is a, then b, wherever the dots stand). A node that carries
 * conditions is a field; fields are numbered in depth-first order, so those below a node are one range. */
#ifndef BROKER_RULES_PATTERN_TREE_H
#define BROKER_RULES_PATTERN_TREE_H

#include "broker/rules/pattern.h"
#include "broker/rules/value.h"

#define PATTERN_NONE UINT32_MAX
/* The shortest field is `"":[1],`: what fits a pattern's bytes fits here, one bit a field. */
#define PATTERN_FIELDS_MAX 640

typedef enum {
    CONDITION_EXACT,
    CONDITION_PREFIX,
    CONDITION_PRESENT, /* {"exists":true} */
    CONDITION_ABSENT,  /* {"exists":false} */
} condition_type_t;

typedef struct {
    condition_type_t type;
    value_t value; /* EXACT, PREFIX */
} condition_t;

typedef struct {
    bytes_t key; /* in the pattern's document; empty for the root */
    uint32_t first_child, next_sibling;
    uint32_t conditions, condition_count; /* count 0: no field */
    uint32_t field;                       /* its number; PATTERN_NONE when it is no field */
    uint32_t below, end;                  /* fields of the nodes below: [below, end) */
} pattern_node_t;

struct pattern {
    buf_t document; /* the source in msgpack: holds all keys and texts */
    pattern_node_t *nodes;
    uint32_t node_count, node_cap;
    condition_t *conditions;
    uint32_t condition_count, condition_cap;
    uint32_t field_count;
    uint64_t may_be_absent[PATTERN_FIELDS_MAX / 64]; /* bit by field: one of its conditions is ABSENT */
};

/* Splits the first segment off a key: false when there is none left. `*rest` starts as the key itself. */
bool pattern_segment(bytes_t *rest, bool *more, bytes_t *segment);

/* The child of `node` under `key`; PATTERN_NONE when there is none. */
uint32_t pattern_child(const pattern_t *p, uint32_t node, bytes_t key);

static inline bool pattern_bit(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}

static inline void pattern_set_bit(uint64_t *bits, uint32_t at)
{
    bits[at / 64] |= UINT64_C(1) << (at % 64);
}

#endif
