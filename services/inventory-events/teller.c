/* teller.c: from outbox rows to inventory.* events. */
#include "services/inventory-events/teller.h"

#include <stdlib.h>

#include "proto/attrs.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "services/inventory-events/store.h"

#define TELLER_IDLE_MS 1000  /* looks without being woken: another instance may have died telling */
#define TELLER_RETRY_MS 2000 /* after a failure */

struct teller {
    service_t *service;
    loop_timer_t *timer;
    pg_tx_t *tx;     /* the turn under way */
    size_t waiting;  /* publishes of this turn that are not answered */
    bool is_refused; /* one of them was not taken: nothing is deleted */
    bool is_woken;   /* since this turn began */
    buf_t ids;       /* of the rows told, as an array literal */
    buf_t detail;
    metric_t *told, *failed;
};

static void turn_begin(void *ctx);

static void turn_end(teller_t *self, bool again_at_once, int64_t wait_ms)
{
    self->tx = NULL;
    loop_timer_in(self->timer, again_at_once || self->is_woken ? 0 : wait_ms);
}

static void on_committed(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    teller_t *self = ctx;
    if (err)
        log_warn("told events could not be forgotten and will be told again", LOG_S("error", err->message));
    turn_end(self, err == NULL, TELLER_RETRY_MS);
}

static void on_deleted(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result, (void)ctx, (void)err; /* a failure fails the commit behind it */
}

static void turn_finish(teller_t *self)
{
    if (self->is_refused) {
        pg_tx_rollback(self->tx);
        turn_end(self, false, TELLER_RETRY_MS);
        return;
    }
    store_told(self->tx, buf_bytes(&self->ids), on_deleted, self);
    pg_tx_commit(self->tx, on_committed, self);
}

static void on_published(void *ctx, const error_t *err, uint64_t record, bool duplicate)
{
    (void)record, (void)duplicate;
    teller_t *self = ctx;
    if (err) {
        self->is_refused = true;
        metric_add(self->failed, 1);
        log_warn("an event was not taken and will be told again", LOG_S("error", err->message));
    } else {
        metric_add(self->told, 1);
    }
    if (--self->waiting == 0)
        turn_finish(self);
}

static bool detail_pack(buf_t *out, const PGresult *rows, int row, const char *type, error_t *err)
{
    char at[TIMEFMT_US_BYTES];
    timefmt_us(pg_i64(rows, row, OUTBOX_AT_US, 0), at);
    int64_t previous = pg_i64(rows, row, OUTBOX_PREVIOUS, -1);
    buf_t metadata = {0};
    mp_put_map(&metadata, 3);
    mp_put_cstr(&metadata, "cdc_operation");
    mp_put_str(&metadata, pg_text(rows, row, OUTBOX_OPERATION));
    mp_put_cstr(&metadata, "cdc_timestamp");
    mp_put_str(&metadata, pg_text(rows, row, OUTBOX_WRITTEN_AT));
    mp_put_cstr(&metadata, "table_name");
    mp_put_str(&metadata, pg_text(rows, row, OUTBOX_TABLE));
    inventory_change_t change = {
        .event_type = bytes_cstr(type),
        .isbn = pg_text(rows, row, OUTBOX_ISBN),
        .warehouse_code = pg_text(rows, row, OUTBOX_WAREHOUSE),
        .new_quantity = pg_i64(rows, row, OUTBOX_QUANTITY, 0),
        .version = pg_i64(rows, row, OUTBOX_VERSION, 0),
        .change_source = pg_text(rows, row, OUTBOX_SOURCE),
        .timestamp_utc = bytes_cstr(at),
        .correlation_id = pg_text(rows, row, OUTBOX_CORRELATION),
    };
    SCHEMA_SET(&change, total_quantity, pg_i64(rows, row, OUTBOX_TOTAL, 0));
    SCHEMA_SET(&change, stock_status, bytes_cstr(change_stock_status(change.new_quantity)));
    if (pg_text(rows, row, OUTBOX_TITLE).len)
        SCHEMA_SET(&change, title, pg_text(rows, row, OUTBOX_TITLE));
    if (previous >= 0)
        SCHEMA_SET(&change, previous_quantity, previous);
    if (pg_text(rows, row, OUTBOX_OPERATION).len)
        SCHEMA_SET(&change, metadata, buf_bytes(&metadata));
    bool ok = inventory_change_pack(out, &change, err);
    buf_free(&metadata);
    return ok;
}

