/* cmd_queue_info.c: one queue for people: what waits, who holds what and until when, its attributes. */
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

#define US_PER_S 1000000
#define KEY_COLUMNS 30

static void print_key(ctl_t *ctl, const char *indent, bytes_t key)
{
    fprintf(ctl->out, "%s%-*.*s ", indent, KEY_COLUMNS, BYTES_FMT(key));
}

static void print_number(ctl_t *ctl, bytes_t info, const char *key, const char *shown)
{
    print_key(ctl, "", bytes_cstr(shown));
    fprintf(ctl->out, "%llu\n", (unsigned long long)ctl_map_number(info, key));
}

static bool is_true(bytes_t map, const char *key)
{
    bool value = false;
    return mp_map_bool(map, key, &value) && value;
}

/* -- what waits ------------------------------------------------------------------------------------ */
static void print_oldest(ctl_t *ctl, bytes_t info, int64_t now_us)
{
    int64_t oldest_us = (int64_t)ctl_map_number(info, "oldest_us");
    char time[TIMEFMT_S_BYTES];
    if (oldest_us == 0)
        return;
    timefmt_s(oldest_us, time);
    print_key(ctl, "", BYTES_LIT("oldest visible"));
    fprintf(ctl->out, "%s, %lld s ago\n", time, (long long)((now_us - oldest_us) / US_PER_S));
}

static void print_counts(ctl_t *ctl, bytes_t info, int64_t now_us)
{
    bool is_fifo = is_true(info, "fifo");
    print_key(ctl, "", BYTES_LIT("queue"));
    ctl_print_text(ctl->out, ctl_map_text(info, "name", "?"));
    fprintf(ctl->out, ", %s, %s\n", is_fifo ? "FIFO" : "standard",
            is_true(info, "from_topology") ? "of the topology" : "made at run time");
    print_number(ctl, info, "visible", "visible");
    print_oldest(ctl, info, now_us);
    print_number(ctl, info, "in_flight", "in flight");
    print_number(ctl, info, "delayed", "delayed");
    print_number(ctl, info, "bytes", "bytes");
    print_number(ctl, info, "consumers", "consumers by push");
    print_number(ctl, info, "groups", "groups");
    if (is_fifo)
        print_number(ctl, info, "groups_blocked", "groups held back");
    else
        print_number(ctl, info, "groups_noisy", "groups with too much");
}

/* -- attributes ------------------------------------------------------------------------------------ */
static void print_value(ctl_t *ctl, bytes_t value)
{
    buf_t text = {0};
    bytes_t plain;
    mp_reader_t reader = mp_reader(value);
    if (mp_get_str(&reader, &plain))
        ctl_print_text(ctl->out, plain);
    else if (json_from_msgpack(value, JSON_COMPACT, &text, NULL))
        ctl_print_text(ctl->out, buf_bytes(&text));
    fputc('\n', ctl->out);
    buf_free(&text);
}

static void print_attributes(ctl_t *ctl, bytes_t info)
{
    bytes_t map, key, value;
    uint32_t count = 0;
    if (!mp_map_find(info, "attributes", &map))
        return;
    mp_reader_t reader = mp_reader(map);
    if (!mp_get_map(&reader, &count))
        return;
    fputs("attributes\n", ctl->out);
    for (uint32_t i = 0; i < count && mp_get_str(&reader, &key) && mp_get_raw(&reader, &value); i++) {
        print_key(ctl, "  ", key);
        print_value(ctl, value);
    }
}

/* -- who holds what -------------------------------------------------------------------------------- */
static void add_holder(table_t *table, bytes_t holder, int64_t now_us)
{
    int64_t until_us = (int64_t)ctl_map_number(holder, "until_us");
    char time[TIMEFMT_S_BYTES];
    timefmt_s(until_us, time);
    table_add(table, "%llu", (unsigned long long)ctl_map_number(holder, "record"));
    table_add(table, "%llu", (unsigned long long)ctl_map_number(holder, "receives"));
    table_add_bytes(table, ctl_map_text(holder, "group", "-"));
    table_add_bytes(table, ctl_map_text(holder, "name", "?"));
    table_add(table, "%s", time);
    table_add(table, "%lld", (long long)((until_us - now_us) / US_PER_S));
}

static void print_holders(ctl_t *ctl, bytes_t info, int64_t now_us)
{
    static const char *const titles[] = {"record", "received", "<group", "<held by", "<until", "seconds left", NULL};
    bytes_t list, holder;
    uint32_t count = 0;
    table_t table;
    mp_reader_t reader = mp_map_find(info, "holders", &list) ? mp_reader(list) : mp_reader(BYTES_NONE);
    if (!mp_get_array(&reader, &count) || count == 0)
        return;
    fputs("in flight\n", ctl->out);
    table_begin(&table, titles);
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &holder); i++)
        add_holder(&table, holder, now_us);
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
    if (count < ctl_map_number(info, "in_flight"))
        fprintf(ctl->out, "and %llu more\n", (unsigned long long)(ctl_map_number(info, "in_flight") - count));
}

/* -- the command ----------------------------------------------------------------------------------- */
static int print_info(ctl_t *ctl, bytes_t info)
{
    int64_t now_us = ctl_broker_now_us(ctl);
    print_counts(ctl, info, now_us);
    print_attributes(ctl, info);
    print_holders(ctl, info, now_us);
    return CTL_OK;
}

static int run_info(ctl_t *ctl, const args_t *args)
{
    buf_t result = {0};
    int code;
    if (ctl_ask(ctl, WIRE_QUEUE, "info", args->positional[0], BYTES_NONE, BYTES_NONE, &result, &code))
        code = ctl->json ? ctl_print_json(ctl, buf_bytes(&result), JSON_COMPACT) : print_info(ctl, buf_bytes(&result));
    buf_free(&result);
    return code;
}

static const char *const INFO_EXAMPLES[] = {"mangactl queue info manga-deferred-queue",
                                            "mangactl queue info manga-enrichment-queue.fifo --json", NULL};

const command_t command_queue_info = {
    .name = "queue info",
    .arguments = "QUEUE",
    .summary = "show one queue: what waits, who holds what and until when, its attributes",
    .least = 1,
    .most = 1,
    .examples = INFO_EXAMPLES,
    .run = run_info,
};
