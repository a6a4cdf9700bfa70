/* test_http_client.c: the client against our own server, on one loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "kit/clock.h"
#include "kit/http_client.h"

typedef struct {
    loop_t *loop;
    http_server_t *server;
    http_client_t *client;
    loop_timer_t *timer;
    http_request_t *held;
    buf_t seen; /* by the server */
    char url[128];
    /* of the last answer */
    int done, wanted, pieces, stop_at_piece;
    status_t status;
    unsigned http_status;
    buf_t body;
    char header[64], error[256];
    http_exchange_t *exchange;
} fixture_t;

static void see_header(void *ctx, const char *name, const char *value)
{
    buf_printf(ctx, "%s: %s\n", name, value);
}

static void stream_on(void *ctx)
{
    fixture_t *f = ctx;
    http_respond_piece(f->held, BYTES_LIT("tick"));
    if (http_request_gone(f->held)) {
        http_respond_end(f->held);
        f->held = NULL;
        return;
    }
    loop_timer_in(f->timer, 1);
}

static void handler(void *ctx, http_request_t *request)
{
    static uint8_t big[100000];
    fixture_t *f = ctx;
    const char *path = http_request_path(request);
    buf_printf(&f->seen, "%s %s\n", http_request_method(request), http_request_raw_path(request));
    http_request_headers(request, see_header, &f->seen);
    buf_append_bytes(&f->seen, http_request_body(request));
    if (strcmp(path, "/never") == 0)
        f->held = request;
    else if (strcmp(path, "/big") == 0)
        http_respond(request, 200, NULL, 0, bytes_from(big, sizeof big));
    else if (strcmp(path, "/redirect") == 0)
        http_respond(request, 302, &(http_header_t){"Location", "/big"}, 1, BYTES_NONE);
    else if (strcmp(path, "/stream") == 0) {
        f->held = request;
        http_respond_begin(request, 200, NULL, 0);
        loop_timer_in(f->timer, 1);
    } else
        http_respond(request, 404, &(http_header_t){"X-Why", "so"}, 1, BYTES_LIT("not here"));
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    f->loop = loop_new(NULL);
    f->server = http_server_new(f->loop, &(http_server_options_t){0}, handler, f, NULL);
    f->client = http_client_new(f->loop, NULL);
    f->timer = loop_timer_new(f->loop, stream_on, f);
    assert_true(f->server && f->client && f->timer);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    http_client_free(&f->client);
    http_server_free(&f->server);
    if (f->held)
        http_respond_text(f->held, 500, "text/plain", "");
    loop_timer_end(&f->timer);
    loop_free(&f->loop);
    buf_free(&f->seen);
    buf_free(&f->body);
    free(f);
    return 0;
}

static void on_done(void *ctx, const http_result_t *result)
{
    fixture_t *f = ctx;
    f->status = result->status;
    f->http_status = result->http_status;
    buf_clear(&f->body);
    buf_append_bytes(&f->body, result->body);
    const char *why = http_exchange_header(result->exchange, "x-why");
    (void)bytes_to_cstr(bytes_cstr(why), f->header, sizeof f->header);
    (void)bytes_to_cstr(bytes_cstr(result->error), f->error, sizeof f->error);
    assert_true(result->duration_us >= 0);
    if (++f->done >= f->wanted)
        loop_stop(f->loop);
}

static const char *url(fixture_t *f, const char *path)
{
    (void)snprintf(f->url, sizeof f->url, "http://127.0.0.1:%u%s", http_server_port(f->server), path);
    return f->url;
}

static void start(fixture_t *f, http_call_t call)
{
    error_t err = {0};
    call.method = call.method ? call.method : "GET";
    call.timeout_ms = call.timeout_ms ? call.timeout_ms : 20000;
    call.on_done = on_done;
    call.ctx = f;
    f->exchange = http_client_start(f->client, &call, &err);
    if (!f->exchange)
        fail_msg("%s", err.message);
}

static void run(fixture_t *f, http_call_t call)
{
    f->wanted = f->done + 1;
    start(f, call);
    loop_run(f->loop);
}

static void an_answer_comes_with_status_headers_and_body(void **state)
{
    fixture_t *f = *state;
    run(f, (http_call_t){.url = url(f, "/x")});
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->http_status, 404);
    assert_string_equal(buf_cstr(&f->body), "not here");
    assert_string_equal(f->header, "so");
}

