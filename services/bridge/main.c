/* main.c: bridge: what the rules send to AWS goes to EventBridge, and is settled when it is safe there. */
#include <stddef.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "proto/contract.h"
#include "proto/timefmt.h"
#include "services/bridge/sender.h"

#define OUT_QUEUE "mangabus-bridge-out"

typedef struct {
    char *bus;
    bool replays;
} settings_t;

typedef struct {
    service_t *service;
    aws_t *aws;
    sender_t *sender;
} app_t;

static void on_event(void *ctx, bus_delivery_t *delivery)
{
    app_t *app = ctx;
    sender_take(app->sender, delivery);
}

static const char *state_name(const sender_status_t *s)
{
    if (!s->is_configured)
        return "unconfigured";
    if (s->is_failing)
        return "failing";
    return s->last_success_us ? "connected" : "untried";
}

static void on_status(void *ctx, bus_request_t *request)
{
    app_t *app = ctx;
    int64_t began_us = clock_mono_us();
    sender_status_t s;
    char error_at[TIMEFMT_US_BYTES], success_at[TIMEFMT_US_BYTES];
    sender_status(app->sender, &s);
    bridge_status_response_t response = {
        .state = bytes_cstr(state_name(&s)), .events_out = (int64_t)s.sent, .in_flight = (int64_t)s.in_flight};
    if (s.endpoint[0])
        SCHEMA_SET(&response, endpoint, bytes_cstr(s.endpoint));
    if (app->aws)
        SCHEMA_SET(&response, region, bytes_cstr(aws_region(app->aws)));
    SCHEMA_SET(&response, events_looped, (int64_t)s.looped);
    SCHEMA_SET(&response, events_refused, (int64_t)s.refused);
    if (s.last_error_us) {
        timefmt_us(s.last_error_us, error_at);
        SCHEMA_SET(&response, last_error, bytes_cstr(s.last_error));
        SCHEMA_SET(&response, last_error_at, bytes_cstr(error_at));
    }
    if (s.last_success_us) {
        timefmt_us(s.last_success_us, success_at);
        SCHEMA_SET(&response, last_success_at, bytes_cstr(success_at));
    }
    hop_t hop = {.service = BYTES_LIT("bridge"),
                 .operation = BYTES_LIT(CALL_BRIDGE_STATUS),
                 .duration_us = clock_mono_us() - began_us};
    SCHEMA_SET(&response, hops, ((hop_list_t){&hop, 1}));
    buf_t body = {0};
    error_t err = {0};
    if (bridge_status_response_pack(&body, &response, &err))
        bus_reply(service_bus(app->service), request, buf_bytes(&body));
    else
        bus_fail(service_bus(app->service), request, &err);
    buf_free(&body);
}

static void app_stop(void *ctx)
{
    app_t *app = ctx;
    sender_free(&app->sender);
    aws_free(&app->aws);
    free(app);
}

static void *app_start(service_t *service, void *settings, error_t *err)
{
    const settings_t *set = settings;
    app_t *app = calloc(1, sizeof *app);
    if (!app) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    app->service = service;
    error_t why = {0};
    app->aws = aws_new(service_loop(service), service_http(service), &why);
    if (!app->aws && why.code != STATUS_FAILED_PRECONDITION) {
        *err = why;
        free(app);
        return NULL;
    }
    if (!app->aws)
        log_warn("no AWS credentials: nothing is sent until they are given", LOG_S("error", why.message));
    app->sender = sender_new(service, app->aws, &(sender_options_t){.bus = set->bus, .replays = set->replays}, err);
    if (!app->sender) {
        app_stop(app);
        return NULL;
    }
    return app;
}

static const config_row_t rows[] = {
    {.name = "MANGABUS_BRIDGE_BUS",
     .type = CONFIG_STR,
     .offset = offsetof(settings_t, bus),
     .fallback = "",
     .doc = "event bus at AWS that takes all events; empty: the bus of the same name"},
    {.name = "MANGABUS_BRIDGE_REPLAYS",
     .type = CONFIG_BOOL,
     .offset = offsetof(settings_t, replays),
     .fallback = "false",
     .doc = "send replayed events too"},
};

static const service_call_t calls[] = {{.method = CALL_BRIDGE_STATUS, .fn = on_status}};
static const service_queue_t queues[] = {{.queue = OUT_QUEUE, .messages = 100, .fn = on_event}};

int main(int argc, char **argv)
{
    const service_def_t def = {
        .name = "bridge",
        .doc = "relays events to AWS EventBridge; settles them when EventBridge has them",
        .http_port = 7487,
        .config = {rows, ARRAY_LEN(rows)},
        .settings_bytes = sizeof(settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .queues = queues,
        .queue_count = ARRAY_LEN(queues),
        .start = app_start,
        .stop = app_stop,
    };
    return service_main(&def, argc, argv);
}
