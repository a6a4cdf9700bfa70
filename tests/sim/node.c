/* node.c: a node's turns and its checkpoints, its birth and its deaths. */
#include "tests/sim/node_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "broker/core/sha256.h"
#include "broker/core/wake.h"
#include "broker/journal/journal_state.h"

#define FRAME_BYTES ((size_t)1 << 20)
#define ARCHIVE_FILE_BYTES 4096
#define ARCHIVE_GROWING_BYTES ((uint64_t)1 << 20) /* of a file that takes in what comes, again and again */
#define ROOM_FACTOR 2
#define MOVES_BYTES 65536 /* as the front's */
#define GATHER_BYTES 700  /* small, so that it comes to that within a turn */

void node_init(node_t *node, uint64_t seed, model_t *model, trace_t *trace, node_bug_t bug)
{
    *node = (node_t){.model = model, .trace = trace, .bug = bug, .disk = fault_disk_new(seed)};
    node->real_io = fault_disk_io(node->disk);
    node_io_init(node);
    node->msg = malloc(sizeof *node->msg);
    node->record = malloc(sizeof *node->record);
    if (!node->msg || !node->record)
        abort();
}

static void parts_free(node_t *node)
{
    checkpoint_free(&node->checkpoint);
    if (node->gate)
        gate_free(&node->gate);
    if (node->deliver)
        deliver_free(&node->deliver);
    core_free(&node->core);
    core_effects_clear(&node->effects);
    node->scan_count = node->replay_count = 0;
    history_free(&node->history);
}

void node_free(node_t *node)
{
    node_crash(node, false, false);
    core_effects_free(&node->effects);
    buf_free(&node->log);
    free(node->log_at);
    fault_disk_free(node->disk);
    free(node->msg);
    free(node->record);
}

/* -- what leaves -------------------------------------------------------------------------------------- */
static void leave(void *ctx, uint64_t peer, bytes_t frame)
{
    node_t *node = ctx;
    node->emit(node->ctx, peer, frame);
}

static void leave_delivery(void *ctx, const deliver_request_t *request)
{
    node_t *node = ctx;
    deliver_compose(node->deliver, request, leave, node);
}

static void put_early(node_t *node, const core_out_t *out)
{
    const deliver_request_t request = {.peer = out->peer,
                                       .verb = out->deliver.verb,
                                       .seq = out->deliver.seq,
                                       .sub = out->deliver.sub,
                                       .items = node->effects.items + out->deliver.first,
                                       .count = out->deliver.count,
                                       .extras = node->effects.bytes.data};
    leave_delivery(node, &request);
}

static void put(node_t *node, const core_out_t *out)
{
    uint64_t synced = node->bug == BUG_ANSWER_EARLY ? UINT64_MAX : journal_synced(node->journal);
    if (node->bug == BUG_DELIVER_EARLY && out->kind == CORE_OUT_DELIVER)
        put_early(node, out);
    else
        gate_put(node->gate, out, &node->effects, synced);
}

static void dispatch(node_t *node, const core_out_t *out)
{
    if (out->kind == CORE_OUT_LOG) {
        trace_note(node->trace, "broker: %.*s", (int)out->log.len,
                   (const char *)node->effects.bytes.data + out->log.at);
        return;
    }
    if (out->kind == CORE_OUT_REPLAY) {
        if (node->replay_count == NODE_REPLAYS)
            abort(); /* one for each that runs, and those that were paused meanwhile */
        node->replays[node->replay_count++] = *out;
        return;
    }
    if (out->kind != CORE_OUT_SCAN) {
        put(node, out);
        return;
    }
    if (node->scan_count == NODE_SCANS)
        abort(); /* one for each subscription at most */
    node->scans[node->scan_count++] = *out;
}

static bool append_one(node_t *node, bytes_t raw)
{
    error_t err = {0};
    if (!record_decode(raw, node->record, &err))
        return trace_violated(node->trace, "the core wrote what is no record: %s", err.message);
    if (!model_fold(node->model, node->record, crc32c(0, raw.data, raw.len)))
        return false;
    node_log_note(node, raw);
    node->wakes += wake_notes(node->record);
    trace_note(node->trace, "record %llu %s", (unsigned long long)node->record->seq,
               record_kind_name((uint64_t)node->record->kind));
    if (journal_append(node->journal, raw, &err))
        return true;
    node->has_failed = true;
    trace_note(node->trace, "broker: stops, the journal took no record: %s", err.message);
    return false;
}

