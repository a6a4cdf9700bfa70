/* price.h: what models cost, as the configuration says. */
#ifndef FM_INVOKER_PRICE_H
#define FM_INVOKER_PRICE_H

#include "proto/bytes.h"
#include "proto/status.h"

#define PRICE_MODELS_MAX 64
#define PRICE_MODEL_BYTES 257
#define PRICE_MAX INT64_C(1000000000) /* micro US dollars for 1,000 tokens */

typedef struct {
    char model[PRICE_MODEL_BYTES];
    int64_t input, output; /* micro US dollars for 1,000 tokens */
} price_t;

typedef struct {
    price_t rows[PRICE_MODELS_MAX];
    size_t count;
} price_table_t;

/* From "MODEL=INPUT/OUTPUT MODEL=…". INVALID_ARGUMENT names the entry. */
MUST_USE bool price_table_read(const char *text, price_table_t *out, error_t *err);
/* NULL when the table does not have it. */
const price_t *price_find(const price_table_t *table, const char *model);

/* Micro US dollars, rounded up, so that nothing costs nothing; INT64_MAX where it would be more. */
int64_t price_cost(const price_t *price, int64_t input_tokens, int64_t output_tokens);

#endif
