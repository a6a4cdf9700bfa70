/* session.c: the life of sessions. */
#include "broker/core/session.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/answer.h"
#include "broker/core/calls.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/permit.h"
#include "broker/core/producer.h"
#include "broker/core/receive.h"
#include "broker/core/subscription.h"
#include "broker/core/workers.h"

/* -- finding --------------------------------------------------------------------------------------- */
session_t *session_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->sessions.all, id);
}

static bool session_is_peer(const void *ctx, uint32_t id, const void *key)
{
    return session_at(ctx, id)->peer == *(const uint64_t *)key;
}

static bool session_is_number(const void *ctx, uint32_t id, const void *key)
{
    return session_at(ctx, id)->number == *(const uint64_t *)key;
}

static bool session_is_named(const void *ctx, uint32_t id, const void *key)
{
    return bytes_eq_cstr(*(const bytes_t *)key, session_at(ctx, id)->name);
}

session_t *session_by_peer(const core_t *core, uint64_t peer)
{
    return session_at(core, map_find(&core->sessions.by_peer, map_hash_pair(peer, 0), session_is_peer, core, &peer));
}

session_t *session_by_number(const core_t *core, uint64_t number)
{
    return session_at(core,
                      map_find(&core->sessions.by_number, map_hash_pair(number, 0), session_is_number, core, &number));
}

session_t *session_by_name(const core_t *core, bytes_t name)
{
    return session_at(core, map_find(&core->sessions.by_name, map_hash_bytes(name), session_is_named, core, &name));
}

/* -- timers ---------------------------------------------------------------------------------------- */
static bool session_before(const void *ctx, uint32_t a, uint32_t b)
{
    const session_t *x = session_at(ctx, a), *y = session_at(ctx, b);
    return x->timer_us != y->timer_us ? x->timer_us < y->timer_us : x->number < y->number;
}

static uint32_t *session_place(void *ctx, uint32_t id)
{
    return &session_at(ctx, id)->heap_at;
}

void sessions_init(core_t *core)
{
    static const heap_kind_t kind = {session_before, session_place};
    heap_init(&core->sessions.timers, &kind, core);
}

int64_t session_silence_us(const core_t *core)
{
    return (int64_t)core->limits.heartbeat_ms * US_PER_MS * SESSION_HEARTBEATS;
}

static int64_t grace_us(const core_t *core)
{
    return (int64_t)core->limits.grace_ms * US_PER_MS;
}

static void session_arm(core_t *core, session_t *s)
{
    s->timer_us = s->heard_us + (s->is_silent ? grace_us(core) : session_silence_us(core));
    heap_set(&core->sessions.timers, s->id);
}

/* The timer is left where it is: when it comes it looks again, which is cheaper than moving it each time. */
void session_heard(core_t *core, session_t *session)
{
    session->heard_us = core->now_us;
}

int64_t sessions_next_us(const core_t *core)
{
    uint32_t id = heap_top(&core->sessions.timers);
    return id ? session_at(core, id)->timer_us : INT64_MAX;
}

/* -- losing and ending -------------------------------------------------------------------------------- */
static void session_disconnect(core_t *core, session_t *s)
{
    if (!s->peer)
        return;
    map_drop(&core->sessions.by_peer, map_hash_pair(s->peer, 0), s->id);
    s->peer = 0;
    s->has_served = false;
    subscription_end_of_session(core, s);
    receives_end_of_session(core, s);
    permits_end_of_session(core, s);
    workers_disconnect(core, s);
}

static void session_lose(core_t *core, session_t *s, const char *why)
{
    session_disconnect(core, s);
    s->state = SESSION_LOST;
    s->is_silent = false;
    session_arm(core, s);
    effects_log(core->out, LOG_INFO, "session %llu of %s is lost: %s", (unsigned long long)s->number, s->name, why);
}

static void session_write(core_t *core, uint64_t number, bytes_t name, bytes_t resume, bool ended)
{
    core->record->session = (record_session_t){.session = number, .name = name, .resume = resume, .ended = ended};
    (void)ledger_write(core, RECORD_SESSION);
}

static void session_end(core_t *core, session_t *s, const char *why)
{
    session_disconnect(core, s);
    workers_lost(core, s);
    calls_lose_caller(core, s);
    effects_log(core->out, LOG_INFO, "session %llu of %s ended (%s), %u deliveries returned",
                (unsigned long long)s->number, s->name, why, s->held.count);
    session_write(core, s->number, bytes_cstr(s->name), BYTES_NONE, true);
}

/* Silent for three heartbeats: the connection is given up, and the calls it was running. Then the grace. */
static void session_overdue(core_t *core, session_t *s)
{
    if (s->is_silent) {
        session_end(core, s, "grace is over");
        return;
    }
    if (s->state == SESSION_LIVE)
        session_lose(core, s, "silent");
    s->is_silent = true;
    workers_lost(core, s);
    session_arm(core, s);
}

