/* disk_probe.h: measures what a journal asks of a disk: small and large writes with a sync each, and plain writing. */
#ifndef MANGACTL_DISK_PROBE_H
#define MANGACTL_DISK_PROBE_H

#include "proto/status.h"

#define DISK_RECORD_BYTES 640            /* an event of 512 bytes as the journal writes it: a batch of one */
#define DISK_BATCH_BYTES (64u << 10)     /* about a hundred of them */
#define DISK_RECORD_IN_BATCH_BYTES 560.0 /* what one more of them costs */

typedef struct {
    double p50_us, p99_us;
    double per_s; /* by their mean */
    int count;
} disk_syncs_t;

typedef struct {
    const char *filesystem; /* "ext4"; "unknown" */
    bool is_memory, is_network, is_overlay;
    disk_syncs_t record, batch;
    double write_bytes_per_s;
} disk_probe_t;

/* Blocks for at most about three seconds. Writes to a file of its own in `dir`, which is gone afterwards. False when a
 * call fails: then the message names it. */
MUST_USE bool disk_probe(const char *dir, disk_probe_t *out, error_t *err);

/* Durable publishes of 512 bytes that this disk allows in a second with so many outstanding: one sync for all that came
 * while the last one ran. */
double disk_publishes_per_s(const disk_probe_t *probe, double outstanding);

#endif
