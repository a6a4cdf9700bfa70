/* bus.h: the client of the bus: a session that survives, and everything a process does over it.
 *
 * Speaks docs/protocol.md over one DEALER socket on the loop. Connects, says HELLO, answers PING, notices a
 * dead broker (three heartbeats of silence), reconnects with jittered back-off (100 ms to 5 s), resumes its
 * session, subscribes and serves again, and sends again what was not answered: publishes with their producer
 * sequence (so that nothing is accepted twice), calls under their identity. It keeps within WELCOME's
 * windows and frame size: what does not fit the window waits here, up to BUS_WAITING_MAX_BYTES, and is then
 * refused with RESOURCE_EXHAUSTED.
 *
 * All callbacks run on the loop's thread, never inside the function that started the work. Slices given to
 * callbacks live until they return; slices passed in are copied. */
#ifndef KIT_BUS_H
#define KIT_BUS_H

#include "kit/loop.h"
#include "kit/trace.h"
#include "proto/wire.h"

#define BUS_WAITING_MAX_BYTES ((size_t)64 << 20)
#define BUS_KEY_CHARS 40 /* a CURVE key in Z85 */

typedef struct bus bus_t;

/* What a process counts of its traffic. Each may be NULL. */
typedef struct {
    void (*called)(void *ctx, const char *method, status_t status, int64_t duration_us);
    void (*served)(void *ctx, bytes_t method, status_t status, int64_t duration_us);
    void (*settled)(void *ctx, bytes_t queue, const char *outcome); /* acked, released, rejected */
    void *ctx;
} bus_observer_t;

typedef struct {
    const char *endpoint; /* tcp://127.0.0.1:7447 */
    const char *instance; /* service-xxxxxx */
    const char *role;     /* NULL: the service's name, the part of `instance` before the last dash */
    const char *version;
    const char *producer; /* name for idempotent publishing, stable over restarts; NULL: none */
    uint64_t epoch;       /* of the producer; 0: wall clock in milliseconds, so that a restart fences its past */
    /* CURVE, all three or none; Z85. */
    const char *server_key, *public_key, *secret_key;
    void (*on_state)(void *ctx, bool is_up, const char *why); /* may be NULL */
    void *ctx;
    const bus_observer_t *observer; /* lives as long as the bus; NULL: none */
} bus_options_t;

MUST_USE bus_t *bus_new(loop_t *loop, const bus_options_t *options, error_t *err);
/* Says BYE if connected; unanswered work ends with CANCELLED. */
void bus_free(bus_t **bus);
bool bus_is_up(const bus_t *bus);
/* From HELLO's answer; zeroes before the first. */
const wire_welcome_t *bus_welcome(const bus_t *bus);

/* Stops taking deliveries and calls; `fn` when what was in hand is settled and answered, and what was
 * published is acknowledged, or when `within_ms` is over (what is left is then released). */
void bus_drain(bus_t *bus, int64_t within_ms, void (*fn)(void *ctx), void *ctx);

/* -- publish and send ---------------------------------------------------------------------------- */
/* `err` is NULL when it is on disk at the broker; `record` then names it. */
typedef void (*bus_result_fn)(void *ctx, const error_t *err, uint64_t record, bool duplicate);

typedef struct {
    const char *bus;
    const char *source;
    const char *detail_type;
    bytes_t detail;       /* one msgpack map */
    bytes_t dedup;        /* empty for none */
    bytes_t attrs;        /* msgpack map, or empty; traceparent is added when `trace` is given */
    const trace_t *trace; /* NULL: the current one, if any */
    const char *resource; /* one entry of `resources`, NULL for none */
    int64_t time_us;      /* 0: now */
} bus_event_t;

/* Builds the envelope (id: a new UUIDv7, account and region from the environment's AWS_ACCOUNT_ID and
 * AWS_REGION, defaults 000000000000 and ap-northeast-1) and publishes. `fn` may be NULL: failures are then
 * logged. */
MUST_USE bool bus_publish(bus_t *bus, const bus_event_t *event, bus_result_fn fn, void *ctx, error_t *err);

typedef struct {
    const char *bus;
    bytes_t envelope;
    bytes_t attrs, dedup, replay_name, to; /* may be empty */
} bus_raw_event_t;

/* An envelope as it is: for tools, forwarders and replays. */
MUST_USE bool bus_publish_raw(bus_t *bus, const bus_raw_event_t *event, bus_result_fn fn, void *ctx, error_t *err);

typedef struct {
    const char *queue;
    bytes_t body; /* one msgpack value */
    bytes_t attrs, group, dedup;
    int64_t delay_ms; /* -1: the queue's own */
} bus_message_t;

