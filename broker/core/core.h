/* core.h: the broker's logic, pure: what happened goes in, what must follow comes out.
 *
 * No socket, file, clock or random number inside. The front turns frames into inputs and effects into
 * frames; the journal turns records into synced positions; neither knows a rule about queues. So a whole
 * broker lifetime, crashes included, runs in a simulator from one seed.
 *
 * Bodies are not held in memory: a queued message is its record's sequence and some bytes; the front finds
 * the content when it is delivered. Memory is bounded by core_limits_t: what would pass a bound is refused
 * to its sender with RESOURCE_EXHAUSTED. Out of memory inside a step ends the process (the journal makes it
 * whole); admission refuses long before. */
#ifndef BROKER_CORE_CORE_H
#define BROKER_CORE_CORE_H

#include "broker/core/role.h"
#include "broker/rules/zones.h"
#include "proto/record.h"
#include "proto/wire.h"

#define CORE_RESUME_BYTES 16  /* of a session's resume token */
#define CORE_RECEIPT_BYTES 28 /* of a receipt handle; its content is the core's business */
#define CORE_NO_ROUTE UINT32_MAX

typedef struct core core_t;

typedef struct {              /* 0 in any field: the default */
    uint64_t grace_ms;        /* 30,000 */
    uint64_t heartbeat_ms;    /* 2,000 */
    uint64_t max_frame_bytes; /* WIRE_FRAME_MAX_BYTES */
    uint64_t sessions;        /* at once; 4,096 */
    uint64_t subscriptions;   /* of one session; 256 */
    uint64_t receives;        /* of one session, waiting at once; 256 */
    uint64_t in_flight;       /* messages of one queue; 120,000 */
    uint64_t publish_window;  /* entries unanswered; 4,096 */
    uint64_t publish_window_bytes;
    uint64_t delivery_window; /* 4,096 */
    uint64_t delivery_window_bytes;
    uint64_t call_window; /* unanswered calls of one session; 1,024 */
    uint64_t call_queue;  /* calls waiting for a worker, of one method; 1,024 */
    uint64_t reply_window_bytes;
    uint64_t producer_window; /* remembered answers of one producer; 1,024 */
    uint64_t producers;       /* 4,096 */
    uint64_t queues;          /* 10,000 */
    uint64_t slice_messages;  /* that one step turns to unasked (slice.h); 256 */
    uint64_t lag_records;     /* a live subscription further behind than this gets a GAP; 1,000,000 */
} core_limits_t;

typedef struct {
    core_limits_t limits;
    const char *broker_name; /* instance, for WELCOME; copied */
    const char *version;     /* copied */
    const zones_t *zones;    /* that schedules may name; borrowed for the core's life. NULL: UTC alone */
} core_config_t;

/* -- inputs -------------------------------------------------------------------------------------- */
typedef enum {
    CORE_IN_FRAME,    /* a frame arrived and decoded */
    CORE_IN_BAD,      /* a frame arrived and did not decode */
    CORE_IN_TIMER,    /* core_next_deadline_us() has come */
    CORE_IN_SCANNED,  /* records that a CORE_OUT_SCAN asked for, one at a time, then one with record NULL */
    CORE_IN_REPLAYED, /* the same of a CORE_OUT_REPLAY, while core_replay_goes_on */
    CORE_IN_GONE,     /* the peer cannot be reached any more: nothing can be sent to it */
    CORE_IN_TOPOLOGY, /* the document given at start, to be applied if it differs from the journaled one */
    CORE_IN_STOP,     /* draining: refuse new work, say so to all */
} core_in_kind_t;

typedef struct {
    core_in_kind_t kind;
    uint64_t peer;         /* FRAME, BAD, GONE: the front's number for the connection */
    const role_t *role;    /* FRAME: by the connection's key */
    const wire_msg_t *msg; /* FRAME */
    size_t frame_bytes;    /* FRAME: for windows */
    bool more;             /* another input follows at once: nothing is delivered before it, so that messages which came
                              one by one leave together. The last input (a TIMER will do) must come without. */
    bool is_full;          /* the journal has no room for new work; asked for only while core_moves(), and,
                              for messages of the largest size, with BROKER, which tells it */
    uint64_t random[2];    /* FRAME with HELLO: fresh random bits */
    const error_t *bad;    /* BAD: why */
    uint64_t bad_seq;      /* BAD: the frame's seq, 0 when it could not be read */
    struct {
        uint64_t scan;          /* the number that CORE_OUT_SCAN or CORE_OUT_REPLAY gave */
        const record_t *record; /* NULL: this slice is done */
        uint64_t next;          /* with NULL: where the journal goes on */
        bool end;               /* with NULL: the newest record was reached */
        const error_t *broken;  /* REPLAYED, with NULL: they cannot be read, and why */
    } scanned;
    struct {
        bytes_t json;
        const char *sha256; /* hex, of json */
        bool force;         /* drop queues that are not empty */
    } topology;
} core_input_t;

