/* sim_control.c: what tests and curious people may turn while the simulator runs, and what it counts. */
#include <inttypes.h>

#include "proto/json.h"
#include "tools/sims/erp-sim/sim_internal.h"

#define CONTROL_STOCK_MAX 1000 /* stock entries in one control document */

typedef struct {
    double fault_rate;
    int64_t p50_ms, p99_ms, rate;
    bool is_down, reset_stats;
} wanted_t;

static bool i64_take(bytes_t map, const char *key, int64_t min, int64_t max, int64_t *out, error_t *err)
{
    bytes_t value;
    if (!mp_map_find(map, key, &value))
        return true;
    return (mp_map_i64(map, key, out) && *out >= min && *out <= max) ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s: a whole number, %" PRId64 " to %" PRId64, key, min, max);
}

static bool bool_take(bytes_t map, const char *key, bool *out, error_t *err)
{
    bytes_t value;
    return !mp_map_find(map, key, &value) || mp_map_bool(map, key, out) ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s: true or false", key);
}

static bool fault_rate_take(bytes_t map, double *out, error_t *err)
{
    bytes_t value;
    if (!mp_map_find(map, "fault_rate", &value))
        return true;
    return (mp_map_double(map, "fault_rate", out) && *out >= 0 && *out <= 1) ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "fault_rate: 0 to 1");
}

static bool stock_entry(sim_t *sim, bytes_t entry, error_t *err)
{
    bytes_t isbn, warehouse;
    int64_t quantity;
    sim_volume_t volume;
    if (!mp_map_str(entry, "isbn", &isbn) || !mp_map_str(entry, "warehouse", &warehouse) ||
        !mp_map_i64(entry, "quantity", &quantity))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "stock: each entry has isbn, warehouse, quantity");
    if (!sim_catalogue_find(sim->catalogue, isbn, &volume))
        return error_set(err, STATUS_NOT_FOUND, NULL, "stock: no book %.*s", (int)(isbn.len < 32 ? isbn.len : 32),
                         (const char *)isbn.data);
    return sim_stock_set(sim->stock, &volume, warehouse, quantity, err);
}

static bool stock_take(sim_t *sim, bytes_t map, error_t *err)
{
    bytes_t list, entry;
    uint32_t count;
    if (!mp_map_find(map, "stock", &list))
        return true;
    mp_reader_t reader = mp_reader(list);
    if (!mp_get_array(&reader, &count) || count > CONTROL_STOCK_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "stock: a list of up to %d", CONTROL_STOCK_MAX);
    while (count--)
        if (!mp_get_raw(&reader, &entry) || !stock_entry(sim, entry, err))
            return false;
    return true;
}

static bool wanted_read(const sim_t *sim, bytes_t map, wanted_t *out, error_t *err)
{
    *out = (wanted_t){.fault_rate = sim->fault_rate,
                      .p50_ms = sim->latency.p50_ms,
                      .p99_ms = sim->latency.p99_ms,
                      .rate = sim->gates[SIM_ERP].rate,
                      .is_down = sim->is_down};
    return fault_rate_take(map, &out->fault_rate, err) && bool_take(map, "down", &out->is_down, err) &&
           bool_take(map, "reset_stats", &out->reset_stats, err) &&
           i64_take(map, "latency_p50_ms", 0, 60000, &out->p50_ms, err) &&
           i64_take(map, "latency_p99_ms", 0, 60000, &out->p99_ms, err) &&
           i64_take(map, "rate", 1, SIM_GATE_RATE_MAX, &out->rate, err);
}

static void stats_reset(sim_t *sim)
{
    sim->stats = (sim_stats_t){0};
    for (size_t i = 0; i < SIM_BACKENDS; i++)
        sim->gates[i].admitted_total = sim->gates[i].refused_total = sim->gates[i].busiest_second = 0;
}

/* A misspelt setting that changes nothing would make a test pass for the wrong reason. */
static bool names_check(mp_reader_t reader, error_t *err)
{
    static const char *const known[] = {"fault_rate",     "down", "reset_stats", "latency_p50_ms",
                                        "latency_p99_ms", "rate", "stock"};
    uint32_t count;
    bytes_t name;
    if (!mp_get_map(&reader, &count))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "expected a JSON object");
    for (; count && mp_get_str(&reader, &name) && mp_skip(&reader); count--) {
        size_t i = 0;
        while (i < ARRAY_LEN(known) && !bytes_eq_cstr(name, known[i]))
            i++;
        if (i == ARRAY_LEN(known))
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%.*s: there is no such setting",
                             (int)(name.len < 64 ? name.len : 64), (const char *)name.data);
    }
    return true;
}

