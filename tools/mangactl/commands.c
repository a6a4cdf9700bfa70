/* commands.c: the table of commands, and the help that comes of it. */
#include "kit/config.h"
#include "tools/mangactl/verbs.h"

#define NEAR_ENOUGH 2

/* clang-format off: one a line, so that what is added stands out */
static const command_t *const COMMANDS[] = {
    &command_ask,
    &command_publish,
    &command_send,
    &command_call,
    &command_tail,
    &command_capture,
    &command_capture_show,
    &command_replay,
    &command_replay_start,
    &command_replay_ls,
    &command_replay_info,
    &command_replay_pause,
    &command_replay_resume,
    &command_replay_cancel,
    &command_queue_ls,
    &command_queue_info,
    &command_queue_peek,
    &command_queue_receive,
    &command_queue_settle,
    &command_queue_create,
    &command_queue_set,
    &command_queue_purge,
    &command_queue_rm,
    &command_queue_redrive,
    &command_queue_move,
    &command_queue_tasks,
    &command_queue_cancel,
    &command_rule_ls,
    &command_rule_test,
    &command_rule_explain,
    &command_rule_lint,
    &command_rule_next,
    &command_rules_diff,
    &command_topology_show,
    &command_topology_apply,
    &command_topology_export,
    &command_status,
    &command_top,
    &command_bench,
    &command_schema_ls,
    &command_schema_show,
    &command_schema_diff,
    &command_journal_verify,
    &command_journal_dump,
    &command_journal_repair,
    &command_archive_ls,
    &command_archive_info,
    &command_archive_read,
    &command_context_add,
    &command_context_use,
    &command_context_ls,
    &command_context_rm,
    &command_keygen,
    &command_doctor,
    &command_completion,
};
/* clang-format on */

static const arg_option_t COMMON[] = {
    {"json", ARG_FLAG, NULL, "answer in JSON, for programs"},
    {"endpoint", ARG_TEXT, "URL", "the broker (MANGABUS_ENDPOINT, else the context in use, else tcp://127.0.0.1:7447)"},
    {"context", ARG_TEXT, "NAME", "the broker of this name, see mangactl context add"},
    {"help", ARG_FLAG, NULL, "show this"},
};

const command_t *const *commands_all(size_t *count)
{
    *count = ARRAY_LEN(COMMANDS);
    return COMMANDS;
}

const arg_table_t *commands_common(void)
{
    static const arg_table_t table = {COMMON, ARRAY_LEN(COMMON)};
    return &table;
}

static bool is_named(const command_t *command, const char *first, const char *second)
{
    const char *space = strchr(command->name, ' ');
    size_t len = space ? (size_t)(space - command->name) : strlen(command->name);
    if (strlen(first) != len || strncmp(first, command->name, len) != 0)
        return false;
    return space ? second && strcmp(second, space + 1) == 0 : second == NULL;
}

static const command_t *find(const char *first, const char *second)
{
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        if (is_named(COMMANDS[i], first, second))
            return COMMANDS[i];
    return NULL;
}

const command_t *commands_find(int argc, char *const *argv, int *used)
{
    const command_t *found = argc > 1 ? find(argv[0], argv[1]) : NULL;
    *used = found ? 2 : 1;
    return found ? found : find(argv[0], NULL);
}

bool commands_group(const char *word, buf_t *out)
{
    size_t len = strlen(word);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        const char *name = COMMANDS[i]->name;
        if (len && strncmp(name, word, len) == 0 && name[len] == ' ')
            buf_printf(out, "%s%s", out->len ? ", " : "", name + len + 1);
    }
    return out->len > 0;
}

const char *commands_nearest(const char *word)
{
    const char *nearest = NULL;
    unsigned least = NEAR_ENOUGH + 1;
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++) {
        unsigned distance = args_distance(word, COMMANDS[i]->name);
        if (distance < least) {
            least = distance;
            nearest = COMMANDS[i]->name;
        }
    }
    return nearest;
}

/* -- help ------------------------------------------------------------------------------------------ */
/* For words alone: ctl.c reads the variables, of which options of the command line stand before some. */
static const config_row_t variables[] = {
    {.name = "MANGABUS_ENDPOINT", .type = CONFIG_STR, .fallback = "tcp://127.0.0.1:7447", .doc = "the broker"},
    {.name = "MANGABUS_CURVE_DIR",
     .type = CONFIG_STR,
     .fallback = "",
     .doc = "folder with server.pub, mangactl.pub and mangactl.key; empty: no encryption"},
    {.name = "MANGABUS_STATE",
     .type = CONFIG_STR,
     .fallback = "/var/tmp/mangabus-$USER",
     .doc = "local state, for doctor"},
    {.name = "MANGABUS_OBJECTS",
     .type = CONFIG_STR,
     .fallback = "",
     .doc = "where queue redrive archives: file:///path or s3://bucket/prefix; empty: objects in MANGABUS_STATE"},
    {.name = "MANGABUS_LOG_LEVEL",
     .type = CONFIG_STR,
     .fallback = "",
     .doc = "debug, info, warn or error: show what the bus client does; empty: nothing"},
    {.name = "TZDIR",
     .type = CONFIG_STR,
     .fallback = "/usr/share/zoneinfo",
     .doc = "folder with the time zones (tzdata)"},
    {.name = "NO_COLOR", .type = CONFIG_STR, .fallback = "", .doc = "anything: no colours"},
};
static const config_table_t environment = {variables, ARRAY_LEN(variables)};

const config_table_t *commands_environment(void)
{
    return &environment;
}

void commands_markdown(FILE *out)
{
    buf_t text = {0};
    config_section("mangactl", "The operator's tool; `mangactl --help` lists its commands.", &environment, 1, &text);
    fputs(buf_cstr(&text), out);
    buf_free(&text);
}

void commands_help(FILE *out)
{
    fputs("mangactl: look into mangabus, and work on it.\n\n  mangactl COMMAND [ARGUMENT...] [--OPTION...]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        fprintf(out, "  %-16s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
    buf_t text = {0};
    config_help(&environment, 1, &text);
    fprintf(out, "\nEvery command has --help with examples, and --json.\n\nEnvironment:\n%s\n", buf_cstr(&text));
    fputs("Exit codes: 0 done, 1 the answer is no, 64 wrong usage, 65 bad data, 69 unreachable, 74 disk,\n"
          "            75 try again, 77 not allowed, 78 wrong configuration; mangactl help exit-codes says more.\n",
          out);
    buf_free(&text);
}

static void help_options(FILE *out, const arg_table_t *table)
{
    for (size_t i = 0; i < table->count; i++) {
        const arg_option_t *row = &table->rows[i];
        char left[64];
        (void)snprintf(left, sizeof left, "--%s%s%s", row->name, row->metavar ? " " : "",
                       row->metavar ? row->metavar : "");
        fprintf(out, "  %-24s %s\n", left, row->doc);
    }
}

void commands_help_one(FILE *out, const command_t *command)
{
    fprintf(out, "mangactl %s%s%s: %s\n", command->name, command->arguments[0] ? " " : "", command->arguments,
            command->summary);
    if (command->about)
        fprintf(out, "\n%s\n", command->about);
    fputs("\nOptions:\n", out);
    help_options(out, &command->options);
    help_options(out, commands_common());
    fputs("\nExamples:\n", out);
    for (const char *const *example = command->examples; *example; example++)
        fprintf(out, "  %s\n", *example);
}