/* -- effects ------------------------------------------------------------------------------------- */
typedef enum {
    CORE_OUT_FRAME,   /* send these bytes */
    CORE_OUT_DELIVER, /* send DELIVER, or RECEIVED, with the content of these records */
    CORE_OUT_RESULT,  /* answer a peek with the content of these records: RESULT with a list of messages */
    CORE_OUT_SCAN,    /* read the journal from here and feed it back as CORE_IN_SCANNED */
    CORE_OUT_REPLAY,  /* read the events of core_replay_source and feed them back as CORE_IN_REPLAYED */
    CORE_OUT_LOG,     /* a line for the log */
} core_out_kind_t;

typedef struct {
    uint64_t record; /* PUBLISH or SEND record that holds the content */
    uint32_t route;  /* which route's transformed body; CORE_NO_ROUTE: the record's own body */
    uint32_t receives;
    int64_t first_receive_us;
    int64_t sent_us;  /* as its queue counts; 0 on a bus subscription */
    uint64_t message; /* identity in its queue; 0 on a bus subscription */
    uint8_t receipt[CORE_RECEIPT_BYTES];
    uint8_t receipt_len;          /* 0 on a bus subscription */
    uint32_t extra_at, extra_len; /* in effects->bytes: attributes to add (a msgpack map); len 0 for none */
} core_item_t;

typedef struct {
    core_out_kind_t kind;
    uint64_t peer;
    uint64_t after; /* may leave once all records up to here are synced; 0: at once */
    union {
        struct {
            size_t at, len; /* in effects->bytes */
        } frame;
        struct {
            wire_verb_t verb;             /* WIRE_DELIVER, WIRE_RECEIVED; WIRE_RESULT for CORE_OUT_RESULT */
            uint64_t seq;                 /* RECEIVED, RESULT */
            uint64_t sub;                 /* DELIVER */
            size_t first, count;          /* in effects->items */
            bool digests;                 /* RECEIVED: with MD5 sums */
            size_t select_at, select_len; /* RECEIVED, in effects->bytes: attributes wanted, a msgpack array of
                                             names, `prefix.*` among them; len 0: all */
        } deliver;
        struct {
            uint64_t scan;
            uint64_t from; /* sequence; 0: the first record not older than since_us */
            int64_t since_us;
            size_t max_bytes;
        } scan;
        struct {
            int level;      /* 0 debug, 1 info, 2 warning, 3 error */
            size_t at, len; /* in effects->bytes: one sentence */
        } log;
    };
} core_out_t;

/* Appended to by core_step; the caller empties it (core_effects_clear) when it has acted on it. */
typedef struct {
    buf_t records; /* whole records in order of sequence, to be journaled before anything leaves */
    uint64_t record_count;
    buf_t bytes;      /* what frames, logs and extras point into */
    core_out_t *outs; /* in the order in which they must happen, per peer */
    size_t out_count, out_cap;
    core_item_t *items;
    size_t item_count, item_cap;
} core_effects_t;

void core_effects_clear(core_effects_t *effects);
void core_effects_free(core_effects_t *effects);

/* -- life ---------------------------------------------------------------------------------------- */
MUST_USE core_t *core_new(const core_config_t *config, error_t *err);
void core_free(core_t **core);

/* Rebuilds state from one record; records come in order. core_apply over the journal equals the core that
 * wrote it. False (DATA_LOSS) when the record does not fit the state: the journal and this program differ. */
MUST_USE bool core_apply(core_t *core, const record_t *record, error_t *err);

typedef struct {
    uint64_t first, through; /* records */
} core_lost_t;

/* Between the last core_apply and core_start, once: none of these records, ascending, can be read any more. Messages
 * that need one stay in their queues and are counted; how many there are. */
uint64_t core_mark_lost(core_t *core, const core_lost_t *ranges, size_t count);

/* Ends recovery at time now_us: sessions of before may resume within their grace, deliveries of before keep
 * their visibility. `next_seq` is the sequence the first new record will have. */
