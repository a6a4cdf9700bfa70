/* model.h: the models that bedrock-sim has, by Bedrock's names. */
#ifndef BEDROCK_SIM_MODEL_H
#define BEDROCK_SIM_MODEL_H

#include "proto/bytes.h"

typedef enum { MODEL_CLAUDE, MODEL_TITAN_V2, MODEL_TITAN_V1 } model_kind_t;

typedef struct {
    const char *id;   /* as in the path */
    const char *name; /* as in an answer's "model" */
    model_kind_t kind;
    bool refuses_both; /* temperature and top_p together */
} model_t;

/* By model id, inference profile (the same with "apac.", "us.", … before it) or the ARN of either. NULL for
 * a model that is not here. */
const model_t *model_find(bytes_t id);

#endif
