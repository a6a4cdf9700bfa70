/* record.h: the broker's records: what the journal, the archive and capture files all hold.
 *
 * On disk a record is, little-endian:
 *
 *     u32 length      of the whole record, this header included
 *     u32 crc32c      over everything behind this field (Castagnoli, RFC 3720 appendix B.4)
 *     u64 sequence    1, 2, 3, …; kept for ever, whatever file the record moves to
 *     i64 ingest_us   Unix microseconds; never smaller than the record's before it
 *     payload         [kind, fields…] and bodies, see fields.h
 *
 * State of the broker is a fold over these records, so a record says what was decided, never what was
 * asked: routing, expiry, retry and move are in it as results. docs/journal-format.md is generated from
 * the tables below and adds the files around them. */
#ifndef PROTO_RECORD_H
#define PROTO_RECORD_H

#include "proto/fields.h"
#include "proto/msgpack.h"

#define RECORD_HEADER_BYTES 24
#define RECORD_MAX_BYTES ((size_t)4 << 20) /* a message of 1 MiB, transformed for several targets, and room */
#define RECORD_ROUTES_MAX 64               /* targets that one event may reach */

/* -- entries of lists ---------------------------------------------------------------------------- */
#define RECORD_ENTRIES(E)                                                                                              \
    E(route, RECORD_ROUTE)                                                                                             \
    E(delivered_entry, RECORD_DELIVERED_ENTRY)                                                                         \
    E(settled_entry, RECORD_SETTLED_ENTRY)

#define RECORD_ROUTE(F, L)                                                                                             \
    F(U64, queue, "incarnation of the queue")                                                                          \
    F(STR, rule, "ARN-like name bus/rule/target that led there; empty when addressed directly")                        \
    F(STR, group, "MessageGroupId; empty for none")                                                                    \
    F(STR, dedup, "deduplication id in the queue; empty for none")                                                     \
    F(I64, visible_us, "when it may first be received, Unix microseconds; 0 for at once")                              \
    F(I64, expires_us, "when it is too old, Unix microseconds; 0 for the queue's retention")                           \
    F(BOOL, transformed, "true: `body` below is what is delivered; false: the event itself")                           \
    F(BODY, body, "transformed body")                                                                                  \
    F(STR, error, "why it is a dead letter at once: it did not fit its target; empty for none")                        \
    F(U64, target, "then: incarnation of the queue that it was for")

#define RECORD_DELIVERED_ENTRY(F, L)                                                                                   \
    F(U64, queue, "incarnation of the queue")                                                                          \
    F(U64, record, "the message: sequence of its PUBLISH, SEND or MOVE record")                                        \
    F(U64, receives, "ApproximateReceiveCount after this delivery")                                                    \
    F(I64, invisible_until_us, "when it comes back by itself")                                                         \
    F(U64, session, "who holds it")

#define RECORD_SETTLED_ENTRY(F, L)                                                                                     \
    F(U64, queue, "incarnation of the queue")                                                                          \
    F(U64, record, "the message")                                                                                      \
    F(U64, action, "1 acked, 2 released, 4 extended (wire.h); 2 also when visibility ran out")                         \
    F(I64, visible_us, "released: visible again; extended: invisible until; else 0")                                   \
    F(U64, receives, "the delivery that this settles")

