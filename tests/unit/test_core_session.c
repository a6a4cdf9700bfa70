/* test_core_session.c: who may speak, under which name, and for how long. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "tests/lib/core_rig.h"

#define S INT64_C(1000000)

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static const wire_msg_t *hello(rig_t *rig, uint64_t peer, const char *name, const uint8_t *token)
{
    rig_send(rig, peer, WIRE_HELLO, 4,
             &(wire_hello_t){.protocol = WIRE_PROTOCOL,
                             .name = bytes_cstr(name),
                             .resume = token ? bytes_from(token, CORE_RESUME_BYTES) : BYTES_NONE});
    const wire_msg_t *msg = rig_take(rig, peer);
    assert_non_null(msg);
    assert_int_equal(msg->seq, 4);
    return msg;
}

static void expect_no_session(rig_t *rig, uint64_t peer)
{
    rig_send(rig, peer, WIRE_PING, 9, &(wire_ping_t){0});
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_ERROR);
    assert_int_equal(msg->seq, 9);
    assert_true(bytes_eq_cstr(msg->error.name, "NO_SESSION"));
}

static void expect_error(const wire_msg_t *msg, const char *name)
{
    assert_int_equal(msg->verb, WIRE_ERROR);
    if (!bytes_eq_cstr(msg->error.name, name))
        fail_msg("%.*s, not %s", BYTES_FMT(msg->error.name), name);
}

static void nothing_is_heard_before_hello(void **state)
{
    expect_no_session(*state, 1);
}

static void a_ping_is_answered_with_its_number_and_waits_for_nothing(void **state)
{
    rig_t *rig = *state;
    rig_hello(rig, 1, "a-000001", NULL);
    rig_send(rig, 1, WIRE_PING, 3, &(wire_ping_t){.number = 77});
    const wire_msg_t *msg = rig_expect(rig, 1, WIRE_PONG);
    assert_int_equal(msg->seq, 3);
    assert_int_equal(msg->pong.number, 77);
    assert_int_equal(rig->out.outs[0].after, 0);
}

static void another_protocol_is_refused(void **state)
{
    rig_t *rig = *state;
    rig_send(rig, 1, WIRE_HELLO, 1, &(wire_hello_t){.protocol = 9, .name = BYTES_LIT("a")});
    expect_error(rig_take(rig, 1), "PROTOCOL_VERSION");
}

static void a_live_name_is_not_given_twice_but_a_silent_one_is(void **state)
{
    rig_t *rig = *state;
    rig_hello(rig, 1, "a-000001", NULL);
    expect_error(hello(rig, 2, "a-000001", NULL), "NAME_IN_USE");
    rig_sleep(rig, 7 * S);
    assert_int_equal(hello(rig, 2, "a-000001", NULL)->verb, WIRE_WELCOME);
    expect_no_session(rig, 1);
}

static void a_token_resumes_the_session_on_another_connection(void **state)
{
    rig_t *rig = *state;
    uint8_t token[CORE_RESUME_BYTES], wrong[CORE_RESUME_BYTES] = {0};
    rig_hello(rig, 1, "a-000001", token);
    expect_error(hello(rig, 2, "a-000001", wrong), "NAME_IN_USE");
    const wire_msg_t *msg = hello(rig, 2, "a-000001", token);
    assert_int_equal(msg->verb, WIRE_WELCOME);
    assert_true(msg->welcome.resumed);
    expect_no_session(rig, 1);
}

static void a_session_is_resumed_across_a_restart_within_its_grace_only(void **state)
{
    rig_t *rig = *state;
    uint8_t token[CORE_RESUME_BYTES];
    rig_hello(rig, 1, "a-000001", token);
    rig_restart(rig, 0);
    rig_sleep(rig, 29 * S);
    assert_true(hello(rig, 2, "a-000001", token)->welcome.resumed);
    rig_restart(rig, 0);
    rig_sleep(rig, 31 * S);
    assert_false(hello(rig, 3, "a-000001", token)->welcome.resumed);
}

static void a_second_hello_ends_the_session_of_that_connection(void **state)
{
    rig_t *rig = *state;
    rig_hello(rig, 1, "a-000001", NULL);
    assert_int_equal(hello(rig, 1, "b-000002", NULL)->verb, WIRE_WELCOME);
    core_stats_t stats;
    core_stats(rig->core, &stats);
    assert_int_equal(stats.sessions, 1);
}

static void sessions_are_bounded(void **state)
{
    rig_t *rig = *state;
    rig_close(rig);
    rig_open(rig, &(core_limits_t){.sessions = 1});
    rig_hello(rig, 1, "a-000001", NULL);
    expect_error(hello(rig, 2, "b-000002", NULL), "TOO_MANY_SESSIONS");
}

static void verbs_of_the_broker_are_refused_by_name(void **state)
{
    rig_t *rig = *state;
    rig_hello(rig, 1, "a-000001", NULL);
    rig_send(rig, 1, WIRE_WELCOME, 6, &(wire_welcome_t){0});
    expect_error(rig_take(rig, 1), "UNKNOWN_VERB");
}

static void what_a_role_does_not_allow_is_refused(void **state)
{
    rig_t *rig = *state;
    error_t err = {0};
    roles_t *roles = roles_parse(BYTES_LIT("{\"x\":{\"consume\":[\"mine-*\"]}}"), &err);
    assert_non_null(roles);
    rig->role = roles_find(roles, BYTES_LIT("x"));
    rig_hello(rig, 1, "a-000001", NULL);
    static wire_publish_t publish = {.bus = {(const uint8_t *)"shop", 4}};
    rig_send(rig, 1, WIRE_PUBLISH, 5, &publish);
    expect_error(rig_take(rig, 1), "AccessDeniedException");
    rig_send(rig, 1, WIRE_SUBSCRIBE, 6,
             &(wire_subscribe_t){.sub = 1, .kind = WIRE_SUBSCRIBE_QUEUE, .target = BYTES_LIT("yours")});
    expect_error(rig_take(rig, 1), "AccessDeniedException");
    rig_send(rig, 1, WIRE_SUBSCRIBE, 6,
             &(wire_subscribe_t){.sub = 1, .kind = WIRE_SUBSCRIBE_QUEUE, .target = BYTES_LIT("mine-1")});
    expect_error(rig_take(rig, 1), "QueueDoesNotExist");
    rig_send(rig, 1, WIRE_BROKER, 7, &(wire_broker_t){.op = BYTES_LIT("status")});
    expect_error(rig_take(rig, 1), "AccessDeniedException");
    rig->role = role_all();
    roles_free(&roles);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(nothing_is_heard_before_hello),
        TEST(a_ping_is_answered_with_its_number_and_waits_for_nothing),
        TEST(another_protocol_is_refused),
        TEST(a_live_name_is_not_given_twice_but_a_silent_one_is),
        TEST(a_token_resumes_the_session_on_another_connection),
        TEST(a_session_is_resumed_across_a_restart_within_its_grace_only),
        TEST(a_second_hello_ends_the_session_of_that_connection),
        TEST(sessions_are_bounded),
        TEST(verbs_of_the_broker_are_refused_by_name),
        TEST(what_a_role_does_not_allow_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
