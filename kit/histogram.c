/* histogram.c: which bucket a duration is in, and what a bucket stands for. */
#include "kit/histogram.h"

static unsigned bucket_of(uint64_t ns)
{
    if (ns < (UINT64_C(1) << HISTOGRAM_STEP_BITS))
        return (unsigned)ns;
    unsigned power = 63u - (unsigned)__builtin_clzll(ns), shift = power - HISTOGRAM_STEP_BITS;
    return ((shift + 1) << HISTOGRAM_STEP_BITS) + (unsigned)((ns >> shift) & ((1u << HISTOGRAM_STEP_BITS) - 1));
}

static double bucket_ns(unsigned bucket)
{
    unsigned step = bucket & ((1u << HISTOGRAM_STEP_BITS) - 1), row = bucket >> HISTOGRAM_STEP_BITS;
    if (row == 0)
        return step;
    return ((double)(1u << HISTOGRAM_STEP_BITS) + step + 0.5) * (double)(UINT64_C(1) << (row - 1));
}

void histogram_add(histogram_t *histogram, uint64_t ns)
{
    histogram->counts[bucket_of(ns)]++;
    histogram->total++;
}

double histogram_at_us(const histogram_t *histogram, double part)
{
    uint64_t wanted = (uint64_t)((double)histogram->total * part), seen = 0;
    if (wanted >= histogram->total)
        wanted = histogram->total ? histogram->total - 1 : 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += histogram->counts[i];
        if (seen > wanted)
            return bucket_ns(i) / 1e3;
    }
    return 0;
}

uint64_t histogram_between(const histogram_t *histogram, uint64_t from_ns, uint64_t to_ns)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++)
        if (bucket_ns(i) >= (double)from_ns && bucket_ns(i) < (double)to_ns)
            sum += histogram->counts[i];
    return sum;
}
