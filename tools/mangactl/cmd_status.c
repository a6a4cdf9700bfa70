/* cmd_status.c: the broker's counters, and who answers which calls. */
#include "proto/msgpack.h"
#include "tools/mangactl/table.h"
#include "tools/mangactl/verbs.h"

static void print_counters(ctl_t *ctl, bytes_t map)
{
    static const char *const titles[] = {"<broker", "<", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(map);
    uint32_t count = 0;
    bytes_t key, value, plain;
    table_begin(&table, titles);
    if (!mp_get_map(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_str(&reader, &key) && mp_get_raw(&reader, &value); i++) {
        buf_t text = {0};
        mp_reader_t inner = mp_reader(value);
        table_add_bytes(&table, key);
        if (mp_get_str(&inner, &plain))
            table_add_bytes(&table, plain);
        else
            table_add_bytes(&table,
                            json_from_msgpack(value, JSON_COMPACT, &text, NULL) ? buf_bytes(&text) : BYTES_NONE);
        buf_free(&text);
    }
    table_end(&table, ctl->out, ctl_bold(ctl), ctl_plain(ctl));
}

static void print_services(ctl_t *ctl, bytes_t list)
{
    static const char *const titles[] = {"<method", "instances", "running", "waiting", NULL};
    table_t table;
    mp_reader_t reader = mp_reader(list);
    uint32_t count = 0;
    bytes_t service, raw;
    table_begin(&table, titles);
    if (!mp_get_array(&reader, &count))
        count = 0;
    for (uint32_t i = 0; i < count && mp_get_raw(&reader, &service); i++) {
        buf_t text = {0};
        table_add_bytes(&table, ctl_map_text(service, "method", "?"));
        bool has = mp_map_find(service, "instances", &raw) && json_from_msgpack(raw, JSON_COMPACT, &text, NULL);
        table_add_bytes(&table, has ? buf_bytes(&text) : BYTES_LIT("?"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(service, "running"));
        table_add(&table, "%llu", (unsigned long long)ctl_map_number(service, "waiting"));
        buf_free(&text);
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
