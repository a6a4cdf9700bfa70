/* sigv4.c: AWS Signature Version 4 over libcrypto. */
#include "kit/sigv4.h"

#include <ctype.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <time.h>

#define SHA256_BYTES 32
#define QUERY_PARTS_MAX 512
#define SKEW_US (INT64_C(15) * 60 * 1000000)
#define US_PER_S INT64_C(1000000)

static const char algorithm[] = "AWS4-HMAC-SHA256";

/* -- small things -------------------------------------------------------------------------------- */
static void hex_write(const uint8_t *data, size_t len, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < len; i++) {
        out[2 * i] = digits[data[i] >> 4];
        out[2 * i + 1] = digits[data[i] & 15];
    }
    out[2 * len] = '\0';
}

void sigv4_sha256_hex(bytes_t data, char out[SIGV4_HEX_CHARS + 1])
{
    uint8_t digest[SHA256_BYTES] = {0};
    (void)EVP_Digest(data.data, data.len, digest, NULL, EVP_sha256(), NULL);
    hex_write(digest, sizeof digest, out);
}

static void hmac(const uint8_t *key, size_t key_len, bytes_t data, uint8_t out[SHA256_BYTES])
{
    unsigned len = SHA256_BYTES;
    static const uint8_t nothing = 0;
    (void)HMAC(EVP_sha256(), key, (int)key_len, data.data ? data.data : &nothing, data.len, out, &len);
}

void sigv4_uri_encode(buf_t *out, bytes_t text, bool keep_slash)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
        if (plain)
            buf_append_byte(out, c);
        else
            buf_printf(out, "%%%02X", c);
    }
}

static bool date_write(int64_t time_us, char out[SIGV4_DATE_CHARS + 1])
{
    time_t seconds = (time_t)(time_us / US_PER_S);
    struct tm tm;
    return gmtime_r(&seconds, &tm) && strftime(out, SIGV4_DATE_CHARS + 1, "%Y%m%dT%H%M%SZ", &tm) == SIGV4_DATE_CHARS;
}

static bool date_read(const char *text, int64_t *time_us)
{
    struct tm tm = {0};
    const char *end = strlen(text) == SIGV4_DATE_CHARS ? strptime(text, "%Y%m%dT%H%M%SZ", &tm) : NULL;
    if (!end || *end)
        return false;
    *time_us = (int64_t)timegm(&tm) * US_PER_S;
    return true;
}

/* -- canonical request --------------------------------------------------------------------------- */
/* Headers that proxies or clients add or change on the way; botocore leaves the same ones out. */
static bool header_is_signable(const char *name)
{
    static const char *const never[] = {
        "authorization", "connection", "expect",          "keep-alive", "te",
        "trailer",       "user-agent", "x-amzn-trace-id", "upgrade",    "transfer-encoding"};
    for (size_t i = 0; i < ARRAY_LEN(never); i++)
        if (strcasecmp(name, never[i]) == 0)
            return false;
    return strncasecmp(name, "proxy-", 6) != 0;
}

static int header_order(const void *a, const void *b)
{
    const http_header_t *left = a, *right = b;
    int order = strcasecmp(left->name, right->name);
    return order ? order : strcmp(left->value, right->value);
}

static void header_value_append(buf_t *out, const char *value)
{
    bool blank = false, any = false;
    for (; *value; value++) {
        if (*value == ' ' || *value == '\t') {
            blank = true;
            continue;
        }
        if (blank && any)
            buf_append_byte(out, ' ');
        buf_append_byte(out, (uint8_t)*value);
        blank = false;
        any = true;
    }
}

static void lower_append(buf_t *out, const char *text)
{
    for (; *text; text++)
        buf_append_byte(out, (uint8_t)tolower((unsigned char)*text));
}

/* Appends "name:value\n" for each header, repeats joined by commas, and the names to `names`. */
static void headers_append(buf_t *out, buf_t *names, http_header_t *headers, size_t count)
{
    qsort(headers, count, sizeof headers[0], header_order);
    for (size_t i = 0; i < count; i++) {
        bool repeats = i > 0 && strcasecmp(headers[i].name, headers[i - 1].name) == 0;
        if (repeats) {
            out->len -= 1; /* the newline */
            buf_append_byte(out, ',');
        } else {
            lower_append(out, headers[i].name);
            buf_append_byte(out, ':');
            if (i > 0)
                buf_append_byte(names, ';');
            lower_append(names, headers[i].name);
        }
        header_value_append(out, headers[i].value);
        buf_append_byte(out, '\n');
    }
}

