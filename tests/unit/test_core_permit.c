/* test_core_permit.c: permits of named buckets: paced, shared, in order of class and turn, and never given twice. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "broker/core/permit.h"
#include "tests/lib/core_rig.h"

#define MS INT64_C(1000)
#define S INT64_C(1000000)
#define A 1
#define B 2
#define C 3

/* Ten a second, three at once; a permit is worth something for 200 ms. */
static const char topology[] =
    "{\"Buses\":[{\"Name\":\"b\"}],\"PermitBuckets\":[{\"BucketName\":\"erp\",\"RateLimit\":10,"
    "\"BurstLimit\":3,\"ExpiryMilliseconds\":200},{\"BucketName\":\"slow\",\"RateLimit\":0.1}]}";

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    rig_topology(rig, topology);
    rig_hello(rig, A, "erp-000001", NULL);
    rig_hello(rig, B, "erp-000002", NULL);
    rig_hello(rig, C, "erp-000003", NULL);
    rig_sleep(rig, 500 * MS); /* full */
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void ask(rig_t *rig, uint64_t peer, uint64_t seq, uint64_t tokens, uint64_t priority, uint64_t wait_ms)
{
    rig_send(rig, peer, WIRE_PERMIT, seq,
             &(wire_permit_t){.bucket = BYTES_LIT("erp"), .tokens = tokens, .priority = priority, .wait_ms = wait_ms});
}

/* Tokens of the next answer to `peer`, which must be that to `seq`. */
static wire_permitted_t got(rig_t *rig, uint64_t peer, uint64_t seq)
{
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_PERMITTED);
    assert_int_equal(msg->seq, seq);
    return msg->permitted;
}

static wire_permitted_t draw(rig_t *rig, uint64_t peer, uint64_t tokens)
{
    ask(rig, peer, 9, tokens, 0, 0);
    return got(rig, peer, 9);
}

static uint64_t give_back(rig_t *rig, uint64_t peer, uint64_t permit, uint64_t unused)
{
    uint64_t before = rig->records;
    rig_send(rig, peer, WIRE_PERMIT, 8,
             &(wire_permit_t){.bucket = BYTES_LIT("erp"), .permit = permit, .unused = unused});
    (void)got(rig, peer, 8);
    rig->taken = 0;
    return rig->records - before;
}

static void expect_refusal(rig_t *rig, uint64_t peer, const char *name)
{
    const wire_msg_t *msg = rig_expect(rig, peer, WIRE_ERROR);
    assert_true(bytes_eq_cstr(msg->error.name, name));
}

/* -- pace ---------------------------------------------------------------------------------------------- */
static void a_full_bucket_gives_its_burst_and_then_the_pace(void **state)
{
    rig_t *rig = *state;
    assert_int_equal(draw(rig, A, UINT64_MAX).tokens, 3);
    wire_permitted_t none = draw(rig, A, 1);
    assert_int_equal(none.tokens, 0);
    assert_int_equal(none.permit, 0);
    assert_in_range(none.retry_after_ms, 100, 102);
    rig_sleep(rig, 100 * MS);
    assert_int_equal(draw(rig, B, 3).tokens, 1);
}

static void all_sessions_together_stay_below_the_ceiling(void **state)
{
    rig_t *rig = *state;
    uint64_t tokens = 0;
    for (int i = 0; i < 1000; i++) {
        tokens += draw(rig, A + (uint64_t)i % 3, 1 + (uint64_t)i % 3).tokens;
        rig_sleep(rig, 10 * MS);
    }
    assert_in_range(tokens, 100, 103);
}

static void a_request_waits_for_its_token_and_hears_how_long(void **state)
{
    rig_t *rig = *state;
    (void)draw(rig, A, 3);
    ask(rig, B, 5, 2, 1, 1000);
    assert_null(rig_take(rig, B));
    rig_sleep(rig, 99 * MS);
    assert_null(rig_take(rig, B));
    rig_sleep(rig, 2 * MS);
    wire_permitted_t p = got(rig, B, 5);
    assert_int_equal(p.tokens, 1);
    assert_int_equal(p.waited_ms, 100);
    assert_int_equal(p.expires_ms, 200);
}

