/* cmd_status.c: the broker's counters, and who answers which calls. */
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

/* "messages_in_flight" in words; a moment without its unit. */
static void add_name(table_t *table, bytes_t key, bool is_moment)
{
    buf_t words = {0};
    for (size_t i = 0; i < key.len - (is_moment ? strlen("_us") : 0); i++)
        buf_append_byte(&words, key.data[i] == '_' ? ' ' : key.data[i]);
    table_add_bytes(table, buf_bytes(&words));
    buf_free(&words);
}

static void add_value(table_t *table, bytes_t value, bool is_moment)
{
    buf_t text = {0};
    char time[TIMEFMT_MS_BYTES];
    int64_t moment_us;
    bytes_t plain;
    mp_reader_t as_text = mp_reader(value), as_moment = as_text;
    if (mp_get_str(&as_text, &plain)) {
        table_add_bytes(table, plain);
    } else if (is_moment && mp_get_i64(&as_moment, &moment_us)) {
        timefmt_ms(moment_us, time);
        table_add(table, "%s", time);
    } else {
        bool ok = json_from_msgpack(value, JSON_COMPACT, &text, NULL);
        table_add_bytes(table, ok ? buf_bytes(&text) : BYTES_NONE);
    }
    buf_free(&text);
}

static void print_counters(ctl_t *ctl, bytes_t map)
{
    static const char *const titles[] = {"<what", "<value", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(map);
    uint32_t count = 0;
    bytes_t key, value;
    table_begin(&table, titles);
    if (!mp_get_map(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_str(&reader, &key) && mp_get_raw(&reader, &value); i++) {
        bool is_moment = key.len > 3 && memcmp(key.data + key.len - 3, "_us", 3) == 0;
        add_name(&table, key, is_moment);
        add_value(&table, value, is_moment);
    }
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
}

/* "chat-router-1a2b3c 2 of 16, …": what each runs of what it takes at once. */
static uint64_t put_instances(bytes_t service, buf_t *out)
{
    bytes_t list, instance;
    uint32_t count = 0;
    uint64_t running = 0;
    mp_reader_t reader = mp_reader(mp_map_find(service, "instances", &list) ? list : BYTES_NONE);
    if (!mp_left(&reader) || !mp_get_array(&reader, &count))
        return 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &instance); i++) {
        buf_printf(out, "%s%.*s %llu of %llu", i ? ", " : "", BYTES_FMT(ctl_map_text(instance, "name", "?")),
                   (unsigned long long)ctl_map_number(instance, "running"),
                   (unsigned long long)ctl_map_number(instance, "capacity"));
        running += ctl_map_number(instance, "running");
    }
    return running;
}

static void print_services(ctl_t *ctl, bytes_t list)
{
    static const char *const titles[] = {"<method", "running", "waiting", "<instances", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    bytes_t service;
    table_begin(&table, titles);
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &service); i++) {
        buf_t instances = {0};
        uint64_t running = put_instances(service, &instances);
        table_add_bytes(&table, ctl_map_text(service, "method", "?"));
        table_add(&table, "%llu", (unsigned long long)running);
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(service, "waiting"));
        table_add_bytes(&table, buf_bytes(&instances));
        buf_free(&instances);
    }
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
}

static int print_status(ctl_t *ctl, bytes_t status, bytes_t services)
{
    if (!ctl->json) {
        print_counters(ctl, status);
        fputc('\n', ctl->out);
        print_services(ctl, services);
        return CTL_OK;
    }
    buf_t both = {0};
    mp_put_map(&both, 2);
    mp_put_cstr(&both, "status");
    mp_put_raw(&both, status);
    mp_put_cstr(&both, "services");
    mp_put_raw(&both, services);
    int code = ctl_print_json(ctl, buf_bytes(&both), JSON_COMPACT);
    buf_free(&both);
    return code;
}

static int run_status(ctl_t *ctl, const args_t *args)
{
    (void)args;
    buf_t status = {0}, services = {0};
    int code;
    if (ctl_ask(ctl, WIRE_BROKER, "status", "", BYTES_NONE, BYTES_NONE, &status, &code) &&
        ctl_ask(ctl, WIRE_BROKER, "services", "", BYTES_NONE, BYTES_NONE, &services, &code))
        code = print_status(ctl, buf_bytes(&status), buf_bytes(&services));
    buf_free(&status);
    buf_free(&services);
    return code;
}

static const char *const STATUS_EXAMPLES[] = {"mangactl status", "mangactl status --json", NULL};

const command_t command_status = {
    .name = "status",
    .arguments = "",
    .summary = "show the broker's counters, and who answers which calls",
    .examples = STATUS_EXAMPLES,
    .run = run_status,
};
