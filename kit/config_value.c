/* config_value.c: values of the configuration: their text, their bounds, their description. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <strings.h>

#include "kit/config_internal.h"
#include "proto/decimal.h"

#define NAME_MAX_BYTES 128

typedef struct {
    const char *name;
    int64_t factor;
} unit_t;

static const unit_t durations[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const unit_t sizes[] = {{"", 1},          {"B", 1},           {"KiB", 1 << 10},
                               {"MiB", 1 << 20}, {"GiB", 1LL << 30}, {"TiB", 1LL << 40}};

static void *place_of(const config_row_t *row, void *settings)
{
    return (char *)settings + row->offset;
}

static bool has_bounds(const config_row_t *row)
{
    return row->min != 0 || row->max != 0; // NOLINT: exact zeros mean "none"
}

/* -- describing ---------------------------------------------------------------------------------- */
static void plain_append(buf_t *out, double v)
{
    if (v == trunc(v) && fabs(v) < 1e15)
        buf_printf(out, "%" PRId64, (int64_t)v);
    else if (buf_reserve(out, DECIMAL_TEXT_BYTES))
        out->len += decimal_format(v, (char *)out->data + out->len);
}

/* In the largest unit that leaves a whole number. */
static void amount_append(buf_t *out, double v, const unit_t *units, size_t count)
{
    int64_t amount = (int64_t)v;
    size_t best = 1;
    for (size_t i = 1; amount != 0 && i < count; i++)
        if (amount % units[i].factor == 0)
            best = i;
    buf_printf(out, "%" PRId64 "%s", amount / units[best].factor, units[best].name);
}

static void bound_append(buf_t *out, const config_row_t *row, double bound)
{
    if (row->type == CONFIG_MS)
        amount_append(out, bound, durations, ARRAY_LEN(durations));
    else if (row->type == CONFIG_BYTES)
        amount_append(out, bound, sizes, ARRAY_LEN(sizes));
    else
        plain_append(out, bound);
}

void config_type_describe(const config_row_t *row, buf_t *out)
{
    static const char *const names[] = {
        [CONFIG_STR] = "text",    [CONFIG_I64] = "whole number", [CONFIG_F64] = "number", [CONFIG_BOOL] = "yes or no",
        [CONFIG_MS] = "duration", [CONFIG_BYTES] = "size",       [CONFIG_URL] = "URL",
    };
    buf_append_cstr(out, names[row->type]);
    if (!has_bounds(row))
        return;
    buf_append_cstr(out, ", ");
    bound_append(out, row, row->min);
    buf_append_cstr(out, " to ");
    bound_append(out, row, row->max);
}

/* -- reading ------------------------------------------------------------------------------------- */
static bool in_bounds(const config_row_t *row, double v, buf_t *why)
{
    if (!has_bounds(row) || (v >= row->min && v <= row->max))
        return true;
    buf_append_cstr(why, "must be between ");
    bound_append(why, row, row->min);
    buf_append_cstr(why, " and ");
    bound_append(why, row, row->max);
    return false;
}

static bool refuse(buf_t *why, const char *text)
{
    buf_append_cstr(why, text);
    return false;
}

static bool text_read(const config_row_t *row, const char *text, void *settings, buf_t *why)
{
    char *copy = bytes_dup(bytes_cstr(text));
    if (!copy)
        return refuse(why, "cannot be kept: out of memory");
    *(char **)place_of(row, settings) = copy;
    return true;
}

/* Shallow on purpose: libcurl has the last word. */
static bool url_read(const config_row_t *row, const char *text, void *settings, buf_t *why)
{
    size_t scheme = strncasecmp(text, "http://", 7) == 0 ? 7 : strncasecmp(text, "https://", 8) == 0 ? 8 : 0;
    bool has_host = scheme > 0 && text[scheme] && !strchr("/?#:", text[scheme]);
    if (*text && !has_host)
        return refuse(why, "must be a URL that begins with http:// or https:// and names a host");
    for (const unsigned char *p = (const unsigned char *)text; *p; p++)
        if (*p <= ' ' || *p == 0x7F)
            return refuse(why, "must be a URL without spaces or control characters");
    return text_read(row, text, settings, why);
}

