/* test_core_fifo.c: what a FIFO queue promises, through the core's door. The numbers in the names are those of the
 * list of points that imitations of SQS tend to get wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "tests/lib/core_rig.h"

#define S INT64_C(1000000)
#define IN_FLIGHT 12 /* limit of these tests */

#define FIFO_QUEUE(name, more) "{\"QueueName\":\"" name "\",\"Attributes\":{\"FifoQueue\":true" more "}}"
#define BY_GROUP ",\"DeduplicationScope\":\"messageGroup\",\"FifoThroughputLimit\":\"perMessageGroupId\""
#define REDRIVE ",\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead.fifo\",\"maxReceiveCount\":2}"

/* clang-format off */
static const char topology[] =
    "{\"Buses\":[{\"Name\":\"shop\"}],"
    "\"Rules\":[{\"Name\":\"all\",\"EventBusName\":\"shop\",\"EventPattern\":{\"source\":[\"test\"]},"
    "\"Targets\":[{\"Id\":\"t\",\"Arn\":\"events.fifo\",\"SqsParameters\":{\"MessageGroupId\":\"all\"}}]}],"
    "\"Queues\":["
    FIFO_QUEUE("q.fifo", ",\"VisibilityTimeout\":10") ","
    FIFO_QUEUE("late.fifo", ",\"DelaySeconds\":5,\"VisibilityTimeout\":60") ","
    FIFO_QUEUE("content.fifo", ",\"ContentBasedDeduplication\":true") ","
    FIFO_QUEUE("scoped.fifo", BY_GROUP) ","
    FIFO_QUEUE("retry.fifo", ",\"VisibilityTimeout\":1" REDRIVE) ","
    FIFO_QUEUE("dead.fifo", "") ","
    FIFO_QUEUE("events.fifo", "") ","
    "{\"QueueName\":\"plain\"}]}";
/* clang-format on */

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, &(core_limits_t){.in_flight = IN_FLIGHT, .grace_ms = 600000, .heartbeat_ms = 600000});
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

/* -- doing ------------------------------------------------------------------------------------------------ */
static wire_result_entry_t try_send(rig_t *rig, const char *queue, const wire_send_entry_t *entry)
{
    wire_send_t *send = calloc(1, sizeof *send);
    assert_non_null(send);
    send->queue = bytes_cstr(queue);
    send->entries.count = 1;
    send->entries.items[0] = *entry;
    rig_send(rig, 1, WIRE_SEND, 8, send);
    free(send);
    wire_result_entry_t result = rig_expect(rig, 1, WIRE_SENT)->sent.results.items[0];
    rig->taken = 0;
    return result;
}

static wire_send_entry_t entry_of(const char *group, const char *dedup)
{
    return (wire_send_entry_t){
        .group = bytes_cstr(group), .dedup = bytes_cstr(dedup), .delay_ms = -1, .body = BYTES_LIT("\xa1x")};
}

/* A message with an id of its own; its record. */
static uint64_t send_one(rig_t *rig, const char *queue, const char *group)
{
    char dedup[24];
    (void)snprintf(dedup, sizeof dedup, "id-%llu", (unsigned long long)rig->records);
    wire_send_entry_t entry = entry_of(group, dedup);
    wire_result_entry_t result = try_send(rig, queue, &entry);
    if (result.status)
        fail_msg("%.*s", BYTES_FMT(result.message));
    assert_false(result.duplicate);
    return result.record;
}

typedef struct {
    size_t count;
    core_item_t items[10];
} got_t;

static got_t receive_attempt(rig_t *rig, const char *queue, uint64_t max, const char *attempt)
{
    got_t got = {0};
    rig_send(
        rig, 2, WIRE_RECEIVE, 5,
        &(wire_receive_t){.queue = bytes_cstr(queue), .max = max, .visibility_ms = -1, .attempt = bytes_cstr(attempt)});
    const core_out_t *out = rig_deliver(rig, 2);
    assert_non_null(out);
    assert_int_equal(out->deliver.verb, WIRE_RECEIVED);
    for (; got.count < out->deliver.count; got.count++)
        got.items[got.count] = rig->out.items[out->deliver.first + got.count];
    assert_null(rig_deliver(rig, 2));
    return got;
}

static got_t receive(rig_t *rig, const char *queue, uint64_t max)
{
    return receive_attempt(rig, queue, max, "");
}