static bool append_records(node_t *node)
{
    bytes_t left = buf_bytes(&node->effects.records);
    while (left.len > 0) {
        uint32_t length;
        uint64_t seq;
        int64_t ingest_us;
        if (!record_peek(left, &length, &seq, &ingest_us) || length > left.len)
            return trace_violated(node->trace, "the core wrote what is no record");
        if (!append_one(node, bytes_from(left.data, length)))
            return false;
        left = bytes_from(left.data + length, left.len - length);
    }
    return true;
}

static void act(node_t *node)
{
    if (append_records(node))
        for (size_t i = 0; i < node->effects.out_count; i++)
            dispatch(node, &node->effects.outs[i]);
    core_effects_clear(&node->effects);
}

/* Between two frames of a turn, as broker/front_turn.c does. */
static void advance(node_t *node)
{
    error_t err = {0};
    if (node->effects.records.len >= GATHER_BYTES)
        act(node);
    if (!node_is_up(node))
        return;
    if (!journal_advance(node->journal, GATHER_BYTES, &err)) {
        node->has_failed = true;
        trace_note(node->trace, "broker: stops, the journal cannot write: %s", err.message);
        return;
    }
    gate_flush(node->gate, journal_synced(node->journal));
}

bool node_is_writing(const node_t *node)
{
    return node->by_hand && node->journal->committing;
}

void node_write(node_t *node)
{
    error_t err = {0};
    if (!node_is_up(node))
        return;
    node->overlaps += node->journal->gathering;
    (void)journal_work(node->journal);
    if (journal_poll(node->journal, &err)) {
        gate_flush(node->gate, journal_synced(node->journal));
        return;
    }
    node->has_failed = true;
    trace_note(node->trace, "broker: stops, the journal cannot write: %s", err.message);
}

void node_commit(node_t *node)
{
    error_t err = {0};
    if (!node_is_up(node))
        return;
    if (journal_commit(node->journal, &err)) {
        gate_flush(node->gate, journal_synced(node->journal));
        return;
    }
    node->has_failed = true;
    trace_note(node->trace, "broker: stops, the journal cannot write: %s", err.message);
}

void node_idle(node_t *node)
{
    error_t err = {0};
    if (node_is_up(node) && !journal_idle(node->journal, &err))
        node->has_failed = true;
}

bool node_has_pending(const node_t *node)
{
    journal_stats_t stats;
    journal_stats(node->journal, &stats);
    return stats.pending_records > 0;
}

/* -- what arrives ------------------------------------------------------------------------------------- */
static void check(node_t *node)
{
    error_t err;
    if (!core_check(node->core, &err))
        (void)trace_violated(node->trace, "the core's own recount: %s", err.message);
}

static void step(node_t *node, int64_t now_us, const core_input_t *given)
{
    core_input_t input = *given;
    input.is_full = core_moves(node->core, now_us) && !journal_has_room(node->journal, MOVES_BYTES);
    core_step(node->core, now_us, &input, &node->effects);
    if (input.more) {
        advance(node);
        return;
    }
    act(node);
    if (!node_is_up(node) || !trace_is_good(node->trace))
        return;
    check(node);
    (void)!model_compare(node->model, node->core, now_us);
}

/* As the front does: what is taken in needs room for itself and for what will end it. */
static bool has_room(node_t *node, uint64_t peer, size_t bytes)
{
    bool takes_in = node->msg->verb == WIRE_PUBLISH || node->msg->verb == WIRE_SEND;
    if (!takes_in || journal_has_room(node->journal, ROOM_FACTOR * bytes))
        return true;
    buf_t out = {0};
    wire_encode_verb(&out, WIRE_ERROR, node->msg->seq,
                     &(wire_error_t){.status = STATUS_RESOURCE_EXHAUSTED, .name = BYTES_LIT("DISK_FULL")});
    leave(node, peer, buf_bytes(&out));
    buf_free(&out);
    node->refused_full++;
    return false;
}

void node_frame(node_t *node, int64_t now_us, uint64_t peer, bytes_t frame, uint64_t random)
{
    error_t err = {0};
    core_input_t input = {.kind = CORE_IN_FRAME,
                          .peer = peer,
                          .role = role_all(),
                          .msg = node->msg,
                          .frame_bytes = frame.len,
                          .more = true,
                          .random = {random, ~random}};
    if (!node_is_up(node))
        return;
    if (!wire_decode(frame, node->msg, &err)) {
        (void)trace_violated(node->trace, "a client's frame does not decode: %s", err.message);
        return;
    }
    if (!has_room(node, peer, frame.len))
        return;
    if (node->msg->verb == WIRE_SETTLE)
        model_ask(node->model, &node->msg->settle);
    step(node, now_us, &input);
}

