/* run_stock.c: the stock of pages: asked for, kept, struck off the list of what is due; a few pages at once. */
#include <stdlib.h>

#include "proto/timefmt.h"
#include "services/sync-reconciler/run_internal.h"

#define TIMEOUT_MS 60000
#define TRIES 3           /* stock is read again by events and by the next run */
#define VERSION_STEP 1000 /* as inventory-events makes versions of times */

struct stock_job {
    TAILQ_ENTRY(stock_job) link;
    run_t *run; /* NULL: dropped while the database worked for it */
    loop_timer_t *timer;
    int64_t due_id;
    int tries;
    uint64_t call;
    bool is_keeping;
    buf_t request;
};

static void job_ask(stock_job_t *job);

static void job_free(stock_job_t *job)
{
    loop_timer_end(&job->timer);
    buf_free(&job->request);
    free(job);
}

static void job_unlink(stock_job_t *job)
{
    TAILQ_REMOVE(&job->run->jobs, job, link);
    job->run->job_count--;
    job->run = NULL;
}

static void job_end(stock_job_t *job)
{
    run_t *run = job->run;
    job_unlink(job);
    job_free(job);
    run_go_on(run);
}

/* Again after a pause; after the last try the page is done without its stock. */
static void job_failed(stock_job_t *job, const error_t *err)
{
    run_t *run = job->run;
    if (err->code == STATUS_CANCELLED) { /* this process ends */
        run_leave(run);
        return;
    }
    if (status_is_transient(err->code) && ++job->tries < TRIES) {
        int64_t pause_ms = (int64_t)RETRY_FIRST_MS << job->tries;
        log_warn("a page's stock waits", LOG_S("error", err->message), LOG_I("retry_ms", pause_ms));
        loop_timer_in(job->timer, err->retry_after_ms > pause_ms ? err->retry_after_ms : pause_ms);
        return;
    }
    log_warn("a page's stock was left out", LOG_S("error", err->message));
    store_due_drop(service_pg(run->service), job->due_id);
    job_end(job);
}

static void on_timer(void *ctx)
{
    job_ask(ctx);
}

/* -- keeping ---------------------------------------------------------------------------------------- */
static void on_kept(void *ctx, const PGresult *result, const error_t *err)
{
    (void)ctx, (void)result, (void)err; /* a failure fails the commit behind it */
}

static void on_committed(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    stock_job_t *job = ctx;
    job->is_keeping = false;
    if (!job->run) {
        job_free(job);
    } else if (err) {
        error_t transient = *err;
        transient.code = err->code == STATUS_CANCELLED ? STATUS_CANCELLED : STATUS_UNAVAILABLE;
        job_failed(job, &transient);
    } else {
        job_end(job);
    }
}

static size_t lines_take(const erp_stock_batch_response_t *stock, store_stock_t *lines)
{
    size_t count = 0;
    for (uint32_t i = 0; i < stock->lines.count; i++) {
        const stock_line_t *line = &stock->lines.items[i];
        int64_t as_of_us;
        if (timefmt_parse(line->as_of, &as_of_us))
            lines[count++] = (store_stock_t){line->isbn, line->warehouse_code, line->status, line->quantity,
                                             as_of_us * VERSION_STEP};
    }
    return count;
}

static void job_keep(stock_job_t *job, const erp_stock_batch_response_t *stock, arena_t *arena)
{
    run_t *run = job->run;
    store_stock_t *lines = arena_array(arena, stock->lines.count + 1, sizeof *lines);
    pg_tx_t *tx = lines ? pg_begin(service_pg(run->service)) : NULL;
    if (!tx) {
        const error_t err = {.code = STATUS_UNAVAILABLE, .message = "no memory or database for a page's stock"};
        job_failed(job, &err);
        return;
    }
    job->is_keeping = true;
    store_stock(tx, lines, lines_take(stock, lines), on_kept, job);
    store_due_done(tx, job->due_id, run->run_id, on_kept, job);
    pg_tx_commit(tx, on_committed, job);
}

/* -- asking ----------------------------------------------------------------------------------------- */
static void on_stock(void *ctx, const bus_reply_t *reply)
{
    stock_job_t *job = ctx;
    erp_stock_batch_response_t stock;
    error_t err = {0};
    arena_t arena;
    job->call = 0;
    arena_init(&arena, ARENA_BYTES);
    if (reply->err) {
        job_failed(job, reply->err);
    } else if (erp_stock_batch_response_unpack(reply->body, &arena, &stock, &err)) {
        run_answered(job->run);
        job_keep(job, &stock, &arena);
    } else {
        job_failed(job, &err);
    }
    arena_free(&arena);
}

static void job_ask(stock_job_t *job)
{
    bus_call_t call = {.method = CALL_ERP_STOCK_BATCH,
                       .body = buf_bytes(&job->request),
                       .timeout_ms = TIMEOUT_MS,
                       .idempotent = true,
                       .on_done = on_stock,
                       .ctx = job};
    error_t err = {0};
    job->call = bus_call(service_bus(job->run->service), &call, &err);
    if (!job->call)
        job_failed(job, &err);
}

void stock_begin(run_t *run, int64_t due_id, bytes_t request)
{
    stock_job_t *job = calloc(1, sizeof *job);
    if (job)
        job->timer = loop_timer_new(service_loop(run->service), on_timer, job);
    if (!job || !job->timer)
        abort();
    job->run = run;
    job->due_id = due_id;
    buf_append_bytes(&job->request, request);
    TAILQ_INSERT_TAIL(&run->jobs, job, link);
    run->job_count++;
    loop_timer_in(job->timer, 0);
}

void stock_drop_all(run_t *run)
{
    stock_job_t *job;
    while ((job = TAILQ_FIRST(&run->jobs))) {
        if (job->call)
            bus_cancel(service_bus(run->service), job->call, "the run is over here");
        job_unlink(job);
        if (job->is_keeping)
            loop_timer_off(job->timer);
        else
            job_free(job);
    }
}
