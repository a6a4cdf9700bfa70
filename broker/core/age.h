/* age.h: which visible message of a queue is too old first, and which queue has one first.
 *
 * All visible messages of a queue have the same time to live, so that they expire in the order in which they were
 * sent. Nearly all become visible in that order too: these stand in a line, whose first and last are known. Only one
 * that comes out of order (returned after a delivery, delayed, moved with its time of sending) is in a heap; so
 * neither to come nor to be received costs more when millions wait. For message.c, which tells of every change. */
#ifndef BROKER_CORE_AGE_H
#define BROKER_CORE_AGE_H

#include "broker/core/state.h"

#define MESSAGE_RECEIVES_TO_BACK                                                                                       \
    3 /* SQS: returned after so many, it goes behind the others, and has no age for people */

void ages_init(core_t *core);
void age_init(core_t *core, queue_t *queue);
void age_free(queue_t *queue);

/* A message became visible, and one ceases to be; nothing happens when it was taken off before. */
void age_enter(core_t *core, queue_t *queue, uint32_t id);
void age_leave(core_t *core, queue_t *queue, uint32_t id);
/* After the queue's time to live changed: the order stays. */
void age_refresh(core_t *core, queue_t *queue);

/* True when a is due before b; both are of one queue. */
bool age_before(const void *core, uint32_t a, uint32_t b);
/* The heap that holds this visible message, which is not in the line. */
heap_t *age_heap(queue_t *queue, const message_t *message, uint32_t id);
/* The oldest visible one that was not received too often to count; 0 for none. */
uint32_t age_oldest(const core_t *core, const queue_t *queue);
/* When the first visible one is too old; INT64_MAX: nothing is visible. */
int64_t age_first_us(const core_t *core, const queue_t *queue);
/* When the first message of all queues is too old; INT64_MAX: nothing is visible. */
int64_t age_next_us(const core_t *core);
/* Takes that message, which there must be, off its timer. */
uint32_t age_take(core_t *core);

#endif
