/* journal_checkpoint.c: the order of a checkpoint's steps, and what the owner's part of them does. */
#include "broker/journal/journal_checkpoint.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/journal/journal_compact.h"
#include "broker/journal/journal_state.h"

struct journal_checkpoint {
    folder_t folder;
    spares_t *spares;           /* the journal's */
    snapfile_header_t before;   /* of the snapshot before; zeros for none */
    snapfile_header_t header;   /* of the one to come */
    sealed_segment_t *segments; /* that are there and sealed, oldest first */
    size_t count;
    size_t release_count; /* of them, the oldest: go */
    kept_ref_t *old;      /* kept files of the snapshot before */
    size_t old_count;

    snapfile_reader_t reader;
    bool is_loading;
    sealed_t sealed;
    size_t fold_at; /* segment */
    bool is_folding;
    uint64_t fold_seq; /* next record */
    int64_t ingest_us;
    record_t *record;
    uint64_t *needed;
    compact_t compact;
    snapfile_writer_t writer;
    bool is_writing;
    kepts_t adopted; /* from publish on */
    size_t release_at;
    journal_checkpoint_stats_t stats;
};

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for a checkpoint");
}

/* -- beginning ------------------------------------------------------------------------------------ */

static size_t sealed_count(const journal_t *journal)
{
    size_t count = 0;
    while (journal_is_past(journal, count))
        count++;
    return count;
}

/* How many of the oldest may go: what is retained is a run of the newest. */
static size_t releasable(const journal_t *journal, size_t sealed, const journal_retain_t *retain)
{
    const segments_t *all = &journal->segments;
    uint64_t bytes = 0;
    size_t stay = 0;
    while (stay < sealed && bytes < retain->bytes)
        bytes += all->items[sealed - 1 - stay++]->header.bytes;
    size_t go = 0;
    while (go < sealed - stay && all->items[go]->last_ingest_us < retain->since_us &&
           all->items[go + 1]->header.first_seq <= retain->from_seq)
        go++;
    return go;
}

static bool take_lists(journal_checkpoint_t *c, const journal_t *journal, size_t sealed, error_t *err)
{
    const segments_t *all = &journal->segments;
    c->segments = calloc(sealed, sizeof *c->segments);
    c->old = calloc(journal->kepts.count + 1, sizeof *c->old);
    c->record = malloc(sizeof *c->record);
    if (!c->segments || !c->old || !c->record)
        return no_memory(err);
    for (size_t i = 0; i < sealed; i++)
        c->segments[i] = (sealed_segment_t){all->items[i]->header, all->items[i + 1]->header.first_seq - 1};
    c->count = sealed;
    for (size_t i = 0; i < journal->kepts.count; i++)
        c->old[c->old_count++] = journal->kepts.items[i]->ref;
    return true;
}

journal_checkpoint_t *journal_checkpoint_begin(journal_t *journal, const journal_retain_t *retain, error_t *err)
{
    size_t sealed = sealed_count(journal);
    const segments_t *all = &journal->segments;
    if (err)
        *err = (error_t){0};
    size_t release = sealed ? releasable(journal, sealed, retain) : 0;
    if (!release && (!sealed || all->items[sealed]->header.first_seq - 1 <= journal->snapshot.newest))
        return NULL;
    journal_checkpoint_t *c = calloc(1, sizeof *c);
    if (!c || !take_lists(c, journal, sealed, err)) {
        (void)no_memory(err);
        journal_checkpoint_free(&c);
        return NULL;
    }
    c->folder = journal->folder;
    c->compact.folder = &c->folder;
    c->spares = &journal->spares;
    c->before = journal->snapshot;
    c->release_count = release;
    c->ingest_us = c->before.ingest_us;
    c->header = (snapfile_header_t){.number = c->before.number + 1,
                                    .newest = all->items[sealed]->header.first_seq - 1,
                                    .released = all->items[c->release_count]->header.first_seq - 1,
                                    .next_batch = all->items[sealed]->header.first_batch};
    c->fold_seq = c->before.newest + 1;
    c->stats.newest = c->header.newest;
    return c;
}

