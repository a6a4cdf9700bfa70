/* queue_state.h: what the core remembers of queues: messages, their groups, the queues, move tasks; the part of state.h
 * that is about them, included by it alone. */
#ifndef BROKER_CORE_QUEUE_STATE_H
#define BROKER_CORE_QUEUE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#include "broker/core/dedup.h"
#include "broker/core/heap.h"
#include "broker/core/map.h"
#include "broker/core/memory.h"
#include "broker/core/slab.h"
#include "proto/bytes.h"

/* -- messages ------------------------------------------------------------------------------------ */
typedef enum {
    MESSAGE_FREE,
    MESSAGE_VISIBLE,   /* in its queue's chain; timer: too old, which its queue says for all of them */
    MESSAGE_DELAYED,   /* not to be received yet; timer: visible */
    MESSAGE_IN_FLIGHT, /* in its session's chain; timer: visible again */
} message_state_t;

#define MESSAGE_NO_ROUTE 127u        /* the record's own body */
#define MESSAGE_BYTES_MASK 0x3FFFFFu /* RECORD_MAX_BYTES fits */
#define MESSAGE_DEAD_MASK 0x7FFFFFFFu
#define MESSAGE_RECEIVES_MAX 65535u     /* the count stands still there */
#define MESSAGES_MAX UINT32_C(16000000) /* in all queues: about 1 GB while they wait */
#define MESSAGE_IDS_MAX 65000u          /* queues, and sessions: their numbers have 16 bits */

/* One for each message and queue; bodies are in the journal. Its identity is (queue, record). Here is what every
 * message needs while it waits, for most of them do nothing else. */
typedef struct {
    uint64_t record;     /* PUBLISH, SEND or MOVE that put it here */
    int64_t sent_us;     /* retention counts from here */
    uint32_t prev, next; /* in the chain of its state */
    union {
        uint32_t heap_at; /* of its timer, or */
        uint32_t older;   /* in its queue's line by age; 0 and 0: in neither */
    };
    uint32_t newer; /* in the same line */
    uint32_t side;  /* message_side_t; 0: all of that is 0 */
    uint32_t bytes : 22;
    uint32_t state : 2;
    uint32_t route : 7;
    uint32_t is_lined : 1; /* visible: in the line by age, not in a heap */
    uint16_t queue;
    uint16_t session; /* who holds it */
    uint16_t receives;
    uint16_t rule; /* name of the rule that led here; 0 for none */
} message_t;

/* What few of the waiting ones have: those received, delayed, moved or with a group. */
typedef struct {
    int64_t timer_us;           /* delayed and in flight, see the states */
    uint32_t first_received_ms; /* after sent_us, plus 1; 0: never */
    uint32_t received_ms;       /* after sent_us: when the newest delivery began */
    uint32_t group;             /* group_t of its queue: FIFO's, or its tenant */
    uint32_t dead : 31;         /* dead_t, for what was moved here; 0: its record holds its bytes */
    uint32_t is_lost : 1;       /* lost.h; not durable */
} message_side_t;

typedef struct {
    uint32_t head, tail, count;
} chain_t;

/* What only moved messages need. */
typedef struct {
    uint64_t origin;       /* record that holds the bytes */
    uint64_t origin_queue; /* incarnation it was first in */
    uint32_t source;       /* names: queue it left */
    uint32_t reason;       /* names */
    uint32_t receives;     /* when it left */
    int64_t moved_us;
    bool is_redriven; /* by a move task: it is new where it is, and nobody's dead letter */
    char *detail;     /* NULL for none */
} dead_t;

typedef struct {
    slab_t all;   /* message_t */
    slab_t sides; /* message_side_t */
    wide_map_t by_identity;
    heap_t delayed; /* apart, because these come due without a record */
    heap_t late;    /* queues that have a line of delayed ones (late.h) */
    heap_t due;     /* deliveries run out */
    heap_t aging;   /* queues that have something visible, by their expiry_us */
    pool_t dead;
} messages_t;

/* -- groups: of a FIFO queue, where they keep an order; of another one they are its tenants ----------- */
typedef struct {
    uint64_t busy_ms; /* consumers' time spent on it, halved with each TENANT_RECENT_US that passes */
    int64_t since_us; /* from when the present share counts; 0: nothing was spent yet */
} busy_t;