static void a_wait_that_is_over_is_answered_with_nothing_and_a_time_to_try_again(void **state)
{
    rig_t *rig = *state;
    (void)draw(rig, A, 3);
    ask(rig, A, 4, 1, 0, 1000);
    ask(rig, B, 5, 1, 1, 50);
    rig_sleep(rig, 60 * MS);
    wire_permitted_t p = got(rig, B, 5);
    assert_int_equal(p.tokens, 0);
    assert_true(p.retry_after_ms > 40);
    rig_sleep(rig, 50 * MS);
    assert_int_equal(got(rig, A, 4).tokens, 1);
}

static void a_pace_slower_than_a_token_a_second_is_kept(void **state)
{
    rig_t *rig = *state;
    const wire_permit_t one = {.bucket = BYTES_LIT("slow"), .tokens = 1};
    uint64_t tokens = 0;
    for (int i = 0; i < 100; i++) { /* which keeps the session alive, too */
        rig_send(rig, A, WIRE_PERMIT, 1, &one);
        tokens += got(rig, A, 1).tokens;
        rig_sleep(rig, S);
    }
    assert_in_range(tokens, 9, 11);
}

/* -- order ----------------------------------------------------------------------------------------------- */
static void a_higher_class_goes_first_whenever_it_came(void **state)
{
    rig_t *rig = *state;
    (void)draw(rig, A, 3);
    ask(rig, A, 1, 1, 2, 5000);
    ask(rig, B, 2, 1, 1, 5000);
    ask(rig, C, 3, 1, 0, 5000);
    rig_sleep(rig, 110 * MS);
    assert_int_equal(got(rig, C, 3).tokens, 1);
    assert_null(rig_take(rig, B));
    rig_sleep(rig, 100 * MS);
    assert_int_equal(got(rig, B, 2).tokens, 1);
    rig_sleep(rig, 100 * MS);
    assert_int_equal(got(rig, A, 1).tokens, 1);
}

static void nobody_overtakes_who_waits_in_the_same_class(void **state)
{
    rig_t *rig = *state;
    (void)draw(rig, A, 3);
    ask(rig, B, 1, 1, 1, 5000);
    rig_sleep(rig, 50 * MS);
    assert_int_equal(draw(rig, C, 1).tokens, 0); /* live, but there is nothing yet */
    ask(rig, C, 2, 1, 1, 0);
    assert_int_equal(got(rig, C, 2).tokens, 0);
    rig_sleep(rig, 60 * MS);
    assert_int_equal(got(rig, B, 1).tokens, 1);
}

static void within_a_class_the_sessions_take_turns(void **state)
{
    rig_t *rig = *state;
    uint64_t tokens[4] = {0};
    (void)draw(rig, A, 3);
    for (uint64_t i = 0; i < 20; i++)
        ask(rig, A, 100 + i, 3, 1, 60000);
    ask(rig, B, 200, 1, 1, 60000);
    ask(rig, B, 201, 1, 1, 60000);
    for (int i = 0; i < 4; i++) {
        rig_sleep(rig, 101 * MS);
        for (uint64_t peer = A; peer <= B; peer++) {
            rig->taken = 0;
            const wire_msg_t *msg = rig_take(rig, peer);
            tokens[peer] += msg ? msg->permitted.tokens : 0;
        }
    }
    assert_int_equal(tokens[A], 2);
    assert_int_equal(tokens[B], 2);
}

static void what_a_vanished_session_waited_for_goes_to_the_others(void **state)
{
    rig_t *rig = *state;
    core_stats_t stats;
    (void)draw(rig, A, 3);
    for (uint64_t i = 0; i < 10; i++)
        ask(rig, A, i, 3, 0, 60000);
    ask(rig, B, 5, 1, 1, 60000);
    rig_gone(rig, A);
    core_stats(rig->core, &stats);
    assert_int_equal(stats.permits_waiting, 1);
    rig_sleep(rig, 101 * MS);
    assert_int_equal(got(rig, B, 5).tokens, 1);
}

/* -- giving back ------------------------------------------------------------------------------------------- */
static void what_was_not_used_goes_back_and_to_who_waits(void **state)
{
    rig_t *rig = *state;
    wire_permitted_t p = draw(rig, A, 3);
    ask(rig, B, 5, 2, 1, 1000);
    rig_send(rig, A, WIRE_PERMIT, 8, &(wire_permit_t){.bucket = BYTES_LIT("erp"), .permit = p.permit, .unused = 2});
    assert_int_equal(got(rig, B, 5).tokens, 2);
}

