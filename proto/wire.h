/* wire.h: the verbs of the bus protocol, each described once.
 *
 * docs/protocol.md tells the rules of conversation; this table is their alphabet, and the document's verb
 * tables are generated from it. A frame is `[verb, seq, fields…]` and bodies, see fields.h. `seq` is chosen
 * by the asking side and repeated in the answer; 0 in frames that answer nothing.
 *
 * Direction: C client to broker, B broker to client, X both ways. */
#ifndef PROTO_WIRE_H
#define PROTO_WIRE_H

#include "proto/fields.h"

#define WIRE_PROTOCOL 1                        /* in HELLO; a broker refuses one it does not speak */
#define WIRE_FRAME_MAX_BYTES ((size_t)8 << 20) /* default of WELCOME.max_frame_bytes */
#define WIRE_MESSAGE_MAX_BYTES                                                                                         \
    ((size_t)1048576)           /* one event or message with attributes, SQS's and EventBridge's limit */
#define WIRE_NAME_MAX_BYTES 256 /* any name on the wire: queue, bus, method, instance */
#define WIRE_BATCH_MAX FIELDS_LIST_MAX

/* Values of SUBSCRIBE.kind */
enum { WIRE_SUBSCRIBE_QUEUE = 1, WIRE_SUBSCRIBE_BUS = 2 };
/* Values of SETTLE.entries[].action */
enum { WIRE_ACK = 1, WIRE_RELEASE = 2, WIRE_REJECT = 3, WIRE_EXTEND = 4 };
/* Values of PERMIT.priority */
enum { WIRE_PRIORITY_LIVE = 0, WIRE_PRIORITY_NORMAL = 1, WIRE_PRIORITY_BATCH = 2 };

/* -- entries of lists ---------------------------------------------------------------------------- */
#define WIRE_ENTRIES(E)                                                                                                \
    E(publish_entry, WIRE_PUBLISH_ENTRY)                                                                               \
    E(send_entry, WIRE_SEND_ENTRY)                                                                                     \
    E(result_entry, WIRE_RESULT_ENTRY)                                                                                 \
    E(delivery, WIRE_DELIVERY)                                                                                         \
    E(settle_entry, WIRE_SETTLE_ENTRY)                                                                                 \
    E(status_entry, WIRE_STATUS_ENTRY)                                                                                 \
    E(serve_entry, WIRE_SERVE_ENTRY)                                                                                   \
    E(running_entry, WIRE_RUNNING_ENTRY)

#define WIRE_PUBLISH_ENTRY(F, L)                                                                                       \
    F(STR, dedup, "deduplication key within the bus's window; empty for none")                                         \
    F(MAP, attrs, "attribute map beside the event: trace context, MessageGroupId, origin, replay-name, …")             \
    F(BODY, body, "the envelope, a msgpack map with EventBridge's keys; nobody on the way changes its bytes")

#define WIRE_SEND_ENTRY(F, L)                                                                                          \
    F(STR, group, "MessageGroupId; empty for none")                                                                    \
    F(STR, dedup, "MessageDeduplicationId; empty for none")                                                            \
    F(I64, delay_ms, "DelaySeconds in milliseconds; -1 for the queue's own")                                           \
    F(MAP, attrs, "message attributes")                                                                                \
    F(BODY, body, "the message: one msgpack value")

#define WIRE_RESULT_ENTRY(F, L)                                                                                        \
    F(U64, status, "0, or a status code")                                                                              \
    F(U64, record, "sequence of the journal record that holds it; its identity for ever")                              \
    F(BOOL, duplicate, "true when it had been accepted before and was not accepted again")                             \
    F(STR, aws, "error name; empty when accepted")                                                                     \
    F(STR, message, "error text; empty when accepted")                                                                 \
    F(STR, md5_body, "MD5OfMessageBody, hex; empty unless SEND asked for digests")                                     \
    F(STR, md5_attributes, "MD5OfMessageAttributes; empty without any")                                                \
    F(STR, md5_system_attributes, "MD5OfMessageSystemAttributes; empty without any")

