/* distil.c: one writer for each archive, from the record on where its newest file ends. */
#include "broker/distil.h"

#include <stdlib.h>

#include "broker/core/archive_def.h"
#include "broker/journal/archive_reader.h"
#include "broker/journal/archive_writer.h"
#include "proto/msgpack.h"

#define PARTS_OF_RETENTION 4 /* of RetentionBytes: a file that goes is no large part of the archive */

typedef struct {
    char name[ARCHIVE_NAME_MAX_BYTES + 1];
    buf_t bus;
    pattern_t *pattern;
    bool is_wanted; /* by the topology in effect */
    bool is_ready;  /* its folder was looked at */
    folder_t folder;
    uint64_t through; /* records up to here are in its files */
    uint64_t grows;   /* first record of the newest file, when that is to be continued; 0: none */
    uint64_t file_bytes;
    archive_writer_t writer;
} sink_t;

struct distil {
    const folder_t *journal;
    uint64_t file_bytes, through;
    uint64_t from; /* first record that it was shown */
    uint64_t version;
    sink_t **sinks;
    size_t count, cap;
    size_t ended; /* of them, by distil_end */
    record_publish_t *slim;
    buf_t raw;
    distil_stats_t stats;
};

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to archive");
}

distil_t *distil_new(const folder_t *journal, uint64_t file_bytes, uint64_t through)
{
    distil_t *d = calloc(1, sizeof *d);
    record_publish_t *slim = malloc(sizeof *slim);
    if (!d || !slim) {
        free(d);
        free(slim);
        return NULL;
    }
    d->journal = journal;
    d->file_bytes = file_bytes ? file_bytes : DISTIL_FILE_BYTES;
    d->through = through;
    d->slim = slim;
    return d;
}

static void sink_free(sink_t *s)
{
    archive_abandon(&s->writer);
    pattern_free(&s->pattern);
    buf_free(&s->bus);
    free(s);
}

void distil_free(distil_t **distil)
{
    distil_t *d = *distil;
    *distil = NULL;
    if (!d)
        return;
    for (size_t i = 0; i < d->count; i++)
        sink_free(d->sinks[i]);
    free(d->sinks);
    free(d->slim);
    buf_free(&d->raw);
    free(d);
}

void distil_stats(const distil_t *d, distil_stats_t *out)
{
    *out = d->stats;
}

/* -- the archives that are asked for --------------------------------------------------------------- */
static sink_t *sink_find(const distil_t *d, bytes_t name)
{
    for (size_t i = 0; i < d->count; i++)
        if (bytes_eq_cstr(name, d->sinks[i]->name))
            return d->sinks[i];
    return NULL;
}

static sink_t *sink_make(distil_t *d, bytes_t name, error_t *err)
{
    if (d->count == d->cap) {
        size_t cap = d->cap ? d->cap * 2 : 8;
        sink_t **sinks = realloc(d->sinks, cap * sizeof(sink_t *));
        if (!sinks) {
            (void)no_memory(err);
            return NULL;
        }
        d->sinks = sinks;
        d->cap = cap;
    }
    sink_t *s = calloc(1, sizeof *s);
    if (!s) {
        (void)no_memory(err);
        return NULL;
    }
    (void)bytes_to_cstr(name, s->name, sizeof s->name);
    s->writer.fd = -1;
    d->sinks[d->count++] = s;
    return archive_folder(&s->folder, d->journal, name, err) ? s : NULL;
}

static void retention_of(const archive_def_t *def, int64_t now_us, archive_retention_t *out)
{
    *out = (archive_retention_t){.cutoff_us = def->retention_us ? now_us - def->retention_us : INT64_MIN,
                                 .max_bytes = def->retention_bytes};
}

static bool sink_set(distil_t *d, const archive_def_t *def, error_t *err)
{
    sink_t *s = sink_find(d, def->name);
    if (!s && !(s = sink_make(d, def->name, err)))
        return false;
    pattern_free(&s->pattern);
    if (!archive_def_pattern(def, &s->pattern, err))
        return false;
    buf_clear(&s->bus);
    buf_append_bytes(&s->bus, def->bus);
    uint64_t most = def->retention_bytes / PARTS_OF_RETENTION;
    s->file_bytes = most < d->file_bytes ? most : d->file_bytes;
    s->is_wanted = true;
    return !s->bus.failed || no_memory(err);
}