static void expect_records(const got_t *got, const uint64_t *records, size_t count)
{
    assert_int_equal(got->count, count);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(got->items[i].record, records[i]);
}

static void ack(rig_t *rig, const core_item_t *item)
{
    assert_int_equal(rig_settle(rig, 2, item, WIRE_ACK, 0), 0);
}

/* -- order -------------------------------------------------------------------------------------------------- */
static void point_1_only_messages_in_flight_block_a_group_and_delayed_ones_do_not(void **state)
{
    rig_t *rig = *state;
    uint64_t first = send_one(rig, "late.fifo", "a");
    rig_sleep(rig, 5 * S);
    uint64_t delayed = send_one(rig, "late.fifo", "a");
    got_t got = receive(rig, "late.fifo", 10);
    expect_records(&got, &first, 1);
    rig_sleep(rig, 5 * S);
    assert_int_equal(receive(rig, "late.fifo", 10).count, 0); /* visible now, behind one in flight */
    ack(rig, &got.items[0]);
    got = receive(rig, "late.fifo", 10);
    expect_records(&got, &delayed, 1);
}

static void point_2_several_of_a_group_come_together_in_order_and_then_none_until_all_are_settled(void **state)
{
    rig_t *rig = *state;
    uint64_t a[4], b;
    for (int i = 0; i < 3; i++)
        a[i] = send_one(rig, "q.fifo", "a");
    b = send_one(rig, "q.fifo", "b");
    a[3] = send_one(rig, "q.fifo", "a");
    got_t got = receive(rig, "q.fifo", 3);
    expect_records(&got, a, 3);
    got_t other = receive(rig, "q.fifo", 10);
    expect_records(&other, &b, 1);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(receive(rig, "q.fifo", 10).count, 0);
        ack(rig, &got.items[i]);
    }
    got = receive(rig, "q.fifo", 10);
    expect_records(&got, &a[3], 1);
}

static void one_receive_takes_a_whole_group_and_fills_up_with_others(void **state)
{
    rig_t *rig = *state;
    uint64_t records[4];
    records[0] = send_one(rig, "q.fifo", "a");
    records[2] = send_one(rig, "q.fifo", "b");
    records[1] = send_one(rig, "q.fifo", "a");
    records[3] = send_one(rig, "q.fifo", "b");
    got_t got = receive(rig, "q.fifo", 10);
    expect_records(&got, records, 4);
}

static void point_3_what_is_extended_holds_back_what_is_behind_it_and_not_what_is_before(void **state)
{
    rig_t *rig = *state;
    uint64_t records[4];
    for (int i = 0; i < 3; i++)
        records[i] = send_one(rig, "q.fifo", "a");
    got_t got = receive(rig, "q.fifo", 10);
    assert_int_equal(rig_settle(rig, 2, &got.items[1], WIRE_EXTEND, 60000), 0);
    records[3] = send_one(rig, "q.fifo", "a");
    rig_sleep(rig, 10 * S);
    got_t again = receive(rig, "q.fifo", 10);
    expect_records(&again, records, 1);
    assert_int_equal(again.items[0].receives, 2);
    ack(rig, &again.items[0]);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 0);
    ack(rig, &got.items[1]);
    again = receive(rig, "q.fifo", 10);
    expect_records(&again, records + 2, 2);
}

static void what_returns_takes_its_old_place_in_the_group(void **state)
{
    rig_t *rig = *state;
    uint64_t records[4];
    for (int i = 0; i < 3; i++)
        records[i] = send_one(rig, "q.fifo", "a");
    got_t got = receive(rig, "q.fifo", 10);
    records[3] = send_one(rig, "q.fifo", "a");
    for (int i = 2; i >= 0; i--)
        assert_int_equal(rig_settle(rig, 2, &got.items[i == 2 ? 1 : i == 1 ? 2 : 0], WIRE_RELEASE, 0), 0);
    got = receive(rig, "q.fifo", 10);
    expect_records(&got, records, 4);
}

static void a_message_released_for_later_still_holds_its_group(void **state)
{
    rig_t *rig = *state;
    uint64_t records[2];
    records[0] = send_one(rig, "q.fifo", "a");
    got_t got = receive(rig, "q.fifo", 1);
    records[1] = send_one(rig, "q.fifo", "a");
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_RELEASE, 30000), 0);
    rig_sleep(rig, 30 * S - 1);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 0);
    rig_sleep(rig, 1);
    got = receive(rig, "q.fifo", 10);
    expect_records(&got, records, 2);
}

