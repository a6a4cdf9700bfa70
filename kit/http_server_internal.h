/* http_server_internal.h: the server's daemon (http_server.c) and its requests and answers (http_request.c).
 *
 * A request belongs to two: libmicrohttpd, until its connection has done with it, and the handler, until it has
 * answered. Whoever is last frees it. */
#ifndef KIT_HTTP_SERVER_INTERNAL_H
#define KIT_HTTP_SERVER_INTERNAL_H

#include <microhttpd.h>

#include "kit/http_server.h"

struct http_server {
    loop_t *loop;
    struct MHD_Daemon *daemon;
    loop_watch_t *watch;
    loop_timer_t *timer;
    http_handler_fn fn;
    void *ctx;
    size_t body_max_bytes;
    bool verify_client;
    uint16_t port;
    int listen_fd;        /* until the daemon has it; -1 */
    http_request_t *live; /* those that libmicrohttpd has not done with */
};

struct http_request {
    http_server_t *server;             /* NULL: the server is no more */
    struct MHD_Connection *connection; /* NULL: not begun, or gone */
    char *method, *path, *raw_path;
    buf_t body;
    bool begun, handed, too_large, unverified;
    bool is_suspended;
    bool in_handler; /* the answer is taken up when the handler returns */
    bool answered;   /* the handler is done */
    unsigned status;
    struct MHD_Response *response; /* to be queued; NULL: none yet, or already queued */
    bool streams, overflowed;
    buf_t pieces; /* of a streamed body, from `sent` on not yet taken */
    size_t sent;
    http_request_t *next, *previous; /* in server->live */
};

http_request_t *http_request_new(http_server_t *server, const char *raw_path);
/* libmicrohttpd has done with it. */
void http_request_detach(http_request_t *request);
/* A refusal that the handler never sees. */
void http_request_refuse(http_request_t *request, unsigned status, const char *text);
/* Wakes the connection up after something was added to the answer. */
void http_request_resume(http_request_t *request);

#endif
