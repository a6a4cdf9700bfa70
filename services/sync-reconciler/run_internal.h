/* run_internal.h: what the parts of a run share: the run itself (run.c), its pages (run_page.c), their stock
 * (run_stock.c).
 *
 * run_go_on() is the one place that decides what is done next; whatever ends calls it. */
#ifndef SYNC_RECONCILER_RUN_INTERNAL_H
#define SYNC_RECONCILER_RUN_INTERNAL_H

#include <sys/queue.h>

#include "services/sync-reconciler/run.h"
#include "services/sync-reconciler/store.h"

#define RETRY_FIRST_MS 500
#define RETRY_MAX_MS 15000
#define CURSOR_BYTES 257
#define ARENA_BYTES ((size_t)64 << 20)

typedef enum { RUN_IDLE, RUN_TAKING, RUN_LOADING, RUN_ENDING } run_state_t;
typedef enum { RUN_GOES_ON, RUN_FAILS, RUN_IS_LEFT } run_verdict_t;

/* A page as it came. */
typedef struct {
    bool is_there;
    buf_t body;
    arena_t arena;
    erp_catalog_page_response_t answer; /* slices of the two above */
} page_t;

typedef struct stock_job stock_job_t;

struct run {
    service_t *service;
    outbox_t *outbox;
    bool with_stock;
    run_state_t state;
    run_verdict_t verdict; /* while loading; not followed before the page under way is kept */
    char why[sizeof((error_t *)0)->message];
    loop_timer_t *timer; /* idle: looks for a run; loading: asks for the page again */
    loop_timer_t *lease;
    char run_id[STORE_RUN_ID_BYTES], renewed_id[STORE_RUN_ID_BYTES];
    char kind[16], since[32];
    int64_t done, total, quarantined;
    int64_t silent_since_ms, retry_ms, told_us;
    /* pages: one is asked for while the one before is kept */
    uint64_t call; /* 0: none is asked for */
    bool is_pausing;
    char asked_cursor[CURSOR_BYTES]; /* of the next page to be asked for */
    char kept_cursor[CURSOR_BYTES];  /* the checkpoint */
    char keeping_cursor[CURSOR_BYTES];
    bool is_all_asked, is_all_kept;
    page_t next, keeping;
    store_books_t *books; /* of `keeping` */
    uint32_t held;        /* entries of `keeping` that went to the quarantine */
    pg_tx_t *tx;
    /* stock */
    buf_t due; /* packed request for the stock of `keeping` */
    int64_t due_id;
    uint32_t due_books;
    TAILQ_HEAD(stock_jobs, stock_job) jobs;
    uint32_t job_count;

    run_started_fn waiter;
    void *waiter_ctx;
    run_asked_fn first; /* who wants a first run */
    void *first_ctx;
    metric_t *books_kept, *books_held, *running;
};

/* -- run.c ---------------------------------------------------------------------------------------- */
void run_go_on(run_t *run);
void run_fail(run_t *run, const char *why); /* the run ends as failed */
void run_leave(run_t *run);                 /* somebody else goes on with it */
void run_answered(run_t *run);              /* a page was read and kept, or stock read: patience begins anew */
/* Asks for the page again later, unless patience is over or trying again cannot help. */
void run_try_again(run_t *run, const error_t *err);

/* -- run_page.c ----------------------------------------------------------------------------------- */
bool page_may_be_asked(const run_t *run);
void page_ask(run_t *run);
void page_keep(run_t *run);       /* `next` is there and nothing is being kept */
void pages_from_kept(run_t *run); /* forgets what is not kept: it is asked for again from the checkpoint */

/* -- run_stock.c ---------------------------------------------------------------------------------- */
void stock_begin(run_t *run, int64_t due_id, bytes_t request);
void stock_drop_all(run_t *run); /* they stay due */

#endif
