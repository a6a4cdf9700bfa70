/* ctl.c: mangactl from its command line to the verb, and what all verbs say and read. */
#include "tools/mangactl/ctl.h"

#include <pwd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include "gen/version.h"
#include "kit/log.h"
#include "proto/msgpack.h"
#include "tools/mangactl/manual.h"

#define DEFAULT_ENDPOINT "tcp://127.0.0.1:7447"
#define READ_STEP 65536
#define LOG_NOTHING ((log_level_t)(LOG_ERROR + 1))

/* -- saying ---------------------------------------------------------------------------------------- */
int ctl_exit_code(status_t status)
{
    switch (status) {
    case STATUS_OK:
        return CTL_OK;
    case STATUS_NOT_FOUND:
        return CTL_NO;
    case STATUS_PERMISSION_DENIED:
    case STATUS_UNAUTHENTICATED:
        return CTL_PERMISSION;
    case STATUS_UNAVAILABLE:
    case STATUS_UNIMPLEMENTED:
        return CTL_UNREACHABLE;
    case STATUS_DEADLINE_EXCEEDED:
    case STATUS_RESOURCE_EXHAUSTED:
    case STATUS_ABORTED:
    case STATUS_CANCELLED:
        return CTL_TRY_AGAIN;
    case STATUS_INTERNAL:
    case STATUS_UNKNOWN:
        return CTL_BUG;
    default:
        return CTL_DATA;
    }
}

static void put_pair(buf_t *out, const char *key, const char *value)
{
    if (out->data[out->len - 1] != '{')
        buf_append_byte(out, ',');
    json_string_append(out, bytes_cstr(key));
    buf_append_byte(out, ':');
    json_string_append(out, bytes_cstr(value));
}

static void complain_json(ctl_t *ctl, const error_t *err)
{
    buf_t text = {0};
    buf_append_cstr(&text, "{\"error\":{");
    put_pair(&text, "code", status_name(err->code));
    put_pair(&text, "aws", err->aws);
    put_pair(&text, "message", err->message);
    buf_printf(&text, ",\"retry_after_ms\":%lld}}\n", (long long)err->retry_after_ms);
    fputs(buf_cstr(&text), ctl->err);
    buf_free(&text);
}

static void complain(ctl_t *ctl, const error_t *err)
{
    fflush(ctl->out);
    if (ctl->json) {
        complain_json(ctl, err);
        return;
    }
    bytes_t message = bytes_cstr(err->message);
    bool goes_on = err->aws[0] == '\0' && err->retry_after_ms > 0;
    if (goes_on && message.len && message.data[message.len - 1] == '.')
        message.len--; /* the sentence goes on */
    fputs("mangactl: ", ctl->err);
    ctl_print_text(ctl->err, message);
    if (err->aws[0])
        fprintf(ctl->err, " (%s)", err->aws);
    if (err->retry_after_ms > 0)
        fprintf(ctl->err, "; try again in %lld ms", (long long)err->retry_after_ms);
    fputc('\n', ctl->err);
}

int ctl_fail(ctl_t *ctl, const error_t *err)
{
    complain(ctl, err);
    return ctl_exit_code(err->code);
}

static status_t status_of(int code)
{
    static const struct {
        int code;
        status_t status;
    } rows[] = {{CTL_NO, STATUS_NOT_FOUND},
                {CTL_UNREACHABLE, STATUS_UNAVAILABLE},
                {CTL_BUG, STATUS_INTERNAL},
                {CTL_DISK, STATUS_DATA_LOSS},
                {CTL_TRY_AGAIN, STATUS_DEADLINE_EXCEEDED},
                {CTL_PERMISSION, STATUS_PERMISSION_DENIED}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].code == code)
            return rows[i].status;
    return STATUS_INVALID_ARGUMENT;
}

int ctl_complain(ctl_t *ctl, int code, const char *fmt, ...)
{
    error_t err = {.code = status_of(code)};
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(err.message, sizeof err.message, fmt, args);
    va_end(args);
    complain(ctl, &err);
    return code;
}

void ctl_note(ctl_t *ctl, const char *fmt, ...)
{
    if (ctl->json)
        return;
    va_list args;
    va_start(args, fmt);
    fflush(ctl->out);
    vfprintf(ctl->err, fmt, args);
    va_end(args);
    fputc('\n', ctl->err);
}

