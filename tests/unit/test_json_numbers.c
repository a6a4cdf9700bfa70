/* test_json_numbers.c: which numbers are integers, doubles or text, and how they are written. */
#include <locale.h>
#include <math.h>

#include "tests/unit/json_asserts.h"

#define REPEATED_MAX 4096

static void integers_are_exact_to_the_ends_of_64_bits(void **state)
{
    (void)state;
    assert_wire("9223372036854775807", BYTES_LIT("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff"));
    assert_wire("-9223372036854775808", BYTES_LIT("\xd3\x80\x00\x00\x00\x00\x00\x00\x00"));
    assert_wire("18446744073709551615", BYTES_LIT("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"));
    assert_back("[9007199254740993,-9007199254740993]", "[9007199254740993,-9007199254740993]");
}

static void an_integer_beyond_64_bits_travels_as_its_text(void **state)
{
    (void)state;
    assert_wire("18446744073709551616", BYTES_LIT("\xc7\x14\x01"
                                                  "18446744073709551616"));
    assert_wire("-9223372036854775809", BYTES_LIT("\xc7\x14\x01-9223372036854775809"));
    assert_wire("99999999999999999999", BYTES_LIT("\xc7\x14\x01"
                                                  "99999999999999999999"));
    assert_back("100000000000000000000", "100000000000000000000");
    assert_back("-123456789012345678901234567890", "-123456789012345678901234567890");
}

static void minus_zero_is_kept_as_a_double(void **state)
{
    (void)state;
    assert_wire("-0", BYTES_LIT("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"));
    assert_back("[-0,-0.0,-0e7,-0.000e-999,0.0]", "[-0.0,-0.0,-0.0,-0.0,0.0]");
}

static void a_fraction_is_a_double_when_its_value_survives(void **state)
{
    (void)state;
    assert_back("[1.0,1.00,1e0,10E-1,0.1e+1]", "[1.0,1.0,1.0,1.0,1.0]");
    assert_back("[0.1,1.5e300,-2.5,123456.789]", "[0.1,1.5e+300,-2.5,123456.789]");
    assert_back("[5e-324,1.7976931348623157e308]", "[5e-324,1.7976931348623157e+308]");
    assert_back("[2.2250738585072014e-308,5.684341886080802e-14]", "[2.2250738585072014e-308,5.684341886080802e-14]");
    assert_back("1.50000000000000000000000000000000000000000e2", "150.0");
    assert_back("0.00000000000000000000000000000000000000001e41", "1.0");
    assert_back("100000000000000000000000000000000000000000e-41", "1.0");
    assert_back("0e999999999999999999999999", "0.0");
}

static void a_number_that_no_double_holds_travels_as_its_text(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "1.12345678901234567890",
        "1e400",
        "-1E+400",
        "1e-400",
        "9007199254740993.0",
        "0.10000000000000001",
        "4.9e-324",
        "0.1000000000000000055511151231257827021181583404541015625",
        "1e999999999999999999999999",
        "-1e-999999999999999999999999",
        "1.7976931348623159e308",
        "2.4703282292062327e-324",
        "12345678901234567890123.5",
    };
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        buf_t value = {0};
        mp_token_t t;
        assert_true(to_msgpack(bytes_cstr(texts[i]), &value, NULL));
        mp_reader_t r = mp_reader(buf_bytes(&value));
        assert_true(mp_next(&r, &t));
        assert_int_equal(t.type, MP_EXT);
        assert_int_equal(t.ext_type, JSON_EXT_DECIMAL);
        assert_true(bytes_eq_cstr(t.bytes, texts[i]));
        assert_back(texts[i], texts[i]);
        buf_free(&value);
    }
}

