/* http_server.c: libmicrohttpd's daemon on the loop: its epoll descriptor is one watch, its time-outs one timer. A
 * connection whose handler has not answered is suspended, and resumed by the answer. */
#include "kit/http_server.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <gnutls/gnutls.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kit/http_server_internal.h"
#include "kit/log.h"

#define IDLE_TIMEOUT_S 60
#define CONNECTION_MEMORY_BYTES ((size_t)128 << 10) /* request line, headers and one stretch of body */
#define LISTEN_BACKLOG 511
#define LOG_TEXT_BYTES 512

/* -- turning ------------------------------------------------------------------------------------- */
static void turn(void *ctx)
{
    http_server_t *server = ctx;
    (void)MHD_run(server->daemon);
    MHD_UNSIGNED_LONG_LONG timeout_ms;
    if (MHD_get_timeout(server->daemon, &timeout_ms) == MHD_YES)
        loop_timer_in(server->timer, timeout_ms > INT32_MAX ? INT32_MAX : (int64_t)timeout_ms);
    else
        loop_timer_off(server->timer);
}

static void on_ready(void *ctx, int events UNUSED)
{
    turn(ctx);
}

void http_request_resume(http_request_t *request)
{
    if (!request->connection || !request->is_suspended)
        return;
    request->is_suspended = false;
    MHD_resume_connection(request->connection);
    loop_timer_in(request->server->timer, 0);
}

static enum MHD_Result suspend(http_request_t *request)
{
    request->is_suspended = true;
    MHD_suspend_connection(request->connection);
    return MHD_YES;
}

/* -- a request comes in -------------------------------------------------------------------------- */
/* Called first, with the request line's target as it is on the wire; what it returns is the request's own. */
static void *on_uri(void *ctx, const char *uri, struct MHD_Connection *connection UNUSED)
{
    return http_request_new(ctx, uri);
}

static bool client_is_verified(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    unsigned problems = 0;
    return info && gnutls_certificate_verify_peers2(info->tls_session, &problems) == GNUTLS_E_SUCCESS && problems == 0;
}

/* A body that is announced as too large is not even read. */
static bool announces_too_much(const http_request_t *request)
{
    const char *length = http_request_header(request, "Content-Length");
    return length && strtoull(length, NULL, 10) > request->server->body_max_bytes;
}

static enum MHD_Result queue(http_request_t *request)
{
    enum MHD_Result queued = MHD_queue_response(request->connection, request->status, request->response);
    MHD_destroy_response(request->response); /* the connection holds its own reference */
    request->response = NULL;
    return queued;
}

static enum MHD_Result refuse_too_large(http_request_t *request)
{
    request->handed = true;
    http_request_refuse(request, MHD_HTTP_CONTENT_TOO_LARGE, "The body is too large.\n");
    return queue(request);
}

static enum MHD_Result begin(http_request_t *request, struct MHD_Connection *connection, const char *path,
                             const char *method)
{
    request->begun = true;
    request->connection = connection;
    request->path = bytes_dup(bytes_cstr(path));
    request->method = bytes_dup(bytes_cstr(method));
    if (!request->path || !request->method)
        return MHD_NO;
    request->unverified = request->server->verify_client && !client_is_verified(connection);
    return announces_too_much(request) ? refuse_too_large(request) : MHD_YES;
}

/* What is past the bound is read and forgotten, so that the client gets to hear the refusal. */
static enum MHD_Result feed(http_request_t *request, bytes_t piece)
{
    if (piece.len > request->server->body_max_bytes - request->body.len)
        request->too_large = true;
    else if (!request->too_large)
        buf_append_bytes(&request->body, piece);
    return request->body.failed ? MHD_NO : MHD_YES;
}

static enum MHD_Result hand_over(http_request_t *request)
{
    http_server_t *server = request->server;
    request->handed = true;
    if (request->too_large)
        return refuse_too_large(request);
    if (request->unverified) {
        http_request_refuse(request, MHD_HTTP_FORBIDDEN, "A client certificate of the expected authority is needed.\n");
        return queue(request);
    }
    request->in_handler = true;
    server->fn(server->ctx, request);
    request->in_handler = false;
    return request->response ? queue(request) : suspend(request);
}

static enum MHD_Result on_access(void *ctx UNUSED, struct MHD_Connection *connection, const char *path,
                                 const char *method, const char *version UNUSED, const char *data, size_t *size,
                                 void **own)
{
    http_request_t *request = *own;
    if (!request)
        return MHD_NO; /* out of memory: the connection is closed */
    if (!request->begun)
        return begin(request, connection, path, method);
    if (*size > 0) {
        bytes_t piece = bytes_from(data, *size);
        *size = 0;
        return feed(request, piece);
    }
    if (request->response)
        return queue(request);
    return request->handed ? suspend(request) : hand_over(request);
}

static void on_completed(void *ctx UNUSED, struct MHD_Connection *connection UNUSED, void **own,
                         enum MHD_RequestTerminationCode how UNUSED)
{
    if (*own)
        http_request_detach(*own);
    *own = NULL;
}

static PRINTF_LIKE(2, 0) void on_log(void *ctx UNUSED, const char *format, va_list args)
{
    char text[LOG_TEXT_BYTES];
    (void)vsnprintf(text, sizeof text, format, args);
    log_debug("HTTP server", LOG_S("error", text));
}

