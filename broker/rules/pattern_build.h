/* pattern_build.h: a pattern while it is being compiled; for the folder's own use. */
#ifndef BROKER_RULES_PATTERN_BUILD_H
#define BROKER_RULES_PATTERN_BUILD_H

#include "broker/rules/pattern_tree.h"

#define BUILD_PATH_BYTES 160

/* One way to match so far. */
typedef struct {
    uint32_t *fields;
    uint32_t count, cap;
} build_branch_t;

typedef struct {
    build_branch_t *items;
    uint32_t count;
} build_branches_t;

typedef struct {
    pattern_t *pattern;
    mp_reader_t reader; /* over the document */
    pattern_options_t options;
    uint32_t node_cap, condition_cap, field_cap;
    build_branches_t branches;
    char path[BUILD_PATH_BYTES]; /* where the reader is, for messages */
    error_t *err;
} build_t;

/* Refuses the pattern in AWS's form, with the place; returns false. */
bool build_refuse(build_t *b, const char *fmt, ...) PRINTF_LIKE(2, 3);
bool build_no_memory(build_t *b);

/* Room for one more item; NULL when out of memory. */
void *build_grow(void *items, uint32_t count, uint32_t *cap, size_t item_bytes);

/* Reads one match expression of a field and adds its condition (and those it consists of, before it). */
MUST_USE bool build_match_value(build_t *b, condition_t *out);

/* Appends a condition; PATTERN_NONE, with the error set, when out of memory. */
uint32_t build_condition(build_t *b, const condition_t *condition);

#endif
