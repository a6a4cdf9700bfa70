/* bus_internal.h: the parts of the bus client, and what they share.
 *
 *     bus.c           life, state, draining, and the flush that ends a turn of the loop
 *     bus_link.c      the socket: connect, HELLO, heartbeats, back-off, frames in and out
 *     bus_monitor.c   what ZeroMQ says about the connection
 *     bus_dispatch.c  what a frame from the broker sets off
 *     bus_publish.c   events and messages on their way out
 *     bus_listen.c    subscriptions, deliveries, credit
 *     bus_settle.c    what became of deliveries, and extending those that are held
 *     bus_call.c      calls made here
 *     bus_serve.c     calls answered here
 *     bus_permit.c    permits drawn
 *     bus_admin.c     questions about the broker
 *     bus_map.c       numbers to entries; what is asked and not yet answered
 *
 * A session's work is kept in entries that outlive the session: when the link is lost, each part is told
 * (…_lost), and when the next session is there, each part takes up again (…_up). */
#ifndef KIT_BUS_INTERNAL_H
#define KIT_BUS_INTERNAL_H

#include <sys/queue.h>

#include "kit/bus.h"

#define BUS_BACKOFF_MIN_MS 100
#define BUS_BACKOFF_MAX_MS 5000
#define BUS_GREETING_MS 5000  /* patience for WELCOME */
#define BUS_STEADY_MS 5000    /* a session that lived so long makes the next back-off begin anew */
#define BUS_HEARTBEAT_MS 2000 /* before a WELCOME said otherwise, and when one said nonsense */
#define BUS_SILENCES 3        /* heartbeats without a sign of life */
#define BUS_LINGER_MS 200     /* for BYE and the last answers; longer would hold up the process's end */
#define BUS_FLIGHT_MAX                                                                                                 \
    1000 /* unanswered entries: within what a broker remembers of a producer, so that all may be sent again */
#define BUS_TURN_FRAMES 256  /* read in one turn, so that timers and other sockets get theirs */
#define BUS_HWM 16384        /* above the sum of all windows */
#define BUS_FLUSH_RETRY_MS 5 /* when the socket took no more */
#define BUS_RECEIPT_MAX_BYTES 64
#define BUS_REASON_MAX_BYTES 200
#define BUS_ENTRY_OVERHEAD_BYTES 64  /* of an entry in a frame: heads and numbers */
#define BUS_FRAME_OVERHEAD_BYTES 256 /* of a frame */
#define BUS_FRAME_MIN_BYTES 8192     /* a broker that names less gets frames it will refuse */
#define BUS_VISIBILITY_MS 30000      /* when the broker did not say; SQS's default */
#define BUS_HOLD_MARGIN_MS 60000     /* the broker counts from the receive, which was a little earlier */
#define BUS_REMEMBER_MS 15000        /* how long an answer that was sent is kept for a caller that asks again */
#define BUS_REMEMBER_MAX_BYTES ((size_t)8 << 20)
#define BUS_REJOIN_MS 1000 /* after a restart of the broker: for callers to ask again before pieces are sent */
#define BUS_LOG_MAX_BYTES ((size_t)4 << 20) /* sent chunks of one request, kept for the same reason */

/* -- numbers to entries (bus_map.c) ---------------------------------------------------------------- */
typedef struct bus_node {
    struct bus_node *next;
    uint64_t key;
} bus_node_t;

typedef struct {
    bus_node_t **buckets;
    size_t cap; /* power of two */
    size_t count;
} bus_map_t;

MUST_USE bool bus_map_init(bus_map_t *map);
void bus_map_free(bus_map_t *map);                                /* the buckets alone */
void bus_map_put(bus_map_t *map, bus_node_t *node, uint64_t key); /* keys may repeat */
bus_node_t *bus_map_first(const bus_map_t *map, uint64_t key);
bus_node_t *bus_map_next(const bus_node_t *node); /* of the same key */
void bus_map_remove(bus_map_t *map, bus_node_t *node);