int ctl_print_json(ctl_t *ctl, bytes_t value, json_style_t style)
{
    buf_t text = {0};
    error_t err = {0};
    int code = CTL_OK;
    if (json_from_msgpack(value, style, &text, &err))
        fprintf(ctl->out, "%s\n", buf_cstr(&text));
    else
        code = ctl_fail(ctl, &err);
    buf_free(&text);
    return code;
}

const char *ctl_bold(const ctl_t *ctl)
{
    return ctl->color ? "\033[1m" : "";
}

const char *ctl_dim(const ctl_t *ctl)
{
    return ctl->color ? "\033[2m" : "";
}

const char *ctl_plain(const ctl_t *ctl)
{
    return ctl->color ? "\033[0m" : "";
}

void ctl_print_text(FILE *out, bytes_t text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = text.data[i];
        bool is_c1 = byte == 0xc2 && i + 1 < text.len && text.data[i + 1] < 0xa0;
        if (is_c1)
            i++;
        else if ((byte >= ' ' && byte != 0x7f) || byte == '\n' || byte == '\t')
            fputc(byte, out);
    }
}

/* -- reading --------------------------------------------------------------------------------------- */
static bool read_stream(FILE *file, const char *name, buf_t *out, error_t *err)
{
    size_t begin = out->len;
    while (buf_reserve(out, READ_STEP)) {
        size_t got = fread(out->data + out->len, 1, READ_STEP, file);
        out->len += got;
        if (out->len - begin > JSON_BYTES_MAX)
            return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s holds more than %zu bytes", name, JSON_BYTES_MAX);
        if (got < READ_STEP)
            break;
    }
    return !ferror(file) || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "cannot read %s: %s", name, strerror(errno));
}

bool ctl_read_document(const char *given, buf_t *out, error_t *err)
{
    if (strcmp(given, "-") == 0)
        return read_stream(stdin, "standard input", out, err);
    if (given[0] != '@') {
        buf_append_cstr(out, given);
        return true;
    }
    FILE *file = fopen(given + 1, "re");
    if (!file)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "cannot open %s: %s", given + 1, strerror(errno));
    bool ok = read_stream(file, given + 1, out, err);
    (void)fclose(file);
    return ok;
}

bool ctl_read_json(const char *given, buf_t *out, error_t *err)
{
    buf_t text = {0};
    bool ok = ctl_read_document(given, &text, err) &&
              (json_to_msgpack(buf_bytes(&text), NULL, out, err) || error_prefix(err, "this is not JSON"));
    buf_free(&text);
    return ok;
}

bytes_t ctl_map_text(bytes_t map, const char *key, const char *fallback)
{
    bytes_t value;
    return mp_map_str(map, key, &value) ? value : bytes_cstr(fallback);
}

uint64_t ctl_map_number(bytes_t map, const char *key)
{
    uint64_t value;
    return mp_map_u64(map, key, &value) ? value : 0;
}

void ctl_state_dir(char *out, size_t cap)
{
    const char *state = getenv("MANGABUS_STATE");
    const struct passwd *user = getpwuid(getuid());
    if (state && state[0])
        (void)snprintf(out, cap, "%s", state);
    else
        (void)snprintf(out, cap, "/var/tmp/mangabus-%s", user ? user->pw_name : "root");
}

/* -- the command line ------------------------------------------------------------------------------ */
static const char *environment(const char *name, const char *fallback)
{
    const char *value = getenv(name);
    return value && value[0] ? value : fallback;
}

static void start_log(ctl_t *ctl)
{
    log_level_t level = LOG_NOTHING;
    const char *wanted = getenv("MANGABUS_LOG_LEVEL");
    if (wanted && !log_level_parse(wanted, &level))
        level = LOG_NOTHING;
    log_start("mangactl", ctl->instance, level);
}

static bool right_count(const command_t *command, const args_t *args, error_t *err)
{
    if (args->count >= command->least && args->count <= command->most)
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "%s takes %s%s; see mangactl %s --help", command->name,
                     command->arguments[0] ? "" : "no arguments", command->arguments, command->name);
}

/* The named context, or the one in use; false only when it is named and not there, or the file is broken. */
static bool find_context(ctl_t *ctl, const char *named, error_t *err)
{
    contexts_t contexts;
    bool ok = contexts_read(&contexts, err);
    const char *name = named ? named : contexts.current;
    const context_t *found = ok && name[0] ? contexts_find(&contexts, name) : NULL;
    if (found)
        ctl->context = *found;
    else if (ok && name[0])
        ok = error_set(err, STATUS_NOT_FOUND, NULL, "there is no context \"%s\"; mangactl context ls lists them", name);
    contexts_free(&contexts);
    return ok;
}

