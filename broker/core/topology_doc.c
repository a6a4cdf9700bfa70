/* topology_doc.c: members by table, then the references between objects. */
#include "broker/core/topology_doc.h"

#include <math.h>
#include <stdlib.h>

#include "broker/core/attributes.h"
#include "broker/core/group.h"
#include "broker/core/redrive.h"
#include "broker/core/topology_targets.h"
#include "proto/msgpack.h"

#define MEMBERS_MAX 12
#define NAME_MAX_BYTES 128
#define PATH_BYTES 160
#define NS_PER_S 1e9

/* -- members of one object --------------------------------------------------------------------------- */
typedef struct {
    const char *name;
    mp_type_t type;
    bool is_required;
} member_t;

typedef struct {
    char path[PATH_BYTES]; /* such as Rules[3].Targets[0] */
    bytes_t values[MEMBERS_MAX];
} object_t;

static bool bad(error_t *err, const object_t *o, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "Topology, %s: %s", o->path, what);
}

static bool member_take(object_t *o, const member_t *members, size_t count, bytes_t key, bytes_t value, error_t *err)
{
    for (size_t i = 0; i < count; i++) {
        mp_reader_t r = mp_reader(value);
        mp_type_t type;
        if (!bytes_eq_cstr(key, members[i].name))
            continue;
        if (o->values[i].len)
            return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "Topology, %s.%s: it is there twice.",
                             o->path, members[i].name);
        if (members[i].type != MP_NIL && (!mp_peek(&r, &type) || type != members[i].type))
            return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "Topology, %s.%s: wrong type.",
                             o->path, members[i].name);
        o->values[i] = value;
        return true;
    }
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "Topology, %s.%.*s: there is no such member.",
                     o->path, key.len > NAME_MAX_BYTES ? NAME_MAX_BYTES : (int)key.len, (const char *)key.data);
}

/* Fills o->values, one for each member (empty where absent). MP_NIL in the table: any type. */
static bool object_read(object_t *o, bytes_t map, const member_t *members, size_t count, error_t *err)
{
    mp_reader_t r = mp_reader(map);
    uint32_t pairs;
    memset(o->values, 0, sizeof o->values);
    if (!mp_get_map(&r, &pairs))
        return bad(err, o, "must be an object.");
    for (uint32_t i = 0; i < pairs; i++) {
        bytes_t key, value;
        if (!mp_get_str(&r, &key) || !mp_get_raw(&r, &value))
            return bad(err, o, "member names must be texts.");
        if (!member_take(o, members, count, key, value, err))
            return false;
    }
    for (size_t i = 0; i < count; i++)
        if (members[i].is_required && !o->values[i].len)
            return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "Topology, %s.%s: it is missing.",
                             o->path, members[i].name);
    return true;
}

static bytes_t text_of(bytes_t value)
{
    mp_reader_t r = mp_reader(value);
    bytes_t text = BYTES_NONE;
    return value.len && mp_get_str(&r, &text) ? text : BYTES_NONE;
}

bytes_t topology_doc_arn_tail(bytes_t arn)
{
    for (size_t i = arn.len; i > 0; i--)
        if (arn.data[i - 1] == ':')
            return bytes_from(arn.data + i, arn.len - i);
    return arn;
}

static bool name_read(const object_t *o, bytes_t value, bytes_t *out, error_t *err)
{
    *out = text_of(value);
    return (out->len > 0 && out->len <= NAME_MAX_BYTES) || bad(err, o, "a name must have 1 to 128 bytes.");
}

static bool state_read(const object_t *o, bytes_t value, bool *is_enabled, error_t *err)
{
    bytes_t state = text_of(value);
    *is_enabled = !value.len || bytes_eq_cstr(state, "ENABLED");
    return *is_enabled || bytes_eq_cstr(state, "DISABLED") || bad(err, o, "State must be ENABLED or DISABLED.");
}

/* -- lists of objects -------------------------------------------------------------------------------- */
/* Reads a list's length and makes room for its entries. */
static void *list_begin(bytes_t list, mp_reader_t *r, size_t entry_bytes, uint32_t *count)
{
    *r = mp_reader(list);
    *count = 0;
    if (!list.len || !mp_get_array(r, count) || !*count)
        return NULL;
    return memory_new(*count, entry_bytes);
}

