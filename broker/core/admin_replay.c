/* admin_replay.c: beginning, listing, pausing and ending replays. */
#include "broker/core/admin.h"

#include <stdio.h>

#include "broker/core/archive_def.h"
#include "broker/core/queue.h"
#include "broker/core/replay.h"
#include "broker/core/route.h"
#include "broker/core/topology.h"
#include "proto/json.h"
#include "proto/msgpack.h"

static bool bad(error_t *err, const char *what)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "%s", what);
}

/* -- telling ------------------------------------------------------------------------------------------- */
static void put_text(buf_t *out, const char *key, bytes_t value)
{
    mp_put_cstr(out, key);
    mp_put_str(out, value);
}

static void put_i64(buf_t *out, const char *key, int64_t value)
{
    mp_put_cstr(out, key);
    mp_put_i64(out, value);
}

static void put_counts(const core_t *core, const replay_t *r, buf_t *out)
{
    mp_put_cstr(out, "queues");
    mp_put_map(out, r->count_count);
    for (uint32_t i = 0; i < r->count_count; i++) {
        const char *name = core_queue_name(core, r->counts[i].queue);
        char gone[40];
        (void)snprintf(gone, sizeof gone, "(deleted %llu)", (unsigned long long)r->counts[i].queue);
        mp_put_cstr(out, name[0] ? name : gone);
        mp_put_u64(out, r->counts[i].count);
    }
}

static void replay_put(const core_t *core, const replay_t *r, buf_t *out)
{
    mp_put_map(out, 16);
    put_text(out, "replay", bytes_cstr(r->name));
    put_text(out, "state", bytes_cstr(replay_state_name(r)));
    mp_put_cstr(out, "dry_run");
    mp_put_bool(out, r->is_dry);
    put_text(out, "settings", bytes_cstr(r->json));
    put_i64(out, "position", (int64_t)(r->looked > r->position ? r->looked : r->position));
    put_i64(out, "until", (int64_t)r->number);
    put_i64(out, "at_us", r->seen_us);
    put_i64(out, "replayed", (int64_t)r->replayed);
    put_i64(out, "deliveries", (int64_t)r->deliveries);
    put_i64(out, "refused", (int64_t)r->refused_now);
    put_i64(out, "began_us", r->began_us);
    put_i64(out, "ended_us", r->ended_us);
    put_i64(out, "now_us", core->now_us);
    put_text(out, "waits", bytes_cstr(r->waits ? r->waits : ""));
    put_text(out, "why", bytes_cstr(r->why ? r->why : ""));
    put_counts(core, r, out);
}

/* -- beginning ----------------------------------------------------------------------------------------- */
static bool name_check(bytes_t name, error_t *err)
{
    bool good = name.len > 0 && name.len <= REPLAY_NAME_MAX_BYTES;
    for (size_t i = 0; good && i < name.len; i++) {
        uint8_t c = name.data[i];
        good = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '.' || c == '-' ||
               c == '_';
    }
    return good || bad(err, "A replay's name has 1 to 64 letters, digits, dots, hyphens and underscores.");
}

/* The archive that was named, or that one of the bus which takes in the most: without a pattern, or the first. */
static bool source_find(const core_t *core, bytes_t archive, bytes_t bus, archive_def_t *out, error_t *err)
{
    archive_def_t def;
    *out = (archive_def_t){.bus = bus};
    for (uint32_t i = 0; archive_def_at(core, i, &def); i++) {
        if (archive.len ? bytes_eq(def.name, archive)
                        : bytes_eq(def.bus, bus) && (!out->name.len || (out->pattern.len && !def.pattern.len)))
            *out = def;
    }
    if (archive.len && !out->name.len)
        return error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "There is no archive \"%.*s\".",
                         BYTES_FMT(archive));
    if (archive.len && bus.len && !bytes_eq(bus, out->bus))
        return error_set(err, STATUS_INVALID_ARGUMENT, "InvalidParameterValue", "Archive \"%.*s\" is of bus \"%.*s\".",
                         BYTES_FMT(archive), BYTES_FMT(out->bus));
    return topology_bus(core, out->bus) || error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException",
                                                     "There is no event bus \"%.*s\".", BYTES_FMT(out->bus));
}

static bool has_rule(const core_t *core, bytes_t bus, bytes_t name)
{
    for (uint32_t i = 0; i < core->topology.rule_count; i++)
        if (bytes_eq_cstr(name, core->topology.rules[i].name) && bytes_eq_cstr(bus, core->topology.rules[i].bus))
            return true;
    return false;
}

static bool rules_check(const core_t *core, bytes_t bus, bytes_t list, error_t *err)
{
    for (size_t begin = 0; begin <= list.len;) {
        size_t end = begin;
        while (end < list.len && list.data[end] != ',')
            end++;
        bytes_t name = bytes_from(list.data + begin, end - begin);
        if (!has_rule(core, bus, name))
            return error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "Bus \"%.*s\" has no rule \"%.*s\".",
                             BYTES_FMT(bus), BYTES_FMT(name));
        begin = end + 1;
    }
    return true;
}

