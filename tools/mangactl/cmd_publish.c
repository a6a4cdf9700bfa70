/* cmd_publish.c: puts one event on a bus, or one message into a queue, from JSON. */
#include "kit/clock.h"
#include "proto/msgpack.h"
#include "proto/schema.h"
#include "proto/timefmt.h"
#include "tools/mangactl/event_entry.h"
#include "tools/mangactl/verbs.h"

#define ACCEPT_MS 10000

typedef struct {
    ctl_t *ctl;
    const char *id; /* of an event; NULL for a message */
    int code;
} put_t;

static void on_result(void *ctx, const error_t *err, uint64_t record, bool duplicate)
{
    put_t *put = ctx;
    ctl_t *ctl = put->ctl;
    put->code = CTL_OK;
    if (err)
        put->code = ctl_fail(ctl, err);
    else if (!ctl->json)
        fprintf(ctl->out, "record %llu%s%s%s\n", (unsigned long long)record, put->id ? ", event " : "",
                put->id ? put->id : "", duplicate ? ", accepted before" : "");
    else
        fprintf(ctl->out, "{\"record\":%llu,\"duplicate\":%s%s%s%s}\n", (unsigned long long)record,
                duplicate ? "true" : "false", put->id ? ",\"id\":\"" : "", put->id ? put->id : "", put->id ? "\"" : "");
    ctl_done(ctl);
}

static int await(put_t *put)
{
    put->code = -1;
    ctl_limit(put->ctl, ACCEPT_MS);
    ctl_wait(put->ctl);
    if (put->code >= 0)
        return put->code;
    return ctl_complain(put->ctl, CTL_TRY_AGAIN, "no answer within %d s: outcome unknown", ACCEPT_MS / 1000);
}

/* -- publish --------------------------------------------------------------------------------------- */
static bool check(const args_t *args, bytes_t detail, error_t *err)
{
    if (args_given(args, "no-validate"))
        return true;
    const schema_event_t *known = schema_find_event(bytes_cstr(args->positional[1]), bytes_cstr(args->positional[2]));
    return !known || schema_validate(known->detail, detail, err);
}

static bool time_of(const args_t *args, char out[TIMEFMT_S_BYTES], error_t *err)
{
    int64_t time_us = clock_wall_us();
    const char *given = args_text(args, "time", NULL);
    if (given && !args_moment(given, time_us, &time_us))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--time is an RFC 3339 time or a time ago, not \"%s\"",
                         given);
    timefmt_s(time_us, out);
    return true;
}

static bool make_envelope(const args_t *args, bytes_t detail, char id[UUID_TEXT_BYTES], buf_t *out, error_t *err)
{
    char time[TIMEFMT_S_BYTES];
    buf_t resources = {0};
    envelope_t envelope = event_born(id);
    const char *resource = args_text(args, "resource", NULL);
    if (resource) {
        mp_put_array(&resources, 1);
        mp_put_cstr(&resources, resource);
    }
    envelope.source = bytes_cstr(args->positional[1]);
    envelope.detail_type = bytes_cstr(args->positional[2]);
    envelope.time = bytes_from(time, TIMEFMT_S_BYTES - 1);
    envelope.resources = buf_bytes(&resources);
    envelope.detail = detail;
    bool ok = time_of(args, time, err) && envelope_write(out, &envelope, err);
    buf_free(&resources);
    return ok;
}

static int publish(ctl_t *ctl, const args_t *args, bytes_t envelope, const char *id)
{
    put_t put = {.ctl = ctl, .id = id};
    error_t err = {0};
    if (!ctl_connect(ctl, &put.code))
        return put.code;
    bus_raw_event_t event = {.bus = args->positional[0],
                             .envelope = envelope,
                             .dedup = bytes_cstr(args_text(args, "dedup", NULL)),
                             .to = bytes_cstr(args_text(args, "to", NULL))};
    if (!bus_publish_raw(ctl->bus, &event, on_result, &put, &err))
        return ctl_fail(ctl, &err);
    return await(&put);
}

