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
    loop_timer_t *timer;
    bus_request_t *slow; /* being answered */
    loop_timer_t *hold;
    bus_delivery_t *held; /* being worked on */
} probe_t;

#define SLOW_MS 300
#define HOLD_MS 3000 /* longer than the visibility of the test's queue */

static const config_row_t rows[] = {
    {"MANGABUS_PROBE_GREETING", CONFIG_STR, offsetof(settings_t, greeting), "hello", 0, 0, 0, "what it says"},
    {"MANGABUS_PROBE_PIN", CONFIG_STR, offsetof(settings_t, pin), "", 0, 0, CONFIG_SECRET, "a secret"},
    {"MANGABUS_PROBE_LIMIT", CONFIG_I64, offsetof(settings_t, limit), "10", 1, 100, 0, "a limit"},
    {"MANGABUS_PROBE_UNREADY", CONFIG_BOOL, offsetof(settings_t, unready), "no", 0, 0, 0, "never be ready"},
};

/* -- calls and messages ------------------------------------------------------------------------------ */
/* Answers with what it was asked. */
static void on_echo(void *app, bus_request_t *request)
{
    const probe_t *probe = app;
    bus_reply(service_bus(probe->service), request, request->body);
}

static void on_slow(void *app, bus_request_t *request)
{
    probe_t *probe = app;
    log_info("slow call begun");
    probe->slow = request;
    loop_timer_in(probe->timer, SLOW_MS);
}

static void answer_slow(void *app)
{
    probe_t *probe = app;
    bus_reply(service_bus(probe->service), probe->slow, probe->slow->body);
    probe->slow = NULL;
}

/* The body says what becomes of it. */
static void on_message(void *app, bus_delivery_t *delivery)
{
    probe_t *probe = app;
    mp_reader_t reader = mp_reader(delivery->body);
    bytes_t word;
    bool is_text = mp_get_str(&reader, &word);
    if (is_text && bytes_eq_cstr(word, "slow") && !probe->held) {
        log_info("slow message begun", LOG_I("record", delivery->record), LOG_I("count", delivery->receives));
        probe->held = delivery;
        loop_timer_in(probe->hold, HOLD_MS);
    } else if (is_text && bytes_eq_cstr(word, "good"))
        bus_ack(service_bus(probe->service), delivery);
    else
        bus_reject(service_bus(probe->service), delivery, "it is not good");
}

static void finish_slow_message(void *app)
{
    probe_t *probe = app;
    bus_ack(service_bus(probe->service), probe->held);
    probe->held = NULL;
    log_info("slow message done");
}

/* -- life ---------------------------------------------------------------------------------------------- */
static void *start(service_t *service, void *settings, error_t *err)
{
    settings_t *s = settings;
    if (strcmp(s->greeting, "refuse") == 0) {
        (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the probe was told to refuse");
        return NULL;
    }
    probe_t *probe = calloc(1, sizeof *probe);
    if (!probe)
        return NULL;
    *probe = (probe_t){.service = service, .settings = s};
    probe->timer = loop_timer_new(service_loop(service), answer_slow, probe);
    probe->hold = loop_timer_new(service_loop(service), finish_slow_message, probe);
    return probe;
}

static void stop(void *app)
{
    probe_t *probe = app;
    loop_timer_end(&probe->timer);
    loop_timer_end(&probe->hold);
    free(probe);
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

static const service_call_t calls[] = {
    {.method = "probe.echo", .fn = on_echo},
    {.method = "probe.slow", .fn = on_slow},
};
static const service_queue_t queues[] = {{.queue = "plain", .fn = on_message}};
static const pg_migration_t migrations[] = {{1, "begin", "CREATE TABLE probes (id int PRIMARY KEY)"}};

int main(int argc, char **argv)
{
    /* PROBE_DATABASE: with a database; PROBE_QUEUE: consume one; PROBE_PORT: the default port. */
    const char *port = getenv("PROBE_PORT");
    service_def_t def = {
        .name = "test-probe",
        .doc = "Shows what the chassis does.",
        .http_port = (uint16_t)(port ? atoi(port) : 7499),
        .config = {rows, ARRAY_LEN(rows)},
        .settings_bytes = sizeof(settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .queues = queues,
        .queue_count = getenv("PROBE_QUEUE") ? ARRAY_LEN(queues) : 0,
        .migrations = getenv("PROBE_DATABASE") ? migrations : NULL,
        .migration_count = ARRAY_LEN(migrations),
        .start = start,
        .is_ready = is_ready,
        .stop = stop,
        .on_http = on_http,
    };
    return service_main(&def, argc, argv);
}
