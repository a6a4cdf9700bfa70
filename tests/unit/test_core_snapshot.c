/* test_core_snapshot.c: a snapshot brings forth an equal core, and nothing in one is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "broker/core/snapshot.h"
#include "broker/core/snapshot_items.h"
#include "broker/core/state.h"
#include "tests/lib/core_rig.h"
#include "tests/lib/random.h"

#define S 1000000

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"shop\"}],\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"shop\","
    "\"EventPattern\":{\"detail-type\":[\"a\"]},\"Targets\":[{\"Id\":\"w\",\"Arn\":\"work\"},"
    "{\"Id\":\"late\",\"Arn\":\"late\"}]}],\"Queues\":[{\"QueueName\":\"work\",\"Attributes\":{\"VisibilityTimeout\":"
    "20,"
    "\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":1}}},{\"QueueName\":\"dead\"},"
    "{\"QueueName\":\"late\",\"Attributes\":{\"DelaySeconds\":60}},{\"QueueName\":\"line.fifo\"}],"
    "\"Schedules\":[{\"Name\":\"minutely\",\"ScheduleExpression\":\"rate(1 minute)\",\"Target\":{\"Arn\":\"late\"}}],"
    "\"PermitBuckets\":[{\"BucketName\":\"erp\",\"RateLimit\":50,\"BurstLimit\":5}]}";

static void send_to_line(rig_t *rig, const char *group, const char *dedup)
{
    wire_send_t *send = calloc(1, sizeof *send);
    assert_non_null(send);
    send->queue = BYTES_LIT("line.fifo");
    send->entries.count = 1;
    send->entries.items[0] = (wire_send_entry_t){
        .group = bytes_cstr(group), .dedup = bytes_cstr(dedup), .delay_ms = -1, .body = BYTES_LIT("\x01")};
    rig_send(rig, 1, WIRE_SEND, 5, send);
    assert_int_equal(rig_expect(rig, 1, WIRE_SENT)->sent.results.items[0].status, 0);
    free(send);
}

static void ask_queue(rig_t *rig, const char *op, const char *name)
{
    rig_send(rig, 1, WIRE_QUEUE, 6, &(wire_queue_t){.op = bytes_cstr(op), .name = bytes_cstr(name)});
    (void)rig_expect(rig, 1, WIRE_RESULT);
}

/* Something of every kind: in flight, delayed, dead, visible; keys; a producer; two sessions; a deleted queue, a
 * purged one, a move task, and a permit. */
static void open_world(rig_t *rig)
{
    rig_open(rig, NULL);
    rig_topology(rig, topology);
    rig_send(
        rig, 1, WIRE_HELLO, 1,
        &(wire_hello_t){
            .protocol = WIRE_PROTOCOL, .name = BYTES_LIT("tester-000001"), .producer = BYTES_LIT("p"), .epoch = 3});
    (void)rig_expect(rig, 1, WIRE_WELCOME);
    rig_hello(rig, 2, "tester-000002", NULL);
    for (int i = 0; i < 3; i++)
        (void)rig_publish(rig, 1, "shop", "a");
    rig_subscribe_queue(rig, 2, 1, "work", 1);
    const core_out_t *out = rig_deliver(rig, 2);
    assert_non_null(out);
    const core_item_t item = rig->out.items[out->deliver.first];
    (void)rig_settle(rig, 2, &item, WIRE_REJECT, 0); /* to the dead letters */
    send_to_line(rig, "one", "first");
    send_to_line(rig, "two", "second");
    send_to_line(rig, "one", "third");
    rig_subscribe_queue(rig, 2, 2, "line.fifo", 1);
    assert_non_null(rig_deliver(rig, 2));
    rig_subscribe_queue(rig, 2, 3, "dead", 1);
    ask_queue(rig, "create", "brief");
    ask_queue(rig, "delete", "brief");
    ask_queue(rig, "purge", "line.fifo");
    send_to_line(rig, "three", "fourth");
    (void)rig_send_message(rig, 1, "dead", "dead");
    ask_queue(rig, "redrive", "dead");
    rig_send(rig, 1, WIRE_PERMIT, 7, &(wire_permit_t){.bucket = BYTES_LIT("erp"), .tokens = 1, .wait_ms = 1000});
    rig_sleep(rig, S);
}

static core_t *load(const rig_t *rig, bytes_t snapshot, error_t *err)
{
    core_t *core = core_new(&rig->config, err);
    snapshot_load_t *loading = snapshot_load_new(core, err);
    bool good = snapshot_load_slice(loading, snapshot, err) && snapshot_load_end(loading, err);
    snapshot_load_free(&loading);
    if (!good)
        core_free(&core);
    return core;
}

