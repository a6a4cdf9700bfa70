/* pg.c: the pool: queues transactions, decides what each wants next, tells callers how theirs ended. */
#include "kit/pg.h"

#include <assert.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/pg_internal.h"

#define CONNECTIONS_DEFAULT 4
#define CONNECTIONS_MAX 64
#define OID_BYTEA 17
#define RETRY_AFTER_FULL_MS 1000

/* -- queries ------------------------------------------------------------------------------------- */
static void queries_add(pg_queries_t *list, pg_query_t *query)
{
    query->next = NULL;
    if (list->last)
        list->last->next = query;
    else
        list->first = query;
    list->last = query;
}

static pg_query_t *queries_take(pg_queries_t *list)
{
    pg_query_t *query = list->first;
    if (!query)
        return NULL;
    list->first = query->next;
    if (!list->first)
        list->last = NULL;
    return query;
}

static size_t params_bytes(const pg_param_t *params, int count)
{
    size_t total = 0;
    for (int i = 0; i < count; i++)
        total += params[i].value.len + 1;
    return total;
}

/* Text goes over the wire as a C string: a NUL in it would cut it short without a word. */
static void param_set(pg_query_t *query, int i, const pg_param_t *param, char **at)
{
    if (!param->value.data)
        return;
    if (!param->binary && memchr(param->value.data, 0, param->value.len))
        (void)error_set(&query->err, STATUS_INVALID_ARGUMENT, NULL, "parameter %d is text and holds a NUL byte", i + 1);
    memcpy(*at, param->value.data, param->value.len);
    (*at)[param->value.len] = '\0';
    query->values[i] = *at;
    query->lengths[i] = (int)param->value.len;
    query->formats[i] = param->binary;
    query->types[i] = param->binary ? OID_BYTEA : 0;
    *at += param->value.len + 1;
}

static pg_query_t *query_new(const char *sql, const pg_param_t *params, int count, pg_done_fn fn, void *ctx)
{
    assert(count >= 0 && count <= PG_PARAMS_MAX);
    pg_query_t *query = calloc(1, sizeof *query + params_bytes(params, count));
    if (!query)
        abort(); /* a promise to call back cannot be refused */
    query->sql = sql;
    query->fn = fn;
    query->ctx = ctx;
    query->count = count;
    char *at = query->data;
    for (int i = 0; i < count; i++)
        param_set(query, i, &params[i], &at);
    return query;
}

static void query_tell(pg_query_t *query, const PGresult *result, const error_t *err)
{
    if (query->fn)
        query->fn(query->ctx, err ? NULL : result, err);
    free(query);
}

static void query_tell_later(pg_t *pg, pg_query_t *query, const error_t *err)
{
    query->err = *err;
    queries_add(&pg->ended, query);
    loop_timer_in(pg->later, 0);
}

static void tell_ended(void *ctx)
{
    pg_t *pg = ctx;
    for (pg_query_t *query; (query = queries_take(&pg->ended)) != NULL;) {
        error_t err = query->err;
        query_tell(query, NULL, &err);
    }
}

/* -- transactions -------------------------------------------------------------------------------- */
static pg_tx_t *tx_new(pg_t *pg, bool single)
{
    pg_tx_t *tx = calloc(1, sizeof *tx);
    if (!tx)
        return NULL;
    *tx = (pg_tx_t){.pg = pg, .single = single, .all_next = pg->all};
    if (pg->all)
        pg->all->all_previous = tx;
    pg->all = tx;
    return tx;
}

static void tx_free(pg_tx_t *tx)
{
    if (tx->pg) {
        if (tx->all_previous)
            tx->all_previous->all_next = tx->all_next;
        else
            tx->pg->all = tx->all_next;
        if (tx->all_next)
            tx->all_next->all_previous = tx->all_previous;
    }
    free(tx);
}

