/* event_source_archive.c: the files of an archive as a source of events; a broker may be at work meanwhile. */
#include <stdlib.h>

#include "broker/journal/archive_folder.h"
#include "broker/journal/archive_reader.h"
#include "proto/msgpack.h"
#include "tools/mangactl/event_source.h"

typedef struct {
    folder_t folder;
    archive_list_t list;
    size_t next_file; /* in the list */
    archive_t *file;  /* being read; NULL: none */
    uint64_t seq;     /* next record of it */
    size_t nth;       /* next one that may have the id */
    bytes_t id;       /* empty: all; borrowed */
    int64_t from_us, to_us;
    record_t *record;
    uint64_t number;
} archive_source_t;

/* The next file that is still there. False at the end, or with err->code set. */
static bool open_next(archive_source_t *s, error_t *err)
{
    char name[FILE_NAME_BYTES];
    error_t why = {0};
    while (!s->file && s->next_file < s->list.count) {
        const archive_range_t *range = &s->list.files[s->next_file++];
        archive_file_name(range->from, range->through, name);
        s->file = archive_open(&s->folder, name, NULL, &why);
        if (!s->file && why.code != STATUS_NOT_FOUND) {
            *err = why;
            return false;
        }
    }
    s->nth = 0;
    if (s->file)
        s->seq = s->from_us ? archive_seq_at(s->file, s->from_us) : s->file->header.first;
    return s->file != NULL;
}

static bool find_next(archive_source_t *s, bytes_t *raw, error_t *err)
{
    return s->id.len ? archive_find(s->file, s->id, s->nth++, raw, err) : archive_seek(s->file, s->seq, raw, err);
}

/* False at the end, or with err->code set. */
static bool read_next(archive_source_t *s, error_t *err)
{
    bytes_t raw;
    while (s->file || open_next(s, err)) {
        if (!find_next(s, &raw, err) || (raw.len && !record_decode(raw, s->record, err)))
            return false;
        if (raw.len) {
            s->seq = s->record->seq + 1;
            return true;
        }
        archive_close(&s->file);
    }
    return false;
}

/* The index holds hashes of ids. */
static bool has_id(const archive_source_t *s)
{
    bytes_t id;
    return s->id.len == 0 || (mp_map_str(s->record->publish.body, "id", &id) && bytes_eq(id, s->id));
}

static bool archive_next(void *self, source_event_t *out, error_t *err)
{
    archive_source_t *s = self;
    const record_t *r = s->record;
    while (read_next(s, err)) {
        if (s->to_us && r->ingest_us >= s->to_us)
            return false; /* they lie in the order of time */
        if (r->kind != RECORD_PUBLISH || r->ingest_us < s->from_us || !has_id(s))
            continue;
        *out = (source_event_t){.number = ++s->number,
                                .record = r->seq,
                                .ingest_us = r->ingest_us,
                                .bus = r->publish.bus,
                                .replay_name = r->publish.replay_name,
                                .attrs = r->publish.attrs,
                                .body = r->publish.body};
        return true;
    }
    return false;
}

static void source_close(void *self)
{
    archive_source_t *s = self;
    archive_close(&s->file);
    archive_list_free(&s->list);
    free(s->record);
    free(s);
}

static bool source_open(archive_source_t *s, const event_archive_t *from, error_t *err)
{
    folder_t journal;
    if (!s->record)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    return folder_init(&journal, from->journal, NULL, err) &&
           archive_folder(&s->folder, &journal, bytes_cstr(from->archive), err) &&
           archive_list(&s->list, &s->folder, err) &&
           (s->list.count > 0 || error_set(err, STATUS_NOT_FOUND, NULL, "%s holds no events", s->folder.path));
}

bool event_source_archive(const event_archive_t *from, event_source_t *out, error_t *err)
{
    archive_source_t *s = calloc(1, sizeof *s);
    if (!s)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    s->record = malloc(sizeof *s->record);
    s->from_us = from->from_us;
    s->to_us = from->to_us;
    s->id = from->id;
    *out = (event_source_t){archive_next, source_close, s};
    if (source_open(s, from, err))
        return true;
    event_source_close(out);
    return false;
}
