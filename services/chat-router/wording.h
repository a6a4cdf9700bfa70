/* wording.h: the forms of a customer's text: as it is kept, as it is compared, and its language.
 *
 * Titles are compared by kit/text.h. Over libunistring. Nothing here blocks; input is well-formed UTF-8
 * (bytes_is_utf8). */
#ifndef CHAT_ROUTER_WORDING_H
#define CHAT_ROUTER_WORDING_H

#include "proto/bytes.h"

typedef enum { LANGUAGE_JA, LANGUAGE_EN } language_t;

const char *language_name(language_t language); /* "ja", "en" */

/* By script: kana or kanji means Japanese, unless English words carry the sentence and the rest is a title. */
language_t language_detect(bytes_t text);

/* Appends NFC (kit/text.h); control characters become spaces, and spaces at the ends go. False when out of memory. */
MUST_USE bool wording_keep(bytes_t text, buf_t *out);

/* Appends NFKC: full-width digits and letters become ASCII, half-width kana full. False when out of memory. */
MUST_USE bool wording_plain(bytes_t text, buf_t *out);

/* Appends the form for comparing and for keys: NFKC, case folded, hiragana as katakana, runs of spaces as one, no
 * spaces and no sentence marks at the ends. False when out of memory. */
MUST_USE bool wording_fold(bytes_t text, buf_t *out);

/* Characters (code points), not bytes. */
size_t wording_chars(bytes_t text);

/* The next code point; *at is the caller's cursor. 0 at the end. */
uint32_t wording_next(bytes_t text, size_t *at);

bool wording_is_kana(uint32_t c);
bool wording_is_han(uint32_t c);
bool wording_is_space(uint32_t c);

#endif
