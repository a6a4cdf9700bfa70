/* admin_broker.c: the broker about itself: counters, sessions, services, and whether it can count. */
#include "broker/core/admin.h"
#include "broker/core/calls.h"
#include "broker/core/check.h"
#include "broker/core/session.h"
#include "proto/msgpack.h"

static void put_u64(buf_t *out, const char *key, uint64_t value)
{
    mp_put_cstr(out, key);
    mp_put_u64(out, value);
}

static void put_text(buf_t *out, const char *key, const char *value)
{
    mp_put_cstr(out, key);
    mp_put_cstr(out, value);
}

static void put_i64(buf_t *out, const char *key, int64_t value)
{
    mp_put_cstr(out, key);
    mp_put_i64(out, value);
}

static void put_bool(buf_t *out, const char *key, bool value)
{
    mp_put_cstr(out, key);
    mp_put_bool(out, value);
}

/* -- status ------------------------------------------------------------------------------------------ */
static uint32_t stats_put(const core_stats_t *stats, buf_t *out)
{
#define STAT(name)                                                                                                     \
    {                                                                                                                  \
#name, offsetof(core_stats_t, name)                                                                            \
    }
    static const struct {
        const char *name;
        size_t offset;
    } table[] = {
        STAT(sessions),
        STAT(subscriptions),
        STAT(services),
        STAT(queues),
        STAT(messages_visible),
        STAT(messages_in_flight),
        STAT(messages_delayed),
        STAT(published),
        STAT(sent),
        STAT(delivered),
        STAT(acked),
        STAT(released),
        STAT(rejected),
        STAT(dead_lettered),
        STAT(redriven),
        STAT(expired),
        STAT(dropped),
        STAT(duplicates),
        STAT(calls),
        STAT(calls_failed),
        STAT(calls_running),
        STAT(calls_waiting),
        STAT(permits_granted),
        STAT(permits_returned),
        STAT(permits_empty),
        STAT(permits_waiting),
        STAT(refused),
        STAT(producers),
        STAT(producers_forgotten),
        STAT(dedup_keys),
        STAT(topology_version),
    };
    for (size_t i = 0; i < ARRAY_LEN(table); i++) {
        uint64_t value;
        memcpy(&value, (const uint8_t *)stats + table[i].offset, sizeof value);
        put_u64(out, table[i].name, value);
    }
    return ARRAY_LEN(table);
}

bool admin_broker_status(core_t *core, const admin_request_t *request UNUSED, buf_t *out, error_t *err UNUSED)
{
    core_stats_t stats;
    core_stats(core, &stats);
    size_t at = mp_map_begin(out);
    put_text(out, "broker", core->broker_name);
    put_text(out, "version", core->version);
    put_i64(out, "started_us", core->start_us);
    put_i64(out, "now_us", core->now_us);
    put_u64(out, "head", core->next_seq - 1);
    put_bool(out, "stopping", core->is_stopping);
    put_bool(out, "disk_full", core->input->is_full);
    mp_map_end(out, at, 7 + stats_put(&stats, out));
    return true;
}

/* -- sessions ---------------------------------------------------------------------------------------- */
static void session_put(const session_t *session, buf_t *out)
{
    mp_put_map(out, 10);
    put_u64(out, "session", session->number);
    put_text(out, "name", session->name);
    put_bool(out, "live", session->state == SESSION_LIVE);
    put_i64(out, "heard_us", session->heard_us);
    put_u64(out, "in_flight", session->held.count);
    put_u64(out, "subscriptions", session->subs.count);
    put_u64(out, "services", session->serves.count);
    put_u64(out, "calls", session->calls_open);
    put_u64(out, "producer", session->producer);
    put_u64(out, "epoch", session->epoch);
}

bool admin_broker_sessions(core_t *core, const admin_request_t *request UNUSED, buf_t *out, error_t *err UNUSED)
{
    const pool_t *all = &core->sessions.all;
    mp_put_array(out, all->used);
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        session_put(session_at(core, id), out);
    return true;
}

