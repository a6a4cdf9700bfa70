/* journal_survey.c: segment by segment, batch by batch, and on behind what does not hold. */
#include "broker/journal/journal_survey.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>

#include "broker/journal/journal_salvage.h"
#include "broker/journal/journal_survey_base.h"
#include "broker/journal/journal_survey_entry.h"

#define TRIES_MAX 8          /* checkpoints that may end while we look */
#define NOTES_IN_BATCH 40000 /* of lost records; they take less than a hundred bytes each */

typedef struct {
    const folder_t *folder;
    const survey_sink_t *sink;
    survey_report_t *report;
    copy_t copy;
    base_t base;
    entry_t *room; /* one more than is needed, at the beginning */
    entry_t *entries;
    size_t count;
    entry_t folded; /* the segment that would follow the snapshot's newest record */
    window_t window;
    record_t *record;
    salvage_t salvage;
    uint64_t next_batch, next_seq; /* as they must come */
    int64_t last_us;               /* ingest time of the newest record */
    const entry_t *entry;          /* being read */
    const entry_t *limit;          /* the next one that says with which batch it begins; NULL for none */
    bool is_late;                  /* it is in the snapshot: a start leaves it unread */
    bool before_absent;            /* the next one is not there: it takes the blame for what is missing at the end */
    surveyed_file_t file;
} surveyor_t;

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to read the journal");
}

/* -- looking at batches ---------------------------------------------------------------------------- */

static bool records_fit(const surveyor_t *s, const uint8_t *batch, const batch_header_t *header)
{
    uint32_t done = BATCH_HEADER_BYTES, length;
    uint64_t seq;
    int64_t ingest_us, last_us = s->last_us;
    for (uint32_t i = 0; i < header->count; i++) {
        bytes_t rest = bytes_from(batch + done, header->length - done);
        if (!record_peek(rest, &length, &seq, &ingest_us) || length > rest.len || seq != s->next_seq + i ||
            ingest_us < last_us || !record_verify(rest, NULL))
            return false;
        last_us = ingest_us;
        done += length;
    }
    return done == header->length;
}

/* The batch that must come next, if it is at `at` and holds; else NULL. */
static const uint8_t *good_batch(surveyor_t *s, uint64_t at, batch_header_t *header, error_t *err)
{
    if (!entry_batch_at(s->entry, &s->window, at, header, err) || header->number != s->next_batch ||
        header->first_seq != s->next_seq)
        return NULL;
    const uint8_t *batch = window_view(&s->window, at, header->length, err);
    return batch && batch_records_hold(batch, header) && records_fit(s, batch, header) ? batch : NULL;
}

/* -- headers ---------------------------------------------------------------------------------------- */

/* Opens a segment's file; *there is false when it is gone (a running broker gave it back). */
static bool open_entry(surveyor_t *s, const entry_t *entry, bool *there, error_t *err)
{
    segment_name(entry->number, s->file.name);
    file_close(s->folder, &s->window.fd);
    s->window.at = s->window.len = s->window.cover_bytes = 0;
    if (!file_open_if_there(s->folder, s->file.name, O_RDONLY, &s->window.fd, err))
        return false;
    *there = s->window.fd >= 0;
    return !*there || file_size(s->folder, s->file.name, s->window.fd, &s->window.file_bytes, err);
}

static bool read_header(surveyor_t *s, entry_t *entry, error_t *err)
{
    bool there = false;
    if (entry->missing)
        return true;
    if (!open_entry(s, entry, &there, err))
        return false;
    entry->missing = !there;
    entry->file_bytes = there ? s->window.file_bytes : 0;
    if (!there || entry_read_header(entry, &s->window, err))
        return true;
    return error_prefix(err, "%s/%s", s->folder->path, s->file.name);
}

/* -- damage ------------------------------------------------------------------------------------------ */

