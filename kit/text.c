/* text.c: keys and normal forms over libunistring. */
#include "kit/text.h"

#include <stdlib.h>
#include <unicase.h>
#include <unictype.h>
#include <uninorm.h>
#include <unistr.h>

#define HIRAGANA_FIRST 0x3041
#define HIRAGANA_LAST 0x3096
#define KATAKANA_SHIFT 0x60
#define LONG_VOWEL 0x30FC /* ー: a letter modifier by category, but 〜 and ～ are written for it too */
#define COMPAT_FIRST 0xF900
#define COMPAT_LAST 0xFAFF

static void char_append(buf_t *out, ucs4_t c)
{
    uint8_t bytes[6];
    int n = u8_uctomb(bytes, c, sizeof bytes);
    if (n > 0)
        buf_append(out, bytes, (size_t)n);
}

static bool is_dropped(ucs4_t c)
{
    return uc_is_general_category(c, UC_SEPARATOR) || uc_is_general_category(c, UC_PUNCTUATION) ||
           uc_is_general_category(c, UC_SYMBOL) || uc_is_general_category(c, UC_OTHER);
}

static ucs4_t char_fold(ucs4_t c)
{
    return c >= HIRAGANA_FIRST && c <= HIRAGANA_LAST ? c + KATAKANA_SHIFT : c;
}

/* NFKC and case folding; malloc'd, NULL for what is not UTF-8. */
static uint8_t *folded(bytes_t text, size_t *len)
{
    if (text.len == 0 || !bytes_is_utf8(text, NULL))
        return NULL;
    return u8_casefold(text.data, text.len, NULL, UNINORM_NFKC, NULL, len);
}

void text_key(buf_t *out, bytes_t text)
{
    size_t len = 0, before = out->len;
    uint8_t *all = folded(text, &len);
    for (size_t at = 0; all && at < len;) {
        ucs4_t c;
        int n = u8_mbtouc(&c, all + at, len - at);
        at += n > 0 ? (size_t)n : 1;
        if (c == LONG_VOWEL || !is_dropped(c))
            char_append(out, char_fold(c));
    }
    if (all && out->len == before)
        buf_append(out, all, len);
    free(all);
}

static void nfc_append(buf_t *out, const uint8_t *text, size_t len)
{
    size_t normal_len = 0;
    uint8_t *normal = len ? u8_normalize(UNINORM_NFC, text, len, NULL, &normal_len) : NULL;
    if (normal)
        buf_append(out, normal, normal_len);
    free(normal);
}

void text_nfc(buf_t *out, bytes_t text)
{
    size_t from = 0;
    if (text.len == 0 || !bytes_is_utf8(text, NULL))
        return;
    for (size_t at = 0; at < text.len;) {
        ucs4_t c;
        int n = u8_mbtouc(&c, text.data + at, text.len - at);
        size_t next = at + (n > 0 ? (size_t)n : 1);
        if (c >= COMPAT_FIRST && c <= COMPAT_LAST) {
            nfc_append(out, text.data + from, at - from);
            buf_append(out, text.data + at, next - at);
            from = next;
        }
        at = next;
    }
    nfc_append(out, text.data + from, text.len - from);
}
