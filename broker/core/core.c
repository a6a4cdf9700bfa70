/* core.c: the core's door: takes one input, finds who it is for, and lets due timers and deliveries follow. */
#include "broker/core/core.h"

#include <stdlib.h>

#include "broker/core/admin.h"
#include "broker/core/answer.h"
#include "broker/core/attempt.h"
#include "broker/core/calls.h"
#include "broker/core/condemned.h"
#include "broker/core/consume.h"
#include "broker/core/cursor.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/permit.h"
#include "broker/core/producer.h"
#include "broker/core/publish.h"
#include "broker/core/queue.h"
#include "broker/core/receive.h"
#include "broker/core/replay.h"
#include "broker/core/retire.h"
#include "broker/core/schedule.h"
#include "broker/core/session.h"
#include "broker/core/settle.h"
#include "broker/core/slice.h"
#include "broker/core/state.h"
#include "broker/core/subscription.h"
#include "broker/core/task.h"
#include "broker/core/topology.h"
#include "broker/core/wake.h"
#include "broker/core/workers.h"

/* -- life -------------------------------------------------------------------------------------------- */
static uint64_t or_default(uint64_t value, uint64_t normal)
{
    return value ? value : normal;
}

static void limits_take(core_limits_t *out, const core_limits_t *in)
{
    *out = (core_limits_t){
        .grace_ms = or_default(in->grace_ms, 30000),
        .heartbeat_ms = or_default(in->heartbeat_ms, 2000),
        .max_frame_bytes = or_default(in->max_frame_bytes, WIRE_FRAME_MAX_BYTES),
        .sessions = or_default(in->sessions, 4096),
        .subscriptions = or_default(in->subscriptions, 256),
        .receives = or_default(in->receives, 256),
        .in_flight = or_default(in->in_flight, 120000),
        .publish_window = or_default(in->publish_window, 4096),
        .publish_window_bytes = or_default(in->publish_window_bytes, (uint64_t)16 << 20),
        .delivery_window = or_default(in->delivery_window, 4096),
        .delivery_window_bytes = or_default(in->delivery_window_bytes, (uint64_t)16 << 20),
        .call_window = or_default(in->call_window, 1024),
        .call_queue = or_default(in->call_queue, 1024),
        .reply_window_bytes = or_default(in->reply_window_bytes, (uint64_t)1 << 20),
        .producer_window = or_default(in->producer_window, 1024),
        .producers = or_default(in->producers, 4096),
        .queues = or_default(in->queues, 10000),
        .slice_messages = or_default(in->slice_messages, SLICE_MESSAGES),
        .lag_records = or_default(in->lag_records, 1000000),
    };
}

/* Numbers of sessions and queues are narrow in a message. */
static uint64_t at_most(uint64_t value, uint64_t most)
{
    return value < most ? value : most;
}

core_t *core_new(const core_config_t *config, error_t *err)
{
    core_t *core = calloc(1, sizeof *core);
    record_t *record = calloc(1, sizeof *record);
    core_answers_t *answers = calloc(1, sizeof *answers);
    if (!core || !record || !answers) {
        free(core);
        free(record);
        free(answers);
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for the broker's state.");
        return NULL;
    }
    core->record = record;
    core->answers = answers;
    core->next_seq = 1;
    core->wake_until_us = INT64_MAX;
    limits_take(&core->limits, &config->limits);
    core->limits.sessions = at_most(core->limits.sessions, MESSAGE_IDS_MAX);
    core->limits.queues = at_most(core->limits.queues, MESSAGE_IDS_MAX);
    core->broker_name = memory_text(bytes_cstr(config->broker_name));
    core->version = memory_text(bytes_cstr(config->version));
    messages_init(core);
    sessions_init(core);
    receives_init(core);
    calls_init(core);
    permits_init(core);
    tasks_init(core);
    schedules_init(core, config->zones);
    return core;
}

static void names_free(core_t *core)
{
    for (uint32_t id = pool_next(&core->names, 0); id; id = pool_next(&core->names, id))
        free(pool_get(&core->names, id));
    pool_free(&core->names);
    map_free(&core->names_by_text);
}

