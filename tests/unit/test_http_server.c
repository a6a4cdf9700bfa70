/* test_http_server.c: the server as a client on a socket sees it, byte for byte. */
#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kit/http_server.h"

#define BODY_MAX_BYTES 300000

typedef struct {
    loop_t *loop;
    http_server_t *server;
    loop_timer_t *timer;
    http_request_t *held;
    int handled, pieces, gone_seen;
    /* the client's, on its thread */
    buf_t to_send, received;
    int sends_until_done, done_fds[2];
    bool leaves_early;
} fixture_t;

static void echo_header(void *ctx, const char *name, const char *value)
{
    buf_printf(ctx, "%s=%s;", name, value);
}

static void echo(http_request_t *request)
{
    buf_t out = {0};
    const char *q = http_request_query(request, "q");
    buf_printf(&out, "%s|%s|%s|%s|", http_request_method(request), http_request_path(request),
               http_request_raw_path(request), q ? q : "-");
    http_request_headers(request, echo_header, &out);
    buf_printf(&out, "|%zu", http_request_body(request).len);
    http_respond(request, 200, &(http_header_t){"X-Test", "yes"}, 1, buf_bytes(&out));
    buf_free(&out);
}

static void answer_held(void *ctx)
{
    fixture_t *f = ctx;
    f->gone_seen = http_request_gone(f->held);
    http_respond_text(f->held, 202, "text/plain", "later");
    f->held = NULL;
}

static void next_piece(void *ctx)
{
    fixture_t *f = ctx;
    if (f->pieces-- > 0) {
        http_respond_piece(f->held, BYTES_LIT("piece "));
        loop_timer_in(f->timer, 1);
        return;
    }
    http_respond_end(f->held);
    f->held = NULL;
}

static void handler(void *ctx, http_request_t *request)
{
    fixture_t *f = ctx;
    const char *path = http_request_path(request);
    f->handled++;
    if (strcmp(path, "/later") == 0) {
        f->held = request;
        loop_timer_in(f->timer, 20);
    } else if (strcmp(path, "/hold") == 0) {
        f->held = request;
    } else if (strcmp(path, "/stream") == 0) {
        f->held = request;
        http_respond_begin(request, 200, &(http_header_t){"Content-Type", "text/event-stream"}, 1);
        loop_timer_in(f->timer, 1);
    } else if (strcmp(path, "/at-once") == 0) {
        http_respond_begin(request, 200, NULL, 0);
        http_respond_piece(request, BYTES_LIT("all "));
        http_respond_piece(request, BYTES_LIT("here"));
        http_respond_end(request);
    } else {
        echo(request);
    }
}

static void server_begin(fixture_t *f, const http_server_options_t *options)
{
    error_t err = {0};
    f->server = http_server_new(f->loop, options, handler, f, &err);
    if (!f->server)
        fail_msg("%s", err.message);
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    f->loop = loop_new(NULL);
    server_begin(f, &(http_server_options_t){.body_max_bytes = BODY_MAX_BYTES});
    f->timer = loop_timer_new(f->loop, answer_held, f);
    assert_int_equal(pipe(f->done_fds), 0);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    http_server_free(&f->server);
    loop_timer_end(&f->timer);
    loop_free(&f->loop);
    buf_free(&f->to_send);
    buf_free(&f->received);
    close(f->done_fds[0]);
    close(f->done_fds[1]);
    free(f);
    return 0;
}

/* -- a client on a thread of its own, which blocks --------------------------------------------------- */
static int client_connect(const fixture_t *f)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(http_server_port(f->server))};
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    struct timeval patience = {.tv_sec = 20};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 ? fd : -1;
}

static void *client(void *ctx)
{
    fixture_t *f = ctx;
    int fd = client_connect(f);
    for (size_t at = 0; at < f->to_send.len;) {
        ssize_t n = send(fd, f->to_send.data + at, f->to_send.len - at, MSG_NOSIGNAL);
        if (n <= 0)
            break;
        at += (size_t)n;
    }
    char text[65536];
    for (ssize_t n; !f->leaves_early && (n = recv(fd, text, sizeof text, 0)) > 0;)
        buf_append(&f->received, text, (size_t)n);
    close(fd);
    if (write(f->done_fds[1], "x", 1) != 1)
        abort();
    return NULL;
}

