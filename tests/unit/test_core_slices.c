/* test_core_slices.c: what concerns a whole queue is done a slice at a time, and is as good as done at once.
 *
 * Work is counted, not timed: messages freed and records written by one step. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/slice.h"
#include "broker/core/state.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "tests/lib/sqs_case.h"

#define MANY 3000u        /* several slices */
#define RECORDS_A_STEP 8u /* of a step beside those of its slice: answers, logs, remarks */

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"shop\"}],\"Rules\":[],"
    "\"Queues\":[{\"QueueName\":\"plain\",\"Attributes\":{\"VisibilityTimeout\":30,\"MessageRetentionPeriod\":600}},"
    "{\"QueueName\":\"aging\",\"Attributes\":{\"MessageRetentionPeriod\":60,\"RedrivePolicy\":"
    "{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":9}}},"
    "{\"QueueName\":\"line.fifo\",\"Attributes\":{\"FifoQueue\":true,\"VisibilityTimeout\":30}},"
    "{\"QueueName\":\"dead\"}]}";

static void hello(rig_t *rig)
{
    rig_hello(rig, 1, "one-000001", NULL);
    rig_hello(rig, 2, "two-000002", NULL);
}

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig_open(rig, &(core_limits_t){.grace_ms = 36000000, .heartbeat_ms = 3600000});
    rig_topology(rig, topology);
    hello(rig);
    *state = rig;
    return 0;
}

static void send_many(rig_t *rig, const char *queue, unsigned count, unsigned groups)
{
    wire_send_t *send = calloc(1, sizeof *send);
    char group[16], dedup[24];
    assert_non_null(send);
    send->queue = bytes_cstr(queue);
    send->entries.count = 1;
    for (unsigned i = 0; i < count; i++) {
        (void)snprintf(group, sizeof group, "g%u", groups ? i % groups : 0);
        (void)snprintf(dedup, sizeof dedup, "id-%llu", (unsigned long long)rig->records);
        send->entries.items[0] = sqs_entry(groups ? group : "", groups ? dedup : "");
        rig_send(rig, 1, WIRE_SEND, 8, send);
        assert_int_equal(rig_expect(rig, 1, WIRE_SENT)->sent.results.items[0].status, 0);
    }
    free(send);
}

static void check(const rig_t *rig)
{
    error_t err;
    if (!core_check(rig->core, &err))
        fail_msg("%s", err.message);
}

/* The state is what the journal says, whatever was freed so far. */
static void check_recovery(rig_t *rig)
{
    rig_hello(rig, 9, "mark-000001", NULL); /* a record of this moment: recovery knows no other clock */
    rig_send(rig, 9, WIRE_BYE, 0, &(wire_bye_t){0});
    error_t err = {0};
    core_t *second = core_new(&rig->config, &err);
    assert_non_null(second);
    for (uint64_t seq = 1; seq <= rig->records; seq++)
        assert_true(core_apply(second, rig_record(rig, seq), &err));
    assert_int_equal(core_digest(second), core_digest(rig->core));
    core_free(&second);
}

static uint32_t kept(const rig_t *rig)
{
    return rig->core->messages.all.used;
}

/* Lets the core go on by itself until it has nothing more to do at once. No step may do more than a slice; how many
 * steps did something. */
static unsigned settle_down(rig_t *rig)
{
    unsigned steps = 0;
    while (core_next_deadline_us(rig->core) <= rig->now_us + SLICE_PERIOD_US) {
        uint64_t records = rig->records;
        uint32_t before = kept(rig);
        rig_sleep(rig, core_next_deadline_us(rig->core) > rig->now_us ? SLICE_PERIOD_US : 0);
        assert_true(before - kept(rig) <= SLICE_MESSAGES || kept(rig) >= before);
        assert_true(rig->records - records <= SLICE_MESSAGES + RECORDS_A_STEP);
        check(rig);
        if (++steps > 10 * MANY)
            fail_msg("it never comes to rest");
    }
    return steps;
}

