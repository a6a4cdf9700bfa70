/* kept.h: the last answers of the old systems, kept for the time when they do not answer.
 *
 * The newest copies are in memory, all of them in this service's own schema, which is written behind: what came since
 * the last write is lost when the process dies, and nothing else. An older copy never overwrites a newer one. Without
 * a database, memory alone serves. Callbacks run on the loop's thread. */
#ifndef ACL_ERP_KEPT_H
#define ACL_ERP_KEPT_H

#include "kit/loop.h"
#include "kit/metrics.h"
#include "kit/pg.h"
#include "proto/bytes.h"

#define KEPT_KEY_MAX_BYTES 160
#define KEPT_PAYLOAD_MAX_BYTES 65536
#define KEPT_ASK_MAX 200         /* keys in one kept_get */
#define KEPT_WRITE_MAX 500       /* copies in one statement */
#define KEPT_UNWRITTEN_MAX 20000 /* beyond it the oldest unwritten copy is forgotten, and counted */

typedef struct kept kept_t;
typedef struct kept_query kept_query_t;

typedef enum { KEPT_STOCK = 1, KEPT_ORDER = 2, KEPT_ORDER_LIST = 3 } kept_kind_t;

typedef struct {
    bytes_t payload; /* empty: there is no copy */
    int64_t as_of_us;
} kept_copy_t;

/* `copies` are in the order of the keys asked for, and live until it returns. */
typedef void (*kept_fn)(void *ctx, const kept_copy_t *copies, size_t count);

extern const pg_migration_t kept_migrations[];
extern const size_t kept_migration_count;

/* `pg` may be NULL. At most `max_copies` in memory. */
MUST_USE kept_t *kept_new(loop_t *loop, pg_t *pg, metrics_t *metrics, size_t max_copies, error_t *err);
void kept_free(kept_t **kept);

/* A copy of `payload`; too large a key or payload, or a key with a NUL, is not kept. */
void kept_put(kept_t *kept, kept_kind_t kind, bytes_t key, bytes_t payload, int64_t as_of_us);

/* Looks up to KEPT_ASK_MAX keys up. NULL: `fn` ran already, inside this call. Else it runs later, once, unless
 * kept_cancel comes before. */
kept_query_t *kept_get(kept_t *kept, kept_kind_t kind, const bytes_t *keys, size_t count, kept_fn fn, void *ctx);
void kept_cancel(kept_query_t *query);

#endif
