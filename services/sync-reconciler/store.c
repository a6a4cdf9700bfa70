/* store.c: the tables, the statements of runs and catalog.get; those of pages are in store_page.c. */
#include "services/sync-reconciler/store.h"

static const char migration_1[] =
    "CREATE TABLE book (isbn text PRIMARY KEY, title_key text NOT NULL, kana_key text, en_key text, volume integer,"
    " price_jpy bigint, status text NOT NULL, version bigint NOT NULL, text_hash text NOT NULL, body bytea NOT NULL,"
    " run_id text NOT NULL, changed_at timestamptz NOT NULL DEFAULT now());"
    "CREATE INDEX book_title ON book (title_key text_pattern_ops, volume);"
    "CREATE INDEX book_kana ON book (kana_key text_pattern_ops, volume);"
    "CREATE INDEX book_en ON book (en_key text_pattern_ops, volume);"
    "CREATE TABLE quarantine (key text NOT NULL, reason text NOT NULL, raw text, run_id text NOT NULL,"
    " at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (key, run_id));"
    "CREATE TABLE stock (isbn text NOT NULL, warehouse_code text NOT NULL, quantity bigint NOT NULL, status text NOT"
    " NULL, version bigint NOT NULL, at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (isbn, warehouse_code));"
    "CREATE TABLE run (run_id text PRIMARY KEY, kind text NOT NULL, state text NOT NULL, cursor text NOT NULL DEFAULT "
    "'',"
    " since timestamptz, total bigint, done bigint NOT NULL DEFAULT 0, changed bigint NOT NULL DEFAULT 0, quarantined"
    " bigint NOT NULL DEFAULT 0, stock_done bigint NOT NULL DEFAULT 0, started_at timestamptz NOT NULL DEFAULT now(),"
    " finished_at timestamptz, error text, owner text NOT NULL, leased_until timestamptz NOT NULL);"
    "CREATE UNIQUE INDEX run_one_at_a_time ON run ((true)) WHERE state = 'running';"
    "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, detail_type text NOT NULL, detail bytea"
    " NOT NULL, dedup text NOT NULL, at_us bigint NOT NULL);";

static const char migration_2[] =
    "CREATE TABLE stock_due (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, books bigint NOT NULL,"
    " request bytea NOT NULL);";

const pg_migration_t store_migrations[] = {{1, "catalogue, quarantine, stock, runs", migration_1},
                                           {2, "stock that is still to be read", migration_2}};
const size_t store_migration_count = ARRAY_LEN(store_migrations);

/* -- runs ----------------------------------------------------------------------------------------- */
#define RUN_COLUMNS                                                                                                    \
    "run_id, kind, state, cursor, total, done, changed, quarantined, stock_done,"                                      \
    " (extract(epoch FROM started_at) * 1000000)::bigint, (extract(epoch FROM finished_at) * 1000000)::bigint, error," \
    " to_char(since AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')"

void store_run_take(pg_t *pg, const char *instance, bool begin, const char *kind, bool resume, pg_done_fn fn, void *ctx)
{
    /* An incremental run asks for what changed since the last complete one began. A failed run's cursor is
     * where a resumed one goes on. */
    static const char sql[] =
        "WITH taken AS (UPDATE run SET owner = $1, leased_until = now() + interval '" STORE_LEASE_S " seconds'"
        " WHERE state = 'running' AND (leased_until < now() OR owner = $1) RETURNING *),"
        " begun AS (INSERT INTO run (run_id, kind, state, owner, leased_until, cursor, since, total, done)"
        " SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYYMMDD\"T\"HH24MISSUS'), $3, 'running', $1,"
        " now() + interval '" STORE_LEASE_S " seconds', coalesce(failed.cursor, ''),"
        " CASE WHEN $3 = 'incremental' THEN (SELECT max(started_at) FROM run WHERE state = 'completed') END,"
        " failed.total, coalesce(failed.done, 0)"
        " FROM (SELECT 1) AS one LEFT JOIN LATERAL (SELECT cursor, total, done FROM (SELECT * FROM run ORDER BY "
        "started_at"
        " DESC LIMIT 1) AS last WHERE last.state = 'failed' AND last.kind = $3 AND $4::boolean) AS failed ON true"
        " WHERE $2::boolean AND NOT EXISTS (SELECT 1 FROM run WHERE state = 'running')"
        " ON CONFLICT DO NOTHING RETURNING *)"
        " SELECT " RUN_COLUMNS " FROM (SELECT * FROM taken UNION ALL SELECT * FROM begun) AS run";
    const pg_param_t params[] = {PG_TEXT(instance), PG_TEXT(begin ? "true" : "false"), PG_TEXT(kind),
                                 PG_TEXT(resume ? "true" : "false")};
    pg_query(pg, sql, params, ARRAY_LEN(params), fn, ctx);
}

