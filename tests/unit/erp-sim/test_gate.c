/* test_gate.c: the rate is held in every second however it is cut; latencies follow their percentiles. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tools/sims/erp-sim/gate.h"
#include "tools/sims/erp-sim/latency.h"

#define S_US INT64_C(1000000)

static sim_gate_t *gate_new(uint32_t rate)
{
    sim_gate_t *gate = malloc(sizeof(*gate));
    assert_non_null(gate);
    sim_gate_init(gate, rate);
    return gate;
}

static void fifty_enter_at_once_and_the_next_only_a_second_after_the_first(void **state)
{
    (void)state;
    sim_gate_t *gate = gate_new(50);
    for (int i = 0; i < 50; i++)
        assert_true(sim_gate_enter(gate, 1000 + i));
    assert_false(sim_gate_enter(gate, 1050));
    assert_false(sim_gate_enter(gate, 1000 + S_US - 1));
    assert_true(sim_gate_enter(gate, 1000 + S_US));
    assert_false(sim_gate_enter(gate, 1000 + S_US));
    assert_int_equal(gate->refused_total, 3);
    assert_int_equal(gate->busiest_second, 50);
    free(gate);
}

static void no_second_admits_more_than_the_rate(void **state)
{
    (void)state;
    sim_gate_t *gate = gate_new(50);
    static int64_t admitted[4096];
    size_t count = 0;
    for (int64_t now = 0; now < 7 * S_US; now += 731)
        if (sim_gate_enter(gate, now))
            admitted[count++] = now;
    for (size_t i = 50; i < count; i++)
        assert_true(admitted[i] - admitted[i - 50] >= S_US);
    assert_int_equal(count, 350);
    free(gate);
}

static void lowering_the_rate_counts_what_was_let_in_before(void **state)
{
    (void)state;
    sim_gate_t *gate = gate_new(50);
    for (int i = 0; i < 10; i++)
        assert_true(sim_gate_enter(gate, i));
    sim_gate_set_rate(gate, 10);
    assert_false(sim_gate_enter(gate, 20));
    free(gate);
}

static int by_value(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static void latencies_meet_their_median_and_their_99th_percentile(void **state)
{
    (void)state;
    enum { DRAWS = 20000 };
    static int64_t draws[DRAWS];
    sim_latency_t latency = {.seed = 7, .p50_ms = 120, .p99_ms = 800};
    for (int i = 0; i < DRAWS; i++)
        draws[i] = sim_latency_draw_us(&latency);
    qsort(draws, DRAWS, sizeof(draws[0]), by_value);
    assert_in_range(draws[DRAWS / 2], 110000, 130000);
    assert_in_range(draws[DRAWS * 99 / 100], 700000, 900000);
}

static void one_seed_draws_the_same_latencies_and_faults(void **state)
{
    (void)state;
    sim_latency_t a = {.seed = 7, .p50_ms = 10, .p99_ms = 50}, b = a;
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sim_latency_draw_us(&a), sim_latency_draw_us(&b));
        assert_int_equal(sim_latency_chance(&a, 0.3), sim_latency_chance(&b, 0.3));
    }
}

static void without_percentile_there_is_no_delay_and_without_probability_no_fault(void **state)
{
    (void)state;
    sim_latency_t latency = {.seed = 7, .p50_ms = 100, .p99_ms = 0};
    assert_int_equal(sim_latency_draw_us(&latency), 0);
    for (int i = 0; i < 100; i++) {
        assert_false(sim_latency_chance(&latency, 0));
        assert_true(sim_latency_chance(&latency, 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fifty_enter_at_once_and_the_next_only_a_second_after_the_first),
        cmocka_unit_test(no_second_admits_more_than_the_rate),
        cmocka_unit_test(lowering_the_rate_counts_what_was_let_in_before),
        cmocka_unit_test(latencies_meet_their_median_and_their_99th_percentile),
        cmocka_unit_test(one_seed_draws_the_same_latencies_and_faults),
        cmocka_unit_test(without_percentile_there_is_no_delay_and_without_probability_no_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
