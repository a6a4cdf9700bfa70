/* purse.c: what is in hand, what is asked for, and what is needed; one function holds them together. */
#include "kit/purse.h"

#include <stdlib.h>

#include "kit/clock.h"
#include "kit/log.h"

#define US_PER_MS 1000

typedef struct {
    uint64_t permit;
    uint32_t tokens;
    int64_t until_us; /* monotonic */
} lot_t;

typedef struct {
    purse_t *purse;
    uint32_t priority;
    uint32_t needed;
    uint64_t drawing; /* number; 0: none under way */
    uint32_t asked;   /* tokens of it */
} class_t;

struct purse {
    bus_t *bus;
    char *bucket;
    uint32_t most;
    void (*on_change)(void *ctx);
    void *ctx;
    class_t classes[PURSE_PRIORITIES];
    lot_t lots[PURSE_LOTS_MAX]; /* in the order in which they came */
    uint32_t lot_count;
    loop_timer_t *timer; /* when something is to be looked at again */
    int64_t rest_us;     /* nothing is asked for before */
    bool is_missing;
};

/* -- in hand --------------------------------------------------------------------------------------------- */
static void lot_drop(purse_t *purse, uint32_t nth)
{
    purse->lot_count--;
    memmove(&purse->lots[nth], &purse->lots[nth + 1], (purse->lot_count - nth) * sizeof *purse->lots);
}

static void lots_expire(purse_t *purse)
{
    int64_t now_us = clock_mono_us();
    for (uint32_t i = purse->lot_count; i-- > 0;)
        if (purse->lots[i].until_us <= now_us)
            lot_drop(purse, i);
}

static uint32_t in_hand(const purse_t *purse)
{
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < purse->lot_count; i++)
        tokens += purse->lots[i].tokens;
    return tokens;
}

static uint32_t sum_needed(const purse_t *purse)
{
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < PURSE_PRIORITIES; i++)
        tokens += purse->classes[i].needed;
    return tokens;
}

static uint32_t sum_asked(const purse_t *purse)
{
    uint32_t tokens = 0;
    for (uint32_t i = 0; i < PURSE_PRIORITIES; i++)
        tokens += purse->classes[i].asked;
    return tokens;
}

/* The newest first: the older ones are used up first. */
static void lots_return(purse_t *purse)
{
    while (purse->lot_count) {
        const lot_t *lot = &purse->lots[--purse->lot_count];
        bus_permit_return(purse->bus, purse->bucket, lot->permit, lot->tokens);
    }
}

/* -- asking ------------------------------------------------------------------------------------------------ */
static void balance(purse_t *purse);

static void rest(purse_t *purse, int64_t for_ms)
{
    purse->rest_us = clock_mono_us() + for_ms * US_PER_MS;
}

/* When a rest is over, or a permit has run out that is still needed. */
static void timer_arm(purse_t *purse)
{
    int64_t at_us = purse->lot_count ? purse->lots[0].until_us : INT64_MAX;
    if (purse->rest_us > clock_mono_us() && purse->rest_us < at_us)
        at_us = purse->rest_us;
    if (at_us == INT64_MAX || sum_needed(purse) == 0)
        loop_timer_off(purse->timer);
    else
        loop_timer_at(purse->timer, at_us);
}

static void refused(purse_t *purse, const bus_permit_t *permit)
{
    status_t code = permit->err->code;
    bool was_missing = purse->is_missing;
    purse->is_missing = code == STATUS_NOT_FOUND || code == STATUS_PERMISSION_DENIED || code == STATUS_UNIMPLEMENTED;
    if (purse->is_missing && !was_missing)
        log_warn("no permits are to be had", LOG_S("bucket", purse->bucket), LOG_S("error", permit->err->message));
    rest(purse, purse->is_missing            ? PURSE_LOOK_MS
                : permit->retry_after_ms > 0 ? permit->retry_after_ms
                                             : PURSE_RETRY_MS);
}

static void granted(purse_t *purse, const bus_permit_t *permit)
{
    purse->is_missing = false;
    if (permit->until_us <= clock_mono_us() || purse->lot_count == PURSE_LOTS_MAX)
        bus_permit_return(purse->bus, purse->bucket, permit->permit, permit->tokens);
    else
        purse->lots[purse->lot_count++] = (lot_t){permit->permit, permit->tokens, permit->until_us};
}

