/* test_bus_hand.c: RECEIVE and SETTLE by hand, held against a scripted broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/log.h"
#include "tests/lib/bus_peer.h"

typedef struct {
    peer_t peer;
    bus_t *bus;
    int answers, failures;
    uint64_t record; /* of the first message */
    uint32_t results;
    error_t err;
} fixture_t;

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    log_start("test", "test-000001", LOG_ERROR + 1);
    peer_start(&f->peer);
    f->bus = peer_client(&f->peer, NULL);
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

static void greet(fixture_t *f)
{
    wire_welcome_t welcome = peer_welcome("t");
    peer_greet(&f->peer, &welcome);
    peer_for(&f->peer, 0);
    while (!bus_is_up(f->bus))
        peer_for(&f->peer, 1);
}

static void on_answer(void *ctx, const error_t *err, const wire_msg_t *answer)
{
    fixture_t *f = ctx;
    if (err)
        f->err = *err;
    else if (answer->verb == WIRE_RECEIVED)
        f->record = answer->received.deliveries.count ? answer->received.deliveries.items[0].record : 0;
    else
        f->results = answer->settled.results.count;
    *(err ? &f->failures : &f->answers) += 1;
}

static bool receive(fixture_t *f)
{
    const wire_receive_t ask = {.queue = BYTES_LIT("q"), .max = 3, .visibility_ms = 5000};
    return bus_receive_once(f->bus, &ask, on_answer, f, &f->err);
}

static bool settle(fixture_t *f)
{
    static wire_settle_t ask; /* a list is large */
    ask.entries.count = 1;
    ask.entries.items[0] = (wire_settle_entry_t){.receipt = BYTES_LIT("r"), .action = WIRE_ACK};
    return bus_settle_once(f->bus, &ask, on_answer, f, &f->err);
}

static void what_was_received_comes_as_the_broker_sent_it(void **state)
{
    fixture_t *f = *state;
    static wire_received_t received;
    greet(f);
    assert_true(receive(f));
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_RECEIVE);
    assert_int_equal(msg->receive.max, 3);
    assert_int_equal(msg->receive.visibility_ms, 5000);
    received.deliveries.count = 1;
    received.deliveries.items[0] = (wire_delivery_t){.receipt = BYTES_LIT("r"), .record = 7, .body = BYTES_LIT("\xc0")};
    peer_say(&f->peer, WIRE_RECEIVED, msg->seq, &received);
    peer_until(&f->peer, &f->answers, 1);
    assert_int_equal(f->record, 7);
}

static void settlements_are_answered_entry_by_entry(void **state)
{
    fixture_t *f = *state;
    static wire_settled_t settled;
    greet(f);
    assert_true(settle(f));
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_SETTLE);
    assert_true(bytes_eq_cstr(msg->settle.entries.items[0].receipt, "r"));
    settled.results.count = 1;
    peer_say(&f->peer, WIRE_SETTLED, msg->seq, &settled);
    peer_until(&f->peer, &f->answers, 1);
    assert_int_equal(f->results, 1);
}

static void a_refusal_is_told_to_who_asked(void **state)
{
    fixture_t *f = *state;
    greet(f);
    assert_true(receive(f));
    peer_error(&f->peer, peer_take(&f->peer, WIRE_RECEIVE)->seq, STATUS_NOT_FOUND, "QueueDoesNotExist", "no");
    peer_until(&f->peer, &f->failures, 1);
    assert_string_equal(f->err.aws, "QueueDoesNotExist");
}

static void a_lost_session_ends_what_was_asked_and_nothing_is_sent_twice(void **state)
{
    fixture_t *f = *state;
    greet(f);
    assert_true(receive(f) && settle(f));
    (void)peer_take(&f->peer, WIRE_RECEIVE);
    (void)peer_take(&f->peer, WIRE_SETTLE);
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    peer_until(&f->peer, &f->failures, 2);
    assert_int_equal(f->err.code, STATUS_UNAVAILABLE);
    greet(f);
    peer_for(&f->peer, 20);
    assert_false(peer_has(&f->peer, WIRE_RECEIVE) || peer_has(&f->peer, WIRE_SETTLE));
}

static void without_a_session_it_is_refused_at_once(void **state)
{
    fixture_t *f = *state;
    assert_false(receive(f));
    assert_int_equal(f->err.code, STATUS_UNAVAILABLE);
    assert_int_equal(f->failures, 0);
}

static void the_end_of_the_client_is_told(void **state)
{
    fixture_t *f = *state;
    greet(f);
    assert_true(receive(f));
    bus_free(&f->bus);
    assert_int_equal(f->failures, 1);
    assert_int_equal(f->err.code, STATUS_CANCELLED);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_received_comes_as_the_broker_sent_it),
        TEST(settlements_are_answered_entry_by_entry),
        TEST(a_refusal_is_told_to_who_asked),
        TEST(a_lost_session_ends_what_was_asked_and_nothing_is_sent_twice),
        TEST(without_a_session_it_is_refused_at_once),
        TEST(the_end_of_the_client_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
