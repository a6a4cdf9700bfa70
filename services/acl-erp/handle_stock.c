/* handle_stock.c: erp.stock.get and erp.stock.batch: ask the ERP; what it does not answer, answer from kept copies. */
#include <inttypes.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "services/acl-erp/app.h"

#define US_PER_MS 1000
#define ANY_AGE INT64_MAX

typedef struct stock_op stock_op_t;

typedef enum { ASKED, ANSWERED, UNKNOWN, FAILED } state_t;

typedef struct {
    stock_op_t *op;
    bytes_t isbn;
    coalescer_wait_t *wait;
    state_t state;
    const stock_line_t *lines;
    uint32_t count;
    erp_reply_t *reply; /* held; NULL for a kept copy */
} book_ask_t;

struct stock_op {
    op_t op;
    book_ask_t *books;
    uint32_t count, open;
    bool is_single, is_settling;
    bytes_t warehouse; /* empty: all */
    int64_t max_stale_ms;
    kept_query_t *query;
    uint32_t stale;
    int64_t oldest_ms;
    error_t why; /* the first failure */
};

/* -- the answer -------------------------------------------------------------------------------------------------- */
static uint32_t lines_pick(const stock_op_t *op, const book_ask_t *book, stock_line_t *out)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < book->count; i++)
        if (op->warehouse.len == 0 || bytes_eq(book->lines[i].warehouse_code, op->warehouse))
            out[count++] = book->lines[i];
    return count;
}

static const char *remark(stock_op_t *op)
{
    if (op->stale == 0)
        return NULL;
    return op_text(&op->op, "%u kept, up to %" PRId64 " ms old: %.100s", op->stale, op->oldest_ms, op->why.message);
}

static void out_of_memory(stock_op_t *op)
{
    const error_t err = {.code = STATUS_RESOURCE_EXHAUSTED, .message = "out of memory"};
    op_fail(&op->op, &err);
}

static void single_fail(stock_op_t *op)
{
    error_t err = op->why;
    if (op->books[0].state != FAILED)
        (void)error_set(&err, STATUS_NOT_FOUND, NULL, "the ERP knows no book %.*s%s", BYTES_FMT(op->books[0].isbn),
                        op->books[0].state == ANSWERED ? " in this warehouse" : "");
    op_fail(&op->op, &err);
}

static void single_reply(stock_op_t *op)
{
    stock_line_t lines[ERP_WAREHOUSES_MAX];
    erp_stock_get_response_t response = {.isbn = op->books[0].isbn};
    response.lines = (stock_line_list_t){.items = lines, .count = lines_pick(op, &op->books[0], lines)};
    if (op->books[0].state != ANSWERED || response.lines.count == 0) {
        single_fail(op);
        return;
    }
    for (uint32_t i = 0; i < response.lines.count; i++)
        response.total_quantity += lines[i].quantity;
    if (response.total_quantity > CONTRACT_QUANTITY_MAX)
        response.total_quantity = CONTRACT_QUANTITY_MAX;
    SCHEMA_SET(&response, hops, op_hops(&op->op, remark(op)));
    op_reply(&op->op, &erp_stock_get_response_schema, &response);
}

static bytes_list_t isbns_of(stock_op_t *op, state_t state, bytes_t *room)
{
    bytes_list_t list = {.items = room};
    for (uint32_t i = 0; i < op->count; i++)
        if (op->books[i].state == state)
            room[list.count++] = op->books[i].isbn;
    return list;
}

static size_t lines_total(const stock_op_t *op)
{
    size_t total = 0;
    for (uint32_t i = 0; i < op->count; i++)
        total += op->books[i].count;
    return total;
}

static void batch_reply(stock_op_t *op)
{
    erp_stock_batch_response_t response = {0};
    stock_line_t *lines = arena_array(&op->op.arena, lines_total(op) + 1, sizeof(*lines));
    bytes_t *missing = arena_array(&op->op.arena, op->count, sizeof(*missing));
    bytes_t *failed = arena_array(&op->op.arena, op->count, sizeof(*failed));
    if (!lines || !missing || !failed) {
        out_of_memory(op);
        return;
    }
    uint32_t count = 0;
    for (uint32_t i = 0; i < op->count; i++)
        count += lines_pick(op, &op->books[i], lines + count);
    response.lines = (stock_line_list_t){.items = lines, .count = count};
    SCHEMA_SET(&response, missing, isbns_of(op, UNKNOWN, missing));
    SCHEMA_SET(&response, failed, isbns_of(op, FAILED, failed));
    SCHEMA_SET(&response, hops, op_hops(&op->op, remark(op)));
    op_reply(&op->op, &erp_stock_batch_response_schema, &response);
}

