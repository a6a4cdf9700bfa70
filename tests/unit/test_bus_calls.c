/* test_bus_calls.c: calls made and answered by the bus client, held against a scripted broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/log.h"
#include "proto/msgpack.h"
#include "tests/lib/bus_peer.h"

typedef struct {
    peer_t peer;
    bus_t *bus;
    int done, chunks, requests, cancels, results, failures;
    bool failed;
    error_t err;
    char text[256]; /* bodies, one behind the other */
    bus_request_t *request[8];
} fixture_t;

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    log_start("test", "test-000001", LOG_ERROR + 1);
    peer_start(&f->peer);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    bus_free(&f->bus);
    peer_stop(&f->peer);
    free(f);
    return 0;
}

static void begin(fixture_t *f, uint64_t reply_window_bytes)
{
    wire_welcome_t welcome = peer_welcome("t");
    welcome.reply_window_bytes = reply_window_bytes;
    welcome.call_window = 2;
    f->bus = peer_client(&f->peer, NULL);
    peer_greet(&f->peer, &welcome);
}

static void greet_again(fixture_t *f)
{
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    wire_welcome_t welcome = peer_welcome("t");
    welcome.resumed = true;
    peer_greet(&f->peer, &welcome);
}

static void note(fixture_t *f, bytes_t text)
{
    size_t len = strlen(f->text);
    assert_true(len + text.len < sizeof f->text);
    if (text.len > 0)
        memcpy(f->text + len, text.data, text.len);
}

static void on_chunk(void *ctx, bytes_t chunk)
{
    fixture_t *f = ctx;
    f->chunks++;
    note(f, chunk);
}

static void on_done(void *ctx, const bus_reply_t *reply)
{
    fixture_t *f = ctx;
    f->done++;
    f->failed = reply->err != NULL;
    if (reply->err)
        f->err = *reply->err;
    note(f, reply->body);
}

static uint64_t call(fixture_t *f, int64_t timeout_ms, bool stream)
{
    bus_call_t options = {.method = "m.n",
                          .body = BYTES_LIT("\xa1q"),
                          .timeout_ms = timeout_ms,
                          .idempotent = true,
                          .on_chunk = stream ? on_chunk : NULL,
                          .on_done = on_done,
                          .ctx = f};
    uint64_t number = bus_call(f->bus, &options, NULL);
    assert_int_not_equal(number, 0);
    return number;
}

static void reply(fixture_t *f, uint64_t number, uint64_t chunk, bool final, const char *body)
{
    wire_reply_t frame = {.caller = BYTES_LIT("tester-000001"),
                          .number = number,
                          .chunk = chunk,
                          .final = final,
                          .worker = BYTES_LIT("worker-1"),
                          .body = bytes_cstr(body)};
    peer_say(&f->peer, WIRE_REPLY, 0, &frame);
}

/* -- making calls -------------------------------------------------------------------------------------- */
static void a_call_streams_its_chunks_in_order(void **state)
{
    fixture_t *f = *state;
    begin(f, 8);
    uint64_t number = call(f, 5000, true);
    const wire_call_t *frame = &peer_take(&f->peer, WIRE_CALL)->call;
    assert_true(bytes_eq_cstr(frame->caller, "tester-000001"));
    assert_true(bytes_eq_cstr(frame->method, "m.n"));
    assert_int_equal(frame->number, number);
    assert_in_range(frame->deadline_ms, 4000, 5000);
    assert_true(frame->stream && frame->idempotent);
    reply(f, number, 0, false, "ab");
    reply(f, number, 0, false, "ab"); /* twice */
    reply(f, number, 1, false, "cd");
    reply(f, number, 2, true, "!");
    peer_until(&f->peer, &f->done, 1);
    assert_string_equal(f->text, "abcd!");
    assert_int_equal(f->chunks, 2);
    assert_false(f->failed);
    assert_int_equal(peer_take(&f->peer, WIRE_REPLY_CREDIT)->reply_credit.bytes, 2);
    reply(f, number, 3, true, "late");
    peer_for(&f->peer, 10);
    assert_int_equal(f->done, 1);
}

static void a_missing_chunk_fails_the_call(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    uint64_t number = call(f, 5000, true);
    (void)peer_take(&f->peer, WIRE_CALL);
    reply(f, number, 0, false, "ab");
    reply(f, number, 2, false, "ef");
    peer_until(&f->peer, &f->done, 1);
    assert_int_equal(f->err.code, STATUS_DATA_LOSS);
    (void)peer_take(&f->peer, WIRE_CANCEL);
}