void sessions_due(core_t *core)
{
    uint32_t id;
    while ((id = heap_top(&core->sessions.timers)) != 0) {
        session_t *s = session_at(core, id);
        if (s->timer_us > core->now_us)
            return;
        session_arm(core, s);
        if (s->timer_us > core->now_us)
            continue; /* it was heard of since */
        session_overdue(core, s);
    }
}

void session_gone(core_t *core, uint64_t peer)
{
    session_t *s = session_by_peer(core, peer);
    if (s)
        session_lose(core, s, "its connection is gone");
}

void session_bye(core_t *core, session_t *session, const wire_msg_t *msg)
{
    char why[64];
    (void)bytes_to_cstr(msg->bye.reason.len ? msg->bye.reason : BYTES_LIT("BYE"), why, sizeof why);
    session_end(core, session, why);
}

void sessions_start(core_t *core)
{
    for (uint32_t id = pool_next(&core->sessions.all, 0); id; id = pool_next(&core->sessions.all, id)) {
        session_t *s = session_at(core, id);
        s->heard_us = core->now_us;
        session_arm(core, s);
    }
}

void sessions_stop(core_t *core)
{
    const wire_bye_t bye = {.reason = BYTES_LIT("the broker is stopping; resume the session when it is back")};
    for (uint32_t id = pool_next(&core->sessions.all, 0); id; id = pool_next(&core->sessions.all, id))
        effects_frame(core->out, session_at(core, id)->peer, ledger_after(core), WIRE_BYE, 0, &bye);
}

/* -- HELLO ------------------------------------------------------------------------------------------ */
static bool hello_check(const core_t *core, const wire_hello_t *hello, error_t *err)
{
    if (core->is_stopping) {
        error_set(err, STATUS_UNAVAILABLE, "STOPPING", "The broker is stopping: come back in a moment.");
        err->retry_after_ms = 1000;
        return false;
    }
    if (hello->protocol != WIRE_PROTOCOL)
        return error_set(err, STATUS_FAILED_PRECONDITION, "PROTOCOL_VERSION",
                         "This broker speaks protocol %d, not %llu.", WIRE_PROTOCOL,
                         (unsigned long long)hello->protocol);
    if (hello->name.len == 0 || hello->name.len > WIRE_NAME_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "HELLO.name must have 1 to %d bytes.",
                         WIRE_NAME_MAX_BYTES);
    if (hello->producer.len > WIRE_NAME_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "HELLO.producer must not exceed %d bytes.", WIRE_NAME_MAX_BYTES);
    return true;
}

/* Compares in constant time: the token is a secret. */
static bool session_owns(const session_t *s, bytes_t resume)
{
    if (resume.len != CORE_RESUME_BYTES)
        return false;
    unsigned differ = 0;
    for (size_t i = 0; i < CORE_RESUME_BYTES; i++)
        differ |= (unsigned)(s->resume[i] ^ resume.data[i]);
    return differ == 0;
}

/* Makes way for a newcomer of the same name: only a session that was silent too long is pushed out. */
static bool name_vacate(core_t *core, session_t *old, error_t *err)
{
    int64_t free_us = old->heard_us + session_silence_us(core);
    if (old->state == SESSION_LIVE && free_us > core->now_us) {
        error_set(err, STATUS_ALREADY_EXISTS, "NAME_IN_USE",
                  "Another live session has the name \"%s\": resume it with its token, or take another name.",
                  old->name);
        err->retry_after_ms = (free_us - core->now_us) / US_PER_MS + 1;
        return false;
    }
    session_end(core, old, "another of the same name took its place");
    return true;
}

static session_t *session_open(core_t *core, const wire_hello_t *hello, error_t *err)
{
    if (core->sessions.all.used >= core->limits.sessions) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, "TOO_MANY_SESSIONS", "The broker holds its %llu sessions already.",
                  (unsigned long long)core->limits.sessions);
        return NULL;
    }
    session_write(core, core->sessions.newest + 1, hello->name, bytes_from(core->input->random, CORE_RESUME_BYTES),
                  false);
    return session_by_name(core, hello->name);
}

/* The session that this HELLO is to have: its own, or a new one. NULL when refused. A connection that had
 * another session ends that one. */
static session_t *hello_session(core_t *core, const wire_hello_t *hello, bool *resumed, error_t *err)
{
    session_t *old = session_by_name(core, hello->name);
    session_t *current = session_by_peer(core, core->input->peer);
    *resumed = old && session_owns(old, hello->resume);
    if (current && !(*resumed && current == old)) {
        session_end(core, current, "HELLO");
        old = session_by_name(core, hello->name);
    }
    if (*resumed)
        return old;
    if (old && !name_vacate(core, old, err))
        return NULL;
    return session_open(core, hello, err);
}

static bool hello_producer(core_t *core, const wire_hello_t *hello, uint64_t *producer, uint64_t *newest, error_t *err)
{
    *producer = *newest = 0;
    if (!hello->producer.len)
        return true;
    const producer_t *p = producer_open(core, hello->producer, hello->epoch, err);
    if (!p)
        return false;
    *producer = p->number;
    *newest = p->newest;
    return true;
}

