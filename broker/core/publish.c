/* publish.c: admission of events and messages, entry by entry. */
#include "broker/core/publish.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/answer.h"
#include "broker/core/attributes.h"
#include "broker/core/cursor.h"
#include "broker/core/group.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/producer.h"
#include "broker/core/queue.h"
#include "broker/core/replay.h"
#include "broker/core/retire.h"
#include "broker/core/route.h"
#include "broker/core/sha256.h"
#include "broker/core/topology.h"
#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/message_attributes.h"
#include "proto/msgpack.h"

#define DEDUP_SEPARATOR 0x1f /* ASCII's unit separator: a record's strings carry no NUL */

/* -- shared ---------------------------------------------------------------------------------------- */
static void result_refused(wire_result_entry_t *out, const error_t *err, buf_t *texts)
{
    /* The texts must outlive `err`: offsets now, slices once all entries are through. */
    size_t aws = strlen(err->aws), message = strlen(err->message);
    buf_append(texts, err->aws, aws);
    buf_append(texts, err->message, message);
    *out = (wire_result_entry_t){
        .status = err->code,
        .aws = bytes_from(NULL, aws),
        .message = bytes_from(NULL, message),
    };
}

static void results_send(core_t *core, const session_t *session, wire_verb_t verb, wire_published_t *results,
                         const buf_t *texts)
{
    size_t at = 0;
    for (uint32_t i = 0; i < results->results.count; i++) {
        wire_result_entry_t *entry = &results->results.items[i];
        if (!entry->status)
            continue;
        entry->aws.data = texts->data + at;
        entry->message.data = texts->data + at + entry->aws.len;
        at += entry->aws.len + entry->message.len;
    }
    effects_frame(core->out, session->peer, ledger_after(core), verb, core->input->msg->seq, results);
}

static uint64_t entry_seq(uint64_t first, uint32_t nth)
{
    return first ? first + nth : 0;
}

static bool room_check(const core_t *core, uint32_t more, error_t *err)
{
    return core->messages.all.used + more <= MESSAGES_MAX ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "OverLimit", "The broker holds its %u messages already.",
                     (unsigned)MESSAGES_MAX);
}

/* -- PUBLISH --------------------------------------------------------------------------------------- */
typedef struct {
    session_t *session;
    bus_t *bus;
    const wire_publish_t *msg;
    buf_t bodies;
    bytes_t dedup;         /* of the entry at hand */
    envelope_t event;      /* of it, once it is checked */
    route_passed_t passed; /* of it, once it is routed */
    ids_t feeds;           /* pairs: an entry's place, and a bus that it was passed on to */
} publish_t;

static bool publish_check(const core_t *core, publish_t *p, error_t *err)
{
    const wire_publish_t *msg = p->msg;
    if (!answer_takes_work(core, err) || !answer_allowed(core, ROLE_PUBLISH, msg->bus, err))
        return false;
    p->bus = topology_bus(core, msg->bus);
    if (!p->bus)
        return error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "There is no event bus \"%.*s\".",
                         BYTES_FMT(msg->bus));
    if (msg->replay_name.len > WIRE_NAME_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "PUBLISH.replay_name exceeds %d bytes.",
                         WIRE_NAME_MAX_BYTES);
    return route_check_to(core, msg->to, err);
}

static bool event_check(const core_t *core, publish_t *p, const wire_publish_entry_t *entry, error_t *err)
{
    const envelope_t *event = &p->event;
    if (!attrs_check(entry->attrs, err) || !envelope_read(entry->body, &p->event, err))
        return false;
    size_t bytes = envelope_size_bytes(event, event->detail.len) + entry->attrs.len;
    if (bytes > WIRE_MESSAGE_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "MessageTooLong",
                         "The event and its attributes have %zu bytes; %zu are allowed.", bytes,
                         WIRE_MESSAGE_MAX_BYTES);
    return answer_allowed(core, ROLE_SOURCES, event->source, err);
}

