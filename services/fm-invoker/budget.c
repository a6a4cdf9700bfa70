/* budget.c: reserve, then settle. */
#include "services/fm-invoker/budget.h"

#define US_PER_DAY INT64_C(86400000000)

int64_t budget_day(int64_t now_us)
{
    return now_us / US_PER_DAY;
}

void budget_init(budget_t *budget, int64_t limit, int64_t now_us)
{
    *budget = (budget_t){.limit = limit, .day = budget_day(now_us)};
}

/* A new day begins with nothing spent; what runs across midnight keeps its reservation. */
static void day_turn(budget_t *budget, int64_t now_us)
{
    if (budget_day(now_us) <= budget->day)
        return;
    budget->day = budget_day(now_us);
    budget->spent = 0;
}

bool budget_reserve(budget_t *budget, int64_t amount, int64_t now_us, error_t *err)
{
    day_turn(budget, now_us);
    int64_t wanted;
    bool fits = !__builtin_add_overflow(budget->spent, budget->reserved, &wanted) &&
                !__builtin_add_overflow(wanted, amount, &wanted) && (budget->limit == 0 || wanted <= budget->limit);
    if (!fits) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, "BudgetExceeded",
                        "the model budget of the day is used up; it begins anew at midnight UTC");
        if (err)
            err->retry_after_ms = (US_PER_DAY - now_us % US_PER_DAY) / 1000 + 1;
        return false;
    }
    budget->reserved += amount;
    return true;
}

void budget_settle(budget_t *budget, int64_t reserved, int64_t cost, int64_t now_us)
{
    day_turn(budget, now_us);
    budget->reserved -= reserved;
    if (__builtin_add_overflow(budget->spent, cost, &budget->spent))
        budget->spent = INT64_MAX;
}

void budget_shared(budget_t *budget, int64_t day, int64_t spent)
{
    if (day == budget->day && spent > budget->spent)
        budget->spent = spent;
}