static void client_done(void *ctx, int events)
{
    (void)events;
    fixture_t *f = ctx;
    char byte;
    assert_int_equal(read(f->done_fds[0], &byte, 1), 1);
    loop_stop(f->loop);
}

/* Sends what is in f->to_send, runs the loop until the server has closed, gives what came. */
static const char *exchange(fixture_t *f)
{
    pthread_t thread;
    loop_watch_t *watch = loop_watch_fd(f->loop, f->done_fds[0], LOOP_READ, client_done, f);
    buf_clear(&f->received);
    pthread_create(&thread, NULL, client, f);
    loop_run(f->loop);
    pthread_join(thread, NULL);
    loop_watch_end(&watch);
    buf_clear(&f->to_send);
    return buf_cstr(&f->received);
}

static const char *get(fixture_t *f, const char *target)
{
    buf_printf(&f->to_send, "GET %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", target);
    return exchange(f);
}

static void expect_part(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("%s is not in: %.600s", part, text);
}

/* -- tests ----------------------------------------------------------------------------------------- */
static void a_request_is_shown_decoded_and_as_it_came(void **state)
{
    const char *answer = get(*state, "/a%3Ab/c%20d:e?q=x%2By+z&r");
    expect_part(answer, "HTTP/1.1 200 OK\r\n");
    expect_part(answer, "X-Test: yes\r\n");
    expect_part(answer, "\r\n\r\nGET|/a:b/c d:e|/a%3Ab/c%20d:e?q=x%2By+z&r|x+y z|Host=h;Connection=close;|0");
}

static void a_body_is_read_whole(void **state)
{
    fixture_t *f = *state;
    buf_printf(&f->to_send, "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n",
               BODY_MAX_BYTES);
    for (int i = 0; i < BODY_MAX_BYTES; i++)
        buf_append_byte(&f->to_send, 'x');
    expect_part(exchange(f), "|300000");
}

static void a_chunked_body_is_read_whole(void **state)
{
    fixture_t *f = *state;
    buf_append_cstr(&f->to_send,
                    "POST /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n"
                    "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n");
    expect_part(exchange(f), "|7");
}

