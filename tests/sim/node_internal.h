/* node_internal.h: the parts of a node, for its own files. */
#ifndef TESTS_SIM_NODE_INTERNAL_H
#define TESTS_SIM_NODE_INTERNAL_H

#include "tests/sim/node.h"

/* node_io.c: fills in node->io, as node->bug has it. */
void node_io_init(node_t *node);

/* node.c */
/* The record as it was written. */
bytes_t node_log_record(const node_t *node, uint64_t seq);
/* A core that has applied all records up to here, of which none came from the disk. */
core_t *node_core_of_log(node_t *node, uint64_t newest);

/* node_archive.c: every archive, files and then the log, has each of its events once, as it was written. */
MUST_USE bool node_verify_archives(node_t *node);

#endif
