/* test_core_publish.c: admission, deduplication, producers, and cursors that follow a bus. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "tests/lib/core_rig.h"

#define S INT64_C(1000000)

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"shop\"},{\"Name\":\"other\"}],"
    "\"Rules\":[{\"Name\":\"r\",\"EventBusName\":\"shop\",\"EventPattern\":{\"detail-type\":[\"a\"]},"
    "\"Targets\":[{\"Id\":\"1\",\"Arn\":\"one\"},{\"Id\":\"2\",\"Arn\":\"two\"},"
    "{\"Id\":\"3\",\"Arn\":\"three\",\"State\":\"DISABLED\"}]},"
    "{\"Name\":\"again\",\"EventBusName\":\"shop\",\"EventPattern\":{\"source\":[\"test\"]},"
    "\"Targets\":[{\"Id\":\"1\",\"Arn\":\"one\"}]}],"
    "\"Queues\":[{\"QueueName\":\"one\"},{\"QueueName\":\"two\"},{\"QueueName\":\"three\"}]}";

typedef struct {
    rig_t rig;
    wire_publish_t publish;
    buf_t envelope;
    wire_result_entry_t result; /* of the last publish */
} case_t;

static int open_case(void **state)
{
    case_t *c = calloc(1, sizeof *c);
    rig_open(&c->rig, NULL);
    rig_topology(&c->rig, topology);
    rig_hello(&c->rig, 1, "one-000001", NULL);
    *state = c;
    return 0;
}

static int close_case(void **state)
{
    case_t *c = *state;
    rig_close(&c->rig);
    buf_free(&c->envelope);
    free(c);
    return 0;
}

static wire_publish_entry_t *event(case_t *c, const char *detail_type)
{
    buf_clear(&c->envelope);
    rig_envelope(&c->envelope, detail_type, 1);
    c->publish = (wire_publish_t){.bus = BYTES_LIT("shop")};
    c->publish.entries.count = 1;
    c->publish.entries.items[0].body = buf_bytes(&c->envelope);
    return &c->publish.entries.items[0];
}

static const wire_msg_t *publish_by(case_t *c, uint64_t peer)
{
    rig_send(&c->rig, peer, WIRE_PUBLISH, 3, &c->publish);
    const wire_msg_t *msg = rig_take(&c->rig, peer);
    assert_non_null(msg);
    if (msg->verb == WIRE_PUBLISHED)
        c->result = msg->published.results.items[0];
    c->rig.taken = 0;
    return msg;
}

static const wire_result_entry_t *published(case_t *c)
{
    const wire_msg_t *msg = publish_by(c, 1);
    assert_int_equal(msg->verb, WIRE_PUBLISHED);
    return &c->result;
}

static void expect_error(const wire_msg_t *msg, const char *name)
{
    assert_int_equal(msg->verb, WIRE_ERROR);
    if (!bytes_eq_cstr(msg->error.name, name))
        fail_msg("%.*s, not %s", BYTES_FMT(msg->error.name), name);
}

static void one_record_says_where_an_event_went_and_each_queue_gets_it_once(void **state)
{
    case_t *c = *state;
    event(c, "a");
    uint64_t record = published(c)->record;
    const record_publish_t *r = &rig_record(&c->rig, record)->publish;
    assert_int_equal(r->routes.count, 2);
    assert_true(bytes_eq_cstr(r->routes.items[0].rule, "shop/r/1"));
    assert_string_equal(core_queue_name(c->rig.core, r->routes.items[1].queue), "two");
    assert_int_equal(r->topology, 1);
}

static void an_unknown_bus_is_refused_and_a_bad_event_alone_is_refused_in_its_frame(void **state)
{
    case_t *c = *state;
    event(c, "a");
    c->publish.bus = BYTES_LIT("nowhere");
    expect_error(publish_by(c, 1), "ResourceNotFoundException");
    event(c, "a");
    c->publish.entries.items[1] = c->publish.entries.items[0];
    c->publish.entries.items[0].body = BYTES_LIT("\x01");
    c->publish.entries.count = 2;
    const wire_msg_t *msg = publish_by(c, 1);
    assert_int_equal(msg->published.results.items[0].status, STATUS_INVALID_ARGUMENT);
    assert_true(msg->published.results.items[0].message.len > 0);
    assert_int_equal(msg->published.results.items[1].status, 0);
}

