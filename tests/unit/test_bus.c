/* test_bus.c: sessions and publishing of the bus client, held against a scripted broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "kit/clock.h"
#include "kit/log.h"
#include "proto/attrs.h"
#include "proto/envelope.h"
#include "proto/msgpack.h"
#include "tests/lib/bus_peer.h"

typedef struct {
    peer_t peer;
    bus_t *bus;
    int ok, failed, ups, downs;
    uint64_t records[64];
    bool duplicate;
    error_t err;
    char why[ERROR_MESSAGE_BYTES];
} fixture_t;

static int setup(void **state)
{
    fixture_t *f = calloc(1, sizeof *f);
    log_start("test", "test-000001", LOG_ERROR + 1);
    peer_start(&f->peer);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    fixture_t *f = *state;
    bus_free(&f->bus);
    peer_stop(&f->peer);
    free(f);
    return 0;
}

static void on_result(void *ctx, const error_t *err, uint64_t record, bool duplicate)
{
    fixture_t *f = ctx;
    if (err) {
        f->err = *err;
        f->failed++;
        return;
    }
    f->records[f->ok++] = record;
    f->duplicate = duplicate;
}

static void on_state(void *ctx, bool is_up, const char *why)
{
    fixture_t *f = ctx;
    *(is_up ? &f->ups : &f->downs) += 1;
    if (!is_up)
        (void)bytes_to_cstr(bytes_cstr(why), f->why, sizeof f->why);
}

/* A client with a session. */
static void begin(fixture_t *f, const char *producer, const wire_welcome_t *welcome)
{
    f->bus = peer_client(&f->peer, producer);
    peer_greet(&f->peer, welcome);
    while (!bus_is_up(f->bus))
        peer_for(&f->peer, 1);
}

static const uint8_t small[] = {0x81, 0xa1, 'a', 0x01}; /* {"a": 1} */

static bool publish_body(fixture_t *f, const char *to, bytes_t body, error_t *err)
{
    bus_raw_event_t event = {.bus = to, .envelope = body};
    return bus_publish_raw(f->bus, &event, on_result, f, err);
}

static void publish(fixture_t *f, const char *to)
{
    assert_true(publish_body(f, to, bytes_from(small, sizeof small), NULL));
}

static void answer(fixture_t *f, uint64_t seq, uint64_t first_record, uint32_t count)
{
    wire_published_t *frame = calloc(1, sizeof *frame);
    frame->results.count = count;
    for (uint32_t i = 0; i < count; i++)
        frame->results.items[i].record = first_record + i;
    peer_say(&f->peer, WIRE_PUBLISHED, seq, frame);
    free(frame);
}

/* -- sessions ---------------------------------------------------------------------------------------- */
static void it_says_who_it_is_and_is_up_when_welcomed(void **state)
{
    fixture_t *f = *state;
    bus_options_t options = {.endpoint = f->peer.endpoint,
                             .instance = "chat-router-3fa9c1",
                             .version = "1.2",
                             .producer = "chat-router",
                             .epoch = 7,
                             .on_state = on_state,
                             .ctx = f};
    f->bus = bus_new(f->peer.loop, &options, NULL);
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_HELLO);
    assert_int_equal(msg->hello.protocol, WIRE_PROTOCOL);
    assert_true(bytes_eq_cstr(msg->hello.name, "chat-router-3fa9c1"));
    assert_true(bytes_eq_cstr(msg->hello.role, "chat-router"));
    assert_true(bytes_eq_cstr(msg->hello.producer, "chat-router"));
    assert_int_equal(msg->hello.epoch, 7);
    assert_int_equal(msg->hello.resume.len, 0);
    assert_false(bus_is_up(f->bus));
    wire_welcome_t welcome = peer_welcome("token");
    peer_say(&f->peer, WIRE_WELCOME, msg->seq, &welcome);
    peer_until(&f->peer, &f->ups, 1);
    assert_true(bus_is_up(f->bus));
    assert_int_equal(bus_welcome(f->bus)->head, 41);
    assert_true(bytes_eq_cstr(bus_welcome(f->bus)->broker, "mangabus-broker-000001"));
}

static void a_refused_greeting_is_told_and_tried_again(void **state)
{
    fixture_t *f = *state;
    bus_options_t options = {.endpoint = f->peer.endpoint, .instance = "tester-000001", .on_state = on_state, .ctx = f};
    f->bus = bus_new(f->peer.loop, &options, NULL);
    peer_error(&f->peer, peer_take(&f->peer, WIRE_HELLO)->seq, STATUS_ALREADY_EXISTS, "NAME_IN_USE", "taken");
    peer_until(&f->peer, &f->downs, 1);
    assert_string_equal(f->why, "taken");
    wire_welcome_t welcome = peer_welcome("token");
    peer_greet(&f->peer, &welcome);
    peer_until(&f->peer, &f->ups, 1);
}

