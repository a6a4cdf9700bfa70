/* node_log.c: every record that a node wrote, kept beside its disk for comparison. */
#include <stdlib.h>

#include "tests/sim/node_internal.h"

void node_log_note(node_t *node, bytes_t raw)
{
    if (node->log_count == node->log_cap) {
        node->log_cap = node->log_cap ? node->log_cap * 2 : 256;
        node->log_at = reallocarray(node->log_at, node->log_cap, sizeof *node->log_at);
        if (!node->log_at)
            abort();
    }
    node->log_at[node->log_count++] = node->log.len;
    buf_append_bytes(&node->log, raw);
}

bytes_t node_log_record(const node_t *node, uint64_t seq)
{
    size_t end = seq < node->log_count ? node->log_at[seq] : node->log.len;
    return bytes_from(node->log.data + node->log_at[seq - 1], end - node->log_at[seq - 1]);
}

void node_log_cut(node_t *node, uint64_t newest)
{
    if (newest >= node->log_count)
        return;
    node->log.len = node->log_at[newest];
    node->log_count = newest;
}

core_t *node_core_of_log(node_t *node, uint64_t newest)
{
    error_t err = {0};
    core_t *core = node_core_new(0);
    for (uint64_t seq = 1; seq <= newest; seq++)
        if (!record_decode(node_log_record(node, seq), node->record, &err) || !core_apply(core, node->record, &err))
            abort();
    return core;
}