static void a_body_and_headers_are_sent_as_given_and_nothing_is_expected(void **state)
{
    fixture_t *f = *state;
    static char body[3000];
    memset(body, 'b', sizeof body);
    const http_header_t headers[] = {{"Content-Type", "text/xml; charset=Shift_JIS"}, {"SOAPAction", ""}, {"X", "1"}};
    run(f, (http_call_t){.method = "POST",
                         .url = url(f, "/a/../b%3Ac:d?x=%2F"),
                         .headers = headers,
                         .header_count = 3,
                         .body = bytes_from(body, sizeof body)});
    const char *seen = buf_cstr(&f->seen);
    assert_non_null(strstr(seen, "POST /a/../b%3Ac:d?x=%2F\n"));
    assert_non_null(strstr(seen, "Content-Type: text/xml; charset=Shift_JIS\n"));
    assert_non_null(strstr(seen, "SOAPAction: \n"));
    assert_non_null(strstr(seen, "Content-Length: 3000\n"));
    assert_non_null(strstr(seen, "\nbbbbbb"));
    assert_null(strstr(seen, "Expect"));
    assert_null(strstr(seen, "x-www-form-urlencoded"));
}

static void every_method_is_sent_by_its_name(void **state)
{
    fixture_t *f = *state;
    static const char *const methods[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"};
    for (size_t i = 0; i < ARRAY_LEN(methods); i++) {
        char line[32];
        buf_clear(&f->seen);
        run(f, (http_call_t){.method = methods[i], .url = url(f, "/m")});
        (void)snprintf(line, sizeof line, "%s /m\n", methods[i]);
        assert_int_equal(f->status, STATUS_OK);
        assert_int_equal(strncmp(buf_cstr(&f->seen), line, strlen(line)), 0);
    }
}

static void a_redirect_is_an_answer_like_any_other(void **state)
{
    fixture_t *f = *state;
    run(f, (http_call_t){.url = url(f, "/redirect")});
    assert_int_equal(f->http_status, 302);
}

static void a_body_over_the_bound_ends_the_exchange(void **state)
{
    fixture_t *f = *state;
    run(f, (http_call_t){.url = url(f, "/big"), .body_max_bytes = 99999});
    assert_int_equal(f->status, STATUS_RESOURCE_EXHAUSTED);
    run(f, (http_call_t){.url = url(f, "/big"), .body_max_bytes = 100000});
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->body.len, 100000);
    run(f, (http_call_t){.url = url(f, "/stream"), .body_max_bytes = 100}); /* of unknown length */
    assert_int_equal(f->status, STATUS_RESOURCE_EXHAUSTED);
}

static void a_silent_server_costs_the_deadline_and_no_more(void **state)
{
    fixture_t *f = *state;
    int64_t begin_ms = clock_mono_ms();
    run(f, (http_call_t){.url = url(f, "/never"), .timeout_ms = 50});
    assert_int_equal(f->status, STATUS_DEADLINE_EXCEEDED);
    assert_in_range(clock_mono_ms() - begin_ms, 49, 5000);
}

static void a_closed_port_is_unavailable(void **state)
{
    fixture_t *f = *state;
    (void)url(f, "/x");
    http_server_free(&f->server);
    run(f, (http_call_t){.url = f->url});
    assert_int_equal(f->status, STATUS_UNAVAILABLE);
    assert_true(strlen(f->error) > 0);
    assert_int_equal(f->http_status, 0);
}

static bool on_piece(void *ctx, unsigned http_status, bytes_t piece)
{
    fixture_t *f = ctx;
    assert_int_equal(http_status, 200);
    assert_true(piece.len >= 4);
    return ++f->pieces != f->stop_at_piece;
}

static void pieces_come_as_they_are_sent_until_refused(void **state)
{
    fixture_t *f = *state;
    f->stop_at_piece = 3;
    run(f, (http_call_t){.url = url(f, "/stream"), .on_piece = on_piece});
    assert_int_equal(f->pieces, 3);
    assert_int_equal(f->status, STATUS_CANCELLED);
    assert_int_equal(f->body.len, 0);
}

