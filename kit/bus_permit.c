/* bus_permit.c: permits drawn from the broker's buckets, timed by the asker's own clock, and given back. */
#include <stdlib.h>

#include "kit/bus_internal.h"
#include "kit/clock.h"

#define US_PER_MS 1000
#define PATIENCE_MS 2000 /* beyond the wait that was asked for: for the way, and a broker that comes back */

/* -- life ------------------------------------------------------------------------------------------------ */
static void drawing_free(bus_t *bus, bus_drawing_t *drawing)
{
    TAILQ_REMOVE(&bus->drawings, drawing, link);
    if (drawing->ask)
        bus_ask_free(bus, drawing->ask);
    if (drawing->timer)
        loop_timer_end(&drawing->timer);
    free(drawing->bucket);
    free(drawing);
}

static void finish(bus_t *bus, bus_drawing_t *drawing, const bus_permit_t *permit)
{
    bus_permit_fn fn = drawing->fn;
    void *ctx = drawing->ctx;
    if (!fn && permit->tokens)
        bus_permit_return(bus, drawing->bucket, permit->permit, permit->tokens);
    drawing_free(bus, drawing);
    if (fn)
        fn(ctx, permit);
}

static void fail(bus_t *bus, bus_drawing_t *drawing, const error_t *err)
{
    finish(bus, drawing, &(bus_permit_t){.err = err, .retry_after_ms = err->retry_after_ms});
}

static void on_patience_over(void *ctx)
{
    bus_drawing_t *drawing = ctx;
    bus_t *bus = drawing->bus;
    error_t err;
    error_set(&err, STATUS_DEADLINE_EXCEEDED, NULL, "no permit of \"%s\" came in time%s%s", drawing->bucket,
              bus->state == BUS_UP ? "" : ": the broker is away: ", bus->state == BUS_UP ? "" : bus->why);
    fail(bus, drawing, &err);
}

/* -- asking ---------------------------------------------------------------------------------------------- */
static bus_drawing_t *drawing_new(bus_t *bus, const bus_draw_t *draw)
{
    bus_drawing_t *drawing = calloc(1, sizeof *drawing);
    if (!drawing)
        return NULL;
    TAILQ_INSERT_TAIL(&bus->drawings, drawing, link);
    *drawing = (bus_drawing_t){.link = drawing->link,
                               .bus = bus,
                               .number = ++bus->drawing_number,
                               .bucket = strdup(draw->bucket),
                               .tokens = draw->tokens,
                               .priority = draw->priority,
                               .wait_ms = draw->wait_ms > 0 ? draw->wait_ms : 0,
                               .timer = loop_timer_new(bus->loop, on_patience_over, drawing),
                               .fn = draw->fn,
                               .ctx = draw->ctx};
    if (drawing->bucket && drawing->timer)
        return drawing;
    drawing_free(bus, drawing);
    return NULL;
}

uint64_t bus_permit(bus_t *bus, const bus_draw_t *draw, error_t *err)
{
    if (!bus_name_check("bucket", bytes_cstr(draw->bucket), err) || !bus_admit(bus, 0, err))
        return 0;
    bus_drawing_t *drawing = drawing_new(bus, draw);
    if (!drawing) {
        bus_no_memory(err);
        return 0;
    }
    loop_timer_in(drawing->timer, drawing->wait_ms + PATIENCE_MS);
    bus_flush_soon(bus);
    return drawing->number;
}

static void drawing_send(bus_t *bus, bus_drawing_t *drawing)
{
    const wire_permit_t frame = {.bucket = bytes_cstr(drawing->bucket),
                                 .tokens = drawing->tokens,
                                 .priority = drawing->priority,
                                 .wait_ms = (uint64_t)drawing->wait_ms};
    drawing->ask->drawing = drawing;
    drawing->sent_us = clock_mono_us();
    bus_link_send(bus, WIRE_PERMIT, drawing->ask->node.key, &frame);
}

void bus_permit_flush(bus_t *bus)
{
    bus_drawing_t *drawing;
    for (drawing = TAILQ_FIRST(&bus->drawings); drawing && bus->state == BUS_UP; drawing = TAILQ_NEXT(drawing, link))
        if (!drawing->ask && (drawing->ask = bus_ask_new(bus, WIRE_PERMIT)) != NULL)
            drawing_send(bus, drawing);
}

void bus_permit_cancel(bus_t *bus, uint64_t number)
{
    bus_drawing_t *drawing;
    for (drawing = TAILQ_FIRST(&bus->drawings); drawing; drawing = TAILQ_NEXT(drawing, link)) {
        if (drawing->number != number)
            continue;
        drawing->fn = NULL;
        if (!drawing->ask)
            drawing_free(bus, drawing);
        return;
    }
}

void bus_permit_return(bus_t *bus, const char *bucket, uint64_t permit, uint32_t unused)
{
    bus_ask_t *ask = bus->state == BUS_UP ? bus_ask_new(bus, WIRE_PERMIT) : NULL;
    if (!ask)
        return;
    const wire_permit_t frame = {.bucket = bytes_cstr(bucket), .permit = permit, .unused = unused};
    bus_link_send(bus, WIRE_PERMIT, ask->node.key, &frame);
}

/* -- answers ----------------------------------------------------------------------------------------------- */
/* The permit's time began no earlier than `waited_ms` after the frame was sent: so clocks need not agree, and an
 * answer that lay about for long is worth nothing. */
void bus_permit_answered(bus_t *bus, bus_ask_t *ask, const wire_permitted_t *answer)
{
    bus_drawing_t *drawing = ask->drawing;
    if (!drawing) { /* something was given back */
        bus_ask_free(bus, ask);
        return;
    }
    const uint64_t most_ms = INT32_MAX;
    uint64_t worth_ms = (answer->waited_ms < most_ms ? answer->waited_ms : most_ms) +
                        (answer->expires_ms < most_ms ? answer->expires_ms : most_ms);
    const bus_permit_t permit = {
        .tokens = answer->tokens < drawing->tokens ? (uint32_t)answer->tokens : drawing->tokens,
        .permit = answer->permit,
        .until_us = drawing->sent_us + (int64_t)worth_ms * US_PER_MS,
        .retry_after_ms = answer->retry_after_ms < most_ms ? (int64_t)answer->retry_after_ms : (int64_t)most_ms,
    };
    finish(bus, drawing, &permit);
}

void bus_permit_refused(bus_t *bus, bus_ask_t *ask, const error_t *err)
{
    if (ask->drawing)
        fail(bus, ask->drawing, err);
    else
        bus_ask_free(bus, ask); /* it expires instead */
}

/* Those that were not sent yet wait for the next session. */
void bus_permit_lost(bus_t *bus)
{
    error_t err;
    error_set(&err, STATUS_UNAVAILABLE, "CONNECTION_LOST", "the connection was lost before a permit came");
    for (bus_ask_t *ask = TAILQ_FIRST(&bus->asks), *next; ask; ask = next) {
        next = TAILQ_NEXT(ask, link);
        if (ask->verb == WIRE_PERMIT && !ask->drawing)
            bus_ask_free(bus, ask);
    }
    for (bus_drawing_t *drawing = TAILQ_FIRST(&bus->drawings), *next; drawing; drawing = next) {
        next = TAILQ_NEXT(drawing, link);
        if (drawing->ask)
            fail(bus, drawing, &err);
    }
}

void bus_permit_end(bus_t *bus, const error_t *err)
{
    while (!TAILQ_EMPTY(&bus->drawings))
        fail(bus, TAILQ_FIRST(&bus->drawings), err);
}
