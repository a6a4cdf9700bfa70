/* zone.h: a time zone of the IANA database: which offset holds when, and which moment a clock on the wall means.
 *
 * Read from the bytes of a TZif file that somebody else has opened: nothing here touches a file, a clock or an
 * environment, so the same bytes give the same moments. Source: RFC 9636 (TZif). Pure, see pattern.h. */
#ifndef BROKER_RULES_ZONE_H
#define BROKER_RULES_ZONE_H

#include "broker/rules/zone_rule.h"

#define ZONE_FILE_MAX_BYTES ((size_t)64 << 10) /* the largest of the database has 4 KiB */
#define ZONE_TRANSITIONS_MAX 4096u
#define ZONE_OFFSET_MAX_S (26 * 3600) /* RFC 9636 §3.2 */

typedef struct zone zone_t; /* where a zone_t is taken, NULL is UTC */

/* Refuses what is no TZif file of version 2 or above, counts leap seconds, or is damaged. */
MUST_USE zone_t *zone_read(bytes_t tzif, error_t *err);
void zone_free(zone_t **zone);

zone_span_t zone_span(const zone_t *zone, int64_t at_s);

/* The first moment at which clocks show `local_s` (seconds since 1970-01-01T00:00:00 on the wall). False when none
 * does, because they were put forward over it. */
MUST_USE bool zone_moment(const zone_t *zone, int64_t local_s, int64_t *at_s);

#endif
