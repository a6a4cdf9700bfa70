/* test_msgpack.c: the msgpack writer and the bounded in-place reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "proto/msgpack.h"

#define HEX(s) BYTES_LIT(s)

static void assert_bytes(const buf_t *b, bytes_t wanted)
{
    assert_int_equal(b->len, wanted.len);
    assert_memory_equal(b->data, wanted.data, wanted.len);
}

static void integers_take_the_shortest_form(void **state)
{
    (void)state;
    const struct {
        int64_t value;
        bytes_t wire;
    } cases[] = {
        {0, HEX("\x00")},
        {127, HEX("\x7f")},
        {128, HEX("\xcc\x80")},
        {255, HEX("\xcc\xff")},
        {256, HEX("\xcd\x01\x00")},
        {65536, HEX("\xce\x00\x01\x00\x00")},
        {INT64_MAX, HEX("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff")},
        {-1, HEX("\xff")},
        {-32, HEX("\xe0")},
        {-33, HEX("\xd0\xdf")},
        {-129, HEX("\xd1\xff\x7f")},
        {-32769, HEX("\xd2\xff\xff\x7f\xff")},
        {INT64_MIN, HEX("\xd3\x80\x00\x00\x00\x00\x00\x00\x00")},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t b = {0};
        int64_t back;
        mp_put_i64(&b, cases[i].value);
        assert_bytes(&b, cases[i].wire);
        mp_reader_t r = mp_reader(buf_bytes(&b));
        assert_true(mp_get_i64(&r, &back));
        assert_int_equal(back, cases[i].value);
        assert_int_equal(mp_left(&r), 0);
        buf_free(&b);
    }
}

static void text_takes_the_shortest_head_and_comes_back(void **state)
{
    (void)state;
    static const struct {
        size_t len;
        bytes_t head;
    } cases[] = {
        {0, HEX("\xa0")},
        {31, HEX("\xbf")},
        {32, HEX("\xd9\x20")},
        {255, HEX("\xd9\xff")},
        {256, HEX("\xda\x01\x00")},
        {65535, HEX("\xda\xff\xff")},
        {65536, HEX("\xdb\x00\x01\x00\x00")},
    };
    static uint8_t text[65536];
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t b = {0};
        bytes_t back;
        memset(text, 'a', sizeof text);
        mp_put_str(&b, bytes_from(text, cases[i].len));
        assert_int_equal(b.len, cases[i].head.len + cases[i].len);
        assert_memory_equal(b.data, cases[i].head.data, cases[i].head.len);
        mp_reader_t r = mp_reader(buf_bytes(&b));
        assert_true(mp_get_str(&r, &back) && bytes_eq(back, bytes_from(text, cases[i].len)));
        buf_free(&b);
    }
}

static void a_valid_value_is_taken_out_of_what_follows_it(void **state)
{
    (void)state;
    mp_reader_t r = mp_reader(HEX("\x81\xa1k\x92\x01\xc0\x2a"));
    bytes_t value;
    uint64_t next;
    assert_true(mp_get_valid(&r, &value, NULL));
    assert_int_equal(value.len, 6);
    assert_true(mp_get_u64(&r, &next) && next == 42);
    error_t err;
    mp_reader_t bad = mp_reader(HEX("\x01\x81\xa1k\xa1\xff"));
    assert_true(mp_get_u64(&bad, &next));
    assert_false(mp_get_valid(&bad, &value, &err));
    assert_non_null(strstr(err.message, "byte 4: a string is not UTF-8"));
    assert_non_null(bad.error);
}

static void every_type_comes_back_as_it_went(void **state)
{
    (void)state;
    buf_t b = {0};
    mp_token_t t;
    mp_put_nil(&b);
    mp_put_bool(&b, true);
    mp_put_u64(&b, UINT64_MAX);
    mp_put_double(&b, -0.0);
    mp_put_cstr(&b, "manga");
    mp_put_bin(&b, HEX("\x00\xff"));
    mp_put_ext(&b, -7, HEX("abc"));
    mp_put_array(&b, 0);
    mp_put_map(&b, 0);
    mp_reader_t r = mp_reader(buf_bytes(&b));
    assert_true(mp_next(&r, &t) && t.type == MP_NIL);
    assert_true(mp_next(&r, &t) && t.type == MP_BOOL && t.boolean);
    assert_true(mp_next(&r, &t) && t.type == MP_UINT && t.u64 == UINT64_MAX);
    assert_true(mp_next(&r, &t) && t.type == MP_FLOAT && t.f64 == 0 && signbit(t.f64));
    assert_true(mp_next(&r, &t) && t.type == MP_STR && bytes_eq_cstr(t.bytes, "manga"));
    assert_true(mp_next(&r, &t) && t.type == MP_BIN && bytes_eq(t.bytes, HEX("\x00\xff")));
    assert_true(mp_next(&r, &t) && t.type == MP_EXT && t.ext_type == -7 && bytes_eq_cstr(t.bytes, "abc"));
    assert_true(mp_next(&r, &t) && t.type == MP_ARRAY && t.count == 0);
    assert_true(mp_next(&r, &t) && t.type == MP_MAP && t.count == 0);
    assert_false(mp_next(&r, &t));
    assert_null(r.error);
    buf_free(&b);
}

static void forms_that_we_never_write_are_read_all_the_same(void **state)
{
    (void)state;
    mp_token_t t;
    mp_reader_t r = mp_reader(HEX("\xd3\x00\x00\x00\x00\x00\x00\x00\x05"
                                  "\xca\x3f\xc0\x00\x00"
                                  "\xdb\x00\x00\x00\x01x"
                                  "\xc9\x00\x00\x00\x01\x05y"
                                  "\xc6\x00\x00\x00\x00"));
    assert_true(mp_next(&r, &t) && t.type == MP_UINT && t.u64 == 5);
    assert_true(mp_next(&r, &t) && t.type == MP_FLOAT && t.f64 == 1.5);
    assert_true(mp_next(&r, &t) && t.type == MP_STR && bytes_eq_cstr(t.bytes, "x"));
    assert_true(mp_next(&r, &t) && t.type == MP_EXT && t.ext_type == 5 && bytes_eq_cstr(t.bytes, "y"));
    assert_true(mp_next(&r, &t) && t.type == MP_BIN && t.bytes.len == 0);
}

/* One value of every head form there is, with all of its payload. */
static const bytes_t whole_values[] = {
    BYTES_LIT("\x05"),
    BYTES_LIT("\xe5"),
    BYTES_LIT("\xa2"
              "ab"),
    BYTES_LIT("\x91\x01"),
    BYTES_LIT("\x81\x01\x02"),
    BYTES_LIT("\xc0"),
    BYTES_LIT("\xc3"),
    BYTES_LIT("\xc4\x01z"),
    BYTES_LIT("\xc5\x00\x01z"),
    BYTES_LIT("\xc6\x00\x00\x00\x01z"),
    BYTES_LIT("\xc7\x01\x05z"),
    BYTES_LIT("\xc8\x00\x01\x05z"),
    BYTES_LIT("\xc9\x00\x00\x00\x01\x05z"),
    BYTES_LIT("\xca\x00\x00\x00\x00"),
    BYTES_LIT("\xcb\x00\x00\x00\x00\x00\x00\x00\x00"),
    BYTES_LIT("\xcc\x01"),
    BYTES_LIT("\xcd\x01\x01"),
    BYTES_LIT("\xce\x01\x01\x01\x01"),
    BYTES_LIT("\xcf\x01\x01\x01\x01\x01\x01\x01\x01"),
    BYTES_LIT("\xd0\x81"),
    BYTES_LIT("\xd1\x81\x01"),
    BYTES_LIT("\xd2\x81\x01\x01\x01"),
    BYTES_LIT("\xd3\x81\x01\x01\x01\x01\x01\x01\x01"),
    BYTES_LIT("\xd4\x05"
              "1"),
    BYTES_LIT("\xd5\x05"
              "12"),
    BYTES_LIT("\xd6\x05"
              "1234"),
    BYTES_LIT("\xd7\x05"
              "12345678"),
    BYTES_LIT("\xd8\x05"
              "1234567890123456"),
    BYTES_LIT("\xd9\x01z"),
    BYTES_LIT("\xda\x00\x01z"),
    BYTES_LIT("\xdb\x00\x00\x00\x01z"),
    BYTES_LIT("\xdc\x00\x01\x01"),
    BYTES_LIT("\xdd\x00\x00\x00\x01\x01"),
    BYTES_LIT("\xde\x00\x01\x01\x02"),
    BYTES_LIT("\xdf\x00\x00\x00\x01\x01\x02"),
};

