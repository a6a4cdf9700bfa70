/* test_timefmt.c: RFC 3339 to and from Unix microseconds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <time.h>

#include "proto/timefmt.h"
#include "tests/lib/random.h"

#define S INT64_C(1000000)

static int64_t parsed(const char *text)
{
    int64_t us;
    if (!timefmt_parse(bytes_cstr(text), &us))
        fail_msg("%s was refused", text);
    return us;
}

static void known_moments_are_written_and_read(void **state)
{
    (void)state;
    const struct {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {INT64_C(1769804112) * S, "2026-01-30T20:15:12Z"},
        {INT64_C(951782400) * S, "2000-02-29T00:00:00Z"},
        {-1 * S, "1969-12-31T23:59:59Z"},
        {INT64_C(-2203891200) * S, "1900-03-01T00:00:00Z"},
        {TIMEFMT_MIN_US, "0001-01-01T00:00:00Z"},
        {TIMEFMT_MAX_US - 999999, "9999-12-31T23:59:59Z"},
    };
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        char text[TIMEFMT_S_BYTES];
        timefmt_s(cases[i].us, text);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(parsed(cases[i].text), cases[i].us);
    }
}

static void fractions_are_kept_to_the_microsecond(void **state)
{
    (void)state;
    char ms[TIMEFMT_MS_BYTES];
    char us[TIMEFMT_US_BYTES];
    timefmt_ms(-1, ms);
    timefmt_us(-1, us);
    assert_string_equal(ms, "1969-12-31T23:59:59.999Z");
    assert_string_equal(us, "1969-12-31T23:59:59.999999Z");
    assert_int_equal(parsed("1970-01-01T00:00:00.5Z"), 500000);
    assert_int_equal(parsed("1970-01-01T00:00:00.000001999Z"), 1);
    assert_int_equal(parsed("2024-07-29T00:58:44.895275Z") % S, 895275);
}

static void offsets_are_taken_off(void **state)
{
    (void)state;
    assert_int_equal(parsed("2026-01-31T05:15:12+09:00"), parsed("2026-01-30T20:15:12Z"));
    assert_int_equal(parsed("2026-01-30t12:15:12-08:00"), parsed("2026-01-30T20:15:12z"));
    assert_int_equal(parsed("2016-12-31T23:59:60Z"), parsed("2017-01-01T00:00:00Z"));
}

static void random_moments_agree_with_the_c_library(void **state)
{
    (void)state;
    random_t random = {3};
    for (int i = 0; i < 20000; i++) {
        int64_t s = (int64_t)random_below(&random, UINT64_C(315537897599)) + TIMEFMT_MIN_US / S;
        time_t t = (time_t)s;
        struct tm tm;
        char wanted[64];
        char text[TIMEFMT_S_BYTES];
        assert_non_null(gmtime_r(&t, &tm));
        snprintf(wanted, sizeof wanted, "%04d-%02d-%02dT%02d:%02d:%02dZ", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec);
        timefmt_s(s * S, text);
        assert_string_equal(text, wanted);
        assert_int_equal(parsed(text), s * S);
    }
}

static void a_time_out_of_range_is_brought_to_the_nearer_end(void **state)
{
    (void)state;
    char text[TIMEFMT_S_BYTES];
    timefmt_s(INT64_MAX, text);
    assert_string_equal(text, "9999-12-31T23:59:59Z");
    timefmt_s(INT64_MIN, text);
    assert_string_equal(text, "0001-01-01T00:00:00Z");
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    const char *const bad[] = {"",
                               "2026-01-30",
                               "2026-01-30T20:15:12",
                               "2026-01-30 20:15:12Z",
                               "2026-1-30T20:15:12Z",
                               "2026-02-29T20:15:12Z",
                               "2026-13-01T20:15:12Z",
                               "2026-00-01T20:15:12Z",
                               "2026-01-32T20:15:12Z",
                               "2026-01-30T24:00:00Z",
                               "2026-01-30T20:60:00Z",
                               "2026-01-30T20:15:61Z",
                               "2026-01-30T20:15:12.Z",
                               "2026-01-30T20:15:12+0900",
                               "2026-01-30T20:15:12+24:00",
                               "2026-01-30T20:15:12Zx",
                               "0000-01-01T00:00:00Z",
                               "0001-01-01T00:00:00+00:01",
                               "9999-12-31T23:59:59-00:01",
                               "+026-01-30T20:15:12Z"};
    int64_t us;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (timefmt_parse(bytes_cstr(bad[i]), &us))
            fail_msg("%s was taken", bad[i]);
    assert_false(timefmt_parse(bytes_from("2026-01-30T20:15:12\0Z", 21), &us));
}

static void dates_are_days_that_exist(void **state)
{
    (void)state;
    int64_t us;
    assert_true(timefmt_parse_date(BYTES_LIT("1970-01-02"), &us));
    assert_int_equal(us, 86400 * S);
    assert_true(timefmt_parse_date(BYTES_LIT("2000-02-29"), NULL));
    assert_false(timefmt_parse_date(BYTES_LIT("1900-02-29"), NULL));
    assert_false(timefmt_parse_date(BYTES_LIT("2026-01-30T"), NULL));
    assert_false(timefmt_parse_date(BYTES_LIT("2026/01/30"), NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_moments_are_written_and_read),
        cmocka_unit_test(fractions_are_kept_to_the_microsecond),
        cmocka_unit_test(offsets_are_taken_off),
        cmocka_unit_test(random_moments_agree_with_the_c_library),
        cmocka_unit_test(a_time_out_of_range_is_brought_to_the_nearer_end),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(dates_are_days_that_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
