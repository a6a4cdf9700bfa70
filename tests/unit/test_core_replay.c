/* test_core_replay.c: replays as jobs of the core: order, marks, pace, pauses, restarts, and what they refuse. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proto/attrs.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "tests/lib/core_rig.h"

#define S INT64_C(1000000)
#define EVENTS 12

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"b\"},{\"Name\":\"other\"}],\"Archives\":[{\"ArchiveName\":\"arch\",\"EventSourceArn\":"
    "\"b\"}],"
    "\"Rules\":[{\"Name\":\"all\",\"EventBusName\":\"b\",\"EventPattern\":{\"source\":[\"test\"]},"
    "\"Targets\":[{\"Id\":\"w\",\"Arn\":\"work\"}]},"
    "{\"Name\":\"odd\",\"EventBusName\":\"b\",\"EventPattern\":{\"detail-type\":[\"odd\"]},"
    "\"Targets\":[{\"Id\":\"o\",\"Arn\":\"odd\"}]}],"
    "\"Queues\":[{\"QueueName\":\"work\"},{\"QueueName\":\"odd\"},{\"QueueName\":\"plain\"},"
    "{\"QueueName\":\"line.fifo\",\"Attributes\":{\"FifoQueue\":true,\"ContentBasedDeduplication\":true}}]}";

/* -- a world ------------------------------------------------------------------------------------------- */
static void publish(rig_t *rig, const char *bus, const char *type, const char *group)
{
    buf_t envelope = {0}, attrs = {0};
    error_t err;
    wire_publish_t *msg = calloc(1, sizeof *msg);
    assert_non_null(msg);
    rig_envelope(&envelope, type, rig->random++);
    attrs_writer_t w = attrs_begin(&attrs);
    if (group)
        attrs_put_str(&w, ATTR_MESSAGE_GROUP_ID, bytes_cstr(group));
    assert_true(attrs_end(&w, &err));
    msg->bus = bytes_cstr(bus);
    msg->entries.count = 1;
    msg->entries.items[0] = (wire_publish_entry_t){.attrs = buf_bytes(&attrs), .body = buf_bytes(&envelope)};
    rig_send(rig, 1, WIRE_PUBLISH, 7, msg);
    (void)rig_expect(rig, 1, WIRE_PUBLISHED);
    buf_free(&envelope);
    buf_free(&attrs);
    free(msg);
}

static int open_world(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    rig_open(rig, NULL);
    rig_topology(rig, topology);
    rig_hello(rig, 1, "tester-000001", NULL);
    for (int i = 0; i < EVENTS; i++) {
        publish(rig, "b", i % 2 ? "odd" : "even", i % 3 ? "g" : NULL);
        publish(rig, "other", "odd", NULL);
        rig_sleep(rig, S);
    }
    *state = rig;
    return 0;
}

static int close_world(void **state)
{
    rig_t *rig = *state;
    rig_close(rig);
    free(rig);
    return 0;
}

/* The replay as told, or the refusal (then it is empty and *aws its name). Lives until the next call. */
static bytes_t ask(rig_t *rig, const char *op, const char *name, const char *args, char aws[32])
{
    static buf_t map;
    error_t err;
    buf_clear(&map);
    if (args && !json_to_msgpack(bytes_cstr(args), NULL, &map, &err))
        fail_msg("%s", err.message);
    const wire_replay_t msg = {.op = bytes_cstr(op), .name = bytes_cstr(name), .args = buf_bytes(&map)};
    rig_send(rig, 1, WIRE_REPLAY, 9, &msg);
    const wire_msg_t *got;
    while ((got = rig_take(rig, 1)) && got->verb != WIRE_RESULT && got->verb != WIRE_ERROR)
        continue;
    assert_non_null(got);
    if (aws)
        (void)bytes_to_cstr(got->verb == WIRE_ERROR ? got->error.name : BYTES_NONE, aws, 32);
    else if (got->verb == WIRE_ERROR)
        fail_msg("%s %s: %.*s", op, name, BYTES_FMT(got->error.message));
    return got->verb == WIRE_RESULT ? got->result.body : BYTES_NONE;
}

/* Sleeps, and keeps the session. */
static void rest(rig_t *rig, int64_t us)
{
    for (; us > 0; us -= S) {
        rig_send(rig, 1, WIRE_PING, 1, &(wire_ping_t){.number = 1});
        rig_sleep(rig, us < S ? us : S);
    }
}

/* Begins one, and lets it run as far as it may at once. */
static void start(rig_t *rig, const char *name, const char *args)
{
    (void)ask(rig, "start", name, args, NULL);
    rig_sleep(rig, 1);
}

