/* core_rig.c: drives a core as the front would, in memory. */
#include "tests/lib/core_rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/effects.h"
#include "broker/core/sha256.h"
#include "broker/core/snapshot.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "tests/lib/random.h"

#define RIG_START_US INT64_C(1700000000000000)
#define RIG_CREDIT_BYTES ((uint64_t)8 << 20)

static void core_make(rig_t *rig)
{
    error_t err = {0};
    rig->core = core_new(&rig->config, &err);
    assert_non_null(rig->core);
}

void rig_close(rig_t *rig)
{
    core_free(&rig->core);
    core_effects_free(&rig->out);
    buf_free(&rig->journal);
    buf_free(&rig->snapshot);
    free(rig->offsets);
    free(rig->in);
    free(rig->got);
    free(rig->record);
}

/* -- the journal --------------------------------------------------------------------------------------- */
static void journal_take(rig_t *rig)
{
    bytes_t left = buf_bytes(&rig->out.records);
    while (left.len) {
        uint32_t length;
        uint64_t seq;
        int64_t ingest_us;
        error_t err = {0};
        assert_true(record_peek(left, &length, &seq, &ingest_us));
        assert_true(record_decode(bytes_from(left.data, length), rig->record, &err));
        assert_int_equal(seq, rig->records + 1);
        if ((rig->records & (rig->records + 1)) == 0) {
            rig->offsets = reallocarray(rig->offsets, (rig->records + 1) * 2, sizeof *rig->offsets);
            assert_non_null(rig->offsets);
        }
        rig->offsets[rig->records++] = rig->journal.len;
        buf_append(&rig->journal, left.data, length);
        left = bytes_from(left.data + length, left.len - length);
    }
    buf_clear(&rig->out.records);
    rig->out.record_count = 0;
}

void rig_open(rig_t *rig, const core_limits_t *limits)
{
    *rig = (rig_t){.role = role_all(), .now_us = RIG_START_US, .random = 1};
    rig->config = (core_config_t){.broker_name = "mangabus-broker-test", .version = "test"};
    if (limits)
        rig->config.limits = *limits;
    rig->in = calloc(1, sizeof *rig->in);
    rig->got = calloc(1, sizeof *rig->got);
    rig->record = calloc(1, sizeof *rig->record);
    assert_true(rig->in && rig->got && rig->record);
    core_make(rig);
    core_start(rig->core, rig->now_us, 1, &rig->out);
    journal_take(rig);
}

const record_t *rig_record(rig_t *rig, uint64_t seq)
{
    error_t err = {0};
    assert_in_range(seq, 1, rig->records);
    size_t end = seq < rig->records ? rig->offsets[seq] : rig->journal.len;
    bytes_t raw = bytes_from(rig->journal.data + rig->offsets[seq - 1], end - rig->offsets[seq - 1]);
    if (!record_decode(raw, rig->record, &err))
        fail_msg("record %llu: %s", (unsigned long long)seq, err.message);
    return rig->record;
}

/* -- steps ----------------------------------------------------------------------------------------------- */
static void serve_scan(rig_t *rig, uint64_t scan, uint64_t from, int64_t since_us, size_t max_bytes)
{
    core_input_t input = {.kind = CORE_IN_SCANNED, .scanned = {.scan = scan}};
    while (since_us && from <= rig->records && (from == 0 || rig_record(rig, from)->ingest_us < since_us))
        from++;
    size_t bytes = 0;
    uint64_t seq = from;
    for (; seq <= rig->records && bytes < max_bytes; seq++) {
        input.scanned.record = rig_record(rig, seq);
        bytes += rig->record->publish.body.len;
        core_step(rig->core, rig->now_us, &input, &rig->out);
    }
    input.scanned.record = NULL;
    input.scanned.next = seq;
    input.scanned.end = seq > rig->records;
    core_step(rig->core, rig->now_us, &input, &rig->out);
}

/* From the journal alone, a few events at a time. */
static void serve_replay(rig_t *rig, uint64_t scan, uint64_t from, int64_t since_us)
{
    core_input_t input = {.kind = CORE_IN_REPLAYED, .more = true, .is_full = rig->is_full, .scanned = {.scan = scan}};
    size_t events = 0;
    uint64_t seq = from ? from : 1;
    while (!from && seq <= rig->records && rig_record(rig, seq)->ingest_us < since_us)
        seq++;
    for (; !rig->replay_broken && seq <= rig->records && core_replay_goes_on(rig->core, scan); seq++) {
        input.scanned.record = rig_record(rig, seq);
        if (rig->record->kind != RECORD_PUBLISH)
            continue;
        if (rig->replay_events && events++ == rig->replay_events)
            break;
        core_step(rig->core, rig->now_us, &input, &rig->out);
    }
    input.more = false;
    input.scanned.record = NULL;
    input.scanned.next = seq;
    input.scanned.end = seq > rig->records;
    input.scanned.broken = rig->replay_broken;
    core_step(rig->core, rig->now_us, &input, &rig->out);
}

