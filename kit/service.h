/* service.h: the chassis: what makes a table and a few handlers a process.
 *
 * service_main reads the configuration, migrates the database, starts the loop, HTTP (/metrics, /healthz,
 * /readyz), the database pool, the bus session, calls, queues and subscriptions, runs, and on SIGTERM drains:
 * stops taking work, finishes or releases what is in flight, exits 0 within MANGABUS_DRAIN. The verbs
 * `--help`, `--version` and `healthcheck` (exit 0 when /readyz answers 200) come with it.
 *
 * Exit codes: 0 ended as asked, 64 wrong usage, 69 a needed service could not be reached, 78 wrong
 * configuration (sysexits.h), 70 a bug. */
#ifndef KIT_SERVICE_H
#define KIT_SERVICE_H

#include "kit/bus.h"
#include "kit/config.h"
#include "kit/http_client.h"
#include "kit/log.h"
#include "kit/metrics.h"
#include "kit/pg.h"

typedef struct service service_t;

typedef struct {
    const char *method;
    uint64_t capacity; /* at once; 0: 64 */
    bus_request_fn fn; /* ctx: the app */
} service_call_t;

typedef struct {
    const char *queue;
    uint64_t messages;     /* at once in hand; 0: 16 */
    int64_t visibility_ms; /* 0 or -1: the queue's own */
    int64_t hold_max_ms;   /* a handler may hold a message for so long; 0: 12 h; -1: its visibility is not extended */
    bus_delivery_fn fn;    /* ctx: the app */
} service_queue_t;

typedef struct {
    const char *bus;
    const char *pattern;
    bool live_only;
    bus_delivery_fn fn; /* ctx: the app */
    void (*on_gap)(void *ctx, uint64_t from, uint64_t next);
} service_listen_t;

typedef struct {
    const char *name;   /* "chat-router": also the role and the schema (with _); the producer is the instance */
    const char *doc;    /* one sentence for --help */
    uint16_t http_port; /* default; when it was not set explicitly and is taken, any free one is used */

    config_table_t config; /* of its own; common variables are the chassis's */
    size_t settings_bytes; /* of the struct that `config` describes; zeroed, passed to start */

    const service_call_t *calls;
    size_t call_count;
    const service_queue_t *queues;
    size_t queue_count;
    const service_listen_t *listens;
    size_t listen_count;

    const pg_migration_t *migrations; /* NULL: no database */
    size_t migration_count;

    /* Makes the app; called once, before work comes. NULL with `err` set ends the process (78). */
    void *(*start)(service_t *service, void *settings, error_t *err);
    /* True when it can do its work; else *why is one sentence. NULL: always. The chassis adds bus and database. */
    bool (*is_ready)(void *app, const char **why);
    /* Frees the app; may be NULL. Called last: HTTP client, database and bus have ended all that was under way (with
     * CANCELLED, where need be) and are gone. */
    void (*stop)(void *app);
    /* Other paths than /metrics, /healthz, /readyz; may be NULL (404). */
    void (*on_http)(void *app, http_request_t *request);
} service_def_t;

/* Never returns before the process is to end: `return service_main(&def, argc, argv);`. */
int service_main(const service_def_t *def, int argc, char **argv);

const char *service_instance(const service_t *service); /* chat-router-3fa9c1 */
loop_t *service_loop(service_t *service);
bus_t *service_bus(service_t *service);
pg_t *service_pg(service_t *service); /* NULL without migrations */
http_client_t *service_http(service_t *service);
metrics_t *service_metrics(service_t *service);

#endif
