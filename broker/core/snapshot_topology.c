/* snapshot_topology.c: the topology's document, where its targets led when it took effect, buses, permit buckets,
 * schedules. */
#include "broker/core/permit.h"
#include "broker/core/schedule.h"
#include "broker/core/snapshot_parts.h"
#include "broker/core/topology.h"

/* -- the document -------------------------------------------------------------------------------------- */
uint64_t snapshot_save_topology(snapshot_save_t *save, uint64_t at UNUSED)
{
    const topology_t *topology = &save->core->topology;
    if (topology->version)
        snapshot_put(save, SNAPSHOT_TOPOLOGY,
                     &(snapshot_topology_t){.version = topology->version,
                                            .sha256 = bytes_cstr(topology->sha256),
                                            .body = buf_bytes(&topology->json),
                                            .by = bytes_cstr(topology->by),
                                            .file_sha256 = bytes_cstr(topology->file_sha256),
                                            .applied_us = topology->applied_us});
    return SNAPSHOT_NO_MORE;
}

bool snapshot_load_topology(snapshot_load_t *load, const snapshot_topology_t *item, error_t *err)
{
    core_t *core = load->core;
    if (core->topology.version || !item->version)
        return snapshot_misfit(err, SNAPSHOT_TOPOLOGY, "version", item->version);
    core->record->seq = core->next_seq - 1;
    core->record->ingest_us = core->now_us;
    core->record->kind = RECORD_TOPOLOGY;
    core->record->topology = (record_topology_t){.version = item->version,
                                                 .sha256 = item->sha256,
                                                 .body = item->body,
                                                 .by = item->by,
                                                 .file_sha256 = item->file_sha256};
    if (!snapshot_time_is_good(item->applied_us) || !topology_apply(core, core->record, err))
        return snapshot_misfit(err, SNAPSHOT_TOPOLOGY, "version", item->version);
    core->topology.applied_us = item->applied_us;
    return true;
}

/* -- targets ------------------------------------------------------------------------------------------- */
/* A target leads where it led when the document was applied: a queue made anew since then is another one. */
uint64_t snapshot_save_targets(snapshot_save_t *save, uint64_t at)
{
    const topology_t *topology = &save->core->topology;
    uint32_t rule = (uint32_t)(at >> 32), target = (uint32_t)at;
    while (rule < topology->rule_count && target >= topology->rules[rule].target_count) {
        rule++;
        target = 0;
    }
    if (rule >= topology->rule_count)
        return SNAPSHOT_NO_MORE;
    snapshot_put(
        save, SNAPSHOT_TARGET,
        &(snapshot_target_t){.rule = rule, .target = target, .queue = topology->rules[rule].targets[target].queue});
    return snapshot_pair(rule, target + 1);
}

bool snapshot_load_target(snapshot_load_t *load, const snapshot_target_t *item, error_t *err)
{
    const topology_t *topology = &load->core->topology;
    if (item->rule >= topology->rule_count || item->target >= topology->rules[item->rule].target_count)
        return snapshot_misfit(err, SNAPSHOT_TARGET, "of rule", item->rule);
    topology->rules[item->rule].targets[item->target].queue = item->queue;
    return true;
}

/* -- buses --------------------------------------------------------------------------------------------- */
static void save_bus(snapshot_save_t *save, const bus_t *bus)
{
    snapshot_put(save, SNAPSHOT_BUS,
                 &(snapshot_bus_t){.name = bytes_cstr(bus->name),
                                   .removed = bus->is_removed,
                                   .dedup_window_us = bus->dedup_window_us});
}

uint64_t snapshot_save_buses(snapshot_save_t *save, uint64_t at)
{
    uint32_t id = (uint32_t)(at >> 32), key = (uint32_t)at;
    const bus_t *bus = pool_get(&save->core->buses, id);
    if (bus && key < bus->dedup.count) {
        snapshot_save_key(save, &bus->dedup, key);
        return at + 1;
    }
    id = pool_next(&save->core->buses, id);
    if (!id)
        return SNAPSHOT_NO_MORE;
    save_bus(save, pool_get(&save->core->buses, id));
    return snapshot_pair(id, 0);
}

bool snapshot_load_bus(snapshot_load_t *load, const snapshot_bus_t *item, error_t *err)
{
    bus_t *bus = topology_bus_restore(load->core, item->name, item->removed);
    if (!bus || bus->dedup.count || !snapshot_time_is_good(item->dedup_window_us))
        return snapshot_misfit(err, SNAPSHOT_BUS,
                               "the document does not fit it, or it is there twice; window in microseconds:",
                               (uint64_t)item->dedup_window_us);
    bus->dedup_window_us = item->dedup_window_us;
    load->keys = &bus->dedup;
    return true;
}

/* -- permit buckets ------------------------------------------------------------------------------------ */
/* The document says the rest. */
uint64_t snapshot_save_buckets(snapshot_save_t *save, uint64_t at)
{
    uint32_t id = pool_next(&save->core->permits.buckets, (uint32_t)at);
    if (!id)
        return SNAPSHOT_NO_MORE;
    const bucket_t *bucket = pool_get(&save->core->permits.buckets, id);
    if (bucket->horizon_us)
        snapshot_put(save, SNAPSHOT_BUCKET,
                     &(snapshot_bucket_t){.name = bytes_cstr(bucket->name), .next_free_us = bucket->horizon_us});
    return id;
}

bool snapshot_load_bucket(snapshot_load_t *load, const snapshot_bucket_t *item, error_t *err)
{
    core_t *core = load->core;
    if (!snapshot_time_is_good(item->next_free_us))
        return snapshot_misfit(err, SNAPSHOT_BUCKET, "microseconds:", (uint64_t)item->next_free_us);
    core->record->seq = core->next_seq - 1;
    core->record->kind = RECORD_PERMITS;
    core->record->permits = (record_permits_t){.bucket = item->name, .next_free_us = item->next_free_us};
    return permit_apply(core, core->record, err);
}

/* -- schedules ----------------------------------------------------------------------------------------- */
/* The document says the rest. */
uint64_t snapshot_save_schedules(snapshot_save_t *save, uint64_t at)
{
    uint32_t id = pool_next(&save->core->schedules.all, (uint32_t)at);
    if (!id)
        return SNAPSHOT_NO_MORE;
    const schedule_t *schedule = pool_get(&save->core->schedules.all, id);
    snapshot_put(save, SNAPSHOT_SCHEDULE,
                 &(snapshot_schedule_t){.name = bytes_cstr(schedule->name),
                                        .began_us = schedule->began_us,
                                        .done_us = schedule->done_us,
                                        .fired_us = schedule->fired_us,
                                        .fired = schedule->fired});
    return id;
}

bool snapshot_load_schedule(snapshot_load_t *load, const snapshot_schedule_t *item, error_t *err)
{
    schedule_t *schedule = schedule_find(load->core, item->name);
    if (!schedule || !snapshot_time_is_good(item->began_us) || !snapshot_time_is_good(item->done_us) ||
        item->done_us < item->began_us || item->fired_us > item->done_us || item->fired >= load->core->next_seq)
        return snapshot_misfit(err, SNAPSHOT_SCHEDULE, "done, in microseconds:", (uint64_t)item->done_us);
    schedule->began_us = item->began_us;
    schedule->done_us = item->done_us;
    schedule->fired_us = item->fired_us;
    schedule->fired = item->fired;
    return true;
}
