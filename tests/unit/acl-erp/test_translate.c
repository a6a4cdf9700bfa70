/* test_translate.c: what the ERP's codes, dates and names become, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "services/acl-erp/translate.h"

#define F(n, v)                                                                                                        \
    {                                                                                                                  \
        {(const uint8_t *)(n), sizeof(n) - 1},                                                                         \
        {                                                                                                              \
            (const uint8_t *)(v), sizeof(v) - 1                                                                        \
        }                                                                                                              \
    }
#define ITEM(...)                                                                                                      \
    ((soap_item_t){.fields = (const soap_field_t[]){__VA_ARGS__},                                                      \
                   .count = sizeof((const soap_field_t[]){__VA_ARGS__}) / sizeof(soap_field_t)})
#define AS_OF BYTES_LIT("2026-01-30T20:15:12.345Z")

static int arena_make(void **state)
{
    static arena_t arena;
    arena_init(&arena, 0);
    *state = &arena;
    return 0;
}

static int arena_end(void **state)
{
    arena_free(*state);
    return 0;
}

static bool is(bytes_t text, const char *expected)
{
    bool is_same = bytes_eq_cstr(text, expected);
    if (!is_same && text.len)
        print_error("got '%.*s', expected '%s'\n", BYTES_FMT(text), expected);
    return is_same;
}

static void a_stock_item_becomes_a_line_without_a_legacy_code(void **state)
{
    stock_line_t line;
    error_t err = {0};
    soap_item_t item = ITEM(F("ISBN", "978-4-00-000042-0"), F("Title", "ONE PIECE 42"), F("Quantity", "27"),
                            F("WarehouseCode", "TK01"), F("StatusCode", "01"), F("LastRestockDate", "2025/11/08"),
                            F("PriceJPY", "550"), F("RestockETADays", "3"));
    assert_true(translate_stock(&item, AS_OF, *state, &line, &err));
    assert_true(is(line.isbn, "9784000000420") && is(line.warehouse_code, "TK01") && is(line.status, "in_stock"));
    assert_true(line.has_title && is(line.title, "ONE PIECE 42"));
    assert_true(line.has_last_restock_date && is(line.last_restock_date, "2025-11-08"));
    assert_int_equal(line.quantity, 27);
    assert_true(line.has_price_jpy && line.price_jpy == 550 && line.has_eta_days && line.eta_days == 3);
    assert_false(line.has_stale_age_ms);
    buf_t out = {0};
    assert_true(stock_line_pack(&out, &line, &err));
    buf_free(&out);
}

static void every_status_code_has_its_word_and_any_other_is_unknown(void **state)
{
    static const struct {
        bytes_t code;
        const char *word;
    } cases[] = {{BYTES_LIT("01"), "in_stock"}, {BYTES_LIT("02"), "low_stock"}, {BYTES_LIT("03"), "out_of_stock"},
                 {BYTES_LIT("04"), "preorder"}, {BYTES_LIT("05"), "unknown"},   {BYTES_LIT("1"), "unknown"},
                 {BYTES_LIT(""), "unknown"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const soap_field_t fields[] = {F("ISBN", "9784000000420"),
                                       F("Quantity", "0"),
                                       F("WarehouseCode", "TK01"),
                                       {BYTES_LIT("StatusCode"), cases[i].code}};
        soap_item_t item = {.fields = fields, .count = ARRAY_LEN(fields)};
        stock_line_t line;
        assert_true(translate_stock(&item, AS_OF, *state, &line, NULL));
        assert_true(is(line.status, cases[i].word));
    }
}

static void a_stock_item_without_what_the_contract_needs_is_refused_by_field(void **state)
{
    static const struct {
        const char *isbn, *quantity, *warehouse, *field;
    } cases[] = {
        {"9784000000421", "1", "TK01", "isbn"},       {"", "1", "TK01", "isbn"},
        {"9784000000420", "-1", "TK01", "quantity"},  {"9784000000420", "", "TK01", "quantity"},
        {"9784000000420", "1e3", "TK01", "quantity"}, {"9784000000420", "99999999999999999999", "TK01", "quantity"},
        {"9784000000420", "1", "", "warehouse_code"}, {"9784000000420", "1", "A-WAREHOUSE-TOO-LONG", "warehouse_code"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const soap_field_t fields[] = {{BYTES_LIT("ISBN"), bytes_cstr(cases[i].isbn)},
                                       {BYTES_LIT("Quantity"), bytes_cstr(cases[i].quantity)},
                                       {BYTES_LIT("WarehouseCode"), bytes_cstr(cases[i].warehouse)}};
        soap_item_t item = {.fields = fields, .count = ARRAY_LEN(fields)};
        stock_line_t line;
        error_t err = {0};
        assert_false(translate_stock(&item, AS_OF, *state, &line, &err));
        assert_int_equal(err.code, STATUS_DATA_LOSS);
        assert_ptr_equal(strstr(err.message, cases[i].field), err.message);
    }
}

static void a_catalogue_item_becomes_a_book(void **state)
{
    book_t book;
    error_t err = {0};
    soap_item_t item = ITEM(F("ISBN", "9784000000420"), F("Title", "DEATH NOTE"), F("TitleKana", "デスノート"),
                            F("TitleEN", "Death Note"), F("VolumeNo", "7"),
                            F("Authors", "大場つぐみ　／　[作画]小畑健"), F("Publisher", "㈱集英社"),
                            F("Genre", "少年/サスペンス"), F("PriceJPY", "484"), F("ReleaseDate", "20040402"),
                            F("SaleStatus", "9"), F("Revision", "4"), F("UpdatedAt", "2025/11/08 05:30:00"));
    assert_true(translate_book(&item, *state, &book, &err));
    assert_int_equal(book.creators.count, 2);
    assert_true(is(book.creators.items[0], "大場つぐみ") && is(book.creators.items[1], "小畑健"));
    assert_int_equal(book.genres.count, 2);
    assert_true(is(book.publisher, "集英社") && is(book.published_on, "2004-04-02") && is(book.status, "discontinued"));
    assert_true(is(book.updated_at, "2025-11-07T20:30:00Z"));
    assert_true(book.volume == 7 && book.version == 4 && book.price_jpy == 484);
    buf_t out = {0};
    if (!book_pack(&out, &book, &err))
        fail_msg("%s", err.message);
    buf_free(&out);
}

static void what_a_catalogue_item_does_not_say_stays_absent(void **state)
{
    book_t book;
    soap_item_t item =
        ITEM(F("ISBN", "9784000000420"), F("Title", "x"), F("VolumeNo", "0"), F("ReleaseDate", "20251340"),
             F("UpdatedAt", "yesterday"), F("PriceJPY", "free"), F("Publisher", "㈱"));
    assert_true(translate_book(&item, *state, &book, NULL));
    assert_false(book.has_volume || book.has_published_on || book.has_updated_at || book.has_price_jpy ||
                 book.has_publisher || book.has_creators || book.has_title_kana);
    assert_true(is(book.status, "active"));
}

static void a_book_without_title_is_refused_and_can_be_shown_raw(void **state)
{
    book_t book;
    error_t err = {0};
    bytes_t raw;
    soap_item_t item = ITEM(F("ISBN", "9784000000420"), F("PriceJPY", "484"));
    assert_false(translate_book(&item, *state, &book, &err));
    assert_ptr_equal(strstr(err.message, "title"), err.message);
    assert_true(translate_raw(&item, *state, &raw));
    assert_true(is(raw, "ISBN=9784000000420; PriceJPY=484"));
}

static void dates_of_three_spellings_are_one(void **state)
{
    assert_true(is(translate_date(BYTES_LIT("20240229"), *state), "2024-02-29"));
    assert_true(is(translate_date(BYTES_LIT("2024/02/29"), *state), "2024-02-29"));
    assert_true(is(translate_date(BYTES_LIT("2024-02-29"), *state), "2024-02-29"));
    assert_int_equal(translate_date(BYTES_LIT("2025/02/29"), *state).len, 0);
    assert_int_equal(translate_date(BYTES_LIT("2024/02-29"), *state).len, 0);
    assert_int_equal(translate_date(BYTES_LIT("2O240229"), *state).len, 0);
    assert_int_equal(translate_date(BYTES_NONE, *state).len, 0);
}

static void times_go_to_japan_and_back(void **state)
{
    bytes_t japan;
    assert_true(is(translate_time(BYTES_LIT("2026-01-01 08:59:59"), *state), "2025-12-31T23:59:59Z"));
    assert_true(translate_time_back(BYTES_LIT("2025-12-31T23:59:59Z"), *state, &japan, NULL));
    assert_true(is(japan, "2026/01/01 08:59:59"));
    assert_false(translate_time_back(BYTES_LIT("now"), *state, &japan, NULL));
    assert_int_equal(translate_time(BYTES_LIT("2026-01-01T08:59:59"), *state).len, 0);
    assert_int_equal(translate_time(BYTES_LIT("2026-01-01 25:59:59"), *state).len, 0);
}

static void names_are_divided_trimmed_and_bounded(void **state)
{
    bytes_list_t names = translate_names(BYTES_LIT(" 鳥山明　／　尾田栄一郎/[まんが]太田勝//"), 32, 64, *state);
    assert_int_equal(names.count, 3);
    assert_true(is(names.items[0], "鳥山明") && is(names.items[1], "尾田栄一郎") && is(names.items[2], "太田勝"));
    assert_int_equal(translate_names(BYTES_LIT("a/b/c"), 2, 64, *state).count, 2);
    assert_int_equal(translate_names(BYTES_LIT("abcdef/b"), 2, 3, *state).count, 1);
    assert_int_equal(translate_names(BYTES_NONE, 2, 3, *state).count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_stock_item_becomes_a_line_without_a_legacy_code, arena_make, arena_end),
        cmocka_unit_test_setup_teardown(every_status_code_has_its_word_and_any_other_is_unknown, arena_make, arena_end),
        cmocka_unit_test_setup_teardown(a_stock_item_without_what_the_contract_needs_is_refused_by_field, arena_make,
                                        arena_end),
        cmocka_unit_test_setup_teardown(a_catalogue_item_becomes_a_book, arena_make, arena_end),
        cmocka_unit_test_setup_teardown(what_a_catalogue_item_does_not_say_stays_absent, arena_make, arena_end),
        cmocka_unit_test_setup_teardown(a_book_without_title_is_refused_and_can_be_shown_raw, arena_make, arena_end),
        cmocka_unit_test_setup_teardown(dates_of_three_spellings_are_one, arena_make, arena_end),
        cmocka_unit_test_setup_teardown(times_go_to_japan_and_back, arena_make, arena_end),
        cmocka_unit_test_setup_teardown(names_are_divided_trimmed_and_bounded, arena_make, arena_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
