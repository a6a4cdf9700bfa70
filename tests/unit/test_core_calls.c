/* test_core_calls.c: requests find a worker, answers find their caller, and the lost are told so. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/lib/core_rig.h"

#define MS INT64_C(1000)
#define S INT64_C(1000000)
#define CALLER 1
#define WORKER 2
#define OTHER 3

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    rig_hello(rig, CALLER, "caller-000001", NULL);
    rig_hello(rig, WORKER, "worker-000002", NULL);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void serve(rig_t *rig, uint64_t peer, uint64_t capacity)
{
    wire_serve_t *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->methods.count = 1;
    s->methods.items[0] = (wire_serve_entry_t){BYTES_LIT("stock.get"), capacity};
    rig_send(rig, peer, WIRE_SERVE, 2, s);
    (void)rig_expect(rig, peer, WIRE_SERVED);
    rig->taken = 0;
    free(s);
}

static void serve_running(rig_t *rig, uint64_t peer, uint64_t number, uint64_t chunk)
{
    wire_serve_t *s = calloc(1, sizeof *s);
    assert_non_null(s);
    s->methods.count = 1;
    s->methods.items[0] = (wire_serve_entry_t){BYTES_LIT("stock.get"), 4};
    s->running.count = 1;
    s->running.items[0] = (wire_running_entry_t){BYTES_LIT("caller-000001"), number, chunk};
    rig_send(rig, peer, WIRE_SERVE, 2, s);
    free(s);
}

static wire_call_t a_call(uint64_t number)
{
    return (wire_call_t){
        .caller = BYTES_LIT("caller-000001"),
        .number = number,
        .method = BYTES_LIT("stock.get"),
        .deadline_ms = 3000,
        .body = BYTES_LIT("\x01"),
    };
}

static void call(rig_t *rig, uint64_t number)
{
    const wire_call_t c = a_call(number);
    rig_send(rig, CALLER, WIRE_CALL, number, &c);
}

static void reply(rig_t *rig, uint64_t peer, uint64_t number, uint64_t chunk, bool final)
{
    rig_send(rig, peer, WIRE_REPLY, 0,
             &(wire_reply_t){.caller = BYTES_LIT("caller-000001"),
                             .number = number,
                             .chunk = chunk,
                             .final = final,
                             .body = BYTES_LIT("\x02")});
}

static const wire_reply_t *expect_final(rig_t *rig, uint64_t status)
{
    const wire_msg_t *msg = rig_expect(rig, CALLER, WIRE_REPLY);
    assert_true(msg->reply.final);
    assert_int_equal(msg->reply.status, status);
    return &msg->reply;
}

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

static void call_again(rig_t *rig, uint64_t peer, uint64_t number, uint64_t reply_from, uint64_t deadline_ms)
{
    wire_call_t c = a_call(number);
    c.again = true;
    c.stream = reply_from > 0;
    c.reply_from = reply_from;
    c.deadline_ms = deadline_ms;
    rig_send(rig, peer, WIRE_CALL, number, &c);
}

static void say_all(rig_t *rig, uint64_t first, uint64_t last)
{
    for (uint64_t peer = first; peer <= last; peer++)
        rig_send(rig, peer, WIRE_PING, 0, &(wire_ping_t){0});
}

static void a_call_is_answered_and_nothing_of_it_waits_for_the_disk(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    call(rig, 7);
    const wire_msg_t *msg = rig_expect(rig, WORKER, WIRE_CALL);
    assert_int_equal(msg->call.number, 7);
    assert_int_equal(msg->call.deadline_ms, 3000);
    reply(rig, WORKER, 7, 0, true);
    const wire_reply_t *got = expect_final(rig, STATUS_OK);
    assert_true(bytes_eq_cstr(got->worker, "worker-000002"));
    assert_int_equal(rig->out.outs[0].after, 0);
}

static void time_spent_waiting_for_a_worker_is_taken_off_the_deadline(void **state)
{
    rig_t *rig = *state;
    call(rig, 1);
    rig_sleep(rig, 600 * MS);
    serve(rig, WORKER, 1);
    (void)rig_expect(rig, WORKER, WIRE_SERVED);
    assert_int_equal(rig_expect(rig, WORKER, WIRE_CALL)->call.deadline_ms, 2400);
}

static void a_call_that_nobody_serves_ends_after_a_second_with_a_time_to_try_again(void **state)
{
    rig_t *rig = *state;
    call(rig, 1);
    rig_sleep(rig, 900 * MS);
    assert_null(rig_take(rig, CALLER));
    rig_sleep(rig, 200 * MS);
    assert_true(expect_final(rig, STATUS_UNAVAILABLE)->retry_after_ms > 0);
}

static void the_least_busy_worker_gets_the_next_call_and_none_more_than_its_capacity(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 2);
    serve(rig, OTHER, 2);
    int got[4] = {0};
    for (uint64_t number = 1; number <= 5; number++) {
        call(rig, number);
        for (uint64_t peer = WORKER; peer <= OTHER; peer++) {
            rig->taken = 0;
            got[peer] += rig_take(rig, peer) != NULL;
        }
    }
    assert_int_equal(got[WORKER], 2);
    assert_int_equal(got[OTHER], 2);
    reply(rig, OTHER, 2, 0, true);
    reply(rig, OTHER, 4, 0, true);
    core_stats_t stats;
    core_stats(rig->core, &stats);
    assert_int_equal(stats.calls_waiting, 0);
}

static void a_deadline_ends_the_call_and_cancels_the_worker(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 1);
    call(rig, 1);
    rig_sleep(rig, 3001 * MS);
    (void)expect_final(rig, STATUS_DEADLINE_EXCEEDED);
    rig->taken = 0;
    assert_int_equal(expect_beside_pings(rig, WORKER, WIRE_CANCEL)->cancel.number, 1);
    reply(rig, WORKER, 1, 0, true);
    assert_null(rig_take(rig, CALLER));
}

static void too_many_waiting_calls_are_refused_at_once(void **state)
{
    rig_t *rig = *state;
    rig_close(rig);
    rig_open(rig, &(core_limits_t){.call_queue = 2});
    rig_hello(rig, CALLER, "caller-000001", NULL);
    call(rig, 1);
    call(rig, 2);
    assert_null(rig_take(rig, CALLER));
    call(rig, 3);
    (void)expect_final(rig, STATUS_RESOURCE_EXHAUSTED);
}

static void a_lost_worker_fails_its_call_unless_it_is_idempotent(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    call(rig, 1);
    wire_call_t again = a_call(2);
    again.idempotent = true;
    rig_send(rig, CALLER, WIRE_CALL, 2, &again);
    serve(rig, OTHER, 4);
    rig_send(rig, WORKER, WIRE_BYE, 0, &(wire_bye_t){0});
    assert_int_equal(expect_final(rig, STATUS_UNAVAILABLE)->number, 1);
    rig->taken = 0;
    assert_int_equal(rig_expect(rig, OTHER, WIRE_CALL)->call.number, 2);
}

static void a_silent_worker_is_given_up_after_three_heartbeats(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    wire_call_t c = a_call(1);
    c.deadline_ms = 60000;
    rig_send(rig, CALLER, WIRE_CALL, 1, &c);
    for (int i = 0; i < 2; i++) {
        rig_sleep(rig, 2900 * MS);
        assert_null(rig_take(rig, CALLER));
        say_all(rig, CALLER, CALLER);
    }
    rig_sleep(rig, 300 * MS);
    (void)expect_final(rig, STATUS_UNAVAILABLE);
}

static void a_caller_that_ends_cancels_what_it_asked(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    call(rig, 1);
    rig_send(rig, CALLER, WIRE_BYE, 0, &(wire_bye_t){0});
    assert_int_equal(expect_beside_pings(rig, WORKER, WIRE_CANCEL)->cancel.number, 1);
}

static void chunks_come_in_order_and_a_hole_ends_the_call(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    wire_call_t c = a_call(1);
    c.stream = true;
    rig_send(rig, CALLER, WIRE_CALL, 1, &c);
    reply(rig, WORKER, 1, 0, false);
    assert_false(rig_expect(rig, CALLER, WIRE_REPLY)->reply.final);
    reply(rig, WORKER, 1, 0, false);
    assert_null(rig_take(rig, CALLER));
    reply(rig, WORKER, 1, 2, false);
    assert_int_equal(expect_final(rig, STATUS_INTERNAL)->chunk, 1);
}

static void asking_again_joins_a_running_call_and_repeats_a_kept_answer(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    call(rig, 1);
    call(rig, 1);
    assert_null(rig_take(rig, WORKER));
    reply(rig, WORKER, 1, 0, true);
    (void)expect_final(rig, STATUS_OK);
    call(rig, 1);
    assert_null(rig_take(rig, WORKER));
    rig->taken = 0;
    (void)expect_final(rig, STATUS_OK);
}

static void resume(rig_t *rig, uint64_t peer, const char *name, const uint8_t token[CORE_RESUME_BYTES])
{
    rig_send(rig, peer, WIRE_HELLO, 1,
             &(wire_hello_t){
                 .protocol = WIRE_PROTOCOL, .name = bytes_cstr(name), .resume = bytes_from(token, CORE_RESUME_BYTES)});
    assert_true(rig_expect(rig, peer, WIRE_WELCOME)->welcome.resumed);
}

/* Sessions 11 and 12 know their tokens. */
static void restart_with_a_running_call(rig_t *rig, uint8_t caller[CORE_RESUME_BYTES],
                                        uint8_t worker[CORE_RESUME_BYTES])
{
    rig_close(rig);
    rig_open(rig, NULL);
    rig_hello(rig, CALLER, "caller-000001", caller);
    rig_hello(rig, WORKER, "worker-000002", worker);
    serve(rig, WORKER, 4);
    call(rig, 9);
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
            resume(rig, 12, "worker-000002", worker);
            serve_running(rig, 12, 9, 0);
        }
        resume(rig, 11, "caller-000001", caller);
        call_again(rig, 11, 9, 0, 3000);
        if (order == 1) {
            resume(rig, 12, "worker-000002", worker);
            serve_running(rig, 12, 9, 0);
        }
        assert_null(rig_take(rig, 11));
        reply(rig, 12, 9, 0, true);
        assert_int_equal(rig_expect(rig, 11, WIRE_REPLY)->reply.status, STATUS_OK);
    }
}