static void a_deduplication_key_holds_for_its_window_and_across_a_restart(void **state)
{
    case_t *c = *state;
    event(c, "a")->dedup = BYTES_LIT("k");
    uint64_t record = published(c)->record;
    rig_restart(&c->rig, 0);
    rig_hello(&c->rig, 2, "two-000002", NULL);
    rig_sleep(&c->rig, 5 * S);
    assert_int_equal(publish_by(c, 2)->published.results.items[0].record, record);
    assert_true(c->result.duplicate);
    rig_sleep(&c->rig, 296 * S);
    rig_hello(&c->rig, 3, "three-000003", NULL);
    publish_by(c, 3);
    assert_false(c->result.duplicate);
}

static void a_replay_has_deduplication_keys_of_its_own(void **state)
{
    case_t *c = *state;
    event(c, "a")->dedup = BYTES_LIT("k");
    published(c);
    c->publish.replay_name = BYTES_LIT("replay");
    assert_false(published(c)->duplicate);
    assert_true(published(c)->duplicate);
}

static void hello_as(case_t *c, uint64_t peer, const char *name, uint64_t epoch, uint64_t newest)
{
    rig_send(&c->rig, peer, WIRE_HELLO, 1,
             &(wire_hello_t){
                 .protocol = WIRE_PROTOCOL, .name = bytes_cstr(name), .producer = BYTES_LIT("p"), .epoch = epoch});
    assert_int_equal(rig_expect(&c->rig, peer, WIRE_WELCOME)->welcome.producer_seq, newest);
}

static void a_producer_is_answered_the_same_for_the_same_number_also_after_a_restart(void **state)
{
    case_t *c = *state;
    hello_as(c, 2, "two-000002", 1, 0);
    event(c, "a");
    c->publish.producer_seq = 1;
    uint64_t record = publish_by(c, 2)->published.results.items[0].record;
    rig_restart(&c->rig, 0);
    hello_as(c, 3, "three-000003", 1, 1);
    publish_by(c, 3);
    assert_int_equal(c->result.record, record);
    assert_true(c->result.duplicate);
}

static void a_refused_number_may_be_tried_again_and_an_old_one_has_expired(void **state)
{
    case_t *c = *state;
    rig_close(&c->rig);
    rig_open(&c->rig, &(core_limits_t){.producer_window = 4});
    rig_topology(&c->rig, topology);
    hello_as(c, 2, "two-000002", 1, 0);
    event(c, "a")->body = BYTES_LIT("\x01");
    c->publish.producer_seq = 1;
    assert_int_equal(publish_by(c, 2)->published.results.items[0].status, STATUS_INVALID_ARGUMENT);
    event(c, "a");
    for (uint64_t seq = 1; seq <= 5; seq++) {
        c->publish.producer_seq = seq;
        assert_int_equal(publish_by(c, 2)->published.results.items[0].status, 0);
        assert_false(c->result.duplicate);
    }
    c->publish.producer_seq = 1;
    assert_true(bytes_eq_cstr(publish_by(c, 2)->published.results.items[0].aws, "SEQUENCE_EXPIRED"));
}

static void a_higher_epoch_fences_the_older_process(void **state)
{
    case_t *c = *state;
    hello_as(c, 2, "two-000002", 1, 0);
    hello_as(c, 3, "three-000003", 2, 0);
    event(c, "a");
    c->publish.producer_seq = 1;
    assert_true(bytes_eq_cstr(publish_by(c, 2)->published.results.items[0].aws, "PRODUCER_FENCED"));
    assert_int_equal(publish_by(c, 3)->published.results.items[0].status, 0);
    rig_send(
        &c->rig, 4, WIRE_HELLO, 1,
        &(wire_hello_t){.protocol = WIRE_PROTOCOL, .name = BYTES_LIT("x"), .producer = BYTES_LIT("p"), .epoch = 1});
    expect_error(rig_take(&c->rig, 4), "PRODUCER_FENCED");
}

#define DAY (INT64_C(86400) * S)

