/* main.c: bedrock-sim: an honest stand-in for Bedrock's runtime, where no model can run. */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "gen/version.h"
#include "kit/clock.h"
#include "kit/config.h"
#include "kit/health.h"
#include "kit/log.h"
#include "tools/sims/bedrock-sim/sim.h"

enum { EXIT_USAGE = 64, EXIT_UNREACHABLE = 69, EXIT_BUG = 70, EXIT_WRONG_CONFIG = 78 };

/* Above what Bedrock takes, so that the refusal is Bedrock's and not the server's. */
#define HTTP_BODY_MAX_BYTES (SIM_BODY_MAX_BYTES + ((size_t)1 << 20))

#define HTTP_DEFAULT "127.0.0.1:7491"

#define ROW(variable, kind, member, value, least, most, what)                                                          \
    {                                                                                                                  \
        .name = (variable), .type = (kind), .offset = offsetof(sim_settings_t, member), .fallback = (value),           \
        .min = (least), .max = (most), .doc = (what)                                                                   \
    }
#define SECRET(variable, member, value, what)                                                                          \
    {                                                                                                                  \
        .name = (variable), .type = CONFIG_STR, .offset = offsetof(sim_settings_t, member), .fallback = (value),       \
        .flags = CONFIG_SECRET, .doc = (what)                                                                          \
    }

/* clang-format off: one row, one variable */
static const config_row_t rows[] = {
    ROW("MANGABUS_HTTP", CONFIG_STR, listen, HTTP_DEFAULT, 0, 0, "address and port to listen at"),
    ROW("MANGABUS_LOG_LEVEL", CONFIG_STR, log_level, "info", 0, 0, "debug, info, warn, error"),
    ROW("AWS_REGION", CONFIG_STR, region, "ap-northeast-1", 0, 0, "that requests must be signed for"),
    ROW("AWS_ACCESS_KEY_ID", CONFIG_STR, access_key_id, "MANGABUSDEMO", 0, 0, "the one key that may ask"),
    SECRET("AWS_SECRET_ACCESS_KEY", secret_access_key, "mangabus-demo-secret", "its secret"),
    SECRET("AWS_SESSION_TOKEN", session_token, "", "its token; empty: requests must have none"),
    ROW("MANGABUS_SIM_FM_FIRST_TOKEN", CONFIG_MS, first_token_ms, "250ms", 0, 600000,
        "time to the first token of an answer"),
    ROW("MANGABUS_SIM_FM_TOKENS_PER_S", CONFIG_F64, tokens_per_s, "150", 0.1, 1e6, "pace of an answer"),
    ROW("MANGABUS_SIM_FM_EMBED", CONFIG_MS, embed_ms, "5ms", 0, 600000, "time of an embedding"),
    ROW("MANGABUS_SIM_FM_RATE", CONFIG_I64, rate_per_s, "0", 0, SIM_RATE_MAX,
        "requests a second before it throttles; 0: never"),
};
/* clang-format on */

static const config_table_t table = {rows, ARRAY_LEN(rows)};

static int help(void)
{
    buf_t out = {0};
    buf_append_cstr(&out, "bedrock-sim: stands in for Amazon Bedrock's runtime; answers by rule, embeds by n-grams.\n\n"
                          "  bedrock-sim               serve until SIGTERM\n"
                          "  bedrock-sim healthcheck   exit 0 when a running one answers\n"
                          "  bedrock-sim --version\n\nEnvironment:\n");
    config_help(&table, 1, &out);
    (void)fputs(buf_cstr(&out), stdout);
    buf_free(&out);
    return 0;
}

static int markdown(void)
{
    buf_t out = {0};
    config_section("bedrock-sim", "Stands in for Amazon Bedrock's runtime.", &table, 1, &out);
    (void)fputs(buf_cstr(&out), stdout);
    buf_free(&out);
    return 0;
}

/* -- serving ------------------------------------------------------------------------------------- */
static void on_signal(void *ctx, int signal UNUSED)
{
    loop_stop(ctx);
}

static int serve_on(loop_t *loop, const sim_settings_t *settings, const health_address_t *address, error_t *err)
{
    sim_t *sim = sim_new(loop, settings, err);
    if (!sim)
        return EXIT_BUG;
    const http_server_options_t options = {
        .address = address->host, .port = address->port, .body_max_bytes = HTTP_BODY_MAX_BYTES};
    http_server_t *server = http_server_new(loop, &options, sim_handle, sim, err);
    bool is_up = server != NULL;
    if (is_up) {
        log_info("listening", LOG_S("address", address->host), LOG_I("port", http_server_port(server)));
        loop_on_signal(loop, on_signal, loop);
        loop_run(loop);
    }
    sim_free(&sim);
    http_server_free(&server);
    return is_up ? 0 : EXIT_UNREACHABLE;
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

static int run(const sim_settings_t *settings)
{
    log_level_t level;
    health_address_t address;
    char instance[32];
    uint32_t draw;
    error_t err = {0};
    if (!log_level_parse(settings->log_level, &level)) {
        (void)fputs("bedrock-sim: MANGABUS_LOG_LEVEL is debug, info, warn or error\n", stderr);
        return EXIT_WRONG_CONFIG;
    }
    if (!health_address_parse(settings->listen, &address, &err)) {
        (void)fprintf(stderr, "bedrock-sim: %s\n", err.message);
        return EXIT_WRONG_CONFIG;
    }
    clock_random(&draw, sizeof draw);
    (void)snprintf(instance, sizeof instance, "bedrock-sim-%06x", draw & 0xFFFFFFu);
    log_start("bedrock-sim", instance, level);
    return serve(settings, &address);
}

int main(int argc, char **argv)
{
    loop_signals_early();
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--help") == 0)
        return help();
    if (strcmp(verb, "--config-markdown") == 0)
        return markdown();
    if (strcmp(verb, "--version") == 0)
        return printf("bedrock-sim %s\n", MANGABUS_VERSION) < 0;
    if (argc == 2 && strcmp(verb, "healthcheck") == 0)
        return health_check("bedrock-sim", HTTP_DEFAULT);
    if (argc > 1) {
        (void)fputs("usage: bedrock-sim [healthcheck | --help | --version]\n", stderr);
        return EXIT_USAGE;
    }
    sim_settings_t settings = {0};
    void *const targets[] = {&settings};
    error_t err = {0};
    if (!config_load(&table, targets, 1, &err)) {
        (void)fprintf(stderr, "bedrock-sim: %s\n", err.message);
        return EXIT_WRONG_CONFIG;
    }
    int status = run(&settings);
    config_free(&table, targets, 1);
    return status;
}