static void expect_unknown(rig_t *rig, uint64_t peer)
{
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_REPLY);
    assert_int_equal(msg->reply.status, STATUS_UNAVAILABLE);
    assert_true(bytes_has_prefix(msg->reply.message, BYTES_LIT("outcome unknown")));
}

static void a_call_that_no_worker_claims_after_a_restart_is_not_started_twice(void **state)
{
    rig_t *rig = *state;
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    serve(rig, OTHER, 4);
    resume(rig, 11, "caller-000001", caller);
    call_again(rig, 11, 9, 0, 20000);
    assert_null(rig_take(rig, OTHER));
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
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_sleep(rig, 10 * S);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    serve(rig, OTHER, 4);
    resume(rig, 11, "caller-000001", caller);
    call_again(rig, 11, 9, 0, 20000);
    assert_null(rig_take(rig, OTHER));
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
    serve(rig, OTHER, 4);
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
    resume(rig, 11, "caller-000001", caller);
    call_again(rig, 11, 9, 0, 20000);
    rig_sleep(rig, 5 * S);
    resume(rig, 12, "worker-000002", worker);
    serve_running(rig, 12, 9, 0);
    reply(rig, 12, 9, 0, true);
    assert_int_equal(rig_expect(rig, 11, WIRE_REPLY)->reply.status, STATUS_OK);
}

