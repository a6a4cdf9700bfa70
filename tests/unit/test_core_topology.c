/* test_core_topology.c: the desired state: what is refused, what is changed, and how it is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"
#include "tests/lib/core_rig.h"

#define BUS "\"Buses\":[{\"Name\":\"b\"}]"

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void expect_refused(rig_t *rig, const char *json, const char *because)
{
    const char *text = rig_try_topology(rig, json);
    if (!strstr(text, because))
        fail_msg("\"%s\" does not say \"%s\"", text, because);
}

static uint64_t version_of(const rig_t *rig)
{
    core_stats_t stats;
    core_stats(rig->core, &stats);
    return stats.topology_version;
}

static void a_wrong_document_is_refused_with_the_place_and_changes_nothing(void **state)
{
    rig_t *rig = *state;
    static const struct {
        const char *json, *because;
    } cases[] = {
        {"{", "refused"},
        {"[]", "must be an object"},
        {"{}", "Buses: it is missing"},
        {"{" BUS ",\"Foo\":1}", "Foo: there is no such member"},
        {"{\"Buses\":[{\"Name\":1}]}", "Buses[0].Name: wrong type"},
        {"{\"Buses\":[{\"Name\":\"b\"},{\"Name\":\"b\"}]}", "there twice"},
        {"{" BUS ",\"Queues\":[{\"QueueName\":\"a b\"}]}", "Queues[0]"},
        {"{" BUS ",\"Queues\":[{\"QueueName\":\"q\",\"Attributes\":{\"VisibilityTimeout\":99999}}]}",
         "VisibilityTimeout must be"},
        {"{" BUS ",\"Queues\":[{\"QueueName\":\"q\",\"Attributes\":{\"Colour\":1}}]}", "Colour"},
        {"{" BUS ",\"Queues\":[{\"QueueName\":\"q\",\"Attributes\":{\"RedrivePolicy\":{\"deadLetterTargetArn\":\"x\","
         "\"maxReceiveCount\":1}}}]}",
         "\"x\" is not in the document"},
        {"{" BUS ",\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"c\",\"EventPattern\":{\"a\":[1]},\"Targets\":[]}]}",
         "bus \"c\" is not in the document"},
        {"{" BUS
         ",\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"b\",\"EventPattern\":{\"a\":[1]},\"Targets\":[{\"Id\":\"t\","
         "\"Arn\":\"nowhere\"}]}]}",
         "queue \"nowhere\""},
        {"{" BUS ",\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"b\",\"EventPattern\":{\"a\":[]},\"Targets\":[]}]}",
         "rule \"r\""},
        {"{" BUS ",\"Queues\":[{\"QueueName\":\"q.fifo\"}],\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"b\","
         "\"EventPattern\":{\"a\":[1]},\"Targets\":[{\"Id\":\"t\",\"Arn\":\"q.fifo\"}]}]}",
         "needs SqsParameters.MessageGroupId"},
        {"{" BUS ",\"Queues\":[{\"QueueName\":\"q\"}],\"Schedules\":[{\"Name\":\"s\",\"ScheduleExpression\":\"daily\","
         "\"Target\":{\"Arn\":\"q\"}}]}",
         "Schedules[0]"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        expect_refused(rig, cases[i].json, cases[i].because);
    assert_int_equal(version_of(rig), 0);
    core_stats_t stats;
    core_stats(rig->core, &stats);
    assert_int_equal(stats.queues, 0);
}

static void a_disabled_fifo_target_is_taken(void **state)
{
    rig_t *rig = *state;
    assert_string_equal(
        rig_try_topology(rig, "{" BUS ",\"Queues\":[{\"QueueName\":\"q.fifo\"}],\"Rules\":[{\"Name\":\"r\","
                              "\"EventBusName\":\"b\",\"EventPattern\":{\"a\":[1]},\"Targets\":[{\"Id\":\"t\","
                              "\"Arn\":\"q.fifo\",\"State\":\"DISABLED\"}]}]}"),
        "");
    assert_int_equal(version_of(rig), 1);
}

static void a_queue_keeps_its_messages_when_its_attributes_change(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, "{" BUS ",\"Queues\":[{\"QueueName\":\"q\"}]}");
    rig_hello(rig, 1, "a-000001", NULL);
    rig_send_message(rig, 1, "q", "x");
    rig_topology(rig, "{" BUS ",\"Queues\":[{\"QueueName\":\"q\",\"Attributes\":{\"VisibilityTimeout\":5}}]}");
    assert_int_equal(version_of(rig), 2);
    rig_subscribe_queue(rig, 1, 1, "q", 1);
    assert_non_null(rig_deliver(rig, 1));
}

static void a_queue_that_is_not_empty_is_not_dropped_without_force(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, "{" BUS ",\"Queues\":[{\"QueueName\":\"q\"}]}");
    rig_hello(rig, 1, "a-000001", NULL);
    rig_send_message(rig, 1, "q", "x");
    expect_refused(rig, "{" BUS "}", "queue \"q\" is not in the document and not empty; 1 message would");
    assert_int_equal(version_of(rig), 1);
}

/* -- administration -------------------------------------------------------------------------------------- */
static bytes_t admin(rig_t *rig, wire_verb_t verb, const char *op, const char *name, const char *args, bytes_t body)
{
    buf_t map = {0};
    error_t err = {0};
    if (args)
        assert_true(json_to_msgpack(bytes_cstr(args), NULL, &map, &err));
    rig_send(rig, 1, verb, 6,
             &(wire_queue_t){.op = bytes_cstr(op), .name = bytes_cstr(name), .args = buf_bytes(&map), .body = body});
    buf_free(&map);
    return rig_expect(rig, 1, WIRE_RESULT)->result.body;
}