/* The key within the bus; an event that is replayed has keys of its own, so that a replay has effect. */
static bytes_t dedup_key(bytes_t replay_name, bytes_t dedup, char *space, size_t cap)
{
    if (!dedup.len || !replay_name.len || replay_name.len + 1 + dedup.len > cap)
        return dedup;
    size_t name = replay_name.len;
    memcpy(space, replay_name.data, name);
    space[name] = DEDUP_SEPARATOR;
    memcpy(space + name + 1, dedup.data, dedup.len);
    return bytes_from(space, name + 1 + dedup.len);
}

static bool dedup_check(const core_t *core, const publish_t *p, uint64_t *record, error_t *err)
{
    if (!p->dedup.len)
        return true;
    dedup_forget(&p->bus->dedup, core->now_us - p->bus->dedup_window_us);
    if (dedup_is_full(&p->bus->dedup))
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "ThrottlingException",
                         "Bus \"%s\" remembers %u deduplication keys already, all that it may.", p->bus->name,
                         p->bus->dedup.count);
    *record = dedup_find(&p->bus->dedup, p->dedup, core->now_us - p->bus->dedup_window_us);
    return true;
}

static uint64_t publish_write(core_t *core, const publish_t *p, const wire_publish_entry_t *entry, uint64_t seq)
{
    record_publish_t *r = &core->record->publish; /* the routes are filled in */
    r->bus = p->msg->bus;
    r->producer = seq ? p->session->producer : 0;
    r->producer_seq = seq;
    r->dedup = p->dedup;
    r->replay_name = p->msg->replay_name;
    r->to = p->msg->to;
    r->topology = core->topology.version;
    r->attrs = entry->attrs;
    r->body = entry->body;
    r->passed = buf_bytes(&p->passed.map);
    r->replay_of = 0;
    return ledger_write(core, RECORD_PUBLISH);
}

static bytes_t entry_group(const wire_publish_entry_t *entry)
{
    bytes_t group;
    return attrs_str(entry->attrs, ATTR_MESSAGE_GROUP_ID, &group) ? group : BYTES_NONE;
}

/* Deduplication id in FIFO queues: what is given among the attributes, or the event's id. */
static void entry_dedup(const publish_t *p, const wire_publish_entry_t *entry, route_request_t *request, char *space,
                        size_t cap)
{
    bytes_t id;
    request->is_dedup_given = attrs_str(entry->attrs, ATTR_MESSAGE_DEDUPLICATION_ID, &id) &&
                              group_id_check(id, ATTR_MESSAGE_DEDUPLICATION_ID, NULL);
    request->dedup = dedup_key(request->replay_name, request->is_dedup_given ? id : p->event.id, space, cap);
}

static bool publish_one(core_t *core, publish_t *p, const wire_publish_entry_t *entry, uint64_t seq,
                        wire_result_entry_t *out, error_t *err)
{
    char space[2 * WIRE_NAME_MAX_BYTES + 1], fifo_space[2 * WIRE_NAME_MAX_BYTES + 1];
    uint64_t known;
    if (!producer_check(core, p->session, seq, &known, err))
        return false;
    if (entry->dedup.len > WIRE_NAME_MAX_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "dedup exceeds %d bytes.",
                         WIRE_NAME_MAX_BYTES);
    p->dedup = dedup_key(p->msg->replay_name, entry->dedup, space, sizeof space);
    if (!known && (!event_check(core, p, entry, err) || !dedup_check(core, p, &known, err)))
        return false;
    if (known) {
        core->stats.duplicates++;
        *out = (wire_result_entry_t){.record = known, .duplicate = true};
        return true;
    }
    route_texts_t texts;
    route_request_t request = {.bus = p->bus,
                               .to = p->msg->to,
                               .replay_name = p->msg->replay_name,
                               .envelope = entry->body,
                               .event = &p->event,
                               .group = entry_group(entry),
                               .texts = &texts};
    entry_dedup(p, entry, &request, fifo_space, sizeof fifo_space);
    buf_clear(&p->bodies);
    if (!room_check(core, RECORD_ROUTES_MAX, err) || !route_event(core, &request, &p->bodies, &p->passed, err))
        return false;
    if (p->bodies.failed || p->bodies.len + entry->body.len + entry->attrs.len > RECORD_MAX_BYTES / 2)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                         "The event is too large with its transformed copies.");
    *out = (wire_result_entry_t){.record = publish_write(core, p, entry, seq)};
    core->stats.published++;
    return true;
}