/* -- copies ------------------------------------------------------------------------------------------ */
/* Copies `from` to *at and moves *at on; entries keep their texts in their own tail. */
bytes_t bus_copy(uint8_t **at, bytes_t from);

/* -- entries ----------------------------------------------------------------------------------------- */
typedef struct bus_item { /* one event or message that has no answer yet */
    TAILQ_ENTRY(bus_item) link;
    wire_verb_t verb; /* WIRE_PUBLISH, WIRE_SEND */
    bytes_t target, replay_name, to, dedup, group, attrs, body;
    int64_t delay_ms;
    uint64_t producer_seq; /* 0: none yet, or none at all */
    size_t bytes;
    bus_result_fn fn;
    void *ctx;
} bus_item_t;
TAILQ_HEAD(bus_items, bus_item);

typedef struct bus_settle {
    TAILQ_ENTRY(bus_settle) link;
    bytes_t receipt, reason;
    uint64_t record;
    uint64_t action;
    int64_t delay_ms;
} bus_settle_t;
TAILQ_HEAD(bus_settles, bus_settle);

typedef struct bus_sub bus_sub_t;
typedef struct bus_held bus_held_t;
typedef struct bus_caller bus_caller_t;
typedef struct bus_work bus_work_t;
typedef struct bus_query bus_query_t;
typedef struct bus_drawing bus_drawing_t;

typedef struct bus_ask { /* a frame that will be answered */
    bus_node_t node;     /* key: seq */
    TAILQ_ENTRY(bus_ask) link;
    wire_verb_t verb;
    struct bus_items items;     /* PUBLISH, SEND */
    struct bus_settles settles; /* SETTLE */
    size_t count, bytes;
    uint64_t number; /* SUBSCRIBE, UNSUBSCRIBE: sub; CALL: number */
    bus_query_t *query;
    bus_drawing_t *drawing;
    bus_hand_fn hand; /* RECEIVE, SETTLE by hand; else NULL */
    void *hand_ctx;
} bus_ask_t;
TAILQ_HEAD(bus_asks, bus_ask);

struct bus_held { /* a delivery of a queue; `delivery` comes first: the handler holds a pointer to it */
    bus_delivery_t delivery;
    TAILQ_ENTRY(bus_held) link;
    bus_sub_t *sub;
    bytes_t receipt;
    size_t bytes;
    int64_t taken_us, extended_us; /* monotonic */
    bool stale;                    /* of a lost session: settling is without effect */
    bool let_go;                   /* not extended any more */
};
TAILQ_HEAD(bus_helds, bus_held);

struct bus_sub {
    bus_node_t node; /* key: number */
    TAILQ_ENTRY(bus_sub) link;
    bus_t *bus;
    uint64_t number;
    uint64_t kind;
    char *target, *name, *pattern;
    uint64_t messages, bytes; /* credit */
    uint64_t owed_messages, owed_bytes;
    int64_t visibility_ms; /* as asked */
    int64_t invisible_ms;  /* as it is */
    int64_t hold_max_ms;   /* -1: nothing is extended */
    int64_t since_us;
    uint64_t next; /* bus: first record not seen yet; 0 before SUBSCRIBED */
    bool live_only;
    bool asked; /* SUBSCRIBE was sent in this session */
    bool refused;
    bool ended;
    uint32_t held_count;
    uint64_t held_bytes;
    struct bus_helds held;
    loop_timer_t *extend;
    bus_delivery_fn fn;
    void (*on_gap)(void *ctx, uint64_t from, uint64_t next);
    void (*on_subscribed)(void *ctx, uint64_t next);
    void (*on_refused)(void *ctx, const error_t *err);
    void *ctx;
};
TAILQ_HEAD(bus_subs, bus_sub);

struct bus_caller {  /* a call made here */
    bus_node_t node; /* key: number */
    TAILQ_ENTRY(bus_caller) link;
    bus_t *bus;
    uint64_t number;
    uint64_t seq;  /* of the CALL frame; 0: not sent in this session */
    bool was_sent; /* it is in calls_sent */
    bool again;    /* it left before, if only towards the socket */
    bool idempotent;
    char *method;
    bytes_t body, attrs;
    size_t bytes;
    int64_t started_us, deadline_us;
    uint64_t next_chunk;
    uint64_t owed_bytes; /* of REPLY_CREDIT */
    loop_timer_t *timer;
    bus_chunk_fn on_chunk;
    bus_reply_fn on_done;
    void *ctx;
};
TAILQ_HEAD(bus_callers, bus_caller);

