/* topology.c: buses and rules as the applied document has them. */
#include "broker/core/topology.h"

#include <stdlib.h>

#include "broker/core/ledger.h"
#include "broker/core/message.h"
#include "broker/core/permit.h"
#include "broker/core/queue.h"
#include "broker/core/schedule.h"
#include "broker/core/topology_compile.h"
#include "broker/core/topology_doc.h"
#include "proto/json.h"

/* -- buses ------------------------------------------------------------------------------------------- */
static bus_t *bus_at(const core_t *core, uint32_t id)
{
    return pool_get(&core->buses, id);
}

static bool bus_is(const void *ctx, uint32_t id, const void *key)
{
    return bytes_eq_cstr(*(const bytes_t *)key, bus_at(ctx, id)->name);
}

static bus_t *bus_find(const core_t *core, bytes_t name)
{
    return bus_at(core, map_find(&core->buses_by_name, map_hash_bytes(name), bus_is, core, &name));
}

bus_t *topology_bus(const core_t *core, bytes_t name)
{
    bus_t *bus = bus_find(core, name);
    return bus && !bus->is_removed ? bus : NULL;
}

bool topology_bus_id(const core_t *core, bytes_t name, uint32_t *id, error_t *err)
{
    const bus_t *bus = topology_bus(core, name);
    *id = bus ? bus->id : 0;
    return bus || bytes_eq_cstr(name, "*") ||
           error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "There is no event bus \"%.*s\".",
                     BYTES_FMT(name));
}

uint32_t topology_bus_number(const core_t *core, bytes_t name)
{
    const bus_t *bus = bus_find(core, name);
    return bus ? bus->id : UINT32_MAX;
}

static bus_t *bus_get(core_t *core, bytes_t name)
{
    bus_t *bus = bus_find(core, name);
    if (bus)
        return bus;
    bus = memory_new(1, sizeof *bus);
    bus->name = memory_text(name);
    bus->id = pool_add(&core->buses, bus);
    map_add(&core->buses_by_name, map_hash_bytes(name), bus->id);
    return bus;
}

bus_t *topology_bus_restore(core_t *core, bytes_t name, bool removed)
{
    bool known = bus_find(core, name) != NULL;
    if (known == removed)
        return NULL;
    bus_t *bus = bus_get(core, name);
    bus->is_removed = removed;
    return bus;
}

static void buses_take(core_t *core, const topology_doc_t *doc, topology_compiled_t *compiled)
{
    for (uint32_t id = pool_next(&core->buses, 0); id; id = pool_next(&core->buses, id)) {
        bus_t *bus = bus_at(core, id);
        bus->is_removed = true;
        ruleset_free(&bus->rules);
    }
    for (uint32_t i = 0; i < doc->bus_count; i++) {
        bus_t *bus = bus_get(core, doc->buses[i].name);
        bus->is_removed = false;
        bus->dedup_window_us = doc->buses[i].dedup_window_us;
        bus->rules = compiled->rulesets[i];
        compiled->rulesets[i] = NULL;
    }
}

/* -- applying ---------------------------------------------------------------------------------------- */
static void targets_resolve(core_t *core, topology_compiled_t *compiled, const topology_doc_t *doc)
{
    for (uint32_t i = 0; i < doc->rule_count; i++) {
        rule_t *rule = &compiled->rules[i];
        for (uint32_t t = 0; t < rule->target_count; t++) {
            const doc_target_t *from = &doc->targets[doc->rules[i].first_target + t];
            const queue_t *queue = from->queue.len ? queue_find(core, from->queue) : NULL;
            target_t *target = &rule->targets[t];
            buf_t name = {0};
            buf_printf(&name, "%s/%s/%s", rule->bus, rule->name, target->id);
            target->name = name_keep(core, buf_bytes(&name));
            target->queue = from->is_enabled && queue ? queue->incarnation : 0;
            target->bus = from->is_enabled && from->bus.len ? topology_bus(core, from->bus)->id : 0;
            buf_free(&name);
        }
    }
}

/* The record says which queues; what they are like stands in the document. */
static bool queue_change_apply(core_t *core, const record_t *record, const topology_doc_t *doc, mp_reader_t *r,
                               error_t *err)
{
    record_queue_op_t op;
    if (!record_queue_op(r, &op))
        return ledger_misfit(err, record, "malformed queues, version", record->topology.version);
    const doc_queue_t *wanted = topology_doc_queue(doc, op.name);
    if ((op.op == QUEUE_DELETED) == (wanted != NULL))
        return ledger_misfit(err, record, "the document and queue", op.queue);
    const record_queue_t change = {.queue = op.queue,
                                   .name = op.name,
                                   .op = op.op,
                                   .from_topology = true,
                                   .attributes = wanted ? wanted->attributes : BYTES_NONE};
    return queue_apply_change(core, record, &change, err) || ledger_forgives(core, record);
}

static bool queues_apply(core_t *core, const record_t *record, const topology_doc_t *doc, error_t *err)
{
    mp_reader_t r;
    bool ok = true;
    for (uint32_t left = record_queue_ops(&record->topology, &r); ok && left > 0; left--)
        ok = queue_change_apply(core, record, doc, &r, err);
    return ok;
}

static void topology_clear(topology_t *topology)
{
    topology_rules_free(topology->rules, topology->rule_count);
    buf_free(&topology->json);
    buf_free(&topology->document);
    *topology = (topology_t){0};
}

bool topology_apply(core_t *core, const record_t *record, error_t *err)
{
    const record_topology_t *r = &record->topology;
    const json_limits_t limits = {.max_bytes = TOPOLOGY_MAX_BYTES};
    topology_t next = {.version = r->version, .applied_us = record->ingest_us};
    topology_doc_t doc;
    topology_compiled_t compiled;
    if (!json_to_msgpack(r->body, &limits, &next.document, err) ||
        !topology_doc_read(buf_bytes(&next.document), &doc, err) || !topology_compile(&doc, &compiled, err)) {
        buf_free(&next.document);
        return error_prefix(err, "Record %llu (TOPOLOGY)", (unsigned long long)record->seq);
    }
    buf_append_bytes(&next.json, r->body);
    (void)bytes_to_cstr(r->sha256, next.sha256, sizeof next.sha256);
    (void)bytes_to_cstr(r->file_sha256.len ? r->file_sha256 : r->sha256, next.file_sha256, sizeof next.file_sha256);
    (void)bytes_to_cstr(r->by, next.by, sizeof next.by);
    bool ok = queues_apply(core, record, &doc, err);
    buses_take(core, &doc, &compiled);
    targets_resolve(core, &compiled, &doc);
    permits_take(core, &doc, record->ingest_us);
    schedules_take(core, &doc, record->ingest_us);
    next.rules = compiled.rules;
    next.rule_count = doc.rule_count;
    topology_rulesets_free(&compiled, doc.bus_count);
    topology_clear(&core->topology);
    core->topology = next;
    topology_doc_free(&doc);
    return ok; /* when not, recovery ends here */
}

void topology_free(core_t *core)
{
    topology_clear(&core->topology);
    for (uint32_t id = pool_next(&core->buses, 0); id; id = pool_next(&core->buses, id)) {
        bus_t *bus = bus_at(core, id);
        free(bus->name);
        dedup_free(&bus->dedup);
        ruleset_free(&bus->rules);
        free(bus);
    }
    pool_free(&core->buses);
    map_free(&core->buses_by_name);
}