static uint64_t number(bytes_t told, const char *key)
{
    uint64_t value;
    assert_true(mp_map_u64(told, key, &value));
    return value;
}

static void assert_state(rig_t *rig, const char *name, const char *wanted)
{
    bytes_t state;
    assert_true(mp_map_str(ask(rig, "info", name, NULL, NULL), "state", &state));
    if (!bytes_eq_cstr(state, wanted))
        fail_msg("%s is %.*s, not %s", name, BYTES_FMT(state), wanted);
}

/* Which records were brought again by `name`, in order. */
static size_t brought(rig_t *rig, const char *name, uint64_t *of, size_t cap)
{
    size_t count = 0;
    for (uint64_t seq = 1; seq <= rig->records; seq++) {
        const record_t *record = rig_record(rig, seq);
        if (record->kind != RECORD_PUBLISH || !bytes_eq_cstr(record->publish.replay_name, name))
            continue;
        assert_true(count < cap && record->publish.replay_of > 0);
        of[count++] = record->publish.replay_of;
    }
    return count;
}

/* The live events of bus b, in order. */
static size_t originals(rig_t *rig, uint64_t *seqs)
{
    size_t count = 0;
    for (uint64_t seq = 1; seq <= rig->records; seq++) {
        const record_t *record = rig_record(rig, seq);
        if (record->kind == RECORD_PUBLISH && bytes_eq_cstr(record->publish.bus, "b") &&
            !record->publish.replay_name.len)
            seqs[count++] = seq;
    }
    return count;
}

static void assert_all_brought_once(rig_t *rig, const char *name)
{
    uint64_t wanted[64], got[64];
    size_t count = originals(rig, wanted);
    assert_int_equal(brought(rig, name, got, ARRAY_LEN(got)), count);
    assert_memory_equal(wanted, got, count * sizeof *wanted);
}

/* -- tests --------------------------------------------------------------------------------------------- */
static void every_event_comes_again_in_order_to_the_rules(void **state)
{
    rig_t *rig = *state;
    start(rig, "r1", "{\"archive\":\"arch\"}");
    bytes_t told = ask(rig, "info", "r1", NULL, NULL), queues;
    assert_int_equal(number(told, "replayed"), EVENTS);
    assert_int_equal(number(told, "deliveries"), EVENTS + EVENTS / 2);
    assert_int_equal(number(told, "refused"), 0);
    assert_true(mp_map_find(told, "queues", &queues));
    assert_int_equal(number(queues, "work"), EVENTS);
    assert_int_equal(number(queues, "odd"), EVENTS / 2);
    assert_state(rig, "r1", "COMPLETED");
    assert_all_brought_once(rig, "r1");
    start(rig, "r2", "{\"bus\":\"b\"}"); /* what r1 brought is not brought again */
    assert_all_brought_once(rig, "r2");
}

static void a_window_a_pattern_ids_and_rules_choose(void **state)
{
    rig_t *rig = *state;
    uint64_t seqs[64], got[64];
    char args[256];
    assert_int_equal(originals(rig, seqs), EVENTS);
    int64_t from = rig_record(rig, seqs[3])->ingest_us, until = rig_record(rig, seqs[7])->ingest_us;
    (void)snprintf(args, sizeof args, "{\"bus\":\"b\",\"from_us\":%lld,\"until_us\":%lld}", (long long)from,
                   (long long)until);
    start(rig, "window", args);
    assert_int_equal(brought(rig, "window", got, ARRAY_LEN(got)), 4);
    assert_int_equal(got[0], seqs[3]);
    start(rig, "pattern", "{\"bus\":\"b\",\"pattern\":\"{\\\"detail-type\\\":[\\\"odd\\\"]}\"}");
    assert_int_equal(brought(rig, "pattern", got, ARRAY_LEN(got)), EVENTS / 2);
    assert_int_equal(got[0], seqs[1]);
    bytes_t id;
    assert_true(mp_map_str(rig_record(rig, seqs[5])->publish.body, "id", &id));
    (void)snprintf(args, sizeof args, "{\"bus\":\"b\",\"ids\":[\"%.*s\",\"nobody\"]}", BYTES_FMT(id));
    start(rig, "ids", args);
    assert_int_equal(brought(rig, "ids", got, ARRAY_LEN(got)), 1);
    assert_int_equal(got[0], seqs[5]);
    start(rig, "rule", "{\"bus\":\"b\",\"to\":\"rule:odd\"}");
    assert_int_equal(brought(rig, "rule", got, ARRAY_LEN(got)), EVENTS / 2);
    assert_int_equal(number(ask(rig, "info", "rule", NULL, NULL), "deliveries"), EVENTS / 2);
}

