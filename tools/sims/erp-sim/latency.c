/* latency.c: Box-Muller over the seed's numbers; sigma follows from the distance of the two percentiles. */
#include "tools/sims/erp-sim/latency.h"

#include <math.h>

#include "tools/sims/erp-sim/catalogue.h"

#define NORMAL_P99 2.3263478740408408 /* where the standard normal has 99 % below it */
#define LONGEST_MS 60000.0
enum { MIX_LATENCY = 32 };

/* In (0, 1): 53 bits, never 0, so that its logarithm exists. */
static double uniform(sim_latency_t *latency)
{
    uint64_t bits = sim_mix(latency->seed, MIX_LATENCY, latency->draws++) >> 11;
    return ((double)bits + 0.5) / 9007199254740992.0;
}

static double normal(sim_latency_t *latency)
{
    double radius = sqrt(-2.0 * log(uniform(latency)));
    return radius * cos(2.0 * M_PI * uniform(latency));
}

int64_t sim_latency_draw_us(sim_latency_t *latency)
{
    if (latency->p99_ms <= 0)
        return 0;
    double p50 = latency->p50_ms > 0 ? (double)latency->p50_ms : 1.0;
    double p99 = (double)latency->p99_ms > p50 ? (double)latency->p99_ms : p50;
    double sigma = log(p99 / p50) / NORMAL_P99;
    double ms = p50 * exp(sigma * normal(latency));
    return (int64_t)(1000.0 * (ms < LONGEST_MS ? ms : LONGEST_MS));
}

bool sim_latency_chance(sim_latency_t *latency, double probability)
{
    return probability > 0 && uniform(latency) < probability;
}