static uint64_t number_in(bytes_t map, const char *key)
{
    uint64_t value;
    if (!mp_map_u64(map, key, &value))
        fail_msg("no %s", key);
    return value;
}

static uint32_t length_of(bytes_t array)
{
    mp_reader_t r = mp_reader(array);
    uint32_t count;
    assert_true(mp_get_array(&r, &count));
    return count;
}

static const char whole[] =
    "{" BUS ",\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"b\",\"EventPattern\":{\"detail-type\":[\"a\"]},\"Targets\":"
    "[{\"Id\":\"t\",\"Arn\":\"q\"}]},{\"Name\":\"off\",\"EventBusName\":\"b\",\"State\":\"DISABLED\","
    "\"EventPattern\":{\"detail-type\":[\"a\"]},\"Targets\":[]}],\"Queues\":[{\"QueueName\":\"q\"}]}";

static void administration_looks_without_changing(void **state)
{
    rig_t *rig = *state;
    bytes_t value;
    buf_t envelope = {0};
    rig_topology(rig, whole);
    rig_hello(rig, 1, "a-000001", NULL);
    rig_publish(rig, 1, "b", "a");
    rig_subscribe_queue(rig, 1, 1, "q", 1);
    uint64_t records = rig->records, digest = core_digest(rig->core);
    bytes_t info = admin(rig, WIRE_QUEUE, "info", "q", NULL, BYTES_NONE);
    assert_int_equal(number_in(info, "in_flight"), 1);
    assert_true(mp_map_find(info, "holders", &value));
    assert_int_equal(length_of(value), 1);
    assert_int_equal(length_of(admin(rig, WIRE_QUEUE, "list", "", NULL, BYTES_NONE)), 1);
    rig_envelope(&envelope, "a", 1);
    assert_int_equal(length_of(admin(rig, WIRE_RULE, "test", "b", NULL, buf_bytes(&envelope))), 2);
    assert_int_equal(length_of(admin(rig, WIRE_RULE, "list", "", NULL, BYTES_NONE)), 2);
    assert_int_equal(number_in(admin(rig, WIRE_BROKER, "status", "", NULL, BYTES_NONE), "published"), 1);
    assert_int_equal(length_of(admin(rig, WIRE_BROKER, "sessions", "", NULL, BYTES_NONE)), 1);
    assert_int_equal(length_of(admin(rig, WIRE_BROKER, "services", "", NULL, BYTES_NONE)), 0);
    assert_int_equal(number_in(admin(rig, WIRE_TOPOLOGY, "show", "", NULL, BYTES_NONE), "version"), 1);
    assert_int_equal(rig->records, records);
    assert_int_equal(core_digest(rig->core), digest);
    buf_free(&envelope);
}

