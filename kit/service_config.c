/* service_config.c: the variables that every process has, and the process's own beside them. */
#include <stdio.h>
#include <stdlib.h>

#include "kit/service_internal.h"

#define COMMON(NAME, TYPE, member, fallback_text, low, high, text)                                                     \
    {                                                                                                                  \
        .name = (NAME), .type = (TYPE), .offset = offsetof(service_common_t, member), .fallback = (fallback_text),     \
        .min = (low), .max = (high), .doc = (text)                                                                     \
    }
#define DATABASE(NAME, TYPE, member, fallback_text, low, high, mark, text)                                             \
    {                                                                                                                  \
        .name = (NAME), .type = (TYPE), .offset = offsetof(service_database_t, member), .fallback = (fallback_text),   \
        .min = (low), .max = (high), .flags = (mark), .doc = (text)                                                    \
    }
#define HTTP_VARIABLE "MANGABUS_HTTP"

static const config_row_t common_rows[] = {
    COMMON("MANGABUS_ENDPOINT", CONFIG_STR, endpoint, "tcp://127.0.0.1:7447", 0, 0, "the broker"),
    COMMON("MANGABUS_CURVE_DIR", CONFIG_STR, curve_dir, "", 0, 0,
           "folder with this process's keys: server.pub, NAME.pub, NAME.key (NAME: the service); empty: no encryption"),
    COMMON(HTTP_VARIABLE, CONFIG_STR, http, "", 0, 0, "health and metrics, ADDRESS:PORT; empty for none"),
    COMMON("MANGABUS_LOG_LEVEL", CONFIG_STR, log_level, "info", 0, 0, "debug, info, warn, error"),
    COMMON("MANGABUS_DRAIN", CONFIG_MS, drain_ms, "10s", 0, 3600e3, "time to finish work after SIGTERM"),
    COMMON("MANGABUS_STATE", CONFIG_STR, state, "/var/tmp/mangabus-$USER", 0, 0, "folder where local state lives"),
};

static const config_row_t database_rows[] = {
    DATABASE("PGHOST", CONFIG_STR, pghost, "", 0, 0, 0, "PostgreSQL's host or socket folder; empty: the local socket"),
    DATABASE("PGPORT", CONFIG_STR, pgport, "", 0, 0, 0, "its port; empty: 5432"),
    DATABASE("PGUSER", CONFIG_STR, pguser, "", 0, 0, 0, "its user; empty: the operating system's"),
    DATABASE("PGPASSWORD", CONFIG_STR, pgpassword, "", 0, 0, CONFIG_SECRET, "the user's password"),
    DATABASE("PGDATABASE", CONFIG_STR, pgdatabase, "", 0, 0, 0, "its database; empty: as the user"),
    DATABASE("PGSSLMODE", CONFIG_STR, pgsslmode, "", 0, 0, 0, "disable, prefer, require, verify-full; empty: prefer"),
    DATABASE("MANGABUS_PG_CONNECTIONS", CONFIG_I64, connections, "4", 1, 64, 0, "connections to PostgreSQL"),
    DATABASE("MANGABUS_PG_WAIT", CONFIG_MS, wait_ms, "60s", 0, 3600e3, 0, "how long to wait for PostgreSQL at start"),
};

static void add(service_config_t *config, config_table_t table, void *settings)
{
    config->tables[config->count] = table;
    config->settings[config->count++] = settings;
}

/* The port of MANGABUS_HTTP is the process's own. */
static void common_init(service_config_t *config, const service_def_t *def)
{
    _Static_assert(ARRAY_LEN(common_rows) <= SERVICE_ROWS_MAX, "SERVICE_ROWS_MAX is too small");
    (void)snprintf(config->http_default, sizeof config->http_default, "127.0.0.1:%u", def->http_port);
    memcpy(config->common_rows, common_rows, sizeof common_rows);
    for (size_t i = 0; i < ARRAY_LEN(common_rows); i++)
        if (strcmp(common_rows[i].name, HTTP_VARIABLE) == 0)
            config->common_rows[i].fallback = config->http_default;
    add(config, (config_table_t){config->common_rows, ARRAY_LEN(common_rows)}, &config->common);
}

bool service_config_init(service_config_t *config, const service_def_t *def)
{
    *config = (service_config_t){0};
    config->own = calloc(1, def->settings_bytes ? def->settings_bytes : 1);
    if (!config->own)
        return false;
    add(config, def->config, config->own);
    if (def->migrations)
        add(config, (config_table_t){database_rows, ARRAY_LEN(database_rows)}, &config->database);
    common_init(config, def);
    return true;
}

void service_config_free(service_config_t *config)
{
    config_free(config->tables, config->settings, config->count);
    free(config->own);
    config->own = NULL;
    config->count = 0;
}
