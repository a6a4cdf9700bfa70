/* control.c: what tests and curious people may turn while the simulator runs, and what it counts. */
#include <inttypes.h>
#include <stdio.h>

#include "proto/json.h"
#include "proto/msgpack.h"
#include "tools/sims/bedrock-sim/sim_internal.h"

#define DELAY_MAX_MS 600000
#define TOKENS_PER_S_MAX 1e6
#define FAULT_COUNT_MAX 1000000
#define CONTROL_DEPTH_MAX 8

static const struct {
    const char *name;
    fault_t fault;
} faults[] = {
    {"none", FAULT_NONE},
    {"throttling", FAULT_THROTTLING},
    {"not_ready", FAULT_NOT_READY},
    {"internal", FAULT_INTERNAL},
    {"unavailable", FAULT_UNAVAILABLE},
    {"timeout", FAULT_TIMEOUT},
    {"model_error", FAULT_MODEL_ERROR},
    {"access_denied", FAULT_ACCESS_DENIED},
    {"quota", FAULT_QUOTA},
    {"hang", FAULT_HANG},
    {"stream_throttling", FAULT_STREAM_THROTTLING},
    {"stream_error", FAULT_STREAM_ERROR},
    {"stream_cut", FAULT_STREAM_CUT},
    {"stream_corrupt", FAULT_STREAM_CORRUPT},
};

/* What a control document asks for; read whole before anything is changed. */
typedef struct {
    int64_t first_token_ms, embed_ms, rate_per_s;
    double tokens_per_s;
    bool reset_stats;
    fault_order_t order;
} wanted_t;

static bool wrong(error_t *err, bytes_t key, const char *right)
{
    return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "%.*s: %s",
                     (int)(key.len < SIM_NAME_BYTES ? key.len : SIM_NAME_BYTES), (const char *)key.data, right);
}

static bool i64_read(mp_reader_t *value, bytes_t key, int64_t max, int64_t *out, error_t *err)
{
    char right[64];
    (void)snprintf(right, sizeof right, "a whole number from 0 to %" PRId64, max);
    return (mp_get_i64(value, out) && *out >= 0 && *out <= max) || wrong(err, key, right);
}

static bool fault_read(mp_reader_t *value, bytes_t key, fault_t *out, error_t *err)
{
    bytes_t name;
    if (mp_get_str(value, &name))
        for (size_t i = 0; i < ARRAY_LEN(faults); i++)
            if (bytes_eq_cstr(name, faults[i].name)) {
                *out = faults[i].fault;
                return true;
            }
    return wrong(err, key,
                 "one of none, throttling, not_ready, internal, unavailable, timeout, model_error, access_denied, "
                 "quota, hang, stream_throttling, stream_error, stream_cut, stream_corrupt");
}

static bool model_read(mp_reader_t *value, bytes_t key, char out[SIM_NAME_BYTES], error_t *err)
{
    bytes_t text;
    return (mp_get_str(value, &text) && bytes_to_cstr(text, out, SIM_NAME_BYTES)) ||
           wrong(err, key, "part of a model's id, up to 63 bytes");
}

static bool entry_read(wanted_t *wanted, bytes_t key, bytes_t raw, error_t *err)
{
    mp_reader_t value = mp_reader(raw);
    if (bytes_eq_cstr(key, "first_token_ms"))
        return i64_read(&value, key, DELAY_MAX_MS, &wanted->first_token_ms, err);
    if (bytes_eq_cstr(key, "embed_ms"))
        return i64_read(&value, key, DELAY_MAX_MS, &wanted->embed_ms, err);
    if (bytes_eq_cstr(key, "rate_per_s"))
        return i64_read(&value, key, SIM_RATE_MAX, &wanted->rate_per_s, err);
    if (bytes_eq_cstr(key, "fault_count"))
        return i64_read(&value, key, FAULT_COUNT_MAX, &wanted->order.count, err);
    if (bytes_eq_cstr(key, "fault"))
        return fault_read(&value, key, &wanted->order.fault, err);
    if (bytes_eq_cstr(key, "fault_model"))
        return model_read(&value, key, wanted->order.model, err);
    if (bytes_eq_cstr(key, "reset_stats"))
        return mp_get_bool(&value, &wanted->reset_stats) || wrong(err, key, "true or false");
    if (bytes_eq_cstr(key, "tokens_per_s"))
        return (mp_get_double(&value, &wanted->tokens_per_s) && wanted->tokens_per_s >= 0.1 &&
                wanted->tokens_per_s <= TOKENS_PER_S_MAX) ||
               wrong(err, key, "a number from 0.1 to 1000000");
    return wrong(err, key, "there is no such setting");
}

