/* service_probe.c: a small service on the chassis, for tests/integration/test_service.py. */
#include <stdlib.h>

#include "kit/service.h"
#include "proto/msgpack.h"

typedef struct {
    char *greeting, *pin;
    int64_t limit;
    bool unready;
} settings_t;

typedef struct {
    service_t *service;
    settings_t *settings;
} probe_t;

static const config_row_t rows[] = {
    {"MANGABUS_PROBE_GREETING", CONFIG_STR, offsetof(settings_t, greeting), "hello", 0, 0, 0, "what it says"},
    {"MANGABUS_PROBE_PIN", CONFIG_STR, offsetof(settings_t, pin), "", 0, 0, CONFIG_SECRET, "a secret"},
    {"MANGABUS_PROBE_LIMIT", CONFIG_I64, offsetof(settings_t, limit), "10", 1, 100, 0, "a limit"},
    {"MANGABUS_PROBE_UNREADY", CONFIG_BOOL, offsetof(settings_t, unready), "no", 0, 0, 0, "never be ready"},
};

static void *start(service_t *service, void *settings, error_t *err)
{
    settings_t *s = settings;
    if (strcmp(s->greeting, "refuse") == 0) {
        (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the probe was told to refuse");
        return NULL;
    }
    probe_t *probe = calloc(1, sizeof *probe);
    if (probe)
        *probe = (probe_t){service, s};
    return probe;
}

static bool is_ready(void *app, const char **why)
{
    const probe_t *probe = app;
    *why = "told so by MANGABUS_PROBE_UNREADY";
    return !probe->settings->unready;
}

static void on_http(void *app, http_request_t *request)
{
    const probe_t *probe = app;
    http_respond_text(request, 200, "text/plain", probe->settings->greeting);
}

/* Answers with what it was asked. */
static void on_echo(void *app, bus_request_t *request)
{
    const probe_t *probe = app;
    bus_reply(service_bus(probe->service), request, request->body);
}

static const service_call_t calls[] = {{.method = "probe.echo", .fn = on_echo}};
static const pg_migration_t migrations[] = {{1, "begin", "CREATE TABLE probes (id int PRIMARY KEY)"}};

int main(int argc, char **argv)
{
    /* PROBE_DATABASE: with a database; PROBE_PORT: the default port. */
    const char *port = getenv("PROBE_PORT");
    service_def_t def = {
        .name = "test-probe",
        .doc = "Shows what the chassis does.",
        .http_port = (uint16_t)(port ? atoi(port) : 7499),
        .config = {rows, ARRAY_LEN(rows)},
        .settings_bytes = sizeof(settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .migrations = getenv("PROBE_DATABASE") ? migrations : NULL,
        .migration_count = ARRAY_LEN(migrations),
        .start = start,
        .is_ready = is_ready,
        .stop = free,
        .on_http = on_http,
    };
    return service_main(&def, argc, argv);
}
