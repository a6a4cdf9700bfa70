/* test_core_schedule.c: schedules fire: each due moment once, whatever restarts come between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/schedule.h"
#include "kit/tzdata.h"
#include "proto/envelope.h"
#include "proto/json.h"
#include "proto/msgpack.h"
#include "proto/timefmt.h"
#include "tests/lib/core_rig.h"

#define MINUTE (60 * US_PER_S)
#define HOUR (60 * MINUTE)
#define DOCUMENT_BYTES 2048
#define FIRINGS_MAX 4096

typedef struct {
    rig_t rig;
    zones_t *zones;
} world_t;

static int open_world(void **state)
{
    world_t *w = calloc(1, sizeof *w);
    error_t err = {0};
    buf_t tzif = {0};
    w->zones = zones_new();
    assert_true(tzdata_read(TZDATA_FOLDER, BYTES_LIT("Asia/Tokyo"), &tzif, &err));
    assert_true(zones_add(w->zones, BYTES_LIT("Asia/Tokyo"), buf_bytes(&tzif), &err));
    buf_free(&tzif);
    rig_open(&w->rig, NULL);
    w->rig.config.zones = w->zones;
    rig_restart(&w->rig, 0);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    world_t *w = *state;
    rig_close(&w->rig);
    zones_free(&w->zones);
    free(w);
    return 0;
}

/* A document with one schedule, `s`, into the queue `q`, and what `more` says of it. */
static const char *try_apply(rig_t *rig, const char *expression, const char *target, const char *more)
{
    char json[DOCUMENT_BYTES];
    int len = snprintf(json, sizeof json,
                       "{\"Buses\":[{\"Name\":\"b\"}],\"Queues\":[{\"QueueName\":\"q\"},{\"QueueName\":\"line.fifo\","
                       "\"Attributes\":{\"ContentBasedDeduplication\":true}}],\"Schedules\":[{\"Name\":\"s\","
                       "\"ScheduleExpression\":\"%s\",\"Target\":%s%s}]}",
                       expression, target, more);
    assert_in_range(len, 1, sizeof json - 1);
    return rig_try_topology(rig, json);
}

static void apply(rig_t *rig, const char *expression, const char *target, const char *more)
{
    assert_string_equal(try_apply(rig, expression, target, more), "");
}

#define TO_Q "{\"Arn\":\"q\"}"

static const char *log_line(const rig_t *rig, int level)
{
    static char text[512];
    for (size_t i = 0; i < rig->out.out_count; i++) {
        const core_out_t *out = &rig->out.outs[i];
        if (out->kind != CORE_OUT_LOG || out->log.level != level)
            continue;
        (void)bytes_to_cstr(bytes_from(rig->out.bytes.data + out->log.at, out->log.len), text, sizeof text);
        return text;
    }
    return "";
}

/* The due moments of all records of schedules that sent something. */
static size_t firings(rig_t *rig, int64_t due_us[FIRINGS_MAX])
{
    size_t count = 0;
    for (uint64_t seq = 1; seq <= rig->records; seq++) {
        const record_t *r = rig_record(rig, seq);
        if (r->kind == RECORD_SCHEDULE && r->schedule.queue && count < FIRINGS_MAX)
            due_us[count++] = r->schedule.due_us;
    }
    return count;
}

static void expect_every_minute(rig_t *rig, int64_t began_us, size_t wanted)
{
    int64_t due_us[FIRINGS_MAX];
    assert_int_equal(firings(rig, due_us), wanted);
    for (size_t i = 0; i < wanted; i++)
        assert_int_equal(due_us[i], began_us + (int64_t)(i + 1) * MINUTE);
}

static const record_schedule_t *newest_firing(rig_t *rig)
{
    for (uint64_t seq = rig->records; seq; seq--)
        if (rig_record(rig, seq)->kind == RECORD_SCHEDULE)
            return &rig->record->schedule;
    fail_msg("nothing fired");
    return NULL;
}

static uint64_t waiting(const rig_t *rig)
{
    core_stats_t stats;
    core_stats(rig->core, &stats);
    return stats.messages_visible;
}

