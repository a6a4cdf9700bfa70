/* test_json.c: JSON to msgpack and back: what is kept, what is refused, and where. */
#include "tests/unit/json_asserts.h"

/* -- values ------------------------------------------------------------------------------------- */

static void every_kind_of_value_has_the_shortest_msgpack(void **state)
{
    (void)state;
    assert_wire("null", BYTES_LIT("\xc0"));
    assert_wire(" true\t", BYTES_LIT("\xc3"));
    assert_wire("false\r\n", BYTES_LIT("\xc2"));
    assert_wire("0", BYTES_LIT("\x00"));
    assert_wire("-33", BYTES_LIT("\xd0\xdf"));
    assert_wire("1.5", BYTES_LIT("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00"));
    assert_wire("\"\"", BYTES_LIT("\xa0"));
    assert_wire("[]", BYTES_LIT("\x90"));
    assert_wire("{}", BYTES_LIT("\x80"));
    assert_wire(" { \"a\" : [ 1 , { } ] , \"b\" : null } ", BYTES_LIT("\x82\xa1"
                                                                      "a\x92\x01\x80\xa1"
                                                                      "b\xc0"));
}

static void containers_of_any_size_get_the_head_that_fits(void **state)
{
    (void)state;
    for (unsigned n = 14; n <= 66000; n = n < 18 ? n + 1 : n < 65533 ? 65533 : n + 1) {
        buf_t json = {0}, value = {0}, again = {0};
        for (unsigned i = 0; i < n; i++)
            buf_append_cstr(&json, i ? ",[]" : "[[]");
        buf_append_cstr(&json, "]");
        assert_true(to_msgpack(buf_bytes(&json), &value, NULL));
        mp_put_array(&again, n);
        for (unsigned i = 0; i < n; i++)
            mp_put_array(&again, 0);
        assert_true(bytes_eq(buf_bytes(&value), buf_bytes(&again)));
        buf_free(&json);
        buf_free(&value);
        buf_free(&again);
        if (n > 65537)
            break;
    }
}

static void key_order_and_duplicate_keys_survive(void **state)
{
    (void)state;
    assert_back("{\"z\":1,\"a\":2,\"z\":3,\"\":4}", "{\"z\":1,\"a\":2,\"z\":3,\"\":4}");
}

static void what_stands_in_the_buffer_already_stays(void **state)
{
    (void)state;
    buf_t out = {0};
    buf_append_cstr(&out, "head");
    assert_true(json_to_msgpack(BYTES_LIT("[{\"a\":[]}]"), NULL, &out, NULL));
    assert_true(bytes_eq(buf_bytes(&out), BYTES_LIT("head\x91\x81\xa1"
                                                    "a\x90")));
    buf_free(&out);
}

/* -- strings ------------------------------------------------------------------------------------ */

static void escapes_become_what_they_stand_for(void **state)
{
    (void)state;
    assert_wire("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", BYTES_LIT("\xa8\"\\/\b\f\n\r\t"));
    assert_wire("\"\\u0041\\u00e9\\u30EF\\ud83d\\uDE00\\u0000\"",
                BYTES_LIT("\xab"
                          "A\xC3\xA9\xE3\x83\xAF\xF0\x9F\x98\x80\x00"));
}

static void strings_are_escaped_no_more_than_they_must_be(void **state)
{
    (void)state;
    assert_text(BYTES_LIT("\xab\"\\/\b\f\n\r\t\x01\x1f\x7f"), JSON_COMPACT,
                "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\x7f\"");
    assert_back("\"ワンピース \\u2028\"", "\"ワンピース \xE2\x80\xA8\"");
}

static void a_string_of_any_length_and_alignment_is_read_whole(void **state)
{
    (void)state;
    static const char *const middles[] = {"", "\\n", "é", "\\u00e9", "日本"};
    for (size_t m = 0; m < ARRAY_LEN(middles); m++)
        for (size_t before = 0; before < 20; before++)
            for (size_t after = 0; after < 20; after++) {
                buf_t json = {0};
                buf_printf(&json, "\"%.*s%s%.*s\"", (int)before, "abcdefghijklmnopqrst", middles[m], (int)after,
                           "ABCDEFGHIJKLMNOPQRST");
                buf_t back = {0}, value = {0};
                assert_true(to_msgpack(buf_bytes(&json), &value, NULL));
                assert_true(json_from_msgpack(buf_bytes(&value), JSON_COMPACT, &back, NULL));
                if (m != 3)
                    assert_true(bytes_eq(buf_bytes(&back), buf_bytes(&json)));
                assert_int_equal(json.len - back.len, m == 3 ? 4 : 0);
                buf_free(&json);
                buf_free(&back);
                buf_free(&value);
            }
}

