/* cmd_replay.c: publishes a capture, or lines of events, again, in order and marked as a replay. */
#include <stdlib.h>
#include <time.h>

#include "kit/clock.h"
#include "proto/attrs.h"
#include "proto/envelope.h"
#include "tools/mangactl/event_source.h"
#include "tools/mangactl/verbs.h"

#define UNANSWERED_MAX 1000 /* what is read ahead of the answers */
#define SPEED_MAX 1000000
#define US_PER_MS 1000
#define PROGRESS_US 1000000
#define CAPTURE_SPAN_MAX_US (INT64_C(100) * 365 * 86400 * 1000000) /* what is longer is no capture of ours */

typedef struct {
    ctl_t *ctl;
    event_source_t source;
    char name[64];
    char to[WIRE_NAME_MAX_BYTES + 16]; /* "" for the bus */
    int64_t speed;                     /* times the original pace; 0: as fast as it goes */
    bool dry_run;
    loop_timer_t *turn;
    int64_t began_us, first_ingest_us, told_us; /* monotonic; of the events; monotonic */
    source_event_t waiting;                     /* read, and not due yet */
    bool is_waiting, at_end;
    uint64_t published, accepted, refused, bytes;
    error_t refusal; /* the first */
    error_t broken;  /* of the file */
} replay_t;

/* -- publishing ------------------------------------------------------------------------------------ */
static void on_result(void *ctx, const error_t *err, uint64_t record, bool duplicate)
{
    (void)record;
    (void)duplicate;
    replay_t *replay = ctx;
    if (err && replay->refused++ == 0)
        replay->refusal = *err;
    replay->accepted += err == NULL;
    loop_timer_in(replay->turn, 0);
}

/* What an earlier replay wrote is not of the event: this one writes its own. */
static bool own_attrs(bytes_t attrs, buf_t *out, error_t *err)
{
    attrs_writer_t writer = attrs_begin(out);
    bytes_t name;
    attr_value_t value;
    for (size_t at = 0; attrs_next(attrs, &at, &name, &value);)
        if (!bytes_eq_cstr(name, ATTR_REPLAY_NAME))
            attrs_put_value(&writer, name, &value);
    return attrs_end(&writer, err);
}

static bool publish(replay_t *replay, const source_event_t *event, error_t *err)
{
    char bus[WIRE_NAME_MAX_BYTES + 1];
    buf_t attrs = {0};
    bool ok = bytes_to_cstr(event->bus, bus, sizeof bus) ||
              error_set(err, STATUS_INVALID_ARGUMENT, NULL, "event %llu: the bus has no usable name",
                        (unsigned long long)event->number);
    ok = ok && own_attrs(event->attrs, &attrs, err);
    bus_raw_event_t raw = {.bus = bus,
                           .envelope = event->body,
                           .attrs = buf_bytes(&attrs),
                           .replay_name = bytes_cstr(replay->name),
                           .to = bytes_cstr(replay->to)};
    ok = ok && (replay->dry_run || bus_publish_raw(replay->ctl->bus, &raw, on_result, replay, err));
    buf_free(&attrs);
    return ok;
}

/* -- reading in order ------------------------------------------------------------------------------ */
/* The next event, or NULL at the end. */
static const source_event_t *next_event(replay_t *replay)
{
    if (!replay->is_waiting && !replay->at_end) {
        replay->is_waiting = replay->source.next(replay->source.self, &replay->waiting, &replay->broken);
        replay->at_end = !replay->is_waiting;
    }
    return replay->is_waiting ? &replay->waiting : NULL;
}

static void tell_progress(replay_t *replay, int64_t now_us)
{
    if (now_us - replay->told_us < PROGRESS_US)
        return;
    replay->told_us = now_us;
    ctl_note(replay->ctl, "%llu events published", (unsigned long long)replay->published);
}

/* Monotonic microseconds at which the event is due at the pace asked for. False for a time that no capture has. */
static bool due_us(replay_t *replay, const source_event_t *event, int64_t *due)
{
    int64_t behind_us;
    *due = 0;
    if (replay->speed == 0)
        return true;
    if (replay->published == 0)
        replay->first_ingest_us = event->ingest_us;
    if (__builtin_sub_overflow(event->ingest_us, replay->first_ingest_us, &behind_us) || behind_us < 0 ||
        behind_us > CAPTURE_SPAN_MAX_US)
        return error_set(&replay->broken, STATUS_DATA_LOSS, NULL,
                         "event %llu is from before the first one, or a century after it: replay it with --speed full",
                         (unsigned long long)event->number);
    *due = replay->began_us + behind_us / replay->speed;
    return true;
}

