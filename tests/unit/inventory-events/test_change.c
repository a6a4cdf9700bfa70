/* Each test is one sentence about change records; documents are written in JSON, as DMS writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/json.h"
#include "services/inventory-events/change.h"

#define GOOD_ISBN "9784088827513"
#define COMMIT_US INT64_C(1722214724886717) /* 2024-07-29T00:58:44.886717Z */

static const change_rules_t rules = {.table = "STOCK", .warehouse = "TK01"};

typedef struct {
    buf_t body;
    arena_t arena;
    change_t change;
    error_t err;
} read_t;

static change_verdict_t verdict_of(read_t *r, const char *json)
{
    *r = (read_t){0};
    arena_init(&r->arena, 0);
    assert_true(json_to_msgpack(bytes_cstr(json), NULL, &r->body, &r->err));
    return change_read(buf_bytes(&r->body), &rules, &r->arena, &r->change, &r->err);
}

static void read_free(read_t *r)
{
    buf_free(&r->body);
    arena_free(&r->arena);
}

/* A data record with this row, operation and further metadata. */
static change_verdict_t row(read_t *r, const char *data, const char *operation, const char *more)
{
    char json[2048];
    (void)snprintf(json, sizeof json,
                   "{\"data\":%s,\"metadata\":{\"timestamp\":\"2024-07-29T00:58:44.895275Z\",\"record-type\":\"data\","
                   "\"operation\":\"%s\",\"table-name\":\"STOCK\"%s}}",
                   data, operation, more);
    return verdict_of(r, json);
}

#define COMMITTED                                                                                                      \
    ",\"commit-timestamp\":\"2024-07-29T00:58:44.886717Z\",\"transaction-id\":1140,\"transaction-record-id\":7"

static void an_update_says_book_warehouse_quantity_and_version(void **state)
{
    (void)state;
    read_t r;
    assert_int_equal(
        row(&r, "{\"ISBN\":\"978-4-08-882751-3\",\"QTY\":12,\"WAREHOUSE_CD\":\"OS01\",\"TITLE\":\"ワンピース\"}",
            "update", COMMITTED),
        CHANGE_STOCK);
    assert_string_equal(r.change.isbn, GOOD_ISBN);
    assert_string_equal(r.change.warehouse, "OS01");
    assert_int_equal(r.change.quantity, 12);
    assert_int_equal(r.change.version, COMMIT_US * 1000 + 7);
    assert_int_equal(r.change.at_us, COMMIT_US);
    assert_true(bytes_eq_cstr(r.change.title, "ワンピース"));
    read_free(&r);
}