static uint64_t purge(rig_t *rig, const char *queue)
{
    uint64_t count = 0;
    assert_true(mp_map_u64(sqs_ask(rig, "purge", queue, NULL), "count", &count));
    return count;
}

static void a_purge_is_done_when_it_is_answered_and_frees_a_slice_in_each_step(void **state)
{
    rig_t *rig = *state;
    send_many(rig, "plain", MANY, 0);
    send_many(rig, "dead", 10, 0);
    assert_int_equal(purge(rig, "plain"), MANY);
    assert_in_range(kept(rig), MANY - SLICE_MESSAGES, MANY + 10);
    assert_int_equal(sqs_number(rig, "plain", "visible"), 0);
    assert_int_equal(sqs_number(rig, "plain", "bytes"), 0);
    check(rig);
    check_recovery(rig);
    uint64_t newer = sqs_send(rig, "plain", "");
    sqs_got_t got = sqs_receive(rig, "plain", 10);
    sqs_expect(&got, &newer, 1);
    assert_in_range(settle_down(rig), (MANY / SLICE_MESSAGES) - 2, MANY);
    assert_int_equal(kept(rig), 11);
    assert_int_equal(rig->core->condemned.count, 0);
    sqs_ack(rig, &got.items[0]);
    check_recovery(rig);
}

static void a_client_between_two_slices_waits_for_one_of_them_at_most(void **state)
{
    rig_t *rig = *state;
    send_many(rig, "plain", MANY, 0);
    (void)purge(rig, "plain");
    uint32_t before = kept(rig);
    for (int i = 0; i < 50; i++)
        sqs_send(rig, "dead", "");
    assert_in_range(kept(rig), before + 50 - SLICE_MESSAGES, before + 50); /* no time has passed */
    settle_down(rig);
    assert_int_equal(kept(rig), 50);
}

static void of_a_purged_queue_what_is_in_flight_and_what_is_delayed_is_gone_as_well(void **state)
{
    rig_t *rig = *state;
    wire_send_entry_t late = sqs_entry("", "");
    late.delay_ms = 5000;
    send_many(rig, "plain", MANY, 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(sqs_try_send(rig, "plain", &late).status, 0);
    sqs_got_t got = sqs_receive(rig, "plain", 10);
    assert_int_equal(got.count, 10);
    assert_int_equal(purge(rig, "plain"), MANY + 3);
    assert_int_equal(sqs_number(rig, "plain", "in_flight"), 0);
    assert_int_equal(sqs_number(rig, "plain", "delayed"), 0);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_ACK, 0), 0); /* SQS: to delete what is gone succeeds */
    assert_int_equal(rig_settle(rig, 2, &got.items[1], WIRE_RELEASE, 0), STATUS_FAILED_PRECONDITION);
    check_recovery(rig);
    rig_sleep(rig, 60 * S); /* their visibility and their delay end, and nothing comes of it */
    assert_int_equal(sqs_receive(rig, "plain", 10).count, 0);
    settle_down(rig);
    assert_int_equal(kept(rig), 0);
    check_recovery(rig);
}

static void those_who_wait_for_a_purged_queue_are_served_by_what_comes_after(void **state)
{
    rig_t *rig = *state;
    send_many(rig, "line.fifo", MANY, 7);
    (void)purge(rig, "line.fifo");
    rig_subscribe_queue(rig, 2, 4, "line.fifo", 100);
    rig_send(rig, 1, WIRE_RECEIVE, 5,
             &(wire_receive_t){.queue = BYTES_LIT("plain"), .max = 1, .visibility_ms = -1, .wait_ms = 20000});
    send_many(rig, "plain", 1, 0);
    settle_down(rig);
    send_many(rig, "line.fifo", 1, 1);
    assert_non_null(rig_deliver(rig, 2));
    check(rig);
    check_recovery(rig);
}

