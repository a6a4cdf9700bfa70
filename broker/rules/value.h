/* value.h: a scalar of an event or of a pattern in the one form in which both are compared.
 *
 * Numbers compare by value, as EventBridge compares them (300 is 300.0 is 3e2, -0 is 0), while a double holds them;
 * integers beyond that compare as integers, every other number by its text. Nothing is equal across types. */
#ifndef BROKER_RULES_VALUE_H
#define BROKER_RULES_VALUE_H

#include "proto/msgpack.h"

typedef enum {
    VALUE_OTHER, /* binary, or a foreign extension: there, but equal to nothing */
    VALUE_NULL,
    VALUE_TRUE,
    VALUE_FALSE,
    VALUE_STRING,  /* text */
    VALUE_DOUBLE,  /* bits of the double */
    VALUE_UINT,    /* bits; no double holds it */
    VALUE_INT,     /* bits; no double holds it */
    VALUE_DECIMAL, /* text as it stood */
} value_type_t;

typedef struct {
    value_type_t type;
    uint64_t bits;
    bytes_t text; /* borrowed from the token */
} value_t;

/* `token` is no container. */
value_t value_of(const mp_token_t *token);
double value_double(const value_t *v); /* of a VALUE_DOUBLE */

static inline bool value_eq(const value_t *a, const value_t *b)
{
    if (a->type != b->type || a->type == VALUE_OTHER)
        return false;
    return a->bits == b->bits && bytes_eq(a->text, b->text);
}

#endif