void store_run_find(pg_t *pg, bytes_t run_id, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {pg_param_text_or_null(run_id)};
    pg_query(
        pg,
        "SELECT " RUN_COLUMNS ", (SELECT count(*) FROM book) FROM (SELECT 1) AS one LEFT JOIN LATERAL"
        " (SELECT * FROM run WHERE $1::text IS NULL OR run_id = $1 ORDER BY started_at DESC LIMIT 1) AS run ON true",
        params, ARRAY_LEN(params), fn, ctx);
}

void store_run_any_completed(pg_t *pg, pg_done_fn fn, void *ctx)
{
    pg_query(pg, "SELECT EXISTS (SELECT 1 FROM run WHERE state = 'completed')", NULL, 0, fn, ctx);
}

void store_run_finish(pg_t *pg, const char *run_id, const char *instance, const char *error, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(run_id), PG_TEXT(instance), error ? PG_TEXT(error) : PG_NULL};
    pg_query(pg,
             "UPDATE run SET state = CASE WHEN $3::text IS NULL THEN 'completed' ELSE 'failed' END, error = $3,"
             " finished_at = now() WHERE run_id = $1 AND owner = $2 AND state = 'running' RETURNING state",
             params, ARRAY_LEN(params), fn, ctx);
}

void store_run_note(pg_t *pg, const char *run_id, const char *instance, const char *error, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(run_id), PG_TEXT(instance), error ? PG_TEXT(error) : PG_NULL};
    pg_query(pg,
             "UPDATE run SET error = coalesce($3, error), leased_until = now() + interval '" STORE_LEASE_S " seconds'"
             " WHERE run_id = $1 AND owner = $2 AND state = 'running' RETURNING run_id",
             params, ARRAY_LEN(params), fn, ctx);
}

/* -- catalog.get ---------------------------------------------------------------------------------- */
void store_find_isbns(pg_t *pg, bytes_t array, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_STR(array)};
    pg_query(pg, "SELECT isbn, body FROM book WHERE isbn = ANY($1::text[])", params, ARRAY_LEN(params), fn, ctx);
}

/* The pattern of all that begin with `key`, in which a sign of LIKE's stands for itself. */
static void like_prefix(buf_t *out, bytes_t key)
{
    for (size_t i = 0; i < key.len; i++) {
        if (strchr("%_\\", key.data[i]))
            buf_append_byte(out, '\\');
        buf_append_byte(out, key.data[i]);
    }
    buf_append_byte(out, '%');
}

void store_find_title(pg_t *pg, bytes_t key, int64_t volume, int64_t limit, pg_done_fn fn, void *ctx)
{
    /* Two steps, so that the many that merely begin so are looked for only when none is exact. */
    static const char sql[] =
        "WITH exact AS (SELECT isbn, body, title_key, volume FROM book WHERE (title_key = $1 OR kana_key = $1 OR"
        " en_key = $1) AND ($2::int IS NULL OR volume = $2) ORDER BY (title_key = $1) DESC, title_key, volume NULLS "
        "LAST,"
        " isbn LIMIT $3), near AS (SELECT isbn, body, title_key, volume FROM book WHERE NOT EXISTS (SELECT 1 FROM "
        "exact)"
        " AND $1 <> '' AND (title_key LIKE $4 OR kana_key LIKE $4 OR en_key LIKE $4) AND ($2::int IS NULL OR"
        " volume = $2) ORDER BY length(title_key), title_key, volume NULLS LAST, isbn LIMIT $3)"
        " SELECT isbn, body FROM exact UNION ALL SELECT isbn, body FROM near";
    buf_t prefix = {0};
    like_prefix(&prefix, key);
    const pg_param_t params[] = {pg_param_text(key), volume >= 0 ? PG_I64(volume) : PG_NULL, PG_I64(limit),
                                 PG_STR(buf_bytes(&prefix))};
    pg_query(pg, sql, params, ARRAY_LEN(params), fn, ctx);
    buf_free(&prefix);
}

/* -- outbox --------------------------------------------------------------------------------------- */
static bool event_make(void *ctx, const PGresult *rows, int row, buf_t scratch[2], bus_event_t *event, error_t *err)
{
    (void)ctx;
    if (!pg_bytea(rows, row, 2, &scratch[0]))
        return error_set(err, STATUS_DATA_LOSS, NULL, "an outbox row's detail cannot be read");
    buf_append_bytes(&scratch[1], pg_text(rows, row, 1));
    *event = (bus_event_t){
        .bus = AI_BUS,
        .source = CATALOG_SOURCE,
        .detail_type = buf_cstr(&scratch[1]),
        .detail = buf_bytes(&scratch[0]),
        .dedup = pg_text(rows, row, 3),
        .time_us = pg_i64(rows, row, 4, 0),
    };
    return true;
}

const outbox_options_t store_outbox = {
    .select_sql = OUTBOX_SELECT("id, detail_type, detail, dedup, at_us", "outbox", "7268016"),
    .delete_sql = OUTBOX_DELETE("outbox"),
    .event = event_make,
};