static bool wanted_read(const sim_t *sim, bytes_t map, wanted_t *out, error_t *err)
{
    *out = (wanted_t){.first_token_ms = sim->first_token_ms,
                      .embed_ms = sim->embed_ms,
                      .rate_per_s = sim->rate_per_s,
                      .tokens_per_s = sim->tokens_per_s,
                      .order = {.count = 1}};
    mp_reader_t reader = mp_reader(map);
    uint32_t count;
    bytes_t key, value;
    if (!mp_get_map(&reader, &count))
        return error_set(err, STATUS_INVALID_ARGUMENT, "ValidationException", "expected a JSON object");
    while (count--)
        if (!mp_get_str(&reader, &key) || !mp_get_raw(&reader, &value) || !entry_read(out, key, value, err))
            return false;
    return true;
}

static void wanted_apply(sim_t *sim, const wanted_t *wanted)
{
    sim->first_token_ms = wanted->first_token_ms;
    sim->embed_ms = wanted->embed_ms;
    sim->rate_per_s = wanted->rate_per_s;
    sim->tokens_per_s = wanted->tokens_per_s;
    sim->order = wanted->order;
    if (wanted->order.fault == FAULT_NONE)
        sim->order.count = 0;
    if (wanted->reset_stats)
        sim->stats = (sim_stats_t){.in_flight = sim->stats.in_flight, .in_flight_peak = sim->stats.in_flight};
}

void sim_control(sim_t *sim, http_request_t *request)
{
    const json_limits_t limits = {.max_depth = CONTROL_DEPTH_MAX};
    buf_t map = {0};
    wanted_t wanted;
    error_t err = {0};
    if (json_to_msgpack(http_request_body(request), &limits, &map, &err) &&
        wanted_read(sim, buf_bytes(&map), &wanted, &err)) {
        wanted_apply(sim, &wanted);
        sim_stats(sim, request);
    } else {
        sim_refuse(sim, request, 400, "ValidationException", err.message);
    }
    buf_free(&map);
}

static void refused_write(const sim_stats_t *stats, buf_t *json)
{
    buf_append_cstr(json, "\"refused\":{");
    for (size_t i = 0; i < SIM_NAMES_MAX && stats->refused[i].count; i++) {
        buf_append_cstr(json, i ? "," : "");
        json_string_append(json, bytes_cstr(stats->refused[i].name));
        buf_printf(json, ":%" PRId64, stats->refused[i].count);
    }
    buf_append_cstr(json, "},");
}

void sim_metrics(sim_t *sim, http_request_t *request)
{
    const sim_stats_t *stats = &sim->stats;
    int64_t refused = 0;
    for (size_t i = 0; i < SIM_NAMES_MAX && stats->refused[i].count; i++)
        refused += stats->refused[i].count;
    const struct {
        const char *outcome;
        int64_t value;
    } counted[] = {{"invoked", stats->invoked},
                   {"streamed", stats->streamed},
                   {"embedded", stats->embedded},
                   {"cancelled", stats->cancelled},
                   {"refused", refused}};
    buf_t text = {0};
    buf_append_cstr(&text, "# HELP mangabus_sim_requests_total Requests by what became of them.\n"
                           "# TYPE mangabus_sim_requests_total counter\n");
    for (size_t i = 0; i < ARRAY_LEN(counted); i++)
        buf_printf(&text, "mangabus_sim_requests_total{outcome=\"%s\"} %" PRId64 "\n", counted[i].outcome,
                   counted[i].value);
    http_respond_text(request, 200, "text/plain; version=0.0.4", buf_cstr(&text));
    buf_free(&text);
}

void sim_stats(sim_t *sim, http_request_t *request)
{
    const sim_stats_t *stats = &sim->stats;
    const struct {
        const char *name;
        int64_t value;
    } numbers[] = {
        {"requests", stats->requests},
        {"invoked", stats->invoked},
        {"streamed", stats->streamed},
        {"embedded", stats->embedded},
        {"cancelled", stats->cancelled},
        {"in_flight", stats->in_flight},
        {"in_flight_peak", stats->in_flight_peak},
        {"input_tokens", stats->input_tokens},
        {"output_tokens", stats->output_tokens},
        {"faults_left", sim->order.count},
        {"first_token_ms", sim->first_token_ms},
        {"embed_ms", sim->embed_ms},
        {"rate_per_s", sim->rate_per_s},
    };
    buf_t json = {0};
    buf_append_byte(&json, '{');
    refused_write(stats, &json);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        buf_printf(&json, "\"%s\":%" PRId64 ",", numbers[i].name, numbers[i].value);
    buf_append_cstr(&json, "\"tokens_per_s\":");
    json_double_append(&json, sim->tokens_per_s);
    buf_append_cstr(&json, "}\n");
    http_respond_text(request, 200, "application/json", buf_cstr(&json));
    buf_free(&json);
}
