/* config.c: from the environment into structs, with every complaint at once; and the tables in words. */
#include "kit/config.h"

#include <errno.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "kit/config_internal.h"
#include "kit/log.h"

#define OURS "MANGABUS_"
#define NAME_BYTES 256
/* An unknown name this many edits away from a known one is taken for a slip of the pen; farther away it belongs to
 * another program: all share one environment. */
#define NEAR_EDITS 2

extern char **environ;

typedef struct {
    error_t *err;
    unsigned count; /* of complaints */
} complaints_t;

/* Each is a line in the log; the first is the error. */
static void complain(complaints_t *complaints, const char *name, const char *why)
{
    log_error("configuration refused", LOG_S("variable", name), LOG_S("error", why));
    if (complaints->count++ == 0)
        (void)error_set(complaints->err, STATUS_INVALID_ARGUMENT, NULL, "%s %s", name, why);
}

static const char *user_name(char *scratch, size_t cap)
{
    const char *user = getenv("USER");
    struct passwd *entry = user && *user ? NULL : getpwuid(getuid());
    (void)bytes_to_cstr(bytes_cstr(entry ? entry->pw_name : user), scratch, cap);
    return *scratch ? scratch : "nobody";
}

/* Defaults may say $USER. */
static void expand_user(const char *text, buf_t *out)
{
    char scratch[NAME_BYTES];
    for (const char *found; (found = strstr(text, "$USER")) != NULL; text = found + strlen("$USER")) {
        buf_append(out, text, (size_t)(found - text));
        buf_append_cstr(out, user_name(scratch, sizeof scratch));
    }
    buf_append_cstr(out, text);
}

/* A secret's file: its content without the line feed that editors put at the end. */
static bool file_read(const char *path, buf_t *out, buf_t *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        buf_printf(why, "names the file %s, which cannot be read: %s", path, strerror(errno));
        return false;
    }
    char text[CONFIG_VALUE_MAX_BYTES + 2];
    ssize_t n = read(fd, text, sizeof text);
    (void)close(fd);
    while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
        n--;
    if (n < 0)
        buf_printf(why, "names the file %s, which cannot be read: %s", path, strerror(errno));
    else if (n > CONFIG_VALUE_MAX_BYTES || memchr(text, 0, (size_t)n))
        buf_printf(why, "names the file %s, which is longer than %d bytes or holds a NUL", path,
                   CONFIG_VALUE_MAX_BYTES);
    else
        buf_append(out, text, (size_t)n);
    explicit_bzero(text, sizeof text);
    return why->len == 0;
}

static bool file_variable(const config_row_t *row, char name[NAME_BYTES])
{
    int n = snprintf(name, NAME_BYTES, "%s_FILE", row->name);
    return (row->flags & CONFIG_SECRET) && n > 0 && n < NAME_BYTES;
}

/* The row's text from the environment, its file or its default. False with a complaint in `why`. */
static bool text_find(const config_row_t *row, buf_t *text, buf_t *why)
{
    char file_name[NAME_BYTES];
    const char *path = file_variable(row, file_name) ? getenv(file_name) : NULL;
    const char *value = getenv(row->name);
    bool keeps_empty = (row->type == CONFIG_STR || row->type == CONFIG_URL) && !(row->flags & CONFIG_REQUIRED);
    if (value && !*value && (!keeps_empty || path))
        value = NULL; /* as compose passes a variable that is not set */
    if (value && path)
        buf_printf(why, "and %s_FILE are both set; set one of them", row->name);
    else if (path)
        return file_read(path, text, why);
    else if (value && strlen(value) > CONFIG_VALUE_MAX_BYTES)
        buf_printf(why, "is longer than %d bytes", CONFIG_VALUE_MAX_BYTES);
    else if (value)
        buf_append_cstr(text, value);
    else if (row->fallback)
        expand_user(row->fallback, text);
    else
        buf_append_cstr(why, "must be set");
    return why->len == 0;
}

static void row_load(const config_row_t *row, void *settings, complaints_t *complaints)
{
    buf_t text = {0}, why = {0};
    if (!text_find(row, &text, &why)) {
        complain(complaints, row->name, buf_cstr(&why));
    } else if (!config_value_read(row, buf_cstr(&text), settings, &why)) {
        if (!(row->flags & CONFIG_SECRET))
            buf_printf(&why, ", not '%.200s'", buf_cstr(&text));
        complain(complaints, row->name, buf_cstr(&why));
    }
    if (text.data)
        explicit_bzero(text.data, text.cap);
    buf_free(&text);
    buf_free(&why);
}

