/* app.h: fm-invoker's state, and what its sources do with it. */
#ifndef FM_INVOKER_APP_H
#define FM_INVOKER_APP_H

#include "kit/parked.h"
#include "kit/service.h"
#include "proto/uuid.h"
#include "services/fm-invoker/budget.h"
#include "services/fm-invoker/model.h"
#include "services/fm-invoker/provider.h"
#include "services/fm-invoker/settings.h"

#define APP_ID_BYTES UUID_TEXT_BYTES

typedef struct app {
    service_t *service;
    loop_t *loop;
    bus_t *bus;
    pg_t *pg;
    metrics_t *metrics;
    const fm_settings_t *settings;
    provider_t *provider;
    models_t models;
    budget_t budget;
    int64_t unsaved_cost; /* of this day, not in the database yet */
    bool saving;
    int64_t in_flight; /* model calls */
    parked_t *parked;  /* messages that wait for the database, or for a model that can be asked */
} app_t;

/* A new UUIDv7. */
void app_id(char out[APP_ID_BYTES]);

/* Room for one more model call, and a provider that can be asked; else RESOURCE_EXHAUSTED or UNAVAILABLE. */
MUST_USE bool app_admit(app_t *app, error_t *err);

/* Handlers of calls; ctx is the app. */
void call_invoke(void *ctx, bus_request_t *request);
void call_embed(void *ctx, bus_request_t *request);
void call_job_submit(void *ctx, bus_request_t *request);
void call_job_get(void *ctx, bus_request_t *request);
void call_job_cancel(void *ctx, bus_request_t *request);

/* Consumes the queues of the settings. */
MUST_USE bool work_start(app_t *app, error_t *err);

#endif
