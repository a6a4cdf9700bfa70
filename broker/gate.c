/* gate.c: one queue, and two counters a peer that say what may not be overtaken. */
#include "broker/gate.h"

#include <stdlib.h>

/* Peers share counters by the low bits of their number. Sharing makes a frame wait that need not, never the other
 * way round; libzmq numbers connections one after the other, so few share. */
#define COUNTERS 4096

#define CHUNK_BYTES ((size_t)64 << 10)

/* What waits stands in chunks, because it leaves in the order in which it came: one allocation for hundreds. */
typedef struct {
    size_t bytes, used; /* of data */
    size_t count;       /* that wait in it */
    uint64_t data[];
} chunk_t;

typedef struct waiting {
    struct waiting *next;
    chunk_t *chunk;
    uint64_t after;
    bool is_frame, is_welcome;
    size_t frame_bytes;
    deliver_request_t request; /* peer always; the rest unless is_frame */
    uint64_t data[];           /* the frame; or items and extras */
} waiting_t;

struct gate {
    gate_sink_t sink;
    waiting_t *head, **tail;
    size_t count;
    chunk_t *chunk; /* where the next goes; NULL before the first */
    chunk_t *spare; /* one that was emptied, of CHUNK_BYTES; or NULL */
    uint32_t waiting[COUNTERS], welcomes[COUNTERS];
};

gate_t *gate_new(const gate_sink_t *sink)
{
    gate_t *o = calloc(1, sizeof *o);
    if (!o)
        return NULL;
    o->sink = *sink;
    o->tail = &o->head;
    return o;
}

/* -- memory -------------------------------------------------------------------------------------- */
static void chunk_drop(gate_t *o, chunk_t *chunk)
{
    if (o->spare || chunk->bytes != CHUNK_BYTES) {
        free(chunk);
        return;
    }
    chunk->used = 0;
    o->spare = chunk;
}

/* Out of memory here would lose an acknowledged frame; the journal makes the process whole again. */
static chunk_t *chunk_new(size_t bytes)
{
    chunk_t *chunk = malloc(sizeof *chunk + bytes);
    if (!chunk)
        abort();
    *chunk = (chunk_t){.bytes = bytes};
    return chunk;
}

static void chunk_next(gate_t *o, size_t bytes)
{
    chunk_t *full = o->chunk;
    if (o->spare && bytes <= CHUNK_BYTES) {
        o->chunk = o->spare;
        o->spare = NULL;
    } else {
        o->chunk = chunk_new(bytes < CHUNK_BYTES ? CHUNK_BYTES : bytes);
    }
    if (full && full->count == 0)
        chunk_drop(o, full);
}

static waiting_t *waiting_take(gate_t *o, size_t bytes)
{
    bytes = (bytes + sizeof(uint64_t) - 1) & ~(sizeof(uint64_t) - 1);
    if (!o->chunk || o->chunk->bytes - o->chunk->used < bytes)
        chunk_next(o, bytes);
    chunk_t *chunk = o->chunk;
    waiting_t *w = (waiting_t *)(void *)((uint8_t *)chunk->data + chunk->used);
    chunk->used += bytes;
    chunk->count++;
    w->chunk = chunk;
    return w;
}

static void waiting_give(gate_t *o, const waiting_t *w)
{
    chunk_t *chunk = w->chunk;
    if (--chunk->count > 0)
        return;
    chunk->used = 0;
    if (chunk != o->chunk)
        chunk_drop(o, chunk);
}

void gate_free(gate_t **gate)
{
    gate_t *o = *gate;
    *gate = NULL;
    if (!o)
        return;
    while (o->head) {
        const waiting_t *w = o->head;
        o->head = w->next;
        waiting_give(o, w);
    }
    free(o->chunk);
    free(o->spare);
    free(o);
}

size_t gate_count(const gate_t *gate)
{
    return gate->count;
}

/* -- what may overtake --------------------------------------------------------------------------- */
static bool overtakes(uint64_t verb)
{
    switch (verb) {
    case WIRE_CALL:
    case WIRE_REPLY:
    case WIRE_REPLY_CREDIT:
    case WIRE_CANCEL:
    case WIRE_PING:
    case WIRE_PONG:
        return true;
    default:
        return false;
    }
}

static bool must_wait(const gate_t *o, uint64_t peer, uint64_t after, uint64_t verb, uint64_t synced)
{
    size_t at = peer % COUNTERS;
    if (after > synced)
        return true;
    return after == 0 && overtakes(verb) ? o->welcomes[at] > 0 : o->waiting[at] > 0;
}

