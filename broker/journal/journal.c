/* journal.c: opening, appending, committing and closing. */
#include "broker/journal/journal_state.h"
#include "broker/journal/journal_survey.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#define TAIL_CACHE_BYTES ((size_t)64 << 20)
/* Up to so many records the owner syncs by itself: handing over to a thread costs about what a sync does. */
#define IN_PLACE_RECORDS 4
/* While the disk is full, so much of a segment is kept for records that end something. */
#define RESERVE_PART 4

bool journal_fail(journal_t *journal, const error_t *why, error_t *err)
{
    if (!journal->failed) {
        journal->failed = true;
        journal->failure = *why;
    }
    return journal_works(journal, err);
}

bool journal_works(const journal_t *journal, error_t *err)
{
    if (journal->failed && err)
        *err = journal->failure;
    return !journal->failed;
}

/* -- segments to come ---------------------------------------------------------------------------- */

/* Spreads one secret over the generations (splitmix64's finalizer), so that each segment has a salt of its own. */
static uint64_t salt_of(uint64_t secret, uint64_t generation)
{
    uint64_t z = secret + generation * UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static segment_t *add_segment(journal_t *journal)
{
    const segment_t *last = segments_last(&journal->segments);
    segment_header_t header = {.number = last ? last->header.number + 1 : 1,
                               .generation = journal->next_generation,
                               .first_seq = journal->next_seq,
                               .first_batch = journal->next_batch,
                               .salt = salt_of(journal->salt, journal->next_generation),
                               .bytes = journal->segment_bytes};
    journal->next_generation++;
    return segments_add(&journal->segments, &header, journal->last_ingest_us);
}

/* Spares that no planned segment will take; *full as the disk is now. */
static size_t spares_left(journal_t *journal, bool *full)
{
    size_t ready = spares_ready(&journal->spares, full);
    if (journal->was_full && !*full && journal->writer.running)
        writer_wake(&journal->writer);
    journal->was_full = *full;
    return ready > journal->planned ? ready - journal->planned : 0;
}

static bool no_memory(journal_t *journal, error_t *err)
{
    error_t why;
    error_set(&why, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the journal");
    return journal_fail(journal, &why, err);
}

static bool plan_segment(journal_t *journal, error_t *err)
{
    bool full;
    if (spares_left(journal, &full) == 0 && full)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, "JOURNAL_FULL", "%s: the disk is full", journal->folder.path);
    if (!add_segment(journal))
        return no_memory(journal, err);
    journal->planned++;
    return true;
}

/* -- gathering ----------------------------------------------------------------------------------- */

static bool close_batch(journal_t *journal, error_t *err)
{
    if (!tail_close_newest(&journal->tail))
        return no_memory(journal, err);
    const batch_t *batch = tail_newest(&journal->tail);
    batch->segment->used = batch->at + batch->data.len;
    journal->gathering = false;
    return true;
}

static bool fits_batch(const journal_t *journal, size_t record_bytes)
{
    const batch_t *batch = tail_newest(&journal->tail);
    uint64_t bytes = batch->data.len + record_bytes;
    return bytes <= BATCH_LIMIT_BYTES && batch->at + batch_padded(bytes) <= batch->segment->header.bytes;
}

static bool open_batch(journal_t *journal, size_t record_bytes, error_t *err)
{
    segment_t *segment = segments_last(&journal->segments);
    bool begins = segment->used + batch_padded(BATCH_HEADER_BYTES + record_bytes) > segment->header.bytes;
    if (begins && !plan_segment(journal, err))
        return false;
    segment = segments_last(&journal->segments);
    batch_t *batch = tail_add(&journal->tail, segment, journal->next_batch, journal->next_seq);
    if (!batch)
        return no_memory(journal, err);
    batch->begins_segment = begins;
    journal->next_batch++;
    journal->gathering = true;
    return true;
}

/* What the owner hands in is its own making; it is checked because a wrong record would be for ever. */
static bool check_record(const journal_t *journal, bytes_t record, int64_t *ingest_us, error_t *err)
{
    uint32_t length;
    uint64_t seq;
    if (!record_peek(record, &length, &seq, ingest_us) || length != record.len)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%zu bytes are not one whole record", record.len);
    if (seq != journal->next_seq || *ingest_us < journal->last_ingest_us)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "record %" PRIu64 " is out of order: %" PRIu64 " is next",
                         seq, journal->next_seq);
    if (batch_padded(BATCH_HEADER_BYTES + record.len) > journal->segment_bytes - SEGMENT_BLOCK_BYTES)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a record of %zu bytes does not fit a segment",
                         record.len);
    return true;
}

