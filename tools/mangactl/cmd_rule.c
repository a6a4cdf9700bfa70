/* cmd_rule.c: lists rules and schedules. */
#include "tools/mangactl/cmd_rule.h"

#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/table.h"

/* "catalog → manga-inventory-sync, cache → … (disabled)" */
static bytes_t targets_of(bytes_t rule, buf_t *out)
{
    bytes_t list, target;
    uint32_t count = 0;
    buf_clear(out);
    if (!mp_map_find(rule, "targets", &list))
        return BYTES_NONE;
    mp_reader_t reader = mp_reader(list);
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &target); i++)
        buf_printf(out, "%s%.*s → %.*s%s", i ? ", " : "", BYTES_FMT(ctl_map_text(target, "id", "?")),
                   BYTES_FMT(ctl_map_text(target, "queue", "?")),
                   bytes_eq_cstr(ctl_map_text(target, "state", ""), "DISABLED") ? " (disabled)" : "");
    return buf_bytes(out);
}

int rule_print_list(ctl_t *ctl, bytes_t list)
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

/* "2026-01-30T03:00:00Z", or "-" for none. */
static void add_moment(table_t *table, bytes_t schedule, const char *key)
{
    char text[TIMEFMT_S_BYTES];
    int64_t us = (int64_t)ctl_map_number(schedule, key);
    timefmt_s(us, text);
    table_add(table, "%s", us ? text : "-");
}

static int print_schedules(ctl_t *ctl, bytes_t list)
{
    static const char *const titles[] = {"<schedule", "<state",       "<when",        "<time zone",
                                         "<queue",    "<next firing", "<last firing", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    bytes_t schedule;
    if (!mp_get_array(&reader, &count) || !count)
        return CTL_OK;
    fputc('\n', ctl->out);
    table_begin(&table, titles);
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &schedule); i++) {
        table_add_bytes(&table, ctl_map_text(schedule, "name", "?"));
        table_add_bytes(&table, ctl_map_text(schedule, "state", "?"));
        table_add_bytes(&table, ctl_map_text(schedule, "expression", "?"));
        table_add_bytes(&table, ctl_map_text(schedule, "time_zone", "?"));
        table_add_bytes(&table, ctl_map_text(schedule, "queue", "?"));
        add_moment(&table, schedule, "next_us");
        add_moment(&table, schedule, "fired_us");
    }
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    return CTL_OK;
}

/* Appends the items of one list to another. */
static void list_join(buf_t *out, bytes_t first, bytes_t second)
{
    uint32_t counts[2] = {0};
    mp_reader_t readers[2] = {mp_reader(first), mp_reader(second)};
    for (int i = 0; i < 2; i++)
        if (!mp_get_array(&readers[i], &counts[i]))
            counts[i] = 0;
    bytes_t item;
    mp_put_array(out, counts[0] + counts[1]);
    for (int i = 0; i < 2; i++)
        for (uint32_t n = 0; n < counts[i] && mp_get_raw(&readers[i], &item); n++)
            mp_put_raw(out, item);
}

static int print_all(ctl_t *ctl, bytes_t rules, bytes_t schedules)
{
    if (!ctl->json) {
        int code = rule_print_list(ctl, rules);
        return code == CTL_OK ? print_schedules(ctl, schedules) : code;
    }
    buf_t both = {0};
    list_join(&both, rules, schedules);
    int code = ctl_print_json(ctl, buf_bytes(&both), JSON_COMPACT);
    buf_free(&both);
    return code;
}

static int run_ls(ctl_t *ctl, const args_t *args)
{
    buf_t rules = {0}, schedules = {0};
    int code;
    const char *bus = args->count > 0 ? args->positional[0] : "";
    if (ctl_ask(ctl, WIRE_RULE, "list", bus, BYTES_NONE, BYTES_NONE, &rules, &code) &&
        (bus[0] || ctl_ask(ctl, WIRE_RULE, "schedules", "", BYTES_NONE, BYTES_NONE, &schedules, &code)))
        code = print_all(ctl, buf_bytes(&rules), buf_bytes(&schedules));
    buf_free(&rules);
    buf_free(&schedules);
    return code;
}

static const char *const LS_EXAMPLES[] = {"mangactl rule ls", "mangactl rule ls MangaAssist-AI-Events --json", NULL};

const command_t command_rule_ls = {
    .name = "rule ls",
    .arguments = "[BUS]",
    .summary = "list the rules with their targets, and the schedules with their next firing",
    .about = "With BUS the rules of that bus alone. With --json one list of both; a schedule has an `expression`.",
    .least = 0,
    .most = 1,
    .examples = LS_EXAMPLES,
    .run = run_ls,
};
