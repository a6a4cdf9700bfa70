/* snapshot.h: the core's durable state as a stream of items, written and read in slices.
 *
 * A core that has loaded a snapshot equals the one that saved it, to the last digit of core_digest, and the same
 * records applied to both keep them equal. What is in it stands in snapshot_items.h. On its way each item has its
 * length (u32, little-endian) before it; slices end between items. Pure, like the core.
 *
 * A module that gains durable state adds a field at the end of its item (or an item) to the table, and a line to its
 * save and load pair: snapshot_queues.c, snapshot_topology.c, snapshot_clients.c, snapshot_messages.c. */
#ifndef BROKER_CORE_SNAPSHOT_H
#define BROKER_CORE_SNAPSHOT_H

#include "broker/core/core.h"

#define SNAPSHOT_ITEM_MAX_BYTES ((size_t)4 << 20) /* the topology's document is the largest */

/* -- saving -------------------------------------------------------------------------------------- */
typedef struct snapshot_save snapshot_save_t;

/* The core may not change, nor go, while it is saved. NULL when out of memory. */
MUST_USE snapshot_save_t *snapshot_save_new(const core_t *core, error_t *err);
void snapshot_save_free(snapshot_save_t **save);

/* Appends whole items to `out` until it has grown by `max_bytes` (the last one may pass it). False once the last item
 * was appended. Fails only through out->failed. */
bool snapshot_save_next(snapshot_save_t *save, buf_t *out, size_t max_bytes);

/* -- loading ------------------------------------------------------------------------------------- */
typedef struct snapshot_load snapshot_load_t;

/* Into a core that is new. NULL when out of memory. */
MUST_USE snapshot_load_t *snapshot_load_new(core_t *core, error_t *err);
void snapshot_load_free(snapshot_load_t **load);

/* Takes one slice of whole items. Nothing in it is trusted: false with DATA_LOSS and what is wrong, or with
 * FAILED_PRECONDITION when a newer program wrote it; the core is of no use then. */
MUST_USE bool snapshot_load_slice(snapshot_load_t *load, bytes_t slice, error_t *err);
/* False (DATA_LOSS) when the last item was not among the slices. */
MUST_USE bool snapshot_load_end(const snapshot_load_t *load, error_t *err);

/* -- what the journal may let go ------------------------------------------------------------------- */
/* Sequence of the newest record that is in the core's state. */
uint64_t core_newest_record(const core_t *core);

/* The records up to `last` whose bytes some message needs, ascending, each once. The caller frees *records. Walks
 * all messages. False when out of memory. */
MUST_USE bool core_needed_records(const core_t *core, uint64_t last, uint64_t **records, size_t *count, error_t *err);

#endif
