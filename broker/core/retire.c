/* retire.c: moves, expiry and the end of visibility. */
#include "broker/core/retire.h"

#include <stdio.h>

#include "broker/core/age.h"
#include "broker/core/condemned.h"
#include "broker/core/group.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/settle.h"
#include "broker/core/slice.h"
#include "broker/core/task.h"

/* -- words ----------------------------------------------------------------------------------------- */
static const struct {
    const char *reason, *code, *exhausted;
} words[] = {
    {RETIRE_REJECTED, "CONSUMER_REJECTED", NULL},
    {RETIRE_MAX_RECEIVES, "MAX_RECEIVES_EXCEEDED", "MaximumRetryAttempts"},
    {RETIRE_EXPIRED, "RETENTION_EXPIRED", NULL},
    {RETIRE_MAX_AGE, "EVENT_AGE_EXCEEDED", "MaximumEventAgeInSeconds"},
    {RETIRE_UNFIT, "EVENT_DOES_NOT_FIT", NULL},
};

const char *retire_error_code(const char *reason)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i].reason, reason) == 0)
            return words[i].code;
    return "UNKNOWN";
}

const char *retire_exhausted_by(const char *reason)
{
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcmp(words[i].reason, reason) == 0)
            return words[i].exhausted;
    return NULL;
}

typedef struct {
    char group[GROUP_ID_MAX_BYTES + 1], dedup[24];
} retire_names_t;

/* -- moving ---------------------------------------------------------------------------------------- */
/* SQS keeps the time of sending, so that time spent in the first queue counts in the second; in a FIFO queue it
 * begins anew. What left for its age would be too old at once there. */
static int64_t moved_sent_us(const core_t *core, const message_t *m, const queue_t *to, const char *reason)
{
    bool anew = strcmp(reason, RETIRE_EXPIRED) == 0 || strcmp(reason, RETIRE_MAX_AGE) == 0 ||
                strcmp(reason, RETIRE_REDRIVE) == 0;
    return anew || (to && to->attributes.is_fifo) ? core->now_us : m->sent_us;
}

/* The group's name may go with its last message while the record is applied: the record needs its own. */
static void moved_group(const core_t *core, const queue_t *from, const queue_t *to, const message_t *m,
                        record_move_t *out, retire_names_t *names)
{
    const group_t *group = group_at(from, message_group(core, m));
    if (!group || !to)
        return;
    (void)bytes_to_cstr(bytes_cstr(group->name), names->group, sizeof names->group);
    out->group = bytes_cstr(names->group);
    if (!to->attributes.is_fifo)
        return;
    (void)snprintf(names->dedup, sizeof names->dedup, "%llu", (unsigned long long)out->origin);
    out->dedup = bytes_cstr(names->dedup);
}

static void move_write(core_t *core, uint32_t id, const queue_t *to, const char *reason, bytes_t detail, uint64_t task,
                       int64_t visible_us)
{
    const message_t *m = message_at(core, id);
    const queue_t *from = pool_get(&core->queues, m->queue);
    char kept[RETIRE_DETAIL_MAX_BYTES + 1];
    (void)bytes_to_cstr(detail, kept, sizeof kept);
    retire_names_t names;
    uint64_t origin_queue;
    uint64_t origin = message_origin(core, m, &origin_queue);
    core->record->move = (record_move_t){
        .from = from->incarnation,
        .record = m->record,
        .to = to ? to->incarnation : 0,
        .origin = origin,
        .origin_queue = origin_queue,
        .reason = bytes_cstr(reason),
        .detail = bytes_cstr(kept),
        .receives = m->receives,
        .sent_us = moved_sent_us(core, m, to, reason),
        .task = task,
        .visible_us = visible_us,
    };
    moved_group(core, from, to, m, &core->record->move, &names);
    (void)ledger_write(core, RECORD_MOVE);
}

void retire_move(core_t *core, uint32_t id, const queue_t *to, const char *reason, bytes_t detail)
{
    move_write(core, id, to, reason, detail, 0, 0);
    if (to)
        core->stats.dead_lettered++;
    else
        core->stats.dropped++;
}

void retire_redrive(core_t *core, uint32_t id, const queue_t *to, uint64_t task, int64_t visible_us)
{
    queue_counts(core, pool_get(&core->queues, message_at(core, id)->queue))->redriven++;
    move_write(core, id, to, RETIRE_REDRIVE, BYTES_NONE, task, visible_us);
    core->stats.redriven++;
}

bool retire_is_exhausted(const core_t *core, const queue_t *queue, const message_t *message)
{
    uint32_t most = queue->attributes.max_receives;
    return most && message->receives >= most && queue_dead_letters(core, queue);
}

void retire_exhausted(core_t *core, const queue_t *queue, uint32_t id, bytes_t detail)
{
    retire_move(core, id, queue_dead_letters(core, queue), RETIRE_MAX_RECEIVES, detail);
}

/* -- applying -------------------------------------------------------------------------------------- */
uint32_t retire_restore(core_t *core, const dead_t *from, bytes_t detail)
{
    dead_t *dead = memory_new(1, sizeof *dead);
    *dead = *from;
    dead->detail = detail.len ? memory_text(detail) : NULL;
    return pool_add(&core->messages.dead, dead);
}

