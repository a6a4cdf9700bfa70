/* run.c: the loading as a whole: taken, gone on with, ended; what is done next is decided in run_go_on(). */
#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "services/sync-reconciler/run_internal.h"

#define LEASE_EVERY_MS 10000

static void take(run_t *self, bool begin, const char *kind, bool resume);
static void due_ask(run_t *self);

/* -- ending ----------------------------------------------------------------------------------------- */
static void idle(run_t *self)
{
    self->state = RUN_IDLE;
    self->run_id[0] = '\0';
    metric_set(self->running, 0);
    loop_timer_in(self->timer, RUN_TAKE_EVERY_MS);
}

static void on_ended(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    run_t *self = ctx;
    if (err) /* its lease runs out, and it is taken over */
        log_warn("the end of the run could not be written", LOG_S("error", err->message));
    idle(self);
}

static void finish(run_t *self, const char *error)
{
    self->state = RUN_ENDING;
    if (error)
        log_error("the catalogue's loading failed; the next run goes on from its checkpoint",
                  LOG_S("run_id", self->run_id), LOG_S("error", error));
    else
        log_info("the catalogue is loaded", LOG_S("run_id", self->run_id), LOG_I("count", self->done),
                 LOG_I("quarantined", self->quarantined));
    store_run_finish(service_pg(self->service), self->run_id, service_instance(self->service), error, on_ended, self);
}

/* No page is being kept. */
static void loading_end(run_t *self)
{
    pages_from_kept(self);
    stock_drop_all(self);
    loop_timer_off(self->timer);
    loop_timer_off(self->lease);
    if (self->verdict == RUN_IS_LEFT)
        idle(self);
    else
        finish(self, self->verdict == RUN_FAILS ? self->why : NULL);
}

void run_fail(run_t *self, const char *why)
{
    if (self->verdict != RUN_GOES_ON)
        return;
    self->verdict = RUN_FAILS;
    (void)snprintf(self->why, sizeof self->why, "%s", why);
}

void run_leave(run_t *self)
{
    self->verdict = RUN_IS_LEFT;
    run_go_on(self);
}

/* -- going on --------------------------------------------------------------------------------------- */
/* What comes is kept, what is kept makes room to ask for more; the end waits for the page that is being kept. */
void run_go_on(run_t *self)
{
    if (self->state == RUN_LOADING && self->verdict == RUN_GOES_ON && self->next.is_there && !self->tx)
        page_keep(self);
    if (self->state == RUN_LOADING && self->verdict == RUN_GOES_ON && page_may_be_asked(self))
        page_ask(self);
    if (self->state != RUN_LOADING || self->tx)
        return;
    if (self->verdict != RUN_GOES_ON || (self->is_all_kept && self->job_count == 0))
        loading_end(self);
}

static void on_timer(void *ctx)
{
    run_t *self = ctx;
    switch (self->state) {
    case RUN_IDLE:
        take(self, false, "full", true);
        break;
    case RUN_TAKING:
        due_ask(self);
        break;
    case RUN_LOADING:
        self->is_pausing = false;
        run_go_on(self);
        break;
    case RUN_ENDING:
        break;
    }
}

void run_answered(run_t *self)
{
    self->silent_since_ms = 0;
    self->retry_ms = RETRY_FIRST_MS;
}

static void on_noted(void *ctx, const PGresult *result, const error_t *err)
{
    (void)ctx, (void)result, (void)err; /* a remark for people */
}

void run_try_again(run_t *self, const error_t *err)
{
    int64_t now_ms = clock_mono_ms();
    if (self->state != RUN_LOADING || self->verdict != RUN_GOES_ON)
        return;
    if (err->code == STATUS_CANCELLED) { /* this process ends: whoever comes next goes on from the checkpoint */
        self->verdict = RUN_IS_LEFT;
        return;
    }
    if (self->silent_since_ms == 0)
        self->silent_since_ms = now_ms;
    if (!status_is_transient(err->code) || now_ms - self->silent_since_ms > RUN_PATIENCE_MS) {
        run_fail(self, err->message);
        return;
    }
    log_warn("the loading waits", LOG_S("error", err->message), LOG_I("retry_ms", self->retry_ms));
    store_run_note(service_pg(self->service), self->run_id, service_instance(self->service), err->message, on_noted,
                   self);
    int64_t pause_ms = err->retry_after_ms > self->retry_ms ? err->retry_after_ms : self->retry_ms;
    self->retry_ms = self->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : self->retry_ms * 2;
    self->is_pausing = true;
    loop_timer_in(self->timer, pause_ms);
}