static void path_set(object_t *o, const char *list, uint32_t nth)
{
    buf_t path = {0};
    buf_printf(&path, "%s[%u]", list, nth);
    (void)bytes_to_cstr(buf_bytes(&path), o->path, sizeof o->path);
    buf_free(&path);
}

static bool bus_read(object_t *o, bytes_t given, doc_bus_t *out, error_t *err)
{
    static const member_t members[] = {
        {"Name", MP_STR, true}, {"Description", MP_STR, false}, {"DeduplicationWindowSeconds", MP_UINT, false}};
    if (!object_read(o, given, members, ARRAY_LEN(members), err))
        return false;
    uint64_t window_s = TOPOLOGY_DEDUP_WINDOW_S;
    mp_reader_t r = mp_reader(o->values[2]);
    if (o->values[2].len && (!mp_get_u64(&r, &window_s) || window_s > TOPOLOGY_DEDUP_WINDOW_MAX_S))
        return bad(err, o, "DeduplicationWindowSeconds must be from 0 to 1209600.");
    out->given = given;
    out->dedup_window_us = (int64_t)window_s * US_PER_S;
    return name_read(o, o->values[0], &out->name, err);
}

static bool archive_read(object_t *o, bytes_t given, doc_archive_t *out, error_t *err)
{
    static const member_t members[] = {{"ArchiveName", MP_STR, true},     {"EventSourceArn", MP_STR, true},
                                       {"RetentionDays", MP_UINT, false}, {"EventPattern", MP_MAP, false},
                                       {"Description", MP_STR, false},    {"RetentionBytes", MP_UINT, false}};
    if (!object_read(o, given, members, ARRAY_LEN(members), err))
        return false;
    out->given = given;
    out->bus = topology_doc_arn_tail(text_of(o->values[1]));
    return name_read(o, o->values[0], &out->name, err);
}

static bool sqs_parameters_read(const object_t *o, bytes_t value, bytes_t *group, error_t *err)
{
    *group = BYTES_NONE;
    return !value.len ||
           (mp_map_str(value, "MessageGroupId", group) && group_id_check(*group, "MessageGroupId", NULL)) ||
           bad(err, o, "SqsParameters must have a MessageGroupId of 1 to 128 letters, digits and punctuation.");
}

static bool target_read(object_t *o, bytes_t given, doc_target_t *out, error_t *err)
{
    static const member_t members[] = {{"Id", MP_STR, true},
                                       {"Arn", MP_STR, true},
                                       {"State", MP_STR, false},
                                       {"RetryPolicy", MP_MAP, false},
                                       {"DeadLetterConfig", MP_MAP, false},
                                       {"Input", MP_NIL, false},
                                       {"InputPath", MP_STR, false},
                                       {"InputTransformer", MP_MAP, false},
                                       {"SqsParameters", MP_MAP, false}};
    if (!object_read(o, given, members, ARRAY_LEN(members), err))
        return false;
    out->given = given;
    bytes_t to = topology_doc_arn_tail(text_of(o->values[1])), event_bus = BYTES_LIT("event-bus/");
    bool is_bus = bytes_has_prefix(to, event_bus);
    out->bus = is_bus ? bytes_from(to.data + event_bus.len, to.len - event_bus.len) : BYTES_NONE;
    out->queue = is_bus ? BYTES_NONE : to;
    return sqs_parameters_read(o, o->values[8], &out->group, err) && name_read(o, o->values[0], &out->id, err) &&
           state_read(o, o->values[2], &out->is_enabled, err);
}

