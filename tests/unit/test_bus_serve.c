/* test_bus_serve.c: calls answered by the bus client, held against a scripted broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/bus_calls_rig.h"

static void on_request(void *ctx, bus_request_t *request)
{
    fixture_t *f = ctx;
    f->request[f->requests++] = request;
}

static void on_cancelled(void *ctx, bus_request_t *request)
{
    fixture_t *f = ctx;
    assert_true(request->cancelled);
    f->cancels++;
}

static void serve(fixture_t *f)
{
    assert_true(bus_serve(f->bus, "m.n", 5, on_request, f, NULL));
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_SERVE);
    wire_served_t none = {};
    peer_say(&f->peer, WIRE_SERVED, msg->seq, &none);
}

static void ask(fixture_t *f, uint64_t number, uint64_t reply_from, uint64_t deadline_ms)
{
    wire_call_t frame = {.caller = BYTES_LIT("asker-000002"),
                         .number = number,
                         .method = BYTES_LIT("m.n"),
                         .deadline_ms = deadline_ms,
                         .stream = true,
                         .reply_from = reply_from,
                         .body = BYTES_LIT("\xa1q")};
    peer_say(&f->peer, WIRE_CALL, 0, &frame);
}

static void expect_reply(fixture_t *f, uint64_t chunk, bool final, const char *body)
{
    const wire_reply_t *frame = &peer_take(&f->peer, WIRE_REPLY)->reply;
    assert_true(bytes_eq_cstr(frame->caller, "asker-000002"));
    assert_int_equal(frame->chunk, chunk);
    assert_int_equal(frame->final, final);
    assert_true(bytes_eq_cstr(frame->body, body));
}

static void a_method_is_announced_with_its_capacity(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    assert_true(bus_serve(f->bus, "m.n", 5, on_request, f, NULL));
    assert_true(bus_serve(f->bus, "m.o", 0, on_request, f, NULL));
    assert_false(bus_serve(f->bus, "m.o", 0, on_request, f, NULL));
    const wire_serve_t *frame = &peer_take(&f->peer, WIRE_SERVE)->serve;
    assert_int_equal(frame->methods.count, 2);
    assert_true(bytes_eq_cstr(frame->methods.items[0].method, "m.n"));
    assert_int_equal(frame->methods.items[0].capacity, 5);
    assert_int_equal(frame->methods.items[1].capacity, 64);
}

static void a_request_is_answered_in_numbered_pieces(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    serve(f);
    ask(f, 9, 0, 5000);
    peer_until(&f->peer, &f->requests, 1);
    assert_true(bytes_eq_cstr(f->request[0]->body, "\xa1q"));
    assert_in_range(bus_request_left_ms(f->request[0]), 4000, 5000);
    bus_chunk(f->bus, f->request[0], BYTES_LIT("ab"));
    bus_reply(f->bus, f->request[0], BYTES_LIT("cd"));
    expect_reply(f, 0, false, "ab");
    expect_reply(f, 1, true, "cd");
}

static void a_failure_is_answered_with_its_error(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    serve(f);
    ask(f, 9, 0, 5000);
    peer_until(&f->peer, &f->requests, 1);
    error_t err;
    error_set(&err, STATUS_NOT_FOUND, "Aws", "no such book");
    bus_fail(f->bus, f->request[0], &err);
    const wire_reply_t *frame = &peer_take(&f->peer, WIRE_REPLY)->reply;
    assert_int_equal(frame->status, STATUS_NOT_FOUND);
    assert_true(frame->final);
    assert_true(bytes_eq_cstr(frame->message, "no such book"));
    assert_true(bytes_eq_cstr(frame->aws, "Aws"));
}

static void chunks_wait_for_the_reply_window(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 4);
    serve(f);
    ask(f, 9, 0, 5000);
    peer_until(&f->peer, &f->requests, 1);
    bus_chunk(f->bus, f->request[0], BYTES_LIT("abcd"));
    bus_chunk(f->bus, f->request[0], BYTES_LIT("ef"));
    bus_reply(f->bus, f->request[0], BYTES_LIT("!"));
    expect_reply(f, 0, false, "abcd");
    peer_for(&f->peer, 20);
    assert_false(peer_has(&f->peer, WIRE_REPLY));
    wire_reply_credit_t credit = {.caller = BYTES_LIT("asker-000002"), .number = 9, .bytes = 4};
    peer_say(&f->peer, WIRE_REPLY_CREDIT, 0, &credit);
    expect_reply(f, 1, false, "ef");
    expect_reply(f, 2, true, "!");
}

/* Its pieces wait for a credit that never comes: they must not hold what is answered after them. */
static void a_caller_that_vanished_in_the_middle_holds_up_no_memory(void **state)
{
    enum { LATER = 7 };
    fixture_t *f = *state;
    buf_t large = {0};
    assert_true(buf_reserve(&large, 2 << 20));
    memset(large.data, 0xC0, 2 << 20);
    fixture_begin(f, 4);
    serve(f);
    ask(f, 1, 0, 20);
    peer_until(&f->peer, &f->requests, 1);
    bus_chunk(f->bus, f->request[0], BYTES_LIT("abcd"));
    bus_chunk(f->bus, f->request[0], BYTES_LIT("ef"));
    bus_reply(f->bus, f->request[0], BYTES_LIT("!"));
    for (int i = 1; i <= LATER; i++) {
        ask(f, 1 + (uint64_t)i, 0, 60000);
        peer_until(&f->peer, &f->requests, 1 + i);
        bus_reply(f->bus, f->request[i], bytes_from(large.data, 2 << 20));
    }
    buf_free(&large);
    peer_for(&f->peer, 50); /* its deadline passes */
    fixture_greet_again(f);
    const wire_serve_t *frame = &peer_take(&f->peer, WIRE_SERVE)->serve;
    assert_in_range(frame->running.count, 1, LATER - 1); /* of 14 MiB no more than 8 are remembered */
    for (uint32_t i = 0; i < frame->running.count; i++)
        assert_int_not_equal(frame->running.items[i].number, 1);
}

