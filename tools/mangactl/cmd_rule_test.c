/* cmd_rule_test.c: tells whether a pattern, or which rules, would match an event. */
#include <stdlib.h>

#include "broker/rules/pattern.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "tools/mangactl/cmd_rule.h"

/* Where a pattern is tested, exit codes say what a script wants to know (the documents name these three). */
enum { TEST_MATCH = 0, TEST_NO_MATCH = 1, TEST_INVALID = 2 };

#define BATCH_LINE_MAX_BYTES ((size_t)8 << 20)

bool rule_read_document(const char *given, buf_t *out, error_t *err)
{
    const char *begin = given + strspn(given, " \t\r\n");
    bool is_name = *begin && !strchr("{[\"@", *begin) && strcmp(begin, "-") != 0;
    buf_t name = {0};
    if (!is_name)
        return ctl_read_document(given, out, err);
    buf_printf(&name, "@%s", given);
    bool ok = ctl_read_document(buf_cstr(&name), out, err);
    buf_free(&name);
    return ok;
}

bool rule_read_event(const char *given, buf_t *out, error_t *err)
{
    buf_t text = {0};
    bool ok = rule_read_document(given, &text, err) && json_to_msgpack(buf_bytes(&text), NULL, out, err);
    buf_free(&text);
    return ok;
}

/* -- one pattern, here ------------------------------------------------------------------------------- */
typedef struct {
    pattern_options_t options;
    bool envelope; /* the event must be a whole one */
    buf_t last;    /* the pattern that `pattern` was made of */
    pattern_t *pattern;
    error_t why; /* what is wrong with it, when there is none */
    buf_t event;
} tester_t;

static void tester_free(tester_t *t)
{
    pattern_free(&t->pattern);
    buf_free(&t->last);
    buf_free(&t->event);
}

/* The same pattern line after line is compiled once. */
static bool tester_pattern(tester_t *t, bytes_t json, error_t *err)
{
    if (t->last.len == 0 || !bytes_eq(buf_bytes(&t->last), json)) {
        pattern_free(&t->pattern);
        buf_clear(&t->last);
        buf_append_bytes(&t->last, json);
        t->pattern = pattern_compile_with(json, t->options, &t->why);
    }
    if (!t->pattern)
        *err = t->why;
    return t->pattern != NULL;
}

static int tester_run(tester_t *t, bytes_t pattern, bytes_t event_json, error_t *err)
{
    envelope_t envelope;
    mp_type_t type;
    buf_clear(&t->event);
    if (!tester_pattern(t, pattern, err))
        return TEST_INVALID;
    if (!json_to_msgpack(event_json, NULL, &t->event, err)) {
        (void)error_prefix(err, "event");
        return TEST_INVALID;
    }
    mp_reader_t r = mp_reader(buf_bytes(&t->event));
    if (!mp_peek(&r, &type) || type != MP_MAP) {
        (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "event: it is no object");
        return TEST_INVALID;
    }
    if (t->envelope && !envelope_read(buf_bytes(&t->event), &envelope, err)) {
        (void)error_prefix(err, "Parameter Event is not valid");
        return TEST_INVALID;
    }
    return pattern_match(t->pattern, buf_bytes(&t->event), BYTES_NONE) ? TEST_MATCH : TEST_NO_MATCH;
}

static void print_text(ctl_t *ctl, int result, const error_t *err)
{
    if (result == TEST_INVALID) {
        fputs("invalid: ", ctl->out);
        ctl_print_text(ctl->out, bytes_cstr(err->message));
    } else {
        fputs(result == TEST_MATCH ? "match" : "no match", ctl->out);
    }
    fputc('\n', ctl->out);
}

static void print_json(ctl_t *ctl, bytes_t name, int result, const error_t *err)
{
    buf_t text = {0};
    buf_append_byte(&text, '{');
    if (name.data) {
        buf_append_cstr(&text, "\"name\":");
        json_string_append(&text, name);
        buf_append_byte(&text, ',');
    }
    buf_printf(&text, "\"result\":\"%s\"",
               result == TEST_MATCH      ? "match"
               : result == TEST_NO_MATCH ? "no match"
                                         : "invalid");
    if (result == TEST_INVALID) {
        buf_append_cstr(&text, ",\"reason\":");
        json_string_append(&text, bytes_cstr(err->message));
    }
    fprintf(ctl->out, "%s}\n", buf_cstr(&text));
    buf_free(&text);
}

static int test_pattern(ctl_t *ctl, tester_t *t, const char *pattern, const char *event)
{
    buf_t pattern_text = {0}, event_text = {0};
    error_t err = {0};
    int code;
    if (!rule_read_document(pattern, &pattern_text, &err) || !rule_read_document(event, &event_text, &err)) {
        code = ctl_fail(ctl, &err);
    } else {
        code = tester_run(t, buf_bytes(&pattern_text), buf_bytes(&event_text), &err);
        if (ctl->json)
            print_json(ctl, BYTES_NONE, code, &err);
        else
            print_text(ctl, code, &err);
    }
    buf_free(&pattern_text);
    buf_free(&event_text);
    return code;
}

/* -- many of them ------------------------------------------------------------------------------------ */
static bytes_t take_column(bytes_t *rest)
{
    const uint8_t *tab = rest->len ? memchr(rest->data, '\t', rest->len) : NULL;
    size_t len = tab ? (size_t)(tab - rest->data) : rest->len;
    bytes_t column = bytes_from(rest->data, len);
    *rest = tab ? bytes_from(tab + 1, rest->len - len - 1) : bytes_from(rest->data + len, 0);
    return column;
}