static bool tell_record(surveyor_t *s, bytes_t raw, error_t *err)
{
    uint32_t length;
    uint64_t seq;
    bool good = record_peek(raw, &length, &seq, &s->last_us);
    s->file.records++;
    s->report->total.records++;
    if (!s->sink->record || !good)
        return true;
    if (record_decode(raw, s->record, err)) /* whole, and yet not to be understood: a newer program wrote it */
        return s->sink->record(s->sink->ctx, s->record, raw, err);
    return error_prefix(err, "%s/%s", s->folder->path, s->file.name);
}

/* Batches and records up to those given are not what they were, at these bytes of the file. */
static bool tell_damage(surveyor_t *s, uint64_t at, uint64_t end, uint64_t next_batch, uint64_t next_seq,
                        const char *what, error_t *err)
{
    damage_t damage = {.at = at,
                       .end = end,
                       .first_batch = s->next_batch,
                       .next_batch = next_batch > s->next_batch ? next_batch : s->next_batch,
                       .first_seq = s->next_seq,
                       .next_seq = next_seq > s->next_seq ? next_seq : s->next_seq,
                       .what = what,
                       .is_late = s->is_late};
    bool good = salvage_read(&s->salvage, &s->window, at, end, damage.first_seq, damage.next_seq, err);
    memcpy(damage.file, s->file.name, sizeof damage.file);
    damage.saved = s->salvage.records;
    damage.saved_count = s->salvage.count;
    for (size_t i = 0; good && i < damage.saved_count; i++)
        good = tell_record(s, damage.saved[i], err);
    s->file.damages++;
    s->report->damages++;
    s->report->refused += !damage.is_late;
    damage.lost = damage.next_seq - damage.first_seq - damage.saved_count;
    s->report->lost += damage.lost;
    s->next_batch = damage.next_batch;
    s->next_seq = damage.next_seq;
    return good && (!s->sink->damage || s->sink->damage(s->sink->ctx, &damage, err));
}

/* -- one segment -------------------------------------------------------------------------------------- */

static bool tell_batch(surveyor_t *s, const uint8_t *batch, const batch_header_t *header, error_t *err)
{
    if (s->sink->batch && !s->sink->batch(s->sink->ctx, header, batch, err))
        return false;
    uint32_t done = BATCH_HEADER_BYTES, length;
    for (uint32_t i = 0; i < header->count; i++) {
        uint64_t seq;
        int64_t ingest_us;
        if (!record_peek(bytes_from(batch + done, header->length - done), &length, &seq, &ingest_us) ||
            !tell_record(s, bytes_from(batch + done, length), err))
            return false;
        done += length;
    }
    s->file.batches++;
    s->report->total.bytes += header->length;
    s->next_batch++;
    s->next_seq += header->count;
    return true;
}

/* The highest batch that anything in the newest segment says was on disk. Asked before the batches are read: what a
 * running broker adds meanwhile proves nothing against what was read before. */
static bool proven_batch(surveyor_t *s, uint64_t *proven, error_t *err)
{
    batch_header_t header;
    error_t why = {0};
    *proven = 0;
    for (uint64_t at = SEGMENT_BLOCK_BYTES; entry_search(s->entry, &s->window, &at, &header, &why);
         at += BATCH_ALIGN_BYTES)
        *proven = header.synced > *proven && header.number > header.synced ? header.synced : *proven;
    return pass_on(&why, err);
}

/* Behind `at` nothing was synced: how far do remains go? */
static bool measure_tail(surveyor_t *s, uint64_t at, error_t *err)
{
    batch_header_t header;
    error_t why = {0};
    uint64_t end = at;
    for (uint64_t look = at; entry_search(s->entry, &s->window, &look, &header, &why); look += BATCH_ALIGN_BYTES) {
        uint64_t stop = look + batch_padded(header.length);
        end = stop < s->window.file_bytes ? stop : s->window.file_bytes;
    }
    s->file.cut_bytes = end - at;
    s->report->total.cut_bytes = end - at;
    return pass_on(&why, err);
}