static void a_caller_that_asks_again_gets_the_rest(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    serve(f);
    ask(f, 9, 0, 5000);
    peer_until(&f->peer, &f->requests, 1);
    bus_chunk(f->bus, f->request[0], BYTES_LIT("ab"));
    bus_chunk(f->bus, f->request[0], BYTES_LIT("cd"));
    expect_reply(f, 0, false, "ab");
    expect_reply(f, 1, false, "cd");
    fixture_greet_again(f);
    const wire_serve_t *frame = &peer_take(&f->peer, WIRE_SERVE)->serve;
    assert_int_equal(frame->running.count, 1);
    assert_true(bytes_eq_cstr(frame->running.items[0].caller, "asker-000002"));
    assert_int_equal(frame->running.items[0].number, 9);
    assert_int_equal(frame->running.items[0].chunk, 0); /* all is kept, and comes again */
    expect_reply(f, 0, false, "ab");
    expect_reply(f, 1, false, "cd");
    ask(f, 9, 1, 5000);
    expect_reply(f, 1, false, "cd");
    bus_reply(f->bus, f->request[0], BYTES_LIT("!"));
    expect_reply(f, 2, true, "!");
    ask(f, 9, 2, 5000); /* the last piece was lost as well */
    expect_reply(f, 2, true, "!");
    assert_int_equal(f->requests, 1);
}

static void after_a_restart_of_the_broker_an_answer_waits_for_its_caller(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    serve(f);
    ask(f, 9, 0, 5000);
    peer_until(&f->peer, &f->requests, 1);
    bus_reply(f->bus, f->request[0], BYTES_LIT("x"));
    expect_reply(f, 0, true, "x");
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    wire_welcome_t welcome = peer_welcome("t");
    welcome.broker = BYTES_LIT("mangabus-broker-000002");
    peer_greet(&f->peer, &welcome);
    assert_int_equal(peer_take(&f->peer, WIRE_SERVE)->serve.running.count, 1);
    peer_for(&f->peer, 100);
    assert_false(peer_has(&f->peer, WIRE_REPLY));
    expect_reply(f, 0, true, "x");
}