static void after_step(rig_t *rig)
{
    journal_take(rig);
    for (; rig->scanned < rig->out.out_count; rig->scanned++) {
        const core_out_t out = rig->out.outs[rig->scanned];
        if (out.kind == CORE_OUT_SCAN)
            serve_scan(rig, out.scan.scan, out.scan.from, out.scan.since_us, out.scan.max_bytes);
        if (out.kind == CORE_OUT_REPLAY)
            serve_replay(rig, out.scan.scan, out.scan.from, out.scan.since_us);
        journal_take(rig);
    }
}

static void forget(rig_t *rig)
{
    core_effects_clear(&rig->out);
    rig->scanned = 0;
    rig->taken = 0;
}

static void step(rig_t *rig, const core_input_t *given)
{
    core_input_t input = *given;
    input.is_full = rig->is_full;
    core_step(rig->core, rig->now_us, &input, &rig->out);
    after_step(rig);
}

void rig_send(rig_t *rig, uint64_t peer, wire_verb_t verb, uint64_t seq, const void *values)
{
    buf_t frame = {0};
    error_t err = {0};
    wire_encode_verb(&frame, verb, seq, values);
    if (!wire_decode(buf_bytes(&frame), rig->in, &err))
        fail_msg("%s: %s", wire_verb_name(verb), err.message);
    random_t random = {rig->random++};
    const core_input_t input = {
        .kind = CORE_IN_FRAME,
        .peer = peer,
        .role = rig->role,
        .msg = rig->in,
        .frame_bytes = frame.len,
        .more = rig->more,
        .random = {random_u64(&random), random_u64(&random)},
    };
    forget(rig);
    step(rig, &input);
    buf_free(&frame);
}

void rig_gone(rig_t *rig, uint64_t peer)
{
    forget(rig);
    step(rig, &(core_input_t){.kind = CORE_IN_GONE, .peer = peer});
}

void rig_sleep(rig_t *rig, int64_t us)
{
    int64_t until_us = rig->now_us + us;
    forget(rig);
    for (int rounds = 0; core_next_deadline_us(rig->core) <= until_us; rounds++) {
        int64_t due_us = core_next_deadline_us(rig->core);
        if (due_us > rig->now_us)
            rig->now_us = due_us;
        step(rig, &(core_input_t){.kind = CORE_IN_TIMER});
        if (rounds > 1000000)
            fail_msg("a timer never goes away");
    }
    rig->now_us = until_us;
    step(rig, &(core_input_t){.kind = CORE_IN_TIMER});
}

const char *rig_try_topology(rig_t *rig, const char *json)
{
    static char why[512];
    char sha256[SHA256_HEX_BYTES];
    why[0] = '\0';
    forget(rig);
    sha256_hex(bytes_cstr(json), sha256);
    step(rig, &(core_input_t){.kind = CORE_IN_TOPOLOGY, .topology = {.json = bytes_cstr(json), .sha256 = sha256}});
    for (size_t i = 0; i < rig->out.out_count; i++) {
        const core_out_t *out = &rig->out.outs[i];
        if (out->kind == CORE_OUT_LOG && out->log.level == LOG_ERROR)
            (void)bytes_to_cstr(bytes_from(rig->out.bytes.data + out->log.at, out->log.len), why, sizeof why);
    }
    return why;
}

void rig_topology(rig_t *rig, const char *json)
{
    assert_string_equal(rig_try_topology(rig, json), "");
}

/* -- snapshots and restarts -------------------------------------------------------------------------------- */
static core_t *core_of_snapshot(const rig_t *rig, bytes_t snapshot)
{
    error_t err = {0};
    core_t *core = core_new(&rig->config, &err);
    snapshot_load_t *load = core ? snapshot_load_new(core, &err) : NULL;
    assert_non_null(load);
    if (snapshot.len && !(snapshot_load_slice(load, snapshot, &err) && snapshot_load_end(load, &err)))
        fail_msg("a snapshot of ours: %s", err.message);
    snapshot_load_free(&load);
    return core;
}

