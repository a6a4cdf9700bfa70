/* follow.c: one page at a time: the bound, books behind the last one seen, works behind the last one seen. */
#include "services/embed-indexer/follow.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/pg_array.h"
#include "services/embed-indexer/embedder.h"
#include "services/embed-indexer/work_text.h"

#define RETRY_MS 1000
#define KEY_BYTES 24
#define WORK_FIRST "-9223372036854775808" /* no work has less */

/* How far one table was read: at first all rows in the order of keys, then those changed since that began. */
typedef struct {
    char xid[STORE_XID_BYTES], key[KEY_BYTES];
    char bound[STORE_XID_BYTES]; /* of this round; "" while all rows are read */
    char since[STORE_XID_BYTES]; /* the bound when reading all rows began */
    bool is_whole;               /* all rows were read */
    const char *first;           /* less than every key */
} cursor_t;

struct follow {
    app_t *app;
    loop_timer_t *timer;
    cursor_t books, works;
    char bound[STORE_XID_BYTES];
    bool is_busy, is_woken, is_loaded, is_restarted, is_begun;
};

static void step(follow_t *self);

static void on_timer(void *ctx)
{
    step(ctx);
}

follow_t *follow_new(app_t *app, error_t *err)
{
    follow_t *self = calloc(1, sizeof *self);
    if (self)
        self->timer = loop_timer_new(service_loop(app->service), on_timer, self);
    if (!self || !self->timer) {
        free(self);
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    self->app = app;
    self->books.first = "";
    self->works.first = WORK_FIRST;
    (void)snprintf(self->works.key, KEY_BYTES, "%s", WORK_FIRST);
    loop_timer_in(self->timer, 0);
    return self;
}

void follow_free(follow_t **follow)
{
    follow_t *self = *follow;
    if (!self)
        return;
    loop_timer_end(&self->timer);
    free(self);
    *follow = NULL;
}

void follow_wake(follow_t *follow)
{
    if (follow->is_busy)
        follow->is_woken = true;
    else
        loop_timer_in(follow->timer, FOLLOW_SOON_MS);
}

void follow_again(follow_t *follow)
{
    follow->is_restarted = true;
    follow_wake(follow);
}

bool follow_is_loaded(const follow_t *follow)
{
    return follow->is_loaded;
}

/* -- rows ------------------------------------------------------------------------------------------- */
static void book_put(app_t *app, const PGresult *rows, int row)
{
    error_t err = {0};
    shelf_book_t book = {.work_id = pg_i64(rows, row, BOOK_WORK, 0),
                         .isbn = pg_text(rows, row, BOOK_ISBN),
                         .volume = pg_i64(rows, row, BOOK_VOLUME, -1),
                         .price_jpy = pg_i64(rows, row, BOOK_PRICE, -1),
                         .publisher = pg_text(rows, row, BOOK_PUBLISHER),
                         .is_discontinued = pg_bool(rows, row, BOOK_DISCONTINUED),
                         .is_sold_out = pg_bool(rows, row, BOOK_SOLD_OUT)};
    int64_t changed_us = pg_i64(rows, row, BOOK_CHANGED_US, 0);
    if (changed_us > app->last_indexed_us)
        app->last_indexed_us = changed_us;
    if (!shelf_put_book(app->shelf, &book, &err))
        log_error("a book is not on the shelf", LOG_B("isbn", book.isbn), LOG_S("error", err.message));
}

static void vector_put(app_t *app, const PGresult *rows, int row)
{
    buf_t vector = {0};
    error_t err = {0};
    if (shelf_dimension(app->shelf) == 0)
        return;
    if ((!PQgetisnull(rows, row, WORK_VECTOR) && !pg_bytea(rows, row, WORK_VECTOR, &vector)) ||
        !shelf_put_vector(app->shelf, pg_i64(rows, row, WORK_ID, 0), buf_bytes(&vector), &err))
        log_error("a vector is not on the shelf", LOG_S("error", err.message));
    buf_free(&vector);
}

/* Texts that another template made are hashed anew: two array literals. */
typedef struct {
    buf_t ids, hashes;
} rehash_t;

static void rehash_add(rehash_t *rehash, const PGresult *rows, int row, const char *hash)
{
    pg_array_i64(&rehash->ids, pg_i64(rows, row, WORK_ID, 0));
    pg_array_text(&rehash->hashes, bytes_cstr(hash));
}

static uint64_t mark_of(const char *hash)
{
    uint64_t mark = 0;
    (void)sscanf(hash, "%16" SCNx64, &mark);
    return mark;
}

static void work_put(app_t *app, const PGresult *rows, int row, rehash_t *rehash)
{
    buf_t body = {0};
    book_t book;
    error_t err = {0};
    char hash[SIGV4_HEX_CHARS + 1];
    bool ok = pg_bytea(rows, row, WORK_BODY, &body) && book_unpack(buf_bytes(&body), &app->arena, &book, &err) &&
              shelf_put_work(app->shelf, pg_i64(rows, row, WORK_ID, 0), mark_of(PQgetvalue(rows, row, WORK_HASH)),
                             &book, &err);
    if (ok) {
        work_text_hash(&book, hash);
        if (strcmp(hash, PQgetvalue(rows, row, WORK_HASH)) != 0)
            rehash_add(rehash, rows, row, hash);
        vector_put(app, rows, row);
    } else {
        log_error("a work is not on the shelf", LOG_S("error", err.message));
    }
    arena_reset(&app->arena);
    buf_free(&body);
}

static void on_rehashed(void *ctx UNUSED, const PGresult *result UNUSED, const error_t *err)
{
    if (err)
        log_warn("texts of an older template were not marked for new vectors", LOG_S("error", err->message));
}

static void works_put(app_t *app, const PGresult *rows)
{
    rehash_t rehash = {0};
    for (int row = 0; row < PQntuples(rows); row++)
        work_put(app, rows, row, &rehash);
    if (rehash.ids.len)
        store_rehash(service_pg(app->service), pg_array_end(&rehash.ids), pg_array_end(&rehash.hashes), on_rehashed,
                     app);
    buf_free(&rehash.ids);
    buf_free(&rehash.hashes);
}

/* -- pages ------------------------------------------------------------------------------------------ */
/* Remembers the last row; true when the table is read up to the bound. */
static bool cursor_move(cursor_t *cursor, const PGresult *rows, int key_column, int xid_column, const char *bound)
{
    int count = PQntuples(rows);
    if (count == STORE_PAGE_ROWS) {
        (void)snprintf(cursor->key, KEY_BYTES, "%s", PQgetvalue(rows, count - 1, key_column));
        (void)snprintf(cursor->xid, STORE_XID_BYTES, "%s", PQgetvalue(rows, count - 1, xid_column));
        return false;
    }
    (void)snprintf(cursor->key, KEY_BYTES, "%s", cursor->first);
    (void)snprintf(cursor->xid, STORE_XID_BYTES, "%s", cursor->is_whole ? bound : cursor->since);
    cursor->is_whole = true;
    return true;
}

static store_after_t cursor_after(const cursor_t *cursor)
{
    return (store_after_t){cursor->xid, cursor->key, cursor->bound};
}

static void pause_for(follow_t *self, int64_t delay_ms)
{
    self->is_busy = false;
    loop_timer_in(self->timer, self->is_woken ? FOLLOW_SOON_MS : delay_ms);
    self->is_woken = false;
}

static bool failed(follow_t *self, const error_t *err)
{
    if (err) {
        log_warn("the tables could not be read; tried again", LOG_S("error", err->message));
        pause_for(self, RETRY_MS);
    }
    return err != NULL;
}

static void works_ask(follow_t *self);
static void books_ask(follow_t *self);

static void on_works(void *ctx, const PGresult *rows, const error_t *err)
{
    follow_t *self = ctx;
    if (failed(self, err))
        return;
    if (self->is_restarted) { /* this page was of the space before */
        pause_for(self, 0);
        return;
    }
    works_put(self->app, rows);
    if (!cursor_move(&self->works, rows, WORK_ID, WORK_XID, self->bound)) {
        works_ask(self);
        return;
    }
    if (!self->is_loaded)
        log_info("the index is loaded", LOG_I("count", shelf_books(self->app->shelf)));
    self->is_loaded = true;
    pause_for(self, FOLLOW_EVERY_MS);
}

static void works_ask(follow_t *self)
{
    store_after_t after = cursor_after(&self->works);
    store_works(service_pg(self->app->service), &after, &self->app->space, on_works, self);
}

static void on_books(void *ctx, const PGresult *rows, const error_t *err)
{
    follow_t *self = ctx;
    if (failed(self, err))
        return;
    for (int row = 0; row < PQntuples(rows); row++)
        book_put(self->app, rows, row);
    if (cursor_move(&self->books, rows, BOOK_ISBN, BOOK_XID, self->bound))
        works_ask(self);
    else
        books_ask(self);
}

static void books_ask(follow_t *self)
{
    store_after_t after = cursor_after(&self->books);
    store_books(service_pg(self->app->service), &after, on_books, self);
}

/* What changes while all rows are read lies behind the bound taken before the first page. */
static void bound_set(const follow_t *self, cursor_t *cursor)
{
    if (cursor->is_whole)
        (void)snprintf(cursor->bound, STORE_XID_BYTES, "%s", self->bound);
    else if (!*cursor->since)
        (void)snprintf(cursor->since, STORE_XID_BYTES, "%s", self->bound);
}

/* The kind of vectors changed: all works are read anew, with those of the new kind. */
static void works_restart(follow_t *self)
{
    self->is_restarted = false;
    self->works = (cursor_t){.first = WORK_FIRST, .key = WORK_FIRST};
}

static void on_bound(void *ctx, const PGresult *row, const error_t *err)
{
    follow_t *self = ctx;
    if (failed(self, err))
        return;
    (void)snprintf(self->bound, STORE_XID_BYTES, "%s", PQgetvalue(row, 0, BOUND_XID));
    if (!PQgetisnull(row, 0, BOUND_MODEL) &&
        embedder_space_use(self->app->embedder, PQgetvalue(row, 0, BOUND_MODEL), pg_i64(row, 0, BOUND_DIMENSION, 0)))
        works_restart(self);
    bound_set(self, &self->books);
    bound_set(self, &self->works);
    books_ask(self);
}

static void on_begun(void *ctx, const PGresult *result UNUSED, const error_t *err)
{
    follow_t *self = ctx;
    if (failed(self, err))
        return;
    self->is_begun = true;
    store_bound(service_pg(self->app->service), self->app->asks, on_bound, self);
}

static void step(follow_t *self)
{
    if (self->is_busy)
        return;
    self->is_busy = true;
    if (self->is_restarted)
        works_restart(self);
    if (self->is_begun)
        store_bound(service_pg(self->app->service), self->app->asks, on_bound, self);
    else
        store_space_begin(service_pg(self->app->service), self->app->asks, on_begun, self);
}
