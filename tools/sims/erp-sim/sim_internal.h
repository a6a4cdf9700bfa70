/* sim_internal.h: what the simulator's sources share: its state, and how an answer leaves. */
#ifndef ERP_SIM_SIM_INTERNAL_H
#define ERP_SIM_SIM_INTERNAL_H

#include "tools/sims/erp-sim/credentials.h"
#include "tools/sims/erp-sim/gate.h"
#include "tools/sims/erp-sim/latency.h"
#include "tools/sims/erp-sim/orders.h"
#include "tools/sims/erp-sim/sim.h"
#include "tools/sims/erp-sim/soap_service.h"

#define SIM_BODY_MAX_BYTES ((size_t)1 << 20)

typedef struct answer sim_answer_t;

typedef enum { SIM_ERP, SIM_ORDERS, SIM_PAYMENTS, SIM_BACKENDS } sim_backend_t;

typedef struct {
    uint64_t single, batch, page, product, other; /* of the ERP, by operation */
    uint64_t isbns;                               /* in batches */
    uint64_t faults, injected, while_down;
} sim_stats_t;

struct sim {
    loop_t *loop;
    const sim_settings_t *settings;
    sim_catalogue_t *catalogue;
    sim_stock_book_t *stock;
    sim_orders_t *orders;
    sim_text_t *text;
    sim_guard_t *guard;
    sim_gate_t *gates; /* SIM_BACKENDS */
    sim_latency_t latency;
    double fault_rate;
    bool is_down;
    sim_stats_t stats;
    sim_answer_t *waiting; /* answers whose time has not come */
};

/* Sends `body` (taken over) after the time that latency draws; `is_prompt`: at once. */
void sim_answer(sim_t *sim, http_request_t *request, unsigned status, const char *content_type, buf_t *body,
                bool is_prompt);

void sim_handle_control(sim_t *sim, http_request_t *request);
void sim_handle_stats(sim_t *sim, http_request_t *request);
void sim_handle_metrics(sim_t *sim, http_request_t *request);

/* Applies one control document; false with what is wrong, and then nothing of it was applied but stock entries
 * before the wrong one. */
MUST_USE bool sim_control_apply(sim_t *sim, bytes_t json, error_t *err);
void sim_stats_write(const sim_t *sim, buf_t *out);

#endif
