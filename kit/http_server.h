/* http_server.h: a small HTTP/1.1 server on the loop, over libmicrohttpd's external epoll.
 *
 * For health, metrics and the simulators; not for the open internet. Handlers run on the loop's thread and
 * answer now or later. Bodies are read whole, up to a bound. */
#ifndef KIT_HTTP_SERVER_H
#define KIT_HTTP_SERVER_H

#include "kit/loop.h"
#include "proto/bytes.h"

#define HTTP_SERVER_BODY_MAX_BYTES ((size_t)26 << 20) /* Bedrock takes bodies up to 25,000,000 bytes */
#define HTTP_SERVER_CONNECTIONS_MAX 1024

typedef struct http_server http_server_t;
typedef struct http_request http_request_t;

typedef struct {
    const char *address;   /* host to bind; NULL for 127.0.0.1; "0.0.0.0" or "::" for all */
    uint16_t port;         /* 0: any free one, see http_server_port */
    size_t body_max_bytes; /* 0: HTTP_SERVER_BODY_MAX_BYTES */
    const char *tls_cert_pem, *tls_key_pem, *tls_client_ca_pem; /* file content; NULL: plain HTTP */
} http_server_options_t;

/* Must lead to exactly one http_respond (or http_respond_begin … end), now or later. */
typedef void (*http_handler_fn)(void *ctx, http_request_t *request);

MUST_USE http_server_t *http_server_new(loop_t *loop, const http_server_options_t *options, http_handler_fn fn,
                                        void *ctx, error_t *err);
void http_server_free(http_server_t **server);
uint16_t http_server_port(const http_server_t *server);

/* Valid until the request is answered. */
const char *http_request_method(const http_request_t *request);
const char *http_request_path(const http_request_t *request);     /* decoded path without query */
const char *http_request_raw_path(const http_request_t *request); /* path and query as they came on the wire */
const char *http_request_header(const http_request_t *request, const char *name); /* NULL when absent */
const char *http_request_query(const http_request_t *request, const char *name);  /* decoded; NULL when absent */
bytes_t http_request_body(const http_request_t *request);
/* Calls `each` for every header. */
void http_request_headers(const http_request_t *request, void (*each)(void *ctx, const char *name, const char *value),
                          void *ctx);

typedef struct {
    const char *name, *value;
} http_header_t;

void http_respond(http_request_t *request, unsigned status, const http_header_t *headers, size_t header_count,
                  bytes_t body);
void http_respond_text(http_request_t *request, unsigned status, const char *content_type, const char *text);

/* A body in pieces, sent as they come (chunked). After `begin`, `piece` any number of times, then `end`. When
 * the client has gone, pieces are dropped; http_request_gone tells. */
void http_respond_begin(http_request_t *request, unsigned status, const http_header_t *headers, size_t header_count);
void http_respond_piece(http_request_t *request, bytes_t piece);
void http_respond_end(http_request_t *request);
bool http_request_gone(const http_request_t *request);

#endif
