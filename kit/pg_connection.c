/* pg_connection.c: one connection: finds the server, keeps trying, sends one step at a time, hands results on. */
#include <stdlib.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "kit/pg_internal.h"
#include "kit/pg_resolve.h"

#define CONNECT_TIMEOUT_MS 10000
#define RETRY_FIRST_MS 100
#define RETRY_MAX_MS 5000
/* A transaction that its handler forgot does not hold its locks for ever. */
#define IDLE_IN_TRANSACTION_MS 60000

typedef enum { DOWN, RESOLVING, CONNECTING, SETTING_UP, IDLE, BUSY } state_t;

struct pg_connection {
    pg_t *pg;
    state_t state;
    PGconn *conn;
    pg_resolve_t *resolve;
    loop_watch_t *watch;
    int watched_fd;
    loop_timer_t *timer; /* DOWN: try again; CONNECTING, SETTING_UP, BUSY: too long */
    int64_t retry_ms;
    pg_tx_t *tx;
    pg_step_t step;
    PGresult *result; /* of the step under way: the first, or the first that is an error */
};

static void connection_begin(void *ctx);
static void on_event(void *ctx, int events);

static void state_set(pg_connection_t *self, state_t state)
{
    self->state = state;
    int64_t limit_ms = state == RESOLVING || state == CONNECTING || state == SETTING_UP ? CONNECT_TIMEOUT_MS
                       : state == BUSY ? self->pg->statement_timeout_ms + PG_ANSWER_GRACE_MS
                                       : 0;
    if (limit_ms > 0)
        loop_timer_in(self->timer, limit_ms);
    else
        loop_timer_off(self->timer);
}

/* -- losing it ----------------------------------------------------------------------------------- */
static void close_all(pg_connection_t *self)
{
    pg_resolve_end(&self->resolve);
    loop_watch_end(&self->watch);
    PQclear(self->result);
    self->result = NULL;
    PQfinish(self->conn);
    self->conn = NULL;
}

/* Half of the pause is chance, so that many processes do not come back at once. */
static int64_t jittered_ms(int64_t ms)
{
    uint32_t chance;
    clock_random(&chance, sizeof chance);
    return ms / 2 + (int64_t)(chance % (uint64_t)(ms / 2 + 1));
}

static void retry_later(pg_connection_t *self)
{
    state_set(self, DOWN);
    loop_timer_in(self->timer, jittered_ms(self->retry_ms));
    self->retry_ms = self->retry_ms * 2 < RETRY_MAX_MS ? self->retry_ms * 2 : RETRY_MAX_MS;
}

static void connection_lost(pg_connection_t *self, const error_t *err)
{
    pg_tx_t *tx = self->tx;
    pg_step_t step = self->step;
    if (!self->pg->complained)
        log_warn("database not reached", LOG_S("error", err->message));
    self->pg->complained = true;
    close_all(self);
    self->tx = NULL;
    self->step = PG_NOTHING;
    retry_later(self);
    if (tx)
        pg_tx_lost(tx, step, err);
}

static void lost_by_libpq(pg_connection_t *self, const char *what)
{
    error_t err = {0};
    pg_connection_error(self->conn, what, &err);
    connection_lost(self, &err);
}

static void on_timer(void *ctx)
{
    pg_connection_t *self = ctx;
    error_t err = {0};
    if (self->state == DOWN) {
        connection_begin(self);
        return;
    }
    (void)error_set(&err, STATUS_UNAVAILABLE, NULL, "the database did not answer in time");
    connection_lost(self, &err);
}

/* -- sending and receiving ----------------------------------------------------------------------- */
static void watch_for(pg_connection_t *self, int events)
{
    int fd = PQsocket(self->conn);
    if (self->watch && fd == self->watched_fd) {
        loop_watch_change(self->watch, events);
        return;
    }
    loop_watch_end(&self->watch);
    self->watched_fd = fd;
    self->watch = loop_watch_fd(self->pg->loop, fd, events, on_event, self);
    if (!self->watch)
        abort(); /* out of memory */
}

/* False when the connection was lost. */
static bool flush(pg_connection_t *self)
{
    int left = PQflush(self->conn);
    if (left < 0) {
        lost_by_libpq(self, "the connection to the database was lost");
        return false;
    }
    watch_for(self, left > 0 ? LOOP_READ | LOOP_WRITE : LOOP_READ);
    return true;
}

