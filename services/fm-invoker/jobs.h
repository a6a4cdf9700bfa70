/* jobs.h: jobs and their results in PostgreSQL, and the lease under which one worker does one. */
#ifndef FM_INVOKER_JOBS_H
#define FM_INVOKER_JOBS_H

#include "services/fm-invoker/inference.h"

#define JOBS_LEASE_MARGIN_MS 30000 /* beyond the longest time of a model call */

extern const pg_migration_t fm_migrations[];
extern const size_t fm_migration_count;

typedef enum {
    CLAIM_TAKEN,   /* ours to do */
    CLAIM_OVER,    /* done, failed or cancelled before */
    CLAIM_LEASED,  /* another worker is at it */
    CLAIM_UNKNOWN, /* the database could not say; `err` */
} claim_t;

typedef void (*jobs_claimed_fn)(void *ctx, claim_t claim, const error_t *err);
typedef void (*jobs_done_fn)(void *ctx, const error_t *err);

/* How long a lease holds. */
int64_t jobs_lease_ms(const app_t *app);
/* Takes the lease of a job; makes the row when the message came from elsewhere. */
void jobs_claim(app_t *app, bytes_t job_id, jobs_claimed_fn fn, void *ctx);
void jobs_complete(app_t *app, bytes_t job_id, const inference_result_t *result, jobs_done_fn fn, void *ctx);
/* Given up for good. */
void jobs_fail(app_t *app, bytes_t job_id, const char *why, jobs_done_fn fn, void *ctx);
/* To be tried again: gives the lease back. */
void jobs_requeue(app_t *app, bytes_t job_id, jobs_done_fn fn, void *ctx);

#endif
