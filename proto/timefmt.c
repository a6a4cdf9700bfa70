/* timefmt.c: civil dates by counting days in 400-year eras, so that no libc time zone takes part. */
#include "proto/timefmt.h"

#define US_PER_S INT64_C(1000000)
#define S_PER_DAY INT64_C(86400)
#define DAYS_PER_ERA 146097  /* 400 years */
#define DAYS_TO_EPOCH 719468 /* from 0000-03-01 to 1970-01-01 */

typedef struct {
    int year, month, day, hour, minute, second, us;
} civil_t;

static int64_t floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Years are counted from March, so that the leap day ends a year. */
static int64_t days_from_civil(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - DAYS_TO_EPOCH;
}

static void civil_from_days(int64_t days, civil_t *c)
{
    days += DAYS_TO_EPOCH;
    int64_t era = floor_div(days, DAYS_PER_ERA);
    int64_t day_of_era = days - era * DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    c->day = (int)(day_of_year - (153 * month + 2) / 5 + 1);
    c->month = (int)(month < 10 ? month + 3 : month - 9);
    c->year = (int)(year_of_era + era * 400 + (c->month <= 2));
}

static civil_t civil_from_us(int64_t unix_us)
{
    if (unix_us < TIMEFMT_MIN_US)
        unix_us = TIMEFMT_MIN_US;
    if (unix_us > TIMEFMT_MAX_US)
        unix_us = TIMEFMT_MAX_US;
    int64_t seconds = floor_div(unix_us, US_PER_S);
    int64_t days = floor_div(seconds, S_PER_DAY);
    int64_t rest = seconds - days * S_PER_DAY;
    civil_t c = {.hour = (int)(rest / 3600),
                 .minute = (int)(rest / 60 % 60),
                 .second = (int)(rest % 60),
                 .us = (int)(unix_us - seconds * US_PER_S)};
    civil_from_days(days, &c);
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

static int days_in_month(int year, int month)
{
    static const int DAYS[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return DAYS[month - 1] + (month == 2 && leap);
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
           c->day <= days_in_month(c->year, c->month);
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
    int64_t seconds = days_from_civil(c.year, c.month, c.day) * S_PER_DAY + c.hour * 3600 + c.minute * 60 + c.second;
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
        *unix_us = days_from_civil(c.year, c.month, c.day) * S_PER_DAY * US_PER_S;
    return true;
}
