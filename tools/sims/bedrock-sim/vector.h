/* vector.h: embeddings from hashed character n-grams: what looks alike is near.
 *
 * The text is NFKC and case folded, blanks are one blank; its characters, pairs and triples are each hashed to
 * a place and a sign of the vector (feature hashing). No meaning is in it: titles that share letters are near,
 * a translation is not. The same text gives the same vector on every machine. */
#ifndef BEDROCK_SIM_VECTOR_H
#define BEDROCK_SIM_VECTOR_H

#include "proto/bytes.h"

#define VECTOR_DIMENSION_MAX 1536

/* Fills `out` with `dimension` (<= VECTOR_DIMENSION_MAX) elements; of length 1 when `normalize` and the text
 * has a character, else of length 0 or whatever it is. */
void vector_embed(bytes_t text, size_t dimension, bool normalize, float *out);

#endif
