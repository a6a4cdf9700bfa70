/* backend.c: one pump decides what may leave; every ending leads back to it. */
#include "services/acl-erp/backend.h"

#include <stdio.h>
#include <stdlib.h>

#include "kit/breaker.h"
#include "kit/clock.h"
#include "kit/log.h"
#include "kit/purse.h"
#include "kit/token_bucket.h"

#define NS_PER_US 1000
#define US_PER_MS 1000
#define BUSY_PAUSE_NS INT64_C(1000000000) /* after "too many requests" */
#define LABEL_BYTES 96
#define PERMIT_AHEAD_US 5000 /* a permit is drawn so long before it is needed */
#define PRIORITY_LIVE 0
#define PRIORITY_OTHER 1

typedef struct {
    backend_job_t *first, *last; /* oldest first */
    uint32_t count;
} list_t;

struct backend_job {
    backend_t *backend;
    backend_job_t *next, *previous;
    list_t *list; /* a queue, or the running ones */
    char *url, *values[BACKEND_HEADERS_MAX];
    backend_call_t call; /* its url and values are the members above */
    http_exchange_t *exchange;
    breaker_permit_t permit;
    int64_t sent_us, timeout_us;
    bool is_cancelled, is_told; /* told: its callback ran */
};

struct backend {
    loop_t *loop;
    http_client_t *http;
    backend_options_t options;
    char *url;
    backend_source_t source;
    list_t live, other, running;
    size_t waiting, in_flight;
    token_bucket_t pace;
    purse_t *purse; /* NULL: no permits are needed */
    breaker_t breaker;
    loop_timer_t *timer;
    bool is_pumping, is_other_turn;
    metric_t *well, *busy, *failed, *refused, *seconds, *in_flight_gauge, *waiting_gauge, *open_gauge;
};

/* -- lists ------------------------------------------------------------------------------------------------- */
static void list_push(list_t *list, backend_job_t *job)
{
    job->list = list;
    job->next = NULL;
    job->previous = list->last;
    if (list->last)
        list->last->next = job;
    else
        list->first = job;
    list->last = job;
    list->count++;
}

static void list_remove(backend_job_t *job)
{
    if (job->previous)
        job->previous->next = job->next;
    else
        job->list->first = job->next;
    if (job->next)
        job->next->previous = job->previous;
    else
        job->list->last = job->previous;
    job->list->count--;
    job->list = NULL;
}

/* -- jobs -------------------------------------------------------------------------------------------------- */
static void job_free(backend_job_t *job)
{
    if (!job->is_told && job->call.on_cancel)
        job->call.on_cancel(job->call.ctx);
    for (size_t i = 0; i < BACKEND_HEADERS_MAX; i++)
        free(job->values[i]);
    free(job->url);
    buf_free(&job->call.body);
    free(job);
}

static bool job_copy(backend_job_t *job, const char *base)
{
    backend_call_t *call = &job->call;
    if (asprintf(&job->url, "%s%s", base, call->path) < 0) {
        job->url = NULL;
        return false;
    }
    for (size_t i = 0; i < call->header_count; i++) {
        job->values[i] = strdup(call->headers[i].value);
        if (!job->values[i])
            return false;
        call->headers[i].value = job->values[i];
    }
    return true;
}

static backend_job_t *job_new(backend_t *backend, backend_call_t *call)
{
    backend_job_t *job = calloc(1, sizeof(*job));
    if (!job) {
        buf_free(&call->body);
        return NULL;
    }
    job->backend = backend;
    job->call = *call;
    call->body = (buf_t){0};
    if (job_copy(job, backend->url))
        return job;
    job->is_told = true; /* its caller hears of it */
    job_free(job);
    return NULL;
}

/* Ends a job that was never sent. */
static void job_refuse(backend_job_t *job, const error_t *err, int64_t now_us)
{
    const backend_result_t result = {.err = err, .sent_us = now_us, .done_us = now_us};
    list_remove(job);
    job->backend->waiting--;
    metric_add(job->backend->refused, 1);
    job->is_told = true;
    (void)job->call.fn(job->call.ctx, &result);
    job_free(job);
}

