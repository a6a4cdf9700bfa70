/* slice.h: how much work one step does that nobody in it waits for.
 *
 * What may concern a whole queue (visibilities that end together, messages too old, those received too often, what was
 * purged or deleted) is done a slice at a time, so that who comes in between waits for one slice and not for millions
 * of messages. A step that had more to do than its slice leaves the rest to later ones, at most one slice in
 * SLICE_PERIOD_US. What is decided in a slice is journaled in it: recovery knows nothing of slices. Not durable. */
#ifndef BROKER_CORE_SLICE_H
#define BROKER_CORE_SLICE_H

#include <stdbool.h>
#include <stdint.h>

#define SLICE_MESSAGES 256u /* about a tenth of a millisecond to free, half of one to move with a record each */
#define SLICE_PERIOD_US INT64_C(1000)

typedef struct {
    uint64_t left;   /* messages that this step may still turn to unasked */
    int64_t next_us; /* when a step may again, after one that wanted more */
} slice_state_t;

/* A step begins, which may turn to so many messages. */
static inline void slice_begin(slice_state_t *slice, int64_t now_us, uint64_t messages)
{
    slice->left = now_us >= slice->next_us ? messages : 0;
}

/* True when there is room for one message more; false leaves it to a later step. */
static inline bool slice_take(slice_state_t *slice, int64_t now_us)
{
    if (slice->left) {
        slice->left--;
        return true;
    }
    if (slice->next_us <= now_us)
        slice->next_us = now_us + SLICE_PERIOD_US;
    return false;
}

/* When work that is due at `due_us` may be done. */
static inline int64_t slice_next_us(const slice_state_t *slice, int64_t due_us)
{
    return due_us < slice->next_us ? slice->next_us : due_us;
}

#endif
