/* front_turn.c: one turn of the broker: in, decide, journal, out. */
#include <stdlib.h>

#include "broker/front_internal.h"
#include "kit/clock.h"
#include "kit/log.h"

#define ROOM_FACTOR 2 /* a transformed event is journaled for each target */
#define DISK_FULL_RETRY_MS 5000
#define MOVES_BYTES 65536 /* of the records of a burst of moves */

/* -- clock --------------------------------------------------------------------------------------- */
int64_t front_now_us(const front_t *front)
{
    return front->wall_base_us + (clock_mono_us() - front->mono_base_us);
}

static void arm_deadline(front_t *f)
{
    int64_t at_us = core_next_deadline_us(f->core);
    if (at_us == INT64_MAX)
        loop_timer_off(f->deadline);
    else
        loop_timer_at(f->deadline, f->mono_base_us + (at_us - f->wall_base_us));
}

/* -- what the core asks for ---------------------------------------------------------------------- */
void front_fail(front_t *front, const char *what, const error_t *err)
{
    if (front->has_failed)
        return;
    log_error(what, LOG_S("error", err->message));
    front->has_failed = true;
    front->exit_code = FRONT_DISK;
    loop_stop(front->loop);
}

static bool append_records(front_t *f)
{
    bytes_t left = buf_bytes(&f->effects.records);
    while (left.len > 0) {
        error_t err = {0};
        uint32_t length;
        uint64_t seq;
        int64_t ingest_us;
        if (!record_peek(left, &length, &seq, &ingest_us) || length > left.len)
            abort(); /* the core wrote it */
        if (!journal_append(f->journal, bytes_from(left.data, length), &err)) {
            front_fail(f, "the journal took no record", &err);
            return false;
        }
        left = bytes_from(left.data + length, left.len - length);
    }
    return true;
}

static void write_log(front_t *f, const core_out_t *out)
{
    static const log_level_t levels[] = {LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR};
    char text[1024];
    bool known = out->log.level >= 0 && (size_t)out->log.level < ARRAY_LEN(levels);
    bytes_to_cstr(bytes_from(f->effects.bytes.data + out->log.at, out->log.len), text, sizeof text);
    if (f->counts_errors && out->log.level >= (int)LOG_ERROR)
        f->config_errors++;
    log_write(known ? levels[out->log.level] : LOG_ERROR, text, NULL, 0);
}

static void dispatch(front_t *f, const core_out_t *out)
{
    switch (out->kind) {
    case CORE_OUT_FRAME:
    case CORE_OUT_DELIVER:
    case CORE_OUT_RESULT:
        gate_put(f->gate, out, &f->effects, journal_synced(f->journal));
        break;
    case CORE_OUT_SCAN:
        front_scan_put(f, &(front_scan_t){.scan = out->scan.scan,
                                          .from = out->scan.from,
                                          .since_us = out->scan.since_us,
                                          .max_bytes = out->scan.max_bytes});
        break;
    case CORE_OUT_REPLAY:
        front_replay_put(f, &(front_scan_t){.scan = out->scan.scan,
                                            .from = out->scan.from,
                                            .since_us = out->scan.since_us,
                                            .max_bytes = out->scan.max_bytes});
        break;
    case CORE_OUT_LOG:
        write_log(f, out);
        break;
    }
}

static void do_effects(front_t *f)
{
    if (append_records(f))
        for (size_t i = 0; i < f->effects.out_count; i++)
            dispatch(f, &f->effects.outs[i]);
    core_effects_clear(&f->effects);
}

static void commit(front_t *f)
{
    error_t err = {0};
    if (!f->has_failed && !journal_commit(f->journal, &err))
        front_fail(f, "the journal cannot write", &err);
    if (f->has_failed)
        return;
    observe_journal(f->observe);
    gate_flush(f->gate, journal_synced(f->journal));
}

/* Between two frames of a turn: disk and core work at the same time. */
static void advance(front_t *f)
{
    error_t err = {0};
    uint64_t synced = journal_synced(f->journal);
    if (f->effects.records.len >= FRONT_GATHER_BYTES || f->effects.bytes.len > FRONT_EFFECTS_BYTES)
        do_effects(f);
    if (!f->has_failed && !journal_advance(f->journal, FRONT_GATHER_BYTES, &err))
        front_fail(f, "the journal cannot write", &err);
    if (f->has_failed || journal_synced(f->journal) == synced)
        return;
    observe_journal(f->observe);
    gate_flush(f->gate, journal_synced(f->journal));
}

static void feed_gone(front_t *f)
{
    core_input_t input = {.kind = CORE_IN_GONE};
    while (router_next_gone(f->router, &input.peer))
        front_step(f, &input);
}

void front_step(front_t *front, core_input_t *input)
{
    if (front->has_failed)
        return;
    int64_t now_us = front_now_us(front);
    bool asks = input->kind == CORE_IN_FRAME && input->msg->verb == WIRE_BROKER;
    uint64_t wanted = asks ? ROOM_FACTOR * (uint64_t)WIRE_MESSAGE_MAX_BYTES : MOVES_BYTES;
    input->is_full = (asks || core_moves(front->core, now_us)) && !journal_has_room(front->journal, wanted);
    core_step(front->core, now_us, input, &front->effects);
}

