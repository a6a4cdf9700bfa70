/* model.c: the table of models. */
#include "tools/sims/bedrock-sim/model.h"

static const model_t models[] = {
    {"anthropic.claude-3-haiku-20240307-v1:0", "claude-3-haiku-20240307", MODEL_CLAUDE, false},
    {"anthropic.claude-3-sonnet-20240229-v1:0", "claude-3-sonnet-20240229", MODEL_CLAUDE, false},
    {"anthropic.claude-3-5-haiku-20241022-v1:0", "claude-3-5-haiku-20241022", MODEL_CLAUDE, false},
    {"anthropic.claude-3-5-sonnet-20240620-v1:0", "claude-3-5-sonnet-20240620", MODEL_CLAUDE, false},
    {"anthropic.claude-3-5-sonnet-20241022-v2:0", "claude-3-5-sonnet-20241022", MODEL_CLAUDE, false},
    {"anthropic.claude-sonnet-4-5-20250929-v1:0", "claude-sonnet-4-5-20250929", MODEL_CLAUDE, true},
    {"anthropic.claude-haiku-4-5-20251001-v1:0", "claude-haiku-4-5-20251001", MODEL_CLAUDE, true},
    {"amazon.titan-embed-text-v2:0", "amazon.titan-embed-text-v2", MODEL_TITAN_V2, false},
    {"amazon.titan-embed-text-v1", "amazon.titan-embed-text-v1", MODEL_TITAN_V1, false},
};

static const char *const profiles[] = {"apac.", "jp.", "us.", "eu.", "global."};

static bytes_t without(bytes_t text, size_t len)
{
    return bytes_from(text.data + len, text.len - len);
}

const model_t *model_find(bytes_t id)
{
    /* arn:aws:bedrock:REGION:ACCOUNT:inference-profile/ID */
    const uint8_t *slash = bytes_has_prefix(id, BYTES_LIT("arn:")) ? memrchr(id.data, '/', id.len) : NULL;
    if (slash)
        id = without(id, (size_t)(slash + 1 - id.data));
    for (size_t i = 0; i < ARRAY_LEN(profiles); i++)
        if (bytes_has_prefix(id, bytes_cstr(profiles[i]))) {
            id = without(id, strlen(profiles[i]));
            break;
        }
    for (size_t i = 0; i < ARRAY_LEN(models); i++)
        if (bytes_eq_cstr(id, models[i].id))
            return &models[i];
    return NULL;
}
