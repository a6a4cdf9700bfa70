/* histogram.h: many durations in little memory: log-linear buckets, each told to 1.6 %. Pure. */
#ifndef KIT_HISTOGRAM_H
#define KIT_HISTOGRAM_H

#include <stdint.h>

/* Steps within a power of two: a value is told to 1.6 %. */
#define HISTOGRAM_STEP_BITS 6u
#define HISTOGRAM_BUCKETS ((64u - HISTOGRAM_STEP_BITS) << HISTOGRAM_STEP_BITS)

typedef struct {
    uint64_t counts[HISTOGRAM_BUCKETS];
    uint64_t total;
} histogram_t;

void histogram_add(histogram_t *histogram, uint64_t ns);
/* `part` of 0.5 is the median, of 1 the greatest; 0 when nothing was added. In microseconds. */
double histogram_at_us(const histogram_t *histogram, double part);
/* How many were added from `from_ns` up to, and without, `to_ns`; powers of two from 64 on are exact bounds. */
uint64_t histogram_between(const histogram_t *histogram, uint64_t from_ns, uint64_t to_ns);

#endif
