/* cursor.c: feeding at the head, scanning behind it, and the seam between. */
#include "broker/core/cursor.h"

#include "broker/core/ledger.h"
#include "broker/core/session.h"
#include "broker/core/subscription.h"
#include "broker/core/topology.h"
#include "proto/msgpack.h"

#define CURSOR_FRAME_EVENTS 64 /* in one DELIVER */
#define SCAN_SUB_BITS 32       /* a scan's number names its subscription in the low bits */

typedef struct {
    uint64_t record;
    uint32_t bus;
    bytes_t replay_name, to, envelope;
    bytes_t passed; /* map of other buses it came to, as in its record */
    size_t bytes;
} event_t;

/* -- delivering -------------------------------------------------------------------------------------- */
static bool was_passed(const core_t *core, bytes_t passed, uint32_t bus)
{
    bytes_t by;
    return passed.len && mp_map_find(passed, ((const bus_t *)pool_get(&core->buses, bus))->name, &by);
}

static bool cursor_wants(const core_t *core, const sub_t *sub, const event_t *event)
{
    const bytes_t subscriber = BYTES_LIT("subscriber:");
    if (sub->bus && sub->bus != event->bus && !was_passed(core, event->passed, sub->bus))
        return false;
    if (sub->live_only && event->replay_name.len)
        return false;
    if (event->to.len) {
        bytes_t name = bytes_from(event->to.data + subscriber.len, event->to.len - subscriber.len);
        if (!bytes_has_prefix(event->to, subscriber) || !bytes_eq_cstr(name, sub->name))
            return false;
    }
    return !sub->pattern || pattern_match(sub->pattern, event->envelope, event->replay_name);
}

/* The DELIVER being filled for this subscription, or a new one. */
static core_out_t *cursor_frame(core_t *core, const sub_t *sub, uint64_t peer)
{
    core_effects_t *out = core->out;
    core_out_t *last = out->out_count ? &out->outs[out->out_count - 1] : NULL;
    if (last && last->kind == CORE_OUT_DELIVER && last->peer == peer && last->deliver.sub == sub->number &&
        last->deliver.first + last->deliver.count == out->item_count && last->deliver.count < CURSOR_FRAME_EVENTS)
        return last;
    core_out_t *frame = effects_add(out, CORE_OUT_DELIVER);
    frame->peer = peer;
    frame->deliver.verb = WIRE_DELIVER;
    frame->deliver.sub = sub->number;
    frame->deliver.first = out->item_count;
    return frame;
}

static void cursor_deliver(core_t *core, sub_t *sub, const event_t *event)
{
    uint64_t peer = session_at(core, sub->session)->peer;
    core_out_t *frame = cursor_frame(core, sub, peer);
    frame->after = ledger_after(core);
    frame->deliver.count++;
    effects_item(core->out)->record = event->record;
    subscription_spend(sub, event->bytes);
    core->stats.delivered++;
}

/* False when the cursor had to stop at this event for want of credit. */
static bool cursor_see(core_t *core, sub_t *sub, const event_t *event)
{
    if (cursor_wants(core, sub, event)) {
        if (!subscription_has_credit(sub)) {
            sub->state = CURSOR_BEHIND;
            sub->next = event->record;
            return false;
        }
        cursor_deliver(core, sub, event);
    }
    sub->next = event->record + 1;
    return true;
}

static void cursor_gap(core_t *core, sub_t *sub, uint64_t next)
{
    const wire_gap_t gap = {.sub = sub->number, .from = sub->next, .next = next};
    const session_t *session = session_at(core, sub->session);
    effects_frame(core->out, session->peer, ledger_after(core), WIRE_GAP, 0, &gap);
    effects_log(core->out, LOG_WARNING, "subscription %llu of %s missed the records %llu to %llu",
                (unsigned long long)sub->number, session->name, (unsigned long long)sub->next,
                (unsigned long long)next - 1);
    sub->next = next;
}

/* -- at the head ------------------------------------------------------------------------------------- */
static void cursor_to_head(const core_t *core, sub_t *sub)
{
    sub->state = CURSOR_HEAD;
    sub->was_at_head = true;
    sub->next = core->next_seq;
}

/* False when the cursor stopped there. */
static bool cursor_feed_one(core_t *core, sub_t *sub, uint32_t bus, const wire_publish_t *msg,
                            const wire_published_t *results, uint32_t nth)
{
    const wire_result_entry_t *result = &results->results.items[nth];
    const wire_publish_entry_t *entry = &msg->entries.items[nth];
    if (result->status || result->duplicate)
        return true;
    const event_t event = {
        .record = result->record,
        .bus = bus,
        .replay_name = msg->replay_name,
        .to = msg->to,
        .envelope = entry->body,
        .bytes = entry->attrs.len + entry->body.len,
    };
    return cursor_see(core, sub, &event);
}

void cursor_feed(core_t *core, const bus_t *bus, const wire_publish_t *msg, const wire_published_t *results)
{
    for (uint32_t i = 0; i < core->subs.cursors.count; i++) {
        sub_t *sub = subscription_at(core, core->subs.cursors.items[i]);
        if (sub->state != CURSOR_HEAD || (sub->bus && sub->bus != bus->id))
            continue;
        for (uint32_t nth = 0; nth < msg->entries.count; nth++)
            if (!cursor_feed_one(core, sub, bus->id, msg, results, nth))
                break;
    }
}