static bool is_due(replay_t *replay, const source_event_t *event)
{
    int64_t due, now_us = clock_mono_us();
    tell_progress(replay, now_us);
    if (!due_us(replay, event, &due)) {
        replay->is_waiting = false;
        replay->at_end = true;
        return false;
    }
    if (due > now_us)
        loop_timer_at(replay->turn, due);
    return due <= now_us;
}

static void on_turn(void *ctx)
{
    replay_t *replay = ctx;
    const source_event_t *event;
    while (replay->published - replay->accepted - replay->refused < UNANSWERED_MAX && (event = next_event(replay))) {
        if (!is_due(replay, event))
            break;
        if (!publish(replay, event, &replay->broken))
            replay->at_end = true;
        replay->published += replay->broken.code == STATUS_OK;
        replay->bytes += event->body.len;
        replay->is_waiting = false;
    }
    if (replay->at_end && replay->published == replay->accepted + replay->refused)
        ctl_done(replay->ctl);
}

/* -- report ---------------------------------------------------------------------------------------- */
static void report_json(const replay_t *replay, int64_t took_ms)
{
    buf_t name = {0};
    json_string_append(&name, bytes_cstr(replay->name));
    fprintf(replay->ctl->out,
            "{\"replay\":%s,\"published\":%llu,\"accepted\":%llu,\"refused\":%llu,\"bytes\":%llu,\"duration_ms\":%lld,"
            "\"dry_run\":%s}\n",
            buf_cstr(&name), (unsigned long long)replay->published, (unsigned long long)replay->accepted,
            (unsigned long long)replay->refused, (unsigned long long)replay->bytes, (long long)took_ms,
            replay->dry_run ? "true" : "false");
    buf_free(&name);
}

static int report(const replay_t *replay)
{
    ctl_t *ctl = replay->ctl;
    int64_t took_ms = (clock_mono_us() - replay->began_us) / US_PER_MS;
    uint64_t open = replay->published - replay->accepted - replay->refused;
    const char *to = replay->to[0] ? replay->to : "their buses";
    if (ctl->json)
        report_json(replay, took_ms);
    else if (replay->dry_run)
        fprintf(ctl->out, "would replay %llu events (%llu bytes) as %s to %s\n", (unsigned long long)replay->published,
                (unsigned long long)replay->bytes, replay->name, to);
    else
        fprintf(ctl->out, "replayed %llu events as %s to %s: %llu accepted, %llu refused, %lld ms\n",
                (unsigned long long)replay->published, replay->name, to, (unsigned long long)replay->accepted,
                (unsigned long long)replay->refused, (long long)took_ms);
    if (replay->broken.code != STATUS_OK)
        return ctl_fail(ctl, &replay->broken);
    if (replay->refused)
        return ctl_fail(ctl, &replay->refusal);
    if (ctl->interrupted)
        return ctl_complain(ctl, CTL_TRY_AGAIN, "interrupted behind event %llu; %llu had no answer",
                            (unsigned long long)replay->published, (unsigned long long)open);
    if (open && !replay->dry_run)
        return ctl_complain(ctl, CTL_TRY_AGAIN, "%llu events had no answer", (unsigned long long)open);
    return CTL_OK;
}

/* -- running --------------------------------------------------------------------------------------- */
static void count_only(replay_t *replay)
{
    const source_event_t *event;
    while ((event = next_event(replay)) && publish(replay, event, &replay->broken)) {
        replay->published++;
        replay->bytes += event->body.len;
        replay->is_waiting = false;
    }
}

static int replay_all(replay_t *replay)
{
    int code;
    replay->began_us = replay->told_us = clock_mono_us();
    if (replay->dry_run) {
        count_only(replay);
        return report(replay);
    }
    if (!ctl_connect(replay->ctl, &code))
        return code;
    replay->began_us = clock_mono_us();
    replay->turn = loop_timer_new(replay->ctl->loop, on_turn, replay);
    if (!replay->turn)
        return ctl_complain(replay->ctl, CTL_TRY_AGAIN, "out of memory");
    loop_timer_in(replay->turn, 0);
    ctl_wait(replay->ctl);
    loop_timer_end(&replay->turn);
    return report(replay);
}