/* -- the lease -------------------------------------------------------------------------------------- */
static void on_renewed(void *ctx, const PGresult *rows, const error_t *err)
{
    run_t *self = ctx;
    bool is_lost = !err && PQntuples(rows) == 0 && strcmp(self->renewed_id, self->run_id) == 0;
    self->renewed_id[0] = '\0';
    if (self->state == RUN_LOADING && is_lost) {
        log_warn("another instance owns the run now", LOG_S("run_id", self->run_id));
        run_leave(self);
    }
}

static void on_lease(void *ctx)
{
    run_t *self = ctx;
    loop_timer_in(self->lease, LEASE_EVERY_MS);
    if (self->renewed_id[0])
        return; /* the last renewal is not answered */
    memcpy(self->renewed_id, self->run_id, sizeof self->renewed_id);
    store_run_note(service_pg(self->service), self->run_id, service_instance(self->service), NULL, on_renewed, self);
}

/* -- beginning -------------------------------------------------------------------------------------- */
static void waiter_tell(run_t *self, bool started, const error_t *err)
{
    run_started_fn waiter = self->waiter;
    self->waiter = NULL;
    if (waiter)
        waiter(self->waiter_ctx, self->run_id, started, err);
}

static void adopt(run_t *self, const PGresult *row)
{
    (void)bytes_to_cstr(pg_text(row, 0, RUN_ID), self->run_id, sizeof self->run_id);
    (void)bytes_to_cstr(pg_text(row, 0, RUN_KIND), self->kind, sizeof self->kind);
    (void)bytes_to_cstr(pg_text(row, 0, RUN_SINCE), self->since, sizeof self->since);
    (void)bytes_to_cstr(pg_text(row, 0, RUN_CURSOR), self->kept_cursor, sizeof self->kept_cursor);
    self->done = pg_i64(row, 0, RUN_DONE, 0);
    self->total = pg_i64(row, 0, RUN_TOTAL, -1);
    self->quarantined = pg_i64(row, 0, RUN_QUARANTINED, 0);
    self->verdict = RUN_GOES_ON;
    self->is_pausing = false;
    pages_from_kept(self);
    self->is_all_kept = self->is_all_asked = self->done > 0 && self->kept_cursor[0] == '\0';
    run_answered(self);
    metric_set(self->running, 1);
    log_info(self->done ? "going on with loading the catalogue" : "loading the catalogue",
             LOG_S("run_id", self->run_id), LOG_S("kind", self->kind), LOG_I("count", self->done));
}

static void on_taken(void *ctx, const PGresult *result, const error_t *err)
{
    run_t *self = ctx;
    if (err || PQntuples(result) == 0) {
        idle(self);
        waiter_tell(self, false, err);
        return;
    }
    adopt(self, result);
    waiter_tell(self, true, NULL);
    due_ask(self);
}

/* -- what an owner before left to be read ------------------------------------------------------------ */
static void on_due(void *ctx, const PGresult *rows, const error_t *err)
{
    run_t *self = ctx;
    buf_t request = {0};
    if (err && err->code == STATUS_CANCELLED) {
        idle(self);
        return;
    }
    if (err) {
        log_warn("the stock that is due could not be looked for", LOG_S("error", err->message));
        loop_timer_in(self->timer, RETRY_FIRST_MS);
        return;
    }
    self->state = RUN_LOADING;
    loop_timer_in(self->lease, LEASE_EVERY_MS);
    for (int row = 0; self->with_stock && row < PQntuples(rows); row++) {
        buf_clear(&request);
        if (pg_bytea(rows, row, DUE_REQUEST, &request))
            stock_begin(self, pg_i64(rows, row, DUE_ID, 0), buf_bytes(&request));
    }
    buf_free(&request);
    run_go_on(self);
}

