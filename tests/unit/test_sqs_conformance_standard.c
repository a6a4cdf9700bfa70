/* test_sqs_conformance_standard.c: what SQS promises of standard queues and of all queues, point by point, through the
 * core's door. The numbers are those of the list in docs/aws-differences.md. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/attrs.h"
#include "proto/message_attributes.h"
#include "proto/msgpack.h"
#include "tests/lib/sqs_case.h"

#define LOUD 60 /* messages of a loud tenant */

static bool extra_text(const rig_t *rig, const core_item_t *item, const char *name, bytes_t *value)
{
    return attrs_str(bytes_from(rig->out.bytes.data + item->extra_at, item->extra_len), name, value);
}

static uint64_t release(rig_t *rig, const core_item_t *item)
{
    return rig_settle(rig, 2, item, WIRE_RELEASE, 0);
}

/* -- receipts and visibility ------------------------------------------------------------------------------ */
static void point_07_to_delete_under_an_old_receipt_succeeds_and_deletes_nothing(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "plain", "");
    core_item_t old = sqs_receive(rig, "plain", 1).items[0];
    rig_sleep(rig, 10 * S);
    core_item_t newer = sqs_receive(rig, "plain", 1).items[0];
    assert_memory_not_equal(old.receipt, newer.receipt, CORE_RECEIPT_BYTES);
    assert_int_equal(rig_settle(rig, 2, &old, WIRE_ACK, 0), 0);
    assert_int_equal(sqs_number(rig, "plain", "in_flight"), 1);
    assert_int_equal(rig_settle(rig, 2, &old, WIRE_EXTEND, 1000), STATUS_INVALID_ARGUMENT);
    sqs_ack(rig, &newer);
    assert_int_equal(sqs_number(rig, "plain", "in_flight"), 0);
}

static void point_07_a_receipt_deletes_after_its_visibility_while_nobody_else_has_the_message(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "plain", "");
    core_item_t item = sqs_receive(rig, "plain", 1).items[0];
    rig_sleep(rig, 11 * S);
    assert_int_equal(sqs_number(rig, "plain", "visible"), 1);
    sqs_ack(rig, &item);
    assert_int_equal(sqs_number(rig, "plain", "visible"), 0);
}

static void point_08_more_than_the_time_that_is_left_of_twelve_hours_is_an_error(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "plain", "");
    core_item_t item = sqs_receive(rig, "plain", 1).items[0];
    rig_sleep(rig, 5 * S);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_EXTEND, 43200000), STATUS_INVALID_ARGUMENT);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_EXTEND, 43195000), 0);
    sqs_ack(rig, &item);
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_EXTEND, 1000), STATUS_FAILED_PRECONDITION);
}

/* -- dead letters ----------------------------------------------------------------------------------------- */
static void point_09_a_message_moves_when_its_receive_count_would_exceed_the_maximum(void **state)
{
    rig_t *rig = *state;
    uint64_t record = sqs_send(rig, "retry", "");
    int64_t sent_us = rig->now_us;
    for (int i = 0; i < 2; i++) {
        core_item_t item = sqs_receive(rig, "retry", 1).items[0];
        assert_int_equal(release(rig, &item), 0);
    }
    rig_sleep(rig, S);
    assert_int_equal(sqs_number(rig, "retry", "visible"), 1); /* received as often as is allowed, and still there */
    assert_int_equal(sqs_receive(rig, "retry", 1).count, 0);
    sqs_got_t dead = sqs_receive(rig, "dead", 1);
    bytes_t value;
    sqs_expect(&dead, &record, 1);
    assert_int_equal(dead.items[0].sent_us, sent_us); /* retention goes on from the first sending */
    assert_int_equal(dead.items[0].receives, 1);
    assert_true(extra_text(rig, &dead.items[0], ATTR_DEAD_LETTER_QUEUE_SOURCE_ARN, &value) &&
                bytes_eq_cstr(value, "retry"));
}

static void point_09_by_push_too_the_receive_that_would_be_too_many_moves_it(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "retry", "");
    rig_subscribe_queue(rig, 2, 7, "retry", 10);
    for (int i = 0; i < 2; i++) {
        const core_out_t *out = rig_deliver(rig, 2);
        assert_non_null(out);
        core_item_t item = rig->out.items[out->deliver.first];
        assert_int_equal(item.receives, i + 1);
        assert_int_equal(release(rig, &item), 0);
    }
    assert_null(rig_deliver(rig, 2));
    assert_int_equal(sqs_number(rig, "dead", "visible"), 1);
}

