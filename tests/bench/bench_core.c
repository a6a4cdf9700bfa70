/* bench_core.c: what a message costs in the core alone, in CPU time, and what it holds in memory while it waits:
 * bench_core [WAITING], the most messages that wait (1,000,000). */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/core.h"
#include "tests/bench/lib_lines.h"
#include "tests/bench/lib_measure.h"
#include "tests/bench/lib_zmq.h"

#define QUEUES_MAX 1000
#define PEER UINT64_C(1)
#define WORKER UINT64_C(2)
#define START_US INT64_C(1700000000000000)
#define CREDIT_MESSAGES 4096
#define CREDIT_BYTES (UINT64_C(16) << 20)
#define ROUNDS 200000
#define BATCH 64
#define TURNS 20
#define ALIVE_EACH 100000
#define WAITING_FEW 1000
#define TURN_US 100  /* of the core's clock, for one message beside a purge */
#define SOON_US 1000 /* the next slice of long work is never further */

typedef struct {
    core_t *core;
    core_effects_t out;
    wire_msg_t *msg;
    int64_t now_us;
    template_t *events; /* a PUBLISH for each queue */
    wire_settle_t *settle;
    buf_t frame;
    uint64_t sub, published;
} bench_t;

static double cpu_ns(void)
{
    return (double)measure_own_cpu_ns();
}

/* -- steps --------------------------------------------------------------------------------------- */
/* As the front does: decodes, steps, and forgets what came of it, without writing it anywhere. */
static void step(bench_t *b, uint64_t peer, bytes_t frame)
{
    error_t err = {0};
    if (!wire_decode(frame, b->msg, &err))
        measure_die("%s", err.message);
    core_input_t input = {
        .kind = CORE_IN_FRAME, .peer = peer, .role = role_all(), .msg = b->msg, .frame_bytes = frame.len};
    input.random[0] = peer;
    core_effects_clear(&b->out);
    core_step(b->core, b->now_us++, &input, &b->out);
}

static void say(bench_t *b, uint64_t peer, wire_verb_t verb, const void *values)
{
    buf_clear(&b->frame);
    wire_encode_verb(&b->frame, verb, 1, values);
    step(b, peer, buf_bytes(&b->frame));
}

/* The first frame that came of the step. */
static void expect(const bench_t *b, wire_verb_t wanted)
{
    uint64_t verb = 0, seq;
    for (size_t i = 0; i < b->out.out_count && !verb; i++) {
        const core_out_t *out = &b->out.outs[i];
        if (out->kind == CORE_OUT_FRAME &&
            !wire_peek(bytes_from(b->out.bytes.data + out->frame.at, out->frame.len), &verb, &seq))
            measure_die("the core wrote a frame that cannot be read");
    }
    if (verb != wanted)
        measure_die("the core said %s, not %s", wire_verb_name(verb), wire_verb_name(wanted));
}

static void hello(bench_t *b, uint64_t peer, const char *name)
{
    const wire_hello_t hello = {
        .protocol = WIRE_PROTOCOL, .name = bytes_cstr(name), .producer = bytes_cstr(name), .epoch = 1};
    say(b, peer, WIRE_HELLO, &hello);
    expect(b, WIRE_WELCOME);
}

/* -- set-up -------------------------------------------------------------------------------------- */
static void topology(bench_t *b, unsigned queues)
{
    buf_t json = {0};
    buf_append_cstr(&json, "{\"Buses\": [{\"Name\": \"bench\"}], \"Archives\": [], \"Schedules\": [], \"Rules\": [");
    for (unsigned i = 0; i < queues; i++)
        buf_printf(&json,
                   "%s{\"Name\": \"r%u\", \"EventBusName\": \"bench\", \"State\": \"ENABLED\", \"EventPattern\": "
                   "{\"source\": [\"bench\"], \"detail-type\": [\"bench-%u\"]}, "
                   "\"Targets\": [{\"Id\": \"q\", \"Arn\": \"bench-%u\"}]}",
                   i ? "," : "", i, i, i);
    buf_append_cstr(&json, "], \"Queues\": [");
    for (unsigned i = 0; i < queues; i++)
        buf_printf(&json, "%s{\"QueueName\": \"bench-%u\"}", i ? "," : "", i);
    buf_append_cstr(&json, "]}");
    core_input_t input = {.kind = CORE_IN_TOPOLOGY};
    input.topology.json = buf_bytes(&json);
    input.topology.sha256 = "0";
    core_effects_clear(&b->out);
    core_step(b->core, b->now_us++, &input, &b->out);
    buf_free(&json);
}

