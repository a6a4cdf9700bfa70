/* run.h: one loading of the catalogue: page after page from the ERP, and each page's stock.
 *
 * The steps overlap, so that the ERP's pace is what bounds a run: while a page is kept the next is asked for, and the
 * stock of up to RUN_STOCK_AHEAD pages is under way. A page is kept in order, with the checkpoint and a note of the
 * stock that is due; stock is kept in any order, and its note struck off.
 *
 * At most one run goes on over all instances; its owner holds a lease, renewed as long as it lives, and another
 * takes the run over at its checkpoint, with the stock that is due, when the lease has run out. What the ERP cannot
 * answer now is asked again for RUN_PATIENCE_MS, with growing pauses, then the run fails, and the next one resumes it.
 */
#ifndef SYNC_RECONCILER_RUN_H
#define SYNC_RECONCILER_RUN_H

#include "kit/outbox.h"
#include "kit/service.h"

#define RUN_PAGE_SIZE 200       /* books; also the most that erp.stock.batch takes */
#define RUN_STOCK_AHEAD 4       /* pages whose stock is awaited; with so many no further page is asked for */
#define RUN_PATIENCE_MS 600000  /* without a single page that was read and kept */
#define RUN_TAKE_EVERY_MS 10000 /* looks for a run that lost its owner */

typedef struct run run_t;

MUST_USE run_t *run_new(service_t *service, outbox_t *outbox, bool with_stock, error_t *err);
void run_free(run_t **run);

/* Begins a run, or joins the one that goes on. `run_id` is empty when another instance owns it. */
typedef void (*run_started_fn)(void *ctx, const char *run_id, bool started, const error_t *err);
void run_start(run_t *run, const char *kind, bool resume, run_started_fn fn, void *ctx);

/* Begins a full run if none was ever completed; at most one such question at a time. `is_settled` false: it could not
 * be found out, or begun; ask again later. */
typedef void (*run_asked_fn)(void *ctx, bool is_settled);
void run_start_if_never(run_t *run, run_asked_fn fn, void *ctx);

#endif