/* The next batch that may be believed behind a bad one. */
static bool find_next(surveyor_t *s, uint64_t *at, batch_header_t *header, error_t *err)
{
    while (entry_search(s->entry, &s->window, at, header, err)) {
        bool before_limit = !s->limit || header->number < s->limit->header.first_batch;
        if (header->number > s->next_batch && header->first_seq >= s->next_seq && before_limit)
            return true;
        *at += BATCH_ALIGN_BYTES;
    }
    return false;
}

static bool is_over(const surveyor_t *s, uint64_t proven)
{
    if (!s->limit)
        return s->next_batch > proven;
    return s->next_batch >= s->limit->header.first_batch && s->next_seq >= s->limit->header.first_seq;
}

/* A batch whose header holds, and says which records ought to be there and where they end. Behind the last batch of a
 * segment nothing else does. */
static bool is_hollow(surveyor_t *s, uint64_t at, batch_header_t *header, error_t *err)
{
    return entry_batch_at(s->entry, &s->window, at, header, err) && header->number == s->next_batch &&
           header->first_seq == s->next_seq && batch_padded(header->length) <= s->window.file_bytes - at;
}

/* Over what does not hold to the next batch that does; *at is behind the file when there is none. */
static bool step_over(surveyor_t *s, uint64_t *at, error_t *err)
{
    batch_header_t header = {0};
    error_t why = {0};
    uint64_t next = *at + BATCH_ALIGN_BYTES;
    bool is_known = is_hollow(s, *at, &header, &why);
    if (!pass_on(&why, err))
        return false;
    if (is_known) {
        next = *at + batch_padded(header.length);
        bool good = tell_damage(s, *at, next, header.number + 1, header.first_seq + header.count,
                                "the batch's records are not what its header says", err);
        *at = next;
        return good;
    }
    bool found = find_next(s, &next, &header, &why);
    if (!pass_on(&why, err))
        return false;
    if (!found && s->before_absent) {
        *at = s->window.file_bytes;
        return true;
    }
    uint64_t batch = found ? header.number : s->limit ? s->limit->header.first_batch : s->next_batch;
    uint64_t seq = found ? header.first_seq : s->limit ? s->limit->header.first_seq : s->next_seq;
    uint64_t end = found ? next : s->window.file_bytes;
    bool good = tell_damage(s, *at, end, batch, seq,
                            found ? "no good batch is there, and a later one proves that it had been synced"
                                  : "no good batch is there, and the next segment proves that one had been synced",
                            err);
    *at = end;
    return good;
}

static bool walk(surveyor_t *s, error_t *err)
{
    uint64_t proven = 0, at = SEGMENT_BLOCK_BYTES;
    if (!s->limit && !proven_batch(s, &proven, err))
        return false;
    for (bool good = true; good;) {
        batch_header_t header;
        error_t why = {0};
        const uint8_t *batch = at < s->window.file_bytes ? good_batch(s, at, &header, &why) : NULL;
        if (!pass_on(&why, err))
            return false;
        if (!batch && is_over(s, proven))
            return s->limit || measure_tail(s, at, err);
        if (!batch && at >= s->window.file_bytes && (!s->limit || s->before_absent))
            return true;
        good = batch ? tell_batch(s, batch, &header, err) : step_over(s, &at, err);
        at += batch ? batch_padded(header.length) : 0;
        s->file.used = batch ? at : s->file.used;
    }
    return false;
}

/* Numbers for the batches into which so many notes go, before batch `next`: which there were is not known. */
static uint64_t batches_before(uint64_t next, uint64_t records)
{
    uint64_t wanted = records ? 2 + records / NOTES_IN_BATCH : 0;
    return next > wanted ? next - wanted : 1;
}

