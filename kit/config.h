/* config.h: configuration from the environment, described once in a table.
 *
 * The table fills a struct, writes `--help` and the rows of docs/configuration.md, and refuses what is
 * wrong, naming the variable, the value (never a secret's) and what would be right. A variable NAME_FILE is
 * read from the file it names where the row says CONFIG_SECRET (secrets never come by flag). A MANGABUS_*
 * variable that is unknown but nearly a known one is reported as a warning with that name; any other is another
 * program's. */
#ifndef KIT_CONFIG_H
#define KIT_CONFIG_H

#include "proto/bytes.h"
#include "proto/status.h"

#define CONFIG_VALUE_MAX_BYTES 4096

typedef enum {
    CONFIG_STR,   /* char *: malloc'd; never NULL */
    CONFIG_I64,   /* int64_t within min..max */
    CONFIG_F64,   /* double within min..max */
    CONFIG_BOOL,  /* bool: 1 0 true false yes no */
    CONFIG_MS,    /* int64_t milliseconds: "250ms", "3s", "5m", "2h", "30d"; a bare number is milliseconds */
    CONFIG_BYTES, /* int64_t bytes: "512", "64KiB", "8MiB", "1GiB" */
    CONFIG_URL,   /* char *: http or https, or empty */
} config_type_t;

enum { CONFIG_SECRET = 1, CONFIG_REQUIRED = 2 };

typedef struct {
    const char *name; /* MANGABUS_ENDPOINT; or a foreign one: AWS_REGION, PGHOST, OTEL_… */
    config_type_t type;
    size_t offset;        /* in the settings struct */
    const char *fallback; /* as text; NULL with CONFIG_REQUIRED */
    double min, max;      /* numbers, durations (ms), sizes (bytes); both 0: no bounds */
    int flags;
    const char *doc; /* one line */
} config_row_t;

typedef struct {
    const config_row_t *rows;
    size_t count;
} config_table_t;

/* Reads the environment into `settings`, table after table (all describe the same struct, or each its own:
 * `settings[i]` goes with `tables[i]`). False, with every complaint in `err`'s message or on stderr. */
MUST_USE bool config_load(const config_table_t *tables, void *const *settings, size_t count, error_t *err);
void config_free(const config_table_t *tables, void *const *settings, size_t count);

/* Appends the table for `--help` (text) or docs/configuration.md (Markdown). */
void config_help(const config_table_t *tables, size_t count, buf_t *out);
void config_markdown(const config_table_t *tables, size_t count, buf_t *out);
/* The same as a section of docs/configuration.md, for the verb `--config-markdown` of a program. */
void config_section(const char *program, const char *doc, const config_table_t *tables, size_t count, buf_t *out);

#endif
