/* test_core_pick.c: single dead letters, looked at and then moved or discarded; and the words they carry. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "proto/json.h"
#include "tests/lib/core_rig.h"

static const char topology[] =
    "{\"Buses\":[{\"Name\":\"b\"}],\"Queues\":[{\"QueueName\":\"work\",\"Attributes\":{\"RedrivePolicy\":"
    "{\"deadLetterTargetArn\":\"dead\",\"maxReceiveCount\":1}}},{\"QueueName\":\"dead\"},{\"QueueName\":\"other\"}]}";

static int open_rig(void **state)
{
    rig_t *rig = calloc(1, sizeof *rig);
    rig_open(rig, NULL);
    rig_topology(rig, topology);
    rig_hello(rig, 1, "a-000001", NULL);
    *state = rig;
    return 0;
}

static int close_rig(void **state)
{
    rig_close(*state);
    free(*state);
    return 0;
}

static void ask(rig_t *rig, const char *op, const char *queue, const char *args)
{
    buf_t map = {0};
    error_t err = {0};
    assert_true(json_to_msgpack(bytes_cstr(args), NULL, &map, &err));
    rig_send(rig, 1, WIRE_QUEUE, 6,
             &(wire_queue_t){.op = bytes_cstr(op), .name = bytes_cstr(queue), .args = buf_bytes(&map)});
    buf_free(&map);
}

static uint64_t answer(rig_t *rig, const char *key)
{
    uint64_t value = 0;
    bytes_t list;
    bytes_t body = rig_expect(rig, 1, WIRE_RESULT)->result.body;
    if (mp_map_u64(body, key, &value))
        return value;
    assert_true(mp_map_find(body, key, &list));
    mp_reader_t r = mp_reader(list);
    uint32_t count;
    assert_true(mp_get_array(&r, &count));
    return count;
}

static uint64_t waiting(rig_t *rig, const char *queue, const char *state)
{
    ask(rig, "info", queue, "{}");
    return answer(rig, state);
}

/* Sends one, takes it, and settles it: the number of its dead letter. */
static uint64_t die(rig_t *rig, uint64_t action, const char *why)
{
    static uint64_t sub;
    rig_send_message(rig, 1, "work", "x");
    rig_subscribe_queue(rig, 1, ++sub, "work", 1);
    const core_out_t *got = rig_deliver(rig, 1);
    assert_non_null(got);
    uint8_t receipt[CORE_RECEIPT_BYTES];
    memcpy(receipt, rig->out.items[got->deliver.first].receipt, sizeof receipt);
    wire_settle_t *settle = calloc(1, sizeof *settle);
    settle->entries.count = 1;
    settle->entries.items[0] = (wire_settle_entry_t){
        .receipt = bytes_from(receipt, sizeof receipt), .action = action, .reason = bytes_cstr(why)};
    rig_send(rig, 1, WIRE_SETTLE, 8, settle);
    free(settle);
    ask(rig, "peek", "dead", "{\"max\":256}");
    const core_item_t *newest = NULL;
    for (size_t i = 0; i < rig->out.item_count; i++)
        newest = &rig->out.items[i];
    assert_non_null(newest);
    return newest->message;
}

static void pick(rig_t *rig, const char *op, uint64_t message, const char *more)
{
    char args[160];
    (void)snprintf(args, sizeof args, "{\"messages\":[%llu]%s}", (unsigned long long)message, more);
    ask(rig, op, "dead", args);
}

static void a_picked_message_goes_back_alone_and_is_new_there(void **state)
{
    rig_t *rig = *state;
    uint64_t first = die(rig, WIRE_REJECT, "no");
    (void)die(rig, WIRE_REJECT, "no");
    pick(rig, "move", first, "");
    assert_int_equal(answer(rig, "moved"), 1);
    assert_int_equal(waiting(rig, "work", "visible") + waiting(rig, "work", "in_flight"), 1);
    assert_int_equal(waiting(rig, "dead", "visible"), 1);
    pick(rig, "move", first, "");
    assert_int_equal(answer(rig, "missing"), 1);
}