#define WIRE_DELIVERY(F, L)                                                                                            \
    F(BIN, receipt, "handle for SETTLE; empty on a bus subscription, where nothing is to be settled")                  \
    F(U64, record, "sequence of the record; where a bus subscription would resume plus one")                           \
    F(I64, ingest_us, "when the broker took it, Unix microseconds; never goes backwards")                              \
    F(U64, receives, "ApproximateReceiveCount, this delivery included; 0 on a bus subscription")                       \
    F(I64, first_receive_us, "ApproximateFirstReceiveTimestamp, Unix microseconds; 0 on a bus subscription")           \
    F(STR, source, "bus on which it was published, or queue to which it was sent")                                     \
    F(STR, group, "MessageGroupId; empty for none")                                                                    \
    F(MAP, attrs, "the attribute map as published, replay-name added when replayed")                                   \
    F(BODY, body, "the envelope, or the message; the transformed body where the rule's target has a transformer")      \
    F(I64, sent_us, "SentTimestamp, Unix microseconds: when it entered the queue; 0 on a bus subscription")            \
    F(U64, message, "the message's identity in its queue: another one than `record` once it was moved")                \
    F(STR, md5_body, "MD5OfBody, hex; empty unless RECEIVE asked for digests")                                         \
    F(STR, md5_attributes, "MD5OfMessageAttributes, of those that come along; empty without any")

#define WIRE_SETTLE_ENTRY(F, L)                                                                                        \
    F(BIN, receipt, "from the delivery")                                                                               \
    F(U64, action, "1 ack (done, forget it), 2 release (back after delay_ms), 3 reject (dead-letter now), 4 extend")   \
    F(I64, delay_ms, "release: until visible again; extend: visibility from now; else 0")                              \
    F(STR, reason, "reject: why, kept with the dead letter; release: why, kept when it was the last time")

#define WIRE_STATUS_ENTRY(F, L)                                                                                        \
    F(U64, status, "0, or a status code")                                                                              \
    F(STR, aws, "error name (ReceiptHandleIsInvalid, MessageNotInflight, …); empty when done")                         \
    F(STR, message, "error text; empty when done")

#define WIRE_SERVE_ENTRY(F, L)                                                                                         \
    F(STR, method, "a call's name, such as erp.stock.get")                                                             \
    F(U64, capacity, "how many at once this instance takes; 0 stops taking new ones, running ones go on")

#define WIRE_RUNNING_ENTRY(F, L)                                                                                       \
    F(STR, caller, "as in CALL")                                                                                       \
    F(U64, number, "as in CALL")                                                                                       \
    F(U64, chunk, "number of the next chunk that will be sent")

