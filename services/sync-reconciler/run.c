/* run.c: the loading as a state machine: take, page, keep, stock, keep, and again. */
#include "services/sync-reconciler/run.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "proto/timefmt.h"
#include "services/sync-reconciler/gate.h"
#include "services/sync-reconciler/store.h"

#define PAGE_TIMEOUT_MS 30000
#define STOCK_TIMEOUT_MS 60000
#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 15000
#define STOCK_TRIES 3 /* stock is read again by events and by the next run */
#define ARENA_BYTES ((size_t)64 << 20)
#define CURSOR_BYTES 257
#define TELL_EVERY_US (INT64_C(5) * 1000000)
#define VERSION_STEP 1000 /* as inventory-events makes versions of times */

typedef enum {
    RUN_IDLE,
    RUN_TAKING,
    RUN_PAGING,
    RUN_KEEPING,
    RUN_STOCK,
    RUN_STOCK_KEEPING,
    RUN_WAITING,
    RUN_ENDING
} state_t;

typedef struct {
    run_started_fn fn;
    void *ctx;
} waiter_t;

struct run {
    service_t *service;
    outbox_t *outbox;
    bool with_stock;
    state_t state;
    loop_timer_t *timer;
    void (*next)(run_t *self); /* what RUN_WAITING goes on with */
    char run_id[STORE_RUN_ID_BYTES];
    char kind[16], since[32], cursor[CURSOR_BYTES];
    bool is_last_page;
    int64_t done, total, quarantined;
    int64_t silent_since_ms, retry_ms, told_us;
    int stock_tries;
    buf_t isbns; /* packed request of the page's stock */
    uint32_t isbn_count;
    arena_t arena;
    pg_tx_t *tx;
    waiter_t waiter;
    metric_t *books, *held, *running;
};

static void page_ask(run_t *self);
static void stock_ask(run_t *self);
static void take(run_t *self, bool begin, const char *kind, bool resume);

/* -- moving between states -------------------------------------------------------------------------- */
static void idle(run_t *self)
{
    self->state = RUN_IDLE;
    self->run_id[0] = '\0';
    metric_set(self->running, 0);
    loop_timer_in(self->timer, RUN_TAKE_EVERY_MS);
}

static void wait_then(run_t *self, int64_t ms, void (*next)(run_t *))
{
    self->state = RUN_WAITING;
    self->next = next;
    loop_timer_in(self->timer, ms);
}

static void on_timer(void *ctx)
{
    run_t *self = ctx;
    if (self->state == RUN_WAITING)
        self->next(self);
    else if (self->state == RUN_IDLE)
        take(self, false, "full", true);
}

static void on_ended(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    run_t *self = ctx;
    if (err) /* its lease runs out, and it is taken over */
        log_warn("the end of the run could not be written", LOG_S("error", err->message));
    idle(self);
}

static void end(run_t *self, const char *error)
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

static void on_noted(void *ctx, const PGresult *result, const error_t *err)
{
    (void)ctx, (void)result, (void)err; /* a remark for people; the lease is renewed by the next */
}

/* Tries again later, unless patience is over or trying again cannot help. */
static void try_again(run_t *self, const error_t *err, void (*next)(run_t *))
{
    int64_t now_ms = clock_mono_ms();
    if (err->code == STATUS_CANCELLED) { /* this process ends: whoever comes next goes on from the checkpoint */
        idle(self);
        return;
    }
    if (self->silent_since_ms == 0)
        self->silent_since_ms = now_ms;
    if (!status_is_transient(err->code) || now_ms - self->silent_since_ms > RUN_PATIENCE_MS) {
        end(self, err->message);
        return;
    }
    log_warn("the loading waits", LOG_S("error", err->message), LOG_I("retry_ms", self->retry_ms));
    store_run_note(service_pg(self->service), self->run_id, service_instance(self->service), err->message, on_noted,
                   self);
    int64_t pause_ms = err->retry_after_ms > self->retry_ms ? err->retry_after_ms : self->retry_ms;
    self->retry_ms = self->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : self->retry_ms * 2;
    wait_then(self, pause_ms, next);
}

static void answered(run_t *self)
{
    self->silent_since_ms = 0;
    self->retry_ms = RETRY_FIRST_MS;
}

