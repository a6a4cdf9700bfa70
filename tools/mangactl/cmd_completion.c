/* cmd_completion.c: writes completion for shells out of the table of commands. */
#include "tools/mangactl/verbs.h"

#define ALSO " help version" /* words that are no commands */

/* -- words --------------------------------------------------------------------------------------------- */
static size_t first_len(const command_t *command)
{
    return strcspn(command->name, " ");
}

/* NULL for a command of one word. */
static const char *second_word(const command_t *command)
{
    size_t len = first_len(command);
    return command->name[len] ? command->name + len + 1 : NULL;
}

static bool begins_with(const command_t *command, const char *first, size_t len)
{
    return first_len(command) == len && strncmp(command->name, first, len) == 0;
}

/* True for the first command of those that begin with its first word. */
static bool is_first(size_t at)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    for (size_t i = 0; i < at; i++)
        if (begins_with(commands[i], commands[at]->name, first_len(commands[at])))
            return false;
    return true;
}

static void put_options(FILE *out, const command_t *command)
{
    const arg_table_t *tables[] = {&command->options, commands_common()};
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t]->count; i++)
            fprintf(out, " --%s", tables[t]->rows[i].name);
}

static void put_firsts(FILE *out)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    for (size_t i = 0; i < count; i++)
        if (is_first(i))
            fprintf(out, " %.*s", (int)first_len(commands[i]), commands[i]->name);
    fputs(ALSO, out);
}

static void put_seconds(FILE *out, const char *first, size_t len)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    for (size_t i = 0; i < count; i++)
        if (begins_with(commands[i], first, len) && second_word(commands[i]))
            fprintf(out, " %s", second_word(commands[i]));
}

static bool has_seconds(const char *first, size_t len)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    for (size_t i = 0; i < count; i++)
        if (begins_with(commands[i], first, len) && second_word(commands[i]))
            return true;
    return false;
}

/* -- bash ---------------------------------------------------------------------------------------------- */
/* The lines of a case by first and second word that set `names` to a command's options. */
static void put_cases(FILE *out)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    for (int two = 1; two >= 0; two--) /* "capture show" before "capture *" */
        for (size_t i = 0; i < count; i++) {
            if ((second_word(commands[i]) != NULL) != two)
                continue;
            fprintf(out, two ? "    '%s') names='" : "    '%s '*) names='", commands[i]->name);
            put_options(out, commands[i]);
            fputs("' ;;\n", out);
        }
}

static void put_families(FILE *out)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    for (size_t i = 0; i < count; i++) {
        size_t len = first_len(commands[i]);
        if (!is_first(i) || !has_seconds(commands[i]->name, len))
            continue;
        fprintf(out, "        %.*s) names=\"$names", (int)len, commands[i]->name);
        put_seconds(out, commands[i]->name, len);
        fputs("\" ;;\n", out);
    }
    fputs("        completion) names='bash zsh fish' ;;\n        help) names='exit-codes", out);
    put_firsts(out);
    fputs("' ;;\n", out);
}

static void bash(FILE *out)
{
    fputs("# mangactl completion for bash: source <(mangactl completion bash)\n"
          "_mangactl() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} names=\n"
          "    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n",
          out);
    put_cases(out);
    fputs("    esac\n    if [ \"$COMP_CWORD\" = 1 ]; then\n        names='", out);
    put_firsts(out);
    fputs("'\n    elif [ \"$COMP_CWORD\" = 2 ]; then\n        case \"${COMP_WORDS[1]}\" in\n", out);
    put_families(out);
    fputs("        esac\n    fi\n"
          "    [[ $current == -* || $COMP_CWORD -le 2 ]] && mapfile -t COMPREPLY < <(compgen -W \"$names\" -- "
          "\"$current\")\n"
          "    return 0\n}\ncomplete -o default -F _mangactl mangactl\n",
          out);
}

