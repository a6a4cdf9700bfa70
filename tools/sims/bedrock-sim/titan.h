/* titan.h: the bodies of InvokeModel for Titan text embeddings.
 *
 * Source: Bedrock user guide, "Amazon Titan Embeddings Text". */
#ifndef BEDROCK_SIM_TITAN_H
#define BEDROCK_SIM_TITAN_H

#include "proto/bytes.h"
#include "proto/status.h"
#include "tools/sims/bedrock-sim/model.h"

#define TITAN_CHARACTERS_MAX 50000
#define TITAN_TOKENS_MAX 8192

typedef struct {
    bytes_t text;
    size_t dimension; /* 1024, 512, 256; of v1 1536 */
    bool normalize;
    bool has_types; /* embeddingTypes was given */
    bool wants_binary, wants_float;
    int64_t tokens;
} titan_request_t;

/* `body` is msgpack made of the JSON. False: INVALID_ARGUMENT, aws ValidationException. */
MUST_USE bool titan_read(const model_t *model, bytes_t body, titan_request_t *out, error_t *err);
/* Appends the answer. */
void titan_write(const titan_request_t *request, buf_t *json);

#endif
