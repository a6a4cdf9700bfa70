/* latency.h: how long an answer takes: log-normal, given by median and 99th percentile, the same from one seed. */
#ifndef ERP_SIM_LATENCY_H
#define ERP_SIM_LATENCY_H

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t seed, draws;
    int64_t p50_ms, p99_ms;
} sim_latency_t;

/* Microseconds until the next answer leaves; 0 when both are 0. */
int64_t sim_latency_draw_us(sim_latency_t *latency);

/* True with this probability, 0 to 1. */
bool sim_latency_chance(sim_latency_t *latency, double probability);

#endif
