/* test_sqs_conformance_fifo.c: what SQS promises of FIFO queues and imitations get wrong, point by point, through the
 * core's door. The numbers are those of the list in docs/aws-differences.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "proto/attrs.h"
#include "proto/msgpack.h"
#include "tests/lib/sqs_case.h"

static void point_01_only_messages_in_flight_block_a_group_and_delayed_ones_do_not(void **state)
{
    rig_t *rig = *state;
    uint64_t first = sqs_send(rig, "late.fifo", "a");
    rig_sleep(rig, 5 * S);
    uint64_t delayed = sqs_send(rig, "late.fifo", "a");
    sqs_got_t got = sqs_receive(rig, "late.fifo", 10);
    sqs_expect(&got, &first, 1);
    rig_sleep(rig, 5 * S);
    assert_int_equal(sqs_receive(rig, "late.fifo", 10).count, 0); /* visible now, behind one in flight */
    sqs_ack(rig, &got.items[0]);
    got = sqs_receive(rig, "late.fifo", 10);
    sqs_expect(&got, &delayed, 1);
}

static void point_02_several_of_a_group_come_together_in_order_and_then_none_until_all_are_settled(void **state)
{
    rig_t *rig = *state;
    uint64_t a[4], b;
    for (int i = 0; i < 3; i++)
        a[i] = sqs_send(rig, "q.fifo", "a");
    b = sqs_send(rig, "q.fifo", "b");
    a[3] = sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive(rig, "q.fifo", 3);
    sqs_expect(&got, a, 3);
    sqs_got_t other = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&other, &b, 1);
    for (int i = 2; i >= 0; i--) {
        assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 0);
        sqs_ack(rig, &got.items[i]);
    }
    got = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&got, &a[3], 1);
}

static void point_03_what_is_extended_holds_back_what_is_behind_it_and_not_what_is_before(void **state)
{
    rig_t *rig = *state;
    uint64_t records[4];
    for (int i = 0; i < 3; i++)
        records[i] = sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive(rig, "q.fifo", 10);
    assert_int_equal(rig_settle(rig, 2, &got.items[1], WIRE_EXTEND, 60000), 0);
    records[3] = sqs_send(rig, "q.fifo", "a");
    rig_sleep(rig, 10 * S);
    sqs_got_t again = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&again, records, 1);
    assert_int_equal(again.items[0].receives, 2);
    sqs_ack(rig, &again.items[0]);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 0);
    sqs_ack(rig, &got.items[1]);
    again = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&again, records + 2, 2);
}

static void point_04_an_id_is_remembered_for_five_minutes_even_when_its_message_is_gone(void **state)
{
    rig_t *rig = *state;
    wire_send_entry_t entry = sqs_entry("a", "same");
    uint64_t first = sqs_try_send(rig, "q.fifo", &entry).record;
    sqs_got_t got = sqs_receive(rig, "q.fifo", 1);
    sqs_ack(rig, &got.items[0]);
    rig_sleep(rig, 300 * S);
    entry.group = BYTES_LIT("b"); /* the queue is the scope */
    wire_result_entry_t again = sqs_try_send(rig, "q.fifo", &entry);
    assert_true(again.status == 0 && again.duplicate && again.record == first);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 0);
    rig_restart(rig, 0);
    rig_hello(rig, 1, "three-000003", NULL);
    rig_hello(rig, 2, "four-000004", NULL);
    assert_true(sqs_try_send(rig, "q.fifo", &entry).duplicate);
    rig_sleep(rig, 1);
    assert_false(sqs_try_send(rig, "q.fifo", &entry).duplicate);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 1);
}

static void point_04_by_content_the_hash_of_the_body_is_the_id_and_a_given_id_wins(void **state)
{
    rig_t *rig = *state;
    /* printf '\xa1x' | sha256sum */
    wire_send_entry_t plain = sqs_entry("a", ""), other = sqs_entry("a", ""), given = sqs_entry("a", "mine");
    other.body = BYTES_LIT("\xa1y");
    assert_false(sqs_try_send(rig, "content.fifo", &plain).duplicate);
    plain.attrs = BYTES_LIT("\x81\xa1k\xa1v"); /* attributes do not count */
    assert_true(sqs_try_send(rig, "content.fifo", &plain).duplicate);
    assert_false(sqs_try_send(rig, "content.fifo", &other).duplicate);
    assert_false(sqs_try_send(rig, "content.fifo", &given).duplicate);
    const record_t *r = NULL;
    for (uint64_t seq = 1; seq <= rig->records && !(r && r->kind == RECORD_SEND); seq++)
        r = rig_record(rig, seq);
    char hash[65];
    assert_true(bytes_to_cstr(r->send.dedup, hash, sizeof hash));
    assert_int_equal(strlen(hash), 64);
    wire_send_entry_t named = sqs_entry("a", hash);
    named.body = BYTES_LIT("\xa1z");
    assert_true(sqs_try_send(rig, "content.fifo", &named).duplicate);
}