static void broken_strings_are_refused_at_the_byte(void **state)
{
    (void)state;
    assert_refused(BYTES_LIT("\"ab"), "byte 0), in $: the string is not closed");
    assert_refused(BYTES_LIT("\"a\nb\""), "byte 2), in $: a control character");
    assert_refused(BYTES_LIT("\"a\0b\""), "byte 2), in $: a control character");
    assert_refused(BYTES_LIT("\"\\x41\""), "byte 1), in $: an unknown escape");
    assert_refused(BYTES_LIT("\"\\"), "byte 1), in $");
    assert_refused(BYTES_LIT("\"\\u12g4\""), "byte 1), in $: \\u without four hex digits");
    assert_refused(BYTES_LIT("\"\\u12"), "byte 1), in $: \\u without four hex digits");
    assert_refused(BYTES_LIT("\"\\ud800\""), "byte 1), in $: half a surrogate pair");
    assert_refused(BYTES_LIT("\"\\ud800\\u0041\""), "byte 1), in $: half a surrogate pair");
    assert_refused(BYTES_LIT("\"\\udc00\\ud800\""), "byte 1), in $: half a surrogate pair");
    assert_refused(BYTES_LIT("\"\\ud800"), "byte 1), in $: half a surrogate pair");
    assert_refused(BYTES_LIT("\"ab\xff\""), "byte 3), in $: a byte that is not UTF-8");
    assert_refused(BYTES_LIT("\"\xc0\x80\""), "not UTF-8");
    assert_refused(BYTES_LIT("\"\xed\xa0\x80\""), "not UTF-8");
    assert_refused(BYTES_LIT("\"\xf4\x90\x80\x80\""), "not UTF-8");
    assert_refused(BYTES_LIT("\"\xe3\x83"), "not UTF-8");
    assert_refused(BYTES_LIT("{\"\xff\":1}"), "byte 2), in $: a byte that is not UTF-8");
}

static void a_quoted_string_for_logs_never_fails(void **state)
{
    (void)state;
    buf_t out = {0};
    json_string_append(&out, BYTES_LIT("a\xff\n\xe3\x83"
                                       "\"日"));
    assert_string_equal(buf_cstr(&out), "\"a\xEF\xBF\xBD\\n\xEF\xBF\xBD\xEF\xBF\xBD\\\"日\"");
    buf_clear(&out);
    json_string_append(&out, BYTES_NONE);
    assert_string_equal(buf_cstr(&out), "\"\"");
    buf_free(&out);
}

/* -- structure ---------------------------------------------------------------------------------- */

static void broken_structure_is_refused_with_line_column_byte_and_path(void **state)
{
    (void)state;
    assert_refused(BYTES_NONE, "line 1, column 1 (byte 0), in $: the text ends");
    assert_refused(BYTES_LIT(" \n\n  "), "line 3, column 3 (byte 5), in $: the text ends");
    assert_refused(BYTES_LIT("{\n  \"日本\": [1, 2,,]\n}"),
                   "line 2, column 15 (byte 20), in $[\"日本\"][2]: this starts");
    assert_refused(BYTES_LIT("1 2"), "(byte 2), in $: more text follows");
    assert_refused(BYTES_LIT("[1]]"), "(byte 3), in $: more text follows");
    assert_refused(BYTES_LIT("[1}"), "(byte 2), in $: ',' or ']'");
    assert_refused(BYTES_LIT("{\"a\":1]"), "(byte 6), in $: ',' or '}'");
    assert_refused(BYTES_LIT("[1,]"), "(byte 3), in $[1]: this starts no value");
    assert_refused(BYTES_LIT("{\"a\":1,}"), "(byte 7), in $: a key");
    assert_refused(BYTES_LIT("{a:1}"), "(byte 1), in $: a key");
    assert_refused(BYTES_LIT("{\"a\" 1}"), "(byte 5), in $.a: ':'");
    assert_refused(BYTES_LIT("{\"a\":}"), "(byte 5), in $.a: this starts no value");
    assert_refused(BYTES_LIT("{\"a\""), "(byte 4), in $.a: ':'");
    assert_refused(BYTES_LIT("{\"detail\":{\"items\":[{},{\"price\":tru}]}}"),
                   "(byte 32), in $.detail.items[1].price: this starts");
    assert_refused(BYTES_LIT("\xEF\xBB\xBF{}"), "(byte 0), in $: a byte order mark");
    assert_refused(BYTES_LIT("[1/**/]"), "(byte 2), in $: ','");
    assert_refused(BYTES_LIT("'a'"), "this starts no value");
    assert_refused(BYTES_LIT("\0"), "this starts no value");
    assert_refused(BYTES_LIT("[\v1]"), "(byte 1), in $[0]");
}