/* -- kinds --------------------------------------------------------------------------------------- */
/* R(number, NAME, name, rows, "doc") */
#define RECORD_KINDS(R)                                                                                                \
    R(1, PUBLISH, publish, RECORD_ROWS_PUBLISH, "an event accepted on a bus, with where it was routed")                \
    R(2, SEND, send, RECORD_ROWS_SEND, "a message accepted into a queue")                                              \
    R(3, DELIVERED, delivered, RECORD_ROWS_DELIVERED,                                                                  \
      "messages handed out; not waited for, a crash costs a redelivery")                                               \
    R(4, SETTLED, settled, RECORD_ROWS_SETTLED, "what became of deliveries")                                           \
    R(5, MOVE, move, RECORD_ROWS_MOVE, "a message left one queue for another: dead-lettered, redriven, expired")       \
    R(6, TOPOLOGY, topology, RECORD_ROWS_TOPOLOGY, "a version of the desired state took effect")                       \
    R(7, QUEUE, queue, RECORD_ROWS_QUEUE, "a queue was created, its attributes set, or it was deleted")                \
    R(8, PURGE, purge, RECORD_ROWS_PURGE, "a queue was emptied")                                                       \
    R(9, PRODUCER, producer, RECORD_ROWS_PRODUCER, "a producer appeared, or its epoch rose")                           \
    R(10, SESSION, session, RECORD_ROWS_SESSION, "a session began or ended")                                           \
    R(11, SCHEDULE, schedule, RECORD_ROWS_SCHEDULE, "a schedule fired, or was passed over")                            \
    R(12, CALL, call, RECORD_ROWS_CALL, "a call, in captures only")                                                    \
    R(13, REPLY, reply, RECORD_ROWS_REPLY, "a reply, in captures only")                                                \
    R(14, NOTE, note, RECORD_ROWS_NOTE, "a remark: start, stop, proof of sync, begin and end of a capture")            \
    R(15, PERMITS, permits, RECORD_ROWS_PERMITS,                                                                       \
      "a bucket's tokens were granted, so that a restart cannot grant twice")                                          \
    R(16, REPLAY, replay, RECORD_ROWS_REPLAY, "a replay was begun, moved on, paused or ended")                         \
    R(17, MOVE_TASK, move_task, RECORD_ROWS_MOVE_TASK, "a move task began or ended; what it moved stands in MOVE")

#define RECORD_ROWS_PUBLISH(F, L)                                                                                      \
    F(STR, bus, "event bus")                                                                                           \
    F(U64, producer, "number of the producer (PRODUCER record); 0 for none")                                           \
    F(U64, producer_seq, "its sequence")                                                                               \
    F(STR, dedup, "deduplication key; empty for none")                                                                 \
    F(STR, replay_name, "of the replay that brought it; empty when live")                                              \
    F(STR, to, "explicit destination as in the PUBLISH frame, or rule:NAME,…; empty for rules and subscribers")        \
    F(U64, topology, "version that routed it")                                                                         \
    F(MAP, attrs, "attribute map")                                                                                     \
    L(route, routes, "queues that received it")                                                                        \
    F(BODY, body, "the envelope")                                                                                      \
    F(MAP, passed, "buses that rules passed it on to, each with bus/rule/target that did; empty for none")             \
    F(U64, replay_of, "record of the event that the broker's own replay brought again; 0: none did")

#define RECORD_ROWS_SEND(F, L)                                                                                         \
    F(U64, queue, "incarnation of the queue")                                                                          \
    F(U64, producer, "as in PUBLISH")                                                                                  \
    F(U64, producer_seq, "as in PUBLISH")                                                                              \
    F(STR, group, "MessageGroupId; empty for none")                                                                    \
    F(STR, dedup, "MessageDeduplicationId, given or computed; empty for none")                                         \
    F(I64, visible_us, "as in a route")                                                                                \
    F(BOOL, duplicate, "true: accepted, but deduplicated away; nothing is queued")                                     \
    F(MAP, attrs, "message attributes")                                                                                \
    F(BODY, body, "the message")

#define RECORD_ROWS_DELIVERED(F, L) L(delivered_entry, entries, "messages")
#define RECORD_ROWS_SETTLED(F, L) L(settled_entry, entries, "messages")

#define RECORD_ROWS_MOVE(F, L)                                                                                         \
    F(U64, from, "incarnation of the queue it left")                                                                   \
    F(U64, record, "the message there; its bytes stay where they are")                                                 \
    F(U64, to, "incarnation of the queue it entered; 0: dropped and counted")                                          \
    F(U64, origin, "record that holds the bytes (PUBLISH or SEND)")                                                    \
    F(U64, origin_queue, "incarnation of the queue it was first in: names the route where the origin has several")     \
    F(STR, reason, "max-receives, rejected, expired, max-age, redrive, discarded, purge")                              \
    F(STR, detail, "the consumer's words, where it gave any")                                                          \
    F(U64, receives, "receive count when it left")                                                                     \
    F(I64, sent_us, "time from which retention counts in the new queue")                                               \
    F(STR, group, "as it was")                                                                                         \
    F(STR, dedup, "in the new queue")                                                                                  \
    F(U64, task, "move task (MOVE_TASK record) that did it; 0 for none")                                               \
    F(I64, visible_us, "when it may first be received there, Unix microseconds; 0 for at once")

