/* pg_internal.h: the pool (pg.c) and its connections (pg_connection.c).
 *
 * Everything that waits for the database is a transaction; a single statement is one without BEGIN and COMMIT. The
 * pool hands transactions to connections in the order in which they came. A connection asks tx_next() what to send
 * and tells tx_result() what came back; it knows nothing of queues, the pool nothing of sockets. */
#ifndef KIT_PG_INTERNAL_H
#define KIT_PG_INTERNAL_H

#include "kit/pg.h"

typedef struct pg_query pg_query_t;
typedef struct pg_connection pg_connection_t;

#define PG_STATEMENT_TIMEOUT_MS 30000
/* The server is given so much longer than its own statement_timeout before the connection is given up. */
#define PG_ANSWER_GRACE_MS 5000

struct pg_query {
    const char *sql;
    pg_done_fn fn;
    void *ctx;
    pg_query_t *next;
    error_t err; /* when it ends without having been sent, or without an answer */
    int count;
    const char *values[PG_PARAMS_MAX];
    int lengths[PG_PARAMS_MAX];
    int formats[PG_PARAMS_MAX];
    Oid types[PG_PARAMS_MAX];
    char data[]; /* the parameters, each closed by a NUL */
};

typedef struct {
    pg_query_t *first, *last;
} pg_queries_t;

typedef enum { TX_OPEN, TX_COMMIT, TX_ROLLBACK } pg_tx_wish_t;

struct pg_tx {
    pg_t *pg;    /* NULL: the pool is no more */
    bool single; /* one statement, no BEGIN */
    bool begun;  /* BEGIN was answered */
    bool failed; /* what follows fails with `err` */
    bool over;   /* the server has ended it; only the caller's commit or rollback is still to come */
    pg_tx_wish_t wish;
    pg_queries_t waiting;
    pg_query_t *current; /* at the server */
    pg_query_t *commit;  /* the caller's callback for it */
    error_t err;
    pg_connection_t *connection; /* that it is pinned to; NULL */
    int64_t give_up_us;          /* when waiting for a connection has lasted too long */
    pg_tx_t *next;               /* in pg->queue */
    pg_tx_t *all_next, *all_previous;
};

struct pg {
    loop_t *loop;
    char *schema;
    int64_t statement_timeout_ms;
    pg_connection_t **connections;
    int connection_count;
    pg_tx_t *queue, *queue_last;
    size_t queued;
    pg_tx_t *all;
    pg_queries_t ended; /* to be told from the loop */
    loop_timer_t *later;
    loop_timer_t *waiting; /* for the head of the queue */
    bool closing, complained;
};

/* -- what a connection asks of the pool (pg.c) ---------------------------------------------------- */
typedef enum { PG_NOTHING, PG_BEGIN, PG_STATEMENT, PG_COMMIT, PG_ROLLBACK } pg_step_t;

/* The transaction at the head of the queue, now pinned to the connection; NULL. */
pg_tx_t *pg_tx_take(pg_t *pg, pg_connection_t *connection);
/* What the transaction wants to be sent next; PG_STATEMENT is tx->current. */
pg_step_t pg_tx_next(pg_tx_t *tx);
/* The answer to a step. Calls the caller's functions; `tx` may be gone. True when the connection is free. */
bool pg_tx_result(pg_tx_t *tx, pg_step_t step, const PGresult *result);
/* The connection was lost; `step` was under way, or PG_NOTHING. Tells the callers later. */
void pg_tx_lost(pg_tx_t *tx, pg_step_t step, const error_t *err);

/* -- what the pool asks of a connection (pg_connection.c) ----------------------------------------- */
MUST_USE pg_connection_t *pg_connection_new(pg_t *pg, error_t *err);
void pg_connection_free(pg_connection_t *connection); /* its transaction was told already */
bool pg_connection_is_up(const pg_connection_t *connection);
/* Looks for work when it has none under way. */
void pg_connection_kick(pg_connection_t *connection);

/* -- errors (pg_result.c) ------------------------------------------------------------------------- */
bool pg_result_ok(const PGresult *result);
void pg_result_error(const PGresult *result, error_t *err);
/* First line of libpq's text. */
void pg_connection_error(const PGconn *conn, const char *what, error_t *err);

#endif
