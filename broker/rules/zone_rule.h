/* zone_rule.h: what a time zone does for ever after: the POSIX TZ text at the end of a TZif file, such as
 * "CET-1CEST,M3.5.0,M10.5.0/3".
 *
 * Source: POSIX.1-2017 §8.3 (TZ), with RFC 9636 §3.3.2's hours from -167 to 167. Pure, see pattern.h. */
#ifndef BROKER_RULES_ZONE_RULE_H
#define BROKER_RULES_ZONE_RULE_H

#include "proto/bytes.h"
#include "proto/status.h"

typedef enum {
    ZONE_DAY_JULIAN,  /* Jn: 1 to 365, February 29 is never counted */
    ZONE_DAY_OF_YEAR, /* n: 0 to 365 */
    ZONE_DAY_OF_WEEK, /* Mm.w.d: week 5 is the last */
} zone_day_kind_t;

typedef struct {
    zone_day_kind_t kind;
    int month, week, day;
    int32_t time_s; /* on the clock before the change */
} zone_change_t;

typedef struct {
    int32_t standard_s, summer_s; /* to be added to UTC */
    bool has_summer;
    zone_change_t begin, end; /* of summer time */
} zone_rule_t;

/* What holds at a moment, and up to when. */
typedef struct {
    int32_t offset_s; /* to be added to UTC */
    int64_t until_s;  /* Unix seconds; INT64_MAX: for ever */
} zone_span_t;

MUST_USE bool zone_rule_read(bytes_t text, zone_rule_t *out, error_t *err);
zone_span_t zone_rule_span(const zone_rule_t *rule, int64_t at_s);

#endif
