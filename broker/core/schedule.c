/* schedule.c: the table of schedules, and their firing. */
#include "broker/core/schedule.h"

#include <stdlib.h>

#include "broker/core/group.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "proto/envelope.h"
#include "proto/message_attributes.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "proto/uuid.h"

#define RETRY_US US_PER_S /* when there was no room */

/* -- the table ----------------------------------------------------------------------------------------- */
static schedule_t *schedule_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->schedules.all, id);
}

static bool schedule_is(const void *ctx, uint32_t id, const void *key)
{
    return bytes_eq_cstr(*(const bytes_t *)key, schedule_at(ctx, id)->name);
}

schedule_t *schedule_find(const core_t *core, bytes_t name)
{
    return schedule_at(core, map_find(&core->schedules.by_name, map_hash_bytes(name), schedule_is, core, &name));
}

static bool schedule_before(const void *ctx, uint32_t a, uint32_t b)
{
    const schedule_t *x = schedule_at(ctx, a), *y = schedule_at(ctx, b);
    return x->next_us != y->next_us ? x->next_us < y->next_us : strcmp(x->name, y->name) < 0;
}

static uint32_t *schedule_place(void *ctx, uint32_t id)
{
    return &schedule_at(ctx, id)->heap_at;
}

void schedules_init(core_t *core, const zones_t *zones)
{
    static const heap_kind_t kind = {schedule_before, schedule_place};
    heap_init(&core->schedules.timers, &kind, core);
    core->schedules.zones = zones;
}

static void document_part_free(schedule_t *s)
{
    free(s->expression);
    free(s->zone_name);
    free(s->queue);
    free(s->group);
    buf_free(&s->input);
    zone_free(&s->zone);
}

static void schedule_free(schedule_t *s)
{
    document_part_free(s);
    free(s->name);
    free(s);
}

void schedules_free(core_t *core)
{
    const pool_t *all = &core->schedules.all;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        schedule_free(schedule_at(core, id));
    pool_free(&core->schedules.all);
    map_free(&core->schedules.by_name);
    heap_free(&core->schedules.timers);
}

const char *schedule_missed_name(missed_t missed)
{
    static const char *const names[] = {[MISSED_ONCE] = "ONCE", [MISSED_NONE] = "NONE", [MISSED_ALL] = "ALL"};
    return names[missed];
}

/* -- the document -------------------------------------------------------------------------------------- */
static bool one_check(const core_t *core, const topology_doc_t *doc, const doc_schedule_t *d, error_t *err)
{
    timetable_t timetable;
    zone_t *zone = NULL;
    const doc_queue_t *queue = topology_doc_queue(doc, d->queue);
    bool ok = timetable_read(d->expression, &timetable, err) && zones_open(core->schedules.zones, d->zone, &zone, err);
    zone_free(&zone);
    if (!ok)
        return false;
    if (queue->read.is_fifo && !d->group.len)
        return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                         "\"%.*s\" is a FIFO queue and needs SqsParameters.MessageGroupId.", BYTES_FMT(d->queue));
    if (d->input.len > SCHEDULE_INPUT_MAX_BYTES || d->input.len > queue->read.max_message_bytes)
        return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                         "Input has %zu bytes; %zu are allowed, and %llu by its queue.", d->input.len,
                         SCHEDULE_INPUT_MAX_BYTES, (unsigned long long)queue->read.max_message_bytes);
    return !d->input.len || message_body_check(d->input, err);
}

bool schedules_check(const core_t *core, const topology_doc_t *doc, error_t *err)
{
    for (uint32_t i = 0; i < doc->schedule_count; i++) {
        const doc_schedule_t *d = &doc->schedules[i];
        if (!one_check(core, doc, d, err))
            return error_prefix(err, "Topology, schedule \"%.*s\"", BYTES_FMT(d->name));
    }
    return true;
}

static bool is_in(const topology_doc_t *doc, const char *name)
{
    for (uint32_t i = 0; i < doc->schedule_count; i++)
        if (bytes_eq_cstr(doc->schedules[i].name, name))
            return true;
    return false;
}