static void a_subscription_gets_a_group_in_order_and_one_delivery_at_a_time(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < 3; i++)
        send_one(rig, "q.fifo", "a");
    rig_subscribe_queue(rig, 2, 1, "q.fifo", 100);
    const core_out_t *out = rig_deliver(rig, 2);
    assert_int_equal(out->deliver.count, 3);
    core_item_t items[3];
    memcpy(items, &rig->out.items[out->deliver.first], sizeof items);
    send_one(rig, "q.fifo", "a");
    assert_null(rig_deliver(rig, 2));
    for (int i = 0; i < 3; i++) {
        assert_null(rig_deliver(rig, 2));
        ack(rig, &items[i]);
    }
    assert_int_equal(rig_deliver(rig, 2)->deliver.count, 1);
}

static void what_a_session_held_returns_in_order_with_its_end(void **state)
{
    rig_t *rig = *state;
    uint64_t records[3];
    for (int i = 0; i < 3; i++)
        records[i] = send_one(rig, "q.fifo", "a");
    assert_int_equal(receive(rig, "q.fifo", 2).count, 2);
    rig_send(rig, 2, WIRE_BYE, 0, &(wire_bye_t){0});
    rig_hello(rig, 2, "again-000002", NULL);
    got_t got = receive(rig, "q.fifo", 10);
    expect_records(&got, records, 3);
}

/* -- deduplication -------------------------------------------------------------------------------------------- */
static void point_4_an_id_is_remembered_for_five_minutes_even_when_its_message_is_gone(void **state)
{
    rig_t *rig = *state;
    wire_send_entry_t entry = entry_of("a", "same");
    uint64_t first = try_send(rig, "q.fifo", &entry).record;
    got_t got = receive(rig, "q.fifo", 1);
    ack(rig, &got.items[0]);
    rig_sleep(rig, 300 * S);
    entry.group = BYTES_LIT("b"); /* the queue is the scope */
    wire_result_entry_t again = try_send(rig, "q.fifo", &entry);
    assert_true(again.status == 0 && again.duplicate && again.record == first);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 0);
    rig_restart(rig, 0);
    rig_hello(rig, 1, "three-000003", NULL);
    rig_hello(rig, 2, "four-000004", NULL);
    assert_true(try_send(rig, "q.fifo", &entry).duplicate);
    rig_sleep(rig, 1);
    assert_false(try_send(rig, "q.fifo", &entry).duplicate);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 1);
}

static void point_4_by_content_the_hash_of_the_body_is_the_id_and_a_given_id_wins(void **state)
{
    rig_t *rig = *state;
    /* printf '\xa1x' | sha256sum */
    wire_send_entry_t plain = entry_of("a", ""), other = entry_of("a", ""), given = entry_of("a", "mine");
    other.body = BYTES_LIT("\xa1y");
    assert_false(try_send(rig, "content.fifo", &plain).duplicate);
    plain.attrs = BYTES_LIT("\x81\xa1k\xa1v"); /* attributes do not count */
    assert_true(try_send(rig, "content.fifo", &plain).duplicate);
    assert_false(try_send(rig, "content.fifo", &other).duplicate);
    assert_false(try_send(rig, "content.fifo", &given).duplicate);
    const record_t *r = NULL;
    for (uint64_t seq = 1; seq <= rig->records && !(r && r->kind == RECORD_SEND); seq++)
        r = rig_record(rig, seq);
    char hash[65];
    assert_true(bytes_to_cstr(r->send.dedup, hash, sizeof hash));
    assert_int_equal(strlen(hash), 64);
    wire_send_entry_t named = entry_of("a", hash);
    named.body = BYTES_LIT("\xa1z");
    assert_true(try_send(rig, "content.fifo", &named).duplicate);
}

static void point_5_in_the_scope_of_groups_each_group_remembers_for_itself(void **state)
{
    rig_t *rig = *state;
    wire_send_entry_t a = entry_of("a", "same"), b = entry_of("b", "same");
    assert_false(try_send(rig, "scoped.fifo", &a).duplicate);
    assert_false(try_send(rig, "scoped.fifo", &b).duplicate);
    assert_true(try_send(rig, "scoped.fifo", &a).duplicate);
    const char *const wrong[] = {
        "{\"Buses\":[],\"Queues\":[" FIFO_QUEUE("x.fifo", ",\"FifoThroughputLimit\":\"perMessageGroupId\"") "]}",
        "{\"Buses\":[],\"Queues\":[" FIFO_QUEUE("x.fifo", ",\"DeduplicationScope\":\"world\"") "]}",
    };
    core_stats_t before, after;
    core_stats(rig->core, &before);
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        rig_topology(rig, wrong[i]);
    core_stats(rig->core, &after);
    assert_int_equal(after.topology_version, before.topology_version);
}

