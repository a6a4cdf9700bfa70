/* pg.h: PostgreSQL on the loop, over libpq in non-blocking mode, and migrations.
 *
 * PG* variables (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE, PGSSLMODE, …) mean what libpq says. A pool
 * holds a few connections, reconnects with jitter, and queues queries up to a bound; host names are resolved
 * off the loop. Parameters and results are text or binary (bytea). A query ends exactly once. */
#ifndef KIT_PG_H
#define KIT_PG_H

#include <libpq-fe.h>

#include "kit/loop.h"
#include "proto/bytes.h"

#define PG_PARAMS_MAX 64
#define PG_QUEUE_MAX 10000

typedef struct pg pg_t;
typedef struct pg_tx pg_tx_t;

typedef struct {
    int connections;              /* 0: 4 */
    const char *schema;           /* search_path of every connection: the service's own schema */
    int64_t statement_timeout_ms; /* 0: 30,000 */
} pg_options_t;

typedef struct {
    bytes_t value; /* data NULL: SQL NULL */
    bool binary;   /* passed as bytea */
} pg_param_t;

#define PG_NULL ((pg_param_t){.value = {NULL, 0}})
#define PG_TEXT(s) ((pg_param_t){.value = bytes_cstr(s)})
#define PG_BYTES(b) ((pg_param_t){.value = (b), .binary = true})
#define PG_STR(b) ((pg_param_t){.value = (b)}) /* text from a slice */
/* A number, as text that lives as long as the block in which this stands. */
#define PG_I64_BYTES 24
#define PG_I64(number) pg_param_i64((char[PG_I64_BYTES]){0}, number)
pg_param_t pg_param_i64(char text[PG_I64_BYTES], int64_t number);
pg_param_t pg_param_text(bytes_t text);         /* an empty slice is the empty text, whatever its data */
pg_param_t pg_param_text_or_null(bytes_t text); /* an empty slice is NULL */

/* `result` is NULL when `err` is not; it is cleared after the call. err->aws is the SQLSTATE. */
typedef void (*pg_done_fn)(void *ctx, const PGresult *result, const error_t *err);

MUST_USE pg_t *pg_new(loop_t *loop, const pg_options_t *options, error_t *err);
void pg_free(pg_t **pg);          /* ends what waits with CANCELLED */
bool pg_is_ready(const pg_t *pg); /* at least one connection is up */

/* One statement on any connection. The SQL must live until done (a literal); parameters are copied. Where the pool
 * has ended (`pg` NULL), `fn` is called at once, with CANCELLED; everywhere else later, from the loop. */
void pg_query(pg_t *pg, const char *sql, const pg_param_t *params, int count, pg_done_fn fn, void *ctx);

/* NULL when out of memory or when the pool has ended.
 * A transaction on one connection: queries in order, then commit or rollback. A failed query rolls back and
 * fails those after it. */
MUST_USE pg_tx_t *pg_begin(pg_t *pg);
void pg_tx_query(pg_tx_t *tx, const char *sql, const pg_param_t *params, int count, pg_done_fn fn, void *ctx);
void pg_tx_commit(pg_tx_t *tx, pg_done_fn fn, void *ctx); /* ends it; *tx is gone after fn */
void pg_tx_rollback(pg_tx_t *tx);

/* Reading results. */
bytes_t pg_text(const PGresult *result, int row, int column); /* empty for NULL */
int64_t pg_i64(const PGresult *result, int row, int column, int64_t fallback);
double pg_f64(const PGresult *result, int row, int column, double fallback);
bool pg_bool(const PGresult *result, int row, int column);
/* bytea as bytes, appended to `out`. */
MUST_USE bool pg_bytea(const PGresult *result, int row, int column, buf_t *out);

typedef struct {
    int version; /* 1, 2, 3, … */
    const char *name;
    const char *sql; /* one or more statements, run in one transaction */
} pg_migration_t;

/* Blocking, before the loop runs: creates the schema if missing, takes an advisory lock, applies what is
 * missing in order, records it in SCHEMA.migrations. Waits up to `wait_ms` for the server to answer. Refuses
 * a database whose newest migration is unknown to this program, or which is not UTF-8. */
MUST_USE bool pg_migrate(const char *schema, const pg_migration_t *migrations, size_t count, int64_t wait_ms,
                         error_t *err);

#endif
