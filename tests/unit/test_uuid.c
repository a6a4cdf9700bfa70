/* test_uuid.c: UUIDv7 and its text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proto/uuid.h"

/* The example of RFC 9562, appendix A.6. */
static void the_vector_of_the_rfc_comes_out(void **state)
{
    (void)state;
    const uint8_t random[UUID_RANDOM_BYTES] = {0x0c, 0xc3, 0x18, 0xc4, 0xdc, 0x0c, 0x0c, 0x07, 0x39, 0x8f};
    char text[UUID_TEXT_BYTES];
    uuid_format(uuid_v7(UINT64_C(0x017F22E279B0), random), text);
    assert_string_equal(text, "017f22e2-79b0-7cc3-98c4-dc0c0c07398f");
}

static void version_and_variant_stand_whatever_the_random_bits(void **state)
{
    (void)state;
    uint8_t random[UUID_RANDOM_BYTES];
    for (int fill = 0; fill < 256; fill++) {
        memset(random, fill, sizeof random);
        uuid16_t id = uuid_v7(1, random);
        assert_int_equal(id.bytes[6] & 0xf0, 0x70);
        assert_int_equal(id.bytes[8] & 0xc0, 0x80);
    }
}

static void later_milliseconds_sort_later(void **state)
{
    (void)state;
    const uint8_t high[UUID_RANDOM_BYTES] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    const uint8_t low[UUID_RANDOM_BYTES] = {0};
    char before[UUID_TEXT_BYTES];
    char after[UUID_TEXT_BYTES];
    for (uint64_t ms = 255; ms < UINT64_C(1) << 47; ms = ms * 2 + 1) {
        uuid_format(uuid_v7(ms, high), before);
        uuid_format(uuid_v7(ms + 1, low), after);
        assert_true(strcmp(before, after) < 0);
    }
}

static void text_is_read_back_in_either_case(void **state)
{
    (void)state;
    uuid16_t lower;
    uuid16_t upper;
    uint64_t ms;
    assert_true(uuid_parse(BYTES_LIT("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"), &lower));
    assert_true(uuid_parse(BYTES_LIT("017F22E2-79B0-7CC3-98C4-DC0C0C07398F"), &upper));
    assert_memory_equal(&lower, &upper, sizeof lower);
    assert_true(uuid_time_ms(lower, &ms));
    assert_int_equal(ms, UINT64_C(0x017F22E279B0));
}

static void only_version_7_has_a_time(void **state)
{
    (void)state;
    uuid16_t id;
    uint64_t ms;
    assert_true(uuid_parse(BYTES_LIT("919108f7-52d1-4320-9bac-f847db4148a8"), &id));
    assert_false(uuid_time_ms(id, &ms));
}

static void what_is_no_uuid_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               "017f22e2-79b0-7cc3-98c4-dc0c0c07398",
                               "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0",
                               "017f22e279b07cc398c4dc0c0c07398f",
                               "017f22e2-79b0-7cc3-98c4-dc0c0c07398g",
                               "017f22e2079b0-7cc3-98c4-dc0c0c07398f",
                               "{17f22e2-79b0-7cc3-98c4-dc0c0c07398f"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(uuid_parse(bytes_cstr(bad[i]), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vector_of_the_rfc_comes_out),
        cmocka_unit_test(version_and_variant_stand_whatever_the_random_bits),
        cmocka_unit_test(later_milliseconds_sort_later),
        cmocka_unit_test(text_is_read_back_in_either_case),
        cmocka_unit_test(only_version_7_has_a_time),
        cmocka_unit_test(what_is_no_uuid_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
