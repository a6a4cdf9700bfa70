/* journal_repair.c: surveys twice: once for which segments are damaged, once to write their copies. */
#include "broker/journal/journal_repair.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/journal/journal_rebase.h"
#include "proto/msgpack.h"

#define FILL_BYTES ((uint64_t)64 << 10)

/* A segment that is to be replaced. */
typedef struct {
    segment_header_t header; /* of the copy */
    bool is_newest;
} patient_t;

typedef struct {
    const folder_t *folder;
    const survey_sink_t *sink;
    repair_report_t *report;
    uint64_t salt;
    patient_t *patients;
    size_t count, cap;
    segment_header_t segment; /* being surveyed */
    bool is_newest, is_damaged;
    uint64_t first_segment; /* number of the first one that was surveyed; 0 for none yet */

    /* the copy being written */
    patient_t *patient; /* NULL: this segment needs none */
    int fd;
    uint64_t at;
    uint64_t next_batch;
    int64_t ingest_us; /* of the newest record */
    buf_t batch;       /* header, records */
    uint32_t batch_count;
    uint64_t batch_seq;
} repair_t;

static bool no_memory(error_t *err)
{
    return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "no memory to repair the journal");
}

/* -- first: what is damaged ------------------------------------------------------------------------- */

static bool add_patient(repair_t *r, error_t *err)
{
    if (r->count == r->cap) {
        size_t cap = r->cap ? r->cap * 2 : 8;
        patient_t *patients = realloc(r->patients, cap * sizeof *patients);
        if (!patients)
            return no_memory(err);
        r->patients = patients;
        r->cap = cap;
    }
    r->patients[r->count++] = (patient_t){.header = r->segment, .is_newest = r->is_newest};
    return true;
}

static bool look_segment(void *ctx, const segment_header_t *header, bool is_newest, error_t *err)
{
    repair_t *r = ctx;
    r->first_segment = r->first_segment ? r->first_segment : header->number;
    r->segment = *header;
    r->is_newest = is_newest;
    r->is_damaged = false;
    return !r->sink->segment || r->sink->segment(r->sink->ctx, header, is_newest, err);
}

static bool look_damage(void *ctx, const damage_t *damage, error_t *err)
{
    repair_t *r = ctx;
    bool in_segment = r->first_segment != 0; /* or in what comes before them */
    if (in_segment && !r->is_damaged && !add_patient(r, err))
        return false;
    r->is_damaged = true;
    return !r->sink->damage || r->sink->damage(r->sink->ctx, damage, err);
}

static bool look_file(void *ctx, const surveyed_file_t *file, error_t *err)
{
    repair_t *r = ctx;
    return !r->sink->file || r->sink->file(r->sink->ctx, file, err);
}

/* -- batches of the copy ------------------------------------------------------------------------------ */

/* Writes what has gathered as the batch that comes next. */
static bool end_batch(repair_t *r, uint64_t synced, uint64_t first_seq, error_t *err)
{
    const segment_header_t *segment = &r->patient->header;
    batch_header_t header = {.generation = segment->generation,
                             .number = r->next_batch,
                             .synced = synced,
                             .first_seq = r->batch_count ? r->batch_seq : first_seq,
                             .count = r->batch_count,
                             .length = (uint32_t)r->batch.len};
    if (r->batch.failed || !buf_reserve(&r->batch, BATCH_ALIGN_BYTES))
        return no_memory(err);
    batch_seal(r->batch.data, &header, segment->salt);
    uint64_t padded = batch_padded(r->batch.len);
    memset(r->batch.data + r->batch.len, 0, padded - r->batch.len);
    if (!file_write(r->folder, r->fd, r->batch.data, padded, r->at, err))
        return false;
    r->at += padded;
    r->next_batch++;
    r->batch_count = 0;
    r->batch.len = BATCH_HEADER_BYTES;
    return true;
}

/* Batches may be begun up to before `next_batch`. */
static bool put_record(repair_t *r, bytes_t raw, uint64_t seq, uint64_t next_batch, error_t *err)
{
    if (r->batch.len + raw.len > BATCH_LIMIT_BYTES) {
        if (r->next_batch + 1 >= next_batch)
            return error_set(err, STATUS_FAILED_PRECONDITION, "JOURNAL_REPAIR",
                             "the notes of what is lost do not fit in the place of the batches that are");
        if (!end_batch(r, r->next_batch - 1, seq, err))
            return false;
    }
    if (r->batch_count == 0)
        r->batch_seq = seq;
    r->batch_count++;
    buf_append_bytes(&r->batch, raw);
    return !r->batch.failed || no_memory(err);
}

