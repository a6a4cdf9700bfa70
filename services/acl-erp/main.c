/* main.c: acl-erp: the one door to the ERP, the order system and the payment gateway; nothing legacy leaks past it. */
#include <stddef.h>

#include "services/acl-erp/app.h"

#define ROW(variable, kind, member, value, least, most, what)                                                          \
    {                                                                                                                  \
        .name = (variable), .type = (kind), .offset = offsetof(app_settings_t, member), .fallback = (value),           \
        .min = (least), .max = (most), .doc = (what)                                                                   \
    }
#define SECRET(variable, member, what)                                                                                 \
    {                                                                                                                  \
        .name = (variable), .type = CONFIG_STR, .offset = offsetof(app_settings_t, member), .fallback = "",            \
        .flags = CONFIG_SECRET, .doc = (what)                                                                          \
    }
#define TEXT(variable, member, value, what) ROW(variable, CONFIG_STR, member, value, 0, 0, what)
#define URL(variable, member, value, what) ROW(variable, CONFIG_URL, member, value, 0, 0, what)

/* clang-format off: one row, one variable */
static const config_row_t rows[] = {
    URL("MANGABUS_ERP_URL", erp_url, "http://127.0.0.1:7490", "the ERP; /soap/inventory is added"),
    TEXT("MANGABUS_ERP_USER", erp_user, "", "of the WS-Security UsernameToken; empty: none is sent"),
    SECRET("MANGABUS_ERP_PASSWORD", erp_password, "to that user; it travels as a digest"),
    SECRET("MANGABUS_ERP_TOKEN", erp_token, "the ERP's own AuthToken, sent when there is no user"),
    TEXT("MANGABUS_ERP_SOAP", soap, "1.1", "version of SOAP: 1.1 or 1.2"),
    TEXT("MANGABUS_ERP_PERMITS", erp_permits, "erp",
         "permit bucket of the topology that all instances draw from; empty: none, each keeps its own pace"),
    ROW("MANGABUS_ERP_RATE", CONFIG_I64, erp_rate, "46", 1, 1000,
        "calls a second of this process, with the burst below the ERP's 50; permits keep all processes together below "
        "it"),
    ROW("MANGABUS_ERP_BURST", CONFIG_I64, erp_burst, "4", 1, 1000, "calls that may leave at once"),
    ROW("MANGABUS_ERP_IN_FLIGHT", CONFIG_I64, erp_in_flight, "32", 1, 1000, "calls on their way at once"),
    ROW("MANGABUS_ERP_TIMEOUT", CONFIG_MS, erp_timeout_ms, "2500ms", 10, 60000,
        "of one call; a nearer deadline is kept"),
    ROW("MANGABUS_ERP_GATHER", CONFIG_MS, erp_gather_ms, "2ms", 0, 1000,
        "how long a lone question waits for others to share its call"),
    ROW("MANGABUS_ERP_GATHER_BUSY", CONFIG_MS, erp_gather_busy_ms, "15ms", 0, 1000,
        "the same while calls are on their way"),
    ROW("MANGABUS_ERP_BREAKER_OPEN", CONFIG_MS, breaker_open_ms, "2s", 1, 600000,
        "how long a backend is left alone at first"),
    ROW("MANGABUS_ERP_KEPT", CONFIG_I64, kept_copies, "20000", 1, 1000000,
        "last answers held in memory; all are in the database"),
    URL("MANGABUS_ORDERS_URL", orders_url, "", "the order system; empty: where the ERP is"),
    ROW("MANGABUS_ORDERS_RATE", CONFIG_I64, orders_rate, "190", 1, 10000, "calls a second of this process"),
    URL("MANGABUS_PAYMENTS_URL", payments_url, "", "the payment gateway; empty: where the ERP is"),
    ROW("MANGABUS_PAYMENTS_RATE", CONFIG_I64, payments_rate, "90", 1, 10000, "calls a second of this process"),
    TEXT("MANGABUS_PAYMENTS_CA", payments_ca, "", "file with the CAs of the payment gateway; empty: the system's"),
    TEXT("MANGABUS_PAYMENTS_CERT", payments_cert, "", "file with this client's certificate"),
    TEXT("MANGABUS_PAYMENTS_KEY", payments_key, "", "file with its key"),
    ROW("MANGABUS_REST_TIMEOUT", CONFIG_MS, rest_timeout_ms, "2500ms", 10, 60000,
        "of one call to the order system or the payment gateway"),
};

static const service_call_t calls[] = {
    {CALL_ERP_STOCK_GET, 1000, handle_stock_get},     {CALL_ERP_STOCK_BATCH, 64, handle_stock_batch},
    {CALL_ERP_CATALOG_PAGE, 16, handle_catalog_page}, {CALL_ERP_PRODUCT_SUMMARY, 200, handle_product_summary},
    {CALL_ERP_ORDER_GET, 200, handle_order_get},      {CALL_ERP_ORDER_LIST, 200, handle_order_list},
    {CALL_ERP_PAYMENT_GET, 100, handle_payment_get},  {CALL_ERP_PAYMENT_REFUND, 100, handle_payment_refund},
};
/* clang-format on */

int main(int argc, char **argv)
{
    const service_def_t def = {
        .name = "acl-erp",
        .doc = "The one door to the ERP, the order system and the payment gateway; nothing legacy leaks past it.",
        .http_port = 7482,
        .config = {rows, ARRAY_LEN(rows)},
        .settings_bytes = sizeof(app_settings_t),
        .calls = calls,
        .call_count = ARRAY_LEN(calls),
        .migrations = kept_migrations,
        .migration_count = kept_migration_count,
        .start = app_start,
        .stop = app_stop,
    };
    return service_main(&def, argc, argv);
}
