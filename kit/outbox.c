/* outbox.c: turns of select, publish, delete. */
#include "kit/outbox.h"

#include <stdlib.h>

#include "kit/pg_array.h"

#define IDLE_MS 1000  /* looks without being woken: another instance may have died telling */
#define RETRY_MS 2000 /* after a failure */

struct outbox {
    service_t *service;
    outbox_options_t options;
    loop_timer_t *timer;
    pg_tx_t *tx;     /* the turn under way */
    size_t waiting;  /* publishes of this turn that are not answered, and one while rows are read */
    bool is_refused; /* one of them was not taken: it stays, and the next turn waits */
    bool is_woken;   /* since this turn began */
    buf_t ids;       /* of the rows that were taken: an array literal */
    buf_t scratch[2];
    metric_t *told, *failed;
};

/* One row on its way. */
typedef struct {
    outbox_t *owner;
    int64_t id;
} telling_t;

static void turn_end(outbox_t *self, bool again_at_once, int64_t wait_ms)
{
    self->tx = NULL;
    loop_timer_in(self->timer, again_at_once || self->is_woken ? 0 : wait_ms);
}

static void on_committed(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    outbox_t *self = ctx;
    if (err)
        log_warn("told events could not be forgotten and will be told again", LOG_S("error", err->message));
    turn_end(self, err == NULL && !self->is_refused, RETRY_MS);
}

static void on_deleted(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result, (void)ctx, (void)err; /* a failure fails the commit behind it */
}

static void turn_finish(outbox_t *self)
{
    if (self->ids.len == 0) {
        pg_tx_rollback(self->tx);
        turn_end(self, false, RETRY_MS);
        return;
    }
    const pg_param_t ids[] = {PG_STR(pg_array_end(&self->ids))};
    pg_tx_query(self->tx, self->options.delete_sql, ids, ARRAY_LEN(ids), on_deleted, self);
    pg_tx_commit(self->tx, on_committed, self);
}

static void refused(outbox_t *self, const char *message)
{
    self->is_refused = true;
    metric_add(self->failed, 1);
    log_warn("an event was not taken and will be told again", LOG_S("error", message));
}

static void on_published(void *ctx, const error_t *err, uint64_t record, bool duplicate)
{
    (void)record, (void)duplicate;
    telling_t *telling = ctx;
    outbox_t *self = telling->owner;
    if (err) {
        refused(self, err->message);
    } else {
        metric_add(self->told, 1);
        pg_array_i64(&self->ids, telling->id);
    }
    free(telling);
    if (--self->waiting == 0)
        turn_finish(self);
}

static bool row_tell(outbox_t *self, const PGresult *rows, int row, error_t *err)
{
    bus_event_t event = {0};
    buf_clear(&self->scratch[0]);
    buf_clear(&self->scratch[1]);
    if (!self->options.event(self->options.ctx, rows, row, self->scratch, &event, err))
        return false;
    telling_t *telling = malloc(sizeof *telling);
    if (!telling)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    *telling = (telling_t){self, pg_i64(rows, row, 0, -1)};
    if (bus_publish(service_bus(self->service), &event, on_published, telling, err))
        return true;
    free(telling);
    return false;
}

/* A row that can never be told is left behind, so that it does not hold up all others; where the bus takes nothing
 * just now the rest waits, and keeps its order. */
static void rows_tell(outbox_t *self, const PGresult *rows, int count)
{
    bool is_full = false;
    for (int row = 0; row < count && !is_full; row++) {
        error_t why = {0};
        self->waiting++;
        if (row_tell(self, rows, row, &why))
            continue;
        self->waiting--;
        refused(self, why.message);
        is_full = status_is_transient(why.code);
    }
}

static void on_rows(void *ctx, const PGresult *rows, const error_t *err)
{
    outbox_t *self = ctx;
    int count = err ? 0 : PQntuples(rows);
    if (count == 0) {
        if (err)
            log_warn("the outbox could not be read", LOG_S("error", err->message));
        pg_tx_rollback(self->tx);
        turn_end(self, false, err ? RETRY_MS : IDLE_MS);
        return;
    }
    buf_clear(&self->ids);
    self->is_refused = false;
    self->waiting = 1;
    rows_tell(self, rows, count);
    if (--self->waiting == 0)
        turn_finish(self);
}

static void turn_begin(void *ctx)
{
    outbox_t *self = ctx;
    if (self->tx)
        return;
    self->is_woken = false;
    if (!bus_is_up(service_bus(self->service)) || !pg_is_ready(service_pg(self->service))) {
        loop_timer_in(self->timer, IDLE_MS);
        return;
    }
    self->tx = pg_begin(service_pg(self->service));
    if (!self->tx) {
        loop_timer_in(self->timer, RETRY_MS);
        return;
    }
    pg_tx_query(self->tx, self->options.select_sql, NULL, 0, on_rows, self);
}

void outbox_wake(outbox_t *self)
{
    self->is_woken = true;
    if (!self->tx)
        loop_timer_in(self->timer, 0);
}

outbox_t *outbox_new(service_t *service, const outbox_options_t *options, error_t *err)
{
    outbox_t *self = calloc(1, sizeof *self);
    if (self)
        self->timer = loop_timer_new(service_loop(service), turn_begin, self);
    if (!self || !self->timer) {
        free(self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    self->service = service;
    self->options = *options;
    metrics_t *metrics = service_metrics(service);
    self->told = metrics_counter(metrics, "mangabus_outbox_events_total", "outcome=\"published\"",
                                 "events told to the bus by the outbox");
    self->failed = metrics_counter(metrics, "mangabus_outbox_events_total", "outcome=\"failed\"",
                                   "events told to the bus by the outbox");
    loop_timer_in(self->timer, 0);
    return self;
}

void outbox_free(outbox_t **outbox)
{
    outbox_t *self = *outbox;
    if (!self)
        return;
    if (self->tx)
        pg_tx_rollback(self->tx);
    loop_timer_end(&self->timer);
    buf_free(&self->ids);
    buf_free(&self->scratch[0]);
    buf_free(&self->scratch[1]);
    free(self);
    *outbox = NULL;
}
