/* state.h: what the core remembers; the inner header of broker/core, for its own modules alone.
 *
 * Two kinds of memory live here. What a restart must find again (queues and messages, sessions, producers,
 * deduplication, topology) changes only in the apply functions that ledger.c calls, in a live core and in
 * recovery alike. The rest (subscriptions, credit, services, calls) belongs to connections and is made
 * anew by those who connect. Things are numbered from 1; 0 is none. */
#ifndef BROKER_CORE_STATE_H
#define BROKER_CORE_STATE_H

#include "broker/core/attempt_table.h"
#include "broker/core/core.h"
#include "broker/core/dedup.h"
#include "broker/core/effects.h"
#include "broker/core/heap.h"
#include "broker/core/map.h"
#include "broker/core/memory.h"
#include "broker/core/queue_state.h"
#include "broker/core/slice.h"
#include "broker/rules/path.h"
#include "broker/rules/ruleset.h"
#include "broker/rules/timetable.h"
#include "broker/rules/transform.h"
#include "broker/rules/zones.h"
#include "kit/token_bucket.h"

#define US_PER_MS INT64_C(1000)
#define US_PER_S INT64_C(1000000)

/* -- schedules ------------------------------------------------------------------------------------ */
typedef enum { MISSED_ONCE, MISSED_NONE, MISSED_ALL } missed_t; /* what becomes of firings that were missed */

typedef struct {
    uint32_t id;
    char *name;
    /* durable */
    int64_t began_us; /* a rate counts from here */
    int64_t done_us;  /* what was due up to here is seen to */
    int64_t fired_us; /* newest moment that it fired for; 0: none yet */
    uint64_t fired;   /* record of that */
    /* of the document */
    char *expression, *zone_name, *queue;
    char *group; /* MessageGroupId for a FIFO queue; empty: none */
    bool is_enabled;
    missed_t missed;
    buf_t input; /* the message, msgpack; empty: an event */
    /* ready to be asked; not durable */
    timetable_t timetable;
    zone_t *zone;
    bool is_sound;   /* expression and zone are known here */
    bool is_waiting; /* for room */
    int64_t next_us; /* when to look at it; TIMETABLE_NEVER */
    uint32_t heap_at;
} schedule_t;

typedef struct {
    pool_t all;
    map_t by_name;
    heap_t timers;        /* those armed */
    const zones_t *zones; /* NULL: UTC alone */
} schedules_t;

/* -- replays -------------------------------------------------------------------------------------- */
typedef enum {
    REPLAY_RUNNING = 1,
    REPLAY_PAUSED = 2,
    REPLAY_COMPLETED = 3,
    REPLAY_CANCELLED = 4,
    REPLAY_FAILED = 5,
} replay_state_t;

typedef struct {
    uint64_t queue; /* incarnation */
    uint64_t count;
} replay_count_t;

/* As read from its settings; slices point into `map`. */
typedef struct {
    buf_t map; /* msgpack */
    bytes_t archive, bus, to, rules;
    pattern_t *pattern; /* NULL: every event */
    bytes_t *ids;
    uint32_t id_count;
    int64_t from_us, until_us; /* 0: none */
    uint64_t speed_permille;   /* of the original pace; 0: full */
    uint64_t rate;             /* events a second; 0: no bound */
} replay_settings_t;

typedef struct {
    uint32_t id;
    char *name;
    bool is_dry;     /* counts alone; not durable, as nothing of it is */
    uint64_t number; /* of the record that began it: what comes behind is not replayed */
    char *json;      /* settings as they were journaled */
    replay_settings_t settings;
    replay_state_t state;
    uint64_t position; /* next record to replay; 0: by settings.from_us */
    int64_t began_us, ended_us;
    uint64_t replayed, deliveries, refused;
    char *why;              /* failed; else NULL */
    replay_count_t *counts; /* deliveries by queue, in the order in which they first got one */
    uint32_t count_count;
    /* not durable */
    uint64_t scan;                       /* number of the reading under way; 0: none */
    uint64_t refused_now;                /* with those that no record tells of yet */
    uint64_t looked;                     /* next record that was not looked at */
    int64_t seen_us;                     /* ingest time of the newest event that was looked at */
    int64_t timer_us;                    /* when to go on */
    int64_t noted_us;                    /* when its position was journaled last */
    int64_t due_ns;                      /* with a rate: when the next one is due */
    int64_t anchor_us, anchor_ingest_us; /* with a speed: an event of then was due at */
    const char *waits;                   /* for what; NULL: it does not */
    bool is_sated, is_at_end;            /* of the slice */
    pattern_t *archive_pattern;          /* as the topology of `version` has it */
    uint64_t version;
} replay_t;

