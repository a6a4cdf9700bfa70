/* lost.h: messages whose bytes a repair of the journal had to give up: they are counted, and told of by queue.
 *
 * Which they are stands in the journal's files, not in the core's records: whoever starts the broker says so, once. A
 * message keeps its mark wherever it is moved. Not durable state. */
#ifndef BROKER_CORE_LOST_H
#define BROKER_CORE_LOST_H

#include "broker/core/state.h"

/* For message.c: one that has the mark comes to its queue, or leaves it. */
static inline void lost_count(core_t *core, queue_t *queue, const message_side_t *side, int by)
{
    if (!side->is_lost)
        return;
    queue->lost += (uint32_t)by;
    if (!queue->is_condemned)
        core->stats.messages_lost += (uint64_t)(int64_t)by;
}

#endif
