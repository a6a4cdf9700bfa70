/* vectors.c: blocks of aligned rows; the product is written so that compilers make vector instructions of it. */
#include "services/embed-indexer/vectors.h"

#include <math.h>
#include <stdlib.h>

#define ALIGN_BYTES 64

void vectors_free(vectors_t *vectors)
{
    for (uint32_t i = 0; i < vectors->block_count; i++)
        free(vectors->blocks[i]);
    free(vectors->blocks);
    *vectors = (vectors_t){0};
}

void vectors_reset(vectors_t *vectors, size_t dimension)
{
    vectors_free(vectors);
    vectors->dimension = dimension;
    vectors->stride = (dimension + VECTORS_LANES - 1) / VECTORS_LANES * VECTORS_LANES;
}

static bool blocks_reach(vectors_t *vectors, uint32_t block)
{
    while (vectors->block_count <= block) {
        size_t bytes = VECTORS_BLOCK_ROWS * vectors->stride * sizeof(float);
        float **blocks = realloc(vectors->blocks, (vectors->block_count + 1) * sizeof *blocks);
        if (!blocks)
            return false;
        vectors->blocks = blocks;
        blocks[vectors->block_count] = aligned_alloc(ALIGN_BYTES, bytes);
        if (!blocks[vectors->block_count])
            return false;
        memset(blocks[vectors->block_count++], 0, bytes);
    }
    return true;
}

static float *row_of(const vectors_t *vectors, uint32_t row)
{
    return vectors->blocks[row / VECTORS_BLOCK_ROWS] + row % VECTORS_BLOCK_ROWS * vectors->stride;
}

static float float_read(const uint8_t *p)
{
    uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

bool vectors_read(const vectors_t *vectors, bytes_t vector, float *out)
{
    double squares = 0;
    if (vectors->dimension == 0 || vector.len != vectors->dimension * sizeof(float))
        return false;
    for (size_t i = 0; i < vectors->dimension; i++) {
        double value = (double)float_read(vector.data + i * sizeof(float));
        if (!isfinite(value))
            return false;
        squares += value * value;
    }
    double scale = squares > 0 ? 1.0 / sqrt(squares) : 0;
    for (size_t i = 0; i < vectors->stride; i++)
        out[i] = i < vectors->dimension ? (float)((double)float_read(vector.data + i * sizeof(float)) * scale) : 0;
    return true;
}

bool vectors_set(vectors_t *vectors, uint32_t row, bytes_t vector)
{
    if (vectors->dimension == 0 || !blocks_reach(vectors, row / VECTORS_BLOCK_ROWS))
        return false;
    return vectors_read(vectors, vector, row_of(vectors, row));
}

void vectors_clear(vectors_t *vectors, uint32_t row)
{
    if (row / VECTORS_BLOCK_ROWS < vectors->block_count)
        memset(row_of(vectors, row), 0, vectors->stride * sizeof(float));
}

/* Independent sums, because the order of additions is not the compiler's to change. */
static float product(const float *restrict a, const float *restrict b, size_t stride)
{
    float sums[VECTORS_LANES] = {0}, sum = 0;
    for (size_t i = 0; i < stride; i += VECTORS_LANES)
        for (size_t lane = 0; lane < VECTORS_LANES; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    for (size_t lane = 0; lane < VECTORS_LANES; lane++)
        sum += sums[lane];
    return sum;
}

void vectors_scan(const vectors_t *vectors, const float *query, uint32_t count, const uint8_t *allowed,
                  ranking_t *ranking)
{
    uint64_t rows = (uint64_t)vectors->block_count * VECTORS_BLOCK_ROWS;
    for (uint32_t row = 0; row < count && row < rows; row++) {
        if (allowed && !allowed[row])
            continue;
        float score = product(row_of(vectors, row), query, vectors->stride);
        if (score > 0)
            ranking_offer(ranking, row, score);
    }
}
