/* test_token_bucket.c: the promise of the bucket in every window, and what it says about waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit/token_bucket.h"

#define MS INT64_C(1000000)
#define S (1000 * MS)

static token_bucket_t made(uint32_t rate, uint32_t burst)
{
    token_bucket_t b;
    assert_true(token_bucket_init(&b, rate, burst, 0));
    return b;
}

static void the_burst_comes_at_once_and_then_the_pace(void **state)
{
    (void)state;
    token_bucket_t b = made(50, 5);
    for (int i = 0; i < 5; i++)
        assert_true(token_bucket_take(&b, 1, 0));
    assert_int_equal(token_bucket_wait_ns(&b, 1, 0), 20 * MS);
    assert_false(token_bucket_take(&b, 1, 20 * MS - 1));
    assert_true(token_bucket_take(&b, 1, 20 * MS));
}

/* Takes greedily for three seconds and looks at every window of one second. */
static void no_second_gets_more_than_rate_plus_burst(void **state)
{
    (void)state;
    static int64_t taken[400];
    for (int64_t idle = 0; idle < 2 * S; idle += 77 * MS) {
        token_bucket_t b = made(46, 4);
        int count = 0;
        for (int64_t t = idle; t < idle + 3 * S; t += MS)
            while (token_bucket_take(&b, 1, t))
                taken[count++] = t;
        assert_in_range(count, 3 * 46, 3 * 46 + 4);
        for (int i = 0; i + 50 < count; i++)
            assert_true(taken[i + 50] - taken[i] >= S);
    }
}

static void several_tokens_are_taken_together_or_not_at_all(void **state)
{
    (void)state;
    token_bucket_t b = made(10, 10);
    assert_true(token_bucket_take(&b, 7, 0));
    assert_false(token_bucket_take(&b, 4, 0));
    assert_int_equal(token_bucket_wait_ns(&b, 4, 0), 100 * MS);
    assert_true(token_bucket_take(&b, 3, 0));
    assert_true(token_bucket_take(&b, 10, S));
}

static void idle_time_fills_no_more_than_the_burst(void **state)
{
    (void)state;
    token_bucket_t b = made(50, 5);
    int count = 0;
    while (token_bucket_take(&b, 1, 3600 * S))
        count++;
    assert_int_equal(count, 5);
}

static void a_rate_that_does_not_divide_a_second_is_never_exceeded(void **state)
{
    (void)state;
    token_bucket_t b = made(700001, 1);
    int64_t now = 0;
    for (int i = 0; i < 700001; i++) {
        assert_true(token_bucket_take(&b, 1, now));
        now += token_bucket_wait_ns(&b, 1, now);
    }
    assert_true(now >= S);
}

static void a_pause_is_kept_and_ends_without_a_burst(void **state)
{
    (void)state;
    token_bucket_t b = made(10, 5);
    token_bucket_pause(&b, 2 * S, 0);
    assert_int_equal(token_bucket_wait_ns(&b, 1, 0), 2 * S);
    assert_true(token_bucket_take(&b, 1, 2 * S));
    assert_false(token_bucket_take(&b, 1, 2 * S));
    token_bucket_pause(&b, 0, 2 * S); /* never shortens a wait */
    assert_int_equal(token_bucket_wait_ns(&b, 1, 2 * S), 100 * MS);
}

static void nothing_and_too_much_are_refused(void **state)
{
    (void)state;
    token_bucket_t b;
    assert_false(token_bucket_init(&b, 0, 1, 0));
    assert_false(token_bucket_init(&b, 1, 0, 0));
    assert_false(token_bucket_init(&b, TOKEN_BUCKET_RATE_MAX + 1, 1, 0));
    assert_false(token_bucket_init(&b, 1, TOKEN_BUCKET_BURST_MAX + 1, 0));
}

static void a_pace_slower_than_a_token_a_second_is_kept_too(void **state)
{
    (void)state;
    token_bucket_t b;
    assert_true(token_bucket_init_slow(&b, 60 * S, 2, 0));
    assert_true(token_bucket_take(&b, 2, 0));
    assert_int_equal(token_bucket_wait_ns(&b, 1, 0), 60 * S);
    assert_false(token_bucket_init_slow(&b, TOKEN_BUCKET_INTERVAL_MAX_NS + 1, 1, 0));
    assert_false(token_bucket_init_slow(&b, 0, 1, 0));
}

static void what_is_available_can_be_taken_and_no_more(void **state)
{
    (void)state;
    token_bucket_t b = made(10, 5);
    for (int64_t t = 0; t < 3 * S; t += 70 * MS) {
        uint32_t there = token_bucket_available(&b, t);
        assert_false(token_bucket_take(&b, there + 1, t));
        assert_true(!there || token_bucket_take(&b, there, t));
        assert_int_equal(token_bucket_available(&b, t), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_burst_comes_at_once_and_then_the_pace),
        cmocka_unit_test(no_second_gets_more_than_rate_plus_burst),
        cmocka_unit_test(several_tokens_are_taken_together_or_not_at_all),
        cmocka_unit_test(idle_time_fills_no_more_than_the_burst),
        cmocka_unit_test(a_rate_that_does_not_divide_a_second_is_never_exceeded),
        cmocka_unit_test(a_pause_is_kept_and_ends_without_a_burst),
        cmocka_unit_test(nothing_and_too_much_are_refused),
        cmocka_unit_test(a_pace_slower_than_a_token_a_second_is_kept_too),
        cmocka_unit_test(what_is_available_can_be_taken_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
