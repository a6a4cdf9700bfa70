/* rule_set.h: rules with their patterns compiled, from the broker's list or from a topology document. */
#ifndef MANGACTL_RULE_SET_H
#define MANGACTL_RULE_SET_H

#include "broker/rules/pattern.h"

typedef struct {
    bytes_t name, bus, state;
    bytes_t targets;        /* msgpack: an array of maps */
    const char *target_key; /* in such a map, of the queue's name */
    pattern_t *pattern;
} rule_row_t;

typedef struct {
    buf_t document; /* msgpack: holds the texts */
    rule_row_t *rules;
    size_t count;
} rule_set_t;

/* `given` as ctl_read_document takes it, or the name of a file. */
MUST_USE bool rule_set_of_document(const char *given, rule_set_t *out, error_t *err);
/* `list` is what RULE list answers. */
MUST_USE bool rule_set_of_list(bytes_t list, rule_set_t *out, error_t *err);
void rule_set_free(rule_set_t *set);

/* True when every queue of `a` is one of `b`. */
bool rule_targets_within(const rule_row_t *a, const rule_row_t *b);

#endif
