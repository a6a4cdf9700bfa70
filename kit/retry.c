/* retry.c: the budget and the decision. */
#include "kit/retry.h"

#define MILLI 1000
#define DOUBLINGS_MAX 40

bool retry_budget_init(retry_budget_t *self, int32_t tokens, int32_t gain_milli)
{
    if (tokens < 1 || tokens > RETRY_TOKENS_MAX || gain_milli < 0 || gain_milli > MILLI)
        return false;
    *self = (retry_budget_t){tokens * MILLI, tokens * MILLI, gain_milli};
    return true;
}

void retry_budget_success(retry_budget_t *self)
{
    int32_t more = self->tokens_milli + self->gain_milli;
    self->tokens_milli = more < self->max_milli ? more : self->max_milli;
}

void retry_budget_failure(retry_budget_t *self)
{
    int32_t less = self->tokens_milli - MILLI;
    self->tokens_milli = less > 0 ? less : 0;
}

bool retry_budget_allows(const retry_budget_t *self)
{
    return self->tokens_milli > self->max_milli / 2;
}

int64_t retry_pause_ms(const retry_policy_t *policy, uint32_t attempt, double chance)
{
    uint32_t doublings = attempt > 1 ? attempt - 1 : 0;
    if (doublings > DOUBLINGS_MAX)
        doublings = DOUBLINGS_MAX;
    int64_t whole = policy->base_ms > policy->cap_ms >> doublings ? policy->cap_ms : policy->base_ms << doublings;
    return (int64_t)(chance * (double)(whole + 1));
}

/* DEADLINE_EXCEEDED is transient for the one above; here it means that the time is gone. */
static bool is_worth_it(const error_t *err)
{
    return status_is_transient(err->code) && err->code != STATUS_DEADLINE_EXCEEDED;
}

bool retry_again(const retry_policy_t *policy, const retry_budget_t *budget, uint32_t attempt, const error_t *err,
                 int64_t left_ms, double chance, int64_t *wait_ms)
{
    if (!is_worth_it(err) || attempt >= policy->attempts_max || !retry_budget_allows(budget))
        return false;
    int64_t pause_ms = retry_pause_ms(policy, attempt, chance);
    if (pause_ms < err->retry_after_ms)
        pause_ms = err->retry_after_ms;
    if (left_ms - policy->attempt_ms < pause_ms)
        return false;
    *wait_ms = pause_ms;
    return true;
}
