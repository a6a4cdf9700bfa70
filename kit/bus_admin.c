/* bus_admin.c: questions about queues, rules, topology and the broker: asked when there is a session. */
#include <stdlib.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"

static void free_query(bus_t *bus, bus_query_t *query)
{
    TAILQ_REMOVE(&bus->queries, query, link);
    bus->waiting_bytes -= query->bytes;
    if (query->ask)
        bus_ask_free(bus, query->ask);
    if (query->timer)
        loop_timer_end(&query->timer);
    free(query);
}

static void finish(bus_t *bus, bus_query_t *query, const error_t *err, bytes_t result)
{
    bus_admin_fn fn = query->fn;
    void *ctx = query->ctx;
    free_query(bus, query);
    fn(ctx, err, result);
}

static void on_deadline(void *ctx)
{
    bus_query_t *query = ctx;
    bus_t *bus = query->bus;
    error_t err;
    if (bus->state == BUS_UP)
        error_set(&err, STATUS_DEADLINE_EXCEEDED, NULL, "the broker did not answer %s %.*s in time",
                  wire_verb_name(query->verb), BYTES_FMT(query->op));
    else
        error_set(&err, STATUS_DEADLINE_EXCEEDED, NULL, "the broker is away: %s", bus->why);
    finish(bus, query, &err, BYTES_NONE);
}

static bus_query_t *copy_query(bus_t *bus, const bus_query_t *from)
{
    bus_query_t *query = malloc(sizeof *query + from->bytes);
    if (!query)
        return NULL;
    uint8_t *at = (uint8_t *)(query + 1);
    *query = *from;
    query->op = bus_copy(&at, from->op);
    query->name = bus_copy(&at, from->name);
    query->args = bus_copy(&at, from->args);
    query->body = bus_copy(&at, from->body);
    query->timer = loop_timer_new(bus->loop, on_deadline, query);
    if (query->timer)
        return query;
    free(query);
    return NULL;
}

bool bus_admin(bus_t *bus, wire_verb_t verb, const char *op, const char *name, bytes_t args, bytes_t body,
               int64_t timeout_ms, bus_admin_fn fn, void *ctx, error_t *err)
{
    bus_query_t from = {.bus = bus,
                        .verb = verb,
                        .op = bytes_cstr(op),
                        .name = bytes_cstr(name),
                        .args = args,
                        .body = body,
                        .fn = fn,
                        .ctx = ctx};
    from.bytes = from.op.len + from.name.len + args.len + body.len;
    if (from.bytes > bus_max_frame(bus) - BUS_FRAME_OVERHEAD_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "FRAME_TOO_LARGE",
                         "a document of %zu bytes does not fit the broker's largest frame of %zu", from.bytes,
                         bus_max_frame(bus));
    if (!bus_admit(bus, from.bytes, err))
        return false;
    bus_query_t *query = copy_query(bus, &from);
    if (!query) {
        bus->waiting_bytes -= from.bytes;
        return bus_no_memory(err);
    }
    TAILQ_INSERT_TAIL(&bus->queries, query, link);
    loop_timer_in(query->timer, timeout_ms > 0 ? timeout_ms : 0);
    bus_flush_soon(bus);
    return true;
}

void bus_admin_flush(bus_t *bus)
{
    bus_query_t *query;
    for (query = TAILQ_FIRST(&bus->queries); query; query = TAILQ_NEXT(query, link)) {
        if (bus->state != BUS_UP)
            return;
        if (query->ask || !(query->ask = bus_ask_new(bus, query->verb)))
            continue;
        query->ask->query = query;
        /* QUEUE, RULE, TOPOLOGY and BROKER share their rows. */
        wire_queue_t frame = {.op = query->op, .name = query->name, .args = query->args, .body = query->body};
        bus_link_send(bus, query->verb, query->ask->node.key, &frame);
    }
}

void bus_admin_answered(bus_t *bus, bus_ask_t *ask, bytes_t result)
{
    finish(bus, ask->query, NULL, result);
}

void bus_admin_refused(bus_t *bus, bus_ask_t *ask, const error_t *err)
{
    finish(bus, ask->query, err, BYTES_NONE);
}

void bus_admin_lost(bus_t *bus)
{
    error_t err;
    error_set(&err, STATUS_UNAVAILABLE, "CONNECTION_LOST",
              "the connection was lost before the answer: outcome unknown");
    for (bus_query_t *query = TAILQ_FIRST(&bus->queries), *next; query; query = next) {
        next = TAILQ_NEXT(query, link);
        if (query->ask)
            finish(bus, query, &err, BYTES_NONE);
    }
}

void bus_admin_end(bus_t *bus, const error_t *err)
{
    while (!TAILQ_EMPTY(&bus->queries))
        finish(bus, TAILQ_FIRST(&bus->queries), err, BYTES_NONE);
}
