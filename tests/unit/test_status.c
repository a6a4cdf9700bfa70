/* test_status.c: what an error says is text, whatever was put into it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proto/bytes.h"
#include "proto/status.h"

#define JA "\xE6\xBC\xAB" /* 漫 */

static void assert_texts(const error_t *err)
{
    assert_true(bytes_is_utf8(bytes_cstr(err->message), NULL));
    assert_true(bytes_is_utf8(bytes_cstr(err->aws), NULL));
}

static void a_message_says_what_was_put_into_it(void **state)
{
    (void)state;
    error_t err;
    assert_false(error_set(&err, STATUS_NOT_FOUND, "NoSuchBook", "%s: volume %d", JA, 42));
    assert_int_equal(err.code, STATUS_NOT_FOUND);
    assert_string_equal(err.aws, "NoSuchBook");
    assert_string_equal(err.message, JA ": volume 42");
    assert_false(error_prefix(&err, "catalogue %s", JA));
    assert_string_equal(err.message, "catalogue " JA ": " JA ": volume 42");
}

/* A frame with half a character in it is refused, and with it the answer that it was. */
static void half_a_character_does_not_get_into_a_message(void **state)
{
    (void)state;
    error_t err;
    (void)error_set(&err, STATUS_UNAVAILABLE, "Bad\xFFName", "it said: %.4s", JA JA);
    assert_texts(&err);
    assert_string_equal(err.message, "it said: " JA "?");
    assert_string_equal(err.aws, "Bad?Name");
    (void)error_set(&err, STATUS_UNAVAILABLE, NULL, "%s", "\xED\xA0\x80 surrogate, \xC0\xAF overlong, \x80");
    assert_texts(&err);
    assert_string_equal(err.message, "??? surrogate, ?? overlong, ?");
}

static void a_long_message_is_cut_between_characters(void **state)
{
    (void)state;
    char text[3 * ERROR_MESSAGE_BYTES] = "";
    error_t err;
    for (size_t at = 0; at + 4 < sizeof text; at += 3)
        memcpy(text + at, JA, 4);
    for (size_t shift = 0; shift < 3; shift++) {
        (void)error_set(&err, STATUS_INTERNAL, text, "%.*s%s", (int)shift, "ab", text);
        assert_texts(&err);
        assert_true(strlen(err.message) >= ERROR_MESSAGE_BYTES - 4);
        (void)error_set(&err, STATUS_INTERNAL, NULL, "x");
        (void)error_prefix(&err, "%.*s%s", (int)shift, "ab", text);
        assert_texts(&err);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_says_what_was_put_into_it),
        cmocka_unit_test(half_a_character_does_not_get_into_a_message),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