static void a_failed_reply_carries_its_error(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    uint64_t number = call(f, 5000, false);
    assert_false(peer_take(&f->peer, WIRE_CALL)->call.stream);
    wire_reply_t frame = {.caller = BYTES_LIT("tester-000001"),
                          .number = number,
                          .final = true,
                          .status = STATUS_RESOURCE_EXHAUSTED,
                          .aws = BYTES_LIT("ThrottlingException"),
                          .message = BYTES_LIT("too fast"),
                          .retry_after_ms = 70};
    peer_say(&f->peer, WIRE_REPLY, 0, &frame);
    peer_until(&f->peer, &f->done, 1);
    assert_int_equal(f->err.code, STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(f->err.aws, "ThrottlingException");
    assert_string_equal(f->err.message, "too fast");
    assert_int_equal(f->err.retry_after_ms, 70);
}

static void a_deadline_ends_the_call_and_cancels_it(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    uint64_t number = call(f, 30, false);
    assert_int_equal(peer_take(&f->peer, WIRE_CANCEL)->cancel.number, number);
    peer_until(&f->peer, &f->done, 1);
    assert_int_equal(f->err.code, STATUS_DEADLINE_EXCEEDED);
}

static void without_a_broker_the_deadline_says_so(void **state)
{
    fixture_t *f = *state;
    f->bus = peer_client(&f->peer, NULL);
    (void)call(f, 20, false);
    peer_until(&f->peer, &f->done, 1);
    assert_int_equal(f->err.code, STATUS_DEADLINE_EXCEEDED);
    assert_non_null(strstr(f->err.message, "broker"));
}

static void a_call_without_time_is_refused_here(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    error_t err;
    bus_call_t options = {.method = "m", .timeout_ms = 0, .on_done = on_done, .ctx = f};
    assert_int_equal(bus_call(f->bus, &options, &err), 0);
    assert_int_equal(err.code, STATUS_DEADLINE_EXCEEDED);
}

static void a_cancelled_call_is_not_answered_any_more(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    uint64_t number = call(f, 5000, false);
    (void)peer_take(&f->peer, WIRE_CALL);
    bus_cancel(f->bus, number, "changed my mind");
    assert_int_equal(peer_take(&f->peer, WIRE_CANCEL)->cancel.number, number);
    reply(f, number, 0, true, "x");
    peer_for(&f->peer, 20);
    assert_int_equal(f->done, 0);
}

static void no_more_calls_than_the_window_are_out(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    uint64_t first = call(f, 5000, false);
    (void)call(f, 5000, false);
    (void)call(f, 5000, false);
    (void)peer_take(&f->peer, WIRE_CALL);
    (void)peer_take(&f->peer, WIRE_CALL);
    peer_for(&f->peer, 20);
    assert_false(peer_has(&f->peer, WIRE_CALL));
    reply(f, first, 0, true, "x");
    (void)peer_take(&f->peer, WIRE_CALL);
}

static void after_a_lost_link_the_call_is_asked_again_from_where_it_was(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    uint64_t number = call(f, 5000, true);
    (void)peer_take(&f->peer, WIRE_CALL);
    reply(f, number, 0, false, "ab");
    peer_until(&f->peer, &f->chunks, 1);
    greet_again(f);
    const wire_call_t *frame = &peer_take(&f->peer, WIRE_CALL)->call;
    assert_int_equal(frame->number, number);
    assert_int_equal(frame->reply_from, 1);
    reply(f, number, 0, false, "ab");
    reply(f, number, 1, false, "cd");
    reply(f, number, 2, true, "");
    peer_until(&f->peer, &f->done, 1);
    assert_string_equal(f->text, "abcd");
}

static void a_refused_call_frame_ends_the_call(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    (void)call(f, 5000, false);
    peer_error(&f->peer, peer_take(&f->peer, WIRE_CALL)->seq, STATUS_PERMISSION_DENIED, "AccessDeniedException", "no");
    peer_until(&f->peer, &f->done, 1);
    assert_int_equal(f->err.code, STATUS_PERMISSION_DENIED);
}

/* -- answering calls ------------------------------------------------------------------------------------ */
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
    begin(f, 1 << 20);
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
    begin(f, 1 << 20);
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
    begin(f, 1 << 20);
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
    begin(f, 4);
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
    begin(f, 4);
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
    greet_again(f);
    const wire_serve_t *frame = &peer_take(&f->peer, WIRE_SERVE)->serve;
    assert_in_range(frame->running.count, 1, LATER - 1); /* of 14 MiB no more than 8 are remembered */
    for (uint32_t i = 0; i < frame->running.count; i++)
        assert_int_not_equal(frame->running.items[i].number, 1);
}

