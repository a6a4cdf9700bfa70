/* tenant.h: fair queues: on a standard queue a message's group is its tenant, and a loud one does not keep others
 * waiting.
 *
 * Source: SQS, "How fair queues work". A tenant is noisy while it has more than a tenth of what is in flight and at
 * least TENANT_NOISY_IN_FLIGHT messages of its own there, or took more than a tenth of its consumers' recent time. What
 * quiet tenants have is delivered first, by age; then that of the noisy one that has least in flight. It is quiet again
 * when nothing of it waits, or nothing came for TENANT_SILENCE_US. A message without a group is a tenant by itself.
 * Nothing is held back and no order is promised. Every step costs O(log tenants).
 *
 * Who is noisy is not durable: the DELIVERED records say what came of it, and it is found again. */
#ifndef BROKER_CORE_TENANT_H
#define BROKER_CORE_TENANT_H

#include "broker/core/state.h"

#define TENANT_NOISY_IN_FLIGHT 30u
#define TENANT_SHARE 10 /* one part of so many */
#define TENANT_SILENCE_US (300 * US_PER_S)
#define TENANT_RECENT_US (60 * US_PER_S)
/* Of a queue's recent time: below it no share of it says anything (ours; SQS does not tell its own). */
#define TENANT_BUSY_LEAST_MS 60000u

void tenants_init(queue_t *queue);
void tenants_free(queue_t *queue);

/* For group.c: the changes of a message's state, and what must follow. */
void tenant_show(core_t *core, queue_t *queue, uint32_t message, bool at_front);
void tenant_hide(core_t *core, queue_t *queue, uint32_t message);
void tenant_hold(const core_t *core, queue_t *queue, uint32_t message);
void tenant_unhold(const core_t *core, queue_t *queue, uint32_t message);
void tenant_refresh(core_t *core, queue_t *queue, group_t *tenant);
/* A message came for it. */
void tenant_heard(core_t *core, queue_t *queue, group_t *tenant);

/* Lets those that were silent for long be quiet again. */
void tenants_calm(core_t *core, queue_t *queue);
/* The message that is to be delivered next, tenants and those without one together; 0 for none. */
uint32_t tenants_first(const core_t *core, const queue_t *queue);

#endif