/* -- verbs --------------------------------------------------------------------------------------- */
/* V(number, NAME, name, direction, rows, "doc") */
#define WIRE_VERBS(V)                                                                                                  \
    V(1, HELLO, hello, "C", WIRE_ROWS_HELLO, "opens or resumes a session; the first frame of every connection")        \
    V(2, WELCOME, welcome, "B", WIRE_ROWS_WELCOME, "answers HELLO: the session, its windows and its times")            \
    V(3, PUBLISH, publish, "C", WIRE_ROWS_PUBLISH, "puts events on a bus; answered when they are on disk")             \
    V(4, PUBLISHED, published, "B", WIRE_ROWS_RESULTS, "answers PUBLISH, entry by entry, in order")                    \
    V(5, SEND, send, "C", WIRE_ROWS_SEND, "puts messages into a queue; answered when they are on disk")                \
    V(6, SENT, sent, "B", WIRE_ROWS_RESULTS, "answers SEND, entry by entry, in order")                                 \
    V(7, RECEIVE, receive, "C", WIRE_ROWS_RECEIVE, "asks for messages once (SQS ReceiveMessage)")                      \
    V(8, RECEIVED, received, "B", WIRE_ROWS_RECEIVED, "answers RECEIVE; empty when the wait was over")                 \
    V(9, SUBSCRIBE, subscribe, "C", WIRE_ROWS_SUBSCRIBE,                                                               \
      "asks for messages of a queue, or events of a bus, as they come")                                                \
    V(10, SUBSCRIBED, subscribed, "B", WIRE_ROWS_SUBSCRIBED, "answers SUBSCRIBE")                                      \
    V(11, CREDIT, credit, "C", WIRE_ROWS_CREDIT, "lets the broker deliver this much more; never answered")             \
    V(12, DELIVER, deliver, "B", WIRE_ROWS_DELIVER, "messages or events for a subscription, within its credit")        \
    V(13, SETTLE, settle, "C", WIRE_ROWS_SETTLE, "says what became of deliveries; answered when on disk")              \
    V(14, SETTLED, settled, "B", WIRE_ROWS_SETTLED, "answers SETTLE, entry by entry, in order")                        \
    V(15, UNSUBSCRIBE, unsubscribe, "C", WIRE_ROWS_SUB, "ends a subscription; what is in flight stays in flight")      \
    V(16, UNSUBSCRIBED, unsubscribed, "B", WIRE_ROWS_SUB, "answers UNSUBSCRIBE; no DELIVER follows it")                \
    V(17, GAP, gap, "B", WIRE_ROWS_GAP,                                                                                \
      "a bus subscription missed events: it lagged too far, or asked for forgotten ones")                              \
    V(18, SERVE, serve, "C", WIRE_ROWS_SERVE, "says which calls this instance answers, and which it is running")       \
    V(19, SERVED, served, "B", WIRE_ROWS_NONE, "answers SERVE")                                                        \
    V(20, CALL, call, "X", WIRE_ROWS_CALL,                                                                             \
      "a request: from the caller to the broker, and from the broker to a worker")                                     \
    V(21, REPLY, reply, "X", WIRE_ROWS_REPLY, "a numbered piece of the answer: worker to broker, broker to caller")    \
    V(22, REPLY_CREDIT, reply_credit, "X", WIRE_ROWS_REPLY_CREDIT,                                                     \
      "lets a streaming worker send this many bytes more")                                                             \
    V(23, CANCEL, cancel, "X", WIRE_ROWS_CANCEL, "the caller no longer waits; carried to the worker; never answered")  \
    V(24, PERMIT, permit, "C", WIRE_ROWS_PERMIT, "asks for tokens of a named bucket that all instances share")         \
    V(25, PERMITTED, permitted, "B", WIRE_ROWS_PERMITTED, "answers PERMIT")                                            \
    V(26, QUEUE, queue, "C", WIRE_ROWS_ADMIN,                                                                          \
      "administers queues: list info peek create set delete purge redrive tasks cancel")                               \
    V(27, RULE, rule, "C", WIRE_ROWS_ADMIN, "administers rules: list test explain schedules")                          \
    V(28, TOPOLOGY, topology, "C", WIRE_ROWS_ADMIN, "administers the desired state: show diff apply export")           \
    V(29, BROKER, broker, "C", WIRE_ROWS_ADMIN,                                                                        \
      "asks about the broker itself: status sessions services methods check permits")                                  \
    V(30, RESULT, result, "B", WIRE_ROWS_RESULT, "answers QUEUE, RULE, TOPOLOGY, BROKER and REPLAY")                   \
    V(31, PING, ping, "X", WIRE_ROWS_PING, "are you there; sent when nothing else was")                                \
    V(32, PONG, pong, "X", WIRE_ROWS_PING, "answers PING with its number")                                             \
    V(33, BYE, bye, "X", WIRE_ROWS_BYE, "ends the session at once; what it had in flight returns")                     \
    V(34, ERROR, error, "B", WIRE_ROWS_ERROR, "refuses the frame whose seq it repeats (0: no frame in particular)")    \
    V(35, REPLAY, replay, "C", WIRE_ROWS_ADMIN, "administers replays: start list info pause resume cancel")

#define WIRE_ROWS_NONE(F, L)

#define WIRE_ROWS_HELLO(F, L)                                                                                          \
    F(U64, protocol, "WIRE_PROTOCOL")                                                                                  \
    F(STR, name, "the instance, service-xxxxxx; unique among live sessions")                                           \
    F(STR, role, "role asked for; the key must allow it (docs/protocol.md, roles)")                                    \
    F(BIN, resume, "WELCOME.resume of the session to go on with; empty for a new one")                                 \
    F(STR, producer, "producer name for idempotent publishing; empty for none")                                        \
    F(U64, epoch, "of the producer; a higher one fences sessions with a lower one")                                    \
    F(STR, version, "of the client program, for the log")

