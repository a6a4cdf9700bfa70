/* bus_publish.c: events and messages on their way out: packed, numbered, within the window, sent again. */
#include <stdlib.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"
#include "kit/log.h"
#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "proto/schema.h"
#include "proto/timefmt.h"
#include "proto/uuid.h"

/* -- taking in --------------------------------------------------------------------------------------- */
static size_t item_bytes(const bus_item_t *from)
{
    return from->target.len + from->replay_name.len + from->to.len + from->dedup.len + from->group.len +
           from->attrs.len + from->body.len;
}

static bool fits_a_frame(const bus_t *bus, size_t bytes, error_t *err)
{
    size_t most = bus_max_frame(bus) - BUS_FRAME_OVERHEAD_BYTES - BUS_ENTRY_OVERHEAD_BYTES;
    if (bytes <= most)
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, "FRAME_TOO_LARGE",
                     "a message of %zu bytes does not fit the broker's largest frame, which leaves room for %zu", bytes,
                     most);
}

/* Takes a copy of `from`, whose slices are the caller's. */
static bool enqueue(bus_t *bus, const bus_item_t *from, error_t *err)
{
    size_t bytes = item_bytes(from);
    if (!fits_a_frame(bus, bytes, err) || !bus_admit(bus, bytes, err))
        return false;
    bus_item_t *item = malloc(sizeof *item + bytes);
    if (!item) {
        bus->waiting_bytes -= bytes;
        return bus_no_memory(err);
    }
    uint8_t *at = (uint8_t *)(item + 1);
    *item = *from;
    item->bytes = bytes;
    item->target = bus_copy(&at, from->target);
    item->replay_name = bus_copy(&at, from->replay_name);
    item->to = bus_copy(&at, from->to);
    item->dedup = bus_copy(&at, from->dedup);
    item->group = bus_copy(&at, from->group);
    item->attrs = bus_copy(&at, from->attrs);
    item->body = bus_copy(&at, from->body);
    TAILQ_INSERT_TAIL(&bus->items, item, link);
    bus_flush_soon(bus);
    return true;
}

bool bus_publish_raw(bus_t *bus, const bus_raw_event_t *event, bus_result_fn fn, void *ctx, error_t *err)
{
    bus_item_t item = {.verb = WIRE_PUBLISH,
                       .target = bytes_cstr(event->bus),
                       .replay_name = event->replay_name,
                       .to = event->to,
                       .dedup = event->dedup,
                       .attrs = event->attrs,
                       .body = event->envelope,
                       .fn = fn,
                       .ctx = ctx};
    return bus_name_check("bus", item.target, err) && enqueue(bus, &item, err);
}

bool bus_send(bus_t *bus, const bus_message_t *message, bus_result_fn fn, void *ctx, error_t *err)
{
    bus_item_t item = {.verb = WIRE_SEND,
                       .target = bytes_cstr(message->queue),
                       .dedup = message->dedup,
                       .group = message->group,
                       .attrs = message->attrs,
                       .body = message->body,
                       .delay_ms = message->delay_ms,
                       .fn = fn,
                       .ctx = ctx};
    const schema_message_t *known = schema_find_message(item.target);
    return bus_name_check("queue", item.target, err) && (!known || schema_validate(known->body, item.body, err)) &&
           enqueue(bus, &item, err);
}

/* -- making an event --------------------------------------------------------------------------------- */
static void new_id(char out[UUID_TEXT_BYTES])
{
    uint8_t random[UUID_RANDOM_BYTES];
    clock_random(random, sizeof random);
    uuid_format(uuid_v7((uint64_t)(clock_wall_us() / 1000), random), out);
}