static void on_permit(void *ctx, const bus_permit_t *permit)
{
    class_t *class = ctx;
    purse_t *purse = class->purse;
    bool was_missing = purse->is_missing;
    class->drawing = class->asked = 0;
    if (permit->err && permit->err->code == STATUS_CANCELLED)
        return; /* the bus ends */
    if (permit->err)
        refused(purse, permit);
    else if (permit->tokens)
        granted(purse, permit);
    if (purse->on_change && (permit->tokens || purse->is_missing != was_missing))
        purse->on_change(purse->ctx);
    balance(purse);
}

static void class_draw(class_t *class, uint32_t tokens)
{
    purse_t *purse = class->purse;
    error_t err;
    const bus_draw_t draw = {.bucket = purse->bucket,
                             .tokens = tokens,
                             .priority = class->priority,
                             .wait_ms = PURSE_WAIT_MS,
                             .fn = on_permit,
                             .ctx = class};
    class->drawing = bus_permit(purse->bus, &draw, &err);
    class->asked = class->drawing ? tokens : 0;
    if (!class->drawing)
        rest(purse, PURSE_RETRY_MS);
}

static uint32_t fewer(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* A priority that has something under way waits for it; one that needs more than is in hand, and has nothing under way,
 * asks. It may always ask for one: what waits in a lower one does not hold it up. */
static void ask(purse_t *purse)
{
    uint32_t covered = in_hand(purse);
    for (uint32_t i = 0; i < PURSE_PRIORITIES && clock_mono_us() >= purse->rest_us; i++) {
        class_t *class = &purse->classes[i];
        uint32_t open = class->needed - fewer(class->needed, covered);
        covered -= fewer(class->needed, covered);
        uint32_t taken = in_hand(purse) + sum_asked(purse);
        uint32_t room = purse->most > taken ? purse->most - taken : 1;
        if (open && !class->drawing)
            class_draw(class, fewer(open, room));
    }
}

/* What nobody needs goes back. */
static void balance(purse_t *purse)
{
    lots_expire(purse);
    if (sum_needed(purse) == 0)
        lots_return(purse);
    else
        ask(purse);
    timer_arm(purse);
}

static void on_timer(void *ctx)
{
    balance(ctx);
}

/* -- by the owner -------------------------------------------------------------------------------------------- */
void purse_need(purse_t *purse, uint32_t priority, uint32_t tokens)
{
    class_t *class = &purse->classes[priority < PURSE_PRIORITIES ? priority : PURSE_PRIORITIES - 1];
    class->needed = tokens;
    balance(purse);
}

bool purse_has(purse_t *purse)
{
    lots_expire(purse);
    return purse->lot_count > 0;
}

bool purse_take(purse_t *purse)
{
    if (!purse_has(purse))
        return false;
    if (--purse->lots[0].tokens == 0)
        lot_drop(purse, 0);
    return true;
}

bool purse_is_there(const purse_t *purse)
{
    return !purse->is_missing;
}

/* -- life ---------------------------------------------------------------------------------------------------- */
purse_t *purse_new(loop_t *loop, bus_t *bus, const purse_options_t *options, error_t *err)
{
    purse_t *purse = calloc(1, sizeof *purse);
    if (!purse) {
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    purse->bus = bus;
    purse->bucket = strdup(options->bucket);
    purse->most = options->most ? options->most : 1;
    purse->on_change = options->on_change;
    purse->ctx = options->ctx;
    purse->timer = loop_timer_new(loop, on_timer, purse);
    for (uint32_t i = 0; i < PURSE_PRIORITIES; i++)
        purse->classes[i] = (class_t){.purse = purse, .priority = i};
    if (!purse->bucket || !purse->timer) {
        purse_free(&purse);
        error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    }
    return purse;
}

void purse_free(purse_t **handle)
{
    purse_t *purse = *handle;
    *handle = NULL;
    if (!purse)
        return;
    for (uint32_t i = 0; i < PURSE_PRIORITIES; i++)
        if (purse->classes[i].drawing)
            bus_permit_cancel(purse->bus, purse->classes[i].drawing);
    if (purse->timer)
        loop_timer_end(&purse->timer);
    free(purse->bucket);
    free(purse);
}
