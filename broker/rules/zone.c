/* zone.c: reads TZif, and looks moments up in it. */
#include "broker/rules/zone.h"

#include <stdlib.h>

#define HEADER_BYTES 44
#define TYPE_BYTES 6
#define TYPES_MAX 256u
#define V1_TIME_BYTES 4
#define V2_TIME_BYTES 8

typedef struct {
    int64_t at_s;
    int32_t offset_s; /* from then on */
} transition_t;

struct zone {
    int32_t first_s; /* offset before the first transition */
    uint32_t count;
    bool has_rule; /* for what comes behind the last one */
    zone_rule_t rule;
    transition_t transitions[];
};

/* -- reading ------------------------------------------------------------------------------------------- */
typedef struct {
    uint32_t utc, standard, leaps, times, types, chars;
    size_t block; /* offset of what follows the header */
    size_t bytes; /* of that */
} part_t;

static uint64_t big_endian(const uint8_t *p, size_t bytes)
{
    uint64_t value = 0;
    for (size_t i = 0; i < bytes; i++)
        value = value << 8 | p[i];
    return value;
}

static bool broken(error_t *err, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "No time zone file: %s.", what);
}

static bool part_read(bytes_t file, size_t at, size_t time_bytes, part_t *out, error_t *err)
{
    if (file.len < at + HEADER_BYTES || memcmp(file.data + at, "TZif", 4) != 0)
        return broken(err, "it does not begin as one, or is cut");
    uint32_t *counts[] = {&out->utc, &out->standard, &out->leaps, &out->times, &out->types, &out->chars};
    for (size_t i = 0; i < ARRAY_LEN(counts); i++) {
        *counts[i] = (uint32_t)big_endian(file.data + at + 20 + 4 * i, 4);
        if (*counts[i] > ZONE_FILE_MAX_BYTES)
            return broken(err, "it is larger than any zone is");
    }
    out->block = at + HEADER_BYTES;
    out->bytes = out->times * (time_bytes + 1) + (size_t)out->types * TYPE_BYTES + out->chars +
                 out->leaps * (time_bytes + 4) + out->standard + out->utc;
    return file.len - out->block >= out->bytes || broken(err, "it is cut");
}

static bool part_check(const part_t *part, error_t *err)
{
    if (part->leaps)
        return broken(err, "it counts leap seconds, which Unix time does not");
    return (part->types >= 1 && part->types <= TYPES_MAX && part->times <= ZONE_TRANSITIONS_MAX) ||
           broken(err, "its counts cannot be");
}

static bool offset_read(bytes_t file, const part_t *part, uint32_t type, int32_t *out)
{
    if (type >= part->types)
        return false;
    size_t types = part->block + part->times * (size_t)(V2_TIME_BYTES + 1);
    *out = (int32_t)big_endian(file.data + types + (size_t)type * TYPE_BYTES, 4);
    return *out >= -ZONE_OFFSET_MAX_S && *out <= ZONE_OFFSET_MAX_S;
}

static bool transitions_read(zone_t *zone, bytes_t file, const part_t *part)
{
    const uint8_t *times = file.data + part->block, *types = times + part->times * (size_t)V2_TIME_BYTES;
    for (; zone->count < part->times; zone->count++) {
        transition_t *t = &zone->transitions[zone->count];
        t->at_s = (int64_t)big_endian(times + zone->count * (size_t)V2_TIME_BYTES, V2_TIME_BYTES);
        if ((zone->count && t->at_s <= t[-1].at_s) || !offset_read(file, part, types[zone->count], &t->offset_s))
            return false;
    }
    return offset_read(file, part, 0, &zone->first_s);
}

/* Between two line feeds; an empty one says that nobody knows. */
static bool footer_read(zone_t *zone, bytes_t file, const part_t *part, error_t *err)
{
    size_t begin = part->block + part->bytes + 1, end = begin;
    if (begin > file.len || file.data[begin - 1] != '\n')
        return broken(err, "its footer is missing");
    while (end < file.len && file.data[end] != '\n')
        end++;
    if (end == file.len)
        return broken(err, "its footer is cut");
    zone->has_rule = end > begin;
    return !zone->has_rule || zone_rule_read(bytes_from(file.data + begin, end - begin), &zone->rule, err);
}

static zone_t *zone_fill(bytes_t file, const part_t *part, error_t *err)
{
    zone_t *zone = calloc(1, sizeof *zone + part->times * sizeof zone->transitions[0]);
    bool ok = zone || error_set(err, STATUS_RESOURCE_EXHAUSTED, NULL, "Out of memory for a time zone.");
    if (ok && !transitions_read(zone, file, part))
        ok = broken(err, "its transitions cannot be");
    ok = ok && footer_read(zone, file, part, err);
    if (!ok)
        zone_free(&zone);
    return zone;
}

/* The first part has 32-bit times, for readers of long ago. */
zone_t *zone_read(bytes_t tzif, error_t *err)
{
    part_t part;
    if (tzif.len > ZONE_FILE_MAX_BYTES || !part_read(tzif, 0, V1_TIME_BYTES, &part, err)) {
        if (tzif.len > ZONE_FILE_MAX_BYTES)
            (void)broken(err, "it is larger than any zone is");
        return NULL;
    }
    if (tzif.data[4] < '2') {
        (void)broken(err, "it is of version 1, which ends in 2037");
        return NULL;
    }
    if (!part_read(tzif, part.block + part.bytes, V2_TIME_BYTES, &part, err) || !part_check(&part, err))
        return NULL;
    return zone_fill(tzif, &part, err);
}

void zone_free(zone_t **zone)
{
    free(*zone);
    *zone = NULL;
}

/* -- looking up ---------------------------------------------------------------------------------------- */
/* How many transitions are at or before the moment. */
static uint32_t transitions_before(const zone_t *zone, int64_t at_s)
{
    uint32_t low = 0, high = zone->count;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (zone->transitions[middle].at_s <= at_s)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

zone_span_t zone_span(const zone_t *zone, int64_t at_s)
{
    if (!zone)
        return (zone_span_t){.until_s = INT64_MAX};
    uint32_t before = transitions_before(zone, at_s);
    if (before == zone->count && zone->has_rule)
        return zone_rule_span(&zone->rule, at_s);
    return (zone_span_t){
        .offset_s = before ? zone->transitions[before - 1].offset_s : zone->first_s,
        .until_s = before < zone->count ? zone->transitions[before].at_s : INT64_MAX,
    };
}

bool zone_moment(const zone_t *zone, int64_t local_s, int64_t *at_s)
{
    int64_t from_s = local_s - ZONE_OFFSET_MAX_S, end_s = local_s + ZONE_OFFSET_MAX_S;
    while (from_s <= end_s) {
        zone_span_t span = zone_span(zone, from_s);
        *at_s = local_s - span.offset_s;
        if (*at_s >= from_s && *at_s < span.until_s)
            return true;
        if (span.until_s == INT64_MAX)
            return false;
        from_s = span.until_s;
    }
    return false;
}
