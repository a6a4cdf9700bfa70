/* store_batch.c: many deliveries as one transaction of two statements, each row a place in arrays.
 *
 * One statement a message would cost a round trip each; the first loading of a catalogue brings hundreds of
 * thousands. All rows are taken in the order of their keys, so that two instances cannot wait for one another. */
#include <stdlib.h>

#include "kit/pg_array.h"
#include "proto/attrs.h"
#include "services/embed-indexer/store.h"
#include "services/embed-indexer/work_text.h"

typedef enum {
    C_RECORD,
    C_INGEST,
    C_REPLAY,
    C_ISBN,
    C_WORK,
    C_VOLUME,
    C_PRICE,
    C_PUBLISHER,
    C_GONE,
    C_VERSION,
    C_AT,
    C_LEN,
    C_HASH,
    C_SPEAKER,
    BOOK_COLUMNS,
} book_column_t;

typedef enum { S_RECORD, S_INGEST, S_REPLAY, S_ISBN, S_WAREHOUSE, S_QUANTITY, S_VERSION, STOCK_COLUMNS } stock_column_t;

struct store_batch {
    char *asks;
    buf_t books[BOOK_COLUMNS]; /* array literals without the closing brace */
    buf_t bodies;              /* one behind the other; C_AT and C_LEN say where */
    buf_t stock[STOCK_COLUMNS];
    size_t book_count, stock_count;
};

static const char books_sql[] =
    "WITH given AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::int[],"
    " $7::bigint[], $8::text[], $9::boolean[], $10::bigint[], $11::int[], $12::int[], $13::text[], $14::text[])"
    " WITH ORDINALITY AS g(record, ingest_us, replay_name, isbn, work_id, volume, price_jpy, publisher, gone, version,"
    " at, len, hash, speaker, n)),"
    " noted AS (INSERT INTO inbox (consumer, record, ingest_us, replay_name) SELECT 'catalog', record, ingest_us,"
    " replay_name FROM given ORDER BY record ON CONFLICT DO NOTHING RETURNING record, ingest_us, replay_name),"
    /* Of several messages of one book in the batch the newest is enough. */
    " fresh AS (SELECT DISTINCT ON (isbn) * FROM given JOIN noted USING (record, ingest_us, replay_name)"
    " ORDER BY isbn, version DESC, n DESC),"
    " kept AS (INSERT INTO document AS d (isbn, work_id, volume, price_jpy, publisher, is_discontinued, is_sold_out,"
    " version, body) SELECT isbn, work_id, volume, price_jpy, publisher, gone, coalesce((SELECT bool_and(s.quantity ="
    " 0) FROM stock s WHERE s.isbn = fresh.isbn), false), version, substring($15::bytea FROM at FOR len) FROM fresh"
    " ORDER BY isbn ON CONFLICT (isbn) DO UPDATE SET work_id = excluded.work_id, volume = excluded.volume, price_jpy ="
    " excluded.price_jpy, publisher = excluded.publisher, is_discontinued = excluded.is_discontinued, version ="
    " excluded.version, body = excluded.body, changed_xid = pg_current_xact_id(), changed_at = now()"
    " WHERE d.version <= excluded.version AND (d.body, d.is_discontinued) <> (excluded.body, excluded.is_discontinued)"
    " RETURNING isbn),"
    " said AS (INSERT INTO work AS w (work_id, text_hash, speaker, body) SELECT DISTINCT ON (work_id) work_id,"
    " decode(hash, 'hex'), speaker, substring($15::bytea FROM at FOR len) FROM fresh JOIN kept USING (isbn)"
    " ORDER BY work_id, speaker ON CONFLICT (work_id) DO UPDATE SET text_hash = excluded.text_hash, speaker ="
    " excluded.speaker, body = excluded.body, changed_xid = pg_current_xact_id() WHERE excluded.speaker < w.speaker OR"
    " (excluded.speaker = w.speaker AND excluded.text_hash <> w.text_hash) RETURNING text_hash),"
    " waiting AS (INSERT INTO pending (asks, text_hash) SELECT DISTINCT $16, said.text_hash FROM said"
    " WHERE NOT " STORE_HAS_VECTOR("said.text_hash", "$16") " ORDER BY said.text_hash ON CONFLICT DO NOTHING)"
                                                            " SELECT count(*) FROM kept";

/* Availability only: no body, no text, no vector. */
static const char stock_sql[] =
    "WITH given AS (SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::bigint[],"
    " $7::bigint[]) WITH ORDINALITY AS g(record, ingest_us, replay_name, isbn, warehouse_code, quantity, version, n)),"
    " noted AS (INSERT INTO inbox (consumer, record, ingest_us, replay_name) SELECT 'stock', record, ingest_us,"
    " replay_name FROM given ORDER BY record ON CONFLICT DO NOTHING RETURNING record, ingest_us, replay_name),"
    " fresh AS (SELECT DISTINCT ON (isbn, warehouse_code) * FROM given JOIN noted USING (record, ingest_us,"
    " replay_name) ORDER BY isbn, warehouse_code, version DESC, n DESC)"
    " INSERT INTO stock AS s (isbn, warehouse_code, quantity, version) SELECT isbn, warehouse_code, quantity, version"
    " FROM fresh ORDER BY isbn, warehouse_code ON CONFLICT (isbn, warehouse_code) DO UPDATE SET quantity ="
    " excluded.quantity, version = excluded.version WHERE s.version < excluded.version";

