/* query.h: search.query: the query's vector within what is left of the deadline, the search, the bodies of its hits.
 *
 * Without a vector in time the answer comes from the text index alone and says so. */
#ifndef EMBED_INDEXER_QUERY_H
#define EMBED_INDEXER_QUERY_H

#include "services/embed-indexer/app.h"

#define QUERY_VECTOR_MAX_MS 2000 /* never waits longer for a vector */
#define QUERY_RESERVE_MS 100     /* of the deadline, for search and bodies */
#define QUERY_LIMIT 10           /* where the request names none, as the contract says */
#define QUERY_CACHE_PLACES 1024  /* vectors of recent queries */
#define QUERY_CACHE_TEXT_BYTES 512

MUST_USE query_cache_t *query_cache_new(void);
void query_cache_free(query_cache_t **cache);

void query_on_request(void *ctx, bus_request_t *request); /* ctx: the app */

#endif