static void a_producer_hears_the_same_of_a_duplicate_when_it_asks_again(void **state)
{
    rig_t *rig = *state;
    rig_send(rig, 3, WIRE_HELLO, 1,
             &(wire_hello_t){
                 .protocol = WIRE_PROTOCOL, .name = BYTES_LIT("three-000003"), .producer = BYTES_LIT("p"), .epoch = 1});
    wire_send_entry_t entry = entry_of("a", "same");
    uint64_t first = try_send(rig, "q.fifo", &entry).record;
    wire_send_t *send = calloc(1, sizeof *send);
    send->queue = BYTES_LIT("q.fifo");
    send->producer_seq = 1;
    send->entries.count = 1;
    send->entries.items[0] = entry;
    for (int i = 0; i < 2; i++) {
        rig_send(rig, 3, WIRE_SEND, 8, send);
        const wire_result_entry_t *result = &rig_expect(rig, 3, WIRE_SENT)->sent.results.items[0];
        assert_true(result->duplicate && result->record == first);
        rig_sleep(rig, 400 * S); /* the id is forgotten, the number is not */
    }
    assert_int_equal(receive(rig, "q.fifo", 10).count, 1);
    free(send);
}

/* -- attempts ---------------------------------------------------------------------------------------------------- */
static void expect_same(const got_t *a, const got_t *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_memory_equal(a->items[i].receipt, b->items[i].receipt, CORE_RECEIPT_BYTES);
}

static void point_6_the_same_attempt_gets_the_same_messages_and_receipts_and_visibility_begins_anew(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < 3; i++)
        send_one(rig, "q.fifo", "a");
    got_t got = receive_attempt(rig, "q.fifo", 2, "try");
    assert_int_equal(got.count, 2);
    rig_sleep(rig, 9 * S);
    got_t again = receive_attempt(rig, "q.fifo", 10, "try");
    expect_same(&got, &again);
    assert_int_equal(again.items[0].receives, 1);
    rig_sleep(rig, 9 * S);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 0);
    assert_int_equal(receive_attempt(rig, "q.fifo", 10, "other").count, 0);
    uint64_t digest = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
    rig_hello(rig, 2, "four-000004", NULL);
    ack(rig, &got.items[0]);
    rig_sleep(rig, S);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 2);
}

static void point_6_an_attempt_is_void_once_a_message_of_it_was_settled_or_changed(void **state)
{
    rig_t *rig = *state;
    const struct {
        uint64_t action;
        int64_t delay_ms;
    } changes[] = {{WIRE_ACK, 0}, {WIRE_EXTEND, 30000}, {WIRE_RELEASE, 30000}};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        char group[24];
        (void)snprintf(group, sizeof group, "g%zu", i);
        send_one(rig, "q.fifo", group);
        send_one(rig, "q.fifo", group);
        got_t got = receive_attempt(rig, "q.fifo", 10, group);
        assert_int_equal(got.count, 2);
        assert_int_equal(rig_settle(rig, 2, &got.items[0], changes[i].action, changes[i].delay_ms), 0);
        assert_int_equal(receive_attempt(rig, "q.fifo", 10, group).count, 0);
    }
}

static void point_6_an_attempt_is_void_when_its_visibility_is_over_and_after_five_minutes(void **state)
{
    rig_t *rig = *state;
    send_one(rig, "q.fifo", "a");
    got_t got = receive_attempt(rig, "q.fifo", 10, "try");
    rig_sleep(rig, 10 * S);
    got_t again = receive_attempt(rig, "q.fifo", 10, "try");
    assert_int_equal(again.items[0].receives, 2);
    assert_memory_not_equal(got.items[0].receipt, again.items[0].receipt, CORE_RECEIPT_BYTES);
    for (int i = 0; i < 37; i++) {
        rig_sleep(rig, 8 * S);
        got = receive_attempt(rig, "q.fifo", 10, "try");
        expect_same(&got, &again);
    }
    rig_sleep(rig, 5 * S); /* 301 s after it was first answered: new, and the message is in flight */
    assert_int_equal(receive_attempt(rig, "q.fifo", 10, "try").count, 0);
}

