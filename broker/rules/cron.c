/* cron.c: reads the six fields into masks, and walks days. */
#include "broker/rules/cron.h"

#include "proto/civil.h"

#define FIELDS 6
#define NAME_BYTES 3
#define SHOWN_MAX 64 /* of a wrong field, in a message */
#define MINUTES_PER_DAY 1440
#define SATURDAY 6
#define NUMBER_MAX 9999

typedef enum { MINUTES, HOURS, DAY_OF_MONTH, MONTH, DAY_OF_WEEK, YEAR } which_t;

typedef struct {
    const char *name;
    int least, most;
    const char *names; /* three letters each, from `least` on; NULL: numbers alone */
    bool has_step;
    const char *wanted;
} field_spec_t;

static const field_spec_t specs[FIELDS] = {
    {"minutes", 0, 59, NULL, true, "0 to 59, with , - * /"},
    {"hours", 0, 23, NULL, true, "0 to 23, with , - * /"},
    {"day-of-month", 1, 31, NULL, true, "1 to 31, with , - * ? / L W"},
    {"month", 1, 12, "JANFEBMARAPRMAYJUNJULAUGSEPOCTNOVDEC", true, "1 to 12 or JAN to DEC, with , - * /"},
    {"day-of-week", 1, 7, "SUNMONTUEWEDTHUFRISAT", false, "1 to 7 or SUN to SAT, with , - * ? L #"},
    {"year", CRON_YEAR_MIN, CRON_YEAR_MAX, NULL, true, "1970 to 2199, with , - * /"},
};

/* -- masks --------------------------------------------------------------------------------------------- */
static void mask_set(cron_mask_t *mask, int bit)
{
    mask->bits[bit / 64] |= UINT64_C(1) << (bit % 64);
}

static bool mask_has(const cron_mask_t *mask, int bit)
{
    return mask->bits[bit / 64] >> (bit % 64) & 1;
}

/* -- one field ----------------------------------------------------------------------------------------- */
typedef struct {
    const field_spec_t *spec;
    bytes_t text;
    size_t at;
} field_t;

static bool bad(const field_t *f, const char *why, error_t *err)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "field %d of cron (%s), \"%.*s\": %s; it may hold %s.", (int)(f->spec - specs) + 1, f->spec->name,
                     (int)(f->text.len < SHOWN_MAX ? f->text.len : SHOWN_MAX), (const char *)f->text.data, why,
                     f->spec->wanted);
}

static bool take(field_t *f, uint8_t wanted)
{
    bool is = f->at < f->text.len && f->text.data[f->at] == wanted;
    f->at += is;
    return is;
}

static bool at_end(const field_t *f)
{
    return f->at == f->text.len;
}

static bool letters_equal(const uint8_t *text, const char *name)
{
    for (int i = 0; i < NAME_BYTES; i++)
        if ((text[i] & ~0x20) != (uint8_t)name[i])
            return false;
    return true;
}

static bool take_name(field_t *f, int *out)
{
    for (int i = 0; f->spec->names && f->text.len - f->at >= NAME_BYTES && i <= f->spec->most - f->spec->least; i++)
        if (letters_equal(f->text.data + f->at, f->spec->names + i * NAME_BYTES)) {
            f->at += NAME_BYTES;
            *out = f->spec->least + i;
            return true;
        }
    return false;
}

static bool take_number(field_t *f, int *out)
{
    size_t begin = f->at;
    *out = 0;
    for (; f->at < f->text.len && f->text.data[f->at] >= '0' && f->text.data[f->at] <= '9'; f->at++)
        *out = *out > NUMBER_MAX ? *out : *out * 10 + (f->text.data[f->at] - '0');
    return f->at > begin;
}

static bool take_value(field_t *f, int *out, error_t *err)
{
    if (!take_name(f, out) && !take_number(f, out))
        return bad(f, at_end(f) ? "a value is missing" : "a character does not belong there", err);
    return (*out >= f->spec->least && *out <= f->spec->most) || bad(f, "a value is out of range", err);
}

