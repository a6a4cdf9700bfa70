/* run_page.c: pages of the catalogue: one is asked for while the one before is kept. */
#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "services/sync-reconciler/gate.h"
#include "services/sync-reconciler/run_internal.h"

#define TIMEOUT_MS 30000
#define TELL_EVERY_US (INT64_C(5) * 1000000)

static void page_clear(page_t *page)
{
    page->is_there = false;
    buf_clear(&page->body);
    arena_reset(&page->arena);
}

void pages_from_kept(run_t *run)
{
    if (run->call)
        bus_cancel(service_bus(run->service), run->call, "the page is asked for again from the checkpoint");
    run->call = 0;
    run->is_all_asked = false;
    page_clear(&run->next);
    page_clear(&run->keeping);
    (void)snprintf(run->asked_cursor, CURSOR_BYTES, "%s", run->kept_cursor);
}

/* A transaction failed: nothing of the page is kept. */
static void keeping_failed(run_t *run, const error_t *err)
{
    error_t transient = *err;
    transient.code = err->code == STATUS_CANCELLED ? STATUS_CANCELLED : STATUS_UNAVAILABLE;
    pages_from_kept(run);
    run_try_again(run, &transient);
    run_go_on(run);
}

static void rolled_back(run_t *run)
{
    pg_tx_rollback(run->tx);
    run->tx = NULL;
}

static void progress_tell(run_t *run)
{
    int64_t now_us = clock_mono_us();
    if (now_us - run->told_us < TELL_EVERY_US)
        return;
    run->told_us = now_us;
    log_info("loading the catalogue", LOG_S("run_id", run->run_id), LOG_I("count", run->done),
             LOG_I("total", run->total));
}

/* -- keeping ---------------------------------------------------------------------------------------- */
static void on_committed(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    run_t *run = ctx;
    run->tx = NULL;
    if (err) {
        keeping_failed(run, err);
        return;
    }
    run_answered(run); /* reading a page that is not kept is no getting on */
    memcpy(run->kept_cursor, run->keeping_cursor, CURSOR_BYTES);
    run->is_all_kept = run->kept_cursor[0] == '\0';
    page_clear(&run->keeping);
    outbox_wake(run->outbox);
    if (run->due_books)
        stock_begin(run, run->due_id, buf_bytes(&run->due));
    progress_tell(run);
    run_go_on(run);
}

static void on_kept(void *ctx, const PGresult *result, const error_t *err)
{
    (void)ctx, (void)result, (void)err; /* a failure fails the checkpoint behind it */
}

static void on_due(void *ctx, const PGresult *row, const error_t *err)
{
    run_t *run = ctx;
    if (!err)
        run->due_id = pg_i64(row, 0, 0, 0);
}

static void on_checkpoint(void *ctx, const PGresult *row, const error_t *err)
{
    run_t *run = ctx;
    if (err) {
        rolled_back(run);
        keeping_failed(run, err);
    } else if (PQntuples(row) == 0) {
        log_warn("another instance owns the run now", LOG_S("run_id", run->run_id));
        rolled_back(run);
        run_leave(run);
    } else {
        run->done = pg_i64(row, 0, 0, run->done);
        run->quarantined = pg_i64(row, 0, 1, run->quarantined);
        pg_tx_commit(run->tx, on_committed, run);
    }
}

static void checkpoint_write(run_t *run)
{
    const erp_catalog_page_response_t *page = &run->keeping.answer;
    uint32_t rejected = page->has_rejected ? page->rejected.count : 0;
    store_checkpoint_t checkpoint = {.run_id = run->run_id,
                                     .instance = service_instance(run->service),
                                     .cursor = bytes_cstr(run->keeping_cursor),
                                     .total = page->has_total ? page->total : -1,
                                     .done = page->items.count + rejected,
                                     .quarantined = run->held + rejected};
    if (run->due_books)
        store_due_add(run->tx, buf_bytes(&run->due), run->due_books, on_due, run);
    store_checkpoint(run->tx, &checkpoint, on_checkpoint, run);
}

static void on_books(void *ctx, const PGresult *kinds, const error_t *err)
{
    run_t *run = ctx;
    if (err) {
        rolled_back(run);
        keeping_failed(run, err);
        return;
    }
    if (PQntuples(kinds))
        store_told(run->tx, run->books, kinds, on_kept, run);
    checkpoint_write(run);
}

/* -- judging ---------------------------------------------------------------------------------------- */
static void quarantine(run_t *run, bytes_t key, bytes_t reason, bytes_t raw)
{
    metric_add(run->books_held, 1);
    store_quarantine(run->tx, key, reason, raw, run->run_id, on_kept, run);
}

