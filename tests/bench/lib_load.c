/* lib_load.c: the window of each connection and the one loop over them. */
#include "tests/bench/lib_load.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define STALL_NS UINT64_C(20000000000) /* nothing came back for so long: the peer is stuck */
#define POLL_MS 1000

typedef struct {
    void *peer;
    uint64_t *begun_ns; /* a ring: units end in the order in which they began */
    unsigned first, open;
} lane_t;

typedef struct {
    const load_peer_t *peer;
    const load_options_t *options;
    lane_t lanes[LOAD_CONNECTIONS_MAX];
    zmq_pollitem_t items[LOAD_CONNECTIONS_MAX];
    histogram_t latencies;
    uint64_t units, progress_ns;
} load_t;

static void open_all(load_t *load)
{
    const load_options_t *o = load->options;
    if (o->connections == 0 || o->connections > LOAD_CONNECTIONS_MAX || o->outstanding == 0)
        measure_die("use 1 to %d connections, and at least one unit outstanding", LOAD_CONNECTIONS_MAX);
    for (unsigned i = 0; i < o->connections; i++) {
        lane_t *lane = &load->lanes[i];
        lane->peer = load->peer->open(o, i);
        lane->begun_ns = calloc(o->outstanding, sizeof *lane->begun_ns);
        if (!lane->peer || !lane->begun_ns)
            measure_die("out of memory");
        load->peer->watch(lane->peer, &load->items[i]);
    }
}

static void close_all(load_t *load)
{
    for (unsigned i = 0; i < load->options->connections; i++) {
        load->peer->close(load->lanes[i].peer);
        free(load->lanes[i].begun_ns);
    }
}

static void fill(load_t *load, lane_t *lane)
{
    unsigned most = load->options->outstanding;
    if (lane->open == most)
        return;
    uint64_t now_ns = measure_now_ns();
    for (; lane->open < most; lane->open++) {
        lane->begun_ns[(lane->first + lane->open) % most] = now_ns;
        load->peer->start(lane->peer);
    }
    if (load->peer->flush)
        load->peer->flush(lane->peer);
}

static void take(load_t *load, lane_t *lane)
{
    unsigned ended = load->peer->take(lane->peer), most = load->options->outstanding;
    if (ended == 0)
        return;
    if (ended > lane->open)
        measure_die("%s: %u units ended, %u were open", load->peer->name, ended, lane->open);
    uint64_t now_ns = measure_now_ns();
    for (unsigned i = 0; i < ended; i++)
        histogram_add(&load->latencies, now_ns - lane->begun_ns[(lane->first + i) % most]);
    lane->first = (lane->first + ended) % most;
    lane->open -= ended;
    load->units += ended;
    load->progress_ns = now_ns;
}

static void turn(load_t *load)
{
    unsigned count = load->options->connections;
    for (unsigned i = 0; i < count; i++)
        fill(load, &load->lanes[i]);
    if (zmq_poll(load->items, (int)count, POLL_MS) < 0 && errno != EINTR)
        measure_die("cannot poll: %s", zmq_strerror(errno));
    for (unsigned i = 0; i < count; i++)
        if (load->items[i].revents)
            take(load, &load->lanes[i]);
}

static void run_until(load_t *load, uint64_t end_ns)
{
    load->progress_ns = measure_now_ns();
    for (uint64_t now_ns = load->progress_ns; now_ns < end_ns; now_ns = measure_now_ns()) {
        turn(load);
        if (now_ns > load->progress_ns + STALL_NS)
            measure_die("%s: nothing comes back", load->peer->name);
    }
}

static uint64_t ns_of(double seconds)
{
    return (uint64_t)(seconds * 1e9);
}

static load_t *load_new(void)
{
    load_t *load = calloc(1, sizeof *load);
    if (load)
        return load;
    measure_die("out of memory");
}

void load_run(const load_peer_t *peer, const load_options_t *options, load_result_t *result)
{
    load_t *load = load_new();
    load->peer = peer;
    load->options = options;
    open_all(load);
    run_until(load, measure_now_ns() + ns_of(options->warm_s));
    load->units = 0;
    load->latencies = (histogram_t){0};
    double server_s = measure_cpu_s(options->server), own_s = measure_cpu_s(getpid());
    uint64_t begun_ns = measure_now_ns();
    run_until(load, begun_ns + ns_of(options->seconds));
    *result = (load_result_t){.units = load->units,
                              .seconds = (double)(measure_now_ns() - begun_ns) / 1e9,
                              .server_cpu_s = measure_cpu_s(options->server) - server_s,
                              .own_cpu_s = measure_cpu_s(getpid()) - own_s,
                              .p50_us = histogram_at_us(&load->latencies, 0.5),
                              .p99_us = histogram_at_us(&load->latencies, 0.99)};
    close_all(load);
    free(load);
}
