/* test_core_receive.c: what RECEIVE promises on a standard queue, through the core's door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/msgpack.h"
#include "tests/lib/core_rig.h"

#define S INT64_C(1000000)
#define IN_FLIGHT 12 /* limit of these tests */

static const char topology[] = "{\"Buses\":[{\"Name\":\"shop\"}],"
                               "\"Queues\":[{\"QueueName\":\"plain\",\"Attributes\":{\"VisibilityTimeout\":10}},"
                               "{\"QueueName\":\"late\",\"Attributes\":{\"DelaySeconds\":5}},"
                               "{\"QueueName\":\"retry\",\"Attributes\":{\"VisibilityTimeout\":1,\"RedrivePolicy\":"
                               "{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":2}}},"
                               "{\"QueueName\":\"dead\"}]}";

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, &(core_limits_t){.in_flight = IN_FLIGHT, .receives = 3, .grace_ms = 600000, .heartbeat_ms = 60000});
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

static const wire_receive_t plain = {.queue = {(const uint8_t *)"plain", 5}, .max = 10, .visibility_ms = -1};

static void ask(rig_t *rig, uint64_t peer, uint64_t seq, const wire_receive_t *receive)
{
    rig_send(rig, peer, WIRE_RECEIVE, seq, receive);
}

static void send_some(rig_t *rig, const char *queue, int count)
{
    for (int i = 0; i < count; i++)
        rig_send_message(rig, 1, queue, "x");
}

/* The next RECEIVED to the peer, which must be there and answer `seq`. */
static const core_out_t *received(rig_t *rig, uint64_t peer, uint64_t seq)
{
    const core_out_t *out = rig_deliver(rig, peer);
    assert_non_null(out);
    assert_int_equal(out->deliver.verb, WIRE_RECEIVED);
    assert_int_equal(out->deliver.seq, seq);
    return out;
}

static core_item_t item_of(const rig_t *rig, const core_out_t *out, size_t nth)
{
    assert_true(nth < out->deliver.count);
    return rig->out.items[out->deliver.first + nth];
}

static void refused(rig_t *rig, const wire_receive_t *receive, const char *name)
{
    ask(rig, 2, 99, receive);
    const wire_msg_t *msg = rig_expect(rig, 2, WIRE_ERROR);
    assert_int_equal(msg->seq, 99);
    if (!bytes_eq_cstr(msg->error.name, name))
        fail_msg("%.*s instead of %s", BYTES_FMT(msg->error.name), name);
    assert_null(rig_deliver(rig, 2));
}

static void what_is_there_comes_at_once_in_order_and_no_more_than_asked_for(void **state)
{
    rig_t *rig = *state;
    send_some(rig, "plain", 5);
    wire_receive_t three = plain;
    three.max = 3;
    ask(rig, 2, 21, &three);
    const core_out_t *out = received(rig, 2, 21);
    assert_int_equal(out->deliver.count, 3);
    assert_true(item_of(rig, out, 0).record < item_of(rig, out, 1).record);
    assert_int_equal(item_of(rig, out, 0).receives, 1);
    core_item_t first = item_of(rig, out, 0);
    assert_int_equal(rig_settle(rig, 2, &first, WIRE_ACK, 0), 0);
    ask(rig, 2, 22, &plain);
    assert_int_equal(received(rig, 2, 22)->deliver.count, 2);
}

static void without_a_wait_an_empty_queue_answers_with_nothing_at_once(void **state)
{
    rig_t *rig = *state;
    ask(rig, 2, 21, &plain);
    assert_int_equal(received(rig, 2, 21)->deliver.count, 0);
    send_some(rig, "plain", 1);
    assert_null(rig_deliver(rig, 2));
}

static void a_waiting_receive_is_answered_by_the_first_message_that_comes(void **state)
{
    rig_t *rig = *state;
    wire_receive_t waiting = plain;
    waiting.wait_ms = 20000;
    ask(rig, 2, 21, &waiting);
    rig_sleep(rig, 19 * S);
    assert_null(rig_deliver(rig, 2));
    send_some(rig, "plain", 1);
    assert_int_equal(received(rig, 2, 21)->deliver.count, 1);
    send_some(rig, "plain", 1);
    assert_null(rig_deliver(rig, 2));
}

static void a_wait_that_is_over_is_answered_with_nothing_at_its_time(void **state)
{
    rig_t *rig = *state;
    wire_receive_t waiting = plain;
    waiting.wait_ms = 20000;
    ask(rig, 2, 21, &waiting);
    assert_int_equal(core_next_deadline_us(rig->core), rig->now_us + 20 * S);
    rig_sleep(rig, 20 * S - 1);
    assert_null(rig_deliver(rig, 2));
    rig_sleep(rig, 1);
    assert_int_equal(received(rig, 2, 21)->deliver.count, 0);
    rig_sleep(rig, 60 * S);
    assert_null(rig_deliver(rig, 2));
}