typedef struct bus_method {
    TAILQ_ENTRY(bus_method) link;
    char *name;
    uint64_t capacity;
    bus_request_fn fn;
    void *ctx;
} bus_method_t;
TAILQ_HEAD(bus_methods, bus_method);

typedef struct bus_piece { /* one REPLY that was made: kept until nobody can ask for it again */
    TAILQ_ENTRY(bus_piece) link;
    uint64_t chunk;
    bool final;
    bool sent;
    status_t status;
    int64_t retry_after_ms;
    bytes_t aws, message, body;
} bus_piece_t;
TAILQ_HEAD(bus_pieces, bus_piece);

struct bus_work { /* a call answered here; `request` comes first: the handler holds a pointer to it */
    bus_request_t request;
    bus_node_t node; /* key: hash of caller and number */
    TAILQ_ENTRY(bus_work) link;
    bus_t *bus;
    uint64_t number;
    int64_t begun_us;
    bool answered; /* the final piece is made: `request` is no longer the handler's */
    int64_t answered_us;
    struct bus_pieces pieces;
    size_t pieces_bytes;
    uint64_t first_kept; /* number of the oldest piece in `pieces` */
    uint64_t next_chunk;
    uint64_t unread_bytes; /* sent and not yet given back by REPLY_CREDIT */
    int64_t rejoin_us;     /* nothing is sent before, monotonic */
    loop_timer_t *timer;
    void (*on_cancel)(void *ctx, bus_request_t *request);
    void *on_cancel_ctx;
};
TAILQ_HEAD(bus_works, bus_work);

struct bus_query {
    TAILQ_ENTRY(bus_query) link;
    bus_t *bus;
    bus_ask_t *ask; /* NULL while it waits for a session */
    wire_verb_t verb;
    bytes_t op, name, args, body;
    size_t bytes;
    loop_timer_t *timer;
    bus_admin_fn fn;
    void *ctx;
};
TAILQ_HEAD(bus_queries, bus_query);

struct bus_drawing { /* a PERMIT that has no answer yet */
    TAILQ_ENTRY(bus_drawing) link;
    bus_t *bus;
    bus_ask_t *ask; /* NULL while it waits for a session */
    uint64_t number;
    char *bucket;
    uint32_t tokens, priority;
    int64_t wait_ms, sent_us; /* monotonic */
    loop_timer_t *timer;
    bus_permit_fn fn; /* NULL: cancelled */
    void *ctx;
};
TAILQ_HEAD(bus_drawings, bus_drawing);

typedef struct bus_frame { /* what the socket did not take yet */
    TAILQ_ENTRY(bus_frame) link;
    size_t len;
    uint8_t data[];
} bus_frame_t;
TAILQ_HEAD(bus_frames, bus_frame);

/* -- the client -------------------------------------------------------------------------------------- */
typedef enum { BUS_DOWN, BUS_GREETING, BUS_UP } bus_state_t;

struct bus {
    loop_t *loop;
    char *endpoint, *instance, *role, *version, *producer;
    char account[13], region[65];
    uint64_t epoch;
    bool has_curve;
    char server_key[BUS_KEY_CHARS + 1], public_key[BUS_KEY_CHARS + 1], secret_key[BUS_KEY_CHARS + 1];
    void (*on_state)(void *ctx, bool is_up, const char *why);
    void *ctx;
    const bus_observer_t *observer;

