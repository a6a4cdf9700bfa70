/* main.c: inventory-events: changes of stock become inventory.* events, in order, exactly once in effect. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/inbox.h"
#include "kit/parked.h"
#include "kit/service.h"
#include "proto/attrs.h"
#include "services/inventory-events/change.h"
#include "services/inventory-events/store.h"
#include "services/inventory-events/story.h"

#define INBOX_DAYS 30 /* longer than any message waits, the dead-letter queue's two weeks included */
#define PRUNE_FIRST_MS 60000
#define PRUNE_EVERY_MS (6 * 3600 * INT64_C(1000))
#define RETRY_MS 2000  /* a change that the database could not take is tried again after this */
#define IN_HAND_MAX 64 /* change records at once */

typedef struct {
    char *table;
    char *warehouse;
} settings_t;

typedef struct {
    service_t *service;
    settings_t *settings;
    outbox_t *outbox;
    loop_timer_t *prune;
    parked_t *parked; /* wait for the database */
    arena_t arena;
    metric_t *changes[5]; /* by store_outcome_t; the last: passed over */
} app_t;

enum { CHANGES_IGNORED = 4 };

/* One message or request under way. */
typedef struct {
    app_t *app;
    bus_delivery_t *delivery;
    bus_request_t *request;
    int64_t began_us;
    char isbn[ISBN13_TEXT_BYTES];
    char warehouse[CHANGE_WAREHOUSE_BYTES];
} work_t;

static work_t *work_new(app_t *app)
{
    work_t *work = calloc(1, sizeof *work);
    if (!work)
        abort();
    work->app = app;
    work->began_us = clock_mono_us();
    return work;
}

/* -- change records --------------------------------------------------------------------------------- */
static void on_applied(void *ctx, store_outcome_t outcome, const error_t *err)
{
    work_t *work = ctx;
    bus_t *bus = service_bus(work->app->service);
    if (err) {
        log_warn("a change could not be stored and is tried again", LOG_I("record", work->delivery->record),
                 LOG_S("error", err->message));
        if (!status_is_transient(err->code) || !parked_put(work->app->parked, work->delivery))
            bus_release(bus, work->delivery, RETRY_MS, err->message);
    } else {
        metric_add(work->app->changes[outcome], 1);
        bus_ack(bus, work->delivery);
        if (outcome == STORE_APPLIED)
            outbox_wake(work->app->outbox);
    }
    free(work);
}

static void change_apply(app_t *app, bus_delivery_t *delivery, const change_t *change)
{
    char correlation[TRACE_PARENT_BYTES + 1];
    if (delivery->trace.valid)
        trace_format(&delivery->trace, correlation);
    else
        (void)snprintf(correlation, sizeof correlation, "record-%llu", (unsigned long long)delivery->record);
    store_message_t message = {.record = (int64_t)delivery->record,
                               .ingest_us = delivery->ingest_us,
                               .correlation_id = bytes_cstr(correlation)};
    if (!attrs_str(delivery->attrs, ATTR_REPLAY_NAME, &message.replay_name))
        message.replay_name = BYTES_NONE;
    work_t *work = work_new(app);
    work->delivery = delivery;
    store_apply(service_pg(app->service), change, &message, on_applied, work);
}

static void on_change_record(void *ctx, bus_delivery_t *delivery)
{
    app_t *app = ctx;
    change_rules_t rules = {.table = app->settings->table, .warehouse = app->settings->warehouse};
    change_t change;
    error_t err = {0};
    switch (change_read(delivery->body, &rules, &app->arena, &change, &err)) {
    case CHANGE_STOCK:
        change_apply(app, delivery, &change);
        break;
    case CHANGE_NOTHING:
        metric_add(app->changes[CHANGES_IGNORED], 1);
        log_debug("passed over a change record", LOG_I("record", delivery->record), LOG_S("why", change.why));
        bus_ack(service_bus(app->service), delivery);
        break;
    case CHANGE_BROKEN:
        log_warn("refused a change record", LOG_I("record", delivery->record), LOG_S("error", err.message));
        bus_reject(service_bus(app->service), delivery, err.message);
        break;
    }
    arena_reset(&app->arena);
}

/* -- inventory.adjust ------------------------------------------------------------------------------- */
static void on_adjusted(void *ctx, const store_adjusted_t *result, const error_t *err)
{
    work_t *work = ctx;
    bus_t *bus = service_bus(work->app->service);
    if (err) {
        bus_fail(bus, work->request, err);
        free(work);
        return;
    }
    hop_t hop = {.service = BYTES_LIT("inventory-events"),
                 .operation = BYTES_LIT("inventory.adjust"),
                 .duration_us = clock_mono_us() - work->began_us};
    inventory_adjust_response_t response = {.isbn = bytes_cstr(work->isbn),
                                            .warehouse_code = bytes_cstr(work->warehouse),
                                            .new_quantity = result->quantity,
                                            .version = result->version,
                                            .applied = result->applied};
    if (result->previous >= 0)
        SCHEMA_SET(&response, previous_quantity, result->previous);
    SCHEMA_SET(&response, hops, ((hop_list_t){&hop, 1}));
    buf_t body = {0};
    error_t why = {0};
    if (inventory_adjust_response_pack(&body, &response, &why))
        bus_reply(bus, work->request, buf_bytes(&body));
    else
        bus_fail(bus, work->request, &why);
    buf_free(&body);
    if (result->applied)
        outbox_wake(work->app->outbox);
    free(work);
}