/* -- names that nobody knows --------------------------------------------------------------------- */
typedef struct {
    const char *name; /* looked for */
    char nearest[NAME_BYTES];
    unsigned distance;
} search_t;

static void consider(search_t *search, const char *known)
{
    unsigned distance = config_distance(search->name, known);
    if (distance < search->distance) {
        search->distance = distance;
        (void)bytes_to_cstr(bytes_cstr(known), search->nearest, sizeof search->nearest);
    }
}

static void search_tables(search_t *search, const config_table_t *tables, size_t count)
{
    char file_name[NAME_BYTES];
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            consider(search, tables[t].rows[i].name);
            if (file_variable(&tables[t].rows[i], file_name))
                consider(search, file_name);
        }
}

static void warn_if_unknown(const char *name, const config_table_t *tables, size_t count)
{
    search_t search = {.name = name, .distance = UINT32_MAX};
    search_tables(&search, tables, count);
    if (search.distance == 0)
        return;
    if (search.distance <= NEAR_EDITS)
        log_warn("unknown variable, ignored", LOG_S("variable", name), LOG_S("did_you_mean", search.nearest));
    else
        log_debug("not a variable of this program", LOG_S("variable", name));
}

static void warn_unknown(const config_table_t *tables, size_t count)
{
    for (char **entry = environ; entry && *entry; entry++) {
        size_t len = strcspn(*entry, "=");
        char name[NAME_BYTES];
        if (strncmp(*entry, OURS, strlen(OURS)) == 0 && bytes_to_cstr(bytes_from(*entry, len), name, sizeof name))
            warn_if_unknown(name, tables, count);
    }
}

/* -- the whole ----------------------------------------------------------------------------------- */
bool config_load(const config_table_t *tables, void *const *settings, size_t count, error_t *err)
{
    complaints_t complaints = {.err = err};
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            row_load(&tables[t].rows[i], settings[t], &complaints);
    warn_unknown(tables, count);
    if (complaints.count == 0)
        return true;
    config_free(tables, settings, count);
    if (complaints.count > 1)
        (void)error_prefix(err, "%u variables are wrong, the first", complaints.count);
    return false;
}

static void row_free(const config_row_t *row, void *settings)
{
    if (row->type != CONFIG_STR && row->type != CONFIG_URL)
        return;
    char **text = (char **)((char *)settings + row->offset);
    if (*text && (row->flags & CONFIG_SECRET))
        explicit_bzero(*text, strlen(*text));
    free(*text);
    *text = NULL;
}

void config_free(const config_table_t *tables, void *const *settings, size_t count)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            row_free(&tables[t].rows[i], settings[t]);
}

/* -- in words ------------------------------------------------------------------------------------ */
static void help_row(const config_row_t *row, buf_t *out)
{
    buf_printf(out, "  %s%s (", row->name, (row->flags & CONFIG_SECRET) ? "[_FILE]" : "");
    config_type_describe(row, out);
    if (!row->fallback)
        buf_append_cstr(out, "; required");
    else
        buf_printf(out, "; default %s", *row->fallback ? row->fallback : "empty");
    buf_printf(out, ")\n      %s\n", row->doc);
}

void config_help(const config_table_t *tables, size_t count, buf_t *out)
{
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            help_row(&tables[t].rows[i], out);
}

/* A bar would end the cell. */
static void cell_append(buf_t *out, const char *text)
{
    for (; *text; text++) {
        if (*text == '|')
            buf_append_byte(out, '\\');
        buf_append_byte(out, (uint8_t)*text);
    }
}

static void markdown_row(const config_row_t *row, buf_t *out)
{
    buf_printf(out, "| `%s`%s | ", row->name, (row->flags & CONFIG_SECRET) ? " (or `_FILE`)" : "");
    config_type_describe(row, out);
    if (!row->fallback)
        buf_append_cstr(out, " | required | ");
    else if (!*row->fallback)
        buf_append_cstr(out, " | empty | ");
    else {
        buf_append_cstr(out, " | `");
        cell_append(out, row->fallback);
        buf_append_cstr(out, "` | ");
    }
    cell_append(out, row->doc);
    buf_append_cstr(out, " |\n");
}

void config_markdown(const config_table_t *tables, size_t count, buf_t *out)
{
    buf_append_cstr(out, "| variable | type | default | meaning |\n|---|---|---|---|\n");
    for (size_t t = 0; t < count; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            markdown_row(&tables[t].rows[i], out);
}

void config_section(const char *program, const char *doc, const config_table_t *tables, size_t count, buf_t *out)
{
    buf_printf(out, "## %s\n\n%s\n\n", program, doc);
    config_markdown(tables, count, out);
}
