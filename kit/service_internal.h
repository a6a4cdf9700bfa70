/* service_internal.h: the chassis in parts: life (service.c), verbs of the command line (service_verbs.c), the paths
 * that every process answers (service_http.c), what it counts (service_metrics.c). */
#ifndef KIT_SERVICE_INTERNAL_H
#define KIT_SERVICE_INTERNAL_H

#include <sysexits.h>

#include "kit/service.h"

#define SERVICE_NAME_BYTES 64
#define SERVICE_ROWS_MAX 16 /* of the chassis's own table */

/* What every process has. */
typedef struct {
    char *endpoint, *curve_dir, *http, *log_level, *state;
    int64_t drain_ms;
} service_common_t;

/* What those with a database have besides; the PG* that libpq reads by itself are listed for people. */
typedef struct {
    char *pghost, *pgport, *pguser, *pgpassword, *pgdatabase, *pgsslmode;
    int64_t connections, wait_ms;
} service_database_t;

/* The tables of one program and the structs that they fill. */
typedef struct {
    service_common_t common;
    service_database_t database;
    void *own;
    config_row_t common_rows[SERVICE_ROWS_MAX];
    char http_default[32];
    config_table_t tables[3];
    void *settings[3];
    size_t count;
} service_config_t;

typedef enum { SERVICE_STARTING, SERVICE_RUNNING, SERVICE_DRAINING } service_state_t;

struct service {
    const service_def_t *def;
    service_state_t state;
    char instance[SERVICE_NAME_BYTES + 8];
    char schema[SERVICE_NAME_BYTES];
    service_config_t config;
    loop_t *loop;
    loop_timer_t *drain_timer;
    metrics_t *metrics;
    metric_t *bus_up;
    bus_observer_t observer;
    http_server_t *http_server;
    http_client_t *http;
    pg_t *pg;
    bus_t *bus;
    void *app;
};

/* Fills in the tables for `def`; own settings are allocated. False when out of memory. */
MUST_USE bool service_config_init(service_config_t *config, const service_def_t *def);
void service_config_free(service_config_t *config);

/* True when the command line asked for something else than running; *exit_code says how it went. */
bool service_verb(const service_def_t *def, int argc, char **argv, int *exit_code);

/* http_handler_fn of every process. */
void service_http_handle(void *service, http_request_t *request);
/* Appends the reasons why it is not ready, as JSON strings with commas between; nothing when it is. */
void service_unready(const service_t *service, buf_t *out);

void service_metrics_start(service_t *service);

#endif
