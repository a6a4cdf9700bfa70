/* report.c: events, metrics and the ledger of the day. */
#include "services/fm-invoker/report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "kit/clock.h"
#include "proto/contract/ai.h"
#include "proto/timefmt.h"
#include "proto/utf8.h"

#define US_PER_MS 1000
#define MICROS 1000000
#define COST_TEXT_BYTES 32
#define SUMMARY_MAX_BYTES 2000
#define LABEL_BYTES 512

/* -- the event ----------------------------------------------------------------------------------- */
/* The first characters, never half of one. */
static bytes_t summary_of(bytes_t text)
{
    size_t at = 0;
    for (int i = 0; i < REPORT_SUMMARY_CHARACTERS && at < text.len; i++) {
        size_t len = utf8_sequence(text.data + at, text.len - at);
        if (len == 0 || at + len > SUMMARY_MAX_BYTES)
            break;
        at += len;
    }
    return bytes_from(text.data, at);
}

static void metrics_fill(const report_t *report, inference_metrics_t *out, char cost[COST_TEXT_BYTES])
{
    *out = (inference_metrics_t){.input_tokens = report->input_tokens,
                                 .output_tokens = report->output_tokens,
                                 .latency_ms = report->latency_us / US_PER_MS,
                                 .cost_usd_micros = report->cost_usd_micros};
    if (report->first_token_us >= 0)
        SCHEMA_SET(out, first_token_ms, report->first_token_us / US_PER_MS);
    (void)snprintf(cost, COST_TEXT_BYTES, "%" PRId64 ".%06" PRId64, report->cost_usd_micros / MICROS,
                   report->cost_usd_micros % MICROS);
    SCHEMA_SET(out, estimated_cost_usd, bytes_cstr(cost));
}

bool report_detail(const report_t *report, int64_t now_us, buf_t *out, error_t *err)
{
    char time[TIMEFMT_MS_BYTES], cost[COST_TEXT_BYTES];
    timefmt_ms(now_us, time);
    inference_completed_t detail = {.inference_id = bytes_cstr(report->inference_id),
                                    .model_id = bytes_cstr(report->model->id),
                                    .status = bytes_cstr(report->err ? "error" : "success"),
                                    .timestamp = bytes_cstr(time)};
    metrics_fill(report, &detail.metrics, cost);
    if (report->session_id.len)
        SCHEMA_SET(&detail, session_id, report->session_id);
    if (report->purpose.len)
        SCHEMA_SET(&detail, purpose, report->purpose);
    if (report->text.len)
        SCHEMA_SET(&detail, response_summary, summary_of(report->text));
    if (report->fallback_from)
        SCHEMA_SET(&detail, fallback_from, bytes_cstr(report->fallback_from));
    if (report->err && *report->err->message)
        SCHEMA_SET(&detail, error, bytes_cstr(report->err->message));
    return inference_completed_pack(out, &detail, err);
}

static void event_publish(app_t *app, const report_t *report)
{
    buf_t detail = {0};
    error_t err = {0};
    if (!report_detail(report, clock_wall_us(), &detail, &err) ||
        !bus_publish(app->bus,
                     &(bus_event_t){.bus = AI_BUS,
                                    .source = AI_SOURCE,
                                    .detail_type = AI_INFERENCE_COMPLETED,
                                    .detail = buf_bytes(&detail),
                                    .dedup = bytes_cstr(report->inference_id),
                                    .trace = report->trace},
                     NULL, NULL, &err))
        log_error("InferenceCompleted was not published", LOG_S("error", err.message));
    buf_free(&detail);
}

/* -- metrics ------------------------------------------------------------------------------------- */
static const char *labels(const report_t *report, const char *key, const char *value, buf_t *out)
{
    buf_clear(out);
    metrics_label(out, "model", bytes_cstr(report->model->id));
    if (key)
        metrics_label(out, key, bytes_cstr(value));
    return buf_cstr(out);
}

static void count(app_t *app, const report_t *report)
{
    buf_t text = {0};
    metrics_t *m = app->metrics;
    const char *status = report->err ? status_name(report->err->code) : "OK";
    metric_add(metrics_counter(m, "mangabus_fm_requests_total", labels(report, "status", status, &text),
                               "Model calls, by how they ended."),
               1);
    metric_add(metrics_counter(m, "mangabus_fm_tokens_total", labels(report, "type", "input", &text),
                               "Tokens read and written by models."),
               (double)report->input_tokens);
    metric_add(metrics_counter(m, "mangabus_fm_tokens_total", labels(report, "type", "output", &text),
                               "Tokens read and written by models."),
               (double)report->output_tokens);
    metric_add(metrics_counter(m, "mangabus_fm_cost_usd_total", labels(report, NULL, NULL, &text),
                               "What model calls cost, in US dollars, by the configured prices."),
               (double)report->cost_usd_micros / MICROS);
    metric_observe(metrics_histogram(m, "mangabus_fm_request_seconds", labels(report, NULL, NULL, &text),
                                     "Time of a model call.", NULL, 0),
                   (double)report->latency_us / MICROS);
    if (report->first_token_us >= 0)
        metric_observe(metrics_histogram(m, "mangabus_fm_time_to_first_token_seconds",
                                         labels(report, NULL, NULL, &text), "Time to the first text of an answer.",
                                         NULL, 0),
                       (double)report->first_token_us / MICROS);
    if (report->fallback_from)
        metric_add(metrics_counter(m, "mangabus_fm_fallbacks_total", labels(report, NULL, NULL, &text),
                                   "Calls that another model was to answer first."),
                   1);
    buf_free(&text);
}