static void waiting_fail(pg_tx_t *tx, const error_t *err)
{
    for (pg_query_t *query; (query = queries_take(&tx->waiting)) != NULL;)
        query_tell_later(tx->pg, query, err);
}

static void tx_fail(pg_tx_t *tx, const error_t *err)
{
    tx->failed = true;
    tx->err = *err;
    error_t follows = *err;
    (void)error_prefix(&follows, "an earlier statement of the transaction failed");
    waiting_fail(tx, &follows);
}

/* Nothing is at the server any more. Frees it when the caller has said its last word. */
static void tx_over(pg_tx_t *tx)
{
    tx->over = true;
    tx->connection = NULL;
    if (tx->commit)
        query_tell_later(tx->pg, tx->commit, &tx->err);
    tx->commit = NULL;
    if (tx->single || tx->wish != TX_OPEN)
        tx_free(tx);
}

pg_step_t pg_tx_next(pg_tx_t *tx)
{
    if (!tx->single && !tx->begun)
        return PG_BEGIN;
    if (tx->failed || tx->wish == TX_ROLLBACK)
        return PG_ROLLBACK;
    tx->current = queries_take(&tx->waiting);
    if (tx->current)
        return PG_STATEMENT;
    return tx->wish == TX_COMMIT ? PG_COMMIT : PG_NOTHING;
}

static bool statement_result(pg_tx_t *tx, const PGresult *result, const error_t *err)
{
    pg_query_t *query = tx->current;
    bool single = tx->single;
    tx->current = NULL;
    if (single)
        tx_free(tx);
    else if (err)
        tx_fail(tx, err);
    query_tell(query, result, err); /* may do anything with the transaction but free it */
    return single;
}

static bool commit_result(pg_tx_t *tx, const PGresult *result, const error_t *err)
{
    pg_query_t *commit = tx->commit;
    tx_free(tx);
    query_tell(commit, result, err);
    return true;
}

bool pg_tx_result(pg_tx_t *tx, pg_step_t step, const PGresult *result)
{
    error_t err = {0};
    bool ok = pg_result_ok(result);
    if (!ok)
        pg_result_error(result, &err);
    if (step == PG_STATEMENT)
        return statement_result(tx, result, ok ? NULL : &err);
    if (step == PG_COMMIT)
        return commit_result(tx, result, ok ? NULL : &err);
    if (step == PG_BEGIN && ok)
        tx->begun = true;
    else if (step == PG_BEGIN)
        tx_fail(tx, &err);
    if (tx->begun && step == PG_BEGIN)
        return false;
    tx_over(tx);
    return true;
}

void pg_tx_lost(pg_tx_t *tx, pg_step_t step, const error_t *cause)
{
    error_t err = *cause;
    if (step == PG_COMMIT || (tx->single && step == PG_STATEMENT))
        (void)error_prefix(&err, "outcome unknown");
    if (tx->current)
        query_tell_later(tx->pg, tx->current, &err);
    tx->current = NULL;
    waiting_fail(tx, &err);
    if (!tx->failed)
        tx->err = err;
    tx->failed = true;
    tx_over(tx);
}

/* -- the queue ----------------------------------------------------------------------------------- */
static void kick_all(pg_t *pg)
{
    for (int i = 0; pg->queue && i < pg->connection_count; i++)
        pg_connection_kick(pg->connections[i]);
}

static pg_tx_t *queue_take(pg_t *pg)
{
    pg_tx_t *tx = pg->queue;
    if (!tx)
        return NULL;
    pg->queue = tx->next;
    if (!pg->queue)
        pg->queue_last = NULL;
    pg->queued--;
    return tx;
}

/* All wait equally long, so the head's time is the first to be over. */
static void waiting_plan(pg_t *pg)
{
    if (pg->queue)
        loop_timer_at(pg->waiting, pg->queue->give_up_us);
    else
        loop_timer_off(pg->waiting);
}

