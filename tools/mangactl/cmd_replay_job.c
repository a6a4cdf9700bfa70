/* cmd_replay_job.c: replays that the broker does: beginning one, watching it to its end, and what holds it up. */
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "kit/clock.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/event_line.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

#define LOOK_MS 200
#define PROGRESS_US 1000000
#define US_PER_S 1000000.0
#define PERMILLE 1000
#define SPEED_MAX 1000000

/* -- telling --------------------------------------------------------------------------------------- */
static int64_t told_us(bytes_t told, const char *key)
{
    int64_t us;
    return mp_map_i64(told, key, &us) ? us : 0;
}

static bool is_state(bytes_t told, const char *state)
{
    return bytes_eq_cstr(ctl_map_text(told, "state", ""), state);
}

static bool is_over(bytes_t told)
{
    return !is_state(told, "RUNNING") && !is_state(told, "PAUSED");
}

static double seconds_of(bytes_t told)
{
    int64_t ended = told_us(told, "ended_us"), until = ended ? ended : told_us(told, "now_us");
    return (double)(until - told_us(told, "began_us")) / US_PER_S;
}

static void print_queues(ctl_t *ctl, bytes_t told)
{
    bytes_t queues, name;
    uint32_t count;
    uint64_t deliveries;
    if (!mp_map_find(told, "queues", &queues))
        return;
    mp_reader_t r = mp_reader(queues);
    if (!mp_get_map(&r, &count))
        return;
    for (uint32_t i = 0; i < count && mp_get_str(&r, &name) && mp_get_u64(&r, &deliveries); i++) {
        fprintf(ctl->out, "  %10llu to queue ", (unsigned long long)deliveries);
        ctl_print_text(ctl->out, name);
        fputc('\n', ctl->out);
    }
}

static void print_report(ctl_t *ctl, bytes_t told)
{
    bool is_dry = false;
    (void)!mp_map_bool(told, "dry_run", &is_dry);
    double seconds = seconds_of(told);
    uint64_t replayed = ctl_map_number(told, "replayed");
    bytes_t waits = ctl_map_text(told, "waits", ""), why = ctl_map_text(told, "why", "");
    ctl_print_text(ctl->out, ctl_map_text(told, "replay", "?"));
    fprintf(ctl->out, " is %.*s: %llu events %s, %llu deliveries, %llu refused, %.1f s",
            BYTES_FMT(ctl_map_text(told, "state", "?")), (unsigned long long)replayed,
            is_dry ? "would be replayed" : "replayed", (unsigned long long)ctl_map_number(told, "deliveries"),
            (unsigned long long)ctl_map_number(told, "refused"), seconds);
    if (!is_dry && seconds > 0 && is_over(told))
        fprintf(ctl->out, " (%.0f events/s)", (double)replayed / seconds);
    if (waits.len)
        fprintf(ctl->out, "; it waits: %.*s", BYTES_FMT(waits));
    if (why.len)
        fprintf(ctl->out, ": %.*s", BYTES_FMT(why));
    fputc('\n', ctl->out);
    print_queues(ctl, told);
}

static int tell(ctl_t *ctl, bytes_t told)
{
    if (ctl->json)
        return ctl_print_json(ctl, told, JSON_COMPACT);
    print_report(ctl, told);
    return CTL_OK;
}

static int exit_code(bytes_t told)
{
    if (is_state(told, "FAILED"))
        return CTL_DATA;
    return is_state(told, "COMPLETED") && ctl_map_number(told, "refused") == 0 ? CTL_OK : CTL_NO;
}

/* -- into a file ----------------------------------------------------------------------------------- */
typedef struct {
    ctl_t lines; /* prints into the file, as JSON */
    char name[64];
    uint64_t count;
    uint64_t gaps;
    error_t err;
} file_t;

static void on_event(void *ctx, bus_delivery_t *delivery)
{
    file_t *file = ctx;
    const event_line_t line = event_line_of(delivery);
    if (!event_line_print(&file->lines, &line) && file->err.code == STATUS_OK)
        error_set(&file->err, STATUS_DATA_LOSS, NULL, "record %llu cannot be written",
                  (unsigned long long)delivery->record);
    file->count++;
}

static void on_gap(void *ctx, uint64_t from, uint64_t next)
{
    file_t *file = ctx;
    (void)from;
    (void)next;
    file->gaps++;
}

static void on_refused(void *ctx, const error_t *err)
{
    file_t *file = ctx;
    file->err = *err;
}