static void subscriptions_and_receives_of_before_the_purge_stay_with_the_queue(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 4, "plain", 3);
    send_many(rig, "plain", MANY, 0); /* three of them go out */
    (void)purge(rig, "plain");
    rig_send(rig, 2, WIRE_CREDIT, 6, &(wire_credit_t){.sub = 4, .messages = 10, .bytes = 1 << 20});
    assert_null(rig_deliver(rig, 2));
    uint64_t newer = sqs_send(rig, "plain", "");
    const core_out_t *out = rig_deliver(rig, 2);
    assert_non_null(out);
    assert_int_equal(rig->out.items[out->deliver.first].record, newer);
    settle_down(rig);
    check_recovery(rig);
}

static void a_queue_that_is_deleted_and_made_again_is_empty_while_the_old_one_is_freed(void **state)
{
    rig_t *rig = *state;
    (void)sqs_ask(rig, "create", "mine", NULL);
    send_many(rig, "mine", 20 * MANY, 0);
    (void)sqs_ask(rig, "delete", "mine", NULL);
    assert_string_equal(sqs_refused(rig, "info", "mine", NULL), "QueueDoesNotExist");
    assert_true(kept(rig) > 19 * MANY);
    check(rig);
    check_recovery(rig);
    rig->now_us += 61 * S; /* without a step of its own */
    (void)sqs_ask(rig, "create", "mine", NULL);
    assert_true(kept(rig) > 19 * MANY);
    assert_int_equal(sqs_number(rig, "mine", "visible"), 0);
    uint64_t newer = sqs_send(rig, "mine", "");
    sqs_got_t got = sqs_receive(rig, "mine", 10);
    sqs_expect(&got, &newer, 1);
    settle_down(rig);
    assert_int_equal(kept(rig), 1);
    check_recovery(rig);
}

static void a_restart_in_the_middle_of_it_comes_up_without_what_was_purged(void **state)
{
    rig_t *rig = *state;
    send_many(rig, "line.fifo", MANY, 11);
    (void)purge(rig, "line.fifo");
    assert_true(kept(rig) > 0);
    rig_snapshot(rig);
    rig_restart(rig, 0);
    assert_int_equal(kept(rig), 0);
    check(rig);
}

static void a_session_may_end_while_what_it_held_is_purged(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 4, "line.fifo", MANY);
    send_many(rig, "line.fifo", 400, 400);
    (void)purge(rig, "line.fifo");
    rig_send(rig, 2, WIRE_BYE, 0, &(wire_bye_t){0});
    check(rig);
    settle_down(rig);
    assert_int_equal(kept(rig), 0);
    check_recovery(rig);
}

static void messages_that_are_too_old_together_are_moved_slice_by_slice_and_none_is_delivered(void **state)
{
    rig_t *rig = *state;
    send_many(rig, "aging", MANY, 0);
    rig->now_us += 61 * S;
    assert_int_equal(sqs_receive(rig, "aging", 10).count, 0);
    assert_true(sqs_number(rig, "aging", "visible") > 0); /* some are still there, and not to be had */
    assert_in_range(settle_down(rig), (MANY / SLICE_MESSAGES) - 2, MANY);
    assert_int_equal(sqs_number(rig, "dead", "visible"), MANY);
    check_recovery(rig);
}

static void visibilities_that_end_together_end_slice_by_slice(void **state)
{
    rig_t *rig = *state;
    rig_subscribe_queue(rig, 2, 4, "plain", MANY);
    send_many(rig, "plain", MANY, 0);
    assert_int_equal(sqs_number(rig, "plain", "in_flight"), MANY);
    rig->now_us += 31 * S;
    assert_true(sqs_number(rig, "plain", "in_flight") >= MANY - 2 * SLICE_MESSAGES);
    settle_down(rig);
    assert_int_equal(sqs_number(rig, "plain", "visible"), MANY);
    check_recovery(rig);
}

