/* fm_claude.h: Claude's messages on Bedrock: the body that asks, and the events that answer.
 *
 * Source: Bedrock user guide, "Anthropic Claude Messages API". Members and events that are not known are
 * ignored: AWS pads some, and adds others. */
#ifndef FM_INVOKER_FM_CLAUDE_H
#define FM_INVOKER_FM_CLAUDE_H

#include "proto/bytes.h"
#include "proto/status.h"
#include "services/fm-invoker/provider.h"

/* Appends the JSON body. */
void fm_claude_write(const provider_chat_t *chat, buf_t *json);

/* One event (JSON) of a stream: changes `progress`, and appends its text, if it has any, to `text`. False:
 * DATA_LOSS for what is no JSON object, or the error that an event of type `error` tells. */
MUST_USE bool fm_claude_event(bytes_t json, chat_progress_t *progress, buf_t *text, error_t *err);

/* The payload of an event-stream message of type `chunk`: {"bytes":"<base64 of one event>"}. Appends the event. */
MUST_USE bool fm_claude_chunk(bytes_t payload, buf_t *event, error_t *err);

#endif
