/* aws.c: credentials from the environment or the container, endpoints, signed requests, AWS's errors in our words. */
#include "kit/aws.h"

#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "kit/aws_internal.h"
#include "kit/clock.h"
#include "kit/log.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"

#define US_PER_S INT64_C(1000000)
#define CONTAINER_BASE "http://169.254.170.2"
#define CONTAINER_TIMEOUT_MS 2000
#define RETRY_FIRST_MS 1000
#define RETRY_MAX_MS 60000
#define RETRY_AFTER_DEFAULT_MS 1000
#define TOKEN_FILE_MAX_BYTES 16384
#define BODY_MAX_BYTES ((size_t)64 << 10)
#define JSON_DEPTH_MAX 32
#define ERROR_BODY_MAX_BYTES ((size_t)64 << 10)

typedef struct {
    char *access_key_id, *secret_access_key, *session_token;
    int64_t expires_us; /* INT64_MAX: never */
} keys_t;

/* A question under way; outlives an aws_t that is freed meanwhile. */
typedef struct {
    aws_t *aws; /* NULL: nobody waits any more */
    http_exchange_t *exchange;
} question_t;

struct aws {
    loop_t *loop;
    http_client_t *http;
    const char *region;
    keys_t keys;
    sigv4_credentials_t view; /* of keys */
    char *url;                /* of the container's endpoint; NULL: keys are fixed */
    loop_timer_t *timer;
    question_t *asking;
    int64_t retry_ms;
};

static const char *variable(const char *name)
{
    const char *value = getenv(name);
    return value && *value ? value : NULL;
}