static int query_order(const void *a, const void *b)
{
    const bytes_t *left = a, *right = b;
    const uint8_t *left_eq = memchr(left->data, '=', left->len), *right_eq = memchr(right->data, '=', right->len);
    size_t left_name = left_eq ? (size_t)(left_eq - left->data) : left->len;
    size_t right_name = right_eq ? (size_t)(right_eq - right->data) : right->len;
    int order = bytes_cmp(bytes_from(left->data, left_name), bytes_from(right->data, right_name));
    return order ? order : bytes_cmp(*left, *right);
}

static int hex_value(int c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The wire's encoding undone and done again in RFC 3986's one form. */
static void query_part_append(buf_t *out, bytes_t part)
{
    buf_t plain = {0};
    for (size_t i = 0; i < part.len; i++) {
        int high = i + 2 < part.len && part.data[i] == '%' ? hex_value(part.data[i + 1]) : -1;
        int low = high >= 0 ? hex_value(part.data[i + 2]) : -1;
        if (low >= 0) {
            buf_append_byte(&plain, (uint8_t)(high * 16 + low));
            i += 2;
        } else {
            buf_append_byte(&plain, part.data[i]);
        }
    }
    sigv4_uri_encode(out, buf_bytes(&plain), false);
    if (plain.failed)
        out->failed = true;
    buf_free(&plain);
}

static bool query_append(buf_t *out, const char *query, error_t *err)
{
    bytes_t parts[QUERY_PARTS_MAX] = {0};
    buf_t encoded = {0};
    size_t starts[QUERY_PARTS_MAX + 1], count = 0;
    for (const char *p = query ? query : ""; *p;) {
        size_t len = strcspn(p, "&");
        if (len) {
            if (count == QUERY_PARTS_MAX) {
                buf_free(&encoded);
                return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "more than %d query parameters", QUERY_PARTS_MAX);
            }
            size_t name = strcspn(p, "=&");
            starts[count++] = encoded.len;
            query_part_append(&encoded, bytes_from(p, name));
            buf_append_byte(&encoded, '=');
            if (name < len)
                query_part_append(&encoded, bytes_from(p + name + 1, len - name - 1));
        }
        p += len + (p[len] == '&');
    }
    starts[count] = encoded.len;
    for (size_t i = 0; i < count; i++)
        parts[i] = bytes_from(encoded.data + starts[i], starts[i + 1] - starts[i]);
    qsort(parts, count, sizeof parts[0], query_order);
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_append_byte(out, '&');
        buf_append_bytes(out, parts[i]);
    }
    if (encoded.failed)
        out->failed = true;
    buf_free(&encoded);
    return true;
}

static bool service_signs_payload_hash(const char *service)
{
    return strcmp(service, "s3") == 0 || strcmp(service, "aoss") == 0;
}

/* Builds the canonical request from exactly the headers given (they get sorted). */
static bool canonical_build(const sigv4_request_t *request, http_header_t *headers, size_t count,
                            const char *payload_hash, buf_t *out, buf_t *names, error_t *err)
{
    buf_append_cstr(out, request->method);
    buf_append_byte(out, '\n');
    bytes_t path = bytes_cstr(request->path && *request->path ? request->path : "/");
    if (strcmp(request->service, "s3") == 0)
        buf_append_bytes(out, path);
    else
        sigv4_uri_encode(out, path, true);
    buf_append_byte(out, '\n');
    if (!query_append(out, request->query, err))
        return false;
    buf_append_byte(out, '\n');
    headers_append(out, names, headers, count);
    buf_append_byte(out, '\n');
    buf_append_bytes(out, buf_bytes(names));
    buf_append_byte(out, '\n');
    buf_append_cstr(out, payload_hash);
    if (out->failed || names->failed)
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory while signing");
    return true;
}

static void signature_write(const sigv4_request_t *request, const char *secret, const char *date, bytes_t canonical,
                            char out[SIGV4_HEX_CHARS + 1])
{
    uint8_t key[SHA256_BYTES];
    buf_t text = {0};
    buf_printf(&text, "AWS4%s", secret);
    hmac(text.data, text.len, bytes_from(date, 8), key);
    OPENSSL_cleanse(text.data, text.len);
    hmac(key, sizeof key, bytes_cstr(request->region), key);
    hmac(key, sizeof key, bytes_cstr(request->service), key);
    hmac(key, sizeof key, BYTES_LIT("aws4_request"), key);
    char hash[SIGV4_HEX_CHARS + 1];
    sigv4_sha256_hex(canonical, hash);
    buf_clear(&text);
    buf_printf(&text, "%s\n%s\n%.8s/%s/%s/aws4_request\n%s", algorithm, date, date, request->region, request->service,
               hash);
    hmac(key, sizeof key, buf_bytes(&text), key);
    hex_write(key, sizeof key, out);
    OPENSSL_cleanse(key, sizeof key);
    buf_free(&text);
}

