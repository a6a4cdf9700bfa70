/* bus_listen.c: subscriptions to queues and buses: made, made again, fed, and given credit. */
#include <stdlib.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"
#include "kit/log.h"
#include "proto/attrs.h"

#define CONSUME_MESSAGES 16
#define LISTEN_MESSAGES 256
#define CREDIT_BYTES ((uint64_t)4 << 20)
#define VISIBILITY_MIN_MS 30 /* extending more often than every 10 ms helps nobody */

/* -- making ------------------------------------------------------------------------------------------- */
static void sub_free(bus_sub_t *sub)
{
    while (!TAILQ_EMPTY(&sub->held))
        bus_held_free(TAILQ_FIRST(&sub->held));
    if (sub->extend)
        loop_timer_end(&sub->extend);
    free(sub->target);
    free(sub->name);
    free(sub->pattern);
    free(sub);
}

static char *dup_text(const char *text)
{
    return strdup(text ? text : "");
}

static bus_sub_t *sub_new(bus_t *bus, const bus_sub_t *from, error_t *err)
{
    bus_sub_t *sub = calloc(1, sizeof *sub);
    if (!sub) {
        bus_no_memory(err);
        return NULL;
    }
    *sub = *from;
    sub->bus = bus;
    TAILQ_INIT(&sub->held);
    sub->target = dup_text(from->target);
    sub->name = dup_text(from->name);
    sub->pattern = dup_text(from->pattern);
    sub->extend = from->kind == WIRE_SUBSCRIBE_QUEUE ? loop_timer_new(bus->loop, bus_settle_extend, sub) : NULL;
    if (sub->target && sub->name && sub->pattern && (sub->extend || from->kind == WIRE_SUBSCRIBE_BUS))
        return sub;
    sub_free(sub);
    bus_no_memory(err);
    return NULL;
}

static void sub_add(bus_t *bus, bus_sub_t *sub)
{
    sub->number = ++bus->sub_number;
    TAILQ_INSERT_TAIL(&bus->subs, sub, link);
    bus_map_put(&bus->subs_by_number, &sub->node, sub->number);
    bus_flush_soon(bus);
}

static int64_t hold_max_ms(const bus_consume_t *consume)
{
    if (consume->hold_max_ms < 0)
        return -1;
    return consume->hold_max_ms > 0 && consume->hold_max_ms < BUS_HOLD_MAX_MS ? consume->hold_max_ms
                                                                              : BUS_HOLD_MAX_MS - BUS_HOLD_MARGIN_MS;
}

bool bus_consume(bus_t *bus, const bus_consume_t *consume, error_t *err)
{
    if (!bus_name_check("queue", bytes_cstr(consume->queue), err))
        return false;
    bus_sub_t from = {.kind = WIRE_SUBSCRIBE_QUEUE,
                      .target = (char *)(uintptr_t)consume->queue,
                      .messages = consume->messages ? consume->messages : CONSUME_MESSAGES,
                      .bytes = consume->bytes ? consume->bytes : CREDIT_BYTES,
                      .visibility_ms = consume->visibility_ms > 0 ? consume->visibility_ms : -1,
                      .hold_max_ms = hold_max_ms(consume),
                      .fn = consume->fn,
                      .ctx = consume->ctx};
    bus_sub_t *sub = sub_new(bus, &from, err);
    if (sub)
        sub_add(bus, sub);
    return sub != NULL;
}

uint64_t bus_listen(bus_t *bus, const bus_listen_t *listen, error_t *err)
{
    if (!bus_name_check("bus", bytes_cstr(listen->bus), err))
        return 0;
    bus_sub_t from = {.kind = WIRE_SUBSCRIBE_BUS,
                      .target = (char *)(uintptr_t)listen->bus,
                      .name = (char *)(uintptr_t)listen->name,
                      .pattern = (char *)(uintptr_t)listen->pattern,
                      .messages = listen->messages ? listen->messages : LISTEN_MESSAGES,
                      .bytes = listen->bytes ? listen->bytes : CREDIT_BYTES,
                      .visibility_ms = -1,
                      .next = listen->from,
                      .since_us = listen->since_us,
                      .live_only = listen->live_only,
                      .fn = listen->fn,
                      .on_gap = listen->on_gap,
                      .on_subscribed = listen->on_subscribed,
                      .on_refused = listen->on_refused,
                      .ctx = listen->ctx};
    bus_sub_t *sub = sub_new(bus, &from, err);
    if (!sub)
        return 0;
    sub_add(bus, sub);
    return sub->number;
}

