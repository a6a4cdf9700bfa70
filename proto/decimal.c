/* decimal.c: decimal numbers to doubles (Eisel-Lemire) and doubles to their shortest decimal (Schubfach). */
#include "proto/decimal.h"

#include <math.h>
#include <string.h>

#include "proto/decimal_powers.h"

#define FRACTION_BITS 52
#define FRACTION_MASK ((UINT64_C(1) << FRACTION_BITS) - 1)
#define HIDDEN_BIT (UINT64_C(1) << FRACTION_BITS)
#define EXPONENT_BIAS 1023
#define EXPONENT_INFINITE 0x7FF
#define KEPT_BITS (FRACTION_BITS + 3) /* fraction, hidden bit, and two to round by */

#define CLINGER_DIGITS_MAX (UINT64_C(1) << 53) /* up to here digits and powers are doubles themselves, */
#define CLINGER_EXPONENT_MAX 22                /* so that one rounding decides */

static const double powers_of_ten[CLINGER_EXPONENT_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

typedef unsigned __int128 u128;

static uint64_t double_bits(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    return bits;
}

static double double_from(uint64_t fraction, int exponent)
{
    uint64_t bits = ((uint64_t)exponent << FRACTION_BITS) | (fraction & FRACTION_MASK);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

/* floor(log2(10^k)), floor(log10(2^q)) and floor(log10(3/4 * 2^q)), exact over the range of doubles. */
static int log2_of_pow10(int k)
{
    return (k * 1741647) >> 19;
}

static int log10_of_pow2(int q)
{
    return (q * 1262611) >> 22;
}

static int log10_of_three_quarters_pow2(int q)
{
    return (q * 1262611 - 524031) >> 22;
}

/* -- to double ---------------------------------------------------------------------------------- */

/* The top 128 bits of w * 10^q, of which as many are right as rounding needs. */
static u128 scaled(uint64_t w, int q)
{
    const uint64_t unsure = UINT64_MAX >> KEPT_BITS;
    decimal_power_t power = decimal_power(q);
    u128 product = (u128)w * power.hi;
    if (((uint64_t)(product >> 64) & unsure) == unsure)
        product += (uint64_t)((u128)w * power.lo >> 64);
    return product;
}

static double rounded_subnormal(uint64_t mantissa, int exponent)
{
    int shift = 1 - exponent;
    if (shift >= 64)
        return 0;
    mantissa >>= shift;
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    return double_from(mantissa, mantissa < HIDDEN_BIT ? 0 : 1);
}

static double eisel_lemire(uint64_t digits, int q)
{
    int zeros = __builtin_clzll(digits);
    u128 product = scaled(digits << zeros, q);
    uint64_t hi = (uint64_t)(product >> 64), lo = (uint64_t)product;
    int top = (int)(hi >> 63);
    int drop = top + 64 - KEPT_BITS;
    uint64_t mantissa = hi >> drop;
    int exponent = log2_of_pow10(q) + 63 + top - zeros + EXPONENT_BIAS;
    if (exponent <= 0)
        return rounded_subnormal(mantissa, exponent);
    /* Exactly between two doubles, which only happens for small q: to the even one. */
    if (lo <= 1 && q >= -4 && q <= 23 && (mantissa & 3) == 1 && mantissa << drop == hi)
        mantissa &= ~UINT64_C(1);
    mantissa = (mantissa + (mantissa & 1)) >> 1;
    if (mantissa >= 2 * HIDDEN_BIT) {
        mantissa = HIDDEN_BIT;
        exponent++;
    }
    return exponent >= EXPONENT_INFINITE ? HUGE_VAL : double_from(mantissa, exponent);
}

double decimal_to_double(decimal_t d)
{
    if (d.digits == 0 || d.exponent < DECIMAL_POWER_FIRST)
        return 0;
    if (d.exponent > 308)
        return HUGE_VAL;
    if (d.digits <= CLINGER_DIGITS_MAX && d.exponent >= -CLINGER_EXPONENT_MAX && d.exponent <= CLINGER_EXPONENT_MAX)
        return d.exponent < 0 ? (double)d.digits / powers_of_ten[-d.exponent]
                              : (double)d.digits * powers_of_ten[d.exponent];
    return eisel_lemire(d.digits, d.exponent);
}

/* -- to decimal --------------------------------------------------------------------------------- */

/* floor(g * cp / 2^128), its last bit set when anything was cut off. */
static uint64_t round_to_odd(decimal_power_t g, uint64_t cp)
{
    u128 low = (u128)g.lo * cp;
    u128 sum = (u128)g.hi * cp + (uint64_t)(low >> 64);
    return (uint64_t)(sum >> 64) | ((uint64_t)sum > 1);
}

/* Schubfach wants every power that is not exact rounded up. */
static decimal_power_t power_rounded_up(int k)
{
    decimal_power_t g = decimal_power(k);
    if (k > DECIMAL_POWER_EXACT_LAST) {
        g.lo++;
        g.hi += g.lo == 0;
    }
    return g;
}

static decimal_t stripped(decimal_t d)
{
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

/* Of two neighbouring candidates the one that reads back; of two that do, the nearer; ties to even. */
static uint64_t nearer(uint64_t s, uint64_t vb, uint64_t lower, uint64_t upper)
{
    bool down = lower <= 4 * s;
    bool up = 4 * s + 4 <= upper;
    if (down != up)
        return s + up;
    uint64_t middle = 4 * s + 2;
    return s + (vb > middle || (vb == middle && (s & 1) != 0));
}

/* c * 2^q; `narrow` when the double below is only half as far as the one above. */
static decimal_t schubfach(uint64_t c, int q, bool narrow)
{
    uint64_t odd = c & 1; /* an odd double does not own the borders of its interval */
    int k = narrow ? log10_of_three_quarters_pow2(q) : log10_of_pow2(q);
    int h = q + log2_of_pow10(-k) + 1;
    decimal_power_t g = power_rounded_up(-k);
    uint64_t vb = round_to_odd(g, (4 * c) << h);
    uint64_t lower = round_to_odd(g, (4 * c - 2 + narrow) << h) + odd;
    uint64_t upper = round_to_odd(g, (4 * c + 2) << h) - odd;
    uint64_t s = vb / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool down = lower <= 40 * tens;
        bool up = 40 * tens + 40 <= upper;
        if (down != up)
            return (decimal_t){tens + up, k + 1};
    }
    return (decimal_t){nearer(s, vb, lower, upper), k};
}

decimal_t decimal_shortest(double v)
{
    uint64_t bits = double_bits(v);
    uint64_t fraction = bits & FRACTION_MASK;
    int exponent = (int)(bits >> FRACTION_BITS) & EXPONENT_INFINITE;
    if (v == 0)
        return (decimal_t){0, 0};
    if (v < (double)CLINGER_DIGITS_MAX && v == (double)(uint64_t)v)
        return stripped((decimal_t){(uint64_t)v, 0});
    if (exponent == 0)
        return stripped(schubfach(fraction, 1 - EXPONENT_BIAS - FRACTION_BITS, false));
    bool narrow = fraction == 0 && exponent > 1;
    return stripped(schubfach(fraction | HIDDEN_BIT, exponent - EXPONENT_BIAS - FRACTION_BITS, narrow));
}

/* Two decimals of at most 15 digits never read as the same normal double, so such a one needs no proof. */
static bool surely_shortest(uint64_t digits, double v)
{
    return digits < UINT64_C(1000000000000000) && v >= 1e-307 && v <= 1e308;
}

bool decimal_exact(decimal_t d, double *out)
{
    double v = decimal_to_double(d);
    *out = v;
    if (d.digits == 0 || surely_shortest(d.digits, v))
        return true;
    if (v == 0 || isinf(v))
        return false;
    decimal_t own = stripped(d), shortest = decimal_shortest(v);
    return own.digits == shortest.digits && own.exponent == shortest.exponent;
}

/* -- text --------------------------------------------------------------------------------------- */

static unsigned digits_put(uint64_t v, char out[20])
{
    char reversed[20];
    unsigned n = 0;
    do
        reversed[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0);
    for (unsigned i = 0; i < n; i++)
        out[i] = reversed[n - 1 - i];
    return n;
}

static unsigned fill(char *out, char c, int n)
{
    for (int i = 0; i < n; i++)
        out[i] = c;
    return n > 0 ? (unsigned)n : 0;
}

static unsigned copy(char *out, const char *from, int n)
{
    memcpy(out, from, (size_t)n);
    return (unsigned)n;
}

/* d.ddde+XX */
static unsigned format_scientific(const char *digits, int count, int point, char *out)
{
    unsigned n = copy(out, digits, 1);
    if (count > 1) {
        out[n++] = '.';
        n += copy(out + n, digits + 1, count - 1);
    }
    int e = point - 1;
    out[n++] = 'e';
    out[n++] = e < 0 ? '-' : '+';
    e = e < 0 ? -e : e;
    if (e < 10)
        out[n++] = '0';
    return n + digits_put((uint64_t)e, out + n);
}

/* `point`: how many digits stand before the decimal point; may be negative or beyond the digits. */
static unsigned format_plain(const char *digits, int count, int point, char *out)
{
    unsigned n = 0;
    if (point <= 0) {
        n += copy(out, "0.", 2);
        n += fill(out + n, '0', -point);
        return n + copy(out + n, digits, count);
    }
    int whole = point < count ? point : count;
    n += copy(out, digits, whole);
    n += fill(out + n, '0', point - count);
    out[n++] = '.';
    if (count == whole)
        out[n++] = '0';
    return n + copy(out + n, digits + whole, count - whole);
}

unsigned decimal_format(double v, char out[DECIMAL_TEXT_BYTES])
{
    char digits[20];
    unsigned sign = signbit(v) ? copy(out, "-", 1) : 0;
    decimal_t d = decimal_shortest(fabs(v));
    int count = (int)digits_put(d.digits, digits);
    int point = count + d.exponent;
    if (d.digits == 0)
        return sign + copy(out + sign, "0.0", 3);
    if (point < -3 || point > 16) /* where Python's repr changes over */
        return sign + format_scientific(digits, count, point, out + sign);
    return sign + format_plain(digits, count, point, out + sign);
}
