/* contexts.h: brokers by name, in a file of the user's: which endpoint, and where the keys for it lie.
 *
 * $XDG_CONFIG_HOME/mangabus/contexts.json, or ~/.config/mangabus/contexts.json:
 *     {"current": "prod", "contexts": {"prod": {"endpoint": "tcp://…", "keys": "/home/kim/keys/prod"}}}
 * `keys` is the path of a folder as MANGABUS_CURVE_DIR names one; secrets are never in the file. */
#ifndef MANGACTL_CONTEXTS_H
#define MANGACTL_CONTEXTS_H

#include "proto/bytes.h"
#include "proto/status.h"

#define CONTEXTS_MAX 256
#define CONTEXT_NAME_BYTES 64
#define CONTEXT_TEXT_BYTES 1024 /* of an endpoint, or a path */

typedef struct {
    char name[CONTEXT_NAME_BYTES];
    char endpoint[CONTEXT_TEXT_BYTES];
    char keys[CONTEXT_TEXT_BYTES]; /* "" for none */
} context_t;

typedef struct {
    char path[CONTEXT_TEXT_BYTES];    /* of the file */
    char current[CONTEXT_NAME_BYTES]; /* "" for none */
    context_t *items;                 /* in the file's order */
    size_t count;
} contexts_t;

/* An absent file holds none. False when it cannot be read or is not what it should be; free all the same. */
MUST_USE bool contexts_read(contexts_t *out, error_t *err);
/* Replaces the file as a whole. */
MUST_USE bool contexts_write(const contexts_t *contexts, error_t *err);
void contexts_free(contexts_t *contexts);

context_t *contexts_find(const contexts_t *contexts, const char *name); /* NULL for none */
/* Adds it, or replaces the one of its name. */
MUST_USE bool contexts_put(contexts_t *contexts, const context_t *context, error_t *err);
void contexts_drop(contexts_t *contexts, context_t *context);

#endif
