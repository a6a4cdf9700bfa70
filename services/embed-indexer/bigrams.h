/* bigrams.h: an inverted index over pairs of characters: finds Japanese titles without a dictionary. Pure but for
 * memory.
 *
 * A work is the set of the character pairs of its fields (keys of kit/text.h: title, reading, English title,
 * creators); a field of one character counts as that character alone. Scores are BM25's with each pair counted
 * once. A pair of a work costs four bytes in its list and four in the work's. */
#ifndef EMBED_INDEXER_BIGRAMS_H
#define EMBED_INDEXER_BIGRAMS_H

#include "proto/bytes.h"
#include "services/embed-indexer/numbers.h"
#include "services/embed-indexer/ranking.h"

#define BIGRAMS_WORK_MAX 512  /* pairs of one work: more are not indexed */
#define BIGRAMS_QUERY_MAX 512 /* pairs of one query: more are not looked for */

typedef struct bigrams bigrams_t;

MUST_USE bigrams_t *bigrams_new(void);
void bigrams_free(bigrams_t **bigrams);

/* Replaces what is known of `work`: `fields` are keys. False when out of memory (the work is then not found). */
MUST_USE bool bigrams_set(bigrams_t *bigrams, uint32_t work, const bytes_t *fields, size_t count);

/* Calls `found` for each work that shares a pair with `key`, in no order. */
typedef void (*bigrams_found_fn)(void *ctx, uint32_t work, float score);
void bigrams_search(bigrams_t *bigrams, bytes_t key, bigrams_found_fn found, void *ctx);

#endif
