/* topology_targets.h: whether the targets of a document's rules can be reached as they should. */
#ifndef BROKER_CORE_TOPOLOGY_TARGETS_H
#define BROKER_CORE_TOPOLOGY_TARGETS_H

#include "broker/core/topology_doc.h"

#define TOPOLOGY_PASSES_MAX 8u /* buses that one event may take, its first included */

/* For topology_doc_read, when queues and names of rules are known to be good: targets that are there, FIFO queues with
 * a group, nothing that transforms on the way to a bus, one way to a queue where one transforms, and no event that
 * could take more than TOPOLOGY_PASSES_MAX buses. Fills doc->meets. */
MUST_USE bool topology_targets_check(topology_doc_t *doc, error_t *err);

/* For a document that is to be applied: RetryPolicy and DeadLetterConfig of a target say what its queue does, which is
 * what counts. */
MUST_USE bool topology_policies_check(const topology_doc_t *doc, error_t *err);

#endif