static void a_lost_session_is_resumed_by_its_token(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("first");
    begin(f, NULL, &welcome);
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_HELLO);
    assert_true(bytes_eq_cstr(msg->hello.resume, "first"));
    assert_false(bus_is_up(f->bus));
}

static void three_silent_heartbeats_are_the_end_of_a_session(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("first");
    welcome.heartbeat_ms = 20;
    begin(f, NULL, &welcome);
    peer_for(&f->peer, 150);
    assert_true(bus_is_up(f->bus)); /* its PINGs are answered */
    f->peer.deaf = true;
    assert_true(bytes_eq_cstr(peer_take(&f->peer, WIRE_HELLO)->hello.resume, "first"));
}

static void a_broken_connection_is_noticed_at_once(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("first");
    begin(f, NULL, &welcome);
    int64_t began_ms = clock_mono_ms();
    peer_restart(&f->peer);
    assert_true(bytes_eq_cstr(peer_take(&f->peer, WIRE_HELLO)->hello.resume, "first"));
    assert_in_range(clock_mono_ms() - began_ms, 0, 1900); /* before the first heartbeat */
}

static void a_ping_is_answered_with_its_number(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, NULL, &welcome);
    wire_ping_t ping = {.number = 99};
    peer_say(&f->peer, WIRE_PING, 5, &ping);
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_PONG);
    assert_int_equal(msg->pong.number, 99);
    assert_int_equal(msg->seq, 5);
}

static void what_cannot_be_read_is_left_out(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, NULL, &welcome);
    peer_say_bytes(&f->peer, BYTES_LIT("\xc1"));
    peer_say_bytes(&f->peer, BYTES_NONE);
    peer_say_bytes(&f->peer, BYTES_LIT("\x92\xcd\xff\xff\x01")); /* verb 65535 */
    answer(f, 4711, 1, 1);                                       /* of nothing that was asked */
    publish(f, "b");
    answer(f, peer_take(&f->peer, WIRE_PUBLISH)->seq, 50, 1);
    peer_until(&f->peer, &f->ok, 1);
}

static void its_end_says_bye_and_cancels_what_is_open(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, "tester", &welcome);
    publish(f, "sent");
    (void)peer_take(&f->peer, WIRE_PUBLISH);
    publish(f, "not sent");
    bus_free(&f->bus);
    assert_int_equal(f->failed, 2);
    assert_int_equal(f->err.code, STATUS_CANCELLED);
    (void)peer_take(&f->peer, WIRE_BYE);
}

static void wrong_options_are_refused(void **state)
{
    fixture_t *f = *state;
    error_t err;
    bus_options_t options = {.endpoint = "nonsense", .instance = "a-000001"};
    assert_null(bus_new(f->peer.loop, &options, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    options.endpoint = f->peer.endpoint;
    options.public_key = "short";
    assert_null(bus_new(f->peer.loop, &options, &err));
    options.public_key = NULL;
    options.instance = "";
    assert_null(bus_new(f->peer.loop, &options, &err));
}

/* -- publishing -------------------------------------------------------------------------------------- */
static void events_of_one_turn_travel_in_one_frame(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    welcome.producer_seq = 10;
    begin(f, "tester", &welcome);
    publish(f, "one");
    publish(f, "one");
    publish(f, "two");
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_PUBLISH);
    assert_true(bytes_eq_cstr(msg->publish.bus, "one"));
    assert_int_equal(msg->publish.entries.count, 2);
    assert_int_equal(msg->publish.producer_seq, 11);
    answer(f, msg->seq, 100, 2);
    msg = peer_take(&f->peer, WIRE_PUBLISH);
    assert_true(bytes_eq_cstr(msg->publish.bus, "two"));
    assert_int_equal(msg->publish.producer_seq, 13);
    answer(f, msg->seq, 102, 1);
    assert_int_equal(f->ok, 0); /* never inside the function that started the work */
    peer_until(&f->peer, &f->ok, 3);
    assert_int_equal(f->records[0], 100);
    assert_int_equal(f->records[2], 102);
}

static void what_was_not_answered_is_sent_again_with_its_number(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, "tester", &welcome);
    publish(f, "b");
    publish(f, "b");
    (void)peer_take(&f->peer, WIRE_PUBLISH);
    publish(f, "b");
    (void)peer_take(&f->peer, WIRE_PUBLISH);
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    welcome.producer_seq = 2; /* the first frame had arrived */
    welcome.resumed = true;
    peer_greet(&f->peer, &welcome);
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_PUBLISH);
    assert_int_equal(msg->publish.producer_seq, 1);
    assert_int_equal(msg->publish.entries.count, 3);
    answer(f, msg->seq, 7, 3);
    peer_until(&f->peer, &f->ok, 3);
    publish(f, "b");
    assert_int_equal(peer_take(&f->peer, WIRE_PUBLISH)->publish.producer_seq, 4);
}