static bus_sub_t *find(bus_t *bus, uint64_t number)
{
    bus_node_t *node = bus_map_first(&bus->subs_by_number, number);
    return node ? (bus_sub_t *)(void *)node : NULL;
}

/* Freed by the next flush: its own handler may be what runs now. */
static void sub_end(bus_t *bus, bus_sub_t *sub)
{
    if (sub->ended)
        return;
    sub->ended = true;
    if (bus->state == BUS_UP && sub->asked) {
        wire_unsubscribe_t frame = {.sub = sub->number};
        bus_link_send(bus, WIRE_UNSUBSCRIBE, ++bus->seq, &frame);
    }
    bus->credit_due = true;
    bus_flush_soon(bus);
}

void bus_unlisten(bus_t *bus, uint64_t number)
{
    bus_sub_t *sub = find(bus, number);
    if (sub && sub->kind == WIRE_SUBSCRIBE_BUS)
        sub_end(bus, sub);
}

/* -- a new session ------------------------------------------------------------------------------------ */
static uint64_t less(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return b && b < a ? b : a;
}

static void subscribe(bus_t *bus, bus_sub_t *sub)
{
    bus_ask_t *ask = bus_ask_new(bus, WIRE_SUBSCRIBE);
    if (!ask)
        return;
    sub->asked = true;
    sub->messages = least(sub->messages, bus->welcome.delivery_window);
    sub->bytes = least(sub->bytes, bus->welcome.delivery_window_bytes);
    sub->owed_messages = sub->owed_bytes = 0;
    ask->number = sub->number;
    wire_subscribe_t frame = {.sub = sub->number,
                              .kind = sub->kind,
                              .target = bytes_cstr(sub->target),
                              .name = bytes_cstr(sub->name),
                              .pattern = bytes_cstr(sub->pattern),
                              .from = sub->kind == WIRE_SUBSCRIBE_BUS ? sub->next : 0,
                              .visibility_ms = sub->visibility_ms,
                              .messages = less(sub->messages, sub->held_count),
                              .bytes = less(sub->bytes, sub->held_bytes),
                              .live_only = sub->live_only,
                              .since_us = sub->since_us};
    bus_link_send(bus, WIRE_SUBSCRIBE, ask->node.key, &frame);
}

static void forget_held(bus_sub_t *sub)
{
    bus_held_t *held;
    for (held = TAILQ_FIRST(&sub->held); held; held = TAILQ_NEXT(held, link))
        held->stale = true;
}

void bus_listen_up(bus_t *bus, bool resumed)
{
    bus_sub_t *sub;
    for (sub = TAILQ_FIRST(&bus->subs); sub; sub = TAILQ_NEXT(sub, link)) {
        if (!resumed)
            forget_held(sub);
        sub->refused = false;
        if (!sub->ended)
            subscribe(bus, sub);
    }
}

void bus_listen_lost(bus_t *bus)
{
    bus_sub_t *sub;
    for (sub = TAILQ_FIRST(&bus->subs); sub; sub = TAILQ_NEXT(sub, link))
        sub->asked = false;
    for (bus_ask_t *ask = TAILQ_FIRST(&bus->asks), *next; ask; ask = next) {
        next = TAILQ_NEXT(ask, link);
        if (ask->verb == WIRE_SUBSCRIBE || ask->verb == WIRE_SERVE)
            bus_ask_free(bus, ask);
    }
}

static void move_on(bus_sub_t *sub, uint64_t next)
{
    uint64_t from = sub->next;
    if (next <= from)
        return;
    sub->next = next;
    if (from != 0 && sub->on_gap)
        sub->on_gap(sub->ctx, from, next);
}

void bus_listen_subscribed(bus_t *bus, const wire_subscribed_t *answer)
{
    bus_sub_t *sub = find(bus, answer->sub);
    if (!sub || sub->ended)
        return;
    if (sub->kind == WIRE_SUBSCRIBE_BUS) {
        move_on(sub, answer->next);
        if (sub->on_subscribed)
            sub->on_subscribed(sub->ctx, sub->next);
        return;
    }
    sub->invisible_ms = answer->visibility_ms > 0 ? answer->visibility_ms : sub->visibility_ms;
    if (sub->invisible_ms <= 0)
        sub->invisible_ms = BUS_VISIBILITY_MS;
    if (sub->invisible_ms < VISIBILITY_MIN_MS)
        sub->invisible_ms = VISIBILITY_MIN_MS;
    if (sub->hold_max_ms >= 0)
        loop_timer_every(sub->extend, sub->invisible_ms / 3);
}

