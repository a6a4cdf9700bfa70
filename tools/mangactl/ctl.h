/* ctl.h: what every verb stands on: its place in the table of commands, where output goes, and a session. */
#ifndef MANGACTL_CTL_H
#define MANGACTL_CTL_H

#include <stdio.h>

#include "kit/bus.h"
#include "kit/config.h"
#include "proto/json.h"
#include "tools/mangactl/args.h"
#include "tools/mangactl/contexts.h"

/* docs/conventions.md, exit codes */
enum {
    CTL_OK = 0,
    CTL_NO = 1,
    CTL_USAGE = 64,
    CTL_DATA = 65,
    CTL_UNREACHABLE = 69,
    CTL_BUG = 70,
    CTL_DISK = 74,
    CTL_TRY_AGAIN = 75,
    CTL_PERMISSION = 77,
    CTL_CONFIG = 78,
};

#define CTL_PATH_BYTES 4096
#define CTL_CONNECT_MS 2500 /* patience for a session */
#define CTL_ASK_MS 5000     /* patience for an answer about the broker */

typedef struct ctl ctl_t;

typedef struct {
    const char *name;      /* "queue ls" */
    const char *arguments; /* "QUEUE", for the first line of help; "" for none */
    const char *summary;   /* one line */
    const char *about;     /* a paragraph for its help; NULL for none */
    arg_table_t options;
    int least, most;             /* positionals */
    const char *const *examples; /* whole command lines, NULL-terminated */
    int (*run)(ctl_t *ctl, const args_t *args);
} command_t;

struct ctl {
    FILE *out, *err; /* results; progress and complaints */
    bool json;
    bool color;
    const char *program;
    const char *endpoint;
    const char *curve_dir; /* "" for none */
    context_t context;     /* what of the two came from a file */
    const command_t *command;

    /* a session; all NULL until ctl_connect */
    loop_t *loop;
    bus_t *bus;
    loop_timer_t *patience, *limit;
    char instance[32];
    bool is_up, is_waiting;
    int64_t skew_us;  /* the broker's clock is ahead by */
    bool interrupted; /* SIGINT or SIGTERM */
    bool timed_out;   /* ctl_limit's time is over */
    bool done;
    char why[ERROR_MESSAGE_BYTES];
};

/* Everything but main(): for the tests too. `argv` without the program's name. */
int ctl_main(int argc, char *const *argv, FILE *out, FILE *err);

/* -- session --------------------------------------------------------------------------------------- */
/* Connects and waits for the session; false, with the complaint printed and *code set. */
MUST_USE bool ctl_connect(ctl_t *ctl, int *code);
/* Runs the loop until ctl_done, a signal, or the limit. */
void ctl_wait(ctl_t *ctl);
void ctl_done(ctl_t *ctl);
/* ctl_wait ends after so many milliseconds. */
void ctl_limit(ctl_t *ctl, int64_t ms);
void ctl_disconnect(ctl_t *ctl);
/* The broker's clock, Unix microseconds. */
int64_t ctl_broker_now_us(const ctl_t *ctl);
/* One question about the broker: connects, asks, waits. The answer (msgpack) is appended to `out`. */
MUST_USE bool ctl_ask(ctl_t *ctl, wire_verb_t verb, const char *op, const char *name, bytes_t args, bytes_t body,
                      buf_t *out, int *code);

/* -- saying ---------------------------------------------------------------------------------------- */
/* Prints the complaint (with --json as an object) on stderr and returns its exit code. */
int ctl_fail(ctl_t *ctl, const error_t *err);
int ctl_complain(ctl_t *ctl, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);
int ctl_exit_code(status_t status);
/* One line on stderr, unless --json. */
void ctl_note(ctl_t *ctl, const char *fmt, ...) PRINTF_LIKE(2, 3);
/* A msgpack value as JSON, and a newline. */
int ctl_print_json(ctl_t *ctl, bytes_t value, json_style_t style);
/* Escape sequences, or "" where there is no colour. */
const char *ctl_bold(const ctl_t *ctl);
const char *ctl_dim(const ctl_t *ctl);
const char *ctl_plain(const ctl_t *ctl);
/* The text with control characters taken out: what came from outside must not steer the terminal. */
void ctl_print_text(FILE *out, bytes_t text);

/* -- reading --------------------------------------------------------------------------------------- */
/* JSON given as the text itself, as "@file", or as "-" for stdin; appended to `out` as msgpack. */
MUST_USE bool ctl_read_json(const char *given, buf_t *out, error_t *err);
/* The bytes that ctl_read_json would parse. */
MUST_USE bool ctl_read_document(const char *given, buf_t *out, error_t *err);
/* A msgpack map's text, or `fallback`. */
bytes_t ctl_map_text(bytes_t map, const char *key, const char *fallback);
uint64_t ctl_map_number(bytes_t map, const char *key);

/* MANGABUS_STATE, or the broker's default for this user. */
void ctl_state_dir(char *out, size_t cap);

/* -- commands.c ------------------------------------------------------------------------------------ */
const command_t *const *commands_all(size_t *count);
/* The command that the words name, by its one or two words; *used is how many. NULL when there is none. */
const command_t *commands_find(int argc, char *const *argv, int *used);
const arg_table_t *commands_common(void);
/* For words alone: what the environment may say. */
const config_table_t *commands_environment(void);
void commands_help(FILE *out);
void commands_markdown(FILE *out); /* the environment, as a section of docs/configuration.md */
void commands_help_one(FILE *out, const command_t *command);
/* The nearest command's name to what was typed; NULL when nothing is near. */
const char *commands_nearest(const char *word);
/* What follows `word` in the names of commands: "ls, info, peek" for queue. False for none. */
bool commands_group(const char *word, buf_t *out);

#endif