static void no_more_goes_back_than_was_had(void **state)
{
    rig_t *rig = *state;
    wire_permitted_t p = draw(rig, A, 2);
    (void)give_back(rig, A, p.permit, 1000);
    (void)give_back(rig, A, p.permit, 2);
    uint64_t tokens = 0;
    for (int i = 0; i < 5; i++)
        tokens += draw(rig, A, 3).tokens;
    assert_int_equal(tokens, 3);
}

static void nobody_gives_back_the_permit_of_another(void **state)
{
    rig_t *rig = *state;
    wire_permitted_t p = draw(rig, A, 3);
    (void)give_back(rig, B, p.permit, 3);
    (void)give_back(rig, A, p.permit + 1, 3);
    assert_int_equal(draw(rig, B, 3).tokens, 0);
}

static void an_expired_permit_counts_as_used(void **state)
{
    rig_t *rig = *state;
    (void)draw(rig, B, 2);
    wire_permitted_t p = draw(rig, A, 1);
    rig_sleep(rig, 200 * MS);
    (void)give_back(rig, A, p.permit, 1);
    assert_int_equal(draw(rig, B, 3).tokens, 2); /* what the pace brought, and no more */
}

static void a_permit_given_back_is_passed_on_with_what_is_left_of_its_time(void **state)
{
    rig_t *rig = *state;
    wire_permitted_t p = draw(rig, A, 3);
    rig_sleep(rig, 80 * MS);
    (void)give_back(rig, A, p.permit, 2);
    wire_permitted_t second = draw(rig, B, 1);
    assert_int_equal(second.tokens, 1);
    assert_int_equal(second.expires_ms, 120);
    (void)give_back(rig, B, second.permit, 1);
    assert_int_equal(draw(rig, C, 3).tokens, 1); /* the newest one that came back, then the other */
    assert_int_equal(draw(rig, C, 3).tokens, 1);
    assert_int_equal(draw(rig, C, 3).tokens, 0);
}

/* Draw and give back at random: however much goes back, in no stretch of time are more kept than the pace allows for
 * that stretch and the time for which a permit is worth something. */
static void permits_that_are_kept_never_pass_the_pace(void **state)
{
    rig_t *rig = *state;
    enum { ROUNDS = 3000 };
    int64_t *kept_us = calloc(ROUNDS * 3, sizeof *kept_us);
    size_t kept = 0;
    uint64_t held[8] = {0}, random = 12345;
    for (int i = 0; i < ROUNDS; i++) {
        random = random * UINT64_C(6364136223846793005) + 1442695040888963407u;
        wire_permitted_t p = draw(rig, A, 1 + (random >> 40) % 3);
        uint64_t back = p.tokens ? (random >> 50) % (p.tokens + 1) : 0;
        for (uint64_t n = back; n < p.tokens; n++)
            kept_us[kept++] = rig->now_us;
        if (held[i % 8])
            (void)give_back(rig, A, held[i % 8] >> 8, held[i % 8] & 0xFF);
        held[i % 8] = back ? p.permit << 8 | back : 0;
        rig_sleep(rig, (int64_t)((random >> 30) % 60) * MS);
    }
    for (size_t i = 0; i < kept; i++)
        for (size_t j = i; j < kept && kept_us[j] - kept_us[i] <= 2 * S; j++)
            assert_true((int64_t)(j - i) <= (kept_us[j] - kept_us[i] + 200 * MS) / (100 * MS) + 2);
    assert_true(kept > 300);
    free(kept_us);
}

/* -- bounds -------------------------------------------------------------------------------------------------- */
static void wrong_requests_are_refused_by_name(void **state)
{
    rig_t *rig = *state;
    ask(rig, A, 1, 0, 0, 0);
    expect_refusal(rig, A, "InvalidParameterValue");
    ask(rig, A, 1, 1, 3, 0);
    expect_refusal(rig, A, "InvalidParameterValue");
    ask(rig, A, 1, 1, 0, 60001);
    expect_refusal(rig, A, "InvalidParameterValue");
    rig_send(rig, A, WIRE_PERMIT, 1, &(wire_permit_t){.bucket = BYTES_LIT("none"), .tokens = 1});
    expect_refusal(rig, A, "ResourceNotFoundException");
}