static void a_queue_alone_gets_them_and_a_fifo_queue_behind_what_it_has(void **state)
{
    rig_t *rig = *state;
    start(rig, "q", "{\"bus\":\"b\",\"to\":\"queue:plain\"}");
    bytes_t queues;
    assert_true(mp_map_find(ask(rig, "info", "q", NULL, NULL), "queues", &queues));
    assert_int_equal(number(queues, "plain"), EVENTS);
    /* Twice: the same events have effect again; those without a group are refused, and counted. */
    for (int i = 0; i < 2; i++) {
        start(rig, i ? "f2" : "f1", "{\"bus\":\"b\",\"to\":\"queue:line.fifo\"}");
        bytes_t told = ask(rig, "info", i ? "f2" : "f1", NULL, NULL);
        assert_int_equal(number(told, "replayed"), EVENTS - EVENTS / 3);
        assert_int_equal(number(told, "refused"), EVENTS / 3);
    }
    rig_subscribe_queue(rig, 1, 5, "line.fifo", 100);
    const core_out_t *out = rig_deliver(rig, 1);
    assert_non_null(out);
    uint64_t last = 0;
    size_t seen = 0;
    for (; out; out = rig_deliver(rig, 1))
        for (size_t i = 0; i < out->deliver.count; i++, seen++) {
            assert_true(rig->out.items[out->deliver.first + i].record > last);
            last = rig->out.items[out->deliver.first + i].record;
        }
    assert_int_equal(seen, 2 * (EVENTS - EVENTS / 3));
}

/* One that crashed when the journal had `more` records behind the begin; false when it has not so many. */
static bool crash_behind(uint64_t more, bool with_snapshot)
{
    void *state;
    (void)open_world(&state);
    rig_t *rig = state;
    rig->replay_events = 1;
    uint64_t begin = rig->records + 1;
    start(rig, "r", "{\"bus\":\"b\"}");
    assert_state(rig, "r", "COMPLETED");
    bool crashes = begin + more < rig->records;
    if (crashes) {
        rig_restart(rig, begin + more);
        if (with_snapshot) {
            rig_snapshot(rig);
            rig_restart(rig, 0);
        }
        rig_hello(rig, 1, "tester-000001", NULL);
        rest(rig, S);
        assert_state(rig, "r", "COMPLETED");
        assert_all_brought_once(rig, "r");
    }
    (void)close_world(&state);
    return crashes;
}

static void a_restart_at_any_record_neither_skips_nor_repeats(void **state)
{
    (void)state;
    uint64_t crashes = 0;
    while (crash_behind(crashes, crashes % 2))
        crashes++;
    assert_true(crashes >= EVENTS);
}

static void a_pause_holds_it_over_a_restart_and_resume_goes_on(void **state)
{
    rig_t *rig = *state;
    char aws[32];
    start(rig, "r", "{\"bus\":\"b\",\"rate\":2}");
    rest(rig, 2 * S);
    (void)ask(rig, "pause", "r", NULL, NULL);
    uint64_t got = number(ask(rig, "info", "r", NULL, NULL), "replayed");
    assert_in_range(got, 3, 6);
    rest(rig, 60 * S);
    rig_snapshot(rig);
    rig_restart(rig, 0);
    rig_hello(rig, 1, "tester-000001", NULL);
    rest(rig, 60 * S);
    assert_state(rig, "r", "PAUSED");
    assert_int_equal(number(ask(rig, "info", "r", NULL, NULL), "replayed"), got);
    (void)ask(rig, "pause", "r", NULL, aws);
    assert_string_equal(aws, "IllegalStatusException");
    (void)ask(rig, "resume", "r", NULL, NULL);
    rest(rig, 60 * S);
    assert_state(rig, "r", "COMPLETED");
    assert_all_brought_once(rig, "r");
}

static void cancel_ends_it_where_it_is(void **state)
{
    rig_t *rig = *state;
    uint64_t got[64];
    char aws[32];
    start(rig, "r", "{\"bus\":\"b\",\"rate\":1}");
    rest(rig, 3 * S);
    (void)ask(rig, "cancel", "r", NULL, NULL);
    size_t before = brought(rig, "r", got, ARRAY_LEN(got));
    rest(rig, 60 * S);
    assert_int_equal(brought(rig, "r", got, ARRAY_LEN(got)), before);
    assert_state(rig, "r", "CANCELLED");
    (void)ask(rig, "resume", "r", NULL, aws);
    assert_string_equal(aws, "IllegalStatusException");
    (void)ask(rig, "start", "r", "{\"bus\":\"b\"}", aws);
    assert_string_equal(aws, "ResourceAlreadyExistsException");
}

