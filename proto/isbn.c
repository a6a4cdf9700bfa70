/* isbn.c: an ISBN is read character by character, so that text around it and inside it needs no regular expressions. */
#include "proto/isbn.h"

#define ISBN10_DIGITS 10
#define SEPARATORS_MAX 3 /* between two digits: "978 - 4" */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

char isbn13_check_digit(const char digits[12])
{
    int sum = 0;
    for (int i = 0; i < 12; i++) {
        if (!is_digit(digits[i]))
            return 0;
        sum += (digits[i] - '0') * (i % 2 ? 3 : 1);
    }
    return (char)('0' + (10 - sum % 10) % 10);
}

char isbn10_check_digit(const char digits[9])
{
    int sum = 0;
    for (int i = 0; i < 9; i++) {
        if (!is_digit(digits[i]))
            return 0;
        sum += (digits[i] - '0') * (10 - i);
    }
    int check = (11 - sum % 11) % 11;
    return (char)(check == 10 ? 'X' : '0' + check);
}

bool isbn13_is_valid(bytes_t text)
{
    if (text.len != ISBN13_DIGITS)
        return false;
    const char *digits = (const char *)text.data;
    bool book = memcmp(digits, "978", 3) == 0 || memcmp(digits, "979", 3) == 0;
    return book && is_digit(digits[12]) && isbn13_check_digit(digits) == digits[12]; /* 0 is none, and a NUL */
}

/* -- as people write it --------------------------------------------------------------------------- */

/* The code point at `at` and its length; a broken sequence counts as one byte of U+FFFD. */
static uint32_t code_point(bytes_t t, size_t at, size_t *len)
{
    const uint8_t *p = t.data + at;
    size_t left = t.len - at;
    *len = 1;
    if (p[0] < 0x80)
        return p[0];
    if (left >= 2 && (p[0] & 0xe0) == 0xc0 && (p[1] & 0xc0) == 0x80) {
        *len = 2;
        return (uint32_t)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
    }
    if (left >= 3 && (p[0] & 0xf0) == 0xe0 && (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80) {
        *len = 3;
        return (uint32_t)(p[0] & 0x0f) << 12 | (uint32_t)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
    }
    return 0xfffd;
}

/* The ASCII digit or X that a code point stands for; 0 for any other. */
static char sign_of(uint32_t cp)
{
    if (cp >= 0xff10 && cp <= 0xff19)
        return (char)('0' + (cp - 0xff10));
    if (cp == 'x' || cp == 'X' || cp == 0xff38 || cp == 0xff58)
        return 'X';
    return cp < 0x80 && is_digit((char)cp) ? (char)cp : 0;
}

static bool is_separator(uint32_t cp)
{
    return cp == ' ' || cp == '-' || (cp >= 0x2010 && cp <= 0x2015) || cp == 0x2212 || cp == 0x30fc || cp == 0xff0d ||
           cp == 0x3000;
}

typedef struct {
    char signs[ISBN13_DIGITS];
    size_t count;
    size_t end; /* behind the last sign */
} number_t;

/* Reads up to `max` signs from `at`, with up to SEPARATORS_MAX separators between two. An X ends the number:
 * it is only ever a last check digit. */
static number_t take_number(bytes_t t, size_t at, size_t max)
{
    number_t n = {.end = at};
    int separators = 0;
    for (size_t len; at < t.len && n.count < max; at += len) {
        uint32_t cp = code_point(t, at, &len);
        char sign = sign_of(cp);
        if (!sign && (!is_separator(cp) || ++separators > SEPARATORS_MAX))
            break;
        if (!sign)
            continue;
        separators = 0;
        n.signs[n.count++] = sign;
        n.end = at + len;
        if (sign == 'X')
            break;
    }
    return n;
}

static bool from_signs(const char *signs, size_t count, char out[ISBN13_TEXT_BYTES])
{
    if (count == 10 && signs[9] == isbn10_check_digit(signs)) {
        memcpy(out, "978", 3);
        memcpy(out + 3, signs, 9);
        out[12] = isbn13_check_digit(out);
        out[13] = 0;
        return true;
    }
    if (count != ISBN13_DIGITS || !isbn13_is_valid(bytes_from(signs, count)))
        return false;
    memcpy(out, signs, ISBN13_DIGITS);
    out[13] = 0;
    return true;
}

/* Length of a leading "ISBN", "ISBN:", "ISBN-13: " and of spaces around it. */
static size_t label_length(bytes_t t)
{
    size_t at = 0;
    while (at < t.len && t.data[at] == ' ')
        at++;
    if (t.len - at < 4 || (memcmp(t.data + at, "ISBN", 4) != 0 && memcmp(t.data + at, "isbn", 4) != 0))
        return at;
    at += 4;
    bytes_t rest = bytes_from(t.data + at, t.len - at);
    if (bytes_has_prefix(rest, BYTES_LIT("-13:")) || bytes_has_prefix(rest, BYTES_LIT("-10:")) ||
        bytes_has_prefix(rest, BYTES_LIT("-13 ")) || bytes_has_prefix(rest, BYTES_LIT("-10 ")))
        at += 4;
    while (at < t.len && (t.data[at] == ' ' || t.data[at] == ':'))
        at++;
    return at;
}

bool isbn_normalize(bytes_t text, char out[ISBN13_TEXT_BYTES])
{
    number_t n = take_number(text, label_length(text), ISBN13_DIGITS);
    for (size_t i = n.end; i < text.len; i++)
        if (text.data[i] != ' ')
            return false;
    return from_signs(n.signs, n.count, out);
}

/* A number of `digits` signs at `at` that is not the front part of a longer one. */
static bool number_at(bytes_t text, size_t at, size_t digits, char out[ISBN13_TEXT_BYTES], size_t *end)
{
    number_t n = take_number(text, at, digits);
    size_t len;
    if (n.count != digits || (n.end < text.len && sign_of(code_point(text, n.end, &len))))
        return false;
    *end = n.end;
    return from_signs(n.signs, n.count, out);
}

bool isbn_find(bytes_t text, char out[ISBN13_TEXT_BYTES], size_t *at, size_t *len)
{
    bool inside_number = false;
    for (size_t i = 0, step, end; i < text.len; i += step) {
        char sign = sign_of(code_point(text, i, &step));
        bool begins = sign && !inside_number;
        inside_number = sign != 0;
        if (!begins || (!number_at(text, i, ISBN13_DIGITS, out, &end) && !number_at(text, i, ISBN10_DIGITS, out, &end)))
            continue;
        if (at)
            *at = i;
        if (len)
            *len = end - i;
        return true;
    }
    return false;
}
