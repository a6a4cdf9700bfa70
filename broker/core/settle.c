/* settle.c: settlements, entry by entry, in one record for a frame. */
#include "broker/core/settle.h"

#include <stdlib.h>

#include "broker/core/answer.h"
#include "broker/core/attributes.h"
#include "broker/core/consume.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/retire.h"
#include "broker/core/session.h"

#define IN_FLIGHT_MAX_MS (ATTRIBUTE_VISIBILITY_MAX_S * INT64_C(1000)) /* of one delivery, extensions included */

/* -- the record ------------------------------------------------------------------------------------ */
static void settled_entry_apply(core_t *core, uint32_t id, const record_settled_entry_t *entry, int64_t now_us)
{
    if (entry->action == WIRE_ACK)
        message_remove(core, id);
    else if (entry->action == WIRE_RELEASE)
        message_release(core, id, entry->visible_us, now_us);
    else
        message_extend(core, id, entry->visible_us);
}

void settle_note(core_t *core, const queue_t *queue, const message_t *message, uint64_t action, int64_t visible_us)
{
    record_settled_t *r = &core->record->settled;
    if (r->entries.count == FIELDS_LIST_MAX)
        settle_flush(core);
    record_settled_entry_t *entry = &r->entries.items[r->entries.count++];
    *entry = (record_settled_entry_t){
        .queue = queue->incarnation,
        .record = message->record,
        .action = action,
        .visible_us = visible_us,
        .receives = message->receives,
    };
    settled_entry_apply(core, message_find(core, queue->id, message->record), entry, core->now_us);
}

void settle_flush(core_t *core)
{
    record_settled_t *r = &core->record->settled;
    if (r->entries.count)
        (void)ledger_write_applied(core, RECORD_SETTLED);
    r->entries.count = 0;
}

int64_t settle_latest_us(const core_t *core, const message_t *message, int64_t visibility_us)
{
    int64_t latest_us = message->sent_us + (message_side(core, message)->received_ms + IN_FLIGHT_MAX_MS) * US_PER_MS;
    int64_t until_us = core->now_us + visibility_us;
    return until_us < latest_us ? until_us : latest_us;
}

/* -- one entry ------------------------------------------------------------------------------------- */
typedef struct {
    queue_t *allowed; /* last queue that the role was asked for */
    queue_t *queue;
    uint32_t id; /* 0: the message is gone */
    receipt_t receipt;
} settle_t;

static wire_status_entry_t status_refused(status_t code, const char *aws, const char *message)
{
    return (wire_status_entry_t){.status = code, .aws = bytes_cstr(aws), .message = bytes_cstr(message)};
}

static wire_status_entry_t not_in_flight(void)
{
    return status_refused(STATUS_FAILED_PRECONDITION, "MessageNotInflight",
                          "The message is not in flight: its visibility ran out, or it is settled.");
}

static bool settle_find(core_t *core, settle_t *s, const wire_settle_entry_t *entry, wire_status_entry_t *refused)
{
    if (!receipt_read(entry->receipt, &s->receipt)) {
        *refused = status_refused(STATUS_INVALID_ARGUMENT, "ReceiptHandleIsInvalid", "This is no receipt of ours.");
        return false;
    }
    s->queue = queue_by_incarnation(core, s->receipt.queue);
    if (!s->queue) {
        *refused = status_refused(STATUS_NOT_FOUND, "QueueDoesNotExist", "The queue of this receipt is gone.");
        return false;
    }
    if (s->queue != s->allowed && !answer_allowed(core, ROLE_CONSUME, bytes_cstr(s->queue->name), NULL)) {
        *refused = status_refused(STATUS_PERMISSION_DENIED, "AccessDeniedException",
                                  "Your role may not consume the queue of this receipt.");
        return false;
    }
    s->allowed = s->queue;
    s->id = message_find(core, s->queue->id, s->receipt.record);
    return true;
}

/* SQS: to delete under a receipt of before succeeds on a standard queue and changes nothing; all else, and everything
 * on a FIFO queue, is refused. */
