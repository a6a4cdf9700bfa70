/* main.c: fm-invoker: foundation models for the house: streamed, priced, budgeted, guarded. */
#include <stdlib.h>

#include "kit/clock.h"
#include "services/fm-invoker/app.h"
#include "services/fm-invoker/jobs.h"
#include "services/fm-invoker/report.h"

#define MICROS 1000000

static void app_free(void *ctx)
{
    app_t *app = ctx;
    provider_free(&app->provider);
    parked_free(&app->parked);
    free(app);
}

static bool app_init(app_t *app, error_t *err)
{
    const fm_settings_t *settings = app->settings;
    if (!models_init(&app->models, settings, clock_mono_us(), err))
        return false;
    budget_init(&app->budget, (int64_t)(settings->budget_usd * MICROS), clock_wall_us());
    app->provider = provider_new(&(provider_options_t){.loop = app->loop,
                                                       .http = service_http(app->service),
                                                       .openai_url = settings->openai_url,
                                                       .openai_key = settings->openai_key,
                                                       .connect_timeout_ms = settings->connect_timeout_ms},
                                 err);
    if (!app->provider || !work_start(app, err))
        return false;
    report_metrics_start(app);
    report_budget_load(app);
    return true;
}

static void prices_check(const app_t *app)
{
    for (size_t i = 0; i < app->models.count; i++)
        if (!app->models.items[i].has_price)
            log_warn("a model has no price: its calls count as free", LOG_S("model", app->models.items[i].id));
}

static void *start(service_t *service, void *settings, error_t *err)
{
    app_t *app = calloc(1, sizeof *app);
    if (!app) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    *app = (app_t){.service = service,
                   .loop = service_loop(service),
                   .bus = service_bus(service),
                   .pg = service_pg(service),
                   .metrics = service_metrics(service),
                   .settings = settings};
    if (!app_init(app, err)) {
        app_free(app);
        return NULL;
    }
    prices_check(app);
    return app;
}

static bool is_ready(void *ctx, const char **why)
{
    const app_t *app = ctx;
    return provider_is_ready(app->provider, why);
}

int main(int argc, char **argv)
{
    static const service_call_t calls[] = {
        {.method = CALL_FM_INVOKE, .fn = call_invoke},         {.method = CALL_FM_EMBED, .fn = call_embed},
        {.method = CALL_FM_JOB_SUBMIT, .fn = call_job_submit}, {.method = CALL_FM_JOB_GET, .fn = call_job_get},
        {.method = CALL_FM_JOB_CANCEL, .fn = call_job_cancel},
    };
    const service_def_t def = {
        .name = "fm-invoker",
        .doc = "Asks foundation models (Bedrock or an OpenAI-compatible server) for the house, within time and budget.",
        .http_port = 7486,
        .config = fm_settings_table,
        .settings_bytes = sizeof(fm_settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .migrations = fm_migrations,
        .migration_count = fm_migration_count,
        .start = start,
        .is_ready = is_ready,
        .stop = app_free,
    };
    return service_main(&def, argc, argv);
}
