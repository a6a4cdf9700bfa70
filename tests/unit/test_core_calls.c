/* test_core_calls.c: requests find a worker, answers find their caller, and who loses the other is told so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/core_calls_rig.h"

/* The next frame that is no PING: those come to whoever runs a call for long. */
static const wire_msg_t *expect_beside_pings(rig_t *rig, uint64_t peer, wire_verb_t verb)
{
    const wire_msg_t *msg;
    while ((msg = rig_take(rig, peer)) != NULL && msg->verb == WIRE_PING)
        ;
    assert_non_null(msg);
    assert_string_equal(wire_verb_name(msg->verb), wire_verb_name(verb));
    return msg;
}

static void a_call_is_answered_and_nothing_of_it_waits_for_the_disk(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    rig_call(rig, 7);
    const wire_msg_t *msg = rig_expect(rig, WORKER, WIRE_CALL);
    assert_int_equal(msg->call.number, 7);
    assert_int_equal(msg->call.deadline_ms, 3000);
    rig_reply(rig, WORKER, 7, 0, true);
    const wire_reply_t *got = rig_expect_final(rig, STATUS_OK);
    assert_true(bytes_eq_cstr(got->worker, "worker-000002"));
    assert_int_equal(rig->out.outs[0].after, 0);
}

static void time_spent_waiting_for_a_worker_is_taken_off_the_deadline(void **state)
{
    rig_t *rig = *state;
    rig_call(rig, 1);
    rig_sleep(rig, 600 * MS);
    rig_serve(rig, WORKER, 1);
    (void)rig_expect(rig, WORKER, WIRE_SERVED);
    assert_int_equal(rig_expect(rig, WORKER, WIRE_CALL)->call.deadline_ms, 2400);
}

static void a_call_that_nobody_serves_ends_after_a_second_with_a_time_to_try_again(void **state)
{
    rig_t *rig = *state;
    rig_call(rig, 1);
    rig_sleep(rig, 900 * MS);
    assert_null(rig_take(rig, CALLER));
    rig_sleep(rig, 200 * MS);
    assert_true(rig_expect_final(rig, STATUS_UNAVAILABLE)->retry_after_ms > 0);
}

static void the_least_busy_worker_gets_the_next_call_and_none_more_than_its_capacity(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 2);
    rig_serve(rig, OTHER, 2);
    int got[4] = {0};
    for (uint64_t number = 1; number <= 5; number++) {
        rig_call(rig, number);
        for (uint64_t peer = WORKER; peer <= OTHER; peer++) {
            rig->taken = 0;
            got[peer] += rig_take(rig, peer) != NULL;
        }
    }
    assert_int_equal(got[WORKER], 2);
    assert_int_equal(got[OTHER], 2);
    rig_reply(rig, OTHER, 2, 0, true);
    rig_reply(rig, OTHER, 4, 0, true);
    core_stats_t stats;
    core_stats(rig->core, &stats);
    assert_int_equal(stats.calls_waiting, 0);
}

static void a_deadline_ends_the_call_and_cancels_the_worker(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 1);
    rig_call(rig, 1);
    rig_sleep(rig, 3001 * MS);
    (void)rig_expect_final(rig, STATUS_DEADLINE_EXCEEDED);
    rig->taken = 0;
    assert_int_equal(expect_beside_pings(rig, WORKER, WIRE_CANCEL)->cancel.number, 1);
    rig_reply(rig, WORKER, 1, 0, true);
    assert_null(rig_take(rig, CALLER));
}

static void too_many_waiting_calls_are_refused_at_once(void **state)
{
    rig_t *rig = *state;
    rig_close(rig);
    rig_open(rig, &(core_limits_t){.call_queue = 2});
    rig_hello(rig, CALLER, "caller-000001", NULL);
    rig_call(rig, 1);
    rig_call(rig, 2);
    assert_null(rig_take(rig, CALLER));
    rig_call(rig, 3);
    (void)rig_expect_final(rig, STATUS_RESOURCE_EXHAUSTED);
}

static void a_lost_worker_fails_its_call_unless_it_is_idempotent(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    rig_call(rig, 1);
    wire_call_t again = a_call(2);
    again.idempotent = true;
    rig_send(rig, CALLER, WIRE_CALL, 2, &again);
    rig_serve(rig, OTHER, 4);
    rig_send(rig, WORKER, WIRE_BYE, 0, &(wire_bye_t){0});
    assert_int_equal(rig_expect_final(rig, STATUS_UNAVAILABLE)->number, 1);
    rig->taken = 0;
    assert_int_equal(rig_expect(rig, OTHER, WIRE_CALL)->call.number, 2);
}

static void a_silent_worker_is_given_up_after_three_heartbeats(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    wire_call_t c = a_call(1);
    c.deadline_ms = 60000;
    rig_send(rig, CALLER, WIRE_CALL, 1, &c);
    for (int i = 0; i < 2; i++) {
        rig_sleep(rig, 2900 * MS);
        assert_null(rig_take(rig, CALLER));
        rig_say_all(rig, CALLER, CALLER);
    }
    rig_sleep(rig, 300 * MS);
    (void)rig_expect_final(rig, STATUS_UNAVAILABLE);
}

static void a_caller_that_ends_cancels_what_it_asked(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    rig_call(rig, 1);
    rig_send(rig, CALLER, WIRE_BYE, 0, &(wire_bye_t){0});
    assert_int_equal(expect_beside_pings(rig, WORKER, WIRE_CANCEL)->cancel.number, 1);
}