/* -- signing ------------------------------------------------------------------------------------- */
static bool headers_collect(const sigv4_request_t *request, http_header_t *out, size_t *count, error_t *err)
{
    bool has_host = false;
    for (size_t i = 0; i < request->header_count; i++) {
        if (!header_is_signable(request->headers[i].name))
            continue;
        if (*count == SIGV4_HEADERS_MAX)
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "more than %d headers to sign", SIGV4_HEADERS_MAX);
        has_host |= strcasecmp(request->headers[i].name, "host") == 0;
        out[(*count)++] = request->headers[i];
    }
    return has_host || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a signed request needs its Host header");
}

bool sigv4_sign(const sigv4_request_t *request, const sigv4_credentials_t *credentials, sigv4_signed_t *out,
                error_t *err)
{
    *out = (sigv4_signed_t){0};
    if (!date_write(request->time_us, out->date))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "no date can be made of the request's time");
    sigv4_sha256_hex(request->body, out->content_sha256);
    http_header_t headers[SIGV4_HEADERS_MAX + 3];
    size_t count = 0;
    if (!headers_collect(request, headers, &count, err))
        return false;
    headers[count++] = (http_header_t){"x-amz-date", out->date};
    if (credentials->session_token && *credentials->session_token)
        headers[count++] = (http_header_t){"x-amz-security-token", credentials->session_token};
    if (service_signs_payload_hash(request->service))
        headers[count++] = (http_header_t){"x-amz-content-sha256", out->content_sha256};
    buf_t canonical = {0}, names = {0}, value = {0};
    bool ok = canonical_build(request, headers, count, out->content_sha256, &canonical, &names, err);
    if (ok) {
        char signature[SIGV4_HEX_CHARS + 1];
        signature_write(request, credentials->secret_access_key, out->date, buf_bytes(&canonical), signature);
        buf_printf(&value, "%s Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=%.*s, Signature=%s", algorithm,
                   credentials->access_key_id, out->date, request->region, request->service, BYTES_FMT(names),
                   signature);
        out->authorization = bytes_dup(buf_bytes(&value));
        ok = out->authorization && !value.failed;
        if (!ok)
            (void)error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "out of memory while signing");
    }
    buf_free(&canonical);
    buf_free(&names);
    buf_free(&value);
    return ok;
}

void sigv4_signed_free(sigv4_signed_t *out)
{
    free(out->authorization);
    *out = (sigv4_signed_t){0};
}

/* -- verifying ----------------------------------------------------------------------------------- */
typedef struct {
    bytes_t access_key_id, date, region, service, names, signature;
} claim_t;

static const char *header_find(const sigv4_request_t *request, const char *name)
{
    for (size_t i = 0; i < request->header_count; i++)
        if (strcasecmp(request->headers[i].name, name) == 0)
            return request->headers[i].value;
    return NULL;
}

/* The text behind "key=" up to a comma or the end. */
static bool claim_field(const char *authorization, const char *key, bytes_t *out)
{
    const char *at = strstr(authorization, key);
    if (!at)
        return false;
    at += strlen(key);
    *out = bytes_from(at, strcspn(at, ", "));
    return out->len > 0;
}

static bool claim_read(const char *authorization, claim_t *claim)
{
    bytes_t scope;
    if (strncmp(authorization, algorithm, sizeof algorithm - 1) != 0 ||
        !claim_field(authorization, "Credential=", &scope) ||
        !claim_field(authorization, "SignedHeaders=", &claim->names) ||
        !claim_field(authorization, "Signature=", &claim->signature))
        return false;
    bytes_t *parts[] = {&claim->access_key_id, &claim->date, &claim->region, &claim->service};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        const uint8_t *slash = memchr(scope.data, '/', scope.len);
        if (!slash)
            return false;
        *parts[i] = bytes_from(scope.data, (size_t)(slash - scope.data));
        scope = bytes_from(slash + 1, scope.len - parts[i]->len - 1);
    }
    return bytes_eq_cstr(scope, "aws4_request") && claim->date.len == 8;
}

