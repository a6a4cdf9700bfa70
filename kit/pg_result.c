/* pg_result.c: parameters as text, reading results, and PostgreSQL's errors in the house's terms. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/pg_internal.h"

/* -- parameters ---------------------------------------------------------------------------------- */
pg_param_t pg_param_i64(char text[PG_I64_BYTES], int64_t number)
{
    (void)snprintf(text, PG_I64_BYTES, "%" PRId64, number);
    return PG_TEXT(text);
}

pg_param_t pg_param_text(bytes_t text)
{
    return text.data ? PG_STR(text) : PG_TEXT("");
}

pg_param_t pg_param_text_or_null(bytes_t text)
{
    return text.len ? PG_STR(text) : PG_NULL;
}

/* -- results ------------------------------------------------------------------------------------- */
bytes_t pg_text(const PGresult *result, int row, int column)
{
    if (PQgetisnull(result, row, column))
        return BYTES_NONE;
    return bytes_from(PQgetvalue(result, row, column), (size_t)PQgetlength(result, row, column));
}

/* The text of a value that is there, or NULL. */
static const char *value_text(const PGresult *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

int64_t pg_i64(const PGresult *result, int row, int column, int64_t fallback)
{
    const char *text = value_text(result, row, column);
    char *end;
    if (!text)
        return fallback;
    errno = 0;
    int64_t v = strtoll(text, &end, 10);
    return end == text || *end || errno ? fallback : v;
}

double pg_f64(const PGresult *result, int row, int column, double fallback)
{
    const char *text = value_text(result, row, column);
    char *end;
    if (!text)
        return fallback;
    double v = strtod(text, &end);
    return end == text || *end ? fallback : v;
}

bool pg_bool(const PGresult *result, int row, int column)
{
    const char *text = value_text(result, row, column);
    return text && *text == 't';
}

bool pg_bytea(const PGresult *result, int row, int column, buf_t *out)
{
    const char *text = value_text(result, row, column);
    size_t len;
    unsigned char *bytes = text ? PQunescapeBytea((const unsigned char *)text, &len) : NULL;
    if (!bytes)
        return false;
    buf_append(out, bytes, len);
    PQfreemem(bytes);
    return !out->failed;
}

/* -- errors -------------------------------------------------------------------------------------- */
/* The first entry that the SQLSTATE begins with decides (PostgreSQL, appendix A: error codes). */
static const struct {
    const char *prefix;
    status_t code;
} states[] = {
    {"08", STATUS_UNAVAILABLE},                                  /* connection exception */
    {"0A", STATUS_UNIMPLEMENTED},                                /* feature not supported */
    {"22", STATUS_INVALID_ARGUMENT},                             /* data exception */
    {"23505", STATUS_ALREADY_EXISTS},                            /* unique violation */
    {"23", STATUS_FAILED_PRECONDITION},                          /* other constraints */
    {"28", STATUS_UNAUTHENTICATED},      {"40", STATUS_ABORTED}, /* serialization failure, deadlock */
    {"42501", STATUS_PERMISSION_DENIED}, {"53", STATUS_RESOURCE_EXHAUSTED},
    {"55P03", STATUS_ABORTED},           /* lock not available */
    {"57014", STATUS_DEADLINE_EXCEEDED}, /* statement timeout */
    {"57P", STATUS_UNAVAILABLE},         /* shutdown, cannot connect now */
    {"58", STATUS_UNAVAILABLE},          /* system error of the server */
    {"25006", STATUS_UNAVAILABLE},       /* read-only: a standby, for now */
};

static status_t code_of(const char *sqlstate)
{
    for (size_t i = 0; i < ARRAY_LEN(states); i++)
        if (strncmp(sqlstate, states[i].prefix, strlen(states[i].prefix)) == 0)
            return states[i].code;
    return STATUS_INTERNAL;
}

bool pg_result_ok(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);
    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK || status == PGRES_EMPTY_QUERY;
}

/* The primary message only: DETAIL quotes the row. */
void pg_result_error(const PGresult *result, error_t *err)
{
    const char *sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    if (sqlstate)
        (void)error_set(err, code_of(sqlstate), sqlstate, "%s", message ? message : "no message");
    else
        (void)error_set(err, STATUS_UNAVAILABLE, NULL, "the answer of the database was cut short");
}

void pg_connection_error(const PGconn *conn, const char *what, error_t *err)
{
    const char *text = conn ? PQerrorMessage(conn) : "out of memory";
    int len = (int)strcspn(text, "\n");
    (void)error_set(err, STATUS_UNAVAILABLE, NULL, "%s: %.*s", what, len, text);
}