static void finish(stock_op_t *op)
{
    if (op->is_single)
        single_reply(op);
    else
        batch_reply(op);
}

/* -- kept copies ----------------------------------------------------------------------------------------------------
 */
void app_keep_stock(void *ctx, const char *isbn, const erp_stock_t *stock, int64_t as_of_us)
{
    app_t *app = ctx;
    erp_stock_get_response_t copy = {.isbn = bytes_cstr(isbn)};
    buf_t packed = {0};
    error_t err = {0};
    copy.lines = (stock_line_list_t){.items = stock->lines, .count = stock->count};
    for (uint32_t i = 0; i < stock->count && copy.total_quantity < CONTRACT_QUANTITY_MAX; i++)
        copy.total_quantity += stock->lines[i].quantity;
    if (copy.total_quantity > CONTRACT_QUANTITY_MAX)
        copy.total_quantity = CONTRACT_QUANTITY_MAX;
    if (erp_stock_get_response_pack(&packed, &copy, &err))
        kept_put(app->kept, KEPT_STOCK, copy.isbn, buf_bytes(&packed), as_of_us);
    else
        log_warn("stock could not be kept", LOG_S("isbn", isbn), LOG_S("error", err.message));
    buf_free(&packed);
}

/* The copy must outlive the callback: its bytes are put into the arena first. */
static bool copy_read(stock_op_t *op, const kept_copy_t *copy, erp_stock_get_response_t *out)
{
    uint8_t *bytes = arena_alloc(&op->op.arena, copy->payload.len + 1);
    if (!bytes || copy->payload.len == 0)
        return false;
    memcpy(bytes, copy->payload.data, copy->payload.len);
    return erp_stock_get_response_unpack(bytes_from(bytes, copy->payload.len), &op->op.arena, out, NULL);
}

static void copy_use(stock_op_t *op, book_ask_t *book, const kept_copy_t *copy, int64_t now_us)
{
    erp_stock_get_response_t kept;
    int64_t age_ms = (now_us - copy->as_of_us) / US_PER_MS;
    age_ms = age_ms > 0 ? age_ms : 0;
    if (age_ms > op->max_stale_ms || !copy_read(op, copy, &kept))
        return;
    stock_line_t *lines = arena_array(&op->op.arena, kept.lines.count, sizeof(*lines));
    if (!lines)
        return;
    for (uint32_t i = 0; i < kept.lines.count; i++) {
        lines[i] = kept.lines.items[i];
        SCHEMA_SET(&lines[i], stale_age_ms, age_ms);
    }
    book->lines = lines;
    book->count = kept.lines.count;
    book->state = ANSWERED;
    op->stale++;
    op->oldest_ms = age_ms > op->oldest_ms ? age_ms : op->oldest_ms;
    metric_add(op->op.app->stale_answers, 1);
}

static void copies_found(void *ctx, const kept_copy_t *copies, size_t count)
{
    stock_op_t *op = ctx;
    int64_t now_us = clock_wall_us();
    size_t used = 0;
    op->query = NULL;
    for (uint32_t i = 0; i < op->count && used < count; i++)
        if (op->books[i].state == FAILED)
            copy_use(op, &op->books[i], &copies[used++], now_us);
    finish(op);
}

/* All that the ERP would say it has said. */
static void settle(stock_op_t *op)
{
    bytes_t keys[ERP_STOCK_BATCH_MAX];
    bytes_list_t failed = isbns_of(op, FAILED, keys);
    op->is_settling = true;
    if (failed.count == 0 || op->max_stale_ms == 0)
        finish(op);
    else {
        kept_query_t *query = kept_get(op->op.app->kept, KEPT_STOCK, keys, failed.count, copies_found, op);
        if (query)
            op->query = query;
    }
}

/* -- asking
 * ------------------------------------------------------------------------------------------------------------ */
static void book_fail(stock_op_t *op, book_ask_t *book, const error_t *err)
{
    book->state = FAILED;
    if (op->why.code == STATUS_OK)
        op->why = *err;
}

static void note_hop(stock_op_t *op, const coalescer_result_t *result)
{
    /* Books of one call share one hop. */
    for (uint32_t i = 1; i < op->op.hop_count; i++)
        if (op->op.hops[i].start_us + op->op.hops[i].duration_us == result->done_us - op->op.started_us)
            return;
    if (result->batch_isbns)
        op_hop(&op->op, "erp", "GetBatchStockLevels", result->sent_us, result->done_us,
               op_text(&op->op, "%zu book%s in the call%s", result->batch_isbns, result->batch_isbns == 1 ? "" : "s",
                       result->err ? ", failed" : ""));
}

