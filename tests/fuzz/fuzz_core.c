/* Any frames from four connections, with time passing and connections breaking: the core neither falls nor
 * loses its thread. What it journaled is applied to a second core, which must end up the same. */
#include <stdlib.h>

#include "broker/core/core.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define PEERS 4
#define START_US INT64_C(1700000000000000)
#define STEPS_MAX 400

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"b\"}],\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"b\",\"EventPattern\":{\"source\":"
    "[{\"prefix\":\"\"}]},\"Targets\":[{\"Id\":\"t\",\"Arn\":\"q\"}]}],\"Queues\":[{\"QueueName\":\"q\",\"Attributes\":"
    "{\"VisibilityTimeout\":2,\"MessageRetentionPeriod\":60,\"RedrivePolicy\":{\"deadLetterTargetArn\":\"d\","
    "\"maxReceiveCount\":2}}},{\"QueueName\":\"d\"},{\"QueueName\":\"f.fifo\"}],\"Schedules\":[{\"Name\":\"s\","
    "\"ScheduleExpression\":\"rate(1 "
    "minute)\",\"MissedFirings\":\"ALL\",\"Target\":{\"Arn\":\"q\"}}],\"PermitBuckets\":[{\"BucketName\":"
    "\"k\",\"RateLimit\":2,"
    "\"BurstLimit\":3}]}";

typedef struct {
    core_t *core;
    core_effects_t out;
    buf_t journal;
    wire_msg_t *msg;
    record_t *record;
    int64_t now_us;
} world_t;

static void check(bool holds)
{
    if (!holds)
        abort();
}

static core_t *make(void)
{
    const core_config_t config = {.limits = {.queues = 20, .lag_records = 50, .producer_window = 8, .call_queue = 4},
                                  .broker_name = "fuzz",
                                  .version = "0"};
    core_t *core = core_new(&config, NULL);
    check(core != NULL);
    return core;
}

/* Takes the records out, and answers the scans with nothing found. */
static void settle(world_t *w)
{
    buf_append_bytes(&w->journal, buf_bytes(&w->out.records));
    core_effects_clear(&w->out);
}

static void step(world_t *w, const core_input_t *input)
{
    core_step(w->core, w->now_us, input, &w->out);
    settle(w);
}

static void frame(world_t *w, uint64_t peer, bytes_t bytes)
{
    error_t err = {0};
    core_input_t input = {.peer = peer, .role = role_all(), .msg = w->msg, .frame_bytes = bytes.len, .bad = &err};
    input.kind = wire_decode(bytes, w->msg, &err) ? CORE_IN_FRAME : CORE_IN_BAD;
    input.random[0] = peer;
    step(w, &input);
}

static void act(world_t *w, uint8_t op, bytes_t bytes)
{
    uint64_t peer = 1 + (op & (PEERS - 1));
    switch (op >> 4) {
    case 0:
        step(w, &(core_input_t){.kind = CORE_IN_GONE, .peer = peer});
        break;
    case 1:
        w->now_us += (int64_t)bytes.len * 1000000;
        step(w, &(core_input_t){.kind = CORE_IN_TIMER});
        break;
    case 2:
        step(w, &(core_input_t){.kind = CORE_IN_SCANNED,
                                .scanned = {.scan = (uint64_t)bytes.len << 32 | 1, .next = bytes.len, .end = true}});
        break;
    default:
        frame(w, peer, bytes);
    }
}

static void compare(world_t *w)
{
    core_t *second = make();
    bytes_t left = buf_bytes(&w->journal);
    uint64_t seq = 0;
    for (uint32_t length; left.len; left = bytes_from(left.data + length, left.len - length)) {
        int64_t ingest_us;
        error_t err = {0};
        check(record_peek(left, &length, &seq, &ingest_us));
        check(record_decode(bytes_from(left.data, length), w->record, &err));
        check(core_apply(second, w->record, &err));
    }
    core_start(second, w->now_us, seq + 1, &w->out);
    check(core_digest(second) == core_digest(w->core));
    core_free(&second);
}

static void open_world(world_t *w)
{
    static wire_msg_t msg; /* large; not worth making anew for every input */
    static record_t record;
    *w = (world_t){.core = make(), .msg = &msg, .record = &record, .now_us = START_US};
    core_start(w->core, w->now_us, 1, &w->out);
    settle(w);
    const core_input_t input = {.kind = CORE_IN_TOPOLOGY, .topology = {.json = bytes_cstr(topology), .sha256 = "one"}};
    step(w, &input);
}

/* [op, length (2 bytes, little-endian), bytes] and again. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    world_t w;
    open_world(&w);
    for (int steps = 0; size >= 3 && steps < STEPS_MAX; steps++) {
        size_t len = (size_t)data[1] | (size_t)data[2] << 8;
        if (len > size - 3)
            len = size - 3;
        act(&w, data[0], bytes_from(data + 3, len));
        data += 3 + len;
        size -= 3 + len;
    }
    step(&w, &(core_input_t){.kind = CORE_IN_TIMER});
    compare(&w);
    core_free(&w.core);
    core_effects_free(&w.out);
    buf_free(&w.journal);
    return 0;
}
