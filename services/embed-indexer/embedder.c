/* embedder.c: take texts, ask for their vectors, write them; one round for each call that is free. */
#include "services/embed-indexer/embedder.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/pg_array.h"
#include "services/embed-indexer/follow.h"
#include "services/embed-indexer/work_text.h"

#define SOON_MS 100 /* gathers the texts of several batches */
#define BACK_OFF_MS 1000
#define BACK_OFF_MAX_MS 30000
#define SPACE_QUIET_US (INT64_C(5) * 1000000) /* after a proposal that was not taken */

struct embedder {
    app_t *app;
    loop_timer_t *timer, *filler;
    int rounds;             /* under way */
    int64_t back_off_ms;    /* 0: all is well */
    int64_t space_quiet_us; /* until then no other kind of vector is proposed */
    bool is_woken, is_proposing;
    store_space_t proposed;
    metric_t *embedded, *refused;
};

typedef struct {
    embedder_t *owner;
    arena_t arena;
    buf_t hashes; /* array literal */
    bytes_t texts[FM_EMBED_TEXTS_MAX];
    uint32_t count;
    bool is_alone;
    store_space_t space; /* of the answer */
} round_t;

static pg_t *pg_of(const embedder_t *self)
{
    return service_pg(self->app->service);
}

static void rounds_start(embedder_t *self);

static void on_timer(void *ctx)
{
    rounds_start(ctx);
}

static void on_filled(void *ctx, const PGresult *result UNUSED, const error_t *err)
{
    embedder_t *self = ctx;
    if (err)
        log_warn("works without vector could not be looked for", LOG_S("error", err->message));
    else
        embedder_wake(self);
}

static void on_fill(void *ctx)
{
    embedder_t *self = ctx;
    store_pending_fill(pg_of(self), self->app->asks, on_filled, self);
    loop_timer_in(self->filler, EMBEDDER_FILL_MS);
}

