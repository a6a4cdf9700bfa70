/* store_page.c: a page's transaction and its stock's: many rows a statement, each a place in arrays. */
#include <inttypes.h>

#include "kit/clock.h"
#include "kit/pg_array.h"
#include "kit/text.h"
#include "proto/timefmt.h"
#include "services/sync-reconciler/store.h"

/* -- books ------------------------------------------------------------------------------------------ */
static void hash_part(buf_t *out, bytes_t text)
{
    buf_append_bytes(out, text);
    buf_append_byte(out, 0);
}

/* Over what a reader or a search would notice; not the price, nor when it was written. */
static void text_hash(const book_t *b, char out[SIGV4_HEX_CHARS + 1])
{
    buf_t all = {0};
    hash_part(&all, b->title);
    hash_part(&all, b->has_title_kana ? b->title_kana : BYTES_NONE);
    hash_part(&all, b->has_title_en ? b->title_en : BYTES_NONE);
    hash_part(&all, b->has_publisher ? b->publisher : BYTES_NONE);
    hash_part(&all, b->has_synopsis ? b->synopsis : BYTES_NONE);
    hash_part(&all, b->has_volume_label ? b->volume_label : BYTES_NONE);
    buf_printf(&all, "%" PRId64, b->has_volume ? b->volume : -1);
    for (uint32_t i = 0; b->has_creators && i < b->creators.count; i++)
        hash_part(&all, b->creators.items[i]);
    for (uint32_t i = 0; b->has_genres && i < b->genres.count; i++)
        hash_part(&all, b->genres.items[i]);
    sigv4_sha256_hex(buf_bytes(&all), out);
    buf_free(&all);
}

bool store_books_add(store_books_t *books, const book_t *book, error_t *err)
{
    store_entry_t *entry = &books->entries[books->count];
    size_t at = books->bodies.len;
    if (!book_pack(&books->bodies, book, err)) {
        books->bodies.len = at;
        return false;
    }
    *entry = (store_entry_t){.book = book, .at = at, .len = books->bodies.len - at};
    text_hash(book, entry->text_hash);
    books->count++;
    return true;
}

void store_books_clear(store_books_t *books)
{
    books->count = 0;
    buf_clear(&books->bodies);
}

typedef enum {
    C_ISBN,
    C_TITLE_KEY,
    C_KANA_KEY,
    C_EN_KEY,
    C_VOLUME,
    C_PRICE,
    C_STATUS,
    C_VERSION,
    C_HASH,
    C_AT,
    C_LEN,
    BOOK_COLUMNS,
} book_column_t;

static void key_add(buf_t *column, bool has, bytes_t text)
{
    buf_t key = {0};
    text_key(&key, has ? text : BYTES_NONE);
    pg_array_text_or_null(column, buf_bytes(&key));
    buf_free(&key);
}

static void book_add(buf_t *c, const store_entry_t *entry)
{
    const book_t *book = entry->book;
    buf_t key = {0};
    text_key(&key, book->title);
    pg_array_text(&c[C_ISBN], book->isbn);
    pg_array_text(&c[C_TITLE_KEY], buf_bytes(&key));
    key_add(&c[C_KANA_KEY], book->has_title_kana, book->title_kana);
    key_add(&c[C_EN_KEY], book->has_title_en, book->title_en);
    pg_array_i64_or_null(&c[C_VOLUME], book->has_volume, book->volume);
    pg_array_i64_or_null(&c[C_PRICE], book->has_price_jpy, book->price_jpy);
    pg_array_text(&c[C_STATUS], book->has_status ? book->status : BYTES_LIT("active"));
    pg_array_i64(&c[C_VERSION], book->has_version ? book->version : 0);
    pg_array_text(&c[C_HASH], bytes_cstr(entry->text_hash));
    pg_array_i64(&c[C_AT], (int64_t)entry->at + 1);
    pg_array_i64(&c[C_LEN], (int64_t)entry->len);
    buf_free(&key);
}

