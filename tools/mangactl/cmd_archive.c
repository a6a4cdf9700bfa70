/* cmd_archive.c: which archives there are, what is in them, and their events, read from the files. */
#include <inttypes.h>
#include <stdlib.h>

#include "broker/rules/pattern.h"
#include "kit/clock.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/archive_folders.h"
#include "tools/mangactl/event_line.h"
#include "tools/mangactl/journal_folder.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

#define JOURNAL_OPTION                                                                                                 \
    {                                                                                                                  \
        "journal", ARG_TEXT, "DIR", "the broker's journal folder (that of MANGABUS_STATE)"                             \
    }

static bool open_folder(folder_t *folder, const args_t *args, error_t *err)
{
    char path[CTL_PATH_BYTES];
    const char *given = args_text(args, "journal", NULL);
    if (!given)
        journal_folder_default(path, sizeof path);
    return folder_init(folder, given ? given : path, NULL, err);
}

/* -- ls and info ------------------------------------------------------------------------------------- */
typedef struct {
    ctl_t *ctl;
    table_t table;
    buf_t json;
    bool by_file;
    uint64_t files, events, bytes, damaged;
    int64_t first_us, last_us;
    uint64_t first, last;
} summary_t;

static void put_times(summary_t *s, int64_t first_us, int64_t last_us)
{
    char first[TIMEFMT_MS_BYTES] = "-", last[TIMEFMT_MS_BYTES] = "-";
    if (last_us) {
        timefmt_ms(first_us, first);
        timefmt_ms(last_us, last);
    }
    table_add(&s->table, "%s", first);
    table_add(&s->table, "%s", last);
}

static void put_json(summary_t *s, const char *key, const char *name, uint64_t files, const archive_header_t *h,
                     const char *what)
{
    buf_printf(&s->json,
               "%s{\"%s\":\"%s\",\"files\":%" PRIu64 ",\"events\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"first\":%" PRIu64
               ",\"last\":%" PRIu64 ",\"first_us\":%" PRId64 ",\"last_us\":%" PRId64 ",\"damaged\":%s%s%s}",
               s->json.len ? "," : "", key, name, files, h->records, h->bytes, h->first, h->last, h->first_us,
               h->last_us, what ? "\"" : "", what ? what : "false", what ? "\"" : "");
}

static void put_file(summary_t *s, const char *name, const archive_t *archive, const char *what)
{
    const archive_header_t none = {0}, *h = archive ? &archive->header : &none;
    if (s->ctl->json) {
        put_json(s, "file", name, 1, h, what);
        return;
    }
    table_add(&s->table, "%s", name);
    table_add(&s->table, "%" PRIu64, h->records);
    table_add(&s->table, "%" PRIu64, h->bytes);
    put_times(s, h->first_us, h->last_us);
    table_add(&s->table, "%s", what ? what : "");
}

static bool sum_file(void *ctx, const char *name, archive_t *archive, const flaw_t *flaw, const error_t *why)
{
    summary_t *s = ctx;
    (void)why;
    s->files++;
    s->damaged += !archive;
    if (s->by_file)
        put_file(s, name, archive, archive ? NULL : flaw->why ? flaw->why : "cannot be read");
    if (!archive)
        return true;
    const archive_header_t *h = &archive->header;
    s->first = s->events ? s->first : h->first;
    s->first_us = s->events ? s->first_us : h->first_us;
    s->last = h->last;
    s->last_us = h->last_us;
    s->events += h->records;
    s->bytes += h->bytes;
    return true;
}

static void put_archive(summary_t *s, const char *name)
{
    const archive_header_t all = {.records = s->events,
                                  .bytes = s->bytes,
                                  .first = s->first,
                                  .last = s->last,
                                  .first_us = s->first_us,
                                  .last_us = s->last_us};
    if (s->ctl->json) {
        put_json(s, "archive", name, s->files, &all, s->damaged ? "true" : NULL);
        return;
    }
    table_add(&s->table, "%s", name);
    table_add(&s->table, "%" PRIu64, s->files);
    table_add(&s->table, "%" PRIu64, s->events);
    table_add(&s->table, "%" PRIu64, s->bytes);
    put_times(s, s->first_us, s->last_us);
    table_add(&s->table, "%s", s->damaged ? "DAMAGED" : "");
}

