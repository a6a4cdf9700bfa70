/* main.c: sync-reconciler: the catalogue, loaded from the ERP, and the calls that read it. */
#include <stddef.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/parked.h"
#include "kit/pg_array.h"
#include "kit/text.h"
#include "proto/envelope.h"
#include "proto/timefmt.h"
#include "services/sync-reconciler/run.h"
#include "services/sync-reconciler/store.h"

#define INVENTORY_QUEUE "manga-inventory-sync"
#define TITLE_LIMIT 50 /* as the contract says */
#define RETRY_MS 5000
#define ARENA_BYTES ((size_t)16 << 20)
#define FIRST_RUN_MS 1000 /* after the start, and again until it is known that it was done or is begun */

typedef struct {
    bool load_when_empty;
    bool with_stock;
} settings_t;

typedef struct {
    service_t *service;
    settings_t *settings;
    run_t *run;
    outbox_t *outbox;
    arena_t arena;
    loop_timer_t *first_run;
    parked_t *orders, *stocks; /* wait for the database, or for a run that is being begun */
} app_t;

/* One request or message under way. */
typedef struct {
    app_t *app;
    bus_request_t *request;
    bus_delivery_t *delivery;
    int64_t began_us;
    bool names_run; /* sync.status of one run, not of the latest */
} work_t;

static work_t *work_new(app_t *app, bus_request_t *request, bus_delivery_t *delivery)
{
    work_t *work = malloc(sizeof *work);
    if (!work)
        abort();
    *work = (work_t){.app = app, .request = request, .delivery = delivery, .began_us = clock_mono_us()};
    return work;
}

static hop_t work_hop(const work_t *work, const char *operation)
{
    return (hop_t){.service = BYTES_LIT("sync-reconciler"),
                   .operation = bytes_cstr(operation),
                   .duration_us = clock_mono_us() - work->began_us};
}

/* Answers with what was packed, or with why it was not, and ends the work. */
static void work_answer(work_t *work, bool packed, buf_t *body, const error_t *err)
{
    if (packed)
        bus_reply(service_bus(work->app->service), work->request, buf_bytes(body));
    else
        bus_fail(service_bus(work->app->service), work->request, err);
    buf_free(body);
    arena_reset(&work->app->arena);
    free(work);
}

/* -- catalog.get ------------------------------------------------------------------------------------ */
static const char *isbn_of(const PGresult *rows, int row)
{
    return PQgetvalue(rows, row, 0);
}

static int row_of(const PGresult *rows, bytes_t isbn)
{
    for (int row = 0; row < PQntuples(rows); row++)
        if (bytes_eq_cstr(isbn, isbn_of(rows, row)))
            return row;
    return -1;
}

/* The book of one row; its bytes lie in the arena. */
static bool book_read(app_t *app, const PGresult *rows, int row, book_t *out, error_t *err)
{
    buf_t body = {0};
    bool ok = pg_bytea(rows, row, 1, &body);
    uint8_t *copy = ok ? arena_alloc(&app->arena, body.len + 1) : NULL;
    if (copy && body.len)
        memcpy(copy, body.data, body.len);
    size_t len = body.len;
    buf_free(&body);
    if (!copy)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "the answer is too large; ask for fewer books");
    return book_unpack(bytes_from(copy, len), &app->arena, out, err);
}

static void books_answer(work_t *work, book_t *books, uint32_t count, const bytes_t *missing, uint32_t missing_count)
{
    hop_t hop = work_hop(work, CALL_CATALOG_GET);
    catalog_get_response_t response = {.items = {books, count}};
    if (missing_count)
        SCHEMA_SET(&response, missing, ((bytes_list_t){missing, missing_count}));
    SCHEMA_SET(&response, hops, ((hop_list_t){&hop, 1}));
    buf_t body = {0};
    error_t err = {0};
    bool packed = catalog_get_response_pack(&body, &response, &err);
    work_answer(work, packed, &body, &err);
}

