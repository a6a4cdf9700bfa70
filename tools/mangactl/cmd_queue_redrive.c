/* cmd_queue_redrive.c: brings dead letters back, or elsewhere, by move tasks; lists and cancels these. */
#include <stdlib.h>

#include "proto/msgpack.h"
#include "tools/mangactl/pick.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

#define RATE_MAX 500 /* SQS's, and the broker's */

/* -- saying ---------------------------------------------------------------------------------------- */
static void print_task(ctl_t *ctl, bytes_t task, bool is_dry)
{
    bytes_t handle = ctl_map_text(task, "task", ""), to = ctl_map_text(task, "to", "");
    unsigned long long wanted = ctl_map_number(task, "wanted");
    fprintf(ctl->out, "%llu message%s %s from %.*s to %.*s%s%.*s\n", wanted, wanted == 1 ? "" : "s",
            is_dry        ? "would move"
            : wanted == 1 ? "moves"
                          : "move",
            BYTES_FMT(ctl_map_text(task, "source", "?")), BYTES_FMT(to.len ? to : BYTES_LIT("where they came from")),
            handle.len ? ", task " : "", BYTES_FMT(handle));
}

static int ask_task(ctl_t *ctl, const char *op, const char *name, bytes_t options, bool is_dry)
{
    buf_t result = {0};
    int code;
    if (ctl_ask(ctl, WIRE_QUEUE, op, name, options, BYTES_NONE, &result, &code)) {
        if (ctl->json)
            code = ctl_print_json(ctl, buf_bytes(&result), JSON_COMPACT);
        else
            print_task(ctl, buf_bytes(&result), is_dry);
    }
    buf_free(&result);
    return code;
}

/* -- beginning ------------------------------------------------------------------------------------- */
static int redrive(ctl_t *ctl, const args_t *args, const char *to)
{
    bool is_dry = args_given(args, "dry-run");
    buf_t options = {0};
    mp_put_map(&options, 3);
    mp_put_cstr(&options, "to");
    mp_put_cstr(&options, to);
    mp_put_cstr(&options, "rate");
    mp_put_u64(&options, (uint64_t)args_number(args, "rate", RATE_MAX));
    mp_put_cstr(&options, "dry_run");
    mp_put_bool(&options, is_dry);
    int code = ask_task(ctl, "redrive", args->positional[0], buf_bytes(&options), is_dry);
    buf_free(&options);
    return code;
}

/* -- picking --------------------------------------------------------------------------------------- */
#define THROTTLE_DELAY_MS 60000
#define DELAY_MAX_MS 900000

/* A FIFO queue delays no message alone: what was throttled goes back at once there. */
static int64_t throttle_delay_ms(const char *queue)
{
    size_t len = strlen(queue), end = strlen(".fifo");
    return len > end && strcmp(queue + len - end, ".fifo") == 0 ? 0 : THROTTLE_DELAY_MS;
}

static bool read_pick(const args_t *args, const char *to, pick_options_t *out, error_t *err)
{
    const char *where = args_text(args, "where", NULL);
    bool classify = args_given(args, "classify");
    *out =
        (pick_options_t){.queue = args->positional[0],
                         .to = to,
                         .classify = classify,
                         .delay_ms = args_number(args, "delay", classify ? throttle_delay_ms(args->positional[0]) : 0),
                         .rate = args_number(args, "rate", RATE_MAX),
                         .is_dry = args_given(args, "dry-run")};
    if (out->rate < 1 || out->rate > RATE_MAX || out->delay_ms > DELAY_MAX_MS)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--rate is from 1 to %d, --delay at most 15m", RATE_MAX);
    return classify_read(args_text(args, "as", NULL), &out->rules, err) &&
           (!where || pick_read_where(where, &out->where, err));
}

