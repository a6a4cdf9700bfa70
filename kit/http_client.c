/* http_client.c: libcurl's multi interface driven by the loop: its sockets are watches, its clock one timer. */
#include "kit/http_client.h"

#include <assert.h>
#include <curl/curl.h>
#include <limits.h>
#include <stdlib.h>

#include "kit/clock.h"

#define CONNECTIONS_KEPT 64L
#define CONNECTION_IDLE_MAX_S 50L /* below the idle time-out of common servers and balancers (60 s) */
#define USER_AGENT "mangabus"

struct http_client {
    loop_t *loop;
    CURLM *multi;
    loop_timer_t *timer;
    loop_timer_t *later; /* for what libcurl does not allow inside its own callbacks */
    http_exchange_t *running;
    bool closing;
};

/* How it ended on our side, before libcurl says its word. */
typedef enum { ENDED_NOT, ENDED_CANCELLED, ENDED_TOO_LARGE, ENDED_MEMORY } ended_t;

struct http_exchange {
    http_client_t *client;
    CURL *easy;
    struct curl_slist *headers;
    char *request_body;
    buf_t body;
    size_t body_max_bytes, body_bytes;
    http_piece_fn on_piece;
    http_done_fn on_done;
    void *ctx;
    int64_t begun_us, timeout_ms;
    bool added; /* libcurl knows it */
    ended_t ended;
    char error[CURL_ERROR_SIZE];
    http_exchange_t *next, *previous; /* in client->running */
};

/* -- ending -------------------------------------------------------------------------------------- */
static void exchange_unlink(http_exchange_t *exchange)
{
    if (exchange->previous)
        exchange->previous->next = exchange->next;
    else
        exchange->client->running = exchange->next;
    if (exchange->next)
        exchange->next->previous = exchange->previous;
}

static void exchange_free(http_exchange_t *exchange)
{
    curl_easy_cleanup(exchange->easy);
    curl_slist_free_all(exchange->headers);
    free(exchange->request_body);
    buf_free(&exchange->body);
    free(exchange);
}

/* Time ran out: all of it, or only what was meant for connecting. */
static status_t status_of_timeout(const http_exchange_t *exchange)
{
    int64_t spent_us = clock_mono_us() - exchange->begun_us;
    return spent_us / 1000 >= exchange->timeout_ms ? STATUS_DEADLINE_EXCEEDED : STATUS_UNAVAILABLE;
}

static status_t status_of(const http_exchange_t *exchange, CURLcode code)
{
    switch (code) {
    case CURLE_OK:
        return STATUS_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return status_of_timeout(exchange);
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return STATUS_INVALID_ARGUMENT;
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CACERT_BADFILE:
        return STATUS_UNAUTHENTICATED;
    case CURLE_FILESIZE_EXCEEDED: /* as the answer's Content-Length says */
    case CURLE_OUT_OF_MEMORY:
        return STATUS_RESOURCE_EXHAUSTED;
    default:
        return STATUS_UNAVAILABLE;
    }
}

static void result_fill(const http_exchange_t *exchange, CURLcode code, http_result_t *result)
{
    static const char *const own[] = {
        [ENDED_CANCELLED] = "cancelled",
        [ENDED_TOO_LARGE] = "the body of the answer is too large",
        [ENDED_MEMORY] = "out of memory",
    };
    long http_status = 0;
    (void)curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &http_status);
    result->http_status = (unsigned)http_status;
    result->body = buf_bytes(&exchange->body);
    if (exchange->ended == ENDED_NOT) {
        result->status = status_of(exchange, code);
        result->error = code == CURLE_OK ? NULL : *exchange->error ? exchange->error : curl_easy_strerror(code);
        return;
    }
    result->status = exchange->ended == ENDED_CANCELLED ? STATUS_CANCELLED : STATUS_RESOURCE_EXHAUSTED;
    result->error = own[exchange->ended];
}

static void exchange_finish(http_exchange_t *exchange, CURLcode code)
{
    http_result_t result = {.duration_us = clock_mono_us() - exchange->begun_us, .exchange = exchange};
    exchange_unlink(exchange);
    if (exchange->added)
        (void)curl_multi_remove_handle(exchange->client->multi, exchange->easy);
    result_fill(exchange, code, &result);
    exchange->on_done(exchange->ctx, &result);
    exchange_free(exchange);
}

