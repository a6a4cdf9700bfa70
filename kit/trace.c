/* trace.c: making, reading and writing trace contexts. */
#include "kit/trace.h"

#include "kit/clock.h"

#define FLAG_SAMPLED 0x01
#define VERSION_FORBIDDEN 0xFF
/* version "-" trace-id "-" parent-id "-" flags */
enum { AT_TRACE = 3, AT_SPAN = 36, AT_FLAGS = 53 };

/* Of the thread: a helper thread's log lines do not borrow the request of the loop. */
static _Thread_local trace_t current;

static bool is_zero(const uint8_t *p, size_t n)
{
    uint8_t all = 0;
    for (size_t i = 0; i < n; i++)
        all |= p[i];
    return all == 0;
}

/* An identifier of zeros means "none" on the wire. */
static void random_id(uint8_t *out, size_t n)
{
    do
        clock_random(out, n);
    while (is_zero(out, n));
}

trace_t trace_new(void)
{
    trace_t trace = {.flags = FLAG_SAMPLED, .valid = true};
    random_id(trace.trace_id, sizeof trace.trace_id);
    random_id(trace.span_id, sizeof trace.span_id);
    return trace;
}

trace_t trace_child(const trace_t *parent)
{
    if (!parent || !parent->valid)
        return trace_new();
    trace_t child = *parent;
    random_id(child.span_id, sizeof child.span_id);
    return child;
}

/* Lower case only, as the specification demands; -1 for anything else. */
static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool hex_read(const uint8_t *text, uint8_t *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static char *hex_write(char *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        *out++ = digits[bytes[i] >> 4];
        *out++ = digits[bytes[i] & 15];
    }
    return out;
}

/* A later version may append fields after a dash; version 00 is exactly this long. */
static bool has_shape(bytes_t text, uint8_t version)
{
    const uint8_t *p = text.data;
    bool length = text.len == TRACE_PARENT_BYTES || (version > 0 && p[TRACE_PARENT_BYTES] == '-');
    return length && version != VERSION_FORBIDDEN && p[AT_TRACE - 1] == '-' && p[AT_SPAN - 1] == '-' &&
           p[AT_FLAGS - 1] == '-';
}

bool trace_parse(bytes_t text, trace_t *out)
{
    uint8_t version;
    trace_t trace = {.valid = true};
    if (text.len < TRACE_PARENT_BYTES || !hex_read(text.data, &version, 1) || !has_shape(text, version))
        return false;
    if (!hex_read(text.data + AT_TRACE, trace.trace_id, sizeof trace.trace_id) ||
        !hex_read(text.data + AT_SPAN, trace.span_id, sizeof trace.span_id) ||
        !hex_read(text.data + AT_FLAGS, &trace.flags, 1))
        return false;
    if (is_zero(trace.trace_id, sizeof trace.trace_id) || is_zero(trace.span_id, sizeof trace.span_id))
        return false;
    *out = trace;
    return true;
}

void trace_format(const trace_t *trace, char out[TRACE_PARENT_BYTES + 1])
{
    char *at = out;
    *at++ = '0';
    *at++ = '0';
    *at++ = '-';
    at = hex_write(at, trace->trace_id, sizeof trace->trace_id);
    *at++ = '-';
    at = hex_write(at, trace->span_id, sizeof trace->span_id);
    *at++ = '-';
    at = hex_write(at, &trace->flags, 1);
    *at = '\0';
}

void trace_set_current(const trace_t *trace)
{
    current = trace ? *trace : (trace_t){.valid = false};
}

const trace_t *trace_current(void)
{
    return &current;
}
