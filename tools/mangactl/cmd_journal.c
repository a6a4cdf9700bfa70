/* cmd_journal.c: checks every byte of a broker's journal, and repairs one that a broker refuses. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/journal/journal_repair.h"
#include "kit/clock.h"
#include "proto/json.h"
#include "tools/mangactl/archive_folders.h"
#include "tools/mangactl/journal_folder.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

typedef struct {
    ctl_t *ctl;
    table_t table;        /* of files, for people */
    buf_t files, damages; /* JSON, comma-separated; damages in lines for people */
    uint64_t kinds[RECORD_KIND_MAX + 1];
    const char *archive; /* whose files are being read */
    uint64_t archived, archive_damages;
} finding_t;

static bool note_record(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)raw;
    (void)err;
    finding_t *finding = ctx;
    if (record->kind <= RECORD_KIND_MAX)
        finding->kinds[record->kind]++;
    return true;
}

static bool note_damage(void *ctx, const damage_t *damage, error_t *err)
{
    (void)err;
    finding_t *finding = ctx;
    if (finding->ctl->json) {
        buf_append_cstr(&finding->damages, finding->damages.len ? "," : "");
        journal_damage_json(damage, &finding->damages);
        return true;
    }
    journal_damage_text(damage, &finding->damages);
    buf_append_byte(&finding->damages, '\n');
    return true;
}

static const char *kind_of(const surveyed_file_t *file)
{
    uint64_t number;
    return file->is_segment ? "segment" : snapshot_name_parse(file->name, &number) ? "snapshot" : "kept";
}

static bool note_file(void *ctx, const surveyed_file_t *file, error_t *err)
{
    (void)err;
    finding_t *finding = ctx;
    if (finding->ctl->json) {
        buf_printf(&finding->files,
                   "%s{\"file\":\"%s\",\"is\":\"%s\",\"bytes\":%" PRIu64 ",\"used\":%" PRIu64 ",\"first\":%" PRIu64
                   ",\"records\":%" PRIu64 ",\"batches\":%" PRIu64 ",\"cut_bytes\":%" PRIu64 ",\"damages\":%" PRIu64
                   "}",
                   finding->files.len ? "," : "", file->name, kind_of(file), file->bytes, file->used, file->first_seq,
                   file->records, file->batches, file->cut_bytes, file->damages);
        return true;
    }
    table_add(&finding->table, "%s", file->name);
    table_add(&finding->table, "%llu", (unsigned long long)file->first_seq);
    table_add(&finding->table, "%llu", (unsigned long long)file->records);
    if (file->is_segment)
        table_add(&finding->table, "%llu", (unsigned long long)file->batches);
    else
        table_add(&finding->table, "%s", "-");
    table_add(&finding->table, "%llu", (unsigned long long)file->used);
    table_add(&finding->table, "%s", file->damages ? "DAMAGED" : "whole");
    return true;
}

static void begin(finding_t *finding, ctl_t *ctl)
{
    static const char *const titles[] = {"<file", "first record", "records", "commits", "bytes used", "<is", NULL};
    *finding = (finding_t){.ctl = ctl};
    table_begin(&finding->table, titles);
}

static survey_sink_t sink_of(finding_t *finding)
{
    return (survey_sink_t){.ctx = finding, .record = note_record, .damage = note_damage, .file = note_file};
}

static void end(finding_t *finding)
{
    table_free(&finding->table);
    buf_free(&finding->files);
    buf_free(&finding->damages);
}

/* -- archives -------------------------------------------------------------------------------------- */
static void note_archive_damage(finding_t *finding, const char *name, const flaw_t *flaw, const error_t *why)
{
    buf_t *out = &finding->damages;
    finding->archive_damages++;
    if (finding->ctl->json)
        buf_printf(out, "%s{\"file\":\"" ARCHIVES_NAME "/%s/%s\",\"offset\":%" PRIu64 ",\"what\":\"%s\"}",
                   out->len ? "," : "", finding->archive, name, flaw->at, flaw->why ? flaw->why : "cannot be read");
    else
        buf_printf(out, "%s\n", why->message);
}

static void note_archive_file(finding_t *finding, const char *name, const archive_header_t *h, bool whole)
{
    char path[FILE_PATH_BYTES];
    (void)snprintf(path, sizeof path, ARCHIVES_NAME "/%s/%s", finding->archive, name);
    if (finding->ctl->json) {
        buf_printf(&finding->files,
                   "%s{\"file\":\"%s\",\"is\":\"archive\",\"bytes\":%" PRIu64 ",\"used\":%" PRIu64 ",\"first\":%" PRIu64
                   ",\"records\":%" PRIu64 ",\"batches\":0,\"cut_bytes\":0,\"damages\":%d}",
                   finding->files.len ? "," : "", path, h->bytes, h->bytes, h->first, h->records, !whole);
        return;
    }
    table_add(&finding->table, "%s", path);
    table_add(&finding->table, "%" PRIu64, h->first);
    table_add(&finding->table, "%" PRIu64, h->records);
    table_add(&finding->table, "%s", "-");
    table_add(&finding->table, "%" PRIu64, h->bytes);
    table_add(&finding->table, "%s", whole ? "whole" : "DAMAGED");
}

