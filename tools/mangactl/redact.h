/* redact.h: takes values out of events by where they stand, so that a file of them may leave the house. */
#ifndef MANGACTL_REDACT_H
#define MANGACTL_REDACT_H

#include "proto/bytes.h"
#include "proto/status.h"

#define REDACT_TEXT "[redacted]"
#define REDACT_PATHS_MAX 32
#define REDACT_NAMES_MAX 16 /* of one path, "detail" among them */

/* A path: names from the envelope's root, the first of them "detail". */
typedef struct {
    bytes_t text;
    bytes_t names[REDACT_NAMES_MAX];
    size_t count;
    uint64_t replaced; /* values so far */
} redact_path_t;

typedef struct {
    redact_path_t paths[REDACT_PATHS_MAX];
    size_t count;
    buf_t even, odd; /* the event before and after a path, in turns */
} redact_t;

/* Reads "detail.email,detail.items.name", which must outlive it; NULL: no paths. False (INVALID_ARGUMENT) names the
 * path that is none, and why. To be freed in any case. */
MUST_USE bool redact_init(redact_t *self, const char *paths, error_t *err);
void redact_free(redact_t *self);

/* `event` (one msgpack value) with REDACT_TEXT for whatever stands at a path: a text, a number, a whole map. An array
 * on the way is walked through, each element alike; all else keeps its bytes. The result lives until the next call.
 * False when the event is broken: it is not given back as it was. */
MUST_USE bool redact_event(redact_t *self, bytes_t event, bytes_t *out, error_t *err);

#endif
