/* client_publish.c: producers, who send again under the same numbers, and publishers, who send again under the same
 * key, or not at all. */
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "tests/sim/sim.h"

/* -- frames ------------------------------------------------------------------------------------------ */
static void put_event(buf_t *out, uint64_t token)
{
    char id[24];
    error_t err = {0};
    const uint8_t empty_map = 0x80;
    (void)snprintf(id, sizeof id, "%llu", (unsigned long long)token);
    const envelope_t envelope = {.id = bytes_cstr(id),
                                 .detail_type = bytes_cstr(token % 3 ? "a" : "b"),
                                 .source = BYTES_LIT("test"),
                                 .time = BYTES_LIT("2026-01-30T20:15:12Z"),
                                 .detail = bytes_from(&empty_map, 1)};
    if (!envelope_write(out, &envelope, &err))
        out->failed = true;
}

static void put_events(client_t *client, const op_t *op)
{
    sim_t *sim = client->sim;
    wire_publish_t *p = &sim->out->publish;
    size_t ends[CLIENT_ENTRIES + 1] = {0};
    for (uint32_t i = 0; i < op->count; i++) {
        put_event(&sim->body, op->token + i);
        ends[i + 1] = sim->body.len;
    }
    *p = (wire_publish_t){.bus = BYTES_LIT("shop"), .producer_seq = op->producer_seq};
    p->entries.count = op->count;
    for (uint32_t i = 0; i < op->count; i++)
        p->entries.items[i] = (wire_publish_entry_t){
            .dedup = bytes_cstr(op->key), .body = bytes_from(sim->body.data + ends[i], ends[i + 1] - ends[i])};
    client_send(client, WIRE_PUBLISH, op->frame_seq, p);
}

static void put_messages(client_t *client, const op_t *op)
{
    static const char *const tenants[] = {"", "loud", "loud", "quiet"};
    sim_t *sim = client->sim;
    wire_send_t *s = &sim->out->send;
    size_t ends[CLIENT_ENTRIES + 1] = {0};
    for (uint32_t i = 0; i < op->count; i++) {
        mp_put_u64(&sim->body, op->token + i);
        ends[i + 1] = sim->body.len;
    }
    *s = (wire_send_t){.queue = bytes_cstr(model_rules[op->queue].name), .producer_seq = op->producer_seq};
    s->entries.count = op->count;
    for (uint32_t i = 0; i < op->count; i++)
        s->entries.items[i] = (wire_send_entry_t){.group = bytes_cstr(tenants[(op->token + i) % ARRAY_LEN(tenants)]),
                                                  .delay_ms = -1,
                                                  .body = bytes_from(sim->body.data + ends[i], ends[i + 1] - ends[i])};
    client_send(client, WIRE_SEND, op->frame_seq, s);
}

static void put(client_t *client, op_t *op)
{
    buf_clear(&client->sim->body);
    op->frame_seq = ++client->seq;
    if (op->queue < 0)
        put_events(client, op);
    else
        put_messages(client, op);
}

/* -- life -------------------------------------------------------------------------------------------- */
void produce_ready(client_t *client, uint64_t accepted)
{
    uint64_t answered = 0;
    for (uint32_t i = 0; i < client->op_count; i++) {
        op_t *op = &client->ops[i];
        if (op->answered && op->producer_seq + op->count - 1 > answered)
            answered = op->producer_seq + op->count - 1;
        if (client->kind == CLIENT_PUBLISHER && !op->answered && !op->key[0])
            op->answered = true; /* nobody will ever know */
    }
    if (client->kind == CLIENT_PRODUCER && accepted < answered) {
        (void)trace_violated(&client->sim->trace, "%s was answered up to %llu, and WELCOME speaks of %llu",
                             client->name, (unsigned long long)answered, (unsigned long long)accepted);
        return;
    }
    for (uint32_t i = 0; i < client->op_count; i++)
        if (!client->ops[i].answered)
            put(client, &client->ops[i]);
}

static void choose_key(client_t *client, op_t *op)
{
    uint64_t kind = sim_below(client->sim, 3);
    if (kind == 0 || op->queue >= 0)
        return;
    op->count = 1;
    uint64_t key = op->token;
    if (kind == 1 && client->op_count)
        key -= sim_below(client->sim, 12); /* maybe one that was used already */
    (void)snprintf(op->key, sizeof op->key, "key-%llu", (unsigned long long)key);
}

static void make(client_t *client)
{
    sim_t *sim = client->sim;
    op_t *op = &client->ops[client->op_count];
    *op = (op_t){.token = sim->next_token, .count = 1 + (uint32_t)sim_below(sim, CLIENT_ENTRIES), .queue = -1};
    if (sim_below(sim, 3) == 0)
        op->queue = (int)sim_below(sim, MODEL_QUEUES - 1);
    if (client->kind == CLIENT_PUBLISHER)
        choose_key(client, op);
    if (client->kind == CLIENT_PRODUCER) {
        op->producer_seq = client->producer_seq + 1;
        client->producer_seq += op->count;
    }
    sim->next_token += op->count;
    client->op_count++;
    put(client, op);
}

void produce_wake(client_t *client)
{
    uint32_t open = 0;
    for (uint32_t i = 0; i < client->op_count; i++)
        open += !client->ops[i].answered;
    if (!client->sim->is_healing && open < CLIENT_OPEN && client->op_count < CLIENT_OPS)
        make(client);
}

void produce_answered(client_t *client, uint64_t seq, const wire_published_t *results)
{
    sim_t *sim = client->sim;
    for (uint32_t i = 0; i < client->op_count; i++) {
        op_t *op = &client->ops[i];
        if (op->frame_seq != seq || op->answered)
            continue;
        for (uint32_t n = 0; n < op->count; n++) {
            const wire_result_entry_t *r = &results->results.items[n];
            if (n >= results->results.count || r->status)
                (void)trace_violated(&sim->trace, "%s: token %llu was refused with %.*s", client->name,
                                     (unsigned long long)op->token + n, BYTES_FMT(r->aws));
            else
                (void)!model_claim(&sim->model, r->record, op->token + n, op->key);
            sim->tally->duplicates += r->duplicate;
            sim->tally->published++;
        }
        op->answered = true;
        return;
    }
}
