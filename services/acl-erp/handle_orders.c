/* handle_orders.c: erp.order.get and erp.order.list: the order system first, a kept copy where it does not answer. */
#include <inttypes.h>

#include "kit/clock.h"
#include "services/acl-erp/app.h"
#include "services/acl-erp/orders.h"
#include "services/acl-erp/translate_rest.h"

#define US_PER_MS 1000
#define PAGE_DEFAULT 20

typedef struct {
    op_t op;
    bool is_list, is_settling;
    bytes_t key;         /* of the kept copy: order id, or customer id for a first page; empty: none is kept */
    bytes_t customer_id; /* of erp.order.get: whose order it must be; empty: anybody's */
    int64_t max_stale_ms;
    backend_job_t *job;
    kept_query_t *query;
    error_t why;
} order_op_t;

static kept_kind_t kind_of(const order_op_t *op)
{
    return op->is_list ? KEPT_ORDER_LIST : KEPT_ORDER;
}

/* -- answers ----------------------------------------------------------------------------------------------------- */
static void one_reply(order_op_t *op, erp_order_get_response_t *response, const char *detail)
{
    if (op->customer_id.len && !bytes_eq(response->order.customer_id, op->customer_id)) {
        const error_t err = {.code = STATUS_NOT_FOUND, .message = "this customer has no such order"};
        op_fail(&op->op, &err);
        return;
    }
    SCHEMA_SET(response, hops, op_hops(&op->op, detail));
    op_reply(&op->op, &erp_order_get_response_schema, response);
}

static void list_reply(order_op_t *op, erp_order_list_response_t *response, const char *detail)
{
    SCHEMA_SET(response, hops, op_hops(&op->op, detail));
    op_reply(&op->op, &erp_order_list_response_schema, response);
}

static void keep(order_op_t *op, const schema_t *schema, const void *response)
{
    buf_t packed = {0};
    if (op->key.len && schema_pack(schema, &packed, response, NULL))
        kept_put(op->op.app->kept, kind_of(op), op->key, buf_bytes(&packed), clock_wall_us());
    buf_free(&packed);
}

/* -- kept copies --------------------------------------------------------------------------------------------------- */
static bool copy_take(order_op_t *op, const kept_copy_t *copy, int64_t *age_ms, bytes_t *payload)
{
    *age_ms = (clock_wall_us() - copy->as_of_us) / US_PER_MS;
    *age_ms = *age_ms > 0 ? *age_ms : 0;
    uint8_t *bytes = arena_alloc(&op->op.arena, copy->payload.len + 1);
    if (!bytes || copy->payload.len == 0 || *age_ms > op->max_stale_ms)
        return false;
    memcpy(bytes, copy->payload.data, copy->payload.len);
    *payload = bytes_from(bytes, copy->payload.len);
    return true;
}

static bool copy_reply(order_op_t *op, bytes_t payload, int64_t age_ms)
{
    const char *detail = op_text(&op->op, "kept, %" PRId64 " ms old: %.100s", age_ms, op->why.message);
    erp_order_get_response_t one;
    erp_order_list_response_t list;
    if (op->is_list && erp_order_list_response_unpack(payload, &op->op.arena, &list, NULL)) {
        SCHEMA_SET(&list, stale_age_ms, age_ms);
        list_reply(op, &list, detail);
        return true;
    }
    if (!op->is_list && erp_order_get_response_unpack(payload, &op->op.arena, &one, NULL)) {
        SCHEMA_SET(&one, stale_age_ms, age_ms);
        one_reply(op, &one, detail);
        return true;
    }
    return false;
}

static void copy_found(void *ctx, const kept_copy_t *copies, size_t count)
{
    order_op_t *op = ctx;
    metric_t *stale = op->op.app->stale_answers;
    int64_t age_ms;
    bytes_t payload;
    op->query = NULL;
    if (count == 1 && copy_take(op, &copies[0], &age_ms, &payload) && copy_reply(op, payload, age_ms))
        metric_add(stale, 1);
    else
        op_fail(&op->op, &op->why);
}

static void fall_back(order_op_t *op)
{
    op->is_settling = true;
    if (op->key.len == 0 || op->max_stale_ms == 0 || op->why.code == STATUS_NOT_FOUND) {
        op_fail(&op->op, &op->why);
        return;
    }
    kept_query_t *query = kept_get(op->op.app->kept, kind_of(op), &op->key, 1, copy_found, op);
    if (query)
        op->query = query;
}

