/* test_histogram.c: many durations in little memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "kit/histogram.h"

static int open_histogram(void **state)
{
    *state = calloc(1, sizeof(histogram_t));
    return *state == NULL;
}

static int close_histogram(void **state)
{
    free(*state);
    return 0;
}

static void near(double value, double wanted)
{
    assert_true(value > wanted * 0.98 && value < wanted * 1.02);
}

static void parts_are_told_to_two_percent(void **state)
{
    histogram_t *h = *state;
    for (uint64_t us = 1; us <= 1000; us++)
        histogram_add(h, us * 1000);
    near(histogram_at_us(h, 0.5), 500);
    near(histogram_at_us(h, 0.99), 990);
    near(histogram_at_us(h, 0.999), 1000);
    near(histogram_at_us(h, 1), 1000);
}

static void an_empty_one_says_nothing(void **state)
{
    assert_true(histogram_at_us(*state, 0.5) == 0 && histogram_at_us(*state, 1) == 0);
    assert_int_equal(histogram_between(*state, 0, UINT64_MAX), 0);
}

static void powers_of_two_part_it_exactly(void **state)
{
    histogram_t *h = *state;
    static const uint64_t values[] = {0, 63, 64, 127, 128, 1023, 1024, 1 << 20, UINT64_C(1) << 40};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++)
        histogram_add(h, values[i]);
    assert_int_equal(histogram_between(h, 0, 64), 2);
    assert_int_equal(histogram_between(h, 64, 128), 2);
    assert_int_equal(histogram_between(h, 128, 1024), 2);
    assert_int_equal(histogram_between(h, 1024, UINT64_MAX), 3);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_histogram, close_histogram)
    const struct CMUnitTest tests[] = {
        TEST(parts_are_told_to_two_percent),
        TEST(an_empty_one_says_nothing),
        TEST(powers_of_two_part_it_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
