/* scope.c: 42巻, 第四十二巻, vol. 42, "the 42nd volume", and numbers that merely end the text. */
#include "services/embed-indexer/scope.h"

#include <stdlib.h>
#include <strings.h>
#include <uninorm.h>

#define DIGITS_MAX 4

typedef struct {
    size_t from, to;
    int64_t value;
} span_t;

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_word(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static size_t blanks(bytes_t text, size_t at)
{
    while (at < text.len && text.data[at] == ' ')
        at++;
    return at;
}

/* The bytes of `word` (ASCII letters in any case) at `at`, or 0. */
static size_t word_at(bytes_t text, size_t at, const char *word)
{
    size_t len = strlen(word);
    return at + len <= text.len && strncasecmp((const char *)text.data + at, word, len) == 0 ? len : 0;
}

static bool word_before(bytes_t text, size_t at, const char *word)
{
    size_t len = strlen(word);
    return at >= len && memcmp(text.data + at - len, word, len) == 0;
}

/* Bytes read; 0 for no number or one that is no volume's. */
static size_t digits_read(bytes_t text, size_t at, int64_t *value)
{
    size_t len = 0;
    *value = 0;
    for (; at + len < text.len && is_digit(text.data[at + len]); len++)
        if (len < DIGITS_MAX)
            *value = *value * 10 + (text.data[at + len] - '0');
    return len > DIGITS_MAX ? 0 : len;
}

static int kanji_at(bytes_t text, size_t at)
{
    static const char *const numerals[] = {"〇", "一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "百"};
    for (int i = 0; i < (int)ARRAY_LEN(numerals); i++)
        if (word_at(text, at, numerals[i]))
            return i;
    return -1;
}

/* 四十二, 百八, 四二. */
static size_t kanji_read(bytes_t text, size_t at, int64_t *value)
{
    size_t from = at;
    int64_t sum = 0, run = 0;
    for (int v; (v = kanji_at(text, at)) >= 0 && sum + run <= SCOPE_VOLUME_MAX / 10; at += 3)
        if (v < 10) {
            run = run * 10 + v;
        } else {
            sum += (run ? run : 1) * (v == 10 ? 10 : 100);
            run = 0;
        }
    *value = sum + run;
    return at - from;
}

/* A number before 巻; 全42巻 counts volumes and names none. */
static bool japanese_at(bytes_t text, size_t at, span_t *out)
{
    bool in_number = at > 0 && (is_digit(text.data[at - 1]) || text.data[at - 1] == '.');
    if (in_number || word_before(text, at, "全") || word_before(text, at, "計"))
        return false;
    size_t number_at = blanks(text, at + word_at(text, at, "第"));
    size_t len = digits_read(text, number_at, &out->value);
    if (len == 0)
        len = kanji_read(text, number_at, &out->value);
    size_t unit_at = blanks(text, number_at + len), unit = word_at(text, unit_at, "巻");
    if (len == 0 || unit == 0)
        return false;
    *out = (span_t){at, unit_at + unit + word_at(text, unit_at + unit, "目"), out->value};
    return true;
}

static bool english_at(bytes_t text, size_t at, span_t *out)
{
    static const char *const markers[] = {"volume", "vol.", "vol", "no.", "#"};
    if (at > 0 && is_word(text.data[at - 1]))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(markers); i++) {
        size_t len = word_at(text, at, markers[i]);
        size_t number_at = blanks(text, at + len), digits = len ? digits_read(text, number_at, &out->value) : 0;
        if (digits && (number_at + digits == text.len || !is_word(text.data[number_at + digits]))) {
            *out = (span_t){at, number_at + digits, out->value};
            return true;
        }
    }
    return false;
}

static bool ordinal_at(bytes_t text, size_t at, span_t *out)
{
    static const char *const endings[] = {"st", "nd", "rd", "th"};
    if (at > 0 && is_word(text.data[at - 1]))
        return false;
    size_t end = at + digits_read(text, at, &out->value);
    for (size_t i = 0; end > at && i < ARRAY_LEN(endings); i++) {
        size_t noun_at = blanks(text, end + 2), len = word_at(text, noun_at, "volume");
        if (word_at(text, end, endings[i]) && len) {
            *out = (span_t){at, noun_at + len, out->value};
            return true;
        }
    }
    return false;
}

/* A number behind a blank at the end of the text. */
static bool bare(bytes_t text, span_t *out)
{
    size_t from = text.len;
    while (from > 0 && is_digit(text.data[from - 1]))
        from--;
    if (from < 2 || text.data[from - 1] != ' ' || digits_read(text, from, &out->value) == 0)
        return false;
    *out = (span_t){from - 1, text.len, out->value};
    return true;
}

static bool marked(bytes_t text, span_t *out)
{
    for (size_t at = 0; at < text.len; at++)
        if ((text.data[at] & 0xC0) != 0x80 &&
            (japanese_at(text, at, out) || english_at(text, at, out) || ordinal_at(text, at, out)))
            return true;
    return false;
}

/* A blank stays where the words were, so that what stood around them does not grow together. */
static void cut(buf_t *text, size_t from, size_t to)
{
    if (from >= to)
        return;
    text->data[from] = ' ';
    memmove(text->data + from + 1, text->data + to, text->len - to);
    text->len -= to - from - 1;
}

static void isbn_take(scope_t *out)
{
    size_t at = 0, len = 0;
    if (isbn_find(buf_bytes(&out->rest), out->isbn, &at, &len))
        cut(&out->rest, at, at + len);
    else
        out->isbn[0] = '\0';
}

bool scope_read(bytes_t text, scope_t *out)
{
    size_t len = 0;
    span_t span = {0};
    uint8_t *plain = u8_normalize(UNINORM_NFKC, text.data, text.len, NULL, &len);
    *out = (scope_t){.volume = -1};
    if (!plain)
        return false;
    buf_append(&out->rest, plain, len);
    free(plain);
    if (out->rest.failed)
        return false;
    isbn_take(out);
    out->is_bare = false;
    if (marked(buf_bytes(&out->rest), &span)) {
        out->volume = span.value;
        cut(&out->rest, span.from, span.to);
    } else if (bare(buf_bytes(&out->rest), &span)) {
        out->volume = span.value;
        out->is_bare = true; /* the text stays whole until a title speaks for it */
    }
    return true;
}