static void book_told(void *ctx, const char *isbn, const coalescer_result_t *result)
{
    book_ask_t *book = ctx;
    stock_op_t *op = book->op;
    const erp_stock_t *stock = result->answer;
    (void)isbn;
    book->wait = NULL;
    note_hop(op, result);
    if (result->err) {
        book_fail(op, book, result->err);
    } else if (stock && stock->count == 0) {
        const error_t unreadable = {.code = STATUS_DATA_LOSS,
                                    .message = "the ERP's answer for this book is unreadable"};
        book_fail(op, book, &unreadable);
    } else if (stock) {
        book->state = ANSWERED;
        book->lines = stock->lines;
        book->count = stock->count;
        book->reply = stock->reply;
        erp_reply_hold(stock->reply);
    } else {
        book->state = UNKNOWN;
    }
    if (--op->open == 0)
        settle(op);
}

static void ask_all(stock_op_t *op, bool is_live)
{
    error_t err = {0};
    op->open = 1; /* no callback comes in here, but a refused book must not end the op before the last is asked */
    for (uint32_t i = 0; i < op->count; i++) {
        book_ask_t *book = &op->books[i];
        book->op = op;
        book->wait = erp_stock(op->op.app->erp, book->isbn, is_live, op_deadline_us(&op->op), book_told, book, &err);
        if (book->wait)
            op->open++;
        else
            book_fail(op, book, &err);
    }
    if (--op->open == 0)
        settle(op);
}

/* -- time
 * ---------------------------------------------------------------------------------------------------------------- */
static void give_up(stock_op_t *op)
{
    const error_t late = {.code = STATUS_DEADLINE_EXCEEDED, .message = "the ERP did not answer in time"};
    for (uint32_t i = 0; i < op->count; i++) {
        book_ask_t *book = &op->books[i];
        if (!book->wait)
            continue;
        erp_stock_cancel(op->op.app->erp, book->wait);
        book->wait = NULL;
        book_fail(op, book, &late);
    }
    op->open = 0;
}

static void on_time(op_t *base, bool is_last)
{
    stock_op_t *op = (stock_op_t *)base;
    if (!op->is_settling) {
        give_up(op);
        if (base->request->cancelled) {
            op->max_stale_ms = 0; /* nobody listens any more */
            is_last = false;
        }
        settle(op);
        return;
    }
    if (is_last)
        finish(op); /* the database took too long as well; on_free takes the question back */
}

static void on_free(op_t *base)
{
    stock_op_t *op = (stock_op_t *)base;
    for (uint32_t i = 0; i < op->count; i++) {
        if (op->books[i].wait)
            erp_stock_cancel(base->app->erp, op->books[i].wait);
        erp_reply_release(op->books[i].reply);
    }
    if (op->query)
        kept_cancel(op->query);
}

static const op_class_t class = {.on_time = on_time, .on_free = on_free};

/* -- handlers
 * -------------------------------------------------------------------------------------------------------------- */
static bool books_set(stock_op_t *op, const bytes_t *isbns, uint32_t count)
{
    op->books = arena_array(&op->op.arena, count, sizeof(*op->books));
    if (!op->books)
        return false;
    op->count = count;
    for (uint32_t i = 0; i < count; i++)
        op->books[i].isbn = isbns[i];
    return true;
}

void handle_stock_get(void *ctx, bus_request_t *request)
{
    error_t err = {0};
    erp_stock_get_request_t asked;
    stock_op_t *op = op_new(ctx, request, sizeof(*op), &class);
    if (!op)
        return;
    op->is_single = true;
    if (!erp_stock_get_request_unpack(request->body, &op->op.arena, &asked, &err)) {
        op_fail(&op->op, &err);
        return;
    }
    op->warehouse = asked.has_warehouse_code ? asked.warehouse_code : BYTES_NONE;
    op->max_stale_ms = asked.has_max_stale_ms ? asked.max_stale_ms : ANY_AGE;
    if (books_set(op, &asked.isbn, 1))
        ask_all(op, true);
    else
        out_of_memory(op);
}

void handle_stock_batch(void *ctx, bus_request_t *request)
{
    error_t err = {0};
    erp_stock_batch_request_t asked;
    stock_op_t *op = op_new(ctx, request, sizeof(*op), &class);
    if (!op)
        return;
    if (!erp_stock_batch_request_unpack(request->body, &op->op.arena, &asked, &err)) {
        op_fail(&op->op, &err);
        return;
    }
    op->warehouse = asked.has_warehouse_code ? asked.warehouse_code : BYTES_NONE;
    op->max_stale_ms = asked.has_max_stale_ms ? asked.max_stale_ms : ANY_AGE;
    if (books_set(op, asked.isbns.items, asked.isbns.count))
        ask_all(op, false);
    else
        out_of_memory(op);
}
