/* sim.c: what happens next, and when a life of the broker ends. */
#include "tests/sim/sim.h"

#include <errno.h>
#include <stdlib.h>

#define BEGIN_US INT64_C(1700000000000000)
#define LIVES_MAX 3
#define LIFE_EVENTS 420
#define REPLAY_BYTES 1500  /* of a slice: a few events */
#define DEAD_OPERATIONS 90 /* of the disk, until the machine stops */
#define ONCE_OPERATIONS 60
#define HEAL_EVENTS 60000
#define IDLE_US 1000000
#define FULL_FROM_BYTES 32768
#define FULL_BYTES 32768
#define START_TRIES 20
#define TURN_FRAMES 12
#define TIMER_LATE_US 400000
#define TURN_US 20000 /* frames that are so near come in one turn: the broker was busy meanwhile */

/* -- the network --------------------------------------------------------------------------------------- */
static client_t *client_of(sim_t *sim, uint64_t peer)
{
    for (int i = 0; i < SIM_CLIENTS; i++)
        if (sim->clients[i].link.peer == peer)
            return &sim->clients[i];
    return NULL;
}

/* A frame leaves the broker: from now on somebody may rely on it. */
static void emit(void *ctx, uint64_t peer, bytes_t frame)
{
    sim_t *sim = ctx;
    error_t err = {0};
    if (!wire_decode(frame, sim->left, &err)) {
        (void)trace_violated(&sim->trace, "the broker's frame does not decode: %s", err.message);
        return;
    }
    if (sim->left->verb == WIRE_DELIVER)
        (void)!model_delivers(&sim->model, sim->left->deliver.deliveries.items, sim->left->deliver.deliveries.count);
    if (sim->left->verb == WIRE_RECEIVED)
        (void)!model_delivers(&sim->model, sim->left->received.deliveries.items, sim->left->received.deliveries.count);
    client_t *client = client_of(sim, peer);
    sim->tally->frames++;
    if (client)
        line_put(&client->link.down, frame, sim->now_us + (int64_t)sim_below(sim, sim_below(sim, 20) ? 20000 : 400000));
}

/* -- what happens next --------------------------------------------------------------------------------- */
typedef enum {
    NEXT_WAKE,
    NEXT_UP,
    NEXT_DOWN,
    NEXT_TIMER,
    NEXT_COMMIT,
    NEXT_WRITE,
    NEXT_SCAN,
    NEXT_REPLAY,
    NEXT_CHECKPOINT,
    NEXT_NOTHING
} next_kind_t;

typedef struct {
    next_kind_t kind;
    int64_t at_us;
    client_t *client;
} next_t;

static void sooner(next_t *next, next_kind_t kind, int64_t at_us, client_t *client)
{
    if (at_us < next->at_us)
        *next = (next_t){kind, at_us, client};
}

/* A busy process looks at its timers late. */
static int64_t deadline_us(const sim_t *sim)
{
    int64_t at_us = core_next_deadline_us(sim->node.core), late_us = sim->is_healing ? 0 : sim->timer_late_us;
    return at_us < INT64_MAX - late_us ? at_us + late_us : INT64_MAX;
}

static next_t what_next(sim_t *sim)
{
    next_t next = {NEXT_NOTHING, INT64_MAX, NULL};
    for (int i = 0; i < SIM_CLIENTS; i++) {
        client_t *client = &sim->clients[i];
        sooner(&next, NEXT_WAKE, client->wake_us, client);
        sooner(&next, NEXT_DOWN, line_next_us(&client->link.down), client);
        sooner(&next, NEXT_UP, line_next_us(&client->link.up), client);
    }
    if (!node_is_up(&sim->node))
        return next;
    sooner(&next, NEXT_COMMIT, sim->commit_at_us, NULL);
    sooner(&next, NEXT_WRITE, sim->write_at_us, NULL);
    sooner(&next, NEXT_TIMER, deadline_us(sim), NULL);
    sooner(&next, NEXT_CHECKPOINT, sim->checkpoint_at_us, NULL);
    if (sim->node.scan_count)
        sooner(&next, NEXT_SCAN, sim->now_us, NULL);
    if (sim->node.replay_count)
        sooner(&next, NEXT_REPLAY, sim->replay_at_us, NULL);
    return next;
}

