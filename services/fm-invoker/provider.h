/* provider.h: whoever runs the models: Bedrock, or an OpenAI-compatible server; one interface to both.
 *
 * A call goes out once: no retry here. It ends exactly once in on_done, also when it is cancelled. Texts come
 * as whole UTF-8 without NUL, in order, before on_done. Callbacks run on the loop's thread, never inside the function
 * that started the call. */
#ifndef FM_INVOKER_PROVIDER_H
#define FM_INVOKER_PROVIDER_H

#include "kit/http_client.h"
#include "kit/loop.h"
#include "proto/contract/calls_fm.h"
#include "proto/status.h"

typedef struct provider provider_t;
typedef struct provider_call provider_call_t;

typedef enum { STOP_END_TURN, STOP_MAX_TOKENS, STOP_SEQUENCE, STOP_OTHER } stop_t;

/* What a stream has said so far; tokens are -1 until it says. */
typedef struct {
    int64_t input_tokens, output_tokens;
    stop_t stop;
    bool ended; /* it said so itself */
} chat_progress_t;

typedef struct {
    const error_t *err; /* NULL: ended well */
    chat_progress_t progress;
    int64_t duration_us;
} provider_chat_end_t;

/* Slices need to live until provider_chat returns. */
typedef struct {
    const char *model_id;
    bytes_t system;
    const fm_message_t *messages;
    uint32_t message_count;
    int64_t max_tokens;
    bool has_temperature;
    double temperature;
    bytes_list_t stops;
    int64_t timeout_ms;
    void (*on_text)(void *ctx, bytes_t text);
    void (*on_done)(void *ctx, const provider_chat_end_t *end);
    void *ctx;
} provider_chat_t;

typedef struct {
    const error_t *err;
    bytes_t vectors; /* one behind the other; little-endian binary32 */
    int64_t dimension, input_tokens;
    int64_t duration_us;
} provider_embed_end_t;

typedef struct {
    const char *model_id;
    const bytes_t *texts; /* at most provider_embed_batch */
    uint32_t count;
    int64_t dimension; /* 0: the model's own */
    bool normalize;
    int64_t timeout_ms;
    void (*on_done)(void *ctx, const provider_embed_end_t *end);
    void *ctx;
} provider_embed_t;

typedef struct {
    loop_t *loop;
    http_client_t *http;
    const char *openai_url; /* "": Bedrock */
    const char *openai_key;
    int64_t connect_timeout_ms;
} provider_options_t;

/* Strings are copied. For Bedrock, credentials and endpoint come from the environment (kit/aws.h). */
MUST_USE provider_t *provider_new(const provider_options_t *options, error_t *err);
/* Everything that was started must have ended (the HTTP client is freed first). */
void provider_free(provider_t **provider);

const char *provider_name(const provider_t *provider); /* "bedrock", "openai" */
/* What is asked for, in the provider's words. */
const char *provider_chat_operation(const provider_t *provider);
const char *provider_embed_operation(const provider_t *provider);
/* False with *why while it cannot be asked at all (no credentials yet). */
bool provider_is_ready(const provider_t *provider, const char **why);
uint32_t provider_embed_batch(const provider_t *provider);

/* NULL when it could not be started; then on_done is not called. */
MUST_USE provider_call_t *provider_chat(provider_t *provider, const provider_chat_t *chat, error_t *err);
MUST_USE provider_call_t *provider_embed(provider_t *provider, const provider_embed_t *embed, error_t *err);
void provider_cancel(provider_call_t *call); /* on_done follows, with CANCELLED */

#endif
