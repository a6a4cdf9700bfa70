/* cmd_rule_explain.c: tells of an event and every rule whether it matches, and if not, what failed first. */
#include "broker/rules/explain.h"
#include "kit/clock.h"
#include "proto/attrs.h"
#include "proto/msgpack.h"
#include "proto/uuid.h"
#include "tools/mangactl/cmd_rule.h"
#include "tools/mangactl/event_source.h"
#include "tools/mangactl/journal_folder.h"
#include "tools/mangactl/rule_set.h"
#include "tools/mangactl/stream.h"
#include "tools/mangactl/table.h"

#define FIND_MS 10000                            /* patience for an event in the journal */
#define CLOCKS_APART_US (INT64_C(300) * 1000000) /* that a publisher's clock may be behind the broker's, or ahead */

typedef struct {
    buf_t event, bus, replay_name;
    uint64_t record; /* wanted; 0: any */
    bool found;
} subject_t;

/* -- the event --------------------------------------------------------------------------------------- */
static bool take_event(void *ctx, const bus_delivery_t *delivery)
{
    subject_t *subject = ctx;
    bytes_t name;
    if (subject->record && delivery->record != subject->record)
        return false;
    subject->found = true;
    buf_append_bytes(&subject->event, delivery->body);
    buf_append_bytes(&subject->bus, delivery->source);
    if (attrs_str(delivery->attrs, ATTR_REPLAY_NAME, &name))
        buf_append_bytes(&subject->replay_name, name);
    return false;
}

/* An id of ours says when it was made; of others the whole journal is looked through. */
static int64_t since_of(const char *id)
{
    uuid16_t uuid;
    uint64_t ms;
    if (!uuid_parse(bytes_cstr(id), &uuid) || !uuid_time_ms(uuid, &ms))
        return 0;
    return (int64_t)ms * 1000 - CLOCKS_APART_US;
}

static int find_event(ctl_t *ctl, const args_t *args, subject_t *subject)
{
    const char *id = args_text(args, "id", NULL);
    buf_t pattern = {0};
    stream_t stream = {.ctl = ctl,
                       .bus = "*",
                       .count = 1,
                       .timeout_ms = FIND_MS,
                       .until_us = clock_wall_us(),
                       .each = take_event,
                       .ctx = subject};
    subject->record = stream.from = (uint64_t)args_number(args, "record", 0);
    if (id) {
        buf_append_cstr(&pattern, "{\"id\":[{\"exactly\":");
        json_string_append(&pattern, bytes_cstr(id));
        buf_append_cstr(&pattern, "}]}");
        stream.pattern = buf_cstr(&pattern);
        stream.since_us = since_of(id);
        stream.from = stream.since_us ? 0 : 1;
    }
    int code = stream_run(&stream);
    ctl_disconnect(ctl);
    buf_free(&pattern);
    if (code == CTL_OK && !subject->found)
        code = ctl_complain(ctl, CTL_NO, "the broker's journal has no such event");
    return code;
}

static bool take_archived(const event_archive_t *from, subject_t *subject, error_t *err)
{
    event_source_t source = {0};
    source_event_t event;
    bool good = event_source_archive(from, &source, err);
    while (good && !subject->found && source.next(source.self, &event, err)) {
        if (subject->record && event.record != subject->record)
            continue;
        subject->found = true;
        buf_append_bytes(&subject->event, event.body);
        buf_append_bytes(&subject->bus, event.bus);
    }
    event_source_close(&source);
    return good && err->code == STATUS_OK;
}

static int archived_event(ctl_t *ctl, const args_t *args, subject_t *subject)
{
    error_t err = {0};
    char folder[CTL_PATH_BYTES];
    journal_folder_default(folder, sizeof folder);
    const event_archive_t from = {.journal = args_text(args, "journal", folder),
                                  .archive = args_text(args, "archive", NULL),
                                  .id = bytes_cstr(args_text(args, "id", ""))};
    subject->record = (uint64_t)args_number(args, "record", 0);
    if (!take_archived(&from, subject, &err))
        return journal_folder_fail(ctl, &err);
    return subject->found ? CTL_OK : ctl_complain(ctl, CTL_NO, "the archive's files have no such event");
}

static int given_event(ctl_t *ctl, const args_t *args, subject_t *subject)
{
    error_t err = {0};
    buf_append_cstr(&subject->bus, args_text(args, "bus", ""));
    return rule_read_event(args->positional[0], &subject->event, &err) ? CTL_OK : ctl_fail(ctl, &err);
}