/* -- what was ------------------------------------------------------------------------------------- */

bool journal_checkpoint_load(journal_checkpoint_t *c, journal_load_fn load, void *ctx, size_t max_bytes, bool *done,
                             error_t *err)
{
    bytes_t items = BYTES_NONE;
    *done = c->before.number == 0;
    if (!*done && !c->is_loading) {
        c->is_loading = true; /* to be closed also when it does not open */
        if (!snapfile_open(&c->reader, &c->folder, c->before.number, err))
            return false;
    }
    for (size_t bytes = 0; !*done && bytes < max_bytes; bytes += items.len) {
        if (!snapfile_next(&c->reader, &items, err) || !load(ctx, items, err))
            return false;
        *done = items.len == 0;
    }
    return true;
}

/* The next record of the segments behind the snapshot; an empty slice when there is none. */
static bool next_record(journal_checkpoint_t *c, bytes_t *raw, error_t *err)
{
    uint64_t offset;
    *raw = BYTES_NONE;
    while (!raw->len && c->fold_at < c->count) {
        if (c->segments[c->fold_at].last_seq <= c->before.newest) {
            c->fold_at++;
            continue;
        }
        if (!c->is_folding) {
            c->is_folding = true;
            if (!sealed_open(&c->sealed, &c->folder, &c->segments[c->fold_at], err))
                return false;
        }
        if (!sealed_next(&c->sealed, raw, &offset, err))
            return false;
        if (!raw->len) {
            sealed_close(&c->sealed);
            c->is_folding = false;
            c->fold_at++;
        }
    }
    return true;
}

bool journal_checkpoint_fold(journal_checkpoint_t *c, journal_apply_fn apply, void *ctx, size_t max_bytes, bool *done,
                             error_t *err)
{
    bytes_t raw = BYTES_NONE;
    *done = false;
    for (size_t bytes = 0; bytes < max_bytes; bytes += raw.len) {
        if (!next_record(c, &raw, err))
            return false;
        *done = !raw.len;
        if (*done)
            break;
        if (!record_decode(raw, c->record, err))
            return false;
        c->ingest_us = c->record->ingest_us;
        if (c->record->seq <= c->before.newest)
            continue;
        if (c->record->seq != c->fold_seq)
            return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT",
                             "%s: record %" PRIu64 " is where %" PRIu64 " should be", c->folder.path, c->record->seq,
                             c->fold_seq);
        c->fold_seq++;
        c->stats.folded++;
        if (!apply(ctx, c->record, raw, err))
            return false;
    }
    return true;
}

/* -- what is needed ------------------------------------------------------------------------------- */

const folder_t *journal_folder(const journal_t *journal)
{
    return &journal->folder;
}

const folder_t *journal_checkpoint_folder(const journal_checkpoint_t *c)
{
    return &c->folder;
}

uint64_t journal_checkpoint_newest(const journal_checkpoint_t *c)
{
    return c->header.newest;
}

uint64_t journal_checkpoint_released(const journal_checkpoint_t *c)
{
    return c->header.released;
}

bool journal_checkpoint_need(journal_checkpoint_t *c, uint64_t *records, size_t count, error_t *err)
{
    compact_t *compact = &c->compact;
    c->needed = records;
    *compact = (compact_t){.folder = &c->folder,
                           .made = c->header.number,
                           .segments = c->segments,
                           .segment_count = c->release_count,
                           .needed = records,
                           .needed_count = count};
    for (size_t i = 0; i < c->old_count; i++) {
        kept_t *kept = kept_open(&c->folder, &c->old[i], NULL, err);
        if (!kept)
            return false;
        if (!kepts_add(&compact->sources, kept, &c->folder))
            return no_memory(err);
    }
    return compact_plan(compact, err);
}

bool journal_checkpoint_copy(journal_checkpoint_t *c, size_t max_bytes, bool *done, error_t *err)
{
    return compact_step(&c->compact, max_bytes, done, err);
}

/* -- what comes of it ----------------------------------------------------------------------------- */