/* -- what is sent -------------------------------------------------------------------------------------- */
static void a_schedule_without_input_sends_eventbridges_event(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    envelope_t event;
    error_t err;
    bytes_t arn;
    size_t at = 0;
    apply(rig, "rate(1 minute)", TO_Q, "");
    int64_t began_us = rig->now_us;
    rig_sleep(rig, MINUTE - 1);
    assert_int_equal(waiting(rig), 0);
    rig_sleep(rig, 1);
    assert_int_equal(waiting(rig), 1);
    assert_true(envelope_read(newest_firing(rig)->body, &event, &err));
    assert_true(bytes_eq_cstr(event.source, "aws.events") && bytes_eq_cstr(event.detail_type, "Scheduled Event"));
    assert_true(envelope_next_resource(&event, &at, &arn));
    assert_true(bytes_eq_cstr(arn, "arn:aws:events:local:000000000000:rule/s"));
    assert_int_equal(event.time_us, (began_us + MINUTE) / US_PER_S * US_PER_S);
    assert_int_equal(event.detail.len, 1); /* {} */
    char id[64];
    (void)bytes_to_cstr(event.id, id, sizeof id);
    rig_sleep(rig, MINUTE);
    assert_true(envelope_read(newest_firing(rig)->body, &event, &err));
    assert_false(bytes_eq_cstr(event.id, id));
    expect_every_minute(rig, began_us, 2);
}

static void an_input_is_sent_as_it_stands(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    buf_t wanted = {0};
    error_t err;
    apply(rig, "rate(1 minute)", "{\"Arn\":\"q\",\"Input\":{\"job\":[1,null]}}", "");
    rig_sleep(rig, MINUTE);
    assert_true(json_to_msgpack(BYTES_LIT("{\"job\":[1,null]}"), NULL, &wanted, &err));
    assert_true(bytes_eq(newest_firing(rig)->body, buf_bytes(&wanted)));
    buf_free(&wanted);
    rig_hello(rig, 1, "a-000001", NULL);
    rig_subscribe_queue(rig, 1, 1, "q", 1);
    assert_non_null(rig_deliver(rig, 1));
}

static void the_same_input_is_no_duplicate_in_a_fifo_queue(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    apply(rig, "rate(1 minute)",
          "{\"Arn\":\"line.fifo\",\"Input\":{\"a\":1},\"SqsParameters\":{\"MessageGroupId\":\"g\"}}", "");
    rig_sleep(rig, 4 * MINUTE);
    assert_int_equal(waiting(rig), 4);
    assert_true(bytes_eq_cstr(newest_firing(rig)->group, "g"));
}

/* -- when ---------------------------------------------------------------------------------------------- */
static void a_time_zone_says_what_the_wall_shows(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    int64_t due_us[FIRINGS_MAX], first_us;
    apply(rig, "cron(0 3 * * ? *)", TO_Q, ",\"ScheduleExpressionTimezone\":\"Asia/Tokyo\"");
    rig_sleep(rig, 48 * HOUR);
    assert_int_equal(firings(rig, due_us), 2);
    assert_true(timefmt_parse(BYTES_LIT("2023-11-15T18:00:00Z"), &first_us));
    assert_int_equal(due_us[0], first_us);
    assert_int_equal(due_us[1], first_us + 24 * HOUR);
}

static void no_restart_skips_or_repeats_a_firing(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    apply(rig, "rate(1 minute)", TO_Q, ",\"MissedFirings\":\"ALL\"");
    int64_t began_us = rig->now_us;
    uint64_t first = rig->records;
    for (int life = 0; life < 40; life++) {
        rig_sleep(rig, (life * 37 % 150) * US_PER_S);
        if (life % 5 == 2)
            rig_snapshot(rig);
        uint64_t lost = (uint64_t)(life % 3); /* what was not on disk yet */
        rig->now_us += (life * 53 % 200) * US_PER_S;
        rig_restart(rig, rig->records - lost > first ? rig->records - lost : 0);
    }
    rig_sleep(rig, 0);
    expect_every_minute(rig, began_us, (size_t)((rig->now_us - began_us) / MINUTE));
}

