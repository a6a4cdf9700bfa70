/* settings.c: the variables of fm-invoker. */
#include "services/fm-invoker/settings.h"

#define ROW(variable, kind, member, value, least, most, what)                                                          \
    {                                                                                                                  \
        .name = (variable), .type = (kind), .offset = offsetof(fm_settings_t, member), .fallback = (value),            \
        .min = (least), .max = (most), .doc = (what)                                                                   \
    }

/* clang-format off: one row, one variable */
static const config_row_t rows[] = {
    ROW("MANGABUS_FM_MODEL_FAST", CONFIG_STR, model_fast, "anthropic.claude-3-haiku-20240307-v1:0", 0, 0,
        "model behind the aliases fast and haiku"),
    ROW("MANGABUS_FM_MODEL_QUALITY", CONFIG_STR, model_quality, "anthropic.claude-3-sonnet-20240229-v1:0", 0, 0,
        "model behind the aliases quality and sonnet"),
    ROW("MANGABUS_FM_MODEL_EMBED", CONFIG_STR, model_embed, "amazon.titan-embed-text-v2:0", 0, 0,
        "model behind the aliases embed and titan"),
    ROW("MANGABUS_FM_MODEL_DEFAULT", CONFIG_STR, model_default, "fast", 0, 0,
        "alias or model for requests that name none"),
    ROW("MANGABUS_FM_PRICES", CONFIG_STR, prices,
        "anthropic.claude-3-haiku-20240307-v1:0=250/1250 anthropic.claude-3-sonnet-20240229-v1:0=3000/15000 "
        "amazon.titan-embed-text-v2:0=20/0",
        0, 0, "MODEL=INPUT/OUTPUT …: micro US dollars for 1,000 tokens; a model named here may be asked for by name"),
    ROW("MANGABUS_FM_FALLBACK", CONFIG_BOOL, fallback, "true", 0, 0,
        "ask the other of fast and quality when one fails before its first word"),
    ROW("MANGABUS_FM_TIMEOUT", CONFIG_MS, timeout_ms, "60s", 100, 600000, "longest time of one model call"),
    ROW("MANGABUS_FM_CONNECT_TIMEOUT", CONFIG_MS, connect_timeout_ms, "2s", 10, 60000, "longest time to connect"),
    ROW("MANGABUS_FM_TOKENS_PER_S", CONFIG_F64, tokens_per_s, "60", 0, 100000,
        "expected pace of a model; an answer is not asked to be longer than its deadline allows; 0: no cap"),
    ROW("MANGABUS_FM_BUDGET_USD", CONFIG_F64, budget_usd, "50", 0, 1e9,
        "US dollars that all instances together may spend in a day (UTC); 0: no limit"),
    ROW("MANGABUS_FM_CONCURRENCY", CONFIG_I64, in_flight_max, "64", 1, 1024, "model calls at once"),
    ROW("MANGABUS_FM_OPENAI_URL", CONFIG_URL, openai_url, "", 0, 0,
        "base URL of an OpenAI-compatible server (…/v1) to use instead of Bedrock"),
    {.name = "MANGABUS_FM_OPENAI_KEY",
     .type = CONFIG_STR,
     .offset = offsetof(fm_settings_t, openai_key),
     .fallback = "",
     .flags = CONFIG_SECRET,
     .doc = "its API key"},
    ROW("MANGABUS_FM_QUEUES", CONFIG_STR, queues, "manga-fm-high-priority manga-fm-normal manga-fm-low-priority", 0, 0,
        "queues with work for models to consume, separated by blanks; empty: none"),
    ROW("MANGABUS_FM_QUEUE_MESSAGES", CONFIG_I64, queue_messages, "4", 1, 256,
        "messages of each queue in hand at once"),
    ROW("AWS_ENDPOINT_URL_BEDROCK_RUNTIME", CONFIG_URL, bedrock_endpoint, "", 0, 0,
        "where Bedrock's runtime is; empty: AWS_ENDPOINT_URL, or AWS itself in AWS_REGION"),
};
/* clang-format on */

const config_table_t fm_settings_table = {rows, ARRAY_LEN(rows)};
