/* tokens.h: cuts text into what passes for tokens: a character of Japanese, or up to four letters of a word
 * with the blank before it. Counts and pieces of streams come from here, so that they agree. */
#ifndef BEDROCK_SIM_TOKENS_H
#define BEDROCK_SIM_TOKENS_H

#include "proto/bytes.h"

/* Bytes of the first token of `text` (UTF-8); 0 for no text. */
size_t token_bytes(bytes_t text);
int64_t tokens_count(bytes_t text);
/* Bytes of the first `count` tokens. */
size_t tokens_bytes(bytes_t text, int64_t count);

#endif