/* A replayed change carries its replay's name in the key: it is to have its effect again. */
static void dedup_write(buf_t *out, const PGresult *rows, int row)
{
    buf_printf(out, "%.*s/%.*s/%.*s", BYTES_FMT(pg_text(rows, row, OUTBOX_ISBN)),
               BYTES_FMT(pg_text(rows, row, OUTBOX_WAREHOUSE)), BYTES_FMT(pg_text(rows, row, OUTBOX_VERSION)));
    if (pg_text(rows, row, OUTBOX_REPLAY).len)
        buf_printf(out, "/%.*s", BYTES_FMT(pg_text(rows, row, OUTBOX_REPLAY)));
}

static bool row_tell(teller_t *self, const PGresult *rows, int row, error_t *err)
{
    const char *type = change_event_type(pg_i64(rows, row, OUTBOX_PREVIOUS, -1), pg_i64(rows, row, OUTBOX_QUANTITY, 0));
    buf_clear(&self->detail);
    if (!detail_pack(&self->detail, rows, row, type, err))
        return false;
    buf_t dedup = {0};
    dedup_write(&dedup, rows, row);
    bus_event_t event = {
        .bus = INVENTORY_BUS,
        .source = INVENTORY_SOURCE,
        .detail_type = type,
        .detail = buf_bytes(&self->detail),
        .dedup = buf_bytes(&dedup),
        .time_us = pg_i64(rows, row, OUTBOX_AT_US, 0),
    };
    bool ok = bus_publish(service_bus(self->service), &event, on_published, self, err);
    buf_free(&dedup);
    return ok;
}

static void on_rows(void *ctx, const PGresult *rows, const error_t *err)
{
    teller_t *self = ctx;
    int count = err ? 0 : PQntuples(rows);
    if (count == 0) {
        if (err)
            log_warn("the outbox could not be read", LOG_S("error", err->message));
        pg_tx_rollback(self->tx);
        turn_end(self, false, err ? TELLER_RETRY_MS : TELLER_IDLE_MS);
        return;
    }
    buf_clear(&self->ids);
    self->is_refused = false;
    self->waiting = 1; /* ours, so that no answer ends the turn before all are told */
    for (int row = 0; row < count && !self->is_refused; row++) {
        error_t why = {0};
        buf_printf(&self->ids, "%c%.*s", row ? ',' : '{', BYTES_FMT(pg_text(rows, row, OUTBOX_ID)));
        self->waiting++;
        if (!row_tell(self, rows, row, &why)) {
            self->waiting--;
            self->is_refused = true;
            metric_add(self->failed, 1);
            log_warn("an event could not be told", LOG_S("error", why.message));
        }
    }
    buf_append_cstr(&self->ids, "}");
    if (--self->waiting == 0)
        turn_finish(self);
}

static void turn_begin(void *ctx)
{
    teller_t *self = ctx;
    if (self->tx)
        return;
    self->is_woken = false;
    if (!bus_is_up(service_bus(self->service)) || !pg_is_ready(service_pg(self->service))) {
        loop_timer_in(self->timer, TELLER_IDLE_MS);
        return;
    }
    self->tx = pg_begin(service_pg(self->service));
    if (!self->tx) {
        loop_timer_in(self->timer, TELLER_RETRY_MS);
        return;
    }
    store_outbox(self->tx, on_rows, self);
}

void teller_wake(teller_t *self)
{
    self->is_woken = true;
    if (!self->tx)
        loop_timer_in(self->timer, 0);
}

teller_t *teller_new(service_t *service, error_t *err)
{
    teller_t *self = calloc(1, sizeof *self);
    if (self)
        self->timer = loop_timer_new(service_loop(service), turn_begin, self);
    if (!self || !self->timer) {
        free(self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    self->service = service;
    metrics_t *metrics = service_metrics(service);
    self->told = metrics_counter(metrics, "mangabus_inventory_events_total", "outcome=\"published\"",
                                 "inventory events told to the bus");
    self->failed = metrics_counter(metrics, "mangabus_inventory_events_total", "outcome=\"failed\"",
                                   "inventory events told to the bus");
    loop_timer_in(self->timer, 0);
    return self;
}

void teller_free(teller_t **teller)
{
    teller_t *self = *teller;
    if (!self)
        return;
    if (self->tx)
        pg_tx_rollback(self->tx);
    loop_timer_end(&self->timer);
    buf_free(&self->ids);
    buf_free(&self->detail);
    free(self);
    *teller = NULL;
}
