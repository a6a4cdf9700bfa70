/* outbox.h: tells the bus what a service's transactions decided to tell, in order, at least once.
 *
 * A service writes its effect and an outbox row in one transaction. The outbox takes the oldest rows (and,
 * over all instances, the right to tell), publishes each, waits until the broker has them on disk, deletes
 * exactly those rows. A crash between publishing and deleting tells again: rows bring a deduplication key,
 * which the bus takes once. Rows of one entity keep their order when whoever writes them holds the entity's
 * row lock. */
#ifndef KIT_OUTBOX_H
#define KIT_OUTBOX_H

#include "kit/service.h"

typedef struct outbox outbox_t;

typedef struct {
    /* Selects at most a hundred rows, oldest first; the first column is the row's id. It must hold one of
     * pg_try_advisory_xact_lock's locks, see OUTBOX_SELECT, and give no rows without it. */
    const char *select_sql;
    const char *delete_sql; /* takes the ids as $1::bigint[] */
    /* Fills `event` from a row; what it points to must live until the next call: `scratch` (emptied before
     * each call) is there for it. False: the row cannot be told, which is a bug of the writer's; it is
     * logged, stays, and is tried again, while the others go on. */
    bool (*event)(void *ctx, const PGresult *rows, int row, buf_t scratch[2], bus_event_t *event, error_t *err);
    void *ctx;
} outbox_options_t;

/* A select of `columns` from `table` under advisory lock `lock` (a number as text, of the service's own). */
#define OUTBOX_SELECT(columns, table, lock)                                                                            \
    "WITH teller AS MATERIALIZED (SELECT pg_try_advisory_xact_lock(" lock ") AS mine) SELECT " columns " FROM " table  \
    ", teller WHERE teller.mine ORDER BY id LIMIT 100"
#define OUTBOX_DELETE(table) "DELETE FROM " table " WHERE id = ANY($1::bigint[])"

/* The options' texts must outlive it. Metrics: mangabus_outbox_events_total{outcome}. */
MUST_USE outbox_t *outbox_new(service_t *service, const outbox_options_t *options, error_t *err);
void outbox_free(outbox_t **outbox);

/* There is something to tell; cheap, may be called at any time. */
void outbox_wake(outbox_t *outbox);

#endif