static void a_snapshot_brings_forth_an_equal_core_that_goes_on_equally(void **state)
{
    (void)state;
    rig_t rig;
    error_t err = {0};
    open_world(&rig);
    rig_snapshot(&rig);
    uint64_t from = rig.records;
    rig_sleep(&rig, 90 * S); /* deliveries run out, delays end, sessions go */
    rig_hello(&rig, 3, "tester-000003", NULL);
    (void)rig_publish(&rig, 3, "shop", "a");
    core_t *core = load(&rig, buf_bytes(&rig.snapshot), &err);
    assert_non_null(core);
    for (uint64_t seq = from + 1; seq <= rig.records; seq++)
        assert_true(core_apply(core, rig_record(&rig, seq), &err));
    core_effects_t out = {0};
    core_start(core, rig.now_us, rig.records + 1, &out);
    assert_int_equal(core_digest(core), core_digest(rig.core));
    core_effects_free(&out);
    core_free(&core);
    rig_close(&rig);
}

/* -- every kind of item, as it was and spoilt ------------------------------------------------------------ */
typedef struct {
    size_t at, len; /* of the item with its length */
    uint64_t kind;
} place_t;

static size_t places_of(bytes_t snapshot, place_t *places, size_t most)
{
    size_t count = 0;
    for (size_t at = 0; at < snapshot.len; count++) {
        uint32_t length;
        assert_true(count < most);
        memcpy(&length, snapshot.data + at, sizeof length);
        places[count] = (place_t){.at = at, .len = sizeof length + length};
        assert_true(fields_peek(bytes_from(snapshot.data + at + 4, length), false, &places[count].kind, NULL, NULL));
        at += places[count].len;
    }
    return count;
}

static void a_snapshot_holds_every_kind_of_item(void **state)
{
    (void)state;
    rig_t rig;
    place_t places[128];
    bool seen[SNAPSHOT_KIND_MAX + 1] = {0};
    open_world(&rig);
    rig_send(&rig, 1, WIRE_PUBLISH, 9, &(wire_publish_t){0}); /* refused: nothing of it is kept */
    wire_publish_t *publish = calloc(1, sizeof *publish);
    buf_t body = {0};
    rig_envelope(&body, "b", 1);
    publish->bus = BYTES_LIT("shop");
    publish->producer_seq = 1;
    publish->entries.count = 1;
    publish->entries.items[0] = (wire_publish_entry_t){.dedup = BYTES_LIT("key"), .body = buf_bytes(&body)};
    rig_send(&rig, 1, WIRE_PUBLISH, 10, publish);
    buf_t bus = {0};
    mp_put_map(&bus, 1);
    mp_put_cstr(&bus, "bus");
    mp_put_cstr(&bus, "shop");
    rig_send(&rig, 1, WIRE_REPLAY, 11,
             &(wire_replay_t){.op = BYTES_LIT("start"), .name = BYTES_LIT("again"), .args = buf_bytes(&bus)});
    rig_sleep(&rig, 1);
    buf_free(&bus);
    rig_snapshot(&rig);
    size_t count = places_of(buf_bytes(&rig.snapshot), places, ARRAY_LEN(places));
    for (size_t i = 0; i < count; i++)
        seen[places[i].kind] = true;
    for (uint64_t kind = 1; kind <= SNAPSHOT_KIND_MAX; kind++)
        if (!seen[kind] && snapshot_layout(kind))
            fail_msg("no item %s", snapshot_layout(kind)->name);
    free(publish);
    buf_free(&body);
    rig_close(&rig);
}

static void assert_refused(const rig_t *rig, bytes_t snapshot)
{
    error_t err = {0};
    core_t *core = load(rig, snapshot, &err);
    assert_null(core);
    if (err.code != STATUS_DATA_LOSS && err.code != STATUS_FAILED_PRECONDITION)
        fail_msg("%s", err.message);
    assert_true(err.message[0]);
}

