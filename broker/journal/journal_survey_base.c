/* journal_survey_base.c: a snapshot is whole or not; of a kept file what holds is told record by record. */
#include "broker/journal/journal_survey_base.h"

#include "broker/journal/journal_kept_scan.h"

typedef struct {
    const folder_t *folder;
    const survey_sink_t *sink;
    record_t *record;
    survey_report_t *report;
    surveyed_file_t file;
    damage_t hole; /* the last one: told when it is known how much is lost */
    bool has_hole;
    uint64_t lost; /* of this file, told */
} teller_t;

static bool tell_damage(teller_t *t, const damage_t *damage, error_t *err)
{
    t->file.damages++;
    t->report->damages++;
    t->report->refused += !damage->is_late;
    t->report->lost += damage->lost;
    return !t->sink->damage || t->sink->damage(t->sink->ctx, damage, err);
}

static bool tell_file(teller_t *t, error_t *err)
{
    return !t->sink->file || t->sink->file(t->sink->ctx, &t->file, err);
}

/* -- snapshots --------------------------------------------------------------------------------------- */
static bool tell_damaged(teller_t *t, const base_snapshot_t *snapshot, error_t *err)
{
    t->file = (surveyed_file_t){.bytes = snapshot->bytes};
    snapshot_name(snapshot->number, t->file.name);
    damage_t damage = {.at = snapshot->flaw.at, .end = snapshot->bytes, .what = snapshot->flaw.why};
    memcpy(damage.file, t->file.name, sizeof damage.file);
    t->report->snapshots++;
    return tell_damage(t, &damage, err) && tell_file(t, err);
}

static bool tell_snapshot(teller_t *t, const snapfile_header_t *snapshot, error_t *err)
{
    t->file = (surveyed_file_t){.bytes = snapshot->bytes, .used = snapshot->bytes, .first_seq = 1};
    snapshot_name(snapshot->number, t->file.name);
    return !snapshot->number || tell_file(t, err);
}

/* -- kept files -------------------------------------------------------------------------------------- */
static bool take_record(void *ctx, uint64_t seq, bytes_t raw, error_t *err)
{
    teller_t *t = ctx;
    (void)seq;
    t->file.records++;
    t->report->total.records++;
    if (!t->sink->record)
        return true;
    return record_decode(raw, t->record, err) ? t->sink->record(t->sink->ctx, t->record, raw, err)
                                              : error_prefix(err, "%s/%s", t->folder->path, t->file.name);
}

/* How many are lost in all is known at the end: it is said of the last hole what is not said of those before. */
static bool tell_hole(teller_t *t, uint64_t lost, bool is_last, error_t *err)
{
    if (!t->has_hole)
        return true;
    uint64_t most = t->hole.next_seq - t->hole.first_seq;
    t->has_hole = false;
    t->hole.lost = is_last ? lost - t->lost : most == 1;
    t->lost += t->hole.lost;
    return tell_damage(t, &t->hole, err);
}

static bool take_hole(void *ctx, const kept_hole_t *hole, error_t *err)
{
    teller_t *t = ctx;
    if (!tell_hole(t, 0, false, err))
        return false;
    t->hole = (damage_t){.at = hole->at,
                         .end = hole->end,
                         .first_seq = hole->first_seq,
                         .next_seq = hole->next_seq,
                         .what = "no whole record is there",
                         .is_late = true,
                         .is_sparse = true};
    memcpy(t->hole.file, t->file.name, sizeof t->hole.file);
    t->has_hole = true;
    return true;
}

static bool tell_flaw(teller_t *t, const base_file_t *file, error_t *err)
{
    damage_t damage = {.at = file->flaw.at, .end = file->ref.bytes, .what = file->flaw.why};
    memcpy(damage.file, t->file.name, sizeof damage.file);
    return file->kept || tell_damage(t, &damage, err);
}

static bool tell_kept(teller_t *t, const base_file_t *file, error_t *err)
{
    const kept_sink_t sink = {.ctx = t, .record = take_record, .hole = take_hole};
    uint64_t found;
    t->file = (surveyed_file_t){.bytes = file->ref.bytes, .used = file->ref.bytes, .first_seq = file->ref.first};
    t->has_hole = false;
    t->lost = 0;
    memcpy(t->file.name, file->name, sizeof t->file.name);
    if (!tell_flaw(t, file, err) || !kept_scan(t->folder, file->fd, &file->ref, file->kept, &sink, &found, err))
        return false;
    if (!tell_hole(t, file->ref.records - found, true, err))
        return false;
    t->report->kept += t->file.damages > 0;
    t->report->total.bytes += file->ref.bytes;
    return tell_file(t, err);
}

bool base_tell(const base_t *base, const folder_t *folder, const survey_sink_t *sink, record_t *record,
               survey_report_t *report, error_t *err)
{
    teller_t t = {.folder = folder, .sink = sink, .record = record, .report = report};
    for (size_t i = 0; i < base->damaged_count; i++)
        if (!tell_damaged(&t, &base->damaged[i], err))
            return false;
    if (!tell_snapshot(&t, &base->snapshot, err))
        return false;
    for (size_t i = 0; i < base->count; i++)
        if (!tell_kept(&t, &base->files[i], err))
            return false;
    return true;
}