static void a_large_event_is_not_held_against_a_thousand_rules_at_once(void **state)
{
    rig_t *rig = *state;
    buf_t document = {0}, envelope = {0}, event = {0};
    static const char *const ops[] = {"test", "explain"};
    buf_append_cstr(&document, "{" BUS ",\"Rules\":[");
    for (int i = 0; i < 1000; i++)
        buf_printf(
            &document,
            "%s{\"Name\":\"r%d\",\"EventBusName\":\"b\",\"EventPattern\":{\"detail\":{\"n\":[%d]}},\"Targets\":[]}",
            i ? "," : "", i, i);
    buf_append_cstr(&document, "]}");
    buf_append_byte(&document, 0);
    assert_string_equal(rig_try_topology(rig, (const char *)document.data), "");
    rig_hello(rig, 1, "a-000001", NULL);
    buf_append_cstr(&envelope, "{\"version\":\"0\",\"id\":\"019a0000-0000-7000-8000-000000000001\",\"source\":\"s\","
                               "\"detail-type\":\"d\",\"account\":\"000000000000\",\"time\":\"2026-01-01T00:00:00Z\","
                               "\"region\":\"local\",\"resources\":[],\"detail\":{\"n\":7,\"text\":\"");
    for (int i = 0; i < 100000; i++)
        buf_append_byte(&envelope, 'x');
    buf_append_cstr(&envelope, "\"}}");
    error_t err;
    assert_true(json_to_msgpack(buf_bytes(&envelope), NULL, &event, &err));
    for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
        rig_send(rig, 1, WIRE_RULE, 6,
                 &(wire_queue_t){.op = bytes_cstr(ops[i]), .name = BYTES_LIT("b"), .body = buf_bytes(&event)});
        const wire_msg_t *error = rig_expect(rig, 1, WIRE_ERROR);
        assert_true(bytes_eq_cstr(error->error.name, "LimitExceededException"));
    }
    assert_int_equal(length_of(admin(rig, WIRE_RULE, "explain", "b", "{\"rule\":\"r7\"}", buf_bytes(&event))), 1);
    buf_free(&document);
    buf_free(&envelope);
    buf_free(&event);
}

static void a_peek_names_the_messages_and_receives_nothing(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, whole);
    rig_hello(rig, 1, "a-000001", NULL);
    uint64_t first = rig_send_message(rig, 1, "q", "x"), second = rig_send_message(rig, 1, "q", "y");
    uint64_t digest = core_digest(rig->core);
    rig_send(rig, 1, WIRE_QUEUE, 6, &(wire_queue_t){.op = BYTES_LIT("peek"), .name = BYTES_LIT("q")});
    assert_int_equal(rig->out.outs[0].kind, CORE_OUT_RESULT);
    assert_int_equal(rig->out.outs[0].deliver.count, 2);
    assert_int_equal(rig->out.items[0].record, first);
    assert_int_equal(rig->out.items[1].record, second);
    assert_int_equal(core_digest(rig->core), digest);
}

static void queues_are_made_changed_purged_and_deleted_at_run_time(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, whole);
    rig_hello(rig, 1, "a-000001", NULL);
    admin(rig, WIRE_QUEUE, "create", "mine", "{\"VisibilityTimeout\":\"7\"}", BYTES_NONE);
    admin(rig, WIRE_QUEUE, "create", "mine", "{\"VisibilityTimeout\":7}", BYTES_NONE);
    admin(rig, WIRE_QUEUE, "set", "mine", "{\"DelaySeconds\":1}", BYTES_NONE);
    rig_send_message(rig, 1, "mine", "x");
    bytes_t info = admin(rig, WIRE_QUEUE, "info", "mine", NULL, BYTES_NONE), attributes;
    assert_int_equal(number_in(info, "delayed"), 1);
    assert_true(mp_map_find(info, "attributes", &attributes));
    assert_int_equal(number_in(attributes, "VisibilityTimeout"), 7);
    assert_int_equal(number_in(admin(rig, WIRE_QUEUE, "purge", "mine", NULL, BYTES_NONE), "count"), 1);
    rig_restart(rig, 0);
    rig_hello(rig, 1, "b-000002", NULL);
    assert_int_equal(number_in(admin(rig, WIRE_QUEUE, "delete", "mine", NULL, BYTES_NONE), "messages"), 0);
    rig_send(rig, 1, WIRE_QUEUE, 6, &(wire_queue_t){.op = BYTES_LIT("delete"), .name = BYTES_LIT("q")});
    assert_true(bytes_eq_cstr(rig_expect(rig, 1, WIRE_ERROR)->error.name, "OWNED_BY_TOPOLOGY"));
}