static void exchange_add(http_exchange_t *exchange)
{
    CURLMcode code = curl_multi_add_handle(exchange->client->multi, exchange->easy);
    exchange->added = code == CURLM_OK;
    if (code == CURLM_RECURSIVE_API_CALL)
        loop_timer_in(exchange->client->later, 0);
    else if (code != CURLM_OK)
        http_exchange_cancel(exchange);
}

/* -- libcurl's multi on the loop ----------------------------------------------------------------- */
static void collect(http_client_t *client)
{
    int left;
    for (CURLMsg *message; (message = curl_multi_info_read(client->multi, &left)) != NULL;) {
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode code = message->data.result; /* the message does not outlive the handle's removal */
        char *exchange;
        if (curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &exchange) == CURLE_OK)
            exchange_finish((http_exchange_t *)(void *)exchange, code);
    }
}

static void act(http_client_t *client, curl_socket_t fd, int what)
{
    int running;
    (void)curl_multi_socket_action(client->multi, fd, what, &running);
    collect(client);
}

static void on_timer(void *ctx)
{
    act(ctx, CURL_SOCKET_TIMEOUT, 0);
}

/* One for each socket of libcurl: a watch tells which events, but not of which descriptor. */
typedef struct {
    http_client_t *client;
    curl_socket_t fd;
    loop_watch_t *watch;
} socket_t;

static void on_socket(void *ctx, int events)
{
    const socket_t *s = ctx;
    act(s->client, s->fd,
        ((events & LOOP_READ) ? CURL_CSELECT_IN : 0) | ((events & LOOP_WRITE) ? CURL_CSELECT_OUT : 0));
}

static void socket_end(socket_t *s)
{
    loop_watch_end(&s->watch);
    free(s);
}

static socket_t *socket_begin(http_client_t *client, curl_socket_t fd, int events)
{
    socket_t *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    *s = (socket_t){.client = client, .fd = fd};
    s->watch = loop_watch_fd(client->loop, fd, events, on_socket, s);
    if (!s->watch) {
        free(s);
        return NULL;
    }
    (void)curl_multi_assign(client->multi, fd, s);
    return s;
}

/* libcurl says what it wants to know of a socket. */
static int on_socket_wish(CURL *easy UNUSED, curl_socket_t fd, int what, void *ctx, void *own)
{
    socket_t *s = own;
    if (what == CURL_POLL_REMOVE) {
        if (s)
            socket_end(s);
        return 0;
    }
    int events = ((what & CURL_POLL_IN) ? LOOP_READ : 0) | ((what & CURL_POLL_OUT) ? LOOP_WRITE : 0);
    if (!s)
        return socket_begin(ctx, fd, events) ? 0 : -1;
    loop_watch_change(s->watch, events);
    return 0;
}

static int on_timer_wish(CURLM *multi UNUSED, long timeout_ms, void *ctx)
{
    http_client_t *client = ctx;
    if (timeout_ms < 0)
        loop_timer_off(client->timer);
    else
        loop_timer_in(client->timer, timeout_ms);
    return 0;
}

/* Adds what was started, and ends what was cancelled, inside a callback of libcurl. */
static void on_later(void *ctx)
{
    http_client_t *client = ctx;
    for (http_exchange_t *exchange = client->running, *next; exchange; exchange = next) {
        next = exchange->next;
        if (exchange->ended == ENDED_CANCELLED) {
            exchange_finish(exchange, CURLE_OK);
            loop_timer_in(client->later, 0); /* on_done may have changed the list: look again */
            return;
        }
        if (!exchange->added)
            exchange_add(exchange);
    }
}

/* -- the client ---------------------------------------------------------------------------------- */
static bool multi_open(http_client_t *client)
{
    CURLM *multi = client->multi = curl_multi_init();
    return multi && curl_multi_setopt(multi, CURLMOPT_SOCKETFUNCTION, on_socket_wish) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_SOCKETDATA, client) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERFUNCTION, on_timer_wish) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_TIMERDATA, client) == CURLM_OK &&
           curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, CONNECTIONS_KEPT) == CURLM_OK;
}

http_client_t *http_client_new(loop_t *loop, error_t *err)
{
    http_client_t *client = NULL;
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK)
        client = calloc(1, sizeof *client);
    if (client) {
        client->loop = loop;
        client->timer = loop_timer_new(loop, on_timer, client);
        client->later = loop_timer_new(loop, on_later, client);
        if (client->timer && client->later && multi_open(client))
            return client;
        http_client_free(&client);
    }
    (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "the HTTP client does not start: out of memory");
    return NULL;
}

