/* inbox.c: one INSERT that either takes place or meets the note that was there. */
#include "kit/inbox.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "proto/attrs.h"

#define NUMBER_BYTES 24

typedef struct {
    inbox_fn fn;
    void *ctx;
} note_t;

static const char note_sql[] = "INSERT INTO inbox (consumer, record, ingest_us, replay_name) VALUES ($1, $2, $3, $4) "
                               "ON CONFLICT DO NOTHING RETURNING 1";
static const char prune_sql[] = "DELETE FROM inbox WHERE noted_at < now() - make_interval(days => $1)";

static void on_noted(void *ctx, const PGresult *result, const error_t *err)
{
    note_t note = *(note_t *)ctx;
    free(ctx);
    note.fn(note.ctx, !err && PQntuples(result) == 1, err);
}

void inbox_note(pg_tx_t *tx, const char *consumer, const bus_delivery_t *delivery, inbox_fn fn, void *ctx)
{
    char record[NUMBER_BYTES], ingest_us[NUMBER_BYTES];
    bytes_t replay;
    note_t *note = malloc(sizeof *note);
    if (!note)
        abort(); /* a promise to call back cannot be refused */
    *note = (note_t){fn, ctx};
    (void)snprintf(record, sizeof record, "%" PRIu64, delivery->record);
    (void)snprintf(ingest_us, sizeof ingest_us, "%" PRId64, delivery->ingest_us);
    if (!attrs_str(delivery->attrs, ATTR_REPLAY_NAME, &replay))
        replay = BYTES_LIT("");
    const pg_param_t params[] = {PG_TEXT(consumer), PG_TEXT(record), PG_TEXT(ingest_us), PG_STR(replay)};
    pg_tx_query(tx, note_sql, params, ARRAY_LEN(params), on_noted, note);
}

void inbox_prune(pg_t *pg, int days, pg_done_fn fn, void *ctx)
{
    char text[NUMBER_BYTES];
    (void)snprintf(text, sizeof text, "%d", days);
    const pg_param_t param = PG_TEXT(text);
    pg_query(pg, prune_sql, &param, 1, fn, ctx);
}
