/* aws.h: who we are at AWS, where its services are, and one signed request.
 *
 * Credentials come from the environment (AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN), else from
 * the container's endpoint (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, with
 * AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN), asked at start and again before
 * they expire. Key, secret and token are one set and are only ever replaced together. Profiles, SSO, web
 * identity and instance metadata are not read; where they would be needed aws_new says so.
 *
 * Source of names and order: AWS SDKs and Tools Reference Guide; refresh margin as botocore's.
 * One loop's thread; nothing blocks. */
#ifndef KIT_AWS_H
#define KIT_AWS_H

#include "kit/http_client.h"
#include "kit/loop.h"
#include "kit/sigv4.h"

#define AWS_REGION_DEFAULT "ap-northeast-1"
#define AWS_HEADERS_MAX 16
#define AWS_REFRESH_BEFORE_S 900 /* new credentials are asked for this long before the old expire */

typedef struct aws aws_t;

/* Reads the environment. FAILED_PRECONDITION when it names no credentials that are read here, INVALID_ARGUMENT
 * for a container endpoint that is neither https nor local. `http` must outlive it. */
MUST_USE aws_t *aws_new(loop_t *loop, http_client_t *http, error_t *err);
void aws_free(aws_t **aws);

const char *aws_region(const aws_t *aws); /* AWS_REGION, AWS_DEFAULT_REGION, AWS_REGION_DEFAULT */

/* The set that is good now; NULL with UNAVAILABLE while there is none yet, or UNAUTHENTICATED when the last has
 * expired and no new one came. Valid until the loop turns. */
MUST_USE const sigv4_credentials_t *aws_credentials(const aws_t *aws, error_t *err);

/* Appends the base URL of a service, without a slash at the end: AWS_ENDPOINT_URL_<service_id> (as
 * "BEDROCK_RUNTIME", "EVENTBRIDGE", "SQS"), AWS_ENDPOINT_URL (neither with
 * AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true), else https://<prefix>.<region>.amazonaws.com. */
void aws_endpoint(const char *service_id, const char *prefix, const char *region, buf_t *out);

typedef struct {
    const char *method;
    const char *endpoint;         /* from aws_endpoint */
    const char *path;             /* percent-encoded, as it goes on the wire: "/model/anthropic…%3A0/invoke" */
    const char *query;            /* NULL for none */
    const char *service;          /* signing name: "bedrock", "events", "sqs" */
    const http_header_t *headers; /* without Host, X-Amz-Date, Authorization */
    size_t header_count;          /* <= AWS_HEADERS_MAX */
    bytes_t body;
    int64_t timeout_ms, connect_timeout_ms; /* as of http_call_t */
    http_piece_fn on_piece;
    http_done_fn on_done;
    void *ctx;
} aws_call_t;

/* Signs with the time of now and starts. NULL when it could not be started; then on_done is not called. */
MUST_USE http_exchange_t *aws_start(aws_t *aws, const aws_call_t *call, error_t *err);

/* Puts an answer that is no success in our words: x-amzn-errortype (or the body's __type or code) as `aws`, the
 * body's message, and the code of ours that fits the name, else the HTTP status. Throttling is
 * RESOURCE_EXHAUSTED with retry_after_ms (Retry-After, x-amz-retry-after, or a second). `body` is result->body,
 * or what was gathered piece by piece. Also for results without an answer (status not OK). */
void aws_error(const http_result_t *result, bytes_t body, error_t *out);
/* The code of ours that fits the name of an AWS error; STATUS_UNKNOWN for one that is not known. */
status_t aws_code(const char *name);
/* The same from parts: `type` and `message` as AWS writes them (an exception inside a stream, say). */
void aws_error_from(const char *type, const char *message, unsigned http_status, int64_t retry_after_ms, error_t *out);

#endif