void http_client_free(http_client_t **self)
{
    http_client_t *client = *self;
    if (!client)
        return;
    client->closing = true; /* *self stays until the end: callbacks may try to start more */
    while (client->running) {
        client->running->ended = ENDED_CANCELLED;
        exchange_finish(client->running, CURLE_OK);
    }
    (void)curl_multi_cleanup(client->multi); /* ends its sockets' watches, so the client is still needed */
    loop_timer_end(&client->timer);
    loop_timer_end(&client->later);
    free(client);
    *self = NULL;
    curl_global_cleanup();
}

/* -- an exchange --------------------------------------------------------------------------------- */
static size_t on_body(char *data, size_t size, size_t count, void *ctx)
{
    http_exchange_t *exchange = ctx;
    bytes_t piece = bytes_from(data, size * count);
    if (exchange->ended != ENDED_NOT)
        return 0;
    exchange->body_bytes += piece.len;
    if (exchange->body_bytes > exchange->body_max_bytes) {
        exchange->ended = ENDED_TOO_LARGE;
    } else if (exchange->on_piece) {
        long http_status = 0;
        (void)curl_easy_getinfo(exchange->easy, CURLINFO_RESPONSE_CODE, &http_status);
        if (!exchange->on_piece(exchange->ctx, (unsigned)http_status, piece))
            exchange->ended = ENDED_CANCELLED;
    } else {
        buf_append_bytes(&exchange->body, piece);
        if (exchange->body.failed)
            exchange->ended = ENDED_MEMORY;
    }
    return exchange->ended == ENDED_NOT ? piece.len : 0; /* less than it gave ends the exchange */
}

static bool header_add(http_exchange_t *exchange, const char *line)
{
    struct curl_slist *grown = curl_slist_append(exchange->headers, line);
    if (grown)
        exchange->headers = grown;
    return grown != NULL;
}

static bool has_line_break(const char *s)
{
    return strpbrk(s, "\r\n") != NULL;
}

/* A header without value is written with a semicolon, as libcurl wants it. */
static bool header_line(const http_header_t *header, buf_t *line)
{
    buf_clear(line);
    if (*header->value)
        buf_printf(line, "%s: %s", header->name, header->value);
    else
        buf_printf(line, "%s;", header->name);
    return !line->failed;
}

static bool headers_set(http_exchange_t *exchange, const http_call_t *call, error_t *err)
{
    buf_t line = {0};
    /* No "Expect: 100-continue" and no form type: only what the caller says. */
    bool ok = header_add(exchange, "Expect:") && header_add(exchange, "Content-Type:");
    for (size_t i = 0; ok && i < call->header_count; i++) {
        const http_header_t *header = &call->headers[i];
        if (has_line_break(header->name) || has_line_break(header->value)) {
            buf_free(&line);
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a header of the request holds a line break");
        }
        ok = header_line(header, &line) && header_add(exchange, buf_cstr(&line));
    }
    buf_free(&line);
    return ok || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

/* What libcurl is to do; the first option that it refuses is the result. */
static CURLcode options_set(http_exchange_t *exchange, const http_call_t *call)
{
    CURL *easy = exchange->easy;
    long connect_ms = call->connect_timeout_ms > 0 ? (long)call->connect_timeout_ms : (long)call->timeout_ms;
    CURLcode code = CURLE_OK;
#define SET(option, value) (code = code != CURLE_OK ? code : curl_easy_setopt(easy, option, value))
    SET(CURLOPT_URL, call->url);
    SET(CURLOPT_PATH_AS_IS, 1L);
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_HTTPHEADER, exchange->headers);
    SET(CURLOPT_USERAGENT, USER_AGENT);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* a name server that is silent must not hold up an exchange's end */
    SET(CURLOPT_TIMEOUT_MS, (long)call->timeout_ms);
    SET(CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
    SET(CURLOPT_MAXAGE_CONN, CONNECTION_IDLE_MAX_S);
    SET(CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)exchange->body_max_bytes);
    SET(CURLOPT_WRITEFUNCTION, on_body);
    SET(CURLOPT_WRITEDATA, exchange);
    SET(CURLOPT_ERRORBUFFER, exchange->error);
    SET(CURLOPT_PRIVATE, exchange);
    if (call->ca_file)
        SET(CURLOPT_CAINFO, call->ca_file); /* without: Debian's */
    SET(CURLOPT_SSLCERT, call->cert_file);
    SET(CURLOPT_SSLKEY, call->key_file);
    return code;
}