static void a_wait_ends_when_a_delay_or_a_visibility_does(void **state)
{
    rig_t *rig = *state;
    wire_receive_t waiting = {.queue = BYTES_LIT("late"), .max = 1, .wait_ms = 20000, .visibility_ms = 7000};
    send_some(rig, "late", 1);
    ask(rig, 2, 21, &waiting);
    assert_null(rig_deliver(rig, 2));
    rig_sleep(rig, 5 * S);
    assert_int_equal(received(rig, 2, 21)->deliver.count, 1);
    ask(rig, 2, 22, &waiting);
    rig_sleep(rig, 7 * S - 1);
    assert_null(rig_deliver(rig, 2));
    rig_sleep(rig, 1);
    assert_int_equal(item_of(rig, received(rig, 2, 22), 0).receives, 2);
}

static void the_visibility_of_a_receive_is_for_that_receive_alone(void **state)
{
    rig_t *rig = *state;
    wire_receive_t brief = plain;
    brief.visibility_ms = 2000;
    send_some(rig, "plain", 1);
    ask(rig, 2, 21, &brief);
    (void)received(rig, 2, 21);
    rig_sleep(rig, 2 * S);
    ask(rig, 2, 22, &plain);
    assert_int_equal(received(rig, 2, 22)->deliver.count, 1);
    rig_sleep(rig, 10 * S - 1);
    ask(rig, 2, 23, &plain);
    assert_int_equal(received(rig, 2, 23)->deliver.count, 0);
    rig_sleep(rig, 1);
    ask(rig, 2, 24, &plain);
    assert_int_equal(item_of(rig, received(rig, 2, 24), 0).receives, 3);
}

static void waiting_receives_are_served_in_the_order_in_which_they_came(void **state)
{
    rig_t *rig = *state;
    wire_receive_t waiting = plain;
    waiting.wait_ms = 20000;
    ask(rig, 1, 11, &waiting);
    ask(rig, 2, 21, &waiting);
    ask(rig, 2, 22, &waiting);
    for (uint64_t i = 0; i < 3; i++) {
        send_some(rig, "plain", 1);
        rig->taken = 0;
        const uint64_t peers[] = {1, 2, 2}, seqs[] = {11, 21, 22};
        (void)received(rig, peers[i], seqs[i]);
    }
}

static void receives_and_subscriptions_take_turns(void **state)
{
    rig_t *rig = *state;
    int pushed = 0, pulled = 0;
    rig_subscribe_queue(rig, 1, 1, "plain", 100);
    wire_receive_t waiting = plain;
    waiting.wait_ms = 20000;
    for (uint64_t i = 0; i < 5; i++) {
        ask(rig, 2, 20 + i, &waiting);
        for (int n = 0; n < 2; n++) {
            send_some(rig, "plain", 1);
            rig->taken = 0;
            pushed += rig_deliver(rig, 1) != NULL;
            rig->taken = 0;
            pulled += rig_deliver(rig, 2) != NULL;
        }
    }
    assert_int_equal(pushed, 5);
    assert_int_equal(pulled, 5);
}

static void a_lost_connection_takes_its_waiting_receives_along_and_no_message(void **state)
{
    rig_t *rig = *state;
    wire_receive_t waiting = plain;
    waiting.wait_ms = 20000;
    ask(rig, 2, 21, &waiting);
    rig_gone(rig, 2);
    send_some(rig, "plain", 1);
    assert_null(rig_deliver(rig, 2));
    ask(rig, 1, 11, &plain);
    assert_int_equal(item_of(rig, received(rig, 1, 11), 0).receives, 1);
    ask(rig, 1, 12, &waiting);
    rig_send(rig, 1, WIRE_BYE, 0, &(wire_bye_t){0});
    assert_null(rig_deliver(rig, 1));
}

static void a_message_received_too_often_goes_to_the_dead_letters_and_not_to_the_receiver(void **state)
{
    rig_t *rig = *state;
    wire_receive_t retry = {.queue = BYTES_LIT("retry"), .max = 10, .visibility_ms = -1};
    send_some(rig, "retry", 1);
    for (uint64_t i = 1; i <= 2; i++) {
        ask(rig, 2, i, &retry);
        assert_int_equal(item_of(rig, received(rig, 2, i), 0).receives, i);
        rig_sleep(rig, S);
    }
    ask(rig, 2, 3, &retry);
    assert_int_equal(received(rig, 2, 3)->deliver.count, 0);
    wire_receive_t dead = {.queue = BYTES_LIT("dead"), .max = 10, .visibility_ms = -1};
    ask(rig, 2, 4, &dead);
    const core_out_t *out = received(rig, 2, 4);
    assert_int_equal(out->deliver.count, 1);
    assert_true(item_of(rig, out, 0).extra_len > 0);
}