static bool build_envelope(const bus_t *bus, const bus_event_t *event, buf_t *out, error_t *err)
{
    char id[UUID_TEXT_BYTES], time[TIMEFMT_S_BYTES];
    new_id(id);
    timefmt_s(event->time_us ? event->time_us : clock_wall_us(), time);
    buf_t resources = {0};
    if (event->resource) {
        mp_put_array(&resources, 1);
        mp_put_cstr(&resources, event->resource);
    }
    envelope_t envelope = {.version = BYTES_LIT(ENVELOPE_VERSION),
                           .id = bytes_cstr(id),
                           .detail_type = bytes_cstr(event->detail_type),
                           .source = bytes_cstr(event->source),
                           .account = bytes_cstr(bus->account),
                           .time = bytes_cstr(time),
                           .region = bytes_cstr(bus->region),
                           .resources = buf_bytes(&resources),
                           .detail = event->detail};
    bool ok = resources.failed ? bus_no_memory(err) : envelope_write(out, &envelope, err);
    buf_free(&resources);
    return ok;
}

bool bus_attrs_with_trace(bytes_t attrs, const trace_t *trace, buf_t *out, error_t *err)
{
    bytes_t there;
    if (!trace)
        trace = trace_current();
    if (!trace->valid || attrs_str(attrs, ATTR_TRACEPARENT, &there)) {
        buf_append_bytes(out, attrs);
        return out->failed ? bus_no_memory(err) : true;
    }
    char text[TRACE_PARENT_BYTES + 1];
    trace_format(trace, text);
    buf_t own = {0};
    attrs_writer_t writer = attrs_begin(&own);
    attrs_put_str(&writer, ATTR_TRACEPARENT, bytes_cstr(text));
    bool ok = attrs_end(&writer, err) && attrs_merge(out, attrs, buf_bytes(&own), err);
    buf_free(&own);
    return ok;
}

static bool check_detail(const bus_event_t *event, error_t *err)
{
    const schema_event_t *known = schema_find_event(bytes_cstr(event->source), bytes_cstr(event->detail_type));
    return !known || schema_validate(known->detail, event->detail, err);
}

bool bus_publish(bus_t *bus, const bus_event_t *event, bus_result_fn fn, void *ctx, error_t *err)
{
    buf_t envelope = {0}, attrs = {0};
    bool ok = check_detail(event, err) && build_envelope(bus, event, &envelope, err) &&
              bus_attrs_with_trace(event->attrs, event->trace, &attrs, err);
    if (ok) {
        bus_raw_event_t raw = {
            .bus = event->bus, .envelope = buf_bytes(&envelope), .attrs = buf_bytes(&attrs), .dedup = event->dedup};
        ok = bus_publish_raw(bus, &raw, fn, ctx, err);
    }
    buf_free(&envelope);
    buf_free(&attrs);
    return ok;
}

/* -- sending out ------------------------------------------------------------------------------------- */
/* `frame` is what the frame would have with `count` entries before this one, and this one. */
static bool window_open(const bus_t *bus, size_t count, size_t frame)
{
    if (bus->flight_count + count == 0) /* one that is larger than the whole window goes alone */
        return true;
    return bus->flight_count + count < bus->welcome.publish_window &&
           bus->flight_bytes + frame <= bus->welcome.publish_window_bytes;
}

/* Numbers are given in the order of sending, after the session has said which are used. */
static void number_item(bus_t *bus, bus_item_t *item)
{
    if (bus->producer && item->producer_seq == 0)
        item->producer_seq = ++bus->producer_seq;
}

static bool goes_with(const bus_item_t *last, const bus_item_t *next)
{
    return last->verb == next->verb && bytes_eq(last->target, next->target) &&
           bytes_eq(last->replay_name, next->replay_name) && bytes_eq(last->to, next->to);
}

static bool numbers_follow(const bus_item_t *last, const bus_item_t *next)
{
    return next->producer_seq == (last->producer_seq ? last->producer_seq + 1 : 0);
}

static size_t frame_with(size_t frame, const bus_item_t *item)
{
    return frame + item->bytes + BUS_ENTRY_OVERHEAD_BYTES;
}

static bool may_join(const bus_t *bus, const bus_ask_t *ask, const bus_item_t *last, const bus_item_t *next)
{
    size_t frame = frame_with(ask->bytes, next);
    return ask->count < FIELDS_LIST_MAX && (!last || (goes_with(last, next) && frame <= bus_max_frame(bus))) &&
           window_open(bus, ask->count, frame);
}

