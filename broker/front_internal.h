/* front_internal.h: the parts of the front, for its own files. */
#ifndef BROKER_FRONT_INTERNAL_H
#define BROKER_FRONT_INTERNAL_H

#include "broker/access.h"
#include "broker/checkpointer.h"
#include "broker/deliver.h"
#include "broker/front.h"
#include "broker/gate.h"
#include "broker/journal/history.h"
#include "broker/observe.h"
#include "broker/router.h"
#include "broker/zap.h"

#define FRONT_REPLAYS_MAX 16 /* more than can run */
#define FRONT_REPLAY_AHEAD 16
#define FRONT_SCANS_MAX 65536 /* one for each bus subscription at most */

typedef struct {
    uint64_t scan, from;
    int64_t since_us;
    size_t max_bytes;
} front_scan_t;

typedef struct {
    const options_t *options;
    char instance[64];
    char journal_dir[OPTIONS_PATH_BYTES];
    loop_t *loop;
    void *zmq;
    keyring_t *keyring; /* NULL without keys */
    zap_t *zap;
    access_t *access;
    router_t *router;
    zones_t *zones; /* the machine's */
    core_t *core;
    journal_t *journal;
    loop_watch_t *journal_watch;
    gate_t *gate;
    deliver_t *deliver;
    observe_t *observe;
    core_effects_t effects;
    wire_msg_t *msg; /* the frame being decoded */

    int64_t wall_base_us, mono_base_us;
    loop_timer_t *deadline;     /* core_next_deadline_us */
    loop_timer_t *housekeeping; /* every second */
    loop_timer_t *stopping;     /* while draining */

    front_scan_t *scans; /* a ring */
    size_t scan_first, scan_count, scan_cap;
    bool scan_planned;

    history_t *history; /* what replays read */
    front_scan_t replays[FRONT_REPLAYS_MAX];
    size_t replay_count;
    bool replay_planned;
    uint64_t replay_slices;
    uint64_t replay_ends[FRONT_REPLAY_AHEAD]; /* of the last slices: next sequence behind */
    int64_t live_us;                          /* monotonic: when the newest PUBLISH or SEND came */

    core_config_t core_config;
    checkpointer_t *checkpointer;
    loop_watch_t *checkpoint_watch;
    observe_checkpoint_t checkpoints;
    int64_t checkpoint_began_us, checkpoint_not_before_us, expire_at_us; /* monotonic */
    int idle_seconds;

    uint64_t appended_before; /* records, at the last housekeeping */
    size_t frames_in, frames_bad;
    bool is_listening, is_stopping, has_failed;
    int64_t stop_by_mono_us;
    unsigned config_errors; /* error lines of the core while the topology was applied */
    bool counts_errors;
    int exit_code;
} front_t;

/* front_turn.c */
int64_t front_now_us(const front_t *front);
/* One input to the core; what follows is done by front_settle. */
void front_step(front_t *front, core_input_t *input);
/* Does all that the core asked for: journal, gate, scans; then commits and sends what may go. */
void front_settle(front_t *front);
/* Takes and serves what has arrived. */
void front_on_frames(void *ctx, int events);
void front_on_journal(void *ctx, int events);
/* The first failure of the disk is the last: logs, and ends the loop with `exit_code`. */
void front_fail(front_t *front, const char *what, const error_t *err);

/* front_checkpoint.c */
/* Every second: is it time for a checkpoint? */
void front_checkpoint_look(front_t *f, const journal_stats_t *stats, bool is_idle);
void front_on_checkpoint(void *ctx, int events);

/* front_scan.c */
void front_scan_put(front_t *front, const front_scan_t *scan);

/* front_replay.c */
void front_replay_put(front_t *front, const front_scan_t *scan);
/* To be called when the journal has synced more. */
void front_replay_plan(front_t *front);

#endif
