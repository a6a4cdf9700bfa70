/* bus_probe.c: the bus client as a process, for tests that kill the broker under it.
 *
 *     bus_probe ENDPOINT publish BUS COUNT     numbered events, 500 unanswered at once; a summary line
 *     bus_probe ENDPOINT consume QUEUE COUNT   acknowledges, prints each number, ends after COUNT different ones
 *     bus_probe ENDPOINT serve                 answers probe.count with a stream of numbers, one every 20 ms
 *     bus_probe ENDPOINT ask COUNT             calls probe.count, prints each number and then "done" */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kit/bus.h"
#include "kit/log.h"
#include "proto/msgpack.h"

#define UNANSWERED_MAX 500
#define PACE_MS 20
#define ASK_MS 60000
#define LINGER_MS 300

typedef struct {
    loop_t *loop;
    bus_t *bus;
    const char *target;
    int64_t count, sent, ok, failed, duplicates;
    loop_timer_t *turn;
    uint8_t *seen;
} probe_t;

static void die(const char *what, const error_t *err)
{
    fprintf(stderr, "bus_probe: %s: %s\n", what, err->message);
    exit(1);
}

static void say(int64_t number)
{
    printf("%lld\n", (long long)number);
    (void)fflush(stdout);
}

static bytes_t numbered(buf_t *out, int64_t number)
{
    buf_clear(out);
    mp_put_map(out, 1);
    mp_put_cstr(out, "n");
    mp_put_i64(out, number);
    return buf_bytes(out);
}

/* -- publish ----------------------------------------------------------------------------------------- */
static void publish_more(void *ctx);

static void on_result(void *ctx, const error_t *err, uint64_t record, bool duplicate)
{
    (void)record;
    probe_t *probe = ctx;
    if (err && probe->failed++ == 0)
        fprintf(stderr, "bus_probe: %s\n", err->message);
    probe->ok += !err;
    probe->duplicates += duplicate;
    publish_more(probe);
}

static void publish_more(void *ctx)
{
    probe_t *probe = ctx;
    buf_t detail = {0};
    error_t err = {0};
    while (probe->sent < probe->count && probe->sent - probe->ok - probe->failed < UNANSWERED_MAX) {
        bus_event_t event = {
            .bus = probe->target, .source = "probe", .detail_type = "number", .detail = numbered(&detail, probe->sent)};
        if (!bus_publish(probe->bus, &event, on_result, probe, &err))
            die("publish", &err);
        probe->sent++;
    }
    buf_free(&detail);
    if (probe->ok + probe->failed == probe->count)
        loop_stop(probe->loop);
}

/* -- consume ----------------------------------------------------------------------------------------- */
static void on_delivery(void *ctx, bus_delivery_t *delivery)
{
    probe_t *probe = ctx;
    int64_t number = -1;
    bytes_t detail;
    (void)(mp_map_find(delivery->body, "detail", &detail) && mp_map_i64(detail, "n", &number));
    if (number >= 0 && number < probe->count) {
        probe->ok += !probe->seen[number];
        probe->seen[number] = 1;
        say(number);
    }
    bus_ack(probe->bus, delivery);
    if (probe->ok == probe->count)
        loop_timer_in(probe->turn, LINGER_MS); /* for the last acknowledgements */
}

static void stop(void *ctx)
{
    probe_t *probe = ctx;
    loop_stop(probe->loop);
}

/* -- serve and ask ------------------------------------------------------------------------------------- */
typedef struct {
    probe_t *probe;
    bus_request_t *request;
    int64_t next, count;
    loop_timer_t *timer;
} stream_t;

static void stream_more(void *ctx)
{
    stream_t *stream = ctx;
    buf_t body = {0};
    bytes_t piece = numbered(&body, stream->next);
    if (stream->next++ < stream->count) {
        bus_chunk(stream->probe->bus, stream->request, piece);
    } else {
        bus_reply(stream->probe->bus, stream->request, piece);
        loop_timer_end(&stream->timer);
        free(stream);
    }
    buf_free(&body);
}

static void on_request(void *ctx, bus_request_t *request)
{
    probe_t *probe = ctx;
    stream_t *stream = calloc(1, sizeof *stream);
    if (!stream)
        abort();
    *stream = (stream_t){.probe = probe, .request = request, .timer = loop_timer_new(probe->loop, stream_more, stream)};
    if (!mp_map_i64(request->body, "n", &stream->count) || !stream->timer)
        abort();
    loop_timer_every(stream->timer, PACE_MS);
}

static void on_chunk(void *ctx, bytes_t chunk)
{
    (void)ctx;
    int64_t number = -1;
    (void)(mp_map_i64(chunk, "n", &number) || (number = -1));
    say(number);
}

static void on_done(void *ctx, const bus_reply_t *reply)
{
    probe_t *probe = ctx;
    printf("%s\n", reply->err ? reply->err->message : "done");
    probe->failed += reply->err != NULL;
    loop_stop(probe->loop);
}

static void ask(probe_t *probe)
{
    buf_t body = {0};
    error_t err = {0};
    bus_call_t call = {.method = "probe.count",
                       .body = numbered(&body, probe->count),
                       .timeout_ms = ASK_MS,
                       .on_chunk = on_chunk,
                       .on_done = on_done,
                       .ctx = probe};
    if (bus_call(probe->bus, &call, &err) == 0)
        die("call", &err);
    buf_free(&body);
}

/* -- main -------------------------------------------------------------------------------------------- */
static void begin(probe_t *probe, const char *what)
{
    error_t err = {0};
    bus_consume_t consume = {.queue = probe->target, .visibility_ms = -1, .fn = on_delivery, .ctx = probe};
    if (strcmp(what, "publish") == 0)
        publish_more(probe);
    else if (strcmp(what, "ask") == 0)
        ask(probe);
    else if (strcmp(what, "consume") == 0 && !bus_consume(probe->bus, &consume, &err))
        die("consume", &err);
    else if (strcmp(what, "serve") == 0 && !bus_serve(probe->bus, "probe.count", 8, on_request, probe, &err))
        die("serve", &err);
}

static void on_signal(void *ctx, int signal)
{
    (void)signal;
    stop(ctx);
}

int main(int argc, char **argv)
{
    probe_t probe = {.target = argc > 3 ? argv[3] : ""};
    char instance[64];
    error_t err = {0};
    if (argc < 3)
        return 64;
    probe.count = strtoll(argc > 4 ? argv[4] : argc > 3 ? argv[3] : "0", NULL, 10);
    probe.seen = calloc((size_t)probe.count + 1, 1);
    (void)snprintf(instance, sizeof instance, "probe-%06x", (unsigned)getpid());
    log_start("probe", instance, LOG_INFO);
    probe.loop = loop_new(&err);
    bus_options_t options = {.endpoint = argv[1], .instance = instance, .producer = instance};
    probe.bus = probe.loop ? bus_new(probe.loop, &options, &err) : NULL;
    if (!probe.bus || !probe.seen)
        die("start", &err);
    probe.turn = loop_timer_new(probe.loop, stop, &probe);
    loop_on_signal(probe.loop, on_signal, &probe);
    begin(&probe, argv[2]);
    loop_run(probe.loop);
    if (strcmp(argv[2], "publish") == 0)
        printf("ok %lld failed %lld duplicates %lld\n", (long long)probe.ok, (long long)probe.failed,
               (long long)probe.duplicates);
    bus_free(&probe.bus);
    loop_timer_end(&probe.turn);
    loop_free(&probe.loop);
    free(probe.seen);
    return probe.failed ? 1 : 0;
}
