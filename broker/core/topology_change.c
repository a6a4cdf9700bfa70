/* topology_change.c: the difference between a document and what is, told in sentences and journaled. */
#include <stdlib.h>

#include "broker/core/ledger.h"
#include "broker/core/queue.h"
#include "broker/core/topology.h"
#include "broker/core/topology_compile.h"
#include "broker/core/topology_doc.h"
#include "proto/json.h"

typedef struct {
    core_t *core;
    const topology_doc_t *doc;
    const topology_change_t *change;
    buf_t *sentences;
    uint32_t count;
} difference_t;

static void tell(difference_t *d, const char *kind, bytes_t name, const char *what)
{
    buf_t text = {0};
    buf_printf(&text, "%s %.*s %s", kind, BYTES_FMT(name), what);
    mp_put_str(d->sentences, buf_bytes(&text));
    if (!d->change->is_dry_run)
        effects_log(d->core->out, LOG_INFO, "topology: %s", buf_cstr(&text));
    d->count++;
    buf_free(&text);
}

/* -- queues ------------------------------------------------------------------------------------------ */
static bool queue_differs(const queue_t *queue, const doc_queue_t *wanted)
{
    return !queue->from_topology || !bytes_eq(buf_bytes(&queue->given), wanted->attributes);
}

static void queues_make(difference_t *d)
{
    for (uint32_t i = 0; i < d->doc->queue_count; i++) {
        const doc_queue_t *wanted = &d->doc->queues[i];
        queue_t *queue = queue_find(d->core, wanted->name);
        if (queue && !queue_differs(queue, wanted))
            continue;
        tell(d, "queue", wanted->name, !queue ? "created" : queue->from_topology ? "changed" : "adopted");
        if (d->change->is_dry_run)
            continue;
        if (queue)
            queue_set(d->core, queue, wanted->attributes, true);
        else
            (void)queue_create(d->core, wanted->name, wanted->attributes, true);
    }
}

static bool queue_is_dropped(const difference_t *d, const queue_t *queue)
{
    return queue->from_topology && !topology_doc_queue(d->doc, bytes_cstr(queue->name));
}

static bool drops_check(const difference_t *d, error_t *err)
{
    const pool_t *queues = &d->core->queues;
    for (uint32_t id = pool_next(queues, 0); id && !d->change->force; id = pool_next(queues, id)) {
        const queue_t *queue = pool_get(queues, id);
        if (queue_is_dropped(d, queue) && queue_messages(queue) > 0)
            return error_set(err, STATUS_FAILED_PRECONDITION, "QUEUE_NOT_EMPTY",
                             "Topology: queue \"%s\" is not in the document and holds %u messages; apply with force to "
                             "drop them.",
                             queue->name, queue_messages(queue));
    }
    return true;
}

static void queues_drop(difference_t *d)
{
    const pool_t *queues = &d->core->queues;
    for (uint32_t id = pool_next(queues, 0); id; id = pool_next(queues, id)) {
        queue_t *queue = pool_get(queues, id);
        if (!queue_is_dropped(d, queue))
            continue;
        uint32_t messages = queue_messages(queue);
        tell(d, "queue", bytes_cstr(queue->name), messages ? "dropped with its messages" : "dropped");
        if (d->change->is_dry_run)
            continue;
        d->core->stats.dropped += messages;
        queue_delete(d->core, queue);
    }
}

/* -- the rest: told by comparing what was given -------------------------------------------------------- */
typedef struct {
    const char *kind;
    const char *list, *name, *scope; /* members; scope: NULL where a name is unique by itself */
} section_t;

static const section_t sections[] = {
    {"bus", "Buses", "Name", NULL},
    {"archive", "Archives", "ArchiveName", NULL},
    {"rule", "Rules", "Name", "EventBusName"},
    {"schedule", "Schedules", "Name", NULL},
    {"permit bucket", "PermitBuckets", "BucketName", NULL},
};

static bool entry_matches(const section_t *s, bytes_t a, bytes_t b)
{
    bytes_t x, y;
    if (!mp_map_str(a, s->name, &x) || !mp_map_str(b, s->name, &y) || !bytes_eq(x, y))
        return false;
    return !s->scope || (mp_map_str(a, s->scope, &x) && mp_map_str(b, s->scope, &y) && bytes_eq(x, y));
}

