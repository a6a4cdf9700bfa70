/* legacy_time.h: moments as the old systems write them: Japan's time, no zone, each system its own way. */
#ifndef ERP_SIM_LEGACY_TIME_H
#define ERP_SIM_LEGACY_TIME_H

#include <stdint.h>

#define SIM_TIME_BYTES 40

typedef enum {
    SIM_TIME_SLASHES, /* 2025/11/08 09:30:00 */
    SIM_TIME_DASHES,  /* 2025-11-08 09:30:00 */
    SIM_DATE_SLASHES, /* 2025/11/08 */
    SIM_DATE_COMPACT, /* 20251108 */
} sim_time_style_t;

void sim_time_format(int64_t unix_s, sim_time_style_t style, char out[SIM_TIME_BYTES]);

/* A day, counted from 1970-01-01, as a date. */
void sim_day_format(int32_t day, sim_time_style_t style, char out[SIM_TIME_BYTES]);

#endif