/* In steps of a few records, with a pause behind each; then none for a while. */
static void checkpoint(sim_t *sim)
{
    static const uint64_t segment_bytes = 16384;
    node_checkpoint(&sim->node, 1 + sim_below(sim, sim_below(sim, 4) ? 6000 : 60000),
                    sim_below(sim, 3) * segment_bytes);
    int64_t pause_us = sim->node.checkpoint ? 10000 : 250000;
    sim->checkpoint_at_us = sim->now_us + 1 + (int64_t)sim_below(sim, (uint64_t)pause_us);
}

/* The next client, beginning behind this one, whose frame is there or will be within a moment; NULL for none. */
static client_t *next_up(sim_t *sim, const client_t *behind)
{
    for (int i = 1; i <= SIM_CLIENTS; i++) {
        client_t *client = &sim->clients[(behind - sim->clients + i) % SIM_CLIENTS];
        if (line_next_us(&client->link.up) <= sim->now_us + TURN_US)
            return client;
    }
    return NULL;
}

/* What has come is taken in one turn of the broker: one frame, or some of several clients. */
static void turn(sim_t *sim, client_t *client)
{
    unsigned frames = 0, most = sim_below(sim, 2) ? 1 : 1 + (unsigned)sim_below(sim, TURN_FRAMES);
    for (; client && frames < most && node_is_up(&sim->node); frames++) {
        frame_t *frame = line_take(&client->link.up);
        node_frame(&sim->node, sim->now_us, client->link.peer, bytes_from(frame->data, frame->len),
                   random_u64(&sim->random));
        free(frame);
        client = next_up(sim, client);
    }
    node_turn(&sim->node, sim->now_us, frames);
}

static void happen(sim_t *sim, const next_t *next)
{
    frame_t *frame = NULL;
    switch (next->kind) {
    case NEXT_WAKE:
        client_wake(next->client);
        break;
    case NEXT_DOWN:
        frame = line_take(&next->client->link.down);
        client_heard(next->client, bytes_from(frame->data, frame->len));
        break;
    case NEXT_UP:
        turn(sim, next->client);
        break;
    case NEXT_WRITE:
        node_write(&sim->node);
        sim->write_at_us = INT64_MAX;
        break;
    case NEXT_TIMER:
        node_timer(&sim->node, sim->now_us);
        sim->timer_late_us = sim_below(sim, 4) ? 0 : (int64_t)sim_below(sim, TIMER_LATE_US);
        break;
    case NEXT_COMMIT:
        node_commit(&sim->node);
        sim->commit_at_us = INT64_MAX;
        break;
    case NEXT_SCAN:
        node_scan(&sim->node, sim->now_us);
        break;
    case NEXT_REPLAY:
        node_replay(&sim->node, sim->now_us, 1 + sim_below(sim, REPLAY_BYTES));
        sim->replay_at_us = sim->now_us + (int64_t)sim_below(sim, 20000);
        break;
    case NEXT_CHECKPOINT:
        checkpoint(sim);
        break;
    case NEXT_NOTHING:
        break;
    }
    free(frame);
}

/* A commit begins when there is something to commit, and takes a while: what comes meanwhile goes with the next. */
static void plan_commit(sim_t *sim)
{
    if (sim->commit_at_us == INT64_MAX && node_is_up(&sim->node) && node_has_pending(&sim->node))
        sim->commit_at_us = sim->now_us + (int64_t)sim_below(sim, sim_below(sim, 8) ? 2000 : 60000);
    if (sim->write_at_us == INT64_MAX && node_is_up(&sim->node) && node_is_writing(&sim->node))
        sim->write_at_us = sim->now_us + (int64_t)sim_below(sim, sim_below(sim, 8) ? 2000 : 60000);
}

static void one_event(sim_t *sim)
{
    const next_t next = what_next(sim);
    if (next.at_us > sim->now_us + IDLE_US && node_is_up(&sim->node))
        node_idle(&sim->node);
    if (next.at_us > sim->now_us)
        sim->now_us = next.at_us;
    sim->trace.now_us = sim->now_us;
    happen(sim, &next);
    plan_commit(sim);
}

/* -- lives --------------------------------------------------------------------------------------------- */
static void cut_all(sim_t *sim)
{
    for (int i = 0; i < SIM_CLIENTS; i++)
        client_lose(&sim->clients[i]);
    sim->commit_at_us = sim->write_at_us = INT64_MAX;
}

