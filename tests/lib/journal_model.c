/* journal_model.c: records folded into plain arrays, searched from end to end. */
#include "tests/lib/journal_model.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "broker/core/map.h"

/* -- the account ----------------------------------------------------------------------------------------------- */
uint64_t journal_model_alive(rig_t *rig)
{
    uint64_t alive = 0;
    for (uint64_t seq = 1; seq <= rig->records; seq++) {
        const record_t *r = rig_record(rig, seq);
        if (r->kind == RECORD_PUBLISH)
            alive += r->publish.routes.count;
        else if (r->kind == RECORD_SEND)
            alive += !r->send.duplicate;
        else if (r->kind == RECORD_SCHEDULE)
            alive += r->schedule.queue != 0;
        else if (r->kind == RECORD_MOVE && !r->move.to)
            alive--;
        else if (r->kind == RECORD_PURGE)
            alive -= r->purge.count;
        for (uint32_t i = 0; r->kind == RECORD_SETTLED && i < r->settled.entries.count; i++)
            alive -= r->settled.entries.items[i].action == WIRE_ACK;
    }
    return alive;
}

/* -- the order of groups ----------------------------------------------------------------------------------------- */
#define FIFO_MESSAGES 16384
typedef struct {
    uint64_t queue, record; /* 0: none */
    uint32_t group;         /* hash */
    bool was_received, is_held;
    int64_t visible_us;
    uint64_t delivery, session; /* newest: its record; who holds it */
} fifo_model_t;

typedef struct {
    fifo_model_t *all;
    size_t count;
    uint64_t is_fifo; /* bit by incarnation */
    uint64_t out_of_turn_checks;
} fifo_world_t;

static fifo_model_t *model_find(fifo_world_t *w, uint64_t queue, uint64_t record)
{
    for (size_t i = 0; i < w->count; i++)
        if (w->all[i].queue == queue && w->all[i].record == record)
            return &w->all[i];
    return NULL;
}

static bool model_is_fifo(const fifo_world_t *w, uint64_t queue)
{
    return queue < 64 && (w->is_fifo >> queue & 1);
}

static void model_add(fifo_world_t *w, uint64_t queue, uint64_t record, bytes_t group, int64_t visible_us)
{
    if (!model_is_fifo(w, queue))
        return;
    assert_true(w->count < FIFO_MESSAGES);
    w->all[w->count++] =
        (fifo_model_t){.queue = queue, .record = record, .group = map_hash_bytes(group), .visible_us = visible_us};
}

static void model_drop(fifo_world_t *w, uint64_t queue, uint64_t record)
{
    fifo_model_t *m = model_find(w, queue, record);
    if (m)
        *m = w->all[--w->count];
}

/* What was sent before it in its group must have left, be on its way in the same delivery, or be delayed since
 * it was sent: in order, and nobody passes what was received. */
static void model_deliver(fifo_world_t *w, const record_delivered_entry_t *e, const record_t *r)
{
    fifo_model_t *m = model_find(w, e->queue, e->record);
    if (!model_is_fifo(w, e->queue))
        return;
    assert_non_null(m);
    assert_false(m->is_held);
    for (size_t i = 0; i < w->count; i++) {
        const fifo_model_t *other = &w->all[i];
        if (other->queue != m->queue || other->group != m->group || other->record >= m->record)
            continue;
        w->out_of_turn_checks++;
        bool is_together = other->is_held && other->delivery == r->seq;
        bool is_delayed = !other->was_received && other->visible_us > r->ingest_us;
        if (!is_together && !is_delayed)
            fail_msg("record %llu was delivered before %llu of its group", (unsigned long long)m->record,
                     (unsigned long long)other->record);
    }
    m->is_held = m->was_received = true;
    m->delivery = r->seq;
    m->session = e->session;
}

static void model_settle(fifo_world_t *w, const record_settled_entry_t *e)
{
    fifo_model_t *m = model_find(w, e->queue, e->record);
    if (!m)
        return;
    if (e->action == WIRE_ACK)
        model_drop(w, e->queue, e->record);
    else if (e->action == WIRE_RELEASE)
        m->is_held = false;
}

static void model_queue(fifo_world_t *w, bytes_t name, uint64_t op, uint64_t queue)
{
    if (op == 1 && name.len > 5 && memcmp(name.data + name.len - 5, ".fifo", 5) == 0)
        w->is_fifo |= UINT64_C(1) << queue;
}

static void model_topology(fifo_world_t *w, const record_topology_t *topology)
{
    mp_reader_t r;
    record_queue_op_t op;
    for (uint32_t left = record_queue_ops(topology, &r); left > 0; left--) {
        assert_true(record_queue_op(&r, &op));
        model_queue(w, op.name, op.op, op.queue);
    }
}

static void model_record(fifo_world_t *w, const record_t *r)
{
    if (r->kind == RECORD_QUEUE)
        model_queue(w, r->queue.name, r->queue.op, r->queue.queue);
    if (r->kind == RECORD_TOPOLOGY)
        model_topology(w, &r->topology);
    if (r->kind == RECORD_SEND && !r->send.duplicate)
        model_add(w, r->send.queue, r->seq, r->send.group, r->send.visible_us);
    if (r->kind == RECORD_SCHEDULE && r->schedule.queue)
        model_add(w, r->schedule.queue, r->seq, r->schedule.group, r->schedule.visible_us);
    for (uint32_t i = 0; r->kind == RECORD_PUBLISH && i < r->publish.routes.count; i++)
        model_add(w, r->publish.routes.items[i].queue, r->seq, r->publish.routes.items[i].group,
                  r->publish.routes.items[i].visible_us);
    for (uint32_t i = 0; r->kind == RECORD_DELIVERED && i < r->delivered.entries.count; i++)
        model_deliver(w, &r->delivered.entries.items[i], r);
    /* what a session held returns with its end, without a word for each */
    for (size_t i = 0; r->kind == RECORD_SESSION && r->session.ended && i < w->count; i++)
        if (w->all[i].is_held && w->all[i].session == r->session.session)
            w->all[i].is_held = false;
    for (uint32_t i = 0; r->kind == RECORD_SETTLED && i < r->settled.entries.count; i++)
        model_settle(w, &r->settled.entries.items[i]);
    if (r->kind == RECORD_MOVE) {
        model_drop(w, r->move.from, r->move.record);
        if (r->move.to)
            model_add(w, r->move.to, r->seq, r->move.group, 0);
    }
    for (size_t i = 0; r->kind == RECORD_PURGE && i < w->count;)
        if (w->all[i].queue == r->purge.queue)
            w->all[i] = w->all[--w->count];
        else
            i++;
}

uint64_t journal_model_fifo_checks(rig_t *rig)
{
    fifo_world_t w = {.all = calloc(FIFO_MESSAGES, sizeof *w.all)};
    assert_non_null(w.all);
    for (uint64_t seq = 1; seq <= rig->records; seq++)
        model_record(&w, rig_record(rig, seq));
    free(w.all);
    return w.out_of_turn_checks;
}
