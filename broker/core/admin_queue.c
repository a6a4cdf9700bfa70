/* admin_queue.c: looking at queues, making, changing, emptying and deleting them. */
#include "broker/core/admin.h"

#include "broker/core/attributes.h"
#include "broker/core/consume.h"
#include "broker/core/group.h"
#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/redrive.h"
#include "broker/core/session.h"
#include "proto/msgpack.h"

#define PEEK_NORMAL 10

static void put_u64(buf_t *out, const char *key, uint64_t value)
{
    mp_put_cstr(out, key);
    mp_put_u64(out, value);
}

/* -- looking ----------------------------------------------------------------------------------------- */
static uint32_t queue_put_pairs(const core_t *core, const queue_t *queue, buf_t *out)
{
    mp_put_cstr(out, "name");
    mp_put_cstr(out, queue->name);
    put_u64(out, "incarnation", queue->incarnation);
    put_u64(out, "visible", queue->visible.count);
    put_u64(out, "in_flight", queue->in_flight);
    put_u64(out, "delayed", queue->delayed);
    put_u64(out, "bytes", queue->bytes);
    put_u64(out, "lost", queue->lost);
    put_u64(out, "groups", queue->groups.used);
    put_u64(out, "groups_blocked", queue->blocked);
    put_u64(out, "groups_noisy", queue->attributes.is_fifo ? 0 : queue->ready.count);
    mp_put_cstr(out, "oldest_us");
    mp_put_i64(out, visible_oldest_us(core, queue));
    put_u64(out, "consumers", queue->subs.count);
    put_u64(out, "entered", queue->counts.entered);
    put_u64(out, "delivered", queue->counts.delivered);
    put_u64(out, "left", queue->counts.left);
    mp_put_cstr(out, "fifo");
    mp_put_bool(out, queue->attributes.is_fifo);
    mp_put_cstr(out, "from_topology");
    mp_put_bool(out, queue->from_topology);
    mp_put_cstr(out, "attributes");
    size_t at = mp_map_begin(out);
    mp_map_end(out, at, attributes_write(out, &queue->attributes));
    return 18;
}

static void queue_put(const core_t *core, const queue_t *queue, buf_t *out)
{
    size_t at = mp_map_begin(out);
    mp_map_end(out, at, queue_put_pairs(core, queue, out));
}

static void holder_put(const core_t *core, const queue_t *queue, const message_t *m, const session_t *session,
                       buf_t *out)
{
    const group_t *group = group_at(queue, message_group(core, m));
    mp_put_map(out, group ? 6 : 5);
    put_u64(out, "record", m->record);
    put_u64(out, "receives", m->receives);
    mp_put_cstr(out, "until_us");
    mp_put_i64(out, message_timer_us(core, m));
    put_u64(out, "session", session->number);
    mp_put_cstr(out, "name");
    mp_put_cstr(out, session->name);
    if (group) {
        mp_put_cstr(out, "group");
        mp_put_cstr(out, group->name);
    }
}

static void holders_put(const core_t *core, const queue_t *queue, buf_t *out)
{
    const pool_t *sessions = &core->sessions.all;
    uint32_t count = 0;
    size_t at = mp_array_begin(out);
    for (uint32_t s = pool_next(sessions, 0); s && count < queue->in_flight; s = pool_next(sessions, s)) {
        const session_t *session = session_at(core, s);
        for (uint32_t id = session->held.head; id && count < ADMIN_HOLDERS_MAX; id = message_at(core, id)->next) {
            if (message_at(core, id)->queue != queue->id)
                continue;
            holder_put(core, queue, message_at(core, id), session, out);
            count++;
        }
    }
    mp_array_end(out, at, count);
}

bool admin_queue_list(core_t *core, const admin_request_t *request, buf_t *out, error_t *err UNUSED)
{
    uint32_t count = 0;
    size_t at = mp_array_begin(out);
    for (const queue_t *queue = queue_next(core, NULL); queue; queue = queue_next(core, queue)) {
        if (!bytes_has_prefix(bytes_cstr(queue->name), request->name))
            continue;
        queue_put(core, queue, out);
        count++;
    }
    mp_array_end(out, at, count);
    return true;
}