static bool integer_read(const config_row_t *row, const char *text, void *settings, buf_t *why)
{
    char *end;
    errno = 0;
    int64_t v = strtoll(text, &end, 10);
    if (end == text || *end || errno)
        return refuse(why, "must be a whole number");
    if (!in_bounds(row, (double)v, why))
        return false;
    *(int64_t *)place_of(row, settings) = v;
    return true;
}

static bool number_read(const config_row_t *row, const char *text, void *settings, buf_t *why)
{
    char *end;
    double v = strtod(text, &end);
    if (end == text || *end || !isfinite(v) || strpbrk(text, "xX"))
        return refuse(why, "must be a number such as 0.5");
    if (!in_bounds(row, v, why))
        return false;
    *(double *)place_of(row, settings) = v;
    return true;
}

static bool truth_read(const config_row_t *row, const char *text, void *settings, buf_t *why)
{
    static const char *const words[] = {"1", "true", "yes", "0", "false", "no"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strcasecmp(text, words[i]) == 0) {
            *(bool *)place_of(row, settings) = i < 3;
            return true;
        }
    return refuse(why, "must be 1, true, yes, 0, false or no");
}

static bool amount_read(const char *text, const unit_t *units, size_t count, int64_t *out)
{
    char *end;
    errno = 0;
    int64_t v = strtoll(text, &end, 10);
    if (end == text || errno || *text == '-' || *text == '+')
        return false;
    for (size_t i = 0; i < count; i++)
        if (strcmp(end, units[i].name) == 0)
            return !__builtin_mul_overflow(v, units[i].factor, out);
    return false;
}

static bool duration_read(const config_row_t *row, const char *text, void *settings, buf_t *why)
{
    int64_t v;
    if (!amount_read(text, durations, ARRAY_LEN(durations), &v))
        return refuse(why, "must be a duration such as 250ms, 3s, 5m, 2h or 30d");
    if (!in_bounds(row, (double)v, why))
        return false;
    *(int64_t *)place_of(row, settings) = v;
    return true;
}

static bool size_read(const config_row_t *row, const char *text, void *settings, buf_t *why)
{
    int64_t v;
    if (!amount_read(text, sizes, ARRAY_LEN(sizes), &v))
        return refuse(why, "must be a size such as 512, 64KiB, 8MiB or 1GiB");
    if (!in_bounds(row, (double)v, why))
        return false;
    *(int64_t *)place_of(row, settings) = v;
    return true;
}

bool config_value_read(const config_row_t *row, const char *text, void *settings, buf_t *why)
{
    switch (row->type) {
    case CONFIG_STR:
        return text_read(row, text, settings, why);
    case CONFIG_I64:
        return integer_read(row, text, settings, why);
    case CONFIG_F64:
        return number_read(row, text, settings, why);
    case CONFIG_BOOL:
        return truth_read(row, text, settings, why);
    case CONFIG_MS:
        return duration_read(row, text, settings, why);
    case CONFIG_BYTES:
        return size_read(row, text, settings, why);
    case CONFIG_URL:
        return url_read(row, text, settings, why);
    }
    return refuse(why, "has an unknown type");
}

/* -- near names ---------------------------------------------------------------------------------- */
static unsigned least(unsigned a, unsigned b, unsigned c)
{
    unsigned ab = a < b ? a : b;
    return ab < c ? ab : c;
}

/* Levenshtein's distance, one row at a time; long names are compared by their beginnings. */
unsigned config_distance(const char *a, const char *b)
{
    unsigned row[NAME_MAX_BYTES + 1];
    size_t width = strnlen(b, NAME_MAX_BYTES), height = strnlen(a, NAME_MAX_BYTES);
    for (unsigned j = 0; j <= width; j++)
        row[j] = j;
    for (unsigned i = 1; i <= height; i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (unsigned j = 1; j <= width; j++) {
            unsigned above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[width];
}
