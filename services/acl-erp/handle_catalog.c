/* handle_catalog.c: erp.catalog.page: one page of the ERP's catalogue, behind whatever a customer waits for. */
#include "services/acl-erp/app.h"

#define PAGE_DEFAULT 100

typedef struct {
    op_t op;
    bytes_t after;
    backend_job_t *job;
} page_op_t;

static void on_time(op_t *base, bool is_last)
{
    const error_t late = {.code = STATUS_DEADLINE_EXCEEDED, .message = "the ERP did not answer in time"};
    (void)is_last;
    op_fail(base, &late);
}

static void on_free(op_t *base)
{
    page_op_t *op = (page_op_t *)base;
    if (op->job)
        erp_cancel(base->app->erp, op->job);
}

static const op_class_t class = {.on_time = on_time, .on_free = on_free};

static void page_told(void *ctx, const erp_books_result_t *result)
{
    page_op_t *op = ctx;
    const erp_books_t *books = result->books;
    op->job = NULL;
    if (result->err) {
        op_fail(&op->op, result->err);
        return;
    }
    if (books->has_more && (books->next_after.len == 0 || bytes_eq(books->next_after, op->after))) {
        const error_t err = {.code = STATUS_DATA_LOSS,
                             .message = "the ERP says that there is more, and not behind which book"};
        op_fail(&op->op, &err);
        return;
    }
    erp_catalog_page_response_t response = {.items = {.items = books->books, .count = books->book_count}};
    if (books->has_more)
        SCHEMA_SET(&response, next_cursor, books->next_after);
    if (books->has_total)
        SCHEMA_SET(&response, total, books->total);
    if (books->rejected_count)
        SCHEMA_SET(&response, rejected,
                   ((erp_rejected_item_list_t){.items = books->rejected, .count = books->rejected_count}));
    op_hop(&op->op, "erp", "GetCatalogPage", result->sent_us, result->done_us,
           op_text(&op->op, "%u books", books->book_count));
    SCHEMA_SET(&response, hops, op_hops(&op->op, NULL));
    op_reply(&op->op, &erp_catalog_page_response_schema, &response);
}

static bool cursor_check(const erp_catalog_page_request_t *asked, error_t *err)
{
    return !asked->has_cursor || erp_after_is_valid(asked->cursor) ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "request.cursor: take it from next_cursor of the page before");
}

void handle_catalog_page(void *ctx, bus_request_t *request)
{
    error_t err = {0};
    erp_catalog_page_request_t asked;
    page_op_t *op = op_new(ctx, request, sizeof(*op), &class);
    if (!op)
        return;
    if (!erp_catalog_page_request_unpack(request->body, &op->op.arena, &asked, &err) || !cursor_check(&asked, &err)) {
        op_fail(&op->op, &err);
        return;
    }
    op->after = asked.has_cursor ? asked.cursor : BYTES_NONE;
    const erp_page_t page = {.after_isbn = op->after,
                             .changed_since = asked.has_changed_since ? asked.changed_since : BYTES_NONE,
                             .page_size = asked.has_page_size ? asked.page_size : PAGE_DEFAULT,
                             .deadline_us = op_deadline_us(&op->op)};
    op->job = erp_page(op->op.app->erp, &page, page_told, op, &err);
    if (!op->job)
        op_fail(&op->op, &err);
}
