/* orders.c: the order system's two paths. */
#include "services/acl-erp/orders.h"

#include <inttypes.h>

#define PATH "/api/v2/orders"

static backend_job_t *ask(backend_t *orders, buf_t *path, int64_t deadline_us, rest_fn fn, void *ctx, error_t *err)
{
    const rest_call_t call = {
        .method = "GET", .path = buf_cstr(path), .deadline_us = deadline_us, .fn = fn, .ctx = ctx};
    backend_job_t *job = rest_call(orders, &call, err);
    buf_free(path);
    return job;
}

backend_job_t *orders_ask_one(backend_t *orders, bytes_t order_id, int64_t deadline_us, rest_fn fn, void *ctx,
                              error_t *err)
{
    buf_t path = {0};
    buf_append_cstr(&path, PATH "/");
    rest_path_append(&path, order_id);
    return ask(orders, &path, deadline_us, fn, ctx, err);
}

backend_job_t *orders_ask_list(backend_t *orders, bytes_t customer_id, bytes_t cursor, int64_t page_size,
                               int64_t deadline_us, rest_fn fn, void *ctx, error_t *err)
{
    buf_t path = {0};
    buf_append_cstr(&path, PATH "?customer=");
    rest_path_append(&path, customer_id);
    buf_printf(&path, "&limit=%" PRId64, page_size);
    if (cursor.len) {
        buf_append_cstr(&path, "&pageToken=");
        rest_path_append(&path, cursor);
    }
    return ask(orders, &path, deadline_us, fn, ctx, err);
}