static void it_may_come_later_and_a_restart_keeps_when(void **state)
{
    rig_t *rig = *state;
    pick(rig, "move", die(rig, WIRE_REJECT, "no"), ",\"delay_ms\":60000");
    assert_int_equal(answer(rig, "moved"), 1);
    uint64_t digest = core_digest(rig->core);
    rig_restart(rig, 0);
    assert_int_equal(core_digest(rig->core), digest);
    rig_hello(rig, 1, "b-000002", NULL);
    assert_int_equal(waiting(rig, "work", "delayed"), 1);
    rig_sleep(rig, 60000000);
    rig_hello(rig, 1, "c-000003", NULL);
    assert_int_equal(waiting(rig, "work", "visible"), 1);
}

static void it_may_go_elsewhere_or_away(void **state)
{
    rig_t *rig = *state;
    pick(rig, "move", die(rig, WIRE_REJECT, "no"), ",\"to\":\"other\"");
    assert_int_equal(waiting(rig, "other", "visible"), 1);
    uint64_t second = die(rig, WIRE_REJECT, "no");
    pick(rig, "discard", second, ",\"detail\":\"kept elsewhere\"");
    assert_int_equal(answer(rig, "moved"), 1);
    assert_int_equal(waiting(rig, "dead", "visible"), 0);
    core_stats_t stats;
    core_stats(rig->core, &stats);
    assert_int_equal(stats.dropped, 1);
}

static void what_came_from_no_queue_is_refused_with_the_reason(void **state)
{
    rig_t *rig = *state;
    uint64_t message = rig_send_message(rig, 1, "dead", "x");
    pick(rig, "move", message, "");
    assert_int_equal(answer(rig, "refused"), 1);
    assert_int_equal(waiting(rig, "dead", "visible"), 1);
}

static void wrong_picks_are_refused(void **state)
{
    rig_t *rig = *state;
    static const char *const args[] = {"{}",
                                       "{\"messages\":[]}",
                                       "{\"messages\":[\"a\"]}",
                                       "{\"messages\":7}",
                                       "{\"messages\":[1],\"to\":\"nowhere\"}",
                                       "{\"messages\":[1],\"to\":\"dead\"}",
                                       "{\"messages\":[1],\"delay_ms\":900001}"};
    for (size_t i = 0; i < ARRAY_LEN(args); i++) {
        ask(rig, "move", "dead", args[i]);
        (void)rig_expect(rig, 1, WIRE_ERROR);
    }
    ask(rig, "discard", "other", "{\"messages\":[1]}"); /* nobody's dead letters */
    (void)rig_expect(rig, 1, WIRE_ERROR);
}

static void the_last_release_with_a_reason_is_a_dead_letter_with_these_words(void **state)
{
    rig_t *rig = *state;
    (void)die(rig, WIRE_RELEASE, "UNAVAILABLE: the database is away");
    assert_int_equal(waiting(rig, "work", "visible") + waiting(rig, "work", "in_flight"), 0);
    ask(rig, "peek", "dead", "{}");
    bytes_t said, reason;
    const core_item_t *item = &rig->out.items[0];
    bytes_t extra = bytes_from(rig->out.bytes.data + item->extra_at, item->extra_len);
    assert_true(mp_map_str(extra, "DeadLetterDetail", &said) && mp_map_str(extra, "DeadLetterReason", &reason));
    assert_true(bytes_eq_cstr(said, "UNAVAILABLE: the database is away"));
    assert_true(bytes_eq_cstr(reason, "max-receives"));
}

static void a_peek_goes_on_behind_a_message(void **state)
{
    rig_t *rig = *state;
    uint64_t first = die(rig, WIRE_REJECT, "no"), second = die(rig, WIRE_REJECT, "no");
    char args[64];
    (void)snprintf(args, sizeof args, "{\"after_message\":%llu}", (unsigned long long)first);
    ask(rig, "peek", "dead", args);
    assert_int_equal(rig->out.outs[0].deliver.count, 1);
    assert_int_equal(rig->out.items[0].message, second);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_rig, close_rig)
    const struct CMUnitTest tests[] = {
        TEST(a_picked_message_goes_back_alone_and_is_new_there),
        TEST(it_may_come_later_and_a_restart_keeps_when),
        TEST(it_may_go_elsewhere_or_away),
        TEST(what_came_from_no_queue_is_refused_with_the_reason),
        TEST(wrong_picks_are_refused),
        TEST(the_last_release_with_a_reason_is_a_dead_letter_with_these_words),
        TEST(a_peek_goes_on_behind_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
