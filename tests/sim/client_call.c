/* client_call.c: a caller that asks again after a lost connection, and a worker that says what it is still doing. */
#include "proto/msgpack.h"
#include "tests/sim/sim.h"

#define DEADLINE_US 3000000
#define LATE_US 2000000
#define OPEN_MAX 3
#define CAPACITY 3
#define CALLER_NAME "caller-000006"

static call_op_t *call_find(client_t *client, uint64_t number)
{
    for (uint32_t i = 0; i < client->call_count; i++)
        if (client->calls[i].number == number)
            return &client->calls[i];
    return NULL;
}

/* -- the caller -------------------------------------------------------------------------------------- */
static void ask(client_t *client, call_op_t *call, bool again)
{
    sim_t *sim = client->sim;
    buf_clear(&sim->body);
    mp_put_u64(&sim->body, call->number);
    call->asked++;
    client_send(client, WIRE_CALL, ++client->seq,
                &(wire_call_t){.caller = bytes_cstr(client->name),
                               .number = call->number,
                               .method = BYTES_LIT("echo"),
                               .deadline_ms = (uint64_t)(call->due_us - sim->now_us) / 1000,
                               .idempotent = call->idempotent,
                               .body = buf_bytes(&sim->body),
                               .again = again});
}

void call_ready(client_t *client)
{
    for (uint32_t i = 0; i < client->call_count; i++) {
        call_op_t *call = &client->calls[i];
        if (call->done)
            continue;
        if (call->due_us - client->sim->now_us < 10000)
            call->done = true; /* too late to ask again */
        else
            ask(client, call, true);
    }
}

void call_wake(client_t *client)
{
    sim_t *sim = client->sim;
    uint32_t open = 0;
    for (uint32_t i = 0; i < client->call_count; i++) {
        call_op_t *call = &client->calls[i];
        open += !call->done;
        if (!call->done && client->on_since_us < call->due_us && sim->now_us > call->due_us + LATE_US)
            (void)trace_violated(&sim->trace, "call %llu got no answer and no failure by its deadline",
                                 (unsigned long long)call->number);
    }
    if (sim->is_healing || open >= OPEN_MAX || client->call_count == CLIENT_CALLS)
        return;
    call_op_t *call = &client->calls[client->call_count++];
    *call =
        (call_op_t){.number = client->call_count, .idempotent = sim_below(sim, 2), .due_us = sim->now_us + DEADLINE_US};
    ask(client, call, false);
}

void call_replied(client_t *client, const wire_reply_t *reply)
{
    sim_t *sim = client->sim;
    call_op_t *call = call_find(client, reply->number);
    uint64_t answer = 0;
    mp_reader_t r = mp_reader(reply->body);
    if (!call || !call->asked || !reply->final) {
        (void)trace_violated(&sim->trace, "call %llu was answered, and more often than it was asked",
                             (unsigned long long)reply->number);
        return;
    }
    call->asked--;
    call->done = true;
    sim->tally->calls_failed += reply->status != 0;
    if (reply->status)
        return;
    sim->tally->calls_answered++;
    if (!mp_get_u64(&r, &answer) || answer != 2 * call->number + 1)
        (void)trace_violated(&sim->trace, "call %llu was answered with %llu", (unsigned long long)call->number,
                             (unsigned long long)answer);
}

/* -- the worker -------------------------------------------------------------------------------------- */
void work_ready(client_t *client)
{
    wire_serve_t *serve = &client->sim->out->serve;
    *serve = (wire_serve_t){0};
    serve->methods.count = 1;
    serve->methods.items[0] = (wire_serve_entry_t){.method = BYTES_LIT("echo"), .capacity = CAPACITY};
    for (uint32_t i = 0; i < client->call_count; i++)
        if (!client->calls[i].done)
            serve->running.items[serve->running.count++] =
                (wire_running_entry_t){.caller = BYTES_LIT(CALLER_NAME), .number = client->calls[i].number};
    client_send(client, WIRE_SERVE, ++client->seq, serve);
}

void work_called(client_t *client, const wire_call_t *call)
{
    sim_t *sim = client->sim;
    call_op_t *known = call_find(client, call->number);
    if (known && !known->idempotent) {
        (void)trace_violated(&sim->trace, "call %llu was given to a worker twice, and is not idempotent",
                             (unsigned long long)call->number);
        return;
    }
    if (!known && client->call_count == CLIENT_CALLS)
        return;
    if (!known)
        known = &client->calls[client->call_count++];
    *known = (call_op_t){.number = call->number,
                         .idempotent = call->idempotent,
                         .due_us = sim->now_us + (int64_t)sim_below(sim, 600000)};
}

void work_wake(client_t *client)
{
    sim_t *sim = client->sim;
    for (uint32_t i = 0; i < client->call_count; i++) {
        call_op_t *call = &client->calls[i];
        if (call->done || call->due_us > sim->now_us)
            continue;
        call->done = true;
        buf_clear(&sim->body);
        mp_put_u64(&sim->body, 2 * call->number + 1);
        client_send(client, WIRE_REPLY, 0,
                    &(wire_reply_t){.caller = BYTES_LIT(CALLER_NAME),
                                    .number = call->number,
                                    .final = true,
                                    .body = buf_bytes(&sim->body)});
    }
}
