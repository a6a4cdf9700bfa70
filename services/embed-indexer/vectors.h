/* vectors.h: vectors of works in memory, and the exact scan over them. Pure but for memory.
 *
 * One row of float32 for each work number, in blocks that do not move; a row costs its dimension, rounded up to
 * VECTORS_LANES, times four bytes (256: 1 KiB), whether or not the work has a vector yet. */
#ifndef EMBED_INDEXER_VECTORS_H
#define EMBED_INDEXER_VECTORS_H

#include "proto/bytes.h"
#include "services/embed-indexer/ranking.h"

#define VECTORS_LANES 16
#define VECTORS_BLOCK_ROWS 1024

typedef struct {
    size_t dimension; /* 0: not yet known */
    size_t stride;    /* floats of a row */
    float **blocks;
    uint32_t block_count;
} vectors_t;

/* A zeroed vectors_t is empty and usable. */
void vectors_free(vectors_t *vectors);
/* Forgets all rows; from now on rows have `dimension` elements. */
void vectors_reset(vectors_t *vectors, size_t dimension);
/* `vector` is little-endian binary32, as the contract carries it. False when its length is not that of the dimension,
 * an element is not finite, or out of memory. It is brought to length 1, unless it is all zero, which is as none. */
MUST_USE bool vectors_set(vectors_t *vectors, uint32_t row, bytes_t vector);
/* Row `row` is all zero again. */
void vectors_clear(vectors_t *vectors, uint32_t row);

/* Reads a vector into `out` (of `stride` floats, aligned to 64 bytes), as vectors_set keeps it. */
MUST_USE bool vectors_read(const vectors_t *vectors, bytes_t vector, float *out);

/* Offers every row below `count` with a positive product; `allowed` (may be NULL) has a byte for each row. */
void vectors_scan(const vectors_t *vectors, const float *query, uint32_t count, const uint8_t *allowed,
                  ranking_t *ranking);

#endif