/* -- keys ---------------------------------------------------------------------------------------- */
static void text_wipe(char **text)
{
    if (*text)
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

static void keys_free(keys_t *keys)
{
    text_wipe(&keys->access_key_id);
    text_wipe(&keys->secret_access_key);
    text_wipe(&keys->session_token);
}

/* All at once; `token` may be empty. */
static bool keys_set(aws_t *aws, bytes_t id, bytes_t secret, bytes_t token, int64_t expires_us)
{
    keys_t keys = {bytes_dup(id), bytes_dup(secret), bytes_dup(token), expires_us};
    if (!keys.access_key_id || !keys.secret_access_key || !keys.session_token) {
        keys_free(&keys);
        return false;
    }
    keys_free(&aws->keys);
    aws->keys = keys;
    aws->view = (sigv4_credentials_t){keys.access_key_id, keys.secret_access_key, keys.session_token};
    return true;
}

const sigv4_credentials_t *aws_credentials(const aws_t *aws, error_t *err)
{
    if (!aws->keys.access_key_id) {
        (void)error_set(err, STATUS_UNAVAILABLE, "CredentialsNotReady",
                        "the container's endpoint has not given AWS credentials yet");
        return NULL;
    }
    if (aws->keys.expires_us <= clock_wall_us()) {
        (void)error_set(err, STATUS_UNAUTHENTICATED, "ExpiredTokenException",
                        "the AWS credentials have expired and the container's endpoint gives no new ones");
        return NULL;
    }
    return &aws->view;
}

/* -- from the container -------------------------------------------------------------------------- */
/* Loopback and the addresses that ECS and EKS use; anything else must be https (as AWS's SDKs hold it). */
bool aws_container_url_is_allowed(const char *url)
{
    static const char *const hosts[] = {"localhost",     "127.0.0.1",      "[::1]",
                                        "169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"};
    static const char https[] = "https://", http[] = "http://";
    if (strncasecmp(url, https, sizeof https - 1) == 0)
        return true;
    if (strncasecmp(url, http, sizeof http - 1) != 0)
        return false;
    const char *host = url + sizeof http - 1;
    for (size_t i = 0; i < ARRAY_LEN(hosts); i++) {
        size_t len = strlen(hosts[i]);
        if (strncasecmp(host, hosts[i], len) == 0 && (host[len] == '\0' || strchr("/:?", host[len])))
            return true;
    }
    return false;
}

/* The file is read again each time: the platform renews it. */
static bool authorization_read(buf_t *out)
{
    const char *path = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
    const char *token = variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
    if (!path) {
        buf_append_cstr(out, token ? token : "");
    } else {
        char text[TOKEN_FILE_MAX_BYTES];
        FILE *file = fopen(path, "re");
        if (!file)
            return false;
        size_t len = fread(text, 1, sizeof text, file);
        (void)fclose(file);
        while (len && (text[len - 1] == '\n' || text[len - 1] == '\r'))
            len--;
        buf_append(out, text, len);
    }
    return !strpbrk(buf_cstr(out), "\r\n");
}

bool aws_container_answer_read(bytes_t json, aws_container_answer_t *out, buf_t *scratch)
{
    const json_limits_t limits = {.max_bytes = BODY_MAX_BYTES, .max_depth = JSON_DEPTH_MAX};
    bytes_t expiration = BYTES_NONE;
    if (!json_to_msgpack(json, &limits, scratch, NULL))
        return false;
    bytes_t map = buf_bytes(scratch);
    *out = (aws_container_answer_t){.expires_us = INT64_MAX};
    if (!mp_map_str(map, "Token", &out->token))
        out->token = BYTES_NONE;
    if (mp_map_str(map, "Expiration", &expiration) && !timefmt_parse(expiration, &out->expires_us))
        return false;
    return mp_map_str(map, "AccessKeyId", &out->id) && mp_map_str(map, "SecretAccessKey", &out->secret) &&
           out->id.len && out->secret.len;
}

static void ask_later(aws_t *aws, int64_t in_ms)
{
    loop_timer_in(aws->timer, in_ms);
}

static void ask_failed(aws_t *aws, const char *why)
{
    log_warn("no new AWS credentials from the container's endpoint", LOG_S("error", why),
             LOG_I("retry_ms", aws->retry_ms));
    ask_later(aws, aws->retry_ms);
    aws->retry_ms = aws->retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : aws->retry_ms * 2;
}

static void ask_succeeded(aws_t *aws)
{
    aws->retry_ms = RETRY_FIRST_MS;
    if (aws->keys.expires_us == INT64_MAX)
        return;
    int64_t left_ms = (aws->keys.expires_us - clock_wall_us()) / 1000 - AWS_REFRESH_BEFORE_S * 1000;
    ask_later(aws, left_ms > RETRY_MAX_MS ? left_ms : RETRY_MAX_MS);
}

static void answer_take(aws_t *aws, const http_result_t *result)
{
    aws_container_answer_t answer;
    buf_t scratch = {0};
    if (result->status != STATUS_OK)
        ask_failed(aws, result->error);
    else if (result->http_status != 200)
        ask_failed(aws, "it answered with an error");
    else if (!aws_container_answer_read(result->body, &answer, &scratch))
        ask_failed(aws, "its answer holds no credentials");
    else if (!keys_set(aws, answer.id, answer.secret, answer.token, answer.expires_us))
        ask_failed(aws, "out of memory");
    else
        ask_succeeded(aws);
    if (scratch.data)
        explicit_bzero(scratch.data, scratch.cap);
    buf_free(&scratch);
}

static void on_answer(void *ctx, const http_result_t *result)
{
    question_t *question = ctx;
    aws_t *aws = question->aws;
    free(question);
    if (!aws)
        return;
    aws->asking = NULL;
    if (result->status != STATUS_CANCELLED)
        answer_take(aws, result);
}

static bool question_start(aws_t *aws, const http_header_t *headers, size_t count, error_t *err)
{
    question_t *question = calloc(1, sizeof *question);
    if (!question)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    question->aws = aws;
    question->exchange = http_client_start(aws->http,
                                           &(http_call_t){.method = "GET",
                                                          .url = aws->url,
                                                          .headers = headers,
                                                          .header_count = count,
                                                          .timeout_ms = CONTAINER_TIMEOUT_MS,
                                                          .body_max_bytes = BODY_MAX_BYTES,
                                                          .on_done = on_answer,
                                                          .ctx = question},
                                           err);
    if (question->exchange)
        aws->asking = question;
    else
        free(question);
    return aws->asking != NULL;
}

static void ask(void *ctx)
{
    aws_t *aws = ctx;
    error_t err = {0};
    buf_t authorization = {0};
    if (aws->asking)
        return;
    bool started = false;
    if (authorization_read(&authorization)) {
        const http_header_t headers[] = {{"Accept", "application/json"}, {"Authorization", buf_cstr(&authorization)}};
        started = question_start(aws, headers, authorization.len ? 2 : 1, &err);
    } else {
        (void)error_set(&err, STATUS_FAILED_PRECONDITION, NULL, "its authorization token cannot be read");
    }
    if (!started)
        ask_failed(aws, err.message);
    buf_free(&authorization);
}

/* -- life ---------------------------------------------------------------------------------------- */
static bool container_start(aws_t *aws, error_t *err)
{
    const char *relative = variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
    const char *full = variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");
    if (!relative && !full)
        return error_set(err, STATUS_FAILED_PRECONDITION, "NoCredentials",
                         "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run where "
                         "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI is given");
    buf_t url = {0};
    buf_printf(&url, "%s%s", relative ? CONTAINER_BASE : "", relative ? relative : full);
    aws->url = bytes_dup(buf_bytes(&url));
    buf_free(&url);
    aws->timer = loop_timer_new(aws->loop, ask, aws);
    if (!aws->url || !aws->timer)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
    if (!aws_container_url_is_allowed(aws->url))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "AWS_CONTAINER_CREDENTIALS_FULL_URI must be https, or name a local address");
    ask(aws);
    return true;
}

