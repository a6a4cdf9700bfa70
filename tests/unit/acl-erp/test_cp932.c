/* test_cp932.c: the table of the ERP's characters, pinned, with all its traps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "proto/utf8.h"
#include "services/acl-erp/cp932.h"

static int codec_make(void **state)
{
    error_t err = {0};
    *state = cp932_new(&err);
    return *state ? 0 : -1;
}

static int codec_end(void **state)
{
    cp932_t *codec = *state;
    cp932_free(&codec);
    return 0;
}

#define READS_AS(cp932, utf8)                                                                                          \
    {                                                                                                                  \
        BYTES_LIT(cp932), utf8                                                                                         \
    }
static const struct {
    bytes_t cp932;
    const char *utf8;
} pins[] = {
    READS_AS("\x5C\x7E", "\\~"),    /* not yen and overline, as Shift_JIS would have it */
    READS_AS("\x81\x60", "\uFF5E"), /* ～ not U+301C */
    READS_AS("\x81\x61", "\u2225"), /* ∥ not U+2016 */
    READS_AS("\x81\x7C", "\uFF0D"), /* － not U+2212 */
    READS_AS("\x81\x91\x81\x92\x81\xCA", "\uFFE0\uFFE1\uFFE2"),
    READS_AS("\x81\x5C", "\u2015"), /* ― not U+2014 */
    READS_AS("\x87\x40", "①"),      /* NEC row 13: Shift_JIS has nothing here */
    READS_AS("\x87\x8A", "㈱"),
    READS_AS("\xFB\xFC", "髙"), /* IBM extension */
    READS_AS("\xED\x95", "﨑"), /* NEC selection of it */
    READS_AS("\xFA\xB1", "﨑"),
    READS_AS("\x87\x90", "≒"), /* comes back as 81 E0 */
    READS_AS("\x81\xE0", "≒"),
    READS_AS("\xF0\x40", "\uE000"),                           /* a character of the user's own */
    READS_AS("\x83\x5C\x95\x5C\x94\x5C\x8F\x5C", "ソ表能十"), /* trail bytes that look like a backslash */
    READS_AS("\xB1\xDE", "ｱﾞ"),                               /* half-width katakana stay half-width */
};

static void reading_follows_the_pinned_table(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(pins); i++) {
        buf_t out = {0};
        error_t err = {0};
        if (!cp932_read(*state, pins[i].cp932, &out, &err))
            fail_msg("pin %zu: %s", i, err.message);
        assert_string_equal(buf_cstr(&out), pins[i].utf8);
        buf_free(&out);
    }
}

static bool writes_as(cp932_t *codec, const char *utf8, const char *expected)
{
    buf_t out = {0};
    bool is_same = cp932_write_xml(codec, bytes_cstr(utf8), &out, NULL) && bytes_eq_cstr(buf_bytes(&out), expected);
    if (!is_same)
        print_error("%s became %s\n", utf8, buf_cstr(&out));
    buf_free(&out);
    return is_same;
}

static void writing_uses_a_reference_wherever_reading_would_give_another_character(void **state)
{
    assert_true(writes_as(*state, "～", "\x81\x60"));
    assert_true(writes_as(*state, "〜", "&#x301C;"));
    assert_true(writes_as(*state, "−", "&#x2212;"));
    assert_true(writes_as(*state, "－", "\x81\x7C"));
    assert_true(writes_as(*state, "¥", "&#xA5;"));
    assert_true(writes_as(*state, "\\", "\\"));
    assert_true(writes_as(*state, "—", "&#x2014;"));
    assert_true(writes_as(*state, "❤", "&#x2764;"));
    assert_true(writes_as(*state, "⁉é𠮷", "&#x2049;&#xE9;&#x20BB7;"));
    assert_true(writes_as(*state, "①髙ソ", "\x87\x40\xFB\xFC\x83\x5C"));
}

