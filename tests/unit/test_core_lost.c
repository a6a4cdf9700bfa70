/* What the core makes of a journal of which a repair had to give something up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "proto/msgpack.h"
#include "tests/lib/core_rig.h"

#define TOPOLOGY                                                                                                       \
    "{\"Buses\":[{\"Name\":\"demo\",\"DeduplicationWindowSeconds\":300}],\"Archives\":[],\"Rules\":[{\"Name\":\"r\","  \
    "\"EventBusName\":\"demo\",\"State\":\"ENABLED\",\"EventPattern\":{\"detail-type\":[\"work\"]},\"Targets\":["      \
    "{\"Id\":\"a\",\"Arn\":\"plain\"},{\"Id\":\"b\",\"Arn\":\"dlq\"}]}],\"Schedules\":[],\"Queues\":["                 \
    "{\"QueueName\":\"plain\",\"Attributes\":{\"VisibilityTimeout\":30,\"RedrivePolicy\":{\"deadLetterTargetArn\":"    \
    "\"dlq\",\"maxReceiveCount\":2}}},{\"QueueName\":\"dlq\",\"Attributes\":{\"VisibilityTimeout\":30}}]}"
#define S INT64_C(1000000)

/* Every kind of record that the core keeps, and each that may follow on another. */
static void live(rig_t *rig)
{
    rig_topology(rig, TOPOLOGY);
    rig_hello(rig, 1, "producer-000001", NULL);
    rig_hello(rig, 2, "consumer-000001", NULL);
    for (int i = 0; i < 6; i++) {
        (void)rig_publish(rig, 1, "demo", "work");
        (void)rig_send_message(rig, 1, "plain", "text");
    }
    rig_subscribe_queue(rig, 2, 1, "plain", 8);
    const core_out_t *out = rig_deliver(rig, 2);
    core_item_t items[8];
    size_t count = 0;
    for (; out; out = rig_deliver(rig, 2))
        for (size_t i = 0; i < out->deliver.count && count < 8; i++)
            items[count++] = rig->out.items[out->deliver.first + i];
    assert_int_equal(count, 8);
    (void)rig_settle(rig, 2, &items[0], WIRE_ACK, 0);
    (void)rig_settle(rig, 2, &items[1], WIRE_RELEASE, 0);
    (void)rig_settle(rig, 2, &items[2], WIRE_EXTEND, 60000);
    (void)rig_settle(rig, 2, &items[3], WIRE_REJECT, 0);
    rig_sleep(rig, 31 * S);
    rig_gone(rig, 2);
    rig_sleep(rig, 40 * S); /* all sessions end */
    rig_hello(rig, 3, "consumer-000001", NULL);
    rig_subscribe_queue(rig, 3, 1, "plain", 4);
    rig_sleep(rig, 31 * S);
    rig_hello(rig, 4, "producer-000002", NULL);
    (void)rig_send_message(rig, 4, "plain", "last");
}

/* -- what is left, counted by somebody who knows no core -------------------------------------------------- */
#define PLACES_MAX 256
typedef struct {
    uint64_t queue, record;
} place_t;

typedef struct {
    place_t places[PLACES_MAX];
    size_t count;
    uint64_t queues[16];
    size_t queue_count;
} left_t;

static bool has_queue(const left_t *left, uint64_t queue)
{
    for (size_t i = 0; i < left->queue_count; i++)
        if (left->queues[i] == queue)
            return true;
    return false;
}

static bool take(left_t *left, uint64_t queue, uint64_t record)
{
    for (size_t i = 0; i < left->count; i++)
        if (left->places[i].queue == queue && left->places[i].record == record) {
            left->places[i] = left->places[--left->count];
            return true;
        }
    return false;
}

static void put(left_t *left, uint64_t queue, uint64_t record)
{
    assert_true(left->count < PLACES_MAX);
    if (has_queue(left, queue))
        left->places[left->count++] = (place_t){queue, record};
}

static void follow_topology(left_t *left, const record_topology_t *topology)
{
    mp_reader_t r;
    record_queue_op_t op;
    for (uint32_t count = record_queue_ops(topology, &r); count > 0; count--) {
        assert_true(record_queue_op(&r, &op));
        if (op.op == 1)
            left->queues[left->queue_count++] = op.queue;
    }
}

static void follow(left_t *left, const record_t *r)
{
    if (r->kind == RECORD_QUEUE && r->queue.op == 1)
        left->queues[left->queue_count++] = r->queue.queue;
    if (r->kind == RECORD_TOPOLOGY)
        follow_topology(left, &r->topology);
    for (uint32_t i = 0; r->kind == RECORD_PUBLISH && i < r->publish.routes.count; i++)
        put(left, r->publish.routes.items[i].queue, r->seq);
    if (r->kind == RECORD_SEND && !r->send.duplicate)
        put(left, r->send.queue, r->seq);
    for (uint32_t i = 0; r->kind == RECORD_SETTLED && i < r->settled.entries.count; i++)
        if (r->settled.entries.items[i].action == WIRE_ACK)
            (void)take(left, r->settled.entries.items[i].queue, r->settled.entries.items[i].record);
    if (r->kind == RECORD_MOVE && (r->move.to == 0 || has_queue(left, r->move.to)) &&
        take(left, r->move.from, r->move.record) && r->move.to)
        put(left, r->move.to, r->seq);
}

