/* journal_restore.c: the newest snapshot at start, and the kept files that belong to it. */
#include <fcntl.h>
#include <stdlib.h>

#include "broker/journal/journal_kept_scan.h"
#include "broker/journal/journal_recover.h"

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to read the journal's snapshot");
}

/* What the core finds wrong is said with the file's name. */
static bool load_slice(const recover_sink_t *sink, const snapfile_reader_t *reader, bytes_t items, error_t *err)
{
    return !sink->load || sink->load(sink->ctx, items, err) ||
           error_prefix(err, "%s/%s", reader->folder->path, reader->name);
}

static bool read_items(snapfile_reader_t *reader, const recover_sink_t *sink, error_t *err)
{
    bytes_t items;
    do {
        if (!snapfile_next(reader, &items, err) || !load_slice(sink, reader, items, err))
            return false;
    } while (items.len); /* the empty one says that it was the last */
    return true;
}

static bool open_kept(recovered_t *out, const folder_t *folder, const snapfile_reader_t *reader, error_t *err)
{
    for (size_t i = 0; i < reader->kept_count; i++) {
        kept_t *kept = kept_open(folder, &reader->kept[i], NULL, err);
        if (!kept)
            return false;
        if (!kepts_add(&out->kepts, kept, folder))
            return no_memory(err);
    }
    return true;
}

typedef struct {
    recovered_t *out;
    const folder_t *folder;
    const recover_sink_t *sink;
    record_t *record;
    char name[FILE_NAME_BYTES];
} walk_t;

static bool walk_record(void *ctx, uint64_t seq, bytes_t raw, error_t *err)
{
    walk_t *w = ctx;
    (void)seq;
    w->out->report.records++;
    return record_decode(raw, w->record, err) && (!w->sink->apply || w->sink->apply(w->sink->ctx, w->record, raw, err));
}

static bool walk_hole(void *ctx, const kept_hole_t *hole, error_t *err)
{
    const walk_t *w = ctx;
    return file_damaged(w->folder, w->name, hole->at, "no whole record is there", NULL, err);
}

static bool walk_file(walk_t *w, kept_t *kept, error_t *err)
{
    const kept_sink_t sink = {.ctx = w, .record = walk_record, .hole = walk_hole};
    uint64_t found;
    kept_name(kept->ref.made, kept->ref.first, w->name);
    bool good = file_open(w->folder, w->name, O_RDONLY, &kept->fd, err) &&
                kept_scan(w->folder, kept->fd, &kept->ref, kept, &sink, &found, err);
    file_close(w->folder, &kept->fd);
    return good;
}

/* All kept records, each with its checksum. */
static bool walk_kept(recovered_t *out, const folder_t *folder, const recover_sink_t *sink, error_t *err)
{
    walk_t w = {.out = out, .folder = folder, .sink = sink, .record = malloc(sizeof *w.record)};
    bool good = w.record ? true : no_memory(err);
    for (size_t i = 0; good && i < out->kepts.count; i++)
        good = walk_file(&w, out->kepts.items[i], err);
    free(w.record);
    return good;
}

bool recover_snapshot(recovered_t *out, const folder_t *folder, const recover_sink_t *sink, error_t *err)
{
    snapfile_reader_t reader;
    if (!out->snapshots.count)
        return true;
    bool good = snapfile_open(&reader, folder, out->snapshots.items[out->snapshots.count - 1], err) &&
                read_items(&reader, sink, err) && open_kept(out, folder, &reader, err);
    out->snapshot = reader.header;
    out->report.snapshot = reader.header.newest;
    out->report.bytes += reader.header.bytes;
    snapfile_close(&reader);
    return good && (!sink->whole || walk_kept(out, folder, sink, err));
}
