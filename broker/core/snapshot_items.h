/* snapshot_items.h: what a snapshot of the core consists of: one table, as for records.
 *
 * An item is a msgpack array [kind, field, …], encoded by proto/fields.h: fields are only added at the end, where an
 * older snapshot lacks them they are zero or empty, and numbers of kinds are never used again. An item that belongs to
 * another one stands behind it: KEYs behind their BUS or QUEUE, ANSWERs behind their PRODUCER, MOVED behind its
 * MESSAGE, REPLAY_COUNTs behind their REPLAY. The table is in docs/journal-format.md, made by `make docs`. */
#ifndef BROKER_CORE_SNAPSHOT_ITEMS_H
#define BROKER_CORE_SNAPSHOT_ITEMS_H

#include "proto/fields.h"

#define SNAPSHOT_ITEMS(K)                                                                                              \
    K(1, CORE, core, SNAPSHOT_ROWS_CORE, "the first item: where the log stood, and numbers given out")                 \
    K(2, NAME, name, SNAPSHOT_ROWS_NAME, "a text that messages name by its place among these, counted from 1")         \
    K(3, QUEUE, queue, SNAPSHOT_ROWS_QUEUE, "a queue")                                                                 \
    K(4, KEY, key, SNAPSHOT_ROWS_KEY, "a deduplication key of the queue or bus before it, oldest first")               \
    K(5, TOPOLOGY, topology, SNAPSHOT_ROWS_TOPOLOGY, "the topology in effect")                                         \
    K(6, TARGET, target, SNAPSHOT_ROWS_TARGET, "where a target of the topology leads")                                 \
    K(7, BUS, bus, SNAPSHOT_ROWS_BUS, "an event bus")                                                                  \
    K(8, PRODUCER, producer, SNAPSHOT_ROWS_PRODUCER, "a producer; the one that was idle longest comes first")          \
    K(9, ANSWER, answer, SNAPSHOT_ROWS_ANSWER, "what the producer before it was answered")                             \
    K(10, SESSION, session, SNAPSHOT_ROWS_SESSION, "a session")                                                        \
    K(11, MESSAGE, message, SNAPSHOT_ROWS_MESSAGE, "a message in a queue; those of one queue in its order")            \
    K(12, MOVED, moved, SNAPSHOT_ROWS_MOVED, "where the message before it came from, for one that was moved")          \
    K(13, END, end, SNAPSHOT_ROWS_END, "the last item")                                                                \
    K(14, DELETED, deleted, SNAPSHOT_ROWS_DELETED, "a queue's name that rests since it was deleted, oldest first")     \
    K(15, MOVE_TASK, move_task, SNAPSHOT_ROWS_MOVE_TASK, "a move task; those of one queue oldest first")               \
    K(16, BUCKET, bucket, SNAPSHOT_ROWS_BUCKET, "a permit bucket of the topology that has granted")                    \
    K(17, SCHEDULE, schedule, SNAPSHOT_ROWS_SCHEDULE, "how far a schedule of the topology is seen to")                 \
    K(18, REPLAY, replay, SNAPSHOT_ROWS_REPLAY, "a replay")                                                            \
    K(19, REPLAY_COUNT, replay_count, SNAPSHOT_ROWS_REPLAY_COUNT, "what a queue got of the replay before it")

#define SNAPSHOT_ROWS_CORE(F, L)                                                                                       \
    F(U64, newest_record, "sequence of the newest record that is in it")                                               \
    F(I64, now_us, "that record's ingest time")                                                                        \
    F(U64, newest_queue, "highest incarnation given out")                                                              \
    F(U64, newest_session, "highest number of a session given out")                                                    \
    F(U64, newest_producer, "highest number of a producer given out")                                                  \
    F(U64, lost_until, "up to this record some may speak of what a repair had to give up; 0 for none")                 \
    F(U64, lost_records, "such records")                                                                               \
    F(I64, wake_until_us, "delayed messages of later moments are not woken before a NOTE `wake`; 0: no bound")

#define SNAPSHOT_ROWS_NAME(F, L) F(STR, text, "name of a rule's target or of a queue, or a reason")

