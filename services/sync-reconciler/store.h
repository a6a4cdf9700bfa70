/* store.h: catalogue, quarantine, stock as last read, and runs, in PostgreSQL.
 *
 * A page of the catalogue is one transaction: its books, what was held back, the events that follow, and the
 * checkpoint behind it. So a run that died goes on at its last page, and nothing is told twice. */
#ifndef SYNC_RECONCILER_STORE_H
#define SYNC_RECONCILER_STORE_H

#include "kit/outbox.h"
#include "kit/pg.h"
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
/* Notes what the run waits for, and keeps the lease. */
void store_run_note(pg_t *pg, const char *run_id, const char *instance, const char *error, pg_done_fn fn, void *ctx);

/* -- a page --------------------------------------------------------------------------------------- */
/* Upserts unless a newer version is kept; a CatalogUpdate event goes to the outbox when the entry is new, its
 * text differs, its price differs, it is sold no more or sold again. `body` is the packed book. */
void store_book(pg_tx_t *tx, const book_t *book, bytes_t body, const char *run_id, pg_done_fn fn, void *ctx);
void store_quarantine(pg_tx_t *tx, bytes_t key, bytes_t reason, bytes_t raw, const char *run_id, pg_done_fn fn,
                      void *ctx);
/* Moves the checkpoint on. No row: the run is another's now, and the page must be rolled back. */
typedef struct {
    const char *run_id, *instance;
    bytes_t cursor; /* empty: that was the last page */
    int64_t total;  /* -1: not said */
    int64_t done, quarantined;
} store_checkpoint_t;
void store_checkpoint(pg_tx_t *tx, const store_checkpoint_t *checkpoint, pg_done_fn fn, void *ctx);

/* -- stock ---------------------------------------------------------------------------------------- */
void store_stock(pg_tx_t *tx, const stock_line_t *line, int64_t version, pg_done_fn fn, void *ctx);
void store_stock_done(pg_tx_t *tx, const char *run_id, int64_t books, pg_done_fn fn, void *ctx);

/* -- catalog.get ---------------------------------------------------------------------------------- */
/* Rows of (isbn, body): of these ISBNs, given as an array literal; in any order. */
void store_find_isbns(pg_t *pg, bytes_t array, pg_done_fn fn, void *ctx);
/* By key (kit/text.h) of title, reading or English title: exact first, then those that begin so; by volume. */
void store_find_title(pg_t *pg, bytes_t key, int64_t volume, int64_t limit, pg_done_fn fn, void *ctx);

#endif