static bool file_open_new(file_t *file, const char *path, error_t *err)
{
    if (strcmp(path, "-") == 0)
        return true;
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    file->lines.out = fd < 0 ? NULL : fdopen(fd, "w");
    if (file->lines.out)
        return true;
    if (fd >= 0)
        (void)close(fd);
    return error_set(err, STATUS_ALREADY_EXISTS, NULL, "cannot create %s: %s", path, strerror(errno));
}

/* A live subscription of a name of its own, which the replay goes to. */
static bool file_begin(file_t *file, ctl_t *ctl, const char *path, int *code)
{
    error_t err = {0};
    file->lines = *ctl;
    file->lines.json = true;
    if (!ctl_connect(ctl, code))
        return false;
    (void)snprintf(file->name, sizeof file->name, "file-%s", ctl->instance);
    const bus_listen_t listen = {
        .bus = "*", .name = file->name, .fn = on_event, .on_gap = on_gap, .on_refused = on_refused, .ctx = file};
    if (file_open_new(file, path, &err) && bus_listen(ctl->bus, &listen, &err) != 0)
        return true;
    *code = ctl_fail(ctl, &err);
    return false;
}

static int file_end(file_t *file, ctl_t *ctl, const char *path, int code)
{
    bool is_file = file->lines.out && file->lines.out != ctl->out;
    bool good = !is_file || (fflush(file->lines.out) == 0 && fdatasync(fileno(file->lines.out)) == 0);
    if (is_file)
        good = fclose(file->lines.out) == 0 && good;
    if (file->err.code != STATUS_OK)
        return ctl_fail(ctl, &file->err);
    if (!good)
        return ctl_complain(ctl, CTL_DISK, "cannot write %s: %s", path, strerror(errno));
    return file->gaps ? ctl_complain(ctl, CTL_DATA, "%s lacks events: the broker could not give them", path) : code;
}

/* -- watching -------------------------------------------------------------------------------------- */
static void on_pause(void *ctx)
{
    ctl_done(ctx);
}

static void pause_a_while(ctl_t *ctl)
{
    loop_timer_t *timer = loop_timer_new(ctl->loop, on_pause, ctl);
    if (!timer)
        return;
    loop_timer_in(timer, LOOK_MS);
    ctl_wait(ctl);
    loop_timer_end(&timer);
}

static void tell_progress(ctl_t *ctl, bytes_t told, int64_t *next_us)
{
    char at[TIMEFMT_MS_BYTES] = "its begin";
    int64_t at_us = told_us(told, "at_us");
    if (clock_mono_us() < *next_us)
        return;
    *next_us = clock_mono_us() + PROGRESS_US;
    if (at_us)
        timefmt_ms(at_us, at);
    bytes_t waits = ctl_map_text(told, "waits", "");
    ctl_note(ctl, "%llu events, at %s%s%.*s", (unsigned long long)ctl_map_number(told, "replayed"), at,
             waits.len ? "; it waits: " : "", BYTES_FMT(waits));
}

/* Events on standard output leave no room for words there. */
static int report(ctl_t *ctl, bytes_t told, const file_t *file)
{
    bool is_stdout = file && file->lines.out == ctl->out;
    int code = is_stdout ? CTL_OK : tell(ctl, told);
    bytes_t why = ctl_map_text(told, "why", "");
    if (is_stdout && why.len)
        ctl_note(ctl, "%.*s", BYTES_FMT(why));
    return code == CTL_OK ? exit_code(told) : code;
}

/* Until it is over, and all of it has come into the file, when there is one. */
static int watch(ctl_t *ctl, const char *name, const file_t *file)
{
    buf_t told = {0};
    int code = CTL_OK;
    int64_t next_us = clock_mono_us() + PROGRESS_US;
    for (bool over = false; !over && code == CTL_OK && !ctl->interrupted;) {
        buf_clear(&told);
        if (!ctl_ask(ctl, WIRE_REPLAY, "info", name, BYTES_NONE, BYTES_NONE, &told, &code))
            break;
        bytes_t now = buf_bytes(&told);
        over = is_over(now) && (!file || file->gaps || file->err.code != STATUS_OK || !is_state(now, "COMPLETED") ||
                                file->count >= ctl_map_number(now, "replayed"));
        if (!over) {
            tell_progress(ctl, now, &next_us);
            pause_a_while(ctl);
        }
    }
    if (ctl->interrupted)
        code = ctl_complain(ctl, CTL_TRY_AGAIN,
                            "no longer watched; replay %s goes on: mangactl replay cancel %s ends it", name, name);
    else if (code == CTL_OK)
        code = report(ctl, buf_bytes(&told), file);
    buf_free(&told);
    return code;
}