/* -- settling -------------------------------------------------------------------------------------------------- */
static void point_7_a_delete_after_the_visibility_fails(void **state)
{
    rig_t *rig = *state;
    send_one(rig, "q.fifo", "a");
    got_t got = receive(rig, "q.fifo", 1);
    rig_sleep(rig, 10 * S);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_ACK, 0), STATUS_FAILED_PRECONDITION);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_REJECT, 0), STATUS_FAILED_PRECONDITION);
    got_t again = receive(rig, "q.fifo", 1);
    assert_int_equal(again.count, 1);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_ACK, 0), STATUS_INVALID_ARGUMENT);
    ack(rig, &again.items[0]);
    ack(rig, &again.items[0]);
}

static void point_8_a_change_of_visibility_holds_for_this_receive_alone(void **state)
{
    rig_t *rig = *state;
    send_one(rig, "q.fifo", "a");
    got_t got = receive(rig, "q.fifo", 1);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_EXTEND, 20000), 0);
    rig_sleep(rig, 20 * S);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_EXTEND, 1000), STATUS_FAILED_PRECONDITION);
    assert_int_equal(receive(rig, "q.fifo", 1).count, 1);
    rig_sleep(rig, 10 * S);
    assert_int_equal(receive(rig, "q.fifo", 1).items[0].receives, 3);
}

/* -- dead letters ------------------------------------------------------------------------------------------------ */
static void point_9_a_dead_letter_keeps_its_group_gets_a_new_id_and_begins_anew(void **state)
{
    rig_t *rig = *state;
    uint64_t first = send_one(rig, "retry.fifo", "a"), second = send_one(rig, "retry.fifo", "a");
    int64_t sent_us = rig->now_us;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(receive(rig, "retry.fifo", 1).items[0].record, first);
        rig_sleep(rig, S);
    }
    assert_int_equal(receive(rig, "retry.fifo", 1).items[0].record, second); /* the third time would be too often */
    uint64_t move = 0;
    for (uint64_t seq = 1; seq <= rig->records; seq++)
        if (rig_record(rig, seq)->kind == RECORD_MOVE)
            move = seq;
    const record_t *r = rig_record(rig, move);
    char id[24];
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)first);
    assert_true(bytes_eq_cstr(r->move.group, "a") && bytes_eq_cstr(r->move.dedup, id));
    assert_int_equal(r->move.sent_us, r->ingest_us);
    assert_true(r->move.sent_us > sent_us);
    got_t dead = receive(rig, "dead.fifo", 10);
    expect_records(&dead, &first, 1);
    bytes_t extra = bytes_from(rig->out.bytes.data + dead.items[0].extra_at, dead.items[0].extra_len), value;
    assert_true(attrs_str(extra, ATTR_MESSAGE_DEDUPLICATION_ID, &value) && bytes_eq_cstr(value, id));
    assert_true(attrs_str(extra, ATTR_DEAD_LETTER_QUEUE_SOURCE_ARN, &value) && bytes_eq_cstr(value, "retry.fifo"));
    wire_send_entry_t entry = entry_of("b", id);
    assert_true(try_send(rig, "dead.fifo", &entry).duplicate);
}

static void point_9_a_dead_letter_queue_must_be_of_the_same_type(void **state)
{
    rig_t *rig = *state;
    const uint8_t policy[] = "{\"deadLetterTargetArn\":\"plain\",\"maxReceiveCount\":2}";
    buf_t args = {0};
    mp_put_map(&args, 1);
    mp_put_cstr(&args, "RedrivePolicy");
    mp_put_cstr(&args, (const char *)policy);
    rig_send(rig, 1, WIRE_QUEUE, 3,
             &(wire_queue_t){.op = BYTES_LIT("create"), .name = BYTES_LIT("n.fifo"), .args = buf_bytes(&args)});
    assert_true(bytes_eq_cstr(rig_expect(rig, 1, WIRE_ERROR)->error.name, "InvalidParameterValue"));
    buf_free(&args);
}

