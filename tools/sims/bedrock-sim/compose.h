/* compose.h: answers by rule, from the facts of a prompt (kit/prompt.h) and nothing else.
 *
 * Japanese or English, as the prompt says, else as the question is written. What no fact says is not said. */
#ifndef BEDROCK_SIM_COMPOSE_H
#define BEDROCK_SIM_COMPOSE_H

#include "proto/arena.h"
#include "proto/bytes.h"

/* Appends the answer to a system and a user message. A prompt that is not in our form is answered by a sentence
 * that says so. False only when memory ran out. */
MUST_USE bool compose_answer(bytes_t system, bytes_t user, arena_t *arena, buf_t *out);

#endif
