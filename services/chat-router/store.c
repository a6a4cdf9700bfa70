/* store.c: one statement for each write, so that each is one transaction. */
#include "services/chat-router/store.h"

#include <stdlib.h>

#include "kit/inbox.h"
#include "kit/log.h"
#include "proto/attrs.h"

const pg_migration_t store_migrations[] = {
    {.version = 1,
     .name = "sessions, messages, ledger, inbox",
     .sql = "CREATE TABLE sessions (session_id text PRIMARY KEY, user_id text, language text,"
            " created_at timestamptz NOT NULL DEFAULT now(), last_at timestamptz NOT NULL DEFAULT now(),"
            " message_count bigint NOT NULL DEFAULT 0);"
            "CREATE INDEX sessions_last_at ON sessions (last_at);"
            "CREATE TABLE messages (session_id text NOT NULL, message_id text NOT NULL, user_id text,"
            " asked_at timestamptz NOT NULL DEFAULT now(), text text NOT NULL, answer text NOT NULL,"
            " language text NOT NULL, intent text NOT NULL, title text, volume integer, isbn text,"
            " cached boolean NOT NULL, degraded text, model_id text, input_tokens bigint, output_tokens bigint,"
            " cost_usd_micros bigint, latency_ms bigint NOT NULL, PRIMARY KEY (session_id, message_id));"
            "CREATE INDEX messages_newest ON messages (session_id, asked_at DESC);"
            "CREATE INDEX messages_asked_at ON messages (asked_at);"
            "CREATE TABLE ledger (inference_id text PRIMARY KEY, session_id text, model_id text NOT NULL,"
            " status text NOT NULL, purpose text, input_tokens bigint NOT NULL, output_tokens bigint NOT NULL,"
            " latency_ms bigint NOT NULL, first_token_ms bigint, cost_usd_micros bigint NOT NULL,"
            " fallback_from text, error text, ended_at timestamptz NOT NULL,"
            " booked_at timestamptz NOT NULL DEFAULT now());"
            "CREATE INDEX ledger_session ON ledger (session_id);"
            "CREATE INDEX ledger_ended_at ON ledger (ended_at);"
            "CREATE TABLE inbox (record bigint NOT NULL, replay_name text NOT NULL,"
            " received_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (record, replay_name));"
            "CREATE INDEX inbox_received_at ON inbox (received_at);"},
    /* A broker that began anew counts its records from one again: with the ingest time they are told apart. */
    {.version = 2, .name = "inbox as kit has it", .sql = "DROP TABLE inbox;" INBOX_TABLE_SQL},
};
const size_t store_migration_count = ARRAY_LEN(store_migrations);

static void on_written(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    metric_t *failures = ctx;
    if (!err)
        return;
    log_warn("a write behind an answer failed", LOG_S("error", err->message));
    if (failures)
        metric_add(failures, 1);
}

void store_write_message(pg_t *pg, const store_message_t *m, metric_t *failures)
{
    const pg_param_t params[] = {
        PG_STR(m->session_id),
        PG_STR(m->message_id),
        pg_param_text_or_null(m->user_id),
        PG_STR(m->text),
        PG_STR(m->answer),
        PG_STR(m->language),
        PG_STR(m->intent),
        pg_param_text_or_null(m->title),
        m->has_volume ? PG_I64(m->volume) : PG_NULL,
        pg_param_text_or_null(m->isbn),
        PG_TEXT(m->cached ? "t" : "f"),
        pg_param_text_or_null(m->degraded),
        pg_param_text_or_null(m->model_id),
        PG_I64(m->input_tokens),
        PG_I64(m->output_tokens),
        PG_I64(m->cost_usd_micros),
        PG_I64(m->latency_ms),
    };
    /* A message that is there already counts no second time. */
    pg_query(
        pg,
        "WITH fresh AS (INSERT INTO messages (session_id, message_id, user_id, text, answer, language, intent,"
        " title, volume, isbn, cached, degraded, model_id, input_tokens, output_tokens, cost_usd_micros, latency_ms)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9::integer, $10, $11::boolean, $12, $13, $14::bigint,"
        " $15::bigint, $16::bigint, $17::bigint) ON CONFLICT DO NOTHING RETURNING session_id)"
        " INSERT INTO sessions (session_id, user_id, language, message_count)"
        " SELECT session_id, $3, $6, 1 FROM fresh ON CONFLICT (session_id) DO UPDATE SET last_at = now(),"
        " message_count = sessions.message_count + 1, language = excluded.language,"
        " user_id = coalesce(sessions.user_id, excluded.user_id)",
        params, ARRAY_LEN(params), on_written, failures);
}

/* -- history ------------------------------------------------------------------------------------------ */
typedef struct {
    store_recall_fn fn;
    void *ctx;
} recall_t;

