/* node.h: the broker of a run: the real core, journal, gate and deliverer on a simulated disk, under a front that does
 * what broker/front_turn.c does, without ZeroMQ: records are appended before anything leaves, commits gather what
 * came meanwhile, scans go slice by slice, the first failure of the disk is the last. */
#ifndef TESTS_SIM_NODE_H
#define TESTS_SIM_NODE_H

#include "broker/checkpoint.h"
#include "broker/deliver.h"
#include "broker/gate.h"
#include "broker/journal/history.h"
#include "broker/journal/journal.h"
#include "tests/lib/fault_disk.h"
#include "tests/sim/model.h"

#define NODE_SCANS 64
#define NODE_REPLAYS 64

/* Deliberate mistakes: what the model must notice. They live here, never in what is tested. */
typedef enum {
    BUG_NONE,
    BUG_SKIP_DIR_SYNC,     /* the journal's files have no safe names */
    BUG_ANSWER_EARLY,      /* answers leave before the sync */
    BUG_DELIVER_EARLY,     /* deliveries leave before an earlier settlement is on disk */
    BUG_FORGET_KEYS,       /* deduplication keys are gone after a restart */
    BUG_FORGET_PRODUCERS,  /* what producers were answered is gone after a restart */
    BUG_ROUTE_AGAIN,       /* recovery holds events against the rules of now */
    BUG_HIDE_SYNC_FAILURE, /* a failed sync is taken for a good one */
    BUG_LOSE_RECEIVES,     /* receive counts begin anew after a restart */
    BUG_SNAPSHOT_NO_KEYS,  /* snapshots lack deduplication keys */
    BUG_RELEASE_EARLY,     /* segments are released before the snapshot is synced */
    BUG_FORGET_FIRINGS,    /* schedules do not know after a restart what they have sent */
    BUG_SKIP_FIRINGS,      /* schedules count what came due while the broker was away as sent */
    BUG_ARCHIVE_LATE,      /* segments are released before their events are synced in an archive */
    BUG_REPLAY_AGAIN,      /* replays begin anew after a restart */
    BUG_COUNT,
} node_bug_t;

typedef struct {
    fault_disk_t *disk;
    journal_io_t io; /* the disk's, as the bug changes it */
    const journal_io_t *real_io;
    core_t *core;
    journal_t *journal;
    gate_t *gate;
    deliver_t *deliver;
    core_effects_t effects;
    wire_msg_t *msg;
    record_t *record;
    core_out_t scans[NODE_SCANS];
    size_t scan_count;
    history_t *history;
    core_out_t replays[NODE_REPLAYS];
    size_t replay_count;
    checkpoint_t *checkpoint; /* under way; NULL for none */
    buf_t log;                /* every record that was written, as it was; what a crash took is cut off */
    size_t *log_at;           /* where record i + 1 begins */
    size_t log_count, log_cap;
    uint64_t released; /* highest journal_first_seq so far: before it not every record can be read */
    uint64_t snapshots, given_up;
    uint64_t archived; /* events */
    uint64_t loaded;   /* newest record of the snapshot that this life began with */
    int unsynced_fd;   /* of the file being written whose syncs are left out, for BUG_RELEASE_EARLY and _LATE; -1 */
    uint64_t lives;
    uint64_t refused_full; /* frames, because the disk was full */
    int64_t started_us;
    bool has_failed; /* the journal has: nothing goes any more */
    bool by_hand; /* the disk works beside the core: what is appended while a commit is under way goes with the next */
    uint64_t overlaps; /* commits that were written while more was appended */
    uint64_t wakes;    /* notes of slices of what came due together */
    uint64_t turns;    /* of several frames */
    node_bug_t bug;
    model_t *model;
    trace_t *trace;
    void (*emit)(void *ctx, uint64_t peer, bytes_t frame);
    void *ctx;
} node_t;

void node_init(node_t *node, uint64_t seed, model_t *model, trace_t *trace, node_bug_t bug);
void node_free(node_t *node);

/* Recovers and starts at `now_us` with one of the model's topologies. False when it did not come up: because of a
 * fault of the disk, or with a violation in the trace. */
MUST_USE bool node_start(node_t *node, int64_t now_us, int topology);
/* The process is gone at once; with `power` the machine is too, and what was not synced suffers (with `harsh` all of
 * it is lost). */
void node_crash(node_t *node, bool power, bool harsh);
/* Ends as a broker does that is asked to. False when the journal failed. */
MUST_USE bool node_stop(node_t *node, int64_t now_us);

/* One of the frames of a turn, which node_turn ends: what they make ready leaves then. */
void node_frame(node_t *node, int64_t now_us, uint64_t peer, bytes_t frame, uint64_t random);
void node_turn(node_t *node, int64_t now_us, unsigned frames);
void node_gone(node_t *node, int64_t now_us, uint64_t peer);
void node_timer(node_t *node, int64_t now_us);
void node_scan(node_t *node, int64_t now_us);
/* One slice of so many bytes for a replay. */
void node_replay(node_t *node, int64_t now_us, size_t max_bytes);
void node_commit(node_t *node);
/* The disk's part of a commit that was handed over. */
void node_write(node_t *node);
bool node_is_writing(const node_t *node);
void node_idle(node_t *node);
bool node_has_pending(const node_t *node);
/* Begins a checkpoint, retaining so many bytes of log, or goes on with the one under way. */
void node_checkpoint(node_t *node, size_t max_bytes, uint64_t retain_bytes);
/* A second core, fed with the journal alone, must be equal to the one that lived. */
MUST_USE bool node_verify(node_t *node, int64_t now_us);

static inline bool node_is_up(const node_t *node)
{
    return node->core && !node->has_failed;
}

#endif
