/* app.c: puts the parts together from the settings. */
#include "services/acl-erp/app.h"

#include <libxml/parser.h>
#include <stdlib.h>

#define REST_BURST 10

static erp_options_t erp_options(const app_settings_t *settings, app_t *app)
{
    return (erp_options_t){
        .backend = {.name = "erp",
                    .url = settings->erp_url,
                    .rate_per_s = (uint32_t)settings->erp_rate,
                    .burst = (uint32_t)settings->erp_burst,
                    .bucket = settings->erp_permits,
                    .bus = app->bus,
                    .in_flight_max = (uint32_t)settings->erp_in_flight,
                    .timeout_ms = settings->erp_timeout_ms,
                    .open_ms = settings->breaker_open_ms},
        .account = {.version = settings->soap[0] == '1' && settings->soap[2] == '2' ? SOAP_12 : SOAP_11,
                    .user = settings->erp_user,
                    .password = settings->erp_password,
                    .token = settings->erp_token},
        .gather = {.gather_idle_us = settings->erp_gather_ms * 1000,
                   .gather_busy_us = settings->erp_gather_busy_ms * 1000},
        .on_stock = app_keep_stock,
        .ctx = app,
    };
}

static const char *url_or(const char *url, const char *fallback)
{
    return *url ? url : fallback;
}

static backend_t *rest_backend(app_t *app, const app_settings_t *settings, const char *name, const char *url,
                               int64_t rate, error_t *err)
{
    const backend_options_t options = {.name = name,
                                       .url = url_or(url, settings->erp_url),
                                       .rate_per_s = (uint32_t)rate,
                                       .burst = REST_BURST,
                                       .in_flight_max = 64,
                                       .timeout_ms = settings->rest_timeout_ms,
                                       .open_ms = settings->breaker_open_ms,
                                       .ca_file = settings->payments_ca,
                                       .cert_file = settings->payments_cert,
                                       .key_file = settings->payments_key};
    backend_options_t own = options;
    if (strcmp(name, "payments") != 0)
        own.ca_file = own.cert_file = own.key_file = NULL;
    return backend_new(service_loop(app->service), service_http(app->service), service_metrics(app->service), &own,
                       err);
}

static bool parts_make(app_t *app, const app_settings_t *settings, error_t *err)
{
    service_t *service = app->service;
    const erp_options_t options = erp_options(settings, app);
    app->kept = kept_new(service_loop(service), service_pg(service), service_metrics(service),
                         (size_t)settings->kept_copies, err);
    app->erp = app->kept
                   ? erp_new(service_loop(service), service_http(service), service_metrics(service), &options, err)
                   : NULL;
    app->orders =
        app->erp ? rest_backend(app, settings, "orders", settings->orders_url, settings->orders_rate, err) : NULL;
    app->payments = app->orders
                        ? rest_backend(app, settings, "payments", settings->payments_url, settings->payments_rate, err)
                        : NULL;
    return app->payments != NULL;
}

static bool soap_check(const app_settings_t *settings, error_t *err)
{
    return strcmp(settings->soap, "1.1") == 0 || strcmp(settings->soap, "1.2") == 0 ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_ERP_SOAP is 1.1 or 1.2, not '%s'", settings->soap);
}

void *app_start(service_t *service, void *settings, error_t *err)
{
    app_t *app = soap_check(settings, err) ? calloc(1, sizeof(*app)) : NULL;
    if (!app)
        return NULL;
    xmlInitParser();
    app->service = service;
    app->bus = service_bus(service);
    app->stale_answers = metrics_counter(service_metrics(service), "mangabus_erp_stale_answers_total", "",
                                         "Books and orders answered from a kept copy.");
    if (parts_make(app, settings, err))
        return app;
    app_stop(app);
    return NULL;
}

void app_stop(void *ctx)
{
    app_t *app = ctx;
    app_ops_free(app);
    erp_free(&app->erp);
    backend_free(&app->orders);
    backend_free(&app->payments);
    kept_free(&app->kept);
    free(app);
}