/* -- zsh ----------------------------------------------------------------------------------------------- */
static void zsh(FILE *out)
{
    fputs("#compdef mangactl\n# mangactl completion for zsh: source <(mangactl completion zsh), or a file _mangactl in "
          "fpath\n"
          "_mangactl() {\n"
          "    local current=${words[CURRENT]} first=${words[2]} second=${words[3]}\n"
          "    () {\n    local names=\n    case \"$first $second\" in\n",
          out);
    put_cases(out);
    fputs("    esac\n    if (( CURRENT == 2 )); then\n        names='", out);
    put_firsts(out);
    fputs("'\n    elif (( CURRENT == 3 )); then\n        case \"$first\" in\n", out);
    put_families(out);
    fputs("        esac\n    fi\n"
          "    if [[ $current == -* ]] || (( CURRENT <= 3 )); then\n        compadd -- ${=names}\n    fi\n    }\n"
          "    [[ $current == -* ]] || (( CURRENT <= 2 )) || _files\n"
          "}\n"
          "if [[ $funcstack[1] == _mangactl ]]; then\n    _mangactl \"$@\"\nelse\n    compdef _mangactl mangactl\nfi\n",
          out);
}

/* -- fish ---------------------------------------------------------------------------------------------- */
static void fish_text(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++)
        fputs(*text == '\'' ? "\\'" : *text == '\\' ? "\\\\" : (char[]){*text, '\0'}, out);
    fputc('\'', out);
}

/* When the command of these words stands on the line. */
static void fish_when(FILE *out, const command_t *command)
{
    const char *second = second_word(command);
    fprintf(out, "'__fish_seen_subcommand_from %.*s", (int)first_len(command), command->name);
    if (second)
        fprintf(out, "; and __fish_seen_subcommand_from %s", second);
    fputc('\'', out);
}

static void fish_options(FILE *out, const command_t *command)
{
    const arg_table_t *tables[] = {&command->options, commands_common()};
    for (size_t t = 0; t < ARRAY_LEN(tables); t++)
        for (size_t i = 0; i < tables[t]->count; i++) {
            const arg_option_t *row = &tables[t]->rows[i];
            fputs("complete -c mangactl -n ", out);
            fish_when(out, command);
            fprintf(out, " -l %s%s -d ", row->name, row->kind == ARG_FLAG ? "" : " -r");
            fish_text(out, row->doc);
            fputc('\n', out);
        }
}

static void fish_command(FILE *out, const command_t *command)
{
    const char *second = second_word(command);
    if (second) {
        size_t len = first_len(command);
        fprintf(out,
                "complete -c mangactl -f -n '__fish_seen_subcommand_from %.*s; and not __fish_seen_subcommand_from",
                (int)len, command->name);
        put_seconds(out, command->name, len);
        fprintf(out, "' -a %s -d ", second);
        fish_text(out, command->summary);
        fputc('\n', out);
    }
    fish_options(out, command);
}

static void fish(FILE *out)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    fputs("# mangactl completion for fish: mangactl completion fish | source\n", out);
    for (size_t i = 0; i < count; i++)
        if (is_first(i)) {
            fprintf(out, "complete -c mangactl -f -n __fish_use_subcommand -a %.*s -d ", (int)first_len(commands[i]),
                    commands[i]->name);
            fish_text(out, second_word(commands[i]) ? "" : commands[i]->summary);
            fputc('\n', out);
        }
    fputs("complete -c mangactl -f -n __fish_use_subcommand -a '" ALSO "'\n", out);
    for (size_t i = 0; i < count; i++)
        fish_command(out, commands[i]);
    fputs("complete -c mangactl -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n"
          "complete -c mangactl -f -n '__fish_seen_subcommand_from help' -a 'exit-codes",
          out);
    put_firsts(out);
    fputs("'\n", out);
}

/* -- the command --------------------------------------------------------------------------------------- */
static int run(ctl_t *ctl, const args_t *args)
{
    static const struct {
        const char *shell;
        void (*write)(FILE *out);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < ARRAY_LEN(shells); i++)
        if (strcmp(args->positional[0], shells[i].shell) == 0) {
            shells[i].write(ctl->out);
            return CTL_OK;
        }
    return ctl_complain(ctl, CTL_USAGE, "there is completion for bash, zsh and fish, not for %s", args->positional[0]);
}

static const char *const EXAMPLES[] = {
    "mangactl completion bash > ~/.local/share/bash-completion/completions/mangactl",
    "source <(mangactl completion zsh)",
    "mangactl completion fish | source",
    NULL,
};

const command_t command_completion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .summary = "write completion for a shell",
    .about = "make install puts all three where the shells look.",
    .least = 1,
    .most = 1,
    .examples = EXAMPLES,
    .run = run,
};
