/* test_core_check.c: the recount finds whatever does not agree, and names it; a sound core passes, in slices too. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdlib.h>

#include "broker/core/check.h"
#include "broker/core/group.h"
#include "broker/core/message.h"
#include "broker/core/queue.h"
#include "broker/core/session.h"
#include "proto/msgpack.h"
#include "tests/lib/core_rig.h"

static const char topology[] = "{\"Buses\":[{\"Name\":\"shop\"}],\"Queues\":[{\"QueueName\":\"plain\"},"
                               "{\"QueueName\":\"line.fifo\",\"Attributes\":{\"FifoQueue\":true}},"
                               "{\"QueueName\":\"late\",\"Attributes\":{\"DelaySeconds\":60}}]}";

static void send_fifo(rig_t *rig, const char *dedup)
{
    wire_send_t *send = calloc(1, sizeof *send);
    assert_non_null(send);
    send->queue = BYTES_LIT("line.fifo");
    send->entries.count = 1;
    send->entries.items[0] = (wire_send_entry_t){
        .group = BYTES_LIT("g"), .dedup = bytes_cstr(dedup), .delay_ms = -1, .body = BYTES_LIT("\xa1x")};
    rig_send(rig, 1, WIRE_SEND, 8, send);
    free(send);
}

/* Three visible and one in flight in each of two queues, one delayed in the third. */
static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    rig_topology(rig, topology);
    rig_hello(rig, 1, "one-000001", NULL);
    for (int i = 0; i < 4; i++)
        (void)rig_send_message(rig, 1, "plain", "text");
    (void)rig_send_message(rig, 1, "late", "text");
    static const char *const ids[] = {"1", "2", "3", "4"};
    for (int i = 0; i < 4; i++)
        send_fifo(rig, ids[i]);
    rig_subscribe_queue(rig, 1, 1, "plain", 1);
    rig_subscribe_queue(rig, 1, 2, "line.fifo", 1);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

/* -- what can be wrong -------------------------------------------------------------------------------------- */
static queue_t *queue_named(core_t *core, const char *name)
{
    queue_t *queue = queue_find(core, bytes_cstr(name));
    assert_non_null(queue);
    return queue;
}

static message_t *first_of(core_t *core)
{
    return message_at(core, queue_named(core, "plain")->visible.head);
}

static group_t *group_of(core_t *core)
{
    return group_at(queue_named(core, "line.fifo"), 1);
}

static void visible_count(core_t *core)
{
    queue_named(core, "plain")->visible.count++;
}

static void in_flight_count(core_t *core)
{
    queue_named(core, "plain")->in_flight--;
}

static void delayed_count(core_t *core)
{
    queue_named(core, "late")->delayed++;
}

static void byte_count(core_t *core)
{
    queue_named(core, "plain")->bytes++;
}

static void used_count(core_t *core)
{
    core->messages.all.used++;
}

static void holder(core_t *core)
{
    first_of(core)->session = 1;
}

static void held_count(core_t *core)
{
    session_at(core, 1)->held.count++;
}

static void timer_place(core_t *core)
{
    message_at(core, core->messages.due.items[1])->heap_at = 0;
}

static void timer_order(core_t *core)
{
    heap_t *due = &core->messages.due;
    message_side_need(core, due->items[due->count])->timer_us = 1;
}

static void expiry(core_t *core)
{
    queue_named(core, "plain")->expires_us++;
}

static void identity(core_t *core)
{
    first_of(core)->record += 1000;
}

static void link(core_t *core)
{
    first_of(core)->next = 0;
}

static void group_messages(core_t *core)
{
    group_of(core)->messages--;
}

static void group_held(core_t *core)
{
    group_of(core)->held.count = 0;
}

static void group_ready(core_t *core)
{
    group_of(core)->is_ready = !group_of(core)->is_ready;
}

static void group_line(core_t *core)
{
    queue_named(core, "line.fifo")->ready.count++;
}

static void dedup_count(core_t *core)
{
    queue_named(core, "line.fifo")->dedup.map.count--;
}

static void line_by_age(core_t *core)
{
    first_of(core)->newer = 0;
}