#define WIRE_ROWS_WELCOME(F, L)                                                                                        \
    F(U64, protocol, "the version the broker will speak")                                                              \
    F(STR, broker, "the broker's instance name; another one after a restart")                                          \
    F(STR, version, "of the broker program")                                                                           \
    F(U64, session, "number of the session, for logs")                                                                 \
    F(BIN, resume, "token that resumes this session after a lost connection, also across a broker restart")            \
    F(BOOL, resumed, "true: deliveries in flight are still yours; false: settle nothing of before")                    \
    F(U64, grace_ms, "how long after the last sign of life the session and its deliveries are kept")                   \
    F(U64, heartbeat_ms, "send PING when nothing was sent for so long; silence of three of them is death")             \
    F(U64, max_frame_bytes, "largest frame the broker reads; a larger one costs the connection")                       \
    F(I64, time_us, "the broker's clock, Unix microseconds")                                                           \
    F(U64, producer_seq, "highest producer sequence already accepted; 0 for none")                                     \
    F(U64, publish_window, "PUBLISH and SEND entries that may be unanswered at once")                                  \
    F(U64, publish_window_bytes, "the same in bytes")                                                                  \
    F(U64, delivery_window, "largest credit in messages that a subscription may hold")                                 \
    F(U64, delivery_window_bytes, "the same in bytes")                                                                 \
    F(U64, call_window, "calls that may be unanswered at once")                                                        \
    F(U64, reply_window_bytes, "bytes of REPLY a stream may have unread before REPLY_CREDIT")                          \
    F(U64, head, "sequence of the newest record")

#define WIRE_ROWS_PUBLISH(F, L)                                                                                        \
    F(STR, bus, "event bus")                                                                                           \
    F(U64, producer_seq, "sequence of the first entry, the others follow it; 0 without a producer")                    \
    F(STR, replay_name, "marks the events as a replay: not archived again, added to their attributes; empty: live")    \
    F(STR, to, "empty: rules and live subscriptions; \"subscriber:NAME\", \"queue:NAME\": there alone")                \
    L(publish_entry, entries, "events, in order")

#define WIRE_ROWS_RESULTS(F, L) L(result_entry, results, "one for each entry, in order")

#define WIRE_ROWS_SEND(F, L)                                                                                           \
    F(STR, queue, "queue")                                                                                             \
    F(U64, producer_seq, "as in PUBLISH")                                                                              \
    L(send_entry, entries, "messages, in order")                                                                       \
    F(BOOL, digests, "true: answered with MD5 sums of bodies and message attributes")

#define WIRE_ROWS_RECEIVE(F, L)                                                                                        \
    F(STR, queue, "queue")                                                                                             \
    F(U64, max, "MaxNumberOfMessages")                                                                                 \
    F(U64, wait_ms, "WaitTimeSeconds in milliseconds")                                                                 \
    F(I64, visibility_ms, "VisibilityTimeout in milliseconds; -1 for the queue's own")                                 \
    F(STR, attempt, "ReceiveRequestAttemptId; empty for none")                                                         \
    F(MAP, attributes, "attribute selectors; nil for all")                                                             \
    F(BOOL, queue_wait, "true: the queue's ReceiveMessageWaitTimeSeconds instead of wait_ms")                          \
    F(BOOL, digests, "true: with MD5 sums of bodies and message attributes")

#define WIRE_ROWS_RECEIVED(F, L) L(delivery, deliveries, "messages")

#define WIRE_ROWS_SUBSCRIBE(F, L)                                                                                      \
    F(U64, sub, "number of the subscription, chosen by the client, unique in its session, not 0")                      \
    F(U64, kind, "1 queue, 2 bus")                                                                                     \
    F(STR, target, "queue, or bus; \"*\" for every bus")                                                               \
    F(STR, name, "bus: name that PUBLISH.to can address; empty for none")                                              \
    F(STR, pattern, "bus: event pattern in JSON; empty for every event")                                               \
    F(U64, from, "bus: first record wanted; 0 for what comes from now on")                                             \
    F(I64, visibility_ms, "queue: -1 for its own")                                                                     \
    F(U64, messages, "credit to begin with")                                                                           \
    F(U64, bytes, "the same in bytes")                                                                                 \
    F(BOOL, live_only, "bus: leave replayed events out")                                                               \
    F(I64, since_us, "bus: with from 0, begin at the first record not older than this; 0 for none")