static bool targets_read(const object_t *rule, bytes_t list, topology_doc_t *doc, doc_rule_t *out, error_t *err)
{
    mp_reader_t r = mp_reader(list);
    uint32_t count;
    if (!mp_get_array(&r, &count) || count > TOPOLOGY_TARGETS_MAX)
        return bad(err, rule, "Targets must be a list of at most 16.");
    out->first_target = doc->target_count;
    out->target_count = count;
    doc->targets = memory_grow(doc->targets, doc->target_count + count + 1, sizeof *doc->targets);
    for (uint32_t i = 0; i < count; i++) {
        char prefix[PATH_BYTES];
        object_t o;
        bytes_t given;
        memcpy(prefix, rule->path, sizeof prefix);
        buf_t path = {0};
        buf_printf(&path, "%s.Targets", prefix);
        path_set(&o, buf_cstr(&path), i);
        buf_free(&path);
        doc_target_t *target = &doc->targets[doc->target_count++];
        if (!mp_get_raw(&r, &given) || !target_read(&o, given, target, err))
            return false;
        for (uint32_t t = out->first_target; t + 1 < doc->target_count; t++)
            if (bytes_eq(doc->targets[t].id, target->id))
                return bad(err, &o, "the Id is taken by another target of this rule.");
    }
    return true;
}

/* The operators that AWS has not, each allowed by its name. */
static bool extensions_read(const object_t *o, bytes_t list, pattern_options_t *out, error_t *err)
{
    mp_reader_t r = mp_reader(list);
    uint32_t count = 0;
    bytes_t name;
    bool ok = !list.len || mp_get_array(&r, &count);
    for (uint32_t i = 0; ok && i < count; i++) {
        ok = mp_get_str(&r, &name) && bytes_eq_cstr(name, "allOf");
        out->all_of = true;
    }
    return ok || bad(err, o, "PatternExtensions is a list that can hold \"allOf\".");
}

static bool rule_read(object_t *o, bytes_t given, topology_doc_t *doc, doc_rule_t *out, error_t *err)
{
    static const member_t members[] = {{"Name", MP_STR, true},
                                       {"EventBusName", MP_STR, true},
                                       {"Description", MP_STR, false},
                                       {"State", MP_STR, false},
                                       {"EventPattern", MP_MAP, true},
                                       {"Targets", MP_ARRAY, true},
                                       {"PatternExtensions", MP_ARRAY, false}};
    if (!object_read(o, given, members, ARRAY_LEN(members), err))
        return false;
    out->given = given;
    out->bus = topology_doc_arn_tail(text_of(o->values[1]));
    out->pattern = o->values[4];
    return name_read(o, o->values[0], &out->name, err) && state_read(o, o->values[3], &out->is_enabled, err) &&
           extensions_read(o, o->values[6], &out->options, err) && targets_read(o, o->values[5], doc, out, err);
}

static bool expression_check(const object_t *o, bytes_t text, error_t *err)
{
    bool form = (bytes_has_prefix(text, BYTES_LIT("rate(")) || bytes_has_prefix(text, BYTES_LIT("cron("))) &&
                text.data[text.len - 1] == ')';
    return form || bad(err, o, "ScheduleExpression must be rate(…) or cron(…).");
}

static bool missed_read(const object_t *o, bytes_t value, missed_t *out, error_t *err)
{
    static const char *const names[] = {[MISSED_ONCE] = "ONCE", [MISSED_NONE] = "NONE", [MISSED_ALL] = "ALL"};
    bytes_t given = text_of(value);
    *out = MISSED_ONCE;
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        if (bytes_eq_cstr(given, names[i])) {
            *out = (missed_t)i;
            return true;
        }
    return !value.len || bad(err, o, "MissedFirings must be ONCE, NONE or ALL.");
}

static bool schedule_read(object_t *o, bytes_t given, doc_schedule_t *out, error_t *err)
{
    static const member_t members[] = {{"Name", MP_STR, true},
                                       {"Description", MP_STR, false},
                                       {"ScheduleExpression", MP_STR, true},
                                       {"ScheduleExpressionTimezone", MP_STR, false},
                                       {"State", MP_STR, false},
                                       {"Target", MP_MAP, true},
                                       {"MissedFirings", MP_STR, false}};
    static const member_t target[] = {
        {"Arn", MP_STR, true}, {"Input", MP_NIL, false}, {"SqsParameters", MP_MAP, false}};
    if (!object_read(o, given, members, ARRAY_LEN(members), err))
        return false;
    out->given = given;
    out->expression = text_of(o->values[2]);
    out->zone = text_of(o->values[3]);
    if (!name_read(o, o->values[0], &out->name, err) || !expression_check(o, out->expression, err) ||
        !state_read(o, o->values[4], &out->is_enabled, err) || !missed_read(o, o->values[6], &out->missed, err))
        return false;
    bytes_t inner = o->values[5];
    if (!object_read(o, inner, target, ARRAY_LEN(target), err))
        return error_prefix(err, "in Target");
    out->queue = topology_doc_arn_tail(text_of(o->values[0]));
    out->input = o->values[1];
    return sqs_parameters_read(o, o->values[2], &out->group, err);
}

