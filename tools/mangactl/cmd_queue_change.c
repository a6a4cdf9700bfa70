/* cmd_queue_change.c: makes, changes, empties and removes queues. */
#include "proto/msgpack.h"
#include "tools/mangactl/verbs.h"

#define NAME_BYTES 128

static const arg_option_t CHANGE_OPTIONS[] = {
    {"dry-run", ARG_FLAG, NULL, "say what would change, and change nothing"},
};

/* -- attributes ------------------------------------------------------------------------------------ */
/* NAME=VALUE words as a map of texts, which is how SQS has attributes. */
static bool read_attributes(const args_t *args, buf_t *out, error_t *err)
{
    mp_put_map(out, (uint32_t)args->count - 1);
    for (int i = 1; i < args->count; i++) {
        const char *word = args->positional[i], *equals = strchr(word, '=');
        if (!equals || equals == word)
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "\"%s\" is no ATTRIBUTE=VALUE", word);
        mp_put_str(out, bytes_from(word, (size_t)(equals - word)));
        mp_put_cstr(out, equals + 1);
    }
    return true;
}

static void print_value(ctl_t *ctl, bytes_t map, const char *name)
{
    buf_t text = {0};
    bytes_t value;
    if (map.len && mp_map_find(map, name, &value) && json_from_msgpack(value, JSON_COMPACT, &text, NULL))
        ctl_print_text(ctl->out, buf_bytes(&text));
    else
        fputs("not set", ctl->out);
    buf_free(&text);
}

/* The queue of exactly this name in QUEUE list's answer. */
static bool find_queue(bytes_t list, const char *name, bytes_t *queue)
{
    mp_reader_t reader = mp_reader(list);
    uint32_t count;
    if (!mp_get_array(&reader, &count))
        return false;
    while (count-- > 0 && mp_get_raw(&reader, queue))
        if (bytes_eq_cstr(ctl_map_text(*queue, "name", ""), name))
            return true;
    return false;
}

static void tell_attribute(ctl_t *ctl, bytes_t now, const char *word)
{
    char name[NAME_BYTES];
    const char *equals = strchr(word, '=');
    (void)snprintf(name, sizeof name, "%.*s", (int)(equals - word), word);
    fprintf(ctl->out, "%s would be %s; it is ", name, equals + 1);
    print_value(ctl, now, name);
    fputc('\n', ctl->out);
}

/* What is, beside what would be. */
static int tell(ctl_t *ctl, const args_t *args)
{
    buf_t list = {0};
    bytes_t queue, now = BYTES_NONE;
    int code;
    if (!ctl_ask(ctl, WIRE_QUEUE, "list", args->positional[0], BYTES_NONE, BYTES_NONE, &list, &code)) {
        buf_free(&list);
        return code;
    }
    bool is_there = find_queue(buf_bytes(&list), args->positional[0], &queue);
    if (is_there)
        (void)!mp_map_find(queue, "attributes", &now);
    else
        fprintf(ctl->out, "there is no queue %s\n", args->positional[0]);
    for (int i = 1; i < args->count; i++)
        tell_attribute(ctl, now, args->positional[i]);
    buf_free(&list);
    return CTL_OK;
}

static int change(ctl_t *ctl, const args_t *args, const char *op)
{
    buf_t attributes = {0}, result = {0};
    error_t err = {0};
    int code;
    if (!read_attributes(args, &attributes, &err))
        code = ctl_fail(ctl, &err);
    else if (args_given(args, "dry-run"))
        code = tell(ctl, args);
    else if (ctl_ask(ctl, WIRE_QUEUE, op, args->positional[0], buf_bytes(&attributes), BYTES_NONE, &result, &code))
        code = ctl_print_json(ctl, buf_bytes(&result), ctl->json ? JSON_COMPACT : JSON_PRETTY);
    buf_free(&attributes);
    buf_free(&result);
    return code;
}

static int run_create(ctl_t *ctl, const args_t *args)
{
    return change(ctl, args, "create");
}

static int run_set(ctl_t *ctl, const args_t *args)
{
    return change(ctl, args, "set");
}

