/* node_internal.h: the parts of a node, for its own files. */
#ifndef TESTS_SIM_NODE_INTERNAL_H
#define TESTS_SIM_NODE_INTERNAL_H

#include "tests/sim/node.h"

/* node_io.c: fills in node->io, as node->bug has it. */
void node_io_init(node_t *node);

/* node_log.c */
void node_log_note(node_t *node, bytes_t raw);
/* What comes behind `newest` was lost with a crash. */
void node_log_cut(node_t *node, uint64_t newest);
/* The record as it was written. */
bytes_t node_log_record(const node_t *node, uint64_t seq);
/* A core that has applied all records up to here, of which none came from the disk. */
core_t *node_core_of_log(node_t *node, uint64_t newest);

/* node_recovery.c */
core_config_t node_core_config(const char *name);
/* Empty; named by the life. */
core_t *node_core_new(uint64_t life);
/* Opens the journal and makes the core of it. False when it did not come up: because of a fault of the disk, or with a
 * violation in the trace. */
MUST_USE bool node_recover(node_t *node);

/* node_mistakes.c: each does what node->bug says, most of the time nothing. */
/* To a record before recovery applies it. */
void node_mistake_in_record(const node_t *node, record_t *record);
/* To a core that recovery has made. */
void node_mistake_in_start(const node_t *node, int64_t now_us);
/* To the core that a snapshot is written of. */
void node_mistake_in_snapshot(const node_t *node, core_t *core);

/* node_archive.c: every archive, files and then the log, has each of its events once, as it was written. */
MUST_USE bool node_verify_archives(node_t *node);

#endif