static void a_topology_is_tried_then_applied_by_frame_and_exported_as_it_is(void **state)
{
    rig_t *rig = *state;
    buf_t body = {0};
    bytes_t changes;
    rig_topology(rig, whole);
    rig_hello(rig, 1, "a-000001", NULL);
    mp_put_cstr(&body, "{" BUS ",\"Queues\":[{\"QueueName\":\"q\"},{\"QueueName\":\"new\"}]}");
    bytes_t result = admin(rig, WIRE_TOPOLOGY, "apply", "", "{\"dry_run\":true}", buf_bytes(&body));
    assert_true(mp_map_find(result, "changes", &changes));
    assert_int_equal(length_of(changes), 3);
    assert_int_equal(version_of(rig), 1);
    assert_int_equal(number_in(admin(rig, WIRE_TOPOLOGY, "apply", "", NULL, buf_bytes(&body)), "version"), 2);
    admin(rig, WIRE_QUEUE, "create", "mine", NULL, BYTES_NONE);
    bytes_t exported = admin(rig, WIRE_TOPOLOGY, "export", "", NULL, BYTES_NONE), json;
    assert_true(mp_map_str(exported, "document", &json));
    char text[1024];
    assert_true(bytes_to_cstr(json, text, sizeof text));
    assert_non_null(strstr(text, "\"mine\""));
    assert_string_equal(rig_try_topology(rig, text), "");
    buf_free(&body);
}

static bytes_t apply(rig_t *rig, const char *json, const char *args)
{
    buf_t body = {0};
    mp_put_cstr(&body, json);
    bytes_t result = admin(rig, WIRE_TOPOLOGY, "apply", "", args, buf_bytes(&body));
    buf_free(&body);
    return result;
}

static bool tells(bytes_t result, const char *sentence)
{
    bytes_t changes, one;
    uint32_t count;
    assert_true(mp_map_find(result, "changes", &changes));
    mp_reader_t r = mp_reader(changes);
    assert_true(mp_get_array(&r, &count));
    for (uint32_t i = 0; i < count; i++)
        if (mp_get_str(&r, &one) && bytes_eq_cstr(one, sentence))
            return true;
    return false;
}

static const char other[] =
    "{" BUS ",\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"b\",\"EventPattern\":{\"detail-type\":[\"z\"]},\"Targets\":"
    "[{\"Id\":\"t\",\"Arn\":\"q2\"}]}],\"Queues\":[{\"QueueName\":\"q2\"},{\"QueueName\":\"mine\",\"Attributes\":"
    "{\"DelaySeconds\":1}}]}";

static void a_change_is_one_record_and_names_every_member_that_differs(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, whole);
    rig_hello(rig, 1, "a-000001", NULL);
    admin(rig, WIRE_QUEUE, "create", "mine", NULL, BYTES_NONE);
    uint64_t records = rig->records;
    bytes_t result = apply(rig, other, NULL);
    assert_int_equal(rig->records, records + 1);
    assert_true(tells(result, "rule r changed: EventPattern, Targets"));
    assert_true(tells(result, "rule off removed"));
    assert_true(tells(result, "queue q2 created"));
    assert_true(tells(result, "queue mine adopted: DelaySeconds"));
    assert_true(tells(result, "queue q dropped"));
    uint64_t digest = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
}

static void a_version_tells_who_applied_it_and_when(void **state)
{
    rig_t *rig = *state;
    bytes_t by;
    rig_topology(rig, whole);
    rig_hello(rig, 1, "a-000001", NULL);
    apply(rig, other, "{\"by\":\"kim@night\"}");
    bytes_t shown = admin(rig, WIRE_TOPOLOGY, "show", "", NULL, BYTES_NONE);
    assert_int_equal(number_in(shown, "version"), 2);
    assert_int_equal(number_in(shown, "applied_us"), rig->now_us);
    assert_true(mp_map_str(shown, "by", &by));
    assert_true(bytes_eq_cstr(by, "kim@night, session a-000001"));
}

static void a_restart_does_not_undo_what_was_applied_since_but_a_changed_file_does(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, whole);
    rig_hello(rig, 1, "a-000001", NULL);
    apply(rig, other, NULL);
    rig_restart(rig, 0);
    rig_topology(rig, whole); /* the file that it was started with before */
    assert_int_equal(version_of(rig), 2);
    rig_topology(rig, "{" BUS ",\"Queues\":[{\"QueueName\":\"q3\"}]}");
    assert_int_equal(version_of(rig), 3);
    rig_hello(rig, 1, "b-000001", NULL);
    apply(rig, other, NULL);
    rig_topology(rig, other); /* the file says now what was applied: from here on it is the known one */
    assert_int_equal(version_of(rig), 5);
    apply(rig, whole, NULL);
    rig_topology(rig, other);
    assert_int_equal(version_of(rig), 6);
}