static void markup_is_escaped_before_the_bytes_are_made(void **state)
{
    assert_true(writes_as(*state, "ソ<&>\"", "\x83\x5C&lt;&amp;&gt;&quot;"));
    assert_true(writes_as(*state, "a\r\nb", "a&#xD;\nb"));
}

/* As an XML parser would: references are characters. */
static void unreference(const char *xml, buf_t *out)
{
    while (*xml) {
        unsigned c;
        int used = 0;
        uint8_t sequence[4];
        if (sscanf(xml, "&#x%X;%n", &c, &used) == 1 && used) {
            buf_append(out, sequence, utf8_put(c, sequence));
            xml += used;
        } else {
            buf_append_byte(out, (uint8_t)*xml++);
        }
    }
}

static void every_character_of_the_basic_plane_survives_the_round_trip(void **state)
{
    for (uint32_t c = 0x80; c < 0xFFFE; c++) {
        if (c >= 0xD800 && c <= 0xDFFF)
            continue;
        uint8_t sequence[5] = {0};
        buf_t wire = {0}, back = {0}, text = {0};
        size_t len = utf8_put(c, sequence);
        assert_true(cp932_write_xml(*state, bytes_from(sequence, len), &wire, NULL));
        assert_true(cp932_read(*state, buf_bytes(&wire), &back, NULL));
        unreference(buf_cstr(&back), &text);
        if (!bytes_eq(buf_bytes(&text), bytes_from(sequence, len)))
            fail_msg("U+%04X came back as %s", c, buf_cstr(&text));
        buf_free(&wire);
        buf_free(&back);
        buf_free(&text);
    }
}

static void what_is_no_cp932_is_refused_with_its_place_and_leaves_nothing(void **state)
{
    static const bytes_t wrong[] = {BYTES_LIT("abc\xFF"), BYTES_LIT("abc\x81"), BYTES_LIT("abc\x85\x40"),
                                    BYTES_LIT("abc\x81\x20")};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        buf_t out = {0};
        error_t err = {0};
        buf_append_cstr(&out, "before");
        assert_false(cp932_read(*state, wrong[i], &out, &err));
        assert_int_equal(err.code, STATUS_DATA_LOSS);
        assert_non_null(strstr(err.message, "byte 3"));
        assert_string_equal(buf_cstr(&out), "before");
        buf_free(&out);
    }
}

static void what_xml_cannot_carry_is_refused(void **state)
{
    static const bytes_t wrong[] = {BYTES_LIT("ab\x01"), BYTES_LIT("ab\0c"), BYTES_LIT("ab\xEF\xBF\xBE"),
                                    BYTES_LIT("ab\xC3"), BYTES_LIT("ab\xED\xA0\x80")};
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        buf_t out = {0};
        error_t err = {0};
        assert_false(cp932_write_xml(*state, wrong[i], &out, &err));
        assert_non_null(strstr(err.message, "byte 2"));
        assert_int_equal(out.len, 0);
        buf_free(&out);
    }
}

static void a_long_text_is_read_in_pieces_without_a_seam(void **state)
{
    buf_t in = {0}, out = {0};
    for (int i = 0; i < 5000; i++)
        buf_append_cstr(&in, "\x83\x5C");
    assert_true(cp932_read(*state, buf_bytes(&in), &out, NULL));
    assert_int_equal(out.len, 15000);
    for (size_t i = 0; i < out.len; i += 3)
        assert_memory_equal(out.data + i, "ソ", 3);
    buf_free(&in);
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reading_follows_the_pinned_table),
        cmocka_unit_test(writing_uses_a_reference_wherever_reading_would_give_another_character),
        cmocka_unit_test(markup_is_escaped_before_the_bytes_are_made),
        cmocka_unit_test(every_character_of_the_basic_plane_survives_the_round_trip),
        cmocka_unit_test(what_is_no_cp932_is_refused_with_its_place_and_leaves_nothing),
        cmocka_unit_test(what_xml_cannot_carry_is_refused),
        cmocka_unit_test(a_long_text_is_read_in_pieces_without_a_seam),
    };
    return cmocka_run_group_tests(tests, codec_make, codec_end);
}
