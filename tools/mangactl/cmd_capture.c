/* cmd_capture.c: keeps events in a file as the broker's own records, and shows such a file. */
#include <stdlib.h>

#include "kit/clock.h"
#include "proto/attrs.h"
#include "proto/msgpack.h"
#include "tools/mangactl/capture_set.h"
#include "tools/mangactl/event_line.h"
#include "tools/mangactl/event_source.h"
#include "tools/mangactl/redact.h"
#include "tools/mangactl/stream.h"
#include "tools/mangactl/verbs.h"

#define PROGRESS_US 1000000

/* -- capture --------------------------------------------------------------------------------------- */
typedef struct {
    ctl_t *ctl;
    capture_set_t set;
    redact_t redact;
    record_publish_t *event; /* large: its list of routes, which stays empty */
    int64_t told_us;
    error_t err;
} capture_t;

static void tell_progress(capture_t *capture)
{
    int64_t now_us = clock_mono_us();
    if (now_us - capture->told_us < PROGRESS_US)
        return;
    capture->told_us = now_us;
    ctl_note(capture->ctl, "%llu events, %llu bytes", (unsigned long long)capture_set_events(&capture->set),
             (unsigned long long)capture_set_bytes(&capture->set));
}

static bool on_event(void *ctx, const bus_delivery_t *delivery)
{
    capture_t *capture = ctx;
    event_line_t line = event_line_of(delivery);
    *capture->event = (record_publish_t){.bus = line.bus, .replay_name = line.replay_name, .attrs = line.attrs};
    bool ok = redact_event(&capture->redact, line.body, &capture->event->body, &capture->err) &&
              capture_set_event(&capture->set, line.record, line.ingest_us, capture->event, &capture->err);
    tell_progress(capture);
    return ok;
}

/* What each file says of itself at its beginning. */
static void describe(const capture_t *capture, const stream_t *stream, buf_t *fields)
{
    mp_put_map(fields, capture->redact.count ? 4 : 3);
    mp_put_cstr(fields, "endpoint");
    mp_put_cstr(fields, capture->ctl->endpoint);
    mp_put_cstr(fields, "bus");
    mp_put_cstr(fields, stream->bus);
    mp_put_cstr(fields, "pattern");
    mp_put_cstr(fields, stream->pattern ? stream->pattern : "");
    if (capture->redact.count) {
        mp_put_cstr(fields, "redacted");
        mp_put_array(fields, (uint32_t)capture->redact.count);
    }
    for (size_t i = 0; i < capture->redact.count; i++)
        mp_put_str(fields, capture->redact.paths[i].text);
}

static void put_files(const capture_set_t *set, buf_t *text)
{
    char name[CTL_PATH_BYTES];
    for (uint64_t n = set->first; n <= set->number; n++) {
        buf_append_cstr(text, n == set->first ? ",\"files\":[" : ",");
        if (capture_set_name(set, n, name))
            json_string_append(text, bytes_cstr(name));
    }
    buf_append_byte(text, ']');
}

static void report_json(const capture_t *capture, const stream_t *stream, const char *path)
{
    const capture_set_t *set = &capture->set;
    buf_t text = {0};
    buf_append_cstr(&text, "{\"file\":");
    json_string_append(&text, bytes_cstr(path));
    buf_printf(&text, ",\"events\":%llu,\"bytes\":%llu,\"gaps\":%llu", (unsigned long long)capture_set_events(set),
               (unsigned long long)capture_set_bytes(set), (unsigned long long)stream->gaps);
    if (capture_set_is_numbered(set))
        put_files(set, &text);
    for (size_t i = 0; i < capture->redact.count; i++) {
        buf_append_cstr(&text, i ? "," : ",\"redacted\":{");
        json_string_append(&text, capture->redact.paths[i].text);
        buf_printf(&text, ":%llu", (unsigned long long)capture->redact.paths[i].replaced);
    }
    fprintf(capture->ctl->out, "%s%s}\n", buf_cstr(&text), capture->redact.count ? "}" : "");
    buf_free(&text);
}

static int report(const capture_t *capture, const stream_t *stream, const char *path)
{
    const capture_set_t *set = &capture->set;
    FILE *out = capture->ctl->out;
    char first[CTL_PATH_BYTES];
    if (capture->ctl->json) {
        report_json(capture, stream, path);
        return CTL_OK;
    }
    bool is_many = set->number > set->first && capture_set_name(set, set->first, first);
    fprintf(out, "%llu events in %s%s%s (%llu bytes)\n", (unsigned long long)capture_set_events(set),
            is_many ? first : "", is_many ? " to " : "", set->name, (unsigned long long)capture_set_bytes(set));
    for (size_t i = 0; i < capture->redact.count; i++)
        fprintf(out, "%llu values of %.*s redacted\n", (unsigned long long)capture->redact.paths[i].replaced,
                BYTES_FMT(capture->redact.paths[i].text));
    return CTL_OK;
}

