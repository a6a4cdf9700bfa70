/* sim.h: one run: a broker, its clients, the network between them and the time, all from one seed.
 *
 * A run has some lives of the broker, each ended by a crash, a fault of the disk or a stop, while clients work; then a
 * last one without faults, in which what is open is answered and the queues are emptied. */
#ifndef TESTS_SIM_SIM_H
#define TESTS_SIM_SIM_H

#include "tests/sim/client.h"
#include "tests/sim/node.h"

#define SIM_CLIENTS 8

/* What happened in runs: a simulator that never gets there proves nothing. */
typedef struct {
    uint64_t runs, crashes, power_cuts, kills, stops, disk_faults, failed_starts, cut_connections;
    uint64_t records, published, duplicates, acked, redelivered, returned, dead_lettered, dropped, gaps, events_seen;
    uint64_t calls_answered, calls_failed, frames, received, purged, disk_full, redriven, tasks, topologies, picked;
    uint64_t snapshots, snapshots_loaded, snapshots_given_up, overlaps, wakes, turns, scheduled, archived, replayed,
        replays;
} sim_tally_t;

struct sim {
    random_t random;
    trace_t trace;
    model_t model;
    node_t node;
    client_t clients[SIM_CLIENTS];
    int64_t now_us, commit_at_us, write_at_us, checkpoint_at_us, timer_late_us, replay_at_us;
    uint64_t next_peer, next_token;
    bool is_healing;
    sim_tally_t *tally;
    wire_msg_t *heard; /* the frame that a client reads */
    wire_msg_t *left;  /* the frame that leaves the broker */
    wire_msg_t *out;   /* the frame that a client writes */
    buf_t frame, body;
};

/* One run. False with sim_print's text in `out` when something was violated. */
MUST_USE bool sim_run(uint64_t seed, node_bug_t bug, sim_tally_t *tally, FILE *out);

/* For clients. */
static inline uint64_t sim_below(sim_t *sim, uint64_t below)
{
    return random_below(&sim->random, below);
}

#endif