static void an_announced_body_over_the_bound_is_refused_unread(void **state)
{
    fixture_t *f = *state;
    buf_printf(&f->to_send, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", BODY_MAX_BYTES + 1);
    expect_part(exchange(f), "HTTP/1.1 413 ");
    assert_int_equal(f->handled, 0);
}

static void a_chunked_body_over_the_bound_is_refused(void **state)
{
    fixture_t *f = *state;
    buf_append_cstr(&f->to_send, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i <= BODY_MAX_BYTES / 100; i++)
        buf_printf(&f->to_send, "64\r\n%0100d\r\n", 0);
    buf_append_cstr(&f->to_send, "0\r\n\r\n");
    expect_part(exchange(f), "HTTP/1.1 413 ");
    assert_int_equal(f->handled, 0);
}

static void an_answer_may_come_later(void **state)
{
    fixture_t *f = *state;
    const char *answer = get(f, "/later");
    expect_part(answer, "HTTP/1.1 202 ");
    expect_part(answer, "\r\n\r\nlater");
    assert_false(f->gone_seen);
}

static void a_streamed_answer_is_sent_as_its_pieces_come(void **state)
{
    fixture_t *f = *state;
    loop_timer_end(&f->timer);
    f->timer = loop_timer_new(f->loop, next_piece, f);
    f->pieces = 3;
    const char *answer = get(f, "/stream");
    expect_part(answer, "Transfer-Encoding: chunked\r\n");
    expect_part(answer, "\r\n\r\n6\r\npiece \r\n6\r\npiece \r\n6\r\npiece \r\n0\r\n\r\n");
}

static void a_streamed_answer_may_be_complete_at_once(void **state)
{
    expect_part(get(*state, "/at-once"), "8\r\nall here\r\n0\r\n\r\n");
}

static void a_connection_is_kept_for_more_requests(void **state)
{
    fixture_t *f = *state;
    buf_append_cstr(&f->to_send, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    const char *answer = get(f, "/3");
    expect_part(answer, "|/1|");
    expect_part(answer, "|/2|");
    expect_part(answer, "|/3|");
    assert_int_equal(f->handled, 3);
}

static void a_client_that_leaves_is_noticed_and_answering_it_is_harmless(void **state)
{
    fixture_t *f = *state;
    f->leaves_early = true;
    (void)get(f, "/hold");
    while (f->handled == 0) { /* the client may be gone before its request was read */
        loop_timer_t *stop = loop_timer_new(f->loop, (loop_timer_fn)loop_stop, f->loop);
        loop_timer_in(stop, 1);
        loop_run(f->loop);
        loop_timer_end(&stop);
    }
    assert_true(http_request_gone(f->held));
    http_respond_text(f->held, 200, "text/plain", "nobody");
    f->leaves_early = false;
    expect_part(get(f, "/still"), "|/still|");
}

static void a_stream_to_a_client_that_left_is_dropped(void **state)
{
    fixture_t *f = *state;
    static char big[1 << 20];
    f->leaves_early = true;
    (void)get(f, "/hold");
    while (f->handled == 0) {
        loop_timer_t *stop = loop_timer_new(f->loop, (loop_timer_fn)loop_stop, f->loop);
        loop_timer_in(stop, 1);
        loop_run(f->loop);
        loop_timer_end(&stop);
    }
    http_respond_begin(f->held, 200, NULL, 0);
    for (int i = 0; i < 100; i++)
        http_respond_piece(f->held, bytes_from(big, sizeof big));
    f->leaves_early = false;
    expect_part(get(f, "/other"), "|/other|");
    assert_true(http_request_gone(f->held));
    http_respond_piece(f->held, BYTES_LIT("x"));
    http_respond_end(f->held);
}

static void stopping_with_an_unanswered_request_leaves_the_handler_its_request(void **state)
{
    fixture_t *f = *state;
    f->leaves_early = true;
    (void)get(f, "/hold");
    while (f->handled == 0) {
        loop_timer_t *stop = loop_timer_new(f->loop, (loop_timer_fn)loop_stop, f->loop);
        loop_timer_in(stop, 1);
        loop_run(f->loop);
        loop_timer_end(&stop);
    }
    http_server_free(&f->server);
    assert_true(http_request_gone(f->held));
    assert_string_equal(http_request_path(f->held), "/hold");
    assert_null(http_request_header(f->held, "Host"));
    http_respond_text(f->held, 200, "text/plain", "too late");
}

static void what_is_no_http_is_refused(void **state)
{
    fixture_t *f = *state;
    buf_append_cstr(&f->to_send, "\x16\x03\x01 what is this\r\n\r\n");
    (void)exchange(f);
    assert_int_equal(f->handled, 0);
    expect_part(get(f, "/alive"), "|/alive|");
}

static void headers_without_end_are_refused(void **state)
{
    fixture_t *f = *state;
    buf_append_cstr(&f->to_send, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
    for (int i = 0; i < 400000; i++)
        buf_append_byte(&f->to_send, 'x');
    (void)exchange(f);
    assert_int_equal(f->handled, 0);
}

static void a_port_that_is_taken_and_a_name_as_address_are_refused(void **state)
{
    fixture_t *f = *state;
    error_t err = {0};
    http_server_options_t options = {.port = http_server_port(f->server)};
    assert_null(http_server_new(f->loop, &options, handler, f, &err));
    assert_int_equal(err.code, STATUS_ALREADY_EXISTS);
    options = (http_server_options_t){.address = "localhost"};
    assert_null(http_server_new(f->loop, &options, handler, f, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
}

#define HTTP_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        HTTP_TEST(a_request_is_shown_decoded_and_as_it_came),
        HTTP_TEST(a_body_is_read_whole),
        HTTP_TEST(a_chunked_body_is_read_whole),
        HTTP_TEST(an_announced_body_over_the_bound_is_refused_unread),
        HTTP_TEST(a_chunked_body_over_the_bound_is_refused),
        HTTP_TEST(an_answer_may_come_later),
        HTTP_TEST(a_streamed_answer_is_sent_as_its_pieces_come),
        HTTP_TEST(a_streamed_answer_may_be_complete_at_once),
        HTTP_TEST(a_connection_is_kept_for_more_requests),
        HTTP_TEST(a_client_that_leaves_is_noticed_and_answering_it_is_harmless),
        HTTP_TEST(a_stream_to_a_client_that_left_is_dropped),
        HTTP_TEST(stopping_with_an_unanswered_request_leaves_the_handler_its_request),
        HTTP_TEST(what_is_no_http_is_refused),
        HTTP_TEST(headers_without_end_are_refused),
        HTTP_TEST(a_port_that_is_taken_and_a_name_as_address_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
