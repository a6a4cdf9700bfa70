/* cmd_rule_lint.c: names rules that can never match, that say the same, and that another makes needless. */
#include "broker/rules/explain.h"
#include "proto/msgpack.h"
#include "tools/mangactl/cmd_rule.h"
#include "tools/mangactl/rule_set.h"
#include "tools/mangactl/table.h"

typedef struct {
    ctl_t *ctl;
    table_t table;
    uint32_t count;
} findings_t;

static void put_member(buf_t *out, const char *key, bytes_t value)
{
    buf_printf(out, "%s\"%s\":", out->len > 1 ? "," : "", key);
    json_string_append(out, value);
}

static void find(findings_t *f, const char *problem, const rule_row_t *rule, bytes_t other, bytes_t text)
{
    f->count++;
    if (!f->ctl->json) {
        table_add_bytes(&f->table, rule->bus);
        table_add_bytes(&f->table, rule->name);
        table_add(&f->table, "%s", problem);
        table_add_bytes(&f->table, text);
        return;
    }
    buf_t line = {0};
    buf_append_byte(&line, '{');
    put_member(&line, "bus", rule->bus);
    put_member(&line, "rule", rule->name);
    put_member(&line, "problem", bytes_cstr(problem));
    if (other.len)
        put_member(&line, "other", other);
    put_member(&line, "text", text);
    fprintf(f->ctl->out, "%s}\n", buf_cstr(&line));
    buf_free(&line);
}

static bool find_dead(findings_t *f, const rule_row_t *rule)
{
    buf_t why = {0};
    bool dead = pattern_is_dead(rule->pattern, &why);
    if (dead)
        find(f, "never matches", rule, BYTES_NONE, buf_bytes(&why));
    buf_free(&why);
    return dead;
}

/* What `other` says of `rule`; each pair is seen from both sides, a duplicate is told of the later one. */
static bool find_covered(findings_t *f, const rule_row_t *rule, const rule_row_t *other, bool is_later)
{
    buf_t text = {0};
    if (!pattern_covers(other->pattern, rule->pattern))
        return false;
    bool same = pattern_covers(rule->pattern, other->pattern), within = rule_targets_within(rule, other);
    bool told = same ? is_later : within;
    if (told && same)
        buf_printf(&text, "its pattern says the same as that of %.*s", BYTES_FMT(other->name));
    else if (told)
        buf_printf(&text, "all it matches %.*s matches too, and its targets are among that one's",
                   BYTES_FMT(other->name));
    if (told)
        find(f, same ? "duplicate" : "shadowed", rule, other->name, buf_bytes(&text));
    buf_free(&text);
    return told;
}

static void lint_rule(findings_t *f, const rule_set_t *set, size_t at, const char *bus)
{
    const rule_row_t *rule = &set->rules[at];
    if ((bus && !bytes_eq_cstr(rule->bus, bus)) || find_dead(f, rule))
        return;
    for (size_t i = 0; i < set->count; i++)
        if (i != at && bytes_eq(set->rules[i].bus, rule->bus) && find_covered(f, rule, &set->rules[i], i < at))
            return; /* one reason is enough */
}

static int lint(ctl_t *ctl, const rule_set_t *set, const char *bus)
{
    static const char *const titles[] = {"<bus", "<rule", "<problem", "<because", NULL};
    findings_t f = {.ctl = ctl};
    if (!ctl->json)
        table_begin(&f.table, titles);
    for (size_t i = 0; i < set->count; i++)
        lint_rule(&f, set, i, bus);
    if (f.count == 0)
        ctl_note(ctl, "nothing to complain of in %zu rules", set->count);
    if (!ctl->json && f.count > 0)
        table_end(&f.table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    return f.count > 0 ? CTL_NO : CTL_OK;
}

static bool read_rules(ctl_t *ctl, const char *topology, rule_set_t *set, int *code)
{
    buf_t list = {0};
    error_t err = {0};
    bool ok = topology ? rule_set_of_document(topology, set, &err)
                       : ctl_ask(ctl, WIRE_RULE, "list", "", BYTES_NONE, BYTES_NONE, &list, code) &&
                             rule_set_of_list(buf_bytes(&list), set, &err);
    if (!ok && err.code != STATUS_OK)
        *code = ctl_fail(ctl, &err);
    buf_free(&list);
    return ok;
}

static int run_lint(ctl_t *ctl, const args_t *args)
{
    rule_set_t set;
    int code = CTL_OK;
    if (!read_rules(ctl, args_text(args, "topology", NULL), &set, &code))
        return code;
    code = lint(ctl, &set, args->count > 0 ? args->positional[0] : NULL);
    rule_set_free(&set);
    return code;
}

static const arg_option_t LINT_OPTIONS[] = {
    {"topology", ARG_TEXT, "FILE", "the rules of this document instead of the broker's; needs no broker"},
};

static const char *const LINT_EXAMPLES[] = {
    "mangactl rule lint",
    "mangactl rule lint manga-assist-inventory",
    "mangactl rule lint --topology topology.json --json",
    NULL,
};

const command_t command_rule_lint = {
    .name = "rule lint",
    .arguments = "[BUS]",
    .summary = "name rules that can never match, and those that another makes needless",
    .about =
        "\"never matches\": no event can meet the pattern. \"duplicate\": another rule of the bus says the same.\n"
        "\"shadowed\": another rule matches all that this one does and leads to the same queues. Exit code 1 when\n"
        "there is anything to tell.",
    .options = CTL_OPTIONS(LINT_OPTIONS),
    .least = 0,
    .most = 1,
    .examples = LINT_EXAMPLES,
    .run = run_lint,
};
