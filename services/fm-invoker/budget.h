/* budget.h: money that may be spent in a day: reserved before a model is asked, settled when it has answered.
 *
 * A reservation is what a call could cost at most, so calls that run at the same time cannot together exceed the
 * limit. What other instances spent comes in by budget_shared; what they have reserved is not known here, so n
 * instances can overshoot by what n - 1 of them have reserved. Amounts are micro US dollars, days are UTC.
 * Pure: time is a number. */
#ifndef FM_INVOKER_BUDGET_H
#define FM_INVOKER_BUDGET_H

#include "proto/status.h"

typedef struct {
    int64_t limit; /* 0: none */
    int64_t day;   /* days since 1970; what follows is of this day */
    int64_t spent; /* by all, as far as is known */
    int64_t reserved;
} budget_t;

void budget_init(budget_t *budget, int64_t limit, int64_t now_us);
/* False with RESOURCE_EXHAUSTED and retry_after_ms until midnight (UTC) when `amount` does not fit. */
MUST_USE bool budget_reserve(budget_t *budget, int64_t amount, int64_t now_us, error_t *err);
/* Exactly once for each reservation, however the call ended. */
void budget_settle(budget_t *budget, int64_t reserved, int64_t cost, int64_t now_us);
/* The sum of all instances for `day`, as the database has it; never lowers what is known here of the same day. */
void budget_shared(budget_t *budget, int64_t day, int64_t spent);
int64_t budget_day(int64_t now_us);

#endif
