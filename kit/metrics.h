/* metrics.h: counters, gauges and histograms in Prometheus text format.
 *
 * Source: Prometheus exposition format 0.0.4. Names begin with mangabus_ and are in base units. A metric is
 * registered once and lives as long as the registry; label sets are fixed when a series is made, and are
 * bounded by METRICS_SERIES_MAX a family (further ones count into the series {label="other"}). */
#ifndef KIT_METRICS_H
#define KIT_METRICS_H

#include "proto/bytes.h"

#define METRICS_SERIES_MAX 1000

typedef struct metrics metrics_t;
typedef struct metric metric_t;

MUST_USE metrics_t *metrics_new(void);
void metrics_free(metrics_t **metrics);

/* `labels` is the text between the braces, as `queue="a",state="visible"`, or "" for none; use
 * metrics_label to build values that need escaping. The same name and labels give the same metric. */
metric_t *metrics_counter(metrics_t *metrics, const char *name, const char *labels, const char *help);
metric_t *metrics_gauge(metrics_t *metrics, const char *name, const char *labels, const char *help);
/* `bounds` in rising order, copied; +Inf is added. NULL: 0.5 ms to 10 s in 14 steps, for seconds. */
metric_t *metrics_histogram(metrics_t *metrics, const char *name, const char *labels, const char *help,
                            const double *bounds, size_t count);

void metric_add(metric_t *metric, double by); /* counter: by >= 0 */
void metric_set(metric_t *metric, double to); /* gauge; or a counter that is derived from state */
void metric_observe(metric_t *metric, double value);
double metric_value(const metric_t *metric); /* histogram: the sum */

/* Called before each exposition, to set gauges from state. Several may be added. */
void metrics_on_collect(metrics_t *metrics, void (*fn)(void *ctx), void *ctx);

/* Drops the series of a family that nobody asked for (by metrics_counter and its like) since the last call, or the
 * beginning: for what a collector makes of things that come and go. A metric_t of a dropped one is worth nothing. */
void metrics_prune(metrics_t *metrics, const char *name);

/* Appends key="value" with the value escaped. */
void metrics_label(buf_t *out, const char *key, bytes_t value);

void metrics_expose(metrics_t *metrics, buf_t *out);

#endif