/* --archive, MANGABUS_OBJECTS, or a folder in the state. */
static void name_archive(const args_t *args, char *out, size_t cap)
{
    char state[CTL_PATH_BYTES];
    const char *set = getenv("MANGABUS_OBJECTS");
    const char *given = args_text(args, "archive", set && set[0] ? set : NULL);
    ctl_state_dir(state, sizeof state);
    (void)snprintf(out, cap, "%s%s", given ? given : state, given ? "" : "/objects");
}

static int pick(ctl_t *ctl, const args_t *args, const char *to)
{
    char archive[CTL_PATH_BYTES + 16];
    pick_options_t options;
    error_t err = {0};
    int code = CTL_USAGE;
    name_archive(args, archive, sizeof archive);
    if (!read_pick(args, to, &options, &err)) {
        (void)ctl_fail(ctl, &err);
    } else {
        options.archive = archive;
        code = pick_run(ctl, &options);
    }
    pattern_free(&options.where);
    return code;
}

static int run_redrive(ctl_t *ctl, const args_t *args)
{
    if (args_given(args, "where") || args_given(args, "classify") || args_given(args, "delay"))
        return pick(ctl, args, "");
    if (args_given(args, "as") || args_given(args, "archive"))
        return ctl_complain(ctl, CTL_USAGE, "--as and --archive go with --classify");
    return redrive(ctl, args, "");
}

static int run_move(ctl_t *ctl, const args_t *args)
{
    return redrive(ctl, args, args->positional[1]);
}

static const arg_option_t MOVE_OPTIONS[] = {
    {"rate", ARG_COUNT, "N", "at most so many messages a second, 1 to 500 (500)"},
    {"dry-run", ARG_FLAG, NULL, "check, and say how many would move"},
};

static const arg_option_t REDRIVE_OPTIONS[] = {
    {"where", ARG_TEXT, "PATTERN", "only messages that match: JSON, @FILE or -, over what queue peek --json shows"},
    {"classify", ARG_FLAG, NULL, "judge each by the reason the broker recorded, and do what that asks for"},
    {"delay", ARG_DURATION, "TIME",
     "back so much later, at most 15m; not to FIFO queues (with --classify what was throttled, 1m)"},
    {"as", ARG_TEXT, "LIST", "other classes for reasons, such as max-receives=transient,expired=permanent"},
    {"archive", ARG_TEXT, "URL", "where permanent ones go: file:///path or s3://bucket/prefix (MANGABUS_OBJECTS)"},
    {"rate", ARG_COUNT, "N", "at most so many messages a second, 1 to 500 (500)"},
    {"dry-run", ARG_FLAG, NULL, "check, and say what would become of how many"},
};

static const char *const REDRIVE_EXAMPLES[] = {
    "mangactl queue redrive MangaAssist-EventBridge-DLQ --dry-run",
    "mangactl queue redrive MangaAssist-EventBridge-DLQ --rate 50",
    "mangactl queue redrive manga-fm-dlq --where '{\"attrs\":{\"DeadLetterReason\":[\"max-age\"]}}' --dry-run",
    "mangactl queue redrive manga-fm-dlq --classify --dry-run",
    NULL,
};