#define WIRE_ROWS_SUBSCRIBED(F, L)                                                                                     \
    F(U64, sub, "as asked")                                                                                            \
    F(U64, next, "bus: sequence of the first record that it will see")                                                 \
    F(I64, visibility_ms, "queue: how long a delivery stays invisible, so that the client knows when to extend")

#define WIRE_ROWS_CREDIT(F, L)                                                                                         \
    F(U64, sub, "subscription")                                                                                        \
    F(U64, messages, "added to its credit")                                                                            \
    F(U64, bytes, "added to its credit; a message may overdraw, so that one larger than the credit still comes")

#define WIRE_ROWS_DELIVER(F, L)                                                                                        \
    F(U64, sub, "subscription")                                                                                        \
    L(delivery, deliveries, "in order")

#define WIRE_ROWS_SETTLE(F, L) L(settle_entry, entries, "in any order, of any queue")
#define WIRE_ROWS_SETTLED(F, L) L(status_entry, results, "one for each entry, in order")
#define WIRE_ROWS_SUB(F, L) F(U64, sub, "subscription")

#define WIRE_ROWS_GAP(F, L)                                                                                            \
    F(U64, sub, "subscription")                                                                                        \
    F(U64, from, "first record that was not looked at")                                                                \
    F(U64, next, "where it goes on")

#define WIRE_ROWS_SERVE(F, L)                                                                                          \
    L(serve_entry, methods, "added to what the session serves already")                                                \
    L(running_entry, running, "calls begun under an earlier broker that are still running")

#define WIRE_ROWS_CALL(F, L)                                                                                           \
    F(STR, caller, "instance that asks; with number, the call's identity")                                             \
    F(U64, number, "chosen by the caller, rising")                                                                     \
    F(STR, method, "such as erp.stock.get")                                                                            \
    F(U64, deadline_ms, "what is left of the caller's time; every hop hands on less")                                  \
    F(BOOL, idempotent, "true: may be given to another worker when the first died")                                    \
    F(BOOL, stream, "true: the caller takes chunks; false: one final reply")                                           \
    F(U64, reply_from, "asking again: first chunk still wanted; else 0")                                               \
    F(MAP, attrs, "trace context and others")                                                                          \
    F(BODY, body, "request, one msgpack value")                                                                        \
    F(BOOL, again, "from a caller: sent before under this identity; to a worker: send again from reply_from on")

#define WIRE_ROWS_REPLY(F, L)                                                                                          \
    F(STR, caller, "of the call")                                                                                      \
    F(U64, number, "of the call")                                                                                      \
    F(U64, chunk, "0, 1, 2, … without holes")                                                                          \
    F(BOOL, final, "true: the last one; carries the status")                                                           \
    F(U64, status, "of the call, when final")                                                                          \
    F(STR, aws, "error name, when failed")                                                                             \
    F(STR, message, "error text, when failed")                                                                         \
    F(U64, retry_after_ms, "when trying again may help; 0 for unknown")                                                \
    F(STR, worker, "instance that answers; set by the broker")                                                         \
    F(MAP, attrs, "beside the body")                                                                                   \
    F(BODY, body, "chunk or response, one msgpack value; empty when failed")

#define WIRE_ROWS_REPLY_CREDIT(F, L)                                                                                   \
    F(STR, caller, "of the call")                                                                                      \
    F(U64, number, "of the call")                                                                                      \
    F(U64, bytes, "added")

#define WIRE_ROWS_CANCEL(F, L)                                                                                         \
    F(STR, caller, "of the call")                                                                                      \
    F(U64, number, "of the call")                                                                                      \
    F(STR, reason, "for the log")

#define WIRE_ROWS_PERMIT(F, L)                                                                                         \
    F(STR, bucket, "name of the bucket")                                                                               \
    F(U64, tokens, "how many")                                                                                         \
    F(U64, priority, "0 live, 1 normal, 2 batch")                                                                      \
    F(U64, wait_ms, "how long the answer may wait for tokens")                                                         \
    F(U64, permit, "number of an earlier permit that was not used up; 0 for none")                                     \
    F(U64, unused, "how many of its tokens go back")

