/* service.c: the life of a process: configured, started, running, draining, gone. */
#include "kit/service.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/version.h"
#include "kit/clock.h"
#include "kit/health.h"
#include "kit/service_internal.h"

#define DRAIN_GRACE_MS 1000 /* after the bus should have said that it is done */
#define PATH_BYTES 512
#define CALLS_AT_ONCE 64

/* -- accessors ----------------------------------------------------------------------------------- */
const char *service_instance(const service_t *service)
{
    return service->instance;
}

loop_t *service_loop(service_t *service)
{
    return service->loop;
}

bus_t *service_bus(service_t *service)
{
    return service->bus;
}

pg_t *service_pg(service_t *service)
{
    return service->pg;
}

http_client_t *service_http(service_t *service)
{
    return service->http;
}

metrics_t *service_metrics(service_t *service)
{
    return service->metrics;
}

/* -- configuration ------------------------------------------------------------------------------- */
static void names_init(service_t *service)
{
    const char *name = service->def->name;
    uint32_t draw;
    assert(strlen(name) < SERVICE_NAME_BYTES);
    clock_random(&draw, sizeof draw);
    (void)snprintf(service->instance, sizeof service->instance, "%s-%06x", name, draw & 0xFFFFFF);
    (void)snprintf(service->schema, sizeof service->schema, "%s", name);
    for (char *dash; (dash = strchr(service->schema, '-')) != NULL;)
        *dash = '_';
}

static bool configure(service_t *service, error_t *err)
{
    service_config_t *config = &service->config;
    log_level_t level;
    log_start(service->def->name, service->instance, LOG_INFO);
    if (!config_load(config->tables, config->settings, config->count, err))
        return false;
    if (!log_level_parse(config->common.log_level, &level))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "MANGABUS_LOG_LEVEL must be debug, info, warn or error, not '%s'", config->common.log_level);
    log_start(service->def->name, service->instance, level);
    if (config->database.pgpassword && *config->database.pgpassword)
        (void)setenv("PGPASSWORD", config->database.pgpassword, 1); /* it may have come from a file */
    return true;
}

static bool migrate(service_t *service, error_t *err)
{
    const service_def_t *def = service->def;
    return !def->migrations ||
           pg_migrate(service->schema, def->migrations, def->migration_count, service->config.database.wait_ms, err);
}

/* -- HTTP ---------------------------------------------------------------------------------------- */
static bool http_listen(service_t *service, error_t *err)
{
    const char *text = service->config.common.http;
    health_address_t address;
    if (!*text)
        return true;
    if (!health_address_parse(text, &address, err))
        return false;
    http_server_options_t options = {.address = address.host, .port = address.port};
    service->http_server = http_server_new(service->loop, &options, service_http_handle, service, err);
    /* Two of a kind on one machine: nobody asked for this very port. */
    if (!service->http_server && err->code == STATUS_ALREADY_EXISTS && !getenv("MANGABUS_HTTP")) {
        options.port = 0;
        service->http_server = http_server_new(service->loop, &options, service_http_handle, service, err);
    }
    if (!service->http_server)
        return false;
    log_info("listening", LOG_S("address", address.host), LOG_I("port", http_server_port(service->http_server)));
    return true;
}

/* -- bus ----------------------------------------------------------------------------------------- */
static bool key_read(const char *dir, const char *name, const char *ending, char out[BUS_KEY_CHARS + 1], error_t *err)
{
    char path[PATH_BYTES];
    int n = snprintf(path, sizeof path, "%s/%s.%s", dir, name, ending);
    if (n < 0 || (size_t)n >= sizeof path)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_CURVE_DIR is too long");
    return bus_key_read(path, out, err);
}

static bool bus_connect(service_t *service, error_t *err)
{
    const service_common_t *common = &service->config.common;
    const char *name = service->def->name, *dir = common->curve_dir;
    char server[BUS_KEY_CHARS + 1], public[BUS_KEY_CHARS + 1], secret[BUS_KEY_CHARS + 1];
    bool secured = *dir != '\0';
    if (secured && (!key_read(dir, "server", "pub", server, err) || !key_read(dir, name, "pub", public, err) ||
                    !key_read(dir, name, "key", secret, err)))
        return false;
    bus_options_t options = {.endpoint = common->endpoint,
                             .instance = service->instance,
                             .role = name,
                             .version = MANGABUS_VERSION,
                             .producer = service->instance,
                             .server_key = secured ? server : NULL,
                             .public_key = secured ? public : NULL,
                             .secret_key = secured ? secret : NULL,
                             .observer = &service->observer};
    service->bus = bus_new(service->loop, &options, err);
    explicit_bzero(secret, sizeof secret);
    return service->bus != NULL;
}

static bool serve_calls(service_t *service, error_t *err)
{
    for (size_t i = 0; i < service->def->call_count; i++) {
        const service_call_t *call = &service->def->calls[i];
        uint64_t capacity = call->capacity ? call->capacity : CALLS_AT_ONCE;
        if (!bus_serve(service->bus, call->method, capacity, call->fn, service->app, err))
            return false;
    }
    return true;
}

