/* gate.c: quality gates. */
#include "services/sync-reconciler/gate.h"

#include "proto/timefmt.h"

#define REPLACEMENT_CHARACTER "\xEF\xBF\xBD" /* U+FFFD: somebody decoded with the wrong table */
#define DAY_US INT64_C(86400000000)
#define FUTURE_MAX_US (3 * 366 * DAY_US) /* announced three years ahead at most */
#define EPOCH_YEAR 1970
#define YEAR_US (INT64_C(31556952) * 1000000)

static bool contains(bytes_t text, const char *what)
{
    return text.len && memmem(text.data, text.len, what, strlen(what)) != NULL;
}

/* What the entry does not have is empty. */
static bool has_zero(bytes_t text)
{
    return text.len && memchr(text.data, 0, text.len) != NULL;
}

static bool is_blank(bytes_t text)
{
    static const char wide[] = "\xE3\x80\x80"; /* U+3000, the blank of Japanese keyboards */
    for (size_t i = 0; i < text.len;) {
        size_t left = text.len - i;
        if (left >= sizeof wide - 1 && memcmp(text.data + i, wide, sizeof wide - 1) == 0)
            i += sizeof wide - 1;
        else if (text.data[i] == ' ' || text.data[i] == '\t')
            i++;
        else
            return false;
    }
    return true;
}

static const char *date_check(const book_t *book, int64_t now_us)
{
    int64_t at;
    if (!book->has_published_on || !timefmt_parse_date(book->published_on, &at))
        return NULL;
    if (at > now_us + FUTURE_MAX_US)
        return "published_on: more than three years ahead";
    if (at < (GATE_YEAR_MIN - EPOCH_YEAR) * YEAR_US)
        return "published_on: before there was manga";
    return NULL;
}

const char *gate_check(const book_t *book, int64_t now_us)
{
    if (is_blank(book->title))
        return "title: blank";
    if (has_zero(book->title) || has_zero(book->title_kana) || has_zero(book->title_en) || has_zero(book->status))
        return "title: a zero byte, which no database keeps as text";
    if (contains(book->title, REPLACEMENT_CHARACTER))
        return "title: has characters that were lost in decoding";
    if (contains(book->title, "???"))
        return "title: question marks stand where characters were lost";
    if (book->has_price_jpy && book->price_jpy == 0)
        return "price_jpy: nothing is free";
    if (book->has_price_jpy && book->price_jpy > GATE_PRICE_MAX_JPY)
        return "price_jpy: above a million yen";
    for (uint32_t i = 0; book->has_creators && i < book->creators.count; i++)
        if (contains(book->creators.items[i], REPLACEMENT_CHARACTER))
            return "creators: have characters that were lost in decoding";
    return date_check(book, now_us);
}
