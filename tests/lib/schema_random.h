/* schema_random.h: valid values for any table of proto/schema.h, so that one test covers the whole contract. */
#ifndef TESTS_LIB_SCHEMA_RANDOM_H
#define TESTS_LIB_SCHEMA_RANDOM_H

#include "proto/schema.h"
#include "tests/lib/random.h"

/* A struct of schema->struct_bytes within all limits, everything it points to in `arena`. Every optional member
 * is there when `all`, else by chance. Lists have one to three entries more than their least. */
void *schema_random(random_t *random, const schema_t *schema, bool all, arena_t *arena);

/* Calls `each` for every schema of the contract that stands alone, with the name of its document: "event.SOURCE.TYPE",
 * "call.METHOD.request", ".response", ".chunk", "message.QUEUE". */
void schema_each(void (*each)(void *ctx, const char *name, const schema_t *schema), void *ctx);

#endif
