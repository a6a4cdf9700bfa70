/* test_core_targets.c: where rules lead: other buses, groups that stand in the event, dead letters with their reasons.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/attrs.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "tests/lib/core_rig.h"

#define JSON_BYTES 8192

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    rig_hello(rig, 1, "a-000001", NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

#define BUSES3 "\"Buses\":[{\"Name\":\"a\"},{\"Name\":\"b\"},{\"Name\":\"c\"}],"
#define RULE(name, bus, targets)                                                                                       \
    "{\"Name\":\"" name "\",\"EventBusName\":\"" bus                                                                   \
    "\",\"EventPattern\":{\"source\":[{\"prefix\":\"\"}]},\"Targets\":[" targets "]}"
#define TARGET(id, arn) "{\"Id\":\"" id "\",\"Arn\":\"" arn "\"}"
#define QUEUES                                                                                                         \
    "\"Queues\":[{\"QueueName\":\"dead\"},{\"QueueName\":\"dead.fifo\"},{\"QueueName\":\"qa\",\"Attributes\":{"        \
    "\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":3},\"MaximumEventAgeInSeconds\":600}},"   \
    "{\"QueueName\":\"qb\"},{\"QueueName\":\"qc\"},{\"QueueName\":\"line.fifo\",\"Attributes\":{\"RedrivePolicy\":{"   \
    "\"deadLetterTargetArn\":\"dead.fifo\",\"maxReceiveCount\":3}}}]"
#define CIRCLE                                                                                                                       \
    "{" BUSES3                                                                                                                       \
    "\"Rules\":[" RULE("ra", "a", TARGET("q", "qa") "," TARGET("on", "arn:aws:events:us-east-1:123456789012:event-bus/b")) "," RULE( \
        "rb", "b", TARGET("q", "qb") "," TARGET("on", "event-bus/c")) "," RULE("rc", "c",                                            \
                                                                               TARGET("q", "qc") "," TARGET(                         \
                                                                                   "on", "event-bus/a")) "]," QUEUES                 \
                                                                                                         "}"

/* An event with this detail; its record, decoded. */
static const record_publish_t *publish(rig_t *rig, const char *bus, const char *detail)
{
    char json[JSON_BYTES];
    buf_t body = {0};
    error_t err = {0};
    (void)snprintf(
        json, sizeof json,
        "{\"version\":\"0\",\"id\":\"e-1\",\"detail-type\":\"t\",\"source\":\"s\",\"account\":\"1\",\"time\":"
        "\"2026-01-01T00:00:00Z\",\"region\":\"r\",\"resources\":[],\"detail\":%s}",
        detail);
    assert_true(json_to_msgpack(bytes_cstr(json), NULL, &body, &err));
    wire_publish_t *msg = calloc(1, sizeof *msg);
    assert_non_null(msg);
    rig_hello(rig, 1, "a-000001", NULL); /* a restart, or its silence, may have ended it */
    msg->bus = bytes_cstr(bus);
    msg->entries.count = 1;
    msg->entries.items[0].body = buf_bytes(&body);
    rig_send(rig, 1, WIRE_PUBLISH, 9, msg);
    const wire_result_entry_t result = rig_expect(rig, 1, WIRE_PUBLISHED)->published.results.items[0];
    free(msg);
    buf_free(&body);
    if (result.status)
        fail_msg("%.*s", BYTES_FMT(result.message));
    return &rig_record(rig, result.record)->publish;
}

typedef struct {
    const char *queue;
    uint64_t visible;
} look_t;

static void look_at(void *ctx, const core_queue_stats_t *stats)
{
    look_t *look = ctx;
    if (strcmp(stats->name, look->queue) == 0)
        look->visible = stats->visible;
}

static uint64_t visible_in(const rig_t *rig, const char *queue)
{
    look_t look = {.queue = queue, .visible = UINT64_MAX};
    core_each_queue(rig->core, look_at, &look);
    return look.visible;
}

/* -- other buses --------------------------------------------------------------------------------------- */
static void an_event_that_is_passed_on_is_one_record_and_comes_to_no_bus_twice(void **state)
{
    rig_t *rig = *state;
    bytes_t by;
    rig_topology(rig, CIRCLE);
    const record_publish_t *r = publish(rig, "b", "{}");
    assert_int_equal(r->routes.count, 3);
    assert_true(mp_map_str(r->passed, "c", &by) && bytes_eq_cstr(by, "b/rb/on"));
    assert_true(mp_map_str(r->passed, "a", &by) && bytes_eq_cstr(by, "c/rc/on"));
    assert_false(mp_map_str(r->passed, "b", &by));
    assert_true(bytes_eq_cstr(r->routes.items[2].rule, "a/ra/q"));
    for (int i = 0; i < 2; i++) {
        assert_int_equal(visible_in(rig, "qa"), 1);
        assert_int_equal(visible_in(rig, "qb"), 1);
        assert_int_equal(visible_in(rig, "qc"), 1);
        rig_snapshot(rig);
        rig_restart(rig, 0);
    }
}