static void line_order(core_t *core)
{
    first_of(core)->sent_us += US_PER_S;
    queue_named(core, "plain")->expires_us += US_PER_S;
}

static void line_count(core_t *core)
{
    queue_named(core, "plain")->lined.count--;
}

static void side_count(core_t *core)
{
    core->messages.sides.used++;
}

static void side_lost(core_t *core)
{
    message_at(core, core->messages.due.items[1])->side = 0;
    core->messages.sides.used--;
}

static const struct {
    void (*spoil)(core_t *core);
    const char *named;
} faults[] = {
    {visible_count, "visible messages of plain: 4 are kept, 3 are counted"},
    {in_flight_count, "messages in flight of plain: 0 are kept, 1 are counted"},
    {delayed_count, "delayed messages of late: 2 are kept, 1 are counted"},
    {byte_count, "bytes of plain"},
    {used_count, "messages of the broker"},
    {holder, "somebody has it"},
    {held_count, "messages in flight of one-000001: 3 are kept, 2 are counted"},
    {timer_place, "has no timer"},
    {timer_order, "is due before one that stands before it"},
    {expiry, "the first expiry of plain"},
    {identity, "is not found by its identity"},
    {link, "and its neighbours do not know one another"},
    {group_messages, "Queue line.fifo, group: messages of g"},
    {group_held, "held messages of g: 0 are kept, 1 are counted"},
    {group_ready, "being ready of g"},
    {group_line, "ready groups of line.fifo"},
    {dedup_count, "deduplication ids of line.fifo"},
    {line_by_age, "and its neighbours by age do not know one another"},
    {line_order, "stands before an older one by age"},
    {line_count, "messages in the line by age of plain"},
    {side_count, "messages with more of the broker"},
    {side_lost, "has no time"},
};

static void whatever_does_not_agree_is_named(void **state)
{
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        error_t err = {0};
        (void)close_rig(state);
        (void)open_rig(state);
        rig_t *rig = *state;
        assert_true(core_check(rig->core, &err));
        faults[i].spoil(rig->core);
        assert_false(core_check(rig->core, &err));
        assert_int_equal(err.code, STATUS_INTERNAL);
        if (!strstr(err.message, faults[i].named))
            fail_msg("\"%s\" says nothing of \"%s\"", err.message, faults[i].named);
    }
}

static void slices_reach_every_message_once(void **state)
{
    rig_t *rig = *state;
    uint32_t at = 0, slices = 0;
    do {
        assert_true(check_messages(rig->core, &at, 4, NULL));
        slices++;
    } while (at);
    assert_int_equal(slices, 3); /* nine messages */
    link(rig->core);
    at = 4;
    assert_true(check_messages(rig->core, &at, 5, NULL));
    at = 0;
    assert_false(check_messages(rig->core, &at, 4, NULL));
}

static bytes_t ask(rig_t *rig, uint64_t after)
{
    buf_t args = {0};
    mp_put_map(&args, 1);
    mp_put_cstr(&args, "after");
    mp_put_u64(&args, after);
    rig_send(rig, 1, WIRE_BROKER, 9, &(wire_broker_t){.op = BYTES_LIT("check"), .args = buf_bytes(&args)});
    buf_free(&args);
    return rig_expect(rig, 1, WIRE_RESULT)->result.body;
}

static void a_live_broker_answers_what_it_found(void **state)
{
    rig_t *rig = *state;
    uint64_t number;
    bytes_t text, answer = ask(rig, 0);
    assert_true(mp_map_u64(answer, "checked", &number) && number == 9);
    assert_true(mp_map_u64(answer, "messages", &number) && number == 9);
    assert_true(mp_map_u64(answer, "next", &number) && number == 0);
    assert_true(mp_map_str(answer, "problem", &text) && text.len == 0);
    byte_count(rig->core);
    assert_true(mp_map_str(ask(rig, 0), "problem", &text) && text.len > 0);
    assert_true(mp_map_u64(ask(rig, UINT64_MAX), "checked", &number) && number == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(whatever_does_not_agree_is_named, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(slices_reach_every_message_once, open_rig, close_rig),
        cmocka_unit_test_setup_teardown(a_live_broker_answers_what_it_found, open_rig, close_rig),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
