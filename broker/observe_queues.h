/* observe_queues.h: what each queue shows of itself in /metrics. */
#ifndef BROKER_OBSERVE_QUEUES_H
#define BROKER_OBSERVE_QUEUES_H

#include "broker/core/core.h"
#include "kit/metrics.h"

#define OBSERVE_QUEUES_MAX 300 /* by name; of a broker with more, the rest is one more, "other" */

/* Sets the metrics of every queue as it is now, and drops those of queues that are no more. */
void observe_queues(metrics_t *metrics, const core_t *core, int64_t now_us);

#endif
