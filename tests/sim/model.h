/* model.h: the rules of queues, buses and producers once more, as simply as they can be said: the judge of a run.
 *
 * It is told every record that the core writes, in order, every settlement that a client asks for, and every frame
 * that leaves the broker. It shares no code with the core: plain arrays, searched from end to end. After a crash it
 * is told the records that were recovered: they must be a prefix of what was written, and hold all that anybody
 * outside was told. Whatever does not follow from the rules is a violation in its trace. */
#ifndef TESTS_SIM_MODEL_H
#define TESTS_SIM_MODEL_H

#include "broker/core/core.h"
#include "tests/sim/trace.h"

#define MODEL_QUEUES 5
#define MODEL_DEAD 4 /* the dead letters */
#define MODEL_DEDUP_WINDOW_US INT64_C(20000000)
#define MODEL_KEY_BYTES 24
#define MODEL_ASKED_VISIBILITY_MS 2000 /* what a RECEIVE may ask for instead of its queue's */
#define MODEL_LAG_RECORDS 60           /* behind this a live subscription may get a GAP */

/* The queues of the topologies below, by name. */
typedef struct {
    const char *name;
    int64_t visibility_us, delay_us;
    int64_t oldest_us; /* by MaximumEventAge or retention, whichever comes first */
    uint32_t max_receives;
    int dead; /* index of its dead-letter queue; -1: none */
} model_rule_t;
extern const model_rule_t model_rules[MODEL_QUEUES];

/* Two versions of the desired state that send the same events to other queues. */
#define MODEL_TOPOLOGIES 2
const char *model_topology(int which);

typedef struct { /* one record of the log */
    uint64_t seq;
    int64_t ingest_us;
    uint32_t sum;
    record_kind_t kind;
    uint64_t must_sync; /* newest record before or at this one that answers wait for */
    uint64_t token;     /* PUBLISH, SEND: what the client wrote into the body */
    uint64_t producer, producer_seq;
    bool is_shop;   /* PUBLISH: on that bus, and not addressed to one queue */
    bool is_replay; /* PUBLISH */
    char key[MODEL_KEY_BYTES];
} model_record_t;

typedef struct {
    uint64_t record;
    int queue;
    int64_t sent_us, visible_us; /* in flight: until then invisible */
    uint32_t receives;
    bool in_flight;
    uint64_t session;
    int from; /* queue that a dead letter left; -1: it is none */
} model_message_t;

typedef struct { /* a move task */
    uint64_t number;
    int source;
    uint64_t per_second, wanted, moved;
    bool is_running;
    int64_t second_us; /* when the second began in which `in_second` were moved */
    uint64_t in_second;
} model_task_t;

#define MODEL_SCHEDULES 3

typedef struct {
    bool is_there;
    int64_t began_us, done_us;
} model_schedule_t;

#define MODEL_REPLAY_NAME_BYTES 24
#define MODEL_REPLAY_RUNNING 1
#define MODEL_REPLAY_PAUSED 2
#define MODEL_REPLAY_COMPLETED 3

typedef struct { /* a replay of the bus shop */
    char name[MODEL_REPLAY_NAME_BYTES];
    uint64_t number; /* what came behind this record is not replayed */
    uint64_t newest; /* event that it brought */
    uint64_t state;
} model_replay_t;

typedef struct { /* a settlement that a client asked for */
    uint64_t queue, record, receives, action;
    int64_t delay_ms;
} model_asked_t;

typedef struct { /* a message handed out, by a DELIVERED record */
    uint64_t queue, record, receives, log;
} model_delivery_t;

typedef struct { /* something a client was told, for good */
    uint64_t record, token;
    char key[MODEL_KEY_BYTES];
    uint64_t acked_queue; /* not 0: (acked_queue, record) was acknowledged */
} model_claim_t;

#define MODEL_ARRAY(type)                                                                                              \
    struct {                                                                                                           \
        type *items;                                                                                                   \
        size_t count, cap;                                                                                             \
    }