static void encode_note(const repair_t *r, uint64_t seq, bool is_first, const damage_t *damage, buf_t *out)
{
    buf_t fields = {0};
    char text[96] = "";
    if (is_first) {
        mp_put_map(&fields, 1);
        mp_put_cstr(&fields, REPAIR_LOST_UNTIL);
        mp_put_u64(&fields, r->report->survey.next_seq - 1);
        (void)snprintf(text, sizeof text, "%s at offset %" PRIu64, damage->file, damage->at);
    }
    const record_note_t note = {
        .event = bytes_cstr(REPAIR_LOST_EVENT), .text = bytes_cstr(text), .fields = buf_bytes(&fields)};
    buf_clear(out);
    record_encode(out, seq, r->ingest_us, RECORD_NOTE, &note);
    buf_free(&fields);
}

static bool put_notes(repair_t *r, uint64_t from, uint64_t to, const damage_t *damage, error_t *err)
{
    buf_t note = {0};
    bool good = true;
    for (uint64_t seq = from; good && seq < to; seq++) {
        encode_note(r, seq, seq == from, damage, &note);
        good = note.failed ? no_memory(err) : put_record(r, buf_bytes(&note), seq, damage->next_batch, err);
    }
    buf_free(&note);
    return good;
}

/* What was saved, in its place, and notes for the rest; in batches of the numbers that there were. */
static bool put_hole(repair_t *r, const damage_t *damage, error_t *err)
{
    uint64_t next = damage->first_seq;
    uint32_t length;
    uint64_t seq;
    if (damage->first_batch == damage->next_batch)
        return true;
    for (size_t i = 0; i < damage->saved_count; i++) {
        int64_t ingest_us;
        if (!record_peek(damage->saved[i], &length, &seq, &ingest_us) || !put_notes(r, next, seq, damage, err))
            return false;
        r->ingest_us = ingest_us;
        if (!put_record(r, damage->saved[i], seq, damage->next_batch, err))
            return false;
        next = seq + 1;
    }
    if (!put_notes(r, next, damage->next_seq, damage, err))
        return false;
    while (r->next_batch < damage->next_batch)
        if (!end_batch(r, r->next_batch - 1, damage->next_seq, err))
            return false;
    return true;
}

/* -- the copy ----------------------------------------------------------------------------------------- */

static void copy_name(uint64_t number, char out[FILE_NAME_BYTES])
{
    (void)snprintf(out, FILE_NAME_BYTES, "%016" PRIu64 ".repaired", number);
}

static patient_t *patient_of(repair_t *r, uint64_t number)
{
    for (size_t i = 0; i < r->count; i++)
        if (r->patients[i].header.number == number)
            return &r->patients[i];
    return NULL;
}

static bool fill(repair_t *r, uint64_t bytes, error_t *err)
{
    uint8_t *zeros = calloc(1, FILL_BYTES);
    bool good = zeros ? true : no_memory(err);
    for (uint64_t at = r->at; good && at < bytes;) {
        uint64_t step = bytes - at < FILL_BYTES ? bytes - at : FILL_BYTES;
        good = file_write(r->folder, r->fd, zeros, step, at, err);
        at += step;
    }
    free(zeros);
    return good;
}

/* A copy may be larger than what it replaces: notes may need more room than small records did. */
static bool finish_copy(repair_t *r, error_t *err)
{
    uint8_t block[SEGMENT_BLOCK_BYTES] = {0};
    segment_header_t *header = &r->patient->header;
    uint64_t used = (r->at + SEGMENT_BLOCK_BYTES - 1) / SEGMENT_BLOCK_BYTES * SEGMENT_BLOCK_BYTES;
    header->bytes = used > header->bytes ? used : header->bytes;
    segment_header_encode(header, block);
    bool good = fill(r, header->bytes, err) && file_write(r->folder, r->fd, block, sizeof block, 0, err) &&
                file_sync(r->folder, r->fd, err);
    file_close(r->folder, &r->fd);
    r->patient = NULL;
    return good;
}

static bool copy_segment(void *ctx, const segment_header_t *header, bool is_newest, error_t *err)
{
    repair_t *r = ctx;
    char name[FILE_NAME_BYTES];
    (void)is_newest;
    r->patient = patient_of(r, header->number);
    if (!r->patient)
        return true;
    copy_name(header->number, name);
    r->at = SEGMENT_BLOCK_BYTES;
    r->next_batch = header->first_batch;
    r->batch_count = 0;
    buf_clear(&r->batch);
    uint8_t room[BATCH_HEADER_BYTES] = {0};
    buf_append(&r->batch, room, sizeof room);
    return file_open(r->folder, name, O_RDWR | O_CREAT | O_TRUNC, &r->fd, err);
}