/* -- the breaker --------------------------------------------------------------------------------------------- */
static bool refuse_open(const backend_t *backend, int64_t now_us, error_t *err)
{
    (void)error_set(err, STATUS_UNAVAILABLE, "BackendUnavailable",
                    "%s does not answer well; it is left alone for a while", backend->options.name);
    if (err)
        err->retry_after_ms = 1 + breaker_retry_after_us(&backend->breaker, now_us) / US_PER_MS;
    return false;
}

bool backend_is_open_for_calls(const backend_t *backend, error_t *err)
{
    int64_t now_us = clock_mono_us();
    return breaker_retry_after_us(&backend->breaker, now_us) == 0 || refuse_open(backend, now_us, err);
}

static void refuse_all(backend_t *backend, int64_t now_us)
{
    error_t err = {0};
    (void)refuse_open(backend, now_us, &err);
    while (backend->live.first)
        job_refuse(backend->live.first, &err, now_us);
    while (backend->other.first)
        job_refuse(backend->other.first, &err, now_us);
    if (backend->source.refuse)
        backend->source.refuse(backend->source.ctx, &err);
}

static double chance(void)
{
    uint32_t draw;
    clock_random(&draw, sizeof(draw));
    return draw / 4294967296.0;
}

/* A caller that gave little time, or went away, proves nothing about the backend. */
static breaker_outcome_t outcome_of(const backend_job_t *job, const http_result_t *http, backend_verdict_t verdict)
{
    bool was_short = job->timeout_us < job->backend->options.timeout_ms * US_PER_MS / 2;
    if (http->status == STATUS_OK)
        return verdict == BACKEND_WELL ? BREAKER_GOOD : BREAKER_BAD;
    return http->status == STATUS_CANCELLED || (http->status == STATUS_DEADLINE_EXCEEDED && was_short) ? BREAKER_IGNORED
                                                                                                       : BREAKER_BAD;
}

static void verdict_take(backend_job_t *job, const http_result_t *http, backend_verdict_t verdict, int64_t now_us)
{
    backend_t *backend = job->backend;
    breaker_state_t before = breaker_state(&backend->breaker);
    metric_add(verdict == BACKEND_WELL ? backend->well : verdict == BACKEND_BUSY ? backend->busy : backend->failed, 1);
    metric_observe(backend->seconds, (double)(now_us - job->sent_us) / 1e6);
    if (verdict == BACKEND_BUSY)
        token_bucket_pause(&backend->pace, BUSY_PAUSE_NS, now_us * NS_PER_US);
    breaker_report(&backend->breaker, &job->permit, outcome_of(job, http, verdict), now_us, chance());
    breaker_state_t after = breaker_state(&backend->breaker);
    if (after != before)
        log_warn("breaker changed", LOG_S("backend", backend->options.name),
                 LOG_S("status", breaker_state_name(after)));
}

/* -- sending --------------------------------------------------------------------------------------------------- */
static void job_done(void *ctx, const http_result_t *http)
{
    backend_job_t *job = ctx;
    backend_t *backend = job->backend;
    error_t err = {0};
    if (!backend) { /* freed meanwhile */
        job_free(job);
        return;
    }
    backend_result_t result = {.http = http, .sent_us = job->sent_us, .done_us = clock_mono_us()};
    if (http->status != STATUS_OK) {
        (void)error_set(&err, http->status, NULL, "%s: %s", backend->options.name,
                        http->error ? http->error : "no answer");
        result.err = &err;
    }
    list_remove(job);
    backend->in_flight--;
    job->is_told = !job->is_cancelled;
    backend_verdict_t said = job->is_told ? job->call.fn(job->call.ctx, &result) : BACKEND_WELL;
    verdict_take(job, http, result.err ? BACKEND_FAILED : said, result.done_us);
    job_free(job);
    backend_wake(backend);
}

static const char *optional(const char *text)
{
    return text && *text ? text : NULL;
}

