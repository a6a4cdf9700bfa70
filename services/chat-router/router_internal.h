/* router_internal.h: the desk's insides, shared by its sources. */
#ifndef CHAT_ROUTER_ROUTER_INTERNAL_H
#define CHAT_ROUTER_ROUTER_INTERNAL_H

#include "kit/parked.h"
#include "kit/swr_cache.h"
#include "services/chat-router/question.h"
#include "services/chat-router/router.h"
#include "services/chat-router/store.h"

typedef struct flight flight_t;
typedef struct asker asker_t;
typedef struct recall_slip recall_slip_t;

/* One request that waits for an answer. */
struct asker {
    asker_t *next;
    flight_t *flight;
    bus_request_t *request;
    char session_id[CONTRACT_ID_BYTES + 1], message_id[CONTRACT_ID_BYTES + 1], user_id[CONTRACT_ID_BYTES + 1];
    buf_t text;     /* as it was written, NFC */
    buf_t remember; /* key under which its answer is remembered; empty: not asked for */
    bool is_repeat; /* the same message, asked again while it is worked: not recorded twice */
    int64_t start_us;
};

/* One question that is worked, and all who wait for it. */
struct flight {
    flight_t *next, **back;
    router_t *router;
    question_t *question;
    asker_t *askers;
    question_kind_t kind;
    size_t limit;
    buf_t key; /* of the kept answer; empty: neither shared nor kept */
    int64_t deadline_us;
    bool is_tainted; /* stock changed while it was worked: not kept */
    loop_timer_t *timer;
    recall_slip_t *slip; /* of a question to the database that is under way */
};

struct router {
    service_t *service;
    router_settings_t settings;
    swr_cache_t *kept, *remembered;
    flight_t *flights;
    size_t flight_count, asker_count;
    loop_timer_t *prune_timer;
    parked_t *parked; /* model calls to be booked, while the database is away */
    metric_t *seconds, *evicted, *write_failures, *booked, *kept_entries, *running, *waiting;
};

/* -- desk_take.c … router.c -------------------------------------------------------------------------- */
/* Keeps it for now; what cannot be kept is not: a cache may forget. */
void cache_put(swr_cache_t *cache, const buf_t *key, const buf_t *value, const bytes_t *tags, size_t tag_count);
/* What every flight begins with; NULL with `err` when there are too many, or memory is short. */
flight_t *flight_new(router_t *router, const question_input_t *input, error_t *err);
/* Adds the asker, who hears what was said so far. */
void flight_join(flight_t *flight, asker_t *asker);
void flight_free(flight_t *flight);
void asker_free(asker_t *asker);

/* -- router_record.c --------------------------------------------------------------------------------- */
/* Publishes MessageReceived, and writes the message behind the answer. `response` is what the asker got. */
void record_message(router_t *router, const asker_t *asker, const chat_send_response_t *response);
void record_count(router_t *router, bytes_t intent, bool is_cached, bool is_degraded, int64_t latency_us);

#endif
