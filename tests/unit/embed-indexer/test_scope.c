/* Each test is one sentence about what a query names exactly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "services/embed-indexer/scope.h"

static void reads(const char *text, int64_t volume, const char *rest)
{
    scope_t scope;
    assert_true(scope_read(bytes_cstr(text), &scope));
    assert_int_equal(scope.volume, volume);
    while (scope.rest.len && scope.rest.data[scope.rest.len - 1] == ' ')
        scope.rest.len--;
    assert_string_equal(buf_cstr(&scope.rest), rest);
    buf_free(&scope.rest);
}

static void a_number_before_maki_is_a_volume(void **state)
{
    (void)state;
    reads("ワンピース 42巻", 42, "ワンピース");
    reads("ワンピース４２巻", 42, "ワンピース");
    reads("ワンピース第42巻の在庫", 42, "ワンピース の在庫");
    reads("ワンピース 第 42 巻目", 42, "ワンピース");
}

static void kanji_numerals_are_numbers(void **state)
{
    (void)state;
    reads("ワンピース四十二巻", 42, "ワンピース");
    reads("十巻", 10, "");
    reads("百八巻", 108, "");
    reads("四二巻", 42, "");
}

static void english_words_announce_a_volume(void **state)
{
    (void)state;
    reads("One Piece vol. 42", 42, "One Piece");
    reads("One Piece Volume 7 please", 7, "One Piece   please");
    reads("one piece #3", 3, "one piece");
    reads("the 42nd volume of One Piece", 42, "the   of One Piece");
}

static void counts_years_and_parts_of_words_are_no_volume(void **state)
{
    (void)state;
    reads("全42巻セット", -1, "全42巻セット");
    reads("20世紀少年", -1, "20世紀少年");
    reads("巻物の話", -1, "巻物の話");
    reads("revolvol 3x", -1, "revolvol 3x");
    reads("12345巻", -1, "12345巻");
}

static void a_bare_number_at_the_end_is_only_a_guess(void **state)
{
    (void)state;
    scope_t scope;
    assert_true(scope_read(BYTES_LIT("ワンピース 42"), &scope));
    assert_int_equal(scope.volume, 42);
    assert_true(scope.is_bare);
    assert_string_equal(buf_cstr(&scope.rest), "ワンピース 42");
    buf_free(&scope.rest);
    reads("エリア88", -1, "エリア88");
    reads("42", -1, "42");
}

static void an_isbn_is_found_and_leaves_the_text(void **state)
{
    (void)state;
    scope_t scope;
    assert_true(scope_read(BYTES_LIT("ISBN978-4-08-872509-3 はある?"), &scope));
    assert_string_equal(scope.isbn, "9784088725093");
    assert_null(strstr(buf_cstr(&scope.rest), "9784"));
    buf_free(&scope.rest);
    assert_true(scope_read(BYTES_LIT("978-4-08-872509-4"), &scope)); /* wrong check digit */
    assert_string_equal(scope.isbn, "");
    buf_free(&scope.rest);
}

static void any_text_is_read_without_harm(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", " ", "巻", "第", "第巻", "#", "vol", "9999巻", "〇", "1st volume", "百百百百百百百百百百百百巻"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        scope_t scope;
        assert_true(scope_read(bytes_cstr(texts[i]), &scope) || *texts[i] == '\0');
        assert_true(scope.volume <= SCOPE_VOLUME_MAX);
        buf_free(&scope.rest);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_number_before_maki_is_a_volume),
        cmocka_unit_test(kanji_numerals_are_numbers),
        cmocka_unit_test(english_words_announce_a_volume),
        cmocka_unit_test(counts_years_and_parts_of_words_are_no_volume),
        cmocka_unit_test(a_bare_number_at_the_end_is_only_a_guess),
        cmocka_unit_test(an_isbn_is_found_and_leaves_the_text),
        cmocka_unit_test(any_text_is_read_without_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
