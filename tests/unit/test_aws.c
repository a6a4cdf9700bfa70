/* test_aws.c: where credentials and endpoints come from, and AWS's errors in our words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "kit/aws.h"
#include "kit/aws_internal.h"
#include "kit/clock.h"
#include "proto/timefmt.h"

static const char *const variables[] = {"AWS_ACCESS_KEY_ID",
                                        "AWS_SECRET_ACCESS_KEY",
                                        "AWS_SESSION_TOKEN",
                                        "AWS_REGION",
                                        "AWS_DEFAULT_REGION",
                                        "AWS_ENDPOINT_URL",
                                        "AWS_ENDPOINT_URL_SQS",
                                        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
                                        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                        "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                        "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                        "http_proxy",
                                        "all_proxy"};

typedef struct {
    loop_t *loop;
    http_server_t *server;
    http_client_t *http;
    loop_timer_t *limit;
    aws_t *aws;
    unsigned status;  /* of the server's answers */
    char answer[512]; /* their body */
    char seen[512];   /* what the server was asked */
    int asked;
    const char *authorization; /* the server insists on it */
    const char *retry_after;   /* what it says with an error; NULL: "3" */
    bool refused;
    bool is_signed; /* what came last bears a signature that holds for the path on the wire */
    error_t err;    /* of the last call */
    bool done;
} fixture_t;

static bool signature_holds(http_request_t *request)
{
    char path[256];
    (void)snprintf(path, sizeof path, "%s", http_request_raw_path(request));
    char *query = strchr(path, '?');
    if (query)
        *query++ = '\0';
    const char *authorization = http_request_header(request, "Authorization");
    const char *date = http_request_header(request, "X-Amz-Date");
    const http_header_t headers[] = {
        {"Host", http_request_header(request, "Host")}, {"X-Amz-Date", date}, {"Authorization", authorization}};
    const sigv4_request_t what = {http_request_method(request), path,  query,     headers,        3,
                                  http_request_body(request),   "r-1", "bedrock", clock_wall_us()};
    const sigv4_credentials_t keys = {"AKID", "secret", NULL};
    return authorization && date && sigv4_verify(&what, &keys, NULL);
}

static void serve(void *ctx, http_request_t *request)
{
    fixture_t *f = ctx;
    const char *authorization = http_request_header(request, "Authorization");
    f->asked++;
    f->is_signed = signature_holds(request);
    (void)snprintf(f->seen, sizeof f->seen, "%s %s %s", http_request_method(request), http_request_raw_path(request),
                   authorization ? authorization : "");
    f->refused = f->authorization && (!authorization || strcmp(authorization, f->authorization) != 0);
    const http_header_t headers[] = {{"x-amzn-errortype", "ThrottlingException:http://x/"},
                                     {"Retry-After", f->retry_after ? f->retry_after : "3"}};
    http_respond(request, f->refused ? 403 : f->status, headers, f->status == 200 ? 0 : 2, bytes_cstr(f->answer));
}

static void give_up(void *ctx)
{
    fixture_t *f = ctx;
    loop_stop(f->loop);
}

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    for (size_t i = 0; i < ARRAY_LEN(variables); i++)
        unsetenv(variables[i]);
    f->loop = loop_new(NULL);
    f->server = http_server_new(f->loop, &(http_server_options_t){0}, serve, f, NULL);
    f->http = http_client_new(f->loop, NULL);
    f->limit = loop_timer_new(f->loop, give_up, f);
    f->status = 200;
    assert_true(f->server && f->http && f->limit);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    aws_free(&f->aws);
    http_client_free(&f->http);
    http_server_free(&f->server);
    loop_timer_end(&f->limit);
    loop_free(&f->loop);
    free(f);
    return 0;
}

static void fixed_keys(void)
{
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    setenv("AWS_SECRET_ACCESS_KEY", "secret", 1);
}

/* -- the environment ----------------------------------------------------------------------------- */
static void keys_come_from_the_environment(void **state)
{
    fixture_t *f = *state;
    fixed_keys();
    setenv("AWS_SESSION_TOKEN", "token", 1);
    f->aws = aws_new(f->loop, f->http, NULL);
    const sigv4_credentials_t *keys = aws_credentials(f->aws, NULL);
    assert_string_equal(keys->access_key_id, "AKID");
    assert_string_equal(keys->secret_access_key, "secret");
    assert_string_equal(keys->session_token, "token");
}

