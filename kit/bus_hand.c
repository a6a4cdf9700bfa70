/* bus_hand.c: RECEIVE and SETTLE as they are, asked once: for tools, where a person decides. */
#include "kit/bus_internal.h"

/* NULL with `err` when nothing was asked. */
static bus_ask_t *begin(bus_t *bus, wire_verb_t verb, bus_hand_fn fn, void *ctx, error_t *err)
{
    if (bus->state != BUS_UP || bus->ending) {
        error_set(err, STATUS_UNAVAILABLE, NULL, "the broker is away: %s", bus->ending ? "this client ends" : bus->why);
        return NULL;
    }
    bus_ask_t *ask = bus_ask_new(bus, verb);
    if (!ask) {
        bus_no_memory(err);
        return NULL;
    }
    ask->hand = fn;
    ask->hand_ctx = ctx;
    return ask;
}

bool bus_receive_once(bus_t *bus, const wire_receive_t *receive, bus_hand_fn fn, void *ctx, error_t *err)
{
    const bus_ask_t *ask = begin(bus, WIRE_RECEIVE, fn, ctx, err);
    if (ask)
        bus_link_send(bus, WIRE_RECEIVE, ask->node.key, receive);
    return ask != NULL;
}

bool bus_settle_once(bus_t *bus, const wire_settle_t *settle, bus_hand_fn fn, void *ctx, error_t *err)
{
    const bus_ask_t *ask = begin(bus, WIRE_SETTLE, fn, ctx, err);
    if (ask)
        bus_link_send(bus, WIRE_SETTLE, ask->node.key, settle);
    return ask != NULL;
}

void bus_hand_answered(bus_t *bus, bus_ask_t *ask, const error_t *err)
{
    bus_hand_fn fn = ask->hand;
    void *ctx = ask->hand_ctx;
    bus_ask_free(bus, ask);
    fn(ctx, err, err ? NULL : bus->in);
}

void bus_hand_end(bus_t *bus, const error_t *err)
{
    for (bus_ask_t *ask = TAILQ_FIRST(&bus->asks), *next; ask; ask = next) {
        next = TAILQ_NEXT(ask, link);
        if (ask->hand)
            bus_hand_answered(bus, ask, err);
    }
}

void bus_hand_lost(bus_t *bus)
{
    error_t err;
    error_set(&err, STATUS_UNAVAILABLE, "CONNECTION_LOST",
              "the connection was lost before the answer: outcome unknown");
    bus_hand_end(bus, &err);
}