static void arm(sim_t *sim)
{
    uint64_t dice = sim_below(sim, 10);
    if (dice < 4)
        fault_disk_arm(sim->node.disk, FAULT_DEAD, sim_below(sim, DEAD_OPERATIONS), EIO);
    else if (dice < 7)
        fault_disk_arm(sim->node.disk, FAULT_ONCE, sim_below(sim, ONCE_OPERATIONS), sim_below(sim, 4) ? EIO : EMFILE);
}

static void end_life(sim_t *sim)
{
    bool struck = fault_disk_struck(sim->node.disk);
    bool power = sim_below(sim, 3) > 0, harsh = sim_below(sim, 4) == 0;
    if (trace_is_good(&sim->trace) && node_is_up(&sim->node) && !struck && sim_below(sim, 4) == 0 &&
        !node_verify(&sim->node, sim->now_us))
        return;
    cut_all(sim);
    sim->tally->disk_faults += struck;
    if (!struck && node_is_up(&sim->node) && sim_below(sim, 5) == 0) {
        fault_disk_disarm(sim->node.disk);
        trace_note(&sim->trace, "broker: is stopped");
        if (!node_stop(&sim->node, sim->now_us))
            (void)trace_violated(&sim->trace, "the broker could not be stopped");
        sim->tally->stops++;
        return;
    }
    trace_note(&sim->trace, "machine: %s%s", power ? "loses power" : "kills the broker", harsh ? ", harshly" : "");
    node_crash(&sim->node, power, harsh);
    sim->tally->crashes++;
    sim->tally->power_cuts += power;
    sim->tally->kills += !power;
}

/* At times there is little room left on the disk. */
static void live(sim_t *sim, uint64_t events)
{
    if (sim_below(sim, 3) == 0)
        fault_disk_limit(sim->node.disk, FULL_FROM_BYTES + sim_below(sim, FULL_BYTES));
    for (uint64_t i = 0; i < events && trace_is_good(&sim->trace) && node_is_up(&sim->node); i++)
        one_event(sim);
    fault_disk_limit(sim->node.disk, INT64_MAX);
}

/* Until it is up, or something is violated. */
static void come_up(sim_t *sim, bool with_faults)
{
    for (int tries = 0; trace_is_good(&sim->trace); tries++) {
        uint64_t kind = sim_below(sim, 16);
        sim->now_us += (int64_t)sim_below(sim, kind < 2 ? 90000000 : kind < 5 ? 9000000 : 200000);
        sim->trace.now_us = sim->now_us;
        if (with_faults && tries < START_TRIES)
            arm(sim);
        if (node_start(&sim->node, sim->now_us, (int)sim_below(sim, MODEL_TOPOLOGIES))) {
            sim->tally->snapshots_loaded += sim->node.loaded > 0;
            return;
        }
        if (!trace_is_good(&sim->trace))
            return;
        sim->tally->failed_starts++;
        node_crash(&sim->node, sim_below(sim, 2), sim_below(sim, 3) == 0);
    }
}

/* -- the end ------------------------------------------------------------------------------------------- */
static bool is_healed(const sim_t *sim)
{
    for (int i = 0; i < SIM_CLIENTS; i++)
        if (!client_is_done(&sim->clients[i]))
            return false;
    return sim->model.messages.count == 0 && !model_replay_runs(&sim->model);
}

static void tell_unhealed(sim_t *sim)
{
    for (int i = 0; i < SIM_CLIENTS; i++)
        if (!client_is_done(&sim->clients[i]))
            (void)trace_violated(&sim->trace, "%s never came to an end", sim->clients[i].name);
    if (!sim->model.messages.count) {
        (void)trace_violated(&sim->trace, "a replay never came to an end");
        return;
    }
    const model_message_t *m = sim->model.messages.items;
    (void)trace_violated(&sim->trace, "message %llu of queue %s was never delivered to its end",
                         (unsigned long long)m->record, model_rules[m->queue].name);
}