static void recovery_does_not_pass_on_again(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, CIRCLE);
    (void)publish(rig, "a", "{}");
    rig_topology(rig, "{" BUSES3 "\"Rules\":[]," QUEUES "}");
    rig_restart(rig, 0);
    assert_int_equal(visible_in(rig, "qb"), 1);
    assert_int_equal(publish(rig, "a", "{}")->passed.len, 0);
}

static void a_disabled_target_passes_nothing_on(void **state)
{
    rig_t *rig = *state;
    rig_topology(
        rig, "{" BUSES3
             "\"Rules\":[" RULE("ra", "a", "{\"Id\":\"on\",\"Arn\":\"event-bus/b\",\"State\":\"DISABLED\"}") "," RULE(
                 "rb", "b", TARGET("q", "qb")) "]," QUEUES "}");
    const record_publish_t *r = publish(rig, "a", "{}");
    assert_int_equal(r->routes.count, 0);
    assert_int_equal(r->passed.len, 0);
}

static void whoever_listens_to_the_other_bus_sees_it_live_and_later(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, CIRCLE);
    rig_hello(rig, 2, "b-000002", NULL);
    rig_subscribe_bus(rig, 2, 1, "c", 0, 10);
    rig_subscribe_bus(rig, 2, 2, "*", 0, 10);
    (void)publish(rig, "a", "{}");
    uint64_t record = rig->records;
    uint32_t seen = 0;
    for (const core_out_t *out; (out = rig_deliver(rig, 2)) != NULL; seen++)
        assert_int_equal(rig->out.items[out->deliver.first].record, record);
    assert_int_equal(seen, 2); /* each subscription once */
    rig_subscribe_bus(rig, 2, 3, "c", 1, 10);
    const core_out_t *out = rig_deliver(rig, 2);
    assert_non_null(out);
    assert_int_equal(rig->out.items[out->deliver.first].record, record);
    assert_null(rig_deliver(rig, 2));
}

static void a_way_that_cannot_be_is_refused(void **state)
{
    rig_t *rig = *state;
    static const struct {
        const char *rules, *because;
    } rows[] = {
        {RULE("ra", "a", TARGET("on", "event-bus/a")), "the rule's own bus"},
        {RULE("ra", "a", TARGET("on", "event-bus/z")), "bus \"z\" is not in the document"},
        {RULE("ra", "a", "{\"Id\":\"on\",\"Arn\":\"event-bus/b\",\"InputPath\":\"$.detail\"}"),
         "a bus gets the event itself"},
        {RULE("ra", "a", TARGET("on", "event-bus/b") "," TARGET("q", "qa")) "," RULE(
             "rb", "b", "{\"Id\":\"q\",\"Arn\":\"qa\",\"InputPath\":\"$.detail\"}"),
         "leads to the same queue"},
        {RULE("ra", "a", "{\"Id\":\"q\",\"Arn\":\"line.fifo\",\"SqsParameters\":{\"MessageGroupId\":\"$.detail[\"}}"),
         "MessageGroupId"},
        {RULE("ra", "a", "{\"Id\":\"q\",\"Arn\":\"qa\",\"RetryPolicy\":{\"MaximumRetryAttempts\":3}}"),
         "one less than maxReceiveCount"},
        {RULE("ra", "a", "{\"Id\":\"q\",\"Arn\":\"qa\",\"RetryPolicy\":{\"MaximumRetryAttempts\":186}}"),
         "from 0 to 185"},
        {RULE("ra", "a", "{\"Id\":\"q\",\"Arn\":\"qa\",\"RetryPolicy\":{\"MaximumEventAgeInSeconds\":60}}"),
         "MaximumEventAgeInSeconds must be that of its queue"},
        {RULE("ra", "a", "{\"Id\":\"q\",\"Arn\":\"qa\",\"DeadLetterConfig\":{\"Arn\":\"qb\"}}"), "deadLetterTargetArn"},
    };
    char json[JSON_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        (void)snprintf(json, sizeof json, "{" BUSES3 "\"Rules\":[%s]," QUEUES "}", rows[i].rules);
        const char *why = rig_try_topology(rig, json);
        if (!strstr(why, rows[i].because))
            fail_msg("\"%s\" does not say \"%s\"", why, rows[i].because);
    }
    /* what says the same as the queue, and two buses that never meet, are good */
    rig_topology(rig, "{" BUSES3 "\"Rules\":[" RULE(
                          "ra", "a",
                          "{\"Id\":\"q\",\"Arn\":\"qa\",\"InputPath\":\"$.detail\",\"RetryPolicy\":"
                          "{\"MaximumRetryAttempts\":2,\"MaximumEventAgeInSeconds\":600},\"DeadLetterConfig\":{\"Arn\":"
                          "\"arn:aws:sqs:us-east-1:123456789012:dead\"}}") "," RULE("rb", "b",
                                                                                    TARGET("q", "qa")) "]," QUEUES "}");
}