static bool job_start(backend_job_t *job, int64_t now_us, error_t *err)
{
    const backend_t *backend = job->backend;
    int64_t left_ms = (job->call.deadline_us - now_us) / US_PER_MS;
    int64_t timeout_ms = left_ms < backend->options.timeout_ms ? left_ms : backend->options.timeout_ms;
    const http_call_t call = {.method = job->call.method,
                              .url = job->url,
                              .headers = job->call.headers,
                              .header_count = job->call.header_count,
                              .body = buf_bytes(&job->call.body),
                              .timeout_ms = timeout_ms,
                              .body_max_bytes = BACKEND_BODY_MAX_BYTES,
                              .on_done = job_done,
                              .ctx = job,
                              .ca_file = optional(backend->options.ca_file),
                              .cert_file = optional(backend->options.cert_file),
                              .key_file = optional(backend->options.key_file)};
    job->sent_us = now_us;
    job->timeout_us = timeout_ms * US_PER_MS;
    job->exchange = http_client_start(backend->http, &call, err);
    return job->exchange != NULL;
}

static bool is_too_late(const backend_job_t *job, int64_t now_us)
{
    return job->call.deadline_us - now_us < BACKEND_LEAST_LEFT_MS * US_PER_MS;
}

static void job_send(backend_t *backend, backend_job_t *job, int64_t now_us)
{
    error_t err = {0};
    if (!job_start(job, now_us, &err)) {
        breaker_report(&backend->breaker, &job->permit, BREAKER_IGNORED, now_us, chance());
        job_refuse(job, &err, now_us);
        return;
    }
    list_remove(job);
    backend->waiting--;
    list_push(&backend->running, job);
    backend->in_flight++;
}

/* -- choosing --------------------------------------------------------------------------------------------------- */
static int64_t source_due_us(const backend_t *backend, bool is_live)
{
    return backend->source.due_us ? backend->source.due_us(backend->source.ctx, is_live) : INT64_MAX;
}

/* What the source makes is queued like any other, and sent in this same turn. */
static bool source_take(backend_t *backend, bool is_live, int64_t now_us)
{
    backend_call_t call = {0};
    if (source_due_us(backend, is_live) > now_us || !backend->source.make(backend->source.ctx, is_live, now_us, &call))
        return false;
    backend_job_t *job = job_new(backend, &call);
    if (!job) {
        const error_t err = {.code = STATUS_RESOURCE_EXHAUSTED, .message = "out of memory"};
        const backend_result_t result = {.err = &err, .sent_us = now_us, .done_us = now_us};
        (void)call.fn(call.ctx, &result);
        return false;
    }
    list_push(is_live ? &backend->live : &backend->other, job);
    backend->waiting++;
    return true;
}

static void drop_late(list_t *list, int64_t now_us)
{
    const error_t err = {.code = STATUS_DEADLINE_EXCEEDED, .message = "no time was left when the call could be made"};
    while (list->first && is_too_late(list->first, now_us))
        job_refuse(list->first, &err, now_us);
}

