/* intake.h: takes deliveries of both queues in batches into the database.
 *
 * What comes within INTAKE_GATHER_MS, up to INTAKE_BATCH_MAX, is one transaction; a delivery is acknowledged when that
 * is committed. What the database cannot take now stays in hand and is tried again; what it refuses is found by writing
 * the batch once more one by one, and is rejected. */
#ifndef EMBED_INDEXER_INTAKE_H
#define EMBED_INDEXER_INTAKE_H

#include "services/embed-indexer/app.h"

#define INTAKE_BATCH_MAX 256
#define INTAKE_BATCHES_MAX 2 /* at the database at once */
#define INTAKE_GATHER_MS 20

MUST_USE intake_t *intake_new(app_t *app, error_t *err);
void intake_free(intake_t **intake);

void intake_on_catalog(void *ctx, bus_delivery_t *delivery); /* ctx: the app */
void intake_on_stock(void *ctx, bus_delivery_t *delivery);

#endif