static void schedule_end(core_t *core, schedule_t *s)
{
    heap_drop(&core->schedules.timers, s->id);
    map_drop(&core->schedules.by_name, map_hash_bytes(bytes_cstr(s->name)), s->id);
    pool_drop(&core->schedules.all, s->id);
    schedule_free(s);
}

static schedule_t *schedule_make(core_t *core, bytes_t name)
{
    schedule_t *s = memory_new(1, sizeof *s);
    s->name = memory_text(name);
    s->id = pool_add(&core->schedules.all, s);
    map_add(&core->schedules.by_name, map_hash_bytes(name), s->id);
    return s;
}

static bool goes_on(const schedule_t *s, const doc_schedule_t *d)
{
    return s->expression && s->is_enabled == d->is_enabled && bytes_eq_cstr(d->expression, s->expression) &&
           bytes_eq_cstr(d->zone, s->zone_name);
}

static void document_part_take(core_t *core, schedule_t *s, const doc_schedule_t *d)
{
    error_t err;
    document_part_free(s);
    s->expression = memory_text(d->expression);
    s->zone_name = memory_text(d->zone);
    s->queue = memory_text(d->queue);
    s->group = memory_text(d->group);
    s->is_enabled = d->is_enabled;
    s->missed = d->missed;
    buf_append_bytes(&s->input, d->input);
    if (s->input.failed)
        abort(); /* out of memory */
    s->is_sound = timetable_read(d->expression, &s->timetable, &err) &&
                  zones_open(core->schedules.zones, d->zone, &s->zone, &err);
}

void schedules_take(core_t *core, const topology_doc_t *doc, int64_t now_us)
{
    const pool_t *all = &core->schedules.all;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        if (!is_in(doc, schedule_at(core, id)->name))
            schedule_end(core, schedule_at(core, id));
    for (uint32_t i = 0; i < doc->schedule_count; i++) {
        const doc_schedule_t *d = &doc->schedules[i];
        schedule_t *s = schedule_find(core, d->name);
        s = s ? s : schedule_make(core, d->name);
        if (!goes_on(s, d))
            s->began_us = s->done_us = now_us;
        heap_drop(&core->schedules.timers, s->id);
        document_part_take(core, s, d);
    }
}

/* -- when ---------------------------------------------------------------------------------------------- */
int64_t schedule_next_us(const schedule_t *s)
{
    if (!s->is_enabled || !s->is_sound)
        return TIMETABLE_NEVER;
    return timetable_next_us(&s->timetable, s->zone, s->began_us, s->done_us);
}

static void schedule_arm(core_t *core, schedule_t *s, int64_t next_us)
{
    s->next_us = next_us;
    if (next_us == TIMETABLE_NEVER)
        heap_drop(&core->schedules.timers, s->id);
    else
        heap_set(&core->schedules.timers, s->id);
}

void schedules_start(core_t *core)
{
    const pool_t *all = &core->schedules.all;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        schedule_t *s = schedule_at(core, id);
        schedule_arm(core, s, schedule_next_us(s));
        if (s->is_enabled && !s->is_sound)
            effects_log(core->out, LOG_ERROR,
                        "schedule %s does not fire: this machine knows no time zone \"%s\", or this version not \"%s\"",
                        s->name, s->zone_name, s->expression);
    }
}

int64_t schedules_next_us(const core_t *core)
{
    uint32_t id = core->is_stopping ? 0 : heap_top(&core->schedules.timers);
    return id ? schedule_at(core, id)->next_us : INT64_MAX;
}

/* -- firing -------------------------------------------------------------------------------------------- */
/* From name, moment and the record's number: no randomness is to be had here, and none is needed. */
static void event_id(const core_t *core, const schedule_t *s, int64_t due_us, char out[UUID_TEXT_BYTES])
{
    uint64_t parts[2] = {map_mix(map_hash_bytes(bytes_cstr(s->name)), (uint64_t)due_us)};
    uint8_t random[UUID_RANDOM_BYTES];
    parts[1] = map_mix(parts[0], core->next_seq);
    memcpy(random, parts, sizeof random);
    uuid_format(uuid_v7((uint64_t)(due_us / US_PER_MS), random), out);
}

