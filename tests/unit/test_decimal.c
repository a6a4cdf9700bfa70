/* test_decimal.c: decimals to doubles and back, held against glibc's strtod and printf. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/decimal.h"

#define ROUNDS 300000

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void any_decimal_becomes_the_nearest_double(void **state)
{
    (void)state;
    uint64_t seed = 88172645463325252;
    for (int i = 0; i < ROUNDS; i++) {
        decimal_t d = {random_next(&seed) % UINT64_C(10000000000000000000) >> random_next(&seed) % 60,
                       (int)(random_next(&seed) % 700) - 360};
        char text[48];
        (void)snprintf(text, sizeof text, "%" PRIu64 "e%d", d.digits, d.exponent);
        if (decimal_to_double(d) != strtod(text, NULL))
            fail_msg("%s became %a", text, decimal_to_double(d));
    }
}

static void a_decimal_half_way_between_two_doubles_goes_to_the_even_one(void **state)
{
    (void)state;
    assert_true(decimal_to_double((decimal_t){9007199254740993, 0}) == 9007199254740992.0);
    assert_true(decimal_to_double((decimal_t){9007199254740995, 0}) == 9007199254740996.0);
    assert_true(decimal_to_double((decimal_t){90071992547409930, -1}) == 9007199254740992.0);
    assert_true(decimal_to_double((decimal_t){9007199254740993, 23}) == 9007199254740993e23);
}

static void the_ends_of_the_range_are_zero_and_infinity(void **state)
{
    (void)state;
    assert_true(decimal_to_double((decimal_t){0, 1000}) == 0);
    assert_true(decimal_to_double((decimal_t){1, -100000}) == 0);
    assert_true(decimal_to_double((decimal_t){24703282292062327, -340}) == 0);
    assert_true(decimal_to_double((decimal_t){24703282292062328, -340}) == 5e-324);
    assert_true(decimal_to_double((decimal_t){17976931348623157, 292}) == 1.7976931348623157e308);
    assert_true(isinf(decimal_to_double((decimal_t){17976931348623159, 292})));
    assert_true(isinf(decimal_to_double((decimal_t){1, 100000})));
}

/* Fewer digits than the shortest must not read back; more are not needed. */
static void no_shorter_decimal_reads_back(void **state)
{
    (void)state;
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t bits = random_next(&seed) & ~((uint64_t)1 << 63);
        double v;
        char text[48];
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v) || v == 0)
            continue;
        decimal_t d = decimal_shortest(v);
        assert_true(decimal_to_double(d) == v && d.digits % 10 != 0);
        int count = snprintf(text, sizeof text, "%" PRIu64, d.digits);
        assert_in_range(count, 1, DECIMAL_DIGITS_MAX);
        (void)snprintf(text, sizeof text, "%.*e", count > 1 ? count - 2 : 0, v);
        assert_true(count == 1 || strtod(text, NULL) != v);
    }
}

static void only_a_double_with_the_very_value_is_exact(void **state)
{
    (void)state;
    double v;
    assert_true(decimal_exact((decimal_t){1, -1}, &v) && v == 0.1);
    assert_true(decimal_exact((decimal_t){1000, -4}, &v) && v == 0.1);
    assert_true(decimal_exact((decimal_t){0, 99999}, &v) && v == 0);
    assert_true(decimal_exact((decimal_t){30000000000000004, -17}, &v) && v == 0.1 + 0.2);
    assert_false(decimal_exact((decimal_t){10000000000000001, -17}, &v));
    assert_false(decimal_exact((decimal_t){49, -325}, &v));
    assert_false(decimal_exact((decimal_t){1, 309}, &v));
    assert_false(decimal_exact((decimal_t){1, -400}, &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_decimal_becomes_the_nearest_double),
        cmocka_unit_test(a_decimal_half_way_between_two_doubles_goes_to_the_even_one),
        cmocka_unit_test(the_ends_of_the_range_are_zero_and_infinity),
        cmocka_unit_test(no_shorter_decimal_reads_back),
        cmocka_unit_test(only_a_double_with_the_very_value_is_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
