/* http_request.c: what a handler sees of a request, and how it answers. */
#include <assert.h>
#include <poll.h>
#include <stdlib.h>

#include "kit/http_server_internal.h"
#include "kit/log.h"

#define STREAM_BLOCK_BYTES ((size_t)16 << 10)
/* A client that lets so much of a streamed answer wait is given up. */
#define STREAM_WAITING_MAX_BYTES ((size_t)64 << 20)

/* -- life ---------------------------------------------------------------------------------------- */
http_request_t *http_request_new(http_server_t *server, const char *raw_path)
{
    http_request_t *request = calloc(1, sizeof *request);
    char *copy = bytes_dup(bytes_cstr(raw_path));
    if (!request || !copy) {
        free(request);
        free(copy);
        return NULL;
    }
    request->server = server;
    request->raw_path = copy;
    request->next = server->live;
    if (server->live)
        server->live->previous = request;
    server->live = request;
    return request;
}

static void request_free(http_request_t *request)
{
    if (request->response)
        MHD_destroy_response(request->response);
    buf_free(&request->body);
    buf_free(&request->pieces);
    free(request->method);
    free(request->path);
    free(request->raw_path);
    free(request);
}

static void unlink_live(http_request_t *request)
{
    if (request->previous)
        request->previous->next = request->next;
    else
        request->server->live = request->next;
    if (request->next)
        request->next->previous = request->previous;
}

void http_request_detach(http_request_t *request)
{
    unlink_live(request);
    request->connection = NULL;
    request->server = NULL;
    /* A handler that was given it and has not answered still holds it. */
    if (request->answered || !request->handed)
        request_free(request);
}

static void finish(http_request_t *request)
{
    request->answered = true;
    if (!request->server)
        request_free(request);
}

/* -- looking ------------------------------------------------------------------------------------- */
const char *http_request_method(const http_request_t *request)
{
    return request->method;
}

const char *http_request_path(const http_request_t *request)
{
    return request->path;
}

const char *http_request_raw_path(const http_request_t *request)
{
    return request->raw_path;
}

static const char *lookup(const http_request_t *request, enum MHD_ValueKind kind, const char *name)
{
    return request->connection ? MHD_lookup_connection_value(request->connection, kind, name) : NULL;
}

const char *http_request_header(const http_request_t *request, const char *name)
{
    return lookup(request, MHD_HEADER_KIND, name);
}

const char *http_request_query(const http_request_t *request, const char *name)
{
    return lookup(request, MHD_GET_ARGUMENT_KIND, name);
}

bytes_t http_request_body(const http_request_t *request)
{
    return buf_bytes(&request->body);
}

typedef struct {
    void (*each)(void *ctx, const char *name, const char *value);
    void *ctx;
} visitor_t;

static enum MHD_Result visit(void *ctx, enum MHD_ValueKind kind UNUSED, const char *name, const char *value)
{
    visitor_t *visitor = ctx;
    visitor->each(visitor->ctx, name, value ? value : "");
    return MHD_YES;
}

void http_request_headers(const http_request_t *request, void (*each)(void *ctx, const char *name, const char *value),
                          void *ctx)
{
    visitor_t visitor = {each, ctx};
    if (request->connection)
        (void)MHD_get_connection_values(request->connection, MHD_HEADER_KIND, visit, &visitor);
}

/* libmicrohttpd does not look at a suspended connection, so its socket is asked. */
bool http_request_gone(const http_request_t *request)
{
    if (!request->connection || request->overflowed)
        return true;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    if (!info)
        return true;
    struct pollfd ask = {.fd = info->connect_fd, .events = POLLRDHUP};
    return poll(&ask, 1, 0) > 0 && (ask.revents & (POLLRDHUP | POLLHUP | POLLERR));
}

/* -- answering ----------------------------------------------------------------------------------- */
static void add_headers(struct MHD_Response *response, const http_header_t *headers, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (MHD_add_response_header(response, headers[i].name, headers[i].value) != MHD_YES)
            log_warn("header of an answer refused", LOG_S("header", headers[i].name));
}

static void answer(http_request_t *request, unsigned status, struct MHD_Response *response,
                   const http_header_t *headers, size_t count)
{
    assert(status >= 200 && status <= 599 && !request->response && !request->answered);
    if (!response)
        abort(); /* out of memory, and no way to say so */
    add_headers(response, headers, count);
    request->status = status;
    request->response = response;
    if (!request->in_handler)
        http_request_resume(request);
}

static struct MHD_Response *whole(bytes_t body)
{
    /* It copies; the pointer is not written through. */
    return MHD_create_response_from_buffer(body.len, (void *)(uintptr_t)body.data, MHD_RESPMEM_MUST_COPY);
}

void http_respond(http_request_t *request, unsigned status, const http_header_t *headers, size_t header_count,
                  bytes_t body)
{
    answer(request, status, whole(body), headers, header_count);
    finish(request);
}

void http_respond_text(http_request_t *request, unsigned status, const char *content_type, const char *text)
{
    http_respond(request, status, &(http_header_t){"Content-Type", content_type}, 1, bytes_cstr(text));
}

void http_request_refuse(http_request_t *request, unsigned status, const char *text)
{
    const http_header_t headers[] = {{"Content-Type", "text/plain; charset=utf-8"}, {"Connection", "close"}};
    request->in_handler = true;
    answer(request, status, whole(bytes_cstr(text)), headers, ARRAY_LEN(headers));
    request->in_handler = false;
    request->answered = true;
}

/* -- answering in pieces ------------------------------------------------------------------------- */
/* libmicrohttpd asks for the next stretch; when there is none yet, the connection sleeps. */
static ssize_t on_read(void *ctx, uint64_t position UNUSED, char *out, size_t max)
{
    http_request_t *request = ctx;
    size_t waiting = request->pieces.len - request->sent;
    if (request->overflowed)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (waiting == 0 && request->answered)
        return MHD_CONTENT_READER_END_OF_STREAM;
    if (waiting == 0) {
        request->is_suspended = true;
        MHD_suspend_connection(request->connection);
        return 0;
    }
    size_t n = waiting < max ? waiting : max;
    memcpy(out, request->pieces.data + request->sent, n);
    request->sent += n;
    if (request->sent == request->pieces.len) {
        buf_clear(&request->pieces);
        request->sent = 0;
    }
    return (ssize_t)n;
}

void http_respond_begin(http_request_t *request, unsigned status, const http_header_t *headers, size_t header_count)
{
    request->streams = true;
    answer(request, status,
           MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK_BYTES, on_read, request, NULL), headers,
           header_count);
}

/* Moves what still waits to the front when that frees half of the memory. */
static void compact(http_request_t *request)
{
    buf_t *pieces = &request->pieces;
    if (request->sent == 0 || request->sent < pieces->len / 2)
        return;
    memmove(pieces->data, pieces->data + request->sent, pieces->len - request->sent);
    pieces->len -= request->sent;
    request->sent = 0;
}

void http_respond_piece(http_request_t *request, bytes_t piece)
{
    assert(request->streams && !request->answered);
    if (!request->connection || request->overflowed)
        return;
    compact(request);
    if (request->pieces.len - request->sent + piece.len > STREAM_WAITING_MAX_BYTES)
        request->overflowed = true;
    else
        buf_append_bytes(&request->pieces, piece);
    request->overflowed = request->overflowed || request->pieces.failed;
    http_request_resume(request);
}

void http_respond_end(http_request_t *request)
{
    assert(request->streams && !request->answered);
    http_request_resume(request);
    finish(request);
}