static void a_lower_receive_count_moves_what_it_condemns_slice_by_slice(void **state)
{
    rig_t *rig = *state;
    (void)sqs_ask(rig, "create", "mine", "{\"VisibilityTimeout\":1}");
    rig_subscribe_queue(rig, 2, 4, "mine", MANY);
    send_many(rig, "mine", MANY, 0);
    rig_sleep(rig, 3 * S);
    rig_send(rig, 2, WIRE_UNSUBSCRIBE, 6, &(wire_unsubscribe_t){.sub = 4});
    settle_down(rig);
    assert_int_equal(sqs_number(rig, "mine", "visible"), MANY);
    (void)sqs_ask(rig, "set", "mine", "{\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":1}}");
    uint64_t newer = sqs_send(rig, "mine", ""), records = rig->records;
    rig_subscribe_queue(rig, 2, 4, "mine", 10);
    assert_in_range(rig->records - records, SLICE_MESSAGES, SLICE_MESSAGES + RECORDS_A_STEP);
    settle_down(rig);
    assert_int_equal(sqs_number(rig, "dead", "visible"), MANY);
    assert_int_equal(sqs_number(rig, "mine", "in_flight"), 1);
    assert_int_equal(rig_record(rig, newer)->kind, RECORD_SEND);
    check_recovery(rig);
}

/* What TOPOLOGY answers: `document` as JSON for apply, none for the others. */
static bytes_t about_topology(rig_t *rig, const char *op, const char *document)
{
    buf_t args = {0}, body = {0};
    if (document) {
        mp_put_map(&args, 1);
        mp_put_cstr(&args, "force");
        mp_put_bool(&args, true);
        mp_put_cstr(&body, document);
    }
    rig_send(rig, 1, WIRE_TOPOLOGY, 6,
             &(wire_topology_t){.op = bytes_cstr(op), .args = buf_bytes(&args), .body = buf_bytes(&body)});
    buf_free(&args);
    buf_free(&body);
    return rig_expect(rig, 1, WIRE_RESULT)->result.body;
}

static uint32_t length_in(bytes_t map, const char *key)
{
    bytes_t list;
    uint32_t count = 0;
    assert_true(mp_map_find(map, key, &list));
    mp_reader_t r = mp_reader(list);
    assert_true(mp_get_array(&r, &count));
    return count;
}

static uint32_t exported_queues(rig_t *rig)
{
    bytes_t json;
    buf_t document = {0};
    assert_true(mp_map_str(about_topology(rig, "export", NULL), "document", &json));
    assert_true(json_to_msgpack(json, NULL, &document, NULL));
    uint32_t count = length_in(buf_bytes(&document), "Queues");
    buf_free(&document);
    return count;
}

/* What is left of it is no queue any more, for documents as well. */
static void a_queue_that_a_document_dropped_is_in_no_later_one(void **state)
{
    rig_t *rig = *state;
    send_many(rig, "plain", MANY, 0);
    bytes_t told =
        about_topology(rig, "apply", "{\"Buses\":[{\"Name\":\"shop\"}],\"Queues\":[{\"QueueName\":\"dead\"}]}");
    assert_int_equal(length_in(told, "changes"), 3); /* plain, aging and line.fifo go */
    assert_true(kept(rig) > 0);
    assert_int_equal(exported_queues(rig), 1);
    told = about_topology(rig, "apply", "{\"Buses\":[{\"Name\":\"shop\"}],\"Queues\":[]}");
    assert_int_equal(length_in(told, "changes"), 1);
    assert_int_equal(exported_queues(rig), 0);
    settle_down(rig);
    assert_int_equal(kept(rig), 0);
    check_recovery(rig);
}

static void messages_whose_delay_ends_together_are_woken_slice_by_slice(void **state)
{
    rig_t *rig = *state;
    wire_send_entry_t late = sqs_entry("", "");
    late.delay_ms = 60000;
    for (unsigned i = 0; i < MANY; i++) {
        rig->now_us++; /* what is sent in one moment is woken in one */
        assert_int_equal(sqs_try_send(rig, "plain", &late).status, 0);
    }
    rig->now_us += 61 * S;
    uint64_t records = rig->records, newer = sqs_send(rig, "plain", "");
    assert_in_range(sqs_number(rig, "plain", "visible"), SLICE_MESSAGES, 3 * SLICE_MESSAGES);
    check(rig);
    check_recovery(rig);
    rig_snapshot(rig);
    rig_restart(rig, 0); /* goes on where it was */
    hello(rig);
    assert_in_range(sqs_number(rig, "plain", "delayed"), 1, MANY);
    settle_down(rig);
    assert_int_equal(sqs_number(rig, "plain", "visible"), MANY + 1);
    assert_in_range(rig->records - records, MANY / SLICE_MESSAGES - 2, MANY / SLICE_MESSAGES + 10);
    check_recovery(rig);
    (void)newer;
}

