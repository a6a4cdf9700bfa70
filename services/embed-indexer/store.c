/* store.c: the tables, and the statements that read them; batches are in store_batch.c. */
#include "services/embed-indexer/store.h"

#include "services/embed-indexer/work_text.h"

static const char migration_1[] =
    "CREATE TABLE work (work_id bigint PRIMARY KEY, text_hash bytea NOT NULL, speaker text NOT NULL,"
    " body bytea NOT NULL, changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id());"
    "CREATE INDEX work_changed ON work (changed_xid, work_id);"
    "CREATE INDEX work_text ON work (text_hash);"
    "CREATE TABLE document (isbn text PRIMARY KEY, work_id bigint NOT NULL, volume int, price_jpy bigint,"
    " publisher text, is_discontinued boolean NOT NULL, is_sold_out boolean NOT NULL, version bigint NOT NULL,"
    " body bytea NOT NULL, changed_xid xid8 NOT NULL DEFAULT pg_current_xact_id(),"
    " changed_at timestamptz NOT NULL DEFAULT now());"
    "CREATE INDEX document_changed ON document (changed_xid, isbn);"
    "CREATE INDEX document_work ON document (work_id);"
    "CREATE TABLE stock (isbn text NOT NULL, warehouse_code text NOT NULL, quantity bigint NOT NULL,"
    " version bigint NOT NULL, PRIMARY KEY (isbn, warehouse_code));"
    "CREATE TABLE embedding (text_hash bytea NOT NULL, model_id text NOT NULL, dimension int NOT NULL,"
    " template_version int NOT NULL, vector bytea NOT NULL, made_at timestamptz NOT NULL DEFAULT now(),"
    " PRIMARY KEY (text_hash, model_id, dimension));"
    "CREATE INDEX embedding_made ON embedding (made_at);"
    "CREATE TABLE pending (asks text NOT NULL, text_hash bytea NOT NULL, due timestamptz NOT NULL DEFAULT now(),"
    " alone boolean NOT NULL DEFAULT false, error text, PRIMARY KEY (asks, text_hash));"
    "CREATE INDEX pending_due ON pending (asks, due);"
    "CREATE INDEX pending_refused ON pending (asks) WHERE error IS NOT NULL;" INBOX_TABLE_SQL;

static const char migration_2[] =
    "CREATE TABLE space (asks text PRIMARY KEY, model_id text NOT NULL, dimension int NOT NULL,"
    " changed_at timestamptz);"; /* NULL: it is the first */

const pg_migration_t store_migrations[] = {{1, "documents, works, vectors, stock, inbox", migration_1},
                                           {2, "the kind of vectors in use", migration_2}};
const size_t store_migration_count = ARRAY_LEN(store_migrations);

/* -- following -------------------------------------------------------------------------------------- */
void store_bound(pg_t *pg, const char *asks, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(asks)};
    pg_query(
        pg,
        "SELECT b.xmin, s.model_id, s.dimension FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin)"
        " AS b LEFT JOIN space s ON s.asks = $1",
        params, ARRAY_LEN(params), fn, ctx);
}

#define PAGE "500"
_Static_assert(STORE_PAGE_ROWS == 500, "the pages' LIMIT");

#define BOOKS                                                                                                          \
    "SELECT isbn, work_id, volume, price_jpy, publisher, is_discontinued, is_sold_out, changed_xid,"                   \
    " (extract(epoch FROM changed_at) * 1000000)::bigint FROM document"
/* The page first, then a look-up for each of its rows: no estimate can make a join of whole tables of it. */
#define WORKS(page)                                                                                                    \
    "SELECT w.work_id, encode(w.text_hash, 'hex'), w.body, (SELECT e.vector FROM embedding e WHERE e.text_hash ="      \
    " w.text_hash AND e.model_id = $1 AND e.dimension = $2::int), w.changed_xid FROM (SELECT * FROM work " page        \
    " LIMIT " PAGE ") AS w ORDER BY "

void store_books(pg_t *pg, const store_after_t *after, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(after->key), PG_TEXT(after->xid), PG_TEXT(after->bound)};
    if (*after->bound)
        pg_query(pg,
                 BOOKS " WHERE (changed_xid, isbn) > ($2::xid8, $1) AND changed_xid < $3::xid8"
                       " ORDER BY changed_xid, isbn LIMIT " PAGE,
                 params, 3, fn, ctx);
    else
        pg_query(pg, BOOKS " WHERE isbn > $1 ORDER BY isbn LIMIT " PAGE, params, 1, fn, ctx);
}