static void a_long_path_keeps_its_near_end(void **state)
{
    (void)state;
    buf_t json = {0};
    error_t err;
    for (unsigned i = 0; i < 100; i++)
        buf_append_cstr(&json, "{\"level\":");
    buf_append_cstr(&json, "[?]");
    assert_true(refused(buf_bytes(&json), &err));
    assert_non_null(strstr(err.message, "in …"));
    assert_non_null(strstr(err.message, ".level.level[0]: this starts no value"));
    buf_free(&json);
}

static void depth_of(buf_t *json, unsigned levels)
{
    buf_clear(json);
    for (unsigned i = 0; i < levels; i++)
        buf_append_cstr(json, i % 2 ? "[" : "{\"a\":");
    buf_append_cstr(json, "0");
    for (unsigned i = levels; i-- > 0;)
        buf_append_byte(json, i % 2 ? ']' : '}');
}

static void a_thousand_levels_are_taken_and_one_more_is_not(void **state)
{
    (void)state;
    buf_t json = {0}, value = {0}, text = {0};
    error_t err;
    depth_of(&json, MP_DEPTH_MAX);
    assert_true(to_msgpack(buf_bytes(&json), &value, &err));
    assert_true(json_from_msgpack(buf_bytes(&value), JSON_COMPACT, &text, &err));
    assert_true(bytes_eq(buf_bytes(&text), buf_bytes(&json)));
    depth_of(&json, MP_DEPTH_MAX + 1);
    assert_true(refused(buf_bytes(&json), &err));
    assert_non_null(strstr(err.message, "it nests too deep"));
    buf_clear(&json);
    for (unsigned i = 0; i <= MP_DEPTH_MAX; i++)
        mp_put_array(&json, 1);
    mp_put_nil(&json);
    assert_false(json_from_msgpack(buf_bytes(&json), JSON_COMPACT, &text, &err));
    assert_non_null(strstr(err.message, "it nests too deep"));
    buf_free(&json);
    buf_free(&value);
    buf_free(&text);
}

static void the_callers_limits_hold(void **state)
{
    (void)state;
    const json_limits_t limits = {.max_bytes = 7, .max_depth = 2};
    buf_t out = {0};
    error_t err;
    assert_true(json_to_msgpack(BYTES_LIT("[[1,22]"), &(json_limits_t){.max_bytes = 8}, &out, &err) == false);
    assert_true(json_to_msgpack(BYTES_LIT("[[1,2]]"), &limits, &out, &err));
    assert_false(json_to_msgpack(BYTES_LIT("[[1,22]]"), &limits, &out, &err));
    assert_non_null(strstr(err.message, "8 bytes is over the limit of 7"));
    assert_string_equal(err.aws, "RequestTooLargeException");
    assert_false(json_to_msgpack(BYTES_LIT("[[[1]]]"), &limits, &out, &err));
    assert_non_null(strstr(err.message, "$[0][0]: it nests too deep"));
    buf_free(&out);
}

/* -- binary and extensions ---------------------------------------------------------------------- */

