/* admin_rules.c: looking at rules and topology, and applying a new one. */
#include <inttypes.h>

#include "broker/core/admin.h"
#include "broker/core/queue.h"
#include "broker/core/schedule.h"
#include "broker/core/sha256.h"
#include "broker/core/topology.h"
#include "broker/rules/explain.h"
#include "proto/envelope.h"
#include "proto/json.h"

#define APPLIER_MAX_BYTES 128                   /* of what a client says of itself */
#define QUESTION_MAX_BYTES ((uint64_t)64 << 20) /* looked through for RULE test and explain: less than a second */

/* -- rules ------------------------------------------------------------------------------------------- */
static const char *state_name(bool is_enabled)
{
    return is_enabled ? "ENABLED" : "DISABLED";
}

static void target_put(const core_t *core, const target_t *target, bytes_t given, buf_t *out)
{
    bytes_t arn = BYTES_NONE;
    (void)!mp_map_str(given, "Arn", &arn);
    const queue_t *queue = queue_by_incarnation(core, target->queue);
    mp_put_map(out, 3);
    mp_put_cstr(out, "id");
    mp_put_cstr(out, target->id);
    mp_put_cstr(out, "queue");
    mp_put_str(out, queue ? bytes_cstr(queue->name) : arn);
    mp_put_cstr(out, "state");
    mp_put_cstr(out, state_name(target->queue || target->bus));
}

static void targets_put(const core_t *core, const rule_t *rule, buf_t *out)
{
    bytes_t list, given;
    uint32_t count = 0;
    bool listed = mp_map_find(rule->given, "Targets", &list);
    mp_reader_t r = mp_reader(listed ? list : BYTES_NONE);
    (void)!mp_get_array(&r, &count);
    mp_put_array(out, rule->target_count);
    for (uint32_t i = 0; i < rule->target_count; i++)
        target_put(core, &rule->targets[i], mp_get_raw(&r, &given) ? given : BYTES_NONE, out);
}

static void rule_put(const core_t *core, const rule_t *rule, buf_t *out)
{
    mp_put_map(out, 5);
    mp_put_cstr(out, "name");
    mp_put_cstr(out, rule->name);
    mp_put_cstr(out, "bus");
    mp_put_cstr(out, rule->bus);
    mp_put_cstr(out, "state");
    mp_put_cstr(out, state_name(rule->is_enabled));
    mp_put_cstr(out, "pattern");
    mp_put_cstr(out, rule->pattern);
    mp_put_cstr(out, "targets");
    targets_put(core, rule, out);
}

static bool bus_known(const core_t *core, bytes_t name, error_t *err)
{
    return topology_bus(core, name) || error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException",
                                                 "There is no event bus \"%.*s\".", BYTES_FMT(name));
}

bool admin_rule_list(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    if (request->name.len && !bus_known(core, request->name, err))
        return false;
    uint32_t count = 0;
    size_t at = mp_array_begin(out);
    for (uint32_t i = 0; i < core->topology.rule_count; i++) {
        const rule_t *rule = &core->topology.rules[i];
        if (request->name.len && !bytes_eq_cstr(request->name, rule->bus))
            continue;
        rule_put(core, rule, out);
        count++;
    }
    mp_array_end(out, at, count);
    return true;
}

static bool is_asked(const admin_request_t *request, bytes_t only, const rule_t *rule)
{
    return bytes_eq_cstr(request->name, rule->bus) && (!only.len || bytes_eq_cstr(only, rule->name));
}

/* Whoever asks holds everybody up meanwhile. */
static bool question_check(const core_t *core, const admin_request_t *request, bytes_t only, error_t *err)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i < core->topology.rule_count; i++)
        count += is_asked(request, only, &core->topology.rules[i]);
    return count <= 1 || count * request->body.len <= QUESTION_MAX_BYTES ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                     "An event of %zu bytes is not held against %" PRIu64
                     " rules at once: explain a single one of them, or ask with a smaller event.",
                     request->body.len, count);
}

static void schedule_put(const schedule_t *s, buf_t *out)
{
    int64_t next_us = schedule_next_us(s);
    mp_put_map(out, 10);
    mp_put_cstr(out, "name");
    mp_put_cstr(out, s->name);
    mp_put_cstr(out, "state");
    mp_put_cstr(out, state_name(s->is_enabled));
    mp_put_cstr(out, "expression");
    mp_put_cstr(out, s->expression);
    mp_put_cstr(out, "time_zone");
    mp_put_cstr(out, s->zone_name[0] ? s->zone_name : "UTC");
    mp_put_cstr(out, "queue");
    mp_put_cstr(out, s->queue);
    mp_put_cstr(out, "missed");
    mp_put_cstr(out, schedule_missed_name(s->missed));
    mp_put_cstr(out, "next_us");
    mp_put_i64(out, next_us == TIMETABLE_NEVER ? 0 : next_us);
    mp_put_cstr(out, "fired_us");
    mp_put_i64(out, s->fired_us);
    mp_put_cstr(out, "fired");
    mp_put_u64(out, s->fired);
    mp_put_cstr(out, "waiting");
    mp_put_bool(out, s->is_waiting);
}

