/* pick.h: dead letters chosen one by one, by a pattern or by what they died of, and what becomes of them. */
#ifndef MANGACTL_PICK_H
#define MANGACTL_PICK_H

#include "broker/rules/pattern.h"
#include "tools/mangactl/classify.h"
#include "tools/mangactl/ctl.h"

#define PICK_BATCH 256 /* broker/core's bound of one request */

typedef struct {
    const char *queue;
    const char *to;         /* "": each message's origin */
    const char *archive;    /* URL of the object store */
    pattern_t *where;       /* NULL: all */
    bool classify;          /* else: all that match go back */
    classify_rules_t rules; /* with classify */
    int64_t delay_ms;       /* of what was throttled; without classify, of all */
    int64_t rate;           /* messages a second */
    bool is_dry;
} pick_options_t;

/* Looks at what waits when it begins, then acts. Prints the summary; an exit code, CTL_NO when nothing matched or
 * something stays that was to go. */
MUST_USE int pick_run(ctl_t *ctl, const pick_options_t *options);

/* A pattern given as JSON, "@file" or "-". */
MUST_USE bool pick_read_where(const char *text, pattern_t **out, error_t *err);

/* Sends a message (a map as QUEUE peek gives it) through the pattern; NULL matches all. */
bool pick_matches(const pattern_t *where, bytes_t message);

#endif