/* One entry: to the books, or into the quarantine. */
static void book_judge(run_t *run, const book_t *book, int64_t now_us)
{
    error_t err = {0};
    const char *why = gate_check(book, now_us);
    if (!why && !store_books_add(run->books, book, &err))
        why = err.message;
    if (why) {
        run->held++;
        quarantine(run, book->isbn, bytes_cstr(why), book->title);
    } else {
        metric_add(run->books_kept, 1);
    }
}

static void due_pack(run_t *run)
{
    bytes_t isbns[ERP_STOCK_BATCH_MAX];
    uint32_t count = run->with_stock ? run->books->count : 0;
    error_t err = {0};
    if (count > ERP_STOCK_BATCH_MAX)
        count = ERP_STOCK_BATCH_MAX; /* an ERP that gives more than was asked for */
    for (uint32_t i = 0; i < count; i++)
        isbns[i] = run->books->entries[i].book->isbn;
    erp_stock_batch_request_t request = {.isbns = {isbns, count}};
    buf_clear(&run->due);
    run->due_books = count;
    if (count && !erp_stock_batch_request_pack(&run->due, &request, &err)) {
        log_warn("a page's stock cannot be asked for", LOG_S("error", err.message));
        run->due_books = 0;
    }
}

static void page_judge(run_t *run, const erp_catalog_page_response_t *page)
{
    int64_t now_us = clock_wall_us();
    run->held = 0;
    store_books_clear(run->books);
    for (uint32_t i = 0; i < page->items.count; i++)
        book_judge(run, &page->items.items[i], now_us);
    for (uint32_t i = 0; page->has_rejected && i < page->rejected.count; i++) {
        const erp_rejected_item_t *item = &page->rejected.items[i];
        quarantine(run, item->key, item->reason, item->has_raw ? item->raw : BYTES_NONE);
    }
    due_pack(run);
}

/* `next` becomes `keeping`, and its place is free for the page behind. */
static void page_advance(run_t *run)
{
    page_t empty = run->keeping;
    run->keeping = run->next;
    run->next = empty;
    page_clear(&run->next);
    memcpy(run->keeping_cursor, run->asked_cursor, CURSOR_BYTES);
}

void page_keep(run_t *run)
{
    run->tx = pg_begin(service_pg(run->service));
    if (!run->tx) {
        const error_t err = {.code = STATUS_UNAVAILABLE, .message = "the database takes no more work"};
        keeping_failed(run, &err);
        return;
    }
    page_advance(run);
    const erp_catalog_page_response_t *page = &run->keeping.answer;
    run->total = page->has_total ? page->total : run->total;
    page_judge(run, page);
    if (run->books->count)
        store_books(run->tx, run->books, run->run_id, on_books, run);
    else
        checkpoint_write(run);
}

/* -- asking ----------------------------------------------------------------------------------------- */
static void page_take(run_t *run, bytes_t body)
{
    page_t *page = &run->next;
    error_t err = {0};
    page_clear(page);
    buf_append_bytes(&page->body, body);
    if (!erp_catalog_page_response_unpack(buf_bytes(&page->body), &page->arena, &page->answer, &err)) {
        run_fail(run, err.message);
        return;
    }
    page->is_there = true;
    run->is_all_asked = !page->answer.has_next_cursor;
    (void)bytes_to_cstr(page->answer.has_next_cursor ? page->answer.next_cursor : BYTES_NONE, run->asked_cursor,
                        CURSOR_BYTES);
}

static void on_page(void *ctx, const bus_reply_t *reply)
{
    run_t *run = ctx;
    run->call = 0;
    if (reply->err)
        run_try_again(run, reply->err);
    else
        page_take(run, reply->body);
    run_go_on(run);
}

bool page_may_be_asked(const run_t *run)
{
    return !run->call && !run->is_pausing && !run->is_all_asked && !run->next.is_there &&
           run->job_count < RUN_STOCK_AHEAD;
}

void page_ask(run_t *run)
{
    erp_catalog_page_request_t request = {0};
    SCHEMA_SET(&request, page_size, RUN_PAGE_SIZE);
    if (run->asked_cursor[0])
        SCHEMA_SET(&request, cursor, bytes_cstr(run->asked_cursor));
    if (run->since[0])
        SCHEMA_SET(&request, changed_since, bytes_cstr(run->since));
    buf_t body = {0};
    error_t err = {0};
    if (!erp_catalog_page_request_pack(&body, &request, &err)) {
        run_fail(run, err.message);
    } else {
        bus_call_t call = {.method = CALL_ERP_CATALOG_PAGE,
                           .body = buf_bytes(&body),
                           .timeout_ms = TIMEOUT_MS,
                           .idempotent = true,
                           .on_done = on_page,
                           .ctx = run};
        run->call = bus_call(service_bus(run->service), &call, &err);
        if (!run->call)
            run_try_again(run, &err);
    }
    buf_free(&body);
}