static void feeds_note(publish_t *p, uint32_t entry)
{
    for (uint32_t i = 1; i < p->passed.count; i++) {
        ids_add(&p->feeds, entry);
        ids_add(&p->feeds, p->passed.buses[i]);
    }
}

void publish_handle(core_t *core, session_t *session, const wire_msg_t *msg)
{
    publish_t p = {.session = session, .msg = &msg->publish};
    error_t err;
    if (!publish_check(core, &p, &err)) {
        answer_refuse(core, session->peer, msg->seq, &err);
        return;
    }
    wire_published_t *results = &core->answers->published;
    buf_t texts = {0};
    results->results.count = 0;
    for (uint32_t i = 0; i < p.msg->entries.count; i++) {
        wire_result_entry_t *out = &results->results.items[results->results.count++];
        if (!publish_one(core, &p, &p.msg->entries.items[i], entry_seq(p.msg->producer_seq, i), out, &err))
            result_refused(out, &err, &texts);
        else if (!out->duplicate)
            feeds_note(&p, i);
    }
    results_send(core, session, WIRE_PUBLISHED, results, &texts);
    cursor_feed(core, p.bus, p.msg, results);
    cursor_feed_passed(core, p.msg, results, &p.feeds);
    buf_free(&texts);
    buf_free(&p.bodies);
    buf_free(&p.passed.map);
    ids_free(&p.feeds);
}

/* -- replays --------------------------------------------------------------------------------------- */
static uint64_t replay_write(core_t *core, const publish_replay_t *event, bytes_t passed)
{
    record_publish_t *r = &core->record->publish; /* the routes are filled in */
    const record_publish_t *from = &event->record->publish;
    r->bus = event->bus;
    r->producer = r->producer_seq = 0;
    r->dedup = BYTES_NONE;
    r->replay_name = event->name;
    r->to = event->to;
    r->topology = core->topology.version;
    r->attrs = from->attrs;
    r->body = from->body;
    r->passed = passed;
    r->replay_of = event->record->seq;
    core->stats.published++;
    return ledger_write(core, RECORD_PUBLISH);
}

/* In FIFO queues each event of a replay has an id of its own: what was accepted twice then is brought twice now. */
static bytes_t replay_dedup(const publish_replay_t *event, char *space, size_t cap)
{
    int len = snprintf(space, cap, "%.*s%c%llu", BYTES_FMT(event->name), DEDUP_SEPARATOR,
                       (unsigned long long)event->record->seq);
    return bytes_from(space, (size_t)len);
}

/* What routes point into until the record is written. */
typedef struct {
    route_texts_t texts;
    char dedup[WIRE_NAME_MAX_BYTES + 32];
    buf_t bodies;
    route_passed_t passed;
} replay_space_t;

static bool replay_route(core_t *core, const publish_replay_t *event, const bus_t *bus, replay_space_t *space,
                         error_t *err)
{
    const record_publish_t *from = &event->record->publish;
    const wire_publish_entry_t entry = {.attrs = from->attrs};
    envelope_t envelope;
    if (!envelope_read(from->body, &envelope, err))
        return false;
    const route_request_t request = {.bus = bus,
                                     .to = event->rules.len ? BYTES_NONE : event->to,
                                     .rules = event->rules,
                                     .replay_name = event->name,
                                     .envelope = from->body,
                                     .event = &envelope,
                                     .group = entry_group(&entry),
                                     .is_dedup_given = true,
                                     .dedup = replay_dedup(event, space->dedup, sizeof space->dedup),
                                     .texts = &space->texts};
    if (!route_event(core, &request, &space->bodies, &space->passed, err))
        return false;
    return (!space->bodies.failed && space->bodies.len + from->body.len + from->attrs.len <= RECORD_MAX_BYTES / 2) ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                     "The event is too large with its transformed copies.");
}

