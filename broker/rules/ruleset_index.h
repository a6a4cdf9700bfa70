/* ruleset_index.h: what a ruleset is made of; for the folder's own use.
 *
 * All paths that rules name are one tree of nodes. All match expressions for a node's values are found from the value
 * by hashing, so that their number does not matter: exact values whole, prefixes and suffixes once for each length that
 * occurs, text without case by the hash of its folded bytes, wildcards by one of their literal pieces (where it stands
 * inside, by a gram of 1, 2, 4 or 8 bytes of it), address blocks once for each mask; number ranges by a search tree.
 * What is found is a chain of hits, each of which meets a predicate: a field of one or many rules, stored once. */
#ifndef BROKER_RULES_RULESET_INDEX_H
#define BROKER_RULES_RULESET_INDEX_H

#include "broker/rules/hash.h"
#include "broker/rules/pattern_tree.h"
#include "broker/rules/ruleset.h"

#define NONE PATTERN_NONE
#define ROOT 0

typedef enum {
    KEY_CHILD,     /* a step from the node; `hits` is the child */
    KEY_PREDICATE, /* the array of match expressions as given; `hits` is the predicate */
    KEY_EXACT,
    KEY_PREFIX,
    KEY_SUFFIX,
    KEY_FOLD_PREFIX,
    KEY_FOLD_SUFFIX,
    KEY_FOLD,
    KEY_GRAM, /* the first bytes of a piece inside a wildcard */
    KEY_BLOCK,
} key_kind_t;

#define GRAM_FILTER_WORDS 64
#define LENGTH_KINDS 4 /* from KEY_PREFIX to KEY_FOLD_SUFFIX there is a lookup for each length */

typedef struct {
    void *items;
    uint32_t count, cap;
} list_t;

#define AT(list, type, i) (&((type *)(list).items)[i])

typedef struct {
    value_t value; /* text kinds: the text; BLOCK: the address, with the mask in `bits` */
    uint32_t node, kind;
    uint32_t hits, hit_count; /* hits: the first; NONE */
} set_key_t;

typedef struct {
    const condition_t *check; /* to be held against the value first; NULL: it holds already */
    const condition_t *all;   /* of the pattern that `check` is of */
    uint32_t next;
    uint32_t target;  /* a predicate, or with `excludes` one of `buts` */
    uint32_t checked; /* the leaf it was last checked for, so that it is once for each */
    bool excludes;
} set_hit_t;

typedef struct {
    uint16_t *lengths; /* rising */
    uint32_t count, cap;
} set_lengths_t;

typedef struct {
    uint64_t v4, v6[3]; /* bit by mask length */
} set_masks_t;

typedef struct {
    range_t range;
    double high_below; /* the greatest `high` in its subtree */
    uint32_t hit;
} set_range_t;

typedef struct {
    set_lengths_t lengths[LENGTH_KINDS];
    set_masks_t masks;
    list_t ranges;         /* sorted by low once compiled */
    uint64_t *gram_filter; /* GRAM_FILTER_WORDS; NULL without grams */
    uint32_t text_count;   /* distinct text keys */
    uint32_t fold_max;     /* length of the longest text that is asked for without case */
    uint8_t gram_sizes;    /* bit s: grams of 1 << s bytes */
    bool has_masks;
} set_values_t;

#define STEP_FILTER_WORDS 4

typedef struct {
    uint64_t head; /* of its key: hash_head */
    uint32_t len, node;
} set_child_t;

typedef struct {
    bytes_t key;                              /* the step from its parent */
    uint64_t child_filter[STEP_FILTER_WORDS]; /* a bit for what the children's keys begin with */
    set_values_t *values;                     /* NULL: nothing but exact values */
    uint32_t parent, first_child, next_sibling;
    uint32_t order, end;            /* depth first; those below: (order, end) */
    uint32_t child_count, children; /* children: in the ruleset's list, once compiled */
    uint32_t exact_count;           /* distinct exact values */
    uint32_t present, scan;         /* hits for any value; for any value, to be checked */
    uint32_t late;                  /* the first predicate that is judged when the walk is over */
    uint16_t kinds;                 /* bit by kind */
    bool is_field;                  /* some rule has a field here */
} set_node_t;

typedef struct { /* {"anything-but":…}: met unless each of the node's values is excluded */
    uint32_t node;
} set_but_t;

