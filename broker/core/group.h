/* group.h: the message groups of a queue.
 *
 * On a standard queue a group is a tenant (tenant.h); what follows is about FIFO queues.
 * Source: SQS, "FIFO delivery logic". Messages of a group are delivered in the order of their records. What
 * was received and is not settled yet holds back whatever stands behind it in its group, and nothing else
 * does: a message that was never received and is still delayed lets later ones pass. So the deliverable
 * messages of a group are its visible ones before the first that is held; a queue keeps a line of the groups
 * that have any, and nobody looks at the others. A group lives as long as it has messages. Durable state. */
#ifndef BROKER_CORE_GROUP_H
#define BROKER_CORE_GROUP_H

#include "broker/core/state.h"

#define GROUP_DEDUP_WINDOW_US (300 * US_PER_S) /* SQS: fixed */
#define GROUP_ID_MAX_BYTES 128                 /* MessageGroupId, MessageDeduplicationId, ReceiveRequestAttemptId */

group_t *group_at(const queue_t *queue, uint32_t id); /* NULL for 0 */
/* The group of this name; made when there is none: a message must be added to it at once. */
uint32_t group_need(queue_t *queue, bytes_t name);
void groups_free(queue_t *queue);

/* For message.c, which tells of every change of a message's state and then calls group_refresh. */
void group_show(core_t *core, queue_t *queue, uint32_t message, bool at_front);
void group_hide(core_t *core, queue_t *queue, uint32_t message);
void group_hold(const core_t *core, queue_t *queue, uint32_t message);
void group_unhold(const core_t *core, queue_t *queue, uint32_t message);
/* Puts the group into the line of those that have something to deliver, or takes it out. */
void group_refresh(core_t *core, queue_t *queue, uint32_t group);
/* A new message came for it. */
void group_heard(core_t *core, queue_t *queue, uint32_t group);
/* The queue's line of groups, queue->ready. */
void group_line_join(queue_t *queue, group_t *group);
void group_line_leave(queue_t *queue, group_t *group);
/* One message less; forgets the group with its last. */
void group_leave(queue_t *queue, uint32_t group);

/* Its first message that may be delivered now; 0 for none. */
uint32_t group_first(const core_t *core, const group_t *group);
/* The deliverable one behind it; 0 for none. */
uint32_t group_next(const core_t *core, const group_t *group, uint32_t message);

/* Every visible message of a queue of either kind: those without a group, then group by group. */
uint32_t visible_first(const core_t *core, const queue_t *queue);
uint32_t visible_next(const core_t *core, const queue_t *queue, uint32_t message);
/* When the oldest visible message was sent that was not received so often that SQS takes it out of the count; 0 for
 * none. */
int64_t visible_oldest_us(const core_t *core, const queue_t *queue);

/* True for 1 to 128 of ASCII's letters, digits and punctuation; else InvalidParameterValue, naming it `what`. */
MUST_USE bool group_id_check(bytes_t id, const char *what, error_t *err);
/* The record that this deduplication id stands for, 0 for none of the last 5 minutes: in the queue, or in the
 * group, as the queue's DeduplicationScope says. Settled messages count as well. */
uint64_t group_dedup_find(const queue_t *queue, bytes_t group, bytes_t id, int64_t now_us);
/* ThrottlingException when as many ids as may be are remembered; forgets what is too old. */
MUST_USE bool group_dedup_check(queue_t *queue, int64_t now_us, error_t *err);
/* Remembers it, unless it is known, or as many are remembered as may be: then it was not asked for room (a move). */
void group_dedup_add(queue_t *queue, bytes_t group, bytes_t id, uint64_t record, int64_t now_us);

/* Of all groups, with what is visible in them and their order. */
uint64_t groups_digest(const core_t *core, const queue_t *queue);

#endif
