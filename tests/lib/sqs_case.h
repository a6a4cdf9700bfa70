/* sqs_case.h: queues of every kind in a core, and what tests of SQS's rules do with them.
 *
 * Peer 1 sends, peer 2 receives. Queues: q.fifo (visibility 10 s), late.fifo (delay 5 s), content.fifo, scoped.fifo,
 * retry.fifo (visibility 1 s, 2 receives, then dead.fifo), events.fifo (a rule's target, group "all"), plain
 * (visibility 10 s), retry (as retry.fifo, then dead). */
#ifndef TESTS_LIB_SQS_CASE_H
#define TESTS_LIB_SQS_CASE_H

#include "tests/lib/core_rig.h"

#define S INT64_C(1000000)
#define SQS_IN_FLIGHT 100 /* limit of these tests */

typedef struct {
    size_t count;
    core_item_t items[10];
} sqs_got_t;

extern const char sqs_topology[];

/* A test's setup and teardown; *state is the rig. */
int sqs_open(void **state);
int sqs_close(void **state);

wire_result_entry_t sqs_try_send(rig_t *rig, const char *queue, const wire_send_entry_t *entry);
wire_send_entry_t sqs_entry(const char *group, const char *dedup);
/* A message with a deduplication id of its own, where the queue is FIFO; its record. */
uint64_t sqs_send(rig_t *rig, const char *queue, const char *group);

sqs_got_t sqs_receive_attempt(rig_t *rig, const char *queue, uint64_t max, const char *attempt);
sqs_got_t sqs_receive(rig_t *rig, const char *queue, uint64_t max);
void sqs_expect(const sqs_got_t *got, const uint64_t *records, size_t count);
void sqs_ack(rig_t *rig, const core_item_t *item);

/* QUEUE with this operation and these arguments (JSON, or NULL); the RESULT's value, until the next call. */
bytes_t sqs_ask(rig_t *rig, const char *op, const char *name, const char *args);
/* The same, which must be refused; the error's name. */
const char *sqs_refused(rig_t *rig, const char *op, const char *name, const char *args);
/* A number of QUEUE info. */
uint64_t sqs_number(rig_t *rig, const char *queue, const char *key);

#endif