static void session_connect(core_t *core, session_t *s, uint64_t peer)
{
    session_disconnect(core, s);
    s->peer = peer;
    map_add(&core->sessions.by_peer, map_hash_pair(peer, 0), s->id);
    s->state = SESSION_LIVE;
    s->is_silent = false;
    s->heard_us = core->now_us;
    session_arm(core, s);
}

static void session_welcome(core_t *core, const session_t *s, bool resumed, uint64_t producer_seq)
{
    const core_limits_t *limits = &core->limits;
    const wire_welcome_t welcome = {
        .protocol = WIRE_PROTOCOL,
        .broker = bytes_cstr(core->broker_name),
        .version = bytes_cstr(core->version),
        .session = s->number,
        .resume = bytes_from(s->resume, sizeof s->resume),
        .resumed = resumed,
        .grace_ms = limits->grace_ms,
        .heartbeat_ms = limits->heartbeat_ms,
        .max_frame_bytes = limits->max_frame_bytes,
        .time_us = core->now_us,
        .producer_seq = producer_seq,
        .publish_window = limits->publish_window,
        .publish_window_bytes = limits->publish_window_bytes,
        .delivery_window = limits->delivery_window,
        .delivery_window_bytes = limits->delivery_window_bytes,
        .call_window = limits->call_window,
        .reply_window_bytes = limits->reply_window_bytes,
        .head = core->next_seq - 1,
    };
    effects_frame(core->out, s->peer, ledger_after(core), WIRE_WELCOME, core->input->msg->seq, &welcome);
}

void session_hello(core_t *core, const wire_msg_t *msg)
{
    const wire_hello_t *hello = &msg->hello;
    error_t err;
    bool resumed = false;
    uint64_t producer, producer_seq;
    session_t *s = NULL;
    if (hello_check(core, hello, &err) && hello_producer(core, hello, &producer, &producer_seq, &err))
        s = hello_session(core, hello, &resumed, &err);
    if (!s) {
        answer_refuse(core, core->input->peer, msg->seq, &err);
        return;
    }
    session_connect(core, s, core->input->peer);
    producer_let_go(core, s->producer);
    s->producer = producer;
    producer_hold(core, producer);
    s->epoch = hello->epoch;
    effects_log(core->out, LOG_INFO, "session %llu of %.*s %s (%.*s)", (unsigned long long)s->number,
                BYTES_FMT(hello->name), resumed ? "resumed" : "begins", BYTES_FMT(hello->version));
    session_welcome(core, s, resumed, producer_seq);
}

/* -- applying ---------------------------------------------------------------------------------------- */
static void session_make(core_t *core, const record_session_t *r)
{
    session_t *s = memory_new(1, sizeof *s);
    s->number = r->session;
    s->name = memory_text(r->name);
    memcpy(s->resume, r->resume.data, sizeof s->resume);
    s->state = SESSION_LOST;
    s->id = pool_add(&core->sessions.all, s);
    map_add(&core->sessions.by_name, map_hash_bytes(r->name), s->id);
    map_add(&core->sessions.by_number, map_hash_pair(s->number, 0), s->id);
    if (s->number > core->sessions.newest)
        core->sessions.newest = s->number;
}

static void session_free(session_t *s)
{
    free(s->name);
    ids_free(&s->subs);
    ids_free(&s->receives);
    ids_free(&s->permits);
    ids_free(&s->serves);
    free(s);
}

/* Newest first, so that those that go to the front of their queue stand there in their old order. */
static void session_return_held(core_t *core, const session_t *s, int64_t now_us)
{
    while (s->held.tail)
        message_release(core, s->held.tail, 0, now_us);
}

static void session_drop(core_t *core, session_t *s, int64_t now_us)
{
    session_return_held(core, s, now_us);
    producer_let_go(core, s->producer);
    heap_drop(&core->sessions.timers, s->id);
    map_drop(&core->sessions.by_name, map_hash_bytes(bytes_cstr(s->name)), s->id);
    map_drop(&core->sessions.by_number, map_hash_pair(s->number, 0), s->id);
    pool_drop(&core->sessions.all, s->id);
    session_free(s);
}

bool session_apply(core_t *core, const record_t *record, error_t *err)
{
    const record_session_t *r = &record->session;
    session_t *s = session_by_number(core, r->session);
    session_t *before = s ? NULL : session_by_name(core, r->name);
    /* One of the same name that has not ended: its end is lost. */
    if (before && !r->ended && ledger_forgives(core, record)) {
        session_drop(core, before, record->ingest_us);
        before = NULL;
    }
    if ((s != NULL) != r->ended || (!s && (before || r->resume.len != CORE_RESUME_BYTES)))
        return ledger_misfit(err, record, "session", r->session);
    if (s)
        session_drop(core, s, record->ingest_us);
    else
        session_make(core, r);
    return true;
}

void sessions_free(core_t *core)
{
    sessions_t *all = &core->sessions;
    for (uint32_t id = pool_next(&all->all, 0); id; id = pool_next(&all->all, id))
        session_free(session_at(core, id));
    pool_free(&all->all);
    map_free(&all->by_peer);
    map_free(&all->by_name);
    map_free(&all->by_number);
    heap_free(&all->timers);
}
