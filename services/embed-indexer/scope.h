/* scope.h: what of a query names one book exactly (an ISBN, the number of a volume), and what is left to look for.
 * Pure. */
#ifndef EMBED_INDEXER_SCOPE_H
#define EMBED_INDEXER_SCOPE_H

#include "proto/bytes.h"
#include "proto/isbn.h"

#define SCOPE_VOLUME_MAX 9999 /* as the contract bounds it */

typedef struct {
    char isbn[ISBN13_TEXT_BYTES]; /* "" for none */
    int64_t volume;               /* -1 for none */
    bool is_bare;                 /* a mere number at the end, "ワンピース 42": it may belong to the title */
    buf_t rest;                   /* the text without the words that say so, NFKC */
} scope_t;

/* Reads well-formed UTF-8. `out->rest` is the caller's to free. False when out of memory. */
MUST_USE bool scope_read(bytes_t text, scope_t *out);

#endif
