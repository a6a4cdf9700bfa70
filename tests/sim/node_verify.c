/* node_verify.c: what the broker has and what its journal gives back, held against every record that was written. */
#include <stdlib.h>

#include "broker/core/snapshot.h"
#include "tests/sim/node_internal.h"

/* -- the second core ------------------------------------------------------------------------------------ */
static bool same_record(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    const node_t *node = ctx;
    if (record->seq <= node->log_count && bytes_eq(raw, node_log_record(node, record->seq)))
        return true;
    (void)trace_violated(node->trace, "record %llu of the journal is not what was written",
                         (unsigned long long)record->seq);
    return error_set(err, STATUS_INTERNAL, "TEST", "%s", node->trace->violation);
}

/* Every record that a message needs can be read, and every other that is there is what it was. */
static bool verify_records(node_t *node)
{
    error_t err = {0};
    uint64_t *needed, next = 1;
    size_t count;
    bool good = core_needed_records(node->core, UINT64_MAX - 1, &needed, &count, &err);
    for (size_t i = 0; good && i < count; i++) {
        bytes_t raw;
        good = journal_read(node->journal, needed[i], &raw, &err) && bytes_eq(raw, node_log_record(node, needed[i]));
    }
    free(needed);
    while (good && next < journal_next_seq(node->journal))
        good = journal_scan(node->journal, next, SIZE_MAX / 2, same_record, node, &next, &err);
    if (!good && !fault_disk_struck(node->disk))
        (void)trace_violated(node->trace, "the journal does not read back: %s", err.message);
    return trace_is_good(node->trace);
}

bool node_verify(node_t *node, int64_t now_us)
{
    core_effects_t nothing = {0};
    node_timer(node, now_us);
    node_commit(node);
    if (!node_is_up(node) || !trace_is_good(node->trace) || !verify_records(node) || !node_verify_archives(node))
        return trace_is_good(node->trace);
    uint64_t live = core_digest(node->core);
    core_t *second = node_core_of_log(node, node->log_count);
    core_start(second, now_us, node->log_count + 1, &nothing);
    if (core_digest(second) != live)
        (void)trace_violated(node->trace, "a core that applied the journal differs from the one that lived");
    core_free(&second);
    core_effects_free(&nothing);
    return trace_is_good(node->trace);
}