/* -- showing ----------------------------------------------------------------------------------------- */
static bytes_t json_of(bytes_t map, const char *key, buf_t *out)
{
    bytes_t value;
    buf_clear(out);
    bool has = mp_map_find(map, key, &value) && json_from_msgpack(value, JSON_COMPACT, out, NULL);
    return has ? buf_bytes(out) : BYTES_NONE;
}

/* "detail.n: wanted [5], found 3" */
static void say(bytes_t explanation, buf_t *out)
{
    bytes_t path = ctl_map_text(explanation, "path", ""), reason = ctl_map_text(explanation, "reason", "");
    buf_t wanted = {0}, found = {0};
    bytes_t want = json_of(explanation, "wanted", &wanted), values = json_of(explanation, "found", &found);
    if (bytes_eq_cstr(reason, "element"))
        buf_printf(out, "%.*s: no one element of the array meets all that is asked of it", BYTES_FMT(path));
    else if (bytes_eq_cstr(reason, "broken"))
        buf_append_cstr(out, "this is no event");
    else if (bytes_eq_cstr(reason, "present"))
        buf_printf(out, "%.*s: must be absent, found %.*s", BYTES_FMT(path), BYTES_FMT(values));
    else if (bytes_eq_cstr(reason, "missing") && values.len <= 2)
        buf_printf(out, "%.*s: wanted %.*s, nothing is there", BYTES_FMT(path), BYTES_FMT(want));
    else
        buf_printf(out, "%.*s: wanted %.*s, found %s%.*s", BYTES_FMT(path), BYTES_FMT(want),
                   bytes_eq_cstr(reason, "missing") ? "no value but " : "", BYTES_FMT(values));
    buf_free(&wanted);
    buf_free(&found);
}

/* Where a match goes: a target that is disabled gets nothing, and that is the answer as often as a pattern is. */
static void say_targets(bytes_t row, buf_t *out)
{
    bytes_t list, target;
    uint32_t count = 0;
    mp_reader_t r = mp_reader(mp_map_find(row, "targets", &list) ? list : BYTES_NONE);
    if (!mp_get_array(&r, &count))
        return; /* a document was asked, which says so itself */
    if (count == 0)
        buf_append_cstr(out, "it has no targets");
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &target); i++)
        buf_printf(out, "%s%.*s%s", i ? ", " : "to ", BYTES_FMT(ctl_map_text(target, "queue", "?")),
                   bytes_eq_cstr(ctl_map_text(target, "state", ""), "DISABLED") ? " (disabled)" : "");
}

/* Counts, and with a table adds a row. */
static void print_row(table_t *table, bytes_t row, uint32_t *matched)
{
    bytes_t explanation;
    bool is_match = false;
    buf_t text = {0};
    if (!mp_map_find(row, "explanation", &explanation))
        return;
    (void)!mp_map_bool(explanation, "matched", &is_match);
    *matched += is_match;
    if (!table)
        return;
    if (is_match)
        say_targets(row, &text);
    else
        say(explanation, &text);
    table_add_bytes(table, ctl_map_text(row, "rule", "?"));
    table_add_bytes(table, ctl_map_text(row, "state", "?"));
    table_add_bytes(table, is_match ? BYTES_LIT("match") : BYTES_LIT("no match"));
    table_add_bytes(table, buf_bytes(&text));
    buf_free(&text);
}

static int print_rows(ctl_t *ctl, bytes_t list)
{
    static const char *const titles[] = {"<rule", "<state", "<result", "<because", NULL};
    table_t table;
    mp_reader_t r = mp_reader(list);
    uint32_t count = 0, matched = 0;
    bytes_t row;
    if (!mp_get_array(&r, &count))
        return ctl_complain(ctl, CTL_BUG, "the answer is no list");
    if (!ctl->json)
        table_begin(&table, titles);
    for (uint32_t i = 0; i < count && mp_get_raw(&r, &row); i++)
        print_row(ctl->json ? NULL : &table, row, &matched);
    if (ctl->json)
        (void)ctl_print_json(ctl, list, JSON_COMPACT);
    else
        table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    if (count == 0)
        ctl_note(ctl, "the bus has no rules");
    return matched > 0 ? CTL_OK : CTL_NO;
}

