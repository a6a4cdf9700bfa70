/* task.h: move tasks: a dead-letter queue is emptied into the queues that its messages came from, or into another one.
 *
 * Source: SQS StartMessageMoveTask, CancelMessageMoveTask, ListMessageMoveTasks. A task runs by the clock, at most
 * TASK_RATE_MAX messages a second, and moves what was waiting when it began, oldest first. What it moves is new where
 * it comes to: another identity, received never, sent now. A message that cannot go where it should stays, and the
 * task fails. A restart goes on with it. */
#ifndef BROKER_CORE_TASK_H
#define BROKER_CORE_TASK_H

#include "broker/core/state.h"

#define TASK_RATE_MAX 500 /* SQS: MaxNumberOfMessagesPerSecond */
#define TASK_WAITS "waits: the disk is full"
#define TASK_WHY_BYTES 200
#define TASKS_LISTED 10 /* SQS: of one queue; older ones are forgotten */

void tasks_init(core_t *core);
void tasks_free(core_t *core);

task_t *task_at(const core_t *core, uint32_t id);
task_t *task_find(const core_t *core, uint64_t number); /* NULL for none */
/* The one that empties this queue now; NULL for none. */
const task_t *task_running(const core_t *core, const queue_t *source);
const char *task_state_name(task_state_t state); /* SQS's */

/* Journals the begin of one; `to` NULL: each message's origin. */
const task_t *task_begin(core_t *core, const queue_t *source, const queue_t *to, uint32_t per_second);
void task_cancel(core_t *core, const task_t *task);

/* Where a message of a dead-letter queue goes: to the queue of this incarnation, or (0) to the one it came from. NULL
 * with the reason when that is nowhere. */
const queue_t *task_target(const core_t *core, uint64_t wanted, const message_t *m, char why[TASK_WHY_BYTES]);

/* Moves what the running ones may move by now. */
void tasks_due(core_t *core);
int64_t tasks_next_us(const core_t *core);

/* For retire.c, when a MOVE record of the task is applied. False when there is no such task. */
MUST_USE bool task_count_move(core_t *core, uint64_t number);
/* For queue.c: the queue goes, and its tasks with it. */
void tasks_end_of_queue(core_t *core, queue_t *source);
/* For the snapshot: puts a task back; `why` is copied. */
void task_restore(core_t *core, const task_t *task, bytes_t why, queue_t *source);

MUST_USE bool task_apply(core_t *core, const record_t *record, error_t *err);
uint64_t tasks_digest(const core_t *core);

#endif
