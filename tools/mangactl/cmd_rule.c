/* cmd_rule.c: lists rules. */
#include "tools/mangactl/cmd_rule.h"

#include "proto/msgpack.h"
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

static int run_ls(ctl_t *ctl, const args_t *args)
{
    buf_t result = {0};
    int code;
    const char *bus = args->count > 0 ? args->positional[0] : "";
    if (ctl_ask(ctl, WIRE_RULE, "list", bus, BYTES_NONE, BYTES_NONE, &result, &code))
        code = ctl->json ? ctl_print_json(ctl, buf_bytes(&result), JSON_COMPACT)
                         : rule_print_list(ctl, buf_bytes(&result));
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
