/* service_verbs.c: what a service does besides serving: help, version, health check, its configuration as Markdown. */
#include <stdio.h>
#include <stdlib.h>

#include "gen/version.h"
#include "kit/health.h"
#include "kit/service_internal.h"

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
static int healthcheck(const service_def_t *def)
{
    service_config_t config;
    if (!service_config_init(&config, def))
        return EX_SOFTWARE;
    int code = health_check(def->name, config.http_default);
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