/* A segment of which there is nothing: its place is filled with what the others say of it. */
static bool tell_absent(surveyor_t *s, entry_t *entry, bool is_newest, error_t *err)
{
    const entry_t *limit = s->limit;
    uint64_t batch = limit ? limit->header.first_batch : s->next_batch ? s->next_batch : 1;
    uint64_t seq = limit ? limit->header.first_seq : s->next_seq;
    if (s->next_batch == 0)
        s->next_batch = batches_before(batch, seq > s->next_seq ? seq - s->next_seq : 0);
    if (seq > s->next_seq && seq - s->next_seq > SURVEY_LOST_MAX)
        s->report->hopeless = "too many records are missing to note each";
    entry->header = (segment_header_t){.number = entry->number,
                                       .generation = s->report->max_generation + 1,
                                       .first_seq = s->next_seq,
                                       .first_batch = s->next_batch,
                                       .bytes = entry->file_bytes};
    if (s->sink->segment && !s->sink->segment(s->sink->ctx, &entry->header, is_newest, err))
        return false;
    s->window.file_bytes = 0; /* nothing is to be saved by the chain */
    return tell_damage(s, 0, entry->file_bytes, batch, seq, entry->missing ? "the segment is missing" : entry->why,
                       err);
}

/* Damage that concerns no batch: the header's, or the file's size. */
static bool tell_header(surveyor_t *s, const entry_t *entry, error_t *err)
{
    if (entry->why && !tell_damage(s, 0, SEGMENT_HEADER_BYTES, 0, 0, entry->why, err))
        return false;
    return entry->header.bytes == entry->file_bytes ||
           tell_damage(s, entry->file_bytes, entry->header.bytes, 0, 0,
                       "the file has another size than its header says", err);
}

/* Where its first batch and record must be, by its header, or by what holds in it. */
static void place_entry(surveyor_t *s, entry_t *entry)
{
    if (entry->header.first_batch) {
        s->next_batch = entry->header.first_batch;
        s->next_seq = entry->header.first_seq;
    } else if (s->next_batch == 0)
        s->next_batch =
            batches_before(entry->least_batch, entry->least_seq > s->next_seq ? entry->least_seq - s->next_seq : 0);
    entry->header.first_batch = s->next_batch;
    entry->header.first_seq = s->next_seq;
}

static bool tell_present(surveyor_t *s, entry_t *entry, bool is_newest, bool is_folded, error_t *err)
{
    place_entry(s, entry);
    copy_cover(&s->copy, &entry->header, &s->window);
    if (s->sink->segment && !s->sink->segment(s->sink->ctx, &entry->header, is_newest, err))
        return false;
    if (!tell_header(s, entry, err))
        return false;
    s->is_late = is_folded;
    bool good = walk(s, err);
    s->is_late = false;
    return good;
}

static bool comes_late(const surveyor_t *s, const entry_t *entry)
{
    return entry->header.first_batch && entry->header.first_batch < s->next_batch;
}

/* Behind the last segment the snapshot may say how far records went. */
static const entry_t *limit_of(const surveyor_t *s, size_t i)
{
    for (size_t k = i + 1; k < s->count; k++)
        if (!s->entries[k].missing && !s->entries[k].lost && s->entries[k].header.first_batch)
            return &s->entries[k];
    return s->base.snapshot.number && s->entries[i].header.first_seq <= s->base.snapshot.newest ? &s->folded : NULL;
}

/* True when a start leaves the records of this one unread. */
static bool is_folded(const surveyor_t *s, size_t i)
{
    return s->base.snapshot.number && i + 1 < s->count && s->entries[i + 1].header.first_batch &&
           s->entries[i + 1].header.first_seq <= s->base.snapshot.newest + 1;
}

/* Given back by a running broker while we looked: its name is gone, or another's. */
static bool went_away(surveyor_t *s, size_t i, bool there)
{
    uint8_t bytes[SEGMENT_HEADER_BYTES];
    segment_header_t now;
    const entry_t *entry = &s->entries[i];
    if (entry->missing || entry->why)
        return false;
    if (!there)
        return true;
    return file_read(s->folder, s->window.fd, bytes, sizeof bytes, 0, NULL) &&
           segment_header_decode(bytes, &now, NULL) && now.generation != entry->header.generation;
}