static bool queue_read(object_t *o, bytes_t given, doc_queue_t *out, error_t *err)
{
    static const member_t members[] = {{"QueueName", MP_STR, true}, {"Attributes", MP_MAP, false}};
    if (!object_read(o, given, members, ARRAY_LEN(members), err))
        return false;
    out->given = given;
    out->name = text_of(o->values[0]);
    out->attributes = o->values[1];
    return (queue_name_check(out->name, err) && attributes_read(out->name, out->attributes, &out->read, err)) ||
           error_prefix(err, "Topology, %s", o->path);
}

static bool number_read(const object_t *o, size_t member, uint64_t normal, uint64_t least, uint64_t most, uint64_t *out)
{
    mp_reader_t r = mp_reader(o->values[member]);
    *out = normal;
    return !o->values[member].len || (mp_get_u64(&r, out) && *out >= least && *out <= most);
}

static bool rate_read(const object_t *o, size_t member, double *out)
{
    mp_reader_t r = mp_reader(o->values[member]);
    return mp_get_double(&r, out) && *out >= TOPOLOGY_RATE_MIN && *out <= TOPOLOGY_RATE_MAX;
}

static bool bucket_read(object_t *o, bytes_t given, doc_bucket_t *out, error_t *err)
{
    static const member_t members[] = {{"BucketName", MP_STR, true},
                                       {"Description", MP_STR, false},
                                       {"RateLimit", MP_NIL, true},
                                       {"BurstLimit", MP_UINT, false},
                                       {"ExpiryMilliseconds", MP_UINT, false}};
    double rate;
    uint64_t burst, expiry_ms;
    if (!object_read(o, given, members, ARRAY_LEN(members), err))
        return false;
    if (!rate_read(o, 2, &rate))
        return bad(err, o, "RateLimit must be a number of tokens a second, from one an hour to 100000.");
    if (!number_read(o, 3, 1, 1, TOPOLOGY_BURST_MAX, &burst))
        return bad(err, o, "BurstLimit must be from 1 to 100000.");
    if (!number_read(o, 4, TOPOLOGY_EXPIRY_MS, TOPOLOGY_EXPIRY_MIN_MS, TOPOLOGY_EXPIRY_MAX_MS, &expiry_ms))
        return bad(err, o, "ExpiryMilliseconds must be from 10 to 60000.");
    out->given = given;
    out->interval_ns = (int64_t)ceil(NS_PER_S / rate);
    out->burst = (uint32_t)burst;
    out->expiry_us = (int64_t)expiry_ms * US_PER_MS;
    return name_read(o, o->values[0], &out->name, err);
}

/* -- references -------------------------------------------------------------------------------------- */
static bool queue_is(const void *ctx, uint32_t place, const void *key)
{
    return bytes_eq(((const topology_doc_t *)ctx)->queues[place - 1].name, *(const bytes_t *)key);
}

const doc_queue_t *topology_doc_queue(const topology_doc_t *doc, bytes_t name)
{
    uint32_t place = map_find(&doc->queues_by_name, map_hash_bytes(name), queue_is, doc, &name);
    return place ? &doc->queues[place - 1] : NULL;
}

static bool rule_is(const void *ctx, uint32_t place, const void *key)
{
    const doc_rule_t *a = &((const topology_doc_t *)ctx)->rules[place - 1], *b = key;
    return bytes_eq(a->name, b->name) && bytes_eq(a->bus, b->bus);
}

static uint32_t rule_hash(const doc_rule_t *rule)
{
    return map_hash_pair(map_hash_bytes(rule->name), map_hash_bytes(rule->bus));
}