/* Moves the longest run that may travel in one frame from the waiting list to `ask`. */
static void take_run(bus_t *bus, bus_ask_t *ask)
{
    bus_item_t *item, *last = NULL;
    ask->bytes = BUS_FRAME_OVERHEAD_BYTES;
    while ((item = TAILQ_FIRST(&bus->items)) && may_join(bus, ask, last, item)) {
        number_item(bus, item);
        if (last && !numbers_follow(last, item))
            return;
        TAILQ_REMOVE(&bus->items, item, link);
        TAILQ_INSERT_TAIL(&ask->items, item, link);
        ask->count++;
        ask->bytes = frame_with(ask->bytes, item);
        last = item;
    }
}

static void send_events(bus_t *bus, bus_ask_t *ask, const bus_item_t *first)
{
    wire_publish_t *frame = &bus->out->publish;
    frame->bus = first->target;
    frame->producer_seq = first->producer_seq;
    frame->replay_name = first->replay_name;
    frame->to = first->to;
    frame->entries.count = 0;
    const bus_item_t *item;
    for (item = TAILQ_FIRST(&ask->items); item; item = TAILQ_NEXT(item, link))
        frame->entries.items[frame->entries.count++] =
            (wire_publish_entry_t){.dedup = item->dedup, .attrs = item->attrs, .body = item->body};
    bus_link_send(bus, WIRE_PUBLISH, ask->node.key, frame);
}

static void send_messages(bus_t *bus, bus_ask_t *ask, const bus_item_t *first)
{
    wire_send_t *frame = &bus->out->send;
    frame->queue = first->target;
    frame->producer_seq = first->producer_seq;
    frame->entries.count = 0;
    const bus_item_t *item;
    for (item = TAILQ_FIRST(&ask->items); item; item = TAILQ_NEXT(item, link))
        frame->entries.items[frame->entries.count++] = (wire_send_entry_t){.group = item->group,
                                                                           .dedup = item->dedup,
                                                                           .delay_ms = item->delay_ms,
                                                                           .attrs = item->attrs,
                                                                           .body = item->body};
    bus_link_send(bus, WIRE_SEND, ask->node.key, frame);
}

static void finish(bus_t *bus, bus_item_t *item, const error_t *err, uint64_t record, bool duplicate)
{
    bus->waiting_bytes -= item->bytes;
    if (item->fn)
        item->fn(item->ctx, err, record, duplicate);
    else if (err)
        log_warn("publish failed", LOG_B("bus", item->target), LOG_S("status", status_name(err->code)),
                 LOG_S("error", err->message));
    free(item);
}

/* What was taken in before WELCOME named a smaller frame. */
static bool refuse_too_large(bus_t *bus, bus_item_t *item)
{
    error_t err = {0};
    if (fits_a_frame(bus, item->bytes, &err))
        return false;
    TAILQ_REMOVE(&bus->items, item, link);
    finish(bus, item, &err, 0, false);
    return true;
}

void bus_publish_flush(bus_t *bus)
{
    bus_item_t *item;
    while (bus->state == BUS_UP && (item = TAILQ_FIRST(&bus->items))) {
        if (refuse_too_large(bus, item))
            continue;
        if (!window_open(bus, 0, frame_with(BUS_FRAME_OVERHEAD_BYTES, item)))
            return;
        bus_ask_t *ask = bus_ask_new(bus, item->verb);
        if (!ask)
            return; /* the next answer tries again */
        take_run(bus, ask);
        bus->flight_count += ask->count;
        bus->flight_bytes += ask->bytes;
        const bus_item_t *first = TAILQ_FIRST(&ask->items);
        if (first->verb == WIRE_PUBLISH)
            send_events(bus, ask, first);
        else
            send_messages(bus, ask, first);
    }
}

/* -- answers ------------------------------------------------------------------------------------------ */
static void leave_flight(bus_t *bus, bus_ask_t *ask)
{
    bus->flight_count -= ask->count;
    bus->flight_bytes -= ask->bytes;
}