static void a_value_cut_short_anywhere_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(whole_values); i++) {
        bytes_t whole = whole_values[i];
        mp_reader_t r = mp_reader(whole);
        assert_true(mp_skip(&r));
        assert_int_equal(mp_left(&r), 0);
        assert_true(mp_validate(whole, NULL));
        for (size_t cut = 0; cut < whole.len; cut++) {
            uint8_t *exact = malloc(cut ? cut : 1); /* a sanitizer sees a read past its end */
            assert_non_null(exact);
            memcpy(exact, whole.data, cut);
            r = mp_reader(bytes_from(exact, cut));
            assert_false(mp_skip(&r));
            assert_non_null(r.error);
            assert_false(mp_validate(bytes_from(exact, cut), NULL));
            free(exact);
        }
    }
}

static void a_count_that_the_bytes_left_cannot_hold_is_not_believed(void **state)
{
    (void)state;
    const bytes_t lies[] = {
        HEX("\xdd\xff\x00\x00\x00"),
        HEX("\xdf\xff\xff\xff\xff\x01"),
        HEX("\xdb\xff\xff\xff\xff"
            "ab"),
        HEX("\xc6\xff\xff\xff\xff"),
        HEX("\xc9\xff\xff\xff\xff\x01"),
        HEX("\xdc\x00\x03\x01\x02"),
        HEX("\x82\x01\x02\x03"),
    };
    for (size_t i = 0; i < ARRAY_LEN(lies); i++) {
        mp_token_t t;
        mp_reader_t r = mp_reader(lies[i]);
        assert_false(mp_next(&r, &t));
        assert_non_null(r.error);
        assert_int_equal(mp_offset(&r), 0);
    }
}

