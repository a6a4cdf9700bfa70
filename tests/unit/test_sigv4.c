/* test_sigv4.c: AWS's published signatures, and every change on the way refused by AWS's name for it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/sigv4.h"

#define US_PER_S INT64_C(1000000)
#define SUITE_TIME_US (INT64_C(1440938160) * US_PER_S) /* 2015-08-30T12:36:00Z */
#define BEDROCK_PATH "/model/anthropic.claude-3-haiku-20240307-v1%3A0/invoke"
#define HEADERS_MAX 16

static const sigv4_credentials_t suite_keys = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", NULL};

/* -- vectors ------------------------------------------------------------------------------------- */
typedef struct {
    const char *name, *method, *path, *query;
    http_header_t headers[3]; /* beside Host */
    const char *body;
    const char *signature;
} vector_t;

#define UNRESERVED "-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

/* From AWS's Signature Version 4 test suite. */
static const vector_t vectors[] = {
    {"get-vanilla",
     "GET",
     "/",
     NULL,
     {{NULL, NULL}},
     "",
     "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"},
    {"post-vanilla",
     "POST",
     "/",
     NULL,
     {{NULL, NULL}},
     "",
     "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"},
    {"get-vanilla-query-order-key-case",
     "GET",
     "/",
     "Param2=value2&Param1=value1",
     {{NULL, NULL}},
     "",
     "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500"},
    {"get-vanilla-query-unreserved",
     "GET",
     "/",
     UNRESERVED "=" UNRESERVED,
     {{NULL, NULL}},
     "",
     "9c3e54bfcdf0b19771a7f523ee5669cdf59bc7cc0884027167c21bb143a40197"},
    {"get-vanilla-empty-query-key",
     "GET",
     "/",
     "Param1=value1",
     {{NULL, NULL}},
     "",
     "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb"},
    {"post-vanilla-query",
     "POST",
     "/",
     "Param1=value1",
     {{NULL, NULL}},
     "",
     "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11"},
    {"get-utf8",
     "GET",
     "/ሴ",
     NULL,
     {{NULL, NULL}},
     "",
     "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85"},
    {"get-header-value-trim",
     "GET",
     "/",
     NULL,
     {{"My-Header1", " value1"}, {"My-Header2", " \"a   b   c\""}},
     "",
     "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736"},
    {"post-x-www-form-urlencoded",
     "POST",
     "/",
     NULL,
     {{"Content-Type", "application/x-www-form-urlencoded"}},
     "Param1=value1",
     "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"},
};

static void published_signatures_come_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        const vector_t *v = &vectors[i];
        http_header_t headers[4] = {{"Host", "example.amazonaws.com"}};
        size_t count = 1;
        for (; count < 4 && v->headers[count - 1].name; count++)
            headers[count] = v->headers[count - 1];
        const sigv4_request_t request = {v->method,           v->path,     v->query,  headers,      count,
                                         bytes_cstr(v->body), "us-east-1", "service", SUITE_TIME_US};
        sigv4_signed_t out;
        assert_true(sigv4_sign(&request, &suite_keys, &out, NULL));
        print_message("%s\n", v->name);
        assert_string_equal(out.date, "20150830T123600Z");
        assert_string_equal(strstr(out.authorization, "Signature=") + 10, v->signature);
        assert_non_null(strstr(out.authorization, "Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, "));
        sigv4_signed_free(&out);
    }
}

/* -- a signed request on its way ----------------------------------------------------------------- */
typedef struct {
    sigv4_request_t request;
    http_header_t headers[HEADERS_MAX];
    sigv4_credentials_t keys;
    sigv4_signed_t signature;
} journey_t;

static void put(journey_t *j, const char *name, const char *value)
{
    for (size_t i = 0; i < j->request.header_count; i++)
        if (strcmp(j->headers[i].name, name) == 0) {
            j->headers[i].value = value;
            return;
        }
    j->headers[j->request.header_count++] = (http_header_t){name, value};
}

static void drop(journey_t *j, const char *name)
{
    for (size_t i = 0; i < j->request.header_count; i++)
        if (strcmp(j->headers[i].name, name) == 0)
            j->headers[i--] = j->headers[--j->request.header_count];
}

