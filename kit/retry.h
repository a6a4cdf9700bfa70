/* retry.h: whether to try again, and when; for the one layer that does (docs/conventions.md).
 *
 * Three bounds: a number of attempts, the deadline (no attempt is begun that cannot end in time), and a budget
 * shared by all calls to a backend: failures take tokens, successes give some back, and with half of them gone
 * nothing is tried again, so that retries cannot multiply an outage. Pauses double and are drawn from the whole
 * range ("full jitter"); a backend that named a pause is obeyed.
 *
 * `chance` is uniform in [0, 1). Nothing here reads a clock, blocks or allocates.
 *
 * Source of the budget: gRPC A6, retryThrottling. */
#ifndef KIT_RETRY_H
#define KIT_RETRY_H

#include "proto/status.h"

#define RETRY_TOKENS_MAX 1000

typedef struct {
    int32_t tokens_milli, max_milli, gain_milli;
} retry_budget_t;

/* Full. A failure costs one token, a success gives `gain_milli` thousandths back. False unless
 * 1 <= tokens <= RETRY_TOKENS_MAX and 0 <= gain_milli <= 1000. */
MUST_USE bool retry_budget_init(retry_budget_t *self, int32_t tokens, int32_t gain_milli);
void retry_budget_success(retry_budget_t *self);
void retry_budget_failure(retry_budget_t *self);
bool retry_budget_allows(const retry_budget_t *self);

typedef struct {
    uint32_t attempts_max;   /* the first one included */
    int64_t base_ms, cap_ms; /* the pause before attempt n + 1 is at most base * 2^(n-1), and at most cap */
    int64_t attempt_ms;      /* what an attempt needs at least */
} retry_policy_t;

/* After attempt number `attempt` (from 1) failed with `err`, with `left_ms` of the deadline left: true when another
 * is worth it, after *wait_ms. Ask after retry_budget_failure(). */
MUST_USE bool retry_again(const retry_policy_t *policy, const retry_budget_t *budget, uint32_t attempt,
                          const error_t *err, int64_t left_ms, double chance, int64_t *wait_ms);

/* The pause alone. */
int64_t retry_pause_ms(const retry_policy_t *policy, uint32_t attempt, double chance);

#endif