/* -- sequence, limits, refusals ------------------------------------------------------------------------------------ */
static void point_15_sequence_numbers_grow(void **state)
{
    rig_t *rig = *state;
    char last[24] = "";
    for (int i = 0; i < 3; i++) {
        send_one(rig, "q.fifo", "a");
        got_t got = receive(rig, "q.fifo", 1);
        bytes_t extra = bytes_from(rig->out.bytes.data + got.items[0].extra_at, got.items[0].extra_len), value;
        char number[24];
        assert_true(attrs_str(extra, ATTR_SEQUENCE_NUMBER, &value));
        assert_true(bytes_to_cstr(value, number, sizeof number));
        assert_int_equal(strlen(number), 20);
        assert_true(strcmp(number, last) > 0);
        memcpy(last, number, sizeof last);
        ack(rig, &got.items[0]);
    }
}

static void at_the_limit_in_flight_nothing_is_returned_and_nothing_refused(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < IN_FLIGHT + 1; i++) {
        char group[24];
        (void)snprintf(group, sizeof group, "g%d", i);
        send_one(rig, "q.fifo", group);
    }
    got_t got = receive(rig, "q.fifo", 10);
    assert_int_equal(got.count, 10);
    assert_int_equal(receive(rig, "q.fifo", 10).count, IN_FLIGHT - 10);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 0);
    ack(rig, &got.items[0]);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 1);
}

