/* main.c: bedrock-sim: an honest stand-in for Bedrock's runtime, where no model can run. */
#include <arpa/inet.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "gen/version.h"
#include "kit/clock.h"
#include "kit/config.h"
#include "kit/log.h"
#include "tools/sims/bedrock-sim/sim.h"

enum { EXIT_USAGE = 64, EXIT_UNREACHABLE = 69, EXIT_BUG = 70, EXIT_WRONG_CONFIG = 78 };

#define HEALTH_TIMEOUT_S 3
#define HOST_BYTES 128
/* Above what Bedrock takes, so that the refusal is Bedrock's and not the server's. */
#define HTTP_BODY_MAX_BYTES (SIM_BODY_MAX_BYTES + ((size_t)1 << 20))

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
    ROW("MANGABUS_HTTP", CONFIG_STR, listen, "127.0.0.1:7491", 0, 0, "address and port to listen at"),
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

typedef struct {
    char host[HOST_BYTES];
    uint16_t port;
} address_t;

static bool address_parse(const char *text, address_t *out)
{
    const char *colon = strrchr(text, ':');
    if (!colon || (size_t)(colon - text) >= sizeof out->host)
        return false;
    char *end;
    unsigned long port = strtoul(colon + 1, &end, 10);
    (void)snprintf(out->host, sizeof out->host, "%.*s", (int)(colon - text), text);
    out->port = (uint16_t)port;
    return end != colon + 1 && !*end && port <= UINT16_MAX;
}

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

/* -- healthcheck --------------------------------------------------------------------------------- */
static bool answers(int fd, const address_t *address)
{
    static const char request[] = "GET /readyz HTTP/1.0\r\nHost: localhost\r\n\r\n";
    static const char wanted[] = "HTTP/1.";
    const struct timeval limit = {.tv_sec = HEALTH_TIMEOUT_S};
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(address->port)};
    char answer[16] = {0};
    bool is_any = strcmp(address->host, "0.0.0.0") == 0 || strcmp(address->host, "::") == 0;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    return inet_pton(AF_INET, is_any ? "127.0.0.1" : address->host, &to.sin_addr) == 1 &&
           connect(fd, (const struct sockaddr *)&to, sizeof to) == 0 &&
           send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof request - 1) &&
           recv(fd, answer, 12, MSG_WAITALL) == 12 && strncmp(answer, wanted, sizeof wanted - 1) == 0 &&
           strcmp(answer + 8, " 200") == 0;
}

static int healthcheck(const address_t *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool is_well = fd >= 0 && answers(fd, address);
    if (fd >= 0)
        (void)close(fd);
    return is_well ? 0 : EXIT_UNREACHABLE;
}

/* -- serving ------------------------------------------------------------------------------------- */
static void on_signal(void *ctx, int signal UNUSED)
{
    loop_stop(ctx);
}

static int serve_on(loop_t *loop, const sim_settings_t *settings, const address_t *address, error_t *err)
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

static int serve(const sim_settings_t *settings, const address_t *address)
{
    error_t err = {0};
    loop_t *loop = loop_new(&err);
    int status = loop ? serve_on(loop, settings, address, &err) : EXIT_BUG;
    if (status != 0)
        log_error("could not start", LOG_S("error", err.message));
    loop_free(&loop);
    return status;
}

static int run(bool is_check, const sim_settings_t *settings)
{
    log_level_t level;
    address_t address;
    char instance[32];
    uint32_t draw;
    if (!log_level_parse(settings->log_level, &level) || !address_parse(settings->listen, &address)) {
        (void)fputs("bedrock-sim: MANGABUS_LOG_LEVEL is debug, info, warn or error; MANGABUS_HTTP is ADDRESS:PORT\n",
                    stderr);
        return EXIT_WRONG_CONFIG;
    }
    if (is_check)
        return healthcheck(&address);
    clock_random(&draw, sizeof draw);
    (void)snprintf(instance, sizeof instance, "bedrock-sim-%06x", draw & 0xFFFFFFu);
    log_start("bedrock-sim", instance, level);
    return serve(settings, &address);
}

int main(int argc, char **argv)
{
    const char *verb = argc > 1 ? argv[1] : "";
    if (strcmp(verb, "--help") == 0)
        return help();
    if (strcmp(verb, "--config-markdown") == 0)
        return markdown();
    if (strcmp(verb, "--version") == 0)
        return printf("bedrock-sim %s\n", MANGABUS_VERSION) < 0;
    if (argc > 2 || (*verb && strcmp(verb, "healthcheck") != 0)) {
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
    int status = run(*verb != '\0', &settings);
    config_free(&table, targets, 1);
    return status;
}