#define SNAPSHOT_ROWS_QUEUE(F, L)                                                                                      \
    F(U64, queue, "incarnation")                                                                                       \
    F(STR, name, "queue name")                                                                                         \
    F(BOOL, from_topology, "true: owned by the topology file")                                                         \
    F(MAP, attributes, "SQS attribute names and values as they were set")                                              \
    F(I64, purged_us, "when it was purged last; 0: never")

#define SNAPSHOT_ROWS_KEY(F, L)                                                                                        \
    F(U64, record, "record it stands for")                                                                             \
    F(I64, at_us, "when it was first seen")                                                                            \
    F(BIN, key, "the key; of a group-scoped queue: group, a zero byte, id")

#define SNAPSHOT_ROWS_TOPOLOGY(F, L)                                                                                   \
    F(U64, version, "1, 2, 3, …")                                                                                      \
    F(STR, sha256, "of the document, hex")                                                                             \
    F(BODY, body, "the document, JSON")                                                                                \
    F(STR, by, "who applied it")                                                                                       \
    F(STR, file_sha256, "of the file that the newest start was given")                                                 \
    F(I64, applied_us, "when")

#define SNAPSHOT_ROWS_TARGET(F, L)                                                                                     \
    F(U64, rule, "place of the rule in the document, from 0")                                                          \
    F(U64, target, "place of the target in the rule, from 0")                                                          \
    F(U64, queue, "incarnation of the queue it leads to; 0: nowhere")

#define SNAPSHOT_ROWS_BUS(F, L)                                                                                        \
    F(STR, name, "event bus")                                                                                          \
    F(BOOL, removed, "true: no longer in the topology")                                                                \
    F(I64, dedup_window_us, "how long a key is remembered")

#define SNAPSHOT_ROWS_PRODUCER(F, L)                                                                                   \
    F(U64, producer, "number")                                                                                         \
    F(STR, name, "producer name")                                                                                      \
    F(U64, epoch, "current epoch")                                                                                     \
    F(U64, newest, "highest sequence accepted")

#define SNAPSHOT_ROWS_ANSWER(F, L)                                                                                     \
    F(U64, seq, "sequence of the producer")                                                                            \
    F(U64, record, "record it was answered with")

#define SNAPSHOT_ROWS_SESSION(F, L)                                                                                    \
    F(U64, session, "number")                                                                                          \
    F(STR, name, "instance")                                                                                           \
    F(BIN, resume, "token")

#define SNAPSHOT_ROWS_MESSAGE(F, L)                                                                                    \
    F(U64, queue, "incarnation of the queue it is in")                                                                 \
    F(U64, record, "PUBLISH, SEND or MOVE that put it there")                                                          \
    F(U64, state, "1 visible, 2 delayed, 3 in flight")                                                                 \
    F(I64, sent_us, "retention counts from here")                                                                      \
    F(I64, timer_us, "when its state ends; 0: visible, and its queue's attributes say it")                             \
    F(U64, bytes, "of its body and attributes")                                                                        \
    F(U64, route, "place among its record's routes; 127: the record's own body")                                       \
    F(U64, rule, "NAME of the rule's target that led here; 0 for none")                                                \
    F(U64, receives, "receive count")                                                                                  \
    F(U64, first_received_ms, "first delivery, in milliseconds after sent_us, plus 1; 0: never")                       \
    F(U64, received_ms, "newest delivery, in milliseconds after sent_us")                                              \
    F(U64, session, "number of the session that holds it; 0 for none")                                                 \
    F(STR, group, "MessageGroupId; empty for none")

#define SNAPSHOT_ROWS_MOVED(F, L)                                                                                      \
    F(U64, origin, "record that holds the bytes")                                                                      \
    F(U64, origin_queue, "incarnation of the queue it was first in")                                                   \
    F(U64, source, "NAME of the queue it left")                                                                        \
    F(U64, reason, "NAME of why")                                                                                      \
    F(U64, receives, "receive count when it left")                                                                     \
    F(I64, moved_us, "when")                                                                                           \
    F(STR, detail, "the consumer's words, where it gave any")                                                          \
    F(BOOL, redriven, "true: by a move task")