/* -- missed -------------------------------------------------------------------------------------------- */
static size_t fired_after_an_hour_away(rig_t *rig, const char *missed, int64_t due_us[FIRINGS_MAX])
{
    char more[64];
    (void)snprintf(more, sizeof more, ",\"MissedFirings\":\"%s\"", missed);
    apply(rig, "rate(1 minute)", TO_Q, more);
    rig->now_us += HOUR + 30 * US_PER_S;
    rig_restart(rig, 0);
    rig_sleep(rig, 0);
    return firings(rig, due_us);
}

static void of_missed_firings_the_newest_comes_for_all(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    int64_t due_us[FIRINGS_MAX];
    assert_int_equal(fired_after_an_hour_away(rig, "ONCE", due_us), 1);
    assert_in_range(rig->now_us - due_us[0], 29 * US_PER_S, 31 * US_PER_S);
    rig_sleep(rig, MINUTE);
    assert_int_equal(firings(rig, due_us), 2);
}

static void of_missed_firings_none_comes_where_that_is_said(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    int64_t due_us[FIRINGS_MAX];
    assert_int_equal(fired_after_an_hour_away(rig, "NONE", due_us), 1); /* 30 s ago: that is not missed */
    assert_in_range(rig->now_us - due_us[0], 29 * US_PER_S, 31 * US_PER_S);
}

static void of_missed_firings_each_comes_where_that_is_said_for_a_day_back(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    int64_t due_us[FIRINGS_MAX];
    assert_int_equal(fired_after_an_hour_away(rig, "ALL", due_us), 60);
    rig->now_us += 100 * 24 * HOUR;
    rig_restart(rig, 0);
    rig_sleep(rig, 0);
    size_t all = firings(rig, due_us);
    assert_int_equal(all, 60 + 24 * 60);
    for (size_t i = 61; i < all; i++)
        assert_int_equal(due_us[i] - due_us[i - 1], MINUTE);
}

static void what_is_enabled_again_has_missed_nothing(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    int64_t due_us[FIRINGS_MAX];
    apply(rig, "rate(2 hours)", TO_Q, ",\"State\":\"DISABLED\"");
    rig_sleep(rig, 5 * HOUR);
    assert_int_equal(firings(rig, due_us), 0);
    apply(rig, "rate(2 hours)", TO_Q, "");
    int64_t began_us = rig->now_us;
    rig_sleep(rig, HOUR);
    apply(rig, "rate(2 hours)", "{\"Arn\":\"q\",\"Input\":1}", ""); /* another target: it goes on */
    rig_sleep(rig, HOUR);
    assert_int_equal(firings(rig, due_us), 1);
    assert_int_equal(due_us[0], began_us + 2 * HOUR);
}

static void a_schedule_waits_for_room_and_goes_on(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    apply(rig, "rate(1 minute)", TO_Q, "");
    int64_t began_us = rig->now_us;
    rig->is_full = true;
    rig_sleep(rig, MINUTE);
    assert_non_null(strstr(log_line(rig, 2), "There is no room"));
    rig_sleep(rig, 30 * US_PER_S);
    assert_int_equal(waiting(rig), 0);
    assert_true(core_moves(rig->core, rig->now_us + US_PER_S));
    rig->is_full = false;
    rig_sleep(rig, US_PER_S);
    expect_every_minute(rig, began_us, 1);
    rig_sleep(rig, MINUTE);
    expect_every_minute(rig, began_us, 2);
}

