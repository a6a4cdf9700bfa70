/* deliver.c: works in portions that fit one frame: first all records of a portion are copied to one place, because a
 * record read from the journal lives only until the next; then they are decoded, and the frame is encoded. */
#include "broker/deliver.h"

#include <stdlib.h>

#include "kit/log.h"
#include "proto/attrs.h"
#include "proto/delivery_map.h"
#include "proto/message_attributes.h"
#include "proto/msgpack.h"

#define ITEM_OVERHEAD_BYTES 1024 /* of a delivery's header beside attributes and body */

typedef struct {
    size_t at, len;
} span_t;

struct deliver {
    const core_t *core;
    journal_t *journal;
    size_t max_frame_bytes;
    uint64_t unreadable;
    record_t *record;
    wire_deliver_t *deliver; /* its deliveries serve RECEIVED and RESULT too */
    wire_received_t *received;
    buf_t raw, attrs, named, scratch, frame;
    /* of the portion */
    const core_item_t *items[FIELDS_LIST_MAX];
    span_t records[FIELDS_LIST_MAX]; /* in raw */
    span_t merged[FIELDS_LIST_MAX];  /* in attrs; len 0: those of the record */
    message_digests_t digests[FIELDS_LIST_MAX];
    size_t count;
};

deliver_t *deliver_new(const core_t *core, journal_t *journal, size_t max_frame_bytes)
{
    deliver_t *d = calloc(1, sizeof *d);
    if (!d)
        return NULL;
    d->core = core;
    d->journal = journal;
    d->max_frame_bytes = max_frame_bytes;
    d->record = malloc(sizeof *d->record);
    d->deliver = malloc(sizeof *d->deliver);
    d->received = malloc(sizeof *d->received);
    if (!d->record || !d->deliver || !d->received)
        deliver_free(&d);
    return d;
}

void deliver_free(deliver_t **deliver)
{
    deliver_t *d = *deliver;
    *deliver = NULL;
    if (!d)
        return;
    free(d->record);
    free(d->deliver);
    free(d->received);
    buf_free(&d->raw);
    buf_free(&d->attrs);
    buf_free(&d->named);
    buf_free(&d->scratch);
    buf_free(&d->frame);
    free(d);
}

uint64_t deliver_unreadable(const deliver_t *deliver)
{
    return deliver->unreadable;
}

/* -- one item ------------------------------------------------------------------------------------ */
static void leave_out(deliver_t *d, uint64_t record, const error_t *err)
{
    d->unreadable++;
    log_error("a message cannot be delivered: its record cannot be read", LOG_I("record", record),
              LOG_S("error", err->message));
}

static void from_publish(const core_item_t *item, const record_publish_t *p, wire_delivery_t *out)
{
    out->source = p->bus;
    out->attrs = p->attrs;
    out->body = p->body;
    if (item->route >= p->routes.count)
        return;
    const record_route_t *route = &p->routes.items[item->route];
    out->group = route->group;
    if (route->transformed)
        out->body = route->body;
}

static void from_send(const deliver_t *d, const record_send_t *s, wire_delivery_t *out)
{
    out->source = bytes_cstr(core_queue_name(d->core, s->queue));
    out->group = s->group;
    out->attrs = s->attrs;
    out->body = s->body;
}

static void from_schedule(const deliver_t *d, const record_schedule_t *s, wire_delivery_t *out)
{
    out->source = bytes_cstr(core_queue_name(d->core, s->queue));
    out->group = s->group;
    out->attrs = s->attrs;
    out->body = s->body;
}

/* `base` with the replay's name put in; points into the deliverer. */
static bytes_t with_replay_name(deliver_t *d, bytes_t base, bytes_t replay_name)
{
    error_t err;
    buf_clear(&d->scratch);
    buf_clear(&d->named);
    mp_put_map(&d->scratch, 1);
    mp_put_cstr(&d->scratch, ATTR_REPLAY_NAME);
    mp_put_str(&d->scratch, replay_name);
    return attrs_merge(&d->named, base, buf_bytes(&d->scratch), &err) ? buf_bytes(&d->named) : base;
}

/* The record's attributes with those that the core adds and the replay's name; len 0 when they are as they were. */
static span_t merge_attrs(deliver_t *d, bytes_t base, bytes_t extra, bytes_t replay_name)
{
    error_t err;
    span_t merged = {.at = d->attrs.len};
    if (extra.len == 0 && replay_name.len == 0)
        return merged;
    if (replay_name.len > 0)
        base = with_replay_name(d, base, replay_name);
    if (attrs_merge(&d->attrs, base, extra, &err))
        merged.len = d->attrs.len - merged.at;
    else
        log_warn("attributes do not fit and are delivered as published", LOG_S("error", err.message));
    return merged;
}