void report_call(app_t *app, const report_t *report)
{
    count(app, report);
    event_publish(app, report);
    log_debug("model call ended", LOG_S("model", report->model->id),
              LOG_S("status", report->err ? status_name(report->err->code) : "OK"),
              LOG_I("duration_ms", report->latency_us / US_PER_MS));
    if (report->err && report->err->code != STATUS_CANCELLED)
        log_warn("model call failed", LOG_S("model", report->model->id),
                 LOG_S("status", status_name(report->err->code)), LOG_S("error", report->err->message));
}

static void on_collect(void *ctx)
{
    app_t *app = ctx;
    metrics_t *m = app->metrics;
    metric_set(metrics_gauge(m, "mangabus_fm_in_flight", "", "Model calls under way."), (double)app->in_flight);
    metric_set(metrics_gauge(m, "mangabus_fm_budget_limit_usd", "", "What a day (UTC) may cost; 0: no limit."),
               (double)app->budget.limit / MICROS);
    metric_set(metrics_gauge(m, "mangabus_fm_budget_spent_usd", "", "What the day has cost, by all instances."),
               (double)app->budget.spent / MICROS);
    metric_set(metrics_gauge(m, "mangabus_fm_budget_reserved_usd", "", "What calls under way may cost at most."),
               (double)app->budget.reserved / MICROS);
    buf_t label = {0};
    for (size_t i = 0; i < app->models.count; i++) {
        buf_clear(&label);
        metrics_label(&label, "model", bytes_cstr(app->models.items[i].id));
        metric_set(metrics_gauge(m, "mangabus_fm_breaker_open", buf_cstr(&label), "1 while a model is left alone."),
                   breaker_state(&app->models.items[i].breaker) == BREAKER_CLOSED ? 0 : 1);
    }
    buf_free(&label);
}

void report_metrics_start(app_t *app)
{
    metrics_on_collect(app->metrics, on_collect, app);
}

/* -- the day's sum ------------------------------------------------------------------------------- */
#define DAY_SQL "(timestamp 'epoch' + $1::bigint * interval '1 day')::date"

static void on_sum(app_t *app, const PGresult *result)
{
    int64_t spent = PQntuples(result) > 0 ? pg_i64(result, 0, 0, 0) : 0;
    if (app->budget.day == budget_day(clock_wall_us()))
        budget_shared(&app->budget, app->budget.day, spent + app->unsaved_cost);
}

static void save(app_t *app);

typedef struct {
    app_t *app;
    int64_t amount, day;
} saving_t;

static void on_saved(void *ctx, const PGresult *result, const error_t *err)
{
    saving_t *saving = ctx;
    app_t *app = saving->app;
    app->saving = false;
    if (err) {
        app->unsaved_cost += saving->amount;
        if (err->code != STATUS_CANCELLED)
            log_warn("the day's cost was not saved; it is added to the next", LOG_S("error", err->message));
    } else {
        on_sum(app, result);
    }
    free(saving);
    if (!err && app->unsaved_cost > 0)
        save(app);
}

/* One at a time: what comes meanwhile goes with the next. */
static void save(app_t *app)
{
    saving_t *saving = app->saving ? NULL : calloc(1, sizeof *saving);
    if (!saving)
        return;
    *saving = (saving_t){app, app->unsaved_cost, budget_day(clock_wall_us())};
    app->saving = true;
    app->unsaved_cost = 0;
    const pg_param_t params[] = {PG_I64(saving->day), PG_I64(saving->amount)};
    pg_query(app->pg,
             "INSERT INTO budget (day, spent_usd_micros) VALUES (" DAY_SQL ", $2) ON CONFLICT (day) DO UPDATE "
             "SET spent_usd_micros = budget.spent_usd_micros + excluded.spent_usd_micros RETURNING spent_usd_micros",
             params, ARRAY_LEN(params), on_saved, saving);
}

void report_settle(app_t *app, int64_t reserved, int64_t cost)
{
    budget_settle(&app->budget, reserved, cost, clock_wall_us());
    app->unsaved_cost += cost;
    if (app->unsaved_cost > 0)
        save(app);
}

static void on_loaded(void *ctx, const PGresult *result, const error_t *err)
{
    if (!err)
        on_sum(ctx, result);
    else if (err->code != STATUS_CANCELLED)
        log_warn("the day's cost so far is not known", LOG_S("error", err->message));
}

void report_budget_load(app_t *app)
{
    const pg_param_t params[] = {PG_I64(budget_day(clock_wall_us()))};
    pg_query(app->pg, "SELECT spent_usd_micros FROM budget WHERE day = " DAY_SQL, params, ARRAY_LEN(params), on_loaded,
             app);
}