static void an_idempotent_call_asked_again_after_a_restart_is_begun_at_once(void **state)
{
    rig_t *rig = *state;
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    serve(rig, OTHER, 4);
    resume(rig, 11, "caller-000001", caller);
    wire_call_t c = a_call(9);
    c.again = c.idempotent = true;
    rig_send(rig, 11, WIRE_CALL, 9, &c);
    assert_false(rig_expect(rig, OTHER, WIRE_CALL)->call.again);
    resume(rig, 12, "worker-000002", worker); /* which is not needed any more */
    serve_running(rig, 12, 9, 0);
    assert_int_equal(rig_expect(rig, 12, WIRE_CANCEL)->cancel.number, 9);
}

static void a_new_call_after_a_restart_is_begun_at_once(void **state)
{
    rig_t *rig = *state;
    uint8_t caller[CORE_RESUME_BYTES], worker[CORE_RESUME_BYTES];
    restart_with_a_running_call(rig, caller, worker);
    rig_hello(rig, OTHER, "worker-000003", NULL);
    serve(rig, OTHER, 4);
    resume(rig, 11, "caller-000001", caller);
    const wire_call_t c = a_call(10);
    rig_send(rig, 11, WIRE_CALL, 10, &c);
    assert_int_equal(rig_expect(rig, OTHER, WIRE_CALL)->call.number, 10);
}

/* It was sent, and the connection broke before it came: the broker knows that, for it has seen what came before. */
static void a_call_that_never_came_is_begun_when_it_is_asked_again(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    call(rig, 5);
    (void)rig_expect(rig, WORKER, WIRE_CALL);
    call_again(rig, CALLER, 6, 0, 3000);
    assert_int_equal(rig_expect(rig, WORKER, WIRE_CALL)->call.number, 6);
    reply(rig, WORKER, 5, 0, true);
    (void)expect_final(rig, STATUS_OK);
}