typedef struct {
    pool_t all;
    uint64_t scans;   /* numbers given out */
    uint32_t running; /* how many */
    uint32_t recent;  /* found last by name */
} replays_t;

/* -- sessions and what they hold ------------------------------------------------------------------ */
typedef enum {
    SESSION_LIVE, /* has a connection */
    SESSION_LOST, /* silent or cut off; may resume until its grace is over */
} session_state_t;

typedef struct {
    uint32_t id;
    uint64_t number;
    char *name;
    uint8_t resume[CORE_RESUME_BYTES];
    session_state_t state;
    bool has_served; /* on this connection */
    bool is_silent;  /* lost, and for so long that its calls were given up */
    uint64_t peer;   /* 0 when lost */
    int64_t heard_us;
    int64_t timer_us;
    uint32_t heap_at;
    uint64_t producer, epoch; /* 0: none */
    chain_t held;             /* messages in flight */
    ids_t subs;
    ids_t receives; /* waiting ones, of this connection */
    ids_t permits;  /* the same */
    ids_t serves;
    uint32_t calls_made, calls_run; /* first of each list of calls */
    uint32_t calls_open;
    uint64_t calls_newest; /* highest number of its calls that came for the first time, to this broker */
    int64_t probed_us;     /* last PING to it as a worker */
} session_t;

typedef struct {
    pool_t all;
    map_t by_peer, by_name, by_number;
    heap_t timers;
    uint64_t newest; /* number */
} sessions_t;

/* -- producers ------------------------------------------------------------------------------------ */
typedef struct {
    uint64_t seq, record;
} producer_answer_t;

typedef struct {
    uint32_t id;
    uint64_t number;
    char *name;
    uint64_t epoch;
    uint64_t newest;            /* highest sequence accepted */
    producer_answer_t *answers; /* at seq % window; NULL before the first */
    uint32_t older, newer;      /* by last use */
    uint32_t sessions;          /* that publish as it; not durable */
} producer_t;

typedef struct {
    pool_t all;
    map_t by_name, by_number;
    uint64_t newest; /* number */
    uint32_t oldest_used, newest_used;
} producers_t;

/* -- subscriptions -------------------------------------------------------------------------------- */
typedef enum {
    CURSOR_HEAD,     /* has seen every record; fed as records are made */
    CURSOR_BEHIND,   /* out of credit at `next` */
    CURSOR_SCANNING, /* a scan under way */
} cursor_state_t;

typedef struct {
    uint32_t id;
    uint32_t session;
    uint64_t number; /* the client's */
    uint64_t kind;   /* WIRE_SUBSCRIBE_… */
    int64_t credit_messages, credit_bytes;
    /* queue */
    uint32_t queue;
    int64_t visibility_us; /* -1: the queue's */
    /* bus */
    uint32_t bus; /* 0: all */
    char *name;
    pattern_t *pattern; /* NULL: everything */
    bool live_only;
    bool was_at_head; /* then the lag is bounded */
    cursor_state_t state;
    uint64_t next; /* first record not looked at; 0: by since_us */
    int64_t since_us;
    uint64_t scan; /* number of the scan under way */
} sub_t;

typedef struct {
    pool_t all;
    map_t by_number; /* (session, number) */
    ids_t cursors;   /* bus subscriptions */
    uint64_t scans;  /* numbers given out */
} subs_t;

/* -- receives ------------------------------------------------------------------------------------- */
typedef struct {
    uint32_t id;
    uint32_t session, queue;
    uint64_t seq; /* of the frame that asked */
    uint32_t most;
    int64_t visibility_us; /* -1: the queue's */
    int64_t timer_us;      /* when the wait is over */
    uint32_t heap_at;
    uint32_t prev, next; /* in the queue's line */
    bool digests;        /* with MD5 sums */
    buf_t select;        /* names of attributes wanted, a msgpack array; empty: all */
    buf_t attempt;       /* ReceiveRequestAttemptId; empty: none */
} receive_t;