bool journal_append(journal_t *journal, bytes_t record, error_t *err)
{
    int64_t ingest_us;
    if (!journal_works(journal, err) || !check_record(journal, record, &ingest_us, err))
        return false;
    if (journal->gathering && !fits_batch(journal, record.len) && !close_batch(journal, err))
        return false;
    if (!journal->gathering && !open_batch(journal, record.len, err))
        return false;
    const batch_t *batch = tail_newest(&journal->tail);
    if (!segment_note(batch->segment, batch->at + batch->data.len, ingest_us) || !tail_append(&journal->tail, record))
        return no_memory(journal, err);
    journal->last_ingest_us = ingest_us;
    journal->filled_batch = batch->number;
    journal->next_seq++;
    journal->stats.appended++;
    return true;
}

bool journal_has_room(journal_t *journal, uint64_t bytes)
{
    bool full;
    if (!journal->was_full && !spares_met_full(&journal->spares))
        return !journal->failed;
    size_t spares = spares_left(journal, &full);
    if (journal->failed || !full)
        return !journal->failed;
    const segment_t *last = segments_last(&journal->segments);
    const batch_t *open = journal->gathering ? tail_newest(&journal->tail) : NULL;
    uint64_t used = open ? open->at + open->data.len : last->used;
    uint64_t room = last->header.bytes - used + spares * (journal->segment_bytes - SEGMENT_BLOCK_BYTES);
    return room >= bytes + BATCH_HEADER_BYTES + journal->segment_bytes / RESERVE_PART;
}

/* -- committing ---------------------------------------------------------------------------------- */

static bool collect(journal_t *journal)
{
    commit_t *commit = &journal->commit;
    commit->count = 0;
    for (size_t i = journal->tail.count; i > 0 && tail_at(&journal->tail, i - 1)->number > journal->synced_batch; i--)
        commit->count++;
    if (commit->count > commit->cap) {
        batch_t **batches = realloc(commit->batches, commit->count * sizeof(batch_t *));
        if (!batches)
            return false;
        commit->batches = batches;
        commit->cap = commit->count;
    }
    for (size_t i = 0; i < commit->count; i++)
        commit->batches[i] = tail_at(&journal->tail, journal->tail.count - commit->count + i);
    commit->synced = journal->synced_batch;
    commit->good = false;
    commit->syncs = commit->bytes = 0;
    return true;
}

static bool take_result(journal_t *journal, error_t *err)
{
    commit_t *commit = &journal->commit;
    journal->committing = false;
    if (!commit->good)
        return journal_fail(journal, &commit->err, err);
    const batch_t *last = commit->batches[commit->count - 1];
    size_t planned = journal->planned;
    for (size_t i = 0; i < commit->count; i++)
        journal->planned -= commit->batches[i]->begins_segment;
    journal->synced_batch = last->number;
    if (journal->planned != planned)
        journal_close_past(journal);
    journal->synced_seq = last->first_seq + last->count - 1;
    journal->proven_batch = commit->proven;
    journal->stats.batches += commit->count;
    journal->stats.syncs += commit->syncs;
    journal->stats.bytes += commit->bytes;
    journal->stats.sync_ns_last = commit->sync_ns;
    tail_trim(&journal->tail, journal->synced_batch);
    return true;
}

static bool hands_over(const journal_t *journal)
{
    return journal->writer.running || journal->by_hand;
}

static bool commit_in_place(const journal_t *journal)
{
    const commit_t *commit = &journal->commit;
    if (!hands_over(journal))
        return true;
    return !journal->by_hand && commit->count == 1 && commit->batches[0]->count <= IN_PLACE_RECORDS &&
           !commit->batches[0]->begins_segment;
}

static bool commit_now(journal_t *journal, error_t *err)
{
    writer_commit_here(&journal->writer, &journal->commit);
    if (!take_result(journal, err))
        return false;
    error_t why;
    if (!journal->writer.running && !spares_fill(&journal->spares, &why))
        return journal_fail(journal, &why, err);
    return true;
}

