/* cmd_schema.c: what events, calls and messages there are, and what they look like; needs no broker. */
#include "proto/msgpack.h"
#include "proto/schema.h"
#include "tools/mangactl/schema_diff.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

/* -- ls -------------------------------------------------------------------------------------------- */
typedef void (*row_fn)(void *ctx, const char *kind, const char *where, const char *name, const char *doc);

static void each_row(row_fn row, void *ctx)
{
    size_t count;
    const schema_event_t *events = schema_events(&count);
    for (size_t i = 0; i < count; i++)
        row(ctx, "event", events[i].source, events[i].detail_type, events[i].doc);
    const schema_call_t *calls = schema_calls(&count);
    for (size_t i = 0; i < count; i++)
        row(ctx, "call", calls[i].chunk ? "streams" : "", calls[i].method, calls[i].doc);
    const schema_message_t *messages = schema_messages(&count);
    for (size_t i = 0; i < count; i++)
        row(ctx, "message", "", messages[i].queue, messages[i].doc);
}

static void row_table(void *ctx, const char *kind, const char *where, const char *name, const char *doc)
{
    table_t *table = ctx;
    table_add(table, "%s", kind);
    table_add(table, "%s", where);
    table_add(table, "%s", name);
    table_add(table, "%s", doc);
}

static void put_pair(buf_t *out, const char *key, const char *value)
{
    json_string_append(out, bytes_cstr(key));
    buf_append_byte(out, ':');
    json_string_append(out, bytes_cstr(value));
}

static void row_json(void *ctx, const char *kind, const char *where, const char *name, const char *doc)
{
    buf_t line = {0};
    buf_append_byte(&line, '{');
    put_pair(&line, "kind", kind);
    buf_append_byte(&line, ',');
    put_pair(&line, strcmp(kind, "event") == 0 ? "source" : "note", where);
    buf_append_byte(&line, ',');
    put_pair(&line, "name", name);
    buf_append_byte(&line, ',');
    put_pair(&line, "doc", doc);
    fprintf(ctx, "%s}\n", buf_cstr(&line));
    buf_free(&line);
}

static int run_ls(ctl_t *ctl, const args_t *args)
{
    static const char *const titles[] = {"<kind", "<source", "<name", "<what", NULL};
    table_t table;
    (void)args;
    if (ctl->json) {
        each_row(row_json, ctl->out);
        return CTL_OK;
    }
    table_begin(&table, titles);
    each_row(row_table, &table);
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    return CTL_OK;
}

static const char *const LS_EXAMPLES[] = {"mangactl schema ls", "mangactl schema ls --json", NULL};

const command_t command_schema_ls = {
    .name = "schema ls",
    .arguments = "",
    .summary = "list the events, calls and messages of the contract",
    .examples = LS_EXAMPLES,
    .run = run_ls,
};

/* -- show ------------------------------------------------------------------------------------------ */
typedef struct {
    const char *name;
    const char *part; /* of a call: request, response, chunk */
    buf_t out;
    int found;
} lookup_t;

static void add(lookup_t *lookup, const schema_t *schema, const char *title)
{
    if (schema) {
        schema_write_json(schema, title, &lookup->out);
        lookup->found++;
    }
}

static void find_call(lookup_t *lookup)
{
    const schema_call_t *call = schema_find_call(bytes_cstr(lookup->name));
    if (!call)
        return;
    if (strcmp(lookup->part, "response") == 0)
        add(lookup, call->response, call->method);
    else if (strcmp(lookup->part, "chunk") == 0)
        add(lookup, call->chunk, call->method);
    else
        add(lookup, call->request, call->method);
}

/* An event by its detail-type, the first source that has it unless one is given. */
static void find_event(lookup_t *lookup, const char *source)
{
    size_t count;
    const schema_event_t *events = schema_events(&count);
    for (size_t i = 0; i < count && !lookup->found; i++)
        if (strcmp(events[i].detail_type, lookup->name) == 0 && (!source || strcmp(events[i].source, source) == 0))
            add(lookup, events[i].detail, events[i].detail_type);
}

static bool find_schema(const char *name, const args_t *args, buf_t *out)
{
    lookup_t lookup = {.name = name, .part = args_text(args, "part", "request")};
    const schema_message_t *message = schema_find_message(bytes_cstr(name));
    find_call(&lookup);
    find_event(&lookup, args_text(args, "source", NULL));
    if (!lookup.found && message)
        add(&lookup, message->body, message->queue);
    buf_append_bytes(out, buf_bytes(&lookup.out));
    buf_free(&lookup.out);
    return lookup.found > 0;
}

static int no_schema(ctl_t *ctl, const char *name)
{
    return ctl_complain(ctl, CTL_NO, "there is no schema \"%s\"; mangactl schema ls lists them", name);
}

static int run_show(ctl_t *ctl, const args_t *args)
{
    buf_t text = {0};
    int code = CTL_OK;
    if (find_schema(args->positional[0], args, &text))
        fputs(buf_cstr(&text), ctl->out);
    else
        code = no_schema(ctl, args->positional[0]);
    buf_free(&text);
    return code;
}

