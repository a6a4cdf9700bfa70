/* jobs.c: the table of jobs. */
#include "services/fm-invoker/jobs.h"

#include <stdlib.h>

#define LEASE_SQL "now() + $2::bigint * interval '1 millisecond'"

const pg_migration_t fm_migrations[] = {
    {1, "budget and jobs",
     "CREATE TABLE budget ("
     "  day date PRIMARY KEY,"
     "  spent_usd_micros bigint NOT NULL);"
     "CREATE TABLE jobs ("
     "  job_id text PRIMARY KEY,"
     "  job_type text NOT NULL DEFAULT 'inference',"
     "  status text NOT NULL CHECK (status IN ('queued', 'processing', 'completed', 'failed', 'cancelled')),"
     "  queue text,"
     "  idempotency_key text UNIQUE,"
     "  created_at timestamptz NOT NULL DEFAULT now(),"
     "  updated_at timestamptz NOT NULL DEFAULT now(),"
     "  lease_until timestamptz,"
     "  text text,"
     "  model_id text,"
     "  input_tokens bigint NOT NULL DEFAULT 0,"
     "  output_tokens bigint NOT NULL DEFAULT 0,"
     "  cost_usd_micros bigint NOT NULL DEFAULT 0,"
     "  error text);"},
};
const size_t fm_migration_count = ARRAY_LEN(fm_migrations);

/* -- claim --------------------------------------------------------------------------------------- */
typedef struct {
    jobs_claimed_fn fn;
    void *ctx;
} claiming_t;

/* Columns: whether this statement took the lease; else the job's status. */
static void on_claimed(void *ctx, const PGresult *result, const error_t *err)
{
    claiming_t claiming = *(claiming_t *)ctx;
    free(ctx);
    claim_t claim = CLAIM_UNKNOWN;
    if (!err && PQntuples(result) == 0)
        claim = CLAIM_LEASED; /* made by another worker between the two looks of the statement */
    else if (!err && pg_bool(result, 0, 0))
        claim = CLAIM_TAKEN;
    else if (!err)
        claim = bytes_eq_cstr(pg_text(result, 0, 1), "processing") ? CLAIM_LEASED : CLAIM_OVER;
    claiming.fn(claiming.ctx, claim, err);
}

int64_t jobs_lease_ms(const app_t *app)
{
    return app->settings->timeout_ms + JOBS_LEASE_MARGIN_MS;
}

void jobs_claim(app_t *app, bytes_t job_id, jobs_claimed_fn fn, void *ctx)
{
    claiming_t *claiming = calloc(1, sizeof *claiming);
    error_t err = {0};
    if (!claiming) {
        (void)error_set(&err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        fn(ctx, CLAIM_UNKNOWN, &err);
        return;
    }
    *claiming = (claiming_t){fn, ctx};
    const pg_param_t params[] = {PG_STR(job_id), PG_I64(jobs_lease_ms(app))};
    pg_query(app->pg,
             "WITH taken AS ("
             "  INSERT INTO jobs (job_id, status, lease_until) VALUES ($1, 'processing', " LEASE_SQL ")"
             "  ON CONFLICT (job_id) DO UPDATE SET status = 'processing', lease_until = " LEASE_SQL
             ", updated_at = now()"
             "  WHERE jobs.status = 'queued' OR (jobs.status = 'processing' AND jobs.lease_until < now())"
             "  RETURNING job_id) "
             "SELECT true, 'processing' FROM taken "
             "UNION ALL SELECT false, status FROM jobs WHERE job_id = $1 AND NOT EXISTS (SELECT 1 FROM taken)",
             params, ARRAY_LEN(params), on_claimed, claiming);
}

/* -- results ------------------------------------------------------------------------------------- */
typedef struct {
    jobs_done_fn fn;
    void *ctx;
} updating_t;

static void on_updated(void *ctx, const PGresult *result UNUSED, const error_t *err)
{
    updating_t updating = *(updating_t *)ctx;
    free(ctx);
    updating.fn(updating.ctx, err);
}

static void update(app_t *app, const char *sql, const pg_param_t *params, int count, jobs_done_fn fn, void *ctx)
{
    updating_t *updating = calloc(1, sizeof *updating);
    error_t err = {0};
    if (!updating) {
        (void)error_set(&err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        fn(ctx, &err);
        return;
    }
    *updating = (updating_t){fn, ctx};
    pg_query(app->pg, sql, params, count, on_updated, updating);
}

void jobs_complete(app_t *app, bytes_t job_id, const inference_result_t *result, jobs_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_STR(job_id),
                                 PG_STR(result->text),
                                 PG_TEXT(result->model_id),
                                 PG_I64(result->input_tokens),
                                 PG_I64(result->output_tokens),
                                 PG_I64(result->cost_usd_micros)};
    update(app,
           "UPDATE jobs SET status = 'completed', text = $2, model_id = $3, input_tokens = $4, output_tokens = $5,"
           " cost_usd_micros = $6, error = NULL, lease_until = NULL, updated_at = now()"
           " WHERE job_id = $1 AND status = 'processing'",
           params, ARRAY_LEN(params), fn, ctx);
}

void jobs_fail(app_t *app, bytes_t job_id, const char *why, jobs_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_STR(job_id), PG_TEXT(why)};
    update(app,
           "UPDATE jobs SET status = 'failed', error = $2, lease_until = NULL, updated_at = now()"
           " WHERE job_id = $1 AND status = 'processing'",
           params, ARRAY_LEN(params), fn, ctx);
}

void jobs_requeue(app_t *app, bytes_t job_id, jobs_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_STR(job_id)};
    update(app,
           "UPDATE jobs SET status = 'queued', lease_until = NULL, updated_at = now()"
           " WHERE job_id = $1 AND status = 'processing'",
           params, ARRAY_LEN(params), fn, ctx);
}
