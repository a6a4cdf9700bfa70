/* test_deliver.c: what becomes of records that cannot be read when they are to be delivered. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include <stdio.h>

#include "broker/deliver.h"
#include "kit/log.h"
#include "tests/lib/fault_disk.h"

#define EVENTS 3

typedef struct {
    fault_disk_t *disk;
    core_t *core;
    journal_t *journal;
    deliver_t *deliver;
    wire_msg_t msg;
    char left[256]; /* "DELIVER 1 2 " or "GAP 2-3 " for each frame */
} fixture_t;

static bool nothing(void *ctx, const record_t *record, bytes_t raw, error_t *err)
{
    (void)ctx;
    (void)record;
    (void)raw;
    (void)err;
    return true;
}

static void append(fixture_t *f, size_t body_bytes)
{
    static uint8_t body[4096] = {0xC5, 0x0F, 0xFD}; /* a msgpack bin */
    buf_t raw = {0};
    error_t err = {0};
    const record_publish_t publish = {.bus = BYTES_LIT("shop"), .body = bytes_from(body, body_bytes)};
    record_encode(&raw, journal_next_seq(f->journal), 1000, RECORD_PUBLISH, &publish);
    assert_true(journal_append(f->journal, buf_bytes(&raw), &err));
    assert_true(journal_commit(f->journal, &err));
    buf_free(&raw);
}

static int set_up(void **state)
{
    static fixture_t f;
    error_t err = {0};
    journal_recovery_t recovery;
    const core_config_t config = {.broker_name = "test", .version = "test"};
    f = (fixture_t){.disk = fault_disk_new(1)};
    const journal_options_t options = {.dir = "/journal",
                                       .io = fault_disk_io(f.disk),
                                       .segment_bytes = (uint64_t)64 << 10,
                                       .tail_cache_bytes = 1,
                                       .no_thread = true};
    f.core = core_new(&config, &err);
    f.journal = journal_open(&options, nothing, NULL, &recovery, &err);
    assert_true(f.core && f.journal);
    f.deliver = deliver_new(f.core, f.journal, (size_t)1 << 20);
    assert_non_null(f.deliver);
    for (int i = 0; i < EVENTS; i++)
        append(&f, 64);
    append(&f, sizeof(uint8_t[4096])); /* drives the others out of the tail cache */
    log_start("test", "", (log_level_t)(LOG_ERROR + 1));
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    fixture_t *f = *state;
    error_t err;
    deliver_free(&f->deliver);
    assert_true(journal_close(&f->journal, &err));
    core_free(&f->core);
    fault_disk_free(f->disk);
    return 0;
}

static void note_frame(void *ctx, uint64_t peer, bytes_t frame)
{
    fixture_t *f = ctx;
    error_t err = {0};
    size_t at = strlen(f->left), cap = sizeof f->left;
    assert_int_equal(peer, 7);
    assert_true(wire_decode(frame, &f->msg, &err));
    if (f->msg.verb == WIRE_GAP) {
        assert_int_equal(f->msg.gap.sub, 3);
        snprintf(f->left + at, cap - at, "GAP %d-%d ", (int)f->msg.gap.from, (int)f->msg.gap.next);
        return;
    }
    at += (size_t)snprintf(f->left + at, cap - at, "%s ", wire_verb_name(f->msg.verb));
    for (uint32_t i = 0; i < f->msg.deliver.deliveries.count; i++)
        at += (size_t)snprintf(f->left + at, cap - at, "%d ", (int)f->msg.deliver.deliveries.items[i].record);
}

/* A flipped bit in the middle of the second record's body. */
static void spoil_second(fixture_t *f)
{
    uint64_t *bytes;
    bytes_t raw;
    error_t err = {0};
    uint8_t *file = fault_disk_file(f->disk, "/journal/0000000000000001.journal", &bytes);
    assert_non_null(file);
    assert_true(journal_read(f->journal, 2, &raw, &err));
    uint8_t *found = memmem(file, *bytes, raw.data, raw.len);
    assert_non_null(found);
    found[raw.len - 10] ^= 1;
}

static void deliver_all(fixture_t *f, uint8_t receipt_len)
{
    core_item_t items[EVENTS];
    for (uint64_t i = 0; i < EVENTS; i++)
        items[i] = (core_item_t){.record = i + 1, .route = CORE_NO_ROUTE, .receipt_len = receipt_len};
    const deliver_request_t request = {.peer = 7, .verb = WIRE_DELIVER, .sub = 3, .items = items, .count = EVENTS};
    deliver_compose(f->deliver, &request, note_frame, f);
}

static void events_leave_together(void **state)
{
    fixture_t *f = *state;
    deliver_all(f, 0);
    assert_string_equal(f->left, "DELIVER 1 2 3 ");
}

static void an_event_that_cannot_be_read_is_a_gap_between_those_that_can(void **state)
{
    fixture_t *f = *state;
    spoil_second(f);
    deliver_all(f, 0);
    assert_string_equal(f->left, "DELIVER 1 GAP 2-3 DELIVER 3 ");
    assert_int_equal(deliver_unreadable(f->deliver), 1);
}

static void a_message_that_cannot_be_read_is_left_out_and_comes_again_when_its_visibility_ends(void **state)
{
    fixture_t *f = *state;
    spoil_second(f);
    deliver_all(f, CORE_RECEIPT_BYTES);
    assert_string_equal(f->left, "DELIVER 1 3 ");
    assert_int_equal(deliver_unreadable(f->deliver), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(events_leave_together),
        TEST(an_event_that_cannot_be_read_is_a_gap_between_those_that_can),
        TEST(a_message_that_cannot_be_read_is_left_out_and_comes_again_when_its_visibility_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
