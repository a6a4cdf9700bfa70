/* cron.h: the six fields of EventBridge's cron(): minutes hours day-of-month month day-of-week year.
 *
 *     minutes 0-59 , - * /      hours 0-23 , - * /      day-of-month 1-31 , - * ? / L W
 *     month 1-12 or JAN-DEC , - * /      day-of-week 1-7 or SUN-SAT , - * ? L #      year 1970-2199 , - * /
 *
 * Times here are on the wall: seconds since 1970-01-01T00:00:00 of a clock that knows no zone. What the documents do
 * not name (ranges that wrap around, LW, L-3) is refused, so that what is taken here is taken there. Source: the user
 * guides of EventBridge ("Cron expressions") and EventBridge Scheduler ("Cron-based schedules"). Pure, see pattern.h.
 */
#ifndef BROKER_RULES_CRON_H
#define BROKER_RULES_CRON_H

#include "proto/bytes.h"
#include "proto/status.h"

#define CRON_YEAR_MIN 1970
#define CRON_YEAR_MAX 2199
#define CRON_MASK_WORDS 4 /* a bit for each value of the largest field, the years */

typedef struct {
    uint64_t bits[CRON_MASK_WORDS]; /* value minus the field's least */
} cron_mask_t;

typedef enum {
    CRON_DAYS_OF_MONTH,
    CRON_LAST_DAY,     /* L of the month */
    CRON_NEAR_WEEKDAY, /* nW: the weekday nearest to day n, in its month */
    CRON_DAYS_OF_WEEK,
    CRON_NTH_WEEKDAY,  /* n#k */
    CRON_LAST_WEEKDAY, /* nL */
} cron_day_kind_t;

typedef struct {
    cron_mask_t minutes, hours, days, months, weekdays, years; /* days or weekdays, by day_kind */
    cron_day_kind_t day_kind;
    int day; /* of CRON_NEAR_WEEKDAY 1 to 31; of CRON_NTH_WEEKDAY and _LAST_WEEKDAY 0 (Sunday) to 6 */
    int nth; /* of CRON_NTH_WEEKDAY, 1 to 5 */
} cron_t;

/* Reads what stands between the parentheses. A refusal names the field, what it says and what it may say. */
MUST_USE bool cron_read(bytes_t fields, cron_t *out, error_t *err);

/* The first minute that fits after `after_s` and not behind `until_s`; false when there is none. */
MUST_USE bool cron_next(const cron_t *cron, int64_t after_s, int64_t until_s, int64_t *next_s);

#endif
