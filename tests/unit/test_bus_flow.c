/* test_bus_flow.c: consuming, listening and draining of the bus client, held against a scripted broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "proto/msgpack.h"
#include "tests/lib/bus_peer.h"

typedef struct {
    peer_t peer;
    bus_t *bus;
    int ups, deliveries, gaps, subscribed, refused, drained;
    bus_delivery_t *held[64];
    uint64_t records[64];
    uint64_t gap_from, gap_next;
    bool ack_at_once;
    error_t err;
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

static void on_message(void *ctx, bus_delivery_t *delivery)
{
    fixture_t *f = ctx;
    f->records[f->deliveries] = delivery->record;
    f->held[f->deliveries++] = delivery;
    if (f->ack_at_once)
        bus_ack(f->bus, delivery);
}

static void on_event(void *ctx, bus_delivery_t *delivery)
{
    fixture_t *f = ctx;
    f->records[f->deliveries++] = delivery->record;
}

static void on_gap(void *ctx, uint64_t from, uint64_t next)
{
    fixture_t *f = ctx;
    f->gap_from = from;
    f->gap_next = next;
    f->gaps++;
}

static void on_subscribed(void *ctx, uint64_t next)
{
    (void)next;
    fixture_t *f = ctx;
    f->subscribed++;
}

static void on_refused(void *ctx, const error_t *err)
{
    fixture_t *f = ctx;
    f->err = *err;
    f->refused++;
}

static void on_drained(void *ctx)
{
    fixture_t *f = ctx;
    f->drained++;
}

static void begin(fixture_t *f)
{
    wire_welcome_t welcome = peer_welcome("t");
    f->bus = peer_client(&f->peer, NULL);
    peer_greet(&f->peer, &welcome);
}

static void greet_again(fixture_t *f, bool resumed)
{
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    wire_welcome_t welcome = peer_welcome("t");
    welcome.resumed = resumed;
    peer_greet(&f->peer, &welcome);
}

static void accept_sub(fixture_t *f, const wire_msg_t *msg, uint64_t next, int64_t visibility_ms)
{
    wire_subscribed_t answer = {.sub = msg->subscribe.sub, .next = next, .visibility_ms = visibility_ms};
    peer_say(&f->peer, WIRE_SUBSCRIBED, msg->seq, &answer);
}

/* A consumer of queue "q" whose subscription is accepted; its number is 1. */
static void consume(fixture_t *f, uint64_t messages, int64_t visibility_ms)
{
    bus_consume_t options = {
        .queue = "q", .messages = messages, .bytes = 1000, .visibility_ms = -1, .fn = on_message, .ctx = f};
    assert_true(bus_consume(f->bus, &options, NULL));
    accept_sub(f, peer_take(&f->peer, WIRE_SUBSCRIBE), 0, visibility_ms);
}

static uint64_t listen_to(fixture_t *f, uint64_t from)
{
    bus_listen_t options = {.bus = "b",
                            .name = "n",
                            .pattern = "{}",
                            .from = from,
                            .live_only = true,
                            .messages = 4,
                            .bytes = 1000,
                            .fn = on_event,
                            .on_gap = on_gap,
                            .on_subscribed = on_subscribed,
                            .on_refused = on_refused,
                            .ctx = f};
    uint64_t number = bus_listen(f->bus, &options, NULL);
    assert_int_not_equal(number, 0);
    return number;
}

static const uint8_t body[] = {0x81, 0xa1, 'a', 0x01};

/* Messages with these records and receipts r<last digit of the record>; events, without receipts. */
static void deliver(fixture_t *f, bool has_receipt, uint64_t first, uint32_t count)
{
    static const char receipts[][3] = {"r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9"};
    wire_deliver_t *frame = calloc(1, sizeof *frame);
    frame->sub = 1;
    frame->deliveries.count = count;
    for (uint32_t i = 0; i < count; i++)
        frame->deliveries.items[i] =
            (wire_delivery_t){.receipt = has_receipt ? bytes_cstr(receipts[(first + i) % 10]) : BYTES_NONE,
                              .record = first + i,
                              .receives = 1,
                              .source = BYTES_LIT("q"),
                              .body = bytes_from(body, sizeof body)};
    peer_say(&f->peer, WIRE_DELIVER, 0, frame);
    free(frame);
}

