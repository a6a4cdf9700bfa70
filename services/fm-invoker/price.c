/* price.c: prices read from text, and sums in whole micro dollars. */
#include "services/fm-invoker/price.h"

#include <errno.h>
#include <stdlib.h>

#define TOKENS_PER_PRICE 1000

static bool number_read(const char *text, char end, int64_t *out, const char **rest)
{
    char *stop;
    errno = 0;
    long long value = strtoll(text, &stop, 10);
    if (stop == text || errno || value < 0 || value > PRICE_MAX || (*stop != end && !(end == ' ' && *stop == '\0')))
        return false;
    *out = value;
    *rest = stop;
    return true;
}

static bool row_read(const char *text, price_t *out, const char **rest)
{
    size_t name = strcspn(text, "= ");
    return text[name] == '=' && name > 0 && bytes_to_cstr(bytes_from(text, name), out->model, sizeof out->model) &&
           number_read(text + name + 1, '/', &out->input, rest) && number_read(*rest + 1, ' ', &out->output, rest);
}

bool price_table_read(const char *text, price_table_t *out, error_t *err)
{
    *out = (price_table_t){0};
    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        const char *rest;
        if (out->count == PRICE_MODELS_MAX)
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_FM_PRICES: more than %d models",
                             PRICE_MODELS_MAX);
        if (!row_read(text, &out->rows[out->count], &rest))
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                             "MANGABUS_FM_PRICES: '%.*s' is not MODEL=INPUT/OUTPUT with two whole numbers",
                             (int)(strcspn(text, " ") > 100 ? 100 : strcspn(text, " ")), text);
        if (price_find(out, out->rows[out->count].model))
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_FM_PRICES: %s is there twice",
                             out->rows[out->count].model);
        out->count++;
        text = rest;
    }
    return true;
}

const price_t *price_find(const price_table_t *table, const char *model)
{
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].model, model) == 0)
            return &table->rows[i];
    return NULL;
}

int64_t price_cost(const price_t *price, int64_t input_tokens, int64_t output_tokens)
{
    int64_t input, output, sum;
    if (__builtin_mul_overflow(price->input, input_tokens, &input) ||
        __builtin_mul_overflow(price->output, output_tokens, &output) || __builtin_add_overflow(input, output, &sum) ||
        sum > INT64_MAX - TOKENS_PER_PRICE)
        return INT64_MAX;
    return (sum + TOKENS_PER_PRICE - 1) / TOKENS_PER_PRICE;
}
