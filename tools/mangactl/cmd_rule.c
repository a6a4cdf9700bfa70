/* cmd_rule.c: looks at rules, and tells which would match an event. */
#include "broker/rules/pattern.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

/* -- ls -------------------------------------------------------------------------------------------- */
static bytes_t targets_of(bytes_t rule, buf_t *out)
{
    bytes_t raw;
    buf_clear(out);
    bool has = mp_map_find(rule, "targets", &raw) && json_from_msgpack(raw, JSON_COMPACT, out, NULL);
    return has ? buf_bytes(out) : BYTES_NONE;
}

static int print_rules(ctl_t *ctl, bytes_t list)
{
    static const char *const titles[] = {"<bus", "<rule", "<state", "<targets", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    bytes_t rule;
    buf_t text = {0};
    table_begin(&table, titles);
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &rule); i++) {
        table_add_bytes(&table, ctl_map_text(rule, "bus", "?"));
        table_add_bytes(&table, ctl_map_text(rule, "name", "?"));
        table_add_bytes(&table, ctl_map_text(rule, "state", "?"));
        table_add_bytes(&table, targets_of(rule, &text));
    }
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    buf_free(&text);
    return CTL_OK;
}

static int run_ls(ctl_t *ctl, const args_t *args)
{
    buf_t result = {0};
    int code;
    const char *bus = args->count > 0 ? args->positional[0] : "";
    if (ctl_ask(ctl, WIRE_RULE, "list", bus, BYTES_NONE, BYTES_NONE, &result, &code))
        code = ctl->json ? ctl_print_json(ctl, buf_bytes(&result), JSON_COMPACT) : print_rules(ctl, buf_bytes(&result));
    buf_free(&result);
    return code;
}

static const char *const LS_EXAMPLES[] = {"mangactl rule ls", "mangactl rule ls MangaAssist-AI-Events --json", NULL};

const command_t command_rule_ls = {
    .name = "rule ls",
    .arguments = "[BUS]",
    .summary = "list the rules, their state and their targets",
    .least = 0,
    .most = 1,
    .examples = LS_EXAMPLES,
    .run = run_ls,
};

/* -- test ------------------------------------------------------------------------------------------ */
/* The pattern given here, held against the event here: the code is the broker's own. */
static int test_pattern(ctl_t *ctl, const char *given, bytes_t event)
{
    buf_t text = {0};
    error_t err = {0};
    pattern_t *pattern = ctl_read_document(given, &text, &err) ? pattern_compile(buf_bytes(&text), &err) : NULL;
    int code;
    if (!pattern) {
        code = ctl_fail(ctl, &err);
    } else {
        bool matches = pattern_match(pattern, event, BYTES_NONE);
        fputs(ctl->json ? (matches ? "{\"matches\":true}\n" : "{\"matches\":false}\n")
                        : (matches ? "it matches\n" : "it does not match\n"),
              ctl->out);
        code = matches ? CTL_OK : CTL_NO;
    }
    pattern_free(&pattern);
    buf_free(&text);
    return code;
}

static int print_matches(ctl_t *ctl, bytes_t list)
{
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    if (!mp_get_array(&reader, &count))
        return ctl_complain(ctl, CTL_BUG, "the broker's answer is no list");
    int code = ctl->json ? ctl_print_json(ctl, list, JSON_COMPACT) : CTL_OK;
    if (!ctl->json && count > 0)
        code = print_rules(ctl, list);
    if (count == 0)
        ctl_note(ctl, "no rule matches");
    return code == CTL_OK && count == 0 ? CTL_NO : code;
}

static int test_bus(ctl_t *ctl, const char *bus, bytes_t event)
{
    buf_t result = {0};
    int code;
    if (ctl_ask(ctl, WIRE_RULE, "test", bus, BYTES_NONE, event, &result, &code))
        code = print_matches(ctl, buf_bytes(&result));
    buf_free(&result);
    return code;
}

static int run_test(ctl_t *ctl, const args_t *args)
{
    const char *pattern = args_text(args, "pattern", NULL), *bus = args_text(args, "bus", NULL);
    buf_t event = {0};
    error_t err = {0};
    int code;
    if (!pattern == !bus)
        return ctl_complain(ctl, CTL_USAGE, "say what to test against: --bus BUS or --pattern JSON");
    if (!ctl_read_json(args->positional[0], &event, &err))
        code = ctl_fail(ctl, &err);
    else
        code = pattern ? test_pattern(ctl, pattern, buf_bytes(&event)) : test_bus(ctl, bus, buf_bytes(&event));
    buf_free(&event);
    return code;
}

static const arg_option_t TEST_OPTIONS[] = {
    {"bus", ARG_TEXT, "BUS", "against the rules of this bus, in the broker"},
    {"pattern", ARG_TEXT, "JSON", "against this pattern (or @FILE); needs no broker"},
};

static const char *const TEST_EXAMPLES[] = {
    "mangactl rule test '{\"source\": \"a.b\", \"detail\": {\"n\": 1}}' --pattern '{\"source\": [{\"prefix\": "
    "\"a.\"}]}'",
    "mangactl rule test @event.json --bus MangaAssist-AI-Events",
    NULL,
};

const command_t command_rule_test = {
    .name = "rule test",
    .arguments = "EVENT|@FILE|-",
    .summary = "tell which rules, or whether a pattern, would match an event",
    .about =
        "The event is an envelope in JSON, as tail --json shows under \"event\". Exit code 1 when nothing matches.",
    .options = CTL_OPTIONS(TEST_OPTIONS),
    .least = 1,
    .most = 1,
    .examples = TEST_EXAMPLES,
    .run = run_test,
};
