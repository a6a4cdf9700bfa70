/* wording.c: normal forms by libunistring, and a guess of the language by script. */
#include "services/chat-router/wording.h"

#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

#include "kit/text.h"
#include "proto/utf8.h"

#define ENGLISH_WORDS_MIN 2 /* this many words that only English has make a sentence English */

const char *language_name(language_t language)
{
    return language == LANGUAGE_JA ? "ja" : "en";
}

uint32_t wording_next(bytes_t text, size_t *at)
{
    ucs4_t c = 0;
    if (*at >= text.len)
        return 0;
    int used = u8_mbtouc(&c, text.data + *at, text.len - *at);
    *at += used > 0 ? (size_t)used : 1;
    return c;
}

size_t wording_chars(bytes_t text)
{
    size_t count = 0;
    for (size_t at = 0; at < text.len; count++)
        (void)wording_next(text, &at);
    return count;
}

bool wording_is_kana(uint32_t c)
{
    return (c >= 0x3041 && c <= 0x30FF && c != 0x30FB) || (c >= 0x31F0 && c <= 0x31FF) || (c >= 0xFF66 && c <= 0xFF9F);
}

bool wording_is_han(uint32_t c)
{
    return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0x20000 && c <= 0x3FFFF) || c == 0x3005 || c == 0x3007;
}

bool wording_is_space(uint32_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0x3000 || c == 0xA0 || (c >= 0x2000 && c <= 0x200B);
}

/* -- language -------------------------------------------------------------------------------------- */
static bool word_is_english(bytes_t word)
{
    static const char *const words[] = {"is",   "are", "do",    "you",   "have",  "has",    "the",  "of",     "in",
                                        "what", "how", "any",   "much",  "where", "when",   "can",  "i",      "my",
                                        "me",   "to",  "for",   "stock", "vol",   "volume", "want", "please", "there",
                                        "a",    "got", "price", "show",  "find",  "like"};
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (word.len == strlen(words[i]) && strncasecmp((const char *)word.data, words[i], word.len) == 0)
            return true;
    return false;
}

static bool is_letter(uint8_t c)
{
    return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static size_t english_words(bytes_t text, size_t *letters)
{
    size_t count = 0;
    for (size_t i = 0, start; i < text.len; i++) {
        for (start = i; i < text.len && is_letter(text.data[i]); i++)
            (*letters)++;
        if (i > start && word_is_english(bytes_from(text.data + start, i - start)))
            count++;
    }
    return count;
}

language_t language_detect(bytes_t text)
{
    size_t japanese = 0, letters = 0;
    for (size_t at = 0; at < text.len;) {
        uint32_t c = wording_next(text, &at);
        japanese += wording_is_kana(c) || wording_is_han(c);
    }
    size_t words = english_words(text, &letters);
    if (japanese == 0)
        return LANGUAGE_EN;
    return words >= ENGLISH_WORDS_MIN && letters >= japanese ? LANGUAGE_EN : LANGUAGE_JA;
}

/* -- normal forms ---------------------------------------------------------------------------------- */
static bool normalize_append(uninorm_t form, bytes_t text, buf_t *out)
{
    if (text.len == 0)
        return true;
    size_t len = 0;
    uint8_t *made = u8_normalize(form, text.data, text.len, NULL, &len);
    if (made)
        buf_append(out, made, len);
    free(made);
    return made && !out->failed;
}

static bool is_trimmed_at_end(uint32_t c, bool marks_too)
{
    return wording_is_space(c) ||
           (marks_too && (c == '?' || c == '!' || c == '.' || c == 0x3002 || c == 0xFF61 || c == ',' || c == 0x3001));
}

static void trim(buf_t *out, size_t from, bool marks_too)
{
    bytes_t text = bytes_from(out->data + from, out->len - from);
    size_t start = 0, end = 0;
    bool is_started = false;
    for (size_t at = 0, here = 0; here < text.len; here = at) {
        uint32_t c = wording_next(text, &at);
        if (!is_started && wording_is_space(c)) {
            start = end = at;
            continue;
        }
        is_started = true;
        if (!is_trimmed_at_end(c, marks_too))
            end = at;
    }
    if (end > start)
        memmove(out->data + from, out->data + from + start, end - start);
    out->len = from + (end > start ? end - start : 0);
}

bool wording_keep(bytes_t text, buf_t *out)
{
    size_t from = out->len;
    text_nfc(out, text);
    for (size_t i = from; i < out->len; i++)
        if (out->data[i] < 0x20 || out->data[i] == 0x7F)
            out->data[i] = ' ';
    if (out->len > from)
        trim(out, from, false);
    return !out->failed;
}

bool wording_plain(bytes_t text, buf_t *out)
{
    return normalize_append(UNINORM_NFKC, text, out);
}

/* Of hiragana that has a katakana; others as they are. */
static uint32_t katakana_of(uint32_t c)
{
    return (c >= 0x3041 && c <= 0x3096) || c == 0x309D || c == 0x309E ? c + 0x60 : c;
}

static void put(buf_t *out, uint32_t c)
{
    uint8_t bytes[4];
    size_t len = utf8_put(c, bytes);
    buf_append(out, bytes, len);
}

/* Of NFKC and case-folded text: kana made one, runs of spaces made one. */
static void refine(bytes_t folded, buf_t *out)
{
    bool was_space = false;
    for (size_t at = 0; at < folded.len;) {
        uint32_t c = wording_next(folded, &at);
        bool is_space = wording_is_space(c);
        if (is_space && was_space)
            continue;
        put(out, is_space ? ' ' : katakana_of(c));
        was_space = is_space;
    }
}

bool wording_fold(bytes_t text, buf_t *out)
{
    size_t len = 0, from = out->len;
    if (text.len == 0)
        return true;
    uint8_t *folded = u8_casefold(text.data, text.len, NULL, UNINORM_NFKC, NULL, &len);
    if (!folded)
        return false;
    refine(bytes_from(folded, len), out);
    free(folded);
    if (out->len > from)
        trim(out, from, true);
    return !out->failed;
}