    /* link */
    void *zmq;
    void *socket;
    loop_watch_t *watch;
    void *monitor;
    loop_watch_t *monitor_watch;
    bus_state_t state;
    unsigned attempts;
    int64_t up_us, sent_us, heard_us;
    uint64_t hello_seq;
    char why[ERROR_MESSAGE_BYTES]; /* the link is down; "" while it is up */
    loop_timer_t *beat;            /* greeting: patience; up: heartbeats */
    loop_timer_t *retry;
    struct bus_frames outbox;
    wire_welcome_t welcome; /* its slices point into welcome_text */
    char welcome_text[3][WIRE_NAME_MAX_BYTES + 1];
    uint8_t resume[WIRE_NAME_MAX_BYTES];
    wire_msg_t *in, *out; /* one frame being read, one being written; never both for one purpose */
    buf_t frame;
    bool broken; /* a frame could not be made: the flush ends the session */

    /* flush */
    loop_timer_t *flush;
    bool flush_due;

    /* what is asked */
    uint64_t seq;
    bus_map_t asks_by_seq;
    struct bus_asks asks;
    size_t waiting_bytes;

    struct bus_items items; /* waiting for the window, or for a session */
    uint64_t producer_seq;
    size_t flight_count, flight_bytes;

    struct bus_subs subs;
    bus_map_t subs_by_number;
    uint64_t sub_number;
    bool credit_due;
    struct bus_settles settles;
    size_t settle_count;

    struct bus_callers calls_waiting, calls_sent;
    bus_map_t calls_by_number;
    size_t calls_sent_count;
    uint64_t call_number;

    struct bus_methods methods;
    struct bus_works works;  /* running */
    struct bus_works recent; /* answered, oldest first */
    size_t recent_bytes;
    bus_map_t works_by_identity;
    size_t method_count;
    bool serve_due;
    char served_broker[WIRE_NAME_MAX_BYTES + 1]; /* whom the calls in `works` came from */
    loop_timer_t *rejoin;

    struct bus_queries queries;
    struct bus_drawings drawings;
    uint64_t drawing_number;

    /* drain */
    bool draining;
    bool ending; /* in bus_free: nothing new is taken */
    loop_timer_t *drain_timer;
    void (*drain_fn)(void *ctx);
    void *drain_ctx;
};

/* -- bus.c --------------------------------------------------------------------------------------------- */
void bus_flush_soon(bus_t *bus);
/* Refuses what would pass BUS_WAITING_MAX_BYTES, else counts it. */
MUST_USE bool bus_admit(bus_t *bus, size_t bytes, error_t *err);
bool bus_no_memory(error_t *err); /* false */
size_t bus_max_frame(const bus_t *bus);
/* A name that the wire can carry: not empty, not too long. */
MUST_USE bool bus_name_check(const char *what, bytes_t name, error_t *err);
void bus_error_fill(error_t *err, uint64_t status, bytes_t aws, bytes_t message, uint64_t retry_after_ms);

/* -- asks (bus_map.c) -------------------------------------------------------------------------------- */
/* A new entry with the next seq; NULL when out of memory. */
MUST_USE bus_ask_t *bus_ask_new(bus_t *bus, wire_verb_t verb);
bus_ask_t *bus_ask_find(bus_t *bus, uint64_t seq);
void bus_ask_free(bus_t *bus, bus_ask_t *ask); /* not what is in it */

/* -- bus_link.c --------------------------------------------------------------------------------------- */
MUST_USE bool bus_link_start(bus_t *bus, error_t *err);
void bus_link_stop(bus_t *bus); /* BYE, close */
/* Sends, or keeps in the outbox what the socket does not take now. */
void bus_link_send(bus_t *bus, wire_verb_t verb, uint64_t seq, const void *values);
void bus_link_flush(bus_t *bus);
void bus_link_welcomed(bus_t *bus, const wire_welcome_t *welcome);
/* Closes the socket, tells every part, and tries again after the back-off. */
void bus_link_lost(bus_t *bus, const char *why);

/* Reads what has come, up to a bound. */
void bus_link_drain(bus_t *bus);

/* -- bus_monitor.c ------------------------------------------------------------------------------------- */
/* For bus->socket, before it connects. False when it cannot be had; bus_monitor_close is due in any case. */
MUST_USE bool bus_monitor_open(bus_t *bus);
void bus_monitor_close(bus_t *bus);