static void point_05_in_the_scope_of_groups_each_group_remembers_for_itself(void **state)
{
    rig_t *rig = *state;
    wire_send_entry_t a = sqs_entry("a", "same"), b = sqs_entry("b", "same");
    assert_false(sqs_try_send(rig, "scoped.fifo", &a).duplicate);
    assert_false(sqs_try_send(rig, "scoped.fifo", &b).duplicate);
    assert_true(sqs_try_send(rig, "scoped.fifo", &a).duplicate);
    const char *const wrong[] = {
        "{\"Buses\":[],\"Queues\":["
        "{\"QueueName\":\"x.fifo\",\"Attributes\":{\"FifoThroughputLimit\":\"perMessageGroupId\"}}]}",
        "{\"Buses\":[],\"Queues\":["
        "{\"QueueName\":\"x.fifo\",\"Attributes\":{\"DeduplicationScope\":\"world\"}}]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_non_null(strstr(rig_try_topology(rig, wrong[i]), "DeduplicationScope"));
}

/* -- attempts ---------------------------------------------------------------------------------------------------- */
static void expect_same(const sqs_got_t *a, const sqs_got_t *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        assert_memory_equal(a->items[i].receipt, b->items[i].receipt, CORE_RECEIPT_BYTES);
}

static void point_06_the_same_attempt_gets_the_same_messages_and_receipts_and_visibility_begins_anew(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < 3; i++)
        sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive_attempt(rig, "q.fifo", 2, "try");
    assert_int_equal(got.count, 2);
    rig_sleep(rig, 9 * S);
    sqs_got_t again = sqs_receive_attempt(rig, "q.fifo", 10, "try");
    expect_same(&got, &again);
    assert_int_equal(again.items[0].receives, 1);
    rig_sleep(rig, 9 * S);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 0);
    assert_int_equal(sqs_receive_attempt(rig, "q.fifo", 10, "other").count, 0);
    uint64_t digest = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
    rig_hello(rig, 2, "four-000004", NULL);
    sqs_ack(rig, &got.items[0]);
    rig_sleep(rig, S);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 2);
}

static void point_06_an_attempt_is_void_once_a_message_of_it_was_settled_or_changed(void **state)
{
    rig_t *rig = *state;
    const struct {
        uint64_t action;
        int64_t delay_ms;
    } changes[] = {{WIRE_ACK, 0}, {WIRE_EXTEND, 30000}, {WIRE_RELEASE, 30000}};
    for (size_t i = 0; i < ARRAY_LEN(changes); i++) {
        char group[24];
        (void)snprintf(group, sizeof group, "g%zu", i);
        sqs_send(rig, "q.fifo", group);
        sqs_send(rig, "q.fifo", group);
        sqs_got_t got = sqs_receive_attempt(rig, "q.fifo", 10, group);
        assert_int_equal(got.count, 2);
        assert_int_equal(rig_settle(rig, 2, &got.items[0], changes[i].action, changes[i].delay_ms), 0);
        assert_int_equal(sqs_receive_attempt(rig, "q.fifo", 10, group).count, 0);
    }
}

static void point_06_an_attempt_is_void_when_its_visibility_is_over_and_after_five_minutes(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive_attempt(rig, "q.fifo", 10, "try");
    rig_sleep(rig, 10 * S);
    sqs_got_t again = sqs_receive_attempt(rig, "q.fifo", 10, "try");
    assert_int_equal(again.items[0].receives, 2);
    assert_memory_not_equal(got.items[0].receipt, again.items[0].receipt, CORE_RECEIPT_BYTES);
    for (int i = 0; i < 37; i++) {
        rig_sleep(rig, 8 * S);
        got = sqs_receive_attempt(rig, "q.fifo", 10, "try");
        expect_same(&got, &again);
    }
    rig_sleep(rig, 5 * S); /* 301 s after it was first answered: new, and the message is in flight */
    assert_int_equal(sqs_receive_attempt(rig, "q.fifo", 10, "try").count, 0);
}

