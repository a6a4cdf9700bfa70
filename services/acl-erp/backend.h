/* backend.h: one old system behind HTTP: paced, bounded, guarded by a breaker, live questions before batch work.
 *
 * Calls wait in two queues until the pace, the number in flight and the breaker let them go. An open breaker ends what
 * waits at once (UNAVAILABLE, with retry_after_ms); so does a deadline that leaves no time for an answer. There are two
 * paces: this process's own, and where a bucket is named the permits of that bucket, which all instances draw from. A
 * broker that has no such bucket leaves the own pace alone, and the log says so.
 *
 * A source is asked for a call at the moment when one may leave: so a batch is filled as late as it can be.
 * Callbacks run on the loop's thread. */
#ifndef ACL_ERP_BACKEND_H
#define ACL_ERP_BACKEND_H

#include "kit/bus.h"
#include "kit/http_client.h"
#include "kit/loop.h"
#include "kit/metrics.h"
#include "proto/status.h"

#define BACKEND_WAITING_MAX 5000  /* calls in the queues */
#define BACKEND_LEAST_LEFT_MS 20  /* with less time than this no call is made */
#define BACKEND_PERMIT_LOOK_MS 25 /* how often it is looked for deadlines while permits are waited for */
#define BACKEND_PERMITS_MOST 4    /* in hand or asked for at once */
#define BACKEND_HEADERS_MAX 4
#define BACKEND_BODY_MAX_BYTES ((size_t)4 << 20)

typedef struct backend backend_t;
typedef struct backend_job backend_job_t;

/* How an ended call looks to the breaker. */
typedef enum {
    BACKEND_WELL,   /* it answered, be it a refusal of this one request */
    BACKEND_BUSY,   /* it asked for less: nothing is sent for a while */
    BACKEND_FAILED, /* it did not answer, or said itself that something is wrong with it */
} backend_verdict_t;

typedef struct {
    const http_result_t *http; /* NULL when nothing was sent */
    const error_t *err;        /* NULL when an HTTP answer came */
    int64_t sent_us, done_us;  /* monotonic */
} backend_result_t;

/* The verdict counts only when an HTTP answer came; without one the backend judges itself. */
typedef backend_verdict_t (*backend_done_fn)(void *ctx, const backend_result_t *result);

typedef struct {
    const char *method;
    const char *path;                           /* behind the base URL; copied */
    http_header_t headers[BACKEND_HEADERS_MAX]; /* values are copied, names are literals */
    size_t header_count;
    buf_t body; /* taken over, also on failure */
    bool is_live;
    int64_t deadline_us; /* monotonic */
    backend_done_fn fn;  /* exactly once, unless cancelled; never inside backend_submit */
    void (*on_cancel)(
        void *ctx); /* instead of fn, when cancelled or at the end of the backend; frees ctx; may be NULL */
    void *ctx;
} backend_call_t;

/* Where batches come from; both may be NULL. */
typedef struct {
    /* When the source next has a call of this kind; INT64_MAX for none. */
    int64_t (*due_us)(void *ctx, bool is_live);
    /* Makes it. False: it had none after all. `now_us` is the moment. */
    bool (*make)(void *ctx, bool is_live, int64_t now_us, backend_call_t *out);
    /* The breaker is open: end what waits. */
    void (*refuse)(void *ctx, const error_t *err);
    void *ctx;
} backend_source_t;

typedef struct {
    const char *name;                           /* "erp", "orders", "payments": label of its metrics */
    const char *url;                            /* http://host:7490 */
    const char *ca_file, *cert_file, *key_file; /* NULL or "": none */
    uint32_t rate_per_s, burst;
    const char *bucket; /* of permits; NULL or "": none. With `bus`, which must not end before the backend is idle */
    bus_t *bus;
    uint32_t in_flight_max;
    int64_t timeout_ms; /* of one call; the deadline may be nearer */
    int64_t open_ms;    /* how long the breaker stays open at first */
} backend_options_t;

MUST_USE backend_t *backend_new(loop_t *loop, http_client_t *http, metrics_t *metrics, const backend_options_t *options,
                                error_t *err);
/* What waits or runs is cancelled. */
void backend_free(backend_t **backend);

void backend_set_source(backend_t *backend, const backend_source_t *source);

/* NULL with RESOURCE_EXHAUSTED when BACKEND_WAITING_MAX wait, UNAVAILABLE when the breaker is open. */
MUST_USE backend_job_t *backend_submit(backend_t *backend, backend_call_t *call, error_t *err);
/* The caller no longer wants to know. */
void backend_cancel(backend_t *backend, backend_job_t *job);

/* The source has something new. Nothing is sent inside this function. */
void backend_wake(backend_t *backend);

/* False with `err` (UNAVAILABLE, retry_after_ms) while the breaker lets nothing through. */
MUST_USE bool backend_is_open_for_calls(const backend_t *backend, error_t *err);

#endif
