/* consume.c: from a queue's visible chain to DELIVER and RECEIVED frames, one DELIVERED record for each frame. */
#include "broker/core/consume.h"

#include <stdio.h>

#include "broker/core/group.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/receive.h"
#include "broker/core/retire.h"
#include "broker/core/session.h"
#include "broker/core/slice.h"
#include "broker/core/subscription.h"
#include "broker/core/tenant.h"
#include "proto/attrs.h"
#include "proto/envelope.h"

/* -- receipts -------------------------------------------------------------------------------------- */
static uint64_t receipt_check(const receipt_t *receipt)
{
    return map_mix(map_mix(receipt->queue, receipt->record), receipt->receives);
}

static void put_le(uint8_t *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        out[i] = (uint8_t)(value >> (8 * i));
}

static uint64_t get_le(const uint8_t *in, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value |= (uint64_t)in[i] << (8 * i);
    return value;
}

void receipt_write(uint8_t out[CORE_RECEIPT_BYTES], const receipt_t *receipt)
{
    put_le(out, receipt->queue, 8);
    put_le(out + 8, receipt->record, 8);
    put_le(out + 16, receipt->receives, 4);
    put_le(out + 20, receipt_check(receipt), 8);
}

bool receipt_read(bytes_t bytes, receipt_t *out)
{
    if (bytes.len != CORE_RECEIPT_BYTES)
        return false;
    *out = (receipt_t){
        .queue = get_le(bytes.data, 8),
        .record = get_le(bytes.data + 8, 8),
        .receives = (uint32_t)get_le(bytes.data + 16, 4),
    };
    return get_le(bytes.data + 20, 8) == receipt_check(out);
}

/* -- items ----------------------------------------------------------------------------------------- */
/* EventBridge's, of account and region of events born here. `led_here` is BUS/RULE/TARGET, or /SCHEDULE. */
static void put_arns(const char *led_here, const char *queue, attrs_writer_t *w)
{
    const char *target = strrchr(led_here, '/');
    bool is_rule = led_here[0] != '/' && target;
    size_t len = is_rule ? (size_t)(target - led_here) : strlen(led_here);
    buf_t arn = {0};
    buf_printf(&arn, ENVELOPE_LOCAL_ARN("events") "rule%s%.*s", is_rule ? "/" : "", (int)len, led_here);
    attrs_put_str(w, ATTR_RULE_ARN, buf_bytes(&arn));
    buf_clear(&arn);
    buf_printf(&arn, ENVELOPE_LOCAL_ARN("sqs") "%s", queue);
    attrs_put_str(w, ATTR_TARGET_ARN, buf_bytes(&arn));
    buf_free(&arn);
}

static void put_dead(const core_t *core, const message_t *message, const dead_t *dead, attrs_writer_t *w)
{
    const char *source = name_text(core, dead->source), *reason = name_text(core, dead->reason);
    attrs_put_str(w, ATTR_DEAD_LETTER_REASON, bytes_cstr(reason));
    attrs_put_str(w, ATTR_DEAD_LETTER_SOURCE, bytes_cstr(source));
    attrs_put_str(w, ATTR_DEAD_LETTER_QUEUE_SOURCE_ARN, bytes_cstr(source));
    attrs_put_int(w, ATTR_DEAD_LETTER_TIME_MS, dead->moved_us / US_PER_MS);
    attrs_put_int(w, ATTR_RETRY_ATTEMPTS, dead->receives);
    attrs_put_str(w, ATTR_ERROR_CODE, bytes_cstr(retire_error_code(reason)));
    attrs_put_str(w, ATTR_ERROR_MESSAGE, bytes_cstr(dead->detail ? dead->detail : reason));
    if (dead->detail)
        attrs_put_str(w, ATTR_DEAD_LETTER_DETAIL, bytes_cstr(dead->detail));
    if (retire_exhausted_by(reason))
        attrs_put_str(w, ATTR_EXHAUSTED_RETRY_CONDITION, bytes_cstr(retire_exhausted_by(reason)));
    if (message->rule)
        put_arns(name_text(core, message->rule), source, w);
}

/* The record's number is the sequence number: it grows in every group, and not by one. */
static void put_fifo(const message_t *message, const dead_t *dead, attrs_writer_t *w)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%020llu", (unsigned long long)message->record);
    attrs_put_str(w, ATTR_SEQUENCE_NUMBER, bytes_cstr(number));
    if (!dead)
        return;
    (void)snprintf(number, sizeof number, "%llu", (unsigned long long)dead->origin);
    attrs_put_str(w, ATTR_MESSAGE_DEDUPLICATION_ID, bytes_cstr(number));
}

void item_attributes(core_t *core, const message_t *message, core_item_t *item)
{
    const dead_t *dead = message_dead(core, message);
    const queue_t *queue = pool_get(&core->queues, message->queue);
    if ((!dead || dead->is_redriven) && !queue->attributes.is_fifo)
        return;
    buf_t *out = &core->out->bytes;
    size_t at = out->len;
    attrs_writer_t w = attrs_begin(out);
    if (dead && !dead->is_redriven)
        put_dead(core, message, dead, &w);
    if (queue->attributes.is_fifo)
        put_fifo(message, dead, &w);
    if (!attrs_end(&w, NULL))
        return;
    item->extra_at = (uint32_t)at;
    item->extra_len = (uint32_t)(out->len - at);
}

