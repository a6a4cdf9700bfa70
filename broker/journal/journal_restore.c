/* journal_restore.c: the newest snapshot at start, and the kept files that belong to it. */
#include <stdlib.h>

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

/* All kept records, each with its checksum. */
static bool walk_kept(recovered_t *out, const folder_t *folder, const recover_sink_t *sink, error_t *err)
{
    record_t *record = malloc(sizeof *record);
    bytes_t raw;
    bool good = record ? true : no_memory(err);
    for (uint64_t seq = 1; good; seq = record->seq + 1) {
        good = kepts_seek(&out->kepts, folder, seq, &raw, err);
        if (!good || !raw.len)
            break;
        good = record_decode(raw, record, err) && (!sink->apply || sink->apply(sink->ctx, record, raw, err));
        out->report.records++;
    }
    free(record);
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