/* A transaction failed: the page is asked for again from its checkpoint. */
static void keeping_failed(run_t *self, const error_t *err)
{
    pg_tx_rollback(self->tx);
    self->tx = NULL;
    error_t transient = *err;
    transient.code = STATUS_UNAVAILABLE;
    try_again(self, &transient, page_ask);
}

static void lost(run_t *self)
{
    log_warn("another instance owns the run now", LOG_S("run_id", self->run_id));
    pg_tx_rollback(self->tx);
    self->tx = NULL;
    idle(self);
}

static void page_done(run_t *self)
{
    int64_t now_us = clock_mono_us();
    if (now_us - self->told_us > TELL_EVERY_US) {
        self->told_us = now_us;
        log_info("loading the catalogue", LOG_S("run_id", self->run_id), LOG_I("count", self->done),
                 LOG_I("total", self->total));
    }
    if (self->is_last_page)
        end(self, NULL);
    else
        page_ask(self);
}

/* -- stock of a page -------------------------------------------------------------------------------- */
static void on_stock_committed(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    run_t *self = ctx;
    self->tx = NULL;
    if (err)
        log_warn("stock could not be kept", LOG_S("error", err->message));
    page_done(self);
}

static void on_kept(void *ctx, const PGresult *result, const error_t *err)
{
    (void)ctx, (void)result, (void)err; /* a failure fails the commit behind it */
}

static void stock_keep(run_t *self, const erp_stock_batch_response_t *stock)
{
    self->tx = pg_begin(service_pg(self->service));
    if (!self->tx) {
        page_done(self);
        return;
    }
    self->state = RUN_STOCK_KEEPING;
    for (uint32_t i = 0; i < stock->lines.count; i++) {
        const stock_line_t *line = &stock->lines.items[i];
        int64_t as_of_us;
        if (timefmt_parse(line->as_of, &as_of_us))
            store_stock(self->tx, line, as_of_us * VERSION_STEP, on_kept, self);
    }
    store_stock_done(self->tx, self->run_id, self->isbn_count, on_kept, self);
    pg_tx_commit(self->tx, on_stock_committed, self);
}

static void on_stock(void *ctx, const bus_reply_t *reply)
{
    run_t *self = ctx;
    erp_stock_batch_response_t stock;
    error_t err = {0};
    if (!reply->err && erp_stock_batch_response_unpack(reply->body, &self->arena, &stock, &err)) {
        answered(self);
        stock_keep(self, &stock);
    } else if (reply->err && status_is_transient(reply->err->code) && ++self->stock_tries < STOCK_TRIES) {
        try_again(self, reply->err, stock_ask);
    } else {
        log_warn("a page's stock was left out", LOG_S("error", reply->err ? reply->err->message : err.message));
        page_done(self);
    }
    arena_reset(&self->arena);
}

static void stock_ask(run_t *self)
{
    self->state = RUN_STOCK;
    bus_call_t call = {.method = CALL_ERP_STOCK_BATCH,
                       .body = buf_bytes(&self->isbns),
                       .timeout_ms = STOCK_TIMEOUT_MS,
                       .idempotent = true,
                       .on_done = on_stock,
                       .ctx = self};
    error_t err = {0};
    if (!bus_call(service_bus(self->service), &call, &err))
        try_again(self, &err, stock_ask);
}

/* -- a page ----------------------------------------------------------------------------------------- */
static void on_page_committed(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    run_t *self = ctx;
    self->tx = NULL;
    if (err) {
        error_t transient = *err;
        transient.code = STATUS_UNAVAILABLE;
        try_again(self, &transient, page_ask);
        return;
    }
    outbox_wake(self->outbox);
    if (self->with_stock && self->isbn_count > 0) {
        self->stock_tries = 0;
        stock_ask(self);
    } else {
        page_done(self);
    }
}

static void on_checkpoint(void *ctx, const PGresult *result, const error_t *err)
{
    run_t *self = ctx;
    if (err)
        keeping_failed(self, err);
    else if (PQntuples(result) == 0)
        lost(self);
    else {
        self->done = pg_i64(result, 0, 0, self->done);
        pg_tx_commit(self->tx, on_page_committed, self);
    }
}