static void bench_open(bench_t *b, unsigned queues)
{
    const core_config_t config = {.broker_name = "bench", .version = "bench", .limits = {.subscriptions = QUEUES_MAX}};
    const load_options_t shape = {.batch = 1, .bytes = 512};
    error_t err = {0};
    *b = (bench_t){.core = core_new(&config, &err),
                   .msg = calloc(1, sizeof *b->msg),
                   .settle = calloc(1, sizeof *b->settle),
                   .events = calloc(queues, sizeof *b->events),
                   .now_us = START_US};
    if (!b->core || !b->msg || !b->settle || !b->events)
        measure_die("out of memory");
    core_start(b->core, b->now_us, 1, &b->out);
    topology(b, queues);
    for (unsigned i = 0; i < queues; i++)
        template_publish(&b->events[i], &shape, i);
    hello(b, PEER, "client");
    hello(b, WORKER, "worker");
}

static void bench_close(bench_t *b, unsigned queues)
{
    core_free(&b->core);
    core_effects_free(&b->out);
    for (unsigned i = 0; i < queues; i++)
        buf_free(&b->events[i].bytes);
    free(b->events);
    free(b->msg);
    free(b->settle);
    buf_free(&b->frame);
    (void)malloc_trim(0);
}

/* -- work ---------------------------------------------------------------------------------------- */
static void publish(bench_t *b, unsigned queue)
{
    template_t *event = &b->events[queue];
    event->number = ++b->published; /* they have one producer */
    template_next(event);
    step(b, PEER, buf_bytes(&event->bytes));
    expect(b, WIRE_PUBLISHED);
}

static void subscribe(bench_t *b, unsigned queue)
{
    char name[LOAD_NAME_BYTES];
    (void)snprintf(name, sizeof name, "bench-%u", queue);
    const wire_subscribe_t subscribe = {.sub = ++b->sub,
                                        .kind = WIRE_SUBSCRIBE_QUEUE,
                                        .target = bytes_cstr(name),
                                        .visibility_ms = -1,
                                        .messages = BATCH,
                                        .bytes = CREDIT_BYTES};
    say(b, WORKER, WIRE_SUBSCRIBE, &subscribe);
}

static uint32_t collect(bench_t *b)
{
    uint32_t count = 0;
    for (size_t i = 0; i < b->out.item_count && count < WIRE_BATCH_MAX; i++)
        b->settle->entries.items[count++] = (wire_settle_entry_t){
            .receipt = bytes_from(b->out.items[i].receipt, b->out.items[i].receipt_len), .action = WIRE_ACK};
    b->settle->entries.count = count;
    return count;
}

/* Settles what the last step delivered, and gives as much credit back: the next is delivered. */
static void settle(bench_t *b, uint64_t sub)
{
    uint32_t count = collect(b);
    if (count == 0)
        return;
    say(b, WORKER, WIRE_SETTLE, b->settle);
    expect(b, WIRE_SETTLED);
    const wire_credit_t credit = {.sub = sub, .messages = count, .bytes = CREDIT_BYTES};
    say(b, WORKER, WIRE_CREDIT, &credit);
}

static void fill(bench_t *b, unsigned queues, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        publish(b, (unsigned)(i % queues));
        if (i % ALIVE_EACH == 0)
            say(b, WORKER, WIRE_PING, &(wire_ping_t){.number = i}); /* the clock goes on, and who is silent is lost */
    }
}

/* One published, one delivered from the other end, one settled, as often as `rounds`; all queues in turn. */
static double turnover_ns(bench_t *b, unsigned queues, uint64_t rounds)
{
    double begun = cpu_ns();
    for (uint64_t i = 0; i < rounds; i++) {
        unsigned queue = (unsigned)(i % queues);
        publish(b, queue);
        const wire_credit_t credit = {.sub = queue + UINT64_C(1), .messages = 1, .bytes = CREDIT_BYTES};
        say(b, WORKER, WIRE_CREDIT, &credit);
        if (collect(b) == 0)
            measure_die("nothing was delivered");
        say(b, WORKER, WIRE_SETTLE, b->settle);
    }
    return (cpu_ns() - begun) / (double)rounds;
}

/* -- benchmarks ---------------------------------------------------------------------------------- */
static void alone(void)
{
    bench_t b;
    bench_open(&b, 1);
    double begun = cpu_ns();
    fill(&b, 1, ROUNDS);
    line_put("PUBLISH of one event to one queue", (cpu_ns() - begun) / ROUNDS, "ns");
    begun = cpu_ns();
    subscribe(&b, 0);
    for (int i = 0; i < ROUNDS / BATCH; i++)
        settle(&b, 1);
    line_put("deliver and settle, 64 a frame", (cpu_ns() - begun) / ROUNDS, "ns");
    bench_close(&b, 1);
}

static void by_queues(unsigned queues)
{
    char what[LOAD_NAME_BYTES * 2];
    bench_t b;
    bench_open(&b, queues);
    fill(&b, queues, QUEUES_MAX * BATCH * 2); /* more than the credit of all takes */
    for (unsigned i = 0; i < queues; i++) {
        subscribe(&b, i);
        if (collect(&b) > 0)
            say(&b, WORKER, WIRE_SETTLE, b.settle);
    }
    (void)snprintf(what, sizeof what, "publish, deliver, settle, over %u queues", queues);
    line_put(what, turnover_ns(&b, queues, ROUNDS), "ns");
    bench_close(&b, queues);
}

