/* client.c: connecting, resuming, staying alive, and who answers what. */
#include "tests/sim/client.h"

#include "tests/sim/sim.h"

#define PING_US 800000
#define DELAY_US 20000
#define SLOW_DELAY_US 400000

void client_init(client_t *client, sim_t *sim, client_kind_t kind, int nth)
{
    static const char *const names[] = {"producer", "publisher", "consumer", "drainer", "watcher", "caller", "worker"};
    *client = (client_t){.sim = sim, .kind = kind};
    (void)snprintf(client->name, sizeof client->name, "%s-%06d", names[kind], nth);
    client->wake_us = sim->now_us + (int64_t)sim_below(sim, 100000);
    if (kind == CLIENT_DRAINER)
        client->wake_us = INT64_MAX;
}

void client_send(client_t *client, wire_verb_t verb, uint64_t seq, const void *values)
{
    sim_t *sim = client->sim;
    int64_t delay_us = (int64_t)sim_below(sim, sim_below(sim, 20) ? DELAY_US : SLOW_DELAY_US);
    buf_clear(&sim->frame);
    wire_encode_verb(&sim->frame, verb, seq, values);
    line_put(&client->link.up, buf_bytes(&sim->frame), sim->now_us + delay_us);
    client->spoke_us = sim->now_us;
    trace_note(&sim->trace, "%s: %s %llu", client->name, wire_verb_name(verb), (unsigned long long)seq);
}

static void connect_again(client_t *client)
{
    sim_t *sim = client->sim;
    bool is_producer = client->kind == CLIENT_PRODUCER;
    if (sim_below(sim, 10) == 0)
        client->has_resume = false; /* its process began anew */
    link_open(&client->link, ++sim->next_peer);
    client_send(
        client, WIRE_HELLO, ++client->seq,
        &(wire_hello_t){.protocol = WIRE_PROTOCOL,
                        .name = bytes_cstr(client->name),
                        .resume = client->has_resume ? bytes_from(client->resume, CORE_RESUME_BYTES) : BYTES_NONE,
                        .producer = is_producer ? bytes_cstr(client->name) : BYTES_NONE,
                        .epoch = is_producer});
}

void client_lose(client_t *client)
{
    sim_t *sim = client->sim;
    if (client->link.peer)
        link_cut(&client->link);
    client->is_on = false;
    if (client->wake_us != INT64_MAX)
        client->wake_us = sim->now_us + 1000 + (int64_t)sim_below(sim, sim_below(sim, 4) ? 300000 : 9000000);
}

static void role_wake(client_t *client)
{
    switch (client->kind) {
    case CLIENT_PRODUCER:
    case CLIENT_PUBLISHER:
        return produce_wake(client);
    case CLIENT_CONSUMER:
    case CLIENT_DRAINER:
        return consume_wake(client);
    case CLIENT_WATCHER:
        return watch_wake(client);
    case CLIENT_CALLER:
        return call_wake(client);
    case CLIENT_WORKER:
        return work_wake(client);
    }
}

/* A line that breaks: at times the broker sees it at once, at times only that nothing comes any more. */
static void break_line(client_t *client)
{
    sim_t *sim = client->sim;
    uint64_t peer = client->link.peer;
    trace_note(&sim->trace, "network: cuts off %s", client->name);
    sim->tally->cut_connections++;
    client_lose(client);
    if (sim_below(sim, 2) && node_is_up(&sim->node))
        node_gone(&sim->node, sim->now_us, peer);
}

void client_wake(client_t *client)
{
    sim_t *sim = client->sim;
    client->wake_us = sim->now_us + 30000 + (int64_t)sim_below(sim, sim->is_healing ? 700000 : 300000);
    if (!client->link.peer) {
        if (node_is_up(&sim->node))
            connect_again(client);
        return;
    }
    if (!sim->is_healing && sim_below(sim, 60) == 0) {
        break_line(client);
        return;
    }
    if (client->is_on)
        role_wake(client);
    if (sim->now_us - client->spoke_us > PING_US && client->is_on)
        client_send(client, WIRE_PING, 0, &(wire_ping_t){0});
}

