/* test_gate.c: each test is one sentence about what may leave when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "broker/gate.h"

typedef struct {
    char left[512]; /* "peer:VERB " of everything that left */
    gate_t *gate;
    core_effects_t effects;
} fixture_t;

static void note(fixture_t *f, uint64_t peer, const char *what)
{
    size_t len = strlen(f->left);
    snprintf(f->left + len, sizeof f->left - len, "%d:%s ", (int)peer, what);
}

static void on_frame(void *ctx, uint64_t peer, bytes_t frame)
{
    uint64_t verb, seq;
    assert_true(wire_peek(frame, &verb, &seq));
    note(ctx, peer, wire_verb_name(verb));
}

static void on_deliver(void *ctx, const deliver_request_t *request)
{
    char what[64];
    assert_int_equal(request->items[0].extra_len, 3);
    snprintf(what, sizeof what, "%s*%zu@%d%.3s", wire_verb_name((uint64_t)request->verb), request->count,
             (int)request->items[0].record, (const char *)request->extras + request->items[0].extra_at);
    note(ctx, request->peer, what);
}

static int set_up(void **state)
{
    static fixture_t f;
    memset(&f, 0, sizeof f);
    gate_sink_t sink = {.frame = on_frame, .deliver = on_deliver, .ctx = &f};
    f.gate = gate_new(&sink);
    assert_non_null(f.gate);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    gate_free(&f->gate);
    core_effects_free(&f->effects);
    return 0;
}

static void put_frame(fixture_t *f, uint64_t peer, uint64_t after, wire_verb_t verb, uint64_t synced)
{
    static wire_msg_t msg; /* large */
    memset(&msg, 0, sizeof msg);
    core_out_t out = {.kind = CORE_OUT_FRAME, .peer = peer, .after = after};
    out.frame.at = f->effects.bytes.len;
    msg.verb = verb;
    wire_encode(&f->effects.bytes, &msg);
    out.frame.len = f->effects.bytes.len - out.frame.at;
    gate_put(f->gate, &out, &f->effects, synced);
    core_effects_clear(&f->effects); /* what waits was copied */
}

static void put_deliver(fixture_t *f, uint64_t peer, uint64_t after, uint64_t record, uint64_t synced)
{
    core_item_t items[2] = {{.record = record, .extra_at = 1, .extra_len = 3}, {.record = record + 1}};
    core_out_t out = {.kind = CORE_OUT_DELIVER, .peer = peer, .after = after};
    core_effects_t effects = {.items = items, .item_count = 2};
    out.deliver.verb = WIRE_DELIVER;
    out.deliver.count = 2;
    buf_append_cstr(&effects.bytes, "xabc");
    gate_put(f->gate, &out, &effects, synced);
    memset(items, 0xee, sizeof items);
    buf_free(&effects.bytes);
}

static void what_waits_for_nothing_leaves_at_once(void **state)
{
    fixture_t *f = *state;
    put_frame(f, 1, 0, WIRE_PONG, 0);
    put_frame(f, 1, 5, WIRE_SENT, 5);
    put_deliver(f, 2, 4, 40, 5);
    assert_string_equal(f->left, "1:PONG 1:SENT 2:DELIVER*2@40abc ");
    assert_int_equal(gate_count(f->gate), 0);
}

static void what_the_disk_does_not_have_yet_waits_for_it(void **state)
{
    fixture_t *f = *state;
    put_frame(f, 1, 6, WIRE_PUBLISHED, 5);
    put_deliver(f, 2, 7, 40, 5);
    gate_flush(f->gate, 5);
    assert_string_equal(f->left, "");
    gate_flush(f->gate, 6);
    assert_string_equal(f->left, "1:PUBLISHED ");
    gate_flush(f->gate, 9);
    assert_string_equal(f->left, "1:PUBLISHED 2:DELIVER*2@40abc ");
}

static void calls_and_heartbeats_overtake_what_waits(void **state)
{
    fixture_t *f = *state;
    put_frame(f, 1, 6, WIRE_PUBLISHED, 5);
    put_frame(f, 1, 0, WIRE_PONG, 5);
    put_frame(f, 1, 0, WIRE_CALL, 5);
    put_frame(f, 1, 0, WIRE_REPLY, 5);
    put_frame(f, 1, 0, WIRE_CANCEL, 5);
    assert_string_equal(f->left, "1:PONG 1:CALL 1:REPLY 1:CANCEL ");
}

static void nothing_overtakes_a_waiting_welcome_of_its_peer(void **state)
{
    fixture_t *f = *state;
    put_frame(f, 1, 6, WIRE_WELCOME, 5);
    put_frame(f, 1, 0, WIRE_PONG, 5);
    put_frame(f, 1, 0, WIRE_SERVED, 5);
    put_frame(f, 2, 0, WIRE_PONG, 5);
    assert_string_equal(f->left, "2:PONG ");
    gate_flush(f->gate, 6);
    assert_string_equal(f->left, "2:PONG 1:WELCOME 1:PONG 1:SERVED ");
    put_frame(f, 1, 0, WIRE_PONG, 6);
    assert_string_equal(f->left, "2:PONG 1:WELCOME 1:PONG 1:SERVED 1:PONG ");
}

static void unsubscribed_does_not_overtake_a_waiting_delivery(void **state)
{
    fixture_t *f = *state;
    put_deliver(f, 1, 6, 40, 5);
    put_frame(f, 1, 0, WIRE_UNSUBSCRIBED, 5);
    put_frame(f, 2, 0, WIRE_UNSUBSCRIBED, 5);
    assert_string_equal(f->left, "2:UNSUBSCRIBED ");
    gate_flush(f->gate, 6);
    assert_string_equal(f->left, "2:UNSUBSCRIBED 1:DELIVER*2@40abc 1:UNSUBSCRIBED ");
}

static void frames_of_one_peer_leave_in_order_though_one_could_go_earlier(void **state)
{
    fixture_t *f = *state;
    put_frame(f, 1, 8, WIRE_PUBLISHED, 5);
    put_frame(f, 1, 4, WIRE_SETTLED, 5);
    assert_string_equal(f->left, "");
    gate_flush(f->gate, 7);
    assert_string_equal(f->left, "");
    gate_flush(f->gate, 8);
    assert_string_equal(f->left, "1:PUBLISHED 1:SETTLED ");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_waits_for_nothing_leaves_at_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_the_disk_does_not_have_yet_waits_for_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(calls_and_heartbeats_overtake_what_waits, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_overtakes_a_waiting_welcome_of_its_peer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(unsubscribed_does_not_overtake_a_waiting_delivery, set_up, tear_down),
        cmocka_unit_test_setup_teardown(frames_of_one_peer_leave_in_order_though_one_could_go_earlier, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
