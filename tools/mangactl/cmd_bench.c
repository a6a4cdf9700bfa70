/* cmd_bench.c: how fast the connected broker is, in a queue of its own that is gone afterwards. */
#include <inttypes.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/histogram.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "proto/uuid.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

#define COUNT 10000
#define COUNT_MAX 100000000
#define BYTES 500
#define BYTES_MAX 900000
#define WINDOW 64
#define WINDOW_MAX 1024
#define CALL_MS 10000
#define STALLED_MS 15000 /* nothing is answered for so long: something is wrong */
#define DRAIN_POLL_MS 5
#define NAME_BYTES 64
#define BAR_COLUMNS 40u
#define BUS_NAME_BYTES 257
#define NS_PER_S 1e9

typedef enum { MODE_PUBLISH, MODE_DELIVER, MODE_CALL, MODES } bench_mode_t;

static const char *const mode_names[MODES] = {"publish", "deliver", "call"};

typedef struct bench bench_t;

typedef struct { /* one operation under way */
    bench_t *bench;
    uint64_t begun_ns;
} lane_t;

typedef struct {
    bool ran;
    double seconds;
    histogram_t latency;
} result_t;

struct bench {
    ctl_t *ctl;
    bench_mode_t mode;
    uint64_t count, window, bytes;
    char queue[NAME_BYTES], method[NAME_BYTES], bus[BUS_NAME_BYTES];
    lane_t *lanes;
    lane_t **free;
    uint64_t free_count;
    uint64_t begun, done, seen; /* seen: when last looked, for the stall */
    int code;
    bool is_over;
    buf_t body;
    result_t *results; /* MODES */
};

/* -- one operation ------------------------------------------------------------------------------------- */
static void finish(bench_t *b, int code)
{
    if (!b->is_over)
        b->code = code;
    b->is_over = true;
    ctl_done(b->ctl);
}

static void fail(bench_t *b, const error_t *err)
{
    if (!b->is_over)
        finish(b, ctl_fail(b->ctl, err));
}

static void one_done(bench_t *b, uint64_t begun_ns)
{
    histogram_add(&b->results[b->mode].latency, (uint64_t)clock_mono_ns() - begun_ns);
    if (++b->done == b->count)
        finish(b, CTL_OK);
}

static void begin_more(bench_t *b);

static void lane_end(lane_t *lane, const error_t *err, bool counts)
{
    bench_t *b = lane->bench;
    b->free[b->free_count++] = lane;
    if (err) {
        fail(b, err);
        return;
    }
    if (counts)
        one_done(b, lane->begun_ns);
    begin_more(b);
}

static void on_published(void *ctx, const error_t *err, uint64_t record, bool duplicate)
{
    (void)record, (void)duplicate;
    lane_t *lane = ctx;
    lane_end(lane, err, true);
}

static bool publish_one(bench_t *b, lane_t *lane, error_t *err)
{
    char to[NAME_BYTES + 8];
    (void)snprintf(to, sizeof to, "queue:%s", b->queue);
    return bus_publish_raw(b->ctl->bus,
                           &(bus_raw_event_t){.bus = b->bus, .envelope = buf_bytes(&b->body), .to = bytes_cstr(to)},
                           on_published, lane, err);
}

/* The lane is free when the message was delivered, not when it was accepted: so many are under way. */
static void on_sent(void *ctx, const error_t *err, uint64_t record, bool duplicate)
{
    (void)record, (void)duplicate;
    if (err)
        fail(((lane_t *)ctx)->bench, err);
}

/* The body begins with the lane's number: the delivery finds it by that. */
static bool send_one(bench_t *b, lane_t *lane, error_t *err)
{
    buf_t body = {0};
    mp_put_array(&body, 2);
    mp_put_u64(&body, (uint64_t)(lane - b->lanes));
    mp_put_bin(&body, buf_bytes(&b->body));
    bool ok = bus_send(b->ctl->bus, &(bus_message_t){.queue = b->queue, .body = buf_bytes(&body), .delay_ms = -1},
                       on_sent, lane, err);
    buf_free(&body);
    return ok;
}