static void a_row_without_warehouse_belongs_to_the_configured_one(void **state)
{
    (void)state;
    read_t r;
    assert_int_equal(row(&r, "{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":1}", "insert", ""), CHANGE_STOCK);
    assert_string_equal(r.change.warehouse, "TK01");
    read_free(&r);
}

static void a_missing_or_null_quantity_is_unknown_and_never_zero(void **state)
{
    (void)state;
    read_t r;
    assert_int_equal(row(&r, "{\"ISBN\":\"" GOOD_ISBN "\"}", "update", ""), CHANGE_NOTHING);
    read_free(&r);
    assert_int_equal(row(&r, "{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":null}", "update", ""), CHANGE_NOTHING);
    read_free(&r);
}

static void control_records_and_other_tables_are_passed_over(void **state)
{
    (void)state;
    read_t r;
    assert_int_equal(verdict_of(&r,
                                "{\"control\":{},\"metadata\":{\"timestamp\":\"2024-07-29T00:58:44Z\",\"record-type\":"
                                "\"control\",\"operation\":\"create-table\"}}"),
                     CHANGE_NOTHING);
    read_free(&r);
    assert_int_equal(verdict_of(&r, "{\"data\":{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":0},\"metadata\":{\"timestamp\":"
                                    "\"2024-07-29T00:58:44Z\",\"record-type\":\"data\",\"operation\":\"update\","
                                    "\"table-name\":\"PRICES\"}}"),
                     CHANGE_NOTHING);
    read_free(&r);
}

static void a_delete_empties_the_stock_of_the_row_that_its_key_names(void **state)
{
    (void)state;
    read_t r;
    assert_int_equal(verdict_of(&r,
                                "{\"data\":{\"ISBN\":null,\"QTY\":null},\"before-image\":{\"ISBN\":\"" GOOD_ISBN
                                "\",\"WAREHOUSE_CD\":\"FK01\"},\"metadata\":{\"timestamp\":\"2024-07-29T00:58:44Z\","
                                "\"record-type\":\"data\",\"operation\":\"delete\",\"table-name\":\"STOCK\"}}"),
                     CHANGE_STOCK);
    assert_int_equal(r.change.quantity, 0);
    assert_string_equal(r.change.isbn, GOOD_ISBN);
    assert_string_equal(r.change.warehouse, "FK01");
    read_free(&r);
}

static void a_load_record_is_older_than_every_change(void **state)
{
    (void)state;
    read_t r;
    assert_int_equal(row(&r, "{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":3}", "load", ""), CHANGE_STOCK);
    assert_int_equal(r.change.version, CHANGE_VERSION_LOAD);
    read_free(&r);
}

static void quantities_come_as_numbers_texts_and_in_scientific_notation(void **state)
{
    (void)state;
    static const char *const fives[] = {"5", "5.0", "\"5\"", "\"5.00\"", "5e0"};
    for (size_t i = 0; i < ARRAY_LEN(fives); i++) {
        char data[128];
        (void)snprintf(data, sizeof data, "{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":%s}", fives[i]);
        read_t r;
        assert_int_equal(row(&r, data, "update", ""), CHANGE_STOCK);
        assert_int_equal(r.change.quantity, 5);
        read_free(&r);
    }
}

static void what_cannot_be_a_stock_is_refused_with_its_path(void **state)
{
    (void)state;
    static const struct {
        const char *data, *path;
    } cases[] = {
        {"{\"QTY\":1}", "body.data.ISBN"},
        {"{\"ISBN\":\"9784088827516\",\"QTY\":1}", "body.data.ISBN"}, /* wrong check digit */
        {"{\"ISBN\":\"\",\"QTY\":1}", "body.data.ISBN"},
        {"{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":-1}", "body.data.QTY"},
        {"{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":1.5}", "body.data.QTY"},
        {"{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":\"many\"}", "body.data.QTY"},
        {"{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":1e300}", "body.data.QTY"},
        {"{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":[1]}", "body.data.QTY"},
        {"{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":1,\"WAREHOUSE_CD\":\"a warehouse with a long name\"}",
         "body.data.WAREHOUSE_CD"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        read_t r;
        assert_int_equal(row(&r, cases[i].data, "update", ""), CHANGE_BROKEN);
        assert_non_null(strstr(r.err.message, cases[i].path));
        assert_int_equal(r.err.code, STATUS_INVALID_ARGUMENT);
        read_free(&r);
    }
    read_t r;
    assert_int_equal(row(&r, "{\"ISBN\":\"" GOOD_ISBN "\",\"QTY\":1}", "truncate", ""), CHANGE_BROKEN);
    read_free(&r);
    assert_int_equal(change_read(BYTES_LIT("\xc1"), &rules, &r.arena, &r.change, &r.err), CHANGE_BROKEN);
}

static void the_event_says_what_the_change_means(void **state)
{
    (void)state;
    assert_string_equal(change_event_type(0, 4), INVENTORY_RESTOCKED);
    assert_string_equal(change_event_type(4, 0), INVENTORY_DEPLETED);
    assert_string_equal(change_event_type(-1, 0), INVENTORY_DEPLETED);
    assert_string_equal(change_event_type(4, 3), INVENTORY_UPDATED);
    assert_string_equal(change_event_type(-1, 3), INVENTORY_UPDATED);
    assert_string_equal(change_stock_status(0), "out_of_stock");
    assert_string_equal(change_stock_status(5), "low_stock");
    assert_string_equal(change_stock_status(6), "in_stock");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_update_says_book_warehouse_quantity_and_version),
        cmocka_unit_test(a_row_without_warehouse_belongs_to_the_configured_one),
        cmocka_unit_test(a_missing_or_null_quantity_is_unknown_and_never_zero),
        cmocka_unit_test(control_records_and_other_tables_are_passed_over),
        cmocka_unit_test(a_delete_empties_the_stock_of_the_row_that_its_key_names),
        cmocka_unit_test(a_load_record_is_older_than_every_change),
        cmocka_unit_test(quantities_come_as_numbers_texts_and_in_scientific_notation),
        cmocka_unit_test(what_cannot_be_a_stock_is_refused_with_its_path),
        cmocka_unit_test(the_event_says_what_the_change_means),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
