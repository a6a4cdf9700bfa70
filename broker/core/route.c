/* route.c: from an event to the queues that receive it. */
#include "broker/core/route.h"

#include <stdlib.h>

#include "broker/core/group.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/subscription.h"
#include "proto/json.h"
#include "proto/msgpack.h"

#define TO_QUEUE BYTES_LIT("queue:")
#define TO_SUBSCRIBER BYTES_LIT("subscriber:")

static bool to_name(bytes_t to, bytes_t prefix, bytes_t *name)
{
    if (!bytes_has_prefix(to, prefix))
        return false;
    *name = bytes_from(to.data + prefix.len, to.len - prefix.len);
    return true;
}

bool route_check_to(const core_t *core, bytes_t to, error_t *err)
{
    bytes_t name;
    if (!to.len)
        return true;
    if (to_name(to, TO_QUEUE, &name))
        return queue_need(core, name, err) != NULL;
    if (!to_name(to, TO_SUBSCRIBER, &name) || !name.len)
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "PUBLISH.to must be empty, queue:NAME or subscriber:NAME.");
    return subscription_has_name(core, name) ||
           error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "No live subscription has the name \"%.*s\".",
                     BYTES_FMT(name));
}

typedef struct {
    queue_t *queue;
    bytes_t group;
    bytes_t body;
} route_to_t;

/* What is given, the event's id, or the body's hash where the queue goes by content. A replay goes by its own name
 * and the event: it must have effect. */
static bytes_t route_dedup(const core_t *core, const route_request_t *request, const route_to_t *to)
{
    if (!to->queue->attributes.is_fifo)
        return BYTES_NONE;
    if (request->is_dedup_given || request->replay_name.len || !to->queue->attributes.content_dedup)
        return request->dedup;
    char *hash = request->texts->hashes[core->record->publish.routes.count];
    sha256_hex(to->body, hash);
    return bytes_cstr(hash);
}

/* *out is NULL when the queue gets the event already, or remembers it. False when it can remember no more. */
static bool route_add(core_t *core, const route_request_t *request, const route_to_t *to, record_route_t **out,
                      error_t *err)
{
    record_publish_t *r = &core->record->publish;
    *out = NULL;
    for (uint32_t i = 0; i < r->routes.count; i++)
        if (r->routes.items[i].queue == to->queue->incarnation)
            return true;
    bytes_t dedup = route_dedup(core, request, to);
    if (dedup.len && group_dedup_find(to->queue, to->group, dedup, core->now_us)) {
        core->stats.duplicates++;
        queue_counts(core, to->queue)->deduplicated++;
        return true;
    }
    if (dedup.len && !group_dedup_check(to->queue, core->now_us, err))
        return false;
    record_route_t *route = &r->routes.items[r->routes.count++];
    int64_t delay_us = to->queue->attributes.delay_us;
    bool has_group = to->queue->attributes.is_fifo || group_id_check(to->group, "", NULL);
    *route = (record_route_t){
        .queue = to->queue->incarnation,
        .group = has_group ? to->group : BYTES_NONE, /* what names no tenant is none */
        .dedup = dedup,
        .visible_us = delay_us ? core->now_us + delay_us : 0,
    };
    *out = route;
    return true;
}

/* What stands at a target's path: texts as they are, numbers and booleans as JSON writes them. */
static bool group_follow(const path_t *path, bytes_t envelope, char out[GROUP_ID_MAX_BYTES + 1], error_t *err)
{
    bytes_t value, name = path_text(path);
    buf_t json = {0};
    if (!path_follow(path, envelope, &value))
        return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                         "The event has nothing at MessageGroupId \"%.*s\".", BYTES_FMT(name));
    mp_reader_t r = mp_reader(value);
    bytes_t text;
    bool is_text = mp_get_str(&r, &text), ok = is_text || json_from_msgpack(value, JSON_COMPACT, &json, err);
    if (ok)
        ok = group_id_check(is_text ? text : buf_bytes(&json), "What the event has at MessageGroupId", err) &&
             bytes_to_cstr(is_text ? text : buf_bytes(&json), out, GROUP_ID_MAX_BYTES + 1);
    buf_free(&json);
    return ok;
}

