/* metrics.c: families of series, kept in the order of their registration, and their exposition. */
#include "kit/metrics.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "proto/decimal.h"

/* The largest double below which every integer is exact: printed without fraction or exponent. */
#define EXACT_INTEGER_MAX 9007199254740992.0

typedef enum { COUNTER, GAUGE, HISTOGRAM } kind_t;

typedef struct family family_t;

struct metric {
    const family_t *family;
    char *labels;
    double value;     /* histogram: the sum */
    uint64_t *counts; /* histogram: one for each bound, and +Inf */
    bool is_asked;    /* since the last metrics_prune */
    metric_t *next;
};

struct family {
    kind_t kind;
    char *name, *help;
    double *bounds;
    size_t bound_count;
    metric_t *first, *last;
    metric_t *found; /* the last time: who asks for all in their order finds each at once */
    size_t series;
    family_t *next;
};

typedef struct {
    void (*fn)(void *ctx);
    void *ctx;
} collector_t;

struct metrics {
    family_t *first, *last;
    collector_t *collectors;
    size_t collector_count;
};

static const double default_bounds[] = {0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};

/* -- memory: a process that cannot register its metrics cannot work either ----------------------- */
static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (!memory)
        abort();
    return memory;
}

static char *copied(bytes_t text)
{
    char *copy = bytes_dup(text);
    if (!copy)
        abort();
    return copy;
}

metrics_t *metrics_new(void)
{
    return calloc(1, sizeof(metrics_t));
}

static void metric_free(metric_t *metric)
{
    free(metric->labels);
    free(metric->counts);
    free(metric);
}

static void family_free(family_t *family)
{
    for (metric_t *metric = family->first; metric;) {
        metric_t *next = metric->next;
        metric_free(metric);
        metric = next;
    }
    free(family->name);
    free(family->help);
    free(family->bounds);
    free(family);
}

void metrics_free(metrics_t **self)
{
    metrics_t *metrics = *self;
    if (!metrics)
        return;
    for (family_t *family = metrics->first; family;) {
        family_t *next = family->next;
        family_free(family);
        family = next;
    }
    free(metrics->collectors);
    free(metrics);
    *self = NULL;
}

/* -- registering --------------------------------------------------------------------------------- */
static bool is_name(const char *name)
{
    if (!isalpha((unsigned char)*name) && *name != '_')
        return false;
    while (isalnum((unsigned char)*name) || *name == '_' || *name == ':')
        name++;
    return *name == '\0';
}

static family_t *family_find(const metrics_t *metrics, const char *name)
{
    for (family_t *family = metrics->first; family; family = family->next)
        if (strcmp(family->name, name) == 0)
            return family;
    return NULL;
}

static void family_bounds(family_t *family, const double *bounds, size_t count)
{
    if (!bounds) {
        bounds = default_bounds;
        count = ARRAY_LEN(default_bounds);
    }
    family->bounds = zeroed(count ? count : 1, sizeof *bounds);
    family->bound_count = count;
    for (size_t i = 0; i < count; i++) {
        assert(i == 0 || bounds[i] > bounds[i - 1]);
        family->bounds[i] = bounds[i];
    }
}

static family_t *family_get(metrics_t *metrics, kind_t kind, const char *name, const char *help)
{
    family_t *family = family_find(metrics, name);
    if (family) {
        assert(family->kind == kind && "one name, one kind of metric");
        return family;
    }
    assert(is_name(name));
    family = zeroed(1, sizeof *family);
    family->kind = kind;
    family->name = copied(bytes_cstr(name));
    family->help = copied(bytes_cstr(help));
    if (metrics->last)
        metrics->last->next = family;
    else
        metrics->first = family;
    metrics->last = family;
    return family;
}

static metric_t *series_find(const family_t *family, const char *labels)
{
    metric_t *guess = family->found ? family->found->next : family->first;
    if (guess && strcmp(guess->labels, labels) == 0)
        return guess;
    for (metric_t *metric = family->first; metric; metric = metric->next)
        if (strcmp(metric->labels, labels) == 0)
            return metric;
    return NULL;
}

static metric_t *series_add(family_t *family, const char *labels)
{
    metric_t *metric = zeroed(1, sizeof *metric);
    metric->family = family;
    metric->labels = copied(bytes_cstr(labels));
    if (family->kind == HISTOGRAM)
        metric->counts = zeroed(family->bound_count + 1, sizeof *metric->counts);
    if (family->last)
        family->last->next = metric;
    else
        family->first = metric;
    family->last = metric;
    family->series++;
    return metric;
}

/* The end of the quoted value that begins at p (on its first quote). */
static const char *value_end(const char *p)
{
    for (p++; *p && *p != '"'; p++)
        if (*p == '\\' && p[1])
            p++;
    return *p ? p + 1 : p;
}

/* The same label names with the value "other" each: the family keeps its shape. */
static void others(buf_t *out, const char *labels)
{
    while (*labels) {
        const char *quote = strchr(labels, '"');
        if (!quote)
            break;
        buf_append(out, labels, (size_t)(quote - labels));
        buf_append_cstr(out, "\"other\"");
        labels = value_end(quote);
    }
}

static metric_t *series_need(family_t *family, const char *labels)
{
    metric_t *metric = series_find(family, labels);
    if (metric)
        return metric;
    if (family->series < METRICS_SERIES_MAX)
        return series_add(family, labels);
    buf_t other = {0};
    others(&other, labels);
    metric = series_find(family, buf_cstr(&other));
    if (!metric)
        metric = series_add(family, buf_cstr(&other));
    buf_free(&other);
    return metric;
}

static metric_t *series_get(family_t *family, const char *labels)
{
    metric_t *metric = series_need(family, labels);
    metric->is_asked = true;
    family->found = metric;
    return metric;
}

