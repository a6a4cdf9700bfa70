/* topology.h: the desired state: compared with what is, applied as one journaled version, and compiled.
 *
 * A version is journaled as QUEUE records for queues made or changed, the TOPOLOGY record with the document,
 * and QUEUE records for queues dropped. Queues keep their incarnation while their name stays; one that the
 * document no longer has is dropped when it is empty, or by force; queues made at run time are left alone. */
#ifndef BROKER_CORE_TOPOLOGY_H
#define BROKER_CORE_TOPOLOGY_H

#include "broker/core/state.h"

/* The bus of this name that the topology has; NULL for none. */
bus_t *topology_bus(const core_t *core, bytes_t name);
/* For a subscription: 0 for "*". False (ResourceNotFoundException) when there is no such bus. */
MUST_USE bool topology_bus_id(const core_t *core, bytes_t name, uint32_t *id, error_t *err);
/* For reading old records: also a bus that is no more; UINT32_MAX for one never known. */
uint32_t topology_bus_number(const core_t *core, bytes_t name);

/* For loading a snapshot: the bus as the applied document has it, or, when it is `removed`, one made anew. NULL when
 * the two do not fit. */
bus_t *topology_bus_restore(core_t *core, bytes_t name, bool removed);

typedef struct {
    bytes_t json;
    const char *sha256; /* hex, 64 digits */
    bytes_t by;         /* who wants it; at most TOPOLOGY_BY_BYTES */
    bool force;
    bool is_dry_run;
    bool is_start; /* the file given at start */
} topology_change_t;

typedef struct {
    buf_t sentences;   /* one per change: msgpack strings, no array around them */
    uint32_t count;    /* of them */
    uint64_t messages; /* in queues that are dropped: more than none needs `force`, but in a dry run */
} topology_told_t;

/* Checks the document and journals the change as one record, or nothing when there is none, or it is a dry run. False:
 * refused, nothing is changed; `told` is to be freed all the same. */
MUST_USE bool topology_change(core_t *core, const topology_change_t *change, topology_told_t *told, error_t *err);
void topology_told_free(topology_told_t *told);
/* CORE_IN_TOPOLOGY. */
void topology_given(core_t *core);

MUST_USE bool topology_apply(core_t *core, const record_t *record, error_t *err);
void topology_free(core_t *core);

#endif