static bool is_one_of(const char *method, const char *a, const char *b, const char *c)
{
    return strcmp(method, a) == 0 || strcmp(method, b) == 0 || strcmp(method, c) == 0;
}

static CURLcode method_set(http_exchange_t *exchange, const http_call_t *call)
{
    CURL *easy = exchange->easy;
    CURLcode code = CURLE_OK;
    if (strcmp(call->method, "HEAD") == 0)
        return SET(CURLOPT_NOBODY, 1L);
    if (call->body.len > 0 || is_one_of(call->method, "POST", "PUT", "PATCH")) {
        SET(CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)call->body.len);
        SET(CURLOPT_POSTFIELDS, exchange->request_body);
    }
    return SET(CURLOPT_CUSTOMREQUEST, call->method);
}
#undef SET

static bool is_method(const char *method)
{
    size_t letters = strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return letters > 0 && method[letters] == '\0';
}

static http_exchange_t *exchange_new(http_client_t *client, const http_call_t *call)
{
    http_exchange_t *exchange = calloc(1, sizeof *exchange);
    if (!exchange)
        return NULL;
    exchange->client = client;
    exchange->body_max_bytes = call->body_max_bytes ? call->body_max_bytes : HTTP_CLIENT_BODY_MAX_BYTES;
    exchange->on_piece = call->on_piece;
    exchange->on_done = call->on_done;
    exchange->ctx = call->ctx;
    exchange->begun_us = clock_mono_us();
    exchange->timeout_ms = call->timeout_ms;
    exchange->request_body = bytes_dup(call->body);
    exchange->easy = curl_easy_init();
    return exchange;
}

static bool exchange_prepare(http_exchange_t *exchange, const http_call_t *call, error_t *err)
{
    if (!exchange || !exchange->easy || !exchange->request_body)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    if (!headers_set(exchange, call, err))
        return false;
    CURLcode code = options_set(exchange, call);
    if (code == CURLE_OK)
        code = method_set(exchange, call);
    if (code != CURLE_OK)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "cannot prepare the request: %s",
                         curl_easy_strerror(code));
    return true;
}

static bool call_check(const http_client_t *client, const http_call_t *call, error_t *err)
{
    assert(call->on_done && call->method && call->url);
    if (!client || client->closing)
        return error_set(err, STATUS_CANCELLED, NULL, "the HTTP client is shutting down");
    if (call->timeout_ms <= 0 || call->timeout_ms > INT_MAX)
        return error_set(err, STATUS_DEADLINE_EXCEEDED, NULL, "no time is left for the request");
    if (!is_method(call->method))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s is no HTTP method", call->method);
    return true;
}

http_exchange_t *http_client_start(http_client_t *client, const http_call_t *call, error_t *err)
{
    if (!call_check(client, call, err))
        return NULL;
    http_exchange_t *exchange = exchange_new(client, call);
    if (!exchange_prepare(exchange, call, err)) {
        if (exchange)
            exchange_free(exchange);
        return NULL;
    }
    exchange->next = client->running;
    if (client->running)
        client->running->previous = exchange;
    client->running = exchange;
    exchange_add(exchange);
    return exchange;
}

void http_exchange_cancel(http_exchange_t *exchange)
{
    if (exchange->ended == ENDED_NOT)
        exchange->ended = ENDED_CANCELLED;
    loop_timer_in(exchange->client->later, 0);
}

const char *http_exchange_header(const http_exchange_t *exchange, const char *name)
{
    struct curl_header *header;
    return curl_easy_header(exchange->easy, name, 0, CURLH_HEADER, -1, &header) == CURLHE_OK ? header->value : NULL;
}

int64_t http_exchange_pause_ms(const http_exchange_t *exchange, const char *name, int64_t unit_ms)
{
    const char *value = http_exchange_header(exchange, name);
    char *end;
    long long number = value ? strtoll(value, &end, 10) : 0;
    return number > 0 && *end == '\0' && number <= HTTP_RETRY_AFTER_MAX_MS / unit_ms ? number * unit_ms : 0;
}
