/* routing.c: targets made ready, and one event held against the rules of its bus and of those it is passed on to. */
#include "tools/mangactl/routing.h"

#include <stdlib.h>

#include "proto/msgpack.h"

#define EVENT_BUS BYTES_LIT("event-bus/")

/* -- the document ---------------------------------------------------------------------------------------- */
static bytes_t tail_of(bytes_t arn)
{
    for (size_t i = arn.len; i > 0; i--)
        if (arn.data[i - 1] == ':')
            return bytes_from(arn.data + i, arn.len - i);
    return arn;
}

static bool target_read(bytes_t given, routing_target_t *out, error_t *err)
{
    bytes_t arn, state;
    if (!mp_map_str(given, "Id", &out->id) || !mp_map_str(given, "Arn", &arn))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a target needs Id and Arn");
    arn = tail_of(arn);
    if (bytes_has_prefix(arn, EVENT_BUS))
        out->bus = bytes_from(arn.data + EVENT_BUS.len, arn.len - EVENT_BUS.len);
    else
        out->queue = arn;
    out->is_enabled = !mp_map_str(given, "State", &state) || !bytes_eq_cstr(state, "DISABLED");
    return transform_compile(given, &out->transform, err);
}

static uint32_t targets_of(const rule_row_t *rule, mp_reader_t *r)
{
    uint32_t count = 0;
    *r = mp_reader(rule->targets);
    return mp_get_array(r, &count) ? count : 0;
}

static bool targets_read(routing_t *routing, error_t *err)
{
    size_t all = 0;
    mp_reader_t r;
    for (size_t i = 0; i < routing->set.count; i++)
        all += targets_of(&routing->set.rules[i], &r);
    routing->targets = calloc(all + 1, sizeof *routing->targets);
    routing->first = calloc(routing->set.count + 1, sizeof *routing->first);
    routing->count = calloc(routing->set.count + 1, sizeof *routing->count);
    if (!routing->targets || !routing->first || !routing->count)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    size_t next = 0;
    for (size_t i = 0; i < routing->set.count; i++) {
        const rule_row_t *rule = &routing->set.rules[i];
        bytes_t given;
        routing->first[i] = next;
        for (uint32_t left = targets_of(rule, &r); left > 0; left--, next++, routing->count[i]++)
            if (!mp_get_raw(&r, &given) || !target_read(given, &routing->targets[next], err))
                return error_prefix(err, "rule %.*s", BYTES_FMT(rule->name));
    }
    return true;
}

bool routing_open(const char *given, routing_t *out, error_t *err)
{
    *out = (routing_t){0};
    if (rule_set_of_document(given, &out->set, err) && targets_read(out, err))
        return true;
    routing_close(out);
    return error_prefix(err, "%s", given);
}

void routing_close(routing_t *routing)
{
    for (size_t i = 0; routing->count && i < routing->set.count; i++)
        for (size_t t = 0; t < routing->count[i]; t++)
            transform_free(&routing->targets[routing->first[i] + t].transform);
    free(routing->targets);
    free(routing->first);
    free(routing->count);
    rule_set_free(&routing->set);
    *routing = (routing_t){0};
}

/* -- an event -------------------------------------------------------------------------------------------- */
typedef struct {
    const source_event_t *event;
    bytes_t buses[ROUTING_BUSES_MAX];
    size_t bus_count;
    routed_t *out;
} walk_t;

static void pass_on(walk_t *w, bytes_t bus)
{
    for (size_t i = 0; i < w->bus_count; i++)
        if (bytes_eq(w->buses[i], bus))
            return;
    if (w->bus_count == ROUTING_BUSES_MAX)
        w->out->is_refused = true;
    else
        w->buses[w->bus_count++] = bus;
}

/* A queue gets an event once, under the first rule that leads there. */
static void deliver(walk_t *w, const rule_row_t *rule, const routing_target_t *target)
{
    routed_t *out = w->out;
    error_t err;
    for (size_t i = 0; i < out->count; i++)
        if (bytes_eq(out->items[i].target->queue, target->queue))
            return;
    if (out->count == ROUTING_DELIVERIES_MAX) {
        out->is_refused = true;
        return;
    }
    const template_facts_t facts = {w->event->ingest_us, rule->name, rule->bus};
    routed_delivery_t made = {.rule = rule, .target = target, .at = out->bodies.len};
    made.is_unfit =
        target->transform && !transform_apply(target->transform, w->event->body, &facts, &out->bodies, &err);
    if (made.is_unfit)
        out->bodies.len = made.at;
    if (!target->transform || made.is_unfit)
        buf_append_bytes(&out->bodies, w->event->body);
    made.len = out->bodies.len - made.at;
    out->items[out->count++] = made;
}

static void walk_bus(const routing_t *routing, walk_t *w, bytes_t bus)
{
    for (size_t i = 0; i < routing->set.count; i++) {
        const rule_row_t *rule = &routing->set.rules[i];
        if (!bytes_eq(rule->bus, bus) || !bytes_eq_cstr(rule->state, "ENABLED") ||
            !pattern_match(rule->pattern, w->event->body, w->event->replay_name))
            continue;
        for (size_t t = 0; t < routing->count[i]; t++) {
            const routing_target_t *target = &routing->targets[routing->first[i] + t];
            if (target->is_enabled && target->bus.len)
                pass_on(w, target->bus);
            else if (target->is_enabled)
                deliver(w, rule, target);
        }
    }
}

void routing_event(const routing_t *routing, const source_event_t *event, routed_t *out)
{
    walk_t w = {.event = event, .buses = {event->bus}, .bus_count = 1, .out = out};
    out->count = 0;
    out->is_refused = false;
    buf_clear(&out->bodies);
    for (size_t i = 0; i < w.bus_count; i++)
        walk_bus(routing, &w, w.buses[i]);
}
