/* route.c: from an event to the queues that receive it. */
#include "broker/core/route.h"

#include "broker/core/group.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/subscription.h"

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
    char *hash = request->hashes[core->record->publish.routes.count];
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

static bytes_t target_group(const target_t *target, const route_request_t *request)
{
    return target->group[0] ? bytes_cstr(target->group) : request->group;
}

/* An event that does not fit a target's transformer is dead-lettered untransformed, and never silently. */
static bool route_unfit(core_t *core, const rule_t *rule, const target_t *target, const queue_t *queue,
                        const route_request_t *request, const error_t *why, error_t *err)
{
    queue_t *dead = queue_dead_letters(core, queue);
    const route_to_t to = {dead, target_group(target, request), request->envelope};
    record_route_t *route = NULL;
    if (dead && !route_add(core, request, &to, &route, err))
        return false;
    if (route)
        route->rule = bytes_cstr(name_text(core, target->name));
    else
        core->stats.dropped++;
    effects_log(core->out, LOG_WARNING, "rule %s, target %s: the event does not fit the transformer (%s), %s",
                rule->name, target->id, why->message, route ? "dead-lettered" : "dropped");
    return true;
}

static bool route_target(core_t *core, const rule_t *rule, const target_t *target, const route_request_t *request,
                         buf_t *bodies, error_t *err)
{
    queue_t *queue = queue_by_incarnation(core, target->queue);
    if (!queue)
        return true; /* nobody consumes it: the topology says so */
    size_t at = bodies->len;
    error_t why;
    const template_facts_t facts = {core->now_us, bytes_cstr(rule->name), bytes_cstr(rule->bus)};
    if (target->transform && !transform_apply(target->transform, request->envelope, &facts, bodies, &why)) {
        bodies->len = at;
        return route_unfit(core, rule, target, queue, request, &why, err);
    }
    const route_to_t to = {queue, target_group(target, request),
                           target->transform ? bytes_from(bodies->data + at, bodies->len - at) : request->envelope};
    record_route_t *route;
    if (!route_add(core, request, &to, &route, err))
        return false;
    if (!route) {
        bodies->len = at;
        return true;
    }
    message_expect(core, queue->id, core->next_seq);
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

static bool route_by_rules(core_t *core, const route_request_t *request, buf_t *bodies, error_t *err)
{
    uint32_t ids[RECORD_ROUTES_MAX];
    size_t matched = request->bus->rules
                         ? ruleset_match_envelope(request->bus->rules, request->event, request->envelope,
                                                  request->replay_name, ids, ARRAY_LEN(ids))
                         : 0;
    size_t targets = 0;
    if (matched == RULESET_TOO_COSTLY)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                         "To hold the event against the bus's rules would take more than %d steps: it has too many "
                         "values, or too long ones, where rules ask for them.",
                         RULESET_STEPS_MAX);
    for (size_t i = 0; i < matched && i < ARRAY_LEN(ids); i++)
        targets += core->topology.rules[ids[i]].target_count;
    if (matched > RECORD_ROUTES_MAX || targets > RECORD_ROUTES_MAX)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                         "The event matches %zu rules with %zu targets; at most %d can be reached.", matched, targets,
                         RECORD_ROUTES_MAX);
    for (size_t i = 0; i < matched; i++) {
        const rule_t *rule = &core->topology.rules[ids[i]];
        for (uint32_t t = 0; t < rule->target_count; t++)
            if (!route_target(core, rule, &rule->targets[t], request, bodies, err))
                return false;
    }
    route_fix_bodies(&core->record->publish, bodies);
    return true;
}

bool route_event(core_t *core, const route_request_t *request, buf_t *bodies, error_t *err)
{
    bytes_t name;
    core->record->publish.routes.count = 0;
    if (!request->to.len)
        return route_by_rules(core, request, bodies, err);
    if (!to_name(request->to, TO_QUEUE, &name))
        return true;
    const route_to_t to = {queue_find(core, name), request->group, request->envelope};
    if (to.queue->attributes.is_fifo && !group_id_check(to.group, "Attribute MessageGroupId, for a FIFO queue,", err))
        return false;
    record_route_t *route;
    return route_add(core, request, &to, &route, err);
}