void core_start(core_t *core, int64_t now_us, uint64_t next_seq, core_effects_t *out);

/* Applies one thing that happened, at time now_us (never before the last). What must follow is appended to
 * `out`: records to journal, and frames to send. Never blocks, never reads a clock, never fails for bad
 * input: a refusal is an effect. */
void core_step(core_t *core, int64_t now_us, const core_input_t *input, core_effects_t *out);

/* -- replays --------------------------------------------------------------------------------------- */
/* Where the events of a CORE_OUT_REPLAY are: in an archive and then in the log. `ids`: no others are wanted. */
typedef struct {
    bytes_t archive; /* empty: the log alone */
    const bytes_t *ids;
    size_t id_count;
} core_replay_source_t;

/* False when the reading of that number is no longer wanted. Lives until the next core_step. */
MUST_USE bool core_replay_source(const core_t *core, uint64_t scan, core_replay_source_t *out);
/* False when that was enough for now: end the slice before the next event. */
MUST_USE bool core_replay_goes_on(const core_t *core, uint64_t scan);
/* Oldest record that a running replay reads of the log, where no archive has it; UINT64_MAX for none. */
uint64_t core_oldest_replayed(const core_t *core);

/* True while move tasks or replays run, or a schedule is due: they wait when an input says that the journal is full. */
bool core_moves(const core_t *core, int64_t now_us);

/* When core_step(…, CORE_IN_TIMER) must next be called; INT64_MAX for never. */
int64_t core_next_deadline_us(const core_t *core);

/* -- looking in ---------------------------------------------------------------------------------- */
typedef struct {
    uint64_t sessions, subscriptions, services;
    uint64_t queues, messages_visible, messages_in_flight, messages_delayed;
    uint64_t messages_lost; /* of these: a repair of the journal had to give their bytes up */
    uint64_t published, sent, delivered, acked, released, rejected, dead_lettered, redriven, expired, dropped,
        duplicates;
    uint64_t calls, calls_failed, calls_running, calls_waiting;
    uint64_t scheduled;                                                         /* messages of schedules */
    uint64_t permits_granted, permits_returned, permits_empty, permits_waiting; /* tokens twice, requests twice */
    uint64_t refused;                                                           /* frames answered with ERROR */
    uint64_t producers, producers_forgotten;
    uint64_t dedup_keys; /* of buses, remembered now */
    uint64_t topology_version;
} core_stats_t;

void core_stats(const core_t *core, core_stats_t *out);

typedef struct {
    const char *name;
    uint64_t visible, in_flight, delayed;
    uint64_t lost;     /* of all these: as in core_stats_t */
    int64_t oldest_us; /* when the oldest visible message was sent; 0 for none */
    bool is_fifo;
    uint64_t groups_blocked, tenants_noisy;
    /* since the start: too old, taken by move tasks, accepted before, RECEIVEs answered with nothing */
    uint64_t expired, redriven, deduplicated, empty_receives;
} core_queue_stats_t;

/* Calls `each` for every queue. For metrics. */
void core_each_queue(const core_t *core, void (*each)(void *ctx, const core_queue_stats_t *queue), void *ctx);

typedef struct {
    const char *name;
    uint64_t available, waiting, granted, returned; /* tokens, but for waiting: requests */
} core_bucket_stats_t;

/* Calls `each` for every bucket of permits. For metrics. */
void core_each_bucket(const core_t *core, void (*each)(void *ctx, const core_bucket_stats_t *bucket), void *ctx);

/* The queue's name by its incarnation (as in a SEND record), for WIRE delivery.source; "" for a queue that is
 * no more. Lives until the next core_step. */
const char *core_queue_name(const core_t *core, uint64_t incarnation);

/* A number over all durable state: equal for the core that wrote a journal and one that has applied it, at the
 * same time. For the simulator and for tests. */
uint64_t core_digest(const core_t *core);

/* Counts everything again that is kept by counting: states, chains, groups, timers, tables, windows. False (INTERNAL)
 * names the first that does not agree. For tests and for the simulator; a live broker does it in slices (check.h). */
MUST_USE bool core_check(const core_t *core, error_t *err);

/* Oldest record that a live subscription behind the head may still be shown: never further back than the lag that is
 * allowed. UINT64_MAX when there is none. What queues need: snapshot.h. */
uint64_t core_oldest_followed(const core_t *core);

#endif
