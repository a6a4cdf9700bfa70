/* test_attrs.c: the attribute map beside a message. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "proto/attrs.h"
#include "proto/msgpack.h"

static void every_type_is_found_by_its_name(void **state)
{
    (void)state;
    buf_t out = {0};
    error_t err;
    attrs_writer_t w = attrs_begin(&out);
    attrs_put_str(&w, ATTR_TRACEPARENT, BYTES_LIT("00-aa-bb-01"));
    attrs_put_int(&w, ATTR_SENT_TIMESTAMP, INT64_MIN);
    attrs_put_bool(&w, "urgent", true);
    attrs_put_bin(&w, "blob", BYTES_LIT("\xff\x00"));
    assert_true(attrs_end(&w, &err));
    bytes_t map = buf_bytes(&out);
    assert_true(attrs_check(map, &err));
    assert_int_equal(attrs_count(map), 4);

    bytes_t text;
    int64_t number;
    bool flag;
    assert_true(attrs_str(map, ATTR_TRACEPARENT, &text) && bytes_eq_cstr(text, "00-aa-bb-01"));
    assert_true(attrs_int(map, ATTR_SENT_TIMESTAMP, &number) && number == INT64_MIN);
    assert_true(attrs_bool(map, "urgent", &flag) && flag);
    assert_true(attrs_bin(map, "blob", &text) && bytes_eq(text, BYTES_LIT("\xff\x00")));
    assert_false(attrs_str(map, "blob", &text));
    assert_false(attrs_int(map, "urgent", &number));
    assert_false(attrs_str(map, "traceparen", &text));
    buf_free(&out);
}

static void the_empty_slice_is_the_empty_map(void **state)
{
    (void)state;
    attr_value_t value;
    bytes_t name;
    size_t at = 0;
    assert_true(attrs_check(BYTES_NONE, NULL));
    assert_true(attrs_check(BYTES_LIT("\x80"), NULL));
    assert_int_equal(attrs_count(BYTES_NONE), 0);
    assert_false(attrs_find(BYTES_NONE, "a", &value));
    assert_false(attrs_next(BYTES_LIT("\x80"), &at, &name, &value));
}

static void assert_refused(bytes_t map, const char *wanted)
{
    error_t err = {0};
    assert_false(attrs_check(map, &err));
    assert_string_equal(err.message, wanted);
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    assert_refused(BYTES_LIT("\x90"), "attributes: expected a map");
    assert_refused(BYTES_LIT("\x80\xc0"), "attributes: 1 bytes behind their end");
    assert_refused(BYTES_LIT("\x81\xa0\x01"), "attribute \"\": a name has 1 to 256 bytes");
    assert_refused(BYTES_LIT("\x81\xa1\xff\x01"), "attribute \"?\": its name is not UTF-8");
    assert_refused(BYTES_LIT("\x81\xa1k\xa1\xff"), "attribute \"k\": its value is not UTF-8");
    assert_refused(BYTES_LIT("\x82\xa1k\x01\xa1k\x02"), "attribute \"k\": stands twice");
    assert_refused(BYTES_LIT("\x81\xa1k\xc0"),
                   "attribute \"k\": expected a text name and a text, integer, boolean or binary value");
    assert_refused(BYTES_LIT("\x81\xa1k\x90"),
                   "attribute \"k\": expected a text name and a text, integer, boolean or binary value");
    assert_refused(BYTES_LIT("\x81\xa1k\xcf\xff\xff\xff\xff\xff\xff\xff\xff"),
                   "attribute \"k\": expected a text name and a text, integer, boolean or binary value");
    assert_refused(BYTES_LIT("\xdf\xff\xff\xff\xff"), "attributes: expected a map");
}

/* A map of `count` pairs. */
static bool write_many(buf_t *out, int count, error_t *err)
{
    attrs_writer_t w = attrs_begin(out);
    for (int i = 0; i < count; i++) {
        char name[16];
        snprintf(name, sizeof name, "name%d", i);
        attrs_put_int(&w, name, i);
    }
    return attrs_end(&w, err);
}

static void sixty_four_are_allowed_and_no_more(void **state)
{
    (void)state;
    buf_t out = {0};
    error_t err;
    assert_true(write_many(&out, ATTRS_MAX, &err));
    assert_true(attrs_check(buf_bytes(&out), &err));
    buf_clear(&out);
    buf_append_cstr(&out, "before");
    assert_false(write_many(&out, ATTRS_MAX + 1, &err));
    assert_true(bytes_eq_cstr(buf_bytes(&out), "before"));
    buf_free(&out);
}

static void the_sizes_of_names_values_and_the_whole_are_bounded(void **state)
{
    (void)state;
    buf_t big = {0};
    assert_true(buf_reserve(&big, ATTRS_VALUE_MAX_BYTES + 2));
    memset(big.data, 'a', ATTRS_VALUE_MAX_BYTES + 2);
    for (size_t len = ATTRS_VALUE_MAX_BYTES - 100; len <= ATTRS_VALUE_MAX_BYTES + 1; len += 101) {
        buf_t out = {0};
        attrs_writer_t w = attrs_begin(&out);
        attrs_put_str(&w, "k", bytes_from(big.data, len));
        assert_int_equal(attrs_end(&w, NULL), len < ATTRS_VALUE_MAX_BYTES);
        buf_free(&out);
    }
    big.data[ATTRS_NAME_MAX_BYTES + 1] = 0;
    buf_t out = {0};
    attrs_writer_t w = attrs_begin(&out);
    attrs_put_int(&w, (const char *)big.data, 1);
    assert_false(attrs_end(&w, NULL));
    assert_int_equal(out.len, 0);
    buf_free(&out);
    buf_free(&big);
}

static void a_name_put_twice_is_refused(void **state)
{
    (void)state;
    buf_t out = {0};
    error_t err;
    attrs_writer_t w = attrs_begin(&out);
    attrs_put_int(&w, "k", 1);
    attrs_put_bool(&w, "k", true);
    assert_false(attrs_end(&w, &err));
    assert_string_equal(err.message, "attributes: a name stands twice");
    buf_free(&out);
}

static void what_overrides_wins_and_the_rest_stays(void **state)
{
    (void)state;
    bytes_t base = BYTES_LIT("\x82\xa1"
                             "a\x01\xa1"
                             "b\x02");
    bytes_t more = BYTES_LIT("\x82\xa1"
                             "b\xc3\xa1"
                             "c\x03");
    buf_t out = {0};
    error_t err;
    int64_t number;
    bool flag;
    assert_true(attrs_merge(&out, base, more, &err));
    bytes_t map = buf_bytes(&out);
    assert_true(attrs_check(map, &err));
    assert_int_equal(attrs_count(map), 3);
    assert_true(attrs_int(map, "a", &number) && number == 1);
    assert_true(attrs_bool(map, "b", &flag) && flag);
    assert_true(attrs_int(map, "c", &number) && number == 3);
    buf_clear(&out);
    assert_true(attrs_merge(&out, BYTES_NONE, BYTES_NONE, &err));
    assert_int_equal(attrs_count(buf_bytes(&out)), 0);
    assert_false(attrs_merge(&out, BYTES_LIT("\xc0"), more, &err));
    buf_free(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_type_is_found_by_its_name),
        cmocka_unit_test(the_empty_slice_is_the_empty_map),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(sixty_four_are_allowed_and_no_more),
        cmocka_unit_test(the_sizes_of_names_values_and_the_whole_are_bounded),
        cmocka_unit_test(a_name_put_twice_is_refused),
        cmocka_unit_test(what_overrides_wins_and_the_rest_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
