/* test_core_fifo.c: what a FIFO queue promises beyond SQS's letter, through the core's door. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/group.h"
#include "broker/core/queue.h"
#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "tests/lib/sqs_case.h"

/* -- order -------------------------------------------------------------------------------------------------- */
static void one_receive_takes_a_whole_group_and_fills_up_with_others(void **state)
{
    rig_t *rig = *state;
    uint64_t records[4];
    records[0] = sqs_send(rig, "q.fifo", "a");
    records[2] = sqs_send(rig, "q.fifo", "b");
    records[1] = sqs_send(rig, "q.fifo", "a");
    records[3] = sqs_send(rig, "q.fifo", "b");
    sqs_got_t got = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&got, records, 4);
}

static void what_returns_takes_its_old_place_in_the_group(void **state)
{
    rig_t *rig = *state;
    uint64_t records[4];
    for (int i = 0; i < 3; i++)
        records[i] = sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive(rig, "q.fifo", 10);
    records[3] = sqs_send(rig, "q.fifo", "a");
    for (int i = 2; i >= 0; i--)
        assert_int_equal(rig_settle(rig, 2, &got.items[i == 2 ? 1 : i == 1 ? 2 : 0], WIRE_RELEASE, 0), 0);
    got = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&got, records, 4);
}

static void a_message_released_for_later_still_holds_its_group(void **state)
{
    rig_t *rig = *state;
    uint64_t records[2];
    records[0] = sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive(rig, "q.fifo", 1);
    records[1] = sqs_send(rig, "q.fifo", "a");
    assert_int_equal(rig_settle(rig, 2, &got.items[0], WIRE_RELEASE, 30000), 0);
    rig_sleep(rig, 30 * S - 1);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 0);
    rig_sleep(rig, 1);
    got = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&got, records, 2);
}

static void a_subscription_gets_a_group_in_order_and_one_delivery_at_a_time(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < 3; i++)
        sqs_send(rig, "q.fifo", "a");
    rig_subscribe_queue(rig, 2, 1, "q.fifo", 100);
    const core_out_t *out = rig_deliver(rig, 2);
    assert_int_equal(out->deliver.count, 3);
    core_item_t items[3];
    memcpy(items, &rig->out.items[out->deliver.first], sizeof items);
    sqs_send(rig, "q.fifo", "a");
    assert_null(rig_deliver(rig, 2));
    for (int i = 0; i < 3; i++) {
        assert_null(rig_deliver(rig, 2));
        sqs_ack(rig, &items[i]);
    }
    assert_int_equal(rig_deliver(rig, 2)->deliver.count, 1);
}

static void what_a_session_held_returns_in_order_with_its_end(void **state)
{
    rig_t *rig = *state;
    uint64_t records[3];
    for (int i = 0; i < 3; i++)
        records[i] = sqs_send(rig, "q.fifo", "a");
    assert_int_equal(sqs_receive(rig, "q.fifo", 2).count, 2);
    rig_send(rig, 2, WIRE_BYE, 0, &(wire_bye_t){0});
    rig_hello(rig, 2, "again-000002", NULL);
    sqs_got_t got = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&got, records, 3);
}

static void a_producer_hears_the_same_of_a_duplicate_when_it_asks_again(void **state)
{
    rig_t *rig = *state;
    rig_send(rig, 3, WIRE_HELLO, 1,
             &(wire_hello_t){
                 .protocol = WIRE_PROTOCOL, .name = BYTES_LIT("three-000003"), .producer = BYTES_LIT("p"), .epoch = 1});
    wire_send_entry_t entry = sqs_entry("a", "same");
    uint64_t first = sqs_try_send(rig, "q.fifo", &entry).record;
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
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 1);
    free(send);
}

static void at_the_limit_in_flight_nothing_is_returned_and_nothing_refused(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < SQS_IN_FLIGHT + 1; i++) {
        char group[24];
        (void)snprintf(group, sizeof group, "g%d", i);
        sqs_send(rig, "q.fifo", group);
    }
    sqs_got_t got = sqs_receive(rig, "q.fifo", 10);
    for (int i = 10; i < SQS_IN_FLIGHT; i += 10)
        assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 10);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 0);
    sqs_ack(rig, &got.items[0]);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 1);
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
        {sqs_entry("", "d"), "MissingParameter"},
        {sqs_entry("a", ""), "InvalidParameterValue"},
        {sqs_entry(longer, "d"), "InvalidParameterValue"},
        {sqs_entry("a", longer), "InvalidParameterValue"},
        {sqs_entry("a b", "d"), "InvalidParameterValue"},
        {sqs_entry("a", "\xc3\xa4"), "InvalidParameterValue"},
        {{.group = BYTES_LIT("a"), .dedup = BYTES_LIT("d"), .delay_ms = 0, .body = BYTES_LIT("\xa1x")},
         "InvalidParameterValue"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        wire_result_entry_t result = sqs_try_send(rig, "q.fifo", &cases[i].entry);
        assert_true(result.status && bytes_eq_cstr(result.aws, cases[i].name));
    }
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 0);
}

