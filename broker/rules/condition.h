/* condition.h: one match expression of a pattern, for the folder's own use.
 *
 * Texts lie in the pattern (in its document, or in its `texts` where they are stored changed). */
#ifndef BROKER_RULES_CONDITION_H
#define BROKER_RULES_CONDITION_H

#include "broker/rules/ip.h"
#include "broker/rules/value.h"
#include "broker/rules/wildcard.h"

typedef enum {
    CONDITION_EXACT,       /* value */
    CONDITION_PREFIX,      /* text */
    CONDITION_SUFFIX,      /* text */
    CONDITION_FOLD,        /* text, folded: equal but for case */
    CONDITION_FOLD_PREFIX, /* text, folded */
    CONDITION_FOLD_SUFFIX, /* text, folded */
    CONDITION_WILDCARD,    /* wildcard */
    CONDITION_NUMERIC,     /* range */
    CONDITION_CIDR,        /* block; an exact value that is an address is a block of one */
    CONDITION_PRESENT,     /* {"exists":true} */
    CONDITION_ABSENT,      /* {"exists":false}: never holds for a value */
    CONDITION_BUT,         /* list: none of them holds */
    CONDITION_ALL,         /* list: all of them hold */
} condition_type_t;

typedef struct {
    double low, high; /* infinite: no bound */
    bool low_open, high_open;
} range_t;

typedef struct {
    ip_t ip; /* host bits are zero */
    uint8_t prefix_bits;
} block_t;

typedef struct {
    condition_type_t type;
    union {
        value_t value;
        bytes_t text;
        struct {
            bytes_t parsed; /* is `text` */
            byte_set_t needs;
        } wildcard;
        range_t range;
        block_t block;
        struct {
            uint32_t first, count; /* among all conditions of the pattern */
        } list;
    };
} condition_t;

/* `all` are the conditions of the pattern that `c` is of. */
bool condition_holds(const condition_t *all, const condition_t *c, const value_t *v);

/* What looking may cost, in the steps of ruleset.h. */
#define STEPS_ITEM 3      /* for an element of an array */
#define STEPS_VALUE 8     /* for a value that some rule asks for */
#define STEPS_CHECK 5     /* for a match expression that is held against it */
#define STEPS_FOLD_BYTE 5 /* for a byte of a character whose case is looked up */
#define STEP_BYTES 16     /* one for so many bytes that a wildcard is looked for in */

/* What condition_holds may cost. */
size_t condition_steps(const condition_t *all, const condition_t *c, const value_t *v);

bool range_holds(const range_t *range, double v);
bool block_holds(const block_t *block, const ip_t *ip);

/* True when every value that meets `a` meets `b`; false also where that is not known. */
bool condition_implies(const condition_t *all_a, const condition_t *a, const condition_t *all_b, const condition_t *b);

/* True when no value meets `c`; false also where that is not known. */
bool condition_is_dead(const condition_t *all, const condition_t *c);

#endif