static bool to_check(const core_t *core, bytes_t bus, bytes_t to, error_t *err)
{
    if (bytes_has_prefix(to, BYTES_LIT("rule:")))
        return rules_check(core, bus, bytes_from(to.data + 5, to.len - 5), err);
    return route_check_to(core, to, err);
}

static bytes_t arg_text(bytes_t args, const char *key)
{
    bytes_t value;
    return mp_map_str(args, key, &value) ? value : BYTES_NONE;
}

/* The settings as they are journaled: what was given, and where its events are. */
static bool settings_write(bytes_t args, const archive_def_t *source, buf_t *json, error_t *err)
{
    static const char *const kept[] = {"to", "pattern", "ids", "from_us", "until_us", "speed_permille", "rate"};
    buf_t map = {0};
    bytes_t value;
    uint32_t count = 2;
    size_t at = mp_map_begin(&map);
    put_text(&map, "archive", source->name);
    put_text(&map, "bus", source->bus);
    for (size_t i = 0; i < ARRAY_LEN(kept); i++) {
        if (!args.len || !mp_map_find(args, kept[i], &value))
            continue;
        mp_put_cstr(&map, kept[i]);
        mp_put_raw(&map, value);
        count++;
    }
    mp_map_end(&map, at, count);
    bool ok = !map.failed && json_from_msgpack(buf_bytes(&map), JSON_COMPACT, json, err);
    buf_free(&map);
    return ok;
}

/* A dry run makes way for whoever wants its name. */
static bool name_is_free(core_t *core, bytes_t name, error_t *err)
{
    replay_t *same = replay_find(core, name);
    if (same && same->is_dry)
        replay_forget(core, same);
    else if (same)
        return error_set(err, STATUS_ALREADY_EXISTS, "ResourceAlreadyExistsException",
                         "There is a replay \"%.*s\" already: give this one another name.", BYTES_FMT(name));
    return replays_active(core) < REPLAYS_ACTIVE_MAX ||
           error_set(err, STATUS_RESOURCE_EXHAUSTED, "LimitExceededException",
                     "%d replays run or are paused already: cancel one.", REPLAYS_ACTIVE_MAX);
}

bool admin_replay_start(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    archive_def_t source;
    buf_t json = {0};
    bool is_dry = false;
    (void)!mp_map_bool(request->args, "dry_run", &is_dry);
    if (!name_check(request->name, err) ||
        !source_find(core, arg_text(request->args, "archive"), arg_text(request->args, "bus"), &source, err) ||
        !to_check(core, source.bus, arg_text(request->args, "to"), err) || !name_is_free(core, request->name, err))
        return false;
    const replay_t *replay = settings_write(request->args, &source, &json, err)
                                 ? replay_begin(core, request->name, buf_bytes(&json), is_dry, err)
                                 : NULL;
    buf_free(&json);
    if (!replay)
        return false;
    effects_log(core->out, LOG_INFO, "replay %s%s begins, asked for by %s: %s", replay->name, is_dry ? " (dry)" : "",
                request->session->name, replay->json);
    replay_put(core, replay, out);
    return true;
}

/* -- looking and ending -------------------------------------------------------------------------------- */
static replay_t *need(core_t *core, const admin_request_t *request, error_t *err)
{
    replay_t *replay = replay_find(core, request->name);
    if (!replay)
        error_set(err, STATUS_NOT_FOUND, "ResourceNotFoundException", "There is no replay \"%.*s\".",
                  BYTES_FMT(request->name));
    return replay;
}

bool admin_replay_list(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    const pool_t *all = &core->replays.all;
    (void)request;
    (void)err;
    mp_put_array(out, all->used);
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        replay_put(core, replay_at(core, id), out);
    return true;
}

bool admin_replay_info(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    const replay_t *replay = need(core, request, err);
    if (replay)
        replay_put(core, replay, out);
    return replay != NULL;
}

static bool change(core_t *core, const admin_request_t *request, unsigned from, replay_state_t to, buf_t *out,
                   error_t *err)
{
    replay_t *replay = need(core, request, err);
    if (!replay)
        return false;
    bool fits = from ? (unsigned)replay->state == from : replay_is_active(replay);
    if (!fits)
        return error_set(err, STATUS_FAILED_PRECONDITION, "IllegalStatusException", "Replay \"%s\" is %s.",
                         replay->name, replay_state_name(replay));
    replay_move(core, replay, to, "");
    replay_put(core, replay, out);
    return true;
}

bool admin_replay_pause(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    return change(core, request, REPLAY_RUNNING, REPLAY_PAUSED, out, err);
}

bool admin_replay_resume(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    return change(core, request, REPLAY_PAUSED, REPLAY_RUNNING, out, err);
}

bool admin_replay_cancel(core_t *core, const admin_request_t *request, buf_t *out, error_t *err)
{
    return change(core, request, 0, REPLAY_CANCELLED, out, err);
}