static void welcomed(client_t *client, const wire_welcome_t *welcome)
{
    client->is_on = true;
    client->on_since_us = client->sim->now_us;
    client->has_resume = true;
    memcpy(client->resume, welcome->resume.data, CORE_RESUME_BYTES);
    switch (client->kind) {
    case CLIENT_PRODUCER:
    case CLIENT_PUBLISHER:
        return produce_ready(client, welcome->producer_seq);
    case CLIENT_CONSUMER:
    case CLIENT_DRAINER:
        return consume_ready(client);
    case CLIENT_WATCHER:
        return watch_ready(client);
    case CLIENT_CALLER:
        return call_ready(client);
    case CLIENT_WORKER:
        return work_ready(client);
    }
}

/* Too early or too late, and nothing was done. */
static bool is_of_no_account(const wire_error_t *error)
{
    static const char *const beginnings[] = {"A move task runs", "The move task is", "There is no move task",
                                             "There is no replay", "10 replays run"};
    for (size_t i = 0; i < ARRAY_LEN(beginnings); i++)
        if (bytes_has_prefix(error->message, bytes_cstr(beginnings[i])))
            return true;
    return bytes_eq_cstr(error->name, "PurgeQueueInProgress") || bytes_eq_cstr(error->name, "IllegalStatusException");
}

static void refused(client_t *client, const wire_error_t *error)
{
    static const char *const known[] = {"NO_SESSION", "NAME_IN_USE", "STOPPING", "DISK_FULL"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        if (!bytes_eq_cstr(error->name, known[i]))
            continue;
        client_lose(client);
        return;
    }
    if (is_of_no_account(error))
        return;
    (void)trace_violated(&client->sim->trace, "%s was refused with %.*s: %.*s", client->name, BYTES_FMT(error->name),
                         BYTES_FMT(error->message));
}

static void dispatch(client_t *client, const wire_msg_t *msg)
{
    switch (msg->verb) {
    case WIRE_WELCOME:
        return welcomed(client, &msg->welcome);
    case WIRE_PUBLISHED:
    case WIRE_SENT:
        return produce_answered(client, msg->seq, &msg->published);
    case WIRE_DELIVER:
        return client->kind == CLIENT_WATCHER ? watch_delivered(client, &msg->deliver)
                                              : consume_delivered(client, &msg->deliver);
    case WIRE_RECEIVED:
        return consume_received(client, msg->seq, &msg->received);
    case WIRE_SETTLED:
        return consume_settled(client, msg->seq, &msg->settled);
    case WIRE_GAP:
        return watch_gap(client, &msg->gap);
    case WIRE_REPLY:
        return call_replied(client, &msg->reply);
    case WIRE_CALL:
        return work_called(client, &msg->call);
    case WIRE_ERROR:
        return refused(client, &msg->error);
    default:
        return; /* SUBSCRIBED, SERVED, PONG, CANCEL, BYE: nothing to hold them against */
    }
}

void client_heard(client_t *client, bytes_t frame)
{
    sim_t *sim = client->sim;
    error_t err = {0};
    if (!wire_decode(frame, sim->heard, &err)) {
        (void)trace_violated(&sim->trace, "the broker's frame does not decode: %s", err.message);
        return;
    }
    trace_note(&sim->trace, "%s hears %s %llu", client->name, wire_verb_name(sim->heard->verb),
               (unsigned long long)sim->heard->seq);
    dispatch(client, sim->heard);
}

bool client_is_done(const client_t *client)
{
    for (uint32_t i = 0; i < client->op_count; i++)
        if (!client->ops[i].answered)
            return false;
    for (uint32_t i = 0; i < CLIENT_SETTLES; i++)
        if (client->settles[i].frame_seq)
            return false;
    for (uint32_t i = 0; i < client->call_count && client->kind == CLIENT_CALLER; i++)
        if (!client->calls[i].done)
            return false;
    return client->kind != CLIENT_WATCHER || !model_event_between(&client->sim->model, client->last, UINT64_MAX);
}
