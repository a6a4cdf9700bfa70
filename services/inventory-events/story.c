/* story.c: from outbox rows to inventory.* events. */
#include "services/inventory-events/story.h"

#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "services/inventory-events/store.h"

static bool detail_pack(buf_t *out, const PGresult *rows, int row, const char *type, error_t *err)
{
    char at[TIMEFMT_US_BYTES];
    timefmt_us(pg_i64(rows, row, OUTBOX_AT_US, 0), at);
    int64_t previous = pg_i64(rows, row, OUTBOX_PREVIOUS, -1);
    buf_t metadata = {0};
    mp_put_map(&metadata, 3);
    mp_put_cstr(&metadata, "cdc_operation");
    mp_put_str(&metadata, pg_text(rows, row, OUTBOX_OPERATION));
    mp_put_cstr(&metadata, "cdc_timestamp");
    mp_put_str(&metadata, pg_text(rows, row, OUTBOX_WRITTEN_AT));
    mp_put_cstr(&metadata, "table_name");
    mp_put_str(&metadata, pg_text(rows, row, OUTBOX_TABLE));
    inventory_change_t change = {
        .event_type = bytes_cstr(type),
        .isbn = pg_text(rows, row, OUTBOX_ISBN),
        .warehouse_code = pg_text(rows, row, OUTBOX_WAREHOUSE),
        .new_quantity = pg_i64(rows, row, OUTBOX_QUANTITY, 0),
        .version = pg_i64(rows, row, OUTBOX_VERSION, 0),
        .change_source = pg_text(rows, row, OUTBOX_SOURCE),
        .timestamp_utc = bytes_cstr(at),
        .correlation_id = pg_text(rows, row, OUTBOX_CORRELATION),
    };
    int64_t total = pg_i64(rows, row, OUTBOX_TOTAL, 0);
    if (total <= CONTRACT_QUANTITY_MAX) /* each warehouse keeps the bound; their sum may not */
        SCHEMA_SET(&change, total_quantity, total);
    SCHEMA_SET(&change, stock_status, bytes_cstr(change_stock_status(change.new_quantity)));
    if (pg_text(rows, row, OUTBOX_TITLE).len)
        SCHEMA_SET(&change, title, pg_text(rows, row, OUTBOX_TITLE));
    if (previous >= 0)
        SCHEMA_SET(&change, previous_quantity, previous);
    if (pg_text(rows, row, OUTBOX_OPERATION).len)
        SCHEMA_SET(&change, metadata, buf_bytes(&metadata));
    bool ok = inventory_change_pack(out, &change, err);
    buf_free(&metadata);
    return ok;
}

/* A replayed change carries its replay's name in the key: it is to have its effect again. */
static void dedup_write(buf_t *out, const PGresult *rows, int row)
{
    buf_printf(out, "%.*s/%.*s/%.*s", BYTES_FMT(pg_text(rows, row, OUTBOX_ISBN)),
               BYTES_FMT(pg_text(rows, row, OUTBOX_WAREHOUSE)), BYTES_FMT(pg_text(rows, row, OUTBOX_VERSION)));
    if (pg_text(rows, row, OUTBOX_REPLAY).len)
        buf_printf(out, "/%.*s", BYTES_FMT(pg_text(rows, row, OUTBOX_REPLAY)));
}

static bool event_make(void *ctx, const PGresult *rows, int row, buf_t scratch[2], bus_event_t *event, error_t *err)
{
    (void)ctx;
    const char *type = change_event_type(pg_i64(rows, row, OUTBOX_PREVIOUS, -1), pg_i64(rows, row, OUTBOX_QUANTITY, 0));
    if (!detail_pack(&scratch[0], rows, row, type, err))
        return false;
    dedup_write(&scratch[1], rows, row);
    *event = (bus_event_t){
        .bus = INVENTORY_BUS,
        .source = INVENTORY_SOURCE,
        .detail_type = type,
        .detail = buf_bytes(&scratch[0]),
        .dedup = buf_bytes(&scratch[1]),
        .time_us = pg_i64(rows, row, OUTBOX_AT_US, 0),
    };
    return true;
}

const outbox_options_t story_outbox = {
    .select_sql = STORE_OUTBOX_SELECT, .delete_sql = OUTBOX_DELETE("outbox"), .event = event_make};