static int send_statement(pg_connection_t *self)
{
    const pg_query_t *q = self->tx->current;
    return PQsendQueryParams(self->conn, q->sql, q->count, q->types, q->values, q->lengths, q->formats, 0);
}

static int send_step(pg_connection_t *self)
{
    switch (self->step) {
    case PG_BEGIN:
        return PQsendQuery(self->conn, "BEGIN");
    case PG_STATEMENT:
        return send_statement(self);
    case PG_COMMIT:
        return PQsendQuery(self->conn, "COMMIT");
    case PG_ROLLBACK:
        return PQsendQuery(self->conn, "ROLLBACK");
    case PG_NOTHING:
        break;
    }
    return 1;
}

void pg_connection_kick(pg_connection_t *self)
{
    if (self->state != IDLE)
        return;
    if (!self->tx)
        self->tx = pg_tx_take(self->pg, self);
    self->step = self->tx ? pg_tx_next(self->tx) : PG_NOTHING;
    if (self->step == PG_NOTHING)
        return;
    state_set(self, BUSY);
    if (!send_step(self))
        lost_by_libpq(self, "the statement could not be sent");
    else
        (void)flush(self);
}

static bool is_copying(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/* Several statements in one string give several results: the first error counts, else the first. */
static void result_keep(pg_connection_t *self, PGresult *result)
{
    if (self->result && (pg_result_ok(result) || !pg_result_ok(self->result))) {
        PQclear(result);
        return;
    }
    PQclear(self->result);
    self->result = result;
}

/* True when all results of the step are here. */
static bool results_read(pg_connection_t *self)
{
    while (!PQisBusy(self->conn)) {
        PGresult *result = PQgetResult(self->conn);
        if (!result)
            return true;
        bool copying = is_copying(result);
        result_keep(self, result);
        if (copying)
            return true; /* which we do not speak: the step fails, and the connection with it */
    }
    return false;
}

static void connection_ready(pg_connection_t *self)
{
    if (self->pg->complained)
        log_info("database reached again");
    self->pg->complained = false;
    self->retry_ms = RETRY_FIRST_MS;
    state_set(self, IDLE);
}

static void setup_done(pg_connection_t *self, const PGresult *result)
{
    error_t err = {0};
    const char *encoding = PQparameterStatus(self->conn, "server_encoding");
    if (!pg_result_ok(result))
        pg_result_error(result, &err);
    else if (!encoding || strcmp(encoding, "UTF8") != 0)
        (void)error_set(&err, STATUS_FAILED_PRECONDITION, NULL, "the database's encoding is %s, it must be UTF8",
                        encoding ? encoding : "unknown");
    if (err.code != STATUS_OK)
        connection_lost(self, &err);
    else
        connection_ready(self);
}

static void step_done(pg_connection_t *self)
{
    PGresult *result = self->result;
    error_t err = {0};
    self->result = NULL;
    if (!result || PQstatus(self->conn) == CONNECTION_BAD || is_copying(result)) {
        (void)error_set(&err, STATUS_UNAVAILABLE, NULL, "the connection to the database was lost");
        if (result && !is_copying(result) && PQresultErrorField(result, PG_DIAG_SQLSTATE))
            pg_result_error(result, &err); /* the server's last words */
        connection_lost(self, &err);
    } else if (self->state == SETTING_UP) {
        setup_done(self, result);
    } else if (pg_tx_result(self->tx, self->step, result)) {
        self->tx = NULL;
        state_set(self, IDLE);
    } else {
        state_set(self, IDLE);
    }
    PQclear(result);
    pg_connection_kick(self);
}

static void receive(pg_connection_t *self)
{
    bool fine = PQconsumeInput(self->conn) && PQstatus(self->conn) == CONNECTION_OK;
    bool working = self->state == BUSY || self->state == SETTING_UP;
    if (working && (results_read(self) || !fine))
        step_done(self);
    else if (!fine)
        lost_by_libpq(self, "the connection to the database was lost");
}

/* -- connecting ---------------------------------------------------------------------------------- */
static void setup_begin(pg_connection_t *self)
{
    buf_t sql = {0};
    char *schema = PQescapeIdentifier(self->conn, self->pg->schema, strlen(self->pg->schema));
    if (schema)
        buf_printf(&sql,
                   "SET search_path TO %s, public; SET statement_timeout TO %lld; "
                   "SET idle_in_transaction_session_timeout TO %d",
                   schema, (long long)self->pg->statement_timeout_ms, IDLE_IN_TRANSACTION_MS);
    PQfreemem(schema);
    state_set(self, SETTING_UP);
    if (!sql.len || PQsetnonblocking(self->conn, 1) != 0 || !PQsendQuery(self->conn, buf_cstr(&sql)))
        lost_by_libpq(self, "the connection to the database cannot be set up");
    else
        (void)flush(self);
    buf_free(&sql);
}

/* libpq may change its socket with each call. */
static void connect_on(pg_connection_t *self)
{
    switch (PQconnectPoll(self->conn)) {
    case PGRES_POLLING_READING:
        loop_watch_end(&self->watch);
        watch_for(self, LOOP_READ);
        break;
    case PGRES_POLLING_WRITING:
        loop_watch_end(&self->watch);
        watch_for(self, LOOP_WRITE);
        break;
    case PGRES_POLLING_OK:
        loop_watch_end(&self->watch);
        setup_begin(self);
        break;
    default:
        lost_by_libpq(self, "no connection to the database");
        break;
    }
}

static void on_event(void *ctx, int events UNUSED)
{
    pg_connection_t *self = ctx;
    if (self->state == CONNECTING)
        connect_on(self);
    else if ((self->state == BUSY || self->state == SETTING_UP) && !flush(self))
        return;
    else
        receive(self);
}

static void on_notice(void *ctx UNUSED, const char *text)
{
    log_debug("database notice", LOG_B("error", bytes_from(text, strcspn(text, "\n"))));
}

static void connect_to(pg_connection_t *self, const pg_target_t *target)
{
    const char *names[] = {"host", "hostaddr", "port", "client_encoding", "fallback_application_name", NULL};
    const char *values[] = {target->host, target->hostaddr, target->port, "UTF8", self->pg->schema, NULL};
    state_set(self, CONNECTING);
    self->conn = PQconnectStartParams(names, values, 0);
    if (!self->conn || PQstatus(self->conn) == CONNECTION_BAD) {
        lost_by_libpq(self, "no connection to the database");
        return;
    }
    (void)PQsetNoticeProcessor(self->conn, on_notice, NULL);
    watch_for(self, LOOP_WRITE); /* as libpq wants it after the start */
}

static void on_resolved(void *ctx, const pg_target_t *target, const error_t *err)
{
    pg_connection_t *self = ctx;
    pg_resolve_t *resolve = self->resolve; /* the target's texts live in it */
    self->resolve = NULL;
    if (err)
        connection_lost(self, err);
    else
        connect_to(self, target);
    pg_resolve_end(&resolve);
}

/* What the environment says, by way of libpq. */
static const char *default_of(const PQconninfoOption *defaults, const char *name)
{
    for (const PQconninfoOption *o = defaults; o && o->keyword; o++)
        if (strcmp(o->keyword, name) == 0)
            return o->val && *o->val ? o->val : NULL;
    return NULL;
}

static void connection_begin(void *ctx)
{
    pg_connection_t *self = ctx;
    error_t err = {0};
    PQconninfoOption *defaults = PQconndefaults();
    const char *hosts = default_of(defaults, "host");
    if (default_of(defaults, "hostaddr") || !pg_resolve_is_needed(hosts)) {
        connect_to(self, &(pg_target_t){0});
    } else {
        state_set(self, RESOLVING);
        self->resolve = pg_resolve_start(self->pg->loop, hosts, default_of(defaults, "port"), on_resolved, self, &err);
        if (!self->resolve)
            connection_lost(self, &err);
    }
    PQconninfoFree(defaults);
}

/* -- life ---------------------------------------------------------------------------------------- */
pg_connection_t *pg_connection_new(pg_t *pg, error_t *err)
{
    pg_connection_t *self = calloc(1, sizeof *self);
    if (self) {
        *self = (pg_connection_t){.pg = pg, .retry_ms = RETRY_FIRST_MS};
        self->timer = loop_timer_new(pg->loop, on_timer, self);
    }
    if (!self || !self->timer) {
        free(self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    loop_timer_in(self->timer, 0);
    return self;
}

void pg_connection_free(pg_connection_t *self)
{
    if (!self)
        return;
    close_all(self);
    loop_timer_end(&self->timer);
    free(self);
}

bool pg_connection_is_up(const pg_connection_t *self)
{
    return self->state == IDLE || self->state == BUSY;
}