/* The first of its name on its bus. */
static const doc_rule_t *rule_find(const topology_doc_t *doc, const doc_rule_t *rule)
{
    uint32_t place = map_find(&doc->rules_by_name, rule_hash(rule), rule_is, doc, rule);
    return place ? &doc->rules[place - 1] : NULL;
}

/* A document of thousands is compared and applied between two frames: nothing may take their square. */
static void names_index(topology_doc_t *doc)
{
    for (uint32_t i = 0; i < doc->queue_count; i++)
        if (!topology_doc_queue(doc, doc->queues[i].name))
            map_add(&doc->queues_by_name, map_hash_bytes(doc->queues[i].name), i + 1);
    for (uint32_t i = 0; i < doc->rule_count; i++)
        if (!rule_find(doc, &doc->rules[i]))
            map_add(&doc->rules_by_name, rule_hash(&doc->rules[i]), i + 1);
}

const doc_bucket_t *topology_doc_bucket(const topology_doc_t *doc, bytes_t name)
{
    for (uint32_t i = 0; i < doc->bucket_count; i++)
        if (bytes_eq(doc->buckets[i].name, name))
            return &doc->buckets[i];
    return NULL;
}

const doc_bus_t *topology_doc_bus(const topology_doc_t *doc, bytes_t name)
{
    for (uint32_t i = 0; i < doc->bus_count; i++)
        if (bytes_eq(doc->buses[i].name, name))
            return &doc->buses[i];
    return NULL;
}

bool topology_doc_lost(error_t *err, const char *kind, bytes_t name, const char *refers, bytes_t to)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "Topology, %s \"%.*s\": %s \"%.*s\" is not in the document.", kind, BYTES_FMT(name), refers,
                     BYTES_FMT(to));
}

static bool twice(error_t *err, const char *kind, bytes_t name)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "Topology, %s \"%.*s\": the name is there twice.", kind, BYTES_FMT(name));
}

static bool queues_check(const topology_doc_t *doc, error_t *err)
{
    for (uint32_t i = 0; i < doc->queue_count; i++) {
        const doc_queue_t *queue = &doc->queues[i];
        if (topology_doc_queue(doc, queue->name) != queue)
            return twice(err, "queue", queue->name);
        if (!queue->read.max_receives)
            continue;
        const doc_queue_t *dead = topology_doc_queue(doc, bytes_cstr(queue->read.dead_letters));
        if (!dead)
            return topology_doc_lost(err, "queue", queue->name, "dead-letter queue",
                                     bytes_cstr(queue->read.dead_letters));
        if (dead->read.is_fifo != queue->read.is_fifo)
            return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                             "Topology, queue \"%.*s\": a queue and its dead-letter queue must be of one type.",
                             BYTES_FMT(queue->name));
        if (!redrive_allows(&dead->read, queue->name))
            return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                             "Topology, queue \"%.*s\": the RedriveAllowPolicy of its dead-letter queue excludes it.",
                             BYTES_FMT(queue->name));
    }
    return true;
}

static bool rules_check(const topology_doc_t *doc, error_t *err)
{
    for (uint32_t i = 0; i < doc->rule_count; i++) {
        const doc_rule_t *rule = &doc->rules[i];
        if (!topology_doc_bus(doc, rule->bus))
            return topology_doc_lost(err, "rule", rule->name, "bus", rule->bus);
        if (rule_find(doc, rule) != rule)
            return twice(err, "rule", rule->name);
    }
    return true;
}

static bool others_check(const topology_doc_t *doc, error_t *err)
{
    for (uint32_t i = 0; i < doc->bus_count; i++)
        for (uint32_t other = 0; other < i; other++)
            if (bytes_eq(doc->buses[other].name, doc->buses[i].name))
                return twice(err, "bus", doc->buses[i].name);
    for (uint32_t i = 0; i < doc->bucket_count; i++)
        if (topology_doc_bucket(doc, doc->buckets[i].name) != &doc->buckets[i])
            return twice(err, "permit bucket", doc->buckets[i].name);
    for (uint32_t i = 0; i < doc->archive_count; i++)
        if (!topology_doc_bus(doc, doc->archives[i].bus))
            return topology_doc_lost(err, "archive", doc->archives[i].name, "bus", doc->archives[i].bus);
    for (uint32_t i = 0; i < doc->schedule_count; i++) {
        if (!topology_doc_queue(doc, doc->schedules[i].queue))
            return topology_doc_lost(err, "schedule", doc->schedules[i].name, "queue", doc->schedules[i].queue);
        for (uint32_t other = 0; other < i; other++)
            if (bytes_eq(doc->schedules[other].name, doc->schedules[i].name))
                return twice(err, "schedule", doc->schedules[i].name);
    }
    return true;
}

