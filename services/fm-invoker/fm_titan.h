/* fm_titan.h: Titan text embeddings: the body that asks, the vector that comes. */
#ifndef FM_INVOKER_FM_TITAN_H
#define FM_INVOKER_FM_TITAN_H

#include "proto/bytes.h"
#include "proto/status.h"

/* Appends the JSON body for one text. `dimension` 0: the model's own. Version 1 of the model takes the text alone. */
void fm_titan_write(const char *model_id, bytes_t text, int64_t dimension, bool normalize, buf_t *json);

/* Appends the vector as little-endian binary32. DATA_LOSS for an answer that holds none. */
MUST_USE bool fm_titan_read(bytes_t json, buf_t *vector, int64_t *tokens, error_t *err);

/* Appends a msgpack array of numbers as little-endian binary32; false when it is none, empty, longer than
 * FM_EMBED_DIMENSION_MAX or has what is no finite number. */
MUST_USE bool fm_vector_read(bytes_t array, buf_t *vector);

#endif