/* The chain of buses b0 → b1 → … with `count` of them. */
static void chain_of(unsigned count, char json[JSON_BYTES])
{
    buf_t text = {0};
    buf_append_cstr(&text, "{\"Buses\":[");
    for (unsigned i = 0; i < count; i++)
        buf_printf(&text, "%s{\"Name\":\"b%u\"}", i ? "," : "", i);
    buf_append_cstr(&text, "],\"Rules\":[");
    for (unsigned i = 0; i + 1 < count; i++)
        buf_printf(&text,
                   "%s{\"Name\":\"r\",\"EventBusName\":\"b%u\",\"EventPattern\":{\"source\":[\"s\"]},\"Targets\":[{"
                   "\"Id\":\"on\",\"Arn\":\"event-bus/b%u\"}]}",
                   i ? "," : "", i, i + 1);
    buf_append_cstr(&text, "]}");
    assert_true(bytes_to_cstr(buf_bytes(&text), json, JSON_BYTES));
    buf_free(&text);
}

static void an_event_may_take_eight_buses_and_no_document_allows_more(void **state)
{
    rig_t *rig = *state;
    char json[JSON_BYTES];
    uint32_t count;
    chain_of(9, json);
    assert_non_null(strstr(rig_try_topology(rig, json), "bus \"b0\" could be passed over 9 buses"));
    chain_of(8, json);
    rig_topology(rig, json);
    const record_publish_t *r = publish(rig, "b0", "{}");
    mp_reader_t passed = mp_reader(r->passed);
    assert_true(mp_get_map(&passed, &count));
    assert_int_equal(count, 7);
}

/* -- groups from the event ----------------------------------------------------------------------------- */
#define TO_LINE                                                                                                        \
    "{" BUSES3 "\"Rules\":[" RULE("ra", "a",                                                                           \
                                  "{\"Id\":\"q\",\"Arn\":\"line.fifo\",\"SqsParameters\":{"                            \
                                  "\"MessageGroupId\":\"$.detail.isbn\"}}") "]," QUEUES "}"

static void a_group_stands_where_its_path_leads(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, TO_LINE);
    assert_true(
        bytes_eq_cstr(publish(rig, "a", "{\"isbn\":\"9784088725093\"}")->routes.items[0].group, "9784088725093"));
    assert_int_equal(publish(rig, "a", "{\"isbn\":\"9784088725093\"}")->routes.count, 0); /* the same id again */
    rig_sleep(rig, INT64_C(301000000));
    assert_true(bytes_eq_cstr(publish(rig, "a", "{\"isbn\":42}")->routes.items[0].group, "42"));
    assert_int_equal(visible_in(rig, "line.fifo"), 2);
}

static bytes_t dead_letter(rig_t *rig, const char *queue, core_item_t *item)
{
    rig_hello(rig, 3, "c-000003", NULL);
    rig_subscribe_queue(rig, 3, 7, queue, 1);
    const core_out_t *out = rig_deliver(rig, 3);
    assert_non_null(out);
    *item = rig->out.items[out->deliver.first];
    return bytes_from(rig->out.bytes.data + item->extra_at, item->extra_len);
}

static void expect_text(bytes_t attrs, const char *name, const char *wanted)
{
    bytes_t text;
    if (!attrs_str(attrs, name, &text))
        fail_msg("no %s", name);
    if (!bytes_eq_cstr(text, wanted))
        fail_msg("%s is %.*s and not %s", name, BYTES_FMT(text), wanted);
}