/* -- all of it --------------------------------------------------------------------------------------- */
/* LIST(Member, list, count, reader call) reads one list of the document. */
#define READ_LIST(label, list, count_member, nth, call)                                                                \
    do {                                                                                                               \
        mp_reader_t r;                                                                                                 \
        doc->list = list_begin(o.values[nth], &r, sizeof *doc->list, &doc->count_member);                              \
        for (uint32_t i = 0; i < doc->count_member; i++) {                                                             \
            object_t entry;                                                                                            \
            bytes_t given;                                                                                             \
            path_set(&entry, label, i);                                                                                \
            if (!mp_get_raw(&r, &given) || !(call))                                                                    \
                return false;                                                                                          \
        }                                                                                                              \
    } while (0)

static bool lists_read(bytes_t document, topology_doc_t *doc, error_t *err)
{
    static const member_t members[] = {{"Buses", MP_ARRAY, true},   {"Archives", MP_ARRAY, false},
                                       {"Rules", MP_ARRAY, false},  {"Schedules", MP_ARRAY, false},
                                       {"Queues", MP_ARRAY, false}, {"PermitBuckets", MP_ARRAY, false}};
    object_t o = {.path = "the document"};
    if (!object_read(&o, document, members, ARRAY_LEN(members), err))
        return false;
    READ_LIST("Buses", buses, bus_count, 0, bus_read(&entry, given, &doc->buses[i], err));
    READ_LIST("Archives", archives, archive_count, 1, archive_read(&entry, given, &doc->archives[i], err));
    READ_LIST("Queues", queues, queue_count, 4, queue_read(&entry, given, &doc->queues[i], err));
    READ_LIST("Rules", rules, rule_count, 2, rule_read(&entry, given, doc, &doc->rules[i], err));
    READ_LIST("Schedules", schedules, schedule_count, 3, schedule_read(&entry, given, &doc->schedules[i], err));
    READ_LIST("PermitBuckets", buckets, bucket_count, 5, bucket_read(&entry, given, &doc->buckets[i], err));
    return true;
}

static bool counts_check(const topology_doc_t *doc, error_t *err)
{
    return (doc->bus_count <= TOPOLOGY_BUSES_MAX && doc->rule_count <= TOPOLOGY_RULES_MAX &&
            doc->bucket_count <= TOPOLOGY_BUCKETS_MAX && doc->schedule_count <= TOPOLOGY_SCHEDULES_MAX) ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                     "Topology: at most %u buses, %u rules, %u permit buckets and %u schedules.", TOPOLOGY_BUSES_MAX,
                     TOPOLOGY_RULES_MAX, TOPOLOGY_BUCKETS_MAX, TOPOLOGY_SCHEDULES_MAX);
}

static bool references_check(topology_doc_t *doc, error_t *err)
{
    names_index(doc);
    return queues_check(doc, err) && rules_check(doc, err) && topology_targets_check(doc, err) &&
           others_check(doc, err);
}

bool topology_doc_read(bytes_t document, topology_doc_t *out, error_t *err)
{
    *out = (topology_doc_t){0};
    if (lists_read(document, out, err) && counts_check(out, err) && references_check(out, err))
        return true;
    topology_doc_free(out);
    return false;
}

void topology_doc_free(topology_doc_t *doc)
{
    free(doc->buses);
    free(doc->archives);
    free(doc->rules);
    free(doc->targets);
    free(doc->schedules);
    free(doc->queues);
    free(doc->buckets);
    free(doc->meets);
    map_free(&doc->queues_by_name);
    map_free(&doc->rules_by_name);
    *doc = (topology_doc_t){0};
}
