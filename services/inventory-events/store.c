/* store.c: the statements behind store.h; what must be one transaction is one function in the database. */
#include "services/inventory-events/store.h"

#include <stdlib.h>

#include "kit/inbox.h"

static const char migration_1[] =
    "CREATE TABLE stock (isbn text NOT NULL, warehouse_code text NOT NULL, quantity bigint NOT NULL CHECK"
    " (quantity BETWEEN 0 AND 99999999),"
    " version bigint NOT NULL, title text, changed_at timestamptz NOT NULL DEFAULT now(),"
    " PRIMARY KEY (isbn, warehouse_code));" INBOX_TABLE_SQL
    "CREATE TABLE outbox (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, isbn text NOT NULL,"
    " warehouse_code text NOT NULL, title text, previous bigint, quantity bigint NOT NULL, total bigint NOT NULL,"
    " version bigint NOT NULL, source text NOT NULL, at_us bigint NOT NULL, correlation_id text NOT NULL,"
    " operation text NOT NULL, table_name text NOT NULL, written_at text NOT NULL, replay_name text NOT NULL);"
    "CREATE TABLE adjustments (key text PRIMARY KEY, isbn text NOT NULL, warehouse_code text NOT NULL,"
    " is_delta boolean NOT NULL, amount bigint NOT NULL, source text NOT NULL, reason text, previous bigint,"
    " quantity bigint NOT NULL, version bigint NOT NULL, at timestamptz NOT NULL DEFAULT now());"
    /* Keeps the version guard and the event together. A replayed message of an old version still tells: that
     * is what a replay is for; it does not overwrite. */
    "CREATE FUNCTION apply_change(p_record bigint, p_ingest_us bigint, p_replay text, p_isbn text, p_warehouse text, "
    "p_quantity bigint,"
    " p_version bigint, p_title text, p_at_us bigint, p_correlation text, p_operation text, p_table text,"
    " p_written_at text) RETURNS text LANGUAGE plpgsql AS $$ "
    "DECLARE old stock%ROWTYPE; total bigint; "
    "BEGIN"
    " INSERT INTO inbox (consumer, record, ingest_us, replay_name)"
    " VALUES ('changes', p_record, p_ingest_us, p_replay) ON CONFLICT DO NOTHING;"
    " IF NOT FOUND THEN RETURN 'repeated'; END IF;"
    " INSERT INTO stock (isbn, warehouse_code, quantity, version, title)"
    " VALUES (p_isbn, p_warehouse, 0, 0, p_title) ON CONFLICT DO NOTHING;"
    " SELECT * INTO old FROM stock WHERE isbn = p_isbn AND warehouse_code = p_warehouse FOR UPDATE;"
    " IF old.version >= p_version AND p_replay = '' THEN RETURN 'older'; END IF;"
    " IF old.version < p_version THEN"
    "  UPDATE stock SET quantity = p_quantity, version = p_version, title = coalesce(p_title, old.title),"
    "  changed_at = now() WHERE isbn = p_isbn AND warehouse_code = p_warehouse;"
    " END IF;"
    " IF old.version > 0 AND old.quantity = p_quantity AND p_replay = '' THEN RETURN 'unchanged'; END IF;"
    " SELECT sum(quantity) INTO total FROM stock WHERE isbn = p_isbn;"
    " INSERT INTO outbox (isbn, warehouse_code, title, previous, quantity, total, version, source, at_us,"
    " correlation_id, operation, table_name, written_at, replay_name) VALUES (p_isbn, p_warehouse,"
    " coalesce(p_title, old.title), CASE WHEN old.version > 0 THEN old.quantity END, p_quantity, total, p_version,"
    " 'erp_cdc', p_at_us, p_correlation, p_operation, p_table, p_written_at, p_replay);"
    " RETURN 'applied'; END $$;"
    "CREATE FUNCTION adjust_stock(p_key text, p_isbn text, p_warehouse text, p_is_delta boolean, p_amount bigint,"
    " p_source text, p_reason text, p_now_us bigint, p_correlation text)"
    " RETURNS TABLE (applied boolean, r_previous bigint, r_quantity bigint, r_version bigint) LANGUAGE plpgsql AS $$ "
    "DECLARE old stock%ROWTYPE; done adjustments%ROWTYPE; next_quantity bigint; next_version bigint; known bigint; "
    "BEGIN"
    " INSERT INTO stock (isbn, warehouse_code, quantity, version) VALUES (p_isbn, p_warehouse, 0, 0)"
    " ON CONFLICT DO NOTHING;"
    " SELECT * INTO old FROM stock WHERE isbn = p_isbn AND warehouse_code = p_warehouse FOR UPDATE;"
    " SELECT * INTO done FROM adjustments WHERE key = p_key;"
    " IF FOUND THEN"
    "  IF (done.isbn, done.warehouse_code, done.is_delta, done.amount) IS DISTINCT FROM"
    "   (p_isbn, p_warehouse, p_is_delta, p_amount) THEN"
    "   RAISE EXCEPTION 'the key was used for another adjustment' USING ERRCODE = 'unique_violation'; END IF;"
    "  RETURN QUERY SELECT false, done.previous, done.quantity, done.version; RETURN;"
    " END IF;"
    " next_quantity := CASE WHEN p_is_delta THEN old.quantity + p_amount ELSE p_amount END;"
    " next_version := greatest(old.version + 1, p_now_us * 1000);"
    " known := CASE WHEN old.version > 0 THEN old.quantity END;"
    " UPDATE stock SET quantity = next_quantity, version = next_version, changed_at = now()"
    " WHERE isbn = p_isbn AND warehouse_code = p_warehouse;"
    " INSERT INTO adjustments (key, isbn, warehouse_code, is_delta, amount, source, reason, previous, quantity, "
    "version)"
    " VALUES (p_key, p_isbn, p_warehouse, p_is_delta, p_amount, p_source, p_reason, known, next_quantity, "
    "next_version);"
    " INSERT INTO outbox (isbn, warehouse_code, title, previous, quantity, total, version, source, at_us,"
    " correlation_id, operation, table_name, written_at, replay_name) SELECT p_isbn, p_warehouse, old.title, known,"
    " next_quantity, (SELECT sum(s.quantity) FROM stock s WHERE s.isbn = p_isbn), next_version, p_source, p_now_us,"
    " p_correlation, '', '', '', '';"
    " RETURN QUERY SELECT true, known, next_quantity, next_version; END $$;";

