/* path.h: a place in an event, as EventBridge's InputPath names it: $, .name and [number]. Pure, see pattern.h. */
#ifndef BROKER_RULES_PATH_H
#define BROKER_RULES_PATH_H

#include "proto/bytes.h"
#include "proto/status.h"

#define PATH_MAX_BYTES 256 /* TargetInputPath in the service model */

typedef struct path path_t;

/* NULL, with the error naming `what`, when `text` is no path. */
MUST_USE path_t *path_compile(bytes_t text, const char *what, error_t *err);
void path_free(path_t **path);

/* The value there, msgpack; false when there is nothing. */
MUST_USE bool path_follow(const path_t *path, bytes_t event, bytes_t *out);

/* As it was given. */
bytes_t path_text(const path_t *path);

#endif