/* Seconds that the replay takes, the events being a second apart. */
static int64_t seconds_of(rig_t *rig, const char *name, const char *args)
{
    bytes_t state;
    int64_t began_us = rig->now_us;
    start(rig, name, args);
    for (;;) {
        assert_true(mp_map_str(ask(rig, "info", name, NULL, NULL), "state", &state));
        if (bytes_eq_cstr(state, "COMPLETED"))
            return (rig->now_us - began_us + S / 2) / S;
        rig_sleep(rig, S / 10);
        assert_true(rig->now_us - began_us < 100 * S);
    }
}

static void the_pace_is_the_original_ones_times_n_or_a_rate(void **state)
{
    rig_t *rig = *state;
    assert_int_equal(seconds_of(rig, "full", "{\"bus\":\"b\"}"), 0);
    assert_int_equal(seconds_of(rig, "original", "{\"bus\":\"b\",\"speed_permille\":1000}"), EVENTS - 1);
    assert_in_range(seconds_of(rig, "double", "{\"bus\":\"b\",\"speed_permille\":2000}"), EVENTS / 2 - 1, EVENTS / 2);
    assert_in_range(seconds_of(rig, "half", "{\"bus\":\"b\",\"speed_permille\":500}"), 2 * EVENTS - 3, 2 * EVENTS);
    assert_in_range(seconds_of(rig, "rate", "{\"bus\":\"b\",\"rate\":4}"), EVENTS / 4 - 1, EVENTS / 4);
    for (size_t i = 0; i < 5; i++)
        assert_all_brought_once(rig, (const char *const[]){"full", "original", "double", "half", "rate"}[i]);
}

static void a_dry_run_says_where_they_would_go_and_writes_nothing(void **state)
{
    rig_t *rig = *state;
    uint64_t records = rig->records;
    start(rig, "r", "{\"bus\":\"b\",\"dry_run\":true}");
    bytes_t told = ask(rig, "info", "r", NULL, NULL), queues;
    assert_int_equal(rig->records, records);
    assert_int_equal(number(told, "replayed"), EVENTS);
    assert_true(mp_map_find(told, "queues", &queues));
    assert_int_equal(number(queues, "odd"), EVENTS / 2);
    assert_state(rig, "r", "COMPLETED");
    start(rig, "r", "{\"bus\":\"b\"}"); /* its name is free */
    assert_all_brought_once(rig, "r");
}

static void a_subscriber_is_waited_for_and_gets_each_once_without_a_gap(void **state)
{
    rig_t *rig = *state;
    char aws[32];
    size_t seen = 0;
    (void)ask(rig, "start", "r", "{\"bus\":\"b\",\"to\":\"subscriber:eye\"}", aws);
    assert_string_equal(aws, "ResourceNotFoundException");
    const wire_subscribe_t eye = {.sub = 3,
                                  .kind = WIRE_SUBSCRIBE_BUS,
                                  .target = BYTES_LIT("b"),
                                  .name = BYTES_LIT("eye"),
                                  .messages = 100,
                                  .bytes = 100000};
    rig_send(rig, 1, WIRE_SUBSCRIBE, 8, &eye);
    start(rig, "r", "{\"bus\":\"b\",\"to\":\"subscriber:eye\",\"rate\":2}");
    rest(rig, 2 * S);
    uint64_t before = number(ask(rig, "info", "r", NULL, NULL), "replayed");
    rig_send(rig, 1, WIRE_UNSUBSCRIBE, 8, &(wire_unsubscribe_t){.sub = 3});
    rest(rig, 10 * S);
    bytes_t told = ask(rig, "info", "r", NULL, NULL), waits;
    assert_int_equal(number(told, "replayed"), before);
    assert_true(mp_map_str(told, "waits", &waits) && waits.len > 0);
    rig_send(rig, 1, WIRE_SUBSCRIBE, 8, &eye);
    for (int i = 0; i < 100; i++) {
        if (i % 10 == 0)
            rig_send(rig, 1, WIRE_PING, 1, &(wire_ping_t){.number = 1});
        rig_sleep(rig, S / 10);
        for (const core_out_t *out; (out = rig_deliver(rig, 1)) != NULL;)
            seen += out->deliver.count;
    }
    assert_state(rig, "r", "COMPLETED");
    assert_all_brought_once(rig, "r");
    assert_true(seen >= EVENTS - before - 2);
}

