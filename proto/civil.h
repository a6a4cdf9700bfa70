/* civil.h: dates of the Gregorian calendar to and from days since 1970-01-01; numbers alone, no clock, no time zone.
 *
 * Here and not in a .c file, because every event that is read has a time. Source: Howard Hinnant's public algorithm
 * (days from civil dates, by 400-year eras). */
#ifndef PROTO_CIVIL_H
#define PROTO_CIVIL_H

#include <stdbool.h>
#include <stdint.h>

#define CIVIL_S_PER_DAY INT64_C(86400)
#define CIVIL_DAYS_PER_ERA 146097  /* 400 years */
#define CIVIL_DAYS_TO_EPOCH 719468 /* from 0000-03-01 to 1970-01-01 */

typedef struct {
    int year, month, day; /* month 1 to 12, day 1 to 31 */
} civil_date_t;

/* a / b, rounded down. */
static inline int64_t civil_floor_div(int64_t a, int64_t b)
{
    return a / b - (a % b < 0);
}

/* Years are counted from March, so that the leap day ends a year. */
static inline int64_t civil_days(int year, int month, int day)
{
    int64_t y = year - (month <= 2);
    int64_t era = civil_floor_div(y, 400);
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    return era * CIVIL_DAYS_PER_ERA + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
           CIVIL_DAYS_TO_EPOCH;
}

static inline civil_date_t civil_date(int64_t days)
{
    days += CIVIL_DAYS_TO_EPOCH;
    int64_t era = civil_floor_div(days, CIVIL_DAYS_PER_ERA);
    int64_t day_of_era = days - era * CIVIL_DAYS_PER_ERA;
    int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month = (5 * day_of_year + 2) / 153;
    civil_date_t date = {.day = (int)(day_of_year - (153 * month + 2) / 5 + 1),
                         .month = (int)(month < 10 ? month + 3 : month - 9)};
    date.year = (int)(year_of_era + era * 400 + (date.month <= 2));
    return date;
}

static inline int civil_days_in_month(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* 0 for Sunday to 6 for Saturday; 1970-01-01 was a Thursday. */
static inline int civil_weekday(int64_t days)
{
    int64_t weekday = (days + 4) % 7;
    return (int)(weekday < 0 ? weekday + 7 : weekday);
}

#endif