/* -- selectors ----------------------------------------------------------------------------------- */
static bool name_selected(bytes_t select, bytes_t name)
{
    mp_reader_t r = mp_reader(select);
    uint32_t count;
    bytes_t wanted;
    if (!mp_get_array(&r, &count))
        return false;
    for (uint32_t i = 0; i < count && mp_get_str(&r, &wanted); i++) {
        bool is_prefix = wanted.len >= 2 && memcmp(wanted.data + wanted.len - 2, ".*", 2) == 0;
        if (is_prefix ? bytes_has_prefix(name, bytes_from(wanted.data, wanted.len - 2)) : bytes_eq(name, wanted))
            return true;
    }
    return false;
}

/* The selected pairs of `attrs`, in d->attrs; an empty map where there are none. */
static span_t select_attrs(deliver_t *d, bytes_t attrs, bytes_t select)
{
    error_t err;
    bytes_t name;
    attr_value_t value;
    span_t chosen = {.at = d->attrs.len};
    buf_clear(&d->scratch);
    attrs_writer_t w = attrs_begin(&d->scratch); /* `attrs` may lie in d->attrs, which moves when it grows */
    for (size_t at = 0; attrs_next(attrs, &at, &name, &value);)
        if (name_selected(select, name))
            attrs_put_value(&w, name, &value);
    if (!attrs_end(&w, &err))
        mp_put_map(&d->scratch, 0);
    buf_append_bytes(&d->attrs, buf_bytes(&d->scratch));
    chosen.len = d->attrs.len - chosen.at;
    return chosen;
}

static bytes_t extra_of(const core_item_t *item, const uint8_t *extras)
{
    return item->extra_len ? bytes_from(extras + item->extra_at, item->extra_len) : BYTES_NONE;
}

/* Fills out from the record; its attributes may still have to be put in place. */
static bool fill(deliver_t *d, size_t at, const deliver_request_t *q, wire_delivery_t *out)
{
    error_t err = {0};
    const core_item_t *item = d->items[at];
    bytes_t raw = bytes_from(d->raw.data + d->records[at].at, d->records[at].len), replay_name = BYTES_NONE;
    *out = (wire_delivery_t){.receipt = bytes_from(item->receipt, item->receipt_len),
                             .record = item->record,
                             .receives = item->receives,
                             .first_receive_us = item->first_receive_us,
                             .sent_us = item->sent_us,
                             .message = item->message};
    if (!record_decode(raw, d->record, &err)) {
        leave_out(d, item->record, &err);
        return false;
    }
    out->ingest_us = d->record->ingest_us;
    if (d->record->kind == RECORD_PUBLISH) {
        from_publish(item, &d->record->publish, out);
        replay_name = d->record->publish.replay_name;
    } else if (d->record->kind == RECORD_SEND) {
        from_send(d, &d->record->send, out);
    } else if (d->record->kind == RECORD_SCHEDULE) {
        from_schedule(d, &d->record->schedule, out);
    } else {
        error_set(&err, STATUS_DATA_LOSS, NULL, "it is a record of kind %s.",
                  record_kind_name((uint64_t)d->record->kind));
        leave_out(d, item->record, &err);
        return false;
    }
    span_t merged = merge_attrs(d, out->attrs, extra_of(item, q->extras), replay_name);
    if (q->select.len > 0)
        merged =
            select_attrs(d, merged.len ? bytes_from(d->attrs.data + merged.at, merged.len) : out->attrs, q->select);
    d->merged[at] = merged;
    return true;
}

/* -- a portion ----------------------------------------------------------------------------------- */
static void put_digests(wire_delivery_t *out, message_digests_t *digests)
{
    message_digests(out->body, out->attrs, digests);
    out->md5_body = bytes_cstr(digests->body);
    out->md5_attributes = bytes_cstr(digests->attributes);
}

static uint32_t fill_all(deliver_t *d, const deliver_request_t *q, wire_delivery_t *out)
{
    uint32_t filled = 0;
    span_t kept[FIELDS_LIST_MAX];
    buf_clear(&d->attrs);
    for (size_t i = 0; i < d->count; i++)
        if (fill(d, i, q, &out[filled]))
            kept[filled++] = d->merged[i];
    for (uint32_t i = 0; i < filled; i++) { /* only now does d->attrs stand still */
        if (kept[i].len > 0)
            out[i].attrs = bytes_from(d->attrs.data + kept[i].at, kept[i].len);
        if (q->digests)
            put_digests(&out[i], &d->digests[i]);
    }
    return filled;
}

