/* log.c: builds a line on the stack and writes it in one call; nothing is allocated, nothing waits for a lock. */
#include "kit/log.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "kit/clock.h"
#include "kit/trace.h"
#include "proto/decimal.h"
#include "proto/utf8.h"

#define LOG_NAME_BYTES 128
/* Kept free for what must stand at the end of each line: trace, "cut", brace, line feed. */
#define LOG_TAIL_BYTES 160
#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

typedef struct {
    char text[LOG_LINE_MAX_BYTES];
    size_t len;
    size_t limit;
    bool cut;      /* something did not fit */
    uint64_t lost; /* lines before this one, of which it tells */
} line_t;

/* Who speaks. Set once, before there are threads; read by all. */
static struct {
    char service[LOG_NAME_BYTES];
    char instance[LOG_NAME_BYTES];
    log_level_t level;
} speaker = {.level = LOG_INFO};

static atomic_uint_fast64_t lost_lines; /* standard error took them not */

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_start(const char *service, const char *instance, log_level_t level)
{
    (void)bytes_to_cstr(bytes_cstr(service), speaker.service, sizeof speaker.service);
    (void)bytes_to_cstr(bytes_cstr(instance), speaker.instance, sizeof speaker.instance);
    speaker.level = level;
}

bool log_level_parse(const char *text, log_level_t *out)
{
    for (unsigned i = 0; i < ARRAY_LEN(level_names); i++)
        if (strcmp(text, level_names[i]) == 0) {
            *out = (log_level_t)i;
            return true;
        }
    return false;
}

static bool line_add(line_t *line, const void *text, size_t len)
{
    if (len > line->limit - line->len) {
        line->cut = true;
        return false;
    }
    memcpy(line->text + line->len, text, len);
    line->len += len;
    return true;
}

static bool line_add_cstr(line_t *line, const char *text)
{
    return line_add(line, text, strlen(text));
}

/* One character of a JSON string: what stands for the `n` bytes at p. */
static bool line_add_character(line_t *line, const uint8_t *p, size_t n)
{
    char escaped[8];
    if (n == 0)
        return line_add_cstr(line, REPLACEMENT);
    if (n > 1 || (*p >= 0x20 && *p != '"' && *p != '\\'))
        return line_add(line, p, n);
    if (*p == '"' || *p == '\\')
        return line_add(line, (const char[]){'\\', (char)*p}, 2);
    (void)snprintf(escaped, sizeof escaped, "\\u%04x", *p);
    return line_add_cstr(line, escaped);
}

/* A string that does not fit is cut between characters and still closed. */
static bool line_add_string(line_t *line, bytes_t s)
{
    if (line->limit - line->len < 2 || !line_add(line, "\"", 1))
        return false;
    line->limit--;
    for (size_t i = 0; i < s.len;) {
        size_t n = utf8_sequence(s.data + i, s.len - i);
        if (!line_add_character(line, s.data + i, n))
            break;
        i += n ? n : 1;
    }
    line->limit++;
    return line_add(line, "\"", 1);
}

static bool line_add_value(line_t *line, const log_field_t *field)
{
    char number[DECIMAL_TEXT_BYTES + 8];
    switch (field->type) {
    case LOG_STR:
        return field->str ? line_add_string(line, bytes_cstr(field->str)) : line_add_cstr(line, "null");
    case LOG_BYTES:
        return line_add_string(line, field->bytes);
    case LOG_INT:
        (void)snprintf(number, sizeof number, "%" PRId64, field->i64);
        return line_add_cstr(line, number);
    case LOG_NUM:
        if (!isfinite(field->f64))
            return line_add_cstr(line, "null");
        return line_add(line, number, decimal_format(field->f64, number));
    }
    return false;
}

/* Whole or, where not even its beginning fits, not at all: the line stays JSON. */
static void line_add_field(line_t *line, const log_field_t *field)
{
    size_t before = line->len;
    bool was_cut = line->cut;
    line->cut = false;
    bool has_key = line_add(line, ",", before > 1) && line_add_string(line, bytes_cstr(field->key)) && !line->cut;
    if (!has_key || !line_add(line, ":", 1) || !line_add_value(line, field))
        line->len = before;
    line->cut = line->cut || was_cut;
}

static void line_add_text(line_t *line, const char *key, const char *value)
{
    line_add_field(line, &LOG_S(key, value));
}

static void line_add_time(line_t *line)
{
    int64_t now_us = clock_wall_us();
    time_t seconds = (time_t)(now_us / 1000000);
    struct tm utc;
    char text[64];
    if (!gmtime_r(&seconds, &utc))
        return;
    size_t n = strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &utc);
    (void)snprintf(text + n, sizeof text - n, ".%06dZ", (int)(now_us % 1000000));
    line_add_text(line, "time", text);
}

static void line_add_trace(line_t *line)
{
    const trace_t *trace = trace_current();
    if (!trace->valid)
        return;
    char parent[TRACE_PARENT_BYTES + 1];
    trace_format(trace, parent);
    line_add_field(line, &LOG_B("trace_id", bytes_from(parent + 3, 32)));
    line_add_field(line, &LOG_B("span_id", bytes_from(parent + 36, 16)));
}

static void line_end(line_t *line)
{
    bool was_cut = line->cut;
    line->cut = false;
    line->limit = sizeof line->text;
    line_add_trace(line);
    line->lost = atomic_exchange(&lost_lines, 0);
    if (line->lost > 0)
        line_add_field(line, &LOG_I("lines_lost", line->lost));
    if (was_cut)
        (void)line_add_cstr(line, ",\"cut\":true");
    (void)line_add(line, "}\n", 2);
}

/* A full pipe that does not block costs the line, and the next one says so. */
static void line_write(const line_t *line)
{
    ssize_t n;
    do
        n = write(STDERR_FILENO, line->text, line->len);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        atomic_fetch_add(&lost_lines, line->lost + 1);
}

void log_write(log_level_t level, const char *message, const log_field_t *fields, size_t count)
{
    if (level < speaker.level)
        return;
    int saved_errno = errno; /* logging a failure must not change it */
    line_t line = {.limit = sizeof line.text - LOG_TAIL_BYTES};
    (void)line_add(&line, "{", 1);
    line_add_time(&line);
    line_add_text(&line, "level", level_names[level]);
    line_add_text(&line, "service", speaker.service);
    line_add_text(&line, "instance", speaker.instance);
    line_add_text(&line, "message", message);
    for (size_t i = 0; i < count; i++)
        line_add_field(&line, &fields[i]);
    line_end(&line);
    line_write(&line);
    errno = saved_errno;
}