/* Asked again with the next session: a queue may be created meanwhile. */
void bus_listen_refused(bus_t *bus, uint64_t number, const error_t *err)
{
    bus_sub_t *sub = find(bus, number);
    if (!sub || sub->ended)
        return;
    sub->refused = true;
    if (sub->on_refused)
        sub->on_refused(sub->ctx, err);
    else
        log_error("subscription refused", LOG_S(sub->kind == WIRE_SUBSCRIBE_QUEUE ? "queue" : "bus", sub->target),
                  LOG_S("status", status_name(err->code)), LOG_S("error", err->message));
}

/* -- deliveries --------------------------------------------------------------------------------------- */
/* What a delivery costs of the credit: docs/protocol.md, windows. */
static uint64_t cost(const wire_delivery_t *from)
{
    return from->body.len;
}

static trace_t trace_of(bytes_t attrs)
{
    bytes_t text;
    trace_t parent = {0};
    if (!attrs_str(attrs, ATTR_TRACEPARENT, &text) || !trace_parse(text, &parent))
        return (trace_t){0};
    return trace_child(&parent);
}

static bus_delivery_t view(const wire_delivery_t *from)
{
    return (bus_delivery_t){.record = from->record,
                            .ingest_us = from->ingest_us,
                            .receives = (uint32_t)from->receives,
                            .first_receive_us = from->first_receive_us,
                            .source = from->source,
                            .group = from->group,
                            .attrs = from->attrs,
                            .body = from->body,
                            .trace = trace_of(from->attrs)};
}

static void hand_over(bus_sub_t *sub, bus_delivery_t *delivery)
{
    trace_t before = *trace_current();
    trace_set_current(&delivery->trace);
    sub->fn(sub->ctx, delivery);
    trace_set_current(&before);
}

static void deliver_event(bus_sub_t *sub, const wire_delivery_t *from)
{
    bus_delivery_t delivery = view(from);
    sub->next = from->record + 1;
    hand_over(sub, &delivery);
    bus_sub_owe(sub, cost(from));
}

static bus_held_t *hold(bus_sub_t *sub, const wire_delivery_t *from)
{
    size_t tail = from->source.len + from->group.len + from->attrs.len + from->body.len + from->receipt.len;
    bus_held_t *held = malloc(sizeof *held + tail);
    if (!held)
        return NULL;
    uint8_t *at = (uint8_t *)(held + 1);
    *held = (bus_held_t){.delivery = view(from), .sub = sub, .bytes = cost(from), .taken_us = clock_mono_us()};
    held->extended_us = held->taken_us;
    held->delivery.source = bus_copy(&at, from->source);
    held->delivery.group = bus_copy(&at, from->group);
    held->delivery.attrs = bus_copy(&at, from->attrs);
    held->delivery.body = bus_copy(&at, from->body);
    held->receipt = bus_copy(&at, from->receipt);
    TAILQ_INSERT_TAIL(&sub->held, held, link);
    sub->held_count++;
    sub->held_bytes += held->bytes;
    return held;
}

static void give_back(bus_t *bus, bus_sub_t *sub, const wire_delivery_t *from, const char *why)
{
    bus_settle_add(bus, from->receipt, from->record, WIRE_RELEASE, 0, why);
    bus_sub_owe(sub, cost(from));
}

static void deliver_message(bus_t *bus, bus_sub_t *sub, const wire_delivery_t *from)
{
    if (from->receipt.len == 0 || from->receipt.len > BUS_RECEIPT_MAX_BYTES) {
        log_error("a delivery came without a usable receipt", LOG_S("queue", sub->target));
        return;
    }
    bus_held_t *held = bus->draining || sub->ended ? NULL : hold(sub, from);
    if (held)
        hand_over(sub, &held->delivery);
    else
        give_back(bus, sub, from, bus->draining ? "the consumer is stopping" : "the consumer has no memory left");
}

