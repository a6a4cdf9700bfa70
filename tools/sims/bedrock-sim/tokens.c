/* tokens.c: token borders, by rule. */
#include "tools/sims/bedrock-sim/tokens.h"

#include <ctype.h>

#include "proto/utf8.h"

#define WORD_LETTERS_MAX 4

size_t token_bytes(bytes_t text)
{
    if (text.len == 0)
        return 0;
    size_t at = text.data[0] == ' ' && text.len > 1 ? 1 : 0;
    if (text.data[at] >= 0x80) {
        size_t len = utf8_sequence(text.data + at, text.len - at);
        return at + (len ? len : 1);
    }
    if (!isalnum(text.data[at]))
        return at + 1;
    size_t letters = 0;
    while (at < text.len && letters < WORD_LETTERS_MAX && isalnum(text.data[at]) && text.data[at] < 0x80)
        at++, letters++;
    return at;
}

size_t tokens_bytes(bytes_t text, int64_t count)
{
    size_t at = 0;
    for (int64_t i = 0; i < count && at < text.len; i++)
        at += token_bytes(bytes_from(text.data + at, text.len - at));
    return at;
}

int64_t tokens_count(bytes_t text)
{
    int64_t count = 0;
    for (size_t at = 0; at < text.len; count++)
        at += token_bytes(bytes_from(text.data + at, text.len - at));
    return count;
}