static void apply_from(rig_t *rig, core_t *core, uint64_t seq)
{
    for (; seq <= rig->records; seq++) {
        error_t err = {0};
        if (!core_apply(core, rig_record(rig, seq), &err))
            fail_msg("%s", err.message);
    }
}

void rig_snapshot(rig_t *rig)
{
    error_t err = {0};
    core_t *shadow = core_of_snapshot(rig, buf_bytes(&rig->snapshot));
    apply_from(rig, shadow, rig->snapshot_records + 1);
    snapshot_save_t *save = snapshot_save_new(shadow, &err);
    assert_non_null(save);
    buf_clear(&rig->snapshot);
    while (snapshot_save_next(save, &rig->snapshot, rig->random % 3 ? 1 : 4096))
        rig->random++;
    assert_false(rig->snapshot.failed);
    snapshot_save_free(&save);
    rig->snapshot_records = rig->records;
    core_t *second = core_of_snapshot(rig, buf_bytes(&rig->snapshot));
    assert_int_equal(core_newest_record(second), rig->records);
    assert_int_equal(core_digest(second), core_digest(shadow));
    core_free(&second);
    core_free(&shadow);
}

static void restart_by_snapshot(rig_t *rig)
{
    core_t *all = core_of_snapshot(rig, BYTES_NONE);
    rig->core = core_of_snapshot(rig, buf_bytes(&rig->snapshot));
    apply_from(rig, all, 1);
    apply_from(rig, rig->core, rig->snapshot_records + 1);
    assert_int_equal(core_digest(rig->core), core_digest(all));
    core_free(&all);
}

void rig_restart(rig_t *rig, uint64_t keep)
{
    if (keep && keep < rig->records) {
        rig->journal.len = rig->offsets[keep];
        rig->records = keep;
    }
    if (rig->snapshot_records > rig->records) {
        buf_clear(&rig->snapshot);
        rig->snapshot_records = 0;
    }
    core_free(&rig->core);
    restart_by_snapshot(rig);
    forget(rig);
    core_start(rig->core, rig->now_us, rig->records + 1, &rig->out);
    after_step(rig);
}

/* -- what came out ----------------------------------------------------------------------------------------- */
const wire_msg_t *rig_take(rig_t *rig, uint64_t peer)
{
    for (; rig->taken < rig->out.out_count; rig->taken++) {
        const core_out_t *out = &rig->out.outs[rig->taken];
        error_t err = {0};
        if (out->kind != CORE_OUT_FRAME || out->peer != peer)
            continue;
        rig->taken++;
        assert_true(out->after <= rig->records);
        if (!wire_decode(bytes_from(rig->out.bytes.data + out->frame.at, out->frame.len), rig->got, &err))
            fail_msg("a frame of ours: %s", err.message);
        return rig->got;
    }
    return NULL;
}

const wire_msg_t *rig_expect(rig_t *rig, uint64_t peer, wire_verb_t verb)
{
    const wire_msg_t *msg = rig_take(rig, peer);
    if (!msg)
        fail_msg("no frame came, %s was expected", wire_verb_name(verb));
    if (msg->verb != verb && msg->verb == WIRE_ERROR)
        fail_msg("ERROR %.*s: %.*s", BYTES_FMT(msg->error.name), BYTES_FMT(msg->error.message));
    assert_string_equal(wire_verb_name(msg->verb), wire_verb_name(verb));
    return msg;
}

const core_out_t *rig_deliver(rig_t *rig, uint64_t peer)
{
    for (; rig->taken < rig->out.out_count; rig->taken++) {
        const core_out_t *out = &rig->out.outs[rig->taken];
        if (out->kind == CORE_OUT_DELIVER && out->peer == peer) {
            rig->taken++;
            return out;
        }
    }
    return NULL;
}

/* -- shorthands -------------------------------------------------------------------------------------------- */
void rig_hello(rig_t *rig, uint64_t peer, const char *name, uint8_t resume[CORE_RESUME_BYTES])
{
    const wire_hello_t hello = {.protocol = WIRE_PROTOCOL, .name = bytes_cstr(name)};
    rig_send(rig, peer, WIRE_HELLO, 1, &hello);
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_WELCOME);
    assert_false(msg->welcome.resumed);
    assert_int_equal(msg->welcome.resume.len, CORE_RESUME_BYTES);
    if (resume)
        memcpy(resume, msg->welcome.resume.data, CORE_RESUME_BYTES);
}

