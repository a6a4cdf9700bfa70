/* text.h: one spelling for texts that people write in many ways.
 *
 * Source of the rules: Unicode Standard Annex 15 (normalisation) and the Unicode case folding, through
 * libunistring. Input that is not UTF-8 gives an empty result. Pure but for memory. */
#ifndef KIT_TEXT_H
#define KIT_TEXT_H

#include "proto/bytes.h"

/* Appends `text` as a key for comparing titles: NFKC, case folded, hiragana as katakana, without blanks,
 * punctuation and symbols (but long-vowel marks stay). "One Piece", "ＯＮＥ　ＰＩＥＣＥ" and "one-piece" give
 * the same; so do 「わんぴーす」 and 「ワンピース」. A title of nothing but symbols is its NFKC. */
void text_key(buf_t *out, bytes_t text);

/* Appends NFC, but leaves the CJK compatibility ideographs U+F900..U+FAFF as they are: NFC would turn
 * 神 U+FA19 into 神, and the ERP (CP932) tells them apart. */
void text_nfc(buf_t *out, bytes_t text);

#endif
