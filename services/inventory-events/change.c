/* change.c: AWS DMS change records of the ERP's stock table. */
#include "services/inventory-events/change.h"

#include <stdlib.h>

#include "proto/json.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"

#define LOW_STOCK_MAX 5
#define NUMBER_TEXT_BYTES 32

/* The legacy schema's columns. */
static const char column_isbn[] = "ISBN";
static const char column_quantity[] = "QTY";
static const char column_warehouse[] = "WAREHOUSE_CD";
static const char column_title[] = "TITLE";

const char *change_event_type(int64_t previous, int64_t now)
{
    if (now == 0)
        return previous == 0 ? INVENTORY_UPDATED : INVENTORY_DEPLETED;
    return previous == 0 ? INVENTORY_RESTOCKED : INVENTORY_UPDATED;
}

const char *change_stock_status(int64_t quantity)
{
    return quantity == 0 ? "out_of_stock" : quantity <= LOW_STOCK_MAX ? "low_stock" : "in_stock";
}

/* A column's value; false when it is missing or null, which DMS does not tell apart. */
static bool column_find(bytes_t row, const char *name, bytes_t *value)
{
    mp_type_t type;
    if (row.len == 0 || !mp_map_find(row, name, value))
        return false;
    mp_reader_t r = mp_reader(*value);
    return mp_peek(&r, &type) && type != MP_NIL;
}

static bool column_text(bytes_t row, const char *name, bytes_t *out)
{
    bytes_t value;
    if (!column_find(row, name, &value))
        return false;
    mp_reader_t r = mp_reader(value);
    return mp_get_str(&r, out);
}

/* DMS writes integers as JSON numbers, large ones in scientific notation, and decimals of some engines as
 * text: all are taken where they are whole. */
static bool quantity_read(bytes_t value, int64_t *out)
{
    mp_reader_t r = mp_reader(value);
    mp_type_t type;
    double number = 0;
    if (!mp_peek(&r, &type))
        return false;
    if (type == MP_UINT || type == MP_INT)
        return mp_get_i64(&r, out);
    if (type == MP_STR) {
        bytes_t text;
        char copy[NUMBER_TEXT_BYTES], *end;
        if (!mp_get_str(&r, &text) || text.len == 0 || !bytes_to_cstr(text, copy, sizeof copy))
            return false;
        number = strtod(copy, &end);
        if (*end)
            return false;
    } else if (!mp_get_double(&r, &number)) {
        return false;
    }
    if (!(number >= -CONTRACT_QUANTITY_MAX && number <= CONTRACT_QUANTITY_MAX) || number != (double)(int64_t)number)
        return false;
    *out = (int64_t)number;
    return true;
}

static int64_t version_make(const dms_record_t *record, int64_t at_us)
{
    if (bytes_eq_cstr(record->metadata.operation, "load"))
        return CHANGE_VERSION_LOAD;
    int64_t place = record->metadata.has_transaction_record_id ? record->metadata.transaction_record_id : 0;
    if (place < 0)
        place = 0;
    if (place >= CHANGE_VERSION_STEP)
        place = CHANGE_VERSION_STEP - 1;
    return at_us > INT64_MAX / CHANGE_VERSION_STEP - 1 ? INT64_MAX : at_us * CHANGE_VERSION_STEP + place;
}

static change_verdict_t nothing(change_t *out, const char *why)
{
    out->why = why;
    return CHANGE_NOTHING;
}

static change_verdict_t broken(error_t *err, const char *path, const char *expected)
{
    (void)error_set(err, STATUS_INVALID_ARGUMENT, NULL, "body.%s: expected %s", path, expected);
    return CHANGE_BROKEN;
}

/* The key of the row: a delete may carry it in the before-image only. */
static change_verdict_t key_read(const dms_record_t *record, const change_rules_t *rules, change_t *out, error_t *err)
{
    bytes_t row = record->has_data ? record->data : BYTES_NONE;
    bytes_t before = record->has_before_image ? record->before_image : BYTES_NONE;
    bytes_t isbn, warehouse;
    if (!column_text(row, column_isbn, &isbn) && !column_text(before, column_isbn, &isbn))
        return broken(err, "data.ISBN", "the ISBN of the row");
    if (!isbn_normalize(isbn, out->isbn))
        return broken(err, "data.ISBN", "an ISBN with a valid check digit");
    if (!column_text(row, column_warehouse, &warehouse) && !column_text(before, column_warehouse, &warehouse))
        warehouse = bytes_cstr(rules->warehouse);
    if (warehouse.len == 0 || !bytes_to_cstr(warehouse, out->warehouse, sizeof out->warehouse))
        return broken(err, "data.WAREHOUSE_CD", "1 to 16 bytes");
    return CHANGE_STOCK;
}

static change_verdict_t stock_read(const dms_record_t *record, change_t *out, error_t *err)
{
    if (bytes_eq_cstr(record->metadata.operation, "delete")) {
        out->quantity = 0;
        return CHANGE_STOCK;
    }
    bytes_t value;
    if (!record->has_data || !column_find(record->data, column_quantity, &value))
        return nothing(out, "the row says no quantity");
    if (!quantity_read(value, &out->quantity))
        return broken(err, "data.QTY", "a whole number");
    if (out->quantity < 0 || out->quantity > CONTRACT_QUANTITY_MAX)
        return broken(err, "data.QTY", "0 to 99999999");
    return CHANGE_STOCK;
}

static bool is_row_operation(bytes_t operation)
{
    static const char *const known[] = {"load", "insert", "update", "delete"};
    for (size_t i = 0; i < ARRAY_LEN(known); i++)
        if (bytes_eq_cstr(operation, known[i]))
            return true;
    return false;
}

change_verdict_t change_read(bytes_t body, const change_rules_t *rules, arena_t *arena, change_t *out, error_t *err)
{
    *out = (change_t){.why = ""};
    dms_record_t record;
    if (!dms_record_unpack(body, arena, &record, err))
        return CHANGE_BROKEN;
    out->operation = record.metadata.operation;
    out->table = record.metadata.has_table_name ? record.metadata.table_name : BYTES_NONE;
    out->written_at = record.metadata.timestamp;
    if (bytes_eq_cstr(record.metadata.record_type, "control"))
        return nothing(out, "a control record");
    if (*rules->table && !bytes_eq_cstr(out->table, rules->table))
        return nothing(out, "another table");
    if (!is_row_operation(out->operation))
        return broken(err, "metadata.operation", "load, insert, update or delete in a data record");
    bytes_t when = record.metadata.has_commit_timestamp ? record.metadata.commit_timestamp : record.metadata.timestamp;
    if (!timefmt_parse(when, &out->at_us) || out->at_us <= 0)
        return broken(err, "metadata.timestamp", "a time after 1970");
    change_verdict_t verdict = key_read(&record, rules, out, err);
    if (verdict != CHANGE_STOCK)
        return verdict;
    out->version = version_make(&record, out->at_us);
    if (!record.has_data || !column_text(record.data, column_title, &out->title) ||
        out->title.len > CONTRACT_TITLE_BYTES)
        out->title = BYTES_NONE;
    return stock_read(&record, out, err);
}
