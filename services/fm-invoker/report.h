/* report.h: what is told about every model call: the event InferenceCompleted, metrics, and the money. */
#ifndef FM_INVOKER_REPORT_H
#define FM_INVOKER_REPORT_H

#include "services/fm-invoker/app.h"

#define REPORT_SUMMARY_CHARACTERS 500

typedef struct {
    const char *inference_id;
    bytes_t session_id, purpose; /* empty: absent */
    const model_t *model;
    const char *fallback_from; /* NULL: absent */
    const error_t *err;        /* NULL: success */
    bytes_t text;              /* empty for embeddings */
    int64_t input_tokens, output_tokens;
    int64_t cost_usd_micros;
    int64_t latency_us, first_token_us; /* first_token_us -1: none came */
    const trace_t *trace;
} report_t;

/* Publishes the event and counts. */
void report_call(app_t *app, const report_t *report);

/* The detail of the event, as msgpack; `now_us` is wall clock. */
MUST_USE bool report_detail(const report_t *report, int64_t now_us, buf_t *out, error_t *err);

/* Settles a reservation, and adds the cost to the day's sum in the database. */
void report_settle(app_t *app, int64_t reserved, int64_t cost);
/* Reads what the day has cost so far. */
void report_budget_load(app_t *app);

/* Gauges: budget, breakers, calls in flight. */
void report_metrics_start(app_t *app);

#endif