static void without_a_producer_the_outcome_of_a_lost_link_is_unknown(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, NULL, &welcome);
    publish(f, "b");
    assert_int_equal(peer_take(&f->peer, WIRE_PUBLISH)->publish.producer_seq, 0);
    peer_error(&f->peer, 0, STATUS_UNAUTHENTICATED, "NO_SESSION", "who are you");
    peer_until(&f->peer, &f->failed, 1);
    assert_int_equal(f->err.code, STATUS_UNAVAILABLE);
    assert_non_null(strstr(f->err.message, "outcome unknown"));
}

static void what_was_published_before_the_session_goes_with_it(void **state)
{
    fixture_t *f = *state;
    f->bus = peer_client(&f->peer, NULL);
    publish(f, "b");
    wire_welcome_t welcome = peer_welcome("t");
    peer_greet(&f->peer, &welcome);
    answer(f, peer_take(&f->peer, WIRE_PUBLISH)->seq, 3, 1);
    peer_until(&f->peer, &f->ok, 1);
}

static void no_more_than_the_window_is_unanswered(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    welcome.publish_window = 2;
    begin(f, NULL, &welcome);
    for (int i = 0; i < 5; i++)
        publish(f, "b");
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_PUBLISH);
    assert_int_equal(msg->publish.entries.count, 2);
    peer_for(&f->peer, 20);
    assert_false(peer_has(&f->peer, WIRE_PUBLISH));
    answer(f, msg->seq, 1, 2);
    msg = peer_take(&f->peer, WIRE_PUBLISH);
    assert_int_equal(msg->publish.entries.count, 2);
    assert_int_equal(f->ok, 2);
}

static void a_refusal_concerns_the_entry_that_it_names(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, NULL, &welcome);
    publish(f, "b");
    publish(f, "b");
    uint64_t seq = peer_take(&f->peer, WIRE_PUBLISH)->seq;
    wire_published_t *frame = calloc(1, sizeof *frame);
    frame->results.count = 2;
    frame->results.items[0] = (wire_result_entry_t){
        .status = STATUS_INVALID_ARGUMENT, .aws = BYTES_LIT("MalformedDetail"), .message = BYTES_LIT("no detail")};
    frame->results.items[1].record = 9;
    frame->results.items[1].duplicate = true;
    peer_say(&f->peer, WIRE_PUBLISHED, seq, frame);
    free(frame);
    peer_until(&f->peer, &f->ok, 1);
    assert_int_equal(f->failed, 1);
    assert_string_equal(f->err.aws, "MalformedDetail");
    assert_true(f->duplicate);
}

static void an_error_frame_refuses_all_of_its_frame(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, NULL, &welcome);
    publish(f, "b");
    publish(f, "b");
    peer_error(&f->peer, peer_take(&f->peer, WIRE_PUBLISH)->seq, STATUS_PERMISSION_DENIED, "AccessDeniedException",
               "not yours");
    peer_until(&f->peer, &f->failed, 2);
    assert_int_equal(f->err.code, STATUS_PERMISSION_DENIED);
    assert_true(bus_is_up(f->bus));
}

static void an_answer_that_is_too_short_is_an_error_for_the_rest(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, NULL, &welcome);
    publish(f, "b");
    publish(f, "b");
    answer(f, peer_take(&f->peer, WIRE_PUBLISH)->seq, 9, 1);
    peer_until(&f->peer, &f->failed, 1);
    assert_int_equal(f->ok, 1);
    assert_int_equal(f->err.code, STATUS_INTERNAL);
}

static void what_no_frame_can_hold_is_refused_here(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    welcome.max_frame_bytes = 64 << 10;
    begin(f, NULL, &welcome);
    error_t err;
    bytes_t large = bytes_from(calloc(1, 70000), 70000);
    assert_false(publish_body(f, "b", large, &err));
    assert_string_equal(err.aws, "FRAME_TOO_LARGE");
    free((void *)(uintptr_t)large.data);
}

static void entries_that_fit_no_common_frame_take_several(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    welcome.max_frame_bytes = 64 << 10;
    begin(f, NULL, &welcome);
    uint8_t *body = calloc(1, 30000);
    for (int i = 0; i < 3; i++)
        assert_true(publish_body(f, "b", bytes_from(body, 30000), NULL));
    free(body);
    assert_int_equal(peer_take(&f->peer, WIRE_PUBLISH)->publish.entries.count, 2);
    assert_int_equal(peer_take(&f->peer, WIRE_PUBLISH)->publish.entries.count, 1);
}