static void answers_to_a_producer_are_kept_for_days(void **state)
{
    case_t *c = *state;
    hello_as(c, 2, "two-000002", 1, 0);
    event(c, "a");
    c->publish.producer_seq = 1;
    uint64_t record = publish_by(c, 2)->published.results.items[0].record;
    rig_sleep(&c->rig, 4 * DAY);
    rig_snapshot(&c->rig);
    rig_restart(&c->rig, 0);
    rig_sleep(&c->rig, 3 * DAY);
    hello_as(c, 3, "three-000003", 1, 1);
    publish_by(c, 3);
    assert_int_equal(c->result.record, record);
    assert_true(c->result.duplicate);
}

static void a_window_of_four_days_is_kept_to_the_hour_and_over_restarts(void **state)
{
    case_t *c = *state;
    rig_topology(&c->rig, "{\"Buses\":[{\"Name\":\"shop\",\"DeduplicationWindowSeconds\":345600}]}");
    event(c, "a")->dedup = BYTES_LIT("k");
    uint64_t record = published(c)->record;
    rig_sleep(&c->rig, 2 * DAY);
    rig_snapshot(&c->rig);
    rig_restart(&c->rig, 0);
    rig_sleep(&c->rig, 2 * DAY - 3600 * S);
    rig_hello(&c->rig, 2, "two-000002", NULL);
    publish_by(c, 2);
    assert_true(c->result.duplicate);
    assert_int_equal(c->result.record, record);
    rig_sleep(&c->rig, 2 * 3600 * S);
    rig_hello(&c->rig, 3, "three-000003", NULL);
    publish_by(c, 3);
    assert_false(c->result.duplicate);
}

static void one_producer_too_many_pushes_out_the_one_that_was_idle_longest_and_is_counted(void **state)
{
    case_t *c = *state;
    core_stats_t stats;
    rig_close(&c->rig);
    rig_open(&c->rig, &(core_limits_t){.producers = 2});
    rig_topology(&c->rig, topology);
    for (uint64_t peer = 1; peer <= 3; peer++) {
        char name[] = "producer-00000x";
        name[sizeof name - 2] = (char)('0' + peer);
        const wire_hello_t hello = {
            .protocol = WIRE_PROTOCOL, .name = bytes_cstr(name), .producer = bytes_cstr(name), .epoch = 1};
        rig_send(&c->rig, peer, WIRE_HELLO, 1, &hello);
        (void)rig_expect(&c->rig, peer, WIRE_WELCOME);
    }
    core_stats(c->rig.core, &stats);
    assert_int_equal(stats.producers, 2);
    assert_int_equal(stats.producers_forgotten, 1);
    event(c, "a");
    c->publish.producer_seq = 1;
    assert_true(bytes_eq_cstr(publish_by(c, 1)->published.results.items[0].aws, "SEQUENCE_EXPIRED"));
    assert_int_equal(publish_by(c, 3)->published.results.items[0].status, 0);
}

static void produce_as(case_t *c, uint64_t peer, const char *name, uint8_t resume[CORE_RESUME_BYTES])
{
    const wire_hello_t hello = {.protocol = WIRE_PROTOCOL,
                                .name = bytes_cstr(name),
                                .producer = bytes_cstr(name),
                                .resume = bytes_from(resume, CORE_RESUME_BYTES),
                                .epoch = 1};
    rig_send(&c->rig, peer, WIRE_HELLO, 1, &hello);
    const wire_welcome_t *welcome = &rig_expect(&c->rig, peer, WIRE_WELCOME)->welcome;
    assert_int_equal(welcome->resume.len, CORE_RESUME_BYTES);
    memcpy(resume, welcome->resume.data, CORE_RESUME_BYTES);
}

/* Eight services under a new name each, `rounds` times, beside a quiet one (peer 1), which says that it lives. */
static void restart_others(case_t *c, uint64_t *peer, int rounds)
{
    for (int i = 0; i < 8 * rounds; i++) {
        uint8_t none[CORE_RESUME_BYTES] = {0};
        char name[32];
        (void)snprintf(name, sizeof name, "service-%06llu", (unsigned long long)++*peer);
        produce_as(c, *peer, name, none);
        rig_send(&c->rig, *peer, WIRE_BYE, 0, &(wire_bye_t){0});
        rig_sleep(&c->rig, S);
        rig_send(&c->rig, 1, WIRE_PING, 0, &(wire_ping_t){0});
    }
}

