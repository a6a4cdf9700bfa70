/* pg_resolve.h: where libpq is to connect to, with host names resolved on a thread of their own.
 *
 * libpq resolves names inside PQconnectStart, which would stop the loop for as long as a name server is silent.
 * Addresses and socket folders pass through. One name may stand for several addresses: all are given to libpq,
 * which tries them in turn. */
#ifndef KIT_PG_RESOLVE_H
#define KIT_PG_RESOLVE_H

#include "kit/loop.h"
#include "proto/bytes.h"

typedef struct pg_resolve pg_resolve_t;

typedef struct {
    const char *host, *hostaddr, *port; /* lists, as libpq takes them; NULL: as libpq finds them itself */
} pg_target_t;

/* True when the list (NULL for none) holds a name. */
bool pg_resolve_is_needed(const char *hosts);

/* `err` is NULL on success. Slices live until it returns. */
typedef void (*pg_resolve_fn)(void *ctx, const pg_target_t *target, const error_t *err);

/* `host` and `port` as libpq takes them (NULL: its defaults). Calls `fn` once, from the loop. NULL on failure. */
MUST_USE pg_resolve_t *pg_resolve_start(loop_t *loop, const char *host, const char *port, pg_resolve_fn fn, void *ctx,
                                        error_t *err);
/* Forgets it; `fn` is not called any more. Must be called after `fn`, too. */
void pg_resolve_end(pg_resolve_t **resolve);

#endif