static void finish_by(bus_t *bus, bus_item_t *item, const wire_result_entry_t *result)
{
    if (result->status == STATUS_OK) {
        finish(bus, item, NULL, result->record, result->duplicate);
        return;
    }
    error_t err;
    bus_error_fill(&err, result->status, result->aws, result->message, 0);
    finish(bus, item, &err, 0, false);
}

void bus_publish_answered(bus_t *bus, bus_ask_t *ask, const wire_published_t *answer)
{
    struct bus_items items = TAILQ_HEAD_INITIALIZER(items);
    TAILQ_CONCAT(&items, &ask->items, link);
    leave_flight(bus, ask);
    bus_ask_free(bus, ask);
    uint32_t at = 0;
    for (bus_item_t *item; (item = TAILQ_FIRST(&items)); at++) {
        TAILQ_REMOVE(&items, item, link);
        wire_result_entry_t missing = {.status = STATUS_INTERNAL,
                                       .message = BYTES_LIT("the broker answered fewer entries than it was sent")};
        finish_by(bus, item, at < answer->results.count ? &answer->results.items[at] : &missing);
    }
    bus_flush_soon(bus);
}

void bus_publish_refused(bus_t *bus, bus_ask_t *ask, const error_t *err)
{
    struct bus_items items = TAILQ_HEAD_INITIALIZER(items);
    TAILQ_CONCAT(&items, &ask->items, link);
    leave_flight(bus, ask);
    bus_ask_free(bus, ask);
    for (bus_item_t *item; (item = TAILQ_FIRST(&items));) {
        TAILQ_REMOVE(&items, item, link);
        finish(bus, item, err, 0, false);
    }
    bus_flush_soon(bus);
}

/* -- a lost link -------------------------------------------------------------------------------------- */
/* Sent again it is accepted once: by its producer sequence, or by its deduplication key. */
static bool may_be_sent_again(const bus_item_t *item)
{
    return item->producer_seq != 0 || (item->verb == WIRE_PUBLISH && item->dedup.len > 0);
}

static void split(struct bus_items *from, struct bus_items *again, struct bus_items *unknown)
{
    for (bus_item_t *item; (item = TAILQ_FIRST(from));) {
        TAILQ_REMOVE(from, item, link);
        if (may_be_sent_again(item))
            TAILQ_INSERT_TAIL(again, item, link);
        else
            TAILQ_INSERT_TAIL(unknown, item, link);
    }
}

void bus_publish_lost(bus_t *bus)
{
    struct bus_items again = TAILQ_HEAD_INITIALIZER(again), unknown = TAILQ_HEAD_INITIALIZER(unknown);
    for (bus_ask_t *ask = TAILQ_FIRST(&bus->asks), *next; ask; ask = next) {
        next = TAILQ_NEXT(ask, link);
        if (ask->verb != WIRE_PUBLISH && ask->verb != WIRE_SEND)
            continue;
        split(&ask->items, &again, &unknown);
        bus_ask_free(bus, ask);
    }
    bus->flight_count = bus->flight_bytes = 0;
    TAILQ_CONCAT(&again, &bus->items, link); /* the oldest first, as they were */
    TAILQ_CONCAT(&bus->items, &again, link);
    error_t err;
    error_set(&err, STATUS_UNAVAILABLE, "CONNECTION_LOST",
              "the connection was lost before the answer: outcome unknown");
    for (bus_item_t *item; (item = TAILQ_FIRST(&unknown));) {
        TAILQ_REMOVE(&unknown, item, link);
        finish(bus, item, &err, 0, false);
    }
}

void bus_publish_end(bus_t *bus, const error_t *err)
{
    for (bus_ask_t *ask = TAILQ_FIRST(&bus->asks), *next; ask; ask = next) {
        next = TAILQ_NEXT(ask, link);
        if (ask->verb == WIRE_PUBLISH || ask->verb == WIRE_SEND)
            bus_publish_refused(bus, ask, err);
    }
    for (bus_item_t *item; (item = TAILQ_FIRST(&bus->items));) {
        TAILQ_REMOVE(&bus->items, item, link);
        finish(bus, item, err, 0, false);
    }
}
