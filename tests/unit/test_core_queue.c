/* test_core_queue.c: what a standard queue promises, through the core's door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "proto/attrs.h"
#include "tests/lib/core_rig.h"

#define S INT64_C(1000000)

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"shop\"}],"
    "\"Rules\":[{\"Name\":\"all\",\"EventBusName\":\"shop\",\"EventPattern\":{\"source\":[\"test\"]},"
    "\"Targets\":[{\"Id\":\"t\",\"Arn\":\"work\"}]}],"
    "\"Queues\":[{\"QueueName\":\"work\",\"Attributes\":{\"VisibilityTimeout\":30,"
    "\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":2}}},"
    "{\"QueueName\":\"plain\",\"Attributes\":{\"VisibilityTimeout\":10,\"MessageRetentionPeriod\":60}},"
    "{\"QueueName\":\"dead\"}]}";

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    rig_topology(rig, topology);
    rig_hello(rig, 1, "one-000001", NULL);
    rig_hello(rig, 2, "two-000002", NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static core_item_t item_at(const rig_t *rig, const core_out_t *deliver, size_t nth)
{
    assert_non_null(deliver);
    assert_true(nth < deliver->deliver.count);
    return rig->out.items[deliver->deliver.first + nth];
}

static core_queue_stats_t found;
static void keep_named(void *ctx, const core_queue_stats_t *queue)
{
    if (bytes_eq_cstr(bytes_cstr(queue->name), ctx))
        found = *queue;
}

static core_queue_stats_t stats_of(const rig_t *rig, char *name)
{
    found = (core_queue_stats_t){0};
    core_each_queue(rig->core, keep_named, name);
    assert_non_null(found.name);
    return found;
}

static void an_event_that_a_rule_matches_reaches_the_subscriber_of_its_queue(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 5, "work", 10);
    uint64_t record = rig_publish(rig, 1, "shop", "hello");
    const core_out_t *deliver = rig_deliver(rig, 2);
    core_item_t item = item_at(rig, deliver, 0);
    assert_int_equal(deliver->deliver.sub, 5);
    assert_int_equal(deliver->after, record);
    assert_int_equal(item.record, record);
    assert_int_equal(item.route, 0);
    assert_int_equal(item.receives, 1);
    assert_int_equal(item.receipt_len, CORE_RECEIPT_BYTES);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_ACK, 0), 0);
    assert_int_equal(stats_of(rig, "work").in_flight, 0);
}

static void nothing_is_delivered_without_credit_and_credit_brings_what_waits(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 5, "plain", 1);
    rig_send_message(rig, 1, "plain", "a");
    assert_non_null(rig_deliver(rig, 2));
    rig_send_message(rig, 1, "plain", "b");
    assert_null(rig_deliver(rig, 2));
    rig_send(rig, 2, WIRE_CREDIT, 0, &(wire_credit_t){.sub = 5, .messages = 1, .bytes = 1});
    assert_int_equal(item_at(rig, rig_deliver(rig, 2), 0).receives, 1);
}

static void consumers_of_one_queue_take_turns(void **state)
{
    rig_t *rig = *state;
    int got[3] = {0};
    rig_subscribe_queue(rig, 1, 1, "plain", 100);
    rig_subscribe_queue(rig, 2, 1, "plain", 100);
    for (int i = 0; i < 10; i++) {
        rig_send_message(rig, 1, "plain", "x");
        for (uint64_t peer = 1; peer <= 2; peer++) {
            rig->taken = 0;
            got[peer] += rig_deliver(rig, peer) != NULL;
        }
    }
    assert_int_equal(got[1], 5);
    assert_int_equal(got[2], 5);
}

static void a_delivery_not_settled_in_time_comes_again_and_counts(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 5, "plain", 10);
    rig_send_message(rig, 1, "plain", "a");
    core_item_t first = item_at(rig, rig_deliver(rig, 2), 0);
    rig_send(rig, 2, WIRE_PING, 1, &(wire_ping_t){0});
    for (int i = 0; i < 4; i++) {
        rig_sleep(rig, 2 * S);
        assert_null(rig_deliver(rig, 2));
        rig_send(rig, 2, WIRE_PING, 1, &(wire_ping_t){0});
    }
    rig_sleep(rig, 2 * S);
    core_item_t again = item_at(rig, rig_deliver(rig, 2), 0);
    assert_int_equal(again.receives, 2);
    assert_int_equal(again.record, first.record);
    assert_int_equal(again.first_receive_us, first.first_receive_us);
    assert_int_equal(rig_settle(rig, 2, &first, WIRE_EXTEND, 1000), STATUS_INVALID_ARGUMENT);
    assert_int_equal(rig_settle(rig, 2, &again, WIRE_ACK, 0), 0);
    assert_int_equal(rig_settle(rig, 2, &again, WIRE_ACK, 0), 0);
    assert_int_equal(rig_settle(rig, 2, &again, WIRE_EXTEND, 1000), STATUS_FAILED_PRECONDITION);
}

static void a_message_received_too_often_moves_to_the_dead_letters_with_its_reason(void **state)
{
    rig_t *rig = *state;
    bytes_t reason, source, rule;
    rig_subscribe_queue(rig, 2, 5, "work", 10);
    uint64_t record = rig_publish(rig, 1, "shop", "poison");
    core_item_t item = item_at(rig, rig_deliver(rig, 2), 0);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_RELEASE, 0), 0);
    item = item_at(rig, rig_deliver(rig, 2), 0);
    assert_int_equal(item.receives, 2);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_RELEASE, 0), 0);
    assert_null(rig_deliver(rig, 2));
    assert_int_equal(stats_of(rig, "dead").visible, 1);
    rig_subscribe_queue(rig, 2, 6, "dead", 10);
    item = item_at(rig, rig_deliver(rig, 2), 0);
    assert_int_equal(item.record, record);
    assert_int_equal(item.receives, 1);
    bytes_t extra = bytes_from(rig->out.bytes.data + item.extra_at, item.extra_len);
    assert_true(attrs_str(extra, ATTR_DEAD_LETTER_REASON, &reason) && bytes_eq_cstr(reason, "max-receives"));
    assert_true(attrs_str(extra, ATTR_DEAD_LETTER_SOURCE, &source) && bytes_eq_cstr(source, "work"));
    assert_true(attrs_str(extra, ATTR_RULE_ARN, &rule) &&
                bytes_eq_cstr(rule, "arn:aws:events:local:000000000000:rule/shop/all"));
}

static void a_rejected_message_is_dead_lettered_at_once_or_comes_back_where_no_queue_is_named(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 5, "work", 10);
    rig_publish(rig, 1, "shop", "bad");
    core_item_t item = item_at(rig, rig_deliver(rig, 2), 0);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_REJECT, 0), 0);
    assert_int_equal(stats_of(rig, "work").in_flight, 0);
    assert_int_equal(stats_of(rig, "dead").visible, 1);
    rig_subscribe_queue(rig, 2, 6, "plain", 10);
    rig_send_message(rig, 1, "plain", "bad");
    item = item_at(rig, rig_deliver(rig, 2), 0);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_REJECT, 0), 0);
    assert_int_equal(stats_of(rig, "plain").delayed, 1);
}

static void a_message_too_old_is_dropped_with_a_count_and_a_line(void **state)
{
    rig_t *rig = *state;
    core_stats_t stats;
    rig_send_message(rig, 1, "plain", "old");
    rig_sleep(rig, 61 * S);
    core_stats(rig->core, &stats);
    assert_int_equal(stats.expired, 1);
    assert_int_equal(stats.dropped, 1);
    assert_int_equal(stats_of(rig, "plain").visible, 0);
}

static void receipts_and_counts_survive_a_restart(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 5, "work", 10);
    rig_publish(rig, 1, "shop", "a");
    core_item_t item = item_at(rig, rig_deliver(rig, 2), 0);
    uint64_t before = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), before);
    assert_int_equal(stats_of(rig, "work").in_flight, 1);
    rig_hello(rig, 3, "three-000003", NULL);
    assert_int_equal(rig_settle(rig, 3, &item, WIRE_ACK, 0), 0);
    assert_int_equal(stats_of(rig, "work").in_flight, 0);
}

static void an_ack_holds_even_when_the_crash_lost_the_record_of_the_delivery(void **state)
{
    rig_t *rig = *state;
    uint64_t record = rig_publish(rig, 1, "shop", "a");
    rig_subscribe_queue(rig, 2, 5, "work", 10);
    core_item_t item = item_at(rig, rig_deliver(rig, 2), 0);
    rig_restart(rig, record);
    assert_int_equal(stats_of(rig, "work").visible, 1);
    rig_hello(rig, 3, "three-000003", NULL);
    assert_int_equal(rig_settle(rig, 3, &item, WIRE_ACK, 0), 0);
    assert_int_equal(stats_of(rig, "work").visible, 0);
}

static void what_a_session_held_returns_when_its_grace_is_over(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 5, "work", 10);
    rig_publish(rig, 1, "shop", "a");
    rig_sleep(rig, 7 * S);
    assert_int_equal(stats_of(rig, "work").in_flight, 1);
    rig_sleep(rig, 22 * S);
    assert_int_equal(stats_of(rig, "work").in_flight, 1);
    rig_sleep(rig, 2 * S);
    assert_int_equal(stats_of(rig, "work").visible, 1);
}

static void a_bye_returns_at_once(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 5, "work", 10);
    rig_publish(rig, 1, "shop", "a");
    rig_send(rig, 2, WIRE_BYE, 0, &(wire_bye_t){0});
    assert_int_equal(stats_of(rig, "work").visible, 1);
    rig_send(rig, 2, WIRE_PING, 3, &(wire_ping_t){0});
    const wire_msg_t *msg = rig_expect(rig, 2, WIRE_ERROR);
    assert_int_equal(msg->seq, 3);
    assert_true(bytes_eq_cstr(msg->error.name, "NO_SESSION"));
}

static void what_came_frame_by_frame_leaves_in_one_delivery(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 5, "plain", 10);
    rig->more = true;
    for (int i = 0; i < 3; i++) {
        (void)rig_send_message(rig, 1, "plain", "m");
        assert_null(rig_deliver(rig, 2));
    }
    rig->more = false;
    uint64_t last = rig_send_message(rig, 1, "plain", "m");
    const core_out_t *deliver = rig_deliver(rig, 2);
    assert_int_equal(item_at(rig, deliver, 3).record, last);
    assert_int_equal(deliver->deliver.count, 4);
    assert_null(rig_deliver(rig, 2));
}

static void a_queue_dropped_before_its_delivery_is_not_looked_for(void **state)
{
    rig_t *rig = *state;
    rig_send(rig, 1, WIRE_QUEUE, 6, &(wire_queue_t){.op = BYTES_LIT("create"), .name = BYTES_LIT("made")});
    (void)rig_expect(rig, 1, WIRE_RESULT);
    rig_subscribe_queue(rig, 2, 5, "made", 10);
    rig->more = true;
    (void)rig_send_message(rig, 1, "made", "m");
    rig_send(rig, 1, WIRE_QUEUE, 7, &(wire_queue_t){.op = BYTES_LIT("delete"), .name = BYTES_LIT("made")});
    (void)rig_expect(rig, 1, WIRE_RESULT);
    rig->more = false;
    rig_send(rig, 1, WIRE_PING, 8, &(wire_ping_t){0});
    assert_null(rig_deliver(rig, 2));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(an_event_that_a_rule_matches_reaches_the_subscriber_of_its_queue),
        TEST(nothing_is_delivered_without_credit_and_credit_brings_what_waits),
        TEST(consumers_of_one_queue_take_turns),
        TEST(a_delivery_not_settled_in_time_comes_again_and_counts),
        TEST(a_message_received_too_often_moves_to_the_dead_letters_with_its_reason),
        TEST(a_rejected_message_is_dead_lettered_at_once_or_comes_back_where_no_queue_is_named),
        TEST(a_message_too_old_is_dropped_with_a_count_and_a_line),
        TEST(receipts_and_counts_survive_a_restart),
        TEST(an_ack_holds_even_when_the_crash_lost_the_record_of_the_delivery),
        TEST(what_a_session_held_returns_when_its_grace_is_over),
        TEST(a_bye_returns_at_once),
        TEST(what_came_frame_by_frame_leaves_in_one_delivery),
        TEST(a_queue_dropped_before_its_delivery_is_not_looked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
