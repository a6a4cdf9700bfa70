/* ranking.h: the best few of many scores, and the fusion of two rankings. Pure.
 *
 * Source of the fusion: Cormack, Clarke, Büttcher, "Reciprocal Rank Fusion" (SIGIR 2009): Σ 1 / (60 + rank). */
#ifndef EMBED_INDEXER_RANKING_H
#define EMBED_INDEXER_RANKING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/compiler.h"

#define RANKING_MAX 256 /* works that one ranking names */
#define RANKING_FUSION_K 60.0F

typedef struct {
    uint32_t work;
    float score;
} ranked_t;

typedef struct {
    ranked_t items[RANKING_MAX];
    size_t count;
} ranking_t;

/* While it is being filled it is a heap; keeps the greatest. Of equal scores the lower number wins. */
void ranking_offer(ranking_t *ranking, uint32_t work, float score);
/* Best first. */
void ranking_sort(ranking_t *ranking);

/* Both sorted; each rank counts 1 / (60 + rank), the first being 1. `out` holds both, sorted by the sums. */
typedef struct {
    ranked_t items[2 * RANKING_MAX];
    size_t count;
} fused_t;
void ranking_fuse(const ranking_t *a, const ranking_t *b, fused_t *out);

#endif