static void a_caller_that_asks_again_gets_the_rest(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    serve(f);
    ask(f, 9, 0, 5000);
    peer_until(&f->peer, &f->requests, 1);
    bus_chunk(f->bus, f->request[0], BYTES_LIT("ab"));
    bus_chunk(f->bus, f->request[0], BYTES_LIT("cd"));
    expect_reply(f, 0, false, "ab");
    expect_reply(f, 1, false, "cd");
    greet_again(f);
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
    begin(f, 1 << 20);
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
    begin(f, 1 << 20);
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
    begin(f, 1 << 20);
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
    begin(f, 1 << 20);
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
    begin(f, 1 << 20);
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

/* -- administration ---------------------------------------------------------------------------------------- */
static void on_result(void *ctx, const error_t *err, bytes_t result)
{
    fixture_t *f = ctx;
    if (err)
        f->err = *err;
    note(f, result);
    *(err ? &f->failures : &f->results) += 1;
}

static bool admin(fixture_t *f, int64_t timeout_ms)
{
    return bus_admin(f->bus, WIRE_QUEUE, "info", "q", BYTES_NONE, BYTES_NONE, timeout_ms, on_result, f, NULL);
}

static void a_question_is_answered_refused_or_timed_out(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    assert_true(admin(f, 5000));
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_QUEUE);
    assert_true(bytes_eq_cstr(msg->queue.op, "info"));
    assert_true(bytes_eq_cstr(msg->queue.name, "q"));
    wire_result_t result = {.body = BYTES_LIT("yes")};
    peer_say(&f->peer, WIRE_RESULT, msg->seq, &result);
    peer_until(&f->peer, &f->results, 1);
    assert_string_equal(f->text, "yes");
    assert_true(admin(f, 5000));
    peer_error(&f->peer, peer_take(&f->peer, WIRE_QUEUE)->seq, STATUS_NOT_FOUND, "QueueDoesNotExist", "no");
    peer_until(&f->peer, &f->failures, 1);
    assert_string_equal(f->err.aws, "QueueDoesNotExist");
    assert_true(admin(f, 20));
    peer_until(&f->peer, &f->failures, 2);
    assert_int_equal(f->err.code, STATUS_DEADLINE_EXCEEDED);
    assert_true(admin(f, 5000));
    (void)peer_take(&f->peer, WIRE_QUEUE);
    (void)peer_take(&f->peer, WIRE_QUEUE);
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    peer_until(&f->peer, &f->failures, 3);
    assert_int_equal(f->err.code, STATUS_UNAVAILABLE);
}

/* -- ending -------------------------------------------------------------------------------------------- */
/* A service asks again when a call fails, through the handle it keeps. */
static void on_done_ask_again(void *ctx, const bus_reply_t *reply)
{
    fixture_t *f = ctx;
    f->done++;
    assert_int_equal(reply->err->code, STATUS_CANCELLED);
    bus_call_t again = {.method = "m.n", .timeout_ms = 1000, .on_done = on_done, .ctx = f};
    assert_non_null(f->bus);
    assert_int_equal(bus_call(f->bus, &again, &f->err), 0);
}

static void a_callback_at_the_end_may_ask_again_and_is_refused(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    bus_call_t options = {.method = "m.n", .timeout_ms = 5000, .on_done = on_done_ask_again, .ctx = f};
    assert_int_not_equal(bus_call(f->bus, &options, NULL), 0);
    (void)peer_take(&f->peer, WIRE_CALL);
    bus_free(&f->bus);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->err.code, STATUS_CANCELLED);
    assert_null(f->bus);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void a_call_that_is_asked_again_says_so(void **state)
{
    fixture_t *f = *state;
    begin(f, 1 << 20);
    uint64_t number = call(f, 5000, false);
    assert_false(peer_take(&f->peer, WIRE_CALL)->call.again);
    greet_again(f);
    const wire_call_t *frame = &peer_take(&f->peer, WIRE_CALL)->call;
    assert_int_equal(frame->number, number);
    assert_true(frame->again);
    (void)call(f, 5000, false); /* and a new one does not */
    assert_false(peer_take(&f->peer, WIRE_CALL)->call.again);
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
    const struct CMUnitTest tests[] = {
        TEST(a_call_streams_its_chunks_in_order),
        TEST(a_call_that_is_asked_again_says_so),
        TEST(a_worker_that_does_not_know_what_it_shall_send_again_begins_nothing),
        TEST(a_missing_chunk_fails_the_call),
        TEST(a_failed_reply_carries_its_error),
        TEST(a_deadline_ends_the_call_and_cancels_it),
        TEST(without_a_broker_the_deadline_says_so),
        TEST(a_call_without_time_is_refused_here),
        TEST(a_cancelled_call_is_not_answered_any_more),
        TEST(no_more_calls_than_the_window_are_out),
        TEST(after_a_lost_link_the_call_is_asked_again_from_where_it_was),
        TEST(a_refused_call_frame_ends_the_call),
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
        TEST(a_question_is_answered_refused_or_timed_out),
        TEST(a_callback_at_the_end_may_ask_again_and_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
