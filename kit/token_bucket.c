/* token_bucket.c: one moment stands for the whole state: when the next token is due. */
#include "kit/token_bucket.h"

#define NS_A_SECOND INT64_C(1000000000)

bool token_bucket_init_slow(token_bucket_t *self, int64_t interval_ns, uint32_t burst, int64_t now_ns)
{
    if (interval_ns < NS_A_SECOND / TOKEN_BUCKET_RATE_MAX || interval_ns > TOKEN_BUCKET_INTERVAL_MAX_NS || burst == 0 ||
        burst > TOKEN_BUCKET_BURST_MAX || interval_ns > INT64_MAX / 4 / burst)
        return false;
    *self = (token_bucket_t){.interval_ns = interval_ns, .ahead_ns = interval_ns * (burst - 1), .due_ns = now_ns};
    return true;
}

bool token_bucket_init(token_bucket_t *self, uint32_t rate_per_s, uint32_t burst, int64_t now_ns)
{
    return rate_per_s > 0 && rate_per_s <= TOKEN_BUCKET_RATE_MAX &&
           token_bucket_init_slow(self, (NS_A_SECOND - 1) / rate_per_s + 1, burst, now_ns);
}

/* The last of `count` tokens is the one that must not come too early. */
static int64_t earliest_ns(const token_bucket_t *self, uint32_t count, int64_t now_ns)
{
    int64_t due_ns = self->due_ns > now_ns ? self->due_ns : now_ns; /* idle time beyond a full bucket is lost */
    return due_ns + self->interval_ns * ((int64_t)count - 1) - self->ahead_ns;
}

bool token_bucket_take(token_bucket_t *self, uint32_t count, int64_t now_ns)
{
    if (earliest_ns(self, count, now_ns) > now_ns)
        return false;
    if (self->due_ns < now_ns)
        self->due_ns = now_ns;
    self->due_ns += self->interval_ns * count;
    return true;
}

int64_t token_bucket_wait_ns(const token_bucket_t *self, uint32_t count, int64_t now_ns)
{
    int64_t wait_ns = earliest_ns(self, count, now_ns) - now_ns;
    return wait_ns > 0 ? wait_ns : 0;
}

uint32_t token_bucket_available(const token_bucket_t *self, int64_t now_ns)
{
    int64_t due_ns = self->due_ns > now_ns ? self->due_ns : now_ns;
    int64_t spare_ns = now_ns + self->ahead_ns - due_ns;
    return spare_ns < 0 ? 0 : (uint32_t)(spare_ns / self->interval_ns) + 1;
}

void token_bucket_pause(token_bucket_t *self, int64_t for_ns, int64_t now_ns)
{
    int64_t due_ns = now_ns + for_ns + self->ahead_ns;
    if (due_ns > self->due_ns)
        self->due_ns = due_ns;
}
