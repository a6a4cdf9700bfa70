/* cmd_tail.c: shows events as they come. */
#include "tools/mangactl/event_line.h"
#include "tools/mangactl/stream.h"
#include "tools/mangactl/verbs.h"

static bool on_event(void *ctx, const bus_delivery_t *delivery)
{
    ctl_t *ctl = ctx;
    event_line_t event = event_line_of(delivery);
    bool ok = event_line_print(ctl, &event);
    (void)fflush(ctl->out);
    return ok && !ferror(ctl->out);
}

static int tail(ctl_t *ctl, stream_t *stream)
{
    int code = stream_run(stream);
    if (code == CTL_OK && stream->count && stream->seen < stream->count && ctl->timed_out)
        return CTL_NO;
    return code;
}

static int run(ctl_t *ctl, const args_t *args)
{
    stream_t stream = {.ctl = ctl,
                       .name = args_text(args, "name", NULL),
                       .live_only = args_given(args, "live-only"),
                       .replays_only = args_given(args, "replays-only"),
                       .each = on_event,
                       .ctx = ctl};
    buf_t pattern = {0};
    error_t err = {0};
    int code = CTL_USAGE;
    if (stream.live_only && stream.replays_only)
        (void)ctl_complain(ctl, code, "--live-only and --replays-only leave nothing to show");
    else
        code = stream_options(&stream, args, &pattern, &err) ? tail(ctl, &stream) : ctl_fail(ctl, &err);
    ctl_disconnect(ctl);
    buf_free(&pattern);
    return code;
}

static const arg_option_t OPTIONS[] = {
    STREAM_OPTION_ROWS,
    {"name", ARG_TEXT, "NAME", "be the subscriber NAME, to whom replay --to-subscriber NAME can send"},
    {"live-only", ARG_FLAG, NULL, "leave replays out"},
    {"replays-only", ARG_FLAG, NULL, "show replays alone"},
};

static const char *const EXAMPLES[] = {
    "mangactl tail --timeout 2s",
    "mangactl tail MangaAssist-AI-Events --since 5m --json --timeout 2s",
    "mangactl tail MangaAssist-AI-Events --pattern '{\"detail-type\": [\"MessageReceived\"]}' --since 1h --count 1 "
    "--timeout 2s",
    NULL,
};

const command_t command_tail = {
    .name = "tail",
    .arguments = "[BUS]",
    .summary = "show events as they come",
    .about = "Without a bus, those of every bus. Each line has the time (UTC), the record, bus, source, detail-type\n"
             "and the detail's beginning; with --json everything, one object a line. Ends with Ctrl-C; with --count,\n"
             "exit code 1 when --timeout was over first.",
    .options = CTL_OPTIONS(OPTIONS),
    .least = 0,
    .most = 1,
    .examples = EXAMPLES,
    .run = run,
};
