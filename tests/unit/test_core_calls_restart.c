/* test_core_calls_restart.c: asking again for a call, after a restart and for pieces that were lost. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/core_calls_rig.h"

static void call_again(rig_t *rig, uint64_t peer, uint64_t number, uint64_t reply_from, uint64_t deadline_ms)
{
    wire_call_t c = a_call(number);
    c.again = true;
    c.stream = reply_from > 0;
    c.reply_from = reply_from;
    c.deadline_ms = deadline_ms;
    rig_send(rig, peer, WIRE_CALL, number, &c);
}

static void asking_again_joins_a_running_call_and_repeats_a_kept_answer(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    rig_call(rig, 1);
    rig_call(rig, 1);
    assert_null(rig_take(rig, WORKER));
    rig_reply(rig, WORKER, 1, 0, true);
    (void)rig_expect_final(rig, STATUS_OK);
    rig_call(rig, 1);
    assert_null(rig_take(rig, WORKER));
    rig->taken = 0;
    (void)rig_expect_final(rig, STATUS_OK);
}

/* Sessions 11 and 12 know their tokens. */
static void restart_with_a_running_call(rig_t *rig, uint8_t caller[CORE_RESUME_BYTES],
                                        uint8_t worker[CORE_RESUME_BYTES])
{
    rig_close(rig);
    rig_open(rig, NULL);
    rig_hello(rig, CALLER, "caller-000001", caller);
    rig_hello(rig, WORKER, "worker-000002", worker);
    rig_serve(rig, WORKER, 4);
    rig_call(rig, 9);
    (void)rig_expect(rig, WORKER, WIRE_CALL);
    rig_restart(rig, 0);
}

static void after_a_restart_caller_and_worker_are_joined_in_either_order(void **state)
{
    rig_t *rig = *state;
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    for (int order = 0; order < 2; order++) {
        restart_with_a_running_call(rig, caller, worker);
        if (order == 0) {
            rig_resume(rig, 12, "worker-000002", worker);
            rig_serve_running(rig, 12, 9, 0);
        }
        rig_resume(rig, 11, "caller-000001", caller);
        call_again(rig, 11, 9, 0, 3000);
        if (order == 1) {
            rig_resume(rig, 12, "worker-000002", worker);
            rig_serve_running(rig, 12, 9, 0);
        }
        assert_null(rig_take(rig, 11));
        rig_reply(rig, 12, 9, 0, true);
        assert_int_equal(rig_expect(rig, 11, WIRE_REPLY)->reply.status, STATUS_OK);
    }
}

static void expect_unknown(rig_t *rig, uint64_t peer)
{
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_REPLY);
    assert_int_equal(msg->reply.status, STATUS_UNAVAILABLE);
    assert_true(bytes_has_prefix(msg->reply.message, BYTES_LIT("outcome unknown")));
}

/* Another worker serves, and is not given the call. */
static void ask_again_after_a_restart(rig_t *rig, int64_t later_us)
{
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_sleep(rig, later_us);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    rig_serve(rig, OTHER, 4);
    rig_resume(rig, 11, "caller-000001", caller);
    call_again(rig, 11, 9, 0, 20000);
    assert_null(rig_take(rig, OTHER));
}

static void a_call_that_no_worker_claims_after_a_restart_is_not_started_twice(void **state)
{
    rig_t *rig = *state;
    ask_again_after_a_restart(rig, 0);
    rig_sleep(rig, 5900 * MS);
    assert_null(rig_take(rig, OTHER));
    assert_null(rig_take(rig, 11));
    rig_send(rig, 11, WIRE_PING, 0, &(wire_ping_t){0});
    rig_sleep(rig, 200 * MS);
    expect_unknown(rig, 11);
}

static void a_caller_that_comes_back_long_after_a_restart_is_told_at_once_that_the_outcome_is_unknown(void **state)
{
    rig_t *rig = *state;
    ask_again_after_a_restart(rig, 10 * S);
    rig->taken = 0;
    expect_unknown(rig, 11);
}

