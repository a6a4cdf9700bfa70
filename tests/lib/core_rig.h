/* core_rig.h: a core with a clock that the test turns, a journal in memory, and frames through the codec.
 *
 * Every frame in is encoded and decoded, every record out is decoded again, and scans are served at once, as
 * the front would. Failures fail the test. */
#ifndef TESTS_LIB_CORE_RIG_H
#define TESTS_LIB_CORE_RIG_H

#include "broker/core/core.h"

typedef struct {
    core_t *core;
    core_config_t config;
    core_effects_t out;
    const role_t *role;
    int64_t now_us;
    uint64_t random;
    buf_t journal;    /* whole records */
    size_t *offsets;  /* of record n + 1 */
    uint64_t records; /* in the journal */
    uint64_t scanned; /* outs looked at for scans */
    wire_msg_t *in, *got;
    record_t *record;
    size_t taken;                 /* outs before this one were taken by rig_take */
    bool is_full;                 /* the next inputs say so */
    size_t replay_events;         /* in one slice at most; 0: no bound */
    const error_t *replay_broken; /* replays get this instead of events; NULL: nothing is wrong */
    bool more;                    /* rig_send says that another frame follows */
    buf_t snapshot;               /* the newest one; empty for none */
    uint64_t snapshot_records;
} rig_t;

void rig_open(rig_t *rig, const core_limits_t *limits);
void rig_close(rig_t *rig);

/* Must be taken. */
void rig_topology(rig_t *rig, const char *json);
/* Why it was refused; "" when it was taken. */
const char *rig_try_topology(rig_t *rig, const char *json);
/* One frame from `peer`; `values` is the verb's struct. Effects of before are forgotten. */
void rig_send(rig_t *rig, uint64_t peer, wire_verb_t verb, uint64_t seq, const void *values);
void rig_gone(rig_t *rig, uint64_t peer);
/* Turns the clock on, running every timer in between at its time. */
void rig_sleep(rig_t *rig, int64_t us);
/* A snapshot of all records, folded by a core of its own from the snapshot before; it must bring forth an equal one. */
void rig_snapshot(rig_t *rig);
/* A new core from the journal: all of it when `keep` is 0, else its first `keep` records (a crash). From the snapshot
 * where that is not ahead of them, and then it must equal one made of all records. */
void rig_restart(rig_t *rig, uint64_t keep);

/* The next frame to `peer` among the effects of the last call, in rig->got; NULL when there is none. */
const wire_msg_t *rig_take(rig_t *rig, uint64_t peer);
/* The same, which must be of this verb. */
const wire_msg_t *rig_expect(rig_t *rig, uint64_t peer, wire_verb_t verb);
/* The next DELIVER to `peer`; NULL when there is none. Its items are in rig->out.items. */
const core_out_t *rig_deliver(rig_t *rig, uint64_t peer);
/* A record of the journal, decoded into rig->record. */
const record_t *rig_record(rig_t *rig, uint64_t seq);

/* HELLO under a name; returns the resume token's copy. */
void rig_hello(rig_t *rig, uint64_t peer, const char *name, uint8_t resume[CORE_RESUME_BYTES]);
/* A queue of that name through the topology or QUEUE create is the test's business; these are shorthands. */
uint64_t rig_publish(rig_t *rig, uint64_t peer, const char *bus, const char *detail_type);
uint64_t rig_send_message(rig_t *rig, uint64_t peer, const char *queue, const char *text);
void rig_subscribe_queue(rig_t *rig, uint64_t peer, uint64_t sub, const char *queue, uint64_t credit);
void rig_subscribe_bus(rig_t *rig, uint64_t peer, uint64_t sub, const char *bus, uint64_t from, uint64_t credit);
/* Status of the one entry. */
uint64_t rig_settle(rig_t *rig, uint64_t peer, const core_item_t *item, uint64_t action, int64_t delay_ms);
/* An envelope in msgpack. */
void rig_envelope(buf_t *out, const char *detail_type, uint64_t number);

#endif