#define RECORD_ROWS_MOVE_TASK(F, L)                                                                                    \
    F(U64, task, "number: the sequence of the record that began it")                                                   \
    F(U64, source, "incarnation of the queue that it empties")                                                         \
    F(U64, to, "incarnation of the queue that it fills; 0: of each message the queue that it came from")               \
    F(U64, per_second, "messages a second at most")                                                                    \
    F(U64, state, "1 running, 2 completed, 4 cancelled, 5 failed")                                                     \
    F(U64, wanted, "messages that were there when it began, and that it moves at most")                                \
    F(STR, why, "failed: why, in words")

#define RECORD_ROWS_TOPOLOGY(F, L)                                                                                     \
    F(U64, version, "1, 2, 3, …")                                                                                      \
    F(STR, sha256, "of the document, hex")                                                                             \
    F(BODY, body, "the document, JSON")                                                                                \
    F(MAP, queues, "what it did to queues: name to [op as in QUEUE, incarnation]; attributes stand in the document")   \
    F(STR, by, "who applied it")                                                                                       \
    F(STR, file_sha256, "of the file that the newest start was given; empty in old records: `sha256`")

#define RECORD_ROWS_QUEUE(F, L)                                                                                        \
    F(U64, queue, "incarnation; a queue created again under an old name gets a new one")                               \
    F(STR, name, "queue name")                                                                                         \
    F(U64, op, "1 created, 2 attributes set, 3 deleted")                                                               \
    F(BOOL, from_topology, "true: owned by the topology file")                                                         \
    F(MAP, attributes, "SQS attribute names and values")

#define RECORD_ROWS_PURGE(F, L)                                                                                        \
    F(U64, queue, "incarnation")                                                                                       \
    F(U64, count, "messages that were in it")

#define RECORD_ROWS_PRODUCER(F, L)                                                                                     \
    F(U64, producer, "number")                                                                                         \
    F(STR, name, "producer name")                                                                                      \
    F(U64, epoch, "current epoch")

#define RECORD_ROWS_SESSION(F, L)                                                                                      \
    F(U64, session, "number")                                                                                          \
    F(STR, name, "instance")                                                                                           \
    F(BIN, resume, "token")                                                                                            \
    F(BOOL, ended, "true: over, what it held has returned")

#define RECORD_ROWS_SCHEDULE(F, L)                                                                                     \
    F(STR, name, "schedule")                                                                                           \
    F(I64, due_us, "the moment it was due; what was due before and has no record is passed over")                      \
    F(U64, queue, "incarnation of the queue that its message entered; 0: passed over, and nothing was sent")           \
    F(STR, group, "MessageGroupId; empty for none")                                                                    \
    F(STR, dedup, "deduplication id in a FIFO queue; empty for none")                                                  \
    F(I64, visible_us, "as in a route")                                                                                \
    F(MAP, attrs, "message attributes")                                                                                \
    F(BODY, body, "the message: the target's Input, or an event")

#define RECORD_ROWS_CALL(F, L)                                                                                         \
    F(STR, caller, "as in the CALL frame")                                                                             \
    F(U64, number, "as in the CALL frame")                                                                             \
    F(STR, method, "as in the CALL frame")                                                                             \
    F(U64, deadline_ms, "as in the CALL frame")                                                                        \
    F(MAP, attrs, "as in the CALL frame")                                                                              \
    F(BODY, body, "request")

#define RECORD_ROWS_REPLY(F, L)                                                                                        \
    F(STR, caller, "as in the REPLY frame")                                                                            \
    F(U64, number, "as in the REPLY frame")                                                                            \
    F(U64, chunk, "as in the REPLY frame")                                                                             \
    F(BOOL, final, "as in the REPLY frame")                                                                            \
    F(U64, status, "as in the REPLY frame")                                                                            \
    F(STR, worker, "as in the REPLY frame")                                                                            \
    F(BODY, body, "chunk or response")