/* -- services ---------------------------------------------------------------------------------------- */
static void method_put(const core_t *core, const method_t *method, buf_t *out)
{
    mp_put_map(out, 3);
    put_text(out, "method", method->name);
    put_u64(out, "waiting", method->waiting);
    mp_put_cstr(out, "instances");
    mp_put_array(out, method->serves.count);
    for (uint32_t i = 0; i < method->serves.count; i++) {
        const serve_t *serve = pool_get(&core->calls.serves, method->serves.items[i]);
        mp_put_map(out, 3);
        put_text(out, "name", session_at(core, serve->session)->name);
        put_u64(out, "capacity", serve->capacity);
        put_u64(out, "running", serve->running);
    }
}

bool admin_broker_services(core_t *core, const admin_request_t *request UNUSED, buf_t *out, error_t *err UNUSED)
{
    const pool_t *all = &core->calls.methods;
    mp_put_array(out, all->used);
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        method_put(core, method_at(core, id), out);
    return true;
}

bool admin_broker_methods(core_t *core, const admin_request_t *request, buf_t *out, error_t *err UNUSED)
{
    const pool_t *all = &core->calls.methods;
    uint32_t count = 0;
    size_t at = mp_array_begin(out);
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id)) {
        const method_t *method = method_at(core, id);
        if (!method->serves.count || !bytes_has_prefix(bytes_cstr(method->name), request->name))
            continue;
        mp_put_cstr(out, method->name);
        count++;
    }
    mp_array_end(out, at, count);
    return true;
}

/* -- check ------------------------------------------------------------------------------------------- */
/* A slice of the whole, so that nobody waits long; the counters are compared with the first. */
bool admin_broker_check(core_t *core, const admin_request_t *request, buf_t *out, error_t *err UNUSED)
{
    uint64_t after = 0;
    error_t why = {0};
    (void)!mp_map_u64(request->args, "after", &after);
    uint32_t made = core->messages.all.made, from = after < made ? (uint32_t)after : made, at = from;
    bool ok = (after != 0 || check_counts(core, &why)) && check_messages(core, &at, CHECK_SLICE, &why);
    mp_put_map(out, 5);
    put_bool(out, "ok", ok);
    put_text(out, "problem", ok ? "" : why.message);
    put_u64(out, "checked", (at ? at : made) - from);
    put_u64(out, "next", ok ? at : 0);
    put_u64(out, "messages", core->messages.all.used);
    return true;
}

/* -- permits ------------------------------------------------------------------------------------------- */
static void waiting_put(const bucket_t *bucket, buf_t *out)
{
    mp_put_cstr(out, "waiting");
    mp_put_array(out, PERMIT_CLASSES);
    for (int class = 0; class < PERMIT_CLASSES; class ++)
        mp_put_u64(out, bucket->waiting[class]);
}

static void bucket_put(const core_t *core, const bucket_t *bucket, buf_t *out)
{
    mp_put_map(out, 8);
    put_text(out, "name", bucket->name);
    mp_put_cstr(out, "rate");
    mp_put_double(out, 1e9 / (double)bucket->pace.interval_ns);
    put_u64(out, "burst", bucket->burst);
    put_i64(out, "expiry_ms", bucket->expiry_us / US_PER_MS);
    put_u64(out, "available", token_bucket_available(&bucket->pace, core->now_us * 1000));
    waiting_put(bucket, out);
    put_u64(out, "granted", bucket->granted);
    put_u64(out, "returned", bucket->returned);
}

bool admin_broker_permits(core_t *core, const admin_request_t *request UNUSED, buf_t *out, error_t *err UNUSED)
{
    const pool_t *all = &core->permits.buckets;
    mp_put_array(out, all->used);
    for (uint32_t id = pool_next(all, 0); id; id = pool_next(all, id))
        bucket_put(core, pool_get(all, id), out);
    return true;
}