void node_turn(node_t *node, int64_t now_us, unsigned frames)
{
    node->turns += frames > 1;
    if (node_is_up(node))
        step(node, now_us, &(core_input_t){.kind = CORE_IN_TIMER});
}

void node_gone(node_t *node, int64_t now_us, uint64_t peer)
{
    step(node, now_us, &(core_input_t){.kind = CORE_IN_GONE, .peer = peer});
}

void node_timer(node_t *node, int64_t now_us)
{
    step(node, now_us, &(core_input_t){.kind = CORE_IN_TIMER});
}

typedef struct {
    node_t *node;
    uint64_t scan;
    int64_t now_us;
} slice_t;

static bool feed(void *ctx, const record_t *record, bytes_t raw UNUSED, error_t *err UNUSED)
{
    const slice_t *slice = ctx;
    const core_input_t input = {.kind = CORE_IN_SCANNED, .scanned = {.scan = slice->scan, .record = record}};
    core_step(slice->node->core, slice->now_us, &input, &slice->node->effects);
    return true;
}

void node_scan(node_t *node, int64_t now_us)
{
    error_t err = {0};
    core_out_t out = node->scans[0];
    memmove(node->scans, node->scans + 1, --node->scan_count * sizeof *node->scans);
    slice_t slice = {node, out.scan.scan, now_us};
    uint64_t oldest = journal_first_seq(node->journal), next = out.scan.from < oldest ? oldest : out.scan.from;
    if (next < journal_next_seq(node->journal) &&
        !journal_scan(node->journal, next, out.scan.max_bytes, feed, &slice, &next, &err)) {
        node->has_failed = true;
        return;
    }
    core_input_t input = {.kind = CORE_IN_SCANNED, .scanned = {.scan = out.scan.scan, .next = next}};
    input.scanned.end = next >= journal_next_seq(node->journal);
    step(node, now_us, &input);
}

/* -- replays ------------------------------------------------------------------------------------------ */
static bool feed_replay(void *ctx, const record_t *record)
{
    const slice_t *slice = ctx;
    node_t *node = slice->node;
    const core_input_t input = {.kind = CORE_IN_REPLAYED,
                                .more = true,
                                .is_full = !journal_has_room(node->journal, MOVES_BYTES),
                                .scanned = {.scan = slice->scan, .record = record}};
    if (!core_replay_goes_on(node->core, slice->scan))
        return false;
    core_step(node->core, slice->now_us, &input, &node->effects);
    return core_replay_goes_on(node->core, slice->scan);
}

void node_replay(node_t *node, int64_t now_us, size_t max_bytes)
{
    error_t err = {0};
    core_replay_source_t wanted;
    core_out_t out = node->replays[0];
    memmove(node->replays, node->replays + 1, --node->replay_count * sizeof *node->replays);
    slice_t slice = {node, out.scan.scan, now_us};
    core_input_t input = {.kind = CORE_IN_REPLAYED, .scanned = {.scan = out.scan.scan, .next = out.scan.from}};
    if (!core_replay_source(node->core, out.scan.scan, &wanted))
        return;
    const history_source_t source = {wanted.archive, wanted.ids, wanted.id_count};
    if (!history_read(node->history, &source, out.scan.from ? out.scan.from : 1, max_bytes, feed_replay, &slice,
                      &input.scanned.next, &err)) {
        if (!fault_disk_struck(node->disk))
            (void)trace_violated(node->trace, "a replay cannot be read: %s", err.message);
        node->has_failed = true; /* of a disk that is not there any more */
        return;
    }
    input.scanned.end = input.scanned.next >= journal_next_seq(node->journal);
    step(node, now_us, &input);
}

/* -- birth -------------------------------------------------------------------------------------------- */
static void give_topology(node_t *node, int64_t now_us, int which)
{
    char sha256[SHA256_HEX_BYTES];
    core_input_t input = {.kind = CORE_IN_TOPOLOGY};
    input.topology.json = bytes_cstr(model_topology(which));
    sha256_hex(input.topology.json, sha256);
    input.topology.sha256 = sha256;
    step(node, now_us, &input);
}

static void recover_failed(node_t *node)
{
    /* It knows less than was written: the next life is held against all of it. */
    node->model->log.count = 0;
    for (size_t i = 0; i < node->model->before.count; i++)
        node->model->log.items[node->model->log.count++] = node->model->before.items[i];
    parts_free(node);
}

