/* client_consume.c: consumers that take their time, change their mind and forget, and the watcher of a bus. */
#include <stdio.h>

#include "proto/msgpack.h"
#include "tests/sim/sim.h"

#define LATE_US 2000000
#define CREDIT_BYTES ((uint64_t)1 << 20)

/* -- queues ------------------------------------------------------------------------------------------ */
static void put_settle(client_t *client, settle_op_t *op)
{
    wire_settle_t *s = &client->sim->out->settle;
    op->frame_seq = ++client->seq;
    s->entries.count = op->count;
    for (uint32_t i = 0; i < op->count; i++)
        s->entries.items[i] = (wire_settle_entry_t){.receipt = bytes_from(op->choices[i].receipt, CORE_RECEIPT_BYTES),
                                                    .action = op->choices[i].action,
                                                    .delay_ms = op->choices[i].delay_ms,
                                                    .reason = BYTES_LIT("no")};
    client_send(client, WIRE_SETTLE, op->frame_seq, s);
}

static void subscribe_queue(client_t *client, uint64_t sub, int queue, uint64_t credit)
{
    client_send(client, WIRE_SUBSCRIBE, ++client->seq,
                &(wire_subscribe_t){.sub = sub,
                                    .kind = WIRE_SUBSCRIBE_QUEUE,
                                    .target = bytes_cstr(model_rules[queue].name),
                                    .visibility_ms = -1,
                                    .messages = credit,
                                    .bytes = CREDIT_BYTES});
}

void consume_ready(client_t *client)
{
    sim_t *sim = client->sim;
    client->receive_seq = 0;
    for (int i = 0; i < CLIENT_SETTLES; i++)
        if (client->settles[i].frame_seq)
            put_settle(client, &client->settles[i]);
    for (int queue = 0; queue < MODEL_QUEUES; queue++)
        if (client->kind == CLIENT_DRAINER || queue == 0 || sim_below(sim, 2))
            subscribe_queue(client, (uint64_t)queue + 1, queue, sim->is_healing ? 50 : 1 + sim_below(sim, 6));
}

static void choose_action(sim_t *sim, choice_t *choice)
{
    uint64_t dice = sim->is_healing ? 0 : sim_below(sim, 100);
    choice->action = dice < 60 ? WIRE_ACK : dice < 75 ? WIRE_RELEASE : dice < 88 ? WIRE_REJECT : WIRE_EXTEND;
    choice->delay_ms = 0;
    if (choice->action == WIRE_RELEASE || choice->action == WIRE_EXTEND)
        choice->delay_ms = sim_below(sim, 3) ? (int64_t)sim_below(sim, 4000) : 0;
}

static settle_op_t *free_settle(client_t *client)
{
    for (int i = 0; i < CLIENT_SETTLES; i++)
        if (!client->settles[i].frame_seq)
            return &client->settles[i];
    return NULL;
}

/* Some messages once, instead of a subscription. */
static void receive(client_t *client)
{
    sim_t *sim = client->sim;
    uint64_t wait_ms = sim_below(sim, 2) * 1000;
    client->receive_seq = ++client->seq;
    client->receive_by_us = sim->now_us + (int64_t)wait_ms * 1000 + LATE_US;
    client_send(client, WIRE_RECEIVE, client->receive_seq,
                &(wire_receive_t){.queue = bytes_cstr(model_rules[sim_below(sim, MODEL_QUEUES)].name),
                                  .max = 1 + sim_below(sim, 5),
                                  .wait_ms = wait_ms,
                                  .visibility_ms = sim_below(sim, 2) ? MODEL_ASKED_VISIBILITY_MS : -1});
}

static void purge(client_t *client)
{
    int queue = (int)sim_below(client->sim, MODEL_QUEUES);
    model_ask_purge(&client->sim->model, queue);
    client_send(client, WIRE_QUEUE, ++client->seq,
                &(wire_queue_t){.op = BYTES_LIT("purge"), .name = bytes_cstr(model_rules[queue].name)});
}

static void redrive(client_t *client)
{
    buf_t args = {0};
    mp_put_map(&args, 1);
    mp_put_cstr(&args, "rate");
    mp_put_u64(&args, 1 + sim_below(client->sim, 40));
    model_ask_redrive(&client->sim->model);
    client_send(client, WIRE_QUEUE, ++client->seq,
                &(wire_queue_t){.op = BYTES_LIT("redrive"),
                                .name = bytes_cstr(model_rules[MODEL_DEAD].name),
                                .args = buf_bytes(&args)});
    buf_free(&args);
}