bool journal_checkpoint_write(journal_checkpoint_t *c, bytes_t items, error_t *err)
{
    if (!c->is_writing && !snapfile_begin(&c->writer, &c->folder, &c->header, err))
        return false;
    c->is_writing = true;
    return snapfile_add(&c->writer, items, err);
}

static bool open_result(journal_checkpoint_t *c, error_t *err)
{
    for (size_t i = 0; i < c->compact.result_count; i++) {
        kept_t *kept = kept_open(&c->folder, &c->compact.result[i], NULL, err);
        if (!kept)
            return false;
        if (!kepts_add(&c->adopted, kept, &c->folder))
            return no_memory(err);
        c->stats.kept_bytes += kept->ref.bytes;
    }
    return true;
}

bool journal_checkpoint_publish(journal_checkpoint_t *c, error_t *err)
{
    if (!open_result(c, err) ||
        !snapfile_end(&c->writer, c->compact.result, c->compact.result_count, c->ingest_us, err))
        return false;
    c->header = c->writer.header;
    c->stats.snapshot_bytes = c->header.bytes;
    return snapfile_publish(&c->writer, err);
}

/* -- from now on ---------------------------------------------------------------------------------- */

bool journal_checkpoint_adopt(journal_t *journal, journal_checkpoint_t *c, error_t *err)
{
    if (!journal_works(journal, err))
        return false;
    kepts_free(&journal->kepts, &journal->folder);
    journal->kepts = c->adopted;
    c->adopted = (kepts_t){0};
    journal->snapshot = c->header;
    journal_close_past(journal);
    for (size_t i = 0; i < c->release_count; i++)
        segments_drop_first(&journal->segments, &journal->folder);
    journal->window_of = 0;
    return true;
}

static bool is_in_result(const journal_checkpoint_t *c, const kept_ref_t *ref)
{
    for (size_t i = 0; i < c->compact.result_count; i++)
        if (c->compact.result[i].made == ref->made && c->compact.result[i].first == ref->first)
            return true;
    return false;
}

/* Segments oldest first, each durably; then files that no snapshot names, and the snapshot before. */
bool journal_checkpoint_release(journal_checkpoint_t *c, bool *done, error_t *err)
{
    char name[FILE_NAME_BYTES];
    size_t at = c->release_at++;
    *done = false;
    if (at < c->release_count) {
        c->stats.released++;
        return spares_recycle(c->spares, &c->segments[at].header, err);
    }
    at -= c->release_count;
    if (at < c->old_count) {
        kept_name(c->old[at].made, c->old[at].first, name);
        return is_in_result(c, &c->old[at]) || file_remove(&c->folder, name, err);
    }
    *done = true;
    snapshot_name(c->before.number, name);
    return (!c->before.number || file_remove(&c->folder, name, err)) && folder_sync(&c->folder, err);
}

bool journal_checkpoint_may_go_on(const error_t *why)
{
    return why->code == STATUS_RESOURCE_EXHAUSTED;
}

void journal_checkpoint_broke(journal_t *journal, const error_t *why)
{
    (void)journal_fail(journal, why, NULL);
}

bool journal_checkpoint_abandon(journal_checkpoint_t *c, error_t *err)
{
    snapfile_abandon(&c->writer);
    return compact_abandon(&c->compact, err) && file_remove(&c->folder, SNAPSHOT_FILLING_NAME, err);
}

void journal_checkpoint_stats(const journal_checkpoint_t *c, journal_checkpoint_stats_t *out)
{
    *out = c->stats;
    out->copied = c->compact.copied;
    out->copied_bytes = c->compact.copied_bytes;
    out->needed = c->compact.needed_count;
    out->needed_bytes = c->compact.needed_bytes;
}

void journal_checkpoint_free(journal_checkpoint_t **checkpoint)
{
    journal_checkpoint_t *c = *checkpoint;
    if (!c)
        return;
    if (c->is_loading)
        snapfile_close(&c->reader);
    sealed_close(&c->sealed);
    compact_free(&c->compact);
    snapfile_abandon(&c->writer);
    kepts_free(&c->adopted, &c->folder);
    free(c->segments);
    free(c->old);
    free(c->record);
    free(c->needed);
    free(c);
    *checkpoint = NULL;
}