static void binary_and_extensions_have_their_own_objects(void **state)
{
    (void)state;
    assert_wire("{\"$binary\":\"aGk=\"}", BYTES_LIT("\xc4\x02hi"));
    assert_wire("[{\"a\": {\"$binary\": \"\"}}, 7]", BYTES_LIT("\x92\x81\xa1"
                                                               "a\xc4\x00\x07"));
    assert_wire("{\"$binary\":\"\\u0061Gk\\u003d\"}", BYTES_LIT("\xc4\x02hi"));
    assert_wire("{\"$ext\":-1,\"data\":\"AAAAAA==\"}", BYTES_LIT("\xd6\xff\x00\x00\x00\x00"));
    assert_wire("{\"$ext\":5,\"data\":\"\"}", BYTES_LIT("\xc7\x00\x05"));
    assert_text(BYTES_LIT("\x92\xc4\x02hi\xd6\xff\x00\x00\x00\x00"), JSON_COMPACT,
                "[{\"$binary\":\"aGk=\"},{\"$ext\":-1,\"data\":\"AAAAAA==\"}]");
    assert_text(BYTES_LIT("\x92\xc4\x02hi\xd6\xff\x00\x00\x00\x00"), JSON_PRETTY,
                "[\n  {\"$binary\": \"aGk=\"},\n  {\"$ext\": -1, \"data\": \"AAAAAA==\"}\n]");
}

static void an_object_that_only_resembles_them_stays_an_object(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"$binary\":\"aGk\"}",
        "{\"$binary\":5}",
        "{\"$binary\":\"aGk=\",\"b\":1}",
        "{\"$binary\":{\"base64\":\"aGk=\",\"subType\":\"00\"}}",
        "{\"$ext\":1,\"data\":\"MQ==\"}",
        "{\"$ext\":128,\"data\":\"aGk=\"}",
        "{\"$ext\":\"5\",\"data\":\"aGk=\"}",
        "{\"data\":\"aGk=\",\"$ext\":5}",
        "{\"$ext\":5,\"data\":\"a\"}",
        "{\"$ext\":5}",
        "{\"$\":\"aGk=\"}",
        "{\"\":\"$binary\"}",
        "{\"a\":\"\"}",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        assert_back(texts[i], texts[i]);
}

static void long_binary_is_folded_in_place(void **state)
{
    (void)state;
    buf_t value = {0}, json = {0}, again = {0};
    for (size_t len = 0; len < 70000; len = len * 3 + 1) {
        uint8_t *data = calloc(1, len + 1);
        assert_non_null(data);
        for (size_t i = 0; i < len; i++)
            data[i] = (uint8_t)(i * 7);
        buf_clear(&value);
        buf_clear(&json);
        mp_put_array(&value, 3);
        mp_put_bin(&value, bytes_from(data, len));
        mp_put_ext(&value, 9, bytes_from(data, len));
        mp_put_cstr(&value, "after");
        assert_true(json_from_msgpack(buf_bytes(&value), JSON_COMPACT, &json, NULL));
        assert_true(to_msgpack(buf_bytes(&json), &again, NULL));
        assert_true(bytes_eq(buf_bytes(&again), buf_bytes(&value)));
        free(data);
    }
    buf_free(&value);
    buf_free(&json);
    buf_free(&again);
}

/* -- msgpack to JSON ---------------------------------------------------------------------------- */

static void pretty_is_two_spaces_a_level(void **state)
{
    (void)state;
    buf_t value = {0};
    assert_true(to_msgpack(BYTES_LIT("{\"a\":[1,{\"b\":[]}],\"c\":{}}"), &value, NULL));
    assert_text(buf_bytes(&value), JSON_PRETTY,
                "{\n  \"a\": [\n    1,\n    {\n      \"b\": []\n    }\n  ],\n  \"c\": {}\n}");
    buf_free(&value);
}

static void indentation_stops_growing_so_that_depth_costs_no_square(void **state)
{
    (void)state;
    buf_t json = {0}, value = {0}, text = {0};
    depth_of(&json, MP_DEPTH_MAX);
    assert_true(to_msgpack(buf_bytes(&json), &value, NULL));
    assert_true(json_from_msgpack(buf_bytes(&value), JSON_PRETTY, &text, NULL));
    assert_true(text.len < (2 * JSON_INDENT_LEVELS_MAX + 10) * 2 * MP_DEPTH_MAX);
    assert_true(to_msgpack(buf_bytes(&text), &json, NULL));
    assert_true(bytes_eq(buf_bytes(&json), buf_bytes(&value)));
    buf_free(&json);
    buf_free(&value);
    buf_free(&text);
}