static void too_many_that_wait_are_refused(void **state)
{
    rig_t *rig = *state;
    (void)draw(rig, A, 3);
    for (uint64_t i = 0; i < PERMIT_SESSION_MAX; i++)
        ask(rig, A, i, 1, 2, 60000);
    ask(rig, A, 1, 1, 2, 60000);
    expect_refusal(rig, A, "TOO_MANY_PERMITS");
    for (uint64_t peer = 10; peer < 13; peer++) {
        char name[32];
        (void)snprintf(name, sizeof name, "batch-%06d", (int)peer);
        rig_hello(rig, peer, name, NULL);
        for (uint64_t i = 0; i < PERMIT_SESSION_MAX; i++)
            ask(rig, peer, i, 1, 2, 60000);
    }
    ask(rig, B, 1, 1, 2, 60000);
    expect_refusal(rig, B, "ThrottlingException");
    ask(rig, B, 2, 1, 1, 60000); /* another class has its own bound */
    rig_sleep(rig, 110 * MS);
    assert_int_equal(got(rig, B, 2).tokens, 1);
}

static void a_stopping_broker_answers_who_waits_with_nothing(void **state)
{
    rig_t *rig = *state;
    (void)draw(rig, A, 3);
    ask(rig, B, 5, 1, 0, 60000);
    core_step(rig->core, rig->now_us, &(core_input_t){.kind = CORE_IN_STOP}, &rig->out);
    assert_int_equal(got(rig, B, 5).tokens, 0);
}

/* -- restarts and topology ------------------------------------------------------------------------------------ */
static void after_a_restart_a_bucket_is_empty_for_a_second(void **state)
{
    rig_t *rig = *state;
    rig_restart(rig, 0);
    rig_hello(rig, 11, "erp-000011", NULL);
    assert_int_equal(draw(rig, 11, 3).tokens, 0);
    rig_sleep(rig, 990 * MS);
    assert_int_equal(draw(rig, 11, 3).tokens, 0);
    rig_sleep(rig, 20 * MS);
    assert_int_equal(draw(rig, 11, 3).tokens, 1);
}

/* A slow bucket would give its token anew with every restart, were it not journaled. */
static void a_restart_grants_nothing_twice(void **state)
{
    rig_t *rig = *state;
    const wire_permit_t one = {.bucket = BYTES_LIT("slow"), .tokens = 1};
    for (int i = 0; i < 10; i++) {
        rig_sleep(rig, S);
        rig_send(rig, A, WIRE_PING, 0, &(wire_ping_t){0});
    }
    rig_send(rig, A, WIRE_PERMIT, 1, &one);
    assert_int_equal(got(rig, A, 1).tokens, 1);
    assert_int_equal(rig_record(rig, rig->records)->kind, RECORD_PERMITS);
    for (uint64_t i = 0; i < 4; i++) {
        uint64_t digest = core_digest(rig->core);
        rig_restart(rig, 0);
        assert_int_equal(core_digest(rig->core), digest);
        char name[32];
        rig_sleep(rig, 2 * S);
        (void)snprintf(name, sizeof name, "erp-%06d", (int)i + 20);
        rig_hello(rig, 20 + i, name, NULL);
        rig_send(rig, 20 + i, WIRE_PERMIT, 1, &one);
        assert_int_equal(got(rig, 20 + i, 1).tokens, 0);
    }
}

static void a_snapshot_remembers_how_far_tokens_may_have_been_granted(void **state)
{
    rig_t *rig = *state;
    const wire_permit_t one = {.bucket = BYTES_LIT("slow"), .tokens = 1};
    for (int i = 0; i < 10; i++) {
        rig_sleep(rig, S);
        rig_send(rig, A, WIRE_PERMIT, 1, &one);
    }
    uint64_t digest = core_digest(rig->core);
    rig_snapshot(rig);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
    rig_sleep(rig, 2 * S);
    rig_hello(rig, 20, "erp-000020", NULL);
    rig_send(rig, 20, WIRE_PERMIT, 1, &one);
    assert_int_equal(got(rig, 20, 1).tokens, 0);
}