/* What is said on the command line, then the environment, then the context in use. An endpoint is not mixed with the
 * keys of another one's context. */
static bool find_broker(ctl_t *ctl, const args_t *args, error_t *err)
{
    const char *named = args_text(args, "context", NULL), *given = args_text(args, "endpoint", NULL);
    const char *variable = environment("MANGABUS_ENDPOINT", NULL);
    bool manages = strncmp(ctl->command->name, "context ", 8) == 0;
    ctl->curve_dir = environment("MANGABUS_CURVE_DIR", "");
    ctl->endpoint = given ? given : variable ? variable : DEFAULT_ENDPOINT;
    if (manages || (!named && (given || variable)))
        return true;
    if (!find_context(ctl, named, err))
        return false;
    if (ctl->context.endpoint[0] && !given)
        ctl->endpoint = ctl->context.endpoint;
    if (named || (ctl->context.name[0] && !ctl->curve_dir[0]))
        ctl->curve_dir = ctl->context.keys;
    return true;
}

static int run(ctl_t *ctl, const command_t *command, int argc, char *const *argv)
{
    arg_table_t tables[2] = {command->options, *commands_common()};
    args_t args;
    error_t err = {0};
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        ctl->json |= strcmp(argv[i], "--json") == 0; /* for complaints about the rest */
    bool ok = args_parse(tables, argc, argv, &args, &err);
    if (ok && args_given(&args, "help")) {
        commands_help_one(ctl->out, command);
        return CTL_OK;
    }
    if (!ok || !right_count(command, &args, &err)) {
        complain(ctl, &err);
        return CTL_USAGE;
    }
    ctl->command = command;
    if (!find_broker(ctl, &args, &err))
        return ctl_complain(ctl, CTL_CONFIG, "%s", err.message);
    int code = command->run(ctl, &args);
    ctl_disconnect(ctl);
    if (fflush(ctl->out) != 0 && code == CTL_OK)
        code = CTL_DISK;
    return code;
}

static int unknown_command(ctl_t *ctl, const char *word)
{
    buf_t group = {0};
    if (commands_group(word, &group)) {
        int code =
            ctl_complain(ctl, CTL_USAGE, "%s is followed by one of: %s; see mangactl --help", word, buf_cstr(&group));
        buf_free(&group);
        return code;
    }
    const char *nearest = commands_nearest(word);
    return ctl_complain(ctl, CTL_USAGE, "there is no command \"%s\"%s%s%s; see mangactl --help", word,
                        nearest ? "; did you mean " : "", nearest ? nearest : "", nearest ? "?" : "");
}

static int help_of(ctl_t *ctl, int argc, char *const *argv)
{
    if (strcmp(argv[0], "exit-codes") == 0) {
        manual_exit_codes(ctl->out);
        return CTL_OK;
    }
    int used;
    const command_t *command = commands_find(argc, argv, &used);
    if (!command)
        return unknown_command(ctl, argv[0]);
    commands_help_one(ctl->out, command);
    return CTL_OK;
}

static bool is_one_of(const char *word, const char *a, const char *b)
{
    return strcmp(word, a) == 0 || strcmp(word, b) == 0;
}

int ctl_main(int argc, char *const *argv, FILE *out, FILE *err)
{
    ctl_t ctl = {.out = out, .err = err, .program = "mangactl"};
    ctl.color = isatty(fileno(out)) && !getenv("NO_COLOR");
    start_log(&ctl);
    if (argc == 0) {
        commands_help(err);
        return CTL_USAGE;
    }
    if (is_one_of(argv[0], "--help", "help") && argc == 1) {
        commands_help(out);
        return CTL_OK;
    }
    if (is_one_of(argv[0], "--version", "version")) {
        fprintf(out, "mangactl %s\n", MANGABUS_VERSION);
        return CTL_OK;
    }
    if (strcmp(argv[0], "--man") == 0) {
        manual_page(out);
        return CTL_OK;
    }
    if (strcmp(argv[0], "--config-markdown") == 0) {
        commands_markdown(out);
        return CTL_OK;
    }
    if (strcmp(argv[0], "help") == 0)
        return help_of(&ctl, argc - 1, argv + 1);
    int used;
    const command_t *command = commands_find(argc, argv, &used);
    if (!command)
        return unknown_command(&ctl, argv[0]);
    return run(&ctl, command, argc - used, argv + used);
}