typedef struct {
    trace_t *trace;
    MODEL_ARRAY(model_record_t) log;
    MODEL_ARRAY(model_record_t) before; /* the log as it was written before the crash */
    MODEL_ARRAY(model_message_t) messages;
    MODEL_ARRAY(model_asked_t) asked;
    MODEL_ARRAY(model_delivery_t) deliveries;
    MODEL_ARRAY(model_claim_t) claims;
    MODEL_ARRAY(model_task_t) tasks;
    MODEL_ARRAY(model_replay_t) replays;
    MODEL_ARRAY(uint64_t) sessions; /* alive */
    uint64_t queues[MODEL_QUEUES];  /* incarnations */
    int topology;                   /* -1: none yet */
    uint64_t witnessed;             /* newest record that somebody outside relies on */
    bool may_be_purged[MODEL_QUEUES];
    int64_t purged_us[MODEL_QUEUES]; /* newest; 0: never */
    bool may_be_redriven, may_be_picked, may_be_cancelled;
    uint64_t redriven, tasks_ended;
    uint64_t picked;             /* moved or discarded one by one */
    uint64_t topologies_applied; /* at a client's asking */
    model_schedule_t schedules[MODEL_SCHEDULES];
    uint64_t scheduled;
    uint64_t replayed, replays_completed;
    uint64_t purged;                                        /* messages */
    uint64_t dead_lettered, dropped, redelivered, returned; /* so that a test can see that these happen */
} model_t;

void model_init(model_t *model, trace_t *trace);
void model_free(model_t *model);

/* Folds one record in; `sum` is a checksum of its bytes. */
MUST_USE bool model_fold(model_t *model, const record_t *record, uint32_t sum);
/* Before the records that were recovered are folded in, and after. */
void model_forget(model_t *model);
MUST_USE bool model_recovered(model_t *model);

/* A SETTLE frame reaches the broker. */
void model_ask(model_t *model, const wire_settle_t *settle);
/* A client relies on this record having this token (or, when given, this deduplication key). */
MUST_USE bool model_claim(model_t *model, uint64_t record, uint64_t token, const char *key);
MUST_USE bool model_claim_acked(model_t *model, bytes_t receipt);
/* Messages, or events (no receipts), leave the broker. */
MUST_USE bool model_delivers(model_t *model, const wire_delivery_t *items, uint32_t count);
/* A client asks that this queue be emptied. */
void model_ask_purge(model_t *model, int queue);
/* A client asks that the dead letters be redriven, or that the task which does it be cancelled. */
void model_ask_redrive(model_t *model);
void model_ask_pick(model_t *model);
/* A message that waits in the dead-letter queue, the `nth` of them; 0: there are not so many. */
uint64_t model_dead_letter(const model_t *model, uint64_t nth);
void model_ask_cancel(model_t *model);
uint64_t model_task_running(const model_t *model); /* its number; 0 for none */
/* One of the replays; NULL for none. */
const model_replay_t *model_replay_any(const model_t *model, uint64_t dice);
bool model_replay_runs(const model_t *model);
/* Something leaves that relies on all must-sync records up to here. */
void model_witness(model_t *model, uint64_t seq);

/* Compares the core's counters with a recount, and that nothing stands over that was due. */
MUST_USE bool model_compare(model_t *model, const core_t *core, int64_t now_us);

/* That no firing stands over, on a disk that has room. */
MUST_USE bool model_schedules_are_done(model_t *model, int64_t now_us);

uint64_t model_newest(const model_t *model);
uint64_t model_must_sync(const model_t *model);
/* The first event of the bus behind `seq` and before `end`; 0 for none. */
uint64_t model_event_between(const model_t *model, uint64_t seq, uint64_t end);
const model_record_t *model_record(const model_t *model, uint64_t seq); /* NULL when there is none */
uint64_t model_token(bytes_t body);

#endif
