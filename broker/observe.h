/* observe.h: what the broker shows of itself over HTTP: /metrics, /healthz, /readyz. */
#ifndef BROKER_OBSERVE_H
#define BROKER_OBSERVE_H

#include "broker/core/core.h"
#include "broker/deliver.h"
#include "broker/gate.h"
#include "broker/journal/journal_checkpoint.h"
#include "broker/router.h"
#include "broker/zap.h"
#include "kit/loop.h"

typedef struct observe observe_t;

/* Counted by the front. */
typedef struct {
    uint64_t count, given_up;
    uint64_t archived; /* events */
    journal_checkpoint_stats_t last;
    int64_t last_us;     /* how long it took */
    int64_t recovery_us; /* at start */
} observe_checkpoint_t;

/* What is looked at; all outlive the observer but `zap`, which may be NULL. */
typedef struct {
    const core_t *core;
    const journal_t *journal;
    const router_t *router;
    const gate_t *gate;
    const deliver_t *deliver;
    const zap_t *zap;
    const observe_checkpoint_t *checkpoints;
    int64_t (*now_us)(void *ctx);        /* the broker's clock */
    const char *(*not_ready)(void *ctx); /* NULL: ready; else why not, one sentence */
    void *ctx;
} observe_subject_t;

/* `address` is HOST:PORT, port 0 for any free one; empty: metrics are counted and not served. */
MUST_USE observe_t *observe_new(loop_t *loop, const char *address, const observe_subject_t *subject, error_t *err);
void observe_free(observe_t **observe);

/* To be called after each commit and poll: takes the times of syncs and the sizes of batches. */
void observe_journal(observe_t *observe);
void observe_frames(observe_t *observe, size_t in, size_t bad);

#endif
