/* test_timetable.c: moments of rates and crons, and the zones they are told in. What tables of expressions give is held
 * against a slow enumerator in tests/integration/test_schedule_expression.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "broker/rules/timetable.h"
#include "broker/rules/zones.h"
#include "proto/timefmt.h"

#define US_PER_S INT64_C(1000000)
#define BERLIN "CET-1CEST,M3.5.0,M10.5.0/3"

static int64_t at(const char *text)
{
    int64_t us;
    assert_true(timefmt_parse(bytes_cstr(text), &us));
    return us;
}

static timetable_t read_good(const char *expression)
{
    timetable_t t;
    error_t err = {0};
    if (!timetable_read(bytes_cstr(expression), &t, &err))
        fail_msg("%s: %s", expression, err.message);
    return t;
}

/* A TZif file of version 2 without a transition, and with this rule. */
static buf_t tzif_of(const char *rule)
{
    static const uint8_t counts[24] = {[19] = 1, [23] = 4}; /* one type, four characters of names */
    static const uint8_t type[6] = {0};
    buf_t file = {0};
    for (int part = 0; part < 2; part++) {
        buf_append_cstr(&file, "TZif2");
        buf_append(&file, (uint8_t[15]){0}, 15);
        buf_append(&file, counts, sizeof counts);
        buf_append(&file, type, sizeof type);
        buf_append(&file, "LMT", 4);
    }
    buf_printf(&file, "\n%s\n", rule);
    return file;
}

static zone_t *zone_of(const char *rule)
{
    error_t err = {0};
    buf_t file = tzif_of(rule);
    zone_t *zone = zone_read(buf_bytes(&file), &err);
    if (!zone)
        fail_msg("%s: %s", rule, err.message);
    buf_free(&file);
    return zone;
}

/* -- zones --------------------------------------------------------------------------------------------- */
static void a_rule_for_the_future_gives_every_years_changes(void **state)
{
    (void)state;
    zone_t *zone = zone_of(BERLIN);
    int64_t spring_s = at("2040-03-25T01:00:00Z") / US_PER_S, autumn_s = at("2040-10-28T01:00:00Z") / US_PER_S;
    zone_span_t winter = zone_span(zone, spring_s - 1), summer = zone_span(zone, spring_s);
    assert_int_equal(winter.offset_s, 3600);
    assert_int_equal(winter.until_s, spring_s);
    assert_int_equal(summer.offset_s, 7200);
    assert_int_equal(summer.until_s, autumn_s);
    zone_free(&zone);
}

