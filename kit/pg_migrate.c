/* pg_migrate.c: brings a schema to this program's version, before the program begins; blocks. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "kit/pg_internal.h"

#define RETRY_PAUSE_MS 200
#define CONNECT_TIMEOUT_S "5"
/* Another instance may be at work on the same migrations; they are then waited for. */
#define LOCK_SQL                                                                                                       \
    "SET client_min_messages TO warning; SET lock_timeout TO '300s'; SET statement_timeout TO 0; "                     \
    "SELECT pg_advisory_lock(hashtextextended('mangabus.' || %s, 0))"

typedef struct {
    PGconn *conn;
    const char *schema;
    const pg_migration_t *migrations;
    int count;
    char *name; /* the schema as an identifier, quoted */
    char *text; /* as a literal, quoted */
    buf_t sql;
    error_t *err; /* may be NULL */
} migrator_t;

/* -- statements ---------------------------------------------------------------------------------- */
static PGresult *run_sql(migrator_t *m, const char *what)
{
    PGresult *result = PQexec(m->conn, buf_cstr(&m->sql));
    buf_clear(&m->sql);
    if (pg_result_ok(result))
        return result;
    if (PQstatus(m->conn) == CONNECTION_BAD)
        pg_connection_error(m->conn, what, m->err);
    else {
        pg_result_error(result, m->err);
        (void)error_prefix(m->err, "%s", what);
    }
    PQclear(result);
    return NULL;
}

static bool run(migrator_t *m, const char *what)
{
    PGresult *result = run_sql(m, what);
    PQclear(result);
    return result != NULL;
}

/* -- steps --------------------------------------------------------------------------------------- */
static PGconn *connect_once(const char *schema)
{
    const char *names[] = {"connect_timeout", "client_encoding", "fallback_application_name", NULL};
    const char *values[] = {CONNECT_TIMEOUT_S, "UTF8", schema, NULL};
    return PQconnectdbParams(names, values, 0);
}

static bool connect_within(migrator_t *m, int64_t wait_ms)
{
    const struct timespec pause = {.tv_nsec = RETRY_PAUSE_MS * 1000000L};
    int64_t until_ms = clock_mono_ms() + wait_ms;
    for (bool told = false;; told = true) {
        m->conn = connect_once(m->schema);
        if (PQstatus(m->conn) == CONNECTION_OK)
            return true;
        error_t err = {0};
        pg_connection_error(m->conn, "no connection to the database", &err);
        PQfinish(m->conn);
        m->conn = NULL;
        if (!told)
            log_warn("waiting for the database", LOG_S("error", err.message));
        if (clock_mono_ms() >= until_ms) {
            if (m->err)
                *m->err = err;
            return false;
        }
        (void)nanosleep(&pause, NULL);
    }
}

static bool prepare(migrator_t *m)
{
    const char *schema = m->schema;
    const char *encoding = PQparameterStatus(m->conn, "server_encoding");
    if (!encoding || strcmp(encoding, "UTF8") != 0)
        return error_set(m->err, STATUS_FAILED_PRECONDITION, NULL,
                         "the database's encoding is %s, it must be UTF8: create it with ENCODING 'UTF8'",
                         encoding ? encoding : "unknown");
    m->name = PQescapeIdentifier(m->conn, schema, strlen(schema));
    m->text = PQescapeLiteral(m->conn, schema, strlen(schema));
    if (!m->name || !m->text)
        return error_set(m->err, STATUS_INVALID_ARGUMENT, NULL, "%s cannot be the name of a schema", schema);
    buf_printf(&m->sql, LOCK_SQL, m->text);
    return run(m, "the migrations' lock was not to be had");
}

/* CREATE SCHEMA asks for a right that is not needed where an administrator made the schema before. */
static bool create_schema(migrator_t *m)
{
    buf_printf(&m->sql, "SELECT 1 FROM pg_namespace WHERE nspname = %s", m->text);
    PGresult *result = run_sql(m, "the schema cannot be looked up");
    bool exists = result && PQntuples(result) > 0;
    PQclear(result);
    if (!result)
        return false;
    if (!exists)
        buf_printf(&m->sql, "CREATE SCHEMA %s; ", m->name);
    buf_printf(&m->sql,
               "CREATE TABLE IF NOT EXISTS %s.migrations ("
               "version integer PRIMARY KEY, name text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
               m->name);
    return run(m, "the schema cannot be created");
}

static bool row_known(migrator_t *m, const PGresult *result, int row)
{
    int64_t version = pg_i64(result, row, 0, 0);
    if (version < 1 || version > m->count)
        return error_set(m->err, STATUS_FAILED_PRECONDITION, NULL,
                         "schema %s is at version %lld, this program knows %d: start a newer program", m->schema,
                         (long long)version, m->count);
    const char *name = m->migrations[version - 1].name;
    if (!bytes_eq_cstr(pg_text(result, row, 1), name))
        return error_set(m->err, STATUS_FAILED_PRECONDITION, NULL,
                         "schema %s has '%s' as version %lld, this program '%s': they do not belong together",
                         m->schema, PQgetvalue(result, row, 1), (long long)version, name);
    return true;
}

/* The version that the schema is at; -1 when it is none of ours. */
static int current_version(migrator_t *m)
{
    buf_printf(&m->sql, "SELECT version, name FROM %s.migrations ORDER BY version DESC", m->name);
    PGresult *result = run_sql(m, "the schema's version cannot be read");
    if (!result)
        return -1;
    int rows = PQntuples(result);
    int version = rows > 0 ? (int)pg_i64(result, 0, 0, 0) : 0;
    for (int row = 0; version >= 0 && row < rows; row++)
        if (!row_known(m, result, row))
            version = -1;
    PQclear(result);
    return version;
}

static bool apply(migrator_t *m, const pg_migration_t *migration)
{
    char what[128];
    char *name = PQescapeLiteral(m->conn, migration->name, strlen(migration->name));
    (void)snprintf(what, sizeof what, "migration %d (%.80s)", migration->version, migration->name);
    buf_printf(&m->sql, "BEGIN; SET LOCAL search_path TO %s, public; ", m->name);
    buf_append_cstr(&m->sql, migration->sql);
    buf_printf(&m->sql, "\n; INSERT INTO %s.migrations (version, name) VALUES (%d, %s); COMMIT", m->name,
               migration->version, name ? name : "NULL");
    PQfreemem(name);
    if (!run(m, what))
        return false;
    log_info("migration applied", LOG_S("schema", m->schema), LOG_I("version", migration->version),
             LOG_S("migration", migration->name));
    return true;
}

static bool apply_missing(migrator_t *m)
{
    int version = current_version(m);
    if (version < 0)
        return false;
    for (int i = version; i < m->count; i++)
        if (!apply(m, &m->migrations[i]))
            return false;
    return true;
}

bool pg_migrate(const char *schema, const pg_migration_t *migrations, size_t count, int64_t wait_ms, error_t *err)
{
    migrator_t m = {.schema = schema, .migrations = migrations, .count = (int)count, .err = err};
    for (int i = 0; i < m.count; i++)
        assert(migrations[i].version == i + 1);
    bool ok = connect_within(&m, wait_ms) && prepare(&m) && create_schema(&m) && apply_missing(&m);
    PQfreemem(m.name);
    PQfreemem(m.text);
    buf_free(&m.sql);
    PQfinish(m.conn); /* and with it the lock */
    return ok;
}