typedef struct {
    pool_t all;
    heap_t timers;
} receives_t;

/* -- calls ---------------------------------------------------------------------------------------- */
typedef enum {
    CALL_WAITING, /* for a worker */
    CALL_RUNNING, /* at a worker */
    CALL_DONE,    /* answered; the final reply is kept for a while */
} call_state_t;

typedef struct {
    uint32_t id;
    char *caller;
    uint64_t number;
    uint32_t method; /* 0: not known, claimed by a worker after a restart */
    call_state_t state;
    bool is_idempotent, is_stream;
    bool is_held;     /* waiting: for a worker that runs it since before the restart; none else may begin it */
    bool is_unsure;   /* running: its worker's connection was lost, and it has not said yet that it goes on */
    uint32_t session; /* caller's; 0: has not asked again since the restart */
    uint32_t worker;  /* its session */
    uint32_t serve;   /* where it counts as running; 0: nowhere */
    uint64_t wanted;  /* first chunk that the caller wants */
    uint64_t chunk;   /* next expected from the worker */
    int64_t deadline_us;
    int64_t wait_until_us; /* waiting: for a worker to appear; held: for it to claim the call */
    int64_t probe_us;      /* running: when to look whether the worker is still there */
    int64_t timer_us;
    uint32_t heap_at;
    uint32_t prev, next;           /* waiting: in the method's list; done: in the list of kept ones */
    uint32_t made_prev, made_next; /* in the caller's list */
    uint32_t run_prev, run_next;   /* in the worker's list */
    buf_t request;                 /* attributes, then body: while it may have to be dispatched (again) */
    size_t attrs_len;              /* of them */
    buf_t final;                   /* done: the REPLY frame */
    uint64_t answered_by;          /* done: number of the session that made it, 0 for the broker */
} call_t;

typedef struct {
    uint32_t id;
    uint32_t session;
    uint32_t method;
    uint64_t capacity, running;
} serve_t;

typedef struct {
    uint32_t id;
    char *name;
    ids_t serves;
    uint32_t turn;
    uint32_t head, tail, waiting;
    uint32_t users; /* serves, and calls not done */
} method_t;

typedef struct {
    pool_t all, serves, methods;
    map_t by_identity, methods_by_name;
    heap_t timers;
    uint32_t kept_head, kept_tail; /* done ones, oldest first */
    uint32_t kept;
    size_t kept_bytes;
    uint64_t running, waiting;
} calls_t;

/* -- permits -------------------------------------------------------------------------------------- */
#define PERMIT_CLASSES 3 /* live, normal, batch */

typedef struct {
    uint32_t id;
    uint32_t session, bucket, line;
    uint64_t seq; /* of the frame that asked */
    uint32_t tokens;
    int64_t asked_us, timer_us;
    uint32_t heap_at;
    uint32_t prev, next; /* in its line */
} permit_request_t;

/* What one session has waiting in one class of a bucket; lines take turns. */
typedef struct {
    uint32_t id;
    uint32_t session, bucket, class;
    chain_t requests;
    uint32_t prev, next; /* in the class's line of lines */
} permit_line_t;

typedef struct {
    uint64_t session; /* number; 0: given back, and nobody's yet */
    int64_t until_us;
    uint32_t tokens; /* that may still be given back */
} permit_grant_t;

#define PERMIT_SPARES_MAX 64 /* permits given back that nobody has asked for yet; more are lost */

typedef struct {
    uint32_t id;
    char *name;
    token_bucket_t pace; /* moments are Unix nanoseconds */
    uint32_t burst;
    int64_t expiry_us;
    int64_t horizon_us; /* durable: nothing was granted beyond */
    permit_grant_t spares[PERMIT_SPARES_MAX];
    uint32_t spare_count;
    chain_t lines[PERMIT_CLASSES];
    uint32_t waiting[PERMIT_CLASSES];
    int64_t timer_us; /* when somebody waits: the next token */
    uint32_t heap_at;
    permit_grant_t *grants; /* ring, capacity a power of two; permit n is at n - oldest_grant */
    uint32_t first_grant, grant_count, grant_cap;
    uint64_t oldest_grant;
    uint64_t granted, returned;
} bucket_t;

