/* args.c: the command line of one verb, read by its table. */
#include "tools/mangactl/args.h"

#include <assert.h>
#include <stdlib.h>

#include "proto/timefmt.h"

#define NEAR_ENOUGH 3
#define DISTANCE_TEXT_MAX 64

/* -- values ---------------------------------------------------------------------------------------- */
static bool count_read(const char *text, int64_t *out)
{
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    *out = strtoll(text, &end, 10);
    return *end == '\0' && errno == 0;
}

bool args_duration(const char *text, int64_t *ms)
{
    static const struct {
        const char *name;
        int64_t ms;
    } units[] = {{"", 1}, {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    if (text[0] < '0' || text[0] > '9')
        return false;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    for (size_t i = 0; i < ARRAY_LEN(units) && errno == 0; i++)
        if (strcmp(end, units[i].name) == 0)
            return !__builtin_mul_overflow(number, units[i].ms, ms) && *ms <= INT64_MAX / 1000;
    return false;
}

bool args_moment(const char *text, int64_t now_us, int64_t *unix_us)
{
    int64_t ago_ms;
    if (timefmt_parse(bytes_cstr(text), unix_us))
        return true;
    if (!args_duration(text, &ago_ms))
        return false;
    *unix_us = now_us - ago_ms * 1000;
    return true;
}

bool args_moment_of(const args_t *args, const char *name, int64_t now_us, int64_t *unix_us, error_t *err)
{
    const char *text = args_text(args, name, NULL);
    return !text || args_moment(text, now_us, unix_us) ||
           error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--%s is an RFC 3339 time or a time ago, not \"%s\"", name,
                     text);
}

/* -- names ----------------------------------------------------------------------------------------- */
/* Levenshtein's, one row at a time. */
unsigned args_distance(const char *a, const char *b)
{
    unsigned row[DISTANCE_TEXT_MAX + 1];
    size_t len = strlen(b);
    if (len > DISTANCE_TEXT_MAX)
        return DISTANCE_TEXT_MAX;
    for (size_t j = 0; j <= len; j++)
        row[j] = (unsigned)j;
    for (unsigned i = 1; *a; a++, i++) {
        unsigned diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= len; j++) {
            unsigned change = diagonal + (*a != b[j - 1]);
            diagonal = row[j];
            unsigned best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[len];
}

typedef struct {
    int table, row;
} place_t;

static bool find(const arg_table_t tables[2], const char *name, size_t len, place_t *out)
{
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; i < tables[t].count; i++)
            if (strlen(tables[t].rows[i].name) == len && strncmp(tables[t].rows[i].name, name, len) == 0) {
                *out = (place_t){t, (int)i};
                return true;
            }
    return false;
}

static bool unknown(const arg_table_t tables[2], const char *name, error_t *err)
{
    const char *nearest = NULL;
    unsigned least = NEAR_ENOUGH + 1;
    for (int t = 0; t < 2; t++)
        for (size_t i = 0; i < tables[t].count; i++) {
            unsigned distance = args_distance(name, tables[t].rows[i].name);
            if (distance < least) {
                least = distance;
                nearest = tables[t].rows[i].name;
            }
        }
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "there is no option --%s%s%s%s", name,
                     nearest ? "; did you mean --" : "", nearest ? nearest : "", nearest ? "?" : "");
}

/* -- parsing --------------------------------------------------------------------------------------- */
static bool take_value(args_t *out, place_t at, const char *value, error_t *err)
{
    const arg_option_t *row = &out->tables[at.table].rows[at.row];
    int64_t *number = &out->number[at.table][at.row];
    out->text[at.table][at.row] = value;
    out->given[at.table][at.row] = true;
    if (row->kind == ARG_COUNT && !count_read(value, number))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--%s is a whole number, not \"%s\"", row->name, value);
    if (row->kind == ARG_DURATION && !args_duration(value, number))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                         "--%s is a time such as 250ms, 3s, 5m, 2h or 1d, not \"%s\"", row->name, value);
    return true;
}

/* `at` is the place in argv; moved on when the value is the next word. */
static bool take_option(args_t *out, int argc, char *const *argv, int *at, error_t *err)
{
    const char *word = argv[*at] + 2;
    const char *equals = strchr(word, '=');
    size_t len = equals ? (size_t)(equals - word) : strlen(word);
    place_t place;
    if (!find(out->tables, word, len, &place)) {
        char name[DISTANCE_TEXT_MAX];
        (void)bytes_to_cstr(bytes_from(word, len), name, sizeof name);
        return unknown(out->tables, name, err);
    }
    const arg_option_t *row = &out->tables[place.table].rows[place.row];
    if (row->kind == ARG_FLAG) {
        out->given[place.table][place.row] = true;
        return !equals || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--%s takes no value", row->name);
    }
    if (equals)
        return take_value(out, place, equals + 1, err);
    if (*at + 1 >= argc)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--%s needs a value: --%s %s", row->name, row->name,
                         row->metavar);
    return take_value(out, place, argv[++*at], err);
}

static bool take_positional(args_t *out, const char *word, error_t *err)
{
    if (out->count == ARGS_POSITIONAL_MAX)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "more than %d arguments", ARGS_POSITIONAL_MAX);
    out->positional[out->count++] = word;
    return true;
}

bool args_parse(const arg_table_t tables[2], int argc, char *const *argv, args_t *out, error_t *err)
{
    *out = (args_t){.tables = {tables[0], tables[1]}};
    bool options = true;
    for (int i = 0; i < argc; i++) {
        bool is_option = options && argv[i][0] == '-' && argv[i][1] != '\0';
        bool ok = true;
        if (options && strcmp(argv[i], "--") == 0)
            options = false;
        else if (is_option && argv[i][1] == '-')
            ok = take_option(out, argc, argv, &i, err);
        else if (is_option)
            ok = error_set(err, STATUS_INVALID_ARGUMENT, NULL,
                           "%s: options are written with two dashes; put -- before a text that begins with one",
                           argv[i]);
        else
            ok = take_positional(out, argv[i], err);
        if (!ok)
            return false;
    }
    return true;
}

/* -- looking --------------------------------------------------------------------------------------- */
static place_t place_of(const args_t *args, const char *name)
{
    place_t at = {0, 0};
    bool found = find(args->tables, name, strlen(name), &at);
    assert(found);
    (void)found;
    return at;
}

bool args_given(const args_t *args, const char *name)
{
    place_t at = place_of(args, name);
    return args->given[at.table][at.row];
}

const char *args_text(const args_t *args, const char *name, const char *fallback)
{
    place_t at = place_of(args, name);
    return args->given[at.table][at.row] ? args->text[at.table][at.row] : fallback;
}

int64_t args_number(const args_t *args, const char *name, int64_t fallback)
{
    place_t at = place_of(args, name);
    return args->given[at.table][at.row] ? args->number[at.table][at.row] : fallback;
}