/* -- a core of what is left --------------------------------------------------------------------------------- */
static bool apply_lost(core_t *core, uint64_t seq, int64_t ingest_us, uint64_t until, error_t *err)
{
    buf_t fields = {0};
    mp_put_map(&fields, 1);
    mp_put_cstr(&fields, "until");
    mp_put_u64(&fields, until);
    record_t *note = calloc(1, sizeof *note);
    assert_non_null(note);
    note->kind = RECORD_NOTE;
    note->seq = seq;
    note->ingest_us = ingest_us;
    note->note = (record_note_t){.event = bytes_cstr("lost"), .fields = buf_bytes(&fields)};
    bool good = core_apply(core, note, err);
    free(note);
    buf_free(&fields);
    return good;
}

/* Record `lost`, and `more` behind it, become notes; `until` as the repair would say. */
static core_t *core_without(rig_t *rig, uint64_t lost, uint64_t more, uint64_t until, left_t *left, error_t *err)
{
    core_t *core = core_new(&rig->config, err);
    assert_non_null(core);
    *left = (left_t){0};
    bool good = true;
    for (uint64_t seq = 1; good && seq <= rig->records; seq++) {
        const record_t *record = rig_record(rig, seq);
        bool is_lost = seq >= lost && seq <= lost + more;
        good = is_lost ? apply_lost(core, seq, record->ingest_us, until, err) : core_apply(core, record, err);
        if (!is_lost)
            follow(left, record);
    }
    if (!good)
        core_free(&core);
    return core;
}

static uint64_t messages_of(const core_t *core)
{
    core_stats_t stats;
    core_stats(core, &stats);
    return stats.messages_visible + stats.messages_in_flight + stats.messages_delayed;
}

static void assert_same(const core_t *core, const left_t *left, uint64_t lost)
{
    if (messages_of(core) != left->count)
        fail_msg("without record %llu: %llu messages, and %zu by the records", (unsigned long long)lost,
                 (unsigned long long)messages_of(core), left->count);
    for (size_t i = 0; i < left->count; i++) {
        const queue_t *queue = queue_by_incarnation(core, left->places[i].queue);
        assert_non_null(queue);
        assert_int_not_equal(message_find(core, queue->id, left->places[i].record), 0);
    }
}

static void whichever_record_is_lost_the_core_takes_the_rest(void **state)
{
    (void)state;
    rig_t rig;
    error_t err = {0};
    left_t left;
    core_effects_t out = {0};
    rig_open(&rig, NULL);
    live(&rig);
    for (uint64_t more = 0; more < 4; more++)
        for (uint64_t lost = 1; lost + more <= rig.records; lost++) {
            core_t *core = core_without(&rig, lost, more, rig.records, &left, &err);
            if (!core)
                fail_msg("without records %llu to %llu: %s", (unsigned long long)lost,
                         (unsigned long long)(lost + more), err.message);
            assert_same(core, &left, lost);
            core_start(core, rig.now_us, rig.records + 1, &out);
            core_effects_clear(&out);
            core_free(&core);
        }
    core_effects_free(&out);
    rig_close(&rig);
}

static void what_comes_behind_the_repair_is_held_as_strictly_as_ever(void **state)
{
    (void)state;
    rig_t rig;
    error_t err = {0};
    left_t left;
    rig_open(&rig, NULL);
    live(&rig);
    uint64_t refused = 0;
    for (uint64_t lost = 1; lost <= rig.records; lost++) {
        core_t *core = core_without(&rig, lost, 0, lost, &left, &err);
        refused += core == NULL;
        if (core)
            core_free(&core);
        else
            assert_int_equal(err.code, STATUS_DATA_LOSS);
    }
    assert_true(refused > 5);
    rig_close(&rig);
}

static void replace_record(rig_t *rig, uint64_t seq, bytes_t raw)
{
    buf_t journal = {0};
    size_t begin = rig->offsets[seq - 1], end = rig->offsets[seq];
    buf_append(&journal, rig->journal.data, begin);
    buf_append_bytes(&journal, raw);
    buf_append(&journal, rig->journal.data + end, rig->journal.len - end);
    for (uint64_t i = seq; i < rig->records; i++)
        rig->offsets[i] += raw.len - (end - begin);
    buf_free(&rig->journal);
    rig->journal = journal;
}