static void on_delivery(void *ctx, bus_delivery_t *delivery)
{
    bench_t *b = ctx;
    mp_reader_t r = mp_reader(delivery->body);
    uint32_t two;
    uint64_t lane;
    bool ours = mp_get_array(&r, &two) && mp_get_u64(&r, &lane) && lane < b->window;
    bus_ack(b->ctl->bus, delivery);
    if (ours && !b->is_over)
        lane_end(&b->lanes[lane], NULL, true);
}

static void on_reply(void *ctx, const bus_reply_t *reply)
{
    lane_end(ctx, reply->err, true);
}

static bool call_one(bench_t *b, lane_t *lane, error_t *err)
{
    return bus_call(b->ctl->bus,
                    &(bus_call_t){.method = b->method,
                                  .body = buf_bytes(&b->body),
                                  .timeout_ms = CALL_MS,
                                  .on_done = on_reply,
                                  .ctx = lane},
                    err) != 0;
}

static void on_request(void *ctx, bus_request_t *request)
{
    bench_t *b = ctx;
    bus_reply(b->ctl->bus, request, request->body);
}

/* -- one mode ------------------------------------------------------------------------------------------ */
static void begin_more(bench_t *b)
{
    static bool (*const begin[MODES])(bench_t *, lane_t *, error_t *) = {publish_one, send_one, call_one};
    error_t err = {0};
    while (!b->is_over && b->free_count > 0 && b->begun < b->count) {
        lane_t *lane = b->free[--b->free_count];
        lane->begun_ns = (uint64_t)clock_mono_ns();
        b->begun++;
        if (!begin[b->mode](b, lane, &err))
            fail(b, &err);
    }
}

/* Until the last is done, or nothing moves any more. */
static void wait_for_all(bench_t *b)
{
    while (!b->is_over && !b->ctl->interrupted) {
        ctl_limit(b->ctl, STALLED_MS);
        ctl_wait(b->ctl);
        bool stalled = b->ctl->timed_out && b->seen == b->done;
        b->ctl->timed_out = false;
        b->seen = b->done;
        if (stalled)
            finish(b, ctl_complain(b->ctl, CTL_TRY_AGAIN, "%s: nothing was answered for %d s", mode_names[b->mode],
                                   STALLED_MS / 1000));
    }
}

/* What was delivered is settled when the queue is empty. */
static void wait_for_settled(bench_t *b)
{
    uint64_t left = 1;
    while (left && b->code == CTL_OK && !b->ctl->interrupted) {
        buf_t info = {0};
        if (ctl_ask(b->ctl, WIRE_QUEUE, "info", b->queue, BYTES_NONE, BYTES_NONE, &info, &b->code))
            left = ctl_map_number(buf_bytes(&info), "visible") + ctl_map_number(buf_bytes(&info), "in_flight");
        buf_free(&info);
        if (left) {
            ctl_limit(b->ctl, DRAIN_POLL_MS);
            ctl_wait(b->ctl);
            b->ctl->timed_out = false;
        }
    }
}

static void put_padding(buf_t *out, uint64_t bytes)
{
    for (uint64_t i = 0; i < bytes; i++)
        buf_append_byte(out, (uint8_t)('a' + i % 26));
}

static bool put_event(bench_t *b, error_t *err)
{
    uint8_t random[UUID_RANDOM_BYTES];
    char id[UUID_TEXT_BYTES], time[TIMEFMT_S_BYTES];
    buf_t detail = {0}, padding = {0};
    clock_random(random, sizeof random);
    uuid_format(uuid_v7((uint64_t)clock_wall_us() / 1000, random), id);
    timefmt_s(clock_wall_us(), time);
    put_padding(&padding, b->bytes);
    mp_put_map(&detail, 1);
    mp_put_cstr(&detail, "padding");
    mp_put_str(&detail, buf_bytes(&padding));
    const envelope_t event = {.id = bytes_cstr(id),
                              .detail_type = BYTES_LIT("mangactl.bench"),
                              .source = BYTES_LIT("mangactl.bench"),
                              .time = bytes_cstr(time),
                              .detail = buf_bytes(&detail)};
    bool ok = envelope_write(&b->body, &event, err);
    buf_free(&detail);
    buf_free(&padding);
    return ok;
}