static uint32_t dead_make(core_t *core, const record_move_t *r, const queue_t *from, int64_t moved_us)
{
    return retire_restore(core,
                          &(dead_t){
                              .origin = r->origin,
                              .origin_queue = r->origin_queue,
                              .source = name_keep(core, bytes_cstr(from->name)),
                              .reason = name_keep(core, r->reason),
                              .receives = (uint32_t)r->receives,
                              .moved_us = moved_us,
                              .is_redriven = r->task != 0 || bytes_eq_cstr(r->reason, RETIRE_REDRIVE),
                          },
                          r->detail);
}

/* What did not fit its target never was in its queue: it comes into being as a dead letter. */
uint32_t retire_unfit(core_t *core, const record_t *record, const record_route_t *route)
{
    const queue_t *wanted = queue_by_incarnation(core, route->target);
    return retire_restore(core,
                          &(dead_t){
                              .origin = record->seq,
                              .origin_queue = route->queue,
                              .source = name_keep(core, bytes_cstr(wanted ? wanted->name : "")),
                              .reason = name_keep(core, bytes_cstr(RETIRE_UNFIT)),
                              .moved_us = record->ingest_us,
                          },
                          route->error);
}

bool retire_is_unfit(const core_t *core, const dead_t *dead)
{
    return strcmp(name_text(core, dead->reason), RETIRE_UNFIT) == 0;
}

bool retire_apply(core_t *core, const record_t *record, error_t *err)
{
    const record_move_t *r = &record->move;
    const queue_t *from = queue_by_incarnation(core, r->from);
    queue_t *to = r->to ? queue_by_incarnation(core, r->to) : NULL;
    uint32_t id = from ? message_find(core, from->id, r->record) : 0;
    if (!id)
        return ledger_misfit(err, record, "message", r->record);
    if (r->to && !to)
        return ledger_misfit(err, record, "queue", r->to);
    if (r->task && !task_count_move(core, r->task))
        return ledger_misfit(err, record, "task", r->task);
    message_t moved = *message_at(core, id);
    bool is_lost = message_side(core, &moved)->is_lost;
    message_remove(core, id);
    if (!to)
        return true;
    moved.record = record->seq;
    moved.sent_us = r->sent_us;
    moved.receives = 0;
    moved.queue = (uint16_t)to->id;
    const message_side_t side = {
        .dead = dead_make(core, r, from, record->ingest_us) & MESSAGE_DEAD_MASK,
        .is_lost = is_lost,
        .group = r->group.len ? group_need(to, r->group) : 0,
    };
    if (to->attributes.is_fifo)
        group_dedup_add(to, r->group, r->dedup, record->seq, record->ingest_us);
    (void)message_add(core, &moved, &side, r->visible_us, record->ingest_us);
    return true;
}

/* -- what came due --------------------------------------------------------------------------------- */
int64_t retire_next_us(const core_t *core)
{
    const messages_t *all = &core->messages;
    uint32_t due = heap_top(&all->due);
    int64_t next_us = due ? message_timer_us(core, message_at(core, due)) : INT64_MAX;
    if (age_next_us(core) < next_us)
        next_us = age_next_us(core);
    return next_us;
}

/* Takes what is due off the heap, as far as the slice reaches: deliveries to core->scratch, too old ones to `old`. */
static void due_gather(core_t *core, ids_t *old)
{
    heap_t *due = &core->messages.due;
    uint32_t id;
    core->scratch.count = 0;
    while ((id = heap_top(due)) != 0 && message_timer_us(core, message_at(core, id)) <= core->now_us &&
           slice_take(&core->slice, core->now_us)) {
        heap_drop(due, id);
        if (condemned_has(core, message_at(core, id)))
            message_remove(core, id);
        else
            ids_add(&core->scratch, id);
    }
    while (age_next_us(core) <= core->now_us && slice_take(&core->slice, core->now_us))
        ids_add(old, age_take(core));
}

static void due_return(core_t *core)
{
    core->record->settled.entries.count = 0;
    for (uint32_t i = 0; i < core->scratch.count; i++) {
        const message_t *m = message_at(core, core->scratch.items[i]);
        const queue_t *queue = pool_get(&core->queues, m->queue);
        settle_note(core, queue, m, WIRE_RELEASE, 0);
    }
    settle_flush(core);
    core->stats.released += core->scratch.count;
}

static void log_expired(core_t *core, const queue_t *queue, const queue_t *to, uint32_t count)
{
    if (count)
        effects_log(core->out, LOG_WARNING, "queue %s: %u messages are too old, %s%s", queue->name, count,
                    to ? "moved to " : "dropped: it names no dead-letter queue", to ? to->name : "");
}

static void due_expire(core_t *core, const ids_t *old)
{
    const queue_t *queue = NULL, *to = NULL;
    uint32_t run = 0;
    for (uint32_t i = 0; i < old->count; i++) {
        const message_t *m = message_at(core, old->items[i]);
        if (!queue || queue->id != m->queue) {
            if (queue)
                log_expired(core, queue, to, run);
            queue = pool_get(&core->queues, m->queue);
            to = queue_dead_letters(core, queue);
            run = 0;
        }
        bool by_age;
        (void)message_expires_us(core, m, &by_age);
        retire_move(core, old->items[i], to, by_age ? RETIRE_MAX_AGE : RETIRE_EXPIRED, BYTES_NONE);
        queue_counts(core, queue)->expired++;
        run++;
    }
    core->stats.expired += old->count;
    if (queue)
        log_expired(core, queue, to, run);
}

void retire_due(core_t *core)
{
    ids_t old = {0};
    do {
        old.count = 0;
        due_gather(core, &old);
        due_return(core);
        due_expire(core, &old);
    } while (core->scratch.count); /* what returned may be too old already */
    ids_free(&old);
}