static void what_is_woken_one_by_one_needs_no_record(void **state)
{
    rig_t *rig = *state;
    wire_send_entry_t late = sqs_entry("", "");
    late.delay_ms = 1000;
    for (unsigned i = 0; i < 2 * SLICE_MESSAGES; i++) {
        rig->now_us += 10000;
        assert_int_equal(sqs_try_send(rig, "plain", &late).status, 0);
    }
    uint64_t records = rig->records;
    rig_sleep(rig, 10 * S);
    assert_int_equal(rig->records, records);
    assert_int_equal(sqs_number(rig, "plain", "visible"), 2 * SLICE_MESSAGES);
    check_recovery(rig);
}

/* SQS: a new delay of a FIFO queue holds for what waits already, too. */
static void a_new_delay_of_a_fifo_queue_is_set_for_all_at_once_and_wakes_slice_by_slice(void **state)
{
    rig_t *rig = *state;
    (void)sqs_ask(rig, "create", "late.fifo", "{\"FifoQueue\":true,\"DelaySeconds\":900}");
    for (unsigned i = 0; i < MANY; i++) {
        rig->now_us += 1000;
        send_many(rig, "late.fifo", 1, 1 + i % 7);
    }
    sqs_got_t none = sqs_receive(rig, "late.fifo", 10);
    assert_int_equal(none.count, 0);
    (void)sqs_ask(rig, "set", "late.fifo", "{\"DelaySeconds\":600}");
    check(rig);
    check_recovery(rig);
    rig_sleep(rig, 500 * S);
    assert_int_equal(sqs_number(rig, "late.fifo", "delayed"), MANY);
    uint64_t records = rig->records;
    (void)sqs_ask(rig, "set", "late.fifo", "{\"DelaySeconds\":60}");
    assert_true(rig->records - records <= RECORDS_A_STEP);
    rig->now_us += SLICE_PERIOD_US;
    assert_in_range(sqs_number(rig, "late.fifo", "visible"), 1, 2 * SLICE_MESSAGES);
    check_recovery(rig);
    settle_down(rig);
    assert_int_equal(sqs_number(rig, "late.fifo", "visible"), MANY);
    check_recovery(rig);
    sqs_got_t got = sqs_receive(rig, "late.fifo", 3);
    assert_true(got.items[0].record < got.items[1].record && got.items[1].record < got.items[2].record);
}

static void a_snapshot_keeps_the_order_of_what_is_delayed(void **state)
{
    rig_t *rig = *state;
    (void)sqs_ask(rig, "create", "late.fifo", "{\"FifoQueue\":true,\"DelaySeconds\":100}");
    for (int round = 0; round < 3; round++) { /* places in memory are taken again in another order */
        send_many(rig, "late.fifo", 300, 3);
        rig_sleep(rig, S);
        if (round < 2)
            (void)purge(rig, "late.fifo");
        settle_down(rig);
        rig->now_us += 61 * S;
        send_many(rig, "plain", 100, 0);
    }
    rig_snapshot(rig);
    rig_restart(rig, 0);
    hello(rig);
    check(rig);
    check_recovery(rig);
    rig_sleep(rig, 100 * S);
    assert_int_equal(sqs_number(rig, "late.fifo", "visible"), 300);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, sqs_close)

