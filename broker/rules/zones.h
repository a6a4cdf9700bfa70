/* zones.h: the time zones that schedules may name: a table filled once, by whoever may read files.
 *
 * Pure, see pattern.h: the core is given the table and never looks for more. */
#ifndef BROKER_RULES_ZONES_H
#define BROKER_RULES_ZONES_H

#include "broker/rules/zone.h"

typedef struct zones zones_t; /* where a const zones_t is taken, NULL is one that knows UTC alone */

MUST_USE zones_t *zones_new(void); /* NULL: out of memory */
void zones_free(zones_t **zones);

/* Copies both. False when the bytes are no zone (zone.h), or memory is out. */
MUST_USE bool zones_add(zones_t *zones, bytes_t name, bytes_t tzif, error_t *err);
size_t zones_count(const zones_t *zones);

/* The zone of this name, for the caller to free; NULL for "UTC" and for the empty name. False (ValidationException)
 * when the table has none of this name. */
MUST_USE bool zones_open(const zones_t *zones, bytes_t name, zone_t **out, error_t *err);

#endif