static void a_new_delay_of_the_queue_holds_for_what_waits_too(void **state)
{
    rig_t *rig = *state;
    uint64_t records[2];
    char changed[2048];
    records[0] = sqs_send(rig, "late.fifo", "a");
    assert_true(strlen(sqs_topology) < sizeof changed);
    (void)strcpy(changed, sqs_topology);
    char *delay = strstr(changed, "\"DelaySeconds\":5");
    assert_non_null(delay);
    delay[strlen("\"DelaySeconds\":")] = '1';
    rig_topology(rig, changed);
    records[1] = sqs_send(rig, "late.fifo", "a");
    rig_sleep(rig, S);
    sqs_got_t got = sqs_receive(rig, "late.fifo", 10);
    sqs_expect(&got, records, 2);
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
    sqs_got_t got = sqs_receive(rig, "events.fifo", 10);
    sqs_expect(&got, records, 2);
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
    assert_int_equal(sqs_receive(rig, "events.fifo", 10).count, 1);
    rig_sleep(rig, 31 * S);
    publish_event(rig, "", BYTES_NONE, "again", 7, &result);
    assert_int_equal(sqs_receive(rig, "events.fifo", 10).count, 2);
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
    sqs_got_t got = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&got, &result.record, 1);
}

/* As if so many had come in this moment. */
static queue_t *fill_window(rig_t *rig, const char *name)
{
    queue_t *queue = queue_find(rig->core, bytes_cstr(name));
    char id[32];
    for (uint32_t i = queue->dedup.count; i < DEDUP_KEYS_MAX; i++) {
        (void)snprintf(id, sizeof id, "filler-%u", i);
        group_dedup_add(queue, BYTES_LIT("all"), bytes_cstr(id), 1, rig->now_us);
    }
    return queue;
}

static void an_event_is_refused_while_its_fifo_target_can_remember_no_more_of_them(void **state)
{
    rig_t *rig = *state;
    wire_result_entry_t result;
    publish_event(rig, "", BYTES_NONE, "", 7, &result);
    (void)fill_window(rig, "events.fifo");
    publish_event(rig, "", BYTES_NONE, "", 8, &result);
    assert_int_equal(result.status, STATUS_RESOURCE_EXHAUSTED);
    assert_true(bytes_eq_cstr(result.aws, "ThrottlingException") &&
                memmem(result.message.data, result.message.len, "events.fifo", 11));
    publish_event(rig, "", BYTES_NONE, "", 7, &result);
    assert_int_equal(result.status, 0); /* it is remembered */
    rig_sleep(rig, 301 * S);
    publish_event(rig, "", BYTES_NONE, "", 9, &result);
    assert_int_equal(result.status, 0);
    assert_int_equal(sqs_receive(rig, "events.fifo", 10).count, 2);
}

/* What moves there cannot be refused: it is known by where it came from, and comes once. */
static void a_window_that_is_full_remembers_no_more_whatever_comes(void **state)
{
    rig_t *rig = *state;
    queue_t *queue = fill_window(rig, "q.fifo");
    group_dedup_add(queue, BYTES_LIT("a"), BYTES_LIT("one-more"), 1, rig->now_us);
    assert_int_equal(queue->dedup.count, DEDUP_KEYS_MAX);
    rig_sleep(rig, 301 * S);
    group_dedup_add(queue, BYTES_LIT("a"), BYTES_LIT("one-more"), 1, rig->now_us);
    assert_int_equal(queue->dedup.count, 1);
}

/* -- restarts
 * ----------------------------------------------------------------------------------------------------------- */
static void groups_and_what_holds_them_survive_a_restart(void **state)
{
    rig_t *rig = *state;
    uint64_t records[3];
    for (int i = 0; i < 3; i++)
        records[i] = sqs_send(rig, "q.fifo", "a");
    sqs_got_t got = sqs_receive(rig, "q.fifo", 2);
    uint64_t digest = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
    rig_hello(rig, 2, "four-000004", NULL);
    assert_int_equal(sqs_receive(rig, "q.fifo", 10).count, 0);
    sqs_ack(rig, &got.items[0]);
    sqs_ack(rig, &got.items[1]);
    got = sqs_receive(rig, "q.fifo", 10);
    sqs_expect(&got, records + 2, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, sqs_open, sqs_close)
    const struct CMUnitTest tests[] = {
        TEST(one_receive_takes_a_whole_group_and_fills_up_with_others),
        TEST(what_returns_takes_its_old_place_in_the_group),
        TEST(a_message_released_for_later_still_holds_its_group),
        TEST(a_subscription_gets_a_group_in_order_and_one_delivery_at_a_time),
        TEST(what_a_session_held_returns_in_order_with_its_end),
        TEST(a_producer_hears_the_same_of_a_duplicate_when_it_asks_again),
        TEST(at_the_limit_in_flight_nothing_is_returned_and_nothing_refused),
        TEST(what_a_fifo_queue_needs_is_asked_for_by_name),
        TEST(a_new_delay_of_the_queue_holds_for_what_waits_too),
        TEST(an_event_reaches_a_fifo_target_in_the_group_of_the_target),
        TEST(an_event_told_twice_is_queued_once_and_a_replay_of_it_again),
        TEST(an_event_put_into_a_fifo_queue_by_name_needs_its_own_group),
        TEST(an_event_is_refused_while_its_fifo_target_can_remember_no_more_of_them),
        TEST(a_window_that_is_full_remembers_no_more_whatever_comes),
        TEST(groups_and_what_holds_them_survive_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
