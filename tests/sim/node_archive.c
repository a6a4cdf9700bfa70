/* node_archive.c: archives of a broker that lived, held against every event that was written. */
#include <stdlib.h>

#include "broker/core/archive_def.h"
#include "broker/journal/history.h"
#include "tests/sim/node_internal.h"

#define SLICE_BYTES 2000

typedef struct {
    node_t *node;
    archive_def_t def;
    pattern_t *pattern;
    record_t *written;
    uint64_t next; /* record that must come next; behind the newest: none */
} reading_t;

/* The next event that the archive must have, from `seq` on. */
static void expect_from(reading_t *r, uint64_t seq)
{
    error_t err;
    for (; seq <= r->node->log_count; seq++) {
        if (!record_decode(node_log_record(r->node, seq), r->written, &err))
            abort();
        if (r->written->kind == RECORD_PUBLISH && archive_def_takes(&r->def, r->pattern, &r->written->publish))
            break;
    }
    r->next = seq;
}

static bool compare(void *ctx, const record_t *record)
{
    reading_t *r = ctx;
    const record_publish_t *event = &record->publish;
    if (!archive_def_takes(&r->def, r->pattern, event))
        return true; /* of the log */
    bool same = record->seq == r->next && record->ingest_us == r->written->ingest_us &&
                bytes_eq(event->body, r->written->publish.body) && bytes_eq(event->attrs, r->written->publish.attrs);
    if (!same)
        return trace_violated(r->node->trace, "archive %.*s has event %llu where %llu should be",
                              BYTES_FMT(r->def.name), (unsigned long long)record->seq, (unsigned long long)r->next);
    expect_from(r, record->seq + 1);
    return true;
}

static bool verify_one(node_t *node, history_t *history, reading_t *r)
{
    error_t err = {0};
    const history_source_t source = {.archive = r->def.name};
    expect_from(r, 1);
    for (uint64_t next = 1; next < journal_next_seq(node->journal) && trace_is_good(node->trace);)
        if (!history_read(history, &source, next, SLICE_BYTES, compare, r, &next, &err)) {
            if (!fault_disk_struck(node->disk))
                (void)trace_violated(node->trace, "archive %.*s: %s", BYTES_FMT(r->def.name), err.message);
            return trace_is_good(node->trace);
        }
    return !trace_is_good(node->trace) || r->next > node->log_count ||
           trace_violated(node->trace, "archive %.*s lacks event %llu", BYTES_FMT(r->def.name),
                          (unsigned long long)r->next);
}

bool node_verify_archives(node_t *node)
{
    reading_t r = {.node = node, .written = malloc(sizeof *r.written)};
    history_t *history = history_new(node->journal);
    error_t err;
    if (!r.written || !history)
        abort();
    for (uint32_t i = 0; trace_is_good(node->trace) && archive_def_at(node->core, i, &r.def); i++) {
        if (!archive_def_pattern(&r.def, &r.pattern, &err))
            abort();
        (void)!verify_one(node, history, &r);
        pattern_free(&r.pattern);
    }
    history_free(&history);
    free(r.written);
    return trace_is_good(node->trace);
}