void store_books(pg_tx_t *tx, store_books_t *books, const char *run_id, pg_done_fn fn, void *ctx)
{
    static const char sql[] =
        "WITH given AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::int[], $6::bigint[],"
        " $7::text[], $8::bigint[], $9::text[], $10::int[], $11::int[]) WITH ORDINALITY AS g(isbn, title_key, kana_key,"
        " en_key, volume, price_jpy, status, version, text_hash, at, len, n)),"
        /* Should a page name a book twice, the newer one counts. */
        " fresh AS (SELECT DISTINCT ON (isbn) * FROM given ORDER BY isbn, version DESC, n DESC),"
        " old AS (SELECT isbn, text_hash, price_jpy, status FROM book WHERE isbn = ANY($1::text[])),"
        " kept AS (INSERT INTO book AS b (isbn, title_key, kana_key, en_key, volume, price_jpy, status, version,"
        " text_hash, body, run_id) SELECT isbn, title_key, kana_key, en_key, volume, price_jpy, status, version,"
        " text_hash, substring($12::bytea FROM at FOR len), $13 FROM fresh ORDER BY isbn"
        " ON CONFLICT (isbn) DO UPDATE SET title_key = excluded.title_key, kana_key = excluded.kana_key, en_key ="
        " excluded.en_key, volume = excluded.volume, price_jpy = excluded.price_jpy, status = excluded.status,"
        " version = excluded.version, text_hash = excluded.text_hash, body = excluded.body, run_id = excluded.run_id,"
        " changed_at = now() WHERE b.version <= excluded.version AND b.body <> excluded.body RETURNING isbn),"
        " counted AS (UPDATE run SET changed = changed + (SELECT count(*) FROM kept) WHERE run_id = $13),"
        " kinds AS (SELECT f.n, CASE WHEN old.isbn IS NULL THEN 'new_release'"
        " WHEN f.status = 'discontinued' AND old.status <> f.status THEN 'discontinued'"
        " WHEN old.text_hash <> f.text_hash OR (old.status = 'discontinued' AND f.status <> old.status) THEN"
        " 'new_release' WHEN old.price_jpy IS DISTINCT FROM f.price_jpy THEN 'price_change' END AS kind"
        " FROM kept JOIN fresh f USING (isbn) LEFT JOIN old USING (isbn))"
        " SELECT n, kind FROM kinds WHERE kind IS NOT NULL ORDER BY n";
    buf_t columns[BOOK_COLUMNS] = {{0}};
    pg_param_t params[BOOK_COLUMNS + 2];
    for (uint32_t i = 0; i < books->count; i++)
        book_add(columns, &books->entries[i]);
    for (size_t i = 0; i < BOOK_COLUMNS; i++)
        params[i] = PG_STR(pg_array_end(&columns[i]));
    params[BOOK_COLUMNS] = PG_BYTES(buf_bytes(&books->bodies));
    params[BOOK_COLUMNS + 1] = PG_TEXT(run_id);
    pg_tx_query(tx, sql, params, ARRAY_LEN(params), fn, ctx);
    for (size_t i = 0; i < BOOK_COLUMNS; i++)
        buf_free(&columns[i]);
}

/* -- events ----------------------------------------------------------------------------------------- */
static void detail_pack(buf_t *out, const store_books_t *books, const store_entry_t *entry, bytes_t kind, bytes_t now)
{
    const book_t *book = entry->book;
    catalog_update_t update = {.product_id = book->isbn, .title = book->title, .update_type = kind, .timestamp = now};
    SCHEMA_SET(&update, isbn, book->isbn);
    SCHEMA_SET(&update, data, bytes_from(books->bodies.data + entry->at, entry->len));
    if (book->has_version)
        SCHEMA_SET(&update, version, book->version);
    error_t err;
    if (!catalog_update_pack(out, &update, &err))
        out->failed = true; /* cannot be: every part was unpacked under the same limits */
}