#define SNAPSHOT_ROWS_DELETED(F, L)                                                                                    \
    F(STR, name, "queue name")                                                                                         \
    F(U64, record, "record that deleted it")                                                                           \
    F(I64, at_us, "when")

#define SNAPSHOT_ROWS_MOVE_TASK(F, L)                                                                                  \
    F(U64, task, "number: the record that began it")                                                                   \
    F(U64, source, "incarnation of the queue that it empties")                                                         \
    F(U64, to, "incarnation of the queue that it fills; 0: each message's origin")                                     \
    F(U64, per_second, "messages a second at most")                                                                    \
    F(U64, state, "1 running, 2 completed, 4 cancelled, 5 failed")                                                     \
    F(I64, began_us, "when")                                                                                           \
    F(I64, ended_us, "when; 0: it runs")                                                                               \
    F(U64, wanted, "messages that it moves at most")                                                                   \
    F(U64, moved, "messages moved so far")                                                                             \
    F(STR, why, "failed: why")

#define SNAPSHOT_ROWS_BUCKET(F, L)                                                                                     \
    F(STR, name, "bucket")                                                                                             \
    F(I64, next_free_us, "as in PERMITS")

#define SNAPSHOT_ROWS_SCHEDULE(F, L)                                                                                   \
    F(STR, name, "schedule")                                                                                           \
    F(I64, began_us, "from when a rate counts")                                                                        \
    F(I64, done_us, "what was due up to here is seen to")                                                              \
    F(I64, fired_us, "newest moment that it fired for; 0: none yet")                                                   \
    F(U64, fired, "SCHEDULE record of that")

#define SNAPSHOT_ROWS_REPLAY(F, L)                                                                                     \
    F(STR, name, "replay")                                                                                             \
    F(U64, number, "of the record that began it")                                                                      \
    F(U64, state, "1 running, 2 paused, 3 completed, 4 cancelled, 5 failed")                                           \
    F(U64, position, "next record to replay; 0: by its settings")                                                      \
    F(I64, began_us, "when")                                                                                           \
    F(I64, ended_us, "when; 0: it has not")                                                                            \
    F(U64, replayed, "events so far")                                                                                  \
    F(U64, deliveries, "of them to queues, in sum")                                                                    \
    F(U64, refused, "events that could not be replayed")                                                               \
    F(STR, why, "failed: why")                                                                                         \
    F(BODY, settings, "its settings, JSON")

#define SNAPSHOT_ROWS_REPLAY_COUNT(F, L)                                                                               \
    F(U64, queue, "incarnation of the queue")                                                                          \
    F(U64, count, "events that it got")

#define SNAPSHOT_ROWS_END(F, L) F(U64, items, "number of items, this one not counted")

/* -- what comes of the table ---------------------------------------------------------------------- */
#define SNAPSHOT_LIST_MEMBER(entry, member, text) /* no item holds a list */
#define SNAPSHOT_ENUM(number, NAME, name, ROWS, text) SNAPSHOT_##NAME = (number),
typedef enum { SNAPSHOT_ITEMS(SNAPSHOT_ENUM) SNAPSHOT_KIND_MAX = 19 } snapshot_kind_t;

#define SNAPSHOT_STRUCT(number, NAME, name, ROWS, text)                                                                \
    typedef struct {                                                                                                   \
        ROWS(FIELDS_MEMBER, SNAPSHOT_LIST_MEMBER)                                                                      \
    } snapshot_##name##_t;
SNAPSHOT_ITEMS(SNAPSHOT_STRUCT)

typedef union {
#define SNAPSHOT_MEMBER(number, NAME, name, ROWS, text) snapshot_##name##_t name;
    SNAPSHOT_ITEMS(SNAPSHOT_MEMBER)
#undef SNAPSHOT_MEMBER
} snapshot_item_t;

const fields_layout_t *snapshot_layout(uint64_t kind); /* NULL for a number that is none */

#endif
