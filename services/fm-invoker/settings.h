/* settings.h: what fm-invoker is told by its environment. */
#ifndef FM_INVOKER_SETTINGS_H
#define FM_INVOKER_SETTINGS_H

#include "kit/config.h"

typedef struct {
    char *model_fast, *model_quality, *model_embed; /* the provider's names */
    char *model_default;                            /* an alias or a name */
    char *prices;
    bool fallback;
    int64_t timeout_ms; /* of one model call, when the deadline is farther */
    int64_t connect_timeout_ms;
    double tokens_per_s; /* expected pace, to cap answers by their deadline; 0: no cap */
    double budget_usd;   /* a day (UTC); 0: none */
    int64_t in_flight_max;
    char *openai_url, *openai_key;
    char *queues; /* names, separated by blanks */
    int64_t queue_messages;
    char *bedrock_endpoint; /* here for --help; kit/aws.h reads it */
} fm_settings_t;

extern const config_table_t fm_settings_table;

#endif
