/* subscription.c: the table of subscriptions and their credit. */
#include "broker/core/subscription.h"

#include <stdlib.h>

#include "broker/core/answer.h"
#include "broker/core/attributes.h"
#include "broker/core/consume.h"
#include "broker/core/cursor.h"
#include "broker/core/ledger.h"
#include "broker/core/queue.h"
#include "broker/core/session.h"
#include "broker/core/topology.h"

typedef struct {
    uint32_t session;
    uint64_t number;
} sub_key_t;

sub_t *subscription_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->subs.all, id);
}

static bool sub_is(const void *ctx, uint32_t id, const void *key)
{
    const sub_t *sub = subscription_at(ctx, id);
    const sub_key_t *wanted = key;
    return sub->number == wanted->number && sub->session == wanted->session;
}

static sub_t *sub_find(const core_t *core, const session_t *session, uint64_t number)
{
    sub_key_t key = {session->id, number};
    return subscription_at(core,
                           map_find(&core->subs.by_number, map_hash_pair(session->id, number), sub_is, core, &key));
}

bool subscription_has_name(const core_t *core, bytes_t name)
{
    for (uint32_t i = 0; i < core->subs.cursors.count; i++)
        if (bytes_eq_cstr(name, subscription_at(core, core->subs.cursors.items[i])->name))
            return true;
    return false;
}

/* -- credit ---------------------------------------------------------------------------------------- */
bool subscription_has_credit(const sub_t *sub)
{
    return sub->credit_messages > 0 && sub->credit_bytes > 0;
}

void subscription_spend(sub_t *sub, size_t bytes)
{
    sub->credit_messages--;
    sub->credit_bytes -= (int64_t)bytes;
}

static int64_t credit_sum(int64_t have, uint64_t more, uint64_t most)
{
    if (more > most)
        more = most;
    int64_t sum = have + (int64_t)more;
    return sum > (int64_t)most ? (int64_t)most : sum;
}

static void sub_add_credit(const core_t *core, sub_t *sub, uint64_t messages, uint64_t bytes)
{
    sub->credit_messages = credit_sum(sub->credit_messages, messages, core->limits.delivery_window);
    sub->credit_bytes = credit_sum(sub->credit_bytes, bytes, core->limits.delivery_window_bytes);
}

static void sub_go_on(core_t *core, sub_t *sub)
{
    if (sub->kind == WIRE_SUBSCRIBE_QUEUE)
        queue_touch(core, pool_get(&core->queues, sub->queue));
    else
        cursor_go_on(core, sub);
}

void subscription_credit(core_t *core, session_t *session, const wire_msg_t *msg)
{
    sub_t *sub = sub_find(core, session, msg->credit.sub);
    if (!sub)
        return; /* it crossed the end of the subscription */
    sub_add_credit(core, sub, msg->credit.messages, msg->credit.bytes);
    sub_go_on(core, sub);
}

/* -- beginning ------------------------------------------------------------------------------------- */
static bool subscribe_check(const core_t *core, const session_t *session, const wire_subscribe_t *s, error_t *err)
{
    if (!answer_takes_work(core, err))
        return false;
    if (s->sub == 0 || sub_find(core, session, s->sub))
        return error_set(err, s->sub ? STATUS_ALREADY_EXISTS : STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "SUBSCRIBE.sub must not be 0, and must not be a number already taken in this session.");
    if (session->subs.count >= core->limits.subscriptions)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_SUBSCRIPTIONS",
                         "A session may hold %llu subscriptions.", (unsigned long long)core->limits.subscriptions);
    if (s->name.len > WIRE_NAME_MAX_BYTES || s->target.len > WIRE_NAME_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "A name exceeds %d bytes.",
                         WIRE_NAME_MAX_BYTES);
    return true;
}

static bool consume_check(const core_t *core, const wire_subscribe_t *s, queue_t **queue, error_t *err)
{
    if (!answer_allowed(core, ROLE_CONSUME, s->target, err))
        return false;
    *queue = queue_need(core, s->target, err);
    if (!*queue)
        return false;
    if (s->visibility_ms < -1 || s->visibility_ms > ATTRIBUTE_VISIBILITY_MAX_S * INT64_C(1000))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "visibility_ms must be from 0 to %d000, or -1 for the queue's own.",
                         ATTRIBUTE_VISIBILITY_MAX_S);
    return true;
}

static sub_t *sub_make(core_t *core, session_t *session, const wire_subscribe_t *s)
{
    sub_t *sub = memory_new(1, sizeof *sub);
    sub->session = session->id;
    sub->number = s->sub;
    sub->kind = s->kind;
    sub->id = pool_add(&core->subs.all, sub);
    map_add(&core->subs.by_number, map_hash_pair(session->id, s->sub), sub->id);
    ids_add(&session->subs, sub->id);
    sub_add_credit(core, sub, s->messages, s->bytes);
    return sub;
}