void metrics_prune(metrics_t *metrics, const char *name)
{
    family_t *family = family_find(metrics, name);
    metric_t *all = family ? family->first : NULL;
    if (!family)
        return;
    family->first = family->last = family->found = NULL;
    family->series = 0;
    for (metric_t *next; all; all = next) {
        next = all->next;
        if (!all->is_asked) {
            metric_free(all);
            continue;
        }
        all->is_asked = false;
        all->next = NULL;
        *(family->last ? &family->last->next : &family->first) = all;
        family->last = all;
        family->series++;
    }
}

metric_t *metrics_counter(metrics_t *metrics, const char *name, const char *labels, const char *help)
{
    return series_get(family_get(metrics, COUNTER, name, help), labels);
}

metric_t *metrics_gauge(metrics_t *metrics, const char *name, const char *labels, const char *help)
{
    return series_get(family_get(metrics, GAUGE, name, help), labels);
}

metric_t *metrics_histogram(metrics_t *metrics, const char *name, const char *labels, const char *help,
                            const double *bounds, size_t count)
{
    family_t *family = family_get(metrics, HISTOGRAM, name, help);
    if (!family->bounds)
        family_bounds(family, bounds, count);
    return series_get(family, labels);
}

void metrics_on_collect(metrics_t *metrics, void (*fn)(void *ctx), void *ctx)
{
    size_t count = metrics->collector_count;
    collector_t *grown = realloc(metrics->collectors, (count + 1) * sizeof *grown);
    if (!grown)
        abort();
    grown[count] = (collector_t){fn, ctx};
    metrics->collectors = grown;
    metrics->collector_count = count + 1;
}

/* -- counting ------------------------------------------------------------------------------------ */
void metric_add(metric_t *metric, double by)
{
    assert(metric->family->kind == GAUGE || by >= 0);
    metric->value += by;
}

void metric_set(metric_t *metric, double to)
{
    assert(metric->family->kind != HISTOGRAM);
    metric->value = to;
}

/* A bound is inclusive: a value belongs to the first bound that is not below it. */
void metric_observe(metric_t *metric, double value)
{
    const family_t *family = metric->family;
    assert(family->kind == HISTOGRAM);
    size_t low = 0, high = family->bound_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (value <= family->bounds[middle])
            high = middle;
        else
            low = middle + 1;
    }
    metric->counts[low]++;
    metric->value += value;
}

double metric_value(const metric_t *metric)
{
    return metric->value;
}

/* -- exposing ------------------------------------------------------------------------------------ */
static void number_append(buf_t *out, double v)
{
    if (isnan(v))
        buf_append_cstr(out, "NaN");
    else if (isinf(v))
        buf_append_cstr(out, v > 0 ? "+Inf" : "-Inf");
    else if (v == trunc(v) && fabs(v) < EXACT_INTEGER_MAX)
        buf_printf(out, "%" PRId64, (int64_t)v);
    else if (buf_reserve(out, DECIMAL_TEXT_BYTES))
        out->len += decimal_format(v, (char *)out->data + out->len);
}

static void escaped_append(buf_t *out, bytes_t text, bool quotes)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '\n') {
            buf_append_cstr(out, "\\n");
            continue;
        }
        if (c == '\\' || (quotes && c == '"'))
            buf_append_byte(out, '\\');
        buf_append_byte(out, c);
    }
}

void metrics_label(buf_t *out, const char *key, bytes_t value)
{
    if (out->len > 0)
        buf_append_byte(out, ',');
    buf_append_cstr(out, key);
    buf_append_cstr(out, "=\"");
    escaped_append(out, value, true);
    buf_append_byte(out, '"');
}

/* NAME SUFFIX {labels,le="…"} VALUE; `le` may be NULL. */
static void sample_append(buf_t *out, const metric_t *metric, const char *suffix, const char *le, double value)
{
    buf_append_cstr(out, metric->family->name);
    buf_append_cstr(out, suffix);
    if (*metric->labels || le) {
        buf_append_byte(out, '{');
        buf_append_cstr(out, metric->labels);
        if (le)
            buf_printf(out, "%sle=\"%s\"", *metric->labels ? "," : "", le);
        buf_append_byte(out, '}');
    }
    buf_append_byte(out, ' ');
    number_append(out, value);
    buf_append_byte(out, '\n');
}

static void histogram_append(buf_t *out, const metric_t *metric)
{
    const family_t *family = metric->family;
    uint64_t below = 0;
    buf_t le = {0};
    for (size_t i = 0; i <= family->bound_count; i++) {
        below += metric->counts[i];
        buf_clear(&le);
        number_append(&le, i < family->bound_count ? family->bounds[i] : INFINITY);
        sample_append(out, metric, "_bucket", buf_cstr(&le), (double)below);
    }
    buf_free(&le);
    sample_append(out, metric, "_sum", NULL, metric->value);
    sample_append(out, metric, "_count", NULL, (double)below);
}

static void family_append(buf_t *out, const family_t *family)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    buf_printf(out, "# HELP %s ", family->name);
    escaped_append(out, bytes_cstr(family->help), false);
    buf_printf(out, "\n# TYPE %s %s\n", family->name, kinds[family->kind]);
    for (const metric_t *metric = family->first; metric; metric = metric->next)
        if (family->kind == HISTOGRAM)
            histogram_append(out, metric);
        else
            sample_append(out, metric, "", NULL, metric->value);
}

void metrics_expose(metrics_t *metrics, buf_t *out)
{
    for (size_t i = 0; i < metrics->collector_count; i++)
        metrics->collectors[i].fn(metrics->collectors[i].ctx);
    for (const family_t *family = metrics->first; family; family = family->next)
        family_append(out, family);
}
