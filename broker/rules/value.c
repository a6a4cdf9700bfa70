/* value.c: makes numbers comparable, and scalars hashable. */
#include "broker/rules/value.h"

#include "proto/json.h"

#define FNV_OFFSET UINT64_C(0xcbf29ce484222325)
#define FNV_PRIME UINT64_C(0x100000001b3)
#define TWO_TO_63 9223372036854775808.0
#define TWO_TO_64 18446744073709551616.0

static value_t of_double(double v)
{
    value_t out = {.type = VALUE_DOUBLE};
    double positive_zero = v + 0.0; /* -0 equals 0 */
    memcpy(&out.bits, &positive_zero, sizeof out.bits);
    return out;
}

/* Rounding up to 2^64 (or 2^63) is no way back, and to cast it back would be undefined. */
static value_t of_uint(uint64_t v)
{
    double d = (double)v;
    if (d < TWO_TO_64 && (uint64_t)d == v)
        return of_double(d);
    return (value_t){.type = VALUE_UINT, .bits = v};
}

static value_t of_int(int64_t v)
{
    double d = (double)v;
    if (d < TWO_TO_63 && (int64_t)d == v)
        return of_double(d);
    return (value_t){.type = VALUE_INT, .bits = (uint64_t)v};
}

value_t value_of(const mp_token_t *token)
{
    switch (token->type) {
    case MP_NIL:
        return (value_t){.type = VALUE_NULL};
    case MP_BOOL:
        return (value_t){.type = token->boolean ? VALUE_TRUE : VALUE_FALSE};
    case MP_UINT:
        return of_uint(token->u64);
    case MP_INT:
        return of_int(token->i64);
    case MP_FLOAT:
        return of_double(token->f64);
    case MP_STR:
        return (value_t){.type = VALUE_STRING, .text = token->bytes};
    case MP_EXT:
        if (token->ext_type == JSON_EXT_DECIMAL)
            return (value_t){.type = VALUE_DECIMAL, .text = token->bytes};
        break;
    case MP_BIN:
    case MP_ARRAY:
    case MP_MAP:
        break;
    }
    return (value_t){.type = VALUE_OTHER};
}

bool value_eq(const value_t *a, const value_t *b)
{
    if (a->type != b->type || a->type == VALUE_OTHER)
        return false;
    return a->bits == b->bits && bytes_eq(a->text, b->text);
}

static uint64_t mix(uint64_t hash, const void *data, size_t len)
{
    const uint8_t *p = data;
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ p[i]) * FNV_PRIME;
    return hash;
}

uint64_t value_hash(const value_t *v, uint64_t salt)
{
    uint64_t hash = mix(FNV_OFFSET, &salt, sizeof salt);
    uint64_t head[2] = {(uint64_t)v->type, v->bits};
    hash = mix(hash, head, sizeof head);
    hash = mix(hash, v->text.data, v->text.len);
    return hash ^ (hash >> 32);
}