static bool has_uncommitted(const journal_t *journal)
{
    return journal->next_batch - 1 > journal->synced_batch;
}

/* Closes what has gathered; the commit is all that is not synced. */
static bool prepare(journal_t *journal, error_t *err)
{
    if (journal->gathering && !close_batch(journal, err))
        return false;
    return collect(journal) ? true : no_memory(journal, err);
}

static void hand_over(journal_t *journal)
{
    journal->committing = true;
    writer_give(&journal->writer, &journal->commit);
}

bool journal_commit(journal_t *journal, error_t *err)
{
    if (!journal_works(journal, err))
        return false;
    if (journal->committing || !has_uncommitted(journal))
        return true;
    if (!prepare(journal, err))
        return false;
    if (commit_in_place(journal))
        return commit_now(journal, err);
    hand_over(journal);
    return true;
}

bool journal_advance(journal_t *journal, size_t bytes, error_t *err)
{
    if (!journal_works(journal, err))
        return false;
    if (!hands_over(journal) || !journal->gathering || tail_newest(&journal->tail)->data.len < bytes)
        return true;
    if (journal->committing && (!writer_done(&journal->writer) || !take_result(journal, err)))
        return journal_works(journal, err);
    if (!prepare(journal, err))
        return false;
    hand_over(journal);
    return true;
}

bool journal_work(journal_t *journal)
{
    return journal->by_hand && writer_work(&journal->writer);
}

bool journal_poll(journal_t *journal, error_t *err)
{
    error_t why;
    if (!journal_works(journal, err))
        return false;
    if (journal->writer.running)
        writer_heard(&journal->writer);
    if (writer_done(&journal->writer) && !take_result(journal, err))
        return false;
    if (!spares_healthy(&journal->spares, &why))
        return journal_fail(journal, &why, err);
    return journal_commit(journal, err);
}

bool journal_idle(journal_t *journal, error_t *err)
{
    error_t why;
    if (!journal_works(journal, err))
        return false;
    if (journal->committing || has_uncommitted(journal) || journal->filled_batch <= journal->proven_batch)
        return true;
    /* A proof is not worth refusing anything for: where it has no room, it is left out. */
    if (!open_batch(journal, 0, &why))
        return journal_works(journal, err);
    return journal_commit(journal, err);
}

/* -- opening and closing ------------------------------------------------------------------------- */

static bool check_options(const journal_options_t *options, error_t *err)
{
    uint64_t bytes = options->segment_bytes;
    uint64_t least = options->no_thread ? SEGMENT_TINY_BYTES : JOURNAL_SEGMENT_MIN_BYTES;
    if (bytes != 0 && (bytes < least || bytes > SEGMENT_MAX_BYTES || bytes % SEGMENT_BLOCK_BYTES != 0))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "a segment of %" PRIu64 " bytes: use a multiple of 4096 between %" PRIu64 " and %" PRIu64,
                         bytes, least, SEGMENT_MAX_BYTES);
    return true;
}

bool journal_lock(const folder_t *folder, int flags, int *fd, error_t *err)
{
    if (!file_open(folder, LOCK_NAME, flags, fd, err))
        return false;
    if (folder->io->lock(folder->io->ctx, *fd) < 0)
        return error_set(err, STATUS_FAILED_PRECONDITION, "JOURNAL_LOCKED",
                         "%s: another broker has this journal open: stop it first", folder->path);
    return true;
}

static void take_recovered(journal_t *journal, recovered_t *recovered)
{
    journal->segments = recovered->segments;
    recovered->segments = (segments_t){0};
    journal->kepts = recovered->kepts;
    recovered->kepts = (kepts_t){0};
    journal->snapshot = recovered->snapshot;
    journal->next_seq = recovered->next_seq;
    journal->next_batch = recovered->next_batch;
    journal->next_generation = recovered->max_generation + 1;
    journal->last_ingest_us = recovered->last_ingest_us;
    journal->synced_seq = recovered->next_seq - 1;
    journal->synced_batch = recovered->next_batch - 1;
    journal->proven_batch = recovered->proven_batch;
    journal->filled_batch = recovered->filled_batch;
}