static void a_caller_whose_session_is_lost_with_the_broker_does_not_start_a_call_twice(void **state)
{
    rig_t *rig = *state;
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_sleep(rig, 31 * S);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    rig_serve(rig, OTHER, 4);
    rig_hello(rig, 11, "caller-000001", NULL);
    call_again(rig, 11, 9, 0, 20000);
    expect_unknown(rig, 11);
    call_again(rig, 11, 10, 0, 20000); /* newer, but that one was no first time either */
    expect_unknown(rig, 11);
}

static void a_worker_that_returns_after_its_caller_still_claims_the_call(void **state)
{
    rig_t *rig = *state;
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_resume(rig, 11, "caller-000001", caller);
    call_again(rig, 11, 9, 0, 20000);
    rig_sleep(rig, 5 * S);
    rig_resume(rig, 12, "worker-000002", worker);
    rig_serve_running(rig, 12, 9, 0);
    rig_reply(rig, 12, 9, 0, true);
    assert_int_equal(rig_expect(rig, 11, WIRE_REPLY)->reply.status, STATUS_OK);
}

static void an_idempotent_call_asked_again_after_a_restart_is_begun_at_once(void **state)
{
    rig_t *rig = *state;
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    rig_serve(rig, OTHER, 4);
    rig_resume(rig, 11, "caller-000001", caller);
    wire_call_t c = a_call(9);
    c.again = c.idempotent = true;
    rig_send(rig, 11, WIRE_CALL, 9, &c);
    assert_false(rig_expect(rig, OTHER, WIRE_CALL)->call.again);
    rig_resume(rig, 12, "worker-000002", worker); /* which is not needed any more */
    rig_serve_running(rig, 12, 9, 0);
    assert_int_equal(rig_expect(rig, 12, WIRE_CANCEL)->cancel.number, 9);
}

static void a_new_call_after_a_restart_is_begun_at_once(void **state)
{
    rig_t *rig = *state;
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    rig_serve(rig, OTHER, 4);
    rig_resume(rig, 11, "caller-000001", caller);
    const wire_call_t c = a_call(10);
    rig_send(rig, 11, WIRE_CALL, 10, &c);
    assert_int_equal(rig_expect(rig, OTHER, WIRE_CALL)->call.number, 10);
}

/* It was sent, and the connection broke before it came: the broker knows that, for it has seen what came before. */
static void a_call_that_never_came_is_begun_when_it_is_asked_again(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    rig_call(rig, 5);
    (void)rig_expect(rig, WORKER, WIRE_CALL);
    call_again(rig, CALLER, 6, 0, 3000);
    assert_int_equal(rig_expect(rig, WORKER, WIRE_CALL)->call.number, 6);
    rig_reply(rig, WORKER, 5, 0, true);
    (void)rig_expect_final(rig, STATUS_OK);
}

static void a_call_whose_answer_is_no_longer_kept_is_not_started_twice(void **state)
{
    rig_t *rig = *state;
    rig_serve(rig, WORKER, 4);
    rig_call(rig, 5);
    rig_reply(rig, WORKER, 5, 0, true);
    (void)rig_expect_final(rig, STATUS_OK);
    for (int i = 0; i < 31; i++) {
        rig_sleep(rig, S);
        rig_say_all(rig, CALLER, OTHER);
    }
    call_again(rig, CALLER, 5, 0, 3000);
    expect_unknown(rig, CALLER);
}

