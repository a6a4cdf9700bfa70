/* json_number.c: which of integer, double or decimal text holds a JSON number exactly. */
#include <stdio.h>
#include <stdlib.h>

#include "proto/decimal.h"
#include "proto/json.h"
#include "proto/json_internal.h"

#define SAFE_DIGITS 19                           /* as many never overflow 64 bits */
#define EXACT_LIMIT UINT64_C(100000000000000000) /* 10^DECIMAL_DIGITS_MAX */
#define EXPONENT_LIMIT (INT64_C(1) << 40)        /* beyond what any bounded text can shift back */
#define EXPONENT_FAR 100000                      /* out of range for any double, in an int */
#define NEAREST_DIGITS 800                       /* past 767 a digit only matters by not being zero */

/* A number's text in its parts; none of them holds a sign but `negative` and `exponent`. */
typedef struct {
    bytes_t text;
    size_t pos;
    bool negative;
    bool integer;    /* neither fraction nor exponent */
    size_t whole_at; /* the digits before the point */
    size_t whole_len;
    size_t fraction_at;
    size_t fraction_len;
    uint64_t digits; /* all digits as one number, if there are at most SAFE_DIGITS */
    int64_t exponent;
} scan_t;

static inline bool is_digit(uint8_t c)
{
    return (uint8_t)(c - '0') <= 9;
}

static inline uint8_t peek(const scan_t *s)
{
    return s->pos < s->text.len ? s->text.data[s->pos] : 0;
}

/* Takes digits into `value`, wrapping; returns how many. */
static inline size_t take_digits(scan_t *s, uint64_t *value)
{
    const uint8_t *from = s->text.data + s->pos, *p = from, *end = s->text.data + s->text.len;
    uint64_t v = *value;
    for (; p < end && is_digit(*p); p++)
        v = 10 * v + (uint64_t)(*p - '0');
    *value = v;
    s->pos += (size_t)(p - from);
    return (size_t)(p - from);
}

static bool scan_exponent(scan_t *s)
{
    s->pos++;
    bool negative = peek(s) == '-';
    if (negative || peek(s) == '+')
        s->pos++;
    if (!is_digit(peek(s)))
        return false;
    for (; is_digit(peek(s)); s->pos++)
        if (s->exponent < EXPONENT_LIMIT)
            s->exponent = 10 * s->exponent + (peek(s) - '0');
    if (negative)
        s->exponent = -s->exponent;
    return true;
}

/* number = [ "-" ] ( "0" / 1-9 digits ) [ "." digits ] [ e [ sign ] digits ] */
static bool scan(scan_t *s)
{
    s->negative = peek(s) == '-';
    s->pos += s->negative;
    s->whole_at = s->pos;
    if (peek(s) == '0')
        s->pos++;
    else if (take_digits(s, &s->digits) == 0)
        return false;
    s->whole_len = s->pos - s->whole_at;
    s->integer = true;
    if (peek(s) == '.') {
        s->fraction_at = ++s->pos;
        s->fraction_len = take_digits(s, &s->digits);
        s->integer = false;
        if (s->fraction_len == 0)
            return false;
    }
    if ((peek(s) | 0x20) != 'e')
        return true;
    s->integer = false;
    return scan_exponent(s);
}

/* The digits of a 20-digit integer; false when 64 bits do not hold them. */
static bool wide_digits(const scan_t *s, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < s->whole_len; i++) {
        uint64_t digit = (uint64_t)(s->text.data[s->whole_at + i] - '0');
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, digit, &v))
            return false;
    }
    *out = v;
    return true;
}

static void integer_choose(const scan_t *s, json_number_t *out)
{
    uint64_t v = s->digits;
    out->type = JSON_DECIMAL;
    if (s->whole_len > SAFE_DIGITS && (s->whole_len > SAFE_DIGITS + 1 || !wide_digits(s, &v)))
        return;
    if (!s->negative) {
        out->type = JSON_UINT;
        out->u64 = v;
    } else if (v == 0) { /* no integer keeps the sign */
        out->type = JSON_DOUBLE;
        out->f64 = -0.0;
    } else if (v <= (uint64_t)1 << 63) {
        out->type = JSON_INT;
        out->i64 = (int64_t)(0 - v);
    }
}

