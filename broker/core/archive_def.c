/* archive_def.c: archives as the topology's document has them. */
#include "broker/core/archive_def.h"

#include "broker/core/topology_doc.h"
#include "proto/json.h"
#include "proto/msgpack.h"

#define US_PER_DAY (86400 * US_PER_S)

static bool is_name_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-' ||
           c == '_';
}

/* EventBridge: 1 to 48 of letters, digits, `.`, `-` and `_`; not a dot first, for it names a folder. */
static bool name_is_good(bytes_t name)
{
    if (name.len == 0 || name.len > ARCHIVE_DEF_NAME_MAX_BYTES || name.data[0] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!is_name_byte(name.data[i]))
            return false;
    return true;
}

static bool def_read(bytes_t given, archive_def_t *out)
{
    uint64_t days = 0;
    *out = (archive_def_t){.retention_bytes = UINT64_MAX};
    if (!mp_map_str(given, "ArchiveName", &out->name) || !mp_map_str(given, "EventSourceArn", &out->bus))
        return false;
    out->bus = topology_doc_arn_tail(out->bus);
    if (!mp_map_find(given, "EventPattern", &out->pattern))
        out->pattern = BYTES_NONE;
    if (!mp_map_u64(given, "RetentionBytes", &out->retention_bytes))
        out->retention_bytes = UINT64_MAX;
    if (!mp_map_u64(given, "RetentionDays", &days))
        days = 0;
    out->retention_us = days <= ARCHIVE_DEF_RETENTION_MAX_DAYS ? (int64_t)days * US_PER_DAY : -1;
    return name_is_good(out->name);
}

bool archive_def_pattern(const archive_def_t *def, pattern_t **out, error_t *err)
{
    buf_t json = {0};
    *out = NULL;
    if (!def->pattern.len)
        return true;
    if (json_from_msgpack(def->pattern, JSON_COMPACT, &json, err))
        *out = pattern_compile(buf_bytes(&json), err);
    buf_free(&json);
    return *out != NULL;
}

static bool refused(error_t *err, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "%s", what);
}

bool archive_def_check(bytes_t given, error_t *err)
{
    archive_def_t def;
    pattern_t *pattern;
    if (!def_read(given, &def))
        return refused(err, "ArchiveName must have 1 to 48 letters, digits, dots, hyphens and underscores, the first "
                            "not a dot.");
    if (def.retention_us < 0)
        return refused(err, "RetentionDays must be from 0 (for ever) to 2147483647.");
    if (def.retention_bytes < ARCHIVE_DEF_RETENTION_MIN_BYTES)
        return refused(err, "RetentionBytes must be at least 1048576.");
    if (!archive_def_pattern(&def, &pattern, err))
        return error_prefix(err, "EventPattern");
    pattern_free(&pattern);
    return true;
}

bool archive_def_at(const core_t *core, uint32_t nth, archive_def_t *out)
{
    bytes_t list, entry;
    uint32_t count;
    bytes_t document = buf_bytes(&core->topology.document);
    if (!document.len || !mp_map_find(document, "Archives", &list))
        return false;
    mp_reader_t r = mp_reader(list);
    if (!mp_get_array(&r, &count))
        return false;
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &entry); i++)
        if (def_read(entry, out) && out->retention_us >= 0 && nth-- == 0)
            return true;
    return false;
}

uint64_t archive_def_version(const core_t *core)
{
    return core->topology.version;
}

/* It was published there, or a rule of another bus passed it on. */
static bool is_on(const record_publish_t *event, bytes_t bus)
{
    mp_reader_t r = mp_reader(event->passed);
    uint32_t count = 0;
    bytes_t name, by;
    if (bytes_eq(bus, event->bus))
        return true;
    if (!event->passed.len || !mp_get_map(&r, &count))
        return false;
    for (uint32_t i = 0; i < count && mp_get_str(&r, &name) && mp_get_raw(&r, &by); i++)
        if (bytes_eq(name, bus))
            return true;
    return false;
}

bool archive_def_takes(const archive_def_t *def, const pattern_t *pattern, const record_publish_t *event)
{
    return is_on(event, def->bus) && !event->replay_name.len && !event->to.len &&
           (!pattern || pattern_match(pattern, event->body, BYTES_NONE));
}
