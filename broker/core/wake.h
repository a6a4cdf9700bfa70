/* wake.h: delayed messages whose time has come.
 *
 * That needs no record: recovery wakes what was due at the time of each record before it applies it. Unless so many
 * came due together that a live broker wakes them in slices: then a NOTE `wake` of each slice says up to which moment
 * (`until_us`; 0: no bound any more), and nothing later is woken before the next such note. */
#ifndef BROKER_CORE_WAKE_H
#define BROKER_CORE_WAKE_H

#include "broker/core/state.h"

/* Wakes all that is due at now_us, up to the bound of the last note. */
void wake_all(core_t *core, int64_t now_us);
/* Wakes as many as one step may; for a live core. */
void wake_due(core_t *core);
int64_t wake_next_us(const core_t *core);

/* True for a note of a slice. */
bool wake_notes(const record_t *record);
void wake_apply(core_t *core, const record_t *record);

#endif
