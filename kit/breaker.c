/* breaker.c: a ring of slices for the window, one mover for the state. */
#include "kit/breaker.h"

#include <string.h>

#define WINDOW_US INT64_C(10000000)
#define MINIMUM_CALLS 20
#define FAILURE_RATIO 0.5
#define SLOW_RATIO 0.8
#define OPEN_US INT64_C(2000000)
#define OPEN_MAX_US INT64_C(60000000)
#define PERMIT_US INT64_C(10000000)
#define DOUBLINGS_MAX 30 /* more would overflow before the bound is applied */

/* -- window -------------------------------------------------------------------------------------- */
static int64_t slice_of(const breaker_t *self, int64_t now_us)
{
    return now_us / (self->options.window_us / BREAKER_SLICES + 1);
}

/* Empties the slices that time has passed over. */
static breaker_slice_t *slice_now(breaker_t *self, int64_t now_us)
{
    int64_t now = slice_of(self, now_us);
    if (now - self->slice >= BREAKER_SLICES)
        memset(self->slices, 0, sizeof self->slices);
    else
        while (self->slice < now)
            self->slices[++self->slice % BREAKER_SLICES] = (breaker_slice_t){0};
    if (now > self->slice)
        self->slice = now;
    return &self->slices[self->slice % BREAKER_SLICES];
}

static breaker_slice_t window_sum(const breaker_t *self)
{
    breaker_slice_t sum = {0};
    for (int i = 0; i < BREAKER_SLICES; i++) {
        sum.calls += self->slices[i].calls;
        sum.failures += self->slices[i].failures;
        sum.slow += self->slices[i].slow;
    }
    return sum;
}

static bool window_is_bad(const breaker_t *self)
{
    breaker_slice_t sum = window_sum(self);
    return sum.calls >= self->options.minimum_calls && (sum.failures >= self->options.failure_ratio * sum.calls ||
                                                        sum.slow >= self->options.slow_ratio * sum.calls);
}

/* -- state --------------------------------------------------------------------------------------- */
static void move_to(breaker_t *self, breaker_state_t state, int64_t until_us)
{
    self->state = state;
    self->until_us = until_us;
    self->generation++;
    self->probing = false;
    self->good_probes = 0;
}

/* Half of the time is fixed and half is chance: instances that opened together do not probe together. */
static int64_t open_for_us(const breaker_t *self, double chance)
{
    uint32_t doublings = self->openings < DOUBLINGS_MAX ? self->openings : DOUBLINGS_MAX;
    int64_t max = self->options.open_max_us;
    int64_t whole = self->options.open_us > max >> doublings ? max : self->options.open_us << doublings;
    return whole / 2 + (int64_t)(chance * (double)(whole - whole / 2));
}

static void open(breaker_t *self, int64_t now_us, double chance)
{
    /* Openings are in a row unless it stood closed for a whole window in between. */
    if (self->state == BREAKER_CLOSED && now_us - self->closed_us > self->options.window_us)
        self->openings = 0;
    move_to(self, BREAKER_OPEN, now_us + open_for_us(self, chance));
    self->openings++;
}

static void close_again(breaker_t *self, int64_t now_us)
{
    memset(self->slices, 0, sizeof self->slices);
    self->slice = slice_of(self, now_us);
    self->closed_us = now_us;
    move_to(self, BREAKER_CLOSED, 0);
}

static bool is_option(const breaker_options_t *o)
{
    return o->window_us >= 0 && o->slow_us >= 0 && o->open_us >= 0 && o->open_max_us >= 0 && o->permit_us >= 0 &&
           o->failure_ratio >= 0 && o->failure_ratio <= 1 && o->slow_ratio >= 0 && o->slow_ratio <= 1;
}

