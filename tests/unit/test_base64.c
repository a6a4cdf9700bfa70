/* test_base64.c: base64 text, written and strictly read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/base64.h"

static void the_vectors_of_the_rfc_hold_both_ways(void **state)
{
    (void)state;
    static const char *const vectors[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < ARRAY_LEN(vectors); i++) {
        buf_t text = {0}, back = {0};
        base64_encode(&text, bytes_cstr(vectors[i][0]));
        assert_true(bytes_eq_cstr(buf_bytes(&text), vectors[i][1]));
        assert_true(base64_decode(&back, buf_bytes(&text), NULL));
        assert_true(bytes_eq_cstr(buf_bytes(&back), vectors[i][0]));
        buf_free(&text);
        buf_free(&back);
    }
}

static void every_byte_at_every_place_comes_back(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 256; c++)
        for (size_t len = 1; len <= 6; len++) {
            uint8_t data[6];
            buf_t text = {0}, back = {0};
            memset(data, (int)c, len);
            base64_encode(&text, bytes_from(data, len));
            assert_true(base64_decode(&back, buf_bytes(&text), NULL));
            assert_true(bytes_eq(buf_bytes(&back), bytes_from(data, len)));
            buf_free(&text);
            buf_free(&back);
        }
}

static void what_is_not_strict_is_refused_with_its_place(void **state)
{
    (void)state;
    const struct {
        bytes_t text;
        size_t bad_at;
    } cases[] = {
        {BYTES_LIT("Zg="), 3},                                                             /* padding is missing */
        {BYTES_LIT("Zg"), 2},        {BYTES_LIT("Z"), 1},          {BYTES_LIT("Zh=="), 1}, /* bits that reach no byte */
        {BYTES_LIT("Zm9="), 2},      {BYTES_LIT("Zm\n9v"), 2},     {BYTES_LIT("Zm9v Zm9v"), 4},
        {BYTES_LIT("Zg==Zg=="), 2},  {BYTES_LIT("===="), 0},       {BYTES_LIT("Z==="), 1},
        {BYTES_LIT("-_-_"), 0}, /* the other alphabet */
        {BYTES_LIT("Zm9v\0AAA"), 4}, {BYTES_LIT("\xC3\xA9g="), 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t bad = 99;
        buf_t out = {0};
        error_t err;
        assert_false(base64_check(cases[i].text, NULL, &bad));
        assert_int_equal(bad, cases[i].bad_at);
        assert_false(base64_decode(&out, cases[i].text, &err));
        assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
        assert_int_equal(out.len, 0);
    }
}

static void decoding_in_place_gives_the_same(void **state)
{
    (void)state;
    uint8_t text[] = "bWFuZ2FidXM=";
    size_t bytes;
    assert_true(base64_check(bytes_from(text, 12), &bytes, NULL));
    base64_decode_checked(bytes_from(text, 12), text);
    assert_int_equal(bytes, 8);
    assert_memory_equal(text, "mangabus", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_the_rfc_hold_both_ways),
        cmocka_unit_test(every_byte_at_every_place_comes_back),
        cmocka_unit_test(what_is_not_strict_is_refused_with_its_place),
        cmocka_unit_test(decoding_in_place_gives_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