static void an_event_without_its_group_is_dead_lettered_with_eventbridges_attributes(void **state)
{
    rig_t *rig = *state;
    core_item_t item;
    bytes_t text;
    rig_topology(rig, TO_LINE);
    const record_publish_t *r = publish(rig, "a", "{}");
    assert_int_equal(r->routes.count, 1);
    assert_non_null(strstr((const char *)r->routes.items[0].error.data, "nothing at MessageGroupId \"$.detail.isbn\""));
    rig_snapshot(rig);
    rig_restart(rig, 0);
    bytes_t attrs = dead_letter(rig, "dead.fifo", &item);
    expect_text(attrs, ATTR_RULE_ARN, "arn:aws:events:local:000000000000:rule/a/ra");
    expect_text(attrs, ATTR_TARGET_ARN, "arn:aws:sqs:local:000000000000:line.fifo");
    expect_text(attrs, ATTR_ERROR_CODE, "EVENT_DOES_NOT_FIT");
    expect_text(attrs, ATTR_ERROR_MESSAGE, "The event has nothing at MessageGroupId \"$.detail.isbn\".");
    assert_false(attrs_str(attrs, ATTR_EXHAUSTED_RETRY_CONDITION, &text));
    attr_value_t attempts;
    assert_true(attrs_find(attrs, ATTR_RETRY_ATTEMPTS, &attempts) && attempts.i64 == 0);
}

static void a_group_that_is_none_is_dead_lettered_too(void **state)
{
    rig_t *rig = *state;
    static const char *const details[] = {"{\"isbn\":\"\"}", "{\"isbn\":\"a b\"}", "{\"isbn\":{\"a\":\"b c\"}}"};
    rig_topology(rig, TO_LINE);
    for (size_t i = 0; i < ARRAY_LEN(details); i++) {
        rig_sleep(rig, INT64_C(301000000));
        assert_true(publish(rig, "a", details[i])->routes.items[0].error.len > 0);
    }
    assert_int_equal(visible_in(rig, "line.fifo"), 0);
    assert_int_equal(visible_in(rig, "dead.fifo"), ARRAY_LEN(details));
}

/* -- dead letters -------------------------------------------------------------------------------------- */
static void an_exhausted_event_says_which_condition_did_it(void **state)
{
    rig_t *rig = *state;
    core_item_t item;
    rig_topology(rig, "{" BUSES3 "\"Rules\":[" RULE("ra", "a", TARGET("q", "qa")) "]," QUEUES "}");
    (void)publish(rig, "a", "{}");
    rig_sleep(rig, INT64_C(601000000));
    bytes_t attrs = dead_letter(rig, "dead", &item);
    expect_text(attrs, ATTR_RULE_ARN, "arn:aws:events:local:000000000000:rule/a/ra");
    expect_text(attrs, ATTR_TARGET_ARN, "arn:aws:sqs:local:000000000000:qa");
    expect_text(attrs, ATTR_EXHAUSTED_RETRY_CONDITION, "MaximumEventAgeInSeconds");
    expect_text(attrs, ATTR_ERROR_CODE, "EVENT_AGE_EXCEEDED");
}

static void a_dead_letter_of_a_schedule_names_its_rule(void **state)
{
    rig_t *rig = *state;
    core_item_t item;
    rig_topology(
        rig,
        "{" BUSES3
        "\"Schedules\":[{\"Name\":\"s\",\"ScheduleExpression\":\"rate(1 day)\",\"Target\":{\"Arn\":\"qa\"}}]," QUEUES
        "}");
    rig_sleep(rig, INT64_C(87100000000)); /* fired, and too old */
    bytes_t attrs = dead_letter(rig, "dead", &item);
    expect_text(attrs, ATTR_RULE_ARN, "arn:aws:events:local:000000000000:rule/s");
    expect_text(attrs, ATTR_TARGET_ARN, "arn:aws:sqs:local:000000000000:qa");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_event_that_is_passed_on_is_one_record_and_comes_to_no_bus_twice),
        TEST(recovery_does_not_pass_on_again),
        TEST(a_disabled_target_passes_nothing_on),
        TEST(whoever_listens_to_the_other_bus_sees_it_live_and_later),
        TEST(a_way_that_cannot_be_is_refused),
        TEST(an_event_may_take_eight_buses_and_no_document_allows_more),
        TEST(a_group_stands_where_its_path_leads),
        TEST(an_event_without_its_group_is_dead_lettered_with_eventbridges_attributes),
        TEST(a_group_that_is_none_is_dead_lettered_too),
        TEST(an_exhausted_event_says_which_condition_did_it),
        TEST(a_dead_letter_of_a_schedule_names_its_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
