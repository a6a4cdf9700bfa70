/* orders.h: the order system: one order, or a customer's, in the house's terms. */
#ifndef ACL_ERP_ORDERS_H
#define ACL_ERP_ORDERS_H

#include "services/acl-erp/rest.h"

/* Both: NULL when it could not be asked. The document is what translate_order and translate_orders read. */
MUST_USE backend_job_t *orders_ask_one(backend_t *orders, bytes_t order_id, int64_t deadline_us, rest_fn fn, void *ctx,
                                       error_t *err);
MUST_USE backend_job_t *orders_ask_list(backend_t *orders, bytes_t customer_id, bytes_t cursor, int64_t page_size,
                                        int64_t deadline_us, rest_fn fn, void *ctx, error_t *err);

#endif
