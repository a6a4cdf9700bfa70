/* service_http.c: /healthz, /readyz and /metrics; the rest is the app's. */
#include "kit/service_internal.h"
#include "proto/json.h"

#define JSON_TYPE "application/json"
#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

static void reason_add(buf_t *out, const char *why)
{
    if (out->len > 0)
        buf_append_byte(out, ',');
    json_string_append(out, bytes_cstr(why));
}

void service_unready(const service_t *service, buf_t *out)
{
    const char *why = "it does not say why";
    if (service->state == SERVICE_STARTING)
        reason_add(out, "starting");
    if (service->state == SERVICE_DRAINING)
        reason_add(out, "draining");
    if (!service->bus || !bus_is_up(service->bus))
        reason_add(out, "no session with the broker");
    if (service->def->migrations && (!service->pg || !pg_is_ready(service->pg)))
        reason_add(out, "no connection to the database");
    if (service->app && service->def->is_ready && !service->def->is_ready(service->app, &why))
        reason_add(out, why);
}

static void answer_ready(const service_t *service, http_request_t *request)
{
    buf_t reasons = {0}, out = {0};
    service_unready(service, &reasons);
    if (reasons.len == 0)
        buf_append_cstr(&out, "{\"status\":\"ready\"}\n");
    else
        buf_printf(&out, "{\"status\":\"not ready\",\"reasons\":[%s]}\n", buf_cstr(&reasons));
    http_respond_text(request, reasons.len == 0 ? 200 : 503, JSON_TYPE, buf_cstr(&out));
    buf_free(&reasons);
    buf_free(&out);
}

static void answer_metrics(const service_t *service, http_request_t *request)
{
    buf_t out = {0};
    metrics_expose(service->metrics, &out);
    http_respond(request, 200, &(http_header_t){"Content-Type", METRICS_TYPE}, 1, buf_bytes(&out));
    buf_free(&out);
}

static bool is_read(const http_request_t *request)
{
    const char *method = http_request_method(request);
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

void service_http_handle(void *ctx, http_request_t *request)
{
    const service_t *service = ctx;
    const char *path = http_request_path(request);
    bool health = strcmp(path, "/healthz") == 0, ready = strcmp(path, "/readyz") == 0;
    bool metrics = strcmp(path, "/metrics") == 0;
    if ((health || ready || metrics) && !is_read(request))
        http_respond_text(request, 405, JSON_TYPE, "{\"message\":\"only GET and HEAD are answered here\"}\n");
    else if (health)
        http_respond_text(request, 200, JSON_TYPE, "{\"status\":\"ok\"}\n");
    else if (ready)
        answer_ready(service, request);
    else if (metrics)
        answer_metrics(service, request);
    else if (service->app && service->def->on_http)
        service->def->on_http(service->app, request);
    else
        http_respond_text(request, 404, JSON_TYPE, "{\"message\":\"try /healthz, /readyz or /metrics\"}\n");
}