const pg_migration_t store_migrations[] = {{1, "stock, inbox, outbox, adjustments", migration_1}};
const size_t store_migration_count = ARRAY_LEN(store_migrations);

/* -- applying ------------------------------------------------------------------------------------- */
typedef struct {
    store_applied_fn fn;
    void *ctx;
} apply_t;

static void apply_done(void *ctx, const PGresult *result, const error_t *err)
{
    apply_t *apply = ctx;
    static const char *const outcomes[] = {[STORE_APPLIED] = "applied",
                                           [STORE_UNCHANGED] = "unchanged",
                                           [STORE_OLDER] = "older",
                                           [STORE_REPEATED] = "repeated"};
    store_outcome_t outcome = STORE_APPLIED;
    for (size_t i = 0; !err && i < ARRAY_LEN(outcomes); i++)
        if (bytes_eq_cstr(pg_text(result, 0, 0), outcomes[i]))
            outcome = (store_outcome_t)i;
    apply->fn(apply->ctx, outcome, err);
    free(apply);
}

void store_apply(pg_t *pg, const change_t *change, const store_message_t *message, store_applied_fn fn, void *ctx)
{
    apply_t *apply = malloc(sizeof *apply);
    if (!apply)
        abort();
    *apply = (apply_t){fn, ctx};
    const pg_param_t params[] = {
        PG_I64(message->record),
        PG_I64(message->ingest_us),
        pg_param_text(message->replay_name),
        PG_TEXT(change->isbn),
        PG_TEXT(change->warehouse),
        PG_I64(change->quantity),
        PG_I64(change->version),
        pg_param_text_or_null(change->title),
        PG_I64(change->at_us),
        pg_param_text(message->correlation_id),
        pg_param_text(change->operation),
        pg_param_text(change->table),
        pg_param_text(change->written_at),
    };
    pg_query(pg, "SELECT apply_change($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)", params,
             ARRAY_LEN(params), apply_done, apply);
}

/* -- adjusting ------------------------------------------------------------------------------------ */
typedef struct {
    store_adjusted_fn fn;
    void *ctx;
} adjust_t;

static void adjust_done(void *ctx, const PGresult *result, const error_t *err)
{
    adjust_t *adjust = ctx;
    error_t said = err ? *err : (error_t){0};
    if (err && strcmp(err->aws, "23514") == 0)
        (void)error_set(&said, STATUS_FAILED_PRECONDITION, NULL,
                        "the stock would fall below zero or rise above %d; nothing was changed", CONTRACT_QUANTITY_MAX);
    else if (err && strcmp(err->aws, "23505") == 0)
        (void)error_set(&said, STATUS_ALREADY_EXISTS, NULL,
                        "request.idempotency_key: was used for another adjustment; use a new one");
    store_adjusted_t answer = {0};
    if (!err)
        answer = (store_adjusted_t){.applied = pg_bool(result, 0, 0),
                                    .previous = pg_i64(result, 0, 1, -1),
                                    .quantity = pg_i64(result, 0, 2, 0),
                                    .version = pg_i64(result, 0, 3, 0)};
    adjust->fn(adjust->ctx, &answer, err ? &said : NULL);
    free(adjust);
}

void store_adjust(pg_t *pg, const store_adjustment_t *a, store_adjusted_fn fn, void *ctx)
{
    adjust_t *adjust = malloc(sizeof *adjust);
    if (!adjust)
        abort();
    *adjust = (adjust_t){fn, ctx};
    const pg_param_t params[] = {
        PG_STR(a->key),
        PG_STR(a->isbn),
        PG_STR(a->warehouse),
        PG_TEXT(a->is_delta ? "true" : "false"),
        PG_I64(a->amount),
        PG_STR(a->source),
        pg_param_text_or_null(a->reason),
        PG_I64(a->now_us),
        pg_param_text(a->correlation_id),
    };
    pg_query(pg, "SELECT * FROM adjust_stock($1, $2, $3, $4, $5, $6, $7, $8, $9)", params, ARRAY_LEN(params),
             adjust_done, adjust);
}
