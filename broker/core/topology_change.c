/* topology_change.c: the difference between a document and what is, told in sentences and journaled as one record. */
#include <stdlib.h>

#include "broker/core/archive_def.h"
#include "broker/core/ledger.h"
#include "broker/core/queue.h"
#include "broker/core/schedule.h"
#include "broker/core/topology.h"
#include "broker/core/topology_compile.h"
#include "broker/core/topology_difference.h"
#include "broker/core/topology_doc.h"
#include "broker/core/topology_targets.h"
#include "proto/json.h"

typedef struct {
    core_t *core;
    const topology_doc_t *doc;
    const topology_change_t *change;
    topology_told_t *told;
    buf_t queues; /* pairs of the record's map */
    uint32_t queue_count;
    uint64_t newest_queue;
    const char *not_empty; /* the first such queue that is dropped */
} difference_t;

static void tell(void *ctx, const char *kind, bytes_t name, const char *what)
{
    difference_t *d = ctx;
    buf_t text = {0};
    buf_printf(&text, "%s %.*s %s", kind, BYTES_FMT(name), what);
    mp_put_str(&d->told->sentences, buf_bytes(&text));
    d->told->count++;
    buf_free(&text);
}

/* -- queues ------------------------------------------------------------------------------------------ */
static void decide(difference_t *d, bytes_t name, uint64_t op, uint64_t incarnation)
{
    mp_put_str(&d->queues, name);
    mp_put_array(&d->queues, 2);
    mp_put_u64(&d->queues, op);
    mp_put_u64(&d->queues, incarnation);
    d->queue_count++;
}

static void queue_compare(difference_t *d, const queue_t *queue, const doc_queue_t *wanted)
{
    buf_t names = {0}, what = {0};
    topology_members_differ(buf_bytes(&queue->given), wanted->attributes, &names);
    buf_printf(&what, "%s%s%s", queue->from_topology ? "changed" : "adopted", names.len ? ": " : "", buf_cstr(&names));
    if (names.len || !queue->from_topology) {
        tell(d, "queue", wanted->name, buf_cstr(&what));
        decide(d, wanted->name, QUEUE_SET, queue->incarnation);
    }
    buf_free(&names);
    buf_free(&what);
}

static void queues_wanted(difference_t *d)
{
    for (uint32_t i = 0; i < d->doc->queue_count; i++) {
        const doc_queue_t *wanted = &d->doc->queues[i];
        const queue_t *queue = queue_find(d->core, wanted->name);
        if (queue) {
            queue_compare(d, queue, wanted);
            continue;
        }
        tell(d, "queue", wanted->name, "created");
        decide(d, wanted->name, QUEUE_CREATED, ++d->newest_queue);
    }
}

static void queue_drop(difference_t *d, const queue_t *queue)
{
    uint32_t messages = queue_messages(queue);
    buf_t what = {0};
    buf_append_cstr(&what, "dropped");
    if (messages)
        buf_printf(&what, " with its %u message%s", messages, messages == 1 ? "" : "s");
    tell(d, "queue", bytes_cstr(queue->name), buf_cstr(&what));
    decide(d, bytes_cstr(queue->name), QUEUE_DELETED, queue->incarnation);
    d->told->messages += messages;
    if (messages && !d->not_empty)
        d->not_empty = queue->name;
    buf_free(&what);
}

static void queues_unwanted(difference_t *d)
{
    for (const queue_t *queue = queue_next(d->core, NULL); queue; queue = queue_next(d->core, queue))
        if (queue->from_topology && !topology_doc_queue(d->doc, bytes_cstr(queue->name)))
            queue_drop(d, queue);
}

/* -- applying ---------------------------------------------------------------------------------------- */
/* Where the topology came from the file, the next start must know that file again. */
static void version_write(difference_t *d)
{
    const topology_t *now = &d->core->topology;
    buf_t queues = {0};
    mp_put_map(&queues, d->queue_count);
    buf_append_bytes(&queues, buf_bytes(&d->queues));
    d->core->record->topology = (record_topology_t){
        .version = now->version + 1,
        .sha256 = bytes_cstr(d->change->sha256),
        .body = d->change->json,
        .queues = buf_bytes(&queues),
        .by = d->change->by,
        .file_sha256 = bytes_cstr(d->change->is_start ? d->change->sha256 : now->file_sha256),
    };
    (void)ledger_write(d->core, RECORD_TOPOLOGY);
    d->core->stats.dropped += d->told->messages;
    buf_free(&queues);
}