bool admin_queue_info(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    const queue_t *queue = queue_need(core, request->name, err);
    if (!queue)
        return false;
    size_t at = mp_map_begin(out);
    uint32_t pairs = queue_put_pairs(core, queue, out);
    mp_put_cstr(out, "holders");
    holders_put(core, queue, out);
    mp_map_end(out, at, pairs + 1);
    return true;
}

/* Where a peek goes on: behind a message by its own number (where it waits no more, at the first that came later), or
 * behind the first whose bytes this record holds, as older clients ask. */
static uint32_t peek_from(const core_t *core, const queue_t *queue, uint64_t message, uint64_t record)
{
    if (message) {
        uint32_t id = message_find(core, queue->id, message);
        if (id && message_at(core, id)->state == MESSAGE_VISIBLE)
            return visible_next(core, queue, id);
        for (id = visible_first(core, queue); id && message_at(core, id)->record < message;)
            id = visible_next(core, queue, id);
        return id;
    }
    if (!record)
        return visible_first(core, queue);
    for (uint32_t id = visible_first(core, queue); id; id = visible_next(core, queue, id))
        if (message_origin(core, message_at(core, id), NULL) == record)
            return visible_next(core, queue, id);
    return 0;
}

bool admin_queue_peek(core_t *core, const admin_request_t *request, buf_t *out UNUSED, error_t *err)
{
    const queue_t *queue = queue_need(core, request->name, err);
    uint64_t most = PEEK_NORMAL, after = 0, message = 0, bytes = 0;
    if (!queue)
        return false;
    (void)!mp_map_u64(request->args, "max", &most);
    (void)!mp_map_u64(request->args, "after", &after);
    (void)!mp_map_u64(request->args, "after_message", &message);
    if (most > ADMIN_PEEK_MAX)
        most = ADMIN_PEEK_MAX;
    size_t first = core->out->item_count;
    for (uint32_t id = peek_from(core, queue, message, after); id && core->out->item_count - first < most;) {
        const message_t *m = message_at(core, id);
        bytes += m->bytes;
        if (bytes > core->limits.max_frame_bytes / 2 && core->out->item_count > first)
            break;
        item_fill(core, m, effects_item(core->out));
        id = visible_next(core, queue, id);
    }
    core_out_t *answer = effects_add(core->out, CORE_OUT_RESULT);
    answer->peer = request->session->peer;
    answer->after = ledger_after(core);
    answer->deliver.verb = WIRE_RESULT;
    answer->deliver.seq = request->seq;
    answer->deliver.first = first;
    answer->deliver.count = core->out->item_count - first;
    return true;
}

/* -- changing ---------------------------------------------------------------------------------------- */
static bool redrive_check(const core_t *core, bytes_t name, const queue_attributes_t *attributes, error_t *err)
{
    if (!attributes->max_receives)
        return true;
    const queue_t *dead = queue_find(core, bytes_cstr(attributes->dead_letters));
    if (!dead || dead->attributes.is_fifo != attributes->is_fifo || bytes_eq_cstr(name, attributes->dead_letters))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "The dead-letter queue \"%s\" must exist, be another queue, and be of the same type.",
                         attributes->dead_letters);
    return redrive_allows(&dead->attributes, name) ||
           error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                     "The RedriveAllowPolicy of \"%s\" does not allow \"%.*s\" to use it as its dead-letter queue.",
                     attributes->dead_letters, BYTES_FMT(name));
}

static bool attributes_check(const core_t *core, bytes_t name, bytes_t given, queue_attributes_t *read, error_t *err)
{
    return queue_name_check(name, err) && attributes_read(name, given, read, err) &&
           redrive_check(core, name, read, err);
}

/* What stands against a queue that is not there yet. */
static bool new_check(const core_t *core, bytes_t name, error_t *err)
{
    if (queue_count(core) >= core->limits.queues)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException", "There are %llu queues already.",
                         (unsigned long long)core->limits.queues);
    return !queue_was_deleted(core, name) ||
           error_set(err, STATUS_FAILED_PRECONDITION, "QueueDeletedRecently",
                     "A queue \"%.*s\" was deleted a moment ago: its name rests for 60 seconds.", BYTES_FMT(name));
}