static void what_json_cannot_say_is_refused_by_name(void **state)
{
    (void)state;
    const struct {
        bytes_t value;
        const char *wanted;
    } cases[] = {
        {BYTES_LIT("\x81\xa1"
                   "a\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"),
         "byte 3, in $.a: NaN"},
        {BYTES_LIT("\x92\x01\xca\xff\x80\x00\x00"), "byte 2, in $[1]: an infinity"},
        {BYTES_LIT("\x81\x01\x02"), "byte 1, in $: a map key that is a number"},
        {BYTES_LIT("\x81\xa1"
                   "a\x82\xa1"
                   "b\x01\xc0\x02"),
         "byte 7, in $.a: a map key that is nil"},
        {BYTES_LIT("\x81\x90\x02"), "a map key that is an array"},
        {BYTES_LIT("\x81\x80\x02"), "a map key that is a map"},
        {BYTES_LIT("\x81\xc4\x00\x02"), "a map key that is binary"},
        {BYTES_LIT("\x81\xd4\x05x\x02"), "a map key that is an extension"},
        {BYTES_LIT("\x81\xc2\x02"), "a map key that is a boolean"},
        {BYTES_LIT("\x91\xa2"
                   "a\xff"),
         "byte 3, in $[0]: a string is not UTF-8"},
        {BYTES_LIT("\x81\xa2"
                   "a\xff\x01"),
         "byte 3, in $: a string is not UTF-8"},
        {BYTES_LIT("\xd4\x01x"), "byte 0, in $: an extension 1 that holds no JSON number"},
        {BYTES_LIT("\xc7\x03\x01"
                   "1.5"),
         ""},
        {BYTES_LIT("\xd5\x01"
                   "1 "),
         "holds no JSON number"},
        {BYTES_LIT("\x92\x01"), "byte 0, in $: the input ends"},
        {BYTES_LIT("\x92\x91\x01"), "byte 3, in $[1]: a value is missing"},
        {BYTES_LIT("\x01\x02"), "byte 1, in $: more bytes"},
        {BYTES_LIT("\x91\xc1"), "byte 1, in $[0]: byte 0xc1"},
        {BYTES_NONE, "byte 0, in $: a value is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t out = {0};
        error_t err = {0};
        bool good = json_from_msgpack(cases[i].value, JSON_COMPACT, &out, &err);
        assert_int_equal(good, cases[i].wanted[0] == '\0');
        if (!strstr(err.message, cases[i].wanted))
            fail_msg("case %zu says: %s", i, err.message);
        if (!good)
            assert_int_equal(out.len, 0);
        buf_free(&out);
    }
}

static void a_float32_is_written_with_all_that_it_holds(void **state)
{
    (void)state;
    assert_text(BYTES_LIT("\xca\x3d\xcc\xcc\xcd"), JSON_COMPACT, "0.10000000149011612");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_has_the_shortest_msgpack),
        cmocka_unit_test(containers_of_any_size_get_the_head_that_fits),
        cmocka_unit_test(key_order_and_duplicate_keys_survive),
        cmocka_unit_test(what_stands_in_the_buffer_already_stays),
        cmocka_unit_test(escapes_become_what_they_stand_for),
        cmocka_unit_test(strings_are_escaped_no_more_than_they_must_be),
        cmocka_unit_test(a_string_of_any_length_and_alignment_is_read_whole),
        cmocka_unit_test(broken_strings_are_refused_at_the_byte),
        cmocka_unit_test(a_quoted_string_for_logs_never_fails),
        cmocka_unit_test(broken_structure_is_refused_with_line_column_byte_and_path),
        cmocka_unit_test(a_long_path_keeps_its_near_end),
        cmocka_unit_test(a_thousand_levels_are_taken_and_one_more_is_not),
        cmocka_unit_test(the_callers_limits_hold),
        cmocka_unit_test(binary_and_extensions_have_their_own_objects),
        cmocka_unit_test(an_object_that_only_resembles_them_stays_an_object),
        cmocka_unit_test(long_binary_is_folded_in_place),
        cmocka_unit_test(pretty_is_two_spaces_a_level),
        cmocka_unit_test(indentation_stops_growing_so_that_depth_costs_no_square),
        cmocka_unit_test(what_json_cannot_say_is_refused_by_name),
        cmocka_unit_test(a_float32_is_written_with_all_that_it_holds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