static bool mode_begin(bench_t *b, error_t *err)
{
    buf_clear(&b->body);
    b->begun = b->done = b->seen = b->free_count = 0;
    b->is_over = false;
    for (uint64_t i = 0; i < b->window; i++) {
        b->lanes[i] = (lane_t){.bench = b};
        b->free[b->free_count++] = &b->lanes[i];
    }
    if (b->mode == MODE_PUBLISH)
        return put_event(b, err);
    if (b->mode == MODE_DELIVER) {
        put_padding(&b->body, b->bytes);
        return bus_consume(
            b->ctl->bus,
            &(bus_consume_t){
                .queue = b->queue, .messages = b->window, .visibility_ms = -1, .fn = on_delivery, .ctx = b},
            err);
    }
    buf_t padding = {0};
    put_padding(&padding, b->bytes);
    mp_put_bin(&b->body, buf_bytes(&padding));
    buf_free(&padding);
    return bus_serve(b->ctl->bus, b->method, b->window, on_request, b, err);
}

static void mode_run(bench_t *b, bench_mode_t mode)
{
    error_t err = {0};
    b->mode = mode;
    if (!mode_begin(b, &err)) {
        b->code = ctl_fail(b->ctl, &err);
        return;
    }
    ctl_note(b->ctl, "%s: %" PRIu64 " operations, %" PRIu64 " under way at once …", mode_names[mode], b->count,
             b->window);
    uint64_t begun_ns = (uint64_t)clock_mono_ns();
    begin_more(b);
    wait_for_all(b);
    if (mode == MODE_DELIVER)
        wait_for_settled(b);
    b->results[mode].seconds = (double)((uint64_t)clock_mono_ns() - begun_ns) / NS_PER_S;
    b->results[mode].ran = b->code == CTL_OK && !b->ctl->interrupted;
}

/* -- its own queue ------------------------------------------------------------------------------------- */
static bool queue_do(bench_t *b, const char *op)
{
    buf_t result = {0};
    int code = CTL_OK;
    bool ok = ctl_ask(b->ctl, WIRE_QUEUE, op, b->queue, BYTES_NONE, BYTES_NONE, &result, &code);
    if (!ok && b->code == CTL_OK)
        b->code = code;
    buf_free(&result);
    return ok;
}

static void name_things(bench_t *b, uint64_t turn)
{
    uint8_t random[4];
    clock_random(random, sizeof random);
    (void)snprintf(b->queue, sizeof b->queue, "mangactl-bench-%02x%02x%02x%02x-%" PRIu64, random[0], random[1],
                   random[2], random[3], turn);
    (void)snprintf(b->method, sizeof b->method, "mangactl.bench.%02x%02x%02x%02x", random[0], random[1], random[2],
                   random[3]);
}

/* Each mode has a queue of its own: what one leaves would be in the way of the next. */
static void mode_in_queue(bench_t *b, bench_mode_t mode)
{
    name_things(b, mode);
    if (mode == MODE_CALL) {
        mode_run(b, mode);
        return;
    }
    if (!queue_do(b, "create"))
        return;
    mode_run(b, mode);
    b->ctl->interrupted = false; /* it goes also when the run was broken off */
    bool was_cut = !b->results[mode].ran;
    b->is_over = true;
    (void)queue_do(b, "delete");
    if (was_cut && b->code == CTL_OK)
        b->code = CTL_TRY_AGAIN;
}

/* The first of the topology: what is published names the queue, so its rules see nothing of it. */
static bool find_bus(bench_t *b, const char *given)
{
    buf_t shown = {0}, document = {0};
    bytes_t text, buses, first, name = BYTES_NONE;
    uint32_t count;
    error_t err = {0};
    bool ok = true;
    if (given) {
        name = bytes_cstr(given);
    } else if (ctl_ask(b->ctl, WIRE_TOPOLOGY, "show", "", BYTES_NONE, BYTES_NONE, &shown, &b->code)) {
        mp_reader_t r = mp_reader(mp_map_str(buf_bytes(&shown), "document", &text) &&
                                          json_to_msgpack(text, NULL, &document, &err) &&
                                          mp_map_find(buf_bytes(&document), "Buses", &buses)
                                      ? buses
                                      : BYTES_NONE);
        if (!mp_left(&r) || !mp_get_array(&r, &count) || !count || !mp_get_raw(&r, &first) ||
            !mp_map_str(first, "Name", &name))
            b->code = ctl_complain(b->ctl, CTL_NO, "the broker has no bus; bench deliver and call need none");
    }
    ok = b->code == CTL_OK && bytes_to_cstr(name, b->bus, sizeof b->bus);
    buf_free(&shown);
    buf_free(&document);
    return ok;
}