/* -- asking ------------------------------------------------------------------------------------------ */
static int explain_here(ctl_t *ctl, const char *topology, const char *only, const subject_t *subject)
{
    rule_set_t set;
    error_t err = {0};
    buf_t list = {0};
    uint32_t count = 0;
    if (!rule_set_of_document(topology, &set, &err))
        return ctl_fail(ctl, &err);
    size_t at = mp_array_begin(&list);
    for (size_t i = 0; i < set.count; i++) {
        const rule_row_t *rule = &set.rules[i];
        explanation_t why;
        if (!bytes_eq(rule->bus, buf_bytes(&subject->bus)) || (only && !bytes_eq_cstr(rule->name, only)))
            continue;
        (void)pattern_explain(rule->pattern, buf_bytes(&subject->event), buf_bytes(&subject->replay_name), &why);
        mp_put_map(&list, 4);
        mp_put_cstr(&list, "rule");
        mp_put_str(&list, rule->name);
        mp_put_cstr(&list, "bus");
        mp_put_str(&list, rule->bus);
        mp_put_cstr(&list, "state");
        mp_put_str(&list, rule->state);
        mp_put_cstr(&list, "explanation");
        explanation_put(&why, &list);
        explanation_free(&why);
        count++;
    }
    mp_array_end(&list, at, count);
    int code = print_rows(ctl, buf_bytes(&list));
    rule_set_free(&set);
    buf_free(&list);
    return code;
}

static int explain_there(ctl_t *ctl, const char *only, subject_t *subject)
{
    buf_t args = {0}, result = {0};
    int code;
    mp_put_map(&args, (uint32_t) !!only + (uint32_t)(subject->replay_name.len > 0));
    if (only) {
        mp_put_cstr(&args, "rule");
        mp_put_cstr(&args, only);
    }
    if (subject->replay_name.len > 0) {
        mp_put_cstr(&args, "replay_name");
        mp_put_str(&args, buf_bytes(&subject->replay_name));
    }
    if (ctl_ask(ctl, WIRE_RULE, "explain", buf_cstr(&subject->bus), buf_bytes(&args), buf_bytes(&subject->event),
                &result, &code))
        code = print_rows(ctl, buf_bytes(&result));
    buf_free(&args);
    buf_free(&result);
    return code;
}

static int run_explain(ctl_t *ctl, const args_t *args)
{
    const char *topology = args_text(args, "topology", NULL), *only = args_text(args, "rule", NULL);
    bool from_journal = args_given(args, "id") || args_given(args, "record");
    subject_t subject = {0};
    if (from_journal == (args->count > 0) || (args_given(args, "id") && args_given(args, "record")))
        return ctl_complain(ctl, CTL_USAGE, "say which event: EVENT, --id ID or --record N");
    if (!from_journal && !args_given(args, "bus"))
        return ctl_complain(ctl, CTL_USAGE, "say which bus the event is for: --bus BUS");
    int code = (!from_journal                 ? given_event
                : args_given(args, "archive") ? archived_event
                                              : find_event)(ctl, args, &subject);
    if (code == CTL_OK)
        code = topology ? explain_here(ctl, topology, only, &subject) : explain_there(ctl, only, &subject);
    buf_free(&subject.event);
    buf_free(&subject.bus);
    buf_free(&subject.replay_name);
    return code;
}

static const arg_option_t EXPLAIN_OPTIONS[] = {
    {"bus", ARG_TEXT, "BUS", "the bus, of an event that is given here"},
    {"id", ARG_TEXT, "ID", "the event of this id, from the broker's journal"},
    {"record", ARG_COUNT, "N", "the event of this record, from the broker's journal"},
    {"archive", ARG_TEXT, "NAME", "look for it in the files of this archive instead"},
    {"journal", ARG_TEXT, "DIR", "with --archive: the broker's journal folder (that of MANGABUS_STATE)"},
    {"rule", ARG_TEXT, "RULE", "this rule alone"},
    {"topology", ARG_TEXT, "FILE", "by the rules of this document instead of the broker's"},
};

static const char *const EXPLAIN_EXAMPLES[] = {
    "mangactl rule explain event.json --bus MangaAssist-AI-Events",
    "mangactl rule explain --id 0190163d-8694-739b-aea5-966c26f8ad91",
    "mangactl rule explain --record 4711 --json",
    "mangactl rule explain --id 0190163d-8694-739b-aea5-966c26f8ad91 --archive manga-assist-ai-archive",
    "mangactl rule explain event.json --bus MangaAssist-AI-Events --topology topology.json --rule "
    "MangaAssist-CallLedger",
    NULL,
};

const command_t command_rule_explain = {
    .name = "rule explain",
    .arguments = "[EVENT]",
    .summary = "tell of every rule whether it matches an event, and if not, why",
    .about =
        "For a rule that matches: its targets. For one that does not: the first field that fails, what was wanted\n"
        "there and what was found. Exit code 1 when no rule matches.",
    .options = CTL_OPTIONS(EXPLAIN_OPTIONS),
    .least = 0,
    .most = 1,
    .examples = EXPLAIN_EXAMPLES,
    .run = run_explain,
};
