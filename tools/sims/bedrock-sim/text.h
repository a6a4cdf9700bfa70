/* text.h: text as the rules compare it: NFKC, case folded; and which language it is. */
#ifndef BEDROCK_SIM_TEXT_H
#define BEDROCK_SIM_TEXT_H

#include "proto/bytes.h"

/* Appends the folded text; what is not UTF-8 is appended as it is. */
void text_fold(bytes_t text, buf_t *out);
/* True when kana or kanji are in it. */
bool text_is_japanese(bytes_t text);
/* True when one of the NULL-terminated list is in it. */
bool text_has_any(bytes_t text, const char *const *words);

#endif