static bool map_apply(sim_t *sim, bytes_t map, error_t *err)
{
    wanted_t wanted;
    if (!names_check(mp_reader(map), err) || !wanted_read(sim, map, &wanted, err) || !stock_take(sim, map, err))
        return false;
    sim->fault_rate = wanted.fault_rate;
    sim->latency.p50_ms = wanted.p50_ms;
    sim->latency.p99_ms = wanted.p99_ms;
    sim->is_down = wanted.is_down;
    sim_gate_set_rate(&sim->gates[SIM_ERP], (uint32_t)wanted.rate);
    if (wanted.reset_stats)
        stats_reset(sim);
    return true;
}

bool sim_control_apply(sim_t *sim, bytes_t json, error_t *err)
{
    buf_t packed = {0};
    const json_limits_t limits = {.max_bytes = SIM_BODY_MAX_BYTES, .max_depth = 16};
    bool is_applied = json_to_msgpack(json, &limits, &packed, err) && map_apply(sim, buf_bytes(&packed), err);
    buf_free(&packed);
    return is_applied;
}

void sim_stats_write(const sim_t *sim, buf_t *out)
{
    static const char *const names[SIM_BACKENDS] = {"erp", "orders", "payments"};
    const sim_stats_t *stats = &sim->stats;
    buf_append_byte(out, '{');
    for (size_t i = 0; i < SIM_BACKENDS; i++)
        buf_printf(out, "\"%s\":{\"admitted\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"max_in_a_second\":%u},", names[i],
                   sim->gates[i].admitted_total, sim->gates[i].refused_total, sim->gates[i].busiest_second);
    buf_printf(out,
               "\"operations\":{\"stock\":%" PRIu64 ",\"batch\":%" PRIu64 ",\"page\":%" PRIu64 ",\"product\":%" PRIu64
               ",\"other\":%" PRIu64 "},",
               stats->single, stats->batch, stats->page, stats->product, stats->other);
    buf_printf(
        out, "\"batch_isbns\":%" PRIu64 ",\"faults\":%" PRIu64 ",\"injected\":%" PRIu64 ",\"while_down\":%" PRIu64 ",",
        stats->isbns, stats->faults, stats->injected, stats->while_down);
    buf_printf(out, "\"works\":%zu,\"volumes\":%" PRIu64 "}\n", sim_works(sim), sim_volumes(sim));
}

void sim_handle_stats(sim_t *sim, http_request_t *request)
{
    buf_t body = {0};
    sim_stats_write(sim, &body);
    sim_answer(sim, request, 200, "application/json", &body, true);
}

void sim_handle_metrics(sim_t *sim, http_request_t *request)
{
    static const char *const names[SIM_BACKENDS] = {"erp", "orders", "payments"};
    buf_t body = {0};
    buf_append_cstr(&body, "# HELP mangabus_sim_requests_total Requests by backend and whether they were let in.\n"
                           "# TYPE mangabus_sim_requests_total counter\n");
    for (size_t i = 0; i < SIM_BACKENDS; i++) {
        buf_printf(&body, "mangabus_sim_requests_total{backend=\"%s\",outcome=\"admitted\"} %" PRIu64 "\n", names[i],
                   sim->gates[i].admitted_total);
        buf_printf(&body, "mangabus_sim_requests_total{backend=\"%s\",outcome=\"refused\"} %" PRIu64 "\n", names[i],
                   sim->gates[i].refused_total);
    }
    sim_answer(sim, request, 200, "text/plain; version=0.0.4", &body, true);
}

void sim_handle_control(sim_t *sim, http_request_t *request)
{
    error_t err = {0};
    buf_t body = {0};
    bool is_post = strcmp(http_request_method(request), "POST") == 0;
    if (!is_post)
        (void)error_set(&err, STATUS_UNIMPLEMENTED, NULL, "POST a JSON object");
    if (is_post && sim_control_apply(sim, http_request_body(request), &err)) {
        sim_stats_write(sim, &body);
        sim_answer(sim, request, 200, "application/json", &body, true);
        return;
    }
    buf_append_cstr(&body, "{\"error\":");
    json_string_append(&body, bytes_cstr(err.message));
    buf_append_cstr(&body, "}\n");
    sim_answer(sim, request, is_post ? 400 : 405, "application/json", &body, true);
}
