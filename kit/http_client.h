/* http_client.h: HTTP requests on the loop, over libcurl's multi interface.
 *
 * One client per process; connections are kept and reused. Host names are resolved off the loop. Redirects
 * are not followed. TLS is verified. A request ends exactly once in its callback, also when cancelled or at
 * shutdown. Retrying is not done here: one layer decides that (docs/conventions.md). */
#ifndef KIT_HTTP_CLIENT_H
#define KIT_HTTP_CLIENT_H

#include "kit/http_server.h"
#include "kit/loop.h"
#include "proto/bytes.h"

#define HTTP_CLIENT_BODY_MAX_BYTES ((size_t)32 << 20)

typedef struct http_client http_client_t;
typedef struct http_exchange http_exchange_t;

typedef struct {
    status_t status;      /* OK: an HTTP answer came, whatever its code; else UNAVAILABLE, DEADLINE_EXCEEDED, … */
    const char *error;    /* why not, when status is not OK */
    unsigned http_status; /* 200, … */
    bytes_t body;         /* empty when it was handed on in pieces */
    int64_t duration_us;
    const http_exchange_t *exchange; /* for http_exchange_header */
} http_result_t;

typedef void (*http_done_fn)(void *ctx, const http_result_t *result);
/* A piece of the body as it comes; false ends the exchange (CANCELLED). `http_status` is known by then. */
typedef bool (*http_piece_fn)(void *ctx, unsigned http_status, bytes_t piece);

typedef struct {
    const char *method; /* "GET", "POST", … */
    const char *url;    /* sent as it is: percent-encode beforehand */
    const http_header_t *headers;
    size_t header_count;
    bytes_t body;               /* copied */
    int64_t timeout_ms;         /* whole exchange; > 0 */
    int64_t connect_timeout_ms; /* 0: the whole */
    size_t body_max_bytes;      /* 0: HTTP_CLIENT_BODY_MAX_BYTES */
    http_piece_fn on_piece;     /* NULL: the body is gathered */
    http_done_fn on_done;
    void *ctx;
    const char *ca_file, *cert_file, *key_file; /* mTLS; NULL: system CAs, no certificate */
} http_call_t;

MUST_USE http_client_t *http_client_new(loop_t *loop, error_t *err);
void http_client_free(http_client_t **client); /* ends what runs with CANCELLED */

/* NULL when it could not even be started (then on_done is not called), as when `client` is NULL: it has ended. */
MUST_USE http_exchange_t *http_client_start(http_client_t *client, const http_call_t *call, error_t *err);
void http_exchange_cancel(http_exchange_t *exchange); /* on_done follows, with CANCELLED */
/* A header of the answer, by case-insensitive name; NULL when absent. Valid inside on_piece and on_done. */
const char *http_exchange_header(const http_exchange_t *exchange, const char *name);

/* A longer pause than this is no pause to wait for. */
#define HTTP_RETRY_AFTER_MAX_MS (INT64_C(24) * 3600 * 1000)

/* The pause that the answer asks for in a header of whole numbers, `unit_ms` each ("Retry-After": 1000); 0 when there
 * is none, or what is there is a date, nonsense, or more than HTTP_RETRY_AFTER_MAX_MS. */
int64_t http_exchange_pause_ms(const http_exchange_t *exchange, const char *name, int64_t unit_ms);

#endif
