/* pattern_tree.h: what a compiled pattern is made of; for the folder's own use.
 *
 * A pattern is a tree of path segments ("a.b" is a, then b, wherever the dots stand). A field is a node and the match
 * expressions for its value; a node has several fields where branches of `$or` differ. Nodes are ordered depth first,
 * so those below a node are one range. */
#ifndef BROKER_RULES_PATTERN_TREE_H
#define BROKER_RULES_PATTERN_TREE_H

#include "broker/rules/condition.h"
#include "broker/rules/pattern.h"

#define PATTERN_NONE UINT32_MAX
/* The shortest field is `"":[1],`: what fits a pattern's bytes fits here, one bit a field. */
#define PATTERN_FIELDS_MAX 640
#define PATTERN_FIELD_WORDS (PATTERN_FIELDS_MAX / 64)

typedef struct {
    bytes_t key; /* in the pattern's document; empty for the root */
    uint32_t parent, first_child, next_sibling, child_count;
    uint32_t first_field;
    uint32_t order, end; /* depth first; those of the nodes below: (order, end) */
} pattern_node_t;

typedef struct {
    bytes_t given;       /* the array of match expressions, msgpack in the pattern's document */
    uint32_t node, next; /* next: another field of the node */
    uint32_t conditions, condition_count;
    bool may_be_absent; /* one of its conditions is ABSENT */
} pattern_field_t;

typedef struct {
    uint32_t first, count; /* in `members` */
} pattern_branch_t;

struct pattern {
    buf_t document; /* the source in msgpack: holds keys and texts */
    buf_t texts;    /* texts that are stored changed: folded, or parsed */
    pattern_node_t *nodes;
    condition_t *conditions;
    pattern_field_t *fields;
    uint32_t *members; /* fields of the branches, one branch after the other */
    pattern_branch_t *branches;
    uint32_t node_count, condition_count, field_count, branch_count;
    bool uses_all_of;
};

/* Splits the first segment off a key: false when there is none left. `*rest` starts as the key itself. */
bool pattern_segment(bytes_t *rest, bool *more, bytes_t *segment);

/* The child of `node` under `key`; PATTERN_NONE when there is none. */
uint32_t pattern_child(const pattern_t *p, uint32_t node, bytes_t key);

/* The node that an event's key leads to from `node`; PATTERN_NONE when there is none. */
uint32_t pattern_step(const pattern_t *p, uint32_t node, bytes_t key);

/* The node's path with dots, appended. */
void pattern_path(const pattern_t *p, uint32_t node, buf_t *out);

bool pattern_field_holds(const pattern_t *p, const pattern_field_t *field, const value_t *value);

/* As pattern_match, for one branch. `*left` says how many steps of ruleset.h may be spent, and then how many are left:
 * with 0 left it is not known whether the event matches, and false is returned. */
MUST_USE bool pattern_match_branch(const pattern_t *p, uint32_t branch, bytes_t event, bytes_t replay_name,
                                   size_t *left);

static inline bool pattern_bit(const uint64_t *bits, uint32_t at)
{
    return bits[at / 64] >> (at % 64) & 1;
}

static inline void pattern_set_bit(uint64_t *bits, uint32_t at)
{
    bits[at / 64] |= UINT64_C(1) << (at % 64);
}

#endif