static void a_cancelled_exchange_ends_once_and_later(void **state)
{
    fixture_t *f = *state;
    f->wanted = 1;
    start(f, (http_call_t){.url = url(f, "/never")});
    http_exchange_cancel(f->exchange);
    http_exchange_cancel(f->exchange);
    assert_int_equal(f->done, 0);
    loop_run(f->loop);
    assert_int_equal(f->done, 1);
    assert_int_equal(f->status, STATUS_CANCELLED);
    run(f, (http_call_t){.url = url(f, "/x")});
    assert_int_equal(f->done, 2);
}

static bool start_another(void *ctx, unsigned http_status, bytes_t piece)
{
    fixture_t *f = ctx;
    (void)http_status;
    (void)piece;
    if (f->pieces++ == 0) {
        http_exchange_cancel(f->exchange);
        start(f, (http_call_t){.url = url(f, "/x")});
    }
    return true;
}

static void a_piece_may_cancel_its_exchange_and_start_another(void **state)
{
    fixture_t *f = *state;
    f->wanted = 2;
    start(f, (http_call_t){.url = url(f, "/stream"), .on_piece = start_another});
    loop_run(f->loop);
    assert_int_equal(f->done, 2);
}

static void what_still_runs_at_the_end_ends_with_cancelled(void **state)
{
    fixture_t *f = *state;
    f->wanted = 100;
    for (int i = 0; i < 3; i++)
        start(f, (http_call_t){.url = url(f, "/never")});
    http_client_free(&f->client);
    assert_int_equal(f->done, 3);
    assert_int_equal(f->status, STATUS_CANCELLED);
}

static void many_exchanges_run_at_once(void **state)
{
    fixture_t *f = *state;
    f->wanted = 100;
    for (int i = 0; i < 100; i++)
        start(f, (http_call_t){.url = url(f, "/x")});
    loop_run(f->loop);
    assert_int_equal(f->done, 100);
    assert_int_equal(f->http_status, 404);
}

static void what_cannot_be_sent_is_refused_at_once(void **state)
{
    fixture_t *f = *state;
    error_t err = {0};
    http_call_t call = {.method = "GET", .url = url(f, "/x"), .timeout_ms = 0, .on_done = on_done, .ctx = f};
    assert_null(http_client_start(f->client, &call, &err));
    assert_int_equal(err.code, STATUS_DEADLINE_EXCEEDED);
    call.timeout_ms = 100;
    call.method = "GET /x HTTP/1.1\r\n";
    assert_null(http_client_start(f->client, &call, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    call.method = "GET";
    call.headers = &(http_header_t){"X", "a\r\nEvil: b"};
    call.header_count = 1;
    assert_null(http_client_start(f->client, &call, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    assert_int_equal(f->done, 0);
}

static void a_url_of_another_kind_is_refused(void **state)
{
    fixture_t *f = *state;
    run(f, (http_call_t){.url = "file:///etc/passwd"});
    assert_int_equal(f->status, STATUS_INVALID_ARGUMENT);
    run(f, (http_call_t){.url = "http://"});
    assert_int_equal(f->status, STATUS_INVALID_ARGUMENT);
}

static void a_name_that_does_not_exist_is_unavailable(void **state)
{
    fixture_t *f = *state;
    run(f, (http_call_t){.url = "http://no-such-host.invalid/"});
    assert_int_equal(f->status, STATUS_UNAVAILABLE);
}

#define CLIENT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CLIENT_TEST(an_answer_comes_with_status_headers_and_body),
        CLIENT_TEST(a_body_and_headers_are_sent_as_given_and_nothing_is_expected),
        CLIENT_TEST(every_method_is_sent_by_its_name),
        CLIENT_TEST(a_redirect_is_an_answer_like_any_other),
        CLIENT_TEST(a_body_over_the_bound_ends_the_exchange),
        CLIENT_TEST(a_silent_server_costs_the_deadline_and_no_more),
        CLIENT_TEST(a_closed_port_is_unavailable),
        CLIENT_TEST(pieces_come_as_they_are_sent_until_refused),
        CLIENT_TEST(a_cancelled_exchange_ends_once_and_later),
        CLIENT_TEST(a_piece_may_cancel_its_exchange_and_start_another),
        CLIENT_TEST(what_still_runs_at_the_end_ends_with_cancelled),
        CLIENT_TEST(many_exchanges_run_at_once),
        CLIENT_TEST(what_cannot_be_sent_is_refused_at_once),
        CLIENT_TEST(a_url_of_another_kind_is_refused),
        CLIENT_TEST(a_name_that_does_not_exist_is_unavailable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
