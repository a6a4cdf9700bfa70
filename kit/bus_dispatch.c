/* bus_dispatch.c: what a frame from the broker sets off. */
#include "kit/bus_internal.h"
#include "kit/log.h"

/* The ask that an answer belongs to; NULL, quietly, for one that was given up meanwhile. */
static bus_ask_t *answered(bus_t *bus, wire_verb_t asked)
{
    bus_ask_t *ask = bus_ask_find(bus, bus->in->seq);
    if (!ask || ask->verb == asked)
        return ask;
    log_warn("an answer of the wrong kind was left out", LOG_S("verb", wire_verb_name(bus->in->verb)));
    return NULL;
}

static bool is_query(wire_verb_t verb)
{
    return verb == WIRE_QUEUE || verb == WIRE_RULE || verb == WIRE_TOPOLOGY || verb == WIRE_BROKER ||
           verb == WIRE_REPLAY;
}

static void refuse_ask(bus_t *bus, bus_ask_t *ask, const error_t *err)
{
    if (ask->hand) {
        bus_hand_answered(bus, ask, err);
    } else if (ask->verb == WIRE_PUBLISH || ask->verb == WIRE_SEND) {
        bus_publish_refused(bus, ask, err);
    } else if (ask->verb == WIRE_SETTLE) {
        bus_settle_refused(bus, ask, err);
    } else if (ask->verb == WIRE_CALL) {
        bus_call_refused(bus, ask->number, err); /* frees the ask */
    } else if (is_query(ask->verb)) {
        bus_admin_refused(bus, ask, err);
    } else if (ask->verb == WIRE_PERMIT) {
        bus_permit_refused(bus, ask, err);
    } else if (ask->verb == WIRE_SUBSCRIBE) {
        uint64_t number = ask->number;
        bus_ask_free(bus, ask);
        bus_listen_refused(bus, number, err);
    } else {
        log_error("refused", LOG_S("verb", wire_verb_name(ask->verb)), LOG_S("status", status_name(err->code)),
                  LOG_S("error", err->message));
        bus_ask_free(bus, ask);
    }
}

static void on_error(bus_t *bus, const wire_error_t *frame)
{
    error_t err;
    bus_error_fill(&err, frame->status, frame->name, frame->message, frame->retry_after_ms);
    if (bus->state == BUS_GREETING || bytes_eq_cstr(frame->name, "NO_SESSION")) {
        bus_link_lost(bus, err.message);
        return;
    }
    bus_ask_t *ask = bus->in->seq ? bus_ask_find(bus, bus->in->seq) : NULL;
    if (ask)
        refuse_ask(bus, ask, &err);
    else
        log_warn("the broker reports an error", LOG_S("status", status_name(err.code)), LOG_S("error", err.message));
}

static void on_subscribed(bus_t *bus)
{
    bus_ask_t *ask = answered(bus, WIRE_SUBSCRIBE);
    if (!ask)
        return;
    bus_ask_free(bus, ask);
    bus_listen_subscribed(bus, &bus->in->subscribed);
}

static void on_served(bus_t *bus)
{
    bus_ask_t *ask = answered(bus, WIRE_SERVE);
    if (ask)
        bus_ask_free(bus, ask);
}

static void on_published(bus_t *bus, wire_verb_t asked)
{
    bus_ask_t *ask = answered(bus, asked);
    if (!ask)
        return;
    /* PUBLISHED and SENT share their rows, and so their place in the union. */
    bus_publish_answered(bus, ask, &bus->in->published);
}

static void on_settled(bus_t *bus)
{
    bus_ask_t *ask = answered(bus, WIRE_SETTLE);
    if (ask && ask->hand)
        bus_hand_answered(bus, ask, NULL);
    else if (ask)
        bus_settle_answered(bus, ask, &bus->in->settled);
}

static void on_received(bus_t *bus)
{
    bus_ask_t *ask = answered(bus, WIRE_RECEIVE);
    if (ask)
        bus_hand_answered(bus, ask, NULL);
}

static void on_result(bus_t *bus)
{
    bus_ask_t *ask = bus_ask_find(bus, bus->in->seq);
    if (ask && is_query(ask->verb))
        bus_admin_answered(bus, ask, bus->in->result.body);
}

static void on_permitted(bus_t *bus)
{
    bus_ask_t *ask = answered(bus, WIRE_PERMIT);
    if (ask)
        bus_permit_answered(bus, ask, &bus->in->permitted);
}

static void on_ping(bus_t *bus)
{
    wire_pong_t pong = {.number = bus->in->ping.number};
    bus_link_send(bus, WIRE_PONG, bus->in->seq, &pong);
}

static void on_bye(bus_t *bus)
{
    char why[ERROR_MESSAGE_BYTES];
    (void)bytes_to_cstr(bus->in->bye.reason, why, sizeof why);
    bus_link_lost(bus, why[0] ? why : "the broker said good-bye");
}

static void dispatch_up(bus_t *bus)
{
    wire_msg_t *in = bus->in;
    switch (in->verb) {
    case WIRE_PUBLISHED:
        on_published(bus, WIRE_PUBLISH);
        break;
    case WIRE_SENT:
        on_published(bus, WIRE_SEND);
        break;
    case WIRE_SUBSCRIBED:
        on_subscribed(bus);
        break;
    case WIRE_DELIVER:
        bus_listen_deliver(bus, &in->deliver);
        break;
    case WIRE_SETTLED:
        on_settled(bus);
        break;
    case WIRE_RECEIVED:
        on_received(bus);
        break;
    case WIRE_GAP:
        bus_listen_gap(bus, &in->gap);
        break;
    case WIRE_SERVED:
        on_served(bus);
        break;
    case WIRE_CALL:
        bus_serve_call(bus, &in->call);
        break;
    case WIRE_REPLY:
        bus_call_reply(bus, &in->reply);
        break;
    case WIRE_REPLY_CREDIT:
        bus_serve_credit(bus, &in->reply_credit);
        break;
    case WIRE_CANCEL:
        bus_serve_cancel(bus, &in->cancel);
        break;
    case WIRE_RESULT:
        on_result(bus);
        break;
    case WIRE_PERMITTED:
        on_permitted(bus);
        break;
    case WIRE_PING:
        on_ping(bus);
        break;
    default: /* PONG and UNSUBSCRIBED say only that the broker lives; others are not for a client */
        break;
    }
}

void bus_dispatch(bus_t *bus, bytes_t frame)
{
    error_t err = {0};
    if (!wire_decode(frame, bus->in, &err)) {
        log_error("the broker sent a frame that cannot be read", LOG_S("error", err.message),
                  LOG_I("bytes", frame.len));
        return;
    }
    if (bus->in->verb == WIRE_ERROR)
        on_error(bus, &bus->in->error);
    else if (bus->in->verb == WIRE_BYE)
        on_bye(bus);
    else if (bus->state == BUS_UP)
        dispatch_up(bus);
    else if (bus->in->verb == WIRE_WELCOME && bus->in->seq == bus->hello_seq)
        bus_link_welcomed(bus, &bus->in->welcome);
}
