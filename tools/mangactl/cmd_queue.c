/* cmd_queue.c: looks at queues: which there are, what is in them; changes nothing (cmd_queue_change.c does).
 * One queue in full is in cmd_queue_info.c. */
#include "kit/clock.h"
#include "proto/msgpack.h"
#include "tools/mangactl/message_line.h"
#include "tools/mangactl/pick.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

#define PEEK_COUNT 10
#define PEEK_PAGE 256
#define FOLLOW_MS 300
#define US_PER_S 1000000

/* -- ls -------------------------------------------------------------------------------------------- */
static void add_age(table_t *table, int64_t now_us, uint64_t oldest_us)
{
    if (oldest_us == 0)
        table_add(table, "-");
    else
        table_add(table, "%.0f", (double)(now_us - (int64_t)oldest_us) / US_PER_S);
}

static bool is_busy(bytes_t queue)
{
    return ctl_map_number(queue, "visible") || ctl_map_number(queue, "in_flight") || ctl_map_number(queue, "delayed");
}

/* The list without the queues in which nothing is. */
static void busy_alone(bytes_t list, buf_t *out)
{
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0, kept = 0;
    bytes_t queue;
    size_t at = mp_array_begin(out);
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &queue); i++) {
        if (!is_busy(queue))
            continue;
        mp_put_raw(out, queue);
        kept++;
    }
    mp_array_end(out, at, kept);
}

