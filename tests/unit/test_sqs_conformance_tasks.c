/* test_sqs_conformance_tasks.c: what SQS promises of move tasks (point 11), and what a full disk does to them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/msgpack.h"
#include "tests/lib/sqs_case.h"

/* A dead letter of the queue "retry". */
static uint64_t bury(rig_t *rig)
{
    uint64_t record = sqs_send(rig, "retry", "");
    core_item_t item = sqs_receive(rig, "retry", 1).items[0];
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_REJECT, 0), 0);
    return record;
}

static bytes_t newest_task(rig_t *rig)
{
    bytes_t list = sqs_ask(rig, "tasks", "dead", NULL), task;
    mp_reader_t r = mp_reader(list);
    uint32_t count;
    assert_true(mp_get_array(&r, &count) && count >= 1 && mp_get_raw(&r, &task));
    return task;
}

static void expect_task(rig_t *rig, const char *state, uint64_t moved)
{
    uint64_t number;
    bytes_t text, task = newest_task(rig);
    assert_true(mp_map_str(task, "state", &text));
    if (!bytes_eq_cstr(text, state))
        fail_msg("%.*s", BYTES_FMT(text));
    assert_true(mp_map_u64(task, "moved", &number) && number == moved);
    assert_true(mp_map_str(task, "task", &text));
    assert_int_equal(text.len != 0, strcmp(state, "RUNNING") == 0); /* a handle only while it runs */
}

static void point_11_a_redriven_message_is_new_where_it_came_from(void **state)
{
    rig_t *rig = *state;
    uint64_t record = bury(rig);
    rig_sleep(rig, 100 * S);
    sqs_ask(rig, "redrive", "dead", NULL);
    rig_sleep(rig, S);
    expect_task(rig, "COMPLETED", 1);
    core_item_t item = sqs_receive(rig, "retry", 1).items[0];
    assert_int_equal(item.record, record); /* its bytes */
    assert_true(item.message > record);    /* its identity */
    assert_int_equal(item.receives, 1);
    assert_true(item.sent_us > rig->now_us - 2 * S); /* its time: retention begins anew */
    assert_int_equal(item.first_receive_us, rig->now_us);
    assert_int_equal(item.extra_len, 0); /* nobody's dead letter */
    assert_int_equal(rig_settle(rig, 2, &item, WIRE_RELEASE, 0), 0);
    item = sqs_receive(rig, "retry", 1).items[0]; /* and has all its receives again */
    assert_int_equal(item.receives, 2);
}

static void point_11_at_the_rate_asked_for_and_cancel_keeps_what_moved(void **state)
{
    rig_t *rig = *state;
    bytes_t handle;
    char name[24];
    for (int i = 0; i < 30; i++)
        bury(rig);
    sqs_ask(rig, "redrive", "dead", "{\"rate\":10,\"to\":\"plain\"}");
    rig_sleep(rig, S - 1);
    assert_in_range(sqs_number(rig, "plain", "visible"), 9, 11);
    expect_task(rig, "RUNNING", sqs_number(rig, "plain", "visible"));
    assert_string_equal(sqs_refused(rig, "redrive", "dead", NULL), "InvalidParameterValue"); /* one at a time */
    rig_sleep(rig, S);
    uint64_t moved = sqs_number(rig, "plain", "visible");
    assert_in_range(moved, 19, 21);
    assert_true(mp_map_str(newest_task(rig), "task", &handle) && bytes_to_cstr(handle, name, sizeof name));
    sqs_ask(rig, "cancel", name, NULL);
    rig_sleep(rig, 10 * S);
    expect_task(rig, "CANCELLED", moved);
    assert_int_equal(sqs_number(rig, "plain", "visible"), moved);
    assert_int_equal(sqs_number(rig, "dead", "visible"), 30 - moved);
    assert_string_equal(sqs_refused(rig, "cancel", name, NULL), "InvalidParameterValue");
    assert_string_equal(sqs_refused(rig, "cancel", "7x", NULL), "ResourceNotFoundException");
}

static void point_11_a_task_goes_on_after_a_restart_and_does_not_block_later_ones(void **state)
{
    rig_t *rig = *state;
    for (int i = 0; i < 20; i++)
        bury(rig);
    sqs_ask(rig, "redrive", "dead", "{\"rate\":10}");
    rig_sleep(rig, S - 1);
    uint64_t before = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), before);
    rig_sleep(rig, 2 * S);
    rig_hello(rig, 1, "one-000001", NULL);
    rig_hello(rig, 2, "two-000002", NULL);
    expect_task(rig, "COMPLETED", 20);
    assert_int_equal(sqs_number(rig, "retry", "visible"), 20);
    bury(rig);
    sqs_ask(rig, "redrive", "dead", NULL);
    rig_sleep(rig, S);
    expect_task(rig, "COMPLETED", 1);
}

