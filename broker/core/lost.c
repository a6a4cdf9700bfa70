/* lost.c: one walk over all messages. */
#include "broker/core/lost.h"

#include "broker/core/message.h"

static bool is_in(const core_lost_t *ranges, size_t count, uint64_t record)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges[middle].through < record)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && ranges[low].first <= record;
}

static void mark(core_t *core, uint32_t id)
{
    message_side_t *side = message_side_need(core, id);
    side->is_lost = 1;
    lost_count(core, pool_get(&core->queues, message_at(core, id)->queue), side, 1);
}

uint64_t core_mark_lost(core_t *core, const core_lost_t *ranges, size_t count)
{
    for (uint32_t id = 1; count && id <= core->messages.all.made; id++) {
        const message_t *m = message_at(core, id);
        if (m->state != MESSAGE_FREE && is_in(ranges, count, message_origin(core, m, NULL)))
            mark(core, id);
    }
    return core->stats.messages_lost;
}
