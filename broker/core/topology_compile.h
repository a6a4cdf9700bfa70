/* topology_compile.h: a document's rules made ready to match: patterns into one ruleset a bus, transformers. */
#ifndef BROKER_CORE_TOPOLOGY_COMPILE_H
#define BROKER_CORE_TOPOLOGY_COMPILE_H

#include "broker/core/topology_doc.h"

typedef struct {
    rule_t *rules;        /* as many as the document's, in its order: a rule's number in its ruleset */
    ruleset_t **rulesets; /* one for each of the document's buses */
} topology_compiled_t;

/* Targets' queues and names are left to the caller. */
MUST_USE bool topology_compile(const topology_doc_t *doc, topology_compiled_t *out, error_t *err);
void topology_compiled_free(topology_compiled_t *compiled, const topology_doc_t *doc);
void topology_rules_free(rule_t *rules, uint32_t count);
/* The table, and those that nobody took. */
void topology_rulesets_free(topology_compiled_t *compiled, uint32_t bus_count);

#endif