static bool entry_in(const section_t *s, bytes_t document, bytes_t entry, bytes_t *found)
{
    bytes_t list;
    uint32_t count;
    if (!document.len || !mp_map_find(document, s->list, &list))
        return false;
    mp_reader_t r = mp_reader(list);
    if (!mp_get_array(&r, &count))
        return false;
    for (uint32_t i = 0; i < count; i++)
        if (mp_get_raw(&r, found) && entry_matches(s, *found, entry))
            return true;
    return false;
}

/* Tells what `from` has that `against` lacks or has differently. */
static void section_tell(difference_t *d, const section_t *s, bytes_t from, bytes_t against, const char *lacks,
                         const char *differs)
{
    bytes_t list, entry, other, name;
    uint32_t count;
    if (!from.len || !mp_map_find(from, s->list, &list))
        return;
    mp_reader_t r = mp_reader(list);
    if (!mp_get_array(&r, &count))
        return;
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &entry); i++) {
        if (!mp_map_str(entry, s->name, &name))
            continue;
        if (!entry_in(s, against, entry, &other))
            tell(d, s->kind, name, lacks);
        else if (differs && !bytes_eq(entry, other))
            tell(d, s->kind, name, differs);
    }
}

static void others_tell(difference_t *d, bytes_t document)
{
    bytes_t now = buf_bytes(&d->core->topology.document);
    for (size_t i = 0; i < ARRAY_LEN(sections); i++) {
        section_tell(d, &sections[i], document, now, "added", "changed");
        section_tell(d, &sections[i], now, document, "removed", NULL);
    }
}

/* -- applying ---------------------------------------------------------------------------------------- */
static void version_write(difference_t *d)
{
    d->core->record->topology = (record_topology_t){
        .version = d->core->topology.version + 1,
        .sha256 = bytes_cstr(d->change->sha256),
        .body = d->change->json,
    };
    (void)ledger_write(d->core, RECORD_TOPOLOGY);
}

static void schedules_warn(const difference_t *d)
{
    for (uint32_t i = 0; i < d->doc->schedule_count && !d->change->is_dry_run; i++)
        if (d->doc->schedules[i].is_enabled)
            effects_log(d->core->out, LOG_WARNING, "topology: schedule %.*s is kept, but this version fires none",
                        BYTES_FMT(d->doc->schedules[i].name));
}

/* The whole document must hold before anything is written. */
static bool change_check(difference_t *d, error_t *err)
{
    topology_compiled_t compiled;
    uint64_t queues = d->core->queues.used;
    for (uint32_t i = 0; i < d->doc->queue_count; i++)
        queues += queue_find(d->core, d->doc->queues[i].name) == NULL;
    if (queues > d->core->limits.queues)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException", "Topology: at most %llu queues.",
                         (unsigned long long)d->core->limits.queues);
    if (!drops_check(d, err) || !topology_compile(d->doc, &compiled, err))
        return false;
    topology_compiled_free(&compiled, d->doc);
    return true;
}

static void change_make(difference_t *d, bytes_t document)
{
    others_tell(d, document);
    queues_make(d);
    if (!d->change->is_dry_run)
        version_write(d);
    queues_drop(d);
    schedules_warn(d);
}

bool topology_change(core_t *core, const topology_change_t *change, buf_t *changes, uint32_t *count, error_t *err)
{
    const json_limits_t limits = {.max_bytes = TOPOLOGY_MAX_BYTES};
    buf_t document = {0};
    topology_doc_t doc;
    difference_t d = {core, &doc, change, changes, 0};
    *count = 0;
    if (core->topology.version && strcmp(core->topology.sha256, change->sha256) == 0)
        return true;
    if (!json_to_msgpack(change->json, &limits, &document, err) ||
        !topology_doc_read(buf_bytes(&document), &doc, err)) {
        buf_free(&document);
        return false;
    }
    bool ok = change_check(&d, err);
    if (ok)
        change_make(&d, buf_bytes(&document));
    *count = d.count;
    topology_doc_free(&doc);
    buf_free(&document);
    return ok;
}

void topology_given(core_t *core)
{
    const topology_change_t change = {
        .json = core->input->topology.json,
        .sha256 = core->input->topology.sha256,
        .force = core->input->topology.force,
    };
    buf_t changes = {0};
    uint32_t count;
    error_t err;
    if (!topology_change(core, &change, &changes, &count, &err))
        effects_log(core->out, LOG_ERROR, "the topology is refused, version %llu stays: %s",
                    (unsigned long long)core->topology.version, err.message);
    else if (count)
        effects_log(core->out, LOG_INFO, "topology version %llu applied, %u changes",
                    (unsigned long long)core->topology.version, count);
    buf_free(&changes);
}
