/* sim.h: the simulated backends behind one port: the ERP (SOAP), the order system and the payment gateway (REST).
 *
 *   POST /soap/inventory         the ERP; 50 requests a second, the next is refused with 503 and a fault E503
 *   GET  /api/v2/orders[/…]      the order system; 200 a second, then 429
 *   GET/POST /v1/payments/…      the payment gateway; 100 a second, then 429
 *   GET  /health                 the ERP's own probe; /healthz /readyz /metrics as every process has them
 *   GET  /sim/stats              what came, as JSON
 *   POST /sim/control            {"fault_rate", "latency_p50_ms", "latency_p99_ms", "down", "rate", "stock": [{"isbn",
 *                                "warehouse", "quantity"}], "reset_stats"}: any of them, from now on
 *
 * Answers leave after a time drawn from the seed's log-normal distribution; nothing blocks. */
#ifndef ERP_SIM_SIM_H
#define ERP_SIM_SIM_H

#include "kit/http_server.h"
#include "kit/loop.h"

typedef struct {
    char *listen; /* "127.0.0.1:7490" */
    char *log_level;
    char *catalogue; /* path of a TSV; empty for none */
    int64_t seed;
    int64_t rate, order_rate, payment_rate; /* a second */
    int64_t latency_p50_ms, latency_p99_ms;
    double fault_rate;
    char *user, *password, *token; /* empty: everybody may ask */
} sim_settings_t;

typedef struct sim sim_t;

/* `settings` must outlive the simulator. */
MUST_USE sim_t *sim_new(loop_t *loop, const sim_settings_t *settings, error_t *err);
/* Answers what still waits. Before the HTTP server is freed. */
void sim_free(sim_t **sim);

size_t sim_works(const sim_t *sim);
uint64_t sim_volumes(const sim_t *sim);

void sim_handle(void *sim, http_request_t *request); /* an http_handler_fn */

#endif