static bool consume_queues(service_t *service, error_t *err)
{
    for (size_t i = 0; i < service->def->queue_count; i++) {
        const service_queue_t *queue = &service->def->queues[i];
        bus_consume_t consume = {.queue = queue->queue,
                                 .messages = queue->messages,
                                 .visibility_ms = queue->visibility_ms > 0 ? queue->visibility_ms : -1,
                                 .hold_max_ms = queue->hold_max_ms,
                                 .fn = queue->fn,
                                 .ctx = service->app};
        if (!bus_consume(service->bus, &consume, err))
            return false;
    }
    return true;
}

static bool listen_to_events(service_t *service, error_t *err)
{
    for (size_t i = 0; i < service->def->listen_count; i++) {
        const service_listen_t *listen = &service->def->listens[i];
        bus_listen_t options = {.bus = listen->bus,
                                .pattern = listen->pattern,
                                .live_only = listen->live_only,
                                .fn = listen->fn,
                                .on_gap = listen->on_gap,
                                .ctx = service->app};
        if (bus_listen(service->bus, &options, err) == 0)
            return false;
    }
    return true;
}

/* -- draining ------------------------------------------------------------------------------------ */
static void drained(void *ctx)
{
    service_t *service = ctx;
    loop_stop(service->loop);
}

static void on_signal(void *ctx, int number)
{
    service_t *service = ctx;
    if (number == SIGHUP) {
        log_info("SIGHUP ignored: the configuration is read at start only");
        return;
    }
    if (service->state == SERVICE_DRAINING) {
        log_warn("second signal: ending at once");
        loop_stop(service->loop);
        return;
    }
    int64_t drain_ms = service->config.common.drain_ms;
    log_info("draining", LOG_I("duration_ms", drain_ms));
    service->state = SERVICE_DRAINING;
    loop_timer_in(service->drain_timer, drain_ms + DRAIN_GRACE_MS);
    bus_drain(service->bus, drain_ms, drained, service);
}

/* -- life ---------------------------------------------------------------------------------------- */
static bool foundations(service_t *service, error_t *err)
{
    service->loop = loop_new(err);
    if (!service->loop)
        return false;
    service->metrics = metrics_new();
    service->drain_timer = loop_timer_new(service->loop, drained, service);
    if (!service->metrics || !service->drain_timer)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    service_metrics_start(service);
    loop_on_signal(service->loop, on_signal, service);
    service->http = http_client_new(service->loop, err);
    return service->http != NULL;
}

static bool database_open(service_t *service, error_t *err)
{
    if (!service->def->migrations)
        return true;
    pg_options_t options = {.connections = (int)service->config.database.connections, .schema = service->schema};
    service->pg = pg_new(service->loop, &options, err);
    return service->pg != NULL;
}

static bool app_start(service_t *service, error_t *err)
{
    if (!service->def->start)
        return true;
    service->app = service->def->start(service, service->config.own, err);
    return service->app != NULL;
}

static bool start(service_t *service, error_t *err)
{
    return foundations(service, err) && http_listen(service, err) && database_open(service, err) &&
           bus_connect(service, err) && app_start(service, err) && serve_calls(service, err) &&
           consume_queues(service, err) && listen_to_events(service, err);
}

/* What ends first may still call into what ends later: the app is last. */
static void stop(service_t *service)
{
    http_client_free(&service->http);
    pg_free(&service->pg);
    bus_free(&service->bus);
    if (service->app && service->def->stop)
        service->def->stop(service->app);
    http_server_free(&service->http_server);
    loop_timer_end(&service->drain_timer);
    metrics_free(&service->metrics);
    loop_free(&service->loop);
}

static int run(service_t *service)
{
    error_t err = {0};
    if (!configure(service, &err)) {
        log_error("wrong configuration", LOG_S("error", err.message));
        return EX_CONFIG;
    }
    if (!migrate(service, &err)) {
        log_error("the database cannot be used", LOG_S("error", err.message), LOG_S("status", status_name(err.code)));
        return err.code == STATUS_UNAVAILABLE ? EX_UNAVAILABLE : EX_CONFIG;
    }
    bool started = start(service, &err);
    if (started) {
        service->state = SERVICE_RUNNING;
        log_info("started", LOG_S("version", MANGABUS_VERSION));
        loop_run(service->loop);
    } else {
        log_error("cannot start", LOG_S("error", err.message), LOG_S("status", status_name(err.code)));
    }
    stop(service);
    if (started)
        log_info("ended");
    return started ? EX_OK : EX_CONFIG;
}

int service_main(const service_def_t *def, int argc, char **argv)
{
    int exit_code;
    loop_signals_early();
    if (service_verb(def, argc, argv, &exit_code))
        return exit_code;
    service_t *service = calloc(1, sizeof *service);
    if (!service || !service_config_init(&service->config, def)) {
        free(service);
        return EX_SOFTWARE;
    }
    service->def = def;
    names_init(service);
    exit_code = run(service);
    service_config_free(&service->config);
    free(service);
    return exit_code;
}
