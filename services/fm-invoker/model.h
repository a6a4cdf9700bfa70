/* model.h: the models that may be asked: names, aliases, prices, and how well they do. */
#ifndef FM_INVOKER_MODEL_H
#define FM_INVOKER_MODEL_H

#include "kit/breaker.h"
#include "services/fm-invoker/price.h"
#include "services/fm-invoker/settings.h"

#define MODELS_MAX (PRICE_MODELS_MAX + 3)

typedef struct {
    char id[PRICE_MODEL_BYTES]; /* the provider's name */
    price_t price;              /* zeroes when the configuration has none */
    bool has_price;
    breaker_t breaker;
} model_t;

typedef struct {
    model_t items[MODELS_MAX];
    size_t count;
    model_t *fast, *quality, *embed, *standard; /* standard: for requests that name none */
    bool fallback;
} models_t;

/* INVALID_ARGUMENT when a setting is wrong. `now_us` is monotonic. */
MUST_USE bool models_init(models_t *models, const fm_settings_t *settings, int64_t now_us, error_t *err);

/* By alias (fast, haiku, quality, sonnet, embed, titan) or name; empty: the default. NOT_FOUND names what there
 * is. */
MUST_USE model_t *models_find(models_t *models, bytes_t name, error_t *err);

/* Who answers in its place when `model` fails; NULL for none. */
model_t *models_other(models_t *models, const model_t *model);

/* Takes a permit of its breaker; UNAVAILABLE with retry_after_ms while that is open. */
MUST_USE bool model_admit(model_t *model, int64_t now_us, breaker_permit_t *permit, error_t *err);
/* What an ended call says about the model: `err` NULL for well. `waited_us`: how long it was waited for. */
breaker_outcome_t model_outcome(const error_t *err, int64_t waited_us);

#endif