bool admin_queue_create(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    queue_attributes_t wanted;
    if (!attributes_check(core, request->name, request->args, &wanted, err))
        return false;
    const queue_t *queue = queue_find(core, request->name);
    if (queue && memcmp(&queue->attributes, &wanted, sizeof wanted) != 0)
        return error_set(err, STATUS_ALREADY_EXISTS, "QueueNameExists",
                         "Queue \"%s\" exists with other attributes; QUEUE set changes them.", queue->name);
    if (!queue && !new_check(core, request->name, err))
        return false;
    if (!queue)
        queue = queue_create(core, request->name, request->args, false);
    queue_put(core, queue, out);
    return true;
}

/* NULL when there is no such queue, or the topology owns it. */
static queue_t *queue_own(const core_t *core, bytes_t name, error_t *err)
{
    queue_t *queue = queue_need(core, name, err);
    if (!queue || !queue->from_topology)
        return queue;
    error_set(err, STATUS_FAILED_PRECONDITION, "OWNED_BY_TOPOLOGY",
              "Queue \"%s\" belongs to the topology: change the document and apply it.", queue->name);
    return NULL;
}

/* `base` with the pairs of `changes` instead of its own of the same name. */
static bool attributes_merge(bytes_t base, bytes_t changes, buf_t *out)
{
    const bytes_t sources[] = {base, changes};
    uint32_t count = 0;
    size_t at = mp_map_begin(out);
    for (size_t s = 0; s < ARRAY_LEN(sources); s++) {
        mp_reader_t r = mp_reader(sources[s]);
        uint32_t pairs = 0;
        if (sources[s].len && !mp_get_map(&r, &pairs))
            return false;
        for (uint32_t i = 0; i < pairs; i++) {
            char key[64];
            bytes_t name, value, other;
            if (!mp_get_str(&r, &name) || !mp_get_raw(&r, &value))
                return false;
            if (s == 0 && changes.len && bytes_to_cstr(name, key, sizeof key) && mp_map_find(changes, key, &other))
                continue;
            mp_put_str(out, name);
            mp_put_raw(out, value);
            count++;
        }
    }
    mp_map_end(out, at, count);
    return true;
}

bool admin_queue_set(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    queue_t *queue = queue_own(core, request->name, err);
    queue_attributes_t read;
    buf_t merged = {0};
    bool ok = queue != NULL;
    if (ok && !attributes_merge(buf_bytes(&queue->given), request->args, &merged))
        ok = error_set(err, STATUS_INVALID_ARGUMENT, "InvalidAttributeName", "Attribute names must be texts.");
    ok = ok && attributes_check(core, request->name, buf_bytes(&merged), &read, err);
    if (ok) {
        queue_set(core, queue, buf_bytes(&merged), false);
        queue_put(core, queue, out);
    }
    buf_free(&merged);
    return ok;
}

bool admin_queue_delete(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    queue_t *queue = queue_own(core, request->name, err);
    if (!queue)
        return false;
    uint32_t messages = queue_messages(queue);
    effects_log(core->out, LOG_WARNING, "queue %s is deleted by %s, with %u messages", queue->name,
                request->session->name, messages);
    core->stats.dropped += messages;
    queue_delete(core, queue);
    mp_put_map(out, 1);
    put_u64(out, "messages", messages);
    return true;
}

static bool purge_check(const core_t *core, const queue_t *queue, error_t *err)
{
    int64_t left_us = queue->purged_us + QUEUE_PURGE_WINDOW_US - core->now_us;
    if (!queue->purged_us || left_us <= 0)
        return true;
    error_set(err, STATUS_FAILED_PRECONDITION, "PurgeQueueInProgress",
              "Queue \"%s\" was purged a moment ago: once in 60 seconds is allowed.", queue->name);
    err->retry_after_ms = (left_us + US_PER_MS - 1) / US_PER_MS;
    return false;
}

bool admin_queue_purge(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    const queue_t *queue = queue_need(core, request->name, err);
    if (!queue || !purge_check(core, queue, err))
        return false;
    uint32_t count = queue_messages(queue);
    effects_log(core->out, LOG_WARNING, "queue %s is purged of %u messages by %s", queue->name, count,
                request->session->name);
    core->stats.dropped += count;
    core->record->purge = (record_purge_t){.queue = queue->incarnation, .count = count};
    (void)ledger_write(core, RECORD_PURGE);
    mp_put_map(out, 1);
    put_u64(out, "count", count);
    return true;
}
