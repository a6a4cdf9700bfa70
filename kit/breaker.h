/* breaker.h: when to stop asking a backend that fails or has become slow, and when to try again.
 *
 * Counts the calls of a sliding time window. With enough of them it opens when too large a part failed, or was
 * slow. Open, it refuses for a time that doubles with each opening in a row and is jittered, then lets one probe at
 * a time through; so many good ones in a row close it, a bad one opens it again. A probe that never reports gives
 * its permit back by itself. What the caller did wrong or took back is reported as IGNORED: it is no sign of the
 * backend's health. Reports of calls that began before the last change of state do not count.
 *
 * Reads no clock and draws no chance: both are passed in (`now_us` monotonic, `chance` uniform in [0, 1)). Not
 * thread-safe, never blocks, never allocates. */
#ifndef KIT_BREAKER_H
#define KIT_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/compiler.h"

#define BREAKER_SLICES 10 /* of the window: what is older than it leaves in steps of a tenth */

typedef enum { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_HALF_OPEN, BREAKER_ISOLATED } breaker_state_t;
typedef enum { BREAKER_GOOD, BREAKER_BAD, BREAKER_IGNORED } breaker_outcome_t;

typedef struct {
    int64_t window_us;      /* 0: 10 s */
    uint32_t minimum_calls; /* in the window, before ratios mean anything; 0: 20 */
    double failure_ratio;   /* 0 < r <= 1; 0: 0.5 */
    int64_t slow_us;        /* a call that takes longer is slow, good or bad; 0: none is */
    double slow_ratio;      /* 0 < r <= 1; 0: 0.8 */
    int64_t open_us;        /* the first time; 0: 2 s */
    int64_t open_max_us;    /* however often in a row; 0: 60 s */
    int64_t permit_us;      /* patience with a probe; 0: 10 s */
    uint32_t probes;        /* good ones in a row that close it; 0: 1 */
} breaker_options_t;

typedef struct {
    uint32_t calls, failures, slow;
} breaker_slice_t;

typedef struct {
    breaker_options_t options;
    breaker_state_t state;
    uint32_t generation; /* rises with every change of state and every lost probe */
    breaker_slice_t slices[BREAKER_SLICES];
    int64_t slice;     /* number of the newest slice since time began */
    int64_t until_us;  /* OPEN: when a probe may go; HALF_OPEN: when the one under way counts as lost */
    int64_t closed_us; /* when it last closed */
    bool probing;
    uint32_t good_probes;
    uint32_t openings; /* in a row */
} breaker_t;

typedef struct {
    uint32_t generation;
    int64_t begun_us;
} breaker_permit_t;

/* Closed, with an empty window. False, leaving `self` alone, when an option is negative or a ratio above 1. */
MUST_USE bool breaker_init(breaker_t *self, const breaker_options_t *options, int64_t now_us);

/* True with a permit that must be reported, once, when the call has ended. */
MUST_USE bool breaker_admit(breaker_t *self, int64_t now_us, breaker_permit_t *permit);
void breaker_report(breaker_t *self, const breaker_permit_t *permit, breaker_outcome_t outcome, int64_t now_us,
                    double chance);

/* How long a refused caller had better wait; 0 when one may be admitted now. */
int64_t breaker_retry_after_us(const breaker_t *self, int64_t now_us);
breaker_state_t breaker_state(const breaker_t *self);
const char *breaker_state_name(breaker_state_t state); /* closed, open, half-open, isolated */

/* By an operator's hand: refuses everything until released, which begins closed and anew. */
void breaker_isolate(breaker_t *self);
void breaker_release(breaker_t *self, int64_t now_us);

#endif