static void a_house_that_restarts_all_the_time_pushes_out_no_producer_that_has_a_session(void **state)
{
    case_t *c = *state;
    core_stats_t stats;
    uint8_t resume[CORE_RESUME_BYTES] = {0};
    uint64_t peer = 1;
    rig_close(&c->rig);
    rig_open(&c->rig, &(core_limits_t){.producers = 16});
    rig_topology(&c->rig, topology);
    produce_as(c, 1, "quiet-000001", resume);
    event(c, "a");
    c->publish.producer_seq = 1;
    assert_int_equal(publish_by(c, 1)->published.results.items[0].status, 0);
    restart_others(c, &peer, 20);
    uint64_t digest = core_digest(c->rig.core);
    rig_restart(&c->rig, 0); /* what recovery forgets is what was forgotten live */
    assert_int_equal(core_digest(c->rig.core), digest);
    produce_as(c, 1, "quiet-000001", resume);
    restart_others(c, &peer, 20);
    core_stats(c->rig.core, &stats);
    assert_int_equal(stats.producers, 16);
    assert_true(stats.producers_forgotten > 100);
    assert_true(publish_by(c, 1)->published.results.items[0].duplicate);
    c->publish.producer_seq = 2;
    assert_int_equal(publish_by(c, 1)->published.results.items[0].status, 0);
    rig_send(&c->rig, 1, WIRE_BYE, 0, &(wire_bye_t){0}); /* now it may go */
    restart_others(c, &peer, 3);
    produce_as(c, 1, "quiet-000001", resume);
    assert_int_equal(rig_record(&c->rig, c->rig.records)->kind, RECORD_SESSION);
    assert_false(publish_by(c, 1)->published.results.items[0].duplicate);
}

static void an_event_may_be_addressed_to_one_queue_or_one_subscriber(void **state)
{
    case_t *c = *state;
    event(c, "a");
    c->publish.to = BYTES_LIT("queue:two");
    assert_int_equal(rig_record(&c->rig, published(c)->record)->publish.routes.count, 1);
    c->publish.to = BYTES_LIT("subscriber:cache");
    expect_error(publish_by(c, 1), "ResourceNotFoundException");
    rig_send(&c->rig, 1, WIRE_SUBSCRIBE, 2,
             &(wire_subscribe_t){.sub = 1,
                                 .kind = WIRE_SUBSCRIBE_BUS,
                                 .target = BYTES_LIT("shop"),
                                 .name = BYTES_LIT("cache"),
                                 .messages = 5,
                                 .bytes = 100000});
    rig_subscribe_bus(&c->rig, 1, 2, "shop", 0, 5);
    uint64_t record = published(c)->record;
    const core_out_t *deliver = rig_deliver(&c->rig, 1);
    assert_int_equal(deliver->deliver.sub, 1);
    assert_int_equal(c->rig.out.items[deliver->deliver.first].record, record);
    assert_null(rig_deliver(&c->rig, 1));
}

/* -- cursors ------------------------------------------------------------------------------------------- */
static uint64_t count_delivered(case_t *c, uint64_t peer)
{
    uint64_t count = 0;
    const core_out_t *deliver;
    c->rig.taken = 0;
    while ((deliver = rig_deliver(&c->rig, peer)) != NULL)
        count += deliver->deliver.count;
    return count;
}

static void a_cursor_reads_the_past_and_goes_on_at_the_head(void **state)
{
    case_t *c = *state;
    for (int i = 0; i < 20; i++)
        rig_publish(&c->rig, 1, i % 2 ? "shop" : "other", "x");
    rig_subscribe_bus(&c->rig, 1, 1, "shop", 1, 100);
    assert_int_equal(count_delivered(c, 1), 10);
    rig_publish(&c->rig, 1, "shop", "x");
    assert_int_equal(count_delivered(c, 1), 1);
}