static void lies_that_only_add_up_are_found_by_skipping(void **state)
{
    (void)state;
    /* Each array alone would fit into the bytes that follow it; the outer one's second value is missing. */
    mp_reader_t r = mp_reader(HEX("\x92\x93\x01\x02\x92\x03\x04"));
    assert_false(mp_skip(&r));
    assert_non_null(r.error);
}

static void the_first_error_sticks(void **state)
{
    (void)state;
    uint64_t v = 7;
    bytes_t s;
    mp_reader_t r = mp_reader(HEX("\x01\xa1x\x02"));
    assert_true(mp_get_u64(&r, &v));
    assert_false(mp_get_u64(&r, &v));
    const char *first = r.error;
    assert_non_null(first);
    assert_int_equal(mp_offset(&r), 1);
    assert_false(mp_get_str(&r, &s));
    assert_false(mp_skip(&r));
    assert_ptr_equal(r.error, first);
    assert_int_equal(mp_offset(&r), 1);
    assert_int_equal(v, 1);
}

static void a_missing_value_is_an_error_but_a_clean_end_is_not(void **state)
{
    (void)state;
    mp_token_t t;
    mp_type_t type;
    uint64_t v;
    mp_reader_t r = mp_reader(BYTES_NONE);
    assert_false(mp_next(&r, &t));
    assert_false(mp_peek(&r, &type));
    assert_null(r.error);
    assert_false(mp_get_u64(&r, &v));
    assert_non_null(r.error);
}

static bool u64_of(bytes_t wire, uint64_t *v)
{
    mp_reader_t r = mp_reader(wire);
    return mp_get_u64(&r, v);
}

static bool i64_of(bytes_t wire, int64_t *v)
{
    mp_reader_t r = mp_reader(wire);
    return mp_get_i64(&r, v);
}

static bool u32_of(bytes_t wire, uint32_t *v)
{
    mp_reader_t r = mp_reader(wire);
    return mp_get_u32(&r, v);
}

static bool double_of(bytes_t wire, double *v)
{
    mp_reader_t r = mp_reader(wire);
    return mp_get_double(&r, v);
}