static void event_write(const schedule_t *s, int64_t due_us, const char *id, buf_t *out)
{
    char time[TIMEFMT_S_BYTES];
    buf_t arn = {0}, resources = {0}, detail = {0};
    error_t err;
    timefmt_s(due_us, time);
    buf_printf(&arn, ENVELOPE_LOCAL_ARN("events") "rule/%s", s->name);
    mp_put_array(&resources, 1);
    mp_put_str(&resources, buf_bytes(&arn));
    mp_put_map(&detail, 0);
    const envelope_t event = {.id = bytes_cstr(id),
                              .detail_type = BYTES_LIT("Scheduled Event"),
                              .source = BYTES_LIT("aws.events"),
                              .time = bytes_cstr(time),
                              .resources = buf_bytes(&resources),
                              .detail = buf_bytes(&detail)};
    if (!envelope_write(out, &event, &err))
        abort(); /* all of it is ours, and names are bounded */
    buf_free(&arn);
    buf_free(&resources);
    buf_free(&detail);
}

static void pass_over(core_t *core, const schedule_t *s, int64_t due_us, const char *why)
{
    char time[TIMEFMT_S_BYTES];
    timefmt_s(due_us, time);
    effects_log(core->out, LOG_WARNING, "schedule %s: up to %s passed over: %s", s->name, time, why);
    core->record->schedule = (record_schedule_t){.name = bytes_cstr(s->name), .due_us = due_us};
    (void)ledger_write(core, RECORD_SCHEDULE);
}

static void fire_log(core_t *core, const schedule_t *s, int64_t due_us)
{
    char time[TIMEFMT_S_BYTES];
    int64_t late_us = core->now_us - due_us;
    timefmt_s(due_us, time);
    if (late_us > SCHEDULE_LATE_US)
        effects_log(core->out, LOG_WARNING, "schedule %s: fires for %s, %lld s late", s->name, time,
                    (long long)(late_us / US_PER_S));
    else
        effects_log(core->out, LOG_DEBUG, "schedule %s: fires for %s", s->name, time);
}

static void fire(core_t *core, const schedule_t *s, const queue_t *queue, int64_t due_us)
{
    char id[UUID_TEXT_BYTES];
    buf_t event = {0};
    int64_t delay_us = queue->attributes.delay_us;
    event_id(core, s, due_us, id);
    if (!s->input.len)
        event_write(s, due_us, id, &event);
    fire_log(core, s, due_us);
    core->record->schedule = (record_schedule_t){
        .name = bytes_cstr(s->name),
        .due_us = due_us,
        .queue = queue->incarnation,
        .group = bytes_cstr(s->group),
        .dedup = queue->attributes.is_fifo ? bytes_cstr(id) : BYTES_NONE,
        .visible_us = delay_us ? core->now_us + delay_us : 0,
        .body = s->input.len ? buf_bytes(&s->input) : buf_bytes(&event),
    };
    (void)ledger_write(core, RECORD_SCHEDULE);
    core->stats.scheduled++;
    buf_free(&event);
}

/* Firings are new work, as messages of clients are. */
static bool schedule_waits(core_t *core, schedule_t *s, queue_t *queue)
{
    error_t err = {.message = "There is no room on the disk or in memory."};
    bool waits = core->input->is_full || core->messages.all.used >= MESSAGES_MAX ||
                 (queue && queue->attributes.is_fifo && !group_dedup_check(queue, core->now_us, &err));
    if (waits && !s->is_waiting)
        effects_log(core->out, LOG_WARNING, "schedule %s waits: %s", s->name, err.message);
    if (!waits && s->is_waiting)
        effects_log(core->out, LOG_INFO, "schedule %s goes on", s->name);
    s->is_waiting = waits;
    if (waits)
        schedule_arm(core, s, core->now_us + RETRY_US);
    return waits;
}

