/* router.h: the desk: takes questions from the bus, shares work and kept answers, and records what was said.
 *
 * One question that is asked by many at the same time is worked once, as long as nothing in it belongs to one
 * customer: who comes later gets what was said so far, then each further piece. (kit/single_flight tells its waiters a
 * result, not a stream, so the askers are listed here.) */
#ifndef CHAT_ROUTER_ROUTER_H
#define CHAT_ROUTER_ROUTER_H

#include "kit/service.h"

#define ROUTER_QUESTIONS_MAX 1000 /* at once; further ones are refused */

typedef struct {
    int64_t deadline_ms;
    int64_t cache_ttl_ms, cache_entries, cache_bytes;
    int64_t remember_ms, remember_entries;
    int64_t retention_ms;
} router_settings_t;

typedef struct router router_t;

MUST_USE router_t *router_new(service_t *service, const router_settings_t *settings, error_t *err);
void router_free(router_t **router);

/* Handlers of calls; ctx is the router. */
void router_on_chat(void *ctx, bus_request_t *request);
void router_on_search(void *ctx, bus_request_t *request);
void router_on_recommend(void *ctx, bus_request_t *request);
/* Of the queue MangaAssist-CallLedger, and of the bus manga-assist-inventory. */
void router_on_ledger(void *ctx, bus_delivery_t *delivery);
void router_on_inventory(void *ctx, bus_delivery_t *delivery);
void router_on_gap(void *ctx, uint64_t from, uint64_t next);

#endif