/* One entry: into the catalogue, or into the quarantine. True when it is a book whose stock is to be read. */
static bool book_keep(run_t *self, const book_t *book, int64_t now_us)
{
    const char *why = gate_check(book, now_us);
    buf_t body = {0};
    error_t err = {0};
    bool packs = book_pack(&body, book, &err);
    if (why || !packs) {
        metric_add(self->held, 1);
        store_quarantine(self->tx, book->isbn, bytes_cstr(why ? why : err.message), book->title, self->run_id, on_kept,
                         self);
    } else {
        metric_add(self->books, 1);
        store_book(self->tx, book, buf_bytes(&body), self->run_id, on_kept, self);
    }
    buf_free(&body);
    return !why && packs;
}

static void stock_request_pack(run_t *self, const bytes_t *isbns, uint32_t count)
{
    erp_stock_batch_request_t request = {.isbns = {isbns, count}};
    error_t err = {0};
    buf_clear(&self->isbns);
    self->isbn_count = count;
    if (count > 0 && !erp_stock_batch_request_pack(&self->isbns, &request, &err)) {
        log_warn("a page's stock cannot be asked for", LOG_S("error", err.message));
        self->isbn_count = 0;
    }
}

static void page_keep(run_t *self, const erp_catalog_page_response_t *page)
{
    self->state = RUN_KEEPING;
    self->tx = pg_begin(service_pg(self->service));
    if (!self->tx) {
        error_t err = {.code = STATUS_UNAVAILABLE, .message = "the database takes no more work"};
        try_again(self, &err, page_ask);
        return;
    }
    bytes_t isbns[ERP_CATALOG_PAGE_MAX];
    uint32_t kept = 0, held = 0, rejected = page->has_rejected ? page->rejected.count : 0;
    int64_t now_us = clock_wall_us();
    for (uint32_t i = 0; i < page->items.count; i++)
        if (!book_keep(self, &page->items.items[i], now_us))
            held++;
        else if (kept < ERP_STOCK_BATCH_MAX)
            isbns[kept++] = page->items.items[i].isbn;
    for (uint32_t i = 0; i < rejected; i++) {
        const erp_rejected_item_t *item = &page->rejected.items[i];
        metric_add(self->held, 1);
        store_quarantine(self->tx, item->key, item->reason, item->has_raw ? item->raw : BYTES_NONE, self->run_id,
                         on_kept, self);
    }
    stock_request_pack(self, isbns, kept);
    self->is_last_page = !page->has_next_cursor;
    (void)bytes_to_cstr(page->has_next_cursor ? page->next_cursor : BYTES_NONE, self->cursor, sizeof self->cursor);
    self->total = page->has_total ? page->total : self->total;
    store_checkpoint_t checkpoint = {.run_id = self->run_id,
                                     .instance = service_instance(self->service),
                                     .cursor = bytes_cstr(self->cursor),
                                     .total = page->has_total ? page->total : -1,
                                     .done = page->items.count + rejected,
                                     .quarantined = held + rejected};
    self->quarantined += checkpoint.quarantined;
    store_checkpoint(self->tx, &checkpoint, on_checkpoint, self);
}

static void on_page(void *ctx, const bus_reply_t *reply)
{
    run_t *self = ctx;
    erp_catalog_page_response_t page;
    error_t err = {0};
    if (reply->err) {
        try_again(self, reply->err, page_ask);
    } else if (!erp_catalog_page_response_unpack(reply->body, &self->arena, &page, &err)) {
        end(self, err.message);
    } else {
        answered(self);
        page_keep(self, &page);
    }
    arena_reset(&self->arena);
}

static void page_ask(run_t *self)
{
    self->state = RUN_PAGING;
    erp_catalog_page_request_t request = {0};
    SCHEMA_SET(&request, page_size, RUN_PAGE_SIZE);
    if (self->cursor[0])
        SCHEMA_SET(&request, cursor, bytes_cstr(self->cursor));
    if (self->since[0])
        SCHEMA_SET(&request, changed_since, bytes_cstr(self->since));
    buf_t body = {0};
    error_t err = {0};
    if (!erp_catalog_page_request_pack(&body, &request, &err)) {
        end(self, err.message);
        buf_free(&body);
        return;
    }
    bus_call_t call = {.method = CALL_ERP_CATALOG_PAGE,
                       .body = buf_bytes(&body),
                       .timeout_ms = PAGE_TIMEOUT_MS,
                       .idempotent = true,
                       .on_done = on_page,
                       .ctx = self};
    if (!bus_call(service_bus(self->service), &call, &err))
        try_again(self, &err, page_ask);
    buf_free(&body);
}