static bool take_topology(distil_t *d, const core_t *core, error_t *err)
{
    archive_def_t def;
    for (size_t i = 0; i < d->count; i++)
        d->sinks[i]->is_wanted = false;
    for (uint32_t i = 0; archive_def_at(core, i, &def); i++)
        if (!sink_set(d, &def, err))
            return false;
    d->version = archive_def_version(core);
    return true;
}

/* -- one archive ----------------------------------------------------------------------------------- */
static bool take_list(sink_t *s, const archive_list_t *list, error_t *err)
{
    char name[FILE_NAME_BYTES];
    archive_header_t header;
    error_t why;
    if (!archive_tidy(list, &s->folder, err))
        return false;
    if (!list->count)
        return true;
    const archive_range_t *newest = &list->files[list->count - 1];
    s->through = newest->through;
    archive_file_name(newest->from, newest->through, name);
    if (archive_peek(&s->folder, name, &header, &why) && header.bytes < s->file_bytes / DISTIL_GROW_PARTS)
        s->grows = newest->from;
    return true;
}

static bool sink_ready(sink_t *s, error_t *err)
{
    archive_list_t list = {0};
    if (s->is_ready)
        return true;
    s->is_ready = archive_list(&list, &s->folder, err) && take_list(s, &list, err);
    archive_list_free(&list);
    return s->is_ready;
}

static bytes_t event_id(bytes_t envelope)
{
    bytes_t id;
    return mp_map_str(envelope, "id", &id) ? id : BYTES_NONE;
}

/* All records of the newest file, which is small, into the one that takes its place. */
static bool copy_records(sink_t *s, archive_t *from, record_t *record, error_t *err)
{
    bytes_t raw;
    for (uint64_t seq = from->header.first; archive_seek(from, seq, &raw, err); seq = record->seq + 1) {
        if (!raw.len)
            return true;
        if (!record_decode(raw, record, err))
            return false;
        if (!archive_add(&s->writer, raw, event_id(record->publish.body), err))
            return false;
    }
    return false;
}

static bool begin_from(distil_t *d, sink_t *s, error_t *err)
{
    uint64_t from = s->through + 1 > d->from ? s->through + 1 : d->from;
    return archive_begin(&s->writer, &s->folder, from, err);
}

/* A newest file that does not hold stays as it is, and another one is begun. */
static bool begin_growing(distil_t *d, sink_t *s, error_t *err)
{
    char name[FILE_NAME_BYTES];
    archive_file_name(s->grows, s->through, name);
    record_t *record = malloc(sizeof *record);
    archive_t *from = record ? archive_open(&s->folder, name, NULL, err) : NULL;
    bool good = record
                    ? from && archive_begin(&s->writer, &s->folder, s->grows, err) && copy_records(s, from, record, err)
                    : no_memory(err);
    archive_close(&from);
    free(record);
    if (good || err->code != STATUS_DATA_LOSS)
        return good;
    archive_abandon(&s->writer);
    d->stats.unreadable++;
    return begin_from(d, s, err);
}

static bool sink_begin(distil_t *d, sink_t *s, error_t *err)
{
    if (archive_is_writing(&s->writer))
        return true;
    if (!archive_folder_make(d->journal, &s->folder, err))
        return false;
    return s->grows ? begin_growing(d, s, err) : begin_from(d, s, err);
}

static bool sink_end(distil_t *d, sink_t *s, uint64_t through, error_t *err)
{
    if (!archive_is_writing(&s->writer))
        return true;
    d->stats.files++;
    d->stats.bytes += archive_written(&s->writer);
    s->through = through;
    s->grows = 0;
    return archive_end(&s->writer, through, err);
}

