/* event_entry.c: entries of PutEvents. */
#include "tools/mangactl/event_entry.h"

#include "kit/clock.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"

#define ACCOUNT "000000000000"
#define REGION "ap-northeast-1"
#define ARN_BUS ":event-bus/"
#define US_PER_S 1e6

envelope_t event_born(char id[UUID_TEXT_BYTES])
{
    uint8_t random[UUID_RANDOM_BYTES];
    clock_random(random, sizeof random);
    uuid_format(uuid_v7((uint64_t)(clock_wall_us() / 1000), random), id);
    return (envelope_t){.id = bytes_cstr(id), .account = BYTES_LIT(ACCOUNT), .region = BYTES_LIT(REGION)};
}

bool event_entry_is(bytes_t map)
{
    bytes_t value;
    return !mp_map_find(map, "detail-type", &value) &&
           (mp_map_find(map, "Source", &value) || mp_map_find(map, "DetailType", &value) ||
            mp_map_find(map, "Detail", &value));
}

/* -- fields ---------------------------------------------------------------------------------------------- */
static bool bad_field(const char *field, const char *what, error_t *err)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s of the PutEvents entry %s", field, what);
}

static bool only_known_fields(bytes_t map, error_t *err)
{
    static const char *const known[] = {"Source", "DetailType", "Detail",     "EventBusName",
                                        "Time",   "Resources",  "TraceHeader"};
    mp_reader_t r = mp_reader(map);
    uint32_t count;
    bytes_t name;
    if (!mp_get_map(&r, &count))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "a PutEvents entry is a JSON object");
    for (uint32_t i = 0; i < count; i++) {
        bool is_known = false;
        if (!mp_get_str(&r, &name) || !mp_skip(&r))
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the PutEvents entry is broken");
        for (size_t k = 0; k < ARRAY_LEN(known); k++)
            is_known = is_known || bytes_eq_cstr(name, known[k]);
        if (!is_known)
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%.*s is no field of a PutEvents entry",
                             BYTES_FMT(name));
    }
    return true;
}

static bool needed_text(bytes_t map, const char *field, bytes_t *out, error_t *err)
{
    bytes_t value;
    if (!mp_map_find(map, field, &value))
        return bad_field(field, "is missing", err);
    return (mp_map_str(map, field, out) && out->len) || bad_field(field, "is no text, or an empty one", err);
}

static bool optional_text(bytes_t map, const char *field, bytes_t *out, error_t *err)
{
    bytes_t value;
    *out = BYTES_NONE;
    return !mp_map_find(map, field, &value) || needed_text(map, field, out, err);
}

static bool read_time(bytes_t map, int64_t now_us, int64_t *time_us, error_t *err)
{
    bytes_t value, text;
    double seconds;
    *time_us = now_us;
    if (!mp_map_find(map, "Time", &value))
        return true;
    if (mp_map_str(map, "Time", &text))
        return timefmt_parse(text, time_us) || bad_field("Time", "is no RFC 3339 time", err);
    if (!mp_map_double(map, "Time", &seconds) || !(seconds >= 0 && seconds <= (double)TIMEFMT_MAX_US / US_PER_S - 1))
        return bad_field("Time", "is neither an RFC 3339 text nor Unix seconds", err);
    *time_us = (int64_t)(seconds * US_PER_S + 0.5);
    return true;
}

static bool read_detail(bytes_t map, buf_t *detail, error_t *err)
{
    bytes_t text;
    mp_type_t type;
    if (!needed_text(map, "Detail", &text, err))
        return false;
    if (!json_to_msgpack(text, NULL, detail, err))
        return error_prefix(err, "Detail of the PutEvents entry");
    mp_reader_t r = mp_reader(buf_bytes(detail));
    return (mp_peek(&r, &type) && type == MP_MAP) || bad_field("Detail", "holds no JSON object", err);
}

static bytes_t bus_name(bytes_t given)
{
    const uint8_t *at = given.len ? memmem(given.data, given.len, ARN_BUS, sizeof ARN_BUS - 1) : NULL;
    if (!at || !bytes_has_prefix(given, BYTES_LIT("arn:")))
        return given;
    at += sizeof ARN_BUS - 1;
    return bytes_from(at, (size_t)(given.data + given.len - at));
}

/* -- the whole ------------------------------------------------------------------------------------------- */
static bool read_texts(bytes_t map, envelope_t *envelope, event_entry_t *out, error_t *err)
{
    bytes_t bus;
    bool ok = only_known_fields(map, err) && needed_text(map, "Source", &envelope->source, err) &&
              needed_text(map, "DetailType", &envelope->detail_type, err) &&
              optional_text(map, "EventBusName", &bus, err) &&
              optional_text(map, "TraceHeader", &out->trace_header, err);
    if (ok)
        out->bus = bus_name(bus);
    return ok;
}

bool event_entry_read(bytes_t map, int64_t now_us, event_entry_t *out, buf_t *envelope, error_t *err)
{
    char id[UUID_TEXT_BYTES];
    buf_t detail = {0};
    envelope_t e = event_born(id);
    *out = (event_entry_t){0};
    bool ok =
        read_texts(map, &e, out, err) && read_time(map, now_us, &out->time_us, err) && read_detail(map, &detail, err);
    if (ok) {
        char time[TIMEFMT_S_BYTES];
        timefmt_s(out->time_us, time);
        e.time = bytes_cstr(time);
        e.detail = buf_bytes(&detail);
        (void)(mp_map_find(map, "Resources", &e.resources) || (e.resources = BYTES_NONE, true));
        ok = envelope_write(envelope, &e, err);
    }
    buf_free(&detail);
    return ok;
}