static void waited_too_long(void *ctx)
{
    pg_t *pg = ctx;
    error_t err = {0};
    (void)error_set(&err, STATUS_UNAVAILABLE, NULL, "no connection to the database was free within %lld ms",
                    (long long)pg->statement_timeout_ms);
    while (pg->queue && pg->queue->give_up_us <= clock_mono_us())
        pg_tx_lost(queue_take(pg), PG_NOTHING, &err);
    waiting_plan(pg);
}

static bool may_queue(const pg_t *pg, error_t *err)
{
    if (pg->closing)
        return error_set(err, STATUS_CANCELLED, NULL, "the database pool is shutting down");
    if (pg->queued < PG_QUEUE_MAX)
        return true;
    (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "%d statements are waiting for the database", PG_QUEUE_MAX);
    err->retry_after_ms = RETRY_AFTER_FULL_MS;
    return false;
}

static void enqueue(pg_t *pg, pg_tx_t *tx)
{
    tx->give_up_us = clock_mono_us() + pg->statement_timeout_ms * 1000;
    tx->next = NULL;
    if (pg->queue_last)
        pg->queue_last->next = tx;
    else
        pg->queue = tx;
    pg->queue_last = tx;
    pg->queued++;
    kick_all(pg);
    if (pg->queue == tx)
        waiting_plan(pg);
}

pg_tx_t *pg_tx_take(pg_t *pg, pg_connection_t *connection)
{
    pg_tx_t *tx = queue_take(pg);
    while (tx && tx->wish == TX_ROLLBACK) { /* given up while it waited */
        tx_over(tx);
        tx = queue_take(pg);
    }
    if (tx)
        tx->connection = connection;
    waiting_plan(pg);
    return tx;
}

/* The pool has ended already: the caller is told at once, for want of a loop. */
static void tell_orphan(pg_query_t *query)
{
    error_t err = {0};
    (void)error_set(&err, STATUS_CANCELLED, NULL, "the database pool is no more");
    query_tell(query, NULL, &err);
}

