/* main.c: chat-router: a customer's question to an answer inside three seconds. */
#include <stddef.h>

#include "services/chat-router/router.h"
#include "services/chat-router/store.h"

#define CHAT_AT_ONCE 512
#define LEDGER_AT_ONCE 64

static const config_row_t rows[] = {
    {.name = "MANGABUS_CHAT_DEADLINE",
     .type = CONFIG_MS,
     .offset = offsetof(router_settings_t, deadline_ms),
     .fallback = "3s",
     .min = 200,
     .max = 60000,
     .doc = "longest time for one answer; a caller's own deadline shortens it"},
    {.name = "MANGABUS_CHAT_CACHE_TTL",
     .type = CONFIG_MS,
     .offset = offsetof(router_settings_t, cache_ttl_ms),
     .fallback = "5m",
     .min = 1,
     .max = 86400000,
     .doc = "how long an answer is kept; stock events throw it out sooner"},
    {.name = "MANGABUS_CHAT_CACHE_ENTRIES",
     .type = CONFIG_I64,
     .offset = offsetof(router_settings_t, cache_entries),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .doc = "answers kept at most"},
    {.name = "MANGABUS_CHAT_CACHE_BYTES",
     .type = CONFIG_BYTES,
     .offset = offsetof(router_settings_t, cache_bytes),
     .fallback = "64MiB",
     .min = 65536,
     .max = 1 << 30,
     .doc = "memory for kept answers at most"},
    {.name = "MANGABUS_CHAT_REMEMBER",
     .type = CONFIG_MS,
     .offset = offsetof(router_settings_t, remember_ms),
     .fallback = "10m",
     .min = 1,
     .max = 86400000,
     .doc = "how long a message_id that comes again gets the same answer"},
    {.name = "MANGABUS_CHAT_REMEMBER_ENTRIES",
     .type = CONFIG_I64,
     .offset = offsetof(router_settings_t, remember_entries),
     .fallback = "10000",
     .min = 1,
     .max = 1000000,
     .doc = "message_ids remembered at most"},
    {.name = "MANGABUS_CHAT_RETENTION",
     .type = CONFIG_MS,
     .offset = offsetof(router_settings_t, retention_ms),
     .fallback = "90d",
     .min = 3600000,
     .max = 315360000000.0,
     .doc = "how long sessions, messages and the ledger stay in the database"},
};

static const service_call_t calls[] = {
    {.method = CALL_CHAT_SEND, .capacity = CHAT_AT_ONCE, .fn = router_on_chat},
    {.method = CALL_SEARCH_ANSWER, .fn = router_on_search},
    {.method = CALL_RECOMMEND, .fn = router_on_recommend},
};
static const service_queue_t queues[] = {
    {.queue = "MangaAssist-CallLedger", .messages = LEDGER_AT_ONCE, .fn = router_on_ledger}};
static const service_listen_t listens[] = {{.bus = INVENTORY_BUS, .fn = router_on_inventory, .on_gap = router_on_gap}};

static void *app_start(service_t *service, void *settings, error_t *err)
{
    return router_new(service, settings, err);
}

static void app_stop(void *app)
{
    router_t *router = app;
    router_free(&router);
}

int main(int argc, char **argv)
{
    const service_def_t def = {
        .name = "chat-router",
        .doc = "answers customers' questions from stock, catalogue, orders and a model, inside a deadline",
        .http_port = 7481,
        .config = {rows, ARRAY_LEN(rows)},
        .settings_bytes = sizeof(router_settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .queues = queues,
        .queue_count = ARRAY_LEN(queues),
        .listens = listens,
        .listen_count = ARRAY_LEN(listens),
        .migrations = store_migrations,
        .migration_count = store_migration_count,
        .start = app_start,
        .stop = app_stop,
    };
    return service_main(&def, argc, argv);
}