/* -- saying -------------------------------------------------------------------------------------------- */
static void print_bars(ctl_t *ctl, const char *name, const histogram_t *h)
{
    uint64_t most = 0;
    for (unsigned power = 6; power < 63; power++) {
        uint64_t n = histogram_between(h, UINT64_C(1) << power, UINT64_C(1) << (power + 1));
        most = n > most ? n : most;
    }
    fprintf(ctl->out, "\n%s%s%s\n", ctl_bold(ctl), name, ctl_plain(ctl));
    for (unsigned power = 6; power < 63; power++) {
        uint64_t n = histogram_between(h, UINT64_C(1) << power, UINT64_C(1) << (power + 1));
        if (n == 0)
            continue;
        fprintf(ctl->out, "%10.1f to %10.1f us %10" PRIu64 "  ", (double)(UINT64_C(1) << power) / 1e3,
                (double)(UINT64_C(1) << (power + 1)) / 1e3, n);
        for (uint64_t bar = (n * BAR_COLUMNS + most - 1) / most; bar > 0; bar--)
            fputc('#', ctl->out);
        fputc('\n', ctl->out);
    }
}

static void print_results(const bench_t *b, bool bars)
{
    static const char *const titles[] = {"<what",  "operations", "seconds",    "a second", "p50 us",
                                         "p99 us", "p99.9 us",   "longest us", NULL};
    static const double parts[] = {0.5, 0.99, 0.999, 1};
    table_t table;
    table_begin(&table, titles);
    for (int mode = 0; mode < MODES; mode++) {
        const result_t *result = &b->results[mode];
        if (!result->ran)
            continue;
        table_add(&table, "%s", mode_names[mode]);
        table_add(&table, "%" PRIu64, b->count);
        table_add(&table, "%.2f", result->seconds);
        table_add(&table, "%.0f", (double)b->count / result->seconds);
        for (size_t i = 0; i < ARRAY_LEN(parts); i++)
            table_add(&table, "%.0f", histogram_at_us(&result->latency, parts[i]));
    }
    table_end(&table, b->ctl->out, ctl_bold(b->ctl), ctl_plain(b->ctl));
    for (int mode = 0; bars && mode < MODES; mode++)
        if (b->results[mode].ran)
            print_bars(b->ctl, mode_names[mode], &b->results[mode].latency);
}

static void put_number(buf_t *out, const char *key, double value)
{
    mp_put_cstr(out, key);
    mp_put_double(out, value);
}

static void put_bars(const histogram_t *h, buf_t *out)
{
    uint32_t count = 0;
    mp_put_cstr(out, "histogram");
    size_t at = mp_array_begin(out);
    for (unsigned power = 6; power < 63; power++) {
        uint64_t n = histogram_between(h, UINT64_C(1) << power, UINT64_C(1) << (power + 1));
        if (n == 0)
            continue;
        mp_put_map(out, 2);
        put_number(out, "below_us", (double)(UINT64_C(1) << (power + 1)) / 1e3);
        mp_put_cstr(out, "count");
        mp_put_u64(out, n);
        count++;
    }
    mp_array_end(out, at, count);
}

static int print_json(const bench_t *b)
{
    buf_t out = {0};
    uint32_t ran = 0;
    size_t at = mp_map_begin(&out);
    for (int mode = 0; mode < MODES; mode++) {
        const result_t *result = &b->results[mode];
        if (!result->ran)
            continue;
        mp_put_cstr(&out, mode_names[mode]);
        mp_put_map(&out, 8);
        mp_put_cstr(&out, "operations");
        mp_put_u64(&out, b->count);
        put_number(&out, "seconds", result->seconds);
        put_number(&out, "per_second", (double)b->count / result->seconds);
        put_number(&out, "p50_us", histogram_at_us(&result->latency, 0.5));
        put_number(&out, "p99_us", histogram_at_us(&result->latency, 0.99));
        put_number(&out, "p99_9_us", histogram_at_us(&result->latency, 0.999));
        put_number(&out, "longest_us", histogram_at_us(&result->latency, 1));
        put_bars(&result->latency, &out);
        ran++;
    }
    mp_map_end(&out, at, ran);
    int code = ctl_print_json(b->ctl, buf_bytes(&out), JSON_COMPACT);
    buf_free(&out);
    return code;
}