static void a_snapshot_that_lacks_something_is_refused(void **state)
{
    (void)state;
    rig_t rig;
    place_t places[128];
    open_world(&rig);
    rig_snapshot(&rig);
    size_t count = places_of(buf_bytes(&rig.snapshot), places, ARRAY_LEN(places));
    for (size_t len = 0; len < rig.snapshot.len; len++)
        assert_refused(&rig, bytes_from(rig.snapshot.data, len));
    for (size_t i = 0; i < count; i++) { /* one item taken out, one twice */
        buf_t spoilt = {0};
        buf_append(&spoilt, rig.snapshot.data, places[i].at);
        size_t behind = places[i].at + places[i].len;
        buf_append(&spoilt, rig.snapshot.data + behind, rig.snapshot.len - behind);
        assert_refused(&rig, buf_bytes(&spoilt));
        buf_clear(&spoilt);
        buf_append(&spoilt, rig.snapshot.data, behind);
        buf_append(&spoilt, rig.snapshot.data + places[i].at, rig.snapshot.len - places[i].at);
        assert_refused(&rig, buf_bytes(&spoilt));
        buf_free(&spoilt);
    }
    rig_close(&rig);
}

/* A changed byte may make another snapshot that can be; then the core works, else it is refused. */
static void a_changed_byte_is_refused_or_makes_a_core_that_works(void **state)
{
    (void)state;
    rig_t rig;
    random_t random = {7};
    open_world(&rig);
    rig_snapshot(&rig);
    for (size_t at = 0; at < rig.snapshot.len; at++) {
        error_t err = {0};
        uint8_t was = rig.snapshot.data[at];
        rig.snapshot.data[at] ^= (uint8_t)(1 + random_below(&random, 255));
        core_t *core = load(&rig, buf_bytes(&rig.snapshot), &err);
        core_effects_t out = {0};
        if (core) {
            core_start(core, rig.now_us, core_newest_record(core) + 1, &out);
            core_step(core, rig.now_us + 100 * S, &(core_input_t){.kind = CORE_IN_TIMER}, &out);
            (void)core_digest(core);
            core_free(&core);
        } else {
            assert_true(err.code != STATUS_OK && err.message[0]);
        }
        core_effects_free(&out);
        rig.snapshot.data[at] = was;
    }
    rig_close(&rig);
}

static void an_item_of_a_newer_program_is_refused_by_its_number(void **state)
{
    (void)state;
    rig_t rig;
    error_t err = {0};
    uint8_t newer[] = {2, 0, 0, 0, 0x91, 77};
    buf_t snapshot = {0};
    place_t places[128];
    open_world(&rig);
    rig_snapshot(&rig);
    (void)places_of(buf_bytes(&rig.snapshot), places, ARRAY_LEN(places));
    buf_append(&snapshot, rig.snapshot.data, places[1].at);
    buf_append(&snapshot, newer, sizeof newer);
    assert_null(load(&rig, buf_bytes(&snapshot), &err));
    assert_int_equal(err.code, STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "kind 77"));
    buf_free(&snapshot);
    rig_close(&rig);
}

/* -- what is needed ---------------------------------------------------------------------------------------- */
static void needed_are_the_records_whose_bytes_some_message_has(void **state)
{
    (void)state;
    rig_t rig;
    error_t err = {0};
    uint64_t *records = NULL;
    size_t count = 0;
    rig_open(&rig, NULL);
    rig_topology(&rig, topology);
    rig_hello(&rig, 1, "tester-000001", NULL);
    uint64_t first = rig_publish(&rig, 1, "shop", "a"); /* into two queues, needed once */
    uint64_t second = rig_publish(&rig, 1, "shop", "a");
    (void)rig_publish(&rig, 1, "shop", "b"); /* into none */
    rig_subscribe_queue(&rig, 1, 1, "work", 1);
    const core_out_t *out = rig_deliver(&rig, 1);
    assert_non_null(out);
    const core_item_t item = rig.out.items[out->deliver.first];
    (void)rig_settle(&rig, 1, &item, WIRE_REJECT, 0); /* moved: its bytes stay where they were */
    assert_true(core_needed_records(rig.core, UINT64_MAX - 1, &records, &count, &err));
    assert_int_equal(count, 2);
    assert_int_equal(records[0], first);
    assert_int_equal(records[1], second);
    free(records);
    assert_true(core_needed_records(rig.core, first, &records, &count, &err));
    assert_int_equal(count, 1);
    free(records);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_brings_forth_an_equal_core_that_goes_on_equally),
        cmocka_unit_test(a_snapshot_holds_every_kind_of_item),
        cmocka_unit_test(a_snapshot_that_lacks_something_is_refused),
        cmocka_unit_test(a_changed_byte_is_refused_or_makes_a_core_that_works),
        cmocka_unit_test(an_item_of_a_newer_program_is_refused_by_its_number),
        cmocka_unit_test(needed_are_the_records_whose_bytes_some_message_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
