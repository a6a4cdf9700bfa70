/* Each test is one sentence about what the catalogue's quality gates let through. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "services/sync-reconciler/gate.h"

#define NOW_US INT64_C(1740830400000000) /* 2025-03-01T12:00:00Z */
#define BROKEN "\xEF\xBF\xBD"

static book_t good(void)
{
    book_t book = {.isbn = BYTES_LIT("9784088827513"), .title = BYTES_LIT("進撃の巨人")};
    SCHEMA_SET(&book, price_jpy, 528);
    SCHEMA_SET(&book, published_on, BYTES_LIT("2021-06-09"));
    return book;
}

static void assert_held(const book_t *book, const char *field)
{
    const char *why = gate_check(book, NOW_US);
    assert_non_null(why);
    assert_int_equal(strncmp(why, field, strlen(field)), 0);
}

static const char *with_title(const char *title)
{
    book_t book = good();
    book.title = bytes_cstr(title);
    return gate_check(&book, NOW_US);
}

static const char *with_price(int64_t price)
{
    book_t book = good();
    SCHEMA_SET(&book, price_jpy, price);
    return gate_check(&book, NOW_US);
}

static const char *with_date(const char *date)
{
    book_t book = good();
    SCHEMA_SET(&book, published_on, bytes_cstr(date));
    return gate_check(&book, NOW_US);
}

static void a_book_as_it_should_be_passes(void **state)
{
    (void)state;
    book_t book = good();
    assert_null(gate_check(&book, NOW_US));
}

static void what_is_not_said_is_no_fault(void **state)
{
    (void)state;
    book_t book = {.isbn = BYTES_LIT("9784088827513"), .title = BYTES_LIT("x")};
    assert_null(gate_check(&book, NOW_US));
}

static void a_title_of_blanks_of_any_width_is_held_back(void **state)
{
    (void)state;
    assert_string_equal(with_title(" \t "), "title: blank");
    assert_string_equal(with_title("　　"), "title: blank");
    assert_string_equal(with_title(" 　"), "title: blank");
    assert_null(with_title("　猫"));
    assert_null(with_title("\xE3\x80\x81")); /* begins like the wide blank */
}

static void a_title_whose_characters_were_lost_is_held_back(void **state)
{
    (void)state;
    assert_non_null(strstr(with_title("進撃" BROKEN "巨人"), "lost in decoding"));
    assert_non_null(strstr(with_title("??????"), "question marks"));
    assert_null(with_title("え??"));
    assert_null(with_title("だれ？？？")); /* wide ones are meant */
}

static void a_zero_byte_in_what_becomes_text_is_held_back(void **state)
{
    (void)state;
    book_t book = good();
    book.title = BYTES_LIT("進撃\0の巨人");
    assert_held(&book, "title");
    book = good();
    SCHEMA_SET(&book, title_kana, BYTES_LIT("シンゲキ\0"));
    assert_held(&book, "title");
}

static void a_creator_whose_characters_were_lost_is_held_back(void **state)
{
    (void)state;
    bytes_t names[] = {BYTES_LIT("諫山創"), BYTES_LIT("宮" BROKEN "駿")};
    book_t book = good();
    SCHEMA_SET(&book, creators, ((bytes_list_t){names, 1}));
    assert_null(gate_check(&book, NOW_US));
    SCHEMA_SET(&book, creators, ((bytes_list_t){names, 2}));
    assert_held(&book, "creators:");
}

static void a_price_is_at_least_a_yen_and_at_most_a_million(void **state)
{
    (void)state;
    assert_non_null(with_price(0));
    assert_null(with_price(1));
    assert_null(with_price(GATE_PRICE_MAX_JPY));
    assert_non_null(with_price(GATE_PRICE_MAX_JPY + 1));
}

static void a_day_of_sale_lies_between_the_first_magazines_and_three_years_ahead(void **state)
{
    (void)state;
    assert_null(with_date("2028-02-28"));
    assert_non_null(with_date("2028-03-10"));
    assert_null(with_date("1874-06-01"));
    assert_non_null(with_date("1859-01-01"));
    assert_non_null(with_date("0001-01-01"));
    assert_non_null(with_date("9999-12-31"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_book_as_it_should_be_passes),
        cmocka_unit_test(what_is_not_said_is_no_fault),
        cmocka_unit_test(a_title_of_blanks_of_any_width_is_held_back),
        cmocka_unit_test(a_title_whose_characters_were_lost_is_held_back),
        cmocka_unit_test(a_zero_byte_in_what_becomes_text_is_held_back),
        cmocka_unit_test(a_creator_whose_characters_were_lost_is_held_back),
        cmocka_unit_test(a_price_is_at_least_a_yen_and_at_most_a_million),
        cmocka_unit_test(a_day_of_sale_lies_between_the_first_magazines_and_three_years_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