static void a_cancelled_request_is_told_once_and_may_still_be_answered(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    serve(f);
    ask(f, 9, 0, 5000);
    peer_until(&f->peer, &f->requests, 1);
    bus_request_on_cancel(f->request[0], on_cancelled, f);
    wire_cancel_t cancel = {.caller = BYTES_LIT("asker-000002"), .number = 9};
    peer_say(&f->peer, WIRE_CANCEL, 0, &cancel);
    peer_say(&f->peer, WIRE_CANCEL, 0, &cancel);
    peer_until(&f->peer, &f->cancels, 1);
    peer_for(&f->peer, 10);
    assert_int_equal(f->cancels, 1);
    bus_reply(f->bus, f->request[0], BYTES_LIT("x"));
}

static void a_request_whose_deadline_passes_is_cancelled(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    serve(f);
    ask(f, 9, 0, 20);
    peer_until(&f->peer, &f->requests, 1);
    bus_request_on_cancel(f->request[0], on_cancelled, f);
    peer_until(&f->peer, &f->cancels, 1);
    assert_int_equal(bus_request_left_ms(f->request[0]), 0);
    bus_reply(f->bus, f->request[0], BYTES_LIT("x"));
}

static void what_is_not_served_is_answered_unimplemented(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    ask(f, 9, 0, 5000);
    assert_int_equal(peer_take(&f->peer, WIRE_REPLY)->reply.status, STATUS_UNIMPLEMENTED);
}

static void on_drained(void *ctx)
{
    ++*(int *)ctx;
}

static void draining_takes_no_more_calls_and_waits_for_those_running(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    serve(f);
    ask(f, 9, 0, 5000);
    peer_until(&f->peer, &f->requests, 1);
    int drained = 0;
    bus_drain(f->bus, 5000, on_drained, &drained);
    assert_int_equal(peer_take(&f->peer, WIRE_SERVE)->serve.methods.items[0].capacity, 0);
    ask(f, 10, 0, 5000);
    assert_int_equal(peer_take(&f->peer, WIRE_REPLY)->reply.status, STATUS_UNAVAILABLE);
    assert_int_equal(drained, 0);
    bus_reply(f->bus, f->request[0], BYTES_LIT("x"));
    peer_until(&f->peer, &drained, 1);
    expect_reply(f, 0, true, "x");
}

static void a_worker_that_does_not_know_what_it_shall_send_again_begins_nothing(void **state)
{
    fixture_t *f = *state;
    f->bus = peer_client(&f->peer, NULL);
    assert_true(bus_serve(f->bus, "m.n", 4, on_request, f, NULL));
    wire_welcome_t welcome = peer_welcome("t");
    peer_greet(&f->peer, &welcome);
    (void)peer_take(&f->peer, WIRE_SERVE);
    const wire_call_t asked = {
        .caller = BYTES_LIT("other-1"), .number = 3, .method = BYTES_LIT("m.n"), .deadline_ms = 1000, .again = true};
    peer_say(&f->peer, WIRE_CALL, 0, &asked);
    const wire_reply_t *frame = &peer_take(&f->peer, WIRE_REPLY)->reply;
    assert_int_equal(frame->status, STATUS_UNAVAILABLE);
    assert_int_equal(f->requests, 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
    const struct CMUnitTest tests[] = {
        TEST(a_method_is_announced_with_its_capacity),
        TEST(a_request_is_answered_in_numbered_pieces),
        TEST(a_failure_is_answered_with_its_error),
        TEST(chunks_wait_for_the_reply_window),
        TEST(a_caller_that_vanished_in_the_middle_holds_up_no_memory),
        TEST(a_caller_that_asks_again_gets_the_rest),
        TEST(after_a_restart_of_the_broker_an_answer_waits_for_its_caller),
        TEST(a_cancelled_request_is_told_once_and_may_still_be_answered),
        TEST(a_request_whose_deadline_passes_is_cancelled),
        TEST(what_is_not_served_is_answered_unimplemented),
        TEST(draining_takes_no_more_calls_and_waits_for_those_running),
        TEST(a_worker_that_does_not_know_what_it_shall_send_again_begins_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