static void on_by_isbn(void *ctx, const PGresult *rows, const error_t *err)
{
    work_t *work = ctx;
    app_t *app = work->app;
    error_t why = {0};
    buf_t none = {0};
    catalog_get_request_t asked;
    book_t books[CATALOG_GET_MAX];
    bytes_t missing[CATALOG_GET_MAX];
    uint32_t found = 0, absent = 0;
    if (err || !catalog_get_request_unpack(work->request->body, &app->arena, &asked, &why)) {
        work_answer(work, false, &none, err ? err : &why);
        return;
    }
    for (uint32_t i = 0; i < asked.isbns.count; i++) {
        int row = row_of(rows, asked.isbns.items[i]);
        if (row < 0) {
            missing[absent++] = asked.isbns.items[i];
        } else if (!book_read(app, rows, row, &books[found++], &why)) {
            work_answer(work, false, &none, &why);
            return;
        }
    }
    books_answer(work, books, found, missing, absent);
}

static void on_by_title(void *ctx, const PGresult *rows, const error_t *err)
{
    work_t *work = ctx;
    error_t why = {0};
    buf_t none = {0};
    book_t books[CATALOG_GET_MAX];
    int count = err ? 0 : PQntuples(rows);
    if (err) {
        work_answer(work, false, &none, err);
        return;
    }
    for (int row = 0; row < count && row < CATALOG_GET_MAX; row++)
        if (!book_read(work->app, rows, row, &books[row], &why)) {
            work_answer(work, false, &none, &why);
            return;
        }
    books_answer(work, books, (uint32_t)count, NULL, 0);
}

static void find_by_isbn(work_t *work, const catalog_get_request_t *asked)
{
    buf_t array = {0};
    for (uint32_t i = 0; i < asked->isbns.count; i++)
        pg_array_text(&array, asked->isbns.items[i]);
    store_find_isbns(service_pg(work->app->service), pg_array_end(&array), on_by_isbn, work);
    buf_free(&array);
}

static void find_by_title(work_t *work, const catalog_get_request_t *asked)
{
    buf_t key = {0};
    text_key(&key, asked->title);
    store_find_title(service_pg(work->app->service), buf_bytes(&key), asked->has_volume ? asked->volume : -1,
                     asked->has_limit ? asked->limit : TITLE_LIMIT, on_by_title, work);
    buf_free(&key);
}

static void on_catalog_get(void *ctx, bus_request_t *request)
{
    app_t *app = ctx;
    catalog_get_request_t asked;
    error_t err = {0};
    bool ok = catalog_get_request_unpack(request->body, &app->arena, &asked, &err);
    if (ok && asked.has_isbns == asked.has_title)
        ok = error_set(&err, STATUS_INVALID_ARGUMENT, NULL, "request: give either isbns or title");
    if (!ok)
        bus_fail(service_bus(app->service), request, &err);
    else if (asked.has_isbns)
        find_by_isbn(work_new(app, request, NULL), &asked);
    else
        find_by_title(work_new(app, request, NULL), &asked);
    arena_reset(&app->arena);
}

/* -- sync.* ----------------------------------------------------------------------------------------- */
static void on_started(void *ctx, const char *run_id, bool started, const error_t *err)
{
    work_t *work = ctx;
    hop_t hop = work_hop(work, CALL_SYNC_START);
    sync_start_response_t response = {.run_id = *run_id ? bytes_cstr(run_id) : BYTES_LIT("of another instance"),
                                      .started = started};
    SCHEMA_SET(&response, hops, ((hop_list_t){&hop, 1}));
    buf_t body = {0};
    error_t why = {0};
    bool packed = !err && sync_start_response_pack(&body, &response, &why);
    work_answer(work, packed, &body, err ? err : &why);
}

static const char *kind_of(bool given, bytes_t kind)
{
    return given && bytes_eq_cstr(kind, "incremental") ? "incremental" : "full";
}

static void on_sync_start(void *ctx, bus_request_t *request)
{
    app_t *app = ctx;
    sync_start_request_t asked;
    error_t err = {0};
    if (sync_start_request_unpack(request->body, &app->arena, &asked, &err))
        run_start(app->run, kind_of(asked.has_kind, asked.kind), !asked.has_resume || asked.resume, on_started,
                  work_new(app, request, NULL));
    else
        bus_fail(service_bus(app->service), request, &err);
    arena_reset(&app->arena);
}

static void time_set(char *text, int64_t us, bool *has, bytes_t *member)
{
    if (us < 0)
        return;
    timefmt_us(us, text);
    *has = true;
    *member = bytes_cstr(text);
}