static void what_a_fifo_queue_needs_is_asked_for_by_name(void **state)
{
    rig_t *rig = *state;
    char longer[130];
    memset(longer, 'x', sizeof longer - 1);
    longer[129] = 0;
    const struct {
        wire_send_entry_t entry;
        const char *name;
    } cases[] = {
        {entry_of("", "d"), "MissingParameter"},
        {entry_of("a", ""), "InvalidParameterValue"},
        {entry_of(longer, "d"), "InvalidParameterValue"},
        {entry_of("a", longer), "InvalidParameterValue"},
        {entry_of("a b", "d"), "InvalidParameterValue"},
        {entry_of("a", "\xc3\xa4"), "InvalidParameterValue"},
        {{.group = BYTES_LIT("a"), .dedup = BYTES_LIT("d"), .delay_ms = 0, .body = BYTES_LIT("\xa1x")},
         "InvalidParameterValue"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        wire_result_entry_t result = try_send(rig, "q.fifo", &cases[i].entry);
        assert_true(result.status && bytes_eq_cstr(result.aws, cases[i].name));
    }
    assert_int_equal(receive(rig, "q.fifo", 10).count, 0);
}

static void a_new_delay_of_the_queue_holds_for_what_waits_too(void **state)
{
    rig_t *rig = *state;
    uint64_t records[2];
    char changed[sizeof topology];
    records[0] = send_one(rig, "late.fifo", "a");
    memcpy(changed, topology, sizeof topology);
    char *delay = strstr(changed, "\"DelaySeconds\":5");
    assert_non_null(delay);
    delay[strlen("\"DelaySeconds\":")] = '1';
    rig_topology(rig, changed);
    records[1] = send_one(rig, "late.fifo", "a");
    rig_sleep(rig, S);
    got_t got = receive(rig, "late.fifo", 10);
    expect_records(&got, records, 2);
}

/* -- events ----------------------------------------------------------------------------------------------------------
 */
static void an_event_reaches_a_fifo_target_in_the_group_of_the_target(void **state)
{
    rig_t *rig = *state;
    uint64_t records[2] = {rig_publish(rig, 1, "shop", "a"), rig_publish(rig, 1, "shop", "b")};
    const record_t *r = rig_record(rig, records[0]);
    assert_int_equal(r->publish.routes.count, 1);
    assert_true(bytes_eq_cstr(r->publish.routes.items[0].group, "all"));
    got_t got = receive(rig, "events.fifo", 10);
    expect_records(&got, records, 2);
}

static void publish_event(rig_t *rig, const char *to, bytes_t attrs, const char *replay, uint64_t number,
                          wire_result_entry_t *result)
{
    buf_t envelope = {0};
    wire_publish_t *publish = calloc(1, sizeof *publish);
    rig_envelope(&envelope, "a", number);
    publish->bus = BYTES_LIT("shop");
    publish->to = bytes_cstr(to);
    publish->replay_name = bytes_cstr(replay);
    publish->entries.count = 1;
    publish->entries.items[0] = (wire_publish_entry_t){.attrs = attrs, .body = buf_bytes(&envelope)};
    rig_send(rig, 1, WIRE_PUBLISH, 7, publish);
    *result = rig_expect(rig, 1, WIRE_PUBLISHED)->published.results.items[0];
    free(publish);
    buf_free(&envelope);
}

static void an_event_told_twice_is_queued_once_and_a_replay_of_it_again(void **state)
{
    rig_t *rig = *state;
    wire_result_entry_t result;
    for (int i = 0; i < 2; i++) {
        publish_event(rig, "", BYTES_NONE, "", 7, &result);
        assert_int_equal(result.status, 0);
    }
    assert_int_equal(receive(rig, "events.fifo", 10).count, 1);
    rig_sleep(rig, 31 * S);
    publish_event(rig, "", BYTES_NONE, "again", 7, &result);
    assert_int_equal(receive(rig, "events.fifo", 10).count, 2);
}

static void an_event_put_into_a_fifo_queue_by_name_needs_its_own_group(void **state)
{
    rig_t *rig = *state;
    wire_result_entry_t result;
    publish_event(rig, "queue:q.fifo", BYTES_NONE, "", 7, &result);
    assert_int_equal(result.status, STATUS_INVALID_ARGUMENT);
    publish_event(rig, "queue:q.fifo",
                  BYTES_LIT("\x81\xae"
                            "MessageGroupId\xa1g"),
                  "", 8, &result);
    assert_int_equal(result.status, 0);
    got_t got = receive(rig, "q.fifo", 10);
    expect_records(&got, &result.record, 1);
}

/* -- restarts
 * ----------------------------------------------------------------------------------------------------------- */
static void groups_and_what_holds_them_survive_a_restart(void **state)
{
    rig_t *rig = *state;
    uint64_t records[3];
    for (int i = 0; i < 3; i++)
        records[i] = send_one(rig, "q.fifo", "a");
    got_t got = receive(rig, "q.fifo", 2);
    uint64_t digest = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
    rig_hello(rig, 2, "four-000004", NULL);
    assert_int_equal(receive(rig, "q.fifo", 10).count, 0);
    ack(rig, &got.items[0]);
    ack(rig, &got.items[1]);
    got = receive(rig, "q.fifo", 10);
    expect_records(&got, records + 2, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(point_1_only_messages_in_flight_block_a_group_and_delayed_ones_do_not),
        TEST(point_2_several_of_a_group_come_together_in_order_and_then_none_until_all_are_settled),
        TEST(one_receive_takes_a_whole_group_and_fills_up_with_others),
        TEST(point_3_what_is_extended_holds_back_what_is_behind_it_and_not_what_is_before),
        TEST(what_returns_takes_its_old_place_in_the_group),
        TEST(a_message_released_for_later_still_holds_its_group),
        TEST(a_subscription_gets_a_group_in_order_and_one_delivery_at_a_time),
        TEST(what_a_session_held_returns_in_order_with_its_end),
        TEST(point_4_an_id_is_remembered_for_five_minutes_even_when_its_message_is_gone),
        TEST(point_4_by_content_the_hash_of_the_body_is_the_id_and_a_given_id_wins),
        TEST(point_5_in_the_scope_of_groups_each_group_remembers_for_itself),
        TEST(a_producer_hears_the_same_of_a_duplicate_when_it_asks_again),
        TEST(point_6_the_same_attempt_gets_the_same_messages_and_receipts_and_visibility_begins_anew),
        TEST(point_6_an_attempt_is_void_once_a_message_of_it_was_settled_or_changed),
        TEST(point_6_an_attempt_is_void_when_its_visibility_is_over_and_after_five_minutes),
        TEST(point_7_a_delete_after_the_visibility_fails),
        TEST(point_8_a_change_of_visibility_holds_for_this_receive_alone),
        TEST(point_9_a_dead_letter_keeps_its_group_gets_a_new_id_and_begins_anew),
        TEST(point_9_a_dead_letter_queue_must_be_of_the_same_type),
        TEST(point_15_sequence_numbers_grow),
        TEST(at_the_limit_in_flight_nothing_is_returned_and_nothing_refused),
        TEST(what_a_fifo_queue_needs_is_asked_for_by_name),
        TEST(a_new_delay_of_the_queue_holds_for_what_waits_too),
        TEST(an_event_reaches_a_fifo_target_in_the_group_of_the_target),
        TEST(an_event_told_twice_is_queued_once_and_a_replay_of_it_again),
        TEST(an_event_put_into_a_fifo_queue_by_name_needs_its_own_group),
        TEST(groups_and_what_holds_them_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