/* -- beginning ------------------------------------------------------------------------------------- */
typedef struct {
    buf_t map;
    uint32_t count;
} request_t;

static void put_key(request_t *r, const char *key)
{
    mp_put_cstr(&r->map, key);
    r->count++;
}

static void put_text(request_t *r, const char *key, const char *text)
{
    if (!text)
        return;
    put_key(r, key);
    mp_put_cstr(&r->map, text);
}

/* "A,B" as a list. */
static void put_list(request_t *r, const char *key, const char *text)
{
    uint32_t count = 1;
    if (!text)
        return;
    for (const char *c = text; *c; c++)
        count += *c == ',';
    put_key(r, key);
    mp_put_array(&r->map, count);
    for (const char *begin = text; count > 0; count--) {
        size_t len = strcspn(begin, ",");
        mp_put_str(&r->map, bytes_from(begin, len));
        begin += len + 1;
    }
}

static bool put_moment(request_t *r, const args_t *args, const char *option, const char *key, error_t *err)
{
    const char *text = args_text(args, option, NULL);
    int64_t us;
    if (!text)
        return true;
    if (!args_moment(text, clock_wall_us(), &us) || us < 0)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--%s is an RFC 3339 time or a time ago, not \"%s\"",
                         option, text);
    put_key(r, key);
    mp_put_i64(&r->map, us);
    return true;
}

static bool put_pace(request_t *r, const args_t *args, error_t *err)
{
    const char *text = args_text(args, "speed", NULL);
    char *end = NULL;
    if (args_given(args, "rate")) {
        put_key(r, "rate");
        mp_put_u64(&r->map, (uint64_t)args_number(args, "rate", 0));
    }
    if (!text || strcmp(text, "full") == 0)
        return true;
    double speed = strtod(text, &end);
    if (end == text || (*end && strcmp(end, "x") != 0) || !(speed >= 1.0 / PERMILLE && speed <= SPEED_MAX))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "--speed is full, 1 (the original pace), or N times that (0.001 to 1000000), not \"%s\"",
                         text);
    put_key(r, "speed_permille");
    mp_put_u64(&r->map, (uint64_t)(speed * PERMILLE + 0.5));
    return true;
}

static bool put_pattern(request_t *r, const args_t *args, error_t *err)
{
    const char *given = args_text(args, "pattern", NULL);
    buf_t json = {0};
    bool good = !given || ctl_read_document(given, &json, err);
    if (given && good) {
        put_key(r, "pattern");
        mp_put_str(&r->map, buf_bytes(&json));
    }
    buf_free(&json);
    return good;
}

static bool put_target(request_t *r, const args_t *args, const file_t *file, error_t *err)
{
    char to[WIRE_NAME_MAX_BYTES + 16] = "";
    const char *queue = args_text(args, "to-queue", NULL), *subscriber = args_text(args, "to-subscriber", NULL);
    const char *rules = args_text(args, "to-rule", NULL), *path = args_text(args, "to-file", NULL);
    if (!!queue + !!subscriber + !!rules + !!path + args_given(args, "to-bus") != 1)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "say where to: --to-bus (rules and all subscribers), --to-rule NAME, --to-queue NAME, "
                         "--to-subscriber NAME or --to-file FILE");
    const char *name = queue ? queue : subscriber ? subscriber : rules ? rules : path ? file->name : "";
    const char *kind = queue ? "queue:" : rules ? "rule:" : subscriber || path ? "subscriber:" : "";
    if (snprintf(to, sizeof to, "%s%s", kind, name) >= (int)sizeof to)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the name is too long");
    put_text(r, "to", to);
    return true;
}

static bool request_make(request_t *r, const args_t *args, const file_t *file, error_t *err)
{
    size_t at = mp_map_begin(&r->map);
    put_text(r, "archive", args_text(args, "archive", NULL));
    put_text(r, "bus", args_text(args, "bus", NULL));
    put_list(r, "ids", args_text(args, "id", NULL));
    if (args_given(args, "dry-run")) {
        put_key(r, "dry_run");
        mp_put_bool(&r->map, true);
    }
    bool good = put_target(r, args, file, err) && put_moment(r, args, "since", "from_us", err) &&
                put_moment(r, args, "until", "until_us", err) && put_pace(r, args, err) && put_pattern(r, args, err);
    mp_map_end(&r->map, at, r->count);
    return good;
}

