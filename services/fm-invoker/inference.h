/* inference.h: one question to a model: which model, is there money, and another model when the first fails.
 *
 * Another model is asked only while no text has come, once, and only while time is left; nothing is asked twice
 * of the same model. Used by calls and by the queues' workers. */
#ifndef FM_INVOKER_INFERENCE_H
#define FM_INVOKER_INFERENCE_H

#include "proto/contract/common.h"
#include "services/fm-invoker/app.h"

#define INFERENCE_TEXT_MAX_BYTES 262144
#define INFERENCE_TOKENS_DEFAULT 512
#define INFERENCE_LEAST_LEFT_MS 200 /* with less time than this no model is asked */
#define INFERENCE_HOPS_MAX 3

typedef struct inference inference_t;

typedef struct {
    const error_t *err; /* NULL: answered */
    const char *inference_id;
    bytes_t text;
    const char *model_id;
    const char *fallback_from; /* NULL: none */
    const char *stop_reason;
    int64_t input_tokens, output_tokens;
    int64_t cost_usd_micros;            /* over all models that were asked */
    int64_t latency_us, first_token_us; /* -1: no text came */
    const hop_t *hops;
    uint32_t hop_count;
} inference_result_t;

/* Slices must live until on_done. */
typedef struct {
    const char *operation; /* of the first hop: "fm.invoke", … */
    bytes_t model, system, session_id, purpose;
    const fm_message_t *messages;
    uint32_t message_count;
    int64_t max_tokens;
    bool has_temperature;
    double temperature;
    bytes_list_t stops;
    int64_t deadline_us; /* monotonic */
    const trace_t *trace;
    void (*on_text)(void *ctx, bytes_t text);                     /* NULL: not wanted piece by piece */
    void (*on_done)(void *ctx, const inference_result_t *result); /* exactly once, never inside inference_start */
    void *ctx;
} inference_ask_t;

/* NULL when it is refused at once; on_done is then not called. */
MUST_USE inference_t *inference_start(app_t *app, const inference_ask_t *ask, error_t *err);
/* Nobody waits any more: on_done follows, with CANCELLED. */
void inference_cancel(inference_t *inference);

/* How many tokens fit into `left_ms` at `tokens_per_s` (0: no cap), at most `wanted`, at least 16. */
int64_t inference_tokens_cap(int64_t wanted, int64_t left_ms, double tokens_per_s);
/* A safe upper estimate of the tokens of so many bytes of text. */
int64_t inference_tokens_estimate(size_t text_bytes);

#endif
