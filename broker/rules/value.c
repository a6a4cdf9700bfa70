/* value.c: makes numbers comparable, and scalars hashable. */
#include "broker/rules/value.h"

#include <stdio.h>

#include "proto/decimal.h"
#include "proto/json.h"

#define DIGITS_MAX DECIMAL_DIGITS_MAX
#define INTEGER_DIGITS_MAX 310 /* the greatest double has 309 */
#define EXPONENT_MAX 400       /* beyond it no double is neither zero nor infinite */
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

/* -- numbers that came as text ------------------------------------------------------------------------ */
typedef struct {
    decimal_t decimal;
    unsigned digits;   /* significant ones so far, trailing zeros not counted */
    int pending_zeros; /* zeros that count only when another digit follows */
    bool is_negative, is_behind_point;
} scan_t;

static bool scan_digit(scan_t *s, unsigned digit)
{
    s->decimal.exponent -= s->is_behind_point;
    if (digit == 0) {
        s->pending_zeros += s->digits > 0;
        return true;
    }
    for (; s->pending_zeros > 0; s->pending_zeros--, s->digits++)
        s->decimal.digits *= s->digits < DIGITS_MAX ? 10 : 1;
    if (++s->digits > DIGITS_MAX)
        return false;
    s->decimal.digits = s->decimal.digits * 10 + digit;
    return true;
}

static bool scan_exponent(bytes_t text, size_t at, int *out)
{
    bool negative = at < text.len && text.data[at] == '-';
    int value = 0;
    at += at < text.len && (text.data[at] == '-' || text.data[at] == '+');
    for (; at < text.len; at++) {
        value = value * 10 + (text.data[at] - '0');
        if (value > 2 * EXPONENT_MAX)
            return false;
    }
    *out = negative ? -value : value;
    return true;
}

/* The double that has the very value of a JSON number; false where there is none. */
static bool double_of_text(bytes_t text, double *out)
{
    scan_t s = {0};
    int exponent = 0;
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == 'e' || c == 'E') {
            if (!scan_exponent(text, i + 1, &exponent))
                return false;
            break;
        }
        if (c == '-')
            s.is_negative = true;
        else if (c == '.')
            s.is_behind_point = true;
        else if (!scan_digit(&s, (unsigned)(c - '0')))
            return false;
    }
    s.decimal.exponent += s.pending_zeros + exponent;
    if (s.decimal.exponent > EXPONENT_MAX || s.decimal.exponent < -EXPONENT_MAX || !decimal_exact(s.decimal, out))
        return false;
    *out = s.is_negative ? -*out : *out;
    return true;
}

/* An integer too great for the others may still be a double: those have the digits that printing it gives. */
static bool double_of_integer(bytes_t text, double *out)
{
    char digits[INTEGER_DIGITS_MAX + 2];
    if (text.len > INTEGER_DIGITS_MAX || !json_number_nearest(text, out))
        return false;
    int len = snprintf(digits, sizeof digits, "%.0f", *out);
    return len > 0 && bytes_eq(bytes_from(digits, (size_t)len), text);
}

static value_t of_decimal(bytes_t text)
{
    double d;
    if (double_of_text(text, &d) || double_of_integer(text, &d))
        return of_double(d);
    return (value_t){.type = VALUE_DECIMAL, .text = text};
}

double value_double(const value_t *v)
{
    double out;
    memcpy(&out, &v->bits, sizeof out);
    return out;
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
            return of_decimal(token->bytes);
        break;
    case MP_BIN:
    case MP_ARRAY:
    case MP_MAP:
        break;
    }
    return (value_t){.type = VALUE_OTHER};
}