static bool copy_batch(void *ctx, const batch_header_t *header, const uint8_t *batch, error_t *err)
{
    repair_t *r = ctx;
    uint32_t length, done = BATCH_HEADER_BYTES;
    uint64_t seq;
    for (uint32_t i = 0; i < header->count; i++, done += length)
        if (!record_peek(bytes_from(batch + done, header->length - done), &length, &seq, &r->ingest_us))
            return false; /* it was looked at before */
    if (!r->patient)
        return true;
    buf_append(&r->batch, batch + BATCH_HEADER_BYTES, header->length - BATCH_HEADER_BYTES);
    r->batch_count = header->count;
    r->batch_seq = header->first_seq;
    return end_batch(r, header->synced, header->first_seq, err);
}

static bool copy_damage(void *ctx, const damage_t *damage, error_t *err)
{
    return put_hole(ctx, damage, err);
}

static bool copy_file(void *ctx, const surveyed_file_t *file, error_t *err)
{
    repair_t *r = ctx;
    (void)file;
    return !r->patient || finish_copy(r, err);
}

/* -- taking its place ------------------------------------------------------------------------------------ */

static bool replace(const repair_t *r, const patient_t *patient, error_t *err)
{
    char name[FILE_NAME_BYTES], copy[FILE_NAME_BYTES];
    segment_name(patient->header.number, name);
    copy_name(patient->header.number, copy);
    return attic_keep(r->folder, r->report->attic, name, err) && file_rename(r->folder, copy, name, err) &&
           folder_sync(r->folder, err);
}

/* The newest gets a generation of its own: what a start was writing anew (tail.copy) must not be laid over it. */
static void choose_headers(repair_t *r)
{
    for (size_t i = 0; i < r->count; i++) {
        patient_t *patient = &r->patients[i];
        if (patient->is_newest)
            patient->header.generation = r->report->survey.max_generation + 1;
        if (patient->header.salt == 0)
            patient->header.salt = r->salt;
        if (patient->header.bytes < SEGMENT_TINY_BYTES)
            patient->header.bytes = SEGMENT_TINY_BYTES;
    }
}

static void remove_copies(const repair_t *r)
{
    char name[FILE_NAME_BYTES];
    error_t ignored;
    for (size_t i = 0; i < r->count; i++) {
        copy_name(r->patients[i].header.number, name);
        (void)!file_remove(r->folder, name, &ignored);
    }
}

static bool write_copies(repair_t *r, error_t *err)
{
    const survey_sink_t sink = {
        .ctx = r, .segment = copy_segment, .batch = copy_batch, .damage = copy_damage, .file = copy_file};
    survey_report_t again;
    r->ingest_us = r->report->survey.begin_us;
    bool good = journal_survey(r->folder, &sink, &again, err);
    file_close(r->folder, &r->fd);
    return good;
}

/* What the segments' records are put upon first: only then they may be read from where the copies begin. */
static bool operate(repair_t *r, error_t *err)
{
    char *attic = r->report->attic;
    choose_headers(r);
    bool good = write_copies(r, err) && attic_make(r->folder, attic, err) && rebase(r->folder, attic, err) &&
                (!r->report->survey.remains || rebase_remains(r->folder, attic, r->first_segment, err));
    for (size_t i = 0; good && i < r->count; i++)
        good = replace(r, &r->patients[i], err);
    if (!good)
        remove_copies(r);
    return good;
}

static bool is_hopeless(const repair_t *r, error_t *err)
{
    const char *why = r->report->survey.hopeless;
    if (why)
        (void)error_set(err, STATUS_FAILED_PRECONDITION, "JOURNAL_REPAIR", "%s cannot be repaired: %s", r->folder->path,
                        why);
    return why != NULL;
}

bool journal_repair(const folder_t *folder, uint64_t salt, bool really, const survey_sink_t *sink,
                    repair_report_t *report, error_t *err)
{
    repair_t r = {.folder = folder, .sink = sink, .report = report, .salt = salt, .fd = -1};
    const survey_sink_t look = {.ctx = &r, .segment = look_segment, .damage = look_damage, .file = look_file};
    const survey_report_t *found = &report->survey;
    *report = (repair_report_t){0};
    bool good = journal_survey(folder, &look, &report->survey, err) && !is_hopeless(&r, err);
    report->files = r.count + found->snapshots + found->kept + found->remains;
    if (good && really && report->files)
        good = operate(&r, err);
    free(r.patients);
    buf_free(&r.batch);
    return good;
}