void store_works(pg_t *pg, const store_after_t *after, const store_space_t *space, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(space->model_id), PG_I64(space->dimension), PG_TEXT(after->key),
                                 PG_TEXT(after->xid), PG_TEXT(after->bound)};
    if (*after->bound)
        pg_query(pg,
                 WORKS("WHERE (changed_xid, work_id) > ($4::xid8, $3::bigint) AND changed_xid < $5::xid8"
                       " ORDER BY changed_xid, work_id") "w.changed_xid, w.work_id",
                 params, 5, fn, ctx);
    else
        pg_query(pg, WORKS("WHERE work_id > $3::bigint ORDER BY work_id") "w.work_id", params, 3, fn, ctx);
}

void store_rehash(pg_t *pg, bytes_t work_ids, bytes_t hashes, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_STR(work_ids), PG_STR(hashes)};
    pg_query(pg,
             "UPDATE work w SET text_hash = decode(g.hash, 'hex'), changed_xid = pg_current_xact_id()"
             " FROM unnest($1::bigint[], $2::text[]) AS g(work_id, hash) WHERE w.work_id = g.work_id",
             params, ARRAY_LEN(params), fn, ctx);
}

/* -- vectors ---------------------------------------------------------------------------------------- */
void store_space_begin(pg_t *pg, const char *asks, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(asks)};
    pg_query(pg,
             "INSERT INTO space (asks, model_id, dimension) SELECT $1, model_id, dimension FROM embedding"
             " ORDER BY made_at DESC LIMIT 1 ON CONFLICT DO NOTHING",
             params, ARRAY_LEN(params), fn, ctx);
}

void store_space_change(pg_t *pg, const char *asks, const store_space_t *space, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(asks), PG_TEXT(space->model_id), PG_I64(space->dimension)};
    pg_query(pg,
             "INSERT INTO space AS s (asks, model_id, dimension) VALUES ($1, $2, $3::int) ON CONFLICT (asks) DO UPDATE"
             " SET model_id = excluded.model_id, dimension = excluded.dimension, changed_at = now()"
             " WHERE (s.model_id, s.dimension) <> (excluded.model_id, excluded.dimension) AND"
             " (s.changed_at IS NULL OR s.changed_at < now() - interval '" STORE_SPACE_KEPT_S " seconds') RETURNING 1",
             params, ARRAY_LEN(params), fn, ctx);
}

void store_pending_fill(pg_t *pg, const char *asks, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(asks)};
    pg_query(
        pg,
        "WITH gone AS (DELETE FROM pending p WHERE p.asks = $1 AND NOT EXISTS (SELECT FROM work w WHERE w.text_hash ="
        " p.text_hash)) INSERT INTO pending (asks, text_hash) SELECT DISTINCT $1, w.text_hash FROM work w"
        " WHERE NOT " STORE_HAS_VECTOR("w.text_hash", "$1") " ORDER BY w.text_hash ON CONFLICT DO NOTHING",
        params, ARRAY_LEN(params), fn, ctx);
}

void store_pending_take(pg_t *pg, const char *asks, int64_t limit, pg_done_fn fn, void *ctx)
{
    /* A text that is to be asked for alone is taken only as the single first. One that has its vector is only taken
     * off: whoever noted it (a batch, the search for works without vector) looked just before the vector was there. */
    static const char sql[] =
        "WITH first AS (SELECT text_hash, alone FROM pending WHERE asks = $1 AND due <= now() ORDER BY due, text_hash"
        " LIMIT $2 FOR UPDATE SKIP LOCKED),"
        " seen AS (SELECT text_hash, alone, " STORE_HAS_VECTOR(
            "first.text_hash", "$1") " AS is_had FROM first),"
                                     " had AS (DELETE FROM pending p USING seen WHERE p.asks = $1 AND p.text_hash = "
                                     "seen.text_hash AND is_had"
                                     " RETURNING p.text_hash),"
                                     " want AS (SELECT text_hash, alone FROM seen WHERE NOT is_had),"
                                     " mine AS (SELECT text_hash FROM want WHERE NOT alone UNION ALL (SELECT text_hash "
                                     "FROM want WHERE alone AND"
                                     " NOT EXISTS (SELECT FROM want WHERE NOT alone) LIMIT 1)),"
                                     " taken AS (UPDATE pending p SET due = now() + interval '" STORE_CLAIM_S
                                     " seconds' FROM mine"
                                     " WHERE p.asks = $1 AND p.text_hash = mine.text_hash RETURNING p.text_hash,"
                                     " (SELECT w.body FROM work w WHERE w.text_hash = p.text_hash LIMIT 1) AS body)"
                                     " SELECT encode(text_hash, 'hex'), body FROM taken"
                                     " UNION ALL SELECT encode(text_hash, 'hex'), NULL FROM had";
    const pg_param_t params[] = {PG_TEXT(asks), PG_I64(limit)};
    pg_query(pg, sql, params, ARRAY_LEN(params), fn, ctx);
}