static int capture_to(capture_t *capture, stream_t *stream)
{
    error_t err = {0};
    ctl_t *ctl = capture->ctl;
    if (!capture_set_begin(&capture->set, &err))
        return ctl_fail(ctl, &err);
    int code = stream_run(stream);
    if (capture->err.code != STATUS_OK)
        return ctl_complain(ctl, CTL_DISK, "%s", capture->err.message);
    if (!capture_set_end(&capture->set, &err))
        return ctl_complain(ctl, CTL_DISK, "%s", err.message);
    return code == CTL_OK ? report(capture, stream, capture->set.path) : code;
}

/* Where to, and in how many files. */
static bool read_set(const args_t *args, capture_set_t *set, error_t *err)
{
    const char *rotate = args_text(args, "rotate", NULL);
    set->path = args_text(args, "out", NULL);
    set->force = args_given(args, "force");
    if (!set->path)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--out FILE says where the capture goes");
    if (rotate && set->force)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "--force has nothing to overwrite with --rotate: files are numbered on");
    return !rotate || capture_rotate_read(rotate, &set->rotate, err);
}

static bool read_options(const args_t *args, stream_t *stream, buf_t *pattern, error_t *err)
{
    const char *until = args_text(args, "until", NULL);
    if (until && !args_moment(until, clock_wall_us(), &stream->until_us))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--until is an RFC 3339 time or a time ago, not \"%s\"",
                         until);
    return stream_options(stream, args, pattern, err);
}

static int run(ctl_t *ctl, const args_t *args)
{
    capture_t capture = {.ctl = ctl, .event = calloc(1, sizeof(record_publish_t)), .told_us = clock_mono_us()};
    stream_t stream = {.ctl = ctl, .each = on_event, .ctx = &capture};
    buf_t pattern = {0}, fields = {0};
    error_t err = {0};
    int code = CTL_USAGE;
    if (!capture.event || !read_set(args, &capture.set, &err) ||
        !redact_init(&capture.redact, args_text(args, "redact", NULL), &err) ||
        !read_options(args, &stream, &pattern, &err))
        (void)ctl_fail(ctl, &err);
    else {
        describe(&capture, &stream, &fields);
        capture.set.fields = buf_bytes(&fields);
        code = capture_to(&capture, &stream);
    }
    ctl_disconnect(ctl);
    capture_set_close(&capture.set);
    buf_free(&fields);
    redact_free(&capture.redact);
    free(capture.event);
    buf_free(&pattern);
    return code;
}

static const arg_option_t OPTIONS[] = {
    {"out", ARG_TEXT, "FILE", "where to; a new file"},
    {"force", ARG_FLAG, NULL, "overwrite the file"},
    {"rotate", ARG_TEXT, "SIZE|TIME", "go on in the next of numbered files, FILE.000001 and so on, after 64MiB or 1h"},
    {"redact", ARG_TEXT, "PATH[,PATH]", "keep " REDACT_TEXT " for what stands there, such as detail.customer_email"},
    STREAM_OPTION_ROWS,
    {"until", ARG_TEXT, "WHEN", "end at an RFC 3339 time, or a time ago; 0s is now"},
};

static const char *const EXAMPLES[] = {
    "mangactl capture MangaAssist-AI-Events --since 1h --until 0s --out /tmp/hour.capture",
    "mangactl capture '*' --out /tmp/all.capture --timeout 1s",
    "mangactl capture '*' --out /tmp/safe.capture --redact detail.customer_email,detail.items.name --timeout 1s",
    "mangactl capture '*' --out /tmp/long.capture --rotate 64MiB --timeout 1s",
    "mangactl capture show /tmp/all.capture",
    NULL,
};

const command_t command_capture = {
    .name = "capture",
    .arguments = "[BUS]",
    .summary = "keep events in a file, to look at or to replay",
    .about =
        "Without a bus (or with '*') those of every bus. The file holds the broker's own records\n"
        "(docs/capture-format.md). Ends with --until, --count, --timeout or Ctrl-C.\n"
        "--redact takes values out before they are written: names from \"detail\" on with dots between them, each\n"
        "element of an array alike. Attributes (a message's group, a deduplication key) stay.",
    .options = CTL_OPTIONS(OPTIONS),
    .least = 0,
    .most = 1,
    .examples = EXAMPLES,
    .run = run,
};