static bool is_kept(const journal_t *journal, uint64_t made, uint64_t first)
{
    for (size_t i = 0; i < journal->kepts.count; i++)
        if (journal->kepts.items[i]->ref.made == made && journal->kepts.items[i]->ref.first == first)
            return true;
    return false;
}

/* What a checkpoint that was cut short left: segments that its snapshot had released, files that no snapshot names,
 * snapshots older than the newest. */
static bool clear_remains(journal_t *journal, const recovered_t *recovered, error_t *err)
{
    char name[FILE_NAME_BYTES];
    const numbers_t *kept = &recovered->kept_files, *snapshots = &recovered->snapshots;
    for (size_t i = 0; i < recovered->leftovers.count; i++)
        if (!spares_recycle(&journal->spares, &recovered->leftovers.items[i]->header, err))
            return false;
    for (size_t i = 0; i + 1 < snapshots->count; i++) {
        snapshot_name(snapshots->items[i], name);
        if (!file_remove(&journal->folder, name, err))
            return false;
    }
    for (size_t i = 0; i < kept->count; i += 2) {
        kept_name(kept->items[i], kept->items[i + 1], name);
        if (!is_kept(journal, kept->items[i], kept->items[i + 1]) && !file_remove(&journal->folder, name, err))
            return false;
    }
    return file_remove(&journal->folder, KEPT_FILLING_NAME, err) &&
           file_remove(&journal->folder, SNAPSHOT_FILLING_NAME, err);
}

static bool adopt_spares(journal_t *journal, const recovered_t *recovered, error_t *err)
{
    if (!file_remove(&journal->folder, FILLING_NAME, err))
        return false;
    for (size_t i = 0; i < recovered->spares.count; i++)
        if (!spares_adopt(&journal->spares, recovered->spares.items[i], err))
            return false;
    return true;
}

static bool make_first_segment(journal_t *journal, error_t *err)
{
    if (segments_last(&journal->segments))
        return true;
    segment_t *segment = add_segment(journal);
    return segment ? spares_take(&journal->spares, segment, err) : no_memory(journal, err);
}

static bool recover(journal_t *journal, const recover_sink_t *sink, journal_recovery_t *recovery, error_t *err)
{
    recovered_t recovered;
    bool good = recover_read(&recovered, &journal->folder, sink, err) &&
                recover_repair(&recovered, &journal->folder, err) &&
                copy_prepare(&journal->folder, journal->segment_bytes, err);
    if (recovery)
        *recovery = recovered.report;
    if (good)
        take_recovered(journal, &recovered);
    good = good && adopt_spares(journal, &recovered, err) && clear_remains(journal, &recovered, err);
    recovered_free(&recovered, &journal->folder);
    return good;
}

static bool start(journal_t *journal, error_t *err)
{
    if (!make_first_segment(journal, err))
        return false;
    return journal->no_thread ? spares_fill(&journal->spares, err) : writer_start(&journal->writer, err);
}

static void journal_free(journal_t *journal)
{
    writer_free(&journal->writer);
    spares_free(&journal->spares);
    segments_free(&journal->segments, &journal->folder);
    kepts_free(&journal->kepts, &journal->folder);
    tail_free(&journal->tail);
    window_free(&journal->window);
    buf_free(&journal->read);
    file_close(&journal->folder, &journal->lock_fd);
    free(journal->commit.batches);
    free(journal->record);
    free(journal);
}

/* Everything in memory; nothing of the disk is touched. */
static journal_t *journal_new(const journal_options_t *options, const folder_t *folder, error_t *err)
{
    journal_t *journal = calloc(1, sizeof *journal);
    if (!journal) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the journal");
        return NULL;
    }
    journal->folder = *folder;
    journal->lock_fd = -1;
    journal->segment_bytes = options->segment_bytes ? options->segment_bytes : JOURNAL_SEGMENT_BYTES;
    journal->salt = options->salt;
    journal->no_thread = options->no_thread;
    journal->by_hand = options->by_hand;
    journal->tail.bound_bytes = options->tail_cache_bytes ? options->tail_cache_bytes : TAIL_CACHE_BYTES;
    journal->window = (window_t){.folder = &journal->folder, .fd = -1};
    journal->record = malloc(sizeof *journal->record);
    writer_init(&journal->writer, &journal->folder, &journal->spares);
    bool good = spares_init(&journal->spares, &journal->folder, journal->segment_bytes, err);
    if (good && journal->record)
        return journal;
    if (good)
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory for the journal");
    journal_free(journal);
    return NULL;
}

