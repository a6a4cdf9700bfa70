/* fm_tokens.h: numbers of tokens as providers count them: believed within reason, for money is counted by them. */
#ifndef FM_INVOKER_FM_TOKENS_H
#define FM_INVOKER_FM_TOKENS_H

#include <stdbool.h>
#include <stdint.h>

#include "proto/bytes.h"
#include "proto/compiler.h"

#define FM_TOKENS_MAX INT64_C(100000000) /* no model reads or writes so many in one call */

/* The member `key` of a msgpack map. False, and *tokens as it was, when it is absent, no whole number, or not from 0
 * to FM_TOKENS_MAX. */
bool fm_tokens_take(bytes_t map, const char *key, int64_t *tokens);

#endif
