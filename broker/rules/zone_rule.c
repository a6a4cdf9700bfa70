/* zone_rule.c: reads a POSIX TZ text, and finds the changes of a year by it. */
#include "broker/rules/zone_rule.h"

#include "proto/civil.h"

#define S_PER_HOUR 3600
#define HOURS_MAX 24         /* of an offset */
#define CHANGE_HOURS_MAX 167 /* of the time of a change */
#define NAME_MIN 3
#define DEFAULT_CHANGE_S (2 * S_PER_HOUR)

/* -- reading ------------------------------------------------------------------------------------------- */
typedef struct {
    bytes_t text;
    size_t at;
} cursor_t;

static bool is_letter(uint8_t c)
{
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static uint8_t peek(const cursor_t *c)
{
    return c->at < c->text.len ? c->text.data[c->at] : 0;
}

static bool take(cursor_t *c, uint8_t wanted)
{
    bool is = peek(c) == wanted;
    c->at += is;
    return is;
}

static bool take_number(cursor_t *c, int most, int *out)
{
    size_t begin = c->at;
    *out = 0;
    for (; is_digit(peek(c)) && *out <= most; c->at++)
        *out = *out * 10 + (peek(c) - '0');
    return c->at > begin && *out <= most;
}

static bool take_name(cursor_t *c)
{
    size_t begin = c->at;
    if (take(c, '<')) {
        while (is_letter(peek(c)) || is_digit(peek(c)) || peek(c) == '+' || peek(c) == '-')
            c->at++;
        return c->at - begin > NAME_MIN && take(c, '>');
    }
    while (is_letter(peek(c)))
        c->at++;
    return c->at - begin >= NAME_MIN;
}

/* [+-]hh[:mm[:ss]] */
static bool take_time(cursor_t *c, int hours_max, int32_t *out)
{
    bool minus = take(c, '-');
    int hours, minutes = 0, seconds = 0;
    if (!minus)
        (void)take(c, '+');
    if (!take_number(c, hours_max, &hours))
        return false;
    if (take(c, ':') && (!take_number(c, 59, &minutes) || (take(c, ':') && !take_number(c, 59, &seconds))))
        return false;
    *out = (hours * S_PER_HOUR + minutes * 60 + seconds) * (minus ? -1 : 1);
    return true;
}

static bool take_day(cursor_t *c, zone_change_t *out)
{
    if (take(c, 'M')) {
        out->kind = ZONE_DAY_OF_WEEK;
        return take_number(c, 12, &out->month) && out->month >= 1 && take(c, '.') && take_number(c, 5, &out->week) &&
               out->week >= 1 && take(c, '.') && take_number(c, 6, &out->day);
    }
    out->kind = take(c, 'J') ? ZONE_DAY_JULIAN : ZONE_DAY_OF_YEAR;
    return take_number(c, 365, &out->day) && (out->kind == ZONE_DAY_OF_YEAR || out->day >= 1);
}

static bool take_change(cursor_t *c, zone_change_t *out)
{
    out->time_s = DEFAULT_CHANGE_S;
    return take(c, ',') && take_day(c, out) && (!take(c, '/') || take_time(c, CHANGE_HOURS_MAX, &out->time_s));
}

static bool take_summer(cursor_t *c, zone_rule_t *out)
{
    out->has_summer = true;
    out->summer_s = out->standard_s + S_PER_HOUR;
    if (!take_name(c))
        return false;
    if (peek(c) != ',') {
        if (!take_time(c, HOURS_MAX, &out->summer_s))
            return false;
        out->summer_s = -out->summer_s; /* POSIX counts westward */
    }
    return take_change(c, &out->begin) && take_change(c, &out->end);
}

bool zone_rule_read(bytes_t text, zone_rule_t *out, error_t *err)
{
    cursor_t c = {.text = text};
    *out = (zone_rule_t){0};
    bool ok = take_name(&c) && take_time(&c, HOURS_MAX, &out->standard_s);
    out->standard_s = -out->standard_s;
    ok = ok && (c.at == text.len || take_summer(&c, out)) && c.at == text.len;
    return ok || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "Its rule for the future is wrong at character %zu.",
                           c.at + 1);
}

/* -- changes ------------------------------------------------------------------------------------------- */
static int64_t change_day(const zone_change_t *c, int year)
{
    int64_t january = civil_days(year, 1, 1);
    if (c->kind == ZONE_DAY_OF_YEAR)
        return january + c->day;
    if (c->kind == ZONE_DAY_JULIAN)
        return january + c->day - 1 + (c->day > 59 && civil_days_in_month(year, 2) == 29);
    int64_t first = civil_days(year, c->month, 1);
    int64_t day = first + (c->day - civil_weekday(first) + 7) % 7 + 7 * (int64_t)(c->week - 1);
    return day >= first + civil_days_in_month(year, c->month) ? day - 7 : day;
}

static void span_see(zone_span_t *span, int64_t *newest, int64_t at_s, int64_t change_s, int32_t offset_s)
{
    if (change_s > at_s) {
        if (change_s < span->until_s)
            span->until_s = change_s;
    } else if (change_s >= *newest) {
        *newest = change_s;
        span->offset_s = offset_s;
    }
}

/* Summer time that lasts all year ends in the moment in which it begins: the later of the two counts. */
zone_span_t zone_rule_span(const zone_rule_t *rule, int64_t at_s)
{
    zone_span_t span = {.offset_s = rule->standard_s, .until_s = INT64_MAX};
    if (!rule->has_summer)
        return span;
    int64_t newest = INT64_MIN;
    int year = civil_date(civil_floor_div(at_s, CIVIL_S_PER_DAY)).year;
    for (int y = year - 1; y <= year + 1; y++) {
        int64_t begin_s = change_day(&rule->begin, y) * CIVIL_S_PER_DAY + rule->begin.time_s - rule->standard_s;
        int64_t end_s = change_day(&rule->end, y) * CIVIL_S_PER_DAY + rule->end.time_s - rule->summer_s;
        span_see(&span, &newest, at_s, begin_s, rule->summer_s);
        span_see(&span, &newest, at_s, end_s, rule->standard_s);
    }
    return span;
}