typedef enum { T_TYPE, T_DEDUP, T_AT, T_LEN, TOLD_COLUMNS } told_column_t;

static void told_add(buf_t *c, buf_t *details, const store_books_t *books, const store_entry_t *entry, bytes_t kind,
                     bytes_t now)
{
    const book_t *book = entry->book;
    buf_t text = {0};
    size_t at = details->len;
    detail_pack(details, books, entry, kind, now);
    buf_printf(&text, "CatalogUpdate.%.*s", BYTES_FMT(kind));
    pg_array_text(&c[T_TYPE], buf_bytes(&text));
    buf_clear(&text);
    buf_printf(&text, "%.*s/%.*s/%" PRId64 "/%.16s/", BYTES_FMT(book->isbn), BYTES_FMT(kind),
               book->has_version ? book->version : 0, entry->text_hash);
    if (book->has_price_jpy)
        buf_printf(&text, "%" PRId64, book->price_jpy);
    pg_array_text(&c[T_DEDUP], buf_bytes(&text));
    pg_array_i64(&c[T_AT], (int64_t)at + 1);
    pg_array_i64(&c[T_LEN], (int64_t)(details->len - at));
    buf_free(&text);
}

void store_told(pg_tx_t *tx, const store_books_t *books, const PGresult *kinds, pg_done_fn fn, void *ctx)
{
    buf_t columns[TOLD_COLUMNS] = {{0}}, details = {0};
    pg_param_t params[TOLD_COLUMNS + 2];
    char now[TIMEFMT_US_BYTES];
    int64_t now_us = clock_wall_us();
    timefmt_us(now_us, now);
    for (int row = 0; row < PQntuples(kinds); row++)
        told_add(columns, &details, books, &books->entries[pg_i64(kinds, row, 0, 1) - 1], pg_text(kinds, row, 1),
                 bytes_cstr(now));
    for (size_t i = 0; i < TOLD_COLUMNS; i++)
        params[i] = PG_STR(pg_array_end(&columns[i]));
    params[TOLD_COLUMNS] = PG_BYTES(buf_bytes(&details));
    params[TOLD_COLUMNS + 1] = PG_I64(now_us);
    pg_tx_query(tx,
                "INSERT INTO outbox (detail_type, detail, dedup, at_us) SELECT type, substring($5::bytea FROM at FOR"
                " len), dedup, $6::bigint FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) WITH ORDINALITY"
                " AS t(type, dedup, at, len, n) ORDER BY n",
                params, ARRAY_LEN(params), fn, ctx);
    for (size_t i = 0; i < TOLD_COLUMNS; i++)
        buf_free(&columns[i]);
    buf_free(&details);
}

/* -- what was held back, and how far it went ---------------------------------------------------------- */
void store_quarantine(pg_tx_t *tx, bytes_t key, bytes_t reason, bytes_t raw, const char *run_id, pg_done_fn fn,
                      void *ctx)
{
    const pg_param_t params[] = {pg_param_text(key), pg_param_text(reason), pg_param_text_or_null(raw),
                                 PG_TEXT(run_id)};
    pg_tx_query(tx,
                "INSERT INTO quarantine (key, reason, raw, run_id) VALUES ($1, $2, $3, $4) ON CONFLICT (key, run_id)"
                " DO UPDATE SET reason = excluded.reason, raw = excluded.raw, at = now()",
                params, ARRAY_LEN(params), fn, ctx);
}

