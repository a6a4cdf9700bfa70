/* gate.c: a ring of the moments that were let in; the one `rate` places back must be a second old. */
#include "tools/sims/erp-sim/gate.h"

#define SECOND_US 1000000

void sim_gate_init(sim_gate_t *gate, uint32_t rate)
{
    *gate = (sim_gate_t){.rate = rate};
    for (uint32_t i = 0; i < SIM_GATE_RATE_MAX; i++)
        gate->admitted[i] = INT64_MIN;
}

void sim_gate_set_rate(sim_gate_t *gate, uint32_t rate)
{
    gate->rate = rate;
}

/* The moment `back` admissions ago (1: the last). */
static int64_t moment(const sim_gate_t *gate, uint32_t back)
{
    return gate->admitted[(gate->next + SIM_GATE_RATE_MAX - back) % SIM_GATE_RATE_MAX];
}

static bool is_recent(const sim_gate_t *gate, uint32_t back, int64_t now_us)
{
    return moment(gate, back) > now_us - SECOND_US;
}

bool sim_gate_enter(sim_gate_t *gate, int64_t now_us)
{
    if (is_recent(gate, gate->rate, now_us)) {
        gate->refused_total++;
        return false;
    }
    gate->admitted[gate->next] = now_us;
    gate->next = (gate->next + 1) % SIM_GATE_RATE_MAX;
    gate->admitted_total++;
    while (gate->busiest_second < gate->rate && is_recent(gate, gate->busiest_second + 1, now_us))
        gate->busiest_second++;
    return true;
}
