/* test_http_tls.c: client and server over TLS: both prove who they are, or nothing is said. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "kit/http_client.h"

#define PATH_BYTES 128
#define COMMAND_BYTES 1024

typedef struct {
    char folder[PATH_BYTES];
    buf_t ca, server_cert, server_key;
    loop_t *loop;
    http_server_t *server;
    http_client_t *client;
    status_t status;
    unsigned http_status;
    int handled;
} fixture_t;

static void shell(fixture_t *f, const char *command)
{
    char line[COMMAND_BYTES];
    (void)snprintf(line, sizeof line, "cd %s && { %s; } >log 2>&1", f->folder, command);
    if (system(line) != 0) // NOLINT: the command is ours
        fail_msg("failed: %s", line);
}

static const char *in_folder(const fixture_t *f, const char *name, char out[2 * PATH_BYTES])
{
    (void)snprintf(out, 2 * PATH_BYTES, "%s/%s", f->folder, name);
    return out;
}

static void slurp(const fixture_t *f, const char *name, buf_t *out)
{
    char path[2 * PATH_BYTES];
    FILE *file = fopen(in_folder(f, name, path), "r");
    assert_non_null(file);
    assert_true(buf_reserve(out, 65536));
    out->len = fread(out->data, 1, 65535, file);
    fclose(file);
    (void)buf_cstr(out);
}

/* An authority, a server and a client of its, and a stranger who signs for himself. */
#define NEW_KEY "openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes "
#define SIGN "openssl x509 -req -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 "
static const char make_certificates[] =
    "set -e; " NEW_KEY "-x509 -days 2 -subj /CN=authority -keyout ca.key -out ca.pem; "
    "echo subjectAltName=IP:127.0.0.1 >san; " NEW_KEY "-subj /CN=server -keyout server.key -out server.csr; " SIGN
    "-in server.csr -extfile san -out server.pem; " NEW_KEY "-subj /CN=client -keyout client.key -out client.csr; " SIGN
    "-in client.csr -out client.pem; " NEW_KEY
    "-x509 -days 2 -subj /CN=stranger -keyout stranger.key -out stranger.pem; chmod 644 *";

static int group_setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    (void)snprintf(f->folder, sizeof f->folder, "%s/tls.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    assert_non_null(mkdtemp(f->folder));
    shell(f, make_certificates);
    slurp(f, "ca.pem", &f->ca);
    slurp(f, "server.pem", &f->server_cert);
    slurp(f, "server.key", &f->server_key);
    unsetenv("https_proxy");
    unsetenv("all_proxy");
    *state = f;
    return 0;
}

static int group_teardown(void **state)
{
    fixture_t *f = *state;
    shell(f, "rm -f ./*");
    (void)rmdir(f->folder);
    buf_free(&f->ca);
    buf_free(&f->server_cert);
    buf_free(&f->server_key);
    free(f);
    return 0;
}

static void handler(void *ctx, http_request_t *request)
{
    fixture_t *f = ctx;
    f->handled++;
    http_respond_text(request, 200, "text/plain", "paid");
}

static void server_start(fixture_t *f, bool verify_client)
{
    http_server_options_t options = {.tls_cert_pem = (const char *)f->server_cert.data,
                                     .tls_key_pem = (const char *)f->server_key.data,
                                     .tls_client_ca_pem = verify_client ? (const char *)f->ca.data : NULL};
    f->loop = loop_new(NULL);
    f->server = http_server_new(f->loop, &options, handler, f, NULL);
    f->client = http_client_new(f->loop, NULL);
    assert_true(f->server && f->client);
    f->handled = 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    http_client_free(&f->client);
    http_server_free(&f->server);
    loop_free(&f->loop);
    return 0;
}

static void on_done(void *ctx, const http_result_t *result)
{
    fixture_t *f = ctx;
    f->status = result->status;
    f->http_status = result->http_status;
    loop_stop(f->loop);
}

/* NULL: none. */
static void ask(fixture_t *f, const char *ca, const char *cert, const char *key)
{
    char url[64], paths[3][2 * PATH_BYTES];
    (void)snprintf(url, sizeof url, "https://127.0.0.1:%u/pay", http_server_port(f->server));
    http_call_t call = {.method = "POST",
                        .url = url,
                        .body = BYTES_LIT("450 yen"),
                        .timeout_ms = 10000,
                        .on_done = on_done,
                        .ctx = f,
                        .ca_file = ca ? in_folder(f, ca, paths[0]) : NULL,
                        .cert_file = cert ? in_folder(f, cert, paths[1]) : NULL,
                        .key_file = key ? in_folder(f, key, paths[2]) : NULL};
    assert_non_null(http_client_start(f->client, &call, NULL));
    loop_run(f->loop);
}

static void a_server_of_the_known_authority_is_believed(void **state)
{
    fixture_t *f = *state;
    server_start(f, false);
    ask(f, "ca.pem", NULL, NULL);
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->http_status, 200);
}

static void a_server_of_an_unknown_authority_is_told_nothing(void **state)
{
    fixture_t *f = *state;
    server_start(f, false);
    ask(f, NULL, NULL, NULL);
    assert_int_equal(f->status, STATUS_UNAUTHENTICATED);
    ask(f, "stranger.pem", NULL, NULL);
    assert_int_equal(f->status, STATUS_UNAUTHENTICATED);
    assert_int_equal(f->handled, 0);
}

static void a_client_of_the_known_authority_is_served(void **state)
{
    fixture_t *f = *state;
    server_start(f, true);
    ask(f, "ca.pem", "client.pem", "client.key");
    assert_int_equal(f->status, STATUS_OK);
    assert_int_equal(f->http_status, 200);
    assert_int_equal(f->handled, 1);
}

static void a_client_without_certificate_or_with_another_s_is_refused(void **state)
{
    fixture_t *f = *state;
    server_start(f, true);
    ask(f, "ca.pem", NULL, NULL);
    assert_int_not_equal(f->http_status, 200);
    ask(f, "ca.pem", "stranger.pem", "stranger.key");
    assert_int_not_equal(f->http_status, 200);
    assert_int_equal(f->handled, 0);
}

static void a_certificate_file_that_is_not_there_is_no_outage(void **state)
{
    fixture_t *f = *state;
    server_start(f, true);
    ask(f, "nothing.pem", NULL, NULL);
    assert_int_equal(f->status, STATUS_UNAUTHENTICATED);
    ask(f, "ca.pem", "nothing.pem", "nothing.key");
    assert_int_equal(f->status, STATUS_UNAUTHENTICATED);
}

static void a_server_without_a_sound_key_does_not_start(void **state)
{
    fixture_t *f = *state;
    error_t err = {0};
    f->loop = loop_new(NULL);
    http_server_options_t options = {.tls_cert_pem = (const char *)f->server_cert.data, .tls_key_pem = "no key"};
    assert_null(http_server_new(f->loop, &options, handler, f, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
}

#define TLS_TEST(name) cmocka_unit_test_teardown(name, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TLS_TEST(a_server_of_the_known_authority_is_believed),
        TLS_TEST(a_server_of_an_unknown_authority_is_told_nothing),
        TLS_TEST(a_client_of_the_known_authority_is_served),
        TLS_TEST(a_client_without_certificate_or_with_another_s_is_refused),
        TLS_TEST(a_certificate_file_that_is_not_there_is_no_outage),
        TLS_TEST(a_server_without_a_sound_key_does_not_start),
    };
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
