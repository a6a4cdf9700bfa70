/* text.c: folding by libunistring. */
#include "tools/sims/bedrock-sim/text.h"

#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>
#include <unistr.h>

void text_fold(bytes_t text, buf_t *out)
{
    size_t len = 0;
    uint8_t *folded = text.len ? u8_casefold(text.data, text.len, NULL, UNINORM_NFKC, NULL, &len) : NULL;
    if (folded)
        buf_append(out, folded, len);
    else
        buf_append_bytes(out, text);
    free(folded);
}

static bool is_japanese(ucs4_t c)
{
    return (c >= 0x3041 && c <= 0x30FF) || (c >= 0x3400 && c <= 0x9FFF) || (c >= 0xF900 && c <= 0xFAFF) ||
           (c >= 0xFF66 && c <= 0xFF9F) || (c >= 0x20000 && c <= 0x3FFFF);
}

bool text_is_japanese(bytes_t text)
{
    ucs4_t c;
    for (size_t at = 0; at < text.len;) {
        int len = u8_mbtouc(&c, text.data + at, text.len - at);
        if (is_japanese(c))
            return true;
        at += len > 0 ? (size_t)len : 1;
    }
    return false;
}

bool text_has_any(bytes_t text, const char *const *words)
{
    for (; *words; words++)
        if (text.len && memmem(text.data, text.len, *words, strlen(*words)))
            return true;
    return false;
}
