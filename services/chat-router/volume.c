/* volume.c: volume numbers in digits, kanji and English ordinals. */
#include "services/chat-router/volume.h"

#include <strings.h>

#include "services/chat-router/wording.h"

#define DIGITS_MAX 4
#define NEVER SIZE_MAX

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_alnum(uint8_t c)
{
    return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool has_at(bytes_t text, size_t at, const char *word)
{
    size_t len = strlen(word);
    return at <= text.len && text.len - at >= len && strncasecmp((const char *)text.data + at, word, len) == 0;
}

static bool ends_with(bytes_t text, size_t at, const char *word)
{
    size_t len = strlen(word);
    return at >= len && memcmp(text.data + at - len, word, len) == 0;
}

static size_t spaces_after(bytes_t text, size_t at)
{
    while (at < text.len && text.data[at] == ' ')
        at++;
    return at;
}

/* Returns the bytes of the digits at `at`; 0 for none, or for more than a volume has. */
static size_t digits_read(bytes_t text, size_t at, int64_t *value)
{
    size_t len = 0;
    *value = 0;
    while (at + len < text.len && is_digit(text.data[at + len])) {
        if (len == DIGITS_MAX)
            return 0;
        *value = *value * 10 + (text.data[at + len++] - '0');
    }
    return len;
}

/* -- kanji ----------------------------------------------------------------------------------------- */
/* 0 to 9, or 10, 100, 1000; -1 for no numeral. */
static int kanji_value(uint32_t c)
{
    static const uint32_t ones[] = {0x3007, 0x4E00, 0x4E8C, 0x4E09, 0x56DB, 0x4E94, 0x516D, 0x4E03, 0x516B, 0x4E5D};
    static const struct {
        uint32_t c;
        int value;
    } others[] = {{0x5341, 10}, {0x767E, 100}, {0x5343, 1000}, {0x96F6, 0}, {0x58F1, 1}, {0x5F10, 2}, {0x53C2, 3}};
    for (int i = 0; i < (int)ARRAY_LEN(ones); i++)
        if (ones[i] == c)
            return i;
    for (size_t i = 0; i < ARRAY_LEN(others); i++)
        if (others[i].c == c)
            return others[i].value;
    return -1;
}

size_t volume_read_kanji(bytes_t text, int64_t *value)
{
    int64_t sum = 0, run = 0;
    bool is_run = false;
    size_t used = 0;
    for (size_t at = 0; at < text.len; used = at) {
        int v = kanji_value(wording_next(text, &at));
        if (v < 0 || sum + run > VOLUME_MAX)
            break;
        if (v < 10) {
            run = run * 10 + v; /* 四二 as it is read in digits */
            is_run = true;
        } else {
            sum += (is_run ? run : 1) * v;
            run = 0;
            is_run = false;
        }
    }
    *value = sum + run;
    return *value <= VOLUME_MAX ? used : 0;
}

static size_t numeral_read(bytes_t text, size_t at, int64_t *value)
{
    size_t len = digits_read(text, at, value);
    return len ? len : volume_read_kanji(bytes_from(text.data + at, text.len - at), value);
}

/* -- Japanese -------------------------------------------------------------------------------------- */
static bool counts_something_else(bytes_t text, size_t at)
{
    static const char *const counters[] = {"話", "章", "回", "部", "版", "期",
                                           "弾", "位", "次", "号", "世", "シーズン"};
    for (size_t i = 0; i < ARRAY_LEN(counters); i++)
        if (has_at(text, at, counters[i]))
            return true;
    return false;
}

/* 巻, 巻目 behind the number; NEVER when it is not there. */
static size_t maki_end(bytes_t text, size_t at)
{
    at = spaces_after(text, at);
    if (!has_at(text, at, "巻"))
        return NEVER;
    at += strlen("巻");
    return has_at(text, at, "目") ? at + strlen("目") : at;
}

static bool japanese_at(bytes_t text, size_t at, volume_t *out)
{
    bool is_ordinal = has_at(text, at, "第");
    size_t number_at = is_ordinal ? spaces_after(text, at + strlen("第")) : at;
    bool in_number = number_at > 0 && !is_ordinal && (is_digit(text.data[at - 1]) || text.data[at - 1] == '.');
    size_t len = in_number ? 0 : numeral_read(text, number_at, &out->value);
    if (len == 0 || ends_with(text, at, "全") || ends_with(text, at, "計"))
        return false;
    size_t end = maki_end(text, number_at + len);
    bool is_digits = is_digit(text.data[number_at]);
    if (end == NEVER && is_ordinal && is_digits && !counts_something_else(text, number_at + len))
        end = number_at + len;
    out->start = at;
    out->end = end;
    return end != NEVER;
}

/* -- English --------------------------------------------------------------------------------------- */
/* "forty-two", "forty two", "seven"; at most ninety-nine. */
static size_t words_read(bytes_t text, size_t at, int64_t *value)
{
    static const char *const small[] = {
        "one",    "two",    "three",    "four",     "five",    "six",     "seven",     "eight",    "nine",    "ten",
        "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"};
    static const char *const tens[] = {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"};
    size_t used = 0;
    *value = 0;
    for (size_t i = 0; i < ARRAY_LEN(tens) && used == 0; i++)
        if (has_at(text, at, tens[i])) {
            used = strlen(tens[i]);
            *value = 20 + 10 * (int64_t)i;
        }
    bool is_joined = used && at + used < text.len && (text.data[at + used] == '-' || text.data[at + used] == ' ');
    size_t more = used + is_joined;
    size_t limit = used ? 9 : ARRAY_LEN(small);
    for (size_t i = limit; i-- > 0;) {
        size_t end = at + more + strlen(small[i]);
        if ((used == 0 || is_joined) && has_at(text, at + more, small[i]) &&
            (end >= text.len || !is_alnum(text.data[end]))) {
            *value += (int64_t)i + 1;
            return end - at;
        }
    }
    return used;
}

/* The length of a word that announces a volume's number; 0 for none. */
static size_t marker_at(bytes_t text, size_t at)
{
    static const char *const markers[] = {"volumes", "volume", "vols.", "vols", "vol.",
                                          "vol",     "book",   "no.",   "v.",   "#"};
    if (at > 0 && is_alnum(text.data[at - 1]) && text.data[at] != '#')
        return 0;
    for (size_t i = 0; i < ARRAY_LEN(markers); i++)
        if (has_at(text, at, markers[i]))
            return strlen(markers[i]);
    return has_at(text, at, "v") && at + 1 < text.len && is_digit(text.data[at + 1]) ? 1 : 0;
}

static bool english_marked_at(bytes_t text, size_t at, volume_t *out)
{
    size_t len = marker_at(text, at);
    if (len == 0)
        return false;
    size_t number_at = spaces_after(text, at + len);
    if (has_at(text, number_at, "#") || has_at(text, number_at, "."))
        number_at = spaces_after(text, number_at + 1);
    size_t digits = digits_read(text, number_at, &out->value);
    if (digits == 0 && number_at > at + len)
        digits = words_read(text, number_at, &out->value);
    size_t end = number_at + digits;
    if (digits == 0 || (end < text.len && is_alnum(text.data[end])))
        return false;
    out->start = at;
    out->end = end;
    return true;
}

/* "42nd volume" */
static bool english_ordinal_at(bytes_t text, size_t at, volume_t *out)
{
    static const char *const endings[] = {"st", "nd", "rd", "th"};
    if (at > 0 && is_alnum(text.data[at - 1]))
        return false;
    size_t end = at + digits_read(text, at, &out->value);
    if (end == at)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(endings); i++) {
        size_t noun_at = spaces_after(text, end + 2);
        if (!has_at(text, end, endings[i]) || !has_at(text, noun_at, "vol"))
            continue;
        out->start = at;
        out->end = noun_at + (has_at(text, noun_at, "volume") ? strlen("volume") : strlen("vol"));
        return true;
    }
    return false;
}

bool volume_find(bytes_t plain, volume_t *out)
{
    for (size_t at = 0; at < plain.len; (void)wording_next(plain, &at))
        if (japanese_at(plain, at, out) || english_marked_at(plain, at, out) || english_ordinal_at(plain, at, out))
            return true;
    return false;
}

bool volume_find_bare(bytes_t plain, volume_t *out)
{
    size_t start = plain.len;
    while (start > 0 && is_digit(plain.data[start - 1]))
        start--;
    bool glues = start > 0 && (memchr("/.,:-+~", plain.data[start - 1], 7) || ends_with(plain, start, "⁄"));
    size_t len = digits_read(plain, start, &out->value);
    if (len == 0 || start == 0 || glues || out->value == 0)
        return false;
    out->start = start;
    out->end = plain.len;
    return true;
}