const command_t command_queue_redrive = {
    .name = "queue redrive",
    .arguments = "DLQ",
    .summary = "bring dead letters back to the queues they came from",
    .about = "Begins a move task in the broker, which goes on by itself, over a restart too: mangactl queue tasks DLQ\n"
             "shows how far it is, mangactl queue cancel ends it. What moved is a new message where it comes to.\n"
             "\n"
             "With --where or --classify it is this program that picks them, one look at all that wait. Classes:\n"
             "transient goes back, throttle goes back later, permanent goes to the archive, unknown stays and is\n"
             "listed. A code that the consumer's words begin with decides (UNAVAILABLE: …, ThrottlingException: …),\n"
             "else the broker's reason: rejected is permanent, expired and max-age are transient, max-receives is\n"
             "unknown. Exit code 1 when nothing matched, or something stays.",
    .options = CTL_OPTIONS(REDRIVE_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = REDRIVE_EXAMPLES,
    .run = run_redrive,
};

static const char *const MOVE_EXAMPLES[] = {
    "mangactl queue move MangaAssist-EventBridge-DLQ manga-deferred-queue --dry-run",
    NULL,
};

const command_t command_queue_move = {
    .name = "queue move",
    .arguments = "DLQ QUEUE",
    .summary = "move dead letters to a queue of your choice",
    .about = "As queue redrive, but all to one queue.",
    .options = CTL_OPTIONS(MOVE_OPTIONS),
    .least = 2,
    .most = 2,
    .examples = MOVE_EXAMPLES,
    .run = run_move,
};

/* -- looking and ending ----------------------------------------------------------------------------- */
static int print_tasks(ctl_t *ctl, bytes_t list)
{
    static const char *const titles[] = {"<task", "<state", "moved", "of", "<to", "<why", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    bytes_t task;
    table_begin(&table, titles);
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &task); i++) {
        table_add_bytes(&table, ctl_map_text(task, "task", ""));
        table_add_bytes(&table, ctl_map_text(task, "state", "?"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(task, "moved"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(task, "wanted"));
        table_add_bytes(&table, ctl_map_text(task, "to", ""));
        table_add_bytes(&table, ctl_map_text(task, "why", ""));
    }
    if (count == 0)
        ctl_note(ctl, "no move task has begun here");
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    return CTL_OK;
}

static int run_tasks(ctl_t *ctl, const args_t *args)
{
    buf_t result = {0};
    int code;
    if (ctl_ask(ctl, WIRE_QUEUE, "tasks", args->positional[0], BYTES_NONE, BYTES_NONE, &result, &code))
        code = ctl->json ? ctl_print_json(ctl, buf_bytes(&result), JSON_COMPACT) : print_tasks(ctl, buf_bytes(&result));
    buf_free(&result);
    return code;
}

static const char *const TASKS_EXAMPLES[] = {"mangactl queue tasks MangaAssist-EventBridge-DLQ", NULL};

const command_t command_queue_tasks = {
    .name = "queue tasks",
    .arguments = "DLQ",
    .summary = "list the newest ten move tasks of a dead-letter queue",
    .least = 1,
    .most = 1,
    .examples = TASKS_EXAMPLES,
    .run = run_tasks,
};

static int print_cancelled(ctl_t *ctl, bytes_t task, bool is_dry)
{
    if (ctl->json)
        return ctl_print_json(ctl, task, JSON_COMPACT);
    fprintf(ctl->out, "%s after %llu of %llu messages from %.*s\n", is_dry ? "would end" : "ended",
            (unsigned long long)ctl_map_number(task, "moved"), (unsigned long long)ctl_map_number(task, "wanted"),
            BYTES_FMT(ctl_map_text(task, "source", "?")));
    return CTL_OK;
}

static int run_cancel(ctl_t *ctl, const args_t *args)
{
    bool is_dry = args_given(args, "dry-run");
    buf_t options = {0}, result = {0};
    int code;
    mp_put_map(&options, 1);
    mp_put_cstr(&options, "dry_run");
    mp_put_bool(&options, is_dry);
    if (ctl_ask(ctl, WIRE_QUEUE, "cancel", args->positional[0], buf_bytes(&options), BYTES_NONE, &result, &code))
        code = print_cancelled(ctl, buf_bytes(&result), is_dry);
    buf_free(&options);
    buf_free(&result);
    return code;
}

static const arg_option_t CANCEL_OPTIONS[] = {
    {"dry-run", ARG_FLAG, NULL, "say what would end, and end nothing"},
};

static const char *const CANCEL_EXAMPLES[] = {
    "mangactl queue cancel 4711 --dry-run",
    "mangactl queue cancel 4711",
    NULL,
};

const command_t command_queue_cancel = {
    .name = "queue cancel",
    .arguments = "TASK",
    .summary = "end a running move task; what it moved stays moved",
    .options = CTL_OPTIONS(CANCEL_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = CANCEL_EXAMPLES,
    .run = run_cancel,
};