static void no_keys_or_half_of_them_are_refused(void **state)
{
    fixture_t *f = *state;
    error_t err;
    assert_null(aws_new(f->loop, f->http, &err));
    assert_int_equal(err.code, STATUS_FAILED_PRECONDITION);
    assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID"));
    setenv("AWS_ACCESS_KEY_ID", "AKID", 1);
    assert_null(aws_new(f->loop, f->http, &err));
    assert_int_equal(err.code, STATUS_FAILED_PRECONDITION);
    setenv("AWS_SECRET_ACCESS_KEY", "", 1); /* empty is not set */
    assert_null(aws_new(f->loop, f->http, &err));
}

static void the_region_is_the_named_one(void **state)
{
    fixture_t *f = *state;
    fixed_keys();
    f->aws = aws_new(f->loop, f->http, NULL);
    assert_string_equal(aws_region(f->aws), "ap-northeast-1");
    aws_free(&f->aws);
    setenv("AWS_DEFAULT_REGION", "eu-west-1", 1);
    f->aws = aws_new(f->loop, f->http, NULL);
    assert_string_equal(aws_region(f->aws), "eu-west-1");
    aws_free(&f->aws);
    setenv("AWS_REGION", "us-east-1", 1);
    f->aws = aws_new(f->loop, f->http, NULL);
    assert_string_equal(aws_region(f->aws), "us-east-1");
}

static void assert_endpoint(const char *expected)
{
    buf_t out = {0};
    aws_endpoint("SQS", "sqs", "eu-west-1", &out);
    assert_string_equal(buf_cstr(&out), expected);
    buf_free(&out);
}

