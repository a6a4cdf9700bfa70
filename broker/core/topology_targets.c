/* topology_targets.c: the ways of events from bus to bus and to queues, before any event takes them. */
#include "broker/core/topology_targets.h"

#include <stdlib.h>

#include "proto/msgpack.h"

#define RETRY_ATTEMPTS_MAX 185 /* EventBridge: MaximumRetryAttempts */
#define EVENT_AGE_MIN_S 60     /* MaximumEventAgeInSeconds */
#define EVENT_AGE_MAX_S 86400

typedef struct {
    const topology_doc_t *doc;
    const doc_rule_t *rule;
    const doc_target_t *target;
} place_t;

static bool refuse(const place_t *p, const char *what, error_t *err)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "Topology, rule \"%.*s\", target \"%.*s\": %s", BYTES_FMT(p->rule->name), BYTES_FMT(p->target->id),
                     what);
}

static bool is_on(const place_t *p)
{
    return p->rule->is_enabled && p->target->is_enabled;
}

/* Calls `check` for every target; false when one does not hold. */
static bool each_target(const topology_doc_t *doc, bool (*check)(const place_t *p, error_t *err), error_t *err)
{
    for (uint32_t i = 0; i < doc->rule_count; i++) {
        place_t p = {.doc = doc, .rule = &doc->rules[i]};
        for (uint32_t t = 0; t < p.rule->target_count; t++) {
            p.target = &doc->targets[p.rule->first_target + t];
            if (!check(&p, err))
                return false;
        }
    }
    return true;
}

/* -- from bus to bus ----------------------------------------------------------------------------------- */
static uint32_t bus_place(const topology_doc_t *doc, bytes_t name)
{
    return (uint32_t)(topology_doc_bus(doc, name) - doc->buses);
}

static bool set_has(const bus_set_t *set, uint32_t bus)
{
    return set->bits[bus / 64] >> (bus % 64) & 1;
}

static void set_add(bus_set_t *set, uint32_t bus)
{
    set->bits[bus / 64] |= UINT64_C(1) << (bus % 64);
}

static void set_join(bus_set_t *set, const bus_set_t *more)
{
    for (size_t i = 0; i < ARRAY_LEN(set->bits); i++)
        set->bits[i] |= more->bits[i];
}

static uint32_t set_count(const bus_set_t *set)
{
    uint32_t count = 0;
    for (size_t i = 0; i < ARRAY_LEN(set->bits); i++)
        count += (uint32_t)__builtin_popcountll(set->bits[i]);
    return count;
}

/* What each bus passes on to, itself included; false when none passes anything. */
static bool next_buses(const topology_doc_t *doc, bus_set_t *next)
{
    bool any = false;
    for (uint32_t i = 0; i < doc->bus_count; i++)
        set_add(&next[i], i);
    for (uint32_t i = 0; i < doc->rule_count; i++) {
        const doc_rule_t *rule = &doc->rules[i];
        for (uint32_t t = 0; rule->is_enabled && t < rule->target_count; t++) {
            const doc_target_t *target = &doc->targets[rule->first_target + t];
            if (!target->is_enabled || !target->bus.len)
                continue;
            set_add(&next[bus_place(doc, rule->bus)], bus_place(doc, target->bus));
            any = true;
        }
    }
    return any;
}

/* In as many rounds as an event may take buses, every way that is short enough is found, and one that is too long. */
static void reach(const topology_doc_t *doc, bus_set_t *sets)
{
    for (uint32_t round = 0; round <= TOPOLOGY_PASSES_MAX; round++)
        for (uint32_t i = 0; i < doc->bus_count; i++)
            for (uint32_t other = 0; other < doc->bus_count; other++)
                if (other != i && set_has(&sets[i], other))
                    set_join(&sets[i], &sets[other]);
}

static bool buses_link(topology_doc_t *doc, error_t *err)
{
    bus_set_t *sets = memory_new(doc->bus_count + 1, sizeof *sets);
    if (!next_buses(doc, sets)) {
        free(sets);
        return true;
    }
    reach(doc, sets);
    doc->meets = memory_new(doc->bus_count + 1, sizeof *doc->meets);
    bool ok = true;
    for (uint32_t i = 0; ok && i < doc->bus_count; i++) {
        ok = set_count(&sets[i]) <= TOPOLOGY_PASSES_MAX ||
             error_set(err, STATUS_INVALID_ARGUMENT, "LimitExceededException",
                       "Topology: an event of bus \"%.*s\" could be passed over %u buses; at most %u are allowed.",
                       BYTES_FMT(doc->buses[i].name), set_count(&sets[i]), TOPOLOGY_PASSES_MAX);
        for (uint32_t bus = 0; bus < doc->bus_count; bus++)
            if (set_has(&sets[i], bus))
                set_join(&doc->meets[bus], &sets[i]);
    }
    free(sets);
    return ok;
}

/* True when one event may come to both. */
static bool buses_meet(const topology_doc_t *doc, bytes_t a, bytes_t b)
{
    if (!doc->meets)
        return bytes_eq(a, b);
    return set_has(&doc->meets[bus_place(doc, a)], bus_place(doc, b));
}