static void beyond_the_limit_in_flight_a_receive_is_refused_and_a_subscription_waits(void **state)
{
    rig_t *rig = *state;
    send_some(rig, "plain", IN_FLIGHT + 2);
    ask(rig, 2, 21, &plain);
    core_item_t first = item_of(rig, received(rig, 2, 21), 0);
    ask(rig, 2, 22, &plain);
    assert_int_equal(received(rig, 2, 22)->deliver.count, IN_FLIGHT - 10);
    refused(rig, &plain, "OverLimit");
    rig_subscribe_queue(rig, 1, 1, "plain", 100);
    assert_null(rig_deliver(rig, 1));
    assert_int_equal(rig_settle(rig, 2, &first, WIRE_ACK, 0), 0);
    rig->taken = 0;
    assert_int_equal(rig_deliver(rig, 1)->deliver.count, 1);
}

/* Time passes, and client 2 is heard of. */
static void sleep_awake(rig_t *rig, int64_t us)
{
    for (int64_t step_us = 60 * S; us > 0; us -= step_us) {
        rig_sleep(rig, us < step_us ? us : step_us);
        rig_send(rig, 2, WIRE_PING, 0, &(wire_ping_t){0});
    }
}

static void a_delivery_may_be_in_flight_for_twelve_hours_in_all_and_what_goes_beyond_is_refused(void **state)
{
    rig_t *rig = *state;
    const int64_t h_ms = 3600 * INT64_C(1000);
    send_some(rig, "plain", 1);
    ask(rig, 2, 21, &plain);
    core_item_t item = item_of(rig, received(rig, 2, 21), 0);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_EXTEND, 12 * h_ms), 0);
    for (int64_t hour = 1; hour < 12; hour++) {
        sleep_awake(rig, 3600 * S);
        assert_int_equal(rig_settle(rig, 2, &item, WIRE_EXTEND, (12 - hour) * h_ms + 1), STATUS_INVALID_ARGUMENT);
        assert_int_equal(rig_settle(rig, 2, &item, WIRE_EXTEND, (12 - hour) * h_ms), 0);
    }
    sleep_awake(rig, 3600 * S - 1);
    rig_hello(rig, 4, "four-000004", NULL);
    ask(rig, 4, 41, &plain);
    assert_int_equal(received(rig, 4, 41)->deliver.count, 0);
    rig_sleep(rig, 1);
    ask(rig, 4, 42, &plain);
    item = item_of(rig, received(rig, 4, 42), 0);
    assert_int_equal(item.receives, 2);
    assert_int_equal(rig_settle(rig, 4, &item, WIRE_EXTEND, 12 * h_ms), 0); /* another receive, another 12 hours */
}

static void attribute_selectors_travel_with_the_answer(void **state)
{
    rig_t *rig = *state;
    buf_t map = {0};
    const char *const names[] = {"origin", "trace.*"};
    mp_put_map(&map, 1);
    mp_put_cstr(&map, "MessageAttributeNames");
    size_t at = map.len;
    mp_put_array(&map, 2);
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        mp_put_cstr(&map, names[i]);
    wire_receive_t chosen = plain;
    chosen.attributes = buf_bytes(&map);
    send_some(rig, "plain", 1);
    ask(rig, 2, 21, &chosen);
    const core_out_t *out = received(rig, 2, 21);
    bytes_t select = bytes_from(rig->out.bytes.data + out->deliver.select_at, out->deliver.select_len);
    assert_true(bytes_eq(select, bytes_from(map.data + at, map.len - at)));
    ask(rig, 2, 22, &plain);
    assert_int_equal(received(rig, 2, 22)->deliver.select_len, 0);
    buf_free(&map);
}