typedef struct {
    const pattern_t *pattern; /* of the first rule that has it */
    uint32_t field;           /* there */
    uint32_t node;
    uint32_t first_but, but_count;
    uint32_t first_branch, branch_count; /* in `accesses`: the branches that are found by it */
    uint32_t next_late;
    bool may_be_absent;
} set_predicate_t;

typedef struct {
    uint32_t rule;
    uint32_t branch;       /* of the rule's pattern */
    uint32_t first, count; /* in `members` */
} set_branch_t;

typedef struct {
    uint32_t id;
    pattern_t *pattern;
} set_rule_t;

#define MEMOS 128       /* a power of two */
#define MEMO_STEP 29    /* between the memos of two nodes */
#define MEMO_KEY_MAX 16 /* longer keys are looked up each time */
#define MEMO_REACH 24   /* bytes that are read to hold a key against a memo */

/* Events of one kind have the same keys in the same order: where a key led to is remembered by where it stood, the
 * number of its pair in the map. Its length is foreseen so, too, and need not be waited for. */
typedef struct {
    uint64_t head, mask; /* the byte of the length and up to seven of the key */
    uint64_t tail;       /* the last eight bytes, where it has so many */
    uint32_t node, child;
    uint32_t len;
} set_memo_t;

/* What one match writes. A stamp says which match wrote it, so nothing has to be cleared. */
typedef struct {
    uint32_t stamp, leaf; /* of this match; of this value, which no other has had */
    uint32_t *predicate_stamps;
    uint32_t *node_stamps, *node_leaves;
    uint32_t *but_stamps, *but_excluded, *but_leaf;
    uint32_t *rule_stamps;
    uint32_t *candidates; /* branches */
    uint32_t *late_nodes, *element_nodes, *element_stamps;
    uint32_t candidate_count, late_count, element_count, met_count;
    set_memo_t memos[MEMOS];
} set_scratch_t;

/* A key of the envelope that some rule names. */
typedef struct {
    envelope_key_t key;
    uint32_t node;
} set_top_t;

/* Keys by their hash: open addressing, cap a power of two. */
typedef struct {
    list_t keys;
    uint64_t *slots; /* upper half: of the hash; lower: key + 1, 0 is free */
    uint32_t cap;
} set_table_t;

struct ruleset {
    list_t rules, branches, members, predicates, buts, nodes, hits;
    set_table_t table;
    set_table_t given; /* KEY_PREDICATE, which only building asks for */
    list_t children;
    list_t always;      /* branches that need no field to be there */
    uint32_t *accesses; /* branches, by predicate */
    set_top_t tops[ENVELOPE_KEYS];
    uint32_t top_count;
    uint32_t replay_node;   /* of replay-name, which is beside the event; NONE */
    bool can_stop;          /* once every predicate is met nothing can change */
    set_scratch_t *scratch; /* NULL until compiled */
};

/* Appends a zeroed item; NONE when out of memory. */
uint32_t list_add(list_t *list, size_t item_bytes);

/* -- hashing ------------------------------------------------------------------------------------- */
#define HASH_STEP UINT64_C(0xd6e8feb86659fd93)

static inline uint64_t hash_byte(uint64_t hash, uint8_t byte)
{
    return (hash + byte + 1) * HASH_STEP;
}

static inline uint64_t hash_end(uint64_t hash, uint32_t node, key_kind_t kind)
{
    hash = (hash ^ ((uint64_t)node << 4 | (uint64_t)kind)) * HASH_STEP;
    return hash ^ hash >> 32;
}

static inline uint64_t hash_value(const value_t *value, uint32_t node, key_kind_t kind)
{
    uint64_t hash = value->type == VALUE_STRING ? 0 : hash_mix((uint64_t)value->type, value->bits);
    return hash_end(hash ^ hash_text(value->text), node, kind);
}

/* An address whose bits behind the mask are zero. */
static inline uint64_t hash_block(const ip_words_t *ip, unsigned prefix_bits, uint32_t node)
{
    return hash_end(hash_mix(hash_mix(prefix_bits, ip->high), ip->low), node, KEY_BLOCK);
}

static inline uint64_t hash_word(uint64_t word, unsigned size)
{
    return (word + size) * HASH_STEP;
}

/* The first `size` (1, 2, 4 or 8) bytes as a number. */
static inline uint64_t gram_word(const uint8_t *at, unsigned size)
{
    uint64_t word = 0;
    memcpy(&word, at, size);
    return word;
}

