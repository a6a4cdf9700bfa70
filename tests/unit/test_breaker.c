/* test_breaker.c: when the breaker opens, whom it lets probe, and how it closes; time is a number. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit/breaker.h"

#define MS INT64_C(1000)
#define S (1000 * MS)
#define CHANCE_MAX 0.999999

static breaker_t made(breaker_options_t options)
{
    breaker_t b;
    assert_true(breaker_init(&b, &options, 0));
    return b;
}

static const breaker_options_t usual = {
    .window_us = 10 * S, .minimum_calls = 10, .open_us = S, .open_max_us = 8 * S, .permit_us = 5 * S};

/* A call of `took_us` that ends at now_us. */
static void call(breaker_t *b, breaker_outcome_t outcome, int64_t took_us, int64_t now_us)
{
    breaker_permit_t permit;
    assert_true(breaker_admit(b, now_us - took_us, &permit));
    breaker_report(b, &permit, outcome, now_us, CHANCE_MAX);
}

static void trip(breaker_t *b, int64_t now_us)
{
    for (int i = 0; i < 10; i++)
        call(b, BREAKER_BAD, 0, now_us);
    assert_int_equal(breaker_state(b), BREAKER_OPEN);
}

static bool admits(breaker_t *b, int64_t now_us)
{
    breaker_permit_t permit;
    return breaker_admit(b, now_us, &permit);
}

static void few_calls_prove_nothing(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    for (int i = 0; i < 9; i++)
        call(&b, BREAKER_BAD, 0, S);
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
    call(&b, BREAKER_BAD, 0, S);
    assert_int_equal(breaker_state(&b), BREAKER_OPEN);
    assert_false(admits(&b, S));
}

static void half_of_the_calls_failing_opens_it_and_less_does_not(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    for (int i = 0; i < 50; i++) {
        call(&b, BREAKER_GOOD, 0, S);
        if (i % 2)
            call(&b, BREAKER_BAD, 0, S);
    }
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
    for (int i = 0; i < 25; i++)
        call(&b, BREAKER_BAD, 0, S);
    assert_int_equal(breaker_state(&b), BREAKER_OPEN);
}

static void slow_calls_open_it_though_they_succeed(void **state)
{
    (void)state;
    breaker_options_t options = usual;
    options.slow_us = 100 * MS;
    breaker_t b = made(options);
    for (int i = 0; i < 2; i++)
        call(&b, BREAKER_GOOD, 100 * MS, S); /* at the bound is not slow */
    for (int i = 0; i < 7; i++)
        call(&b, BREAKER_GOOD, 101 * MS, S);
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
    call(&b, BREAKER_GOOD, 101 * MS, S);
    assert_int_equal(breaker_state(&b), BREAKER_OPEN);
}

static void what_is_older_than_the_window_is_forgotten(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    for (int i = 0; i < 9; i++)
        call(&b, BREAKER_BAD, 0, S);
    call(&b, BREAKER_BAD, 0, 12 * S);
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
    for (int i = 0; i < 9; i++)
        call(&b, BREAKER_BAD, 0, 16 * S);
    assert_int_equal(breaker_state(&b), BREAKER_OPEN);
}

static void what_the_caller_did_is_no_sign_of_the_backend(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    for (int i = 0; i < 1000; i++)
        call(&b, BREAKER_IGNORED, 0, S);
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
}

static void one_probe_at_a_time_is_let_through(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    breaker_permit_t permit;
    trip(&b, S);
    int64_t later = S + breaker_retry_after_us(&b, S);
    assert_false(admits(&b, later - 1));
    assert_true(breaker_admit(&b, later, &permit));
    for (int i = 0; i < 100; i++)
        assert_false(admits(&b, later));
    assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
    breaker_report(&b, &permit, BREAKER_GOOD, later, 0);
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
    call(&b, BREAKER_BAD, 0, later); /* with an empty window */
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
}

static void as_many_good_probes_as_asked_for_close_it(void **state)
{
    (void)state;
    breaker_options_t options = usual;
    options.probes = 3;
    breaker_t b = made(options);
    trip(&b, S);
    for (int i = 0; i < 3; i++) {
        assert_int_not_equal(breaker_state(&b), BREAKER_CLOSED);
        call(&b, BREAKER_GOOD, 0, 3 * S);
    }
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
}

static void a_bad_or_slow_probe_opens_it_for_longer_up_to_the_bound(void **state)
{
    (void)state;
    breaker_options_t options = usual;
    options.slow_us = 100 * MS;
    breaker_t b = made(options);
    int64_t now = S;
    trip(&b, now);
    for (int64_t expected = S; expected <= 16 * S; expected *= 2) {
        int64_t wait = breaker_retry_after_us(&b, now), bound = expected < 8 * S ? expected : 8 * S;
        assert_in_range(wait, bound - bound / 100, bound);
        now += wait;
        call(&b, expected % 4 ? BREAKER_BAD : BREAKER_GOOD, expected % 4 ? 0 : 101 * MS, now + 101 * MS);
        now += 101 * MS;
        assert_int_equal(breaker_state(&b), BREAKER_OPEN);
    }
}

