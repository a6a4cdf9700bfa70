/* options.c: the table of the broker's variables. */
#include "broker/options.h"

#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kit/tzdata.h"

#define ROW(NAME, TYPE, member, fallback_text, low, high, text)                                                        \
    {                                                                                                                  \
        .name = (NAME), .type = (TYPE), .offset = offsetof(options_t, member), .fallback = (fallback_text),            \
        .min = (low), .max = (high), .doc = (text)                                                                     \
    }

#define MIB (1024.0 * 1024.0)

static const config_row_t rows[] = {
    ROW("MANGABUS_ENDPOINT", CONFIG_STR, endpoint, "tcp://127.0.0.1:7447", 0, 0,
        "where the bus listens; port * takes a free one"),
    ROW("MANGABUS_ENDPOINT_LOCAL", CONFIG_STR, endpoint_local, "", 0, 0,
        "a second endpoint without keys, loopback or ipc only; empty for none"),
    ROW("MANGABUS_CURVE_DIR", CONFIG_STR, curve_dir, "", 0, 0,
        "folder with server.key and clients/NAME.pub; empty: no keys, loopback only"),
    ROW("MANGABUS_INSECURE", CONFIG_BOOL, insecure, "0", 0, 0,
        "1: listen beyond loopback without keys; everybody may do everything"),
    ROW("MANGABUS_HTTP", CONFIG_STR, http, OPTIONS_HTTP_DEFAULT, 0, 0, "health and metrics; empty for none"),
    ROW("MANGABUS_LOG_LEVEL", CONFIG_STR, log_level, "info", 0, 0, "debug, info, warn, error"),
    ROW("MANGABUS_DRAIN", CONFIG_MS, drain_ms, "10s", 0, 600e3, "time to finish after SIGTERM"),
    ROW("MANGABUS_STATE", CONFIG_STR, state, "", 0, 0,
        "folder for the journal (in journal/); empty: /var/tmp/mangabus-$USER"),
    ROW("MANGABUS_TOPOLOGY", CONFIG_STR, topology, "", 0, 0, "topology document; empty: the shipped one"),
    ROW("MANGABUS_ROLES", CONFIG_STR, roles, "", 0, 0, "roles document; empty: the shipped one"),
    ROW("TZDIR", CONFIG_STR, tzdir, TZDATA_FOLDER, 0, 0, "folder with the time zones that schedules may name (tzdata)"),
    ROW("MANGABUS_GRACE", CONFIG_MS, grace_ms, "30s", 100, 3600e3,
        "how long a silent session and what it holds is kept"),
    ROW("MANGABUS_HEARTBEAT", CONFIG_MS, heartbeat_ms, "2s", 50, 600e3,
        "PING after so much silence; three make a death"),
    ROW("MANGABUS_MAX_FRAME", CONFIG_BYTES, max_frame_bytes, "8MiB", 2 * MIB, 64 * MIB, "largest frame that is read"),
    ROW("MANGABUS_SEGMENT", CONFIG_BYTES, segment_bytes, "64MiB", 8 * MIB, 1024 * MIB,
        "size of a journal file; rounded down to 4 KiB"),
    ROW("MANGABUS_TAIL_CACHE", CONFIG_BYTES, tail_cache_bytes, "64MiB", 1 * MIB, 65536 * MIB,
        "newest records kept in memory"),
    ROW("MANGABUS_JOURNAL_CHECKPOINT_BYTES", CONFIG_BYTES, checkpoint_bytes, "1GiB", 1 * MIB, 1048576 * MIB,
        "a snapshot is taken when so much log has gathered behind the last one"),
    ROW("MANGABUS_JOURNAL_RETAIN_BYTES", CONFIG_BYTES, retain_bytes, "1GiB", 0, 1048576 * MIB,
        "so much of the newest log stays readable for live subscriptions that come back"),
    ROW("MANGABUS_JOURNAL_RETAIN", CONFIG_MS, retain_ms, "0", 0, 8760.0 * 3600e3,
        "and so long; 0: no longer than the bytes say"),
    ROW("MANGABUS_LAG_RECORDS", CONFIG_I64, lag_records, "1000000", 16, 1e12,
        "a live subscription further behind gets a GAP"),
};

config_table_t options_table(void)
{
    return (config_table_t){.rows = rows, .count = ARRAY_LEN(rows)};
}

bool options_load(options_t *out, error_t *err)
{
    config_table_t table = options_table();
    void *settings = out;
    return config_load(&table, &settings, 1, err);
}

void options_free(options_t *options)
{
    config_table_t table = options_table();
    void *settings = options;
    config_free(&table, &settings, 1);
}

static bool is_readable(const char *dir, const char *below, const char *name, char out[OPTIONS_PATH_BYTES])
{
    int len = snprintf(out, OPTIONS_PATH_BYTES, "%s/%s/%s", dir, below, name);
    return len > 0 && len < OPTIONS_PATH_BYTES && access(out, R_OK) == 0;
}

bool options_find_document(const char *name, char out[OPTIONS_PATH_BYTES], error_t *err)
{
    /* build/bin, build/san/bin and an installation's bin */
    static const char *const places[] = {"../share/mangabus", "../../broker", "../../../broker"};
    char dir[OPTIONS_PATH_BYTES];
    ssize_t len = readlink("/proc/self/exe", dir, sizeof dir - 1);
    dir[len > 0 ? len : 0] = '\0';
    char *slash = strrchr(dir, '/');
    if (slash)
        *slash = '\0';
    for (size_t i = 0; slash && i < ARRAY_LEN(places); i++)
        if (is_readable(dir, places[i], name, out))
            return true;
    return error_set(err, STATUS_NOT_FOUND, NULL, "%s is not beside this program (%s): say where it is.", name, dir);
}

static const char *user_name(void)
{
    const char *name = getenv("USER");
    if (name && *name)
        return name;
    const struct passwd *entry = getpwuid(getuid());
    return entry ? entry->pw_name : "nobody";
}

bool options_state_dir(const options_t *options, char out[OPTIONS_PATH_BYTES], error_t *err)
{
    int len = *options->state ? snprintf(out, OPTIONS_PATH_BYTES, "%s", options->state)
                              : snprintf(out, OPTIONS_PATH_BYTES, "/var/tmp/mangabus-%s", user_name());
    if (len < OPTIONS_PATH_BYTES)
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "MANGABUS_STATE: the path is too long.");
}
