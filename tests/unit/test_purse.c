/* test_purse.c: permits drawn by the bus client and kept in a purse, held against a scripted broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "kit/purse.h"
#include "tests/lib/bus_peer.h"

typedef struct {
    peer_t peer;
    bus_t *bus;
    purse_t *purse;
    int answers, changes;
    bus_permit_t permit;
    error_t err;
} fixture_t;

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    log_start("test", "test-000001", LOG_ERROR + 1);
    peer_start(&f->peer);
    f->bus = peer_client(&f->peer, NULL);
    wire_welcome_t welcome = peer_welcome("t");
    peer_greet(&f->peer, &welcome);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    bus_free(&f->bus);
    purse_free(&f->purse); /* in the order of a service's end */
    peer_stop(&f->peer);
    free(f);
    return 0;
}

static void on_permit(void *ctx, const bus_permit_t *permit)
{
    fixture_t *f = ctx;
    f->answers++;
    f->permit = *permit;
    if (permit->err)
        f->err = *permit->err;
}

static uint64_t draw(fixture_t *f, int64_t wait_ms)
{
    const bus_draw_t options = {
        .bucket = "erp", .tokens = 3, .priority = 1, .wait_ms = wait_ms, .fn = on_permit, .ctx = f};
    uint64_t number = bus_permit(f->bus, &options, NULL);
    assert_int_not_equal(number, 0);
    return number;
}

static void on_change(void *ctx)
{
    ((fixture_t *)ctx)->changes++;
}

static void open_purse(fixture_t *f, uint32_t most)
{
    const purse_options_t options = {.bucket = "erp", .most = most, .on_change = on_change, .ctx = f};
    f->purse = purse_new(f->peer.loop, f->bus, &options, NULL);
    assert_non_null(f->purse);
}

static void grant(fixture_t *f, uint64_t seq, uint64_t tokens, uint64_t permit, uint64_t expires_ms)
{
    const wire_permitted_t frame = {.tokens = tokens, .expires_ms = expires_ms, .permit = permit};
    peer_say(&f->peer, WIRE_PERMITTED, seq, &frame);
}

/* -- draws ------------------------------------------------------------------------------------------------ */
static void a_draw_is_answered_and_timed_by_the_askers_clock(void **state)
{
    fixture_t *f = *state;
    int64_t before_us = clock_mono_us();
    (void)draw(f, 700);
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_PERMIT);
    assert_true(bytes_eq_cstr(msg->permit.bucket, "erp"));
    assert_int_equal(msg->permit.tokens, 3);
    assert_int_equal(msg->permit.priority, 1);
    assert_int_equal(msg->permit.wait_ms, 700);
    const wire_permitted_t frame = {.tokens = 2, .expires_ms = 5000, .permit = 8, .waited_ms = 300};
    peer_say(&f->peer, WIRE_PERMITTED, msg->seq, &frame);
    peer_until(&f->peer, &f->answers, 1);
    assert_int_equal(f->permit.tokens, 2);
    assert_int_equal(f->permit.permit, 8);
    assert_in_range(f->permit.until_us, before_us + 5300 * 1000, clock_mono_us() + 5300 * 1000);
}

static void a_refused_draw_carries_its_error(void **state)
{
    fixture_t *f = *state;
    (void)draw(f, 0);
    peer_error(&f->peer, peer_take(&f->peer, WIRE_PERMIT)->seq, STATUS_NOT_FOUND, "ResourceNotFoundException", "none");
    peer_until(&f->peer, &f->answers, 1);
    assert_int_equal(f->err.code, STATUS_NOT_FOUND);
}

static void a_lost_connection_ends_a_draw(void **state)
{
    fixture_t *f = *state;
    (void)draw(f, 60000);
    (void)peer_take(&f->peer, WIRE_PERMIT);
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    peer_until(&f->peer, &f->answers, 1);
    assert_int_equal(f->err.code, STATUS_UNAVAILABLE);
}

static void what_is_granted_after_all_goes_back_when_nobody_waits_for_it(void **state)
{
    fixture_t *f = *state;
    bus_permit_cancel(f->bus, draw(f, 1000)); /* not sent yet: it never is */
    uint64_t number = draw(f, 1000);
    uint64_t seq = peer_take(&f->peer, WIRE_PERMIT)->seq;
    bus_permit_cancel(f->bus, number);
    grant(f, seq, 2, 77, 1000);
    const wire_permit_t *back = &peer_take(&f->peer, WIRE_PERMIT)->permit;
    assert_int_equal(back->tokens, 0);
    assert_int_equal(back->permit, 77);
    assert_int_equal(back->unused, 2);
    assert_int_equal(f->answers, 0);
}

static void the_end_of_the_bus_ends_a_draw(void **state)
{
    fixture_t *f = *state;
    (void)draw(f, 60000);
    bus_free(&f->bus);
    assert_int_equal(f->answers, 1);
    assert_int_equal(f->err.code, STATUS_CANCELLED);
}

/* -- the purse ---------------------------------------------------------------------------------------------- */
static void a_purse_draws_what_is_needed_and_gives_it_out_token_by_token(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 4);
    assert_false(purse_take(f->purse));
    purse_need(f->purse, 0, 2);
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_PERMIT);
    assert_int_equal(msg->permit.tokens, 2);
    grant(f, msg->seq, 2, 1, 60000);
    peer_until(&f->peer, &f->changes, 1);
    assert_true(purse_take(f->purse));
    assert_true(purse_take(f->purse));
    assert_false(purse_take(f->purse));
}

