/* zones.c: names and the bytes of their files, read again for each schedule: there are few. */
#include "broker/rules/zones.h"

#include <stdlib.h>

#define SHOWN_MAX 64 /* of an unknown name, in a message */

typedef struct {
    size_t name_at, name_len, at, len; /* in bytes */
} entry_t;

struct zones {
    buf_t bytes;
    entry_t *entries;
    size_t count, cap;
};

zones_t *zones_new(void)
{
    return calloc(1, sizeof(zones_t));
}

void zones_free(zones_t **zones)
{
    if (*zones) {
        buf_free(&(*zones)->bytes);
        free((*zones)->entries);
    }
    free(*zones);
    *zones = NULL;
}

size_t zones_count(const zones_t *zones)
{
    return zones ? zones->count : 0;
}

static bool room_make(zones_t *zones)
{
    if (zones->count < zones->cap)
        return true;
    size_t cap = zones->cap ? zones->cap * 2 : 64;
    entry_t *entries = reallocarray(zones->entries, cap, sizeof *entries);
    if (!entries)
        return false;
    zones->entries = entries;
    zones->cap = cap;
    return true;
}

bool zones_add(zones_t *zones, bytes_t name, bytes_t tzif, error_t *err)
{
    zone_t *zone = zone_read(tzif, err);
    if (!zone)
        return error_prefix(err, "Time zone %.*s", BYTES_FMT(name));
    zone_free(&zone);
    entry_t entry = {zones->bytes.len, name.len, zones->bytes.len + name.len, tzif.len};
    buf_append_bytes(&zones->bytes, name);
    buf_append_bytes(&zones->bytes, tzif);
    if (zones->bytes.failed || !room_make(zones))
        return error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for the time zones.");
    zones->entries[zones->count++] = entry;
    return true;
}

bool zones_open(const zones_t *zones, bytes_t name, zone_t **out, error_t *err)
{
    *out = NULL;
    if (!name.len || bytes_eq_cstr(name, "UTC"))
        return true;
    for (size_t i = 0; i < zones_count(zones); i++) {
        const entry_t *e = &zones->entries[i];
        const uint8_t *bytes = zones->bytes.data;
        if (!bytes_eq(name, bytes_from(bytes + e->name_at, e->name_len)))
            continue;
        *out = zone_read(bytes_from(bytes + e->at, e->len), err);
        return *out != NULL;
    }
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException",
                     "Parameter ScheduleExpressionTimezone is not valid. Reason: there is no time zone \"%.*s\" among "
                     "the %zu that are known here.",
                     (int)(name.len < SHOWN_MAX ? name.len : SHOWN_MAX), (const char *)name.data, zones_count(zones));
}
