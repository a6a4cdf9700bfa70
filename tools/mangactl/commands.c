/* commands.c: the table of commands, and the help that comes of it. */
#include "tools/mangactl/verbs.h"

#define NEAR_ENOUGH 2

static const command_t *const COMMANDS[] = {
    &command_ask,        &command_publish,      &command_send,        &command_call,           &command_tail,
    &command_capture,    &command_capture_show, &command_replay,      &command_queue_ls,       &command_queue_info,
    &command_queue_peek, &command_rule_ls,      &command_rule_test,   &command_topology_show,  &command_topology_export,
    &command_status,     &command_schema_ls,    &command_schema_show, &command_journal_verify, &command_journal_dump,
    &command_keygen,     &command_doctor,       &command_completion,
};

static const arg_option_t COMMON[] = {
    {"json", ARG_FLAG, NULL, "answer in JSON, for programs"},
    {"endpoint", ARG_TEXT, "URL", "the broker (MANGABUS_ENDPOINT, else tcp://127.0.0.1:7447)"},
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
void commands_help(FILE *out)
{
    fputs("mangactl: look into mangabus, and work on it.\n\n  mangactl COMMAND [ARGUMENT...] [--OPTION...]\n\n", out);
    for (size_t i = 0; i < ARRAY_LEN(COMMANDS); i++)
        fprintf(out, "  %-16s %s\n", COMMANDS[i]->name, COMMANDS[i]->summary);
    fputs(
        "\nEvery command has --help with examples, and --json.\n"
        "Environment: MANGABUS_ENDPOINT  the broker (tcp://127.0.0.1:7447)\n"
        "             MANGABUS_CURVE_DIR folder with server.pub, mangactl.pub and mangactl.key; empty: no encryption\n"
        "             MANGABUS_STATE     local state, for doctor (/var/tmp/mangabus-$USER)\n"
        "             MANGABUS_LOG_LEVEL debug, info, warn or error: show what the bus client does\n"
        "             NO_COLOR           no colours\n"
        "Exit codes: 0 done, 1 the answer is no, 64 wrong usage, 65 bad data, 69 unreachable, 74 disk,\n"
        "            75 try again, 77 not allowed, 78 wrong configuration.\n",
        out);
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