static void point_09_a_dead_letter_queue_says_whose_dead_letters_it_takes(void **state)
{
    rig_t *rig = *state;
    const char *const by = "{\"RedrivePolicy\":{\"deadLetterTargetArn\":\"choosy\",\"maxReceiveCount\":1}}";
    sqs_ask(
        rig, "create", "choosy",
        "{\"RedriveAllowPolicy\":{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"arn:aws:sqs:a:1:one\"]}}");
    sqs_ask(rig, "create", "one", by);
    assert_string_equal(sqs_refused(rig, "create", "two", by), "InvalidParameterValue");
    sqs_ask(rig, "set", "choosy", "{\"RedriveAllowPolicy\":\"{\\\"redrivePermission\\\":\\\"denyAll\\\"}\"}");
    sqs_send(rig, "one", "");
    for (int i = 0; i < 3; i++) { /* nobody takes it: it comes back */
        core_item_t item = sqs_receive(rig, "one", 1).items[0];
        assert_int_equal(release(rig, &item), 0);
    }
    sqs_ask(rig, "set", "choosy", "{\"RedriveAllowPolicy\":{\"redrivePermission\":\"allowAll\"}}");
    assert_int_equal(sqs_receive(rig, "one", 1).count, 0);
    assert_int_equal(sqs_number(rig, "choosy", "visible"), 1);
}

static void point_09_an_allow_policy_is_checked(void **state)
{
    rig_t *rig = *state;
    static const char *const wrong[] = {
        "{\"redrivePermission\":\"some\"}",
        "{}",
        "{\"redrivePermission\":\"byQueue\"}",
        "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[]}",
        "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"1\",\"2\",\"3\",\"4\",\"5\",\"6\",\"7\",\"8\",\"9\","
        "\"10\",\"11\"]}",
        "{\"redrivePermission\":\"allowAll\",\"sourceQueueArns\":[\"one\"]}",
        "{\"redrivePermission\":\"byQueue\",\"sourceQueueArns\":[\"no name\"]}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char args[256];
        (void)snprintf(args, sizeof args, "{\"RedriveAllowPolicy\":%s}", wrong[i]);
        assert_string_equal(sqs_refused(rig, "create", "new", args), "InvalidAttributeValue");
    }
}

static void point_10_received_three_times_and_unfinished_it_goes_behind_and_has_no_age(void **state)
{
    rig_t *rig = *state;
    uint64_t poison = sqs_send(rig, "plain", "");
    rig_sleep(rig, S);
    int64_t younger_us = rig->now_us;
    uint64_t other = sqs_send(rig, "plain", "");
    for (int i = 0; i < 3; i++) {
        core_item_t item = sqs_receive(rig, "plain", 1).items[0];
        assert_int_equal(item.record, poison); /* returned in front */
        assert_int_equal(release(rig, &item), 0);
    }
    assert_int_equal(sqs_number(rig, "plain", "oldest_us"), younger_us);
    core_item_t item = sqs_receive(rig, "plain", 1).items[0];
    assert_int_equal(item.record, other);
    sqs_ack(rig, &item);
    assert_int_equal(sqs_number(rig, "plain", "oldest_us"), 0);
    assert_int_equal(sqs_receive(rig, "plain", 1).items[0].record, poison);
}

static void the_oldest_age_is_exact_whatever_stands_first(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "plain", "a");
    int64_t oldest_us = rig->now_us;
    core_item_t item = sqs_receive(rig, "plain", 1).items[0];
    rig_sleep(rig, S);
    sqs_send(rig, "plain", "");
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_RELEASE, 2000), 0); /* comes back behind */
    assert_int_equal(sqs_number(rig, "plain", "oldest_us"), rig->now_us);
    rig_sleep(rig, 2 * S);
    assert_int_equal(sqs_number(rig, "plain", "oldest_us"), oldest_us);
}

/* -- queues themselves -------------------------------------------------------------------------------------- */
static void point_12_a_purge_takes_what_is_in_flight_too_and_is_allowed_once_a_minute(void **state)
{
    rig_t *rig = *state;
    sqs_send(rig, "plain", "");
    sqs_send(rig, "plain", "");
    core_item_t item = sqs_receive(rig, "plain", 1).items[0];
    uint64_t count;
    assert_true(mp_map_u64(sqs_ask(rig, "purge", "plain", NULL), "count", &count) && count == 2);
    sqs_ack(rig, &item); /* no error */
    rig_sleep(rig, 59 * S);
    assert_string_equal(sqs_refused(rig, "purge", "plain", NULL), "PurgeQueueInProgress");
    assert_in_range(rig->got->error.retry_after_ms, 1, 1000);
    rig_restart(rig, 0);
    rig_hello(rig, 1, "one-000001", NULL);
    assert_string_equal(sqs_refused(rig, "purge", "plain", NULL), "PurgeQueueInProgress");
    rig_sleep(rig, S);
    sqs_ask(rig, "purge", "plain", NULL);
}

