/* store.h: stock per book and warehouse in PostgreSQL, and the events that are still to be told.
 *
 * One statement applies a change: inbox row, guarded upsert and outbox row are one transaction, so that a
 * change takes effect once however often its message comes. Rows are told from the outbox in order; those of
 * one (ISBN, warehouse) are ordered by their version, because the upsert holds that row's lock. */
#ifndef INVENTORY_EVENTS_STORE_H
#define INVENTORY_EVENTS_STORE_H

#include "kit/outbox.h"
#include "kit/pg.h"
#include "services/inventory-events/change.h"

extern const pg_migration_t store_migrations[];
extern const size_t store_migration_count;

typedef struct {
    int64_t record, ingest_us; /* of the message; with replay_name its identity */
    bytes_t replay_name;
    bytes_t correlation_id;
} store_message_t;

typedef enum {
    STORE_APPLIED,
    STORE_UNCHANGED, /* the same quantity under a newer version: noted, nothing to tell */
    STORE_OLDER,     /* a newer version is there already */
    STORE_REPEATED,  /* this message was here before */
} store_outcome_t;

/* `err` is NULL when it was carried out. */
typedef void (*store_applied_fn)(void *ctx, store_outcome_t outcome, const error_t *err);
void store_apply(pg_t *pg, const change_t *change, const store_message_t *message, store_applied_fn fn, void *ctx);

typedef struct {
    bytes_t isbn, warehouse, source, reason, key, correlation_id;
    bool is_delta; /* `amount` is added; else it is the new quantity */
    int64_t amount;
    int64_t now_us;
} store_adjustment_t;

typedef struct {
    bool applied;     /* false: the key had been applied before */
    int64_t previous; /* -1: none was known */
    int64_t quantity;
    int64_t version;
} store_adjusted_t;

/* err->code is FAILED_PRECONDITION when a stock would leave the contract's bounds, ALREADY_EXISTS when the key was used
 * for another adjustment. */
typedef void (*store_adjusted_fn)(void *ctx, const store_adjusted_t *result, const error_t *err);
void store_adjust(pg_t *pg, const store_adjustment_t *adjustment, store_adjusted_fn fn, void *ctx);

/* Columns of the outbox, in order. */
enum {
    OUTBOX_ID,
    OUTBOX_ISBN,
    OUTBOX_WAREHOUSE,
    OUTBOX_TITLE,
    OUTBOX_PREVIOUS,
    OUTBOX_QUANTITY,
    OUTBOX_TOTAL,
    OUTBOX_VERSION,
    OUTBOX_SOURCE,
    OUTBOX_AT_US,
    OUTBOX_CORRELATION,
    OUTBOX_OPERATION,
    OUTBOX_TABLE,
    OUTBOX_WRITTEN_AT,
    OUTBOX_REPLAY,
};

/* Selects the oldest rows of the outbox, with the columns above. The number is the service's advisory lock. */
#define STORE_OUTBOX_SELECT                                                                                            \
    OUTBOX_SELECT("id, isbn, warehouse_code, title, previous, quantity, total, version, source, at_us,"                \
                  " correlation_id, operation, table_name, written_at, replay_name",                                   \
                  "outbox", "7268015")

#endif