/* Some dead letters, one by one: back, perhaps later, or away. */
static void pick(client_t *client)
{
    sim_t *sim = client->sim;
    uint64_t nth = sim_below(sim, 3), message = model_dead_letter(&sim->model, nth);
    bool is_discard = sim_below(sim, 3) == 0;
    buf_t args = {0};
    if (!message)
        return;
    mp_put_map(&args, 2);
    mp_put_cstr(&args, "messages");
    mp_put_array(&args, 2);
    mp_put_u64(&args, message);
    mp_put_u64(&args, message + 1); /* of another queue as a rule: missing */
    mp_put_cstr(&args, "delay_ms");
    mp_put_u64(&args, sim_below(sim, 2) * 3000);
    model_ask_pick(&sim->model);
    client_send(client, WIRE_QUEUE, ++client->seq,
                &(wire_queue_t){.op = is_discard ? BYTES_LIT("discard") : BYTES_LIT("move"),
                                .name = bytes_cstr(model_rules[MODEL_DEAD].name),
                                .args = buf_bytes(&args)});
    buf_free(&args);
}

static void cancel(client_t *client)
{
    char handle[24];
    (void)snprintf(handle, sizeof handle, "%llu", (unsigned long long)model_task_running(&client->sim->model));
    model_ask_cancel(&client->sim->model);
    client_send(client, WIRE_QUEUE, ++client->seq,
                &(wire_queue_t){.op = BYTES_LIT("cancel"), .name = bytes_cstr(handle)});
}

/* While events are published: each must be routed by the one or by the other. */
static void apply_topology(client_t *client)
{
    buf_t body = {0};
    mp_put_cstr(&body, model_topology((int)sim_below(client->sim, MODEL_TOPOLOGIES)));
    client_send(client, WIRE_TOPOLOGY, ++client->seq,
                &(wire_topology_t){.op = BYTES_LIT("apply"), .body = buf_bytes(&body)});
    buf_free(&body);
}

/* To the rules, or to the queue "late" alone. */
static void start_replay(client_t *client)
{
    char name[MODEL_REPLAY_NAME_BYTES];
    buf_t args = {0};
    uint64_t rate = sim_below(client->sim, 2) ? 5 + sim_below(client->sim, 60) : 0;
    (void)snprintf(name, sizeof name, "r-%llx", (unsigned long long)random_u64(&client->sim->random));
    mp_put_map(&args, 3);
    mp_put_cstr(&args, "bus");
    mp_put_cstr(&args, "shop");
    mp_put_cstr(&args, "to");
    mp_put_cstr(&args, sim_below(client->sim, 2) ? "" : "queue:late");
    mp_put_cstr(&args, "rate");
    mp_put_u64(&args, rate);
    client_send(client, WIRE_REPLAY, ++client->seq,
                &(wire_replay_t){.op = BYTES_LIT("start"), .name = bytes_cstr(name), .args = buf_bytes(&args)});
    buf_free(&args);
}

static void change_replay(client_t *client)
{
    static const char *const ops[] = {"pause", "resume", "resume", "cancel"};
    const model_replay_t *replay = model_replay_any(&client->sim->model, random_u64(&client->sim->random));
    if (replay)
        client_send(client, WIRE_REPLAY, ++client->seq,
                    &(wire_replay_t){.op = bytes_cstr(ops[sim_below(client->sim, ARRAY_LEN(ops))]),
                                     .name = bytes_cstr(replay->name)});
}

static void ask_now_and_then(client_t *client)
{
    sim_t *sim = client->sim;
    if (client->receive_seq && sim->now_us > client->receive_by_us)
        (void)trace_violated(&sim->trace, "%s: RECEIVE %llu was never answered", client->name,
                             (unsigned long long)client->receive_seq);
    if (!client->receive_seq && !sim->is_healing && sim_below(sim, 8) == 0)
        receive(client);
    if (!sim->is_healing && sim_below(sim, 200) == 0)
        purge(client);
    if (!sim->is_healing && sim_below(sim, 40) == 0)
        redrive(client);
    if (!sim->is_healing && sim_below(sim, 200) == 0)
        cancel(client);
    if (!sim->is_healing && sim_below(sim, 100) == 0)
        apply_topology(client);
    if (!sim->is_healing && sim_below(sim, 60) == 0)
        pick(client);
    if (!sim->is_healing && sim_below(sim, 120) == 0)
        start_replay(client);
    if (!sim->is_healing && sim_below(sim, 60) == 0)
        change_replay(client);
}

void consume_wake(client_t *client)
{
    sim_t *sim = client->sim;
    ask_now_and_then(client);
    settle_op_t *op = free_settle(client);
    if (!op || !client->held_count || (!sim->is_healing && sim_below(sim, 3) == 0))
        return;
    op->count = 0;
    while (client->held_count && op->count < CLIENT_CHOICES) {
        uint32_t at = (uint32_t)sim_below(sim, client->held_count);
        choice_t *choice = &op->choices[op->count];
        *choice = client->held[at];
        client->held[at] = client->held[--client->held_count];
        choose_action(sim, choice);
        if (sim->is_healing || sim_below(sim, 8))
            op->count++; /* else forgotten: its time runs out */
    }
    if (op->count)
        put_settle(client, op);
}

static void take(client_t *client, const wire_delivery_t *items, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (client->held_count < CLIENT_HELD && items[i].receipt.len == CORE_RECEIPT_BYTES)
            memcpy(client->held[client->held_count++].receipt, items[i].receipt.data, CORE_RECEIPT_BYTES);
}