static void point_12_the_name_of_a_deleted_queue_rests_for_a_minute(void **state)
{
    rig_t *rig = *state;
    sqs_ask(rig, "create", "brief", NULL);
    sqs_ask(rig, "delete", "brief", NULL);
    rig_sleep(rig, 59 * S);
    assert_string_equal(sqs_refused(rig, "create", "brief", NULL), "QueueDeletedRecently");
    rig_restart(rig, 0);
    rig_hello(rig, 1, "one-000001", NULL);
    assert_string_equal(sqs_refused(rig, "create", "brief", NULL), "QueueDeletedRecently");
    rig_sleep(rig, 2 * S);
    sqs_ask(rig, "create", "brief", NULL);
}

static void point_13_to_create_again_is_no_error_with_the_same_attributes_alone(void **state)
{
    rig_t *rig = *state;
    uint64_t first, again;
    assert_true(mp_map_u64(sqs_ask(rig, "create", "new", "{\"VisibilityTimeout\":\"7\"}"), "incarnation", &first));
    assert_true(mp_map_u64(sqs_ask(rig, "create", "new", "{\"VisibilityTimeout\":7,\"DelaySeconds\":0}"), "incarnation",
                           &again));
    assert_int_equal(first, again);
    assert_string_equal(sqs_refused(rig, "create", "new", "{\"VisibilityTimeout\":8}"), "QueueNameExists");
    assert_string_equal(sqs_refused(rig, "create", "new", NULL), "QueueNameExists");
}

/* -- fair queues --------------------------------------------------------------------------------------------- */
static core_item_t next_one(rig_t *rig)
{
    sqs_got_t got = sqs_receive(rig, "plain", 1);
    assert_int_equal(got.count, 1);
    return got.items[0];
}

static void point_14_a_quiet_tenant_is_served_before_a_noisy_one_s_backlog(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < LOUD; i++)
        sqs_send(rig, "plain", "loud");
    for (int i = 0; i < 29; i++)
        (void)next_one(rig);
    uint64_t quiet = sqs_send(rig, "plain", "quiet"), alone = sqs_send(rig, "plain", "");
    assert_int_not_equal(next_one(rig).record, quiet); /* 29 in flight are not noisy yet: by age */
    assert_int_equal(sqs_number(rig, "plain", "groups_noisy"), 1);
    assert_int_equal(next_one(rig).record, quiet);
    assert_int_equal(next_one(rig).record, alone);
    assert_int_equal(sqs_number(rig, "plain", "in_flight"), 32);
    (void)next_one(rig); /* nothing is held back */
}

static void point_14_by_push_too(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < LOUD; i++)
        sqs_send(rig, "plain", "loud");
    uint64_t quiet = sqs_send(rig, "plain", "quiet");
    rig_subscribe_queue(rig, 2, 7, "plain", 31);
    uint32_t seen = 0, at = 0;
    for (const core_out_t *out; (out = rig_deliver(rig, 2)) != NULL;)
        for (size_t i = 0; i < out->deliver.count; i++) {
            seen++;
            if (rig->out.items[out->deliver.first + i].record == quiet)
                at = seen;
        }
    assert_int_equal(seen, 31);
    assert_int_equal(at, 31); /* of 61 messages the last to come, and the first behind the 30th */
}

static void point_14_among_noisy_ones_the_least_in_flight_comes_first(void **state)
{
    rig_t *rig = *state;
    static const char *const tenants[] = {"a", "b"};
    for (int t = 0; t < 2; t++)
        for (int i = 0; i < LOUD; i++)
            sqs_send(rig, "plain", tenants[t]);
    for (int i = 0; i < SQS_IN_FLIGHT - 2; i++)
        (void)next_one(rig);
    assert_int_equal(sqs_number(rig, "plain", "groups_noisy"), 2);
    int64_t difference = 0;
    for (uint64_t seq = 1; seq <= rig->records; seq++) { /* the first 60 records sent are a's */
        const record_t *r = rig_record(rig, seq);
        if (r->kind != RECORD_DELIVERED)
            continue;
        uint64_t sent = r->delivered.entries.items[0].record;
        difference += bytes_eq_cstr(rig_record(rig, sent)->send.group, "a") ? 1 : -1;
    }
    assert_in_range(difference + 2, 0, 4);
}