bool publish_replay(core_t *core, const publish_replay_t *event, bool *is_none, error_t *err)
{
    replay_space_t space;
    const bus_t *bus = topology_bus(core, event->bus);
    if (!bus)
        return error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "There is no event bus \"%.*s\".",
                         BYTES_FMT(event->bus));
    space.bodies = space.passed.map = (buf_t){0};
    bool ok = replay_route(core, event, bus, &space, err);
    *is_none = ok && event->rules.len && !core->record->publish.routes.count && space.passed.count <= 1;
    if (ok && !event->is_dry && !*is_none) {
        bool walked = space.passed.count > 0;
        uint64_t record = replay_write(core, event, buf_bytes(&space.passed.map));
        cursor_feed_event(core, walked ? space.passed.buses : &bus->id, walked ? space.passed.count : 1, record,
                          &core->record->publish);
    }
    buf_free(&space.bodies);
    buf_free(&space.passed.map);
    return ok;
}

/* -- SEND ------------------------------------------------------------------------------------------ */
static bool send_check(const core_t *core, const wire_send_t *msg, queue_t **queue, error_t *err)
{
    if (!answer_takes_work(core, err) || !answer_allowed(core, ROLE_SEND, msg->queue, err))
        return false;
    *queue = queue_need(core, msg->queue, err);
    return *queue != NULL;
}

/* SQS: a delay is the queue's alone, a group is needed, and so is a deduplication id, given or computed. */
static bool fifo_check(const queue_t *queue, const wire_send_entry_t *entry, error_t *err)
{
    if (entry->delay_ms != -1)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "\"%s\" is a FIFO queue, where only the queue has a delay: delay_ms must be -1.", queue->name);
    if (!entry->group.len)
        return error_set(err, STATUS_INVALID_ARGUMENT, "MissingParameter",
                         "\"%s\" is a FIFO queue: MessageGroupId is needed.", queue->name);
    if (!group_id_check(entry->group, "MessageGroupId", err))
        return false;
    if (!entry->dedup.len)
        return queue->attributes.content_dedup ||
               error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "\"%s\" needs a MessageDeduplicationId: it has no ContentBasedDeduplication.", queue->name);
    return group_id_check(entry->dedup, "MessageDeduplicationId", err);
}

static bool standard_check(const queue_t *queue, const wire_send_entry_t *entry, error_t *err)
{
    if (entry->group.len && !group_id_check(entry->group, "MessageGroupId", err))
        return false;
    return !entry->dedup.len ||
           error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                     "MessageDeduplicationId belongs to FIFO queues; \"%s\" is none.", queue->name);
}

/* SQS: a system attribute does not count. `attrs` are checked. */
static size_t counted_bytes(bytes_t attrs)
{
    mp_reader_t r = mp_reader(attrs);
    uint32_t count = 0, counted = 0;
    size_t bytes = attrs.len;
    (void)!mp_get_map(&r, &count);
    for (uint32_t i = 0; i < count; i++) {
        const uint8_t *at = r.pos;
        bytes_t name;
        if (!mp_get_str(&r, &name) || !mp_skip(&r))
            break;
        bool is_system = bytes_eq_cstr(name, ATTR_AWS_TRACE_HEADER);
        counted += !is_system;
        bytes -= is_system ? (size_t)(r.pos - at) : 0;
    }
    return counted ? bytes : 0;
}

static bool message_check(const queue_t *queue, const wire_send_entry_t *entry, error_t *err)
{
    const int64_t most_ms = ATTRIBUTE_DELAY_MAX_S * INT64_C(1000);
    if (entry->delay_ms < -1 || entry->delay_ms > most_ms)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "delay_ms must be from 0 to %lld, or -1 for the queue's own.", (long long)most_ms);
    if (entry->attrs.len && (!attrs_check(entry->attrs, err) || !message_attributes_check(entry->attrs, err)))
        return false;
    if (entry->body.len == 0)
        return error_set(err, STATUS_INVALID_ARGUMENT, "MissingParameter", "A message must not be empty.");
    size_t bytes = entry->body.len + entry->attrs.len;
    if (bytes > queue->attributes.max_message_bytes)
        bytes = entry->body.len + counted_bytes(entry->attrs);
    if (bytes > queue->attributes.max_message_bytes)
        return error_set(err, STATUS_INVALID_ARGUMENT, "MessageTooLong",
                         "The message and its attributes have %zu bytes; queue \"%s\" takes %llu.", bytes, queue->name,
                         (unsigned long long)queue->attributes.max_message_bytes);
    if (!(queue->attributes.is_fifo ? fifo_check : standard_check)(queue, entry, err))
        return false;
    error_t why;
    if (!mp_validate(entry->body, &why))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidMessageContents",
                         "The message is not one msgpack value: %s", why.message);
    return message_body_check(entry->body, err);
}

