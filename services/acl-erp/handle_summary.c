/* handle_summary.c: erp.product.summary: catalogue entry, stock and orders of one book, asked for side by side; what
 * cannot be had in time is left out and named. */
#include "services/acl-erp/app.h"
#include "services/acl-erp/orders.h"
#include "services/acl-erp/translate_rest.h"

#define ORDERS_ASKED 100

typedef struct {
    op_t op;
    bytes_t isbn;
    backend_job_t *book_job, *orders_job;
    coalescer_wait_t *wait;
    uint32_t open; /* parts that are still asked for */
    erp_reply_t *book_reply, *stock_reply;
    const book_t *book;
    stock_line_list_t lines;
    erp_order_list_t orders;
    bool has_orders, is_unknown;
    bytes_t degraded[3];
    uint32_t degraded_count;
} summary_op_t;

static void degrade(summary_op_t *op, const char *part)
{
    op->degraded[op->degraded_count++] = bytes_cstr(part);
}

static void finish(summary_op_t *op)
{
    if (op->is_unknown) {
        const error_t err = {.code = STATUS_NOT_FOUND, .message = "the ERP knows no such book"};
        op_fail(&op->op, &err);
        return;
    }
    erp_product_summary_response_t response = {.isbn = op->isbn};
    if (op->book)
        SCHEMA_SET(&response, book, *op->book);
    if (op->lines.count)
        SCHEMA_SET(&response, lines, op->lines);
    if (op->has_orders)
        SCHEMA_SET(&response, orders, op->orders);
    if (op->degraded_count)
        SCHEMA_SET(&response, degraded, ((bytes_list_t){.items = op->degraded, .count = op->degraded_count}));
    SCHEMA_SET(&response, hops, op_hops(&op->op, NULL));
    op_reply(&op->op, &erp_product_summary_response_schema, &response);
}

static void part_end(summary_op_t *op)
{
    if (--op->open == 0)
        finish(op);
}

/* -- parts ------------------------------------------------------------------------------------------------------- */
static void book_told(void *ctx, const erp_books_result_t *result)
{
    summary_op_t *op = ctx;
    op->book_job = NULL;
    op_hop(&op->op, "erp", "GetProduct", result->sent_us, result->done_us, NULL);
    if (result->books && result->books->book_count == 1) {
        op->book_reply = result->books->reply;
        erp_reply_hold(op->book_reply);
        op->book = &result->books->books[0];
    } else if (result->err && result->err->code == STATUS_NOT_FOUND) {
        op->is_unknown = true;
    } else {
        degrade(op, "catalog");
    }
    part_end(op);
}

static void stock_told(void *ctx, const char *isbn, const coalescer_result_t *result)
{
    summary_op_t *op = ctx;
    const erp_stock_t *stock = result->answer;
    (void)isbn;
    op->wait = NULL;
    if (result->batch_isbns)
        op_hop(&op->op, "erp", "GetBatchStockLevels", result->sent_us, result->done_us, NULL);
    if (stock && stock->count) {
        op->stock_reply = stock->reply;
        erp_reply_hold(op->stock_reply);
        op->lines = (stock_line_list_t){.items = stock->lines, .count = stock->count};
    } else if (result->err || stock) {
        degrade(op, "stock");
    }
    part_end(op);
}

static bool has_book(const erp_order_t *order, bytes_t isbn)
{
    for (uint32_t i = 0; i < order->items.count; i++)
        if (bytes_eq(order->items.items[i].isbn, isbn))
            return true;
    return false;
}

/* The document dies with the callback; what is used of it must not. */
static bool orders_take(summary_op_t *op, bytes_t document)
{
    erp_order_list_response_t list;
    uint8_t *copy = arena_alloc(&op->op.arena, document.len + 1);
    if (!copy || !translate_orders(bytes_from(memcpy(copy, document.data, document.len), document.len), &op->op.arena,
                                   &list, NULL))
        return false;
    erp_order_t *with_book = arena_array(&op->op.arena, list.orders.count + 1, sizeof(*with_book));
    for (uint32_t i = 0; with_book && i < list.orders.count; i++)
        if (has_book(&list.orders.items[i], op->isbn))
            with_book[op->orders.count++] = list.orders.items[i];
    op->orders.items = with_book;
    op->has_orders = with_book != NULL;
    return op->has_orders;
}

static bool orders_told(void *ctx, const rest_result_t *result)
{
    summary_op_t *op = ctx;
    op->orders_job = NULL;
    op_hop(&op->op, "orders", "GET /orders", result->sent_us, result->done_us, NULL);
    bool makes_sense = result->err || orders_take(op, result->document);
    if (!op->has_orders)
        degrade(op, "orders");
    part_end(op);
    return makes_sense;
}

/* -- time -----------------------------------------------------------------------------------------------------------
 */
static void let_go(summary_op_t *op)
{
    app_t *app = op->op.app;
    if (op->book_job)
        erp_cancel(app->erp, op->book_job);
    if (op->wait)
        erp_stock_cancel(app->erp, op->wait);
    if (op->orders_job)
        backend_cancel(app->orders, op->orders_job);
    op->book_job = op->orders_job = NULL;
    op->wait = NULL;
}

static void on_time(op_t *base, bool is_last)
{
    summary_op_t *op = (summary_op_t *)base;
    (void)is_last;
    if (op->book_job)
        degrade(op, "catalog");
    if (op->wait)
        degrade(op, "stock");
    if (op->orders_job)
        degrade(op, "orders");
    let_go(op);
    finish(op);
}

static void on_free(op_t *base)
{
    summary_op_t *op = (summary_op_t *)base;
    let_go(op);
    erp_reply_release(op->book_reply);
    erp_reply_release(op->stock_reply);
}

static const op_class_t class = {.on_time = on_time, .on_free = on_free};

/* -- handler ----------------------------------------------------------------------------------------------------------
 */
static void ask_parts(summary_op_t *op, const erp_product_summary_request_t *asked)
{
    app_t *app = op->op.app;
    int64_t deadline_us = op_deadline_us(&op->op);
    op->open = 1; /* no part may end the op before all are asked for */
    op->book_job = erp_product(app->erp, op->isbn, deadline_us, book_told, op, NULL);
    op->wait = erp_stock(app->erp, op->isbn, true, deadline_us, stock_told, op, NULL);
    if (asked->has_customer_id)
        op->orders_job = orders_ask_list(app->orders, asked->customer_id, BYTES_NONE, ORDERS_ASKED, deadline_us,
                                         orders_told, op, NULL);
    op->open += (op->book_job ? 1u : 0u) + (op->wait ? 1u : 0u) + (op->orders_job ? 1u : 0u);
    if (!op->book_job)
        degrade(op, "catalog");
    if (!op->wait)
        degrade(op, "stock");
    if (asked->has_customer_id && !op->orders_job)
        degrade(op, "orders");
    part_end(op);
}

void handle_product_summary(void *ctx, bus_request_t *request)
{
    error_t err = {0};
    erp_product_summary_request_t asked;
    summary_op_t *op = op_new(ctx, request, sizeof(*op), &class);
    if (!op)
        return;
    if (!erp_product_summary_request_unpack(request->body, &op->op.arena, &asked, &err)) {
        op_fail(&op->op, &err);
        return;
    }
    op->isbn = asked.isbn;
    ask_parts(op, &asked);
}
