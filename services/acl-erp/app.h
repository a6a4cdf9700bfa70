/* app.h: what all handlers of acl-erp share, and the frame in which each request is worked on. */
#ifndef ACL_ERP_APP_H
#define ACL_ERP_APP_H

#include "kit/service.h"
#include "proto/contract.h"
#include "services/acl-erp/erp.h"
#include "services/acl-erp/kept.h"

#define OP_HOPS_MAX 16
#define OP_ANSWER_MARGIN_MS 40 /* before the deadline: what is not there by then is answered from kept copies */
#define OP_LAST_MARGIN_MS 10   /* before the deadline: what is not there by then is not there */

typedef struct {
    char *erp_url, *erp_user, *erp_password, *erp_token, *soap, *erp_permits;
    char *orders_url, *payments_url;
    char *payments_ca, *payments_cert, *payments_key;
    int64_t erp_rate, erp_burst, erp_in_flight, erp_timeout_ms, erp_gather_ms, erp_gather_busy_ms, breaker_open_ms;
    int64_t orders_rate, payments_rate, rest_timeout_ms;
    int64_t kept_copies;
} app_settings_t;

typedef struct op op_t;

typedef struct {
    service_t *service;
    bus_t *bus;
    erp_t *erp;
    backend_t *orders, *payments;
    kept_t *kept;
    metric_t *stale_answers;
    op_t *ops; /* all that are worked on */
} app_t;

/* See service_def_t: an app_t from app_settings_t. */
void *app_start(service_t *service, void *settings, error_t *err);
void app_stop(void *app);

/* Handlers, for the table of calls; ctx is the app. */
void handle_stock_get(void *ctx, bus_request_t *request);
void handle_stock_batch(void *ctx, bus_request_t *request);
void handle_catalog_page(void *ctx, bus_request_t *request);
void handle_product_summary(void *ctx, bus_request_t *request);
void handle_order_get(void *ctx, bus_request_t *request);
void handle_order_list(void *ctx, bus_request_t *request);
void handle_payment_get(void *ctx, bus_request_t *request);
void handle_payment_refund(void *ctx, bus_request_t *request);

/* Keeps a book's stock; an erp_seen_fn. */
void app_keep_stock(void *app, const char *isbn, const erp_stock_t *stock, int64_t as_of_us);

/* -- one request's work ------------------------------------------------------------------------------------- */
typedef struct {
    /* Time is nearly up (`is_last` false), up, or the caller went away (true): after the latter the op is to end. */
    void (*on_time)(op_t *op, bool is_last);
    /* Gives back what the op holds, as waits and jobs; then it is freed. */
    void (*on_free)(op_t *op);
} op_class_t;

/* The head of every handler's own struct. */
struct op {
    app_t *app;
    bus_request_t *request;
    const op_class_t *class;
    arena_t arena; /* of the request, and of what is built for the answer */
    int64_t started_us;
    loop_timer_t *timer;
    hop_t hops[OP_HOPS_MAX]; /* the first one is this service's own */
    uint32_t hop_count;
    bool is_last_time;
    op_t *next, *previous;
};

/* A zeroed struct of `size` bytes that begins with an op_t, timer running. NULL: the request has been failed. */
MUST_USE void *op_new(app_t *app, bus_request_t *request, size_t size, const op_class_t *class);

/* Monotonic; what is not there by then is too late to be used. */
int64_t op_deadline_us(const op_t *op);

/* Adds what a backend did. `operation` and `detail` (may be NULL) must live as long as the op; times are monotonic. */
void op_hop(op_t *op, const char *service, const char *operation, int64_t from_us, int64_t to_us, const char *detail);
/* The list for an answer, with this service's own hop completed; `detail` may be NULL. */
hop_list_t op_hops(op_t *op, const char *detail);

/* Answers with a struct of that schema, or INTERNAL when it breaks it; frees the op. */
void op_reply(op_t *op, const schema_t *schema, const void *response);
void op_fail(op_t *op, const error_t *err);

/* A formatted text in the op's arena; "" when it is full. */
const char *op_text(op_t *op, const char *fmt, ...) PRINTF_LIKE(2, 3);

/* Frees all ops without answering: at the end of the process. */
void app_ops_free(app_t *app);

#endif
