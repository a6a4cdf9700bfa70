/* replay_settings.c: what is replayed, where to, and how fast. */
#include <stdlib.h>

#include "broker/core/replay.h"
#include "proto/json.h"
#include "proto/msgpack.h"

#define SETTINGS_MAX_BYTES ((size_t)128 << 10)

static bool refused(error_t *err, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "%s", what);
}

static bytes_t text(bytes_t map, const char *key)
{
    bytes_t value;
    return mp_map_str(map, key, &value) ? value : BYTES_NONE;
}

static uint64_t number(bytes_t map, const char *key)
{
    uint64_t value;
    return mp_map_u64(map, key, &value) ? value : 0;
}

static bool moment_read(bytes_t map, const char *key, int64_t *out)
{
    uint64_t us = number(map, key);
    *out = us <= INT64_MAX / 2 ? (int64_t)us : -1;
    return *out >= 0;
}

static bool ids_read(replay_settings_t *s, bytes_t map, error_t *err)
{
    bytes_t list;
    uint32_t count;
    if (!mp_map_find(map, "ids", &list))
        return true;
    mp_reader_t r = mp_reader(list);
    if (!mp_get_array(&r, &count) || count > REPLAY_IDS_MAX)
        return refused(err, "ids must be a list of at most 256 event ids.");
    s->ids = memory_new(count + 1, sizeof *s->ids);
    for (; s->id_count < count; s->id_count++)
        if (!mp_get_str(&r, &s->ids[s->id_count]))
            return refused(err, "ids must be a list of texts.");
    return true;
}

static bool read_map(replay_settings_t *s, bytes_t map, error_t *err)
{
    s->archive = text(map, "archive");
    s->bus = text(map, "bus");
    s->to = text(map, "to");
    if (bytes_has_prefix(s->to, BYTES_LIT("rule:")))
        s->rules = bytes_from(s->to.data + strlen("rule:"), s->to.len - strlen("rule:"));
    s->speed_permille = number(map, "speed_permille");
    s->rate = number(map, "rate");
    bytes_t pattern = text(map, "pattern");
    if (!s->bus.len)
        return refused(err, "A replay needs a bus, or an archive.");
    if (!moment_read(map, "from_us", &s->from_us) || !moment_read(map, "until_us", &s->until_us) ||
        (s->until_us && s->until_us < s->from_us))
        return refused(err, "until_us must not be before from_us, and both are Unix microseconds.");
    if (s->rate > REPLAY_RATE_MAX || s->speed_permille > REPLAY_SPEED_MAX_PERMILLE || (s->rate && s->speed_permille))
        return refused(err,
                       "Either rate (up to 1,000,000 events a second) or speed_permille (up to 1,000,000 times the "
                       "original pace), not both.");
    if (pattern.len && !(s->pattern = pattern_compile(pattern, err)))
        return error_prefix(err, "pattern");
    return ids_read(s, map, err);
}

bool replay_settings_read(bytes_t json, replay_settings_t *out, error_t *err)
{
    const json_limits_t limits = {.max_bytes = SETTINGS_MAX_BYTES};
    *out = (replay_settings_t){0};
    if (json_to_msgpack(json, &limits, &out->map, err) && read_map(out, buf_bytes(&out->map), err))
        return true;
    replay_settings_free(out);
    return false;
}

void replay_settings_free(replay_settings_t *s)
{
    pattern_free(&s->pattern);
    free(s->ids);
    buf_free(&s->map);
    *s = (replay_settings_t){0};
}