static bool survey_entry(surveyor_t *s, size_t i, error_t *err)
{
    entry_t *entry = &s->entries[i];
    bool there = false;
    s->file = (surveyed_file_t){.is_segment = true, .bytes = entry->file_bytes, .used = SEGMENT_BLOCK_BYTES};
    s->entry = entry;
    s->limit = limit_of(s, i);
    s->before_absent = i + 1 < s->count && (s->entries[i + 1].missing || s->entries[i + 1].lost);
    if (!open_entry(s, entry, &there, err))
        return false;
    if (went_away(s, i, there))
        return true;
    if (comes_late(s, entry)) {
        entry->lost = true;
        entry->why = "it begins with a batch that is before the end of the last segment";
    }
    s->file.first_seq = entry->lost || entry->missing ? s->next_seq : entry->header.first_seq;
    bool good = entry->lost || entry->missing ? tell_absent(s, entry, i + 1 == s->count, err)
                                              : tell_present(s, entry, i + 1 == s->count, is_folded(s, i), err);
    s->report->total.segments++;
    if (entry->header.generation > s->report->max_generation)
        s->report->max_generation = entry->header.generation;
    return good && (!s->sink->file || s->sink->file(s->sink->ctx, &s->file, err));
}

/* -- the folder --------------------------------------------------------------------------------------- */

/* Every number from the lowest to the highest, whether it is there or not. */
static bool fill_entries(surveyor_t *s, const numbers_t *found, error_t *err)
{
    uint64_t first = found->count ? found->items[0] : 1;
    uint64_t span = found->count ? found->items[found->count - 1] - first + 1 : 0;
    if (span > found->count + SEGMENTS_MISSING_MAX)
        return error_set(err, STATUS_DATA_LOSS, "JOURNAL_CORRUPT",
                         "%s: %" PRIu64 " segments are missing between the first and the last", s->folder->path,
                         span - found->count);
    s->room = calloc(span + 1, sizeof *s->room);
    if (!s->room)
        return no_memory(err);
    s->entries = s->room + 1;
    s->count = span;
    for (size_t i = 0, k = 0; i < span; i++) {
        bool there = found->items[k] == first + i;
        s->entries[i] = (entry_t){.number = first + i, .missing = !there};
        k += there;
    }
    return true;
}

static bool find_all(surveyor_t *s, const listing_t *listing, error_t *err)
{
    bool good = base_find(&s->base, s->folder, &listing->snapshots, err) && fill_entries(s, &listing->segments, err);
    for (size_t i = 0; good && i < s->count; i++)
        good = read_header(s, &s->entries[i], err);
    return good;
}

static void forget_all(surveyor_t *s)
{
    base_free(&s->base, s->folder);
    free(s->room);
    s->room = s->entries = NULL;
    s->count = 0;
}

/* Again when a checkpoint of a running broker ended meanwhile: it takes away what the snapshot before needed. */
static bool take_stock(surveyor_t *s, error_t *err)
{
    for (int tries = 0;; tries++) {
        listing_t before, after;
        error_t ignored;
        bool good = listing_read(&before, s->folder, err) && find_all(s, &before, err);
        bool same = tries == TRIES_MAX || !listing_read(&after, s->folder, &ignored);
        if (tries < TRIES_MAX) {
            same = same || listing_newest_snapshot(&before) == listing_newest_snapshot(&after);
            listing_free(&after);
        }
        listing_free(&before);
        if (same)
            return good;
        forget_all(s);
    }
}