/* Of a stream of five pieces the caller has one when its connection is lost, and asks for the rest. */
static void pieces_lost_and_asked_for(rig_t *rig, uint64_t made)
{
    uint8_t token[CORE_RESUME_BYTES];
    rig_hello(rig, 4, "caller-000004", token);
    rig_serve(rig, WORKER, 4);
    wire_call_t c = a_call(1);
    c.caller = BYTES_LIT("caller-000004");
    c.stream = true;
    wire_reply_t r = {.caller = c.caller, .number = 1, .body = BYTES_LIT("\x02")};
    rig_send(rig, 4, WIRE_CALL, 1, &c);
    rig_gone(rig, 4);
    for (r.chunk = 0; r.chunk < made; r.chunk++) {
        r.final = r.chunk == 4;
        rig_send(rig, WORKER, WIRE_REPLY, 0, &r);
    }
    rig_resume(rig, 5, "caller-000004", token);
    c.again = true;
    c.reply_from = 1;
    rig_send(rig, 5, WIRE_CALL, 2, &c);
    const wire_msg_t *msg = rig_expect(rig, WORKER, WIRE_CALL);
    assert_true(msg->call.again);
    assert_int_equal(msg->call.reply_from, 1);
    assert_true(bytes_eq(msg->call.body, c.body));
    for (r.chunk = 1; r.chunk < 5; r.chunk++) {
        r.final = r.chunk == 4;
        rig_send(rig, WORKER, WIRE_REPLY, 0, &r);
        assert_int_equal(rig_expect(rig, 5, WIRE_REPLY)->reply.chunk, r.chunk);
    }
    core_stats_t stats;
    core_stats(rig->core, &stats);
    assert_int_equal(stats.calls_running, 0);
}

static void pieces_that_were_lost_on_the_way_are_sent_again(void **state)
{
    pieces_lost_and_asked_for(*state, 4);
}

static void pieces_that_were_lost_are_sent_again_though_the_last_one_was_made(void **state)
{
    pieces_lost_and_asked_for(*state, 5);
}

static void pieces_that_were_lost_with_their_worker_leave_the_outcome_unknown(void **state)
{
    rig_t *rig = *state;
    uint8_t token[CORE_RESUME_BYTES];
    rig_hello(rig, 4, "caller-000004", token);
    rig_serve(rig, WORKER, 4);
    wire_call_t c = a_call(1);
    c.caller = BYTES_LIT("caller-000004");
    c.stream = true;
    wire_reply_t r = {.caller = c.caller, .number = 1, .body = BYTES_LIT("\x02")};
    rig_send(rig, 4, WIRE_CALL, 1, &c);
    rig_gone(rig, 4);
    rig_send(rig, WORKER, WIRE_REPLY, 0, &r);
    r.chunk = 1;
    r.final = true;
    rig_send(rig, WORKER, WIRE_REPLY, 0, &r);
    rig_gone(rig, WORKER);
    rig_resume(rig, 5, "caller-000004", token);
    c.again = true;
    rig_send(rig, 5, WIRE_CALL, 2, &c);
    expect_unknown(rig, 5);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, calls_rig_open, calls_rig_close)
    const struct CMUnitTest tests[] = {
        TEST(asking_again_joins_a_running_call_and_repeats_a_kept_answer),
        TEST(after_a_restart_caller_and_worker_are_joined_in_either_order),
        TEST(a_call_that_no_worker_claims_after_a_restart_is_not_started_twice),
        TEST(a_caller_that_comes_back_long_after_a_restart_is_told_at_once_that_the_outcome_is_unknown),
        TEST(a_caller_whose_session_is_lost_with_the_broker_does_not_start_a_call_twice),
        TEST(a_worker_that_returns_after_its_caller_still_claims_the_call),
        TEST(an_idempotent_call_asked_again_after_a_restart_is_begun_at_once),
        TEST(a_new_call_after_a_restart_is_begun_at_once),
        TEST(a_call_that_never_came_is_begun_when_it_is_asked_again),
        TEST(a_call_whose_answer_is_no_longer_kept_is_not_started_twice),
        TEST(pieces_that_were_lost_on_the_way_are_sent_again),
        TEST(pieces_that_were_lost_are_sent_again_though_the_last_one_was_made),
        TEST(pieces_that_were_lost_with_their_worker_leave_the_outcome_unknown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