static int run_publish(ctl_t *ctl, const args_t *args)
{
    buf_t detail = {0}, envelope = {0};
    char id[UUID_TEXT_BYTES];
    error_t err = {0};
    bool ok = ctl_read_json(args->positional[3], &detail, &err) && check(args, buf_bytes(&detail), &err) &&
              make_envelope(args, buf_bytes(&detail), id, &envelope, &err);
    int code = ok ? publish(ctl, args, buf_bytes(&envelope), id) : ctl_fail(ctl, &err);
    ctl_disconnect(ctl);
    buf_free(&detail);
    buf_free(&envelope);
    return code;
}

static const arg_option_t PUBLISH_OPTIONS[] = {
    {"resource", ARG_TEXT, "ARN", "one entry of resources"},
    {"time", ARG_TEXT, "WHEN", "RFC 3339, or a time ago such as 5m; else now"},
    {"dedup", ARG_TEXT, "KEY", "deduplication key: the same key is accepted once within the bus's window"},
    {"to", ARG_TEXT, "WHERE", "queue:NAME or subscriber:NAME, instead of rules and subscribers"},
    {"no-validate", ARG_FLAG, NULL, "do not hold the detail against its schema"},
};

static const char *const PUBLISH_EXAMPLES[] = {
    "mangactl publish MangaAssist-AI-Events example.shop greeting '{\"to\": \"you\"}'",
    "mangactl publish MangaAssist-AI-Events example.shop greeting @event.json --dedup order-4711",
    "echo '{\"to\": \"you\"}' | mangactl publish MangaAssist-AI-Events example.shop greeting -",
    NULL,
};

const command_t command_publish = {
    .name = "publish",
    .arguments = "BUS SOURCE DETAIL-TYPE JSON|@FILE|-",
    .summary = "put an event on a bus",
    .about = "Prints the record's number when the event is on disk. The detail is held against the schema of its\n"
             "source and detail-type, where there is one (mangactl schema ls).",
    .options = CTL_OPTIONS(PUBLISH_OPTIONS),
    .least = 4,
    .most = 4,
    .examples = PUBLISH_EXAMPLES,
    .run = run_publish,
};

/* -- send ------------------------------------------------------------------------------------------ */
static int send_body(ctl_t *ctl, const args_t *args, bytes_t body)
{
    put_t put = {.ctl = ctl};
    error_t err = {0};
    if (!ctl_connect(ctl, &put.code))
        return put.code;
    bus_message_t message = {.queue = args->positional[0],
                             .body = body,
                             .group = bytes_cstr(args_text(args, "group", NULL)),
                             .dedup = bytes_cstr(args_text(args, "dedup", NULL)),
                             .delay_ms = args_number(args, "delay", -1)};
    if (!bus_send(ctl->bus, &message, on_result, &put, &err))
        return ctl_fail(ctl, &err);
    return await(&put);
}

static int run_send(ctl_t *ctl, const args_t *args)
{
    buf_t body = {0};
    error_t err = {0};
    int code =
        ctl_read_json(args->positional[1], &body, &err) ? send_body(ctl, args, buf_bytes(&body)) : ctl_fail(ctl, &err);
    ctl_disconnect(ctl);
    buf_free(&body);
    return code;
}

static const arg_option_t SEND_OPTIONS[] = {
    {"delay", ARG_DURATION, "TIME", "visible after this; else the queue's own delay"},
    {"group", ARG_TEXT, "ID", "MessageGroupId"},
    {"dedup", ARG_TEXT, "ID", "MessageDeduplicationId"},
};

static const char *const SEND_EXAMPLES[] = {
    "mangactl send manga-deferred-queue '{\"jobType\": \"deferred_inference\", \"prompt\": \"later\"}'",
    "mangactl send manga-deferred-queue @message.json --delay 5m",
    NULL,
};

const command_t command_send = {
    .name = "send",
    .arguments = "QUEUE JSON|@FILE|-",
    .summary = "put a message into a queue",
    .about = "The message is held against the queue's schema, where there is one (mangactl schema ls).",
    .options = CTL_OPTIONS(SEND_OPTIONS),
    .least = 2,
    .most = 2,
    .examples = SEND_EXAMPLES,
    .run = run_send,
};