static void settled(fixture_t *f, const wire_msg_t *msg)
{
    wire_settled_t *frame = calloc(1, sizeof *frame);
    frame->results.count = msg->settle.entries.count;
    peer_say(&f->peer, WIRE_SETTLED, msg->seq, frame);
    free(frame);
}

/* -- queues ------------------------------------------------------------------------------------------ */
static void a_queue_is_consumed_and_settled_in_one_frame(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume(f, 4, 30000);
    deliver(f, true, 1, 3);
    peer_until(&f->peer, &f->deliveries, 3);
    assert_int_equal(f->held[0]->receives, 1);
    assert_memory_equal(f->held[2]->body.data, body, sizeof body);
    bus_ack(f->bus, f->held[0]);
    bus_release(f->bus, f->held[1], 500, "later");
    bus_reject(f->bus, f->held[2], "broken");
    const wire_settle_t *settle = &peer_take(&f->peer, WIRE_SETTLE)->settle;
    assert_int_equal(settle->entries.count, 3);
    assert_int_equal(settle->entries.items[0].action, WIRE_ACK);
    assert_true(bytes_eq_cstr(settle->entries.items[0].receipt, "r1"));
    assert_int_equal(settle->entries.items[1].action, WIRE_RELEASE);
    assert_int_equal(settle->entries.items[1].delay_ms, 500);
    assert_int_equal(settle->entries.items[2].action, WIRE_REJECT);
    assert_true(bytes_eq_cstr(settle->entries.items[2].reason, "broken"));
    const wire_credit_t *credit = &peer_take(&f->peer, WIRE_CREDIT)->credit;
    assert_int_equal(credit->sub, 1);
    assert_int_equal(credit->messages, 3);
    assert_int_equal(credit->bytes, 3 * sizeof body);
}

/* A pause that a backend asked for may be of any length; one that the broker refuses would be no pause at all. */
static void a_message_is_released_for_no_longer_than_the_broker_takes(void **state)
{
    fixture_t *f = *state;
    static const int64_t asked_ms[] = {-1, INT64_MAX, BUS_DELAY_MAX_MS + 1, 7};
    static const int64_t told_ms[] = {0, BUS_DELAY_MAX_MS, BUS_DELAY_MAX_MS, 7};
    begin(f);
    consume(f, 8, -1);
    deliver(f, true, 1, ARRAY_LEN(asked_ms));
    peer_until(&f->peer, &f->deliveries, ARRAY_LEN(asked_ms));
    for (size_t i = 0; i < ARRAY_LEN(asked_ms); i++)
        bus_release(f->bus, f->held[i], asked_ms[i], "later");
    const wire_settle_t *frame = &peer_take(&f->peer, WIRE_SETTLE)->settle;
    assert_int_equal(frame->entries.count, ARRAY_LEN(asked_ms));
    for (size_t i = 0; i < ARRAY_LEN(told_ms); i++)
        assert_int_equal(frame->entries.items[i].delay_ms, told_ms[i]);
}

static void a_subscription_asks_for_its_credit(void **state)
{
    fixture_t *f = *state;
    begin(f);
    bus_consume_t options = {.queue = "q", .messages = 9000, .visibility_ms = 60000, .fn = on_message, .ctx = f};
    assert_true(bus_consume(f->bus, &options, NULL));
    const wire_subscribe_t *frame = &peer_take(&f->peer, WIRE_SUBSCRIBE)->subscribe;
    assert_int_equal(frame->kind, WIRE_SUBSCRIBE_QUEUE);
    assert_true(bytes_eq_cstr(frame->target, "q"));
    assert_int_equal(frame->messages, 4096); /* never above the broker's window */
    assert_int_equal(frame->bytes, 4 << 20);
    assert_int_equal(frame->visibility_ms, 60000);
}

