/* Each test is one sentence about spelling. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "kit/text.h"

static void assert_same_key(const char *a, const char *b)
{
    buf_t left = {0}, right = {0};
    text_key(&left, bytes_cstr(a));
    text_key(&right, bytes_cstr(b));
    assert_true(left.len > 0);
    assert_string_equal(buf_cstr(&left), buf_cstr(&right));
    buf_free(&left);
    buf_free(&right);
}

static void titles_that_people_take_for_the_same_have_the_same_key(void **state)
{
    (void)state;
    assert_same_key("One Piece", "ＯＮＥ　ＰＩＥＣＥ");
    assert_same_key("One Piece", "one-piece!");
    assert_same_key("わんぴーす", "ワンピース");
    assert_same_key("ﾜﾝﾋﾟｰｽ", "ワンピース");
    assert_same_key("か\u3099ん", "ガン"); /* decomposed, as macOS writes it */
    assert_same_key("NARUTO -ナルト-", "naruto ナルト");
    assert_same_key("20世紀少年", "２０世紀少年");
}

static void different_titles_have_different_keys(void **state)
{
    (void)state;
    buf_t a = {0}, b = {0};
    text_key(&a, BYTES_LIT("ワンピース"));
    text_key(&b, BYTES_LIT("ワンピス"));
    assert_false(bytes_eq(buf_bytes(&a), buf_bytes(&b)));
    buf_free(&a);
    buf_free(&b);
}

static void a_title_of_symbols_alone_still_has_a_key(void **state)
{
    (void)state;
    buf_t key = {0};
    text_key(&key, BYTES_LIT("!?"));
    assert_string_equal(buf_cstr(&key), "!?");
    buf_free(&key);
}

static void what_is_not_utf8_has_none(void **state)
{
    (void)state;
    buf_t key = {0};
    text_key(&key, BYTES_LIT("\xff\xfe"));
    text_nfc(&key, BYTES_LIT("a\xe3\x81"));
    assert_int_equal(key.len, 0);
    buf_free(&key);
}

static void nfc_composes_but_keeps_the_compatibility_ideographs(void **state)
{
    (void)state;
    buf_t out = {0};
    text_nfc(&out, BYTES_LIT("か\u3099\uFA19社e\u0301"));
    assert_string_equal(buf_cstr(&out), "が\uFA19社\u00e9");
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(titles_that_people_take_for_the_same_have_the_same_key),
        cmocka_unit_test(different_titles_have_different_keys),
        cmocka_unit_test(a_title_of_symbols_alone_still_has_a_key),
        cmocka_unit_test(what_is_not_utf8_has_none),
        cmocka_unit_test(nfc_composes_but_keeps_the_compatibility_ideographs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
