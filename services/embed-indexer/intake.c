/* intake.c: a line of deliveries that wait, cut into batches; each batch knows its deliveries until they are settled.
 */
#include "services/embed-indexer/intake.h"

#include <stdlib.h>

#include "proto/envelope.h"
#include "services/embed-indexer/embedder.h"
#include "services/embed-indexer/follow.h"

#define RETRY_MS 2000 /* a batch that the database could not take is tried again after this */
#define LINE_MAX 4096 /* the credit of both queues, and what a lost session left behind */

typedef enum { KIND_CATALOG, KIND_STOCK } kind_t;

typedef struct {
    bus_delivery_t *delivery;
    kind_t kind;
} waiting_t;

struct intake {
    app_t *app;
    loop_timer_t *timer;
    waiting_t *line; /* not yet in a batch */
    size_t count, capacity;
    int batches;    /* at the database */
    bool is_parked; /* the database is away: the timer says when to try again */
    metric_t *taken, *passed_over, *refused, *again;
};

typedef struct {
    intake_t *intake;
    store_batch_t *rows;
    size_t count;
    waiting_t items[];
} batch_t;

static bus_t *bus_of(const intake_t *self)
{
    return service_bus(self->app->service);
}

static metric_t *counter(const app_t *app, const char *labels)
{
    return metrics_counter(service_metrics(app->service), "mangabus_embed_messages_total", labels,
                           "messages of catalogue and stock by what became of them");
}

static void on_timer(void *ctx);

