/* core_life.c: what comes out of the core, and whether that may be. */
#include "tests/lib/core_life.h"

#include "tests/lib/journal_model.h"

const char life_topology[] =
    "{\"Buses\":[{\"Name\":\"shop\"},{\"Name\":\"other\"}],"
    "\"Rules\":[{\"Name\":\"all\",\"EventBusName\":\"shop\",\"EventPattern\":{\"source\":[\"test\"]},"
    "\"Targets\":[{\"Id\":\"w\",\"Arn\":\"work\"},{\"Id\":\"a\",\"Arn\":\"aged\"},"
    "{\"Id\":\"f\",\"Arn\":\"line.fifo\",\"SqsParameters\":{\"MessageGroupId\":\"rule\"}}]},"
    "{\"Name\":\"b\",\"EventBusName\":\"shop\",\"EventPattern\":{\"detail-type\":[{\"prefix\":\"b\"}]},"
    "\"Targets\":[{\"Id\":\"p\",\"Arn\":\"late\"}]}],"
    "\"Schedules\":[{\"Name\":\"tick\",\"ScheduleExpression\":\"cron(* * * * ? *)\",\"Target\":{\"Arn\":\"work\"}},"
    "{\"Name\":\"line\",\"ScheduleExpression\":\"rate(1 minute)\",\"MissedFirings\":\"ALL\",\"Target\":{\"Arn\":"
    "\"line.fifo\",\"Input\":1,\"SqsParameters\":{\"MessageGroupId\":\"rule\"}}}],"
    "\"Queues\":["
    "{\"QueueName\":\"work\",\"Attributes\":{\"VisibilityTimeout\":20,"
    "\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":3}}},"
    "{\"QueueName\":\"aged\",\"Attributes\":{\"VisibilityTimeout\":5,\"MaximumEventAgeInSeconds\":120,"
    "\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":9}}},"
    "{\"QueueName\":\"late\",\"Attributes\":{\"DelaySeconds\":15,\"VisibilityTimeout\":60}},"
    "{\"QueueName\":\"brief\",\"Attributes\":{\"MessageRetentionPeriod\":90}},"
    "{\"QueueName\":\"line.fifo\",\"Attributes\":{\"VisibilityTimeout\":20,\"FifoQueue\":true,"
    "\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead.fifo\",\"maxReceiveCount\":4}}},"
    "{\"QueueName\":\"slow.fifo\",\"Attributes\":{\"DelaySeconds\":3,\"ContentBasedDeduplication\":true,"
    "\"DeduplicationScope\":\"messageGroup\"}},"
    "{\"QueueName\":\"dead.fifo\"},"
    "{\"QueueName\":\"dead\"}]}";

const char *const life_queues[LIFE_QUEUES] = {"work", "aged",      "late",      "brief",
                                              "dead", "line.fifo", "slow.fifo", "dead.fifo"};

uint64_t life_queue_of(const core_item_t *item)
{
    uint64_t queue;
    memcpy(&queue, item->receipt, sizeof queue);
    return queue;
}

uint64_t life_identity_of(const core_item_t *item)
{
    uint64_t record;
    memcpy(&record, item->receipt + 8, sizeof record);
    return record;
}

uint8_t *life_acked_at(life_t *life, const core_item_t *item)
{
    return &life->acked[(life_identity_of(item) * 16 + life_queue_of(item)) & (LIFE_ACKED_SLOTS - 1)];
}

/* -- what comes out ---------------------------------------------------------------------------------------- */
static void take_watched(life_t *life, const core_item_t *item)
{
    assert_true(item->record > life->watched);
    for (uint64_t seq = life->watched + 1; seq < item->record; seq++)
        assert_int_not_equal(rig_record(&life->rig, seq)->kind, RECORD_PUBLISH);
    assert_int_equal(rig_record(&life->rig, item->record)->kind, RECORD_PUBLISH);
    life->watched = item->record;
    life->watch_credit--;
}

static void take_delivered(life_t *life, const core_item_t *item)
{
    assert_int_equal(*life_acked_at(life, item), 0);
    record_kind_t kind = rig_record(&life->rig, item->record)->kind;
    assert_true(kind == RECORD_PUBLISH || kind == RECORD_SEND || kind == RECORD_SCHEDULE);
    life->held[life->held_count < LIFE_HELD_MAX ? life->held_count++ : random_below(&life->random, LIFE_HELD_MAX)] =
        *item;
}

static void take_received(life_t *life, const core_out_t *out)
{
    uint64_t *peer = &life->receive_peer[out->deliver.seq % LIFE_RECEIVES];
    assert_int_equal(*peer, out->peer);
    *peer = 0;
    assert_true(out->deliver.count <= 10);
    life->tally->received += out->deliver.count;
    life->tally->received_none += out->deliver.count == 0;
}

void life_collect(life_t *life)
{
    const core_effects_t *out = &life->rig.out;
    for (size_t i = 0; i < out->out_count; i++) {
        if (out->outs[i].kind == CORE_OUT_FRAME && out->outs[i].peer == life->watch_peer) {
            uint64_t verb, seq;
            bytes_t frame = bytes_from(out->bytes.data + out->outs[i].frame.at, out->outs[i].frame.len);
            assert_true(wire_peek(frame, &verb, &seq));
            assert_int_not_equal(verb, WIRE_GAP);
        }
        if (out->outs[i].kind != CORE_OUT_DELIVER)
            continue;
        assert_true(out->outs[i].after <= life->rig.records);
        if (out->outs[i].deliver.verb == WIRE_RECEIVED)
            take_received(life, &out->outs[i]);
        for (size_t n = 0; n < out->outs[i].deliver.count; n++) {
            const core_item_t *item = &out->items[out->outs[i].deliver.first + n];
            if (out->outs[i].peer == life->watch_peer)
                take_watched(life, item);
            else
                take_delivered(life, item);
        }
    }
}

/* -- invariants ---------------------------------------------------------------------------------------------- */
void life_check_counts(const core_t *core)
{
    error_t err;
    if (!core_check(core, &err))
        fail_msg("%s", err.message);
}

void life_tally_journal(life_t *life)
{
    life_tally_t *t = life->tally;
    t->records += life->rig.records;
    for (uint64_t seq = 1; seq <= life->rig.records; seq++) {
        const record_t *r = rig_record(&life->rig, seq);
        t->moved += r->kind == RECORD_MOVE && r->move.to;
        t->redriven += r->kind == RECORD_MOVE && r->move.task;
        t->dropped += r->kind == RECORD_MOVE && !r->move.to;
        for (uint32_t i = 0; r->kind == RECORD_SETTLED && i < r->settled.entries.count; i++) {
            t->acked += r->settled.entries.items[i].action == WIRE_ACK;
            t->released += r->settled.entries.items[i].action == WIRE_RELEASE;
        }
    }
}

void life_check_account(life_t *life)
{
    core_stats_t stats;
    core_stats(life->rig.core, &stats);
    assert_int_equal(stats.messages_visible + stats.messages_in_flight + stats.messages_delayed,
                     journal_model_alive(&life->rig));
}