static bool keys_start(aws_t *aws, error_t *err)
{
    const char *id = variable("AWS_ACCESS_KEY_ID"), *secret = variable("AWS_SECRET_ACCESS_KEY");
    const char *token = variable("AWS_SESSION_TOKEN");
    if (!id && !secret)
        return container_start(aws, err);
    if (!id || !secret)
        return error_set(err, STATUS_FAILED_PRECONDITION, "NoCredentials",
                         "of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set");
    return keys_set(aws, bytes_cstr(id), bytes_cstr(secret), bytes_cstr(token ? token : ""), INT64_MAX) ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
}

aws_t *aws_new(loop_t *loop, http_client_t *http, error_t *err)
{
    aws_t *aws = calloc(1, sizeof *aws);
    if (!aws) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    const char *region = variable("AWS_REGION");
    region = region ? region : variable("AWS_DEFAULT_REGION");
    *aws =
        (aws_t){.loop = loop, .http = http, .region = region ? region : AWS_REGION_DEFAULT, .retry_ms = RETRY_FIRST_MS};
    if (!keys_start(aws, err))
        aws_free(&aws);
    return aws;
}

void aws_free(aws_t **self)
{
    aws_t *aws = *self;
    if (!aws)
        return;
    if (aws->asking) {
        aws->asking->aws = NULL;
        http_exchange_cancel(aws->asking->exchange);
    }
    loop_timer_end(&aws->timer);
    keys_free(&aws->keys);
    free(aws->url);
    free(aws);
    *self = NULL;
}

const char *aws_region(const aws_t *aws)
{
    return aws->region;
}

/* -- endpoints ----------------------------------------------------------------------------------- */
void aws_endpoint(const char *service_id, const char *prefix, const char *region, buf_t *out)
{
    char name[64];
    const char *ignored = variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
    const char *url = NULL;
    (void)snprintf(name, sizeof name, "AWS_ENDPOINT_URL_%s", service_id);
    if (!ignored || strcasecmp(ignored, "true") != 0)
        url = variable(name) ? variable(name) : variable("AWS_ENDPOINT_URL");
    if (!url) {
        buf_printf(out, "https://%s.%s.amazonaws.com", prefix, region);
        return;
    }
    size_t len = strlen(url);
    while (len && url[len - 1] == '/')
        len--;
    buf_append(out, url, len);
}

/* -- a signed request ---------------------------------------------------------------------------- */
/* "https://host:port/base" -> host:port */
static bytes_t authority_of(const char *endpoint)
{
    const char *at = strstr(endpoint, "://");
    at = at ? at + 3 : endpoint;
    return bytes_from(at, strcspn(at, "/?"));
}