static void a_cursor_without_credit_stays_and_catches_up_without_loss(void **state)
{
    case_t *c = *state;
    rig_subscribe_bus(&c->rig, 1, 1, "*", 0, 2);
    for (int i = 0; i < 6; i++)
        rig_publish(&c->rig, 1, "other", "x");
    rig_send(&c->rig, 1, WIRE_CREDIT, 0, &(wire_credit_t){.sub = 1, .messages = 3, .bytes = 1 << 20});
    assert_int_equal(count_delivered(c, 1), 3);
    rig_send(&c->rig, 1, WIRE_CREDIT, 0, &(wire_credit_t){.sub = 1, .messages = 9, .bytes = 1 << 20});
    assert_int_equal(count_delivered(c, 1), 1);
    rig_publish(&c->rig, 1, "other", "x");
    assert_int_equal(count_delivered(c, 1), 1);
}

static void a_cursor_that_lags_too_far_skips_to_the_head_with_a_gap(void **state)
{
    case_t *c = *state;
    rig_close(&c->rig);
    rig_open(&c->rig, &(core_limits_t){.lag_records = 10});
    rig_topology(&c->rig, topology);
    rig_hello(&c->rig, 1, "one-000001", NULL);
    rig_subscribe_bus(&c->rig, 1, 1, "shop", 0, 0);
    uint64_t first = rig_publish(&c->rig, 1, "shop", "x");
    for (int i = 0; i < 12; i++)
        rig_publish(&c->rig, 1, "shop", "x");
    rig_send(&c->rig, 1, WIRE_CREDIT, 0, &(wire_credit_t){.sub = 1, .messages = 9, .bytes = 1 << 20});
    const wire_msg_t *msg = rig_expect(&c->rig, 1, WIRE_GAP);
    assert_int_equal(msg->gap.from, first);
    assert_int_equal(msg->gap.next, c->rig.records + 1);
    assert_int_equal(count_delivered(c, 1), 0);
}

static void a_cursor_shows_what_its_pattern_asks_and_no_replays_if_it_wants_none(void **state)
{
    case_t *c = *state;
    rig_send(&c->rig, 1, WIRE_SUBSCRIBE, 2,
             &(wire_subscribe_t){.sub = 1,
                                 .kind = WIRE_SUBSCRIBE_BUS,
                                 .target = BYTES_LIT("shop"),
                                 .pattern = BYTES_LIT("{\"detail-type\":[\"a\"]}"),
                                 .live_only = true,
                                 .messages = 5,
                                 .bytes = 100000});
    event(c, "b");
    published(c);
    assert_int_equal(count_delivered(c, 1), 0);
    event(c, "a");
    published(c);
    assert_int_equal(count_delivered(c, 1), 1);
    c->publish.replay_name = BYTES_LIT("r");
    published(c);
    assert_int_equal(count_delivered(c, 1), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_case, close_case)
    const struct CMUnitTest tests[] = {
        TEST(one_record_says_where_an_event_went_and_each_queue_gets_it_once),
        TEST(an_unknown_bus_is_refused_and_a_bad_event_alone_is_refused_in_its_frame),
        TEST(a_deduplication_key_holds_for_its_window_and_across_a_restart),
        TEST(a_replay_has_deduplication_keys_of_its_own),
        TEST(a_producer_is_answered_the_same_for_the_same_number_also_after_a_restart),
        TEST(a_refused_number_may_be_tried_again_and_an_old_one_has_expired),
        TEST(a_higher_epoch_fences_the_older_process),
        TEST(answers_to_a_producer_are_kept_for_days),
        TEST(a_window_of_four_days_is_kept_to_the_hour_and_over_restarts),
        TEST(one_producer_too_many_pushes_out_the_one_that_was_idle_longest_and_is_counted),
        TEST(a_house_that_restarts_all_the_time_pushes_out_no_producer_that_has_a_session),
        TEST(an_event_may_be_addressed_to_one_queue_or_one_subscriber),
        TEST(a_cursor_reads_the_past_and_goes_on_at_the_head),
        TEST(a_cursor_without_credit_stays_and_catches_up_without_loss),
        TEST(a_cursor_that_lags_too_far_skips_to_the_head_with_a_gap),
        TEST(a_cursor_shows_what_its_pattern_asks_and_no_replays_if_it_wants_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
