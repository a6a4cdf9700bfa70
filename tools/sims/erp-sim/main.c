/* main.c: erp-sim: an honest stand-in for the legacy ERP, the order system and the payment gateway. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/version.h"
#include "kit/clock.h"
#include "kit/config.h"
#include "kit/health.h"
#include "kit/log.h"
#include "tools/sims/erp-sim/gate.h"
#include "tools/sims/erp-sim/sim.h"

enum { EXIT_USAGE = 64, EXIT_UNREACHABLE = 69, EXIT_BUG = 70, EXIT_WRONG_CONFIG = 78 };

#define HTTP_DEFAULT "127.0.0.1:7490"

#define ROW(variable, kind, member, value, least, most, what)                                                          \
    {                                                                                                                  \
        .name = (variable), .type = (kind), .offset = offsetof(sim_settings_t, member), .fallback = (value),           \
        .min = (least), .max = (most), .doc = (what)                                                                   \
    }
#define SECRET(variable, member, what)                                                                                 \
    {                                                                                                                  \
        .name = (variable), .type = CONFIG_STR, .offset = offsetof(sim_settings_t, member), .fallback = "",            \
        .flags = CONFIG_SECRET, .doc = (what)                                                                          \
    }

/* clang-format off: one row, one variable */
static const config_row_t rows[] = {
    ROW("MANGABUS_HTTP", CONFIG_STR, listen, HTTP_DEFAULT, 0, 0, "host and port to listen at"),
    ROW("MANGABUS_LOG_LEVEL", CONFIG_STR, log_level, "info", 0, 0, "debug, info, warn, error"),
    ROW("MANGABUS_SIM_CATALOGUE", CONFIG_STR, catalogue, "", 0, 0,
        "TSV of works beside the built-in ones; empty for none"),
    ROW("MANGABUS_SIM_SEED", CONFIG_I64, seed, "42", 0, 4294967295.0, "decides stock, prices, latencies and faults"),
    ROW("MANGABUS_SIM_RATE", CONFIG_I64, rate, "50", 1, SIM_GATE_RATE_MAX, "requests a second that the ERP takes"),
    ROW("MANGABUS_SIM_ORDER_RATE", CONFIG_I64, order_rate, "200", 1, SIM_GATE_RATE_MAX, "of the order system"),
    ROW("MANGABUS_SIM_PAYMENT_RATE", CONFIG_I64, payment_rate, "100", 1, SIM_GATE_RATE_MAX, "of the payment gateway"),
    ROW("MANGABUS_SIM_LATENCY_P50", CONFIG_MS, latency_p50_ms, "120ms", 0, 60000, "median time of an answer"),
    ROW("MANGABUS_SIM_LATENCY_P99", CONFIG_MS, latency_p99_ms, "800ms", 0, 60000,
        "its 99th percentile; 0 for no delay at all"),
    ROW("MANGABUS_SIM_FAULT_RATE", CONFIG_F64, fault_rate, "0", 0, 1, "share of requests that end in a fault"),
    ROW("MANGABUS_SIM_ERP_USER", CONFIG_STR, user, "", 0, 0, "of the UsernameToken; empty: none is asked for"),
    SECRET("MANGABUS_SIM_ERP_PASSWORD", password, "to that user"),
    SECRET("MANGABUS_SIM_ERP_TOKEN", token, "the AuthToken that is taken as well; empty for none"),
};
/* clang-format on */

static const config_table_t table = {rows, ARRAY_LEN(rows)};

static int help(void)
{
    buf_t out = {0};
    buf_append_cstr(&out, "erp-sim: stands in for the legacy ERP (SOAP), the order system and the payment gateway.\n\n"
                          "  erp-sim               serve until SIGTERM\n"
                          "  erp-sim healthcheck   exit 0 when a running one answers\n"
                          "  erp-sim --version\n\nEnvironment:\n");
    config_help(&table, 1, &out);
    (void)fputs(buf_cstr(&out), stdout);
    buf_free(&out);
    return 0;
}

static int markdown(void)
{
    buf_t out = {0};
    config_section("erp-sim", "Stands in for the legacy ERP (SOAP), the order system and the payment gateway.", &table,
                   1, &out);
    (void)fputs(buf_cstr(&out), stdout);
    buf_free(&out);
    return 0;
}

/* -- serving ------------------------------------------------------------------------------------------------- */
static void on_signal(void *ctx, int signal)
{
    (void)signal;
    loop_stop(ctx);
}

static int serve_on(loop_t *loop, const sim_settings_t *settings, const health_address_t *address, error_t *err)
{
    sim_t *sim = sim_new(loop, settings, err);
    if (!sim)
        return EXIT_WRONG_CONFIG;
    http_server_options_t options = {
        .address = address->host, .port = address->port, .body_max_bytes = (size_t)1 << 20};
    http_server_t *server = http_server_new(loop, &options, sim_handle, sim, err);
    if (server) {
        log_info("listening", LOG_S("address", address->host), LOG_I("port", http_server_port(server)),
                 LOG_I("works", sim_works(sim)), LOG_I("volumes", sim_volumes(sim)));
        loop_on_signal(loop, on_signal, loop);
        loop_run(loop);
    }
    sim_free(&sim);
    bool is_served = server != NULL;
    http_server_free(&server);
    return is_served ? 0 : EXIT_UNREACHABLE;
}

static int serve(const sim_settings_t *settings, const health_address_t *address)
{
    error_t err = {0};
    loop_t *loop = loop_new(&err);
    int status = loop ? serve_on(loop, settings, address, &err) : EXIT_BUG;
    if (status != 0)
        log_error("could not start", LOG_S("error", err.message));
    loop_free(&loop);
    return status;
}

static void log_begin(log_level_t level)
{
    char instance[32];
    uint32_t draw;
    clock_random(&draw, sizeof(draw));
    (void)snprintf(instance, sizeof(instance), "erp-sim-%06x", draw & 0xFFFFFFu);
    log_start("erp-sim", instance, level);
}

static int run(const sim_settings_t *settings)
{
    log_level_t level;
    health_address_t address;
    error_t err = {0};
    if (!log_level_parse(settings->log_level, &level)) {
        (void)fputs("erp-sim: MANGABUS_LOG_LEVEL is debug, info, warn or error\n", stderr);
        return EXIT_WRONG_CONFIG;
    }
    if (!health_address_parse(settings->listen, &address, &err)) {
        (void)fprintf(stderr, "erp-sim: %s\n", err.message);
        return EXIT_WRONG_CONFIG;
    }
    log_begin(level);
    return serve(settings, &address);
}

int main(int argc, char **argv)
{
    loop_signals_early();
    const char *verb = argc > 1 ? argv[1] : NULL;
    if (verb && strcmp(verb, "--help") == 0)
        return help();
    if (verb && strcmp(verb, "--config-markdown") == 0)
        return markdown();
    if (verb && strcmp(verb, "--version") == 0)
        return printf("erp-sim %s\n", MANGABUS_VERSION) < 0;
    if (argc == 2 && strcmp(verb, "healthcheck") == 0)
        return health_check("erp-sim", HTTP_DEFAULT);
    if (argc > 1) {
        (void)fputs("usage: erp-sim [healthcheck | --help | --version]\n", stderr);
        return EXIT_USAGE;
    }
    sim_settings_t settings = {0};
    void *const targets[] = {&settings};
    error_t err = {0};
    log_begin(LOG_INFO);
    if (!config_load(&table, targets, 1, &err))
        return EXIT_WRONG_CONFIG; /* it has said why */
    int status = run(&settings);
    config_free(&table, targets, 1);
    return status;
}
