/* sim_internal.h: the simulator's state, shared by its few sources. */
#ifndef BEDROCK_SIM_SIM_INTERNAL_H
#define BEDROCK_SIM_SIM_INTERNAL_H

#include "proto/arena.h"
#include "tools/sims/bedrock-sim/claude.h"
#include "tools/sims/bedrock-sim/model.h"
#include "tools/sims/bedrock-sim/sim.h"

#define SIM_NAME_BYTES 64
#define SIM_NAMES_MAX 32 /* kinds of refusals that are counted by name */

/* What /sim/control can order to go wrong. Those from FAULT_STREAM_THROTTLING on begin well. */
typedef enum {
    FAULT_NONE,
    FAULT_THROTTLING,
    FAULT_NOT_READY,
    FAULT_INTERNAL,
    FAULT_UNAVAILABLE,
    FAULT_TIMEOUT,
    FAULT_MODEL_ERROR,
    FAULT_ACCESS_DENIED,
    FAULT_QUOTA,
    FAULT_HANG,              /* no answer at all, until the client goes */
    FAULT_STREAM_THROTTLING, /* an exception in mid-stream */
    FAULT_STREAM_ERROR,      /* likewise */
    FAULT_STREAM_CUT,        /* the body ends inside a frame */
    FAULT_STREAM_CORRUPT,    /* a frame's checksum is wrong */
} fault_t;

typedef struct {
    fault_t fault;
    int64_t count;              /* requests left to spoil */
    char model[SIM_NAME_BYTES]; /* part of a model id; "" for all */
} fault_order_t;

typedef struct {
    char name[SIM_NAME_BYTES];
    int64_t count;
} sim_count_t;

typedef struct {
    int64_t requests, invoked, streamed, embedded, cancelled, in_flight, in_flight_peak;
    int64_t input_tokens, output_tokens;
    sim_count_t refused[SIM_NAMES_MAX];
} sim_stats_t;

typedef struct exchange exchange_t;

struct sim {
    loop_t *loop;
    const sim_settings_t *settings;
    int64_t first_token_ms, embed_ms, rate_per_s; /* from the settings, until /sim/control says otherwise */
    double tokens_per_s;
    int64_t next_free_us; /* of the rate */
    fault_order_t order;
    sim_stats_t stats;
    exchange_t *live;
};

/* One request under way. */
struct exchange {
    sim_t *sim;
    exchange_t *next, *prev;
    http_request_t *request;
    loop_timer_t *timer;
    const model_t *model;
    fault_t fault;
    bool is_stream, has_begun;
    int64_t start_us, first_us; /* first_us: when the first piece went out */
    arena_t arena;
    buf_t body; /* the JSON request, as msgpack */
    buf_t text; /* Claude's answer */
    claude_answer_t answer;
    buf_t json;        /* of Titan */
    size_t sent_bytes; /* of answer.text */
};

/* Answers with an error as Bedrock writes it, and counts it by name. */
void sim_refuse(sim_t *sim, http_request_t *request, unsigned status, const char *name, const char *message);
/* Carries out what cannot be answered like any other request; false when there is no such fault here. */
bool sim_fault_refuse(sim_t *sim, http_request_t *request, fault_t fault);

/* Starts the exchange's clock: the answer follows when its time has come. */
void exchange_start(exchange_t *exchange, int64_t wait_ms);
void exchange_free(exchange_t *exchange);

void sim_control(sim_t *sim, http_request_t *request); /* POST /sim/control */
void sim_stats(sim_t *sim, http_request_t *request);   /* GET /sim/stats */
void sim_metrics(sim_t *sim, http_request_t *request); /* GET /metrics */

#endif