static const arg_option_t SHOW_OPTIONS[] = {
    {"part", ARG_TEXT, "PART", "of a call: request (the default), response or chunk"},
    {"source", ARG_TEXT, "SOURCE", "of an event, where several sources have its detail-type"},
};

static const char *const SHOW_EXAMPLES[] = {
    "mangactl schema show inventory.updated",
    "mangactl schema show chat.send --part response",
    NULL,
};

const command_t command_schema_show = {
    .name = "schema show",
    .arguments = "DETAIL-TYPE|METHOD|QUEUE",
    .summary = "show one schema as a JSON Schema",
    .options = CTL_OPTIONS(SHOW_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = SHOW_EXAMPLES,
    .run = run_show,
};

/* -- diff ------------------------------------------------------------------------------------------ */
static const char *const BREAKS[] = {[BREAKS_NOBODY] = "nobody",
                                     [BREAKS_CONSUMERS] = "consumers",
                                     [BREAKS_PRODUCERS] = "producers",
                                     [BREAKS_BOTH] = "both"};

typedef struct {
    table_t table;
    buf_t rows; /* maps */
    uint32_t count;
    unsigned breaks;
} changes_t;

static void on_change(void *ctx, const char *path, const char *what, breaks_t breaks)
{
    changes_t *changes = ctx;
    table_add(&changes->table, "%s", path[0] ? path : ".");
    table_add(&changes->table, "%s", what);
    table_add(&changes->table, "%s", BREAKS[breaks]);
    mp_put_map(&changes->rows, 3);
    mp_put_cstr(&changes->rows, "path");
    mp_put_cstr(&changes->rows, path);
    mp_put_cstr(&changes->rows, "what");
    mp_put_cstr(&changes->rows, what);
    mp_put_cstr(&changes->rows, "breaks");
    mp_put_cstr(&changes->rows, BREAKS[breaks]);
    changes->count++;
    changes->breaks |= breaks;
}

/* A name of the contract, or a file ("@file", "-") with a JSON Schema. */
static int read_schema(ctl_t *ctl, const args_t *args, const char *given, buf_t *out)
{
    error_t err = {0};
    buf_t text = {0};
    mp_reader_t r;
    uint32_t pairs;
    int code = CTL_OK;
    if (given[0] != '@' && strcmp(given, "-") != 0 && !find_schema(given, args, &text))
        code = no_schema(ctl, given);
    else if ((text.len == 0 && !ctl_read_document(given, &text, &err)) ||
             (!json_to_msgpack(buf_bytes(&text), NULL, out, &err) && !error_prefix(&err, "%s", given)))
        code = ctl_fail(ctl, &err);
    r = mp_reader(buf_bytes(out));
    if (code == CTL_OK && !mp_get_map(&r, &pairs))
        code = ctl_complain(ctl, CTL_DATA, "%s is no JSON Schema", given);
    buf_free(&text);
    return code;
}

static int print_changes(ctl_t *ctl, changes_t *changes)
{
    if (ctl->json) {
        buf_t list = {0};
        mp_put_array(&list, changes->count);
        buf_append_bytes(&list, buf_bytes(&changes->rows));
        int code = ctl_print_json(ctl, buf_bytes(&list), JSON_COMPACT);
        buf_free(&list);
        table_free(&changes->table);
        return code;
    }
    if (changes->count)
        table_end(&changes->table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    else
        table_free(&changes->table);
    ctl_note(ctl, "%s",
             changes->count == 0 ? "no difference"
             : changes->breaks   ? "this breaks somebody"
                                 : "this breaks nobody");
    return CTL_OK;
}

static int run_diff(ctl_t *ctl, const args_t *args)
{
    static const char *const titles[] = {"<where", "<what changed", "<breaks", NULL};
    buf_t before = {0}, after = {0};
    int code = read_schema(ctl, args, args->positional[0], &before);
    if (code == CTL_OK)
        code = read_schema(ctl, args, args->positional[1], &after);
    if (code == CTL_OK) {
        changes_t changes = {.count = 0};
        table_begin(&changes.table, titles);
        schema_diff(buf_bytes(&before), buf_bytes(&after), on_change, &changes);
        code = print_changes(ctl, &changes);
        if (code == CTL_OK && changes.breaks)
            code = CTL_NO;
        buf_free(&changes.rows);
    }
    buf_free(&before);
    buf_free(&after);
    return code;
}

static const char *const DIFF_EXAMPLES[] = {
    "mangactl schema show inventory.updated > old.json; mangactl schema diff @old.json inventory.updated",
    NULL,
};

const command_t command_schema_diff = {
    .name = "schema diff",
    .arguments = "OLD NEW",
    .summary = "tell which changes of a schema break those who consume or produce it",
    .about =
        "Each is @FILE with a JSON Schema, -, or a name as schema show takes it: that of this program's contract.\n"
        "A consumer breaks where NEW lets pass what OLD excluded, a producer where NEW excludes what OLD let pass.\n"
        "Exit code 1 when it breaks somebody.",
    .options = CTL_OPTIONS(SHOW_OPTIONS),
    .least = 2,
    .most = 2,
    .examples = DIFF_EXAMPLES,
    .run = run_diff,
};