/* -- beginning -------------------------------------------------------------------------------------- */
static void waiter_tell(run_t *self, bool started, const error_t *err)
{
    waiter_t waiter = self->waiter;
    self->waiter = (waiter_t){0};
    if (waiter.fn)
        waiter.fn(waiter.ctx, self->run_id, started, err);
}

static void adopt(run_t *self, const PGresult *row)
{
    (void)bytes_to_cstr(pg_text(row, 0, RUN_ID), self->run_id, sizeof self->run_id);
    (void)bytes_to_cstr(pg_text(row, 0, RUN_KIND), self->kind, sizeof self->kind);
    (void)bytes_to_cstr(pg_text(row, 0, RUN_SINCE), self->since, sizeof self->since);
    (void)bytes_to_cstr(pg_text(row, 0, RUN_CURSOR), self->cursor, sizeof self->cursor);
    self->done = pg_i64(row, 0, RUN_DONE, 0);
    self->total = pg_i64(row, 0, RUN_TOTAL, -1);
    self->quarantined = pg_i64(row, 0, RUN_QUARANTINED, 0);
    answered(self);
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
    page_ask(self);
}

static void take(run_t *self, bool begin, const char *kind, bool resume)
{
    self->state = RUN_TAKING;
    store_run_take(service_pg(self->service), service_instance(self->service), begin, kind, resume, on_taken, self);
}

void run_start(run_t *self, const char *kind, bool resume, run_started_fn fn, void *ctx)
{
    error_t err = {0};
    if (self->state == RUN_IDLE && !self->waiter.fn) {
        self->waiter = (waiter_t){fn, ctx};
        take(self, true, kind, resume);
    } else if (self->run_id[0]) {
        fn(ctx, self->run_id, false, NULL);
    } else {
        (void)error_set(&err, STATUS_UNAVAILABLE, NULL, "a run is just being begun or ended; try again");
        err.retry_after_ms = RETRY_FIRST_MS;
        fn(ctx, "", false, &err);
    }
}

static void first_started(void *ctx, const char *run_id, bool started, const error_t *err)
{
    (void)ctx, (void)run_id, (void)started;
    if (err)
        log_warn("the first loading could not begin; it is tried again with the next order",
                 LOG_S("error", err->message));
}

static void on_any_completed(void *ctx, const PGresult *result, const error_t *err)
{
    run_t *self = ctx;
    if (!err && !pg_bool(result, 0, 0) && self->state == RUN_IDLE)
        run_start(self, "full", true, first_started, self);
}

void run_start_if_never(run_t *self)
{
    store_run_any_completed(service_pg(self->service), on_any_completed, self);
}

run_t *run_new(service_t *service, outbox_t *outbox, bool with_stock, error_t *err)
{
    run_t *self = calloc(1, sizeof *self);
    if (self)
        self->timer = loop_timer_new(service_loop(service), on_timer, self);
    if (!self || !self->timer) {
        free(self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    self->service = service;
    self->outbox = outbox;
    self->with_stock = with_stock;
    arena_init(&self->arena, ARENA_BYTES);
    metrics_t *metrics = service_metrics(service);
    self->books = metrics_counter(metrics, "mangabus_sync_books_total", "outcome=\"kept\"", "catalogue entries judged");
    self->held =
        metrics_counter(metrics, "mangabus_sync_books_total", "outcome=\"quarantined\"", "catalogue entries judged");
    self->running = metrics_gauge(metrics, "mangabus_sync_running", "", "1 while this instance loads the catalogue");
    idle(self);
    return self;
}

void run_free(run_t **run)
{
    run_t *self = *run;
    if (!self)
        return;
    if (self->tx)
        pg_tx_rollback(self->tx);
    loop_timer_end(&self->timer);
    arena_free(&self->arena);
    buf_free(&self->isbns);
    free(self);
    *run = NULL;
}