void rig_envelope(buf_t *out, const char *detail_type, uint64_t number)
{
    buf_t detail = {0};
    char id[32];
    error_t err = {0};
    mp_put_map(&detail, 1);
    mp_put_cstr(&detail, "number");
    mp_put_u64(&detail, number);
    (void)snprintf(id, sizeof id, "event-%llu", (unsigned long long)number);
    const envelope_t envelope = {
        .id = bytes_cstr(id),
        .detail_type = bytes_cstr(detail_type),
        .source = BYTES_LIT("test"),
        .time = BYTES_LIT("2026-01-30T20:15:12Z"),
        .detail = buf_bytes(&detail),
    };
    if (!envelope_write(out, &envelope, &err))
        fail_msg("%s", err.message);
    buf_free(&detail);
}

uint64_t rig_publish(rig_t *rig, uint64_t peer, const char *bus, const char *detail_type)
{
    buf_t envelope = {0};
    wire_publish_t *publish = calloc(1, sizeof *publish);
    assert_non_null(publish);
    rig_envelope(&envelope, detail_type, rig->random++);
    publish->bus = bytes_cstr(bus);
    publish->entries.count = 1;
    publish->entries.items[0].body = buf_bytes(&envelope);
    rig_send(rig, peer, WIRE_PUBLISH, 7, publish);
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_PUBLISHED);
    assert_int_equal(msg->published.results.count, 1);
    if (msg->published.results.items[0].status)
        fail_msg("%.*s", BYTES_FMT(msg->published.results.items[0].message));
    free(publish);
    buf_free(&envelope);
    rig->taken = 0;
    return msg->published.results.items[0].record;
}

uint64_t rig_send_message(rig_t *rig, uint64_t peer, const char *queue, const char *text)
{
    buf_t body = {0};
    wire_send_t *send = calloc(1, sizeof *send);
    assert_non_null(send);
    mp_put_cstr(&body, text);
    send->queue = bytes_cstr(queue);
    send->entries.count = 1;
    send->entries.items[0].body = buf_bytes(&body);
    send->entries.items[0].delay_ms = -1;
    rig_send(rig, peer, WIRE_SEND, 8, send);
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_SENT);
    assert_int_equal(msg->sent.results.count, 1);
    if (msg->sent.results.items[0].status)
        fail_msg("%.*s", BYTES_FMT(msg->sent.results.items[0].message));
    free(send);
    buf_free(&body);
    rig->taken = 0;
    return msg->sent.results.items[0].record;
}

static void subscribe(rig_t *rig, uint64_t peer, const wire_subscribe_t *subscribe)
{
    rig_send(rig, peer, WIRE_SUBSCRIBE, 9, subscribe);
    assert_int_equal(rig_expect(rig, peer, WIRE_SUBSCRIBED)->subscribed.sub, subscribe->sub);
}

void rig_subscribe_queue(rig_t *rig, uint64_t peer, uint64_t sub, const char *queue, uint64_t credit)
{
    subscribe(rig, peer,
              &(wire_subscribe_t){.sub = sub,
                                  .kind = WIRE_SUBSCRIBE_QUEUE,
                                  .target = bytes_cstr(queue),
                                  .visibility_ms = -1,
                                  .messages = credit,
                                  .bytes = RIG_CREDIT_BYTES});
}

void rig_subscribe_bus(rig_t *rig, uint64_t peer, uint64_t sub, const char *bus, uint64_t from, uint64_t credit)
{
    subscribe(rig, peer,
              &(wire_subscribe_t){.sub = sub,
                                  .kind = WIRE_SUBSCRIBE_BUS,
                                  .target = bytes_cstr(bus),
                                  .visibility_ms = -1,
                                  .from = from,
                                  .messages = credit,
                                  .bytes = RIG_CREDIT_BYTES});
}

uint64_t rig_settle(rig_t *rig, uint64_t peer, const core_item_t *item, uint64_t action, int64_t delay_ms)
{
    wire_settle_t *settle = calloc(1, sizeof *settle);
    uint8_t receipt[CORE_RECEIPT_BYTES];
    assert_non_null(settle);
    memcpy(receipt, item->receipt, sizeof receipt);
    settle->entries.count = 1;
    settle->entries.items[0] = (wire_settle_entry_t){
        .receipt = bytes_from(receipt, item->receipt_len), .action = action, .delay_ms = delay_ms};
    rig_send(rig, peer, WIRE_SETTLE, 10, settle);
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_SETTLED);
    assert_int_equal(msg->settled.results.count, 1);
    free(settle);
    rig->taken = 0;
    return msg->settled.results.items[0].status;
}