void core_free(core_t **core)
{
    core_t *c = *core;
    if (!c)
        return;
    subscriptions_free(c);
    receives_free(c);
    attempts_free(c);
    calls_free(c);
    permits_free(c);
    tasks_free(c);
    schedules_free(c);
    replays_free(c);
    sessions_free(c);
    producers_free(c);
    topology_free(c);
    messages_free(c);
    queues_free(c);
    names_free(c);
    ids_free(&c->scratch);
    free(c->record);
    free(c->answers);
    free(c->broker_name);
    free(c->version);
    free(c);
    *core = NULL;
}

bool core_apply(core_t *core, const record_t *record, error_t *err)
{
    if (record->seq < core->next_seq || record->ingest_us < core->now_us)
        return error_set(err, STATUS_DATA_LOSS, NULL, "Record %llu comes behind record %llu, or its time does.",
                         (unsigned long long)record->seq, (unsigned long long)core->next_seq - 1);
    core->now_us = record->ingest_us;
    bool ok = ledger_apply(core, record, err);
    condemned_end(core);
    return ok;
}

static void note_write(core_t *core, const char *event)
{
    core->record->note = (record_note_t){.event = bytes_cstr(event), .text = bytes_cstr(core->broker_name)};
    (void)ledger_write(core, RECORD_NOTE);
}

void core_start(core_t *core, int64_t now_us, uint64_t next_seq, core_effects_t *out)
{
    core->out = out;
    core->now_us = core->start_us = now_us;
    core->next_seq = next_seq;
    wake_all(core, now_us);
    sessions_start(core);
    permits_start(core);
    schedules_start(core);
    if (core->lost_records)
        effects_log(core->out, LOG_WARNING,
                    "the journal was repaired: %llu records are lost, and %llu that spoke of them were passed over",
                    (unsigned long long)core->lost_records, (unsigned long long)core->misfits);
    if (core->stats.messages_lost)
        effects_log(core->out, LOG_ERROR,
                    "a repair of the journal lost the bytes of %llu messages, which are in their queues and cannot be "
                    "delivered: QUEUE list tells where",
                    (unsigned long long)core->stats.messages_lost);
    note_write(core, "start");
    core->out = NULL;
}

/* -- frames ------------------------------------------------------------------------------------------ */
static void refuse_direction(core_t *core, const session_t *session, const wire_msg_t *msg)
{
    error_t err;
    error_set(&err, STATUS_INVALID_ARGUMENT, "UNKNOWN_VERB", "%s is for the broker to send.",
              wire_verb_name(msg->verb));
    answer_refuse(core, session->peer, msg->seq, &err);
}

static void pong(core_t *core, const session_t *session, const wire_msg_t *msg)
{
    const wire_pong_t answer = {.number = msg->ping.number};
    effects_frame(core->out, session->peer, 0, WIRE_PONG, msg->seq, &answer);
}

static void dispatch(core_t *core, session_t *session, const wire_msg_t *msg)
{
    switch (msg->verb) {
    case WIRE_PUBLISH:
        return publish_handle(core, session, msg);
    case WIRE_SEND:
        return publish_handle_send(core, session, msg);
    case WIRE_RECEIVE:
        return receive_handle(core, session, msg);
    case WIRE_SUBSCRIBE:
        return subscription_handle(core, session, msg);
    case WIRE_CREDIT:
        return subscription_credit(core, session, msg);
    case WIRE_UNSUBSCRIBE:
        return subscription_unsubscribe(core, session, msg);
    case WIRE_SETTLE:
        return settle_handle(core, session, msg);
    case WIRE_SERVE:
        return workers_serve(core, session, msg);
    case WIRE_CALL:
        return calls_handle(core, session, msg);
    case WIRE_REPLY:
        return workers_reply(core, session, msg);
    case WIRE_CANCEL:
        return calls_cancel(core, session, msg);
    case WIRE_REPLY_CREDIT:
        return calls_credit(core, session, msg);
    case WIRE_PING:
        return pong(core, session, msg);
    case WIRE_PONG:
        return;
    case WIRE_BYE:
        return session_bye(core, session, msg);
    case WIRE_QUEUE:
    case WIRE_RULE:
    case WIRE_TOPOLOGY:
    case WIRE_BROKER:
    case WIRE_REPLAY:
        return admin_handle(core, session, msg);
    case WIRE_PERMIT:
        return permit_handle(core, session, msg);
    default:
        return refuse_direction(core, session, msg);
    }
}