static const char *const CREATE_EXAMPLES[] = {
    "mangactl queue create reports VisibilityTimeout=60",
    "mangactl queue create orders.fifo ContentBasedDeduplication=true",
    "mangactl queue create work 'RedrivePolicy={\"deadLetterTargetArn\": \"manga-deferred-dlq\", "
    "\"maxReceiveCount\": 3}'",
    NULL,
};

const command_t command_queue_create = {
    .name = "queue create",
    .arguments = "QUEUE [ATTRIBUTE=VALUE...]",
    .summary = "make a queue at run time",
    .about = "Attributes are SQS's. The same again is no error; with other attributes it is. The name of a queue that\n"
             "was removed rests for 60 seconds. --dry-run shows what is there.",
    .options = CTL_OPTIONS(CHANGE_OPTIONS),
    .least = 1,
    .most = ARGS_POSITIONAL_MAX,
    .examples = CREATE_EXAMPLES,
    .run = run_create,
};

static const char *const SET_EXAMPLES[] = {
    "mangactl queue set reports VisibilityTimeout=90 MessageRetentionPeriod=86400",
    "mangactl queue set reports VisibilityTimeout=90 --dry-run",
    NULL,
};

const command_t command_queue_set = {
    .name = "queue set",
    .arguments = "QUEUE ATTRIBUTE=VALUE...",
    .summary = "change attributes of a queue made at run time",
    .about = "A queue of the topology document is changed there: mangactl topology apply.",
    .options = CTL_OPTIONS(CHANGE_OPTIONS),
    .least = 2,
    .most = ARGS_POSITIONAL_MAX,
    .examples = SET_EXAMPLES,
    .run = run_set,
};

/* -- emptying and removing -------------------------------------------------------------------------- */
static uint64_t messages_in(bytes_t info)
{
    return ctl_map_number(info, "visible") + ctl_map_number(info, "in_flight") + ctl_map_number(info, "delayed");
}

/* Asks `op`, or with --dry-run how many messages it would take; `key`: where the answer says so. */
static int drop(ctl_t *ctl, const args_t *args, const char *op, const char *key)
{
    bool is_dry = args_given(args, "dry-run");
    const char *queue = args->positional[0];
    buf_t result = {0};
    int code;
    if (ctl_ask(ctl, WIRE_QUEUE, is_dry ? "info" : op, queue, BYTES_NONE, BYTES_NONE, &result, &code)) {
        bytes_t answer = buf_bytes(&result);
        uint64_t count = is_dry ? messages_in(answer) : ctl_map_number(answer, key);
        if (ctl->json)
            fprintf(ctl->out, "{\"messages\":%llu,\"dry_run\":%s}\n", (unsigned long long)count,
                    is_dry ? "true" : "false");
        else
            fprintf(ctl->out, "%llu messages %s\n", (unsigned long long)count, is_dry ? "would be gone" : "are gone");
    }
    buf_free(&result);
    return code;
}

static int run_purge(ctl_t *ctl, const args_t *args)
{
    return drop(ctl, args, "purge", "count");
}

static int run_rm(ctl_t *ctl, const args_t *args)
{
    return drop(ctl, args, "delete", "messages");
}

static const char *const PURGE_EXAMPLES[] = {
    "mangactl queue purge manga-deferred-queue --dry-run",
    "mangactl queue purge manga-deferred-queue",
    NULL,
};

const command_t command_queue_purge = {
    .name = "queue purge",
    .arguments = "QUEUE",
    .summary = "empty a queue, what is in flight included",
    .about = "What is purged is gone. A queue can be purged once in 60 seconds.",
    .options = CTL_OPTIONS(CHANGE_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = PURGE_EXAMPLES,
    .run = run_purge,
};

static const char *const RM_EXAMPLES[] = {"mangactl queue rm reports --dry-run", "mangactl queue rm reports", NULL};

const command_t command_queue_rm = {
    .name = "queue rm",
    .arguments = "QUEUE",
    .summary = "remove a queue made at run time, and its messages",
    .about = "The name rests for 60 seconds. A queue of the topology document is removed there.",
    .options = CTL_OPTIONS(CHANGE_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = RM_EXAMPLES,
    .run = run_rm,
};