static bool verify_archive_file(void *ctx, const char *name, archive_t *archive, const flaw_t *flaw, const error_t *why)
{
    finding_t *finding = ctx;
    error_t wrong = *why;
    bool whole = archive && archive_verify(archive, &wrong);
    if (!whole)
        note_archive_damage(finding, name, archive ? &archive->flaw : flaw, &wrong);
    note_archive_file(finding, name, archive ? &archive->header : &(archive_header_t){0}, whole);
    finding->archived += whole ? archive->header.records : 0;
    return true;
}

static bool verify_archives(finding_t *finding, const folder_t *journal, error_t *err)
{
    archive_names_t names = {0};
    bool good = archive_names_read(&names, journal, err);
    for (size_t i = 0; good && i < names.count; i++) {
        finding->archive = names.names[i];
        good = archive_each_file(journal, names.names[i], verify_archive_file, finding, err);
    }
    archive_names_free(&names);
    return good;
}

/* -- verify ---------------------------------------------------------------------------------------- */
static void print_json(finding_t *finding, const survey_report_t *report)
{
    ctl_t *ctl = finding->ctl;
    fprintf(ctl->out,
            "{\"records\":%" PRIu64 ",\"segments\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"cut_bytes\":%" PRIu64
            ",\"lost\":%" PRIu64 ",\"snapshot\":%" PRIu64 ",\"released\":%" PRIu64 ",\"archived\":%" PRIu64
            ",\"refused\":%s,\"files\":[%s],\"damage\":[%s]}\n",
            report->total.records, report->total.segments, report->total.bytes, report->total.cut_bytes, report->lost,
            report->total.snapshot, report->released, finding->archived, report->refused ? "true" : "false",
            finding->files.data ? buf_cstr(&finding->files) : "",
            finding->damages.data ? buf_cstr(&finding->damages) : "");
}

