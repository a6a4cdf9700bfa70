/* message.h: one queued message and its states; every change of state goes through message_become.
 *
 * Part of the durable state: called by apply functions only, and by message_wake, which needs no record
 * because the moment stands in the record that delayed the message (wake.h). No operation looks at more than the
 * message concerned and O(log n) others. */
#ifndef BROKER_CORE_MESSAGE_H
#define BROKER_CORE_MESSAGE_H

#include "broker/core/state.h"

void messages_init(core_t *core);
void messages_free(core_t *core);

static inline message_t *message_at(const core_t *core, uint32_t id)
{
    return slab_at(&core->messages.all, id);
}

extern const message_side_t message_no_side;

/* All 0 when it has none. Good until the message changes its state. */
static inline const message_side_t *message_side(const core_t *core, const message_t *message)
{
    return message->side ? slab_at(&core->messages.sides, message->side) : &message_no_side;
}

static inline uint32_t message_group(const core_t *core, const message_t *message)
{
    return message_side(core, message)->group;
}

/* To be written to; made when it has none. */
message_side_t *message_side_need(core_t *core, uint32_t id);

/* Such a message is about to be made or looked for. */
void message_expect(const core_t *core, uint32_t queue, uint64_t record);
/* 0 when the queue holds no such message. */
uint32_t message_find(const core_t *core, uint32_t queue, uint64_t record);

/* Makes a message from a filled-in template (record, sent_us, queue, bytes, route, rule, receives) and side (dead,
 * group); visible at once when visible_us is not after now_us. */
uint32_t message_add(core_t *core, const message_t *template, const message_side_t *side, int64_t visible_us,
                     int64_t now_us);

/* Makes a message as a snapshot has it: in its state, at the end of that state's chain, with its timer (when
 * visible that is what its queue says). `holder` is NULL unless it is in flight. */
uint32_t message_restore(core_t *core, const message_t *template, const message_side_t *side, session_t *holder);

void message_deliver(core_t *core, uint32_t id, session_t *session, uint64_t receives, int64_t until_us,
                     int64_t now_us);
/* Back into the queue, or delayed when visible_us is after now_us. */
void message_release(core_t *core, uint32_t id, int64_t visible_us, int64_t now_us);
void message_extend(core_t *core, uint32_t id, int64_t until_us);
void message_remove(core_t *core, uint32_t id);

/* A delayed message becomes visible. */
void message_wake(core_t *core, uint32_t id);
/* True when a's timer comes before b's. */
bool message_due_before(const core_t *core, uint32_t a, uint32_t b);
/* Puts a message into a chain before another one of it; 0: at its end. For the modules that hold chains. */
void message_link(core_t *core, chain_t *chain, uint32_t id, uint32_t before);
void message_unlink(core_t *core, chain_t *chain, uint32_t id);

/* Record and incarnation that name the message's bytes. */
uint64_t message_origin(const core_t *core, const message_t *message, uint64_t *queue);
/* When it is too old for its queue, and which of the two bounds that is. */
int64_t message_expires_us(const core_t *core, const message_t *message, bool *by_age);
/* The timer of its state. */
int64_t message_timer_us(const core_t *core, const message_t *message);
const dead_t *message_dead(const core_t *core, const message_t *message); /* NULL for none */

/* Whole milliseconds since it was sent. */
uint32_t message_age_ms(const message_t *message, int64_t now_us);
/* To the millisecond; 0 when it was never received. */
int64_t message_first_receive_us(const core_t *core, const message_t *message);

/* A text that is kept for ever under a number; equal texts have equal numbers. */
uint32_t name_keep(core_t *core, bytes_t text);
const char *name_text(const core_t *core, uint32_t name); /* "" for 0 */

#endif
