/* cmd_topology.c: the desired state the broker runs by: shown, compared with a file, applied from one, exported. */
#include <pwd.h>
#include <unistd.h>

#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/verbs.h"

#define HOST_BYTES 256

/* -- the document -------------------------------------------------------------------------------------- */
static void note_version(ctl_t *ctl, bytes_t result)
{
    char time[TIMEFMT_S_BYTES] = "?";
    bytes_t by = ctl_map_text(result, "by", "");
    uint64_t applied_us = ctl_map_number(result, "applied_us");
    if (applied_us)
        timefmt_s((int64_t)applied_us, time);
    ctl_note(ctl, "%sversion %llu, applied %s by %.*s%s", ctl_dim(ctl),
             (unsigned long long)ctl_map_number(result, "version"), time, by.len ? (int)by.len : 1,
             by.len ? (const char *)by.data : "?", ctl_plain(ctl));
    ctl_note(ctl, "%ssha256 %.*s%s", ctl_dim(ctl), BYTES_FMT(ctl_map_text(result, "sha256", "?")), ctl_plain(ctl));
}

static int print_document(ctl_t *ctl, bytes_t result)
{
    bytes_t document, by;
    if (ctl->json || !mp_map_str(result, "document", &document))
        return ctl_print_json(ctl, result, JSON_COMPACT);
    if (mp_map_str(result, "by", &by))
        note_version(ctl, result);
    ctl_print_text(ctl->out, document);
    if (document.len == 0 || document.data[document.len - 1] != '\n')
        fputc('\n', ctl->out);
    return CTL_OK;
}

static int ask_topology(ctl_t *ctl, const char *op)
{
    buf_t result = {0};
    int code;
    if (ctl_ask(ctl, WIRE_TOPOLOGY, op, "", BYTES_NONE, BYTES_NONE, &result, &code))
        code = print_document(ctl, buf_bytes(&result));
    buf_free(&result);
    return code;
}

/* -- a file beside it ---------------------------------------------------------------------------------- */
/* The file's text as one msgpack string: the body of `diff` and `apply`. */
static bool read_file(const char *path, buf_t *body, error_t *err)
{
    buf_t given = {0}, text = {0};
    buf_printf(&given, "%s%s", strcmp(path, "-") == 0 ? "" : "@", path);
    bool ok = ctl_read_document(buf_cstr(&given), &text, err);
    if (ok)
        mp_put_str(body, buf_bytes(&text));
    buf_free(&given);
    buf_free(&text);
    return ok;
}

static bool ask_about(ctl_t *ctl, const char *op, const char *path, bytes_t args, buf_t *result, int *code)
{
    buf_t body = {0};
    error_t err = {0};
    bool ok = read_file(path, &body, &err);
    if (ok)
        ok = ctl_ask(ctl, WIRE_TOPOLOGY, op, "", args, buf_bytes(&body), result, code);
    else
        *code = ctl_fail(ctl, &err);
    buf_free(&body);
    return ok;
}

/* Prints the sentences, each on a line; how many there are. */
static uint32_t print_changes(ctl_t *ctl, bytes_t result)
{
    bytes_t list, sentence;
    uint32_t count = 0;
    mp_reader_t r = mp_reader(mp_map_find(result, "changes", &list) ? list : BYTES_NONE);
    if (!mp_left(&r) || !mp_get_array(&r, &count))
        return 0;
    for (uint32_t i = 0; i < count && !ctl->json && mp_get_str(&r, &sentence); i++) {
        ctl_print_text(ctl->out, sentence);
        fputc('\n', ctl->out);
    }
    return count;
}

static void note_need_of_force(ctl_t *ctl, bytes_t result)
{
    uint64_t messages = ctl_map_number(result, "messages");
    if (messages)
        ctl_note(ctl, "%llu message%s would be dropped: apply refuses that without --force",
                 (unsigned long long)messages, messages == 1 ? "" : "s");
}

/* -- show ---------------------------------------------------------------------------------------------- */
static int show_difference(ctl_t *ctl, const char *path)
{
    buf_t result = {0};
    int code;
    if (ask_about(ctl, "diff", path, BYTES_NONE, &result, &code)) {
        uint32_t count = print_changes(ctl, buf_bytes(&result));
        uint64_t version = ctl_map_number(buf_bytes(&result), "version");
        code = count ? CTL_NO : CTL_OK;
        if (ctl->json)
            (void)ctl_print_json(ctl, buf_bytes(&result), JSON_COMPACT);
        else if (count == 0)
            ctl_note(ctl, "no difference: the file says what version %llu says", (unsigned long long)version);
        note_need_of_force(ctl, buf_bytes(&result));
    }
    buf_free(&result);
    return code;
}