static void frame_in(core_t *core, const core_input_t *input)
{
    session_t *session = session_by_peer(core, input->peer);
    if (session)
        session_heard(core, session);
    if (input->msg->verb == WIRE_HELLO) {
        session_hello(core, input->msg);
        return;
    }
    if (session) {
        dispatch(core, session, input->msg);
        return;
    }
    error_t err;
    error_set(&err, STATUS_UNAUTHENTICATED, "NO_SESSION", "This connection has no session: say HELLO.");
    answer_refuse(core, input->peer, input->msg->seq, &err);
}

static void bad_in(core_t *core, const core_input_t *input)
{
    session_t *session = session_by_peer(core, input->peer);
    if (session)
        session_heard(core, session);
    answer_refuse(core, input->peer, input->bad_seq, input->bad);
}

static void stop_in(core_t *core)
{
    core->is_stopping = true;
    note_write(core, "stop");
    receives_stop(core);
    permits_stop(core);
    sessions_stop(core);
}

/* -- steps ------------------------------------------------------------------------------------------- */
/* What needs no record comes first: recovery promotes before it applies a record of the same moment. */
static void timers_in(core_t *core)
{
    wake_due(core);
    retire_due(core);
    sessions_due(core);
    tasks_due(core);
    schedules_due(core);
    replays_due(core);
    calls_due(core);
    permits_due(core);
}

static void input_in(core_t *core, const core_input_t *input)
{
    switch (input->kind) {
    case CORE_IN_FRAME:
        return frame_in(core, input);
    case CORE_IN_BAD:
        return bad_in(core, input);
    case CORE_IN_TIMER:
        return;
    case CORE_IN_SCANNED:
        return cursor_scanned(core);
    case CORE_IN_REPLAYED:
        return replays_replayed(core);
    case CORE_IN_GONE:
        return session_gone(core, input->peer);
    case CORE_IN_TOPOLOGY:
        return topology_given(core);
    case CORE_IN_STOP:
        return stop_in(core);
    }
}

void core_step(core_t *core, int64_t now_us, const core_input_t *input, core_effects_t *out)
{
    if (now_us > core->now_us)
        core->now_us = now_us;
    core->input = input;
    core->out = out;
    slice_begin(&core->slice, core->now_us, core->limits.slice_messages);
    timers_in(core);
    input_in(core, input);
    if (!input->more) {
        consume_touched(core);
        receives_due(core);
        condemned_sweep(core);
    }
    core->input = NULL;
    core->out = NULL;
}

bool core_moves(const core_t *core, int64_t now_us)
{
    return tasks_next_us(core) != INT64_MAX || core->replays.running > 0 || schedules_next_us(core) <= now_us;
}

/* When what is done in slices is due. */
static int64_t long_work_us(const core_t *core)
{
    int64_t due_us = retire_next_us(core), swept_us = condemned_next_us(core);
    if (core->touched.count)
        return core->now_us; /* a queue that was not finished with */
    return due_us < swept_us ? due_us : swept_us;
}

int64_t core_next_deadline_us(const core_t *core)
{
    int64_t next_us = slice_next_us(&core->slice, long_work_us(core));
    int64_t others[] = {wake_next_us(core),  sessions_next_us(core), receives_next_us(core),  tasks_next_us(core),
                        calls_next_us(core), permits_next_us(core),  schedules_next_us(core), replays_next_us(core)};
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i] < next_us)
            next_us = others[i];
    return next_us;
}