static void default_name(char *out, size_t cap)
{
    time_t now = (time_t)(clock_wall_us() / 1000000);
    struct tm utc;
    size_t len = strftime(out, cap, "replay-%Y%m%dT%H%M%S", gmtime_r(&now, &utc));
    uint16_t random;
    clock_random(&random, sizeof random);
    (void)snprintf(out + len, cap - len, "-%04x", random);
}

static int start(ctl_t *ctl, const args_t *args, const file_t *file)
{
    char name[64];
    request_t request = {0};
    buf_t told = {0};
    error_t err = {0};
    int code = CTL_USAGE;
    default_name(name, sizeof name);
    const char *given = args_text(args, "name", name);
    if (!request_make(&request, args, file, &err))
        (void)ctl_fail(ctl, &err);
    else if (ctl_ask(ctl, WIRE_REPLAY, "start", given, buf_bytes(&request.map), BYTES_NONE, &told, &code))
        code = args_given(args, "detach") ? tell(ctl, buf_bytes(&told)) : watch(ctl, given, file);
    buf_free(&request.map);
    buf_free(&told);
    return code;
}

static int run_start(ctl_t *ctl, const args_t *args)
{
    const char *path = args_text(args, "to-file", NULL);
    file_t file = {0};
    int code = CTL_USAGE;
    if (!!args_text(args, "archive", NULL) + !!args_text(args, "bus", NULL) != 1)
        return ctl_complain(ctl, CTL_USAGE, "say what: --archive NAME, or --bus NAME for that bus's archive and log");
    if (path && (args_given(args, "detach") || args_given(args, "dry-run")))
        return ctl_complain(ctl, CTL_USAGE, "--to-file writes what comes: neither --detach nor --dry-run goes with it");
    if (!path)
        code = start(ctl, args, NULL);
    else if (file_begin(&file, ctl, path, &code))
        code = file_end(&file, ctl, path, start(ctl, args, &file));
    ctl_disconnect(ctl);
    return code;
}

/* -- looking, holding and ending ------------------------------------------------------------------- */
static int about_one(ctl_t *ctl, const char *op, const args_t *args)
{
    buf_t told = {0};
    int code;
    if (ctl_ask(ctl, WIRE_REPLAY, op, args->positional[0], BYTES_NONE, BYTES_NONE, &told, &code))
        code = tell(ctl, buf_bytes(&told));
    buf_free(&told);
    ctl_disconnect(ctl);
    return code;
}

static int run_info(ctl_t *ctl, const args_t *args)
{
    return about_one(ctl, "info", args);
}

static int run_pause(ctl_t *ctl, const args_t *args)
{
    return about_one(ctl, "pause", args);
}

static int run_resume(ctl_t *ctl, const args_t *args)
{
    return about_one(ctl, "resume", args);
}

static int run_cancel(ctl_t *ctl, const args_t *args)
{
    return about_one(ctl, "cancel", args);
}