bool breaker_init(breaker_t *self, const breaker_options_t *options, int64_t now_us)
{
    if (!is_option(options))
        return false;
    breaker_options_t o = *options;
    o.window_us = o.window_us ? o.window_us : WINDOW_US;
    o.minimum_calls = o.minimum_calls ? o.minimum_calls : MINIMUM_CALLS;
    o.failure_ratio = o.failure_ratio > 0 ? o.failure_ratio : FAILURE_RATIO;
    o.slow_ratio = o.slow_ratio > 0 ? o.slow_ratio : SLOW_RATIO;
    o.open_us = o.open_us ? o.open_us : OPEN_US;
    o.open_max_us = o.open_max_us ? o.open_max_us : OPEN_MAX_US;
    o.permit_us = o.permit_us ? o.permit_us : PERMIT_US;
    o.probes = o.probes ? o.probes : 1;
    *self = (breaker_t){.options = o};
    close_again(self, now_us);
    return true;
}

/* -- calls --------------------------------------------------------------------------------------- */
/* One probe at a time; the next when the last has reported, or has been silent for too long. */
static bool admit_probe(breaker_t *self, int64_t now_us)
{
    if (self->state == BREAKER_OPEN)
        move_to(self, BREAKER_HALF_OPEN, 0);
    else if (self->probing)
        self->generation++; /* its report, should it still come, is of no interest */
    self->probing = true;
    self->until_us = now_us + self->options.permit_us;
    return true;
}

bool breaker_admit(breaker_t *self, int64_t now_us, breaker_permit_t *permit)
{
    if (self->state == BREAKER_ISOLATED)
        return false;
    if (self->state != BREAKER_CLOSED) {
        bool waits = self->state == BREAKER_OPEN || self->probing;
        if (waits && now_us < self->until_us)
            return false;
        (void)admit_probe(self, now_us);
    }
    *permit = (breaker_permit_t){self->generation, now_us};
    return true;
}

static void report_probe(breaker_t *self, bool bad, int64_t now_us, double chance)
{
    self->probing = false;
    if (bad)
        open(self, now_us, chance);
    else if (++self->good_probes >= self->options.probes)
        close_again(self, now_us);
}

static void report_call(breaker_t *self, bool failed, bool slow, int64_t now_us, double chance)
{
    breaker_slice_t *slice = slice_now(self, now_us);
    slice->calls++;
    slice->failures += failed;
    slice->slow += slow;
    if ((failed || slow) && window_is_bad(self))
        open(self, now_us, chance);
}

void breaker_report(breaker_t *self, const breaker_permit_t *permit, breaker_outcome_t outcome, int64_t now_us,
                    double chance)
{
    if (permit->generation != self->generation)
        return;
    bool failed = outcome == BREAKER_BAD;
    bool slow = self->options.slow_us > 0 && now_us - permit->begun_us > self->options.slow_us;
    if (outcome == BREAKER_IGNORED)
        self->probing = false; /* says nothing: the permit is free for another */
    else if (self->state == BREAKER_HALF_OPEN)
        report_probe(self, failed || slow, now_us, chance);
    else if (self->state == BREAKER_CLOSED)
        report_call(self, failed, slow, now_us, chance);
}

/* -- looking ------------------------------------------------------------------------------------- */
int64_t breaker_retry_after_us(const breaker_t *self, int64_t now_us)
{
    if (self->state == BREAKER_ISOLATED)
        return self->options.open_max_us;
    bool waits = self->state == BREAKER_OPEN || (self->state == BREAKER_HALF_OPEN && self->probing);
    return waits && self->until_us > now_us ? self->until_us - now_us : 0;
}

breaker_state_t breaker_state(const breaker_t *self)
{
    return self->state;
}

const char *breaker_state_name(breaker_state_t state)
{
    static const char *const names[] = {"closed", "open", "half-open", "isolated"};
    return names[state];
}

void breaker_isolate(breaker_t *self)
{
    move_to(self, BREAKER_ISOLATED, 0);
}

void breaker_release(breaker_t *self, int64_t now_us)
{
    self->openings = 0;
    close_again(self, now_us);
}