/* Digits as they come, without the zeros before and after them. */
typedef struct {
    uint64_t value;
    unsigned count;
    uint64_t zeros; /* seen since the last digit above zero: they count once another follows */
} gather_t;

/* False once there are more digits than any double's shortest text has. */
static bool gather(gather_t *g, const uint8_t *digits, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (digits[i] == '0') {
            g->zeros += g->count > 0;
            continue;
        }
        if (g->count + g->zeros + 1 > DECIMAL_DIGITS_MAX)
            return false;
        for (; g->zeros > 0; g->zeros--, g->count++)
            g->value *= 10;
        g->value = 10 * g->value + (uint64_t)(digits[i] - '0');
        g->count++;
    }
    return true;
}

static int exponent_clamped(int64_t e)
{
    return e > EXPONENT_FAR ? EXPONENT_FAR : e < -EXPONENT_FAR ? -EXPONENT_FAR : (int)e;
}

/* The number's absolute value in at most DECIMAL_DIGITS_MAX digits, if it has no more. */
static bool decimal_from(const scan_t *s, decimal_t *out)
{
    int64_t exponent = s->exponent - (int64_t)s->fraction_len;
    if (s->whole_len + s->fraction_len <= SAFE_DIGITS && s->digits < EXACT_LIMIT) {
        *out = (decimal_t){s->digits, exponent_clamped(exponent)};
        return true;
    }
    gather_t g = {0};
    if (!gather(&g, s->text.data + s->whole_at, s->whole_len) ||
        !gather(&g, s->text.data + s->fraction_at, s->fraction_len))
        return false;
    *out = (decimal_t){g.value, exponent_clamped(exponent + (int64_t)g.zeros)};
    return true;
}

bool json_number_read(bytes_t text, json_number_t *out)
{
    scan_t s = {.text = text};
    bool good = scan(&s);
    out->len = s.pos;
    if (!good)
        return false;
    if (s.integer) {
        integer_choose(&s, out);
        return true;
    }
    decimal_t d;
    out->type = JSON_DECIMAL;
    if (decimal_from(&s, &d) && decimal_exact(d, &out->f64)) {
        out->type = JSON_DOUBLE;
        out->f64 = s.negative ? -out->f64 : out->f64;
    }
    return true;
}

/* Up to NEAREST_DIGITS of the digits that count; returns how many were taken. */
static size_t significant(const scan_t *s, char out[NEAREST_DIGITS + 1], int64_t *exponent)
{
    size_t n = 0, total = s->whole_len + s->fraction_len;
    *exponent = s->exponent - (int64_t)s->fraction_len;
    for (size_t i = 0; i < total; i++) {
        size_t at = i < s->whole_len ? s->whole_at + i : s->fraction_at + i - s->whole_len;
        char c = (char)s->text.data[at];
        if (n == 0 && c == '0')
            continue;
        if (n < NEAREST_DIGITS)
            out[n++] = c;
        else {
            (*exponent)++;
            if (c != '0')
                out[NEAREST_DIGITS - 1] = '1'; /* stands for "and a little more" */
        }
    }
    return n;
}

bool json_number_nearest(bytes_t text, double *out)
{
    scan_t s = {.text = text};
    if (!scan(&s) || s.pos != text.len)
        return false;
    char plain[NEAREST_DIGITS + 32] = "0";
    int64_t exponent;
    size_t n = significant(&s, plain, &exponent);
    /* Without a point in it, the text means the same to strtod in every locale. */
    if (n > 0)
        (void)snprintf(plain + n, sizeof plain - n, "e%d", exponent_clamped(exponent));
    double v = strtod(plain, NULL);
    *out = s.negative ? -v : v;
    return true;
}
