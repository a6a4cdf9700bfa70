/* call_jobs.c: fm.job.*: work that may take its time, through the queues and a table. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/timefmt.h"
#include "services/fm-invoker/jobs.h"

#define JOB_TOKENS_DEFAULT 1024
#define SELECT_JOB                                                                                                     \
    "SELECT job_id, status, (extract(epoch FROM created_at) * 1000000)::bigint,"                                       \
    " (extract(epoch FROM updated_at) * 1000000)::bigint, text, model_id, input_tokens, output_tokens,"                \
    " cost_usd_micros, error FROM jobs WHERE job_id = $1"

enum { COL_ID, COL_STATUS, COL_CREATED, COL_UPDATED, COL_TEXT, COL_MODEL, COL_INPUT, COL_OUTPUT, COL_COST, COL_ERROR };

/* One call under way. */
typedef struct {
    app_t *app;
    bus_request_t *request;
    arena_t arena;
    fm_job_submit_request_t ask; /* of submit */
    char job_id[APP_ID_BYTES];
    const char *queue;
    bool created;
} job_call_t;

static void job_call_free(job_call_t *self)
{
    arena_free(&self->arena);
    free(self);
}

static void fail(job_call_t *self, const error_t *err)
{
    bus_fail(self->app->bus, self->request, err);
    job_call_free(self);
}

static job_call_t *job_call_new(app_t *app, bus_request_t *request)
{
    job_call_t *self = calloc(1, sizeof *self);
    error_t err = {0};
    if (!self) {
        (void)error_set(&err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        bus_fail(app->bus, request, &err);
        return NULL;
    }
    *self = (job_call_t){.app = app, .request = request};
    arena_init(&self->arena, 0);
    return self;
}

/* Ends the call with what was packed, or with the error that packing met. */
static void reply(job_call_t *self, bool packed, buf_t *body, const error_t *err)
{
    if (packed) {
        bus_reply(self->app->bus, self->request, buf_bytes(body));
        job_call_free(self);
    } else {
        fail(self, err);
    }
    buf_free(body);
}

static bool not_found(error_t *err)
{
    return error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "there is no job of this id");
}

/* -- submit -------------------------------------------------------------------------------------- */
static bool submit_check(const fm_job_submit_request_t *ask, error_t *err)
{
    if (!bytes_eq_cstr(ask->job_type, "inference"))
        return error_set(err, STATUS_UNIMPLEMENTED, "UnsupportedOperation",
                         "request.job_type: batch_analysis is not done by this version");
    if (ask->has_message_group_id)
        return error_set(err, STATUS_UNIMPLEMENTED, "UnsupportedOperation",
                         "request.message_group_id: ordered jobs are not done by this version");
    if (ask->has_callback_url)
        return error_set(err, STATUS_UNIMPLEMENTED, "UnsupportedOperation",
                         "request.callback_url: this version calls nobody back; ask with fm.job.get");
    return ask->has_prompt ||
           error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "request.prompt: is needed for an inference");
}

static const char *queue_of(const fm_job_submit_request_t *ask)
{
    if (ask->has_priority && bytes_eq_cstr(ask->priority, "high"))
        return FM_QUEUE_HIGH;
    return ask->has_priority && bytes_eq_cstr(ask->priority, "low") ? FM_QUEUE_LOW : FM_QUEUE_NORMAL;
}

static void submitted(job_call_t *self)
{
    fm_job_submit_response_t response = {.job_id = bytes_cstr(self->job_id),
                                         .queue = bytes_cstr(self->queue),
                                         .item_count = 1,
                                         .created = self->created};
    buf_t body = {0};
    error_t err;
    reply(self, fm_job_submit_response_pack(&body, &response, &err), &body, &err);
}

static void on_sent(void *ctx, const error_t *err, uint64_t record UNUSED, bool duplicate UNUSED)
{
    job_call_t *self = ctx;
    if (err)
        fail(self, err); /* submitting again with the same key sends again */
    else
        submitted(self);
}

static void message_send(job_call_t *self)
{
    const fm_job_submit_request_t *ask = &self->ask;
    fm_work_message_t message = {.request_id = bytes_cstr(self->job_id), .prompt = ask->prompt};
    buf_t body = {0};
    error_t err = {0};
    if (ask->has_model)
        SCHEMA_SET(&message, model_id, ask->model);
    if (ask->has_max_tokens)
        SCHEMA_SET(&message, max_tokens, ask->max_tokens);
    if (ask->has_metadata)
        SCHEMA_SET(&message, metadata, ask->metadata);
    if (!fm_work_message_pack(&body, &message, &err) ||
        !bus_send(self->app->bus, &(bus_message_t){.queue = self->queue, .body = buf_bytes(&body), .delay_ms = -1},
                  on_sent, self, &err))
        fail(self, &err);
    buf_free(&body);
}

/* Columns: job_id, queue, status, and whether this statement made the row. */
static void on_inserted(void *ctx, const PGresult *result, const error_t *err)
{
    job_call_t *self = ctx;
    error_t busy = {0};
    if (err) {
        fail(self, err);
        return;
    }
    if (PQntuples(result) == 0) {
        (void)error_set(&busy, STATUS_ABORTED, NULL, "the same job is being submitted by another request; ask again");
        fail(self, &busy);
        return;
    }
    (void)bytes_to_cstr(pg_text(result, 0, 0), self->job_id, sizeof self->job_id);
    bytes_t queue = pg_text(result, 0, 1);
    self->queue = bytes_eq_cstr(queue, FM_QUEUE_HIGH)  ? FM_QUEUE_HIGH
                  : bytes_eq_cstr(queue, FM_QUEUE_LOW) ? FM_QUEUE_LOW
                                                       : FM_QUEUE_NORMAL;
    self->created = pg_bool(result, 0, 3);
    /* A row that still waits may be of a submission that died before it sent; a message too many does no harm. */
    if (self->created || bytes_eq_cstr(pg_text(result, 0, 2), "queued"))
        message_send(self);
    else
        submitted(self);
}