static bool is_superseded(const core_t *core, const settle_t *s, uint64_t action, wire_status_entry_t *status)
{
    static const char received_again[] = "The message has been received again since; its newer receipt counts.";
    if (!s->id || message_at(core, s->id)->receives <= s->receipt.receives)
        return false;
    if (action == WIRE_ACK && !s->queue->attributes.is_fifo)
        *status = (wire_status_entry_t){.message = bytes_cstr(received_again)};
    else
        *status = status_refused(STATUS_INVALID_ARGUMENT, "ReceiptHandleIsInvalid", received_again);
    return true;
}

static bool is_held(const core_t *core, const settle_t *s)
{
    const message_t *m = s->id ? message_at(core, s->id) : NULL;
    return m && m->state == MESSAGE_IN_FLIGHT && m->receives == s->receipt.receives;
}

/* SQS: on a FIFO queue a receipt is worth nothing once its visibility is over, for another consumer may have what
 * stands behind the message. (A delivery whose record a crash took counts further than the queue: it holds.) */
static bool is_too_late(const core_t *core, const settle_t *s)
{
    const message_t *m = s->id ? message_at(core, s->id) : NULL;
    return m && s->queue->attributes.is_fifo && m->state == MESSAGE_VISIBLE && m->receives == s->receipt.receives;
}

static wire_status_entry_t too_late(void)
{
    return status_refused(STATUS_FAILED_PRECONDITION, "InvalidParameterValue",
                          "The receipt handle has expired: the message's visibility is over.");
}

static wire_status_entry_t settle_ack(core_t *core, const settle_t *s)
{
    if (is_too_late(core, s))
        return too_late();
    if (s->id) {
        settle_note(core, s->queue, message_at(core, s->id), WIRE_ACK, 0);
        core->stats.acked++;
    }
    return (wire_status_entry_t){0};
}

/* SQS would move it at the next receive. Where the consumer says why it gives up there is no need to wait, and its
 * words go with the dead letter. */
static bool release_is_the_last(core_t *core, const settle_t *s, bytes_t why)
{
    if (!why.len || !retire_is_exhausted(core, s->queue, message_at(core, s->id)))
        return false;
    settle_flush(core);
    retire_exhausted(core, s->queue, s->id, why);
    core->record->settled.entries.count = 0;
    return true;
}

static wire_status_entry_t settle_release(core_t *core, const settle_t *s, int64_t delay_us, bytes_t why)
{
    if (!is_held(core, s))
        return not_in_flight();
    if (release_is_the_last(core, s, why)) {
        core->stats.released++;
        return (wire_status_entry_t){0};
    }
    settle_note(core, s->queue, message_at(core, s->id), WIRE_RELEASE, delay_us ? core->now_us + delay_us : 0);
    core->stats.released++;
    return (wire_status_entry_t){0};
}

static wire_status_entry_t settle_reject(core_t *core, const settle_t *s, const wire_settle_entry_t *entry)
{
    if (!s->id)
        return not_in_flight();
    if (is_too_late(core, s))
        return too_late();
    const queue_t *to = queue_dead_letters(core, s->queue);
    core->stats.rejected++;
    if (to) {
        settle_flush(core);
        retire_move(core, s->id, to, RETIRE_REJECTED, entry->reason);
        core->record->settled.entries.count = 0;
        return (wire_status_entry_t){0};
    }
    effects_log(core->out, LOG_WARNING,
                "queue %s: message %llu was rejected (%.*s) and there is no dead-letter queue, it comes back",
                s->queue->name, (unsigned long long)s->receipt.record, BYTES_FMT(entry->reason));
    if (is_held(core, s))
        settle_note(core, s->queue, message_at(core, s->id), WIRE_RELEASE,
                    core->now_us + s->queue->attributes.visibility_us);
    return (wire_status_entry_t){0};
}

static wire_status_entry_t settle_extend(core_t *core, const settle_t *s, int64_t delay_us)
{
    if (!delay_us)
        return settle_release(core, s, 0, BYTES_NONE);
    if (!is_held(core, s))
        return not_in_flight();
    const message_t *m = message_at(core, s->id);
    if (message_age_ms(m, core->now_us) + delay_us / US_PER_MS > message_side(core, m)->received_ms + IN_FLIGHT_MAX_MS)
        return status_refused(STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                              "The message would be in flight for more than 12 hours since it was received.");
    settle_note(core, s->queue, m, WIRE_EXTEND, core->now_us + delay_us);
    return (wire_status_entry_t){0};
}

