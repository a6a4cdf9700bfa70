/* embedder.h: gets vectors for texts that have none, over fm.embed, a few batches at a time.
 *
 * Texts that wait are rows, taken for a while by one instance and given back when it fails: so the instances share
 * the work and none is lost. While models are busy or away it waits, longer each time; a text that a model refuses is
 * asked for alone, and if it is refused then, put off for EMBEDDER_PUT_OFF_MS with the reason. */
#ifndef EMBED_INDEXER_EMBEDDER_H
#define EMBED_INDEXER_EMBEDDER_H

#include "services/embed-indexer/app.h"

#define EMBEDDER_CALLS_MAX 2        /* at once */
#define EMBEDDER_CALL_MS 60000      /* deadline of one; less than a claim */
#define EMBEDDER_IDLE_MS 5000       /* looks for texts given back by others */
#define EMBEDDER_FILL_MS 60000      /* looks for works without vector that nobody noted */
#define EMBEDDER_PUT_OFF_MS 3600000 /* a refused text */
#define EMBEDDER_REPLY_MAX_BYTES ((size_t)512 << 10)

MUST_USE embedder_t *embedder_new(app_t *app, error_t *err);
void embedder_free(embedder_t **embedder);
void embedder_wake(embedder_t *embedder); /* there may be new texts */

/* A model answered with vectors of this kind. Another kind than before is proposed as the one that is used; at most
 * once in STORE_SPACE_KEPT_S it becomes so, for all instances. False: the vector cannot be compared with those on the
 * shelf. */
bool embedder_space_seen(embedder_t *embedder, bytes_t model_id, int64_t dimension);
/* This kind is the one that is used: the shelf forgets its vectors and gets those of the new kind as they come. False
 * when it was so already. */
bool embedder_space_use(embedder_t *embedder, const char *model_id, int64_t dimension);

/* Fills in model, dimension and purpose for fm.embed. */
void embedder_request(const app_t *app, fm_embed_request_t *request, const char *purpose);

#endif