intake_t *intake_new(app_t *app, error_t *err)
{
    intake_t *self = calloc(1, sizeof *self);
    loop_timer_t *timer = self ? loop_timer_new(service_loop(app->service), on_timer, self) : NULL;
    if (!timer) {
        free(self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    self->app = app;
    self->timer = timer;
    self->taken = counter(app, "outcome=\"taken\"");
    self->passed_over = counter(app, "outcome=\"passed_over\"");
    self->refused = counter(app, "outcome=\"refused\"");
    self->again = counter(app, "outcome=\"again\"");
    return self;
}

void intake_free(intake_t **intake)
{
    intake_t *self = *intake;
    if (!self)
        return;
    loop_timer_end(&self->timer);
    free(self->line);
    free(self);
    *intake = NULL;
}

static void line_reach(intake_t *self, size_t count)
{
    if (count <= self->capacity)
        return;
    size_t capacity = self->capacity ? self->capacity : INTAKE_BATCH_MAX;
    while (capacity < count)
        capacity *= 2;
    waiting_t *line = realloc(self->line, capacity * sizeof *line);
    if (!line)
        abort(); /* what is in hand must be settled */
    self->line = line;
    self->capacity = capacity;
}

/* -- settling --------------------------------------------------------------------------------------- */
static void refuse(intake_t *self, bus_delivery_t *delivery, const error_t *err)
{
    log_warn("refused a message", LOG_I("record", delivery->record), LOG_S("error", err->message));
    metric_add(self->refused, 1);
    bus_reject(bus_of(self), delivery, err->message);
}

static void batch_end(batch_t *batch)
{
    batch->intake->batches--;
    store_batch_free(&batch->rows);
    free(batch);
}

/* Puts the deliveries back to the front of the line. A database that is away is no fault of theirs: given back to the
 * queue they would count a receive each time, and three of those are a dead letter. */
static void batch_park(batch_t *batch)
{
    intake_t *self = batch->intake;
    line_reach(self, self->count + batch->count);
    memmove(self->line + batch->count, self->line, self->count * sizeof *self->line);
    memcpy(self->line, batch->items, batch->count * sizeof *self->line);
    self->count += batch->count;
    self->is_parked = true;
    loop_timer_in(self->timer, RETRY_MS);
    metric_add(self->again, (double)batch->count);
}

static void lines_write(intake_t *self);
static void batch_write(intake_t *self, const waiting_t *items, size_t count);

static void on_written(void *ctx, const PGresult *result UNUSED, const error_t *err)
{
    batch_t *batch = ctx;
    intake_t *self = batch->intake;
    if (!err) {
        for (size_t i = 0; i < batch->count; i++)
            bus_ack(bus_of(self), batch->items[i].delivery);
        metric_add(self->taken, (double)batch->count);
        follow_wake(self->app->follow);
        embedder_wake(self->app->embedder);
    } else if (status_is_transient(err->code) || err->code == STATUS_CANCELLED) {
        log_warn("a batch could not be stored and is tried again", LOG_I("count", batch->count),
                 LOG_S("error", err->message));
        batch_park(batch);
    } else if (batch->count == 1) {
        refuse(self, batch->items[0].delivery, err);
    } else {
        for (size_t i = 0; i < batch->count; i++)
            batch_write(self, &batch->items[i], 1);
    }
    batch_end(batch);
    lines_write(self);
}

/* -- reading ---------------------------------------------------------------------------------------- */
typedef enum { READ_TAKEN, READ_NOTHING, READ_BROKEN } read_t;

static read_t catalog_read(app_t *app, store_batch_t *rows, const bus_delivery_t *delivery, bytes_t detail,
                           error_t *err)
{
    catalog_update_t update;
    book_t book;
    if (!catalog_update_unpack(detail, &app->arena, &update, err))
        return READ_BROKEN;
    if (!update.has_data || !update.has_isbn)
        return READ_NOTHING; /* no book, or not said what is in it */
    if (!book_unpack(update.data, &app->arena, &book, err))
        return READ_BROKEN;
    if (!book.has_version && update.has_version)
        SCHEMA_SET(&book, version, update.version);
    if (bytes_eq_cstr(update.update_type, "discontinued"))
        SCHEMA_SET(&book, status, update.update_type);
    store_batch_book(rows, delivery, &book, update.data);
    return READ_TAKEN;
}

static read_t stock_read(app_t *app, store_batch_t *rows, const bus_delivery_t *delivery, bytes_t detail, error_t *err)
{
    inventory_change_t change;
    if (!inventory_change_unpack(detail, &app->arena, &change, err))
        return READ_BROKEN;
    store_batch_stock(rows, delivery, &change);
    return READ_TAKEN;
}

static read_t delivery_read(app_t *app, store_batch_t *rows, const waiting_t *item, error_t *err)
{
    envelope_t envelope;
    read_t verdict = READ_BROKEN;
    if (envelope_read(item->delivery->body, &envelope, err))
        verdict =
            (item->kind == KIND_STOCK ? stock_read : catalog_read)(app, rows, item->delivery, envelope.detail, err);
    arena_reset(&app->arena);
    return verdict;
}

static void batch_add(batch_t *batch, const waiting_t *item)
{
    intake_t *self = batch->intake;
    error_t err = {0};
    switch (delivery_read(self->app, batch->rows, item, &err)) {
    case READ_TAKEN:
        batch->items[batch->count++] = *item;
        break;
    case READ_NOTHING:
        metric_add(self->passed_over, 1);
        bus_ack(bus_of(self), item->delivery);
        break;
    case READ_BROKEN:
        refuse(self, item->delivery, &err);
        break;
    }
}

static void batch_write(intake_t *self, const waiting_t *items, size_t count)
{
    batch_t *batch = calloc(1, sizeof *batch + count * sizeof *items);
    if (!batch)
        abort(); /* what is in hand must be settled */
    batch->intake = self;
    batch->rows = store_batch_new(self->app->asks);
    if (!batch->rows)
        abort();
    self->batches++;
    for (size_t i = 0; i < count; i++)
        batch_add(batch, &items[i]);
    if (batch->count && store_batch_write(batch->rows, service_pg(self->app->service), on_written, batch))
        return;
    if (batch->count)
        batch_park(batch);
    batch_end(batch);
}

/* -- gathering -------------------------------------------------------------------------------------- */
static void lines_write(intake_t *self)
{
    while (self->batches < INTAKE_BATCHES_MAX && self->count && !self->is_parked) {
        size_t count = self->count < INTAKE_BATCH_MAX ? self->count : INTAKE_BATCH_MAX;
        waiting_t items[INTAKE_BATCH_MAX];
        memcpy(items, self->line, count * sizeof *items);
        self->count -= count;
        memmove(self->line, self->line + count, self->count * sizeof *self->line);
        batch_write(self, items, count);
    }
}

static void on_timer(void *ctx)
{
    intake_t *self = ctx;
    self->is_parked = false;
    lines_write(self);
}

static void take(intake_t *self, bus_delivery_t *delivery, kind_t kind)
{
    if (self->count >= LINE_MAX) {
        bus_release(bus_of(self), delivery, RETRY_MS, "UNAVAILABLE: too many messages wait for the database");
        return;
    }
    line_reach(self, self->count + 1);
    self->line[self->count++] = (waiting_t){delivery, kind};
    if (self->count >= INTAKE_BATCH_MAX)
        lines_write(self);
    else if (self->count == 1)
        loop_timer_in(self->timer, INTAKE_GATHER_MS);
}

void intake_on_catalog(void *ctx, bus_delivery_t *delivery)
{
    const app_t *app = ctx;
    take(app->intake, delivery, KIND_CATALOG);
}

void intake_on_stock(void *ctx, bus_delivery_t *delivery)
{
    const app_t *app = ctx;
    take(app->intake, delivery, KIND_STOCK);
}