static void what_is_held_is_extended(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume(f, 4, 90);
    deliver(f, true, 1, 1);
    const wire_settle_t *settle = &peer_take(&f->peer, WIRE_SETTLE)->settle;
    assert_int_equal(settle->entries.items[0].action, WIRE_EXTEND);
    assert_int_equal(settle->entries.items[0].delay_ms, 90);
    (void)peer_take(&f->peer, WIRE_SETTLE);
    bus_ack(f->bus, f->held[0]);
    while (peer_take(&f->peer, WIRE_SETTLE)->settle.entries.items[0].action == WIRE_EXTEND)
        ;
    peer_for(&f->peer, 100);
    assert_false(peer_has(&f->peer, WIRE_SETTLE));
}

static void consume_for(fixture_t *f, int64_t visibility_ms, int64_t hold_max_ms)
{
    const bus_consume_t options = {.queue = "q",
                                   .messages = 4,
                                   .bytes = 1000,
                                   .visibility_ms = -1,
                                   .hold_max_ms = hold_max_ms,
                                   .fn = on_message,
                                   .ctx = f};
    assert_true(bus_consume(f->bus, &options, NULL));
    accept_sub(f, peer_take(&f->peer, WIRE_SUBSCRIBE), 0, visibility_ms);
}

static void several_that_are_held_are_extended_in_one_frame(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume(f, 4, 90);
    deliver(f, true, 1, 3);
    assert_int_equal(peer_take(&f->peer, WIRE_SETTLE)->settle.entries.count, 3);
}

/* The last extension reaches as far as the handler may hold it, and no further. */
static void a_message_is_held_no_longer_than_it_may_be(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume_for(f, 300, 200);
    deliver(f, true, 1, 1);
    const wire_settle_entry_t *entry = &peer_take(&f->peer, WIRE_SETTLE)->settle.entries.items[0];
    assert_int_equal(entry->action, WIRE_EXTEND);
    assert_true(entry->delay_ms <= 150);
    peer_for(&f->peer, 200);
    peer_forget(&f->peer);
    peer_for(&f->peer, 250);
    assert_false(peer_has(&f->peer, WIRE_SETTLE));
    bus_ack(f->bus, f->held[0]); /* which may be too late, and is for the broker to say */
    assert_int_equal(peer_take(&f->peer, WIRE_SETTLE)->settle.entries.items[0].action, WIRE_ACK);
}

static void nothing_is_extended_where_that_is_not_wanted(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume_for(f, 60, -1);
    deliver(f, true, 1, 1);
    peer_for(&f->peer, 150);
    assert_false(peer_has(&f->peer, WIRE_SETTLE));
}

static void a_refused_extension_is_not_asked_for_again(void **state)
{
    fixture_t *f = *state;
    wire_settled_t *answer = calloc(1, sizeof *answer);
    assert_non_null(answer);
    begin(f);
    consume(f, 4, 90);
    deliver(f, true, 1, 1);
    answer->results.count = 1;
    answer->results.items[0] = (wire_status_entry_t){.status = STATUS_FAILED_PRECONDITION,
                                                     .aws = BYTES_LIT("MessageNotInflight"),
                                                     .message = BYTES_LIT("it is somebody else's")};
    peer_say(&f->peer, WIRE_SETTLED, peer_take(&f->peer, WIRE_SETTLE)->seq, answer);
    peer_for(&f->peer, 20);
    peer_forget(&f->peer);
    peer_for(&f->peer, 150);
    assert_false(peer_has(&f->peer, WIRE_SETTLE));
    free(answer);
}

static void a_lost_session_ends_extending(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume(f, 4, 60);
    deliver(f, true, 1, 1);
    (void)peer_take(&f->peer, WIRE_SETTLE);
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    wire_welcome_t welcome = peer_welcome("u");
    peer_greet(&f->peer, &welcome); /* not resumed */
    peer_forget(&f->peer);
    accept_sub(f, peer_take(&f->peer, WIRE_SUBSCRIBE), 0, 60);
    peer_for(&f->peer, 150);
    assert_false(peer_has(&f->peer, WIRE_SETTLE));
}

static void credit_is_given_back_in_pieces(void **state)
{
    fixture_t *f = *state;
    f->ack_at_once = true;
    begin(f);
    consume(f, 16, 30000);
    deliver(f, true, 1, 3);
    (void)peer_take(&f->peer, WIRE_SETTLE);
    peer_for(&f->peer, 10);
    assert_false(peer_has(&f->peer, WIRE_CREDIT));
    deliver(f, true, 4, 1);
    assert_int_equal(peer_take(&f->peer, WIRE_CREDIT)->credit.messages, 4);
}