bool admin_rule_schedules(core_t *core, const admin_request_t *request UNUSED, buf_t *out, error_t *err UNUSED)
{
    const pool_t *all = &core->schedules.all;
    mp_put_array(out, all->used);
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        schedule_put(pool_get(all, id), out);
    return true;
}

static bool rule_matches(const rule_t *rule, bytes_t envelope)
{
    pattern_t *pattern = pattern_compile_with(bytes_cstr(rule->pattern), rule->options, NULL);
    bool matches = pattern && pattern_match(pattern, envelope, BYTES_NONE);
    pattern_free(&pattern);
    return matches;
}

bool admin_rule_test(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    envelope_t envelope;
    if (!bus_known(core, request->name, err) || !envelope_read(request->body, &envelope, err) ||
        !question_check(core, request, BYTES_NONE, err))
        return false;
    uint32_t count = 0;
    size_t at = mp_array_begin(out);
    for (uint32_t i = 0; i < core->topology.rule_count; i++) {
        const rule_t *rule = &core->topology.rules[i];
        if (!is_asked(request, BYTES_NONE, rule) || !rule_matches(rule, request->body))
            continue;
        rule_put(core, rule, out);
        count++;
    }
    mp_array_end(out, at, count);
    return true;
}

/* {rule, bus, state, targets} and what explanation_put has to say. */
static void rule_explain(const core_t *core, const rule_t *rule, bytes_t envelope, bytes_t replay_name, buf_t *out)
{
    pattern_t *pattern = pattern_compile_with(bytes_cstr(rule->pattern), rule->options, NULL);
    explanation_t why = {.reason = EXPLAIN_BROKEN};
    if (pattern)
        (void)pattern_explain(pattern, envelope, replay_name, &why);
    mp_put_map(out, 5);
    mp_put_cstr(out, "rule");
    mp_put_cstr(out, rule->name);
    mp_put_cstr(out, "bus");
    mp_put_cstr(out, rule->bus);
    mp_put_cstr(out, "state");
    mp_put_cstr(out, state_name(rule->is_enabled));
    mp_put_cstr(out, "targets");
    targets_put(core, rule, out);
    mp_put_cstr(out, "explanation");
    explanation_put(&why, out);
    explanation_free(&why);
    pattern_free(&pattern);
}

bool admin_rule_explain(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    envelope_t envelope;
    bytes_t only = BYTES_NONE, replay_name = BYTES_NONE;
    if (!bus_known(core, request->name, err) || !envelope_read(request->body, &envelope, err))
        return false;
    (void)!mp_map_str(request->args, "rule", &only);
    (void)!mp_map_str(request->args, "replay_name", &replay_name);
    if (!question_check(core, request, only, err))
        return false;
    uint32_t count = 0;
    size_t at = mp_array_begin(out);
    for (uint32_t i = 0; i < core->topology.rule_count; i++) {
        const rule_t *rule = &core->topology.rules[i];
        if (!is_asked(request, only, rule))
            continue;
        rule_explain(core, rule, request->body, replay_name, out);
        count++;
    }
    mp_array_end(out, at, count);
    return count > 0 || !only.len ||
           error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "The bus \"%.*s\" has no rule \"%.*s\".",
                     BYTES_FMT(request->name), BYTES_FMT(only));
}

/* -- topology ---------------------------------------------------------------------------------------- */
bool admin_topology_show(core_t *core, const admin_request_t *request UNUSED, buf_t *out, error_t *err UNUSED)
{
    const topology_t *now = &core->topology;
    mp_put_map(out, 5);
    mp_put_cstr(out, "version");
    mp_put_u64(out, now->version);
    mp_put_cstr(out, "sha256");
    mp_put_cstr(out, now->sha256);
    mp_put_cstr(out, "document");
    mp_put_str(out, buf_bytes(&now->json));
    mp_put_cstr(out, "applied_us");
    mp_put_i64(out, now->applied_us);
    mp_put_cstr(out, "by");
    mp_put_cstr(out, now->by);
    return true;
}