static void the_open_time_is_between_half_and_all_of_it(void **state)
{
    (void)state;
    for (double chance = 0; chance < 1; chance += 0.125) {
        breaker_t b = made(usual);
        breaker_permit_t permit;
        for (int i = 0; i < 10; i++) {
            assert_true(breaker_admit(&b, S, &permit));
            breaker_report(&b, &permit, BREAKER_BAD, S, chance);
        }
        assert_int_equal(breaker_retry_after_us(&b, S), S / 2 + (int64_t)(chance * (double)(S / 2)));
    }
}

static void a_probe_that_never_reports_gives_its_permit_back(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    breaker_permit_t lost, next;
    trip(&b, S);
    assert_true(breaker_admit(&b, 3 * S, &lost));
    assert_false(admits(&b, 8 * S - 1));
    assert_true(breaker_admit(&b, 8 * S, &next));
    breaker_report(&b, &lost, BREAKER_BAD, 8 * S, 0); /* too late to matter */
    assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
    assert_false(admits(&b, 8 * S));
    breaker_report(&b, &next, BREAKER_GOOD, 8 * S, 0);
    assert_int_equal(breaker_state(&b), BREAKER_CLOSED);
}

static void a_probe_that_was_taken_back_frees_its_permit_at_once(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    trip(&b, S);
    call(&b, BREAKER_IGNORED, 0, 3 * S);
    assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
    assert_true(admits(&b, 3 * S));
}

static void calls_from_before_the_opening_do_not_count_as_probes(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    breaker_permit_t old;
    assert_true(breaker_admit(&b, S, &old));
    trip(&b, S);
    breaker_report(&b, &old, BREAKER_GOOD, S, 0);
    assert_int_equal(breaker_state(&b), BREAKER_OPEN);
    assert_true(admits(&b, 3 * S));
    breaker_report(&b, &old, BREAKER_GOOD, 3 * S, 0);
    assert_int_equal(breaker_state(&b), BREAKER_HALF_OPEN);
}

static void after_a_good_while_the_open_time_is_short_again(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    trip(&b, S);
    call(&b, BREAKER_BAD, 0, 3 * S);
    call(&b, BREAKER_GOOD, 0, 9 * S);
    trip(&b, 9 * S); /* at once: a third in a row */
    assert_in_range(breaker_retry_after_us(&b, 9 * S), 3 * S, 4 * S);
    call(&b, BREAKER_GOOD, 0, 20 * S);
    trip(&b, 31 * S);
    assert_in_range(breaker_retry_after_us(&b, 31 * S), S / 2, S);
}

static void an_isolated_one_refuses_until_released(void **state)
{
    (void)state;
    breaker_t b = made(usual);
    breaker_isolate(&b);
    assert_false(admits(&b, 1000 * S));
    assert_true(breaker_retry_after_us(&b, S) > 0);
    assert_string_equal(breaker_state_name(breaker_state(&b)), "isolated");
    breaker_release(&b, 1000 * S);
    assert_true(admits(&b, 1000 * S));
}

static void senseless_options_are_refused(void **state)
{
    (void)state;
    breaker_t b;
    assert_false(breaker_init(&b, &(breaker_options_t){.failure_ratio = 1.1}, 0));
    assert_false(breaker_init(&b, &(breaker_options_t){.slow_ratio = -0.1}, 0));
    assert_false(breaker_init(&b, &(breaker_options_t){.open_us = -1}, 0));
    assert_true(breaker_init(&b, &(breaker_options_t){0}, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(few_calls_prove_nothing),
        cmocka_unit_test(half_of_the_calls_failing_opens_it_and_less_does_not),
        cmocka_unit_test(slow_calls_open_it_though_they_succeed),
        cmocka_unit_test(what_is_older_than_the_window_is_forgotten),
        cmocka_unit_test(what_the_caller_did_is_no_sign_of_the_backend),
        cmocka_unit_test(one_probe_at_a_time_is_let_through),
        cmocka_unit_test(as_many_good_probes_as_asked_for_close_it),
        cmocka_unit_test(a_bad_or_slow_probe_opens_it_for_longer_up_to_the_bound),
        cmocka_unit_test(the_open_time_is_between_half_and_all_of_it),
        cmocka_unit_test(a_probe_that_never_reports_gives_its_permit_back),
        cmocka_unit_test(a_probe_that_was_taken_back_frees_its_permit_at_once),
        cmocka_unit_test(calls_from_before_the_opening_do_not_count_as_probes),
        cmocka_unit_test(after_a_good_while_the_open_time_is_short_again),
        cmocka_unit_test(an_isolated_one_refuses_until_released),
        cmocka_unit_test(senseless_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