static void wait_open(bench_t *b, uint64_t waiting)
{
    bench_open(b, 1);
    fill(b, 1, waiting);
}

static void wait_begin(bench_t *b)
{
    subscribe(b, 0);
    if (collect(b) > 0)
        say(b, WORKER, WIRE_SETTLE, b->settle);
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median_of_turns(double values[TURNS])
{
    qsort(values, TURNS, sizeof *values, by_size);
    return values[TURNS / 2];
}

/* In turns with a core where few wait: whatever else the machine does slows both. The median of the turns counts. */
static double times_few(bench_t *few, bench_t *many, double *many_ns)
{
    double ratios[TURNS], costs[TURNS];
    for (int i = 0; i < TURNS; i++) {
        double few_ns = turnover_ns(few, 1, ROUNDS / TURNS);
        costs[i] = turnover_ns(many, 1, ROUNDS / TURNS);
        ratios[i] = costs[i] / few_ns;
    }
    *many_ns = median_of_turns(costs);
    return median_of_turns(ratios);
}

static void by_waiting(uint64_t waiting)
{
    char what[LOAD_NAME_BYTES * 2];
    bench_t few, many;
    double cost_ns;
    wait_open(&few, WAITING_FEW);
    uint64_t before = measure_resident_bytes();
    wait_open(&many, waiting);
    uint64_t after = measure_resident_bytes();
    wait_begin(&few);
    wait_begin(&many);
    double times = times_few(&few, &many, &cost_ns);
    (void)snprintf(what, sizeof what, "publish, deliver, settle, %llu waiting", (unsigned long long)waiting);
    line_put(what, cost_ns, "ns");
    (void)snprintf(what, sizeof what, "the same, of what it is with %d waiting", WAITING_FEW);
    line_put(what, times * 100, "%");
    if (waiting >= 1000000) {
        (void)snprintf(what, sizeof what, "memory of a message, %llu waiting", (unsigned long long)waiting);
        line_put(what, (double)(after - before) / (double)waiting, "bytes");
    }
    bench_close(&few, 1);
    bench_close(&many, 1);
}

/* -- beside a purge ------------------------------------------------------------------------------- */
/* One published, delivered and settled, told by itself, and the clock of the core with it. */
static void turn_beside(bench_t *b, histogram_t *histogram)
{
    double begun = cpu_ns();
    (void)turnover_ns(b, 1, 1);
    histogram_add(histogram, (uint64_t)(cpu_ns() - begun));
    b->now_us += TURN_US;
}

static void put_us(const char *what, const histogram_t *histogram)
{
    char line[LOAD_NAME_BYTES * 2];
    (void)snprintf(line, sizeof line, "%s, p50", what);
    line_put(line, histogram_at_us(histogram, 0.5), "us");
    (void)snprintf(line, sizeof line, "%s, p99", what);
    line_put(line, histogram_at_us(histogram, 0.99), "us");
    (void)snprintf(line, sizeof line, "%s, p99.99", what);
    line_put(line, histogram_at_us(histogram, 0.9999), "us");
}

/* What live work notices of a purge: its slices run between the steps, one in a millisecond of the core's clock. */
static void beside_purge(uint64_t waiting)
{
    static histogram_t alone_us, beside_us;
    bench_t b;
    bench_open(&b, 2);
    for (uint64_t i = 0; i < waiting; i++) {
        publish(&b, 1);
        if (i % ALIVE_EACH == 0)
            say(&b, WORKER, WIRE_PING, &(wire_ping_t){.number = i});
    }
    for (int i = 0; i < WAITING_FEW; i++)
        publish(&b, 0);
    wait_begin(&b);
    for (int i = 0; i < ROUNDS / TURNS; i++)
        turn_beside(&b, &alone_us);
    const wire_queue_t purge = {.op = BYTES_LIT("purge"), .name = BYTES_LIT("bench-1")};
    double begun = cpu_ns();
    say(&b, PEER, WIRE_QUEUE, &purge);
    line_put("purge, until it is answered", (cpu_ns() - begun) / 1000, "us");
    int64_t begun_us = b.now_us;
    while (core_next_deadline_us(b.core) <= b.now_us + SOON_US)
        turn_beside(&b, &beside_us);
    line_put("purge, until all is freed", (double)(b.now_us - begun_us) / 1e6, "s");
    put_us("publish, deliver, settle alone", &alone_us);
    put_us("publish, deliver, settle beside a purge", &beside_us);
    bench_close(&b, 2);
}

int main(int argc, char **argv)
{
    uint64_t most = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000000;
    alone();
    for (unsigned queues = 1; queues <= QUEUES_MAX; queues *= 10)
        by_queues(queues);
    for (uint64_t waiting = 10000; waiting < most; waiting *= 10)
        by_waiting(waiting);
    by_waiting(most);
    beside_purge(most);
    return 0;
}