static void rules_of_every_form_are_read(void **state)
{
    (void)state;
    static const struct {
        const char *rule, *moment;
        int32_t offset_s;
    } rows[] = {
        {"JST-9", "2026-06-01T00:00:00Z", 9 * 3600},
        {"<+0545>-5:45", "2026-06-01T00:00:00Z", 5 * 3600 + 45 * 60},
        {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08T06:59:59Z", -5 * 3600},
        {"EST5EDT,M3.2.0,M11.1.0", "2026-03-08T07:00:00Z", -4 * 3600},
        {"AEST-10AEDT,M10.1.0,M4.1.0/3", "2026-01-01T00:00:00Z", 11 * 3600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T00:59:59Z", -2 * 3600},
        {"<-02>2<-01>,M3.5.0/-1,M10.5.0/0", "2026-03-29T01:00:00Z", -1 * 3600},
        {"XXX0YYY,J60/0,J300/0", "2028-02-29T23:59:59Z", 0},
        {"XXX0YYY,J60/0,J300/0", "2028-03-01T00:00:00Z", 3600},
        {"XXX0YYY,59/0,300/0", "2028-02-29T00:00:00Z", 3600},
        {"XXX3EDT4,0/0,J365/23", "2026-01-01T03:30:00Z", -4 * 3600}, /* summer all year */
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        zone_t *zone = zone_of(rows[i].rule);
        assert_int_equal(zone_span(zone, at(rows[i].moment) / US_PER_S).offset_s, rows[i].offset_s);
        zone_free(&zone);
    }
}

static void a_broken_zone_is_refused(void **state)
{
    (void)state;
    static const char *const rules[] = {"C-1",
                                        "CET",
                                        "CET-1x",
                                        "CET-1CEST",
                                        "CET-25",
                                        "CET-1CEST,M3",
                                        "CET-1CEST,J0,1",
                                        "CET-1CEST,M13.1.0,M1.1.0",
                                        "<CET",
                                        "CET-1CEST,366,1"};
    error_t err;
    for (size_t i = 0; i < ARRAY_LEN(rules); i++) {
        buf_t file = tzif_of(rules[i]);
        zone_t *zone = zone_read(buf_bytes(&file), &err);
        bool is_read = zone != NULL;
        zone_free(&zone);
        buf_free(&file);
        if (is_read)
            fail_msg("%s was read", rules[i]);
    }
    buf_t whole = tzif_of(BERLIN);
    for (size_t len = 0; len < whole.len; len++)
        assert_null(zone_read(bytes_from(whole.data, len), &err));
    buf_free(&whole);
}

static void a_table_of_zones_knows_utc_and_what_was_put_in(void **state)
{
    (void)state;
    error_t err;
    zone_t *zone;
    zones_t *zones = zones_new();
    buf_t berlin = tzif_of(BERLIN);
    assert_true(zones_add(zones, BYTES_LIT("Europe/Berlin"), buf_bytes(&berlin), &err));
    assert_false(zones_add(zones, BYTES_LIT("Europe/Nowhere"), BYTES_LIT("TZif"), &err));
    assert_int_equal(zones_count(zones), 1);
    assert_true(zones_open(zones, BYTES_LIT("UTC"), &zone, &err) && !zone);
    assert_true(zones_open(NULL, BYTES_NONE, &zone, &err) && !zone);
    assert_true(zones_open(zones, BYTES_LIT("Europe/Berlin"), &zone, &err) && zone);
    zone_free(&zone);
    assert_false(zones_open(zones, BYTES_LIT("Europe/Ber"), &zone, &err));
    assert_string_equal(err.aws, "ValidationException");
    assert_non_null(strstr(err.message, "\"Europe/Ber\" among the 1"));
    zones_free(&zones);
    buf_free(&berlin);
}

/* -- moments ------------------------------------------------------------------------------------------- */
static void a_time_that_clocks_leave_out_is_not_due_that_day(void **state)
{
    (void)state;
    zone_t *zone = zone_of(BERLIN);
    timetable_t t = read_good("cron(30 2 * * ? *)");
    int64_t us = timetable_next_us(&t, zone, 0, at("2026-03-28T01:30:00Z"));
    assert_int_equal(us, at("2026-03-30T00:30:00Z"));
    zone_free(&zone);
}

static void a_time_that_clocks_show_twice_is_due_at_the_first(void **state)
{
    (void)state;
    zone_t *zone = zone_of(BERLIN);
    timetable_t t = read_good("cron(0/30 2 * * ? *)");
    int64_t us = timetable_next_us(&t, zone, 0, at("2026-10-24T23:00:00Z"));
    assert_int_equal(us, at("2026-10-25T00:00:00Z"));
    us = timetable_next_us(&t, zone, 0, us);
    assert_int_equal(us, at("2026-10-25T00:30:00Z"));
    us = timetable_next_us(&t, zone, 0, us);
    assert_int_equal(us, at("2026-10-26T01:00:00Z"));
    zone_free(&zone);
}

static void a_rate_is_due_a_period_after_it_began_and_knows_no_zone(void **state)
{
    (void)state;
    zone_t *zone = zone_of(BERLIN);
    timetable_t t = read_good("rate(1 day)");
    int64_t began_us = at("2026-03-28T12:00:00.25Z");
    assert_int_equal(timetable_next_us(&t, zone, began_us, began_us), at("2026-03-29T12:00:00.25Z"));
    assert_int_equal(timetable_next_us(&t, zone, began_us, at("2026-03-29T12:00:00.25Z")),
                     at("2026-03-30T12:00:00.25Z"));
    assert_int_equal(timetable_next_us(&t, zone, began_us, 0), at("2026-03-29T12:00:00.25Z"));
    zone_free(&zone);
}

static void what_was_due_last_is_the_last_that_walking_finds(void **state)
{
    (void)state;
    static const char *const expressions[] = {"rate(7 minutes)", "cron(* 0-11 * * ? *)", "cron(0 3 L * ? *)",
                                              "cron(13,14 2 29 2 ? *)", "cron(0 0 1 1 ? 2020)"};
    zone_t *zone = zone_of(BERLIN);
    for (size_t i = 0; i < ARRAY_LEN(expressions); i++) {
        timetable_t t = read_good(expressions[i]);
        int64_t after_us = at("2027-12-30T00:00:00Z"), now_us = at("2028-03-02T17:11:12.5Z"), last_us = TIMETABLE_NEVER;
        for (int64_t us = after_us; (us = timetable_next_us(&t, zone, 5, us)) <= now_us;)
            last_us = us;
        assert_int_equal(timetable_last_us(&t, zone, 5, after_us, now_us), last_us);
        if (last_us == TIMETABLE_NEVER)
            continue;
        assert_int_equal(timetable_last_us(&t, zone, 5, after_us, last_us), last_us);
        assert_int_equal(timetable_last_us(&t, zone, 5, last_us, now_us), TIMETABLE_NEVER);
    }
    zone_free(&zone);
}

static void what_has_no_year_left_is_never_due(void **state)
{
    (void)state;
    timetable_t t = read_good("cron(0 12 * * ? 1999)");
    assert_int_equal(timetable_next_us(&t, NULL, 0, at("1999-12-31T11:59:59Z")), at("1999-12-31T12:00:00Z"));
    assert_true(timetable_next_us(&t, NULL, 0, at("1999-12-31T12:00:00Z")) == TIMETABLE_NEVER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_for_the_future_gives_every_years_changes),
        cmocka_unit_test(rules_of_every_form_are_read),
        cmocka_unit_test(a_broken_zone_is_refused),
        cmocka_unit_test(a_table_of_zones_knows_utc_and_what_was_put_in),
        cmocka_unit_test(a_time_that_clocks_leave_out_is_not_due_that_day),
        cmocka_unit_test(a_time_that_clocks_show_twice_is_due_at_the_first),
        cmocka_unit_test(a_rate_is_due_a_period_after_it_began_and_knows_no_zone),
        cmocka_unit_test(what_was_due_last_is_the_last_that_walking_finds),
        cmocka_unit_test(what_has_no_year_left_is_never_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
