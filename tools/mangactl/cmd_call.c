/* cmd_call.c: calls a method of a service with a JSON request. */
#include "proto/schema.h"
#include "tools/mangactl/verbs.h"

#define CALL_MS 5000

typedef struct {
    ctl_t *ctl;
    int code;
} call_t;

static void on_chunk(void *ctx, bytes_t chunk)
{
    call_t *call = ctx;
    (void)ctl_print_json(call->ctl, chunk, JSON_COMPACT);
    fflush(call->ctl->out);
}

static void on_done(void *ctx, const bus_reply_t *reply)
{
    call_t *call = ctx;
    ctl_t *ctl = call->ctl;
    if (reply->err)
        call->code = ctl_fail(ctl, reply->err);
    else
        call->code = ctl_print_json(ctl, reply->body, ctl->json ? JSON_COMPACT : JSON_PRETTY);
    ctl_note(ctl, "%s%.1f ms, answered by %.*s%s", ctl->color ? "\033[2m" : "", (double)reply->duration_us / 1000.0,
             BYTES_FMT(reply->worker.len ? reply->worker : BYTES_LIT("nobody")), ctl_plain(ctl));
    ctl_done(ctl);
}

static bool check(const args_t *args, const schema_call_t *known, bytes_t request, error_t *err)
{
    return args_given(args, "no-validate") || !known || schema_validate(known->request, request, err);
}

static int call_with(ctl_t *ctl, const args_t *args, const schema_call_t *known, bytes_t request)
{
    call_t call = {.ctl = ctl, .code = CTL_TRY_AGAIN};
    error_t err = {0};
    if (!ctl_connect(ctl, &call.code))
        return call.code;
    trace_t trace = trace_new();
    bus_call_t options = {.method = args->positional[0],
                          .body = request,
                          .timeout_ms = args_number(args, "timeout", CALL_MS),
                          .idempotent = known && known->idempotent,
                          .trace = &trace,
                          .on_chunk = args_given(args, "stream") ? on_chunk : NULL,
                          .on_done = on_done,
                          .ctx = &call};
    if (bus_call(ctl->bus, &options, &err) == 0)
        return ctl_fail(ctl, &err);
    ctl_wait(ctl);
    return call.code;
}

static int run(ctl_t *ctl, const args_t *args)
{
    buf_t request = {0};
    error_t err = {0};
    const schema_call_t *known = schema_find_call(bytes_cstr(args->positional[0]));
    bool ok = ctl_read_json(args->count > 1 ? args->positional[1] : "{}", &request, &err) &&
              check(args, known, buf_bytes(&request), &err);
    int code = ok ? call_with(ctl, args, known, buf_bytes(&request)) : ctl_fail(ctl, &err);
    ctl_disconnect(ctl);
    buf_free(&request);
    return code;
}

static const arg_option_t OPTIONS[] = {
    {"timeout", ARG_DURATION, "TIME", "give up after this (5s); it travels with the call as its deadline"},
    {"stream", ARG_FLAG, NULL, "take the answer in pieces, each one line of JSON"},
    {"no-validate", ARG_FLAG, NULL, "do not hold the request against its schema"},
};

static const char *const EXAMPLES[] = {
    "mangactl call catalog.get '{\"isbn\": \"9784088725093\"}' --timeout 2s",
    "mangactl call sync.status --json",
    "mangactl call chat.send '{\"text\": \"Is Volume 42 of One Piece in stock?\"}' --stream --timeout 10s",
    NULL,
};

const command_t command_call = {
    .name = "call",
    .arguments = "METHOD [JSON|@FILE|-]",
    .summary = "call a method of a service",
    .about =
        "Without a request an empty one is sent. mangactl schema ls names the methods, schema show what they take.",
    .options = CTL_OPTIONS(OPTIONS),
    .least = 1,
    .most = 2,
    .examples = EXAMPLES,
    .run = run,
};
