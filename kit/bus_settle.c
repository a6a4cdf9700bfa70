/* bus_settle.c: what became of deliveries, told in batches; and keeping those that are still held invisible. */
#include <stdlib.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"
#include "kit/log.h"

#define US_PER_MS 1000

/* -- telling ------------------------------------------------------------------------------------------ */
void bus_settle_add(bus_t *bus, bytes_t receipt, uint64_t record, uint64_t action, int64_t delay_ms, const char *reason)
{
    bytes_t text = bytes_cstr(reason);
    if (text.len > BUS_REASON_MAX_BYTES)
        text.len = BUS_REASON_MAX_BYTES;
    while (text.len > 0 && !bytes_is_utf8(text, NULL)) /* cut between characters */
        text.len--;
    bus_settle_t *entry = malloc(sizeof *entry + receipt.len + text.len);
    if (!entry) {
        log_warn("no memory to settle a delivery; it comes again", LOG_I("record", record));
        return;
    }
    uint8_t *at = (uint8_t *)(entry + 1);
    *entry = (bus_settle_t){.record = record, .action = action, .delay_ms = delay_ms};
    entry->receipt = bus_copy(&at, receipt);
    entry->reason = bus_copy(&at, text);
    TAILQ_INSERT_TAIL(&bus->settles, entry, link);
    bus->settle_count++;
    bus_flush_soon(bus);
}

static void send_batch(bus_t *bus, bus_ask_t *ask)
{
    wire_settle_t *frame = &bus->out->settle;
    frame->entries.count = 0;
    for (bus_settle_t *entry; ask->count < FIELDS_LIST_MAX && (entry = TAILQ_FIRST(&bus->settles)); ask->count++) {
        TAILQ_REMOVE(&bus->settles, entry, link);
        TAILQ_INSERT_TAIL(&ask->settles, entry, link);
        bus->settle_count--;
        frame->entries.items[frame->entries.count++] = (wire_settle_entry_t){
            .receipt = entry->receipt, .action = entry->action, .delay_ms = entry->delay_ms, .reason = entry->reason};
    }
    bus_link_send(bus, WIRE_SETTLE, ask->node.key, frame);
}

void bus_settle_flush(bus_t *bus)
{
    while (bus->state == BUS_UP && !TAILQ_EMPTY(&bus->settles)) {
        bus_ask_t *ask = bus_ask_new(bus, WIRE_SETTLE);
        if (!ask)
            return;
        send_batch(bus, ask);
    }
}

/* -- answers ------------------------------------------------------------------------------------------ */
static void free_settles(struct bus_settles *settles)
{
    for (bus_settle_t *entry; (entry = TAILQ_FIRST(settles));) {
        TAILQ_REMOVE(settles, entry, link);
        free(entry);
    }
}

/* The message is no longer this consumer's, or has been held for as long as can be: asking again would not help. Quiet
 * for what was settled meanwhile. */
static void extension_refused(bus_t *bus, const bus_settle_t *entry, const wire_status_entry_t *result)
{
    for (const bus_sub_t *sub = TAILQ_FIRST(&bus->subs); sub; sub = TAILQ_NEXT(sub, link))
        for (bus_held_t *held = TAILQ_FIRST(&sub->held); held; held = TAILQ_NEXT(held, link)) {
            if (held->delivery.record != entry->record || !bytes_eq(held->receipt, entry->receipt) || held->let_go)
                continue;
            held->let_go = true;
            log_warn("a message that is worked on comes again", LOG_S("queue", sub->target),
                     LOG_I("record", entry->record), LOG_B("error", result->message));
        }
}

void bus_settle_answered(bus_t *bus, bus_ask_t *ask, const wire_settled_t *answer)
{
    const bus_settle_t *entry = TAILQ_FIRST(&ask->settles);
    for (uint32_t i = 0; i < answer->results.count && entry; i++, entry = TAILQ_NEXT(entry, link)) {
        const wire_status_entry_t *result = &answer->results.items[i];
        if (result->status != STATUS_OK && entry->action == WIRE_EXTEND)
            extension_refused(bus, entry, result);
        else if (result->status != STATUS_OK)
            log_warn("a settled message comes again", LOG_I("record", entry->record),
                     LOG_S("status", status_name((status_t)result->status)), LOG_B("error", result->message));
    }
    free_settles(&ask->settles);
    bus_ask_free(bus, ask);
}

void bus_settle_refused(bus_t *bus, bus_ask_t *ask, const error_t *err)
{
    log_warn("settling was refused; the messages come again", LOG_I("count", ask->count),
             LOG_S("status", status_name(err->code)), LOG_S("error", err->message));
    free_settles(&ask->settles);
    bus_ask_free(bus, ask);
}