/* What goes on the wire is what is signed: an endpoint behind a gateway may have a path of its own. */
static void path_append(const aws_call_t *call, buf_t *out)
{
    bytes_t authority = authority_of(call->endpoint);
    buf_append_cstr(out, (const char *)authority.data + authority.len);
    buf_append_cstr(out, call->path);
}

static http_exchange_t *signed_start(aws_t *aws, const aws_call_t *call, const char *host,
                                     const sigv4_credentials_t *credentials, error_t *err)
{
    http_header_t headers[AWS_HEADERS_MAX + 5] = {{"Host", host}};
    size_t count = 1;
    for (size_t i = 0; i < call->header_count; i++)
        headers[count++] = call->headers[i];
    buf_t path = {0}, url = {0};
    path_append(call, &path);
    const sigv4_request_t request = {call->method, buf_cstr(&path), call->query,   headers,        count,
                                     call->body,   aws->region,     call->service, clock_wall_us()};
    sigv4_signed_t signature;
    http_exchange_t *exchange = NULL;
    if (sigv4_sign(&request, credentials, &signature, err)) {
        headers[count++] = (http_header_t){"X-Amz-Date", signature.date};
        headers[count++] = (http_header_t){"Authorization", signature.authorization};
        if (strcmp(call->service, "s3") == 0)
            headers[count++] = (http_header_t){"X-Amz-Content-Sha256", signature.content_sha256};
        if (credentials->session_token && *credentials->session_token)
            headers[count++] = (http_header_t){"X-Amz-Security-Token", credentials->session_token};
        buf_printf(&url, "%s%s%s%s", call->endpoint, call->path, call->query ? "?" : "",
                   call->query ? call->query : "");
        exchange = http_client_start(aws->http,
                                     &(http_call_t){.method = call->method,
                                                    .url = buf_cstr(&url),
                                                    .headers = headers,
                                                    .header_count = count,
                                                    .body = call->body,
                                                    .timeout_ms = call->timeout_ms,
                                                    .connect_timeout_ms = call->connect_timeout_ms,
                                                    .on_piece = call->on_piece,
                                                    .on_done = call->on_done,
                                                    .ctx = call->ctx},
                                     err);
    }
    sigv4_signed_free(&signature);
    buf_free(&path);
    buf_free(&url);
    return exchange;
}

