/* store.h: catalogue, quarantine, stock as last read, and runs, in PostgreSQL.
 *
 * A page of the catalogue is one transaction: its books, what was held back, the events that follow, a note of the
 * stock that is to be read, and the checkpoint behind it. The stock of a page is another: its lines, and the note is
 * gone. So a run that died goes on at its last page, nothing is told twice, and no page's stock is forgotten. */
#ifndef SYNC_RECONCILER_STORE_H
#define SYNC_RECONCILER_STORE_H

#include "kit/outbox.h"
#include "kit/pg.h"
#include "kit/sigv4.h"
#include "proto/contract.h"

extern const pg_migration_t store_migrations[];
extern const size_t store_migration_count;
extern const outbox_options_t store_outbox;

#define STORE_RUN_ID_BYTES 40
#define STORE_LEASE_S "30" /* a run whose owner has not written for so long is taken over */

/* -- runs ----------------------------------------------------------------------------------------- */
enum {
    RUN_ID,
    RUN_KIND,
    RUN_STATE,
    RUN_CURSOR,
    RUN_TOTAL,
    RUN_DONE,
    RUN_CHANGED,
    RUN_QUARANTINED,
    RUN_STOCK_DONE,
    RUN_STARTED_US,
    RUN_FINISHED_US,
    RUN_ERROR,
    RUN_SINCE
};

/* Takes, in one statement, a run that nobody owns, or begins one when `begin` is set; no row: another
 * instance owns the running one (or there is none, and none was to be begun). Columns as above. */
void store_run_take(pg_t *pg, const char *instance, bool begin, const char *kind, bool resume, pg_done_fn fn,
                    void *ctx);
/* The run named, or the latest; columns as above, then the catalogue's size. */
void store_run_find(pg_t *pg, bytes_t run_id, pg_done_fn fn, void *ctx);
/* True in column 0 when a run was completed at any time. */
void store_run_any_completed(pg_t *pg, pg_done_fn fn, void *ctx);
void store_run_finish(pg_t *pg, const char *run_id, const char *instance, const char *error, pg_done_fn fn, void *ctx);
/* Keeps the lease, and notes what the run waits for; `error` NULL: nothing new. No row: the run is another's now. */
void store_run_note(pg_t *pg, const char *run_id, const char *instance, const char *error, pg_done_fn fn, void *ctx);

/* -- a page --------------------------------------------------------------------------------------- */
typedef struct {
    const book_t *book;
    size_t at, len; /* packed, in the page's bodies */
    char text_hash[SIGV4_HEX_CHARS + 1];
} store_entry_t;

/* The books of a page. A zeroed one has none. */
typedef struct {
    store_entry_t entries[ERP_CATALOG_PAGE_MAX];
    uint32_t count;
    buf_t bodies;
} store_books_t;

/* False, and nothing added, when the book cannot be packed. `book` is borrowed until the page is done. */
MUST_USE bool store_books_add(store_books_t *books, const book_t *book, error_t *err);
void store_books_clear(store_books_t *books);

/* Upserts them all unless a newer version is kept. Rows (number of the entry from 1, kind), in order: what is to be
 * told: an entry is new, its text differs, its price differs, it is sold no more or sold again. */
void store_books(pg_tx_t *tx, store_books_t *books, const char *run_id, pg_done_fn fn, void *ctx);
/* Puts a CatalogUpdate event into the outbox for each row of store_books. */
void store_told(pg_tx_t *tx, const store_books_t *books, const PGresult *kinds, pg_done_fn fn, void *ctx);
void store_quarantine(pg_tx_t *tx, bytes_t key, bytes_t reason, bytes_t raw, const char *run_id, pg_done_fn fn,
                      void *ctx);
/* Moves the checkpoint on. One row (done, quarantined); none: the run is another's now, and the page must be rolled
 * back. */
typedef struct {
    const char *run_id, *instance;
    bytes_t cursor; /* empty: that was the last page */
    int64_t total;  /* -1: not said */
    int64_t done, quarantined;
} store_checkpoint_t;
void store_checkpoint(pg_tx_t *tx, const store_checkpoint_t *checkpoint, pg_done_fn fn, void *ctx);

/* -- stock ---------------------------------------------------------------------------------------- */
typedef struct {
    bytes_t isbn, warehouse_code, status;
    int64_t quantity, version;
} store_stock_t;
void store_stock(pg_tx_t *tx, const store_stock_t *lines, size_t count, pg_done_fn fn, void *ctx);

/* Stock that is still to be read: a packed request of erp.stock.batch for so many books. One row: its id. */
void store_due_add(pg_tx_t *tx, bytes_t request, int64_t books, pg_done_fn fn, void *ctx);
/* What an earlier owner left behind; with `is_fresh` (the run begins at the first page) it is forgotten instead. */
enum { DUE_ID, DUE_BOOKS, DUE_REQUEST };
void store_due_find(pg_t *pg, bool is_fresh, pg_done_fn fn, void *ctx);
void store_due_done(pg_tx_t *tx, int64_t id, const char *run_id, pg_done_fn fn, void *ctx); /* counted as read */
void store_due_drop(pg_t *pg, int64_t id);                                                  /* not counted */

/* -- catalog.get ---------------------------------------------------------------------------------- */
/* Rows of (isbn, body): of these ISBNs, given as an array literal; in any order. */
void store_find_isbns(pg_t *pg, bytes_t array, pg_done_fn fn, void *ctx);
/* By key (kit/text.h) of title, reading or English title: exact first, then those that begin so; by volume. */
void store_find_title(pg_t *pg, bytes_t key, int64_t volume, int64_t limit, pg_done_fn fn, void *ctx);

#endif