/* -- life ---------------------------------------------------------------------------------------- */
typedef union {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
} address_t;

static bool address_parse(const char *text, uint16_t port, address_t *out, socklen_t *len)
{
    *out = (address_t){0};
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *len = sizeof out->v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) != 1)
        return false;
    out->v6.sin6_family = AF_INET6;
    out->v6.sin6_port = htons(port);
    *len = sizeof out->v6;
    return true;
}

static bool listen_on(http_server_t *server, const address_t *address, socklen_t len)
{
    int on = 1, off = 0;
    server->listen_fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server->listen_fd < 0)
        return false;
    (void)setsockopt(server->listen_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (address->any.sa_family == AF_INET6) /* "::" takes IPv4 as well */
        (void)setsockopt(server->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);
    address_t bound;
    socklen_t bound_len = sizeof bound;
    if (bind(server->listen_fd, &address->any, len) != 0 || listen(server->listen_fd, LISTEN_BACKLOG) != 0 ||
        getsockname(server->listen_fd, &bound.any, &bound_len) != 0)
        return false;
    server->port = ntohs(bound.any.sa_family == AF_INET6 ? bound.v6.sin6_port : bound.v4.sin_port);
    return true;
}

static bool server_listen(http_server_t *server, const http_server_options_t *options, error_t *err)
{
    const char *text = options->address ? options->address : "127.0.0.1";
    address_t address;
    socklen_t len;
    if (!address_parse(text, options->port, &address, &len))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s is no IP address to listen on", text);
    if (listen_on(server, &address, len))
        return true;
    status_t code = errno == EADDRINUSE ? STATUS_ALREADY_EXISTS : STATUS_UNAVAILABLE;
    return error_set(err, code, NULL, "cannot listen on %s port %u: %s", text, options->port, strerror(errno));
}

static bool server_start(http_server_t *server, const http_server_options_t *o, error_t *err)
{
    bool tls = o->tls_cert_pem != NULL;
    struct MHD_OptionItem tls_items[] = {
        {MHD_OPTION_HTTPS_MEM_CERT, 0, (void *)(uintptr_t)o->tls_cert_pem},
        {MHD_OPTION_HTTPS_MEM_KEY, 0, (void *)(uintptr_t)o->tls_key_pem},
        {o->tls_client_ca_pem ? MHD_OPTION_HTTPS_MEM_TRUST : MHD_OPTION_END, 0,
         (void *)(uintptr_t)o->tls_client_ca_pem},
        {MHD_OPTION_END, 0, NULL},
    };
    struct MHD_OptionItem none = {MHD_OPTION_END, 0, NULL};
    unsigned flags = MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG | (tls ? MHD_USE_TLS : 0U);
    server->daemon = MHD_start_daemon(
        flags, 0, NULL, NULL, on_access, server, MHD_OPTION_EXTERNAL_LOGGER, on_log, server, MHD_OPTION_LISTEN_SOCKET,
        server->listen_fd, MHD_OPTION_URI_LOG_CALLBACK, on_uri, server, MHD_OPTION_NOTIFY_COMPLETED, on_completed,
        server, MHD_OPTION_CONNECTION_LIMIT, (unsigned)HTTP_SERVER_CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)IDLE_TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_MEMORY_BYTES, MHD_OPTION_ARRAY,
        tls ? tls_items : &none, MHD_OPTION_END);
    if (!server->daemon)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the HTTP server does not start%s",
                         tls ? ": look at its certificate and key" : "");
    server->listen_fd = -1; /* the daemon closes it */
    return true;
}

static bool server_attach(http_server_t *server, error_t *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    server->timer = loop_timer_new(server->loop, turn, server);
    if (info && server->timer)
        server->watch = loop_watch_fd(server->loop, info->epoll_fd, LOOP_READ, on_ready, server);
    if (!server->watch)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "the HTTP server cannot be watched");
    return true;
}

http_server_t *http_server_new(loop_t *loop, const http_server_options_t *options, http_handler_fn fn, void *ctx,
                               error_t *err)
{
    http_server_t *server = calloc(1, sizeof *server);
    if (!server) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    server->loop = loop;
    server->fn = fn;
    server->ctx = ctx;
    server->body_max_bytes = options->body_max_bytes ? options->body_max_bytes : HTTP_SERVER_BODY_MAX_BYTES;
    server->verify_client = options->tls_client_ca_pem != NULL;
    server->listen_fd = -1;
    if (!server_listen(server, options, err) || !server_start(server, options, err) || !server_attach(server, err))
        http_server_free(&server);
    return server;
}

/* libmicrohttpd does not stop while a connection is suspended. */
static void resume_all(http_server_t *server)
{
    for (http_request_t *request = server->live; request; request = request->next)
        http_request_resume(request);
}

void http_server_free(http_server_t **self)
{
    http_server_t *server = *self;
    if (!server)
        return;
    *self = NULL;
    loop_watch_end(&server->watch);
    if (server->daemon) {
        resume_all(server);
        MHD_stop_daemon(server->daemon);
    }
    assert(!server->live);
    loop_timer_end(&server->timer);
    if (server->listen_fd >= 0)
        (void)close(server->listen_fd);
    free(server);
}

uint16_t http_server_port(const http_server_t *server)
{
    return server->port;
}