/* -- capture show ---------------------------------------------------------------------------------- */
static void show_note(ctl_t *ctl, const record_note_t *note)
{
    buf_t text = {0};
    if (note->fields.len && json_from_msgpack(note->fields, JSON_COMPACT, &text, NULL))
        ctl_note(ctl, "%s%.*s %s%s", ctl_dim(ctl), BYTES_FMT(note->event), buf_cstr(&text), ctl_plain(ctl));
    buf_free(&text);
}

static bool show_record(ctl_t *ctl, const record_t *record, bool quiet)
{
    if (record->kind == RECORD_NOTE && !quiet)
        show_note(ctl, &record->note);
    if (record->kind != RECORD_PUBLISH || quiet)
        return true;
    event_line_t line = {.record = record->seq,
                         .ingest_us = record->ingest_us,
                         .bus = record->publish.bus,
                         .replay_name = record->publish.replay_name,
                         .attrs = record->publish.attrs,
                         .body = record->publish.body};
    return event_line_print(ctl, &line);
}

static int show_capture(ctl_t *ctl, capture_file_t *file, bool quiet)
{
    const record_t *record;
    error_t err = {0};
    bool complete = false, ok = true;
    while (ok && capture_next(file, &record, &err)) {
        ok = show_record(ctl, record, quiet);
        complete = record->kind == RECORD_NOTE && bytes_eq_cstr(record->note.event, "capture-end");
    }
    if (err.code != STATUS_OK)
        return ctl_fail(ctl, &err);
    if (!complete)
        ctl_note(ctl, "the capture was not ended: what was under way when it stopped may be missing");
    if (quiet && !ctl->json)
        fprintf(ctl->out, "%llu events, %llu bytes, every checksum right\n", (unsigned long long)file->events,
                (unsigned long long)file->bytes);
    if (quiet && ctl->json)
        fprintf(ctl->out, "{\"events\":%llu,\"bytes\":%llu,\"complete\":%s}\n", (unsigned long long)file->events,
                (unsigned long long)file->bytes, complete ? "true" : "false");
    return ok ? CTL_OK : CTL_DATA;
}

static int show_lines(ctl_t *ctl, event_source_t *source, bool quiet)
{
    source_event_t event;
    error_t err = {0};
    uint64_t events = 0;
    bool ok = true;
    while (ok && source->next(source->self, &event, &err)) {
        event_line_t line = {.record = event.record,
                             .ingest_us = event.ingest_us,
                             .bus = event.bus,
                             .replay_name = event.replay_name,
                             .attrs = event.attrs,
                             .body = event.body};
        ok = quiet || event_line_print(ctl, &line);
        events++;
    }
    if (err.code != STATUS_OK)
        return ctl_fail(ctl, &err);
    if (quiet)
        fprintf(ctl->out, ctl->json ? "{\"events\":%llu}\n" : "%llu events, every line right\n",
                (unsigned long long)events);
    return ok ? CTL_OK : CTL_DATA;
}

static int run_show(ctl_t *ctl, const args_t *args)
{
    const char *path = args->positional[0];
    bool quiet = args_given(args, "verify");
    capture_file_t file = {0};
    event_source_t lines = {0};
    error_t err = {0};
    int code;
    if (strcmp(path, "-") != 0 && capture_open(&file, path, &err))
        code = show_capture(ctl, &file, quiet);
    else if (err.code == STATUS_OK || err.code == STATUS_INVALID_ARGUMENT) /* it is there, and no capture */
        code = event_source_file(path, "", &lines, &err) ? show_lines(ctl, &lines, quiet) : ctl_fail(ctl, &err);
    else
        code = ctl_fail(ctl, &err);
    event_source_close(&lines);
    capture_close(&file);
    return code;
}

static const arg_option_t SHOW_OPTIONS[] = {
    {"verify", ARG_FLAG, NULL, "only check every record's checksum (every line), and count"},
};

static const char *const SHOW_EXAMPLES[] = {
    "mangactl capture show /tmp/all.capture",
    "mangactl capture show /tmp/all.capture --json",
    "mangactl capture show /tmp/all.capture --verify",
    NULL,
};

const command_t command_capture_show = {
    .name = "capture show",
    .arguments = "FILE",
    .summary = "show a capture file, or lines of events, each event a line",
    .about =
        "Every record's checksum is verified; needs no broker. FILE may also be JSON Lines, as mangactl replay takes\n"
        "them; - is those on standard input.",
    .options = CTL_OPTIONS(SHOW_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = SHOW_EXAMPLES,
    .run = run_show,
};