static void status_fill(sync_status_response_t *r, const PGresult *row, char times[2][TIMEFMT_US_BYTES])
{
    bool is_idle = pg_text(row, 0, RUN_ID).len == 0;
    *r = (sync_status_response_t){.state = is_idle ? BYTES_LIT("idle") : pg_text(row, 0, RUN_STATE),
                                  .items_done = pg_i64(row, 0, RUN_DONE, 0),
                                  .catalog_size = pg_i64(row, 0, RUN_SINCE + 1, 0)};
    if (is_idle)
        return;
    SCHEMA_SET(r, run_id, pg_text(row, 0, RUN_ID));
    SCHEMA_SET(r, kind, pg_text(row, 0, RUN_KIND));
    SCHEMA_SET(r, items_changed, pg_i64(row, 0, RUN_CHANGED, 0));
    SCHEMA_SET(r, items_quarantined, pg_i64(row, 0, RUN_QUARANTINED, 0));
    SCHEMA_SET(r, stock_done, pg_i64(row, 0, RUN_STOCK_DONE, 0));
    if (pg_i64(row, 0, RUN_TOTAL, -1) >= 0)
        SCHEMA_SET(r, items_total, pg_i64(row, 0, RUN_TOTAL, -1));
    if (pg_text(row, 0, RUN_ERROR).len)
        SCHEMA_SET(r, error, pg_text(row, 0, RUN_ERROR));
    time_set(times[0], pg_i64(row, 0, RUN_STARTED_US, -1), &r->has_started_at, &r->started_at);
    time_set(times[1], pg_i64(row, 0, RUN_FINISHED_US, -1), &r->has_finished_at, &r->finished_at);
}

static void on_status(void *ctx, const PGresult *row, const error_t *err)
{
    work_t *work = ctx;
    sync_status_response_t response;
    char times[2][TIMEFMT_US_BYTES];
    buf_t body = {0};
    error_t why = {0};
    bool packed = false;
    hop_t hop = work_hop(work, CALL_SYNC_STATUS);
    bool is_known = !err && (!work->names_run || pg_text(row, 0, RUN_ID).len);
    if (!err && !is_known)
        (void)error_set(&why, STATUS_NOT_FOUND, NULL, "request.run_id: there was no such run");
    if (is_known) {
        status_fill(&response, row, times);
        SCHEMA_SET(&response, hops, ((hop_list_t){&hop, 1}));
        packed = sync_status_response_pack(&body, &response, &why);
    }
    work_answer(work, packed, &body, err ? err : &why);
}

static void on_sync_status(void *ctx, bus_request_t *request)
{
    app_t *app = ctx;
    sync_status_request_t asked;
    error_t err = {0};
    if (sync_status_request_unpack(request->body, &app->arena, &asked, &err)) {
        work_t *work = work_new(app, request, NULL);
        work->names_run = asked.has_run_id;
        store_run_find(service_pg(app->service), asked.has_run_id ? asked.run_id : BYTES_NONE, on_status, work);
    } else {
        bus_fail(service_bus(app->service), request, &err);
    }
    arena_reset(&app->arena);
}

/* -- queues ----------------------------------------------------------------------------------------- */
static void settle(work_t *work, parked_t *parked, const error_t *err)
{
    bus_t *bus = service_bus(work->app->service);
    if (!err)
        bus_ack(bus, work->delivery);
    else if (!status_is_transient(err->code) || !parked_put(parked, work->delivery))
        bus_release(bus, work->delivery, RETRY_MS, err->message);
    free(work);
}

static void on_ordered(void *ctx, const char *run_id, bool started, const error_t *err)
{
    (void)run_id, (void)started;
    work_t *work = ctx;
    settle(work, work->app->orders, err);
}

static void on_order(void *ctx, bus_delivery_t *delivery)
{
    app_t *app = ctx;
    catalog_sync_message_t order;
    error_t err = {0};
    if (catalog_sync_message_unpack(delivery->body, &app->arena, &order, &err))
        run_start(app->run, kind_of(order.has_kind, order.kind), true, on_ordered, work_new(app, NULL, delivery));
    else
        bus_reject(service_bus(app->service), delivery, err.message);
    arena_reset(&app->arena);
}

static void on_stock_noted(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    work_t *work = ctx;
    settle(work, work->app->stocks, err);
}

static void on_noting(void *ctx, const PGresult *result, const error_t *err)
{
    (void)ctx, (void)result, (void)err; /* a failure fails the commit behind it */
}