#define WIRE_ROWS_PERMITTED(F, L)                                                                                      \
    F(U64, tokens, "granted; may be fewer, or 0")                                                                      \
    F(U64, expires_ms, "after which unused ones are void")                                                             \
    F(U64, retry_after_ms, "when asking again may help")                                                               \
    F(U64, permit, "its number, for giving back; 0 when nothing was granted")                                          \
    F(U64, waited_ms, "how long the request waited: the permit's time began no earlier than so long after it was sent")

#define WIRE_ROWS_ADMIN(F, L)                                                                                          \
    F(STR, op, "operation")                                                                                            \
    F(STR, name, "what it is about; empty where it is about all")                                                      \
    F(MAP, args, "its arguments, see docs/protocol.md")                                                                \
    F(BODY, body, "a document, where the operation takes one")

#define WIRE_ROWS_RESULT(F, L) F(BODY, body, "one msgpack value")

#define WIRE_ROWS_PING(F, L) F(U64, number, "repeated in PONG")
#define WIRE_ROWS_BYE(F, L) F(STR, reason, "for the log")

#define WIRE_ROWS_ERROR(F, L)                                                                                          \
    F(U64, status, "status code")                                                                                      \
    F(STR, name, "NO_SESSION, MALFORMED_FRAME, UnsupportedOperation, …: docs/protocol.md, errors")                     \
    F(STR, message, "one sentence that says what to do")                                                               \
    F(U64, retry_after_ms, "when trying again may help; 0 for unknown")

/* -- what comes of the tables -------------------------------------------------------------------- */
#define WIRE_LIST_MEMBER(entry, member, text) FIELDS_MEMBER_LIST(wire_##entry##_t, entry, member, text)
#define WIRE_STRUCT_ENTRY(name, ROWS)                                                                                  \
    typedef struct {                                                                                                   \
        ROWS(FIELDS_MEMBER, WIRE_LIST_MEMBER)                                                                          \
    } wire_##name##_t;
WIRE_ENTRIES(WIRE_STRUCT_ENTRY)

#define WIRE_ENUM(number, NAME, name, dir, ROWS, text) WIRE_##NAME = (number),
typedef enum { WIRE_VERBS(WIRE_ENUM) WIRE_VERB_MAX = 35 } wire_verb_t;

#define WIRE_STRUCT(number, NAME, name, dir, ROWS, text)                                                               \
    typedef struct {                                                                                                   \
        ROWS(FIELDS_MEMBER, WIRE_LIST_MEMBER)                                                                          \
    } wire_##name##_t;
WIRE_VERBS(WIRE_STRUCT)

/* One decoded frame. Large (lists are inline): keep one per reader and use it again. */
typedef struct {
    wire_verb_t verb;
    uint64_t seq;
    union {
#define WIRE_MEMBER(number, NAME, name, dir, ROWS, text) wire_##name##_t name;
        WIRE_VERBS(WIRE_MEMBER)
#undef WIRE_MEMBER
    };
} wire_msg_t;

/* The layout of a verb; NULL for a number that is none. */
const fields_layout_t *wire_layout(uint64_t verb);
const char *wire_verb_name(uint64_t verb); /* "PUBLISH"; "?" for none */
const char *wire_verb_direction(uint64_t verb);

/* Appends the frame of `msg` (verb, seq and the member that the verb names) to `out`. */
void wire_encode(buf_t *out, const wire_msg_t *msg);

/* The same from the verb's own struct, without the copy into a union: wire_encode_verb(out, WIRE_PONG, seq, &pong). */
void wire_encode_verb(buf_t *out, wire_verb_t verb, uint64_t seq, const void *values);

/* Decodes in place. On failure, `out->verb` and `out->seq` are set as far as they could be read (else 0), so
 * that the refusal can name them; err->aws is MALFORMED_FRAME or UNKNOWN_VERB. */
MUST_USE bool wire_decode(bytes_t frame, wire_msg_t *out, error_t *err);

/* The reading of only verb and seq, for dispatch and refusals. */
MUST_USE bool wire_peek(bytes_t frame, uint64_t *verb, uint64_t *seq);

#endif