/* -- bus_dispatch.c ------------------------------------------------------------------------------------ */
void bus_dispatch(bus_t *bus, bytes_t frame);

/* -- the parts ------------------------------------------------------------------------------------------ */
/* `attrs` with the trace context (NULL: the current one) in it, unless there is none or one is in it already. */
MUST_USE bool bus_attrs_with_trace(bytes_t attrs, const trace_t *trace, buf_t *out, error_t *err);
void bus_publish_flush(bus_t *bus);
void bus_publish_answered(bus_t *bus, bus_ask_t *ask, const wire_published_t *answer);
void bus_publish_refused(bus_t *bus, bus_ask_t *ask, const error_t *err);
void bus_publish_lost(bus_t *bus);
void bus_publish_end(bus_t *bus, const error_t *err);

void bus_listen_up(bus_t *bus, bool resumed);
void bus_listen_lost(bus_t *bus);
void bus_listen_subscribed(bus_t *bus, const wire_subscribed_t *answer);
void bus_listen_refused(bus_t *bus, uint64_t number, const error_t *err);
void bus_listen_deliver(bus_t *bus, const wire_deliver_t *deliver);
void bus_listen_gap(bus_t *bus, const wire_gap_t *gap);
void bus_listen_credit(bus_t *bus);
void bus_listen_flush(bus_t *bus);
void bus_listen_drain(bus_t *bus);
void bus_listen_release(bus_t *bus); /* all that handlers still hold */
void bus_listen_end(bus_t *bus);
uint32_t bus_listen_held(const bus_t *bus);
void bus_sub_owe(bus_sub_t *sub, uint64_t bytes);

void bus_settle_add(bus_t *bus, bytes_t receipt, uint64_t record, uint64_t action, int64_t delay_ms,
                    const char *reason);
void bus_settle_flush(bus_t *bus);
void bus_settle_answered(bus_t *bus, bus_ask_t *ask, const wire_settled_t *answer);
void bus_settle_refused(bus_t *bus, bus_ask_t *ask, const error_t *err);
void bus_settle_lost(bus_t *bus);
void bus_settle_forget(bus_t *bus); /* of a session that could not be resumed */
void bus_settle_extend(void *sub);  /* timer of a subscription */
void bus_held_free(bus_held_t *held);

void bus_call_flush(bus_t *bus);
void bus_call_up(bus_t *bus);
void bus_call_reply(bus_t *bus, const wire_reply_t *reply);
void bus_call_refused(bus_t *bus, uint64_t number, const error_t *err);
void bus_call_end(bus_t *bus, const error_t *err);

MUST_USE bool bus_serve_init(bus_t *bus);
void bus_serve_up(bus_t *bus);
void bus_serve_flush(bus_t *bus);
void bus_serve_call(bus_t *bus, const wire_call_t *call);
void bus_serve_cancel(bus_t *bus, const wire_cancel_t *cancel);
void bus_serve_credit(bus_t *bus, const wire_reply_credit_t *credit);
void bus_serve_drain(bus_t *bus);
void bus_serve_forget_old(bus_t *bus);
void bus_serve_end(bus_t *bus);

void bus_permit_flush(bus_t *bus);
void bus_permit_answered(bus_t *bus, bus_ask_t *ask, const wire_permitted_t *answer);
void bus_permit_refused(bus_t *bus, bus_ask_t *ask, const error_t *err);
void bus_permit_lost(bus_t *bus);
void bus_permit_end(bus_t *bus, const error_t *err);

void bus_admin_flush(bus_t *bus);
void bus_admin_answered(bus_t *bus, bus_ask_t *ask, bytes_t result);
void bus_admin_refused(bus_t *bus, bus_ask_t *ask, const error_t *err);
void bus_admin_lost(bus_t *bus);
void bus_admin_end(bus_t *bus, const error_t *err);

/* With `err` NULL the answer is bus->in. */
void bus_hand_answered(bus_t *bus, bus_ask_t *ask, const error_t *err);
void bus_hand_lost(bus_t *bus);
void bus_hand_end(bus_t *bus, const error_t *err);

#endif