static void typed_reads_hold_numbers_to_their_range(void **state)
{
    (void)state;
    uint64_t u;
    int64_t i;
    uint32_t w;
    assert_false(u64_of(HEX("\xff"), &u));
    assert_false(u64_of(HEX("\xca\x00\x00\x00\x00"), &u));
    assert_false(i64_of(HEX("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"), &i));
    assert_true(i64_of(HEX("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"), &i) && i == INT64_MAX);
    assert_true(u32_of(HEX("\xce\xff\xff\xff\xff"), &w) && w == UINT32_MAX);
    assert_false(u32_of(HEX("\xcf\x00\x00\x00\x01\x00\x00\x00\x00"), &w));
}

static void an_integer_reads_as_a_double_only_where_exact(void **state)
{
    (void)state;
    double d;
    assert_true(double_of(HEX("\x05"), &d) && d == 5);
    assert_true(double_of(HEX("\xd0\x80"), &d) && d == -128);
    assert_true(double_of(HEX("\xcf\x00\x20\x00\x00\x00\x00\x00\x00"), &d) && d == 0x1p53);
    assert_false(double_of(HEX("\xcf\x00\x20\x00\x00\x00\x00\x00\x01"), &d));
    assert_false(double_of(HEX("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), &d));
    assert_true(double_of(HEX("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"), &d) && d == -0x1p63);
    assert_false(double_of(HEX("\xa1"
                               "5"),
                           &d));
}

static void a_container_begun_without_a_count_gets_it_at_its_end(void **state)
{
    (void)state;
    buf_t b = {0};
    size_t map = mp_map_begin(&b);
    mp_put_cstr(&b, "a");
    size_t array = mp_array_begin(&b);
    mp_put_nil(&b);
    mp_array_end(&b, array, 1);
    mp_map_end(&b, map, 1);
    assert_bytes(&b, HEX("\xdf\x00\x00\x00\x01\xa1"
                         "a\xdd\x00\x00\x00\x01\xc0"));
    assert_true(mp_validate(buf_bytes(&b), NULL));
    buf_free(&b);
}

static void a_failed_buffer_is_left_alone(void **state)
{
    (void)state;
    buf_t b = {.failed = true};
    size_t at = mp_map_begin(&b);
    mp_put_cstr(&b, "lost");
    mp_map_end(&b, at, 1);
    assert_int_equal(b.len, 0);
    assert_true(b.failed);
}

static void a_raw_value_is_the_slice_of_its_bytes(void **state)
{
    (void)state;
    bytes_t raw;
    mp_reader_t r = mp_reader(HEX("\x92\x81\xa1k\x93\x01\x02\x03\xc0\x07"));
    uint32_t count;
    assert_true(mp_get_array(&r, &count) && count == 2);
    assert_true(mp_get_raw(&r, &raw));
    assert_true(bytes_eq(raw, HEX("\x81\xa1k\x93\x01\x02\x03")));
    assert_true(mp_get_nil(&r));
    assert_int_equal(mp_left(&r), 1);
}

static void of_duplicate_keys_the_last_is_found(void **state)
{
    (void)state;
    uint64_t v;
    bytes_t s;
    bytes_t map = HEX("\x84\xa1"
                      "a\x01\xa1"
                      "b\xa1x\xa1"
                      "a\x02\x93\x01\x02\x03\x09");
    assert_true(mp_map_u64(map, "a", &v) && v == 2);
    assert_true(mp_map_str(map, "b", &s) && bytes_eq_cstr(s, "x"));
    assert_false(mp_map_str(map, "a", &s));
    assert_false(mp_map_u64(map, "c", &v));
}

static void a_key_is_not_found_in_what_is_no_map_or_is_broken_before_it(void **state)
{
    (void)state;
    bytes_t value;
    assert_false(mp_map_find(HEX("\x91\x01"), "a", &value));
    assert_false(mp_map_find(BYTES_NONE, "a", &value));
    assert_false(mp_map_find(HEX("\x82\xa1"
                                 "b\xc1\xa1"
                                 "a\x01"),
                             "a", &value));
    assert_true(mp_map_find(HEX("\x82\xa1"
                                "a\x01\xa1"
                                "b\xc1"),
                            "a", &value));
    assert_true(bytes_eq(value, HEX("\x01")));
}

static void typed_finds_convert_what_they_find(void **state)
{
    (void)state;
    bytes_t map = HEX("\x83\xa1"
                      "i\xff\xa1"
                      "d\xca\x3f\xc0\x00\x00\xa1t\xc3");
    int64_t i;
    double d;
    bool t;
    assert_true(mp_map_i64(map, "i", &i) && i == -1);
    assert_true(mp_map_double(map, "d", &d) && d == 1.5);
    assert_true(mp_map_bool(map, "t", &t) && t);
    assert_false(mp_map_bool(map, "d", &t));
}

static bytes_t nested(uint8_t *to, unsigned levels, uint8_t innermost)
{
    memset(to, 0x91, levels);
    to[levels] = innermost;
    return bytes_from(to, levels + 1);
}

static void a_thousand_levels_are_valid_and_one_more_is_not(void **state)
{
    (void)state;
    static uint8_t deep[MP_DEPTH_MAX + 2];
    error_t err;
    assert_true(mp_validate(nested(deep, MP_DEPTH_MAX, 0xC0), &err));
    assert_true(mp_validate(nested(deep, MP_DEPTH_MAX - 1, 0x90), &err));
    assert_false(mp_validate(nested(deep, MP_DEPTH_MAX, 0x90), &err));
    assert_non_null(strstr(err.message, "byte 1000"));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
}

static void skipping_does_not_mind_how_deep_a_value_is(void **state)
{
    (void)state;
    enum { LEVELS = 1000000 };
    uint8_t *deep = malloc(LEVELS + 1);
    assert_non_null(deep);
    mp_reader_t r = mp_reader(nested(deep, LEVELS, 0xC0));
    assert_true(mp_skip(&r));
    assert_int_equal(mp_left(&r), 0);
    free(deep);
}

static void validation_names_what_is_wrong_and_where(void **state)
{
    (void)state;
    const struct {
        bytes_t input;
        const char *wanted;
    } cases[] = {
        {HEX("\x92\x01\xc1"), "byte 2: byte 0xc1"},
        {HEX("\x91\xa3"
             "a\xff"
             "b"),
         "byte 3: a string is not UTF-8"},
        {HEX("\x01\x02"), "byte 1: more bytes follow"},
        {HEX("\x92\x91\x01"), "byte 3: a value is missing"},
        {HEX("\x91\xcd\x01"), "byte 1: the input ends"},
        {BYTES_NONE, "byte 0: a value is missing"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        error_t err;
        assert_false(mp_validate(cases[i].input, &err));
        if (!strstr(err.message, cases[i].wanted))
            fail_msg("case %zu says: %s", i, err.message);
    }
}

static void map_keys_of_any_type_are_valid_msgpack(void **state)
{
    (void)state;
    assert_true(mp_validate(HEX("\x82\x92\x01\x02\x03\x81\xc0\xc0\x04"), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_take_the_shortest_form),
        cmocka_unit_test(text_takes_the_shortest_head_and_comes_back),
        cmocka_unit_test(a_valid_value_is_taken_out_of_what_follows_it),
        cmocka_unit_test(every_type_comes_back_as_it_went),
        cmocka_unit_test(forms_that_we_never_write_are_read_all_the_same),
        cmocka_unit_test(a_value_cut_short_anywhere_is_refused),
        cmocka_unit_test(a_count_that_the_bytes_left_cannot_hold_is_not_believed),
        cmocka_unit_test(lies_that_only_add_up_are_found_by_skipping),
        cmocka_unit_test(the_first_error_sticks),
        cmocka_unit_test(a_missing_value_is_an_error_but_a_clean_end_is_not),
        cmocka_unit_test(typed_reads_hold_numbers_to_their_range),
        cmocka_unit_test(an_integer_reads_as_a_double_only_where_exact),
        cmocka_unit_test(a_container_begun_without_a_count_gets_it_at_its_end),
        cmocka_unit_test(a_failed_buffer_is_left_alone),
        cmocka_unit_test(a_raw_value_is_the_slice_of_its_bytes),
        cmocka_unit_test(of_duplicate_keys_the_last_is_found),
        cmocka_unit_test(a_key_is_not_found_in_what_is_no_map_or_is_broken_before_it),
        cmocka_unit_test(typed_finds_convert_what_they_find),
        cmocka_unit_test(a_thousand_levels_are_valid_and_one_more_is_not),
        cmocka_unit_test(skipping_does_not_mind_how_deep_a_value_is),
        cmocka_unit_test(validation_names_what_is_wrong_and_where),
        cmocka_unit_test(map_keys_of_any_type_are_valid_msgpack),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