static void test_line(ctl_t *ctl, tester_t *t, bytes_t line)
{
    error_t err = {0};
    bytes_t name = take_column(&line), pattern = take_column(&line);
    int result = tester_run(t, pattern, line, &err);
    if (ctl->json) {
        print_json(ctl, name, result, &err);
        return;
    }
    ctl_print_text(ctl->out, name);
    fputc('\t', ctl->out);
    print_text(ctl, result, &err);
}

static int test_lines(ctl_t *ctl, tester_t *t, FILE *file, const char *name)
{
    char *line = NULL;
    size_t cap = 0;
    ssize_t len;
    int code = CTL_OK;
    while (code == CTL_OK && (len = getline(&line, &cap, file)) > 0) {
        len -= line[len - 1] == '\n';
        if ((size_t)len > BATCH_LINE_MAX_BYTES)
            code = ctl_complain(ctl, CTL_DATA, "%s: a line is longer than %zu bytes", name, BATCH_LINE_MAX_BYTES);
        else if (len > 0)
            test_line(ctl, t, bytes_from(line, (size_t)len));
    }
    if (code == CTL_OK && ferror(file))
        code = ctl_complain(ctl, CTL_DATA, "cannot read %s: %s", name, strerror(errno));
    free(line);
    return code;
}

static int test_batch(ctl_t *ctl, tester_t *t, const char *given)
{
    const char *name = given[0] == '@' ? given + 1 : given;
    bool is_stdin = strcmp(given, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(name, "re");
    if (!file)
        return ctl_complain(ctl, CTL_DATA, "cannot open %s: %s", name, strerror(errno));
    int code = test_lines(ctl, t, file, is_stdin ? "standard input" : name);
    if (!is_stdin)
        (void)fclose(file);
    return code;
}

/* -- the rules of a bus, in the broker ---------------------------------------------------------------- */
static int print_matches(ctl_t *ctl, bytes_t list)
{
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    if (!mp_get_array(&reader, &count))
        return ctl_complain(ctl, CTL_BUG, "the broker's answer is no list");
    int code = ctl->json ? ctl_print_json(ctl, list, JSON_COMPACT) : CTL_OK;
    if (!ctl->json && count > 0)
        code = rule_print_list(ctl, list);
    if (count == 0)
        ctl_note(ctl, "no rule matches");
    return code == CTL_OK && count == 0 ? CTL_NO : code;
}

static int test_bus(ctl_t *ctl, const char *bus, const char *given)
{
    buf_t result = {0}, event = {0};
    error_t err = {0};
    int code;
    if (!rule_read_event(given, &event, &err))
        code = ctl_fail(ctl, &err);
    else if (ctl_ask(ctl, WIRE_RULE, "test", bus, BYTES_NONE, buf_bytes(&event), &result, &code))
        code = print_matches(ctl, buf_bytes(&result));
    buf_free(&event);
    buf_free(&result);
    return code;
}

static int run_test(ctl_t *ctl, const args_t *args)
{
    const char *pattern = args_text(args, "pattern", NULL), *bus = args_text(args, "bus", NULL);
    const char *batch = args_text(args, "batch", NULL);
    const char *event = args_text(args, "event", args->count > 0 ? args->positional[0] : NULL);
    tester_t t = {.options = {.all_of = args_given(args, "all-of")}, .envelope = args_given(args, "envelope")};
    int code;
    if (!!pattern + !!bus + !!batch != 1)
        return ctl_complain(ctl, CTL_USAGE, "say what to test against: --pattern, --bus or --batch");
    if (!batch == !event || (args->count > 0 && args_given(args, "event")))
        return ctl_complain(ctl, CTL_USAGE, batch ? "the events of --batch are in its file" : "give one event");
    if (batch)
        code = test_batch(ctl, &t, batch);
    else
        code = pattern ? test_pattern(ctl, &t, pattern, event) : test_bus(ctl, bus, event);
    tester_free(&t);
    return code;
}

static const arg_option_t TEST_OPTIONS[] = {
    {"pattern", ARG_TEXT, "JSON", "against this pattern (a file, or the text itself); needs no broker"},
    {"event", ARG_TEXT, "JSON", "the event (a file, or the text itself)"},
    {"bus", ARG_TEXT, "BUS", "against the rules of this bus, in the broker"},
    {"batch", ARG_TEXT, "FILE", "lines of name, pattern and event with tabs between; prints name and result of each"},
    {"envelope", ARG_FLAG, NULL, "refuse an event that lacks what every event has"},
    {"all-of", ARG_FLAG, NULL, "take the operator allOf, which AWS has not"},
};

static const char *const TEST_EXAMPLES[] = {
    "mangactl rule test --event '{\"source\": \"a.b\", \"detail\": {\"n\": 1}}' --pattern '{\"source\": [{\"prefix\": "
    "\"a.\"}]}'",
    "mangactl rule test --pattern '{\"detail\": {\"n\": [{\"numeric\": [\">\", 0]}]}}' --event event.json",
    "mangactl rule test --bus MangaAssist-AI-Events --event event.json",
    "mangactl rule test --batch cases.tsv",
    NULL,
};

const command_t command_rule_test = {
    .name = "rule test",
    .arguments = "[EVENT]",
    .summary = "tell whether a pattern, or which rules, would match an event",
    .about =
        "With --pattern it prints \"match\", \"no match\", or \"invalid: \" and what is wrong; exit codes 0, 1, 2.\n"
        "With --bus it lists the rules that match; exit code 1 when none does. With --batch the exit code says\n"
        "only whether the file could be read. An event is what tail --json shows under \"event\".",
    .options = CTL_OPTIONS(TEST_OPTIONS),
    .least = 0,
    .most = 1,
    .examples = TEST_EXAMPLES,
    .run = run_test,
};