embedder_t *embedder_new(app_t *app, error_t *err)
{
    embedder_t *self = calloc(1, sizeof *self);
    if (self) {
        self->app = app;
        self->timer = loop_timer_new(service_loop(app->service), on_timer, self);
        self->filler = loop_timer_new(service_loop(app->service), on_fill, self);
    }
    if (!self || !self->timer || !self->filler) {
        embedder_free(&self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    self->embedded = metrics_counter(service_metrics(app->service), "mangabus_embed_texts_total",
                                     "outcome=\"embedded\"", "texts of works sent to a model");
    self->refused = metrics_counter(service_metrics(app->service), "mangabus_embed_texts_total", "outcome=\"refused\"",
                                    "texts of works sent to a model");
    loop_timer_in(self->filler, EMBEDDER_IDLE_MS);
    loop_timer_in(self->timer, BACK_OFF_MS);
    return self;
}

void embedder_free(embedder_t **embedder)
{
    embedder_t *self = *embedder;
    if (!self)
        return;
    loop_timer_end(&self->timer);
    loop_timer_end(&self->filler);
    free(self);
    *embedder = NULL;
}

void embedder_wake(embedder_t *embedder)
{
    if (embedder->back_off_ms == 0 && !embedder->is_woken) {
        embedder->is_woken = true;
        loop_timer_in(embedder->timer, SOON_MS);
    }
}

/* -- the kind of vector ----------------------------------------------------------------------------- */
bool embedder_space_use(embedder_t *embedder, const char *model_id, int64_t dimension)
{
    app_t *app = embedder->app;
    store_space_t *space = &app->space;
    if (space->dimension == dimension && strcmp(model_id, space->model_id) == 0)
        return false;
    (void)snprintf(space->model_id, sizeof space->model_id, "%s", model_id);
    space->dimension = dimension;
    log_info("vectors are of another kind now", LOG_S("model", space->model_id), LOG_I("dimension", dimension));
    shelf_vectors_reset(app->shelf, (size_t)dimension);
    return true;
}

static void on_proposed(void *ctx, const PGresult *changed, const error_t *err)
{
    embedder_t *self = ctx;
    self->is_proposing = false;
    if (err || PQntuples(changed) == 0) {
        self->space_quiet_us = clock_mono_us() + SPACE_QUIET_US;
        follow_wake(self->app->follow); /* another instance may have changed it */
        return;
    }
    if (embedder_space_use(self, self->proposed.model_id, self->proposed.dimension))
        follow_again(self->app->follow);
    store_pending_fill(pg_of(self), self->app->asks, on_filled, self);
}

static void propose(embedder_t *self, bytes_t model_id, int64_t dimension)
{
    if (self->is_proposing || clock_mono_us() < self->space_quiet_us)
        return;
    self->is_proposing = true;
    (void)bytes_to_cstr(model_id, self->proposed.model_id, sizeof self->proposed.model_id);
    self->proposed.dimension = dimension;
    store_space_change(pg_of(self), self->app->asks, &self->proposed, on_proposed, self);
}

bool embedder_space_seen(embedder_t *embedder, bytes_t model_id, int64_t dimension)
{
    const store_space_t *space = &embedder->app->space;
    if (space->dimension == dimension && bytes_eq_cstr(model_id, space->model_id))
        return true;
    propose(embedder, model_id, dimension);
    return false;
}

void embedder_request(const app_t *app, fm_embed_request_t *request, const char *purpose)
{
    if (*app->settings->model)
        SCHEMA_SET(request, model, bytes_cstr(app->settings->model));
    SCHEMA_SET(request, dimension, app->settings->dimensions);
    SCHEMA_SET(request, purpose, bytes_cstr(purpose));
}

/* -- one round -------------------------------------------------------------------------------------- */
static void round_end(round_t *round)
{
    embedder_t *self = round->owner;
    self->rounds--;
    arena_free(&round->arena);
    buf_free(&round->hashes);
    free(round);
}

static void next_in(embedder_t *self, int64_t delay_ms)
{
    self->is_woken = self->is_woken || delay_ms <= SOON_MS;
    loop_timer_in(self->timer, delay_ms);
}

static void back_off(embedder_t *self, int64_t least_ms)
{
    self->back_off_ms = self->back_off_ms ? self->back_off_ms * 2 : BACK_OFF_MS;
    if (self->back_off_ms > BACK_OFF_MAX_MS)
        self->back_off_ms = BACK_OFF_MAX_MS;
    int64_t wait_ms = self->back_off_ms > least_ms ? self->back_off_ms : least_ms;
    self->is_woken = false;
    loop_timer_in(self->timer, wait_ms / 2 + (int64_t)(clock_mono_ns() % (wait_ms / 2 + 1)));
}

static void on_put_off(void *ctx UNUSED, const PGresult *result UNUSED, const error_t *err)
{
    if (err) /* then their claim runs out */
        log_warn("texts could not be given back", LOG_S("error", err->message));
}

static void round_put_off(round_t *round, int64_t delay_ms, bool alone, const char *error)
{
    store_pending_put_off(pg_of(round->owner), round->owner->app->asks, buf_bytes(&round->hashes), delay_ms, alone,
                          error, on_put_off, NULL);
}

static void on_failed(round_t *round, const error_t *err)
{
    embedder_t *self = round->owner;
    bool is_transient = status_is_transient(err->code) || err->code == STATUS_CANCELLED;
    log_warn("vectors could not be had", LOG_I("count", round->count), LOG_S("status", status_name(err->code)),
             LOG_S("error", err->message));
    if (is_transient)
        round_put_off(round, 0, false, NULL);
    else if (round->count > 1)
        round_put_off(round, 0, true, NULL);
    else
        round_put_off(round, EMBEDDER_PUT_OFF_MS, true, err->message);
    metric_add(self->refused, is_transient ? 0 : round->count);
    back_off(self, err->retry_after_ms);
    round_end(round);
}

static void on_stored(void *ctx, const PGresult *result UNUSED, const error_t *err)
{
    round_t *round = ctx;
    embedder_t *self = round->owner;
    if (err) {
        on_failed(round, err);
        return;
    }
    self->back_off_ms = 0;
    metric_add(self->embedded, round->count);
    follow_wake(self->app->follow);
    round_end(round);
    next_in(self, 0);
}

static bool answer_check(const round_t *round, const fm_embed_response_t *answer, error_t *err)
{
    if (answer->vectors.count != round->count)
        return error_set(err, STATUS_INTERNAL, NULL, "%u texts gave %u vectors", round->count, answer->vectors.count);
    for (uint32_t i = 0; i < answer->vectors.count; i++)
        if (answer->vectors.items[i].len != (size_t)answer->dimension * sizeof(float))
            return error_set(err, STATUS_INTERNAL, NULL, "a vector has not the dimension that was told");
    return true;
}

static void on_embedded(void *ctx, const bus_reply_t *reply)
{
    round_t *round = ctx;
    app_t *app = round->owner->app;
    fm_embed_response_t answer;
    error_t err = {0};
    if (reply->err) {
        on_failed(round, reply->err);
        return;
    }
    if (!fm_embed_response_unpack(reply->body, &round->arena, &answer, &err) || !answer_check(round, &answer, &err)) {
        on_failed(round, &err);
        return;
    }
    buf_t vectors = {0};
    if (app->space.dimension) /* the first vectors decide it as they are stored */
        (void)embedder_space_seen(round->owner, answer.model_id, answer.dimension);
    (void)bytes_to_cstr(answer.model_id, round->space.model_id, sizeof round->space.model_id);
    round->space.dimension = answer.dimension;
    for (uint32_t i = 0; i < answer.vectors.count; i++)
        pg_array_bytea(&vectors, answer.vectors.items[i]);
    store_vectors(pg_of(round->owner), app->asks, &round->space, buf_bytes(&round->hashes), pg_array_end(&vectors),
                  on_stored, round);
    buf_free(&vectors);
}

static void round_ask(round_t *round)
{
    app_t *app = round->owner->app;
    fm_embed_request_t request = {.texts = {round->texts, round->count}};
    buf_t body = {0};
    error_t err = {0};
    embedder_request(app, &request, "index");
    bus_call_t call = {.method = CALL_FM_EMBED,
                       .timeout_ms = EMBEDDER_CALL_MS,
                       .idempotent = true,
                       .on_done = on_embedded,
                       .ctx = round};
    bool ok = fm_embed_request_pack(&body, &request, &err);
    call.body = buf_bytes(&body);
    if (!ok || bus_call(service_bus(app->service), &call, &err) == 0)
        on_failed(round, &err);
    buf_free(&body);
}

/* -- taking texts ----------------------------------------------------------------------------------- */
/* Passes over what has no body: its row goes when works without vector are looked for, or is gone. */
static void text_add(round_t *round, const PGresult *rows, int row)
{
    buf_t body = {0}, text = {0};
    book_t book;
    arena_t scratch;
    arena_init(&scratch, 0);
    if (pg_bytea(rows, row, 1, &body) && book_unpack(buf_bytes(&body), &scratch, &book, NULL)) {
        work_text_write(&text, &book);
        uint8_t *copy = text.failed ? NULL : arena_alloc(&round->arena, text.len + 1);
        if (copy) {
            memcpy(copy, text.data, text.len);
            round->texts[round->count++] = bytes_from(copy, text.len);
            pg_array_text(&round->hashes, pg_text(rows, row, 0));
        }
    }
    arena_free(&scratch);
    buf_free(&body);
    buf_free(&text);
}

static void on_taken(void *ctx, const PGresult *rows, const error_t *err)
{
    round_t *round = ctx;
    embedder_t *self = round->owner;
    if (err) {
        log_warn("texts without vector could not be read", LOG_S("error", err->message));
        back_off(self, 0);
        round_end(round);
        return;
    }
    for (int row = 0; row < PQntuples(rows) && row < FM_EMBED_TEXTS_MAX; row++)
        text_add(round, rows, row);
    (void)pg_array_end(&round->hashes);
    if (round->count) {
        round_ask(round);
        if (self->back_off_ms == 0)
            next_in(self, SOON_MS); /* there may be more for the other calls */
        return;
    }
    round_end(round);
    if (self->rounds == 0)
        next_in(self, PQntuples(rows) ? SOON_MS : EMBEDDER_IDLE_MS);
}

static int64_t texts_at_once(const app_t *app)
{
    int64_t dimension = app->space.dimension ? app->space.dimension : app->settings->dimensions;
    int64_t fit = (int64_t)EMBEDDER_REPLY_MAX_BYTES / (dimension * (int64_t)sizeof(float));
    return fit < 1 ? 1 : fit < FM_EMBED_TEXTS_MAX ? fit : FM_EMBED_TEXTS_MAX;
}

static void rounds_start(embedder_t *self)
{
    self->is_woken = false;
    if (self->rounds >= EMBEDDER_CALLS_MAX || (self->back_off_ms && self->rounds))
        return; /* the end of one starts the next */
    round_t *round = calloc(1, sizeof *round);
    if (!round)
        abort();
    round->owner = self;
    arena_init(&round->arena, 0);
    self->rounds++;
    store_pending_take(pg_of(self), self->app->asks, texts_at_once(self->app), on_taken, round);
}