void cursor_feed_passed(core_t *core, const wire_publish_t *msg, const wire_published_t *results, const ids_t *pairs)
{
    for (uint32_t i = 0; pairs->count && i < core->subs.cursors.count; i++) {
        sub_t *sub = subscription_at(core, core->subs.cursors.items[i]);
        if (sub->state != CURSOR_HEAD || !sub->bus)
            continue;
        for (uint32_t n = 0; n < pairs->count; n += 2)
            if (pairs->items[n + 1] == sub->bus && !cursor_feed_one(core, sub, sub->bus, msg, results, pairs->items[n]))
                break;
    }
}

static bool is_among(uint32_t bus, const uint32_t *buses, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (buses[i] == bus)
            return true;
    return false;
}

void cursor_feed_event(core_t *core, const uint32_t *buses, uint32_t count, uint64_t record, const record_publish_t *r)
{
    event_t event = {
        .record = record,
        .replay_name = r->replay_name,
        .to = r->to,
        .envelope = r->body,
        .bytes = r->attrs.len + r->body.len,
    };
    for (uint32_t i = 0; i < core->subs.cursors.count; i++) {
        sub_t *sub = subscription_at(core, core->subs.cursors.items[i]);
        event.bus = sub->bus ? sub->bus : buses[0];
        if (sub->state == CURSOR_HEAD && is_among(event.bus, buses, count))
            (void)cursor_see(core, sub, &event);
    }
}

/* -- behind it --------------------------------------------------------------------------------------- */
void cursor_begin(core_t *core, sub_t *sub, uint64_t from, int64_t since_us)
{
    sub->next = from;
    sub->since_us = from ? 0 : since_us;
    sub->state = CURSOR_BEHIND;
    if ((!from && !since_us) || from >= core->next_seq)
        cursor_to_head(core, sub);
}

static void cursor_scan(core_t *core, sub_t *sub)
{
    sub->state = CURSOR_SCANNING;
    sub->scan = ++core->subs.scans << SCAN_SUB_BITS | sub->id;
    core_out_t *out = effects_add(core->out, CORE_OUT_SCAN);
    out->scan.scan = sub->scan;
    out->scan.from = sub->next;
    out->scan.since_us = sub->next ? 0 : sub->since_us;
    out->scan.max_bytes = CURSOR_SCAN_BYTES;
}

void cursor_go_on(core_t *core, sub_t *sub)
{
    if (sub->state != CURSOR_BEHIND || !subscription_has_credit(sub))
        return;
    if (sub->was_at_head && core->next_seq - sub->next > core->limits.lag_records)
        cursor_gap(core, sub, core->next_seq);
    if (sub->next >= core->next_seq)
        cursor_to_head(core, sub);
    else
        cursor_scan(core, sub);
}

static void cursor_read(core_t *core, sub_t *sub, const record_t *record)
{
    /* One that a repair had to give up is not passed in silence: what comes next is behind a gap. */
    if (sub->next > record->seq || (sub->next && ledger_notes_loss(record)))
        return;
    if (sub->next && sub->next < record->seq)
        cursor_gap(core, sub, record->seq);
    sub->next = record->seq + 1;
    if (record->kind != RECORD_PUBLISH)
        return;
    const record_publish_t *r = &record->publish;
    const event_t event = {
        .record = record->seq,
        .bus = sub->bus ? topology_bus_number(core, r->bus) : 0,
        .replay_name = r->replay_name,
        .to = r->to,
        .envelope = r->body,
        .passed = r->passed,
        .bytes = r->attrs.len + r->body.len,
    };
    (void)cursor_see(core, sub, &event);
}

static void cursor_slice_end(core_t *core, sub_t *sub, uint64_t next)
{
    if (!sub->next)
        sub->next = next;
    else if (sub->next < next)
        cursor_gap(core, sub, next);
    sub->state = CURSOR_BEHIND;
    cursor_go_on(core, sub);
}

void cursor_scanned(core_t *core)
{
    const core_input_t *in = core->input;
    sub_t *sub = subscription_at(core, (uint32_t)in->scanned.scan);
    if (!sub || sub->scan != in->scanned.scan || sub->state != CURSOR_SCANNING)
        return; /* it ended, or ran out of credit within the slice */
    if (in->scanned.record)
        cursor_read(core, sub, in->scanned.record);
    else
        cursor_slice_end(core, sub, in->scanned.next);
}

uint64_t cursor_oldest(const core_t *core)
{
    uint64_t oldest = UINT64_MAX;
    for (uint32_t i = 0; i < core->subs.cursors.count; i++) {
        const sub_t *sub = subscription_at(core, core->subs.cursors.items[i]);
        if (sub->state == CURSOR_HEAD || !sub->was_at_head)
            continue;
        uint64_t reach = core->next_seq > core->limits.lag_records ? core->next_seq - core->limits.lag_records : 1;
        uint64_t needed = sub->next > reach ? sub->next : reach;
        if (needed < oldest)
            oldest = needed;
    }
    return oldest;
}