static void point_11_where_the_target_is_gone_the_task_fails_and_the_message_stays(void **state)
{
    rig_t *rig = *state;
    sqs_ask(rig, "create", "gone", NULL);
    bury(rig);
    bury(rig);
    sqs_ask(rig, "redrive", "dead", "{\"to\":\"gone\",\"rate\":1}");
    sqs_ask(rig, "delete", "gone", NULL);
    rig_sleep(rig, S);
    expect_task(rig, "FAILED", 1);
    assert_int_equal(sqs_number(rig, "dead", "visible"), 1);
    sqs_send(rig, "dead", ""); /* it came from no queue */
    sqs_ask(rig, "redrive", "dead", NULL);
    rig_sleep(rig, S);
    bytes_t why;
    expect_task(rig, "FAILED", 1);
    assert_true(mp_map_str(newest_task(rig), "why", &why));
    assert_true(bytes_has_prefix(why, BYTES_LIT("CouldNotDetermineMessageSource")));
    assert_int_equal(sqs_number(rig, "dead", "visible"), 1);
}

static void point_11_what_a_task_needs_is_asked_for(void **state)
{
    rig_t *rig = *state;
    static const struct {
        const char *queue, *args, *name;
    } wrong[] = {
        {"nobody", NULL, "QueueDoesNotExist"},
        {"plain", NULL, "InvalidParameterValue"}, /* nobody's dead letters */
        {"dead", "{\"to\":\"nobody\"}", "QueueDoesNotExist"},
        {"dead", "{\"to\":\"q.fifo\"}", "InvalidParameterValue"},
        {"dead", "{\"to\":\"dead\"}", "InvalidParameterValue"},
        {"dead", "{\"rate\":0}", "InvalidParameterValue"},
        {"dead", "{\"rate\":501}", "InvalidParameterValue"},
        {"dead", "{\"rate\":\"fast\"}", "InvalidParameterValue"},
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_string_equal(sqs_refused(rig, "redrive", wrong[i].queue, wrong[i].args), wrong[i].name);
    sqs_ask(rig, "redrive", "dead", "{\"dry_run\":true}"); /* begins nothing */
    uint32_t count;
    mp_reader_t r = mp_reader(sqs_ask(rig, "tasks", "dead", NULL));
    assert_true(mp_get_array(&r, &count) && count == 0);
}

static void point_11_ten_tasks_are_listed_newest_first(void **state)
{
    rig_t *rig = *state;
    uint32_t count;
    for (int i = 0; i < 12; i++) {
        sqs_ask(rig, "redrive", "dead", NULL);
        rig_sleep(rig, S);
    }
    mp_reader_t r = mp_reader(sqs_ask(rig, "tasks", "dead", NULL));
    assert_true(mp_get_array(&r, &count) && count == 10);
    int64_t last = INT64_MAX;
    for (uint32_t i = 0; i < count; i++) {
        bytes_t task;
        uint64_t began;
        assert_true(mp_get_raw(&r, &task) && mp_map_u64(task, "began_us", &began) && (int64_t)began < last);
        last = (int64_t)began;
    }
}

static void a_task_waits_while_the_disk_is_full_and_goes_on_by_itself(void **state)
{
    rig_t *rig = *state;
    bytes_t why;
    for (int i = 0; i < 30; i++)
        bury(rig);
    sqs_ask(rig, "redrive", "dead", "{\"rate\":10,\"to\":\"plain\"}");
    rig_sleep(rig, S);
    uint64_t moved = sqs_number(rig, "plain", "visible"), records = rig->records;
    rig->is_full = true;
    rig_sleep(rig, 20 * S);
    assert_int_equal(rig->records, records);
    expect_task(rig, "RUNNING", moved);
    assert_true(mp_map_str(newest_task(rig), "why", &why));
    assert_true(bytes_eq_cstr(why, "waits: the disk is full"));
    assert_true(core_next_deadline_us(rig->core) > rig->now_us); /* it does not keep the broker busy */
    rig->is_full = false;
    rig_sleep(rig, 2 * S);
    assert_in_range(sqs_number(rig, "plain", "visible"), moved + 9, moved + 21);
    assert_true(mp_map_str(newest_task(rig), "why", &why) && !why.len);
    rig_sleep(rig, 5 * S);
    expect_task(rig, "COMPLETED", 30);
}

static void a_task_that_waits_can_be_cancelled(void **state)
{
    rig_t *rig = *state;
    bytes_t handle;
    char name[24];
    bury(rig);
    rig->is_full = true;
    sqs_ask(rig, "redrive", "dead", "{\"to\":\"plain\"}");
    rig_sleep(rig, S);
    assert_true(mp_map_str(newest_task(rig), "task", &handle) && bytes_to_cstr(handle, name, sizeof name));
    sqs_ask(rig, "cancel", name, NULL);
    rig_sleep(rig, 5 * S);
    expect_task(rig, "CANCELLED", 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, sqs_open, sqs_close)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(point_11_a_redriven_message_is_new_where_it_came_from),
        TEST(point_11_at_the_rate_asked_for_and_cancel_keeps_what_moved),
        TEST(point_11_a_task_goes_on_after_a_restart_and_does_not_block_later_ones),
        TEST(point_11_where_the_target_is_gone_the_task_fails_and_the_message_stays),
        TEST(point_11_what_a_task_needs_is_asked_for),
        TEST(point_11_ten_tasks_are_listed_newest_first),
        TEST(a_task_waits_while_the_disk_is_full_and_goes_on_by_itself),
        TEST(a_task_that_waits_can_be_cancelled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