static void a_resumed_session_keeps_its_deliveries(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume(f, 4, 30000);
    deliver(f, true, 1, 2);
    peer_until(&f->peer, &f->deliveries, 2);
    bus_ack(f->bus, f->held[0]);
    (void)peer_take(&f->peer, WIRE_SETTLE); /* and no answer */
    greet_again(f, true);
    const wire_subscribe_t *frame = &peer_take(&f->peer, WIRE_SUBSCRIBE)->subscribe;
    assert_int_equal(frame->sub, 1);
    assert_int_equal(frame->messages, 3); /* one is still held */
    const wire_settle_t *settle = &peer_take(&f->peer, WIRE_SETTLE)->settle;
    assert_true(bytes_eq_cstr(settle->entries.items[0].receipt, "r1"));
    bus_ack(f->bus, f->held[1]);
    assert_true(bytes_eq_cstr(peer_take(&f->peer, WIRE_SETTLE)->settle.entries.items[0].receipt, "r2"));
}

static void settling_for_a_session_that_is_over_has_no_effect(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume(f, 4, 30000);
    deliver(f, true, 1, 2);
    peer_until(&f->peer, &f->deliveries, 2);
    bus_ack(f->bus, f->held[0]);
    (void)peer_take(&f->peer, WIRE_SETTLE);
    greet_again(f, false);
    (void)peer_take(&f->peer, WIRE_SUBSCRIBE);
    bus_ack(f->bus, f->held[1]);
    (void)peer_take(&f->peer, WIRE_CREDIT);
    assert_false(peer_has(&f->peer, WIRE_SETTLE));
}

/* -- buses ------------------------------------------------------------------------------------------- */
static void a_listener_goes_on_behind_the_last_event_it_saw(void **state)
{
    fixture_t *f = *state;
    begin(f);
    (void)listen_to(f, 0);
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_SUBSCRIBE);
    assert_int_equal(msg->subscribe.kind, WIRE_SUBSCRIBE_BUS);
    assert_int_equal(msg->subscribe.from, 0);
    assert_true(bytes_eq_cstr(msg->subscribe.name, "n"));
    assert_true(bytes_eq_cstr(msg->subscribe.pattern, "{}"));
    assert_true(msg->subscribe.live_only);
    accept_sub(f, msg, 40, 0);
    peer_until(&f->peer, &f->subscribed, 1);
    deliver(f, false, 42, 2);
    peer_until(&f->peer, &f->deliveries, 2);
    assert_int_equal(f->records[1], 43);
    assert_int_equal(peer_take(&f->peer, WIRE_CREDIT)->credit.messages, 2);
    greet_again(f, true);
    msg = peer_take(&f->peer, WIRE_SUBSCRIBE);
    assert_int_equal(msg->subscribe.from, 44);
    assert_int_equal(msg->subscribe.messages, 4);
    accept_sub(f, msg, 44, 0);
    peer_until(&f->peer, &f->subscribed, 2);
    assert_int_equal(f->gaps, 0);
}

static void a_gap_is_told(void **state)
{
    fixture_t *f = *state;
    begin(f);
    (void)listen_to(f, 10);
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_SUBSCRIBE);
    accept_sub(f, msg, 20, 0); /* 10 is no longer there */
    peer_until(&f->peer, &f->gaps, 1);
    assert_int_equal(f->gap_from, 10);
    assert_int_equal(f->gap_next, 20);
    wire_gap_t gap = {.sub = 1, .from = 30, .next = 90};
    peer_say(&f->peer, WIRE_GAP, 0, &gap);
    peer_until(&f->peer, &f->gaps, 2);
    assert_int_equal(f->gap_next, 90);
    greet_again(f, true);
    assert_int_equal(peer_take(&f->peer, WIRE_SUBSCRIBE)->subscribe.from, 90);
}