static void print_list(ctl_t *ctl, bytes_t list)
{
    static const char *const titles[] = {"<replay", "<state", "events", "deliveries", "refused", "<began", "<", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    bytes_t told;
    table_begin(&table, titles);
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &told); i++) {
        char began[TIMEFMT_MS_BYTES];
        timefmt_ms(told_us(told, "began_us"), began);
        table_add_bytes(&table, ctl_map_text(told, "replay", ""));
        table_add_bytes(&table, ctl_map_text(told, "state", "?"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(told, "replayed"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(told, "deliveries"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(told, "refused"));
        table_add(&table, "%s", began);
        bytes_t waits = ctl_map_text(told, "waits", "");
        table_add_bytes(&table, waits.len ? waits : ctl_map_text(told, "why", ""));
    }
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
}

static int run_ls(ctl_t *ctl, const args_t *args)
{
    buf_t list = {0};
    int code;
    (void)args;
    if (ctl_ask(ctl, WIRE_REPLAY, "list", "", BYTES_NONE, BYTES_NONE, &list, &code)) {
        if (ctl->json)
            code = ctl_print_json(ctl, buf_bytes(&list), JSON_COMPACT);
        else
            print_list(ctl, buf_bytes(&list));
    }
    buf_free(&list);
    ctl_disconnect(ctl);
    return code;
}

/* -- commands -------------------------------------------------------------------------------------- */
static const arg_option_t START_OPTIONS[] = {
    {"archive", ARG_TEXT, "NAME", "the archive whose events come again, and what of its bus is still in the log"},
    {"bus", ARG_TEXT, "NAME", "instead: the archive of that bus; of a bus without one, the log"},
    {"since", ARG_TEXT, "WHEN", "taken in at or after an RFC 3339 time, or a time ago such as 2h (the oldest)"},
    {"until", ARG_TEXT, "WHEN", "taken in before it (now)"},
    {"pattern", ARG_TEXT, "JSON", "only events that match this EventBridge pattern (or @FILE)"},
    {"id", ARG_TEXT, "ID,…", "only events with these ids: the archive's index finds them"},
    {"to-bus", ARG_FLAG, NULL, "to the bus: rules and all subscribers see them, services act on them"},
    {"to-rule", ARG_TEXT, "NAME,…", "to the targets of these rules alone, where they match"},
    {"to-queue", ARG_TEXT, "NAME", "into that queue alone"},
    {"to-subscriber", ARG_TEXT, "NAME", "to the live subscriber of that name alone (mangactl tail --name NAME)"},
    {"to-file", ARG_TEXT, "FILE", "into a new file, an event a line of JSON; - for standard output"},
    {"speed", ARG_TEXT, "full|1|N", "as fast as it goes (full), at the original pace (1), or N times as fast"},
    {"rate", ARG_COUNT, "N", "so many events a second"},
    {"name", ARG_TEXT, "NAME", "of the replay, carried as replay-name by every event (replay-<time>-<random>)"},
    {"dry-run", ARG_FLAG, NULL, "count what would be delivered where, and write nothing"},
    {"detach", ARG_FLAG, NULL, "begin it and return; mangactl replay info NAME tells how far it is"},
};

static const char *const START_EXAMPLES[] = {
    "mangactl replay start --bus MangaAssist-AI-Events --since 2h --to-bus --dry-run",
    "mangactl replay start --archive manga-assist-ai-archive --to-queue manga-deferred-queue --rate 100 --name night",
    "mangactl replay start --bus MangaAssist-AI-Events --pattern '{\"detail-type\":[\"MessageReceived\"]}' --to-file -",
    NULL,
};

const command_t command_replay_start = {
    .name = "replay start",
    .arguments = "",
    .summary = "let the broker replay archived events, and watch it",
    .about =
        "The broker does it: in order, out of the archive and then the log, up to the last event before the begin. It\n"
        "goes on over a restart where it was; ^C ends the watching alone. What comes again carries replay-name, is\n"
        "archived by nobody, and has effect whatever was seen before. Exit code 0 when all of it was replayed, 1 when\n"
        "events were refused or it was cancelled, 65 when it failed.",
    .options = CTL_OPTIONS(START_OPTIONS),
    .least = 0,
    .most = 0,
    .examples = START_EXAMPLES,
    .run = run_start,
};

static const char *const LS_EXAMPLES[] = {"mangactl replay ls", NULL};

const command_t command_replay_ls = {
    .name = "replay ls",
    .arguments = "",
    .summary = "the broker's replays: running, paused, and the last 100 that ended",
    .options = {NULL, 0},
    .least = 0,
    .most = 0,
    .examples = LS_EXAMPLES,
    .run = run_ls,
};

#define ABOUT_ONE(word, text, example)                                                                                 \
    static const char *const word##_examples[] = {example, NULL};                                                      \
    const command_t command_replay_##word = {                                                                          \
        .name = "replay " #word,                                                                                       \
        .arguments = "NAME",                                                                                           \
        .summary = text,                                                                                               \
        .options = {NULL, 0},                                                                                          \
        .least = 1,                                                                                                    \
        .most = 1,                                                                                                     \
        .examples = word##_examples,                                                                                   \
        .run = run_##word,                                                                                             \
    };
ABOUT_ONE(info, "one replay: how far it is, and what each queue got", "mangactl replay info night")
ABOUT_ONE(pause, "hold a replay, also over a restart", "mangactl replay pause night")
ABOUT_ONE(resume, "let a paused replay go on", "mangactl replay resume night")
ABOUT_ONE(cancel, "end a replay where it is", "mangactl replay cancel night")