static void a_grant_leaves_with_the_record_that_allows_for_it(void **state)
{
    rig_t *rig = *state;
    uint64_t before = rig->records;
    (void)draw(rig, A, 1);
    assert_int_equal(rig->records, before + 1);
    assert_int_equal(rig->out.outs[0].after, rig->records);
    for (int i = 0; i < 5; i++) {
        (void)draw(rig, A, 1);
        rig_sleep(rig, 100 * MS);
    }
    assert_int_equal(rig->records, before + 1); /* one record serves a second */
}

static void the_topology_changes_buckets_and_ends_them(void **state)
{
    rig_t *rig = *state;
    (void)draw(rig, A, 3);
    rig_topology(rig, "{\"Buses\":[{\"Name\":\"b\"}],\"PermitBuckets\":[{\"BucketName\":\"erp\",\"RateLimit\":100,"
                      "\"BurstLimit\":5}]}");
    ask(rig, A, 1, 5, 0, 0);
    assert_int_equal(got(rig, A, 1).tokens, 2); /* what the larger burst adds */
    ask(rig, B, 2, 1, 0, 60000);
    rig_topology(rig, "{\"Buses\":[{\"Name\":\"b\"}]}");
    expect_refusal(rig, B, "ResourceNotFoundException");
    uint64_t digest = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
}

static void a_wrong_bucket_is_refused_with_its_place(void **state)
{
    rig_t *rig = *state;
    static const char *const wrong[] = {
        "{\"BucketName\":\"x\"}",
        "{\"BucketName\":\"x\",\"RateLimit\":0}",
        "{\"BucketName\":\"x\",\"RateLimit\":\"5\"}",
        "{\"BucketName\":\"x\",\"RateLimit\":1e9}",
        "{\"BucketName\":\"x\",\"RateLimit\":5,\"BurstLimit\":0}",
        "{\"BucketName\":\"x\",\"RateLimit\":5,\"ExpiryMilliseconds\":1}",
        "{\"BucketName\":\"\",\"RateLimit\":5}",
        "{\"BucketName\":\"x\",\"RateLimit\":5,\"Colour\":1}",
        "{\"BucketName\":\"x\",\"RateLimit\":5},{\"BucketName\":\"x\",\"RateLimit\":5}",
    };
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++) {
        char json[256];
        (void)snprintf(json, sizeof json, "{\"Buses\":[{\"Name\":\"b\"}],\"PermitBuckets\":[%s]}", wrong[i]);
        const char *why = rig_try_topology(rig, json);
        if (!strstr(why, "PermitBuckets[") && !strstr(why, "permit bucket \"x\""))
            fail_msg("%s: \"%s\"", wrong[i], why);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
        T(a_full_bucket_gives_its_burst_and_then_the_pace),
        T(all_sessions_together_stay_below_the_ceiling),
        T(a_request_waits_for_its_token_and_hears_how_long),
        T(a_wait_that_is_over_is_answered_with_nothing_and_a_time_to_try_again),
        T(a_pace_slower_than_a_token_a_second_is_kept),
        T(a_higher_class_goes_first_whenever_it_came),
        T(nobody_overtakes_who_waits_in_the_same_class),
        T(within_a_class_the_sessions_take_turns),
        T(what_a_vanished_session_waited_for_goes_to_the_others),
        T(what_was_not_used_goes_back_and_to_who_waits),
        T(no_more_goes_back_than_was_had),
        T(nobody_gives_back_the_permit_of_another),
        T(an_expired_permit_counts_as_used),
        T(a_permit_given_back_is_passed_on_with_what_is_left_of_its_time),
        T(permits_that_are_kept_never_pass_the_pace),
        T(wrong_requests_are_refused_by_name),
        T(too_many_that_wait_are_refused),
        T(a_stopping_broker_answers_who_waits_with_nothing),
        T(after_a_restart_a_bucket_is_empty_for_a_second),
        T(a_restart_grants_nothing_twice),
        T(a_snapshot_remembers_how_far_tokens_may_have_been_granted),
        T(a_grant_leaves_with_the_record_that_allows_for_it),
        T(the_topology_changes_buckets_and_ends_them),
        T(a_wrong_bucket_is_refused_with_its_place),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