static void a_refused_subscription_is_told_and_asked_again_with_the_next_session(void **state)
{
    fixture_t *f = *state;
    begin(f);
    (void)listen_to(f, 0);
    peer_error(&f->peer, peer_take(&f->peer, WIRE_SUBSCRIBE)->seq, STATUS_NOT_FOUND, "ResourceNotFoundException",
               "no such bus");
    peer_until(&f->peer, &f->refused, 1);
    assert_int_equal(f->err.code, STATUS_NOT_FOUND);
    peer_for(&f->peer, 20);
    assert_false(peer_has(&f->peer, WIRE_SUBSCRIBE));
    greet_again(f, true);
    (void)peer_take(&f->peer, WIRE_SUBSCRIBE);
}

static void an_ended_listener_hears_nothing_more(void **state)
{
    fixture_t *f = *state;
    begin(f);
    uint64_t number = listen_to(f, 0);
    accept_sub(f, peer_take(&f->peer, WIRE_SUBSCRIBE), 40, 0);
    peer_until(&f->peer, &f->subscribed, 1);
    bus_unlisten(f->bus, number);
    deliver(f, false, 42, 1);
    assert_int_equal(peer_take(&f->peer, WIRE_UNSUBSCRIBE)->unsubscribe.sub, number);
    peer_for(&f->peer, 20);
    assert_int_equal(f->deliveries, 0);
    bus_unlisten(f->bus, number); /* nothing to end any more */
}

/* -- draining ---------------------------------------------------------------------------------------- */
static void draining_waits_for_what_is_in_hand(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume(f, 4, 30000);
    deliver(f, true, 1, 1);
    peer_until(&f->peer, &f->deliveries, 1);
    bus_drain(f->bus, 5000, on_drained, f);
    (void)peer_take(&f->peer, WIRE_UNSUBSCRIBE);
    deliver(f, true, 2, 1); /* was on its way */
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_SETTLE);
    assert_int_equal(msg->settle.entries.items[0].action, WIRE_RELEASE);
    settled(f, msg);
    peer_for(&f->peer, 20);
    assert_int_equal(f->drained, 0);
    assert_int_equal(f->deliveries, 1);
    bus_ack(f->bus, f->held[0]);
    msg = peer_take(&f->peer, WIRE_SETTLE);
    assert_int_equal(f->drained, 0); /* not before the broker has it */
    settled(f, msg);
    peer_until(&f->peer, &f->drained, 1);
}

static void draining_is_over_when_its_time_is(void **state)
{
    fixture_t *f = *state;
    begin(f);
    consume(f, 4, 30000);
    deliver(f, true, 1, 1);
    peer_until(&f->peer, &f->deliveries, 1);
    bus_drain(f->bus, 30, on_drained, f);
    peer_until(&f->peer, &f->drained, 1);
    assert_int_equal(peer_take(&f->peer, WIRE_SETTLE)->settle.entries.items[0].action, WIRE_RELEASE);
}

static void draining_with_nothing_in_hand_is_over_at_once(void **state)
{
    fixture_t *f = *state;
    begin(f);
    bus_drain(f->bus, 60000, on_drained, f);
    assert_int_equal(f->drained, 0);
    peer_until(&f->peer, &f->drained, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queue_is_consumed_and_settled_in_one_frame),
        TEST(a_message_is_released_for_no_longer_than_the_broker_takes),
        TEST(a_subscription_asks_for_its_credit),
        TEST(what_is_held_is_extended),
        TEST(several_that_are_held_are_extended_in_one_frame),
        TEST(a_message_is_held_no_longer_than_it_may_be),
        TEST(nothing_is_extended_where_that_is_not_wanted),
        TEST(a_refused_extension_is_not_asked_for_again),
        TEST(a_lost_session_ends_extending),
        TEST(credit_is_given_back_in_pieces),
        TEST(a_resumed_session_keeps_its_deliveries),
        TEST(settling_for_a_session_that_is_over_has_no_effect),
        TEST(a_listener_goes_on_behind_the_last_event_it_saw),
        TEST(a_gap_is_told),
        TEST(a_refused_subscription_is_told_and_asked_again_with_the_next_session),
        TEST(an_ended_listener_hears_nothing_more),
        TEST(draining_waits_for_what_is_in_hand),
        TEST(draining_is_over_when_its_time_is),
        TEST(draining_with_nothing_in_hand_is_over_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
