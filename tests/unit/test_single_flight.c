/* test_single_flight.c: one leads, all are told, nobody who left is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "kit/single_flight.h"

typedef struct {
    single_flight_t *flights;
    int told;
    const void *result;
    void *leaves; /* another waiter that goes when this one is told */
    bool joins;
} waiter_t;

#define KEY BYTES_LIT("9784088820118")

static void on_result(void *ctx, const void *result)
{
    waiter_t *w = ctx;
    w->told++;
    w->result = result;
    if (w->leaves)
        assert_true(single_flight_leave(w->flights, KEY, w->leaves));
    if (w->joins)
        assert_int_equal(single_flight_join(w->flights, KEY, on_result, w), SINGLE_FLIGHT_LEADS);
    w->joins = false;
}

static void the_first_leads_and_all_are_told_the_same(void **state)
{
    (void)state;
    single_flight_t *f = single_flight_new(10);
    waiter_t w[50] = {0};
    for (int i = 0; i < 50; i++)
        assert_int_equal(single_flight_join(f, KEY, on_result, &w[i]), i ? SINGLE_FLIGHT_FOLLOWS : SINGLE_FLIGHT_LEADS);
    single_flight_finish(f, KEY, "result");
    for (int i = 0; i < 50; i++) {
        assert_int_equal(w[i].told, 1);
        assert_string_equal(w[i].result, "result");
    }
    assert_int_equal(single_flight_count(f), 0);
    single_flight_free(&f);
}

static void keys_fly_apart(void **state)
{
    (void)state;
    single_flight_t *f = single_flight_new(1000);
    static waiter_t w[1000];
    char key[16];
    for (int i = 0; i < 1000; i++) {
        (void)snprintf(key, sizeof key, "key %d", i);
        assert_int_equal(single_flight_join(f, bytes_cstr(key), on_result, &w[i]), SINGLE_FLIGHT_LEADS);
    }
    for (int i = 0; i < 1000; i += 2) {
        (void)snprintf(key, sizeof key, "key %d", i);
        single_flight_finish(f, bytes_cstr(key), &w[i]);
    }
    for (int i = 0; i < 1000; i++)
        assert_int_equal(w[i].told, i % 2 ? 0 : 1);
    assert_int_equal(single_flight_count(f), 500);
    for (int i = 1; i < 1000; i += 2) {
        (void)snprintf(key, sizeof key, "key %d", i);
        single_flight_finish(f, bytes_cstr(key), NULL);
    }
    single_flight_free(&f);
}

static void who_left_is_not_told(void **state)
{
    (void)state;
    single_flight_t *f = single_flight_new(10);
    waiter_t a = {.flights = f}, b = {.flights = f}, c = {.flights = f};
    assert_int_equal(single_flight_join(f, KEY, on_result, &a), SINGLE_FLIGHT_LEADS);
    assert_int_equal(single_flight_join(f, KEY, on_result, &b), SINGLE_FLIGHT_FOLLOWS);
    assert_int_equal(single_flight_join(f, KEY, on_result, &c), SINGLE_FLIGHT_FOLLOWS);
    assert_true(single_flight_leave(f, KEY, &b));
    assert_false(single_flight_leave(f, KEY, &b));
    a.leaves = &c; /* while the others are being told */
    single_flight_finish(f, KEY, NULL);
    assert_int_equal(a.told, 1);
    assert_int_equal(b.told + c.told, 0);
    assert_false(single_flight_leave(f, BYTES_LIT("other"), &a));
    single_flight_free(&f);
}

static void one_that_is_told_may_join_anew(void **state)
{
    (void)state;
    single_flight_t *f = single_flight_new(1);
    waiter_t a = {.flights = f, .joins = true};
    assert_int_equal(single_flight_join(f, KEY, on_result, &a), SINGLE_FLIGHT_LEADS);
    single_flight_finish(f, KEY, NULL);
    assert_int_equal(a.told, 1);
    assert_int_equal(single_flight_count(f), 1);
    single_flight_finish(f, KEY, NULL);
    assert_int_equal(a.told, 2);
    single_flight_finish(f, KEY, NULL); /* no such flight: nothing happens */
    single_flight_free(&f);
}

static void what_is_full_refuses(void **state)
{
    (void)state;
    single_flight_t *f = single_flight_new(1);
    static waiter_t w[SINGLE_FLIGHT_WAITERS_MAX + 1];
    for (int i = 0; i < SINGLE_FLIGHT_WAITERS_MAX; i++)
        assert_int_not_equal(single_flight_join(f, KEY, on_result, &w[i]), SINGLE_FLIGHT_FULL);
    assert_int_equal(single_flight_join(f, KEY, on_result, &w[SINGLE_FLIGHT_WAITERS_MAX]), SINGLE_FLIGHT_FULL);
    assert_int_equal(single_flight_join(f, BYTES_LIT("other"), on_result, &w[0]), SINGLE_FLIGHT_FULL);
    single_flight_finish(f, KEY, NULL);
    single_flight_free(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_leads_and_all_are_told_the_same),
        cmocka_unit_test(keys_fly_apart),
        cmocka_unit_test(who_left_is_not_told),
        cmocka_unit_test(one_that_is_told_may_join_anew),
        cmocka_unit_test(what_is_full_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
