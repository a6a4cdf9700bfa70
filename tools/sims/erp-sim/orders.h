/* orders.h: the order system (REST, pages) and the payment gateway behind the same simulator.
 *
 * Customers cust-0001 to cust-9999 have up to six orders each, always the same; every order that was paid has a
 * payment. Refunds are kept in memory.
 *
 *   GET  /api/v2/orders?customer=…&limit=…&pageToken=…  newest first; limit 1 to 100, default 20
 *   GET  /api/v2/orders/{orderNo}
 *   GET  /v1/payments/{id}
 *   POST /v1/payments/{id}/refunds   Idempotency-Key; {"amount": yen, "reason": "…"}, amount absent: the rest
 */
#ifndef ERP_SIM_ORDERS_H
#define ERP_SIM_ORDERS_H

#include "tools/sims/erp-sim/catalogue.h"

#define SIM_CUSTOMERS 9999
#define SIM_ORDERS_PER_CUSTOMER 6
#define SIM_ORDER_LIMIT_MAX 100
#define SIM_REFUNDS_MAX 4096
#define SIM_REST_BODY_MAX_BYTES 65536

typedef struct sim_orders sim_orders_t;

MUST_USE sim_orders_t *sim_orders_new(const sim_catalogue_t *catalogue, uint64_t seed);
void sim_orders_free(sim_orders_t **orders);

/* All append a JSON document to `out` and return the HTTP status. */
unsigned sim_orders_list(const sim_orders_t *orders, const char *customer, const char *limit, const char *page_token,
                         buf_t *out);
unsigned sim_orders_get(const sim_orders_t *orders, const char *order_no, buf_t *out);
unsigned sim_payment_get(const sim_orders_t *orders, const char *payment_id, buf_t *out);
unsigned sim_payment_refund(sim_orders_t *orders, const char *payment_id, const char *idempotency_key, bytes_t body,
                            buf_t *out);

#endif
