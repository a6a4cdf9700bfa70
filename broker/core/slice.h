/* slice.h: how much work one step does that nobody in it waits for.
 *
 * What may concern a whole queue (visibilities that end together, messages too old, those received too often, what was
 * purged or deleted) is done a slice at a time, so that who comes in between waits for one slice and not for millions
 * of messages. A step that had more to do than its slice leaves the rest to later ones, at most one slice in
 * SLICE_PERIOD_US. What is decided in a slice is journaled in it: recovery knows nothing of slices. Not durable. */
#ifndef BROKER_CORE_SLICE_H
#define BROKER_CORE_SLICE_H

#include "broker/core/state.h"

#define SLICE_MESSAGES 256u /* about a tenth of a millisecond to free, half of one to move with a record each */
#define SLICE_PERIOD_US US_PER_MS

/* A step begins. */
static inline void slice_begin(core_t *core)
{
    core->slice.left = core->now_us >= core->slice.next_us ? SLICE_MESSAGES : 0;
}

/* True when there is room for one message more; false leaves it to a later step. */
static inline bool slice_take(core_t *core)
{
    if (core->slice.left) {
        core->slice.left--;
        return true;
    }
    if (core->slice.next_us <= core->now_us)
        core->slice.next_us = core->now_us + SLICE_PERIOD_US;
    return false;
}

/* When work that is due at `due_us` may be done. */
static inline int64_t slice_next_us(const core_t *core, int64_t due_us)
{
    return due_us < core->slice.next_us ? core->slice.next_us : due_us;
}

#endif