void consume_received(client_t *client, uint64_t seq, const wire_received_t *received)
{
    if (seq == client->receive_seq)
        client->receive_seq = 0;
    take(client, received->deliveries.items, received->deliveries.count);
    client->sim->tally->received += received->deliveries.count;
}

void consume_delivered(client_t *client, const wire_deliver_t *deliver)
{
    sim_t *sim = client->sim;
    take(client, deliver->deliveries.items, deliver->deliveries.count);
    if (sim->is_healing || sim_below(sim, 5))
        client_send(
            client, WIRE_CREDIT, 0,
            &(wire_credit_t){.sub = deliver->sub, .messages = deliver->deliveries.count, .bytes = CREDIT_BYTES});
}

static void settled_one(client_t *client, const choice_t *choice, const wire_status_entry_t *status)
{
    sim_t *sim = client->sim;
    if (status->status) {
        if (!bytes_eq_cstr(status->aws, "ReceiptHandleIsInvalid") && !bytes_eq_cstr(status->aws, "MessageNotInflight"))
            (void)trace_violated(&sim->trace, "%s: a settlement was refused with %.*s", client->name,
                                 BYTES_FMT(status->aws));
        return;
    }
    if (choice->action == WIRE_ACK && !status->message.len) { /* else another one has it: it stays */
        (void)!model_claim_acked(&sim->model, bytes_from(choice->receipt, CORE_RECEIPT_BYTES));
        sim->tally->acked++;
    }
    if (choice->action == WIRE_EXTEND && choice->delay_ms && client->held_count < CLIENT_HELD)
        client->held[client->held_count++] = *choice;
}

void consume_settled(client_t *client, uint64_t seq, const wire_settled_t *settled)
{
    for (int i = 0; i < CLIENT_SETTLES; i++) {
        settle_op_t *op = &client->settles[i];
        if (op->frame_seq != seq)
            continue;
        op->frame_seq = 0;
        if (settled->results.count != op->count)
            (void)trace_violated(&client->sim->trace, "%s settled %u and was answered %u", client->name, op->count,
                                 settled->results.count);
        for (uint32_t n = 0; n < op->count && n < settled->results.count; n++)
            settled_one(client, &op->choices[n], &settled->results.items[n]);
        return;
    }
}

/* -- the bus ----------------------------------------------------------------------------------------- */
void watch_ready(client_t *client)
{
    sim_t *sim = client->sim;
    client->owed_credit = 0;
    client_send(client, WIRE_SUBSCRIBE, ++client->seq,
                &(wire_subscribe_t){.sub = 1,
                                    .kind = WIRE_SUBSCRIBE_BUS,
                                    .target = BYTES_LIT("shop"),
                                    .from = client->last + 1,
                                    .visibility_ms = -1,
                                    .messages = sim->is_healing ? 100 : 1 + sim_below(sim, 8),
                                    .bytes = CREDIT_BYTES});
}

void watch_wake(client_t *client)
{
    sim_t *sim = client->sim;
    if (!client->owed_credit || (!sim->is_healing && sim_below(sim, 6)))
        return;
    client_send(client, WIRE_CREDIT, 0,
                &(wire_credit_t){.sub = 1, .messages = client->owed_credit, .bytes = CREDIT_BYTES});
    client->owed_credit = 0;
}

/* Everything on the bus up to `end` was seen. */
static void must_have_seen(client_t *client, uint64_t end)
{
    uint64_t missed = model_event_between(&client->sim->model, client->last, end);
    if (missed)
        (void)trace_violated(&client->sim->trace, "%s saw record %llu, then %llu, and never event %llu", client->name,
                             (unsigned long long)client->last, (unsigned long long)end, (unsigned long long)missed);
}

void watch_delivered(client_t *client, const wire_deliver_t *deliver)
{
    sim_t *sim = client->sim;
    for (uint32_t i = 0; i < deliver->deliveries.count; i++) {
        uint64_t record = deliver->deliveries.items[i].record;
        if (record <= client->last)
            (void)trace_violated(&sim->trace, "%s saw event %llu again, or out of order", client->name,
                                 (unsigned long long)record);
        must_have_seen(client, record);
        client->last = record;
        sim->tally->events_seen++;
    }
    client->owed_credit += deliver->deliveries.count;
}

void watch_gap(client_t *client, const wire_gap_t *gap)
{
    sim_t *sim = client->sim;
    must_have_seen(client, gap->from);
    bool unreadable = gap->next == gap->from + 1 && fault_disk_struck(sim->node.disk);
    bool released = gap->next <= sim->node.released;
    if (!unreadable && !released && gap->next <= gap->from + MODEL_LAG_RECORDS)
        (void)trace_violated(&sim->trace, "%s got a GAP from %llu to %llu without having lagged", client->name,
                             (unsigned long long)gap->from, (unsigned long long)gap->next);
    client->last = gap->next - 1;
    sim->tally->gaps++;
}