/* As journals of before have it: QUEUE records around a TOPOLOGY that says nothing of queues, and of its file. */
static void a_journal_of_before_is_read_as_it_was_meant(void **state)
{
    rig_t *rig = *state;
    core_config_t config = {.broker_name = "test", .version = "0"};
    error_t err = {0};
    core_t *core = core_new(&config, &err);
    record_t *record = calloc(1, sizeof *record);
    *record = (record_t){.kind = RECORD_QUEUE, .seq = 1, .ingest_us = rig->now_us};
    record->queue = (record_queue_t){.queue = 1, .name = BYTES_LIT("q"), .op = 1, .from_topology = true};
    assert_true(core_apply(core, record, &err));
    *record = (record_t){.kind = RECORD_TOPOLOGY, .seq = 2, .ingest_us = rig->now_us};
    record->topology = (record_topology_t){.version = 1, .sha256 = BYTES_LIT("old"), .body = bytes_cstr(whole)};
    assert_true(core_apply(core, record, &err));
    core_effects_t out = {0};
    core_start(core, rig->now_us, 3, &out);
    core_step(core, rig->now_us,
              &(core_input_t){.kind = CORE_IN_TOPOLOGY, .topology = {bytes_cstr(whole), "old", false}}, &out);
    core_stats_t stats;
    core_stats(core, &stats);
    assert_int_equal(stats.topology_version, 1);
    assert_int_equal(stats.queues, 1);
    core_effects_free(&out);
    core_free(&core);
    free(record);
}

static void the_same_in_other_words_is_no_new_version(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, "{" BUS ",\"Queues\":[{\"QueueName\":\"q\"}]}");
    rig_hello(rig, 1, "a-000001", NULL);
    bytes_t result = apply(rig, "{ \"Queues\": [{\"QueueName\": \"q\"}], " BUS " }", NULL);
    assert_int_equal(number_in(result, "version"), 1);
    assert_int_equal(version_of(rig), 1);
}

static void a_dry_run_shows_what_would_be_dropped_and_how_much(void **state)
{
    rig_t *rig = *state;
    rig_topology(rig, whole);
    rig_hello(rig, 1, "a-000001", NULL);
    rig_send_message(rig, 1, "q", "x");
    uint64_t digest = core_digest(rig->core);
    bytes_t result = apply(rig, "{" BUS "}", "{\"dry_run\":true}");
    assert_true(tells(result, "queue q dropped with its 1 message"));
    assert_int_equal(number_in(result, "messages"), 1);
    assert_int_equal(core_digest(rig->core), digest);
    apply(rig, "{" BUS "}", "{\"force\":true}");
    core_stats_t stats;
    core_stats(rig->core, &stats);
    assert_int_equal(stats.dropped, 1);
    assert_int_equal(stats.queues, 0);
}

static void the_shipped_topology_is_taken_whole(void **state)
{
    rig_t *rig = *state;
    FILE *file = fopen("broker/topology.json", "r");
    static char json[1 << 20];
    assert_non_null(file);
    json[fread(json, 1, sizeof json - 1, file)] = '\0';
    assert_int_equal(fclose(file), 0);
    assert_string_equal(rig_try_topology(rig, json), "");
    core_stats_t stats;
    core_stats(rig->core, &stats);
    assert_true(stats.queues >= 39);
    uint64_t digest = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(a_wrong_document_is_refused_with_the_place_and_changes_nothing),
        TEST(a_disabled_fifo_target_is_taken),
        TEST(a_queue_keeps_its_messages_when_its_attributes_change),
        TEST(a_queue_that_is_not_empty_is_not_dropped_without_force),
        TEST(administration_looks_without_changing),
        TEST(a_large_event_is_not_held_against_a_thousand_rules_at_once),
        TEST(a_peek_names_the_messages_and_receives_nothing),
        TEST(queues_are_made_changed_purged_and_deleted_at_run_time),
        TEST(a_topology_is_tried_then_applied_by_frame_and_exported_as_it_is),
        TEST(a_change_is_one_record_and_names_every_member_that_differs),
        TEST(a_version_tells_who_applied_it_and_when),
        TEST(a_restart_does_not_undo_what_was_applied_since_but_a_changed_file_does),
        TEST(a_journal_of_before_is_read_as_it_was_meant),
        TEST(the_same_in_other_words_is_no_new_version),
        TEST(a_dry_run_shows_what_would_be_dropped_and_how_much),
        TEST(the_shipped_topology_is_taken_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