static void doubles_are_written_as_their_shortest_text(void **state)
{
    (void)state;
    const struct {
        double value;
        const char *text;
    } cases[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {0.0001, "0.0001"},
        {0.00001, "1e-05"},
        {0.3, "0.3"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e22, "1e+22"},
        {1e23, "1e+23"},
        {9007199254740992, "9007199254740992.0"},
        {0x1p-44, "5.684341886080802e-14"},
        {5e-324, "5e-324"},
        {-123.456, "-123.456"},
        {9.5367431640625e-07, "9.5367431640625e-07"},
        {2e-323, "2e-323"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        buf_t text = {0};
        json_double_append(&text, cases[i].value);
        assert_string_equal(buf_cstr(&text), cases[i].text);
        buf_free(&text);
    }
}

static uint64_t random_next(uint64_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 7;
    *seed ^= *seed << 17;
    return *seed;
}

static void any_double_comes_back_bit_for_bit(void **state)
{
    (void)state;
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    buf_t before = {0}, text = {0}, after = {0};
    for (unsigned i = 0; i < 200000; i++) {
        uint64_t bits = random_next(&seed);
        double v;
        bits = i % 5 == 0 ? bits & ~(((uint64_t)1 << 52) - 1) : i % 5 == 1 ? bits & (((uint64_t)1 << 52) - 1) : bits;
        memcpy(&v, &bits, sizeof v);
        if (!isfinite(v))
            continue;
        buf_clear(&before);
        buf_clear(&text);
        mp_put_double(&before, v);
        assert_true(json_from_msgpack(buf_bytes(&before), JSON_COMPACT, &text, NULL));
        assert_true(to_msgpack(buf_bytes(&text), &after, NULL));
        assert_true(bytes_eq(buf_bytes(&before), buf_bytes(&after)));
        assert_true(strtod(buf_cstr(&text), NULL) == v);
    }
    buf_free(&before);
    buf_free(&text);
    buf_free(&after);
}

static void numbers_do_not_depend_on_the_locale(void **state)
{
    (void)state;
    const char *german = setlocale(LC_ALL, "de_DE.UTF-8"); /* where it exists, ',' is the decimal point */
    double v;
    assert_back("[1.5,1e-07,1.12345678901234567890]", "[1.5,1e-07,1.12345678901234567890]");
    assert_true(json_number_nearest(BYTES_LIT("1.12345678901234567890"), &v) && v == 1.1234567890123457);
    if (german)
        setlocale(LC_ALL, "C");
}

static void the_nearest_double_of_a_decimal_is_there_for_calculations(void **state)
{
    (void)state;
    const struct {
        const char *text;
        double value;
    } cases[] = {
        {"18446744073709551616", 0x1p64},
        {"1e400", HUGE_VAL},
        {"-1e400", -HUGE_VAL},
        {"1e-400", 0},
        {"-0", -0.0},
        {"0.000e5", 0},
        {"0.1000000000000000055511151231257827021181583404541015625", 0.1},
        {"9007199254740993.0", 9007199254740992.0},
        {"9007199254740993.00000000000000000000000000000000001", 9007199254740994.0},
        {"12.5e-1", 1.25},
    };
    double v;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        assert_true(json_number_nearest(bytes_cstr(cases[i].text), &v));
        assert_true(v == cases[i].value && !signbit(v) == !signbit(cases[i].value));
    }
    assert_false(json_number_nearest(BYTES_LIT("1.5x"), &v));
    assert_false(json_number_nearest(BYTES_LIT(""), &v));
    assert_false(json_number_nearest(BYTES_LIT("Infinity"), &v));
}

static void the_last_digit_of_a_very_long_number_decides_a_tie(void **state)
{
    (void)state;
    buf_t text = {0};
    double v;
    buf_append_cstr(&text, "9007199254740993.");
    for (unsigned i = 0; i < REPEATED_MAX; i++)
        buf_append_byte(&text, '0');
    assert_true(json_number_nearest(buf_bytes(&text), &v) && v == 9007199254740992.0);
    buf_append_byte(&text, '1');
    assert_true(json_number_nearest(buf_bytes(&text), &v) && v == 9007199254740994.0);
    buf_free(&text);
}

static void what_only_looks_like_a_number_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"01",   "-",   "-01", "1.",    ".5",  "+1", "1e",       "1e+", "0x10",
                                        "1.e5", "-.5", "1_0", "1e1.5", "--1", "-a", "Infinity", "NaN", "-Infinity"};
    error_t err;
    for (size_t i = 0; i < ARRAY_LEN(texts); i++)
        if (!refused(bytes_cstr(texts[i]), &err))
            fail_msg("%s was taken", texts[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_exact_to_the_ends_of_64_bits),
        cmocka_unit_test(an_integer_beyond_64_bits_travels_as_its_text),
        cmocka_unit_test(minus_zero_is_kept_as_a_double),
        cmocka_unit_test(a_fraction_is_a_double_when_its_value_survives),
        cmocka_unit_test(a_number_that_no_double_holds_travels_as_its_text),
        cmocka_unit_test(doubles_are_written_as_their_shortest_text),
        cmocka_unit_test(any_double_comes_back_bit_for_bit),
        cmocka_unit_test(numbers_do_not_depend_on_the_locale),
        cmocka_unit_test(the_nearest_double_of_a_decimal_is_there_for_calculations),
        cmocka_unit_test(the_last_digit_of_a_very_long_number_decides_a_tie),
        cmocka_unit_test(what_only_looks_like_a_number_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