/* Signed, and as it arrives. */
static void depart(journey_t *j, const char *token)
{
    *j = (journey_t){.keys = {"AKIDEXAMPLE", "hush-hush", token}};
    j->request = (sigv4_request_t){.method = "POST",
                                   .path = BEDROCK_PATH,
                                   .query = "b=2&a=%E6%BC%AB+x&b=1",
                                   .headers = j->headers,
                                   .body = BYTES_LIT("{\"max_tokens\":1}"),
                                   .region = "ap-northeast-1",
                                   .service = "bedrock",
                                   .time_us = SUITE_TIME_US};
    put(j, "Host", "bedrock-runtime.ap-northeast-1.amazonaws.com");
    put(j, "Content-Type", "application/json");
    put(j, "User-Agent", "mangabus"); /* is not signed */
    assert_true(sigv4_sign(&j->request, &j->keys, &j->signature, NULL));
    put(j, "X-Amz-Date", j->signature.date);
    put(j, "Authorization", j->signature.authorization);
    if (token)
        put(j, "X-Amz-Security-Token", token);
}

static void arrives_well(journey_t *j)
{
    error_t err;
    bool ok = sigv4_verify(&j->request, &j->keys, &err);
    if (!ok)
        print_error("%s: %s\n", err.aws, err.message);
    assert_true(ok);
    sigv4_signed_free(&j->signature);
}

static void is_refused(journey_t *j, const char *name)
{
    error_t err = {0};
    assert_false(sigv4_verify(&j->request, &j->keys, &err));
    assert_int_equal(err.code, STATUS_UNAUTHENTICATED);
    assert_string_equal(err.aws, name);
    assert_null(strstr(err.message, "hush-hush"));
    sigv4_signed_free(&j->signature);
}

static void what_is_signed_verifies(void **state)
{
    (void)state;
    journey_t j;
    depart(&j, NULL);
    arrives_well(&j);
    depart(&j, "a session's token");
    arrives_well(&j);
    depart(&j, NULL);
    j.request.time_us += 14 * 60 * US_PER_S;
    arrives_well(&j);
}

static void what_proxies_change_does_not_matter(void **state)
{
    (void)state;
    journey_t j;
    depart(&j, NULL);
    put(&j, "User-Agent", "another");
    put(&j, "Connection", "close");
    put(&j, "X-Forwarded-For", "10.0.0.1");
    put(&j, "Content-Type", "  application/json ");
    j.request.query = "a=%e6%bc%ab%2Bx&b=1&b=2"; /* other order and spelling */
    arrives_well(&j);
}

static void every_change_of_the_request_is_refused(void **state)
{
    (void)state;
    journey_t j;
    depart(&j, NULL);
    j.request.body = BYTES_LIT("{\"max_tokens\":2}");
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    j.request.path = "/model/anthropic.claude-3-haiku-20240307-v1:0/invoke";
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    j.request.method = "PUT";
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    j.request.query = "a=1";
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    put(&j, "Host", "localhost");
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    put(&j, "Content-Type", "text/plain");
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    drop(&j, "Content-Type");
    is_refused(&j, "InvalidSignatureException");
}

static void who_and_where_must_fit(void **state)
{
    (void)state;
    journey_t j;
    depart(&j, NULL);
    j.keys.secret_access_key = "another";
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    j.keys.access_key_id = "AKIDEXAMPLF";
    is_refused(&j, "UnrecognizedClientException");
    depart(&j, NULL);
    j.request.region = "us-east-1";
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    j.request.service = "events";
    is_refused(&j, "InvalidSignatureException");
    depart(&j, "token");
    put(&j, "X-Amz-Security-Token", "another");
    is_refused(&j, "UnrecognizedClientException");
    depart(&j, "token");
    drop(&j, "X-Amz-Security-Token");
    is_refused(&j, "UnrecognizedClientException");
    depart(&j, NULL);
    put(&j, "X-Amz-Security-Token", "out of nowhere");
    is_refused(&j, "UnrecognizedClientException");
}

static void time_must_fit(void **state)
{
    (void)state;
    journey_t j;
    depart(&j, NULL);
    j.request.time_us += 16 * 60 * US_PER_S;
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    j.request.time_us -= 16 * 60 * US_PER_S;
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    put(&j, "X-Amz-Date", "20150830T123601Z");
    is_refused(&j, "InvalidSignatureException");
    depart(&j, NULL);
    put(&j, "X-Amz-Date", "20150831T003600Z"); /* another day than the scope's */
    is_refused(&j, "IncompleteSignatureException");
    depart(&j, NULL);
    put(&j, "X-Amz-Date", "yesterday at noon");
    is_refused(&j, "IncompleteSignatureException");
    depart(&j, NULL);
    drop(&j, "X-Amz-Date");
    is_refused(&j, "IncompleteSignatureException");
}