http_exchange_t *aws_start(aws_t *aws, const aws_call_t *call, error_t *err)
{
    const sigv4_credentials_t *credentials = aws_credentials(aws, err);
    if (!credentials)
        return NULL;
    if (call->header_count > AWS_HEADERS_MAX) {
        (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "more than %d headers", AWS_HEADERS_MAX);
        return NULL;
    }
    char *host = bytes_dup(authority_of(call->endpoint));
    if (!host) {
        (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory");
        return NULL;
    }
    http_exchange_t *exchange = signed_start(aws, call, host, credentials, err);
    free(host);
    return exchange;
}

/* -- errors -------------------------------------------------------------------------------------- */
status_t aws_code(const char *name)
{
    static const struct {
        const char *part; /* of the name */
        status_t code;
    } table[] = {
        {"Throttl", STATUS_RESOURCE_EXHAUSTED},
        {"TooManyRequests", STATUS_RESOURCE_EXHAUSTED},
        {"LimitExceeded", STATUS_RESOURCE_EXHAUSTED},
        {"SlowDown", STATUS_RESOURCE_EXHAUSTED},
        {"ServiceQuotaExceeded", STATUS_RESOURCE_EXHAUSTED},
        {"ModelNotReady", STATUS_RESOURCE_EXHAUSTED},
        {"AccessDenied", STATUS_PERMISSION_DENIED},
        {"UnrecognizedClient", STATUS_UNAUTHENTICATED},
        {"InvalidSignature", STATUS_UNAUTHENTICATED},
        {"IncompleteSignature", STATUS_UNAUTHENTICATED},
        {"MissingAuthenticationToken", STATUS_UNAUTHENTICATED},
        {"ExpiredToken", STATUS_UNAUTHENTICATED},
        {"Validation", STATUS_INVALID_ARGUMENT},
        {"ResourceNotFound", STATUS_NOT_FOUND},
        {"ModelTimeout", STATUS_DEADLINE_EXCEEDED},
        {"ModelStreamError", STATUS_UNAVAILABLE},
        {"ModelError", STATUS_UNAVAILABLE},
        {"ServiceUnavailable", STATUS_UNAVAILABLE},
        {"InternalServer", STATUS_UNAVAILABLE},
        {"InternalFailure", STATUS_UNAVAILABLE},
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcasestr(name, table[i].part)) /* in streams the names begin with a small letter */
            return table[i].code;
    return STATUS_UNKNOWN;
}

static status_t code_by_status(unsigned http_status)
{
    switch (http_status) {
    case 401:
        return STATUS_UNAUTHENTICATED;
    case 403:
        return STATUS_PERMISSION_DENIED;
    case 404:
        return STATUS_NOT_FOUND;
    case 408:
        return STATUS_DEADLINE_EXCEEDED;
    case 424:
        return STATUS_UNAVAILABLE;
    case 429:
        return STATUS_RESOURCE_EXHAUSTED;
    default:
        /* Neither a success nor a refusal (a redirect, say): somebody stands between us and AWS. */
        return http_status < 400 || http_status >= 500 ? STATUS_UNAVAILABLE : STATUS_INVALID_ARGUMENT;
    }
}

void aws_error_from(const char *type, const char *message, unsigned http_status, int64_t retry_after_ms, error_t *out)
{
    status_t code = aws_code(type);
    if (code == STATUS_UNKNOWN)
        code = code_by_status(http_status);
    (void)error_set(out, code, type, "%s", message);
    if (code == STATUS_RESOURCE_EXHAUSTED)
        out->retry_after_ms = retry_after_ms > 0 ? retry_after_ms : RETRY_AFTER_DEFAULT_MS;
}

static int64_t retry_after_of(const http_result_t *result)
{
    int64_t ms = http_exchange_pause_ms(result->exchange, "x-amz-retry-after", 1);
    return ms > 0 ? ms : http_exchange_pause_ms(result->exchange, "Retry-After", 1000);
}

/* "prefix#Name" and "Name:url" -> Name */
static void type_copy(bytes_t text, char out[ERROR_AWS_BYTES])
{
    const uint8_t *hash = text.len ? memchr(text.data, '#', text.len) : NULL;
    if (hash)
        text = bytes_from(hash + 1, text.len - (size_t)(hash + 1 - text.data));
    const uint8_t *colon = text.len ? memchr(text.data, ':', text.len) : NULL;
    if (colon)
        text.len = (size_t)(colon - text.data);
    (void)bytes_to_cstr(text, out, ERROR_AWS_BYTES);
}

static void answer_error(const http_result_t *result, bytes_t body, error_t *out)
{
    const json_limits_t limits = {.max_bytes = ERROR_BODY_MAX_BYTES, .max_depth = JSON_DEPTH_MAX};
    char type[ERROR_AWS_BYTES] = "", message[ERROR_MESSAGE_BYTES] = "";
    buf_t scratch = {0};
    bytes_t text = BYTES_NONE;
    if (json_to_msgpack(body, &limits, &scratch, NULL)) {
        bytes_t map = buf_bytes(&scratch);
        if (mp_map_str(map, "__type", &text) || mp_map_str(map, "code", &text))
            type_copy(text, type);
        if (mp_map_str(map, "message", &text) || mp_map_str(map, "Message", &text))
            (void)bytes_to_cstr(text, message, sizeof message);
    }
    const char *header = http_exchange_header(result->exchange, "x-amzn-errortype");
    if (header)
        type_copy(bytes_cstr(header), type);
    if (!*message)
        (void)snprintf(message, sizeof message, "HTTP status %u without a message", result->http_status);
    aws_error_from(type, message, result->http_status, retry_after_of(result), out);
    buf_free(&scratch);
}

void aws_error(const http_result_t *result, bytes_t body, error_t *out)
{
    if (result->status == STATUS_OK)
        answer_error(result, body, out);
    else
        (void)error_set(out, result->status, NULL, "%s", result->error);
}
