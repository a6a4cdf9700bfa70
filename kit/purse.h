/* purse.h: tokens of one of the broker's permit buckets, drawn as they are needed: the pace of a whole service.
 *
 * The owner says how many tokens it could use now, by priority; the purse draws them, a request of each priority at a
 * time, keeps what came until it is taken or void, and gives back what nobody wants any more. It never holds more than
 * `most`. While the broker is away there are no tokens. A bucket that does not exist, or that the role does not allow,
 * is asked for again every PURSE_LOOK_MS; purse_is_there says so meanwhile, and the owner decides what to do without.
 * All on the loop's thread. */
#ifndef KIT_PURSE_H
#define KIT_PURSE_H

#include "kit/bus.h"

#define PURSE_PRIORITIES 3  /* live, normal, batch */
#define PURSE_LOTS_MAX 8    /* permits in hand; what comes beside goes back */
#define PURSE_WAIT_MS 5000  /* of one request; then it is made anew, if still needed */
#define PURSE_LOOK_MS 10000 /* for a bucket that was not there */
#define PURSE_RETRY_MS 50   /* after a refusal that named no time */

typedef struct purse purse_t;

typedef struct {
    const char *bucket;           /* copied */
    uint32_t most;                /* tokens in hand and asked for; at least 1 */
    void (*on_change)(void *ctx); /* tokens came, or the bucket came or went; never inside a function of the purse */
    void *ctx;
} purse_options_t;

MUST_USE purse_t *purse_new(loop_t *loop, bus_t *bus, const purse_options_t *options, error_t *err);
/* What is in hand expires by itself. After the end of the bus this is all that may be called. */
void purse_free(purse_t **purse);

/* So many tokens of this priority could be used now: replaces what was said before. 0: none, or no more. */
void purse_need(purse_t *purse, uint32_t priority, uint32_t tokens);
/* Takes one token; false when there is none that is worth something. */
MUST_USE bool purse_take(purse_t *purse);
/* True when purse_take would succeed. */
bool purse_has(purse_t *purse);
/* False once the broker has said that there is no such bucket, or not for this role. */
bool purse_is_there(const purse_t *purse);

#endif
