/* routing.h: where a topology document leads an event, decided as the broker does (broker/core/route.h), offline. */
#ifndef MANGACTL_ROUTING_H
#define MANGACTL_ROUTING_H

#include "broker/rules/transform.h"
#include "tools/mangactl/event_source.h"
#include "tools/mangactl/rule_set.h"

#define ROUTING_DELIVERIES_MAX 64 /* RECORD_ROUTES_MAX: what the broker takes for one event */
#define ROUTING_BUSES_MAX 8       /* that one event may take */

typedef struct {
    bytes_t id, queue, bus; /* one of queue and bus is empty */
    bool is_enabled;
    transform_t *transform; /* NULL: the event itself */
} routing_target_t;

typedef struct {
    rule_set_t set;
    routing_target_t *targets; /* those of all rules, in their order */
    size_t *first;             /* of each rule */
    size_t *count;
} routing_t;

typedef struct {
    const rule_row_t *rule;
    const routing_target_t *target;
    bool is_unfit;  /* it does not fit the target: a dead letter */
    size_t at, len; /* what is sent, in routed_t.bodies */
} routed_delivery_t;

typedef struct {
    routed_delivery_t items[ROUTING_DELIVERIES_MAX];
    size_t count;
    bool is_refused; /* more than the broker takes */
    buf_t bodies;
} routed_t;

/* `given` as rule_read_document takes it. */
MUST_USE bool routing_open(const char *given, routing_t *out, error_t *err);
void routing_close(routing_t *routing);

/* Fills `out` anew; free its bodies in the end. */
void routing_event(const routing_t *routing, const source_event_t *event, routed_t *out);

#endif