/* -- for callers --------------------------------------------------------------------------------- */
void pg_query(pg_t *pg, const char *sql, const pg_param_t *params, int count, pg_done_fn fn, void *ctx)
{
    pg_query_t *query = query_new(sql, params, count, fn, ctx);
    pg_tx_t *tx = NULL;
    error_t err = query->err;
    if (!pg) {
        tell_orphan(query);
        return;
    }
    if (err.code == STATUS_OK && may_queue(pg, &err)) {
        tx = tx_new(pg, true);
        if (!tx)
            (void)error_set(&err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    }
    if (!tx) {
        query_tell_later(pg, query, &err);
        return;
    }
    queries_add(&tx->waiting, query);
    enqueue(pg, tx);
}

pg_tx_t *pg_begin(pg_t *pg)
{
    pg_tx_t *tx = pg ? tx_new(pg, false) : NULL;
    if (!tx)
        return NULL;
    if (may_queue(pg, &tx->err)) {
        enqueue(pg, tx);
    } else {
        tx->failed = true;
        tx->over = true;
    }
    return tx;
}

static void tx_kick(pg_tx_t *tx)
{
    if (tx->connection)
        pg_connection_kick(tx->connection);
}

void pg_tx_query(pg_tx_t *tx, const char *sql, const pg_param_t *params, int count, pg_done_fn fn, void *ctx)
{
    assert(tx->wish == TX_OPEN);
    pg_query_t *query = query_new(sql, params, count, fn, ctx);
    if (!tx->pg) {
        tell_orphan(query);
        return;
    }
    if (query->err.code != STATUS_OK && !tx->failed)
        tx_fail(tx, &query->err);
    if (tx->failed) {
        error_t err = query->err.code != STATUS_OK ? query->err : tx->err;
        query_tell_later(tx->pg, query, &err);
    } else {
        queries_add(&tx->waiting, query);
    }
    tx_kick(tx);
}

void pg_tx_commit(pg_tx_t *tx, pg_done_fn fn, void *ctx)
{
    assert(tx->wish == TX_OPEN);
    tx->wish = TX_COMMIT;
    tx->commit = query_new("COMMIT", NULL, 0, fn, ctx);
    if (!tx->pg) {
        tell_orphan(tx->commit);
        tx_free(tx);
    } else if (tx->over) {
        tx_over(tx);
    } else {
        tx_kick(tx);
    }
}

void pg_tx_rollback(pg_tx_t *tx)
{
    assert(tx->wish == TX_OPEN);
    tx->wish = TX_ROLLBACK;
    if (!tx->pg) {
        tx_free(tx);
        return;
    }
    error_t err = {0};
    (void)error_set(&err, STATUS_CANCELLED, NULL, "the transaction was rolled back");
    waiting_fail(tx, &err);
    if (tx->over)
        tx_over(tx);
    else
        tx_kick(tx);
}

/* -- the pool ------------------------------------------------------------------------------------ */
static bool pool_open(pg_t *pg, error_t *err)
{
    pg->later = loop_timer_new(pg->loop, tell_ended, pg);
    pg->waiting = loop_timer_new(pg->loop, waited_too_long, pg);
    if (!pg->schema || !pg->connections || !pg->later || !pg->waiting)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    for (int i = 0; i < pg->connection_count; i++) {
        pg->connections[i] = pg_connection_new(pg, err);
        if (!pg->connections[i])
            return false;
    }
    return true;
}

pg_t *pg_new(loop_t *loop, const pg_options_t *options, error_t *err)
{
    int count = options->connections ? options->connections : CONNECTIONS_DEFAULT;
    if (count < 1 || count > CONNECTIONS_MAX || !options->schema || !*options->schema) {
        (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a pool has a schema and 1 to %d connections",
                        CONNECTIONS_MAX);
        return NULL;
    }
    pg_t *pg = calloc(1, sizeof *pg);
    if (!pg) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    pg->loop = loop;
    pg->schema = bytes_dup(bytes_cstr(options->schema));
    pg->statement_timeout_ms =
        options->statement_timeout_ms > 0 ? options->statement_timeout_ms : PG_STATEMENT_TIMEOUT_MS;
    pg->connection_count = count;
    pg->connections = calloc((size_t)count, sizeof(pg_connection_t *));
    if (!pool_open(pg, err))
        pg_free(&pg);
    return pg;
}

/* Whoever still holds a transaction may end it later. */
static void tx_orphan_all(pg_t *pg)
{
    for (pg_tx_t *tx = pg->all, *next; tx; tx = next) {
        next = tx->all_next;
        tx->pg = NULL;
    }
}

static void tx_cancel_all(pg_t *pg)
{
    error_t err = {0};
    (void)error_set(&err, STATUS_CANCELLED, NULL, "the database pool is shutting down");
    pg->queue = pg->queue_last = NULL;
    for (pg_tx_t *tx = pg->all, *next; tx; tx = next) {
        next = tx->all_next;
        if (!tx->over)
            pg_tx_lost(tx, PG_NOTHING, &err);
    }
}

void pg_free(pg_t **self)
{
    pg_t *pg = *self;
    if (!pg)
        return;
    pg->closing = true;
    if (pg->later)
        tx_cancel_all(pg);
    for (int i = 0; pg->connections && i < pg->connection_count; i++)
        pg_connection_free(pg->connections[i]);
    tell_ended(pg);
    tx_orphan_all(pg);
    loop_timer_end(&pg->later);
    loop_timer_end(&pg->waiting);
    free(pg->connections);
    free(pg->schema);
    free(pg);
    *self = NULL;
}

bool pg_is_ready(const pg_t *pg)
{
    for (int i = 0; i < pg->connection_count; i++)
        if (pg_connection_is_up(pg->connections[i]))
            return true;
    return false;
}
