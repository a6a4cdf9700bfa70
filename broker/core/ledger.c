/* ledger.c: numbering, encoding and applying of records. */
#include "broker/core/ledger.h"

#include <stdlib.h>

#include "broker/core/message.h"
#include "broker/core/permit.h"
#include "broker/core/producer.h"
#include "broker/core/publish.h"
#include "broker/core/queue.h"
#include "broker/core/replay.h"
#include "broker/core/retire.h"
#include "broker/core/schedule.h"
#include "broker/core/session.h"
#include "broker/core/settle.h"
#include "broker/core/task.h"
#include "broker/core/topology.h"
#include "broker/core/wake.h"
#include "proto/msgpack.h"

/* Answers wait for all records but these: a lost DELIVERED costs a redelivery, a lost SESSION a new session,
 * and a remark nothing. */
static bool must_sync(record_kind_t kind)
{
    return kind != RECORD_DELIVERED && kind != RECORD_SESSION && kind != RECORD_NOTE;
}

uint64_t ledger_write_applied(core_t *core, record_kind_t kind)
{
    record_t *record = core->record;
    record->kind = kind;
    record->seq = core->next_seq++;
    record->ingest_us = core->now_us;
    record_encode(&core->out->records, record->seq, record->ingest_us, kind, &record->publish);
    core->out->record_count++;
    if (core->out->records.failed)
        abort(); /* out of memory */
    if (must_sync(kind))
        core->must_sync = record->seq;
    return record->seq;
}

uint64_t ledger_write(core_t *core, record_kind_t kind)
{
    uint64_t seq = ledger_write_applied(core, kind);
    error_t err;
    if (!ledger_apply(core, core->record, &err))
        abort(); /* what we made does not fit our own state: a bug */
    return seq;
}

uint64_t ledger_after(const core_t *core)
{
    return core->must_sync;
}

bool ledger_misfit(error_t *err, const record_t *record, const char *what, uint64_t number)
{
    return error_set(err, STATUS_DATA_LOSS, NULL,
                     "Record %llu (%s) speaks of %s %llu, which the records before it do not know: the journal was "
                     "written by another program or is damaged.",
                     (unsigned long long)record->seq, record_kind_name(record->kind), what, (unsigned long long)number);
}

bool ledger_forgives(core_t *core, const record_t *record)
{
    bool forgives = record->seq <= core->lost_until;
    core->misfits += forgives;
    return forgives;
}

bool ledger_notes_loss(const record_t *record)
{
    return record->kind == RECORD_NOTE && bytes_eq_cstr(record->note.event, "lost");
}

/* The first of a run says up to where later records may speak of what is lost. */
static void note_apply(core_t *core, const record_t *record)
{
    uint64_t until;
    if (wake_notes(record))
        wake_apply(core, record);
    if (!ledger_notes_loss(record))
        return;
    core->lost_records++;
    if (mp_map_u64(record->note.fields, "until", &until) && until > core->lost_until)
        core->lost_until = until;
}

static bool kind_apply(core_t *core, const record_t *record, error_t *err)
{
    switch (record->kind) {
    case RECORD_PUBLISH:
        return publish_apply(core, record, err);
    case RECORD_SEND:
        return publish_apply_send(core, record, err);
    case RECORD_DELIVERED:
        return settle_apply_delivered(core, record, err);
    case RECORD_SETTLED:
        return settle_apply(core, record, err);
    case RECORD_MOVE:
        return retire_apply(core, record, err);
    case RECORD_TOPOLOGY:
        return topology_apply(core, record, err);
    case RECORD_QUEUE:
        return queue_apply(core, record, err);
    case RECORD_PURGE:
        return queue_apply_purge(core, record, err);
    case RECORD_PRODUCER:
        return producer_apply(core, record, err);
    case RECORD_SESSION:
        return session_apply(core, record, err);
    case RECORD_PERMITS:
        return permit_apply(core, record, err);
    case RECORD_MOVE_TASK:
        return task_apply(core, record, err);
    case RECORD_REPLAY:
        return replay_apply(core, record, err);
    case RECORD_NOTE:
        note_apply(core, record);
        return true;
    case RECORD_SCHEDULE:
        return schedule_apply(core, record, err);
    case RECORD_CALL:
    case RECORD_REPLY:
        return true; /* nothing that the core keeps yet, or nothing that is state */
    }
    return error_set(err, STATUS_DATA_LOSS, NULL, "Record %llu is of kind %u, which this version does not know.",
                     (unsigned long long)record->seq, (unsigned)record->kind);
}

bool ledger_apply(core_t *core, const record_t *record, error_t *err)
{
    if (!wake_notes(record))
        wake_all(core, record->ingest_us);
    core->next_seq = record->seq + 1;
    return kind_apply(core, record, err) || ledger_forgives(core, record);
}