static int64_t last_us(const schedule_t *s, int64_t at_us)
{
    return timetable_last_us(&s->timetable, s->zone, s->began_us, s->done_us, at_us);
}

/* One firing at most, or one passing over. */
static void schedule_run(core_t *core, schedule_t *s)
{
    queue_t *queue = queue_find(core, bytes_cstr(s->queue));
    int64_t due_us = schedule_next_us(s);
    if (due_us > core->now_us || schedule_waits(core, s, queue)) {
        if (due_us > core->now_us)
            schedule_arm(core, s, due_us);
        return;
    }
    bool is_missed = core->now_us - due_us > SCHEDULE_LATE_US;
    int64_t newest_us = last_us(s, core->now_us);
    if (!queue)
        pass_over(core, s, newest_us, "its queue is not there");
    else if (is_missed && s->missed == MISSED_NONE)
        pass_over(core, s, last_us(s, core->now_us - SCHEDULE_LATE_US - 1), "missed");
    else if (s->missed == MISSED_ALL && core->now_us - due_us > SCHEDULE_CATCH_UP_US)
        pass_over(core, s, last_us(s, core->now_us - SCHEDULE_CATCH_UP_US - 1), "missed too long ago");
    else
        fire(core, s, queue, s->missed == MISSED_ALL ? due_us : newest_us);
    schedule_arm(core, s, schedule_next_us(s));
}

void schedules_due(core_t *core)
{
    for (uint32_t i = 0; i < SCHEDULE_BURST && schedules_next_us(core) <= core->now_us; i++)
        schedule_run(core, schedule_at(core, heap_top(&core->schedules.timers)));
}

/* -- applying ------------------------------------------------------------------------------------------ */
static void message_enter(core_t *core, const record_t *record, queue_t *queue)
{
    const record_schedule_t *r = &record->schedule;
    buf_t rule = {0};
    buf_printf(&rule, "/%.*s", BYTES_FMT(r->name)); /* a rule without a bus: no bus has an empty name */
    uint32_t name = name_keep(core, buf_bytes(&rule));
    buf_free(&rule);
    const message_t message = {
        .record = record->seq,
        .sent_us = record->ingest_us,
        .queue = (uint16_t)queue->id,
        .bytes = (r->attrs.len + r->body.len) & MESSAGE_BYTES_MASK,
        .route = MESSAGE_NO_ROUTE,
        .rule = name <= UINT16_MAX ? (uint16_t)name : 0,
    };
    const message_side_t side = {.group = r->group.len ? group_need(queue, r->group) : 0};
    (void)message_add(core, &message, &side, r->visible_us, record->ingest_us);
    if (queue->attributes.is_fifo)
        group_dedup_add(queue, r->group, r->dedup, record->seq, record->ingest_us);
}

bool schedule_apply(core_t *core, const record_t *record, error_t *err)
{
    const record_schedule_t *r = &record->schedule;
    schedule_t *s = schedule_find(core, r->name);
    queue_t *queue = r->queue ? queue_by_incarnation(core, r->queue) : NULL;
    if (r->queue && !queue)
        return ledger_misfit(err, record, "queue", r->queue);
    if (!s || r->due_us <= s->done_us || r->due_us > record->ingest_us)
        return ledger_misfit(err, record, "schedule due at", (uint64_t)r->due_us);
    s->done_us = r->due_us;
    if (!queue)
        return true;
    s->fired_us = r->due_us;
    s->fired = record->seq;
    message_enter(core, record, queue);
    return true;
}

/* -- digest -------------------------------------------------------------------------------------------- */
uint64_t schedules_digest(const core_t *core)
{
    const pool_t *all = &core->schedules.all;
    uint64_t unordered = 0;
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        const schedule_t *s = schedule_at(core, id);
        uint64_t one = map_mix(map_hash_bytes(bytes_cstr(s->name)), map_hash_bytes(bytes_cstr(s->expression)));
        one = map_mix(one, map_mix((uint64_t)s->began_us, (uint64_t)s->done_us));
        unordered += map_mix(one, map_mix((uint64_t)s->fired_us, s->fired));
    }
    return unordered;
}