/* What the client says of itself, and what the broker knows of it: its key's role, where there are keys. */
static void applier_name(const core_t *core, const admin_request_t *request, char out[TOPOLOGY_BY_BYTES + 1])
{
    buf_t text = {0};
    bytes_t by;
    char said[APPLIER_MAX_BYTES + 1] = "";
    const char *role = role_name(core->input->role);
    if (mp_map_str(request->args, "by", &by) && bytes_is_utf8(by, NULL))
        (void)bytes_to_cstr(by, said, sizeof said);
    if (said[0])
        buf_printf(&text, "%s, ", said);
    buf_printf(&text, "session %s", request->session->name);
    if (strcmp(role, role_name(role_all())) != 0)
        buf_printf(&text, ", role %s", role);
    (void)bytes_to_cstr(buf_bytes(&text), out, TOPOLOGY_BY_BYTES + 1);
    buf_free(&text);
}

static void told_put(const core_t *core, const topology_change_t *change, const topology_told_t *told, buf_t *out)
{
    mp_put_map(out, 4);
    mp_put_cstr(out, "version");
    mp_put_u64(out, core->topology.version);
    mp_put_cstr(out, "dry_run");
    mp_put_bool(out, change->is_dry_run);
    mp_put_cstr(out, "changes");
    mp_put_array(out, told->count);
    buf_append_bytes(out, buf_bytes(&told->sentences));
    mp_put_cstr(out, "messages");
    mp_put_u64(out, told->messages);
}

static bool document_given(core_t *core, const admin_request_t *request, topology_change_t *change, buf_t *out,
                           error_t *err)
{
    char sha256[SHA256_HEX_BYTES];
    topology_told_t told;
    mp_reader_t r = mp_reader(request->body);
    if (!mp_get_str(&r, &change->json))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue",
                         "The body must be the document, JSON as one msgpack text.");
    sha256_hex(change->json, sha256);
    change->sha256 = sha256;
    bool ok = topology_change(core, change, &told, err);
    if (ok)
        told_put(core, change, &told, out);
    topology_told_free(&told);
    return ok;
}

bool admin_topology_diff(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    topology_change_t change = {.is_dry_run = true};
    return document_given(core, request, &change, out, err);
}

bool admin_topology_apply(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    char by[TOPOLOGY_BY_BYTES + 1];
    topology_change_t change = {0};
    applier_name(core, request, by);
    change.by = bytes_cstr(by);
    (void)!mp_map_bool(request->args, "force", &change.force);
    (void)!mp_map_bool(request->args, "dry_run", &change.is_dry_run);
    return document_given(core, request, &change, out, err);
}

/* What is exported is for AWS too. */
static bool export_check(const core_t *core, error_t *err)
{
    for (uint32_t i = 0; i < core->topology.rule_count; i++) {
        const rule_t *rule = &core->topology.rules[i];
        if (rule->options.all_of)
            return error_set(err, STATUS_FAILED_PRECONDITION, "ValidationException",
                             "Rule \"%s\" has PatternExtensions (allOf), which AWS has not: its pattern cannot be "
                             "exported.",
                             rule->name);
    }
    return true;
}

static void export_queues(const core_t *core, buf_t *out)
{
    mp_put_array(out, queue_count(core));
    for (const queue_t *queue = queue_next(core, NULL); queue; queue = queue_next(core, queue)) {
        mp_put_map(out, queue->given.len ? 2 : 1);
        mp_put_cstr(out, "QueueName");
        mp_put_cstr(out, queue->name);
        if (!queue->given.len)
            continue;
        mp_put_cstr(out, "Attributes");
        mp_put_raw(out, buf_bytes(&queue->given));
    }
}

bool admin_topology_export(core_t *core, const admin_request_t *request UNUSED, buf_t *out, error_t *err)
{
    static const char *const lists[] = {"Buses", "Archives", "Rules", "Schedules", "PermitBuckets"};
    bytes_t document = buf_bytes(&core->topology.document), list;
    buf_t now = {0}, json = {0};
    if (!export_check(core, err))
        return false;
    mp_put_map(&now, ARRAY_LEN(lists) + 1);
    for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
        mp_put_cstr(&now, lists[i]);
        if (document.len && mp_map_find(document, lists[i], &list))
            mp_put_raw(&now, list);
        else
            mp_put_array(&now, 0);
    }
    mp_put_cstr(&now, "Queues");
    export_queues(core, &now);
    bool ok = json_from_msgpack(buf_bytes(&now), JSON_PRETTY, &json, err);
    if (ok) {
        mp_put_map(out, 1);
        mp_put_cstr(out, "document");
        mp_put_str(out, buf_bytes(&json));
    }
    buf_free(&json);
    buf_free(&now);
    return ok;
}