/* -- what the order system says --------------------------------------------------------------------------------------
 */
static bool answer_take(order_op_t *op, const rest_result_t *result)
{
    error_t err = {0};
    erp_order_get_response_t one = {0};
    erp_order_list_response_t list = {0};
    bool is_read = op->is_list ? translate_orders(result->document, &op->op.arena, &list, &err)
                               : translate_order(result->document, &op->op.arena, &one.order, &err);
    if (!is_read) {
        (void)error_prefix(&err, "the order system's answer");
        op->why = err;
        fall_back(op);
        return false;
    }
    if (op->is_list) {
        keep(op, &erp_order_list_response_schema, &list);
        list_reply(op, &list, NULL);
    } else {
        keep(op, &erp_order_get_response_schema, &one);
        one_reply(op, &one, NULL);
    }
    return true;
}

static bool told(void *ctx, const rest_result_t *result)
{
    order_op_t *op = ctx;
    op->job = NULL;
    op_hop(&op->op, "orders", op->is_list ? "GET /orders" : "GET /orders/{id}", result->sent_us, result->done_us, NULL);
    if (!result->err)
        return answer_take(op, result);
    op->why = *result->err;
    fall_back(op);
    return true;
}

/* -- time
 * -------------------------------------------------------------------------------------------------------------- */
static void on_time(op_t *base, bool is_last)
{
    order_op_t *op = (order_op_t *)base;
    if (op->job)
        backend_cancel(base->app->orders, op->job);
    op->job = NULL;
    if (!op->is_settling)
        (void)error_set(&op->why, STATUS_DEADLINE_EXCEEDED, NULL, "the order system did not answer in time");
    if (is_last || base->request->cancelled)
        op_fail(base, &op->why);
    else if (!op->is_settling)
        fall_back(op);
}

static void on_free(op_t *base)
{
    order_op_t *op = (order_op_t *)base;
    if (op->job)
        backend_cancel(base->app->orders, op->job);
    if (op->query)
        kept_cancel(op->query);
}

static const op_class_t class = {.on_time = on_time, .on_free = on_free};

/* -- handlers
 * ---------------------------------------------------------------------------------------------------------- */
static void started(order_op_t *op, backend_job_t *job, const error_t *err)
{
    op->job = job;
    if (job)
        return;
    op->why = *err;
    fall_back(op);
}

void handle_order_get(void *ctx, bus_request_t *request)
{
    error_t err = {0};
    erp_order_get_request_t asked;
    order_op_t *op = op_new(ctx, request, sizeof(*op), &class);
    if (!op)
        return;
    if (!erp_order_get_request_unpack(request->body, &op->op.arena, &asked, &err)) {
        op_fail(&op->op, &err);
        return;
    }
    op->key = asked.order_id;
    op->customer_id = asked.has_customer_id ? asked.customer_id : BYTES_NONE;
    op->max_stale_ms = asked.has_max_stale_ms ? asked.max_stale_ms : INT64_MAX;
    started(op, orders_ask_one(op->op.app->orders, asked.order_id, op_deadline_us(&op->op), told, op, &err), &err);
}

void handle_order_list(void *ctx, bus_request_t *request)
{
    error_t err = {0};
    erp_order_list_request_t asked;
    order_op_t *op = op_new(ctx, request, sizeof(*op), &class);
    if (!op)
        return;
    op->is_list = true;
    if (!erp_order_list_request_unpack(request->body, &op->op.arena, &asked, &err)) {
        op_fail(&op->op, &err);
        return;
    }
    /* Only what a customer sees first is kept, whole pages of one size would be many. */
    bool is_first = !asked.has_cursor && !asked.has_page_size;
    op->key = is_first ? asked.customer_id : BYTES_NONE;
    op->max_stale_ms = INT64_MAX;
    started(op,
            orders_ask_list(op->op.app->orders, asked.customer_id, asked.has_cursor ? asked.cursor : BYTES_NONE,
                            asked.has_page_size ? asked.page_size : PAGE_DEFAULT, op_deadline_us(&op->op), told, op,
                            &err),
            &err);
}