typedef struct {
    const session_t *session;
    queue_t *queue;
    uint64_t seq;  /* of the producer */
    bytes_t dedup; /* given or computed; empty on a standard queue */
    bool is_duplicate;
} send_t;

static uint64_t send_write(core_t *core, const send_t *s, const wire_send_entry_t *entry)
{
    int64_t delay_us = entry->delay_ms < 0 ? s->queue->attributes.delay_us : entry->delay_ms * US_PER_MS;
    core->record->send = (record_send_t){
        .queue = s->queue->incarnation,
        .producer = s->seq ? s->session->producer : 0,
        .producer_seq = s->seq,
        .group = entry->group,
        .dedup = s->dedup,
        .visible_us = delay_us ? core->now_us + delay_us : 0,
        .duplicate = s->is_duplicate,
        .attrs = entry->attrs,
        .body = entry->body,
    };
    return ledger_write(core, RECORD_SEND);
}

static void send_known(core_t *core, const send_t *s, uint64_t record, wire_result_entry_t *out)
{
    queue_counts(core, s->queue)->deduplicated++;
    core->stats.duplicates++;
    *out = (wire_result_entry_t){.record = record, .duplicate = true};
}

/* What the queue has taken within the window is not taken again; a producer's number is remembered all the same. */
static bool send_deduplicate(core_t *core, send_t *s, const wire_send_entry_t *entry, uint64_t *known, error_t *err)
{
    if (!s->queue->attributes.is_fifo)
        return true;
    *known = group_dedup_find(s->queue, entry->group, s->dedup, core->now_us);
    s->is_duplicate = *known != 0;
    if (s->is_duplicate && s->seq)
        (void)send_write(core, s, entry);
    return s->is_duplicate || group_dedup_check(s->queue, core->now_us, err);
}

static bool send_one(core_t *core, send_t *s, const wire_send_entry_t *entry, wire_result_entry_t *out, error_t *err)
{
    uint64_t known;
    char hash[SHA256_HEX_BYTES];
    if (!producer_check(core, s->session, s->seq, &known, err))
        return false;
    if (known) {
        send_known(core, s, known, out);
        return true;
    }
    if (!message_check(s->queue, entry, err) || !room_check(core, 1, err))
        return false;
    s->dedup = entry->dedup;
    if (s->queue->attributes.is_fifo && !entry->dedup.len) {
        sha256_hex(entry->body, hash);
        s->dedup = bytes_cstr(hash);
    }
    if (!send_deduplicate(core, s, entry, &known, err))
        return false;
    if (known) {
        send_known(core, s, known, out);
        return true;
    }
    *out = (wire_result_entry_t){.record = send_write(core, s, entry)};
    core->stats.sent++;
    return true;
}

static void result_digests(wire_result_entry_t *out, const wire_send_entry_t *entry, message_digests_t *digests)
{
    message_digests(entry->body, entry->attrs, digests);
    out->md5_body = bytes_cstr(digests->body);
    out->md5_attributes = bytes_cstr(digests->attributes);
    out->md5_system_attributes = bytes_cstr(digests->system_attributes);
}