/* -- to queues ----------------------------------------------------------------------------------------- */
static bool has_transformer(const doc_target_t *target)
{
    bytes_t value;
    return mp_map_find(target->given, "Input", &value) || mp_map_find(target->given, "InputPath", &value) ||
           mp_map_find(target->given, "InputTransformer", &value);
}

/* An event goes into one queue once; of two rules that may take it there, neither may transform. */
static bool target_alone(const place_t *p, error_t *err)
{
    for (uint32_t i = 0; i < p->doc->rule_count && has_transformer(p->target); i++) {
        const doc_rule_t *other = &p->doc->rules[i];
        if (!other->is_enabled || !buses_meet(p->doc, other->bus, p->rule->bus))
            continue;
        for (uint32_t t = 0; t < other->target_count; t++) {
            const doc_target_t *second = &p->doc->targets[other->first_target + t];
            if (second != p->target && second->is_enabled && bytes_eq(second->queue, p->target->queue))
                return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                                 "Topology, rule \"%.*s\", target \"%.*s\": rule \"%.*s\" leads to the same queue, and "
                                 "one of them transforms; give each its own queue.",
                                 BYTES_FMT(p->rule->name), BYTES_FMT(p->target->id), BYTES_FMT(other->name));
        }
    }
    return true;
}

static bool queue_target_check(const place_t *p, error_t *err)
{
    const doc_queue_t *queue = topology_doc_queue(p->doc, p->target->queue);
    if (!queue)
        return topology_doc_lost(err, "rule", p->rule->name, "queue", p->target->queue);
    if (!is_on(p))
        return true;
    if (queue->read.is_fifo && !p->target->group.len)
        return refuse(p, "its queue is a FIFO queue and needs SqsParameters.MessageGroupId.", err);
    return target_alone(p, err);
}

static bool bus_target_check(const place_t *p, error_t *err)
{
    if (!topology_doc_bus(p->doc, p->target->bus))
        return topology_doc_lost(err, "rule", p->rule->name, "bus", p->target->bus);
    if (bytes_eq(p->target->bus, p->rule->bus))
        return refuse(p, "it is the rule's own bus, which the event has passed.", err);
    if (has_transformer(p->target) || p->target->group.len)
        return refuse(p, "a bus gets the event itself: no Input, InputPath, InputTransformer or SqsParameters.", err);
    return true;
}

static bool there_check(const place_t *p, error_t *err)
{
    return p->target->bus.len ? bus_target_check(p, err) : true;
}

static bool target_check(const place_t *p, error_t *err)
{
    return p->target->bus.len ? true : queue_target_check(p, err);
}

bool topology_targets_check(topology_doc_t *doc, error_t *err)
{
    return each_target(doc, there_check, err) && buses_link(doc, err) && each_target(doc, target_check, err);
}

/* -- policies ------------------------------------------------------------------------------------------ */
static bool member(bytes_t policy, const char *name, uint64_t least, uint64_t most, uint64_t *out)
{
    bytes_t value;
    if (!mp_map_find(policy, name, &value))
        return true;
    mp_reader_t r = mp_reader(value);
    return mp_get_u64(&r, out) && *out >= least && *out <= most;
}

static bool retry_check(const place_t *p, bytes_t policy, const queue_attributes_t *queue, error_t *err)
{
    uint64_t attempts = UINT64_MAX, age_s = UINT64_MAX;
    if (!member(policy, "MaximumRetryAttempts", 0, RETRY_ATTEMPTS_MAX, &attempts) ||
        !member(policy, "MaximumEventAgeInSeconds", EVENT_AGE_MIN_S, EVENT_AGE_MAX_S, &age_s))
        return refuse(
            p, "RetryPolicy: MaximumRetryAttempts is from 0 to 185, MaximumEventAgeInSeconds from 60 to 86400.", err);
    if (attempts != UINT64_MAX && queue->max_receives != attempts + 1)
        return refuse(p, "MaximumRetryAttempts must be one less than maxReceiveCount of its queue, which counts.", err);
    if (age_s != UINT64_MAX && queue->max_age_us != (int64_t)age_s * US_PER_S)
        return refuse(p, "MaximumEventAgeInSeconds must be that of its queue, which counts.", err);
    return true;
}

static bool policy_check(const place_t *p, error_t *err)
{
    bytes_t policy, dead, arn;
    if (p->target->bus.len)
        return true; /* passed on within the same record: nothing can fail */
    const queue_attributes_t *queue = &topology_doc_queue(p->doc, p->target->queue)->read;
    if (mp_map_find(p->target->given, "RetryPolicy", &policy) && !retry_check(p, policy, queue, err))
        return false;
    if (!mp_map_find(p->target->given, "DeadLetterConfig", &dead))
        return true;
    if (!mp_map_str(dead, "Arn", &arn))
        return refuse(p, "DeadLetterConfig must have an Arn.", err);
    return bytes_eq_cstr(topology_doc_arn_tail(arn), queue->dead_letters) ||
           refuse(p, "DeadLetterConfig must name the deadLetterTargetArn of its queue, which counts.", err);
}

bool topology_policies_check(const topology_doc_t *doc, error_t *err)
{
    return each_target(doc, policy_check, err);
}