static void a_call_whose_answer_is_no_longer_kept_is_not_started_twice(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    call(rig, 5);
    reply(rig, WORKER, 5, 0, true);
    (void)expect_final(rig, STATUS_OK);
    for (int i = 0; i < 31; i++) {
        rig_sleep(rig, S);
        say_all(rig, CALLER, OTHER);
    }
    call_again(rig, CALLER, 5, 0, 3000);
    expect_unknown(rig, CALLER);
}

/* Of a stream of five pieces the caller has one when its connection is lost, and asks for the rest. */
static void pieces_lost_and_asked_for(rig_t *rig, uint64_t made)
{
    uint8_t token[CORE_RESUME_BYTES];
    rig_hello(rig, 4, "caller-000004", token);
    serve(rig, WORKER, 4);
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
    resume(rig, 5, "caller-000004", token);
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
    serve(rig, WORKER, 4);
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
    resume(rig, 5, "caller-000004", token);
    c.again = true;
    rig_send(rig, 5, WIRE_CALL, 2, &c);
    expect_unknown(rig, 5);
}

static void the_connection_of_whoever_runs_a_call_for_long_is_tried(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    for (uint64_t number = 1; number <= 3; number++)
        call(rig, number);
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
    serve(rig, 4, 4);
    call(rig, 1);
    call(rig, 2);
    rig_gone(rig, 4);
    assert_null(rig_take(rig, CALLER));
    resume(rig, 5, "worker-000004", token);
    serve_running(rig, 5, 1, 0);
    assert_int_equal(expect_final(rig, STATUS_UNAVAILABLE)->number, 2);
    reply(rig, 5, 1, 0, true);
    assert_int_equal(expect_final(rig, STATUS_OK)->number, 1);
}

/* The first call that goes to a connection that is dead tells of the death: it must not pay for it. */
static void a_call_that_may_run_twice_goes_to_another_worker_when_the_connection_is_lost(void **state)
{
    rig_t *rig = *state;
    rig_hello(rig, 4, "worker-000004", NULL);
    serve(rig, 4, 4);
    wire_call_t c = a_call(1);
    c.idempotent = true;
    rig_send(rig, CALLER, WIRE_CALL, 1, &c);
    (void)rig_expect(rig, 4, WIRE_CALL);
    rig_gone(rig, 4);
    assert_null(rig_take(rig, CALLER));
    serve(rig, OTHER, 4);
    (void)rig_expect(rig, OTHER, WIRE_SERVED);
    assert_int_equal(rig_expect(rig, OTHER, WIRE_CALL)->call.number, 1);
    reply(rig, OTHER, 1, 0, true);
    assert_int_equal(expect_final(rig, STATUS_OK)->number, 1);
}

static void it_comes_back_to_its_own_worker_when_that_is_the_first_to_return(void **state)
{
    rig_t *rig = *state;
    uint8_t token[CORE_RESUME_BYTES];
    rig_hello(rig, 4, "worker-000004", token);
    serve(rig, 4, 4);
    wire_call_t c = a_call(1);
    c.idempotent = true;
    rig_send(rig, CALLER, WIRE_CALL, 1, &c);
    rig_gone(rig, 4);
    resume(rig, 5, "worker-000004", token);
    serve_running(rig, 5, 1, 0);
    reply(rig, 5, 1, 0, true);
    assert_int_equal(expect_final(rig, STATUS_OK)->number, 1);
}

static void nobody_calls_under_another_name(void **state)
{
    rig_t *rig = *state;
    serve(rig, WORKER, 4);
    const wire_call_t c = a_call(1);
    rig_send(rig, OTHER, WIRE_CALL, 5, &c);
    assert_int_equal(rig_expect(rig, OTHER, WIRE_ERROR)->error.status, STATUS_INVALID_ARGUMENT);
    rig->taken = 0;
    assert_null(rig_take(rig, WORKER));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
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
        TEST(the_connection_of_whoever_runs_a_call_for_long_is_tried),
        TEST(a_worker_that_lost_its_connection_goes_on_with_what_it_says_it_runs),
        TEST(a_call_that_may_run_twice_goes_to_another_worker_when_the_connection_is_lost),
        TEST(it_comes_back_to_its_own_worker_when_that_is_the_first_to_return),
        TEST(nobody_calls_under_another_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
