/* args.h: the command line of one verb, read by a table that also makes its help and its completion. */
#ifndef MANGACTL_ARGS_H
#define MANGACTL_ARGS_H

#include "proto/bytes.h"
#include "proto/status.h"

#define ARGS_OPTIONS_MAX 32
#define ARGS_POSITIONAL_MAX 64

typedef enum {
    ARG_FLAG,
    ARG_TEXT,
    ARG_COUNT,    /* whole number, 0 or more */
    ARG_DURATION, /* "250ms", "3s", "5m", "2h", "30d"; milliseconds */
} arg_kind_t;

typedef struct {
    const char *name; /* without the dashes */
    arg_kind_t kind;
    const char *metavar; /* "FILE"; NULL for a flag */
    const char *doc;
} arg_option_t;

typedef struct {
    const arg_option_t *rows;
    size_t count;
} arg_table_t;

typedef struct {
    arg_table_t tables[2]; /* the verb's own, and those that every verb has */
    const char *text[2][ARGS_OPTIONS_MAX];
    int64_t number[2][ARGS_OPTIONS_MAX];
    bool given[2][ARGS_OPTIONS_MAX];
    const char *positional[ARGS_POSITIONAL_MAX];
    int count;
} args_t;

/* Options and positionals in any order; "--name value" and "--name=value"; "--" ends the options; "-" is a
 * positional. False (INVALID_ARGUMENT) names what is wrong and the nearest right name. Texts are borrowed. */
MUST_USE bool args_parse(const arg_table_t tables[2], int argc, char *const *argv, args_t *out, error_t *err);

/* `name` must be in a table: anything else is a bug. */
bool args_given(const args_t *args, const char *name);
const char *args_text(const args_t *args, const char *name, const char *fallback);
int64_t args_number(const args_t *args, const char *name, int64_t fallback);

/* "250ms", "3s", "5m", "2h", "30d", or a bare number of milliseconds. */
MUST_USE bool args_duration(const char *text, int64_t *ms);

/* A moment: RFC 3339, or a duration before now_us. */
MUST_USE bool args_moment(const char *text, int64_t now_us, int64_t *unix_us);
/* That of an option, which leaves *unix_us alone when it is not given; INVALID_ARGUMENT when it is none. */
MUST_USE bool args_moment_of(const args_t *args, const char *name, int64_t now_us, int64_t *unix_us, error_t *err);

/* How many single-character edits make `b` of `a`; large for long texts. */
unsigned args_distance(const char *a, const char *b);

#endif