/* -- waiting ------------------------------------------------------------------------------------- */
static void enqueue(gate_t *o, waiting_t *w)
{
    size_t at = w->request.peer % COUNTERS;
    *o->tail = w;
    o->tail = &w->next;
    o->count++;
    o->waiting[at]++;
    o->welcomes[at] += w->is_welcome;
}

static waiting_t *waiting_new(gate_t *o, const core_out_t *out, size_t data_bytes)
{
    waiting_t *w = waiting_take(o, sizeof *w + data_bytes);
    *w = (waiting_t){.chunk = w->chunk, .after = out->after, .request = {.peer = out->peer}};
    return w;
}

static deliver_request_t request_of(const core_out_t *out, const core_effects_t *effects)
{
    return (deliver_request_t){
        .peer = out->peer,
        .verb = out->deliver.verb,
        .seq = out->deliver.seq,
        .sub = out->deliver.sub,
        .items = effects->items + out->deliver.first,
        .count = out->deliver.count,
        .extras = effects->bytes.data,
        .digests = out->deliver.digests,
        .select = out->deliver.select_len
                      ? bytes_from(effects->bytes.data + out->deliver.select_at, out->deliver.select_len)
                      : BYTES_NONE};
}

static void wait_with_frame(gate_t *o, const core_out_t *out, bytes_t frame, bool is_welcome)
{
    waiting_t *w = waiting_new(o, out, frame.len);
    w->is_frame = true;
    w->is_welcome = is_welcome;
    w->frame_bytes = frame.len;
    memcpy(w->data, frame.data, frame.len);
    enqueue(o, w);
}

static void wait_with_items(gate_t *o, const core_out_t *out, const core_effects_t *effects)
{
    deliver_request_t from = request_of(out, effects);
    size_t extra_bytes = 0, items_bytes = from.count * sizeof *from.items;
    for (size_t i = 0; i < from.count; i++)
        extra_bytes += from.items[i].extra_len;
    waiting_t *w = waiting_new(o, out, items_bytes + extra_bytes + from.select.len);
    core_item_t *items = (core_item_t *)w->data;
    uint8_t *extras = (uint8_t *)w->data + items_bytes;
    uint32_t at = 0;
    for (size_t i = 0; i < from.count; i++) {
        items[i] = from.items[i];
        items[i].extra_at = at;
        if (items[i].extra_len > 0)
            memcpy(extras + at, from.extras + from.items[i].extra_at, items[i].extra_len);
        at += items[i].extra_len;
    }
    w->request = from;
    w->request.items = items;
    w->request.extras = extras;
    w->request.select = bytes_from(extras + extra_bytes, from.select.len);
    if (from.select.len > 0)
        memcpy(extras + extra_bytes, from.select.data, from.select.len);
    enqueue(o, w);
}

/* -- in and out ---------------------------------------------------------------------------------- */
static void put_frame(gate_t *o, const core_out_t *out, const core_effects_t *effects, uint64_t synced)
{
    bytes_t frame = bytes_from(effects->bytes.data + out->frame.at, out->frame.len);
    uint64_t verb = 0, seq = 0;
    bool known = wire_peek(frame, &verb, &seq);
    if (must_wait(o, out->peer, out->after, known ? verb : 0, synced))
        wait_with_frame(o, out, frame, verb == WIRE_WELCOME);
    else
        o->sink.frame(o->sink.ctx, out->peer, frame);
}

void gate_put(gate_t *gate, const core_out_t *out, const core_effects_t *effects, uint64_t synced)
{
    if (out->kind == CORE_OUT_FRAME) {
        put_frame(gate, out, effects, synced);
    } else if (must_wait(gate, out->peer, out->after, (uint64_t)out->deliver.verb, synced)) {
        wait_with_items(gate, out, effects);
    } else {
        deliver_request_t request = request_of(out, effects);
        gate->sink.deliver(gate->sink.ctx, &request);
    }
}

static waiting_t *dequeue(gate_t *o)
{
    waiting_t *w = o->head;
    size_t at = w->request.peer % COUNTERS;
    o->head = w->next;
    if (!o->head)
        o->tail = &o->head;
    o->count--;
    o->waiting[at]--;
    o->welcomes[at] -= w->is_welcome;
    return w;
}

void gate_flush(gate_t *gate, uint64_t synced)
{
    while (gate->head && gate->head->after <= synced) {
        waiting_t *w = dequeue(gate);
        if (w->is_frame)
            gate->sink.frame(gate->sink.ctx, w->request.peer, bytes_from(w->data, w->frame_bytes));
        else
            gate->sink.deliver(gate->sink.ctx, &w->request);
        waiting_give(gate, w);
    }
}