/* The group of the route that would come next. */
static bool target_group(const core_t *core, const target_t *target, const route_request_t *request, bytes_t *group,
                         error_t *err)
{
    char *own = request->texts->groups[core->record->publish.routes.count];
    *group = target->group[0] ? bytes_cstr(target->group) : request->group;
    if (!target->group_path)
        return true;
    bool ok = group_follow(target->group_path, request->envelope, own, err);
    *group = ok ? bytes_cstr(own) : BYTES_LIT("unfit"); /* of the dead letter, which needs one too */
    return ok;
}

/* An event that does not fit a target is dead-lettered as it is, with the reason, and never silently dropped. */
static bool route_unfit(core_t *core, const rule_t *rule, const target_t *target, const route_to_t *wanted,
                        const route_request_t *request, const error_t *why, error_t *err)
{
    queue_t *dead = queue_dead_letters(core, wanted->queue);
    const route_to_t to = {dead, wanted->group, request->envelope};
    char *text = request->texts->errors[core->record->publish.routes.count];
    record_route_t *route = NULL;
    if (dead && !route_add(core, request, &to, &route, err))
        return false;
    if (route) {
        (void)bytes_to_cstr(bytes_cstr(why->message), text, ROUTE_ERROR_BYTES);
        route->rule = bytes_cstr(name_text(core, target->name));
        route->error = bytes_cstr(text);
        route->target = wanted->queue->incarnation;
    } else if (!dead) {
        core->stats.dropped++;
    }
    effects_log(core->out, LOG_WARNING, "rule %s, target %s: the event does not fit (%s), %s", rule->name, target->id,
                why->message, dead ? "dead-lettered" : "dropped");
    return true;
}

static bool route_target(core_t *core, const rule_t *rule, const target_t *target, const route_request_t *request,
                         buf_t *bodies, error_t *err)
{
    route_to_t to = {.queue = queue_by_incarnation(core, target->queue), .body = request->envelope};
    if (!to.queue)
        return true; /* nobody consumes it: the topology says so */
    size_t at = bodies->len;
    error_t why;
    const template_facts_t facts = {core->now_us, bytes_cstr(rule->name), bytes_cstr(rule->bus)};
    if (!target_group(core, target, request, &to.group, &why) ||
        (target->transform && !transform_apply(target->transform, request->envelope, &facts, bodies, &why))) {
        bodies->len = at;
        return route_unfit(core, rule, target, &to, request, &why, err);
    }
    if (target->transform)
        to.body = bytes_from(bodies->data + at, bodies->len - at);
    record_route_t *route;
    if (!route_add(core, request, &to, &route, err))
        return false;
    if (!route) {
        bodies->len = at;
        return true;
    }
    message_expect(core, to.queue->id, core->next_seq);
    route->rule = bytes_cstr(name_text(core, target->name));
    route->transformed = target->transform != NULL;
    /* The buffer may move while it grows: an offset until route_event ends. */
    route->body = bytes_from(NULL, route->transformed ? bodies->len - at : 0);
    return true;
}

static void route_fix_bodies(record_publish_t *r, const buf_t *bodies)
{
    size_t at = 0;
    for (uint32_t i = 0; i < r->routes.count; i++) {
        record_route_t *route = &r->routes.items[i];
        if (!route->transformed)
            continue;
        route->body.data = bodies->data + at;
        at += route->body.len;
    }
}

bool route_names(bytes_t list, const char *name)
{
    size_t begin = 0;
    for (size_t i = 0; i <= list.len; i++)
        if (i == list.len || list.data[i] == ',') {
            if (bytes_eq_cstr(bytes_from(list.data + begin, i - begin), name))
                return true;
            begin = i + 1;
        }
    return false;
}

