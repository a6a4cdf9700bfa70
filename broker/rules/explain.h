/* explain.h: why a pattern does not match an event, and what can be said of patterns without any event. Slow beside
 * matching, for people. Pure, see pattern.h. */
#ifndef BROKER_RULES_EXPLAIN_H
#define BROKER_RULES_EXPLAIN_H

#include "broker/rules/pattern.h"

#define EXPLAIN_FOUND_MAX 8          /* values of one path that are shown */
#define EXPLAIN_VALUE_MAX_BYTES 1024 /* longer ones are named by their size */

typedef enum {
    EXPLAIN_MATCHED,
    EXPLAIN_VALUE,   /* there are values, but none that is wanted */
    EXPLAIN_MISSING, /* nothing there, or an object, or an empty array: no value */
    EXPLAIN_PRESENT, /* it must be absent */
    EXPLAIN_ELEMENT, /* each field alone is met, but no one element of the array meets all */
    EXPLAIN_BROKEN,  /* no event */
} explain_reason_t;

typedef struct {
    explain_reason_t reason;
    buf_t path;           /* with dots; of the array for EXPLAIN_ELEMENT */
    buf_t wanted;         /* msgpack: the match expressions as given; empty for EXPLAIN_ELEMENT */
    buf_t found;          /* msgpack: an array of the values there */
    uint32_t met, fields; /* how many fields of the branch are met alone; of how many */
    uint32_t branch, branches;
} explanation_t;

const char *explain_reason_name(explain_reason_t reason); /* "value", "missing", … */

/* Of several branches of `$or` the one that comes nearest is explained, and of it the first field that fails, in the
 * pattern's order. True when the pattern matches. The caller frees, also after false. */
bool pattern_explain(const pattern_t *pattern, bytes_t event, bytes_t replay_name, explanation_t *out);
void explanation_free(explanation_t *explanation);

/* Appends a msgpack map: matched, and when it is false reason, path, wanted, found, met, fields. */
void explanation_put(const explanation_t *explanation, buf_t *out);

/* True when no event can match, with the reason and its path in words; false also where that is not known. */
bool pattern_is_dead(const pattern_t *pattern, buf_t *why);

/* True when every event that matches `b` matches `a`; false also where that is not known. */
bool pattern_covers(const pattern_t *a, const pattern_t *b);

#endif
