/* vector.c: feature hashing of characters, pairs and triples. */
#include "tools/sims/bedrock-sim/vector.h"

#include <math.h>
#include <stdlib.h>
#include <unistr.h>

#include "tools/sims/bedrock-sim/text.h"

#define GRAM_MAX 3
#define FNV_OFFSET UINT64_C(14695981039346656037)
#define FNV_PRIME UINT64_C(1099511628211)

/* One character says less than three in a row. */
static const double weights[GRAM_MAX] = {0.3, 1.0, 1.2};

static uint64_t gram_hash(const uint32_t *chars, size_t count)
{
    uint64_t hash = FNV_OFFSET ^ count;
    for (size_t i = 0; i < count; i++)
        for (int shift = 0; shift < 24; shift += 8)
            hash = (hash ^ (chars[i] >> shift & 0xFF)) * FNV_PRIME;
    /* FNV's low bits alone are poor; the finalizer of splitmix64 spreads them. */
    hash = (hash ^ hash >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    hash = (hash ^ hash >> 27) * UINT64_C(0x94d049bb133111eb);
    return hash ^ hash >> 31;
}

/* The folded characters between two blanks, runs of blanks as one. Malloc'd. */
static uint32_t *chars_of(bytes_t text, size_t *count)
{
    buf_t folded = {0};
    text_fold(text, &folded);
    uint32_t *chars = calloc(folded.len + 2, sizeof *chars);
    *count = 0;
    if (!chars) {
        buf_free(&folded);
        return NULL;
    }
    chars[(*count)++] = ' ';
    for (size_t at = 0; at < folded.len;) {
        ucs4_t c = 0;
        int len = u8_mbtouc(&c, folded.data + at, folded.len - at);
        at += len > 0 ? (size_t)len : 1;
        c = c <= ' ' ? ' ' : c;
        if (c != ' ' || chars[*count - 1] != ' ')
            chars[(*count)++] = c;
    }
    if (chars[*count - 1] != ' ')
        chars[(*count)++] = ' ';
    buf_free(&folded);
    return chars;
}

static void scale_to_one(size_t dimension, float *out)
{
    double sum = 0;
    for (size_t i = 0; i < dimension; i++)
        sum += (double)out[i] * (double)out[i];
    double factor = sum > 0 ? 1 / sqrt(sum) : 0;
    for (size_t i = 0; i < dimension; i++)
        out[i] = (float)((double)out[i] * factor);
}

void vector_embed(bytes_t text, size_t dimension, bool normalize, float *out)
{
    memset(out, 0, dimension * sizeof *out);
    size_t count;
    uint32_t *chars = chars_of(text, &count);
    if (!chars)
        return;
    for (size_t n = 1; n <= GRAM_MAX; n++)
        for (size_t i = 0; i + n <= count; i++) {
            if (n == 1 && chars[i] == ' ')
                continue;
            uint64_t hash = gram_hash(chars + i, n);
            out[hash % dimension] += (float)(hash >> 63 ? weights[n - 1] : -weights[n - 1]);
        }
    free(chars);
    if (normalize)
        scale_to_one(dimension, out);
}
