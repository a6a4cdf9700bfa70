/* test_bytes.c: what is done a word at a time says the same as byte by byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/bytes.h"
#include "proto/utf8.h"

#define LENGTH_MAX 80 /* beyond two rounds of the widest step */

static const char *const pieces[] = {"é", "漫", "𠮷", "\x80", "\xC3", "\xE6\xBC", "\xED\xA0\x80", "\xFF"};

static bool is_utf8_by_characters(bytes_t a, size_t *bad_at)
{
    for (size_t n; a.len > 0; a = bytes_from(a.data + n, a.len - n), *bad_at += n)
        if ((n = utf8_sequence(a.data, a.len)) == 0)
            return false;
    return true;
}

/* Each in a place of its own size, so that a sanitizer sees a byte too many. */
static void assert_same_verdict(const char *text, size_t len)
{
    char *copy = test_malloc(len + 1);
    size_t bad = 0, expected_bad = 0;
    memcpy(copy, text, len);
    bool expected = is_utf8_by_characters(bytes_from(copy, len), &expected_bad);
    assert_int_equal(bytes_is_utf8(bytes_from(copy, len), &bad), expected);
    if (!expected)
        assert_int_equal(bad, expected_bad);
    test_free(copy);
}

static void text_is_judged_alike_at_every_length_and_place(void **state)
{
    (void)state;
    char text[LENGTH_MAX + 8];
    for (size_t p = 0; p < ARRAY_LEN(pieces); p++)
        for (size_t len = 0; len <= LENGTH_MAX; len++)
            for (size_t at = 0; at <= len; at++) {
                size_t n = strlen(pieces[p]);
                memset(text, 'a', sizeof text);
                memcpy(text + at, pieces[p], at + n <= len ? n : len - at);
                assert_same_verdict(text, len);
            }
}

static void a_second_fault_does_not_hide_the_first(void **state)
{
    (void)state;
    char text[LENGTH_MAX];
    for (size_t first = 0; first < LENGTH_MAX; first++)
        for (size_t second = first; second < LENGTH_MAX; second++) {
            memset(text, 'a', sizeof text);
            text[first] = text[second] = '\xFF';
            assert_same_verdict(text, sizeof text);
        }
}

static void one_other_byte_makes_two_names_differ(void **state)
{
    (void)state;
    uint8_t a[40], b[40];
    for (size_t len = 0; len <= sizeof a; len++) {
        for (size_t i = 0; i < len; i++)
            a[i] = b[i] = (uint8_t)(i + 1);
        assert_true(bytes_eq(bytes_from(a, len), bytes_from(b, len)));
        for (size_t i = 0; i < len; i++) {
            b[i] ^= 0x80;
            assert_false(bytes_eq(bytes_from(a, len), bytes_from(b, len)));
            b[i] ^= 0x80;
        }
        if (len > 0)
            assert_false(bytes_eq(bytes_from(a, len), bytes_from(b, len - 1)));
    }
    assert_true(bytes_eq(BYTES_NONE, BYTES_LIT("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_judged_alike_at_every_length_and_place),
        cmocka_unit_test(a_second_fault_does_not_hide_the_first),
        cmocka_unit_test(one_other_byte_makes_two_names_differ),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