static void the_nearest_endpoint_variable_wins(void **state)
{
    (void)state;
    assert_endpoint("https://sqs.eu-west-1.amazonaws.com");
    setenv("AWS_ENDPOINT_URL", "http://all:1/", 1);
    assert_endpoint("http://all:1");
    setenv("AWS_ENDPOINT_URL_SQS", "http://sqs:2//", 1);
    assert_endpoint("http://sqs:2");
    setenv("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "TRUE", 1);
    assert_endpoint("https://sqs.eu-west-1.amazonaws.com");
}

/* -- the container ------------------------------------------------------------------------------- */
static void only_safe_container_endpoints_are_asked(void **state)
{
    fixture_t *f = *state;
    static const char *const good[] = {
        "https://example.org/keys", "http://localhost:80/x",    "http://127.0.0.1",  "http://169.254.170.2/v2",
        "http://169.254.170.23/v1", "http://[fd00:ec2::23]/v1", "HTTP://LOCALHOST/x"};
    static const char *const bad[] = {"http://example.org/keys",    "http://127.0.0.1.example.org/",
                                      "ftp://localhost/",           "http://localhost@example.org/",
                                      "http://169.254.170.2.evil/", ""};
    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(aws_container_url_is_allowed(good[i]));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(aws_container_url_is_allowed(bad[i]));
    error_t err;
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.org/keys", 1);
    assert_null(aws_new(f->loop, f->http, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
}

static void container_answers_are_read_whole_or_not(void **state)
{
    (void)state;
    aws_container_answer_t answer;
    buf_t scratch = {0};
    assert_true(aws_container_answer_read(BYTES_LIT("{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","
                                                    "\"Expiration\":\"2030-01-01T00:00:00Z\",\"Other\":1}"),
                                          &answer, &scratch));
    assert_true(bytes_eq_cstr(answer.id, "a") && bytes_eq_cstr(answer.secret, "s") && bytes_eq_cstr(answer.token, "t"));
    assert_int_equal(answer.expires_us, INT64_C(1893456000000000));
    static const char *const bad[] = {"",
                                      "[]",
                                      "{}",
                                      "{\"AccessKeyId\":\"a\"}",
                                      "{\"AccessKeyId\":\"\",\"SecretAccessKey\":\"s\"}",
                                      "{\"AccessKeyId\":1,\"SecretAccessKey\":\"s\"}",
                                      "{\"AccessKeyId\":\"a\",\"SecretAccessKey\":\"s\",\"Expiration\":\"soon\"}",
                                      "{\"Code\":\"Failed\",\"Message\":\"no\"}"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        buf_clear(&scratch);
        assert_false(aws_container_answer_read(bytes_cstr(bad[i]), &answer, &scratch));
    }
    buf_free(&scratch);
}

static void run_until_asked(fixture_t *f, int times)
{
    int64_t until_us = clock_mono_us() + 10000000;
    while (f->asked < times || (!aws_credentials(f->aws, NULL) && f->status == 200 && !f->refused)) {
        assert_true(clock_mono_us() < until_us);
        loop_timer_in(f->limit, 5);
        loop_run(f->loop);
    }
}

static void container_set(fixture_t *f)
{
    char url[128];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/role?x=1", http_server_port(f->server));
    setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", url, 1);
}

static void keys_come_from_the_container_with_its_token(void **state)
{
    fixture_t *f = *state;
    char path[] = "/tmp/mangabus-token.XXXXXX";
    int fd = mkstemp(path);
    assert_true(write(fd, "let me in\n", 10) == 10);
    (void)close(fd);
    container_set(f);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "not this one", 1);
    setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path, 1);
    f->authorization = "let me in";
    (void)snprintf(f->answer, sizeof f->answer, "{\"AccessKeyId\":\"role\",\"SecretAccessKey\":\"s\",\"Token\":\"t\"}");
    f->aws = aws_new(f->loop, f->http, NULL);
    error_t err;
    assert_null(aws_credentials(f->aws, &err));
    assert_int_equal(err.code, STATUS_UNAVAILABLE);
    run_until_asked(f, 1);
    assert_string_equal(f->seen, "GET /role?x=1 let me in");
    assert_string_equal(aws_credentials(f->aws, NULL)->access_key_id, "role");
    (void)unlink(path);
}

static void a_container_that_fails_is_asked_again(void **state)
{
    fixture_t *f = *state;
    container_set(f);
    f->status = 500;
    f->aws = aws_new(f->loop, f->http, NULL);
    run_until_asked(f, 1);
    f->status = 200;
    (void)snprintf(f->answer, sizeof f->answer, "{\"AccessKeyId\":\"late\",\"SecretAccessKey\":\"s\"}");
    run_until_asked(f, 2);
    assert_string_equal(aws_credentials(f->aws, NULL)->access_key_id, "late");
}

static void expired_keys_are_not_used(void **state)
{
    fixture_t *f = *state;
    container_set(f);
    (void)snprintf(f->answer, sizeof f->answer,
                   "{\"AccessKeyId\":\"old\",\"SecretAccessKey\":\"s\",\"Expiration\":\"2001-01-01T00:00:00Z\"}");
    f->aws = aws_new(f->loop, f->http, NULL);
    error_t err = {0};
    for (int i = 0; i < 400 && err.code != STATUS_UNAUTHENTICATED; i++) {
        assert_null(aws_credentials(f->aws, &err));
        loop_timer_in(f->limit, 5);
        loop_run(f->loop);
    }
    assert_string_equal(err.aws, "ExpiredTokenException");
}

static void it_can_be_freed_while_it_asks(void **state)
{
    fixture_t *f = *state;
    container_set(f);
    f->aws = aws_new(f->loop, f->http, NULL);
    aws_free(&f->aws); /* the sanitizers watch */
    loop_timer_in(f->limit, 20);
    loop_run(f->loop);
}

/* -- requests and errors ------------------------------------------------------------------------- */
static void on_done(void *ctx, const http_result_t *result)
{
    fixture_t *f = ctx;
    f->err = (error_t){0};
    if (result->status != STATUS_OK || result->http_status != 200)
        aws_error(result, result->body, &f->err);
    f->done = true;
    loop_stop(f->loop);
}

static void call(fixture_t *f, const char *endpoint)
{
    const aws_call_t what = {.method = "POST",
                             .endpoint = endpoint,
                             .path = "/model/a%3A0/invoke",
                             .query = "q=1",
                             .service = "bedrock",
                             .body = BYTES_LIT("{}"),
                             .timeout_ms = 5000,
                             .on_done = on_done,
                             .ctx = f};
    f->done = false;
    assert_non_null(aws_start(f->aws, &what, NULL));
    loop_run(f->loop);
    assert_true(f->done);
}

static void a_call_is_signed_and_its_error_is_told(void **state)
{
    fixture_t *f = *state;
    char endpoint[64];
    fixed_keys();
    f->aws = aws_new(f->loop, f->http, NULL);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", http_server_port(f->server));
    call(f, endpoint);
    assert_int_equal(f->err.code, STATUS_OK);
    assert_true(strncmp(f->seen, "POST /model/a%3A0/invoke?q=1 AWS4-HMAC-SHA256 Credential=AKID/", 60) == 0);
    f->status = 429;
    (void)snprintf(f->answer, sizeof f->answer, "{\"message\":\"slower, please\"}");
    call(f, endpoint);
    assert_int_equal(f->err.code, STATUS_RESOURCE_EXHAUSTED);
    assert_string_equal(f->err.aws, "ThrottlingException");
    assert_string_equal(f->err.message, "slower, please");
    assert_int_equal(f->err.retry_after_ms, 3000);
    call(f, "http://127.0.0.1:1");
    assert_int_equal(f->err.code, STATUS_UNAVAILABLE);
}

static void a_path_of_the_endpoint_is_signed_too(void **state)
{
    fixture_t *f = *state;
    char endpoint[64];
    fixed_keys();
    (void)setenv("AWS_REGION", "r-1", 1);
    f->aws = aws_new(f->loop, f->http, NULL);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", http_server_port(f->server));
    call(f, endpoint);
    assert_true(f->is_signed);
    strcat(endpoint, "/gateway/v1");
    call(f, endpoint);
    assert_true(strncmp(f->seen, "POST /gateway/v1/model/a%3A0/invoke?q=1 ", 40) == 0);
    assert_true(f->is_signed);
}

static void a_pause_that_makes_no_sense_is_a_second(void **state)
{
    fixture_t *f = *state;
    char endpoint[64];
    static const char *const pauses[] = {"9223372036854775807",           "-3", "99999999",
                                         "Wed, 21 Oct 2026 07:28:00 GMT", "",   "x"};
    fixed_keys();
    f->aws = aws_new(f->loop, f->http, NULL);
    (void)snprintf(endpoint, sizeof endpoint, "http://127.0.0.1:%u", http_server_port(f->server));
    f->status = 429;
    for (size_t i = 0; i < ARRAY_LEN(pauses); i++) {
        f->retry_after = pauses[i];
        call(f, endpoint);
        assert_int_equal(f->err.code, STATUS_RESOURCE_EXHAUSTED);
        assert_int_equal(f->err.retry_after_ms, 1000);
    }
}

/* A redirect, say, of a proxy that wants a login: what was asked is not to blame. */
static void a_status_that_is_no_refusal_is_no_fault_of_the_request(void **state)
{
    (void)state;
    static const unsigned statuses[] = {0, 204, 301, 302, 307, 500, 503};
    for (size_t i = 0; i < ARRAY_LEN(statuses); i++) {
        error_t err = {0};
        aws_error_from("", "x", statuses[i], 0, &err);
        assert_int_equal(err.code, STATUS_UNAVAILABLE);
    }
    error_t err = {0};
    aws_error_from("", "x", 400, 0, &err);
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
}

static void names_of_aws_have_codes_of_ours(void **state)
{
    (void)state;
    static const struct {
        const char *type;
        unsigned http_status;
        status_t code;
    } cases[] = {
        {"ThrottlingException", 400, STATUS_RESOURCE_EXHAUSTED},
        {"throttlingException", 200, STATUS_RESOURCE_EXHAUSTED},
        {"TooManyRequestsException", 429, STATUS_RESOURCE_EXHAUSTED},
        {"ServiceQuotaExceededException", 400, STATUS_RESOURCE_EXHAUSTED},
        {"ModelNotReadyException", 429, STATUS_RESOURCE_EXHAUSTED},
        {"AccessDeniedException", 403, STATUS_PERMISSION_DENIED},
        {"ExpiredTokenException", 403, STATUS_UNAUTHENTICATED},
        {"InvalidSignatureException", 403, STATUS_UNAUTHENTICATED},
        {"ValidationException", 400, STATUS_INVALID_ARGUMENT},
        {"ResourceNotFoundException", 404, STATUS_NOT_FOUND},
        {"ModelTimeoutException", 408, STATUS_DEADLINE_EXCEEDED},
        {"modelStreamErrorException", 200, STATUS_UNAVAILABLE},
        {"ModelErrorException", 424, STATUS_UNAVAILABLE},
        {"InternalServerException", 500, STATUS_UNAVAILABLE},
        {"", 401, STATUS_UNAUTHENTICATED},
        {"", 403, STATUS_PERMISSION_DENIED},
        {"", 404, STATUS_NOT_FOUND},
        {"", 429, STATUS_RESOURCE_EXHAUSTED},
        {"", 502, STATUS_UNAVAILABLE},
        {"Unheard", 400, STATUS_INVALID_ARGUMENT},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        error_t err;
        aws_error_from(cases[i].type, "m", cases[i].http_status, 0, &err);
        assert_int_equal(err.code, cases[i].code);
        assert_string_equal(err.aws, cases[i].type);
        assert_int_equal(err.retry_after_ms > 0, cases[i].code == STATUS_RESOURCE_EXHAUSTED);
    }
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(keys_come_from_the_environment),
        TEST(no_keys_or_half_of_them_are_refused),
        TEST(the_region_is_the_named_one),
        TEST(the_nearest_endpoint_variable_wins),
        TEST(only_safe_container_endpoints_are_asked),
        TEST(container_answers_are_read_whole_or_not),
        TEST(keys_come_from_the_container_with_its_token),
        TEST(a_container_that_fails_is_asked_again),
        TEST(expired_keys_are_not_used),
        TEST(it_can_be_freed_while_it_asks),
        TEST(a_call_is_signed_and_its_error_is_told),
        TEST(a_path_of_the_endpoint_is_signed_too),
        TEST(a_pause_that_makes_no_sense_is_a_second),
        TEST(a_status_that_is_no_refusal_is_no_fault_of_the_request),
        TEST(names_of_aws_have_codes_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
