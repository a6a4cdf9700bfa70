/* status.c: names and texts of failures. */
#include "proto/status.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "proto/bytes.h"
#include "proto/utf8.h"

static const char *const names[] = {
    "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
    "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
    "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
    "DATA_LOSS", "UNAUTHENTICATED",
};

const char *status_name(status_t code)
{
    return (unsigned)code < ARRAY_LEN(names) ? names[code] : "UNKNOWN";
}

status_t status_from_name(const char *name)
{
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (strcmp(names[i], name) == 0)
            return (status_t)i;
    return STATUS_UNKNOWN;
}

bool status_is_transient(status_t code)
{
    return code == STATUS_UNAVAILABLE || code == STATUS_RESOURCE_EXHAUSTED || code == STATUS_ABORTED ||
           code == STATUS_DEADLINE_EXCEEDED;
}

/* Texts of others end up in messages, some cut anywhere: what is no UTF-8 in them becomes question marks, so that a
 * message can always travel. */
static void text_mend(char *text)
{
    size_t len = strlen(text);
    for (size_t at = 0, n; at < len; at += n ? n : 1) {
        n = utf8_sequence((const uint8_t *)text + at, len - at);
        if (n == 0)
            text[at] = '?';
    }
}

static void message_format(char *out, const char *fmt, va_list args)
{
    char text[2 * ERROR_MESSAGE_BYTES];
    (void)vsnprintf(text, sizeof text, fmt, args);
    text_mend(text);
    (void)bytes_to_cstr(bytes_cstr(text), out, ERROR_MESSAGE_BYTES);
}

bool error_set(error_t *err, status_t code, const char *aws, const char *fmt, ...)
{
    if (!err)
        return false;
    char message[ERROR_MESSAGE_BYTES]; /* apart: an argument may be err's own old text */
    va_list args;
    va_start(args, fmt);
    message_format(message, fmt, args);
    va_end(args);
    *err = (error_t){.code = code};
    (void)bytes_to_cstr(bytes_cstr(aws), err->aws, sizeof err->aws);
    text_mend(err->aws);
    memcpy(err->message, message, sizeof message);
    return false;
}

bool error_prefix(error_t *err, const char *fmt, ...)
{
    if (!err)
        return false;
    char text[2 * ERROR_MESSAGE_BYTES];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(text, ERROR_MESSAGE_BYTES, fmt, args);
    va_end(args);
    size_t at = n < 0 ? 0 : n < ERROR_MESSAGE_BYTES ? (size_t)n : ERROR_MESSAGE_BYTES - 1;
    (void)snprintf(text + at, sizeof text - at, ": %s", err->message);
    text_mend(text);
    (void)bytes_to_cstr(bytes_cstr(text), err->message, sizeof err->message);
    return false;
}

void error_clear(error_t *err)
{
    if (err)
        *err = (error_t){0};
}