static wire_status_entry_t settle_one(core_t *core, settle_t *s, const wire_settle_entry_t *entry)
{
    wire_status_entry_t refused;
    if (!settle_find(core, s, entry, &refused) || is_superseded(core, s, entry->action, &refused))
        return refused;
    if (entry->delay_ms < 0 || entry->delay_ms > ATTRIBUTE_VISIBILITY_MAX_S * INT64_C(1000))
        return status_refused(STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                              "delay_ms must be from 0 to 43200000 (12 hours).");
    switch (entry->action) {
    case WIRE_ACK:
        return settle_ack(core, s);
    case WIRE_RELEASE:
        return settle_release(core, s, entry->delay_ms * US_PER_MS, entry->reason);
    case WIRE_REJECT:
        return settle_reject(core, s, entry);
    case WIRE_EXTEND:
        return settle_extend(core, s, entry->delay_ms * US_PER_MS);
    default:
        return status_refused(STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                              "action must be 1 (ack), 2 (release), 3 (reject) or 4 (extend).");
    }
}

void settle_handle(core_t *core, session_t *session, const wire_msg_t *msg)
{
    settle_t s = {0};
    wire_settled_t *results = &core->answers->settled;
    results->results.count = 0;
    core->record->settled.entries.count = 0;
    for (uint32_t i = 0; i < msg->settle.entries.count; i++)
        results->results.items[results->results.count++] = settle_one(core, &s, &msg->settle.entries.items[i]);
    settle_flush(core);
    effects_frame(core->out, session->peer, ledger_after(core), WIRE_SETTLED, msg->seq, results);
}

/* -- applying -------------------------------------------------------------------------------------- */
static uint32_t entry_message(const core_t *core, uint64_t incarnation, uint64_t seq)
{
    const queue_t *queue = queue_by_incarnation(core, incarnation);
    return queue ? message_find(core, queue->id, seq) : 0;
}

static bool delivered_entry_apply(core_t *core, const record_t *record, const record_delivered_entry_t *entry,
                                  error_t *err)
{
    uint32_t id = entry_message(core, entry->queue, entry->record);
    session_t *session = session_by_number(core, entry->session);
    if (!id)
        return ledger_misfit(err, record, "message", entry->record);
    /* In flight still: what returned it to its queue is lost. */
    if (message_at(core, id)->state == MESSAGE_IN_FLIGHT && ledger_forgives(core, record))
        message_release(core, id, record->ingest_us, record->ingest_us);
    if (message_at(core, id)->state != MESSAGE_VISIBLE)
        return ledger_misfit(err, record, "message", entry->record);
    if (!session)
        return ledger_misfit(err, record, "session", entry->session);
    message_deliver(core, id, session, entry->receives, entry->invisible_until_us, record->ingest_us);
    return true;
}

bool settle_apply_delivered(core_t *core, const record_t *record, error_t *err)
{
    for (uint32_t i = 0; i < record->delivered.entries.count; i++)
        if (!delivered_entry_apply(core, record, &record->delivered.entries.items[i], err) &&
            !ledger_forgives(core, record))
            return false;
    return true;
}

static bool entry_apply(core_t *core, const record_t *record, const record_settled_entry_t *entry, error_t *err)
{
    uint32_t id = entry_message(core, entry->queue, entry->record);
    if (!id)
        return ledger_misfit(err, record, "message", entry->record);
    bool held = message_at(core, id)->state == MESSAGE_IN_FLIGHT;
    if (entry->action != WIRE_ACK && (!held || (entry->action != WIRE_RELEASE && entry->action != WIRE_EXTEND)))
        return ledger_misfit(err, record, "action", entry->action);
    settled_entry_apply(core, id, entry, record->ingest_us);
    return true;
}

bool settle_apply(core_t *core, const record_t *record, error_t *err)
{
    for (uint32_t i = 0; i < record->settled.entries.count; i++)
        if (!entry_apply(core, record, &record->settled.entries.items[i], err) && !ledger_forgives(core, record))
            return false;
    return true;
}