static void on_recalled(void *ctx, const PGresult *result, const error_t *err)
{
    recall_t *recall = ctx;
    if (err || PQntuples(result) == 0) {
        recall->fn(recall->ctx, !err, NULL);
    } else {
        question_recalled_t book = {.title = pg_text(result, 0, 0),
                                    .has_volume = !PQgetisnull(result, 0, 1),
                                    .volume = pg_i64(result, 0, 1, 0),
                                    .isbn = PQgetisnull(result, 0, 2) ? BYTES_NONE : pg_text(result, 0, 2)};
        recall->fn(recall->ctx, true, &book);
    }
    free(recall);
}

void store_recall(pg_t *pg, bytes_t session_id, bytes_t user_id, store_recall_fn fn, void *ctx)
{
    recall_t *recall = malloc(sizeof(*recall));
    if (!recall) {
        fn(ctx, false, NULL);
        return;
    }
    *recall = (recall_t){fn, ctx};
    const pg_param_t params[] = {PG_STR(session_id), pg_param_text_or_null(user_id)};
    /* Another customer's words are not this one's history, whatever session they name. */
    pg_query(pg,
             "SELECT title, volume, isbn FROM (SELECT title, volume, isbn, asked_at FROM messages"
             " WHERE session_id = $1 AND (user_id IS NULL OR user_id = $2) ORDER BY asked_at DESC LIMIT 20) newest"
             " WHERE title IS NOT NULL ORDER BY asked_at DESC LIMIT 1",
             params, ARRAY_LEN(params), on_recalled, recall);
}

/* -- the ledger --------------------------------------------------------------------------------------- */
typedef struct {
    store_done_fn fn;
    void *ctx;
} booking_t;

static void on_booked(void *ctx, const PGresult *result, const error_t *err)
{
    (void)result;
    booking_t *booking = ctx;
    booking->fn(booking->ctx, err);
    free(booking);
}

void store_book(pg_t *pg, const bus_delivery_t *delivery, const inference_completed_t *i, store_done_fn fn, void *ctx)
{
    booking_t *booking = malloc(sizeof(*booking));
    if (!booking) {
        error_t err;
        error_set(&err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        fn(ctx, &err);
        return;
    }
    *booking = (booking_t){fn, ctx};
    bytes_t replay_name;
    if (!attrs_str(delivery->attrs, ATTR_REPLAY_NAME, &replay_name))
        replay_name = BYTES_NONE;
    const pg_param_t params[] = {
        PG_I64((int64_t)delivery->record),
        pg_param_text(replay_name),
        PG_STR(i->inference_id),
        i->has_session_id ? PG_STR(i->session_id) : PG_NULL,
        PG_STR(i->model_id),
        PG_STR(i->status),
        i->has_purpose ? PG_STR(i->purpose) : PG_NULL,
        PG_I64(i->metrics.input_tokens),
        PG_I64(i->metrics.output_tokens),
        PG_I64(i->metrics.latency_ms),
        i->metrics.has_first_token_ms ? PG_I64(i->metrics.first_token_ms) : PG_NULL,
        PG_I64(i->metrics.cost_usd_micros),
        i->has_fallback_from ? PG_STR(i->fallback_from) : PG_NULL,
        i->has_error ? PG_STR(i->error) : PG_NULL,
        PG_STR(i->timestamp),
        PG_I64(delivery->ingest_us),
    };
    pg_query(pg,
             "WITH fresh AS (INSERT INTO inbox (consumer, record, ingest_us, replay_name) VALUES ('ledger', "
             "$1::bigint, $16::bigint, $2)"
             " ON CONFLICT DO NOTHING"
             " RETURNING record) INSERT INTO ledger (inference_id, session_id, model_id, status, purpose, input_tokens,"
             " output_tokens, latency_ms, first_token_ms, cost_usd_micros, fallback_from, error, ended_at)"
             " SELECT $3, $4, $5, $6, $7, $8::bigint, $9::bigint, $10::bigint, $11::bigint, $12::bigint, $13, $14,"
             " $15::timestamptz FROM fresh ON CONFLICT (inference_id) DO NOTHING",
             params, ARRAY_LEN(params), on_booked, booking);
}

void store_prune(pg_t *pg, int64_t older_than_ms, metric_t *failures)
{
    const pg_param_t params[] = {PG_I64(older_than_ms)};
    pg_query(pg,
             "WITH age AS (SELECT now() - $1::bigint * interval '1 millisecond' AS limit),"
             " m AS (DELETE FROM messages WHERE asked_at < (SELECT age.limit FROM age)),"
             " s AS (DELETE FROM sessions WHERE last_at < (SELECT age.limit FROM age)),"
             " l AS (DELETE FROM ledger WHERE ended_at < (SELECT age.limit FROM age))"
             " DELETE FROM inbox WHERE noted_at < (SELECT age.limit FROM age)",
             params, ARRAY_LEN(params), on_written, failures);
}