static void what_is_out_of_bounds_is_refused_by_name(void **state)
{
    rig_t *rig = *state;
    const uint8_t wrong_key[] = {0x81, 0xa1, 'x', 0xc0},
                  wrong_type[] = {0x81, 0xb5, 'M', 'e', 's', 's', 'a', 'g', 'e', 'A', 't', 't',
                                  'r',  'i',  'b', 'u', 't', 'e', 'N', 'a', 'm', 'e', 's', 0xc0};
    const struct {
        wire_receive_t receive;
        const char *name;
    } cases[] = {
        {{.queue = BYTES_LIT("none"), .max = 1, .visibility_ms = -1}, "QueueDoesNotExist"},
        {{.queue = BYTES_LIT("plain"), .max = 0, .visibility_ms = -1}, "InvalidParameterValue"},
        {{.queue = BYTES_LIT("plain"), .max = 11, .visibility_ms = -1}, "InvalidParameterValue"},
        {{.queue = BYTES_LIT("plain"), .max = 1, .visibility_ms = -2}, "InvalidParameterValue"},
        {{.queue = BYTES_LIT("plain"), .max = 1, .visibility_ms = 43200001}, "InvalidParameterValue"},
        {{.queue = BYTES_LIT("plain"), .max = 1, .wait_ms = 20001, .visibility_ms = -1}, "InvalidParameterValue"},
        {{.queue = BYTES_LIT("plain"), .max = 1, .visibility_ms = -1, .attempt = BYTES_LIT("a")},
         "InvalidParameterValue"},
        {{.queue = BYTES_LIT("plain"), .max = 1, .visibility_ms = -1, .attributes = bytes_from(wrong_key, 4)},
         "InvalidParameterValue"},
        {{.queue = BYTES_LIT("plain"),
          .max = 1,
          .visibility_ms = -1,
          .attributes = bytes_from(wrong_type, sizeof wrong_type)},
         "InvalidParameterValue"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        refused(rig, &cases[i].receive, cases[i].name);
}

static void a_session_may_have_so_many_receives_waiting_and_no_more(void **state)
{
    rig_t *rig = *state;
    wire_receive_t waiting = plain;
    waiting.wait_ms = 20000;
    for (uint64_t i = 0; i < 3; i++)
        ask(rig, 2, 20 + i, &waiting);
    refused(rig, &waiting, "TOO_MANY_RECEIVES");
    rig_sleep(rig, 20 * S);
    ask(rig, 2, 30, &waiting);
    assert_null(rig_take(rig, 2));
}

static void a_queue_that_is_deleted_refuses_those_who_wait_at_it(void **state)
{
    rig_t *rig = *state;
    rig_send(rig, 1, WIRE_QUEUE, 3, &(wire_queue_t){.op = BYTES_LIT("create"), .name = BYTES_LIT("brief")});
    wire_receive_t waiting = {.queue = BYTES_LIT("brief"), .max = 1, .wait_ms = 20000, .visibility_ms = -1};
    ask(rig, 2, 21, &waiting);
    rig_send(rig, 1, WIRE_QUEUE, 4, &(wire_queue_t){.op = BYTES_LIT("delete"), .name = BYTES_LIT("brief")});
    const wire_msg_t *msg = rig_expect(rig, 2, WIRE_ERROR);
    assert_int_equal(msg->seq, 21);
    assert_true(bytes_eq_cstr(msg->error.name, "QueueDoesNotExist"));
    rig_sleep(rig, 30 * S);
    assert_null(rig_deliver(rig, 2));
}

static void a_received_message_survives_a_restart_with_its_receipt(void **state)
{
    rig_t *rig = *state;
    send_some(rig, "plain", 1);
    ask(rig, 2, 21, &plain);
    core_item_t item = item_of(rig, received(rig, 2, 21), 0);
    rig_restart(rig, 0);
    rig_hello(rig, 3, "three-000003", NULL);
    ask(rig, 3, 31, &plain);
    assert_int_equal(received(rig, 3, 31)->deliver.count, 0);
    assert_int_equal(rig_settle(rig, 3, &item, WIRE_ACK, 0), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(what_is_there_comes_at_once_in_order_and_no_more_than_asked_for),
        TEST(without_a_wait_an_empty_queue_answers_with_nothing_at_once),
        TEST(a_waiting_receive_is_answered_by_the_first_message_that_comes),
        TEST(a_wait_that_is_over_is_answered_with_nothing_at_its_time),
        TEST(a_wait_ends_when_a_delay_or_a_visibility_does),
        TEST(the_visibility_of_a_receive_is_for_that_receive_alone),
        TEST(waiting_receives_are_served_in_the_order_in_which_they_came),
        TEST(receives_and_subscriptions_take_turns),
        TEST(a_lost_connection_takes_its_waiting_receives_along_and_no_message),
        TEST(a_message_received_too_often_goes_to_the_dead_letters_and_not_to_the_receiver),
        TEST(beyond_the_limit_in_flight_a_receive_is_refused_and_a_subscription_waits),
        TEST(a_delivery_may_be_in_flight_for_twelve_hours_in_all_and_what_goes_beyond_is_refused),
        TEST(attribute_selectors_travel_with_the_answer),
        TEST(what_is_out_of_bounds_is_refused_by_name),
        TEST(a_session_may_have_so_many_receives_waiting_and_no_more),
        TEST(a_queue_that_is_deleted_refuses_those_who_wait_at_it),
        TEST(a_received_message_survives_a_restart_with_its_receipt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