void item_fill(core_t *core, const message_t *message, core_item_t *item)
{
    item->record = message_origin(core, message, NULL);
    item->route = message->route == MESSAGE_NO_ROUTE ? CORE_NO_ROUTE : message->route;
    item->receives = message->receives;
    item->first_receive_us = message_first_receive_us(core, message);
    item->sent_us = message->sent_us;
    item->message = message->record;
    item_attributes(core, message, item);
}

void item_deliver(core_t *core, const queue_t *queue, const message_t *message)
{
    core_item_t *item = effects_item(core->out);
    item_fill(core, message, item);
    const receipt_t receipt = {queue->incarnation, message->record, message->receives};
    receipt_write(item->receipt, &receipt);
    item->receipt_len = CORE_RECEIPT_BYTES;
}

/* -- one turn -------------------------------------------------------------------------------------- */
uint32_t consume_first(const core_t *core, const queue_t *queue)
{
    if (!queue->attributes.is_fifo)
        return queue->groups.used ? tenants_first(core, queue) : queue->visible.head;
    const group_t *ready = group_at(queue, queue->ready.head);
    return ready ? group_first(core, ready) : 0;
}

/* Messages received too often leave before they are looked at, as SQS moves them on the next receive. What is too old
 * is to be moved as well. 0 also when this step may move no more: the queue is looked at again in the next one. */
static uint32_t first_deliverable(core_t *core, const queue_t *queue)
{
    uint32_t id;
    bool is_unfinished = queue->expires_us <= core->now_us;
    while (!is_unfinished && (id = consume_first(core, queue)) != 0) {
        if (!retire_is_exhausted(core, queue, message_at(core, id)))
            return id;
        is_unfinished = !slice_take(&core->slice, core->now_us);
        if (!is_unfinished)
            retire_exhausted(core, queue, id, BYTES_NONE);
    }
    if (is_unfinished)
        ids_add(&core->unfinished, queue->id);
    return 0;
}

int64_t consume_visibility_us(const core_t *core, const sub_t *sub)
{
    const queue_t *queue = pool_get(&core->queues, sub->queue);
    return sub->visibility_us < 0 ? queue->attributes.visibility_us : sub->visibility_us;
}

/* Who is to get messages next: a subscription, or the first RECEIVE in line. */
typedef struct {
    const session_t *session;
    sub_t *sub;         /* or */
    receive_t *receive; /* NULL for a subscription */
    int64_t visibility_us;
} taker_t;

static bool taker_takes(const core_t *core, const taker_t *taker, uint64_t have_bytes, const message_t *m)
{
    if (taker->sub)
        return subscription_has_credit(taker->sub) && have_bytes < DELIVER_BYTES;
    return have_bytes == 0 || have_bytes + m->bytes <= core->limits.max_frame_bytes / 2; /* one answer, one frame */
}

static uint32_t taker_most(const core_t *core, const queue_t *queue, const taker_t *taker, uint32_t share)
{
    uint64_t room = core->limits.in_flight - queue->in_flight;
    uint32_t most = share < CONSUME_TURN ? share : CONSUME_TURN;
    if (taker->receive && most > taker->receive->most)
        most = taker->receive->most;
    return most < room ? most : (uint32_t)room;
}

static void entry_add(core_t *core, const queue_t *queue, const taker_t *taker, const message_t *m)
{
    record_delivered_t *r = &core->record->delivered;
    if (taker->sub)
        subscription_spend(taker->sub, m->bytes);
    r->entries.items[r->entries.count++] = (record_delivered_entry_t){
        .queue = queue->incarnation,
        .record = m->record,
        .receives = m->receives + UINT64_C(1),
        .invisible_until_us = core->now_us + taker->visibility_us,
        .session = taker->session->number,
    };
}

typedef struct {
    const queue_t *queue;
    const taker_t *taker;
    uint32_t most;
    uint64_t bytes;
} turn_t;

/* One that was received too often stays: its turn to be moved comes when it is first. */
static bool turn_add(core_t *core, turn_t *turn, const message_t *m)
{
    if (core->record->delivered.entries.count >= turn->most || !taker_takes(core, turn->taker, turn->bytes, m) ||
        retire_is_exhausted(core, turn->queue, m))
        return false;
    turn->bytes += m->bytes;
    entry_add(core, turn->queue, turn->taker, m);
    return true;
}

/* As many of one group as there are, then others, as SQS does. */
static void turn_choose_groups(core_t *core, turn_t *turn)
{
    const group_t *group = group_at(turn->queue, turn->queue->ready.head);
    for (; group; group = group_at(turn->queue, group->next)) {
        uint32_t id = group_first(core, group), first = id;
        while (id && turn_add(core, turn, message_at(core, id)))
            id = group_next(core, group, id);
        if (id == first)
            return; /* no room, or it is to be moved first */
    }
}