/* -- a lost link -------------------------------------------------------------------------------------- */
/* Unanswered ones wait for the next session: a receipt stays valid, and settling twice does nothing twice. */
void bus_settle_lost(bus_t *bus)
{
    struct bus_settles again = TAILQ_HEAD_INITIALIZER(again);
    for (bus_ask_t *ask = TAILQ_FIRST(&bus->asks), *next; ask; ask = next) {
        next = TAILQ_NEXT(ask, link);
        if (ask->verb != WIRE_SETTLE || ask->hand)
            continue;
        bus->settle_count += ask->count;
        TAILQ_CONCAT(&again, &ask->settles, link);
        bus_ask_free(bus, ask);
    }
    TAILQ_CONCAT(&again, &bus->settles, link);
    TAILQ_CONCAT(&bus->settles, &again, link);
}

void bus_settle_forget(bus_t *bus)
{
    free_settles(&bus->settles);
    bus->settle_count = 0;
}

/* -- by the handler ----------------------------------------------------------------------------------- */
void bus_held_free(bus_held_t *held)
{
    bus_sub_t *sub = held->sub;
    TAILQ_REMOVE(&sub->held, held, link);
    sub->held_count--;
    sub->held_bytes -= held->bytes;
    free(held);
}

static const char *outcome_of(uint64_t action)
{
    return action == WIRE_ACK ? "acked" : action == WIRE_RELEASE ? "released" : "rejected";
}

static void settle(bus_t *bus, bus_delivery_t *delivery, uint64_t action, int64_t delay_ms, const char *reason)
{
    bus_held_t *held = (bus_held_t *)delivery;
    if (!held->stale)
        bus_settle_add(bus, held->receipt, delivery->record, action, delay_ms, reason);
    bus_sub_t *sub = held->sub;
    uint64_t bytes = held->bytes;
    if (bus->observer && bus->observer->settled)
        bus->observer->settled(bus->observer->ctx, bytes_cstr(sub->target), outcome_of(action));
    bus_held_free(held);
    bus_sub_owe(sub, bytes);
}

void bus_ack(bus_t *bus, bus_delivery_t *delivery)
{
    settle(bus, delivery, WIRE_ACK, 0, NULL);
}

void bus_release(bus_t *bus, bus_delivery_t *delivery, int64_t delay_ms, const char *reason)
{
    int64_t in_bounds_ms = delay_ms < BUS_DELAY_MAX_MS ? delay_ms : BUS_DELAY_MAX_MS;
    settle(bus, delivery, WIRE_RELEASE, in_bounds_ms > 0 ? in_bounds_ms : 0, reason);
}

void bus_reject(bus_t *bus, bus_delivery_t *delivery, const char *reason)
{
    settle(bus, delivery, WIRE_REJECT, 0, reason);
}

/* -- extending ---------------------------------------------------------------------------------------- */
/* For how long to extend; 0 when it has been held for as long as it may. */
static int64_t extension_ms(const bus_sub_t *sub, const bus_held_t *held, int64_t now_us)
{
    int64_t left_ms = sub->hold_max_ms - (now_us - held->taken_us) / US_PER_MS;
    return left_ms < sub->invisible_ms ? (left_ms > 0 ? left_ms : 0) : sub->invisible_ms;
}

static void extend(bus_sub_t *sub, bus_held_t *held, int64_t now_us)
{
    int64_t more_ms = extension_ms(sub, held, now_us);
    if (more_ms == 0) {
        held->let_go = true;
        log_warn("a message has been held for as long as it may be, and comes again", LOG_S("queue", sub->target),
                 LOG_I("record", held->delivery.record), LOG_I("held_ms", (now_us - held->taken_us) / US_PER_MS));
        return;
    }
    held->extended_us = now_us;
    bus_settle_add(sub->bus, held->receipt, held->delivery.record, WIRE_EXTEND, more_ms, NULL);
}

/* Runs every third of the visibility; what was taken or extended in the last sixth can wait for the next run: so each
 * is extended before half of its visibility has passed. */
void bus_settle_extend(void *ctx)
{
    bus_sub_t *sub = ctx;
    int64_t now_us = clock_mono_us();
    bus_held_t *held;
    for (held = TAILQ_FIRST(&sub->held); held; held = TAILQ_NEXT(held, link))
        if (!held->stale && !held->let_go && now_us - held->extended_us >= sub->invisible_ms * US_PER_MS / 6)
            extend(sub, held, now_us);
}
