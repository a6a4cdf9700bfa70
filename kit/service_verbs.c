/* service_verbs.c: what a service does besides serving: help, version, health check, its configuration as Markdown. */
#include <stdio.h>
#include <stdlib.h>

#include "gen/version.h"
#include "kit/service_internal.h"

#define HEALTH_TIMEOUT_MS 2000

/* -- words --------------------------------------------------------------------------------------- */
static int print(buf_t *text)
{
    bool ok = fputs(buf_cstr(text), stdout) >= 0 && fflush(stdout) == 0;
    buf_free(text);
    return ok ? EX_OK : EX_IOERR;
}

static int help(const service_def_t *def)
{
    service_config_t config;
    buf_t out = {0};
    if (!service_config_init(&config, def))
        return EX_SOFTWARE;
    buf_printf(&out,
               "%s: %s\n\n"
               "  %s               serve until SIGTERM\n"
               "  %s healthcheck   exit 0 when the one that runs here is ready\n"
               "  %s --version     show the version\n\n"
               "It is configured by environment variables; [_FILE]: may be read from a file that NAME_FILE names.\n\n",
               def->name, def->doc, def->name, def->name, def->name);
    config_help(config.tables, config.count, &out);
    service_config_free(&config);
    return print(&out);
}

static int markdown(const service_def_t *def)
{
    service_config_t config;
    buf_t out = {0};
    if (!service_config_init(&config, def))
        return EX_SOFTWARE;
    config_section(def->name, def->doc, config.tables, config.count, &out);
    service_config_free(&config);
    return print(&out);
}

static int version(const service_def_t *def)
{
    buf_t out = {0};
    buf_printf(&out, "%s %s\n", def->name, MANGABUS_VERSION);
    return print(&out);
}

/* -- health check -------------------------------------------------------------------------------- */
typedef struct {
    loop_t *loop;
    const char *name;
    int exit_code;
} check_t;

static void check_done(void *ctx, const http_result_t *result)
{
    check_t *check = ctx;
    bool ready = result->status == STATUS_OK && result->http_status == 200;
    check->exit_code = ready ? EX_OK : 1;
    if (result->status != STATUS_OK)
        (void)fprintf(stderr, "%s: %s\n", check->name, result->error);
    else if (!ready)
        (void)fprintf(stderr, "%s: %.*s", check->name, BYTES_FMT(result->body));
    loop_stop(check->loop);
}

/* Where one that listens everywhere is found from here. */
static const char *reachable(const char *host)
{
    if (strcmp(host, "0.0.0.0") == 0)
        return "127.0.0.1";
    return strcmp(host, "::") == 0 ? "::1" : host;
}

static int check_address(const char *name, const service_address_t *address)
{
    char url[128];
    error_t err = {0};
    const char *host = reachable(address->host);
    bool v6 = strchr(host, ':') != NULL;
    (void)snprintf(url, sizeof url, "http://%s%s%s:%u/readyz", v6 ? "[" : "", host, v6 ? "]" : "", address->port);
    check_t check = {.loop = loop_new(&err), .name = name, .exit_code = EX_UNAVAILABLE};
    http_client_t *client = check.loop ? http_client_new(check.loop, &err) : NULL;
    http_call_t call = {
        .method = "GET", .url = url, .timeout_ms = HEALTH_TIMEOUT_MS, .on_done = check_done, .ctx = &check};
    (void)setenv("no_proxy", "*", 1); /* it asks itself */
    if (client && http_client_start(client, &call, &err))
        loop_run(check.loop);
    else
        (void)fprintf(stderr, "%s: %s\n", name, err.message);
    http_client_free(&client);
    loop_free(&check.loop);
    return check.exit_code;
}

/* It reads MANGABUS_HTTP alone: what else may be wrong is not its question. */
static int healthcheck(const service_def_t *def)
{
    service_config_t config;
    service_address_t address;
    error_t err = {0};
    if (!service_config_init(&config, def))
        return EX_SOFTWARE;
    const char *text = getenv("MANGABUS_HTTP");
    if (!text)
        text = config.http_default;
    int code = EX_CONFIG;
    if (!*text)
        (void)fprintf(stderr, "%s: MANGABUS_HTTP is empty: there is nothing to ask\n", def->name);
    else if (!service_address_parse(text, &address, &err))
        (void)fprintf(stderr, "%s: %s\n", def->name, err.message);
    else
        code = check_address(def->name, &address);
    service_config_free(&config);
    return code;
}

bool service_verb(const service_def_t *def, int argc, char **argv, int *exit_code)
{
    const char *verb = argc > 1 ? argv[1] : NULL;
    if (!verb)
        return false;
    if (argc == 2 && (strcmp(verb, "--help") == 0 || strcmp(verb, "-h") == 0))
        *exit_code = help(def);
    else if (argc == 2 && strcmp(verb, "--version") == 0)
        *exit_code = version(def);
    else if (argc == 2 && strcmp(verb, "healthcheck") == 0)
        *exit_code = healthcheck(def);
    else if (argc == 2 && strcmp(verb, "--config-markdown") == 0)
        *exit_code = markdown(def);
    else {
        (void)fprintf(stderr, "usage: %s [healthcheck | --help | --version]\n", def->name);
        *exit_code = EX_USAGE;
    }
    return true;
}