static void told_log(const difference_t *d)
{
    bytes_t sentence;
    mp_reader_t r = mp_reader(buf_bytes(&d->told->sentences));
    while (mp_left(&r) && mp_get_str(&r, &sentence))
        effects_log(d->core->out, LOG_INFO, "topology: %.*s", BYTES_FMT(sentence));
    effects_log(d->core->out, LOG_INFO, "topology version %llu applied by %s, %u changes",
                (unsigned long long)d->core->topology.version, d->core->topology.by, d->told->count);
}

static bool archives_check(const topology_doc_t *doc, error_t *err)
{
    for (uint32_t i = 0; i < doc->archive_count; i++)
        if (!archive_def_check(doc->archives[i].given, err))
            return error_prefix(err, "Topology, archive \"%.*s\"", BYTES_FMT(doc->archives[i].name));
    return true;
}

/* The whole document must hold before anything is written. */
static bool change_check(const difference_t *d, error_t *err)
{
    topology_compiled_t compiled;
    uint64_t queues = queue_count(d->core) + (d->newest_queue - d->core->newest_queue);
    if (queues > d->core->limits.queues)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException", "Topology: at most %llu queues.",
                         (unsigned long long)d->core->limits.queues);
    if (!archives_check(d->doc, err) || !topology_policies_check(d->doc, err) ||
        !schedules_check(d->core, d->doc, err) || !topology_compile(d->doc, &compiled, err))
        return false;
    topology_compiled_free(&compiled, d->doc);
    if (!d->told->messages || d->change->force || d->change->is_dry_run)
        return true;
    return error_set(err, STATUS_FAILED_PRECONDITION, "QUEUE_NOT_EMPTY",
                     "Topology: queue \"%s\" is not in the document and not empty; %llu message%s would be dropped in "
                     "all. Apply with force to drop them.",
                     d->not_empty, (unsigned long long)d->told->messages, d->told->messages == 1 ? "" : "s");
}

static bool change_make(difference_t *d, bytes_t document, error_t *err)
{
    topology_differ(buf_bytes(&d->core->topology.document), document, tell, d);
    queues_wanted(d);
    queues_unwanted(d);
    if (!change_check(d, err))
        return false;
    if (d->change->is_dry_run || (d->core->topology.version && !d->told->count && !d->change->is_start))
        return true;
    version_write(d);
    told_log(d);
    schedules_start(d->core);
    return true;
}

/* The file of the newest start does not come back over what was applied since. */
static bool is_known(const core_t *core, const topology_change_t *change)
{
    const topology_t *now = &core->topology;
    if (!now->version)
        return false;
    return change->is_start ? strcmp(now->file_sha256, change->sha256) == 0 : strcmp(now->sha256, change->sha256) == 0;
}

bool topology_change(core_t *core, const topology_change_t *change, topology_told_t *told, error_t *err)
{
    const json_limits_t limits = {.max_bytes = TOPOLOGY_MAX_BYTES};
    buf_t document = {0};
    topology_doc_t doc;
    difference_t d = {.core = core, .doc = &doc, .change = change, .told = told, .newest_queue = core->newest_queue};
    *told = (topology_told_t){0};
    if (is_known(core, change))
        return true;
    if (!json_to_msgpack(change->json, &limits, &document, err) ||
        !topology_doc_read(buf_bytes(&document), &doc, err)) {
        buf_free(&document);
        return false;
    }
    bool ok = change_make(&d, buf_bytes(&document), err);
    topology_doc_free(&doc);
    buf_free(&document);
    buf_free(&d.queues);
    return ok;
}

void topology_told_free(topology_told_t *told)
{
    buf_free(&told->sentences);
}

void topology_given(core_t *core)
{
    const topology_t *now = &core->topology;
    const topology_change_t change = {
        .json = core->input->topology.json,
        .sha256 = core->input->topology.sha256,
        .force = core->input->topology.force,
        .is_start = true,
        .by = BYTES_LIT("the start"),
    };
    topology_told_t told;
    error_t err;
    if (!topology_change(core, &change, &told, &err))
        effects_log(core->out, LOG_ERROR, "the topology is refused, version %llu stays: %s",
                    (unsigned long long)now->version, err.message);
    else if (strcmp(now->sha256, change.sha256) != 0)
        effects_log(core->out, LOG_WARNING,
                    "the topology file is as it was at the start before, and version %llu, applied by %s since, stays "
                    "in effect",
                    (unsigned long long)now->version, now->by);
    topology_told_free(&told);
}
