/* handle_payments.c: erp.payment.get and erp.payment.refund: never a kept answer, never tried twice from here. */
#include <inttypes.h>

#include "proto/json.h"
#include "services/acl-erp/app.h"
#include "services/acl-erp/rest.h"
#include "services/acl-erp/translate_rest.h"

#define PATH "/v1/payments/"

typedef struct {
    op_t op;
    bool is_refund;
    backend_job_t *job;
} payment_op_t;

static void get_take(payment_op_t *op, const rest_result_t *result, error_t *err)
{
    erp_payment_get_response_t response = {0};
    if (!translate_payment(result->document, &op->op.arena, &response.payment, err))
        return;
    SCHEMA_SET(&response, hops, op_hops(&op->op, NULL));
    op_reply(&op->op, &erp_payment_get_response_schema, &response);
}

static void refund_take(payment_op_t *op, const rest_result_t *result, error_t *err)
{
    erp_payment_refund_response_t response;
    if (!translate_refund(result->document, &op->op.arena, &response, err))
        return;
    SCHEMA_SET(&response, hops, op_hops(&op->op, NULL));
    op_reply(&op->op, &erp_payment_refund_response_schema, &response);
}

/* A refund that got no clear answer may have happened all the same. */
static void doubt(const payment_op_t *op, error_t *err)
{
    bool is_unclear =
        err->code == STATUS_UNAVAILABLE || err->code == STATUS_DEADLINE_EXCEEDED || err->code == STATUS_DATA_LOSS;
    if (op->is_refund && is_unclear)
        (void)error_prefix(err, "outcome unknown, ask again with the same idempotency_key");
}

static bool told(void *ctx, const rest_result_t *result)
{
    payment_op_t *op = ctx;
    error_t err = {0};
    op->job = NULL;
    op_hop(&op->op, "payments", op->is_refund ? "POST /refunds" : "GET /payments/{id}", result->sent_us,
           result->done_us, NULL);
    if (result->err)
        err = *result->err;
    else if (op->is_refund)
        refund_take(op, result, &err);
    else
        get_take(op, result, &err);
    if (err.code == STATUS_OK)
        return true; /* answered, and the op is gone */
    bool was_nonsense = !result->err;
    doubt(op, &err);
    op_fail(&op->op, &err);
    return !was_nonsense;
}

static void on_time(op_t *base, bool is_last)
{
    error_t late = {.code = STATUS_DEADLINE_EXCEEDED, .message = "the payment gateway did not answer in time"};
    (void)is_last;
    doubt((payment_op_t *)base, &late);
    op_fail(base, &late);
}

static void on_free(op_t *base)
{
    payment_op_t *op = (payment_op_t *)base;
    if (op->job)
        backend_cancel(base->app->payments, op->job);
}

static const op_class_t class = {.on_time = on_time, .on_free = on_free};

static void call(payment_op_t *op, rest_call_t *made, bytes_t payment_id, const char *rest)
{
    error_t err = {0};
    buf_t path = {0};
    buf_append_cstr(&path, PATH);
    rest_path_append(&path, payment_id);
    buf_append_cstr(&path, rest);
    made->path = buf_cstr(&path);
    made->deadline_us = op_deadline_us(&op->op);
    made->fn = told;
    made->ctx = op;
    op->job = rest_call(op->op.app->payments, made, &err);
    buf_free(&path);
    if (!op->job)
        op_fail(&op->op, &err);
}

void handle_payment_get(void *ctx, bus_request_t *request)
{
    error_t err = {0};
    erp_payment_get_request_t asked;
    payment_op_t *op = op_new(ctx, request, sizeof(*op), &class);
    if (!op)
        return;
    rest_call_t made = {.method = "GET"};
    if (erp_payment_get_request_unpack(request->body, &op->op.arena, &asked, &err))
        call(op, &made, asked.payment_id, "");
    else
        op_fail(&op->op, &err);
}

static void refund_body(const erp_payment_refund_request_t *asked, buf_t *out)
{
    buf_append_byte(out, '{');
    if (asked->has_amount)
        buf_printf(out, "\"amount\":%" PRId64, asked->amount);
    if (asked->has_reason) {
        buf_append_cstr(out, asked->has_amount ? ",\"reason\":" : "\"reason\":");
        json_string_append(out, asked->reason);
    }
    buf_append_byte(out, '}');
}

/* It travels as a header: nothing that could end one. */
static bool key_take(bytes_t key, char out[CONTRACT_ID_BYTES + 1], error_t *err)
{
    for (size_t i = 0; i < key.len; i++)
        if (key.data[i] <= 0x20 || key.data[i] >= 0x7F)
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                             "request.idempotency_key: printable ASCII without spaces, please");
    return bytes_to_cstr(key, out, CONTRACT_ID_BYTES + 1);
}

void handle_payment_refund(void *ctx, bus_request_t *request)
{
    error_t err = {0};
    erp_payment_refund_request_t asked;
    char key[CONTRACT_ID_BYTES + 1];
    payment_op_t *op = op_new(ctx, request, sizeof(*op), &class);
    if (!op)
        return;
    op->is_refund = true;
    if (!erp_payment_refund_request_unpack(request->body, &op->op.arena, &asked, &err) ||
        !key_take(asked.idempotency_key, key, &err)) {
        op_fail(&op->op, &err);
        return;
    }
    buf_t body = {0};
    refund_body(&asked, &body);
    rest_call_t made = {.method = "POST", .idempotency_key = key, .body = buf_bytes(&body)};
    call(op, &made, asked.payment_id, "/refunds");
    buf_free(&body);
}