static void waiting_is_bounded(void **state)
{
    fixture_t *f = *state;
    f->bus = peer_client(&f->peer, NULL);
    error_t err;
    bytes_t body = bytes_from(calloc(1, 1 << 20), 1 << 20);
    int taken = 0;
    while (publish_body(f, "b", body, &err))
        taken++;
    free((void *)(uintptr_t)body.data);
    assert_in_range(taken, 60, 64);
    assert_int_equal(err.code, STATUS_RESOURCE_EXHAUSTED);
}

static void an_event_gets_an_envelope_a_trace_and_is_held_against_its_schema(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, NULL, &welcome);
    trace_t trace = trace_new();
    bus_event_t event = {.bus = "b",
                         .source = "test.source",
                         .detail_type = "anything",
                         .detail = bytes_from(small, sizeof small),
                         .resource = "isbn:9784088725093",
                         .trace = &trace};
    assert_true(bus_publish(f->bus, &event, on_result, f, NULL));
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_PUBLISH);
    envelope_t envelope;
    assert_true(envelope_read(msg->publish.entries.items[0].body, &envelope, NULL));
    assert_true(bytes_eq_cstr(envelope.source, "test.source"));
    assert_int_equal(envelope.id.len, 36);
    assert_int_equal(envelope.id.data[14], '7');
    bytes_t parent;
    trace_t carried;
    assert_true(attrs_str(msg->publish.entries.items[0].attrs, ATTR_TRACEPARENT, &parent));
    assert_true(trace_parse(parent, &carried));
    assert_memory_equal(carried.trace_id, trace.trace_id, sizeof trace.trace_id);
    error_t err;
    event.source = "manga-assist.inventory";
    event.detail_type = "inventory.updated";
    assert_false(bus_publish(f->bus, &event, on_result, f, &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
    assert_non_null(strstr(err.message, "detail"));
}

static void a_message_carries_its_group_and_delay(void **state)
{
    fixture_t *f = *state;
    wire_welcome_t welcome = peer_welcome("t");
    begin(f, NULL, &welcome);
    bus_message_t message = {.queue = "q",
                             .body = bytes_from(small, sizeof small),
                             .group = BYTES_LIT("g"),
                             .dedup = BYTES_LIT("d"),
                             .delay_ms = -1};
    assert_true(bus_send(f->bus, &message, on_result, f, NULL));
    const wire_msg_t *msg = peer_take(&f->peer, WIRE_SEND);
    assert_true(bytes_eq_cstr(msg->send.queue, "q"));
    assert_true(bytes_eq_cstr(msg->send.entries.items[0].group, "g"));
    assert_int_equal(msg->send.entries.items[0].delay_ms, -1);
    wire_sent_t *sent = calloc(1, sizeof *sent);
    sent->results.count = 1;
    sent->results.items[0].record = 5;
    peer_say(&f->peer, WIRE_SENT, msg->seq, sent);
    free(sent);
    peer_until(&f->peer, &f->ok, 1);
    assert_int_equal(f->records[0], 5);
}

static void names_that_the_wire_cannot_carry_are_refused(void **state)
{
    fixture_t *f = *state;
    f->bus = peer_client(&f->peer, NULL);
    char name[WIRE_NAME_MAX_BYTES + 2];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    error_t err;
    assert_false(publish_body(f, name, bytes_from(small, sizeof small), &err));
    assert_false(publish_body(f, "", bytes_from(small, sizeof small), &err));
    assert_int_equal(err.code, STATUS_INVALID_ARGUMENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(it_says_who_it_is_and_is_up_when_welcomed),
        TEST(a_refused_greeting_is_told_and_tried_again),
        TEST(a_lost_session_is_resumed_by_its_token),
        TEST(three_silent_heartbeats_are_the_end_of_a_session),
        TEST(a_broken_connection_is_noticed_at_once),
        TEST(a_ping_is_answered_with_its_number),
        TEST(what_cannot_be_read_is_left_out),
        TEST(its_end_says_bye_and_cancels_what_is_open),
        TEST(wrong_options_are_refused),
        TEST(events_of_one_turn_travel_in_one_frame),
        TEST(what_was_not_answered_is_sent_again_with_its_number),
        TEST(without_a_producer_the_outcome_of_a_lost_link_is_unknown),
        TEST(what_was_published_before_the_session_goes_with_it),
        TEST(no_more_than_the_window_is_unanswered),
        TEST(a_refusal_concerns_the_entry_that_it_names),
        TEST(an_error_frame_refuses_all_of_its_frame),
        TEST(an_answer_that_is_too_short_is_an_error_for_the_rest),
        TEST(what_no_frame_can_hold_is_refused_here),
        TEST(entries_that_fit_no_common_frame_take_several),
        TEST(waiting_is_bounded),
        TEST(an_event_gets_an_envelope_a_trace_and_is_held_against_its_schema),
        TEST(a_message_carries_its_group_and_delay),
        TEST(names_that_the_wire_cannot_carry_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
