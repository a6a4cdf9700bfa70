/* service_metrics.c: the metrics that every process has (docs/conventions.md). */
#include "gen/version.h"
#include "kit/service_internal.h"

#define US_PER_S 1e6

static void add_labelled(metrics_t *metrics, const char *name, const char *help, const char *key, bytes_t value,
                         const char *key2, const char *value2)
{
    buf_t labels = {0};
    metrics_label(&labels, key, value);
    metrics_label(&labels, key2, bytes_cstr(value2));
    metric_add(metrics_counter(metrics, name, buf_cstr(&labels), help), 1);
    buf_free(&labels);
}

static void observe_labelled(metrics_t *metrics, const char *name, const char *help, bytes_t method,
                             int64_t duration_us)
{
    buf_t labels = {0};
    metrics_label(&labels, "method", method);
    metric_observe(metrics_histogram(metrics, name, buf_cstr(&labels), help, NULL, 0), (double)duration_us / US_PER_S);
    buf_free(&labels);
}

static void on_called(void *ctx, const char *method, status_t status, int64_t duration_us)
{
    metrics_t *metrics = ctx;
    add_labelled(metrics, "mangabus_calls_total", "Calls made, by how they ended.", "method", bytes_cstr(method),
                 "status", status_name(status));
    observe_labelled(metrics, "mangabus_call_seconds", "Time until a call made here had its answer.",
                     bytes_cstr(method), duration_us);
}

static void on_served(void *ctx, bytes_t method, status_t status, int64_t duration_us)
{
    metrics_t *metrics = ctx;
    add_labelled(metrics, "mangabus_served_total", "Calls answered, by how.", "method", method, "status",
                 status_name(status));
    observe_labelled(metrics, "mangabus_served_seconds", "Time that answering a call took.", method, duration_us);
}

static void on_settled(void *ctx, bytes_t queue, const char *outcome)
{
    add_labelled(ctx, "mangabus_deliveries_total", "Messages taken from a queue, by what became of them.", "queue",
                 queue, "outcome", outcome);
}

static void collect(void *ctx)
{
    service_t *service = ctx;
    metric_set(service->bus_up, service->bus && bus_is_up(service->bus));
}

void service_metrics_start(service_t *service)
{
    metrics_t *metrics = service->metrics;
    buf_t labels = {0};
    metrics_label(&labels, "service", bytes_cstr(service->def->name));
    metrics_label(&labels, "version", bytes_cstr(MANGABUS_VERSION));
    metric_set(metrics_gauge(metrics, "mangabus_build_info", buf_cstr(&labels), "Always 1; the labels tell."), 1);
    buf_free(&labels);
    service->bus_up = metrics_gauge(metrics, "mangabus_bus_up", "", "1 while the session with the broker is up.");
    service->observer = (bus_observer_t){on_called, on_served, on_settled, metrics};
    metrics_on_collect(metrics, collect, service);
}
