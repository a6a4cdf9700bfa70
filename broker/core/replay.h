/* replay.h: replays: archived events are published again, in order, marked with the replay's name.
 *
 * Source: EventBridge StartReplay, CancelReplay, DescribeReplay; ours: pace, pause, one queue or subscriber, event ids,
 * patterns, dry runs. A replay is a job of the broker. It asks for its events in slices (CORE_OUT_REPLAY), and each
 * that it publishes says of which record it is: the journal itself is its progress, so that a restart neither skips nor
 * repeats one. Where nothing is published for a while, its position is journaled once a second. It ends with the record
 * that began it: what came later is not its business. */
#ifndef BROKER_CORE_REPLAY_H
#define BROKER_CORE_REPLAY_H

#include "broker/core/state.h"

#define REPLAY_NAME_MAX_BYTES 64 /* EventBridge: ReplayName */
#define REPLAYS_ACTIVE_MAX 10    /* running or paused; EventBridge: concurrent replays */
#define REPLAYS_LISTED 100       /* older ones that have ended are forgotten, and their names are free again */
#define REPLAY_IDS_MAX 256
#define REPLAY_RATE_MAX 1000000u
#define REPLAY_SPEED_MAX_PERMILLE UINT64_C(1000000000)
#define REPLAY_SLICE_BYTES ((size_t)128 << 10)

/* -- settings ------------------------------------------------------------------------------------------ */
/* Reads JSON: {archive, bus, to (as PUBLISH.to, or rule:NAME,…), pattern (JSON as text), ids, from_us, until_us,
 * speed_permille, rate}. */
MUST_USE bool replay_settings_read(bytes_t json, replay_settings_t *out, error_t *err);
void replay_settings_free(replay_settings_t *settings);

/* -- the table ----------------------------------------------------------------------------------------- */
replay_t *replay_at(const core_t *core, uint32_t id);
replay_t *replay_find(core_t *core, bytes_t name);  /* NULL for none */
void replay_forget(core_t *core, replay_t *replay); /* a dry one, for its name */
const char *replay_state_name(const replay_t *replay);
bool replay_is_active(const replay_t *replay); /* running or paused */
uint32_t replays_active(const core_t *core);

/* Journals the begin, or, `is_dry`, begins to count without a record. NULL when the settings do not hold. */
MUST_USE const replay_t *replay_begin(core_t *core, bytes_t name, bytes_t json, bool is_dry, error_t *err);
/* Journals another state; `why` for FAILED, else "". */
void replay_move(core_t *core, replay_t *replay, replay_state_t state, const char *why);
/* Deliveries of one event, queue by queue. */
void replay_count(replay_t *replay, const record_publish_t *event);

/* For publish.c, when a PUBLISH with replay_of is applied. */
void replay_apply_event(core_t *core, const record_t *record);
MUST_USE bool replay_apply(core_t *core, const record_t *record, error_t *err);
uint64_t replays_digest(const core_t *core);
MUST_USE bool replays_check(const core_t *core, error_t *err);
/* For the snapshot: puts one back whose settings are `json`. */
MUST_USE replay_t *replay_restore(core_t *core, const replay_t *replay, bytes_t name, bytes_t json, bytes_t why,
                                  error_t *err);
void replays_free(core_t *core);

/* -- running (replay_run.c) ---------------------------------------------------------------------------- */
void replays_due(core_t *core);
int64_t replays_next_us(const core_t *core);
/* CORE_IN_REPLAYED. */
void replays_replayed(core_t *core);

#endif
