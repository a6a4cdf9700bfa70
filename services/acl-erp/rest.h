/* rest.h: a JSON call to the order system or the payment gateway, and what its HTTP status means.
 *
 * 404 is NOT_FOUND, 409 and 422 FAILED_PRECONDITION, other 4xx INTERNAL (our request was wrong), 429 and 503
 * UNAVAILABLE with a pause, other 5xx UNAVAILABLE. The document is read with a bound and handed on as msgpack. */
#ifndef ACL_ERP_REST_H
#define ACL_ERP_REST_H

#include "services/acl-erp/backend.h"

#define REST_BODY_MAX_BYTES ((size_t)1 << 20)
#define REST_DEPTH_MAX 16
#define REST_PATH_MAX_BYTES 2048

typedef struct {
    const error_t *err; /* NULL: `document` is the answer */
    bytes_t document;   /* a msgpack map; lives until fn returns */
    int64_t sent_us, done_us;
} rest_result_t;

/* False: the document makes no sense (that is the backend's fault). */
typedef bool (*rest_fn)(void *ctx, const rest_result_t *result);

typedef struct {
    const char *method;
    const char *path;            /* see rest_path_append */
    const char *idempotency_key; /* NULL for none */
    bytes_t body;                /* JSON; empty for none */
    int64_t deadline_us;
    rest_fn fn; /* exactly once unless cancelled; never inside rest_call */
    void *ctx;
} rest_call_t;

/* NULL when it could not be made (then fn is not called). */
MUST_USE backend_job_t *rest_call(backend_t *backend, const rest_call_t *call, error_t *err);

/* Appends text percent-encoded, for one segment of a path or one value of a query. */
void rest_path_append(buf_t *out, bytes_t text);

#endif