void store_checkpoint(pg_tx_t *tx, const store_checkpoint_t *c, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {
        PG_TEXT(c->run_id),       PG_TEXT(c->instance),
        pg_param_text(c->cursor), c->total >= 0 ? PG_I64(c->total) : PG_NULL,
        PG_I64(c->done),          PG_I64(c->quarantined),
    };
    pg_tx_query(tx,
                "UPDATE run SET cursor = $3, total = coalesce($4::bigint, total), done = done + $5, quarantined ="
                " quarantined + $6, error = NULL, leased_until = now() + interval '" STORE_LEASE_S " seconds'"
                " WHERE run_id = $1 AND owner = $2 AND state = 'running' RETURNING done, quarantined",
                params, ARRAY_LEN(params), fn, ctx);
}

/* -- stock ------------------------------------------------------------------------------------------ */
typedef enum { S_ISBN, S_WAREHOUSE, S_QUANTITY, S_STATUS, S_VERSION, STOCK_COLUMNS } stock_column_t;

void store_stock(pg_tx_t *tx, const store_stock_t *lines, size_t count, pg_done_fn fn, void *ctx)
{
    buf_t columns[STOCK_COLUMNS] = {{0}};
    pg_param_t params[STOCK_COLUMNS];
    for (size_t i = 0; i < count; i++) {
        pg_array_text(&columns[S_ISBN], lines[i].isbn);
        pg_array_text(&columns[S_WAREHOUSE], lines[i].warehouse_code);
        pg_array_i64(&columns[S_QUANTITY], lines[i].quantity);
        pg_array_text(&columns[S_STATUS], lines[i].status);
        pg_array_i64(&columns[S_VERSION], lines[i].version);
    }
    for (size_t i = 0; i < STOCK_COLUMNS; i++)
        params[i] = PG_STR(pg_array_end(&columns[i]));
    pg_tx_query(tx,
                "INSERT INTO stock AS s (isbn, warehouse_code, quantity, status, version) SELECT DISTINCT ON (isbn,"
                " warehouse_code) isbn, warehouse_code, quantity, status, version FROM unnest($1::text[], $2::text[],"
                " $3::bigint[], $4::text[], $5::bigint[]) AS g(isbn, warehouse_code, quantity, status, version)"
                " ORDER BY isbn, warehouse_code, version DESC ON CONFLICT (isbn, warehouse_code) DO UPDATE SET"
                " quantity = excluded.quantity, status = excluded.status, version = excluded.version, at = now()"
                " WHERE s.version < excluded.version",
                params, ARRAY_LEN(params), fn, ctx);
    for (size_t i = 0; i < STOCK_COLUMNS; i++)
        buf_free(&columns[i]);
}

void store_due_add(pg_tx_t *tx, bytes_t request, int64_t books, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_I64(books), PG_BYTES(request)};
    pg_tx_query(tx, "INSERT INTO stock_due (books, request) VALUES ($1, $2) RETURNING id", params, ARRAY_LEN(params),
                fn, ctx);
}

void store_due_find(pg_t *pg, bool is_fresh, pg_done_fn fn, void *ctx)
{
    if (is_fresh)
        pg_query(pg, "WITH gone AS (DELETE FROM stock_due) SELECT id, books, request FROM stock_due WHERE false", NULL,
                 0, fn, ctx);
    else
        pg_query(pg, "SELECT id, books, request FROM stock_due ORDER BY id", NULL, 0, fn, ctx);
}

void store_due_done(pg_tx_t *tx, int64_t id, const char *run_id, pg_done_fn fn, void *ctx)
{
    const pg_param_t params[] = {PG_I64(id), PG_TEXT(run_id)};
    pg_tx_query(tx,
                "WITH gone AS (DELETE FROM stock_due WHERE id = $1 RETURNING books) UPDATE run SET stock_done ="
                " stock_done + gone.books FROM gone WHERE run_id = $2",
                params, ARRAY_LEN(params), fn, ctx);
}

void store_due_drop(pg_t *pg, int64_t id)
{
    const pg_param_t params[] = {PG_I64(id)};
    pg_query(pg, "DELETE FROM stock_due WHERE id = $1", params, ARRAY_LEN(params), NULL, NULL);
}