static int print_summary(summary_t *s, bool good, const error_t *err)
{
    ctl_t *ctl = s->ctl;
    int code = good ? s->damaged ? CTL_DATA : CTL_OK : journal_folder_fail(ctl, err);
    if (good && ctl->json)
        fprintf(ctl->out, "[%s]\n", s->json.len ? buf_cstr(&s->json) : "");
    if (good && !ctl->json)
        table_end(&s->table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    else
        table_free(&s->table);
    buf_free(&s->json);
    return code;
}

static int run_ls(ctl_t *ctl, const args_t *args)
{
    static const char *const titles[] = {"<archive", "files", "events", "bytes", "<first", "<last", "<", NULL};
    summary_t s = {.ctl = ctl};
    folder_t folder;
    archive_names_t names = {0};
    error_t err = {0};
    uint64_t damaged = 0;
    table_begin(&s.table, titles);
    bool good = open_folder(&folder, args, &err) && archive_names_read(&names, &folder, &err);
    for (size_t i = 0; good && i < names.count; i++) {
        s.files = s.events = s.bytes = s.damaged = 0;
        s.first_us = s.last_us = 0;
        good = archive_each_file(&folder, names.names[i], sum_file, &s, &err);
        put_archive(&s, names.names[i]);
        damaged += s.damaged;
    }
    s.damaged = damaged;
    archive_names_free(&names);
    return print_summary(&s, good, &err);
}

static bool need_archive(const folder_t *folder, const char *name, error_t *err)
{
    archive_names_t names = {0};
    bool good = archive_names_read(&names, folder, err);
    if (good && !archive_names_have(&names, name))
        good = error_set(err, STATUS_NOT_FOUND, NULL,
                         "%s/" ARCHIVES_NAME " has no archive \"%s\": `mangactl archive ls` shows those that are there",
                         folder->path, name);
    archive_names_free(&names);
    return good;
}

static int run_info(ctl_t *ctl, const args_t *args)
{
    static const char *const titles[] = {"<file", "events", "bytes", "<first", "<last", "<", NULL};
    summary_t s = {.ctl = ctl, .by_file = true};
    folder_t folder;
    error_t err = {0};
    table_begin(&s.table, titles);
    bool good = open_folder(&folder, args, &err) && need_archive(&folder, args->positional[0], &err) &&
                archive_each_file(&folder, args->positional[0], sum_file, &s, &err);
    return print_summary(&s, good, &err);
}

/* -- read -------------------------------------------------------------------------------------------- */
typedef struct {
    ctl_t *ctl;
    int64_t since_us, until_us; /* 0: none */
    bytes_t id;                 /* empty: any */
    pattern_t *pattern;         /* NULL: any */
    int64_t count;              /* 0: all */
    int64_t seen;
    uint64_t through;
    record_t *record;
    error_t *err;
} read_t;

static bool is_wanted(const read_t *r, const record_t *record)
{
    bytes_t id;
    return record->kind == RECORD_PUBLISH && (!r->since_us || record->ingest_us >= r->since_us) &&
           (!r->until_us || record->ingest_us < r->until_us) &&
           (!r->id.len || (mp_map_str(record->publish.body, "id", &id) && bytes_eq(id, r->id))) &&
           (!r->pattern || pattern_match(r->pattern, record->publish.body, BYTES_NONE));
}

/* False when that was enough, or with an error. */
static bool show(read_t *r, bytes_t raw)
{
    if (!record_decode(raw, r->record, r->err))
        return false;
    if (!is_wanted(r, r->record))
        return true;
    const event_line_t line = {.record = r->record->seq,
                               .ingest_us = r->record->ingest_us,
                               .bus = r->record->publish.bus,
                               .attrs = r->record->publish.attrs,
                               .body = r->record->publish.body};
    r->seen++;
    return event_line_print(r->ctl, &line) && (!r->count || r->seen < r->count);
}

static bool read_by_id(read_t *r, archive_t *archive)
{
    bytes_t raw;
    for (size_t nth = 0; archive_find(archive, r->id, nth, &raw, r->err); nth++)
        if (!raw.len)
            return true;
        else if (!show(r, raw))
            return false;
    return false;
}

static bool read_file(void *ctx, const char *name, archive_t *archive, const flaw_t *flaw, const error_t *why)
{
    read_t *r = ctx;
    bytes_t raw;
    (void)name;
    (void)flaw;
    if (!archive) {
        *r->err = *why;
        return false;
    }
    const archive_header_t *h = &archive->header;
    r->through = h->through;
    if ((r->since_us && h->last_us < r->since_us) || (r->until_us && h->first_us >= r->until_us))
        return true;
    if (r->id.len)
        return read_by_id(r, archive);
    for (uint64_t seq = r->since_us ? archive_seq_at(archive, r->since_us) : h->first;
         archive_seek(archive, seq, &raw, r->err); seq = r->record->seq + 1) {
        if (!raw.len)
            return true;
        if (!show(r, raw))
            return false;
    }
    return false;
}

static bool read_options(read_t *r, const args_t *args, error_t *err)
{
    buf_t json = {0};
    const char *pattern = args_text(args, "pattern", NULL);
    r->id = bytes_cstr(args_text(args, "id", NULL));
    r->count = args_number(args, "count", 0);
    int64_t now_us = clock_wall_us();
    if (!args_moment_of(args, "since", now_us, &r->since_us, err) ||
        !args_moment_of(args, "until", now_us, &r->until_us, err))
        return false;
    bool good = !pattern || (ctl_read_document(pattern, &json, err) &&
                             (r->pattern = pattern_compile(buf_bytes(&json), err)) != NULL);
    buf_free(&json);
    return good;
}

static int end_read(read_t *r, const folder_t *folder, error_t *err)
{
    if (err->code != STATUS_OK)
        return journal_folder_fail(r->ctl, err);
    if (!r->count || r->seen < r->count)
        ctl_note(r->ctl,
                 "%lld events; records behind %llu are in the log alone: `mangactl replay` has them too, and "
                 "`mangactl journal dump %s` those of a stopped broker",
                 (long long)r->seen, (unsigned long long)r->through, folder->path);
    return r->seen ? CTL_OK : CTL_NO;
}

static int run_read(ctl_t *ctl, const args_t *args)
{
    folder_t folder = {0};
    error_t err = {0};
    read_t r = {.ctl = ctl, .record = malloc(sizeof *r.record), .err = &err};
    int code = CTL_USAGE;
    if (!r.record)
        code = ctl_complain(ctl, CTL_TRY_AGAIN, "out of memory");
    else if (!read_options(&r, args, &err))
        (void)ctl_fail(ctl, &err);
    else {
        if (open_folder(&folder, args, &err) && need_archive(&folder, args->positional[0], &err))
            (void)!archive_each_file(&folder, args->positional[0], read_file, &r, &err);
        code = end_read(&r, &folder, &err);
    }
    pattern_free(&r.pattern);
    free(r.record);
    return code;
}

/* -- commands ---------------------------------------------------------------------------------------- */
static const arg_option_t FOLDER_OPTIONS[] = {JOURNAL_OPTION};
static const arg_option_t READ_OPTIONS[] = {
    JOURNAL_OPTION,
    {"since", ARG_TEXT, "WHEN", "taken in at or after an RFC 3339 time, or a time ago such as 2h"},
    {"until", ARG_TEXT, "WHEN", "taken in before it"},
    {"pattern", ARG_TEXT, "JSON", "only events that match this EventBridge pattern (or @FILE)"},
    {"id", ARG_TEXT, "ID", "only the event with this id: the index finds it"},
    {"count", ARG_COUNT, "N", "end after so many events"},
};

static const char *const LS_EXAMPLES[] = {"mangactl archive ls", "mangactl archive ls --json", NULL};
static const char *const INFO_EXAMPLES[] = {"mangactl archive info manga-assist-ai-archive", NULL};
static const char *const READ_EXAMPLES[] = {
    "mangactl archive read manga-assist-ai-archive --since 2h --count 10",
    "mangactl archive read manga-assist-ai-archive --pattern '{\"detail-type\":[\"MessageReceived\"]}' --json", NULL};

const command_t command_archive_ls = {
    .name = "archive ls",
    .arguments = "",
    .summary = "the archives: events, bytes, from when to when",
    .about = "Read from the files beside the journal; a broker may be at work. What is newer than an archive's last "
             "event is in the\nlog. Exit code 65 when a file does not hold.",
    .options = CTL_OPTIONS(FOLDER_OPTIONS),
    .least = 0,
    .most = 0,
    .examples = LS_EXAMPLES,
    .run = run_ls,
};

const command_t command_archive_info = {
    .name = "archive info",
    .arguments = "ARCHIVE",
    .summary = "one archive file by file",
    .about = "Read from the files beside the journal; a broker may be at work. Exit code 65 when a file does not hold.",
    .options = CTL_OPTIONS(FOLDER_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = INFO_EXAMPLES,
    .run = run_info,
};

const command_t command_archive_read = {
    .name = "archive read",
    .arguments = "ARCHIVE",
    .summary = "the events of an archive, oldest first",
    .about = "Read from the files beside the journal; a broker may be at work. Lines for people, with --json an object "
             "a line.\nExit code 1 when there is none, 65 when a file does not hold: file and offset are told.",
    .options = CTL_OPTIONS(READ_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = READ_EXAMPLES,
    .run = run_read,
};
