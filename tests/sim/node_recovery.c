/* node_recovery.c: a node's core made anew of what its disk has, while the model hears of every record. */
#include <stdlib.h>

#include "broker/core/snapshot.h"
#include "tests/sim/node_internal.h"

#define DIR "/journal"
#define SEGMENT_BYTES ((uint64_t)16 << 10)
#define TAIL_CACHE_BYTES 2048 /* so that deliveries and scans read the disk too */
#define SLICE_MESSAGES_SIM 1  /* so that a slice is never enough */

core_config_t node_core_config(const char *name)
{
    return (core_config_t){.limits = {.grace_ms = 6000,
                                      .heartbeat_ms = 1500,
                                      .slice_messages = SLICE_MESSAGES_SIM,
                                      .lag_records = MODEL_LAG_RECORDS},
                           .broker_name = name,
                           .version = "sim"};
}

core_t *node_core_new(uint64_t life)
{
    error_t err = {0};
    char name[40];
    (void)snprintf(name, sizeof name, "mangabus-broker-%06llx", (unsigned long long)life);
    const core_config_t config = node_core_config(name);
    core_t *core = core_new(&config, &err);
    if (!core)
        abort();
    return core;
}

typedef struct {
    node_t *node;
    checkpoint_loader_t loader;
} recovery_t;

/* The model hears of every record; of those in the snapshot, what was written before the crash. */
static bool fold_before(node_t *node, uint64_t newest, error_t *err)
{
    if (newest > node->log_count)
        return trace_violated(node->trace, "a snapshot knows %llu records, and %zu were written",
                              (unsigned long long)newest, node->log_count);
    for (uint64_t seq = 1; seq <= newest; seq++) {
        bytes_t raw = node_log_record(node, seq);
        if (!record_decode(raw, node->record, err) ||
            !model_fold(node->model, node->record, crc32c(0, raw.data, raw.len)))
            return false;
    }
    return true;
}

static bool load_one(void *ctx, bytes_t items, error_t *err)
{
    recovery_t *recovery = ctx;
    node_t *node = recovery->node;
    if (!checkpoint_load(&recovery->loader, items, err))
        return false;
    if (items.len)
        return true;
    node->loaded = core_newest_record(node->core);
    if (!fold_before(node, node->loaded, err))
        return error_set(err, STATUS_INTERNAL, "TEST", "%s", node->trace->violation);
    core_t *all = node_core_of_log(node, node->loaded);
    bool same = core_digest(all) == core_digest(node->core) || node->bug == BUG_SNAPSHOT_NO_KEYS;
    core_free(&all);
    if (same)
        return true;
    (void)trace_violated(node->trace, "a core of a snapshot differs from one that applied all records");
    return error_set(err, STATUS_INTERNAL, "TEST", "%s", node->trace->violation);
}

static bool recover_one(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    node_t *node = ((recovery_t *)ctx)->node;
    if (!model_fold(node->model, record, crc32c(0, raw.data, raw.len)))
        return error_set(err, STATUS_INTERNAL, "TEST", "%s", node->trace->violation);
    *node->record = *record;
    node_mistake_in_record(node, node->record);
    return core_apply(node->core, node->record, err);
}

bool node_recover(node_t *node)
{
    error_t err = {0};
    journal_recovery_t recovery;
    const journal_options_t options = {.dir = DIR,
                                       .io = &node->io,
                                       .segment_bytes = SEGMENT_BYTES,
                                       .tail_cache_bytes = TAIL_CACHE_BYTES,
                                       .no_thread = true,
                                       .by_hand = node->by_hand,
                                       .load = load_one,
                                       .salt = node->lives};
    node->loaded = 0;
    model_forget(node->model);
    node->core = node_core_new(node->lives++);
    recovery_t reading = {.node = node, .loader = {.core = node->core}};
    node->journal = journal_open(&options, recover_one, &reading, &recovery, &err);
    checkpoint_loader_end(&reading.loader);
    if (node->journal) {
        node_log_cut(node, journal_synced(node->journal));
        node->released = journal_first_seq(node->journal);
        return model_recovered(node->model);
    }
    if (!fault_disk_struck(node->disk))
        return trace_violated(node->trace, "the broker does not come up again: %s", err.message);
    trace_note(node->trace, "broker: does not come up: %s", err.message);
    return false;
}
