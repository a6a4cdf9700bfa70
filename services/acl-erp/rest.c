/* rest.c: JSON in, msgpack out, one table of HTTP statuses. */
#include "services/acl-erp/rest.h"

#include <stdlib.h>

#include "kit/log.h"
#include "proto/json.h"

typedef struct {
    rest_fn fn;
    void *ctx;
} question_t;

void rest_path_append(buf_t *out, bytes_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool is_plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' ||
                        c == '_' || c == '~';
        if (is_plain)
            buf_append_byte(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static backend_verdict_t status_read(unsigned http_status, error_t *err)
{
    switch (http_status) {
    case 404:
        (void)error_set(err, STATUS_NOT_FOUND, NULL, "there is no such thing");
        return BACKEND_WELL;
    case 409:
    case 422:
        (void)error_set(err, STATUS_FAILED_PRECONDITION, NULL, "its state, or a key used before, does not allow this");
        return BACKEND_WELL;
    case 429:
    case 503:
        (void)error_set(err, STATUS_UNAVAILABLE, "BackendBusy", "it takes no more requests for the moment");
        return BACKEND_BUSY;
    default:
        break;
    }
    if (http_status >= 500)
        (void)error_set(err, STATUS_UNAVAILABLE, NULL, "it reports a fault of its own (HTTP %u)", http_status);
    else
        (void)error_set(err, STATUS_INTERNAL, NULL, "it refused a request of ours (HTTP %u)", http_status);
    return http_status >= 500 ? BACKEND_FAILED : BACKEND_WELL;
}

static bool document_read(bytes_t json, buf_t *out, error_t *err)
{
    const json_limits_t limits = {.max_bytes = REST_BODY_MAX_BYTES, .max_depth = REST_DEPTH_MAX};
    if (!json_to_msgpack(json, &limits, out, err)) {
        log_warn("unreadable JSON of a backend", LOG_S("error", err->message));
        return error_set(err, STATUS_DATA_LOSS, NULL, "its answer is no JSON that can be read");
    }
    return true;
}

static backend_verdict_t done(void *ctx, const backend_result_t *result)
{
    question_t question = *(question_t *)ctx;
    error_t err = {0};
    buf_t document = {0};
    backend_verdict_t verdict = BACKEND_FAILED;
    rest_result_t told = {.err = &err, .sent_us = result->sent_us, .done_us = result->done_us};
    free(ctx);
    if (result->err)
        err = *result->err;
    else if (result->http->http_status < 200 || result->http->http_status > 299)
        verdict = status_read(result->http->http_status, &err);
    else if (document_read(result->http->body, &document, &err))
        told.err = NULL;
    told.document = buf_bytes(&document);
    bool makes_sense = question.fn(question.ctx, &told);
    if (!told.err && makes_sense)
        verdict = BACKEND_WELL;
    buf_free(&document);
    return verdict;
}

backend_job_t *rest_call(backend_t *backend, const rest_call_t *call, error_t *err)
{
    question_t *question = calloc(1, sizeof(*question));
    if (!question) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    *question = (question_t){.fn = call->fn, .ctx = call->ctx};
    backend_call_t made = {.method = call->method, .path = call->path, .is_live = true};
    made.deadline_us = call->deadline_us;
    made.headers[made.header_count++] = (http_header_t){"Accept", "application/json"};
    if (call->body.len)
        made.headers[made.header_count++] = (http_header_t){"Content-Type", "application/json"};
    if (call->idempotency_key)
        made.headers[made.header_count++] = (http_header_t){"Idempotency-Key", call->idempotency_key};
    buf_append_bytes(&made.body, call->body);
    made.fn = done;
    made.on_cancel = free;
    made.ctx = question;
    backend_job_t *job = backend_submit(backend, &made, err);
    if (!job)
        free(question);
    return job;
}
