/* legacy_time.c: a civil date by gmtime, nine hours ahead. */
#include "tools/sims/erp-sim/legacy_time.h"

#include <stdio.h>
#include <time.h>

#define JAPAN_OFFSET_S 32400
#define S_PER_DAY INT64_C(86400)

static void civil_format(int64_t civil_s, sim_time_style_t style, char out[SIM_TIME_BYTES])
{
    struct tm t;
    time_t moment = (time_t)civil_s;
    (void)gmtime_r(&moment, &t);
    int year = t.tm_year + 1900, month = t.tm_mon + 1, hour = t.tm_hour, minute = t.tm_min, second = t.tm_sec;
    switch (style) {
    case SIM_TIME_SLASHES:
        (void)snprintf(out, SIM_TIME_BYTES, "%04d/%02d/%02d %02d:%02d:%02d", year, month, t.tm_mday, hour, minute,
                       second);
        break;
    case SIM_TIME_DASHES:
        (void)snprintf(out, SIM_TIME_BYTES, "%04d-%02d-%02d %02d:%02d:%02d", year, month, t.tm_mday, hour, minute,
                       second);
        break;
    case SIM_DATE_SLASHES:
        (void)snprintf(out, SIM_TIME_BYTES, "%04d/%02d/%02d", year, month, t.tm_mday);
        break;
    case SIM_DATE_COMPACT:
        (void)snprintf(out, SIM_TIME_BYTES, "%04d%02d%02d", year, month, t.tm_mday);
        break;
    }
}

void sim_time_format(int64_t unix_s, sim_time_style_t style, char out[SIM_TIME_BYTES])
{
    civil_format(unix_s + JAPAN_OFFSET_S, style, out);
}

void sim_day_format(int32_t day, sim_time_style_t style, char out[SIM_TIME_BYTES])
{
    civil_format(day * S_PER_DAY, style, out);
}