MUST_USE bool bus_send(bus_t *bus, const bus_message_t *message, bus_result_fn fn, void *ctx, error_t *err);

/* -- consume and listen -------------------------------------------------------------------------- */
#define BUS_HOLD_MAX_MS                                                                                                \
    (INT64_C(12) * 3600 * 1000) /* SQS: the longest that a message stays invisible after one receive */

/* A delivery from a queue is the handler's until it is settled, which it must be, once, now or later. While it is held,
 * its visibility is extended by itself, before half of it has passed, in batches: so the queue's visibility need only
 * be longer than the loop is ever kept busy, and a process that dies loses what it held after that time (or at once,
 * when its session ends). That ends when it is settled, after hold_max_ms, or when the broker says that the message is
 * no longer this consumer's. After a lost session that could not be resumed, settling is quietly without effect: the
 * message comes again. */
typedef struct bus_delivery {
    uint64_t record;
    int64_t ingest_us;
    uint32_t receives;
    int64_t first_receive_us;
    bytes_t source; /* bus or queue */
    bytes_t group;
    bytes_t attrs;
    bytes_t body;
    trace_t trace; /* of the message, a child span; not valid when it had none */
} bus_delivery_t;

typedef void (*bus_delivery_fn)(void *ctx, bus_delivery_t *delivery);

typedef struct {
    const char *queue;
    uint64_t messages;     /* at once in hand; 0: 16 */
    uint64_t bytes;        /* 0: 4 MiB */
    int64_t visibility_ms; /* -1: the queue's own */
    int64_t hold_max_ms; /* a handler may hold a message for so long; 0: BUS_HOLD_MAX_MS, which is the most; -1: nothing
                            is extended */
    bus_delivery_fn fn;
    void *ctx;
} bus_consume_t;

MUST_USE bool bus_consume(bus_t *bus, const bus_consume_t *consume, error_t *err);

#define BUS_DELAY_MAX_MS (INT64_C(12) * 3600 * 1000) /* SQS's longest time out of sight */

void bus_ack(bus_t *bus, bus_delivery_t *delivery);
/* It comes again after `delay_ms`; more than BUS_DELAY_MAX_MS is that, less than nothing is nothing. */
void bus_release(bus_t *bus, bus_delivery_t *delivery, int64_t delay_ms, const char *reason);
void bus_reject(bus_t *bus, bus_delivery_t *delivery, const char *reason);

typedef struct {
    const char *bus;     /* "*" for all */
    const char *name;    /* that PUBLISH.to can address; NULL for none */
    const char *pattern; /* JSON; NULL for every event */
    uint64_t from;       /* record; 0: from now on, or from since_us */
    int64_t since_us;
    bool live_only;
    uint64_t messages, bytes; /* credit; 0: 256 and 4 MiB */
    /* The delivery is over when fn returns; nothing to settle. */
    bus_delivery_fn fn;
    /* Events were missed; a cache flushes itself. May be NULL. Also called after a reconnect that could not
     * go on where it was. */
    void (*on_gap)(void *ctx, uint64_t from, uint64_t next);
    void (*on_subscribed)(void *ctx, uint64_t next); /* may be NULL */
    /* The broker refused it (no such bus, no right, a broken pattern); asked again with the next session. May be
     * NULL: the refusal is logged. */
    void (*on_refused)(void *ctx, const error_t *err);
    void *ctx;
} bus_listen_t;

/* Number of the subscription, for bus_unlisten; 0 on failure. */
MUST_USE uint64_t bus_listen(bus_t *bus, const bus_listen_t *listen, error_t *err);
void bus_unlisten(bus_t *bus, uint64_t sub);

/* -- call ---------------------------------------------------------------------------------------- */
typedef struct {
    const error_t *err; /* NULL: OK */
    bytes_t body;
    bytes_t worker; /* instance that answered */
    int64_t duration_us;
} bus_reply_t;

typedef void (*bus_reply_fn)(void *ctx, const bus_reply_t *reply);
typedef void (*bus_chunk_fn)(void *ctx, bytes_t chunk);

typedef struct {
    const char *method;
    bytes_t body;
    int64_t timeout_ms; /* > 0: what is left of the caller's own deadline */
    bool idempotent;
    bytes_t attrs;
    const trace_t *trace;  /* NULL: the current one */
    bus_chunk_fn on_chunk; /* NULL: no streaming wanted */
    bus_reply_fn on_done;  /* exactly once */
    void *ctx;
} bus_call_t;

/* Number of the call, for bus_cancel; 0 when refused here (on_done is then not called). */
MUST_USE uint64_t bus_call(bus_t *bus, const bus_call_t *call, error_t *err);
/* The caller no longer waits: on_done is not called any more. */
void bus_cancel(bus_t *bus, uint64_t number, const char *reason);