static void point_14_a_noisy_tenant_is_quiet_again_after_five_minutes_without_a_message(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < LOUD; i++)
        sqs_send(rig, "plain", "loud");
    for (int i = 0; i < 30; i++) {
        core_item_t item = next_one(rig);
        assert_int_equal(rig_settle(rig, 2, &item, WIRE_EXTEND, 600000), 0);
    }
    assert_int_equal(sqs_number(rig, "plain", "groups_noisy"), 1);
    rig_sleep(rig, 299 * S);
    assert_int_equal(sqs_number(rig, "plain", "groups_noisy"), 1);
    rig_sleep(rig, S);
    uint64_t quiet = sqs_send(rig, "plain", "quiet");
    assert_int_not_equal(next_one(rig).record, quiet);
    assert_int_equal(sqs_number(rig, "plain", "groups_noisy"), 0);
}

static void point_14_a_tenant_that_takes_most_of_the_consumers_time_is_noisy(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < 12; i++)
        sqs_send(rig, "plain", "slow");
    for (int i = 0; i < 8; i++) { /* 9 s each, one at a time */
        core_item_t item = next_one(rig);
        rig_sleep(rig, 9 * S);
        sqs_ack(rig, &item);
    }
    for (int i = 0; i < 20 && !sqs_number(rig, "plain", "groups_noisy"); i++) {
        core_item_t item = next_one(rig);
        rig_sleep(rig, 9 * S);
        sqs_ack(rig, &item);
        sqs_send(rig, "plain", "slow");
    }
    assert_int_equal(sqs_number(rig, "plain", "groups_noisy"), 1);
    uint64_t quiet = sqs_send(rig, "plain", "quick");
    assert_int_equal(next_one(rig).record, quiet);
}

static void point_14_tenants_survive_a_restart_and_a_snapshot(void **state)
{
    rig_t *rig = *state;
    error_t err;
    for (int i = 0; i < LOUD; i++)
        sqs_send(rig, "plain", i % 3 ? "loud" : "");
    for (int i = 0; i < 45; i++)
        (void)next_one(rig);
    uint64_t before = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), before);
    if (!core_check(rig->core, &err))
        fail_msg("%s", err.message);
}

/* -- sums and selectors ---------------------------------------------------------------------------------------- */
static void point_16_the_answer_to_send_has_the_sums_that_were_asked_for(void **state)
{
    rig_t *rig = *state;
    buf_t attrs = {0};
    wire_send_t *send = calloc(1, sizeof *send);
    assert_non_null(send);
    attrs_writer_t w = attrs_begin(&attrs);
    attrs_put_str(&w, "attribName1", BYTES_LIT("attribValue 1"));
    attrs_put_str(&w, ATTR_AWS_TRACE_HEADER, BYTES_LIT("Root=1"));
    assert_true(attrs_end(&w, NULL));
    send->queue = BYTES_LIT("plain");
    send->entries.count = 1;
    send->entries.items[0] =
        (wire_send_entry_t){.delay_ms = -1, .attrs = buf_bytes(&attrs), .body = BYTES_LIT("\xa5hello")};
    for (int with = 0; with < 2; with++) {
        send->digests = with;
        rig_send(rig, 1, WIRE_SEND, 8, send);
        const wire_result_entry_t *r = &rig_expect(rig, 1, WIRE_SENT)->sent.results.items[0];
        assert_true(bytes_eq_cstr(r->md5_body, with ? "5d41402abc4b2a76b9719d911017c592" : ""));
        assert_true(bytes_eq_cstr(r->md5_attributes, with ? "19e27d4e946b072f3f58da80d94fd778" : ""));
        assert_int_equal(r->md5_system_attributes.len, with ? 32 : 0);
    }
    free(send);
    buf_free(&attrs);
}

static const core_out_t *receive_selecting(rig_t *rig, const char *name)
{
    buf_t attributes = {0};
    mp_put_map(&attributes, 1);
    mp_put_cstr(&attributes, "MessageAttributeNames");
    mp_put_array(&attributes, 1);
    mp_put_cstr(&attributes, name);
    rig_send(rig, 2, WIRE_RECEIVE, 5,
             &(wire_receive_t){.queue = BYTES_LIT("plain"),
                               .max = 1,
                               .visibility_ms = -1,
                               .attributes = buf_bytes(&attributes),
                               .digests = true});
    buf_free(&attributes);
    return rig_deliver(rig, 2);
}