static void a_live_subscription_is_told_of_a_gap_where_an_event_was_lost(void **state)
{
    (void)state;
    rig_t rig;
    rig_open(&rig, NULL);
    rig_topology(&rig, TOPOLOGY);
    rig_hello(&rig, 1, "producer-000001", NULL);
    uint64_t first = rig_publish(&rig, 1, "demo", "work");
    uint64_t second = rig_publish(&rig, 1, "demo", "work");
    (void)rig_publish(&rig, 1, "demo", "work");
    buf_t note = {0};
    const record_note_t lost = {.event = bytes_cstr("lost")};
    record_encode(&note, second, rig_record(&rig, second)->ingest_us, RECORD_NOTE, &lost);
    replace_record(&rig, second, buf_bytes(&note));
    rig_hello(&rig, 2, "listener-000001", NULL);
    rig_subscribe_bus(&rig, 2, 1, "demo", first, 100);
    const wire_msg_t *gap = NULL, *msg;
    while ((msg = rig_take(&rig, 2)) != NULL)
        gap = msg->verb == WIRE_GAP ? msg : gap;
    assert_non_null(gap);
    assert_int_equal(gap->gap.from, second);
    assert_int_equal(gap->gap.next, second + 1);
    buf_free(&note);
    rig_close(&rig);
}

static core_queue_stats_t found;
static void keep_named(void *ctx, const core_queue_stats_t *queue)
{
    if (strcmp(queue->name, ctx) == 0)
        found = *queue;
}

static uint64_t lost_of(const rig_t *rig, char *queue)
{
    found = (core_queue_stats_t){0};
    core_each_queue(rig->core, keep_named, queue);
    return found.lost;
}

static uint64_t lost_of_all(const rig_t *rig)
{
    core_stats_t stats;
    error_t err;
    core_stats(rig->core, &stats);
    if (!core_check(rig->core, &err))
        fail_msg("%s", err.message);
    return stats.messages_lost;
}

/* A restart at which the journal says that these records are in no file. */
static void restart_without(rig_t *rig, const core_lost_t *ranges, size_t count)
{
    rig_restart(rig, 0);
    uint64_t digest = core_digest(rig->core);
    (void)core_mark_lost(rig->core, ranges, count);
    assert_int_equal(core_digest(rig->core), digest); /* it is no part of the state */
}

static void messages_whose_bytes_are_lost_are_counted_wherever_they_go(void **state)
{
    (void)state;
    rig_t rig;
    uint64_t sent[6];
    core_item_t items[6];
    rig_open(&rig, NULL);
    rig_topology(&rig, TOPOLOGY);
    rig_hello(&rig, 1, "producer-000001", NULL);
    for (int i = 0; i < 6; i++)
        sent[i] = rig_send_message(&rig, 1, "plain", "text");
    const core_lost_t ranges[] = {{1, 2}, {sent[0], sent[0]}, {sent[2], sent[4] - 1}, {sent[5] + 1, UINT64_MAX}};
    restart_without(&rig, ranges, 4);
    assert_int_equal(lost_of(&rig, "plain"), 3);
    assert_int_equal(lost_of_all(&rig), 3);
    rig_hello(&rig, 2, "consumer-000001", NULL);
    rig_subscribe_queue(&rig, 2, 1, "plain", 6);
    const core_out_t *out = rig_deliver(&rig, 2);
    assert_int_equal(out->deliver.count, 6);
    memcpy(items, &rig.out.items[out->deliver.first], sizeof items);
    assert_int_equal(rig_settle(&rig, 2, &items[1], WIRE_ACK, 0), 0);
    assert_int_equal(lost_of_all(&rig), 3);
    assert_int_equal(rig_settle(&rig, 2, &items[2], WIRE_ACK, 0), 0);
    assert_int_equal(rig_settle(&rig, 2, &items[3], WIRE_REJECT, 0), 0);
    assert_int_equal(lost_of(&rig, "plain"), 1);
    assert_int_equal(lost_of(&rig, "dlq"), 1);
    assert_int_equal(lost_of_all(&rig), 2);
    rig_send(&rig, 2, WIRE_QUEUE, 3, &(wire_queue_t){.op = BYTES_LIT("purge"), .name = BYTES_LIT("plain")});
    (void)rig_expect(&rig, 2, WIRE_RESULT);
    assert_int_equal(lost_of(&rig, "plain"), 0);
    assert_int_equal(lost_of(&rig, "plain"), 0);
    assert_int_equal(lost_of_all(&rig), 1);
    rig_sleep(&rig, S);
    assert_int_equal(lost_of_all(&rig), 1);
    restart_without(&rig, ranges, 4); /* the dead letter's bytes are the lost ones still */
    assert_int_equal(lost_of(&rig, "dlq"), 1);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whichever_record_is_lost_the_core_takes_the_rest),
        cmocka_unit_test(what_comes_behind_the_repair_is_held_as_strictly_as_ever),
        cmocka_unit_test(messages_whose_bytes_are_lost_are_counted_wherever_they_go),
        cmocka_unit_test(a_live_subscription_is_told_of_a_gap_where_an_event_was_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
