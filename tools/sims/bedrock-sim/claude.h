/* claude.h: the body of InvokeModel for Claude: read and held to the rules, and its answers written.
 *
 * Source: Bedrock user guide, "Anthropic Claude Messages API". */
#ifndef BEDROCK_SIM_CLAUDE_H
#define BEDROCK_SIM_CLAUDE_H

#include "proto/arena.h"
#include "proto/bytes.h"
#include "proto/status.h"
#include "tools/sims/bedrock-sim/model.h"

#define CLAUDE_VERSION "bedrock-2023-05-31"
#define CLAUDE_OUTPUT_TOKENS_MAX 64000
#define CLAUDE_CONTEXT_TOKENS_MAX 200000
#define CLAUDE_STOPS_MAX 64
#define CLAUDE_ID_BYTES 40

typedef struct {
    bytes_t system; /* its blocks joined */
    bytes_t user;   /* the last user turn, its blocks joined */
    bytes_t stops[CLAUDE_STOPS_MAX];
    size_t stop_count;
    int64_t max_tokens;
    int64_t input_tokens; /* over everything */
} claude_request_t;

/* `body` is msgpack made of the JSON. False: INVALID_ARGUMENT, aws ValidationException. Slices live as long
 * as the body and the arena. */
MUST_USE bool claude_read(const model_t *model, bytes_t body, arena_t *arena, claude_request_t *out, error_t *err);

typedef struct {
    char id[CLAUDE_ID_BYTES]; /* msg_bdrk_… */
    const model_t *model;
    bytes_t text; /* as cut by max_tokens and stop sequences */
    const char *stop_reason;
    bytes_t stop_sequence; /* empty: null */
    int64_t input_tokens, output_tokens;
} claude_answer_t;

/* Cuts `text` as the request asks, and fills everything but id. */
void claude_cut(const claude_request_t *request, const model_t *model, bytes_t text, claude_answer_t *out);

void claude_write_answer(const claude_answer_t *answer, buf_t *json);

/* The events of a stream, each one JSON text. */
void claude_write_start(const claude_answer_t *answer, buf_t *json);
void claude_write_block_start(buf_t *json);
void claude_write_delta(bytes_t piece, buf_t *json);
void claude_write_block_stop(buf_t *json);
void claude_write_end(const claude_answer_t *answer, buf_t *json);
void claude_write_stop(const claude_answer_t *answer, int64_t first_byte_ms, int64_t latency_ms, buf_t *json);

#endif
