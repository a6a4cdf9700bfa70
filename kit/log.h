/* log.h: JSON log lines on standard error, one write(2) each.
 *
 * A line has time (RFC 3339, microseconds), level, service, instance, message, then the fields given, then
 * trace_id and span_id where a trace is current. Field names are in docs/conventions.md. Values are escaped;
 * broken UTF-8 becomes U+FFFD; a line is cut at LOG_LINE_MAX_BYTES. Secrets are never passed here. */
#ifndef KIT_LOG_H
#define KIT_LOG_H

#include <syslog.h>

#include "proto/bytes.h"
#include "proto/status.h"

/* syslog.h, which czmq.h brings along, has these names as macros; ours win, in whatever order headers come. */
#undef LOG_DEBUG
#undef LOG_INFO

#define LOG_LINE_MAX_BYTES 4096 /* PIPE_BUF: lines of several processes do not mix */

typedef enum { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR } log_level_t;

typedef struct {
    const char *key;
    enum { LOG_STR, LOG_INT, LOG_NUM, LOG_BYTES } type;
    union {
        const char *str;
        int64_t i64;
        double f64;
        bytes_t bytes;
    };
} log_field_t;

#define LOG_S(k, v) ((log_field_t){.key = (k), .type = LOG_STR, .str = (v)})
#define LOG_I(k, v) ((log_field_t){.key = (k), .type = LOG_INT, .i64 = (int64_t)(v)})
#define LOG_F(k, v) ((log_field_t){.key = (k), .type = LOG_NUM, .f64 = (v)})
#define LOG_B(k, v) ((log_field_t){.key = (k), .type = LOG_BYTES, .bytes = (v)})

/* Once, at start: who speaks, and from which level on. Strings are copied. */
void log_start(const char *service, const char *instance, log_level_t level);
MUST_USE bool log_level_parse(const char *text, log_level_t *out); /* debug info warn error */

void log_write(log_level_t level, const char *message, const log_field_t *fields, size_t count);

/* log_info("catalogue loaded", LOG_I("items", n), LOG_S("bus", name)); fields are optional. */
#define LOG_FIELDS(...) ((const log_field_t[]){{.key = NULL}, ##__VA_ARGS__} + 1)
#define LOG_COUNT(...) (sizeof((const log_field_t[]){{.key = NULL}, ##__VA_ARGS__}) / sizeof(log_field_t) - 1)
#define log_debug(message, ...) log_write(LOG_DEBUG, message, LOG_FIELDS(__VA_ARGS__), LOG_COUNT(__VA_ARGS__))
#define log_info(message, ...) log_write(LOG_INFO, message, LOG_FIELDS(__VA_ARGS__), LOG_COUNT(__VA_ARGS__))
#define log_warn(message, ...) log_write(LOG_WARN, message, LOG_FIELDS(__VA_ARGS__), LOG_COUNT(__VA_ARGS__))
#define log_error(message, ...) log_write(LOG_ERROR, message, LOG_FIELDS(__VA_ARGS__), LOG_COUNT(__VA_ARGS__))

#endif
