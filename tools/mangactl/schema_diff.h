/* schema_diff.h: what changed between two JSON Schemas, and whom that breaks.
 *
 * Schemas as proto/schema has them: type, required, properties, items, enum, pattern, format, and the bounds of
 * numbers, texts, lists and objects. A consumer breaks where the new schema lets pass what the old one excluded, for it
 * was written for the old one; a producer where the new one excludes what the old one let pass. Members that nobody
 * knew pass everywhere (docs/conventions.md): a new optional one breaks nobody. */
#ifndef MANGACTL_SCHEMA_DIFF_H
#define MANGACTL_SCHEMA_DIFF_H

#include "proto/bytes.h"

typedef enum { BREAKS_NOBODY = 0, BREAKS_CONSUMERS = 1, BREAKS_PRODUCERS = 2, BREAKS_BOTH = 3 } breaks_t;

/* One change; `path` such as "items[].isbn", "" for the whole. */
typedef void (*schema_change_fn)(void *ctx, const char *path, const char *what, breaks_t breaks);

/* Schemas in msgpack. */
void schema_diff(bytes_t before, bytes_t after, schema_change_fn fn, void *ctx);

#endif
