/* snapshot_parts.h: the save and load pairs of the core's modules, and what they share.
 *
 * A save function is a step: it writes the item (or few) that stands behind the position `at`, and returns the position
 * behind it; 0 is before the first, SNAPSHOT_NO_MORE after the last. So a save can stop and go on anywhere. A load
 * function takes one item and refuses what cannot be. */
#ifndef BROKER_CORE_SNAPSHOT_PARTS_H
#define BROKER_CORE_SNAPSHOT_PARTS_H

#include "broker/core/snapshot.h"
#include "broker/core/snapshot_items.h"
#include "broker/core/state.h"

#define SNAPSHOT_NO_MORE UINT64_MAX
#define SNAPSHOT_TIME_MAX_US (INT64_C(1) << 60) /* the year 38,000: sums of times below cannot overflow */

struct snapshot_save {
    const core_t *core;
    buf_t *out; /* of the slice being written */
    size_t section;
    uint64_t at;
    uint64_t items;
    bool is_done;
};

struct snapshot_load {
    core_t *core;
    snapshot_item_t item;
    uint64_t items;
    dedup_t *keys;        /* of the newest QUEUE or BUS; NULL before one */
    producer_t *producer; /* the newest; NULL before one */
    uint32_t message;     /* the newest; 0 before one */
    replay_t *replay;     /* the newest; NULL before one */
    bool has_begun, has_ended;
};

/* Appends one item; `values` is the kind's struct. */
void snapshot_put(snapshot_save_t *save, snapshot_kind_t kind, const void *values);
/* DATA_LOSS: `what` (a sentence's end) of item `kind` cannot be. Returns false. */
bool snapshot_misfit(error_t *err, snapshot_kind_t kind, const char *what, uint64_t number);
MUST_USE bool snapshot_time_is_good(int64_t us);

/* Two positions in one: of a thing, and of something that belongs to it. */
static inline uint64_t snapshot_pair(uint32_t thing, uint32_t part)
{
    return (uint64_t)thing << 32 | part;
}

typedef uint64_t (*snapshot_save_fn)(snapshot_save_t *save, uint64_t at);

/* snapshot_queues.c */
uint64_t snapshot_save_core(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_names(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_queues(snapshot_save_t *save, uint64_t at);
MUST_USE bool snapshot_load_core(snapshot_load_t *load, const snapshot_core_t *item, error_t *err);
MUST_USE bool snapshot_load_name(snapshot_load_t *load, const snapshot_name_t *item, error_t *err);
MUST_USE bool snapshot_load_queue(snapshot_load_t *load, const snapshot_queue_t *item, error_t *err);
MUST_USE bool snapshot_load_key(snapshot_load_t *load, const snapshot_key_t *item, error_t *err);
/* The key that is `nth` oldest of a window. */
void snapshot_save_key(snapshot_save_t *save, const dedup_t *dedup, uint32_t nth);

/* snapshot_tasks.c */
uint64_t snapshot_save_deleted(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_tasks(snapshot_save_t *save, uint64_t at);
MUST_USE bool snapshot_load_deleted(snapshot_load_t *load, const snapshot_deleted_t *item, error_t *err);
MUST_USE bool snapshot_load_task(snapshot_load_t *load, const snapshot_move_task_t *item, error_t *err);

/* snapshot_replays.c */
uint64_t snapshot_save_replays(snapshot_save_t *save, uint64_t at);
MUST_USE bool snapshot_load_replay(snapshot_load_t *load, const snapshot_replay_t *item, error_t *err);
MUST_USE bool snapshot_load_replay_count(snapshot_load_t *load, const snapshot_replay_count_t *item, error_t *err);

/* snapshot_topology.c */
uint64_t snapshot_save_topology(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_targets(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_buses(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_buckets(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_schedules(snapshot_save_t *save, uint64_t at);
MUST_USE bool snapshot_load_topology(snapshot_load_t *load, const snapshot_topology_t *item, error_t *err);
MUST_USE bool snapshot_load_target(snapshot_load_t *load, const snapshot_target_t *item, error_t *err);
MUST_USE bool snapshot_load_bus(snapshot_load_t *load, const snapshot_bus_t *item, error_t *err);
MUST_USE bool snapshot_load_bucket(snapshot_load_t *load, const snapshot_bucket_t *item, error_t *err);
MUST_USE bool snapshot_load_schedule(snapshot_load_t *load, const snapshot_schedule_t *item, error_t *err);

/* snapshot_clients.c */
uint64_t snapshot_save_producers(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_sessions(snapshot_save_t *save, uint64_t at);
MUST_USE bool snapshot_load_producer(snapshot_load_t *load, const snapshot_producer_t *item, error_t *err);
MUST_USE bool snapshot_load_answer(snapshot_load_t *load, const snapshot_answer_t *item, error_t *err);
MUST_USE bool snapshot_load_session(snapshot_load_t *load, const snapshot_session_t *item, error_t *err);

/* snapshot_messages.c: what is held comes before what is visible, so that the line of a FIFO queue's ready groups
 * comes out as it was */
uint64_t snapshot_save_in_flight(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_delayed(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_late(snapshot_save_t *save, uint64_t at);
uint64_t snapshot_save_visible(snapshot_save_t *save, uint64_t at);
MUST_USE bool snapshot_load_message(snapshot_load_t *load, const snapshot_message_t *item, error_t *err);
MUST_USE bool snapshot_load_moved(snapshot_load_t *load, const snapshot_moved_t *item, error_t *err);

/* snapshot.c */
MUST_USE bool snapshot_load_end_item(snapshot_load_t *load, const snapshot_end_t *item, error_t *err);

#endif