static void encode_result(deliver_t *d, uint64_t seq, const wire_delivery_t *messages, uint32_t count)
{
    wire_result_t result = {0};
    buf_clear(&d->scratch);
    mp_put_array(&d->scratch, count);
    for (uint32_t i = 0; i < count; i++) {
        mp_put_map(&d->scratch, DELIVERY_MAP_PAIRS);
        delivery_map_put(&d->scratch, &messages[i]);
    }
    result.body = buf_bytes(&d->scratch);
    wire_encode_verb(&d->frame, WIRE_RESULT, seq, &result);
}

static void emit_portion(deliver_t *d, const deliver_request_t *q, deliver_emit_fn emit, void *ctx)
{
    wire_delivery_t *items = q->verb == WIRE_RECEIVED ? d->received->deliveries.items : d->deliver->deliveries.items;
    uint32_t count = fill_all(d, q, items);
    if (count == 0 && q->verb == WIRE_DELIVER)
        return;
    buf_clear(&d->frame);
    d->deliver->sub = q->sub;
    d->deliver->deliveries.count = d->received->deliveries.count = count;
    if (q->verb == WIRE_DELIVER)
        wire_encode_verb(&d->frame, WIRE_DELIVER, 0, d->deliver);
    else if (q->verb == WIRE_RECEIVED)
        wire_encode_verb(&d->frame, WIRE_RECEIVED, q->seq, d->received);
    else
        encode_result(d, q->seq, items, count);
    if (d->frame.failed)
        log_error("no memory for a delivery", LOG_I("count", count));
    else
        emit(ctx, q->peer, buf_bytes(&d->frame));
}

static void begin_portion(deliver_t *d)
{
    buf_clear(&d->raw);
    d->count = 0;
}

/* What a RECEIVED holds was chosen to fit one frame, however large the records are that it is taken from. */
static bool has_room(const deliver_t *d, const deliver_request_t *request, size_t more)
{
    if (request->verb == WIRE_RECEIVED)
        return d->count < FIELDS_LIST_MAX;
    size_t used = d->raw.len + d->count * ITEM_OVERHEAD_BYTES;
    return d->count == 0 || (d->count < FIELDS_LIST_MAX && used + more + ITEM_OVERHEAD_BYTES <= d->max_frame_bytes);
}

static void add_item(deliver_t *d, const core_item_t *item, bytes_t raw)
{
    d->items[d->count] = item;
    d->records[d->count++] = (span_t){.at = d->raw.len, .len = raw.len};
    buf_append_bytes(&d->raw, raw);
}

/* An event that cannot be had: whoever follows the bus must know that one is missing. */
static void emit_gap(deliver_t *d, const deliver_request_t *q, uint64_t record, deliver_emit_fn emit, void *ctx)
{
    const wire_gap_t gap = {.sub = q->sub, .from = record, .next = record + 1};
    buf_clear(&d->frame);
    wire_encode_verb(&d->frame, WIRE_GAP, 0, &gap);
    if (d->frame.failed)
        log_error("no memory for a gap", LOG_I("record", record));
    else
        emit(ctx, q->peer, buf_bytes(&d->frame));
}

void deliver_compose(deliver_t *deliver, const deliver_request_t *request, deliver_emit_fn emit, void *ctx)
{
    begin_portion(deliver);
    for (size_t i = 0; i < request->count; i++) {
        const core_item_t *item = &request->items[i];
        error_t err = {0};
        bytes_t raw;
        if (!journal_read(deliver->journal, item->record, &raw, &err)) {
            leave_out(deliver, item->record, &err);
            if (request->verb == WIRE_DELIVER && item->receipt_len == 0) {
                emit_portion(deliver, request, emit, ctx);
                emit_gap(deliver, request, item->record, emit, ctx);
                begin_portion(deliver);
            }
            continue;
        }
        if (!has_room(deliver, request, raw.len + item->extra_len)) {
            if (request->verb != WIRE_DELIVER)
                break; /* one answer, one frame: the rest is left out of a peek */
            emit_portion(deliver, request, emit, ctx);
            begin_portion(deliver);
        }
        add_item(deliver, item, raw);
    }
    emit_portion(deliver, request, emit, ctx);
}
