/* cmd_ask.c: asks the chatbot a question; shows the answer as it comes, and the way it took. */
#include "proto/contract.h"
#include "proto/msgpack.h"
#include "proto/schema.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

#define ASK_MS 10000
#define ARENA_BYTES ((size_t)4 << 20)
#define US_PER_MS 1000.0

typedef struct {
    ctl_t *ctl;
    size_t shown_bytes;
    int code;
    arena_t arena;
} ask_t;

/* -- the way it took ------------------------------------------------------------------------------- */
static void print_hops(ctl_t *ctl, const hop_list_t *hops)
{
    static const char *const titles[] = {"<who", "<what", "at ms", "took ms", "<remark", NULL};
    table_t table;
    table_begin(&table, titles);
    for (uint32_t i = 0; i < hops->count; i++) {
        const hop_t *hop = &hops->items[i];
        int depth = hop->has_depth ? (int)hop->depth : 0;
        table_add(&table, "%*s%.*s", 2 * depth, "", BYTES_FMT(hop->service));
        table_add_bytes(&table, hop->operation);
        if (hop->has_start_us)
            table_add(&table, "%.1f", (double)hop->start_us / US_PER_MS);
        else
            table_add(&table, "-");
        table_add(&table, "%.1f", (double)hop->duration_us / US_PER_MS);
        table_add_bytes(&table, hop->has_detail ? hop->detail : BYTES_NONE);
    }
    table_end(&table, ctl->err, ctl_dim(ctl), ctl_plain(ctl));
}

static int64_t stale_ms(const chat_send_response_t *answer)
{
    int64_t most = 0;
    for (uint32_t i = 0; answer->has_stock && i < answer->stock.count; i++)
        if (answer->stock.items[i].has_stale_age_ms && answer->stock.items[i].stale_age_ms > most)
            most = answer->stock.items[i].stale_age_ms;
    return most;
}

static void print_summary(ctl_t *ctl, const chat_send_response_t *answer, int64_t total_us)
{
    fprintf(ctl->err, "%stotal %.1f ms · %.*s", ctl_dim(ctl), (double)total_us / US_PER_MS, BYTES_FMT(answer->intent));
    if (answer->cached)
        fprintf(ctl->err, " · a kept answer, %lld ms old",
                (long long)(answer->has_cache_age_ms ? answer->cache_age_ms : 0));
    if (stale_ms(answer) > 0)
        fprintf(ctl->err, " · stock as of %.1f s ago", (double)stale_ms(answer) / 1000.0);
    for (uint32_t i = 0; answer->has_degraded && i < answer->degraded.count; i++)
        fprintf(ctl->err, " · without %.*s", BYTES_FMT(answer->degraded.items[i]));
    if (answer->has_model_id)
        fprintf(ctl->err, " · %.*s", BYTES_FMT(answer->model_id));
    if (answer->has_cost_usd_micros)
        fprintf(ctl->err, " · $%.6f", (double)answer->cost_usd_micros / 1e6);
    fprintf(ctl->err, " · session %.*s%s\n", BYTES_FMT(answer->session_id), ctl_plain(ctl));
}

/* -- the answer ------------------------------------------------------------------------------------ */
static void on_chunk(void *ctx, bytes_t chunk)
{
    ask_t *ask = ctx;
    bytes_t text;
    if (ask->ctl->json || !mp_map_str(chunk, "text", &text))
        return;
    ask->shown_bytes += text.len;
    ctl_print_text(ask->ctl->out, text);
    fflush(ask->ctl->out);
}

static int show(ask_t *ask, const bus_reply_t *reply)
{
    ctl_t *ctl = ask->ctl;
    chat_send_response_t answer;
    error_t err = {0};
    if (ctl->json)
        return ctl_print_json(ctl, reply->body, JSON_COMPACT);
    if (!chat_send_response_unpack(reply->body, &ask->arena, &answer, &err))
        return ctl_fail(ctl, &err);
    if (ask->shown_bytes == 0)
        ctl_print_text(ctl->out, answer.answer);
    fputc('\n', ctl->out);
    fflush(ctl->out);
    if (answer.has_hops && answer.hops.count > 0)
        print_hops(ctl, &answer.hops);
    print_summary(ctl, &answer, reply->duration_us);
    return CTL_OK;
}

static void on_done(void *ctx, const bus_reply_t *reply)
{
    ask_t *ask = ctx;
    if (reply->err && ask->shown_bytes > 0)
        fputc('\n', ask->ctl->out);
    ask->code = reply->err ? ctl_fail(ask->ctl, reply->err) : show(ask, reply);
    ctl_done(ask->ctl);
}

static bool make_request(const args_t *args, buf_t *out, error_t *err)
{
    chat_send_request_t request = {.text = bytes_cstr(args->positional[0])};
    const char *session = args_text(args, "session", NULL), *locale = args_text(args, "locale", NULL);
    if (session)
        SCHEMA_SET(&request, session_id, bytes_cstr(session));
    if (locale)
        SCHEMA_SET(&request, locale, bytes_cstr(locale));
    if (args_given(args, "fresh"))
        SCHEMA_SET(&request, max_age_ms, 0);
    return chat_send_request_pack(out, &request, err);
}

static int ask_with(ctl_t *ctl, const args_t *args, bytes_t request)
{
    ask_t ask = {.ctl = ctl, .code = CTL_TRY_AGAIN};
    error_t err = {0};
    if (!ctl_connect(ctl, &ask.code))
        return ask.code;
    arena_init(&ask.arena, ARENA_BYTES);
    trace_t trace = trace_new();
    bus_call_t call = {.method = CALL_CHAT_SEND,
                       .body = request,
                       .timeout_ms = args_number(args, "timeout", ASK_MS),
                       .trace = &trace,
                       .on_chunk = on_chunk,
                       .on_done = on_done,
                       .ctx = &ask};
    if (bus_call(ctl->bus, &call, &err) != 0)
        ctl_wait(ctl);
    else
        ask.code = ctl_fail(ctl, &err);
    ctl_disconnect(ctl);
    arena_free(&ask.arena);
    return ask.code;
}

static int run(ctl_t *ctl, const args_t *args)
{
    buf_t request = {0};
    error_t err = {0};
    int code = make_request(args, &request, &err) ? ask_with(ctl, args, buf_bytes(&request)) : ctl_fail(ctl, &err);
    buf_free(&request);
    return code;
}

static const arg_option_t OPTIONS[] = {
    {"session", ARG_TEXT, "ID", "go on with this conversation"},
    {"locale", ARG_TEXT, "ja|en", "language of the answer; else that of the question"},
    {"fresh", ARG_FLAG, NULL, "no kept answer"},
    {"timeout", ARG_DURATION, "TIME", "give up after this (10s)"},
};

static const char *const EXAMPLES[] = {
    "mangactl ask \"ワンピース 42巻の在庫はありますか？\"",
    "mangactl ask \"Is Volume 42 of One Piece in stock?\" --timeout 3s",
    "mangactl ask \"Is Volume 42 of One Piece in stock?\" --json",
    NULL,
};

const command_t command_ask = {
    .name = "ask",
    .arguments = "QUESTION",
    .summary = "ask the chatbot",
    .about = "The answer goes to standard output as it comes; the way it took, hop by hop, to standard error.",
    .options = CTL_OPTIONS(OPTIONS),
    .least = 1,
    .most = 1,
    .examples = EXAMPLES,
    .run = run,
};