static void row_insert(job_call_t *self)
{
    app_id(self->job_id);
    self->queue = queue_of(&self->ask);
    const pg_param_t params[] = {PG_TEXT(self->job_id), PG_TEXT(self->queue),
                                 self->ask.has_idempotency_key ? PG_STR(self->ask.idempotency_key) : PG_NULL};
    pg_query(self->app->pg,
             "WITH made AS (INSERT INTO jobs (job_id, status, queue, idempotency_key) VALUES ($1, 'queued', $2, $3)"
             " ON CONFLICT (idempotency_key) DO NOTHING RETURNING job_id, queue, status) "
             "SELECT job_id, queue, status, true FROM made UNION ALL "
             "SELECT job_id, queue, status, false FROM jobs WHERE idempotency_key = $3",
             params, ARRAY_LEN(params), on_inserted, self);
}

void call_job_submit(void *ctx, bus_request_t *request)
{
    job_call_t *self = job_call_new(ctx, request);
    error_t err = {0};
    if (!self)
        return;
    if (fm_job_submit_request_unpack(request->body, &self->arena, &self->ask, &err) && submit_check(&self->ask, &err) &&
        models_find(&self->app->models, self->ask.has_model ? self->ask.model : BYTES_NONE, &err))
        row_insert(self);
    else
        fail(self, &err);
}

/* -- get ----------------------------------------------------------------------------------------- */
static void job_fill(const PGresult *row, fm_job_t *job, char created[TIMEFMT_MS_BYTES], char updated[TIMEFMT_MS_BYTES])
{
    timefmt_ms(pg_i64(row, 0, COL_CREATED, 0), created);
    timefmt_ms(pg_i64(row, 0, COL_UPDATED, 0), updated);
    *job = (fm_job_t){.job_id = pg_text(row, 0, COL_ID),
                      .status = pg_text(row, 0, COL_STATUS),
                      .created_at = bytes_cstr(created),
                      .updated_at = bytes_cstr(updated),
                      .item_count = 1};
    bool completed = bytes_eq_cstr(job->status, "completed");
    job->items_succeeded = completed;
    job->items_failed = bytes_eq_cstr(job->status, "failed");
    if (pg_text(row, 0, COL_ERROR).len)
        SCHEMA_SET(job, error, pg_text(row, 0, COL_ERROR));
    if (!completed)
        return;
    SCHEMA_SET(job, text, pg_text(row, 0, COL_TEXT));
    SCHEMA_SET(job, model_id, pg_text(row, 0, COL_MODEL));
    SCHEMA_SET(job, usage, ((token_usage_t){pg_i64(row, 0, COL_INPUT, 0), pg_i64(row, 0, COL_OUTPUT, 0)}));
    SCHEMA_SET(job, cost_usd_micros, pg_i64(row, 0, COL_COST, 0));
}

static void on_job(void *ctx, const PGresult *result, const error_t *err)
{
    job_call_t *self = ctx;
    error_t own = {0};
    buf_t body = {0};
    char created[TIMEFMT_MS_BYTES], updated[TIMEFMT_MS_BYTES];
    fm_job_t job;
    if (err) {
        fail(self, err);
    } else if (PQntuples(result) == 0) {
        (void)not_found(&own);
        fail(self, &own);
    } else {
        job_fill(result, &job, created, updated);
        reply(self, fm_job_pack(&body, &job, &own), &body, &own);
    }
}

/* get and cancel take the same request. */
static void with_job_id(app_t *app, bus_request_t *request, const char *sql, pg_done_fn fn)
{
    job_call_t *self = job_call_new(app, request);
    fm_job_get_request_t ask;
    error_t err = {0};
    if (!self)
        return;
    if (!fm_job_get_request_unpack(request->body, &self->arena, &ask, &err)) {
        fail(self, &err);
        return;
    }
    const pg_param_t params[] = {PG_STR(ask.job_id)};
    pg_query(app->pg, sql, params, ARRAY_LEN(params), fn, self);
}

void call_job_get(void *ctx, bus_request_t *request)
{
    with_job_id(ctx, request, SELECT_JOB, on_job);
}

/* -- cancel -------------------------------------------------------------------------------------- */
static void on_cancelled(void *ctx, const PGresult *result, const error_t *err)
{
    job_call_t *self = ctx;
    error_t own = {0};
    buf_t body = {0};
    if (err) {
        fail(self, err);
    } else if (PQntuples(result) == 0) {
        (void)not_found(&own);
        fail(self, &own);
    } else {
        const fm_job_cancel_response_t response = {.job_id = pg_text(result, 0, 0), .status = pg_text(result, 0, 1)};
        reply(self, fm_job_cancel_response_pack(&body, &response, &own), &body, &own);
    }
}

/* Its message stays in the queue; the worker that takes it finds the job over and acknowledges. What is being
 * worked on is left to end, but its result is no longer kept. */
void call_job_cancel(void *ctx, bus_request_t *request)
{
    with_job_id(ctx, request,
                "WITH done AS (UPDATE jobs SET status = 'cancelled', lease_until = NULL, updated_at = now()"
                " WHERE job_id = $1 AND status IN ('queued', 'processing') RETURNING job_id, status) "
                "SELECT job_id, status FROM done UNION ALL "
                "SELECT job_id, status FROM jobs WHERE job_id = $1 AND NOT EXISTS (SELECT 1 FROM done)",
                on_cancelled);
}
