/* status.h: how anything that can fail says so.
 *
 * Codes are gRPC's canonical codes (grpc/doc/statuscodes.md) with AWS's name beside them where AWS has one,
 * so that a caller can decide by code and an operator can look the name up. A fallible function returns
 * false (or NULL) and fills `error_t` if the caller passed one; messages are one sentence that says what to
 * do, never hold a secret, and name the field or offset concerned. */
#ifndef PROTO_STATUS_H
#define PROTO_STATUS_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/compiler.h"

/* Under _GNU_SOURCE glibc's errno.h gives the name to an int. In this house it is the struct below, in whatever
 * order headers come. */
#define error_t mangabus_error_t

typedef enum {
    STATUS_OK = 0,
    STATUS_CANCELLED = 1,
    STATUS_UNKNOWN = 2,
    STATUS_INVALID_ARGUMENT = 3,
    STATUS_DEADLINE_EXCEEDED = 4,
    STATUS_NOT_FOUND = 5,
    STATUS_ALREADY_EXISTS = 6,
    STATUS_PERMISSION_DENIED = 7,
    STATUS_RESOURCE_EXHAUSTED = 8,
    STATUS_FAILED_PRECONDITION = 9,
    STATUS_ABORTED = 10,
    STATUS_OUT_OF_RANGE = 11,
    STATUS_UNIMPLEMENTED = 12,
    STATUS_INTERNAL = 13,
    STATUS_UNAVAILABLE = 14,
    STATUS_DATA_LOSS = 15,
    STATUS_UNAUTHENTICATED = 16,
    STATUS_MAX = 16,
} status_t;

#define ERROR_AWS_BYTES 64
#define ERROR_MESSAGE_BYTES 320

typedef struct {
    status_t code;
    char aws[ERROR_AWS_BYTES];         /* "QueueDoesNotExist", "ThrottlingException", or our own name; "" for none */
    char message[ERROR_MESSAGE_BYTES]; /* UTF-8, cut at a character boundary */
    int64_t retry_after_ms;            /* when trying again may help; 0 for unknown or never */
} error_t;

/* "NOT_FOUND" and so on; "UNKNOWN" for a number that is none. Never NULL. */
const char *status_name(status_t code);

/* The code by its name; STATUS_UNKNOWN when there is none such. */
status_t status_from_name(const char *name);

/* True when the same request may succeed later (UNAVAILABLE, RESOURCE_EXHAUSTED, ABORTED, DEADLINE_EXCEEDED). */
bool status_is_transient(status_t code);

/* Fills `err` (which may be NULL) and returns false, so that `return error_set(…)` reads as it acts.
 * `aws` may be NULL. */
bool error_set(error_t *err, status_t code, const char *aws, const char *fmt, ...) PRINTF_LIKE(4, 5);

/* Puts "context: " before the message. Returns false. */
bool error_prefix(error_t *err, const char *fmt, ...) PRINTF_LIKE(2, 3);

void error_clear(error_t *err);

#endif
