/* loop_timer.c: the loop's timers, a binary heap over the one timer that the loop asks czmq for. */
#include <assert.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/loop_internal.h"

#define FIRST_CAPACITY 16
#define NOT_ARMED SIZE_MAX
#define US_PER_MS 1000

struct loop_timer {
    loop_t *loop;
    loop_timer_fn fn;
    void *ctx;
    int64_t due_us;
    int64_t period_us; /* 0: once */
    size_t at;         /* in the heap; NOT_ARMED */
};

/* -- heap ---------------------------------------------------------------------------------------- */
static void place(loop_timers_t *timers, size_t at, loop_timer_t *timer)
{
    timers->heap[at] = timer;
    timer->at = at;
}

static void sift_up(loop_timers_t *timers, size_t at)
{
    loop_timer_t *moving = timers->heap[at];
    while (at > 0 && timers->heap[(at - 1) / 2]->due_us > moving->due_us) {
        place(timers, at, timers->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    place(timers, at, moving);
}

static size_t earlier_child(const loop_timers_t *timers, size_t at)
{
    size_t left = 2 * at + 1, right = left + 1;
    return right < timers->armed && timers->heap[right]->due_us < timers->heap[left]->due_us ? right : left;
}

static void sift_down(loop_timers_t *timers, size_t at)
{
    loop_timer_t *moving = timers->heap[at];
    while (2 * at + 1 < timers->armed) {
        size_t child = earlier_child(timers, at);
        if (timers->heap[child]->due_us >= moving->due_us)
            break;
        place(timers, at, timers->heap[child]);
        at = child;
    }
    place(timers, at, moving);
}

static void heap_remove(loop_timers_t *timers, loop_timer_t *timer)
{
    size_t at = timer->at;
    loop_timer_t *last = timers->heap[--timers->armed];
    timer->at = NOT_ARMED;
    if (last == timer)
        return;
    place(timers, at, last);
    sift_up(timers, at);
    sift_down(timers, last->at);
}

static void heap_insert(loop_timers_t *timers, loop_timer_t *timer)
{
    place(timers, timers->armed++, timer);
    sift_up(timers, timer->at);
}

/* -- timers -------------------------------------------------------------------------------------- */
static bool make_room(loop_timers_t *timers)
{
    if (timers->existing < timers->capacity)
        return true;
    size_t capacity = timers->capacity ? 2 * timers->capacity : FIRST_CAPACITY;
    loop_timer_t **heap = realloc(timers->heap, capacity * sizeof *heap);
    if (!heap)
        return false;
    timers->heap = heap;
    timers->capacity = capacity;
    return true;
}

loop_timer_t *loop_timer_new(loop_t *loop, loop_timer_fn fn, void *ctx)
{
    loop_timers_t *timers = loop_timers(loop);
    if (!make_room(timers))
        return NULL;
    loop_timer_t *timer = malloc(sizeof *timer);
    if (!timer)
        return NULL;
    *timer = (loop_timer_t){.loop = loop, .fn = fn, .ctx = ctx, .at = NOT_ARMED};
    timers->existing++;
    return timer;
}

static void arm(loop_timer_t *timer, int64_t due_us, int64_t period_us)
{
    loop_timer_off(timer);
    timer->due_us = due_us;
    timer->period_us = period_us;
    heap_insert(loop_timers(timer->loop), timer);
    if (timer->at == 0)
        loop_wake_plan(timer->loop);
}

void loop_timer_at(loop_timer_t *timer, int64_t mono_us)
{
    arm(timer, mono_us, 0);
}

static int64_t from_now_us(int64_t delay_ms)
{
    int64_t now_us = clock_mono_us();
    if (delay_ms <= 0)
        return now_us;
    return delay_ms > (INT64_MAX - now_us) / US_PER_MS ? INT64_MAX : now_us + delay_ms * US_PER_MS;
}

void loop_timer_in(loop_timer_t *timer, int64_t delay_ms)
{
    arm(timer, from_now_us(delay_ms), 0);
}

void loop_timer_every(loop_timer_t *timer, int64_t period_ms)
{
    assert(period_ms > 0);
    arm(timer, from_now_us(period_ms), period_ms * US_PER_MS);
}

void loop_timer_off(loop_timer_t *timer)
{
    if (timer->at != NOT_ARMED)
        heap_remove(loop_timers(timer->loop), timer);
}

void loop_timer_end(loop_timer_t **timer)
{
    if (!*timer)
        return;
    loop_timer_off(*timer);
    loop_timers((*timer)->loop)->existing--;
    free(*timer);
    *timer = NULL;
}

/* A period keeps its rhythm, but what was missed meanwhile is not made up for. */
static void fire(loop_timers_t *timers, loop_timer_t *timer, int64_t now_us)
{
    heap_remove(timers, timer);
    if (timer->period_us > 0) {
        timer->due_us += timer->period_us;
        if (timer->due_us <= now_us)
            timer->due_us = now_us + timer->period_us;
        heap_insert(timers, timer);
    }
    timer->fn(timer->ctx); /* last: it may end the timer */
}

/* -- jobs ---------------------------------------------------------------------------------------- */
void loop_soon(loop_t *loop, loop_timer_fn fn, void *ctx)
{
    loop_timers_t *timers = loop_timers(loop);
    if (timers->job_count == timers->job_capacity) {
        size_t capacity = timers->job_capacity ? 2 * timers->job_capacity : FIRST_CAPACITY;
        loop_job_t *jobs = realloc(timers->jobs, capacity * sizeof *jobs);
        if (!jobs)
            abort(); /* a promise to run something cannot be refused */
        timers->jobs = jobs;
        timers->job_capacity = capacity;
    }
    timers->jobs[timers->job_count++] = (loop_job_t){fn, ctx};
    if (timers->job_count == 1)
        loop_wake_plan(loop);
}

/* Those that are added meanwhile go into a new list, for the next turn. */
static void run_jobs(loop_timers_t *timers)
{
    loop_job_t *jobs = timers->jobs;
    size_t count = timers->job_count, capacity = timers->job_capacity;
    timers->jobs = NULL;
    timers->job_count = timers->job_capacity = 0;
    for (size_t i = 0; i < count; i++)
        jobs[i].fn(jobs[i].ctx);
    if (timers->jobs) {
        free(jobs);
        return;
    }
    timers->jobs = jobs;
    timers->job_capacity = capacity;
}

/* -- for the loop -------------------------------------------------------------------------------- */
int64_t loop_timers_due_us(const loop_timers_t *timers)
{
    if (timers->job_count > 0)
        return 0;
    return timers->armed > 0 ? timers->heap[0]->due_us : INT64_MAX;
}

void loop_timers_run(loop_timers_t *timers)
{
    if (timers->job_count > 0)
        run_jobs(timers);
    /* A timer that arms itself for the past again and again must not keep the sockets waiting. */
    int64_t now_us = clock_mono_us();
    for (size_t turns = timers->armed; turns > 0 && timers->armed > 0 && timers->heap[0]->due_us <= now_us; turns--)
        fire(timers, timers->heap[0], now_us);
}

void loop_timers_free(loop_timers_t *timers)
{
    free(timers->heap);
    free(timers->jobs);
    *timers = (loop_timers_t){0};
}
