/* test_isbn.c: check digits, and the ISBN as people write it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "proto/isbn.h"

static void check_digits_are_those_of_the_standard(void **state)
{
    (void)state;
    assert_int_equal(isbn13_check_digit("978030640615"), '7'); /* the example of the ISBN Users' Manual */
    assert_int_equal(isbn13_check_digit("978408882751"), '3');
    assert_int_equal(isbn13_check_digit("978316148410"), '0');
    assert_int_equal(isbn10_check_digit("030640615"), '2');
    assert_int_equal(isbn10_check_digit("080442957"), 'X');
    assert_int_equal(isbn10_check_digit("408872509"), '3'); /* 4-08-872509-3 */
    assert_int_equal(isbn13_check_digit("97803064061x"), 0);
    assert_int_equal(isbn10_check_digit("03064061 "), 0);
}

static void one_digit_more_or_less_or_wrong_is_no_isbn(void **state)
{
    (void)state;
    char digits[] = "9784088827513";
    assert_true(isbn13_is_valid(bytes_cstr(digits)));
    for (int at = 0; at < ISBN13_DIGITS; at++) {
        char kept = digits[at];
        for (char c = '0'; c <= '9'; c++) {
            digits[at] = c;
            assert_int_equal(isbn13_is_valid(bytes_cstr(digits)), c == kept);
        }
        digits[at] = kept;
    }
    assert_false(isbn13_is_valid(BYTES_LIT("978408882751")));
    assert_false(isbn13_is_valid(BYTES_LIT("97840888275133")));
    assert_false(isbn13_is_valid(BYTES_LIT("978-4088827513")));
    assert_false(isbn13_is_valid(BYTES_LIT("4912345678904"))); /* a sound EAN, but no book */
    assert_false(isbn13_is_valid(BYTES_NONE));
}

/* "No check digit" is told as a NUL, and a text of JSON or msgpack may hold one. */
static void letters_have_no_check_digit_not_even_a_nul(void **state)
{
    (void)state;
    assert_false(isbn13_is_valid(BYTES_LIT("978abcdefghi\0")));
    assert_false(isbn13_is_valid(BYTES_LIT("978'; --1234\0")));
    assert_false(isbn13_is_valid(BYTES_LIT("978408882751\0")));
}

static void every_spelling_becomes_the_same_thirteen_digits(void **state)
{
    (void)state;
    const char *const spellings[] = {
        "9784088827513",         "978-4-08-882751-3",   " 978 4 08 882751 3 ",
        "ISBN978-4-08-882751-3", "ISBN: 9784088827513", "isbn-13: 9784088827513",
        "4-08-882751-1",         "4088827511",          "９７８－４－０８－８８２７５１－３",
        "978‐4‐08‐882751‐3",     "978−4ー08–882751—3"};
    for (size_t i = 0; i < ARRAY_LEN(spellings); i++) {
        char out[ISBN13_TEXT_BYTES];
        if (!isbn_normalize(bytes_cstr(spellings[i]), out))
            fail_msg("%s was refused", spellings[i]);
        assert_string_equal(out, "9784088827513");
    }
}

static void an_x_counts_ten_as_last_sign_only(void **state)
{
    (void)state;
    char out[ISBN13_TEXT_BYTES];
    assert_true(isbn_normalize(BYTES_LIT("0-8044-2957-X"), out));
    assert_string_equal(out, "9780804429573");
    assert_true(isbn_normalize(BYTES_LIT("080442957ｘ"), out));
    assert_false(isbn_normalize(BYTES_LIT("0804429X57"), out));
    assert_false(isbn_normalize(BYTES_LIT("X804429570"), out));
}

static void what_is_no_isbn_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               " ",
                               "978-4-08-882751-6", /* the documents' own example: the check digit is 3 */
                               "97840888275131",
                               "978408882751",
                               "408882751",
                               "4088827513",
                               "9784088827513x",
                               "vol 9784088827513",
                               "978.4088827513",
                               "978----4088827513",
                               "4912345678904",
                               "\xff\xff"};
    char out[ISBN13_TEXT_BYTES];
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (isbn_normalize(bytes_cstr(bad[i]), out))
            fail_msg("%s was taken", bad[i]);
}

static void an_isbn_is_found_in_running_text(void **state)
{
    (void)state;
    const char *const texts[] = {"is 978-4-08-882751-3 in stock?",   "在庫：9784088827513。",
                                 "call 0312345678 or 4-08-882751-1", "１巻（９７８４０８８８２７５１３）",
                                 "x9784088827513 9784088827513",     "volume 42 978-4-08-882751-3 2026"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char out[ISBN13_TEXT_BYTES];
        size_t at = 0;
        size_t len = 0;
        if (!isbn_find(bytes_cstr(texts[i]), out, &at, &len))
            fail_msg("nothing was found in %s", texts[i]);
        assert_string_equal(out, "9784088827513");
        char again[ISBN13_TEXT_BYTES];
        assert_true(isbn_normalize(bytes_from(texts[i] + at, len), again));
    }
}

static void no_isbn_is_found_where_there_is_none(void **state)
{
    (void)state;
    const char *const texts[] = {"", "Is Volume 42 of One Piece in stock?", "97840888275130", "19784088827513",
                                 "978408882751 3000 円"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        char out[ISBN13_TEXT_BYTES];
        if (isbn_find(bytes_cstr(texts[i]), out, NULL, NULL))
            fail_msg("%s was found in %s", out, texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(check_digits_are_those_of_the_standard),
        cmocka_unit_test(one_digit_more_or_less_or_wrong_is_no_isbn),
        cmocka_unit_test(letters_have_no_check_digit_not_even_a_nul),
        cmocka_unit_test(every_spelling_becomes_the_same_thirteen_digits),
        cmocka_unit_test(an_x_counts_ten_as_last_sign_only),
        cmocka_unit_test(what_is_no_isbn_is_refused),
        cmocka_unit_test(an_isbn_is_found_in_running_text),
        cmocka_unit_test(no_isbn_is_found_where_there_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