bool node_start(node_t *node, int64_t now_us, int topology)
{
    const gate_sink_t sink = {.frame = leave, .deliver = leave_delivery, .ctx = node};
    if (!node_recover(node)) {
        recover_failed(node);
        return false;
    }
    trace_note(node->trace, "broker: life %llu, %llu records", (unsigned long long)node->lives,
               (unsigned long long)model_newest(node->model));
    node->started_us = now_us;
    node_mistake_in_start(node, now_us);
    node->gate = gate_new(&sink);
    node->deliver = deliver_new(node->core, node->journal, FRAME_BYTES);
    node->history = history_new(node->journal);
    if (!node->gate || !node->deliver || !node->history)
        abort();
    core_start(node->core, now_us, journal_next_seq(node->journal), &node->effects);
    act(node); /* what came due meanwhile is the first step's business */
    if (node_is_up(node))
        give_topology(node, now_us, topology);
    node_commit(node);
    return trace_is_good(node->trace);
}

/* -- death -------------------------------------------------------------------------------------------- */
void node_crash(node_t *node, bool power, bool harsh)
{
    error_t err = {0};
    fault_disk_arm(node->disk, FAULT_DEAD, 0, EIO); /* a process that is gone writes nothing more */
    if (node->journal)
        (void)!journal_close(&node->journal, &err);
    if (power)
        fault_disk_cut_power(node->disk, harsh);
    else
        fault_disk_kill(node->disk);
    parts_free(node);
    node->has_failed = false;
}

bool node_stop(node_t *node, int64_t now_us)
{
    error_t err = {0};
    step(node, now_us, &(core_input_t){.kind = CORE_IN_STOP});
    node_commit(node);
    if (node->has_failed || !journal_close(&node->journal, &err)) {
        node_crash(node, true, false);
        return false;
    }
    model_witness(node->model, model_newest(node->model)); /* nothing is lost by a clean stop */
    parts_free(node);
    return true;
}

/* -- checkpoints ---------------------------------------------------------------------------------------- */
static void checkpoint_over(node_t *node, checkpoint_state_t state)
{
    const error_t *why = checkpoint_error(node->checkpoint);
    node->snapshots += state == CHECKPOINT_DONE;
    node->given_up += state == CHECKPOINT_GIVEN_UP;
    if (state == CHECKPOINT_DONE) {
        distil_stats_t distilled;
        checkpoint_distilled(node->checkpoint, &distilled);
        node->archived += distilled.events;
    }
    if (state == CHECKPOINT_BROKEN) {
        journal_checkpoint_broke(node->journal, why);
        node->has_failed = true;
    }
    if (state != CHECKPOINT_DONE)
        trace_note(node->trace, "broker: no snapshot: %s", why->message);
    if (state == CHECKPOINT_BROKEN && !fault_disk_struck(node->disk))
        (void)trace_violated(node->trace, "a checkpoint failed on a disk without faults: %s", why->message);
    checkpoint_free(&node->checkpoint);
}

static void checkpoint_start(node_t *node, uint64_t retain_bytes)
{
    error_t err = {0};
    const checkpoint_options_t options = {
        .core = node_core_config("shadow"),
        .retain = {.bytes = retain_bytes, .since_us = INT64_MAX, .from_seq = core_oldest_followed(node->core)},
        .archive_file_bytes = node->lives % 2 ? ARCHIVE_GROWING_BYTES : ARCHIVE_FILE_BYTES};
    node->checkpoint = checkpoint_begin(node->journal, &options, &err);
    if (!node->checkpoint && err.code != STATUS_OK)
        abort(); /* out of memory */
    if (node->checkpoint)
        trace_note(node->trace, "broker: a snapshot begins");
}

void node_checkpoint(node_t *node, size_t max_bytes, uint64_t retain_bytes)
{
    error_t err = {0};
    if (!node_is_up(node))
        return;
    if (!node->checkpoint) {
        checkpoint_start(node, retain_bytes);
        return;
    }
    checkpoint_state_t state = checkpoint_step(node->checkpoint, max_bytes);
    core_t *core = checkpoint_core(node->checkpoint);
    if (core)
        node_mistake_in_snapshot(node, core);
    if (state == CHECKPOINT_READY) {
        trace_note(node->trace, "broker: a snapshot is taken");
        if (!checkpoint_adopt(node->checkpoint, node->journal, &err))
            checkpoint_over(node, CHECKPOINT_BROKEN);
        history_changed(node->history);
        node->released = journal_first_seq(node->journal);
    } else if (state != CHECKPOINT_WORKING) {
        checkpoint_over(node, state);
    }
}