/* Each changes who is next: they leave at once, and the record says it for all. */
static void turn_choose_fair(core_t *core, turn_t *turn)
{
    session_t *session = session_at(core, turn->taker->session->id);
    const record_delivered_t *r = &core->record->delivered;
    uint32_t id;
    while ((id = tenants_first(core, turn->queue)) != 0 && turn_add(core, turn, message_at(core, id))) {
        const record_delivered_entry_t *entry = &r->entries.items[r->entries.count - 1];
        message_deliver(core, id, session, entry->receives, entry->invisible_until_us, core->now_us);
    }
    (void)ledger_write_applied(core, RECORD_DELIVERED);
}

/* Chooses messages for one frame and lists them in the record; they leave their chain when it is applied, so
 * the walk goes along the chain. */
static void turn_choose(core_t *core, turn_t *turn)
{
    if (turn->queue->attributes.is_fifo) {
        turn_choose_groups(core, turn);
        return;
    }
    for (uint32_t id = turn->queue->visible.head; id && turn_add(core, turn, message_at(core, id));)
        id = message_at(core, id)->next;
}

static void turn_take(core_t *core, turn_t *turn)
{
    core->record->delivered.entries.count = 0;
    if (!turn->queue->attributes.is_fifo && turn->queue->groups.used) {
        turn_choose_fair(core, turn);
        return;
    }
    turn_choose(core, turn);
    (void)ledger_write(core, RECORD_DELIVERED);
}

static void turn_deliver(core_t *core, const queue_t *queue, const taker_t *taker)
{
    const record_delivered_t *r = &core->record->delivered;
    size_t first = core->out->item_count;
    for (uint32_t i = 0; i < r->entries.count; i++)
        item_deliver(core, queue, message_at(core, message_find(core, queue->id, r->entries.items[i].record)));
    core->stats.delivered += r->entries.count;
    if (taker->receive) {
        receive_answer(core, taker->receive, first, r->entries.count);
        return;
    }
    core_out_t *out = effects_add(core->out, CORE_OUT_DELIVER);
    out->peer = taker->session->peer;
    out->after = ledger_after(core);
    out->deliver.verb = WIRE_DELIVER;
    out->deliver.sub = taker->sub->number;
    out->deliver.first = first;
    out->deliver.count = r->entries.count;
}

/* -- turns ----------------------------------------------------------------------------------------- */
/* Whose place this is among the takers; false when it can take nothing now. */
static bool taker_at(const core_t *core, const queue_t *queue, uint32_t at, taker_t *out)
{
    int64_t own_us = queue->attributes.visibility_us;
    if (at < queue->subs.count) {
        sub_t *sub = subscription_at(core, queue->subs.items[at]);
        *out = (taker_t){session_at(core, sub->session), sub, NULL, consume_visibility_us(core, sub)};
        return subscription_has_credit(sub);
    }
    receive_t *receive = receive_first(core, queue);
    *out = (taker_t){session_at(core, receive->session), NULL, receive,
                     receive->visibility_us < 0 ? own_us : receive->visibility_us};
    return true;
}

/* The next taker in turn, and how many are able; 0 when none is. */
static uint32_t next_in_turn(const core_t *core, queue_t *queue, taker_t *chosen)
{
    uint32_t count = queue->subs.count + (queue->receives.count != 0), turn = 0, able = 0;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t at = (queue->sub_turn + i) % count;
        taker_t taker;
        if (!taker_at(core, queue, at, &taker))
            continue;
        if (!able++) {
            *chosen = taker;
            turn = at + 1;
        }
    }
    queue->sub_turn = turn;
    return able;
}

static void consume_queue(core_t *core, queue_t *queue)
{
    uint32_t able;
    taker_t taker = {0};
    if (!queue->attributes.is_fifo)
        tenants_calm(core, queue);
    while (consume_first(core, queue) && queue->in_flight < core->limits.in_flight &&
           (able = next_in_turn(core, queue, &taker)) != 0) {
        if (!first_deliverable(core, queue))
            return;
        uint32_t share = (queue->visible.count + able - 1) / able;
        turn_t turn = {queue, &taker, taker_most(core, queue, &taker, share), 0};
        turn_take(core, &turn);
        turn_deliver(core, queue, &taker);
    }
}

/* Grows while it is walked: a message moved to another queue touches that one. */
void consume_touched(core_t *core)
{
    for (uint32_t i = 0; i < core->touched.count; i++) {
        queue_t *queue = pool_get(&core->queues, core->touched.items[i]);
        if (!queue)
            continue; /* dropped by an input that came in between */
        queue->is_touched = false;
        consume_queue(core, queue);
    }
    core->touched.count = 0;
    for (uint32_t i = 0; i < core->unfinished.count; i++)
        queue_touch(core, pool_get(&core->queues, core->unfinished.items[i]));
    core->unfinished.count = 0;
}
