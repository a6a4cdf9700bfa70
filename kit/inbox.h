/* inbox.h: takes each message once, though it may be delivered again: the note "I had this" and the effect are one
 * transaction.
 *
 *     pg_tx_t *tx = pg_begin(pg);
 *     inbox_note(tx, "ledger", delivery, on_noted, work);   // on_noted: first ? do the effect in tx : nothing
 *     … pg_tx_commit(tx, …), then bus_ack(…) either way
 *
 * A message is known by its record's number and ingest time (which stay with it for ever, and which a broker that
 * began anew does not repeat) and by the replay that brought it: a replay is meant to have its effect once more.
 * Where two deliveries of one message meet, the later waits for the earlier to commit or roll back. */
#ifndef KIT_INBOX_H
#define KIT_INBOX_H

#include "kit/bus.h"
#include "kit/pg.h"

/* For a migration of the service. */
#define INBOX_TABLE_SQL                                                                                                \
    "CREATE TABLE inbox (consumer text NOT NULL, record bigint NOT NULL, ingest_us bigint NOT NULL, "                  \
    "replay_name text NOT NULL, noted_at timestamptz NOT NULL DEFAULT now(), "                                         \
    "PRIMARY KEY (consumer, record, ingest_us, replay_name)); CREATE INDEX inbox_noted_at ON inbox (noted_at);"

/* `first`: it was not known: do the effect now, in the same transaction. `err` is NULL on success; after an error the
 * transaction is rolled back as after any failed query. */
typedef void (*inbox_fn)(void *ctx, bool first, const error_t *err);

/* `consumer` tells several consumers in one service apart. */
void inbox_note(pg_tx_t *tx, const char *consumer, const bus_delivery_t *delivery, inbox_fn fn, void *ctx);

/* Forgets notes older than `days`, which must exceed the retention of the queues that are consumed. `fn` may be
 * NULL. */
void inbox_prune(pg_t *pg, int days, pg_done_fn fn, void *ctx);

#endif
