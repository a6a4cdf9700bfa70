/* test_retry.c: what is tried again, how often, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit/retry.h"

static const retry_policy_t policy = {.attempts_max = 4, .base_ms = 100, .cap_ms = 300, .attempt_ms = 50};

static retry_budget_t full(void)
{
    retry_budget_t budget;
    assert_true(retry_budget_init(&budget, 10, 100));
    return budget;
}

static bool again(uint32_t attempt, status_t code, int64_t left_ms)
{
    retry_budget_t budget = full();
    int64_t wait_ms = -1;
    bool ok = retry_again(&policy, &budget, attempt, &(error_t){.code = code}, left_ms, 0.5, &wait_ms);
    assert_true(ok == (wait_ms >= 0));
    return ok;
}

static void only_what_may_pass_is_tried_again(void **state)
{
    (void)state;
    assert_true(again(1, STATUS_UNAVAILABLE, 1000));
    assert_true(again(1, STATUS_RESOURCE_EXHAUSTED, 1000));
    assert_false(again(1, STATUS_INVALID_ARGUMENT, 1000));
    assert_false(again(1, STATUS_DEADLINE_EXCEEDED, 1000));
    assert_false(again(1, STATUS_INTERNAL, 1000));
}

static void attempts_are_counted_with_the_first(void **state)
{
    (void)state;
    assert_true(again(3, STATUS_UNAVAILABLE, 1000));
    assert_false(again(4, STATUS_UNAVAILABLE, 1000));
}

static void no_attempt_is_begun_that_cannot_end_in_time(void **state)
{
    (void)state;
    assert_true(again(1, STATUS_UNAVAILABLE, 100)); /* 50 ms of pause, 50 of work */
    assert_false(again(1, STATUS_UNAVAILABLE, 99));
}

static void the_pause_is_drawn_from_nothing_to_the_doubled_base(void **state)
{
    (void)state;
    assert_int_equal(retry_pause_ms(&policy, 1, 0), 0);
    assert_int_equal(retry_pause_ms(&policy, 1, 0.999999), 100);
    assert_int_equal(retry_pause_ms(&policy, 2, 0.999999), 200);
    assert_int_equal(retry_pause_ms(&policy, 3, 0.999999), 300);
    assert_int_equal(retry_pause_ms(&policy, UINT32_MAX, 0.999999), 300);
}

static void a_pause_that_the_backend_named_is_kept(void **state)
{
    (void)state;
    retry_budget_t budget = full();
    int64_t wait_ms = 0;
    error_t err = {.code = STATUS_RESOURCE_EXHAUSTED, .retry_after_ms = 700};
    assert_true(retry_again(&policy, &budget, 1, &err, 1000, 0, &wait_ms));
    assert_int_equal(wait_ms, 700);
    assert_false(retry_again(&policy, &budget, 1, &err, 740, 0, &wait_ms));
}

static void with_half_of_the_budget_gone_nothing_is_tried_again(void **state)
{
    (void)state;
    retry_budget_t budget = full();
    for (int i = 0; i < 4; i++) {
        retry_budget_failure(&budget);
        assert_true(retry_budget_allows(&budget));
    }
    retry_budget_failure(&budget);
    assert_false(retry_budget_allows(&budget));
    retry_budget_success(&budget);
    assert_true(retry_budget_allows(&budget));
}

static void the_budget_stays_within_its_bounds(void **state)
{
    (void)state;
    retry_budget_t budget = full();
    for (int i = 0; i < 100; i++)
        retry_budget_success(&budget);
    assert_int_equal(budget.tokens_milli, 10000);
    for (int i = 0; i < 100; i++)
        retry_budget_failure(&budget);
    assert_int_equal(budget.tokens_milli, 0);
    assert_false(retry_budget_init(&budget, 0, 100));
    assert_false(retry_budget_init(&budget, RETRY_TOKENS_MAX + 1, 100));
    assert_false(retry_budget_init(&budget, 10, 1001));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_may_pass_is_tried_again),
        cmocka_unit_test(attempts_are_counted_with_the_first),
        cmocka_unit_test(no_attempt_is_begun_that_cannot_end_in_time),
        cmocka_unit_test(the_pause_is_drawn_from_nothing_to_the_doubled_base),
        cmocka_unit_test(a_pause_that_the_backend_named_is_kept),
        cmocka_unit_test(with_half_of_the_budget_gone_nothing_is_tried_again),
        cmocka_unit_test(the_budget_stays_within_its_bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
