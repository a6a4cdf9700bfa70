/* fm_openai.h: OpenAI's chat completions and embeddings, as compatible servers speak them. */
#ifndef FM_INVOKER_FM_OPENAI_H
#define FM_INVOKER_FM_OPENAI_H

#include "proto/bytes.h"
#include "proto/status.h"
#include "services/fm-invoker/provider.h"

/* Appends the JSON body of POST /chat/completions, streamed, with usage asked for. */
void fm_openai_chat_write(const provider_chat_t *chat, buf_t *json);
/* One event's data: a chunk as JSON, or [DONE]. As fm_claude_event. */
MUST_USE bool fm_openai_event(bytes_t data, chat_progress_t *progress, buf_t *text, error_t *err);

/* Appends the JSON body of POST /embeddings. `dimension` 0: the model's own. */
void fm_openai_embed_write(const char *model_id, const bytes_t *texts, uint32_t count, int64_t dimension, buf_t *json);
/* Appends `count` vectors in the order of the texts, all of one dimension. DATA_LOSS for any other answer. */
MUST_USE bool fm_openai_embed_read(bytes_t json, uint32_t count, buf_t *vectors, int64_t *dimension, int64_t *tokens,
                                   error_t *err);

/* {"error":{"message":…}} of an answer, cut to fit; a default when there is none. */
void fm_openai_error_message(bytes_t body, char out[ERROR_MESSAGE_BYTES]);

#endif
