/* status.h: embed.status, and the same figures as metrics. */
#ifndef EMBED_INDEXER_STATUS_H
#define EMBED_INDEXER_STATUS_H

#include "services/embed-indexer/app.h"

void status_on_request(void *ctx, bus_request_t *request); /* ctx: the app */
void status_metrics(app_t *app);

#endif