static sub_t *sub_begin_queue(core_t *core, session_t *session, const wire_subscribe_t *s, error_t *err)
{
    queue_t *queue;
    if (!consume_check(core, s, &queue, err))
        return NULL;
    sub_t *sub = sub_make(core, session, s);
    sub->queue = queue->id;
    sub->visibility_us = s->visibility_ms < 0 ? -1 : s->visibility_ms * US_PER_MS;
    ids_add(&queue->subs, sub->id);
    return sub;
}

static sub_t *sub_begin_bus(core_t *core, session_t *session, const wire_subscribe_t *s, error_t *err)
{
    pattern_t *pattern = NULL;
    uint32_t bus;
    if (!answer_allowed(core, ROLE_SUBSCRIBE, s->target, err) || !topology_bus_id(core, s->target, &bus, err))
        return NULL;
    if (s->pattern.len && !(pattern = pattern_compile(s->pattern, err)))
        return NULL;
    sub_t *sub = sub_make(core, session, s);
    sub->bus = bus;
    sub->name = memory_text(s->name);
    sub->pattern = pattern;
    sub->live_only = s->live_only;
    ids_add(&core->subs.cursors, sub->id);
    cursor_begin(core, sub, s->from, s->since_us);
    return sub;
}

/* So that the client knows when to extend what it holds. */
static int64_t sub_visibility_us(const core_t *core, const sub_t *sub)
{
    const queue_t *queue = sub->kind == WIRE_SUBSCRIBE_QUEUE ? pool_get(&core->queues, sub->queue) : NULL;
    return !queue ? 0 : sub->visibility_us < 0 ? queue->attributes.visibility_us : sub->visibility_us;
}

void subscription_handle(core_t *core, session_t *session, const wire_msg_t *msg)
{
    const wire_subscribe_t *s = &msg->subscribe;
    error_t err;
    sub_t *sub = NULL;
    if (subscribe_check(core, session, s, &err)) {
        if (s->kind == WIRE_SUBSCRIBE_QUEUE)
            sub = sub_begin_queue(core, session, s, &err);
        else if (s->kind == WIRE_SUBSCRIBE_BUS)
            sub = sub_begin_bus(core, session, s, &err);
        else
            error_set(&err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                      "SUBSCRIBE.kind must be 1 or 2, not %llu.", (unsigned long long)s->kind);
    }
    if (!sub) {
        answer_refuse(core, session->peer, msg->seq, &err);
        return;
    }
    const wire_subscribed_t subscribed = {
        .sub = sub->number, .next = sub->next, .visibility_ms = sub_visibility_us(core, sub) / US_PER_MS};
    effects_frame(core->out, session->peer, ledger_after(core), WIRE_SUBSCRIBED, msg->seq, &subscribed);
    sub_go_on(core, sub);
}

/* -- ending ---------------------------------------------------------------------------------------- */
static void sub_free(sub_t *sub)
{
    free(sub->name);
    pattern_free(&sub->pattern);
    free(sub);
}

/* The caller takes it off its session's list. */
static void sub_end(core_t *core, sub_t *sub)
{
    queue_t *queue = pool_get(&core->queues, sub->queue);
    if (queue)
        (void)ids_drop(&queue->subs, sub->id);
    else
        (void)ids_drop(&core->subs.cursors, sub->id);
    map_drop(&core->subs.by_number, map_hash_pair(sub->session, sub->number), sub->id);
    pool_drop(&core->subs.all, sub->id);
    sub_free(sub);
}

void subscription_unsubscribe(core_t *core, session_t *session, const wire_msg_t *msg)
{
    const wire_unsubscribed_t answer = {.sub = msg->unsubscribe.sub};
    sub_t *sub = sub_find(core, session, msg->unsubscribe.sub);
    if (!sub) {
        error_t err;
        error_set(&err, STATUS_NOT_FOUND, "ResourceNotFoundException", "There is no subscription %llu in this session.",
                  (unsigned long long)msg->unsubscribe.sub);
        answer_refuse(core, session->peer, msg->seq, &err);
        return;
    }
    (void)ids_drop(&session->subs, sub->id);
    sub_end(core, sub);
    effects_frame(core->out, session->peer, ledger_after(core), WIRE_UNSUBSCRIBED, msg->seq, &answer);
}

void subscription_end_of_session(core_t *core, session_t *session)
{
    while (session->subs.count)
        sub_end(core, subscription_at(core, session->subs.items[--session->subs.count]));
}

void subscription_end_of_queue(core_t *core, queue_t *queue)
{
    while (queue->subs.count) {
        sub_t *sub = subscription_at(core, queue->subs.items[queue->subs.count - 1]);
        session_t *session = session_at(core, sub->session);
        const wire_unsubscribed_t ended = {.sub = sub->number};
        effects_frame(core->out, session->peer, ledger_after(core), WIRE_UNSUBSCRIBED, 0, &ended);
        (void)ids_drop(&session->subs, sub->id);
        sub_end(core, sub);
    }
}

void subscriptions_free(core_t *core)
{
    for (uint32_t id = pool_next(&core->subs.all, 0); id; id = pool_next(&core->subs.all, id))
        sub_free(subscription_at(core, id));
    pool_free(&core->subs.all);
    map_free(&core->subs.by_number);
    ids_free(&core->subs.cursors);
}
