/* gate.h: holds a rate strictly: in no second, however it is cut, are more requests let in than the rate.
 *
 * Times are monotonic microseconds that never go back. Nothing is allocated. */
#ifndef ERP_SIM_GATE_H
#define ERP_SIM_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/compiler.h"

#define SIM_GATE_RATE_MAX 10000

typedef struct {
    uint32_t rate;                       /* a second */
    uint32_t next;                       /* where the next moment goes */
    int64_t admitted[SIM_GATE_RATE_MAX]; /* a ring of moments */
    uint64_t admitted_total, refused_total;
    uint32_t busiest_second; /* most that one second has let in */
} sim_gate_t;

/* 1 <= rate <= SIM_GATE_RATE_MAX; keeps what was let in, so that a change opens no loophole. */
void sim_gate_init(sim_gate_t *gate, uint32_t rate);
void sim_gate_set_rate(sim_gate_t *gate, uint32_t rate);

/* Lets one in, or counts it as refused. */
MUST_USE bool sim_gate_enter(sim_gate_t *gate, int64_t now_us);

#endif