static void it_waits_while_the_disk_is_full_and_fails_when_its_queue_goes(void **state)
{
    rig_t *rig = *state;
    uint64_t got[64];
    rig_send(rig, 1, WIRE_QUEUE, 9, &(wire_queue_t){.op = BYTES_LIT("create"), .name = BYTES_LIT("mine")});
    rig->is_full = true;
    start(rig, "r", "{\"bus\":\"b\",\"to\":\"queue:mine\"}");
    rest(rig, 5 * S);
    assert_int_equal(brought(rig, "r", got, ARRAY_LEN(got)), 0);
    rig->is_full = false;
    (void)ask(rig, "pause", "r", NULL, NULL);
    rig_send(rig, 1, WIRE_QUEUE, 9, &(wire_queue_t){.op = BYTES_LIT("delete"), .name = BYTES_LIT("mine")});
    (void)ask(rig, "resume", "r", NULL, NULL);
    rest(rig, S);
    assert_state(rig, "r", "FAILED");
}

static void what_cannot_be_is_refused_by_name(void **state)
{
    rig_t *rig = *state;
    static const struct {
        const char *name, *args, *aws;
    } cases[] = {
        {"", "{\"bus\":\"b\"}", "InvalidParameterValue"},
        {"no blanks", "{\"bus\":\"b\"}", "InvalidParameterValue"},
        {"r", "{\"bus\":\"nobody\"}", "ResourceNotFoundException"},
        {"r", "{\"archive\":\"nobody\"}", "ResourceNotFoundException"},
        {"r", "{\"archive\":\"arch\",\"bus\":\"other\"}", "InvalidParameterValue"},
        {"r", "{\"bus\":\"b\",\"to\":\"queue:nobody\"}", "QueueDoesNotExist"},
        {"r", "{\"bus\":\"b\",\"to\":\"rule:all,nobody\"}", "ResourceNotFoundException"},
        {"r", "{\"bus\":\"b\",\"rate\":2,\"speed_permille\":2}", "InvalidParameterValue"},
        {"r", "{\"bus\":\"b\",\"from_us\":2,\"until_us\":1}", "InvalidParameterValue"},
        {"r", "{\"bus\":\"b\",\"pattern\":\"{\\\"source\\\":1}\"}", "InvalidEventPatternException"},
        {"r", "{\"bus\":\"b\",\"ids\":[1]}", "InvalidParameterValue"},
    };
    char aws[32];
    uint64_t records = rig->records;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        (void)ask(rig, "start", cases[i].name, cases[i].args, aws);
        if (strcmp(aws, cases[i].aws) != 0)
            fail_msg("%s: %s, not %s", cases[i].args, aws, cases[i].aws);
    }
    assert_int_equal(rig->records, records);
    for (int i = 0; i < 11; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "slow-%d", i);
        (void)ask(rig, "start", name, "{\"bus\":\"b\",\"speed_permille\":1}", aws);
    }
    assert_string_equal(aws, "LimitExceededException");
}

/* Reading fails: told, and the replay ends. */
static void what_cannot_be_read_fails_it_with_the_reason(void **state)
{
    rig_t *rig = *state;
    error_t why;
    bytes_t text;
    error_set(&why, STATUS_DATA_LOSS, "ARCHIVE_CORRUPT", "the file is damaged at offset 5");
    rig->replay_broken = &why;
    start(rig, "r", "{\"bus\":\"b\"}");
    assert_true(mp_map_str(ask(rig, "info", "r", NULL, NULL), "why", &text));
    assert_true(bytes_eq_cstr(text, why.message));
    assert_state(rig, "r", "FAILED");
}

int main(void)
{
#define WORLD_TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)
    const struct CMUnitTest tests[] = {
        WORLD_TEST(every_event_comes_again_in_order_to_the_rules),
        WORLD_TEST(a_window_a_pattern_ids_and_rules_choose),
        WORLD_TEST(a_queue_alone_gets_them_and_a_fifo_queue_behind_what_it_has),
        cmocka_unit_test(a_restart_at_any_record_neither_skips_nor_repeats),
        WORLD_TEST(a_pause_holds_it_over_a_restart_and_resume_goes_on),
        WORLD_TEST(cancel_ends_it_where_it_is),
        WORLD_TEST(the_pace_is_the_original_ones_times_n_or_a_rate),
        WORLD_TEST(a_dry_run_says_where_they_would_go_and_writes_nothing),
        WORLD_TEST(a_subscriber_is_waited_for_and_gets_each_once_without_a_gap),
        WORLD_TEST(it_waits_while_the_disk_is_full_and_fails_when_its_queue_goes),
        WORLD_TEST(what_cannot_be_is_refused_by_name),
        WORLD_TEST(what_cannot_be_read_fails_it_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
