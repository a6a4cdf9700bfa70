/* cmd_schema.c: what events, calls and messages there are, and what they look like; needs no broker. */
#include "proto/schema.h"
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

static int run_show(ctl_t *ctl, const args_t *args)
{
    lookup_t lookup = {.name = args->positional[0], .part = args_text(args, "part", "request")};
    const schema_message_t *message = schema_find_message(bytes_cstr(lookup.name));
    find_call(&lookup);
    find_event(&lookup, args_text(args, "source", NULL));
    if (!lookup.found && message)
        add(&lookup, message->body, message->queue);
    int code = CTL_OK;
    if (lookup.found)
        fputs(buf_cstr(&lookup.out), ctl->out);
    else
        code = ctl_complain(ctl, CTL_NO, "there is no schema \"%s\"; mangactl schema ls lists them", lookup.name);
    buf_free(&lookup.out);
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