static int print_list(ctl_t *ctl, bytes_t list, int64_t now_us)
{
    static const char *const titles[] = {"<queue", "visible", "in flight", "delayed", "oldest s", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    bytes_t queue;
    table_begin(&table, titles);
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &queue); i++) {
        table_add_bytes(&table, ctl_map_text(queue, "name", "?"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(queue, "visible"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(queue, "in_flight"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(queue, "delayed"));
        add_age(&table, now_us, ctl_map_number(queue, "oldest_us"));
    }
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    return CTL_OK;
}

static int run_ls(ctl_t *ctl, const args_t *args)
{
    buf_t result = {0}, busy = {0};
    int code;
    const char *prefix = args->count > 0 ? args->positional[0] : "";
    if (ctl_ask(ctl, WIRE_QUEUE, "list", prefix, BYTES_NONE, BYTES_NONE, &result, &code)) {
        if (args_given(args, "busy"))
            busy_alone(buf_bytes(&result), &busy);
        bytes_t list = buf_bytes(args_given(args, "busy") ? &busy : &result);
        code = ctl->json ? ctl_print_json(ctl, list, JSON_COMPACT) : print_list(ctl, list, ctl_broker_now_us(ctl));
    }
    buf_free(&result);
    buf_free(&busy);
    return code;
}

static const arg_option_t LS_OPTIONS[] = {
    {"busy", ARG_FLAG, NULL, "only those that hold messages"},
};

static const char *const LS_EXAMPLES[] = {"mangactl queue ls", "mangactl queue ls --busy",
                                          "mangactl queue ls manga-fm- --json", NULL};

const command_t command_queue_ls = {
    .name = "queue ls",
    .arguments = "[PREFIX]",
    .summary = "list the queues, and how much waits in each",
    .options = CTL_OPTIONS(LS_OPTIONS),
    .least = 0,
    .most = 1,
    .examples = LS_EXAMPLES,
    .run = run_ls,
};

/* -- peek ------------------------------------------------------------------------------------------ */
typedef struct {
    ctl_t *ctl;
    const char *queue;
    pattern_t *where;
    uint64_t after, after_record; /* the newest message that was looked at */
    int64_t count, shown;         /* count 0: no end */
} peek_t;

static int ask_page(peek_t *peek, uint64_t most, buf_t *page)
{
    buf_t options = {0};
    int code;
    mp_put_map(&options, 3);
    mp_put_cstr(&options, "max");
    mp_put_u64(&options, most);
    mp_put_cstr(&options, "after_message");
    mp_put_u64(&options, peek->after);
    mp_put_cstr(&options, "after");
    mp_put_u64(&options, peek->after_record);
    (void)!ctl_ask(peek->ctl, WIRE_QUEUE, "peek", peek->queue, buf_bytes(&options), BYTES_NONE, page, &code);
    buf_free(&options);
    return code;
}

static bool is_enough(const peek_t *peek)
{
    return peek->count && peek->shown >= peek->count;
}

/* Prints those of a page that match; *got is how many it held. */
static int print_page(peek_t *peek, bytes_t page, uint32_t *got)
{
    mp_reader_t reader = mp_reader(page);
    bytes_t message;
    int code = CTL_OK;
    if (!mp_get_array(&reader, got))
        return ctl_complain(peek->ctl, CTL_BUG, "the broker's answer is no list");
    for (uint32_t i = 0; i < *got && !is_enough(peek) && mp_get_raw(&reader, &message) && code == CTL_OK; i++) {
        peek->after = ctl_map_number(message, "message");
        if (!pick_matches(peek->where, message))
            continue;
        code = message_line_print(peek->ctl, message);
        peek->shown++;
    }
    return code;
}

/* Until all that waits was looked at, or enough was shown. */
static int peek_on(peek_t *peek)
{
    uint32_t got = 1;
    int code = CTL_OK;
    while (got && code == CTL_OK && !is_enough(peek) && !peek->ctl->interrupted) {
        int64_t left = peek->count - peek->shown;
        buf_t page = {0};
        code = ask_page(peek, !peek->where && peek->count && left < PEEK_PAGE ? (uint64_t)left : PEEK_PAGE, &page);
        if (code == CTL_OK)
            code = print_page(peek, buf_bytes(&page), &got);
        buf_free(&page);
    }
    return code;
}

static int peek_follow(peek_t *peek)
{
    ctl_t *ctl = peek->ctl;
    int code = peek_on(peek);
    while (code == CTL_OK && !ctl->interrupted && !is_enough(peek)) {
        if (fflush(ctl->out) != 0)
            return CTL_DISK;
        ctl_limit(ctl, FOLLOW_MS);
        ctl_wait(ctl);
        ctl->timed_out = false;
        if (!ctl->interrupted)
            code = peek_on(peek);
    }
    return ctl->interrupted ? CTL_OK : code;
}

static int peek_once(peek_t *peek)
{
    int code = peek_on(peek);
    if (code != CTL_OK || peek->shown)
        return code;
    ctl_note(peek->ctl, peek->where ? "nothing that waits there matches" : "nothing waits there");
    return CTL_NO;
}

static int run_peek(ctl_t *ctl, const args_t *args)
{
    bool follow = args_given(args, "follow");
    const char *where = args_text(args, "where", NULL);
    peek_t peek = {.ctl = ctl,
                   .queue = args->positional[0],
                   .after_record = (uint64_t)args_number(args, "after", 0),
                   .count = args_number(args, "count", follow ? 0 : PEEK_COUNT)};
    error_t err = {0};
    if (where && !pick_read_where(where, &peek.where, &err)) {
        (void)ctl_fail(ctl, &err);
        return CTL_USAGE;
    }
    int code = follow ? peek_follow(&peek) : peek_once(&peek);
    pattern_free(&peek.where);
    return code;
}

static const arg_option_t PEEK_OPTIONS[] = {
    {"count", ARG_COUNT, "N", "at most so many messages (10)"},
    {"after", ARG_COUNT, "RECORD", "only those behind this record"},
    {"where", ARG_TEXT, "PATTERN", "only those that match: JSON, @FILE or -, over what --json shows"},
    {"follow", ARG_FLAG, NULL, "then go on with those that come, until a signal, or until --count are shown"},
};

static const char *const PEEK_EXAMPLES[] = {
    "mangactl queue peek manga-deferred-queue",
    "mangactl queue peek manga-deferred-queue --count 1 --json",
    "mangactl queue peek manga-deferred-queue --where '{\"body\":{\"jobType\":[\"deferred_inference\"]}}'",
    "mangactl queue peek manga-deferred-queue --follow --count 2",
    NULL,
};

const command_t command_queue_peek = {
    .name = "queue peek",
    .arguments = "QUEUE",
    .summary = "look at waiting messages without receiving them",
    .about = "Nothing changes: no receive is counted, nothing becomes invisible. Exit code 1 when nothing waits.\n"
             "Followed are messages as they are sent; one that comes back, or was delayed, is not shown anew.",
    .options = CTL_OPTIONS(PEEK_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = PEEK_EXAMPLES,
    .run = run_peek,
};