static bool read_speed(const args_t *args, int64_t *speed, error_t *err)
{
    const char *text = args_text(args, "speed", "full");
    char *end;
    long long number = strtoll(text, &end, 10);
    *speed = strcmp(text, "full") == 0 ? 0 : (int64_t)number;
    if (strcmp(text, "full") == 0 ||
        (end != text && (*end == '\0' || strcmp(end, "x") == 0) && number >= 1 && number <= SPEED_MAX))
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                     "--speed is full, 1 (the original pace), or N times as fast, not \"%s\"", text);
}

static bool read_target(const args_t *args, replay_t *replay, error_t *err)
{
    const char *subscriber = args_text(args, "to-subscriber", NULL), *queue = args_text(args, "to-queue", NULL);
    if (!!subscriber + !!queue + args_given(args, "bus") != 1)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "say where to: --to-subscriber NAME, --to-queue NAME, or --bus for rules and all subscribers");
    int len = snprintf(replay->to, sizeof replay->to, "%s%s",
                       subscriber ? "subscriber:"
                       : queue    ? "queue:"
                                  : "",
                       subscriber ? subscriber
                       : queue    ? queue
                                  : "");
    return len < (int)sizeof replay->to || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the name is too long");
}

static void default_name(char *out, size_t cap)
{
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm utc;
    (void)strftime(out, cap, "replay-%Y%m%dT%H%M%SZ", gmtime_r(&now, &utc));
}

static bool read_name(const args_t *args, replay_t *replay, error_t *err)
{
    const char *name = args_text(args, "name", NULL);
    if (!name)
        default_name(replay->name, sizeof replay->name);
    else if (!name[0] || !bytes_to_cstr(bytes_cstr(name), replay->name, sizeof replay->name))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--name has 1 to %zu bytes", sizeof replay->name - 1);
    return true;
}

/* It must not wait for its input: what is published meanwhile waits for answers, and the session for heartbeats. */
static bool open_source(const args_t *args, replay_t *replay, error_t *err)
{
    const char *path = args->positional[0];
    if (strcmp(path, "-") == 0)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a replay reads a file: keep standard input in one first");
    return event_source_file(path, args_text(args, "event-bus", NULL), &replay->source, err);
}

static int run(ctl_t *ctl, const args_t *args)
{
    replay_t replay = {.ctl = ctl, .dry_run = args_given(args, "dry-run")};
    error_t err = {0};
    int code;
    if (!read_target(args, &replay, &err) || !read_speed(args, &replay.speed, &err) ||
        !read_name(args, &replay, &err)) {
        (void)ctl_fail(ctl, &err);
        code = CTL_USAGE;
    } else if (!open_source(args, &replay, &err)) {
        code = ctl_fail(ctl, &err);
    } else {
        code = replay_all(&replay);
    }
    ctl_disconnect(ctl);
    event_source_close(&replay.source);
    return code;
}

static const arg_option_t OPTIONS[] = {
    {"to-subscriber", ARG_TEXT, "NAME", "to the live subscriber of that name alone (mangactl tail --name NAME)"},
    {"to-queue", ARG_TEXT, "NAME", "into that queue alone"},
    {"bus", ARG_FLAG, NULL, "to their own buses: rules and all subscribers see them, services act on them"},
    {"event-bus", ARG_TEXT, "BUS", "of the events that name none"},
    {"name", ARG_TEXT, "NAME", "of the replay, carried as replay-name by every event (replay-<time>)"},
    {"speed", ARG_TEXT, "full|1|N", "as fast as it goes (full), at the original pace (1), or N times as fast"},
    {"dry-run", ARG_FLAG, NULL, "read and check everything, publish nothing; needs no broker"},
};

static const char *const EXAMPLES[] = {
    "mangactl replay /tmp/all.capture --bus --dry-run",
    "mangactl replay /tmp/all.capture --to-subscriber viewer --speed 10",
    "mangactl capture show /tmp/all.capture --json >/tmp/all.jsonl && mangactl replay /tmp/all.jsonl --bus --dry-run",
    NULL,
};

const command_t command_replay = {
    .name = "replay",
    .arguments = "FILE",
    .summary = "publish a capture or lines of events again, in order, marked as a replay",
    .about = "Order is kept. Consumers tell a replay by replay-name, and key their idempotence by it too. FILE is a "
             "capture,\n"
             "or JSON Lines: what tail --json prints, envelopes as EventBridge's archives have them, or entries of "
             "PutEvents\n"
             "(docs/capture-format.md).",
    .options = CTL_OPTIONS(OPTIONS),
    .least = 1,
    .most = 1,
    .examples = EXAMPLES,
    .run = run,
};
