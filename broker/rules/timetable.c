/* timetable.c: reads an expression, and brings times on the wall to moments. */
#include "broker/rules/timetable.h"

#include "proto/civil.h"

#define US_PER_S INT64_C(1000000)
#define US_PER_MINUTE (60 * US_PER_S)

static bool bad(error_t *err, const char *why)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "%s", why);
}

/* -- reading ------------------------------------------------------------------------------------------- */
static bool inside(bytes_t text, bytes_t prefix, bytes_t *out)
{
    if (!bytes_has_prefix(text, prefix) || text.data[text.len - 1] != ')')
        return false;
    *out = bytes_from(text.data + prefix.len, text.len - prefix.len - 1);
    return true;
}

/* AWS: "minute" for 1, "minutes" for more. */
static bool unit_read(bytes_t unit, int64_t value, int64_t *us, error_t *err)
{
    static const struct {
        const char *one, *more;
        int64_t us;
    } units[] = {{"minute", "minutes", US_PER_MINUTE},
                 {"hour", "hours", 60 * US_PER_MINUTE},
                 {"day", "days", 1440 * US_PER_MINUTE}};
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        bool is_one = bytes_eq_cstr(unit, units[i].one);
        if (!is_one && !bytes_eq_cstr(unit, units[i].more))
            continue;
        *us = units[i].us;
        return is_one == (value == 1) ||
               bad(err, "the unit of a rate is singular for 1 and plural for any other value.");
    }
    return bad(err, "the unit of a rate must be minute, minutes, hour, hours, day or days.");
}

static bool rate_read(bytes_t text, timetable_t *out, error_t *err)
{
    int64_t value = 0, unit_us = 0;
    size_t at = 0, digits;
    for (; at < text.len && text.data[at] >= '0' && text.data[at] <= '9' && value <= TIMETABLE_RATE_MAX; at++)
        value = value * 10 + (text.data[at] - '0');
    digits = at;
    while (at < text.len && text.data[at] == ' ')
        at++;
    if (value < 1 || value > TIMETABLE_RATE_MAX || at == digits)
        return bad(err, "a rate is a whole number from 1 to 1000000, a space and a unit: rate(5 minutes).");
    if (!unit_read(bytes_from(text.data + at, text.len - at), value, &unit_us, err))
        return false;
    out->period_us = value * unit_us;
    return true;
}

static bool expression_read(bytes_t text, timetable_t *out, error_t *err)
{
    bytes_t rest;
    if (text.len > TIMETABLE_MAX_BYTES)
        return bad(err, "it has more than 256 characters.");
    if (!bytes_is_utf8(text, NULL))
        return bad(err, "it is no text.");
    if (inside(text, BYTES_LIT("rate("), &rest))
        return rate_read(rest, out, err);
    if (inside(text, BYTES_LIT("cron("), &rest))
        return cron_read(rest, &out->cron, err);
    return bad(err, "it must be rate(value unit) or cron(minutes hours day-of-month month day-of-week year).");
}

bool timetable_read(bytes_t expression, timetable_t *out, error_t *err)
{
    *out = (timetable_t){0};
    return expression_read(expression, out, err) ||
           error_prefix(err, "Parameter ScheduleExpression is not valid. Reason");
}

/* -- when ---------------------------------------------------------------------------------------------- */
static int64_t rate_next_us(int64_t period_us, int64_t began_us, int64_t after_us)
{
    int64_t done = after_us < began_us ? 0 : (after_us - began_us) / period_us;
    return began_us + (done + 1) * period_us;
}

static int64_t cron_next_us(const cron_t *cron, const zone_t *zone, int64_t after_us, int64_t until_us)
{
    int64_t after_s = civil_floor_div(after_us, US_PER_S), until_s = civil_floor_div(until_us, US_PER_S), due_s;
    int64_t wall_s = after_s + zone_span(zone, after_s).offset_s;
    while (cron_next(cron, wall_s, until_s + ZONE_OFFSET_MAX_S, &wall_s))
        if (zone_moment(zone, wall_s, &due_s) && due_s > after_s)
            return due_s <= until_s ? due_s * US_PER_S : TIMETABLE_NEVER;
    return TIMETABLE_NEVER;
}

static int64_t next_until_us(const timetable_t *t, const zone_t *zone, int64_t began_us, int64_t after_us,
                             int64_t until_us)
{
    if (!t->period_us)
        return cron_next_us(&t->cron, zone, after_us, until_us);
    int64_t next_us = rate_next_us(t->period_us, began_us, after_us);
    return next_us <= until_us ? next_us : TIMETABLE_NEVER;
}

int64_t timetable_next_us(const timetable_t *t, const zone_t *zone, int64_t began_us, int64_t after_us)
{
    return next_until_us(t, zone, began_us, after_us, INT64_MAX / 2);
}

/* By halving: what is due between can be many, the last of them is found in a few steps. */
int64_t timetable_last_us(const timetable_t *t, const zone_t *zone, int64_t began_us, int64_t after_us, int64_t at_us)
{
    int64_t last_us = TIMETABLE_NEVER, low_us = after_us, high_us = at_us;
    while (low_us < high_us) {
        int64_t next_us = next_until_us(t, zone, began_us, low_us, high_us);
        if (next_us == TIMETABLE_NEVER) {
            high_us = low_us;
        } else {
            last_us = next_us;
            int64_t middle_us = next_us + (high_us - next_us) / 2;
            bool is_behind = next_until_us(t, zone, began_us, middle_us, high_us) != TIMETABLE_NEVER;
            low_us = is_behind ? middle_us : next_us;
            high_us = is_behind ? high_us : middle_us;
        }
    }
    return last_us;
}