void store_vectors(pg_t *pg, const char *asks, const store_space_t *space, bytes_t hashes, bytes_t vectors,
                   pg_done_fn fn, void *ctx)
{
    /* The works are touched so that every instance reads them again, with their vectors. */
    static const char sql[] =
        "WITH given AS (SELECT decode(h, 'hex') AS text_hash, v AS vector FROM unnest($4::text[], $5::bytea[]) AS g(h, "
        "v)),"
        " named AS (INSERT INTO space (asks, model_id, dimension) VALUES ($1, $2, $3::int) ON CONFLICT DO NOTHING),"
        " made AS (INSERT INTO embedding (text_hash, model_id, dimension, template_version, vector)"
        " SELECT text_hash, $2, $3::int, $6::int, vector FROM given ORDER BY text_hash"
        " ON CONFLICT (text_hash, model_id, dimension) DO UPDATE SET vector = excluded.vector, made_at = now()),"
        " done AS (DELETE FROM pending p USING given WHERE p.asks = $1 AND p.text_hash = given.text_hash)"
        " UPDATE work w SET changed_xid = pg_current_xact_id() FROM (SELECT k.work_id FROM work k JOIN given USING"
        " (text_hash) ORDER BY k.work_id FOR UPDATE OF k) AS touched WHERE w.work_id = touched.work_id";
    const pg_param_t params[] = {PG_TEXT(asks),  PG_TEXT(space->model_id), PG_I64(space->dimension),
                                 PG_STR(hashes), PG_STR(vectors),          PG_I64(WORK_TEXT_TEMPLATE)};
    pg_query(pg, sql, params, ARRAY_LEN(params), fn, ctx);
}

void store_pending_put_off(pg_t *pg, const char *asks, bytes_t hashes, int64_t delay_ms, bool alone, const char *error,
                           pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(asks), PG_STR(hashes), PG_I64(delay_ms), PG_TEXT(alone ? "true" : "false"),
                                 error ? PG_TEXT(error) : PG_NULL};
    pg_query(pg,
             "UPDATE pending SET due = now() + $3::bigint * interval '1 millisecond', alone = alone OR $4::boolean,"
             " error = coalesce($5::text, error) WHERE asks = $1 AND text_hash IN"
             " (SELECT decode(h, 'hex') FROM unnest($2::text[]) AS h)",
             params, ARRAY_LEN(params), fn, ctx);
}

void store_prune(pg_t *pg)
{
    inbox_prune(pg, STORE_INBOX_DAYS, NULL, NULL);
    pg_query(pg,
             "DELETE FROM embedding e WHERE made_at < now() - interval '30 days'"
             " AND NOT EXISTS (SELECT FROM work w WHERE w.text_hash = e.text_hash)",
             NULL, 0, NULL, NULL);
}

/* -- answering -------------------------------------------------------------------------------------- */
void store_bodies(pg_t *pg, bytes_t isbns, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_STR(isbns)};
    pg_query(pg, "SELECT isbn, body FROM document WHERE isbn = ANY($1::text[])", params, 1, fn, ctx);
}

void store_refused(pg_t *pg, const char *asks, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_TEXT(asks)};
    pg_query(pg,
             "SELECT coalesce(sum((SELECT count(*) FROM work w JOIN document d USING (work_id) WHERE w.text_hash ="
             " p.text_hash)), 0) FROM pending p WHERE p.asks = $1 AND p.error IS NOT NULL",
             params, 1, fn, ctx);
}
