/* op.c: begins, times and ends a request's work; the only place that answers the bus. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "services/acl-erp/app.h"

#define US_PER_MS 1000
#define ARENA_MAX_BYTES ((size_t)8 << 20)
#define TEXT_BYTES 256

static int64_t moment_before_end(const op_t *op, int64_t margin_ms)
{
    return op->request->deadline_mono_us - margin_ms * US_PER_MS;
}

int64_t op_deadline_us(const op_t *op)
{
    return moment_before_end(op, OP_ANSWER_MARGIN_MS);
}

static void on_timer(void *ctx)
{
    op_t *op = ctx;
    bool is_last = op->is_last_time;
    op->is_last_time = true;
    loop_timer_at(op->timer, moment_before_end(op, OP_LAST_MARGIN_MS));
    op->class->on_time(op, is_last);
}

static void on_cancel(void *ctx, bus_request_t *request)
{
    op_t *op = ctx;
    (void)request;
    op->class->on_time(op, true);
}

static void *refuse(app_t *app, bus_request_t *request)
{
    const error_t err = {.code = STATUS_RESOURCE_EXHAUSTED, .message = "out of memory"};
    bus_fail(app->bus, request, &err);
    return NULL;
}

void *op_new(app_t *app, bus_request_t *request, size_t size, const op_class_t *class)
{
    op_t *op = calloc(1, size);
    if (!op)
        return refuse(app, request);
    *op = (op_t){.app = app, .request = request, .class = class, .started_us = clock_mono_us(), .hop_count = 1};
    op->timer = loop_timer_new(service_loop(app->service), on_timer, op);
    if (!op->timer) {
        free(op);
        return refuse(app, request);
    }
    arena_init(&op->arena, ARENA_MAX_BYTES);
    loop_timer_at(op->timer, op_deadline_us(op));
    bus_request_on_cancel(request, on_cancel, op);
    op->next = app->ops;
    if (app->ops)
        app->ops->previous = op;
    app->ops = op;
    return op;
}

static void op_free(op_t *op)
{
    if (op->previous)
        op->previous->next = op->next;
    else
        op->app->ops = op->next;
    if (op->next)
        op->next->previous = op->previous;
    op->class->on_free(op);
    loop_timer_end(&op->timer);
    arena_free(&op->arena);
    free(op);
}

void op_hop(op_t *op, const char *service, const char *operation, int64_t from_us, int64_t to_us, const char *detail)
{
    if (op->hop_count == OP_HOPS_MAX)
        return;
    hop_t *hop = &op->hops[op->hop_count++];
    int64_t seen_from_us =
        from_us > op->started_us ? from_us : op->started_us; /* joined on its way: what was seen of it */
    *hop = (hop_t){.service = bytes_cstr(service), .operation = bytes_cstr(operation)};
    hop->duration_us = to_us > seen_from_us ? to_us - seen_from_us : 0;
    SCHEMA_SET(hop, depth, 1);
    SCHEMA_SET(hop, start_us, seen_from_us - op->started_us);
    if (detail && *detail)
        SCHEMA_SET(hop, detail, bytes_cstr(detail));
}

hop_list_t op_hops(op_t *op, const char *detail)
{
    hop_t *own = &op->hops[0];
    *own = (hop_t){.service = BYTES_LIT("acl-erp"),
                   .operation = op->request->method,
                   .duration_us = clock_mono_us() - op->started_us};
    SCHEMA_SET(own, depth, 0);
    SCHEMA_SET(own, start_us, 0);
    if (detail && *detail)
        SCHEMA_SET(own, detail, bytes_cstr(detail));
    return (hop_list_t){.items = op->hops, .count = op->hop_count};
}

void op_reply(op_t *op, const schema_t *schema, const void *response)
{
    buf_t body = {0};
    error_t err = {0};
    if (schema_pack(schema, &body, response, &err) && !body.failed) {
        bus_reply(op->app->bus, op->request, buf_bytes(&body));
    } else {
        log_error("an answer breaks the contract", LOG_B("method", op->request->method), LOG_S("error", err.message));
        (void)error_set(&err, STATUS_INTERNAL, NULL, "the answer could not be put into the contract's form");
        bus_fail(op->app->bus, op->request, &err);
    }
    buf_free(&body);
    op_free(op);
}

void op_fail(op_t *op, const error_t *err)
{
    bus_fail(op->app->bus, op->request, err);
    op_free(op);
}

const char *op_text(op_t *op, const char *fmt, ...)
{
    char *text = arena_alloc(&op->arena, TEXT_BYTES);
    va_list args;
    if (!text)
        return "";
    va_start(args, fmt);
    (void)vsnprintf(text, TEXT_BYTES, fmt, args);
    va_end(args);
    return text;
}

void app_ops_free(app_t *app)
{
    while (app->ops)
        op_free(app->ops);
}