void front_settle(front_t *front)
{
    do {
        do_effects(front);
        commit(front);
        feed_gone(front);
    } while (!front->has_failed && (front->effects.out_count > 0 || front->effects.records.len > 0));
    arm_deadline(front);
    front_replay_plan(front);
}

/* -- frames in ----------------------------------------------------------------------------------- */
/* What the front refuses before the core hears of it. */
static void refuse(front_t *f, const router_frame_t *frame, const wire_error_t *error)
{
    buf_t out = {0};
    uint64_t verb, seq = 0;
    if (!wire_peek(frame->frame, &verb, &seq))
        seq = 0;
    wire_encode_verb(&out, WIRE_ERROR, seq, error);
    router_send(f->router, frame->peer, buf_bytes(&out));
    buf_free(&out);
}

/* A key that was taken out or replaced: the connection stands (libzmq cannot cut it), but is nobody's. */
static void refuse_revoked(front_t *f, const router_frame_t *frame)
{
    core_input_t gone = {.kind = CORE_IN_GONE, .peer = frame->peer};
    refuse(f, frame,
           &(wire_error_t){.status = STATUS_UNAUTHENTICATED,
                           .name = BYTES_LIT("NO_SESSION"),
                           .message = BYTES_LIT("The key of this connection is no longer allowed.")});
    front_step(f, &gone);
}

/* What is taken in needs room for itself and for what will end it; settling goes on when there is none. */
static bool has_room(front_t *f, const router_frame_t *frame)
{
    bool moves = f->msg->verb == WIRE_QUEUE && bytes_eq_cstr(f->msg->queue.op, "move");
    bool takes_in = f->msg->verb == WIRE_PUBLISH || f->msg->verb == WIRE_SEND || moves;
    if (takes_in)
        f->live_us = clock_mono_us();
    if (!takes_in || journal_has_room(f->journal, ROOM_FACTOR * frame->frame.len))
        return true;
    refuse(f, frame,
           &(wire_error_t){.status = STATUS_RESOURCE_EXHAUSTED,
                           .name = BYTES_LIT("DISK_FULL"),
                           .message = BYTES_LIT("The broker's disk is full; what is there can still be settled."),
                           .retry_after_ms = DISK_FULL_RETRY_MS});
    return false;
}

/* A key has one role, its name; HELLO may say it, and no other. */
static bool may_have_role(front_t *f, const router_frame_t *frame, const char *name)
{
    bytes_t asked = f->msg->verb == WIRE_HELLO ? f->msg->hello.role : BYTES_NONE;
    if (asked.len == 0 || !name || bytes_eq_cstr(asked, name))
        return true;
    refuse(f, frame,
           &(wire_error_t){.status = STATUS_PERMISSION_DENIED,
                           .name = BYTES_LIT("ROLE_NOT_ALLOWED"),
                           .message = BYTES_LIT("The key of this connection has another role: use that role's key.")});
    return false;
}

static bool decode(front_t *f, const router_frame_t *frame, error_t *err)
{
    if (wire_decode(frame->frame, f->msg, err) && !frame->several_parts)
        return true;
    if (frame->several_parts)
        error_set(err, STATUS_INVALID_ARGUMENT, "MALFORMED_FRAME", "A message has exactly one frame.");
    return false;
}

static void on_frame(void *ctx, const router_frame_t *frame)
{
    front_t *f = ctx;
    error_t err = {0};
    core_input_t input = {.peer = frame->peer, .frame_bytes = frame->frame.len, .more = true};
    const char *name;
    input.role = access_role(f->access, frame->key, &name);
    f->frames_in++;
    if (!input.role) {
        refuse_revoked(f, frame);
        return;
    }
    if (decode(f, frame, &err)) {
        if (!may_have_role(f, frame, name) || !has_room(f, frame))
            return;
        input.kind = CORE_IN_FRAME;
        input.msg = f->msg;
        if (f->msg->verb == WIRE_HELLO)
            clock_random(input.random, sizeof input.random);
    } else {
        f->frames_bad++;
        input.kind = CORE_IN_BAD;
        input.bad = &err;
        input.bad_seq = f->msg->seq;
    }
    front_step(f, &input);
    advance(f);
}

void front_on_frames(void *ctx, int events UNUSED)
{
    front_t *f = ctx;
    core_input_t last = {.kind = CORE_IN_TIMER};
    f->frames_in = f->frames_bad = 0;
    if (f->has_failed || router_drain(f->router, FRONT_FRAMES_A_TURN, on_frame, f) == 0)
        return;
    front_step(f, &last); /* what the frames made ready is delivered now, many messages in a frame */
    observe_frames(f->observe, f->frames_in, f->frames_bad);
    front_settle(f);
}

void front_on_journal(void *ctx, int events UNUSED)
{
    front_t *f = ctx;
    error_t err = {0};
    if (f->has_failed)
        return;
    if (!journal_poll(f->journal, &err))
        front_fail(f, "the journal cannot write", &err);
    else
        front_settle(f);
}