/* A bit for each of 4,096 parts of all hashes: most grams of a text are no gram of any wildcard. */
static inline void gram_note(uint64_t *filter, uint64_t hash)
{
    filter[hash >> 58] |= UINT64_C(1) << (hash >> 52 & 63);
}

static inline bool gram_is_noted(const uint64_t *filter, uint64_t hash)
{
    return filter[hash >> 58] >> (hash >> 52 & 63) & 1;
}

/* -- finding ------------------------------------------------------------------------------------- */
/* For the folding kinds, which take the text as it stands. */
bool set_fold_fits(const set_key_t *key, bytes_t text);

/* True when the key is the one that `value` asks for. */
static inline bool set_key_fits(const set_key_t *key, key_kind_t kind, uint32_t node, const value_t *value)
{
    if (key->kind != kind || key->node != node)
        return false;
    return kind >= KEY_FOLD_PREFIX && kind <= KEY_FOLD ? set_fold_fits(key, value->text) : value_eq(&key->value, value);
}

static inline const set_key_t *set_find(const set_table_t *t, uint64_t hash, key_kind_t kind, uint32_t node,
                                        const value_t *value)
{
    uint32_t mask = t->cap - 1, tag = (uint32_t)(hash >> 32);
    for (uint32_t at = (uint32_t)hash & mask; t->slots[at]; at = (at + 1) & mask) {
        if ((uint32_t)(t->slots[at] >> 32) != tag)
            continue;
        const set_key_t *key = AT(t->keys, set_key_t, (uint32_t)t->slots[at] - 1);
        if (set_key_fits(key, kind, node, value))
            return key;
    }
    return NULL;
}

/* By the first two bytes of the first step that the key is: "a" and "a.b" alike. */
static inline unsigned set_step_bit(bytes_t key)
{
    uint8_t first = key.len > 0 ? key.data[0] : '.', second = key.len > 1 ? key.data[1] : '.';
    return first == '.' ? 0 : (first + 37u * second) % (64 * STEP_FILTER_WORDS);
}

/* False when the key leads nowhere, as most do. */
static inline bool set_may_step(const set_node_t *node, bytes_t key)
{
    unsigned bit = set_step_bit(key);
    return node->child_filter[bit / 64] >> (bit % 64) & 1;
}

/* The node that a key of the event leads to; NONE when no rule names it. */
uint32_t set_step(const ruleset_t *s, uint32_t node, bytes_t key);

/* -- building ------------------------------------------------------------------------------------ */
/* The child, made if missing; NONE when out of memory. */
uint32_t set_child(ruleset_t *s, uint32_t node, bytes_t key);

/* The key, made if missing; NULL when out of memory. `hash` as the matcher will compute it. */
set_key_t *set_key(set_table_t *t, uint64_t hash, key_kind_t kind, uint32_t node, const value_t *value);
void set_table_free(set_table_t *t); /* leaves it empty */

/* Makes the condition findable from values at the node. */
MUST_USE bool set_index(ruleset_t *s, uint32_t node, const condition_t *all, const condition_t *c, uint32_t target,
                        bool excludes);

/* Lists children, and builds the search trees of ranges; nothing can be indexed afterwards. */
MUST_USE bool set_index_end(ruleset_t *s);
void set_values_free(set_values_t *values);

/* -- matching ------------------------------------------------------------------------------------ */
typedef struct {
    const ruleset_t *set;
    set_scratch_t *scratch;
    mp_reader_t reader;
    unsigned depth;
    bool done;         /* nothing more can match */
    uint32_t set_leaf; /* whose text's bytes are in `bytes` */
    byte_set_t bytes;
    size_t spent; /* steps */
} set_walk_t;

#define STEPS_STEP 6   /* for a key of the event that may be one of the rules' */
#define STEPS_LOOKUP 3 /* for a key that may be there */
#define STEP_GRAMS 3   /* one for so many places of a text */

/* False, and the walk is done, when there is nothing left to spend. */
static inline bool set_spend(set_walk_t *w, size_t steps)
{
    w->spent += steps;
    w->done |= w->spent > RULESET_STEPS_MAX;
    return w->spent <= RULESET_STEPS_MAX;
}

/* Runs every hit that a value at the node has. */
void set_take_value(set_walk_t *w, uint32_t node, const value_t *value);
/* The hits from the first on; in ruleset.c. */
void set_take_hits(set_walk_t *w, uint32_t hit, const value_t *value);

#endif
