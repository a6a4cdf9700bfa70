/* timefmt.c: digits in and out; the calendar is civil.h's, so that no libc time zone takes part. */
#include "proto/timefmt.h"

#include "proto/civil.h"

#define US_PER_S INT64_C(1000000)

typedef struct {
    int year, month, day, hour, minute, second, us;
} civil_t;

static civil_t civil_from_us(int64_t unix_us)
{
    if (unix_us < TIMEFMT_MIN_US)
        unix_us = TIMEFMT_MIN_US;
    if (unix_us > TIMEFMT_MAX_US)
        unix_us = TIMEFMT_MAX_US;
    int64_t seconds = civil_floor_div(unix_us, US_PER_S);
    int64_t days = civil_floor_div(seconds, CIVIL_S_PER_DAY);
    int64_t rest = seconds - days * CIVIL_S_PER_DAY;
    civil_t c = {.hour = (int)(rest / 3600),
                 .minute = (int)(rest / 60 % 60),
                 .second = (int)(rest % 60),
                 .us = (int)(unix_us - seconds * US_PER_S)};
    civil_date_t date = civil_date(days);
    c.year = date.year;
    c.month = date.month;
    c.day = date.day;
    return c;
}

static void put_digits(char *out, int value, int digits)
{
    for (int i = digits - 1; i >= 0; i--, value /= 10)
        out[i] = (char)('0' + value % 10);
}

/* "YYYY-MM-DDThh:mm:ss", 19 characters. */
static void put_seconds(const civil_t *c, char *out)
{
    memcpy(out, "0000-00-00T00:00:00", 19);
    put_digits(out, c->year, 4);
    put_digits(out + 5, c->month, 2);
    put_digits(out + 8, c->day, 2);
    put_digits(out + 11, c->hour, 2);
    put_digits(out + 14, c->minute, 2);
    put_digits(out + 17, c->second, 2);
}

void timefmt_s(int64_t unix_us, char out[TIMEFMT_S_BYTES])
{
    civil_t c = civil_from_us(unix_us);
    put_seconds(&c, out);
    memcpy(out + 19, "Z", 2);
}

void timefmt_ms(int64_t unix_us, char out[TIMEFMT_MS_BYTES])
{
    civil_t c = civil_from_us(unix_us);
    put_seconds(&c, out);
    out[19] = '.';
    put_digits(out + 20, c.us / 1000, 3);
    memcpy(out + 23, "Z", 2);
}

void timefmt_us(int64_t unix_us, char out[TIMEFMT_US_BYTES])
{
    civil_t c = civil_from_us(unix_us);
    put_seconds(&c, out);
    out[19] = '.';
    put_digits(out + 20, c.us, 6);
    memcpy(out + 26, "Z", 2);
}

/* -- reading ------------------------------------------------------------------------------------ */

typedef struct {
    bytes_t text;
    size_t at;
} scan_t;

/* One character out of `any`, or nothing. */
static char take_char(scan_t *s, const char *any)
{
    if (s->at >= s->text.len)
        return 0;
    char c = (char)s->text.data[s->at];
    while (*any && *any != c)
        any++;
    s->at += *any != 0;
    return *any;
}

/* Two digits; 100 when they are none. */
static int two_digits(const uint8_t *p)
{
    unsigned tens = p[0] - (unsigned)'0', ones = p[1] - (unsigned)'0';
    return tens <= 9 && ones <= 9 ? (int)(10 * tens + ones) : 100;
}

/* "YYYY-MM-DD". */
static bool take_date(scan_t *s, civil_t *c)
{
    const uint8_t *p = s->text.data + s->at;
    if (s->text.len - s->at < 10 || p[4] != '-' || p[7] != '-')
        return false;
    int century = two_digits(p), year = two_digits(p + 2);
    c->year = 100 * century + year;
    c->month = two_digits(p + 5);
    c->day = two_digits(p + 8);
    s->at += 10;
    return century < 100 && year < 100 && c->year >= 1 && c->month >= 1 && c->month <= 12 && c->day >= 1 &&
           c->day <= civil_days_in_month(c->year, c->month);
}

static bool take_fraction(scan_t *s, int *us)
{
    if (!take_char(s, "."))
        return true;
    int digits = 0;
    for (char c; (c = take_char(s, "0123456789")) != 0; digits++)
        if (digits < 6)
            *us = *us * 10 + (c - '0');
    for (int i = digits; i < 6; i++)
        *us *= 10;
    return digits > 0;
}

/* "hh:mm:ss", where RFC 3339 leaves no choice. */
static bool take_time(scan_t *s, civil_t *c)
{
    const uint8_t *p = s->text.data + s->at;
    if (s->text.len - s->at < 8 || p[2] != ':' || p[5] != ':')
        return false;
    c->hour = two_digits(p);
    c->minute = two_digits(p + 3);
    c->second = two_digits(p + 6);
    s->at += 8;
    return c->hour <= 23 && c->minute <= 59 && c->second <= 60 && take_fraction(s, &c->us);
}

static bool take_offset(scan_t *s, int *seconds)
{
    char sign = take_char(s, "Zz+-");
    if (sign == 'Z' || sign == 'z')
        return true;
    const uint8_t *p = s->text.data + s->at;
    if (!sign || s->text.len - s->at < 5 || p[2] != ':')
        return false;
    int hour = two_digits(p), minute = two_digits(p + 3);
    s->at += 5;
    *seconds = (hour * 3600 + minute * 60) * (sign == '-' ? -1 : 1);
    return hour <= 23 && minute <= 59;
}

bool timefmt_parse(bytes_t text, int64_t *unix_us)
{
    scan_t s = {.text = text};
    civil_t c = {0};
    int offset = 0;
    if (!take_date(&s, &c) || !take_char(&s, "Tt") || !take_time(&s, &c) || !take_offset(&s, &offset) ||
        s.at != text.len)
        return false;
    int64_t seconds = civil_days(c.year, c.month, c.day) * CIVIL_S_PER_DAY + c.hour * 3600 + c.minute * 60 + c.second;
    int64_t us = (seconds - offset) * US_PER_S + c.us;
    if (us < TIMEFMT_MIN_US || us > TIMEFMT_MAX_US)
        return false;
    *unix_us = us;
    return true;
}

bool timefmt_parse_date(bytes_t text, int64_t *unix_us)
{
    scan_t s = {.text = text};
    civil_t c = {0};
    if (!take_date(&s, &c) || s.at != text.len)
        return false;
    if (unix_us)
        *unix_us = civil_days(c.year, c.month, c.day) * CIVIL_S_PER_DAY * US_PER_S;
    return true;
}
