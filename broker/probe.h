/* probe.h: how fast the disk under the journal syncs, measured once at start so that the log can say it. */
#ifndef BROKER_PROBE_H
#define BROKER_PROBE_H

#include <stdint.h>

#include "proto/compiler.h"

/* Writes and syncs a small file in `dir` some times. The median in nanoseconds; 0 when it cannot be measured.
 * Blocks for PROBE_MAX_MS or one sync, whichever is longer. */
#define PROBE_MAX_MS 300
MUST_USE int64_t probe_sync_ns(const char *dir);

#endif