/* The first segment with records that are not released; the last such, where those before it are empty. */
static size_t first_entry(const surveyor_t *s)
{
    uint64_t first_seq = s->base.snapshot.released + 1;
    size_t first = 0;
    for (size_t i = 0; s->base.snapshot.number && i < s->count; i++)
        if (s->entries[i].header.first_batch && s->entries[i].header.first_seq <= first_seq)
            first = s->entries[i].header.first_seq == first_seq ? i : i + 1;
    return first;
}

/* Remains of an unfinished checkpoint: only their headers matter. */
static bool tell_remains(surveyor_t *s, size_t count, error_t *err)
{
    for (size_t i = 0; i < count; i++) {
        const entry_t *entry = &s->entries[i];
        bool resized = !entry->missing && !entry->why && entry->header.bytes != entry->file_bytes;
        const char *what = entry->missing ? "the segment is missing"
                           : resized      ? "the file has another size than its header says"
                                          : entry->why;
        if (!what || (entry->missing && i == 0))
            continue;
        damage_t damage = {.end = SEGMENT_HEADER_BYTES, .what = what};
        segment_name(entry->number, damage.file);
        s->report->damages++;
        s->report->refused++;
        s->report->remains++;
        if (s->sink->damage && !s->sink->damage(s->sink->ctx, &damage, err))
            return false;
    }
    return true;
}

/* What should begin with the first record that is not released, if nothing does. */
static void add_first(surveyor_t *s, size_t *first)
{
    uint64_t first_seq = s->base.snapshot.released + 1;
    const entry_t *entry = *first < s->count ? &s->entries[*first] : NULL;
    bool is_unknown = entry && (entry->missing || entry->lost || !entry->header.first_batch);
    if (is_unknown || (entry && entry->header.first_seq == first_seq) || (!entry && !s->base.snapshot.number))
        return;
    if (entry && (s->base.damaged_count || entry->number <= 1))
        s->report->hopeless = "the records behind the last snapshot that holds are in no segment";
    if (*first == 0) {
        uint64_t number = entry ? entry->number - 1 : 1;
        s->entries = s->room;
        s->count++;
        s->entries[0] = (entry_t){.number = number, .missing = true};
        return;
    }
    entry_t *remains = &s->entries[--*first];
    remains->lost = true;
    remains->why = "its records are in the snapshot, and what followed them is missing";
}

static bool survey_all(surveyor_t *s, error_t *err)
{
    const snapfile_header_t *snapshot = &s->base.snapshot;
    size_t first = first_entry(s);
    s->next_batch = snapshot->released == 0;
    s->next_seq = snapshot->released + 1;
    s->last_us = snapshot->released == snapshot->newest ? snapshot->ingest_us : 0;
    s->folded.header = (segment_header_t){.first_seq = snapshot->newest + 1, .first_batch = snapshot->next_batch};
    s->report->total.snapshot = snapshot->newest;
    s->report->released = snapshot->released;
    s->report->begin_us = s->last_us;
    add_first(s, &first);
    if (!base_tell(&s->base, s->folder, s->sink, s->record, s->report, err) || !tell_remains(s, first, err))
        return false;
    for (size_t i = first; i < s->count; i++)
        if (!survey_entry(s, i, err))
            return false;
    s->report->next_seq = s->next_seq;
    return true;
}

bool journal_survey(const folder_t *folder, const survey_sink_t *sink, survey_report_t *report, error_t *err)
{
    surveyor_t s = {.folder = folder,
                    .sink = sink,
                    .report = report,
                    .copy = {.fd = -1},
                    .window = {.folder = folder, .fd = -1},
                    .record = malloc(sizeof(record_t))};
    *report = (survey_report_t){0};
    bool good = s.record ? true : no_memory(err);
    good = good && copy_find(&s.copy, folder, err) && take_stock(&s, err) && survey_all(&s, err);
    copy_close(&s.copy, folder);
    file_close(folder, &s.window.fd);
    window_free(&s.window);
    salvage_free(&s.salvage);
    forget_all(&s);
    free(s.record);
    return good;
}
