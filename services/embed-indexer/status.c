/* status.c: what is on the shelf, and what the database says of the texts that were refused. */
#include "services/embed-indexer/status.h"

#include <stdlib.h>

#include "kit/clock.h"
#include "proto/timefmt.h"

typedef struct {
    app_t *app;
    bus_request_t *request;
    int64_t began_us;
} work_t;

static void figures_fill(const app_t *app, const PGresult *row, embed_status_response_t *r, char time[TIMEFMT_US_BYTES])
{
    int64_t books = (int64_t)shelf_books(app->shelf), embedded = (int64_t)shelf_embedded_books(app->shelf);
    int64_t failed = pg_i64(row, 0, 0, 0);
    if (failed > books - embedded)
        failed = books - embedded;
    *r = (embed_status_response_t){.index_size = books, .embedded = embedded, .pending = books - embedded - failed};
    SCHEMA_SET(r, failed, failed);
    SCHEMA_SET(r, backend, BYTES_LIT("memory"));
    if (app->space.dimension) {
        SCHEMA_SET(r, model_id, bytes_cstr(app->space.model_id));
        SCHEMA_SET(r, dimension, app->space.dimension);
    }
    if (app->last_indexed_us) {
        timefmt_us(app->last_indexed_us, time);
        SCHEMA_SET(r, last_indexed_at, bytes_cstr(time));
    }
}

static void on_figures(void *ctx, const PGresult *row, const error_t *err)
{
    work_t *work = ctx;
    bus_t *bus = service_bus(work->app->service);
    embed_status_response_t response;
    char time[TIMEFMT_US_BYTES];
    buf_t body = {0};
    error_t why = {0};
    hop_t hop = {.service = BYTES_LIT("embed-indexer"),
                 .operation = BYTES_LIT(CALL_EMBED_STATUS),
                 .duration_us = clock_mono_us() - work->began_us};
    bool ok = false;
    if (!err) {
        figures_fill(work->app, row, &response, time);
        SCHEMA_SET(&response, hops, ((hop_list_t){&hop, 1}));
        ok = embed_status_response_pack(&body, &response, &why);
    }
    if (ok)
        bus_reply(bus, work->request, buf_bytes(&body));
    else
        bus_fail(bus, work->request, err ? err : &why);
    buf_free(&body);
    free(work);
}

void status_on_request(void *ctx, bus_request_t *request)
{
    work_t *work = malloc(sizeof *work);
    if (!work)
        abort();
    *work = (work_t){ctx, request, clock_mono_us()};
    store_refused(service_pg(work->app->service), work->app->asks, on_figures, work);
}

static void on_collect(void *ctx)
{
    app_t *app = ctx;
    metrics_t *metrics = service_metrics(app->service);
    const char *help = "books that can be found, and those of them that have a vector";
    metric_set(metrics_gauge(metrics, "mangabus_embed_books", "has=\"text\"", help), (double)shelf_books(app->shelf));
    metric_set(metrics_gauge(metrics, "mangabus_embed_books", "has=\"vector\"", help),
               (double)shelf_embedded_books(app->shelf));
}

void status_metrics(app_t *app)
{
    metrics_on_collect(service_metrics(app->service), on_collect, app);
}
