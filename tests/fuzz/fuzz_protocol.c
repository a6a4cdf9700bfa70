/* fuzz_protocol.c: whatever frames come, in whatever order, from three connections: the broker's core stands, every
 * frame it sends decodes, and every record it writes can be applied by a core that begins anew.
 *
 * The input is a row of steps. The first byte of each names the connection (two bits), whether the clock moves on,
 * and whether the connection is lost; two bytes give a length (little-endian), and so many bytes are the frame. */
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/core.h"

#define PEERS 3
#define STEPS_MAX 64
#define SECOND_US INT64_C(1000000)
#define START_US (INT64_C(1700000000) * SECOND_US)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"demo\",\"DeduplicationWindowSeconds\":300}],\"Archives\":[],\"Schedules\":[],\"Rules\":["
    "{\"Name\":\"r\",\"EventBusName\":\"demo\",\"State\":\"ENABLED\",\"EventPattern\":{\"source\":[{\"prefix\":\"\"}]},"
    "\"Targets\":[{\"Id\":\"t\",\"Arn\":\"work\"}]}],\"Queues\":[{\"QueueName\":\"work\",\"Attributes\":{"
    "\"VisibilityTimeout\":1,\"RedrivePolicy\":{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":2}}},"
    "{\"QueueName\":\"dead\",\"Attributes\":{}}]}";

typedef struct {
    core_t *core, *follower; /* the follower is made of the records alone */
    core_effects_t effects;
    int64_t now_us;
    wire_msg_t *msg, *sent;
    record_t *record;
} fuzz_t;

static void follow_records(fuzz_t *f)
{
    error_t err = {0};
    bytes_t left = buf_bytes(&f->effects.records);
    while (left.len > 0) {
        uint32_t length;
        uint64_t seq;
        int64_t ingest_us;
        if (!record_peek(left, &length, &seq, &ingest_us) || length > left.len ||
            !record_decode(bytes_from(left.data, length), f->record, &err) || !core_apply(f->follower, f->record, &err))
            abort();
        left = bytes_from(left.data + length, left.len - length);
    }
}

static void check_frames(fuzz_t *f)
{
    error_t err = {0};
    for (size_t i = 0; i < f->effects.out_count; i++) {
        const core_out_t *out = &f->effects.outs[i];
        if (out->kind != CORE_OUT_FRAME)
            continue;
        if (!wire_decode(bytes_from(f->effects.bytes.data + out->frame.at, out->frame.len), f->sent, &err)) {
            fprintf(stderr, "%s: %s\n", wire_verb_name((uint64_t)f->sent->verb), err.message);
            abort();
        }
    }
}

static void step(fuzz_t *f, const core_input_t *input)
{
    core_step(f->core, f->now_us, input, &f->effects);
    follow_records(f);
    check_frames(f);
    core_effects_clear(&f->effects);
}

static void frame_in(fuzz_t *f, uint64_t peer, bytes_t frame)
{
    error_t err = {0};
    core_input_t input = {.kind = CORE_IN_FRAME, .peer = peer, .role = role_all(), .frame_bytes = frame.len};
    input.random[0] = peer;
    input.random[1] = (uint64_t)f->now_us;
    input.msg = f->msg;
    if (!wire_decode(frame, f->msg, &err)) {
        input.kind = CORE_IN_BAD;
        input.bad = &err;
        input.bad_seq = f->msg->seq;
    }
    step(f, &input);
}

static void begin(fuzz_t *f)
{
    error_t err = {0};
    core_config_t config = {
        .limits = {.sessions = 2, .subscriptions = 4, .queues = 8}, .broker_name = "b", .version = "v"};
    f->core = core_new(&config, &err);
    f->follower = core_new(&config, &err);
    f->msg = malloc(sizeof *f->msg);
    f->sent = malloc(sizeof *f->sent);
    f->record = malloc(sizeof *f->record);
    if (!f->core || !f->follower || !f->msg || !f->sent || !f->record)
        abort();
    f->now_us = START_US;
    core_start(f->core, f->now_us, 1, &f->effects);
    follow_records(f);
    core_effects_clear(&f->effects);
    core_input_t input = {.kind = CORE_IN_TOPOLOGY};
    input.topology.json = BYTES_LIT(topology);
    input.topology.sha256 = "00";
    step(f, &input);
}

/* Two sessions stand, with a consumer and a listener, so that frames reach deep at once. */
static void open_sessions(fuzz_t *f)
{
    static const char *const names[] = {"fuzz-000001", "fuzz-000002"};
    for (uint64_t peer = 1; peer <= 2; peer++) {
        buf_t frame = {0};
        wire_hello_t hello = {.protocol = WIRE_PROTOCOL,
                              .name = bytes_cstr(names[peer - 1]),
                              .producer = bytes_cstr(names[peer - 1]),
                              .epoch = 1};
        wire_encode_verb(&frame, WIRE_HELLO, 1, &hello);
        frame_in(f, peer, buf_bytes(&frame));
        buf_clear(&frame);
        wire_subscribe_t subscribe = {.sub = 1,
                                      .kind = peer,
                                      .target = peer == 1 ? BYTES_LIT("work") : BYTES_LIT("*"),
                                      .visibility_ms = -1,
                                      .messages = 10,
                                      .bytes = 10000};
        wire_encode_verb(&frame, WIRE_SUBSCRIBE, 2, &subscribe);
        frame_in(f, peer, buf_bytes(&frame));
        buf_free(&frame);
    }
}

static void end(fuzz_t *f)
{
    core_effects_free(&f->effects);
    core_free(&f->core);
    core_free(&f->follower);
    free(f->msg);
    free(f->sent);
    free(f->record);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_t f = {0};
    size_t at = 0;
    begin(&f);
    open_sessions(&f);
    for (int i = 0; i < STEPS_MAX && size - at >= 3; i++) {
        uint8_t what = data[at];
        uint64_t peer = 1 + (what & 3u) % PEERS;
        size_t len = (size_t)data[at + 1] | (size_t)data[at + 2] << 8;
        at += 3;
        len = len < size - at ? len : size - at;
        if (what & 4) {
            f.now_us += SECOND_US * (1 + (what >> 4));
            step(&f, &(core_input_t){.kind = CORE_IN_TIMER});
        }
        frame_in(&f, peer, bytes_from(data + at, len));
        if (what & 8)
            step(&f, &(core_input_t){.kind = CORE_IN_GONE, .peer = peer});
        at += len;
    }
    end(&f);
    return 0;
}
