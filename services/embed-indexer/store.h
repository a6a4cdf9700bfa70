/* store.h: documents, works, vectors and what waits for one, in PostgreSQL.
 *
 * A row that changes bears the number of the transaction that changed it. Every instance follows the rows by those
 * numbers: below pg_snapshot_xmin all transactions have ended, so what is read up to there is complete, in whatever
 * order they committed. */
#ifndef EMBED_INDEXER_STORE_H
#define EMBED_INDEXER_STORE_H

#include "kit/inbox.h"
#include "kit/pg.h"
#include "proto/contract.h"

extern const pg_migration_t store_migrations[];
extern const size_t store_migration_count;

#define STORE_PAGE_ROWS 500
#define STORE_INBOX_DAYS 15 /* the queues keep four days, their dead-letter queues two weeks */
#define STORE_XID_BYTES 24

/* The kind of vectors that is used: what a model calls itself, and how long they are; "" and 0 before the first. Those
 * who ask alike use the same: it is one row, and whether a text has its vector is decided by that row alone. */
typedef struct {
    char model_id[257];
    int64_t dimension;
} store_space_t;

/* -- a batch of deliveries ------------------------------------------------------------------------ */
typedef struct store_batch store_batch_t;

/* `asks` names what vectors are asked for ("embed/256"): those who ask alike share the work. Copied. */
MUST_USE store_batch_t *store_batch_new(const char *asks);
void store_batch_free(store_batch_t **batch);
void store_batch_book(store_batch_t *batch, const bus_delivery_t *delivery, const book_t *book, bytes_t body);
void store_batch_stock(store_batch_t *batch, const bus_delivery_t *delivery, const inventory_change_t *change);
/* All of it in one transaction. False, without a call of `fn`, when out of memory. */
MUST_USE bool store_batch_write(store_batch_t *batch, pg_t *pg, pg_done_fn fn, void *ctx);

/* -- following ------------------------------------------------------------------------------------ */
/* One row: the bound below which all transactions have ended, as text, and the space in use (NULL before the first). */
enum { BOUND_XID, BOUND_MODEL, BOUND_DIMENSION };
void store_bound(pg_t *pg, const char *asks, pg_done_fn fn, void *ctx);

enum {
    BOOK_ISBN,
    BOOK_WORK,
    BOOK_VOLUME,
    BOOK_PRICE,
    BOOK_PUBLISHER,
    BOOK_DISCONTINUED,
    BOOK_SOLD_OUT,
    BOOK_XID,
    BOOK_CHANGED_US
};
enum { WORK_ID, WORK_HASH, WORK_BODY, WORK_VECTOR, WORK_XID };

/* A page behind (`xid`, `key`), of rows below `bound`. An empty bound: of all rows, in the order of keys. */
typedef struct {
    const char *xid, *key, *bound;
} store_after_t;
void store_books(pg_t *pg, const store_after_t *after, pg_done_fn fn, void *ctx);
void store_works(pg_t *pg, const store_after_t *after, const store_space_t *space, pg_done_fn fn, void *ctx);

/* Works whose text is hashed otherwise by this program: array literals of equal length. */
void store_rehash(pg_t *pg, bytes_t work_ids, bytes_t hashes, pg_done_fn fn, void *ctx);

/* -- vectors -------------------------------------------------------------------------------------- */
/* SQL: the text has a vector of the kind in use. */
#define STORE_HAS_VECTOR(hash, asks)                                                                                   \
    "EXISTS (SELECT FROM embedding e JOIN space s USING (model_id, dimension) WHERE e.text_hash = " hash               \
    " AND s.asks = " asks ")"

/* Who asks so for the first time begins with the kind of the newest vector, whoever made it. */
void store_space_begin(pg_t *pg, const char *asks, pg_done_fn fn, void *ctx);
/* One row when it was changed; none when it is so already, or was changed less than STORE_SPACE_KEPT_S ago: two models
 * behind one name shall not chase each other. */
#define STORE_SPACE_KEPT_S "60"
void store_space_change(pg_t *pg, const char *asks, const store_space_t *space, pg_done_fn fn, void *ctx);
/* Notes every text that has no vector of the kind in use. */
void store_pending_fill(pg_t *pg, const char *asks, pg_done_fn fn, void *ctx);
/* Takes up to `limit` texts that wait, for STORE_CLAIM_S; columns: hash (hex), body of a work with it. The body is NULL
 * where no work has the text any more, or it has its vector already. */
#define STORE_CLAIM_S "120"
void store_pending_take(pg_t *pg, const char *asks, int64_t limit, pg_done_fn fn, void *ctx);
/* Array literals: hashes in hex, vectors as bytea. The first vectors decide the kind that is used. */
void store_vectors(pg_t *pg, const char *asks, const store_space_t *space, bytes_t hashes, bytes_t vectors,
                   pg_done_fn fn, void *ctx);
/* Puts texts off; `error` NULL: they are not to blame. `alone`: each is to be asked for by itself. */
void store_pending_put_off(pg_t *pg, const char *asks, bytes_t hashes, int64_t delay_ms, bool alone, const char *error,
                           pg_done_fn fn, void *ctx);
/* Forgets old vectors that no work has, and old notes of messages. */
void store_prune(pg_t *pg);

/* -- answering ------------------------------------------------------------------------------------ */
/* Rows of (isbn, body); `isbns` is an array literal. */
void store_bodies(pg_t *pg, bytes_t isbns, pg_done_fn fn, void *ctx);
/* One row: the books whose text was refused. */
void store_refused(pg_t *pg, const char *asks, pg_done_fn fn, void *ctx);

#endif