/* -- options ------------------------------------------------------------------------------------------- */
static bool modes_read(const args_t *args, bool wanted[MODES], error_t *err)
{
    for (int mode = 0; mode < MODES; mode++)
        wanted[mode] = args->count == 0;
    for (int i = 0; i < args->count; i++) {
        int mode = 0;
        while (mode < MODES && strcmp(args->positional[i], mode_names[mode]) != 0)
            mode++;
        if (mode == MODES)
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "bench publish, deliver or call, not \"%s\"",
                             args->positional[i]);
        wanted[mode] = true;
    }
    return true;
}

static bool options_read(bench_t *b, const args_t *args, error_t *err)
{
    b->count = (uint64_t)args_number(args, "count", COUNT);
    b->bytes = (uint64_t)args_number(args, "size", BYTES);
    b->window = (uint64_t)args_number(args, "window", WINDOW);
    if (b->count < 1 || b->count > COUNT_MAX || b->bytes > BYTES_MAX || b->window < 1 || b->window > WINDOW_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--count is 1 to %d, --size at most %d, --window 1 to %d",
                         COUNT_MAX, BYTES_MAX, WINDOW_MAX);
    b->lanes = calloc(b->window, sizeof *b->lanes);
    b->free = calloc(b->window, sizeof *b->free);
    b->results = calloc(MODES, sizeof *b->results);
    return (b->lanes && b->free && b->results) || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

static int bench(bench_t *b, const args_t *args, const bool wanted[MODES])
{
    if (wanted[MODE_PUBLISH] && !find_bus(b, args_text(args, "bus", NULL)))
        return b->code;
    if (!b->ctl->bus && !ctl_connect(b->ctl, &b->code))
        return b->code;
    for (int mode = 0; mode < MODES && b->code == CTL_OK; mode++)
        if (wanted[mode])
            mode_in_queue(b, (bench_mode_t)mode);
    if (b->ctl->json && b->code == CTL_OK)
        return print_json(b);
    print_results(b, args_given(args, "histogram"));
    return b->code;
}

static int run(ctl_t *ctl, const args_t *args)
{
    bench_t b = {.ctl = ctl};
    bool wanted[MODES];
    error_t err = {0};
    int code = CTL_USAGE;
    if (!modes_read(args, wanted, &err) || !options_read(&b, args, &err))
        (void)ctl_fail(ctl, &err);
    else
        code = bench(&b, args, wanted);
    ctl_disconnect(ctl); /* no callback comes any more */
    free(b.lanes);
    free((void *)b.free);
    free(b.results);
    buf_free(&b.body);
    return code;
}

static const arg_option_t OPTIONS[] = {
    {"count", ARG_COUNT, "N", "operations of each kind (10000)"},
    {"size", ARG_COUNT, "BYTES", "of a body (500)"},
    {"window", ARG_COUNT, "N", "under way at once, at most 1024 (64)"},
    {"bus", ARG_TEXT, "BUS", "for publish (the first of the topology)"},
    {"histogram", ARG_FLAG, NULL, "show how the times are spread"},
};

static const char *const EXAMPLES[] = {
    "mangactl bench --count 1000",
    "mangactl bench publish --count 500 --window 1 --histogram",
    "mangactl bench deliver call --count 500 --json",
    NULL,
};

const command_t command_bench = {
    .name = "bench",
    .arguments = "[publish|deliver|call]...",
    .summary = "measure the connected broker",
    .about =
        "publish: an event until it is on disk. deliver: a message from its sending to its delivery; the rate is of\n"
        "those sent, delivered and settled. call: a call to this program itself and back. Events go straight into\n"
        "a queue made for this and removed afterwards: no rule and no consumer sees them, the journal does.",
    .options = CTL_OPTIONS(OPTIONS),
    .most = MODES,
    .examples = EXAMPLES,
    .run = run,
};