static void due_ask(run_t *self)
{
    store_due_find(service_pg(self->service), self->done == 0, on_due, self);
}

static void take(run_t *self, bool begin, const char *kind, bool resume)
{
    self->state = RUN_TAKING;
    store_run_take(service_pg(self->service), service_instance(self->service), begin, kind, resume, on_taken, self);
}

void run_start(run_t *self, const char *kind, bool resume, run_started_fn fn, void *ctx)
{
    error_t err = {0};
    if (self->state == RUN_IDLE && !self->waiter) {
        self->waiter = fn;
        self->waiter_ctx = ctx;
        take(self, true, kind, resume);
    } else if (self->run_id[0]) {
        fn(ctx, self->run_id, false, NULL);
    } else {
        (void)error_set(&err, STATUS_UNAVAILABLE, NULL, "a run is just being begun or ended; try again");
        err.retry_after_ms = RETRY_FIRST_MS;
        fn(ctx, "", false, &err);
    }
}

/* -- the first run ---------------------------------------------------------------------------------- */
static void first_told(run_t *self, const error_t *err)
{
    run_asked_fn fn = self->first;
    self->first = NULL;
    if (err)
        log_warn("the first loading could not begin", LOG_S("error", err->message));
    fn(self->first_ctx, err == NULL);
}

static void first_started(void *ctx, const char *run_id, bool started, const error_t *err)
{
    (void)run_id, (void)started;
    first_told(ctx, err);
}

static void on_any_completed(void *ctx, const PGresult *result, const error_t *err)
{
    run_t *self = ctx;
    if (err || pg_bool(result, 0, 0))
        first_told(self, err);
    else
        run_start(self, "full", true, first_started, self);
}

void run_start_if_never(run_t *self, run_asked_fn fn, void *ctx)
{
    self->first = fn;
    self->first_ctx = ctx;
    store_run_any_completed(service_pg(self->service), on_any_completed, self);
}

static bool parts_make(run_t *self)
{
    loop_t *loop = service_loop(self->service);
    self->timer = loop_timer_new(loop, on_timer, self);
    self->lease = loop_timer_new(loop, on_lease, self);
    self->books = calloc(1, sizeof *self->books);
    arena_init(&self->next.arena, ARENA_BYTES);
    arena_init(&self->keeping.arena, ARENA_BYTES);
    TAILQ_INIT(&self->jobs);
    return self->timer && self->lease && self->books;
}

static void metrics_make(run_t *self)
{
    metrics_t *metrics = service_metrics(self->service);
    static const char help[] = "catalogue entries judged";
    self->books_kept = metrics_counter(metrics, "mangabus_sync_books_total", "outcome=\"kept\"", help);
    self->books_held = metrics_counter(metrics, "mangabus_sync_books_total", "outcome=\"quarantined\"", help);
    self->running = metrics_gauge(metrics, "mangabus_sync_running", "", "1 while this instance loads the catalogue");
}

run_t *run_new(service_t *service, outbox_t *outbox, bool with_stock, error_t *err)
{
    run_t *self = calloc(1, sizeof *self);
    if (self)
        *self = (run_t){.service = service, .outbox = outbox, .with_stock = with_stock};
    if (!self || !parts_make(self)) {
        run_free(&self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    metrics_make(self);
    idle(self);
    return self;
}

static void page_free(page_t *page)
{
    arena_free(&page->arena);
    buf_free(&page->body);
}

void run_free(run_t **run)
{
    run_t *self = *run;
    if (!self)
        return;
    if (self->tx)
        pg_tx_rollback(self->tx);
    stock_drop_all(self);
    loop_timer_end(&self->timer);
    loop_timer_end(&self->lease);
    page_free(&self->next);
    page_free(&self->keeping);
    if (self->books)
        buf_free(&self->books->bodies);
    free(self->books);
    buf_free(&self->due);
    free(self);
    *run = NULL;
}
