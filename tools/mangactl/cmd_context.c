/* cmd_context.c: brokers by name, so that nobody types an endpoint twice. */
#include <stdlib.h>

#include "proto/msgpack.h"
#include "tools/mangactl/contexts.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

/* Reads the file, lets `change` work on it, and writes it. */
static int change_file(ctl_t *ctl, const args_t *args, bool (*change)(contexts_t *, const args_t *, error_t *))
{
    contexts_t contexts;
    error_t err = {0};
    bool ok = contexts_read(&contexts, &err) && change(&contexts, args, &err) && contexts_write(&contexts, &err);
    contexts_free(&contexts);
    return ok ? CTL_OK : ctl_fail(ctl, &err);
}

static context_t *find(const contexts_t *contexts, const char *name, error_t *err)
{
    context_t *found = contexts_find(contexts, name);
    if (!found)
        (void)error_set(err, STATUS_NOT_FOUND, NULL, "there is no context \"%s\"; mangactl context ls lists them",
                        name);
    return found;
}

/* -- add ----------------------------------------------------------------------------------------------- */
static bool keys_find(const char *given, char out[CONTEXT_TEXT_BYTES], error_t *err)
{
    char *real = realpath(given, NULL);
    bool ok = real && strlen(real) < CONTEXT_TEXT_BYTES;
    if (ok)
        (void)snprintf(out, CONTEXT_TEXT_BYTES, "%s", real);
    free(real);
    return ok || error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--keys: there is no folder %s", given);
}

static bool add(contexts_t *contexts, const args_t *args, error_t *err)
{
    context_t context = {0};
    const char *endpoint = args_text(args, "endpoint", NULL), *keys = args_text(args, "keys", NULL);
    if (!endpoint)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "--endpoint is needed: where the broker is");
    if (!bytes_to_cstr(bytes_cstr(args->positional[0]), context.name, sizeof context.name) ||
        !bytes_to_cstr(bytes_cstr(endpoint), context.endpoint, sizeof context.endpoint))
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "the name or the endpoint is too long");
    if (keys && !keys_find(keys, context.keys, err))
        return false;
    if (!contexts_put(contexts, &context, err))
        return false;
    if (args_given(args, "use"))
        memcpy(contexts->current, context.name, sizeof context.name);
    return true;
}

static int run_add(ctl_t *ctl, const args_t *args)
{
    return change_file(ctl, args, add);
}

static const arg_option_t ADD_OPTIONS[] = {
    {"keys", ARG_TEXT, "DIR", "folder with server.pub, mangactl.pub and mangactl.key; its path is kept, nothing else"},
    {"use", ARG_FLAG, NULL, "and use it from now on"},
};

static const char *const ADD_EXAMPLES[] = {"mangactl context add shop --endpoint tcp://127.0.0.1:7447 --use", NULL};

const command_t command_context_add = {
    .name = "context add",
    .arguments = "NAME",
    .summary = "keep a broker's endpoint, and where its keys lie, under a name",
    .about =
        "The file is contexts.json in mangabus in $XDG_CONFIG_HOME, else in ~/.config. What counts, in this order:\n"
        "--endpoint, --context NAME, MANGABUS_ENDPOINT and MANGABUS_CURVE_DIR, the context in use.",
    .options = CTL_OPTIONS(ADD_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = ADD_EXAMPLES,
    .run = run_add,
};

/* -- use, rm ------------------------------------------------------------------------------------------- */
static bool use(contexts_t *contexts, const args_t *args, error_t *err)
{
    if (args_given(args, "none")) {
        contexts->current[0] = '\0';
        return true;
    }
    if (!args->count)
        return error_set(err, STATUS_INVALID_ARGUMENT, NULL, "context use takes a NAME, or --none");
    const context_t *found = find(contexts, args->positional[0], err);
    if (found)
        memcpy(contexts->current, found->name, sizeof found->name);
    return found != NULL;
}

static int run_use(ctl_t *ctl, const args_t *args)
{
    return change_file(ctl, args, use);
}

static const arg_option_t USE_OPTIONS[] = {{"none", ARG_FLAG, NULL, "use none from now on"}};
static const char *const USE_EXAMPLES[] = {"mangactl context use shop", "mangactl context use --none", NULL};

const command_t command_context_use = {
    .name = "context use",
    .arguments = "[NAME]",
    .summary = "use a context from now on, where nothing else is said",
    .options = CTL_OPTIONS(USE_OPTIONS),
    .most = 1,
    .examples = USE_EXAMPLES,
    .run = run_use,
};

static bool drop(contexts_t *contexts, const args_t *args, error_t *err)
{
    context_t *found = find(contexts, args->positional[0], err);
    if (found)
        contexts_drop(contexts, found);
    return found != NULL;
}

static int run_rm(ctl_t *ctl, const args_t *args)
{
    return change_file(ctl, args, drop);
}

static const char *const RM_EXAMPLES[] = {"mangactl context rm shop", NULL};

const command_t command_context_rm = {
    .name = "context rm",
    .arguments = "NAME",
    .summary = "forget a context; the keys stay where they are",
    .least = 1,
    .most = 1,
    .examples = RM_EXAMPLES,
    .run = run_rm,
};

/* -- ls ------------------------------------------------------------------------------------------------ */
static int print_json(ctl_t *ctl, const contexts_t *contexts)
{
    buf_t out = {0};
    mp_put_array(&out, (uint32_t)contexts->count);
    for (size_t i = 0; i < contexts->count; i++) {
        const context_t *context = &contexts->items[i];
        mp_put_map(&out, 4);
        mp_put_cstr(&out, "name");
        mp_put_cstr(&out, context->name);
        mp_put_cstr(&out, "endpoint");
        mp_put_cstr(&out, context->endpoint);
        mp_put_cstr(&out, "keys");
        mp_put_cstr(&out, context->keys);
        mp_put_cstr(&out, "current");
        mp_put_bool(&out, strcmp(context->name, contexts->current) == 0);
    }
    int code = ctl_print_json(ctl, buf_bytes(&out), JSON_COMPACT);
    buf_free(&out);
    return code;
}

static int print_table(ctl_t *ctl, const contexts_t *contexts)
{
    static const char *const titles[] = {"<", "<context", "<endpoint", "<keys", NULL};
    table_t table;
    if (contexts->count == 0)
        ctl_note(ctl, "there is none; mangactl context add makes one");
    table_begin(&table, titles);
    for (size_t i = 0; i < contexts->count; i++) {
        const context_t *context = &contexts->items[i];
        table_add(&table, "%s", strcmp(context->name, contexts->current) == 0 ? "*" : "");
        table_add(&table, "%s", context->name);
        table_add(&table, "%s", context->endpoint);
        table_add(&table, "%s", context->keys[0] ? context->keys : "-");
    }
    if (contexts->count)
        table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    else
        table_free(&table);
    return CTL_OK;
}

static int run_ls(ctl_t *ctl, const args_t *args)
{
    (void)args;
    contexts_t contexts;
    error_t err = {0};
    int code = CTL_CONFIG;
    if (contexts_read(&contexts, &err))
        code = ctl->json ? print_json(ctl, &contexts) : print_table(ctl, &contexts);
    else
        code = ctl_complain(ctl, CTL_CONFIG, "%s", err.message);
    contexts_free(&contexts);
    return code;
}

static const char *const LS_EXAMPLES[] = {"mangactl context ls", NULL};

const command_t command_context_ls = {
    .name = "context ls",
    .arguments = "",
    .summary = "list the contexts; the one in use has a star",
    .examples = LS_EXAMPLES,
    .run = run_ls,
};