static void a_purse_asks_for_no_more_than_it_may_hold(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 4);
    purse_need(f->purse, 1, 1000);
    assert_int_equal(peer_take(&f->peer, WIRE_PERMIT)->permit.tokens, 4);
    purse_need(f->purse, 1, 2000);
    peer_for(&f->peer, 30);
    assert_false(peer_has(&f->peer, WIRE_PERMIT));
}

static void a_higher_priority_asks_beside_a_lower_one(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 2);
    purse_need(f->purse, 2, 50);
    assert_int_equal(peer_take(&f->peer, WIRE_PERMIT)->permit.priority, 2);
    purse_need(f->purse, 0, 3);
    const wire_permit_t *frame = &peer_take(&f->peer, WIRE_PERMIT)->permit;
    assert_int_equal(frame->priority, 0);
    assert_int_equal(frame->tokens, 1);
}

static void what_nobody_needs_any_more_goes_back(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 4);
    purse_need(f->purse, 0, 3);
    grant(f, peer_take(&f->peer, WIRE_PERMIT)->seq, 3, 5, 60000);
    peer_until(&f->peer, &f->changes, 1);
    assert_true(purse_take(f->purse));
    purse_need(f->purse, 0, 0);
    const wire_permit_t *back = &peer_take(&f->peer, WIRE_PERMIT)->permit;
    assert_int_equal(back->permit, 5);
    assert_int_equal(back->unused, 2);
    assert_false(purse_take(f->purse));
}

static void a_permit_that_ran_out_is_worth_nothing_and_another_is_drawn(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 4);
    purse_need(f->purse, 0, 1);
    grant(f, peer_take(&f->peer, WIRE_PERMIT)->seq, 1, 5, 30);
    peer_until(&f->peer, &f->changes, 1);
    peer_for(&f->peer, 50);
    assert_false(purse_take(f->purse));
    assert_int_equal(peer_take(&f->peer, WIRE_PERMIT)->permit.tokens, 1);
}

static void a_permit_that_arrives_void_goes_back(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 4);
    purse_need(f->purse, 0, 1);
    uint64_t seq = peer_take(&f->peer, WIRE_PERMIT)->seq;
    peer_for(&f->peer, 20);
    grant(f, seq, 1, 5, 10);
    for (int i = 0; i < 2; i++) { /* one gives back, one asks anew */
        const wire_permit_t *frame = &peer_take(&f->peer, WIRE_PERMIT)->permit;
        assert_true(frame->tokens ? frame->tokens == 1 : frame->permit == 5 && frame->unused == 1);
    }
    assert_false(purse_take(f->purse));
}

static void a_bucket_that_is_not_there_is_said_to_be_missing(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 4);
    assert_true(purse_is_there(f->purse));
    purse_need(f->purse, 0, 1);
    peer_error(&f->peer, peer_take(&f->peer, WIRE_PERMIT)->seq, STATUS_NOT_FOUND, "ResourceNotFoundException", "none");
    peer_until(&f->peer, &f->changes, 1);
    assert_false(purse_is_there(f->purse));
    peer_for(&f->peer, 100);
    assert_false(peer_has(&f->peer, WIRE_PERMIT)); /* it is not pestered */
}

static void after_a_refusal_it_is_asked_again_when_the_broker_said(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 4);
    purse_need(f->purse, 0, 1);
    const wire_error_t busy = {.status = STATUS_RESOURCE_EXHAUSTED,
                               .name = BYTES_LIT("ThrottlingException"),
                               .message = BYTES_LIT("later"),
                               .retry_after_ms = 40};
    uint64_t seq = peer_take(&f->peer, WIRE_PERMIT)->seq;
    int64_t before_us = clock_mono_us();
    peer_say(&f->peer, WIRE_ERROR, seq, &busy);
    assert_int_equal(peer_take(&f->peer, WIRE_PERMIT)->permit.tokens, 1);
    assert_true(clock_mono_us() - before_us >= 40 * 1000);
    assert_true(purse_is_there(f->purse));
}

static void a_purse_asks_again_with_the_next_session(void **state)
{
    fixture_t *f = *state;
    open_purse(f, 4);
    purse_need(f->purse, 0, 1);
    (void)peer_take(&f->peer, WIRE_PERMIT);
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    wire_welcome_t welcome = peer_welcome("t");
    peer_greet(&f->peer, &welcome);
    assert_int_equal(peer_take(&f->peer, WIRE_PERMIT)->permit.tokens, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_draw_is_answered_and_timed_by_the_askers_clock),
        TEST(a_refused_draw_carries_its_error),
        TEST(a_lost_connection_ends_a_draw),
        TEST(what_is_granted_after_all_goes_back_when_nobody_waits_for_it),
        TEST(the_end_of_the_bus_ends_a_draw),
        TEST(a_purse_draws_what_is_needed_and_gives_it_out_token_by_token),
        TEST(a_purse_asks_for_no_more_than_it_may_hold),
        TEST(a_higher_priority_asks_beside_a_lower_one),
        TEST(what_nobody_needs_any_more_goes_back),
        TEST(a_permit_that_ran_out_is_worth_nothing_and_another_is_drawn),
        TEST(a_permit_that_arrives_void_goes_back),
        TEST(a_bucket_that_is_not_there_is_said_to_be_missing),
        TEST(after_a_refusal_it_is_asked_again_when_the_broker_said),
        TEST(a_purse_asks_again_with_the_next_session),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