void publish_handle_send(core_t *core, session_t *session, const wire_msg_t *msg)
{
    queue_t *queue;
    error_t err;
    if (!send_check(core, &msg->send, &queue, &err)) {
        answer_refuse(core, session->peer, msg->seq, &err);
        return;
    }
    uint32_t count = msg->send.entries.count;
    wire_published_t *results = &core->answers->published;
    message_digests_t *digests = msg->send.digests ? memory_new(count + 1, sizeof *digests) : NULL;
    buf_t texts = {0};
    results->results.count = 0;
    for (uint32_t i = 0; i < count; i++) {
        const wire_send_entry_t *entry = &msg->send.entries.items[i];
        wire_result_entry_t *out = &results->results.items[results->results.count++];
        send_t s = {.session = session, .queue = queue, .seq = entry_seq(msg->send.producer_seq, i)};
        if (!send_one(core, &s, entry, out, &err))
            result_refused(out, &err, &texts);
        else if (digests)
            result_digests(out, entry, &digests[i]);
    }
    results_send(core, session, WIRE_SENT, results, &texts);
    buf_free(&texts);
    free(digests);
}

/* -- applying -------------------------------------------------------------------------------------- */
static bool route_apply(core_t *core, const record_t *record, uint32_t nth, error_t *err)
{
    const record_publish_t *r = &record->publish;
    const record_route_t *route = &r->routes.items[nth];
    queue_t *queue = queue_by_incarnation(core, route->queue);
    if (!queue)
        return ledger_misfit(err, record, "queue", route->queue);
    core->newest_fed = queue->id;
    bool is_fifo = queue->attributes.is_fifo;
    size_t bytes = r->attrs.len + (route->transformed ? route->body.len : r->body.len);
    uint32_t rule = name_keep(core, route->rule);
    const message_t message = {
        .record = record->seq,
        .sent_us = record->ingest_us,
        .queue = (uint16_t)queue->id,
        .bytes = bytes & MESSAGE_BYTES_MASK,
        .route = nth & MESSAGE_NO_ROUTE,
        .rule = rule <= UINT16_MAX ? (uint16_t)rule : 0,
    };
    const message_side_t side = {
        .group = route->group.len ? group_need(queue, route->group) : 0,
        .dead = route->error.len ? retire_unfit(core, record, route) & MESSAGE_DEAD_MASK : 0,
    };
    (void)message_add(core, &message, &side, route->visible_us, record->ingest_us);
    if (is_fifo)
        group_dedup_add(queue, route->group, route->dedup, record->seq, record->ingest_us);
    return true;
}

bool publish_apply(core_t *core, const record_t *record, error_t *err)
{
    const record_publish_t *r = &record->publish;
    bus_t *bus = r->dedup.len ? topology_bus(core, r->bus) : NULL;
    if (r->routes.count > RECORD_ROUTES_MAX)
        return ledger_misfit(err, record, "a number of routes,", r->routes.count);
    if (bus)
        dedup_add(&bus->dedup, r->dedup, record->seq, record->ingest_us, record->ingest_us - bus->dedup_window_us);
    producer_remember(core, r->producer, r->producer_seq, record->seq);
    if (r->replay_of)
        replay_apply_event(core, record);
    for (uint32_t i = 0; i < r->routes.count; i++)
        if (!route_apply(core, record, i, err) && !ledger_forgives(core, record))
            return false;
    return true;
}

bool publish_apply_send(core_t *core, const record_t *record, error_t *err)
{
    const record_send_t *r = &record->send;
    queue_t *queue = queue_by_incarnation(core, r->queue);
    if (!queue)
        return ledger_misfit(err, record, "queue", r->queue);
    bool is_fifo = queue->attributes.is_fifo;
    uint64_t first = r->duplicate ? group_dedup_find(queue, r->group, r->dedup, record->ingest_us) : 0;
    producer_remember(core, r->producer, r->producer_seq, first ? first : record->seq);
    if (r->duplicate)
        return true;
    const message_t message = {
        .record = record->seq,
        .sent_us = record->ingest_us,
        .queue = (uint16_t)queue->id,
        .bytes = (r->attrs.len + r->body.len) & MESSAGE_BYTES_MASK,
        .route = MESSAGE_NO_ROUTE,
    };
    const message_side_t side = {.group = r->group.len ? group_need(queue, r->group) : 0};
    (void)message_add(core, &message, &side, r->visible_us, record->ingest_us);
    if (is_fifo)
        group_dedup_add(queue, r->group, r->dedup, record->seq, record->ingest_us);
    return true;
}