static void stock_note(app_t *app, bus_delivery_t *delivery, const inventory_change_t *change)
{
    store_stock_t line = {.isbn = change->isbn,
                          .warehouse_code = change->warehouse_code,
                          .quantity = change->new_quantity,
                          .status = change->has_stock_status ? change->stock_status : BYTES_LIT("unknown"),
                          .version = change->version};
    pg_tx_t *tx = pg_begin(service_pg(app->service));
    if (!tx) {
        bus_release(service_bus(app->service), delivery, RETRY_MS, "UNAVAILABLE: the database takes no more work");
        return;
    }
    store_stock(tx, &line, 1, on_noting, app);
    pg_tx_commit(tx, on_stock_noted, work_new(app, NULL, delivery));
}

static void on_inventory(void *ctx, bus_delivery_t *delivery)
{
    app_t *app = ctx;
    envelope_t envelope;
    inventory_change_t change;
    error_t err = {0};
    if (envelope_read(delivery->body, &envelope, &err) &&
        inventory_change_unpack(envelope.detail, &app->arena, &change, &err))
        stock_note(app, delivery, &change);
    else
        bus_reject(service_bus(app->service), delivery, err.message);
    arena_reset(&app->arena);
}

/* -- the process ------------------------------------------------------------------------------------ */
static void on_first_asked(void *ctx, bool is_settled)
{
    app_t *app = ctx;
    if (!is_settled)
        loop_timer_in(app->first_run, FIRST_RUN_MS);
}

static void on_first_run(void *ctx)
{
    app_t *app = ctx;
    if (!bus_is_up(service_bus(app->service)) || !pg_is_ready(service_pg(app->service)))
        loop_timer_in(app->first_run, FIRST_RUN_MS);
    else
        run_start_if_never(app->run, on_first_asked, app);
}

static void app_stop(void *ctx)
{
    app_t *app = ctx;
    run_free(&app->run);
    outbox_free(&app->outbox);
    loop_timer_end(&app->first_run);
    parked_free(&app->orders);
    parked_free(&app->stocks);
    arena_free(&app->arena);
    free(app);
}

static void *app_start(service_t *service, void *settings, error_t *err)
{
    app_t *app = calloc(1, sizeof *app);
    if (!app) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    app->service = service;
    app->settings = settings;
    arena_init(&app->arena, ARENA_BYTES);
    app->first_run = loop_timer_new(service_loop(service), on_first_run, app);
    app->outbox = outbox_new(service, &store_outbox, err);
    app->run = app->outbox ? run_new(service, app->outbox, app->settings->with_stock, err) : NULL;
    app->orders = parked_new(service_loop(service), RETRY_MS, on_order, app, err);
    app->stocks = parked_new(service_loop(service), RETRY_MS, on_inventory, app, err);
    if (!app->run || !app->first_run || !app->orders || !app->stocks) {
        app_stop(app);
        return NULL;
    }
    if (app->settings->load_when_empty)
        loop_timer_in(app->first_run, FIRST_RUN_MS);
    return app;
}

static const config_row_t rows[] = {
    {.name = "MANGABUS_SYNC_LOAD_WHEN_EMPTY",
     .type = CONFIG_BOOL,
     .offset = offsetof(settings_t, load_when_empty),
     .fallback = "true",
     .doc = "load the catalogue at start when it never was loaded completely"},
    {.name = "MANGABUS_SYNC_STOCK",
     .type = CONFIG_BOOL,
     .offset = offsetof(settings_t, with_stock),
     .fallback = "true",
     .doc = "read the stock of every book while loading"},
};

static const service_call_t calls[] = {
    {.method = CALL_CATALOG_GET, .fn = on_catalog_get},
    {.method = CALL_SYNC_START, .fn = on_sync_start},
    {.method = CALL_SYNC_STATUS, .fn = on_sync_status},
};

static const service_queue_t queues[] = {
    {.queue = CATALOG_SYNC_QUEUE, .messages = 1, .fn = on_order},
    {.queue = INVENTORY_QUEUE, .messages = 64, .fn = on_inventory},
};

int main(int argc, char **argv)
{
    const service_def_t def = {
        .name = "sync-reconciler",
        .doc = "loads the catalogue from the ERP, with checkpoints and quality gates, and answers from it",
        .http_port = 7484,
        .config = {rows, ARRAY_LEN(rows)},
        .settings_bytes = sizeof(settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .queues = queues,
        .queue_count = ARRAY_LEN(queues),
        .migrations = store_migrations,
        .migration_count = store_migration_count,
        .start = app_start,
        .stop = app_stop,
    };
    return service_main(&def, argc, argv);
}