/* -- numbers ------------------------------------------------------------------------------------------------- */
static void put_event(rig_t *rig, const char *to)
{
    buf_t envelope = {0};
    wire_publish_t *publish = calloc(1, sizeof *publish);
    assert_non_null(publish);
    rig_envelope(&envelope, "a", rig->records);
    publish->bus = BYTES_LIT("shop");
    publish->to = bytes_cstr(to);
    publish->entries.count = 1;
    publish->entries.items[0].body = buf_bytes(&envelope);
    rig_send(rig, 1, WIRE_PUBLISH, 7, publish);
    assert_int_equal(rig_expect(rig, 1, WIRE_PUBLISHED)->published.results.items[0].status, 0);
    free(publish);
    buf_free(&envelope);
}

static void ask_queue(rig_t *rig, const char *op, const char *name)
{
    rig_send(rig, 1, WIRE_QUEUE, 6, &(wire_queue_t){.op = bytes_cstr(op), .name = bytes_cstr(name)});
    (void)rig_expect(rig, 1, WIRE_RESULT);
}

/* What is left of a purge has no incarnation, and a disabled target leads to none. */
static void an_event_for_a_disabled_target_does_not_come_to_what_is_being_purged(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, "{\"Buses\":[{\"Name\":\"shop\"}],\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"shop\","
                      "\"EventPattern\":{\"source\":[{\"exists\":true}]},\"Targets\":[{\"Id\":\"t\",\"Arn\":\"plain\","
                      "\"State\":\"DISABLED\"}]}],\"Queues\":[{\"QueueName\":\"plain\"}]}");
    send_many(rig, "plain", MANY, 0);
    put_event(rig, "queue:plain");
    ask_queue(rig, "purge", "plain");
    assert_true(kept(rig) > 0);
    put_event(rig, "");
    check_recovery(rig);
}

static void a_receipt_of_a_deleted_queue_settles_nothing_while_it_is_emptied(void **state)
{
    rig_t *rig = *state;
    ask_queue(rig, "create", "short-lived");
    send_many(rig, "short-lived", MANY, 0);
    put_event(rig, "queue:short-lived");
    sqs_got_t got = {0};
    for (uint32_t taken = 0; taken < 2 * SLICE_MESSAGES; taken += (uint32_t)got.count) {
        got = sqs_receive(rig, "short-lived", 10);
        assert_int_equal(got.count, 10);
    }
    ask_queue(rig, "delete", "short-lived");
    assert_true(kept(rig) > 0);
    (void)rig_settle(rig, 2, &got.items[0], WIRE_ACK, 0);
    check_recovery(rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_purge_is_done_when_it_is_answered_and_frees_a_slice_in_each_step),
        TEST(a_client_between_two_slices_waits_for_one_of_them_at_most),
        TEST(of_a_purged_queue_what_is_in_flight_and_what_is_delayed_is_gone_as_well),
        TEST(those_who_wait_for_a_purged_queue_are_served_by_what_comes_after),
        TEST(subscriptions_and_receives_of_before_the_purge_stay_with_the_queue),
        TEST(a_queue_that_is_deleted_and_made_again_is_empty_while_the_old_one_is_freed),
        TEST(a_restart_in_the_middle_of_it_comes_up_without_what_was_purged),
        TEST(a_session_may_end_while_what_it_held_is_purged),
        TEST(messages_that_are_too_old_together_are_moved_slice_by_slice_and_none_is_delivered),
        TEST(visibilities_that_end_together_end_slice_by_slice),
        TEST(a_lower_receive_count_moves_what_it_condemns_slice_by_slice),
        TEST(messages_whose_delay_ends_together_are_woken_slice_by_slice),
        TEST(what_is_woken_one_by_one_needs_no_record),
        TEST(a_new_delay_of_a_fifo_queue_is_set_for_all_at_once_and_wakes_slice_by_slice),
        TEST(a_snapshot_keeps_the_order_of_what_is_delayed),
        TEST(a_queue_that_a_document_dropped_is_in_no_later_one),
        TEST(an_event_for_a_disabled_target_does_not_come_to_what_is_being_purged),
        TEST(a_receipt_of_a_deleted_queue_settles_nothing_while_it_is_emptied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