void bus_listen_deliver(bus_t *bus, const wire_deliver_t *deliver)
{
    bus_sub_t *sub = find(bus, deliver->sub);
    if (!sub)
        return;
    for (uint32_t i = 0; i < deliver->deliveries.count; i++) {
        if (sub->kind == WIRE_SUBSCRIBE_QUEUE)
            deliver_message(bus, sub, &deliver->deliveries.items[i]);
        else if (!sub->ended)
            deliver_event(sub, &deliver->deliveries.items[i]);
    }
}

void bus_listen_gap(bus_t *bus, const wire_gap_t *gap)
{
    bus_sub_t *sub = find(bus, gap->sub);
    if (!sub || sub->ended)
        return;
    uint64_t from = gap->from ? gap->from : sub->next;
    if (gap->next > sub->next)
        sub->next = gap->next;
    if (sub->on_gap)
        sub->on_gap(sub->ctx, from, gap->next);
}

/* -- credit ------------------------------------------------------------------------------------------- */
void bus_sub_owe(bus_sub_t *sub, uint64_t bytes)
{
    sub->owed_messages++;
    sub->owed_bytes += bytes;
    sub->bus->credit_due = true;
    bus_flush_soon(sub->bus);
}

/* In pieces of a quarter: the broker keeps three quarters to go on with, and one frame serves many. */
static bool is_worth_a_frame(const bus_sub_t *sub)
{
    return sub->owed_messages * 4 >= sub->messages || sub->owed_bytes * 4 >= sub->bytes;
}

static void give_credit(bus_t *bus, bus_sub_t *sub)
{
    if (sub->ended || bus->draining || !sub->asked || sub->refused || sub->owed_messages == 0 || !is_worth_a_frame(sub))
        return;
    wire_credit_t frame = {.sub = sub->number, .messages = sub->owed_messages, .bytes = sub->owed_bytes};
    bus_link_send(bus, WIRE_CREDIT, 0, &frame);
    sub->owed_messages = sub->owed_bytes = 0;
}

static void bury(bus_t *bus, bus_sub_t *sub)
{
    bus_map_remove(&bus->subs_by_number, &sub->node);
    TAILQ_REMOVE(&bus->subs, sub, link);
    sub_free(sub);
}

void bus_listen_credit(bus_t *bus)
{
    if (!bus->credit_due)
        return;
    bus->credit_due = false;
    for (bus_sub_t *sub = TAILQ_FIRST(&bus->subs), *next; sub; sub = next) {
        next = TAILQ_NEXT(sub, link);
        if (sub->ended && sub->kind == WIRE_SUBSCRIBE_BUS)
            bury(bus, sub);
        else if (bus->state == BUS_UP)
            give_credit(bus, sub);
    }
}

/* Subscriptions made while a session is up. */
void bus_listen_flush(bus_t *bus)
{
    bus_sub_t *sub;
    for (sub = TAILQ_FIRST(&bus->subs); sub; sub = TAILQ_NEXT(sub, link))
        if (!sub->asked && !sub->ended && !bus->draining)
            subscribe(bus, sub);
}

/* -- the end ------------------------------------------------------------------------------------------ */
void bus_listen_drain(bus_t *bus)
{
    bus_sub_t *sub;
    for (sub = TAILQ_FIRST(&bus->subs); sub; sub = TAILQ_NEXT(sub, link))
        sub_end(bus, sub);
}

uint32_t bus_listen_held(const bus_t *bus)
{
    uint32_t count = 0;
    const bus_sub_t *sub;
    for (sub = TAILQ_FIRST(&bus->subs); sub; sub = TAILQ_NEXT(sub, link))
        count += sub->held_count;
    return count;
}

void bus_listen_release(bus_t *bus)
{
    bus_sub_t *sub;
    bus_held_t *held;
    for (sub = TAILQ_FIRST(&bus->subs); sub; sub = TAILQ_NEXT(sub, link))
        for (held = TAILQ_FIRST(&sub->held); held; held = TAILQ_NEXT(held, link)) {
            if (!held->stale)
                bus_settle_add(bus, held->receipt, held->delivery.record, WIRE_RELEASE, 0, "the consumer stopped");
            held->stale = true;
        }
}

void bus_listen_end(bus_t *bus)
{
    while (!TAILQ_EMPTY(&bus->subs))
        bury(bus, TAILQ_FIRST(&bus->subs));
}