/* -- from bus to bus ----------------------------------------------------------------------------------- */
static void pass_on(const core_t *core, const target_t *target, route_passed_t *passed)
{
    for (uint32_t i = 0; i < passed->count; i++)
        if (passed->buses[i] == target->bus)
            return; /* it has been there */
    if (passed->count == TOPOLOGY_PASSES_MAX)
        abort(); /* the topology was checked for that */
    passed->buses[passed->count++] = target->bus;
    mp_put_cstr(&passed->map, ((const bus_t *)pool_get(&core->buses, target->bus))->name);
    mp_put_cstr(&passed->map, name_text(core, target->name));
}

typedef struct {
    const route_request_t *request;
    buf_t *bodies;
    route_passed_t *passed;
    size_t rules, targets; /* so far, over all buses */
} walk_t;

static bool walk_count(const core_t *core, walk_t *w, const uint32_t *ids, size_t matched, error_t *err)
{
    w->rules += matched;
    for (size_t i = 0; i < matched && i < RECORD_ROUTES_MAX; i++)
        w->targets += core->topology.rules[ids[i]].target_count;
    return (w->rules <= RECORD_ROUTES_MAX && w->targets <= RECORD_ROUTES_MAX) ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                     "The event matches %zu rules with %zu targets; at most %d can be reached.", w->rules, w->targets,
                     RECORD_ROUTES_MAX);
}

static bool walk_bus(core_t *core, walk_t *w, const bus_t *bus, error_t *err)
{
    uint32_t ids[RECORD_ROUTES_MAX];
    const route_request_t *q = w->request;
    size_t matched =
        bus->rules ? ruleset_match_envelope(bus->rules, q->event, q->envelope, q->replay_name, ids, ARRAY_LEN(ids)) : 0;
    if (matched == RULESET_TOO_COSTLY)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                         "To hold the event against the rules of a bus would take more than %d steps: it has too many "
                         "values, or too long ones, where rules ask for them.",
                         RULESET_STEPS_MAX);
    if (!walk_count(core, w, ids, matched, err))
        return false;
    for (size_t i = 0; i < matched; i++) {
        const rule_t *rule = &core->topology.rules[ids[i]];
        if (bus == w->request->bus && w->request->rules.len && !route_names(w->request->rules, rule->name))
            continue;
        for (uint32_t t = 0; t < rule->target_count; t++) {
            const target_t *target = &rule->targets[t];
            if (target->bus)
                pass_on(core, target, w->passed);
            else if (!route_target(core, rule, target, q, w->bodies, err))
                return false;
        }
    }
    return true;
}

/* The map was written without its length, which is known now. */
static void passed_end(route_passed_t *passed)
{
    buf_t pairs = passed->map;
    passed->map = (buf_t){0};
    if (passed->count > 1) {
        mp_put_map(&passed->map, passed->count - 1);
        buf_append_bytes(&passed->map, buf_bytes(&pairs));
    }
    buf_free(&pairs);
}

static bool route_by_rules(core_t *core, walk_t *w, error_t *err)
{
    w->passed->buses[0] = w->request->bus->id;
    w->passed->count = 1;
    for (uint32_t i = 0; i < w->passed->count; i++)
        if (!walk_bus(core, w, pool_get(&core->buses, w->passed->buses[i]), err))
            return false;
    if (w->passed->count > 1)
        passed_end(w->passed);
    route_fix_bodies(&core->record->publish, w->bodies);
    return true;
}

bool route_event(core_t *core, const route_request_t *request, buf_t *bodies, route_passed_t *passed, error_t *err)
{
    bytes_t name;
    walk_t walk = {.request = request, .bodies = bodies, .passed = passed};
    core->record->publish.routes.count = 0;
    passed->count = 0;
    buf_clear(&passed->map);
    if (!request->to.len)
        return route_by_rules(core, &walk, err);
    if (!to_name(request->to, TO_QUEUE, &name))
        return true;
    const route_to_t to = {queue_find(core, name), request->group, request->envelope};
    if (to.queue->attributes.is_fifo && !group_id_check(to.group, "Attribute MessageGroupId, for a FIFO queue,", err))
        return false;
    record_route_t *route;
    return route_add(core, request, &to, &route, err);
}
