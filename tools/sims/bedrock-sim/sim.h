/* sim.h: bedrock-sim: speaks Bedrock's runtime protocol over HTTP, answers by rule.
 *
 * POST /model/{id}/invoke and /invoke-with-response-stream, signed with Signature Version 4; besides, unsigned,
 * GET /healthz, /readyz, /sim/stats and POST /sim/control (docs/services/bedrock-sim.md). */
#ifndef BEDROCK_SIM_SIM_H
#define BEDROCK_SIM_SIM_H

#include "kit/http_server.h"
#include "kit/loop.h"

#define SIM_BODY_MAX_BYTES ((size_t)25000000) /* as Bedrock says */
#define SIM_RATE_MAX 100000

typedef struct {
    char *listen; /* host:port */
    char *log_level;
    char *region;
    char *access_key_id, *secret_access_key, *session_token;
    int64_t first_token_ms; /* of Claude's answers */
    double tokens_per_s;
    int64_t embed_ms;   /* of an embedding */
    int64_t rate_per_s; /* requests that are let in; 0: all */
} sim_settings_t;

typedef struct sim sim_t;

/* `settings` must outlive it. */
MUST_USE sim_t *sim_new(loop_t *loop, const sim_settings_t *settings, error_t *err);
/* Ends what is under way. Call before the server is freed. */
void sim_free(sim_t **sim);
void sim_handle(void *ctx, http_request_t *request); /* ctx: the sim */

#endif