#define SCOPE "Credential=AKIDEXAMPLE/20150830/ap-northeast-1/bedrock/aws4_request"
#define ZEROES "0000000000000000000000000000000000000000000000000000000000000000"

static void a_broken_authorization_is_told_by_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *value, *name;
    } cases[] = {
        {"", "IncompleteSignatureException"},
        {"Basic dXNlcjpwYXNz", "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256", "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256 " SCOPE, "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host", "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE, SignedHeaders=host;x-amz-date, Signature=" ZEROES,
         "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/a/b/aws3, SignedHeaders=host, Signature=" ZEROES,
         "IncompleteSignatureException"},
        {"AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=x-amz-date, Signature=" ZEROES, "InvalidSignatureException"},
        {"AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host, Signature=" ZEROES, "InvalidSignatureException"},
        {"AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host;x-amz-date, Signature=short", "InvalidSignatureException"},
        {"AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host;x-amz-date, Signature=" ZEROES, "InvalidSignatureException"},
        {"AWS4-HMAC-SHA256 " SCOPE ", SignedHeaders=host;x-amz-date;x-absent, Signature=" ZEROES,
         "InvalidSignatureException"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        journey_t j;
        depart(&j, NULL);
        put(&j, "Authorization", cases[i].value);
        print_message("%s\n", cases[i].value);
        is_refused(&j, cases[i].name);
    }
    journey_t j;
    depart(&j, NULL);
    drop(&j, "Authorization");
    is_refused(&j, "MissingAuthenticationTokenException");
}

/* -- signing ------------------------------------------------------------------------------------- */
static void s3_paths_are_signed_as_they_are_and_bodies_by_their_hash(void **state)
{
    (void)state;
    const http_header_t headers[] = {{"Host", "bucket.s3.amazonaws.com"}};
    sigv4_request_t request = {"GET", "/a%20b", NULL, headers, 1, BYTES_NONE, "us-east-1", "s3", SUITE_TIME_US};
    sigv4_signed_t out;
    assert_true(sigv4_sign(&request, &suite_keys, &out, NULL));
    assert_string_equal(out.content_sha256, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_non_null(strstr(out.authorization, "SignedHeaders=host;x-amz-content-sha256;x-amz-date,"));
    sigv4_signed_free(&out);
}

static void what_cannot_be_signed_is_refused(void **state)
{
    (void)state;
    http_header_t headers[SIGV4_HEADERS_MAX + 1];
    sigv4_request_t request = {"GET", "/", NULL, headers, 0, BYTES_NONE, "r", "s", SUITE_TIME_US};
    sigv4_signed_t out;
    error_t err;
    assert_false(sigv4_sign(&request, &suite_keys, &out, &err)); /* no Host */
    assert_non_null(strstr(err.message, "Host"));
    for (size_t i = 0; i <= SIGV4_HEADERS_MAX; i++)
        headers[i] = (http_header_t){i ? "X-Other" : "Host", "v"};
    request.header_count = SIGV4_HEADERS_MAX + 1;
    assert_false(sigv4_sign(&request, &suite_keys, &out, &err));
    buf_t query = {0};
    for (int i = 0; i < 600; i++)
        buf_printf(&query, "&k%d=v", i);
    request.header_count = 1;
    request.query = buf_cstr(&query);
    assert_false(sigv4_sign(&request, &suite_keys, &out, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    buf_free(&query);
}

static void encoding_keeps_unreserved_characters_alone(void **state)
{
    (void)state;
    buf_t out = {0};
    sigv4_uri_encode(&out, BYTES_LIT(UNRESERVED "/:% \xff"), false);
    assert_string_equal(buf_cstr(&out), UNRESERVED "%2F%3A%25%20%FF");
    buf_clear(&out);
    sigv4_uri_encode(&out, BYTES_LIT("/a:b/"), true);
    assert_string_equal(buf_cstr(&out), "/a%3Ab/");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_signatures_come_out),
        cmocka_unit_test(what_is_signed_verifies),
        cmocka_unit_test(what_proxies_change_does_not_matter),
        cmocka_unit_test(every_change_of_the_request_is_refused),
        cmocka_unit_test(who_and_where_must_fit),
        cmocka_unit_test(time_must_fit),
        cmocka_unit_test(a_broken_authorization_is_told_by_what_is_wrong),
        cmocka_unit_test(s3_paths_are_signed_as_they_are_and_bodies_by_their_hash),
        cmocka_unit_test(what_cannot_be_signed_is_refused),
        cmocka_unit_test(encoding_keeps_unreserved_characters_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