static void heal(sim_t *sim)
{
    sim->is_healing = true;
    for (int i = 0; i < SIM_CLIENTS; i++)
        sim->clients[i].wake_us = sim->now_us + i;
    for (int i = 0; i < HEAL_EVENTS; i++) {
        if (!trace_is_good(&sim->trace) || !node_is_up(&sim->node) || (i % 16 == 0 && is_healed(sim)))
            break;
        one_event(sim);
    }
    if (!trace_is_good(&sim->trace))
        return;
    if (!node_is_up(&sim->node))
        (void)trace_violated(&sim->trace, "the broker stopped on a disk without faults");
    else if (!is_healed(sim))
        tell_unhealed(sim);
    else
        (void)!(model_schedules_are_done(&sim->model, sim->now_us) && node_verify(&sim->node, sim->now_us));
}

static void run(sim_t *sim)
{
    uint64_t lives = 1 + sim_below(sim, LIVES_MAX);
    for (uint64_t i = 0; i < lives && trace_is_good(&sim->trace); i++) {
        come_up(sim, true);
        live(sim, 20 + sim_below(sim, LIFE_EVENTS));
        if (trace_is_good(&sim->trace))
            end_life(sim);
    }
    come_up(sim, false);
    if (trace_is_good(&sim->trace))
        heal(sim);
}

/* -- beginning ----------------------------------------------------------------------------------------- */
static sim_t *sim_new(uint64_t seed, node_bug_t bug, sim_tally_t *tally)
{
    static const client_kind_t kinds[SIM_CLIENTS] = {CLIENT_PRODUCER, CLIENT_PUBLISHER, CLIENT_CONSUMER,
                                                     CLIENT_CONSUMER, CLIENT_WATCHER,   CLIENT_DRAINER,
                                                     CLIENT_CALLER,   CLIENT_WORKER};
    sim_t *sim = calloc(1, sizeof *sim);
    if (!sim)
        abort();
    sim->random.state = seed;
    sim->tally = tally;
    sim->now_us = BEGIN_US;
    sim->commit_at_us = sim->write_at_us = INT64_MAX;
    sim->next_token = 1;
    sim->trace.seed = seed;
    sim->trace.all = getenv("SIM_TRACE") ? stderr : NULL;
    sim->trace.begin_us = sim->trace.now_us = BEGIN_US;
    sim->heard = calloc(3, sizeof *sim->heard);
    if (!sim->heard)
        abort();
    sim->left = sim->heard + 1;
    sim->out = sim->heard + 2;
    model_init(&sim->model, &sim->trace);
    node_init(&sim->node, random_u64(&sim->random), &sim->model, &sim->trace, bug);
    sim->node.by_hand = sim_below(sim, 4) > 0;
    sim->node.emit = emit;
    sim->node.ctx = sim;
    for (int i = 0; i < SIM_CLIENTS; i++)
        client_init(&sim->clients[i], sim, kinds[i], i);
    return sim;
}

static void sim_free(sim_t *sim)
{
    cut_all(sim);
    node_free(&sim->node);
    model_free(&sim->model);
    buf_free(&sim->frame);
    buf_free(&sim->body);
    free(sim->heard);
    free(sim);
}

bool sim_run(uint64_t seed, node_bug_t bug, sim_tally_t *tally, FILE *out)
{
    sim_t *sim = sim_new(seed, bug, tally);
    run(sim);
    bool good = trace_is_good(&sim->trace);
    if (!good && out)
        trace_print(&sim->trace, out);
    tally->runs++;
    tally->records += model_newest(&sim->model);
    tally->redelivered += sim->model.redelivered;
    tally->returned += sim->model.returned;
    tally->dead_lettered += sim->model.dead_lettered;
    tally->dropped += sim->model.dropped;
    tally->purged += sim->model.purged;
    tally->redriven += sim->model.redriven;
    tally->tasks += sim->model.tasks_ended;
    tally->picked += sim->model.picked;
    tally->topologies += sim->model.topologies_applied;
    tally->scheduled += sim->model.scheduled;
    tally->disk_full += sim->node.refused_full;
    tally->snapshots += sim->node.snapshots;
    tally->overlaps += sim->node.overlaps;
    tally->turns += sim->node.turns;
    tally->wakes += sim->node.wakes;
    tally->snapshots_given_up += sim->node.given_up;
    tally->archived += sim->node.archived;
    tally->replayed += sim->model.replayed;
    tally->replays += sim->model.replays_completed;
    sim_free(sim);
    return good;
}