static void print_text(finding_t *finding, const folder_t *folder, const survey_report_t *report, int64_t took_us)
{
    ctl_t *ctl = finding->ctl;
    table_end(&finding->table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    fputs(finding->damages.len ? buf_cstr(&finding->damages) : "", ctl->out);
    fprintf(ctl->out, "%s: %llu records in %llu segments, %s (%.1f s)\n", folder->path,
            (unsigned long long)report->total.records, (unsigned long long)report->total.segments,
            report->damages ? "DAMAGED" : "every checksum right", (double)took_us / 1e6);
    if (report->total.snapshot)
        fprintf(ctl->out, "  a snapshot has records 1 to %llu; segments begin with record %llu\n",
                (unsigned long long)report->total.snapshot, (unsigned long long)report->released + 1);
    if (finding->archived || finding->archive_damages)
        fprintf(ctl->out, "  archives have %llu events, %s\n", (unsigned long long)finding->archived,
                finding->archive_damages ? "and files that are DAMAGED" : "every checksum right");
    for (uint64_t kind = 1; kind <= RECORD_KIND_MAX; kind++)
        if (finding->kinds[kind])
            fprintf(ctl->out, "  %-10s %llu\n", record_kind_name(kind), (unsigned long long)finding->kinds[kind]);
    if (report->total.cut_bytes)
        ctl_note(
            ctl,
            "%llu bytes of a commit that was not ended, and of which nobody was told, will be cut at the next start",
            (unsigned long long)report->total.cut_bytes);
}

static int verify(ctl_t *ctl, journal_folder_t *journal)
{
    finding_t finding;
    survey_report_t report;
    error_t err = {0};
    int64_t began_us = clock_mono_us();
    begin(&finding, ctl);
    survey_sink_t sink = sink_of(&finding);
    int code = CTL_OK;
    if (!journal_survey(&journal->folder, &sink, &report, &err) || !verify_archives(&finding, &journal->folder, &err))
        code = journal_folder_fail(ctl, &err);
    else if (ctl->json)
        print_json(&finding, &report);
    else
        print_text(&finding, &journal->folder, &report, clock_mono_us() - began_us);
    if (code == CTL_OK && report.damages)
        code = journal_folder_damaged(ctl, journal, &report);
    else if (code == CTL_OK && finding.archive_damages)
        code = CTL_DATA;
    end(&finding);
    return code;
}

static int run_verify(ctl_t *ctl, const args_t *args)
{
    journal_folder_t journal;
    error_t err = {0};
    int code = journal_folder_open(&journal, args, args_given(args, "running"), &err) ? verify(ctl, &journal)
                                                                                      : journal_folder_fail(ctl, &err);
    journal_folder_close(&journal);
    return code;
}

static const arg_option_t VERIFY_OPTIONS[] = {
    {"running", ARG_FLAG, NULL, "also while a broker works in it: judges what was on disk when it began"},
};

static const char *const VERIFY_EXAMPLES[] = {"mangactl journal verify /var/tmp/mangabus-root/journal",
                                              "mangactl journal verify --json", NULL};

const command_t command_journal_verify = {
    .name = "journal verify",
    .arguments = "[DIR]",
    .summary = "check every record of a broker's journal",
    .about =
        "Segments, snapshots, kept files and archives, each a line. Without a folder that of MANGABUS_STATE. Nothing "
        "is "
        "changed.\n"
        "Exit code 0 when all is whole, 65 when something that had been synced is damaged (file, offset, and which\n"
        "records are concerned), 74 when the disk cannot be read, 75 while a broker has it open.",
    .options = CTL_OPTIONS(VERIFY_OPTIONS),
    .least = 0,
    .most = 1,
    .examples = VERIFY_EXAMPLES,
    .run = run_verify,
};

/* -- repair ---------------------------------------------------------------------------------------- */
static void print_repair(finding_t *finding, const journal_folder_t *journal, const repair_report_t *report,
                         bool really)
{
    ctl_t *ctl = finding->ctl;
    if (ctl->json) {
        buf_t attic = {0};
        json_string_append(&attic, bytes_cstr(report->attic));
        fprintf(ctl->out, "{\"repaired\":%s,\"files\":%" PRIu64 ",\"attic\":%s,\"lost\":%" PRIu64 ",\"damage\":[%s]}\n",
                really && report->files ? "true" : "false", report->files, buf_cstr(&attic), report->survey.lost,
                finding->damages.data ? buf_cstr(&finding->damages) : "");
        buf_free(&attic);
        return;
    }
    fputs(finding->damages.len ? buf_cstr(&finding->damages) : "", ctl->out);
    if (report->files == 0)
        fprintf(ctl->out, "%s: nothing is damaged\n", journal->folder.path);
    else
        fprintf(ctl->out, "%s: %llu files %s, %llu records %s lost%s%s\n", journal->folder.path,
                (unsigned long long)report->files, really ? "were repaired" : "would be repaired",
                (unsigned long long)report->survey.lost, really ? "are" : "would be",
                really ? "; the damaged files are in " : "", report->attic);
}

static int repair(ctl_t *ctl, journal_folder_t *journal, bool really, bool dry)
{
    finding_t finding;
    repair_report_t report;
    error_t err = {0};
    uint64_t salt;
    clock_random(&salt, sizeof salt);
    begin(&finding, ctl);
    survey_sink_t sink = {.ctx = &finding, .damage = note_damage};
    bool good = journal_repair(&journal->folder, salt | 1, really, &sink, &report, &err);
    int code = good ? CTL_OK : journal_folder_fail(ctl, &err);
    if (good)
        print_repair(&finding, journal, &report, really);
    if (good && report.files && !really && !dry) {
        ctl_note(ctl, "nothing was changed; with --yes it is done, and the damaged files are kept in %s/" ATTIC_NAME,
                 journal->folder.path);
        code = CTL_DATA;
    }
    end(&finding);
    return code;
}

static int run_repair(ctl_t *ctl, const args_t *args)
{
    journal_folder_t journal;
    error_t err = {0};
    bool really = args_given(args, "yes"), dry = args_given(args, "dry-run");
    if (really && dry)
        return ctl_complain(ctl, CTL_USAGE, "--yes does it, --dry-run does not: say one of them");
    int code = journal_folder_open(&journal, args, false, &err) ? repair(ctl, &journal, really, dry)
                                                                : journal_folder_fail(ctl, &err);
    journal_folder_close(&journal);
    return code;
}

static const arg_option_t REPAIR_OPTIONS[] = {
    {"yes", ARG_FLAG, NULL, "do it; without it, only what would be done is shown"},
    {"dry-run", ARG_FLAG, NULL, "only show it, and end with 0"},
};

static const char *const REPAIR_EXAMPLES[] = {"mangactl journal repair /var/tmp/mangabus-root/journal --dry-run",
                                              "mangactl journal repair --yes", NULL};

const command_t command_journal_repair = {
    .name = "journal repair",
    .arguments = "[DIR]",
    .summary = "make a stopped broker's journal open again after damage",
    .about = "For a journal that a broker refuses. Records that hold by themselves are saved, also out of damaged "
             "batches; each\n"
             "lost one becomes a note under its sequence. Each damaged file stays as it is, in attic/ beside the "
             "others, and a\n"
             "repaired copy takes its name; no byte is overwritten. Then the broker starts. Records that speak of lost "
             "ones\n"
             "are passed over, so a message whose settling is lost comes back. In the place of a damaged snapshot the "
             "one before\n"
             "it is taken, or the log itself, when it is still there; of a damaged kept file, what holds. Exit code 65 "
             "when there is damage and "
             "--yes was\n"
             "not said.",
    .options = CTL_OPTIONS(REPAIR_OPTIONS),
    .least = 0,
    .most = 1,
    .examples = REPAIR_EXAMPLES,
    .run = run_repair,
};
