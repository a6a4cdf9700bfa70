/* What the codec promises of any layout: evolution, limits, and refusals that name what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/fields.h"
#include "proto/msgpack.h"

#define OLD_ITEM(F, L)                                                                                                 \
    F(U64, n, "number")                                                                                                \
    F(BODY, body, "body")
#define NEW_ITEM(F, L)                                                                                                 \
    OLD_ITEM(F, L)                                                                                                     \
    F(STR, added, "added later")
#define OLD_ROWS(F, L)                                                                                                 \
    F(U64, u, "unsigned")                                                                                              \
    F(I64, i, "signed")                                                                                                \
    F(BOOL, b, "boolean")                                                                                              \
    F(STR, s, "text")                                                                                                  \
    F(BIN, x, "bytes")                                                                                                 \
    F(MAP, m, "map")                                                                                                   \
    L(item, items, "list")                                                                                             \
    F(BODY, body, "body")
#define NEW_ROWS(F, L)                                                                                                 \
    OLD_ROWS(F, L)                                                                                                     \
    F(I64, later, "added later")                                                                                       \
    F(MAP, later_map, "added later")

#define OLD_LIST(entry, member, text) FIELDS_MEMBER_LIST(old_##entry##_t, entry, member, text)
#define NEW_LIST(entry, member, text) FIELDS_MEMBER_LIST(new_##entry##_t, entry, member, text)
typedef struct {
    OLD_ITEM(FIELDS_MEMBER, OLD_LIST)
} old_item_t;
typedef struct {
    NEW_ITEM(FIELDS_MEMBER, NEW_LIST)
} new_item_t;
typedef struct {
    OLD_ROWS(FIELDS_MEMBER, OLD_LIST)
} old_t;
typedef struct {
    NEW_ROWS(FIELDS_MEMBER, NEW_LIST)
} new_t;

#define OLD_ROW_LIST(entry, member, text) FIELDS_ROW_LIST(old_##entry##_layout, member, text)
#define NEW_ROW_LIST(entry, member, text) FIELDS_ROW_LIST(new_##entry##_layout, member, text)
FIELDS_LAYOUT(old_item_layout, old_item_t, 0, "item", "", OLD_ITEM, OLD_ROW_LIST)
FIELDS_LAYOUT(new_item_layout, new_item_t, 0, "item", "", NEW_ITEM, NEW_ROW_LIST)
FIELDS_LAYOUT(old_layout, old_t, 5, "THING", "", OLD_ROWS, OLD_ROW_LIST)
FIELDS_LAYOUT(new_layout, new_t, 5, "THING", "", NEW_ROWS, NEW_ROW_LIST)

static int out_free(void **state)
{
    buf_free(*state);
    return 0;
}

static int out_new(void **state)
{
    static buf_t out;
    *state = &out;
    return 0;
}

static void an_older_reader_skips_what_a_newer_writer_added(void **state)
{
    buf_t *out = *state;
    static new_t given;
    static old_t got;
    given =
        (new_t){.u = 1, .s = BYTES_LIT("text"), .body = BYTES_LIT("whole"), .later = 9, .later_map = BYTES_LIT("\x80")};
    given.items.count = 2;
    given.items.items[0] = (new_item_t){.n = 10, .body = BYTES_LIT("one"), .added = BYTES_LIT("new")};
    given.items.items[1] = (new_item_t){.n = 20, .body = BYTES_LIT("two")};
    fields_encode(out, new_layout(), true, 3, &given);
    assert_true(fields_decode(buf_bytes(out), old_layout(), true, &got, NULL));
    assert_int_equal(got.u, 1);
    assert_int_equal(got.items.count, 2);
    assert_int_equal(got.items.items[1].n, 20);
    assert_true(bytes_eq_cstr(got.items.items[0].body, "one"));
    assert_true(bytes_eq_cstr(got.items.items[1].body, "two"));
    assert_true(bytes_eq_cstr(got.body, "whole"));
}

static void a_newer_reader_finds_zero_where_an_older_writer_had_nothing(void **state)
{
    buf_t *out = *state;
    static old_t given;
    static new_t got;
    given = (old_t){.i = -7, .body = BYTES_LIT("whole")};
    given.items.count = 1;
    given.items.items[0] = (old_item_t){.n = 10, .body = BYTES_LIT("one")};
    memset(&got, 0xA5, sizeof got);
    fields_encode(out, old_layout(), false, 0, &given);
    assert_true(fields_decode(buf_bytes(out), new_layout(), false, &got, NULL));
    assert_int_equal(got.i, -7);
    assert_int_equal(got.later, 0);
    assert_int_equal(got.later_map.len, 0);
    assert_int_equal(got.items.items[0].added.len, 0);
    assert_true(bytes_eq_cstr(got.body, "whole"));
}

static void a_header_of_the_number_alone_is_all_zero(void **state)
{
    (void)state;
    static old_t got;
    memset(&got, 0xA5, sizeof got);
    assert_true(fields_decode(BYTES_LIT("\x91\x05"), old_layout(), false, &got, NULL));
    assert_true(got.u == 0 && got.i == 0 && !got.b && got.s.len == 0 && got.x.len == 0 && got.m.len == 0);
    assert_true(got.items.count == 0 && got.body.len == 0);
}

static void assert_refused(bytes_t input, const char *message)
{
    static old_t got;
    error_t err;
    assert_false(fields_decode(input, old_layout(), false, &got, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    assert_string_equal(err.message, message);
}

static void every_wrong_type_is_refused_by_the_name_of_its_field(void **state)
{
    (void)state;
    assert_refused(BYTES_LIT("\x92\x05\xA1x"), "THING.u: expected an unsigned integer");
    assert_refused(BYTES_LIT("\x92\x05\xFF"), "THING.u: expected an unsigned integer");
    assert_refused(BYTES_LIT("\x93\x05\x00\xC3"), "THING.i: expected an integer");
    assert_refused(BYTES_LIT("\x93\x05\x00\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"), "THING.i: expected an integer");
    assert_refused(BYTES_LIT("\x94\x05\x00\x00\x01"), "THING.b: expected a boolean");
    assert_refused(BYTES_LIT("\x95\x05\x00\x00\xC2\xC4\x00"), "THING.s: expected a string");
    assert_refused(BYTES_LIT("\x95\x05\x00\x00\xC2\xA1\xFF"), "THING.s: the string is not UTF-8");
    assert_refused(BYTES_LIT("\x96\x05\x00\x00\xC2\xA0\xA0"), "THING.x: expected binary");
    assert_refused(BYTES_LIT("\x97\x05\x00\x00\xC2\xA0\xC4\x00\x90"), "THING.m: expected map");
    assert_refused(BYTES_LIT("\x98\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x80"), "THING.items: expected an array");
    assert_refused(BYTES_LIT("\x98\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x91\x00"), "THING.items[0]: expected an array");
    assert_refused(BYTES_LIT("\x98\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x92\x92\x01\x00\x92\x01\xC0"),
                   "THING.items[1].body: expected a length");
}

static void a_map_must_be_well_formed_to_its_last_string(void **state)
{
    (void)state;
    assert_refused(BYTES_LIT("\x97\x05\x00\x00\xC2\xA0\xC4\x00\x81\xA1k"),
                   "THING.m: msgpack is broken at byte 3: a value is missing");
    static old_t got;
    error_t err;
    assert_false(
        fields_decode(BYTES_LIT("\x97\x05\x00\x00\xC2\xA0\xC4\x00\x81\xA1k\xA1\xFF"), old_layout(), false, &got, &err));
    assert_non_null(strstr(err.message, "THING.m: "));
    assert_non_null(strstr(err.message, "UTF-8"));
}

static void bodies_fill_the_rest_exactly(void **state)
{
    (void)state;
    static old_t got;
    bytes_t good = BYTES_LIT("\x99\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x91\x92\x01\x02\x03"
                             "ab"
                             "xyz");
    assert_true(fields_decode(good, old_layout(), false, &got, NULL));
    assert_true(bytes_eq_cstr(got.items.items[0].body, "ab") && bytes_eq_cstr(got.body, "xyz"));
    good.len--;
    assert_refused(good, "THING.body: the body is longer than what is left of the input");
    assert_refused(BYTES_LIT("\x99\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x90\x01"
                             "ab"),
                   "THING: more bytes follow than the bodies have");
    assert_refused(BYTES_LIT("\x99\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x90\xCF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF"),
                   "THING.body: the body is longer than what is left of the input");
    assert_refused(BYTES_LIT("\x99\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x91\x92\x01\x03\x03"
                             "abcd"),
                   "THING.body: the body is longer than what is left of the input");
    assert_refused(BYTES_LIT("\x9A\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x90\x02\x00"
                             "a"),
                   "THING: the bodies are longer than what is left of the input");
}

static void a_list_of_256_is_taken_and_of_257_refused(void **state)
{
    buf_t *out = *state;
    static old_t got;
    for (uint32_t count = FIELDS_LIST_MAX; count <= FIELDS_LIST_MAX + 1; count++) {
        buf_clear(out);
        buf_append(out, "\x98\x05\x00\x00\xC2\xA0\xC4\x00\xC0", 9);
        mp_put_array(out, count);
        for (uint32_t i = 0; i < count; i++)
            mp_put_array(out, 0);
        if (count == FIELDS_LIST_MAX)
            assert_true(fields_decode(buf_bytes(out), old_layout(), false, &got, NULL));
        else
            assert_refused(buf_bytes(out), "THING.items: more than 256 entries");
    }
}

static void another_number_is_refused(void **state)
{
    (void)state;
    assert_refused(BYTES_LIT("\x91\x06"), "THING: the header does not begin with its number");
    assert_refused(BYTES_LIT("\x90"), "THING: the header does not begin with its number");
}

static void a_broken_unknown_field_is_refused(void **state)
{
    (void)state;
    assert_refused(BYTES_LIT("\x9A\x05\x00\x00\xC2\xA0\xC4\x00\xC0\x90\x00\xC1"), "THING: byte 0xc1 starts no value");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, out_new, out_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_older_reader_skips_what_a_newer_writer_added),
        TEST(a_newer_reader_finds_zero_where_an_older_writer_had_nothing),
        TEST(a_header_of_the_number_alone_is_all_zero),
        TEST(every_wrong_type_is_refused_by_the_name_of_its_field),
        TEST(a_map_must_be_well_formed_to_its_last_string),
        TEST(bodies_fill_the_rest_exactly),
        TEST(a_list_of_256_is_taken_and_of_257_refused),
        TEST(another_number_is_refused),
        TEST(a_broken_unknown_field_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
