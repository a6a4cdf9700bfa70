/* test_bus_calls.c: calls made by the bus client, held against a scripted broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/bus_calls_rig.h"

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

/* -- making calls ---------------------------------------------------------------------------------------- */
static void a_call_streams_its_chunks_in_order(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 8);
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
    fixture_begin(f, 1 << 20);
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
    fixture_begin(f, 1 << 20);
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
    fixture_begin(f, 1 << 20);
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
    fixture_begin(f, 1 << 20);
    error_t err;
    bus_call_t options = {.method = "m", .timeout_ms = 0, .on_done = on_done, .ctx = f};
    assert_int_equal(bus_call(f->bus, &options, &err), 0);
    assert_int_equal(err.code, STATUS_DEADLINE_EXCEEDED);
}

static void a_cancelled_call_is_not_answered_any_more(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
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
    fixture_begin(f, 1 << 20);
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
    fixture_begin(f, 1 << 20);
    uint64_t number = call(f, 5000, true);
    (void)peer_take(&f->peer, WIRE_CALL);
    reply(f, number, 0, false, "ab");
    peer_until(&f->peer, &f->chunks, 1);
    fixture_greet_again(f);
    const wire_call_t *frame = &peer_take(&f->peer, WIRE_CALL)->call;
    assert_int_equal(frame->number, number);
    assert_int_equal(frame->reply_from, 1);
    reply(f, number, 0, false, "ab");
    reply(f, number, 1, false, "cd");
    reply(f, number, 2, true, "");
    peer_until(&f->peer, &f->done, 1);
    assert_string_equal(f->text, "abcd");
}

static void a_call_that_is_asked_again_says_so(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    uint64_t number = call(f, 5000, false);
    assert_false(peer_take(&f->peer, WIRE_CALL)->call.again);
    fixture_greet_again(f);
    const wire_call_t *frame = &peer_take(&f->peer, WIRE_CALL)->call;
    assert_int_equal(frame->number, number);
    assert_true(frame->again);
    (void)call(f, 5000, false); /* and a new one does not */
    assert_false(peer_take(&f->peer, WIRE_CALL)->call.again);
}

static void a_refused_call_frame_ends_the_call(void **state)
{
    fixture_t *f = *state;
    fixture_begin(f, 1 << 20);
    (void)call(f, 5000, false);
    peer_error(&f->peer, peer_take(&f->peer, WIRE_CALL)->seq, STATUS_PERMISSION_DENIED, "AccessDeniedException", "no");
    peer_until(&f->peer, &f->done, 1);
    assert_int_equal(f->err.code, STATUS_PERMISSION_DENIED);
}

/* -- administration -------------------------------------------------------------------------------------- */
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
    fixture_begin(f, 1 << 20);
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

/* -- ending ---------------------------------------------------------------------------------------------- */
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
    fixture_begin(f, 1 << 20);
    bus_call_t options = {.method = "m.n", .timeout_ms = 5000, .on_done = on_done_ask_again, .ctx = f};
    assert_int_not_equal(bus_call(f->bus, &options, NULL), 0);
    (void)peer_take(&f->peer, WIRE_CALL);
    bus_free(&f->bus);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->err.code, STATUS_CANCELLED);
    assert_null(f->bus);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, fixture_new, fixture_free)
    const struct CMUnitTest tests[] = {
        TEST(a_call_streams_its_chunks_in_order),
        TEST(a_missing_chunk_fails_the_call),
        TEST(a_failed_reply_carries_its_error),
        TEST(a_deadline_ends_the_call_and_cancels_it),
        TEST(without_a_broker_the_deadline_says_so),
        TEST(a_call_without_time_is_refused_here),
        TEST(a_cancelled_call_is_not_answered_any_more),
        TEST(no_more_calls_than_the_window_are_out),
        TEST(after_a_lost_link_the_call_is_asked_again_from_where_it_was),
        TEST(a_call_that_is_asked_again_says_so),
        TEST(a_refused_call_frame_ends_the_call),
        TEST(a_question_is_answered_refused_or_timed_out),
        TEST(a_callback_at_the_end_may_ask_again_and_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
