/* sigv4.h: AWS Signature Version 4, the same on every machine.
 *
 * libcurl's own signer gets Bedrock's `%3A` paths wrong before 8.14 (Debian 12 ships 7.88), so we sign by
 * hand over libcrypto and pass Authorization as a plain header. The same canonical form serves bedrock-sim,
 * which verifies.
 *
 * Source of the rules: AWS General Reference, "Signature Version 4 signing process", and what botocore's
 * auth.py does where that page is silent: the canonical path is the path on the wire, percent-encoded once
 * more (S3: as it is); query parameters sorted by encoded name, then value; header values trimmed and inner
 * blanks folded; headers that proxies change are not signed. Pure but for memory. */
#ifndef KIT_SIGV4_H
#define KIT_SIGV4_H

#include "kit/http_server.h" /* http_header_t */
#include "proto/bytes.h"
#include "proto/status.h"

#define SIGV4_HEADERS_MAX 64
#define SIGV4_DATE_CHARS 16 /* 20150830T123600Z */
#define SIGV4_HEX_CHARS 64

typedef struct {
    const char *access_key_id;
    const char *secret_access_key;
    const char *session_token; /* NULL or "" for none */
} sigv4_credentials_t;

typedef struct {
    const char *method;
    const char *path;             /* as on the wire, without query: "/model/anthropic.claude-v1%3A0/invoke" */
    const char *query;            /* as on the wire, without '?'; NULL or "" for none */
    const http_header_t *headers; /* must include Host */
    size_t header_count;
    bytes_t body;
    const char *region;
    const char *service; /* signing name: "bedrock", "sqs", "events", "s3" */
    int64_t time_us;     /* Unix microseconds */
} sigv4_request_t;

/* What the caller adds to its request, beside its own headers. */
typedef struct {
    char date[SIGV4_DATE_CHARS + 1];          /* X-Amz-Date */
    char content_sha256[SIGV4_HEX_CHARS + 1]; /* X-Amz-Content-Sha256; send it for s3 and aoss, where it is signed */
    char *authorization;                      /* Authorization; malloc'd */
} sigv4_signed_t;

/* Signs. The headers X-Amz-Date, X-Amz-Security-Token (with a token) and, for s3 and aoss,
 * X-Amz-Content-Sha256 are part of what is signed and must not be in `headers`. */
MUST_USE bool sigv4_sign(const sigv4_request_t *request, const sigv4_credentials_t *credentials, sigv4_signed_t *out,
                         error_t *err);
void sigv4_signed_free(sigv4_signed_t *out);

/* Verifies a request as the service would: `request->headers` are all that came, Authorization and X-Amz-Date
 * among them; region and service are what this endpoint expects; time_us is now (15 minutes of skew are
 * allowed). err->aws is the name AWS gives: MissingAuthenticationTokenException, UnrecognizedClientException,
 * IncompleteSignatureException, InvalidSignatureException. */
MUST_USE bool sigv4_verify(const sigv4_request_t *request, const sigv4_credentials_t *expected, error_t *err);

/* Percent-encodes as RFC 3986 asks: all but A-Z a-z 0-9 - . _ ~, and `/` where `keep_slash`. */
void sigv4_uri_encode(buf_t *out, bytes_t text, bool keep_slash);

/* Lower-case hex of SHA-256. */
void sigv4_sha256_hex(bytes_t data, char out[SIGV4_HEX_CHARS + 1]);

#endif