static void point_07_a_delete_after_the_visibility_fails(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive(rig, "q.fifo", 1);
    rig_sleep(rig, 10 * S);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_ACK, 0), STATUS_FAILED_PRECONDITION);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_REJECT, 0), STATUS_FAILED_PRECONDITION);
    sqs_got_t again = sqs_receive(rig, "q.fifo", 1);
    assert_int_equal(again.count, 1);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_ACK, 0), STATUS_INVALID_ARGUMENT);
    sqs_ack(rig, &again.items[0]);
    sqs_ack(rig, &again.items[0]);
}

static void point_08_a_change_of_visibility_holds_for_this_receive_alone(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive(rig, "q.fifo", 1);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_EXTEND, 20000), 0);
    rig_sleep(rig, 20 * S);
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_EXTEND, 1000), STATUS_FAILED_PRECONDITION);
    assert_int_equal(sqs_receive(rig, "q.fifo", 1).count, 1);
    rig_sleep(rig, 10 * S);
    assert_int_equal(sqs_receive(rig, "q.fifo", 1).items[0].receives, 3);
}

static void point_09_a_dead_letter_keeps_its_group_gets_a_new_id_and_begins_anew(void **state)
{
    rig_t *rig = *state;
    uint64_t first = sqs_send(rig, "retry.fifo", "a"), second = sqs_send(rig, "retry.fifo", "a");
    int64_t sent_us = rig->now_us;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(sqs_receive(rig, "retry.fifo", 1).items[0].record, first);
        rig_sleep(rig, S);
    }
    assert_int_equal(sqs_receive(rig, "retry.fifo", 1).items[0].record, second); /* the third time would be too often */
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
    sqs_got_t dead = sqs_receive(rig, "dead.fifo", 10);
    sqs_expect(&dead, &first, 1);
    bytes_t extra = bytes_from(rig->out.bytes.data + dead.items[0].extra_at, dead.items[0].extra_len), value;
    assert_true(attrs_str(extra, ATTR_MESSAGE_DEDUPLICATION_ID, &value) && bytes_eq_cstr(value, id));
    assert_true(attrs_str(extra, ATTR_DEAD_LETTER_QUEUE_SOURCE_ARN, &value) && bytes_eq_cstr(value, "retry.fifo"));
    wire_send_entry_t entry = sqs_entry("b", id);
    assert_true(sqs_try_send(rig, "dead.fifo", &entry).duplicate);
}

static void point_09_a_dead_letter_queue_must_be_of_the_same_type(void **state)
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

static void point_15_sequence_numbers_grow(void **state)
{
    rig_t *rig = *state;
    char last[24] = "";
    for (int i = 0; i < 3; i++) {
        sqs_send(rig, "q.fifo", "a");
        sqs_got_t got = sqs_receive(rig, "q.fifo", 1);
        bytes_t extra = bytes_from(rig->out.bytes.data + got.items[0].extra_at, got.items[0].extra_len), value;
        char number[24];
        assert_true(attrs_str(extra, ATTR_SEQUENCE_NUMBER, &value));
        assert_true(bytes_to_cstr(value, number, sizeof number));
        assert_int_equal(strlen(number), 20);
        assert_true(strcmp(number, last) > 0);
        memcpy(last, number, sizeof last);
        sqs_ack(rig, &got.items[0]);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sqs_open, sqs_close)
    const struct CMUnitTest tests[] = {
        TEST(point_01_only_messages_in_flight_block_a_group_and_delayed_ones_do_not),
        TEST(point_02_several_of_a_group_come_together_in_order_and_then_none_until_all_are_settled),
        TEST(point_03_what_is_extended_holds_back_what_is_behind_it_and_not_what_is_before),
        TEST(point_04_an_id_is_remembered_for_five_minutes_even_when_its_message_is_gone),
        TEST(point_04_by_content_the_hash_of_the_body_is_the_id_and_a_given_id_wins),
        TEST(point_05_in_the_scope_of_groups_each_group_remembers_for_itself),
        TEST(point_06_the_same_attempt_gets_the_same_messages_and_receipts_and_visibility_begins_anew),
        TEST(point_06_an_attempt_is_void_once_a_message_of_it_was_settled_or_changed),
        TEST(point_06_an_attempt_is_void_when_its_visibility_is_over_and_after_five_minutes),
        TEST(point_07_a_delete_after_the_visibility_fails),
        TEST(point_08_a_change_of_visibility_holds_for_this_receive_alone),
        TEST(point_09_a_dead_letter_keeps_its_group_gets_a_new_id_and_begins_anew),
        TEST(point_09_a_dead_letter_queue_must_be_of_the_same_type),
        TEST(point_15_sequence_numbers_grow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