/* -- serve --------------------------------------------------------------------------------------- */
/* A request is the handler's until it is answered, which it must be, once, now or later. */
typedef struct bus_request {
    bytes_t method;
    bytes_t body;
    bytes_t attrs;
    bytes_t caller; /* instance */
    int64_t deadline_mono_us;
    bool stream;    /* the caller takes chunks */
    bool cancelled; /* the caller no longer waits; answering is still due, and cheap */
    trace_t trace;  /* a child span of the caller's */
    void *user;     /* the handler's own */
} bus_request_t;

typedef void (*bus_request_fn)(void *ctx, bus_request_t *request);

MUST_USE bool bus_serve(bus_t *bus, const char *method, uint64_t capacity, bus_request_fn fn, void *ctx, error_t *err);

/* Milliseconds left; never negative. */
int64_t bus_request_left_ms(const bus_request_t *request);
/* Called when the caller cancels or its deadline passes; at most one. */
void bus_request_on_cancel(bus_request_t *request, void (*fn)(void *ctx, bus_request_t *request), void *ctx);
void bus_chunk(bus_t *bus, bus_request_t *request, bytes_t chunk);
void bus_reply(bus_t *bus, bus_request_t *request, bytes_t body);
void bus_fail(bus_t *bus, bus_request_t *request, const error_t *err);

/* -- permits ------------------------------------------------------------------------------------- */
/* One draw from a named bucket (docs/protocol.md, permits). Who needs a token now and then keeps a purse instead,
 * kit/purse.h. */
typedef struct {
    const error_t *err;     /* NULL: answered, be it with 0 tokens */
    uint32_t tokens;        /* at most what was asked for */
    uint64_t permit;        /* for bus_permit_return */
    int64_t until_us;       /* monotonic: worth nothing from then on; may be over already */
    int64_t retry_after_ms; /* of a refusal, or with 0 tokens */
} bus_permit_t;

typedef void (*bus_permit_fn)(void *ctx, const bus_permit_t *permit);

typedef struct {
    const char *bucket;
    uint32_t tokens;   /* at least 1; the bucket's burst is the most that come */
    uint32_t priority; /* 0 live, 1 normal, 2 batch */
    int64_t wait_ms;   /* for tokens to come, and for the broker */
    bus_permit_fn fn;  /* exactly once, unless cancelled */
    void *ctx;
} bus_draw_t;

/* Number of the draw, for bus_permit_cancel; 0 when refused here. A lost connection ends it (UNAVAILABLE). */
MUST_USE uint64_t bus_permit(bus_t *bus, const bus_draw_t *draw, error_t *err);
/* fn is not called any more; what is granted all the same goes back. */
void bus_permit_cancel(bus_t *bus, uint64_t number);
/* Gives back what was not used. Without a connection it is kept, and expires. */
void bus_permit_return(bus_t *bus, const char *bucket, uint64_t permit, uint32_t unused);

/* -- administration ------------------------------------------------------------------------------ */
/* QUEUE, RULE, TOPOLOGY, BROKER; see docs/protocol.md for operations. */
typedef void (*bus_admin_fn)(void *ctx, const error_t *err, bytes_t result);
MUST_USE bool bus_admin(bus_t *bus, wire_verb_t verb, const char *op, const char *name, bytes_t args, bytes_t body,
                        int64_t timeout_ms, bus_admin_fn fn, void *ctx, error_t *err);

/* -- by hand ------------------------------------------------------------------------------------- */
/* For tools, where a person decides what becomes of a message: one RECEIVE or SETTLE as it is (proto/wire.h). Refused
 * (UNAVAILABLE) without a session; never sent twice; a lost connection ends it, outcome unknown. What RECEIVE brings
 * returns to its queue with the session, unless it was settled. */
/* `err` is NULL when `answer` holds RECEIVED, or SETTLED. Exactly once. */
typedef void (*bus_hand_fn)(void *ctx, const error_t *err, const wire_msg_t *answer);
MUST_USE bool bus_receive_once(bus_t *bus, const wire_receive_t *receive, bus_hand_fn fn, void *ctx, error_t *err);
MUST_USE bool bus_settle_once(bus_t *bus, const wire_settle_t *settle, bus_hand_fn fn, void *ctx, error_t *err);

/* -- keys ---------------------------------------------------------------------------------------- */
/* Reads a key file as `mangactl keygen` writes it: one line, Z85. */
MUST_USE bool bus_key_read(const char *path, char out[BUS_KEY_CHARS + 1], error_t *err);

#endif