static void chunks_come_in_order_and_a_hole_ends_the_call(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    wire_call_t c = a_call(1);
    c.stream = true;
    rig_send(rig, CALLER, WIRE_CALL, 1, &c);
    rig_reply(rig, WORKER, 1, 0, false);
    assert_false(rig_expect(rig, CALLER, WIRE_REPLY)->reply.final);
    rig_reply(rig, WORKER, 1, 0, false);
    assert_null(rig_take(rig, CALLER));
    rig_reply(rig, WORKER, 1, 2, false);
    assert_int_equal(rig_expect_final(rig, STATUS_INTERNAL)->chunk, 1);
}

static void the_connection_of_whoever_runs_a_call_for_long_is_tried(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    for (uint64_t number = 1; number <= 3; number++)
        rig_call(rig, number);
    rig_sleep(rig, 499 * MS);
    assert_null(rig_take(rig, WORKER));
    rig_sleep(rig, 20 * MS);
    (void)rig_expect(rig, WORKER, WIRE_PING);
    assert_null(rig_take(rig, WORKER)); /* one for all its calls */
    rig->taken = 0;
    assert_null(rig_take(rig, OTHER)); /* who runs none */
    rig_sleep(rig, 500 * MS);
    (void)rig_expect(rig, WORKER, WIRE_PING);
}

static void a_worker_that_lost_its_connection_goes_on_with_what_it_says_it_runs(void **state)
{
    rig_t *rig = *state;
    uint8_t token[CORE_RESUME_BYTES];
    rig_hello(rig, 4, "worker-000004", token);
    rig_serve(rig, 4, 4);
    rig_call(rig, 1);
    rig_call(rig, 2);
    rig_gone(rig, 4);
    assert_null(rig_take(rig, CALLER));
    rig_resume(rig, 5, "worker-000004", token);
    rig_serve_running(rig, 5, 1, 0);
    assert_int_equal(rig_expect_final(rig, STATUS_UNAVAILABLE)->number, 2);
    rig_reply(rig, 5, 1, 0, true);
    assert_int_equal(rig_expect_final(rig, STATUS_OK)->number, 1);
}

/* The first call that goes to a connection that is dead tells of the death: it must not pay for it. */
static void a_call_that_may_run_twice_goes_to_another_worker_when_the_connection_is_lost(void **state)
{
    rig_t *rig = *state;
    rig_hello(rig, 4, "worker-000004", NULL);
    rig_serve(rig, 4, 4);
    wire_call_t c = a_call(1);
    c.idempotent = true;
    rig_send(rig, CALLER, WIRE_CALL, 1, &c);
    (void)rig_expect(rig, 4, WIRE_CALL);
    rig_gone(rig, 4);
    assert_null(rig_take(rig, CALLER));
    rig_serve(rig, OTHER, 4);
    (void)rig_expect(rig, OTHER, WIRE_SERVED);
    assert_int_equal(rig_expect(rig, OTHER, WIRE_CALL)->call.number, 1);
    rig_reply(rig, OTHER, 1, 0, true);
    assert_int_equal(rig_expect_final(rig, STATUS_OK)->number, 1);
}

static void it_comes_back_to_its_own_worker_when_that_is_the_first_to_return(void **state)
{
    rig_t *rig = *state;
    uint8_t token[CORE_RESUME_BYTES];
    rig_hello(rig, 4, "worker-000004", token);
    rig_serve(rig, 4, 4);
    wire_call_t c = a_call(1);
    c.idempotent = true;
    rig_send(rig, CALLER, WIRE_CALL, 1, &c);
    rig_gone(rig, 4);
    rig_resume(rig, 5, "worker-000004", token);
    rig_serve_running(rig, 5, 1, 0);
    rig_reply(rig, 5, 1, 0, true);
    assert_int_equal(rig_expect_final(rig, STATUS_OK)->number, 1);
}

static void nobody_calls_under_another_name(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    const wire_call_t c = a_call(1);
    rig_send(rig, OTHER, WIRE_CALL, 5, &c);
    assert_int_equal(rig_expect(rig, OTHER, WIRE_ERROR)->error.status, STATUS_INVALID_ARGUMENT);
    rig->taken = 0;
    assert_null(rig_take(rig, WORKER));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, calls_rig_open, calls_rig_close)
    const struct CMUnitTest tests[] = {
        TEST(a_call_is_answered_and_nothing_of_it_waits_for_the_disk),
        TEST(time_spent_waiting_for_a_worker_is_taken_off_the_deadline),
        TEST(a_call_that_nobody_serves_ends_after_a_second_with_a_time_to_try_again),
        TEST(the_least_busy_worker_gets_the_next_call_and_none_more_than_its_capacity),
        TEST(a_deadline_ends_the_call_and_cancels_the_worker),
        TEST(too_many_waiting_calls_are_refused_at_once),
        TEST(a_lost_worker_fails_its_call_unless_it_is_idempotent),
        TEST(a_silent_worker_is_given_up_after_three_heartbeats),
        TEST(a_caller_that_ends_cancels_what_it_asked),
        TEST(chunks_come_in_order_and_a_hole_ends_the_call),
        TEST(the_connection_of_whoever_runs_a_call_for_long_is_tried),
        TEST(a_worker_that_lost_its_connection_goes_on_with_what_it_says_it_runs),
        TEST(a_call_that_may_run_twice_goes_to_another_worker_when_the_connection_is_lost),
        TEST(it_comes_back_to_its_own_worker_when_that_is_the_first_to_return),
        TEST(nobody_calls_under_another_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