static const char sold_out_sql[] =
    "WITH now_out AS (SELECT s.isbn, bool_and(s.quantity = 0) AS is_out FROM stock s WHERE s.isbn = ANY($1::text[])"
    " GROUP BY s.isbn), those AS (SELECT d.isbn, n.is_out FROM document d JOIN now_out n USING (isbn) WHERE"
    " d.is_sold_out <> n.is_out ORDER BY d.isbn FOR UPDATE OF d)"
    " UPDATE document d SET is_sold_out = those.is_out, changed_xid = pg_current_xact_id() FROM those"
    " WHERE d.isbn = those.isbn";

store_batch_t *store_batch_new(const char *asks)
{
    store_batch_t *self = calloc(1, sizeof *self);
    if (!self)
        return NULL;
    self->asks = strdup(asks);
    if (!self->asks)
        store_batch_free(&self);
    return self;
}

void store_batch_free(store_batch_t **batch)
{
    store_batch_t *self = *batch;
    if (!self)
        return;
    for (size_t i = 0; i < BOOK_COLUMNS; i++)
        buf_free(&self->books[i]);
    for (size_t i = 0; i < STOCK_COLUMNS; i++)
        buf_free(&self->stock[i]);
    buf_free(&self->bodies);
    free(self->asks);
    free(self);
    *batch = NULL;
}

/* -- columns ---------------------------------------------------------------------------------------- */
static bytes_t replay_name(const bus_delivery_t *delivery)
{
    bytes_t name;
    return attrs_str(delivery->attrs, ATTR_REPLAY_NAME, &name) ? name : BYTES_LIT("");
}

void store_batch_book(store_batch_t *batch, const bus_delivery_t *delivery, const book_t *book, bytes_t body)
{
    char hash[SIGV4_HEX_CHARS + 1], speaker[WORK_TEXT_SPEAKER_BYTES];
    buf_t *c = batch->books;
    work_text_hash(book, hash);
    work_text_speaker(book, speaker);
    pg_array_i64(&c[C_RECORD], (int64_t)delivery->record);
    pg_array_i64(&c[C_INGEST], delivery->ingest_us);
    pg_array_text(&c[C_REPLAY], replay_name(delivery));
    pg_array_text(&c[C_ISBN], book->isbn);
    pg_array_i64(&c[C_WORK], work_text_id(book));
    pg_array_i64_or_null(&c[C_VOLUME], book->has_volume, book->volume);
    pg_array_i64_or_null(&c[C_PRICE], book->has_price_jpy, book->price_jpy);
    pg_array_text(&c[C_PUBLISHER], book->has_publisher ? book->publisher : BYTES_LIT(""));
    pg_array_bool(&c[C_GONE], book->has_status && bytes_eq_cstr(book->status, "discontinued"));
    pg_array_i64(&c[C_VERSION], book->has_version ? book->version : 0);
    pg_array_i64(&c[C_AT], (int64_t)batch->bodies.len + 1);
    pg_array_i64(&c[C_LEN], (int64_t)body.len);
    pg_array_text(&c[C_HASH], bytes_cstr(hash));
    pg_array_text(&c[C_SPEAKER], bytes_cstr(speaker));
    buf_append_bytes(&batch->bodies, body);
    batch->book_count++;
}

void store_batch_stock(store_batch_t *batch, const bus_delivery_t *delivery, const inventory_change_t *change)
{
    buf_t *c = batch->stock;
    pg_array_i64(&c[S_RECORD], (int64_t)delivery->record);
    pg_array_i64(&c[S_INGEST], delivery->ingest_us);
    pg_array_text(&c[S_REPLAY], replay_name(delivery));
    pg_array_text(&c[S_ISBN], change->isbn);
    pg_array_text(&c[S_WAREHOUSE], change->warehouse_code);
    pg_array_i64(&c[S_QUANTITY], change->new_quantity);
    pg_array_i64(&c[S_VERSION], change->version);
    batch->stock_count++;
}

/* -- writing ---------------------------------------------------------------------------------------- */
static void columns_close(buf_t *columns, size_t count, pg_param_t *params)
{
    for (size_t i = 0; i < count; i++)
        params[i] = PG_STR(pg_array_end(&columns[i]));
}

static void stock_write(store_batch_t *batch, pg_tx_t *tx)
{
    pg_param_t params[STOCK_COLUMNS];
    columns_close(batch->stock, STOCK_COLUMNS, params);
    pg_tx_query(tx, stock_sql, params, STOCK_COLUMNS, NULL, NULL);
    pg_tx_query(tx, sold_out_sql, &params[S_ISBN], 1, NULL, NULL);
}

static void books_write(store_batch_t *batch, pg_tx_t *tx)
{
    pg_param_t params[BOOK_COLUMNS + 2];
    columns_close(batch->books, BOOK_COLUMNS, params);
    params[BOOK_COLUMNS] = PG_BYTES(buf_bytes(&batch->bodies));
    params[BOOK_COLUMNS + 1] = PG_TEXT(batch->asks);
    pg_tx_query(tx, books_sql, params, ARRAY_LEN(params), NULL, NULL);
}

bool store_batch_write(store_batch_t *batch, pg_t *pg, pg_done_fn fn, void *ctx)
{
    bool failed = batch->bodies.failed;
    for (size_t i = 0; i < BOOK_COLUMNS; i++)
        failed = failed || batch->books[i].failed;
    for (size_t i = 0; i < STOCK_COLUMNS; i++)
        failed = failed || batch->stock[i].failed;
    pg_tx_t *tx = failed ? NULL : pg_begin(pg);
    if (!tx)
        return false;
    if (batch->book_count)
        books_write(batch, tx);
    if (batch->stock_count)
        stock_write(batch, tx);
    pg_tx_commit(tx, fn, ctx);
    return true;
}
