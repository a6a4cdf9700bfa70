/* test_translate_rest.c: orders and payments in the house's terms, and what is refused of them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/json.h"
#include "services/acl-erp/translate_rest.h"

typedef struct {
    arena_t arena;
    buf_t document;
    error_t err;
} fixture_t;

static int fixture_make(void **state)
{
    static fixture_t fixture;
    fixture = (fixture_t){0};
    arena_init(&fixture.arena, 0);
    *state = &fixture;
    return 0;
}

static int fixture_end(void **state)
{
    fixture_t *f = *state;
    arena_free(&f->arena);
    buf_free(&f->document);
    return 0;
}

static bytes_t document(fixture_t *f, const char *json)
{
    buf_clear(&f->document);
    if (!json_to_msgpack(bytes_cstr(json), NULL, &f->document, &f->err))
        fail_msg("%s: %s", json, f->err.message);
    return buf_bytes(&f->document);
}

#define LINE "{\"isbn\":\"978-4-00-000042-0\",\"qty\":2,\"unitPrice\":\"550\",\"title\":\"ONE PIECE\"}"
#define ORDER(status, lines, total)                                                                                    \
    "{\"orderNo\":\"MB-0001-03\",\"customerNo\":\"cust-0001\",\"statusCode\":\"" status "\",\"lines\":[" lines         \
    "],\"total\":" total ",\"currency\":\"jpy\",\"orderedAt\":\"2025-11-08 05:30:00\",\"parcelNo\":\"4711\","          \
    "\"updatedAt\":\"2025-11-09 09:00:00\",\"deliveryDate\":\"20251111\"}"

static void an_order_loses_its_codes_and_its_time_zone(void **state)
{
    fixture_t *f = *state;
    erp_order_t order;
    buf_t packed = {0};
    assert_true(translate_order(document(f, ORDER("SHP", LINE, "\"1100\"")), &f->arena, &order, &f->err));
    assert_true(bytes_eq_cstr(order.status, "shipped") && bytes_eq_cstr(order.currency, "JPY"));
    assert_true(bytes_eq_cstr(order.placed_at, "2025-11-07T20:30:00Z"));
    assert_true(order.has_updated_at && bytes_eq_cstr(order.updated_at, "2025-11-09T00:00:00Z"));
    assert_true(order.has_expected_on && bytes_eq_cstr(order.expected_on, "2025-11-11"));
    assert_true(order.has_tracking_number && order.total_amount == 1100 && order.items.count == 1);
    assert_true(bytes_eq_cstr(order.items.items[0].isbn, "9784000000420") && order.items.items[0].unit_amount == 550);
    assert_true(erp_order_pack(&packed, &order, &f->err));
    buf_free(&packed);
}

static void every_status_has_its_word_and_any_other_is_unknown(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *json, *word;
    } cases[] = {{ORDER("RCV", LINE, "1"), "placed"},    {ORDER("PAI", LINE, "1"), "paid"},
                 {ORDER("PCK", LINE, "1"), "packed"},    {ORDER("DLV", LINE, "1"), "delivered"},
                 {ORDER("CAN", LINE, "1"), "cancelled"}, {ORDER("RTN", LINE, "1"), "returned"},
                 {ORDER("XYZ", LINE, "1"), "unknown"}};
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        erp_order_t order;
        assert_true(translate_order(document(f, cases[i].json), &f->arena, &order, &f->err));
        assert_true(bytes_eq_cstr(order.status, cases[i].word));
    }
}

static void an_order_that_breaks_the_agreement_is_refused_by_field(void **state)
{
    fixture_t *f = *state;
    static const struct {
        const char *json, *field;
    } cases[] = {
        {"[]", "orderNo"},
        {"{}", "orderNo"},
        {ORDER("SHP", LINE, "\"-5\""), "total"},
        {ORDER("SHP", LINE, "1.5"), "total"},
        {ORDER("SHP", LINE, "\"9999999999999999999\""), "total"},
        {ORDER("SHP", "{\"isbn\":\"9784000000421\"}", "1"), "lines[0]: isbn"},
        {ORDER("SHP", LINE ",{\"isbn\":\"9784000000420\",\"qty\":0}", "1"), "lines[1]: qty"},
        {ORDER("SHP", "7", "1"), "lines[0]: isbn"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        erp_order_t order;
        assert_false(translate_order(document(f, cases[i].json), &f->arena, &order, &f->err));
        assert_int_equal(f->err.code, STATUS_DATA_LOSS);
        if (strstr(f->err.message, cases[i].field) != f->err.message)
            fail_msg("case %zu: %s", i, f->err.message);
    }
}

static void a_page_of_orders_carries_its_cursor(void **state)
{
    fixture_t *f = *state;
    erp_order_list_response_t page;
    assert_true(translate_orders(
        document(f, "{\"orders\":[" ORDER("DLV", LINE, "1") "," ORDER("RCV", "", "0") "],\"nextPageToken\":\"3\"}"),
        &f->arena, &page, &f->err));
    assert_int_equal(page.orders.count, 2);
    assert_true(page.has_next_cursor && bytes_eq_cstr(page.next_cursor, "3"));
    assert_true(translate_orders(document(f, "{\"orders\":[]}"), &f->arena, &page, &f->err));
    assert_false(page.has_next_cursor);
    assert_false(translate_orders(document(f, "{\"orders\":[{}]}"), &f->arena, &page, &f->err));
    assert_non_null(strstr(f->err.message, "orders[0]"));
}

#define PAYMENT                                                                                                        \
    "{\"id\":\"PAY-1\",\"order\":\"MB-1\",\"state\":\"partial_refund\",\"amount\":\"1100\",\"refunded\":\"100\","      \
    "\"currency\":\"jpy\"}"

static void a_payment_and_its_refund_lose_their_codes_too(void **state)
{
    fixture_t *f = *state;
    erp_payment_t payment;
    erp_payment_refund_response_t refund;
    assert_true(translate_payment(document(f, PAYMENT), &f->arena, &payment, &f->err));
    assert_true(bytes_eq_cstr(payment.status, "partially_refunded") && payment.amount == 1100);
    assert_true(payment.has_refunded_amount && payment.refunded_amount == 100);
    assert_true(
        translate_refund(document(f, "{\"id\":\"RF-1\",\"state\":\"done\",\"amount\":\"100\",\"payment\":" PAYMENT "}"),
                         &f->arena, &refund, &f->err));
    assert_true(bytes_eq_cstr(refund.status, "completed") && refund.amount == 100);
    assert_false(translate_refund(document(f, "{\"id\":\"RF-1\",\"state\":\"done\",\"amount\":\"100\"}"), &f->arena,
                                  &refund, &f->err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_order_loses_its_codes_and_its_time_zone, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(every_status_has_its_word_and_any_other_is_unknown, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(an_order_that_breaks_the_agreement_is_refused_by_field, fixture_make,
                                        fixture_end),
        cmocka_unit_test_setup_teardown(a_page_of_orders_carries_its_cursor, fixture_make, fixture_end),
        cmocka_unit_test_setup_teardown(a_payment_and_its_refund_lose_their_codes_too, fixture_make, fixture_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