static bool take_step(field_t *f, int *step, error_t *err)
{
    if (!f->spec->has_step)
        return bad(f, "it takes no steps (/)", err);
    return (take_number(f, step) && *step >= 1 && *step <= f->spec->most) ||
           bad(f, "a step (/) must be a number from 1 to the field's largest value", err);
}

/* `*`, `a`, `a-b`, each with `/n` behind it; `a/n` goes on to the end. */
static bool take_item(field_t *f, cron_mask_t *mask, error_t *err)
{
    int from = f->spec->least, to = f->spec->most, step = 1;
    bool is_one = !take(f, '*');
    if (is_one && !take_value(f, &from, err))
        return false;
    if (is_one && take(f, '-')) {
        is_one = false;
        if (!take_value(f, &to, err))
            return false;
        if (to < from)
            return bad(f, "a range ends before it begins; give its two parts with a comma", err);
    }
    bool has_step = take(f, '/');
    if (has_step && !take_step(f, &step, err))
        return false;
    if (is_one && !has_step)
        to = from;
    for (int value = from; value <= to; value += step)
        mask_set(mask, value - f->spec->least);
    return true;
}

static bool take_list(field_t *f, cron_mask_t *mask, error_t *err)
{
    do {
        if (!take_item(f, mask, err))
            return false;
    } while (take(f, ','));
    return at_end(f) || bad(f, "a character does not belong there", err);
}

/* -- days ---------------------------------------------------------------------------------------------- */
static bool day_of_month_read(field_t *f, cron_t *out, error_t *err)
{
    if (bytes_eq_cstr(f->text, "L")) {
        out->day_kind = CRON_LAST_DAY;
        return true;
    }
    if (f->text.data[f->text.len - 1] == 'W') {
        out->day_kind = CRON_NEAR_WEEKDAY;
        return take_value(f, &out->day, err) &&
               (f->at == f->text.len - 1 || bad(f, "W stands behind one single day", err));
    }
    out->day_kind = CRON_DAYS_OF_MONTH;
    return take_list(f, &out->days, err);
}

static bool day_of_week_read(field_t *f, cron_t *out, error_t *err)
{
    if (bytes_eq_cstr(f->text, "L")) {
        out->day_kind = CRON_DAYS_OF_WEEK;
        mask_set(&out->weekdays, SATURDAY);
        return true;
    }
    field_t ahead = *f;
    error_t ignored;
    if (take_value(&ahead, &out->day, &ignored)) {
        out->day -= f->spec->least;
        if (take(&ahead, 'L')) {
            out->day_kind = CRON_LAST_WEEKDAY;
            return at_end(&ahead) || bad(f, "L stands behind one single day", err);
        }
        if (take(&ahead, '#')) {
            out->day_kind = CRON_NTH_WEEKDAY;
            return (take_number(&ahead, &out->nth) && out->nth >= 1 && out->nth <= 5 && at_end(&ahead)) ||
                   bad(f, "# stands alone, between a day and the week 1 to 5", err);
        }
    }
    out->day_kind = CRON_DAYS_OF_WEEK;
    return take_list(f, &out->weekdays, err);
}

static bool days_read(field_t fields[FIELDS], cron_t *out, error_t *err)
{
    bool no_day = bytes_eq_cstr(fields[DAY_OF_MONTH].text, "?"),
         no_weekday = bytes_eq_cstr(fields[DAY_OF_WEEK].text, "?");
    if (no_day == no_weekday)
        return error_set(
            err, STATUS_INVALID_ARGUMENT, "ValidationException",
            "fields 3 and 5 of cron (day-of-month, day-of-week): one of the two, and only one, must be ?.");
    return no_weekday ? day_of_month_read(&fields[DAY_OF_MONTH], out, err)
                      : day_of_week_read(&fields[DAY_OF_WEEK], out, err);
}

/* -- all of it ----------------------------------------------------------------------------------------- */
static bool fields_split(bytes_t text, field_t fields[FIELDS], error_t *err)
{
    size_t count = 0, at = 0;
    while (at < text.len) {
        size_t begin = at;
        while (at < text.len && text.data[at] != ' ')
            at++;
        if (at > begin && count < FIELDS)
            fields[count] = (field_t){.spec = &specs[count], .text = bytes_from(text.data + begin, at - begin)};
        count += at > begin;
        at += at < text.len;
    }
    return count == FIELDS ||
           error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "cron has %zu fields and must have 6: minutes hours day-of-month month day-of-week year.", count);
}