/* The front reads the record and chooses: what reaches it is tested here, what it does in test_sqs_semantics.py. */
static void point_17_names_and_prefixes_choose_and_all_is_all(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < 4; i++)
        sqs_send(rig, "plain", "");
    assert_true(receive_selecting(rig, "bar.*")->deliver.select_len > 0);
    const core_out_t *out = receive_selecting(rig, "name");
    assert_true(out->deliver.select_len > 0 && out->deliver.digests);
    assert_int_equal(receive_selecting(rig, "All")->deliver.select_len, 0);
    assert_int_equal(receive_selecting(rig, ".*")->deliver.select_len, 0);
}

/* -- waiting ------------------------------------------------------------------------------------------------- */
static void a_receive_waits_as_long_as_its_queue_says_when_it_asks_for_that(void **state)
{
    rig_t *rig = *state;
    sqs_ask(rig, "create", "patient", "{\"ReceiveMessageWaitTimeSeconds\":\"20\"}");
    const wire_receive_t receive = {.queue = BYTES_LIT("patient"), .max = 1, .visibility_ms = -1, .queue_wait = true};
    rig_send(rig, 2, WIRE_RECEIVE, 5, &receive);
    assert_null(rig_deliver(rig, 2));
    rig_sleep(rig, 19 * S);
    assert_null(rig_deliver(rig, 2));
    rig_sleep(rig, S);
    const core_out_t *out = rig_deliver(rig, 2);
    assert_true(out && out->deliver.count == 0);
    assert_string_equal(sqs_refused(rig, "set", "patient", "{\"ReceiveMessageWaitTimeSeconds\":21}"),
                        "InvalidAttributeValue");
}

static void retention_that_is_lowered_lets_go_what_is_older(void **state)
{
    rig_t *rig = *state;
    sqs_ask(rig, "create", "brief", NULL);
    sqs_send(rig, "brief", "");
    rig_sleep(rig, 100 * S);
    sqs_ask(rig, "set", "brief", "{\"MessageRetentionPeriod\":60}");
    rig_sleep(rig, 1);
    assert_int_equal(sqs_number(rig, "brief", "visible"), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sqs_open, sqs_close)
    const struct CMUnitTest tests[] = {
        TEST(point_07_to_delete_under_an_old_receipt_succeeds_and_deletes_nothing),
        TEST(point_07_a_receipt_deletes_after_its_visibility_while_nobody_else_has_the_message),
        TEST(point_08_more_than_the_time_that_is_left_of_twelve_hours_is_an_error),
        TEST(point_09_a_message_moves_when_its_receive_count_would_exceed_the_maximum),
        TEST(point_09_by_push_too_the_receive_that_would_be_too_many_moves_it),
        TEST(point_09_a_dead_letter_queue_says_whose_dead_letters_it_takes),
        TEST(point_09_an_allow_policy_is_checked),
        TEST(point_10_received_three_times_and_unfinished_it_goes_behind_and_has_no_age),
        TEST(the_oldest_age_is_exact_whatever_stands_first),
        TEST(point_12_a_purge_takes_what_is_in_flight_too_and_is_allowed_once_a_minute),
        TEST(point_12_the_name_of_a_deleted_queue_rests_for_a_minute),
        TEST(point_13_to_create_again_is_no_error_with_the_same_attributes_alone),
        TEST(point_14_a_quiet_tenant_is_served_before_a_noisy_one_s_backlog),
        TEST(point_14_by_push_too),
        TEST(point_14_among_noisy_ones_the_least_in_flight_comes_first),
        TEST(point_14_a_noisy_tenant_is_quiet_again_after_five_minutes_without_a_message),
        TEST(point_14_a_tenant_that_takes_most_of_the_consumers_time_is_noisy),
        TEST(point_14_tenants_survive_a_restart_and_a_snapshot),
        TEST(point_16_the_answer_to_send_has_the_sums_that_were_asked_for),
        TEST(point_17_names_and_prefixes_choose_and_all_is_all),
        TEST(a_receive_waits_as_long_as_its_queue_says_when_it_asks_for_that),
        TEST(retention_that_is_lowered_lets_go_what_is_older),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