typedef struct {
    uint32_t id; /* in its queue */
    char *name;
    uint32_t messages;   /* in all states */
    chain_t visible;     /* FIFO: by record */
    ids_t held;          /* FIFO: received and not settled: in flight, or released for later; by record */
    uint32_t prev, next; /* in the queue's line */
    bool is_ready;       /* FIFO: something may be delivered */
    /* tenants only; is_noisy, sent_us and busy are not durable */
    bool is_noisy;
    uint32_t in_flight;
    uint32_t heap_at;
    uint64_t first_key; /* of its first visible message: order among tenants */
    int64_t sent_us;    /* newest message that came */
    busy_t busy;
} group_t;

/* -- queues -------------------------------------------------------------------------------------- */
#define QUEUE_NAME_MAX_BYTES 80
#define REDRIVE_SOURCES_MAX 10 /* SQS: RedriveAllowPolicy */

typedef char queue_name_t[QUEUE_NAME_MAX_BYTES + 1];

typedef enum { REDRIVE_ALLOW_ALL, REDRIVE_DENY_ALL, REDRIVE_BY_QUEUE } redrive_permission_t;

typedef struct {
    int64_t visibility_us, delay_us, retention_us;
    int64_t max_age_us;      /* 0: none */
    int64_t receive_wait_us; /* of a RECEIVE that asks for the queue's own */
    uint64_t max_message_bytes;
    uint32_t max_receives; /* 0: no redrive policy */
    bool is_fifo;
    bool content_dedup;                      /* ContentBasedDeduplication */
    bool dedup_by_group;                     /* DeduplicationScope messageGroup */
    bool limited_by_group;                   /* FifoThroughputLimit perMessageGroupId: kept, nothing is throttled */
    queue_name_t dead_letters;               /* queue; empty: none */
    redrive_permission_t redrive_permission; /* whose dead letters it takes */
    uint32_t redrive_source_count;
    queue_name_t redrive_sources[REDRIVE_SOURCES_MAX];
} queue_attributes_t;

typedef struct { /* see core_queue_stats_t; not durable */
    uint64_t expired, redriven, deduplicated, empty_receives;
    uint64_t entered, left, delivered; /* messages, since this core knows them: for rates */
} queue_counts_t;

typedef struct {
    uint32_t id;
    uint64_t incarnation;
    char *name;
    bool from_topology;
    bool is_touched;   /* in core->touched */
    bool is_condemned; /* condemned.h: without a name, and soon no more */
    queue_attributes_t attributes;
    buf_t given;     /* attributes as they were set: one msgpack map */
    chain_t visible; /* count: of all; the chain: of those without a group */
    /* Visible ones, oldest first: those that count for people, in a line while they come in order and else in a heap,
     * and those received so often that they do not count. */
    chain_t lined;
    heap_t fresh, tired;
    chain_t late; /* FIFO: delayed and never received, the oldest first */
    int64_t late_us;
    int64_t expires_us; /* when the first of them is too old; INT64_MAX: nothing is visible */
    uint32_t aging_at, late_at;
    pool_t groups;
    map_t groups_by_name;
    chain_t ready;       /* FIFO: groups with something to deliver; else noisy tenants, the longest silent first */
    heap_t quiet, noisy; /* tenants with something to deliver */
    busy_t busy;
    uint32_t blocked; /* FIFO: groups with something received and not settled */
    dedup_t dedup;
    uint32_t in_flight, delayed, lost; /* lost: of all states, not durable */
    uint64_t bytes;
    int64_t purged_us; /* newest PURGE; 0: never */
    ids_t tasks;       /* move tasks that empty it, oldest first */
    ids_t subs;        /* consumers */
    chain_t receives;  /* RECEIVEs that wait, in their order */
    queue_counts_t counts;
    uint32_t sub_turn; /* whose turn it is: a subscription's, or behind the last that of the first RECEIVE */
} queue_t;

/* -- move tasks ----------------------------------------------------------------------------------- */
typedef enum { /* SQS's; CANCELLING, which is 3, is over in the same moment */
               TASK_RUNNING = 1,
               TASK_COMPLETED = 2,
               TASK_CANCELLED = 4,
               TASK_FAILED = 5,
} task_state_t;

typedef struct {
    uint32_t id;
    uint64_t number; /* of the record that began it */
    uint64_t source; /* incarnation */
    uint64_t to;     /* incarnation; 0: of each message the queue that it came from */
    uint32_t per_second;
    task_state_t state;
    int64_t began_us, ended_us;
    uint64_t wanted, moved;
    char *why;        /* failed; else NULL */
    int64_t timer_us; /* RUNNING: when it may move more; not durable */
    bool is_waiting;  /* RUNNING: for room on the disk; not durable */
    uint32_t heap_at;
} task_t;

typedef struct {
    pool_t all;
    map_t by_number;
    heap_t timers; /* RUNNING ones */
} tasks_t;

#endif