bool cron_read(bytes_t text, cron_t *out, error_t *err)
{
    field_t fields[FIELDS];
    int64_t first_s;
    *out = (cron_t){0};
    if (!fields_split(text, fields, err) || !take_list(&fields[MINUTES], &out->minutes, err) ||
        !take_list(&fields[HOURS], &out->hours, err) || !take_list(&fields[MONTH], &out->months, err) ||
        !take_list(&fields[YEAR], &out->years, err) || !days_read(fields, out, err))
        return false;
    return cron_next(out, -1, INT64_MAX, &first_s) ||
           error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "no day fits fields 3 to 6 of cron: it would never fire.");
}

/* -- looking for the next -------------------------------------------------------------------------------- */
/* Saturday goes to the day before and Sunday to the day behind, but never out of the month. */
static int near_weekday(int day, int64_t days, int in_month)
{
    int weekday = civil_weekday(days);
    if (weekday == SATURDAY)
        return day == 1 ? 3 : day - 1;
    if (weekday == 0)
        return day == in_month ? day - 2 : day + 1;
    return day;
}

static bool day_fits(const cron_t *cron, int64_t days, civil_date_t date)
{
    int in_month = civil_days_in_month(date.year, date.month), weekday = civil_weekday(days);
    switch (cron->day_kind) {
    case CRON_DAYS_OF_MONTH:
        return mask_has(&cron->days, date.day - 1);
    case CRON_LAST_DAY:
        return date.day == in_month;
    case CRON_NEAR_WEEKDAY:
        return cron->day <= in_month &&
               date.day == near_weekday(cron->day, civil_days(date.year, date.month, cron->day), in_month);
    case CRON_DAYS_OF_WEEK:
        return mask_has(&cron->weekdays, weekday);
    case CRON_NTH_WEEKDAY:
        return weekday == cron->day && (date.day - 1) / 7 + 1 == cron->nth;
    case CRON_LAST_WEEKDAY:
        return weekday == cron->day && date.day + 7 > in_month;
    }
    return false;
}

/* From this minute of the day on; -1 when the rest of the day has none. */
static int minute_next(const cron_t *cron, int minute)
{
    for (int hour = minute / 60; hour < 24; hour++, minute = hour * 60)
        for (int m = minute % 60; mask_has(&cron->hours, hour) && m < 60; m++)
            if (mask_has(&cron->minutes, m))
                return hour * 60 + m;
    return -1;
}

/* The day itself, or the first of the next month or year when none of this one fits. */
static int64_t day_skip(const cron_t *cron, int64_t days, civil_date_t date)
{
    if (date.year < CRON_YEAR_MIN || !mask_has(&cron->years, date.year - CRON_YEAR_MIN))
        return civil_days(date.year < CRON_YEAR_MIN ? CRON_YEAR_MIN : date.year + 1, 1, 1);
    if (!mask_has(&cron->months, date.month - 1))
        return civil_days(date.year, date.month, 1) + civil_days_in_month(date.year, date.month);
    return days;
}

bool cron_next(const cron_t *cron, int64_t after_s, int64_t until_s, int64_t *next_s)
{
    const int64_t last_day = civil_days(CRON_YEAR_MAX, 12, 31);
    int64_t minutes = civil_floor_div(after_s, 60) + 1;
    int64_t day = civil_floor_div(minutes, MINUTES_PER_DAY);
    int minute = (int)(minutes - day * MINUTES_PER_DAY);
    while (day <= last_day && day <= civil_floor_div(until_s, CIVIL_S_PER_DAY)) {
        civil_date_t date = civil_date(day);
        int64_t skipped = day_skip(cron, day, date);
        int found = skipped == day && day_fits(cron, day, date) ? minute_next(cron, minute) : -1;
        if (found >= 0) {
            *next_s = day * CIVIL_S_PER_DAY + found * INT64_C(60);
            return *next_s <= until_s;
        }
        day = skipped == day ? day + 1 : skipped;
        minute = 0;
    }
    return false;
}
