/* model.c: names to models, and outcomes to breakers. */
#include "services/fm-invoker/model.h"

/* A call that ran out of a time shorter than this says more about the caller's deadline than about the model. */
#define FAIR_WAIT_US INT64_C(2000000)

static model_t *find_exact(models_t *models, bytes_t id)
{
    for (size_t i = 0; i < models->count; i++)
        if (bytes_eq_cstr(id, models->items[i].id))
            return &models->items[i];
    return NULL;
}

static model_t *add(models_t *models, const char *id, const price_table_t *prices, int64_t now_us)
{
    model_t *model = find_exact(models, bytes_cstr(id));
    if (model)
        return model;
    model = &models->items[models->count];
    *model = (model_t){0};
    if (!*id || !bytes_to_cstr(bytes_cstr(id), model->id, sizeof model->id) ||
        !breaker_init(&model->breaker, &(breaker_options_t){0}, now_us))
        return NULL;
    const price_t *price = price_find(prices, id);
    model->has_price = price != NULL;
    if (price)
        model->price = *price;
    models->count++;
    return model;
}

bool models_init(models_t *models, const fm_settings_t *settings, int64_t now_us, error_t *err)
{
    price_table_t prices;
    *models = (models_t){.fallback = settings->fallback};
    if (!price_table_read(settings->prices, &prices, err))
        return false;
    models->fast = add(models, settings->model_fast, &prices, now_us);
    models->quality = add(models, settings->model_quality, &prices, now_us);
    models->embed = add(models, settings->model_embed, &prices, now_us);
    if (!models->fast || !models->quality || !models->embed)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "MANGABUS_FM_MODEL_FAST, _QUALITY and _EMBED are names of 1 to %d bytes",
                         PRICE_MODEL_BYTES - 1);
    for (size_t i = 0; i < prices.count; i++)
        (void)add(models, prices.rows[i].model, &prices, now_us);
    models->standard = models->fast;
    models->standard = models_find(models, bytes_cstr(settings->model_default), err);
    return models->standard || error_prefix(err, "MANGABUS_FM_MODEL_DEFAULT");
}

model_t *models_find(models_t *models, bytes_t name, error_t *err)
{
    const struct {
        const char *alias;
        model_t *model;
    } aliases[] = {
        {"fast", models->fast},      {"haiku", models->fast},  {"quality", models->quality},
        {"sonnet", models->quality}, {"embed", models->embed}, {"titan", models->embed},
    };
    if (name.len == 0)
        return models->standard;
    for (size_t i = 0; i < ARRAY_LEN(aliases); i++)
        if (bytes_eq_cstr(name, aliases[i].alias))
            return aliases[i].model;
    model_t *model = find_exact(models, name);
    if (!model)
        (void)error_set(
            err, STATUS_NOT_FOUND, "ResourceNotFoundException",
            "there is no model \"%.*s\": use fast, quality, embed, or a model that MANGABUS_FM_PRICES names",
            (int)(name.len < 100 ? name.len : 100), (const char *)name.data);
    return model;
}

model_t *models_other(models_t *models, const model_t *model)
{
    model_t *other = model == models->fast ? models->quality : model == models->quality ? models->fast : NULL;
    return models->fallback && other != model ? other : NULL;
}

bool model_admit(model_t *model, int64_t now_us, breaker_permit_t *permit, error_t *err)
{
    if (breaker_admit(&model->breaker, now_us, permit))
        return true;
    (void)error_set(err, STATUS_UNAVAILABLE, "CircuitOpen", "%s has failed too often; it is left alone for a while",
                    model->id);
    if (err)
        err->retry_after_ms = breaker_retry_after_us(&model->breaker, now_us) / 1000 + 1;
    return false;
}

breaker_outcome_t model_outcome(const error_t *err, int64_t waited_us)
{
    if (!err)
        return BREAKER_GOOD;
    switch (err->code) {
    case STATUS_UNAVAILABLE:
    case STATUS_RESOURCE_EXHAUSTED:
    case STATUS_DATA_LOSS:
    case STATUS_INTERNAL:
        return BREAKER_BAD;
    case STATUS_DEADLINE_EXCEEDED:
        return waited_us >= FAIR_WAIT_US ? BREAKER_BAD : BREAKER_IGNORED;
    default: /* what the caller did wrong, or took back */
        return BREAKER_IGNORED;
    }
}