/* The record as it was, without its routes: where it went is the log's business. */
static bool encode(distil_t *d, const record_t *record, error_t *err)
{
    const record_publish_t *from = &record->publish;
    record_publish_t *slim = d->slim;
    slim->bus = from->bus;
    slim->producer = from->producer;
    slim->producer_seq = from->producer_seq;
    slim->dedup = from->dedup;
    slim->replay_name = from->replay_name;
    slim->to = from->to;
    slim->topology = from->topology;
    slim->attrs = from->attrs;
    slim->passed = from->passed;
    slim->replay_of = 0;
    slim->routes.count = 0;
    slim->body = from->body;
    buf_clear(&d->raw);
    record_encode(&d->raw, record->seq, record->ingest_us, RECORD_PUBLISH, slim);
    return !d->raw.failed || no_memory(err);
}

static bool sink_take(distil_t *d, sink_t *s, const record_t *record, error_t *err)
{
    const archive_def_t def = {.bus = buf_bytes(&s->bus)};
    if (!s->is_wanted || !archive_def_takes(&def, s->pattern, &record->publish))
        return true;
    if (!sink_ready(s, err))
        return false;
    if (record->seq <= s->through)
        return true; /* taken before a crash */
    if (!sink_begin(d, s, err) || !encode(d, record, err) ||
        !archive_add(&s->writer, buf_bytes(&d->raw), event_id(record->publish.body), err))
        return false;
    d->stats.events++;
    return archive_written(&s->writer) < s->file_bytes || sink_end(d, s, record->seq, err);
}

bool distil_record(distil_t *d, const core_t *core, const record_t *record, error_t *err)
{
    d->from = d->from ? d->from : record->seq;
    if (d->version != archive_def_version(core) && !take_topology(d, core, err))
        return false;
    if (record->kind != RECORD_PUBLISH)
        return true;
    for (size_t i = 0; i < d->count; i++)
        if (!sink_take(d, d->sinks[i], record, err))
            return false;
    return true;
}

/* -- the end --------------------------------------------------------------------------------------- */
/* Lists anew: what was written counts, and what it took the place of goes. */
static bool tidy_and_expire(const folder_t *folder, const archive_retention_t *retention, uint64_t *removed,
                            error_t *err)
{
    archive_list_t list = {0};
    bool good = archive_list(&list, folder, err) && archive_tidy(&list, folder, err) &&
                archive_expire(&list, folder, retention, removed, err);
    archive_list_free(&list);
    return good;
}

static bool find_def(const core_t *core, const char *name, archive_def_t *def)
{
    for (uint32_t i = 0; archive_def_at(core, i, def); i++)
        if (bytes_eq_cstr(def->name, name))
            return true;
    return false;
}

bool distil_end(distil_t *d, const core_t *core, int64_t now_us, bool *done, error_t *err)
{
    archive_def_t def;
    archive_retention_t retention = {.cutoff_us = INT64_MIN, .max_bytes = UINT64_MAX};
    uint64_t removed = 0;
    if (d->version != archive_def_version(core) && !take_topology(d, core, err))
        return false;
    *done = d->ended >= d->count;
    if (*done)
        return true;
    sink_t *s = d->sinks[d->ended++];
    if (find_def(core, s->name, &def))
        retention_of(&def, now_us, &retention);
    if (!sink_end(d, s, d->through, err) || !tidy_and_expire(&s->folder, &retention, &removed, err))
        return false;
    d->stats.removed += removed;
    *done = d->ended >= d->count;
    return true;
}

bool distil_abandon(distil_t *d, error_t *err)
{
    for (size_t i = 0; i < d->count; i++) {
        sink_t *s = d->sinks[i];
        if (!archive_is_writing(&s->writer))
            continue;
        archive_abandon(&s->writer);
        if (!file_remove(&s->folder, ARCHIVE_FILLING_NAME, err))
            return false;
    }
    return true;
}

bool distil_expire(const folder_t *journal, const core_t *core, int64_t now_us, uint64_t *removed, error_t *err)
{
    archive_def_t def;
    *removed = 0;
    for (uint32_t i = 0; archive_def_at(core, i, &def); i++) {
        archive_retention_t retention;
        uint64_t some = 0;
        folder_t folder;
        retention_of(&def, now_us, &retention);
        if (!archive_folder(&folder, journal, def.name, err) || !tidy_and_expire(&folder, &retention, &some, err))
            return false;
        *removed += some;
    }
    return true;
}
