/* manual.c: exit codes, and the manual page. */
#include "tools/mangactl/manual.h"

#include "gen/version.h"
#include "kit/config.h"
#include "tools/mangactl/ctl.h"
#include "tools/mangactl/table.h"

static const struct {
    int code;
    const char *means, *then;
} exit_codes[] = {
    {CTL_OK, "done, or ended as asked", ""},
    {CTL_NO, "the answer is no: nothing found, no match, a difference, something stays", "read what it says"},
    {CTL_USAGE, "wrong usage", "see --help"},
    {CTL_DATA, "the data or the request is wrong and stays wrong", "correct it"},
    {CTL_UNREACHABLE, "the broker, or a service, cannot be reached", "is it running? mangactl doctor"},
    {CTL_BUG, "a bug, here or in the broker", "report it"},
    {CTL_DISK, "a disk or an output failed", "is it full?"},
    {CTL_TRY_AGAIN, "not now: deadline, busy, interrupted", "try again"},
    {CTL_PERMISSION, "the key's role does not allow it", "another key, or the broker's roles"},
    {CTL_CONFIG, "wrong configuration", "correct the variable or the context"},
};

void manual_exit_codes(FILE *out)
{
    static const char *const titles[] = {"code", "<means", "<then", NULL};
    table_t table;
    table_begin(&table, titles);
    for (size_t i = 0; i < ARRAY_LEN(exit_codes); i++) {
        table_add(&table, "%d", exit_codes[i].code);
        table_add(&table, "%s", exit_codes[i].means);
        table_add(&table, "%s", exit_codes[i].then);
    }
    table_end(&table, out, "", "");
    fputs("\nThose from 64 on are sysexits.h's. rule test has its own: 0 match, 1 no match, 2 invalid.\n", out);
}

/* -- the page ------------------------------------------------------------------------------------------ */
/* What roff would take for its own is escaped: a backslash, a dash that must stay one, a line's first "." or "'". */
static void put_roff(FILE *out, const char *text)
{
    bool at_start = true;
    for (; *text; text++) {
        if (at_start && (*text == '.' || *text == '\''))
            fputs("\\&", out);
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
        at_start = *text == '\n';
    }
}

static void put_options(FILE *out, const arg_table_t *options)
{
    for (size_t i = 0; i < options->count; i++) {
        const arg_option_t *row = &options->rows[i];
        fputs(".TP\n\\fB", out);
        put_roff(out, "--");
        put_roff(out, row->name);
        fputs("\\fR", out);
        if (row->metavar) {
            fputs(" \\fI", out);
            put_roff(out, row->metavar);
            fputs("\\fR", out);
        }
        fputc('\n', out);
        put_roff(out, row->doc);
        fputc('\n', out);
    }
}

static void put_command(FILE *out, const command_t *command)
{
    fputs(".SS \"mangactl ", out);
    put_roff(out, command->name);
    if (command->arguments[0]) {
        fputc(' ', out);
        put_roff(out, command->arguments);
    }
    fputs("\"\n", out);
    put_roff(out, command->summary);
    fputs(".\n", out);
    if (command->about) {
        fputs(".PP\n", out);
        put_roff(out, command->about);
        fputc('\n', out);
    }
    put_options(out, &command->options);
    fputs(".PP\n.nf\n.RS\n", out);
    for (const char *const *example = command->examples; *example; example++) {
        put_roff(out, *example);
        fputc('\n', out);
    }
    fputs(".RE\n.fi\n", out);
}

static void put_environment(FILE *out)
{
    const config_table_t *environment = commands_environment();
    for (size_t i = 0; i < environment->count; i++) {
        fprintf(out, ".TP\n\\fB%s\\fR\n", environment->rows[i].name);
        put_roff(out, environment->rows[i].doc);
        fputc('\n', out);
    }
}

static void put_exit_codes(FILE *out)
{
    for (size_t i = 0; i < ARRAY_LEN(exit_codes); i++) {
        fprintf(out, ".TP\n\\fB%d\\fR\n", exit_codes[i].code);
        put_roff(out, exit_codes[i].means);
        fputs(".\n", out);
    }
}

void manual_page(FILE *out)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    fprintf(
        out,
        ".\\\" made of the table of commands by mangactl \\-\\-man\n"
        ".TH MANGACTL 1 \"\" \"mangabus %s\" \"mangabus\"\n.SH NAME\nmangactl \\- look into mangabus, and work on it\n"
        ".SH SYNOPSIS\n.B mangactl\n.I COMMAND\n[\\fIARGUMENT\\fR...] [\\fB\\-\\-OPTION\\fR...]\n.br\n"
        ".B mangactl help\n[\\fICOMMAND\\fR | \\fBexit\\-codes\\fR]\n.SH DESCRIPTION\n"
        "Shows what a mangabus broker does and holds, and changes it. A table for people, with \\fB\\-\\-json\\fR a "
        "value\n"
        "or a line of JSON for programs. Progress and complaints go to standard error.\n.SH OPTIONS OF EVERY COMMAND\n",
        MANGABUS_VERSION);
    put_options(out, commands_common());
    fputs(".SH COMMANDS\n", out);
    for (size_t i = 0; i < count; i++)
        put_command(out, commands[i]);
    fputs(".SH ENVIRONMENT\n", out);
    put_environment(out);
    fputs(".SH EXIT STATUS\n", out);
    put_exit_codes(out);
    fputs(".SH FILES\n.TP\n.I $XDG_CONFIG_HOME/mangabus/contexts.json, ~/.config/mangabus/contexts.json\n"
          "brokers by name, see \\fBmangactl context add\\fR\n",
          out);
}
