/* queue.h: the queues: finding them, making, changing and deleting them, and their part of the state.
 *
 * What a queue does with consumers is in consume.h. The apply functions are called by ledger.c alone. */
#ifndef BROKER_CORE_QUEUE_H
#define BROKER_CORE_QUEUE_H

#include "broker/core/state.h"

/* SQS: a queue is purged once in so long, and a name rests for so long after DeleteQueue. */
#define QUEUE_PURGE_WINDOW_US (60 * US_PER_S)
#define QUEUE_DELETED_WINDOW_US (60 * US_PER_S)

enum { QUEUE_CREATED = 1, QUEUE_SET = 2, QUEUE_DELETED = 3 }; /* QUEUE record, op */

/* Every queue: for (queue_t *q = queue_next(core, NULL); q; q = queue_next(core, q)) */
queue_t *queue_next(const core_t *core, const queue_t *queue);
uint32_t queue_count(const core_t *core);

queue_t *queue_find(const core_t *core, bytes_t name);                   /* NULL for none */
queue_t *queue_by_incarnation(const core_t *core, uint64_t incarnation); /* NULL for none */
/* NULL with QueueDoesNotExist when there is none. */
MUST_USE queue_t *queue_need(const core_t *core, bytes_t name, error_t *err);

/* The queue its dead letters go to; NULL when it names none, one that is gone, or one that takes none from it. */
queue_t *queue_dead_letters(const core_t *core, const queue_t *queue);

/* True when a queue of this name was deleted within QUEUE_DELETED_WINDOW_US. */
bool queue_was_deleted(const core_t *core, bytes_t name);

uint32_t queue_messages(const queue_t *queue); /* in all states */

/* What is counted of it, for metrics. */
queue_counts_t *queue_counts(const core_t *core, const queue_t *queue);

/* Puts the queue on the list of those that core_step looks at in the end. */
void queue_touch(core_t *core, queue_t *queue);

/* Journals that a queue was made; its attributes must have been read with attributes_read. */
queue_t *queue_create(core_t *core, bytes_t name, bytes_t attributes, bool from_topology);
void queue_set(core_t *core, queue_t *queue, bytes_t attributes, bool from_topology);
void queue_delete(core_t *core, queue_t *queue);

MUST_USE bool queue_apply(core_t *core, const record_t *record, error_t *err);
/* One of the changes that a record of any kind brings. */
MUST_USE bool queue_apply_change(core_t *core, const record_t *record, const record_queue_t *change, error_t *err);
MUST_USE bool queue_apply_purge(core_t *core, const record_t *record, error_t *err);
void queues_free(core_t *core);

/* For condemned.c. Its number is another one than `old`. */
void queue_tables_renumber(core_t *core, const queue_t *queue, uint32_t old);
/* Sees to it that there is a number for one queue more. */
void queue_numbers_spare(core_t *core);
void queue_free(queue_t *queue);

#endif