journal_t *journal_open(const journal_options_t *options, journal_apply_fn apply, void *ctx,
                        journal_recovery_t *recovery, error_t *err)
{
    folder_t folder;
    const recover_sink_t sink = {.load = options->load, .apply = apply, .ctx = ctx};
    if (!check_options(options, err) || !folder_init(&folder, options->dir, options->io, err) ||
        !folder_make(&folder, err))
        return NULL;
    journal_t *journal = journal_new(options, &folder, err);
    if (!journal)
        return NULL;
    if (journal_lock(&journal->folder, O_RDWR | O_CREAT, &journal->lock_fd, err) &&
        recover(journal, &sink, recovery, err) && start(journal, err))
        return journal;
    journal_free(journal);
    return NULL;
}

static bool settle(journal_t *journal, error_t *err)
{
    while (journal_commit(journal, err)) {
        if (!journal->committing)
            return true;
        writer_wait(&journal->writer);
        if (writer_done(&journal->writer) && !take_result(journal, err))
            return false;
    }
    return false;
}

bool journal_close(journal_t **journal, error_t *err)
{
    bool good = settle(*journal, err) && journal_idle(*journal, err) && settle(*journal, err);
    if ((*journal)->committing)
        writer_wait(&(*journal)->writer);
    journal_free(*journal);
    *journal = NULL;
    return good;
}

bool journal_walk(const char *dir, const journal_io_t *io, journal_apply_fn apply, void *ctx, journal_recovery_t *found,
                  error_t *err)
{
    folder_t folder;
    recovered_t recovered;
    const recover_sink_t sink = {.apply = apply, .ctx = ctx, .whole = true};
    int fd = -1;
    if (!folder_init(&folder, dir, io, err))
        return false;
    bool good = journal_lock(&folder, O_RDONLY, &fd, err);
    if (good) {
        good = recover_read(&recovered, &folder, &sink, err);
        if (found)
            *found = recovered.report;
        recovered_free(&recovered, &folder);
    }
    file_close(&folder, &fd);
    return good;
}

/* -- numbers ------------------------------------------------------------------------------------- */

uint64_t journal_next_seq(const journal_t *journal)
{
    return journal->next_seq;
}

int64_t journal_last_ingest_us(const journal_t *journal)
{
    return journal->last_ingest_us;
}

uint64_t journal_synced(const journal_t *journal)
{
    return journal->synced_seq;
}

uint64_t journal_first_seq(const journal_t *journal)
{
    return journal->segments.items[0]->header.first_seq;
}

int journal_fd(const journal_t *journal)
{
    return journal->writer.event_fd;
}

bool journal_is_past(const journal_t *journal, size_t i)
{
    return i + 1 < journal->segments.count &&
           journal->segments.items[i + 1]->header.first_batch <= journal->synced_batch;
}

void journal_stats(const journal_t *journal, journal_stats_t *out)
{
    *out = journal->stats;
    out->segments = journal->segments.count;
    out->disk_bytes = journal->snapshot.bytes;
    for (size_t i = 0; i < journal->segments.count; i++) {
        const segment_header_t *header = &journal->segments.items[i]->header;
        out->disk_bytes += header->bytes;
        if (journal_is_past(journal, i) && header->first_seq > journal->snapshot.newest)
            out->sealed_bytes += header->bytes;
    }
    for (size_t i = 0; i < journal->kepts.count; i++)
        out->kept_bytes += journal->kepts.items[i]->ref.bytes;
    out->kept_files = journal->kepts.count;
    out->disk_bytes += out->kept_bytes;
    out->snapshot = journal->snapshot.newest;
    out->is_full = journal->was_full;
    out->pending_records = journal->next_seq - 1 - journal->synced_seq;
}

int64_t journal_free_bytes(const journal_t *journal)
{
    return journal->folder.io->free_bytes(journal->folder.io->ctx, journal->folder.path);
}