/* -- the document -------------------------------------------------------------------------------------- */
static void what_cannot_fire_is_refused_by_what_and_where(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    static const struct {
        const char *expression, *target, *more, *because;
    } rows[] = {
        {"rate(5 parsecs)", TO_Q, "", "schedule \"s\": Parameter ScheduleExpression is not valid"},
        {"cron(0 25 * * ? *)", TO_Q, "", "field 2 of cron (hours), \"25\""},
        {"rate(1 day)", TO_Q, ",\"ScheduleExpressionTimezone\":\"Mars/Olympus\"", "no time zone \"Mars/Olympus\""},
        {"rate(1 day)", "{\"Arn\":\"line.fifo\"}", "", "needs SqsParameters.MessageGroupId"},
        {"rate(1 day)", "{\"Arn\":\"nowhere\"}", "", "queue \"nowhere\" is not in the document"},
        {"rate(1 day)", "{\"Arn\":\"q\",\"Input\":\"\\u0001\"}", "", "character at byte 0"},
        {"rate(1 day)", TO_Q, ",\"MissedFirings\":\"SOME\"", "ONCE, NONE or ALL"},
        {"rate(1 day)", "{\"Arn\":\"q\",\"SqsParameters\":{}}", "", "MessageGroupId"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *why = try_apply(rig, rows[i].expression, rows[i].target, rows[i].more);
        if (!strstr(why, rows[i].because))
            fail_msg("\"%s\" does not say \"%s\"", why, rows[i].because);
    }
}

static void a_zone_that_went_away_stops_its_schedules_alone(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    int64_t due_us[FIRINGS_MAX];
    apply(rig, "cron(* * * * ? *)", TO_Q, ",\"ScheduleExpressionTimezone\":\"Asia/Tokyo\"");
    rig->config.zones = NULL;
    rig_restart(rig, 0);
    assert_non_null(strstr(log_line(rig, 3), "schedule s does not fire"));
    rig_sleep(rig, 5 * MINUTE);
    assert_int_equal(firings(rig, due_us), 0);
    rig->config.zones = ((world_t *)*state)->zones;
    rig_restart(rig, 0);
    rig_sleep(rig, 0);
    assert_int_equal(firings(rig, due_us), 1);
}

static void what_does_not_follow_is_refused_at_the_start(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    error_t err = {0};
    apply(rig, "rate(1 minute)", TO_Q, "");
    rig_sleep(rig, MINUTE);
    record_t again = *rig_record(rig, rig->records);
    assert_int_equal(again.kind, RECORD_SCHEDULE);
    again.seq++;
    assert_false(core_apply(rig->core, &again, &err)); /* the same moment twice */
    assert_int_equal(err.code, STATUS_DATA_LOSS);
    again.seq++;
    again.schedule.name = BYTES_LIT("another");
    assert_false(core_apply(rig->core, &again, &err));
}

static void a_list_shows_when_each_is_due(void **state)
{
    rig_t *rig = &((world_t *)*state)->rig;
    bytes_t list, one, text;
    uint32_t count;
    uint64_t next_us;
    apply(rig, "rate(1 minute)", TO_Q, "");
    int64_t began_us = rig->now_us;
    rig_hello(rig, 1, "a-000001", NULL);
    rig_send(rig, 1, WIRE_RULE, 3, &(wire_queue_t){.op = BYTES_LIT("schedules")});
    list = rig_expect(rig, 1, WIRE_RESULT)->result.body;
    mp_reader_t r = mp_reader(list);
    assert_true(mp_get_array(&r, &count) && count == 1 && mp_get_raw(&r, &one));
    assert_true(mp_map_u64(one, "next_us", &next_us));
    assert_int_equal(next_us, began_us + MINUTE);
    assert_true(mp_map_str(one, "time_zone", &text) && bytes_eq_cstr(text, "UTC"));
    assert_true(mp_map_str(one, "missed", &text) && bytes_eq_cstr(text, "ONCE"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_schedule_without_input_sends_eventbridges_event),
        TEST(an_input_is_sent_as_it_stands),
        TEST(the_same_input_is_no_duplicate_in_a_fifo_queue),
        TEST(a_time_zone_says_what_the_wall_shows),
        TEST(no_restart_skips_or_repeats_a_firing),
        TEST(of_missed_firings_the_newest_comes_for_all),
        TEST(of_missed_firings_none_comes_where_that_is_said),
        TEST(of_missed_firings_each_comes_where_that_is_said_for_a_day_back),
        TEST(what_is_enabled_again_has_missed_nothing),
        TEST(a_schedule_waits_for_room_and_goes_on),
        TEST(what_cannot_fire_is_refused_by_what_and_where),
        TEST(a_zone_that_went_away_stops_its_schedules_alone),
        TEST(what_does_not_follow_is_refused_at_the_start),
        TEST(a_list_shows_when_each_is_due),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