static int run_show(ctl_t *ctl, const args_t *args)
{
    const char *path = args_text(args, "diff", NULL);
    return path ? show_difference(ctl, path) : ask_topology(ctl, "show");
}

static int run_export(ctl_t *ctl, const args_t *args)
{
    (void)args;
    return ask_topology(ctl, "export");
}

/* -- apply --------------------------------------------------------------------------------------------- */
static void put_who(buf_t *args)
{
    char host[HOST_BYTES] = "?";
    const struct passwd *user = getpwuid(getuid());
    buf_t who = {0};
    if (gethostname(host, sizeof host - 1) != 0)
        host[0] = '?';
    buf_printf(&who, "%s@%s", user ? user->pw_name : "?", host);
    mp_put_str(args, buf_bytes(&who));
    buf_free(&who);
}

static void put_apply_args(const args_t *args, buf_t *out)
{
    mp_put_map(out, 3);
    mp_put_cstr(out, "force");
    mp_put_bool(out, args_given(args, "force"));
    mp_put_cstr(out, "dry_run");
    mp_put_bool(out, args_given(args, "dry-run"));
    mp_put_cstr(out, "by");
    put_who(out);
}

static void note_applied(ctl_t *ctl, const args_t *args, bytes_t result, uint32_t count)
{
    unsigned long long version = ctl_map_number(result, "version");
    const char *plural = count == 1 ? "" : "s";
    if (count == 0)
        ctl_note(ctl, "no difference: version %llu stays", version);
    else if (args_given(args, "dry-run"))
        ctl_note(ctl, "%u change%s to version %llu; nothing is applied", count, plural, version);
    else
        ctl_note(ctl, "version %llu applied: %u change%s", version, count, plural);
}

static int run_apply(ctl_t *ctl, const args_t *args)
{
    buf_t wanted = {0}, result = {0};
    int code;
    put_apply_args(args, &wanted);
    if (ask_about(ctl, "apply", args->positional[0], buf_bytes(&wanted), &result, &code)) {
        uint32_t count = print_changes(ctl, buf_bytes(&result));
        if (ctl->json)
            code = ctl_print_json(ctl, buf_bytes(&result), JSON_COMPACT);
        note_applied(ctl, args, buf_bytes(&result), count);
        if (args_given(args, "dry-run") && !args_given(args, "force")) {
            note_need_of_force(ctl, buf_bytes(&result));
            code = ctl_map_number(buf_bytes(&result), "messages") ? CTL_NO : code;
        }
    }
    buf_free(&wanted);
    buf_free(&result);
    return code;
}

/* -- commands ------------------------------------------------------------------------------------------ */
static const char *const SHOW_EXAMPLES[] = {"mangactl topology show", "mangactl topology show --json",
                                            "mangactl topology show --diff topology.json", NULL};
static const char *const APPLY_EXAMPLES[] = {"mangactl topology apply topology.json --dry-run",
                                             "mangactl topology apply topology.json", NULL};
static const char *const EXPORT_EXAMPLES[] = {"mangactl topology export > topology.json", NULL};

static const arg_option_t SHOW_OPTIONS[] = {
    {"diff", ARG_TEXT, "FILE", "instead: what applying this file would change; exit code 1 when something would"},
};

static const arg_option_t APPLY_OPTIONS[] = {
    {"dry-run", ARG_FLAG, NULL, "only show what would change; exit code 1 when that needs --force"},
    {"force", ARG_FLAG, NULL, "drop queues that are not in the file although they hold messages"},
};

const command_t command_topology_show = {
    .name = "topology show",
    .arguments = "",
    .summary = "show the document in effect: its version, when and by whom it was applied; or a file's difference",
    .options = CTL_OPTIONS(SHOW_OPTIONS),
    .examples = SHOW_EXAMPLES,
    .run = run_show,
};

const command_t command_topology_apply = {
    .name = "topology apply",
    .arguments = "FILE|-",
    .summary = "make a file the desired state, as one version, while traffic goes on",
    .about =
        "The file says what should be. What differs is shown and takes effect at once, all of it or nothing; queues\n"
        "made at run time are left alone. It outlives restarts: the file that the broker is started with is taken\n"
        "again only when it has changed since.",
    .options = CTL_OPTIONS(APPLY_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = APPLY_EXAMPLES,
    .run = run_apply,
};

const command_t command_topology_export = {
    .name = "topology export",
    .arguments = "",
    .summary = "show the state of now as such a document, queues made at run time included",
    .examples = EXPORT_EXAMPLES,
    .run = run_export,
};
