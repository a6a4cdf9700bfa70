/* fuzz_timetable.c: any expression in any zone: nothing breaks, and moments come in order.
 *
 * The input is the expression, a zero byte, and the bytes of a time zone file (none: UTC). */
#include <stdlib.h>

#include "broker/rules/timetable.h"

#define FROM_US (INT64_C(1774000000) * 1000000) /* March 2026 */
#define STEPS 8

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void walk(const timetable_t *t, const zone_t *zone)
{
    int64_t us = FROM_US, last_us = TIMETABLE_NEVER;
    for (int i = 0; i < STEPS; i++) {
        int64_t next_us = timetable_next_us(t, zone, FROM_US, us);
        if (next_us == TIMETABLE_NEVER)
            break;
        if (next_us <= us)
            abort();
        us = last_us = next_us;
    }
    if (timetable_last_us(t, zone, FROM_US, FROM_US, us) != last_us)
        abort();
}

static void read_zone_alone(bytes_t tzif)
{
    int64_t at_s;
    zone_t *zone = zone_read(tzif, NULL);
    if (!zone)
        return;
    if (zone_moment(zone, FROM_US / 1000000, &at_s) && at_s + zone_span(zone, at_s).offset_s != FROM_US / 1000000)
        abort();
    zone_free(&zone);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    timetable_t t;
    error_t err = {0};
    const uint8_t *zero = size ? memchr(data, 0, size) : NULL;
    size_t len = zero ? (size_t)(zero - data) : size;
    bytes_t tzif = zero ? bytes_from(zero + 1, size - len - 1) : BYTES_NONE;
    read_zone_alone(tzif);
    if (!timetable_read(bytes_from(data, len), &t, &err)) {
        if (err.code == STATUS_OK)
            abort();
        return 0;
    }
    zone_t *zone = zone_read(tzif, NULL);
    walk(&t, zone);
    zone_free(&zone);
    return 0;
}
