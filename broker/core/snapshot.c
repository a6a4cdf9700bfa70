/* snapshot.c: walks the sections when saving, and hands each item to its loader when loading. */
#include "broker/core/snapshot.h"

#include <stdlib.h>

#include "broker/core/condemned.h"
#include "broker/core/message.h"
#include "broker/core/snapshot_parts.h"

#define LENGTH_BYTES 4

/* Little-endian, whatever the machine. */
static void length_put(uint8_t *at, size_t length)
{
    for (int i = 0; i < LENGTH_BYTES; i++)
        at[i] = (uint8_t)(length >> (8 * i));
}

static uint32_t length_get(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* -- what parts share ---------------------------------------------------------------------------------- */
void snapshot_put(snapshot_save_t *save, snapshot_kind_t kind, const void *values)
{
    static const uint8_t length[LENGTH_BYTES] = {0};
    size_t at = save->out->len;
    buf_append(save->out, length, sizeof length);
    fields_encode(save->out, snapshot_layout((uint64_t)kind), false, 0, values);
    save->items++;
    if (save->out->failed)
        return;
    length_put(save->out->data + at, save->out->len - at - LENGTH_BYTES);
}

bool snapshot_misfit(error_t *err, snapshot_kind_t kind, const char *what, uint64_t number)
{
    return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "An item %s of the snapshot cannot be: %s %llu",
                     snapshot_layout((uint64_t)kind)->name, what, (unsigned long long)number);
}

bool snapshot_time_is_good(int64_t us)
{
    return us >= 0 && us <= SNAPSHOT_TIME_MAX_US;
}

/* -- saving -------------------------------------------------------------------------------------------- */
/* In this order: what an item speaks of comes before it. */
static const snapshot_save_fn sections[] = {
    snapshot_save_core,      snapshot_save_names,   snapshot_save_queues,    snapshot_save_topology,
    snapshot_save_targets,   snapshot_save_buses,   snapshot_save_producers, snapshot_save_sessions,
    snapshot_save_in_flight, snapshot_save_delayed, snapshot_save_late,      snapshot_save_visible,
    snapshot_save_deleted,   snapshot_save_tasks,   snapshot_save_buckets,   snapshot_save_schedules,
    snapshot_save_replays,
};

snapshot_save_t *snapshot_save_new(const core_t *core, error_t *err)
{
    snapshot_save_t *save = calloc(1, sizeof *save);
    if (!save) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for a snapshot.");
        return NULL;
    }
    save->core = core;
    return save;
}

void snapshot_save_free(snapshot_save_t **save)
{
    free(*save);
    *save = NULL;
}

static void save_step(snapshot_save_t *save)
{
    if (save->section == ARRAY_LEN(sections)) {
        snapshot_put(save, SNAPSHOT_END, &(snapshot_end_t){.items = save->items});
        save->is_done = true;
        return;
    }
    save->at = sections[save->section](save, save->at);
    if (save->at != SNAPSHOT_NO_MORE)
        return;
    save->section++;
    save->at = 0;
}

bool snapshot_save_next(snapshot_save_t *save, buf_t *out, size_t max_bytes)
{
    size_t begin = out->len;
    save->out = out;
    while (!save->is_done && !out->failed && out->len - begin < max_bytes)
        save_step(save);
    return !save->is_done;
}

/* -- loading ------------------------------------------------------------------------------------------- */
snapshot_load_t *snapshot_load_new(core_t *core, error_t *err)
{
    snapshot_load_t *load = calloc(1, sizeof *load);
    if (!load) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for a snapshot.");
        return NULL;
    }
    load->core = core;
    return load;
}

void snapshot_load_free(snapshot_load_t **load)
{
    free(*load);
    *load = NULL;
}

