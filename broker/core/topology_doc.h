/* topology_doc.h: the topology document, read and checked in itself (docs/topology.md).
 *
 * Everything in it is a slice of the msgpack document it was read from. */
#ifndef BROKER_CORE_TOPOLOGY_DOC_H
#define BROKER_CORE_TOPOLOGY_DOC_H

#include "broker/core/state.h"

#define TOPOLOGY_MAX_BYTES ((size_t)2 << 20) /* of JSON */
#define TOPOLOGY_BUSES_MAX 256u
#define TOPOLOGY_RULES_MAX 10000u
#define TOPOLOGY_TARGETS_MAX 16u /* of one rule; EventBridge has 5 */
#define TOPOLOGY_SCHEDULES_MAX 1000u
#define TOPOLOGY_DEDUP_WINDOW_S 300
#define TOPOLOGY_BUCKETS_MAX 256u
#define TOPOLOGY_BURST_MAX 100000u     /* of a permit bucket */
#define TOPOLOGY_RATE_MAX 100000.0     /* tokens a second */
#define TOPOLOGY_RATE_MIN (1 / 3600.0) /* a token an hour */
#define TOPOLOGY_EXPIRY_MS 1000        /* of a permit */
#define TOPOLOGY_EXPIRY_MIN_MS 10
#define TOPOLOGY_EXPIRY_MAX_MS 60000
#define TOPOLOGY_DEDUP_WINDOW_MAX_S 1209600

typedef struct {
    uint64_t bits[TOPOLOGY_BUSES_MAX / 64]; /* by place in the document */
} bus_set_t;

typedef struct {
    bytes_t name, given;
    int64_t dedup_window_us;
} doc_bus_t;

typedef struct {
    bytes_t name, bus, given; /* bus: what it archives */
} doc_archive_t;

typedef struct {
    bytes_t id, given;
    bytes_t queue; /* empty: it is a bus */
    bytes_t bus;   /* empty: it is a queue */
    bytes_t group; /* SqsParameters.MessageGroupId, or the path to it; empty for none */
    bool is_enabled;
} doc_target_t;

typedef struct {
    bytes_t name, bus, pattern, given;
    pattern_options_t options;
    bool is_enabled;
    uint32_t first_target, target_count;
} doc_rule_t;

typedef struct {
    bytes_t name, expression, zone, queue, given;
    bytes_t group; /* SqsParameters.MessageGroupId; empty for none */
    bytes_t input; /* msgpack; empty for none */
    bool is_enabled;
    missed_t missed;
} doc_schedule_t;

typedef struct {
    bytes_t name, attributes, given;
    queue_attributes_t read;
} doc_queue_t;

typedef struct {
    bytes_t name, given;
    int64_t interval_ns, expiry_us;
    uint32_t burst;
} doc_bucket_t;

typedef struct {
    doc_bus_t *buses;
    doc_archive_t *archives;
    doc_rule_t *rules;
    doc_target_t *targets;
    doc_schedule_t *schedules;
    doc_queue_t *queues;
    doc_bucket_t *buckets;
    uint32_t bus_count, archive_count, rule_count, target_count, schedule_count, queue_count, bucket_count;
    bus_set_t *meets; /* by bus: with which others it may take the same event; NULL: no bus passes events on */
    map_t queues_by_name, rules_by_name; /* place + 1; the first of each name */
} topology_doc_t;

/* Reads `document` (msgpack). Refuses unknown and missing members, wrong types, double names, and names that
 * lead nowhere, and a FIFO target without a group, each with its path. */
MUST_USE bool topology_doc_read(bytes_t document, topology_doc_t *out, error_t *err);
void topology_doc_free(topology_doc_t *doc);

/* What follows the last colon: the name, where no ARN is given. */
bytes_t topology_doc_arn_tail(bytes_t arn);
/* The refusal of a name that leads nowhere. Returns false. */
bool topology_doc_lost(error_t *err, const char *kind, bytes_t name, const char *refers, bytes_t to);

const doc_bus_t *topology_doc_bus(const topology_doc_t *doc, bytes_t name);       /* NULL for none */
const doc_queue_t *topology_doc_queue(const topology_doc_t *doc, bytes_t name);   /* NULL for none */
const doc_bucket_t *topology_doc_bucket(const topology_doc_t *doc, bytes_t name); /* NULL for none */

#endif
