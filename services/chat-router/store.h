/* store.h: what chat-router keeps in PostgreSQL: sessions, messages, and the ledger of model calls.
 *
 * Written behind the answer: nothing here delays one. Writes that fail are logged and counted, never retried: a
 * conversation's record is not worth an answer. The ledger is different: its messages come from a queue and stay there
 * until they are in. */
#ifndef CHAT_ROUTER_STORE_H
#define CHAT_ROUTER_STORE_H

#include "kit/bus.h"
#include "kit/metrics.h"
#include "kit/pg.h"
#include "services/chat-router/question.h"

#define STORE_HISTORY_TURNS 20 /* newest first; so far back a book is looked for */

extern const pg_migration_t store_migrations[];
extern const size_t store_migration_count;

typedef struct {
    bytes_t session_id, message_id, user_id; /* user_id may be empty */
    bytes_t text;
    bytes_t title, isbn; /* the one book that it was about; empty for none */
    bool has_volume;
    int64_t volume;
    bytes_t answer, language, intent, model_id, degraded; /* degraded: names joined by a comma */
    bool cached;
    int64_t input_tokens, output_tokens, cost_usd_micros, latency_ms;
} store_message_t;

/* `failures` counts; may be NULL. */
void store_write_message(pg_t *pg, const store_message_t *message, metric_t *failures);

/* The book that the session spoke of last. `ok` false: the database did not say. `book` NULL: none. */
typedef void (*store_recall_fn)(void *ctx, bool ok, const question_recalled_t *book);
void store_recall(pg_t *pg, bytes_t session_id, bytes_t user_id, store_recall_fn fn, void *ctx);

/* Books one InferenceCompleted, once for (record, ingest time, replay-name). `fn` with NULL when it is in, now or
 * before. */
typedef void (*store_done_fn)(void *ctx, const error_t *err);
void store_book(pg_t *pg, const bus_delivery_t *delivery, const inference_completed_t *inference, store_done_fn fn,
                void *ctx);

/* Forgets messages, sessions, ledger and inbox rows older than that. */
void store_prune(pg_t *pg, int64_t older_than_ms, metric_t *failures);

#endif