static bool load_dispatch(snapshot_load_t *load, uint64_t kind, error_t *err)
{
    const snapshot_item_t *item = &load->item;
    switch ((snapshot_kind_t)kind) {
    case SNAPSHOT_CORE:
        return snapshot_load_core(load, &item->core, err);
    case SNAPSHOT_NAME:
        return snapshot_load_name(load, &item->name, err);
    case SNAPSHOT_QUEUE:
        return snapshot_load_queue(load, &item->queue, err);
    case SNAPSHOT_KEY:
        return snapshot_load_key(load, &item->key, err);
    case SNAPSHOT_TOPOLOGY:
        return snapshot_load_topology(load, &item->topology, err);
    case SNAPSHOT_TARGET:
        return snapshot_load_target(load, &item->target, err);
    case SNAPSHOT_BUS:
        return snapshot_load_bus(load, &item->bus, err);
    case SNAPSHOT_PRODUCER:
        return snapshot_load_producer(load, &item->producer, err);
    case SNAPSHOT_ANSWER:
        return snapshot_load_answer(load, &item->answer, err);
    case SNAPSHOT_SESSION:
        return snapshot_load_session(load, &item->session, err);
    case SNAPSHOT_MESSAGE:
        return snapshot_load_message(load, &item->message, err);
    case SNAPSHOT_MOVED:
        return snapshot_load_moved(load, &item->moved, err);
    case SNAPSHOT_DELETED:
        return snapshot_load_deleted(load, &item->deleted, err);
    case SNAPSHOT_MOVE_TASK:
        return snapshot_load_task(load, &item->move_task, err);
    case SNAPSHOT_BUCKET:
        return snapshot_load_bucket(load, &item->bucket, err);
    case SNAPSHOT_SCHEDULE:
        return snapshot_load_schedule(load, &item->schedule, err);
    case SNAPSHOT_REPLAY:
        return snapshot_load_replay(load, &item->replay, err);
    case SNAPSHOT_REPLAY_COUNT:
        return snapshot_load_replay_count(load, &item->replay_count, err);
    case SNAPSHOT_END:
        return snapshot_load_end_item(load, &item->end, err);
    }
    return snapshot_misfit(err, SNAPSHOT_END, "kind", kind);
}

static bool load_item(snapshot_load_t *load, bytes_t bytes, error_t *err)
{
    uint64_t kind;
    if (!fields_peek(bytes, false, &kind, NULL, err))
        return false;
    const fields_layout_t *layout = snapshot_layout(kind);
    if (!layout)
        return error_set(
            err, STATUS_FAILED_PRECONDITION, "JOURNAL_TOO_NEW",
            "The snapshot holds an item of kind %llu, which this version does not know: start a newer one.",
            (unsigned long long)kind);
    if (load->has_ended || load->has_begun == (kind == SNAPSHOT_CORE))
        return snapshot_misfit(err, (snapshot_kind_t)kind, "it stands at place", load->items);
    load->has_begun = true;
    if (!fields_decode(bytes, layout, false, &load->item, err) || !load_dispatch(load, kind, err))
        return false;
    load->items++;
    return true;
}

/* The codec speaks of requests; here the same means damage. */
static bool as_damage(error_t *err)
{
    if (err && err->code == STATUS_INVALID_ARGUMENT) {
        err->code = STATUS_DATA_LOSS;
        return error_prefix(err, "An item of the snapshot");
    }
    return false;
}

bool snapshot_load_slice(snapshot_load_t *load, bytes_t slice, error_t *err)
{
    while (slice.len) {
        uint32_t length = slice.len >= LENGTH_BYTES ? length_get(slice.data) : 0;
        if (slice.len < LENGTH_BYTES || length > slice.len - LENGTH_BYTES || length > SNAPSHOT_ITEM_MAX_BYTES)
            return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT",
                             "An item of the snapshot has %u bytes, and %zu are left.", length, slice.len);
        if (!load_item(load, bytes_from(slice.data + LENGTH_BYTES, length), err))
            return as_damage(err);
        slice = bytes_from(slice.data + LENGTH_BYTES + length, slice.len - LENGTH_BYTES - length);
    }
    return true;
}

bool snapshot_load_end_item(snapshot_load_t *load, const snapshot_end_t *item, error_t *err)
{
    if (item->items != load->items)
        return snapshot_misfit(err, SNAPSHOT_END, "items should be there:", item->items);
    load->has_ended = true;
    return true;
}

bool snapshot_load_end(const snapshot_load_t *load, error_t *err)
{
    return load->has_ended ||
           error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT", "The snapshot ends before its last item.");
}

/* -- what the journal may let go ------------------------------------------------------------------------ */
uint64_t core_newest_record(const core_t *core)
{
    return core->next_seq - 1;
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static size_t keep_once(uint64_t *records, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++)
        if (kept == 0 || records[kept - 1] != records[i])
            records[kept++] = records[i];
    return kept;
}

bool core_needed_records(const core_t *core, uint64_t last, uint64_t **records, size_t *count, error_t *err)
{
    size_t found = 0;
    bool in_order = true;
    uint64_t *all = malloc(((size_t)core->messages.all.used + 1) * sizeof *all);
    if (!all)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for the list of needed records.");
    for (uint32_t id = 1; id <= core->messages.all.made; id++) {
        const message_t *m = message_at(core, id);
        if (m->state == MESSAGE_FREE || condemned_has(core, m))
            continue;
        uint64_t origin = message_origin(core, m, NULL);
        if (origin > last)
            continue;
        in_order = in_order && (found == 0 || all[found - 1] <= origin);
        all[found++] = origin;
    }
    if (!in_order)
        qsort(all, found, sizeof *all, by_number);
    *count = keep_once(all, found);
    *records = all;
    return true;
}
