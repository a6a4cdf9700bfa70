/* cmd_completion.c: writes completion for shells out of the table of commands. */
#include "tools/mangactl/verbs.h"

static void words_of(FILE *out, const arg_table_t *table)
{
    for (size_t i = 0; i < table->count; i++)
        fprintf(out, " --%s", table->rows[i].name);
}

/* The first words of all commands, each once. */
static void first_words(FILE *out)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    size_t last_len = 0;
    const char *last = "";
    for (size_t i = 0; i < count; i++) {
        size_t len = strcspn(commands[i]->name, " ");
        if (len != last_len || strncmp(commands[i]->name, last, len) != 0)
            fprintf(out, " %.*s", (int)len, commands[i]->name);
        last = commands[i]->name;
        last_len = len;
    }
}

static void second_words(FILE *out, const char *first, size_t len)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    for (size_t i = 0; i < count; i++)
        if (strncmp(commands[i]->name, first, len) == 0 && commands[i]->name[len] == ' ')
            fprintf(out, " %s", commands[i]->name + len + 1);
}

static void bash(FILE *out)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    fputs("# mangactl completion for bash: source <(mangactl completion bash)\n"
          "_mangactl() {\n"
          "    local current=${COMP_WORDS[COMP_CWORD]} words=\n"
          "    case \"${COMP_WORDS[1]} ${COMP_WORDS[2]}\" in\n",
          out);
    for (size_t i = 0; i < count; i++) {
        fprintf(out, strchr(commands[i]->name, ' ') ? "    '%s') words='" : "    '%s '*) words='", commands[i]->name);
        words_of(out, &commands[i]->options);
        words_of(out, commands_common());
        fputs("' ;;\n", out);
    }
    fputs("    esac\n    if [ \"$COMP_CWORD\" = 1 ]; then\n        words='", out);
    first_words(out);
    fputs(" help version'\n    elif [ \"$COMP_CWORD\" = 2 ]; then\n        case \"${COMP_WORDS[1]}\" in\n", out);
    static const char *const families[] = {"queue", "rule", "topology", "schema", "journal", "capture"};
    for (size_t i = 0; i < ARRAY_LEN(families); i++) {
        fprintf(out, "        %s) words=\"$words", families[i]);
        second_words(out, families[i], strlen(families[i]));
        fputs("\" ;;\n", out);
    }
    fputs("        completion) words='bash zsh fish' ;;\n        esac\n    fi\n"
          "    [[ $current == -* || $COMP_CWORD -le 2 ]] && mapfile -t COMPREPLY < <(compgen -W \"$words\" -- "
          "\"$current\")\n"
          "    return 0\n}\ncomplete -o default -F _mangactl mangactl\n",
          out);
}

static void zsh(FILE *out)
{
    fputs("#compdef mangactl\n# mangactl completion for zsh: source <(mangactl completion zsh)\n"
          "autoload -U +X bashcompinit && bashcompinit\n",
          out);
    bash(out);
}

static void fish_text(FILE *out, const char *text)
{
    fputc('\'', out);
    for (; *text; text++)
        fputs(*text == '\'' ? "\\'" : (char[]){*text, '\0'}, out);
    fputc('\'', out);
}

static void fish_command(FILE *out, const command_t *command)
{
    size_t len = strcspn(command->name, " ");
    const char *second = command->name[len] ? command->name + len + 1 : NULL;
    if (second)
        fprintf(out, "complete -c mangactl -f -n '__fish_seen_subcommand_from %.*s' -a %s -d ", (int)len, command->name,
                second);
    else
        fprintf(out, "complete -c mangactl -f -n __fish_use_subcommand -a %s -d ", command->name);
    fish_text(out, command->summary);
    fputc('\n', out);
    const char *last = second ? second : command->name;
    for (size_t i = 0; i < command->options.count; i++) {
        const arg_option_t *row = &command->options.rows[i];
        fprintf(out, "complete -c mangactl -n '__fish_seen_subcommand_from %s' -l %s%s -d ", last, row->name,
                row->kind == ARG_FLAG ? "" : " -r");
        fish_text(out, row->doc);
        fputc('\n', out);
    }
}

static void fish(FILE *out)
{
    size_t count;
    const command_t *const *commands = commands_all(&count);
    fputs("# mangactl completion for fish: mangactl completion fish | source\n"
          "complete -c mangactl -f -n __fish_use_subcommand -a '",
          out);
    first_words(out);
    fputs("'\n", out);
    for (size_t i = 0; i < count; i++)
        fish_command(out, commands[i]);
    fputs("complete -c mangactl -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n", out);
}

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
    "mangactl completion fish | source",
    NULL,
};

const command_t command_completion = {
    .name = "completion",
    .arguments = "bash|zsh|fish",
    .summary = "write completion for a shell",
    .least = 1,
    .most = 1,
    .examples = EXAMPLES,
    .run = run,
};
