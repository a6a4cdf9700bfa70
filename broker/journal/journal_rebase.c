/* journal_rebase.c: setting snapshots aside, and writing kept files and their snapshot anew. */
#include "broker/journal/journal_rebase.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/journal/journal_attic.h"
#include "broker/journal/journal_kept_note.h"
#include "broker/journal/journal_kept_scan.h"

#define NOTE_TEXT_BYTES 96

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to repair the journal");
}

/* -- what does not hold ------------------------------------------------------------------------------ */
static bool is_named(const base_t *base, uint64_t made, uint64_t first)
{
    for (size_t i = 0; i < base->count; i++)
        if (base->files[i].ref.made == made && base->files[i].ref.first == first)
            return true;
    return false;
}

/* Kept files of a snapshot that is damaged or missing would be cleared away by the next start: they are set aside too.
 */
static bool set_aside(const folder_t *folder, const char *attic, const base_t *base, const listing_t *listing,
                      error_t *err)
{
    char name[FILE_NAME_BYTES];
    const numbers_t *kept = &listing->kept_files;
    for (size_t i = 0; i < kept->count; i += 2) {
        kept_name(kept->items[i], kept->items[i + 1], name);
        if (!is_named(base, kept->items[i], kept->items[i + 1]) && !attic_move(folder, attic, name, err))
            return false;
    }
    for (size_t i = 0; i < base->damaged_count; i++) {
        snapshot_name(base->damaged[i].number, name);
        if (!attic_move(folder, attic, name, err))
            return false;
    }
    return true;
}

/* -- one kept file ----------------------------------------------------------------------------------- */
typedef struct {
    kept_writer_t *writer;
    const char *name; /* of the damaged one */
    int64_t ingest_us;
    uint64_t holes;
} mend_t;

static bool mend_record(void *ctx, uint64_t seq, bytes_t raw, error_t *err)
{
    mend_t *m = ctx;
    uint32_t length;
    uint64_t same;
    return record_peek(raw, &length, &same, &m->ingest_us) && (!m->writer || kept_add(m->writer, seq, raw, err));
}

static bool mend_hole(void *ctx, const kept_hole_t *hole, error_t *err)
{
    mend_t *m = ctx;
    buf_t note = {0};
    char text[NOTE_TEXT_BYTES];
    m->holes++;
    if (!m->writer || hole->first_seq == hole->next_seq)
        return true;
    (void)snprintf(text, sizeof text, "%s at offset %" PRIu64, m->name, hole->at);
    kept_note_encode(&note, hole->first_seq, hole->next_seq - 1, m->ingest_us, text);
    bool good = note.failed ? no_memory(err) : kept_add(m->writer, hole->first_seq, buf_bytes(&note), err);
    buf_free(&note);
    return good;
}

/* With `writer` NULL it only looks; *whole is told then. */
static bool mend(const folder_t *folder, const base_file_t *file, kept_writer_t *writer, bool *whole, error_t *err)
{
    mend_t m = {.writer = writer, .name = file->name};
    const kept_sink_t sink = {.ctx = &m, .record = mend_record, .hole = mend_hole};
    uint64_t found;
    bool good = kept_scan(folder, file->fd, &file->ref, file->kept, &sink, &found, err);
    *whole = file->kept && m.holes == 0;
    return good;
}

static bool mend_file(const folder_t *folder, const base_file_t *file, uint64_t number, kept_ref_t *ref, error_t *err)
{
    kept_writer_t writer;
    bool whole;
    bool good = kept_begin(&writer, folder, number, err) && mend(folder, file, &writer, &whole, err);
    if (good)
        return kept_end(&writer, ref, err);
    kept_abandon(&writer);
    return false;
}

/* -- all of them, and the snapshot that names them ---------------------------------------------------- */
static bool copy_items(const folder_t *folder, snapfile_reader_t *reader, uint64_t number, snapfile_writer_t *writer,
                       error_t *err)
{
    bytes_t items;
    if (!snapfile_open(reader, folder, number, err))
        return false;
    snapfile_header_t header = reader->header;
    header.number = writer->header.number;
    if (!snapfile_begin(writer, folder, &header, err))
        return false;
    do
        if (!snapfile_next(reader, &items, err) || (items.len && !snapfile_add(writer, items, err)))
            return false;
    while (items.len);
    return true;
}

static bool copy_snapshot(const folder_t *folder, const base_t *base, uint64_t number, const kept_ref_t *refs,
                          error_t *err)
{
    snapfile_reader_t reader;
    snapfile_writer_t writer = {.fd = -1, .header = {.number = number}};
    bool good = copy_items(folder, &reader, base->snapshot.number, &writer, err) &&
                snapfile_end(&writer, refs, base->count, base->snapshot.ingest_us, err) &&
                snapfile_publish(&writer, err);
    snapfile_abandon(&writer);
    snapfile_close(&reader);
    return good;
}

/* Only when the new ones are in effect the names of the old ones go. */
static bool mend_all(const folder_t *folder, const char *attic, const base_t *base, uint64_t number, kept_ref_t *refs,
                     error_t *err)
{
    bool any = false, whole;
    char name[FILE_NAME_BYTES];
    for (size_t i = 0; i < base->count; i++) {
        const base_file_t *file = &base->files[i];
        refs[i] = file->ref;
        if (!mend(folder, file, NULL, &whole, err))
            return false;
        if (!whole && (!attic_keep(folder, attic, file->name, err) || !mend_file(folder, file, number, &refs[i], err)))
            return false;
        any |= !whole;
    }
    if (!any)
        return true;
    if (!copy_snapshot(folder, base, number, refs, err))
        return false;
    for (size_t i = 0; i < base->count; i++)
        if (refs[i].made == number && !file_remove(folder, base->files[i].name, err))
            return false;
    snapshot_name(base->snapshot.number, name);
    return attic_move(folder, attic, name, err);
}

bool rebase(const folder_t *folder, const char *attic, error_t *err)
{
    listing_t listing;
    base_t base = {0};
    bool good = listing_read(&listing, folder, err) && base_find(&base, folder, &listing.snapshots, err) &&
                set_aside(folder, attic, &base, &listing, err);
    kept_ref_t *refs = good ? calloc(base.count + 1, sizeof *refs) : NULL;
    good = good && (refs || no_memory(err)) &&
           mend_all(folder, attic, &base, listing_newest_snapshot(&listing) + 1, refs, err);
    free(refs);
    base_free(&base, folder);
    listing_free(&listing);
    return good;
}

bool rebase_remains(const folder_t *folder, const char *attic, uint64_t first, error_t *err)
{
    listing_t listing;
    char name[FILE_NAME_BYTES];
    bool good = listing_read(&listing, folder, err);
    for (size_t i = 0; good && i < listing.segments.count && listing.segments.items[i] < first; i++) {
        segment_name(listing.segments.items[i], name);
        good = attic_move(folder, attic, name, err);
    }
    listing_free(&listing);
    return good;
}
