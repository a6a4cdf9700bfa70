/* test_pg_array.c: array literals, letter by letter as PostgreSQL's manual writes them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit/pg_array.h"

static void assert_array(buf_t *array, const char *expected)
{
    (void)pg_array_end(array);
    assert_string_equal(buf_cstr(array), expected);
    buf_free(array);
}

static void no_element_is_an_empty_array(void **state)
{
    (void)state;
    buf_t array = {0};
    assert_array(&array, "{}");
}

static void texts_are_quoted_and_their_signs_stand_for_themselves(void **state)
{
    (void)state;
    buf_t array = {0};
    pg_array_text(&array, BYTES_LIT("ワンピース"));
    pg_array_text(&array, BYTES_LIT("a\"b\\c,{d}"));
    pg_array_text(&array, BYTES_LIT(""));
    pg_array_text(&array, BYTES_LIT("NULL"));
    assert_array(&array, "{\"ワンピース\",\"a\\\"b\\\\c,{d}\",\"\",\"NULL\"}");
}

static void nothing_is_null_where_it_may_be(void **state)
{
    (void)state;
    buf_t array = {0};
    pg_array_text_or_null(&array, BYTES_NONE);
    pg_array_text_or_null(&array, BYTES_LIT("x"));
    pg_array_null(&array);
    pg_array_i64_or_null(&array, false, 5);
    pg_array_i64_or_null(&array, true, 5);
    assert_array(&array, "{NULL,\"x\",NULL,NULL,5}");
}

static void numbers_truths_and_bytes_have_their_spelling(void **state)
{
    (void)state;
    buf_t array = {0};
    pg_array_i64(&array, INT64_MIN);
    pg_array_bool(&array, true);
    pg_array_bool(&array, false);
    pg_array_bytea(&array, BYTES_LIT("\x00\x9f\xff"));
    pg_array_bytea(&array, BYTES_NONE);
    assert_array(&array, "{-9223372036854775808,t,f,\"\\\\x009fff\",\"\\\\x\"}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_element_is_an_empty_array),
        cmocka_unit_test(texts_are_quoted_and_their_signs_stand_for_themselves),
        cmocka_unit_test(nothing_is_null_where_it_may_be),
        cmocka_unit_test(numbers_truths_and_bytes_have_their_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