#define RECORD_ROWS_NOTE(F, L)                                                                                         \
    F(STR, event,                                                                                                      \
      "start, stop, proof, capture-begin, capture-end; lost: in the place of a record, see repair; wake: so many "     \
      "delayed "                                                                                                       \
      "messages came due together that those due behind `until_us` (0: none) wait for the next such note")             \
    F(STR, text, "for people")                                                                                         \
    F(MAP, fields, "for programs")

#define RECORD_ROWS_PERMITS(F, L)                                                                                      \
    F(STR, bucket, "bucket")                                                                                           \
    F(I64, next_free_us, "up to where tokens may have been granted: a restart grants none before")

#define RECORD_ROWS_REPLAY(F, L)                                                                                       \
    F(STR, name, "replay")                                                                                             \
    F(U64, state, "1 running, 2 paused, 3 completed, 4 cancelled, 5 failed")                                           \
    F(U64, position, "next record to replay")                                                                          \
    F(BODY, body, "its settings, JSON, when it begins")                                                                \
    F(STR, why, "failed: why")                                                                                         \
    F(U64, refused, "events so far that could not be replayed")

/* -- what comes of the tables -------------------------------------------------------------------- */
#define RECORD_LIST_MEMBER(entry, member, text) FIELDS_MEMBER_LIST(record_##entry##_t, entry, member, text)
#define RECORD_STRUCT_ENTRY(name, ROWS)                                                                                \
    typedef struct {                                                                                                   \
        ROWS(FIELDS_MEMBER, RECORD_LIST_MEMBER)                                                                        \
    } record_##name##_t;
RECORD_ENTRIES(RECORD_STRUCT_ENTRY)

#define RECORD_ENUM(number, NAME, name, ROWS, text) RECORD_##NAME = (number),
typedef enum { RECORD_KINDS(RECORD_ENUM) RECORD_KIND_MAX = 17 } record_kind_t;

#define RECORD_STRUCT(number, NAME, name, ROWS, text)                                                                  \
    typedef struct {                                                                                                   \
        ROWS(FIELDS_MEMBER, RECORD_LIST_MEMBER)                                                                        \
    } record_##name##_t;
RECORD_KINDS(RECORD_STRUCT)

/* One decoded record. Large (lists are inline): keep one per reader and use it again. */
typedef struct {
    uint64_t seq;
    int64_t ingest_us;
    record_kind_t kind;
    union {
#define RECORD_MEMBER(number, NAME, name, ROWS, text) record_##name##_t name;
        RECORD_KINDS(RECORD_MEMBER)
#undef RECORD_MEMBER
    };
} record_t;

const fields_layout_t *record_layout(uint64_t kind); /* NULL for a number that is none */
const char *record_kind_name(uint64_t kind);         /* "PUBLISH"; "?" for none */

/* Appends the whole record, checksum included. `values` is the kind's own struct. Fails only through
 * out->failed. */
void record_encode(buf_t *out, uint64_t seq, int64_t ingest_us, record_kind_t kind, const void *values);

/* The length of the record that begins at `input`, as its header claims: false when fewer than
 * RECORD_HEADER_BYTES are there, or the claim is below the header or above RECORD_MAX_BYTES. */
MUST_USE bool record_peek(bytes_t input, uint32_t *length, uint64_t *seq, int64_t *ingest_us);

/* Checks length and checksum of the record at the start of `input` (more may follow). err->code is
 * DATA_LOSS; the message says which check failed. */
MUST_USE bool record_verify(bytes_t input, error_t *err);

/* Verifies and decodes in place. A kind this program does not know is refused (UNIMPLEMENTED). */
MUST_USE bool record_decode(bytes_t input, record_t *out, error_t *err);

/* CRC-32C (Castagnoli), hardware where there is any. Chain by passing the last result; begin with 0. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);

/* -- the queues of a TOPOLOGY record ------------------------------------------------------------- */
typedef struct {
    bytes_t name;
    uint64_t op; /* as in QUEUE */
    uint64_t queue;
} record_queue_op_t;

/* How many there are; `r` stands before the first. 0 also when they cannot be read. */
uint32_t record_queue_ops(const record_topology_t *topology, mp_reader_t *r);
/* False when the next cannot be read. */
MUST_USE bool record_queue_op(mp_reader_t *r, record_queue_op_t *out);

#endif