/* The next to leave: live before others; among others, the source and the queue take turns. */
static backend_job_t *choose(backend_t *backend, int64_t now_us)
{
    if (backend->live.first || source_take(backend, true, now_us))
        return backend->live.first;
    backend->is_other_turn = !backend->is_other_turn;
    if (backend->is_other_turn && backend->other.first)
        return backend->other.first;
    return source_take(backend, false, now_us) ? backend->other.last : backend->other.first;
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool has_permit(const backend_t *backend)
{
    return !backend->purse || !purse_is_there(backend->purse) || purse_has(backend->purse);
}

/* What waits, and what the source can make by the time a permit has come. */
static uint32_t needed(const backend_t *backend, bool is_live, int64_t now_us)
{
    const list_t *list = is_live ? &backend->live : &backend->other;
    return list->count + (source_due_us(backend, is_live) - PERMIT_AHEAD_US <= now_us);
}

static void permits_need(backend_t *backend, int64_t now_us)
{
    bool is_full = backend->in_flight >= backend->options.in_flight_max;
    if (!backend->purse)
        return;
    purse_need(backend->purse, PRIORITY_LIVE, is_full ? 0 : needed(backend, true, now_us));
    purse_need(backend->purse, PRIORITY_OTHER, is_full ? 0 : needed(backend, false, now_us));
}

/* When there may be something to do without an event: the pace, a pause, a source whose books have gathered, or a
 * deadline of what waits for permits. */
static void timer_arm(backend_t *backend, int64_t now_us)
{
    int64_t due_us = earlier(source_due_us(backend, true), source_due_us(backend, false));
    if (backend->waiting)
        due_us = now_us;
    int64_t free_us = now_us + token_bucket_wait_ns(&backend->pace, 1, now_us * NS_PER_US) / NS_PER_US + 1;
    if (!has_permit(backend) && due_us <= now_us)
        free_us = now_us + BACKEND_PERMIT_LOOK_MS * US_PER_MS;
    if (due_us == INT64_MAX || backend->in_flight >= backend->options.in_flight_max)
        loop_timer_off(backend->timer);
    else
        loop_timer_at(backend->timer, due_us > free_us ? due_us : free_us);
}

static bool has_room(const backend_t *backend, int64_t now_us)
{
    return backend->in_flight < backend->options.in_flight_max &&
           token_bucket_wait_ns(&backend->pace, 1, now_us * NS_PER_US) == 0 && has_permit(backend);
}

/* has_room has looked before. */
static bool pace_take(backend_t *backend, int64_t now_us)
{
    if (backend->purse && purse_is_there(backend->purse) && !purse_take(backend->purse))
        return false;
    return token_bucket_take(&backend->pace, 1, now_us * NS_PER_US);
}

static bool send_one(backend_t *backend, int64_t now_us)
{
    backend_job_t *job = has_room(backend, now_us) ? choose(backend, now_us) : NULL;
    if (!job)
        return false;
    if (!breaker_admit(&backend->breaker, now_us, &job->permit)) {
        refuse_all(backend, now_us);
        return false;
    }
    if (!pace_take(backend, now_us)) { /* a permit ran out in this very moment */
        breaker_report(&backend->breaker, &job->permit, BREAKER_IGNORED, now_us, chance());
        return false;
    }
    job_send(backend, job, now_us);
    return true;
}

static void pump(backend_t *backend)
{
    if (backend->is_pumping)
        return; /* a callback of this very pump */
    backend->is_pumping = true;
    int64_t now_us = clock_mono_us();
    drop_late(&backend->live, now_us);
    drop_late(&backend->other, now_us);
    while (send_one(backend, now_us))
        now_us = clock_mono_us();
    backend->is_pumping = false;
    permits_need(backend, now_us);
    timer_arm(backend, now_us);
}

static void on_timer(void *ctx)
{
    pump(ctx);
}

static void on_permits(void *ctx)
{
    pump(ctx);
}

void backend_wake(backend_t *backend)
{
    int64_t now_us = clock_mono_us();
    if (backend->is_pumping)
        return;
    permits_need(backend, now_us);
    timer_arm(backend, now_us);
}

/* -- asking -------------------------------------------------------------------------------------------------------- */
backend_job_t *backend_submit(backend_t *backend, backend_call_t *call, error_t *err)
{
    backend_job_t *job = NULL;
    if (backend->waiting >= BACKEND_WAITING_MAX)
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "too many calls wait for %s", backend->options.name);
    else if (backend_is_open_for_calls(backend, err)) {
        job = job_new(backend, call);
        if (!job)
            (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    }
    buf_free(&call->body);
    if (!job)
        return NULL;
    list_push(job->call.is_live ? &backend->live : &backend->other, job);
    backend->waiting++;
    backend_wake(backend);
    return job;
}

void backend_cancel(backend_t *backend, backend_job_t *job)
{
    if (job->list == &backend->running) {
        job->is_cancelled = true;
        http_exchange_cancel(job->exchange);
        return;
    }
    list_remove(job);
    backend->waiting--;
    job_free(job);
}

/* -- life ------------------------------------------------------------------------------------------------------------
 */
static void collect(void *ctx)
{
    backend_t *backend = ctx;
    metric_set(backend->in_flight_gauge, (double)backend->in_flight);
    metric_set(backend->waiting_gauge, (double)backend->waiting);
    metric_set(backend->open_gauge, breaker_state(&backend->breaker) != BREAKER_CLOSED);
}

static metric_t *outcome_metric(metrics_t *metrics, const char *name, const char *outcome)
{
    char labels[LABEL_BYTES];
    (void)snprintf(labels, sizeof(labels), "backend=\"%s\",outcome=\"%s\"", name, outcome);
    return metrics_counter(metrics, "mangabus_backend_calls_total", labels, "Calls to old systems by how they ended.");
}

static void metrics_make(backend_t *backend, metrics_t *metrics)
{
    char labels[LABEL_BYTES];
    const char *name = backend->options.name;
    (void)snprintf(labels, sizeof(labels), "backend=\"%s\"", name);
    backend->well = outcome_metric(metrics, name, "well");
    backend->busy = outcome_metric(metrics, name, "busy");
    backend->failed = outcome_metric(metrics, name, "failed");
    backend->refused = outcome_metric(metrics, name, "not_sent");
    backend->seconds =
        metrics_histogram(metrics, "mangabus_backend_call_seconds", labels, "Time of calls that were sent.", NULL, 0);
    backend->in_flight_gauge =
        metrics_gauge(metrics, "mangabus_backend_in_flight", labels, "Calls that are on their way.");
    backend->waiting_gauge =
        metrics_gauge(metrics, "mangabus_backend_waiting", labels, "Calls that wait for the pace or for room.");
    backend->open_gauge =
        metrics_gauge(metrics, "mangabus_backend_breaker_open", labels, "1 while the breaker lets nothing through.");
    metrics_on_collect(metrics, collect, backend);
}

static bool purse_open(backend_t *backend, error_t *err)
{
    const backend_options_t *o = &backend->options;
    const purse_options_t options = {
        .bucket = o->bucket, .most = BACKEND_PERMITS_MOST, .on_change = on_permits, .ctx = backend};
    if (!o->bus || !o->bucket || !*o->bucket)
        return true;
    backend->purse = purse_new(backend->loop, o->bus, &options, err);
    return backend->purse != NULL;
}

backend_t *backend_new(loop_t *loop, http_client_t *http, metrics_t *metrics, const backend_options_t *options,
                       error_t *err)
{
    backend_t *backend = calloc(1, sizeof(*backend));
    if (!backend)
        return NULL;
    backend->loop = loop;
    backend->http = http;
    backend->options = *options;
    backend->url = strdup(options->url);
    backend->timer = loop_timer_new(loop, on_timer, backend);
    const breaker_options_t breaker = {.open_us = options->open_ms * US_PER_MS};
    if (backend->url && backend->timer && purse_open(backend, err) &&
        breaker_init(&backend->breaker, &breaker, clock_mono_us()) &&
        token_bucket_init(&backend->pace, options->rate_per_s, options->burst, clock_mono_ns())) {
        metrics_make(backend, metrics);
        return backend;
    }
    (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s: rate and burst are at least 1", options->name);
    backend_free(&backend);
    return NULL;
}

static void list_free(list_t *list)
{
    while (list->first) {
        backend_job_t *job = list->first;
        list_remove(job);
        job_free(job);
    }
}

void backend_free(backend_t **backend)
{
    if (!*backend)
        return;
    for (backend_job_t *job = (*backend)->running.first, *next; job; job = next) {
        next = job->next;
        job->backend = NULL; /* job_done frees it */
        http_exchange_cancel(job->exchange);
    }
    list_free(&(*backend)->live);
    list_free(&(*backend)->other);
    purse_free(&(*backend)->purse);
    loop_timer_end(&(*backend)->timer);
    free((*backend)->url);
    free(*backend);
    *backend = NULL;
}

void backend_set_source(backend_t *backend, const backend_source_t *source)
{
    backend->source = *source;
}