static bool adjustment_check(const inventory_adjust_request_t *request, error_t *err)
{
    return request->has_delta != request->has_quantity ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "request: give either delta or quantity");
}

static void on_adjust(void *ctx, bus_request_t *request)
{
    app_t *app = ctx;
    inventory_adjust_request_t asked;
    error_t err = {0};
    if (!inventory_adjust_request_unpack(request->body, &app->arena, &asked, &err) || !adjustment_check(&asked, &err)) {
        bus_fail(service_bus(app->service), request, &err);
        arena_reset(&app->arena);
        return;
    }
    work_t *work = work_new(app);
    work->request = request;
    (void)bytes_to_cstr(asked.isbn, work->isbn, sizeof work->isbn);
    (void)bytes_to_cstr(asked.warehouse_code, work->warehouse, sizeof work->warehouse);
    store_adjustment_t adjustment = {
        .isbn = asked.isbn,
        .warehouse = asked.warehouse_code,
        .source = asked.has_change_source ? asked.change_source : BYTES_LIT("manual_adjustment"),
        .reason = asked.has_reason ? asked.reason : BYTES_NONE,
        .key = asked.idempotency_key,
        .correlation_id = asked.idempotency_key,
        .is_delta = asked.has_delta,
        .amount = asked.has_delta ? asked.delta : asked.quantity,
        .now_us = clock_wall_us(),
    };
    store_adjust(service_pg(app->service), &adjustment, on_adjusted, work);
    arena_reset(&app->arena);
}

/* -- housekeeping ----------------------------------------------------------------------------------- */
static void on_pruned(void *ctx, const PGresult *result, const error_t *err)
{
    (void)ctx, (void)result;
    if (err)
        log_warn("old notes of messages could not be forgotten", LOG_S("error", err->message));
}

static void on_prune(void *ctx)
{
    app_t *app = ctx;
    inbox_prune(service_pg(app->service), INBOX_DAYS, on_pruned, app);
    loop_timer_in(app->prune, PRUNE_EVERY_MS);
}

/* -- the process ------------------------------------------------------------------------------------ */
static void app_stop(void *ctx)
{
    app_t *app = ctx;
    outbox_free(&app->outbox);
    loop_timer_end(&app->prune);
    parked_free(&app->parked);
    arena_free(&app->arena);
    free(app);
}

static void counters_make(app_t *app)
{
    static const char *const outcomes[] = {"applied", "unchanged", "older", "repeated", "ignored"};
    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        buf_t labels = {0};
        metrics_label(&labels, "outcome", bytes_cstr(outcomes[i]));
        app->changes[i] = metrics_counter(service_metrics(app->service), "mangabus_inventory_changes_total",
                                          buf_cstr(&labels), "change records by what became of them");
        buf_free(&labels);
    }
}

static void *app_start(service_t *service, void *settings, error_t *err)
{
    app_t *app = calloc(1, sizeof *app);
    if (!app) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    app->service = service;
    app->settings = settings;
    arena_init(&app->arena, 0);
    counters_make(app);
    app->outbox = outbox_new(service, &story_outbox, err);
    app->prune = loop_timer_new(service_loop(service), on_prune, app);
    app->parked = parked_new(service_loop(service), RETRY_MS, on_change_record, app, err);
    if (!app->outbox || !app->prune || !app->parked) {
        app_stop(app);
        return NULL;
    }
    loop_timer_in(app->prune, PRUNE_FIRST_MS);
    return app;
}

static const config_row_t rows[] = {
    {.name = "MANGABUS_INVENTORY_TABLE",
     .type = CONFIG_STR,
     .offset = offsetof(settings_t, table),
     .fallback = "",
     .doc = "name of the stock table in change records; empty takes every table that names a book"},
    {.name = "MANGABUS_INVENTORY_WAREHOUSE",
     .type = CONFIG_STR,
     .offset = offsetof(settings_t, warehouse),
     .fallback = "TK01",
     .doc = "warehouse of change records that name none"},
};

static const service_call_t calls[] = {{.method = "inventory.adjust", .fn = on_adjust}};
static const service_queue_t queues[] = {
    {.queue = INVENTORY_CDC_QUEUE, .messages = IN_HAND_MAX, .fn = on_change_record}};

int main(int argc, char **argv)
{
    const service_def_t def = {
        .name = "inventory-events",
        .doc = "turns changes of stock (AWS DMS records, inventory.adjust) into inventory.* events",
        .http_port = 7483,
        .config = {rows, ARRAY_LEN(rows)},
        .settings_bytes = sizeof(settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .queues = queues,
        .queue_count = ARRAY_LEN(queues),
        .migrations = store_migrations,
        .migration_count = store_migration_count,
        .start = app_start,
        .stop = app_stop,
    };
    return service_main(&def, argc, argv);
}