typedef struct {
    pool_t buckets, requests, lines;
    map_t by_name, lines_by_key;
    heap_t due;      /* buckets */
    heap_t timeouts; /* requests */
} permits_t;

/* -- buses and topology ---------------------------------------------------------------------------- */
#define TOPOLOGY_BY_BYTES 256u /* of who applied one */

typedef struct {
    uint64_t queue; /* incarnation; 0: disabled, nothing goes there, or it is a bus */
    uint32_t bus;   /* 0: disabled, or it is a queue */
    char *id;
    uint32_t name;          /* names: bus/rule/target */
    char *group;            /* MessageGroupId for a FIFO queue; empty: none */
    path_t *group_path;     /* instead: where it stands in the event; NULL: nowhere */
    transform_t *transform; /* NULL: the event itself */
} target_t;

typedef struct {
    char *name;
    char *bus;
    char *pattern; /* JSON */
    pattern_options_t options;
    bytes_t given; /* in topology_t.document */
    bool is_enabled;
    target_t *targets;
    uint32_t target_count;
} rule_t;

typedef struct {
    uint32_t id;
    char *name;
    bool is_removed; /* no longer in the topology; kept, for it may come back */
    int64_t dedup_window_us;
    dedup_t dedup;
    ruleset_t *rules; /* NULL: none */
} bus_t;

typedef struct {
    uint64_t version; /* 0: none yet */
    char sha256[65];
    char file_sha256[65]; /* of the file given at the newest start: it is not taken again over what came later */
    char by[TOPOLOGY_BY_BYTES + 1];
    int64_t applied_us;
    buf_t json;     /* as it came */
    buf_t document; /* the same in msgpack */
    rule_t *rules;
    uint32_t rule_count;
} topology_t;

/* -- of a step ------------------------------------------------------------------------------------- */
/* Answers with a list, kept because a list is large: made anew for each frame, zeroing it would cost more than the rest
 * of a small answer. Only the items that are counted are written, and only these are read. */
typedef union {
    wire_published_t published; /* and SENT */
    wire_settled_t settled;
} core_answers_t;

/* -- all of it ------------------------------------------------------------------------------------- */
struct core {
    core_limits_t limits;
    char *broker_name, *version;
    int64_t now_us, start_us;
    uint64_t next_seq;
    uint64_t must_sync; /* newest record that answers must wait for */
    bool is_stopping;
    /* Of a journal that was repaired: records up to `lost_until` may speak of what is lost (ledger_forgives). */
    uint64_t lost_until, lost_records, misfits;
    core_stats_t stats;

    messages_t messages;
    pool_t queues;
    map_t queues_by_name, queues_by_incarnation;
    uint32_t newest_fed;   /* queue that the newest event came to: often the next one's; where to look first */
    uint64_t newest_queue; /* incarnation */
    dedup_t deleted;       /* names of queues that were deleted within QUEUE_DELETED_WINDOW_US */
    ids_t touched;         /* queues that may have something to deliver */
    ids_t unfinished;      /* queues to be looked at again in the next step */
    ids_t condemned;       /* queues, the one that is being emptied first */
    uint32_t swept;        /* messages looked at to empty it */
    tasks_t tasks;
    schedules_t schedules;
    replays_t replays;
    pool_t names; /* char *, never forgotten: few */
    map_t names_by_text;
    uint32_t newest_name; /* asked for; where to look first */
    sessions_t sessions;
    producers_t producers;
    subs_t subs;
    receives_t receives;
    attempts_t attempts;
    calls_t calls;
    permits_t permits;
    slice_state_t slice, wake_slice;
    int64_t wake_until_us; /* delayed messages of later moments are not woken; INT64_MAX: no bound (wake.h) */
    pool_t buses;
    map_t buses_by_name;
    topology_t topology;

    /* of the step */
    const core_input_t *input;
    core_effects_t *out;
    record_t *record; /* being written, see ledger.h */
    core_answers_t *answers;
    ids_t scratch; /* for lists within one function */
};

#endif
