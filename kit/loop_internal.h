/* loop_internal.h: what the loop's two sources share: its watches and signals (loop.c), its timers (loop_timer.c). */
#ifndef KIT_LOOP_INTERNAL_H
#define KIT_LOOP_INTERNAL_H

#include <stddef.h>

#include "kit/loop.h"

typedef struct {
    loop_timer_fn fn;
    void *ctx;
} loop_job_t;

/* A binary heap by time, and the work for after this turn. The heap has room for every timer that exists, so
 * that arming cannot fail. */
typedef struct {
    loop_timer_t **heap;
    size_t armed, existing, capacity;
    loop_job_t *jobs;
    size_t job_count, job_capacity;
} loop_timers_t;

/* When the loop must next wake, monotonic microseconds; INT64_MAX for never. */
int64_t loop_timers_due_us(const loop_timers_t *timers);
/* Runs the jobs that were waiting, then each timer that is due, none of them twice. */
void loop_timers_run(loop_timers_t *timers);
void loop_timers_free(loop_timers_t *timers);

/* The two below are loop.c's. */
loop_timers_t *loop_timers(loop_t *loop);
/* Sees to it that the loop wakes at loop_timers_due_us(). */
void loop_wake_plan(loop_t *loop);

#endif
