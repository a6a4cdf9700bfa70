/* main.c: embed-indexer: finds books by text and by meaning. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "services/embed-indexer/embedder.h"
#include "services/embed-indexer/follow.h"
#include "services/embed-indexer/intake.h"
#include "services/embed-indexer/query.h"
#include "services/embed-indexer/status.h"

#define CATALOG_QUEUE "MangaAssist-CatalogUpdate-embedding"
#define STOCK_QUEUE "manga-inventory-reindex"
#define PRUNE_MS 3600000

typedef struct {
    app_t app;
    loop_timer_t *pruner;
} process_t;

static void on_prune(void *ctx)
{
    process_t *process = ctx;
    store_prune(service_pg(process->app.service));
    loop_timer_in(process->pruner, PRUNE_MS);
}

static void stop(void *ctx)
{
    process_t *process = ctx;
    app_t *app = &process->app;
    intake_free(&app->intake);
    follow_free(&app->follow);
    embedder_free(&app->embedder);
    query_cache_free(&app->cache);
    shelf_free(&app->shelf);
    arena_free(&app->arena);
    loop_timer_end(&process->pruner);
    free(process);
}

static bool parts_make(process_t *process, error_t *err)
{
    app_t *app = &process->app;
    app->shelf = shelf_new();
    app->cache = query_cache_new();
    process->pruner = loop_timer_new(service_loop(app->service), on_prune, process);
    if (!app->shelf || !app->cache || !process->pruner)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    app->intake = intake_new(app, err);
    app->follow = app->intake ? follow_new(app, err) : NULL;
    app->embedder = app->follow ? embedder_new(app, err) : NULL;
    return app->embedder != NULL;
}

static void *start(service_t *service, void *settings, error_t *err)
{
    process_t *process = calloc(1, sizeof *process);
    if (!process) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    app_t *app = &process->app;
    app->service = service;
    app->settings = settings;
    arena_init(&app->arena, 0);
    (void)snprintf(app->asks, sizeof app->asks, "%s/%lld", app->settings->model, (long long)app->settings->dimensions);
    if (!parts_make(process, err)) {
        stop(process);
        return NULL;
    }
    status_metrics(app);
    loop_timer_in(process->pruner, PRUNE_MS);
    return process;
}

static bool is_ready(void *ctx, const char **why)
{
    const app_t *app = ctx;
    *why = "the index is being read from the database";
    return follow_is_loaded(app->follow);
}

static const config_row_t rows[] = {
    {.name = "MANGABUS_EMBED_MODEL",
     .type = CONFIG_STR,
     .offset = offsetof(embed_settings_t, model),
     .fallback = "",
     .doc = "alias or name of the model for vectors; empty: the default of fm.embed"},
    {.name = "MANGABUS_EMBED_DIMENSIONS",
     .type = CONFIG_I64,
     .offset = offsetof(embed_settings_t, dimensions),
     .fallback = "256",
     .min = 1,
     .max = FM_EMBED_DIMENSION_MAX,
     .doc = "elements of a vector, where the model lets one choose; each costs 4 bytes of memory for each work"},
};

static const service_call_t calls[] = {
    {.method = CALL_SEARCH_QUERY, .fn = query_on_request},
    {.method = CALL_EMBED_STATUS, .fn = status_on_request},
};

static const service_queue_t queues[] = {
    {.queue = CATALOG_QUEUE, .messages = 1024, .fn = intake_on_catalog},
    {.queue = STOCK_QUEUE, .messages = 256, .fn = intake_on_stock},
};

int main(int argc, char **argv)
{
    const service_def_t def = {
        .name = "embed-indexer",
        .doc = "finds books by text and by meaning, in an index of the catalogue that follows its changes",
        .http_port = 7485,
        .config = {rows, ARRAY_LEN(rows)},
        .settings_bytes = sizeof(embed_settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .queues = queues,
        .queue_count = ARRAY_LEN(queues),
        .migrations = store_migrations,
        .migration_count = store_migration_count,
        .start = start,
        .is_ready = is_ready,
        .stop = stop,
    };
    return service_main(&def, argc, argv);
}
