/* cmd_keygen.c: makes the CURVE key pairs by which the broker and its clients know each other. */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "tools/mangactl/verbs.h"

#define PATH_BYTES 4096

typedef struct {
    ctl_t *ctl;
    const char *dir;
    bool force, if_missing;
    int made, kept;
} keygen_t;

static bool path_of(const keygen_t *keygen, const char *format, const char *name, char out[PATH_BYTES], error_t *err)
{
    char file[PATH_BYTES];
    int len = snprintf(file, sizeof file, "%s%s", name, format);
    if (len < (int)sizeof file && snprintf(out, PATH_BYTES, "%s/%s", keygen->dir, file) < PATH_BYTES)
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the path is too long");
}

/* A name becomes a file and a role: nothing that could leave the folder. */
static bool name_check(const char *name, error_t *err)
{
    size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");
    if (len > 0 && name[len] == '\0' && len <= 64)
        return true;
    return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "\"%s\": a name has letters, digits, - and _", name);
}

/* Through a temporary file, so that nobody ever reads half a key. */
static bool write_key(const char *path, const char *key, mode_t mode, error_t *err)
{
    char temporary[PATH_BYTES + 8];
    (void)snprintf(temporary, sizeof temporary, "%s.new", path);
    (void)unlink(temporary);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool ok = fd >= 0 && dprintf(fd, "%s\n", key) == BUS_KEY_CHARS + 1 && fsync(fd) == 0;
    if (fd >= 0)
        ok = close(fd) == 0 && ok;
    ok = ok && rename(temporary, path) == 0;
    return ok || error_set(err, STATUS_DATA_LOSS, NULL, "cannot write %s: %s", path, strerror(errno));
}

static bool write_pair(const keygen_t *keygen, const char *name, bool is_client, error_t *err)
{
    char public[BUS_KEY_CHARS + 1], secret[BUS_KEY_CHARS + 1], path[PATH_BYTES];
    if (zmq_curve_keypair(public, secret) != 0)
        return error_set(err, STATUS_UNIMPLEMENTED, NULL, "this ZeroMQ was built without CURVE");
    bool ok = path_of(keygen, ".key", name, path, err) && write_key(path, secret, 0600, err) &&
              path_of(keygen, ".pub", name, path, err) && write_key(path, public, 0644, err);
    explicit_bzero(secret, sizeof secret);
    if (!ok || !is_client)
        return ok;
    char listed[PATH_BYTES];
    return snprintf(listed, sizeof listed, "%s/clients/%s.pub", keygen->dir, name) < (int)sizeof listed &&
           write_key(listed, public, 0644, err);
}

static bool make_pair(keygen_t *keygen, const char *name, bool is_client, error_t *err)
{
    char path[PATH_BYTES];
    if (!path_of(keygen, ".key", name, path, err))
        return false;
    if (access(path, F_OK) == 0 && !keygen->force) {
        keygen->kept++;
        return keygen->if_missing ||
               error_set(err, STATUS_ALREADY_EXISTS, NULL,
                         "%s is there already; --if-missing keeps it, --force makes a new one", path);
    }
    if (!write_pair(keygen, name, is_client, err))
        return false;
    keygen->made++;
    ctl_note(keygen->ctl, "made %s/%s.key and %s.pub", keygen->dir, name, name);
    return true;
}

static bool make_dir(const char *path, error_t *err)
{
    if (mkdir(path, 0755) == 0 || errno == EEXIST)
        return true;
    return error_set(err, STATUS_DATA_LOSS, NULL, "cannot create %s: %s", path, strerror(errno));
}

static bool make_all(keygen_t *keygen, const args_t *args, error_t *err)
{
    char clients[PATH_BYTES];
    for (int i = 0; i < args->count; i++)
        if (!name_check(args->positional[i], err))
            return false;
    if (snprintf(clients, sizeof clients, "%s/clients", keygen->dir) >= (int)sizeof clients)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the path is too long");
    if (!make_dir(keygen->dir, err) || !make_dir(clients, err))
        return false;
    if (args_given(args, "server") && !make_pair(keygen, "server", false, err))
        return false;
    for (int i = 0; i < args->count; i++)
        if (!make_pair(keygen, args->positional[i], true, err))
            return false;
    return true;
}

static int run(ctl_t *ctl, const args_t *args)
{
    keygen_t keygen = {.ctl = ctl,
                       .dir = args_text(args, "dir", ctl->curve_dir),
                       .force = args_given(args, "force"),
                       .if_missing = args_given(args, "if-missing")};
    error_t err = {0};
    if (!keygen.dir[0])
        return ctl_complain(ctl, CTL_USAGE, "--dir DIR (or MANGABUS_CURVE_DIR) says where the keys go");
    if (!args_given(args, "server") && args->count == 0)
        return ctl_complain(ctl, CTL_USAGE, "say for whom: --server, or names of clients (their roles)");
    if (!make_all(&keygen, args, &err))
        return ctl_fail(ctl, &err);
    if (ctl->json)
        fprintf(ctl->out, "{\"made\":%d,\"kept\":%d}\n", keygen.made, keygen.kept);
    return CTL_OK;
}

static const arg_option_t OPTIONS[] = {
    {"dir", ARG_TEXT, "DIR", "the folder (MANGABUS_CURVE_DIR)"},
    {"server", ARG_FLAG, NULL, "the broker's pair: server.key and server.pub"},
    {"if-missing", ARG_FLAG, NULL, "keep what is there; safe to run again"},
    {"force", ARG_FLAG, NULL, "make new keys in place of those that are there"},
};

static const char *const EXAMPLES[] = {
    "mangactl keygen --dir /tmp/keys --server --if-missing chat-router acl-erp mangactl",
    NULL,
};

const command_t command_keygen = {
    .name = "keygen",
    .arguments = "[NAME...]",
    .summary = "make CURVE keys for the broker and its clients",
    .about = "For each NAME: NAME.key (secret, 0600), NAME.pub, and clients/NAME.pub, by which the broker lets it in;\n"
             "the NAME is its role. The broker needs server.key and clients/; a client its own pair and server.pub.",
    .options = CTL_OPTIONS(OPTIONS),
    .least = 0,
    .most = ARGS_POSITIONAL_MAX,
    .examples = EXAMPLES,
    .run = run,
};