static bool name_is_listed(bytes_t names, const char *name)
{
    size_t len = strlen(name);
    for (size_t at = 0; at < names.len;) {
        const uint8_t *end = memchr(names.data + at, ';', names.len - at);
        size_t item = end ? (size_t)(end - names.data) - at : names.len - at;
        if (item == len && strncasecmp((const char *)names.data + at, name, len) == 0)
            return true;
        at += item + 1;
    }
    return false;
}

static bool claim_check(const sigv4_request_t *request, const sigv4_credentials_t *expected, const claim_t *claim,
                        const char *date, error_t *err)
{
    int64_t signed_us;
    if (!bytes_eq_cstr(claim->access_key_id, expected->access_key_id))
        return error_set(err, STATUS_UNAUTHENTICATED, "UnrecognizedClientException",
                         "The security token included in the request is invalid.");
    if (!date_read(date, &signed_us) || memcmp(date, claim->date.data, 8) != 0)
        return error_set(err, STATUS_UNAUTHENTICATED, "IncompleteSignatureException",
                         "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP");
    if (!bytes_eq_cstr(claim->region, request->region) || !bytes_eq_cstr(claim->service, request->service))
        return error_set(err, STATUS_UNAUTHENTICATED, "InvalidSignatureException",
                         "Credential should be scoped to region '%s' and service '%s'.", request->region,
                         request->service);
    int64_t skew = request->time_us - signed_us;
    if (skew > SKEW_US || skew < -SKEW_US)
        return error_set(err, STATUS_UNAUTHENTICATED, "InvalidSignatureException",
                         "Signature expired or not yet current: %s differs by more than 15 minutes.", date);
    const char *token = header_find(request, "x-amz-security-token");
    const char *want = expected->session_token ? expected->session_token : "";
    if (strcmp(token ? token : "", want) != 0)
        return error_set(err, STATUS_UNAUTHENTICATED, "UnrecognizedClientException",
                         "The security token included in the request is invalid.");
    if (!name_is_listed(claim->names, "host") || !name_is_listed(claim->names, "x-amz-date") ||
        (token && !name_is_listed(claim->names, "x-amz-security-token")))
        return error_set(err, STATUS_UNAUTHENTICATED, "InvalidSignatureException",
                         "'Host', 'X-Amz-Date' and 'X-Amz-Security-Token' must be signed headers.");
    return true;
}

static bool signature_check(const sigv4_request_t *request, const sigv4_credentials_t *expected, const claim_t *claim,
                            const char *date, error_t *err)
{
    http_header_t headers[SIGV4_HEADERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < request->header_count; i++)
        if (name_is_listed(claim->names, request->headers[i].name)) {
            if (count == SIGV4_HEADERS_MAX)
                return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "more than %d signed headers", SIGV4_HEADERS_MAX);
            headers[count++] = request->headers[i];
        }
    char hash[SIGV4_HEX_CHARS + 1], signature[SIGV4_HEX_CHARS + 1];
    sigv4_sha256_hex(request->body, hash);
    buf_t canonical = {0}, names = {0};
    bool ok = canonical_build(request, headers, count, hash, &canonical, &names, err);
    if (ok) {
        signature_write(request, expected->secret_access_key, date, buf_bytes(&canonical), signature);
        ok = claim->signature.len == SIGV4_HEX_CHARS &&
             CRYPTO_memcmp(claim->signature.data, signature, SIGV4_HEX_CHARS) == 0;
        if (!ok)
            (void)error_set(err, STATUS_UNAUTHENTICATED, "InvalidSignatureException",
                            "The request signature we calculated does not match the signature you provided. Check "
                            "your AWS Secret Access Key and signing method.");
    }
    buf_free(&canonical);
    buf_free(&names);
    return ok;
}

bool sigv4_verify(const sigv4_request_t *request, const sigv4_credentials_t *expected, error_t *err)
{
    const char *authorization = header_find(request, "authorization");
    const char *date = header_find(request, "x-amz-date");
    if (!authorization)
        return error_set(err, STATUS_UNAUTHENTICATED, "MissingAuthenticationTokenException",
                         "Missing Authentication Token");
    claim_t claim;
    if (!date || !claim_read(authorization, &claim))
        return error_set(err, STATUS_UNAUTHENTICATED, "IncompleteSignatureException",
                         "Authorization header requires 'Credential', 'Signature' and 'SignedHeaders', and the request "
                         "'X-Amz-Date'.");
    return claim_check(request, expected, &claim, date, err) && signature_check(request, expected, &claim, date, err);
}
